"""Weights of samples, and the ridge chosen by leaving samples out."""

import numpy as np
import pytest
from problems import unit_rows

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.linalg.leave_one_out import ALPHA_OF_FEW, ALPHAS, RidgeProblem


def network(width=2048, **options):
    return ShiftedReLUNetwork(width, **{"shift": 0.5, "dtype": "float64", "random_state": 0} | options)


def problem(n=30, d=5, seed=0):
    rng = np.random.default_rng(seed)
    X = unit_rows(rng, n, d)
    return X, np.sin(3 * X[:, 0]) + 0.3 * rng.standard_normal(n), rng.uniform(0.2, 3.0, n)


def dense_jacobian(net, X):
    W, signs = net.dense_weights()
    fires = (X @ W.T > net.shift_).astype(float)
    return (fires * signs)[:, :, None] * X[:, None, :] / np.sqrt(net.width)


@pytest.mark.parametrize("options", [{}, {"method": "trees"}, {"max_gram": 0}])
def test_minimum_of_the_weighted_loss_is_stationary(options):
    X, y, weights = problem()
    net = network()
    trainer = NewtonTrainer(net, alpha=0.01, tol=1e-10, max_iter=200, **options)
    result = trainer.fit(X, y, sample_weight=weights)
    assert result.status == "converged"
    jacobian = dense_jacobian(net, X)
    residual = net.predict(X) - y
    assert result.rmse == pytest.approx(np.sqrt(weights @ residual**2 / weights.sum()), rel=1e-9)
    gradient = np.einsum("i,ird->rd", weights * residual, jacobian)
    scale = net.state.scales[next(iter(net.state.scales))]
    displacement = net.dense_weights()[0] - network().initialize(X).dense_weights()[0]
    pull = 0.01 * scale * displacement
    # but for the kinks where neurons start and stop firing
    assert np.linalg.norm(gradient + pull) < 0.3 * np.linalg.norm(pull)
    unweighted = np.einsum("i,ird->rd", residual, jacobian)
    assert np.linalg.norm(unweighted + pull) > 0.6 * np.linalg.norm(pull)
    assert result.loss == pytest.approx(
        0.5 * np.sum(weights * residual**2) + 0.5 * 0.01 * scale * np.sum(displacement**2), rel=1e-8
    )


def test_first_step_is_that_of_the_weighted_least_squares_problem():
    X, y, weights = problem()
    net = network()
    jacobian = dense_jacobian(net.initialize(X), X).reshape(len(X), -1)
    before = net.dense_weights()[0]
    NewtonTrainer(net, alpha=0.1, tol=0.0, max_iter=1).fit(X, y, sample_weight=weights)
    scaled = np.sqrt(weights)[:, None] * jacobian
    unit = np.sum(scaled**2) / weights.sum()
    gram = scaled @ scaled.T + 0.1 * unit * np.eye(len(X))
    expected = scaled.T @ np.linalg.solve(gram, np.sqrt(weights) * y)
    assert np.allclose(net.dense_weights()[0] - before, expected.reshape(before.shape), atol=1e-9)


def test_weights_of_one_change_no_bit():
    X, y, weights = problem()
    plain, equal, weighted = network(), network(), network()
    NewtonTrainer(plain, alpha=0.1, max_iter=4).fit(X, y)
    NewtonTrainer(equal, alpha=0.1, max_iter=4).fit(X, y, sample_weight=np.ones(len(y)))
    NewtonTrainer(weighted, alpha=0.1, max_iter=4).fit(X, y, sample_weight=weights)
    assert plain.digest() == equal.digest() != weighted.digest()


def test_whole_weights_are_as_good_as_copies():
    X, y, _ = problem(12)
    counts = np.arange(12) % 3 + 1
    weighted, copied = network(), network()
    NewtonTrainer(weighted, alpha=0.1, tol=1e-12, max_iter=100).fit(X, y, sample_weight=counts)
    # width and shift as they are, so that the networks have the same neurons
    NewtonTrainer(copied, alpha=0.1, tol=1e-12, max_iter=100).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert np.allclose(weighted.predict(X), copied.predict(X), atol=1e-6)
    a, b = (next(iter(net.state.scales.values())) for net in (weighted, copied))
    assert a == pytest.approx(b, rel=1e-12)


@pytest.mark.parametrize("weighted", [(False, False), (True, True), (False, True), (True, False)])
def test_extending_keeps_weights_and_unit(weighted):
    X, y, weights = problem(40)
    w = np.where(np.repeat(weighted, 20), weights, 1.0)
    parts = [None if not flag else w[part] for flag, part in zip(weighted, (slice(20), slice(20, 40)), strict=True)]
    grown, whole = network(), network()
    trainer = NewtonTrainer(grown, alpha=0.1, tol=1e-12, max_iter=100)
    trainer.fit(X[:20], y[:20], sample_weight=parts[0])
    a = trainer.extend(X[20:], y[20:], sample_weight=parts[1])
    b = NewtonTrainer(whole, alpha=0.1, tol=1e-12, max_iter=100).fit(X, y, sample_weight=w)
    # two ends of the way, both with neurons on kinks
    assert a.loss == pytest.approx(b.loss, rel=0.01)
    assert trainer._samples[2] is None or np.array_equal(trainer._samples[2], w)
    assert list(grown.state.scales.values())[-1] == pytest.approx(next(iter(whole.state.scales.values())), rel=1e-12)


