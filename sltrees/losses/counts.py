"""Losses whose predictions are means above 0, the exponentials of raw outputs."""

from __future__ import annotations

import numpy as np

_LARGEST = 600.0  # raw outputs whose exponentials, and their sums, are finite
_LEAST_MEAN = 1e-6  # in place of 0, of counts that are all 0


class HalfPoissonLoss:
    """exp(f) - y f, half the Poisson deviance up to what depends on y alone: for counts.

    Examples
    --------
    >>> HalfPoissonLoss().gradient(np.array([[3.0]]), np.log([[3.0]])).round(12)
    array([[0.]])
    """

    couples, is_newton, reach = False, True, 4.0

    def refuse(self, y):
        """As of `Loss`: numbers below 0, and zeros alone."""
        if (y < 0).any() or not y.any(axis=0).all():
            raise ValueError(f"y must be at least 0, and not all 0, for the loss 'poisson', got from {y.min():g}")

    def value(self, y, f):
        """As of `Loss`."""
        return _exp(f) - y * f

    def gradient(self, y, f):
        """As of `Loss`."""
        return _exp(f) - y

    def curvature(self, y, f):
        """As of `Loss`: the mean, and where that is tiny a little more."""
        return np.maximum(_exp(f), 1e-10)

    def constant(self, y, weights):
        """As of `Loss`: the logarithm of the mean, which is finite also where all counts are 0."""
        means = np.average(y, axis=0, weights=weights)
        return np.log(np.where(means > 0, means, _LEAST_MEAN))

    def predictions(self, f):
        """As of `Loss`: exponentials."""
        return _exp(f)


class HalfGammaLoss:
    """y exp(-f) + f, half the gamma deviance up to what depends on y alone: for amounts with relative errors.

    Examples
    --------
    >>> HalfGammaLoss().gradient(np.array([[3.0]]), np.log([[3.0]])).round(12)
    array([[0.]])
    """

    couples, is_newton, reach = False, True, 4.0

    def refuse(self, y):
        """As of `Loss`: numbers that are not above 0."""
        if not (y > 0).all():
            raise ValueError(f"y must be above 0 for the loss 'gamma', got from {y.min():g}")

    def value(self, y, f):
        """As of `Loss`."""
        return y * _exp(-f) + f

    def gradient(self, y, f):
        """As of `Loss`."""
        return 1.0 - y * _exp(-f)

    def curvature(self, y, f):
        """As of `Loss`."""
        return np.maximum(y * _exp(-f), 1e-10)

    def constant(self, y, weights):
        """As of `Loss`: the logarithm of the mean."""
        return np.log(np.average(y, axis=0, weights=weights))

    def predictions(self, f):
        """As of `Loss`: exponentials."""
        return _exp(f)


def _exp(f):
    return np.exp(np.clip(f, -_LARGEST, _LARGEST))
