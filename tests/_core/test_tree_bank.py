"""TreeBank, the kernel class under CorrelationTrees, against a plain matrix."""

import numpy as np
import pytest

from sltrees._core import TreeBank

DTYPES = (np.float32, np.float64)
SHAPES = [(0, 5), (5, 0), (1, 1), (3, 7), (3, 8), (3, 9), (16, 16), (17, 17), (9, 64), (9, 65), (300, 20), (20, 300)]
SHAPES += [(2, 4097), (70, 257)]

dtypes = pytest.mark.parametrize("dtype", DTYPES)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def tied_values(rng, shape, dtype):
    """Few distinct values and some infinities."""
    return rng.choice(np.array([-np.inf, -2, -1, 0, 1, 2, np.inf], dtype=dtype), shape)


def assert_is(bank, expected):
    bank._check()
    assert bank.values.shape == expected.shape
    assert bank.values.dtype == expected.dtype
    assert np.array_equal(bank.values, expected)
    n_rows, n_columns = expected.shape
    for t in (-np.inf, -1.0, 0.5, 1.0, np.inf):
        passing = expected > t
        indptr, columns, values, visited = bank.query_all(t)
        assert (indptr.dtype, columns.dtype, values.dtype) == (np.int64, np.int32, expected.dtype)
        rows, expected_columns = np.nonzero(passing)
        assert np.array_equal(np.repeat(np.arange(n_rows), np.diff(indptr)), rows)
        assert indptr.shape == (n_rows + 1,)
        assert np.array_equal(columns, expected_columns)
        assert np.array_equal(values, expected[passing])
        assert visited >= np.count_nonzero(passing.any(axis=1)) / 16
        for row in {0, n_rows // 2, n_rows - 1} & set(range(n_rows)):
            found, blocks = bank.query_row(row, t)
            assert found.dtype == np.int64
            assert np.array_equal(found, np.flatnonzero(passing[row]))
            assert 0 <= blocks <= 1.2 * n_columns / (64 // expected.itemsize) + 6


@dtypes
@shapes
def test_a_new_bank_reports_nothing(dtype, shape):
    bank = TreeBank(*shape, dtype)
    assert_is(bank, np.full(shape, -np.inf, dtype=dtype))
    assert not bank.values.flags.writeable


@dtypes
@shapes
def test_writing_rows(seed, dtype, shape):
    rng = np.random.default_rng(seed)
    bank, expected = TreeBank(*shape, dtype), np.full(shape, -np.inf, dtype=dtype)
    for k in (0, 1, 3, shape[0], 2 * shape[0]):
        rows = rng.integers(0, max(shape[0], 1), k if shape[0] else 0)
        values = tied_values(rng, (rows.size, shape[1]), dtype)
        bank.write_rows(rows, values)
        for row, new in zip(rows, values, strict=True):  # of equal rows the last one wins
            expected[row] = new
        assert_is(bank, expected)


@dtypes
@shapes
def test_writing_columns(seed, dtype, shape):
    rng = np.random.default_rng(seed)
    bank, expected = TreeBank(*shape, dtype), np.full(shape, -np.inf, dtype=dtype)
    for k in (0, 1, 3, shape[1] // 20, shape[1], 2 * shape[1]):
        columns = rng.integers(0, max(shape[1], 1), k if shape[1] else 0)
        values = tied_values(rng, (shape[0], columns.size), dtype)
        bank.write_columns(columns, values)
        for j, column in enumerate(columns):
            expected[:, column] = values[:, j]
        assert_is(bank, expected)


@dtypes
def test_rows_and_columns_in_turn(seed, dtype):
    rng = np.random.default_rng(seed)
    bank, expected = TreeBank(40, 90, dtype), np.full((40, 90), -np.inf, dtype=dtype)
    for _ in range(30):
        rows, columns = rng.integers(0, 40, 3), rng.integers(0, 90, 3)
        new = tied_values(rng, (3, 90), dtype)
        bank.write_rows(rows, new)
        for row, values in zip(rows, new, strict=True):
            expected[row] = values
        new = tied_values(rng, (40, 3), dtype)
        bank.write_columns(columns, new)
        for j, column in enumerate(columns):
            expected[:, column] = new[:, j]
        assert_is(bank, expected)


@dtypes
def test_results_too_large_for_the_first_buffer(seed, dtype):
    expected = np.random.default_rng(seed).random((30, 3000)).astype(dtype)
    bank = TreeBank(30, 3000, dtype)
    bank.write_rows(np.arange(30), expected)
    assert_is(bank, expected)
    indices, _ = bank.query_row(7, 0.25)
    assert np.array_equal(indices, np.flatnonzero(expected[7] > 0.25))


@dtypes
def test_rows_without_a_hit_are_not_looked_at(dtype):
    width = 64 // np.dtype(dtype).itemsize
    values = np.zeros((4096, 256), dtype=dtype)
    values[1234, 56] = 1
    bank = TreeBank(4096, 256, dtype)
    bank.write_rows(np.arange(4096), values)
    indptr, columns, found, visited = bank.query_all(0.5)
    assert (indptr[1234], indptr[1235], columns.tolist(), found.tolist()) == (0, 1, [56], [1])
    # one path through the tree of row maxima, and one through the row
    assert visited <= 2 + np.ceil(np.log(4096) / np.log(width)) + np.ceil(np.log(256) / np.log(width))
    assert bank.query_all(1.0)[3] == 1


@dtypes
@shapes
def test_bytes_needed_is_a_close_upper_bound(dtype, shape):
    bank = TreeBank(*shape, dtype)
    needed = TreeBank.bytes_needed(*shape, dtype)
    assert bank.nbytes <= needed
    itemsize = np.dtype(dtype).itemsize
    # whole blocks at every level of every row, and something for the tree of maxima
    assert needed <= shape[0] * (shape[1] * itemsize * 1.15 + 4 * 64 + 2 * itemsize) + 512


@dtypes
def test_inputs_may_be_read_only(dtype):
    bank = TreeBank(3, 4, dtype)
    rows, values = np.arange(3), np.ones((3, 4), dtype=dtype)
    for array in (rows, values):
        array.flags.writeable = False
    bank.write_rows(rows, values)
    bank.write_columns(rows, values[:, :3].copy())
    assert_is(bank, np.ones((3, 4), dtype=dtype))
