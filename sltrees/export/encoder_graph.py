"""What a `FrameEncoder` does to the columns of a frame, as nodes of an ONNX graph."""

from __future__ import annotations

import json

import numpy as np

from sltrees.export.onnx_graph import NODES
from sltrees.tables._dates import date_turns

MISSING_WORDS = ("", "None", "nan", "NaN", "NaT", "<NA>")  # what runtimes make of the missing values of Python


def encoded(graph, columns, input_dtype, outputs):
    """The features of the columns of a frame.

    Parameters
    ----------
    graph : Graph
    columns : list
        `FrameEncoder.columns_`.
    input_dtype : dtype
        Of numbers.
    outputs : collection of str
        Names of outputs, which no input may have.

    Returns
    -------
    features : str
        Name of the features, shape (n, features), float64, in the order of `FrameEncoder.get_feature_names_out`.
    inputs : list of (name, element type, shape)
        "X" with all columns if all are numbers; else one of shape (n, 1) for each column that is learned from, called
        like it, with a "_" behind it where it is called "" or like an output or a node.
    metadata : dict of str to str
        "columns": for each input in JSON "input", "column" and "kind"; none of it for "X".

    Notes
    -----
    Words that were not seen in training become what `FrameEncoder` makes of them. Missing words are "", and what
    runtimes make of None and NaN where no category is called so; longer blank strings are words that were not seen.
    Cost: O(columns + categories).
    """
    double = graph.type_of(np.float64)
    if all(column.kind in ("numeric", "left out") for column in columns):
        places = [place for place, column in enumerate(columns) if column.feature_names]
        X = graph.add("Cast", "X", to=double)
        numbers = graph.add("Gather", X, np.array(places), axis=1)
        features = _numbers_encoded(graph, [columns[place] for place in places], numbers)
        return features, [("X", graph.type_of(input_dtype), ["n", len(columns)])], {}
    types = {"numeric": input_dtype, "date": np.float64}  # days of float32 would have no time of day
    inputs, said, blocks, taken = [], [], [], {*outputs, *(column.name for column in columns)}
    for column in columns:
        if not column.feature_names:
            continue
        name = column.name
        if not name or name in outputs or name.startswith(NODES):  # an input needs a name of its own
            while not name or name in taken:
                name += "_"
        inputs.append((name, graph.type_of(types.get(column.kind, object)), ["n", 1]))
        said.append({"input": name, "column": column.name, "kind": column.kind})
        if column.kind == "numeric":
            blocks.append(_numbers_encoded(graph, [column], graph.add("Cast", name, to=double)))
        elif column.kind == "date":
            blocks.append(_date_encoded(graph, column, name))
        else:
            blocks.append(_words_encoded(graph, column, name))
    return graph.add("Concat", *blocks, axis=1), inputs, {"columns": json.dumps(said)}


def _numbers_encoded(graph, columns, numbers):
    """As `NumericColumn.encode`, of several columns at once."""
    missing = graph.add("IsNaN", numbers)
    filled = graph.add("Where", missing, np.array([column.median for column in columns]), numbers)
    flagged = [place for place, column in enumerate(columns) if column.flags_missing]
    if not flagged:
        return filled
    flags = graph.add("Cast", graph.add("Gather", missing, np.array(flagged), axis=1), to=graph.type_of(np.float64))
    both, order = graph.add("Concat", filled, flags, axis=1), []
    for place, column in enumerate(columns):
        order += [place, len(columns) + flagged.index(place)] if column.flags_missing else [place]
    return graph.add("Gather", both, np.array(order), axis=1)


def _date_encoded(graph, column, days):
    """As `DateColumn.encode`."""
    missing = graph.add("IsNaN", days)
    features = [graph.add("Where", missing, np.array(column.median), days)]
    for offset, period in date_turns(column.has_time):
        turns = graph.add("Div", graph.add("Add", days, np.array(offset)), np.array(period))
        angle = graph.add("Mul", turns, np.array(2.0 * np.pi))
        for part in ("Sin", "Cos"):
            features.append(graph.add("Where", missing, np.array(0.0), graph.add(part, angle)))
    if column.flags_missing:
        features.append(graph.add("Cast", missing, to=graph.type_of(np.float64)))
    return graph.add("Concat", *features, axis=1)


def _words_encoded(graph, column, words):
    """As `CategoricalColumn.encode` or `RatedColumn.encode`: a row of a table for each word."""
    categories, n_known = column.categories, len(column.categories) + column.missing_category
    codes = {category: code for code, category in enumerate(categories)}
    # what runtimes make of a whole number that is kept as a float, as it is where pandas has missing values beside it
    codes |= {repr(float(category)): code for code, category in enumerate(categories) if _is_float(category)} | codes
    if column.missing_category:
        codes = dict.fromkeys(MISSING_WORDS, len(categories)) | codes
    code = graph.add(
        "LabelEncoder",
        words,
        domain="ai.onnx.ml",
        keys_strings=list(codes),
        values_int64s=list(codes.values()),
        default_int64=n_known,
    )
    if column.kind == "categorical":
        table = np.vstack([np.eye(n_known), np.zeros((1, n_known))])
    else:
        table = np.array([*column.rates, column.mean])
    return graph.add("Gather", table, graph.add("Squeeze", code, np.array([1])), axis=0)


def _is_float(text):
    """Whether a word is a whole number that float64 holds."""
    if not text.removeprefix("-").isdecimal() or len(text) > 309:  # longer ones are beyond
        return False
    number = float(text)
    return np.isfinite(number) and int(number) == int(text)
