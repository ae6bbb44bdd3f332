"""``sltrees evaluate``: how good a model is on the rows of a CSV file that has the target."""

from __future__ import annotations

import json

import numpy as np

from sltrees._command_line import shared
from sltrees._command_line.quality import in_words
from sltrees._command_line.table_models import TableModel
from sltrees._command_line.truth import quality_of, residuals_of

DESCRIPTION = """Predict the target for the rows of a CSV file, and say how good the predictions are beside the target
that is there. The rows should be others than those that the model has learned from."""


def add_parser(commands):
    """Add the command to the subparsers of the command line."""
    evaluate = commands.add_parser("evaluate", help="how good a model is on a CSV file", description=DESCRIPTION)
    evaluate.add_argument("model", help="the file that sltrees fit wrote")
    evaluate.add_argument("data", help="the CSV file, - for standard input")
    evaluate.add_argument(
        "--interval",
        type=float,
        default=0.9,
        metavar="COVERAGE",
        help="of the intervals that are tested; 0.9 by default",
    )
    shared.add_table_options(evaluate)
    shared.add_output_options(evaluate)
    evaluate.set_defaults(run=run)


def run(options):
    """Predict, compare, print; return the exit code."""
    reporter = shared.Reporter(options.quiet)
    with shared.reading(options.model):
        model = TableModel.load(options.model)
    table, X = shared.read_like_training(options, model, reporter)
    with reporter.progress():
        predictions = model.estimator.predict(X)
    quality = quality_of(model, table, predictions)
    if not quality:
        raise ValueError(f"{options.data} has no value of the target {model.target!r} to compare predictions with")
    score = quality.get("accuracy", quality.get("r2"))
    content = {"target": model.target, "task": model.task, "score": score, "score_name": model.score_name}
    rows = [("target", model.target), ("rows", f"{quality['rows']:g}")]
    if score is not None:
        rows.append(("score", f"{score:.4f} ({model.score_name})"))
    if model.score is not None:
        rows.append(("expected", f"{model.score:.4f} (cross-validated {model.score_name} when it was fitted)"))
    rows += in_words(quality)
    held = _held(model, table, X, predictions, options.interval)
    if held is not None:
        content["interval"] = {"coverage": options.interval, "held": held}
        rows.append(("intervals", f"{held:.1%} of the targets are within those of {options.interval:.0%}"))
    n_outside = int(np.count_nonzero(shared.outside(model, X)))
    content |= {"rows_outside_range": n_outside, **quality}
    rows.append(("outside", f"{n_outside:,} of {table.n_rows:,} rows are outside the range that was learned from"))
    shared.write_text(None, json.dumps(content) + "\n" if options.json else shared.aligned(rows))
    return shared.EXIT_DONE


def _held(model, table, X, predictions, coverage):
    """The share of targets within intervals; None where there are no intervals."""
    if model.task != "regression" or model.estimator.residuals_ is None:
        return None
    residuals = residuals_of(model, table, predictions)
    known = ~np.isnan(residuals)
    lower, upper = (model.estimator.predict_interval(X, coverage) - predictions[:, None]).T
    return float(np.mean((lower <= residuals)[known] & (residuals <= upper)[known]))
