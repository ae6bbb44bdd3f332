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


CHANGES = {
    "set": lambda t: t.__setitem__(0, 9.0),
    "set-slice": lambda t: t.__setitem__(slice(0, 2), 9.0),
    "update": lambda t: t.update(0, 9.0),
    "add": lambda t: t.add(0, 9.0),
    "update_many": lambda t: t.update_many([0], 9.0),
    "crossing": lambda t: t.update_many([0], 9.0, crossing=1.0),
    "add_many": lambda t: t.add_many([0], 9.0),
    "pop_above": lambda t: t.pop_above(0.0),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [8, 3000])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_tree_with_nan_is_not_changed_before_it_is_refreshed(change, n, dtype, seed):
    values = np.random.default_rng(seed).standard_normal(n).astype(dtype)
    tree = ThresholdTree(values, copy=False)
    values[[2, 7]] = np.nan
    before = values.copy()
    for start, stop in ((2, 3), (7, 8)):
        with pytest.raises(ValueError, match="NaN"):
            tree.refresh(start, stop)
    if n > 16:
        tree.refresh(16, n)  # what is not stale
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"the array that the tree borrows holds NaN in \[2, 8\): write numbers"):
            change(tree)
    assert np.array_equal(values, before, equal_nan=True)
    values[[2, 7]] = 5.0
    tree.refresh(2, 8)
    change(tree)
    tree._check()


@pytest.mark.parametrize("orientation", ["max", "min"])
@pytest.mark.parametrize("n", [8, 9, 100, 3000])
def test_searches_of_a_tree_with_nan_are_those_of_its_query(n, orientation, seed):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(n)
    tree = ThresholdTree(values, orientation=orientation, copy=False)
    values[rng.random(n) < 0.5] = np.nan
    values[tree.argmax()] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        tree.refresh()
    for t in rng.standard_normal(20):
        found = tree.query(t)
        assert found.size == tree.count(t)
        assert tree.any(t) == (found.size > 0)
        assert tree.first(t) == (found[0] if found.size else -1)
        later = found[found >= n // 3]
        assert tree.first(t, n // 3) == (later[0] if later.size else -1)


def test_refused_refresh_names_a_place_in_its_range():
    values = np.zeros(100)
    tree = ThresholdTree(values, copy=False)
    values[[3, 50]] = np.nan
    with pytest.raises(ValueError, match=r"index \(50,\)"):
        tree.refresh(49, 52)
