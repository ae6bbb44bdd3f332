"""A network beside the kernel that it tends to: test error and time, by samples and width.

    python asv_benchmarks/compare/network_and_kernel.py [--sets friedman1 six_factors diamonds] [--sizes 500 2000 8000]
        [--widths 1024 4096 16384 65536] [--limit 20] [--csv docs/figures/network_and_kernel.csv]
        [--docs docs/guide/when_not_to_use_this.md] [--figure docs/figures/network_and_kernel.svg] [--again]

Sets: those of `many_samples.py` by its rules: the first and the hardest of the synthetic ones, and of the real ones
with a number as response the one with the most rows. Rows are scaled by `InputScaling()`, targets are of mean 0 and
variance 1; the error is the RMSE on the first 2,000 test rows.

Models, each on one thread:

    network   `NewtonTrainer`, shift 1, a ridge, 20 steps at most
    kernel    ridge regression with `shifted_ntk` for shift 1, by one Cholesky factor: the same at infinite width
    learned   `NewtonRegressor("kernel")` at its defaults: the kernel with scales of features that are learned

The ridges of network and kernel, relative to the mean diagonal of their Gram matrices, are chosen by one rule: the
best of four on the last fifth of the first 1,000 training rows, learned from the others, and kept for all rows. (A
network of more than 4,096 neurons takes that of 4,096.) Choosing is not in the times.

Times are seconds of processor time, so that others at work on the machine do not count. Test errors are looked at after
each step, with the clock stopped: `to_kernel` is when the network first was as good as the kernel in the end. A network
is stopped after the first step beyond --limit seconds (the row says "stopped"), and widths are left out at which its
near lists would have more than --pairs entries. Each finished run is a row of the CSV at once.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.linalg  # here: only BLAS that is loaded is held to one thread

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
from asv_benchmarks.compare.many_samples import REAL, SYNTHETIC, samples
from asv_benchmarks.compare.parts.pages import rewrite, table

ROOT = Path(__file__).resolve().parents[2]
SETS = ("friedman1", "six_factors", "diamonds")
SIZES, WIDTHS = (500, 2000, 8000), (2**10, 2**12, 2**14, 2**16)
ALPHAS = (1e-3, 1e-2, 1e-1, 1.0)
N_CHOOSING, WIDTH_CHOOSING = 1000, 2**12
N_TEST, MAX_ITER, SHIFT = 2000, 20, 1.0
MAX_GRAM = 4000  # samples up to which G is an array
FIELDS = (
    "set",
    "n",
    "model",
    "width",
    "alpha",
    "test_rmse",
    "best_rmse",
    "seconds",
    "to_kernel",
    "move_rms",
    "flipped",
)
FIELDS += ("note",)


def problem(name, n):
    """Training and test samples, scaled: n rows, and 2,000."""
    from sltrees.preprocessing import InputScaling

    X, y, X_test, y_test = samples(name, n)
    scaling, y = InputScaling().fit(X), y.astype(np.float64)
    mean, spread = y.mean(), y.std()
    test = scaling.transform(X_test[:N_TEST]), (y_test[:N_TEST] - mean) / spread
    return scaling.transform(X), (y - mean) / spread, *test


def rmse(found, y):
    return float(np.sqrt(np.mean(np.square(found - y))))


# ---------------------------------------------------------------------- models


def by_kernel(X, y, X_test, alpha):
    """Outputs on test samples."""
    from sltrees import shifted_ntk

    K = shifted_ntk(X, shift=SHIFT)
    K[np.diag_indices_from(K)] += alpha * K.trace() / len(K)
    dual = scipy.linalg.cho_solve(scipy.linalg.cho_factor(K, overwrite_a=True), y)
    return shifted_ntk(X_test, X, shift=SHIFT) @ dual


def train(X, y, X_test, y_test, width, alpha, limit=float("inf")):
    """A network: its result, and (seconds, test RMSE) after each step."""
    from sltrees import NewtonTrainer, ShiftedReLUNetwork
    from sltrees.callbacks import Callback

    class Look(Callback):
        def __init__(self):
            self.points, self.lost = [], time.process_time()

        def on_iteration(self, trainer, record):
            seconds = time.process_time() - self.lost
            error = rmse(trainer.network.predict(X_test, n_threads=1), y_test)
            self.lost = time.process_time() - seconds
            self.points.append((seconds, error))
            return seconds > limit

    look, network = Look(), ShiftedReLUNetwork(width, shift=SHIFT, random_state=0)
    max_gram = MAX_GRAM if len(X) > MAX_GRAM else None
    options = {"tol": 1e-3, "max_iter": MAX_ITER, "n_threads": 1, "max_gram": max_gram, "callbacks": [look]}
    return NewtonTrainer(network, alpha=alpha, forcing="auto", **options).fit(X, y), look.points


class Ridges:
    """The ridge of each model, chosen inside the training samples of a set."""

    def __init__(self, X, y):
        n = min(len(X), N_CHOOSING)
        cut = n - n // 5
        self._parts = X[:cut], y[:cut], X[cut:n], y[cut:n]
        self._known = {}

    def choose(self, width):
        """That of a network, or for width None of the kernel."""
        width = width and min(width, WIDTH_CHOOSING)
        if width not in self._known:
            self._known[width] = min(ALPHAS, key=lambda alpha: self._error(width, alpha))
        return self._known[width]

    def _error(self, width, alpha):
        X, y, X_test, y_test = self._parts
        if width is None:
            return rmse(by_kernel(X, y, X_test, alpha), y_test)
        return train(*self._parts, width, alpha)[1][-1][1]


def of_kernel(parts, ridges):
    """A row."""
    X, y, X_test, y_test = parts
    alpha = ridges.choose(None)
    began = time.process_time()
    found = by_kernel(X, y, X_test, alpha)
    seconds = time.process_time() - began
    return {"alpha": alpha, "test_rmse": rmse(found, y_test), "seconds": seconds}


def of_learned(name, n):
    """A row, from features as they are."""
    from sltrees.estimators import NewtonRegressor

    X, y, X_test, y_test = samples(name, n)
    y, y_test = y.astype(np.float64), y_test.astype(np.float64)
    began = time.process_time()
    model = NewtonRegressor("kernel", random_state=0, n_jobs=1).fit(X, y)
    seconds = time.process_time() - began
    return {"test_rmse": rmse(model.predict(X_test[:N_TEST]), y_test[:N_TEST]) / y.std(), "seconds": seconds}


def of_network(parts, ridges, width, limit, kernel_rmse):
    """A row."""
    alpha = ridges.choose(width)
    result, points = train(*parts, width, alpha, limit)
    lazy = result.laziness
    return {
        "width": width,
        "alpha": alpha,
        "test_rmse": points[-1][1],
        "best_rmse": min(error for _, error in points),
        "seconds": points[-1][0],
        "to_kernel": next((seconds for seconds, error in points if error <= kernel_rmse), ""),
        "move_rms": lazy.move_rms,
        "flipped": lazy.ceased + lazy.begun,
        "note": "stopped" if result.status == "stopped" else "",
    }


# ---------------------------------------------------------------------- what is shown


def cell(row):
    """Test RMSE and seconds, and those until a network was as good as its kernel."""
    to_kernel = f", {float(row['to_kernel']):.2g}" if row["to_kernel"] else ""
    return f"{float(row['test_rmse']):.3f} ({float(row['seconds']):.2g}{'+' if row['note'] else ''}{to_kernel})"


def summary(rows):
    """A Markdown table: a line for each set and size; errors and seconds of the kernel, and of each width."""
    widths = sorted({int(row["width"]) for row in rows if row["width"]})
    body = []
    for name, n in dict.fromkeys((row["set"], int(row["n"])) for row in rows):
        of_case = [row for row in rows if (row["set"], int(row["n"])) == (name, n)]
        by_model = {row["width"] or row["model"]: row for row in of_case}
        line = [f"{name}, {n:,}"]
        for key in ("learned", "kernel", *map(str, widths)):
            row = by_model.get(key)
            line.append("-" if row is None else cell(row))
        body.append(line)
    return table(["set, samples", "learned scales", "kernel", *(f"m = {m:,}" for m in widths)], body)


def draw(rows, path):
    """Test RMSE of networks over that of their kernel, by width: a panel for each set, a line for each size."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["set"] for row in rows))
    with mpl.rc_context({"font.size": 9, "axes.titlesize": 10, "svg.fonttype": "none", "svg.hashsalt": "sltrees"}):
        figure, panels = plt.subplots(1, len(names), figsize=(3.5 * len(names), 3.2), layout="constrained", sharey=True)
        for axes, name in zip(np.atleast_1d(panels), names, strict=True):
            of_set = [row for row in rows if row["set"] == name]
            for n, marker in zip(dict.fromkeys(row["n"] for row in of_set), "os^Dv", strict=False):
                kernel = next(float(row["test_rmse"]) for row in of_set if row["n"] == n and row["model"] == "kernel")
                networks = [row for row in of_set if row["n"] == n and row["model"] == "network"]
                points = [(int(row["width"]), float(row["test_rmse"]) / kernel) for row in networks]
                axes.plot(*zip(*points, strict=True), marker=marker, markersize=4, label=f"n = {int(n):,}")
            axes.axhline(1.0, color="0.4", linewidth=1, linestyle="--")
            axes.set(title=name, xlabel="neurons", xscale="log")
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        np.atleast_1d(panels)[0].set_ylabel("test RMSE, network / kernel")
        np.atleast_1d(panels)[-1].legend(frameon=False)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def measure(options, rows, note):
    """Run what is missing; `note` is given each row."""
    known = {(row["set"], row["n"], row["model"], row["width"]) for row in rows}
    for n in options.sizes:
        for name in options.sets:
            parts = problem(name, n)
            ridges = Ridges(*parts[:2])
            if (name, str(n), "kernel", "") not in known:
                note(name, n, "kernel", of_kernel(parts, ridges))
            if (name, str(n), "learned", "") not in known:
                note(name, n, "learned", of_learned(name, n))
            kernel_rmse = next(
                float(row["test_rmse"])
                for row in rows
                if (row["set"], row["n"], row["model"]) == (name, str(n), "kernel")
            )
            for width in options.widths:
                if (name, str(n), "network", str(width)) in known or n * width > options.pairs:
                    continue
                note(name, n, "network", of_network(parts, ridges, width, options.limit, kernel_rmse))


