"""Turning the columns of a table into numbers."""

from __future__ import annotations

import collections
import dataclasses
import math
import typing

import numpy as np

from sltrees.tables._cells import as_number, is_missing, plural, quoted

_FORMAT = 1  # of the state
_NO_STATE = "not the state of a table encoder"


@dataclasses.dataclass(frozen=True)
class NumericColumn:
    """A column of numbers; missing ones become the median of those seen in training."""

    kind: typing.ClassVar[str] = "numeric"
    name: str
    median: float

    @property
    def feature_names(self):
        """Names of the columns that this one becomes."""
        return [self.name]

    def encode(self, cells, lines, source, out):
        """Fill out, of shape (rows, 1), and return lines of what was noticed."""
        n_missing = 0
        for row, text in enumerate(cells):
            number = as_number(text)
            if number is None and not is_missing(text):
                raise ValueError(
                    f"{source}, line {lines[row]}: column {self.name!r} must hold a finite number, as in training, "
                    f"got {text!r}"
                )
            n_missing += number is None
            out[row, 0] = self.median if number is None else number
        return [f"{self.name}: {_values_missing(n_missing)}, taken as {self.median:g}"] if n_missing else []


@dataclasses.dataclass(frozen=True)
class CategoricalColumn:
    """A column of words: a column of zeros and ones for each of those seen in training."""

    kind: typing.ClassVar[str] = "categorical"
    name: str
    categories: tuple[str, ...]
    missing_category: bool  # whether a missing value is a category of its own: it was there in training

    @property
    def feature_names(self):
        """Names of the columns that this one becomes; no category is called NA, which stands for missing values."""
        names = [*self.categories, "NA"] if self.missing_category else self.categories
        return [f"{self.name}={category}" for category in names]

    def encode(self, cells, lines, source, out):
        """Fill out, of shape (rows, categories), and return lines of what was noticed."""
        places = {category: place for place, category in enumerate(self.categories)}
        unseen = collections.Counter()
        n_missing = 0
        out[:] = 0.0
        for row, text in enumerate(cells):
            if is_missing(text):
                n_missing += 1
                if self.missing_category:
                    out[row, -1] = 1.0
            elif text in places:
                out[row, places[text]] = 1.0
            else:
                unseen[text] += 1
        report = []
        if unseen:
            texts = quoted(text for text, _ in unseen.most_common())
            values = f"{plural(unseen.total(), 'value')} not seen in training ({texts})"
            report.append(f"{self.name}: {values}, taken as none of those seen")
        if n_missing and not self.missing_category:
            report.append(f"{self.name}: {_values_missing(n_missing)}, taken as none of those seen in training")
        return report


@dataclasses.dataclass(frozen=True)
class LeftOutColumn:
    """A column that says nothing: all values are missing, or none occurs twice."""

    kind: typing.ClassVar[str] = "left out"
    feature_names: typing.ClassVar[tuple[str, ...]] = ()
    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class TargetColumn:
    """The column to be predicted, which is no feature."""

    kind: typing.ClassVar[str] = "target"
    feature_names: typing.ClassVar[tuple[str, ...]] = ()
    name: str


