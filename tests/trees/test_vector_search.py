"""VectorSearch: answers beside those of comparing all pairs in float64, changes, rounding, bad input, copies."""

import copy
import pickle
import re

import numpy as np
import pytest
import scipy.sparse

from sltrees import VectorSearch
from sltrees._core import _simd
from sltrees._core._vector_panels import METRICS, squared_lengths
from sltrees.reference import AllPairs
from sltrees.trees import vector_search

metrics = pytest.mark.parametrize("metric", METRICS)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def drawn(rng, n, d, dtype, kind="ties"):
    """Vectors, none of them zero: of small integers, whose values are exact and often equal, or of any numbers."""
    vectors = rng.integers(-2, 3, (n, d)) if kind == "ties" else rng.standard_normal((n, d))
    vectors[~vectors.any(axis=1), 0] = 1
    return vectors.astype(dtype)


def assert_agrees(search, twin, queries, thresholds):
    """Both ways: all that is reported passes, and all that is not fails; with the same bits."""
    expected = twin.values(queries)
    for t in thresholds:
        for inclusive in (False, True):
            found = search.search(queries, t, inclusive=inclusive)
            assert isinstance(found, scipy.sparse.csr_array)
            assert found.shape == expected.shape
            found.check_format(full_check=True)
            reported = np.zeros(expected.shape, dtype=bool)
            rows = np.repeat(np.arange(len(expected)), np.diff(found.indptr))
            reported[rows, found.indices] = True
            assert np.array_equal(reported, twin.within(queries, t, inclusive=inclusive))
            assert np.array_equal(found.data, expected[reported])
            assert np.array_equal(search.count(queries, t, inclusive=inclusive), reported.sum(axis=1))
    for k in (1, 3, len(search) + 2):
        for got, want in zip(search.nearest(queries, k), twin.nearest(queries, k), strict=True):
            assert np.array_equal(got, want)


def thresholds_of(twin, queries):
    """Some that are values, and so have ties, and some that are not."""
    values = twin.values(queries)
    return [*np.nanquantile(values, [0, 0.02, 0.5, 0.97, 1], method="nearest"), 0.3, -np.inf, np.inf]


# ---------------------------------------------------------------------- answers


