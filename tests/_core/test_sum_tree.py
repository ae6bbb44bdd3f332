"""`SumTree`: sums that do not drift, the entries that numbers fall into, draws in proportion; and what is refused."""

import copy
import inspect
import math
import pickle
import threading

import numpy as np
import pytest
from allocations import fail_each

from sltrees import SumTree
from sltrees._core import _simd
from sltrees.reference import CumulativeSums

SIZES = (1, 2, 7, 8, 9, 63, 64, 65, 511, 512, 513, 4096, 4097, 70_001)
TINY = 5e-324  # the least positive float64
LARGEST = 2.0**900


def whole_numbers(n, rng, share=0.7):
    """Small integers, so that all sums are exact, some of them 0."""
    return rng.integers(0, 9, n) * (rng.random(n) < share)


@pytest.fixture
def at_level():
    """Have trees built at a level, until the test ends."""
    before = _simd.active_level_name()
    yield _simd.set_active_level
    _simd.set_active_level(before)


# ---------------------------------------------------------------------- answers


@pytest.mark.parametrize("n", SIZES)
def test_answers_are_those_of_cumulative_sums(n, seed):
    rng = np.random.default_rng(seed)
    values = whole_numbers(n, rng)
    values[rng.integers(n)] = 3
    tree, twin = SumTree(values), CumulativeSums(values)
    for _ in range(4):
        tree._check()
        assert tree.total == twin.total
        assert tree.min_positive == twin.min_positive
        stops = np.append(rng.integers(0, n + 1, 50), [0, n])
        assert np.array_equal(tree.prefix(stops), twin.prefix(stops))
        prefixes = np.append(rng.integers(0, int(twin.total) + 1, 70), [0.0, 0.5, twin.total - 0.25, twin.total])
        assert np.array_equal(tree.find(prefixes), twin.find(prefixes))
        assert [tree.find(p) for p in prefixes[:5]] == twin.find(prefixes[:5]).tolist()
        where = rng.integers(0, n, rng.choice([1, 5, n]))
        new = whole_numbers(where.size, rng) + 1
        tree.update_many(where, new)
        twin.update_many(where, new)


def test_every_prefix_of_a_tree_of_three_levels_is_found():
    values = np.arange(1, 200) % 4
    tree, twin = SumTree(values), CumulativeSums(values)
    stops, prefixes = np.arange(200), np.arange(twin.total)
    assert np.array_equal(tree.prefix(stops), twin.prefix(stops))
    assert np.array_equal(tree.find(prefixes), twin.find(prefixes))
    positive = np.flatnonzero(values)
    assert np.array_equal(tree.find(tree.prefix(positive)), positive)


