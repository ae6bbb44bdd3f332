"""Solving (G + c I) g = r by conjugate gradients, preconditioned by a factor of a sketch of G made for each G."""

from __future__ import annotations

import numpy as np

from sltrees.gram.matrix import FactorState
from sltrees.gram.matrix_free import MAX_STEPS, MatrixFreeGram
from sltrees.linalg.cholesky import CholeskyFactor
from sltrees.linalg.conjugate_gradients import conjugate_gradients, found_singular

# Backward error at which a solution is done. A Newton step divides the residual by some 10 to 50, which needs no more;
# the other solvers, whose systems cost less, go to rounding.
TOL = 1e-8

# Share of the right side that a solution may leave, whatever its backward error: beyond it, damping has to rise.
MOST_LEFT = 0.1

_POWER_STEPS = 8  # products with the sketch that estimate |G|

# Added to the diagonal of the sketch, relative to trace(G)/n, so that rounding leaves it positive definite.
_FLOOR = 1e-12


class SketchedGram(MatrixFreeGram):
    """G known by its products and a sketch, the solver of [BPSW]; the interface of `GramMatrix` but for its arrays.

    Parameters
    ----------
    product, diagonal : callable
        As of `MatrixFreeGram`.
    n_samples : int
        n.
    approximate : callable
        approximate(executor) is an array of shape (n, n), C order, float64, whose product with an inverse of G has
        eigenvalues near 1: then conjugate gradients take few steps.
    tol : float, optional
        Backward error at which a solution is done.

    Attributes
    ----------
    n_cg_steps, n_factorisations : int
        Since the beginning.

    References
    ----------
    [BPSW] van den Brand, Peng, Song, Weinstein, "Training (Overparametrized) Neural Networks in Near-Linear Time",
    arXiv 2006.11648: sketch, factor, iterate.

    Notes
    -----
    Memory: O(n^2).

    Examples
    --------
    >>> from sltrees.execution.threads import ThreadExecutor
    >>> d = np.array([1.0, 3.0])
    >>> gram = SketchedGram(lambda v: d * v, lambda: d, 2, lambda executor: np.diag(1.1 * d))
    >>> with ThreadExecutor(1) as executor:
    ...     gram.refresh(executor)
    ...     gram.solve(1.0, np.array([2.0, 8.0]), executor)
    array([1., 2.])
    """

    def __init__(self, product, diagonal, n_samples, approximate, *, tol=TOL):
        super().__init__(product, diagonal, n_samples, tol=tol)
        self._approximate = approximate
        self._factor = CholeskyFactor(n_samples)
        self._factor_is_of_g = False  # whether G is still the one that was sketched

    @staticmethod
    def bytes_needed(n_samples, n_threads=1):
        """Bytes that solving for n samples takes, without what `product` and `approximate` take. Cost: O(n)."""
        return MatrixFreeGram.bytes_needed(n_samples) + 8 * n_samples**2 + CholeskyFactor.bytes_needed(n_samples)

    def refresh(self, executor):
        """Take note that G has changed. What depends on it is computed when needed. Cost: O(1)."""
        super().refresh(executor)
        self._factor_is_of_g = False

    def _solve(self, c, right, executor):
        """`solve` for entries of at most 2."""
        if not (self.diagonal + c).min() > 0:
            return None
        added = c + _FLOOR * self.trace / self.n_samples
        if not (self._factor_is_of_g and self._factor.c == added) and not self._factorise(added, executor):
            return None
        outcome = conjugate_gradients(
            lambda v: self._product(v) + c * v,
            lambda v: self._factor.solve(v, executor),
            right,
            self.norm + c,
            max_steps=MAX_STEPS,
            tol=self.tol,
        )
        self.n_cg_steps += outcome.n_steps
        if not outcome.converged or found_singular(outcome):
            return None
        # where G + c I is singular, what has no solution makes x so long that its backward error tells nothing
        left = right - self._product(outcome.x) - c * outcome.x
        return outcome.x if left @ left <= (MOST_LEFT * np.sqrt(right @ right)) ** 2 else None

    def _factorise(self, added, executor):
        """Sketch G, add to its diagonal, and factorise; False if that fails. Sets: _factor, n_factorisations."""
        self.n_factorisations += 1
        self._factor_is_of_g = False
        sketch = self._approximate(executor)
        if self._norm is None:
            self._norm = _norm(sketch)
        self._factor_is_of_g = self._factor.factorise(sketch, added, executor)
        return self._factor_is_of_g

    def solver_state(self):
        """What the next solution depends on besides the system and the factor: a `FactorState`. Cost: O(1)."""
        return FactorState(self.n_factorisations, self.n_cg_steps, self._factor.c, 0)

    def make_preconditioner(self, state, executor):
        """Make the factor that a later state tells of, of G as it is now; False if it does not exist.

        Cost: that of a sketch and O(n^3 / 3), or O(1) where the state tells of none.
        """
        return state.c is None or self._factorise(state.c, executor)

    def resume(self, state):
        """Go on as after the solution that left this state. Cost: O(1)."""
        self.n_factorisations, self.n_cg_steps, *_ = state


def _norm(matrix):
    """Largest eigenvalue of a positive semidefinite matrix, from below, by the power method: |G| up to the sketch."""
    v, norm = matrix.sum(axis=1), 0.0
    for _ in range(_POWER_STEPS):
        length = float(np.sqrt(v @ v))
        if not 0 < length < np.inf:
            break
        v = v / length
        product = matrix @ v
        norm, v = max(norm, float(v @ product)), product
    return norm
