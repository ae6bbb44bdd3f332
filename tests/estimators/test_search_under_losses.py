"""Networks among which an estimator chooses under a loss: what is compared with what, and what comes of it."""

import numpy as np
import pytest
from sklearn.metrics import mean_poisson_deviance

from sltrees.callbacks import Callback
from sltrees.estimators import NewtonClassifier, NewtonRegressor, base, under_loss
from sltrees.estimators.comparison_under_loss import ComparingUnderLoss, UnderLoss, lift_of
from sltrees.estimators.kernel_solvers.reweighted import AllSamples, minimise
from sltrees.estimators.model_comparison import Candidate
from sltrees.estimators.model_search import Search
from sltrees.execution.threads import ThreadExecutor
from sltrees.kernels.unit_rows import UnitRowsKernel
from sltrees.losses import HalfMultinomialLoss, HalfPoissonLoss, SmoothPinballLoss

RNG = np.random.default_rng(0)
X, X_NEW = RNG.standard_normal((150, 5)), RNG.standard_normal((1000, 5))
# two directions of which the kernel knows nothing
F, F_NEW = (1.5 * np.abs(x[:, 0] - x[:, 1]) - np.abs(x[:, 0] + x[:, 1]) for x in (X, X_NEW))
COUNTS, COUNTS_NEW = RNG.poisson(np.exp(F)).astype(float), RNG.poisson(np.exp(F_NEW)).astype(float)
N, FOLDS = 60, np.arange(60) % 3
OPTIONS = {"random_state": 0, "feature_learning": False, "evenness": 1.0, "bends": False}


