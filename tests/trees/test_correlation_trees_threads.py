"""CorrelationTrees that several threads change at a time: one of them does, and the others are told so."""

import sys
import threading
import time

import numpy as np
import pytest

from sltrees import CorrelationTrees
from sltrees.trees import _correlation_growth as growth

axes = pytest.mark.parametrize("axis", ["data", "weights"])
floors = pytest.mark.parametrize("floor", [None, 0.5])

CHANGES = {
    "update_weight": lambda t: t.update_weight(0, [10.0, 1.0]),
    "set_slack": lambda t: t.set_slack([0], 0.25),
    "add_weights": lambda t: t.add_weights([[3.0, 1.0]]),
    "add_data": lambda t: t.add_data([[3.0, 1.0]]),
    "remove_weights": lambda t: t.remove_weights([2]),
    "remove_data": lambda t: t.remove_data([1]),
}
QUERIES = {
    "query": lambda t: t.query(0, 2.0),
    "query_all": lambda t: t.query_all(2.0),
    "count": lambda t: t.count(0, 2.0),
    "count_all": lambda t: t.count_all(2.0),
    "topk": lambda t: t.topk(0, 1),
    "copy": lambda t: t.copy(),
    "reduce": lambda t: t.__reduce__(),
}


def trees_of(axis, floor):
    return CorrelationTrees([[1.0, 2.0], [2.0, 0.0], [1.0, 1.0]], np.ones((4, 2)), axis=axis, floor=floor)


@axes
@floors
@pytest.mark.parametrize("change", ["add_weights", "add_data", "remove_weights", "remove_data"])
@pytest.mark.parametrize("method", ["_room_for", "_become"])  # the first and the last that such a change calls
def test_while_numbers_change_nothing_else_is_changed(axis, floor, change, method, monkeypatch):
    trees, alone, refused = trees_of(axis, floor), trees_of(axis, floor), []
    before = getattr(CorrelationTrees, method)

    def meet(self, *arguments):
        for act in (CHANGES | (QUERIES if floor is not None else {})).values():
            with pytest.raises(RuntimeError, match="while it is being changed: where threads do both, hold a lock"):
                act(trees)
            refused.append(act)
        return before(self, *arguments)

    monkeypatch.setattr(CorrelationTrees, method, meet)
    CHANGES[change](trees)
    monkeypatch.undo()
    assert len(refused) == len(CHANGES) + (floor is not None) * len(QUERIES)
    CHANGES[change](alone)
    assert trees == alone
    trees._check()
    for act in (CHANGES | QUERIES).values():  # the change is over
        act(trees)
    trees._check()


@axes
@floors
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_change_that_fails_is_over(axis, floor, error, monkeypatch):
    trees, alone = trees_of(axis, floor), trees_of(axis, floor)

    def fail(*arguments):
        raise error

    for change in ("add_data", "add_weights", "remove_data", "remove_weights"):
        with monkeypatch.context() as patched:
            patched.setattr(CorrelationTrees, "_become", fail)
            with pytest.raises(error):
                CHANGES[change](trees)
    assert trees == alone
    for act in (CHANGES | QUERIES).values():
        act(trees)
    trees._check()


@axes
@floors
@pytest.mark.parametrize("act", [*CHANGES, "copy", "reduce"])
def test_a_bank_that_is_replaced_just_before_it_is_held_is_left_alone(axis, floor, act, monkeypatch):
    trees, alone = trees_of(axis, floor), trees_of(axis, floor)

    def late(hold):
        def grow_and_hold(top, act):
            monkeypatch.undo()
            trees.add_data(np.ones((50, 2)))
            return hold(top, act)

        return grow_and_hold

    for name in ("while_changing", "while_asking"):
        monkeypatch.setattr(growth, name, late(getattr(growth, name)))
    with pytest.raises(RuntimeError, match="while it is being changed"):
        (CHANGES | QUERIES)[act](trees)
    alone.add_data(np.ones((50, 2)))
    assert trees == alone
    trees._check()


@axes
@floors
def test_no_update_is_lost_and_all_products_are_right(axis, floor):
    rng = np.random.default_rng(0)
    trees = CorrelationTrees(rng.standard_normal((60, 8)), rng.standard_normal((60, 8)), axis=axis, floor=floor)
    new, written, wrong = rng.standard_normal((2000, 1, 8)), {}, []
    ends = time.perf_counter() + 0.25

    def repeat(act):
        i = 0
        while time.perf_counter() < ends:
            try:
                act(i % 2000)
            except RuntimeError as error:
                if "hold a lock" not in str(error):
                    wrong.append(error)
            except Exception as error:
                wrong.append(error)
            i += 1

    def update(i):
        trees.update_weights([i % 50], new[i])
        written[i % 50] = new[i]

    def grow_and_shrink(i):
        trees.add_data(new[i])
        trees.remove_data([3])
        trees.add_weights(new[i])
        trees.remove_weights([55])

    def ask(i):
        assert trees.query_all(1.0).shape[0] >= 60
        assert trees.count_all(1.0).size >= 60
        trees.copy()._check()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=repeat, args=(act,)) for act in (update, grow_and_shrink, ask)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    assert written
    for row, weight in written.items():
        assert np.array_equal(trees.weights[row], weight[0])
    trees._check()
