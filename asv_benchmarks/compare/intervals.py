"""How many targets intervals hold: `NewtonRegressor.predict_interval` on real data sets.

    python asv_benchmarks/compare/intervals.py [--sets auto boston ...] [--model auto] [--coverage 0.9] [--seeds 1]

The sets are the regressions of at least 100 rows of `asv_benchmarks/compare/parts/real_data.py`, ten of them. Each is
cut into five folds, shuffled by a seed; a model learns from four of them, and the share of the targets of the fifth
that its intervals hold is counted, as is how wide they are, in standard deviations of the target. Of several targets
the mean. With one model for all folds of a set the standard error of a coverage of 0.9 would be sqrt(0.09 / n).
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
from asv_benchmarks.compare.parts.pages import table
from asv_benchmarks.compare.parts.real_data import SETS, load

FEWEST, FOLDS = 100, 5


def names_of_sets():
    return [name for name, each in SETS.items() if each.task == "regression" and each.n >= FEWEST]


def measured(name, model, coverage, seeds):
    """Coverage and width on all folds of a set.

    Returns
    -------
    held : float
    width : float
        Median, in standard deviations of the targets.
    """
    from sltrees.estimators import NewtonRegressor

    X, y, _ = load(name)
    held, widths = [], []
    for seed in range(seeds):
        folds = np.random.default_rng(seed).permutation(len(X)) % FOLDS
        for fold in range(FOLDS):
            seen = folds != fold
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                estimator = NewtonRegressor(model, random_state=seed).fit(X[seen], y[seen])
            lower, upper = np.moveaxis(estimator.predict_interval(X[~seen], coverage), 1, 0)
            held.append(((lower <= y[~seen]) & (y[~seen] <= upper)).reshape(np.count_nonzero(~seen), -1).mean(axis=1))
            widths.append(np.median((upper - lower) / y.std(axis=0)))
    return float(np.concatenate(held).mean()), float(np.median(widths))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=names_of_sets(), default=names_of_sets())
    parser.add_argument("--model", choices=("auto", "kernel"), default="kernel")
    parser.add_argument("--coverage", type=float, default=0.9)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args(arguments)
    rows = []
    for name in options.sets:
        held, width = measured(name, options.model, options.coverage, options.seeds)
        rows.append((name, SETS[name].n, held, width))
        print(f"{name}: {held:.3f} held, {width:.2f} standard deviations wide", flush=True)
    held = np.array([row[2] for row in rows])
    lines = [[name, str(n), f"{share:.3f}", f"{width:.2f}"] for name, n, share, width in rows]
    lines.append(["mean", "", f"{held.mean():.3f}", ""])
    print(table(["set", "n", "held", "width"], lines))
    return float(held.mean())


if __name__ == "__main__":
    main()
