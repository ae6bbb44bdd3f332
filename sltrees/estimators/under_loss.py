"""How an estimator learns the kernel under a loss that is not the squared error."""

from __future__ import annotations

import warnings

import numpy as np

from sltrees.estimators.coded_by_targets import features_within
from sltrees.estimators.comparison_under_loss import UnderLoss, lift_of
from sltrees.estimators.distinct_samples import deal_alike, deal_into_folds, joined_pairs, order_of
from sltrees.estimators.kernel_ridge import CHOLESKY_SAMPLES, FEWEST_FOR_BLOCKS, KernelRidge
from sltrees.estimators.kernel_solvers.blocks import BLOCK, Blocks
from sltrees.estimators.kernel_solvers.centres import draw_centres
from sltrees.estimators.kernel_solvers.nystrom import NystromSystem
from sltrees.estimators.kernel_solvers.reweighted import AllSamples, Centres, minimise
from sltrees.estimators.model_search import INTERRUPTED, NETWORK_SAMPLES, TOO_MANY, SearchWarning, search_models
from sltrees.estimators.parameters import n_threads_of
from sltrees.estimators.progress import Progress
from sltrees.estimators.targets import centre_and_spread
from sltrees.execution.threads import ThreadExecutor
from sltrees.kernels.unit_rows import UnitRowsKernel
from sltrees.linalg.leave_one_out import ALPHAS
from sltrees.losses import HuberLoss, LogisticLoss

SAMPLES_TO_CHOOSE = 1000  # on which the ridge is chosen
LARGEST_ALPHA = 1e4  # curvatures of some losses are small, and ridges that suit them large
FOLDS, FEWEST_IN_A_FOLD = 4, 5
FROM_THE_MIDDLE = 1e-1  # a ridge to begin with where squared errors chose none
REFRESHES = 2  # of the scale of Huber's loss, by errors of samples left out


def fit_under_loss(estimator, X, y, targets, weights, eval_samples, seed, n_samples, coded=None):
    """Learn the kernel under the loss of an estimator, or networks, if it may choose. Sets: all that is learned.

    Parameters
    ----------
    estimator : NewtonRegressor or NewtonClassifier
        With its coding of targets.
    X, y, targets, weights : ndarray
        Samples of weight above 0, joined where they are equal, targets also coded.
    eval_samples : tuple (X, targets) or None
        For networks, if these are better.
    seed : int
    n_samples : int
        As they came: the sum of weights in what is told of them.
    coded : CodedByTargets, optional
        Of the samples: then all errors are of folds, in which nothing was learned of samples left out.

    Notes
    -----
    Scales of features are those that suit the squared error of targets that are brought into shape for it: clipped, or
    their roots or logarithms. The ridge is chosen under the loss, by approximate leave-one-out errors of at most 1,000
    samples (by four folds for losses that parabolas are not near), beginning with that of the squared error. Up to
    10,000 samples all are centres, beyond, or with `solver="nystrom"`, 2,048 are, or `max_centres`. Errors of samples
    left out are of those that the scales were not learned from; where there are no others, of folds without which the
    scales too are learned again. Quantiles are shifted to be those of samples left out.

    Cost: some 10 to 50 times O(n^3 / 3) of so many samples, and 5 to 15 times that of all.
    """
    loss, Y, shaped, centre, spread = estimator._posed(targets, weights)
    loss.refuse(Y)
    estimator.centre_, estimator.spread_ = _, spread_of_shaped = centre_and_spread(shaped, weights)
    progress = Progress() if estimator.verbose else None
    choice = estimator._choose_scaling(X, shaped, weights, len(np.unique(X, axis=0)), seed, progress, coded)
    estimator.centre_, estimator.spread_ = centre, spread
    rows, model = estimator.scaling_.transform(X), _model_of(estimator, seed)
    samples, scale = (rows, Y, weights), choice.scale(**estimator._kernel_options())
    nested = None if scale is None else Nested(scale, X, shaped, spread_of_shaped, weights, coded)
    kernel, tell = UnitRowsKernel(model.shift), None if progress is None else (lambda stage: progress(stage, 0, 1))
    rng = np.random.default_rng(0 if estimator.random_state is None else seed)
    unit = kernel.of_itself * float(np.average(rows.any(axis=1), weights=weights)) or 1.0
    with ThreadExecutor(n_threads_of(estimator.n_jobs)) as executor:
        functions = _functions(model, kernel, rows, Y, rng, executor)

        def of_some(seen):
            seen_rows, others = nested.rows(seen)
            return _functions(model, kernel, seen_rows, Y[seen], rng, executor), others

        if estimator.alpha == "loo" and tell is not None:
            tell("the ridge under the loss")
        by_folds = (None, None) if coded is None else (nested, of_some)
        loss, alpha = _with_ridge(estimator, loss, kernel, samples, choice, unit, rng, executor, by_folds[0])
        folds = deal_alike(samples, estimator._strata(Y), FOLDS, rng)
        loss, found, left_out = _settled(functions, loss, Y, weights, alpha * unit, folds, tell, by_folds[1])
        has_scales = coded is None and choice.learned is not None and choice.learned.rounds
        if has_scales and choice.are_all:
            left_out = _by_folds(of_some, loss, Y, weights, alpha * unit, folds, tell)
        elif has_scales:
            left_out[choice.seen] = np.nan
    known = ~np.isnan(left_out[:, 0])
    offset = lift_of(loss, Y, left_out, weights)
    found = found._replace(constants=found.constants + offset, outputs=found.outputs + offset)
    _give(model, functions, found, alpha, alpha * unit, samples)

    def judge(outputs):
        known = ~np.isnan(outputs[:, 0])
        estimator._judge(y[known], weights[known] * (n_samples / weights.sum()), Y[known], outputs[known])

    error = None
    if known.any():
        error = float(np.average(loss.value(Y, left_out + offset)[known].sum(axis=1), weights=weights[known]))
    estimator.selection_ = {"model": ["kernel"], "error": [error], "outcome": ["asked for"]}
    estimator._adopt(model, "kernel", judge, left_out + offset)
    estimator._shaped_by = estimator._shaping_parameters()
    if estimator.model == "auto":
        under = UnderLoss(loss, alpha * unit, (shaped - shaped.mean(axis=0)) / spread_of_shaped)
        samples = X, rows, Y, weights, coded
        _search(estimator, choice, samples, under, alpha, eval_samples, judge, seed, progress)
    estimator._report_scalings(choice)