@pytest.mark.parametrize("level", _simd.supported_levels())
def test_all_levels_have_the_same_bits(level, at_level, seed):
    def run(name):
        at_level(name)
        rng = np.random.default_rng(seed)
        found = []
        for n in SIZES:
            tree = SumTree(rng.exponential(size=n) ** 5)
            where = rng.integers(0, n, n // 3 + 1)
            tree.update_many(where, rng.random(where.size))
            tree[0] = 2.0
            tree._check()
            prefixes = rng.random(40) * tree.total
            found += [tree.total, tree.min_positive, tree.find(prefixes), tree.prefix(rng.integers(0, n + 1, 40))]
            found.append(tree.sample(min(n, 20), rng, replace=False))
            tree._check()
        return b"".join(np.asarray(part).tobytes() for part in found)

    assert run(level) == run("portable")


def test_sums_do_not_drift(seed):
    rng = np.random.default_rng(seed)
    n = 5000
    tree = SumTree(rng.random(n))
    for _ in range(300):
        where = rng.integers(0, n, rng.choice([1, 30, 3000]))
        tree.update_many(where, rng.exponential(size=where.size) * 10.0 ** rng.integers(-12, 12, where.size))
        tree[int(rng.integers(n))] = 1e15 * rng.random()
    tree.update_many(np.arange(n), rng.random(n))
    fresh = SumTree(tree.values)
    assert tree.total == fresh.total
    assert np.array_equal(tree.prefix(np.arange(n)), fresh.prefix(np.arange(n)))
    exact = math.fsum(tree.values)
    assert abs(tree.total - exact) <= 2 * np.spacing(exact)


@pytest.mark.parametrize("n", [1, 9, 600])
def test_entries_of_weight_zero_are_never_found(n, seed):
    rng = np.random.default_rng(seed)
    for scale in (TINY, 1e-300, 1.0, LARGEST):
        values = np.where(rng.random(n) < 0.2, scale, 0.0)
        values[rng.integers(n)] = scale
        tree = SumTree(values)
        found = tree.find(np.append(rng.random(500), [0.0, 1.0]) * tree.total)
        assert np.all(values[found] > 0)
        assert np.all(values[tree.sample(500, rng, stratified=True)] > 0)


def test_larger_prefixes_never_lead_to_smaller_indices(seed):
    rng = np.random.default_rng(seed)
    tree = SumTree(rng.exponential(size=700) ** 8)
    prefixes = np.sort(rng.random(20_000)) * tree.total
    assert np.all(np.diff(tree.find(prefixes)) >= 0)


def test_an_empty_tree_and_one_of_zeros():
    for tree in (SumTree([]), SumTree(np.zeros(70)), SumTree.__new__(SumTree)):
        tree._check()
        assert (tree.total, tree.min_positive) == (0.0, np.inf)
        assert tree.prefix([0, len(tree)]).tolist() == [0.0, 0.0]
        assert tree.sample(0).size == 0
        assert tree.sample(0, replace=False).size == tree.sample(0, stratified=True).size == 0
        for ask in (lambda t: t.find(0.0), lambda t: t.sample(1), lambda t: t.sample(1, stratified=True)):
            with pytest.raises(ValueError, match="all values are 0"):
                ask(tree)
        with pytest.raises(ValueError, match="there are 0 values that are not 0, too few for 1"):
            tree.sample(1, replace=False)


# ---------------------------------------------------------------------- draws


def chi_square_p(counts, expected):
    scipy_stats = pytest.importorskip("scipy.stats")
    assert not counts[expected == 0].any()
    counts, expected = counts[expected > 0], expected[expected > 0]
    return scipy_stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue


@pytest.mark.parametrize("n", [5, 300])
@pytest.mark.parametrize("stratified", [False, True])
def test_draws_are_in_proportion(n, stratified, seed):
    rng = np.random.default_rng(seed)
    values = rng.exponential(size=n) * (rng.random(n) < 0.8)
    values[0] = 1.0
    tree = SumTree(values)
    counts = np.zeros(n)
    for _ in range(200):
        np.add.at(counts, tree.sample(500, rng, stratified=stratified), 1)
    p = chi_square_p(counts, values)
    assert p > (0.5 if stratified else 1e-4)  # strata leave far less to chance


def test_strata_bound_how_often_an_entry_is_drawn(seed):
    rng = np.random.default_rng(seed)
    values = rng.random(50)
    tree = SumTree(values)
    for k in (1, 7, 1000):
        drawn = tree.sample(k, rng, stratified=True)
        assert np.all(np.diff(drawn) >= 0)
        assert np.all(np.abs(np.bincount(drawn, minlength=50) - k * values / values.sum()) < 2)


def test_draws_without_replacement_are_successive(seed):
    rng = np.random.default_rng(seed)
    values = np.array([4.0, 0.0, 1.0, 2.0, 1.0])
    tree = SumTree(values)
    pairs = np.zeros((5, 5))
    for _ in range(20_000):
        i, j = tree.sample(2, rng, replace=False)
        pairs[i, j] += 1
    assert tree == SumTree(values)
    tree._check()
    shares = values / 8.0
    with np.errstate(invalid="ignore"):
        expected = shares[:, None] * shares / (1 - shares[:, None])
    np.fill_diagonal(expected, 0.0)
    assert chi_square_p(pairs.ravel(), expected.ravel()) > 1e-4


@pytest.mark.parametrize("n", [3, 200, 3000])
def test_draws_without_replacement_are_different_and_can_be_all(n, seed):
    rng = np.random.default_rng(seed)
    values = 10.0 ** rng.integers(-30, 30, n)
    values[::3] = 0.0
    tree, k = SumTree(values), np.count_nonzero(values)
    assert sorted(tree.sample(k, rng, replace=False)) == np.flatnonzero(values).tolist()
    with pytest.raises(ValueError, match=f"there are {k} values that are not 0, too few for {k + 1} draws"):
        tree.sample(k + 1, rng, replace=False)
    tree._check()
    assert tree == SumTree(values)


def test_same_generator_same_draws():
    tree = SumTree(np.arange(100))
    for options in ({}, {"replace": False}, {"stratified": True}):
        first = tree.sample(10, np.random.default_rng(3), **options)
        assert np.array_equal(tree.sample(10, 3, **options), first)
        assert first.dtype == np.int64
    assert not np.array_equal(tree.sample(10), tree.sample(10))


# ---------------------------------------------------------------------- as a sequence, copies


def test_reads_and_writes_as_numpy_does():
    tree = SumTree(np.arange(20))
    expected = np.arange(20.0)
    for key, value in (
        (3, 7.5),
        (-1, 2),
        (np.int64(4), np.float32(0.5)),
        (slice(2, 9, 3), 1.0),
        (slice(None, None, -1), np.arange(20)),
        ([1, -2], [5.0, 6.0]),
        (np.arange(20) > 12, 3),
        (..., 1.25),
        (np.array([[0, 1], [2, 3]]), 9.0),
    ):
        tree[key] = expected[key] = value
        assert np.array_equal(tree.values, expected)
        assert np.array_equal(tree[key], expected[key])
        tree._check()
    assert list(tree) == expected.tolist()
    assert np.sum(tree) == tree.total
    assert tree[5] == expected[5]
    assert isinstance(tree[5], float)
    assert tree[2:4].flags.writeable  # a copy


def test_values_is_a_read_only_view():
    tree = SumTree([1.0, 2.0])
    view, array = tree.values, np.asarray(tree)
    tree[0] = 5.0
    assert view.tolist() == array.tolist() == [5.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1.0


def test_values_and_indices_that_are_the_tree_itself():
    tree = SumTree(np.arange(16))
    tree.update_many(np.arange(15), tree.values[1:])
    assert tree.values.tolist() == [*range(1, 16), 15]
    tree = SumTree(np.arange(16)[::-1] * TINY)  # as integers: the indices 15, ..., 0
    tree.update_many(tree.values.view(np.int64), np.arange(16))
    assert tree.values.tolist() == list(range(15, -1, -1))
    tree._check()


class Named(SumTree):
    def __init__(self, name, values):
        super().__init__(values)
        self.name = name


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda t: t.copy(), lambda t: pickle.loads(pickle.dumps(t))]
)
def test_copies_are_equal_and_independent(again):
    tree = Named("n", [1.0, 0.0, 3.0])
    other = again(tree)
    assert type(other) is Named
    assert other.name == "n"
    assert other == tree
    other[0] = 9.0
    assert tree[0] == 1.0
    assert other != tree
    assert tree != [1.0, 0.0, 3.0]
    with pytest.raises(TypeError, match="unhashable"):
        hash(tree)


