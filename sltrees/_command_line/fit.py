"""``sltrees fit``: learn to predict a column of a CSV file from the others."""

from __future__ import annotations

import json
import numbers
import time

import numpy as np

from sltrees._command_line import quality, shared
from sltrees._command_line.effects_of_columns import effects_of
from sltrees._command_line.table_models import TableModel
from sltrees._validation import as_integer
from sltrees.tables import TableEncoder, encode_target
from sltrees.tables._cells import plural
from sltrees.tables._targets import TASKS

DESCRIPTION = """Learn to predict one column of a CSV file from the others, and write the model to a file. Numbers stay
numbers, words become columns of zeros and ones, gaps are filled; what was done is said on standard error. After Ctrl-C
what was learned so far is saved, if there is anything."""


def add_parser(commands):
    """Add the command to the subparsers of the command line."""
    fit = commands.add_parser(
        "fit", help="learn to predict a column of a CSV file from the others", description=DESCRIPTION
    )
    fit.add_argument("data", help="the CSV file, - for standard input")
    fit.add_argument("--target", required=True, help="the column to predict: its name, or its position from 1")
    fit.add_argument("--out", required=True, help="the file for the model, such as model.npz")
    fit.add_argument("--task", choices=("auto", *TASKS), default="auto", help="auto (the default) looks at the target")
    shared.add_table_options(fit)
    shared.add_column_options(fit)
    fit.add_argument("--model", default="auto", help="auto (the default) compares several; else kernel or network")
    fit.add_argument(
        "--loss",
        help="what is minimised: squared (the default); for numbers huber, quantile, poisson or gamma, for classes "
        "log_loss or auto",
    )
    fit.add_argument("--quantile", type=float, help="with --loss quantile: above 0 and below 1; 0.5 by default")
    fit.add_argument(
        "--search-seconds", type=float, help="that comparing models may take, by a cost model; 20 by default"
    )
    fit.add_argument("--seed", type=int, default=0, help="of everything random; 0 by default")
    fit.add_argument("--jobs", type=int, help="jobs at a time, -1 for one per processor")
    shared.add_output_options(fit)
    fit.set_defaults(run=run)


def run(options):
    """Fit, save, print a summary; return the exit code."""
    # before any work is done: the extra may be missing
    from sltrees.estimators import NewtonClassifier, NewtonRegressor

    as_integer(options.seed, "--seed", minimum=0)
    if options.jobs is not None and options.jobs != -1:
        as_integer(options.jobs, "--jobs", minimum=1)
    reporter = shared.Reporter(options.quiet)
    shared.check_output(options.out, options.data)
    shared.check_regular(options.out)
    table = shared.read_input(options.data, "auto" if options.header is None else options.header, options)
    reporter.say(_what_was_read(table))
    _check_target(table, options.target)
    table, target, encoder, X, weights = _encoded(options, table, reporter)

    estimator = {"classification": NewtonClassifier, "regression": NewtonRegressor}[target.task](
        model=options.model, random_state=options.seed, n_jobs=options.jobs, verbose=0 if options.quiet else 1
    )
    if options.search_seconds is not None:
        estimator.set_params(search_seconds=options.search_seconds)
    _set_loss(estimator, options)
    reporter.say("learning ..." if options.model != "auto" else "comparing models and learning ...")
    began = time.perf_counter()
    interrupted = False
    try:
        with reporter.progress():
            estimator.fit(X, target.values, **({} if weights is None else {"sample_weight": weights}))
    except KeyboardInterrupt:
        if not _is_usable(estimator, X):
            raise KeyboardInterrupt("there is no model yet, nothing is saved") from None
        interrupted = True
    reporter.say(f"{'interrupted' if interrupted else 'done'} after {time.perf_counter() - began:.1f} s")
    estimator.set_params(verbose=0, n_jobs=None)  # of this run; the file does not depend on them
    model = _model_of(estimator, encoder, target, interrupted, X, weights)
    model.save(options.out)
    if options.json:
        shared.write_text(None, json.dumps({**model.as_dict(), "file": options.out}) + "\n")
    else:
        file = ("file", f"{options.out}, {shared.file_size(options.out)}")
        shared.write_text(None, shared.aligned([*model.rows(), file]))
    if interrupted:
        raise KeyboardInterrupt(f"what was learned so far is saved in {options.out}")
    return shared.EXIT_DONE


