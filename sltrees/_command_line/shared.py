"""What the commands share: exit codes, messages, reading what they are given, writing what they made."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import stat
import sys
import unicodedata
import warnings

import numpy as np

from sltrees.files.replacing import replacing
from sltrees.tables import read_table
from sltrees.tables._cells import plural
from sltrees.tables._delimiters import DELIMITERS

FAR = 0.1  # beyond the range of a feature, in units of it
EXIT_DONE, EXIT_OUTPUT, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

DECIMALS = {"point": ".", "comma": ","}
THOUSANDS = {"none": "", "comma": ",", "point": ".", "space": " ", "apostrophe": "'"}

# letters that turn the direction of what is written
_TURNING = "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class Reporter:
    """Tell people things on standard error, or keep quiet.

    Parameters
    ----------
    quiet : bool
    """

    def __init__(self, quiet):
        self.quiet = quiet

    def say(self, *lines):
        """Print lines, unless quiet."""
        if not self.quiet:
            for line in lines:
                print(printable(line), file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def progress(self):
        """Bring to standard error, in a line each, the warnings of a block, and what it prints; nothing if quiet."""

        def show(message, category, filename, lineno, file=None, line=None):
            self.say(f"warning: {message}")

        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO() if self.quiet else sys.stderr):
            warnings.showwarning = show
            yield


def printable(text):
    r"""Text from a file as a terminal may be given it: what would move the cursor, or turn letters around, is escaped.

    Examples
    --------
    >>> printable("size \x1b[2J")
    'size \\x1b[2J'
    """
    return "".join(
        letter.encode("unicode_escape").decode()
        if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in _TURNING
        else letter
        for letter in text
    )


def add_table_options(parser):
    """Add the options that say how a CSV file is to be read."""
    header = parser.add_mutually_exclusive_group()
    header.add_argument(
        "--header",
        dest="header",
        action="store_const",
        const=True,
        default=None,
        help="the first row holds the names of the columns",
    )
    header.add_argument("--no-header", dest="header", action="store_const", const=False, help="the first row is data")
    parser.add_argument("--delimiter", choices=tuple(DELIMITERS), help="between fields; by default it is found out")
    parser.add_argument("--encoding", default="utf-8", help="of the text, such as latin-1; utf-8 by default")


def add_column_options(parser):
    """Add the options that say what the columns of a CSV file are."""
    parser.add_argument(
        "--decimal", type=_sign(DECIMALS), help="comma or point, in numbers; by default it is found out"
    )
    parser.add_argument(
        "--thousands", type=_sign(THOUSANDS), help="between groups of digits: comma, point, ... or none"
    )
    parser.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="leave a column out")
    parser.add_argument(
        "--categorical", action="append", default=[], metavar="COLUMN", help="take a column of numbers as words"
    )
    parser.add_argument(
        "--id",
        action="append",
        default=[],
        metavar="COLUMN",
        help="it names rows: not learned from, but predicted with",
    )
    parser.add_argument("--weight", metavar="COLUMN", help="it has weights of rows, at least 0")


def _sign(names):
    """A sign by its name, or as it is."""

    def sign(text):
        if text in names.values():
            return text
        if text not in names:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(names)}, got {text!r}")
        return names[text]

    return sign


def add_output_options(parser):
    """Add --json and --quiet."""
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="print nothing but results and errors")


def read_input(path, header, options):
    """Read the CSV file that a command was given; ValueError also if it cannot be read."""
    delimiter = None if options.delimiter is None else DELIMITERS[options.delimiter]
    with reading(path):
        return read_table(path, header, delimiter=delimiter, encoding=options.encoding)


def read_like_training(options, model, reporter):
    """The table that a command was given, and its features as a model knows them; what was noticed is said."""
    header = model.encoder.has_header_ if options.header is None else options.header
    table = read_input(options.data, header, options)
    X = model.encoder.transform(table)
    reporter.say(*model.encoder.transform_report)
    n_outside = int((outside(model, X) > FAR).sum())
    if n_outside:
        reporter.say(
            f"{plural(n_outside, 'row')} of {table.n_rows:,} far outside the range that was learned from: predictions "
            "level off there"
        )
    return table, X


def outside(model, X):
    """How far rows are outside the range that was learned from: 0 inside, and where it is not known."""
    known = model.estimator.feature_ranges_ is not None
    return model.estimator.outside_range(X) if known else np.zeros(len(X))


@contextlib.contextmanager
def reading(path):
    """Make a ValueError of what hinders the reading of an input, so that it is told apart from unwritable output."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None


def check_regular(path):
    """Refuse a path at which there is something that is no file, such as a device: a model cannot take its place."""
    if os.path.exists(path) and not is_regular(path):
        raise OSError(f"cannot write {path}: it is not a regular file")


def check_output(path, *inputs):
    """Refuse a file to be written before any work is done for it.

    Raises
    ------
    ValueError
        If it is one of the inputs, or "-".
    OSError
        If it is a directory, its directory does not exist, or may not be written to.
    """
    for name in inputs:
        if name != "-" and (
            os.path.realpath(name) == os.path.realpath(path)
            or (os.path.exists(name) and os.path.exists(path) and os.path.samefile(name, path))
        ):
            raise ValueError(f"the output {path} would overwrite the input {name}")
    if path == "-":
        raise ValueError("the output must be a file, got '-'")
    directory = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path):
        raise OSError(f"cannot write {path}: it is a directory")
    if not os.path.isdir(directory):
        raise OSError(f"cannot write {path}: there is no directory {directory}")
    if not os.access(path if os.path.exists(path) and not is_regular(path) else directory, os.W_OK):
        raise OSError(f"cannot write {path}: permission denied")


def is_regular(path):
    """Whether there is a regular file: what is none, such as a pipe, must not be replaced by renaming."""
    return stat.S_ISREG(os.stat(path).st_mode)


def write_text(path, text):
    """Write UTF-8 text, in one instant if a regular file is made or replaced; to standard output if path is None."""
    if path is None and sys.stdout.isatty():
        text = "".join(printable(line) + "\n" for line in text.removesuffix("\n").split("\n"))
    data = text.encode("utf-8")
    if path is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    elif os.path.exists(path) and not is_regular(path):
        with open(path, "wb") as file:
            file.write(data)
    else:
        with replacing(os.path.realpath(path)) as file:
            file.write(data)


def aligned(rows):
    """Lines of names and values, the values below each other."""
    rows = [(printable(name), printable(str(value))) for name, value in rows]
    width = max(len(name) for name, _ in rows) + 3
    return "".join(f"{name:{width}}{value}\n" for name, value in rows)


def file_size(path):
    """The size of a file in words."""
    size = os.path.getsize(path)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.2f} GiB"
