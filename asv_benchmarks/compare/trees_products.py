"""What is built on trees beside what others use: sums beside segment trees, keys beside heaps and sorted lists.

    python asv_benchmarks/compare/trees_products.py [--quick] [--out FILE.csv]

Every figure is a median of interleaved runs in one process, on one thread, from Python calls, and every ratio is (other
method) / (tree), so that more than 1 means that ours is faster. Other methods must give the same answers, which is
checked before anything is timed, or drawn from the same distribution. Timings are warm and cold, as in trees.py.

Sums are of 10^6 slots: torchrl's SumSegmentTreeFp64 (compiled, arrays of NumPy in and out), and cpprb's
PrioritizedReplayBuffer with one field, which keeps a sum and a minimum tree. Keys are 10^5 integers: pqdict, and
sortedcontainers' SortedList of (number, key) with a dictionary. What is not installed is left out, and said so.

    pip install cpprb pqdict sortedcontainers torch==2.14.1 torchrl==0.14.1

Versions of torchrl load with one version of torch each, as they are compiled against it: 0.14 with 2.14.
"""

import argparse
import functools
import math
import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
import sltrees
from asv_benchmarks.compare.parts.tree_timing import Report, check, si, through, time_warm
from sltrees import PrioritizedSampler, SumTree, ThresholdMap

RESULTS = Path(__file__).resolve().parents[1] / "results"
SLOTS, KEYS, BATCHES = 10**6, 10**5, (256, 4096)
# (section, case, method, most seconds of ours or None, least ratio or None)
BARS = (
    ("sums", "update 4096", "torchrl", 20e-9 * 4096, 3),
    ("sums", "update 256", "torchrl", 20e-9 * 256, 3),
    ("sums", "sample 256", "torchrl", 25e-6, 3),
    ("sums", "sample 4096", "torchrl", None, 3),
    ("replay", "update 256", "cpprb", None, 3),
    ("replay", "update 4096", "cpprb", None, 3),
    ("replay", "sample 256", "cpprb", None, 3),
    ("replay", "sample 4096", "cpprb", None, 3),
    ("keys", "set", "pqdict", None, 3),
    ("keys", "set", "SortedList", None, 3),
    ("keys", "pop and put back", "pqdict", None, 3),
    ("keys", "pop and put back", "SortedList", None, 3),
    ("keys", "batch of all", "pqdict", None, 20),
    ("keys", "batch of all", "SortedList", None, 20),
    ("keys", "batch of all, integer_keys", "pqdict", None, 20),
    ("keys", "batch of all, integer_keys", "SortedList", None, 20),
)


def imported(module, name):
    """What a package has of this name; None, and a line that says so, where it is not installed or does not load."""
    try:
        return getattr(__import__(module, fromlist=[name]), name)
    except ImportError as error:
        print(f"{module}: left out ({str(error)[:80]})")
        return None


