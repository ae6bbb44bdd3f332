"""The lazy limit as kernel ridge regression, as the model of an estimator.

It learns Y from X as they are: rows of unit norm, targets of mean 0. What is minimised is the sum over samples of
weight times squared error, plus a ridge on how far the weights of a network would move.
"""

from __future__ import annotations

import copy
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sltrees._memory import array_bytes, check_memory
from sltrees.estimators.distinct_samples import to_learn_from
from sltrees.estimators.kernel_solvers import blocks, iterative
from sltrees.estimators.kernel_solvers.climbing import NO_BETTER, climb
from sltrees.estimators.kernel_solvers.samples import SamplesHere
from sltrees.estimators.kernel_solvers.subsample import subsample
from sltrees.execution.inline import InlineExecutor
from sltrees.execution.threads import ThreadExecutor, threads_or_inline
from sltrees.kernels.unit_rows import UnitRowsKernel
from sltrees.linalg.cholesky import TILE, CholeskyFactor
from sltrees.linalg.factored_ridge import FactoredRidge
from sltrees.linalg.leave_one_out import FEWEST_SAMPLES, RidgeProblem

SOLVERS = ("auto", "cholesky", "nystrom", "exact")  # that can be asked for
WAYS = ("eigen", "cholesky", "nystrom", "conjugate gradients")  # that are used

# Distinct samples up to which all ridges are compared on all of them, by one eigendecomposition; and those up to which
# there is one Cholesky factor for one ridge: see docs/guide/many_samples.md for what is faster where.
EIGEN_SAMPLES = 1500
CHOLESKY_SAMPLES = 10_000
LEFT_OUT_SAMPLES = 3000  # of more, so many are drawn that leave-one-out errors are of
FEW_SAMPLES = 200  # of which there are always eigenvectors, and memory
FEWEST_FOR_BLOCKS = 40  # of fewer none can be held out
EXACT_FACTOR_SAMPLES = 20_000  # for "exact": then a factor takes longer than conjugate gradients

MAX_CENTRES = 16_384
# In single precision outputs of unit rows are off by some 1e-8 of the norm of the coefficients, in root mean square.
SINGLE_ERROR, NEGLIGIBLE = 1e-8, 3e-5  # the latter in units of Y

FARTHEST_SHIFT = 30.0  # where a neuron fires with a probability of 5e-198: beyond, float64 ends
_NOTHING_FIRES = 100.0


