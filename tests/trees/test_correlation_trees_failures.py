"""CorrelationTrees where memory runs out: changed as asked for, or not at all."""

import sys

import allocation_failures
import numpy as np
import pytest

from sltrees import CorrelationTrees

PROGRAM = """
import copy
import pickle

import numpy as np

from sltrees import CorrelationTrees

rng = np.random.default_rng(0)
n_failures = 0


def bits(trees):
    held = trees.values if trees.floor is None else trees.query_all(trees.floor).data
    return trees.weights.tobytes(), held.tobytes(), trees.query_all(1.0).indices.tobytes(), trees.data.tobytes()


def change(make, call):
    '''All or nothing: after each failure the trees are as before, and in the end as without one.'''
    global n_failures
    expected = make()
    before = bits(expected)
    call(expected)
    after = bits(expected)
    assert after != before
    trees, n_refused = make(), 0
    for outcome in failures(lambda: call(trees)):
        assert bits(trees) == (after if outcome is None else before), outcome
        if outcome is None:  # a failure that somebody could do without
            trees = make()
        n_refused += outcome is not None
        n_failures += 1
    assert bits(trees) == after
    trees._check()
    assert n_refused >= 5


def ask(trees, call):
    '''The right answer or MemoryError, and nothing changed.'''
    global n_failures
    before, expected, found = bits(trees), call(trees), []
    for outcome in failures(lambda: found.append(call(trees))):
        n_failures += 1
        for answer in found:
            assert np.array_equal(answer, expected)
        found.clear()
        assert bits(trees) == before
    trees._check()


for axis in ("data", "weights"):
    for dtype in (np.float32, np.float64):
        W, X, new = (rng.standard_normal((n, 3)).astype(dtype) for n in (40, 15_000, 40))
        rows, twice = rng.permutation(40), rng.integers(0, 30, 40)  # two or three blocks of products

        def make(W=W, X=X, axis=axis):
            return CorrelationTrees(W, X, axis=axis)

        change(make, lambda trees: trees.update_weight(7, new[0]))
        change(make, lambda trees: trees.update_weights(rows, new))
        change(make, lambda trees: trees.update_weights(twice.tolist(), new.tolist()))

        trees = make()
        ask(trees, lambda trees: trees.query(3, 1.0))
        ask(trees, lambda trees: trees.query(3, -100.0, return_values=True)[1])
        ask(trees, lambda trees: trees.query_all(3.0).data)
        ask(trees, lambda trees: trees.copy().values)
        ask(trees, lambda trees: copy.deepcopy(trees).values)
        ask(trees, lambda trees: pickle.loads(pickle.dumps(trees)).values)
        # rows of their own lengths, each with memory of its own
        def make(W=W[:12], X=X[:30], axis=axis):
            return CorrelationTrees(W, X, axis=axis, floor=0.5)

        change(make, lambda trees: trees.update_weights(rows[rows < 12], new[:12]))
        change(make, lambda trees: trees.add_weights(new[:2]))
        change(make, lambda trees: trees.remove_data([3, 5]))
        ask(make(), lambda trees: trees.query(3, 0.5, return_values=True)[1])
        ask(make(), lambda trees: trees.copy().query_all(1.0).data)
print(n_failures)
"""


def test_a_failed_allocation_changes_nothing(tmp_path):
    assert int(allocation_failures.run(PROGRAM, tmp_path)) >= 500


SEVERAL = """
import os
import numpy as np
from sltrees import CorrelationTrees, ThresholdTree

rng = np.random.default_rng(0)
tree, thresholds = ThresholdTree(rng.standard_normal(15000)), np.full(6, -100.0)
trees = CorrelationTrees(rng.standard_normal((6, 3)), rng.standard_normal((15000, 3)))
wanted = np.tile(np.arange(15000), 6)
ThresholdTree(np.zeros(20)).query_many(np.full(6, -1.0))  # whatever is imported or made at first
CorrelationTrees(np.ones((6, 3)), np.ones((50, 3)))._bank.query_all(-100.0)
ended = 0
for call in (lambda: tree.query_many(thresholds)[1], lambda: trees._bank.query_all(-100.0)[1]):
    for after in range(8):
        child = os.fork()
        if child == 0:
            try:
                ctypes.PyDLL(None).fail_allocations(after, 2)
                found = call()
                _disarm()
                os._exit(0 if np.array_equal(found, wanted) else 7)
            except MemoryError:
                os._exit(0)
        ended += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(ended)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a library is put before that of GNU")
def test_two_failures_in_a_row_are_an_error_or_nothing(tmp_path):
    assert int(allocation_failures.run(SEVERAL, tmp_path)) == 16


class Conversion:
    """Something that becomes an array, and does something else before."""

    def __init__(self, array, does):
        self._array, self._does = array, does

    def __array__(self, dtype=None, copy=None):
        self._does()
        return np.array(self._array, dtype=dtype)


@pytest.mark.parametrize("axis", ["data", "weights"])
def test_a_conversion_that_changes_the_rows_is_too_late(axis):
    trees = CorrelationTrees(np.ones((5, 2)), np.ones((9, 2)), axis=axis)
    rows = np.array([1, 3])
    trees.update_weights(rows, Conversion([[2.0, 0.0], [4.0, 0.0]], lambda: rows.fill(1 << 40)))
    trees._check()
    assert trees.weights[:, 0].tolist() == [1, 2, 1, 4, 1]


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), MemoryError("no")])
@pytest.mark.parametrize("axis", ["data", "weights"])
def test_any_exception_of_a_conversion_changes_nothing(axis, error):
    def fail():
        raise error

    trees = CorrelationTrees(np.ones((5, 2)), np.ones((9, 2)), axis=axis)
    for rows, weights in (
        (Conversion([1, 3], fail), np.zeros((2, 2))),
        ([1, 3], Conversion(np.zeros((2, 2)), fail)),
    ):
        with pytest.raises(type(error)):
            trees.update_weights(rows, weights)
    assert np.all(trees.weights == 1)
    assert np.all(trees.values == 2)
    trees._check()
