"""Scales of features that are learned: derivatives, rounds, folds that have not seen the targets, and what is said."""

import numpy as np
import pytest
from sklearn.base import clone

from sltrees.estimators import NewtonClassifier, NewtonRegressor
from sltrees.estimators.feature_learning import learn_scales, rescaled, scales_after
from sltrees.estimators.kernel_ridge import KernelRidge
from sltrees.estimators.model_comparison import Comparison
from sltrees.kernels.any_norms import Rows, kernel_tile
from sltrees.kernels.derivatives import slopes, squared_gradients
from sltrees.kernels.unit_rows import UnitRowsKernel
from sltrees.preprocessing import InputScaling


def few_of_many(n=240, d=12, relevant=2, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = np.sin(2 * X[:, 0]) + X[:, :relevant].sum(axis=1) + noise * rng.standard_normal(n)
    return X, y


def learned(X, y, rounds=None, seed=0, n_threads=1, scaling=None):
    Y = ((y - y.mean()) / y.std())[:, None]
    scaling = scaling or InputScaling().fit(X)
    rng = np.random.default_rng(seed)
    options = {"shift": 1.0, "rounds": rounds, "n_folds": 3, "rng": rng, "n_threads": n_threads}
    return learn_scales(scaling, X, Y, np.ones(len(X)), np.zeros(len(X)), **options)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 3.0])
def test_slopes_equal_finite_differences(shift):
    c = np.linspace(-0.999, 0.999, 101)

    def kernel(c):
        left = np.array([[1.0, 0.0]])
        right = np.stack([c, np.sqrt(1.0 - c * c)], axis=1)
        return kernel_tile(Rows.of(left), Rows.of(right), shift)[0]

    step = 1e-6
    assert np.allclose(slopes(c, shift), (kernel(c + step) - kernel(c - step)) / (2 * step), rtol=1e-6, atol=1e-8)
    assert np.isfinite(slopes(np.array([-1.0, 1.0, 1.0 + 1e-16]), shift)).all()


def test_squared_gradients_equal_finite_differences(seed):
    rng = np.random.default_rng(seed)
    U, centres, dual = rng.standard_normal((9, 4)), rng.standard_normal((7, 4)), rng.standard_normal((7, 2))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    kernel = UnitRowsKernel(1.0)

    def outputs(U):
        return kernel.between(U / np.linalg.norm(U, axis=1, keepdims=True), centres) @ dual

    expected = np.zeros(4)
    for k in range(4):
        step = 1e-6 * np.eye(4)[k]
        expected[k] = np.sum(((outputs(U + step) - outputs(U - step)) / 2e-6) ** 2) / 9
    assert np.allclose(squared_gradients(U, centres, dual, 1.0), expected, rtol=1e-5)
    with_zeros = np.concatenate([U, np.zeros((3, 4))])
    assert np.allclose(squared_gradients(with_zeros, centres, dual, 1.0), expected, rtol=1e-5)
    assert np.array_equal(squared_gradients(np.zeros((3, 4)), centres, dual, 1.0), np.zeros(4))


def test_features_that_matter_are_found():
    X, y = few_of_many()
    found = learned(X, y)
    assert found.rounds >= 1
    assert found.importances[:2].sum() > 0.9
    assert np.isclose(found.importances.sum(), 1)
    assert found.errors[found.rounds] < 0.5 * found.errors[0]
    assert np.isclose(found.scales @ found.scales, 12)  # the total spread is kept


def test_of_several_outputs_those_count_of_which_something_is_known():
    X, y = few_of_many(400)
    classes = np.searchsorted(np.quantile(y, np.arange(1, 8) / 8), y)
    Y, rng = (np.eye(8)[classes] - 1 / 8) / np.sqrt(7 / 64), np.random.default_rng(0)
    scaling, options = InputScaling().fit(X), {"shift": 1.0, "n_folds": 3, "n_threads": 1}
    samples = X, Y, np.ones(400), np.zeros(400)
    found = learn_scales(scaling, *samples, rounds=None, rng=np.random.default_rng(0), **options)
    assert found.rounds > 3
    assert found.importances[:2].sum() > 0.7  # 0.5 where one direction counts as much as another
    # what is known of does not depend on how outputs are turned
    Q = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    turned = learn_scales(scaling, X, Y @ Q, *samples[2:], rounds=found.rounds, rng=np.random.default_rng(0), **options)
    assert np.allclose(turned.scales, found.scales, rtol=1e-6)


def test_noise_has_no_features():
    rng = np.random.default_rng(1)
    found = learned(rng.standard_normal((300, 8)), rng.standard_normal(300))
    assert found.rounds == 0
    assert np.array_equal(found.scales, np.ones(8))
    assert np.allclose(found.importances, 1 / 8)


