"""The Gram matrix G = J J^T = (H o X X^T) / m as an array, and solving (G + c I) g = r with it."""

from __future__ import annotations

import copy
import typing

import numpy as np

from sltrees._core._gram import multiply_counts
from sltrees._core._jacobian import add_pair_counts
from sltrees._validation import as_choice
from sltrees.gram.curvature import most_curved, roots_of, solve_curved
from sltrees.gram.pair_counts import PairCounts
from sltrees.linalg.cholesky import CholeskyFactor
from sltrees.linalg.conjugate_gradients import conjugate_gradients, found_singular

SOLVERS = ("auto", "cholesky", "cg")

# Beyond, a factorisation takes the better part of a minute, and a step of conjugate gradients without G less than one
# with it, however much memory there is.
MAX_GRAM = 20_000

_PANEL_ROWS = 128  # rows that one task fills: no two tasks share one
_PRODUCT_ROWS = 1024  # rows that one task of a product reads; up to this order there is one task, of 0.1 ms

# Below, factorising is cheaper than asking whether it can be saved.
_ALWAYS_FACTORISE = 256

# One factorisation is worth this many steps of conjugate gradients (a product and two triangular solves), by order of
# the matrix: times on one thread of a server processor with AVX-512. asv_benchmarks/benchmarks/gram.py measures both.
_STEPS_WORTH = {256: 4, 500: 9, 1000: 20, 2000: 28, 4000: 30, 10_000: 50}

# With solver="cg" a factorisation is the last resort, after this many of its worths.
_PATIENCE = 10

# A factor has rounding errors of its own; with it, refinement takes a step or two where it takes any.
_REFINEMENTS = 5


class FactorState(typing.NamedTuple):
    """What `GramMatrix.solve` remembers of the systems before, but for the factor itself."""

    n_made: int  # factorisations since the beginning
    n_cg_steps: int
    c: float | None  # that was added to G in the factor there is; None: there is none
    steps_with_factor: int