def sums(report, args, rng):
    report.title("SumTree of 10^6 slots: batches at random places, draws; torchrl's segment tree")
    amounts = rng.exponential(size=SLOTS)
    tree, rivals = SumTree(amounts), {}
    segment_tree = imported("torchrl._torchrl", "SumSegmentTreeFp64")
    if segment_tree is not None:
        rivals["torchrl"] = segment_tree(SLOTS)
        rivals["torchrl"][np.arange(SLOTS)] = amounts
    for k in BATCHES:
        batches = [(rng.integers(0, SLOTS, k), rng.exponential(size=k)) for _ in range(64)]
        writes = {"tree": tree.update_many} | {name: each.__setitem__ for name, each in rivals.items()}
        methods = {name: through(batches, write) for name, write in writes.items()}
        report.compare("sums", f"update {k}", SLOTS, None, methods, args.budget)

        def draw(rival, k=k):
            return rival.scan_lower_bound(rng.random(k) * rival.query(0, SLOTS))

        methods = {"tree": functools.partial(tree.sample, k, rng)}
        methods |= {name: functools.partial(draw, each) for name, each in rivals.items()}
        report.compare("sums", f"sample {k}", SLOTS, None, methods, args.budget)
        for each in rivals.values():  # of the same numbers: the same entries, but where rounding falls between
            each[np.arange(SLOTS)] = np.array(tree.values)
            prefixes = rng.random(10**4) * tree.total * (1 - 1e-9)
            assert np.mean(each.scan_lower_bound(prefixes) == tree.find(prefixes)) > 0.999

    report.title("error of the total, in units in the last place, after 10^8 updates (--quick: 10^6)")
    for _ in range(10**6 // 4096 if args.quick else 10**8 // 4096):
        tree.update_many(rng.integers(0, SLOTS, 4096), rng.random(4096))
    exact = math.fsum(tree.values)
    error = abs(tree.total - exact) / np.spacing(exact)
    assert tree.total == SumTree(tree.values).total
    report.rows.append(("drift", "total, ulp", SLOTS, None, "tree", "", error, ""))
    print(f"{error:.2g} of the exact sum, and 0 of a tree that is built anew")


def replay(report, args, rng):
    report.title("PrioritizedSampler of 10^6 slots: priorities, draws with weights; cpprb.PrioritizedReplayBuffer")
    buffer_class = imported("cpprb", "PrioritizedReplayBuffer")
    priorities = rng.exponential(size=SLOTS)
    sampler = PrioritizedSampler(SLOTS)
    sampler.add(SLOTS, priorities)
    rivals = {}
    if buffer_class is not None:
        rivals["cpprb"] = buffer_class(SLOTS, {"reward": {}}, alpha=0.6)
        rivals["cpprb"].add(reward=np.zeros(SLOTS), priorities=priorities)
    for k in BATCHES:
        batches = [(rng.integers(0, SLOTS, k), rng.exponential(size=k)) for _ in range(64)]
        writes = {"tree": sampler.update} | {name: each.update_priorities for name, each in rivals.items()}
        methods = {name: through(batches, write) for name, write in writes.items()}
        report.compare("replay", f"update {k}", SLOTS, None, methods, args.budget)
        methods = {"tree": functools.partial(sampler.sample, k, rng)}
        methods |= {name: functools.partial(each.sample, k, 0.4) for name, each in rivals.items()}
        report.compare("replay", f"sample {k}", SLOTS, None, methods, args.budget)


class ByValue:
    """Keys by number, as one does it with sortedcontainers."""

    def __init__(self, sorted_list, items):
        self.numbers = dict(items)
        self.order = sorted_list((number, key) for key, number in items)

    def __setitem__(self, key, number):
        if key in self.numbers:
            self.order.remove((self.numbers[key], key))
        self.numbers[key] = number
        self.order.add((number, key))

    def popitem(self):
        number, key = self.order.pop()
        del self.numbers[key]
        return key, number

    def query(self, t):
        return [key for _, key in self.order.irange((t, math.inf), None, (False, True))]

    def update(self, items):
        self.numbers.update(items)
        self.order = type(self.order)((number, key) for key, number in self.numbers.items())


def keys(report, args, rng):
    report.title("ThresholdMap of 10^5 keys: pqdict; sortedcontainers.SortedList of (number, key)")
    names, numbers = rng.permutation(10 * KEYS)[:KEYS], rng.standard_normal(KEYS)
    items = list(zip(names.tolist(), numbers.tolist(), strict=True))
    held = {"tree": ThresholdMap(items), "tree, integer_keys": ThresholdMap(items, integer_keys=True)}
    if (pqdict := imported("pqdict", "pqdict")) is not None:
        held["pqdict"] = pqdict(dict(items), reverse=True)
    if (sorted_list := imported("sortedcontainers", "SortedList")) is not None:
        held["SortedList"] = ByValue(sorted_list, items)
    changes = list(zip(rng.choice(names, 2000).tolist(), rng.standard_normal(2000).tolist(), strict=True))

    def set_all(target):
        for key, number in changes:
            target[key] = number

    def pop_and_put_back(target):
        for _ in range(2000):
            key, number = target.popitem()
            target[key] = number - 8.0

    for case, act in (("set", set_all), ("pop and put back", pop_and_put_back)):
        report.compare(
            "keys", case, KEYS, None, {name: functools.partial(act, each) for name, each in held.items()}, args.budget
        )
    for each in held.values():  # to the same numbers again
        each.update(dict(items))
    order = [[each.popitem() for _ in range(500)] for each in held.values()]
    assert all(each == order[0] for each in order)
    for each in held.values():
        each.update(dict(items))
    if "SortedList" in held:
        for t in (3.0, 1.0):
            check(np.sort(held["tree"].query(t)), np.sort(held["SortedList"].query(t)), "query")
            methods = {name: functools.partial(each.query, t) for name, each in held.items() if name != "pqdict"}
            report.compare("keys", "query", KEYS, float(np.mean(numbers > t)), methods, args.budget)
    methods = {
        name: functools.partial(each.update_many, names, numbers)
        for name, each in held.items()
        if isinstance(each, ThresholdMap)
    }
    for name in ("pqdict", "SortedList"):
        if name in held:
            methods[name] = functools.partial(
                set_each if name == "pqdict" else rebuild,
                held[name],
                items[: len(items) // (10 if args.quick and name == "pqdict" else 1)],
            )
    times = time_warm(methods, args.budget, least=3)
    if args.quick and "pqdict" in times:
        times["pqdict"] *= 10
    print("all numbers written: " + ", ".join(f"{name} {si(value)}" for name, value in times.items()), flush=True)
    in_table = times.pop("tree, integer_keys")
    report.add("keys", "batch of all", KEYS, None, times, "warm")
    report.add("keys", "batch of all, integer_keys", KEYS, None, times | {"tree": in_table}, "warm")


def set_each(target, items):
    for key, number in items:
        target[key] = number


def rebuild(target, items):
    """Sorting anew is what is fastest where all numbers change."""
    target.update(items)


def bars(report):
    report.title("what is asked for")
    for section, case, method, most, least in BARS:
        for timing in ("warm", "cold"):
            ours = next((r for r in report.rows if r[:2] == (section, case) and r[4:6] == ("tree", timing)), None)
            theirs = next((r for r in report.rows if r[:2] == (section, case) and r[4:6] == (method, timing)), None)
            if ours is None or theirs is None:
                continue
            verdict = "met" if theirs[7] >= least and (most is None or ours[6] <= most) else "MISSED"
            asked = f">= {least}x {method}" + ("" if most is None else f", <= {si(most)}")
            print(f"{section:<7}{case:<28}{timing:<5}{asked:<34}{theirs[7]:>8.3g}x {si(ours[6]):>9}  {verdict}")
            report.rows.append(("bars", f"{section}, {case}", None, None, asked, timing, ours[6], verdict))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter runs, and fewer updates: within 30 seconds")
    parser.add_argument("--out", type=Path, default=RESULTS / "trees_products.csv", help="the table, as CSV")
    parser.add_argument("--only", choices=["sums", "replay", "keys"], help="one section alone")
    args = parser.parse_args()
    args.budget = 0.4 if args.quick else 2.0
    begin = time.perf_counter()
    sltrees.show_versions()
    report = Report()
    for section in (sums, replay, keys):
        if args.only in (None, section.__name__):
            section(report, args, np.random.default_rng(0))
    bars(report)
    report.write(args.out)
    print(f"{time.perf_counter() - begin:.0f} seconds")


if __name__ == "__main__":
    main()
