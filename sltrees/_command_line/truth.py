"""Predictions beside the targets that a table has."""

from __future__ import annotations

import numpy as np

from sltrees._command_line import quality
from sltrees.tables._cells import is_missing


def quality_of(model, table, predictions):
    """How good predictions are for the rows of a table that have a target.

    Parameters
    ----------
    model : TableModel
    table : Table
    predictions : ndarray of shape (n,)

    Returns
    -------
    dict
        As `sltrees._command_line.quality` has it; empty if there is no target.
    """
    cells = model.encoder.cells_of("target", table).get(model.target)
    if cells is None:
        return {}
    weights = model.encoder.weights_of(table)
    weights = np.ones(table.n_rows) if weights is None else weights
    if model.task == "classification":
        return quality.of_labels(*_confusion(model.classes, cells, predictions, weights))
    column = next(column for column in model.encoder.columns_ if column.kind == "target")
    truth = np.array([column.number_format.read(text) for text in cells], dtype=np.float64)
    known = ~np.isnan(truth) & (weights > 0)
    if not known.any():
        return {}
    return quality.of_numbers((truth - predictions)[known], weights[known], truth[known], weights[known])


def residuals_of(model, table, predictions):
    """Targets less predictions, NaN where a target is missing; None if there is no target."""
    cells = model.encoder.cells_of("target", table).get(model.target)
    if cells is None:
        return None
    column = next(column for column in model.encoder.columns_ if column.kind == "target")
    return np.array([column.number_format.read(text) for text in cells], dtype=np.float64) - predictions


def _confusion(classes, cells, predictions, weights):
    """Classes, with those that were not seen in training behind, and the weights of rows by class and prediction."""
    texts = {str(label): place for place, label in enumerate(classes)}
    known = list(classes)
    places = []
    for text in cells:
        if text not in texts and is_missing(text):
            places.append(-1)
            continue
        text = text if text in texts else _as_label(text, classes)
        if text not in texts:
            texts[text] = len(known)
            known.append(text)
        places.append(texts[text])
    confusion = np.zeros((len(known), len(known)))
    for place, prediction, weight in zip(places, predictions.tolist(), weights, strict=True):
        if place >= 0:
            confusion[place, texts[str(prediction)]] += weight
    return known, confusion


def _as_label(text, classes):
    """A whole number as labels that are integers are written, such as 1 for 1.0."""
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if isinstance(classes[0], int) and number.is_integer() else text
