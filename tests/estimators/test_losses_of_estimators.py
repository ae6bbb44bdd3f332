"""Estimators under losses: what they are for, what they refuse, files, further samples, threads."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_friedman1
from sklearn.metrics import log_loss

import sltrees.estimators.under_loss
from sltrees.estimators import NewtonClassifier, NewtonRegressor

X, Y = make_friedman1(260, n_features=5, noise=0.5, random_state=0)
X_NEW, Y_NEW = make_friedman1(500, n_features=5, noise=0.5, random_state=1)
MEANS, MEANS_NEW = np.exp((Y - 14.0) / 5.0), np.exp((Y_NEW - 14.0) / 5.0)


def regressor(loss, **options):
    return NewtonRegressor("kernel", loss=loss, random_state=0, feature_learning=False, **options)


def test_one_outlier_ruins_squares_and_not_huber():
    y = Y.copy()
    y[3] *= 1e3
    assert regressor("squared").fit(X, y).score(X_NEW, Y_NEW) < 0
    model = regressor("huber").fit(X, y)
    clean = regressor("squared").fit(X, Y)
    assert model.score(X_NEW, Y_NEW) > clean.score(X_NEW, Y_NEW) - 0.02
    assert model.validation_score_ < 1


def test_counts_and_amounts_are_predicted_above_0():
    rng = np.random.default_rng(0)
    for loss, y, y_new in (
        ("poisson", rng.poisson(3 * MEANS), rng.poisson(3 * MEANS_NEW)),
        ("gamma", rng.gamma(4, MEANS), rng.gamma(4, MEANS_NEW)),
    ):
        model = regressor(loss).fit(X, y)
        assert (model.predict(X_NEW) > 0).all()
        assert model.score(X_NEW, y_new) > 0.5
        assert abs(model.validation_score_ - model.score(X_NEW, y_new)) < 0.12
        lower, upper = model.predict_interval(X_NEW).T
        assert 0.8 < np.mean((lower <= y_new) & (y_new <= upper)) < 0.97


@pytest.mark.parametrize("quantile", [0.2, 0.9])
def test_quantiles_are_above_their_share(quantile):
    model = regressor("quantile", quantile=quantile).fit(X, Y)
    assert abs(np.mean(model.predict(X_NEW) >= Y_NEW) - quantile) < 0.12
    assert model.score(X_NEW, Y_NEW) > 0.5


def test_probabilities_of_the_logarithmic_loss():
    X, y = load_iris(return_X_y=True)
    for labels in (y, y > 0, np.array(["a", "b", "c"])[y]):
        model = NewtonClassifier("kernel", loss="log_loss", random_state=0).fit(X[::2], labels[::2])
        p = model.predict_proba(X[1::2])
        assert np.allclose(p.sum(axis=1), 1.0)
        assert log_loss(labels[1::2], p, labels=model.classes_) < 0.3
        assert model.score(X[1::2], labels[1::2]) > 0.9
        assert np.allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))
    alone = NewtonClassifier("kernel", loss="log_loss").fit(X, np.zeros(len(X)))
    assert (alone.predict_proba(X) == 1.0).all()


def test_scores_at_samples_left_out_have_not_seen_them():
    """Also where scales were learned from all of them: of noise nothing is explained."""
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((150, 6))
    for loss, y in (("huber", rng.standard_t(2, 150)), ("poisson", rng.poisson(2.0, 150))):
        assert NewtonRegressor("kernel", loss=loss, random_state=0).fit(noise, y).validation_score_ < 0.05


def test_weights_threads_files_and_copies():
    rng = np.random.default_rng(0)
    y, weights = rng.poisson(3 * MEANS), rng.integers(0, 3, len(X))
    model = regressor("poisson").fit(X, y, weights)
    expected = model.predict(X_NEW)
    assert np.array_equal(regressor("poisson", n_jobs=1).fit(X, y, weights).predict(X_NEW), expected)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(X_NEW), expected)
    seen = weights > 0
    assert np.allclose(regressor("poisson").fit(X[seen], y[seen], weights[seen]).predict(X_NEW), expected)


@pytest.mark.parametrize("loss", ["huber", "quantile", "poisson"])
def test_a_weight_of_two_is_the_row_twice(loss):
    """Also for folds, and for the median of errors that is the scale of Huber's loss."""
    rng = np.random.default_rng(0)
    y, weights = rng.poisson(3 * MEANS[:150]) + 0.0, rng.integers(1, 3, 150)
    y[:9] *= 30.0
    twice = np.repeat(np.arange(150), weights)
    weighted, repeated = regressor(loss).fit(X[:150], y, weights), regressor(loss).fit(X[:150][twice], y[twice])
    assert np.array_equal(weighted.predict(X_NEW), repeated.predict(X_NEW))
    assert weighted.validation_score_ == pytest.approx(repeated.validation_score_, rel=1e-12)
    weighted.partial_fit(X[150:200], MEANS[150:200], np.full(50, 2.0))
    repeated.partial_fit(np.tile(X[150:200], (2, 1)), np.tile(MEANS[150:200], 2))
    assert np.array_equal(weighted.predict(X_NEW), repeated.predict(X_NEW))


