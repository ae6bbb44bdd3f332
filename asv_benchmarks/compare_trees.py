"""Threshold trees beside everything else one would use, from Python calls, on one thread, in float32.

    python asv_benchmarks/compare_trees.py [--quick] [--out FILE.csv] [--tune]

Every figure is a median of interleaved runs in one process, and every ratio is (other method) / (tree), so that more
than 1 means that the tree is faster. Two timings are printed for each case:

warm
    Methods alternate in blocks of several equal calls, as `timeit` would see it: after the first call of a block
    a method finds in the caches what it has just used, as far as that fits.
cold
    Methods alternate strictly, call by call, so that each evicts the other's data from the caches. Each call is timed
    alone, which adds the cost of reading the clock (some 50 ns) to both sides.

A query that seems slower than NumPy (a ratio below 0.95) is measured again, four times as long, and the second
figure counts, whatever it is: of the hundreds of figures of a run, a few are wrong on a machine that does other work.

Values are standard normal in random order; the same values sorted; or the sorted values cut into blocks of 1,000
whose order is random, so that hits come in blocks. The other methods must give the same answers, which is checked
before anything is timed.

Compared are NumPy; a binary max-tree in C (binary_tree.c, compiled on the fly, called by ctypes);
sortedcontainers.SortedList of (value, index); a heapq with lazy deletion; and cpprb's prioritised replay buffer, which
keeps a sum tree and a minimum tree of the priorities and has no threshold query, so only its updates are
compared. What is not installed is left out, and said so. scipy and scikit-learn have nothing that applies: their range
queries (scipy.spatial.KDTree, sklearn.neighbors.KDTree and BallTree) are built once and cannot change a
value, so that each update would cost a build.

--tune prints the tables from which constants of the kernels were taken: SL_REBUILD_SHARE, SL_PREFETCH_AHEAD and the
share of live blocks up to which a query walks lists instead of scanning the leaves. The constants are
compile-time, so it builds copies of one extension module in a temporary directory; it needs Cython and a compiler.
"""

import argparse
import csv
import ctypes
import functools
import heapq
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import sltrees
from sltrees import ThresholdTree

HERE = Path(__file__).resolve().parent
SIZES = (16, 64, 256, 1024, 4096, 16384, 65536, 10**5, 10**6, 10**7)
SHARES = (0, 1e-5, 1e-4, 1e-3, 5e-3, 1e-2, 0.05, 0.1, 0.2, 0.5, 0.9, 1)
# (number of values, selectivity, least ratio to a NumPy scan)
QUERY_BARS = (
    (10**6, 1e-4, 150),
    (10**6, 5e-3, 40),
    (10**6, 1e-2, 7),
    (10**7, 1e-5, 1000),
    (10**7, 1e-2, 10),
    (10**7, 0.5, 2),
)

# ---------------------------------------------------------------------- timing


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


# ---------------------------------------------------------------------- values


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


# ---------------------------------------------------------------------- the other methods


class BinaryTree:
    """binary_tree.c by ctypes."""

    library = None

    def __init__(self, values):
        self.n = values.size
        self.width = 1 << max(1, (self.n - 1).bit_length())
        self.node = np.full(2 * self.width, -np.inf, dtype=np.float32)
        self.node[self.width : self.width + self.n] = values
        self.pointer = self.node.ctypes.data
        self.out = np.empty(self.n, dtype=np.int64)
        self.out_pointer = self.out.ctypes.data
        self.compiled.binary_build(self.pointer, self.width)

    @classmethod
    def compile(cls, directory):
        path = Path(directory) / "binary_tree.so"
        compiler = os.environ.get("CC", "cc").split()
        command = [*compiler, "-O3", "-std=gnu11", "-shared", "-fPIC", str(HERE / "binary_tree.c"), "-o", str(path)]
        subprocess.run(command, check=True)
        library = ctypes.CDLL(str(path))
        pointer, integer = ctypes.c_void_p, ctypes.c_int64
        library.binary_build.argtypes = (pointer, integer)
        library.binary_build.restype = None
        library.binary_update_many.argtypes = (pointer, integer, pointer, pointer, integer)
        library.binary_update_many.restype = None
        library.binary_query.argtypes = (pointer, integer, ctypes.c_float, pointer)
        library.binary_query.restype = integer
        cls.compiled = library

    def query(self, t):
        return self.out[: self.compiled.binary_query(self.pointer, self.width, t, self.out_pointer)].copy()

    def update_many(self, indices, values):
        self.compiled.binary_update_many(
            self.pointer, self.width, indices.ctypes.data, values.ctypes.data, indices.size
        )


