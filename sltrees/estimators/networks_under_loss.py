"""How an estimator has networks learn under a loss that is not the squared error."""

from __future__ import annotations

import numpy as np

from sltrees.estimators.distinct_samples import deal_alike
from sltrees.estimators.parameters import n_threads_of
from sltrees.estimators.progress import Progress
from sltrees.estimators.targets import centre_and_spread
from sltrees.estimators.under_loss import (
    FOLDS,
    FROM_THE_MIDDLE,
    Nested,
    choose_ridge,
    eval_set_under_loss,
    settle_loss,
)
from sltrees.execution.threads import ThreadExecutor
from sltrees.kernels.unit_rows import UnitRowsKernel


def fit_networks_under_loss(estimator, X, y, targets, weights, eval_samples, seed, n_samples, coded=None):
    """Have a network for each output learn under the loss of an estimator. Sets: all that is learned.

    Parameters
    ----------
    estimator : NewtonRegressor or NewtonClassifier
        With its coding of targets.
    X, y, targets, weights : ndarray
        As of `sltrees.estimators.under_loss.fit_under_loss`.
    eval_samples : tuple (X, targets) or None
    seed, n_samples, coded
        As there.

    Notes
    -----
    Networks of three or more classes take turns under the softmax of all. The ridge, and the scale of Huber's loss, are
    those that suit the kernel of at most 1,000 samples. Cost: that of a training for each output, and for classes,
    whose errors are those of samples left out, of another one on a part of the samples.
    """
    loss, Y, shaped, centre, spread = estimator._posed(targets, weights)
    loss.refuse(Y)
    estimator.centre_, estimator.spread_ = _, spread_of_shaped = centre_and_spread(shaped, weights)
    progress = Progress() if estimator.verbose else None
    choice = estimator._choose_scaling(X, shaped, weights, len(np.unique(X, axis=0)), seed, progress, coded)
    estimator.centre_, estimator.spread_ = centre, spread
    rows, scale = estimator.scaling_.transform(X), choice.scale(**estimator._kernel_options())
    rng = np.random.default_rng(0 if estimator.random_state is None else seed)
    nested = None if scale is None else Nested(scale, X, shaped, spread_of_shaped, weights, coded)
    loss, alpha = _posed_for_networks(estimator, loss, (rows, Y, weights), rng, None if coded is None else nested)
    if progress is not None:
        progress.end()  # what networks say of their training are lines

    def networks(seen, **training):
        offsets = loss.constant(Y[seen], weights[seen])
        return estimator._new_networks(seed, alpha=alpha, loss=loss, offsets=offsets, **training)

    left_out = np.full(Y.shape, np.nan)
    if estimator._needs_left_out and len(Y) >= estimator.n_folds:
        seen = deal_alike((rows, Y, weights), estimator._strata(Y), estimator.n_folds, rng) != 0
        of_these, others = (rows[seen], rows[~seen]) if nested is None else nested.rows(seen)
        options = {"tol": estimator.tol, "max_iter": estimator.max_iter, "n_threads": n_threads_of(estimator.n_jobs)}
        model = networks(seen, **options).fit(of_these, Y[seen], weights[seen])
        left_out[~seen] = model.predict(others)
    known = ~np.isnan(left_out[:, 0])

    def judge(outputs):
        estimator._judge(y[known], weights[known] * (n_samples / weights.sum()), Y[known], outputs[known])

    eval_set = eval_set_under_loss(estimator, eval_samples)
    estimator.selection_ = {"model": ["network"], "error": [None], "outcome": ["asked for"]}
    model = networks(slice(None), **estimator._training_options(eval_set))
    model.draw(rows, Y, weights)
    estimator._adopt(model, "network", judge, left_out)
    estimator._shaped_by = estimator._shaping_parameters()
    estimator._report_scalings(choice)
    model.resume(rows, Y, weights, eval_set)


def extend_networks_under_loss(estimator, X, targets, weights):
    """Have them learn from further samples, too. Sets: `fitted_model_`."""
    loss, Y, *_ = estimator._posed(targets, weights)
    fresh = estimator.fitted_model_.to_extend()
    loss.refuse(np.concatenate([Y, fresh.samples_[1]]))
    fresh.change(**estimator._training_options(None))
    try:
        fresh.extend(estimator.scaling_.transform(X), Y, weights)
        estimator.fitted_model_ = fresh
    except KeyboardInterrupt:
        estimator.fitted_model_ = fresh  # whole, as far as it is trained; the next call makes up for the rest
        raise


def _posed_for_networks(estimator, loss, samples, rng, nested):
    """The loss with its scale, and the ridge, by what suits the kernel."""
    rows, _, weights = samples
    kernel = UnitRowsKernel(estimator._kernel_shift())
    unit = kernel.of_itself * float(np.average(rows.any(axis=1), weights=weights)) or 1.0
    with ThreadExecutor(n_threads_of(estimator.n_jobs)) as executor:
        alpha = estimator.alpha
        if alpha == "loo":
            alpha = choose_ridge(kernel, loss, samples, FROM_THE_MIDDLE, unit, rng, executor, nested)
        alpha = max(float(alpha), np.finfo(np.float64).eps)
        return settle_loss(kernel, loss, samples, alpha * unit, FOLDS, rng, executor, nested), alpha
