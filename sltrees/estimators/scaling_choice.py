"""How an estimator scales columns: which proportions they keep, and scales that are learned."""

from __future__ import annotations

import typing

import numpy as np

from sltrees.estimators.coded_by_targets import CodedByTargets, fitted_alike
from sltrees.estimators.distinct_samples import deal_into_folds, distinct_samples
from sltrees.estimators.feature_learning import FeatureScales, Folds, OutOfFold, learn_scales, scales_after
from sltrees.estimators.kernel_ridge import EIGEN_SAMPLES, KernelRidge, rough_alpha
from sltrees.execution.threads import ThreadExecutor, threads_for
from sltrees.preprocessing import InputScaling

EVENNESSES = (1.0, 0.5, 0.0)  # that "auto" compares
EVENNESS_SAMPLES = 600  # that these are compared on, where there are more
FEWEST_TO_JUDGE_BY = 200  # samples that nothing was chosen by: of fewer, those of folds are looked at, too
FEWEST_TO_BEND_BY = 40  # samples: of fewer, errors hardly tell
FEW_SAMPLES = 400  # up to which all ridges are compared; where there are more, those near the best of so many


class ChosenScaling(typing.NamedTuple):
    """What `choose_scaling` found.

    Attributes
    ----------
    scaling : InputScaling
    evenness : float
    errors : dict of float to float
        Leave-one-out error of the kernel for each evenness, where several were compared.
    learned : FeatureScales or None
        None if no scales were to be learned.
    unlearned : InputScaling
        `scaling` without them.
    kernel : KernelRidge or None
        Fitted with the scaling, to the samples that were looked at, or if these are not all to some of them; None if
        nobody needs it.
    seen : ndarray of shape (k,), dtype=int64
        These samples.
    are_all : bool
        Whether they are all there are.
    metric : {"diagonal", "full"}
        Of the scales that were learned.
    bent_error : float or None
        Leave-one-out error of the kernel with the columns bent that have long tails, where that was compared.
    coded : CodedByTargets or None
        Of the samples that were looked at. Then errors are those of folds, in which nothing was learned of them.
    known : OutOfFold or None
        What was learned of the samples that were looked at without each fold.
    """

    scaling: typing.Any
    evenness: float
    errors: dict
    learned: FeatureScales | None
    unlearned: typing.Any
    kernel: KernelRidge | None
    seen: np.ndarray
    are_all: bool
    metric: str = "diagonal"
    bent_error: float | None = None
    coded: CodedByTargets | None = None
    known: OutOfFold | None = None

    def scale(self, shift, alpha):
        """What learns the scales again from other samples: a function of X, Y and weights, for `search_models`.

        None where none were to be learned, and no features are coded by targets.
        """
        if self.learned is None and self.coded is None:
            return None
        rounds = 0 if self.learned is None else self.learned.rounds

        def learn(X, Y, weights):
            first = self.unlearned if self.coded is None else fitted_alike(self.unlearned, X, weights)
            if not rounds:
                return first.transform
            some = slice(None)
            if len(X) > EIGEN_SAMPLES:
                some = np.sort(np.random.default_rng(0).choice(len(X), EIGEN_SAMPLES, replace=False))
            scaling, *_ = scales_after(
                rounds,
                first,
                X[some],
                Y[some],
                weights[some],
                shift=shift,
                n_threads=1,
                alpha=alpha if self.coded is None else self.known.alpha,
                first_alpha=None if self.kernel is None else self.kernel.alpha_,
                metric=self.metric,
            )
            return scaling.transform

        return learn

    def out_of_fold(self, order):
        """Which observations the kernel was learned from without each fold, and what that gave; None if there are none.

        Parameters
        ----------
        order : ndarray of shape (n,)
            Of observations, as `DistinctSamples` has it.
        """
        return None if self.known is None else (_places(order)[self.seen], self.known)

    def others(self, order):
        """Places of the observations that were not looked at. As `out_of_fold`."""
        return np.setdiff1d(np.arange(len(order)), _places(order)[self.seen])

    def honest(self, left_out, order):
        """Outputs at samples left out, but at those that scales and ridge were learned from together with others.

        If there are hardly any others, those of folds, whose scales and functions were learned without them.

        Parameters
        ----------
        left_out : ndarray of shape (n, C) or None
            Of the kernel that was learned from all samples, in the order of observations.
        order : ndarray of shape (n,)
            Of observations, as `DistinctSamples` has it.
        """
        if self.coded is None and (self.learned is None or not self.learned.rounds):
            return left_out
        found = self.out_of_fold(order)
        if left_out is None:
            if found is None:
                return None
            left_out = np.full((len(order), found[1].outputs.shape[1]), np.nan)
        left_out = left_out.copy()
        left_out[_places(order)[self.seen]] = np.nan
        if found is not None and np.count_nonzero(~np.isnan(left_out[:, 0])) < FEWEST_TO_JUDGE_BY:
            left_out[found[0]] = found[1].outputs
        return left_out


