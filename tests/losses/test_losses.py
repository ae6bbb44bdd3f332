"""Losses: gradients and curvatures by finite differences, parabolas that are above, constants, extremes."""

import numpy as np
import pytest

from sltrees.losses import (
    HalfGammaLoss,
    HalfMultinomialLoss,
    HalfPoissonLoss,
    HalfSquaredLoss,
    HuberLoss,
    LogisticLoss,
    SmoothPinballLoss,
)

RNG = np.random.default_rng(0)
N = 40
ONE_OF_THREE = np.eye(3)[RNG.integers(0, 3, N)]

CASES = {
    "squared": (HalfSquaredLoss(), RNG.standard_normal((N, 2))),
    "huber": (HuberLoss(0.7), RNG.standard_normal((N, 2))),
    "pinball": (SmoothPinballLoss(0.8, 0.1), RNG.standard_normal((N, 2))),
    "poisson": (HalfPoissonLoss(), RNG.poisson(2.0, (N, 2)).astype(float)),
    "gamma": (HalfGammaLoss(), RNG.gamma(2.0, 1.0, (N, 2))),
    "logistic": (LogisticLoss(), RNG.integers(0, 2, (N, 1)).astype(float)),
    "multinomial": (HalfMultinomialLoss(), ONE_OF_THREE),
}
MAJORISED = ("squared", "huber", "pinball", "multinomial")  # by the parabola of their curvature, everywhere
EXACT = ("squared", "poisson", "gamma", "logistic")  # the curvature is the second derivative


@pytest.fixture(params=CASES)
def case(request):
    loss, y = CASES[request.param]
    return request.param, loss, y, np.random.default_rng(1).standard_normal(y.shape)


def test_gradient(case):
    _, loss, y, f = case
    step = 1e-6
    for c in range(y.shape[1]):
        shift = step * (np.arange(y.shape[1]) == c)
        slope = (loss.value(y, f + shift) - loss.value(y, f - shift)) / (2 * step)
        of_c = slope[:, 0] if loss.couples else slope[:, c]
        assert np.allclose(of_c, loss.gradient(y, f)[:, c], rtol=0, atol=1e-7)


def test_curvature(case):
    name, loss, y, f = case
    h = loss.curvature(y, f)
    assert (h > 0).all()
    assert h.shape == ((N, 1) if loss.couples else y.shape)
    if name in EXACT:
        step = 1e-5
        assert np.allclose((loss.gradient(y, f + step) - loss.gradient(y, f - step)) / (2 * step), h, atol=1e-7)
    if name in MAJORISED:
        for scale in (0.1, 1.0, 10.0):
            move = scale * np.random.default_rng(2).standard_normal(f.shape)
            above = loss.gradient(y, f) * move + 0.5 * h * move**2
            above = above.sum(axis=1, keepdims=True) if loss.couples else above
            assert (loss.value(y, f + move) <= loss.value(y, f) + above + 1e-12).all()


def test_curvature_of_two_classes_is_exact_where_it_matters():
    y, f = np.eye(2)[[0, 1, 1]], np.array([[0.3, -0.3], [1.0, -1.0], [-2.0, 2.0]])
    loss, step = HalfMultinomialLoss(), 1e-5
    direction = np.array([1.0, -1.0]) / np.sqrt(2)
    second = (loss.gradient(y, f + step * direction) - loss.gradient(y, f - step * direction)) @ direction / (2 * step)
    assert np.allclose(second, loss.curvature(y, f)[:, 0], atol=1e-8)


def test_constants_have_no_slope(case):
    name, loss, y, _ = case
    weights = np.random.default_rng(3).uniform(0.5, 2.0, N)
    constant = loss.constant(y, weights)
    slope = weights @ loss.gradient(y, np.broadcast_to(constant, y.shape)) / weights.sum()
    tolerance = {"huber": 0.1, "pinball": 0.1, "logistic": 0.02, "multinomial": 0.05}.get(name, 1e-12)
    assert np.abs(slope).max() <= tolerance


def test_extreme_outputs_overflow_nothing(case):
    _, loss, y, _ = case
    for f in (np.full(y.shape, 1e8), np.full(y.shape, -1e8), np.zeros(y.shape)):
        f = f * np.linspace(0.5, 1.0, y.shape[1])
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            for values in (loss.value(y, f), loss.gradient(y, f), loss.curvature(y, f), loss.predictions(f)):
                assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (HalfPoissonLoss(), [[1.0], [-2.0]], "at least 0.*got from -2"),
        (HalfPoissonLoss(), [[0.0], [0.0]], "not all 0"),
        (HalfGammaLoss(), [[1.0], [0.0]], "above 0.*got from 0"),
        (LogisticLoss(), [[2.0]], "from 0 to 1.*got from 2"),
        (HalfMultinomialLoss(), [[1.0, 1.0]], "sum to 1"),
    ],
)
def test_targets_that_are_refused(loss, y, message):
    with pytest.raises(ValueError, match=message):
        loss.refuse(np.array(y))


def test_delta_of_errors_is_that_of_the_middle():
    errors = np.concatenate([np.random.default_rng(0).standard_normal(2000), np.full(20, 1e6)])
    assert 1.2 < HuberLoss.of_errors(errors, np.ones(2020)).delta < 1.5
    assert HuberLoss.of_errors(np.zeros(5), np.ones(5)).delta > 0
