"""Preconditioned conjugate gradients for A x = b, A symmetric positive definite, known by its products alone."""

from __future__ import annotations

import math
import typing

import numpy as np
import scipy.linalg

# Normwise backward error |b - A x| / (|A| |x| + |b|) at which a solution is done: it then solves a system that differs
# from the given one by this share. 45 roundings: Cholesky, whose errors largely cancel, lands well below (some 1e-16 at
# n = 1000), and conjugate gradients, whose attainable error is a few roundings, gets there; much less is out of reach
# for both, because a residual of n terms is itself only known to about sqrt(n) roundings.
TOL = 1e-14

# The residual that is carried along departs from the true one by rounding. When it is small the true one is formed; if
# that is too large still, a new run starts from it (iterative refinement), as long as each run at least halves it.
MAX_RUNS = 4

# Steps after which the speed so far says something about how many are to come.
STEPS_BEFORE_FORECAST = 3


class Outcome(typing.NamedTuple):
    """What `conjugate_gradients` returns."""

    x: np.ndarray  # (n,) the last iterate
    converged: bool
    definite: bool  # False if a direction of curvature <= 0 was met
    n_steps: int  # products with A but for those that form true residuals
    tridiagonal: tuple  # (diagonal, off-diagonal) of the Lanczos matrices of all runs: see `ritz_values`
    residual: np.ndarray  # (n,) b - A x, as it was carried along
    reduction: float  # |b - A x| over that of the start


def conjugate_gradients(
    multiply, precondition, right, norm, *, max_steps, start=None, tol=TOL, forecast=False, enough=None
):
    """Solve A x = right to a normwise backward error of `tol`, or until `enough` says so.

    Parameters
    ----------
    multiply, precondition : callable
        v -> A v, and v -> M^-1 v with M symmetric positive definite.
    right : ndarray of shape (n,)
    norm : float
        |A|, or an estimate. One from above loosens the stopping rule by its excess, one from below tightens it.
    max_steps : int
        Steps at most.
    start : ndarray of shape (n,), optional
        Where to start; by default 0.
    tol : float, default TOL
    forecast : bool, default False
        Give up as soon as the speed so far says that `max_steps` will not do.
    enough : callable, optional
        enough(x, residual) says whether x is a solution, in place of its backward error; `norm` is of no account then.

    Returns
    -------
    Outcome

    Notes
    -----
    Cost: O(steps) products and preconditionings, and O(n) besides in each step. In exact arithmetic the number of steps
    is at most n, and about sqrt(k)/2 ln(2/tol) with k the condition number of M^-1 A, fewer if its eigenvalues
    come in clusters.

    References
    ----------
    Hestenes, Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems", 1952.

    Examples
    --------
    >>> A = np.diag([1.0, 2.0, 3.0])
    >>> outcome = conjugate_gradients(lambda v: A @ v, lambda v: v, np.ones(3), 3.0, max_steps=10)
    >>> outcome.converged, outcome.n_steps
    (True, 3)
    """
    right_norm = _norm(right)
    x = np.zeros_like(right) if start is None else np.array(start)
    residual = np.array(right) if start is None else right - multiply(x)
    first = last = _norm(residual)
    n_steps, coefficients = 0, []

    def outcome(converged, definite=True):
        reduction = _norm(residual) / first if first > 0 else 1.0
        return Outcome(x, converged, definite, n_steps, _tridiagonal(coefficients), residual, reduction)

    for run in range(MAX_RUNS + 1):
        size = _norm(residual)  # of a true residual
        if enough(x, residual) if enough else size <= tol * (norm * _norm(x) + right_norm):
            return outcome(True)
        if run == MAX_RUNS or (run and not size <= last / 2):
            break
        last = size
        preconditioned = precondition(residual)
        energy = float(residual @ preconditioned)
        direction = np.array(preconditioned)  # a copy: it may be the residual itself, which changes in place
        while True:
            if n_steps == max_steps:
                return outcome(False)
            product = multiply(direction)
            curvature = float(direction @ product)
            if not curvature > 0 or not 0 < energy < math.inf:  # also NaN
                return outcome(False, definite=False)
            length = energy / curvature
            x += length * direction
            residual -= length * product
            n_steps += 1
            size, target = _norm(residual), tol * (norm * _norm(x) + right_norm)
            if enough(x, residual) if enough else size <= target:
                break
            if forecast and n_steps >= STEPS_BEFORE_FORECAST and _steps(n_steps, first, size, target) > max_steps:
                return outcome(False)
            preconditioned = precondition(residual)
            energy, energy_before = float(residual @ preconditioned), energy
            ratio = energy / energy_before
            direction = preconditioned + ratio * direction
            coefficients.append((length, ratio))
        coefficients.append((length, 0.0))
        residual = right - multiply(x)
    return outcome(False)


