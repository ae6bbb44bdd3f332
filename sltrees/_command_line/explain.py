"""``sltrees explain``: which columns matter to a model, and which way."""

from __future__ import annotations

import datetime
import json
import os

import numpy as np

from sltrees._command_line import shared
from sltrees._command_line.dependence_plot import draw_dependence, figure_class
from sltrees._command_line.effects_of_columns import dependence_of, effects_of
from sltrees._command_line.quality import short
from sltrees._command_line.table_models import TableModel
from sltrees.files.replacing import replacing

DESCRIPTION = """Say how much of the variance of predictions goes with each column, on the rows of a CSV file, and what
the mean prediction is for values of the columns that matter most. It says what the model does, not what is true."""
MOST_COLUMNS = 4  # that are looked at, unless some are asked for


def add_parser(commands):
    """Add the command to the subparsers of the command line."""
    explain = commands.add_parser("explain", help="which columns matter to a model", description=DESCRIPTION)
    explain.add_argument("model", help="the file that sltrees fit wrote")
    explain.add_argument("data", help="the CSV file, such as that of the fit; - for standard input")
    explain.add_argument(
        "--column", action="append", default=[], help="a column to look at; by default the four that matter most"
    )
    explain.add_argument("--out", help="a PNG file for mean predictions over values of columns (extra plot)")
    shared.add_table_options(explain)
    shared.add_output_options(explain)
    explain.set_defaults(run=run)


def run(options):
    """Predict for changed rows, print, draw; return the exit code."""
    reporter = shared.Reporter(options.quiet)
    if options.out is not None:
        shared.check_output(options.out, options.model, options.data)
        figure_class()  # before any work is done: the extra may be missing
    with shared.reading(options.model):
        model = TableModel.load(options.model)
    table, X = shared.read_like_training(options, model, reporter)
    with reporter.progress():
        effects = effects_of(model.encoder, model.estimator, X)
    unknown = [name for name in options.column if name not in effects]
    if unknown:
        raise ValueError(
            f"the model does not learn from a column {unknown[0]!r}; those it does are {', '.join(effects)}"
        )
    ordered = sorted(effects, key=lambda name: -effects[name])
    found = {}
    cells = {}
    for kind in ("numeric", "date", "categorical", "target encoded"):
        cells |= model.encoder.cells_of(kind, table)
    for name in options.column or ordered[:MOST_COLUMNS]:
        place = (name, cells[name], table.lines, table.source)
        found[name] = dependence_of(model.encoder, model.estimator, X, *place)
    if options.out is not None:
        kinds = {column.name: column.kind for column in model.encoder.columns_}
        figure = draw_dependence(found, kinds, model.target, model.classes)
        with replacing(os.path.realpath(options.out)) as file:
            figure.savefig(file, format="png")
    if options.json:
        tables = {name: {"values": values, "means": means.tolist()} for name, (values, means) in found.items()}
        content = {"target": model.target, "classes": model.classes, "effects": effects, "dependence": tables}
        shared.write_text(None, json.dumps(content) + "\n")
    else:
        rows = [(name, f"{effects[name]:6.1%}   {_in_words(name, found, model)}".rstrip()) for name in ordered]
        shared.write_text(None, shared.aligned(rows))
    return shared.EXIT_DONE


def _in_words(name, found, model):
    """Where mean predictions lead from the first value of a column to its last; or which are largest."""
    if name not in found:
        return ""
    values, means = found[name]
    if means.ndim > 1:  # the class whose probability changes most
        place = int(np.ptp(means, axis=0).argmax())
        means, what = means[:, place], f"probability of {model.classes[place]}"
    else:
        what = f"mean {model.target}"
    least, most = int(means.argmin()), int(means.argmax())
    column = next(column for column in model.encoder.columns_ if column.name == name)
    least, most = (f"{short(means[place])} at {_value(values[place], column.kind)}" for place in (least, most))
    return f"{what} from {least} to {most}"


def _value(value, kind):
    if kind == "date":
        return (datetime.date(1970, 1, 1) + datetime.timedelta(days=value)).isoformat()
    return short(value) if isinstance(value, float) else str(value)
