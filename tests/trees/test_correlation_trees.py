"""CorrelationTrees: queries and updates against plain products, costs, bad input, copies and pickles."""

import copy
import pickle
import re

import numpy as np
import pytest
import scipy.sparse

from sltrees import CorrelationTrees
from sltrees.trees.correlation_trees import _SCRATCH_ENTRIES, _from_pickle

AXES = ("data", "weights")
DTYPES = (np.float32, np.float64)
# around the block widths 8 (float64) and 16 (float32), and their squares
EDGES = (1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 255, 256, 257)


def integer_matrix(rng, rows, columns, dtype, bound=4):
    """Small integers: products are exact in any order of summation, and there are many ties."""
    return rng.integers(-bound, bound + 1, (rows, columns)).astype(dtype)


def products(W, X, axis):
    return W @ X.T if axis == "data" else X @ W.T


def assert_answers(trees, expected, threshold):
    """Both directions: all that is reported passes, and all that is not reported fails."""
    passing = expected > expected.dtype.type(threshold)
    found = trees.query_all(threshold)
    reported = np.zeros(expected.shape, dtype=bool)
    reported[np.repeat(np.arange(len(expected)), np.diff(found.indptr)), found.indices] = True
    assert np.all(expected[reported] > threshold)
    assert np.all(expected[~reported] <= threshold)
    assert found.nnz == np.count_nonzero(passing)
    for row in (0, len(trees) // 2, len(trees) - 1):
        indices, values = trees.query(row, threshold, return_values=True)
        assert np.array_equal(indices, np.flatnonzero(passing[row]))
        assert np.array_equal(values, expected[row, indices])
        assert np.array_equal(trees.query(row, threshold), indices)


# ---------------------------------------------------------------------- queries


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", EDGES)
def test_queries_agree_with_numpy_around_block_edges(seed, axis, dtype, size):
    rng = np.random.default_rng(seed)
    shape = (5, size) if axis == "data" else (size, 5)
    W, X = integer_matrix(rng, shape[0], 3, dtype), integer_matrix(rng, shape[1], 3, dtype)
    trees = CorrelationTrees(W, X, axis=axis)
    trees._check()
    expected = products(W, X, axis)
    assert trees.shape == expected.shape == (len(trees), size)
    assert np.array_equal(trees.values, expected)
    for threshold in (-np.inf, -49, -1, -0.5, 0, 0.5, 7, expected.max(), 49, np.inf):
        assert_answers(trees, expected, threshold)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_equal_to_the_threshold_are_not_reported(axis, dtype):
    trees = CorrelationTrees(np.ones((4, 2), dtype), np.full((40, 2), 0.5, dtype), axis=axis)
    assert trees.query_all(1.0).nnz == 0
    assert trees.query(0, 1.0).size == 0
    assert trees.query_all(np.nextafter(dtype(1), dtype(0))).nnz == 160


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_query_all_is_a_canonical_csr_array_of_the_dtype(seed, axis, dtype):
    rng = np.random.default_rng(seed)
    W, X = rng.standard_normal((30, 4)).astype(dtype), rng.standard_normal((70, 4)).astype(dtype)
    trees = CorrelationTrees(W, X, axis=axis)
    found = trees.query_all(0.5)
    assert isinstance(found, scipy.sparse.csr_array)
    assert found.shape == trees.shape
    assert found.dtype == dtype == trees.dtype
    found.check_format(full_check=True)
    for row in range(len(trees)):
        assert np.all(np.diff(found.indices[found.indptr[row] : found.indptr[row + 1]]) > 0)
    assert np.array_equal(found.toarray(), np.where(trees.values > dtype(0.5), trees.values, 0))


def test_a_negative_threshold_stores_products_equal_to_zero():
    found = CorrelationTrees([[0.0], [1.0]], [[1.0], [-1.0]]).query_all(-0.5)
    assert found.nnz == 3
    assert np.array_equal(found.indices, [0, 1, 0])


@pytest.mark.parametrize("axis", AXES)
def test_products_are_right_across_the_blocks_in_which_they_are_computed(seed, axis):
    rng = np.random.default_rng(seed)
    W, X = integer_matrix(rng, 500, 3, np.float32), integer_matrix(rng, 1500, 3, np.float32)
    assert W.shape[0] * X.shape[0] > 2 * _SCRATCH_ENTRIES
    trees = CorrelationTrees(W, X, axis=axis)
    rows = rng.permutation(500)[:423]
    W[rows] = integer_matrix(rng, 423, 3, np.float32)
    trees.update_weights(rows, W[rows])
    trees._check()
    assert np.array_equal(trees.values, products(W, X, axis))


@pytest.mark.parametrize(
    ("weights", "data", "expected"),
    [
        (np.float32, np.float32, np.float32),
        (np.float32, np.float64, np.float64),
        (np.float64, np.float32, np.float64),
        (np.int64, np.float32, np.float64),
        (np.float16, np.float16, np.float64),
        (np.bool_, np.uint8, np.float64),
    ],
)
def test_float32_only_if_both_arrays_are(weights, data, expected):
    trees = CorrelationTrees(np.ones((2, 3), weights), np.ones((4, 3), data))
    assert trees.dtype == trees.values.dtype == trees.weights.dtype == trees.data.dtype == expected
    assert np.all(trees.values == 3)


# ---------------------------------------------------------------------- updates


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 5, 64, 129])
def test_updates_agree_with_trees_built_anew(seed, axis, dtype, count):
    rng = np.random.default_rng(seed)
    W, X = integer_matrix(rng, 129, 3, dtype), integer_matrix(rng, 65, 3, dtype)
    trees = CorrelationTrees(W, X, axis=axis)
    for _ in range(3):
        rows = rng.permutation(129)[:count]
        W[rows] = integer_matrix(rng, count, 3, dtype)
        trees.update_weights(rows, W[rows])
        trees._check()
        assert np.array_equal(trees.weights, W)
        assert np.array_equal(trees.values, products(W, X, axis))
        assert_answers(trees, products(W, X, axis), 3)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_update_at_a_time_is_the_same_as_many_at_once(seed, axis, dtype):
    rng = np.random.default_rng(seed)
    W, X = integer_matrix(rng, 20, 3, dtype), integer_matrix(rng, 33, 3, dtype)
    one, many = (CorrelationTrees(W, X, axis=axis) for _ in range(2))
    rows, new = rng.permutation(20)[:7], integer_matrix(rng, 7, 3, dtype)
    for r, weight in zip(rows, new, strict=True):
        one.update_weight(r, weight)
    many.update_weights(rows, new)
    assert np.array_equal(one.values, many.values)
    assert np.array_equal(one.weights, many.weights)


