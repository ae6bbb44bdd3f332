"""Threads, costs counted in blocks, and memory over many queries."""

import math
import os
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

from sltrees import ThresholdTree

N_THREADS = 8

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
orientations = pytest.mark.parametrize("orientation", ["max", "min"])


def run_together(actions):
    """Run all actions at once, each in its thread; the first exception is raised here."""
    barrier, errors = threading.Barrier(len(actions)), []

    def run(action):
        try:
            barrier.wait()
            action()
        except BaseException as error:  # whatever it is, the main thread gets it
            errors.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


# ---------------------------------------------------------------------- threads


@dtypes
@orientations
def test_queries_run_together_while_another_tree_is_updated(seed, dtype, orientation):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(200_000).astype(dtype)
    tree, other = ThresholdTree(values, orientation=orientation), ThresholdTree(values, orientation=orientation)
    thresholds = [-3.5, -2.0, -0.5, 0.0, 0.5, 2.0, 3.5]
    expected = [np.flatnonzero(values > dtype(t) if orientation == "max" else values < dtype(t)) for t in thresholds]
    order = np.argsort(-values if orientation == "max" else values, kind="stable")
    updates = [(rng.integers(0, values.size, 20_000), rng.standard_normal(20_000).astype(dtype)) for _ in range(20)]

    def look(offset):
        for j in range(14):
            k = (j + offset) % len(thresholds)
            t, hits = thresholds[k], expected[k]
            assert np.array_equal(tree.query(t), hits)
            assert tree.count(t) == hits.size
            assert tree.first(t) == hits[0]
            assert np.array_equal(tree.query(t, 1000, 150_000), hits[(hits >= 1000) & (hits < 150_000)])
            assert np.array_equal(tree.query(t, out=np.empty(hits.size, dtype=np.int64)), hits)
            indptr, indices = tree.query_many([t, thresholds[0]])
            assert np.array_equal(indices[: indptr[1]], hits)
            assert np.array_equal(indices[indptr[1] :], expected[0])
            assert np.array_equal(tree.topk(5), order[:5])

    def change():
        for where, new in updates:
            other.update_many(where, new)
            other.append(0.0)

    run_together([lambda offset=offset: look(offset) for offset in range(N_THREADS)] + [change])
    tree._check()
    other._check()
    for where, new in updates:
        values[where] = new  # NumPy too writes equal indices in order
    assert np.array_equal(other.values[: values.size], values)


def test_a_lock_makes_queries_and_updates_of_one_tree_safe():
    tree, lock = ThresholdTree(np.zeros(5000)), threading.Lock()

    def change(first):
        for i in range(first, 5000, 4):
            with lock:
                tree.update_many([i, (i + 1) % 5000], [1.0, tree[(i + 1) % 5000]])

    def look():
        seen = 0
        for _ in range(500):
            with lock:
                found = tree.query(0.5)
            assert found.size >= seen  # ones are never taken away
            seen = found.size

    run_together([*(lambda first=first: change(first) for first in range(4)), look, look])
    assert tree.count(0.5) == 5000
    tree._check()


def test_trees_of_their_own_need_no_lock(seed):
    def work(number):
        rng = np.random.default_rng([seed, number])
        values = rng.standard_normal(3000)
        tree = ThresholdTree(values)
        for _ in range(30):
            where, new = rng.permutation(3000)[:100], rng.standard_normal(100)
            tree.update_many(where, new)
            values[where] = new
            assert np.array_equal(tree.query(1.0), np.flatnonzero(values > 1.0))
        tree._check()

    run_together([lambda number=number: work(number) for number in range(N_THREADS)])


