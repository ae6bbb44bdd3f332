"""The forest of correlation trees: all products <w_r, x_i> under threshold queries and weight updates."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from sltrees._core import TreeBank
from sltrees._core._boundary import as_index, as_indices, as_integers, as_threshold
from sltrees._core._products import Columns
from sltrees._memory import array_bytes, check_memory
from sltrees._validation import as_choice, as_max_memory, as_real_matrix, as_real_vector

_SCRATCH_ENTRIES = 1 << 18  # products computed at a time (_core/_tree_bank.pyx)
_PICKLE_VERSION = 1


class CorrelationTrees:
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
        Bytes that may be used; by default all that the machine has available.

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

    def __init__(self, weights, data, *, axis="data", max_memory=None):
        self._axis = as_choice(axis, "axis", ("data", "weights"))
        single = getattr(weights, "dtype", None) == np.float32 and getattr(data, "dtype", None) == np.float32
        self._dtype = np.dtype(np.float32 if single else np.float64)
        self._weights = as_real_matrix(weights, "weights", self._dtype)
        data = as_real_matrix(data, "data", self._dtype, n_columns=self._weights.shape[1])
        self._largest = float(np.abs(data).max())
        _refuse_overflow(self._weights, self._largest)
        max_memory = as_max_memory(max_memory)
        needed = self.bytes_needed(len(self._weights), len(data), self._weights.shape[1], self._dtype, axis=axis)
        check_memory(needed, max_memory, "the trees", "use fewer weights or data points, or float32")
        self._columns = Columns(data)
        self._bank = TreeBank(*self._bank_shape(len(self._weights), len(data), axis), self._dtype)
        # row by row, whatever the axis
        rows, columns = (self._weights, self._columns) if axis == "data" else (data, Columns(self._weights))
        self._bank.write_row_products(np.arange(len(rows)), rows, columns)

    @staticmethod
    def bytes_needed(n_weights, n_data, n_features, dtype, *, axis="data"):
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

    # ------------------------------------------------------------------ queries

    def query(self, row, threshold, *, return_values=False):
        """Entries of one tree above the threshold.

        Parameters
        ----------
        row : int
            With axis "data" a weight, with axis "weights" a data point.
        threshold : float
            Compared strictly.
        return_values : bool, default False
            Return the products with the indices.

        Returns
        -------
        indices : ndarray of shape (k,), dtype=int64
            Data points (axis "data") or weights (axis "weights") with a product above the threshold, ascending.
        values : ndarray of shape (k,), dtype of the trees
            Only if `return_values`.

        Raises
        ------
        IndexError
            If the row is out of range.
        ValueError
            If the threshold is NaN.

        Notes
        -----
        Cost: O(k log(n / k)) blocks for k of n.

        Examples
        --------
        >>> trees = CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0]], axis="weights")
        >>> trees.query(1, 3.5)
        array([1])
        """
        # all is converted before anything is looked at: a conversion may be anything, even one that makes other trees
        row, threshold = as_index(row, self._bank.n_rows, "row"), as_threshold(threshold)
        row = as_index(row, self._bank.n_rows, "row")
        indices, _ = self._bank.query_row(row, threshold)
        if return_values:
            return indices, self._bank.values[row, indices]
        return indices

    def query_all(self, threshold):
        """All products above the threshold.

        Parameters
        ----------
        threshold : float
            Compared strictly.

        Returns
        -------
        scipy.sparse.csr_array of shape (m, n) for axis "data", (n, m) for axis "weights"
            The products above the threshold, in the dtype of the trees, with sorted indices. With a negative threshold
            products equal to zero are stored like any other.

        Raises
        ------
        ValueError
            If the threshold is NaN.

        Notes
        -----
        Trees without a hit are never looked at. Cost: O(k log) blocks for k hits.

        Examples
        --------
        >>> CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0]]).query_all(2.5).toarray()
        array([[0., 3.],
               [0., 6.]])
        """
        threshold = as_threshold(threshold)
        indptr, columns, values, _ = self._bank.query_all(threshold)
        if indptr[-1] <= np.iinfo(np.int32).max:
            indptr = indptr.astype(np.int32)
        result = scipy.sparse.csr_array((values, columns, indptr), shape=self.shape)
        result.has_sorted_indices = result.has_canonical_format = True
        return result

    # ------------------------------------------------------------------ updates

    def update_weight(self, r, weight):
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

    def update_weights(self, rows, weights):
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

    # ------------------------------------------------------------------ views and copies

    @property
    def axis(self):
        """ "data" or "weights"."""
        return self._axis

    @property
    def dtype(self):
        """float32 or float64."""
        return self._dtype

    @property
    def shape(self):
        """(number of trees, leaves of each)."""
        return (self._bank.n_rows, self._bank.n_columns)

    @property
    def weights(self):
        """Read-only view of the weights, shape (m, d)."""
        view = self._weights.view()
        view.flags.writeable = False
        return view

    @property
    def data(self):
        """Read-only view of the data, shape (n, d), in Fortran order."""
        return self._columns.vectors

    @property
    def values(self):
        """Read-only view of all products, of the shape of `shape`; it follows every update."""
        return self._bank.values

    @property
    def nbytes(self):
        """Bytes held."""
        return self._bank.nbytes + self._weights.nbytes + self._columns.nbytes

    def __len__(self):
        return self._bank.n_rows

    def __repr__(self):
        m, n, d = len(self._weights), self._columns.n, self._columns.d
        return f"<CorrelationTrees of {m} weights and {n} points in {d} dimensions, axis {self._axis!r}, {self._dtype}>"

    def copy(self):
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
        return type(self)(self._weights, self.data, axis=self._axis)

    __copy__ = copy

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        return _from_pickle, (type(self), _PICKLE_VERSION, self._weights, np.ascontiguousarray(self.data), self._axis)

    def _check(self):
        """Assert every invariant: the bank's own, and that it holds the products, bit for bit. Cost: O(n m d)."""
        self._bank._check()
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


def _from_pickle(cls, version, weights, data, axis):
    """Rebuild trees; the arguments come from a file and are checked like any others."""
    if version != _PICKLE_VERSION:
        raise ValueError(f"this version reads pickles of format {_PICKLE_VERSION}, got format {version!r}")
    return cls(weights, data, axis=axis)
