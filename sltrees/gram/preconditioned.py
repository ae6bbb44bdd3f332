"""Solving (G + c I) g = r for many samples: products with G from the fired pairs, preconditioned by columns of G."""

from __future__ import annotations

import typing

import numpy as np
import scipy.linalg

from sltrees.gram.curvature import most_curved, roots_of, solve_curved
from sltrees.gram.products import GramProducts, noise
from sltrees.linalg.conjugate_gradients import TOL, conjugate_gradients, found_singular
from sltrees.linalg.partial_cholesky import PartialCholesky

# Steps at most in one solution to rounding, and in one that is as accurate as a step needs it.
MAX_STEPS = 1000
MAX_STEPS_OF_FORCING = 300

# Share of the right side that a solution to rounding may leave, whatever its backward error: where G + c I is singular,
# what has no solution makes g so long that its backward error tells nothing.
MOST_LEFT = 0.1

# Columns that the preconditioner begins with, and at most: a factor of so many numbers, 2 GiB.
FIRST_RANK = 256
MAX_RANK = 2000
MAX_NUMBERS = 1 << 28

# So many columns take as long as a step of conjugate gradients: some 0.3 s at 10^5 samples of 50 features on two cores.
COLUMNS_WORTH_A_STEP = 100

# What twice the columns are expected to save of the steps.
_SAVED_BY_DOUBLING = 0.3

# Steps of a solution to rounding, and of one that a step needs, for a condition number of 1: ln(2 / accuracy) / 2.
_STEPS_TO_ROUNDING, _STEPS_OF_FORCING = 16.0, 1.5

# Fewer steps than these are never worth another preconditioner.
FEW_STEPS = 5

# One that is not new is given up in the middle of a solution after as many steps as a condition number of this squared
# takes, and as making another is worth.
_PATIENCE = 20

# Steps, besides those worth further columns, with a small preconditioner of this G before it grows.
_STEPS_OF_A_SMALL_ONE = 5

# Products that estimate |G|: of the first G, and of each further one, from the vector of the one before.
_POWER_STEPS, _FURTHER_POWER_STEPS = 8, 1

_STEPS_OF_SINGULARITY = 100  # that are taken to see whether G is singular


class PreconditionerState(typing.NamedTuple):
    """What `PreconditionedGram.solve` remembers of the systems before, but for the preconditioner itself."""

    n_made: int  # preconditioners since the beginning
    n_cg_steps: int
    rank: int  # of the one there is; 0: none
    rate: float  # steps that it took when it was new, for each factor e of the residual; below 0: it was not used yet
    excess: float  # steps since then beyond that rate


