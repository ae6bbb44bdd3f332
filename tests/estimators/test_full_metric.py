"""The metric "full" of feature learning: a matrix, so that directions shrink that are no columns."""

import numpy as np
import pytest

from sltrees.estimators import NewtonClassifier, NewtonRegressor
from sltrees.estimators.feature_learning import learn_scales, scales_after
from sltrees.kernels.derivatives import gradient_products, squared_gradients
from sltrees.kernels.unit_rows import UnitRowsKernel
from sltrees.preprocessing import InputScaling


def along_a_diagonal(n=240, d=6, seed=0):
    """Samples whose target is a function of the sum of all columns."""
    X = np.random.default_rng(seed).standard_normal((n, d))
    return X, np.sin(2.5 * X.sum(axis=1) / np.sqrt(d))


def learned(X, y, metric="full", **options):
    Y = ((y - y.mean()) / y.std())[:, None]
    options = {"shift": 1.0, "rounds": None, "n_folds": 3, "rng": np.random.default_rng(0), "n_threads": 1, **options}
    return learn_scales(InputScaling().fit(X), X, Y, np.ones(len(X)), np.zeros(len(X)), metric=metric, **options)


def test_products_of_gradients_equal_finite_differences(seed):
    rng = np.random.default_rng(seed)
    U, centres, dual = rng.standard_normal((9, 4)), rng.standard_normal((7, 4)), rng.standard_normal((7, 2))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    kernel, weights = UnitRowsKernel(1.0), rng.uniform(1, 2, 9)

    def outputs(U):
        return kernel.between(U / np.linalg.norm(U, axis=1, keepdims=True), centres) @ dual

    steps = 1e-6 * np.eye(4)
    slopes = np.stack([(outputs(U + step) - outputs(U - step)) / 2e-6 for step in steps])
    expected = np.einsum("anc,bnc,n->ab", slopes, slopes, weights) / weights.sum()
    found = gradient_products(U, centres, dual, 1.0, weights)
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-8)
    assert np.allclose(np.diag(found), squared_gradients(U, centres, dual, 1.0, weights), rtol=1e-12)
    assert np.array_equal(gradient_products(np.zeros((3, 4)), centres, dual, 1.0), np.zeros((4, 4)))


def test_a_direction_that_is_no_column_is_found():
    X, y = along_a_diagonal()
    found, diagonal = learned(X, y), learned(X, y, "diagonal")
    assert found.rounds >= 1
    assert found.errors[found.rounds] < 0.7 * min(diagonal.errors)
    values, vectors = np.linalg.eigh(found.scaling.mixing_)
    assert abs(vectors[:, -1] @ np.ones(6)) / np.sqrt(6) > 0.99
    assert values[-1] > 3 * values[-2]
    assert np.isclose(found.importances.sum(), 1)
    assert np.ptp(found.importances) < 0.2  # all columns matter alike
    spread = found.scaling.scaled(X)[:, :6].var(axis=0).sum()
    assert np.isclose(spread, 6)  # the total spread is kept


def test_of_one_feature_both_metrics_are_the_same():
    X, y = along_a_diagonal(d=1)
    full, diagonal = (learned(X, y, metric, rounds=2) for metric in ("full", "diagonal"))
    assert np.allclose(full.scaling.transform(X), diagonal.scaling.transform(X), atol=1e-12)
    assert np.allclose(full.errors, diagonal.errors)


def test_threads_and_copies_change_nothing():
    X, y = along_a_diagonal(150)
    one, two = (learned(X, y, n_threads=n_threads) for n_threads in (1, 2))
    assert np.array_equal(one.scaling.mixing_, two.scaling.mixing_)
    options = {"shift": 1.0, "n_threads": 1, "alpha": 0.01, "metric": "full"}
    Y = (y - y.mean())[:, None]
    weights = np.where(np.arange(150) < 40, 2.0, 1.0)
    doubled = [np.concatenate([values, values[:40]]) for values in (X, Y)]
    scalings = [InputScaling().fit(X), InputScaling().fit(X)]
    by_weight = scales_after(2, scalings[0], X, Y, weights, **options)[0].mixing_
    by_copies = scales_after(2, scalings[1], *doubled, np.ones(190), **options)[0].mixing_
    assert np.allclose(by_weight, by_copies, atol=1e-9)


def test_constant_columns_and_constant_targets():
    X, y = along_a_diagonal(90)
    X[:, 2] = 7.0
    found = learned(X, y, rounds=2)
    assert found.importances[2] == pytest.approx(0, abs=1e-12)
    assert np.all(found.scaling.mixing_[2] == 0)
    scaling, scales, _ = scales_after(
        2, InputScaling().fit(X), X, np.zeros((90, 1)), np.ones(90), shift=1.0, n_threads=1, alpha=0.1, metric="full"
    )
    assert scaling.mixing_ is None
    assert np.array_equal(scales, np.ones(6))


@pytest.mark.parametrize("make", [NewtonRegressor, NewtonClassifier])
def test_estimators_with_the_full_metric(make, tmp_path):
    X, y = along_a_diagonal()
    y = y if make is NewtonRegressor else (y > 0).astype(int)
    model = make("kernel", metric="full", random_state=0).fit(X[:200], y[:200])
    plain = make("kernel", random_state=0).fit(X[:200], y[:200])
    assert model.scaling_.mixing_.shape == (6, 6)
    assert model.score(X[200:], y[200:]) > plain.score(X[200:], y[200:])
    assert model.feature_scales_.shape == model.feature_importances_.shape == (6,)
    model.save(tmp_path / "m.npz")
    again = make.load(tmp_path / "m.npz")
    assert np.array_equal(again.predict(X), model.predict(X))
    assert again.metric == "full"
    again.partial_fit(X[200:], y[200:])
    model.partial_fit(X[200:], y[200:])
    assert np.array_equal(again.predict(X), model.predict(X))


def test_networks_are_given_the_same_rows():
    X, y = along_a_diagonal()
    model = NewtonRegressor(
        "network", feature_learning=2, metric="full", width=512, random_state=0, max_iter=5, alpha=0.1
    )
    assert model.fit(X[:200], y[:200]).scaling_.mixing_ is not None
    chosen = NewtonRegressor(metric="full", random_state=0, search_seconds=2).fit(X[:120], y[:120])
    assert np.isfinite(chosen.predict(X)).all()


def test_far_rows_have_directions():
    X, y = along_a_diagonal(90)
    scaling = learned(X, y, rounds=1).scaling
    far = scaling.transform(np.array([X[0] * 1e300, X[0] * 1e12]))
    assert np.allclose(far[0], far[1], atol=1e-9)
    assert np.allclose(np.linalg.norm(far, axis=1), 1)
    assert scaling.fit(X).mixing_ is None


def test_other_metrics_are_refused():
    with pytest.raises(ValueError, match="metric must be"):
        NewtonRegressor(metric="round").fit(np.eye(3), np.arange(3.0))