@pytest.mark.parametrize("axis", AXES)
def test_of_equal_rows_the_last_one_wins(axis):
    trees = CorrelationTrees(np.zeros((5, 1)), [[1.0], [2.0]], axis=axis)
    trees.update_weights([3, 1, 3, 1, 3], [[1.0], [2.0], [3.0], [4.0], [5.0]])
    trees._check()
    assert np.array_equal(trees.weights.ravel(), [0, 4, 0, 5, 0])
    assert np.array_equal(trees.values, products(trees.weights, trees.data, axis))


@pytest.mark.parametrize("axis", AXES)
def test_updating_nothing_changes_nothing(axis):
    trees = CorrelationTrees([[1.0, 2.0]], [[3.0, 4.0]], axis=axis)
    trees.update_weights([], [])
    trees.update_weights(np.array([], dtype=np.int64), np.empty((0, 2)))
    trees._check()
    assert trees.values == 11


@pytest.mark.parametrize("axis", AXES)
def test_a_falling_maximum_is_forgotten(axis):
    # the guard of an update must notice that the entry lowered was the maximum of its block
    W, X = np.ones((40, 1)), np.ones((40, 1))
    W[7] = 9
    trees = CorrelationTrees(W, X, axis=axis)
    assert trees.query_all(5.0).nnz == 40
    trees.update_weight(7, [1.0])
    trees._check()
    assert trees.query_all(5.0).nnz == 0


# ---------------------------------------------------------------------- costs, by counting blocks