def _with_ridge(estimator, loss, kernel, samples, choice, unit, rng, executor, nested=None):
    """The loss, with a scale that suits its ridge, and the ridge."""
    alpha = estimator.alpha
    if alpha == "loo":
        alpha = choose_ridge(kernel, loss, samples, choice.kernel.alpha_, unit, rng, executor, nested)
        if isinstance(loss, HuberLoss):  # the ridge that suits it once it knows its scale
            loss = settle_loss(kernel, loss, samples, alpha * unit, FOLDS, rng, executor, nested)
            alpha = choose_ridge(kernel, loss, samples, alpha, unit, rng, executor, nested)
    return loss, max(float(alpha), np.finfo(np.float64).eps)


def _search(estimator, choice, samples, under, alpha, eval_samples, judge, seed, progress):
    """Have networks learn if they are clearly better than the kernel. Sets: selection_, and what is learned, if so."""
    X, rows, Y, weights, coded = samples
    if len(rows) > NETWORK_SAMPLES:
        estimator.selection_["outcome"] = [TOO_MANY]
        return
    estimator.selection_["outcome"] = [INTERRUPTED]
    scale = choice.scale(**estimator._kernel_options())
    order = order_of(X, Y, weights)  # nothing depends on that in which samples came
    search = search_models(
        (rows if scale is None else X)[order],
        Y[order],
        weights[order],
        estimator._strata(Y)[order],
        shift=estimator._kernel_shift(),
        n_folds=estimator.n_folds,
        seconds=estimator.search_seconds,
        random_state=seed,
        n_threads=n_threads_of(estimator.n_jobs),
        scale=scale,
        out_of_fold=choice.out_of_fold(order),
        alpha=alpha,
        under=under._replace(shaped=under.shaped[order]),
        coded=None if coded is None else coded.of(order),
        advance=progress,
    )
    if search.chosen is None:
        estimator.selection_ = search.table
    if search.shortage is not None:
        warnings.warn(search.shortage, SearchWarning, stacklevel=8)  # of who calls fit
    if progress is not None:
        progress.end()  # what networks say of their training are lines
    if search.chosen is None:
        return
    eval_set = eval_set_under_loss(estimator, eval_samples)
    training = estimator._training_options(eval_set)
    del training["tol"], training["max_iter"]  # as it was measured
    left_out, constants = np.empty(Y.shape), under.loss.constant(Y, weights)
    left_out[order] = search.left_out
    model = search.chosen.build(seed, dtype=estimator.dtype, loss=under.loss, offsets=constants, **training)
    model.lift = lift_of(under.loss, Y, left_out, weights)
    model.draw(rows, Y, weights)
    model.resume(rows, Y, weights, eval_set)
    estimator._adopt(model, "network", judge, left_out + model.lift, search.table)


