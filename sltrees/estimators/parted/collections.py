"""Collections of Dask as parts of samples: rows, targets, weights, and which of them are gone through together."""

from __future__ import annotations

import sys
import typing

import numpy as np

GROUP = 32_768  # samples that are gone through at a time, or a part, if that is larger


def is_collection(X):
    """Whether X is an array or a table of Dask: only who has imported Dask has one. Cost: O(1)."""
    dask = sys.modules.get("dask")
    return dask is not None and dask.is_dask_collection(X)


class Parts(typing.NamedTuple):
    """Parts of samples that have not been looked at.

    Attributes
    ----------
    delayed : list of tuple
        For each part X, y and weights or None: `dask.delayed.Delayed`.
    columns : list or None
        Names of the columns of a table.
    """

    delayed: list
    columns: list | None


def as_parts(X, y, sample_weight=None):
    """Parts of arrays and tables of Dask.

    Parameters
    ----------
    X : dask.array.Array of shape (n, d), or dask.dataframe.DataFrame
    y : dask.array.Array of shape (n,) or (n, C), dask.dataframe.Series or DataFrame
    sample_weight : the same, of shape (n,), optional

    Returns
    -------
    Parts

    Raises
    ------
    TypeError, ValueError
        If one of them is no collection, or they are not cut at the same rows.

    Notes
    -----
    Nothing is computed. Cost: O(parts).

    Examples
    --------
    >>> import dask.array
    >>> X = dask.array.ones((10, 2), chunks=(5, 1))
    >>> len(as_parts(X, X[:, 0]).delayed)
    2
    """
    named = {"X": X, "y": y} | ({} if sample_weight is None else {"sample_weight": sample_weight})
    for name, collection in named.items():
        if not is_collection(collection):
            raise TypeError(f"{name} must be a collection of Dask where X or y is one, got {type(collection).__name__}")
    if all(hasattr(collection, "map_partitions") for collection in named.values()):
        return Parts(_of_tables(named), list(X.columns))
    rows = X.chunks[0] if hasattr(X, "chunks") else None
    lists = {name: _cut(collection, rows) for name, collection in named.items()}
    counts = {name: len(parts) for name, parts in lists.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"X, y and sample_weight must be cut at the same rows, got numbers of parts {counts}")
    weights = lists.get("sample_weight", [None] * counts["X"])
    columns = None if not hasattr(X, "columns") else list(X.columns)
    return Parts(list(zip(lists["X"], lists["y"], weights, strict=True)), columns)


def _of_tables(named):
    """Parts of tables and columns, as parts of one table: each by itself might be read in other parts."""
    import dask

    table, columns = named["X"], {"X": list(named["X"].columns)}
    for name in ("y", "sample_weight"):
        of_name = named.get(name)
        if of_name is None:
            columns[name] = None
            continue
        series = [of_name] if of_name.ndim == 1 else [of_name[column] for column in of_name.columns]
        columns[name] = [f"{name} {k} (of sltrees)" for k in range(len(series))]
        table = table.assign(**dict(zip(columns[name], series, strict=True)))
        if of_name.ndim == 1:
            columns[name] = columns[name][0]
    cut = dask.delayed(_columns, pure=False, nout=3)
    return [tuple(cut(part, list(columns.values()))) for part in table.to_delayed()]


def _columns(table, names):
    """Some columns of a table for each of some names, or lists of names; None for None."""
    return tuple(None if name is None else table[name] for name in names)


def _cut(collection, rows):
    """The parts of a collection, `Delayed`; those of arrays have all columns, and the rows that are asked for."""
    if not hasattr(collection, "chunks"):
        return list(collection.to_delayed())
    known = rows is not None and not np.isnan([*rows, *collection.chunks[0]]).any()
    whole = dict.fromkeys(range(1, collection.ndim), -1)
    collection = collection.rechunk(whole | ({0: rows} if known and sum(rows) == collection.shape[0] else {}))
    return list(collection.to_delayed().ravel())


def grouped(lengths):
    """Neighbouring parts that are gone through together, as ranges: as many as have `GROUP` samples. Cost: O(parts).

    Examples
    --------
    >>> grouped([20_000, 10_000, 10_000, 50_000, 0])
    [range(0, 2), range(2, 3), range(3, 4), range(4, 5)]
    """
    groups, first, total = [], 0, 0
    for at, length in enumerate(lengths):
        if at > first and total + length > GROUP:
            groups.append(range(first, at))
            first, total = at, 0
        total += length
    return [*groups, range(first, len(lengths))] if lengths else []