class TableEncoder:
    """Turn the columns of a table into numbers.

    A column is *numeric* if each value that is present is a finite number, *categorical* otherwise. A numeric column
    stays one column; missing values become the median of the present ones in training. A categorical column becomes a
    column of zeros and ones for each value seen in training, in sorted order, and one more for missing values if there
    were any in training. At prediction, values not seen in training, and missing ones where none was missing in
    training, become zeros in all of these. Columns in which everything is missing, and categorical ones in which no
    value occurs twice (names, identifiers), are left out.

    Attributes
    ----------
    columns_ : list
        What was decided of each column of the training table, in its order.
    report : list of str
        What a user should know about the training table, in words.
    transform_report : list of str
        The same of the table transformed last.
    feature_names_out : list of str
        Names of the columns made: "size" of a numeric column, "colour=red" of a category, "colour=NA" of what is
        missing.

    Notes
    -----
    Memory of the result: 8 bytes x rows x columns made.

    Examples
    --------
    >>> from sltrees.tables import Table
    >>> training = Table(["size", "colour", "price"], [["1", "", "3"], ["red", "blue", "red"], ["1", "2", "3"]])
    >>> encoder = TableEncoder().fit(training, target="price")
    >>> encoder.feature_names_out
    ['size', 'colour=blue', 'colour=red']
    >>> encoder.transform(training)
    array([[1., 0., 1.],
           [2., 1., 0.],
           [3., 0., 1.]])
    >>> encoder.transform(Table(["colour", "size"], [["green"], ["5"]]))
    array([[5., 0., 0.]])
    >>> encoder.transform_report
    ["colour: 1 value not seen in training ('green'), taken as none of those seen"]
    """

    def __init__(self):
        self.columns_ = None
        self.report = []
        self.transform_report = []

    # ------------------------------------------------------------------ fitting

    def fit(self, table, target=None):
        """Decide what each column is.

        Parameters
        ----------
        table : Table
        target : str, optional
            The column to be predicted. It is not encoded, and need not be there at prediction.

        Returns
        -------
        TableEncoder
            The object itself.

        Raises
        ------
        ValueError
            If there is no such target, or no column to learn from.

        Notes
        -----
        Cost: O(cells).

        Examples
        --------
        >>> from sltrees.tables import Table
        >>> TableEncoder().fit(Table(["a", "b"], [["1", "2"], ["x", "y"]])).report
        ['1 column to learn from: 1 numeric, 0 categorical; 1 feature', 'b: left out: no value occurs twice']
        """
        position = None if target is None else table.position(target)
        columns, notes = [], []
        for place, (name, cells) in enumerate(zip(table.columns, table.cells, strict=True)):
            if place == position:
                columns.append(TargetColumn(name))
            else:
                column, lines = _decide(name, cells, table.lines)
                columns.append(column)
                notes += lines
        if not any(column.feature_names for column in columns):
            raise ValueError(f"{table.source} has no column to learn from" + "".join(f"; {line}" for line in notes))
        self._install(columns, table.has_header)
        self.report = [self._summary(), *notes]
        return self

    def _install(self, columns, has_header):
        self.columns_ = columns
        self.has_header_ = has_header
        self.report = []
        self.transform_report = []

    def _summary(self):
        kinds = collections.Counter(column.kind for column in self.columns_)
        numeric, categorical = kinds["numeric"], kinds["categorical"]
        return (
            f"{plural(numeric + categorical, 'column')} to learn from: {numeric} numeric, {categorical} categorical; "
            f"{plural(len(self.feature_names_out), 'feature')}"
        )

    # ------------------------------------------------------------------ what was decided

    @property
    def feature_names_out(self):
        """Names of the columns that `transform` makes."""
        self._require_fitted()
        return [name for column in self.columns_ for name in column.feature_names]

    @property
    def target(self):
        """Name of the column to be predicted; None if there is none."""
        self._require_fitted()
        return next((column.name for column in self.columns_ if column.kind == "target"), None)

    # ------------------------------------------------------------------ encoding

    def transform(self, table):
        """Turn a table into numbers.

        Parameters
        ----------
        table : Table
            Columns are found by name: their order does not matter, others are passed over, and so are the target and
            what was left out. Where this table or that of training has no header, they are found by position, and
            there must be as many as in training; the target may be absent.

        Returns
        -------
        ndarray of shape (rows, features), dtype=float64

        Raises
        ------
        ValueError
            If columns are missing, or a numeric one holds what is no number. The message names them, or the line.
        RuntimeError
            If `fit` was not called.

        Notes
        -----
        Cost: O(cells + rows x features).

        Examples
        --------
        >>> from sltrees.tables import Table
        >>> encoder = TableEncoder().fit(Table(["a"], [["1", "2"]]))
        >>> encoder.transform(Table(["b", "a"], [["x"], ["5"]]))
        array([[5.]])
        >>> encoder.transform_report
        ["columns that were not there in training are passed over: 'b'"]
        """
        self._require_fitted()
        if self.has_header_ and table.has_header:
            cells, report = self._match_names(table)
        else:
            cells, report = self._match_positions(table), []
        encoded = np.zeros((table.n_rows, len(self.feature_names_out)))
        start = 0
        for column, column_cells in zip(self.columns_, cells, strict=True):
            stop = start + len(column.feature_names)
            if stop > start:
                report += column.encode(column_cells, table.lines, table.source, encoded[:, start:stop])
            start = stop
        self.transform_report = report
        return encoded

    def _match_names(self, table):
        """Cells of each column of training, None where they are not needed; and what was noticed."""
        found = dict(zip(table.columns, table.cells, strict=True))
        absent = [column.name for column in self.columns_ if column.feature_names and column.name not in found]
        if absent:
            hint = "" if any(column.name in found for column in self.columns_) else "; is its first row no header?"
            raise ValueError(f"{table.source} lacks columns that were there in training: {quoted(absent, 20)}{hint}")
        known = {column.name for column in self.columns_}
        others = [name for name in table.columns if name not in known]
        report = [f"columns that were not there in training are passed over: {quoted(others)}"] if others else []
        return [found.get(column.name) for column in self.columns_], report

    def _match_positions(self, table):
        """Cells of each column of training by position, None for a target that is absent."""
        if len(table.cells) == len(self.columns_):
            return table.cells
        if self.target is None or len(table.cells) != len(self.columns_) - 1:
            wanted = f"{len(self.columns_)}" + ("" if self.target is None else f", or {len(self.columns_) - 1}")
            raise ValueError(
                f"{table.source} must have the {wanted} columns of the training data, got {len(table.cells)}: "
                "without a header columns are found by position"
            )
        cells = iter(table.cells)
        return [None if column.kind == "target" else next(cells) for column in self.columns_]

    # ------------------------------------------------------------------ state

    def to_dict(self):
        """Return what was decided, as JSON can hold it.

        Returns
        -------
        dict

        Raises
        ------
        RuntimeError
            If `fit` was not called.

        Notes
        -----
        Cost: O(columns + categories).

        Examples
        --------
        >>> from sltrees.tables import Table
        >>> TableEncoder().fit(Table(["a"], [["1", "3"]])).to_dict()["columns"]
        [{'kind': 'numeric', 'name': 'a', 'median': 2.0}]
        """
        self._require_fitted()
        columns = [{"kind": column.kind, **dataclasses.asdict(column)} for column in self.columns_]
        for state in columns:
            if "categories" in state:
                state["categories"] = list(state["categories"])
        return {"format": _FORMAT, "has_header": self.has_header_, "columns": columns}

    @classmethod
    def from_dict(cls, state):
        """Make an encoder from what `to_dict` returned.

        Parameters
        ----------
        state : dict
            Not trusted: anything that `to_dict` cannot have returned is refused.

        Returns
        -------
        TableEncoder

        Raises
        ------
        ValueError
            If it is not the state of an encoder.

        Notes
        -----
        Cost: O(columns + categories).

        Examples
        --------
        >>> from sltrees.tables import Table
        >>> encoder = TableEncoder().fit(Table(["a"], [["1", "3"]]))
        >>> TableEncoder.from_dict(encoder.to_dict()).transform(Table(["a"], [[""]]))
        array([[2.]])
        """
        _check_keys(state, {"format", "has_header", "columns"})
        if state["format"] != _FORMAT or isinstance(state["format"], bool):
            raise ValueError(f"{_NO_STATE}: format must be {_FORMAT}, got {state['format']!r}")
        if not isinstance(state["has_header"], bool) or not isinstance(state["columns"], list):
            raise ValueError(f"{_NO_STATE}: has_header must be a truth value, and columns a list")
        columns = [_column_of(entry) for entry in state["columns"]]
        if len({column.name for column in columns}) < len(columns):
            raise ValueError(f"{_NO_STATE}: names of columns must be unique")
        if sum(column.kind == "target" for column in columns) > 1:
            raise ValueError(f"{_NO_STATE}: there must be one target at most")
        if not any(column.feature_names for column in columns):
            raise ValueError(f"{_NO_STATE}: there must be a column to learn from")
        encoder = cls()
        encoder._install(columns, state["has_header"])
        return encoder

    def _require_fitted(self):
        if self.columns_ is None:
            raise RuntimeError("the encoder has not seen a table yet: call fit(table) first")