def extend_under_loss(estimator, X, targets, weights):
    """Learn from further samples, too: anew from all, with scaling and ridge as they are. Sets: `fitted_model_`.

    Raises
    ------
    ValueError
        If the model is one of centres, which does not know its samples.
    """
    model = estimator.fitted_model_
    if model.blocks_ is not None:
        raise ValueError(
            f"partial_fit must have loss='squared' beyond {CHOLESKY_SAMPLES:,} samples, got {estimator.loss!r}; "
            "and where solver='nystrom' was asked for"
        )
    loss, Y, *_ = estimator._posed(targets, weights)
    loss.refuse(np.concatenate([Y, model.samples_[1]]))
    rows, kernel = estimator.scaling_.transform(X), UnitRowsKernel(model.shift)
    rows, Y, weights = (np.concatenate(both) for both in zip(model.samples_, (rows, Y, weights), strict=True))
    chosen, weights = joined_pairs(rows, Y, weights)
    rows, Y = rows[chosen], Y[chosen]
    model._check_memory(rows, Y, "cholesky")
    with ThreadExecutor(n_threads_of(estimator.n_jobs)) as executor:
        functions = AllSamples(kernel, rows, executor)
        unit = kernel.of_itself * float(np.average(rows.any(axis=1), weights=weights)) or 1.0
        folds = deal_alike((rows, Y, weights), np.zeros(len(Y)), FOLDS, np.random.default_rng(0))
        loss, found, left_out = _settled(functions, loss, Y, weights, model.alpha_ * unit, folds)
    constants = found.constants + lift_of(loss, Y, left_out, weights)
    estimator.fitted_model_ = model.to_extend().take((rows, Y, weights), model.alpha_, found.dual, constants)


def eval_set_under_loss(estimator, eval_samples):
    """Samples held out as models know them, or None."""
    if eval_samples is None:
        return None
    X, targets = eval_samples
    return estimator.scaling_.transform(estimator._filled(X)), estimator._posed(targets, None)[1]


class Nested:
    """Samples as models know them that learn from some of them alone: scales and coded features are of these, too.

    Parameters
    ----------
    scale : callable
        As `ChosenScaling.scale` makes it.
    X, shaped, weights : ndarray
        Features, targets for squared errors, and weights.
    spread : ndarray of shape (C,)
        Of `shaped`.
    coded : CodedByTargets or None
    """

    def __init__(self, scale, X, shaped, spread, weights, coded):
        self.scale, self.X, self.shaped, self.spread, self.weights = scale, X, shaped, spread, weights
        self.coded = coded

    def of(self, some):
        """The same of a part of the samples. Cost: O(n d)."""
        coded = None if self.coded is None else self.coded.of(some)
        return Nested(self.scale, self.X[some], self.shaped[some], self.spread, self.weights[some], coded)

    def rows(self, seen):
        """Rows of those that are learned from and of the others. Cost: that of learning the scales."""
        X, Y = features_within(self.X, self.coded, seen), (self.shaped - self.shaped.mean(axis=0)) / self.spread
        transform = self.scale(X[seen], Y[seen], self.weights[seen])
        return transform(X[seen]), transform(X[~seen])

    def functions(self, kernel, folds, executor):
        """What `_by_folds` takes of folds that are known: each is learned once. Cost: that of `rows` for each fold."""
        made = {}
        for fold in range(FOLDS):
            seen = folds != fold
            rows, others = self.rows(seen)
            made[seen.tobytes()] = AllSamples(kernel, rows, executor), others
        return lambda seen: made[seen.tobytes()]


def settle_loss(kernel, loss, samples, ridge, n_folds, rng, executor, nested=None):
    """The loss with its scale, as errors of the kernel at samples left out tell it, of at most 1,000 samples."""
    if not isinstance(loss, HuberLoss):
        return loss
    some = _some(samples, rng)
    rows, Y, weights = (part[some] for part in samples)
    folds = deal_into_folds(np.zeros(len(Y)), n_folds, rng)
    of_some = None if nested is None else nested.of(some).functions(kernel, folds, executor)
    return _settled(AllSamples(kernel, rows, executor), loss, Y, weights, ridge, folds, None, of_some)[0]


def _settled(functions, loss, Y, weights, ridge, folds, tell=None, of_some=None):
    """The loss with its scale, the function, and outputs at samples left out."""
    found, left_out = _learned(functions, loss, Y, weights, ridge, folds, None, tell, of_some)
    for _ in range(REFRESHES if isinstance(loss, HuberLoss) else 0):
        errors = np.where(np.isnan(left_out), found.outputs, left_out) - Y  # of few samples none is left out
        loss = HuberLoss.of_errors(errors.ravel(), np.repeat(weights, Y.shape[1]))
        found, left_out = _learned(functions, loss, Y, weights, ridge, folds, found, tell, of_some)
    return loss, found, left_out


