"""Kernels over pairs listed both ways: right at every level, whatever their shape, and however the work is cut up."""

import itertools

import numpy as np
import pytest

from sltrees._core import _simd
from sltrees._core._fired_pairs import ROWS_AT_ONCE, add_columns, collect, gather, padded_length, transposed
from sltrees._core._pair_bits import NEURONS_OF_BLOCK, add_common, fired_bits
from sltrees._core._pools import padded
from sltrees.gram import pair_bits

levels = pytest.mark.parametrize("level", _simd.supported_levels())
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(autouse=True)
def _level_as_before():
    before = _simd.active_level_name()
    yield
    _simd.set_active_level(before)


def pattern_of(rng, k, n, p):
    """A dense pattern with neurons and samples that have no pair, and its CSR form, rows in any order."""
    fires = rng.random((k, n)) < p
    fires[rng.random(k) < 0.1] = False
    fires[:, rng.random(n) < 0.1] = False
    indptr = np.concatenate([[0], np.cumsum(fires.sum(axis=1), dtype=np.int64)])
    rows = [rng.permutation(np.flatnonzero(row)) for row in fires]
    return fires, indptr, np.concatenate([np.empty(0, int), *rows]).astype(np.int32)


def listed_both_ways(indptr, columns, n):
    neurons = transposed(indptr, columns, n)
    return neurons, transposed(*neurons, len(indptr) - 1)


@pytest.mark.parametrize(("k", "n", "p"), [(1, 1, 1.0), (7, 0, 0.5), (0, 5, 0.5), (40, 70, 0.2), (300, 50, 0.02)])
def test_lists_are_the_transpose_and_ascend(seed, k, n, p):
    fires, indptr, columns = pattern_of(np.random.default_rng(seed), k, n, p)
    (of_samples, neurons), (of_neurons, samples) = listed_both_ways(indptr, columns, n)
    for i in range(n):
        assert np.array_equal(neurons[of_samples[i] : of_samples[i + 1]], np.flatnonzero(fires[:, i]))
    for r in range(k):
        assert np.array_equal(samples[of_neurons[r] : of_neurons[r + 1]], np.flatnonzero(fires[r]))
    assert len(of_samples) == n + 1
    assert np.array_equal(of_neurons, indptr)


# around groups of lanes, numbers of groups, and what is summed at a time
@levels
@dtypes
@pytest.mark.parametrize("d", [1, 7, 8, 9, 24, 40, 50, 63, 64, 65, 130])
def test_products_are_those_of_the_definition(seed, level, dtype, d):
    rng = np.random.default_rng(seed)
    _simd.set_active_level(level)
    # more samples than a stretch, more neurons than gather at a time
    for k, n in ((ROWS_AT_ONCE + 30, 90), (20, 2500)):
        fires, indptr, columns = pattern_of(rng, k, n, 0.1)
        X, v = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal(n)
        neurons, samples = listed_both_ways(indptr, columns, n)
        sums, out = np.full((k, padded_length(d)), np.nan), np.full(n, np.nan)
        data = padded(X)
        for start in range(0, k, ROWS_AT_ONCE):
            gather(*samples, start, min(start + ROWS_AT_ONCE, k), data, v, sums)
        collect(*neurons, 0, n, sums, data, out)
        exact = X.astype(np.float64)
        expected = fires.astype(float) @ (v[:, None] * exact)
        assert np.abs(sums[:, :d] - expected).max() <= 1e-12 * np.abs(expected).max()
        assert not sums[:, d:].any()
        expected = np.einsum("id,id->i", exact, fires.T.astype(float) @ expected)
        assert np.abs(out - expected).max() <= 1e-12 * np.abs(expected).max()


@levels
@dtypes
def test_no_bit_depends_on_how_the_work_is_cut_up(seed, level, dtype):
    rng = np.random.default_rng(seed)
    _simd.set_active_level(level)
    k, n, d = 300, 200, 20
    _, indptr, columns = pattern_of(rng, k, n, 0.1)
    data, v = padded(rng.standard_normal((n, d)).astype(dtype)), rng.standard_normal(n)
    neurons, samples = listed_both_ways(indptr, columns, n)
    whole, out = np.empty((k, padded_length(d))), np.empty(n)
    gather(*samples, 0, k, data, v, whole)
    collect(*neurons, 0, n, whole, data, out)
    sums, parts = np.full_like(whole, np.nan), np.full(n, np.nan)
    edges = [0, 1, 17, 18, 150, k]
    for start, stop in itertools.pairwise(edges):
        gather(*samples, start, stop, data, v, sums)
    assert np.array_equal(sums, whole)
    edges = [0, 3, 50, n]
    for start, stop in itertools.pairwise(edges):
        collect(*neurons, start, stop, sums, data, parts)
    assert np.array_equal(parts, out)
    before = parts.copy()
    gather(*samples, 5, 5, data, v, sums)
    collect(*neurons, 9, 9, sums, data, parts)
    assert np.array_equal(parts, before)


def test_columns_count_neurons_that_fire_on_both(seed):
    rng = np.random.default_rng(seed)
    fires, indptr, columns = pattern_of(rng, 60, 80, 0.2)
    neurons, samples = listed_both_ways(indptr, columns, 80)
    some = rng.integers(0, 80, 30)  # some of them twice
    counts = np.ones((30, 80), dtype=np.int32)
    add_columns(*neurons, *samples, some, counts)
    H = fires.T.astype(int) @ fires.astype(int)
    assert np.array_equal(counts, 1 + H[some])


def symmetric(counts):
    """H of ordered pair counts."""
    return counts + counts.T - np.diag(counts.diagonal())


# samples whose halves are equal and unequal; neurons around words and blocks
@levels
@pytest.mark.parametrize(("k", "n"), [(1, 1), (64, 2), (65, 3), (0, 4), (NEURONS_OF_BLOCK + 1, 50), (1100, 51), (5, 0)])
def test_bits_count_each_pair_once_in_the_row_that_is_asked_for(seed, level, k, n):
    _simd.set_active_level(level)
    fires, indptr, columns = pattern_of(np.random.default_rng(seed), k, n, 0.4)
    bits, counts, parts = fired_bits(indptr, columns, n), np.zeros((n, n), np.int32), np.zeros((n, n), np.int32)
    add_common(bits, 0, n, 1, counts)
    H = fires.T.astype(int) @ fires.astype(int)
    assert np.array_equal(symmetric(counts), H)
    for start, stop in itertools.pairwise([0, n // 3, n // 2, n]):
        add_common(bits, start, stop, -2, parts)
        assert not parts[stop:].any()
    assert np.array_equal(parts, -2 * counts)
    per_row = np.count_nonzero(counts, axis=1)
    if H.all() and n:
        assert per_row.max() - per_row.min() <= 1


def test_flips_are_counted_by_bits_as_what_fires_after_them_less_what_fires_before(seed):
    rng, n = np.random.default_rng(seed), 40
    fires, indptr, columns = pattern_of(rng, 600, n, 0.4)
    flips = rng.random(fires.shape) < 0.1
    neurons, samples = (where.astype(np.int32) for where in np.nonzero(flips))
    counts = np.zeros((n, n), np.int32)
    pair_bits.fired_counter((indptr, columns), n)(0, n, counts)
    pair_bits.flips_counter((indptr, columns), (neurons, samples), n)(0, n, counts)
    after = (fires ^ flips).astype(int)
    assert np.array_equal(symmetric(counts), after.T @ after)
