"""Losses that grow like the absolute error: few samples far away change little."""

from __future__ import annotations

import numpy as np

from sltrees.losses.loss import HalfSquaredLoss

_NORMAL = 1.345  # standard deviations beyond which Huber's loss is linear: 95% as precise as squares, for normal errors
_DEVIATION = 1.4826  # of a normal distribution, by its median absolute deviation


class HuberLoss(HalfSquaredLoss):
    """Half the squared error up to `delta`, and linear beyond: predictions are means that outliers hardly move.

    Parameters
    ----------
    delta : float
        Above 0, in units of the targets.

    References
    ----------
    Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964). The curvature is
    that of iteratively reweighted least squares: its parabola is above the loss everywhere.

    Examples
    --------
    >>> loss = HuberLoss(1.0)
    >>> loss.gradient(np.zeros((2, 1)), np.array([[0.5], [7.0]])).ravel()
    array([0.5, 1. ])
    """

    is_newton = False

    def __init__(self, delta):
        self.delta = float(delta)

    @classmethod
    def of_errors(cls, errors, weights):
        """With the `delta` that suits errors whose middle half is normal, shape (n,). Cost: O(n log n)."""
        middle = weighted_quantile(np.abs(errors), weights, 0.5)
        return cls(_NORMAL * max(_DEVIATION * middle, 1e-6 * float(np.average(np.abs(errors), weights=weights)), 1e-12))

    def value(self, y, f):
        """As of `Loss`."""
        distance = np.abs(f - y)
        near = np.minimum(distance, self.delta)
        return near * (distance - 0.5 * near)

    def gradient(self, y, f):
        """As of `Loss`."""
        return np.clip(f - y, -self.delta, self.delta)

    def curvature(self, y, f):
        """As of `Loss`."""
        return self.delta / np.maximum(np.abs(f - y), self.delta)

    def constant(self, y, weights):
        """As of `Loss`: the median, which is near it."""
        return np.array([weighted_quantile(column, weights, 0.5) for column in y.T])


class SmoothPinballLoss(HalfSquaredLoss):
    """Pinball loss whose corner is rounded: predictions are quantiles.

    (|r| / 2 + (q - 1/2) r) for r = y - f, with (r^2 + width^2)^(1/2) in place of |r|.

    Parameters
    ----------
    quantile : float
        q, above 0 and below 1.
    width : float
        Of the corner, in units of the targets.

    References
    ----------
    Hunter, Lange, "Quantile regression via an MM algorithm", Journal of Computational and Graphical Statistics 9
    (2000): the parabola above it.

    Examples
    --------
    >>> loss = SmoothPinballLoss(0.9, width=1e-6)
    >>> loss.value(np.zeros((2, 1)), np.array([[1.0], [-1.0]])).round(3).ravel()
    array([0.1, 0.9])
    """

    is_newton = False

    def __init__(self, quantile, width=1e-2):
        self.quantile, self.width = float(quantile), float(width)

    def value(self, y, f):
        """As of `Loss`."""
        r = y - f
        return 0.5 * np.hypot(r, self.width) + (self.quantile - 0.5) * r

    def gradient(self, y, f):
        """As of `Loss`."""
        r = y - f
        return -0.5 * r / np.hypot(r, self.width) - (self.quantile - 0.5)

    def curvature(self, y, f):
        """As of `Loss`."""
        return 0.5 / np.hypot(y - f, self.width)

    def constant(self, y, weights):
        """As of `Loss`: the quantile."""
        return np.array([weighted_quantile(column, weights, self.quantile) for column in y.T])


def weighted_quantile(values, weights, q):
    """The smallest value at which a share q of the weight is reached. Cost: O(n log n).

    Examples
    --------
    >>> weighted_quantile(np.array([3.0, 1.0, 2.0]), np.ones(3), 0.5)
    2.0
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    at = np.searchsorted(reached, q * reached[-1] * (1.0 - 1e-12))
    return float(values[order[min(at, len(order) - 1)]])
