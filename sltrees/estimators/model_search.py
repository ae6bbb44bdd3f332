"""Choosing between the lazy limit and networks that learn features, by cross-validation.

In the lazy limit leave-one-out errors are exact, and free. For a network whose weights move far they are not (those of
the linearised network rank candidates wrongly), so that candidates are learned and measured on the same folds. The
kernel is the yardstick: a candidate that is clearly worse on the folds so far is given up, and one is taken only if it
is clearly better on all.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
import threading

import numpy as np

from sltrees._memory import available_memory
from sltrees.callbacks import Callback
from sltrees.estimators.distinct_samples import choose_part, deal_into_folds, to_learn_from
from sltrees.estimators.kernel_ridge import KernelRidge
from sltrees.estimators.networks import Networks
from sltrees.execution.threads import ThreadExecutor

# What is tried, one thing after the other, each time from the best candidate so far: how far weights move, how much
# ridge there is (the kernel tells how much the data need, within factors), how many neurons there are.
TARGET_SCALES, FACTORS, WIDTHS = (16.0, 4.0), (0.1, 10.0), (1024,)
FIRST_WIDTH = 256
N_CANDIDATES = len(TARGET_SCALES) + len(FACTORS) + len(WIDTHS)
LEAST_ALPHA, LARGEST_ALPHA = 1e-4, 10.0
SHIFT = 1.0
MAX_ITER = 20

# A candidate is clearly better or worse than the kernel if the mean difference of their squared errors is so many
# standard errors from 0.
CLEAR = 1.0

BYTES_OF_KERNEL = 56.0  # for each pair of samples, while it is learned

NETWORK_SAMPLES = 4000  # distinct ones that networks are tried for: training takes the cube of them
FEWEST_IN_A_FOLD = 10  # with fewer samples in each fold, differences between models are noise
FOLDS_AT_A_TIME = 2  # after which a candidate may be given up

# Where there is no time for all samples, a candidate is tried on a part of them, but not on fewer than tell something.
# It gets a share of the time that is left, so that there is some for others; where a share is too little, the next one.
FEWEST_IN_A_PART, SHARES_TO_BEGIN, SHARES_TO_GO_ON = 200, (1 / 3, 1 / 2, 1.0), (1 / 2, 1.0)

# Nanoseconds of one core of a server processor, for each: a number of the factorisation of G, a counted pair, an active
# pair and feature, a near pair, and a step at all. Only to bound the search, in the same way on each machine.
FACTOR_COST, COUNT_COST, ACTIVE_COST, NEAR_COST, STEP_COST = 0.1, 2.0, 0.5, 10.0, 4e6


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network to be tried."""

    width: int
    target_scale: float
    alpha: float

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
        learned for; "difference" from the kernel's on these, and its "standard_error"; "folds"; where not all rows
        are of all samples "samples", how many were learned from and left out in turn; "outcome".
    left_out : ndarray of shape (n, C) or None
        Outputs of what was chosen at samples that it did not learn from, if there were enough samples; NaN at others.
    shortage : str or None
        What was not tried on all samples for want of time, and how much would do; None if nothing.
    """

    chosen: Candidate | None
    table: dict[str, list]
    left_out: np.ndarray | None
    shortage: str | None = None


class SearchWarning(UserWarning):
    """Not all networks were compared on all samples: `search_seconds` is too short for so many."""


def search_models(
    X,
    Y,
    weights,
    strata,
    *,
    shift,
    n_folds,
    seconds,
    random_state,
    n_threads,
    scale=None,
    alpha="loo",
    advance=None,
):
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
        clock, so that the result does not depend on the machine and on what else it does. What there is no time to try
        on all samples is tried on a part of them, beside the kernel on the same part, and what is chosen by a part
        is taken if it holds its own on a fold of all.
    random_state : int
    n_threads : int or None
    scale : callable, optional
        scale(X, Y, weights) learns from samples how samples are scaled: it returns a function of X. Then X is not
        scaled yet, and each fold is measured with what was learned without it; that takes no time of `seconds`.
    alpha : float or "loo", default "loo"
        Of the kernel.
    advance : callable, optional
        advance(stage, done, total): told how far it is.

    Returns
    -------
    Search

    Notes
    -----
    Cost: at most that of `seconds`, and one kernel ridge regression for each fold, O(n^3); after a search on a part of
    the samples, that of learning from all but a fold what is chosen.
    """
    if len(X) < n_folds * FEWEST_IN_A_FOLD or seconds == 0:
        why = "too few samples to compare" if seconds else "no time to compare"
        return Search(None, _as_table([{"model": "kernel", "folds": 0, "outcome": f"chosen: {why}"}]), None)
    with ThreadExecutor(n_threads) as executor:
        samples = X, Y, weights
        return _Search(samples, strata, shift, n_folds, seconds, random_state, executor, scale, alpha, advance).run()