@pytest.fixture
def patient_interpreter():
    """An interpreter that never takes the GIL from a thread: others get on only where it is given up."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("method", ["query", "count", "query_many", "out"])
def test_the_gil_is_released(patient_interpreter, method):
    n = 2_000_000
    tree = ThresholdTree(np.arange(n, dtype=np.float32))
    out = np.empty(n, dtype=np.int64)
    act = {
        "query": lambda: tree.query(n / 2),
        "count": lambda: tree.count(n / 2),
        "query_many": lambda: tree.query_many([n / 2, n / 3]),
        "out": lambda: tree.query(n / 2, out=out),
    }[method]
    progress, stop = [0], threading.Event()

    def go_on():
        while not stop.is_set():
            progress[0] += 1
            time.sleep(0)  # gives the GIL back, which this interpreter would not take

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        if getattr(sys, "_is_gil_enabled", lambda: True)():
            # the method of the test: work that keeps the GIL lets nobody else on
            before = progress[0]
            sum(range(300_000))
            assert progress[0] == before
        # the other thread has to be scheduled during a call: as many tries as a busy machine may need
        for _ in range(2000):
            before = progress[0]
            act()
            if progress[0] > before:
                break
        else:
            pytest.fail("no other thread ran during 2,000 calls")
    finally:
        stop.set()
        thread.join()


# ---------------------------------------------------------------------- costs


def blocks_allowed(n, k, width):
    """Blocks that a query with k hits may compare: a path for each hit, and a scan of the level where they begin."""
    levels = math.ceil(math.log(max(n, 2), width))
    return min(2 * k * levels + levels, 1.2 * n / width + levels) + 8


@dtypes
@orientations
@pytest.mark.parametrize("n", [1, 16, 17, 300, 4097, 70_000, 1_000_000])
@pytest.mark.parametrize("shape", ["scattered", "sorted", "clustered"])
def test_queries_compare_few_blocks(seed, dtype, orientation, n, shape):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(n).astype(dtype)
    if shape == "sorted":
        values.sort()
    elif shape == "clustered":  # runs of 100 with one level
        values = np.repeat(values[: n // 100 + 1], 100)[:n] + values / 100
    tree = ThresholdTree(values, orientation=orientation)
    width = 64 // np.dtype(dtype).itemsize
    ranked = np.sort(values if orientation == "min" else -values)
    sign = 1 if orientation == "min" else -1
    for k in sorted({0, 1, 2, 5, 30, 300, n // 100, n // 20, n // 10, n // 4, n // 2, n - 1}):
        if not 0 <= k < n:
            continue
        found, blocks = tree._query_counting(sign * float(ranked[k]))
        assert found.size <= k
        assert blocks <= blocks_allowed(n, found.size, width)
        start, stop = n // 3, n - n // 4
        found, blocks = tree._query_counting(sign * float(ranked[k]), start, stop)
        assert blocks <= 1.2 * (stop - start) / width + 2 * math.ceil(math.log(max(n, 2), width)) + 2


@dtypes
def test_hits_placed_to_mislead_the_choice_of_a_level(dtype):
    # the share of live nodes is estimated from some blocks of a level: here just those are full, or just those empty
    n, width = 1_000_000, 64 // np.dtype(dtype).itemsize
    nodes = -(-n // width)
    blocks = -(-nodes // width)
    sampled = np.zeros(n, dtype=bool)
    for block in range(0, blocks, (blocks - 1) // 64 + 1):
        sampled[block * width * width : (block + 1) * width * width] = True
    for passing in (sampled, ~sampled):
        tree = ThresholdTree(passing.astype(dtype))
        found, visited = tree._query_counting(0.5)
        assert np.array_equal(found, np.flatnonzero(passing))
        assert visited <= 1.2 * n / width + 8


@dtypes
def test_a_query_of_a_short_range_does_not_depend_on_the_length(dtype):
    for n in (1000, 100_000, 3_000_000):
        tree = ThresholdTree(np.ones(n, dtype=dtype))
        for start in (0, 5, n // 2, n - 100):
            found, blocks = tree._query_counting(0.5, start, start + 100)
            assert np.array_equal(found, np.arange(start, start + 100))
            assert blocks <= 1.2 * 100 / (64 // np.dtype(dtype).itemsize) + 16


# ---------------------------------------------------------------------- memory


def resident_bytes():
    with open("/proc/self/statm") as status:
        return int(status.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory outside Python is only visible in /proc")
def test_queries_give_their_memory_back(seed):
    values = np.random.default_rng(seed).random(200_000, dtype=np.float32)
    tree = ThresholdTree(values)
    short = np.empty(10, dtype=np.int64)

    def rounds(count):
        for _ in range(count):
            # results copied and handed over, counted first and grown, refused, and of both kinds in one
            assert tree.query(0.5).size > 65_536
            assert tree.query(0.9, 100, 190_000).size < 65_536
            assert tree.query_many([0.99, 0.999])[1].size > 1024
            with pytest.raises(ValueError, match="room"):
                tree.query(0.99, out=short)

    rounds(300)
    before = resident_bytes()
    rounds(3000)  # 12,000 queries
    # one result in a hundred kept would take 24 MB
    assert resident_bytes() - before < 8 << 20


def test_python_keeps_nothing_of_a_query():
    tree = ThresholdTree(np.arange(20_000.0))
    buffers = [np.empty(20_000, dtype=np.int64)]

    def rounds(count):
        for _ in range(count):
            tree.query(10.0)
            tree.query(10.0, return_values=True, out=buffers[0])
            tree.query_many([10.0, 19_000.0])
            tree.topk(3)
            tree.update_many([0, 1], [0.0, 1.0], crossing=0.5)

    rounds(50)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        rounds(500)
        assert tracemalloc.get_traced_memory()[0] - before < 100_000
    finally:
        tracemalloc.stop()


def test_growing_and_shrinking_gives_memory_back():
    tree = ThresholdTree([])
    tracemalloc.start()
    try:
        for _ in range(20):
            tree.extend(np.zeros(100_000))
            tree = tree.copy()
            tree.resize(0)
        # the last copy has room for 100,000 values, and no more than that is left
        assert tracemalloc.get_traced_memory()[0] < 100_000 * 8 * 1.2
    finally:
        tracemalloc.stop()
