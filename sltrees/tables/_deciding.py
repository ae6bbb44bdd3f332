"""What the columns of a table of training are: numbers, dates, words, identifiers."""

from __future__ import annotations

import itertools
import re

from sltrees.tables._cells import is_missing
from sltrees.tables._columns import (
    CategoricalColumn,
    DateColumn,
    IdentifierColumn,
    LeftOutColumn,
    NumericColumn,
    TargetColumn,
    WeightColumn,
    strays_in_words,
    values_missing,
)
from sltrees.tables._dates import DATE_FORMATS, as_days, is_ambiguous
from sltrees.tables._numbers import readings, vote

# A column is one of numbers, or of dates, in which others are strays, if so many of its cells are such; or more than
# half, where there are more different ones than words would be.
_SURE, MOST_CODES = 0.9, 20
# Where fewer values are missing, a feature that says so would be noise.
_FEWEST_MISSING, _LEAST_MISSING = 5, 0.05
_FEWEST_IN_ORDER = 20
_NAMES_OF_IDENTIFIERS = re.compile(
    r"(?i:ids?|idx|index|key|rows?|nr|no|num|number|#|uuid|guid|unnamed: 0|.*[ _.-]id)|.*[a-z]I[dD]"
)


def formats_of(table, decimal=None, thousands=None):
    """How numbers are written in each column, and the decimal sign of most columns that show one.

    Returns
    -------
    list of Reading
    preferred : {".", ",", None}
    """
    found, votes = [], {".": 0, ",": 0}
    for cells in table.cells:
        present = [text for text in cells if not is_missing(text)]
        found.append(readings(present, decimal, thousands))
        sign = vote(present, found[-1])
        if sign is not None:
            votes[sign] += 1
    if votes["."] != votes[","]:
        return found, max(votes, key=votes.get)
    return found, "," if table.delimiter == ";" and not votes["."] and _any_comma_alone(table, found) else None


def _any_comma_alone(table, found):
    """Whether some column of numbers has commas and no points: between semicolons these are decimal commas."""
    return any(
        2 * reading.n_numbers > len(cells) and any("," in cell for cell in cells) and not any("." in c for c in cells)
        for cells, reading in zip(table.cells, found, strict=True)
    )


def decide(name, cells, lines, number_format, is_words):
    """What a column of training is, and what a user should know of it.

    Parameters
    ----------
    name : str
    cells : list of str
    lines : list of int
    number_format : NumberFormat
        In which most of the cells are numbers, if any are.
    is_words : bool
        Whether it was said to be one of words.

    Returns
    -------
    column
        Of one of the kinds in `sltrees.tables._columns`.
    list of str
    """
    rows = [row for row, text in enumerate(cells) if not is_missing(text)]
    if not rows:
        return LeftOutColumn(name, "all values are missing"), [f"{name}: left out: all values are missing"]
    if is_words:
        return _words(name, cells, rows, [])
    numbers = [number_format.read(cells[row]) for row in rows]
    if _are_most(numbers, cells, rows):
        return _numeric(name, cells, lines, rows, numbers, number_format)
    dates, date_format = max(
        (([as_days(cells[row], each) for row in rows], each) for each in DATE_FORMATS),
        key=lambda found: len(rows) - found[0].count(None),
    )
    if _are_most(dates, cells, rows):
        return _date(name, cells, lines, rows, dates, date_format)
    report = []
    if 2 * (len(rows) - numbers.count(None)) > len(rows):
        row = rows[numbers.index(None)]
        report.append(f"{name}: taken as words, not numbers, because of {cells[row]!r} on line {lines[row]}")
    return _words(name, cells, rows, report)


def _are_most(values, cells, rows):
    """Whether a column is one of these values, and others in it are strays."""
    n_values = len(values) - values.count(None)
    if n_values >= _SURE * len(rows):
        return n_values > 0
    return 2 * n_values > len(rows) and len({cells[row] for row in rows}) > MOST_CODES


