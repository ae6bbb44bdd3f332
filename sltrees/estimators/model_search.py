"""Choosing between the lazy limit and networks that learn features, by cross-validation.

In the lazy limit leave-one-out errors are exact, and free. For a network whose weights move far they are not (those of
the linearised network rank candidates wrongly), so that candidates are learned and measured on the same folds. The
kernel is the yardstick: a candidate that is clearly worse on the folds so far is given up, and one is taken only if it
is clearly better on all.
"""

from __future__ import annotations

import dataclasses
import threading

import numpy as np

from sltrees.callbacks import Callback
from sltrees.estimators.distinct_samples import deal_into_folds, to_learn_from
from sltrees.estimators.kernel_ridge import KernelRidge
from sltrees.estimators.networks import Networks
from sltrees.execution.threads import ThreadExecutor

# What is tried, one thing after the other, each time from the best candidate so far: how far weights move, how much
# ridge there is (the kernel tells how much the data need, within factors), how many neurons there are.
TARGET_SCALES, FACTORS, WIDTHS = (16.0, 4.0), (0.1, 10.0), (1024,)
FIRST_WIDTH = 256
LEAST_ALPHA, LARGEST_ALPHA = 1e-4, 10.0
SHIFT = 1.0
MAX_ITER = 20

# A candidate is clearly better or worse than the kernel if the mean difference of their squared errors is so many
# standard errors from 0.
CLEAR = 1.0

FEWEST_IN_A_FOLD = 10  # with fewer samples in each fold, differences between models are noise
FOLDS_AT_A_TIME = 2  # after which a candidate may be given up

