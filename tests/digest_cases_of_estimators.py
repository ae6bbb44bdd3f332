"""Cases of `digest_cases` that are estimators, trees or kernels."""

import pickle
import tempfile

import numpy as np
from digests import ALL, ALONE, CASES, LOCAL, THREADS, case, checksum
from problems import unit_rows

from sltrees import CorrelationTrees, ThresholdTree, shifted_ntk


def of_estimator(estimator, X, **also):
    """Digests of a fitted estimator."""
    outputs = [estimator.predict(X)]
    if hasattr(estimator, "classes_"):
        outputs += [estimator.predict_proba(X), estimator.decision_function(X), estimator.classes_]
    history = [[[record.rmse, record.flips] for record in records] for records in estimator.history_]
    parts = {"predictions": outputs, "selection": in_one_column(estimator.selection_), "history": history}
    parts["networks"] = [network.digest() for network in getattr(estimator.fitted_model_, "networks_", ())]
    chosen = [estimator.model_, estimator.evenness_, estimator.fitted_model_.alpha_, estimator.n_iter_]
    return {name: checksum(value) for name, value in (parts | {"chosen": chosen} | also).items()}


def in_one_column(selection):
    """The table of candidates as it was when cases were recorded: with all errors in one column."""
    rows = [dict(zip(selection, row, strict=True)) for row in zip(*selection.values(), strict=True)]
    rows = [row for row in rows if row["outcome"] != "scales columns best, by leave-one-out errors"]
    for row in rows:
        moved = {"error": ("leave_one_out_error", "rounds_error"), "standard_error": ("rounds_standard_error",)}
        for name, others in moved.items():
            found = [row.pop(other) for other in others if other in row]
            if name in row:
                row[name] = next((value for value in [row[name], *found] if value is not None), None)
    return {name: [row[name] for row in rows] for name in rows[0]}


