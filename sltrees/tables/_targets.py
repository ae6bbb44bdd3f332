"""What a target column asks for: regression or classification, and the values to learn."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from sltrees._validation import as_choice
from sltrees.tables._cells import is_missing, plural, quoted
from sltrees.tables._deciding import formats_of
from sltrees.tables._numbers import PLAIN, readings

TASKS = ("classification", "regression")
MAX_CLASSES = 20  # of numbers that are taken as labels
_LABEL = "none"  # it stands for a missing value, but not among words
_SURE = 0.9  # the share of numbers from which on other values of a target are mistakes
_MOST_DISTINCT, _FEWEST_FOR_THAT = 0.8, 20  # the share of different words from which on they are no classes
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
    notes : list of str
        What a user should know of them.
    """

    task: str
    reason: str
    values: np.ndarray
    rows: list[int]
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def as_numbers(self):
        """The values as numbers, shape (rows, outputs): of labels 1 for each class, of two for the second, 0 else."""
        if self.task == "regression":
            return self.values[:, None]
        classes = np.unique(self.values)
        return (self.values[:, None] == (classes if len(classes) > 2 else classes[1:])).astype(np.float64)


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
    number_format = readings(present).chosen(None)
    return _detected(present, [number_format.read(text) for text in present])


def _detected(present, numbers):
    """The task that values ask for which are not missing, and why; `numbers` are None where they are none."""
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


def encode_target(table, target, task="auto", *, decimal=None, thousands=None):
    """Read the column to be predicted.

    Parameters
    ----------
    table : Table
    target : str
        Name of the column, or its position from 1.
    task : {"auto", "classification", "regression"}, default "auto"
        "auto" detects it, see `detect_task`.
    decimal, thousands : str, optional
        As for `TableEncoder`.

    Returns
    -------
    Target
        Of the rows in which the target is present.

    Raises
    ------
    ValueError
        If there is no such column, all of its values are missing or the same, or one is no number in regression; or,
        where the task is to be detected, if it holds words of which most are different, or a few among many numbers.

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
    Target(task='regression', reason='it was asked for', values=array([1., 0.]), rows=[0, 2], notes=[])
    """
    as_choice(task, "task", ("auto", *TASKS))
    position = table.position(target)
    name, cells = table.columns[position], table.cells[position]
    found, preferred = formats_of(table, decimal, thousands)
    number_format = found[position].chosen(preferred)
    rows, notes = _present_rows(name, cells, number_format)
    present = [cells[row] for row in rows]
    if not present:
        raise ValueError(f"{table.source}: all values of the target {name!r} are missing")
    numbers = [number_format.read(text) for text in present]
    reason = "it was asked for"
    if task == "auto":
        task, reason = _detected(present, numbers)
        _refuse_mistakes(table, name, present, rows, numbers)
    if task == "regression":
        if None in numbers:
            row = numbers.index(None)
            raise ValueError(
                f"{table.source}, line {table.lines[rows[row]]}: the target {name!r} must hold finite numbers for "
                f"regression, got {present[row]!r}"
            )
        values = np.array(numbers)
        if number_format.in_words:
            same = f"such as {present[0]!r} as {numbers[0]:.15g}"
            notes.append(f"{name}: numbers with {number_format.in_words}, {same}")
    else:
        values = _labels(present, numbers if number_format == PLAIN else [None])
    if len(set(values.tolist())) < 2:
        raise ValueError(
            f"{table.source}: the target {name!r} has one value only: {quoted(present, 1).split(' and ')[0]}"
        )
    return Target(task, reason, values, rows, notes)


def _present_rows(name, cells, number_format):
    """Rows whose target is not missing; among words, None is a word."""
    rows = [row for row, text in enumerate(cells) if not is_missing(text)]
    if all(number_format.read(cells[row]) is not None for row in rows):
        return rows, []
    labels = {text for text in cells if text.strip().lower() == _LABEL}
    if not labels:
        return rows, []
    return [row for row, text in enumerate(cells) if not is_missing(text) or text in labels], [
        f"{name}: {quoted(sorted(labels))} taken as a class, not as missing"
    ]


def _refuse_mistakes(table, name, present, rows, numbers):
    """Refuse words of which most are different, and words among numbers: they are no classes."""
    n_words, n_different = numbers.count(None), len(set(present))
    if not n_words:
        return
    word = present[numbers.index(None)]
    if len(present) - n_words >= _SURE * len(present) and n_different > MAX_CLASSES:
        raise ValueError(
            f"{table.source}, line {table.lines[rows[numbers.index(None)]]}: the target {name!r} holds numbers, but "
            f"also {plural(n_words, 'value')} that {'is' if n_words == 1 else 'are'} none, such as {word!r}: leave the "
            "cell empty, or say --task classification"
        )
    if len(present) >= _FEWEST_FOR_THAT and n_different > _MOST_DISTINCT * len(present):
        raise ValueError(
            f"{table.source}: the target {name!r} holds {n_different:,} different words in {len(present):,} rows, such "
            f"as {word!r}: too many to be classes. If these are numbers, is the decimal sign a comma (--decimal ,)? "
            "--task classification takes them as they are"
        )


def _labels(texts, numbers):
    """Labels as integers where all of them are, so that 1 and 1.0 are one class, and in order of size; else as text."""
    if None not in numbers and all(number.is_integer() and abs(number) < _MAX_LABEL for number in numbers):
        return np.array([int(number) for number in numbers])
    return np.array(texts)
