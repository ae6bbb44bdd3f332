"""How good probabilities are: those of `NewtonClassifier` beside what scikit-learn's calibration makes of its outputs.

    python asv_benchmarks/compare/calibration.py [--sets iris wine ...] [--model kernel] [--folds 5] [--seeds 1]

The sets are the classifications of `parts/real_data.py`, the folds those of `compare/estimators.py`, shuffled by each
seed. Beside `predict_proba` of a NewtonClassifier there is `CalibratedClassifierCV` of the same classifier at its
defaults, with method "sigmoid", "isotonic" and, where scikit-learn has it, "temperature": it learns the classifier five
times, each time calibrates on the fifth that is left out, and takes the mean of five probabilities. What is measured is
the logarithmic loss on the fold: smaller is better; a probability of 0 that came true counts as that of 2e-16.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import warnings
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
from asv_benchmarks.compare.parts.pages import table
from asv_benchmarks.compare.parts.real_data import SETS, load

OURS, METHODS = "ours", ("sigmoid", "isotonic", "temperature")


def names_of_sets():
    return [name for name, each in SETS.items() if each.task == "classification"]


def losses(name, model, folds, seeds, methods=METHODS):
    """Logarithmic loss on a set, the mean over folds, with each way to make probabilities; NaN of one that fails."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold

    from sltrees.estimators import NewtonClassifier

    X, y, _ = load(name)
    found = {way: [] for way in (OURS, *methods)}
    for seed in range(seeds):
        for seen, left_out in StratifiedKFold(folds, shuffle=True, random_state=seed).split(X, y):
            ours = NewtonClassifier(model, random_state=0)
            for way in found:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        estimator = ours if way == OURS else CalibratedClassifierCV(ours, method=way)
                        probabilities = estimator.fit(X[seen], y[seen]).predict_proba(X[left_out])
                        loss = log_loss(y[left_out], probabilities, labels=estimator.classes_)
                    except ValueError as error:  # an older scikit-learn does not have all methods
                        print(f"{name}, {way}: {error}", file=sys.stderr)
                        loss = math.nan
                found[way].append(loss)
    return {way: statistics.fmean(values) for way, values in found.items()}


def report(rows):
    """The tables, as Markdown: of dicts of losses by name of set."""
    ways = [way for way in next(iter(rows.values())) if not all(math.isnan(row[way]) for row in rows.values())]
    lines = [[name, str(SETS[name].n), *(f"{row[way]:.3f}" for way in ways)] for name, row in rows.items()]
    lines.append(["mean", "", *(f"{np.mean([row[way] for row in rows.values()]):.3f}" for way in ways)])
    parts = [table(["set", "n", OURS, *ways[1:]], lines)]
    lines = []
    for way in ways[1:]:
        differences = np.array([row[OURS] - row[way] for row in rows.values()])
        error = differences.std(ddof=1) / math.sqrt(len(differences)) if len(differences) > 1 else math.nan
        won = f"{np.count_nonzero(differences < 0)} of {len(differences)}"
        lines.append([way, f"{differences.mean():+.4f}", f"{error:.4f}", won])
    parts.append(table(["ours less", "mean", "standard error", "sets with less"], lines))
    return "\n\n".join(parts)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=names_of_sets(), default=names_of_sets())
    parser.add_argument("--model", choices=("auto", "kernel"), default="kernel")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args(arguments)
    rows = {}
    for name in options.sets:
        rows[name] = losses(name, options.model, options.folds, options.seeds)
        print(name, *(f"{way} {loss:.4f}" for way, loss in rows[name].items()), file=sys.stderr, flush=True)
    print(report(rows))
    return rows


if __name__ == "__main__":
    main()