@pytest.mark.parametrize(
    ("weights", "error", "said"),
    [
        ([1.0, 2.0], ValueError, r"sample_weight must have shape \(3,\), got \(2,\)"),
        ([1.0, 0.0, 2.0], ValueError, "must be above 0, got 0.0 at index 1"),
        ([1.0, -1.0, 2.0], ValueError, "must be above 0, got -1.0 at index 1"),
        ([1.0, np.nan, 2.0], ValueError, "sample_weight must be finite"),
        ([1.0, 1e13, 2.0], ValueError, "must not differ by more than a factor 1e\\+12"),
        (["a", "b", "c"], TypeError, "sample_weight must hold real numbers"),
    ],
)
def test_bad_weights_are_refused_before_anything_happens(weights, error, said):
    net = network()
    with pytest.raises(error, match=said):
        NewtonTrainer(net).fit(np.eye(3), np.ones(3), sample_weight=weights)
    assert net.shift_ is None


# ---------------------------------------------------------------------- leave-one-out


def brute_force(kernel, Y, weights, intercept, alpha):
    """Learn n times, each time without one sample."""
    n = len(kernel)
    weights = np.ones(n) if weights is None else weights
    unit = np.sum(weights * np.diag(kernel)) / weights.sum()
    residuals = np.empty(Y.shape)
    for i in range(n):
        rest = np.arange(n) != i
        roots = np.sqrt(weights[rest])
        # kernel ridge with a constant: [K + lam / s, 1; 1^T, 0]
        matrix = kernel[np.ix_(rest, rest)] + alpha * unit * np.diag(1 / roots**2)
        right = Y[rest]
        if intercept:
            matrix = np.block([[matrix, np.ones((n - 1, 1))], [np.ones((1, n - 1)), np.zeros((1, 1))]])
            right = np.vstack([right, np.zeros((1, Y.shape[1]))])
        solution = np.linalg.solve(matrix, right)
        output = kernel[i, rest] @ solution[: n - 1] + (solution[-1] if intercept else 0.0)
        residuals[i] = output - Y[i]
    return residuals, np.sum(weights[:, None] * residuals**2) / weights.sum()


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [1e-4, 1e-1, 10.0])
def test_residuals_are_those_of_learning_without_each_sample(intercept, weighted, alpha):
    X, y, weights = problem(15)
    kernel, Y = X @ X.T + 1e-2 * np.eye(15), np.column_stack([y, np.cos(y)])
    weights = weights if weighted else None
    ridge = RidgeProblem(kernel, Y, weights=weights, intercept=intercept)
    residuals, error = brute_force(kernel, Y, weights, intercept, alpha)
    assert np.allclose(ridge.left_out(alpha), residuals, rtol=1e-8)
    assert ridge.error_left_out(alpha) == pytest.approx(error, rel=1e-8)
    tried = [a * (1.0 if weights is None else weights.mean()) for a in ALPHAS]
    assert ridge.choose() == min(tried, key=lambda a: brute_force(kernel, Y, weights, intercept, a)[1])


def test_solution_satisfies_its_equations():
    X, y, weights = problem(15)
    kernel = X @ X.T
    ridge = RidgeProblem(kernel, y[:, None], weights=weights, intercept=True)
    dual, constant = ridge.solution(0.1)
    residual = y[:, None] - kernel @ dual - constant
    assert np.allclose(weights[:, None] * residual, 0.1 * ridge.unit * dual)
    assert np.allclose(dual.sum(axis=0), 0.0)


def test_of_ties_the_largest_ridge_is_best():
    assert RidgeProblem(np.eye(4), np.zeros((4, 1))).choose() == max(ALPHAS)


def test_of_two_samples_none_can_be_left_out():
    assert RidgeProblem(np.eye(2), np.ones((2, 1)), intercept=True).choose() == ALPHA_OF_FEW
    assert RidgeProblem(np.eye(1), np.ones((1, 1)), intercept=True).choose() == ALPHA_OF_FEW


def test_trainer_takes_the_ridge_with_the_smallest_error_left_out():
    X, y, _ = problem(40)
    net = network(2**14)
    trainer = NewtonTrainer(net, alpha="loo", tol=1e-6)
    result = trainer.fit(X, y)
    assert result.status == "converged"
    jacobian = dense_jacobian(network(2**14).initialize(X), X).reshape(len(X), -1)
    assert trainer.alpha_ == RidgeProblem(jacobian @ jacobian.T, y[:, None]).choose()
    assert 1e-3 < trainer.alpha_ < 10


def test_trainer_keeps_its_ridge_when_samples_join():
    X, y, _ = problem(40)
    trainer = NewtonTrainer(network(), alpha="loo", tol=1e-6)
    trainer.fit(X[:30], y[:30])
    alpha = trainer.alpha_
    trainer.extend(X[30:], y[30:])
    assert trainer.alpha_ == alpha


def test_ridge_left_out_needs_the_gram_matrix():
    net = network()
    with pytest.raises(ValueError, match="alpha='loo' needs the Gram matrix as an array, which has no room for 30"):
        NewtonTrainer(net, alpha="loo", max_gram=10).fit(*problem()[:2])
    assert net.shift_ is None
    with pytest.raises(TypeError, match="alpha must be a real number, got 'cv'"):
        NewtonTrainer(net, alpha="cv")