@metrics
@dtypes
@pytest.mark.parametrize("kind", ["ties", "any"])
@pytest.mark.parametrize(
    ("n", "d", "k"), [(1, 1, 1), (63, 3, 8), (64, 8, 9), (65, 16, 31), (700, 17, 40), (200, 90, 5)]
)
def test_answers_are_those_of_all_pairs(seed, metric, dtype, kind, n, d, k):
    rng = np.random.default_rng(seed)
    vectors, queries = drawn(rng, n, d, dtype, kind), drawn(rng, k, d, dtype, kind)
    queries[0] = vectors[n // 2]
    search, twin = VectorSearch(vectors, metric=metric), AllPairs(vectors, metric)
    search._check()
    assert_agrees(search, twin, queries, thresholds_of(twin, queries))


@metrics
def test_thresholds_may_differ_between_queries(seed, metric):
    rng = np.random.default_rng(seed)
    vectors, queries = drawn(rng, 300, 5, np.float64), drawn(rng, 20, 5, np.float64)
    twin = AllPairs(vectors, metric)
    thresholds = twin.values(queries)[:, 7]
    found = VectorSearch(vectors, metric=metric).search(queries, thresholds, inclusive=True)
    assert np.array_equal(
        found.toarray() != 0, twin.within(queries, thresholds, inclusive=True) & (twin.values(queries) != 0)
    )
    assert np.array_equal(np.diff(found.indptr), twin.within(queries, thresholds, inclusive=True).sum(axis=1))


@metrics
def test_values_just_beyond_a_threshold_are_told_from_those_at_it(metric):
    # neighbours in float64: no product in float32 could tell
    base = np.array([[3.0, 4.0, 1.0]])
    vectors = np.repeat(base, 200, axis=0)
    for j in range(200):
        vectors[j, 2] = np.nextafter(1.0, 2.0) if j % 3 == 0 else 1.0 if j % 3 == 1 else np.nextafter(1.0, 0.0)
    twin = AllPairs(vectors, metric)
    search = VectorSearch(vectors, metric=metric)
    for queries in (base, np.array([[0.0, 0.0, 1.0]])):
        assert_agrees(search, twin, queries, twin.values(queries)[0, :3])


@metrics
def test_a_vector_and_itself(seed, metric):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((500, 13)).astype(np.float32)
    search = VectorSearch(vectors, metric=metric)
    ids, values = search.nearest(vectors, 1)
    if metric == "cosine":
        assert np.all(values == 1)
    if metric == "euclidean":
        assert np.all(values == 0)
        assert np.all(search.search(vectors, 0.0).nnz == 0)
        assert np.all(np.diff(search.search(vectors, 0.0, inclusive=True).indptr) >= 1)
    if metric != "inner_product":
        assert np.array_equal(ids.ravel(), np.arange(500))


SCALES = {
    "far from the origin": lambda x, rng: x + 1e6,
    "tiny": lambda x, rng: x * 1e-38,
    "huge": lambda x, rng: x * 1e17,
    "of all sizes": lambda x, rng: x * 10.0 ** rng.integers(-18, 18, (len(x), 1)),
    "of all sizes within": lambda x, rng: x * 10.0 ** rng.integers(-18, 18, x.shape),
    "one outlier": lambda x, rng: np.concatenate([x[:-1], x[-1:] * 1e15]),
    "alike": lambda x, rng: x * 0 + 1.0 + 1e-7 * rng.standard_normal(x.shape),
}


@metrics
@dtypes
@pytest.mark.parametrize("name", SCALES)
def test_rounding_in_float32_rules_out_nothing_that_passes(seed, metric, dtype, name):
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):
        vectors = SCALES[name](rng.standard_normal((400, 9)), rng).astype(dtype)
        queries = SCALES[name](rng.standard_normal((30, 9)), rng).astype(dtype)
    if metric == "cosine":
        vectors[~vectors.any(axis=1)], queries[~queries.any(axis=1)] = 1, 1
    search, twin = VectorSearch(vectors, metric=metric), AllPairs(vectors, metric)
    search._check()
    for batch in (queries, vectors[:30], (queries * np.float32(1e-9)) if metric != "cosine" else queries[:3]):
        assert_agrees(search, twin, batch, thresholds_of(twin, batch))


def test_float64_beyond_the_range_of_float32(seed):
    rng = np.random.default_rng(seed)
    for metric in METRICS:
        vectors = rng.standard_normal((100, 4)) * 10.0 ** rng.integers(-60, 60, (100, 1))
        queries = rng.standard_normal((12, 4)) * 10.0 ** rng.integers(-60, 60, (12, 1))
        twin = AllPairs(vectors, metric)
        assert_agrees(VectorSearch(vectors, metric=metric), twin, queries, thresholds_of(twin, queries))


@pytest.mark.parametrize("metric", ["inner_product", "euclidean"])
@pytest.mark.parametrize("exponents", [(e, e) for e in (-145, -155, -158, -160, -161, -162, -170)] + [(-250, -70)])
def test_products_that_underflow_rule_out_nothing_that_passes(seed, metric, exponents):
    rng = np.random.default_rng(seed)
    vectors, queries = (10.0**e * rng.standard_normal((n, 9)) for e, n in zip(exponents, (200, 20), strict=True))
    twin = AllPairs(vectors, metric)
    assert_agrees(VectorSearch(vectors, metric=metric), twin, queries, thresholds_of(twin, queries))


@metrics
def test_nearly_all_pairs_are_ruled_out_in_float32(seed, metric):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((4000, 32)).astype(np.float32)
    search, twin = VectorSearch(vectors, metric=metric), AllPairs(vectors, metric)
    values = twin.values(vectors[:40])
    t = np.quantile(values, 0.01 if metric == "euclidean" else 0.99)
    # few others than those that pass are decided in float64: those within the slack of products
    packed, measures = search._held.measured(vectors[:40], search._held.panels.squares[:40])
    held, squares = search._held.panels, search._held.panels.squares[:40]
    counts, _, _, n_decided = held.within(vectors[:40], squares, packed, measures, np.full(40, t), False, True)
    n_hits = counts.sum()
    assert n_hits <= n_decided <= n_hits + 1e-3 * values.size