class KernelRidge:
    """The lazy limit: a network so wide that it learns without its weights moving far.

    Parameters
    ----------
    shift : float, default 1.0
        b.
    alpha : float or "loo", default "loo"
        Ridge, relative to the weighted mean of the diagonal of the kernel; "loo": the one of
        `sltrees.linalg.leave_one_out.ALPHAS` with the smallest leave-one-out error. Of more than 1,500 distinct samples
        so many are drawn for that, and their ridge is taken for all.
    solver : {"auto", "cholesky", "nystrom", "exact"}, default "auto"
        "cholesky": the solution itself, by a factorisation. "nystrom": blocks of centres, see
        `sltrees.estimators.kernel_solvers.blocks`. "exact": the solution itself, by a factorisation or, where that
        takes longer or has no room, by conjugate gradients. "auto": "cholesky" up to 10,000 distinct samples, "nystrom"
        beyond.
    max_centres : int, default 16384
        Of "nystrom".
    first_alpha : float, optional
        Of about what is to be chosen by "loo", from like samples. Of 200 to 1,500 distinct samples the ridges next to
        it are compared, and those next to the better one, until none is better; of more it is taken.
    climb_on : int, default 1500
        Of more distinct samples, if they are 1,500 at most, so many are drawn for that.
    most_left_out : int, default 3000
        Of more distinct samples, so many are drawn, and leave-one-out errors are of these: by a factorisation all of
        them would take as long as the solution. Not where these errors choose the ridge.
    random_state : int, default 0
        Of what is drawn where there are more than 1,500 samples.
    n_threads : int, optional
    advance : callable, optional
        advance(stage, done, total): told how far it is.

    Attributes
    ----------
    X_ : ndarray of shape (M, d)
        Where the kernel functions are centred: the samples, or the centres of "nystrom".
    dual_ : ndarray of shape (M, C)
    constant_ : ndarray of shape (C,)
    alpha_ : float
    solver_ : str
        What was used: "eigen", "cholesky", "nystrom" or "conjugate gradients".
    left_out_ : ndarray of shape (n, C) or None
        Output at each sample, learned from all others; None for fewer than three samples. Where samples are merged,
        at each of the N observations, likewise: shape (N, C). NaN at samples that were not drawn, see `most_left_out`.
        Of "nystrom" only at some samples that were held out, and NaN at others; None of conjugate gradients.
    error_ : float
        Weighted mean square of their errors, summed over outputs; infinite likewise.

    Notes
    -----
    Cost: O(n^3) up to 10,000 distinct samples; O(n m (d + m)) for each block of m = 2,048 centres beyond. Memory: 4 n^2
    bytes (of up to 1,500 samples 7 n^2 numbers) and O(n (d + m)).

    Examples
    --------
    >>> X = np.eye(4)
    >>> model = KernelRidge(alpha=1e-6).fit(X, np.array([[0.0], [1.0], [0.0], [1.0]]))
    >>> np.round(model.predict(X).ravel(), 3)
    array([0., 1., 0., 1.])
    """

    name = "kernel"

    # of models in pickles that were made before there were several solvers
    solver, solver_, max_centres, random_state, advance, blocks_ = "auto", "eigen", MAX_CENTRES, 0, None, None
    first_alpha, climb_on, most_left_out = None, EIGEN_SAMPLES, LEFT_OUT_SAMPLES

    def __init__(
        self,
        *,
        shift=1.0,
        alpha="loo",
        solver="auto",
        max_centres=MAX_CENTRES,
        first_alpha=None,
        climb_on=EIGEN_SAMPLES,
        most_left_out=LEFT_OUT_SAMPLES,
        random_state=0,
        n_threads=None,
        advance=None,
    ):
        self.shift, self.alpha, self.solver, self.max_centres = shift, alpha, solver, max_centres
        self.first_alpha, self.climb_on, self.most_left_out = first_alpha, climb_on, most_left_out
        self.random_state = random_state
        self.n_threads, self.advance = n_threads, advance

    def __repr__(self):
        return f"KernelRidge(shift={self.shift!r}, alpha={getattr(self, 'alpha_', self.alpha)!r})"

    def fit(self, X, Y, weights=None, observations=None):
        """Learn. `observations` are those that samples were merged of, if they were. Sets: the attributes."""
        self.solver_ = _solver(self.solver, len(X))
        self._check_memory(X, Y, self.solver_)
        with threads_or_inline(self.n_threads) as executor:
            if self.solver_ == "eigen" and self.first_alpha is not None and len(X) > FEW_SAMPLES:
                self._fit_by_factors(X, Y, weights, observations, executor)
            elif self.solver_ == "eigen":
                self._fit_eigen(X, Y, weights, observations, executor)
            else:
                kernel = _kernel(self.shift)
                unit = _unit(kernel, X, weights)
                self.alpha_ = self._first_alpha(X, Y, weights, observations)
                solve = {"cholesky": self._fit_cholesky, "nystrom": self._fit_blocks}.get(self.solver_)
                solve = solve or self._fit_iteratively
                solve(kernel, X, Y, weights, observations, unit, executor)
        if self.solver_ != "nystrom":
            self._Y, self._weights, self.blocks_ = Y, weights, None
        return self

    def _fit_eigen(self, X, Y, weights, observations, executor):
        observed = Y if observations is None else observations.Y
        kernel = executor.run(_kernel(self.shift).between, X, X)
        problem = executor.run(
            lambda: RidgeProblem(kernel, Y, weights=weights, intercept=True, observations=observations)
        )
        self.alpha_ = executor.run(problem.choose) if self.alpha == "loo" else float(self.alpha)
        self.dual_, self.constant_ = problem.solution(self.alpha_)
        enough = len(observed) >= FEWEST_SAMPLES
        self.left_out_ = observed + problem.left_out(self.alpha_) if enough else None
        self.error_ = problem.error_left_out(self.alpha_) if enough else np.inf
        self.X_ = X

    def _fit_by_factors(self, X, Y, weights, observations, executor):
        """As `_fit_eigen`, by a factorisation for each of the few ridges that are looked at."""
        self.solver_ = "cholesky"
        alpha, n = self.alpha, len(X)
        if alpha == "loo" and n > self.climb_on:
            alpha = self._alpha_of_some(X, Y, weights, observations, self.climb_on)
        most = n if alpha == "loo" else self.most_left_out  # ridges are compared by errors of all
        kernel, mixed = _kernel(self.shift), _Mixed(X, Y, weights, observations, most, self.random_state)
        unit, mean = _unit(kernel, X, weights), 1.0 if weights is None else float(weights.mean())
        matrix = executor.run(kernel.between, mixed.X, mixed.X)

        def fill(rows, columns, out):
            out[...] = matrix[rows, columns]

        def at(alpha):
            ridge = max(alpha, np.finfo(np.float64).eps) * unit
            problem = FactoredRidge(fill, mixed.Y, mixed.weights, ridge, InlineExecutor())
            errors = mixed.left_out(problem)
            return mixed.mean_square(errors), problem, errors

        if alpha == "loo":
            found = climb(lambda alpha: at(alpha * mean), self.first_alpha / mean, executor)
        else:
            found = executor.run(at, float(alpha))
        self._take_factored(mixed, found[1:], unit)
        self.X_ = X

    def _fit_cholesky(self, kernel, X, Y, weights, observations, unit, executor):
        mixed = _Mixed(X, Y, weights, observations, self.most_left_out, self.random_state)

        def fill(rows, columns, out):
            kernel.fill(out, mixed.X[rows], mixed.X[columns])

        def advance(done, total):
            self._tell("Cholesky factor", done, total)

        advance(0, 1)
        ridge = max(self.alpha_, np.finfo(np.float64).eps) * unit  # below, rounding leaves no factor
        problem = FactoredRidge(fill, mixed.Y, mixed.weights, ridge, executor, advance)
        self._tell("leave-one-out errors", 0, 1)
        errors = mixed.left_out(problem)
        self._tell("leave-one-out errors", 1, 1)
        self._take_factored(mixed, (problem, errors), unit)
        self.X_ = X

    def _take_factored(self, mixed, found, unit):
        """Sets: the attributes, from a solution and errors of samples that were left out."""
        problem, errors = found
        self.alpha_, self.constant_ = problem.ridge / unit, problem.constants
        self.dual_ = mixed.back(problem.dual)
        self.error_ = mixed.mean_square(errors)
        self.left_out_ = None if errors is None else mixed.back_of_observations(mixed.observed + errors)

    def _fit_blocks(self, kernel, X, Y, weights, observations, unit, executor):
        X, Y, weights = _one_by_one(X, Y, weights, observations)
        rng = np.random.default_rng(self.random_state)
        held_out, seen = blocks.hold_out(len(X), rng)
        samples = SamplesHere(kernel, X[seen], Y[seen], weights[seen], executor)
        outputs = self._add_blocks(samples, (X[held_out], Y[held_out], weights[held_out]), unit, rng, executor)
        self.left_out_ = np.full(Y.shape, np.nan)
        self.left_out_[held_out] = outputs

    def fit_parts(self, make_samples, outside):
        """Learn from samples that are elsewhere, by blocks of centres.

        Parameters
        ----------
        make_samples : callable
            make_samples(kernel) returns an object with the members of `SamplesHere`.
        outside : tuple (X, Y, weights)
            Samples that are not among those, held out as `fit_blocks` has it.

        Returns
        -------
        KernelRidge
            The object itself; `left_out_` is of the samples held out alone.

        Notes
        -----
        `alpha_` is chosen on them, if it was not given. Cost: as of `fit_blocks`.
        """
        self.solver_, kernel = "nystrom", _kernel(self.shift)
        with ThreadExecutor(self.n_threads) as executor:
            self.alpha_ = self._first_alpha(*outside, None)
            samples, rng = make_samples(kernel), np.random.default_rng(self.random_state)
            self._check_memory(samples.candidates, outside[1], "nystrom")  # of this process: what is drawn, and sums
            unit = _unit(kernel, outside[0], outside[2])
            self.left_out_ = self._add_blocks(samples, outside, unit, rng, executor)
        return self

    def _add_blocks(self, samples, outside, unit, rng, executor):
        """Outputs at samples held out. Sets: the solution."""
        found = blocks.fit_blocks(
            samples,
            outside,
            self.alpha_ * unit,
            max_centres=self.max_centres,
            tune=self.alpha == "loo",
            rng=rng,
            executor=executor,
            advance=self._tell,
        )
        self.take_blocks(found.blocks)
        self.alpha_ = found.blocks.ridge / unit
        _, Y, weights = outside
        self.error_ = float(np.average(np.sum((found.outputs - Y) ** 2, axis=1), weights=weights))
        return found.outputs

    def _fit_iteratively(self, kernel, X, Y, weights, observations, unit, executor):
        rng = np.random.default_rng(self.random_state)
        all_weights = np.ones(len(X)) if weights is None else weights
        ridge = max(self.alpha_, np.finfo(np.float64).eps) * unit
        found = iterative.solve_iteratively(kernel, X, Y, all_weights, ridge, rng, executor, self._tell)
        self.X_, self.dual_, self.constant_ = X, found.dual, found.constants
        self.left_out_, self.error_ = None, np.inf
        if found.residual > iterative.TOL:
            warnings.warn(
                f"conjugate gradients ended after {found.n_steps} steps at a relative residual of "
                f"{found.residual:.1g}, not {iterative.TOL:g}: a larger alpha makes the system easier",
                ConvergenceWarning,
                stacklevel=2,
            )

    def _first_alpha(self, X, Y, weights, observations):
        """The ridge asked for, or what some of the observations choose. Cost: O(1500^3)."""
        if self.alpha != "loo":
            return float(self.alpha)
        if self.first_alpha is not None:
            return float(self.first_alpha)
        return self._alpha_of_some(X, Y, weights, observations, EIGEN_SAMPLES)

    def _alpha_of_some(self, X, Y, weights, observations, size):
        """The ridge that some of the observations choose."""
        rng = np.random.default_rng(self.random_state)
        some = subsample(*_one_by_one(X, Y, weights, observations), size, rng)
        return KernelRidge(shift=self.shift, first_alpha=self.first_alpha, n_threads=self.n_threads).fit(*some).alpha_

    def _check_memory(self, X, Y, solver):
        (n, d), n_outputs, n_threads = X.shape, Y.shape[1], ThreadExecutor(self.n_threads).n_threads
        needed = {
            "eigen": 6.5 * array_bytes(n, n, dtype=np.float64),
            "cholesky": CholeskyFactor.bytes_needed(n)
            + (1.0 + 1.25 * n_threads) * array_bytes(n, TILE, dtype=np.float64),
            "nystrom": blocks.bytes_needed(n, d, n_outputs, self.max_centres),
            "conjugate gradients": iterative.bytes_needed(n, n_outputs),
        }[solver]
        if n <= FEW_SAMPLES:
            return  # to look how much there is would take as long as to learn
        advice = "use fewer samples" if solver == "eigen" else "use fewer samples, or solver='nystrom'"
        check_memory(needed, None, f"kernel ridge regression on {n} samples by {solver}", advice)

    def _tell(self, stage, done, total):
        if self.advance is not None:
            self.advance(stage, done, total)

    def to_extend(self):
        """The same model, of which `extend` leaves this one as it is. Cost: O(1)."""
        return copy.copy(self)

    def extend(self, X, Y, weights=None):
        """Learn from further samples, too, with the ridge that was chosen. Sets: the attributes.

        What is left out is a sample as it is here: merged ones with all of their weight.

        Notes
        -----
        Cost: O(n^3) for n old and new samples; where there are blocks of centres, that of `Blocks.extended`: in
        proportion to the new samples.
        """
        if self.blocks_ is not None:
            return self._extend_blocks(X, Y, weights)
        samples = joined(self.samples_, (X, Y, weights))
        fitted = copy.copy(self)
        fitted.alpha = self.alpha_
        fitted.fit(*samples)
        self.__dict__.update(vars(fitted) | {"alpha": self.alpha})  # all or, after Ctrl-C, nothing
        return self

    def _extend_blocks(self, X, Y, weights):
        weights = np.ones(len(X)) if weights is None else weights
        with ThreadExecutor(self.n_threads) as executor:
            extended = self.blocks_.extended(X, Y, weights, executor, lambda *at: self._tell("further samples", *at))
        return self.take_blocks(extended)

    def take(self, samples, alpha, dual, constant):
        """Take a solution that was found elsewhere. Sets: the attributes but for those of samples left out."""
        self.X_, self._Y, self._weights = samples
        self.alpha_, self.dual_, self.constant_ = alpha, dual, constant
        return self

    def take_blocks(self, blocks):
        """Take blocks of centres. Sets: all of the solution but for `alpha_`."""
        taken = {"blocks_": blocks, "X_": blocks.centres, "dual_": blocks.dual, "constant_": blocks.constants}
        self.__dict__.update(taken | {"_Y": None, "_weights": None})
        return self

    @property
    def samples_(self):
        """X, Y and weights that it learned from; of blocks of centres only these, and what they tell of samples."""
        return self.X_, self._Y, self._weights

    def predict(self, X):
        """Outputs, shape (n, C).

        Of blocks of centres in single precision, where rounding changes them by less than some 3e-5 in root mean
        square: `dual_` tells. Cost: O(n M (d + C)), some 2 ns for each pair of a row and a centre, or 4 ns.
        """
        off = SINGLE_ERROR * np.linalg.norm(self.dual_, axis=0).max()
        dtype = np.float32 if self.blocks_ is not None and off < NEGLIGIBLE else np.float64
        rows, centres, dual = (np.ascontiguousarray(array, dtype) for array in (X, self.X_, self.dual_))
        with threads_or_inline(self.n_threads) as executor:
            return _kernel(self.shift, dtype).times(rows, centres, dual, executor) + self.constant_


