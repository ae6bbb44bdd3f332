"""What training lowers: the losses of the outputs, weighted. The ridge on displacements is not in it."""

from __future__ import annotations

import typing

import numpy as np

from sltrees.losses.checking import check_loss
from sltrees.losses.choose import is_shipped


class Fit(typing.NamedTuple):
    """What outputs are worth, and the parabolas that the loss has there.

    That of sample i is h_i (e_i + p)^2 / 2 for a change p of its output, up to a constant: e is where the output is
    from the minimum of it. Of squared errors e is the residual, and h is 1.
    """

    residual: np.ndarray  # (n,) e
    curvature: np.ndarray | None  # (n,) h; None: 1 each
    loss: float
    magnitude: float  # of what is added up to the loss: rounding is a share of it
    rmse: float  # of predictions
    mean_loss: float


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
    is_curved : bool
        Whether the curvature is another one elsewhere.
    offset : float
        What is added to outputs of the network: 0.
    targets : ndarray of shape (n,)
        What outputs of 0 lack of the minima of their parabolas: of squared errors y.

    Examples
    --------
    >>> objective = SquaredError(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    >>> fit = objective.at(np.array([2.0, 4.0]))
    >>> fit.loss, round(fit.rmse, 2)
    (8.5, 1.84)
    """

    is_curved, offset = False, 0.0

    def __init__(self, y, sample_weight=None):
        self.y, self.sample_weight = y, sample_weight
        self.is_weighted = has_weights(sample_weight)
        self.weights = sample_weight if self.is_weighted else 1.0
        self.roots = np.sqrt(self.weights)
        self.total_weight = float(sample_weight.sum()) if self.is_weighted else len(y)

    @property
    def targets(self):
        """As of the class."""
        return self.y

    def at(self, outputs):
        """What outputs of the network are worth: a `Fit`. Cost: O(n)."""
        residual = outputs - self.y
        loss, rmse = self.parabolas(residual), self.rms(residual)
        return Fit(residual, None, loss, loss, rmse, loss / self.total_weight)

    def parabolas(self, residual, curvature=None):
        """sum_i s_i h_i e_i^2 / 2. Cost: O(n)."""
        scaled = self.roots * residual if curvature is None else self.roots * np.sqrt(curvature) * residual
        return 0.5 * float(scaled @ scaled)

    def rms(self, vector, curvature=None):
        """Root of the mean square, weighted, by curvature, too, where there is one. Cost: O(n)."""
        weights = self.weights if curvature is None else self.weights * curvature
        return float(np.sqrt(np.sum(weights * vector**2) / self.total_weight))

    def loss_error(self, outputs_error, *fits):
        """What outputs that are wrong by a root mean square may change the difference of two losses by. Cost: O(n).

        Parameters
        ----------
        outputs_error : float
        *fits : Fit or State
            What the outputs are worth.
        """
        slopes = sum(self._slope(fit) for fit in fits)
        return outputs_error * len(self.y) * (slopes + outputs_error) * np.max(self.weights)

    def _slope(self, fit):
        """Root mean square of the slopes. Cost: O(1)."""
        return fit.rmse

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


class LossOfOutputs(SquaredError):
    """sum_i s_i l(y_i, f_i + offset) for outputs f of the network, and any loss l of one output.

    Parameters
    ----------
    loss : sltrees.losses.Loss
    y, sample_weight
        As of `SquaredError`.
    offset : float, optional
        By default the constant that fits y best.

    Examples
    --------
    >>> from sltrees.losses import HalfPoissonLoss
    >>> objective = LossOfOutputs(HalfPoissonLoss(), np.array([1.0, 3.0]))
    >>> fit = objective.at(np.zeros(2))
    >>> round(objective.offset, 3), fit.curvature.round(3), fit.residual.round(3)
    (0.693, array([2., 2.]), array([ 0.5, -0.5]))
    """

    is_curved = True

    def __init__(self, loss, y, sample_weight=None, offset=None):
        super().__init__(y, sample_weight)
        self._loss = loss
        if offset is None:
            offset = loss.constant(y[:, None], np.broadcast_to(self.weights, len(y)).astype(np.float64))[0]
        self.offset = float(offset)

    @property
    def targets(self):
        """As of `SquaredError`. Cost: O(n)."""
        return -self.at(np.zeros(len(self.y))).residual

    def at(self, outputs):
        """As of `SquaredError`. A parabola whose minimum is farther than the loss reaches is made narrower."""
        y, f = self.y[:, None], (outputs + self.offset)[:, None]
        with np.errstate(over="ignore", invalid="ignore"):  # of outputs that overflowed: who calls looks at the loss
            slope = self._loss.gradient(y, f)[:, 0]
            curvature = np.maximum(self._loss.curvature(y, f)[:, 0], np.abs(slope) / self._loss.reach)
            values = self.weights * self._loss.value(y, f)[:, 0]
            rmse = self.rms(self._loss.predictions(f)[:, 0] - self.y)
            total, magnitude = float(np.sum(values)), float(np.sum(np.abs(values)))
            return Fit(slope / curvature, curvature, total, magnitude, rmse, total / self.total_weight)

    def _slope(self, fit):
        with np.errstate(over="ignore", invalid="ignore"):
            return self.rms(fit.curvature * fit.residual)


def objective_of(loss, y, sample_weight=None, offset=None):
    """The objective of a loss, or of None: squared errors.

    Raises
    ------
    ValueError
        If y are not targets of the loss, or a loss that is the user's own is not what its derivatives say.

    Examples
    --------
    >>> objective_of(None, np.array([1.0, 2.0])).is_curved
    False
    """
    if loss is None:
        return SquaredError(y, sample_weight)
    loss.refuse(y[:, None])
    if not is_shipped(loss):
        check_loss(loss, y[:, None])
    return LossOfOutputs(loss, y, sample_weight, offset)


def has_weights(weights):
    """Whether there are weights, and one is not 1. Cost: O(n)."""
    return weights is not None and bool(np.any(weights != 1.0))