# ---------------------------------------------------------------------- threads, levels, parts


@metrics
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_results_do_not_depend_on_threads_or_parts(seed, metric, n_threads, monkeypatch):
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(vector_search, "_WORTH_THREADS", 0)
    vectors, queries = drawn(rng, 900, 20, np.float32, "any"), drawn(rng, 77, 20, np.float32, "any")
    plain = VectorSearch(vectors, metric=metric, n_threads=1)
    t = np.quantile(AllPairs(vectors, metric).values(queries), 0.3)
    expected, nearest = plain.search(queries, t), plain.nearest(queries, 7)
    monkeypatch.setattr(vector_search, "_ROWS_AT_ONCE", 16)
    other = VectorSearch(vectors, metric=metric, n_threads=n_threads)
    found = other.search(queries, t)
    assert found.indptr.tobytes() == expected.indptr.tobytes()
    assert found.indices.tobytes() == expected.indices.tobytes()
    assert found.data.tobytes() == expected.data.tobytes()
    for got, want in zip(other.nearest(queries, 7), nearest, strict=True):
        assert got.tobytes() == want.tobytes()
    for i in (0, 8, 76):  # by itself, too
        assert np.array_equal(
            other.search(queries[i : i + 1], t).data, expected.data[slice(*expected.indptr[i : i + 2])]
        )


@metrics
@dtypes
@pytest.mark.parametrize("level", _simd.supported_levels())
def test_results_have_the_same_bits_at_every_level(seed, metric, dtype, level):
    rng = np.random.default_rng(seed)
    vectors, queries = drawn(rng, 300, 21, dtype, "any"), drawn(rng, 21, 21, dtype, "any")
    before = _simd.active_level_name()
    _simd.set_active_level(level)
    try:
        search = VectorSearch(vectors, metric=metric)
    finally:
        _simd.set_active_level(before)
    twin = AllPairs(vectors, metric)
    assert_agrees(search, twin, queries, thresholds_of(twin, queries))


# ---------------------------------------------------------------------- changes


@metrics
@dtypes
def test_vectors_that_change_are_found_where_they_are(seed, metric, dtype):
    rng = np.random.default_rng(seed)
    vectors, queries = drawn(rng, 150, 6, dtype), drawn(rng, 10, 6, dtype)
    search, twin = VectorSearch(vectors, metric=metric), AllPairs(vectors, metric)
    ids, new = rng.integers(0, 150, 60), drawn(rng, 60, 6, dtype)
    search.update(ids, new)
    for i, vector in zip(ids, new, strict=True):  # of equal ids the last one wins
        twin.vectors[i] = vector
    gone = rng.permutation(150)[:40]
    search.remove(gone)
    twin.live[gone], twin.vectors[gone] = False, 0
    search._check()
    assert_agrees(search, twin, queries, thresholds_of(twin, queries))
    added = search.add(new[:50])
    assert np.array_equal(added, [*gone[::-1], *range(150, 160)])
    twin.vectors = np.concatenate([twin.vectors, np.zeros((10, 6))])
    twin.vectors[added], twin.live = new[:50], np.ones(160, dtype=bool)
    search._check()
    assert_agrees(search, twin, queries, thresholds_of(twin, queries))
    assert np.array_equal(search.vectors, twin.vectors.astype(dtype))