def levels(size, dtype):
    """Levels of a wide tree, the leaves included."""
    width, count = 64 // np.dtype(dtype).itemsize, 1
    while size > width:
        size, count = -(-size // width), count + 1
    return count


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_query_visits_few_blocks_for_few_hits(seed, axis, dtype):
    size, rng = 1 << 15, np.random.default_rng(seed)
    for n_hits in (0, 1, 4, 16):
        column = np.zeros((size, 1), dtype)
        column[rng.permutation(size)[:n_hits]] = 1
        pair = (np.ones((1, 1), dtype), column) if axis == "data" else (column, np.ones((1, 1), dtype))
        trees = CorrelationTrees(*pair, axis=axis)
        hits, visited = trees._bank.query_row(0, 0.5)
        assert hits.size == n_hits
        assert visited <= max(1, n_hits) * levels(size, dtype)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_query_cost_grows_with_the_hits_and_not_with_the_size(seed, axis, dtype):
    rng, visited = np.random.default_rng(seed), []
    for size in (1 << 12, 1 << 15, 1 << 18):
        column = np.zeros((size, 1), dtype)
        column[rng.permutation(size)[:10]] = 1
        pair = (np.ones((1, 1), dtype), column) if axis == "data" else (column, np.ones((1, 1), dtype))
        visited.append(CorrelationTrees(*pair, axis=axis)._bank.query_row(0, 0.5)[1])
    # 64 times the size: two more levels (or so) of at most 10 blocks
    assert visited[-1] <= visited[0] + 10 * (levels(1 << 18, dtype) - levels(1 << 12, dtype)) + 10


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_trees_without_hits_are_never_looked_at(axis, dtype):
    visited = {}
    for n_silent in (0, 4096):
        rows, columns = np.zeros((4 + n_silent, 1), dtype), np.ones((500, 1), dtype)
        rows[:4] = 1  # every leaf of four trees passes, none of the others does
        pair = (rows, columns) if axis == "data" else (columns, rows)
        trees = CorrelationTrees(*pair, axis=axis)
        indptr, _, _, visited[n_silent] = trees._bank.query_all(0.5)
        assert indptr[-1] == 4 * 500
    # only the tree over the row maxima is deeper
    assert visited[4096] - visited[0] <= levels(4100, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_query_all_without_hits_looks_only_at_the_top(seed, dtype):
    rng = np.random.default_rng(seed)
    trees = CorrelationTrees(rng.standard_normal((3000, 2)).astype(dtype), rng.standard_normal((100, 2)).astype(dtype))
    assert trees._bank.query_all(1e6)[3] <= levels(3000, dtype)


# ---------------------------------------------------------------------- bad input

GOOD = np.ones((3, 2))


def with_bad(value):
    array = np.ones((3, 2))
    array[1, 1] = value
    return array


BAD_MATRICES = [
    (with_bad(np.nan), ValueError, r"must be finite in float64, got nan at index \(1, 1\)"),
    (with_bad(np.inf), ValueError, r"must be finite in float64, got inf at index \(1, 1\)"),
    (with_bad(-np.inf), ValueError, r"must be finite in float64, got -inf at index \(1, 1\)"),
    (np.ones(3), ValueError, r"must have 2 dimensions, got shape \(3,\)"),
    (np.ones((3, 2, 1)), ValueError, r"must have 2 dimensions, got shape \(3, 2, 1\)"),
    (1.0, ValueError, r"must have 2 dimensions, got shape \(\)"),
    (np.ones((0, 2)), ValueError, r"must have at least 1 row and 1 column, got shape \(0, 2\)"),
    (np.ones((3, 0)), ValueError, r"must have at least 1 row and 1 column, got shape \(3, 0\)"),
    ([[1.0, 2.0], [3.0]], ValueError, "must be a rectangular array of numbers"),
    (np.ones((3, 2), complex), TypeError, "must hold real numbers, got dtype complex128"),
    (np.full((3, 2), "a"), TypeError, "must hold real numbers, got dtype <U1"),
    (np.full((3, 2), None), TypeError, "must hold real numbers, got dtype object"),
    (scipy.sparse.csr_array(GOOD), TypeError, "must be a dense array, got csr_array"),
    (scipy.sparse.coo_matrix(GOOD), TypeError, "must be a dense array, got coo_matrix"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD_MATRICES)
def test_bad_arrays_are_refused_with_rule_and_value(bad, error, message):
    with pytest.raises(error, match=f"weights {message}"):
        CorrelationTrees(bad, GOOD)
    with pytest.raises(error, match=f"data {message}"):
        CorrelationTrees(GOOD, bad)


def test_unequal_numbers_of_columns_are_refused():
    with pytest.raises(ValueError, match="data must have 2 columns, got 3"):
        CorrelationTrees(GOOD, np.ones((4, 3)))


@pytest.mark.parametrize("axis", ["rows", 0, None, "DATA"])
def test_unknown_axis_is_refused(axis):
    with pytest.raises(ValueError, match=re.escape(f"axis must be one of 'data', 'weights', got {axis!r}")):
        CorrelationTrees(GOOD, GOOD, axis=axis)


def test_overflow_to_float32_is_refused():
    trees = CorrelationTrees(np.ones((3, 2), np.float32), np.ones((3, 2), np.float32))
    with pytest.raises(ValueError, match=r"weights must be finite in float32, got inf at index \(0, 1\)"):
        trees.update_weights([0], [[1.0, 1e39]])
    assert np.all(trees.values == 2)


BAD_UPDATES = [
    ([3], [[1.0, 1.0]], IndexError, r"rows must be in \[0, 3\), got 3"),
    ([0, -1], np.ones((2, 2)), IndexError, r"rows must be in \[0, 3\), got -1"),
    ([0.0], [[1.0, 1.0]], TypeError, "rows must be integers, got dtype float64"),
    ([True], [[1.0, 1.0]], TypeError, "rows must be integers, got dtype bool"),
    ([[0]], [[1.0, 1.0]], ValueError, r"rows must have 1 dimension, got shape \(1, 1\)"),
    (0, [[1.0, 1.0]], ValueError, r"rows must have 1 dimension, got shape \(\)"),
    ([0, 1], [[1.0, 1.0]], ValueError, "weights must have one row for each of the 2 rows, got 1"),
    ([0], [[1.0, 1.0, 1.0]], ValueError, "weights must have 2 columns, got 3"),
    ([0], [1.0, 1.0], ValueError, r"weights must have 2 dimensions, got shape \(2,\)"),
    ([0], [[1.0, np.nan]], ValueError, r"weights must be finite in float64, got nan at index \(0, 1\)"),
    ([0, 1], [[1.0, 1.0], [np.inf, 1.0]], ValueError, r"weights must be finite in float64, got inf at index \(1, 0\)"),
    ([0], np.ones((1, 2), complex), TypeError, "weights must hold real numbers, got dtype complex128"),
    ([0], scipy.sparse.csr_array(np.ones((1, 2))), TypeError, "weights must be a dense array"),
    ([], [[1.0, 1.0]], ValueError, "weights must have one row for each of the 0 rows, got 1"),
]


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize(("rows", "weights", "error", "message"), BAD_UPDATES)
def test_bad_updates_are_refused_and_change_nothing(axis, rows, weights, error, message):
    trees = CorrelationTrees(np.arange(6.0).reshape(3, 2), GOOD, axis=axis)
    before = trees.values.copy(), trees.weights.copy()
    with pytest.raises(error, match=message):
        trees.update_weights(rows, weights)
    assert np.array_equal(trees.values, before[0])
    assert np.array_equal(trees.weights, before[1])
    trees._check()


BAD_SINGLE_UPDATES = [
    (3, [1.0, 1.0], IndexError, r"r must be in \[0, 3\), got 3"),
    (-1, [1.0, 1.0], IndexError, r"r must be in \[0, 3\), got -1"),
    (0.0, [1.0, 1.0], TypeError, r"r must be an integer, got 0\.0"),
    (None, [1.0, 1.0], TypeError, "r must be an integer, got None"),
    (True, [1.0, 1.0], TypeError, "r must be an integer, got True"),
    (np.True_, [1.0, 1.0], TypeError, r"r must be an integer, got (np\.)?True_?"),
    (0, [1.0], ValueError, r"shape \(2,\), got \(1,\)"),
    (0, [[1.0, 1.0]], ValueError, r"weight must have shape \(2,\), got \(1, 2\)"),
    (0, 1.0, ValueError, r"weight must have shape \(2,\), got \(\)"),
    (0, [1.0, np.nan], ValueError, "must be finite in float64, got nan"),
    (0, [1.0, np.inf], ValueError, "must be finite in float64, got inf"),
    (0, ["a", "b"], TypeError, "must hold real numbers"),
    (0, scipy.sparse.csr_array(np.ones((1, 2))), TypeError, "weight must be a dense array"),
]


@pytest.mark.parametrize(("r", "weight", "error", "message"), BAD_SINGLE_UPDATES)
def test_bad_single_updates_are_refused_and_change_nothing(r, weight, error, message):
    trees = CorrelationTrees(np.arange(6.0).reshape(3, 2), GOOD)
    before = trees.values.copy(), trees.weights.copy()
    with pytest.raises(error, match=message):
        trees.update_weight(r, weight)
    assert np.array_equal(trees.values, before[0])
    assert np.array_equal(trees.weights, before[1])
    trees._check()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: t.query(3, 0.0), IndexError, r"row must be in \[0, 3\), got 3"),
        (lambda t: t.query(-1, 0.0), IndexError, r"row must be in \[0, 3\), got -1"),
        (lambda t: t.query(1.0, 0.0), TypeError, r"row must be an integer, got 1\.0"),
        (lambda t: t.query(False, 0.0), TypeError, "row must be an integer, got False"),
        (lambda t: t.query(0, np.nan), ValueError, "threshold must not be NaN"),
        (lambda t: t.query_all(np.nan), ValueError, "threshold must not be NaN"),
        (lambda t: t.query_all("high"), TypeError, "threshold must be a real number, got 'high'"),
        (lambda t: t.query_all(None), TypeError, "threshold must be a real number, got None"),
    ],
)
def test_bad_queries_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(CorrelationTrees(GOOD, GOOD))


