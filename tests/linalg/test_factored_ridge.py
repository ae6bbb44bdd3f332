"""FactoredRidge, inverse diagonals and pivoted Cholesky against definitions."""

import numpy as np
import pytest

from sltrees.estimators.distinct_samples import distinct_samples
from sltrees.execution.threads import ThreadExecutor
from sltrees.linalg import cholesky
from sltrees.linalg.cholesky import CholeskyFactor
from sltrees.linalg.factored_ridge import FactoredRidge
from sltrees.linalg.leave_one_out import RidgeProblem
from sltrees.linalg.pivoted_cholesky import pivoted_cholesky


@pytest.fixture(params=[8, 2048], ids=["tiles", "one tile"])
def tile(request, monkeypatch):
    monkeypatch.setattr(cholesky, "ONE_TILE", request.param)
    monkeypatch.setattr(cholesky, "TILE", min(request.param, 256))


def positive_definite(rng, n):
    root = rng.standard_normal((n, n + 2))
    return root @ root.T / n


def filling(matrix):
    def fill(rows, columns, out):
        out[...] = matrix[rows, columns]

    return fill


@pytest.mark.parametrize("n", [1, 7, 8, 9, 16, 17, 50])
def test_inverse_diagonal_and_solves_of_many(seed, tile, n):
    rng = np.random.default_rng(seed)
    A, right = positive_definite(rng, n), rng.standard_normal((n, 3))
    found = []
    for n_threads in (1, 3):
        with ThreadExecutor(n_threads) as executor:
            factor = CholeskyFactor(n)
            assert factor.factorise_filled(filling(A), 0.5, executor)
            diagonal, x = factor.inverse_diagonal(executor), factor.solve(right, executor)
            forward, backward = right.copy(), right.copy()
            factor.forward(forward)
            factor.backward(backward)
            found.append((diagonal, x, forward, backward))
    shifted = A + 0.5 * np.eye(n)
    L = np.linalg.cholesky(shifted)
    expected = np.diag(np.linalg.inv(shifted)), np.linalg.solve(shifted, right)
    expected += np.linalg.solve(L, right), np.linalg.solve(L.T, right)
    for ours, others, wanted in zip(*found, expected, strict=True):
        assert np.array_equal(ours, others)
        assert np.allclose(ours, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_problem_of_all_ridges(seed, tile, weighted):
    rng = np.random.default_rng(seed)
    kernel, Y = positive_definite(rng, 40), rng.standard_normal((40, 2))
    weights = rng.uniform(0.1, 3.0, 40) if weighted else None
    problem = RidgeProblem(kernel, Y, weights=weights, intercept=True)
    dual, constants = problem.solution(0.1)
    with ThreadExecutor(2) as executor:
        found = FactoredRidge(filling(kernel), Y, weights, 0.1 * problem.unit, executor)
        assert found.ridge == 0.1 * problem.unit
        assert np.allclose(found.dual, dual, rtol=1e-9, atol=1e-11)
        assert np.allclose(found.constants, constants, rtol=1e-9, atol=1e-11)
        assert np.allclose(found.left_out(), problem.left_out(0.1), rtol=1e-9, atol=1e-11)


def test_merged_samples_are_left_out_one_by_one(seed, tile):
    rng = np.random.default_rng(seed)
    X, Y, weights = rng.integers(0, 3, (60, 2)).astype(float), rng.standard_normal((60, 1)), rng.uniform(0.5, 2, 60)
    distinct = distinct_samples(X, Y, weights)
    kernel = np.exp(-np.sum((distinct.X[:, None] - distinct.X) ** 2, axis=2))
    problem = RidgeProblem(
        kernel, distinct.Y, weights=distinct.weights, intercept=True, observations=distinct.observations
    )
    with ThreadExecutor(1) as executor:
        found = FactoredRidge(filling(kernel), distinct.Y, distinct.weights, 0.3 * problem.unit, executor)
        assert np.allclose(found.left_out(distinct.observations), problem.left_out(0.3), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("start", [0, 5, 8, 17, 39, 40])
def test_the_last_samples_alone_can_be_left_out(seed, tile, start):
    rng = np.random.default_rng(seed)
    kernel, Y = positive_definite(rng, 40), rng.standard_normal((40, 2))
    with ThreadExecutor(2) as executor:
        problem = FactoredRidge(filling(kernel), Y, None, 0.1, executor)
        all_of_them, last = problem.left_out(), problem.left_out(start=start)
    assert np.isnan(last[:start]).all()
    assert np.allclose(last[start:], all_of_them[start:], rtol=1e-12, atol=1e-13)


def test_a_factorisation_tells_how_far_it_is(tile):
    told = []
    with ThreadExecutor(1) as executor:
        FactoredRidge(filling(np.eye(20)), np.ones((20, 1)), None, 1.0, executor, lambda *at: told.append(at))
    assert told == sorted(told)
    assert told[-1] == (20**3, 20**3)


def test_a_ridge_that_leaves_no_factor_is_raised(tile):
    kernel = np.ones((20, 20))
    with ThreadExecutor(1) as executor:
        found = FactoredRidge(filling(kernel), np.arange(20.0)[:, None], None, 1e-20, executor)
    assert found.ridge > 1e-20
    assert np.isfinite(found.dual).all()


@pytest.mark.parametrize("rank", [1, 5, 30, 40])
def test_pivoted_cholesky(seed, rank):
    rng = np.random.default_rng(seed)
    A = positive_definite(rng, 30)
    told = []
    found = pivoted_cholesky(lambda at: A[:, at], np.diag(A), rank, rng, lambda *at: told.append(at))
    k = len(found.pivots)
    assert k == min(rank, 30) == len(set(found.pivots.tolist()))
    rest = A - found.factor @ found.factor.T
    assert np.allclose(rest[found.pivots], 0, atol=1e-10)
    assert np.allclose(np.diag(rest), found.rest, atol=1e-10)
    assert (found.rest >= 0).all()
    inside = A[np.ix_(found.pivots, found.pivots)]
    definition = A[:, found.pivots] @ np.linalg.solve(inside, A[found.pivots])
    assert np.allclose(found.factor @ found.factor.T, definition, atol=1e-8)
    assert told[-1] == (k, min(rank, 30))


def test_pivots_are_drawn_in_proportion_to_what_is_left():
    A = np.diag([1.0, 2.0, 0.0, 5.0])
    first = [
        pivoted_cholesky(lambda at: A[:, at], np.diag(A), 1, np.random.default_rng(k)).pivots[0] for k in range(4000)
    ]
    shares = np.bincount(first, minlength=4) / 4000
    assert np.abs(shares - [0.125, 0.25, 0.0, 0.625]).max() < 0.03


def test_pivoted_cholesky_ends_where_nothing_is_left(seed):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((25, 3))
    found = pivoted_cholesky(lambda at: (root @ root.T)[:, at], np.sum(root**2, axis=1), 10, rng)
    assert 3 <= len(found.pivots) <= 4
    assert len(pivoted_cholesky(lambda at: np.zeros((5, len(at))), np.zeros(5), 3, rng).pivots) == 0
