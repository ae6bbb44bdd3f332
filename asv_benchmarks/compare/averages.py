"""Averages of candidates (stacking) beside the one that the estimators choose, on real data.

    python asv_benchmarks/compare/averages.py [--sets quine cpus ...] [--folds 5]

Candidates are the kernel without learned scales and with those that were chosen, and the networks that were measured on
all folds. Their weights are the non-negative least squares of targets by outputs at samples left out (Breiman, "Stacked
regressions", 1996). Whether an average is taken is judged by weights that were learned without each fold: if its
squared errors there are smaller than those of the model that was chosen by more than a standard error. Scores are
of other rows: the model that is chosen, the average always, and the average where it is taken.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
from scipy.optimize import nnls
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
from asv_benchmarks.compare.parts.pages import table
from asv_benchmarks.compare.parts.real_data import SETS, load

LEFT_OUT = {"linnerud", "wage", "nlschools", "digits"}  # of 20 samples, and those that take long


def weights_of(outputs, Y, weights):
    """The weight of each candidate."""
    roots = np.sqrt(weights)[:, None]
    return nnls(np.stack([(roots * values).ravel() for values in outputs], axis=1), (roots * Y).ravel())[0]


def gain(outputs, chosen, comparison):
    """What the average has less error than what was chosen, by weights of other folds, and its standard error."""
    Y, weights, folds = comparison.Y, comparison.weights, comparison.folds
    averaged = np.empty(Y.shape)
    for fold in range(comparison.n_folds):
        seen = folds != fold
        factors = weights_of([values[seen] for values in outputs], Y[seen], weights[seen])
        averaged[~seen] = sum(factor * values[~seen] for factor, values in zip(factors, outputs, strict=True))
    less = np.sum((chosen - Y) ** 2, axis=1) - np.sum((averaged - Y) ** 2, axis=1)
    mean = np.average(less, weights=weights)
    return mean, np.sqrt(np.sum((weights * (less - mean)) ** 2)) / weights.sum()


class Watched:
    """An estimator whose search can be looked at: what it was given, and what it found."""

    def __init__(self, estimator, X, y):
        from sltrees.estimators import base, feature_learning, model_search

        self.estimator, self.rounds, self.search, self.chosen = estimator, [], None, None
        self.outputs_of, self.found_of, self.learn_of, self.choose_of = (
            feature_learning.Folds.outputs,
            model_search._Search.found,
            base.NewtonEstimator._learn,
            base.NewtonEstimator._choose_scaling,
        )
        watching = {
            (feature_learning.Folds, "outputs"): lambda *given: self._round(*given),
            (model_search._Search, "found"): lambda *given: self._found(*given),
            (base.NewtonEstimator, "_learn"): lambda *given: self._learn(*given),
            (base.NewtonEstimator, "_choose_scaling"): lambda *given: self._choice(*given),
        }
        patches = [mock.patch.object(*place, watch) for place, watch in watching.items()]
        for patch in patches:
            patch.start()
        try:
            estimator.fit(X, y)
        finally:
            for patch in patches:
                patch.stop()

    def _round(self, *given):
        self.rounds.append(self.outputs_of(*given))
        return self.rounds[-1]

    def _found(self, search, chosen):
        self.search, self.chosen = search, chosen
        return self.found_of(search, chosen)

    def _learn(self, estimator, distinct, X, *others):
        self.distinct, self.X = distinct, X
        return self.learn_of(estimator, distinct, X, *others)

    def _choice(self, *given):
        self.choice = self.choose_of(*given)
        return self.choice

    def candidates(self):
        """Outputs at samples left out, and what is learned from all samples with them: a function of rows to outputs.

        None where networks were not compared on the folds of feature learning.
        """
        search = self.search
        if search is None or search.known is None or search.confirmation is not None:
            return None
        if len(search.comparison.Y) != len(search.known[0]) or not self.rounds:
            return None
        found = [(self.rounds[0], lambda: self._kernel(self.choice.unlearned))]
        if self.choice.learned.rounds:
            found.append((self.rounds[self.choice.learned.rounds], lambda: self._kernel(self.choice.scaling)))
        for candidate, outputs in search.comparison.outputs.items():
            if candidate is not None and not np.isnan(outputs).any():
                found.append((outputs, lambda candidate=candidate: self._network(candidate)))
        return found

    def _kernel(self, scaling):
        from sltrees.estimators.distinct_samples import distinct_samples
        from sltrees.estimators.kernel_ridge import KernelRidge

        seen = self.distinct.observations
        part = distinct_samples(scaling.transform(self.X), seen.Y, seen.weights)
        model = KernelRidge().fit(part.X, part.Y, part.weights, part.merged_of)
        return lambda X: model.predict(scaling.transform(X))

    def _network(self, candidate):
        distinct = self.distinct
        model = candidate.build(0).fit(distinct.X, distinct.Y, distinct.weights)
        return lambda X: model.predict(self.choice.scaling.transform(X))


def scores(name, n_folds):
    """Scores of each fold: what is chosen, the average, and whether it would be taken."""
    from sltrees.estimators import NewtonClassifier, NewtonRegressor

    X, y, task = load(name)
    is_classifier = task == "classification"
    make, deal = (NewtonClassifier, StratifiedKFold) if is_classifier else (NewtonRegressor, KFold)
    found = []
    for seen, new in deal(n_folds, shuffle=True, random_state=0).split(X, y):
        watched = Watched(make(random_state=0), X[seen], y[seen])
        estimator, candidates = watched.estimator, watched.candidates()
        chosen = estimator.score(X[new], y[new])
        if candidates is None:
            found.append((chosen, chosen, False))
            continue
        comparison, outputs = watched.search.comparison, [values for values, _ in candidates]
        mean, error = gain(outputs, comparison.outputs[watched.chosen], comparison)
        factors = weights_of(outputs, comparison.Y, comparison.weights)
        averaged = sum(
            factor * learn()(estimator._features(X[new]))
            for factor, (_, learn) in zip(factors, candidates, strict=True)
        )
        averaged = estimator.centre_ + estimator.spread_ * averaged
        if is_classifier:
            score = accuracy_score(y[new], estimator.classes_[estimator._likeliest(averaged)])
        else:
            score = r2_score(y[new], averaged)
        found.append((chosen, score, mean > error))
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sets", nargs="+", choices=list(SETS), default=[name for name in SETS if name not in LEFT_OUT]
    )
    parser.add_argument("--folds", type=int, default=5)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    lines, gains = [], []
    for name in options.sets:
        chosen, average, is_taken = np.array(scores(name, options.folds), dtype=float).T
        taken = np.where(is_taken, average, chosen)
        gains.append([np.mean(average - chosen), np.mean(taken - chosen)])
        cells = [f"{np.mean(values):.3f}" for values in (chosen, average, taken)]
        lines.append([name, *cells, f"{int(is_taken.sum())}"])
        print(*lines[-1], sep="   ", flush=True)
    print(table(["set", "chosen", "average", "average where taken", "folds where taken"], lines))
    for label, values in zip(("always", "where taken"), np.array(gains).T, strict=True):
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
        print(f"average less chosen, {label}: {values.mean():+.5f} +- {error:.5f}")


if __name__ == "__main__":
    main()