@metrics
def test_vectors_of_another_scale_have_all_packed_anew(seed, metric):
    rng = np.random.default_rng(seed)
    vectors = drawn(rng, 100, 3, np.float64, "any")
    search, twin = VectorSearch(vectors, metric=metric), AllPairs(vectors, metric)
    scale = getattr(search._held, "scale", None)
    for factor in (1e20, 1e60, 1e-60):
        new = factor * drawn(rng, 60, 3, np.float64, "any")
        search.update(np.arange(60), new)
        twin.vectors[:60] = new
        search._check()
        queries = np.concatenate([vectors[:8], new[:5]])
        assert_agrees(search, twin, queries, thresholds_of(twin, queries))
    assert metric == "cosine" or search._held.scale > scale


@metrics
@pytest.mark.parametrize("factor", [1e6, 1e18, 1e30, 1e70])
def test_a_few_far_vectors_slow_down_their_panels_only(seed, metric, factor):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((2000, 16))
    search, queries, far = VectorSearch(vectors, metric=metric), vectors[:20], np.array([3, 1500, 1990])
    t = np.quantile(AllPairs(vectors, metric).values(queries), 0.001 if metric == "euclidean" else 0.999)

    def n_undecided(search):
        found = search._held.within(queries, squared_lengths(queries), np.full(20, t), False, True)
        assert np.array_equal(found[0], AllPairs(search.vectors, metric).within(queries, t).sum(axis=1))
        return found[-1] - found[0].sum()

    most = n_undecided(search)
    for _ in range(2):
        search.update(far, factor * vectors[far])
        search._check()
        assert max(n_undecided(search), n_undecided(search.copy())) <= most + 3 * 64 * 20
        search.update(far, vectors[far])
        search._check()
        assert n_undecided(search) <= most + 20  # as if they had never been there


def test_packing_anew_is_not_repeated_where_it_does_not_help(seed):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((500, 4)) * 10.0 ** rng.integers(-60, 60, (500, 1))
    search, n_packed = VectorSearch(vectors), 0
    for i in range(500):
        held = search._held
        search.update([i], vectors[[i - 1]])
        n_packed += search._held is not held
    assert n_packed <= 8


def test_room_grows_as_vectors_are_added_one_by_one(seed):
    rng = np.random.default_rng(seed)
    vectors = drawn(rng, 700, 4, np.float32)
    search, held = VectorSearch(vectors[:1], metric="euclidean"), set()
    for i in range(1, 700):
        assert search.add(vectors[i : i + 1]).tolist() == [i]
        held.add(id(search._held.panels))
    search._check()
    assert len(held) <= 5
    assert_agrees(search, AllPairs(vectors, "euclidean"), vectors[:9], [2.0])


def test_all_vectors_may_go():
    search = VectorSearch([[1.0], [2.0]])
    search.remove([1, 0])
    assert len(search) == 0
    assert search.search([[1.0]], -np.inf).nnz == 0
    assert [part.shape for part in search.nearest([[1.0]], 3)] == [(1, 0), (1, 0)]
    assert search.add([[5.0]]).tolist() == [0]
    search._check()
    assert search.nearest([[1.0]], 3)[1].tolist() == [[5.0]]
    assert search.copy() == search


def test_nothing_asked_or_changed():
    search = VectorSearch(np.ones((3, 2), np.float32))
    assert search.search(np.empty((0, 2)), 1.0).shape == (0, 3)
    assert search.count(np.empty((0, 2)), 1.0).size == 0
    assert search.nearest(np.empty((0, 2)), 2)[0].shape == (0, 2)
    assert search.add([]).size == 0
    search.update([], [])
    search.remove([])
    search._check()


# ---------------------------------------------------------------------- what there is


def test_properties():
    search = VectorSearch(np.array([[1, 2], [3, 4], [5, 6]], np.float32), metric="cosine")
    search.remove([1])
    assert (len(search), search.n_ids, search.n_features, search.metric, search.dtype) == (
        2,
        3,
        2,
        "cosine",
        np.float32,
    )
    assert search.ids.tolist() == [0, 2]
    assert [i in search for i in (0, 1, 2, 3, -1, "a")] == [True, False, True, False, False, False]
    assert (True in search, np.True_ in search) == (False, False)  # no ids
    assert [vector.tolist() for vector in search] == [[1, 2], [5, 6]]  # by id
    assert search[2].tolist() == [5, 6]
    assert search[[2, 0]].tolist() == [[5, 6], [1, 2]]
    assert not search.vectors.flags.writeable
    assert repr(search) == "<VectorSearch of 2 vectors in 2 dimensions, cosine, float32>"
    with pytest.raises(IndexError, match="got 1, which was removed"):
        search[1]


