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
from sltrees.distinct_samples import deal_into_folds
from sltrees.executors import ThreadExecutor
from sltrees.ridge_models import KernelRidge, Networks

# Networks that are tried, in this order: from those that differ most from their lazy limit. How much ridge the data
# need the kernel tells already, so that ridges are factors of its.
TARGET_SCALES, WIDTHS, FACTORS = (16.0, 4.0), (256, 1024), (1.0, 0.1, 10.0)
LEAST_ALPHA, LARGEST_ALPHA = 1e-4, 10.0
SHIFT = 1.0
MAX_ITER = 20

# A candidate is clearly better or worse than the kernel if the mean difference of their squared errors is so many
# standard errors from 0.
CLEAR = 1.0

FEWEST_IN_A_FOLD = 10  # with fewer samples in each fold, differences between models are noise

# Nanoseconds of one core of a server processor, for each: a number of the factorisation of G, a counted pair, an active
# pair and feature, a near pair and feature, and a step at all. Only to bound the search, the same way on each machine.
FACTOR_COST, COUNT_COST, ACTIVE_COST, NEAR_COST, STEP_COST = 0.1, 1.0, 1.0, 0.1, 1e6


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

    def nanoseconds(self, n_samples, n_features, n_outputs):
        """What learning from so many samples takes at most, about. Cost: O(1)."""
        n, active = n_samples, self.width * n_samples * 0.16  # P(N(0, 1) > 1)
        step = FACTOR_COST * n**3 / 3 + COUNT_COST * active**2 / self.width
        step += n_features * (ACTIVE_COST * active + NEAR_COST * self.width * n) + STEP_COST
        return n_outputs * (MAX_ITER + 1) * step


def candidates_near(alpha):
    """Networks with about the ridge of the kernel, in the order in which they are tried."""
    alphas = [min(max(factor * alpha, LEAST_ALPHA), LARGEST_ALPHA) for factor in FACTORS]
    return [Candidate(m, s, a) for s in TARGET_SCALES for m in WIDTHS for a in dict.fromkeys(alphas)]


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
        Outputs of the chosen candidate at samples that it did not learn from.
    """

    chosen: Candidate | None
    table: dict[str, list]
    left_out: np.ndarray | None


def search_models(X, Y, weights, strata, *, shift, n_folds, seconds, random_state, n_threads):
    """Compare networks with the lazy limit.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows of unit norm.
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
    folds = deal_into_folds(strata, n_folds, np.random.default_rng(random_state))
    rows = [{"model": "kernel", "width": None, "target_scale": None, "alpha": None}]
    if len(X) < n_folds * FEWEST_IN_A_FOLD:
        rows[0] |= {"folds": 0, "outcome": "chosen: too few samples to compare with anything"}
        return Search(None, _as_table(rows), None)
    stop = _StopWhen()
    with ThreadExecutor(n_threads) as executor:
        try:
            yardstick = np.empty(Y.shape)

            def learn_kernel(fold):
                train = folds != fold
                model = KernelRidge(shift=shift, n_threads=1).fit(X[train], Y[train], weights[train])
                return model.predict(X[~train]), model.alpha_

            learned = executor.run_all(learn_kernel, range(n_folds))
            for fold, (outputs, _) in enumerate(learned):
                yardstick[folds == fold] = outputs
            errors = np.sum((yardstick - Y) ** 2, axis=1)
            rows[0] |= _comparison(errors, errors, weights) | {"folds": n_folds}
            rows[0]["alpha"] = float(np.median([alpha for _, alpha in learned]))
            left, best = 1e9 * seconds, None
            for candidate in candidates_near(rows[0]["alpha"]):
                row = {"model": "network"} | dataclasses.asdict(candidate)
                rows.append(row)
                price = candidate.nanoseconds(len(X) * (n_folds - 1) // n_folds, X.shape[1], Y.shape[1])
                if price * n_folds > left:
                    row |= {"folds": 0, "outcome": "not tried: it may exceed the time for searching"}
                    continue
                outputs, n_done = np.empty(Y.shape), 0

                def learn(output_and_fold, candidate=candidate):
                    k, fold = output_and_fold
                    train = folds != fold
                    model = candidate.build(random_state, n_threads=1, executor="inline", callbacks=[stop])
                    model.fit(X[train], Y[train, k : k + 1], weights[train])
                    return model.predict(X[~train])[:, 0], model.results_[0].n_iter

                for first in range(0, n_folds, FOLDS_AT_A_TIME):
                    some = range(first, min(first + FOLDS_AT_A_TIME, n_folds))
                    tasks = [(k, fold) for fold in some for k in range(Y.shape[1])]
                    for (k, fold), (values, n_iter) in zip(tasks, executor.run_all(learn, tasks), strict=True):
                        outputs[folds == fold, k] = values
                        left -= price / Y.shape[1] * (n_iter + 1) / (MAX_ITER + 1)
                    n_done = some.stop
                    known = folds < n_done
                    errors_known = np.sum((outputs[known] - Y[known]) ** 2, axis=1)
                    row |= _comparison(errors_known, errors[known], weights[known]) | {"folds": n_done}
                    if row["difference"] > CLEAR * row["standard_error"]:
                        break
                row["outcome"] = "given up" if n_done < n_folds else "worse or no better"
                if n_done == n_folds and row["difference"] < -CLEAR * row["standard_error"]:
                    row["outcome"] = "better"
                    if best is None or row["error"] < best[0]["error"]:
                        best = row, candidate, outputs
        except BaseException:
            stop.event.set()  # what is being learned ends with its next iteration
            raise
    (best[0] if best else rows[0])["outcome"] = "chosen"
    rows[0].setdefault("outcome", "the yardstick")
    return Search(best and best[1], _as_table(rows), yardstick if best is None else best[2])


FOLDS_AT_A_TIME = 2


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
    ndarray of shape (n, C)
        Y where there are too few samples.

    Notes
    -----
    Cost: that of fitting the model once.
    """
    if len(X) < n_folds:
        return Y
    out = deal_into_folds(strata, n_folds, np.random.default_rng(random_state)) == 0
    outputs = np.full(Y.shape, np.nan)
    outputs[out] = model.fit(X[~out], Y[~out], weights[~out]).predict(X[out])
    return outputs


class _StopWhen(Callback):
    """Stops all trainings that have it once its event is set."""

    def __init__(self):
        self.event = threading.Event()

    def on_iteration(self, trainer, record):
        """Whether to stop."""
        return self.event.is_set()


def _comparison(errors, yardstick, weights):
    """Weighted mean of squared errors, and of their differences, with its standard error."""
    total = weights.sum()
    differences = errors - yardstick
    mean = weights @ differences / total
    spread = np.sqrt(np.sum((weights * (differences - mean)) ** 2)) / total
    return {"error": float(weights @ errors / total), "difference": float(mean), "standard_error": float(spread)}


COLUMNS = ("model", "width", "target_scale", "alpha", "error", "difference", "standard_error", "folds", "outcome")


def _as_table(rows):
    return {name: [row.get(name) for row in rows] for name in COLUMNS}
