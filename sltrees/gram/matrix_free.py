"""Solving (G + c I) g = r by products with G alone: no n x n array."""

from __future__ import annotations

import typing

import numpy as np
import scipy.linalg

from sltrees.gram.curvature import most_curved, roots_of, solve_curved
from sltrees.gram.products import GramProducts, noise
from sltrees.linalg.conjugate_gradients import TOL, conjugate_gradients, found_singular

# Steps at most in one solve. They suffice for a condition number, after preconditioning, of about (2 MAX_STEPS / 33)^2,
# that is 1.5e4, where eigenvalues are spread evenly, and for more where they come in clusters (33 = ln(2 / TOL)).
MAX_STEPS = 2000

# Rank of the sketch, which costs as many products. It is made in a solve that takes more steps than the second number,
# or before one if the one before took more than RANK: it then pays for itself in two or three solves.
RANK = 64
STEPS_BEFORE_SKETCH = 2 * RANK

# A sketch of an older G is made anew when steps have grown by this factor since it was made.
STALE = 2


class SketchState(typing.NamedTuple):
    """What `MatrixFreeGram.solve` remembers of the systems before, but for the sketch itself."""

    n_made: int  # sketches since the beginning
    n_cg_steps: int
    wants_sketch: bool
    steps_when_sketched: int


class MatrixFreeGram:
    """G known by its products, for n beyond what an array holds: a `sltrees.gram.protocol.GramSystem`.

    Conjugate gradients run with the diagonal as preconditioner at first. Where that takes long, a sketch of G of rank
    64 (a Nystrom approximation, from as many products) takes its largest eigenvalues out, and is kept while it serves.

    Parameters
    ----------
    product, diagonal : callable
        As of `GramProducts`.
    n_samples : int
        n.
    tol : float, optional
        Backward error at which a solution is done; by default that of `GramMatrix`.

    Attributes
    ----------
    n_cg_steps : int
        Since the beginning. Products are somewhat more: for the sketch, the norm of G and true residuals.
    n_factorisations : int
        0.

    References
    ----------
    Frangella, Tropp, Udell, "Randomized Nystrom Preconditioning", arXiv 2110.02820.

    Notes
    -----
    Memory: O(64 n). Evenly spread eigenvalues are taken up to a condition number of G + c I of about 10^4, not counting
    the 64 largest, and more where eigenvalues come in clusters.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees.execution.threads import ThreadExecutor
    >>> d = np.array([1.0, 3.0])
    >>> gram = MatrixFreeGram(lambda v: d * v, lambda: d, 2)
    >>> with ThreadExecutor(1) as executor:
    ...     gram.refresh(executor)
    ...     gram.solve(1.0, np.array([2.0, 8.0]), executor)
    array([1., 2.])
    """

    pairs = None
    state_class = SketchState

    def __init__(self, product, diagonal, n_samples, *, tol=TOL):
        self._g, self.tol = GramProducts(product, diagonal, n_samples), tol
        self.n_cg_steps = 0
        self.n_factorisations = 0
        self._sketch = None  # of this G or an older one
        self._n_sketches = 0  # made since the beginning
        self._wants_sketch = False  # whether the solve before was slow for want of one
        self._steps_when_sketched = 0  # that the first solve with it took

    @staticmethod
    def bytes_needed(n_samples, n_threads=1):
        """As of `GramSystem`: at most. Cost: O(1)."""
        return 8 * n_samples * (4 * RANK + 16)

    @property
    def diagonal(self):
        """As of `GramProducts`."""
        return self._g.diagonal

    @property
    def norm(self):
        """As of `GramProducts`."""
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

    def solve(self, c, right, executor, forcing=None, start=None, curvature=None):
        """As of `GramSystem`, to a backward error of `tol`: |right - (G + c I) g| <= tol (|G + c I| |g| + |right|).

        None also if MAX_STEPS do not get there. Sets: n_cg_steps. Cost: at most MAX_STEPS products, and O(64 n) besides
        for each.
        """
        roots = roots_of(curvature)
        return solve_curved(lambda right: self._solve(c, right, executor, roots), right, roots)

    def _solve(self, c, right, executor, roots):
        """`solve` for entries of at most 2: with the diagonal first, then with a sketch, then with a new one."""
        if not (self.diagonal + c).min() > 0:
            return None
        start, steps = None, 0
        if self._sketch is None and not self._wants_sketch:
            outcome = self._conjugate_gradients(c, right, STEPS_BEFORE_SKETCH, start, roots)
            self._wants_sketch = outcome.n_steps > RANK
            if outcome.converged or not outcome.definite:
                return _unless_singular(outcome)
            start, steps = outcome.x, outcome.n_steps
        elif self._sketch is not None:
            limit = STALE * self._steps_when_sketched + RANK
            outcome = self._conjugate_gradients(c, right, min(limit, MAX_STEPS), start, roots)
            if outcome.converged or not outcome.definite:
                return _unless_singular(outcome)
            start, steps = outcome.x, outcome.n_steps
        self._make_sketch(executor)
        outcome = self._conjugate_gradients(c, right, max(MAX_STEPS - steps, 0), start, roots)
        self._steps_when_sketched = outcome.n_steps
        return _unless_singular(outcome) if outcome.converged else None

    def _conjugate_gradients(self, c, right, max_steps, start, roots):
        if self._sketch is None:
            scale = roots * roots * self.diagonal + c

            def precondition(v):
                return v / scale

        else:
            precondition = self._sketch.preconditioner(c, roots)
        outcome = conjugate_gradients(
            lambda v: roots * self._g.product(roots * v) + c * v,
            precondition,
            right,
            most_curved(roots) * self.norm + c,
            max_steps=max_steps,
            start=start,
            tol=self.tol,
        )
        self.n_cg_steps += outcome.n_steps
        return outcome

    def _make_sketch(self, executor):
        """Sets: _sketch, _n_sketches."""
        self._sketch = None
        self._n_sketches += 1
        basis = executor.run(_orthonormal, self._g.n_samples, min(RANK, self._g.n_samples))
        image = np.empty_like(basis)
        for k in range(basis.shape[1]):
            image[:, k] = self._g.product(np.ascontiguousarray(basis[:, k]))
        self._sketch = executor.run(_nystrom, basis, image)

    def solver_state(self):
        """As of `GramSystem`."""
        return SketchState(self._n_sketches, self.n_cg_steps, self._wants_sketch, self._steps_when_sketched)

    def make_preconditioner(self, state, executor, curvature=None):
        """As of `GramSystem`: the sketch; returns True. Cost: 64 products."""
        self._make_sketch(executor)
        return True

    def resume(self, state):
        """As of `GramSystem`. Cost: O(1)."""
        self._n_sketches, self.n_cg_steps, self._wants_sketch, self._steps_when_sketched = state

    def is_singular(self, executor):
        """As of `GramSystem`, by `GramProducts.seem_singular`. Cost: at most MAX_STEPS products."""
        singular, n_steps = self._g.seem_singular(self.tol, MAX_STEPS)
        self.n_cg_steps += n_steps
        return singular


