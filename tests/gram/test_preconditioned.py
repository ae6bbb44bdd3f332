"""PreconditionedGram: solutions as accurate as asked for, and a preconditioner that is made when it is worth it."""

import tracemalloc

import numpy as np
import pytest

from sltrees.execution.inline import InlineExecutor
from sltrees.execution.threads import ThreadExecutor
from sltrees.gram import preconditioned
from sltrees.gram.forcing import Forcing
from sltrees.gram.preconditioned import PreconditionedGram, max_rank
from sltrees.linalg.conjugate_gradients import TOL


def matrix_with(rng, eigenvalues):
    n = len(eigenvalues)
    vectors = np.linalg.qr(rng.standard_normal((n, n)))[0]
    A = (vectors * eigenvalues) @ vectors.T
    return (A + A.T) / 2


def system(A, executor):
    """A PreconditionedGram of a matrix that may be replaced, in a list, and how often products were asked for."""
    current, products = [A], []

    def product(v):
        products.append(None)
        return current[0] @ v

    def columns(indices):
        return lambda rows, some: current[0][rows][:, indices[some]]

    made = PreconditionedGram(product, lambda: np.diag(current[0]), len(A), columns)
    made.refresh(executor)
    return made, current, products


def bulk(n, k=40):
    """Some large eigenvalues, and many about 1."""
    return np.concatenate([np.geomspace(1e4, 10, k), np.linspace(2, 0.05, n - k)])


@pytest.mark.parametrize("n", [1, 2, 3, 40, 300])
@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8])
@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e200])
def test_without_forcing_solutions_are_exact(seed, n, condition, unit):
    rng = np.random.default_rng(seed)
    A, right = matrix_with(rng, np.geomspace(1.0, 1 / condition, n)), unit * rng.standard_normal(n)
    with ThreadExecutor(2) as executor:
        made, _, _ = system(A, executor)
        for c in (1e-3, 1.0, 0.1):
            g = made.solve(c, right, executor)
            left = right - (A + c * np.eye(n)) @ g
            scale = (np.linalg.norm(A, 2) + c) * np.linalg.norm(g / unit) + np.linalg.norm(right / unit)
            assert np.linalg.norm(left / unit) <= 1.5 * TOL * scale
        assert not made.is_singular(executor)
    assert made.trace == pytest.approx(np.trace(A), rel=1e-12)
    assert made.norm == pytest.approx(np.linalg.norm(A, 2), rel=0.2)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("share", [0.5, 0.1, 1e-3])
@pytest.mark.parametrize("warm", [False, True])
def test_steps_are_as_near_to_the_exact_one_as_is_asked(seed, alpha, share, warm):
    """By the definition, in weights: D and p are moves of these, J their Jacobian."""
    rng = np.random.default_rng(seed)
    n, c = 200, alpha + 0.1
    J = np.linalg.cholesky(matrix_with(rng, bulk(n)))
    e, D = rng.standard_normal(n), 0.2 * rng.standard_normal(n)
    right = e - alpha / c * J @ D
    loss = 0.5 * e @ e + 0.5 * alpha * D @ D

    def model(p):
        return 0.5 * np.sum((e + J @ p) ** 2) + 0.5 * alpha * np.sum((D + p) ** 2) + 0.5 * (c - alpha) * np.sum(p**2)

    constant = 0.5 * alpha * (c - alpha) / c * D @ D
    forcing = Forcing(loss - constant, share, share, 0.0, 0.0)
    with ThreadExecutor(2) as executor:
        made, _, _ = system(J @ J.T, executor)
        exact = made.solve(c, right, executor)
        steps = made.n_cg_steps
        start = 0.9 * exact if warm else None
        g = made.solve(c, right, executor, forcing, start)
        assert made.n_cg_steps - steps < steps
    p, best = (-alpha / c * D - J.T @ solution for solution in (g, exact))
    residual = right - (J @ J.T + c * np.eye(n)) @ g
    decrease = loss - model(p)
    assert forcing.decrease(c, right, g, residual) == pytest.approx(decrease, rel=1e-9)
    assert model(p) - model(best) <= 0.5 * residual @ residual * (1 + 1e-9)
    far = np.sum((J @ (p - best)) ** 2) + c * np.sum((p - best) ** 2)
    assert far <= share**2 * 2 * decrease * (1 + 1e-9)
    assert forcing.is_met(c, right, g, residual)
    assert not forcing._replace(least=1e-9, most=1e-9).is_met(c, right, g, residual)