def _places(order):
    """Where each sample is in an order."""
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return places


def choose_scaling(
    X,
    Y,
    weights,
    strata,
    *,
    options,
    evenness,
    bends,
    rounds,
    n_folds,
    metric,
    needs_kernel,
    many,
    kernel,
    rng,
    n_threads,
    coded=None,
    advance=None,
):
    """Choose how columns are scaled.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, C)
        Of mean 0 and variance about 1.
    weights, strata : ndarray of shape (n,)
    options : tuple
        Bias and `standardise` of `InputScaling`.
    evenness : float or "auto"
        "auto": what gives the kernel the smallest leave-one-out error.
    bends : bool or "auto"
        "auto": if that lowers the leave-one-out error of the kernel by more than a standard error of the difference.
    rounds : int, "auto" or False
        Of `learn_scales`; "auto": by errors of folds.
    n_folds : int
    metric : {"diagonal", "full"}
        Likewise.
    needs_kernel : bool
        Whether somebody needs the kernel, fitted with what was chosen.
    many : bool
        Whether there are more distinct samples than are looked at.
    kernel : dict
        Parameters of `KernelRidge`.
    rng : numpy.random.Generator
    n_threads : int
    coded : CodedByTargets, optional
        Of the samples: then all is chosen by errors of folds in place of those of leaving out one, as those are of
        samples whose targets are in the features of others.
    advance : callable, optional
        advance(stage, done, total): told how far it is.

    Returns
    -------
    ChosenScaling

    Notes
    -----
    All ridges are compared on 400 samples at most; from the best of these `climb` goes on with more of them. Cost:
    O(k^3) for each evenness, and each round and fold, with k = min(n, 1500) samples.
    """
    advance = advance or (lambda stage, done, total: None)
    advance("scaling", 0, 1)
    auto, standardise = isinstance(evenness, str), options[1]
    evennesses = EVENNESSES if auto and standardise else (1.0 if auto else float(evenness),)

    def scaled_by(value, bends=bends is True):
        return InputScaling(*options, value, bends).fit(X, sample_weight=weights)

    scalings = [scaled_by(value) for value in evennesses]
    # sorted, so that nothing depends on the order in which samples come
    seen = np.lexsort((weights, *Y.T[::-1], *X.T[::-1]))
    if many:
        seen = seen[np.sort(rng.choice(len(X), min(len(X), EIGEN_SAMPLES), replace=False))]
    some, coded = (X[seen], Y[seen], weights[seen], strata[seen]), None if coded is None else coded.of(seen)

    first_alpha = None
    if kernel["alpha"] == "loo" and len(np.unique(some[0], axis=0)) > FEW_SAMPLES:
        few = np.sort(np.random.default_rng(0).choice(len(some[0]), FEW_SAMPLES, replace=False))
        rows = scalings[0].transform(some[0][few])
        first_alpha = rough_alpha(rows, some[1][few], some[2][few], kernel["shift"])

    fewer, coded_of_fewer = some, coded
    if len(seen) > EVENNESS_SAMPLES:
        part = np.sort(np.random.default_rng(0).choice(len(seen), EVENNESS_SAMPLES, replace=False))
        fewer, coded_of_fewer = [array[part] for array in some], None if coded is None else coded.of(part)
    judge = _by_leaving_out_one if coded is None else _by_folds(coded_of_fewer, n_folds, metric)

    def judged(scaling, first_alpha=first_alpha, n_threads=1):
        return judge(scaling, fewer, kernel, first_alpha, n_threads)

    best, found, errors = 0, [None], [np.inf]
    if needs_kernel or len(scalings) > 1:
        with ThreadExecutor(threads_for(len(scalings), n_threads)) as executor:
            found = executor.run_all(judged, scalings)
        errors = [each.error for each in found]
        best = int(np.argmin(errors))
        if first_alpha is not None:
            first_alpha = found[best].alpha
    scaling, chosen, learned, bent_error = scalings[best], found[best], None, None
    bent = scaled_by(evennesses[best], True) if bends == "auto" and standardise else scaling
    if bent is not scaling and bent.bent_ is not None and len(fewer[0]) >= FEWEST_TO_BEND_BY:
        chosen, of_bent = chosen or judged(scaling), judged(bent, first_alpha, n_threads)
        bent_error = of_bent.error
        if _is_clearly_better(of_bent, chosen, fewer[2]):
            scaling, chosen = bent, of_bent
    if rounds is not False or (coded is not None and needs_kernel):
        learned = learn_scales(
            scaling,
            *some,
            **kernel,
            rounds=None if rounds == "auto" else int(rounds),
            n_folds=n_folds,
            rng=rng,
            n_threads=n_threads,
            first_alpha=first_alpha,
            metric=metric,
            coded=coded,
            advance=advance,
        )
    known = None if learned is None else learned.out_of_fold
    if rounds is False:
        learned = None
    n_rounds, model = 0 if learned is None else learned.rounds, None if chosen is None else chosen.model
    scaling_of_all = scaling if learned is None else learned.scaling
    if needs_kernel and (n_rounds or fewer is not some or coded is not None):
        near = learned.alpha if n_rounds else first_alpha
        options = kernel if coded is None else kernel | {"alpha": known.alpha}
        # of many only the ridge is of use
        model = _fitted(scaling_of_all, fewer if many else some, options, near, n_threads)
    compared = dict(zip(evennesses, errors, strict=True)) if len(errors) > 1 else {}
    if model is not None:
        model.n_threads = n_threads
    of_choice = scaling, model, seen, not many, metric, bent_error, coded, known
    return ChosenScaling(scaling_of_all, evennesses[best], compared, learned, *of_choice)