def main():
    """Run what is missing, and write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=(*SYNTHETIC, *REAL), default=SETS)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--widths", nargs="+", type=int, default=WIDTHS)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds of processor time for a network")
    parser.add_argument("--pairs", type=float, default=2e8, help="neurons times samples at most")
    parser.add_argument("--csv", type=Path, default=ROOT / "docs/figures/network_and_kernel.csv")
    parser.add_argument("--docs", type=Path, help="a page to put the table into")
    parser.add_argument("--figure", type=Path, help="an SVG file to draw the errors to")
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    from threadpoolctl import threadpool_limits

    warnings.simplefilter("ignore")
    rows = []
    if options.csv.exists() and not options.again:
        with options.csv.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))

    def note(name, n, model, row):
        row = {"set": name, "n": n, "model": model} | row
        rows.append(
            {
                key: f"{row.get(key, ''):.4g}" if isinstance(row.get(key), float) else str(row.get(key, ""))
                for key in FIELDS
            }
        )
        print(rows[-1], flush=True)
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    with threadpool_limits(1):  # threads of BLAS that wait would count as working
        measure(options, rows, note)
    print(summary(rows))
    if options.docs:
        rewrite(options.docs, summary(rows), "network and kernel")
    if options.figure:
        draw(rows, options.figure)


if __name__ == "__main__":
    main()
