"""IntegerTree: 64-bit integers beside NumPy's own, at the ends of their range and where float64 has gaps."""

import copy
import math
import pickle
import re
from fractions import Fraction

import numpy as np
import pytest

from sltrees import IntegerTree

L = IntegerTree.LARGEST
NS = 1_700_000_000_000_000_000
orientations = pytest.mark.parametrize("orientation", ["max", "min"])


def drawn(rng, n):
    """Neighbours around where float64 has gaps, zero, and the ends."""
    around = rng.choice([0, 2**52, 2**53, NS, -NS, 2**62, -(2**53), L - 3, 3 - L], n)
    return around + rng.integers(-3, 4, n)


def passes(values, t, orientation, inclusive):
    """Compared by Python, which is exact."""
    if orientation == "max":
        return np.array([v >= t if inclusive else v > t for v in values.tolist()], dtype=bool)
    return np.array([v <= t if inclusive else v < t for v in values.tolist()], dtype=bool)


def assert_agrees(tree, values, thresholds):
    tree._check()
    assert tree.tolist() == values.tolist()
    for t in thresholds:
        for inclusive in (False, True):
            expected = np.flatnonzero(passes(values, t, tree.orientation, inclusive))
            found, numbers = tree.query(t, inclusive=inclusive, return_values=True)
            assert np.array_equal(found, expected), t
            assert np.array_equal(numbers, values[expected])
            assert numbers.dtype == np.int64
            assert tree.count(t, inclusive=inclusive) == expected.size
            assert tree.first(t, inclusive=inclusive) == (expected[0] if expected.size else -1)
            assert tree.last(t, inclusive=inclusive) == (expected[-1] if expected.size else -1)
    sign = 1 if tree.orientation == "max" else -1
    assert np.array_equal(tree.topk(7), np.argsort(-sign * values, kind="stable")[:7])
    if values.size:
        assert tree.max() == sign * (sign * values).max()
        assert tree.argmax() == np.argmax(sign * values)


THRESHOLDS = [0, 1, -1, 2**53, 2**53 + 1, NS + 1, -NS, L, -L, L - 2, 2**63, -(2**70)]
THRESHOLDS += [0.5, -0.5, 2.0**53, float(NS), 1e300, -1e300, math.inf, -math.inf, np.float32(0.25), np.uint64(2**63)]


@orientations
@pytest.mark.parametrize("n", [0, 1, 8, 9, 70, 600])
def test_answers_are_those_of_exact_integers(seed, orientation, n):
    rng = np.random.default_rng(seed)
    values = drawn(rng, n)
    tree = IntegerTree(values, orientation=orientation)
    assert_agrees(tree, values, [*THRESHOLDS, *values[:5].tolist()])
    assert tree.query(0, n // 3, n).tolist() == [i for i in tree.query(0).tolist() if i >= n // 3]


@orientations
def test_random_writes_agree_with_an_array(seed, orientation):
    rng = np.random.default_rng(seed)
    values = drawn(rng, 100)
    tree = IntegerTree(values, orientation=orientation)
    for step in range(60):
        k, t = int(rng.integers(0, 12)), int(drawn(rng, 1)[0])
        where, new = rng.integers(0, values.size, k), drawn(rng, k)
        before = passes(values, t, orientation, False)
        if step % 5 == 0:
            entered, left = tree.update_many(where, new, crossing=t)
            values[where] = new
            after = passes(values, t, orientation, False)
            assert entered.tolist() == np.flatnonzero(after & ~before).tolist()
            assert left.tolist() == np.flatnonzero(before & ~after).tolist()
        elif step % 5 == 1:
            tree[where] = new
            values[where] = new
        elif step % 5 == 2:
            i = int(rng.integers(-values.size, values.size))
            tree[i] = values[i] = t
            assert tree[i] == t
        elif step % 5 == 3:
            tree[3 : 3 + k] = t
            values[3 : 3 + k] = t
        else:
            tree.extend(new)
            tree.append(t)
            values = np.concatenate([values, new, [t]])
        assert_agrees(tree, values, [t, 0.5])


def test_as_a_sequence():
    tree = IntegerTree([5, 2**60, -1])
    assert (len(tree), list(tree), tree[1], tree[-1]) == (3, [5, 2**60, -1], 2**60, -1)
    assert tree[1:].tolist() == [2**60, -1]
    assert tree[[0, 0]].tolist() == [5, 5]
    assert tree[tree.values > 0].tolist() == [5, 2**60]
    assert np.asarray(tree).dtype == tree.dtype == np.int64
    assert repr(tree) == f"<IntegerTree of 3 int64 values, max {2**60}>"
    assert tree.nbytes >= 24
    for other in (tree.copy(), copy.copy(tree), copy.deepcopy(tree), pickle.loads(pickle.dumps(tree))):
        assert other == tree
        other[0] = 6
        assert other != tree
    assert (tree == [5]) is False


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: IntegerTree([0.5]), TypeError, "values must be integers, got dtype float64"),
        (lambda: IntegerTree([True]), TypeError, "values must be integers, got dtype bool"),
        (lambda: IntegerTree([[1]]), ValueError, "values must have 1 dimension, got shape (1, 1)"),
        (lambda: IntegerTree([L + 1]), ValueError, f"values must be from {-L} to {L}, got {L + 1}"),
        (lambda: IntegerTree([2**64]), ValueError, f"values must be from {-L} to {L}, got {2**64}"),
        (lambda: IntegerTree([1, -(2**70)]), ValueError, f"got {-(2**70)}"),
        (lambda: IntegerTree([2**64, "a"]), TypeError, "values must be integers"),
        (lambda: IntegerTree(np.array([1], object)), TypeError, "values must be integers, got dtype object"),
        (lambda: IntegerTree([1]).extend([2**64]), ValueError, f"got {2**64}"),
        (lambda: IntegerTree([-(2**63)]), ValueError, f"got {-(2**63)}"),
        (lambda: IntegerTree(np.array([2**64 - 1], np.uint64)), ValueError, f"got {2**64 - 1}"),
        (lambda: IntegerTree([1], orientation="up"), ValueError, "orientation must be 'max' or 'min'"),
        (lambda: IntegerTree([1]).query(math.nan), ValueError, "threshold must not be NaN"),
        (lambda: IntegerTree([1]).query("a"), TypeError, "threshold must be a real number, got 'a'"),
        (lambda: IntegerTree([1]).append(1.5), TypeError, "value must be an integer, got 1.5"),
        (lambda: IntegerTree([1]).update_many([1], [1]), IndexError, "indices must be in [0, 1), got 1"),
        (lambda: IntegerTree([1]).update_many([0], 2**80), ValueError, f"got {2**80}"),
        (lambda: IntegerTree([]).max(), ValueError, "max of an empty tree"),
    ],
)
def test_what_is_refused(act, error, message):
    with pytest.raises(error, match=re.escape(message)):
        act()


def test_thresholds_that_are_fractions():
    tree = IntegerTree([2**60, 2**60 + 1])
    assert tree.query(2**60 + Fraction(1, 2)).tolist() == [1]
    assert tree.query(2**60 + Fraction(1, 2), inclusive=True).tolist() == [1]
    assert tree.query(2**60 - Fraction(1, 2), inclusive=True).tolist() == [0, 1]
    for orientation, below in (("max", []), ("min", [0, 1])):
        tree = IntegerTree([2**60, 2**60 + 1], orientation=orientation)
        for beyond in (Fraction(10**400, 3), 10**400):  # float64 has no such number
            assert tree.query(beyond).tolist() == below
            assert tree.query(-beyond, inclusive=True).tolist() == [0, 1][len(below) :]