def _learned(functions, loss, Y, weights, ridge, folds, start=None, tell=None, of_some=None):
    """The function, and outputs at samples left out: each alone, or where the loss is not near its parabolas by folds.

    By folds, too, if `of_some` is given, as `_by_folds` takes it. NaN where samples are too few for folds.
    """
    found, left_out = minimise(functions, loss, Y, weights, ridge, start, tell)
    # classes that are told apart have curvatures of next to 0, which say that nothing changes without a sample
    is_far = not loss.is_newton or (isinstance(loss, LogisticLoss) and len(Y) >= FOLDS * FEWEST_IN_A_FOLD)
    if of_some is not None or is_far:
        of_some = of_some or (lambda seen: (functions.of_some(seen), functions.X[~seen]))
        left_out = _by_folds(of_some, loss, Y, weights, ridge, folds, tell)
    return found, left_out


def _by_folds(of_some, loss, Y, weights, ridge, folds, tell=None):
    """Outputs at samples left out with their folds; `of_some` gives functions of those seen, and rows of others."""
    left_out = np.full(Y.shape, np.nan)
    if len(Y) < FOLDS * FEWEST_IN_A_FOLD:
        return left_out
    for fold in range(FOLDS):
        seen = folds != fold
        functions, rows = of_some(seen)
        solution, _ = minimise(functions, loss, Y[seen], weights[seen], ridge, tell=tell)
        left_out[~seen] = functions.outputs(rows, solution)
    return left_out


def _model_of(estimator, seed):
    """The model that is to be given a solution."""
    return KernelRidge(
        **estimator._kernel_options(),
        solver=estimator.solver,
        max_centres=estimator.max_centres,
        random_state=0 if estimator.random_state is None else seed,
        n_threads=n_threads_of(estimator.n_jobs),
    )


def _functions(model, kernel, rows, Y, rng, executor):
    """Those that are looked through, by the solver of a model; MemoryError if there is no room for it."""
    fewest = {"nystrom": FEWEST_FOR_BLOCKS, "auto": CHOLESKY_SAMPLES}.get(model.solver, np.inf)
    if len(rows) <= fewest:
        model._check_memory(rows, Y, "cholesky")
        return AllSamples(kernel, rows, executor)
    model._check_memory(rows, Y, "nystrom")
    n_centres = min(BLOCK, model.max_centres)
    return Centres(kernel, rows, rows[draw_centres(kernel, rows, n_centres, rng, executor)], executor)


def choose_ridge(kernel, loss, samples, alpha, unit, rng, executor, nested=None):
    """The ridge with the smallest approximate leave-one-out error of some samples, by climbing from one.

    By folds, in which scales and features are learned again, if `nested` is given.
    """
    some = _some(samples, rng)
    rows, Y, weights = (part[some] for part in samples)
    functions, folds = AllSamples(kernel, rows, executor), deal_into_folds(np.zeros(len(Y)), FOLDS, rng)
    of_some = None if nested is None else nested.of(some).functions(kernel, folds, executor)
    errors, found = {}, None
    alphas = [alpha for alpha in (*ALPHAS, *(10.0 ** (k / 2) for k in range(5, 9))) if 1e-8 <= alpha <= LARGEST_ALPHA]
    at = int(np.argmin(np.abs(np.log(alphas) - np.log(max(alpha, 1e-8)))))

    def error(k):
        nonlocal found
        if k not in errors:
            found, left_out = _learned(functions, loss, Y, weights, alphas[k] * unit, folds, found, None, of_some)
            errors[k] = float(weights @ np.nan_to_num(loss.value(Y, left_out)).sum(axis=1))
        return errors[k]

    for step in (2, -2, 1, -1):  # decades first
        while 0 <= at + step < len(alphas) and error(at + step) < error(at):
            at += step
    return alphas[at]


def _some(samples, rng):
    """Which samples to choose on, in an order of their own."""
    some = np.sort(rng.choice(len(samples[0]), min(len(samples[0]), SAMPLES_TO_CHOOSE), replace=False))
    return order_of(*samples)[some]


def _give(model, functions, found, alpha, ridge, samples):
    """Give a model its solution."""
    if isinstance(functions, AllSamples):
        model.solver_ = "cholesky"
        model.take(samples, alpha, found.dual, found.constants)
        return
    blocks = Blocks(functions.kernel)
    blocks.centres, blocks.dual, blocks.constants = functions.centres, found.dual, found.constants
    blocks.ridge = ridge
    blocks.system = NystromSystem(functions.kernel, functions.centres, found.dual.shape[1])  # partial_fit is refused
    model.solver_, model.alpha_ = "nystrom", alpha
    model.take_blocks(blocks)