def table(n=60, n_columns=4, n_repeated=0):
    """Columns of different scales, targets of two kinds, weights of which some are 0, rows that come again."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((n, n_columns)) * [1.0, 10.0, 0.1, 2.0] + [0.0, 5.0, 0.0, -1.0]
    X[5 : 5 + n_repeated] = X[4]
    y = np.sin(2 * X[:, 0]) + 0.1 * X[:, 1] + 0.1 * rng.standard_normal(n)
    weights = rng.uniform(0.5, 2.0, n) * (np.arange(n) % 11 > 0)
    return X, y, weights


def labels_of(y, n_classes):
    """Words for thirds of targets, or halves."""
    edges = np.quantile(y, np.arange(1, n_classes) / n_classes)
    return np.array(["low", "middle", "high"])[np.searchsorted(edges, y)]


def add_estimators(kind, model, executors, **options):
    """Make cases of an estimator with one model: fitted, weighted, fitted further."""

    def made(where, **more):
        from sltrees import estimators  # an extra

        cls = {"regressor": estimators.NewtonRegressor, "classifier": estimators.NewtonClassifier}[kind]
        run_by = where.of_estimator if model != "kernel" else {"n_jobs": where.n_threads}
        return cls(model, **{"random_state": 0, "max_iter": 8} | options | run_by | more)

    def plain(where):
        X, y, _ = table()
        targets = np.stack([y, X[:, 2] - y**2], axis=1) if kind == "regressor" else labels_of(y, 3)
        held_out = (X[50:], targets[50:])
        return of_estimator(made(where).fit(X[:50], targets[:50], eval_set=held_out), X)

    def further(where):
        X, y, weights = table()
        targets = y if kind == "regressor" else labels_of(y, 2)
        estimator = made(where).partial_fit(X[:50], targets[:50], sample_weight=weights[:50])
        before = estimator.predict(X)
        estimator.partial_fit(X[50:], targets[50:], sample_weight=weights[50:])
        copied = pickle.loads(pickle.dumps(estimator)) if isinstance(where.executor, str) else estimator
        return of_estimator(copied, X, before=before)

    CASES[f"{kind}-{model}"] = plain, executors
    CASES[f"{kind}-{model}-further"] = further, executors


add_estimators("regressor", "kernel", THREADS)
add_estimators("regressor", "network", ALL, width=1024, evenness=0.5)
add_estimators("regressor", "auto", THREADS, search_seconds=2.0)
add_estimators("classifier", "kernel", THREADS, class_weight="balanced")
add_estimators("classifier", "network", LOCAL, width=512, class_weight="balanced", target_scale=2.0)
add_estimators("classifier", "auto", THREADS, search_seconds=2.0)


@case(THREADS)
def repeated_rows(where):
    """Estimators of tables in which a row comes three times, or only a few come: each observation is left out alone."""
    from sltrees import estimators

    X, y, weights = table(n_repeated=2)
    cells = np.floor(X[:, :2] * [1.0, 0.1])
    parts = {}
    for model in "kernel", "network", "auto":
        options = {"random_state": 0, "max_iter": 8, "width": 512, "search_seconds": 1.0, "n_jobs": where.n_threads}
        for samples in X, cells:
            numbers = estimators.NewtonRegressor(model, **options).fit(samples, y, weights)
            words = estimators.NewtonClassifier(model, **options).fit(samples, labels_of(y, 3))
            found = of_estimator(numbers, samples, score=numbers.validation_score_)
            found |= of_estimator(words, samples, score=words.validation_score_, sharpness=words.sharpness_)
            parts[f"{model} of {len(np.unique(samples, axis=0))}"] = checksum(found)
    return parts


@case()
def regressor_warm_start(where):
    """An estimator that goes on with its networks, in float32, and begins anew where it cannot; its file."""
    from sltrees.estimators import NewtonRegressor

    X, y, weights = table()
    options = {"width": 1024, "dtype": "float32", "warm_start": True, "patience": 3, "random_state": 1}
    estimator = NewtonRegressor("network", alpha=1e-2, max_iter=4, **options, **where.of_estimator)
    outputs = [estimator.fit(X[:50], y[:50], weights[:50], eval_set=(X[50:], y[50:])).predict(X)]
    outputs.append(estimator.set_params(alpha=1e-3).fit(X, y).predict(X))
    outputs.append(estimator.set_params(target_scale=3.0).fit(X, y).predict(X))
    with tempfile.TemporaryDirectory() as folder:
        estimator.save(f"{folder}/model.npz")
        loaded = NewtonRegressor.load(f"{folder}/model.npz")
    return of_estimator(loaded.partial_fit(X[:5] + 1.0, y[:5]), X, outputs=outputs)


# ---------------------------------------------------------------------- trees and kernels


@case(ALONE)
def threshold_trees(where):
    """Answers of trees to random questions, between random changes."""
    answers, rng = [], np.random.default_rng(0)
    for dtype, orientation in (("float32", "max"), ("float64", "min"), ("float64", "max")):
        tree = ThresholdTree(rng.standard_normal(700).astype(dtype), orientation=orientation)
        for _ in range(60):
            rows, values, threshold = rng.integers(0, len(tree), 5), rng.standard_normal(5).astype(dtype), rng.normal()
            tree.update(int(rows[0]), float(values[0]))
            tree.add(int(rows[1]), float(values[1]))
            answers.append(tree.update_many(rows, values, crossing=threshold))
            tree.add_many(rows[:2], values[:2])
            tree.extend(values)
            answers += [tree.query(threshold, return_values=True), tree.query(threshold, 90, 600), tree.topk(9)]
            answers += [tree.query_many(values), tree.count(threshold), tree.first(threshold), tree.argmax()]
            answers.append(tree.pop_above(2.5 if orientation == "max" else -2.5, replacement=0.0))
        tree.resize(512)
        answers += [tree.values, tree.copy().values, pickle.loads(pickle.dumps(tree)).values]
    return {"answers": checksum(answers)}


@case(ALONE)
def correlation_trees(where):
    """Answers of forests to random questions, between random changes."""
    answers, rng = [], np.random.default_rng(1)
    for dtype, axis in (("float32", "data"), ("float64", "weights"), ("float64", "data")):
        weights, data = rng.standard_normal((40, 6)).astype(dtype), rng.standard_normal((90, 6)).astype(dtype)
        trees = CorrelationTrees(weights, data, axis=axis)
        for _ in range(20):
            rows = rng.integers(0, 40, 7)
            trees.update_weights(rows, rng.standard_normal((7, 6)).astype(dtype))
            trees.update_weight(int(rows[0]), rng.standard_normal(6).astype(dtype))
            answers.append(trees.query(int(rows[1]), 1.0, return_values=True))
            found = trees.query_all(2.0)
            answers += [found.indptr, found.indices, found.data]
        answers += [trees.values, trees.copy().weights, pickle.loads(pickle.dumps(trees)).values]
    return {"answers": checksum(answers)}


@case(THREADS)
def kernels(where):
    X, other = unit_rows(np.random.default_rng(0), 60, 4), unit_rows(np.random.default_rng(1), 30, 4)
    found = [shifted_ntk(X, shift=shift, n_threads=where.n_threads) for shift in (0.0, 1.0, 2.5)]
    return {"kernels": checksum([*found, shifted_ntk(2.0 * X, other, shift=1.0, n_threads=where.n_threads)])}
