"""The entries of a matrix that are above a floor, row by row: a bank where most entries are never asked for."""

import numpy as np

cimport numpy as cnp
from libc.math cimport INFINITY
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from sltrees._core._boundary cimport UNCHECKED_BYTES
from sltrees._core._products cimport Columns
from sltrees._core._threshold_tree cimport ThresholdTree
from sltrees._core._tree cimport sl_tree_update_many
from sltrees._core._typedefs cimport column_t, real_t

from sltrees._memory import available_memory

cnp.import_array()

cdef enum:
    N_PRODUCTS = 1 << 18            # computed at a time
    AS_BEFORE = -1                  # length of a row that a change leaves as it is

cdef struct row_t:
    int64_t n
    char *values                    # (n,) of the dtype, and behind them
    column_t *columns               # (n,), ascending; NULL like `values` where there is none


cdef class PrunedBank:
    """What `TreeBank` is, of entries above a floor only: all others count as -inf. None is there at first.

    Each row has its entries side by side, in a block of memory of their number; a ThresholdTree over the row maxima
    (`top`) finds the rows with any hit. A change makes the rows that it is to leave beside those there are, and then
    puts them in their places, where nothing can fail. As rows have memory of their own, whoever writes holds a change
    of `top` (`while_changing`), unless nobody else knows the bank; a query meanwhile is a RuntimeError. Kernel class:
    it validates nothing.

    Parameters
    ----------
    n_rows, n_columns : int
    dtype : float32 or float64
    floor : float
        Finite.
    max_bytes : float
        What entries may take, those that a change makes included; infinity for what is available.

    Notes
    -----
    Memory: a column number and a value for each entry above the floor, and 32 bytes a row.
    """

    cdef readonly int64_t n_rows
    cdef readonly int64_t n_columns
    cdef readonly int64_t n_stored      # entries above the floor
    cdef readonly double floor
    cdef public double max_bytes
    cdef readonly ThresholdTree top     # over the maximum of each row
    cdef int64_t itemsize               # bytes of a value: 4 or 8
    cdef row_t *row                     # (n_rows,)
    cdef double allowed                 # bytes that a change may take in all
    cdef object dtype

    def __init__(self, int64_t n_rows, int64_t n_columns, dtype, double floor, double max_bytes=INFINITY):
        self.n_columns = n_columns
        self.dtype = np.dtype(dtype)
        self.itemsize = self.dtype.itemsize
        self.floor = floor
        self.max_bytes = max_bytes
        self.top = ThresholdTree(np.full(n_rows, -np.inf, dtype=self.dtype))
        self.row = new_rows(n_rows)
        self.n_rows = n_rows

    def __dealloc__(self):
        free_rows(self.row, self.n_rows)

    @staticmethod
    def bytes_needed(n_rows, n_stored, dtype):
        """Bytes that a bank of so many entries above its floor holds, an upper bound."""
        itemsize = np.dtype(dtype).itemsize
        return n_rows * (sizeof(row_t) + 2 * itemsize) + n_stored * (itemsize + sizeof(column_t)) + 512

    @property
    def nbytes(self):
        """Bytes held."""
        return self.n_rows * sizeof(row_t) + self.n_stored * (self.itemsize + sizeof(column_t)) + self.top.nbytes

    # ------------------------------------------------------------------ writing

    def write_row_products(self, const int64_t[::1] rows, left, Columns right, kept=None):
        """As of `TreeBank`, but no row twice.

        Raises
        ------
        MemoryError
            If there is not enough, or entries need more than `max_bytes`. Nothing has been changed then.
        """
        cdef int64_t start = 0, count, j, n = rows.shape[0], block = at_once(n, self.n_columns)
        cdef int64_t left_bytes = right.d * self.itemsize, room = self._room(n * self.n_columns)
        products = np.empty(block * self.n_columns, dtype=self.dtype)
        maxima = np.empty(n, dtype=self.dtype)
        cdef const char *p_left = cnp.PyArray_BYTES(left)
        cdef char *p_products = cnp.PyArray_BYTES(products)
        cdef row_t *made = new_rows(n)
        with nogil:
            while start < n and room >= 0:
                count = min(block, n - start)
                right.c_times(p_left + start * left_bytes, count, p_products)
                for j in range(count):
                    if room >= 0:
                        room -= self._make(&made[start + j], p_products + j * self.n_columns * self.itemsize, room)
                start += count
        self._put(rows, made, room, maxima)
        if kept is not None:
            keep(cnp.PyArray_BYTES(kept), rows, p_left, left_bytes)

    def write_column_products(self, const int64_t[::1] columns, left, Columns right, kept=None):
        """As of `TreeBank`, but no column twice.

        Raises
        ------
        MemoryError
            As of `write_row_products`.
        """
        cdef int64_t start = 0, count, j, k = columns.shape[0], block = at_once(self.n_rows, max(k, right.d))
        cdef int64_t left_bytes = right.d * self.itemsize, room = self._room(self.n_stored + self.n_rows * k)
        if k == 0:
            return
        ascending, changed = np.asarray(columns), left
        if np.any(np.diff(ascending) < 0):
            order = np.argsort(ascending)
            ascending, changed = np.ascontiguousarray(ascending[order]), left[order]
        changed = Columns(changed)
        vectors = np.empty(block * right.d, dtype=self.dtype)   # as rows: products have the same bits
        products = np.empty(block * k, dtype=self.dtype)
        maxima = np.empty(self.n_rows, dtype=self.dtype)
        everything = np.arange(self.n_rows)
        cdef const int64_t[::1] column = ascending
        cdef Columns others = changed
        cdef char *p_vectors = cnp.PyArray_BYTES(vectors)
        cdef char *p_products = cnp.PyArray_BYTES(products)
        cdef row_t *made = new_rows(self.n_rows)
        with nogil:
            while start < self.n_rows and room >= 0:
                count = min(block, self.n_rows - start)
                if self.itemsize == 4:
                    copy_rows(<const float *> right.numbers + start, right.stride, right.d, count, <float *> p_vectors)
                else:
                    copy_rows(<const double *> right.numbers + start, right.stride, right.d, count,
                              <double *> p_vectors)
                others.c_times(p_vectors, count, p_products)
                for j in range(count):
                    if room >= 0:
                        room -= self._merge(&made[start + j], &self.row[start + j], &column[0],
                                            p_products + j * k * self.itemsize, k, room)
                start += count
        self._put(everything, made, room, maxima)
        if kept is not None:
            keep(cnp.PyArray_BYTES(kept), columns, cnp.PyArray_BYTES(left), left_bytes)

    def take(self, PrunedBank other, const int64_t[::1] rows, const int64_t[::1] columns):
        """Have these rows and columns of another bank as the first ones, where none has been written.

        Parameters
        ----------
        other : PrunedBank
            Of the same dtype and floor.
        rows : int64 memoryview of shape (at most n_rows,)
        columns : int64 memoryview of shape (at most n_columns,)
            Ascending.

        Raises
        ------
        MemoryError
            As of `write_row_products`.
        """
        cdef int64_t j, n = rows.shape[0], room = self._room(other.n_stored)
        places = np.full(other.n_columns, -1)
        places[np.asarray(columns)] = np.arange(columns.shape[0])
        maxima, first = np.empty(n, dtype=self.dtype), np.arange(n)
        cdef const int64_t[::1] place = places
        cdef row_t *made = new_rows(n)
        with nogil:
            for j in range(n):
                if room >= 0:
                    room -= self._renumber(&made[j], &other.row[rows[j]], &place[0] if place.shape[0] else NULL,
                                           room)
        self._put(first, made, room, maxima)

    def _refuse(self):
        if self.allowed == INFINITY:
            raise MemoryError(f"no memory for products above the floor, {self.floor:g}")
        raise MemoryError(
            f"products above the floor, {self.floor:g}, need more than {self.allowed:,.0f} bytes, what is left of "
            f"what {'this machine has available' if self.max_bytes == INFINITY else 'max_memory allows'}; "
            "use a higher floor, fewer weights or data points, or float32")

    cdef int64_t _room(self, int64_t most):
        """How many entries may be made beside those there are, where a change makes `most` at the most."""
        cdef double each = self.itemsize + sizeof(column_t)
        self.allowed = self.max_bytes - self.n_stored * each
        if self.max_bytes == INFINITY and most * each > UNCHECKED_BYTES:
            self.allowed = available_memory()
        return <int64_t> max(0.0, min(self.allowed / each, 1e18))

    cdef int _put(self, const int64_t[::1] rows, row_t *made, int64_t room, maxima) except -1:
        """Put rows that were made in their places; where there was no room for all, free them and raise."""
        cdef int64_t j, n = rows.shape[0]
        cdef row_t before
        cdef char *p_maxima = cnp.PyArray_BYTES(maxima)
        if room < 0:
            free_rows(made, n)
            self._refuse()
        with nogil:
            for j in range(n):
                if made[j].n != AS_BEFORE:
                    before = self.row[rows[j]]
                    self.row[rows[j]] = made[j]
                    self.n_stored += made[j].n - before.n
                    made[j] = before
                before = self.row[rows[j]]
                if self.itemsize == 4:
                    (<float *> p_maxima)[j] = <float> largest(<const float *> before.values, before.n)
                else:
                    (<double *> p_maxima)[j] = largest(<const double *> before.values, before.n)
            if n:
                sl_tree_update_many(&self.top.tree, self.top.leaves, self.top.upper, &rows[0], p_maxima, n)
        free_rows(made, n)
        return 0

    cdef int64_t _reserve(self, row_t *made, int64_t n, int64_t room) noexcept nogil:
        """Memory for n entries; more than there is room for, n or where there is none, is returned else."""
        made.n = 0
        if n > room:
            return n
        if n:
            made.values = <char *> malloc(n * (self.itemsize + sizeof(column_t)))
            if made.values == NULL:
                return room + 1
            made.columns = <column_t *> (made.values + n * self.itemsize)
        made.n = n
        return n

    cdef int64_t _make(self, row_t *made, const char *products, int64_t room) noexcept nogil:
        """A row of those products that are above the floor: how many they are, or more than there is room for."""
        cdef int64_t taken
        if self.itemsize == 4:
            taken = self._reserve(made, count_above(<const float *> products, self.n_columns, self.floor), room)
            if made.n:
                fill_above(<const float *> products, self.n_columns, self.floor, made)
        else:
            taken = self._reserve(made, count_above(<const double *> products, self.n_columns, self.floor), room)
            if made.n:
                fill_above(<const double *> products, self.n_columns, self.floor, made)
        return taken

    cdef int64_t _merge(self, row_t *made, const row_t *old, const int64_t *columns, const char *products,
                        int64_t k, int64_t room) noexcept nogil:
        """A row with some columns set: as of `_make`."""
        cdef int64_t n, taken
        if self.itemsize == 4:
            n = merge(old, columns, <const float *> products, k, self.floor, made, False)
        else:
            n = merge(old, columns, <const double *> products, k, self.floor, made, False)
        if n == AS_BEFORE:
            made.n = AS_BEFORE
            return 0
        taken = self._reserve(made, n, room)
        if made.n:
            if self.itemsize == 4:
                merge(old, columns, <const float *> products, k, self.floor, made, True)
            else:
                merge(old, columns, <const double *> products, k, self.floor, made, True)
        return taken

    cdef int64_t _renumber(self, row_t *made, const row_t *old, const int64_t *place, int64_t room) noexcept nogil:
        """A row of those entries that have a place, at these: as of `_make`."""
        cdef int64_t i, n = 0, taken
        for i in range(old.n):
            n += place[old.columns[i]] >= 0
        taken = self._reserve(made, n, room)
        if made.n:
            n = 0
            for i in range(old.n):
                if place[old.columns[i]] >= 0:
                    made.columns[n] = <column_t> place[old.columns[i]]
                    memcpy(made.values + n * self.itemsize, old.values + i * self.itemsize, self.itemsize)
                    n += 1
        return taken

    # ------------------------------------------------------------------ queries

    def query_row(self, int64_t row, double threshold):
        """Columns (int64) of one row above a threshold that is at least the floor, and how many were compared."""
        return self.entries_above(row, threshold)[0], self.row[row].n

    def entries_above(self, int64_t row, double threshold):
        """Columns (int64) and values of one row above a threshold that is at least the floor, by ascending column."""
        cdef int64_t n
        self.top._begin_query()
        try:
            n = self._count(&self.row[row], threshold)
            columns, values = np.empty(n, dtype=np.int32), np.empty(n, dtype=self.dtype)
            self._gather(&self.row[row], threshold, <column_t *> cnp.PyArray_BYTES(columns), cnp.PyArray_BYTES(values))
        finally:
            self.top._end_query()
        return columns.astype(np.int64), values

    def largest(self, int64_t row, k):
        """The k largest columns of one row, or all above the floor, the largest first; of equal ones the lowest."""
        columns, values = self.entries_above(row, self.floor)
        return columns[np.argsort(-values, kind="stable")[:k]]

    def count_row(self, int64_t row, double threshold):
        """Number of columns of one row above a threshold that is at least the floor."""
        self.top._begin_query()
        try:
            return self._count(&self.row[row], threshold)
        finally:
            self.top._end_query()

    def count_rows(self, const double[::1] thresholds):
        """The same for all rows, each with a threshold of its own: ndarray of shape (n_rows,), dtype=int64."""
        cdef int64_t j
        counts = np.zeros(self.n_rows, dtype=np.int64)
        cdef int64_t[::1] count = counts
        self.top._begin_query()
        try:
            with nogil:
                for j in range(self.n_rows):
                    count[j] = self._count(&self.row[j], thresholds[j])
        finally:
            self.top._end_query()
        return counts

    def query_all(self, threshold):
        """As of `TreeBank`, of thresholds that are at least the floor, but for the number of blocks."""
        self.top._begin_query()
        try:
            return self._query_all(threshold)
        finally:
            self.top._end_query()

    def _query_all(self, threshold):
        live = np.flatnonzero(self.top.values > threshold) if isinstance(threshold, np.ndarray) else (
            self.top.query(threshold))
        limits = np.ascontiguousarray(np.broadcast_to(threshold, self.n_rows)[live], dtype=np.float64)
        indptr = np.zeros(self.n_rows + 1, dtype=np.int64)
        cdef const int64_t[::1] rows = live
        cdef const double[::1] limit = limits
        cdef int64_t[::1] start = indptr
        cdef int64_t j
        for j in range(rows.shape[0]):
            start[rows[j] + 1] = self._count(&self.row[rows[j]], limit[j])
        np.cumsum(indptr, out=indptr)
        columns = np.empty(start[self.n_rows], dtype=np.int32)
        values = np.empty(start[self.n_rows], dtype=self.dtype)
        cdef column_t *p_columns = <column_t *> cnp.PyArray_BYTES(columns)
        cdef char *p_values = cnp.PyArray_BYTES(values)
        with nogil:
            for j in range(rows.shape[0]):
                self._gather(&self.row[rows[j]], limit[j], p_columns + start[rows[j]],
                             p_values + start[rows[j]] * self.itemsize)
        return indptr, columns, values

    cdef int64_t _count(self, const row_t *row, double threshold) noexcept nogil:
        if self.itemsize == 4:
            return count_above(<const float *> row.values, row.n, threshold)
        return count_above(<const double *> row.values, row.n, threshold)

    cdef void _gather(self, const row_t *row, double threshold, column_t *columns, char *values) noexcept nogil:
        """Write the entries of a row above a threshold."""
        if self.itemsize == 4:
            gather(<const float *> row.values, row.columns, row.n, threshold, <float *> values, columns)
        else:
            gather(<const double *> row.values, row.columns, row.n, threshold, <double *> values, columns)

    def _check(self):
        """Assert every invariant of the structure. Cost: O(entries)."""
        total = 0
        assert self.top.size == self.n_rows
        self.top._check()
        for row in range(self.n_rows):
            columns, values = self.entries_above(row, self.floor)
            assert columns.size == self.row[row].n      # all that is stored is above the floor
            assert np.all(np.diff(columns) > 0)
            assert not columns.size or 0 <= columns.min() <= columns.max() < self.n_columns
            assert self.top[row] == values.max(initial=-np.inf)
            total += columns.size
        assert total == self.n_stored