# Nanoseconds of one core of a server processor, for each: a number of the factorisation of G, a counted pair, an active
# pair and feature, a near pair, and a step at all. Only to bound the search, in the same way on each machine.
FACTOR_COST, COUNT_COST, ACTIVE_COST, NEAR_COST, STEP_COST = 0.1, 2.0, 0.5, 10.0, 4e6


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network to be tried."""

    width: int
    target_scale: float
    alpha: float

    def build(self, random_state, **options):
        """The model."""
        return Networks(
            width=self.width,
            shift=SHIFT,
            alpha=self.alpha,
            target_scale=self.target_scale,
            random_state=random_state,
            max_iter=MAX_ITER,
            **options,
        )

    def seconds(self, n_samples, n_features, n_outputs):
        """What learning from so many samples takes at most, by the cost model. Cost: O(1)."""
        near = self.width * n_samples
        active = 0.16 * near  # P(N(0, 1) > 1)
        step = FACTOR_COST * n_samples**3 / 3 + COUNT_COST * active**2 / self.width
        step += n_features * ACTIVE_COST * active + NEAR_COST * near + STEP_COST
        return 1e-9 * n_outputs * (MAX_ITER + 1) * step


@dataclasses.dataclass
class Search:
    """What a search found.

    Attributes
    ----------
    chosen : Candidate or None
        None: the kernel.
    table : dict of str to list
        A column each: "model", "width", "target_scale", "alpha"; "error", the mean squared error on the folds that were
        learned for; "difference" from the kernel's on these, and its "standard_error"; "folds"; "outcome".
    left_out : ndarray of shape (n, C) or None
        Outputs of what was chosen at samples that it did not learn from, if there were enough samples.
    """

    chosen: Candidate | None
    table: dict[str, list]
    left_out: np.ndarray | None


def search_models(X, Y, weights, strata, *, shift, n_folds, seconds, random_state, n_threads):
    """Compare networks with the lazy limit.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows of unit norm. Each sample goes to one fold, whether others have the same row or not; those that a model
        learns from are merged.
    Y : ndarray of shape (n, C)
        Of mean 0 and variance about 1.
    weights : ndarray of shape (n,)
    strata : ndarray of shape (n,)
        What folds are to have equal shares of.
    shift : float
        Of the kernel.
    n_folds : int
    seconds : float
        Candidates are tried for as long as a cost model allows: in seconds of one core of a server processor. It is no
        clock, so that the result does not depend on the machine and on what else it does.
    random_state : int
    n_threads : int or None

    Returns
    -------
    Search

    Notes
    -----
    Cost: at most that of `seconds`, and one kernel ridge regression for each fold, O(n^3).
    """
    if len(X) < n_folds * FEWEST_IN_A_FOLD or seconds == 0:
        why = "too few samples to compare" if seconds else "no time to compare"
        return Search(None, _as_table([{"model": "kernel", "folds": 0, "outcome": f"chosen: {why}"}]), None)
    with ThreadExecutor(n_threads) as executor:
        folds = deal_into_folds(strata, n_folds, np.random.default_rng(random_state))
        return _Comparison(X, Y, weights, folds, shift, seconds, random_state, executor).search()


class _Comparison:
    """One call of `search_models`."""

    def __init__(self, X, Y, weights, folds, shift, seconds, random_state, executor):
        self.X, self.Y, self.weights, self.folds = X, Y, weights, folds
        self.n_folds = int(folds.max()) + 1
        self.shift, self.random_state, self.executor = shift, random_state, executor
        self.seconds_left = seconds
        self.stop = _StopWhen()
        self.rows = []
        self.n_distinct = len(np.unique(X, axis=0))
        self.tried = {}  # candidates, their rows
        self.outputs = {}  # of candidates that were learned for all folds

    def search(self):
        """The search as `search_models` returns it."""
        try:
            alpha = self.measure_kernel()
            width, scale = FIRST_WIDTH, TARGET_SCALES[0]
            for values in ("target_scale", TARGET_SCALES), ("alpha", [f * alpha for f in FACTORS]), ("width", WIDTHS):
                best = self.best() or Candidate(width, scale, self.within_bounds(alpha))
                if values[0] != "target_scale" and self.best() is None:
                    break  # none could be measured on all folds: others like it are no better
                for value in values[1]:
                    value = self.within_bounds(value) if values[0] == "alpha" else value
                    self.measure(dataclasses.replace(best, **{values[0]: value}))
        except BaseException:
            self.stop.event.set()  # what is being learned ends with its next iteration
            raise
        chosen = self.best(clearly=True)
        row = self.rows[0] if chosen is None else self.tried[chosen]
        row["outcome"] = "chosen"
        return Search(chosen, _as_table(self.rows), self.outputs[chosen])

    def within_bounds(self, alpha):
        """A ridge that networks can be trained with, float."""
        return float(min(max(alpha, LEAST_ALPHA), LARGEST_ALPHA))

    def best(self, clearly=False):
        """The candidate with the smallest error on all folds; `clearly`: of those clearly better than the kernel."""
        rows = {
            candidate: row
            for candidate, row in self.tried.items()
            if candidate in self.outputs and (not clearly or row["outcome"] == "better")
        }
        return min(rows, key=lambda candidate: rows[candidate]["error"], default=None)

    def measure_kernel(self):
        """Learn the kernel on each fold; returns the median of the ridges that it chose."""

        def learn(fold):
            train = self.folds != fold
            model = KernelRidge(shift=self.shift, n_threads=1)
            X, Y, weights, observations = to_learn_from(self.X[train], self.Y[train], self.weights[train])
            model.fit(X, Y, weights, observations)
            return model.predict(self.X[~train]), model.alpha_

        self.outputs[None] = np.empty(self.Y.shape)
        learned = self.executor.run_all(learn, range(self.n_folds))
        for fold, (outputs, _) in enumerate(learned):
            self.outputs[None][self.folds == fold] = outputs
        alpha = float(np.median([alpha for _, alpha in learned]))
        self.rows.append({"model": "kernel", "alpha": alpha, "folds": self.n_folds, "outcome": "the yardstick"})
        self.rows[0] |= self.compared(self.outputs[None], self.n_folds)
        return alpha

    def measure(self, candidate):
        """Learn a candidate on each fold, or until it is given up."""
        if candidate in self.tried:
            return
        row = {"model": "network"} | dataclasses.asdict(candidate) | {"folds": 0}
        self.tried[candidate] = row
        self.rows.append(row)
        n, n_outputs = self.Y.shape
        n_train = min(self.n_distinct, n * (self.n_folds - 1) // self.n_folds)
        price = candidate.seconds(n_train, self.X.shape[1], n_outputs)
        if price * self.n_folds > self.seconds_left:
            row["outcome"] = "not tried: no time left"
            return

        def learn(task):
            fold, output = task
            train, column = self.folds != fold, slice(output, output + 1)
            model = candidate.build(self.random_state, n_threads=1, executor="inline", callbacks=[self.stop])
            X, Y, weights, _ = to_learn_from(self.X[train], self.Y[train, column], self.weights[train])
            model.fit(X, Y, weights)
            return model.predict(self.X[~train])[:, 0], model.results_[0].n_iter

        outputs = np.empty(self.Y.shape)
        for first in range(0, self.n_folds, FOLDS_AT_A_TIME):
            some = range(first, min(first + FOLDS_AT_A_TIME, self.n_folds))
            tasks = [(fold, output) for fold in some for output in range(n_outputs)]
            for (fold, output), (values, n_iter) in zip(tasks, self.executor.run_all(learn, tasks), strict=True):
                outputs[self.folds == fold, output] = values
                self.seconds_left -= price / n_outputs * (n_iter + 1) / (MAX_ITER + 1)
            row |= self.compared(outputs, some.stop)
            if row["difference"] > CLEAR * row["standard_error"]:
                row["outcome"] = "worse"
                break
        else:
            self.outputs[candidate] = outputs
            better = row["difference"] < -CLEAR * row["standard_error"]
            row["outcome"] = "better" if better else "no better"

    def compared(self, outputs, n_folds):
        """Weighted mean squared error on the first folds, and its difference from the kernel's, as a part of a row."""
        known = self.folds < n_folds
        target, weights = self.Y[known], self.weights[known]
        errors = np.sum((outputs[known] - target) ** 2, axis=1)
        differences = errors - np.sum((self.outputs[None][known] - target) ** 2, axis=1)
        total = weights.sum()
        mean = weights @ differences / total
        spread = np.sqrt(np.sum((weights * (differences - mean)) ** 2)) / total
        return {
            "error": float(weights @ errors / total),
            "difference": float(mean),
            "standard_error": float(spread),
            "folds": n_folds,
        }


