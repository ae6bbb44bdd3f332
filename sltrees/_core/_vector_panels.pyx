"""Vectors that are searched: float32 rules out nearly all pairs, float64 decides the rest."""

import numpy as np

cimport numpy as cnp
from libc.math cimport INFINITY, NAN, fabs, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from sltrees._core._boundary cimport UNCHECKED_BYTES
from sltrees._core._boundary import aligned_empty, refuse_large
from sltrees._core._simd cimport active_level
from sltrees._core._typedefs cimport real_t

cnp.import_array()

cdef extern from "search/search.h" nogil:
    enum:
        SL_PANEL
    ctypedef int64_t (*sl_candidates)(const float *rows, int64_t n_rows, int64_t d, const float *panel,
                                      const float *limits, int32_t *rows_out, int32_t *columns_out) noexcept nogil
    sl_candidates sl_candidates_at(int level)

METRICS = ("inner_product", "cosine", "euclidean")      # in the order of the next

cdef enum:
    INNER, COSINE, EUCLIDEAN
    N_LANES = 8         # partial sums of an exact value
    N_FIRST_PAIRS = 4096

cdef double ROUNDING = 2.0 ** -24       # of float32
cdef double EXACT = 2.0 ** -53          # of float64
cdef double TINY = 2.0 ** -120          # what underflow may take away, also where it flushes to zero
cdef double LOST = 2.0 ** -1022         # the same of a product or a square in float64

cdef struct pair_t:
    int32_t row
    int32_t column
    double value

cdef struct pairs_t:
    pair_t *data
    int64_t length
    int64_t capacity