def rough_alpha(X, Y, weights, shift):
    """About the ridge that "loo" chooses, of few samples, and rather too large: what to begin with where are more.

    Parameters
    ----------
    X, Y, weights : ndarray of shape (n, d), (n, C), (n,)
        Rows of unit norm.
    shift : float
        Of the kernel.

    Returns
    -------
    float

    Notes
    -----
    Cost: O(n^3).
    """
    X, Y, weights, observations = to_learn_from(X, Y, weights)
    with threads_or_inline(1) as executor:
        kernel = _kernel(shift).between(X, X)
        problem = executor.run(
            lambda: RidgeProblem(kernel, Y, weights=weights, intercept=True, observations=observations)
        )
        return executor.run(lambda: problem.choose(within=NO_BETTER))


def _solver(asked, n):
    """What is used for so many distinct samples."""
    if n <= (FEWEST_FOR_BLOCKS if asked == "nystrom" else EIGEN_SAMPLES):
        return "eigen"
    if asked == "nystrom" or (asked == "auto" and n > CHOLESKY_SAMPLES):
        return "nystrom"
    if asked == "exact" and n > EXACT_FACTOR_SAMPLES:
        return "conjugate gradients"
    return "cholesky"


def _kernel(shift, dtype=np.float64):
    """The kernel for a shift; beyond `FARTHEST_SHIFT` it is 0, and the model a constant."""
    return UnitRowsKernel(shift if shift <= FARTHEST_SHIFT else _NOTHING_FIRES, dtype)


