"""IntegerTree: 64-bit integers beside NumPy's own, at the ends of their range and where float64 has gaps."""

import copy
import math
import os
import pickle
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from sltrees import IntegerTree

L = IntegerTree.LARGEST
NS = 1_700_000_000_000_000_000
STRESS = os.environ.get("SLTREES_STRESS") == "1"
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


integers = st.builds(
    lambda around, by: around + by, st.sampled_from([0, 2**52, 2**53, NS, -NS, 2**62, L - 3, 3 - L]), st.integers(-3, 3)
)
limits = st.one_of(integers, st.sampled_from(THRESHOLDS), st.fractions(-2, 2), st.just(2**60 + Fraction(1, 3)))
batches = st.lists(integers, max_size=20)


class IntegerMachine(RuleBasedStateMachine):
    """A tree, and the array that it must agree with."""

    orientation = "max"

    @initialize(seed=st.integers(0, 999), n=st.integers(0, 150))
    def build(self, seed, n):
        self.values = drawn(np.random.default_rng(seed), n)
        self.tree = IntegerTree(self.values, orientation=self.orientation)

    def places(self, data, k):
        return [data.draw(st.integers(0, self.values.size - 1)) for _ in range(k if self.values.size else 0)]

    @rule(data=st.data(), new=batches, threshold=limits)
    def update_many(self, data, new, threshold):
        where = self.places(data, len(new))
        before = passes(self.values, threshold, self.orientation, False)
        entered, left = self.tree.update_many(where, new[: len(where)], crossing=threshold)
        for i, value in zip(where, new, strict=False):
            self.values[i] = value
        after = passes(self.values, threshold, self.orientation, False)
        assert entered.tolist() == np.flatnonzero(after & ~before).tolist()
        assert left.tolist() == np.flatnonzero(before & ~after).tolist()

    @rule(data=st.data(), new=batches, how=st.sampled_from(["one", "list", "slice", "mask"]))
    def assign(self, data, new, how):
        where = self.places(data, len(new))
        if not where:
            return
        if how == "one":
            where[0] -= self.values.size * data.draw(st.integers(0, 1))
            self.tree[where[0]] = self.values[where[0]] = new[0]
            assert self.tree[where[0]] == new[0]
            return
        if how == "slice":
            where, new = slice(where[0], where[0] + len(new), 2), new[0]
        elif how == "mask":
            where, new = np.isin(np.arange(self.values.size), where), new[0]
        self.tree[where] = new
        for i, value in zip(where, new, strict=True) if how == "list" else [(where, new)]:
            self.values[i] = value

    @rule(new=batches)
    def extend(self, new):
        self.tree.extend(new)
        for value in new[:1]:
            self.tree.append(value)
        self.values = np.concatenate([self.values, np.array(new + new[:1], dtype=np.int64)])

    @rule(data=st.data(), new=batches, wrong=st.sampled_from([L + 1, -(2**63), 2**64, 0.5]))
    def refused(self, data, new, wrong):
        with pytest.raises((ValueError, TypeError), match="values must be"):
            self.tree.extend([*new, wrong])
        if self.values.size:
            with pytest.raises((ValueError, TypeError), match="values must be"):
                self.tree.update_many(self.places(data, len(new) + 1), [*new, wrong])

    @rule(data=st.data(), threshold=limits, inclusive=st.booleans())
    def part(self, data, threshold, inclusive):
        start, stop = sorted(data.draw(st.integers(0, self.values.size)) for _ in range(2))
        passing = passes(self.values[start:stop], threshold, self.orientation, inclusive)
        expected = start + np.flatnonzero(passing)
        assert np.array_equal(self.tree.query(threshold, start, stop, inclusive=inclusive), expected)
        assert self.tree.count(threshold, start, stop, inclusive=inclusive) == expected.size
        assert self.tree.first(threshold, start, stop, inclusive=inclusive) == (expected[0] if expected.size else -1)
        assert self.tree.last(threshold, start, stop, inclusive=inclusive) == (expected[-1] if expected.size else -1)
        if stop > start:
            best = max if self.orientation == "max" else min
            assert self.tree.max(start, stop) == best(self.values[start:stop].tolist())

    @rule(threshold=limits)
    def all(self, threshold):
        assert_agrees(self.tree, self.values, [threshold, 0.5])

    @rule(how=st.sampled_from(["copy", "pickle"]))
    def duplicate(self, how):
        old = self.tree
        self.tree = old.copy() if how == "copy" else pickle.loads(pickle.dumps(old))
        assert self.tree == old
        old.update_many(np.arange(len(old)), 7)  # a duplicate that shared memory with it would show

    @invariant()
    def agrees(self):
        if hasattr(self, "tree"):
            self.tree._check()
            assert np.array_equal(self.tree.values, self.values)


@orientations
def test_random_actions_agree_with_an_array(orientation):
    run_state_machine_as_test(
        type("Machine", (IntegerMachine,), {"orientation": orientation}),
        settings=settings(
            max_examples=500 if STRESS else 12, stateful_step_count=30, suppress_health_check=list(HealthCheck)
        ),
    )


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
