"""CorrelationTrees: weights and data that come and go, slack, counts, the largest products, equality."""

import pickle
import re
from fractions import Fraction

import numpy as np
import pytest

from sltrees import CorrelationTrees

axes = pytest.mark.parametrize("axis", ["data", "weights"])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def problem(seed, m=30, n=70, d=3, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return rng.integers(-3, 4, (m, d)).astype(dtype), rng.integers(-3, 4, (n, d)).astype(dtype)


@axes
@dtypes
@pytest.mark.parametrize("row", [0, 3])
def test_counts_and_the_largest_agree_with_numpy(seed, axis, dtype, row):
    trees = CorrelationTrees(*problem(seed, dtype=dtype), axis=axis)
    values = trees.values
    for t in (-np.inf, -3, 0, 2.5, values[row].max(), np.inf):
        assert trees.count(row, t) == np.count_nonzero(values[row] > t)
        assert np.array_equal(trees.count_all(t), np.count_nonzero(values > t, axis=1))
        assert trees.any(row, t) == bool((values[row] > t).any())
    for k in (0, 1, 2, 17, values.shape[1] - 1, values.shape[1], 1000):
        assert np.array_equal(trees.topk(row, k), np.argsort(-values[row], kind="stable")[:k])


@axes
@dtypes
def test_slack_lowers_thresholds(seed, axis, dtype):
    trees = CorrelationTrees(*problem(seed, dtype=dtype), axis=axis)
    values, slack = trees.values, np.zeros(len(trees))
    slack[[2, 5]] = 1.5, 3.0
    trees.set_slack([2, 5, 5], [1.5, 9.0, 3.0])
    trees._check()
    assert np.array_equal(trees.slack, slack)
    for t in (-2, 0.25, 4.0, values.max() + 1, 1000.0):
        passing = values > (t - slack)[:, None]
        found = trees.query_all(t)
        found.check_format(full_check=True)
        assert np.array_equal(
            np.nonzero(passing), (np.repeat(np.arange(len(trees)), np.diff(found.indptr)), found.indices)
        )
        assert np.array_equal(found.data, values[passing])
        assert np.array_equal(trees.count_all(t), passing.sum(axis=1))
        for row in (1, 2, 5):
            assert np.array_equal(trees.query(row, t), np.flatnonzero(passing[row]))
            assert trees.count(row, t) == passing[row].sum()
            assert trees.any(row, t) == passing[row].any()
    trees.set_slack(np.arange(len(trees)), 0.0)
    assert not trees.slack.any()


def test_with_slack_nothing_is_missed_as_a_weight_moves(seed):
    rng = np.random.default_rng(seed)
    weights, data = rng.standard_normal((20, 5)), rng.standard_normal((300, 5))
    trees, longest = CorrelationTrees(weights, data), np.linalg.norm(data, axis=1).max()
    moved = weights + 0.02 * rng.standard_normal(weights.shape)
    trees.set_slack(np.arange(20), np.linalg.norm(moved - weights, axis=1) * longest * (1 + 1e-12))
    reported = trees.query_all(1.0).toarray() != 0
    assert np.all(reported[moved @ data.T > 1.0])


@dtypes
def test_slack_is_subtracted_without_rounding(seed, dtype):
    trees = CorrelationTrees(np.ones((1, 1), dtype), np.ones((1, 1), dtype))
    for slack in (2.0**-60, 5e-324, 2.0**-54, 1.0, 1e300):  # 1 - slack would be rounded to 1
        trees.set_slack([0], slack)
        assert trees.query(0, 1.0).tolist() == [0]
        assert (trees.count(0, 1.0), trees.any(0, 1.0)) == (1, True)
        assert trees.query_all(1.0).nnz == trees.query_all([1.0]).nnz == trees.count_all(1.0)[0] == 1
        assert trees.query(0, np.inf).size == 0
        assert trees.query(0, -np.inf).tolist() == [0]
    rng = np.random.default_rng(seed)
    sizes = 2.0 ** rng.integers(-60, 3, 200)
    products = rng.integers(-8, 9, 200) * 2.0**-3
    trees = CorrelationTrees([[1.0]], products[:, None])
    for t, slack in zip(products + rng.integers(-1, 2, 200) * sizes, sizes, strict=True):
        trees.set_slack([0], slack)
        passing = [Fraction(p) > Fraction(t) - Fraction(slack) for p in products]
        assert np.array_equal(trees.query(0, t), np.flatnonzero(passing))
        assert trees.count_all(t)[0] == sum(passing)


def test_the_only_tree_with_slack_may_go():
    for axis, remove in (("data", "remove_weights"), ("weights", "remove_data")):
        trees = CorrelationTrees(*problem(0), axis=axis)
        trees.set_slack([3], 1.0)
        getattr(trees, remove)([3])
        trees._check()
        assert not trees.slack.any()


def test_a_weight_that_is_written_has_no_slack_any_more():
    weights, data = problem(0)
    trees = CorrelationTrees(weights, data)
    trees.set_slack([3, 4], 1.0)
    trees.update_weight(3, [1.0, 1.0, 1.0])
    assert trees.slack[[3, 4]].tolist() == [0, 1]
    other = CorrelationTrees(weights, data, axis="weights")
    other.set_slack([3], 1.0)
    other.update_weight(3, [1.0, 1.0, 1.0])  # of each tree one leaf
    assert other.slack[3] == 1


@axes
@dtypes
def test_what_is_added_and_removed_is_as_if_built_with_it(seed, axis, dtype):
    rng = np.random.default_rng(seed)
    weights, data = problem(seed, dtype=dtype)
    weights, data = weights + rng.standard_normal(weights.shape).astype(dtype), data.astype(dtype)
    trees = CorrelationTrees(weights, data, axis=axis)
    trees.set_slack([4], 2.0)
    for n in (1, 40, 0):
        new = rng.standard_normal((n, 3)).astype(dtype)
        trees.add_weights(new)
        trees.add_data(new[::-1])
        weights, data = np.concatenate([weights, new]), np.concatenate([data, new[::-1]])
        trees._check()
        assert trees.values.tobytes() == CorrelationTrees(weights, data, axis=axis).values.tobytes()
        gone = rng.permutation(len(weights) - 1)[:10]
        gone = gone[gone != 4]
        trees.remove_weights([*gone, *gone])
        if axis == "data":
            assert trees.slack[4 - np.count_nonzero(gone < 4)] == 2
        trees.add_weights(weights[gone])
        weights = np.concatenate([np.delete(weights, gone, axis=0), weights[gone]])
        trees.remove_data(5 + gone)
        data = np.delete(data, 5 + gone, axis=0)
        trees._check()
        fresh = CorrelationTrees(weights, data, axis=axis)
        assert trees.values.tobytes() == fresh.values.tobytes()
        assert np.array_equal(trees.query_all(0.5).indices.size, trees.count_all(0.5).sum())
        trees.set_slack(np.arange(len(trees)), 0.0)
        assert trees == fresh
        trees.set_slack([4], 2.0)
    trees.update_weights([0, 1], weights[:2] * 2)
    trees._check()


@axes
@pytest.mark.parametrize("which", ["weights", "data"])
def test_growth_keeps_within_max_memory(axis, which):
    weights, data = problem(0)
    sizes = [35, 70] if which == "weights" else [30, 75]
    room = CorrelationTrees.bytes_needed(*sizes, 3, np.float64, axis=axis)
    room += CorrelationTrees(weights, data, axis=axis).nbytes
    trees = CorrelationTrees(weights, data, axis=axis, max_memory=room)
    getattr(trees, f"add_{which}")(np.ones((5, 3)))
    before, held = trees.copy(), trees.nbytes
    needed = f"room for {sizes[0] + 100 * (which == 'weights')} weights and {sizes[1] + 100 * (which == 'data')} data"
    with pytest.raises(MemoryError, match=rf"{needed} points, .* needs [\d,]+ bytes, max_memory allows {room:,}"):
        getattr(trees, f"add_{which}")(np.ones((100, 3)))
    assert trees == before
    assert trees.nbytes == held
    trees._check()
    getattr(before, f"add_{which}")(np.ones((100, 3)))  # copies have no limit of their own


@axes
def test_updates_after_removal_are_of_what_is_left(axis):
    trees = CorrelationTrees(np.arange(6.0)[:, None], np.ones((4, 1)), axis=axis)
    trees.remove_weights([0, 2])
    trees.update_weight(1, [30.0])
    assert trees.weights.ravel().tolist() == [1, 30, 4, 5]
    trees._check()


@axes
def test_equality_and_duplicates(axis):
    weights, data = problem(1)
    trees = CorrelationTrees(weights, data, axis=axis)
    trees.set_slack([3], 0.5)
    for other in (trees.copy(), pickle.loads(pickle.dumps(trees))):
        assert other == trees
        other.set_slack([3], 0.25)
        assert other != trees
    assert trees != CorrelationTrees(weights, data, axis=axis)
    assert CorrelationTrees(weights, data) != CorrelationTrees(weights.astype(np.float32), data.astype(np.float32))
    assert CorrelationTrees(weights, data) != CorrelationTrees(weights, data, axis="weights")
    assert (trees == 3) is False
    with pytest.raises(TypeError, match="unhashable"):
        hash(trees)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda t: t.set_slack([0], -1.0), ValueError, "slack must be finite and at least 0, got -1.0"),
        (lambda t: t.set_slack([0], np.inf), ValueError, "slack must be finite and at least 0, got inf"),
        (lambda t: t.set_slack([0, 1], [1.0]), ValueError, "slack must be a number, or one for each of 2 rows"),
        (lambda t: t.set_slack([9], 1.0), IndexError, "rows must be in [0, 3), got 9"),
        (lambda t: t.set_slack([0], np.nan), ValueError, "slack must not be NaN"),
        (lambda t: t.add_weights([[1.0]]), ValueError, "weights must have 2 columns, got 1"),
        (lambda t: t.add_weights(np.empty((3, 0))), ValueError, "weights must have 2 columns, got shape (3, 0)"),
        (lambda t: t.add_data(np.empty((0, 7))), ValueError, "data must have 2 columns, got shape (0, 7)"),
        (lambda t: t.add_weights([[1.0, np.nan]]), ValueError, "weights must be finite"),
        (lambda t: t.add_data([[1e200, 1e200]]), ValueError, "products of weights and data must be finite"),
        (lambda t: t.remove_weights([0, 1, 2]), ValueError, "some weights must be left, got all 3 to remove"),
        (lambda t: t.remove_data([4]), IndexError, "indices must be in [0, 4), got 4"),
        (lambda t: t.remove_weights([0.5]), TypeError, "rows must be integers"),
        (lambda t: t.topk(0, -1), ValueError, "k must be at least 0, got -1"),
        (lambda t: t.topk(3, 1), IndexError, "row must be in [0, 3), got 3"),
        (lambda t: t.count(0, np.nan), ValueError, "threshold must not be NaN"),
    ],
)
def test_what_is_refused_changes_nothing(act, error, message):
    trees = CorrelationTrees(np.full((3, 2), 1e150), np.ones((4, 2)))
    before = trees.copy()
    with pytest.raises(error, match=re.escape(message)):
        act(trees)
    trees._check()
    assert trees == before


