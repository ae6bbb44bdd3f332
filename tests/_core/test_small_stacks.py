"""Threads with a stack of 64 KiB, where NumPy works: nothing compiled keeps large arrays there.

All runs in a process of its own, since too large an array on the stack ends that process.
"""

import os
import subprocess
import sys

import pytest

from sltrees._core import _simd

PROGRAM = """
import sys
import threading

import numpy as np

from sltrees import CorrelationTrees, NewtonTrainer, ShiftedReLUNetwork, ThresholdTree
from sltrees._core._gram import multiply_counts
from sltrees._core._normals import fill_normals

rng = np.random.default_rng(0)
failed = []


def trees(dtype, orientation):
    sign = 1 if orientation == "max" else -1
    for n in (10, 3000, 300_000):
        values = rng.standard_normal(n).astype(dtype)
        tree = ThresholdTree(values, orientation=orientation)
        for share in (0, 0.001, 0.03, 0.3, 0.9):  # lists on many levels, on one, and a scan
            t = float(np.quantile(values, 1 - share if sign > 0 else share))
            expected = np.flatnonzero(sign * values > sign * t)
            assert np.array_equal(tree.query(t), expected)
            assert np.array_equal(tree.query(t, 1, n - 1), expected[(expected > 0) & (expected < n - 1)])
            assert tree.query(t, out=np.empty(n, np.int64)).size == tree.count(t) == expected.size
            assert tree.first(t) == (expected[0] if expected.size else -1)
            indptr, indices = tree.query_many([t, t])
            assert np.array_equal(indices[indptr[1]:], expected)
        for count in (3, n):
            where = rng.integers(0, n, count)
            tree.update_many(where, -values[where])
        tree.update(5, 100.0 * sign)
        tree.extend(values)
        tree.refresh()
        assert tree.argmax() == 5 and tree.topk(3)[0] == 5
        tree._check()


def correlations(dtype, axis):
    W, X = (rng.integers(-3, 4, (n, 5)).astype(dtype) for n in (40, 900))
    forest = CorrelationTrees(W, X, axis=axis)
    forest.update_weight(3, W[4])
    forest.update_weights([5, 6], W[:2])
    W[3], W[5:7] = W[4], W[:2]
    products = W @ X.T if axis == "data" else X @ W.T
    for t in (-100, 0, 20):
        assert np.array_equal(forest.query(7, t), np.flatnonzero(products[7] > t))
        assert forest.query_all(t).nnz == np.count_nonzero(products > t)
    forest.copy()._check()


def training(method):
    X, y = rng.standard_normal((30, 5)), rng.standard_normal(30)
    network = ShiftedReLUNetwork(300, shift=0.5, dtype="float32", random_state=0)
    result = NewtonTrainer(network, method=method, alpha=1e-2, max_iter=5, executor="inline").fit(X, y)
    assert result.loss < result.history[0].loss
    network.predict(X)


def arrays():
    numbers = np.empty(70_001, np.float32)
    fill_normals(np.random.SeedSequence(1), numbers)
    assert abs(numbers.mean()) < 0.02
    counts, matrix, sums = np.ones((70, 70), np.int32), np.empty((70, 70)), np.empty(70)
    multiply_counts(np.ones((70, 70)), counts, 0, 70, matrix, sums)
    assert matrix.sum() == sums.sum() == 70 * (2 * 70 - 1)


def guarded(function, *arguments):
    try:
        function(*arguments)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        failed.append(function.__name__)


calls = [(trees, dtype, orientation) for dtype in ("f4", "f8") for orientation in ("max", "min")]
calls += [(correlations, dtype, axis) for dtype in ("f4", "f8") for axis in ("data", "weights")]
calls += [(training, "certified"), (training, "trees"), (arrays,)]
threading.stack_size(65536)
for call in calls:
    thread = threading.Thread(target=guarded, args=call)
    thread.start()
    thread.join()
sys.exit(len(failed))
"""


@pytest.mark.parametrize("level", _simd.supported_levels())
def test_all_kernels_run_on_a_stack_of_64_kib(level):
    environment = {**os.environ, "SLTREES_SIMD": level, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"ended with {done.returncode}\n{done.stderr}"
