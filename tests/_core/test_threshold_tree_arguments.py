"""Arguments whose conversion changes the tree, or that are the tree's own memory: an error or the right answer."""

import contextlib

import numpy as np
import pytest

from sltrees import CorrelationTrees, ThresholdTree


class Hostile:
    """A number, an index and an array that does something first."""

    def __init__(self, act, value):
        self.act, self.value = act, value

    def __index__(self):
        self.act()
        return int(self.value)

    def __float__(self):
        self.act()
        return float(self.value)

    def __array__(self, dtype=None, copy=None):
        self.act()
        return np.asarray(self.value, dtype=dtype)


class HostileInteger(int):
    """Passes as an integer; whoever compares it runs code."""

    def _run(self, *_):
        self.act()
        return True

    __index__ = __le__ = __lt__ = __ge__ = __gt__ = lambda self, *_: self._run()


def integer(act, value):
    result = HostileInteger(value)
    result.act = act
    return result


N = 5000
INDEX = np.arange(0, N, 7)
CALLS = {
    "query": lambda t, h, i: t.query(h(0.5)),
    "query-start": lambda t, h, i: t.query(0.5, h(10)),
    "query-stop": lambda t, h, i: t.query(0.5, 0, h(N)),
    "query-out": lambda t, h, i: t.query(h(0.5), out=np.zeros(N, np.int64)),
    "query-values": lambda t, h, i: t.query(0.5, h(0), return_values=True),
    "query-integer": lambda t, h, i: t.query(0.5, 0, i(N)),
    "query_many": lambda t, h, i: t.query_many(h([0.5, 0.1])),
    "count": lambda t, h, i: t.count(h(0.5), 0, h(N)),
    "any": lambda t, h, i: t.any(h(0.5)),
    "first": lambda t, h, i: t.first(h(0.5), h(10), h(N)),
    "topk": lambda t, h, i: t.topk(i(N)),
    "get": lambda t, h, i: t[i(N - 1)],
    "get-array": lambda t, h, i: t[h(INDEX)],
    "get-slice": lambda t, h, i: t[h(0) : h(N)],
    "set": lambda t, h, i: t.__setitem__(N - 1, h(1)),
    "set-index": lambda t, h, i: t.__setitem__(i(N - 1), h(1)),
    "set-slice": lambda t, h, i: t.__setitem__(slice(h(N - 9), h(N)), h(np.ones(9))),
    "set-array": lambda t, h, i: t.__setitem__(h(INDEX), 1.0),
    "set-values": lambda t, h, i: t.__setitem__(list(INDEX), h(np.ones(INDEX.size))),
    "set-mask": lambda t, h, i: t.__setitem__(np.ones(N, bool), h(np.ones(N))),
    "update": lambda t, h, i: t.update(N - 1, h(1)),
    "update-index": lambda t, h, i: t.update(i(N - 1), 1.0),
    "add": lambda t, h, i: t.add(N - 1, h(1)),
    "add-index": lambda t, h, i: t.add(i(N - 1), 1.0),
    "update_many": lambda t, h, i: t.update_many(h(INDEX), h(np.ones(INDEX.size))),
    "update_many-values": lambda t, h, i: t.update_many(INDEX, h(np.ones(INDEX.size))),
    "update_many-crossing": lambda t, h, i: t.update_many(INDEX, 1.0, crossing=h(0.5)),
    "add_many": lambda t, h, i: t.add_many(INDEX, h(np.ones(INDEX.size))),
    "pop_above": lambda t, h, i: t.pop_above(h(0.5), replacement=h(0.1)),
    "refresh": lambda t, h, i: t.refresh(0, h(N)),
    "append": lambda t, h, i: t.append(h(1)),
    "extend": lambda t, h, i: t.extend(h(np.ones(100))),
    "resize": lambda t, h, i: t.resize(i(2 * N)),
}
ACTS = {
    "shrink": lambda t: t.resize(0),
    "grow": lambda t: t.resize(10 * N),
    "again": lambda t: t.__init__([0.0]),
    "other dtype": lambda t: t.__init__(np.zeros(N, np.float32), orientation="min"),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_conversions_that_change_the_tree(call, act):
    tree = ThresholdTree(np.random.default_rng(0).random(N))
    done = []

    def once():
        if not done:
            done.append(True)
            act(tree)

    with contextlib.suppress(IndexError, TypeError, ValueError):  # as a rule they do not fit the tree that they made
        call(tree, lambda value: Hostile(once, value), lambda value: integer(once, value))
    tree._check()


@pytest.mark.parametrize("axis", ["data", "weights"])
@pytest.mark.parametrize(
    "call",
    [
        lambda c, h: c.query(h(7), 0.0),
        lambda c, h: c.query(7, h(0.0), return_values=True),
        lambda c, h: c.query_all(h(0.0)),
        lambda c, h: c.update_weight(7, h(np.ones(3))),
        lambda c, h: c.update_weights(h([7]), np.ones((1, 3))),
        lambda c, h: c.update_weights([7], h(np.ones((1, 3)))),
    ],
)
def test_conversions_that_change_correlation_trees(call, axis):
    rng = np.random.default_rng(0)
    trees = CorrelationTrees(rng.standard_normal((8, 3)), rng.standard_normal((9, 3)), axis=axis)

    def act():
        trees.__init__([[1.0, 2.0]], [[1.0, 1.0]], axis=axis)

    with contextlib.suppress(IndexError, TypeError, ValueError):
        call(trees, lambda value: Hostile(act, value))
    trees._check()


def test_indices_that_are_the_borrowed_values():
    values = np.zeros(64)
    indices = values.view(np.int64)
    for act in (
        lambda t: t.update_many(indices, np.ones(64)),
        lambda t: t.__setitem__(indices, 1.0),
        lambda t: t.add_many(indices, 1.0 - t.values),
    ):
        indices[:] = np.arange(64)[::-1]
        tree = ThresholdTree(values, copy=False)
        act(tree)
        assert np.all(values == 1)
        tree._check()


def test_out_that_is_the_borrowed_values_is_refused():
    values = np.arange(64.0)
    tree = ThresholdTree(values, copy=False)
    with pytest.raises(ValueError, match="out must not share memory with the values of the tree"):
        tree.query(5.0, out=values.view(np.int64))
    assert np.array_equal(values, np.arange(64))


@pytest.mark.parametrize("n", [1, 20, 1000])
def test_assignment_is_that_of_numpy(n, seed):
    rng = np.random.default_rng(seed)
    values = rng.random(n)
    tree = ThresholdTree(values)
    keys = [
        slice(None),
        slice(1, None),
        slice(None, None, -2),
        slice(5, 2),
        [],
        [0, -1],
        [0, 0],
        True,
        False,
        np.True_,
        ...,
    ]
    keys += [rng.random(n) < 0.3, (rng.random(n) < 0.3).tolist(), rng.integers(-n, n, (2, 3)), np.array(0), (0,), None]
    for key in keys:
        shape = values[key].shape
        for new in (rng.random(), rng.random(shape), rng.random(shape[-1:])):
            values[key] = new
            tree[key] = new
            assert np.array_equal(tree.values, values), key
    tree._check()


def test_assignment_touches_only_what_it_names():
    # what would be made for all indices is more than there is
    tree = ThresholdTree(np.zeros(1 << 20))
    made, arange = [], np.arange
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "arange", lambda *a, **k: made.append(arange(*a, **k)) or made[-1])
        tree[[5, 6, 7]] = 1.0
        tree[5:8] = 2.0
        tree[np.array([1, 2])] = 3.0
        tree[tree.values > 2.5] = 4.0
        assert not made
        tree[5:8:1] = 2.0
    assert sum(array.size for array in made) == 3
    assert tree.values[:9].tolist() == [0, 4, 4, 0, 0, 2, 2, 2, 0]


def test_indices_are_copied_before_they_are_checked():
    """So that another thread that changes them meanwhile changes nothing."""
    from sltrees._core._boundary import as_indices

    indices = np.arange(5)
    taken = as_indices(indices, 5, "indices")
    assert not np.shares_memory(indices, taken)
