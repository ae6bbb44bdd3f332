"""GramMatrix: G from pair counts, and the choice between it and products alone. Solving is in test_gram_solvers.py."""

import itertools

import numpy as np
import pytest
from problems import unit_rows

from sltrees import reference
from sltrees._core._gram import multiply_counts
from sltrees.execution.threads import ThreadExecutor
from sltrees.gram.matrix import GramMatrix


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


# around the tiles of 32
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100])
def test_kernel_multiplies_ordered_counts(seed, n):
    rng = np.random.default_rng(seed)
    products, counts = rng.standard_normal((n, n)), rng.integers(0, 1000, (n, n), dtype=np.int32)
    products += products.T
    expected, sums = reference.multiply_counts(products, counts)
    for size in (n, 32, 33, 1):
        matrix, row_sums = np.full((n, n), np.nan), np.full(n, np.nan)
        for start in range(0, n, size):
            before = matrix.copy(), row_sums.copy()
            stop = min(start + size, n)
            multiply_counts(products, counts, start, stop, matrix, row_sums)
            for now, earlier in zip((matrix, row_sums), before, strict=True):  # rows outside are left alone
                assert np.array_equal(
                    np.delete(now, np.s_[start:stop], 0), np.delete(earlier, np.s_[start:stop], 0), True
                )
        assert np.array_equal(matrix, expected)
        assert np.allclose(row_sums, sums, rtol=1e-14, atol=0)
        if size == n:
            whole = row_sums
        assert np.array_equal(row_sums, whole)  # bit for bit, however rows are cut into panels
    assert np.array_equal(matrix, matrix.T)


def test_counts_may_be_changed_in_either_order_of_a_pair(seed):
    rng = np.random.default_rng(seed)
    X, _, fires = firing(rng, 140)
    gram = gram_of(X, fires)
    assert gram.counts.dtype == np.int32
    # a neuron stops firing on sample 5, in row 5 alone
    r = np.flatnonzero(fires[:, 5])[0]
    gram.counts[5, fires[r]] -= 1
    fires[r, 5] = False
    with ThreadExecutor(2) as executor:
        gram.refresh(executor)
    assert np.array_equal(gram.matrix, gram_of(X, fires).matrix)


def test_product_is_that_with_the_matrix(seed):
    rng = np.random.default_rng(seed)
    X, _, fires = firing(rng, 50)
    gram, v = gram_of(X, fires), rng.standard_normal(50)
    assert np.allclose(gram.product(v), gram.matrix @ v, rtol=1e-14, atol=0)


def test_one_sample():
    gram = GramMatrix(np.array([[2.0]]), 4)
    gram.counts[...] = 3
    with ThreadExecutor(1) as executor:
        gram.refresh(executor)
        assert gram.matrix.tolist() == [[3.0]]
        assert gram.solve(1.0, np.array([8.0]), executor).tolist() == [2.0]
        assert gram.solve(1.0, np.array([0.0]), executor).tolist() == [0.0]


@pytest.mark.parametrize("solver", ["lu", None])
def test_other_solvers_are_refused(solver):
    with pytest.raises(ValueError, match=r"solver must be .*, got"):
        GramMatrix(np.eye(2), 1, solver=solver)


# ---------------------------------------------------------------------- memory


def arrays_of(thing, found):
    """The arrays an object holds, by their address, views followed to what they view."""
    if isinstance(thing, np.ndarray):
        while isinstance(thing.base, np.ndarray):
            thing = thing.base
        found[id(thing)] = thing.nbytes
    elif isinstance(thing, list | tuple):
        for part in thing:
            arrays_of(part, found)
    elif hasattr(thing, "__dict__"):
        for part in vars(thing).values():
            arrays_of(part, found)
    return found


@pytest.mark.parametrize("n", [10, 200, 2100])
def test_bytes_needed_covers_what_is_held_and_little_more(n):
    with ThreadExecutor(2) as executor:
        gram = GramMatrix(np.ones((n, 2)), 10)
        gram.counts[...] = 1
        gram.refresh(executor)
        assert gram.solve(1.0, np.ones(n), executor) is not None
    held = sum(arrays_of(gram, {}).values())
    assert held <= GramMatrix.bytes_needed(n) <= 1.3 * held + 2000


def test_bytes_needed_rise_with_the_number_of_samples():
    needed = [GramMatrix.bytes_needed(n) for n in range(1, 3000)]
    assert all(a < b for a, b in itertools.pairwise(needed))
