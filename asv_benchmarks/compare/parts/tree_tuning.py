"""Tables behind the constants of the tree kernels: what `compare/trees.py --tune` prints.

The constants are compile-time, so copies of one extension module are built in a temporary directory, each with others.
"""

import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import sltrees
from asv_benchmarks.compare.parts.tree_timing import si, threshold_for, time_warm
from sltrees import ThresholdTree

SCRIPT = Path(__file__).resolve().parents[1] / "trees.py"
VARIANTS = {
    "one by one; scan": {"SL_REBUILD_SHARE": "1", "SL_TUNE_LIMIT": "0"},
    "rebuild; lists": {"SL_REBUILD_SHARE": "((int64_t)1 << 40)", "SL_TUNE_LIMIT": "257"},
} | {f"ahead {a}": {"SL_PREFETCH_AHEAD": str(a), "SL_TUNE_LIMIT": "128"} for a in (1, 4, 8, 16, 32, 64, 128)}

ENTRY_RULE = "k == 1 && stop - start > SL_CACHED_LEAVES ? 64 : 128"

BUILD_ONE = """
import json, os, numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
extension = Extension("sltrees._core._wide_tree", ["sltrees/_core/_wide_tree.pyx"],
                      include_dirs=[numpy.get_include(), "sltrees/_core"],
                      define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")]
                      + list(json.loads(os.environ["SLTREES_TUNE"]).items()),
                      extra_compile_args=["-O3", "-std=gnu11", "-Wno-unused-function"])
directives = dict(language_level=3, wraparound=False, cdivision=True, boundscheck=False, initializedcheck=False)
modules = cythonize([extension], compiler_directives=directives, force=True, build_dir="build")
setup(name="tune", packages=[], ext_modules=modules)
"""


def build_variant(directory, macros):
    """A copy of the package whose tree kernels are compiled with other constants."""
    shutil.copytree(Path(sltrees.__file__).parent, directory / "sltrees")
    walks = directory / "sltrees/_core/tree/queries.h"
    text = walks.read_text(encoding="utf-8")
    if text.count(ENTRY_RULE) != 1:
        raise RuntimeError(f"tree/queries.h no longer says {ENTRY_RULE!r}: bring this script up to date")
    walks.write_text(text.replace(ENTRY_RULE, "k == 1 ? SL_TUNE_LIMIT : 128"), encoding="utf-8")
    (directory / "build_one.py").write_text(BUILD_ONE, encoding="utf-8")
    for old in (directory / "sltrees/_core").glob("_wide_tree.*.so"):
        old.unlink()
    environment = os.environ | {"SLTREES_TUNE": json.dumps(macros)}
    command = [sys.executable, "build_one.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True)


def tune_child(quick):
    """Times of one variant, as JSON: {table: {case: seconds}}."""
    rng = np.random.default_rng(0)
    budget = 0.05 if quick else 0.15
    found = {"rebuild": {}, "ahead": {}, "entry": {}}
    for n in (10**6,) if quick else (10**5, 10**6, 10**7):
        values = rng.standard_normal(n, dtype=np.float32)
        tree, ordered = ThresholdTree(values), np.sort(values)
        for share in (512, 256, 128, 64, 32, 16, 8):
            k = n // share + 1
            batches = [(rng.integers(0, n, k), rng.standard_normal(k, dtype=np.float32)) for _ in range(8)]
            following = itertools.cycle(batches)
            once = time_warm({"x": lambda tree=tree, following=following: tree.update_many(*next(following))}, budget)
            found["rebuild"][f"n={n}, k=n/{share}"] = once["x"]
        tree = ThresholdTree(values)
        for p in (1e-3, 5e-3, 1e-2, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1):
            t = threshold_for(ordered, p)
            live = np.maximum.reduceat(values, np.arange(0, n, 16)) > t
            once = time_warm({"x": lambda tree=tree, t=t: tree.query(t)}, budget)
            if p > 1e-3:  # below, the level above the blocks is entered, and the choice does not arise
                found["entry"][f"n={n}, p={p:g}, {100 * live.mean():.0f}% of blocks live"] = once["x"]
            if p in (1e-3, 1e-2):
                found["ahead"][f"query, n={n}, p={p:g}"] = once["x"]
        batches = [(rng.integers(0, n, 1000), rng.standard_normal(1000, dtype=np.float32)) for _ in range(200)]
        following = itertools.cycle(batches)
        once = time_warm({"x": lambda tree=tree, following=following: tree.update_many(*next(following))}, budget)
        found["ahead"][f"update_many, n={n}, k=1000"] = once["x"]
    print(json.dumps(found))


def tune(quick):
    with tempfile.TemporaryDirectory() as scratch:
        directories = {name: Path(scratch) / str(j) for j, name in enumerate(VARIANTS)}
        print(f"building {len(VARIANTS)} variants", flush=True)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(build_variant, directories.values(), VARIANTS.values()))
        runs = {name: [] for name in VARIANTS}
        for _ in range(1 if quick else 3):
            for name, directory in directories.items():
                command = [sys.executable, str(SCRIPT), "--tune-child"] + ["--quick"] * quick
                environment = os.environ | {"PYTHONPATH": str(directory)}
                child = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
                runs[name].append(json.loads(child.stdout))

    def table(key, names, heading):
        print(f"\n== {heading}\n{'':<42}" + "".join(f"{name:>12}" for _, name in names) + f"{'best':>12}")
        for case in runs[names[0][0]][0][key]:
            times = {label: statistics.median(run[key][case] for run in runs[name]) for name, label in names}
            print(f"{case:<42}" + "".join(f"{si(t):>12}" for t in times.values()) + f"{min(times, key=times.get):>12}")

    first, second = list(VARIANTS)[:2]
    heading = "SL_REBUILD_SHARE: a batch of k updates (in use: n/64)"
    table("rebuild", [(first, "one by one"), (second, "rebuild")], heading)
    heading = "entry level: scan, or lists of live blocks (in use: lists below 50% live, 25% beyond 2^22 values)"
    table("entry", [(first, "scan"), (second, "lists")], heading)
    table("ahead", [(name, name) for name in list(VARIANTS)[2:]], "SL_PREFETCH_AHEAD (in use: 32)")
