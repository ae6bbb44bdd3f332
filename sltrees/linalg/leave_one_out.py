"""Kernel ridge regression for every ridge at once, with exact leave-one-out errors, from one eigendecomposition."""

from __future__ import annotations

import typing

import numpy as np

# Ridges tried, relative to the mean of the diagonal: half decades from where float64 still resolves the solution to
# where next to nothing is learned.
ALPHAS = tuple(10.0 ** (k / 2) for k in range(-16, 5))

FEWEST_SAMPLES = 3  # of which one can be left out
ALPHA_OF_FEW = 1.0  # where there are fewer


class Observations(typing.NamedTuple):
    """What samples stand for that are several observations each: these are left out one by one.

    Attributes
    ----------
    groups : ndarray of shape (N,)
        The sample that each observation is merged into; every sample has one.
    Y : ndarray of shape (N, C)
        The target of a sample is the weighted mean of those of its observations.
    weights : ndarray of shape (N,)
        The weight of a sample is the sum of those of its observations.
    """

    groups: np.ndarray
    Y: np.ndarray
    weights: np.ndarray


class RidgeProblem:
    """Kernel ridge regression of several outputs.

    Parameters
    ----------
    kernel : ndarray of shape (n, n), dtype=float64
        Symmetric, positive semidefinite up to rounding. Not changed.
    Y : ndarray of shape (n, C), dtype=float64
    weights : ndarray of shape (n,), optional
        Of the squared residuals, above 0: as if each sample were there so many times.
    intercept : bool, default False
        Learn a constant as well, without a ridge on it.
    observations : Observations, optional
        Of which the samples are merged. By default each sample is one.

    Attributes
    ----------
    unit : float
        Of the ridges: weighted mean of the diagonal of the kernel, 1 if that is 0.

    Notes
    -----
    With weights S, M = S^(1/2) K S^(1/2) + lam I and A = M^-1, the residual of a sample that is left out is
    (A e)_i / A_ii, e = S^(1/2) Y; with an intercept A is replaced by P = A - A q q^T A / q^T A q, q = S^(1/2) 1.

    Merged samples have the same solution as their observations, so that observation i of weight s_i in sample g of
    weight w_g has the leverage h_g s_i / w_g, with 1 - h_g = lam A_gg that of g. Its residual, once it is left out
    alone, is (y_i - f_g) / (1 - h_g s_i / w_g), exactly, and y_i - f_g = y_i - y_g + lam (A e)_g / w_g^(1/2).

    Cost: O(n^3) once, O(n^2 C) for each ridge, O(N C) for N observations.

    References
    ----------
    Without intercept: Rifkin and Lippert, "Notes on regularized least squares", MIT-CSAIL-TR-2007-025. With: Cawley and
    Talbot, "Fast exact leave-one-out cross-validation of sparse least-squares support vector machines", Neural Networks
    17 (2004).

    Examples
    --------
    >>> problem = RidgeProblem(np.eye(3), np.array([[0.0], [1.0], [5.0]]), intercept=True)
    >>> problem.left_out(1.0).ravel()  # each from the mean of the two others
    array([ 3. ,  1.5, -4.5])
    """

    def __init__(self, kernel, Y, *, weights=None, intercept=False, observations=None):
        n = len(kernel)
        self._weights = np.ones(n) if weights is None else weights
        self._merged = None if observations is None else MergedObservations.of(observations, Y, self._weights)
        self._observed_weights = self._weights if observations is None else observations.weights
        self._roots = np.sqrt(self._weights)
        scaled = kernel * self._roots[:, None]
        scaled *= self._roots
        self.unit = float(np.trace(scaled) / self._weights.sum()) or 1.0
        values, self._vectors = np.linalg.eigh(scaled)
        self._values = np.maximum(values, 0.0)  # rounding leaves some below
        self._intercept = intercept
        self._ones = self._vectors.T @ self._roots
        self._targets = self._vectors.T @ (self._roots[:, None] * Y)
        self._squares = None  # of the eigenvectors

    def _solve(self, alpha):
        """Constants (C,), A (e - q constant) in the eigenbasis (n, C), and 1 / (values + lam)."""
        # a ridge that rounds to 0 must not divide by it; the square of rounding is beyond what changes any result
        ridge = max(alpha * self.unit, np.finfo(np.float64).eps ** 2 * (self._values.max() or self.unit))
        inverse = 1.0 / (self._values + ridge)
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
        """For each observation, learned from all others: its output minus its target, (N, C). Cost: O(n^2 C + N C).

        Of two observations or more; three with an intercept.
        """
        if self._squares is None:
            self._squares = self._vectors**2
        _, coefficients, inverse = self._solve(alpha)
        diagonal = self._squares @ inverse
        if self._intercept:
            seen = self._vectors @ (inverse * self._ones)
            diagonal = diagonal - seen**2 / (self._ones @ (inverse * self._ones))
        residuals = self._vectors @ coefficients
        if self._merged is None:
            return -residuals / (diagonal * self._roots)[:, None]
        return -self._merged.left_out(residuals, diagonal, self._roots, alpha * self.unit)

    def error_left_out(self, alpha):
        """Weighted mean of the squares of what `left_out` gives, summed over outputs. Cost: O(n^2 C)."""
        weights = self._observed_weights
        return float(np.sum(weights[:, None] * self.left_out(alpha) ** 2) / weights.sum())

    def choose(self, alphas=ALPHAS, within=0.0):
        """The largest ridge whose error is not above the smallest by more than a share. Cost: O(n^2 C) for each.

        Of `alphas` times the mean weight, so that weights that are all twice as large change nothing.
        """
        mean = float(self._weights.mean())
        if len(self._observed_weights) < FEWEST_SAMPLES:
            return ALPHA_OF_FEW * mean
        errors = {alpha * mean: self.error_left_out(alpha * mean) for alpha in sorted(alphas, reverse=True)}
        limit = min(errors.values()) * (1.0 + within)
        return next((alpha for alpha, error in errors.items() if error <= limit), min(errors, key=errors.get))


class MergedObservations(typing.NamedTuple):
    """Observations among those that share their sample.

    Attributes
    ----------
    groups : ndarray of shape (N,)
    share, others : ndarray of shape (N,)
        Of the weight of the sample: that of the observation, and that of all others, which sum to 1.
    deviations : ndarray of shape (N, C)
        Of targets from that of the sample.
    """

    groups: np.ndarray
    share: np.ndarray
    others: np.ndarray
    deviations: np.ndarray

    @classmethod
    def of(cls, observations, Y, weights):
        """From observations, and targets and weights of what they are merged into. Cost: O(N C)."""
        groups, totals = observations.groups, weights[observations.groups]
        several = np.bincount(groups, minlength=len(weights))[groups] > 1
        # a weight that the sum swallows is still there: without it nothing would be left of its sample
        others = np.maximum((totals - observations.weights) / totals, np.finfo(np.float64).eps)
        share = np.where(several, observations.weights / totals, 1.0)
        deviations = np.where(several[:, None], observations.Y - Y[groups], 0.0)
        return cls(groups, share, np.where(several, others, 0.0), deviations)

    def left_out(self, residuals, diagonal, roots, ridge):
        """Target minus output of each observation that is left out: P e and the diagonal of P are of samples."""
        groups = self.groups
        wanting = self.deviations + ridge * (residuals / roots[:, None])[groups]
        return wanting / (self.others + self.share * (ridge * diagonal)[groups])[:, None]