def _set_loss(estimator, options):
    """Tell the estimator its loss; ValueError for a quantile of another one."""
    if options.loss is not None:
        estimator.set_params(loss=options.loss)
    if options.quantile is not None:
        if options.loss != "quantile":
            raise ValueError(f"--quantile needs --loss quantile, got --loss {options.loss}")
        estimator.set_params(quantile=options.quantile)


def _encoded(options, table, reporter):
    """The rows with a target, the target, the encoder, features and weights; what was done is said."""
    formats = {"decimal": options.decimal, "thousands": options.thousands}
    encoder = TableEncoder(
        **formats, drop=options.drop, categorical=options.categorical, identifiers=options.id, weight=options.weight
    )
    target = encode_target(table, options.target, options.task, **formats)
    if len(target.rows) < table.n_rows:
        reporter.say(f"{plural(table.n_rows - len(target.rows), 'row')} without a target left out")
        table = table.select(target.rows)
    X = encoder.fit_transform(table, options.target, target.as_numbers)
    weights = encoder.weights_of(table)
    if encoder.coded_ is not None:
        from sltrees.estimators.coded_by_targets import CodedFeatures

        X = CodedFeatures.of(X, *encoder.coded_, np.asarray(target.as_numbers, dtype=np.float64), weights)
    reporter.say(*encoder.report, *target.notes, f"{encoder.target}: {target.task}, because {target.reason}")
    return table, target, encoder, X, weights


def _what_was_read(table):
    names = "the first row holds their names" if table.has_header else "no header, they are called by position"
    return f"{table.source}: {plural(table.n_rows, 'row')}, {plural(len(table.columns), 'column')}; {names}"


def _check_target(table, target):
    """Say that there is no such column, and why that may be."""
    try:
        table.position(target)
    except ValueError as error:
        if table.has_header or all(column[0] != target for column in table.cells):
            raise
        raise ValueError(f"{error}; its first row was taken as data: if it holds the names, say --header") from None


def _is_usable(estimator, X):
    """Whether an estimator whose fitting was cut short can predict nevertheless."""
    from sklearn.exceptions import NotFittedError

    try:
        estimator.predict(X[:1])
    except NotFittedError:
        return False
    return True


def _model_of(estimator, encoder, target, interrupted, X, weights):
    columns = estimator.selection_
    selection = [
        {name: _plain(value) for name, value in zip(columns, row, strict=True)}
        for row in zip(*columns.values(), strict=True)
    ]
    return TableModel(
        encoder=encoder,
        task=target.task,
        reason=target.reason,
        n_rows=len(target.rows),
        classes=estimator.classes_.tolist() if target.task == "classification" else None,
        model=str(estimator.model_),
        score=estimator.validation_score_,
        selection=selection,
        interrupted=interrupted,
        quality=_quality(estimator, target, weights),
        effects=effects_of(encoder, estimator, X),
        loss=estimator.loss_,
        estimator=estimator,
    )


def _quality(estimator, target, weights):
    """How good predictions were of rows that were left out."""
    if target.task == "classification":
        known = estimator.confusion_ is not None
        return quality.of_labels(estimator.classes_.tolist(), estimator.confusion_) if known else {}
    if estimator.residuals_ is None:
        return {}
    weights = np.ones(len(target.values)) if weights is None else weights
    return quality.of_numbers(estimator.residuals_[:, 0], estimator.residual_weights_, target.values, weights)


def _plain(value):
    """A value of the table of candidates as JSON can hold it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, numbers.Real) and not np.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