def _unit(kernel, X, weights):
    """Weighted mean of the diagonal of the kernel, 1 if that is 0."""
    there = X.any(axis=1)
    share = float(np.average(there, weights=weights))
    return kernel.of_itself * share or 1.0


class _Mixed:
    """Samples in an order in which the last ones, from `start` on, are drawn from all of them."""

    def __init__(self, X, Y, weights, observations, most_left_out, random_state):
        n = len(X)
        self.start, self.order = max(0, n - most_left_out), None
        self.X, self.Y, self.weights, self.observations = X, Y, weights, observations
        if self.start:
            self.order = np.random.default_rng(random_state).permutation(n)
            self.X, self.Y = X[self.order], Y[self.order]
            self.weights = None if weights is None else weights[self.order]
            if observations is not None:
                place = np.empty(n, dtype=np.int64)
                place[self.order] = np.arange(n)
                self.observations = observations._replace(groups=place[observations.groups])

    @property
    def observed(self):
        """Targets of observations, shape (N, C)."""
        return self.Y if self.observations is None else self.observations.Y

    def left_out(self, problem):
        """Errors of observations of the samples from `start` on, each left out; None if there are none."""
        return problem.left_out(self.observations, self.start) if self.start < len(self.X) else None

    def mean_square(self, errors):
        """Weighted mean of their squares, summed over outputs; infinite if there are none."""
        if errors is None:
            return np.inf
        known = ~np.isnan(errors[:, 0])
        weights = self.weights if self.observations is None else self.observations.weights
        squares = np.sum(errors[known] ** 2, axis=1)
        return float(np.average(squares, weights=None if weights is None else weights[known]))

    def back(self, values):
        """Values of samples in the order in which they came."""
        if self.order is None:
            return values
        out = np.empty_like(values)
        out[self.order] = values
        return out

    def back_of_observations(self, values):
        """Likewise of observations."""
        return self.back(values) if self.observations is None else values


def _one_by_one(X, Y, weights, observations):
    """Samples as they came, before equal ones were merged."""
    if observations is None:
        return X, Y, np.ones(len(X)) if weights is None else weights
    return X[observations.groups], observations.Y, observations.weights


def joined(old, new):
    """Old and new samples together.

    Parameters
    ----------
    old, new : tuple (X, Y, weights)
        Weights that are None are 1.

    Returns
    -------
    tuple (X, Y, weights)

    Notes
    -----
    Cost: O(numbers).

    Examples
    --------
    >>> joined((np.zeros((1, 2)), np.zeros((1, 1)), None), (np.ones((1, 2)), np.ones((1, 1)), np.full(1, 3.0)))[2]
    array([1., 3.])
    """
    (X, Y, weights), (X_new, Y_new, weights_new) = old, new
    if weights is not None or weights_new is not None:
        pairs = ((weights, X), (weights_new, X_new))
        weights = np.concatenate([np.ones(len(X)) if weights is None else weights for weights, X in pairs])
    return np.concatenate([X, X_new]), np.concatenate([Y, Y_new]), weights