def test_importances_tell_of_columns_where_no_round_is_chosen():
    """Of a function that varies along all columns, and along one of them more: scales are not worth their error."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 4))
    found = learned(X, np.sin(X) @ [1.7, 1.0, 1.0, 1.0] + 1.5 * rng.standard_normal(200))
    assert found.rounds == 0
    assert np.array_equal(found.scales, np.ones(4))
    assert np.isclose(found.importances.sum(), 1)
    assert np.argmax(found.importances) == 0
    assert found.importances[0] > 1.2 * np.sort(found.importances)[-2]


@pytest.mark.parametrize("options", [{"standardise": False}, {"evenness": 0.0}])
def test_noise_has_no_important_column_whatever_the_units(options):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((200, 4)) * [1, 1, 30, 0]
    model = NewtonRegressor("kernel", random_state=0, **options).fit(X, rng.standard_normal(200))
    assert np.allclose(model.feature_importances_, [1 / 3, 1 / 3, 1 / 3, 0])


def test_importances_without_rounds_are_those_of_one():
    X, y = few_of_many()
    found = learned(X, y, rounds=0)
    assert np.array_equal(found.scales, np.ones(12))
    assert found.importances[:2].sum() > 0.5


def test_the_fewest_rounds_within_a_standard_error_are_chosen():
    found = learned(*few_of_many(noise=1.0))
    best = min(found.errors)
    within = [error - best <= se for error, se in zip(found.errors, found.standard_errors, strict=True)]
    assert found.rounds == within.index(True)
    assert found.standard_errors[int(np.argmin(found.errors))] == 0


def test_outputs_left_out_have_seen_no_target_of_their_own():
    """A target that changes changes no output of its own fold, neither by the function nor by the scales."""
    X, y = few_of_many(n=90)
    found = learned(X, y, rounds=3)
    assert found.out_of_fold.outputs.shape == (90, 1)
    Y = ((y - y.mean()) / y.std())[:, None]
    folds = found.out_of_fold.folds
    assert np.array_equal(np.bincount(folds), [30, 30, 30])
    changed = Y.copy()
    changed[folds == 0] += 5.0
    options = {"shift": 1.0, "rounds": 3, "n_folds": 3, "rng": np.random.default_rng(0), "n_threads": 1}
    other = learn_scales(InputScaling().fit(X), X, changed, np.ones(90), np.zeros(90), **options)
    assert np.array_equal(other.out_of_fold.outputs[folds == 0], found.out_of_fold.outputs[folds == 0])
    assert not np.array_equal(other.out_of_fold.outputs[folds == 1], found.out_of_fold.outputs[folds == 1])
    scales = [[scaling.deviation_ for scaling in each.out_of_fold.scalings] for each in (other, found)]
    assert np.array_equal(scales[0][0], scales[1][0])
    assert not np.array_equal(scales[0][1], scales[1][1])


def test_threads_change_nothing():
    X, y = few_of_many()
    one, two = learned(X, y), learned(X, y, n_threads=2)
    assert np.array_equal(one.scales, two.scales)
    assert one.errors == two.errors


@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_a_scaling_with_scales_multiplies_columns(bias):
    X, _ = few_of_many(20, 4)
    scaling = InputScaling(bias).fit(X)
    scales = np.array([1.0, 2.0, 0.5, 1e-6])
    expected = scaling.scaled(X)
    expected[:, :4] *= scales
    assert np.allclose(rescaled(scaling, scales).scaled(X), expected, rtol=1e-12)
    norms = np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(rescaled(scaling, scales).transform(X), expected / norms, rtol=1e-12)


def test_columns_that_are_constant_or_overflow():
    X, y = few_of_many(100, 4)
    X[:, 3] = 7.0
    X[0, 2] = 1e300
    found = learned(X, y, rounds=2)
    assert np.isfinite(found.scales).all()
    assert found.importances[3] == 0
    scaling, scales, _ = scales_after(
        2, InputScaling().fit(X), X, np.zeros((100, 1)), np.ones(100), shift=1.0, n_threads=1
    )
    assert np.array_equal(scales, np.ones(4))  # a constant function tells no columns apart
    assert np.isfinite(scaling.transform(X)).all()


# ---------------------------------------------------------------------- estimators


def test_estimators_use_them_and_say_so(tmp_path):
    X, y = few_of_many()
    plain = NewtonRegressor("kernel", random_state=0, feature_learning=False).fit(X, y)
    model = NewtonRegressor("kernel", random_state=0).fit(X, y)
    X_test, y_test = few_of_many(seed=1)
    assert model.score(X_test, y_test) > plain.score(X_test, y_test) + 0.05
    assert not hasattr(plain, "feature_importances_")
    assert np.array_equal(plain.feature_scales_, np.ones(12))
    assert model.feature_importances_[:2].sum() > 0.9
    table = model.selection_
    chosen = [k for k, outcome in zip(table["rounds"], table["outcome"], strict=True) if outcome.startswith("chosen")]
    assert chosen == table["rounds"][:1]
    assert abs(model.validation_score_ - model.score(X_test, y_test)) < 0.05  # it has not seen its own targets
    model.save(tmp_path / "model")
    other = NewtonRegressor.load(tmp_path / "model")
    assert np.array_equal(other.predict(X), model.predict(X))
    assert np.array_equal(other.feature_scales_, model.feature_scales_)
    assert np.array_equal(other.feature_importances_, model.feature_importances_)
    before = model.predict(X_test)
    assert not np.array_equal(model.partial_fit(X_test[:100], y_test[:100]).predict(X_test), before)


def test_networks_use_them_and_the_search_has_the_folds_that_they_were_learned_in(monkeypatch):
    X, y = few_of_many(160, 8)
    taken, take = [], Comparison.take_kernel

    def watched(self, outputs, alpha, *rest):
        taken.append((self, outputs))
        return take(self, outputs, alpha, *rest)

    monkeypatch.setattr(Comparison, "take_kernel", watched)
    model = NewtonRegressor(random_state=0).fit(X, y)
    table = model.selection_
    assert table["rounds"][0] > 0
    ((comparison, outputs),) = taken
    assert len({comparison.rows[fold].tobytes() for fold in range(3)}) == 3  # scaled without the fold
    Y = (y - y.mean()) / y.std()
    assert np.allclose(np.sort(comparison.Y[:, 0]), np.sort(Y))
    error = np.mean((outputs - comparison.Y) ** 2)
    assert table["error"][0] == pytest.approx(error)
    assert table["rounds_error"][table["rounds_error"].index(pytest.approx(error))] is not None
    network = NewtonRegressor("network", width=256, alpha=0.1, max_iter=5, random_state=0, feature_learning=3).fit(X, y)
    assert network.feature_importances_[:2].sum() > 0.7
    plain = NewtonRegressor("network", width=256, alpha=0.1, max_iter=1).fit(X, y)
    assert not hasattr(plain, "feature_importances_")


@pytest.mark.parametrize("n", [10, 59])
def test_few_samples_are_left_alone(n):
    X, y = few_of_many(n)
    model = NewtonRegressor("kernel", random_state=0).fit(X, y)
    assert np.array_equal(model.feature_scales_, np.ones(12))
    forced = clone(model).set_params(feature_learning=2).fit(X, y)
    assert not np.array_equal(forced.feature_scales_, np.ones(12))
    assert forced.validation_score_ is None  # nothing was left out that the scales had not seen


def test_classes():
    X, y = few_of_many(300, 10)
    labels = np.array(["low", "middle", "high"])[np.digitize(y, [-0.7, 0.7])]
    model = NewtonClassifier("kernel", random_state=0).fit(X, labels)
    assert model.feature_importances_[:2].sum() > 0.6
    assert 0.5 < model.validation_score_ <= 1


@pytest.mark.parametrize("value", [True, -1, 1.5, "on", None])
def test_parameters_are_checked(value):
    with pytest.raises(ValueError, match="feature_learning must be"):
        NewtonRegressor("kernel", feature_learning=value).fit(*few_of_many(20))


@pytest.mark.parametrize("alpha", [1e2, 1e4])
def test_a_ridge_that_is_given_holds_in_folds_too(alpha):
    X, y = few_of_many()
    X_test, y_test = few_of_many(seed=1)
    for rounds in ("auto", 3):
        model = NewtonRegressor("kernel", alpha=alpha, feature_learning=rounds, random_state=0).fit(X, y)
        assert model.validation_score_ < model.score(X_test, y_test) + 0.05


@pytest.mark.parametrize("scale", [1e-200, 1e160, 1e300])
def test_columns_of_any_size_without_standardising(scale):
    X, y = few_of_many(100, 4)
    model = NewtonRegressor("kernel", standardise=False, feature_learning=3, random_state=0).fit(scale * X, y)
    assert np.isfinite(model.predict(scale * X)).all()
    assert np.isclose(model.feature_importances_.sum(), 1)


def test_weights_count_in_derivatives():
    X, _ = few_of_many(12, 4)
    centres = X[:3] / np.linalg.norm(X[:3], axis=1, keepdims=True)
    weights = np.array([1.0, 2.0, 3.0] * 4)
    copies = np.repeat(X, weights.astype(int), axis=0)
    found = squared_gradients(X, centres, np.ones((3, 1)), 1.0, weights)
    assert np.allclose(found, squared_gradients(copies, centres, np.ones((3, 1)), 1.0), rtol=1e-12)


@pytest.mark.parametrize("n", [320, 420, 470])  # some 210, 280 and 310 of them in what a fold learns from
def test_ridges_of_rounds_are_chosen_however_many_samples_there_are(n):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 3))
    y = np.sin(X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(n)
    model = NewtonRegressor("kernel", feature_learning=1, evenness="auto").fit(X, y)
    errors = model.selection_["leave_one_out_error"]
    by_folds = [error for error in model.selection_["rounds_error"] if error is not None]
    assert by_folds[0] < 2 * min(error for error in errors if error is not None)
    assert model.validation_score_ > 0.95


def test_no_errors_left_out_does_not_mean_no_choice_of_a_ridge():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((250, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    Y = np.sin(3 * X[:, :1]) + 0.1 * rng.standard_normal((250, 1))
    options = {"first_alpha": 1e-2, "climb_on": 300}
    assert KernelRidge(**options, most_left_out=0).fit(X, Y).alpha_ == KernelRidge(**options).fit(X, Y).alpha_ < 1
