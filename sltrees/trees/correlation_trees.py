"""The forest of correlation trees: all products <w_r, x_i> under threshold queries and weight updates."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from sltrees._core import TreeBank
from sltrees._core._boundary import as_index, as_indices, as_integers, as_real_array
from sltrees._core._products import Columns
from sltrees._memory import array_bytes, check_memory
from sltrees._validation import as_choice, as_max_memory, as_real_matrix, as_real_rows, as_real_vector
from sltrees.trees._correlation_queries import CorrelationQueries

_SCRATCH_ENTRIES = 1 << 18  # products computed at a time (_core/_tree_bank.pyx)
_PICKLE_VERSION = 1


class CorrelationTrees(CorrelationQueries):
    """All products <w_r, x_i> of weights and data, asked "which are above t?" while the weights change.

    Parameters
    ----------
    weights : array_like of shape (m, d)
        Finite. Copied.
    data : array_like of shape (n, d)
        Finite. Copied.
    axis : {"data", "weights"}, default "data"
        "data": one tree per weight, over the data (DTree in the paper); writing a weight rewrites one tree
        in streaming order. "weights": one tree per data point, over the weights (WTree);
        writing a weight changes one leaf of every tree.
    max_memory : float, optional
        Bytes that may be used, also where weights or data are added, beside those there are; by default all that the
        machine has available. Copies and pickles have no limit of their own.

    Raises
    ------
    TypeError, ValueError
        If an array is not a matrix of finite real numbers, the numbers of columns differ, products could overflow, or
        the axis is unknown.
    MemoryError
        If more than `max_memory` bytes are needed. Nothing has been allocated then.

    Notes
    -----
    The dtype is float32 if both arrays are, else float64. Products are computed in it, each by itself and in the order
    of the coordinates. So they have the same bits whether the trees were built with a weight or got it by an update, of
    one weight or of many at once, on either axis; and a weight updated with its own numbers, a copy and a pickle change
    nothing. Between instruction levels (`SLTREES_SIMD`; AVX2 and AVX-512 agree), products may differ by rounding, as
    they may from those of BLAS.

    Cost: O(n m d) to build, on one thread. Memory: n m entries, padded to whole blocks of 64 bytes,
    plus 1/15 (float32) or 1/7 (float64) of them.

    References
    ----------
    Alman, Liang, Song, Zhang, Zhuo, "Bypass Exponential Time Preprocessing: Fast Neural Network Training via
    Weight-Data Correlation Preprocessing", arXiv 2211.14227, sections 3 and 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees import CorrelationTrees
    >>> trees = CorrelationTrees([[1.0, 0.0], [0.0, 2.0]], [[3.0, 1.0], [1.0, 1.0], [0.0, -1.0]])
    >>> trees.query(0, 0.5)
    array([0, 1])
    >>> trees.query_all(1.5).toarray()
    array([[3., 0., 0.],
           [2., 2., 0.]])
    >>> trees.update_weight(1, [0.0, -1.0])
    >>> trees.query(1, 0.5)
    array([2])
    """

    _max_memory: float | None = None  # of copies and pickles, too: all that the machine has available

    def __init__(
        self,
        weights: npt.ArrayLike,
        data: npt.ArrayLike,
        *,
        axis: Literal["data", "weights"] = "data",
        max_memory: float | None = None,
    ) -> None:
        self._axis = as_choice(axis, "axis", ("data", "weights"))
        single = getattr(weights, "dtype", None) == np.float32 and getattr(data, "dtype", None) == np.float32
        self._dtype = np.dtype(np.float32 if single else np.float64)
        self._weights = as_real_matrix(weights, "weights", self._dtype)
        data = as_real_matrix(data, "data", self._dtype, n_columns=self._weights.shape[1])
        self._largest = float(np.abs(data).max())
        _refuse_overflow(self._weights, self._largest)
        self._max_memory = as_max_memory(max_memory)
        needed = self.bytes_needed(len(self._weights), len(data), self._weights.shape[1], self._dtype, axis=axis)
        check_memory(needed, self._max_memory, "the trees", "use fewer weights or data points, or float32")
        self._slack = None  # of each tree, where one has some
        self._columns = Columns(data)
        self._bank = TreeBank(*self._bank_shape(len(self._weights), len(data), axis), self._dtype)
        # row by row, whatever the axis
        rows, columns = (self._weights, self._columns) if axis == "data" else (data, Columns(self._weights))
        self._bank.write_row_products(np.arange(len(rows)), rows, columns)

    @staticmethod
    def bytes_needed(
        n_weights: int, n_data: int, n_features: int, dtype: npt.DTypeLike, *, axis: Literal["data", "weights"] = "data"
    ) -> int:
        """Bytes that building trees of this size takes, copies of weights and data included: an upper bound.

        Parameters
        ----------
        n_weights, n_data, n_features : int
        dtype : float32 or float64
        axis : {"data", "weights"}, default "data"

        Returns
        -------
        int

        Notes
        -----
        Cost: O(log n).

        Examples
        --------
        >>> CorrelationTrees.bytes_needed(1000, 500, 10, "float32") >= 1000 * 500 * 4
        True
        """
        shape = CorrelationTrees._bank_shape(n_weights, n_data, axis)
        held = TreeBank.bytes_needed(*shape, dtype) + array_bytes(n_weights, n_features, dtype=dtype)
        held += Columns.bytes_needed(n_data, n_features, dtype)
        # while they are built: data row by row, or weights side by side
        building = array_bytes(n_data, n_features, dtype=dtype) + array_bytes(
            _SCRATCH_ENTRIES + max(shape), dtype=dtype
        )
        if axis == "weights":
            building += Columns.bytes_needed(n_weights, n_features, dtype)
        return held + building

    @staticmethod
    def _bank_shape(n_weights, n_data, axis):
        return (n_weights, n_data) if axis == "data" else (n_data, n_weights)

    # ------------------------------------------------------------------ updates

    def set_slack(self, rows: npt.ArrayLike, slack: npt.ArrayLike) -> None:
        """Say how far products of some trees may be from what they are held to be.

        For weights, or data, that move a little at a time: as long as a move can change products by no more than s, say
        so, and queries report whatever may be above the threshold, that is all products above t - s. When too much is
        reported, write the weight.

        Parameters
        ----------
        rows : array_like of shape (k,), integers
            Trees: with axis "data" weights, with axis "weights" data points.
        slack : float, or array_like of shape (k,)
            At least 0; one for all, or one for each. Of equal rows the last one counts.

        Raises
        ------
        IndexError
            If a row is out of range.
        TypeError, ValueError
            If a number is not finite and at least 0, or there are not as many as rows. Nothing has changed then.

        Notes
        -----
        `query`, `query_all`, `count`, `count_all` and `any` take it into account, without rounding t - s; the values
        that they report are those that are held. With axis "data" a weight that is written has no slack any more.
        Moving a weight by v changes its products by at most |v| times the length of the longest data point.

        Cost: O(k); while a tree has slack, `query_all` looks at the maximum of each.

        Examples
        --------
        >>> trees = CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0]])
        >>> trees.set_slack([0], 0.5)
        >>> trees.query(0, 3.2), trees.query(0, 3.5)
        (array([1]), array([], dtype=int64))
        """
        rows = as_integers(np.array(rows), "rows")
        exact = as_real_array(slack, "slack", np.ndim(slack)).astype(np.float64)
        if exact.ndim > 1 or (exact.ndim and exact.size != rows.size):
            raise ValueError(f"slack must be a number, or one for each of {rows.size} rows, got shape {exact.shape}")
        if not np.all((exact >= 0) & np.isfinite(exact)):
            raise ValueError(
                f"slack must be finite and at least 0, got {exact[~((exact >= 0) & np.isfinite(exact))][0]}"
            )
        rows = as_indices(rows, self._bank.n_rows, "rows")
        changed = np.zeros(self._bank.n_rows) if self._slack is None else self._slack.copy()
        changed[rows] = exact
        self._slack = changed if changed.any() else None

    def update_weight(self, r: int, weight: npt.ArrayLike) -> None:
        """Replace one weight.

        Parameters
        ----------
        r : int
            In [0, m).
        weight : array_like of shape (d,)
            Finite.

        Raises
        ------
        IndexError
            If r is out of range.
        TypeError, ValueError
            If the weight is not a vector of d finite numbers.
        MemoryError
            If there is none for the products. The trees are unchanged after any of these.

        Notes
        -----
        Cost: O(n d + n) for axis "data", O(n (d + log m)) for axis "weights".

        Examples
        --------
        >>> trees = CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0]])
        >>> trees.update_weight(0, [-1.0])
        >>> trees.query_all(0.0).nnz
        2
        """
        r = as_index(r, len(self._weights), "r")
        weight = as_real_vector(weight, "weight", self._dtype, length=self._weights.shape[1])
        self.update_weights([r], weight[None])  # which looks at r again, now that all is converted

    def update_weights(self, rows: npt.ArrayLike, weights: npt.ArrayLike) -> None:
        """Replace many weights.

        Parameters
        ----------
        rows : array_like of shape (k,), integers in [0, m)
            Of equal rows the last one wins.
        weights : array_like of shape (k, d)
            Finite.

        Raises
        ------
        IndexError
            If a row is out of range.
        TypeError, ValueError
            If the shapes do not fit, a number is not finite or products could overflow.
        MemoryError
            If there is none for the products. The trees are unchanged after any of these, and after any other
            exception: all rows are replaced, or none.

        Notes
        -----
        Cost: O(k n d), and O(k n) for axis "data" or O(k n log m) for axis "weights".

        Examples
        --------
        >>> trees = CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0]])
        >>> trees.update_weights([1, 0], [[0.0], [5.0]])
        >>> trees.query_all(0.0).toarray()
        array([[ 5., 15.],
               [ 0.,  0.]])
        """
        rows = as_integers(np.array(rows), "rows")  # a copy: nobody changes what was checked
        if rows.size == 0 and np.size(weights) == 0:
            return
        weights = as_real_matrix(weights, "weights", self._dtype)
        rows = as_indices(rows, len(self._weights), "rows")  # now that all is converted
        weights = as_real_matrix(weights, "weights", self._dtype, n_columns=self._weights.shape[1])
        if len(weights) != len(rows):
            raise ValueError(f"weights must have one row for each of the {len(rows)} rows, got {len(weights)}")
        if np.unique(rows).size < rows.size:  # keep the last of each
            last = dict(zip(rows.tolist(), range(rows.size), strict=True))
            keep = np.fromiter(last.values(), dtype=np.int64)
            rows, weights = rows[keep], weights[keep]
        _refuse_overflow(weights, self._largest)
        # in one call, in which no exception can fall between the weights and their products
        write = self._bank.write_row_products if self._axis == "data" else self._bank.write_column_products
        write(rows, weights, self._columns, self._weights)
        if self._slack is not None and self._axis == "data":
            self.set_slack(rows, 0.0)

    def add_weights(self, weights: npt.ArrayLike) -> None:
        """Append weights.

        Parameters
        ----------
        weights : array_like of shape (k, d)
            Finite.

        Raises
        ------
        TypeError, ValueError
            If the shapes do not fit, a number is not finite or products could overflow.
        MemoryError
            If there is not enough, or `max_memory` allows no more. The trees are unchanged after any of these, and
            after any other exception.

        Notes
        -----
        Cost: O(k n d) for products, and all that there are are copied: O((m + k) n). Slack stays.

        Examples
        --------
        >>> trees = CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0]])
        >>> trees.add_weights([[5.0]])
        >>> trees.query(2, 4.0)
        array([0, 1])
        """
        self._add("weights", weights)

    def add_data(self, data: npt.ArrayLike) -> None:
        """Append data points.

        Parameters
        ----------
        data : array_like of shape (k, d)
            Finite.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As of `add_weights`.

        Notes
        -----
        Cost: O(k m d) for products, and all that there are are copied: O(m (n + k)). Slack stays.

        Examples
        --------
        >>> trees = CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0]])
        >>> trees.add_data([[5.0], [0.0]])
        >>> trees.query(0, 2.0)
        array([1, 2])
        """
        self._add("data", data)

    def remove_weights(self, rows: npt.ArrayLike) -> None:
        """Remove weights; those behind them move up, as with `numpy.delete`.

        Parameters
        ----------
        rows : array_like of shape (k,), integers in [0, m)

        Raises
        ------
        IndexError
            If a row is out of range.
        TypeError, ValueError
            If the rows are not integers, or none would be left.
        MemoryError
            If there is not enough for what is left, beside all. The trees are unchanged after any of these.

        Notes
        -----
        Cost: what is left is copied, O(m n).

        Examples
        --------
        >>> trees = CorrelationTrees([[1.0], [2.0], [4.0]], [[1.0], [3.0]])
        >>> trees.remove_weights([0])
        >>> trees.query(0, 4.0)
        array([1])
        """
        self._remove("weights", rows)

    def remove_data(self, indices: npt.ArrayLike) -> None:
        """Remove data points; those behind them move up, as with `numpy.delete`.

        Parameters
        ----------
        indices : array_like of shape (k,), integers in [0, n)

        Raises
        ------
        IndexError, TypeError, ValueError, MemoryError
            As of `remove_weights`.

        Notes
        -----
        Cost: what is left is copied, O(m n).

        Examples
        --------
        >>> trees = CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0], [2.0]])
        >>> trees.remove_data([1])
        >>> trees.query(0, 1.5)
        array([1])
        """
        self._remove("data", indices)

    def _add(self, which, vectors):
        """Append weights or data points: in the end by one statement, so that all of it has happened or nothing."""
        vectors = as_real_rows(vectors, which, self._dtype, self._weights.shape[1])
        if len(vectors) == 0:
            return
        more = np.array([len(vectors), 0] if which == "weights" else [0, len(vectors)])
        largest = self._largest if which == "weights" else max(self._largest, float(np.abs(vectors).max()))
        _refuse_overflow(vectors if which == "weights" else self._weights, largest)
        bank = self._bank_of(*(more + [len(self._weights), self._columns.n]), beside=self.nbytes)
        weights, data = self._weights, self.data
        if which == "weights":
            right, weights = self._columns, np.concatenate([weights, vectors])
        else:
            right, data = Columns(weights), np.concatenate([data, vectors])
        n_rows, n_columns = self.shape
        self._copy_into(bank, np.arange(n_rows), np.arange(n_columns))
        slack = self._slack
        if (which == "weights") == (self._axis == "data"):
            bank.write_row_products(np.arange(n_rows, bank.n_rows), vectors, right)
            slack = None if slack is None else np.concatenate([slack, np.zeros(len(vectors))])
        else:
            bank.write_column_products(np.arange(n_columns, bank.n_columns), vectors, right)
        columns = self._columns if which == "weights" else Columns(data)
        self.__dict__ = self.__dict__ | {
            "_weights": weights,
            "_columns": columns,
            "_largest": largest,
            "_bank": bank,
            "_slack": slack,
        }

    def _remove(self, which, indices):
        """Remove weights or data points, likewise in one statement."""
        indices = as_integers(np.array(indices), "rows" if which == "weights" else "indices")
        n = len(self._weights) if which == "weights" else self._columns.n
        indices = as_indices(indices, n, "rows" if which == "weights" else "indices")
        kept = np.setdiff1d(np.arange(n), indices)
        if kept.size == n:
            return
        if kept.size == 0:
            raise ValueError(f"some {which} must be left, got all {n} to remove")
        weights = self._weights[kept] if which == "weights" else self._weights
        columns = self._columns if which == "weights" else Columns(self.data[kept])
        bank, slack = self._bank_of(len(weights), columns.n), self._slack
        rows, leaves = np.arange(self.shape[0]), np.arange(self.shape[1])
        if (which == "weights") == (self._axis == "data"):
            rows, slack = kept, None if slack is None or not slack[kept].any() else slack[kept]
        else:
            leaves = kept
        self._copy_into(bank, rows, leaves)
        largest = float(np.abs(columns.vectors).max())
        self.__dict__ = self.__dict__ | {
            "_weights": weights,
            "_columns": columns,
            "_largest": largest,
            "_bank": bank,
            "_slack": slack,
        }

    def _bank_of(self, n_weights, n_data, *, beside=None):
        """An empty bank for so many; `max_memory` counts where it is told how much there is beside it."""
        needed = self.bytes_needed(n_weights, n_data, self._weights.shape[1], self._dtype, axis=self._axis)
        advice = "use fewer weights or data points, or float32"
        check_memory(needed, None, "the trees", advice)
        if beside is not None and self._max_memory is not None:
            what = f"room for {n_weights} weights and {n_data} data points, beside what there is,"
            check_memory(needed + beside, self._max_memory, what, advice)
        return TreeBank(*self._bank_shape(n_weights, n_data, self._axis), self._dtype)

    def _copy_into(self, bank, rows, leaves):
        """Write the products of these rows and leaves to the first rows and leaves of another bank."""
        at_once = max(1, _SCRATCH_ENTRIES // max(bank.n_columns, 1))
        for start in range(0, rows.size, at_once):
            part = rows[start : start + at_once]
            values = np.full((part.size, bank.n_columns), -np.inf, dtype=self._dtype)
            values[:, : leaves.size] = self._bank.values[part][:, leaves]
            bank.write_rows(np.arange(start, start + part.size), values)

    # ------------------------------------------------------------------ copies

    def copy(self) -> Self:
        """Independent trees over copies of weights and data. Cost: as building.

        Returns
        -------
        CorrelationTrees

        Examples
        --------
        >>> trees = CorrelationTrees([[1.0]], [[2.0]])
        >>> other = trees.copy()
        >>> other.update_weight(0, [9.0])
        >>> trees.query_all(5.0).nnz
        0
        """
        return _from_pickle(type(self), _PICKLE_VERSION, self._weights, self.data, self._axis, self._slack)

    __copy__ = copy

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        parts = type(self), _PICKLE_VERSION, self._weights, np.ascontiguousarray(self.data), self._axis
        return _from_pickle, parts if self._slack is None else (*parts, self._slack)

    def _check(self):
        """Assert every invariant: the bank's own, and that it holds the products, bit for bit. Cost: O(n m d)."""
        self._bank._check()
        assert self._slack is None or (self._slack.shape == (len(self),) and self._slack.any())
        assert self._largest == np.abs(self.data).max()
        products = self._bank.values if self._axis == "data" else self._bank.values.T
        assert np.array_equal(products, self._columns.times(self._weights))
        # which are what BLAS computes, but for rounding
        slack = 4 * self._columns.d * np.finfo(self._dtype).eps * (np.abs(self._weights) @ np.abs(self.data).T)
        assert np.all(np.abs(products - self._weights @ self.data.T) <= slack)


def _refuse_overflow(weights, largest_of_data):
    """ValueError if a product, or a partial sum of one, could leave the range of the dtype."""
    largest = float(np.abs(weights).max()) * largest_of_data * weights.shape[1]
    if not largest <= np.finfo(weights.dtype).max:
        raise ValueError(
            f"products of weights and data must be finite in {weights.dtype}, got some that could reach {largest:g}"
        )


def _from_pickle(cls, version, weights, data, axis, slack=None):
    """Rebuild trees; the arguments come from a file and are checked like any others."""
    if version != _PICKLE_VERSION:
        raise ValueError(f"this version reads pickles of format {_PICKLE_VERSION}, got format {version!r}")
    trees = cls(weights, data, axis=axis)
    if slack is not None:
        trees.set_slack(np.arange(len(trees)), slack)
    return trees
