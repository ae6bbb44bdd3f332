"""Drawing a network: every neuron, or only those that fire. Times of both, side by side, and the exponent in the width.

    python asv_benchmarks/compare/setup.py [--widths 18 20 22 24 26] [--repeats 3] [--threads 2]

Each row is a width at shift "auto", on the digits (n = 1000, d = 64) without and with a bias (rows that are alike):
seconds of `initialize` by sampling, medians of interleaved runs, what "auto" chooses, and nanoseconds a neuron kept.
"plain" is rejection that draws every proposal whole, and asks no neighbours first.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from sltrees import ShiftedReLUNetwork, load_digits
from sltrees.network import sampling_rejection
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.sampling_rejection import cheaper_sampling
from sltrees.network.shift import resolve_shift
from sltrees.preprocessing import InputScaling

# log2 of the largest widths that are drawn at all
UP_TO = {"dense": 22, "plain": 26, "rejection": 40}


def digits(bias):
    """1000 digits, scaled."""
    X = load_digits()[0][:1000]
    return InputScaling(bias=bias).fit(X).transform(X)


def seconds_of(X, width, sampling, threads):
    """Seconds of one draw, and the network."""
    network = ShiftedReLUNetwork(width, sampling="dense" if sampling == "dense" else "rejection", random_state=0)
    neighbours = sampling_rejection.MAX_NEIGHBOURS
    try:
        if sampling == "plain":
            sampling_rejection.MAX_NEIGHBOURS = 0
        began = time.perf_counter()
        network.initialize(X, n_threads=threads)
        return time.perf_counter() - began, network
    finally:
        sampling_rejection.MAX_NEIGHBOURS = neighbours


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
        heads = f"{'dense s':>9} {'plain s':>9} {'rejection s':>12} {'auto':>10} {'neurons':>12} {'ns each':>8}"
        print(f"{'width':>6} {heads}")
        logs = []
        for exponent in options.widths:
            width = 2**exponent
            times = {sampling: [] for sampling in UP_TO}
            for _ in range(options.repeats):
                for sampling, seconds in times.items():
                    if exponent <= UP_TO[sampling]:
                        taken, network = seconds_of(X, width, sampling, options.threads)
                        seconds.append(taken)
            kept, ours = network.neurons_.size, statistics.median(times["rejection"])
            others = " ".join(
                f"{statistics.median(times[other]):9.3f}" if times[other] else f"{'-':>9}"
                for other in ("dense", "plain")
            )
            chosen = automatic(X, width)
            print(f"2^{exponent:<4} {others} {ours:12.3f} {chosen:>10} {kept:12,} {1e9 * ours / kept:8.0f}", flush=True)
            logs.append((np.log(width), np.log(ours)))
        if len(logs) > 1:
            print(f"exponent of rejection in the width: {np.polyfit(*zip(*logs, strict=True), 1)[0]:.2f}")


def automatic(X, width):
    """What sampling="auto" chooses."""
    return cheaper_sampling(width, 2, Hyperplanes(X.astype(np.float32), resolve_shift("auto", width, len(X))))


if __name__ == "__main__":
    main()
