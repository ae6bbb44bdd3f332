"""CholeskyFactor: factors in one tile and in many, on any number of threads, and interrupted."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from sltrees.execution.threads import ThreadExecutor
from sltrees.linalg import cholesky
from sltrees.linalg.cholesky import CholeskyFactor

THREADS = (1, 2, 3, 8)


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of 8, and spans of 16 columns, so that small matrices have many."""
    monkeypatch.setattr(cholesky, "ONE_TILE", 8)
    monkeypatch.setattr(cholesky, "TILE", 8)
    monkeypatch.setattr(cholesky, "SPAN", 16)


def positive_definite(rng, n):
    root = rng.standard_normal((n, n + 2))
    return root @ root.T / n


def lower(factor):
    """L as an (n, n) array."""
    L = np.zeros((factor.n, factor.n))
    for start, panel, corner in zip(factor.edges, factor.panels, factor.corners, strict=False):
        rows = slice(start, start + len(panel))
        L[rows, :start], L[rows, rows] = panel, np.tril(corner)
    return L


def check(A, c, factor, right, executor):
    n = len(A)
    shifted = A + c * np.eye(n)
    assert factor.factorise(A, c, executor)
    assert factor.c == c
    size = np.linalg.norm(shifted, 2)
    assert np.linalg.norm(lower(factor) @ lower(factor).T - shifted, 2) <= 4e-15 * n * size
    assert np.allclose(factor.pivots, np.diag(lower(factor)) ** 2, rtol=1e-15)
    x = factor.solve(right, executor)
    assert np.linalg.norm(shifted @ x - right) <= 4e-15 * n * size * np.linalg.norm(x)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33, 100])
def test_factors_in_tiles(seed, small_tiles, n):
    rng = np.random.default_rng(seed)
    A, right = positive_definite(rng, n), rng.standard_normal(n)
    before = A.copy(), right.copy()
    factor = CholeskyFactor(n)
    with ThreadExecutor(2) as executor:
        check(A, 0.5, factor, right, executor)
        check(A[::-1, ::-1].copy(), 0.0, factor, right, executor)  # in the same arrays
    assert np.array_equal(A, before[0])
    assert np.array_equal(right, before[1])


@pytest.mark.parametrize("n", [1, 2, 300])
def test_factors_in_one_tile(seed, n):
    rng = np.random.default_rng(seed)
    with ThreadExecutor(1) as executor:
        check(positive_definite(rng, n), 0.0, CholeskyFactor(n), rng.standard_normal(n), executor)


@pytest.mark.parametrize("n", [cholesky.ONE_TILE, cholesky.ONE_TILE + 1])
def test_factors_around_the_order_from_which_there_are_tiles(seed, n):
    rng = np.random.default_rng(seed)
    A, right = positive_definite(rng, n), rng.standard_normal(n)
    factor = CholeskyFactor(n)
    with ThreadExecutor(2) as executor:
        assert factor.factorise(A, 1.0, executor)
        x = factor.solve(right, executor)
    assert np.linalg.norm(A @ x + x - right) <= 1e-14 * np.linalg.norm(A) * np.linalg.norm(x)
    assert (len(factor.corners) > 1) == (n > cholesky.ONE_TILE)


def test_the_number_of_threads_changes_no_bit(seed, small_tiles):
    rng = np.random.default_rng(seed)
    A, right = positive_definite(rng, 91), rng.standard_normal(91)
    results = []
    for n_threads in THREADS:
        factor = CholeskyFactor(91)
        with ThreadExecutor(n_threads) as executor:
            assert factor.factorise(A, 0.1, executor)
            results.append((lower(factor), factor.solve(right, executor)))
    for L, x in results[1:]:
        assert np.array_equal(L, results[0][0])
        assert np.array_equal(x, results[0][1])


@pytest.mark.parametrize("spoil", [0, 7, 8, 50, 90])
@pytest.mark.parametrize("value", [-1.0, 0.0, np.nan, np.inf])
def test_a_matrix_that_is_not_positive_definite_has_no_factor(seed, small_tiles, spoil, value):
    A = positive_definite(np.random.default_rng(seed), 91)
    good = A.copy()
    A[spoil, spoil] = value
    factor = CholeskyFactor(91)
    with ThreadExecutor(2) as executor:
        assert factor.factorise(good, 0.0, executor)
        assert not factor.factorise(A, 0.0, executor)
        assert factor.c is None
        assert factor.factorise(good, 0.0, executor)
        assert factor.c == 0.0


@pytest.mark.parametrize("n", [1, 8, 9, 40, 91])
def test_bytes_needed_are_those_held(seed, small_tiles, n):
    factor = CholeskyFactor(n)
    with ThreadExecutor(1) as executor:
        assert factor.factorise(np.eye(n), 0.0, executor)
    held = sum(array.nbytes for array in factor.panels + factor.corners)
    assert held <= CholeskyFactor.bytes_needed(n) <= max(held, 8 * 8**2)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.02, 0.3, 0.7])
def test_ctrl_c_in_a_large_factorisation_returns_within_half_a_second(delay):
    n = 6000
    A = np.full((n, n), 0.5)
    A[np.diag_indices(n)] = 1.0
    factor = CholeskyFactor(n)
    pressed = []

    def press():
        pressed.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    def work(executor):
        for _ in range(100):  # until the key is pressed, however fast the machine
            factor.factorise(A, 1.0, executor)

    timer = threading.Timer(delay, press)
    with ThreadExecutor(2) as executor:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            work(executor)
        waited = time.perf_counter() - pressed[0]
        timer.join()
        assert waited < 0.5
        assert executor.map(abs, [-1]) == [1]
    assert factor.c is None
