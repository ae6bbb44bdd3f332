"""What writers of a `ThresholdTree` report of a threshold; the last that passes; read-only arrays; weak references."""

import gc
import re
import weakref

import numpy as np
import pytest

from sltrees import ThresholdTree

orientations = pytest.mark.parametrize("orientation", ["max", "min"])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def passing(tree, t):
    return set(tree.query(t).tolist())


@orientations
@dtypes
def test_every_writer_reports_what_crosses(seed, orientation, dtype):
    rng = np.random.default_rng(seed)
    tree = ThresholdTree(rng.integers(-2, 3, 200).astype(dtype), orientation=orientation)
    popped = 1.5 if orientation == "max" else -1.5
    writers = (
        lambda i, x, t: tree.update(i, x, crossing=t),
        lambda i, x, t: tree.add(i, x, crossing=t),
        lambda i, x, t: tree.update_many([i, i + 1, i], [x, 1.0, -x], crossing=t),
        lambda i, x, t: tree.add_many([i, i + 1, i], [x, 1.0, -1.0], crossing=t),
        lambda i, x, t: tree.append(x, crossing=t),
        lambda i, x, t: tree.extend([x, -x, 0.0], crossing=t),
        lambda i, x, t: tree.pop_above(popped, replacement=0.0, crossing=t)[2:],
    )
    for step in range(20 * len(writers)):
        i, x, t = int(rng.integers(0, 199)), float(rng.integers(-2, 3)), float(rng.choice([-1.0, 0.0, 0.1, 0.5, 2.0]))
        before = passing(tree, t)
        entered, left = writers[step % len(writers)](i, x, t)
        after = passing(tree, t)
        assert entered.dtype == left.dtype == np.int64
        assert entered.tolist() == sorted(after - before)
        assert left.tolist() == sorted(before - after)
        tree._check()


def test_without_crossing_nothing_is_reported():
    tree = ThresholdTree([1.0, 2.0])
    assert tree.update(0, 3.0) is tree.add(0, 1.0) is tree.append(1.0) is tree.extend([1.0]) is None
    assert len(tree.pop_above(3.5)) == 2
    indices, values, entered, left = tree.pop_above(1.5, crossing=0.5)
    assert (indices.tolist(), values.tolist(), entered.tolist(), left.tolist()) == ([1], [2.0], [], [1])


def test_a_threshold_that_is_refused_changes_nothing():
    tree = ThresholdTree([1.0, 2.0])
    for act in (
        lambda: tree.update(0, 9.0, crossing=np.nan),
        lambda: tree.add(0, 9.0, crossing=np.nan),
        lambda: tree.append(9.0, crossing=np.nan),
        lambda: tree.extend([9.0], crossing=np.nan),
        lambda: tree.pop_above(0.0, crossing=np.nan),
    ):
        with pytest.raises(ValueError, match="threshold must not be NaN"):
            act()
    assert tree.tolist() == [1.0, 2.0]


@orientations
@dtypes
@pytest.mark.parametrize("n", [0, 1, 16, 17, 300])
def test_last_agrees_with_query(seed, orientation, dtype, n):
    rng = np.random.default_rng(seed)
    tree = ThresholdTree(rng.integers(-2, 3, n).astype(dtype), orientation=orientation)
    for t in (-np.inf, -2, -0.5, 1, 2, np.inf):
        for start, stop in ((0, n), (0, n // 2), (n // 3, n), (n, n), sorted(rng.integers(0, n + 1, 2).tolist())):
            for inclusive in (False, True):
                found = tree.query(t, start, stop, inclusive=inclusive)
                assert tree.last(t, start, stop, inclusive=inclusive) == (found[-1] if found.size else -1)
    with pytest.raises(ValueError, match="the range must satisfy"):
        tree.last(0.0, 1, n + 1)


@dtypes
def test_an_array_that_is_read_only_is_borrowed_to_query(dtype):
    values = np.arange(100, dtype=dtype)
    view = values.view()
    view.flags.writeable = False
    tree = ThresholdTree(view, copy=False)
    assert np.may_share_memory(tree.values, values)
    assert tree.query(97.5).tolist() == [98, 99]
    refused = re.escape("the array that the tree borrows is read-only: whoever may write to it calls refresh")
    for act in (
        lambda: tree.update(0, 5.0),
        lambda: tree.add(0, 5.0),
        lambda: tree.update_many([0], 5.0),
        lambda: tree.add_many([0], 5.0),
        lambda: tree.pop_above(5.0),
        lambda: tree.__setitem__(0, 5.0),
        lambda: tree.__setitem__(slice(3), 5.0),
    ):
        with pytest.raises(RuntimeError, match=refused):
            act()
    with pytest.raises(ValueError, match="cannot change its length"):
        tree.append(1.0)
    assert np.array_equal(values, np.arange(100))
    values[7] = 1000.0
    tree.refresh(7, 8)
    assert tree.argmax() == 7
    tree._check()
    owned = tree.copy()
    owned[0] = 2000.0
    assert owned.argmax() == 0


def test_a_file_that_is_mapped_is_borrowed(tmp_path):
    np.arange(50.0).tofile(tmp_path / "values")
    tree = ThresholdTree(np.memmap(tmp_path / "values", dtype=np.float64, mode="r"), copy=False)
    assert tree.query(47.5).tolist() == [48, 49]
    with pytest.raises(RuntimeError, match="read-only"):
        tree[0] = 1.0


def test_weak_references_die_with_the_tree():
    tree = ThresholdTree([1.0])
    reference = weakref.ref(tree)
    assert reference() is tree
    cache = weakref.WeakValueDictionary(tree=tree)
    del tree
    gc.collect()
    assert reference() is None
    assert "tree" not in cache