cdef class VectorPanels:
    """Vectors, and side by side what is made of them in float32. Kernel class: it validates nothing.

    A panel has 64 of the latter, one in each column. The product of a query with a column, in float32 and in any order
    of summation, differs from that of the two vectors, which may be shifted, scaled or lifted (see `VectorSearch`), by
    at most what `_limits` allows for. So what is below a limit is ruled out, and what is not is computed from the
    vectors themselves, in float64, in an order that depends on nothing else. A column without a vector begins with NaN,
    which is above no limit. One whose vector has no place in float32 is zero, of infinite length: none of its panel
    is ruled out.

    Parameters
    ----------
    capacity : int
        Vectors for which there is room.
    d : int
        Numbers of each.
    dtype : float32 or float64
    metric : int
        Place in `METRICS`.
    """

    cdef readonly int64_t n             # columns that have ever been used
    cdef readonly int64_t n_live        # those that have a vector
    cdef readonly int64_t n_far         # those whose vector has no place in float32
    cdef readonly int64_t capacity
    cdef readonly int64_t d
    cdef readonly int metric
    cdef int64_t packed_d               # numbers of a column: d, or d + 1 where it is lifted
    cdef int level
    cdef bint is_float32
    cdef object _vectors                # (capacity, d)
    cdef object _panels                 # (panels, packed_d, 64) float32
    cdef object _squares                # (capacity,) float64: squared lengths
    cdef object _lengths                # (capacity,) float64: of the columns, -1 where there is none
    cdef object _longest                # (panels,) float64: the largest of a panel's lengths
    cdef object _free                   # (capacity,) int64: the columns without a vector, the next one last
    cdef char *vectors_at               # their memory
    cdef float *panels_at
    cdef double *squares_at
    cdef double *lengths_at
    cdef double *longest_at
    cdef int64_t *free_at
    cdef double slack                   # of products, in units of the lengths

    def __init__(self, capacity, d, dtype, metric):
        n_panels = (capacity + SL_PANEL - 1) // SL_PANEL
        self.capacity = n_panels * SL_PANEL
        self.d = d
        self.metric = metric
        self.packed_d = packed_width(d, metric)
        self.level = active_level()
        self.is_float32 = dtype == np.float32
        self._vectors = np.zeros((self.capacity, d), dtype=dtype)
        panels = aligned_empty(self.capacity * self.packed_d, np.float32)
        self._panels = panels.reshape(n_panels, self.packed_d, SL_PANEL)
        self._panels[:] = 0
        self._panels[:, 0] = np.nan
        self._squares = np.zeros(self.capacity)
        self._lengths = np.full(self.capacity, -1.0)
        self._longest = np.zeros(n_panels)
        self._free = np.empty(self.capacity, dtype=np.int64)
        self.vectors_at = cnp.PyArray_BYTES(self._vectors)
        self.panels_at = <float *> cnp.PyArray_DATA(self._panels)
        self.squares_at = <double *> cnp.PyArray_DATA(self._squares)
        self.lengths_at = <double *> cnp.PyArray_DATA(self._lengths)
        self.longest_at = <double *> cnp.PyArray_DATA(self._longest)
        self.free_at = <int64_t *> cnp.PyArray_DATA(self._free)
        # packed numbers are rounded, their products, and all sums: packed_d + 2 times, and 6 for lengths and for what
        # is decided in float64
        rounded = (self.packed_d + 8) * ROUNDING
        self.slack = rounded / (1 - rounded)

    @staticmethod
    def bytes_needed(capacity, d, dtype, metric):
        """Bytes that are held, an upper bound."""
        capacity = (capacity + SL_PANEL - 1) // SL_PANEL * SL_PANEL
        return capacity * (d * np.dtype(dtype).itemsize + 4 * packed_width(d, metric) + 24) + capacity // 8 + 64

    @property
    def vectors(self):
        """Read-only view of the vectors, shape (n, d); those that are not there are zero."""
        view = self._vectors[:self.n]
        view.flags.writeable = False
        return view

    @property
    def squares(self):
        """Their squared lengths, a view."""
        return self._squares[:self.n]

    @property
    def packed(self):
        """What they are packed into, shape (n, packed_d), float32: a copy; NaN first where there is none."""
        return self._panels.swapaxes(1, 2).reshape(self.capacity, self.packed_d)[:self.n]

    @property
    def live(self):
        """Which of the n columns have a vector."""
        return self._lengths[:self.n] >= 0

    @property
    def free(self):
        """Columns of these n that have none, in the order in which they became free: a copy."""
        return self._free[:self.n - self.n_live].copy()

    @property
    def nbytes(self):
        """Bytes held."""
        return sum(array.nbytes for array in (self._vectors, self._panels, self._squares, self._lengths,
                                              self._longest, self._free))

    # ------------------------------------------------------------------ writing

    def next_columns(self, int64_t k):
        """The columns that k more vectors get: those that became free last, then new ones."""
        cdef int64_t n_free = self.n - self.n_live, reused = min(k, n_free)
        return np.concatenate([self._free[n_free - reused:n_free][::-1], np.arange(self.n, self.n + k - reused)])

    def write(self, const int64_t[::1] columns, const float[:, ::1] packed, vectors, const double[::1] squares):
        """Set columns that have vectors, or those that `next_columns` gives; no column twice.

        Parameters
        ----------
        columns : int64 memoryview of shape (k,)
        packed : float32 memoryview of shape (k, packed_d)
            Rows of infinity for vectors that have no place in float32.
        vectors : C-ordered ndarray of shape (k, d), dtype of the vectors
        squares : float64 memoryview of shape (k,)

        Notes
        -----
        All in one call, in which no exception can fall. Cost: O(k (d + 64)).
        """
        cdef int64_t j, i, column, row_bytes = self.d * (4 if self.is_float32 else 8)
        cdef const char *source = cnp.PyArray_BYTES(vectors)
        cdef float *panel
        cdef double square
        cdef bint is_far
        for j in range(columns.shape[0]):
            column = columns[j]
            memcpy(self.vectors_at + column * row_bytes, source + j * row_bytes, row_bytes)
            self.squares_at[column] = squares[j]
            panel = self._panel(column // SL_PANEL) + column % SL_PANEL
            is_far, square = packed[j, 0] == INFINITY, 0
            for i in range(self.packed_d):
                panel[i * SL_PANEL] = 0 if is_far else packed[j, i]
                if i < self.d:
                    square += <double> packed[j, i] * packed[j, i]
            if self.lengths_at[column] < 0:
                self.n_live += 1
            self.n_far += is_far - (self.lengths_at[column] == INFINITY)
            self.lengths_at[column] = sqrt(square) * (1 + 1e-6)     # an upper bound of that of the vector
            self.n = max(self.n, column + 1)
            self._measure(column // SL_PANEL)

    def remove(self, const int64_t[::1] columns):
        """Take vectors out; no column twice. Cost: O(64 k)."""
        cdef int64_t j, column, row_bytes = self.d * (4 if self.is_float32 else 8)
        for j in range(columns.shape[0]):
            column = columns[j]
            self.free_at[self.n - self.n_live] = column
            self.n_live -= 1
            self.n_far -= self.lengths_at[column] == INFINITY
            self.lengths_at[column] = -1
            self.squares_at[column] = 0
            memset(self.vectors_at + column * row_bytes, 0, row_bytes)
            self._panel(column // SL_PANEL)[column % SL_PANEL] = NAN
            self._measure(column // SL_PANEL)

    cdef float *_panel(self, int64_t panel) noexcept nogil:
        return self.panels_at + panel * self.packed_d * SL_PANEL

    cdef void _measure(self, int64_t panel) noexcept nogil:
        """The largest length of a panel."""
        cdef double longest = 0
        cdef int64_t j
        for j in range(panel * SL_PANEL, (panel + 1) * SL_PANEL):
            longest = max(longest, self.lengths_at[j])
        self.longest_at[panel] = longest

    # ------------------------------------------------------------------ asking

    def within(self, queries, const double[::1] squares, const float[:, ::1] packed, const double[:, ::1] measures,
               const double[::1] thresholds, bint inclusive, bint only_count):
        """The pairs beyond thresholds: products above, or distances below.

        Parameters
        ----------
        queries : C-ordered ndarray of shape (k, d), dtype of the vectors
        squares : float64 memoryview of shape (k,)
            Their squared lengths.
        packed : float32 memoryview of shape (k, packed_d)
            What columns are multiplied with.
        measures : float64 memoryview of shape (k, 3)
            Of each: the length of what is packed, an upper bound; what a value is multiplied by to be one of what is
            packed; half the square of what is packed, or 0 if products are no distances. -inf there for a query that
            has no place in float32: then all pairs are decided in float64.
        thresholds : float64 memoryview of shape (k,)
        inclusive, only_count : bool

        Returns
        -------
        counts : ndarray of shape (k,), dtype=int64
        columns : ndarray of shape (sum of counts,), dtype=int32
            Ascending in each row; None if `only_count`.
        values : ndarray like `columns`, dtype=float64
        decided : int
            How many pairs were not ruled out.

        Raises
        ------
        MemoryError
        """
        cdef int64_t n_rows = packed.shape[0], n_panels = (self.n + SL_PANEL - 1) // SL_PANEL
        cdef int64_t j, row, found, decided = 0, panel
        cdef double value, sign = -1 if self.metric == EUCLIDEAN else 1
        cdef pairs_t pairs
        cdef sl_candidates candidates = sl_candidates_at(self.level)
        cdef const void *p_queries = cnp.PyArray_DATA(queries)
        counts = np.zeros(n_rows, dtype=np.int64)
        bases = np.empty(n_rows)
        limits = np.empty(n_rows, dtype=np.float32)
        scratch = np.empty((2, n_rows * SL_PANEL + 16), dtype=np.int32)
        cdef int64_t[::1] count = counts
        cdef double[::1] base = bases
        cdef float[::1] limit = limits
        cdef int32_t[:, ::1] where = scratch
        for row in range(n_rows):
            base[row] = self._base(measures[row, 1], measures[row, 2], thresholds[row])
        if n_rows == 0:
            return counts, np.empty(0, np.int32), np.empty(0), 0
        pairs_begin(&pairs)
        try:
            with nogil:
                for panel in range(n_panels):
                    self._limits(panel, base, measures, limit)
                    found = candidates(&packed[0, 0], n_rows, self.packed_d, self._panel(panel), &limit[0],
                                       &where[0, 0], &where[1, 0])
                    decided += found
                    for j in range(found):
                        row = where[0, j]
                        value = self._value(p_queries, row, squares[row], panel * SL_PANEL + where[1, j])
                        if sign * value > sign * thresholds[row] or inclusive and value == thresholds[row]:
                            count[row] += 1
                            if not only_count:
                                pairs_add(&pairs, row, panel * SL_PANEL + where[1, j], value)
            if only_count:
                return counts, None, None, decided
            return (counts, *pairs_by_row(&pairs, counts), decided)
        finally:
            free(pairs.data)

    def nearest(self, queries, const double[::1] squares, const float[:, ::1] packed, const double[:, ::1] measures,
                int64_t k):
        """The k best columns of each query, best first: of equal values the lowest.

        Parameters
        ----------
        queries, squares, packed, measures
            As for `within`.
        k : int
            From 1 to the number of vectors.

        Returns
        -------
        columns : ndarray of shape (n, k), dtype=int64
        values : ndarray of shape (n, k), dtype=float64

        Notes
        -----
        The k best so far of each query are a heap, whose worst is what the next ones have to be better than.
        """
        cdef int64_t n_rows = packed.shape[0], n_panels = (self.n + SL_PANEL - 1) // SL_PANEL
        cdef int64_t j, row, found, panel
        cdef double value, sign = -1 if self.metric == EUCLIDEAN else 1
        cdef sl_candidates candidates = sl_candidates_at(self.level)
        cdef const void *p_queries = cnp.PyArray_DATA(queries)
        columns = np.zeros((n_rows, k), dtype=np.int64)
        values = np.full((n_rows, k), -np.inf)
        bases = np.full(n_rows, -np.inf)
        limits = np.empty(n_rows, dtype=np.float32)
        scratch = np.empty((2, n_rows * SL_PANEL + 16), dtype=np.int32)
        cdef int64_t[:, ::1] at = columns
        cdef double[:, ::1] best = values       # times the sign: the worst of each row first
        cdef double[::1] base = bases
        cdef float[::1] limit = limits
        cdef int32_t[:, ::1] where = scratch
        if n_rows == 0:
            return columns, values
        with nogil:
            for panel in range(n_panels):
                self._limits(panel, base, measures, limit)
                found = candidates(&packed[0, 0], n_rows, self.packed_d, self._panel(panel), &limit[0],
                                   &where[0, 0], &where[1, 0])
                for j in range(found):
                    row = where[0, j]
                    value = sign * self._value(p_queries, row, squares[row], panel * SL_PANEL + where[1, j])
                    if value > best[row, 0]:        # columns ascend, so that of equal ones the first stays
                        replace_worst(&best[row, 0], &at[row, 0], k, value, panel * SL_PANEL + where[1, j])
                        base[row] = self._base(measures[row, 1], measures[row, 2], sign * best[row, 0])
        order = np.lexsort((columns, -values))
        return np.take_along_axis(columns, order, 1), sign * np.take_along_axis(values, order, 1)

    cdef double _base(self, double scale, double half, double value) noexcept nogil:
        """What a product of packed vectors is above where their value is beyond `value`, but for the slack."""
        cdef double packed = value * scale, more = 4 * (self.d + 8) * EXACT
        if self.metric != EUCLIDEAN:
            return packed - more * fabs(packed) - self.d * LOST * scale
        if half == -INFINITY or packed == INFINITY:
            return -INFINITY
        if packed < 0:
            return INFINITY
        packed = packed * packed / 2
        return half - packed - more * (half + packed) - self.d * LOST * scale * scale

    cdef void _limits(self, int64_t panel, const double[::1] base, const double[:, ::1] measures,
                      float[::1] limit) noexcept nogil:
        """What products of float32 with a panel must be above for each row, or else the pair is ruled out.

        NaN, which nothing is above, where the base is infinite.
        """
        cdef double longest = self.longest_at[panel], bound
        cdef double lifted = longest if self.metric == EUCLIDEAN else 0.0
        cdef int64_t row
        for row in range(base.shape[0]):
            if longest == INFINITY:
                limit[row] = -INFINITY if base[row] < INFINITY else NAN
                continue
            bound = base[row] - self.slack * longest * (measures[row, 0] + lifted)
            bound = bound - self.packed_d * TINY * (1 + measures[row, 0] + longest)
            limit[row] = <float> (bound - fabs(bound) * (2 * ROUNDING))

    cdef double _value(self, const void *queries, int64_t row, double square, int64_t column) noexcept nogil:
        """The product, cosine or distance of a query and a vector."""
        if self.is_float32:
            return _exact[float](<const float *> queries + row * self.d, square,
                                 <const float *> self.vectors_at + column * self.d, self.squares_at[column],
                                 self.d, self.metric)
        return _exact[double](<const double *> queries + row * self.d, square,
                              <const double *> self.vectors_at + column * self.d, self.squares_at[column],
                              self.d, self.metric)

    # ------------------------------------------------------------------ checks

    def _check(self):
        """Assert every invariant of the structure. Cost: O(n d)."""
        live, n = self._lengths >= 0, self.n
        assert 0 <= self.n_live <= n <= self.capacity
        assert np.count_nonzero(live) == self.n_live and not live[n:].any()
        assert np.count_nonzero(self._lengths == np.inf) == self.n_far
        # each column without a vector is free, once
        assert np.array_equal(np.sort(self.free), np.flatnonzero(~live[:n]))
        # and is above no limit
        firsts = self._panels[:, 0].reshape(-1)
        assert np.array_equal(np.isnan(firsts), ~live)
        assert not np.isnan(self._panels[:, 1:]).any()
        assert not self._vectors[~live].any()
        # lengths are at least those of the columns
        squares = (self._panels[:, :self.d].astype(np.float64) ** 2).sum(axis=1).reshape(-1)
        assert np.all(self._lengths[live] >= np.sqrt(squares[live]))
        assert np.array_equal(self._longest, np.maximum(self._lengths, 0).reshape(-1, SL_PANEL).max(axis=1))
        assert np.array_equal(self.squares, squared_lengths(self.vectors))


def packed_width(d, metric):
    """Numbers of what a vector of d is packed into."""
    return d + (metric == EUCLIDEAN)


def squared_lengths(vectors):
    """Squared length of each vector, in float64, in the order of sums that exact values have.

    Parameters
    ----------
    vectors : C-ordered ndarray of shape (n, d), dtype float32 or float64

    Returns
    -------
    ndarray of shape (n,), dtype=float64
    """
    cdef int64_t n = vectors.shape[0], d = vectors.shape[1], i
    cdef bint is_float32 = vectors.dtype == np.float32
    cdef const void *data = cnp.PyArray_DATA(vectors)
    squares = np.empty(n)
    cdef double[::1] out = squares
    with nogil:
        for i in range(n):
            if is_float32:
                out[i] = _sum[float](<const float *> data + i * d, <const float *> data + i * d, d, False)
            else:
                out[i] = _sum[double](<const double *> data + i * d, <const double *> data + i * d, d, False)
    return squares


cdef double _exact(const real_t *a, double square_a, const real_t *b, double square_b, int64_t d,
                   int metric) noexcept nogil:
    """The product, cosine or distance of two vectors of d numbers, in float64."""
    if metric == EUCLIDEAN:
        return sqrt(_sum(a, b, d, True))
    if metric == COSINE:        # of a vector and itself exactly 1, and never more
        return min(1.0, max(-1.0, _sum(a, b, d, False) / sqrt(square_a * square_b)))
    return _sum(a, b, d, False)


cdef double _sum(const real_t *a, const real_t *b, int64_t d, bint differences) noexcept nogil:
    """Sum of products, or of squared differences, in float64: one partial sum for each of 8 lanes, then half on half.

    No product is fused with a sum (see setup.py), so that the bits are those of every instruction level.
    """
    cdef double lane[N_LANES]
    cdef double x
    cdef int64_t k = 0
    cdef int j
    for j in range(N_LANES):
        lane[j] = 0
    if differences:
        while k + N_LANES <= d:
            for j in range(N_LANES):
                x = <double> a[k + j] - <double> b[k + j]
                lane[j] += x * x
            k += N_LANES
        for j in range(<int> (d - k)):
            x = <double> a[k + j] - <double> b[k + j]
            lane[j] += x * x
    else:
        while k + N_LANES <= d:
            for j in range(N_LANES):
                lane[j] += <double> a[k + j] * <double> b[k + j]
            k += N_LANES
        for j in range(<int> (d - k)):
            lane[j] += <double> a[k + j] * <double> b[k + j]
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]))


# ---------------------------------------------------------------------- pairs that are found

cdef int pairs_begin(pairs_t *pairs) except -1:
    pairs.length = 0
    pairs.capacity = N_FIRST_PAIRS
    pairs.data = <pair_t *> malloc(N_FIRST_PAIRS * sizeof(pair_t))
    if pairs.data == NULL:
        raise MemoryError(f"no memory for {N_FIRST_PAIRS * sizeof(pair_t)} bytes of pairs")
    return 0


cdef int pairs_add(pairs_t *pairs, int64_t row, int64_t column, double value) except -1 nogil:
    if pairs.length == pairs.capacity:
        with gil:
            pairs_grow(pairs)
    pairs.data[pairs.length] = pair_t(<int32_t> row, <int32_t> column, value)
    pairs.length += 1
    return 0


cdef int pairs_grow(pairs_t *pairs) except -1:
    """Twice the room; MemoryError, before it is asked for, where there is not enough for that and for the result."""
    cdef int64_t capacity = 2 * pairs.capacity
    cdef double more = capacity * <double> sizeof(pair_t)
    if more > UNCHECKED_BYTES:
        refuse_large(2 * more, f"the result, of more than {pairs.capacity} pairs in some rows,",
                     "ask for fewer at a time, or beyond another threshold")
    cdef pair_t *data = <pair_t *> realloc(pairs.data, capacity * sizeof(pair_t))
    if data == NULL:
        raise MemoryError(f"no memory for {more:.0f} bytes of pairs")
    pairs.data = data
    pairs.capacity = capacity
    return 0


cdef tuple pairs_by_row(pairs_t *pairs, counts):
    """Columns and values, row by row. In each row they stay in the order in which they were found."""
    cdef int64_t j, n = pairs.length
    columns, values = np.empty(n, dtype=np.int32), np.empty(n)
    cdef int32_t[::1] column = columns
    cdef double[::1] value = values
    cdef int64_t[::1] place = np.cumsum(counts) - counts
    with nogil:
        for j in range(n):
            column[place[pairs.data[j].row]] = pairs.data[j].column
            value[place[pairs.data[j].row]] = pairs.data[j].value
            place[pairs.data[j].row] += 1
    return columns, values


cdef void replace_worst(double *heap, int64_t *columns, int64_t k, double value, int64_t column) noexcept nogil:
    """Put a better one in the place of the worst of k, which stands first; of equal ones it has the highest column."""
    cdef int64_t at = 0, child
    while True:
        child = 2 * at + 1
        if child >= k:
            break
        if child + 1 < k and is_worse(heap, columns, child + 1, child):
            child += 1
        if not (heap[child] < value or heap[child] == value and columns[child] > column):
            break
        heap[at] = heap[child]
        columns[at] = columns[child]
        at = child
    heap[at] = value
    columns[at] = column


cdef bint is_worse(const double *heap, const int64_t *columns, int64_t i, int64_t j) noexcept nogil:
    return heap[i] < heap[j] or heap[i] == heap[j] and columns[i] > columns[j]
