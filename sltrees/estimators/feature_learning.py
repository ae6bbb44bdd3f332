"""Scales of features that are learned: those that the function does not vary along shrink, round by round.

Each round learns the kernel model with the scales so far, and takes as new scales the fourth roots of the mean squares
of its derivatives, so that the metric, their square, takes the square root (diagonal average gradient outer product).
How many rounds there are is decided by errors of samples from whose targets the scales were not learned either: rounds
are repeated without each fold, and measured on it. What was learned so is also what other models are compared with.

Of several outputs those count most that something is known of: outputs are turned so that samples left out tell along
each direction which share of it is explained, and derivatives along it count as much. Where a class is a slice of a
function of few features, say, one of ten outputs is mostly noise, and its derivatives are along all features alike.

With the metric "full" it is directions that shrink, not columns alone: standardised samples are multiplied by the
fourth root of the matrix of mean products of derivatives, instead of by those of its diagonal.
"""

from __future__ import annotations

import copy
import typing

import numpy as np

from sltrees._memory import array_bytes, check_memory
from sltrees.estimators.coded_by_targets import features_within, fitted_alike
from sltrees.estimators.distinct_samples import deal_into_folds, to_learn_from
from sltrees.estimators.kernel_ridge import KernelRidge
from sltrees.estimators.kernel_solvers.climbing import climb
from sltrees.execution.inline import InlineExecutor
from sltrees.execution.threads import ThreadExecutor, threads_for
from sltrees.kernels.derivatives import gradient_products, squared_gradients

FEWEST_IN_A_FOLD = 20
FEWEST_TO_CHOOSE_BY = 300  # samples that the ridge of a round is chosen by, if there are so many
MOST_ROUNDS = 10
FIRST_ALPHA = 0.1  # where no ridge is known to begin with
LEAST_GAIN = 0.01  # a round that lowers the error of folds by a smaller share is the last
SMALLEST = 1e-6  # of the largest scale: so that dividing by scales stays possible


class OutOfFold(typing.NamedTuple):
    """The kernel as it was learned without each fold, and its scales with it.

    Attributes
    ----------
    folds : ndarray of shape (n,), dtype=int64
        The fold of each sample.
    scalings : list of InputScaling
        Learned without each fold.
    outputs : ndarray of shape (n, C)
        Of each sample, from what was learned without its fold.
    alpha : float
        The median of the ridges.
    """

    folds: np.ndarray
    scalings: list
    outputs: np.ndarray
    alpha: float


class FeatureScales(typing.NamedTuple):
    """What `learn_scales` found.

    Attributes
    ----------
    scaling : InputScaling
        With the scales.
    scales : ndarray of shape (d,)
        Standardised columns are multiplied by them; 1 without rounds. Of the metric "full" the roots of its diagonal.
    importances : ndarray of shape (d,)
        The share of each column in the spread of samples that are scaled by these rounds, or by one if none is chosen
        and the function is better than a constant; they sum to 1.
    errors : list of float
        Mean squared error at samples left out, with 0, 1, ... rounds; empty if nothing was compared.
    standard_errors : list of float
        Of the differences of these from the smallest.
    rounds : int
        Chosen.
    out_of_fold : OutOfFold or None
        With so many rounds; None if nothing was compared.
    alpha : float or None
        About what "loo" chooses with these scales, if a first ridge was known.
    """

    scaling: typing.Any
    scales: np.ndarray
    importances: np.ndarray
    errors: list
    standard_errors: list
    rounds: int
    out_of_fold: OutOfFold | None
    alpha: float | None


