"""Seconds of one query of a million values by the share that passes: a threshold tree beside NumPy's scan.

    python asv_benchmarks/compare/query_curve.py [--out FILE.csv]

On one thread, in float32, from Python calls: the figure of the README shows it. `compare/trees.py` has more sizes and
other structures, and says what "warm" and "cold" are.
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
SIZE = 10**6
SHARES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5)
BUDGET = 0.6  # seconds for each timing


def scan(values, threshold):
    """What one would write without the tree."""
    return np.flatnonzero(values > threshold)


def measure():
    """Rows: n, share, timing, method, seconds."""
    values = make_values("normal", SIZE, np.random.default_rng(0))
    ordered, tree = np.sort(values), ThresholdTree(values)
    rows = []
    for share in SHARES:
        threshold = threshold_for(ordered, share)
        check(scan(values, threshold), tree.query(threshold), "query")
        methods = {
            "sltrees": functools.partial(tree.query, threshold),
            "numpy": functools.partial(scan, values, threshold),
        }
        for timing, timer in (("warm", time_warm), ("cold", time_cold)):
            times = timer(methods, BUDGET)
            rows += [(SIZE, share, timing, method, f"{seconds:.4g}") for method, seconds in times.items()]
            print(f"{share:g} {timing}: {times['numpy'] / times['sltrees']:.3g} times as fast", flush=True)
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