def _decide(name, cells, lines):
    """What a column of training is, and what a user should know of it."""
    present = [text for text in cells if not is_missing(text)]
    n_missing = len(cells) - len(present)
    if not present:
        return LeftOutColumn(name, "all values are missing"), [f"{name}: left out: all values are missing"]
    numbers = [as_number(text) for text in present]
    n_numbers = len(numbers) - numbers.count(None)
    if n_numbers == len(numbers):
        column = NumericColumn(name, _median(numbers))
        return column, [
            f"{name}: {_values_missing(n_missing)}, taken as the median {column.median:g}"
        ] if n_missing else []
    report = []
    if 2 * n_numbers > len(present) or all(as_number(text.replace(",", ".")) is not None for text in present):
        line, text = next(
            (line, text)
            for line, text in zip(lines, cells, strict=True)
            if not is_missing(text) and as_number(text) is None
        )
        hint = " (write decimal points, not commas)" if as_number(text.replace(",", ".")) is not None else ""
        report.append(f"{name}: taken as words, not numbers, because of {text!r} on line {line}{hint}")
    categories = tuple(sorted(set(present)))
    if len(categories) == len(present):
        return LeftOutColumn(name, "no value occurs twice"), [*report, f"{name}: left out: no value occurs twice"]
    if n_missing:
        report.append(f"{name}: {_values_missing(n_missing)}, taken as a category of their own")
    return CategoricalColumn(name, categories, n_missing > 0), report