def learn_scales(
    scaling,
    X,
    Y,
    weights,
    strata,
    *,
    shift,
    rounds,
    n_folds,
    rng,
    n_threads,
    alpha="loo",
    first_alpha=None,
    metric="diagonal",
    coded=None,
    advance=None,
):
    """Learn scales of features, as far as that lowers errors of samples left out.

    Parameters
    ----------
    scaling : InputScaling
        Fitted: it says what scales of 1 are.
    X : ndarray of shape (n, d)
        Not scaled.
    Y : ndarray of shape (n, C)
        Of mean 0 and variance about 1.
    weights, strata : ndarray of shape (n,)
    shift : float
        Of the kernel.
    rounds : int or None
        So many; None: by errors of folds, under the rule of one standard error: the fewest rounds whose error is not
        above the smallest by more than the standard error of the difference.
    n_folds : int
    rng : numpy.random.Generator
    n_threads : int
    alpha : float or "loo"
        Of the kernel.
    first_alpha : float, optional
        About what "loo" chooses of these samples, if that is known.
    metric : {"diagonal", "full"}
    coded : CodedByTargets, optional
        Of the samples. Then folds have features, and standard deviations of them, that were learned without them, and
        ridges are those with the smallest error of all folds: leaving out one sample says too little of them.
    advance : callable, optional
        advance(stage, done, total): told how far it is.

    Returns
    -------
    FeatureScales

    Notes
    -----
    Cost: O(n^3) for each round and fold, with the metric "full" also O(n d^2 + d^3).

    References
    ----------
    Radhakrishnan, Beaglehole, Pandit, Belkin, "Mechanism for feature learning in neural networks and
    backpropagation-free machine learning models", Science 383 (2024). Rule of one standard error: Breiman, Friedman,
    Olshen, Stone, "Classification and Regression Trees" (1984).

    Examples
    --------
    >>> from sltrees.preprocessing import InputScaling
    >>> X = np.random.default_rng(0).standard_normal((150, 4))
    >>> found = learn_scales(
    ...     InputScaling().fit(X), X, np.sin(2 * X[:, :1]), np.ones(150), np.zeros(150),
    ...     shift=1.0, rounds=None, n_folds=3, rng=np.random.default_rng(0), n_threads=1,
    ... )
    >>> found.rounds > 1, bool(found.importances[0] > 0.9)
    (True, True)
    """
    options, comparison = (shift, alpha, metric), None
    if len(X) < n_folds * FEWEST_IN_A_FOLD and coded is None:
        rounds, errors, standard_errors, out_of_fold = rounds or 0, [], [], None
        sequence = _sequence(scaling, X, Y, weights, options, n_threads)
        for _ in range(rounds):
            sequence.next_round()
    else:
        folds = deal_into_folds(strata, n_folds, rng)
        if coded is not None and rounds is None and len(X) < n_folds * FEWEST_IN_A_FOLD:
            rounds = 0
        comparison = Folds(scaling, X, Y, weights, folds, options, n_threads, first_alpha, coded)
        errors, standard_errors, rounds, out_of_fold = comparison.chosen(rounds, advance)
        if rounds and first_alpha is not None:
            first_alpha = float(np.median(comparison.alphas[rounds]))
        if coded is not None:
            first_alpha = out_of_fold.alpha
            options = shift, first_alpha, metric
        sequence = _sequence(scaling, X, Y, weights, options, n_threads, first_alpha)
        if rounds:  # the last round on all: what is learned from more samples is finer
            sequence.scale_by(sequence.mean(comparison.scales[rounds - 1], rounds - 1))
            sequence.next_round()
    learned, scales = sequence.scaling, sequence.of_columns()
    if rounds or (comparison is not None and comparison.beats_a_constant()):
        if not rounds:  # columns are not scaled, but a round tells what the function varies along
            sequence.look_ahead(comparison)
        importances = sequence.spread * sequence.of_columns() ** 2
    else:  # nothing is known of columns, but which of them vary
        importances = (sequence.spread > 0).astype(np.float64)
    importances /= importances.sum() or 1.0
    found = learned, scales, importances, errors, standard_errors, rounds, out_of_fold, first_alpha
    return FeatureScales(*found)


def scales_after(rounds, scaling, X, Y, weights, *, shift, n_threads, alpha="loo", first_alpha=None, metric="diagonal"):
    """Scales after some rounds on all samples: scaling, scales and the spread of columns before. As `learn_scales`."""
    sequence = _sequence(scaling, X, Y, weights, (shift, alpha, metric), n_threads, first_alpha)
    for _ in range(rounds):
        sequence.next_round()
    return sequence.scaling, sequence.of_columns(), sequence.spread


def rescaled(scaling, scales):
    """A scaling whose standardised columns are multiplied by scales above 0: a copy. Cost: O(d)."""
    other = copy.copy(scaling)
    other.deviation_ = scaling.deviation_ / scales
    return other