def test_what_it_says_of_itself():
    tree = SumTree([1.0, 2.5])
    assert repr(tree) == "<SumTree of 2 values, total 3.5>"
    assert list(inspect.signature(SumTree).parameters) == ["values"]
    assert SumTree(np.zeros(10**5)).nbytes / 8e5 < 1.29


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, -np.inf, 1e300, -TINY])
def test_values_that_are_no_amounts_are_refused_before_any_change(bad):
    tree = SumTree([1.0, 2.0, 3.0])
    for change in (
        lambda: SumTree([0.0, bad]),
        lambda: tree.update_many([0, 1], [5.0, bad]),
        lambda: tree.update_many([0, 1], bad),
        lambda: tree.update(0, bad),
        lambda: tree.__setitem__(0, bad),
        lambda: tree.__setitem__(slice(0, 2), [5.0, bad]),
        lambda: tree.__setitem__(slice(0, 2), bad),
        lambda: tree.__init__([4.0, bad]),
    ):
        with pytest.raises(ValueError, match="must be"):
            change()
        assert tree == SumTree([1.0, 2.0, 3.0])


def test_errors_say_the_rule_and_the_value():
    tree = SumTree([1.0, 2.0, 3.0])
    cases = [
        (ValueError, r"from 0 to 2\*\*900, got -1.0 at index 1", lambda: SumTree([0.0, -1.0])),
        (ValueError, r"must have 1 dimension, got shape \(2, 2\)", lambda: SumTree(np.zeros((2, 2)))),
        (TypeError, "must be real numbers", lambda: SumTree(["a"])),
        (ValueError, "must not be masked", lambda: SumTree(np.ma.masked_less([1.0, 2.0], 2.0))),
        (IndexError, r"indices must be in \[0, 3\), got 3", lambda: tree.update_many([0, 3], 9.0)),
        (IndexError, r"indices must be in \[0, 3\), got -1", lambda: tree.update_many([-1], 9.0)),
        (TypeError, "indices must be integers", lambda: tree.update_many([0.5], 9.0)),
        (ValueError, "values must have the shape of indices", lambda: tree.update_many([0, 1], [1.0])),
        (IndexError, r"i must be in \[0, 3\), got -1", lambda: tree.update(-1, 1.0)),
        (IndexError, r"i must be in \[0, 3\), got 1000", lambda: tree.update(10**30, 1.0)),
        (TypeError, "i must be an integer, got True", lambda: tree.update(True, 1.0)),
        (IndexError, r"index must be in \[-3, 3\), got 3", lambda: tree[3]),
        (IndexError, r"index must be in \[-3, 3\), got -4", lambda: tree.__setitem__(-4, 1.0)),
        (IndexError, "index must be in", lambda: tree[10**30]),
        (ValueError, r"prefixes must be from 0 to the total 6.0, got 6.5", lambda: tree.find(6.5)),
        (ValueError, r"prefixes must be from 0 to the total 6.0, got -0.5", lambda: tree.find([1.0, -0.5])),
        (ValueError, "prefixes must not be NaN", lambda: tree.find(np.nan)),
        (IndexError, r"stop must be in \[0, 4\), got 4", lambda: tree.prefix(4)),
        (TypeError, "stop must be an integer", lambda: tree.prefix(0.5)),
        (ValueError, "k must be at least 0 and fit in memory, got -1", lambda: tree.sample(-1)),
        (TypeError, "k must be an integer", lambda: tree.sample(1.0)),
        (MemoryError, "draws", lambda: tree.sample(10**15)),
        (ValueError, "stratified draws are with replacement", lambda: tree.sample(1, replace=False, stratified=True)),
    ]
    for error, match, ask in cases:
        with pytest.raises(error, match=match):
            ask()
    assert tree == SumTree([1.0, 2.0, 3.0])