def _median(numbers):
    """The median; of two middle numbers the mean, without overflow."""
    ordered = sorted(numbers)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else low / 2 + high / 2


def _values_missing(count):
    return f"{plural(count, 'value')} missing"


def _check_keys(state, keys):
    if not isinstance(state, dict) or state.keys() != keys:
        got = sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"{_NO_STATE}: must have the keys {', '.join(sorted(keys))}, got {got}")


def _column_of(state):
    """A column from its state, every field checked."""
    kinds = {cls.kind: cls for cls in (NumericColumn, CategoricalColumn, LeftOutColumn, TargetColumn)}
    kind = state.get("kind") if isinstance(state, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"{_NO_STATE}: kind of a column must be one of {', '.join(kinds)}, got {kind!r}")
    fields = {field.name for field in dataclasses.fields(kinds[kind])}
    _check_keys(state, fields | {"kind"})
    values = {name: state[name] for name in fields}
    for name in sorted(fields & {"name", "reason"}):
        if not isinstance(values[name], str):
            raise ValueError(f"{_NO_STATE}: {name} of a column must be text, got {values[name]!r}")
    if kind == "numeric":
        median = values["median"]
        if not isinstance(median, float) or not math.isfinite(median):
            raise ValueError(
                f"{_NO_STATE}: median of column {values['name']!r} must be a finite number, got {median!r}"
            )
    if kind == "categorical":
        values["categories"] = _categories_of(values["categories"], values["name"])
        if not isinstance(values["missing_category"], bool):
            raise ValueError(f"{_NO_STATE}: missing_category of column {values['name']!r} must be a truth value")
    return kinds[kind](**values)


def _categories_of(categories, name):
    if not isinstance(categories, list) or not all(
        isinstance(text, str) and not is_missing(text) for text in categories
    ):
        raise ValueError(f"{_NO_STATE}: categories of column {name!r} must be a list of texts, none of them missing")
    if not categories or categories != sorted(set(categories)):
        raise ValueError(f"{_NO_STATE}: categories of column {name!r} must be sorted and different")
    return tuple(categories)
