"""The figure of the page on estimators, as an SVG file beside this script, from estimators.csv.

pip install -e ".[plot,sklearn]" && python docs/figures/make_estimators_figure.py

It is a white card with dark text, so that it reads the same where pages are dark.
"""

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parents[1]))  # for modules of the benchmarks
from asv_benchmarks.compare.estimators import MODELS, OURS, Summary, read_csv  # noqa: E402 - the path comes first
from asv_benchmarks.experiment.plots import STYLES  # noqa: E402 - the path comes first

STYLE = {"font.size": 9, "axes.titlesize": 10, "svg.fonttype": "none", "svg.hashsalt": "sltrees"}
FOLDS = 5
NAMES = MODELS | {OURS: "sltrees", "boosting": "boosting", "forest": "forest", "kernel_ridge": "kernel ridge"}
SAME_COLOURS = {OURS: "certified", "kernel_ridge": "kernel-ridge"}  # as in the other figures; all others are one
OTHERS = STYLES["sgd"][0]


def draw(axes, summary, task):
    """Mean rank by mean seconds of a fold, of each model."""
    sets = summary.common(summary.of_task(task))
    points = sorted((summary.mean(model, sets, 1), summary.rank(model, sets), model) for model in summary.models)
    on_the_left = False
    for k, (seconds, rank, model) in enumerate(points):
        colour = STYLES[SAME_COLOURS[model]][0] if model in SAME_COLOURS else OTHERS
        axes.semilogx(seconds, rank, "o", color=colour)
        # names are on the right, but where another point is; of two that have one there, the first is on the left
        crowded = any(abs(other - rank) < 0.3 and later < 4 * seconds for later, other, _ in points[k + 1 :])
        on_the_left = crowded and not on_the_left
        place = {"xytext": (-6 if on_the_left else 6, 0), "ha": "right" if on_the_left else "left", "va": "center"}
        axes.annotate(NAMES[model], (seconds, rank), color=colour, textcoords="offset points", **place)
    axes.set(title=f"{task.capitalize()}: {len(sets)} sets", xlabel="mean seconds a fold, fit and predict")
    axes.set(ylabel=f"mean rank of {len(summary.models)} (1: always the best)")
    axes.set_xlim(1e-3, 100)
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def main():
    """Draw it, the same for the same file."""
    summary = Summary(read_csv(FOLDER / "estimators.csv"), FOLDS)
    with mpl.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.6), layout="constrained")
        draw(left, summary, "classification")
        draw(right, summary, "regression")
        figure.savefig(FOLDER / "estimators.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
