"""`Watch`: events with hysteresis, beside a model that remembers who is inside."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from sltrees import ThresholdMap, ThresholdTree, Watch

NUMBERS = st.sampled_from([-math.inf, -1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 2.0, math.inf])


def test_values_between_the_thresholds_are_where_they_were():
    tree = ThresholdTree([0.0, 0.6, 1.0])
    watch = Watch(tree, high=0.9, low=0.5)
    seen = []
    for reading in (0.95, 0.7, 0.95, 0.5, 0.7, 0.91, 0.2):
        tree[0] = reading
        entered, left = watch.events()
        seen.append((0 in entered, 0 in left))
    yes, no = True, False
    assert seen == [(yes, no), (no, no), (no, no), (no, yes), (no, no), (yes, no), (no, yes)]
    assert watch.inside.tolist() == [2]
    assert (watch.high, watch.low) == (0.9, 0.5)


def test_one_threshold_reports_what_crossing_does(seed):
    rng = np.random.default_rng(seed)
    tree = ThresholdTree(rng.standard_normal(300).astype(np.float32))
    watch = Watch(tree, 0.1)  # not a float32 number
    watch.events()
    for _ in range(20):
        where = rng.integers(0, 300, 40)
        expected = tree.update_many(where, rng.choice([0.1, -1.0, 1.0, np.float32(0.1)], 40), crossing=0.1)
        for got, want in zip(watch.events(), expected, strict=True):
            assert np.array_equal(got, want)
            assert got.dtype == np.int64


def test_many_watches_do_not_disturb_each_other():
    tree = ThresholdTree(np.zeros(10))
    watches = [Watch(tree, high) for high in (1.0, 2.0, 3.0)]
    tree[4] = 2.5
    assert [watch.events()[0].tolist() for watch in watches] == [[4], [4], []]
    tree[4] = 5.0
    assert [watch.events()[0].tolist() for watch in watches] == [[], [], [4]]


def test_indices_that_are_gone_have_left():
    tree = ThresholdTree([5.0, 5.0, 5.0])
    watch = Watch(tree, 1.0)
    watch.events()
    tree.resize(1)
    assert [part.tolist() for part in watch.events()] == [[], [1, 2]]
    tree.extend([7.0])
    assert [part.tolist() for part in watch.events()] == [[1], []]


def test_what_is_refused():
    tree = ThresholdTree([1.0])
    for error, match, arguments in [
        (TypeError, "tree must be a ThresholdTree or a ThresholdMap, got list", ([1.0], 1.0)),
        (TypeError, "threshold must be a real number", (tree, "x")),
        (ValueError, "threshold must not be NaN", (tree, 1.0, np.nan)),
        (ValueError, "low must be at most high, got low=2.0 and high=1.0", (tree, 1.0, 2.0)),
    ]:
        with pytest.raises(error, match=match):
            Watch(*arguments)
    assert repr(Watch(tree, 2.0, 1.5)).endswith("high 2, low 1.5, 0 inside>")


class WatchMachine(RuleBasedStateMachine):
    """Two watches of one tree, or map, and sets of who is inside."""

    orientation, keyed = "max", False

    @initialize(data=st.data())
    def build(self, data):
        self.values = dict(enumerate(data.draw(st.lists(NUMBERS, max_size=12))))
        if self.keyed:
            self.tree = ThresholdMap(self.values, orientation=self.orientation)
        else:
            self.tree = ThresholdTree(np.array(list(self.values.values())), orientation=self.orientation)
        self.bounds = [(0.75, 0.25), (0.5, 0.5)]
        self.watches = [Watch(self.tree, high, low) for high, low in self.bounds]
        self.inside = [set(), set()]

    def is_beyond(self, value, high, low):
        """Whether it enters, and whether it would stay."""
        return (value > high, value > low) if self.orientation == "max" else (value < low, value < high)

    @rule(data=st.data(), value=NUMBERS)
    def write(self, data, value):
        if self.values:
            key = data.draw(st.sampled_from(list(self.values)))
            self.tree[key] = self.values[key] = value

    @rule(value=NUMBERS)
    def grow(self, value):
        key = len(self.values) if not self.keyed else max(self.values, default=0) + 1
        self.values[key] = value
        if self.keyed:
            self.tree[key] = value
        else:
            self.tree.append(value)

    @rule()
    def shrink(self):
        if self.values:
            key, _ = self.values.popitem()
            if self.keyed:
                del self.tree[key]
            else:
                self.tree.resize(key)

    @rule(which=st.integers(0, 1))
    def ask(self, which):
        before, bounds = self.inside[which], self.bounds[which]
        now = set()
        for key, value in self.values.items():
            enters, stays = self.is_beyond(value, *bounds)
            if enters or (stays and key in before):
                now.add(key)
        entered, left = self.watches[which].events()
        assert sorted(entered) == sorted(now - before)
        assert sorted(left) == sorted(before - now)
        assert sorted(self.watches[which].inside) == sorted(now)
        self.inside[which] = now

    @invariant()
    def holds(self):
        for watch in getattr(self, "watches", ()):
            watch._check()


@pytest.mark.parametrize("orientation", ["max", "min"])
@pytest.mark.parametrize("keyed", [False, True])
def test_drawn_actions_agree_with_a_model(orientation, keyed):
    run_state_machine_as_test(
        type("Machine", (WatchMachine,), {"orientation": orientation, "keyed": keyed}),
        settings=settings(max_examples=20, stateful_step_count=30, suppress_health_check=list(HealthCheck)),
    )
