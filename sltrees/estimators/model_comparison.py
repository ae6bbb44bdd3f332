"""Models measured on the same folds of the same samples: the kernel, and networks that may be better."""

from __future__ import annotations

import dataclasses
import threading
import typing

import numpy as np

from sltrees._memory import available_memory
from sltrees.callbacks import Callback
from sltrees.estimators.coded_by_targets import features_within
from sltrees.estimators.distinct_samples import to_learn_from
from sltrees.estimators.kernel_ridge import KernelRidge
from sltrees.estimators.networks import Networks
from sltrees.execution.threads import ThreadExecutor

WIDTH = 512
LEAST_ALPHA, LARGEST_ALPHA = 1e-4, 10.0
SHIFT = 1.0

# Weights move far: without damping the first steps would be refused.
FIRST_DAMPING, MAX_ITER = 0.3, 18

# A candidate is clearly better or worse than the kernel if the mean difference of their errors is so many
# standard errors from 0.
CLEAR = 1.0
ROUNDING = 1e-9  # a difference that is a smaller share of the errors says nothing

BYTES_OF_KERNEL = 56.0  # for each pair of samples, while it is learned

# Nanoseconds of one core of a server processor, for each: a number of the factorisation of G, a counted pair, an active
# pair and feature, a near pair, and a step at all. Only to bound the search, in the same way on each machine.
FACTOR_COST, COUNT_COST, ACTIVE_COST, NEAR_COST, STEP_COST = 0.1, 2.0, 0.5, 10.0, 4e6


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network to be tried.

    Parameters
    ----------
    target_scale, alpha, width
        Of `Networks`.
    """

    target_scale: float
    alpha: float
    width: int = WIDTH

    def __str__(self):
        return f"width={self.width} target_scale={self.target_scale:g} alpha={self.alpha:g}"

    def build(self, random_state, **options):
        """The model."""
        return Networks(
            width=self.width,
            shift=SHIFT,
            alpha=self.alpha,
            target_scale=self.target_scale,
            random_state=random_state,
            max_iter=MAX_ITER,
            first_damping=FIRST_DAMPING,
            **options,
        )

    def seconds(self, n_samples, n_features, n_outputs):
        """What learning from so many samples takes at most, by the cost model. Cost: O(1)."""
        near = self.width * n_samples
        active = 0.16 * near  # P(N(0, 1) > 1)
        step = FACTOR_COST * n_samples**3 / 3 + COUNT_COST * active**2 / self.width
        step += n_features * ACTIVE_COST * active + NEAR_COST * near + STEP_COST
        return 1e-9 * n_outputs * (MAX_ITER + 1) * step


class _StopWhen(Callback):
    """Stops all trainings that have it once its event is set."""

    def __init__(self):
        self.event = threading.Event()

    def on_iteration(self, trainer, record):
        """Whether to stop."""
        return self.event.is_set()


@dataclasses.dataclass
class Comparing:
    """How models are compared, whatever the samples.

    Parameters
    ----------
    shift, random_state, scale, alpha, first_alpha
        Of `search_models`.
    executor : ThreadExecutor
    stop : callback
        Of all trainings: they end once its `event` is set.
    """

    shift: float
    random_state: int
    executor: ThreadExecutor
    scale: typing.Callable | None = None
    alpha: float | str = "loo"
    first_alpha: float | None = None
    stop: Callback = dataclasses.field(default_factory=_StopWhen)
    largest_alpha, cost = LARGEST_ALPHA, 1.0  # of networks, and in units of the cost model
    clear = CLEAR  # so many standard errors better

    def comparison(self, samples, folds, scalings=None, coded=None):
        """A `Comparison` of such models, on such samples."""
        return Comparison(*samples, folds, self, scalings, coded)


class Comparison:
    """Candidates and the kernel, all on the same samples and folds.

    Attributes
    ----------
    tried : dict of Candidate to dict
        Their rows of the table; None is the kernel.
    outputs : dict of Candidate to ndarray of shape (n, C)
        At samples left out; NaN at those of folds that were not learned for.
    """

    def __init__(self, X, Y, weights, folds, comparing, scalings=None, coded=None):
        self.X, self.Y, self.weights, self.folds, self.comparing, self.coded = X, Y, weights, folds, comparing, coded
        self.targets_of_scales = Y
        self.n_folds = int(folds.max()) + 1
        self.rows = {fold: scaling.transform(self.features_of(fold)) for fold, scaling in enumerate(scalings or ())}
        self.tried, self.outputs = {}, {}

    def features_of(self, fold):
        """All samples, not scaled, as they are where nothing was learned of a fold."""
        return features_within(self.X, self.coded, self.folds != fold)

    def rows_for(self, fold):
        """All samples, scaled as was learned without a fold."""
        if fold not in self.rows and self.comparing.scale is None:
            return self.X
        if fold not in self.rows:
            X, seen = self.features_of(fold), self.folds != fold
            self.rows[fold] = self.comparing.scale(X[seen], self.targets_of_scales[seen], self.weights[seen])(X)
        return self.rows[fold]

    def best(self):
        """The candidate with the smallest error of those that were measured on the most folds.

        None if these are clearly worse than the kernel.
        """
        rows = {candidate: row for candidate, row in self.tried.items() if candidate}
        most = max((row["folds"] for row in rows.values()), default=0)
        rows = {c: row for c, row in rows.items() if row["folds"] == most and row["outcome"] != "worse"}
        return min(rows, key=lambda candidate: rows[candidate]["error"], default=None)

    def promises(self, candidate):
        """Whether others like a candidate, which is not clearly worse than the kernel, are worth a try."""
        return True

    def measure_kernel(self, n_folds=None):
        """Learn the kernel on each fold, or some; returns the median of the ridges that it chose."""
        n_folds, comparing = n_folds or self.n_folds, self.comparing

        def learn(fold):
            train, rows = self.folds != fold, self.rows_for(fold)
            X, Y, weights, observations = to_learn_from(rows[train], self.Y[train], self.weights[train])
            model = KernelRidge(
                shift=comparing.shift,
                alpha=comparing.alpha,
                first_alpha=comparing.first_alpha,
                most_left_out=len(X),
                n_threads=1,
            ).fit(X, Y, weights, observations)
            return model.predict(rows[~train]), model.alpha_

        self.outputs[None] = np.full(self.Y.shape, np.nan)
        room = available_memory() / (BYTES_OF_KERNEL * len(self.Y) ** 2)  # it changes how many are learned at a time
        at_once, learned = max(1, min(n_folds, int(room))), []
        for first in range(0, n_folds, at_once):
            learned += comparing.executor.run_all(learn, range(first, min(first + at_once, n_folds)))
        for fold, (outputs, _) in enumerate(learned):
            self.outputs[None][self.folds == fold] = outputs
        return self.take_kernel(self.outputs[None], float(np.median([alpha for _, alpha in learned])), n_folds)

    def know_kernel(self, found):
        """Take what is known of the kernel, an `OutOfFold`, and return the ridge."""
        return self.take_kernel(found.outputs, found.alpha)

    def take_kernel(self, outputs, alpha, n_folds=None):
        """Take outputs of the kernel at samples left out, and return the ridge."""
        self.outputs[None] = outputs
        self.tried[None] = {"model": "kernel", "alpha": alpha, "outcome": "the yardstick"}
        self.tried[None] |= self.compared(outputs, n_folds or self.n_folds)
        return alpha

    def measure(self, candidates, n_folds):
        """Learn candidates, all at once, on the first folds, but those on which they were measured already."""
        for candidate in candidates:
            self.tried.setdefault(candidate, row_of(candidate))
            self.outputs.setdefault(candidate, np.full(self.Y.shape, np.nan))
        tasks = [
            (candidate, fold, columns)
            for candidate in candidates
            for fold in range(self.tried[candidate]["folds"], n_folds)
            for columns in self.learned_apart()
        ]
        comparing = self.comparing
        alone = (
            {"n_threads": comparing.executor.n_threads} if len(tasks) == 1 else {"n_threads": 1, "executor": "inline"}
        )

        learned = comparing.executor.run_all(lambda task: self.learn(*task, **alone), tasks)
        for (candidate, fold, columns), values in zip(tasks, learned, strict=True):
            self.outputs[candidate][self.folds == fold, columns] = values
        for candidate in candidates:
            row = self.tried[candidate]
            row |= self.compared(self.outputs[candidate], max(n_folds, row["folds"]))
            row["outcome"] = self.outcome(row)

    def learn(self, candidate, fold, columns, **training):
        """Some outputs of a candidate at the samples of a fold, learned from the others."""
        comparing, train, rows = self.comparing, self.folds != fold, self.rows_for(fold)
        X, Y, weights, options = self.to_learn_from(rows[train], self.Y[train, columns], self.weights[train])
        model = candidate.build(comparing.random_state, callbacks=[comparing.stop], **training, **options)
        return model.fit(X, Y, weights).predict(rows[~train])

    def learned_apart(self):
        """Columns of outputs of which each lot is learned without the others."""
        return [slice(k, k + 1) for k in range(self.Y.shape[1])]

    def to_learn_from(self, X, Y, weights):
        """Samples as a network learns from them, and what it is to be told besides: (X, Y, weights, dict)."""
        return *to_learn_from(X, Y, weights)[:3], {}

    def errors(self, outputs, known):
        """Of some samples, shape (k,)."""
        return np.sum((outputs[known] - self.Y[known]) ** 2, axis=1)

    def outcome(self, row):
        """What a row says of its candidate."""
        if row["difference"] > margin(row, CLEAR):
            return "worse"
        if row["folds"] < self.n_folds:
            return "behind others"  # unless it is measured on further folds
        return "better" if row["difference"] < -margin(row, self.comparing.clear) else "no better"

    def compared(self, outputs, n_folds):
        """Weighted mean error on the first folds, and its difference from the kernel's, as a part of a row."""
        known = self.folds < n_folds
        weights, errors = self.weights[known], self.errors(outputs, known)
        of_kernel, total = self.errors(self.outputs[None], known), weights.sum()
        differences = errors - of_kernel
        mean = weights @ differences / total
        spread = np.sqrt(np.sum((weights * (differences - mean)) ** 2)) / total
        return {
            "error": float(weights @ errors / total),
            "difference": float(mean),
            "standard_error": float(spread),
            "rounding": ROUNDING * float(weights @ np.maximum(np.abs(errors), np.abs(of_kernel)) / total),
            "folds": n_folds,
            "samples": len(self.Y),
        }


def margin(row, n):
    """What a difference has to be beyond to be so many standard errors from 0, and not a matter of rounding."""
    return max(n * row["standard_error"], row.get("rounding", 0.0))


def row_of(candidate):
    """A row of the table for a candidate that was not measured yet, a dict. Cost: O(1)."""
    return {"model": "network"} | dataclasses.asdict(candidate) | {"folds": 0}
