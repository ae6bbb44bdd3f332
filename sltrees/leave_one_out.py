"""Exact leave-one-out errors of kernel ridge regression for every ridge at once, from one eigendecomposition."""

from __future__ import annotations

import typing

import numpy as np
import scipy.linalg

# Ridges tried, relative to the mean of the diagonal: half decades from where float64 still resolves the solution to
# where next to nothing is learned.
ALPHAS = tuple(10.0 ** (k / 2) for k in range(-16, 5))


class LeaveOneOut(typing.NamedTuple):
    """What leaving out each sample in turn gives, for each ridge.

    Attributes
    ----------
    alphas : ndarray of shape (L,)
        Relative to `unit`.
    residuals : ndarray of shape (L, n, C)
        The output at each sample, learned from all others, minus its target.
    errors : ndarray of shape (L,)
        Weighted mean of the squares of the residuals, summed over the outputs.
    unit : float
        Weighted mean of the diagonal of the kernel.
    """

    alphas: np.ndarray
    residuals: np.ndarray
    errors: np.ndarray
    unit: float

    @property
    def best(self):
        """Position of the ridge with the smallest error; of the largest such ridge where several tie."""
        return len(self.errors) - 1 - int(np.argmin(self.errors[::-1]))


def leave_one_out(kernel, Y, *, weights=None, intercept=False, alphas=ALPHAS):
    """Leave-one-out residuals of kernel ridge regression, exactly, without learning anything n times.

    Parameters
    ----------
    kernel : ndarray of shape (n, n), dtype=float64
        Symmetric, positive semidefinite up to rounding. Not changed.
    Y : ndarray of shape (n, C), dtype=float64
    weights : ndarray of shape (n,), optional
        Of the squared residuals, above 0: as if each sample were there so many times.
    intercept : bool, default False
        Learn a constant as well, without a ridge on it.
    alphas : sequence of float
        Ridges, relative to the weighted mean of the diagonal of the kernel.

    Returns
    -------
    LeaveOneOut

    Notes
    -----
    With weights S, M = S^(1/2) K S^(1/2) + lam I and A = M^-1, the residual of a sample that is left out is
    (A e)_i / A_ii, e = S^(1/2) Y; with an intercept A is replaced by P = A - A q q^T A / q^T A q, q = S^(1/2) 1. A
    sample is left out with all of its weight. Cost: O(n^3) once, O(n^2 C) for each ridge.

    References
    ----------
    Without intercept: Rifkin and Lippert, "Notes on regularized least squares", MIT-CSAIL-TR-2007-025. With: Cawley and
    Talbot, "Fast exact leave-one-out cross-validation of sparse least-squares support vector machines", Neural Networks
    17 (2004).

    Examples
    --------
    >>> loo = leave_one_out(np.eye(3), np.array([[0.0], [1.0], [2.0]]), intercept=True, alphas=[1.0])
    >>> loo.residuals[0, :, 0]  # each from the mean of the two others
    array([ 1.5,  0. , -1.5])
    """
    problem = RidgeProblem(kernel, Y, weights=weights, intercept=intercept)
    residuals = np.stack([problem.left_out(alpha) for alpha in alphas])
    errors = np.sum(problem.weights[:, None] * residuals**2, axis=(1, 2)) / problem.weights.sum()
    return LeaveOneOut(np.asarray(alphas, dtype=float), residuals, errors, problem.unit)


class RidgeProblem:
    """Kernel ridge regression for any ridge, from one eigendecomposition.

    Parameters
    ----------
    kernel, Y, weights, intercept
        As for `leave_one_out`.

    Attributes
    ----------
    weights : ndarray of shape (n,)
    unit : float
        Of the ridges: weighted mean of the diagonal of the kernel, 1 if that is 0.
    """

    def __init__(self, kernel, Y, *, weights=None, intercept=False):
        n = len(kernel)
        self.weights = np.ones(n) if weights is None else weights
        self._roots = np.sqrt(self.weights)
        scaled = kernel * self._roots[:, None] * self._roots
        self.unit = float(np.trace(scaled) / self.weights.sum()) or 1.0
        values, self._vectors = scipy.linalg.eigh(scaled, overwrite_a=True, check_finite=False, driver="evd")
        self._values = np.maximum(values, 0.0)  # rounding leaves some below
        self._intercept = intercept
        self._ones = self._vectors.T @ self._roots
        self._targets = self._vectors.T @ (self._roots[:, None] * Y)
        self._squares = None  # of the eigenvectors

    def _solve(self, alpha):
        """(constants (C,), A (e - q b) in the eigenbasis (n, C), 1 / (values + lam))."""
        inverse = 1.0 / (self._values + alpha * self.unit)
        if not self._intercept:
            return np.zeros(self._targets.shape[1]), inverse[:, None] * self._targets, inverse
        seen = inverse * self._ones
        constants = seen @ self._targets / (seen @ self._ones)
        return constants, inverse[:, None] * (self._targets - self._ones[:, None] * constants), inverse

    def solution(self, alpha):
        """Dual coefficients, shape (n, C), and constants, shape (C,), at one ridge > 0. Cost: O(n^2 C)."""
        constants, coefficients, _ = self._solve(alpha)
        return self._roots[:, None] * (self._vectors @ coefficients), constants

    def left_out(self, alpha):
        """Residual at each sample, left out, shape (n, C): its output minus its target. Cost: O(n^2 C)."""
        if self._squares is None:
            self._squares = self._vectors**2
        _, coefficients, inverse = self._solve(alpha)
        diagonal = self._squares @ inverse
        if self._intercept:
            seen = self._vectors @ (inverse * self._ones)
            diagonal = diagonal - seen**2 / (self._ones @ (inverse * self._ones))
        return -(self._vectors @ coefficients) / (diagonal * self._roots)[:, None]