class LazyHeap:
    """heapq of (-value, index): an update pushes, and what is out of date is skipped when it comes up."""

    def __init__(self, values):
        self.values = values.tolist()
        self.heap = [(-v, i) for i, v in enumerate(self.values)]
        heapq.heapify(self.heap)

    def update(self, i, value):
        self.values[i] = value
        heapq.heappush(self.heap, (-value, i))

    def drain(self, t):
        heap, values, found = self.heap, self.values, []
        while heap and -heap[0][0] > t:
            negative, i = heapq.heappop(heap)
            if values[i] == -negative:
                values[i] = -np.inf
                found.append(i)
        return found


# ---------------------------------------------------------------------- sections


def queries(report, args, rng):
    report.title("query(t) against numpy.flatnonzero(v > t)")
    cases = [("normal", n, share) for n in SIZES for share in SHARES]
    cases += itertools.product(("sorted", "blocks"), (4096, 10**6, 10**7), (1e-4, 5e-3, 0.1, 0.5, 0.9))
    if args.quick:
        barred = {(n, p) for n, p, _ in QUERY_BARS}
        cases = [c for c in cases if c[1:] in barred or (c[1] < 10**6 and c[2] in (0, 1e-2, 0.5) and c[1] != 64)]
    budget = 0.1 if args.quick else 0.3
    for key, group in itertools.groupby(cases, key=lambda c: c[:2]):
        kind, n = key
        values = make_values(kind, n, rng)
        ordered, tree = np.sort(values), ThresholdTree(values)
        for _, _, p in group:
            if 0 < p * n < 1:
                continue
            t = threshold_for(ordered, p)
            check(np.flatnonzero(values > t), tree.query(t), "query")
            scan = functools.partial(lambda v, t: np.flatnonzero(v > t), values, t)
            methods = {"tree": functools.partial(tree.query, t), "numpy": scan}
            report.compare("query", kind, n, p, methods, budget)