class _Search:
    """One call of `search_models`.

    There is one comparison, on all samples, for as long as there is time; where there is not, another on a part of them
    goes on from the best candidate so far, which is measured there, too: only errors of the same samples are compared.
    """

    def __init__(
        self, samples, strata, shift, n_folds, seconds, random_state, executor, scale=None, alpha="loo", advance=None
    ):
        self.scale, self.alpha = scale, alpha
        self.advance = advance or (lambda stage, done, total: None)
        self.samples, self.strata, self.shift, self.n_folds = samples, strata, shift, n_folds
        self.seconds, self.seconds_left, self.random_state, self.executor = seconds, seconds, random_state, executor
        self.n_distinct = len(np.unique(samples[0], axis=0))
        self.stop = _StopWhen()
        self.comparisons, self.rows = [], []
        self.not_tried = []  # candidates

    def run(self):
        """The search as `search_models` returns it."""
        try:
            width, scale = FIRST_WIDTH, TARGET_SCALES[0]
            first = Candidate(width, scale, LEAST_ALPHA)
            self.advance("comparison of networks", 0, N_CANDIDATES + 1)
            n = len(self.strata)
            alpha = self.compare_on(self.affordable(n, (first,), SHARES_TO_BEGIN) or n)
            for values in ("target_scale", TARGET_SCALES), ("alpha", [f * alpha for f in FACTORS]), ("width", WIDTHS):
                best = self.comparisons[-1].best() or Candidate(width, scale, self.within_bounds(alpha))
                if values[0] != "target_scale" and self.comparisons[-1].best() is None:
                    break  # none could be measured on all folds: others like it are no better
                for value in values[1]:
                    value = self.within_bounds(value) if values[0] == "alpha" else value
                    self.measure(dataclasses.replace(best, **{values[0]: value}))
            chosen, shortage = self.chosen_by(*reversed(self.comparisons)), self.shortage()
            if chosen is not None and self.first_row(chosen)["samples"] < n:
                chosen = self.confirmed(chosen)
        except BaseException:
            self.stop.event.set()  # what is being learned ends with its next iteration
            raise
        learned_in = next(comparison for comparison in self.comparisons if chosen in comparison.outputs)
        learned_in.tried[chosen]["outcome"] = "chosen"
        return Search(chosen, _as_table(self.rows, n), learned_in.outputs[chosen], shortage)

    def within_bounds(self, alpha):
        """A ridge that networks can be trained with, float."""
        return float(min(max(alpha, LEAST_ALPHA), LARGEST_ALPHA))

    def compare_on(self, n, n_folds=None):
        """Begin a comparison on n samples, or all. Sets: `comparisons`. Returns the ridge that the kernel chose."""
        rng, samples, strata = np.random.default_rng(self.random_state), self.samples, self.strata
        if n < len(strata):
            part = choose_part(strata, n, rng)
            samples, strata = [array[part] for array in samples], strata[part]
        folds = deal_into_folds(strata, self.n_folds, rng)
        comparison = _Comparison(
            *samples, folds, self.shift, self.random_state, self.executor, self.stop, self.scale, self.alpha
        )
        alpha = comparison.measure_kernel(n_folds)
        self.comparisons.append(comparison)
        self.rows.append(comparison.tried[None])
        return alpha

    def measure(self, candidate):
        """Measure a candidate on all samples of the comparison, or on fewer if there is no time for so many."""
        if candidate in self.not_tried or any(candidate in comparison.tried for comparison in self.comparisons):
            return
        n, best = len(self.comparisons[-1].Y), self.comparisons[-1].best()
        shares = SHARES_TO_GO_ON[candidate.width == WIDTHS[-1] :]  # the last one may take all
        affordable = self.affordable(n, (candidate,) if best is None else (candidate, best), shares)
        if affordable is None:
            self.not_tried.append(candidate)
            self.rows.append(_row_of(candidate) | {"outcome": "not tried: no time left"})
            return
        if affordable < n:
            self.compare_on(affordable)
            if best is not None:
                self.measure_here(best)
        self.measure_here(candidate)

    def measure_here(self, candidate):
        comparison = self.comparisons[-1]
        self.advance("comparison of networks", min(len(self.rows), N_CANDIDATES), N_CANDIDATES + 1)
        n, n_iters = len(comparison.Y), comparison.measure(candidate)
        self.seconds_left -= self.price(candidate, n) / (MAX_ITER + 1) * n_iters
        self.rows.append(comparison.tried[candidate])

    def price(self, candidate, n):
        """What it takes at most to measure a candidate on n samples, in seconds by the cost model."""
        n_train = min(self.n_distinct, n * (self.n_folds - 1) // self.n_folds)
        return self.n_folds * candidate.seconds(n_train, self.samples[0].shape[1], self.samples[1].shape[1])

    def affordable(self, n, candidates, shares):
        """How many of n samples there is time for, for a first candidate, or if not for n for all; None if too few."""
        for share in shares:
            limit, sizes = share * self.seconds_left, range(FEWEST_IN_A_PART, n)
            if self.price(candidates[0], n) <= limit:
                return n
            n_sizes = bisect.bisect(sizes, limit, key=lambda size: sum(self.price(each, size) for each in candidates))
            if n_sizes:
                return sizes[n_sizes - 1]
        return None

    def chosen_by(self, *comparisons):
        """The best candidate of the first comparison with some that are clearly better than the kernel; else None."""
        for comparison in comparisons:
            better = [each for each in comparison.outputs if each and self.first_row(each)["outcome"] == "better"]
            if better:
                return min(better, key=lambda candidate: comparison.tried[candidate]["error"])
        return None

    def confirmed(self, chosen):
        """What was chosen by a part of the samples, unless the kernel is clearly better on a fold of all.

        It learns from all samples but those of the fold, once, and so does the kernel. Else it is what all chose.
        """
        n, whole = len(self.strata), self.comparisons[0]
        if len(whole.Y) < n:
            self.compare_on(n, n_folds=1)
            whole = self.comparisons.pop()
            self.comparisons.insert(0, whole)  # where the most samples are
        others = self.chosen_by(whole)
        whole.measure(chosen, n_folds=1)
        self.rows.append(whole.tried[chosen])
        return others if whole.tried[chosen]["outcome"] == "worse" else chosen

    def first_row(self, candidate):
        """The row of a candidate where it was measured on the most samples."""
        return next(comparison.tried[candidate] for comparison in self.comparisons if candidate in comparison.tried)

    def shortage(self):
        """What was not tried on all samples, in words; None if nothing."""
        n, tried = len(self.strata), [candidate for c in self.comparisons for candidate in c.tried if candidate]
        on_parts = [candidate for candidate in dict.fromkeys(tried) if self.first_row(candidate)["samples"] < n]
        if not on_parts and not self.not_tried:
            return None
        parts = [f"{c} on {self.first_row(c)['samples']}" for c in on_parts] + [f"{c} not" for c in self.not_tried]
        enough = sum(self.price(candidate, n) for candidate in {*tried, *self.not_tried})
        unit = 10.0 ** (math.floor(math.log10(enough)) - 1)
        return (
            f"search_seconds={self.seconds:g} is too short to try all networks on all {n} samples: "
            f"{'; '.join(parts)}; search_seconds={math.ceil(enough / unit) * unit:g} would do"
        )


class _Comparison:
    """Candidates and the kernel, all on the same samples and folds.

    Attributes
    ----------
    tried : dict of Candidate to dict
        Their rows of the table; None is the kernel.
    outputs : dict of Candidate to ndarray of shape (n, C)
        At samples left out, of those that were learned for all folds that were asked for; NaN in others.
    """

    def __init__(self, X, Y, weights, folds, shift, random_state, executor, stop, scale=None, alpha="loo"):
        self.X, self.Y, self.weights, self.folds = X, Y, weights, folds
        self.alpha, self.scale, self.rows = alpha, scale, {}  # as models know them, for each fold
        self.n_folds = int(folds.max()) + 1
        self.shift, self.random_state, self.executor, self.stop = shift, random_state, executor, stop
        self.tried, self.outputs = {}, {}

    def rows_for(self, fold):
        """All samples, scaled as was learned without a fold."""
        if self.scale is None:
            return self.X
        if fold not in self.rows:
            seen = self.folds != fold
            self.rows[fold] = self.scale(self.X[seen], self.Y[seen], self.weights[seen])(self.X)
        return self.rows[fold]

    def best(self):
        """The candidate with the smallest error on all folds, or None."""
        candidates = [candidate for candidate in self.outputs if candidate is not None]
        return min(candidates, key=lambda candidate: self.tried[candidate]["error"], default=None)

    def measure_kernel(self, n_folds=None):
        """Learn the kernel on each fold, or some; returns the median of the ridges that it chose."""
        n_folds = n_folds or self.n_folds

        def learn(fold):
            train, rows = self.folds != fold, self.rows_for(fold)
            model = KernelRidge(shift=self.shift, alpha=self.alpha, n_threads=1)
            X, Y, weights, observations = to_learn_from(rows[train], self.Y[train], self.weights[train])
            model.fit(X, Y, weights, observations)
            return model.predict(rows[~train]), model.alpha_

        self.outputs[None] = np.full(self.Y.shape, np.nan)
        room = available_memory() / (BYTES_OF_KERNEL * len(self.Y) ** 2)  # it changes how many are learned at a time
        at_once, learned = max(1, min(n_folds, int(room))), []
        for first in range(0, n_folds, at_once):
            learned += self.executor.run_all(learn, range(first, min(first + at_once, n_folds)))
        for fold, (outputs, _) in enumerate(learned):
            self.outputs[None][self.folds == fold] = outputs
        alpha = float(np.median([alpha for _, alpha in learned]))
        self.tried[None] = {"model": "kernel", "alpha": alpha, "outcome": "the yardstick"}
        self.tried[None] |= self.compared(self.outputs[None], n_folds)
        return alpha

    def measure(self, candidate, n_folds=None):
        """Learn a candidate on each fold, or some, or until it is given up.

        Returns the iterations that were paid for, of each training: with those that begin it, 1 + MAX_ITER at most.
        """
        row = self.tried[candidate] = _row_of(candidate)
        n_outputs, n_iters, n_folds = self.Y.shape[1], 0, n_folds or self.n_folds

        def learn(task):
            fold, output = task
            train, rows, column = self.folds != fold, self.rows_for(fold), slice(output, output + 1)
            model = candidate.build(self.random_state, n_threads=1, executor="inline", callbacks=[self.stop])
            X, Y, weights, _ = to_learn_from(rows[train], self.Y[train, column], self.weights[train])
            model.fit(X, Y, weights)
            return model.predict(rows[~train])[:, 0], model.results_[0].n_iter

        outputs = np.full(self.Y.shape, np.nan)
        for first in range(0, n_folds, FOLDS_AT_A_TIME):
            some = range(first, min(first + FOLDS_AT_A_TIME, n_folds))
            tasks = [(fold, output) for fold in some for output in range(n_outputs)]
            for (fold, output), (values, n_iter) in zip(tasks, self.executor.run_all(learn, tasks), strict=True):
                outputs[self.folds == fold, output] = values
                n_iters += n_iter + 1
            row |= self.compared(outputs, some.stop)
            if row["difference"] > CLEAR * row["standard_error"]:
                row["outcome"] = "worse"
                break
        else:
            self.outputs[candidate] = outputs
            better = row["difference"] < -CLEAR * row["standard_error"]
            row["outcome"] = "better" if better else "no better"
        return n_iters / (self.n_folds * n_outputs)

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
            "samples": len(self.Y),
        }


def hold_out(model, X, Y, weights, strata, n_folds, random_state, scale=None):
    """Outputs at a part of the samples, learned from the others; NaN at those.

    Parameters
    ----------
    model : Networks
        Not fitted yet.
    X, Y, weights, strata, scale
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
    if scale is not None:
        X = scale(X[~out], Y[~out], weights[~out])(X)
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


COLUMNS = ("model", "width", "target_scale", "alpha")
COLUMNS += ("error", "difference", "standard_error", "folds", "samples", "outcome")


def _row_of(candidate):
    return {"model": "network"} | dataclasses.asdict(candidate) | {"folds": 0}


def _as_table(rows, n_samples=None):
    """Columns; "samples" only where some row is not of all."""
    on_parts = any(row.get("samples", n_samples) != n_samples for row in rows)
    names = [name for name in COLUMNS if name != "samples" or on_parts]
    return {name: [row.get(name) for row in rows] for name in names}
