"""Kernel ridge regression on all of very many samples, by conjugate gradients on products that are never held."""

from __future__ import annotations

import typing

import numpy as np
import scipy.linalg

from sltrees.linalg.pivoted_cholesky import pivoted_cholesky

TOL = 1e-6  # of the norm of each right side, that its residual is brought below
MAX_STEPS = 300
RANK = 1500  # of the preconditioner
_ROWS = 4096  # of the preconditioner, that a task works on


class IterativeSolution(typing.NamedTuple):
    """What `solve_iteratively` returns.

    Attributes
    ----------
    dual : ndarray of shape (n, C)
    constants : ndarray of shape (C,)
    n_steps : int
    residual : float
        The largest of the relative residuals; above `TOL` if the steps ran out.
    """

    dual: np.ndarray
    constants: np.ndarray
    n_steps: int
    residual: float


def bytes_needed(n, n_outputs):
    """Bytes that `solve_iteratively` takes. Cost: O(1)."""
    return 8 * n * (min(n, RANK) + 12 * (n_outputs + 1))


def solve_iteratively(kernel, X, Y, weights, ridge, rng, executor, advance=None):
    """Solve (S^(1/2) K S^(1/2) + ridge I) A = S^(1/2) (Y - 1 constants), with the constants that fit best.

    Parameters
    ----------
    kernel : sltrees.kernels.unit_rows.UnitRowsKernel
    X, Y, weights : ndarray of shape (n, d), (n, C), (n,)
        Rows of unit norm.
    ridge : float
        Above 0.
    rng : numpy.random.Generator
    executor : ThreadExecutor
    advance : callable, optional
        advance(stage, done, total): of the preconditioner in columns, of the solution in digits.

    Returns
    -------
    IterativeSolution

    Notes
    -----
    All right sides are solved side by side, so that the kernel is looked at once a step. The preconditioner is the
    part of the kernel in `RANK` columns that randomly pivoted Cholesky draws. Cost: O(n^2 (d + C)) a step; memory: 8 n
    RANK bytes.

    References
    ----------
    Diaz, Epperly, Frangella, Tropp, Webber, "Robust, randomized preconditioning for kernel ridge regression", arXiv
    2304.12465.
    """
    n, roots = len(X), np.sqrt(weights)
    advance = advance or (lambda stage, done, total: None)

    def columns(at):
        return kernel.between(X, X[at]) * roots[:, None] * roots[at]

    diagonal = np.where(X.any(axis=1), kernel.of_itself, 0.0) * weights
    found = executor.run(
        lambda: pivoted_cholesky(
            columns, diagonal, min(n, RANK), rng, lambda done, total: advance("preconditioner", done, total)
        )
    )
    strips = [slice(start, start + _ROWS) for start in range(0, n, _ROWS)]
    F = found.factor

    def by_strips(function):
        return executor.map(function, strips)

    inner = sum(by_strips(lambda rows: F[rows].T @ F[rows]))
    inner[np.diag_indices_from(inner)] += ridge
    inner = scipy.linalg.cho_factor(inner, lower=True, overwrite_a=True, check_finite=False)

    def precondition(v):
        seen = scipy.linalg.cho_solve(inner, sum(by_strips(lambda rows: F[rows].T @ v[rows])), check_finite=False)
        return np.concatenate(by_strips(lambda rows: (v[rows] - F[rows] @ seen) / ridge))

    def multiply(v):
        return roots[:, None] * kernel.times_itself(X, roots[:, None] * v, executor) + ridge * v

    right = np.column_stack([roots[:, None] * Y, roots])
    solved, n_steps, residual = _block_conjugate_gradients(
        multiply, precondition, right, lambda digits: advance("conjugate gradients", digits, -np.log10(TOL))
    )
    of_roots = solved[:, -1]
    constants = roots @ solved[:, :-1] / (roots @ of_roots)
    dual = roots[:, None] * (solved[:, :-1] - of_roots[:, None] * constants)
    return IterativeSolution(dual, constants, n_steps, residual)


def _block_conjugate_gradients(multiply, precondition, right, advance):
    """Several right sides, each by steps of its own, until all have converged."""
    sizes = np.linalg.norm(right, axis=0)
    sizes[sizes == 0] = 1.0
    x, residual = np.zeros_like(right), right.copy()
    direction = precondition(residual)
    energy = np.einsum("ij,ij->j", residual, direction)
    n_steps, worst = 0, 1.0
    while n_steps < MAX_STEPS and worst > TOL:
        product = multiply(direction)
        curvature = np.einsum("ij,ij->j", direction, product)
        length = np.divide(energy, curvature, out=np.zeros_like(energy), where=curvature > 0)
        x += length * direction
        residual -= length * product
        n_steps += 1
        worst = float((np.linalg.norm(residual, axis=0) / sizes).max())
        advance(-np.log10(np.clip(worst, TOL, 1.0)))
        preconditioned = precondition(residual)
        before, energy = energy, np.einsum("ij,ij->j", residual, preconditioned)
        ratio = np.divide(energy, before, out=np.zeros_like(energy), where=before > 0)
        direction = preconditioned + ratio * direction
    return x, n_steps, worst
