"""The table of what an estimator chose among: one kind of error a column, and readable."""

from __future__ import annotations

import html

import numpy as np


class Selection(dict):
    """A table, as a dict of columns, that prints as one.

    Parameters
    ----------
    columns : dict of str to list
        Of equal length.

    Examples
    --------
    >>> Selection({"model": ["kernel", "network"], "error": [0.125, None]})
    model     error
    kernel    0.125
    network   -
    """

    def rows(self):
        """What is said in each row, as texts; columns in which nothing is said are left out. Cost: O(cells)."""
        names = [name for name, column in self.items() if any(value is not None for value in column)]
        cells = [[_text(value) for value in self[name]] for name in names]
        return names, list(zip(*cells, strict=True))

    def __repr__(self):
        names, rows = self.rows()
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        lines = ("   ".join(map(str.ljust, row, widths)).rstrip() for row in [names, *rows])
        return "\n".join(lines)

    def _repr_html_(self):
        names, rows = self.rows()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        lines = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value):
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def with_scalings(models, choice, evenness, is_auto):
    """The table of models, and behind it what was compared of scalings.

    Parameters
    ----------
    models : dict of str to list
        Of the models: "error" and what is beside it are by the folds of their comparison, or of a model that was asked
        for by what was left out of it.
    choice : sltrees.estimators.scaling_choice.ChosenScaling
    evenness : float
        That was chosen.
    is_auto : bool
        Whether errors have chosen how many rounds of learning scales there are.

    Returns
    -------
    Selection
        Errors of other comparisons are in columns of their own: "leave_one_out_error" of evennesses, and of columns
        that are bent; "rounds_error" of rounds with "rounds_standard_error", that of the difference from the smallest.

    Notes
    -----
    Cost: O(cells).
    """
    n_models = len(models["model"])
    table = Selection({name: list(column) for name, column in models.items()} | {"evenness": [evenness] * n_models})
    rows, kind, errors = [], "leave_one_out_error", "leave-one-out errors"
    if choice.coded is not None:
        kind, errors = "scaling_error", "errors of folds"
    for value, error in choice.errors.items():
        outcome = f"scales columns {'best' if value == evenness else 'worse'}, by {errors}"
        rows.append({"evenness": value, kind: error, "outcome": outcome})
    if choice.bent_error is not None:
        is_chosen = choice.scaling.bends
        table["bends"] = [is_chosen] * n_models
        outcome = f"bends long tails: {'' if is_chosen else 'not '}clearly better, by {errors}"
        rows.append({"evenness": evenness, "bends": True, kind: choice.bent_error, "outcome": outcome})
    learned = choice.learned
    if learned is not None and learned.errors:
        table["rounds"] = [learned.rounds] * n_models
        best = min(learned.errors)
        said = "chosen, by errors of folds" if is_auto else "asked for"
        for k, (error, standard_error) in enumerate(zip(learned.errors, learned.standard_errors, strict=True)):
            outcome = "no better, by errors of folds" if error - best > standard_error else "as good, by those"
            row = {"evenness": evenness, "rounds": k, "rounds_error": error, "rounds_standard_error": standard_error}
            rows.append(row | {"outcome": said if k == learned.rounds else outcome})
    for name in dict.fromkeys(name for row in rows for name in row):
        table.setdefault(name, [None] * n_models)
    for row in rows:
        row["model"] = "kernel"
        for name, column in table.items():
            value = row.get(name)
            column.append(None if isinstance(value, float) and not np.isfinite(value) else value)
    return table