@pytest.mark.parametrize("axis", AXES)
def test_too_little_memory_is_refused_with_the_bytes(axis):
    needed = CorrelationTrees.bytes_needed(300, 200, 10, np.float64, axis=axis)
    W, X = np.ones((300, 10)), np.ones((200, 10))
    with pytest.raises(MemoryError, match=f"the trees needs {needed:,} bytes, max_memory allows {needed - 1:,}"):
        CorrelationTrees(W, X, axis=axis, max_memory=needed - 1)
    trees = CorrelationTrees(W, X, axis=axis, max_memory=needed)
    assert trees.nbytes <= needed


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 257, 5), (257, 3, 5), (1000, 64, 64)])
def test_bytes_needed_is_an_upper_bound_of_what_is_held(axis, dtype, shape):
    m, n, d = shape
    trees = CorrelationTrees(np.ones((m, d), dtype), np.ones((n, d), dtype), axis=axis)
    assert trees.nbytes <= CorrelationTrees.bytes_needed(m, n, d, dtype, axis=axis)


# ---------------------------------------------------------------------- inputs, views, copies, pickles


@pytest.mark.parametrize("axis", AXES)
def test_inputs_are_copied_and_left_alone(seed, axis):
    rng = np.random.default_rng(seed)
    W, X, rows, new = rng.standard_normal((6, 2)), rng.standard_normal((5, 2)), np.array([4, 1, 4]), np.ones((3, 2))
    originals = [array.copy() for array in (W, X, rows, new)]
    trees = CorrelationTrees(W, X, axis=axis)
    trees.update_weights(rows, new)
    for array, original in zip((W, X, rows, new), originals, strict=True):
        assert np.array_equal(array, original)
    values = trees.values.copy()
    for array in (W, X, new):
        array.fill(99)
    assert np.array_equal(trees.values, values)
    trees._check()


