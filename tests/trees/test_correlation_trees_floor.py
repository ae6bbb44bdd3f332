"""CorrelationTrees with a floor: the answers of trees without one, in memory for what is above it."""

import pickle
import re
import threading
import time

import numpy as np
import pytest

from sltrees import CorrelationTrees

axes = pytest.mark.parametrize("axis", ["data", "weights"])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def problem(seed, m=40, n=90, d=5, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, d)).astype(dtype), rng.standard_normal((n, d)).astype(dtype)


def assert_same_answers(pruned, full):
    """Both ways, with the same bits: everything above a threshold that is at least the floor, and nothing else."""
    pruned._check()
    values = full.values
    for t in (pruned.floor, 3.0, float(values[values > 3][0]), values.max(), np.inf):
        limits = np.where(pruned.slack > 0, np.nextafter(t + pruned.slack, np.inf), t)
        found, expected = pruned.query_all(limits), full.query_all(limits)
        assert found.data.tobytes() == expected.data.tobytes()
        assert np.array_equal(found.indices, expected.indices)
        assert np.array_equal(found.indptr, expected.indptr)
        found.check_format(full_check=True)
        assert np.array_equal(pruned.count_all(limits), full.count_all(limits))
        for row in (0, len(full) - 1):
            limit = limits[row]
            for got, want in zip(
                pruned.query(row, limit, return_values=True), full.query(row, limit, return_values=True), strict=True
            ):
                assert (got.dtype, got.tobytes()) == (want.dtype, want.tobytes())
            assert np.array_equal(pruned.query(row, limit), full.query(row, limit))
            assert pruned.count(row, limit) == full.count(row, limit)
            assert pruned.any(row, limit) == full.any(row, limit)
    above = np.count_nonzero(values[0].astype(np.float64) > pruned.floor)
    for k in (0, 1, above, above + 7):
        assert np.array_equal(pruned.topk(0, k), full.topk(0, k)[:above])


@axes
@dtypes
@pytest.mark.parametrize("floor", [-1e300, 0, 1.1, 2.5])
def test_answers_are_those_without_a_floor(seed, axis, dtype, floor):
    weights, data = problem(seed, dtype=dtype)
    pair = CorrelationTrees(weights, data, axis=axis, floor=floor), CorrelationTrees(weights, data, axis=axis)
    assert pair[0].floor == floor
    assert pair[1].floor is None
    assert_same_answers(*pair)
    new, more = problem(seed + 1, 7, 8, dtype=dtype)
    gone = [3, 38, 0]
    for act in (
        lambda trees: trees.update_weights([5, 39, 5, 0], 3 * new[:4]),
        lambda trees: trees.update_weight(7, np.zeros(5)),  # a tree without entries, where the floor is above 0
        lambda trees: trees.add_weights(new),
        lambda trees: trees.set_slack([1, 2], [0.25, 1 / 3]),
        lambda trees: trees.add_data(more),
        lambda trees: trees.remove_weights(gone),
        lambda trees: trees.remove_data(gone),
        lambda trees: trees.update_weights(np.arange(len(weights)), weights),
    ):
        for trees in pair:
            act(trees)
        assert_same_answers(*pair)


@axes
def test_many_products_are_made_in_parts(axis):
    weights, data = problem(0, 300, 2000, 3, np.float32)  # more than are computed at a time
    pair = CorrelationTrees(weights, data, axis=axis, floor=2.0), CorrelationTrees(weights, data, axis=axis)
    assert_same_answers(*pair)
    for trees in pair:
        trees.update_weights(np.arange(290)[::-1], weights[:290])
    assert_same_answers(*pair)


