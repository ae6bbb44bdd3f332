"""Choosing between the lazy limit and networks that learn features, by cross-validation.

In the lazy limit leave-one-out errors are exact, and free. For a network whose weights move far they are not (those of
the linearised network rank candidates wrongly), so that candidates are learned and measured on the same folds. The
kernel is the yardstick: candidates are ranked by so many folds as tell them apart, the best one is measured on all, and
it is taken only if it is clearly better there.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from sltrees.estimators.coded_by_targets import features_within
from sltrees.estimators.comparison_under_loss import ComparingUnderLoss
from sltrees.estimators.distinct_samples import choose_part, deal_into_folds, to_learn_from
from sltrees.estimators.model_comparison import LEAST_ALPHA, Candidate, Comparing, row_of
from sltrees.execution.threads import ThreadExecutor

# What is tried, one thing after the other, each time from the best candidate so far: how far weights move, how much
# ridge there is (the kernel tells how much the data need, within factors).
TARGET_SCALES, FACTORS = (16.0, 4.0), (0.1, 10.0)
N_CANDIDATES = len(TARGET_SCALES) + len(FACTORS)
NETWORK_SAMPLES = 4000  # distinct ones that networks are tried for: training takes the cube of them
COMPARED_SAMPLES = 1500  # of more, so many are compared on
FEWEST_IN_A_FOLD = 10  # with fewer samples in each fold, differences between models are noise
LEFT_OUT_TO_RANK = 300  # samples left out, in as many folds as it takes, that candidates are first compared on
FEWEST_IN_A_PART = 200  # samples that tell something, where there is no time for more

# of the kernel, where nothing was compared
TOO_MANY = f"chosen: networks are not tried for more than {NETWORK_SAMPLES:,} samples"
INTERRUPTED = "chosen: interrupted before networks were compared and trained"
CONFIRMED = "holds its own on a fold of all samples"  # the network that is chosen, in a further row


@dataclasses.dataclass
class Search:
    """What a search found.

    Attributes
    ----------
    chosen : Candidate or None
        None: the kernel.
    table : dict of str to list
        A column each: "model", "width", "target_scale", "alpha"; "error", the mean squared error, or loss, on the
        folds that were learned for; "difference" from the kernel's on these, and its "standard_error"; "folds", how
        many; where not all rows are of all samples "samples", how many were learned from and left out in turn;
        "outcome".
    left_out : ndarray of shape (n, C) or None
        Outputs of what was chosen at samples that it did not learn from, if there were enough samples; NaN at others.
    shortage : str or None
        What there was no time for, and how much would do; None if nothing.
    """

    chosen: Candidate | None
    table: dict[str, list]
    left_out: np.ndarray | None
    shortage: str | None = None


class SearchWarning(UserWarning):
    """Networks were compared on fewer samples than they could be: `search_seconds` is too short for more."""


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
    out_of_fold=None,
    alpha="loo",
    first_alpha=None,
    under=None,
    coded=None,
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
        Of one core of a server processor, by a cost model: it is no clock, so that the result does not depend on the
        machine and on what else it does. As many samples are compared on as there is time for, 1,500 at most. What is
        chosen by less than half of all samples is taken if it holds its own on a fold of all.
    random_state : int
    n_threads : int or None
    scale : callable, optional
        scale(X, Y, weights) learns from samples how samples are scaled: it returns a function of X. Then X is not
        scaled yet, and each fold is measured with what was learned without it; that takes no time of `seconds`.
    out_of_fold : tuple (ndarray of shape (k,), OutOfFold), optional
        Some of the samples, 1,500 at most, and what was learned of them without each of `n_folds` folds. Where there is
        time for so many, networks are compared with that, on these folds.
    alpha : float or "loo", default "loo"
        Of the kernel.
    first_alpha : float, optional
        Of about what "loo" chooses.
    under : UnderLoss, optional
        The loss, if it is not the squared error. Rows that are equal are then not merged.
    coded : CodedByTargets, optional
        Of the samples: folds have features that were learned without them. There is a `scale` then.
    advance : callable, optional
        advance(stage, done, total): told how far it is.

    Returns
    -------
    Search

    Notes
    -----
    Cost: at most that of `seconds`, and where it is not known one kernel ridge regression for each fold, O(n^3); after
    a search on less than half of the samples, that of learning from all but a fold what is chosen.
    """
    if len(X) < n_folds * FEWEST_IN_A_FOLD or seconds == 0:
        why = "too few samples to compare" if seconds else "no time to compare"
        return Search(None, _as_table([{"model": "kernel", "folds": 0, "outcome": f"chosen: {why}"}]), None)
    with ThreadExecutor(n_threads) as executor:
        samples, options = (X, Y, weights), (shift, random_state, executor, scale, alpha, first_alpha)
        comparing = Comparing(*options)
        if under is not None:
            samples, comparing = (*samples, under.shaped), ComparingUnderLoss(*options, under=under)
        return _Search(samples, strata, n_folds, seconds, comparing, out_of_fold, advance, coded).run()