@pytest.mark.parametrize("axis", AXES)
def test_read_only_strided_and_fortran_inputs_are_accepted(seed, axis):
    rng = np.random.default_rng(seed)
    W, X = np.asfortranarray(rng.standard_normal((6, 2))), rng.standard_normal((10, 4))[::2, ::2]
    rows, new = np.array([2, 0], dtype=np.int8), rng.standard_normal((2, 2))
    for array in (W, X, rows, new):
        array.flags.writeable = False
    trees = CorrelationTrees(W, X, axis=axis)
    trees.update_weights(rows, new)
    trees.update_weight(np.uint64(1), new[0])
    trees._check()
    expected = W.copy()
    expected[[2, 0]] = new
    expected[1] = new[0]
    assert np.allclose(trees.values, products(expected, X, axis))


def test_views_are_read_only_and_follow_updates():
    trees = CorrelationTrees(GOOD, GOOD)
    values, weights = trees.values, trees.weights
    for view in (values, weights, trees.data):
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0] = 5
    trees.update_weight(2, [4.0, 5.0])
    assert np.array_equal(values[2], [9, 9, 9])
    assert np.array_equal(weights[2], [4, 5])


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "duplicate",
    [CorrelationTrees.copy, copy.copy, copy.deepcopy, lambda trees: pickle.loads(pickle.dumps(trees))],
    ids=["copy", "copy.copy", "copy.deepcopy", "pickle"],
)
def test_duplicates_are_equal_and_independent(seed, axis, dtype, duplicate):
    rng = np.random.default_rng(seed)
    trees = CorrelationTrees(integer_matrix(rng, 9, 3, dtype), integer_matrix(rng, 20, 3, dtype), axis=axis)
    trees.update_weight(4, [9, 9, 9])
    other = duplicate(trees)
    other._check()
    assert type(other) is CorrelationTrees
    assert (other.axis, other.dtype, other.shape) == (trees.axis, trees.dtype, trees.shape)
    assert np.array_equal(other.values, trees.values)
    before = trees.values.copy()
    other.update_weights([0, 1], np.zeros((2, 3)))
    assert np.array_equal(trees.values, before)
    trees.update_weight(8, [7, 7, 7])
    other._check()
    trees._check()


