"""`ThresholdWindow`: the last values of a stream in the order of time, beside a plain list."""

import copy
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from sltrees import ThresholdWindow

NUMBERS = st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 1.0, 2.0, math.inf])


class WindowMachine(RuleBasedStateMachine):
    orientation, timed = "max", False

    @initialize(capacity=st.integers(1, 20))
    def build(self, capacity):
        self.window = ThresholdWindow(capacity, orientation=self.orientation, timed=self.timed)
        self.values, self.times, self.capacity = [], [], capacity

    def kept(self):
        return range(max(0, len(self.values) - self.capacity), len(self.values))

    @rule(value=NUMBERS, later=st.sampled_from([0.0, 0.5, 2.0]))
    def push(self, value, later):
        self.times.append((self.times[-1] if self.times else 0.0) + later)
        self.values.append(value)
        self.window.push(value, *([self.times[-1]] if self.timed else []))

    @rule(values=st.lists(NUMBERS, max_size=45), later=st.sampled_from([0.0, 0.5]))
    def extend(self, values, later):
        last = self.times[-1] if self.times else 0.0
        times = [last + later * (j + 1) for j in range(len(values))]
        self.window.extend(values, *([times] if self.timed else []))
        self.values += values
        self.times += times

    @rule(t=NUMBERS, k=st.integers(0, 25), back=st.sampled_from([-1.0, 0.0, 0.5, 3.0, 100.0]))
    def ask(self, t, k, back):
        since = (self.times[-1] if self.times else 0.0) - back
        cases = [({}, list(self.kept())), ({"last": k}, [j for j in self.kept() if j >= len(self.values) - k])]
        if self.timed:
            cases.append(({"since": since}, [j for j in self.kept() if self.times[j] >= since]))
        for options, counting in cases:
            expected = [
                j for j in counting if (self.values[j] > t if self.orientation == "max" else self.values[j] < t)
            ]
            numbers, values = self.window.query(t, return_values=True, **options)
            assert numbers.tolist() == expected
            assert values.tolist() == [self.values[j] for j in expected]
            assert self.window.count(t, **options) == len(expected)
            assert self.window.first(t, **options) == (expected[0] if expected else -1)
            assert self.window.values(**options).tolist() == [self.values[j] for j in counting]
            if counting:
                best = (max if self.orientation == "max" else min)(self.values[j] for j in counting)
                assert self.window.max(**options) == best
            else:
                with pytest.raises(ValueError, match="max of no values"):
                    self.window.max(**options)

    @invariant()
    def agrees(self):
        if not hasattr(self, "window"):
            return
        self.window._check()
        assert len(self.window) == len(self.kept())
        assert self.window.n_pushed == len(self.values)
        if self.timed:
            assert self.window.times().tolist() == [self.times[j] for j in self.kept()]


@pytest.mark.parametrize(("orientation", "timed"), [("max", False), ("max", True), ("min", True)])
def test_drawn_actions_agree_with_a_list(orientation, timed):
    run_state_machine_as_test(
        type("Machine", (WindowMachine,), {"orientation": orientation, "timed": timed}),
        settings=settings(max_examples=25, stateful_step_count=25, suppress_health_check=list(HealthCheck)),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_window_agrees_with_numpy(dtype, seed):
    rng = np.random.default_rng(seed)
    window, stream = ThresholdWindow(5000, dtype=dtype), rng.standard_normal(12_345).astype(dtype)
    for part in np.array_split(stream, 40):
        window.extend(part)
    assert window.values().dtype == dtype
    for k in (1, 17, 2000, 4999, 5000, 9000):
        last = stream[-min(k, 5000) :]
        for t in (-1.0, 0.5, 2.5):
            assert np.array_equal(window.query(t, last=k), np.flatnonzero(last > t) + stream.size - last.size)
        assert window.max(last=k) == last.max()


def test_what_is_refused_changes_nothing():
    timed, plain = ThresholdWindow(3, timed=True), ThresholdWindow(3)
    timed.extend([1.0, 2.0], [5.0, 6.0])
    for error, match, act in [
        (ValueError, "times must not decrease, got 5.5 after 6.0", lambda: timed.push(1.0, 5.5)),
        (ValueError, "times must not decrease", lambda: timed.extend([1.0, 2.0], [8.0, 7.0])),
        (ValueError, "needs the time of each value", lambda: timed.push(1.0)),
        (ValueError, "one for each of 2 values, got 1", lambda: timed.extend([1.0, 2.0], [7.0])),
        (ValueError, "must not be NaN", lambda: timed.push(np.nan, 7.0)),
        (ValueError, "threshold must not be NaN", lambda: timed.push(1.0, np.nan)),
        (ValueError, "must not be NaN", lambda: timed.extend([1.0, np.nan], [7.0, 8.0])),
        (ValueError, "only a window made with timed=True", lambda: plain.push(1.0, 2.0)),
        (ValueError, "only a window made with timed=True", lambda: plain.query(1.0, since=2.0)),
        (ValueError, "only a window made with timed=True", lambda: plain.times()),
        (ValueError, "must not go together", lambda: timed.query(1.0, last=1, since=2.0)),
        (ValueError, "last must be at least 0, got -1", lambda: timed.count(1.0, last=-1)),
        (ValueError, "capacity must be at least 1", lambda: ThresholdWindow(0)),
        (ValueError, "orientation must be one of", lambda: ThresholdWindow(1, orientation="up")),
        (ValueError, "dtype must be", lambda: ThresholdWindow(1, dtype=int)),
    ]:
        with pytest.raises(error, match=match):
            act()
        timed._check()
        assert (timed.values().tolist(), timed.times().tolist(), len(plain)) == ([1.0, 2.0], [5.0, 6.0], 0)
    assert repr(timed) == "<ThresholdWindow of 2 of 3 values, orientation 'max'>"


def test_copies_have_trees_of_their_own():
    window = ThresholdWindow(3)
    window.extend([1.0, 2.0, 3.0])
    copy.copy(window).push(9.0)
    assert window.values().tolist() == [1.0, 2.0, 3.0]
