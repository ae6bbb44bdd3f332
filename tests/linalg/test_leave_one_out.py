"""Errors of observations that are left out, where equal rows are merged: as by learning again without each."""

import numpy as np
import pytest

from sltrees.estimators.distinct_samples import distinct_samples
from sltrees.estimators.kernel_ridge import KernelRidge
from sltrees.kernels import shifted_ntk
from sltrees.linalg.leave_one_out import ALPHA_OF_FEW, ALPHAS, Observations, RidgeProblem


def table(kind, seed=0):
    """Rows of which some are equal, targets of two outputs, weights."""
    rng = np.random.default_rng(seed)
    draws = {
        "categories": lambda: np.stack([rng.integers(0, 3, 40), rng.integers(0, 4, 40)], axis=1),
        "pairs": lambda: np.repeat(rng.standard_normal((12, 3)), 2, axis=0),
        "a few repeats": lambda: rng.standard_normal((25, 3))[[*range(25), 3, 3, 9]],
        "a large group": lambda: np.repeat(rng.standard_normal((6, 2)), [20, 1, 1, 1, 2, 1], axis=0),
        "two rows": lambda: np.repeat([[0.0, 1.0], [1.0, 0.0]], [4, 1], axis=0),
        "one row": lambda: np.ones((5, 2)),
    }
    X = draws[kind]().astype(float)
    X = X[rng.permutation(len(X))]
    Y = np.stack([np.sin(2 * X[:, 0]) + X[:, 1], X[:, 0] * X[:, 1]], axis=1) + rng.standard_normal((len(X), 2))
    return X, Y, rng.uniform(0.2, 3.0, len(X))


KINDS = ["categories", "pairs", "a few repeats", "a large group", "two rows", "one row"]


def merged(X, Y, weights, intercept):
    """A problem of merged samples, its distinct samples, and a kernel for all."""
    distinct = distinct_samples(X, Y, weights)

    def kernel(A, B):
        return np.exp(-0.5 * ((A[:, None] - B) ** 2).sum(axis=2))

    problem = RidgeProblem(
        kernel(distinct.X, distinct.X),
        distinct.Y,
        weights=distinct.weights,
        intercept=intercept,
        observations=distinct.observations,
    )
    return problem, distinct, kernel(X, X)


def learned_again(kernel, Y, weights, ridge, intercept):
    """For each sample, learned from all others, by definition: its output minus its target."""
    n = len(Y)
    residuals = np.empty(Y.shape)
    for i in range(n):
        rest = np.delete(np.arange(n), i)
        matrix, right = kernel[np.ix_(rest, rest)] + ridge * np.diag(1 / weights[rest]), Y[rest]
        if intercept:
            matrix = np.block([[matrix, np.ones((n - 1, 1))], [np.ones((1, n - 1)), np.zeros((1, 1))]])
            right = np.vstack([right, np.zeros((1, Y.shape[1]))])
        solution = np.linalg.solve(matrix, right)
        residuals[i] = kernel[i, rest] @ solution[: n - 1] + (solution[-1] if intercept else 0.0) - Y[i]
    return residuals


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
def test_observations_of_merged_samples_are_left_out_one_by_one(kind, weighted, intercept):
    X, Y, weights = table(kind)
    weights = weights if weighted else np.ones(len(X))
    problem, distinct, kernel = merged(X, Y, weights, intercept)
    for alpha in (1e-3, 1e-1, 10.0):
        expected = learned_again(kernel, Y, weights, alpha * problem.unit, intercept)
        assert np.allclose(problem.left_out(alpha), expected[distinct.order], rtol=1e-10, atol=1e-10)
        error = np.sum(weights[:, None] * expected**2) / weights.sum()
        assert problem.error_left_out(alpha) == pytest.approx(error, rel=1e-10)


@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("intercept", [False, True])
def test_ridge_is_that_of_the_smallest_error_of_observations(kind, intercept):
    X, Y, weights = table(kind)
    problem, distinct, kernel = merged(X, Y, weights, intercept)
    tried = [alpha * distinct.weights.mean() for alpha in ALPHAS if alpha >= 1e-3]
    errors = [
        np.sum(weights[:, None] * learned_again(kernel, Y, weights, alpha * problem.unit, intercept) ** 2)
        for alpha in tried
    ]
    assert problem.choose([alpha for alpha in ALPHAS if alpha >= 1e-3]) == tried[int(np.argmin(errors))]


