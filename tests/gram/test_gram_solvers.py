"""All ways to solve (G + c I) g = r: the same answers, and the cheapest way chosen."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from sltrees.execution.threads import ThreadExecutor
from sltrees.gram import matrix as gram
from sltrees.gram.matrix import GramMatrix, steps_worth_a_factorisation
from sltrees.gram.matrix_free import MatrixFreeGram
from sltrees.gram.shared import SharedGram
from sltrees.linalg import cholesky
from sltrees.linalg.conjugate_gradients import TOL

THREADS = (1, 2, 3, 8)
SOLVERS = ("auto", "cholesky", "cg")
UNIT = 1000  # pair counts that make up a factor of 1


def samples_with(rng, eigenvalues):
    """X of shape (n, n) such that X X^T has these eigenvalues."""
    n = len(eigenvalues)
    return np.linalg.qr(rng.standard_normal((n, n)))[0] * np.sqrt(eigenvalues)


def gram_with(rng, eigenvalues, executor, solver="auto"):
    """A `GramMatrix` with these eigenvalues: all neurons fire on all samples."""
    n = len(eigenvalues)
    made = GramMatrix(samples_with(rng, eigenvalues), UNIT, solver=solver)
    made.counts[...] = np.triu(np.full((n, n), UNIT))
    made.refresh(executor)
    return made


def matrix_free(made):
    """The same G, by products."""
    free = MatrixFreeGram(lambda v: made.matrix @ v, made.matrix.diagonal, len(made.matrix))
    free.refresh(None)
    return free


def flip(made, rng, k, executor):
    """k neurons stop firing on some pair of samples."""
    n = len(made.counts)
    for i, j in rng.integers(0, n, (k, 2)):
        made.counts[min(i, j), max(i, j)] -= 1
    made.refresh(executor)


def backward_error(matrix, c, g, right):
    shifted = matrix + c * np.eye(len(matrix))
    scale = np.abs(shifted).sum(axis=1).max() * np.linalg.norm(g) + np.linalg.norm(right)
    return np.linalg.norm(right - shifted @ g) / scale


# 256: where "auto" begins to use old factors
@pytest.mark.parametrize("n", [1, 2, 3, 40, 255, 256, 300])
@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8, 1e12])
def test_all_ways_agree_as_far_as_the_condition_number_permits(seed, n, condition):
    rng = np.random.default_rng(seed)
    eigenvalues, right = np.geomspace(1.0, 1 / condition, n), rng.standard_normal(n)
    with ThreadExecutor(2) as executor:
        for solver in SOLVERS:
            made = gram_with(np.random.default_rng(seed), eigenvalues, executor, solver)
            for c in (0.0, 1e-3, 2e-3, 1e-3):
                expected = np.linalg.solve(made.matrix + c * np.eye(n), right)
                worst = np.linalg.cond(made.matrix + c * np.eye(n))
                g = made.solve(c, right, executor)
                assert backward_error(made.matrix, c, g, right) <= 1.1 * TOL
                # a factor sqrt(n) for the norm that the rule uses
                assert np.linalg.norm(g - expected) <= 4 * np.sqrt(n) * TOL * worst * np.linalg.norm(expected)


@pytest.mark.parametrize("n", [1, 2, 3, 40, 300])
@pytest.mark.parametrize("condition", [1.0, 1e4])
def test_products_alone_give_the_same_answer(seed, n, condition):
    rng = np.random.default_rng(seed)
    right = rng.standard_normal(n)
    with ThreadExecutor(2) as executor:
        made = gram_with(rng, np.geomspace(1.0, 1 / condition, n), executor)
        free = matrix_free(made)
        for c in (0.0, 1e-3):
            g = free.solve(c, right, executor)
            assert backward_error(made.matrix, c, g, right) <= 1.1 * TOL
            distance = np.linalg.norm(g - made.solve(c, right, executor))
            worst = np.linalg.cond(made.matrix + c * np.eye(n))
            assert distance <= 4 * np.sqrt(n) * TOL * worst * np.linalg.norm(g)
    assert free.n_factorisations == 0
    assert free.trace == pytest.approx(made.trace, rel=1e-14)


def test_tiled_factors_give_the_same_answer(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    right = rng.standard_normal(300)
    with ThreadExecutor(2) as executor:
        expected = gram_with(np.random.default_rng(1), np.geomspace(1, 1e-4, 300), executor).solve(0.0, right, executor)
        monkeypatch.setattr(cholesky, "ONE_TILE", 64)
        monkeypatch.setattr(cholesky, "TILE", 64)
        made = gram_with(np.random.default_rng(1), np.geomspace(1, 1e-4, 300), executor)
        g = made.solve(0.0, right, executor)
    assert len(made._factor.corners) == 5
    assert np.linalg.norm(g - expected) <= 1e-9 * np.linalg.norm(g)


# ---------------------------------------------------------------------- choice


def counters(made):
    return made.n_factorisations, made.n_cg_steps


def test_a_factor_is_used_again_when_nothing_changed(seed):
    rng = np.random.default_rng(seed)
    with ThreadExecutor(1) as executor:
        for solver in SOLVERS:
            made = gram_with(rng, np.geomspace(1, 1e-2, 300), executor, solver)
            for _ in range(3):
                made.solve(0.1, rng.standard_normal(300), executor)
                assert counters(made) == (1, 0)


def test_small_changes_take_conjugate_gradients_and_large_ones_a_new_factor(seed):
    rng = np.random.default_rng(seed)
    with ThreadExecutor(1) as executor:
        made = gram_with(rng, np.geomspace(1, 1e-2, 600), executor)
        made.solve(0.1, rng.standard_normal(600), executor)
        flip(made, rng, 3, executor)
        right = rng.standard_normal(600)
        g = made.solve(0.1, right, executor)
        n_factorisations, small = counters(made)
        assert n_factorisations == 1
        assert 0 < small <= steps_worth_a_factorisation(600)
        assert backward_error(made.matrix, 0.1, g, right) <= 1.1 * TOL
        # another pattern altogether
        made.counts[...] = np.triu(rng.integers(0, 2, made.counts.shape), 1)
        made.counts[np.diag_indices(600)] = 50 * UNIT
        made.refresh(executor)
        g = made.solve(0.1, right, executor)
        assert made.n_factorisations == 2
        assert made.n_cg_steps <= small + steps_worth_a_factorisation(600)
        assert backward_error(made.matrix, 0.1, g, right) <= 1.1 * TOL


def test_a_hopeless_attempt_is_given_up_after_three_steps(seed):
    rng = np.random.default_rng(seed)
    with ThreadExecutor(1) as executor:
        made = gram_with(rng, np.geomspace(1, 1e-8, 1000), executor)
        made.solve(1e-1, rng.standard_normal(1000), executor)
        made.solve(1e-6, rng.standard_normal(1000), executor)
    assert counters(made) == (2, 3)


def test_an_old_factor_is_replaced_when_all_steps_with_it_are_worth_a_new_one(seed):
    rng = np.random.default_rng(seed)
    n, steps_before = 600, 0
    with ThreadExecutor(1) as executor:
        made = gram_with(rng, np.geomspace(1, 1e-2, n), executor)
        made.solve(0.1, rng.standard_normal(n), executor)
        while made.n_factorisations == 1:
            steps_before = made.n_cg_steps
            flip(made, rng, 1, executor)
            made.solve(0.1, rng.standard_normal(n), executor)
            assert made.n_cg_steps < 3 * steps_worth_a_factorisation(n)
    assert made.n_factorisations == 2
    assert made.n_cg_steps == steps_before >= steps_worth_a_factorisation(n)


def test_small_systems_are_factorised_always(seed):
    rng = np.random.default_rng(seed)
    with ThreadExecutor(1) as executor:
        made = gram_with(rng, np.geomspace(1, 1e-2, 100), executor)
        for k in range(1, 4):
            made.solve(0.1, rng.standard_normal(100), executor)
            flip(made, rng, 1, executor)
            assert counters(made) == (k, 0)


def test_each_solver_does_what_its_name_says(seed):
    with ThreadExecutor(1) as executor:
        for solver, expected in (("cholesky", 3), ("cg", 1)):
            rng = np.random.default_rng(seed)
            made = gram_with(rng, np.geomspace(1, 1e-2, 50), executor, solver)
            made.solve(0.1, rng.standard_normal(50), executor)
            flip(made, rng, 1, executor)
            made.solve(0.1, rng.standard_normal(50), executor)
            made.solve(0.05, rng.standard_normal(50), executor)
            assert made.n_factorisations == expected
            assert (made.n_cg_steps > 0) == (solver == "cg")


def test_steps_worth_a_factorisation_grow_with_the_order():
    worth = [steps_worth_a_factorisation(n) for n in (1, 256, 300, 500, 999, 1000, 3000, 10_000, 10**6)]
    assert worth == sorted(worth)
    assert worth[0] == 4
    assert worth[-1] == 50


# ---------------------------------------------------------------------- no solution


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("n", [2, 30, 300])
def test_there_is_no_solution_unless_positive_definite_also_with_an_old_factor(seed, n, solver):
    rng = np.random.default_rng(seed)
    with ThreadExecutor(2) as executor:
        made = gram_with(rng, np.linspace(1, 2, n), executor, solver)
        good = made.counts.copy()
        assert made.solve(0.0, np.ones(n), executor) is not None
        made.counts[0] = made.counts[:, 0] = 0  # nothing fires on a sample
        made.refresh(executor)
        assert made.solve(0.0, np.ones(n), executor) is None
        assert made.is_singular(executor)
        assert made.solve(0.1, np.ones(n), executor)[0] == pytest.approx(10.0, rel=1e-12)
        made.counts[...] = good
        made.counts[np.diag_indices(n)] = -UNIT  # no counts, but a matrix that is not definite
        made.refresh(executor)
        assert made.solve(0.0, np.ones(n), executor) is None
        made.counts[...] = good
        made.refresh(executor)
        assert made.solve(0.0, np.ones(n), executor) is not None
        assert not made.is_singular(executor)


@pytest.mark.parametrize("n", [2, 30, 200])
def test_products_alone_tell_singular_and_indefinite_matrices(seed, n):
    rng = np.random.default_rng(seed)

    def free_of(eigenvalues):
        vectors = np.linalg.qr(rng.standard_normal((n, n)))[0]
        A = (vectors * eigenvalues) @ vectors.T
        A = (A + A.T) / 2
        made = MatrixFreeGram(lambda v: A @ v, A.diagonal, n)
        with ThreadExecutor(1) as executor:
            return made, made.solve(0.0, np.ones(n), executor), made.is_singular(executor)

    _, g, singular = free_of(np.linspace(1, 2, n))
    assert g is not None
    assert not singular
    for last in (0.0, 1e-17, -0.1):
        eigenvalues = np.linspace(1, 2, n)
        eigenvalues[-1] = last
        made, g, singular = free_of(eigenvalues)
        assert g is None
        assert singular
        with ThreadExecutor(1) as executor:
            assert made.solve(1.0, np.ones(n), executor) is not None


def test_products_alone_see_a_zero_on_the_diagonal():
    d = np.array([1.0, 0.0, 2.0])
    made = MatrixFreeGram(lambda v: d * v, lambda: d, 3)
    with ThreadExecutor(1) as executor:
        assert made.is_singular(executor)
        assert made.solve(0.0, np.ones(3), executor) is None
        assert made.solve(0.5, np.array([1.5, 1.0, 2.5]), executor) == pytest.approx(np.array([1.0, 2.0, 1.0]))
        assert made.solve(0.5, np.zeros(3), executor).tolist() == [0.0, 0.0, 0.0]
        assert made.solve(1e-300, np.full(3, 1e300), executor) is None  # an overflow


# ---------------------------------------------------------------------- products alone


def counted(A):
    """A `MatrixFreeGram` and the list of its products."""
    products = []

    def product(v):
        products.append(v)
        return A @ v

    return MatrixFreeGram(product, A.diagonal, len(A)), products


def test_a_sketch_takes_out_large_eigenvalues_and_is_kept_while_it_serves(seed):
    rng = np.random.default_rng(seed)
    n = 400
    vectors = np.linalg.qr(rng.standard_normal((n, n)))[0]
    eigenvalues = np.concatenate([np.geomspace(1e6, 10, 50), np.linspace(1, 2, n - 50)])
    A = (vectors * eigenvalues) @ vectors.T
    A = (A + A.T) / 2
    made, products = counted(A)
    with ThreadExecutor(1) as executor:
        right = rng.standard_normal(n)
        g = made.solve(0.0, right, executor)
        assert np.linalg.norm(g - np.linalg.solve(A, right)) <= 1e-7 * np.linalg.norm(g)
        first = made.n_cg_steps
        made.refresh(executor)
        before = len(products)
        assert made.solve(0.1, rng.standard_normal(n), executor) is not None
        second = made.n_cg_steps - first
    assert second < 80 < first  # fewer than sketching and what came before
    assert len(products) - before <= second + 20  # no new sketch


def test_a_slow_solve_makes_the_next_one_fast(seed):
    rng = np.random.default_rng(seed)
    n = 400
    vectors = np.linalg.qr(rng.standard_normal((n, n)))[0]
    A = (vectors * np.concatenate([np.geomspace(100, 10, 50), np.linspace(1, 4, n - 50)])) @ vectors.T
    made, steps = counted((A + A.T) / 2)[0], []
    with ThreadExecutor(1) as executor:
        for _ in range(3):
            before = made.n_cg_steps
            assert made.solve(0.0, rng.standard_normal(n), executor) is not None
            steps.append(made.n_cg_steps - before)
    assert 64 < steps[0] <= 128
    assert max(steps[1:]) < 0.75 * steps[0]


def test_a_stale_sketch_is_made_anew(seed):
    rng = np.random.default_rng(seed)
    n = 400

    def matrix():
        vectors = np.linalg.qr(rng.standard_normal((n, n)))[0]
        A = (vectors * np.concatenate([np.geomspace(1e6, 10, 50), np.linspace(1, 2, n - 50)])) @ vectors.T
        return (A + A.T) / 2

    A = matrix()
    current = [A]
    made = MatrixFreeGram(lambda v: current[0] @ v, lambda: current[0].diagonal(), n)
    with ThreadExecutor(1) as executor:
        assert made.solve(0.0, rng.standard_normal(n), executor) is not None
        sketch = made._sketch
        current[0] = matrix()
        made.refresh(executor)
        right = rng.standard_normal(n)
        g = made.solve(0.0, right, executor)
    assert made._sketch is not sketch
    assert np.linalg.norm(g - np.linalg.solve(current[0], right)) <= 1e-7 * np.linalg.norm(g)


def test_products_alone_hold_no_square_array():
    n = 200_000
    d = np.linspace(1, 2, n)
    made = MatrixFreeGram(lambda v: d * v, lambda: d, n)
    with ThreadExecutor(1) as executor:
        assert np.allclose(made.solve(0.0, d, executor), 1.0)
    assert MatrixFreeGram.bytes_needed(n) < 3000 * n


def test_a_system_beyond_the_steps_allowed_has_no_solution(seed, monkeypatch):
    monkeypatch.setattr("sltrees.gram.matrix_free.MAX_STEPS", 150)
    d = np.geomspace(1, 1e-9, 1000)
    vectors = np.linalg.qr(np.random.default_rng(seed).standard_normal((1000, 1000)))[0]
    A = (vectors * d) @ vectors.T
    made = MatrixFreeGram(lambda v: A @ v, A.diagonal, 1000)
    with ThreadExecutor(1) as executor:
        assert made.solve(0.0, np.ones(1000), executor) is None
        assert made.n_cg_steps <= 150


# ---------------------------------------------------------------------- threads and Ctrl-C


def sequence(seed, n, n_threads, solver):
    """Answers and counters of some systems that change little and much."""
    rng = np.random.default_rng(seed)
    with ThreadExecutor(n_threads) as executor:
        made = GramMatrix(rng.standard_normal((n, 2 * n)), UNIT, solver=solver)
        made.counts[...] = np.triu(np.full((n, n), UNIT))
        answers = []
        for c, k in ((0.1, 0), (0.1, 1), (0.2, 0), (1e-3, 5), (1e-3, 1), (1e-3, 1)):
            flip(made, rng, k, executor)
            answers.append(made.solve(c, rng.standard_normal(n), executor))
    return made, answers


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_number_of_threads_changes_no_bit(seed, solver, monkeypatch):
    monkeypatch.setattr(cholesky, "ONE_TILE", 64)
    monkeypatch.setattr(cholesky, "TILE", 64)
    monkeypatch.setattr(cholesky, "SPAN", 128)
    monkeypatch.setattr(gram, "_PRODUCT_ROWS", 100)
    first, expected = sequence(seed, 301, 1, solver)
    assert all(answer is not None for answer in expected)
    for n_threads in THREADS[1:]:
        made, answers = sequence(seed, 301, n_threads, solver)
        assert counters(made) == counters(first)
        assert np.array_equal(made.matrix, first.matrix)
        for answer, other in zip(answers, expected, strict=True):
            assert np.array_equal(answer, other)


@pytest.mark.slow
def test_ctrl_c_at_any_moment_returns_within_half_a_second_and_leaves_it_usable():
    n = 6000
    rng = np.random.default_rng(0)
    X, right = rng.standard_normal((n, 64)), rng.standard_normal(n)
    with ThreadExecutor(2) as executor:
        for delay in (0.1, 0.4, 0.9, 1.6):
            made, pressed = GramMatrix(X, UNIT), []
            made.counts[...] = 1
            made.counts[np.diag_indices(n)] = UNIT

            def press(pressed=pressed):
                pressed.append(time.perf_counter())
                os.kill(os.getpid(), signal.SIGINT)

            def work(made=made):
                for c in np.geomspace(1, 1e-3, 1000):
                    made.refresh(executor)
                    made.solve(c, right, executor)

            timer = threading.Timer(delay, press)
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                work()
            assert time.perf_counter() - pressed[0] < 0.5
            timer.join()
        made.refresh(executor)
        g = made.solve(1.0, right, executor)
        assert np.linalg.norm(right - made.matrix @ g - g) <= 1e-12 * np.linalg.norm(right)


# ---------------------------------------------------------------------- one G for several


def test_matrices_that_were_forked_share_a_factor_until_one_of_them_changes():
    rng, right = np.random.default_rng(0), np.arange(1.0, 301.0)
    with ThreadExecutor(2) as executor:
        alone = gram_with(rng, np.linspace(1.0, 3.0, 300), executor)
        shared = SharedGram()
        a, b = (shared.fork(lambda: alone) for _ in range(2))
        for forked in a, b:
            shared.factorise(forked, 0.5, executor)
        expected = alone.solve(0.5, right, executor)
        assert np.array_equal(a.solve(0.5, right, executor), expected)
        assert (alone.n_factorisations, a.n_factorisations, a.n_cg_steps) == (1, 0, 0)
        flip(a, rng, 20, executor)
        assert a.solve(0.75, right, executor) is not None
        assert np.array_equal(b.solve(0.5, right, executor), expected)
        assert np.array_equal(b.matrix, alone.matrix)
        assert np.array_equal(b.counts, alone.counts)
        assert not np.array_equal(a.matrix, alone.matrix)
        assert b.n_factorisations == 0


def test_a_shared_matrix_without_a_factor_is_lent_without_one():
    with ThreadExecutor(1) as executor:
        singular = gram_with(np.random.default_rng(0), np.array([1.0, -1.0, 1.0]) ** 2 - 1.0, executor)
        shared = SharedGram()
        forked = shared.fork(lambda: singular)
        shared.factorise(forked, 0.0, executor)
        assert forked.solve(0.0, np.ones(3), executor) is None
        assert np.allclose(forked.solve(2.0, np.ones(3), executor), 0.5)
