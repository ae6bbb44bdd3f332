"""Dates as people write them, as numbers: days since 1970, and where in the year, the week and the day they are."""

from __future__ import annotations

import datetime
import re

import numpy as np

_ISO = "iso"
_TIME = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?)?"
_SHAPES = {
    _ISO: re.compile(rf"\d{{4}}-\d{{1,2}}-\d{{1,2}}{_TIME}(?:Z|[+-]\d{{2}}:?\d{{2}})?", re.ASCII),
    "%Y/%m/%d": re.compile(rf"\d{{4}}/\d{{1,2}}/\d{{1,2}}{_TIME}", re.ASCII),
    "%d.%m.%Y": re.compile(rf"\d{{1,2}}\.\d{{1,2}}\.\d{{4}}{_TIME}", re.ASCII),
    "%m/%d/%Y": re.compile(rf"\d{{1,2}}/\d{{1,2}}/\d{{4}}{_TIME}", re.ASCII),
    "%d/%m/%Y": re.compile(rf"\d{{1,2}}/\d{{1,2}}/\d{{4}}{_TIME}", re.ASCII),
    "%d-%m-%Y": re.compile(rf"\d{{1,2}}-\d{{1,2}}-\d{{4}}{_TIME}", re.ASCII),
    "%d %b %Y": re.compile(rf"\d{{1,2}} [A-Za-z]{{3}} \d{{4}}{_TIME}", re.ASCII),
    "%d %B %Y": re.compile(rf"\d{{1,2}} [A-Za-z]{{3,9}} \d{{4}}{_TIME}", re.ASCII),
    "%b %d, %Y": re.compile(rf"[A-Za-z]{{3}} \d{{1,2}}, \d{{4}}{_TIME}", re.ASCII),
    "%B %d, %Y": re.compile(rf"[A-Za-z]{{3,9}} \d{{1,2}}, \d{{4}}{_TIME}", re.ASCII),
}
DATE_FORMATS = tuple(_SHAPES)  # in the order in which they are tried
_MONTHS = ("january", "february", "march", "april", "may", "june")
_MONTHS += ("july", "august", "september", "october", "november", "december")
_EPOCH = datetime.datetime(1970, 1, 1)
_DAY = datetime.timedelta(days=1)
YEAR, WEEK = 365.2425, 7.0  # days


def as_days(text, date_format):
    """Read a date.

    Parameters
    ----------
    text : str
    date_format : str
        One of `DATE_FORMATS`.

    Returns
    -------
    float or None
        Days since the beginning of 1970, of time zones in UTC; None if it is no date in this format.

    Notes
    -----
    Names of months are English, whatever the locale. Cost: O(1).

    Examples
    --------
    >>> as_days("1970-01-02 12:00", "iso"), as_days("2.1.1970", "%d.%m.%Y"), as_days("31.2.1970", "%d.%m.%Y")
    (1.5, 1.0, None)
    """
    text = text.strip()
    if _SHAPES[date_format].fullmatch(text) is None:
        return None
    date, _, time = _split(text)
    try:
        day = datetime.datetime(*_year_month_day(date, date_format))
        since = day - _EPOCH + _since_midnight(time)
    except ValueError:
        return None
    return since / _DAY


def _split(text):
    """A date and the time behind it, which begins behind a T or the last space before a colon."""
    found = re.search(r"[T ](?=\d{1,2}:)", text)
    return (text, "", "") if found is None else (text[: found.start()], " ", text[found.end() :])


def _year_month_day(date, date_format):
    parts = re.findall(r"\d+|[A-Za-z]+", date)
    order = re.findall("%([YmdbB])", "%Y-%m-%d" if date_format == _ISO else date_format)
    found = dict(zip(("m" if letter in "bB" else letter for letter in order), parts, strict=False))
    if found["m"].isalpha():
        name, short = found["m"].lower(), "%b" in date_format
        names = [month[:3] for month in _MONTHS] if short else _MONTHS
        found["m"] = names.index(name) + 1  # ValueError if it is none
    return tuple(int(found[letter]) for letter in "Ymd")


def _since_midnight(time):
    """The time of day; a zone is taken off."""
    if not time:
        return datetime.timedelta()
    zone = re.search(r"(?:Z|([+-])(\d{2}):?(\d{2}))$", time)
    offset = datetime.timedelta()
    if zone is not None:
        time = time[: zone.start()]
        if zone[1]:
            offset = datetime.timedelta(hours=int(zone[2]), minutes=int(zone[3])) * (1 if zone[1] == "+" else -1)
    hours, minutes, *seconds = time.replace(",", ".").split(":")
    seconds = float(seconds[0]) if seconds else 0.0
    if int(hours) > 23 or int(minutes) > 59 or seconds >= 61:
        raise ValueError("no time of day")
    return datetime.timedelta(hours=int(hours), minutes=int(minutes), seconds=seconds) - offset


def date_format_of(cells):
    """The first format in which all cells are dates; None if there is none. Cost: O(cells) for each format."""
    for date_format in DATE_FORMATS:
        if cells and all(as_days(cell, date_format) is not None for cell in cells):
            return date_format
    return None


def is_ambiguous(cells, date_format):
    """Whether month and day may be the other way round in all cells. Cost: O(cells)."""
    return date_format == "%m/%d/%Y" and all(as_days(cell, "%d/%m/%Y") is not None for cell in cells)


def date_turns(has_time):
    """The year, the week and, if there is a time, the day: (days to add to days since 1970, length in days) of each."""
    return [(0.0, YEAR), (3.0, WEEK)] + ([(0.0, 1.0)] if has_time else [])  # 1970 began with a Thursday


def cycles(days, has_time):
    """Where dates are in the year, the week and, if they have a time, in the day.

    Parameters
    ----------
    days : ndarray of shape (n,)
        Since 1970; NaN gives zeros.
    has_time : bool

    Returns
    -------
    ndarray of shape (n, 4 or 6)
        Sines and cosines.

    Notes
    -----
    Cost: O(n).

    Examples
    --------
    >>> cycles(np.array([0.0, np.nan]), False).round(2)
    array([[ 0.  ,  1.  ,  0.43, -0.9 ],
           [ 0.  ,  0.  ,  0.  ,  0.  ]])
    """
    angles = 2.0 * np.pi * np.column_stack([(days + offset) / period for offset, period in date_turns(has_time)])
    parts = np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(len(days), -1)
    return np.nan_to_num(parts, nan=0.0)
