"""Evaluation sets of estimators, also through pipelines; what estimators are called in errors and by `repr`."""

import numpy as np
import pytest
import sklearn
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sltrees.estimators import NewtonClassifier, NewtonRegressor

NETWORK = {"model": "network", "width": 512, "random_state": 0, "alpha": 0.1, "max_iter": 10}


def wave(n=60, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, (n, 3))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(n)


def test_evaluation_set_stops_training_and_the_best_is_restored():
    rng = np.random.default_rng(0)
    X, y = wave(80)
    y = y + rng.standard_normal(80)
    options = {**NETWORK, "alpha": 1e-6, "target_scale": 16.0, "max_iter": 30}
    model = NewtonRegressor(**options, patience=3).fit(X[:50], y[:50], eval_set=(X[50:], y[50:]))
    (history,) = model.history_
    curve = [record.validation_rmse for record in history]
    result = model.fitted_model_.results_[0]
    assert result.status == "early_stopped"
    assert result.validation_rmse == min(curve)
    error = np.sqrt(np.mean((model.predict(X[50:]) - y[50:]) ** 2))
    assert error == pytest.approx(result.validation_rmse / 16.0 * model.spread_[0], rel=1e-6)


@pytest.mark.parametrize("make", [NewtonRegressor, NewtonClassifier])
def test_a_pipeline_transforms_the_evaluation_set(make):
    X, y = wave(80)
    y = y if make is NewtonRegressor else np.where(y > 0, "above", "below")
    options = {**NETWORK, "patience": 2, "max_iter": 5}
    scaler = StandardScaler().fit(X[:50])
    by_hand = make(**options).fit(scaler.transform(X[:50]), y[:50], eval_set=(scaler.transform(X[50:]), y[50:]))
    with sklearn.config_context(enable_metadata_routing=True):
        model = make(**options).set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
        pipeline.fit(X[:50], y[:50], X_val=X[50:], y_val=y[50:])
    curves = [[record.validation_rmse for record in each.history_[0]] for each in (pipeline[-1], by_hand)]
    assert curves[0] == curves[1]
    assert None not in curves[0]


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_gaps_of_an_evaluation_set_are_filled_as_those_to_predict_for(loss):
    X, y = wave(60)
    gaps = X[40:].copy()
    gaps[::3, 0] = np.nan
    filled = np.where(np.isnan(gaps), X[:40].mean(axis=0), gaps)
    options = {**NETWORK, "width": 256, "max_iter": 3, "loss": loss}
    curves = []
    for seen in (gaps, filled):
        model = NewtonRegressor(**options).fit(X[:40], y[:40], X_val=seen, y_val=y[40:])
        curves.append([record.validation_rmse for record in model.history_[0]])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-6)
    np.testing.assert_allclose(model.predict(gaps), model.predict(filled), rtol=1e-6)


def test_an_evaluation_set_is_given_once_and_whole():
    X, y = wave(20)
    for given, said in (
        ({"X_val": X}, "X_val and y_val must be given together, got no y_val"),
        ({"y_val": y}, "X_val and y_val must be given together, got no X_val"),
        ({"X_val": X, "y_val": y, "eval_set": (X, y)}, "eval_set must be None where X_val and y_val are given"),
    ):
        with pytest.raises(ValueError, match=said):
            NewtonRegressor(**NETWORK).fit(X, y, **given)


def test_reprs_are_short_and_errors_name_the_class():
    X, y = wave(30)
    model = NewtonRegressor(**NETWORK).fit(X, y)
    for thing in (model, model.fitted_model_, model.scaling_, NewtonRegressor("kernel").fit(X, y).fitted_model_):
        assert repr(thing).startswith(f"{type(thing).__name__}(")
        assert len(repr(thing)) < 120
    for make in (NewtonRegressor, NewtonClassifier):
        with pytest.raises(TypeError, match=rf"{make.__name__}.__init__\(\) got an unexpected .* 'alfa'"):
            make(alfa=1)
        with pytest.raises(ValueError, match=rf"Invalid parameter 'alfa' for estimator {make.__name__}\(\)"):
            make().set_params(alfa=1)