def test_a_file_says_the_loss(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.poisson(3 * MEANS)
    for model in (regressor("poisson").fit(X, y), regressor("quantile", quantile=0.7).fit(X, Y)):
        model.save(tmp_path / "model.npz")
        loaded = NewtonRegressor.load(tmp_path / "model.npz")
        assert loaded.loss == model.loss
        assert np.array_equal(loaded.predict(X_NEW), model.predict(X_NEW))
        assert np.array_equal(
            loaded.partial_fit(X_NEW, y_of(loaded)).predict(X), model.partial_fit(X_NEW, y_of(model)).predict(X)
        )


def y_of(model):
    return np.round(MEANS_NEW) if model.loss == "poisson" else Y_NEW


@pytest.mark.parametrize("loss", ["huber", "quantile", "poisson", "gamma"])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_samples_and_constant_targets(loss, n):
    model = NewtonRegressor(loss=loss, random_state=0).fit(X[:n], np.full(n, 3.0))
    assert np.allclose(model.predict(X), 3.0)
    assert np.isfinite(regressor(loss).fit(X[:n], 1.0 + np.arange(n)).predict(X)).all()


def test_further_samples_are_learned_from():
    model = regressor("huber").fit(X, Y)
    before = model.score(X_NEW[250:], Y_NEW[250:])
    assert model.partial_fit(X_NEW[:250], Y_NEW[:250]).score(X_NEW[250:], Y_NEW[250:]) > before


def test_many_samples_have_centres(monkeypatch):
    monkeypatch.setattr(sltrees.estimators.under_loss, "CHOLESKY_SAMPLES", 200)
    monkeypatch.setattr(sltrees.estimators.under_loss, "BLOCK", 60)
    rng = np.random.default_rng(0)
    model = regressor("poisson").fit(X, rng.poisson(3 * MEANS))
    assert len(model.fitted_model_.X_) == 60
    assert model.score(X_NEW, rng.poisson(3 * MEANS_NEW)) > 0.4
    with pytest.raises(ValueError, match="partial_fit must have loss='squared' beyond 200 samples, got 'poisson'"):
        model.partial_fit(X_NEW, np.ones(len(X_NEW)))


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({"loss": "log_loss"}, Y, "loss must be one of"),
        ({"loss": "quantile", "quantile": 1.0}, Y, "quantile must be above 0 and below 1, got 1"),
        ({"loss": "poisson"}, -MEANS, "y must be at least 0.*got from -"),
        ({"loss": "gamma"}, MEANS * (np.arange(len(X)) > 0), "y must be above 0.*got from 0"),
    ],
)
def test_what_is_refused(options, y, message):
    model = regressor("huber").fit(X, Y)
    before = model.predict(X)
    with pytest.raises(ValueError, match=message):
        model.set_params(**options).fit(X, y)
    model.set_params(loss="huber", quantile=0.5, model="kernel")
    assert np.array_equal(model.predict(X), before)


