"""Few of many features matter: scores by the number of features that do not, beside boosting, forests, SVM and xRFM.

    python asv_benchmarks/compare/relevant_features.py [--features 10 20 50 100] [--samples 1000] [--seeds 3]
        [--models newton lightgbm ...] [--csv docs/figures/relevant_features.csv] [--docs docs/guide/estimators.md]

Functions of five features, which are uniform for the first and normal for the second, with noise of a fifth of their
spread; all other features are drawn in the same way, and tell nothing:

    friedman   10 sin(pi x0 x1) + 20 (x2 - 1/2)^2 + 10 x3 + 5 x4
    products   sin(2 x0) + x1 x2 + |x3| + tanh(x4 - x0)

Score: R^2 on 2,000 samples more, without noise. Models at their defaults, those of scikit-learn with standardised
features; "newton, told" is ours with the five features alone, "newton, as they are" without feature learning. `found`
is how many of the five are among the five largest importances. Each run is a row of the CSV at once, and is not run
again.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
from asv_benchmarks.compare.parts.estimator_rivals import XRFM, make_lightgbm
from asv_benchmarks.compare.parts.pages import rewrite, table

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ("friedman", "products")
MODELS = ("newton", "newton, told", "newton, as they are", "boosting", "lightgbm", "xrfm", "forest", "svm")
FIELDS = ("function", "features", "samples", "seed", "model", "score", "seconds", "found")
N_RELEVANT, N_TEST, NOISE = 5, 2000, 0.2


def samples(function, n, d, seed):
    """X, y with noise, and as many test samples as `N_TEST` without: X, y, X_test, y_test."""
    rng = np.random.default_rng([seed, d])
    size = n + N_TEST, d
    if function == "friedman":
        X = rng.uniform(size=size)
        y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    else:
        X = rng.standard_normal(size)
        y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + np.abs(X[:, 3]) + np.tanh(X[:, 4] - X[:, 0])
    noise = NOISE * y.std() * rng.standard_normal(n)
    return X[:n], y[:n] + noise, X[n:], y[n:]


def build(model):
    """A model, at its defaults."""
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVR

    from sltrees.estimators import NewtonRegressor

    return {
        "newton": lambda: NewtonRegressor(random_state=0),
        "newton, told": lambda: NewtonRegressor(random_state=0),
        "newton, as they are": lambda: NewtonRegressor(random_state=0, feature_learning=False),
        "boosting": lambda: HistGradientBoostingRegressor(random_state=0),
        "lightgbm": lambda: make_lightgbm(False),
        "xrfm": lambda: XRFM(False),
        "forest": lambda: RandomForestRegressor(random_state=0),
        "svm": lambda: make_pipeline(StandardScaler(), SVR()),
    }[model]()


def run(function, n, d, seed, model):
    """A row of the CSV: score, seconds of fit, and relevant features that are found."""
    X, y, X_test, y_test = samples(function, n, d, seed)
    if model == "newton, told":
        X, X_test = X[:, :N_RELEVANT], X_test[:, :N_RELEVANT]
    fitted, began = build(model), time.perf_counter()
    scale = y.std()  # SVR wants targets of about 1
    fitted.fit(X, y / scale)
    seconds = time.perf_counter() - began
    error = np.mean((fitted.predict(X_test).ravel() * scale - y_test) ** 2)
    importances = getattr(fitted, "feature_importances_", None)
    found = "" if importances is None else int(np.sum(np.argsort(importances)[-N_RELEVANT:] < N_RELEVANT))
    case = function, str(d), str(n), str(seed), model, f"{1 - error / y_test.var():.4f}", f"{seconds:.3f}", str(found)
    return dict(zip(FIELDS, case, strict=True))


def summary(rows, n):
    """A Markdown table: means over seeds."""
    models = [model for model in MODELS if any(row["model"] == model for row in rows)]
    body = []
    for function in FUNCTIONS:
        for d in sorted({int(row["features"]) for row in rows}):
            line = [f"{function}, {d}"]
            for model in models:
                case = function, str(d), str(n), model
                scores = [
                    float(row["score"])
                    for row in rows
                    if (row["function"], row["features"], row["samples"], row["model"]) == case
                ]
                line.append(f"{statistics.fmean(scores):.3f}" if scores else "-")
            body.append(line)
    return table(["function, features", *models], body)


def main():
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", nargs="+", type=int, default=[10, 20, 50, 100])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--csv", type=Path, default=ROOT / "docs/figures/relevant_features.csv")
    parser.add_argument("--docs", type=Path, help="a page to put the table into")
    options = parser.parse_args()
    rows = []
    if options.csv.exists():
        with options.csv.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    known = {tuple(row[name] for name in FIELDS[:5]) for row in rows}
    for seed in range(options.seeds):
        for d in options.features:
            for function in FUNCTIONS:
                for model in options.models:
                    if (function, str(d), str(options.samples), str(seed), model) in known:
                        continue
                    rows.append(run(function, options.samples, d, seed, model))
                    print(*rows[-1].values(), flush=True)
                    with options.csv.open("w", newline="", encoding="utf-8") as file:
                        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
                        writer.writeheader()
                        writer.writerows(rows)
    text = summary(rows, options.samples)
    print(text)
    if options.docs:
        rewrite(options.docs, text, "relevant features")


if __name__ == "__main__":
    main()
