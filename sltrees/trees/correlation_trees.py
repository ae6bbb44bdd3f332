"""The forest of correlation trees: all products <w_r, x_i> under threshold queries and weight updates."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from sltrees._core import TreeBank
from sltrees._core._boundary import as_index, as_indices, as_integers, as_real_array, as_threshold
from sltrees._core._products import Columns
from sltrees._core._pruned_bank import PrunedBank
from sltrees._memory import array_bytes, check_memory
from sltrees._validation import as_choice, as_max_memory, as_real_matrix, as_real_vector
from sltrees.trees._correlation_growth import CorrelationGrowth, largest_magnitude, refuse_overflow

_SCRATCH_ENTRIES = 1 << 18  # products computed at a time (_core/_tree_bank.pyx)
_EACH_BYTES = 16  # indices of rows, or columns, that are written
_PICKLE_VERSION = 1


class CorrelationTrees(CorrelationGrowth):
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
    floor : float, optional
        Products that are not above it are not held, so that memory is in proportion to those that are. Thresholds, less
        slack, must be at least the floor; answers are the same.
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
    plus 1/15 (float32) or 1/7 (float64) of them. With a floor: 8 (float32) or 12 bytes for each product above it and 32
    for each tree; those of a tree are a list, which queries go through, and what costs say of O(log) is O(list) then.

    A change while another thread changes is a RuntimeError, and nothing has been done. With a floor so are a change
    while another thread asks and the reverse; without one they may be, or answers hold numbers of before and of after.

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
        floor: float | None = None,
        max_memory: float | None = None,
    ) -> None:
        self._axis = as_choice(axis, "axis", ("data", "weights"))
        single = getattr(weights, "dtype", None) == np.float32 and getattr(data, "dtype", None) == np.float32
        self._dtype = np.dtype(np.float32 if single else np.float64)
        self._floor = None if floor is None else as_threshold(floor)
        if floor is not None and not np.isfinite(self._floor):
            raise ValueError(f"floor must be finite, got {self._floor}")
        self._weights = as_real_matrix(weights, "weights", self._dtype)
        data = as_real_matrix(data, "data", self._dtype, n_columns=self._weights.shape[1])
        self._largest = largest_magnitude(data)
        refuse_overflow(self._weights, self._largest)
        self._max_memory = as_max_memory(max_memory)
        self._bank = self._bank_of(len(self._weights), len(data), self._room_for(len(self._weights), len(data)))
        self._slack = None  # of each tree, where one has some
        self._columns = Columns(data)
        # row by row, whatever the axis
        rows, columns = (self._weights, self._columns) if axis == "data" else (data, Columns(self._weights))
        self._bank.write_row_products(np.arange(len(rows)), rows, columns)

    @staticmethod
    def bytes_needed(
        n_weights: int,
        n_data: int,
        n_features: int,
        dtype: npt.DTypeLike,
        *,
        axis: Literal["data", "weights"] = "data",
        n_above: int | None = None,
    ) -> int:
        """Bytes that building trees of this size takes, copies of weights and data included: an upper bound.

        Also of what growing to this size takes beside the trees that there are.

        Parameters
        ----------
        n_weights, n_data, n_features : int
        dtype : float32 or float64
        axis : {"data", "weights"}, default "data"
        n_above : int, optional
            With a floor: how many products are above it.

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
        numbers = [array_bytes(n, n_features, dtype=dtype) for n in (n_weights, n_data)]
        # weights, padded: side by side, where data are added, which leaves those there are as they are
        held = numbers[0] + Columns.bytes_needed(1, n_features, dtype)
        held += Columns.bytes_needed(n_data, n_features, dtype)
        held += (
            TreeBank.bytes_needed(*shape, dtype)
            if n_above is None
            else PrunedBank.bytes_needed(shape[0], n_above, dtype)
        )
        # while they are built: data row by row, weights side by side, products, and of each row and column some numbers
        building = numbers[1] + array_bytes(_SCRATCH_ENTRIES + max(shape), dtype=dtype) + _EACH_BYTES * sum(shape)
        if axis == "weights":
            building += Columns.bytes_needed(n_weights, n_features, dtype)
        if n_above is not None:  # vectors that are multiplied, and rows beside those they replace
            building += array_bytes(_SCRATCH_ENTRIES + n_features, dtype=dtype) + _EACH_BYTES * sum(shape)
            building += PrunedBank.bytes_needed(shape[0], 0, dtype)
        return max(held + building, 2 * numbers[0])  # or, before, weights that are converted, or put behind others

    @staticmethod
    def _bank_shape(n_weights, n_data, axis):
        return (n_weights, n_data) if axis == "data" else (n_data, n_weights)

    def _room_for(self, n_weights, n_data, beside=None):
        """Bytes that trees for so many leave, beside so many bytes (None while they are built), or MemoryError."""
        n_above = None if self._floor is None else 0
        d = self._weights.shape[1]
        needed = self.bytes_needed(n_weights, n_data, d, self._dtype, axis=self._axis, n_above=n_above)
        what, advice = "the trees", "use fewer weights or data points, or float32"
        if self._max_memory is None or beside is not None:
            check_memory(needed, None, what, advice)
        if beside:
            what = f"room for {n_weights} weights and {n_data} data points, beside what there is,"
            needed += beside
        if self._max_memory is not None:
            check_memory(needed, self._max_memory, what, advice)
        return np.inf if self._max_memory is None else self._max_memory - needed

    def _bank_of(self, n_weights, n_data, room):
        """An empty bank for so many, whose products above a floor may take so many bytes."""
        shape = self._bank_shape(n_weights, n_data, self._axis)
        if self._floor is None:
            return TreeBank(*shape, self._dtype)
        return PrunedBank(*shape, self._dtype, self._floor, room)

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
        RuntimeError
            If another thread changes the trees, or asks them.

        Notes
        -----
        `query`, `query_all`, `count`, `count_all` and `any` take it into account, without rounding t - s, which must be
        at least the floor if there is one; the values
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
        self._alone(self._change_slack, rows, exact)

    def _change_slack(self, rows, exact):
        """The same, once all is converted."""
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
        RuntimeError
            If another thread changes the trees, or asks them.
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
        RuntimeError
            If another thread changes the trees, or asks them.
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
        self._alone(self._write, rows, as_real_matrix(weights, "weights", self._dtype))

    def _write(self, rows, weights):
        """Replace weights, once all is converted."""
        rows = as_indices(rows, len(self._weights), "rows")
        weights = as_real_matrix(weights, "weights", self._dtype, n_columns=self._weights.shape[1])
        if len(weights) != len(rows):
            raise ValueError(f"weights must have one row for each of the {len(rows)} rows, got {len(weights)}")
        if np.unique(rows).size < rows.size:  # keep the last of each
            last = dict(zip(rows.tolist(), range(rows.size), strict=True))
            keep = np.fromiter(last.values(), dtype=np.int64)
            rows, weights = rows[keep], weights[keep]
        refuse_overflow(weights, self._largest)
        # in one call, in which no exception can fall between the weights and their products
        write = self._bank.write_row_products if self._axis == "data" else self._bank.write_column_products
        write(rows, weights, self._columns, self._weights)
        if self._slack is not None and self._axis == "data":
            self._change_slack(rows, 0.0)

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
        return self._asking(lambda: _from_pickle(*self._parts()))

    __copy__ = copy

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        parts = self._asking(lambda: self._parts(copied=True))  # as they are written down later
        return _from_pickle, parts if parts[-1] is not None or parts[-2] is not None else parts[:-2]

    def _parts(self, copied=False):
        """What `_from_pickle` makes equal trees of."""
        weights, data = self._weights, self.data
        if copied:
            weights, data = weights.copy(), data.copy()
        return type(self), _PICKLE_VERSION, weights, data, self._axis, self._slack, self._floor

    def _check(self):
        """Assert every invariant: the bank's own, and that it holds the products, bit for bit. Cost: O(n m d)."""
        products = self._columns.times(self._weights)
        self._bank._check()
        assert self._slack is None or (self._slack.shape == (len(self),) and self._slack.any())
        assert self._largest == largest_magnitude(self.data) == np.abs(self.data).max()
        expected = products if self._axis == "data" else products.T
        if self._floor is None:
            assert np.array_equal(self._bank.values, expected)
        else:
            indptr, columns, values = self._bank.query_all(self._floor)
            rows, above = np.nonzero(expected.astype(np.float64) > self._floor)
            assert np.array_equal(np.repeat(np.arange(len(self)), np.diff(indptr)), rows)
            assert np.array_equal(columns, above)
            assert np.array_equal(values, expected[rows, above])
        # which are what BLAS computes, but for rounding
        slack = 4 * self._columns.d * np.finfo(self._dtype).eps * (np.abs(self._weights) @ np.abs(self.data).T)
        assert np.all(np.abs(products - self._weights @ self.data.T) <= slack)


def _from_pickle(cls, version, weights, data, axis, slack=None, floor=None):
    """Rebuild trees; the arguments come from a file and are checked like any others."""
    if version != _PICKLE_VERSION:
        raise ValueError(f"this version reads pickles of format {_PICKLE_VERSION}, got format {version!r}")
    trees = cls(weights, data, axis=axis, floor=floor)
    if slack is not None:
        trees.set_slack(np.arange(len(trees)), slack)
    return trees
