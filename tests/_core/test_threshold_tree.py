"""ThresholdTree against plain NumPy: every method, around every block edge, for both dtypes and orientations."""

import copy
import io
import pickle

import numpy as np
import pytest

from sltrees import ThresholdTree
from sltrees._core import _threshold_tree
from sltrees.reference import ThresholdArray

# around the block widths 8 (float64) and 16 (float32) and their powers, where levels begin and end
SIZES = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513)
LARGE = (4095, 4096, 4097, 70_000)
DTYPES = (np.float32, np.float64)
ORIENTATIONS = ("max", "min")
THRESHOLDS = (-np.inf, -4, -3, -0.5, 0, 1, 2, 2.5, 3, np.inf)

dtypes = pytest.mark.parametrize("dtype", DTYPES)
orientations = pytest.mark.parametrize("orientation", ORIENTATIONS)
small_sizes = pytest.mark.parametrize("n", SIZES)
all_sizes = pytest.mark.parametrize("n", SIZES + LARGE)
edge_sizes = pytest.mark.parametrize("n", [0, 1, 8, 16, 17, 64, 65, 256, 257, 513, 4097])


def tied_values(rng, n, dtype):
    """Few distinct values, so that there are many ties, and some infinities of both signs."""
    return rng.choice(np.array([-np.inf, -3, -2, -1, 0, 1, 2, 3, np.inf], dtype=dtype), n)


def passes(values, threshold, orientation):
    t = values.dtype.type(threshold)
    return values > t if orientation == "max" else values < t


def make(rng, n, dtype, orientation):
    values = tied_values(rng, n, dtype)
    return ThresholdTree(values, orientation=orientation), values.copy()


def assert_is(tree, values):
    """The tree holds these values, and all of its levels belong to them."""
    tree._check()
    assert len(tree) == values.size
    assert tree.values.dtype == values.dtype
    assert np.array_equal(tree.values, values)


def ranges(rng, n):
    """Empty and full ranges, single leaves, and ones that cut blocks."""
    yield 0, n
    yield 0, 0
    yield n, n
    if n:
        yield n - 1, n
        yield 0, n - 1
        for _ in range(6):
            a, b = sorted(rng.integers(0, n + 1, 2).tolist())
            yield a, b


# ---------------------------------------------------------------------- queries


@dtypes
@orientations
@all_sizes
def test_queries_report_all_that_pass_and_nothing_else(seed, dtype, orientation, n):
    tree, values = make(np.random.default_rng(seed), n, dtype, orientation)
    oracle = ThresholdArray(values, orientation=orientation)
    tree._check()
    for t in THRESHOLDS:
        found, at = tree.query(t, return_values=True)
        passing = passes(values, t, orientation)
        assert found.dtype == np.int64
        assert at.dtype == dtype
        assert np.all(passing[found])
        assert not np.any(np.delete(passing, found))
        assert np.all(np.diff(found) > 0)
        assert np.array_equal(at, values[found])
        assert np.array_equal(found, oracle.query(t))
        assert np.array_equal(found, tree.query(t))
        assert tree.count(t) == found.size
        assert tree.any(t) is bool(found.size)
        assert tree.first(t) == (found[0] if found.size else -1)


@dtypes
@orientations
@all_sizes
def test_ranges_restrict_query_count_and_first(seed, dtype, orientation, n):
    rng = np.random.default_rng(seed)
    tree, values = make(rng, n, dtype, orientation)
    oracle = ThresholdArray(values, orientation=orientation)
    for start, stop in ranges(rng, n):
        for t in (-3, 0, 2.5, np.inf if orientation == "max" else -np.inf):
            expected = oracle.query(t, start, stop)
            assert np.array_equal(tree.query(t, start, stop), expected)
            assert tree.count(t, start, stop) == expected.size
            assert tree.first(t, start, stop) == (expected[0] if expected.size else -1)
        assert np.array_equal(tree.query(0, start), oracle.query(0, start))
        assert tree.count(0, start=start) == oracle.query(0, start).size
        assert tree.first(0, stop=stop) == next(iter(oracle.query(0, 0, stop)), -1)