def ritz_values(tridiagonal):
    """Estimates of eigenvalues of M^-1 A from inside its spectrum, ascending; the outermost are the best.

    Notes
    -----
    Cost: O(steps^2).

    Examples
    --------
    >>> A = np.diag([1.0, 2.0, 3.0])
    >>> outcome = conjugate_gradients(lambda v: A @ v, lambda v: v, np.ones(3), 3.0, max_steps=10)
    >>> ritz_values(outcome.tridiagonal).round(6)
    array([1., 2., 3.])
    """
    diagonal, beside = tridiagonal
    if len(diagonal) == 0:
        return np.zeros(0)
    return scipy.linalg.eigvalsh_tridiagonal(diagonal, beside)


def found_singular(outcome):
    """Whether A turned out not to be positive definite to working precision.

    That is so after a curvature <= 0, or if the smallest Ritz value is rounding beside the largest: a singular system
    has solutions of tiny backward error too, but huge ones. Cost: O(steps^2).
    """
    if not all(np.isfinite(part).all() for part in outcome.tridiagonal):  # an overflow
        return True
    values = ritz_values(outcome.tridiagonal)
    vanishing = len(values) > 0 and values[0] <= len(outcome.x) * np.finfo(np.float64).eps * values[-1]
    return not outcome.definite or bool(vanishing)


def solve_scaled(solve, right):
    """Solve a linear system for a right side of any size, so that squares neither overflow nor vanish on the way.

    Parameters
    ----------
    solve : callable
        Right side with entries of at most 2 -> solution, or None.
    right : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,) or None
        None if `solve` has none, or if it overflows. Zeros for zeros.

    Notes
    -----
    Cost: O(n), and one call of `solve`.

    Examples
    --------
    >>> solve_scaled(lambda right: right / 4.0, np.array([1e300, 2e300]))
    array([2.5e+299, 5.0e+299])
    """
    unit = float(np.abs(right).max(initial=0.0))
    if unit == 0.0:
        return np.zeros(len(right))
    unit = 2.0 ** np.floor(np.log2(unit))  # scaled by it nothing is rounded
    with np.errstate(over="ignore", invalid="ignore"):
        solution = solve(np.asarray(right, dtype=np.float64) / unit)
        if solution is None:
            return None
        solution = solution * unit
    return solution if np.isfinite(solution).all() else None


def _tridiagonal(coefficients):
    lengths = np.array([length for length, _ in coefficients])
    ratios = np.array([ratio for _, ratio in coefficients])
    if not len(lengths):
        return lengths, ratios
    with np.errstate(all="ignore"):
        diagonal = 1.0 / lengths
        diagonal[1:] += ratios[:-1] / lengths[:-1]
        return diagonal, np.sqrt(ratios[:-1]) / lengths[:-1]


def _steps(n_steps, first, size, target):
    """How many steps it will take in all at the average speed so far: from `first` to `target`."""
    return n_steps * math.log(first / target) / math.log(first / size) if size < first and target > 0 else math.inf


def _norm(v):
    return math.sqrt(float(v @ v))