def test_growth_beyond_memory_is_refused(monkeypatch):
    trees = CorrelationTrees(*problem(0))
    monkeypatch.setattr("sltrees._memory.available_memory", lambda: 1e4)
    for act in (trees.add_weights, trees.add_data):
        with pytest.raises(MemoryError, match=r"the trees needs .* bytes"):
            act(np.ones((50, 3)))
    trees._check()
    assert trees.shape == (30, 70)


@axes
@dtypes
def test_each_tree_may_have_a_threshold_of_its_own(seed, axis, dtype):
    trees = CorrelationTrees(*problem(seed, dtype=dtype), axis=axis)
    values = trees.values
    thresholds = np.where(np.arange(len(trees)) % 3 == 0, np.inf, values[:, 5].astype(np.float64))
    for slack in (0.0, 1.5):
        trees.set_slack([1, 2], slack)
        passing = values > (thresholds - trees.slack)[:, None]
        found = trees.query_all(thresholds)
        rows = np.repeat(np.arange(len(trees)), np.diff(found.indptr))
        assert np.array_equal(np.nonzero(passing), (rows, found.indices))
        assert np.array_equal(trees.count_all(thresholds), passing.sum(axis=1))
    with pytest.raises(ValueError, match=f"threshold must be one for each of {len(trees)} trees, got 2"):
        trees.query_all([0.0, 1.0])
    with pytest.raises(ValueError, match="threshold must not be NaN"):
        trees.count_all(thresholds * np.nan)


def test_masked_entries_are_refused():
    masked = np.ma.masked_equal([[1.0, 2.0]], 2.0)
    with pytest.raises(ValueError, match="weights must not be masked, got 1 masked entries"):
        CorrelationTrees(masked, [[1.0, 2.0]])
    with pytest.raises(ValueError, match="data must not be masked, got 1 masked entries"):
        CorrelationTrees([[1.0, 2.0]], masked)
    CorrelationTrees(np.ma.masked_equal([[1.0, 2.0]], 7.0), [[1.0, 2.0]])._check()  # none of them is masked
