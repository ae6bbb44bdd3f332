"""A borrowed array that somebody wrote to behind the tree's back: answers may be wrong then, but never out of range."""

import numpy as np
import pytest

from sltrees import ThresholdTree


def upper_levels(tree):
    """Copies of all levels above the leaves."""
    width, levels, size = 64 // tree.dtype.itemsize, [], len(tree)
    while size > width:
        size = -(-size // width)
        levels.append(tree._level(len(levels) + 1).copy())
    return levels


@pytest.mark.parametrize("orientation", ["max", "min"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 15, 17, 257, 5000])
def test_answers_of_a_stale_tree_stay_in_range(n, dtype, orientation, seed):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        values = rng.standard_normal(n).astype(dtype)
        tree = ThresholdTree(values, orientation=orientation, copy=False)
        values[:] = rng.choice([-9.0, 0.0, 9.0]) + rng.standard_normal(n)
        for threshold in (-9.0, 0.0, 9.0):
            found = tree.query(threshold)
            assert np.all((found >= 0) & (found < n))
            assert np.all(np.diff(found) > 0)
            assert 0 <= tree.count(threshold) <= n
            assert -1 <= tree.first(threshold) < n
        assert 0 <= tree.argmax() < n
        assert set(tree.topk(3)) <= set(range(n))
        tree.refresh()
        tree._check()
        assert tree.argmax() == (np.argmax(values) if orientation == "max" else np.argmin(values))


@pytest.mark.parametrize("orientation", ["max", "min"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 8, 16, 17, 100, 3000])
def test_refused_refresh_changes_nothing_and_nan_is_never_reported(n, dtype, orientation, seed):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(n).astype(dtype)
    tree = ThresholdTree(values, orientation=orientation, copy=False)
    best, levels, sign = tree.max(), upper_levels(tree), 1 if orientation == "max" else -1
    where = rng.choice(n, size=max(1, n // 10), replace=False)
    values[where] = np.nan
    with pytest.raises(ValueError, match=rf"values must not be NaN, got NaN at index \({where.min()},\)"):
        tree.refresh()
    assert all(np.array_equal(a, b) for a, b in zip(levels, upper_levels(tree), strict=True))
    numbers = np.where(np.isnan(values), -np.inf, sign * values)
    assert tree.max() == (best if levels else sign * numbers.max())
    passing = np.flatnonzero(numbers > -0.5)
    assert np.array_equal(tree.query(-0.5 * sign), passing)
    assert tree.count(-0.5 * sign) == passing.size
    assert tree.query(-np.inf * sign).size == tree.count(-np.inf * sign) == n - where.size
    assert n == 1 or not np.isnan(values[tree.argmax()])
    if not levels:
        assert np.array_equal(tree.topk(3), np.argsort(-numbers, kind="stable")[:3])
    assert np.all(np.diff(numbers[tree.topk(3)]) <= 0)


@pytest.mark.parametrize("orientation", ["max", "min"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [8, 16, 100, 3000])
@pytest.mark.parametrize("batch", [False, True])
def test_numbers_written_over_nan_make_the_tree_right(n, dtype, orientation, batch, seed):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(n).astype(dtype)
    tree = ThresholdTree(values, orientation=orientation, copy=False)
    where = np.unique([tree.argmax(), *rng.choice(n, size=max(1, n // 10))])
    values[where] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        tree.refresh()
    other = rng.integers(n)
    tree[other] = 9.0  # beside NaN: no maximum becomes NaN
    assert not np.isnan(tree.max())
    if batch:
        tree.update_many(np.arange(0, n, 2), np.zeros(len(range(0, n, 2))))
        assert not np.isnan(tree.max())
        tree.update_many(where, 0.0)
    else:
        for i in where:
            tree[int(i)] = 0.0
    tree._check()


def test_refused_refresh_names_a_place_in_its_range():
    values = np.zeros(100)
    tree = ThresholdTree(values, copy=False)
    values[[3, 50]] = np.nan
    with pytest.raises(ValueError, match=r"index \(50,\)"):
        tree.refresh(49, 52)
