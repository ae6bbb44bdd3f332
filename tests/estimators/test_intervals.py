"""How sure predictions are: intervals from errors at samples left out, ranges, logarithms of probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltrees.estimators import NewtonClassifier, NewtonRegressor
from sltrees.estimators.intervals import residual_quantiles

KERNEL = {"model": "kernel", "feature_learning": False}  # quick


def problem(n, seed, noise=0.3):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, 3))
    return X, np.sin(3 * X[:, 0]) + X[:, 1] ** 2 + noise * rng.standard_normal(n)


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=60), st.sampled_from([0.5, 0.8, 0.9]))
def test_quantiles_are_those_of_the_ranks_of_one_more(values, coverage):
    residuals = np.sort(np.array(values, dtype=float))
    below, above = residual_quantiles(residuals[:, None], np.ones(len(values)), coverage)[:, 0]
    rank = int(np.ceil(round((len(values) + 1) * (1 + coverage) / 2, 9)))
    assert above == (residuals[rank - 1] if rank <= len(values) else np.inf)
    assert below == (residuals[len(values) - rank] if rank <= len(values) else -np.inf)


def test_a_weight_of_two_is_two_residuals():
    rng = np.random.default_rng(0)
    residuals, weights = rng.standard_normal((80, 2)), rng.integers(1, 4, 80).astype(float)
    copies = np.repeat(residuals, weights.astype(int), axis=0)
    np.testing.assert_array_equal(
        residual_quantiles(residuals, weights, 0.9), residual_quantiles(copies, np.ones(len(copies)), 0.9)
    )


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_intervals_hold_as_many_targets_as_they_say(coverage):
    held = []
    for seed in range(12):
        X, y = problem(500, seed)
        model = NewtonRegressor(**KERNEL).fit(X[:150], y[:150])
        lower, upper = model.predict_interval(X[150:], coverage).T
        assert (lower <= upper).all()
        held.append(np.mean((lower <= y[150:]) & (y[150:] <= upper)))
    assert np.mean(held) == pytest.approx(coverage, abs=0.03)


def test_intervals_of_several_targets_and_too_few_samples():
    X, y = problem(60, 0)
    both = NewtonRegressor(**KERNEL).fit(X, np.column_stack([y, 10 * y]))
    ends = both.predict_interval(X[:5], 0.8)
    assert ends.shape == (5, 2, 2)
    np.testing.assert_allclose(ends[:, :, 1], 10 * ends[:, :, 0], rtol=1e-6)
    few = NewtonRegressor(**KERNEL).fit(X[:18], y[:18])
    assert np.isinf(few.predict_interval(X)).all()
    assert np.isfinite(few.predict_interval(X, 0.8)).all()
    tiny = NewtonRegressor(**KERNEL).fit(X[:2], y[:2])
    with pytest.raises(ValueError, match="needs outputs at samples left out"):
        tiny.predict_interval(X)
    for wrong in (0, 1, 1.5, "x", np.nan):
        with pytest.raises(ValueError, match="coverage must be above 0 and below 1"):
            few.predict_interval(X, wrong)


def test_residuals_are_those_of_the_score_and_survive_files(tmp_path):
    X, y = problem(80, 0)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, 80)
    model = NewtonRegressor(**KERNEL).fit(X, y, sample_weight=weights)
    squares = np.average(model.residuals_[:, 0] ** 2, weights=model.residual_weights_)
    variance = np.average((y - np.average(y, weights=weights)) ** 2, weights=weights)
    assert 1 - squares / variance == pytest.approx(model.validation_score_, abs=1e-6)
    model.save(tmp_path / "m.npz")
    again = NewtonRegressor.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(again.predict_interval(X), model.predict_interval(X))


def test_rows_outside_the_range_are_told_and_outputs_level_off():
    x = np.linspace(-1, 1, 60)[:, None]
    model = NewtonRegressor(**KERNEL).fit(x, 3 * x[:, 0])
    far = np.array([[0.5], [2.0], [1e6]])
    np.testing.assert_allclose(model.outside_range(far), [0.0, 0.5, (1e6 - 1) / 2])
    assert model.predict(far[1:]).max() < 4.0  # not 6 and 3 million
    constant = NewtonRegressor(**KERNEL).fit(np.column_stack([x, np.ones(60)]), x[:, 0])
    np.testing.assert_array_equal(constant.outside_range([[0.0, 1.0], [0.0, 2.0]]), [0.0, np.inf])
    model.feature_ranges_ = None
    with pytest.raises(AttributeError, match="saved by an older version"):
        model.outside_range(far)


def test_logarithms_of_probabilities_and_the_confusion_of_classes(tmp_path):
    X, y = problem(120, 0)
    for labels in (np.where(y > 0.3, "b", "a"), np.digitize(y, [0.0, 0.7])):
        model = NewtonClassifier(**KERNEL).fit(X, labels)
        np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X), rtol=1e-12)
        assert np.trace(model.confusion_) / model.confusion_.sum() == pytest.approx(model.validation_score_)
        np.testing.assert_allclose(model.confusion_.sum(axis=1), np.unique(labels, return_counts=True)[1])
        model.save(tmp_path / "m.npz")
        np.testing.assert_array_equal(NewtonClassifier.load(tmp_path / "m.npz").confusion_, model.confusion_)
    model.sharpness_ = 1e6
    assert np.isfinite(model.predict_log_proba(X)).all()
    assert NewtonClassifier(**KERNEL).fit(X, np.ones(120)).predict_log_proba(X).shape == (120, 1)
