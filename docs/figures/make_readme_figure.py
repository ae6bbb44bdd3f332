"""The figures of README.md and of the page on threshold trees, as SVG files beside this script, from its CSV files.

pip install -e ".[plot]" && python docs/figures/make_readme_figure.py

They are white cards with dark text, so that they read the same where pages are dark.
"""

import csv
import math
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
import numpy as np

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parents[1]))  # for modules of the benchmarks
from asv_benchmarks.experiment.cases import LOOSE  # noqa: E402 - the path comes first
from asv_benchmarks.experiment.plots import STYLES  # noqa: E402 - the path comes first
from asv_benchmarks.experiment.report import Results  # noqa: E402 - the path comes first

SHOWN = {
    "certified": "sltrees",
    "dense": "dense Gauss-Newton",
    "torch-lbfgs": "PyTorch L-BFGS",
    "torch-adam": "PyTorch Adam",
    "kernel-ridge": "kernel ridge",
}
STYLE = {"font.size": 9, "axes.titlesize": 10, "svg.fonttype": "none", "svg.hashsalt": "sltrees"}


def query_times():
    """Of each size and method: shares that pass, and seconds of a query, in turns."""
    times = {}
    with (FOLDER / "query_curve.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["timing"] == "cold":
                curve = times.setdefault((int(row["n"]), row["method"]), [])
                curve.append((float(row["share"]), float(row["seconds"])))
    return times


def draw_query(axes):
    """A query of the tree beside a scan."""
    times = {method: curve for (n, method), curve in query_times().items() if n == 10**6}
    for method, title, name in (("numpy", "NumPy scan", "dense"), ("sltrees", "sltrees", "certified")):
        colour, marker = STYLES[name]
        axes.loglog(*zip(*times[method], strict=True), marker=marker, color=colour, label=title, markersize=4)
    axes.set(title="Which of 10^6 values are above t?", xlabel="share of the values above t", ylabel="seconds a query")
    axes.legend(frameon=False, loc="lower right")


def draw_queries(seconds, ratios):
    """Queries of all sizes beside scans, and how many times as fast they are."""
    times = query_times()
    sizes = sorted({n for n, _ in times})
    for n, colour in zip(sizes, mpl.colormaps["viridis"](np.linspace(0, 0.85, len(sizes))), strict=True):
        label = f"10^{round(math.log10(n))} values"
        tree, scan = times[n, "sltrees"], times[n, "numpy"]
        seconds.loglog(*zip(*tree, strict=True), marker="o", color=colour, markersize=4)
        seconds.loglog(*zip(*scan, strict=True), linestyle="--", color=colour)
        faster = [(share, other / ours) for (share, ours), (_, other) in zip(tree, scan, strict=True)]
        ratios.loglog(*zip(*faster, strict=True), marker="o", color=colour, label=label, markersize=4)
    ratios.axhline(1.0, color="0.4", linewidth=1)
    seconds.set(title="A query (dashed: NumPy's scan)", xlabel="share of the values above t", ylabel="seconds")
    ratios.set(title="Times as fast as the scan", xlabel="share of the values above t", ylabel="ratio")
    ratios.legend(frameon=False, fontsize=8, loc="upper right")


def draw_training(axes, results, name, title, label):
    """Seconds to the loose RMSE of some contenders by what a sweep varies."""
    cells = results.by_value(name)
    for contender, called in SHOWN.items():
        points = [(value, cell.median("to_loose")) for (other, value), cell in cells.items() if other == contender]
        points = [point for point in points if not math.isnan(point[1])]
        colour, marker = STYLES[contender]
        axes.loglog(*zip(*points, strict=True), marker=marker, color=colour, label=called, markersize=4)
    axes.set(title=title, xlabel=label, ylabel=f"seconds to RMSE {LOOSE:g}")


def save(figure, name):
    """Write an SVG that does not depend on the day."""
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(FOLDER / name, metadata={"Date": None})


def main():
    """Draw them, the same for the same files."""
    results = Results(FOLDER)
    with mpl.rc_context(STYLE):
        figure, (query, width, samples) = plt.subplots(1, 3, figsize=(10.5, 3.7), layout="constrained")
        draw_query(query)
        draw_training(width, results, "width", "Training 1,000 digits", "neurons")
        draw_training(samples, results, "samples", "Training 16,384 neurons", "samples")
        figure.legend(*width.get_legend_handles_labels(), loc="outside lower right", ncols=len(SHOWN), frameon=False)
        save(figure, "readme.svg")
        figure, (seconds, ratios) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
        draw_queries(seconds, ratios)
        save(figure, "query_curve.svg")


if __name__ == "__main__":
    main()