@dtypes
def test_the_floor_is_compared_without_rounding(dtype):
    tenth = np.array([[0.1]], dtype)
    trees = CorrelationTrees(np.ones((1, 1), dtype), tenth, floor=0.1)
    assert trees.query(0, 0.1).tolist() == ([0] if dtype == np.float32 else [])  # as float32 it is above 0.1
    assert CorrelationTrees(np.ones((1, 1), dtype), tenth, floor=float(tenth[0, 0])).count_all(0.1 + 1e-8).sum() == 0
    trees = CorrelationTrees(np.ones((1, 1), dtype), np.ones((1, 1), dtype), floor=1 - 2.0**-53)
    trees.set_slack([0], 2.0**-53)  # 1 - slack is held exactly
    assert trees.query(0, 1.0).tolist() == [0]
    trees.set_slack([0], 2.0**-52)
    with pytest.raises(ValueError, match="less the slack of its tree, must be at least the floor"):
        trees.query(0, 1.0)


@axes
@dtypes
def test_memory_is_in_proportion_to_what_is_above_the_floor(seed, axis, dtype):
    weights, data = problem(seed, 400, 1500, 4, dtype)
    full = CorrelationTrees(weights, data, axis=axis)
    for floor in (3.0, 6.0, 100.0):
        trees = CorrelationTrees(weights, data, axis=axis, floor=floor)
        above = int(np.count_nonzero(full.values > floor))
        entry, rest = 4 + dtype().itemsize, len(trees) * 50 + weights.nbytes + 1.5 * data.nbytes + 5000
        assert above * entry <= trees.nbytes <= above * entry + rest
        assert trees.nbytes < full.nbytes / 3
        assert trees.nbytes <= CorrelationTrees.bytes_needed(400, 1500, 4, dtype, axis=axis, n_above=above)
    assert above == 0
    trees.update_weights(np.arange(400), weights + 100)  # and follows what is written
    grown = trees.nbytes
    assert grown > above * entry + 100_000
    trees.update_weights(np.arange(400), weights)
    assert trees.nbytes < grown - 100_000


@axes
def test_max_memory_holds_for_what_is_above_the_floor(axis):
    weights, data = np.ones((100, 1)), np.ones((3000, 1))
    least = CorrelationTrees.bytes_needed(100, 3000, 1, np.float64, axis=axis, n_above=0)
    message = (
        r"products above the floor, 0.5, need more than [\d,]+ bytes, what is left of what max_memory allows; use a"
    )
    with pytest.raises(MemoryError, match=message):
        CorrelationTrees(weights, data, axis=axis, floor=0.5, max_memory=least + 12 * 299_999)
    with pytest.raises(MemoryError, match=r"the trees needs [\d,]+ bytes, max_memory allows"):
        CorrelationTrees(weights, data, axis=axis, floor=0.5, max_memory=least - 1)
    trees = CorrelationTrees(weights, data, axis=axis, floor=0.5, max_memory=least + 12 * 300_000)
    assert trees.count_all(0.5).sum() == 300_000
    trees = CorrelationTrees(0 * weights, data, axis=axis, floor=0.5, max_memory=least + 12 * 50_000)
    before, nbytes = trees.copy(), trees.nbytes
    for act in (
        lambda: trees.update_weights(np.arange(100), weights),
        lambda: trees.add_weights(np.ones((60, 1))),
    ):
        with pytest.raises(MemoryError, match=message if act.__code__.co_names[0] == "update_weights" else "bytes"):
            act()
        assert trees == before
        assert trees.nbytes == nbytes
        trees._check()
    trees.update_weights([1], [[2.0]])
    trees.remove_data(np.arange(2000))
    with pytest.raises(MemoryError, match=message):  # also afterwards
        trees.update_weights(np.arange(100), weights)
    before.update_weights(np.arange(100), weights)  # copies have no limit of their own


def test_memory_that_is_not_there_is_refused_by_columns(monkeypatch):
    trees = CorrelationTrees(np.ones((2900, 1)), np.ones((2000, 1)), axis="weights", floor=0.5)
    monkeypatch.setattr("sltrees._core._pruned_bank.available_memory", lambda: 1e6)
    with pytest.raises(MemoryError, match="need more than 1,000,000 bytes, what is left of what this machine has"):
        trees.update_weight(0, [2.0])  # one product of each list, which is made anew as a whole
    assert trees.weights[0, 0] == 1
    assert trees.count_all(0.5).sum() == 2900 * 2000
    assert trees.query_all(1.5).nnz == 0