def _numeric(name, cells, lines, rows, numbers, number_format):
    strays = [row for row, number in zip(rows, numbers, strict=True) if number is None]
    numbers = [number for number in numbers if number is not None]
    n_missing = len(cells) - len(numbers)
    if not strays and not n_missing:
        why = _names_rows(name, numbers)
        if why == "sure":
            return IdentifierColumn(name), [f"{name}: left out: it numbers the rows"]
        if why:
            report = [f"{name}: whole numbers that only grow: if they name the rows, leave the column out (--drop)"]
            return NumericColumn(name, median(numbers), number_format), report
    column = NumericColumn(name, median(numbers), number_format, is_flagged(n_missing, cells), bool(strays))
    report = []
    if number_format.in_words:
        example = next(cells[row] for row in rows if number_format.read(cells[row]) is not None)
        same = f"such as {example!r} as {number_format.read(example):.15g}"
        report.append(f"{name}: numbers with {number_format.in_words}, {same}")
    if strays:
        report.append(strays_in_words(column, cells, lines, strays))
    if n_missing:
        report.append(f"{name}: {values_missing(n_missing)}, taken as the median {column.median:g}")
    return column, report


def numbers_all_the_same(name, cells, reading):
    """A column that numbers rows as one of numbers, where there is nothing else to learn from."""
    column = NumericColumn(name, median([reading.formats[0].read(text) for text in cells]), reading.formats[0])
    return column, [f"{name}: numbers the rows, but there is nothing else to learn from"]


def _names_rows(name, numbers):
    """ "sure" if numbers are those of rows, "maybe" if they may be, "" if not."""
    if len(numbers) < 3 or len(set(numbers)) < len(numbers) or not all(number.is_integer() for number in numbers):
        return ""
    steps = {later - number for number, later in itertools.pairwise(numbers)}
    in_order = min(steps) > 0 or max(steps) < 0
    if _NAMES_OF_IDENTIFIERS.fullmatch(name) and (in_order or len(numbers) >= _FEWEST_IN_ORDER):
        return "sure"
    if not in_order or len(numbers) < _FEWEST_IN_ORDER:
        return ""
    is_nameless = re.fullmatch(r"column \d+", name) is not None
    return "sure" if is_nameless and steps == {1.0} and numbers[0] in (0.0, 1.0) else "maybe"


def _date(name, cells, lines, rows, dates, date_format):
    strays = [row for row, day in zip(rows, dates, strict=True) if day is None]
    days = [day for day in dates if day is not None]
    n_missing = len(cells) - len(days)
    has_time = any(not day.is_integer() for day in days)
    column = DateColumn(name, median(days), date_format, has_time, is_flagged(n_missing, cells), bool(strays))
    parts = "days, year and week" + (" and time of day" if has_time else "")
    report = [f"{name}: dates, made into {parts}"]
    if is_ambiguous([cells[row] for row in rows if row not in strays], date_format):
        report[0] += "; months are taken to stand first"
    if strays:
        report.append(strays_in_words(column, cells, lines, strays))
    if n_missing:
        report.append(f"{name}: {values_missing(n_missing)}, taken as the date in the middle")
    return column, report


def _words(name, cells, rows, report):
    categories = tuple(sorted({cells[row] for row in rows}))
    if len(categories) == len(rows):
        return LeftOutColumn(name, "no value occurs twice"), [*report, f"{name}: left out: no value occurs twice"]
    n_missing = len(cells) - len(rows)
    if n_missing:
        report = [*report, f"{name}: {values_missing(n_missing)}, taken as a category of their own"]
    return CategoricalColumn(name, categories, n_missing > 0), report


def is_flagged(n_missing, cells):
    """Whether so many of the cells are missing that a feature says which."""
    return n_missing >= max(_FEWEST_MISSING, _LEAST_MISSING * len(cells))


def median(numbers):
    """The median; of two middle numbers the mean, without overflow."""
    ordered = sorted(numbers)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else low / 2 + high / 2


def said_otherwise(name, number_format, *, target, weight, dropped, identifiers):
    """The column that a name was said to be, and what a user should know of it; None if nothing was said.

    Parameters
    ----------
    name, target, weight : str or None
    number_format : NumberFormat
    dropped, identifiers : collections of str

    Returns
    -------
    tuple (column, list of str) or None
    """
    if name == target:
        return TargetColumn(name, number_format), []
    if name == weight:
        return WeightColumn(name, number_format), [f"{name}: weights of rows"]
    if name in identifiers:
        return IdentifierColumn(name), [f"{name}: left out: it names the rows"]
    if name in dropped:
        return LeftOutColumn(name, "it was asked for"), [f"{name}: left out: it was asked for"]
    return None
