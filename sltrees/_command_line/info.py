"""``sltrees info``: what is in a file of this package."""

from __future__ import annotations

import json
import math
import os

from sltrees._command_line import shared
from sltrees._command_line.table_models import KIND, TableModel
from sltrees.files.archive import read_archive

DESCRIPTION = """Say what is in a file that this package wrote: a model, a network, a checkpoint. All of its checksums
are verified."""
MAX_TEXT = 100  # characters of a value, where a person reads


def add_parser(commands):
    """Add the command to the subparsers of the command line."""
    info = commands.add_parser("info", help="say what is in a file of this package", description=DESCRIPTION)
    info.add_argument("file", help="the file")
    info.add_argument("--json", action="store_true", help="print one JSON object")
    info.set_defaults(run=run)


def run(options):
    """Read, verify, print; return the exit code."""
    with shared.reading(options.file):
        kind, header, arrays, version = read_archive(options.file)
    content = {"file": options.file, "bytes": os.path.getsize(options.file), "kind": kind, "version": version}
    sizes = {name: {"dtype": str(array.dtype), "shape": list(array.shape)} for name, array in arrays.items()}
    rows = [
        ("file", f"{options.file}, {shared.file_size(options.file)}"),
        ("kind", f"{kind}, version {version} of the format"),
    ]
    if kind == KIND:
        model = TableModel.describe(options.file, header)
        content |= model.as_dict()
        rows += [*model.rows(), *_columns(model)]
    else:
        content["header"] = _finite(header)
        rows += _flat(header)
    content["arrays"] = sizes
    rows += [
        (f"array {name}", f"{size['dtype']} {' x '.join(map(str, size['shape'])) or 'scalar'}")
        for name, size in sizes.items()
    ]
    if options.json:
        shared.write_text(None, json.dumps(content) + "\n")
    else:
        candidates = _candidates(model.selection) if kind == KIND else ""
        shared.write_text(None, shared.aligned(rows) + candidates)
    return shared.EXIT_DONE


def _columns(model):
    """A line for each column of the training data."""
    for column in model.encoder.columns_:
        if column.kind == "categorical":
            what = "categorical: " + ", ".join(column.categories) + (" or missing" if column.missing_category else "")
        elif column.kind == "numeric":
            what = f"numeric, median {column.median:g}"
        elif column.kind == "target encoded":
            what = f"the mean of the target with each of {len(column.categories)} words"
        elif column.kind == "date":
            what = "date, made into days, year and week" + (" and time of day" if column.has_time else "")
        else:
            what = f"left out: {column.reason}" if column.kind == "left out" else f"the {column.kind}"
        yield f"column {column.name}", _short(what)


def _candidates(selection):
    """The table of candidates that were compared, below a blank line."""
    if not selection:
        return ""
    names = list(selection[0])
    cells = [["-" if row.get(name) is None else _in_words(row[name]) for name in names] for row in selection]
    rows = [[shared.printable(name) for name in names], *cells]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n" + "".join(line.rstrip() + "\n" for line in lines)


def _flat(header, prefix=""):
    """Names and values of a header, those of dicts in it below them."""
    for name, value in header.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _short(_in_words(value))


def _in_words(value):
    return f"{value:.5g}" if isinstance(value, float) else shared.printable(str(value))


def _short(text):
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 3]}..."


def _finite(value):
    """The same without NaN and infinities, for which JSON has no number."""
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
