"""Tables as people have them: missing numbers, categories of many levels, dates and identifiers, beside boosting.

    python asv_benchmarks/compare/messy_tables.py [--rows 1000] [--seeds 3] [--models kernel auto boosting ridge]

The tables are made: six numbers of which a fifth is missing (at random, or the larger the likelier), three categories
of 5, 50 and 500 levels with effects of their own, a date with a trend, a season and a day of the week, and an
identifier. Targets are additive in these, or have products of them, with noise of a fifth of their spread. R^2 on 2,000
other rows; boosting is HistGradientBoostingRegressor with categories from dtypes, whose dates are days; ridge is a
linear model of what `FrameEncoder` makes.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
from asv_benchmarks.compare.parts.pages import table

N_TEST = 2000
LEVELS = (5, 50, 500)
KINDS = ("additive", "products", "missing tells")


def messy_table(kind, n, seed):
    """A frame of pandas, and a target."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 6))
    codes = [rng.integers(levels, size=n) for levels in LEVELS]
    effects = [
        np.random.default_rng(levels).standard_normal(levels)[code] for levels, code in zip(LEVELS, codes, strict=True)
    ]
    days = rng.integers(1000, size=n)
    season = np.sin(2 * np.pi * days / 365.25) + 0.5 * (days % 7 >= 5) + days / 1000
    y = X[:, 0] + np.sin(2 * X[:, 1]) + sum(effects) + season
    if kind == "products":
        y = y + X[:, 2] * effects[0] + X[:, 3] * X[:, 4]
    probability = 1 / (1 + np.exp(-2 * (X - 0.9))) if kind == "missing tells" else np.full(X.shape, 0.2)
    X = np.where(rng.random(X.shape) < probability, np.nan, X)
    frame = pd.DataFrame(X, columns=[f"number {k}" for k in range(6)])
    for levels, code in zip(LEVELS, codes, strict=True):
        frame[f"one of {levels}"] = pd.Categorical([f"level {k}" for k in code])
    frame["when"] = pd.Timestamp("2021-01-01") + pd.to_timedelta(days, unit="D")
    frame["id"] = [f"row {k}" for k in range(n)]
    return frame, y + 0.2 * y.std() * rng.standard_normal(n)


def score(model, seen, held_out):
    """R^2 and seconds."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sltrees.estimators import FrameEncoder, NewtonRegressor

    (X, y), (X_test, y_test) = seen, held_out
    if model == "boosting":
        X, X_test = (
            frame.drop(columns="id").assign(when=(frame["when"] - frame["when"].min()).dt.days) for frame in (X, X_test)
        )
        estimator = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)
        if X["one of 500"].nunique() > 255:  # more levels than it takes
            X, X_test = (frame.assign(**{"one of 500": frame["one of 500"].cat.codes}) for frame in (X, X_test))
    elif model == "ridge":
        estimator = make_pipeline(FrameEncoder(), StandardScaler(), RidgeCV(np.geomspace(1e-2, 1e4, 13)))
    else:
        estimator = NewtonRegressor(model, random_state=0)
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, y)
    return estimator.score(X_test, y_test), time.perf_counter() - began


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=["kernel", "boosting", "ridge"])
    options = parser.parse_args(arguments)
    lines = []
    for kind in KINDS:
        found = []
        for seed in range(options.seeds):
            frame, y = messy_table(kind, options.rows + N_TEST, seed)
            parts = [(frame.iloc[rows], y[rows]) for rows in (slice(options.rows), slice(options.rows, None))]
            found.append([score(model, *parts) for model in options.models])
        found = np.array(found)  # seeds, models, score and seconds
        errors = (
            found[:, :, 0].std(axis=0, ddof=1) / np.sqrt(options.seeds)
            if options.seeds > 1
            else np.zeros(len(found[0]))
        )
        cells = [
            f"{mean:.3f} +- {error:.3f} ({seconds:.1f} s)"
            for mean, error, seconds in zip(
                found[:, :, 0].mean(axis=0), errors, found[:, :, 1].mean(axis=0), strict=True
            )
        ]
        lines.append([kind, *cells])
        print(*lines[-1], sep="   ", flush=True)
    print(table(["R^2", *options.models], lines))


if __name__ == "__main__":
    main()
