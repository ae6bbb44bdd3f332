"""The trainer against dense Gauss-Newton, weight by weight, after every iteration."""

import warnings

import numpy as np
import pytest
from problems import WeightsRecorder, random_problem, unit_rows
from sklearn.datasets import load_diabetes, load_wine
from threadpoolctl import threadpool_limits

from sltrees import NewtonTrainer, ShiftedReLUNetwork, load_digits, reference
from sltrees.preprocessing import InputScaling

TOLERANCE = 1e-8  # relative, in float64
MAX_ITER = 8


def duplicates():
    """Two pairs of equal samples, one with equal and one with conflicting targets."""
    X, y = random_problem(12, 60, 5)
    X[5], y[5] = X[4], y[4]
    X[11], y[11] = X[10], -y[10]
    return X, y


def silent_sample():
    """A row of zeros and one so short that no neuron fires on it, whatever the shift: G has rows of zeros."""
    X, y = random_problem(13, 50, 5)
    X[7] = 0
    X[30] *= 1e-3
    return X, y


def wine():
    data = load_wine()
    rows = np.random.default_rng(0).permutation(len(data.data))[:120]
    return InputScaling(bias=1.0).fit(data.data[rows]).transform(data.data[rows]), data.target[rows] - 1.0


def diabetes():
    data = load_diabetes()
    X, y = data.data[:150], data.target[:150]
    return InputScaling(bias=0.5).fit(X).transform(X), (y - y.mean()) / y.std()


def digits():
    X, digit = load_digits()
    X = InputScaling(bias=0.0).fit(X[:80]).transform(X[:80])
    return X, np.where(digit[:80] % 2 == 0, 1.0, -1.0)


PROBLEMS = {
    "thin": (lambda: random_problem(10, 60, 5), 512, 0.0),
    "middling": (lambda: random_problem(11, 100, 10), 2048, 1.0),
    "wide": (lambda: random_problem(14, 150, 4), 4096, "paper"),
    "few-features": (lambda: random_problem(15, 40, 3), 1024, "auto"),
    "uneven-norms": (
        lambda: (random_problem(16, 30, 4)[0] * np.logspace(-1, 1, 30)[:, None], random_problem(16, 30, 4)[1]),
        600,
        0.7,
    ),
    "duplicates": (duplicates, 1024, 0.5),
    "silent-sample": (silent_sample, 1024, 0.5),
    "wine": (wine, 1024, "paper"),
    "diabetes": (diabetes, 1000, 0.8),
    "digits": (digits, 768, "paper"),
}


def distance(actual, expected):
    return np.linalg.norm(actual - expected) / max(np.linalg.norm(expected), np.finfo(np.float64).tiny)


@pytest.mark.parametrize("alpha", [0.0, 1e-2])
@pytest.mark.parametrize("init", ["paired", "gaussian"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_iteration_equals_dense_gauss_newton(name, init, alpha):
    problem, width, shift = PROBLEMS[name]
    X, y = problem()
    network = ShiftedReLUNetwork(width, shift=shift, init=init, dtype="float64", random_state=3)
    seen = WeightsRecorder()
    trainer = NewtonTrainer(network, alpha=alpha, tol=1e-9, max_iter=MAX_ITER, callbacks=[seen])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # lowered shifts
        result = trainer.fit(X, y)
    initial, signs = seen.weights[0], network.dense_weights()[1]
    with threadpool_limits(1, user_api="blas"):  # many small products: threads cost more than they give
        dense = reference.dense_gauss_newton(
            initial, signs, network.shift_, X, y, alpha=alpha, tol=1e-9, max_iter=result.n_iter
        )
    assert result.n_iter >= 2
    # the same steps were taken, and the same refused
    assert [record.accepted for record in result.history] == dense.accepted
    assert len(seen.weights) == len(dense.weights) == result.n_iter + 1
    unseen = np.concatenate([unit_rows(np.random.default_rng(77), 50, X.shape[1]), 2 * X[:10]])
    for W, expected in zip(seen.weights, dense.weights, strict=True):
        assert distance(W, expected) <= TOLERANCE
        moved = expected - initial
        if np.any(moved):
            assert distance(W - initial, moved) <= TOLERANCE
        else:
            assert np.array_equal(W, initial)
    rmse = [record.rmse for record in result.history] + [result.rmse]
    assert np.allclose(rmse, dense.rmse, rtol=TOLERANCE, atol=1e-13 * np.linalg.norm(y))
    outputs = reference.network_outputs(dense.weights[-1], signs, network.shift_, unseen)
    assert distance(network.predict(unseen), outputs) <= TOLERANCE
    trained = reference.network_outputs(dense.weights[-1], signs, network.shift_, X)
    assert distance(network.predict(X), trained) <= TOLERANCE


def test_the_problems_cover_refused_steps_and_flips(seed):
    """Were no step refused and no neuron flipped, equality with the dense iteration would prove little."""
    X, y = random_problem(15, 40, 3)
    network = ShiftedReLUNetwork(1024, shift="auto", dtype="float64", random_state=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        history = NewtonTrainer(network, tol=1e-9, max_iter=MAX_ITER).fit(X, y).history
    assert {record.accepted for record in history} == {True, False}
    assert any(record.flips for record in history)


@pytest.mark.parametrize("init", ["paired", "gaussian"])
def test_no_neuron_fires_on_the_silent_samples(init):
    X, _y = silent_sample()
    network = ShiftedReLUNetwork(1024, shift=0.5, init=init, dtype="float64", random_state=3).initialize(X)
    fires = network.dense_weights()[0] @ X.T > 0.5
    assert fires.sum(axis=0)[[7, 30]].tolist() == [0, 0]
    assert np.all(np.delete(fires.sum(axis=0), [7, 30]) > 0)
