"""How an estimator learns from collections of Dask: choices on a sample of them, then passes over all."""

from __future__ import annotations

import copy

import numpy as np
from sklearn.base import is_classifier

from sltrees.estimators.kernel_ridge import CHOLESKY_SAMPLES
from sltrees.estimators.kernel_solvers.blocks import HELD_OUT, MOST_HELD_OUT
from sltrees.estimators.model_search import NETWORK_SAMPLES
from sltrees.estimators.parameters import n_threads_of
from sltrees.estimators.parted.collections import as_parts, grouped
from sltrees.estimators.parted.passes import Function, Reader, describe, draw
from sltrees.estimators.parted.running import passed
from sltrees.estimators.parted.samples import PartedSamples
from sltrees.estimators.progress import Progress
from sltrees.estimators.targets import centre_and_spread, error_left_out
from sltrees.execution.threads import ThreadExecutor
from sltrees.linalg.leave_one_out import Observations

CANDIDATES = 2  # for each centre, rows that it is chosen among


class _Described:
    """Parts, and what they are found to be."""

    def __init__(self, estimator, X, y, sample_weight):
        parts = as_parts(X, y, sample_weight)
        self.delayed, self.columns = parts.delayed, parts.columns
        numbers = range(len(self.delayed))
        alone = [range(at, at + 1) for at in numbers]
        found = passed(self.delayed, alone, describe, [([at],) for at in numbers], (is_classifier(estimator),))
        self.found = [described for (described,) in found]
        widths = sorted({described.n_columns for described in self.found})
        if len(widths) > 1:
            raise ValueError(f"all parts of X must have the same number of columns, got {widths}")
        self.n_features = widths[0] if widths else 0
        self.counts = np.array([described.n_weighted for described in self.found], dtype=np.int64)
        self.groups = grouped([described.n_samples for described in self.found])
        self.classes = np.concatenate([described.classes for described in self.found] or [np.empty(0)])
        self.totals = np.concatenate([described.totals for described in self.found] or [np.empty(0)])

    @property
    def n_samples(self):
        """Those of a weight above 0."""
        return int(self.counts.sum())

    def drawn(self, chosen):
        """Samples, by their ascending places among all: X as it was, y, weights, and for each its part and row."""
        ends = np.cumsum(self.counts)
        of_part = np.searchsorted(ends, chosen, side="right")
        places = [chosen[of_part == at] - (ends[at] - self.counts[at]) for at in range(len(self.delayed))]
        arguments = [([places[at] for at in group],) for group in self.groups]
        found = [part for group in passed(self.delayed, self.groups, draw, arguments, ()) for part in group]
        X, y, weights, rows = (np.concatenate(column) for column in zip(*found, strict=True))
        if self.columns is not None:
            import pandas as pd

            X = pd.DataFrame(X, columns=self.columns)
        return X, y, weights, of_part, rows


