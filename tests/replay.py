"""Replays the rules of state machines at random, without what hypothesis keeps to make failures small.

    python tests/replay.py 10000000
    python tests/replay.py 1000000 --only VectorSearchMachine MapMachine --minutes 20 --first 5000

plays so many random actions over `SumTree`, `ThresholdMap`, `Watch`, `ThresholdWindow`, `PrioritizedSampler`,
`IntegerTree`, `CorrelationTrees` (with and without `floor=`) and `VectorSearch`, or over those named, in processes of
their own as many as there are processors, and says how many each has had. Games have numbers, from `--first` on: those
of another run are others, and those of the same number the same. A failure says machine and number:
`python tests/replay.py 200 --only SumMachine --game 17` is the same again.
"""

import argparse
import functools
import importlib
import math
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
AT_ONCE = 200  # actions of a machine, which then begins anew: a game
PORTION = 10  # games after which a process says how far it has come


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


def play_games(numbers, only):
    """Games of these numbers, each of one machine: how many actions of each machine."""
    played, chosen = {}, [each for each in kinds() if only is None or each[0] in only]
    for number in numbers:
        name, machine = chosen[number % len(chosen)]
        try:
            play(machine, number, AT_ONCE)
        except BaseException:
            print(f"{name}, game {number}", flush=True)
            raise
        played[name] = played.get(name, 0) + AT_ONCE
    return played


def play_many(n_actions, only=None, first=0, minutes=math.inf):
    """At least so many actions in all, or those that there is time for; prints how many of each machine."""
    begin, totals, last = time.perf_counter(), {}, first - (-n_actions // AT_ONCE)
    portions = [range(at, min(at + PORTION, last)) for at in range(first, last, PORTION)]
    with multiprocessing.Pool() as pool:
        for played in pool.imap_unordered(functools.partial(play_games, only=only), portions):
            totals = {each: totals.get(each, 0) + played.get(each, 0) for each in sorted({*totals, *played})}
            done = f"{sum(totals.values()):,} actions in {time.perf_counter() - begin:.0f} seconds"
            print(done, end="\r", flush=True)
            if time.perf_counter() - begin > 60 * minutes:
                pool.terminate()
                break
    print(f"{done}: " + ", ".join(f"{name} {count:,}" for name, count in totals.items()))
    return totals


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("actions", type=int)
    parser.add_argument("--only", nargs="+", choices=[name for _, name, _ in MACHINES], metavar="MACHINE")
    parser.add_argument("--first", type=int, default=0, help="number of the first game")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so many")
    parser.add_argument("--game", type=int, help="this one alone, in this process")
    args = parser.parse_args(argv)
    if args.game is None:
        return play_many(args.actions, args.only, args.first, args.minutes)
    chosen = [machine for name, machine in kinds() if args.only is None or name in args.only]
    return play(chosen[args.game % len(chosen)], args.game, args.actions)


if __name__ == "__main__":
    main()