class _Search:
    """One call of `search_models`.

    Candidates are ranked on few folds, and the best of them is measured on all. Where scales of columns were learned,
    the samples and folds are those of that, and the kernel is known on them.
    """

    def __init__(self, samples, strata, n_folds, seconds, comparing, known=None, advance=None, coded=None):
        self.coded, self.samples, self.strata, self.n_folds = coded, samples, strata, n_folds
        self.seconds, self.seconds_left = seconds, seconds
        self.advance = advance or (lambda stage, done, total: None)
        self.comparing, self.known = comparing, known
        self.n_distinct = len(np.unique(samples[0], axis=0))
        self.wanted = min(len(strata), COMPARED_SAMPLES) if known is None else len(known[0])
        self.n_compared = self.affordable()
        self.comparison, self.part, self.confirmation, self.not_tried = None, None, None, []

    def run(self):
        """The search as `search_models` returns it."""
        try:
            self.advance("comparison of networks", 0, N_CANDIDATES + 1)
            alpha = self.compare()
            chosen = self.best_of_all(self.within_bounds(alpha))
            if chosen is not None and self.comparison.tried[chosen]["outcome"] != "better":
                chosen = None
            if chosen is not None and 2 * self.n_compared < len(self.strata):
                chosen = self.confirmed(chosen)
        except BaseException:
            self.comparing.stop.event.set()  # what is being learned ends with its next iteration
            raise
        return self.found(chosen)

    def within_bounds(self, alpha):
        """A ridge that networks can be trained with, float."""
        return float(min(max(alpha, LEAST_ALPHA), self.comparing.largest_alpha))

    def best_of_all(self, alpha):
        """The best candidate on all folds, or None; `alpha` is the ridge of the kernel."""
        few = self.first_folds(self.n_compared)
        self.measure([Candidate(value, alpha) for value in TARGET_SCALES], few)
        best = self.comparison.best()
        if best is None or not self.comparison.promises(best):
            return None  # others like these are no better
        alphas = [self.within_bounds(factor * alpha) for factor in FACTORS]
        self.measure([dataclasses.replace(best, alpha=value) for value in alphas], few)
        self.measure([self.comparison.best()], self.n_folds)
        return self.comparison.best()

    def first_folds(self, n):
        """On how many folds of n samples candidates are measured first."""
        return min(self.n_folds, math.ceil(LEFT_OUT_TO_RANK * self.n_folds / n))

    def compare(self):
        """Begin the comparison, with the kernel. Sets: comparison, part. Returns the ridge of the kernel."""
        if self.known is not None and len(self.known[0]) == self.n_compared:
            self.part, found = self.known
            samples = [array[self.part] for array in self.samples]
            coded = self.coded_of(self.part)
            self.comparison = self.comparing.comparison(samples, found.folds, found.scalings, coded)
            return self.comparison.know_kernel(found)
        self.comparison, self.part = self.compare_on(self.n_compared)
        return self.comparison.measure_kernel()

    def compare_on(self, n):
        """A comparison on n samples, and which they are."""
        rng, samples, strata = np.random.default_rng(self.comparing.random_state), self.samples, self.strata
        part = np.arange(len(strata))
        if n < len(strata):
            part = choose_part(strata, n, rng)
            samples, strata = [array[part] for array in samples], strata[part]
        folds = deal_into_folds(strata, self.n_folds, rng)
        return self.comparing.comparison(samples, folds, coded=self.coded_of(part)), part

    def coded_of(self, part):
        """What is coded by targets of a part of the samples; None if nothing is."""
        return None if self.coded is None else self.coded.of(part)

    def measure(self, candidates, n_folds):
        """Measure candidates on so many folds, but those that there is no time for."""
        candidates, affordable, tried = dict.fromkeys(candidates), [], self.comparison.tried
        for candidate in candidates:
            done = tried[candidate]["folds"] if candidate in tried else 0
            price = (n_folds - done) * self.price(candidate, self.n_compared)
            if price <= self.seconds_left:
                self.seconds_left -= price
                affordable.append(candidate)
            elif candidate in tried:
                tried[candidate]["outcome"] = "no time left for all folds"
            else:
                self.not_tried.append(candidate)
        self.advance("comparison of networks", min(len(tried), N_CANDIDATES), N_CANDIDATES + 1)
        self.comparison.measure(affordable, n_folds)

    def price(self, candidate, n):
        """What it takes at most to measure a candidate on a fold of n samples, in seconds by the cost model."""
        n_train = min(self.n_distinct, n * (self.n_folds - 1) // self.n_folds)
        return self.comparing.cost * candidate.seconds(n_train, self.samples[0].shape[1], self.samples[1].shape[1])

    def price_of_all(self, n):
        """What the search takes at most on n samples, likewise."""
        few = self.first_folds(n)
        return ((N_CANDIDATES - 1) * few + self.n_folds) * self.price(Candidate(1.0, 1.0), n)

    def affordable(self):
        """How many samples there is time to compare candidates on."""
        sizes = (n for n in range(self.wanted, FEWEST_IN_A_PART, -1) if self.price_of_all(n) <= self.seconds)
        return next(sizes, min(self.wanted, FEWEST_IN_A_PART))

    def confirmed(self, chosen):
        """What a part of the samples chose, unless the kernel is clearly better on a fold of all; None then.

        It learns from all samples but those of the fold, once, and so does the kernel.
        """
        self.confirmation, _ = self.compare_on(len(self.strata))
        self.confirmation.measure_kernel(n_folds=1)
        self.confirmation.measure([chosen], n_folds=1)
        return None if self.confirmation.tried[chosen]["outcome"] == "worse" else chosen

    def found(self, chosen):
        """The result."""
        comparisons = [self.comparison] if self.confirmation is None else [self.comparison, self.confirmation]
        self.comparison.tried[chosen]["outcome"] = "chosen"
        if self.confirmation is not None and chosen is not None:
            self.confirmation.tried[chosen]["outcome"] = CONFIRMED
        rows = [row for comparison in comparisons for row in comparison.tried.values()]
        rows += [row_of(candidate) | {"outcome": "not tried: no time left"} for candidate in self.not_tried]
        left_out = np.full(self.samples[1].shape, np.nan)
        left_out[self.part] = self.comparison.outputs[chosen]
        if self.confirmation is not None:
            known = ~np.isnan(self.confirmation.outputs[chosen][:, 0])
            left_out[known] = self.confirmation.outputs[chosen][known]
        return Search(chosen, _as_table(rows, len(self.strata)), left_out, self.shortage())

    def shortage(self):
        """What there was no time for, in words; None if nothing."""
        enough = self.price_of_all(self.wanted)
        if enough <= self.seconds:
            return None
        unit = 10.0 ** (math.floor(math.log10(enough)) - 1)
        missing = "".join(f"; {candidate} not tried" for candidate in self.not_tried)
        return (
            f"search_seconds={self.seconds:g} is too short to compare networks on {self.wanted} samples: "
            f"they were on {self.n_compared}{missing}; search_seconds={math.ceil(enough / unit) * unit:g} would do"
        )


def hold_out(model, X, Y, weights, strata, n_folds, random_state, scale=None, coded=None):
    """Outputs at a part of the samples, learned from the others; NaN at those.

    Parameters
    ----------
    model : Networks or KernelRidge
        Not fitted yet.
    X, Y, weights, strata, scale, coded
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
    return outputs_without(model, X, Y, weights, out, scale, coded)


def outputs_without(model, X, Y, weights, out, scale=None, coded=None):
    """Outputs at the samples of `out`, learned from the others; NaN at those. As `hold_out`."""
    outputs = np.full(Y.shape, np.nan)
    if scale is not None:
        X = features_within(X, coded, ~out)
        X = scale(X[~out], Y[~out], weights[~out])(X)
    X_train, Y_train, weights, observations = to_learn_from(X[~out], Y[~out], weights[~out])
    outputs[out] = model.fit(X_train, Y_train, weights, observations=observations).predict(X[out])
    return outputs


COLUMNS = ("model", "width", "target_scale", "alpha")
COLUMNS += ("error", "difference", "standard_error", "folds", "samples", "outcome")


def _as_table(rows, n_samples=None):
    """Columns; "samples" only where some row is not of all."""
    on_parts = any(row.get("samples", n_samples) != n_samples for row in rows)
    names = [name for name in COLUMNS if name != "samples" or on_parts]
    return {name: [row.get(name) for row in rows] for name in names}
