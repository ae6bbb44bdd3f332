"""What training lowers: the squared errors of the outputs, weighted. The ridge on displacements is not in it."""

from __future__ import annotations

import numpy as np


class SquaredError:
    """sum_i s_i (f_i - y_i)^2 / 2 for outputs f: as if sample i were there s_i times.

    Products with the roots s^(1/2) turn it into a plain sum of squares: in what is called *scaled*, residuals and rows
    of the Jacobian stand for themselves times these.

    Parameters
    ----------
    y : ndarray of shape (n,)
    sample_weight : ndarray of shape (n,), optional
        s; by default 1 each.

    Attributes
    ----------
    is_weighted : bool
        Whether any weight is not 1.
    weights, roots : ndarray of shape (n,) or float
        s and its roots; plain 1.0 where all are 1, which changes no bit of what it multiplies.
    total_weight : float
        Sum of s.

    Examples
    --------
    >>> objective = SquaredError(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    >>> residual = objective.residual(np.array([2.0, 4.0]))
    >>> objective.loss(residual), round(objective.rms(residual), 2)
    (8.5, 1.84)
    """

    def __init__(self, y, sample_weight=None):
        self.y, self.sample_weight = y, sample_weight
        self.is_weighted = has_weights(sample_weight)
        self.weights = sample_weight if self.is_weighted else 1.0
        self.roots = np.sqrt(self.weights)
        self.total_weight = float(sample_weight.sum()) if self.is_weighted else len(y)

    def residual(self, outputs):
        """f - y, shape (n,). Cost: O(n)."""
        return outputs - self.y

    def loss(self, residual):
        """Half the weighted sum of squares. Cost: O(n)."""
        scaled = self.roots * residual
        return 0.5 * float(scaled @ scaled)

    def rms(self, vector):
        """Root of the weighted mean square. Cost: O(n)."""
        return float(np.sqrt(np.sum(self.weights * vector**2) / self.total_weight))

    def loss_error(self, outputs_error, rms_a, rms_b):
        """What outputs that are wrong by a root mean square may change the difference of two losses by. Cost: O(n).

        Parameters
        ----------
        outputs_error : float
        rms_a, rms_b : float
            Root mean squares of the residuals.
        """
        return outputs_error * len(self.y) * (rms_a + rms_b + outputs_error) * np.max(self.weights)

    def scaled_samples(self, X):
        """X with its rows scaled; X itself where all weights are 1. Cost: O(n d)."""
        return self.roots[:, None] * X if self.is_weighted else X

    def scaled_matrix(self, matrix):
        """A matrix of shape (n, n) with its rows and columns scaled. Cost: O(n^2)."""
        return np.reshape(self.roots, (-1, 1)) * matrix * self.roots

    def unscaled_matrix(self, matrix):
        """The matrix that this one is, scaled: a copy. Cost: O(n^2)."""
        matrix = matrix / self.roots
        matrix /= np.reshape(self.roots, (-1, 1))
        return matrix

    def first_weights(self, n):
        """Weights of the first n samples, or None where all of them are 1. Cost: O(n)."""
        weights = None if self.sample_weight is None else self.sample_weight[:n]
        return weights if has_weights(weights) else None


def has_weights(weights):
    """Whether there are weights, and one is not 1. Cost: O(n)."""
    return weights is not None and bool(np.any(weights != 1.0))