@pytest.mark.parametrize("change", [{"version": 2}, {"values": [1.0]}, {"values": np.array([-1.0])}])
def test_damaged_pickles_are_refused(change):
    rebuild, (cls, version, values) = SumTree([1.0]).__reduce__()
    with pytest.raises(ValueError, match=r"pickle|must be"):
        rebuild(cls, change.get("version", version), change.get("values", values))


MUTATORS = {
    "update_many": lambda t: t.update_many([0, 1], 9.0),
    "update_many-all": lambda t: t.update_many(np.arange(300, dtype=np.int32), np.arange(300)),
    "update_many-itself": lambda t: t.update_many(np.arange(300), t.values),
    "slice": lambda t: t.__setitem__(slice(3, 9), 9.0),
    "draw": lambda t: t.sample(30, np.random.default_rng(0), replace=False),
    "init": lambda t: t.__init__(np.ones(5000)),
}


@pytest.mark.parametrize("name", MUTATORS)
def test_each_allocation_that_fails_leaves_the_tree(name):
    values = np.random.default_rng(0).random(300)

    def check(tree):
        tree._check()
        assert tree == SumTree(values)
        MUTATORS[name](tree)  # and nothing is left that keeps it from being changed

    assert fail_each(lambda: SumTree(values), MUTATORS[name], check) > 0


def test_a_change_while_another_thread_reads_is_refused_and_nothing_breaks():
    tree = SumTree(np.ones(200_000))
    prefixes, stop = np.random.default_rng(0).random(100_000) * tree.total, threading.Event()
    failures, refused = [], []

    def read():
        while not stop.is_set():
            try:
                assert tree.find(prefixes).max() < len(tree)
            except RuntimeError as error:
                refused.append(str(error))
            except BaseException as error:
                failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    where = np.arange(100_000)
    for _ in range(60):
        try:
            tree.update_many(where, 1.0)
        except RuntimeError as error:
            refused.append(str(error))
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all("hold a lock" in text for text in refused)
    tree._check()