class _Judged(typing.NamedTuple):
    """What is known of a scaling: the error, squared errors of all samples, the ridge, and a model if there is one."""

    error: float
    squares: np.ndarray
    alpha: float
    model: KernelRidge | None


def _fitted(scaling, samples, kernel, first_alpha, n_threads):
    """The kernel of samples, which are scaled."""
    return _model_and_samples(scaling, samples, kernel, first_alpha, n_threads)[0]


def _model_and_samples(scaling, samples, kernel, first_alpha, n_threads):
    distinct = distinct_samples(scaling.transform(samples[0]), *samples[1:3])
    model = KernelRidge(**kernel, first_alpha=first_alpha, n_threads=n_threads)
    return model.fit(distinct.X, distinct.Y, distinct.weights, distinct.merged_of), distinct


def _by_leaving_out_one(scaling, samples, kernel, first_alpha, n_threads):
    """A scaling judged by leaving out one sample."""
    model, distinct = _model_and_samples(scaling, samples, kernel, first_alpha, n_threads)
    squares = np.full(len(samples[0]), np.inf)
    if model.left_out_ is not None:
        squares[distinct.order] = np.sum((model.left_out_ - distinct.observations.Y) ** 2, axis=1)
    return _Judged(model.error_, squares, model.alpha_, model)


def _by_folds(coded, n_folds, metric):
    """What judges a scaling by folds, in which features that are coded by targets are learned again."""

    def judge(scaling, samples, kernel, first_alpha, n_threads):
        *samples, strata = samples
        folds = deal_into_folds(strata, n_folds, np.random.default_rng(0))
        options = kernel["shift"], kernel["alpha"], metric
        squares, alpha = Folds(scaling, *samples, folds, options, n_threads, first_alpha, coded).squares()
        return _Judged(float(np.average(squares, weights=samples[2])), squares, alpha, None)

    return judge


def _is_clearly_better(one, other, weights):
    """Whether a scaling has a smaller error than another, by more than a standard error."""
    difference = other.squares - one.squares
    mean = np.average(difference, weights=weights)
    return bool(mean > np.sqrt(np.sum((weights * (difference - mean)) ** 2)) / weights.sum())
