"""Many wide trees of one shape over the rows of one matrix, and a tree over their maxima."""

import numpy as np

cimport numpy as cnp
from libc.math cimport INFINITY
from libc.stdint cimport INT64_MAX, int64_t
from libc.string cimport memcpy

from sltrees._core._boundary import aligned_empty
from sltrees._core._hits cimport hits_begin, hits_end, hits_to_array
from sltrees._core._pools cimport optional
from sltrees._core._products cimport Columns
from sltrees._core._simd cimport active_level
from sltrees._core._threshold_tree cimport ThresholdTree
from sltrees._core._tree cimport (
    sl_hits, sl_tree_build, sl_tree_count, sl_tree_init, sl_tree_maximum, sl_tree_query, sl_tree_update_many,
)
from sltrees._core._typedefs cimport column_t, real_t

cnp.import_array()

cdef enum:
    N_PRODUCTS = 1 << 18            # computed at a time: 1 MiB in float32, so that they are still in cache when copied


cdef class TreeBank:
    """A bank of trees over the rows of an (n_rows, n_columns) matrix, all entries -inf at first.

    Rows are contiguous, so that writing one streams; a ThresholdTree over the row maxima (`top`) finds the
    rows with any hit without looking at the others. This is a kernel class: it validates
    nothing, its callers do (see `sltrees.CorrelationTrees`).

    Parameters
    ----------
    n_rows, n_columns : int
    dtype : float32 or float64

    Notes
    -----
    Memory: n_rows n_columns entries, padded to whole blocks, plus 1/(W-1) of them.
    """

    def __init__(self, int64_t n_rows, int64_t n_columns, dtype):
        dtype = np.dtype(dtype)
        cdef int64_t width = 64 // dtype.itemsize
        self.n_rows = n_rows
        self.n_columns = n_columns
        self.itemsize = dtype.itemsize
        self.stride = (n_columns + width - 1) // width * width
        sl_tree_init(&self.tree, self.stride, self.stride, dtype == np.float32, False, active_level())
        self._leaves = aligned_empty(n_rows * self.stride, dtype).reshape(n_rows, self.stride)
        self._upper = aligned_empty(n_rows * self.tree.shape.n_upper, dtype).reshape(n_rows, self.tree.shape.n_upper)
        self._leaves.fill(-np.inf)
        self._upper.fill(-np.inf)
        self.leaves = cnp.PyArray_BYTES(self._leaves)
        self.upper = cnp.PyArray_BYTES(self._upper)
        self.top = ThresholdTree(np.full(n_rows, -np.inf, dtype=dtype))

    @staticmethod
    def bytes_needed(n_rows, n_columns, dtype):
        """Bytes that a bank of this size holds, an upper bound."""
        itemsize = np.dtype(dtype).itemsize
        width = 64 // itemsize
        stride = (n_columns + width - 1) // width * width
        upper, size = 0, stride
        while size > width:
            size = (size + width - 1) // width
            upper += (size + width - 1) // width * width
        return n_rows * (stride + upper + 2) * itemsize + 512

    cdef void *row_leaves(self, int64_t row) noexcept nogil:
        return self.leaves + row * self.stride * self.itemsize

    cdef void *row_upper(self, int64_t row) noexcept nogil:
        return self.upper + row * self.tree.shape.n_upper * self.itemsize

    @property
    def values(self):
        """Read-only view of the matrix, shape (n_rows, n_columns)."""
        view = self._leaves[:, :self.n_columns]
        view.flags.writeable = False
        return view

    @property
    def nbytes(self):
        """Bytes held."""
        return self._leaves.nbytes + self._upper.nbytes + self.top.nbytes

    # ------------------------------------------------------------------ writing

    def write_rows(self, const int64_t[::1] rows, values):
        """Set whole rows, in order: of equal rows the last one wins.

        Parameters
        ----------
        rows : int64 memoryview of shape (k,)
        values : C-ordered ndarray of shape (k, n_columns), dtype of the bank

        Notes
        -----
        Cost: O(k n_columns), streaming, and an update of k entries of `top`.
        """
        cdef int64_t n = rows.shape[0]
        maxima = np.empty(n, dtype=self._leaves.dtype)
        cdef const char *source = cnp.PyArray_BYTES(values)
        cdef char *p_maxima = cnp.PyArray_BYTES(maxima)
        if n:
            with nogil:
                self._write_rows(&rows[0], source, n, p_maxima)

    def write_columns(self, const int64_t[::1] columns, values):
        """Set whole columns, in order: of equal columns the last one wins.

        Parameters
        ----------
        columns : int64 memoryview of shape (k,)
        values : C-ordered ndarray of shape (n_rows, k), dtype of the bank

        Notes
        -----
        Cost: O(k log n_columns) per row, or O(k + n_columns / W) for many columns.
        """
        cdef int64_t row, n = columns.shape[0]
        cdef const char *source = cnp.PyArray_BYTES(values)
        if n:
            with nogil:
                for row in range(self.n_rows):
                    self._write_in_row(row, &columns[0], source + row * n * self.itemsize, n)

    def write_row_products(self, const int64_t[::1] rows, left, Columns right, kept=None):
        """Set whole rows to products: row rows[j] to those of left[j] with all vectors of `right`.

        Parameters
        ----------
        rows : int64 memoryview of shape (k,)
        left : C-ordered ndarray of shape (k, d), dtype of the bank
        right : Columns
            As many as the bank has.
        kept : ndarray like `left`, but with as many rows as the bank, optional
            Its rows become left[j], too.

        Raises
        ------
        MemoryError
            Nothing has been changed then: all memory is asked for at first. No other exception can fall between.

        Notes
        -----
        Cost: O(k n_columns d).
        """
        cdef int64_t start = 0, count, n = rows.shape[0], block = _at_once(n, self.n_columns)
        cdef int64_t row_bytes = right.d * self.itemsize
        products = np.empty(block * self.n_columns, dtype=self._leaves.dtype)
        maxima = np.empty(block, dtype=self._leaves.dtype)
        cdef const char *p_left = cnp.PyArray_BYTES(left)
        cdef char *p_kept = <char *> optional(kept)
        cdef char *p_products = cnp.PyArray_BYTES(products)
        cdef char *p_maxima = cnp.PyArray_BYTES(maxima)
        with nogil:
            while start < n:
                count = block if n - start > block else n - start
                _keep(p_kept, &rows[start], p_left + start * row_bytes, count, row_bytes)
                right.c_times(p_left + start * row_bytes, count, p_products)
                self._write_rows(&rows[start], p_products, count, p_maxima)
                start += count

    def write_column_products(self, const int64_t[::1] columns, left, Columns right, kept=None):
        """Set whole columns to products: column columns[j] to those of left[j] with all vectors of `right`.

        Parameters
        ----------
        columns : int64 memoryview of shape (k,)
        left : C-ordered ndarray of shape (k, d), dtype of the bank
        right : Columns
            As many as the bank has rows.
        kept : ndarray like `left`, but with as many rows as the bank has columns, optional
            Its rows columns[j] become left[j], too.

        Raises
        ------
        MemoryError
            As of `write_row_products`.

        Notes
        -----
        Cost: O(k n_rows d), and as of `write_columns`.
        """
        cdef int64_t row, start = 0, count, n = columns.shape[0], block = _at_once(n, self.n_rows)
        cdef int64_t row_bytes = right.d * self.itemsize
        products = np.empty(block * self.n_rows, dtype=self._leaves.dtype)
        one_row = np.empty(block, dtype=self._leaves.dtype)
        cdef const char *p_left = cnp.PyArray_BYTES(left)
        cdef char *p_kept = <char *> optional(kept)
        cdef char *p_products = cnp.PyArray_BYTES(products)
        cdef char *p_one_row = cnp.PyArray_BYTES(one_row)
        with nogil:
            while start < n:
                count = block if n - start > block else n - start
                _keep(p_kept, &columns[start], p_left + start * row_bytes, count, row_bytes)
                right.c_times(p_left + start * row_bytes, count, p_products)
                for row in range(self.n_rows):
                    if self.itemsize == 4:
                        _take_column[float](<float *> p_products, self.n_rows, row, count, <float *> p_one_row)
                    else:
                        _take_column[double](<double *> p_products, self.n_rows, row, count, <double *> p_one_row)
                    self._write_in_row(row, &columns[start], p_one_row, count)
                start += count

    def take(self, TreeBank other, const int64_t[::1] rows, const int64_t[::1] columns):
        """Have these rows and columns of another bank, of the same dtype, as the first ones; no more is written."""
        cdef int64_t row, n = columns.shape[0]
        if n == 0:
            return
        with nogil:
            for row in range(rows.shape[0]):
                if self.itemsize == 4:
                    _take_leaves(<const float *> other.row_leaves(rows[row]), &columns[0], n,
                                 <float *> self.row_leaves(row))
                else:
                    _take_leaves(<const double *> other.row_leaves(rows[row]), &columns[0], n,
                                 <double *> self.row_leaves(row))
                sl_tree_build(&self.tree, self.row_leaves(row), self.row_upper(row), NULL)
                self.top.c_update(row, self._row_max(row))

    cdef void _write_rows(self, const int64_t *rows, const char *values, int64_t n, char *maxima) noexcept nogil:
        """Set n rows, and their entries of `top`. `maxima` has room for n numbers."""
        cdef int64_t j, row_bytes = self.n_columns * self.itemsize
        cdef double best
        for j in range(n):
            memcpy(self.row_leaves(rows[j]), values + j * row_bytes, row_bytes)
            sl_tree_build(&self.tree, self.row_leaves(rows[j]), self.row_upper(rows[j]), NULL)
            best = self._row_max(rows[j])
            if self.itemsize == 4:
                (<float *> maxima)[j] = <float> best
            else:
                (<double *> maxima)[j] = best
        sl_tree_update_many(&self.top.tree, self.top.leaves, self.top.upper, rows, maxima, n)

    cdef void _write_in_row(self, int64_t row, const int64_t *columns, const char *values, int64_t n) noexcept nogil:
        """Set n entries of a row, and its entry of `top`."""
        sl_tree_update_many(&self.tree, self.row_leaves(row), self.row_upper(row), columns, values, n)
        self.top.c_update(row, self._row_max(row))

    cdef double _row_max(self, int64_t row) noexcept nogil:
        return sl_tree_maximum(&self.tree, self.row_leaves(row), self.row_upper(row)) if self.stride else -INFINITY

    # ------------------------------------------------------------------ queries

    def query_row(self, int64_t row, double threshold):
        """Columns of one row above the threshold, ascending, and the number of blocks compared.

        Notes
        -----
        Cost: O(k log(n_columns / k)) blocks for k hits.
        """
        cdef int64_t visited
        cdef sl_hits hits
        hits_begin(&hits, self.stride)
        with nogil:
            visited = sl_tree_query(&self.tree, self.row_leaves(row), self.row_upper(row), threshold,
                                    0, self.stride, &hits)
        return hits_to_array(&hits), visited

    def entries_above(self, int64_t row, double threshold):
        """Columns (int64) of one row above the threshold, ascending, and their values. Cost: as of `query_row`."""
        columns, _ = self.query_row(row, threshold)
        return columns, self.values[row, columns]

    def largest(self, int64_t row, k):
        """The k largest columns of one row, or all, the largest first; of equal ones the lowest. Cost: O(n_columns)."""
        values = self.values[row]
        if k >= values.size:
            return np.argsort(-values, kind="stable")
        if k == 0:
            return np.empty(0, dtype=np.int64)
        kth = np.partition(values, values.size - k)[values.size - k]
        best, _ = self.query_row(row, float(np.nextafter(kth, -np.inf, dtype=values.dtype)))
        return best[np.argsort(-values[best], kind="stable")][:k]

    def count_row(self, int64_t row, double threshold):
        """Number of columns of one row above the threshold. Cost: as of `query_row`, without writing them."""
        cdef int64_t found = 0
        with nogil:
            sl_tree_count(&self.tree, self.row_leaves(row), self.row_upper(row), threshold, 0, self.stride, &found)
        return found

    def count_rows(self, const double[::1] thresholds):
        """The same for all rows, each with a threshold of its own: ndarray of shape (n_rows,), dtype=int64."""
        cdef int64_t row
        counts = np.zeros(self.n_rows, dtype=np.int64)
        cdef int64_t[::1] count = counts
        with nogil:
            for row in range(self.n_rows):
                if self._row_max(row) > thresholds[row]:
                    sl_tree_count(&self.tree, self.row_leaves(row), self.row_upper(row), thresholds[row],
                                  0, self.stride, &count[row])
        return counts

    def query_all(self, threshold):
        """All entries above the threshold, row by row.

        Parameters
        ----------
        threshold : float, or ndarray of shape (n_rows,), dtype=float64
            One for all rows, or one for each.

        Returns
        -------
        indptr : ndarray of shape (n_rows + 1,), dtype=int64
        columns : ndarray of shape (k,), dtype=int32
            Ascending within a row.
        values : ndarray of shape (k,), dtype of the bank
        visited : int
            Blocks compared.

        Notes
        -----
        Rows without a hit are never looked at. Cost: O(rows with hits + k log(n_columns)) blocks; where each row has a
        threshold of its own, O(n_rows) to find these rows.
        """
        cdef int64_t visited = 0, j, row, n_live
        cdef sl_hits hits
        if isinstance(threshold, np.ndarray):
            live, top_visited = np.flatnonzero(self.top.values > threshold), 0
            limits = threshold[live]
        else:
            live, top_visited = self.top._query_counting(threshold)
            limits = np.full(live.size, threshold, dtype=np.float64)
        cdef const double[::1] limit = limits
        indptr = np.zeros(self.n_rows + 1, dtype=np.int64)
        cdef const int64_t[::1] live_rows = live
        cdef int64_t[::1] start = indptr
        n_live = live_rows.shape[0]
        hits_begin(&hits, INT64_MAX)
        with nogil:
            for j in range(n_live):
                row = live_rows[j]
                visited += sl_tree_query(&self.tree, self.row_leaves(row), self.row_upper(row), limit[j],
                                         0, self.stride, &hits)
                start[row + 1] = hits.length
            # rows without hits begin where the row before them ended
            for row in range(self.n_rows):
                if start[row + 1] < start[row]:
                    start[row + 1] = start[row]
        try:
            if hits.out_of_memory:
                raise MemoryError(f"no memory for {8 * hits.length} bytes of query results")
            columns = np.empty(hits.length, dtype=np.int32)
            values = np.empty(hits.length, dtype=self._leaves.dtype)
            if self.itemsize == 4:
                _gather[float](<const float *> self.leaves, self.stride, live_rows, start, hits.data, columns, values)
            else:
                _gather[double](<const double *> self.leaves, self.stride, live_rows, start, hits.data, columns, values)
        finally:
            hits_end(&hits)
        return indptr, columns, values, visited + top_visited

    def _check(self):
        """Assert every invariant of the structure. Cost: O(n_rows n_columns)."""
        cdef int64_t width = 1 << self.tree.shape.width_bits
        assert self._leaves.shape == (self.n_rows, self.stride)
        assert self._leaves.size == 0 or self._leaves.ctypes.data % 64 == 0
        # padding never fires
        assert np.all(self._leaves[:, self.n_columns:] == -np.inf)
        assert not np.isnan(self._leaves).any()
        # every node of every row is the maximum of its block
        below = self._leaves
        for k in range(1, self.tree.shape.n_levels + 1):
            at, size = self.tree.shape.offset[k], self.tree.shape.size[k]
            level = self._upper[:, at:at + size]
            assert np.array_equal(level, np.maximum.reduceat(below, np.arange(0, below.shape[1], width), axis=1))
            assert np.all(self._upper[:, at + size:at + (size + width - 1) // width * width] == -np.inf)
            below = level
        # the top tree holds the row maxima
        self.top._check()
        assert np.array_equal(self.top.values, self._leaves.max(axis=1, initial=-np.inf))


cdef int64_t _at_once(int64_t n, int64_t products_of_each) noexcept:
    """How many of n vectors are multiplied at a time, at least 1."""
    cdef int64_t most = N_PRODUCTS // products_of_each if products_of_each else 1
    return max(1, min(n, most))


cdef void _keep(char *kept, const int64_t *rows, const char *left, int64_t n, int64_t row_bytes) noexcept nogil:
    """Copy n rows to those of `kept`, unless that is NULL."""
    cdef int64_t j
    if kept != NULL:
        for j in range(n):
            memcpy(kept + rows[j] * row_bytes, left + j * row_bytes, row_bytes)


cdef void _take_column(const real_t *values, int64_t stride, int64_t column, int64_t n, real_t *out) noexcept nogil:
    """Column `column` of an (n, stride) matrix."""
    cdef int64_t j
    for j in range(n):
        out[j] = values[j * stride + column]


cdef void _take_leaves(const real_t *leaves, const int64_t *columns, int64_t n, real_t *out) noexcept nogil:
    """Those of a row of leaves that are in some columns."""
    cdef int64_t i
    for i in range(n):
        out[i] = leaves[columns[i]]


cdef void _gather(const real_t *leaves, int64_t stride, const int64_t[::1] rows, const int64_t[::1] start,
                  const int64_t *found, column_t[::1] columns, real_t[::1] values) noexcept nogil:
    """Narrow the column numbers of all hits, and fetch their values."""
    cdef int64_t j, i
    cdef const real_t *leaf
    for j in range(rows.shape[0]):
        leaf = leaves + rows[j] * stride
        for i in range(start[rows[j]], start[rows[j] + 1]):
            columns[i] = <column_t> found[i]
            values[i] = leaf[found[i]]
