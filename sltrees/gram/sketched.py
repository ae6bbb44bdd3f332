"""Solving (G + c I) g = r by conjugate gradients, preconditioned by a factor of a sketch of G made for each G."""

from __future__ import annotations

import numpy as np

from sltrees.gram.curvature import most_curved, roots_of, solve_curved
from sltrees.gram.matrix import FactorState
from sltrees.gram.matrix_free import MAX_STEPS, MatrixFreeGram
from sltrees.gram.products import GramProducts
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


class SketchedGram:
    """G known by its products and a sketch, the solver of [BPSW]: a `sltrees.gram.protocol.GramSystem`.

    Parameters
    ----------
    product, diagonal : callable
        As of `GramProducts`.
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

    pairs = None
    state_class = FactorState

    def __init__(self, product, diagonal, n_samples, approximate, *, tol=TOL):
        self._g, self._approximate, self.tol = GramProducts(product, diagonal, n_samples), approximate, tol
        self.n_cg_steps = 0
        self.n_factorisations = 0
        self._factor = CholeskyFactor(n_samples)
        self._factor_is_of_g = False  # whether G is still the one that was sketched
        self._factor_roots = 1.0  # of the curvatures it was sketched with

    @staticmethod
    def bytes_needed(n_samples, n_threads=1):
        """As of `GramSystem`, without what `approximate` takes, too. Cost: O(n)."""
        vectors = MatrixFreeGram.bytes_needed(n_samples)  # and more
        return vectors + 8 * n_samples**2 + CholeskyFactor.bytes_needed(n_samples)

    @property
    def diagonal(self):
        """As of `GramProducts`."""
        return self._g.diagonal

    @property
    def norm(self):
        """As of `GramProducts`, or |G| up to the sketch, where there is one: then O(n^2)."""
        return self._g.norm

    @property
    def trace(self):
        """As of `GramProducts`."""
        return self._g.trace

    def product(self, v):
        """As of `GramSystem`. Cost: one product."""
        return self._g.product(v)

    def refresh(self, executor):
        """As of `GramSystem`. Cost: O(1): what depends on G is computed when it is needed."""
        self._g.forget()
        self._factor_is_of_g = False

    def solve(self, c, right, executor, forcing=None, start=None, curvature=None):
        """As of `GramSystem`, to a backward error of `tol`.

        None also if MAX_STEPS do not get there, or if more than a tenth of `right` is left over. Sets: n_cg_steps,
        n_factorisations. Cost: for a new G or c a sketch and O(n^3 / 3); at most MAX_STEPS products, and O(n^2) besides
        for each.
        """
        roots = roots_of(curvature)
        return solve_curved(lambda right: self._solve(c, right, executor, roots), right, roots)

    def _solve(self, c, right, executor, roots):
        """`solve` for entries of at most 2."""
        if not (self.diagonal + c).min() > 0:
            return None
        added = c + _FLOOR * self.trace / self._g.n_samples
        is_here = self._factor_is_of_g and self._factor.c == added and np.array_equal(self._factor_roots, roots)
        if not is_here and not self._factorise(added, executor, roots):
            return None

        def multiply(v):
            return roots * self._g.product(roots * v) + c * v

        outcome = conjugate_gradients(
            multiply,
            lambda v: self._factor.solve(v, executor),
            right,
            most_curved(roots) * self.norm + c,
            max_steps=MAX_STEPS,
            tol=self.tol,
        )
        self.n_cg_steps += outcome.n_steps
        if not outcome.converged or found_singular(outcome):
            return None
        # where G + c I is singular, what has no solution makes x so long that its backward error tells nothing
        left = right - roots * self._g.product(roots * outcome.x) - c * outcome.x
        return outcome.x if left @ left <= (MOST_LEFT * np.sqrt(right @ right)) ** 2 else None

    def _factorise(self, added, executor, roots):
        """Sketch G, add to its diagonal, and factorise; False if that fails. Sets: _factor, n_factorisations."""
        self.n_factorisations += 1
        self._factor_is_of_g, self._factor_roots = False, roots
        sketch = self._approximate(executor)
        self._g.suggest_norm(lambda: _norm(sketch))
        if np.ndim(roots):
            sketch *= roots
            sketch *= roots[:, None]
        self._factor_is_of_g = self._factor.factorise(sketch, added, executor)
        return self._factor_is_of_g

    def solver_state(self):
        """As of `GramSystem`."""
        return FactorState(self.n_factorisations, self.n_cg_steps, self._factor.c, 0)

    def make_preconditioner(self, state, executor, curvature=None):
        """As of `GramSystem`: the factor. Cost: that of a sketch and O(n^3 / 3), or O(1) where there was none."""
        return state.c is None or self._factorise(state.c, executor, roots_of(curvature))

    def resume(self, state):
        """As of `GramSystem`. Cost: O(1)."""
        self.n_factorisations, self.n_cg_steps, *_ = state

    def is_singular(self, executor):
        """As of `GramSystem`, by `GramProducts.seem_singular`. Cost: at most MAX_STEPS products."""
        singular, n_steps = self._g.seem_singular(self.tol, MAX_STEPS)
        self.n_cg_steps += n_steps
        return singular


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