def test_what_only_squared_errors_have_is_refused():
    with pytest.raises(ValueError, match="eval_set must be None for the loss 'huber'"):
        regressor("huber").fit(X, Y, eval_set=(X_NEW, Y_NEW))


def test_what_outputs_mean_is_said_by_the_fit():
    model = regressor("squared").fit(X, Y)
    expected = model.predict(X_NEW)
    model.set_params(loss="poisson")
    assert np.array_equal(model.predict(X_NEW), expected)
    with pytest.raises(ValueError, match="loss must be 'squared' as in fit, got 'poisson'"):
        model.partial_fit(X_NEW, Y_NEW)


@pytest.mark.parametrize("unit", [1e-12, 1e6, 1e300])
def test_the_unit_of_counts_changes_nothing(unit):
    counts = np.random.default_rng(0).poisson(3 * MEANS).astype(float)
    model, other = regressor("poisson").fit(X, counts), regressor("poisson").fit(X, unit * counts)
    assert np.allclose(other.predict(X_NEW) / unit, model.predict(X_NEW), rtol=1e-5)
    assert np.isclose(other.validation_score_, model.validation_score_)


def test_several_columns_of_counts():
    counts = np.random.default_rng(0).poisson(3 * np.column_stack([MEANS, 100 * MEANS]))
    model = regressor("poisson").fit(X, counts)
    assert model.score(X, counts) > 0.5
    assert np.array_equal(model.partial_fit(X[:1], np.zeros((1, 2))).predict(X).shape, (len(X), 2))


def test_further_samples_keep_quantiles_and_the_scale_of_errors():
    model = regressor("quantile", quantile=0.9, alpha=1e-4).fit(X, Y)
    before = np.mean(model.predict(X_NEW) >= Y_NEW)
    model.partial_fit(X[:1], Y[:1], [1e-9])
    assert abs(np.mean(model.predict(X_NEW) >= Y_NEW) - before) < 0.1


def test_errors_of_classes_have_not_seen_them():
    """Of pure noise no more is claimed than there is."""
    rng = np.random.default_rng(0)
    noise, labels = rng.standard_normal((120, 4)), rng.integers(0, 4, 120)
    model = NewtonClassifier("kernel", loss="log_loss", alpha=1e-2, feature_learning=False, random_state=0)
    model.fit(noise, labels)
    new, labels_new = rng.standard_normal((2000, 4)), rng.integers(0, 4, 2000)
    assert model.selection_["error"][0] > 0.85 * log_loss(labels_new, model.predict_proba(new))


def test_repeated_rows_count_each():
    rows = np.repeat(np.arange(5.0)[:, None], 60, axis=0)
    y = rows[:, 0] + np.random.default_rng(0).standard_normal(300)
    assert np.isfinite(regressor("huber").fit(rows, y).predict_interval(rows[:1])).all()
    classes = NewtonClassifier("kernel", loss="log_loss", feature_learning=False).fit(rows, y > 2)
    assert classes.confusion_.sum() == pytest.approx(300)


@pytest.mark.parametrize("loss", ["log_loss", "huber", "poisson"])
def test_rows_that_come_again_with_other_targets_are_left_out_as_observations(loss):
    """Without all copies of a row and its target, errors are those of a function that has seen the others alone."""
    rng = np.random.default_rng(0)
    codes = rng.integers(10, size=300)
    if loss == "log_loss":
        make, y = NewtonClassifier, rng.random(300) < np.where(codes % 2, 0.8, 0.2)
    else:
        make, y = NewtonRegressor, rng.poisson(rng.permutation(10)[codes] / 2.0)
    options = {"model": "kernel", "feature_learning": False, "random_state": 0}
    found, squared = (make(**options, loss=name).fit(codes[:, None], y) for name in (loss, "squared"))
    assert squared.validation_score_ > 0.4
    assert found.validation_score_ == pytest.approx(squared.validation_score_, abs=0.06)
    assert found.fitted_model_.alpha_ < 0.1


