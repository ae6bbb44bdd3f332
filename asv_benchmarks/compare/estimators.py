"""Our estimators on real data beside scikit-learn's: score and time of every data set, model and fold.

    python asv_benchmarks/compare/estimators.py [--sets iris wine ...] [--models newton svm ...] [--folds 5] [--jobs 1]
        [--threads 2] [--csv docs/figures/estimators.csv] [--docs docs/guide/estimators.md] [--again]

The sets and the rule that chose them are in `parts/real_data.py`. Score: accuracy, or R^2 (the mean over the outputs).
Folds: StratifiedKFold or KFold, shuffled with seed 0, the same for all models. All models are at their defaults,
ours too:

    newton        NewtonClassifier(random_state=0) or NewtonRegressor(random_state=0)
    kernel_ridge  KernelRidge(kernel="rbf"); for classes on one-vs-rest targets -1 and 1
    svm           SVC() or SVR(), with RBF kernel
    svm_tuned     the same, C and gamma by GridSearchCV over 4 x 5 values, 3 inner folds: more than a default
    forest        RandomForestClassifier or RandomForestRegressor
    mlp           MLPClassifier or MLPRegressor
    ridge         RidgeClassifier or Ridge: what a linear model gets
    boosting      HistGradientBoostingClassifier or HistGradientBoostingRegressor
    lightgbm      LGBMClassifier or LGBMRegressor (extra "bench")
    xrfm          xRFM: recursive feature machines, a fifth of the rows its validation set (package xrfm)

All but newton and those of trees see standardised features and, for regression, standardised targets, which
KernelRidge, SVR and MLP need to work at all. Models that take one output only are fitted once per output.

Every finished fold is a row of the CSV file at once, and folds that the file already has are not run again, so a
run that was cut off goes on where it was; --again runs the chosen sets and models anew. With --jobs above 1 the
folds compete for the machine: take times from --jobs 1. --threads bounds the threads of BLAS and OpenMP, for all
models alike.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import statistics
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
from asv_benchmarks.compare.parts.estimator_rivals import XRFM, make_lightgbm
from asv_benchmarks.compare.parts.pages import rewrite, table
from asv_benchmarks.compare.parts.real_data import SETS, load

ROOT = Path(__file__).resolve().parents[2]
OURS = "newton"
RIVALS_IN_A_TABLE = 6  # more are wider than a page
MODELS = {
    OURS: "Newton",
    "kernel_ridge": "KernelRidge",
    "svm": "RBF-SVM",
    "svm_tuned": "RBF-SVM tuned",
    "forest": "RandomForest",
    "mlp": "MLP",
    "ridge": "Ridge",
    "boosting": "HistGradientBoosting",
    "lightgbm": "LightGBM",
    "xrfm": "xRFM",
}
TREES = ("forest", "boosting", "lightgbm")
GRID = {"C": [0.1, 1.0, 10.0, 100.0], "gamma": ["scale", 0.001, 0.01, 0.1, 1.0]}
TASKS = {"classification": "accuracy", "regression": "R^2"}
SMALL = 100  # rows; below, R^2 of a fold is mostly noise


@dataclass(frozen=True)
class Fold:
    """What a model did on a fold of a data set: a row of the CSV file."""

    set: str
    model: str
    folds: int
    fold: int
    score: float
    fit_seconds: float
    predict_seconds: float
    chosen: str = ""

    @property
    def key(self):
        """What is measured: set, model, number of folds, fold."""
        return self.set, self.model, self.folds, self.fold


def make_model(model, task, multi_output=False):
    """An unfitted model at its defaults; the imports are here so that no model needs the packages of another."""
    classify = task == "classification"
    if model == OURS:
        from sltrees.estimators import NewtonClassifier, NewtonRegressor

        return (NewtonClassifier if classify else NewtonRegressor)(random_state=0)
    if model == "xrfm":
        return XRFM(classify)
    if model in TREES:
        trees = make_trees(model, classify)
        if not multi_output or model == "forest":
            return trees
        from sklearn.multioutput import MultiOutputRegressor

        return MultiOutputRegressor(trees)
    return make_scaled(model, classify, multi_output)


def make_trees(model, classify):
    """A model of trees, which scales of columns do not change."""
    from sklearn import ensemble

    if model == "lightgbm":
        return make_lightgbm(classify)
    if model == "forest":
        return (ensemble.RandomForestClassifier if classify else ensemble.RandomForestRegressor)(random_state=0)
    boosting = ensemble.HistGradientBoostingClassifier if classify else ensemble.HistGradientBoostingRegressor
    return boosting(random_state=0)


def make_scaled(model, classify, multi_output):
    """A model that is given standardised features, and targets."""
    from sklearn import kernel_ridge, linear_model, neural_network, svm
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if model == "kernel_ridge":
        estimator = kernel_ridge.KernelRidge(kernel="rbf")
        if classify:
            return OneVersusRest(make_pipeline(StandardScaler(), estimator))
    elif model in ("svm", "svm_tuned"):
        estimator = svm.SVC() if classify else svm.SVR()
        if model == "svm_tuned":
            inner = (StratifiedKFold if classify else KFold)(3, shuffle=True, random_state=0)
            estimator = GridSearchCV(estimator, GRID, cv=inner)
        if multi_output:
            estimator = MultiOutputRegressor(estimator)
    elif model == "mlp":
        estimator = (neural_network.MLPClassifier if classify else neural_network.MLPRegressor)(random_state=0)
    elif model == "ridge":
        estimator = linear_model.RidgeClassifier() if classify else linear_model.Ridge()
    else:
        raise ValueError(f"model must be one of {', '.join(MODELS)}; got {model!r}")
    pipeline = make_pipeline(StandardScaler(), estimator)
    return pipeline if classify else TransformedTargetRegressor(pipeline, transformer=StandardScaler())


class OneVersusRest:
    """A regressor as a classifier: it is fitted to -1 and 1 for each class, and the largest output wins."""

    def __init__(self, regressor):
        self.regressor = regressor

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.regressor.fit(X, 2.0 * (y[:, None] == self.classes_) - 1.0)
        return self

    def predict(self, X):
        return self.classes_[self.regressor.predict(X).argmax(axis=1)]


def splits(X, y, task, folds):
    """Pairs of training and test rows."""
    from sklearn.model_selection import KFold, StratifiedKFold

    splitter = StratifiedKFold if task == "classification" else KFold
    return list(splitter(folds, shuffle=True, random_state=0).split(X, y))


def run_fold(name, model, folds, fold, threads=None, make=make_model):
    """Fit a model to a fold of a data set, and score it on the rest."""
    from sklearn.metrics import accuracy_score, r2_score

    X, y, task = load(name)
    train, test = splits(X, y, task, folds)[fold]
    with threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 200 iterations, MLP's default, are not enough for every set
        estimator = make(model, task, y.ndim > 1)
        began = time.perf_counter()
        estimator.fit(X[train], y[train])
        fitted = time.perf_counter()
        predicted = estimator.predict(X[test])
        ended = time.perf_counter()
    score = (accuracy_score if task == "classification" else r2_score)(y[test], predicted)
    chosen = description(estimator) if model == OURS else ""
    return Fold(name, model, folds, fold, round(score, 6), round(fitted - began, 4), round(ended - fitted, 4), chosen)


def description(estimator):
    """What model="auto" chose, in a line: `model_`, or the rows of `selection_` that are marked as chosen."""
    chosen = getattr(estimator, "model_", None)
    if chosen is None:
        table = getattr(estimator, "selection_", None)
        if not isinstance(table, list | tuple):
            return ""
        chosen = [row for row in table if isinstance(row, dict) and row.get("chosen")]
    text = chosen if isinstance(chosen, str) else repr(chosen)
    return " ".join(text.split())[:200]


def read_csv(path):
    """Folds that a file has; rows that a run which was cut off left incomplete are left out."""
    if not path.exists():
        return []
    names = [field.name for field in fields(Fold)]
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        if next(rows, names) != names:
            raise ValueError(f"{path}: the first line must be {','.join(names)}")
        found = {}
        for row in rows:
            try:
                name, model, folds, fold, score, fit, predict, chosen = row
                read = Fold(name, model, int(folds), int(fold), float(score), float(fit), float(predict), chosen)
            except ValueError:
                continue
            found[read.key] = read
    return list(found.values())


def write_csv(path, rows):
    """All folds in the order of sets and models; a reader sees the old file or the new one."""
    order = {name: place for place, name in enumerate([*SETS, *MODELS])}
    rows = sorted(rows, key=lambda row: (order.get(row.set, len(order)), order.get(row.model, len(order)), row.fold))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Fold)])
        writer.writerows(asdict(row).values() for row in rows)
    os.replace(partial, path)


def run(sets, models, folds, path, jobs=1, threads=None, again=False, make=make_model):
    """Run what the CSV file lacks, and write it there.

    Parameters
    ----------
    sets, models : list of str
        Keys of `SETS` and `MODELS`.
    folds : int
    path : Path
        The CSV file.
    jobs : int, default=1
        Folds that run at once, each in a process of its own if there are more than one.
    threads : int or None, default=None
        Bound for the threads of BLAS and OpenMP.
    again : bool, default=False
        Forget what the file has of these sets and models.
    make : callable, default=make_model
        Makes the models.

    Returns
    -------
    rows : list of Fold
        All of the file.
    failed : int
        Folds that raised. They are said on stderr and not written, so the next run tries them again.
    """
    rows = [row for row in read_csv(path) if not (again and row.set in sets and row.model in models)]
    write_csv(path, rows)
    done = {row.key for row in rows}
    wanted = [(name, model, folds, fold) for name in sets for model in models for fold in range(folds)]
    wanted = [key for key in wanted if key not in done]
    failed = 0
    for key, result in results(wanted, jobs, threads, make):
        if isinstance(result, Exception):
            failed += 1
            print(f"{' '.join(map(str, key))}: {type(result).__name__}: {result}", file=sys.stderr, flush=True)
            continue
        rows.append(result)
        with path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(asdict(result).values())
        seconds = result.fit_seconds + result.predict_seconds
        said = f"{result.set} {result.model} {result.fold}: {result.score:.4f}, {seconds:.2f} s"
        print(said, file=sys.stderr, flush=True)
    write_csv(path, rows)
    return rows, failed


def results(wanted, jobs, threads, make):
    """Pairs of a key and its `Fold`, or the exception that it raised."""
    if jobs == 1:
        for key in wanted:
            try:
                yield key, run_fold(*key, threads, make)
            except Exception as error:
                yield key, error
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:  # BLAS does not survive every fork
        running = {pool.submit(run_fold, *key, threads, make): key for key in wanted}
        for future in as_completed(running):
            yield running[future], future.exception() or future.result()


class Summary:
    """Means over folds and sets of the sets and models that have all their folds."""

    def __init__(self, rows, folds, sets=SETS):
        found = {}
        for row in rows:
            if row.folds == folds and row.set in sets:
                found.setdefault((row.set, row.model), []).append(row)
        self.folds = folds
        self.cells = {
            cell: (
                statistics.fmean(row.score for row in of_cell),
                statistics.fmean(row.fit_seconds + row.predict_seconds for row in of_cell),
            )
            for cell, of_cell in found.items()
            if len(of_cell) == folds
        }
        self.models = [model for model in MODELS if any(model == other for _, other in self.cells)]
        self.sets = [name for name in sets if any(name == other for other, _ in self.cells)]

    def of_task(self, task, least_rows=0):
        """The sets of a task that have at least so many rows."""
        return [name for name in self.sets if SETS[name].task == task and SETS[name].n >= least_rows]

    def mean(self, model, sets, quantity=0):
        """Mean score (or, with quantity 1, seconds) over the sets that all models have; NaN without any."""
        values = [self.cells[name, model][quantity] for name in self.common(sets)]
        return statistics.fmean(values) if values else math.nan

    def rank(self, model, sets):
        """Mean over the sets that all models have of the place of a model among them: 1 is the best score.

        Models of equal scores share the mean of their places. NaN without any set.
        """
        ranks = []
        for name in self.common(sets):
            scores = [self.cells[name, other][0] for other in self.models]
            own = self.cells[name, model][0]
            above, equal = sum(score > own for score in scores), scores.count(own)
            ranks.append(above + (equal + 1) / 2)
        return statistics.fmean(ranks) if ranks else math.nan

    def common(self, sets):
        """Those of the sets that all models have finished."""
        return [name for name in sets if all((name, model) in self.cells for model in self.models)]

    def difference(self, model, sets):
        """Mean over sets of our score less the model's, its standard error, and the number of sets.

        The standard error is that of paired differences, a set being one observation; NaN from fewer than two sets.
        """
        differences = [
            self.cells[name, OURS][0] - self.cells[name, model][0]
            for name in sets
            if (name, OURS) in self.cells and (name, model) in self.cells
        ]
        if not differences:
            return math.nan, math.nan, 0
        count = len(differences)
        error = statistics.stdev(differences) / math.sqrt(count) if count > 1 else math.nan
        return statistics.fmean(differences), error, count


def number(value, digits=3, sign=""):
    return "-" if math.isnan(value) else f"{value:{sign}.{digits}f}"


def seconds(value):
    return "-" if math.isnan(value) else f"{value:.2g}" if value < 10 else f"{value:.0f}"


def report(summary):
    """The tables, as Markdown."""
    parts = []
    titles = [MODELS[model] for model in summary.models]
    for task, score in TASKS.items():
        sets = summary.of_task(task)
        if not sets:
            continue
        for quantity, what in enumerate((score, "seconds a fold, fit and predict")):
            show = (number, seconds)[quantity]
            body = [
                [name, str(SETS[name].n), str(SETS[name].d)]
                + [show(summary.cells.get((name, model), (math.nan,) * 2)[quantity]) for model in summary.models]
                for name in sets
            ]
            for label, chosen in groups(summary, task):
                means = [show(summary.mean(model, chosen, quantity)) for model in summary.models]
                body.append([f"mean{label}", "", "", *means])
                if quantity == 0:
                    ranks = [number(summary.rank(model, chosen), 2) for model in summary.models]
                    body.append([f"mean rank{label}", "", "", *ranks])
            title = f"{task.capitalize()}: {what} (mean of {summary.folds} folds)"
            parts += [title, *narrow_tables(["set", "n", "d", *titles], body)]
        lines = []
        for label, chosen in groups(summary, task):
            for model in summary.models:
                mean, error, count = summary.difference(model, chosen)
                if model != OURS and count:
                    lines.append([MODELS[model] + label, number(mean, 4, "+"), number(error, 4), str(count)])
        if lines:
            head = [f"Newton less, in {score}", "mean", "standard error", "sets"]
            parts += [f"{task.capitalize()}: paired differences over sets", table(head, lines)]
    return "\n\n".join(parts)


def narrow_tables(head, body):
    """Tables of so many models each: the name of the set and the first model, ours, are columns of all."""
    first, *others = range(3, len(head))
    rivals = [others[start : start + RIVALS_IN_A_TABLE] for start in range(0, len(others), RIVALS_IN_A_TABLE)] or [[]]
    chosen = [[0, 1, 2, first, *rivals[0]], *([0, first, *more] for more in rivals[1:])]
    return [table([head[i] for i in columns], [[row[i] for i in columns] for row in body]) for columns in chosen]


def groups(summary, task):
    """Labels and sets of which there are means: all, and without the tiny ones if there are any."""
    everything, large = summary.of_task(task), summary.of_task(task, SMALL)
    return [("", everything)] + ([(f", n >= {SMALL}", large)] if large not in ([], everything) else [])


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {value}")
    return value


def main(arguments=None):
    """Run, print the tables, write the files; 1 if a fold failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", choices=SETS, default=list(SETS), metavar="SET", help=" ".join(SETS))
    parser.add_argument(
        "--models", nargs="*", choices=MODELS, default=list(MODELS), metavar="MODEL", help=" ".join(MODELS)
    )
    parser.add_argument("--folds", type=positive, default=5)
    parser.add_argument("--jobs", type=positive, default=1, help="folds that run at once")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="threads of BLAS and OpenMP")
    parser.add_argument("--csv", type=Path, default=ROOT / "docs" / "figures" / "estimators.csv")
    parser.add_argument("--docs", type=Path, default=None, help="a page with the markers, to be rewritten")
    parser.add_argument("--again", action="store_true", help="run the chosen sets and models anew")
    options = parser.parse_args(arguments)
    if options.folds < 2:
        parser.error(f"--folds must be at least 2; got {options.folds}")
    rows, failed = run(
        options.sets, options.models, options.folds, options.csv, options.jobs, options.threads, options.again
    )
    text = report(Summary(rows, options.folds))
    print(text)
    if options.docs is not None:
        rewrite(options.docs, text)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
