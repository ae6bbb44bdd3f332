"""Who may be at a tree at the same time: queries together, a change alone. All else is an error, and never a crash."""

import contextlib
import os
import threading
import time

import numpy as np
import pytest

from sltrees import ThresholdTree

STRESS = os.environ.get("SLTREES_STRESS") == "1"
N = 20_000

CHANGED = "a tree must not be queried or changed while it is being changed: where threads do both, hold a lock"
QUERIED = "a tree must not be changed while it is being queried: where threads do both, hold a lock"

CHANGES = {
    "set": lambda t: t.__setitem__(0, 1.0),
    "set-slice": lambda t: t.__setitem__(slice(0, 3), 1.0),
    "update": lambda t: t.update(0, 1.0),
    "add": lambda t: t.add(0, 1.0),
    "update_many": lambda t: t.update_many(np.arange(len(t)), 1.0),
    "crossing": lambda t: t.update_many(np.arange(len(t) // 2), 0.7, crossing=0.5),
    "add_many": lambda t: t.add_many([0, 1], 1.0),
    "pop_above": lambda t: t.pop_above(0.5, replacement=0.1),
    "refresh": lambda t: t.refresh(),
    "append": lambda t: t.append(1.0),
    "extend": lambda t: t.extend(np.ones(N)),
    "grow": lambda t: t.resize(10 * N),
    "shrink": lambda t: t.resize(N // 2),
    "init": lambda t: t.__init__(np.random.default_rng(0).random(N)),
}
QUERIES = {
    "query": lambda t: t.query(0.5),
    "query-values": lambda t: t.query(0.3, return_values=True),
    "query-out": lambda t: t.query(0.3, out=np.empty(20 * N, np.int64)),
    "query_many": lambda t: t.query_many([0.1, 0.5, 0.9]),
    "count": lambda t: t.count(0.5),
    "any": lambda t: t.any(0.5),
    "first": lambda t: t.first(0.5),
    "max": lambda t: t.max(),
    "argmax": lambda t: t.argmax(),
    "topk": lambda t: t.topk(50),
    "copy": lambda t: t.copy(),
}
# what others do in between, through a function of NumPy that these call
DURING_A_CHANGE = {"crossing": "unique", "add_many": "unique", "pop_above": "full"}
DURING_A_QUERY = {"topk": "arange"}


def during(monkeypatch, function, act):
    """Do something when NumPy's function is called."""
    before = getattr(np, function)

    def both(*arguments, **options):
        monkeypatch.setattr(np, function, before)
        act()
        return before(*arguments, **options)

    monkeypatch.setattr(np, function, both)


@pytest.mark.parametrize("other", CHANGES | QUERIES)
@pytest.mark.parametrize("change", DURING_A_CHANGE)
def test_during_a_change_nothing_else_is_done(change, other, monkeypatch):
    tree, alone = (ThresholdTree(np.random.default_rng(0).random(N)) for _ in range(2))
    tried = []

    def meet():
        with pytest.raises(RuntimeError, match=f"^{CHANGED}$"):
            (CHANGES | QUERIES)[other](tree)
        tried.append(other)

    during(monkeypatch, DURING_A_CHANGE[change], meet)
    CHANGES[change](tree)
    assert tried
    CHANGES[change](alone)
    assert tree == alone
    tree._check()
    (CHANGES | QUERIES)[other](tree)  # the change is over


@pytest.mark.parametrize("other", CHANGES | QUERIES)
@pytest.mark.parametrize("query", DURING_A_QUERY)
def test_during_a_query_others_are_made_and_no_change(query, other, monkeypatch):
    tree = ThresholdTree(np.random.default_rng(0).random(N))
    alone, tried = tree.copy(), []

    def meet():
        if other in QUERIES:
            QUERIES[other](tree)
        else:
            with pytest.raises(RuntimeError, match=f"^{QUERIED}$"):
                CHANGES[other](tree)
        tried.append(other)

    during(monkeypatch, DURING_A_QUERY[query], meet)
    assert np.array_equal(QUERIES[query](tree), QUERIES[query](alone))
    assert tried
    assert tree == alone
    (CHANGES | QUERIES)[other](tree)  # the query is over
    tree._check()


@pytest.mark.parametrize(
    "act",
    [
        lambda t: t.query(0.5, 3, 2),
        lambda t: t.query(0.5, out=np.empty(0, np.int64)),
        lambda t: t.query_many([np.nan]),
        lambda t: t.topk(-1),
        lambda t: t.update_many([N], 1.0),
        lambda t: t.update_many([0], [1.0, 2.0]),
        lambda t: t.add_many([0], np.nan),
        lambda t: t.pop_above(0.5, replacement=0.6),
        lambda t: t.refresh(0, N + 1),
        lambda t: t.extend([np.nan]),
        lambda t: t.resize(1 << 40),
        lambda t: t.__init__([np.nan]),
    ],
)
def test_what_is_refused_leaves_nobody_at_the_tree(act):
    tree = ThresholdTree(np.random.default_rng(0).random(N))
    with pytest.raises((ValueError, IndexError)):
        act(tree)
    tree.append(1.0)
    tree._check()


@pytest.mark.parametrize("query", ["query", "query-values", "query-out", "query_many", "count"])
def test_a_query_of_another_thread_is_seen(query):
    tree = ThresholdTree(np.random.default_rng(0).random(N))
    stop, refused = threading.Event(), []

    def ask():
        while not stop.is_set():
            with contextlib.suppress(RuntimeError):  # the change came first
                QUERIES[query](tree)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(100_000):
            try:
                tree[0] = 1.0
            except RuntimeError as error:
                refused.append(str(error))
            if len(refused) == 20:
                break
            time.sleep(0)
        else:
            pytest.fail("no query was met by 100,000 changes")
    finally:
        stop.set()
        thread.join()
    assert set(refused) == {QUERIED}
    tree[0] = 1.0


def test_threads_that_obey_no_rule_crash_nothing(seed):
    """Found once: growth while another thread counted, or gathered values, freed the memory that it read."""
    tree = ThresholdTree(np.random.default_rng(seed).random(N))
    acts = [*CHANGES.values(), *QUERIES.values(), lambda t: t[:].sum(), lambda t: sum(t), lambda t: np.asarray(t).sum()]
    end, errors, counts = time.monotonic() + (60 if STRESS else 1.5), [], [0, 0]

    def run(number):
        rng = np.random.default_rng([seed, number])
        while time.monotonic() < end and not errors:
            act = acts[rng.integers(len(acts))]
            try:
                act(tree)
                counts[0] += 1
            except RuntimeError as error:
                counts[1] += 1
                if str(error) not in (CHANGED, QUERIED):
                    errors.append(error)
            except (IndexError, ValueError) as error:  # the length that they were told is that of before
                if "must be in [0, " not in str(error) and "must have room for" not in str(error):
                    errors.append(error)
            except BaseException as error:  # whatever it is, the main thread gets it
                errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    assert min(counts) > 0
    tree._check()