class GramMatrix:
    """G for the current firing pattern, formed from pair counts alone: a `sltrees.gram.protocol.GramSystem`.

    H_ij, the number of neurons that fire on both i and j, is an integer, so G does not depend on the order in
    which neurons are counted. G and its factors are float64 whatever the dtype of the network.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    width : int
        m.
    solver : {"auto", "cholesky", "cg"}, default "auto"
        "cholesky" factorises whenever G or c changed. "cg" keeps the factor of an earlier system as the preconditioner
        of conjugate gradients for as long as they converge. "auto" does so while it is cheaper than a new factor.
        All solve to the same backward error, `sltrees.linalg.conjugate_gradients.TOL`.

    Attributes
    ----------
    pairs : PairCounts
        They may be changed, a flip on sample i in row i alone, so that threads can share out rows; `refresh` puts
        changes into force.
    matrix : ndarray of shape (n, n), float64
        G, symmetric bit for bit.
    norm : float
        The largest absolute row sum of G: a bound on |G|.
    n_cg_steps, n_factorisations : int
        Since the beginning.

    Raises
    ------
    ValueError
        If `solver` is none of the above.

    References
    ----------
    Cai et al., "Gram-Gauss-Newton Method", arXiv 1905.11675.

    Notes
    -----
    Memory: 28 n^2 bytes, the factor included, and for n up to 2048 4 n^2 for each thread but one; about 24 n^2 beyond.
    Nothing depends on the number of threads, bit for bit: work is cut into pieces of fixed size, or is in integers, and
    which solver runs is decided by numbers of steps, never by clocks.

    After an exception or Ctrl-C in `refresh` or `count_pairs`, G is partly filled: call either again. In `solve` and
    `is_singular` at most the factor is lost, and the next call makes another.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees.execution.threads import ThreadExecutor
    >>> gram = GramMatrix(np.eye(2), width=4)
    >>> gram.counts[...] = [[4, 1], [1, 8]]
    >>> with ThreadExecutor(1) as executor:
    ...     gram.refresh(executor)
    ...     gram.solve(1.0, np.array([2.0, 6.0]), executor)
    array([1., 2.])
    """

    state_class = FactorState

    def __init__(self, X, width, *, solver="auto"):
        self.solver = as_choice(solver, "solver", SOLVERS)
        n = len(X)
        self.pairs = PairCounts(n)
        self.matrix = np.zeros((n, n))
        self.n_cg_steps = 0
        self.n_factorisations = 0
        self._X, self._width = X, width
        self._products = None  # X X^T / m; made by the first refresh, which has an executor
        self._row_sums = np.zeros(n)  # of |G_ij|
        self.norm = 0.0
        self._factor = CholeskyFactor(n)
        self._factor_is_of_g = False  # whether G is still the one that was factorised
        self._factor_roots = 1.0  # of the curvatures it was factorised with
        self._steps_with_factor = 0

    def forked(self):
        """The same matrix, to go its own way; X X^T, which nobody changes, is shared. It has no factor.

        Cost: O(n^2).
        """
        other, n = copy.copy(self), len(self.matrix)
        other.__dict__.update(
            pairs=PairCounts(n),
            matrix=self.matrix.copy(),
            _row_sums=self._row_sums.copy(),
            _factor=CholeskyFactor(n),
            _factor_is_of_g=False,
            _factor_roots=1.0,
            n_cg_steps=0,
            n_factorisations=0,
            _steps_with_factor=0,
        )
        other.counts[...] = self.counts
        return other

    @staticmethod
    def bytes_needed(n_samples, n_threads=1):
        """As of `GramSystem`: the matrices, the factor and vectors. Cost: O(n)."""
        counts = PairCounts.bytes_needed(n_samples, n_threads)
        return 16 * n_samples**2 + counts + CholeskyFactor.bytes_needed(n_samples) + 128 * n_samples

    @property
    def counts(self):
        """The array of `pairs`, shape (n, n), int32. Cost: O(1)."""
        return self.pairs.counts

    @property
    def diagonal(self):
        """diag(G), a read-only view. Cost: O(1)."""
        return self.matrix.diagonal()

    @property
    def trace(self):
        """trace(G). Cost: O(n)."""
        return float(np.trace(self.matrix))

    def product(self, v):
        """As of `GramSystem`. Cost: O(n^2)."""
        return np.dot(self.matrix, v)

    def count_pairs(self, patterns, executor):
        """Count all pairs anew, and form G.

        Parameters
        ----------
        patterns : list of (indptr, samples)
            CSR patterns: the samples on which each neuron fires, ascending.
        executor : ThreadExecutor

        Notes
        -----
        Sets: counts, matrix. Cost: O(sum_r c_r^2 + n^2), with c_r the number of samples on which neuron r fires.
        """

        def fill(rows):
            self.counts[rows] = 0
            for indptr, samples in patterns:
                add_pair_counts(indptr, samples, rows.start, rows.stop, self.counts)

        executor.map(fill, self._panels(_PANEL_ROWS))
        self.refresh(executor)

    def refresh(self, executor):
        """As of `GramSystem`: form G from `counts`. Sets: matrix. Cost: O(n^2); O(n^2 d) the first time."""
        if self._products is None:
            self._multiply_samples(executor)
        self._factor_is_of_g = False

        def multiply(rows):
            multiply_counts(self._products, self.counts, rows.start, rows.stop, self.matrix, self._row_sums)

        executor.map(multiply, self._panels(_PANEL_ROWS))
        # |G|_2 <= |G|_inf <= sqrt(n) |G|_2, close to the left end where most entries are positive: as samples are alike
        self.norm = float(self._row_sums.max())

    def _multiply_samples(self, executor):
        """X X^T / m, symmetric bit for bit. Sets: _products; forgets _X."""
        X = self._X.astype(np.float64, copy=False)
        products = np.empty_like(self.matrix)

        def lower(rows):
            products[rows, : rows.stop] = np.dot(X[rows], X[: rows.stop].T)
            products[rows, : rows.stop] /= self._width

        def upper(rows):
            corner = products[rows, rows]
            corner[...] = np.tril(corner) + np.tril(corner, -1).T
            products[rows, rows.stop :] = products[rows.stop :, rows].T

        executor.map(lower, self._panels(_PANEL_ROWS))
        executor.map(upper, self._panels(_PANEL_ROWS))
        self._products, self._X = products, None

    def solve(self, c, right, executor, forcing=None, start=None, curvature=None):
        """As of `GramSystem`, with |right - (G + c I) g| <= TOL (|G + c I| |g| + |right|).

        (Should rounding keep a factor and refinement with it above the bound, the best g found is returned.)
        Sets: n_cg_steps, n_factorisations. Cost: O(n^3 / 3) with a new factor, O(k n^2) for k steps of conjugate
        gradients with an old one, O(n^2) if neither G nor c changed since the last factorisation.
        """
        roots = roots_of(curvature)
        return solve_curved(lambda right: self._solve(c, right, executor, roots), right, roots)

    def _solve(self, c, right, executor, roots):
        """`solve` for entries of at most 2: by the factor of G + c I, by an old one as preconditioner, or anew."""
        if not self._has_factor(c, roots):
            g = self._solve_with_old_factor(c, right, executor, roots)
            if g is not None:
                return g
            if not self._factorise(c, executor, roots):
                return None
        start = self._factor.solve(right, executor)
        return self._conjugate_gradients(c, right, executor, roots, max_steps=_REFINEMENTS, start=start).x

    def _has_factor(self, c, roots=1.0):
        return self._factor_is_of_g and self._factor.c == c and np.array_equal(self._factor_roots, roots)

    def _solve_with_old_factor(self, c, right, executor, roots):
        """g, if an old factor makes conjugate gradients cheaper than a new factor does; else None."""
        n = len(self.matrix)
        if self._factor.c is None or self.solver == "cholesky":
            return None
        worth = steps_worth_a_factorisation(n)
        if self.solver == "auto":
            # A factor grows old: once all steps taken with it are worth a new one, that is due. (If each solve takes
            # more steps than the one before by the same number, then this is the best moment.)
            if n < _ALWAYS_FACTORISE or self._steps_with_factor >= worth:
                return None
            outcome = self._conjugate_gradients(c, right, executor, roots, max_steps=worth, forecast=True)
        else:
            outcome = self._conjugate_gradients(c, right, executor, roots, max_steps=_PATIENCE * worth)
        self._steps_with_factor += outcome.n_steps
        return outcome.x if outcome.converged and not found_singular(outcome) else None

    def _conjugate_gradients(self, c, right, executor, roots, **options):
        since = self._factor_roots / roots  # the factor was R' G R' + c' I: with it, that of R G R + c' (R / R')^2

        def multiply(v):
            product, scaled = np.empty_like(v), roots * v

            def fill(rows):
                np.dot(self.matrix[rows], scaled, out=product[rows])

            panels = self._panels(_PRODUCT_ROWS)
            if len(panels) == 1:
                fill(panels[0])
            else:
                executor.map(fill, panels)
            product *= roots
            product += c * v
            return product

        def precondition(v):
            return since * self._factor.solve(since * v, executor)

        norm = most_curved(roots) * self.norm + c
        outcome = conjugate_gradients(multiply, precondition, right, norm, **options)
        self.n_cg_steps += outcome.n_steps
        return outcome

    def factorise(self, c, executor):
        """Have the factor of G + c I at hand; False if there is none. Cost: O(n^3 / 3), or O(1) where it is there."""
        return self._has_factor(c) or self._factorise(c, executor)

    def lend_factor(self, other):
        """Have one that was forked, and is the same matrix still, solve with the factor made here. Cost: O(1)."""
        lent = {name: getattr(self, name) for name in ("_factor_is_of_g", "_factor_roots")}
        other.__dict__.update(lent, _factor=self._factor.shared())

    def _factorise(self, c, executor, roots=1.0):
        """Factorise R G R + c I; False if it is not positive definite. Sets: _factor, n_factorisations."""
        self.n_factorisations += 1
        self._factor_is_of_g, self._steps_with_factor, self._factor_roots = False, 0, roots
        if np.ndim(roots) == 0:
            self._factor_is_of_g = self._factor.factorise(self.matrix, c, executor)
            return self._factor_is_of_g

        def fill(rows, columns, out):
            np.multiply(self.matrix[rows, columns], roots[columns], out=out)
            out *= roots[rows, None]

        self._factor_is_of_g = self._factor.factorise_filled(fill, c, executor)
        return self._factor_is_of_g

    def solver_state(self):
        """As of `GramSystem`."""
        return FactorState(self.n_factorisations, self.n_cg_steps, self._factor.c, self._steps_with_factor)

    def make_preconditioner(self, state, executor, curvature=None):
        """As of `GramSystem`: the factor. Cost: O(n^3 / 3), or O(1) where there was none."""
        return state.c is None or self._factorise(state.c, executor, roots_of(curvature))

    def resume(self, state):
        """As of `GramSystem`. Cost: O(1)."""
        self.n_factorisations, self.n_cg_steps, _, self._steps_with_factor = state

    def is_singular(self, executor):
        """As of `GramSystem`: factorising G fails, or a pivot vanishes. Cost: O(n^3 / 3)."""
        if not self._has_factor(0.0) and not self._factorise(0.0, executor):
            return True
        pivots = self._factor.pivots
        return bool(pivots.min() <= len(pivots) * np.finfo(np.float64).eps * pivots.max())

    def _panels(self, size):
        """The rows, cut into slices."""
        n = len(self.matrix)
        return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def steps_worth_a_factorisation(n):
    """Steps of conjugate gradients, with a factor at hand, that take as long as a new factor.

    Parameters
    ----------
    n : int
        Order of the matrix.

    Returns
    -------
    int

    Notes
    -----
    Between measured orders the logarithm of n decides. Cost: O(1).

    Examples
    --------
    >>> steps_worth_a_factorisation(1000)
    20
    """
    return int(np.interp(np.log(n), np.log(list(_STEPS_WORTH)), list(_STEPS_WORTH.values())))
