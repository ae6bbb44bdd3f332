"""Plots of the experiment, as SVG files that are the same for the same CSV files."""

from __future__ import annotations

import math
import statistics

import numpy as np

from asv_benchmarks.experiment import exponents
from asv_benchmarks.experiment.cases import LOOSE
from asv_benchmarks.experiment.contenders import TITLES

# one to a method, the same in all figures (after Okabe and Ito, 2008); ours is the darkest
STYLES = {
    "certified": ("#0072B2", "o"),
    "trees": ("#E69F00", "s"),
    "dense": ("#D55E00", "D"),
    "bpsw": ("#009E73", "^"),
    "kernel-ridge": ("#000000", "v"),
    "torch-lbfgs": ("#CC79A7", "P"),
    "torch-adam": ("#882255", "*"),
    "sklearn-lbfgs": ("#999933", "X"),
    "sklearn-adam": ("#AA4499", "<"),
    "gradient-descent": ("#56B4E9", ">"),
    "sgd": ("#666666", "d"),
}


def power(width):
    k = width.bit_length() - 1
    return f"2^{k}" if width == 2**k else str(width)


def draw_all(results, directory):
    """Draw what there are rows for; returns the paths written. ImportError names matplotlib where it is missing."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install -e ".[plot]"') from error
    from matplotlib.figure import Figure

    written = []
    figures = {"exponents": _exponents(results, Figure)}
    for name in results.sweeps:
        figures[name] = _table(results, Figure) if name == "table" else _times(results, name, Figure)
    for name, figure in figures.items():
        if figure is not None:
            path = directory / f"experiment_{name}.svg"
            # else files would differ from run to run
            with matplotlib.rc_context({"svg.hashsalt": "sltrees", "svg.fonttype": "none"}):
                figure.savefig(path, format="svg", metadata={"Date": None})
            written.append(path)
    return written


def _exponents(results, figure_class):
    """Seconds of a run and of an iteration by width, with the lines fitted; a column for each shift."""
    pairs = exponents.pairs(exponents.fits(results.width_rows()))
    if not pairs:
        return None
    shifts, whats = list(dict.fromkeys(fit.shift for _, fit in pairs)), ("whole run", "iteration")
    figure = figure_class(figsize=(5.5 * len(shifts), 9.5), layout="constrained")
    grid = figure.subplots(len(whats), len(shifts), squeeze=False)
    for row, what in zip(grid, whats, strict=True):
        for axes, shift in zip(row, shifts, strict=True):
            for large, whole in pairs:
                if (whole.shift, whole.what) == (shift, what):
                    _fitted(axes, large, whole)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel("width (neurons)")
            axes.set_ylabel(f"seconds, {what}")
            axes.set_title(f"{what}, shift {shift}")
            axes.grid(alpha=0.3)
            title = f"solid: fitted from {power(exponents.LARGE)} on; dashed: at all widths"
            axes.legend(fontsize="small", title=title, title_fontsize="small", loc="upper left")
            axes.set_ylim(top=axes.get_ylim()[1] * 12)  # room for the legend
    return figure


def _fitted(axes, large, whole):
    """Points of a contender, and its two lines."""
    colour, marker = STYLES[whole.contender]
    axes.plot(whole.widths, whole.seconds, marker, color=colour)
    for fit, style in ((whole, "--"), (large, "-")):
        if fit is not None:
            ends, centre = np.array([fit.widths[0], fit.widths[-1]]), np.exp(np.mean(np.log(fit.widths)))
            level = np.exp(np.mean(np.log(fit.seconds)))  # the line goes through the mean of the points
            axes.plot(ends, level * (ends / centre) ** fit.exponent, style, color=colour, linewidth=1.2)
    slopes = (
        f"m^{whole.exponent:.2f} at all" if large is None else f"m^{large.exponent:.2f} (all: {whole.exponent:.2f})"
    )
    axes.plot(
        [], [], "--" if large is None else "-", marker=marker, color=colour, label=f"{TITLES[whole.contender]} {slopes}"
    )


def _times(results, name, figure_class):
    """Seconds to the loose RMSE by what the sweep varies; kernel ridge, which knows no width, is level there."""
    sweep, cells = results.sweeps[name], results.by_value(name)
    if not cells:
        return None
    figure = figure_class(figsize=(7.0, 5.6), layout="constrained")
    axes = figure.subplots()
    values = list(dict.fromkeys(value for _, value in cells))
    numeric = all(isinstance(value, int) for value in values)
    for contender, title in TITLES.items():
        found = [
            (value if numeric else values.index(value), cells[contender, value].median("to_loose"))
            for value in values
            if (contender, value) in cells
        ]
        found = [(value, time) for value, time in found if not math.isnan(time)]
        if not found:
            continue
        colour, marker = STYLES[contender]
        if contender == "kernel-ridge" and sweep.varies == "width":
            level = statistics.median(time for _, time in found)
            axes.axhline(level, linestyle="--", color=colour, label=f"{title} (dashed: it has no width)")
        else:
            axes.plot(*zip(*found, strict=True), marker=marker, color=colour, label=title)
    axes.set_yscale("log")
    if numeric:
        axes.set_xscale("log")
    else:
        axes.set_xticks(range(len(values)), values)
    axes.set_xlabel({"width": "width (neurons)", "n": "samples", "d": "features"}.get(sweep.varies, sweep.varies))
    axes.set_ylabel(f"seconds to RMSE {LOOSE:g}")
    axes.set_title(sweep.title)
    axes.grid(alpha=0.3)
    figure.legend(fontsize="small", loc="outside lower center", ncols=3, frameon=False)
    return figure


def _table(results, figure_class):
    """A point for each contender: its seconds to the loose RMSE, an arrow where the limit came first."""
    cells = [
        cell
        for cell in results.cells["table"].values()
        if not math.isnan(cell.median("to_loose")) or cell.status == "limit"
    ]
    if not cells:
        return None
    figure = figure_class(figsize=(8.0, 1.2 + 0.35 * len(cells)), layout="constrained")
    axes = figure.subplots()
    times = [(cell.median("to_loose"), cell) for cell in cells]
    times.sort(key=lambda pair: (math.isnan(pair[0]), pair[0]), reverse=True)
    for place, (time, cell) in enumerate(times):
        colour, marker = STYLES[cell.contender]
        if math.isnan(time):
            axes.plot(cell.limit, place, ">", markersize=9, markerfacecolor="none", color=colour)
        else:
            axes.plot([min(cell.values("to_loose")), max(cell.values("to_loose"))], [place] * 2, color=colour)
            axes.plot(time, place, marker, color=colour)
    axes.set_yticks(range(len(times)), [f"{TITLES[cell.contender]} {cell.setting}".strip() for _, cell in times])
    axes.set_xscale("log")
    axes.set_xlabel(f"seconds to RMSE {LOOSE:g}: median, and lines from least to most; empty: not within the limit")
    axes.grid(alpha=0.3)
    return figure
