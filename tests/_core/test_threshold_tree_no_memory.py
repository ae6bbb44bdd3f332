"""Where memory runs out, a method of a tree fails before it changes anything; what cannot fit is not tried."""

import subprocess
import sys

import numpy as np
import pytest
from allocations import fail_each

import sltrees._memory
from sltrees import ThresholdTree
from sltrees._core import _boundary, _wide_tree

N = 300
MUTATORS = {
    "append": lambda t: t.append(9.0),
    "extend": lambda t: t.extend(np.full(1000, 9.0)),
    "extend-list": lambda t: t.extend([9.0] * 5),
    "extend-other": lambda t: t.extend(np.ones(1000, dtype=np.float32)),
    "shrink": lambda t: t.resize(3),
    "grow": lambda t: t.resize(5000),
    "set": lambda t: t.__setitem__(5, 9.0),
    "update": lambda t: t.update(5, np.array(9)),
    "add": lambda t: t.add(5, 9),
    "update_many": lambda t: t.update_many([0, 1], 9.0),
    "update_many-all": lambda t: t.update_many(np.arange(N, dtype=np.int32), np.arange(N)),
    "update_many-itself": lambda t: t.update_many(np.arange(N), t.values),
    "crossing": lambda t: t.update_many([0, 1, 0], [9.0, 8.0, 7.0], crossing=5.0),
    "crossing-add": lambda t: t.add_many([0, 1, 0], 9.0, crossing=5.0),
    "add_many": lambda t: t.add_many([0, 1, 0], 9.0),
    "pop_above": lambda t: t.pop_above(0.5),
    "slice": lambda t: t.__setitem__(slice(3, 9), 9.0),
    "list": lambda t: t.__setitem__([3, -9], [9.0, 8.0]),
    "mask": lambda t: t.__setitem__(t.values > 0.5, 9.0),
    "refresh": lambda t: t.refresh(),
    "init": lambda t: t.__init__(np.ones(5)),
    "init-other": lambda t: t.__init__(range(5000), orientation="min"),
}
NO_ARRAYS = {"set", "add", "shrink", "refresh"}


@pytest.mark.parametrize("orientation", ["max", "min"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MUTATORS)
def test_each_allocation_that_fails_leaves_the_tree(name, dtype, orientation):
    values = np.random.default_rng(0).random(N).astype(dtype)
    before = ThresholdTree(values, orientation=orientation)

    def check(tree):
        tree._check()
        assert tree == before
        assert tree.query(0.5).tolist() == before.query(0.5).tolist()
        assert tree.max() == before.max()
        assert tree.nbytes == before.nbytes
        MUTATORS[name](tree)  # and nothing is left that keeps it from being changed

    refused = fail_each(lambda: ThresholdTree(values, orientation=orientation), MUTATORS[name], check)
    assert (refused == 0) == (name in NO_ARRAYS)


def test_all_methods_that_change_a_tree_are_tried():
    methods = {name for name in dir(ThresholdTree) if not name.startswith("_")}
    asked = {"query", "query_many", "count", "any", "first", "last", "max", "argmax", "topk", "copy", "tolist"}
    known = {"values", "dtype", "orientation", "nbytes", "borrowed", "shape", "size"}
    assert methods - asked - known <= {name for call in MUTATORS.values() for name in call.__code__.co_names}


SCRIPT = """
import resource
import numpy as np
from sltrees import ThresholdTree

def limited(act):
    used = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), -1))
    try:
        act()
    except MemoryError:
        return True
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    return False

tree = ThresholdTree(np.zeros(2_000_000))
tree.append(0.0)                # room for as many again
more, many = np.ones(1_900_000), np.arange(2_000_000)
acts = [lambda: tree.resize(9_000_000), lambda: tree.extend(np.broadcast_to(1.0, 3_000_000)),
        lambda: tree.update_many(many, 1.0), lambda: tree.update_many(many, many, crossing=0.5),
        lambda: tree.add_many(many, 1.0), lambda: tree.__setitem__(slice(None), 1.0), lambda: tree.pop_above(-1.0)]
for number, act in enumerate(acts):
    assert limited(act), number
    assert len(tree) == 2_000_001 and tree.max() == 0.0 and not tree.any(0.5) and tree.count(-1.0) == len(tree), number
if not limited(lambda: tree.extend(more)):      # there is room, so nothing is allocated
    assert len(tree) == 3_900_001 and tree.count(0.5) == more.size and tree.max() == 1.0
tree._check()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit and its measure are those of Linux")
def test_an_address_space_that_is_full():
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=120)


# ---------------------------------------------------------------------- more than there is


def with_memory(monkeypatch, nbytes):
    """Let the machine have so many bytes; returns a list of what is asked for."""

    def check_memory(needed, max_memory, what, advice):
        asked.append(needed)
        sltrees._memory.check_memory(needed, nbytes, what, advice)

    asked = []
    for module in (_boundary, _wide_tree):
        monkeypatch.setattr(module, "check_memory", check_memory)
    return asked


def with_room(n):
    """A tree with room for more than twice as many values, before there is little memory."""
    with pytest.MonkeyPatch.context() as patch:
        with_memory(patch, np.inf)
        tree = ThresholdTree(np.zeros(n, dtype=np.float64))
        tree.resize(2 * n + 5_000_000)
        tree.resize(n)
    return tree


@pytest.mark.parametrize(
    ("act", "needed"),
    [
        (lambda: ThresholdTree(np.broadcast_to(np.float32(1), 30_000_000)), r"a tree of 30000000 values needs 128,"),
        (lambda: ThresholdTree(np.broadcast_to(np.int8(1), 30_000_000)), r"values as float64 needs 240,000,000 bytes"),
        (
            lambda: ThresholdTree(np.zeros(2)).resize(1 << 34),
            r"room for 17179869184 values needs 157,073,089,\d+ bytes",
        ),
        (
            lambda: ThresholdTree(np.zeros(2)).extend(np.zeros(10_000_000)),
            r"room for 10000002 values needs 91,\S+ bytes",
        ),
        (lambda: with_room(9_000_001).resize(20_000_000), r"room for 10999999 more values needs 87,999,992 bytes"),
        (
            lambda: ThresholdTree(np.ones(1 << 20)).query_many(np.zeros(64)),
            r"room for 1048576 more indices needs 8,388,608 bytes",
        ),
    ],
)
def test_more_than_there_is_is_refused(act, needed, monkeypatch):
    with_memory(monkeypatch, 8e6)
    with pytest.raises(MemoryError, match=rf"^{needed}.*; (use fewer|ask for fewer)"):
        act()


@pytest.mark.parametrize("nbytes", [100e6, 400e6])  # without and with room for twice the result
def test_what_fits_is_not_refused(nbytes, monkeypatch):
    asked = with_memory(monkeypatch, nbytes)
    tree = ThresholdTree(np.ones(1 << 20))
    assert tree.query_many(np.ones(64))[1].size == 0
    assert asked == []  # for little nobody looks
    # many may pass, and half of them do: what is counted first is found in full
    indptr, indices = tree.query_many([1.0, 0.0] * 24)
    assert asked
    assert np.array_equal(indptr, np.repeat(np.arange(25) << 20, 2)[:-1])
    assert np.array_equal(indices.reshape(24, 1 << 20), np.broadcast_to(np.arange(1 << 20), (24, 1 << 20)))
    assert ThresholdTree(np.ones(9 << 20, np.float32)).query_many([1.0, 0.0, 1.0, 0.5])[0][-1] == 18 << 20
