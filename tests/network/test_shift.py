"""Shift policies: their values, and when they are lowered."""

import math
import warnings

import numpy as np
import pytest
from scipy.stats import norm

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.network.shift import SPARE_FIRINGS, firing_probability, resolve_shift, validate_shift


@pytest.mark.parametrize("width", [2**14, 2**17, 10**6, 10**9])
def test_policies_have_their_values(width):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_shift("paper", width, 1000) == pytest.approx(math.sqrt(0.48 * math.log(width)), rel=1e-14)
        auto = resolve_shift("auto", width, 1000)
        assert width * norm.sf(auto) ** 2 == pytest.approx(4.0, rel=1e-10)
        density = resolve_shift("density", 10**9, 1000)
        assert 1000 * norm.sf(density) == pytest.approx(0.25, rel=1e-10)
        assert resolve_shift(1.25, width, 1000) == 1.25


@pytest.mark.parametrize("b", [0.0, 0.5, 1.0, 2.5, 5.0, 8.0])
def test_firing_probability_is_the_normal_tail(b):
    assert firing_probability(b) == pytest.approx(norm.sf(b), rel=1e-12)


@pytest.mark.parametrize(
    ("shift", "width"), [("paper", 100), ("auto", 20), ("density", 1000), (3.0, 1000), (50.0, 10**6)]
)
def test_a_shift_at_which_samples_would_stay_silent_is_lowered_with_a_warning(shift, width):
    with pytest.warns(UserWarning, match=r"shift lowered from .* ln n \+ 7 = .* are needed"):
        b = resolve_shift(shift, width, 1000)
    needed = math.log(1000) + SPARE_FIRINGS
    assert width * firing_probability(b) >= min(needed, width / 2) * (1 - 1e-9)
    # no lower than needed
    assert b == 0 or width * firing_probability(b) == pytest.approx(needed, rel=1e-9)


@pytest.mark.parametrize("shift", ["paper", "auto", "density", 0.0, 3.0])
@pytest.mark.parametrize("width", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("n", [1, 10, 10**6])
def test_a_shift_is_never_negative(shift, width, n):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        b = resolve_shift(shift, width, n)
    assert 0 <= b < np.inf
    assert math.copysign(1.0, b) == 1.0


def test_shift_zero_is_never_lowered():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_shift(0.0, 2, 1000) == 0.0


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (-0.5, ValueError, "shift must be finite and at least 0, got -0.5"),
        (float("nan"), ValueError, "shift must be finite and at least 0, got nan"),
        (float("inf"), ValueError, "shift must be finite and at least 0, got inf"),
        ("papers", ValueError, "shift must be one of 'auto', 'paper', 'density', got 'papers'"),
        (None, TypeError, "shift must be a real number, got None"),
        (True, TypeError, "shift must be a real number, got True"),
        ([1.0], TypeError, r"shift must be a real number, got \[1.0\]"),
    ],
)
def test_bad_shifts_are_refused_with_rule_and_value(bad, error, message):
    with pytest.raises(error, match=message):
        validate_shift(bad)


@pytest.mark.parametrize("method", ["certified", "trees", None])
def test_the_warning_names_the_line_of_the_caller(method):
    network = ShiftedReLUNetwork(16, shift=4.0, random_state=0)

    def draw():
        if method is None:
            network.initialize(np.eye(3))
        else:
            NewtonTrainer(network, method=method, max_iter=1).fit(np.eye(3), np.ones(3))

    with pytest.warns(UserWarning, match="shift lowered") as caught:
        draw()
    assert [warning.filename for warning in caught] == [__file__]
