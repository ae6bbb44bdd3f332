"""Columns with long tails: what bending them is, and where estimators do."""

import numpy as np
import pytest

from sltrees.estimators import NewtonClassifier, NewtonRegressor
from sltrees.preprocessing import InputScaling


def long_tails(n=160, seed=0):
    """Two columns with long tails, one without; targets vary with the logarithms."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, 3))
    X = np.column_stack([np.exp(2.5 * Z[:, 0]), Z[:, 1], -np.exp(2.5 * Z[:, 2])])
    return X, np.sin(Z[:, 0]) + 0.5 * Z[:, 1] + Z[:, 2] + 0.05 * rng.standard_normal(n)


def test_bent_columns_are_arcsinh_of_those_with_long_tails():
    X, _ = long_tails()
    scaling = InputScaling(bends=True).fit(X)
    places, medians, spreads = scaling.bent_
    assert places.tolist() == [0, 2]
    order = np.sort(X, axis=0)
    assert medians.tolist() == order[79, [0, 2]].tolist()  # of an even number the lower one
    assert spreads[0] == np.sort(np.abs(X[:, 0] - medians[0]))[79]
    expected = X.copy()
    expected[:, [0, 2]] = np.arcsinh((X[:, [0, 2]] - medians) / spreads)
    assert np.allclose(scaling.bent(X), expected, rtol=1e-14)
    plain = InputScaling().fit(expected)
    assert np.allclose(scaling.transform(X), plain.transform(expected), rtol=1e-12)
    assert np.allclose(scaling.scaled(X), plain.scaled(expected), rtol=1e-12)
    assert InputScaling(bends=True).fit(X[:, [1]]).bent_ is None
    assert InputScaling().fit(X).bent_ is None


def test_weights_are_copies():
    X, _ = long_tails()
    weights = np.where(np.arange(160) < 50, 3.0, 1.0)
    copies = InputScaling(bends=True).fit(np.repeat(X, weights.astype(int), axis=0))
    weighted = InputScaling(bends=True).fit(X, sample_weight=weights)
    assert np.array_equal(weighted.bent_, copies.bent_)
    assert np.allclose(weighted.transform(X), copies.transform(X), rtol=1e-12)


def test_far_and_few_values():
    X, _ = long_tails()
    scaling = InputScaling(bends=True).fit(X)
    far = scaling.transform(np.array([[1e308, 0.0, -1e308], [np.finfo(float).max, -1e308, 1.0]]))
    assert np.allclose(np.linalg.norm(far, axis=1), 1)
    few = np.repeat([0.0, 1.0, 50.0], [80, 60, 2])[:, None]
    assert InputScaling(bends=True).fit(few).bent_ is None  # skew, but of three values
    mostly_zero = np.r_[np.zeros(100), np.arange(1.0, 21.0) ** 3][:, None]
    assert InputScaling(bends=True).fit(mostly_zero).bent_[2] > 0
    assert InputScaling(bends=True, standardise=False).fit(X).bent_.shape == (3, 2)


def test_estimators_bend_where_that_is_clearly_better():
    X, y = long_tails()
    model = NewtonRegressor("kernel", random_state=0).fit(X[:120], y[:120])
    straight = NewtonRegressor("kernel", random_state=0, bends=False).fit(X[:120], y[:120])
    assert model.scaling_.bends
    assert not straight.scaling_.bends
    assert model.score(X[120:], y[120:]) > straight.score(X[120:], y[120:]) + 0.05
    table = model.selection_
    (row,) = [row for row, bends in enumerate(table["bends"]) if bends and table["leave_one_out_error"][row]]
    assert table["outcome"][row] == "bends long tails: clearly better, by leave-one-out errors"
    assert table["leave_one_out_error"][row] < 0.7 * min(e for e in table["leave_one_out_error"][:row] if e)
    assert "bends" not in straight.selection_
    # here the target varies with the columns as they are
    linear = NewtonRegressor("kernel", random_state=0).fit(X[:120], 0.1 * X[:120, 0] + X[:120, 1])
    assert not linear.scaling_.bends
    outcome = "bends long tails: not clearly better, by leave-one-out errors"
    assert linear.selection_["outcome"].count(outcome) == 1


@pytest.mark.parametrize("make", [NewtonRegressor, NewtonClassifier])
def test_files_of_bent_columns(make, tmp_path):
    X, y = long_tails()
    y = y if make is NewtonRegressor else (y > 0).astype(int)
    model = make("kernel", bends=True, evenness=1.0, feature_learning=1).fit(X, y)
    model.save(tmp_path / "m.npz")
    again = make.load(tmp_path / "m.npz")
    gaps = X.copy()
    gaps[::5, 0] = np.nan
    assert np.array_equal(again.predict(gaps), model.predict(gaps))
    middle = np.where(np.isnan(gaps), model.scaling_.middle_, gaps)
    assert np.array_equal(model.predict(gaps), model.predict(middle))
    assert np.quantile(X[:, 0], 0.2) < model.scaling_.middle_[0] < np.quantile(X[:, 0], 0.8)
    model.partial_fit(X[:9], y[:9])


def test_networks_are_given_bent_columns():
    X, y = long_tails()
    options = {"width": 512, "max_iter": 5, "alpha": 0.1, "random_state": 0}
    for evenness in (1.0, "auto"):
        model = NewtonRegressor("network", evenness=evenness, **options).fit(X[:120], y[:120])
        assert model.scaling_.bends
        assert model.score(X[120:], y[120:]) > 0.7


def test_other_bends_are_refused():
    with pytest.raises(ValueError, match="bends must be 'auto', True or False, got 'both'"):
        NewtonRegressor(bends="both").fit(np.eye(3), np.arange(3.0))
