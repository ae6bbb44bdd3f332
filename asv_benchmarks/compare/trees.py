"""Threshold trees beside everything else one would use, from Python calls, on one thread, in float32.

    python asv_benchmarks/compare/trees.py [--quick] [--out FILE.csv] [--tune]

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

Compared are NumPy; a binary max-tree in C (parts/binary_tree.c, compiled on the fly, called by ctypes);
sortedcontainers.SortedList of (value, index); a heapq with lazy deletion; and cpprb's prioritised replay buffer, which
keeps a sum tree and a minimum tree of the priorities and has no threshold query, so only its updates are
compared. What is not installed is left out, and said so. scipy and scikit-learn have nothing that applies: their range
queries (scipy.spatial.KDTree, sklearn.neighbors.KDTree and BallTree) are built once and cannot change a
value, so that each update would cost a build.

--tune prints the tables from which constants of the kernels were taken: SL_REBUILD_SHARE, SL_PREFETCH_AHEAD and the
share of live blocks up to which a query walks lists instead of scanning the leaves. The constants are
compile-time, so copies of one extension module are built; it needs Cython and a compiler.
"""

import argparse
import functools
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
import sltrees
from asv_benchmarks.compare.parts.tree_rivals import BinaryTree, LazyHeap
from asv_benchmarks.compare.parts.tree_timing import (
    Report,
    check,
    make_values,
    seconds,
    si,
    threshold_for,
    through,
    time_cold,
    time_warm,
)
from asv_benchmarks.compare.parts.tree_tuning import tune, tune_child
from sltrees import ThresholdTree

RESULTS = Path(__file__).resolve().parents[1] / "results"
SIZES = (16, 64, 256, 1024, 4096, 16384, 65536, 10**5, 10**6, 10**7)
SHARES = (0, 1e-5, 1e-4, 1e-3, 5e-3, 1e-2, 0.05, 0.1, 0.2, 0.5, 0.9, 1)
# (number of values, selectivity, least ratio to a NumPy scan)
QUERY_BARS = (
    (10**6, 1e-4, 150),
    (10**6, 5e-3, 12),
    (10**6, 1e-2, 7),
    (10**7, 1e-5, 1000),
    (10**7, 1e-2, 4),
    (10**7, 0.5, 2),
)

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


def assignments(report, args, rng):
    report.title("tree[indices] = x and tree[a:b] = x of 10^6 values, against update_many of the same indices")
    n, budget = 10**6, 0.2 if args.quick else 1.0
    tree = ThresholdTree(rng.standard_normal(n, dtype=np.float32))
    for k in (256, 4096):
        starts = rng.integers(0, n - k, 200)
        batches = [(rng.integers(0, n, k), rng.standard_normal(k, dtype=np.float32)) for _ in starts]
        runs = [(np.arange(start, start + k), x) for start, (_, x) in zip(starts.tolist(), batches, strict=True)]
        slices = [(slice(start, start + k), x) for start, (_, x) in zip(starts.tolist(), batches, strict=True)]
        for case, given in (("indices", batches), ("slice", slices)):
            methods = {
                "tree": through(given, tree.__setitem__),
                "update_many": through(batches if case == "indices" else runs, tree.update_many),
            }
            report.compare("assign", f"{case} {k}", n, None, methods, budget)

    report.title("single tree[i] = x of 10^4 values, which are in cache, from a Python loop")
    small = ThresholdTree(rng.standard_normal(10**4, dtype=np.float32))
    where, new = rng.integers(0, 10**4, 1000).tolist(), rng.standard_normal((2, 1000)).tolist()

    def write_all():
        for numbers in new:
            for i, x in zip(where, numbers, strict=True):
                small[i] = x

    times = time_warm({"tree": write_all}, budget)
    report.add("setitem", "in cache, loop included", 10**4, None, {"tree": times["tree"] / 2000}, "warm")
    print(f"tree {1e9 * times['tree'] / 2000:.1f} ns, loop included", flush=True)


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
    values = rng.standard_normal(10**6, dtype=np.float32)
    binary_tree(report, budget, values)
    largest(report, budget, values)

    n = 10**5
    values = rng.standard_normal(n, dtype=np.float32)
    new_values = rng.standard_normal(5000, dtype=np.float32).tolist()
    changes = list(zip(rng.integers(0, n, 5000).tolist(), new_values, strict=True))
    heap(report, budget, values, changes, repeats=3 if args.quick else 9)
    sorted_list(report, budget, values, changes)
    replay_buffer(report, budget, values, rng)


