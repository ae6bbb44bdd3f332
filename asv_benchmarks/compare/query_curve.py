"""Seconds of one query of 10^4 to 10^7 values by the share that passes: a threshold tree beside NumPy's scan.

    python asv_benchmarks/compare/query_curve.py [--out FILE.csv]

On one thread, in float32, from Python calls: figures of the README and of the page on threshold trees show it.
`compare/trees.py` has other structures, and says what "warm" and "cold" are.
"""

import argparse
import csv
import functools
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
from asv_benchmarks.compare.parts.tree_timing import check, make_values, threshold_for, time_cold, time_warm
from sltrees import ThresholdTree

FILE = Path(__file__).resolve().parents[2] / "docs" / "figures" / "query_curve.csv"
SIZES = (10**4, 10**5, 10**6, 10**7)
SHARES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5)  # with at least one hit
BUDGET = 0.6  # seconds for each timing


def scan(values, threshold):
    """What one would write without the tree."""
    return np.flatnonzero(values > threshold)


def measure():
    """Rows: n, share, timing, method, seconds."""
    rows = []
    for size in SIZES:
        values = make_values("normal", size, np.random.default_rng(0))
        ordered, tree = np.sort(values), ThresholdTree(values)
        for share in SHARES:
            if share * size >= 1:
                rows += measure_share(values, ordered, tree, share)
    return rows


def measure_share(values, ordered, tree, share):
    """Rows of one size and share."""
    rows, threshold = [], threshold_for(ordered, share)
    check(scan(values, threshold), tree.query(threshold), "query")
    methods = {
        "sltrees": functools.partial(tree.query, threshold),
        "numpy": functools.partial(scan, values, threshold),
    }
    for timing, timer in (("warm", time_warm), ("cold", time_cold)):
        times = timer(methods, BUDGET)
        rows += [(len(values), share, timing, method, f"{seconds:.4g}") for method, seconds in times.items()]
        ratio = times["numpy"] / times["sltrees"]
        print(f"{len(values):,} values, {share:g}, {timing}: {ratio:.3g} times as fast", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FILE)
    args = parser.parse_args()
    rows = measure()
    with args.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("n", "share", "timing", "method", "seconds"), *rows])


if __name__ == "__main__":
    main()
