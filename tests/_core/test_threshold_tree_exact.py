"""Comparisons are those of real numbers, whatever the dtypes; what float64 does not hold is refused."""

import re
from fractions import Fraction

import numpy as np
import pytest

from sltrees import CorrelationTrees, ThresholdTree
from sltrees._core import TreeBank

LARGEST = float(np.finfo(np.float32).max)
TINY = 2.0**-149
THRESHOLDS = sorted(
    {
        sign * t
        for sign in (1, -1)
        for t in (0.0, 1e-300, 1e-46, TINY, 1.5 * TINY, 0.1, float(np.float32(0.1)), 1.0, LARGEST, 1e39, np.inf)
    }
    | {LARGEST * (1 + 2.0**-25), LARGEST * (1 + 2.0**-26)}
)
VALUES = np.float32([-np.inf, -LARGEST, -1, -0.1, -TINY, -0.0, 0, TINY, 0.1, 1, LARGEST, np.inf])


@pytest.mark.parametrize("orientation", ["max", "min"])
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_float64_thresholds_of_float32_trees(threshold, orientation):
    tree = ThresholdTree(np.tile(VALUES, 30), orientation=orientation)
    wide = np.tile(VALUES, 30).astype(np.float64)
    expected = np.flatnonzero(wide > threshold if orientation == "max" else wide < threshold)
    assert np.array_equal(tree.query(threshold), expected)
    assert np.array_equal(tree.query(np.float64(threshold)), expected)
    assert np.array_equal(tree.query_many([threshold])[1], expected)
    assert tree.count(threshold) == expected.size
    assert tree.any(threshold) == (expected.size > 0)
    assert tree.first(threshold) == (expected[0] if expected.size else -1)
    entered, left = tree.copy().update_many(np.arange(12), tree.values[:12], crossing=threshold)
    assert entered.size == left.size == 0
    worst = -np.inf if orientation == "max" else np.inf
    if threshold != -worst:
        entered, left = ThresholdTree(np.full(12, worst, np.float32), orientation=orientation).update_many(
            np.arange(12), VALUES, crossing=threshold
        )
        assert np.array_equal(entered, expected[expected < 12])
        popped, _ = tree.copy().pop_above(threshold)
        assert np.array_equal(popped, expected)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_float64_thresholds_of_float32_banks(threshold):
    bank = TreeBank(2, len(VALUES), np.float32)
    bank.write_rows(np.arange(2), np.stack([VALUES, VALUES[::-1]]))
    expected = np.flatnonzero(VALUES.astype(np.float64) > threshold)
    assert np.array_equal(bank.query_row(0, threshold)[0], expected)
    assert np.array_equal(bank.query_all(threshold)[0], [0, expected.size, 2 * expected.size])


def test_float64_thresholds_of_float32_products():
    trees = CorrelationTrees(np.float32([[0.1]]), np.float32([[1], [2]]))
    assert trees.query(0, 0.1).tolist() == [0, 1]
    assert trees.query_all(np.float32(0.1)).nnz == 1


LARGE = [2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**64 - 1, 10**30 + 1, 10**400]


@pytest.mark.parametrize("wrong", LARGE)
@pytest.mark.parametrize(
    "act",
    [
        lambda t, x: t.query(x),
        lambda t, x: t.count(x),
        lambda t, x: t.any(x),
        lambda t, x: t.first(x),
        lambda t, x: t.query_many([x]),
        lambda t, x: t.query_many([x, 0.5]),
        lambda t, x: t.pop_above(x),
        lambda t, x: t.pop_above(1e300, replacement=x),
        lambda t, x: t.update_many([0], 1.0, crossing=x),
        lambda t, x: t.__setitem__(0, x),
        lambda t, x: t.__setitem__(slice(0, 1), x),
        lambda t, x: t.update(0, x),
        lambda t, x: t.update_many([0], [x]),
        lambda t, x: t.update_many([0], x),
        lambda t, x: t.add(0, x),
        lambda t, x: t.add_many([0], [x]),
        lambda t, x: t.append(x),
        lambda t, x: t.extend([x]),
        lambda t, x: ThresholdTree([x]),
        lambda t, x: CorrelationTrees([[1.0]], [[1.0]]).query(0, x),
        lambda t, x: CorrelationTrees([[1.0]], [[1.0]]).query_all(x),
    ],
)
def test_integers_that_float64_does_not_hold_are_refused(act, wrong):
    tree = ThresholdTree([1.0, 2.0])
    with pytest.raises(ValueError, match=r"subtract an offset from values and thresholds$"):
        act(tree, wrong)
    assert tree == ThresholdTree([1.0, 2.0])


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, ">i8"])
def test_arrays_of_integers_that_float64_does_not_hold_are_refused(dtype):
    stamps = np.arange(0, 300, 50, dtype=dtype) + np.array(1_700_000_000_000_000_000, dtype=dtype)
    with pytest.raises(ValueError, match=re.escape("got 1700000000000000050; subtract an offset")):
        ThresholdTree(stamps, orientation="min")
    held = stamps[:1] * np.array(2, dtype=dtype)
    assert ThresholdTree(held).values.tolist() == held.tolist()


def test_the_least_and_the_largest_integers():
    assert ThresholdTree(np.array([-(2**63)])).query_many([-(2**62)])[1].size == 0
    assert ThresholdTree([2**53, -(2**53)]).query(2**53 - 1).tolist() == [0]
    assert ThresholdTree(np.array([2**63], np.uint64)).query(2**62).tolist() == [0]
    with pytest.raises(ValueError, match="got 18446744073709551615"):
        ThresholdTree(np.array([2**64 - 1], np.uint64))


@pytest.mark.parametrize("wrong", [Fraction(1, 3), np.longdouble(1) / 3])
def test_other_numbers_that_float64_does_not_hold_are_no_thresholds(wrong):
    if float(wrong) == wrong:
        return  # where long double is double
    with pytest.raises(ValueError, match="thresholds must be numbers that float64 holds exactly"):
        ThresholdTree([1.0]).query(wrong)


def test_masked_entries_are_refused():
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    for act in (
        lambda t: ThresholdTree(masked),
        lambda t: t.extend(masked),
        lambda t: t.update_many([0, 1], masked),
        lambda t: t.update_many(np.ma.array([0, 1], mask=[True, False]), 9.0),
        lambda t: t.__setitem__(slice(0, 2), masked),
    ):
        tree = ThresholdTree([1.0, 2.0])
        with pytest.raises(ValueError, match="must not be masked, got 1 masked entries"):
            act(tree)
        assert tree == ThresholdTree([1.0, 2.0])