class _Sketch(typing.NamedTuple):
    """G is about vectors diag(values) vectors^T, with orthonormal columns and values falling to `values[-1]` > 0."""

    vectors: np.ndarray
    values: np.ndarray

    def preconditioner(self, c, roots=1.0):
        """v -> M^-1 v, M = G's sketch + c I, with the smallest value in place of what the sketch leaves out."""
        if not len(self.values):
            return lambda v: v
        if np.ndim(roots):
            return self._curved_preconditioner(c, roots)
        factors = (self.values[-1] + c) / (self.values + c) - 1.0

        def precondition(v):
            return v + np.dot(self.vectors, factors * np.dot(v, self.vectors))

        return precondition

    def _curved_preconditioner(self, c, roots):
        """The same for R (the sketch of G) R + c I, by the identity of Woodbury. Cost: O(n k^2) for k vectors."""
        diagonal = self.values[-1] * np.square(roots) + c
        over = roots / diagonal
        columns = self.vectors * np.sqrt(self.values - self.values[-1])
        inner = (columns.T * (roots * over)) @ columns
        inner.flat[:: len(inner) + 1] += 1.0
        factor = scipy.linalg.cho_factor(inner, lower=True)

        def precondition(v):
            return v / diagonal - over * np.dot(columns, scipy.linalg.cho_solve(factor, np.dot(over * v, columns)))

        return precondition


def _nystrom(basis, image):
    """The sketch of G from an orthonormal basis and its image under G. Cost: O(n k^2) for k columns."""
    shift = np.finfo(np.float64).eps * np.linalg.norm(image)
    image = image + shift * basis  # so that rounding leaves the core positive definite
    core = basis.T @ image
    try:
        root = np.linalg.cholesky((core + core.T) / 2)
    except np.linalg.LinAlgError:  # G is not positive semidefinite, or 0
        return _Sketch(basis[:, :0], np.zeros(0))
    half = scipy.linalg.solve_triangular(root, image.T, lower=True, check_finite=False).T
    vectors, singular, _ = np.linalg.svd(half, full_matrices=False)
    values = np.maximum(singular**2 - shift, 0.0)
    known = values > len(basis) * shift
    return _Sketch(np.ascontiguousarray(vectors[:, known]), values[known])


def _orthonormal(n, k):
    return np.linalg.qr(noise(n, k))[0]


def _unless_singular(outcome):
    return None if found_singular(outcome) else outcome.x
