"""A table of text: what a CSV file holds, before anything is made of it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Table:
    """Named columns of text, all of one length.

    Attributes
    ----------
    columns : list of str
        Names, all different.
    cells : list of list of str
        A list for each column, with a text for each row.
    lines : list of int, optional
        The line of the file on which each row begins, for messages. By default 1, 2, ...
    has_header : bool, default True
        Whether the names come from the file. Where they do not, columns are told apart by their position.
    source : str, default "table"
        Where the table comes from, for messages.
    delimiter : str, optional
        What stood between the cells: between semicolons, commas are decimal ones where it could be either.

    Raises
    ------
    ValueError
        If names are not unique, or lengths do not agree.

    Notes
    -----
    Memory: a Python string a cell; equal cells are not shared.

    Examples
    --------
    >>> table = Table(["size", "colour"], [["1", "2"], ["red", "blue"]])
    >>> table.n_rows, table.column("colour")
    (2, ['red', 'blue'])
    """

    columns: list[str]
    cells: list[list[str]]
    lines: list[int] | None = None
    has_header: bool = True
    source: str = "table"
    delimiter: str | None = None

    def __post_init__(self):
        if len(self.columns) != len(self.cells):
            raise ValueError(f"{self.source}: {len(self.columns)} names for {len(self.cells)} columns")
        if len(set(self.columns)) != len(self.columns):
            raise ValueError(f"{self.source}: names of columns must be unique, got {self.columns}")
        if self.lines is None:
            object.__setattr__(self, "lines", list(range(1, len(self.cells[0]) + 1 if self.cells else 1)))
        for name, column in zip(self.columns, self.cells, strict=True):
            if len(column) != len(self.lines):
                raise ValueError(f"{self.source}: column {name!r} has {len(column)} rows, not {len(self.lines)}")

    @property
    def n_rows(self):
        """Number of rows, the header not counted."""
        return len(self.lines)

    def position(self, name):
        """Find a column.

        Parameters
        ----------
        name : str
            A name. If no column is called so, a number counts columns from 1.

        Returns
        -------
        int
            From 0.

        Raises
        ------
        ValueError
            If there is no such column.

        Notes
        -----
        Cost: O(columns).

        Examples
        --------
        >>> table = Table(["a", "b"], [["1"], ["2"]])
        >>> table.position("b"), table.position("2")
        (1, 1)
        """
        if name in self.columns:
            return self.columns.index(name)
        positions = [str(position) for position in range(1, len(self.columns) + 1)]
        if name in positions:
            return positions.index(name)
        names = ", ".join(map(repr, self.columns))
        raise ValueError(f"{self.source} has no column {name!r}; its columns are {names}")

    def column(self, name):
        """Return the cells of one column.

        Parameters
        ----------
        name : str
            As for `position`.

        Returns
        -------
        list of str

        Raises
        ------
        ValueError
            If there is no such column.

        Notes
        -----
        Cost: O(columns).

        Examples
        --------
        >>> Table(["a", "b"], [["1"], ["2"]]).column("a")
        ['1']
        """
        return self.cells[self.position(name)]

    def select(self, rows):
        """Return a table of some of the rows.

        Parameters
        ----------
        rows : iterable of int
            Their positions, in the order wanted.

        Returns
        -------
        Table

        Notes
        -----
        Cost: O(rows x columns).

        Examples
        --------
        >>> Table(["a"], [["x", "y", "z"]]).select([2, 0]).cells
        [['z', 'x']]
        """
        rows = list(rows)
        cells = [[column[row] for row in rows] for column in self.cells]
        return dataclasses.replace(self, cells=cells, lines=[self.lines[row] for row in rows])