def test_what_is_small_enough_in_any_case_and_what_is_no_gain():
    right = np.array([1.0, 0.0])
    forcing = Forcing(0.5, 1e-9, 1e-9, 0.0, 0.1)
    assert forcing.is_met(0.0, right, right, np.array([0.0, 0.1]))
    assert not forcing.is_met(0.0, right, right, np.array([0.0, 0.11]))
    # where the dual value is the loss, no step lowers it
    assert forcing._replace(floor=0.0).is_met(1.0, right, np.array([0.5, 0.0]), right)
    assert forcing.scaled(4.0) == (0.5 / 16, 1e-9, 1e-9, 0.0, 0.025, np.inf, 0.0, None)
    assert forcing._replace(least=0.01, most=0.3, factor=0.5).share(0.2) == pytest.approx(0.2)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_a_step_that_is_too_long_need_not_be_accurate(seed, alpha, monkeypatch):
    """Lengths by the definition, in weights; of a step that is short enough nothing changes."""
    monkeypatch.setattr(preconditioned, "FIRST_RANK", 16)
    rng = np.random.default_rng(seed)
    n, c = 200, alpha + 0.01
    J = np.linalg.cholesky(matrix_with(rng, bulk(n)))
    e, D = rng.standard_normal(n), 0.2 * rng.standard_normal(n)
    pull = alpha / c
    right = e - pull * J @ D
    loss = 0.5 * e @ e + 0.5 * alpha * D @ D - 0.5 * alpha * (c - alpha) / c * D @ D
    forcing = Forcing(loss, 1e-3, 1e-3, 0.0, 0.0)
    limit = {"pulled_squared": pull**2 * float(D @ D), "pulled": pull * J @ D if alpha else None}

    def length(g):
        return float(np.linalg.norm(-pull * D - J.T @ g))

    with ThreadExecutor(2) as executor:
        free, bounded, cut = (system(J @ J.T, executor)[0] for _ in range(3))
        g = free.solve(c, right, executor, forcing)
        same = bounded.solve(c, right, executor, forcing._replace(longest=2.0 * length(g), **limit))
        long = cut.solve(c, right, executor, forcing._replace(longest=0.5 * length(g), **limit))
    assert forcing.is_met(c, right, same, right - J @ (J.T @ same) - c * same)
    assert length(long) > 0.5 * length(g)
    assert cut.n_cg_steps < free.n_cg_steps
    for unit in (1.0, 4.0):
        scaled, x = forcing._replace(longest=0.5 * length(g), **limit).scaled(unit), g / unit
        residual = right / unit - J @ (J.T @ x) - c * x
        assert scaled.is_too_long(c, right / unit, x, residual)
        assert not scaled._replace(longest=1.01 * length(g) / unit).is_too_long(c, right / unit, x, residual)


def test_another_ridge_takes_no_other_columns_and_another_matrix_none_for_a_while(seed, monkeypatch):
    monkeypatch.setattr(preconditioned, "FIRST_RANK", 50)
    rng = np.random.default_rng(seed)
    n = 400
    A, noise = matrix_with(rng, bulk(n)), matrix_with(rng, np.linspace(0, 0.05, n))
    right = rng.standard_normal(n)
    with ThreadExecutor(2) as executor:
        made, current, _ = system(A, executor)
        steps = []
        for c in (0.5, 0.4, 0.6, 1.0):
            before = made.n_cg_steps
            assert made.solve(c, right, executor) is not None
            steps.append(made.n_cg_steps - before)
        assert made.n_factorisations == 1
        current[0] = A + noise
        made.refresh(executor)
        before = made.n_cg_steps
        g = made.solve(0.5, right, executor)
        assert np.linalg.norm(right - current[0] @ g - 0.5 * g) <= 1e-9 * np.linalg.norm(right)
        assert made.n_factorisations == 1
        assert made.n_cg_steps - before < steps[0] + preconditioned.FEW_STEPS
        # another matrix altogether: it is noticed in the middle, or by the next solution
        current[0] = matrix_with(rng, bulk(n))
        for _ in range(2):
            made.refresh(executor)
            g = made.solve(0.5, right, executor)
            assert np.linalg.norm(right - current[0] @ g - 0.5 * g) <= 1e-9 * np.linalg.norm(right)
        assert made.n_factorisations == 2


