"""GramMatrix: G from pair counts, and solving with it."""

import numpy as np
import pytest
from problems import unit_rows

from sltrees import reference
from sltrees.executors import ThreadExecutor
from sltrees.gram import GramMatrix


def firing(rng, n, width=400, d=5, shift=0.5):
    X, W = unit_rows(rng, n, d), rng.standard_normal((width, d))
    return X, W, W @ X.T > shift


def as_csr(fires):
    indptr = np.concatenate([[0], np.cumsum(fires.sum(axis=1))]).astype(np.int64)
    return indptr, np.nonzero(fires)[1].astype(np.int32)


def gram_of(X, fires, n_parts=1, n_threads=1):
    gram = GramMatrix(X, len(fires))
    with ThreadExecutor(n_threads) as executor:
        gram.count_pairs([as_csr(part) for part in np.array_split(fires, n_parts)], executor)
    return gram


# around the panels of 128 rows
@pytest.mark.parametrize("n", [1, 2, 127, 128, 129, 256, 300])
def test_gram_matrix_is_that_of_the_dense_jacobian(seed, n):
    X, W, fires = firing(np.random.default_rng(seed), n)
    gram = gram_of(X, fires)
    J = reference.dense_jacobian(W, np.ones(len(W)), 0.5, X)
    assert np.allclose(gram.matrix, J @ J.T, rtol=0, atol=1e-13)
    assert np.array_equal(gram.matrix, gram.matrix.T)
    assert gram.trace == pytest.approx(np.sum(J**2), rel=1e-12)


def test_gram_matrix_depends_neither_on_the_blocks_nor_on_the_threads(seed):
    X, _, fires = firing(np.random.default_rng(seed), 300)
    expected = gram_of(X, fires).matrix
    for n_parts in (2, 7):
        for n_threads in (1, 2, 3, 8):
            assert np.array_equal(gram_of(X, fires, n_parts, n_threads).matrix, expected)


def test_counting_again_forgets_the_pattern_before(seed):
    X, _, fires = firing(np.random.default_rng(seed), 150)
    gram = gram_of(X, np.ones_like(fires))
    with ThreadExecutor(2) as executor:
        gram.count_pairs([as_csr(fires)], executor)
    assert np.array_equal(gram.matrix, gram_of(X, fires).matrix)


def test_float32_samples_give_a_float64_matrix(seed):
    X, _, fires = firing(np.random.default_rng(seed), 40)
    gram = gram_of(X.astype(np.float32), fires)
    assert gram.matrix.dtype == np.float64
    assert np.allclose(gram.matrix, gram_of(X, fires).matrix, rtol=0, atol=1e-6)


@pytest.mark.parametrize("c", [0.0, 1e-6, 1.0])
def test_solve_solves(seed, c):
    rng = np.random.default_rng(seed)
    X, _, fires = firing(rng, 100)
    gram, right = gram_of(X, fires), rng.standard_normal(100)
    before = gram.matrix.copy(), right.copy()
    with ThreadExecutor(1) as executor:
        g = gram.solve(c, right, executor)
    residual = gram.matrix @ g + c * g - right
    assert np.linalg.norm(residual) <= 1e-12 * (np.linalg.norm(gram.matrix) + c) * np.linalg.norm(g)
    assert np.array_equal(gram.matrix, before[0])
    assert np.array_equal(right, before[1])


def test_a_matrix_that_is_not_positive_definite_has_no_solution_until_it_is_damped(seed):
    X, _, fires = firing(np.random.default_rng(seed), 20)
    fires[:, 3] = False  # a sample on which nothing fires: a row of zeros
    gram = gram_of(X, fires)
    with ThreadExecutor(1) as executor:
        assert gram.solve(0.0, np.ones(20), executor) is None
        g = gram.solve(0.5, np.ones(20), executor)
        assert g[3] == pytest.approx(2.0, rel=1e-14)
        # an overflow is no solution either
        assert gram.solve(1e-300, np.full(20, 1e300), executor) is None


def test_is_singular_tells_regular_from_singular(seed):
    X, _, fires = firing(np.random.default_rng(seed), 40, width=2000)
    silent, equal = fires.copy(), fires.copy()
    silent[:, 3] = False
    equal[:, 8] = equal[:, 9]
    twins = X.copy()
    twins[8] = twins[9]
    with ThreadExecutor(1) as executor:
        assert not gram_of(X, fires).is_singular(executor)
        assert gram_of(X, silent).is_singular(executor)
        assert gram_of(twins, equal).is_singular(executor)
        assert gram_of(X, np.zeros_like(fires)).is_singular(executor)


@pytest.mark.parametrize("n", [10, 200])
def test_bytes_needed_covers_what_is_held(n):
    gram = GramMatrix(np.ones((n, 2)), 10)
    held = gram.matrix.nbytes + gram._products.nbytes + gram._counts.nbytes
    assert held + 8 * n * n <= GramMatrix.bytes_needed(n)