def test_memory_that_is_not_there_is_refused(monkeypatch):
    trees = CorrelationTrees(np.zeros((3000, 1)), np.ones((3000, 1)), floor=0.5)
    monkeypatch.setattr("sltrees._core._pruned_bank.available_memory", lambda: 1e6)
    with pytest.raises(MemoryError, match="need more than 1,000,000 bytes, what is left of what this machine has"):
        trees.update_weights(np.arange(3000), np.ones((3000, 1)))
    assert trees.count_all(0.5).sum() == 0
    trees.update_weights([3], [[1.0]])
    assert trees.count_all(0.5).sum() == 3000


@axes
def test_an_overflow_of_float32_is_refused_without_a_warning(axis):
    large = np.full((1, 1), 1e30, np.float32)
    with pytest.raises(ValueError, match=r"finite in float32, got some that could reach 1e\+60"):
        CorrelationTrees(large, large, axis=axis, floor=0.5)


@axes
def test_what_is_below_the_floor_is_not_answered(axis):
    trees = CorrelationTrees(*problem(0), axis=axis, floor=1.5)
    before = trees.copy()
    for ask in (
        lambda: trees.query(0, 1.4),
        lambda: trees.query_all(-np.inf),
        lambda: trees.query_all(np.r_[1.4, np.full(len(trees) - 1, 2.0)]),
        lambda: trees.count(0, 1.4),
        lambda: trees.count_all(1.4),
        lambda: trees.any(0, 1.4),
    ):
        with pytest.raises(ValueError, match=r"threshold must be at least the floor, 1.5, got (1.4|-inf)"):
            ask()
    with pytest.raises(AttributeError, match=re.escape("hold no matrix of products; ask query_all(1.5)")):
        trees.values  # noqa: B018 - the property
    trees.set_slack([2], 1.0)
    with pytest.raises(ValueError, match=r"less the slack of its tree, must be at least the floor, 1\.5, got 1\.0"):
        trees.query_all(2.0)
    assert trees.query(0, 2.0).size == before.query(0, 2.0).size  # which has none


@pytest.mark.parametrize(
    ("floor", "error", "message"),
    [
        (np.nan, ValueError, "must not be NaN"),
        (np.inf, ValueError, "floor must be finite, got inf"),
        ("1", TypeError, "must be a real number, got '1'"),
    ],
)
def test_floors_that_are_refused(floor, error, message):
    with pytest.raises(error, match=message):
        CorrelationTrees([[1.0]], [[1.0]], floor=floor)


@axes
def test_copies_pickles_and_equality(axis):
    weights, data = problem(3)
    trees = CorrelationTrees(weights, data, axis=axis, floor=1.5)
    for slack in (0.0, 0.5):
        trees.set_slack([3], slack)
        for other in (trees.copy(), pickle.loads(pickle.dumps(trees))):
            assert other == trees
            assert other.floor == 1.5
            other._check()
            other.update_weights(np.arange(40), 9 * weights)  # shares nothing
            trees._check()
    assert trees != CorrelationTrees(weights, data, axis=axis)
    assert CorrelationTrees(weights, data, axis=axis, floor=1) != CorrelationTrees(weights, data, axis=axis, floor=2)


def test_threads_that_change_and_ask_are_refused_or_right():
    weights, data = problem(0, 300, 400, 4)
    trees, ends, wrong = CorrelationTrees(weights, data, floor=1.0), time.perf_counter() + 0.4, []

    def work(act):
        while time.perf_counter() < ends:
            try:
                act()
            except RuntimeError as error:
                if "hold a lock" not in str(error):
                    wrong.append(error)

    acts = (
        lambda: trees.update_weights(np.arange(300), weights),
        lambda: trees.update_weights(np.arange(300), 2 * weights),
        lambda: trees.query_all(1.0),
        lambda: trees.count_all(2.0),
        lambda: trees.query(7, 1.5),
    )
    threads = [threading.Thread(target=work, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    trees._check()