def comparison_of(loss, Y, executor, scale=None):
    rows = X[:N] / np.linalg.norm(X[:N], axis=1, keepdims=True)
    weights = np.where(np.arange(N) < N // 2, 1.0, 2.0)
    under = UnderLoss(loss, 30.0, Y - Y.mean(axis=0))
    comparing = ComparingUnderLoss(1.0, 0, executor, scale, 0.5, under=under)
    return comparing.comparison((rows, Y, weights, under.shaped), FOLDS), rows, weights


@pytest.mark.parametrize("couples", [False, True])
def test_models_are_measured_by_the_loss_where_they_did_not_learn(couples):
    """All by definition: the kernel and networks learn without a fold, and errors are losses there."""
    loss = HalfMultinomialLoss() if couples else HalfPoissonLoss()
    Y = np.eye(3)[np.digitize(F[:N], [-0.5, 0.5])] if couples else np.stack([COUNTS[:N], COUNTS[-N:]], axis=1)
    candidate = Candidate(4.0, 0.5, width=128)
    with ThreadExecutor(1) as executor:
        comparison, rows, weights = comparison_of(loss, Y, executor)
        assert comparison.measure_kernel() == 0.5
        comparison.measure([candidate], 1)
        comparison.measure([candidate], 3)
        expected = np.empty(Y.shape)
        for fold in range(3):
            seen = FOLDS != fold
            functions = AllSamples(UnitRowsKernel(1.0), rows[seen], executor)
            found, _ = minimise(functions, loss, Y[seen], weights[seen], 30.0)
            expected[~seen] = functions.outputs(rows[~seen], found)
    assert np.array_equal(comparison.outputs[None], expected)
    of_kernel = loss.value(Y, expected).sum(axis=1)
    assert comparison.tried[None]["error"] == pytest.approx(np.average(of_kernel, weights=weights))
    row, outputs = comparison.tried[candidate], comparison.outputs[candidate]
    of_network = loss.value(Y, outputs).sum(axis=1)
    assert row["difference"] == pytest.approx(np.average(of_network - of_kernel, weights=weights))
    seen = FOLDS != 1
    model = candidate.build(0, loss=loss, offsets=loss.constant(Y[seen], weights[seen]), n_threads=1)
    assert np.allclose(model.fit(rows[seen], Y[seen], weights[seen]).predict(rows[~seen]), outputs[~seen], atol=1e-6)


def test_others_like_a_candidate_are_tried_only_if_it_is_better_as_it_is():
    with ThreadExecutor(1) as executor:
        comparison, *_ = comparison_of(HalfPoissonLoss(), COUNTS[:N, None], executor)
        for difference, promises in ((-1.1, True), (-0.9, False), (0.5, False), (np.nan, False)):
            comparison.tried[None] = {"difference": difference, "standard_error": 1.0, "folds": 3}
            assert comparison.promises(None) is promises
            assert comparison.outcome(comparison.tried[None]) == "no better"
        assert comparison.outcome(comparison.tried[None] | {"difference": -2.1}) == "better"


def test_differences_by_rounding_decide_nothing():
    Y = F[:N, None]
    with ThreadExecutor(1) as executor:
        comparison, *_ = comparison_of(SmoothPinballLoss(0.5), Y, executor)
    comparison.take_kernel(np.zeros((N, 1)), 0.5)
    for outputs, outcome in ((1e-14 * Y, "no better"), (-1e-14 * Y, "no better"), (0.5 * Y, "better"), (-Y, "worse")):
        row = comparison.compared(outputs, 3)
        assert abs(row["difference"]) > 2.0 * row["standard_error"]
        assert comparison.outcome(row) == outcome


def test_quantiles_are_compared_as_they_are_shifted():
    Y, outputs = F[:N, None], X[:N, :1]
    with ThreadExecutor(1) as executor:
        comparison, _, weights = comparison_of(SmoothPinballLoss(0.8), Y, executor)
    comparison.take_kernel(outputs, 0.5)
    assert comparison.compared(outputs - 7.0, 3)["difference"] == pytest.approx(0.0, abs=1e-12)
    shifted = outputs + lift_of(comparison.loss, Y, outputs, weights)
    expected = np.average(comparison.loss.value(Y, shifted)[:, 0], weights=weights)
    assert comparison.tried[None]["error"] == pytest.approx(expected)
    assert np.average(Y <= shifted + 1e-9, axis=0, weights=weights) == pytest.approx(0.8, abs=0.03)


@pytest.mark.filterwarnings("error")
def test_folds_without_counts_have_the_constant_of_both_models():
    y = np.stack([np.zeros(N), COUNTS[:N]], axis=1)
    y[3, 0] = 5.0
    candidate, alone = Candidate(4.0, 0.5, width=128), FOLDS == FOLDS[3]
    with ThreadExecutor(1) as executor:
        comparison, *_ = comparison_of(HalfPoissonLoss(), y, executor)
        comparison.measure_kernel()
        comparison.measure([candidate], 3)
    for outputs in (comparison.outputs[None], comparison.outputs[candidate]):
        assert np.isfinite(outputs).all()
        assert np.ptp(outputs[alone, 0]) == 0.0
        assert np.ptp(outputs[~alone, 0]) > 0.0
    assert np.array_equal(comparison.outputs[None][alone, 0], comparison.outputs[candidate][alone, 0])
    model = NewtonRegressor(loss="poisson", **OPTIONS).fit(X[:N], y[:, 0])
    assert model.model_ == "kernel"
    assert (model.predict(X) > 0).all()
    assert np.isfinite(model.selection_["error"][0])


def test_scales_are_learned_without_a_fold_from_targets_that_suit_them():
    asked = []

    def scale(X, Y, weights):
        asked.append((len(X), Y.mean()))
        return lambda X: X

    Y = COUNTS[:N, None]
    with ThreadExecutor(1) as executor:
        comparison_of(HalfPoissonLoss(), Y, executor, scale)[0].measure_kernel()
    shaped = Y - Y.mean()
    assert asked == [(40, shaped[FOLDS != fold].mean()) for fold in range(3)]


def test_networks_are_taken_where_counts_follow_directions_of_their_own(tmp_path):
    kernel = NewtonRegressor("kernel", loss="poisson", **OPTIONS).fit(X, COUNTS)
    model = NewtonRegressor(loss="poisson", n_jobs=1, **OPTIONS).fit(X, COUNTS)
    watched = NewtonRegressor(loss="poisson", n_jobs=2, patience=30, **OPTIONS)
    watched.fit(X, COUNTS, eval_set=(X_NEW[:100], COUNTS_NEW[:100]))
    assert (kernel.model_, model.model_) == ("kernel", "network")
    table = model.selection_
    chosen = table["outcome"].index("chosen")
    assert table["model"][chosen] == "network"
    assert table["difference"][chosen] < -2.0 * table["standard_error"][chosen]
    predicted = model.predict(X_NEW)
    shuffled = NewtonRegressor(loss="poisson", **OPTIONS).fit(X[::-1], COUNTS[::-1])
    assert np.allclose(shuffled.predict(X_NEW), predicted, rtol=1e-4)
    assert mean_poisson_deviance(COUNTS_NEW, predicted) < 0.9 * mean_poisson_deviance(COUNTS_NEW, kernel.predict(X_NEW))
    (result,) = watched.fitted_model_.results_
    assert result.validation_loss < result.history[0].validation_loss  # networks look at it, and none of the choice
    assert watched.selection_["error"] == table["error"]
    # at samples left out, of all folds
    assert len(model.residuals_) == 150
    assert abs(model.validation_score_ - model.score(X_NEW, COUNTS_NEW)) < 0.15
    model.save(tmp_path / "model.npz")
    assert np.array_equal(NewtonRegressor.load(tmp_path / "model.npz").predict(X_NEW), predicted)


@pytest.mark.parametrize("loss", ["huber", "quantile", "log_loss"])
def test_noise_is_left_to_the_kernel(loss):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((90, 5)), rng.standard_normal(90)
    cls, y = (NewtonClassifier, y > 0) if loss == "log_loss" else (NewtonRegressor, y)
    model, kernel = cls(loss=loss, **OPTIONS).fit(X, y), cls("kernel", loss=loss, **OPTIONS).fit(X, y)
    assert model.model_ == "kernel"
    assert len(model.selection_["model"]) > 2
    assert np.array_equal(model.predict(X), kernel.predict(X))


def test_quantiles_of_networks_that_were_chosen_are_those_of_samples_left_out(tmp_path):
    y, y_new = F[:140] + 0.3 * RNG.standard_normal(140), F_NEW + 0.3 * RNG.standard_normal(1000)
    model = NewtonRegressor(loss="quantile", quantile=0.8, **OPTIONS).fit(X[:140], y)
    assert model.model_ == "network"
    assert np.mean(model.residuals_ <= 0) == pytest.approx(0.8, abs=0.02)
    assert abs(np.mean(model.predict(X_NEW) >= y_new) - 0.8) < 0.1
    model.save(tmp_path / "model.npz")
    loaded = NewtonRegressor.load(tmp_path / "model.npz")
    assert np.array_equal(loaded.predict(X_NEW), model.predict(X_NEW))
    further = X_NEW[:20], y_new[:20]
    assert np.allclose(loaded.partial_fit(*further).predict(X_NEW), model.partial_fit(*further).predict(X_NEW))


def test_where_nothing_is_compared_it_is_said(monkeypatch):
    monkeypatch.setattr(under_loss, "NETWORK_SAMPLES", 50)
    model = NewtonRegressor(loss="huber", **OPTIONS).fit(X[:60], F[:60])
    assert model.selection_["outcome"] == ["chosen: networks are not tried for more than 4,000 samples"]

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(under_loss, "NETWORK_SAMPLES", 60)
    monkeypatch.setattr(under_loss, "search_models", interrupt)
    model = NewtonRegressor(loss="huber", **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:60], F[:60])
    assert model.selection_["outcome"] == ["chosen: interrupted before networks were compared and trained"]
    assert model.score(X, F) > 0