@dtypes
@orientations
@pytest.mark.parametrize("n", [17, 300, 4097, 70_000])
def test_every_density_of_distinct_values(seed, dtype, orientation, n):
    # each density makes the query enter the tree at another level
    rng = np.random.default_rng(seed)
    for values in (rng.standard_normal(n).astype(dtype), np.sort(rng.standard_normal(n)).astype(dtype)):
        tree = ThresholdTree(values, orientation=orientation)
        for share in (0, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.3, 0.5, 0.9, 1):
            t = float(np.quantile(values, share))
            expected = np.flatnonzero(passes(values, t, orientation))
            assert np.array_equal(tree.query(t), expected)
            assert tree.count(t) == expected.size
            start, stop = n // 3, n - n // 5
            inside = expected[(expected >= start) & (expected < stop)]
            assert np.array_equal(tree.query(t, start, stop), inside)
            assert tree.count(t, start, stop) == inside.size


@dtypes
@orientations
@all_sizes
def test_max_argmax_and_topk(seed, dtype, orientation, n):
    tree, values = make(np.random.default_rng(seed), n, dtype, orientation)
    oracle = ThresholdArray(values, orientation=orientation)
    if n:
        best = values.max() if orientation == "max" else values.min()
        assert tree.max() == best
        assert isinstance(tree.max(), float)
        assert tree.argmax() == np.flatnonzero(values == best)[0]
    for k in (0, 1, 2, 5, 16, 17, n // 2, n, n + 3, 10**30):
        found = tree.topk(k)
        assert found.dtype == np.int64
        assert np.array_equal(found, oracle.topk(k))


@orientations
def test_topk_of_distinct_values_and_of_equal_ones(seed, orientation):
    values = np.random.default_rng(seed).permutation(5000).astype(np.float64)
    oracle = ThresholdArray(values, orientation=orientation)
    tree = ThresholdTree(values, orientation=orientation)
    for k in (1, 7, 8, 9, 100, 4999, np.int64(5000)):
        assert np.array_equal(tree.topk(k), oracle.topk(k))
    for equal in (-np.inf, 0.0, np.inf):
        tree[:] = equal
        assert np.array_equal(tree.topk(70), np.arange(70))
        assert tree.argmax() == 0


@dtypes
@orientations
@edge_sizes
def test_query_many(seed, dtype, orientation, n):
    tree, values = make(np.random.default_rng(seed), n, dtype, orientation)
    for thresholds in ([], [0], list(THRESHOLDS), np.arange(-3, 4), np.float32([0.5, -0.5]), np.arange(10.0)[::-2]):
        indptr, indices = tree.query_many(thresholds)
        assert indptr.dtype == indices.dtype == np.int64
        assert indptr.shape == (len(thresholds) + 1,)
        assert indptr[0] == 0
        assert indptr[-1] == indices.size
        for j, t in enumerate(thresholds):
            expected = np.flatnonzero(passes(values, t, orientation))
            assert np.array_equal(indices[indptr[j] : indptr[j + 1]], expected)


@dtypes
@orientations
@edge_sizes
def test_query_into_an_array(seed, dtype, orientation, n):
    rng = np.random.default_rng(seed)
    tree, values = make(rng, n, dtype, orientation)
    for start, stop in ranges(rng, n):
        for t in (-np.inf, 0, np.inf):
            expected = tree.query(t, start, stop)
            for room in (expected.size, expected.size + 5):
                out = np.full(room, -7, dtype=np.int64)
                found, at = tree.query(t, start, stop, out=out, return_values=True)
                assert found.base is out or found.size == 0
                assert np.array_equal(found, expected)
                assert np.array_equal(out[: expected.size], expected)
                assert np.all(out[expected.size :] == -7)
                assert np.array_equal(at, values[expected])


def test_an_output_array_too_short_is_never_overrun(seed):
    values = np.random.default_rng(seed).standard_normal(70_000)
    tree = ThresholdTree(values)
    for t in (-10.0, 0.0, 2.0, 3.5):
        expected = tree.query(t)
        for room in (0, 1, 7, expected.size // 2, expected.size - 1):
            buffer = np.full(room + 64, -7, dtype=np.int64)
            with pytest.raises(ValueError, match=f"out must have room for {expected.size} indices, got {room}$"):
                tree.query(t, out=buffer[:room])
            assert np.all(buffer[room:] == -7)
            assert np.array_equal(buffer[:room], expected[:room])


@dtypes
def test_thresholds_are_compared_exactly(dtype):
    values = np.array([0.1, 0.2, 0.3], dtype=dtype)
    tree = ThresholdTree(values)
    for t in (0.1, 0.2, 0.3, float(np.nextafter(0.2, 1)), 2, True, np.float32(0.25), np.int64(0), np.array(0.25)):
        assert np.array_equal(tree.query(t), np.flatnonzero(values.astype(np.float64) > float(t)))


def test_a_threshold_beyond_float32_is_below_infinity():
    tree = ThresholdTree(np.float32([1, np.inf, -np.inf]))
    assert tree.query(1e300).tolist() == [1]
    assert tree.query(np.inf).tolist() == []
    assert tree.query(-1e300).tolist() == [0, 1]
    assert tree.copy().pop_above(1e300)[0].tolist() == [1]
    entered, left = tree.update_many([0], [2.0], crossing=-1e300)
    assert entered.size == left.size == 0
    tree.update_many([0], 1e300)
    tree.update(2, -1e300)
    assert tree.values.tolist() == [np.inf, np.inf, -np.inf]
    assert tree.pop_above(5.0, replacement=-1e300)[0].tolist() == [0, 1]
    assert tree.max() == -np.inf
    tree._check()


def test_negative_zero_is_zero():
    tree = ThresholdTree([-0.0, 0.0, -0.0])
    assert tree.query(0.0).size == tree.query(-0.0).size == 0
    assert tree.argmax() == 0
    assert str(tree.max()) == "0.0"
    assert tree.topk(2).tolist() == [0, 1]
    assert tree == ThresholdTree([0.0, 0.0, 0.0])


@pytest.fixture(scope="module")
def five_million():
    values = np.random.default_rng(0).random(5_000_000, dtype=np.float32)
    return values, ThresholdTree(values)


@pytest.mark.parametrize("share", [0, 1e-6, 0.01, 0.3, 1])
def test_large_results(five_million, share):
    # beyond the first buffer, the copied results and the sizes where hits are counted first
    values, tree = five_million
    t = -1.0 if share == 1 else float(np.float32(1 - share))
    expected = np.flatnonzero(values > np.float32(t))
    found = tree.query(t)
    assert np.array_equal(found, expected)
    assert tree.count(t) == expected.size
    for start, stop in ((12_345, 3_000_001), (0, 4_194_304), (1, 4_194_306), (2_500_000, 2_504_097)):
        inside = expected[np.searchsorted(expected, start) : np.searchsorted(expected, stop)]
        assert np.array_equal(tree.query(t, start, stop), inside)
        assert tree.count(t, start, stop) == inside.size
    found[:] = -1  # results belong to the caller
    assert np.array_equal(tree.query(t), expected)


# ---------------------------------------------------------------------- updates


@dtypes
@orientations
@all_sizes
def test_single_updates(seed, dtype, orientation, n):
    rng = np.random.default_rng(seed)
    tree, values = make(rng, n, dtype, orientation)
    for i in rng.integers(0, max(n, 1), 60 if n else 0).tolist():
        x = float(rng.choice([-np.inf, -3, -1, 0, 2, 3, np.inf]))
        if rng.random() < 0.5:
            tree.update(i, x)
        else:
            tree[i - n if rng.random() < 0.5 else i] = x
        values[i] = x
        if n <= 600:
            assert_is(tree, values)
    assert_is(tree, values)


@dtypes
@orientations
def test_add(seed, dtype, orientation):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(300).astype(dtype)
    tree = ThresholdTree(values, orientation=orientation)
    for i in range(300):
        delta = float(rng.standard_normal())
        assert tree.add(i, delta) is None
        values[i] = dtype(float(values[i]) + delta)
    assert_is(tree, values)
    tree.add(3, np.inf)
    tree.add(3, np.inf)
    assert tree[3] == np.inf
    tree._check()


def batch_sizes(n):
    """Few enough to repair paths, and many enough to rebuild, with repetitions."""
    return (0, 1, 2, 7, n // 100, n // 10, n, 2 * n) if n else (0,)


@dtypes
@orientations
@all_sizes
def test_update_many_last_of_equal_indices_wins(seed, dtype, orientation, n):
    rng = np.random.default_rng(seed)
    tree, values = make(rng, n, dtype, orientation)
    oracle = ThresholdArray(values, orientation=orientation)
    for k in batch_sizes(n):
        where, new = rng.integers(0, max(n, 1), k), tied_values(rng, k, dtype)
        assert tree.update_many(where, new) is None
        oracle.update_many(where, new)
        assert_is(tree, oracle.values)
        where = rng.integers(0, max(n, 1), k)
        tree.update_many(where, 1)
        oracle.values[where] = 1
        assert_is(tree, oracle.values)


@dtypes
@orientations
@edge_sizes
def test_update_many_reports_crossings(seed, dtype, orientation, n):
    rng = np.random.default_rng(seed)
    tree, values = make(rng, n, dtype, orientation)
    for k in batch_sizes(n):
        for t in (-3, 0, 0.5, np.inf, -np.inf):
            where, new = rng.integers(0, max(n, 1), k), tied_values(rng, k, dtype)
            before = passes(values, t, orientation)
            entered, left = tree.update_many(where, new, crossing=t)
            for i, x in zip(where, new, strict=True):
                values[i] = x
            after = passes(values, t, orientation)
            assert np.array_equal(entered, np.flatnonzero(after & ~before))
            assert np.array_equal(left, np.flatnonzero(before & ~after))
            assert_is(tree, values)


@dtypes
@orientations
@edge_sizes
def test_add_many_counts_every_repetition(seed, dtype, orientation, n):
    rng = np.random.default_rng(seed)
    values = rng.integers(-3, 4, n).astype(dtype)
    tree = ThresholdTree(values, orientation=orientation)
    for k in batch_sizes(n):
        where, deltas = rng.integers(0, max(n, 1), k), rng.standard_normal(k).astype(dtype)
        assert tree.add_many(where, deltas) is None
        np.add.at(values, where, deltas)
        assert_is(tree, values)
        tree.add_many(where, -2)
        np.add.at(values, where, dtype(-2))
        assert_is(tree, values)


@dtypes
@orientations
@edge_sizes
def test_pop_above(seed, dtype, orientation, n):
    rng = np.random.default_rng(seed)
    worst = -np.inf if orientation == "max" else np.inf
    for t, replacement in ((3, None), (0, None), (0, 0), (-1, worst), (worst, None)):
        tree, values = make(rng, n, dtype, orientation)
        expected = np.flatnonzero(passes(values, t, orientation))
        indices, popped = tree.pop_above(t, replacement=replacement)
        assert np.array_equal(indices, expected)
        assert popped.dtype == dtype
        assert np.array_equal(popped, values[expected])
        values[expected] = worst if replacement is None else replacement
        assert_is(tree, values)
        assert not tree.any(t)


@dtypes
@orientations
@pytest.mark.parametrize("n", [3, 17, 70, 300])
def test_values_of_the_tree_itself_may_be_written_to_it(dtype, orientation, n):
    # the values written must be those from before the call, as in NumPy, not what the call has written already
    values = np.arange(n, dtype=dtype)
    tree = ThresholdTree(values, orientation=orientation)
    tree[::-1] = tree.values
    assert_is(tree, values[::-1])
    expected = values[::-1].copy()
    order = np.roll(np.arange(n), 1)
    tree.update_many(order, tree.values)
    expected[order] = values[::-1]
    assert_is(tree, expected)
    tree.add_many(np.arange(n), tree.values)
    assert_is(tree, 2 * expected)
    tree.extend(tree.values)
    assert_is(tree, np.tile(2 * expected, 2))


# ---------------------------------------------------------------------- growth


@dtypes
@orientations
@edge_sizes
def test_append_extend_and_resize(seed, dtype, orientation, n):
    rng = np.random.default_rng(seed)
    tree, values = make(rng, n, dtype, orientation)
    worst = -np.inf if orientation == "max" else np.inf
    for _ in range(40):
        x = float(rng.integers(-3, 4))
        tree.append(x)
        values = np.append(values, dtype(x))
        assert_is(tree, values)
    for k in (0, 1, 16, 300):
        new = tied_values(rng, k, dtype)
        tree.extend(new)
        values = np.append(values, new)
        assert_is(tree, values)
    for size in (n + 1000, n + 3, n + 500, n // 2, 1, 0, 9, 257, 17, 16, 5000):
        tree.resize(size)
        values = np.append(values, np.full(max(size - values.size, 0), worst, dtype=dtype))[:size]
        assert_is(tree, values)
        assert np.array_equal(tree.query(0), np.flatnonzero(passes(values, 0, orientation)))
        if size:
            tree.update(size - 1, 2.0)
            values[-1] = 2.0
            assert_is(tree, values)


def test_growing_one_by_one_moves_the_values_only_now_and_then():
    tree, moves, at = ThresholdTree([]), 0, None
    for i in range(20_000):
        tree.append(i)
        now = tree.values.ctypes.data
        moves += now != at
        at = now
    assert moves <= 12  # 16, 32, ... 32768
    assert tree.query(19_998).tolist() == [19_999]
    tree._check()


@dtypes
def test_views_from_before_growth_stay_valid(dtype):
    tree = ThresholdTree(np.arange(100, dtype=dtype))
    views = [tree.values, np.asarray(tree), memoryview(tree)]
    for i in range(100, 50_000):
        tree.append(i)
    tree.resize(0)
    tree.extend(np.zeros(200_000, dtype=dtype))
    for view in views:
        assert np.array_equal(np.asarray(view), np.arange(100))
    alone = ThresholdTree(np.arange(1000, dtype=dtype)).values  # outlives its tree
    assert np.array_equal(alone, np.arange(1000))


# ---------------------------------------------------------------------- borrowed arrays


@dtypes
@orientations
@edge_sizes
def test_a_borrowed_array_is_the_tree(seed, dtype, orientation, n):
    rng = np.random.default_rng(seed)
    padded = tied_values(rng, n + 3, dtype)
    values = padded[1 : n + 1]  # nowhere near the start of a cache line
    guard = padded[[0, -2, -1]].copy()
    tree = ThresholdTree(values, orientation=orientation, copy=False)
    assert tree.borrowed
    assert n == 0 or np.shares_memory(tree.values, values)
    assert_is(tree, values)
    for i in range(min(n, 20)):
        tree.update(i, 2.5)
        assert values[i] == 2.5
    where = rng.integers(0, max(n, 1), n)
    tree.update_many(where, 1)
    assert np.all(values[where] == 1)
    assert_is(tree, values)
    for start, stop in ranges(rng, n):
        values[start:stop] = tied_values(rng, stop - start, dtype)
        tree.refresh(start, stop)
        assert_is(tree, values)
    values[:] = 0
    tree.refresh()
    assert_is(tree, values)
    assert np.array_equal(padded[[0, -2, -1]], guard)


def test_a_tree_keeps_its_borrowed_array_alive():
    tree = ThresholdTree(np.arange(100_000.0), copy=False)
    junk = [np.zeros(100_000) for _ in range(3)]
    assert tree.query(99_997.5).tolist() == [99_998, 99_999]
    assert len(junk) == 3


def test_refused_refresh_leaves_the_answers():
    values = np.arange(1000.0)
    tree = ThresholdTree(values, copy=False)
    values[700] = np.nan
    for span in ((), (700,), (0, 701)):
        with pytest.raises(ValueError, match=r"values must not be NaN, got NaN at index \(700,\)"):
            tree.refresh(*span)
        assert tree.max() == 999
        assert tree.query(990).tolist() == list(range(991, 1000))
    tree.refresh(0, 512)
    values[700] = 5000
    tree.refresh(700, 701)
    assert tree.argmax() == 700
    tree._check()


# ---------------------------------------------------------------------- inputs


@pytest.mark.parametrize("copy", [True, False])
def test_inputs_are_left_as_they_are(seed, copy):
    rng = np.random.default_rng(seed)
    where, new = rng.integers(0, 500, 50), rng.standard_normal(50)
    inputs = [where, new, where.copy(), new.copy()]
    tree = ThresholdTree(np.zeros(500), copy=copy)
    for array in inputs[:2]:
        array.flags.writeable = False
    tree.update_many(where, new, crossing=0.5)
    tree.add_many(where, new)
    tree.query_many(new)
    if copy:
        tree.extend(new)
    tree[where] = new
    assert np.array_equal(inputs[0], inputs[2])
    assert np.array_equal(inputs[1], inputs[3])


@dtypes
def test_a_copy_is_independent_of_its_source(dtype):
    values = np.arange(100, dtype=dtype)
    values.flags.writeable = False
    tree = ThresholdTree(values)
    assert not tree.borrowed
    tree[3] = 77
    tree.pop_above(50)
    assert np.array_equal(values, np.arange(100))


@pytest.mark.parametrize(
    "values",
    [
        [1, 5, 2],
        (1.0, 5.0, 2.0),
        np.array([1, 5, 2], dtype=np.uint8),
        np.array([1, 5, 2], dtype=np.float16),
        np.array([1, 5, 2], dtype=">f8"),
        np.array([1, 5, 2], dtype=np.longdouble),
        np.array([1.0, 0.0, 5.0, 0.0, 2.0])[::2],
        np.array([2.0, 5.0, 1.0])[::-1],
        np.ma.array([1.0, 5.0, 2.0]),
    ],
    ids=lambda values: f"{type(values).__name__}-{getattr(values, 'dtype', '')}",
)
def test_what_values_may_be(values):
    tree = ThresholdTree(values)
    assert tree.dtype == np.float64
    assert tree.values.tolist() == [1, 5, 2]
    tree._check()


def test_booleans_and_unaligned_arrays():
    assert ThresholdTree([True, False, True]).query(0.5).tolist() == [0, 2]
    raw = np.zeros(8 * 20 + 1, dtype=np.uint8)
    unaligned = raw[1:].view(np.float64)
    unaligned[:] = np.arange(20)
    tree = ThresholdTree(unaligned)
    assert_is(tree, np.arange(20.0))
    assert tree.query_many(unaligned[17:])[1].tolist() == [18, 19, 19]
    tree.update_many(np.arange(20), unaligned)
    assert_is(tree, np.arange(20.0))


# ---------------------------------------------------------------------- as a sequence


@dtypes
@orientations
@small_sizes
def test_reading_items(seed, dtype, orientation, n):
    tree, values = make(np.random.default_rng(seed), n, dtype, orientation)
    assert len(tree) == n
    assert list(tree) == values.tolist()
    assert all(tree[i] == values[i] and type(tree[i]) is float for i in range(-n, n))
    for key in (slice(None), slice(1, -1), slice(None, None, -3), values > 0, np.arange(n)[::2], [0] * min(n, 2), ...):
        if isinstance(key, list) and not key:
            continue
        part = tree[key]
        assert np.array_equal(part, values[key])
        part[...] = 77  # a copy
        assert np.array_equal(tree.values, values)
    if n:
        assert tree[np.int64(n - 1)] == values[n - 1]
        assert type(tree[np.int64(0)]) is float
    assert [tree[i] for i in range(n)] == list(iter(tree))


@dtypes
@orientations
@small_sizes
def test_assigning_items(seed, dtype, orientation, n):
    rng = np.random.default_rng(seed)
    tree, values = make(rng, n, dtype, orientation)
    keys = [slice(None), slice(1, -1), slice(None, None, -3), slice(5, 2), values > 0, np.arange(n)[::2], ...]
    if n:
        keys += [[0, n - 1, -1], [-1, 0, -1], np.int64(n - 1), np.array(0), np.array([0, n - 1, 0]), np.array([-1, 0])]
    for key in keys:
        values[key] = -1.5
        tree[key] = -1.5
        assert_is(tree, values)
        values[key] = 2
        tree[key] = 2
        assert_is(tree, values)
        new = rng.integers(-3, 4, np.shape(values[key]))
        values[key] = new
        tree[key] = new
        assert_is(tree, values)


@dtypes
@orientations
def test_parts_of_itself_are_assigned_as_they_were(seed, dtype, orientation):
    tree, values = make(np.random.default_rng(seed), 300, dtype, orientation)
    for to, source in ((slice(3, 200), slice(40, 237)), (slice(60, None), slice(0, 240)), (slice(-9, -2), slice(7))):
        values[to] = values[source].copy()
        tree[to] = tree.values[source]
        assert_is(tree, values)


def test_iteration_goes_on_while_the_tree_changes():
    tree, seen = ThresholdTree([1.0, 2.0, 3.0]), []
    for x in tree:
        seen.append(x)
        if x == 1:
            tree[2] = 7
            tree.append(8)
        if x == 7:
            tree.resize(3)
    assert seen == [1, 2, 7]


def test_equality_and_no_hash():
    tree = ThresholdTree([1.0, 2.0])
    assert tree == ThresholdTree([1, 2])
    assert not tree != ThresholdTree([1, 2])  # noqa: SIM202 - both operators are tested
    for other in (
        ThresholdTree([1.0, 3.0]),
        ThresholdTree([1.0]),
        ThresholdTree([1.0, 2.0, 2.0]),
        ThresholdTree([1.0, 2.0], orientation="min"),
        ThresholdTree(np.float32([1, 2])),
        [1.0, 2.0],
        None,
    ):
        assert tree != other
        assert not tree == other  # noqa: SIM201 - both operators are tested
    with pytest.raises(TypeError, match="unhashable"):
        hash(tree)
    grown = ThresholdTree([1.0])
    grown.append(2.0)
    assert grown == tree  # room to grow is no part of the value


@dtypes
def test_values_and_the_buffer_are_read_only_views(dtype):
    tree = ThresholdTree(np.arange(40, dtype=dtype))
    view, array = memoryview(tree), np.asarray(tree)
    assert view.readonly
    assert view.format == ("f" if dtype is np.float32 else "d")
    assert array.dtype == dtype
    for read_only in (tree.values, array):
        with pytest.raises(ValueError, match="read-only"):
            read_only[0] = 1
    with pytest.raises((BufferError, ValueError, TypeError), match=r"read-only|writable|read-write"):
        io.BytesIO(bytes(1000)).readinto(tree)
    tree[5] = 99
    assert view[5] == array[5] == tree.values[5] == 99
    with pytest.raises(AttributeError):
        tree.values = 3
    assert view.tobytes() == tree.values.tobytes()


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (ThresholdTree([]), "<ThresholdTree of 0 float64 values>"),
        (ThresholdTree([1.5, 2]), "<ThresholdTree of 2 float64 values, max 2>"),
        (ThresholdTree(np.float32([1.5, 2]), orientation="min"), "<ThresholdTree of 2 float32 values, min 1.5>"),
    ],
)
def test_repr(tree, expected):
    assert repr(tree) == expected


def test_large_arrays_lie_in_huge_pages():
    tree = ThresholdTree(np.zeros(2**19, dtype=np.float32))
    assert tree.values.ctypes.data % 2**21 == 0
    tree.append(1.0)
    assert tree.values.ctypes.data % 2**21 == 0
    tree._check()


@dtypes
@pytest.mark.parametrize("n", [0, 1, 1000, 100_000])
def test_memory(dtype, n):
    tree = ThresholdTree(np.zeros(n, dtype=dtype))
    share = 0.067 if dtype is np.float32 else 0.143
    itemsize = np.dtype(dtype).itemsize
    assert n * itemsize <= tree.nbytes <= n * itemsize * (1 + share) + 64 * 6  # 6 levels, each in whole blocks
    before = tree.nbytes
    tree.append(1)
    assert tree.nbytes <= 2 * before + 64 * 6
    borrowed = ThresholdTree(np.zeros(n, dtype=dtype), copy=False)
    assert borrowed.nbytes == before


# ---------------------------------------------------------------------- copies and pickles


def duplicates(tree):
    yield tree.copy()
    yield copy.copy(tree)
    yield copy.deepcopy(tree)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(tree, protocol))


@dtypes
@orientations
@edge_sizes
@pytest.mark.parametrize("kind", ["owned", "borrowed", "grown"])
def test_duplicates_are_equal_and_independent(seed, dtype, orientation, n, kind):
    values = tied_values(np.random.default_rng(seed), n, dtype)
    tree = ThresholdTree(
        values[: n // 2] if kind == "grown" else values, orientation=orientation, copy=kind != "borrowed"
    )
    if kind == "grown":
        tree.extend(values[n // 2 :])
    for other in duplicates(tree):
        assert type(other) is ThresholdTree
        assert other == tree
        assert (other.dtype, other.orientation, other.borrowed) == (dtype, orientation, False)
        assert_is(other, values)
        other.append(1.0)
        other[:] = 2
        assert_is(other, np.full(n + 1, 2, dtype=dtype))
        assert_is(tree, values)


def test_subclasses_survive_copies_and_pickles():
    for other in duplicates(Subclass([1.0, 2.0])):
        assert type(other) is Subclass
        assert other.max() == 2


class Subclass(ThresholdTree):
    pass


@dtypes
def test_out_of_band_pickles_do_not_copy_the_values(dtype):
    tree = ThresholdTree(np.arange(10_000, dtype=dtype), orientation="min")
    buffers = []
    data = pickle.dumps(tree, protocol=5, buffer_callback=buffers.append)
    assert len(data) < 1000
    assert len(buffers) == 1
    with buffers[0].raw() as raw:
        assert raw.nbytes == tree.values.nbytes
        assert np.shares_memory(np.frombuffer(raw, dtype=dtype), tree.values)
        frozen = raw.tobytes()
    for source in (frozen, bytearray(frozen)):
        other = pickle.loads(data, buffers=[source])
        assert other == tree
        other[0] = 5  # not in the buffer, which belongs to somebody else
        assert np.frombuffer(source, dtype=dtype)[0] == 0
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(data, buffers=[])


@pytest.mark.parametrize(
    ("version", "values", "orientation", "message"),
    [
        (2, np.zeros(3), "max", "reads pickles of format 1, got format 2"),
        ("1", np.zeros(3), "max", "reads pickles of format 1, got format '1'"),
        (1, np.zeros(3, dtype=int), "max", "float32 or float64 array, got .*int64"),
        (1, np.zeros(3, dtype=complex), "max", "float32 or float64 array, got .*complex128"),
        (1, [0.0, 1.0], "max", "float32 or float64 array, got list"),
        (1, None, "max", "float32 or float64 array, got NoneType"),
        (1, np.zeros((2, 3)), "max", r"values must have 1 dimension, got shape \(2, 3\)"),
        (1, np.zeros(()), "max", r"values must have 1 dimension, got shape \(\)"),
        (1, np.array([0.0, np.nan]), "max", r"values must not be NaN, got NaN at index \(1,\)"),
        (1, np.zeros(3), "up", "orientation must be 'max' or 'min', got 'up'"),
        (1, np.zeros(3), None, "orientation must be 'max' or 'min', got None"),
    ],
)
def test_damaged_pickles_are_refused(version, values, orientation, message):
    data = pickle.dumps(Forged((ThresholdTree, version, values, orientation)))
    with pytest.raises(ValueError, match=message):
        pickle.loads(data)


class Forged:
    """Pickles as a tree with these arguments."""

    def __init__(self, arguments):
        self.arguments = arguments

    def __reduce__(self):
        return _threshold_tree._from_pickle, self.arguments


def test_damaged_bytes_inside_a_pickle_are_refused():
    data = pickle.dumps(ThresholdTree([1.0, 2.0, 3.0]))
    damaged = data.replace(np.float64(2).tobytes(), np.float64(np.nan).tobytes())
    assert damaged != data
    with pytest.raises(ValueError, match=r"NaN at index \(1,\)"):
        pickle.loads(damaged)


def test_an_object_never_initialised_is_an_empty_tree():
    # object.__new__ and subclasses that forget super().__init__ must not crash the interpreter
    tree = ThresholdTree.__new__(ThresholdTree)
    assert len(tree) == 0
    assert tree.query(0.5).size == 0
    assert repr(tree) == "<ThresholdTree of 0 float64 values>"
    tree.append(3.0)
    assert tree.max() == 3
    tree._check()