@metrics
@dtypes
@pytest.mark.parametrize("n", [1, 64, 1000])
def test_memory_is_as_announced(metric, dtype, n):
    search = VectorSearch(np.ones((n, 7), dtype), metric=metric)
    assert search.nbytes <= VectorSearch.bytes_needed(n, 7, dtype, metric=metric)
    needed = VectorSearch.bytes_needed(n, 7, dtype, metric=metric)
    with pytest.raises(MemoryError, match=f"the search needs {needed:,} bytes, max_memory allows"):
        VectorSearch(np.ones((n, 7), dtype), metric=metric, max_memory=needed - 1)
    VectorSearch(np.ones((n, 7), dtype), metric=metric, max_memory=needed)


def test_growth_keeps_within_max_memory():
    needed = VectorSearch.bytes_needed(64, 7, np.float64)
    search = VectorSearch(np.ones((64, 7)), max_memory=needed)
    before = search.copy()
    with pytest.raises(MemoryError, match=r"room for 128 vectors, .* max_memory allows"):
        search.add(np.ones((1, 7)))
    assert search == before
    search.remove([3])
    assert search.add(np.ones((1, 7))).tolist() == [3]  # there is room for it
    search._check()


def test_results_without_room_are_refused(monkeypatch):
    search = VectorSearch(np.ones((20000, 1)), n_threads=1)
    monkeypatch.setattr("sltrees._memory.available_memory", lambda: 1e8)
    with pytest.raises(MemoryError, match=r"pairs in some rows, needs .* bytes.*ask for fewer at a time"):
        search.search(np.ones((512, 1)), 0.0)
    assert search.count(np.ones((512, 1)), 0.0).sum() == 512 * 20000
    with pytest.raises(MemoryError, match="a result of 10240000 pairs needs"):
        search.nearest(np.ones((512, 1)), 20000)


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda search: pickle.loads(pickle.dumps(search))])
@metrics
def test_duplicates_have_the_same_ids_and_answers(seed, metric, how):
    rng = np.random.default_rng(seed)
    vectors, queries = drawn(rng, 90, 4, np.float32), drawn(rng, 10, 4, np.float32)
    search = VectorSearch(vectors, metric=metric, n_threads=2)
    search.remove([5, 80, 3])
    other = how(search)
    other._check()
    assert other == search
    assert other.add(vectors[:5]).tolist() == search.add(vectors[:5]).tolist() == [3, 80, 5, 90, 91]
    assert other == search
    assert np.array_equal(other.search(queries, 0.5).data, search.search(queries, 0.5).data)
    other.update([0], vectors[1:2] + 1)
    assert other != search
    assert (search == 1) is False


