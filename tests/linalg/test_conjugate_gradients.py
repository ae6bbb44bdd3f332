"""Preconditioned conjugate gradients: convergence, forecasts, and matrices that are not positive definite."""

import numpy as np
import pytest

from sltrees.linalg.conjugate_gradients import TOL, conjugate_gradients, found_singular, ritz_values


def with_eigenvalues(rng, eigenvalues):
    """A symmetric matrix."""
    vectors = np.linalg.qr(rng.standard_normal((len(eigenvalues),) * 2))[0]
    A = (vectors * eigenvalues) @ vectors.T
    return (A + A.T) / 2


def solve(A, right, *, inverse=None, max_steps=1000, **options):
    inverse = np.eye(len(A)) if inverse is None else inverse
    norm = np.linalg.norm(A, 2)
    return conjugate_gradients(lambda v: A @ v, lambda v: inverse @ v, right, norm, max_steps=max_steps, **options)


def backward_error(A, x, right):
    return np.linalg.norm(right - A @ x) / (np.linalg.norm(A, 2) * np.linalg.norm(x) + np.linalg.norm(right))


@pytest.mark.parametrize("n", [1, 2, 3, 50])
@pytest.mark.parametrize("condition", [1.0, 1e2, 1e6])
def test_solves_to_the_backward_error_asked_for(seed, n, condition):
    rng = np.random.default_rng(seed)
    A, right = with_eigenvalues(rng, np.geomspace(1, 1 / condition, n)), rng.standard_normal(n)
    before = right.copy()
    for tol in (TOL, 1e-6):
        outcome = solve(A, right, tol=tol)
        assert outcome.converged
        assert outcome.definite
        assert backward_error(A, outcome.x, right) <= 1.1 * tol  # rounding of the check itself
    assert np.array_equal(right, before)


def test_takes_as_many_steps_as_there_are_clusters(seed):
    rng = np.random.default_rng(seed)
    A = with_eigenvalues(rng, np.repeat([1.0, 3.0, 10.0], 20))
    assert solve(A, rng.standard_normal(60)).n_steps <= 4  # one more for rounding


def test_a_good_preconditioner_or_start_saves_steps(seed):
    rng = np.random.default_rng(seed)
    A, right = with_eigenvalues(rng, np.geomspace(1, 1e-6, 80)), rng.standard_normal(80)
    plain = solve(A, right)
    inverse = np.linalg.inv(A + 1e-9 * np.eye(80))
    preconditioned = solve(A, right, inverse=(inverse + inverse.T) / 2)
    assert preconditioned.converged
    assert preconditioned.n_steps <= 5 < plain.n_steps
    again = solve(A, right, start=plain.x)
    assert again.n_steps == 0
    assert np.array_equal(again.x, plain.x)


def test_nothing_to_do_for_zero():
    outcome = solve(np.eye(3), np.zeros(3))
    assert outcome.converged
    assert outcome.n_steps == 0
    assert outcome.x.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("smallest", [-1.0, -1e-3, 0.0, 1e-17, np.nan])
def test_a_matrix_that_is_not_positive_definite_is_found_out(smallest):
    d = np.array([1.0, 2.0, smallest])
    outcome = conjugate_gradients(lambda v: d * v, lambda v: v, np.ones(3), 2.0, max_steps=10)
    assert found_singular(outcome)
    if smallest < 0 or np.isnan(smallest):
        assert not outcome.definite
        assert not outcome.converged


def test_gives_up_when_the_steps_allowed_are_taken(seed):
    rng = np.random.default_rng(seed)
    A, right = with_eigenvalues(rng, np.geomspace(1, 1e-8, 80)), rng.standard_normal(80)
    outcome = solve(A, right, max_steps=30)
    assert not outcome.converged
    assert outcome.definite
    assert outcome.n_steps == 30


def test_a_forecast_gives_up_early_and_only_on_slow_systems(seed):
    rng = np.random.default_rng(seed)
    slow = with_eigenvalues(rng, np.geomspace(1, 1e-8, 80))
    outcome = solve(slow, rng.standard_normal(80), max_steps=30, forecast=True)
    assert not outcome.converged
    assert outcome.n_steps == 3
    fast = with_eigenvalues(rng, np.linspace(1, 1.1, 80))
    assert solve(fast, rng.standard_normal(80), max_steps=30, forecast=True).converged


def test_ritz_values_find_the_ends_of_the_spectrum(seed):
    rng = np.random.default_rng(seed)
    A = with_eigenvalues(rng, np.linspace(0.01, 1, 60))
    values = ritz_values(solve(A, rng.standard_normal(60)).tridiagonal)
    assert values[[0, -1]] == pytest.approx([0.01, 1.0], rel=1e-6)
    assert ritz_values(solve(A, np.zeros(60)).tridiagonal).size == 0
