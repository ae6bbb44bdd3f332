"""What `compare/trees.py` measures with: timers, values, and the report that it prints and writes."""

import csv
import functools
import itertools
import statistics
import time

import numpy as np


def seconds(method):
    begin = time.perf_counter_ns()
    method()
    return (time.perf_counter_ns() - begin) * 1e-9


def seconds_of_block(method, calls):
    begin = time.perf_counter_ns()
    for _ in range(calls):
        method()
    return (time.perf_counter_ns() - begin) * 1e-9 / calls


def time_warm(methods, budget, least=5):
    """Medians over blocks of equal calls; the blocks of the methods alternate."""
    calls = {}
    for name, method in methods.items():
        method()
        once = min(seconds(method) for _ in range(3))
        calls[name] = int(min(max(3, 0.0003 / max(once, 1e-7)), 1000))
    timers = {name: functools.partial(seconds_of_block, method, calls[name]) for name, method in methods.items()}
    return _rounds(timers, budget, least)


def time_cold(methods, budget, least=7):
    """Medians over single calls; the methods alternate call by call."""
    return _rounds({name: functools.partial(seconds, method) for name, method in methods.items()}, budget, least)


def _rounds(timers, budget, least):
    found = {name: [] for name in timers}
    end = time.perf_counter() + budget
    while True:
        for name, timer in timers.items():
            found[name].append(timer())
        rounds = len(found[name])
        if rounds >= least and (time.perf_counter() > end or rounds >= 1000):
            return {name: statistics.median(times) for name, times in found.items()}


def si(value):
    for unit, scale in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


class Report:
    """Prints rows, keeps them for the CSV file, and remembers what the bars ask for."""

    columns = ("section", "case", "n", "selectivity", "method", "timing", "seconds", "ratio_to_tree")

    def __init__(self):
        self.rows = []

    def title(self, text):
        print(f"\n== {text}", flush=True)

    def add(self, section, case, n, selectivity, times, timing):
        tree = times["tree"]
        for method, value in times.items():
            self.rows.append((section, case, n, selectivity, method, timing, value, value / tree))

    def compare(self, section, case, n, selectivity, methods, budget, timings=("warm", "cold")):
        """Time the methods both ways, print a line, and keep the rows; a case below 0.95 is measured again."""
        line = f"{case:<22} n={n:<9} "
        line += f"p={selectivity:<7g}" if selectivity is not None else " " * 9
        for timing in timings:
            timer = time_warm if timing == "warm" else time_cold
            times = timer(methods, budget)
            if section == "query" and times["numpy"] < 0.95 * times["tree"]:
                times = timer(methods, 4 * budget)
            self.add(section, case, n, selectivity, times, timing)
            others = [f"{name} {si(t)} = {t / times['tree']:.3g}x" for name, t in times.items() if name != "tree"]
            line += f" | {timing}: tree {si(times['tree'])}, " + ", ".join(others)
        print(line, flush=True)

    def ratio(self, *key):
        """Of the row with this section, case, n, selectivity, method and timing."""
        return next((row[7] for row in self.rows if row[:6] == key), None)

    def write(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self.columns)
            writer.writerows(self.rows)
        print(f"\nWritten to {path}")


def make_values(kind, n, rng):
    values = rng.standard_normal(n, dtype=np.float32)
    if kind == "normal":
        return values
    values.sort()
    if kind == "sorted":
        return values
    blocks = np.array_split(values, max(1, n // 1000))
    return np.concatenate([blocks[j] for j in rng.permutation(len(blocks))])


def threshold_for(ordered, share):
    """The threshold that a share of the values passes, from the sorted values."""
    k = round(share * ordered.size)
    if k == ordered.size:
        return float(np.nextafter(ordered[0], np.float32(-np.inf)))
    return float(ordered[ordered.size - 1 - k])


def check(expected, got, what):
    if not np.array_equal(expected, got):
        raise AssertionError(f"{what}: not the same answer")


def through(batches, write):
    """A call that writes the next batch, round and round."""
    following = itertools.cycle(batches)
    return lambda: write(*next(following))
