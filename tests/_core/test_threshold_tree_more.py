"""Inclusive thresholds, maxima of ranges, masks, and what a tree has in common with an array."""

import numpy as np
import pytest

from sltrees import ThresholdTree
from sltrees._core import _simd

INF = np.inf

of_each_kind = pytest.mark.parametrize(
    ("dtype", "orientation"), [(d, o) for d in (np.float32, np.float64) for o in ("max", "min")]
)


def passing(values, t, orientation):
    exact = values.astype(np.float64)
    return exact >= t if orientation == "max" else exact <= t


@of_each_kind
@pytest.mark.parametrize("n", [0, 1, 9, 300, 5000])
def test_inclusive_thresholds_pass_what_is_equal(dtype, orientation, n, seed):
    rng = np.random.default_rng(seed)
    values = rng.choice([-INF, -1.0, -0.0, 0.0, 0.1, 1.0, 5e-324, 1e30, INF], n).astype(dtype)
    tree = ThresholdTree(values, orientation=orientation)
    start, stop = n // 3, n - n // 4
    for t in (-INF, -1.0, 0.0, -0.0, 0.1, np.float32(0.1), 1.0, 5e-324, -5e-324, 1e30, 1.7976931348623157e308, INF):
        expected = np.flatnonzero(passing(values, float(t), orientation))
        assert np.array_equal(tree.query(t, inclusive=True), expected)
        assert tree.count(t, inclusive=True) == expected.size
        assert tree.any(t, inclusive=True) == bool(expected.size)
        inside = expected[(expected >= start) & (expected < stop)]
        found, numbers = tree.query(t, start, stop, inclusive=True, return_values=True)
        assert np.array_equal(found, inside)
        assert np.array_equal(numbers, values[inside])
        assert tree.count(t, start, stop, inclusive=True) == inside.size
        assert tree.first(t, start, stop, inclusive=True) == (inside[0] if inside.size else -1)
        out = np.empty(n, dtype=np.int64)
        assert np.array_equal(tree.query(t, out=out, inclusive=True), expected)
        if expected.size:
            with pytest.raises(ValueError, match="out must have room for"):
                tree.query(t, out=out[: expected.size - 1], inclusive=True)


@of_each_kind
def test_pop_above_takes_what_is_due_now(dtype, orientation):
    sign = 1 if orientation == "max" else -1
    values = sign * np.array([3.0, 1.0, 2.0, 2.5, -INF], dtype=dtype)
    tree = ThresholdTree(values, orientation=orientation)
    indices, popped = tree.pop_above(sign * 2.0, inclusive=True)
    assert indices.tolist() == [0, 2, 3]
    assert popped.tolist() == values[[0, 2, 3]].tolist()
    assert tree.pop_above(-sign * INF, inclusive=True)[0].tolist() == [1]
    assert tree.values.tolist() == [-sign * INF] * 5
    with pytest.raises(ValueError, match="replacement must not pass"):
        tree.pop_above(sign * 2.0, replacement=sign * 2.0, inclusive=True)
    tree._check()


def test_nan_of_somebody_else_passes_no_inclusive_threshold():
    values = np.array([1.0, -INF, 3.0])
    tree = ThresholdTree(values, copy=False)
    values[0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        tree.refresh()
    assert tree.query(-INF, inclusive=True).tolist() == [1, 2]
    assert (tree.count(-INF, inclusive=True), tree.first(-INF, inclusive=True)) == (2, 1)
    with pytest.raises(ValueError, match="share memory"):
        tree.query(-INF, inclusive=True, out=values.view(np.int64))


@of_each_kind
@pytest.mark.parametrize("level", _simd.supported_levels())
def test_maxima_of_ranges(dtype, orientation, level, seed):
    rng = np.random.default_rng(seed)
    before = _simd.active_level_name()
    _simd.set_active_level(level)
    try:
        for n in (1, 7, 8, 16, 17, 64, 255, 257, 4097):
            values = rng.standard_normal(n).astype(dtype)
            tree = ThresholdTree(values, orientation=orientation)
            best = np.max if orientation == "max" else np.min
            for _ in range(60):
                start, stop = np.sort(rng.integers(0, n + 1, 2)).tolist()
                if start < stop:
                    assert tree.max(start, stop) == best(values[start:stop])
                else:
                    with pytest.raises(ValueError, match=f"max of no values, got start={start}"):
                        tree.max(start, stop)
            assert tree.max(0, n) == tree.max(0) == tree.max() == tree.max(np.int64(0), None) == best(values)
    finally:
        _simd.set_active_level(before)
    with pytest.raises(ValueError, match="0 <= start <= stop <= 4097"):
        tree.max(5, 4098)


@of_each_kind
def test_comparisons_are_masks_and_exact(dtype, orientation):
    values = np.array([0.1, 0.0, 1.0, -INF], dtype=dtype)
    tree = ThresholdTree(values, orientation=orientation)
    exact = values.astype(np.float64)
    for t in (0.1, np.float32(0.1), 0, -INF):
        assert np.array_equal(tree > t, exact > t)
        assert np.array_equal(tree >= t, exact >= t)
        assert np.array_equal(tree < t, exact < t)
        assert np.array_equal(tree <= t, exact <= t)
    tree[tree > 0.5] = 0.0
    assert tree.tolist() == [*exact[:2].tolist(), 0.0, -INF]
    with pytest.raises(TypeError, match="threshold must be a real number"):
        tree > "a"  # noqa: B015
    assert tree == ThresholdTree(tree.values, orientation=orientation)
    assert tree != ThresholdTree(values, orientation=orientation)


def test_what_it_has_in_common_with_an_array():
    tree = ThresholdTree(np.array([1.5, 2.5], dtype=np.float16))
    assert (tree.shape, tree.size, tree.tolist(), tree.dtype) == ((2,), 2, [1.5, 2.5], np.float64)
    tree.append(np.float16(0.5))
    assert (tree.shape, tree.size) == ((3,), 3)


def test_adding_reports_what_crosses(seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(-3, 4, 200).astype(np.float32)
    tree = ThresholdTree(values)
    for _ in range(20):
        where, deltas = rng.integers(0, 200, 30), rng.integers(-2, 3, 30)
        before = tree.values > 0.5
        entered, left = tree.add_many(where, deltas, crossing=0.5)
        after = tree.values > 0.5
        assert np.array_equal(entered, np.flatnonzero(after & ~before))
        assert np.array_equal(left, np.flatnonzero(before & ~after))
        np.add.at(values, where, deltas.astype(np.float32))
        assert np.array_equal(tree.values, values)
    with pytest.raises(ValueError, match="threshold must not be NaN"):
        tree.add_many([0], 1.0, crossing=np.nan)
    assert np.array_equal(tree.values, values)
