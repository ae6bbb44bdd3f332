"""Where memory runs out, a method of a tree fails before it changes anything."""

import subprocess
import sys

import numpy as np
import pytest

from sltrees import CorrelationTrees, ThresholdTree
from sltrees._core import _threshold_tree, _tree_bank, _wide_tree

N = 300
MUTATORS = {
    "append": lambda t: t.append(9.0),
    "extend": lambda t: t.extend(np.full(1000, 9.0)),
    "extend-list": lambda t: t.extend([9.0] * 5),
    "shrink": lambda t: t.resize(3),
    "grow": lambda t: t.resize(5000),
    "update_many": lambda t: t.update_many([0, 1], 9.0),
    "crossing": lambda t: t.update_many([0, 1, 0], [9.0, 8.0, 7.0], crossing=5.0),
    "add_many": lambda t: t.add_many([0, 1, 0], 9.0),
    "pop_above": lambda t: t.pop_above(0.5),
    "slice": lambda t: t.__setitem__(slice(3, 9), 9.0),
    "mask": lambda t: t.__setitem__(t.values > 0.5, 9.0),
    "refresh": lambda t: t.refresh(),
    "init": lambda t: t.__init__(np.ones(5)),
}
ALLOCATORS = ["empty", "full", "zeros", "unique", "arange", "ascontiguousarray", "asarray", "flatnonzero"]


class Allocations:
    """Counts what is allocated, and refuses the one with the given number."""

    def __init__(self, patch, refuse):
        self.seen, self.refuse = 0, refuse
        for name in ALLOCATORS:
            patch.setattr(np, name, self.counted(getattr(np, name)))
        for module in (_wide_tree, _tree_bank):
            patch.setattr(module, "aligned_empty", self.counted(module.aligned_empty))
        patch.setattr(_threshold_tree, "as_real_array", self.counted(_threshold_tree.as_real_array))

    def counted(self, allocate):
        def act(*args, **options):
            self.seen += 1
            if self.seen == self.refuse:
                raise MemoryError
            return allocate(*args, **options)

        return act


def fail_each(make, act, same):
    """Refuse the first, the second, ... allocation of `act`, until it needs no more; `same` compares with before."""
    for refuse in range(1, 100):
        subject, before = make(), make()
        with pytest.MonkeyPatch.context() as patch:
            allocations = Allocations(patch, refuse)
            try:
                act(subject)
            except MemoryError:
                pass
            else:
                if allocations.seen < refuse:
                    return refuse - 1
                raise AssertionError("a refused allocation was passed over")
        subject._check()
        assert same(subject, before), refuse
    raise AssertionError("never done")


def same_tree(a, b):
    return a == b and a.query(0.5).tolist() == b.query(0.5).tolist() and a.max() == b.max() and a.nbytes == b.nbytes


@pytest.mark.parametrize("orientation", ["max", "min"])
@pytest.mark.parametrize("act", MUTATORS.values(), ids=MUTATORS)
def test_each_allocation_that_fails_leaves_the_tree(act, orientation):
    values = np.random.default_rng(0).random(N)
    fail_each(lambda: ThresholdTree(values, orientation=orientation), act, same_tree)


@pytest.mark.parametrize("axis", ["data", "weights"])
def test_each_allocation_that_fails_leaves_correlation_trees(axis):
    rng = np.random.default_rng(0)
    weights, data = rng.standard_normal((6, 4)), rng.standard_normal((30, 4))
    refused = fail_each(
        lambda: CorrelationTrees(weights, data, axis=axis),
        lambda c: c.update_weights([1, 4], np.ones((2, 4))),
        lambda a, b: np.array_equal(a.weights, b.weights) and np.array_equal(a.values, b.values),
    )
    assert refused > 0


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


@pytest.mark.parametrize("act", [lambda: ThresholdTree(np.zeros(2)).resize(1 << 34)])
def test_more_than_the_machine_has_is_refused(act, monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: 1 << 15)
    with pytest.raises(MemoryError, match=r"needs [0-9,]+ bytes, this machine has [0-9,]+$"):
        act()


def test_a_result_larger_than_the_machine_is_refused(monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: 1 << 13)  # 64 MiB
    tree = ThresholdTree(np.ones(1 << 20))
    with pytest.raises(MemoryError, match=r"the result needs 536,870,912 bytes, this machine has 67,108,864$"):
        tree.query_many(np.zeros(64))
    assert tree.query_many(np.ones(64))[1].size == 0
