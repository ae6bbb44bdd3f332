"""How an estimator scales columns: which proportions they keep, and scales that are learned."""

from __future__ import annotations

import typing

import numpy as np

from sltrees.estimators.distinct_samples import distinct_samples
from sltrees.estimators.feature_learning import FeatureScales, learn_scales, scales_after
from sltrees.estimators.kernel_ridge import EIGEN_SAMPLES, KernelRidge, rough_alpha
from sltrees.execution.threads import ThreadExecutor, threads_for
from sltrees.preprocessing import InputScaling

EVENNESSES = (1.0, 0.5, 0.0)  # that "auto" compares
EVENNESS_SAMPLES = 600  # that these are compared on, where there are more
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

    def scale(self, shift, alpha):
        """What learns the scales again from other samples: a function of X, Y and weights, for `search_models`.

        None where no scales were to be learned.
        """
        if self.learned is None:
            return None

        def learn(X, Y, weights):
            if not self.learned.rounds:
                return self.scaling.transform
            some = slice(None)
            if len(X) > EIGEN_SAMPLES:
                some = np.sort(np.random.default_rng(0).choice(len(X), EIGEN_SAMPLES, replace=False))
            scaling, *_ = scales_after(
                self.learned.rounds,
                self.unlearned,
                X[some],
                Y[some],
                weights[some],
                shift=shift,
                n_threads=1,
                alpha=alpha,
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
        if self.learned is None or self.learned.out_of_fold is None:
            return None
        return _places(order)[self.seen], self.learned.out_of_fold

    def honest(self, left_out, order):
        """Outputs at samples left out, but at those that the scales were learned from.

        If there are no others, those of folds, whose scales and functions were learned without them.

        Parameters
        ----------
        left_out : ndarray of shape (n, C) or None
            Of the kernel that was learned from all samples, in the order of observations.
        order : ndarray of shape (n,)
            Of observations, as `DistinctSamples` has it.
        """
        if self.learned is None or not self.learned.rounds:
            return left_out
        found = self.out_of_fold(order)
        if left_out is None:
            if found is None:
                return None
            left_out = np.full((len(order), found[1].outputs.shape[1]), np.nan)
        left_out = left_out.copy()
        left_out[_places(order)[self.seen]] = np.nan
        if np.isnan(left_out).all() and found is not None:  # there are no others
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
    some = X[seen], Y[seen], weights[seen], strata[seen]

    first_alpha = None
    if kernel["alpha"] == "loo" and len(np.unique(some[0], axis=0)) > FEW_SAMPLES:
        few = np.sort(np.random.default_rng(0).choice(len(some[0]), FEW_SAMPLES, replace=False))
        rows = scalings[0].transform(some[0][few])
        first_alpha = rough_alpha(rows, some[1][few], some[2][few], kernel["shift"])

    def fitted(scaling, first_alpha=first_alpha, n_threads=1, samples=some):
        distinct = distinct_samples(scaling.transform(samples[0]), *samples[1:3])
        model = KernelRidge(**kernel, first_alpha=first_alpha, n_threads=n_threads)
        return model.fit(distinct.X, distinct.Y, distinct.weights, distinct.merged_of)

    fewer = some
    if len(seen) > EVENNESS_SAMPLES:
        part = np.sort(np.random.default_rng(0).choice(len(seen), EVENNESS_SAMPLES, replace=False))
        fewer = [array[part] for array in some]

    best, kernels, errors = 0, [None], [np.inf]
    if needs_kernel or len(scalings) > 1:
        with ThreadExecutor(threads_for(len(scalings), n_threads)) as executor:
            kernels = executor.run_all(lambda scaling: fitted(scaling, samples=fewer), scalings)
        errors = [model.error_ for model in kernels]
        best = int(np.argmin(errors))
        if first_alpha is not None:
            first_alpha = kernels[best].alpha_
    scaling, model, learned, bent_error = scalings[best], kernels[best], None, None
    bent = scaled_by(evennesses[best], True) if bends == "auto" and standardise else scaling
    if bent is not scaling and bent.bent_ is not None and len(fewer[0]) >= FEWEST_TO_BEND_BY:
        model = model or fitted(scaling, samples=fewer)
        of_bent = fitted(bent, first_alpha, n_threads, fewer)
        bent_error = of_bent.error_
        if _is_clearly_better(of_bent, bent, model, scaling, fewer):
            scaling, model = bent, of_bent
    if rounds is not False:
        wanted = None if rounds == "auto" else int(rounds)
        learned = learn_scales(
            scaling,
            *some,
            **kernel,
            rounds=wanted,
            n_folds=n_folds,
            rng=rng,
            n_threads=n_threads,
            first_alpha=first_alpha,
            metric=metric,
            advance=advance,
        )
    rounds = 0 if learned is None else learned.rounds
    if needs_kernel and (rounds or fewer is not some):
        scaling_of_all, near = (learned.scaling, learned.alpha) if rounds else (scaling, first_alpha)
        model = fitted(scaling_of_all, near, n_threads, fewer if many else some)  # of many only the ridge is of use
    compared = dict(zip(evennesses, errors, strict=True)) if len(errors) > 1 else {}
    chosen = scaling if learned is None else learned.scaling
    if model is not None:
        model.n_threads = n_threads
    return ChosenScaling(
        chosen, evennesses[best], compared, learned, scaling, model, seen, not many, metric, bent_error
    )


def _is_clearly_better(model, scaling, other, other_scaling, samples):
    """Whether a kernel has a smaller leave-one-out error than another, by more than a standard error."""
    X, Y, weights, _ = samples

    def squares(model, scaling):
        distinct, found = distinct_samples(scaling.transform(X), Y, weights), np.empty(len(X))
        found[distinct.order] = np.sum((model.left_out_ - distinct.observations.Y) ** 2, axis=1)
        return found

    difference = squares(other, other_scaling) - squares(model, scaling)
    mean = np.average(difference, weights=weights)
    return bool(mean > np.sqrt(np.sum((weights * (difference - mean)) ** 2)) / weights.sum())