cdef int64_t at_once(int64_t n, int64_t products_of_each) noexcept:
    """How many of n vectors are multiplied at a time, at least 1."""
    return max(1, min(n, N_PRODUCTS // max(products_of_each, 1)))


cdef row_t *new_rows(int64_t n) except NULL:
    cdef row_t *rows = <row_t *> calloc(max(n, 1), sizeof(row_t))
    if rows == NULL:
        raise MemoryError(f"no memory for {n * sizeof(row_t)} bytes of rows")
    return rows


cdef void free_rows(row_t *rows, int64_t n) noexcept nogil:
    cdef int64_t j
    if rows != NULL:
        for j in range(n):
            free(rows[j].values)
        free(rows)


cdef void keep(char *kept, const int64_t[::1] rows, const char *left, int64_t row_bytes) noexcept:
    cdef int64_t j
    for j in range(rows.shape[0]):
        memcpy(kept + rows[j] * row_bytes, left + j * row_bytes, row_bytes)


cdef void copy_rows(const real_t *columns, int64_t stride, int64_t d, int64_t n, real_t *out) noexcept nogil:
    """The first n of vectors that are side by side, `stride` apart in each coordinate, one after the other."""
    cdef int64_t i, j
    for j in range(n):
        for i in range(d):
            out[j * d + i] = columns[i * stride + j]


cdef int64_t count_above(const real_t *values, int64_t n, double threshold) noexcept nogil:
    cdef int64_t i, found = 0
    for i in range(n):
        found += values[i] > threshold
    return found


cdef void fill_above(const real_t *values, int64_t n, double threshold, row_t *out) noexcept nogil:
    cdef int64_t i, found = 0
    for i in range(n):
        if values[i] > threshold:
            out.columns[found] = <column_t> i
            (<real_t *> out.values)[found] = values[i]
            found += 1


cdef int64_t merge(const row_t *old, const int64_t *columns, const real_t *products, int64_t k, double floor,
                   row_t *out, bint write) noexcept nogil:
    """Entries of a row with some columns, ascending ones, set: their number, or AS_BEFORE where none changes."""
    cdef const real_t *values = <const real_t *> old.values
    cdef int64_t i = 0, j = 0, found = 0
    cdef bint changes = False
    while i < old.n or j < k:
        if j == k or (i < old.n and old.columns[i] < columns[j]):
            if write:
                out.columns[found] = old.columns[i]
                (<real_t *> out.values)[found] = values[i]
            found += 1
            i += 1
            continue
        if i < old.n and old.columns[i] == columns[j]:
            changes = True
            i += 1
        if products[j] > floor:
            changes = True
            if write:
                out.columns[found] = <column_t> columns[j]
                (<real_t *> out.values)[found] = products[j]
            found += 1
        j += 1
    return found if changes else AS_BEFORE


cdef void gather(const real_t *values, const column_t *columns, int64_t n, double threshold, real_t *values_out,
                 column_t *columns_out) noexcept nogil:
    """Those of n entries that are above a threshold."""
    cdef int64_t i, found = 0
    for i in range(n):
        if values[i] > threshold:
            values_out[found] = values[i]
            columns_out[found] = columns[i]
            found += 1


cdef double largest(const real_t *values, int64_t n) noexcept nogil:
    """The maximum of n values, -inf of none."""
    cdef double best = -INFINITY
    cdef int64_t i
    for i in range(n):
        best = max(best, values[i])
    return best
