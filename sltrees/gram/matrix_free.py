"""Solving (G + c I) g = r by products with G alone: no n x n array."""

from __future__ import annotations

import typing

import numpy as np
import scipy.linalg

from sltrees.linalg.conjugate_gradients import TOL, conjugate_gradients, found_singular, solve_scaled

# Steps at most in one solve. They suffice for a condition number, after preconditioning, of about (2 MAX_STEPS / 33)^2,
# that is 1.5e4, where eigenvalues are spread evenly, and for more where they come in clusters (33 = ln(2 / TOL)).
MAX_STEPS = 2000

# Rank of the sketch, which costs as many products. It is made in a solve that takes more steps than the second number,
# or before one if the one before took more than RANK: it then pays for itself in two or three solves.
RANK = 64
STEPS_BEFORE_SKETCH = 2 * RANK

# A sketch of an older G is made anew when steps have grown by this factor since it was made.
STALE = 2

_POWER_STEPS = 8  # products that estimate |G|


class SketchState(typing.NamedTuple):
    """What `MatrixFreeGram.solve` remembers of the systems before, but for the sketch itself."""

    n_made: int  # sketches since the beginning
    n_cg_steps: int
    wants_sketch: bool
    steps_when_sketched: int


class MatrixFreeGram:
    """G known by its products, for n beyond what an array holds; the interface of `GramMatrix` but for its arrays.

    Conjugate gradients run with the diagonal as preconditioner at first. Where that takes long, a sketch of G of rank
    64 (a Nystrom approximation, from as many products) takes its largest eigenvalues out, and is kept while it serves.

    Parameters
    ----------
    product : callable
        v -> G v, for v of shape (n,), both float64, for the current pattern. It must be correct to rounding of float64,
        and the same for the same v.
    diagonal : callable
        () -> diag(G), of shape (n,).
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

    pairs = None  # nothing is counted

    def __init__(self, product, diagonal, n_samples, *, tol=TOL):
        self._product, self._diagonal_of, self.n_samples, self.tol = product, diagonal, n_samples, tol
        self.n_cg_steps = 0
        self.n_factorisations = 0
        self._diagonal = None  # of the current G; asked for when needed
        self._norm = None  # estimate of |G| for the current G
        self._sketch = None  # of this G or an older one
        self._n_sketches = 0  # made since the beginning
        self._wants_sketch = False  # whether the solve before was slow for want of one
        self._steps_when_sketched = 0  # that the first solve with it took

    @staticmethod
    def bytes_needed(n_samples, n_threads=1):
        """Bytes that solving for n samples takes at most, without what `product` takes. Cost: O(1)."""
        return 8 * n_samples * (4 * RANK + 16)

    @property
    def diagonal(self):
        """diag(G). Cost: O(1), and one call of `diagonal` after a change."""
        if self._diagonal is None:
            self._diagonal = np.array(self._diagonal_of(), dtype=np.float64)
        return self._diagonal

    @property
    def norm(self):
        """Estimate of |G| from below. Cost: O(1), and eight products after a change."""
        return self._estimate_norm()

    @property
    def trace(self):
        """trace(G). Cost: O(n)."""
        return float(self.diagonal.sum())

    def product(self, v):
        """G v for v of shape (n,), float64. Cost: one product."""
        return self._product(v)

    def refresh(self, executor):
        """Take note that G has changed. What depends on it is computed when needed. Cost: O(1)."""
        self._diagonal = self._norm = None

    def solve(self, c, right, executor):
        """Solve (G + c I) g = right.

        Parameters
        ----------
        c : float
            Ridge and damping.
        right : ndarray of shape (n,)
        executor : ThreadExecutor

        Returns
        -------
        ndarray of shape (n,) or None
            g, with |right - (G + c I) g| <= tol (|G + c I| |g| + |right|). None if G + c I is not positive definite to
            working precision as far as the steps taken can tell, if g overflows, or if MAX_STEPS do not get there.

        Notes
        -----
        Sets: n_cg_steps. Cost: at most MAX_STEPS products, and O(64 n) besides for each.
        """
        return solve_scaled(lambda right: self._solve(c, right, executor), right)

    def _solve(self, c, right, executor):
        """`solve` for entries of at most 2: with the diagonal first, then with a sketch, then with a new one."""
        if not (self.diagonal + c).min() > 0:
            return None
        start, steps = None, 0
        if self._sketch is None and not self._wants_sketch:
            outcome = self._conjugate_gradients(c, right, STEPS_BEFORE_SKETCH, start)
            self._wants_sketch = outcome.n_steps > RANK
            if outcome.converged or not outcome.definite:
                return _unless_singular(outcome)
            start, steps = outcome.x, outcome.n_steps
        elif self._sketch is not None:
            limit = STALE * self._steps_when_sketched + RANK
            outcome = self._conjugate_gradients(c, right, min(limit, MAX_STEPS), start)
            if outcome.converged or not outcome.definite:
                return _unless_singular(outcome)
            start, steps = outcome.x, outcome.n_steps
        self._make_sketch(executor)
        outcome = self._conjugate_gradients(c, right, max(MAX_STEPS - steps, 0), start)
        self._steps_when_sketched = outcome.n_steps
        return _unless_singular(outcome) if outcome.converged else None

    def _conjugate_gradients(self, c, right, max_steps, start):
        if self._sketch is None:
            scale = self.diagonal + c

            def precondition(v):
                return v / scale

        else:
            precondition = self._sketch.preconditioner(c)
        outcome = conjugate_gradients(
            lambda v: self._product(v) + c * v,
            precondition,
            right,
            self._estimate_norm() + c,
            max_steps=max_steps,
            start=start,
            tol=self.tol,
        )
        self.n_cg_steps += outcome.n_steps
        return outcome

    def _estimate_norm(self):
        """|G| from below, by the power method, so that the stopping rule is at least as strict as it says."""
        if self._norm is None:
            v = _noise(self.n_samples, 1)[:, 0]
            norm = float(self.diagonal.max())
            for _ in range(_POWER_STEPS):
                length = float(np.sqrt(np.dot(v, v)))
                if not 0 < length < np.inf:
                    break
                v = v / length
                product = self._product(v)
                norm, v = max(norm, float(np.dot(v, product))), product
            self._norm = norm
        return self._norm

    def _make_sketch(self, executor):
        """Sets: _sketch, _n_sketches."""
        self._sketch = None
        self._n_sketches += 1
        basis = executor.run(_orthonormal, self.n_samples, min(RANK, self.n_samples))
        image = np.empty_like(basis)
        for k in range(basis.shape[1]):
            image[:, k] = self._product(np.ascontiguousarray(basis[:, k]))
        self._sketch = executor.run(_nystrom, basis, image)

    def solver_state(self):
        """What the next solution depends on besides the system and the sketch: a `SketchState`. Cost: O(1)."""
        return SketchState(self._n_sketches, self.n_cg_steps, self._wants_sketch, self._steps_when_sketched)

    def make_preconditioner(self, state, executor):
        """Make the sketch that a later state tells of, of G as it is now; returns True. Cost: 64 products."""
        self._make_sketch(executor)
        return True

    def resume(self, state):
        """Go on as after the solution that left this state, the sketch of that time having been made. Cost: O(1)."""
        self._n_sketches, self.n_cg_steps, self._wants_sketch, self._steps_when_sketched = state

    def is_singular(self, executor):
        """Whether G is singular to working precision, as far as products tell.

        That is so if its diagonal has a zero, or if an eigenvalue estimated by conjugate gradients on a random right
        hand side vanishes beside the largest. True is certain up to rounding; a small eigenvalue may be missed if
        MAX_STEPS do not reveal it. Cost: at most MAX_STEPS products.
        """
        if not self.diagonal.min() > 0:
            return True
        with np.errstate(over="ignore", invalid="ignore"):
            right = _noise(self.n_samples, 2)[:, 1]
            scale = self._estimate_norm()
            outcome = conjugate_gradients(self._product, lambda v: v, right, scale, max_steps=MAX_STEPS, tol=self.tol)
        self.n_cg_steps += outcome.n_steps
        return found_singular(outcome)


class _Sketch(typing.NamedTuple):
    """G is about vectors diag(values) vectors^T, with orthonormal columns and values falling to `values[-1]` > 0."""

    vectors: np.ndarray
    values: np.ndarray

    def preconditioner(self, c):
        """v -> M^-1 v, M = G's sketch + c I, with the smallest value in place of what the sketch leaves out."""
        if not len(self.values):
            return lambda v: v
        factors = (self.values[-1] + c) / (self.values + c) - 1.0

        def precondition(v):
            return v + np.dot(self.vectors, factors * np.dot(v, self.vectors))

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


def _noise(n, k):
    """The same (n, k) standard normal numbers each time."""
    return np.random.default_rng(0).standard_normal((k, n)).T


def _orthonormal(n, k):
    return np.linalg.qr(_noise(n, k))[0]


def _unless_singular(outcome):
    return None if found_singular(outcome) else outcome.x