def test_columns_are_drawn_while_half_of_them_stand_out(seed, monkeypatch):
    monkeypatch.setattr(preconditioned, "FIRST_RANK", 16)
    n = 600
    A = matrix_with(np.random.default_rng(seed), bulk(n))
    with ThreadExecutor(2) as executor:
        ranks = []
        for c in (200.0, 20.0, 2.0, 0.1):
            made, _, _ = system(A, executor)
            assert made.solve(c, np.ones(n), executor) is not None
            ranks.append(made.solver_state().rank)
        assert ranks == sorted(ranks)
        assert ranks[0] < ranks[-1] == max_rank(n) == 150
        # for a smaller ridge there are more, once it is seen what they are worth
        made, _, _ = system(A, executor)
        for c, rank in ((200.0, ranks[0]), (0.1, ranks[0]), (0.1, 150)):
            made.solve(c, np.ones(n), executor)
            assert made.solver_state().rank == rank
        assert made.n_factorisations == 1


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_it_goes_on_from_a_state_bit_for_bit(seed, n_threads):
    rng = np.random.default_rng(seed)
    n = 300
    A, other, right = matrix_with(rng, bulk(n)), matrix_with(rng, bulk(n)), rng.standard_normal(n)
    other = 0.98 * A + 0.02 * other
    with InlineExecutor() as executor:
        made, current, _ = system(A, executor)
        assert made.norm > 0
        made.solve(0.3, right, executor)
        state = made.solver_state()
        current[0] = other
        made.refresh(executor)
        assert made.norm > 0
        expected = [made.solve(c, right, executor) for c in (0.3, 0.1)]
    with ThreadExecutor(n_threads) as executor:
        again, current, _ = system(A, executor)
        assert again.norm > 0
        assert again.make_preconditioner(state, executor)
        again.resume(state)
        assert again.solver_state() == state
        current[0] = other
        again.refresh(executor)
        assert again.norm > 0
        for c, g in zip((0.3, 0.1), expected, strict=True):
            assert np.array_equal(again.solve(c, right, executor), g)
        assert again.solver_state() == made.solver_state()
        assert again.norm == made.norm


def test_what_has_no_solution_has_none(seed):
    rng = np.random.default_rng(seed)
    n = 60
    with ThreadExecutor(1) as executor:
        zero_row = np.diag(np.append(np.ones(n - 1), 0.0))
        made, _, _ = system(zero_row, executor)
        assert made.is_singular(executor)
        assert made.solve(0.0, np.ones(n), executor) is None
        assert np.allclose(made.solve(0.5, np.ones(n), executor), 1 / (np.diag(zero_row) + 0.5))
        assert not made.solve(0.5, np.zeros(n), executor).any()
        assert made.solve(1e-300, np.full(n, 1e300), executor) is None  # an overflow
        half = rng.standard_normal((n // 2, n))
        twice = np.vstack([half, half]) @ np.vstack([half, half]).T  # all samples twice
        made, _, _ = system(twice, executor)
        assert made.is_singular(executor)
        assert made.solve(0.0, rng.standard_normal(n), executor) is None
        assert made.solve(1.0, rng.standard_normal(n), executor) is not None
        made, _, _ = system(matrix_with(rng, np.append(np.linspace(1, 2, n - 1), -0.1)), executor)
        assert made.solve(0.0, rng.standard_normal(n), executor) is None
        assert made.solve(0.2, rng.standard_normal(n), executor) is not None


def test_a_solution_that_takes_too_long_is_taken_if_it_is_of_use(seed, monkeypatch):
    monkeypatch.setattr(preconditioned, "MAX_STEPS", 8)
    monkeypatch.setattr(preconditioned, "MAX_STEPS_OF_FORCING", 8)
    monkeypatch.setattr(preconditioned, "MAX_RANK", 2)
    rng = np.random.default_rng(seed)
    A, right = matrix_with(rng, np.geomspace(1.0, 1e-3, 300)), rng.standard_normal(300)
    value = 0.5 * right @ right
    with ThreadExecutor(1) as executor:
        made, _, _ = system(A, executor)
        assert made.solve(1e-2, right, executor) is None
        assert made.solve(1e-2, right, executor, Forcing(value, 1e-6, 1e-6, 0.0, 0.0)) is not None
        assert made.solve(1e-9, right, executor, Forcing(1e-3 * value, 1e-6, 1e-6, 0.0, 0.0)) is None


def test_memory_is_what_was_announced():
    n = 3000
    rng = np.random.default_rng(0)
    B = rng.standard_normal((n, 40)) / np.arange(1, 41)
    A = (B @ B.T) ** 3 + np.eye(n)
    with ThreadExecutor(2) as executor:
        made, _, _ = system(A, executor)
        tracemalloc.start()
        try:
            made.solve(1e-3, rng.standard_normal(n), executor, Forcing(1e9, 0.1, 0.1, 0.0, 0.0))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert made.solver_state().rank == max_rank(n) == 750
    assert peak <= PreconditionedGram.bytes_needed(n)
