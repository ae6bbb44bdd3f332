"""Tables with equal rows: errors that choose models are those of observations, not of whole groups."""

import numpy as np
import pytest

from sltrees import shifted_ntk
from sltrees.estimators import NewtonClassifier, NewtonRegressor

NETWORK = {"model": "network", "width": 512, "random_state": 0, "alpha": 0.1, "max_iter": 10}


def table_of_categories(n=900, seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 5, n), rng.integers(0, 7, n)
    return np.stack([a, b], axis=1).astype(float), rng.normal(size=(5, 7))[a, b] + rng.normal(0, 0.5, n)


@pytest.mark.parametrize("options", [{"model": "kernel"}, {}], ids=str)
def test_tables_of_few_distinct_rows_are_learned_from(options):
    X, y = table_of_categories()
    model = NewtonRegressor(**{"random_state": 0, "search_seconds": 2.0} | options).fit(X[:600], y[:600])
    cells = np.unique(X, axis=0)
    means = {tuple(cell): y[:600][np.all(X[:600] == cell, axis=1)].mean() for cell in cells}
    of_means = np.array([means[tuple(row)] for row in X[600:]])
    best = 1 - np.sum((of_means - y[600:]) ** 2) / np.sum((y[600:] - y[600:].mean()) ** 2)
    score = model.score(X[600:], y[600:])
    assert score > best - 0.02
    assert model.validation_score_ == pytest.approx(score, abs=0.06)


def test_parity_of_bits_is_learned_and_probabilities_are_sure_of_it():
    bits = np.random.default_rng(0).integers(0, 2, (400, 6))
    odd = bits[:, :3].sum(axis=1) % 2
    model = NewtonClassifier(random_state=0, search_seconds=2.0).fit(bits[:300], odd[:300])
    assert model.score(bits[300:], odd[300:]) == 1.0
    assert model.validation_score_ > 0.98
    assert model.predict_proba(bits).max(axis=1).mean() > 0.9


def test_probabilities_of_tables_of_few_rows_are_calibrated():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 4, (2000, 2)).astype(float)
    chance = rng.uniform(0.05, 0.95, (4, 4))[X[:, 0].astype(int), X[:, 1].astype(int)]
    y = (rng.random(2000) < chance).astype(int)
    model = NewtonClassifier("kernel").fit(X[:1000], y[:1000])
    assert np.mean(np.abs(model.predict_proba(X)[:, 1] - chance)) < 0.08


@pytest.mark.parametrize("options", [{"model": "kernel"}, NETWORK, {"search_seconds": 1.0}], ids=str)
def test_order_of_samples_with_equal_rows_does_not_matter(options):
    X, y = table_of_categories(200)
    weights = np.random.default_rng(2).uniform(0.5, 2.0, 200)
    order = np.random.default_rng(1).permutation(200)
    options = {"random_state": 0, **options}
    first = NewtonRegressor(**options).fit(X, y, weights)
    other = NewtonRegressor(**options).fit(X[order], y[order], weights[order])
    assert other.model_ == first.model_
    assert np.allclose(other.predict(X), first.predict(X), atol=1e-6)
    assert other.validation_score_ == pytest.approx(first.validation_score_, abs=1e-9)


def test_kernel_is_validated_by_leaving_out_each_observation():
    X, y = table_of_categories(60)
    model = NewtonRegressor("kernel", alpha=0.1, evenness=1.0).fit(X, y)
    # scaling, centre and the ridge itself are those of all samples
    rows = model.scaling_.transform(X)
    targets = (y - model.centre_) / model.spread_
    kernel = shifted_ntk(rows, shift=1.0)
    ridge = 0.1 * np.trace(kernel) / len(np.unique(X, axis=0))  # distinct rows have the mean weight 1
    outputs = np.empty(60)
    for i in range(60):
        rest = np.delete(np.arange(60), i)
        matrix = kernel[np.ix_(rest, rest)] + ridge * np.eye(59)
        bordered = np.block([[matrix, np.ones((59, 1))], [np.ones((1, 59)), np.zeros((1, 1))]])
        solution = np.linalg.solve(bordered, np.append(targets[rest], 0.0))
        outputs[i] = kernel[i, rest] @ solution[:59] + solution[59]
    score = 1 - np.sum((outputs - targets) ** 2) / np.sum((targets - targets.mean()) ** 2)
    assert model.validation_score_ == pytest.approx(score, abs=1e-8)