def test_merged_samples_have_the_solution_of_their_observations():
    X, Y, weights = table("categories")
    rows = (X + 1.0) / np.linalg.norm(X + 1.0, axis=1, keepdims=True)
    distinct = distinct_samples(rows, Y, weights)
    alpha = 0.1
    model = KernelRidge(alpha=alpha).fit(distinct.X, distinct.Y, distinct.weights, distinct.observations)
    kernel = shifted_ntk(rows, shift=1.0)
    unit = weights @ np.diag(kernel) / weights.sum()
    expected = Y + learned_again(kernel, Y, weights, alpha * unit, True)
    assert np.allclose(model.left_out_, expected[distinct.order], rtol=1e-9, atol=1e-9)
    whole = KernelRidge(alpha=alpha).fit(rows, Y, weights)
    assert np.allclose(model.predict(rows), whole.predict(rows), rtol=1e-9, atol=1e-9)
    assert model.error_ == pytest.approx(whole.error_, rel=1e-8)


def test_observations_that_are_all_distinct_change_nothing():
    rng = np.random.default_rng(0)
    X, Y, weights = rng.standard_normal((20, 3)), rng.standard_normal((20, 2)), rng.uniform(0.5, 2.0, 20)
    problem, distinct, _ = merged(X, Y, weights, True)
    assert distinct.merged_of is None
    plain = RidgeProblem(
        np.exp(-0.5 * ((distinct.X[:, None] - distinct.X) ** 2).sum(axis=2)),
        distinct.Y,
        weights=distinct.weights,
        intercept=True,
    )
    assert np.allclose(problem.left_out(0.1), plain.left_out(0.1), rtol=1e-12)
    assert problem.choose() == plain.choose()


def test_a_weight_that_its_group_outweighs_beyond_rounding_is_no_division_by_zero():
    observations = Observations(np.array([0, 0, 1]), np.array([[1.0], [5.0], [2.0]]), np.array([1.0, 1e-40, 1.0]))
    problem = RidgeProblem(
        np.eye(2), np.array([[1.0], [2.0]]), weights=np.ones(2), intercept=True, observations=observations
    )
    with np.errstate(all="raise", under="ignore"):
        left_out = problem.left_out(0.1)
    # known from sample 1 alone; from what is fitted; from sample 0
    assert np.allclose(left_out.ravel()[[0, 2]], [1.0, -1.0])
    assert abs(left_out[1, 0] + 4.0) < 0.1


def test_of_two_observations_none_can_be_left_out_of_three_equal_ones_each():
    two = Observations(np.zeros(2, dtype=int), np.array([[1.0], [3.0]]), np.ones(2))
    three = Observations(np.zeros(3, dtype=int), np.array([[0.0], [1.0], [5.0]]), np.ones(3))
    ridge = RidgeProblem(np.eye(1), np.full((1, 1), 2.0), weights=np.array([2.0]), intercept=True, observations=two)
    assert ridge.choose() == 2 * ALPHA_OF_FEW
    ridge = RidgeProblem(np.eye(1), np.full((1, 1), 2.0), weights=np.array([3.0]), intercept=True, observations=three)
    assert np.allclose(ridge.left_out(1.0).ravel(), [3.0, 1.5, -4.5])


@pytest.mark.parametrize("alpha", [5e-324, 1e-310, 1e-300])
@pytest.mark.parametrize("intercept", [False, True])
def test_a_ridge_that_rounds_to_nothing_is_divided_by_without_a_word(alpha, intercept):
    """Of a matrix of rank 2 in exact numbers: the solution is that of the smallest ridge that counts, and finite."""
    F = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]) / 4
    Y = np.array([[1.0], [1.0], [2.0], [2.0]])
    with np.errstate(all="raise"):
        problem = RidgeProblem(F @ F.T, Y, intercept=intercept)
        dual, constant = problem.solution(alpha)
        problem.left_out(alpha)
    assert np.isfinite(dual).all()
    assert np.isfinite(constant).all()