@pytest.mark.parametrize(
    ("version", "weights", "data", "axis", "error", "message"),
    [
        (2, GOOD, GOOD, "data", ValueError, "reads pickles of format 1, got format 2"),
        (None, GOOD, GOOD, "data", ValueError, "reads pickles of format 1, got format None"),
        (1, with_bad(np.nan), GOOD, "data", ValueError, "weights must be finite"),
        (1, GOOD, np.ones((3, 5)), "data", ValueError, "data must have 2 columns, got 5"),
        (1, np.ones(3), GOOD, "data", ValueError, "weights must have 2 dimensions"),
        (1, None, GOOD, "data", TypeError, "weights must hold real numbers"),
        (1, GOOD, GOOD, "up", ValueError, "axis must be one of"),
    ],
)
def test_damaged_pickles_are_refused(version, weights, data, axis, error, message):
    with pytest.raises(error, match=message):
        _from_pickle(CorrelationTrees, version, weights, data, axis)


def test_a_truncated_pickle_is_refused():
    data = pickle.dumps(CorrelationTrees(GOOD, GOOD))
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        pickle.loads(data[: len(data) // 2])


def test_repr_names_what_is_held():
    assert repr(CorrelationTrees(GOOD, np.ones((4, 2)), axis="weights")) == (
        "<CorrelationTrees of 3 weights and 4 points in 2 dimensions, axis 'weights', float64>"
    )


@pytest.mark.parametrize("axis", ["data", "weights"])
def test_products_that_could_overflow_are_refused(axis):
    data = np.array([[1e300, -1e300], [1.0, 1.0]])
    with pytest.raises(ValueError, match="products of weights and data must be finite in float64"):
        CorrelationTrees([[1e10, 1e10]], data, axis=axis)
    trees = CorrelationTrees([[1.0, 2.0]], data, axis=axis)
    before = trees.values.copy(), trees.weights.copy()
    with pytest.raises(ValueError, match="products of weights and data must be finite in float64"):
        trees.update_weight(0, [1e300, 1e300])
    assert np.array_equal(trees.values, before[0])
    assert np.array_equal(trees.weights, before[1])
    trees._check()
