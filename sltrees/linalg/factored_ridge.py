"""Kernel ridge regression at one ridge, with exact leave-one-out errors, from one Cholesky factor."""

from __future__ import annotations

import numpy as np

from sltrees.linalg.cholesky import CholeskyFactor, raise_until_definite
from sltrees.linalg.leave_one_out import MergedObservations


class FactoredRidge:
    """Kernel ridge regression of several outputs with a constant, solved for one ridge.

    Parameters
    ----------
    fill : callable
        fill(rows, columns, out) writes a part of the kernel, as for `CholeskyFactor.factorise_filled`.
    Y : ndarray of shape (n, C), dtype=float64
    weights : ndarray of shape (n,) or None
    ridge : float
        Above 0, in units of the kernel. Where the matrix is singular to working precision it is raised by factors of
        ten until it is not.
    executor : ThreadExecutor
    advance : callable, optional
        advance(done, total): told how far the factorisation is.

    Attributes
    ----------
    ridge : float
        As it was used.
    dual : ndarray of shape (n, C)
    constants : ndarray of shape (C,)

    Notes
    -----
    The formulas are those of `sltrees.linalg.leave_one_out.RidgeProblem`. Cost: O(n^3 / 3), memory: 4 n^2 bytes.

    Examples
    --------
    >>> from sltrees.execution.threads import ThreadExecutor
    >>> def fill(rows, columns, out):
    ...     out[...] = np.eye(3)[rows, columns]
    >>> with ThreadExecutor(1) as executor:
    ...     problem = FactoredRidge(fill, np.array([[0.0], [1.0], [5.0]]), None, 1.0, executor)
    ...     problem.left_out().ravel()  # each from the mean of the two others
    array([ 3. ,  1.5, -4.5])
    """

    def __init__(self, fill, Y, weights, ridge, executor, advance=None):
        self._Y, self._executor = Y, executor
        self._weights = np.ones(len(Y)) if weights is None else weights
        self._roots = roots = np.sqrt(self._weights)
        self._factor = CholeskyFactor(len(Y))

        def weighted(rows, columns, out):
            fill(rows, columns, out)
            if weights is not None:
                out *= roots[rows, None]
                out *= roots[columns]

        self.ridge = raise_until_definite(
            lambda c: self._factor.factorise_filled(weighted, c, executor, advance), ridge
        )
        seen = self._factor.solve(np.column_stack([roots[:, None] * Y, roots]), executor)
        seen, self._of_roots = seen[:, :-1], seen[:, -1]
        self._total = float(roots @ self._of_roots)
        self.constants = roots @ seen / self._total
        self._coefficients = seen - self._of_roots[:, None] * self.constants
        self.dual = roots[:, None] * self._coefficients

    def left_out(self, observations=None, start=0):
        """For each observation, learned from all others: its output minus its target, (N, C).

        Parameters
        ----------
        observations : sltrees.linalg.leave_one_out.Observations, optional
            Of which the samples are merged. By default each sample is one. Three or more.
        start : int, default 0
            The first of the samples that are wanted: NaN for those before.

        Notes
        -----
        Cost: O(k^3 / 3) for the last k samples, by `CholeskyFactor.inverse_diagonal`.
        """
        diagonal = np.full(len(self._Y), np.nan)
        diagonal[start:] = self._factor.inverse_diagonal(self._executor, start)
        diagonal -= self._of_roots**2 / self._total
        if observations is None:
            return -self._coefficients / (diagonal * self._roots)[:, None]
        merged = MergedObservations.of(observations, self._Y, self._weights)
        return -merged.left_out(self._coefficients, diagonal, self._roots, self.ridge)