class Cut(Callback):
    def on_iteration(self, trainer, record):
        raise KeyboardInterrupt


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_ctrl_c_while_the_chosen_network_is_trained_leaves_the_kernel(loss, monkeypatch):
    asked = []

    def chosen(X, Y, *others, **options):
        asked.append(
            Search(Candidate(4.0, 0.1, width=128), {"model": ["network"], "outcome": ["chosen"]}, np.zeros(Y.shape))
        )
        return asked[-1]

    monkeypatch.setattr(under_loss if loss != "squared" else base, "search_models", chosen)
    model = NewtonRegressor(loss=loss, callbacks=[Cut()], **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:N], F[:N])
    kernel = NewtonRegressor("kernel", loss=loss, **OPTIONS).fit(X[:N], F[:N])
    assert np.array_equal(model.predict(X), kernel.predict(X))
    assert (model.model_, model.validation_score_) == ("kernel", kernel.validation_score_)
    assert np.array_equal(model.residuals_, kernel.residuals_)
    assert model.selection_["outcome"] == ["chosen: interrupted before networks were compared and trained"]
    trained = model.set_params(callbacks=()).fit(X[:N], F[:N])
    assert (trained.model_, len(asked)) == ("network", 2)
    assert trained.selection_["outcome"][0] == "chosen"
