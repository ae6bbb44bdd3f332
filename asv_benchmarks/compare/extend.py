"""Samples that join a network in training, beside training anew on all of them. Times side by side, in one process.

    python asv_benchmarks/compare/extend.py [--width 1048576] [--shift auto] [--repeats 3] [--threads 2]

On the digits: 900 are trained on, then 100 join in 4 batches of 25 (`NewtonTrainer.extend`), each time to the same
RMSE. Beside it, what somebody without `extend` does: train a fresh network on all samples there are after each batch.
Medians of interleaved runs, and the RMSE that both end at.
"""

from __future__ import annotations

import argparse
import statistics
import time

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.datasets.parity import digits_parity

SIZES = (925, 950, 975, 1000)


def run(X, y, width, shift, sampling, threads, tol):
    """Seconds of each extension and of each restart, and (rmse, rmse) at the end."""

    def trainer():
        network = ShiftedReLUNetwork(width, shift=shift, sampling=sampling, random_state=0)
        return NewtonTrainer(network, tol=tol, n_threads=threads)

    growing = trainer()
    growing.fit(X[:900], y[:900])
    extensions, restarts, ends = [], [], None
    for size in SIZES:
        began = time.perf_counter()
        extended = growing.extend(X[growing.n_samples_ : size], y[growing.n_samples_ : size])
        extensions.append(time.perf_counter() - began)
        began = time.perf_counter()
        anew = trainer().fit(X[:size], y[:size])
        restarts.append(time.perf_counter() - began)
        ends = (extended.rmse, anew.rmse)
    return extensions, restarts, ends


def main():
    """Print a table for both ways to draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=lambda text: int(float(text)), default=2**20)
    parser.add_argument("--shift", default="auto")
    parser.add_argument("--tol", type=float, default=1e-6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    X, y, _, _ = digits_parity()
    print(f"width {options.width:,}, shift {options.shift}; seconds for each batch of 25 samples that joins 900 others")
    for sampling in ("dense", "rejection"):
        runs = [
            run(X, y, options.width, options.shift, sampling, options.threads, options.tol)
            for _ in range(options.repeats)
        ]
        extend, restart = (
            [statistics.median(r[k][batch] for r in runs) for batch in range(len(SIZES))] for k in (0, 1)
        )
        print(f"{sampling:>10}  extend " + " ".join(f"{s:7.3f}" for s in extend) + f"   sum {sum(extend):7.3f}")
        print(f"{'':>10}  anew   " + " ".join(f"{s:7.3f}" for s in restart) + f"   sum {sum(restart):7.3f}")
        ratio = statistics.median(sum(r[0]) / sum(r[1]) for r in runs)
        print(f"{'':>10}  ratio {ratio:.2f}; RMSE at the end {runs[0][2][0]:.2e} extended, {runs[0][2][1]:.2e} anew")


if __name__ == "__main__":
    main()