class PreconditionedGram:
    """G known by its products and columns, for n beyond what an array holds: a `sltrees.gram.protocol.GramSystem`.

    The preconditioner is F F^T + (c + t) I, with F F^T what some columns of G span, drawn by randomly pivoted Cholesky,
    and t the mean of the diagonal of what they leave. Their number doubles while that is expected to save more steps
    than it costs: what is left is taken to be as large as the eigenvalue in the middle of F F^T. Another c takes no
    other columns. A preconditioner is kept for further G, too, until the steps that it takes beyond those that it took
    when it was new are worth another.

    Parameters
    ----------
    product, diagonal : callable
        As of `GramProducts`.
    n_samples : int
        n.
    columns : callable
        columns(indices) is a function of rows (a slice or indices) and of some of these columns (indices into
        `indices`), to G there.

    Attributes
    ----------
    n_cg_steps : int
        Since the beginning. Products are somewhat more: for the norm of G and true residuals.
    n_factorisations : int
        Preconditioners made since the beginning.

    References
    ----------
    Diaz, Epperly, Frangella, Tropp, Webber, "Robust, randomized preconditioning for kernel ridge regression", arXiv
    2304.12465; Chen, Epperly, Tropp, Webber, "Randomly pivoted Cholesky", arXiv 2207.06503.

    Notes
    -----
    Memory: see `bytes_needed`. Nothing depends on the number of threads, bit for bit.

    Examples
    --------
    >>> from sltrees.execution.threads import ThreadExecutor
    >>> G = np.diag([1.0, 3.0])
    >>> columns = lambda indices: lambda rows, some: G[rows][:, indices[some]]
    >>> gram = PreconditionedGram(lambda v: G @ v, lambda: np.diag(G), 2, columns)
    >>> with ThreadExecutor(1) as executor:
    ...     gram.refresh(executor)
    ...     gram.solve(1.0, np.array([2.0, 8.0]), executor).round(12)
    array([1., 2.])
    """

    pairs = None
    state_class = PreconditionerState

    def __init__(self, product, diagonal, n_samples, columns):
        self._g, self._columns = GramProducts(product, diagonal, n_samples), columns
        self.n_cg_steps = 0
        self._factor = None  # of this G or an older one
        self._factor_is_of_g = False
        self._inverse = None  # (c, roots, function): that which was asked for last
        self._is_full, self._middle = False, np.inf  # whether it has all columns; an eigenvalue in the middle of F F^T
        self._n_made, self._rate, self._excess = 0, -1.0, 0.0
        self._norm = self._direction = None  # |G|, and the vector that tells it

    @staticmethod
    def bytes_needed(n_samples, n_threads=1):
        """As of `GramSystem`: the factor, counts of columns, vectors. Cost: O(1)."""
        rank = max_rank(n_samples)
        return PartialCholesky.bytes_needed(n_samples, rank) + n_samples * (256 + 4 * min(128, 2 * rank))

    @property
    def n_factorisations(self):
        """As of the class. Cost: O(1)."""
        return self._n_made

    @property
    def diagonal(self):
        """As of `GramProducts`."""
        return self._g.diagonal

    @property
    def trace(self):
        """As of `GramProducts`."""
        return self._g.trace

    @property
    def norm(self):
        """|G| from below, by the power method. Cost: O(1), and a product after a change (at first, eight)."""
        if self._norm is None:
            first = self._direction is None
            v = noise(self._g.n_samples, 1)[:, 0] if first else self._direction
            norm = float(self.diagonal.max())
            for _ in range(_POWER_STEPS if first else _FURTHER_POWER_STEPS):
                length = float(np.sqrt(v @ v))
                if not 0 < length < np.inf:
                    break
                v = v / length
                product = self._g.product(v)
                norm, v = max(norm, float(v @ product)), product
            self._norm, self._direction = norm, v
        return self._norm

    def product(self, v):
        """As of `GramSystem`. Cost: one product."""
        return self._g.product(v)

    def refresh(self, executor):
        """As of `GramSystem`. Cost: O(1): what depends on G is computed when it is needed."""
        self._g.forget()
        self._norm, self._factor_is_of_g = None, False

    def solve(self, c, right, executor, forcing=None, start=None, curvature=None):
        """As of `GramSystem`.

        None also if as many steps as are allowed do not get there, unless the step that they lead to is better than
        none. Sets: n_cg_steps, n_factorisations. Cost: at most MAX_STEPS products, O(n k) besides for each, and that of
        a preconditioner where one is made.
        """
        roots = roots_of(curvature)
        given = float(np.abs(roots * right).max(initial=0.0))
        return solve_curved(lambda right: self._solve(c, given, right, executor, forcing, start, roots), right, roots)

    def _solve(self, c, given, right, executor, forcing, start, roots):
        """`solve` for entries of at most 2: `right` is what was given, over a power of two."""
        if not (self.diagonal + c).min() > 0:
            return None
        unit = given / float(np.abs(right).max())
        if start is not None:
            start = start / unit / roots
        enough = None
        if forcing is not None:
            forcing = forcing.scaled(unit).curved(roots)

            def enough(x, residual):
                return forcing.is_too_long(c, right, x, residual) or forcing.is_met(c, right, x, residual)

        steps, n_left = _STEPS_OF_FORCING, MAX_STEPS_OF_FORCING
        if forcing is None:
            steps, n_left = _STEPS_TO_ROUNDING, MAX_STEPS
        beside = c / float(np.mean(np.square(roots)))  # what is added to G where curvature is as in the mean
        may_be_too_long = forcing is not None and forcing.longest < np.inf
        if self._factor is None and may_be_too_long:
            self._begin_factor()
            self._grow(FIRST_RANK, executor)
        elif self._factor is None or (self._excess >= self._steps_worth_another and not self._is_new(beside, steps)):
            self._make_factor(beside, steps, executor)
        if not self._is_new(beside, steps):
            # one that is of this G, but small, tells whether the step is too long for all others to matter
            patience = _STEPS_OF_A_SMALL_ONE if self._factor_is_of_g and may_be_too_long else int(steps * _PATIENCE)
            patience += self._steps_worth_another
            outcome = self._conjugate_gradients(c, right, executor, enough, start, min(patience, n_left), roots)
            if outcome.converged or not outcome.definite:
                return self._solution(outcome, c, right, forcing)
            start, n_left = outcome.x, n_left - outcome.n_steps
            self._make_factor(beside, steps, executor)
        outcome = self._conjugate_gradients(c, right, executor, enough, start, n_left, roots)
        return self._solution(outcome, c, right, forcing)

    def _solution(self, outcome, c, right, forcing):
        """What conjugate gradients found, or None."""
        if not outcome.definite or not np.isfinite(outcome.x).all():
            return None
        if forcing is None:
            left = float(outcome.residual @ outcome.residual)
            solved = outcome.converged and left <= MOST_LEFT**2 * float(right @ right)
            return outcome.x if solved and not found_singular(outcome) else None
        of_use = outcome.converged or forcing.is_of_use(c, right, outcome.x, outcome.residual)
        return outcome.x if of_use else None

    def _conjugate_gradients(self, c, right, executor, enough, start, max_steps, roots):
        """Iterate with the preconditioner there is. Sets: n_cg_steps, and what tells how it serves."""
        outcome = conjugate_gradients(
            lambda v: roots * self._g.product(roots * v) + c * v,
            self._preconditioner(c, executor, roots),
            right,
            most_curved(roots) * self.norm + c if enough is None else 0.0,
            max_steps=max_steps,
            start=start,
            tol=TOL,
            enough=enough,
        )
        self.n_cg_steps += outcome.n_steps
        if outcome.n_steps and outcome.reduction < 1:  # if not, the step was too long: nothing is known
            folds = max(1.0, -float(np.log(outcome.reduction))) if outcome.reduction > 0 else 1.0
            if self._rate < 0:
                self._rate = outcome.n_steps / folds
            self._excess += max(0.0, outcome.n_steps - self._rate * folds)
        return outcome

    # ------------------------------------------------------------------ the preconditioner

    def _is_new(self, c, steps):
        """Whether making it anew would change nothing. Cost: O(1)."""
        return self._factor_is_of_g and self._is_large_enough(c, steps)

    def _is_large_enough(self, c, steps):
        """Whether further columns would save less than they cost; `steps` are those for a condition number of 1."""
        if self._is_full or self._middle <= c:
            return True
        saved = _SAVED_BY_DOUBLING * steps * np.sqrt(1.0 + self._middle / c) if c > 0 else np.inf
        return saved <= self._factor.rank / COLUMNS_WORTH_A_STEP

    @property
    def _steps_worth_another(self):
        return max(FEW_STEPS, self._factor.rank // COLUMNS_WORTH_A_STEP)

    def _preconditioner(self, c, executor, roots):
        """v -> M^-1 v. Cost: that of `PartialCholesky.inverse` for another c, or others curvatures."""
        if self._inverse is None or self._inverse[0] != c or not np.array_equal(self._inverse[1], roots):
            left = float(self._factor.rest.sum()) / self._g.n_samples
            floor = np.finfo(np.float64).eps * self.trace  # so that rounding leaves it positive definite
            shift = max(left, floor)
            if np.ndim(roots):
                inverse = self._factor.curved_inverse(c, shift, roots, executor)
            else:
                inverse = self._factor.inverse(c + shift, executor)
            self._inverse = c, roots, inverse
        return self._inverse[2]

    def _make_factor(self, c, steps, executor):
        """Draw columns of G as it is now, or more of them. Sets: all that tells of the factor."""
        if not self._factor_is_of_g:
            self._begin_factor()
        self._rate, self._excess = -1.0, 0.0
        while not self._is_large_enough(c, steps):
            self._grow(max(2 * self._factor.rank, FIRST_RANK), executor)

    def _begin_factor(self):
        """No column of G as it is now. Sets: all that tells of the factor."""
        self._factor = self._inverse = None  # memory goes before other memory comes
        self._factor = PartialCholesky(self.diagonal)
        self._n_made += 1
        self._factor_is_of_g, self._is_full, self._middle = True, False, np.inf

    def _grow(self, rank, executor):
        """Draw columns up to a rank, or somewhat beyond. Sets: _is_full, _middle, _inverse."""
        factor, most = self._factor, max_rank(self._g.n_samples)
        self._inverse = None
        while not self._is_full and factor.rank < rank:
            self._is_full = not factor.extend(self._columns, most - factor.rank, executor) or factor.rank == most
        if not self._is_full:
            inner = factor.inner(executor)
            self._middle = float(np.sort(executor.run(scipy.linalg.eigvalsh, inner))[len(inner) // 2])

    def solver_state(self):
        """As of `GramSystem`."""
        rank = 0 if self._factor is None else self._factor.rank
        return PreconditionerState(self._n_made, self.n_cg_steps, rank, self._rate, self._excess)

    def make_preconditioner(self, state, executor, curvature=None):
        """As of `GramSystem`: the columns. Cost: that of so many."""
        self._begin_factor()
        self._grow(state.rank, executor)
        return self._factor.rank == state.rank

    def resume(self, state):
        """As of `GramSystem`. Cost: O(1)."""
        self._n_made, self.n_cg_steps, _, self._rate, self._excess = state

    def is_singular(self, executor):
        """As of `GramSystem`, by `GramProducts.seem_singular`. Cost: at most 100 products."""
        singular, n_steps = self._g.seem_singular(TOL, _STEPS_OF_SINGULARITY)
        self.n_cg_steps += n_steps
        return singular


def max_rank(n_samples):
    """Columns at most that a preconditioner for n samples has.

    Parameters
    ----------
    n_samples : int

    Returns
    -------
    int

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> max_rank(1000), max_rank(10**5), max_rank(10**6)
    (250, 2000, 268)
    """
    return max(1, min(n_samples // 4, MAX_RANK, MAX_NUMBERS // n_samples))