def directions_explained(Y, weights, left_out):
    """Directions of outputs, each as long as the share of it is that is explained.

    Parameters
    ----------
    Y : ndarray of shape (n, C)
    weights : ndarray of shape (n,)
    left_out : ndarray of shape (n, C)
        Outputs at the samples, each learned without it.

    Returns
    -------
    ndarray of shape (C, k)
        A direction in each column, orthogonal, but for those along which nothing is explained. The share is the
        covariance of targets with outputs along it over the variance of targets, up to 1. The identity where nothing is
        explained at all, or outputs are not finite.

    Notes
    -----
    Shrunk by that share, outputs along canonical directions have the least error to be expected. Cost: O(n C^2 + C^3).

    References
    ----------
    Breiman and Friedman, "Predicting multivariate responses in multiple linear regression", JRSS B 59 (1997).

    Examples
    --------
    >>> Y = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> directions_explained(Y, np.ones(4), Y * [0.75, -0.25]) ** 2  # nothing is known of the second output
    array([[0.5625],
           [0.    ]])
    """
    if not np.isfinite(left_out).all():
        return np.eye(Y.shape[1])
    Y, left_out = (values - np.average(values, axis=0, weights=weights) for values in (Y, left_out))
    products = (weights[:, None] * Y).T @ left_out
    explained, directions = np.linalg.eigh(products + products.T)
    spread = np.einsum("ij,ij->j", directions, (weights[:, None] * Y).T @ Y @ directions)
    there = spread > 1e-9 * spread.max()
    shares = np.where(there, np.clip(0.5 * explained / np.where(there, spread, 1.0), 0.0, 1.0), 0.0)
    return (directions * shares)[:, shares > 0] if shares.any() else np.eye(Y.shape[1])


