"""Plots of the experiment, as SVG files that are the same for the same CSV files."""

from __future__ import annotations

import math
import statistics

from asv_benchmarks.experiment import exponents
from asv_benchmarks.experiment.cases import LOOSE
from asv_benchmarks.experiment.contenders import TITLES
from sltrees.plotting import COLOURS, plot_scaling

MARKERS = "osD^vP*X<>d"


def power(width):
    k = width.bit_length() - 1
    return f"2^{k}" if width == 2**k else str(width)


def draw_all(results, directory):
    """Draw what there are rows for; returns the paths written. ImportError names matplotlib where it is missing."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "sltrees[plot]"') from error
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
    """Seconds of an iteration by width, with fitted lines, a panel for each shift."""
    fits = [fit for fit in exponents.fits(results.width_rows()) if fit.what == "everything"]
    if not fits:
        return None
    shifts = list(dict.fromkeys(fit.shift for fit in fits))
    figure = figure_class(figsize=(6.0 * len(shifts), 5.0), layout="constrained")
    for axes, shift in zip(figure.subplots(1, len(shifts), squeeze=False)[0], shifts, strict=True):
        for fit in fits:
            if fit.shift == shift:
                plot_scaling(fit.widths, fit.seconds, axes, label=TITLES[fit.contender])
        axes.set_title(f"shift {shift}: seconds of an iteration")
        axes.legend(fontsize="small")
    return figure


def _times(results, name, figure_class):
    """Seconds to the loose RMSE by what the sweep varies; kernel ridge, which knows no width, is level there."""
    sweep, cells = results.sweeps[name], results.by_value(name)
    if not cells:
        return None
    figure = figure_class(figsize=(7.0, 5.0), layout="constrained")
    axes = figure.subplots()
    values = list(dict.fromkeys(value for _, value in cells))
    numeric = all(isinstance(value, int) for value in values)
    for place, contender in enumerate(TITLES):
        found = [
            (value if numeric else values.index(value), cells[contender, value].median("to_loose"))
            for value in values
            if (contender, value) in cells
        ]
        found = [(value, time) for value, time in found if not math.isnan(time)]
        if not found:
            continue
        style = {"color": COLOURS[place % len(COLOURS)], "label": TITLES[contender]}
        if contender == "kernel-ridge" and sweep.varies == "width":
            axes.axhline(statistics.median(time for _, time in found), linestyle="--", **style)
        else:
            axes.plot(*zip(*found, strict=True), marker=MARKERS[place % len(MARKERS)], **style)
    axes.set_yscale("log")
    if numeric:
        axes.set_xscale("log")
    else:
        axes.set_xticks(range(len(values)), values)
    axes.set_xlabel({"width": "width (neurons)", "n": "samples", "d": "features"}.get(sweep.varies, sweep.varies))
    axes.set_ylabel(f"seconds to RMSE {LOOSE:g}")
    axes.set_title(sweep.title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def _table(results, figure_class):
    """A bar for each contender: its seconds to the loose RMSE, hatched where the limit came first."""
    cells = list(results.cells["table"].values())
    bars = [
        (cell.median("to_loose"), cell.limit, f"{TITLES[cell.contender]} {cell.setting}".strip())
        for cell in cells
        if not math.isnan(cell.median("to_loose")) or cell.status == "limit"
    ]
    if not bars:
        return None
    figure = figure_class(figsize=(8.0, 1.0 + 0.35 * len(bars)), layout="constrained")
    axes = figure.subplots()
    bars.sort(key=lambda bar: (math.isnan(bar[0]), bar[0]), reverse=True)
    for place, (time, limit, _) in enumerate(bars):
        late = math.isnan(time)
        axes.barh(place, limit if late else time, color=COLOURS[0], alpha=0.4 if late else 1.0, hatch="//" * late)
    axes.set_yticks(range(len(bars)), [name for *_, name in bars])
    axes.set_xscale("log")
    axes.set_xlabel(f"seconds to RMSE {LOOSE:g}; hatched: not within the limit")
    axes.grid(alpha=0.3, axis="x")
    return figure
