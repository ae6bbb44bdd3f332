"""Reading CSV files: encoding, delimiter, header, and errors that name the line."""

from __future__ import annotations

import csv
import io
import itertools
import os
import sys

from sltrees.tables._cells import as_number, plural
from sltrees.tables._table import Table

DELIMITERS = {"tab": "\t", "semicolon": ";", "pipe": "|", "comma": ","}  # in the order in which they are tried
_SAMPLE = 100  # records that the delimiter is judged by
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OTHER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def read_table(path, header="auto", *, delimiter=None):
    r"""Read a CSV file.

    Parameters
    ----------
    path : str, path-like or binary file
        "-" means standard input.
    header : {"auto", True, False}, default "auto"
        Whether the first row holds the names of the columns. "auto" looks: a row with a number in it, be it with a
        decimal comma, is no header. Otherwise it is one if there is a number further down; or, where there is none
        anywhere, if its cells are not empty, all different, and none occurs again further down in its own column.
    delimiter : {",", ";", "\t", "|"}, optional
        By default the first of tab, semicolon, vertical bar and comma that splits each of the first 100 records into
        the same number of fields, at least 2; where none does, the one that makes most fields.

    Returns
    -------
    Table
        White space around cells is dropped. Columns without a name are called "column 1", "column 2", ... by position.

    Raises
    ------
    ValueError
        If the file is empty, has a header and no row, is not UTF-8, has a row with more or fewer fields than the first,
        a quote that is not closed, or a name that occurs twice. The message names the line, or the byte.
    OSError
        If the file cannot be read.

    Notes
    -----
    UTF-8 with or without a byte-order mark. Fields may be quoted with ", and then hold delimiters, line ends, and
    quotes written twice. Blank lines are passed over (in a table of one column only lines without any character).

    Cost: O(size of the file), of which several copies are in memory for a while.

    Examples
    --------
    >>> import io
    >>> table = read_table(io.BytesIO(b"size;colour\n1.5;red\n2;\n"))
    >>> table.columns, table.cells
    (['size', 'colour'], [['1.5', '2'], ['red', '']])
    """
    if header not in ("auto", True, False):
        raise ValueError(f"header must be 'auto', True or False, got {header!r}")
    if delimiter is not None and delimiter not in DELIMITERS.values():
        raise ValueError(f"delimiter must be one of {', '.join(map(repr, DELIMITERS.values()))}, got {delimiter!r}")
    data, source = _read_bytes(path)
    text = _decode(data, source)
    if delimiter is None:
        delimiter = _sniff(text)
    records, lines = _parse(text, delimiter, source)
    if not records:
        raise ValueError(f"{source} is empty: it has no row")
    if header == "auto":
        header = _has_header(records)
    columns = [f"column {position}" for position in range(1, len(records[0]) + 1)]
    if header:
        columns = _names(records[0], columns, lines[0], source)
        if len(records) == 1:
            raise ValueError(f"{source} has a header (line {lines[0]}) but no row of data")
        records, lines = records[1:], lines[1:]
    return Table(columns, [list(column) for column in zip(*records, strict=True)], lines, bool(header), source)


def _read_bytes(path):
    """The bytes of a file, and how messages call it."""
    if hasattr(path, "read"):
        data, source = path.read(), os.fspath(getattr(path, "name", "table"))
        if not isinstance(data, bytes):
            raise TypeError(f"a file must be open in binary mode, got {type(path).__name__}")
        return data, source
    if os.fspath(path) == "-":
        return sys.stdin.buffer.read(), "standard input"
    with open(path, "rb") as file:
        return file.read(), os.fspath(path)


def _decode(data, source):
    """Text of UTF-8 bytes."""
    for mark, encoding in _OTHER_MARKS.items():
        if data.startswith(mark):
            raise ValueError(f"{source} must be UTF-8, but byte 0 begins a byte-order mark of {encoding}")
    skipped = len(_BYTE_ORDER_MARK) if data.startswith(_BYTE_ORDER_MARK) else 0
    try:
        text = data[skipped:].decode("utf-8")
    except UnicodeDecodeError as error:
        position = error.start + skipped
        line = data.count(b"\n", 0, position) + 1
        raise ValueError(
            f"{source} must be UTF-8, but byte {position} (line {line}) is 0x{data[position]:02x}, which is not"
        ) from None
    if "\0" in text:
        position = data.index(b"\0")
        line = data.count(b"\n", 0, position) + 1
        raise ValueError(f"{source} must be text, but byte {position} (line {line}) is 0")
    return text


def _reader(text, delimiter):
    # the csv module wants to see line ends as they are
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)


def _sniff(text):
    """The delimiter of a text: see `read_table`."""
    most, chosen = 0, ","
    for delimiter in DELIMITERS.values():
        try:
            records = (record for record in _reader(text, delimiter) if record)
            lengths = [len(record) for record in itertools.islice(records, _SAMPLE)]
        except csv.Error:  # such as letters behind a closing quote: not this one
            continue
        if lengths and lengths[0] > 1 and len(set(lengths)) == 1:
            return delimiter
        if sum(lengths) - len(lengths) > most:
            most, chosen = sum(lengths) - len(lengths), delimiter
    return chosen


def _parse(text, delimiter, source):
    """Records of stripped cells, all of one length, and the lines on which they begin."""
    reader = _reader(text, delimiter)
    records, lines = [], []
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            raise ValueError(f"{source}, line {line}: the record that begins here is not CSV: {error}") from None
        if record is None:
            return records, lines
        record = [cell.strip() for cell in record]
        if not record or (record == [""] and records and len(records[0]) > 1):
            continue  # a blank line
        if records and len(record) != len(records[0]):
            raise ValueError(
                f"{source}, line {line}: {plural(len(record), 'field')}, but line {lines[0]} has {len(records[0])}"
            )
        records.append(record)
        lines.append(line)


def _has_header(records):
    """Whether the first record names the columns: see `read_table`."""
    first, rest = records[0], records[1:]
    if any(map(_is_numeric, first)):
        return False
    if any(_is_numeric(cell) for record in rest for cell in record):
        return True
    if not all(first) or len(set(first)) < len(first):
        return False
    return not any(cell == name for record in rest for cell, name in zip(record, first, strict=True))


def _is_numeric(cell):
    # with a decimal comma it is no number to us, but no name either
    return as_number(cell.replace(",", ".")) is not None


def _names(record, positions, line, source):
    """Names of columns: the header, with the position where it has none."""
    names = [name or position for name, position in zip(record, positions, strict=True)]
    seen = {}
    for position, name in enumerate(names, 1):
        if name in seen:
            raise ValueError(
                f"{source}, line {line}: names of columns must be unique, but columns {seen[name]} and {position} are "
                f"both called {name!r}"
            )
        seen[name] = position
    return names