def hold_out(model, X, Y, weights, strata, n_folds, random_state):
    """Outputs at a part of the samples, learned from the others; NaN at those.

    Parameters
    ----------
    model : Networks
        Not fitted yet.
    X, Y, weights, strata
        As for `search_models`.
    n_folds : int
        One of so many parts is left out.
    random_state : int

    Returns
    -------
    ndarray of shape (n, C) or None
        None where there are too few samples.

    Notes
    -----
    Cost: that of fitting the model once.
    """
    if len(X) < n_folds:
        return None
    out = deal_into_folds(strata, n_folds, np.random.default_rng(random_state)) == 0
    outputs = np.full(Y.shape, np.nan)
    X_train, Y_train, weights, observations = to_learn_from(X[~out], Y[~out], weights[~out])
    outputs[out] = model.fit(X_train, Y_train, weights, observations=observations).predict(X[out])
    return outputs


class _StopWhen(Callback):
    """Stops all trainings that have it once its event is set."""

    def __init__(self):
        self.event = threading.Event()

    def on_iteration(self, trainer, record):
        """Whether to stop."""
        return self.event.is_set()


COLUMNS = ("model", "width", "target_scale", "alpha", "error", "difference", "standard_error", "folds", "outcome")


def _as_table(rows):
    return {name: [row.get(name) for row in rows] for name in COLUMNS}
