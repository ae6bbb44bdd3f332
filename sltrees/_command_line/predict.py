"""``sltrees predict``: predictions of a model for the rows of a CSV file."""

from __future__ import annotations

import csv
import io
import json

import numpy as np

from sltrees._command_line import shared
from sltrees._command_line.quality import short
from sltrees._command_line.table_models import TableModel
from sltrees._command_line.truth import quality_of
from sltrees.tables._cells import plural

DESCRIPTION = """Predict the target for each row of a CSV file, in its order. Columns are found by name, or by position
where there is no header; the target may be there or not. A header is expected if the training data had one."""


def add_parser(commands):
    """Add the command to the subparsers of the command line."""
    predict = commands.add_parser(
        "predict", help="predict the target for the rows of a CSV file", description=DESCRIPTION
    )
    predict.add_argument("model", help="the file that sltrees fit wrote")
    predict.add_argument("data", help="the CSV file, - for standard input")
    predict.add_argument("--out", help="the CSV file for the predictions; by default they are printed")
    predict.add_argument("--proba", action="store_true", help="add a column of probabilities for each class")
    predict.add_argument(
        "--interval",
        type=float,
        metavar="COVERAGE",
        help="add columns of intervals that hold numbers with this probability, such as 0.9",
    )
    predict.add_argument(
        "--spreadsheet",
        action="store_true",
        help="put an apostrophe before labels and names that a spreadsheet would run as formulas, such as =1+1",
    )
    shared.add_table_options(predict)
    shared.add_output_options(predict)
    predict.set_defaults(run=run)


def run(options):
    """Predict, write, return the exit code."""
    reporter = shared.Reporter(options.quiet)
    if options.out is not None:
        shared.check_output(options.out, options.model, options.data)
    with shared.reading(options.model):
        model = TableModel.load(options.model)
    if options.proba and model.task != "classification":
        raise ValueError(f"--proba needs a classification model, but {options.model} is for {model.task}")
    if options.interval is not None and model.task != "regression":
        raise ValueError(f"--interval needs a regression model, but {options.model} is for {model.task}")
    table, X = shared.read_like_training(options, model, reporter)
    identifiers = model.encoder.identifiers_of(table)
    with reporter.progress():
        predictions = model.estimator.predict(X)
        probabilities = model.estimator.predict_proba(X).tolist() if options.proba else None
        ends = None if options.interval is None else model.estimator.predict_interval(X, options.interval)
    reporter.say(*_how_good(model, table, predictions))
    predictions = predictions.tolist()
    columns = {**identifiers, model.target: predictions}
    if ends is not None:
        columns |= {
            f"{model.target}: {end}": found.tolist() for end, found in zip(("lower", "upper"), ends.T, strict=True)
        }
    if probabilities is not None:
        of_classes = zip(*probabilities, strict=True)
        columns |= {
            f"{model.target}={label}": list(each) for label, each in zip(model.classes, of_classes, strict=True)
        }
    if options.out is not None or not options.json:
        shared.write_text(options.out, _csv(columns, options.spreadsheet))
    if options.json:
        shared.write_text(None, _json(options, model, predictions, probabilities, ends, identifiers))
    elif options.out is not None:
        reporter.say(f"{len(predictions):,} predictions of {model.target!r} in {options.out}")
    return shared.EXIT_DONE


def _csv(columns, for_spreadsheet):
    """A header, and a line for each row: what names it, the prediction, and the probabilities if there are any.

    Words are those of the tables, letter for letter, unless it is for a spreadsheet.
    """
    literal = _literal if for_spreadsheet else lambda cell: cell
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(literal, columns))
    for row in zip(*columns.values(), strict=True):
        writer.writerow(map(literal, row))
    return file.getvalue()


def _literal(cell):
    """A cell that spreadsheets do not run: they take what begins so for a formula, quoted or not."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _how_good(model, table, predictions):
    """What the score is, if the target is there."""
    quality = quality_of(model, table, predictions)
    if "accuracy" in quality:
        baseline = f"{quality['baseline']:.4f} if {quality['baseline_class']!r} were predicted for all"
        yield f"accuracy {quality['accuracy']:.4f} on {plural(round(quality['rows']), 'row')} with a target; {baseline}"
    elif "r2" in quality:
        error, baseline = short(quality["rmse"]), f"{short(quality['baseline_rmse'])} if the mean were predicted"
        score = f"R^2 {quality['r2']:.4f} on {plural(quality['rows'], 'row')} with a target"
        yield f"{score}; root mean square error {error}, {baseline}"


def _json(options, model, predictions, probabilities, ends, identifiers):
    """What is printed with --json: the predictions themselves only where they are not in a file."""
    content = {
        "task": model.task,
        "target": model.target,
        "n_rows": len(predictions),
        "report": model.encoder.transform_report,
    }
    if options.out is not None:
        content["file"] = options.out
    else:
        content |= {"identifiers": identifiers} if identifiers else {}
        content["predictions"] = predictions
        if ends is not None:
            content["intervals"] = [[end if np.isfinite(end) else None for end in row] for row in ends.tolist()]
        if probabilities is not None:
            content |= {"classes": model.classes, "probabilities": probabilities}
    return json.dumps(content) + "\n"
