"""Networks of estimators under losses, and the loss of a classifier that is chosen by folds."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from sltrees.callbacks import Callback
from sltrees.estimators import NewtonClassifier, NewtonRegressor, loss_choice
from sltrees.losses import HalfGammaLoss, HalfPoissonLoss, HuberLoss, LogisticLoss, check_loss
from sltrees.losses.choose import as_loss, described_loss, description_of
from sltrees.losses.scaled import ScaledLoss

RNG = np.random.default_rng(0)
X, X_NEW = RNG.standard_normal((120, 4)), RNG.standard_normal((300, 4))
F, F_NEW = (x[:, 0] * x[:, 1] + x[:, 2] for x in (X, X_NEW))
COUNTS, COUNTS_NEW = RNG.poisson(np.exp(F)).astype(float), RNG.poisson(np.exp(F_NEW)).astype(float)
SCORES, SCORES_NEW = F + 0.5 * RNG.standard_normal(120), F_NEW + 0.5 * RNG.standard_normal(300)

CASES = {
    "huber": (F + 50.0 * (RNG.random(120) < 0.1), F_NEW, 0.6),
    "quantile": (F, F_NEW, 0.6),
    "poisson": (COUNTS, COUNTS_NEW, 0.4),
    "gamma": (np.exp(F) * RNG.gamma(4.0, 0.25, 120), np.exp(F_NEW), 0.6),
}


def regressor(loss, **options):
    return NewtonRegressor("network", **{"loss": loss, "width": 512, "random_state": 0, "max_iter": 20} | options)


def classifier(**options):
    options = {"loss": "log_loss", "width": 512, "random_state": 0, "max_iter": 20} | options
    return NewtonClassifier(options.pop("model", "network"), **options)


@pytest.mark.parametrize("loss", CASES)
def test_networks_learn_under_each_loss_are_saved_and_learn_on(loss, tmp_path):
    y, y_new, least = CASES[loss]
    model = regressor(loss, n_jobs=1).fit(X, y)
    predicted = model.predict(X_NEW)
    assert model.score(X_NEW, y_new) > least
    assert (predicted > 0).all() or loss in ("huber", "quantile")
    assert np.array_equal(regressor(loss, n_jobs=2).fit(X, y).predict(X_NEW), predicted)
    assert all(history[-1].mean_loss < history[0].mean_loss for history in model.history_)
    model.save(tmp_path / "model.npz")
    loaded = NewtonRegressor.load(tmp_path / "model.npz")
    assert np.array_equal(loaded.predict(X_NEW), predicted)
    for each in (model, loaded):
        each.partial_fit(X_NEW[:40], y_new[:40])
    assert not np.array_equal(model.predict(X_NEW), predicted)
    # what a file does not hold is rounding
    assert np.allclose(loaded.predict(X_NEW), model.predict(X_NEW), rtol=1e-6, atol=1e-6)


def test_predictions_of_means_are_above_0_however_far_targets_are_apart():
    y = np.where(np.arange(40) == 3, 1e10, 1.0)
    with np.errstate(over="ignore"):  # of the score at samples left out
        model = NewtonRegressor("kernel", loss="gamma", feature_learning=False, random_state=0).fit(X[:40], y)
    assert (model.predict(X_NEW) > 0).all()


def test_one_outlier_leaves_networks_as_they_are():
    y = F.copy()
    y[5] *= 1000.0
    assert regressor("huber").fit(X, y).score(X_NEW, F_NEW) > 0.6
    assert regressor("squared").fit(X, y).score(X_NEW, F_NEW) < 0


def test_several_columns_and_weights():
    both = np.stack([COUNTS, COUNTS[::-1]], axis=1)
    weights = np.where(np.arange(120) < 60, 2.0, 1.0)
    model = regressor("poisson", alpha=0.1).fit(X, both, weights)
    assert model.predict(X_NEW).shape == (300, 2)
    first = regressor("poisson", alpha=0.1).fit(X, both[:, 0], weights)
    assert np.allclose(model.predict(X_NEW)[:, 0], first.predict(X_NEW), rtol=1e-6)
    twice = np.repeat(np.arange(120), weights.astype(int))
    repeated = regressor("poisson", alpha=0.1).fit(X[twice], COUNTS[twice])
    assert np.array_equal(repeated.predict(X_NEW), first.predict(X_NEW))


def test_an_eval_set_stops_and_is_of_the_same_loss():
    model = regressor("poisson", patience=2, alpha=1e-3, max_iter=50)
    model.fit(X, COUNTS, eval_set=(X_NEW, COUNTS_NEW))
    (result,) = model.fitted_model_.results_
    assert result.status == "early_stopped"
    means = model.predict(X_NEW) / np.exp(model.centre_)
    expected = np.mean(means - COUNTS_NEW / np.exp(model.centre_) * np.log(means))
    assert result.validation_loss == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("model", ["auto", "network"])
@pytest.mark.parametrize(("loss", "wrong", "rule"), [("poisson", -3.0, "at least 0"), ("gamma", 0.0, "above 0")])
def test_targets_of_an_eval_set_are_refused_before_anything_is_learned(model, loss, wrong, rule, monkeypatch):
    monkeypatch.setattr(NewtonRegressor, "_choose_scaling", None)
    y = np.where(np.arange(40) == 7, wrong, 1.0)
    with pytest.raises(ValueError, match=f"^eval_set: y must be {rule}.* got from {wrong:g}$"):
        NewtonRegressor(model, loss=loss).fit(X, COUNTS + 1.0, eval_set=(X_NEW[:40], y))


def test_an_eval_set_may_have_no_counts_above_0():
    zeros = X_NEW[:40], np.zeros(40)
    assert np.isfinite(regressor("poisson", max_iter=2).fit(X, COUNTS, eval_set=zeros).history_[0][-1].validation_loss)


def test_an_error_of_targets_leaves_the_estimator_as_it_is():
    model = regressor("poisson").fit(X, COUNTS)
    before = model.predict(X)
    with pytest.raises(ValueError, match="y must be at least 0"):
        model.fit(X, -COUNTS)
    with pytest.raises(ValueError, match="y must be at least 0"):
        model.partial_fit(X, -COUNTS)
    assert np.array_equal(model.predict(X), before)


class Cut(Callback):
    def on_iteration(self, trainer, record):
        if record.iteration == 2:
            raise KeyboardInterrupt


def test_what_was_learned_before_ctrl_c_predicts():
    model = regressor("poisson", callbacks=[Cut()])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, COUNTS)
    assert (model.predict(X_NEW) > 0).all()
    assert model.score(X, COUNTS) > 0


# ---------------------------------------------------------------------- classes


@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_of_networks(n_classes, tmp_path):
    edges = [0.0] if n_classes == 2 else [-0.7, 0.7]
    labels, labels_new = (np.array(["a", "b", "c"])[np.digitize(scores, edges)] for scores in (SCORES, SCORES_NEW))
    model = classifier().fit(X, labels)
    probabilities = model.predict_proba(X_NEW)
    shares = np.array([np.mean(labels == label) for label in model.classes_])
    assert np.allclose(probabilities.sum(axis=1), 1.0)
    assert log_loss(labels_new, probabilities) < 0.85 * log_loss(labels_new, np.tile(shares, (300, 1)))
    assert model.sharpness_ == (0.5 if n_classes == 2 else 1.0)  # outputs are logits
    assert model.confusion_.sum() == pytest.approx(40, rel=0.1)  # of a fold of three
    model.save(tmp_path / "model.npz")
    assert np.array_equal(NewtonClassifier.load(tmp_path / "model.npz").predict_proba(X_NEW), probabilities)
    assert len(model.history_) == (1 if n_classes == 2 else 3)
    watched = classifier(patience=2, n_jobs=2).fit(X, labels, eval_set=(X_NEW, labels_new))
    assert min(result.validation_loss for result in watched.fitted_model_.results_) == pytest.approx(
        log_loss(labels_new, watched.predict_proba(X_NEW)), rel=1e-6
    )
    again = model.partial_fit(X_NEW[:100], labels_new[:100]).predict_proba(X_NEW)
    assert log_loss(labels_new[100:], again[100:]) < log_loss(labels_new[100:], probabilities[100:])


@pytest.mark.parametrize("better", ["squared", "log_loss"])
def test_the_loss_is_that_of_the_better_probabilities(better, monkeypatch, tmp_path):
    asked = []

    def errors(estimator, loss, X, *others):
        asked.append(loss)
        return np.full(len(X), float(loss != better))

    monkeypatch.setattr(loss_choice, "_errors", errors)
    labels = SCORES > 0
    model = classifier(model="kernel", loss="auto", feature_learning=False).fit(X, labels)
    assert asked == ["squared", "log_loss"]
    assert model.loss_ == better
    expected = classifier(model="kernel", loss=better, feature_learning=False).fit(X, labels)
    assert np.array_equal(model.predict_proba(X_NEW), expected.predict_proba(X_NEW))
    model.save(tmp_path / "model.npz")
    loaded = NewtonClassifier.load(tmp_path / "model.npz")
    assert loaded.loss == loaded.loss_ == better
    model.partial_fit(X_NEW, SCORES_NEW > 0)
    assert model.loss_ == better


@pytest.mark.parametrize(("gain", "loss"), [(0.95, "squared"), (1.05, "log_loss")])
def test_the_loss_is_taken_that_is_better_by_a_standard_error(gain, loss, monkeypatch):
    weights = np.where(np.arange(120) < 60, 1.0, 3.0)
    noise = np.where(np.arange(120) % 2, 1.0, -1.0)
    standard_error = np.sqrt(np.sum(weights**2)) / weights.sum()

    def errors(estimator, loss, X, y, labels, weights, *others):
        rows = np.argsort(np.argsort(weights, kind="stable"), kind="stable")
        return (gain * standard_error + noise[rows]) * (loss == "squared") + 1.0

    monkeypatch.setattr(loss_choice, "_errors", errors)
    model = classifier(model="kernel", loss="auto", feature_learning=False, alpha=0.1)
    assert model.fit(X, SCORES > 0, sample_weight=weights).loss_ == loss


def test_the_choice_of_the_loss_is_by_samples_left_out():
    labels = (SCORES > 0).astype(int)
    options = {"model": "kernel", "loss": "auto", "class_weight": "balanced", "feature_learning": False, "alpha": 0.1}
    model = classifier(**options).fit(X[:60], labels[:60])
    assert model.loss_ in ("squared", "log_loss")
    assert model.score(X_NEW, SCORES_NEW > 0) > 0.6
    few = classifier(model="kernel", loss="auto").fit(X[:12], labels[:12])
    one = classifier(model="kernel", loss="auto").fit(X, np.zeros(120))
    assert few.loss_ == one.loss_ == "squared"


# ---------------------------------------------------------------------- losses in larger units


@pytest.mark.parametrize("loss", [HalfPoissonLoss(), HalfGammaLoss(), LogisticLoss(), HuberLoss(0.5)])
def test_scaled_losses_are_those_of_larger_outputs(loss):
    y = np.array([[1.0], [0.5], [0.1]])
    scaled = ScaledLoss(loss, 8.0)
    check_loss(scaled, y)
    f = np.array([[3.0], [-2.0], [0.4]])
    assert np.allclose(scaled.value(y, f), 64.0 * loss.value(y, f / 8.0))
    assert np.array_equal(scaled.predictions(f), loss.predictions(f / 8.0))
    assert scaled.reach == 8.0 * loss.reach
    again = as_loss(described_loss(description_of(scaled)))
    assert np.array_equal(again.gradient(y, f), scaled.gradient(y, f))