def fit_parts(estimator, X, y, sample_weight, eval_set, classes, seed):
    """Learn from collections of Dask. Sets: all that is learned.

    Parameters
    ----------
    estimator : NewtonRegressor or NewtonClassifier
        That has learned nothing.
    X, y, sample_weight : collections of Dask
    eval_set : None
    classes : array_like or None
        All labels that will ever come.
    seed : int

    Notes
    -----
    Scales and ridge are chosen on a sample, and errors are of samples that are drawn, too; blocks of centres are fitted
    to all. Of 10,000 samples and fewer all are drawn, and learned from as arrays are. Cost: two passes, and one for
    each block of centres.
    """
    _refuse_parameters(estimator, eval_set)
    parts = _Described(estimator, X, y, sample_weight)
    n, rng = parts.n_samples, np.random.default_rng(seed)
    if not n:
        raise ValueError("collections must hold at least one sample of a weight above 0, got none")
    if n <= CHOLESKY_SAMPLES:
        X, y, weights, *_ = parts.drawn(np.arange(n))
        estimator._fit_fresh(X, y, weights, None, classes, None, None)
        return
    size = min(n, MOST_HELD_OUT + CANDIDATES * estimator.max_centres)
    X, y, weights, of_part, rows = parts.drawn(np.sort(rng.choice(n, size, replace=False, shuffle=False)))
    is_out = np.zeros(size, dtype=bool)
    is_out[rng.choice(size, min(int(HELD_OUT * n), MOST_HELD_OUT, size // 2), replace=False)] = True
    left_out = [rows[is_out & (of_part == at)] for at in range(len(parts.delayed))]

    X, y, weights = estimator._validate_samples(X, y, weights, reset=True)
    coded = vars(estimator).pop("_rated", None)
    labelled = is_classifier(estimator)
    estimator._learn_coding(*((parts.classes, parts.totals) if labelled else (y, weights)), classes)
    progress = Progress() if estimator.verbose else None
    choice, Y, weights = _choose(estimator, X, y, weights, seed, progress, coded)
    scaled = estimator.scaling_.transform(X)
    with ThreadExecutor(n_threads_of(estimator.n_jobs)) as executor:

        def samples(kernel):
            reader = Reader(_to_send(estimator))
            sizes = n - int(is_out.sum()), Y.shape[1]
            return PartedSamples(
                kernel, parts.delayed, parts.groups, left_out, reader, *sizes, scaled[~is_out], executor
            )

        kernel = estimator._kernel_for_many(choice, seed, progress)
        kernel.fit_parts(samples, (scaled[is_out], Y[is_out], weights[is_out]))
        kernel.advance = None  # of this call
    outputs = np.full(Y.shape, np.nan)
    outputs[is_out] = kernel.left_out_
    outputs = choice.honest(outputs, np.arange(size))
    _take(estimator, kernel, choice, (y, Y, weights), outputs)


def extend_parts(estimator, X, y, sample_weight):
    """Learn from further samples, in collections of Dask, too. Sets: `fitted_model_`.

    Parameters
    ----------
    estimator : NewtonRegressor or NewtonClassifier
        That was fitted.
    X, y, sample_weight : collections of Dask

    Notes
    -----
    A model that is not made of blocks of centres is learned from arrays: then the samples are brought here. Cost: that
    of a pass over them.
    """
    parts = _Described(estimator, X, y, sample_weight)
    blocks = getattr(estimator.fitted_model_, "blocks_", None)
    if blocks is None or not parts.n_samples:
        X, y, weights, *_ = parts.drawn(np.arange(parts.n_samples))
        estimator._extend_alone(X, y, weights)
        return
    if estimator.loss != "squared":
        raise ValueError(f"loss must be 'squared' for collections of Dask, got {estimator.loss!r}")
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and parts.columns is not None and list(names) != parts.columns:
        raise ValueError(f"columns of X must be those of fit in their order, {list(names)}, got {parts.columns}")
    if parts.n_features != estimator.n_features_in_:
        raise ValueError(f"X must have {estimator.n_features_in_} columns as in fit, got {parts.n_features}")
    if is_classifier(estimator):
        estimator._code(np.unique(parts.classes))  # all of them known
    with ThreadExecutor(n_threads_of(estimator.n_jobs)) as executor:
        samples = PartedSamples(
            blocks.kernel,
            parts.delayed,
            parts.groups,
            [np.empty(0, dtype=np.int64)] * len(parts.delayed),
            Reader(_to_send(estimator)),
            parts.n_samples,
            blocks.dual.shape[1],
            blocks.centres[:0],
            executor,
            Function(blocks.kernel, blocks.centres, blocks.dual, blocks.constants),
        )
        fresh = estimator.fitted_model_.to_extend()
        estimator.fitted_model_ = fresh.take_blocks(blocks.extended_by(samples.system(blocks.system.centres), executor))


def _choose(estimator, X, y, weights, seed, progress, coded):
    """Scalings by some of very many samples: the choice, and targets and weights as the model knows them.

    Sets: scaling_, evenness_, feature_scales_, feature_importances_, centre_, spread_.
    """
    targets, weights = estimator._code(y), estimator._with_class_weights(y, weights)
    estimator._weight_unit = float(weights.mean())
    estimator.centre_, estimator.spread_ = centre_and_spread(targets, weights)
    weights = weights / estimator._weight_unit
    choice = estimator._choose_scaling(X, targets, weights, len(np.unique(X, axis=0)), seed, progress, coded)
    return choice, (targets - estimator.centre_) / estimator.spread_, weights


def _take(estimator, kernel, choice, sample, left_out):
    """Take a kernel that was learned from parts. Sets: all that says what was chosen, and how good it is."""
    y, Y, weights = sample

    def judge(outputs):
        known = ~np.isnan(outputs[:, 0])
        estimator._judge(y[known], weights[known], Y[known], outputs[known])

    estimator._adopt(kernel, "kernel", judge, left_out)
    error = error_left_out(left_out, Observations(np.arange(len(Y)), Y, weights))
    outcome = f"chosen: networks are not tried for more than {NETWORK_SAMPLES:,} samples"
    outcome = "asked for" if estimator.model == "kernel" else outcome
    estimator.selection_ = {"model": ["kernel"], "error": [error], "outcome": [outcome]}
    estimator._shaped_by = estimator._shaping_parameters()
    estimator._report_scalings(choice)


def _to_send(estimator):
    """Coding and scaling, as other processes need them: a copy without models and callbacks. Cost: O(d)."""
    light = copy.copy(estimator)
    for name in ("fitted_model_", "selection_"):
        light.__dict__.pop(name, None)
    light.callbacks, light.random_state = (), None
    return light


def _refuse_parameters(estimator, eval_set):
    """ValueError for what needs all samples at once."""
    if eval_set is not None:
        raise ValueError("eval_set must be None for collections of Dask: their models are solved at once")
    if estimator.loss != "squared":
        raise ValueError(f"loss must be 'squared' for collections of Dask, got {estimator.loss!r}")
    for name, allowed in ("model", ("auto", "kernel")), ("solver", ("auto", "nystrom")):
        value = getattr(estimator, name)
        if value not in allowed:
            raise ValueError(f"{name} must be {allowed[0]!r} or {allowed[1]!r} for collections of Dask, got {value!r}")