def updates(report, args, rng):
    n = 10**6
    values = rng.standard_normal(n, dtype=np.float32)
    budget = 0.3 if args.quick else 1.0
    report.title("update_many at random places of 10^6 values, against w[i] = x and a binary tree in C")
    for k in (10**6,) if args.quick else (10**2, 10**3, 10**4, 10**5, 10**6):
        tree, plain, binary = ThresholdTree(values), values.copy(), BinaryTree(values)
        # other batches each time: writing the same values again would be cheaper
        batches = [(rng.integers(0, n, k), rng.standard_normal(k, dtype=np.float32)) for _ in range(max(4, 10**5 // k))]
        for target in (tree.update_many, binary.update_many, plain.__setitem__):
            target(*batches[0])
        check(plain, tree.values, "update_many")
        t = float(np.quantile(plain, 0.999))
        check(binary.query(t), tree.query(t), "update_many of the binary tree")

        targets = {"tree": tree.update_many, "numpy": plain.__setitem__, "binary": binary.update_many}
        methods = {name: through(batches, write) for name, write in targets.items()}
        for timing, timer in (("warm", time_warm), ("cold", time_cold)):
            times = {name: value / k for name, value in timer(methods, budget).items()}
            report.add("update_many", f"batch {k}", n, None, times, timing)
            shown = ", ".join(f"{name} {t * 1e9:.2f} ns" for name, t in times.items())
            multiple = times["tree"] / times["numpy"]
            print(f"batch {k:<8} {timing}: {shown} an update; tree = {multiple:.2f} scatters", flush=True)

    report.title("single tree[i] = x at random places of 10^6 values, from a Python loop")
    k = 1000
    batches = [(rng.integers(0, n, k).tolist(), rng.standard_normal(k).tolist()) for _ in range(100)]
    tree, plain = ThresholdTree(values), values.copy()

    def assigning(target):
        def write(where, new):
            for i, x in zip(where, new, strict=True):
                target[i] = x

        return write

    def nothing(where, new):
        for _i, _x in zip(where, new, strict=True):
            pass

    targets = {"tree": assigning(tree), "numpy": assigning(plain), "loop": nothing}
    times = time_warm({name: through(batches, write) for name, write in targets.items()}, budget)
    times = {name: value / k for name, value in times.items()}
    report.add("setitem", "loop included", n, None, times, "warm")
    net = {name: times[name] - times["loop"] for name in ("tree", "numpy")}
    report.add("setitem", "loop subtracted", n, None, net, "warm")
    for label, shown in (("loop included", times), ("loop subtracted", net)):
        print(f"{label:<16} " + ", ".join(f"{name} {t * 1e9:.1f} ns" for name, t in shown.items()), flush=True)


def builds(report, args, rng):
    report.title("build, and refresh() of a borrowed array, against v.max()")
    budget = 0.2 if args.quick else 0.6
    for n in (10**6,) if args.quick else (10**4, 10**6, 10**7):
        values = rng.standard_normal(n, dtype=np.float32)
        borrowed = ThresholdTree(values, copy=False)
        methods = {
            "tree": lambda v=values: ThresholdTree(v),
            "tree, borrowing": lambda v=values: ThresholdTree(v, copy=False),
            "refresh": borrowed.refresh,
            "v.max()": lambda v=values: v.max(),
        }
        for timing, timer in (("warm", time_warm), ("cold", time_cold)):
            times = timer(methods, budget)
            report.add("build", "build", n, None, times, timing)
            shown = ", ".join(f"{name} {si(t)} = {t / times['v.max()']:.2f}x" for name, t in times.items())
            print(f"n={n:<9} {timing}: {shown}", flush=True)
    report.title("memory over the values")
    for n in (10**4, 10**6, 10**7):
        values = np.zeros(n, dtype=np.float32)
        overhead = ThresholdTree(values).nbytes / values.nbytes - 1
        report.rows.append(("memory", "overhead", n, None, "tree", "share", overhead, 1.0))
        print(f"n={n:<9} {100 * overhead:.2f}%", flush=True)


def others(report, args, rng):
    budget = 0.1 if args.quick else 0.3
    report.title("query: a binary max-tree in C")
    n = 10**6
    values = rng.standard_normal(n, dtype=np.float32)
    ordered, tree, binary = np.sort(values), ThresholdTree(values), BinaryTree(values)
    for p in (1e-4, 5e-3, 1e-2, 0.5):
        t = threshold_for(ordered, p)
        check(tree.query(t), binary.query(t), "binary tree")
        methods = {"tree": lambda t=t: tree.query(t), "binary": lambda t=t: binary.query(t)}
        report.compare("binary", "binary tree in C", n, p, methods, budget)

    report.title("topk(k): numpy.argpartition, then a sort of the k")
    for k in (1, 10, 100, 1000):

        def by_partition(k=k):
            best = np.argpartition(values, n - k)[n - k :]
            return best[np.argsort(-values[best], kind="stable")]

        check(values[by_partition()], values[tree.topk(k)], "topk")
        methods = {"tree": lambda k=k: tree.topk(k), "argpartition": by_partition}
        report.compare("topk", f"topk({k})", n, None, methods, budget)

    n = 10**5
    values = rng.standard_normal(n, dtype=np.float32)
    ordered, tree = np.sort(values), ThresholdTree(values)
    new_values = rng.standard_normal(5000, dtype=np.float32).tolist()
    changes = list(zip(rng.integers(0, n, 5000).tolist(), new_values, strict=True))

    def all_changes(update):
        def run():
            for i, x in changes:
                update(i, x)

        return run

    report.title("a heapq with lazy deletion: drain all above t (pop_above), and 5,000 single updates")
    for p in (1e-3, 1e-2, 0.1):
        t, fresh = threshold_for(ordered, p), LazyHeap(values)
        check(sorted(LazyHeap(values).drain(t)), ThresholdTree(values).pop_above(t)[0], "drain")
        found = {"tree": [], "heapq": []}
        for _ in range(3 if args.quick else 9):  # draining empties: from a fresh copy each time, and that is not timed
            heap, full = LazyHeap.__new__(LazyHeap), tree.copy()
            heap.heap, heap.values = fresh.heap.copy(), fresh.values.copy()
            found["heapq"].append(seconds(lambda heap=heap, t=t: heap.drain(t)))
            found["tree"].append(seconds(lambda full=full, t=t: full.pop_above(t)))
        times = {name: statistics.median(each) for name, each in found.items()}
        report.add("heapq", "drain", n, p, times, "cold")
        ratio = times["heapq"] / times["tree"]
        print(f"drain n={n} p={p:g}: tree {si(times['tree'])}, heapq {si(times['heapq'])} = {ratio:.3g}x", flush=True)
    heap, changing = LazyHeap(values), tree.copy()
    methods = {"tree": all_changes(changing.update), "heapq": all_changes(heap.update)}
    report.compare("heapq", "5000 updates", n, None, methods, budget / 2, timings=("warm",))

    report.title("sortedcontainers.SortedList of (value, index): query by irange, update by remove and add")
    try:
        from sortedcontainers import SortedList
    except ImportError:
        print("not installed: left out")
    else:
        held, entries = values.tolist(), SortedList(zip(values.tolist(), range(n), strict=True))

        def by_range(t):
            return np.sort(np.fromiter((i for _, i in entries.irange((t, n), None, (False, True))), dtype=np.int64))

        def replace(i, x):
            entries.remove((held[i], i))
            held[i] = x
            entries.add((x, i))

        for p in (1e-3, 1e-2, 0.1):
            t = threshold_for(ordered, p)
            check(tree.query(t), by_range(t), "SortedList")
            methods = {"tree": lambda t=t: tree.query(t), "SortedList": lambda t=t: by_range(t)}
            report.compare("sortedlist", "query", n, p, methods, budget)
        methods = {"tree": all_changes(changing.update), "SortedList": all_changes(replace)}
        report.compare("sortedlist", "5000 updates", n, None, methods, budget / 2, timings=("warm",))
        all_changes(tree.update)()
        check(tree.query(1.0), by_range(1.0), "SortedList after updates")

    report.title("cpprb.PrioritizedReplayBuffer.update_priorities (a sum and a minimum tree; no threshold query)")
    try:
        from cpprb import PrioritizedReplayBuffer
    except ImportError:
        print("not installed: left out")
        return
    buffer = PrioritizedReplayBuffer(n, {"reward": {}}, alpha=1.0)
    buffer.add(reward=np.zeros(n), priorities=np.ones(n))
    for k in (100, 10**4):
        batches = [(rng.integers(0, n, k), rng.random(k, dtype=np.float32)) for _ in range(16)]
        targets = {"tree": tree.update_many, "cpprb": buffer.update_priorities}
        methods = {name: through(batches, write) for name, write in targets.items()}
        report.compare("cpprb", f"batch {k}", n, None, methods, budget)


def bars(report):
    """The table of what was asked for and what was found."""
    report.title("what is asked for")
    lines = []

    def judge(warm, cold):
        if warm and cold:
            return "met"
        return "met warm only" if warm else "met cold only" if cold else "MISSED"

    def least(name, bar, warm, cold):
        if warm is not None:
            lines.append((name, f">= {bar:g}x", f"{warm:.3g}x", f"{cold:.3g}x", judge(warm >= bar, cold >= bar)))

    def most(name, bar, unit, warm, cold=None):
        verdict = judge(warm <= bar, (warm if cold is None else cold) <= bar)
        shown = "" if cold is None else f"{cold:.3g}{unit}"
        lines.append((name, f"<= {bar:g}{unit}", f"{warm:.3g}{unit}", shown, verdict))

    def value(section, case, n, method, timing):
        return next((r[6] for r in report.rows if r[:3] == (section, case, n) and r[4:6] == (method, timing)), None)

    for n, p, bar in QUERY_BARS:
        ratios = [report.ratio("query", "normal", n, p, "numpy", timing) for timing in ("warm", "cold")]
        least(f"query, n={n}, p={p:g}", bar, *ratios)
    every = [row for row in report.rows if row[0] == "query" and row[4] == "numpy"]
    worst = {timing: min((r for r in every if r[5] == timing), key=lambda r: r[7]) for timing in ("warm", "cold")}
    least("query, every case, the worst", 0.95, worst["warm"][7], worst["cold"][7])
    for timing, row in worst.items():
        below = [f"{r[1]} n={r[2]} p={r[3]:g}: {r[7]:.2f}x" for r in every if r[5] == timing and r[7] < 0.95]
        case = f"{row[1]} n={row[2]} p={row[3]:g}: {row[7]:.2f}x"
        print(f"worst {timing}: {case}. Below 0.95x: {'; '.join(below) or 'none'}")

    def per_call(section, case, method, n=10**6):
        return [value(section, case, n, method, timing) for timing in ("warm", "cold")]

    most("update_many, 10^6 on 10^6", 6, " ns", *(1e9 * t for t in per_call("update_many", "batch 1000000", "tree")))
    for case in ("loop included", "loop subtracted"):
        most(f"tree[i] = x, {case}", 150, " ns", 1e9 * value("setitem", case, 10**6, "tree", "warm"))
    for n, (name, method, bar) in itertools.product(
        (10**6, 10**7), (("build", "tree", 3), ("refresh()", "refresh", 2))
    ):
        if value("build", "build", n, method, "warm") is not None:
            pairs = zip(per_call("build", "build", method, n), per_call("build", "build", "v.max()", n), strict=True)
            most(f"{name} against v.max(), n={n}", bar, "x", *(ours / theirs for ours, theirs in pairs))
    for row in report.rows:
        if row[0] == "memory":
            most(f"memory over the values, n={row[2]}", 7, "%", 100 * row[6])
    print(f"\n{'':<36} {'asked':>10} {'warm':>10} {'cold':>10}")
    for name, bar, warm, cold, verdict in lines:
        print(f"{name:<36} {bar:>10} {warm:>10} {cold:>10}  {verdict}")
        report.rows.append(("bars", name, None, None, bar, f"{warm} / {cold}", None, verdict))


# ---------------------------------------------------------------------- tuning

VARIANTS = {
    "one by one; scan": {"SL_REBUILD_SHARE": "1", "SL_TUNE_LIMIT": "0"},
    "rebuild; lists": {"SL_REBUILD_SHARE": "((int64_t)1 << 40)", "SL_TUNE_LIMIT": "257"},
} | {f"ahead {a}": {"SL_PREFETCH_AHEAD": str(a), "SL_TUNE_LIMIT": "128"} for a in (1, 4, 8, 16, 32, 64, 128)}

ENTRY_RULE = "k == 1 && stop - start > SL_CACHED_LEAVES ? 64 : 128"

BUILD_ONE = """
import json, os, numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
extension = Extension("sltrees._core._wide_tree", ["sltrees/_core/_wide_tree.pyx"],
                      include_dirs=[numpy.get_include(), "sltrees/_core"],
                      define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")]
                      + list(json.loads(os.environ["SLTREES_TUNE"]).items()),
                      extra_compile_args=["-O3", "-std=gnu11", "-Wno-unused-function"])
directives = dict(language_level=3, wraparound=False, cdivision=True, boundscheck=False, initializedcheck=False)
modules = cythonize([extension], compiler_directives=directives, force=True, build_dir="build")
setup(name="tune", packages=[], ext_modules=modules)
"""


def build_variant(directory, macros):
    """A copy of the package whose tree kernels are compiled with other constants."""
    shutil.copytree(Path(sltrees.__file__).parent, directory / "sltrees")
    walks = directory / "sltrees/_core/tree/walks.h"
    text = walks.read_text(encoding="utf-8")
    if text.count(ENTRY_RULE) != 1:
        raise RuntimeError(f"tree/walks.h no longer says {ENTRY_RULE!r}: bring this script up to date")
    walks.write_text(text.replace(ENTRY_RULE, "k == 1 ? SL_TUNE_LIMIT : 128"), encoding="utf-8")
    (directory / "build_one.py").write_text(BUILD_ONE, encoding="utf-8")
    for old in (directory / "sltrees/_core").glob("_wide_tree.*.so"):
        old.unlink()
    environment = os.environ | {"SLTREES_TUNE": json.dumps(macros)}
    command = [sys.executable, "build_one.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True)


def tune_child(quick):
    """Times of one variant, as JSON: {table: {case: seconds}}."""
    rng = np.random.default_rng(0)
    budget = 0.05 if quick else 0.15
    found = {"rebuild": {}, "ahead": {}, "entry": {}}
    for n in (10**6,) if quick else (10**5, 10**6, 10**7):
        values = rng.standard_normal(n, dtype=np.float32)
        tree, ordered = ThresholdTree(values), np.sort(values)
        for share in (512, 256, 128, 64, 32, 16, 8):
            k = n // share + 1
            batches = [(rng.integers(0, n, k), rng.standard_normal(k, dtype=np.float32)) for _ in range(8)]
            following = itertools.cycle(batches)
            once = time_warm({"x": lambda tree=tree, following=following: tree.update_many(*next(following))}, budget)
            found["rebuild"][f"n={n}, k=n/{share}"] = once["x"]
        tree = ThresholdTree(values)
        for p in (1e-3, 5e-3, 1e-2, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1):
            t = threshold_for(ordered, p)
            live = np.maximum.reduceat(values, np.arange(0, n, 16)) > t
            once = time_warm({"x": lambda tree=tree, t=t: tree.query(t)}, budget)
            if p > 1e-3:  # below, the level above the blocks is entered, and the choice does not arise
                found["entry"][f"n={n}, p={p:g}, {100 * live.mean():.0f}% of blocks live"] = once["x"]
            if p in (1e-3, 1e-2):
                found["ahead"][f"query, n={n}, p={p:g}"] = once["x"]
        batches = [(rng.integers(0, n, 1000), rng.standard_normal(1000, dtype=np.float32)) for _ in range(200)]
        following = itertools.cycle(batches)
        once = time_warm({"x": lambda tree=tree, following=following: tree.update_many(*next(following))}, budget)
        found["ahead"][f"update_many, n={n}, k=1000"] = once["x"]
    print(json.dumps(found))


def tune(quick):
    with tempfile.TemporaryDirectory() as scratch:
        directories = {name: Path(scratch) / str(j) for j, name in enumerate(VARIANTS)}
        print(f"building {len(VARIANTS)} variants", flush=True)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(build_variant, directories.values(), VARIANTS.values()))
        runs = {name: [] for name in VARIANTS}
        for _ in range(1 if quick else 3):
            for name, directory in directories.items():
                command = [sys.executable, str(HERE / "compare_trees.py"), "--tune-child"] + ["--quick"] * quick
                environment = os.environ | {"PYTHONPATH": str(directory)}
                child = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
                runs[name].append(json.loads(child.stdout))

    def table(key, names, heading):
        print(f"\n== {heading}\n{'':<42}" + "".join(f"{name:>12}" for _, name in names) + f"{'best':>12}")
        for case in runs[names[0][0]][0][key]:
            times = {label: statistics.median(run[key][case] for run in runs[name]) for name, label in names}
            print(f"{case:<42}" + "".join(f"{si(t):>12}" for t in times.values()) + f"{min(times, key=times.get):>12}")

    first, second = list(VARIANTS)[:2]
    heading = "SL_REBUILD_SHARE: a batch of k updates (in use: n/64)"
    table("rebuild", [(first, "one by one"), (second, "rebuild")], heading)
    heading = "entry level: scan, or lists of live blocks (in use: lists below 50% live, 25% beyond 2^22 values)"
    table("entry", [(first, "scan"), (second, "lists")], heading)
    table("ahead", [(name, name) for name in list(VARIANTS)[2:]], "SL_PREFETCH_AHEAD (in use: 32)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer cases and shorter runs: within 40 seconds")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "trees.csv", help="the table, as CSV")
    parser.add_argument("--tune", action="store_true", help="print the tables behind the constants instead")
    parser.add_argument("--tune-child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.tune_child:
        return tune_child(args.quick)
    if args.tune:
        return tune(args.quick)
    begin = time.perf_counter()
    sltrees.show_versions()
    report, rng = Report(), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        BinaryTree.compile(scratch)
    for section in (queries, updates, builds, others):
        section(report, args, rng)
    bars(report)
    report.write(args.out)
    print(f"{time.perf_counter() - begin:.0f} seconds")
    return None


if __name__ == "__main__":
    main()
