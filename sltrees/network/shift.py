"""Shift policies: how rarely a neuron fires."""

from __future__ import annotations

import math
import sys
import warnings

from scipy.special import ndtri

from sltrees._validation import as_choice, as_non_negative

POLICIES = ("auto", "paper", "density")

DENSITY = 0.25  # samples on which a neuron fires on average, under "density"
AUTO_FIRINGS_SQUARED = 4.0  # m p^2 under "auto": where Newton steps need little damping
SPARE_FIRINGS = 7.0  # m p >= ln n + this: then a sample of unit norm without a firing neuron has probability < e^-7


def validate_shift(shift):
    """Return a policy name or a float >= 0; ValueError or TypeError otherwise."""
    return as_choice(shift, "shift", POLICIES) if isinstance(shift, str) else as_non_negative(shift, "shift")


def firing_probability(shift: float) -> float:
    """P(N(0, 1) > shift): how often a fresh neuron fires on a sample of unit norm."""
    return 0.5 * math.erfc(shift / math.sqrt(2.0))


def resolve_shift(shift, width: int, n_samples: int) -> float:
    """The shift b that a policy means for this width and number of samples.

    Parameters
    ----------
    shift : {"auto", "paper", "density"} or float
        "paper": b = sqrt(0.48 ln m). "density": n p = 0.25. "auto": m p^2 = 4, at most p = 1/2. p is the
        probability that a neuron fires on a sample of unit norm.
    width : int
        m, the number of neurons.
    n_samples : int
        n, the number of training samples.

    Returns
    -------
    float
        At least 0. Where fewer than ln n + 7 neurons would fire on a sample of unit norm, b is lowered
        until they do: a sample on which no neuron fires makes the Gram matrix singular.

    Warns
    -----
    UserWarning
        If the shift had to be lowered.

    References
    ----------
    "paper": arXiv 2208.04508, section 1.

    Examples
    --------
    >>> round(resolve_shift("paper", 2**17, 1000), 4)
    2.3783
    """
    if shift == "paper":
        b = math.sqrt(0.48 * math.log(width))
    elif shift == "density":
        b = _shift_for(DENSITY / n_samples)
    elif shift == "auto":
        b = _shift_for(math.sqrt(AUTO_FIRINGS_SQUARED / width))
    else:
        b = float(shift)
    needed = math.log(n_samples) + SPARE_FIRINGS
    if b > 0 and width * firing_probability(b) < needed:
        lowered = _shift_for(needed / width)
        warnings.warn(
            f"shift lowered from {b:.4g} to {lowered:.4g}: of {width} neurons only {width * firing_probability(b):.3g} "
            f"would fire on a sample of unit norm, and ln n + {SPARE_FIRINGS:g} = {needed:.3g} are needed",
            UserWarning,
            stacklevel=_stacklevel_outside(),
        )
        return lowered
    return b


def _stacklevel_outside():
    """The stack level of the first caller outside of this package, as the caller of this function counts."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "sltrees":
        frame, level = frame.f_back, level + 1
    return level


def _shift_for(probability):
    """The shift at which neurons fire with this probability, at most 1/2: the shift is never negative."""
    return max(0.0, -float(ndtri(min(probability, 0.5))))
