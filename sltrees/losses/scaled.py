"""A loss in other units: of outputs that are larger by a factor than those that it is of."""

from __future__ import annotations


class ScaledLoss:
    """scale^2 l(y, f / scale): networks learn larger outputs, so that their weights move farther.

    Squared errors in larger units are just that; the ridge then counts for less in the same way under all losses.

    Parameters
    ----------
    loss : Loss
    scale : float
        Above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees.losses import HalfSquaredLoss
    >>> ScaledLoss(HalfSquaredLoss(), 4.0).gradient(np.array([[1.0]]), np.array([[8.0]]))  # 8 - 4 times 1
    array([[4.]])
    """

    def __init__(self, loss, scale):
        self.loss, self.scale = loss, float(scale)
        self.couples, self.is_newton, self.reach = loss.couples, loss.is_newton, self.scale * loss.reach

    def refuse(self, y):
        """As of `Loss`."""
        self.loss.refuse(y)

    def value(self, y, f):
        """As of `Loss`."""
        return self.scale**2 * self.loss.value(y, f / self.scale)

    def gradient(self, y, f):
        """As of `Loss`."""
        return self.scale * self.loss.gradient(y, f / self.scale)

    def curvature(self, y, f):
        """As of `Loss`."""
        return self.loss.curvature(y, f / self.scale)

    def constant(self, y, weights):
        """As of `Loss`."""
        return self.scale * self.loss.constant(y, weights)

    def predictions(self, f):
        """As of `Loss`."""
        return self.loss.predictions(f / self.scale)
