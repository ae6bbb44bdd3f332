"""Uses every method of `ThresholdTree` and `SumTree`. Read by `mypy --strict`, and run: see test_typing.py."""

import copy
import pickle
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

from sltrees import SumTree, ThresholdTree


def queries(tree: ThresholdTree) -> None:
    assert_type(tree.query(1.0), npt.NDArray[np.int64])
    assert_type(tree.query(np.float32(1.0), 1, 3), npt.NDArray[np.int64])
    assert_type(tree.query(1, out=np.empty(4, dtype=np.int64)), npt.NDArray[np.int64])
    indices, values = tree.query(1.0, return_values=True)
    assert_type(indices, npt.NDArray[np.int64])
    assert_type(values, npt.NDArray[np.floating[Any]])
    indptr, indices = tree.query_many([1.0, 2.0])
    assert_type(indptr, npt.NDArray[np.int64])
    assert_type(tree.count(1.0), int)
    assert_type(tree.any(1.0), bool)
    assert_type(tree.first(1.0, 2), int)
    assert_type(tree.last(1.0, 2, inclusive=True), int)
    assert_type(tree.max(), float)
    assert_type(tree.argmax(), int)
    assert_type(tree.topk(2), npt.NDArray[np.int64])
    assert_type(tree.count(1.0, inclusive=True), int)
    assert_type(tree.max(1, 3), float)
    assert_type(tree > 1.0, npt.NDArray[np.bool_])
    assert_type(tree.shape, tuple[int])
    assert_type(tree.size, int)
    assert_type(tree.tolist(), list[float])


def updates(tree: ThresholdTree) -> None:
    tree.update(0, 3.0)
    tree.add(np.int64(0), 0.5)
    tree.update_many([0, 1], [1.0, 2.0])
    tree.update_many(np.array([0, 1]), 4.0)
    assert_type(tree.update(0, 3.0, crossing=5.0), tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]])
    assert_type(tree.add(0, 0.5, crossing=5.0), tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]])
    entered, left = tree.update_many([0], [9.0], crossing=5.0)
    assert_type(entered, npt.NDArray[np.int64])
    assert_type(left, npt.NDArray[np.int64])
    tree.add_many([0, 0], np.ones(2, dtype=np.float32))
    indices, values = tree.pop_above(8.0, replacement=0.0)
    assert_type(indices, npt.NDArray[np.int64])
    assert_type(values, npt.NDArray[np.floating[Any]])
    tree.refresh()
    tree.refresh(0, 2)


def growth(tree: ThresholdTree) -> None:
    tree.append(1.0)
    assert_type(tree.append(1.0, crossing=0.5), tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]])
    assert_type(tree.extend([1.0], crossing=0.5), tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]])
    tree.extend([2.0, 3.0])
    tree.extend(np.arange(3))
    tree.resize(6)


def as_a_sequence(tree: ThresholdTree) -> None:
    assert_type(len(tree), int)
    assert_type([value for value in tree], list[float])  # noqa: C416
    assert_type(tree[0], float)
    assert_type(tree[-1], float)
    assert_type(tree[1:3], npt.NDArray[np.floating[Any]])
    assert_type(tree[np.array([0, 2])], npt.NDArray[np.floating[Any]])
    tree[0] = 2.0
    tree[1:3] = 0.0
    tree[np.array([0, 2])] = [1.0, 2.0]
    tree[tree.values > 1.5] = 1.0
    assert_type(tree == tree.copy(), bool)
    assert_type(repr(tree), str)
    assert_type(tree.values, npt.NDArray[np.floating[Any]])
    assert_type(tree.nbytes, int)
    assert tree.dtype == np.float64
    assert tree.orientation == "max"
    assert not tree.borrowed


def sums() -> None:
    tree = SumTree([1.0, 0.0, 2.0])
    assert_type(tree.total, float)
    assert_type(tree.min_positive, float)
    assert_type(tree.prefix(2), float)
    assert_type(tree.prefix([0, 2]), npt.NDArray[np.float64])
    assert_type(tree.find(0.5), int)
    assert_type(tree.find([0.5, 1.5]), npt.NDArray[np.int64])
    assert_type(tree.sample(3, np.random.default_rng(0), stratified=True), npt.NDArray[np.int64])
    tree.update(0, 3.0)
    tree.update_many([0, 1], np.ones(2, dtype=np.float32))
    tree[1:] = 2.0
    assert_type(tree[0], float)
    assert_type(tree[1:], npt.NDArray[np.float64])
    assert_type(tree.values, npt.NDArray[np.float64])
    assert_type(tree.copy(), SumTree)
    assert_type([value for value in tree], list[float])  # noqa: C416
    assert_type(len(tree) + tree.nbytes, int)


def copies(tree: ThresholdTree) -> None:
    assert_type(tree.copy(), ThresholdTree)
    assert_type(copy.copy(tree), ThresholdTree)
    assert_type(copy.deepcopy(tree), ThresholdTree)
    again: ThresholdTree = pickle.loads(pickle.dumps(tree, protocol=5))
    assert again == tree
    assert memoryview(tree).readonly


def main() -> None:
    for use in (queries, updates, growth, as_a_sequence, copies):
        use(ThresholdTree([1.0, 5.0, 2.0, 5.0]))
    sums()
    ThresholdTree(np.zeros(3, dtype=np.float32), orientation="min", copy=False)


if __name__ == "__main__":
    main()
