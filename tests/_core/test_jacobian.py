"""The kernels over fired pairs against their NumPy twins in sltrees.reference."""

import numpy as np
import pytest

from sltrees import reference
from sltrees._core import _jacobian

DTYPES = (np.float32, np.float64)
# (neurons, samples, features, share of pairs that fire)
SHAPES = [
    (0, 5, 3, 0.5),
    (1, 1, 1, 1.0),
    (1, 1, 1, 0.0),
    (7, 9, 2, 0.0),
    (20, 30, 4, 0.2),
    (33, 17, 5, 0.5),
    (12, 8, 3, 1.0),
]


def as_csr(fires):
    """The pattern of a boolean (k, n) array as the kernels take it."""
    indptr = np.concatenate([[0], np.cumsum(fires.sum(axis=1))]).astype(np.int64)
    return indptr, np.nonzero(fires)[1].astype(np.int32)


def problem(seed, shape, dtype):
    k, n, d, share = shape
    rng = np.random.default_rng(seed)
    fires = rng.random((k, n)) < share
    signs = rng.choice([-1, 1], k).astype(dtype)
    return rng, fires, signs, rng.standard_normal((k, n)).astype(dtype), rng.standard_normal((n, d)).astype(dtype)


def close(actual, expected, dtype, terms=50):
    return np.allclose(
        actual, expected, rtol=0, atol=terms * np.finfo(dtype).eps * max(1.0, np.abs(expected).max(initial=0))
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_add_outputs_adds_the_outputs_of_fired_pairs(seed, shape, dtype):
    _, fires, signs, z, _ = problem(seed, shape, dtype)
    start = np.arange(fires.shape[1], dtype=np.float64)
    out = start.copy()
    _jacobian.add_outputs(*as_csr(fires), z[fires], signs, 0.25, out)
    # float64 sums in both dtypes
    assert close(out - start, reference.outputs(fires, z.astype(np.float64), signs, 0.25), np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_add_dense_outputs_applies_the_shifted_relu(seed, shape, dtype):
    _, _, signs, z, _ = problem(seed, shape, dtype)
    start = np.arange(z.shape[1], dtype=np.float64)
    out = start.copy()
    _jacobian.add_dense_outputs(z, signs, 0.25, out)
    assert close(out - start, reference.outputs(z > 0.25, z.astype(np.float64), signs, 0.25), np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_add_dense_outputs_misses_no_sample_that_is_hardly_above_the_shift(dtype):
    shift = 0.1  # which float32 rounds up
    z = np.zeros((3, 200), dtype=dtype)
    z[0, 150], z[1, 70] = np.nextafter(dtype(shift), dtype(1.0)), dtype(shift)
    z[2, 3] = np.nan
    out = np.zeros(200)
    _jacobian.add_dense_outputs(z, np.array([1.0, -1.0, 1.0], dtype=dtype), shift, out)
    expected = np.zeros(200)
    expected[150], expected[70] = float(z[0, 150]) - shift, -max(float(z[1, 70]) - shift, 0.0)
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_add_pair_counts_counts_neurons_that_fire_on_both(seed, shape):
    fires = problem(seed, shape, np.float32)[1]
    n = fires.shape[1]
    counts = np.ones((n, n), dtype=np.int32)
    _jacobian.add_pair_counts(*as_csr(fires), 0, n, counts)
    assert np.array_equal(np.triu(counts - 1), np.triu(reference.pair_counts(fires)))
    assert np.all(np.tril(counts, -1) == np.tril(np.ones((n, n)), -1))


@pytest.mark.parametrize("shape", SHAPES)
def test_pair_counts_of_panels_make_up_the_whole(seed, shape):
    fires = problem(seed, shape, np.float32)[1]
    n = fires.shape[1]
    for size in (1, 2, 5, n):
        counts = np.zeros((n, n), dtype=np.int32)
        for start in range(0, n, size):
            before = counts.copy()
            stop = min(start + size, n)
            _jacobian.add_pair_counts(*as_csr(fires), start, stop, counts)
            outside = np.ones(n, dtype=bool)
            outside[start:stop] = False
            assert np.array_equal(counts[outside], before[outside])  # two tasks never write to the same row
        assert np.array_equal(counts, np.triu(reference.pair_counts(fires)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_add_jacobian_product_multiplies_by_the_jacobian(seed, shape, dtype):
    rng, fires, signs, _, data = problem(seed, shape, dtype)
    rows = rng.standard_normal((len(fires), data.shape[1])).astype(dtype)
    start = np.arange(fires.shape[1], dtype=np.float64)
    out = start.copy()
    _jacobian.add_jacobian_product(*as_csr(fires), signs, rows, data, out)
    expected = reference.jacobian_product(fires, signs, rows.astype(np.float64), data.astype(np.float64))
    assert close(out - start, expected, np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("shrink", [1.0, 0.75, 0.0])
def test_shrink_and_step_moves_the_listed_neurons_only(seed, shape, dtype, shrink):
    rng, fires, signs, _, data = problem(seed, shape, dtype)
    k, n = fires.shape
    coefficients, before = rng.standard_normal(n), rng.standard_normal((k, data.shape[1])).astype(dtype)
    neurons = np.sort(rng.permutation(k)[: (k + 1) // 2]).astype(np.int64)
    displacement = before.copy()
    _jacobian.shrink_and_step(*as_csr(fires), signs, coefficients, data, shrink, 0.125, neurons, displacement)
    expected = before.astype(np.float64)
    expected[neurons] = reference.shrink_and_step(fires, signs, coefficients, data, shrink, 0.125, expected)[neurons]
    assert close(displacement, expected, dtype)
    others = np.setdiff1d(np.arange(k), neurons)
    assert np.array_equal(displacement[others], before[others])


@pytest.mark.parametrize("shape", SHAPES)
def test_count_flips_counts_pairs_in_exactly_one_pattern(seed, shape):
    rng, a, _, _, _ = problem(seed, shape, np.float32)
    flipped = a ^ (rng.random(a.shape) < 0.3)
    for b in (a, flipped, np.zeros_like(a), np.ones_like(a)):
        assert _jacobian.count_flips(*as_csr(a), *as_csr(b)) == reference.count_flips(a, b)
        assert _jacobian.count_flips(*as_csr(b), *as_csr(a)) == reference.count_flips(a, b)


def test_the_gram_matrix_of_pair_counts_is_that_of_the_dense_jacobian(seed):
    rng = np.random.default_rng(seed)
    W, X, signs = rng.standard_normal((50, 4)), rng.standard_normal((12, 4)), rng.choice([-1.0, 1.0], 50)
    fires = W @ X.T > 0.5
    counts = np.zeros((12, 12), dtype=np.int32)
    _jacobian.add_pair_counts(*as_csr(fires), 0, 12, counts)
    counts += np.triu(counts, 1).T
    J = reference.dense_jacobian(W, signs, 0.5, X)
    assert np.allclose(J @ J.T, counts * (X @ X.T) / 50, rtol=1e-12, atol=1e-14)
