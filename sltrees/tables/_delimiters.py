"""What stands between the fields of a CSV file."""

from __future__ import annotations

import collections
import csv
import io
import itertools

from sltrees.tables._cells import is_missing
from sltrees.tables._dates import date_format_of
from sltrees.tables._numbers import is_like_a_number

DELIMITERS = {"tab": "\t", "semicolon": ";", "pipe": "|", "comma": ","}  # of those that fit alike, the first
_SAMPLE = 100  # records that the delimiter is judged by


def reader_of(text, delimiter):
    """The records of a text, as the csv module reads them."""
    # it wants to see line ends as they are
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)


def find_delimiter(text):
    """The delimiter that fits the head of a text best.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        See `sltrees.tables.read_table`.

    Notes
    -----
    Cost: O(characters of the first 100 records).

    Examples
    --------
    >>> find_delimiter("51.26,green;new,14.12\\n3.1,red;old,5\\n"), find_delimiter("1,5;2,5\\n3,5;4,5\\n")
    (',', ';')
    """
    best, chosen = (0.0, 0.0, 0), ","
    for delimiter in DELIMITERS.values():
        records, is_broken = [], False
        try:
            records += itertools.islice((record for record in reader_of(text, delimiter) if record), _SAMPLE)
        except csv.Error:  # such as letters behind a closing quote: not this one, if another one will do
            is_broken = True
        fit = _fit(records, is_broken)
        if fit > best:
            best, chosen = fit, delimiter
    return chosen


def _fit(records, is_broken):
    """How well records fit: the larger, the better."""
    lengths = collections.Counter(map(len, records))
    n_fields = max(lengths, key=lengths.get, default=1)
    if n_fields < 2 or is_broken:  # a table of one column, or if it cannot be helped the one that makes most fields
        is_one_column = set(lengths) == {1} and not is_broken
        is_head_alone = records and len(records[0]) < 2
        return (0.0, 0.0, int(is_one_column) if is_head_alone else sum(map(len, records)))
    share = lengths[n_fields] / len(records)
    cells = [cell.strip() for record in records[1:] or records for cell in record]
    values = sum(is_missing(cell) or is_like_a_number(cell) or date_format_of([cell]) is not None for cell in cells)
    return (share, values / len(cells), 0)
