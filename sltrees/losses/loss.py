"""What a loss is: value, gradient, curvature, link, and the constant that fits best."""

from __future__ import annotations

import typing

import numpy as np


class Loss(typing.Protocol):
    """A loss of each sample, l(y, f), for a target y and a raw output f, which the link makes a prediction of.

    A loss of your own needs these members; `sltrees.losses.check_loss` compares them with finite differences. All take
    and return arrays of shape (n, C), overflow for no finite f, and cost O(n C).

    Attributes
    ----------
    couples : bool
        Whether the loss of a sample is one of all its outputs together, rather than a sum over them.
    is_newton : bool
        Whether parabolas of its curvature are near the loss, so that one step with them tells what leaving out a sample
        changes. Where they are above it, folds have to tell.
    reach : float
        How far from an output the minimum of its parabola may be: networks, whose outputs move one by one, take a
        larger curvature where it would be farther. Infinite for parabolas that are above the loss.
    """

    couples: typing.ClassVar[bool]
    is_newton: typing.ClassVar[bool]
    reach: typing.ClassVar[float]

    def refuse(self, y: np.ndarray) -> None:
        """ValueError that states the rule and the value, for targets that it cannot be of."""

    def value(self, y: np.ndarray, f: np.ndarray) -> np.ndarray:
        """l(y, f), up to what depends on y alone: shape (n, C), or (n, 1) if it couples."""

    def gradient(self, y: np.ndarray, f: np.ndarray) -> np.ndarray:
        """The derivative in f, shape (n, C)."""

    def curvature(self, y: np.ndarray, f: np.ndarray) -> np.ndarray:
        """Above 0: the second derivative in f, or where that is 0 or negative the curvature of a parabola above l.

        The parabola has value and slope of l at f. Shape (n, C), or (n, 1) if the loss couples.
        """

    def constant(self, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The raw output, shape (C,), that has the smallest weighted sum if it is the same for all samples."""

    def predictions(self, f: np.ndarray) -> np.ndarray:
        """What raw outputs predict: the inverse link."""


class HalfSquaredLoss:
    """(f - y)^2 / 2: predictions are means.

    Examples
    --------
    >>> loss = HalfSquaredLoss()
    >>> loss.value(np.array([[1.0]]), np.array([[3.0]]))
    array([[2.]])
    """

    couples, is_newton, reach = False, True, np.inf

    def refuse(self, y):
        """As of `Loss`: nothing."""

    def value(self, y, f):
        """As of `Loss`."""
        return 0.5 * (f - y) ** 2

    def gradient(self, y, f):
        """As of `Loss`."""
        return f - y

    def curvature(self, y, f):
        """As of `Loss`."""
        return np.ones_like(f)

    def constant(self, y, weights):
        """As of `Loss`: the mean."""
        return np.average(y, axis=0, weights=weights)

    def predictions(self, f):
        """As of `Loss`."""
        return f
