"""Replays the rules of state machines at random, without what hypothesis keeps to make failures small.

    python tests/replay.py 10000000

plays so many random actions over `SumTree`, `ThresholdMap`, `Watch`, `ThresholdWindow`, `PrioritizedSampler`,
`IntegerTree`, `CorrelationTrees` and `VectorSearch`, in processes of their own as many as there are processors, and
says how many each has had. A failure says machine and seed: `python tests/replay.py 200 SumMachine 17` is the same
again.
"""

import importlib
import multiprocessing
import random
import sys
import time
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.control import BuildContext
from hypothesis.internal.conjecture.data import ConjectureData
from hypothesis.stateful import INITIALIZE_RULE_MARKER, INVARIANT_MARKER, RULE_MARKER

# module of a machine, its name, and the attributes of each kind of it
MACHINES = (
    ("test_sum_tree_states", "SumMachine", [{"sizes": (0, 20)}, {"sizes": (60, 70)}, {"sizes": (505, 520)}]),
    ("test_threshold_map", "MapMachine", [{"orientation": "max"}, {"orientation": "min", "integer_keys": True}]),
    ("test_watch", "WatchMachine", [{"orientation": "max"}, {"orientation": "min", "keyed": True}]),
    ("test_window", "WindowMachine", [{"timed": False}, {"timed": True, "orientation": "min"}]),
    ("test_prioritized_sampler", "RingMachine", [{}]),
    ("test_integer_tree", "IntegerMachine", [{"orientation": "max"}, {"orientation": "min"}]),
    ("test_correlation_trees_states", "CorrelationTreesMachine", [{"axis": "data"}, {"axis": "weights"}]),
    ("test_vector_search_states", "VectorSearchMachine", [{"metric": "cosine"}, {"metric": "euclidean"}]),
)
AT_ONCE = 200  # actions of a machine, which then begins anew


class Drawn:
    """What rules call `data`."""

    def __init__(self, source):
        self._source = source

    def draw(self, strategy, label=None):
        return self._source.draw(strategy)


def play(machine, seed, n_actions):
    """Random actions on a new machine: as many, each followed by what must hold."""
    marked = [getattr(machine, name) for name in dir(machine) if callable(getattr(machine, name, None))]
    rules, begins, invariants = (
        [each for each in marked if hasattr(each, marker)]
        for marker in (RULE_MARKER, INITIALIZE_RULE_MARKER, INVARIANT_MARKER)
    )
    choose, there = random.Random(seed), machine()

    def act(rule, marker):
        source, strategies = ConjectureData(random=random.Random(choose.random())), getattr(rule, marker).arguments
        with BuildContext(source, wrapped_test=play):
            drawn = {name: Drawn(source) if is_data(each) else source.draw(each) for name, each in strategies.items()}
            rule(there, **drawn)
        for invariant in invariants:
            invariant(there)

    for begin in begins:
        act(begin, INITIALIZE_RULE_MARKER)
    for _ in range(n_actions):
        act(choose.choice(rules), RULE_MARKER)


def is_data(strategy):
    return type(strategy) is type(st.data())


def kinds():
    """All kinds of machines: name, class."""
    root = Path(__file__).parent
    sys.path[:0] = [str(root), str(root / "_core"), str(root / "trees")]
    for module, name, variants in MACHINES:
        machine = getattr(importlib.import_module(module), name)
        for attributes in variants:
            yield name, type(name, (machine,), {"n_actions": 0} | attributes)


def play_games(seeds):
    """Games of these seeds, each of one machine: how many actions of each machine."""
    played, chosen = {}, list(kinds())
    for seed in seeds:
        name, machine = chosen[seed % len(chosen)]
        try:
            play(machine, seed, AT_ONCE)
        except BaseException:
            print(f"{name}, seed {seed}", flush=True)
            raise
        played[name] = played.get(name, 0) + AT_ONCE
    return played


def main(n_actions, name=None, seed=None):
    if name is not None:
        for kind, machine in kinds():
            if kind == name:
                play(machine, int(seed), int(n_actions))
        return
    begin, totals, n_games = time.perf_counter(), {}, -(-int(n_actions) // AT_ONCE)
    with multiprocessing.Pool() as pool:
        for played in pool.imap_unordered(
            play_games, (range(at, min(at + 50, n_games)) for at in range(0, n_games, 50))
        ):
            totals = {each: totals.get(each, 0) + played.get(each, 0) for each in {*totals, *played}}
            done = f"{sum(totals.values()):,} actions in {time.perf_counter() - begin:.0f} seconds"
            print(done, end="\r", flush=True)
    print(f"{done}: {totals}")


if __name__ == "__main__":
    main(*sys.argv[1:])
