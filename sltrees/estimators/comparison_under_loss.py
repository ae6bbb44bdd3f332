"""Networks measured beside the kernel under a loss that is not the squared error, by that loss."""

from __future__ import annotations

import dataclasses
import typing

import numpy as np

from sltrees.estimators.kernel_solvers.reweighted import AllSamples, minimise
from sltrees.estimators.model_comparison import Comparing, Comparison, margin
from sltrees.kernels.unit_rows import UnitRowsKernel
from sltrees.losses.choose import is_refused
from sltrees.losses.loss import Loss
from sltrees.losses.robust import SmoothPinballLoss, weighted_quantile

LARGEST_ALPHA = 1e3  # curvatures of some losses are small, and ridges that suit them large
COST = 1.6  # of a step of a network, beside that of one under squared errors

# Deviances are of few samples that are told wrong, so that the best of several candidates is often better by a standard
# error or two where none is.
CLEAR = 2.0
PROMISING = 1.0  # standard errors by which one has to be better for others like it to be tried


class UnderLoss(typing.NamedTuple):
    """The loss that models are compared under.

    Attributes
    ----------
    loss : Loss
        With its scale, if it has one.
    ridge : float
        Of the kernel, not in units of its trace.
    shaped : ndarray of shape (n, C)
        Targets as squared errors suit them, of mean 0 and variance about 1, to learn scales of columns from.
    """

    loss: Loss
    ridge: float
    shaped: np.ndarray


@dataclasses.dataclass
class ComparingUnderLoss(Comparing):
    """`Comparing` under a loss. Samples are (X, Y, weights, shaped)."""

    under: UnderLoss | None = None
    largest_alpha, cost, clear = LARGEST_ALPHA, COST, CLEAR

    def comparison(self, samples, folds, scalings=None, coded=None):
        """As of `Comparing`."""
        return ComparisonUnderLoss(*samples, folds, self, scalings, coded)


class ComparisonUnderLoss(Comparison):
    """`Comparison` whose errors are losses: of the kernel with the ridge that is known, and of networks."""

    def __init__(self, X, Y, weights, shaped, folds, comparing, scalings=None, coded=None):
        super().__init__(X, Y, weights, folds, comparing, scalings, coded)
        self.targets_of_scales, self.loss = shaped, comparing.under.loss

    def promises(self, candidate):
        """As of `Comparison`: only if it is better as it is, since a step takes longer than under squared errors."""
        row = self.tried[candidate]
        return row["difference"] < -margin(row, PROMISING)

    def know_kernel(self, found):
        """As of `Comparison`: of what is known scales alone are of use."""
        return self.measure_kernel()

    def measure_kernel(self, n_folds=None):
        """As of `Comparison`."""
        n_folds, comparing, outputs = n_folds or self.n_folds, self.comparing, np.full(self.Y.shape, np.nan)
        kernel = UnitRowsKernel(comparing.shift)
        for fold in range(n_folds):
            seen, rows = self.folds != fold, self.rows_for(fold)
            functions = AllSamples(kernel, rows[seen], comparing.executor)
            found, _ = minimise(functions, self.loss, self.Y[seen], self.weights[seen], comparing.under.ridge)
            outputs[~seen] = functions.outputs(rows[~seen], found)
        return self.take_kernel(outputs, comparing.alpha, n_folds)

    def learn(self, candidate, fold, columns, **training):
        """As of `Comparison`; the constant, as of the kernel, where there is nothing to learn from the others."""
        train = self.folds != fold
        if is_refused(self.loss, self.Y[train, columns]):
            return self.loss.constant(self.Y[train, columns], self.weights[train])
        return super().learn(candidate, fold, columns, **training)

    def learned_apart(self):
        """As of `Comparison`."""
        return [slice(None)] if self.loss.couples else super().learned_apart()

    def to_learn_from(self, X, Y, weights):
        """As of `Comparison`: rows that are equal are not one sample under any loss."""
        return X, Y, weights, {"loss": self.loss, "offsets": self.loss.constant(Y, weights)}

    def errors(self, outputs, known):
        """As of `Comparison`; quantiles are shifted first, as those of the model that is taken are."""
        Y, outputs = self.Y[known], outputs[known]
        return self.loss.value(Y, outputs + lift_of(self.loss, Y, outputs, self.weights[known])).sum(axis=1)


def lift_of(loss, Y, left_out, weights):
    """What makes outputs the quantiles of what was left out: functions that all but interpolate have other ones.

    Parameters
    ----------
    loss : Loss
    Y : ndarray of shape (n, C)
    left_out : ndarray of shape (n, C)
        Outputs there of models that did not learn from it; rows of NaN where there are none.
    weights : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (C,)
        0 of all other losses.

    Notes
    -----
    Cost: O(C n log n).

    Examples
    --------
    >>> from sltrees.losses import SmoothPinballLoss
    >>> lift_of(SmoothPinballLoss(0.5), np.array([[3.0], [5.0], [9.0]]), np.array([[1.0], [4.0], [np.nan]]), np.ones(3))
    array([1.])
    """
    known = ~np.isnan(left_out[:, 0])
    if not isinstance(loss, SmoothPinballLoss) or not known.any():
        return np.zeros(Y.shape[1])
    missing = (Y - left_out)[known]
    return np.array([weighted_quantile(column, weights[known], loss.quantile) for column in missing.T])
