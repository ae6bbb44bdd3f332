"""One way of rounding: a product has the same bits however it came into the trees."""

import copy
import itertools
import pickle

import numpy as np
import pytest

from sltrees import CorrelationTrees
from sltrees._core import _simd

pytestmark = [
    pytest.mark.parametrize("axis", ["data", "weights"]),
    pytest.mark.parametrize("dtype", [np.float32, np.float64]),
]


@pytest.fixture(params=_simd.supported_levels())
def level(request):
    before = _simd.active_level_name()
    _simd.set_active_level(request.param)
    yield request.param
    _simd.set_active_level(before)


def make(seed, axis, dtype, m=40, n=300, d=64):
    rng = np.random.default_rng(seed)
    weights, data = (rng.standard_normal((count, d)).astype(dtype) for count in (m, n))
    return CorrelationTrees(weights, data, axis=axis), rng


def same_bits(a, b):
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("d", [1, 3, 64, 500])
def test_a_weight_updated_with_its_own_numbers_changes_nothing(seed, level, axis, dtype, d):
    trees, _ = make(seed, axis, dtype, d=d)
    before = trees.values.copy()
    for r in range(40):
        trees.update_weight(r, trees.weights[r])
        same_bits(trees.values, before)
    trees.update_weights(np.arange(40), trees.weights)
    same_bits(trees.values, before)
    trees._check()


def test_any_partition_of_updates_gives_the_same_bits(seed, level, axis, dtype):
    trees, rng = make(seed, axis, dtype)
    rows, new = rng.permutation(40), rng.standard_normal((40, 64)).astype(dtype)
    weights = np.empty_like(new)
    weights[rows] = new
    expected = CorrelationTrees(weights, trees.data, axis=axis).values
    for _ in range(10):
        other = trees.copy()
        cuts = [0, *np.unique(rng.integers(1, 40, rng.integers(0, 12))).tolist(), 40]
        for start, stop in itertools.pairwise(cuts):
            other.update_weights(rows[start:stop], new[start:stop])
        same_bits(other.values, expected)
        other._check()


def test_fewer_data_or_weights_give_the_same_bits(seed, axis, dtype):
    trees, rng = make(seed, axis, dtype)
    some, others = np.flatnonzero(rng.random(40) < 0.3), np.flatnonzero(rng.random(300) < 0.3)
    fewer = CorrelationTrees(trees.weights[some], trees.data[others], axis=axis)
    rows, columns = (some, others) if axis == "data" else (others, some)
    same_bits(fewer.values.copy(), trees.values[np.ix_(rows, columns)])


def test_axes_have_the_same_bits(seed, level, axis, dtype):
    trees, _ = make(seed, axis, dtype)
    other = CorrelationTrees(trees.weights, trees.data, axis="weights" if axis == "data" else "data")
    same_bits(other.values.T.copy(), trees.values.copy())


@pytest.mark.parametrize(
    "duplicate",
    [CorrelationTrees.copy, copy.copy, copy.deepcopy, lambda trees: pickle.loads(pickle.dumps(trees))],
    ids=["copy", "copy.copy", "copy.deepcopy", "pickle"],
)
def test_duplicates_have_the_same_bits_and_answers(seed, level, axis, dtype, duplicate):
    trees, rng = make(seed, axis, dtype)
    trees.update_weight(3, rng.standard_normal(64))
    trees.update_weights([5, 6, 7], rng.standard_normal((3, 64)))
    other = duplicate(trees)
    same_bits(other.values, trees.values)
    same_bits(other.weights, trees.weights)
    same_bits(np.ascontiguousarray(other.data), np.ascontiguousarray(trees.data))
    for r in range(5):
        for threshold in trees.values[r, :20]:  # strictly above one of the values themselves
            assert np.array_equal(trees.query(r, threshold), other.query(r, threshold))