def test_several_outputs_of_many_samples_are_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(sltrees.estimators.under_loss, "CHOLESKY_SAMPLES", 200)
    monkeypatch.setattr(sltrees.estimators.under_loss, "BLOCK", 60)
    model = regressor("huber").fit(X, np.column_stack([Y, -Y]))
    model.save(tmp_path / "model.npz")
    assert np.array_equal(NewtonRegressor.load(tmp_path / "model.npz").predict(X), model.predict(X))


def test_estimators_in_older_pickles_have_a_quantile():
    model = regressor("squared").fit(X, Y)
    del model.__dict__["quantile"], model.__dict__["loss"]
    assert pickle.loads(pickle.dumps(model)).get_params()["quantile"] == 0.5


def test_solvers_and_numbers_of_centres_are_those_asked_for(monkeypatch, capsys):
    counts = np.random.default_rng(0).poisson(3 * MEANS)
    assert len(regressor("poisson", solver="nystrom", max_centres=50).fit(X, counts).fitted_model_.X_) == 50
    monkeypatch.setattr(sltrees.estimators.under_loss, "CHOLESKY_SAMPLES", 200)
    for solver in ("cholesky", "exact"):
        model = regressor("poisson", solver=solver, verbose=1).fit(X, counts)
        assert len(model.fitted_model_.X_) == len(X)
    assert "step 1 under the loss: begun" in capsys.readouterr().out


def test_too_little_memory_is_refused_beforehand(monkeypatch):
    model = regressor("huber").fit(X, Y)
    before = model.predict(X)
    monkeypatch.setattr("sltrees._memory.available_memory", lambda: 1000)
    rows = np.random.default_rng(0).standard_normal((600, 5))
    with pytest.raises(MemoryError, match="kernel ridge regression on"):
        model.set_params(evenness=1.0, alpha=0.1).fit(rows, rows[:, 0])
    assert np.array_equal(model.predict(X), before)


@pytest.mark.parametrize("loss", ["huber", "quantile", "poisson"])
def test_the_order_of_samples_changes_nothing(loss):
    y = np.round(MEANS) if loss == "poisson" else Y
    order = np.random.default_rng(0).permutation(120)
    one, other = regressor(loss, n_jobs=1).fit(X[:120], y[:120]), regressor(loss).fit(X[order], y[order])
    assert np.allclose(one.predict(X_NEW), other.predict(X_NEW), rtol=1e-4, atol=1e-4)
    assert np.allclose(one.residuals_[order], other.residuals_, rtol=1e-4, atol=1e-4)
    assert one.fitted_model_.alpha_ == other.fitted_model_.alpha_


@pytest.mark.parametrize("loss", ["gamma", "poisson"])
def test_intervals_are_as_wide_as_errors_are_expected_to_be(loss, tmp_path):
    rng = np.random.default_rng(0)
    means, means_new = 20.0 * MEANS, 20.0 * MEANS_NEW
    if loss == "gamma":
        y, y_new = means * rng.gamma(4.0, 0.25, len(means)), means_new * rng.gamma(4.0, 0.25, len(means_new))
    else:
        y, y_new = rng.poisson(means).astype(float), rng.poisson(means_new).astype(float)
    model = regressor(loss).fit(X, y)
    lower, upper = model.predict_interval(X_NEW, 0.8).T
    held = (lower <= y_new) & (y_new <= upper)
    large = means_new > np.median(means_new)
    assert 0.65 < held[large].mean() < 0.95
    assert 0.65 < held[~large].mean() < 0.95
    assert (upper - lower)[large].mean() > 1.5 * (upper - lower)[~large].mean()
    model.save(tmp_path / "model.npz")
    assert np.array_equal(NewtonRegressor.load(tmp_path / "model.npz").predict_interval(X_NEW, 0.8).T, [lower, upper])
    squared = regressor("squared").fit(X, y)
    assert squared.residual_scales_ is None
    assert np.ptp(np.diff(squared.predict_interval(X_NEW, 0.8), axis=1)) < 1e-9 * np.ptp(y)
