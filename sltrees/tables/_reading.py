"""Reading CSV files: encoding, delimiter, header, and errors that name the line."""

from __future__ import annotations

import codecs
import csv
import gzip
import os
import sys
import zlib

from sltrees.tables._cells import plural
from sltrees.tables._dates import date_format_of
from sltrees.tables._delimiters import DELIMITERS, find_delimiter, reader_of
from sltrees.tables._numbers import is_like_a_number
from sltrees.tables._table import Table

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OTHER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_GZIP_MARK = b"\x1f\x8b"


def read_table(path, header="auto", *, delimiter=None, encoding="utf-8"):
    r"""Read a CSV file.

    Parameters
    ----------
    path : str, path-like or binary file
        "-" means standard input. What was compressed by gzip is unpacked, whatever its name.
    header : {"auto", True, False}, default "auto"
        Whether the first row holds the names of the columns. "auto" looks: a row with a number in it, be it with a
        decimal comma, is no header. Otherwise it is one if there is a number further down; or, where there is none
        anywhere, if its cells are not empty, all different, and none occurs again further down in its own column.
    delimiter : {",", ";", "\t", "|"}, optional
        By default the one that fits the first 100 records best: that splits most of them into the same number of
        fields, at least 2; of several, the one that makes the largest share of numbers of them, and then the first of
        tab, semicolon, vertical bar and comma.
    encoding : str, default "utf-8"
        Of the text, as Python calls it, such as "latin-1", "cp1252" or "utf-16".

    Returns
    -------
    Table
        White space around cells is dropped. Columns without a name are called "column 1", "column 2", ... by position.

    Raises
    ------
    ValueError
        If the file is empty, has a header and no row, is not text of the encoding, has a row with more or fewer fields
        than the first, a quote that is not closed, or a name that occurs twice. The message names the line, or the
        byte.
    OSError
        If the file cannot be read.

    Notes
    -----
    There may be a byte-order mark. Fields may be quoted with ", and then hold delimiters, line ends, and
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
    encoding = _codec(encoding)
    data, source = _read_bytes(path)
    if data.startswith(_GZIP_MARK):
        data = _unpacked(data, source)
    text = _decode(data, source, encoding)
    if delimiter is None:
        delimiter = find_delimiter(text)
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
    cells = [list(column) for column in zip(*records, strict=True)]
    return Table(columns, cells, lines, bool(header), source, delimiter)


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


def _unpacked(data, source):
    """What gzip compressed."""
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{source} begins as a gzip file, but cannot be unpacked: {error}") from None


def _codec(encoding):
    """The name of an encoding of text."""
    try:
        found = codecs.lookup(encoding)
        "".encode(found.name)  # an encoding of bytes as bytes, such as base64, is refused here
    except LookupError:
        raise ValueError(
            f"encoding must be one that Python knows, such as utf-8 or latin-1, got {encoding!r}"
        ) from None
    return found.name


def _decode(data, source, encoding):
    """Text of bytes."""
    if encoding != "utf-8":
        try:
            text = data.decode(encoding).removeprefix("\ufeff")
        except UnicodeError as error:
            raise ValueError(f"{source} is not text in {encoding}: {error}") from None
        if "\0" in text:
            line = text.count("\n", 0, text.index("\0")) + 1
            raise ValueError(f"{source} must be text in {encoding}, but line {line} has a character that is 0")
        return text
    for mark, other in _OTHER_MARKS.items():
        if data.startswith(mark):
            raise ValueError(
                f"{source} must be UTF-8, but byte 0 begins a byte-order mark of {other} (--encoding utf-16 reads that)"
            )
    skipped = len(_BYTE_ORDER_MARK) if data.startswith(_BYTE_ORDER_MARK) else 0
    try:
        text = data[skipped:].decode("utf-8")
    except UnicodeDecodeError as error:
        position = error.start + skipped
        line = data.count(b"\n", 0, position) + 1
        raise ValueError(
            f"{source} must be UTF-8, but byte {position} (line {line}) is 0x{data[position]:02x}, which is not; files "
            "of older programs are read with --encoding latin-1 or cp1252"
        ) from None
    if "\0" in text:
        position = data.index(b"\0")
        line = data.count(b"\n", 0, position) + 1
        raise ValueError(f"{source} must be text, but byte {position} (line {line}) is 0")
    return text


def _parse(text, delimiter, source):
    """Records of stripped cells, all of one length, and the lines on which they begin."""
    reader = reader_of(text, delimiter)
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
    columns = list(zip(*rest, strict=True)) or [()] * len(first)
    if any(map(_is_value, first, columns)):
        return False
    if any(is_like_a_number(cell) for record in rest for cell in record):
        return True
    if not all(first) or len(set(first)) < len(first):
        return False
    return not any(cell == name for record in rest for cell, name in zip(record, first, strict=True))


def _is_value(cell, below):
    """Whether a cell of the first record is a number, or a date, or one with a unit as most of those below are."""
    if is_like_a_number(cell):
        return True
    if is_like_a_number(cell, with_units=True):
        alike = [text for text in below if not is_like_a_number(text) and is_like_a_number(text, with_units=True)]
        return 2 * len(alike) > len(below)
    return date_format_of([cell]) is not None


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