def test_a_pickle_of_another_format_is_refused():
    function, arguments = VectorSearch([[1.0], [2.0]]).__reduce__()
    with pytest.raises(ValueError, match="reads pickles of format 1, got format 2"):
        function(arguments[0], 2, *arguments[2:])
    with pytest.raises(ValueError, match="must say which vectors are free"):
        function(*arguments[:5], np.array([True, False]), np.array([0]))


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("vectors", "options", "error", "message"),
    [
        ([[np.nan]], {}, ValueError, "vectors must be finite in float64, got nan at index (0, 0)"),
        ([1.0], {}, ValueError, "vectors must have 2 dimensions, got shape (1,)"),
        (np.empty((0, 2)), {}, ValueError, "vectors must have at least 1 row and 1 column"),
        ([["a"]], {}, TypeError, "vectors must hold real numbers"),
        ([[1e80]], {}, ValueError, "squared lengths of vectors must be from 0 to 1e+150, got 1e+160 at index 0"),
        (
            [[1.0], [0.0]],
            {"metric": "cosine"},
            ValueError,
            "squared lengths of vectors must be from 1e-150 to 1e+150, got 0",
        ),
        (
            [[1.0]],
            {"metric": "l2"},
            ValueError,
            "metric must be one of 'inner_product', 'cosine', 'euclidean', got 'l2'",
        ),
        ([[1.0]], {"n_threads": 0}, ValueError, "n_threads must be at least 1, got 0"),
        (np.ones((1, 2**20 + 1), np.float32), {}, ValueError, "vectors must have at most 1048576 columns"),
        (np.ma.masked_equal([[1.0, 2.0]], 2.0), {}, ValueError, "vectors must not be masked, got 1 masked entries"),
    ],
)
def test_vectors_that_are_refused(vectors, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        VectorSearch(vectors, **options)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda s: s.search([[1.0]], 0.0), ValueError, "queries must have 2 columns, got 1"),
        (lambda s: s.search([1.0, 2.0], 0.0), ValueError, "queries must have 2 dimensions, got shape (2,)"),
        (lambda s: s.search([[1.0, np.inf]], 0.0), ValueError, "queries must be finite"),
        (lambda s: s.search([[1.0, 2.0]], np.nan), ValueError, "threshold must not be NaN"),
        (
            lambda s: s.search([[1.0, 2.0]], [0.0, 1.0]),
            ValueError,
            "threshold must be one for each of 1 queries, got 2",
        ),
        (lambda s: s.search([[1.0, 2.0]], [[0.0]]), ValueError, "threshold must be a number, or one for each query"),
        (lambda s: s.search([[1.0, 2.0]], "a"), TypeError, "threshold must be real numbers"),
        (lambda s: s.search([[1.0, 2.0]], 0.0, inclusive=1), TypeError, "inclusive must be True or False, got 1"),
        (lambda s: s.nearest([[1.0, 2.0]], 0), ValueError, "k must be at least 1, got 0"),
        (lambda s: s.nearest([[1.0, 2.0]], 1.5), ValueError, "k must be an integer, got 1.5"),
        (lambda s: s.add([[1.0]]), ValueError, "vectors must have 2 columns, got 1"),
        (lambda s: s.add(np.empty((5, 0))), ValueError, "vectors must have 2 columns, got shape (5, 0)"),
        (lambda s: s.add(np.empty((0, 7))), ValueError, "vectors must have 2 columns, got shape (0, 7)"),
        (lambda s: s.search(np.empty((0, 7)), 0.0), ValueError, "queries must have 2 columns, got shape (0, 7)"),
        (lambda s: s.update([], np.empty((5, 0))), ValueError, "vectors must have 2 columns, got shape (5, 0)"),
        (lambda s: s.add([[1.0, np.nan]]), ValueError, "vectors must be finite"),
        (lambda s: s.update([3], [[1.0, 2.0]]), IndexError, "ids must be in [0, 3), got 3"),
        (lambda s: s.update([-1], [[1.0, 2.0]]), IndexError, "ids must be in [0, 3), got -1"),
        (
            lambda s: s.update([1], [[1.0, 2.0]]),
            IndexError,
            "ids must be of vectors that are there, got 1, which was removed",
        ),
        (
            lambda s: s.update([0, 2], [[1.0, 2.0]]),
            ValueError,
            "vectors must have one row for each of the 2 ids, got 1",
        ),
        (lambda s: s.update([0.5], [[1.0, 2.0]]), TypeError, "ids must be integers"),
        (lambda s: s.remove([1]), IndexError, "got 1, which was removed"),
        (lambda s: s.remove([2, 2]), ValueError, "ids must differ, got 2 of which 1 do"),
        (lambda s: s.remove([7]), IndexError, "ids must be in [0, 3), got 7"),
    ],
)
def test_what_is_refused_changes_nothing(act, error, message):
    search = VectorSearch([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    search.remove([1])
    before = search.copy()
    with pytest.raises(error, match=re.escape(message)):
        act(search)
    search._check()
    assert search == before
    assert search.add([[0.0, 1.0]]).tolist() == [1]
