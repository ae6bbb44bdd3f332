"""An outside package that cimports the tree and queries and updates it without the GIL."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sltrees._core

HEADERS = os.path.dirname(sltrees._core.__file__)
PACKAGES = os.path.dirname(os.path.dirname(HEADERS))

SETUP = """
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

headers, packages = sys.argv[-2:]
del sys.argv[-2:]
extension = Extension("outside._peaks", ["outside/_peaks.pyx"], include_dirs=[headers])
setup(
    name="outside",
    packages=["outside"],
    ext_modules=cythonize([extension], include_path=[packages], language_level=3),
)
"""

PEAKS = """
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from sltrees._core._threshold_tree cimport ThresholdTree


def drain(ThresholdTree tree, double threshold):
    '''Sum of all values above the threshold, which are set to 0, a few at a time; and how many there were.'''
    cdef int64_t n = len(tree), found, j, total = 0
    cdef int64_t *hits = <int64_t *> malloc(4 * sizeof(int64_t))
    cdef double result = 0
    if hits == NULL:
        raise MemoryError
    with nogil:
        while True:
            found = tree.c_query(threshold, 0, n, hits, 4)
            if found == 0:
                break
            for j in range(min(found, 4)):
                result += tree.c_get(hits[j])
                tree.c_update(hits[j], 0)
                total += 1
        free(hits)
    return result, total


def look(ThresholdTree tree, double threshold, int64_t start):
    '''Best value, first index from start on, and how many pass there.'''
    cdef int64_t n = len(tree), first, count
    cdef double best
    with nogil:
        best = tree.c_max()
        first = tree.c_first(threshold, start, n)
        count = tree.c_count(threshold, start, n)
    return best, first, count
"""

USE = """
import numpy as np
from outside._peaks import drain, look

from sltrees import ThresholdTree

rng = np.random.default_rng(0)
for dtype in (np.float32, np.float64):
    for n in (1, 17, 1000, 70_000):
        values = rng.permutation(n).astype(dtype)
        for orientation in ("max", "min"):
            tree = ThresholdTree(values if orientation == "max" else -values, orientation=orientation)
            t = n / 2 if orientation == "max" else -n / 2
            passing = np.flatnonzero(values > n / 2)
            from_10 = passing[passing >= min(10, n)]
            assert look(tree, t, min(10, n)) == (
                tree.max(), from_10[0] if from_10.size else -1, from_10.size
            )
            if n <= 1000:
                total, count = drain(tree, t)
                assert (abs(total), count) == (values[passing].sum(dtype=float), passing.size)
                assert not tree.any(t)
                assert np.all(tree.values[passing] == 0)
            tree._check()
print("all right")
"""


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """The directory of the package, built in place."""
    pytest.importorskip("Cython", reason="building an outside package needs Cython, an optional dependency")
    pytest.importorskip("setuptools", reason="building an outside package needs setuptools, an optional dependency")
    root = tmp_path_factory.mktemp("outside package")
    (root / "outside").mkdir()
    (root / "outside" / "__init__.py").write_text("")
    (root / "outside" / "_peaks.pyx").write_text(PEAKS)
    (root / "setup.py").write_text(SETUP)
    run(root, "setup.py", "build_ext", "--inplace", HEADERS, PACKAGES)
    return root


def run(root, *arguments):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(root), *filter(None, sys.path)]))
    result = subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


@pytest.mark.slow
def test_an_outside_package_queries_and_updates_without_the_gil(outside):
    assert run(outside, "-c", USE).strip() == "all right"


@pytest.mark.parametrize("level", sltrees._core._simd.supported_levels())
def test_an_outside_package_follows_the_instruction_level(outside, level):
    # the kernels are those of the tree, not ones compiled into the outside package
    code = f"from sltrees._core import _simd; _simd.set_active_level({level!r})\n" + USE
    assert run(outside, "-c", code).strip() == "all right"


def test_what_an_outside_package_needs_is_installed():
    core = Path(HEADERS)
    files = {path.relative_to(core).as_posix() for path in core.rglob("*")}
    assert {"__init__.pxd", "_threshold_tree.pxd", "_wide_tree.pxd", "_tree.pxd", "_tree_bank.pxd"} <= files
    assert {"tree/tree.h", "tree/wide_tree.h", "tree/walks.h"} <= files
    assert {"simd/simd.h", "simd/levels.h", "simd/each_instance.h", "simd/portable.h", "simd/avx2.h"} <= files
