"""What the text in one cell means: nothing, a number, or a category."""

from __future__ import annotations

import math

MISSING = frozenset(["", "?", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none"])
"""What stands for a missing value, in upper or lower case."""


def is_missing(text):
    """Say whether a cell is empty or holds a word for a missing value, one of `MISSING`.

    Parameters
    ----------
    text : str
        White space around it and upper case do not matter.

    Returns
    -------
    bool

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> is_missing(""), is_missing("NaN"), is_missing(" n/a "), is_missing("0")
    (True, True, True, False)
    """
    return text.strip().lower() in MISSING


def as_number(text):
    """Read a finite number.

    Parameters
    ----------
    text : str
        Digits with an optional sign, decimal point and exponent. A decimal comma, a separator between thousands, or a
        unit makes it no number; nor do "inf" and what overflows count as one.

    Returns
    -------
    float or None
        None where the text is no finite number.

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> as_number(" -1.5e3"), as_number("1,5"), as_number("inf")
    (-1500.0, None, None)
    """
    if "_" in text:  # float() takes 1_000
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def quoted(values, limit=5):
    """The first few of several texts, for a message: 'a', 'b' and 3 more."""
    values = list(values)
    shown = ", ".join(repr(value) for value in values[:limit])
    return shown if len(values) <= limit else f"{shown} and {len(values) - limit} more"


def plural(count, word):
    """A count with its noun: 1 row, 2 rows, 1,000 rows."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
