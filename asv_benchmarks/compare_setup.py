"""Drawing a network: every neuron, or only those that fire. Times of both, side by side, and the exponent in the width.

    python asv_benchmarks/compare_setup.py [--widths 18 20 22 24 26] [--repeats 3] [--threads 2]

Each row is a width at shift "auto", on the digits (n = 1000, d = 64) without and with a bias (rows that are alike):
seconds of `initialize` by sampling, medians of interleaved runs, what "auto" chooses, and nanoseconds a neuron kept.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from sltrees import ShiftedReLUNetwork, load_digits
from sltrees.hyperplanes import Hyperplanes
from sltrees.preprocessing import InputScaling
from sltrees.sampling_rejection import cheaper_sampling
from sltrees.shift import resolve_shift

DENSE_UP_TO = 22  # log2 of the largest width that is drawn densely


def digits(bias):
    """1000 digits, scaled."""
    X = load_digits()[0][:1000]
    return InputScaling(bias=bias).fit(X).transform(X)


def seconds_of(X, width, sampling, threads):
    """Seconds of one draw, and the network."""
    network = ShiftedReLUNetwork(width, sampling=sampling, random_state=0)
    began = time.perf_counter()
    network.initialize(X, n_threads=threads)
    return time.perf_counter() - began, network


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[18, 20, 21, 22, 24, 26], help="log2 of the widths")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    for bias in (0.0, 1.0):
        X = digits(bias)
        print(f"\nbias {bias:g}")
        print(f"{'width':>6} {'dense s':>9} {'rejection s':>12} {'auto':>10} {'neurons':>12} {'ns each':>8}")
        logs = []
        for exponent in options.widths:
            width = 2**exponent
            times = {"dense": [], "rejection": []}
            for _ in range(options.repeats):
                for sampling, seconds in times.items():
                    if sampling == "rejection" or exponent <= DENSE_UP_TO:
                        taken, network = seconds_of(X, width, sampling, options.threads)
                        seconds.append(taken)
            kept, ours = network.neurons_.size, statistics.median(times["rejection"])
            dense = f"{statistics.median(times['dense']):9.3f}" if times["dense"] else f"{'-':>9}"
            chosen = automatic(X, width)
            print(f"2^{exponent:<4} {dense} {ours:12.3f} {chosen:>10} {kept:12,} {1e9 * ours / kept:8.0f}", flush=True)
            logs.append((np.log(width), np.log(ours)))
        if len(logs) > 1:
            print(f"exponent of rejection in the width: {np.polyfit(*zip(*logs, strict=True), 1)[0]:.2f}")


def automatic(X, width):
    """What sampling="auto" chooses."""
    return cheaper_sampling(width, 2, Hyperplanes(X.astype(np.float32), resolve_shift("auto", width, len(X))))


if __name__ == "__main__":
    main()