class _Sequence:
    """Rounds on some samples, one after the other; what they learn are scales of columns."""

    def __init__(self, scaling, X, Y, weights, options, n_threads, first_alpha=None):
        self.first, self.scaling, self.first_alpha, self.n_threads = scaling, scaling, first_alpha, n_threads
        self.X, self.Y, self.weights, (self.shift, self.alpha) = X, Y, weights, options
        self.spread = _spread(scaling, X, weights)
        self.scales = self.no_scales(X.shape[1])
        self.model = self.observed = None  # observed: targets and weights of what the model leaves out

    def learn(self, alpha=None):
        """The model with the scales as they are, and some ridge if that is given. Sets: model, observed, first_alpha.

        Where a first ridge is known, that of the model is one near that of the round before, by a half of the samples.
        """
        samples = to_learn_from(self.scaling.transform(self.X), self.Y, self.weights)
        self.observed = samples[1:3] if samples[3] is None else samples[3][1:]
        self.model = KernelRidge(
            shift=self.shift,
            alpha=self.alpha if alpha is None else alpha,
            first_alpha=self.first_alpha,
            climb_on=max(FEWEST_TO_CHOOSE_BY, len(samples[0]) // 2),
            most_left_out=len(samples[0]) if self.Y.shape[1] > 1 else 0,
            n_threads=self.n_threads,
        ).fit(*samples)
        if self.first_alpha is not None:
            self.first_alpha = self.model.alpha_
        return self.model

    def next_round(self):
        """New scales, from the derivatives of the model. Sets: scales, scaling, model (None)."""
        model = self.model or self.learn()
        scaled, dual = self.scaling.scaled(self.X), model.dual_
        if self.Y.shape[1] > 1 and model.left_out_ is not None:
            dual = dual @ directions_explained(*self.observed, model.left_out_)
        scales = self.scales_by(scaled, model.X_, dual, self.shift, self.weights)
        self.model = None
        if scales is not None:  # of a constant function nothing tells columns apart
            self.scale_by(scales)

    def look_ahead(self, comparison):
        """Take the scales of a first round: those of folds, if they had one."""
        if len(comparison.scales) > 1:
            self.scale_by(self.mean(comparison.scales[1], 1))
        else:
            self.next_round()

    def no_scales(self, d):
        """Those before the first round."""
        return np.ones(d)

    def scales_by(self, scaled, *function):
        """The next scales, by derivatives of a function; None if there are none."""
        gradients = squared_gradients(scaled, *function)[: self.X.shape[1]]
        squares = gradients * self.scales**2  # along standardised columns
        scales = np.where(self.spread > 0, squares, 0.0) ** 0.25
        total = float(self.spread @ scales**2)
        if not (np.isfinite(total) and total > 0):
            return None
        scales *= np.sqrt(self.spread.sum() / total)
        return np.maximum(scales, SMALLEST * scales.max())

    def scale_by(self, scales):
        """Take scales. Sets: scales, scaling."""
        self.scales, self.scaling = scales, rescaled(self.first, scales)

    def mean(self, several, rounds):
        """The geometric mean of several, after some rounds: each is of most samples, and rounds take longest on all."""
        scales = np.exp(np.mean(np.log(several), axis=0))
        total = self.spread @ scales**2
        return scales * np.sqrt(self.spread.sum() / total) if rounds and 0 < total < np.inf else scales

    def of_columns(self):
        """A number for each column: what a step along it counts."""
        return self.scales


class _FullSequence(_Sequence):
    """The same with the metric "full": what rounds learn is a symmetric matrix, and `scales` is that."""

    def no_scales(self, d):
        check_memory(
            8 * array_bytes(d, d, dtype=np.float64), None, f"a metric of {d} features", "use metric='diagonal'"
        )
        return np.eye(d)

    def scales_by(self, scaled, *function):
        d = self.X.shape[1]
        vary = np.outer(self.spread > 0, self.spread > 0)
        products = self.scales @ gradient_products(scaled, *function)[:d, :d] @ self.scales
        return self.with_spread(vary * _power(vary * products, 0.25)) if np.isfinite(products).all() else None

    def with_spread(self, matrix):
        """The matrix times a number, so that the total spread is as before the first round; None for zeros."""
        before, after = (
            float(np.sum(_variances(scaling.scaled(self.X)[:, : len(matrix)], self.weights)))
            for scaling in (self.first, self.with_matrix(matrix))
        )
        return matrix * np.sqrt(before / after) if 0 < before < np.inf and 0 < after < np.inf else None

    def with_matrix(self, matrix):
        """The first scaling with the matrix."""
        scaling = copy.copy(self.first)
        scaling.mixing_ = matrix
        return scaling

    def scale_by(self, scales):
        """Take a matrix. Sets: scales, scaling."""
        self.scales, self.scaling = scales, self.with_matrix(scales)

    def mean(self, several, rounds):
        """Of the metrics, which are the squares of the matrices."""
        matrix = _power(np.mean([matrix @ matrix for matrix in several], axis=0), 0.5)
        scaled = self.with_spread(matrix)
        return matrix if scaled is None else scaled

    def of_columns(self):
        return np.sqrt(np.maximum(np.einsum("ij,ij->j", self.scales, self.scales), np.finfo(np.float64).tiny))


def _power(matrix, exponent):
    """A power of a symmetric matrix without negative eigenvalues, but for rounding, which is left out."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    values[values < len(values) * np.finfo(np.float64).eps * values.max()] = 0.0
    powered = (vectors * np.maximum(values, 0.0) ** exponent) @ vectors.T
    return 0.5 * (powered + powered.T)


def _sequence(scaling, X, Y, weights, options, n_threads, first_alpha=None):
    """Rounds of the metric that options name behind shift and ridge."""
    *others, metric = options
    make = _FullSequence if metric == "full" else _Sequence
    return make(scaling, X, Y, weights, others, n_threads, first_alpha)


def _variances(columns, weights):
    return np.average((columns - np.average(columns, axis=0, weights=weights)) ** 2, axis=0, weights=weights)


def _spread(scaling, X, weights):
    """Variances of standardised columns, in one unit for all of them: without overflow, and without vanishing."""
    mantissas, exponents = np.frexp(scaling.bent(X) / 2 - scaling.mean_ / 2)
    divisors, of_divisors = np.frexp(scaling.deviation_)
    exponents = exponents - of_divisors
    largest = exponents.max(initial=-9999, where=mantissas != 0)
    standardised = np.ldexp(mantissas / divisors, exponents - largest)
    standardised -= np.average(standardised, axis=0, weights=weights)
    return np.average(standardised**2, axis=0, weights=weights)


class Folds:
    """The same rounds without each fold, and their errors on it.

    Parameters
    ----------
    scaling, X, Y, weights, n_threads, first_alpha, coded
        As for `learn_scales`.
    folds : ndarray of shape (n,), dtype=int64
    options : tuple
        Shift, ridge and metric.
    """

    def __init__(self, scaling, X, Y, weights, folds, options, n_threads, first_alpha=None, coded=None):
        self.Y, self.weights = Y, weights
        self.scales, self.scalings, self.alphas = [], [], []  # after each round, of all folds
        self.folds, self.n_threads = folds, n_threads
        self.ridge_of_all = coded is not None and options[1] == "loo"  # that of folds together, the last one first
        self.alpha = first_alpha or FIRST_ALPHA
        self.sequences, self.rows_left_out = [], []
        for fold in range(folds.max() + 1):
            seen = self.folds != fold
            rows = features_within(X, coded, seen)
            of_fold = scaling if coded is None else fitted_alike(scaling, rows[seen], weights[seen])
            self.sequences.append(_sequence(of_fold, rows[seen], Y[seen], weights[seen], options, 1, first_alpha))
            self.rows_left_out.append(rows[~seen])

    def chosen(self, rounds, advance=None):
        """Errors, their standard errors, the number of rounds, by default the best, and what that learned."""
        outputs, squares = [], []
        with ThreadExecutor(threads_for(len(self.sequences), self.n_threads)) as executor:
            most = MOST_ROUNDS if rounds is None else rounds
            for k in range(most + 1):
                if advance is not None:
                    advance("scales of features", k, most + 1)
                outputs.append(self.outputs(executor, k > 0))
                self.scales.append([sequence.scales for sequence in self.sequences])
                self.scalings.append([sequence.scaling for sequence in self.sequences])
                self.alphas.append([sequence.model.alpha_ for sequence in self.sequences])
                squares.append(np.sum((outputs[-1] - self.Y) ** 2, axis=1))
                if k == 0:
                    self.gains = np.sum(self.Y**2, axis=1) - squares[0]
                errors = [float(np.average(square, weights=self.weights)) for square in squares]
                errors = [error if np.isfinite(error) else np.inf for error in errors]
                if rounds is None and k and errors[-1] > min(errors[:-1]) - self.least_gain(min(errors[:-1])):
                    break
        best = int(np.argmin(errors))
        total = self.weights.sum()
        standard_errors = []
        for square, error in zip(squares, errors, strict=True):
            difference = square - squares[best] - (error - errors[best])
            standard_errors.append(float(np.sqrt(np.sum((self.weights * difference) ** 2)) / total))
        if rounds is None:
            within = (k for k, error in enumerate(errors) if error - errors[best] <= standard_errors[k])
            rounds = next(within, 0)  # 0 where errors are not finite
        alpha = float(np.median(self.alphas[rounds]))
        return errors, standard_errors, rounds, OutOfFold(self.folds, self.scalings[rounds], outputs[rounds], alpha)

    def beats_a_constant(self):
        """Whether the function without rounds is better than one, by more than two standard errors."""
        gain = np.average(self.gains, weights=self.weights)
        deviations = self.weights * (self.gains - gain)
        return bool(gain * self.weights.sum() > 2.0 * np.sqrt(np.sum(deviations**2)))

    def least_gain(self, error):
        """What a round has to lower an error by for another one to follow: a share of what little is known, if less.

        Of several outputs most of the error may be along directions of which nothing can be known.
        """
        explained = float(np.average(np.sum(self.Y**2, axis=1), weights=self.weights)) - error
        return LEAST_GAIN * (min(error, explained) if explained > 0 and self.Y.shape[1] > 1 else error)

    def outputs(self, executor, in_a_new_round):
        """At all samples, each from the sequence that does not know it."""

        def of_fold(fold, alpha=None):
            sequence = self.sequences[fold]
            if in_a_new_round and alpha is None:
                sequence.next_round()
            model = sequence.learn(alpha)
            return model.predict(sequence.scaling.transform(self.rows_left_out[fold])), model

        def of_all(found):
            outputs = np.empty(self.Y.shape)
            for fold, (values, _) in enumerate(found):
                outputs[self.folds == fold] = values
            return outputs

        folds = range(len(self.sequences))
        if not self.ridge_of_all:
            return of_all(executor.run_all(of_fold, folds))
        if in_a_new_round:
            executor.run_all(lambda fold: self.sequences[fold].next_round(), folds)

        def at(alpha):
            found = executor.run_all(lambda fold: of_fold(fold, alpha), folds)
            outputs = of_all(found)
            error = np.average(np.sum((outputs - self.Y) ** 2, axis=1), weights=self.weights)
            return float(error), outputs, [model for _, model in found], alpha

        _, outputs, models, self.alpha = climb(at, self.alpha, InlineExecutor())
        for sequence, model in zip(self.sequences, models, strict=True):
            sequence.model = model
        return outputs

    def squares(self):
        """Squared errors of samples left out, before any round, and the ridge, by folds."""
        with ThreadExecutor(threads_for(len(self.sequences), self.n_threads)) as executor:
            outputs = self.outputs(executor, False)
        return np.sum((outputs - self.Y) ** 2, axis=1), float(np.median([each.model.alpha_ for each in self.sequences]))
