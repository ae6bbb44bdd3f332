"""What a target column asks for: regression or classification, and the values to learn."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from sltrees._validation import as_choice
from sltrees.tables._cells import as_number, is_missing, plural, quoted

TASKS = ("classification", "regression")
MAX_CLASSES = 20  # of numbers that are taken as labels
_MAX_LABEL = 2**53  # beyond it, float64 does not tell integers apart


@dataclasses.dataclass(frozen=True)
class Target:
    """The values of a target column, ready to learn from.

    Attributes
    ----------
    task : {"classification", "regression"}
        What is to be done.
    reason : str
        Why, in words.
    values : ndarray of shape (rows,)
        float64 for regression. Labels are int64 if all are whole numbers, text otherwise.
    rows : list of int
        Rows of the table in which the target is present; there is a value for each.
    """

    task: str
    reason: str
    values: np.ndarray
    rows: list[int]


def detect_task(values):
    """Say whether values are to be classified or regressed on.

    Text asks for classification. Numbers do if they are few different whole ones: at most 2, or at most the square root
    of their count and 20. Other numbers ask for regression.

    Parameters
    ----------
    values : list of str
        Missing ones are passed over.

    Returns
    -------
    task : {"classification", "regression"}
    reason : str
        In words.

    Raises
    ------
    ValueError
        If all are missing.

    Notes
    -----
    Cost: O(n).

    Examples
    --------
    >>> detect_task(["no", "yes", "no"])
    ('classification', "the target holds words, such as 'no', in 2 different values")
    >>> detect_task(["1.5", "2", "7"])
    ('regression', 'the target holds numbers, not all of them whole')
    """
    present = [text for text in values if not is_missing(text)]
    if not present:
        raise ValueError("the target must have values, but all are missing")
    numbers = [as_number(text) for text in present]
    if None in numbers:
        n_values = len(set(present))
        word = present[numbers.index(None)]
        return "classification", f"the target holds words, such as {word!r}, in {plural(n_values, 'different value')}"
    different = set(numbers)
    few = max(2, min(MAX_CLASSES, math.isqrt(len(numbers))))
    if not all(number.is_integer() for number in different):
        return "regression", "the target holds numbers, not all of them whole"
    if len(different) > few:
        return "regression", f"the target holds {len(different):,} different whole numbers, more than {few}"
    return "classification", f"the target holds {plural(len(different), 'different whole number')}, no more than {few}"


def encode_target(table, target, task="auto"):
    """Read the column to be predicted.

    Parameters
    ----------
    table : Table
    target : str
        Name of the column, or its position from 1.
    task : {"auto", "classification", "regression"}, default "auto"
        "auto" detects it, see `detect_task`.

    Returns
    -------
    Target
        Of the rows in which the target is present.

    Raises
    ------
    ValueError
        If there is no such column, all of its values are missing or the same, or one is no number in regression.

    Notes
    -----
    Cost: O(rows).

    Examples
    --------
    >>> from sltrees.tables import Table
    >>> table = Table(["y"], [["1", "", "0"]])
    >>> encode_target(table, "y").values
    array([1, 0])
    >>> encode_target(table, "y", "regression")
    Target(task='regression', reason='it was asked for', values=array([1., 0.]), rows=[0, 2])
    """
    as_choice(task, "task", ("auto", *TASKS))
    cells = table.column(target)
    name = table.columns[table.position(target)]
    rows = [row for row, text in enumerate(cells) if not is_missing(text)]
    present = [cells[row] for row in rows]
    if not present:
        raise ValueError(f"{table.source}: all values of the target {name!r} are missing")
    reason = "it was asked for"
    if task == "auto":
        task, reason = detect_task(present)
    numbers = [as_number(text) for text in present]
    if task == "regression":
        if None in numbers:
            row = numbers.index(None)
            raise ValueError(
                f"{table.source}, line {table.lines[rows[row]]}: the target {name!r} must hold finite numbers for "
                f"regression, got {present[row]!r}"
            )
        values = np.array(numbers)
    else:
        values = _labels(present, numbers)
    if len(set(values.tolist())) < 2:
        raise ValueError(
            f"{table.source}: the target {name!r} has one value only: {quoted(present, 1).split(' and ')[0]}"
        )
    return Target(task, reason, values, rows)


def _labels(texts, numbers):
    """Labels as integers where all of them are, so that 1 and 1.0 are one class, and in order of size; else as text."""
    if None not in numbers and all(number.is_integer() and abs(number) < _MAX_LABEL for number in numbers):
        return np.array([int(number) for number in numbers])
    return np.array(texts)
