"""The figures of the page on many samples, as SVG files beside this script, from its CSV files.

pip install -e ".[plot]" && python docs/figures/make_many_samples_figures.py

They are white cards with dark text, so that they read the same where pages are dark.
"""

import csv
import statistics
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
import numpy as np

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parents[1]))  # for modules of the benchmarks
from asv_benchmarks.experiment.plots import STYLES  # noqa: E402 - the path comes first

STYLE = {"font.size": 9, "axes.titlesize": 10, "svg.fonttype": "none", "svg.hashsalt": "sltrees"}
MODELS = {"newton": "sltrees, kernel", "xrfm": "xRFM", "boosting": "gradient boosting", "mlp": "scikit-learn MLP"}
MODEL_STYLES = {"newton": "certified", "xrfm": "dense", "boosting": "kernel-ridge", "mlp": "torch-adam"}
LARGE = 10_000  # samples from which on there are blocks of centres
TRAINERS = {"newton": "sltrees, NewtonTrainer", "lbfgs": "PyTorch L-BFGS", "adam": "PyTorch Adam, best of four rates"}
TRAINER_STYLES = {"newton": "certified", "lbfgs": "torch-lbfgs", "adam": "torch-adam"}


def rows_of(name):
    """The rows of a CSV file beside this script."""
    with (FOLDER / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def draw_fits(axes, name):
    """Seconds of a fit by the number of samples, models side by side, on one set."""
    rows = [row for row in rows_of("many_samples.csv") if row["set"] == name and row["score"]]
    for model, title in MODELS.items():
        sizes = sorted({int(row["n"]) for row in rows if row["model"] == model})
        seconds = [
            statistics.median(float(row["seconds"]) for row in rows if (row["model"], int(row["n"])) == (model, n))
            for n in sizes
        ]
        colour, marker = STYLES[MODEL_STYLES[model]]
        if model == "newton":
            large = [k for k, n in enumerate(sizes) if n >= LARGE]
            slope = np.polyfit(np.log([sizes[k] for k in large]), np.log([seconds[k] for k in large]), 1)[0]
            title += f" (from 10,000 on: n^{slope:.2f})"
        axes.loglog(sizes, seconds, marker=marker, color=colour, label=title, markersize=4)
    axes.set(title=f"Learning {name.replace('_', ' ')}", xlabel="samples", ylabel="seconds of fit")
    axes.legend(frameon=False)


def best_rate(rows):
    """The rows of the rate of Adam that was lowest at the time when the first of them ended."""
    names = {row["contender"] for row in rows if row["contender"].startswith("adam")}
    of = {name: [row for row in rows if row["contender"] == name] for name in names}
    until = min(max(float(row["seconds"]) for row in points) for points in of.values())
    return of[
        min(names, key=lambda name: min(float(row["objective"]) for row in of[name] if float(row["seconds"]) <= until))
    ]


def draw_training(axes, alpha):
    """The objective by time, from the start, of what trains the same network."""
    rows = [row for row in rows_of("trainer_samples.csv") if float(row["alpha"]) == alpha]
    for name, title in TRAINERS.items():
        points = best_rate(rows) if name == "adam" else [row for row in rows if row["contender"] == name]
        best, shown = float("inf"), []
        for row in points:
            best = min(best, float(row["objective"]))
            shown.append((float(row["seconds"]), best))
        colour, marker = STYLES[TRAINER_STYLES[name]]
        axes.semilogy(*zip(*shown, strict=True), marker=marker, color=colour, label=title, markersize=3)
    axes.set(title="A network of 16,384 neurons, 10^5 samples", xlabel="seconds", ylabel="objective, least so far")
    axes.legend(frameon=False)


def main():
    """Draw them, the same for the same files."""
    with mpl.rc_context(STYLE):
        figure, (fits, training) = plt.subplots(1, 2, figsize=(9.0, 3.7), layout="constrained")
        draw_fits(fits, "friedman1")
        draw_training(training, 1e-2)
        for axes in (fits, training):
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(FOLDER / "many_samples.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
