"""Turning the columns of a table into numbers."""

from __future__ import annotations

import collections

import numpy as np

from sltrees.tables._cells import plural, quoted
from sltrees.tables._columns import encode_in_training
from sltrees.tables._deciding import MOST_CODES, decide, formats_of, numbers_all_the_same, said_otherwise
from sltrees.tables._numbers import FORMATS
from sltrees.tables._state import columns_of, state_of


class TableEncoder:
    """Turn the columns of a table into numbers.

    A column is *numeric* if its cells are finite numbers, be it with decimal commas, separators between thousands, or
    one unit; a tenth of the cells that are present may be something else, and counts as missing then. It stays one
    column; missing values become the median of the present ones in training, and where many are missing, another column
    says which. A column of *dates* becomes days since 1970, and sines and cosines of where in the year, the week and
    the day they are.

    All others are *categorical*: a column of zeros and ones for each value seen in training, in sorted order, and one
    more for missing values if there were any in training. At prediction, values not seen in training, and missing ones
    where none was missing in training, become zeros in all of these. Where there are more than 20 different ones, and
    targets to learn from, each becomes the mean of the targets with it instead (*target encoded*, by
    `sklearn.preprocessing.TargetEncoder`: the fewer rows have it, the nearer to the mean of all).

    Columns in which everything is missing, categorical ones in which no value occurs twice (names, identifiers), and
    numbers of rows are left out. Such are different whole numbers in a column called "id" or like that, and 1, 2, 3 and
    so on in one that has no name.

    Parameters
    ----------
    decimal : {".", ","}, optional
        The decimal sign; by default that with which most cells of a column are numbers, and where both are as good,
        that of other columns.
    thousands : {"", ",", ".", " ", "'"}, optional
        The separator between thousands; likewise.
    drop : sequence of str, default ()
        Columns to leave out: their names, or positions from 1.
    categorical : sequence of str, default ()
        Columns to take as categorical whatever they hold.
    identifiers : sequence of str, default ()
        Columns that name rows: they are left out, and come back from `identifiers_of`, as numbers of rows do.
    weight : str, optional
        A column of weights of rows: it is no feature, and comes back from `weights_of`.

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
        missing, "town: mean target" of one that is target encoded.
    coded_ : tuple (places, codes, parts) or None
        After `fit_transform` with columns that are target encoded: their features, shape (columns, outputs), and the
        category and the part of each row, shape (rows, columns).

    Raises
    ------
    ValueError
        If decimal sign and separator are none of these, or the same.

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

    def __init__(self, *, decimal=None, thousands=None, drop=(), categorical=(), identifiers=(), weight=None):
        if not any(decimal in (None, signs[0]) and thousands in (None, signs[1]) for signs in FORMATS):
            raise ValueError(
                "decimal must be '.' or ',', and thousands another sign, of ',', '.', ' ', \"'\", or '' for none, got "
                f"{decimal!r} and {thousands!r}"
            )
        self.decimal, self.thousands = decimal, thousands
        self.drop, self.categorical, self.identifiers, self.weight = drop, categorical, identifiers, weight
        self.columns_ = self.coded_ = None
        self.report = []
        self.transform_report = []

    # ------------------------------------------------------------------ fitting

    def fit(self, table, target=None, targets=None):
        """Decide what each column is.

        Parameters
        ----------
        table : Table
        target : str, optional
            The column to be predicted. It is not encoded, and need not be there at prediction.
        targets : ndarray of shape (rows, outputs), optional
            What is to be predicted, as numbers: what columns of many different words are encoded by, by the weights of
            rows, if there are any.

        Returns
        -------
        TableEncoder
            The object itself.

        Raises
        ------
        ValueError
            If there is no such target or other column, or no column to learn from.

        Notes
        -----
        Cost: O(cells).

        Examples
        --------
        >>> from sltrees.tables import Table
        >>> TableEncoder().fit(Table(["a", "b"], [["1", "2"], ["x", "y"]])).report
        ['1 column to learn from: 1 numeric, 0 categorical; 1 feature', 'b: left out: no value occurs twice']
        """
        self.fit_transform(table, target, targets)
        return self

    def fit_transform(self, table, target=None, targets=None):
        """Decide what each column is, and turn the table into numbers.

        Parameters
        ----------
        table, target, targets
            As for `fit`.

        Returns
        -------
        ndarray of shape (rows, features), dtype=float64
            As `transform` would return, but that columns which are target encoded have values that were learned
            without the row, by folds: learn from these.

        Raises
        ------
        ValueError
            As `fit`.

        Notes
        -----
        Cost: O(cells + rows x features).

        Examples
        --------
        >>> from sltrees.tables import Table
        >>> TableEncoder().fit_transform(Table(["a"], [["1,5", "2,0"]])).ravel()
        array([1.5, 2. ])
        """
        columns, notes = self._decided(table, target)
        pairs = zip(columns, table.cells, strict=True)
        weights = next(
            (_read_weights(column, cells, table) for column, cells in pairs if column.kind == "weight"), None
        )
        values, rated = [], set()
        for place, (column, cells) in enumerate(zip(columns, table.cells, strict=True)):
            values.append(column.read(cells, table.lines, table.source)[0] if column.feature_names else None)
            if column.kind == "categorical" and len(column.categories) > MOST_CODES and targets is not None:
                rated.add(place)
                count = f"{len(column.categories):,} different words"
                notes.append(f"{column.name}: {count}, taken as the mean of the target with each")
        targets = None if targets is None else np.asarray(targets, dtype=np.float64)
        columns, features, coded = encode_in_training(columns, values, rated, targets, weights)
        self._install(columns, table.has_header)
        self.coded_ = coded
        self.report = [self._summary(), *notes]
        return features

    def _decided(self, table, target):
        """What each column is, and what a user should know of them."""
        named = {name: table.columns[table.position(name)] for name in self._names(target)}
        said = {
            "target": named.get(target),
            "weight": named.get(self.weight),
            "dropped": {named[name] for name in self.drop},
            "identifiers": {named[name] for name in self.identifiers},
        }
        words = {named[name] for name in self.categorical}
        found, preferred = formats_of(table, self.decimal, self.thousands)
        columns, notes = [], []
        for name, cells, reading in zip(table.columns, table.cells, found, strict=True):
            number_format = reading.chosen(preferred)
            column, lines = said_otherwise(name, number_format, **said) or decide(
                name, cells, table.lines, number_format, name in words
            )
            columns.append(column)
            notes.append(lines)
        if not any(column.feature_names for column in columns):  # numbers of rows are better than nothing
            for place, column in enumerate(columns):
                if column.kind == "identifier" and column.name not in said["identifiers"]:
                    columns[place], notes[place] = numbers_all_the_same(column.name, table.cells[place], found[place])
        if not any(column.feature_names for column in columns):
            lines = "".join(f"; {line}" for of_column in notes for line in of_column)
            raise ValueError(f"{table.source} has no column to learn from{lines}")
        return columns, [line for of_column in notes for line in of_column]

    def _names(self, target):
        """Columns that something was said of."""
        return [name for name in (target, self.weight) if name is not None] + [
            *self.drop,
            *self.categorical,
            *self.identifiers,
        ]

    def _install(self, columns, has_header):
        self.columns_ = columns
        self.has_header_ = has_header
        self.coded_ = None
        self.report = []
        self.transform_report = []

    def _summary(self):
        kinds = collections.Counter(column.kind for column in self.columns_)
        counts = [f"{kinds['numeric']} numeric", f"{kinds['categorical'] + kinds['target encoded']} categorical"]
        counts += [plural(kinds["date"], "date")] if kinds["date"] else []
        n_columns = sum(bool(column.feature_names) for column in self.columns_)
        return (
            f"{plural(n_columns, 'column')} to learn from: {', '.join(counts)}; "
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
        features = []
        for column, column_cells in zip(self.columns_, cells, strict=True):
            if column.feature_names:
                values, of_cells = column.read(column_cells, table.lines, table.source)
                encoded, of_values = column.encode(values)
                features.append(encoded)
                report += [*of_cells, *of_values]
        self.transform_report = report
        return np.hstack(features)

    def identifiers_of(self, table):
        """The columns of a table that name its rows, be it that they were said to or that they number them.

        Parameters
        ----------
        table : Table

        Returns
        -------
        dict of str to list of str
            Those that are there.

        Notes
        -----
        Cost: O(rows).

        Examples
        --------
        >>> from sltrees.tables import Table
        >>> table = Table(["a", "name"], [["1", "2"], ["ann", "bob"]])
        >>> TableEncoder(identifiers=["name"]).fit(table).identifiers_of(table)
        {'name': ['ann', 'bob']}
        """
        return self.cells_of("identifier", table)

    def weights_of(self, table):
        """The weights of the rows of a table.

        Parameters
        ----------
        table : Table

        Returns
        -------
        ndarray of shape (rows,) or None
            None if no column has weights, or it is not there.

        Raises
        ------
        ValueError
            If one is no number, or below 0.

        Notes
        -----
        Cost: O(rows).

        Examples
        --------
        >>> from sltrees.tables import Table
        >>> table = Table(["a", "w"], [["1", "2"], ["1", "0.5"]])
        >>> TableEncoder(weight="w").fit(table).weights_of(table)
        array([1. , 0.5])
        """
        columns = {column.name: column for column in self.columns_}
        found = [_read_weights(columns[name], cells, table) for name, cells in self.cells_of("weight", table).items()]
        return found[0] if found else None

    def cells_of(self, kind, table):
        """The cells of the columns of a kind.

        Parameters
        ----------
        kind : {"numeric", "date", "categorical", "target encoded", "left out", "identifier", "weight", "target"}
        table : Table

        Returns
        -------
        dict of str to list of str
            Those that are there, by their names in training.

        Raises
        ------
        ValueError
            If columns to learn from are missing.

        Notes
        -----
        Cost: O(rows).

        Examples
        --------
        >>> from sltrees.tables import Table
        >>> encoder = TableEncoder().fit(Table(["a", "y"], [["1"], ["2"]]), "y")
        >>> encoder.cells_of("target", Table(["a", "y"], [["5"], ["6"]]))
        {'y': ['6']}
        """
        self._require_fitted()
        by_name = self.has_header_ and table.has_header
        cells = self._match_names(table)[0] if by_name else self._match_positions(table)
        return {
            column.name: column_cells
            for column, column_cells in zip(self.columns_, cells, strict=True)
            if column.kind == kind and column_cells is not None
        }

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
        >>> TableEncoder(drop=["b"]).fit(Table(["a", "b"], [["1"], ["2"]])).to_dict()["columns"][1]
        {'kind': 'left out', 'name': 'b', 'reason': 'it was asked for'}
        """
        self._require_fitted()
        return state_of(self.columns_, self.has_header_)

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
        encoder = cls()
        encoder._install(*columns_of(state))
        return encoder

    def _require_fitted(self):
        if self.columns_ is None:
            raise RuntimeError("the encoder has not seen a table yet: call fit(table) first")


def _read_weights(column, cells, table):
    """Numbers, at least 0; ValueError for others."""
    weights = np.array([column.number_format.read(text) for text in cells], dtype=np.float64)
    wrong = np.flatnonzero(~(weights >= 0))
    if wrong.size:
        raise ValueError(
            f"{table.source}, line {table.lines[wrong[0]]}: the weight {column.name!r} must be a number, at least 0, "
            f"got {cells[wrong[0]]!r}"
        )
    return weights