def binary_tree(report, budget, values):
    report.title("query: a binary max-tree in C")
    ordered, tree, binary = np.sort(values), ThresholdTree(values), BinaryTree(values)
    for p in (1e-4, 5e-3, 1e-2, 0.5):
        t = threshold_for(ordered, p)
        check(tree.query(t), binary.query(t), "binary tree")
        methods = {"tree": lambda t=t: tree.query(t), "binary": lambda t=t: binary.query(t)}
        report.compare("binary", "binary tree in C", values.size, p, methods, budget)


def largest(report, budget, values):
    report.title("topk(k): numpy.argpartition, then a sort of the k")
    n, tree = values.size, ThresholdTree(values)
    for k in (1, 10, 100, 1000):

        def by_partition(k=k):
            best = np.argpartition(values, n - k)[n - k :]
            return best[np.argsort(-values[best], kind="stable")]

        check(values[by_partition()], values[tree.topk(k)], "topk")
        methods = {"tree": lambda k=k: tree.topk(k), "argpartition": by_partition}
        report.compare("topk", f"topk({k})", n, None, methods, budget)


def making(changes, update):
    """A call that makes all changes, one by one."""

    def run():
        for i, x in changes:
            update(i, x)

    return run


def heap(report, budget, values, changes, repeats):
    report.title("a heapq with lazy deletion: drain all above t (pop_above), and 5,000 single updates")
    n, ordered, tree, fresh = values.size, np.sort(values), ThresholdTree(values), LazyHeap(values)
    for p in (1e-3, 1e-2, 0.1):
        t = threshold_for(ordered, p)
        check(sorted(LazyHeap(values).drain(t)), ThresholdTree(values).pop_above(t)[0], "drain")
        found = {"tree": [], "heapq": []}
        for _ in range(repeats):  # draining empties: from a fresh copy each time, and that is not timed
            heap, full = fresh.copy(), tree.copy()
            found["heapq"].append(seconds(lambda heap=heap, t=t: heap.drain(t)))
            found["tree"].append(seconds(lambda full=full, t=t: full.pop_above(t)))
        times = {name: statistics.median(each) for name, each in found.items()}
        report.add("heapq", "drain", n, p, times, "cold")
        ratio = times["heapq"] / times["tree"]
        print(f"drain n={n} p={p:g}: tree {si(times['tree'])}, heapq {si(times['heapq'])} = {ratio:.3g}x", flush=True)
    methods = {"tree": making(changes, tree.update), "heapq": making(changes, fresh.update)}
    report.compare("heapq", "5000 updates", n, None, methods, budget / 2, timings=("warm",))


def sorted_list(report, budget, values, changes):
    report.title("sortedcontainers.SortedList of (value, index): query by irange, update by remove and add")
    try:
        from sortedcontainers import SortedList
    except ImportError:
        print("not installed: left out")
        return
    n, ordered, tree = values.size, np.sort(values), ThresholdTree(values)
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
    methods = {"tree": making(changes, tree.update), "SortedList": making(changes, replace)}
    report.compare("sortedlist", "5000 updates", n, None, methods, budget / 2, timings=("warm",))
    check(tree.query(1.0), by_range(1.0), "SortedList after updates")


def replay_buffer(report, budget, values, rng):
    report.title("cpprb.PrioritizedReplayBuffer.update_priorities (a sum and a minimum tree; no threshold query)")
    try:
        from cpprb import PrioritizedReplayBuffer
    except ImportError:
        print("not installed: left out")
        return
    n, tree = values.size, ThresholdTree(values)
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
    case = "in cache, loop included"
    most(f"tree[i] = x, {case}", 100, " ns", 1e9 * value("setitem", case, 10**4, "tree", "warm"))
    for case in ("indices 256", "indices 4096", "slice 256", "slice 4096"):
        pairs = zip(per_call("assign", case, "tree"), per_call("assign", case, "update_many"), strict=True)
        most(f"assignment, {case}, to update_many", 1.2, "x", *(ours / theirs for ours, theirs in pairs))
    for n, (name, method, bar) in itertools.product(
        (10**6, 10**7), (("build, copy=False", "tree, borrowing", 3), ("refresh()", "refresh", 2))
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer cases and shorter runs: within 40 seconds")
    parser.add_argument("--out", type=Path, default=RESULTS / "trees.csv", help="the table, as CSV")
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
    for section in (queries, updates, assignments, builds, others):
        section(report, args, rng)
    bars(report)
    report.write(args.out)
    print(f"{time.perf_counter() - begin:.0f} seconds")
    return None


if __name__ == "__main__":
    main()
