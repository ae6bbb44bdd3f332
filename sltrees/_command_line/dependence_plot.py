"""Mean predictions over values of columns, as a picture."""

from __future__ import annotations

import datetime

import numpy as np

MOST_CLASSES = 6  # of which there are lines
_WIDTH, _HEIGHT, _ACROSS = 3.4, 2.6, 2  # inches of a panel, and panels side by side


def figure_class():
    """matplotlib's `Figure`; ImportError with the name of the extra if it is not there."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "sltrees[plot]"') from error
    return Figure


def draw_dependence(found, kinds, target, classes):
    """A panel for each column.

    Parameters
    ----------
    found : dict of str to tuple (values, means)
        As `sltrees._command_line.effects_of_columns.dependence_of` has them, by column.
    kinds : dict of str to str
        Of columns.
    target : str
    classes : list or None

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_rows = -(-len(found) // _ACROSS)
    figure = figure_class()(figsize=(_WIDTH * min(len(found), _ACROSS), _HEIGHT * n_rows), layout="constrained")
    for place, (name, (values, means)) in enumerate(found.items(), 1):
        # all panels have one scale, so that what matters little looks like that
        first = figure.axes[0] if figure.axes else None
        axes = figure.add_subplot(n_rows, min(len(found), _ACROSS), place, sharey=first)
        labels = [None] if classes is None else classes
        lines = means.reshape(len(values), -1)
        shown = np.sort(np.argsort(-np.ptp(lines, axis=0), kind="stable")[:MOST_CLASSES])
        places = _places(values, kinds[name], axes)
        for line in shown:
            marker = "o" if isinstance(values[0], str) else None
            style = "none" if marker else "-"
            axes.plot(places, lines[:, line], marker=marker, linestyle=style, label=labels[line])
        if classes is not None:
            axes.legend(fontsize="small")
        axes.set_xlabel(name)
        axes.set_ylabel(f"mean {target}" if classes is None else "mean probability")
    return figure


def _places(values, kind, axes):
    """Where values are along the axis, which is given labels if they are words or dates."""
    if kind == "date":
        axes.tick_params(axis="x", rotation=30)
        return [datetime.datetime(1970, 1, 1) + datetime.timedelta(days=value) for value in values]
    if values and isinstance(values[0], str):
        axes.set_xticks(range(len(values)), values, rotation=30 if len(values) > 4 else 0)
        axes.set_xmargin(0.15)
        return range(len(values))
    return values
