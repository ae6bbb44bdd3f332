"""Rows that move along fixed directions and are looked at only when they may have crossed a hyperplane.

What is stored of a row, and why it suffices, is explained in rows/rows.h. Kernel classes: they validate nothing.
The NumPy twin is ``sltrees.reference.lazy_rows_by_definition``.
"""

import numpy as np

cimport numpy as cnp
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy, memset

from sltrees._core._boundary import aligned_empty
from sltrees._core._simd cimport active_level
from sltrees._core._threshold_tree cimport ThresholdTree

cnp.import_array()

cdef enum:
    BLOCK = 16          # entries that kernels may read or write behind the end of a near list
    REBUILD_SHARE = 64  # more failure times than one in so many: all levels of their tree are built anew


# as in rows/rows.h
ROW = np.dtype([("active_start", np.int32), ("n_fired", np.int32), ("n_active", np.int32), ("room", np.int32),
                ("stamp", np.int32), ("rest", np.float32), ("reach", np.float32), ("gap", np.float32),
                ("nearest", np.int32), ("distance", np.float32), ("near_start", np.int32), ("near_stop", np.int32),
                ("centre", np.int32), ("sign", np.float32), ("unused", np.int32, 2)])
assert ROW.itemsize == sizeof(sl_row) == 64


cdef inline void *address(array) noexcept:
    return <void *> cnp.PyArray_BYTES(array)


cdef inline void *optional(array) noexcept:
    return NULL if array is None else <void *> cnp.PyArray_BYTES(array)


def padded(rows):
    """Copy of a matrix whose rows are padded with zeros to whole blocks of 64 bytes, and aligned."""
    width = 64 // rows.dtype.itemsize
    stride = max(width, -(-rows.shape[1] // width) * width)
    copy = aligned_empty(len(rows) * stride, rows.dtype).reshape(len(rows), stride)
    copy[:, rows.shape[1]:] = 0
    copy[:, :rows.shape[1]] = rows
    return copy


class NearLists:
    """Near lists as they are collected, block after block of rows.

    Parameters
    ----------
    thresholds : ndarray of shape (n,)
        A product above it is near; inf for a sample without a hyperplane.
    inverse_norms : ndarray of shape (n,), of the same dtype
    shift : float
    keep_all : bool
        Keep rows that fire on nothing, too.
    expected : int
        Entries expected in all; memory is only reserved, not touched.

    Attributes
    ----------
    direction : ndarray, dtype=int32
        All lists, one after the other, and unused memory behind them.
    distance : ndarray
        (product - shift) inverse_norm for each entry.
    stop : list of ndarray, dtype=int64
        Ends of the lists, for each block.
    fired : ndarray, dtype=int32
        The entries of all lists that fire, one list after the other, and unused memory behind them.
    n_fired : list of ndarray, dtype=int32
    nearest : list of ndarray, dtype=float64
        The least |distance| in each list; inf where it is empty.
    used : int
        Entries.
    """

    def __init__(self, thresholds, inverse_norms, shift, keep_all, expected):
        self._thresholds, self._inverse_norms = thresholds, inverse_norms
        self._shift, self._keep_all = shift, keep_all
        self.direction = np.empty(expected + BLOCK, dtype=np.int32)
        self.distance = np.empty(expected + BLOCK, dtype=thresholds.dtype)
        self.fired = np.empty(expected // 8 + BLOCK, dtype=np.int32)
        self.clear()

    def collect(self, z):
        """Append the lists of the rows of z, a C-ordered (k, n) matrix of products; returns numbers of rows kept.

        Cost: O(k n).
        """
        cdef int64_t k = len(z), n = z.shape[1], used = self.used, n_kept
        cdef bint keep_all = self._keep_all
        cdef double shift = self._shift
        self._reserve(k * n + BLOCK)
        kept, n_fired = np.empty(k, dtype=np.int32), np.empty(k, dtype=np.int32)
        stop, nearest = np.empty(k, dtype=np.int64), np.empty(k)
        cdef sl_lazy_kernels kernels = sl_lazy_kernels_at(z.dtype == np.float32, active_level())
        cdef void *p_z = address(z)
        cdef void *p_thresholds = address(self._thresholds)
        cdef void *p_inverse = address(self._inverse_norms)
        cdef int32_t *p_direction = <int32_t *> address(self.direction)
        cdef void *p_distance = address(self.distance)
        cdef int64_t n_listed = self.n_listed
        cdef int32_t *p_listed = <int32_t *> address(self.fired)
        cdef int32_t *p_kept = <int32_t *> address(kept)
        cdef int64_t *p_stop = <int64_t *> address(stop)
        cdef int32_t *p_fired = <int32_t *> address(n_fired)
        cdef double *p_nearest = <double *> address(nearest)
        with nogil:
            n_kept = kernels.collect(p_z, k, n, p_thresholds, p_inverse, shift, keep_all, used, p_direction, p_distance,
                                     n_listed, p_listed, p_kept, p_stop, p_fired, p_nearest)
        if n_kept:
            self.used = stop[n_kept - 1]
            self.n_listed = n_listed + int(n_fired[:n_kept].sum(dtype=np.int64))
        self.stop.append(stop[:n_kept])
        self.n_fired.append(n_fired[:n_kept])
        self.nearest.append(nearest[:n_kept])
        return kept[:n_kept]

    def clear(self):
        """Forget all lists."""
        self.stop, self.n_fired, self.nearest = [], [], []
        self.used = self.n_listed = 0

    def copy(self):
        """The same lists, in memory of their own where rows would write to it. Cost: O(entries)."""
        other = NearLists(self._thresholds, self._inverse_norms, self._shift, self._keep_all, 0)
        other.direction, other.distance, other.fired = self.direction.copy(), self.distance.copy(), self.fired
        other.stop, other.n_fired, other.nearest = list(self.stop), list(self.n_fired), list(self.nearest)
        other.used, other.n_listed = self.used, self.n_listed
        return other

    def trim(self):
        """Give back the memory behind the lists, but for some room for lists to be rebuilt."""
        room = _with_reserve(self.used)
        for array, size in ((self.direction, room), (self.distance, room), (self.fired, self.n_listed + BLOCK)):
            if size < len(array):
                array.resize(size, refcheck=False)

    def ranges(self):
        """Where each list begins and ends: tuple of int32 arrays."""
        _refuse_long(self.used)
        stop = np.concatenate([np.empty(0, dtype=np.int64), *self.stop]).astype(np.int32)
        start = np.zeros_like(stop)
        start[1:] = stop[:len(stop) - 1]
        return start, stop

    def _reserve(self, more):
        """Room for so many more entries."""
        if self.used + more > len(self.direction):
            size = max(self.used + more, len(self.direction) * 3 // 2)
            self.direction = _grown(self.direction, self.used, size)
            self.distance = _grown(self.distance, self.used, size)
        if self.n_listed + more > len(self.fired):
            self.fired = _grown(self.fired, self.n_listed, max(self.n_listed + more, len(self.fired) * 3 // 2))


def _with_reserve(size):
    """Size of a pool that is to grow: an eighth more, as memory held in reserve is memory held."""
    return size + size // 8 + BLOCK


def _grown(array, used, size):
    larger = np.empty((size,) + array.shape[1:], dtype=array.dtype)
    larger[:used] = array[:used]
    return larger


cdef class LazyStep:
    """Where the rows are to be: the coefficients of the directions, now and at each stamp.

    Parameters
    ----------
    coefficient : ndarray of shape (n,), float64
    change : ndarray of shape (n_stamps, n), float64
        `coefficient` minus what it was at each stamp.
    decay : ndarray of shape (n_stamps,), float64
        Product of the shrink factors since each stamp.
    origin_decay, clock, exchange, skin, margin, rounding, coefficient_rounding, resolution : float
        See rows/rows.h.
    """

    def __init__(self, coefficient, change, decay, *, origin_decay, clock, exchange, skin, margin, rounding,
                 coefficient_rounding, resolution):
        self.coefficient, self.change, self.decay = coefficient, change, decay
        self.step.coefficient = <double *> address(coefficient)
        self.step.change = <double *> address(change)
        self.step.decay = <double *> address(decay)
        self.step.origin_decay = origin_decay
        self.step.clock = clock
        self.step.exchange = exchange
        self.step.skin = skin
        self.step.margin = margin
        self.step.rounding = rounding
        self.step.coefficient_rounding = coefficient_rounding
        self.step.resolution = resolution

    @property
    def clock(self):
        """The clock's reading."""
        return self.step.clock


cdef class LazyFindings:
    """What `LazyRows.review` found. Nothing of it is true of the rows before `LazyRows.apply`."""

    def __init__(self, int64_t n_reported, int64_t flips_room, int64_t n_directions, int64_t stride, dtype):
        self.n_reported = n_reported
        self._buffers = {
            "cleared_row": np.empty(n_reported, dtype=np.int32),
            "cleared_failure": np.empty(n_reported),
            "doubtful_row": np.empty(n_reported, dtype=np.int32),
            "visited_row": np.empty(n_reported, dtype=np.int32),
            "visited_flips": np.empty(n_reported, dtype=np.int64),
            "visited_reach": np.empty(n_reported, dtype=np.float32),
            "visited_gap": np.empty(n_reported, dtype=np.float32),
            "visited_nearest": np.empty(n_reported, dtype=np.int32),
            "visited_distance": np.empty(n_reported, dtype=np.float32),
            "visited_rest": np.empty(n_reported, dtype=np.float32),
            "strayed_row": np.empty(n_reported, dtype=np.int32),
            "strayed_rest": np.empty(n_reported),
            "strayed_size": np.empty(n_reported, dtype=np.float32),
            "strayed_displacement": np.empty((0, stride), dtype=dtype),
            "flip": np.empty(0, dtype=np.int32),
            "outputs": np.zeros(n_directions),
            "moved": np.zeros(n_directions),
        }
        self.strayed_stop = []
        self.strayed_direction = np.empty(0, dtype=np.int32)
        self.strayed_distance = np.empty(0, dtype=dtype)
        self._grow_flips(flips_room)
        self._point()

    def _grow_flips(self, int64_t room):
        self._buffers["flip"] = _grown(self._buffers["flip"], self.found.n_flips, room)
        self.found.flips_room = room
        self._point()

    def _grow_strayed(self, int64_t room):
        name = "strayed_displacement"
        self._buffers[name] = _grown(self._buffers[name], self.found.n_strayed, room)
        self.found.strayed_room = room
        self._point()

    def _reserve_strayed_lists(self, int64_t size):
        if size > len(self.strayed_direction):
            size = max(size, len(self.strayed_direction) * 3 // 2)
            self.strayed_direction = _grown(self.strayed_direction, self.strayed_used, size)
            self.strayed_distance = _grown(self.strayed_distance, self.strayed_used, size)

    def _point(self):
        """Point the C structure to the buffers."""
        buffers = self._buffers
        self.found.cleared_row = <int32_t *> address(buffers["cleared_row"])
        self.found.cleared_failure = <double *> address(buffers["cleared_failure"])
        self.found.doubtful_row = <int32_t *> address(buffers["doubtful_row"])
        self.found.visited_row = <int32_t *> address(buffers["visited_row"])
        self.found.visited_flips = <int64_t *> address(buffers["visited_flips"])
        self.found.visited_reach = <float *> address(buffers["visited_reach"])
        self.found.visited_nearest = <int32_t *> address(buffers["visited_nearest"])
        self.found.visited_distance = <float *> address(buffers["visited_distance"])
        self.found.visited_gap = <float *> address(buffers["visited_gap"])
        self.found.visited_rest = <float *> address(buffers["visited_rest"])
        self.found.strayed_row = <int32_t *> address(buffers["strayed_row"])
        self.found.strayed_rest = <double *> address(buffers["strayed_rest"])
        self.found.strayed_size = <float *> address(buffers["strayed_size"])
        self.found.strayed_displacement = address(buffers["strayed_displacement"])
        self.found.flip = <int32_t *> address(buffers["flip"])
        self.found.outputs = <double *> address(buffers["outputs"])
        self.found.moved = <double *> address(buffers["moved"])

    @property
    def n_cleared(self):
        """Rows whose certificate still holds."""
        return self.found.n_cleared

    @property
    def n_visited(self):
        """Rows visited, strayed ones included."""
        return self.found.n_visited

    @property
    def n_strayed(self):
        """Rows that left the skin of their near list."""
        return self.found.n_strayed

    @property
    def n_candidates(self):
        """Pairs evaluated."""
        return self.found.n_candidates

    @property
    def n_flips(self):
        """Pairs that begin or cease to fire."""
        return self.found.n_flips

    @property
    def squared_terms(self):
        """Sum over flips of the square of the sum of sizes that D_r is made of: rounding goes with it."""
        return self.found.squared_terms

    @property
    def nbytes(self):
        """Bytes written, about: memory that was reserved and never touched does not count."""
        cdef int64_t itemsize = self._buffers["strayed_displacement"].itemsize
        cdef int64_t stride = self._buffers["strayed_displacement"].shape[1]
        return (12 * self.found.n_cleared + 4 * self.found.n_doubtful + 36 * self.found.n_visited
                + 4 * self.found.n_flips + (16 + stride * itemsize) * self.found.n_strayed
                + (4 + itemsize) * self.strayed_used)

    @property
    def visited_rows(self):
        """Numbers of the rows visited."""
        return self._buffers["visited_row"][:self.found.n_visited]

    @property
    def strayed_rows(self):
        """Numbers of the rows that strayed."""
        return self._buffers["strayed_row"][:self.found.n_strayed]

    @property
    def strayed_displacement(self):
        """Displacements of the rows that strayed, padded."""
        return self._buffers["strayed_displacement"][:self.found.n_strayed]

    @property
    def flips(self):
        """Tuple (rows, directions, begins): row and direction of each flip, and whether the row begins to fire."""
        ends = self._buffers["visited_flips"][:self.found.n_visited]
        rows = np.repeat(self.visited_rows, np.diff(ends, prepend=0))
        code = self._buffers["flip"][:self.found.n_flips]
        return rows, np.where(code < 0, ~code, code), code >= 0

    @property
    def corrections(self):
        """What the flips add to sums over fired pairs: of sign y, and of sign <D_r, u_i>; two arrays of shape (n,)."""
        return self._buffers["outputs"], self._buffers["moved"]


def _refuse_long(entries):
    """MemoryError for more entries of a pool than its indices can name."""
    if entries >= 2**31 - BLOCK:
        raise MemoryError(f"a block of neurons must have fewer than 2^31 near or active pairs, got {entries}")


cdef void _list_fired(sl_lazy_rows *rows, const int32_t[::1] fired, int64_t copies, int64_t itemsize) noexcept nogil:
    """The first active lists: what fires, with coefficients 0."""
    cdef int64_t r, e, at, begin = 0
    for r in range(rows.n_rows):
        at = rows.row[r].active_start
        for e in range(rows.row[r].n_fired):
            rows.active_direction[at + e] = fired[begin + e]
        memset(<char *> rows.active_coefficient + at * itemsize, 0, rows.row[r].n_fired * itemsize)
        if r % copies == copies - 1:
            begin += rows.row[r].n_fired


cdef inline int64_t _owner(const sl_lazy_rows *rows, int64_t copies, int64_t r) noexcept nogil:
    """The first row with the near list of row r: r itself unless it is a copy that has the list it was drawn with."""
    cdef int64_t q
    if rows.origin == NULL and rows.row[r].centre < 0:
        for q in range(r - r % copies, r):
            if rows.row[q].centre < 0:
                return q
    return r


cdef struct Extent:
    # what the lists of rows with more directions need
    int64_t near
    int64_t active
    int64_t longest
    int64_t n_fired


cdef Extent _lay_out(const sl_lazy_rows *old, sl_row *row, int64_t copies, bint of_each, const int64_t[::1] stop,
                     const int32_t[::1] n_fired) noexcept nogil:
    """Rows as in `old`, with room for the lists `stop` and `n_fired` tell of, and known to nobody.

    Where the pools have too many entries for their indices, those are nonsense: see `_refuse_long`.
    """
    cdef Extent extent
    cdef int64_t r, owner, length, entering, q = 0, begin = 0
    extent.near = extent.active = extent.longest = extent.n_fired = 0
    for r in range(old.n_rows):
        owner = _owner(old, copies, r)
        row[r] = old.row[r]
        if owner == r:
            length = old.row[r].near_stop - old.row[r].near_start + stop[q] - begin
            row[r].near_start = <int32_t> extent.near
            extent.near += length
            row[r].near_stop = <int32_t> extent.near
            extent.longest = max(extent.longest, length)
            entering = n_fired[q]
        else:
            row[r].near_start = row[owner].near_start
            row[r].near_stop = row[owner].near_stop
            entering = row[owner].n_fired - old.row[owner].n_fired
        if owner == r or of_each:
            begin = stop[q]
            q += 1
        row[r].n_fired += <int32_t> entering
        row[r].n_active += <int32_t> entering
        row[r].room = row[r].n_active + row[r].n_active // 2 + 2
        row[r].active_start = <int32_t> extent.active
        extent.active += row[r].room
        extent.n_fired += row[r].n_fired
        row[r].gap = 0
        row[r].nearest = -1
        row[r].distance = INFINITY
    return extent


cdef void _fill(const sl_lazy_rows *old, sl_lazy_rows *rows, int64_t copies, bint of_each, const int64_t[::1] stop,
                const int32_t[::1] n_fired, const int32_t[::1] direction, const char *distance,
                const int32_t[::1] fired, int64_t itemsize) noexcept nogil:
    """The lists of rows laid out: those of `old`, with the further directions that are near and that fire."""
    cdef int64_t r, owner, e, kept, entering, idle, source, target, q = 0, begin = 0, begin_fired = 0
    cdef int32_t n = <int32_t> old.n_directions
    cdef char *coefficient = <char *> rows.active_coefficient
    for r in range(old.n_rows):
        owner = _owner(old, copies, r)
        # what fires as before, what fires of the further directions, what is idle
        kept, source, target = old.row[r].n_fired, old.row[r].active_start, rows.row[r].active_start
        entering, idle = rows.row[r].n_fired - kept, old.row[r].n_active - kept
        memcpy(rows.active_direction + target, old.active_direction + source, kept * sizeof(int32_t))
        memcpy(coefficient + target * itemsize, <char *> old.active_coefficient + source * itemsize, kept * itemsize)
        source, target = source + kept, target + kept
        if owner == r:
            for e in range(entering):
                rows.active_direction[target + e] = n + fired[begin_fired + e]
        else:
            memcpy(rows.active_direction + target,
                   rows.active_direction + rows.row[owner].active_start + old.row[owner].n_fired,
                   entering * sizeof(int32_t))
        memset(coefficient + target * itemsize, 0, entering * itemsize)
        target += entering
        memcpy(rows.active_direction + target, old.active_direction + source, idle * sizeof(int32_t))
        memcpy(coefficient + target * itemsize, <char *> old.active_coefficient + source * itemsize, idle * itemsize)
        if owner == r:
            source, target = old.row[r].near_start, rows.row[r].near_start
            kept = old.row[r].near_stop - source
            memcpy(rows.near_direction + target, old.near_direction + source, kept * sizeof(int32_t))
            memcpy(<char *> rows.near_distance + target * itemsize, <char *> old.near_distance + source * itemsize,
                   kept * itemsize)
            target += kept
            for e in range(stop[q] - begin):
                rows.near_direction[target + e] = n + direction[begin + e]
            memcpy(<char *> rows.near_distance + target * itemsize, distance + begin * itemsize,
                   (stop[q] - begin) * itemsize)
        if owner == r or of_each:
            begin = stop[q]
            begin_fired += n_fired[q]
            q += 1


def _entries(starts, lengths):
    """The row of each entry of lists in a pool, and its place there."""
    lengths = lengths.astype(np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    before = np.cumsum(lengths) - lengths
    return rows, np.arange(len(rows)) + (starts - before)[rows]


cdef class LazyRows:
    """A block of rows, on which side of every hyperplane each is, and until when that is certain.

    Parameters
    ----------
    directions : ndarray of shape (n, stride)
        Unit vectors, padded (see `padded`).
    signs : ndarray of shape (k,), of the same dtype
    near : NearLists
        One list for each `copies` consecutive rows. Pools have fewer than 2^31 entries.
    copies : int
    skin : float
        Of the lists: the thresholds that they were collected with.
    origin : ndarray of shape (k, stride) or None
        Displacements at which the lists were built; None: all zero.

    Notes
    -----
    The arrays are kept, not copied, those of the near lists included. Cost: O(entries of the near lists).
    """

    def __init__(self, directions, signs, near, int64_t copies, double skin, origin):
        cdef int64_t k = len(signs)
        start, stop = near.ranges()
        n_fired = np.repeat(np.concatenate([np.empty(0, dtype=np.int32), *near.n_fired]), copies)
        nearest = np.concatenate([np.empty(0), *near.nearest])
        self.dtype = directions.dtype
        self.kernels = sl_lazy_kernels_at(self.dtype == np.float32, active_level())
        row = aligned_empty(8 * k, np.float64).view(ROW)
        row[...] = 0
        self._arrays = {
            "directions": directions,
            "origin": origin,
            "row": row,
            "near_direction": near.direction,
            "near_distance": near.distance,
            "centres": np.empty((0, directions.shape[1]), dtype=self.dtype),
        }
        row["near_start"], row["near_stop"] = np.repeat(start, copies), np.repeat(stop, copies)
        row["centre"], row["sign"] = -1, signs
        row["n_fired"] = row["n_active"] = n_fired
        row["gap"] = np.repeat(np.minimum(nearest, skin) * (1 - 1e-7), copies)
        row["nearest"], row["distance"] = -1, np.inf
        self.n_fired = n_fired.sum(dtype=np.int64)
        self.longest = (stop - start).max(initial=0)
        if origin is not None:
            with np.errstate(over="ignore"):  # infinite is a bound, too
                row["rest"] = np.sqrt(np.einsum("ij,ij->i", origin, origin, dtype=np.float64)) * (1 + 1e-6)
        self.near_used = self.near_used_without_holes = near.used
        self.copies = copies
        self.rows.n_rows = k
        self.rows.n_directions, self.rows.stride = directions.shape
        # half as much room again for directions that begin to fire, and some for lists that outgrow theirs
        room = n_fired + n_fired // 2 + 2
        ends = np.cumsum(room, dtype=np.int64)
        used = int(ends[k - 1]) if k else 0
        _refuse_long(used)
        self.active_used = used
        row["room"] = room
        row["active_start"] = ends - room
        self._arrays["active_direction"] = np.empty(_with_reserve(used), dtype=np.int32)
        self._arrays["active_coefficient"] = np.empty(_with_reserve(used), dtype=self.dtype)
        self._point()
        _list_fired(&self.rows, near.fired, copies, self.dtype.itemsize)
        # 0: every row is looked at in the first step. The array is the tree's own leaves
        self.failure_times = ThresholdTree(np.zeros(k), orientation="min", copy=False)

    def _point(self):
        """Point the C structure to the arrays."""
        arrays = self._arrays
        self.rows.directions = address(arrays["directions"])
        self.rows.origin = optional(arrays["origin"])
        self.rows.row = <sl_row *> address(arrays["row"])
        self.rows.near_direction = <int32_t *> address(arrays["near_direction"])
        self.rows.near_distance = address(arrays["near_distance"])
        self.rows.centres = address(arrays["centres"])
        self.rows.active_direction = <int32_t *> address(arrays["active_direction"])
        self.rows.active_coefficient = address(arrays["active_coefficient"])

    def _scratch(self):
        """Working memory of a kernel: two padded vectors, four numbers and an index a direction, and some blocks."""
        return aligned_empty(2 * self.rows.stride + 5 * self.rows.n_directions + 8 * BLOCK, self.dtype)

    # ------------------------------------------------------------------ a step

    def review(self, LazyStep step not None, bint visit_all=False):
        """Look at the rows whose certificate ends by the clock's reading (at all of them with `visit_all`).

        Parameters
        ----------
        step : LazyStep
        visit_all : bool, default False
            Visit every row, also where a certificate holds.

        Returns
        -------
        LazyFindings
            The rows themselves are as they were. Rows that strayed from their near list are only named:
            `collect_strayed` looks at them.

        Notes
        -----
        Cost: O(n_fired stride) for a row that is cleared, O((n_active + candidates) stride + near / W) for one that is
        visited.
        """
        cdef int64_t at = 0, n_reported
        failed = np.arange(self.rows.n_rows) if visit_all else self.failure_times.query(step.step.clock)
        cdef int64_t[::1] reported = failed
        n_reported = reported.shape[0]
        cdef int64_t longest = self.longest
        cdef LazyFindings found = LazyFindings(n_reported, longest + 1, self.rows.n_directions, self.rows.stride,
                                               self.dtype)
        if n_reported == 0:
            return found
        fired = np.zeros(self.rows.n_directions, dtype=np.uint8)
        scratch = self._scratch()
        cdef uint8_t *p_fired = <uint8_t *> address(fired)
        cdef void *p_scratch = address(scratch)
        if visit_all:
            found._buffers["doubtful_row"][:] = reported
            found.found.n_doubtful = n_reported
        else:
            with nogil:
                self.kernels.certify(&self.rows, &step.step, &reported[0], n_reported, p_scratch, &found.found)
        found._grow_flips(4 * found.found.n_doubtful + longest + 1)
        found._grow_strayed(min(16, found.found.n_doubtful))
        while True:
            with nogil:
                at = self.kernels.visit(&self.rows, &step.step, at, p_fired, p_scratch, &found.found)
            if at == found.found.n_doubtful:
                return found
            if found.found.n_strayed == found.found.strayed_room:
                found._grow_strayed(min(2 * found.found.strayed_room, found.found.n_doubtful))
            else:
                found._grow_flips(2 * found.found.flips_room)

    def collect_strayed(self, LazyStep step not None, LazyFindings found not None, int64_t first, z, thresholds,
                        inverse_norms, double shift):
        """Look at strayed rows first, ..., first + len(z) - 1 of the findings, and build them new near lists.

        Parameters
        ----------
        step : LazyStep
        found : LazyFindings
            Of `review`, in the same step.
        first : int
        z : C-ordered ndarray of shape (q, n)
            Products of their weights with the samples.
        thresholds, inverse_norms, shift
            As for `NearLists`.

        Notes
        -----
        Cost: O(q n).
        """
        cdef int64_t q = len(z), n = self.rows.n_directions, at = 0
        stop = np.empty(q, dtype=np.int64)
        fired = np.zeros(n, dtype=np.uint8)
        found._reserve_strayed_lists(found.strayed_used + q * n + BLOCK)
        scratch = self._scratch()
        cdef void *p_scratch = address(scratch)
        cdef void *p_z = address(z)
        cdef void *p_thresholds = address(thresholds)
        cdef void *p_inverse = address(inverse_norms)
        cdef int64_t *p_stop = <int64_t *> address(stop)
        cdef uint8_t *p_fired = <uint8_t *> address(fired)
        cdef int32_t *p_direction = <int32_t *> address(found.strayed_direction)
        cdef void *p_distance = address(found.strayed_distance)
        cdef int64_t row_bytes = n * self.dtype.itemsize
        while at < q:
            if found.found.n_flips + n >= found.found.flips_room:
                found._grow_flips(2 * found.found.flips_room + n + 1)
            with nogil:
                at += self.kernels.collect_strayed(&self.rows, &step.step, <char *> p_z + at * row_bytes, first + at,
                                                   q - at, p_thresholds, p_inverse, shift, found.strayed_used,
                                                   p_direction, p_distance, p_stop + at, p_fired, p_scratch,
                                                   &found.found)
            found.strayed_used = p_stop[at - 1]
        found.strayed_stop.append(stop)

    def apply(self, LazyStep step not None, LazyFindings found not None, int32_t stamp):
        """Keep a step: what was found becomes the state of the rows.

        Parameters
        ----------
        step : LazyStep
        found : LazyFindings
            Every strayed row collected.
        stamp : int
            Of this step, for the rows visited.

        Notes
        -----
        Cost: O(reported + flips n_active), and a copy of all lists when less than half of a pool is in use.
        """
        cdef int64_t needed, q, n_beginning = 0
        with nogil:
            needed = self.active_used + sl_lazy_room_needed(&self.rows, &found.found)
            for q in range(found.found.n_flips):
                n_beginning += found.found.flip[q] >= 0
        # whatever may fail for want of memory comes first: a step is kept whole or not at all
        _refuse_long(needed)
        if needed > len(self._arrays["active_direction"]):
            self._grow_active(needed)
        if found.found.n_strayed:
            self._reserve_for_strayed(found)
        flipped = np.zeros(self.rows.n_directions, dtype=np.uint8)
        scratch = self._scratch()
        cdef uint8_t *p_flipped = <uint8_t *> address(flipped)
        cdef void *p_scratch = address(scratch)
        with nogil:
            self.kernels.apply(&self.rows, &step.step, &found.found, stamp, &self.active_used, p_flipped, p_scratch)
        self.n_fired += 2 * n_beginning - found.found.n_flips
        if found.found.n_strayed:
            self._install_strayed(found)
        self._renew_failure_times(step, found)

    def _renew_failure_times(self, LazyStep step not None, LazyFindings found not None):
        """Write the failure times of all rows looked at: one by one where they are few, else leaves first."""
        cdef int64_t k, n_renewed = found.found.n_cleared + found.found.n_visited
        cdef bint many = n_renewed * REBUILD_SHARE > self.rows.n_rows
        cdef ThresholdTree tree = self.failure_times
        cdef double *leaves = <double *> tree.leaves
        cdef int32_t r
        cdef double time
        with nogil:
            for k in range(n_renewed):
                if k < found.found.n_cleared:
                    r = found.found.cleared_row[k]
                    time = found.found.cleared_failure[k]
                else:
                    r = found.found.visited_row[k - found.found.n_cleared]
                    time = sl_failure_time(&step.step, sl_freedom(&self.rows.row[r], step.step.resolution),
                                           self.rows.row[r].n_fired, self.rows.row[r].rest)
                if many:
                    leaves[r] = time
                else:
                    tree.c_update(r, time)
        if many:
            tree.refresh()

    def _grow_active(self, int64_t needed):
        """Room for more active lists; those that moved to the end of the pool leave holes, which this closes."""
        cdef int64_t r, k = self.rows.n_rows
        cdef int32_t at = 0
        arrays = self._arrays
        size = max(needed - self.active_used + int(arrays["row"]["room"].sum(dtype=np.int64)), needed // 2)
        size = _with_reserve(size)
        direction = np.empty(size, dtype=np.int32)
        coefficient = np.empty(size, dtype=self.dtype)
        cdef int32_t *p_direction = <int32_t *> address(direction)
        cdef char *p_coefficient = <char *> address(coefficient)
        cdef int64_t itemsize = self.dtype.itemsize
        with nogil:
            for r in range(k):
                memcpy(p_direction + at, self.rows.active_direction + self.rows.row[r].active_start,
                       self.rows.row[r].n_active * sizeof(int32_t))
                memcpy(p_coefficient + at * itemsize,
                       <char *> self.rows.active_coefficient + self.rows.row[r].active_start * itemsize,
                       self.rows.row[r].n_active * itemsize)
                self.rows.row[r].active_start = at
                at += self.rows.row[r].room
        self.active_used = at
        arrays["active_direction"], arrays["active_coefficient"] = direction, coefficient
        self._point()

    def _reserve_for_strayed(self, LazyFindings found):
        """Room for the new near lists of strayed rows, and for the places where they were built."""
        arrays = self._arrays
        total = self.near_used + found.strayed_used
        _refuse_long(total)
        if total + BLOCK > len(arrays["near_direction"]):
            larger = [_grown(arrays[name], self.near_used, _with_reserve(total))
                      for name in ("near_direction", "near_distance")]
            arrays["near_direction"], arrays["near_distance"] = larger
        n_new = np.count_nonzero(arrays["row"]["centre"][found.strayed_rows] < 0)
        if self.n_centres + n_new > len(arrays["centres"]):
            arrays["centres"] = _grown(arrays["centres"], self.n_centres, _with_reserve(self.n_centres + n_new))
        self._point()

    def _install_strayed(self, LazyFindings found):
        """Give strayed rows their new near lists, built where they now are; there is room."""
        arrays = self._arrays
        rows = found.strayed_rows
        used = found.strayed_used
        stop = np.concatenate(found.strayed_stop)
        begin = np.zeros_like(stop)
        begin[1:] = stop[:len(stop) - 1]
        self.longest = max(self.longest, int((stop - begin).max()))
        total = self.near_used + used
        arrays["near_direction"][self.near_used:total] = found.strayed_direction[:used]
        arrays["near_distance"][self.near_used:total] = found.strayed_distance[:used]
        row = arrays["row"]
        row["near_start"][rows] = begin + self.near_used
        row["near_stop"][rows] = stop + self.near_used
        self.near_used = total
        centre = row["centre"]
        new = rows[centre[rows] < 0]
        centre[new] = np.arange(self.n_centres, self.n_centres + len(new), dtype=np.int32)
        self.n_centres += len(new)
        arrays["centres"][centre[rows]] = found.strayed_displacement
        self._close_near_pool()

    def _close_near_pool(self):
        """Close the holes that abandoned near lists leave, once the pool is twice what it was when it had none."""
        if self.near_used <= 2 * self.near_used_without_holes + 1024:
            return
        try:
            self._copy_near_lists()
        except MemoryError:  # the step is being kept, and must be kept whole: the holes stay until there is memory
            pass

    def _copy_near_lists(self):
        """Copy the near lists into a pool without holes. What needs memory comes first."""
        cdef int64_t q
        arrays = self._arrays
        row = arrays["row"]
        starts, where = np.unique(row["near_start"], return_inverse=True)
        lengths = np.zeros(len(starts), dtype=np.int64)
        # rows that share a start share a list, unless the list of one of them is empty
        np.maximum.at(lengths, where, row["near_stop"] - row["near_start"])
        live = int(lengths.sum())
        size = _with_reserve(live)
        direction, distance = np.empty(size, dtype=np.int32), np.empty(size, dtype=self.dtype)
        moved = np.cumsum(lengths) - lengths
        shift = (moved[where] - row["near_start"]).astype(np.int32)
        cdef const int64_t[::1] source = starts.astype(np.int64), target = moved, count = lengths
        cdef int32_t *p_direction = <int32_t *> address(direction)
        cdef char *p_distance = <char *> address(distance)
        cdef int64_t itemsize = self.dtype.itemsize
        with nogil:
            for q in range(source.shape[0]):
                memcpy(p_direction + target[q], self.rows.near_direction + source[q], count[q] * sizeof(int32_t))
                memcpy(p_distance + target[q] * itemsize, <char *> self.rows.near_distance + source[q] * itemsize,
                       count[q] * itemsize)
        row["near_start"] += shift
        row["near_stop"] += shift
        arrays["near_direction"], arrays["near_distance"] = direction, distance
        self.near_used = self.near_used_without_holes = live
        self._point()

    # ------------------------------------------------------------------ further directions

    def owns_list(self, int64_t start, int64_t stop):
        """Whether rows start, ..., stop - 1 each have a near list of their own; else it is that of a row before.

        Returns
        -------
        ndarray of shape (stop - start,), dtype=bool

        Notes
        -----
        Only copies that still have the list they were drawn with share it. Cost: O((stop - start) copies).
        """
        cdef int64_t r
        owns = np.empty(stop - start, dtype=bool)
        cdef uint8_t *p_owns = <uint8_t *> address(owns)
        with nogil:
            for r in range(start, stop):
                p_owns[r - start] = _owner(&self.rows, self.copies, r) == r
        return owns

    def centre_displacement(self, int64_t start, int64_t stop):
        """The displacements at which the near lists of rows start, ..., stop - 1 were built, padded.

        Returns
        -------
        ndarray of shape (stop - start, stride)
            A copy.

        Notes
        -----
        Cost: O((stop - start) stride).
        """
        arrays = self._arrays
        if arrays["origin"] is None:
            place = np.zeros((stop - start, self.rows.stride), dtype=self.dtype)
        else:
            place = arrays["origin"][start:stop].copy()
        centre = arrays["row"]["centre"][start:stop]
        moved = np.flatnonzero(centre >= 0)
        place[moved] = arrays["centres"][centre[moved]]
        return place

    def with_directions(self, directions, near):
        """The same rows with further directions behind those they have. These rows stay as they are, and of use.

        Parameters
        ----------
        directions : ndarray of shape (n + n_new, stride)
            Unit vectors, padded; the first n are those that the rows have. Kept, not copied.
        near : NearLists
            Over the n_new further directions alone, with `keep_all`, and collected where the rows' own lists were
            built (see `centre_displacement`): one list for each row, or one for each row that `owns_list`.

        Returns
        -------
        LazyRows
            It shares no array with these rows but `origin`, which nothing writes.

        Notes
        -----
        Each row is on the side of a further direction's hyperplane on which it was where its list was built. That is
        true of where it stands only after a step that moves no row (coefficients and history have zeros for the
        further directions) and visits all of them: it has to be the next, and `review` has to be told `visit_all`,
        because before it rows have no certificate that could be tested.

        Further directions that fire come behind the others that do.

        Whatever may fail for want of memory changes nothing. Cost: O(k copies + entries of all lists).
        """
        cdef int64_t k = self.rows.n_rows
        cdef LazyRows other = LazyRows.__new__(LazyRows)
        stops = np.concatenate([np.empty(0, dtype=np.int64), *near.stop])
        fired = np.concatenate([np.empty(0, dtype=np.int32), *near.n_fired])
        cdef const int64_t[::1] stop = stops
        cdef const int32_t[::1] n_fired = fired, direction = near.direction, listed = near.fired
        cdef const char *distance = <const char *> address(near.distance)
        cdef int64_t itemsize = self.dtype.itemsize
        cdef bint of_each = len(stops) == k
        cdef Extent extent
        row = aligned_empty(8 * k, np.float64).view(ROW)
        cdef sl_row *p_row = <sl_row *> address(row)
        with nogil:
            extent = _lay_out(&self.rows, p_row, self.copies, of_each, stop, n_fired)
        _refuse_long(extent.near)
        _refuse_long(extent.active)
        size, room = _with_reserve(extent.near), _with_reserve(extent.active)
        other.dtype, other.kernels, other.copies = self.dtype, self.kernels, self.copies
        other._arrays = {
            "directions": directions,
            "origin": self._arrays["origin"],
            "row": row,
            "near_direction": np.empty(size, dtype=np.int32),
            "near_distance": np.empty(size, dtype=self.dtype),
            "centres": self._arrays["centres"][:self.n_centres].copy(),
            "active_direction": np.empty(room, dtype=np.int32),
            "active_coefficient": np.empty(room, dtype=self.dtype),
        }
        other.active_used = <int32_t> extent.active
        other.near_used = other.near_used_without_holes = extent.near
        other.n_centres, other.longest, other.n_fired = self.n_centres, extent.longest, extent.n_fired
        other.rows.n_rows = k
        other.rows.n_directions, other.rows.stride = directions.shape
        other._point()
        with nogil:
            _fill(&self.rows, &other.rows, self.copies, of_each, stop, n_fired, direction, distance, listed, itemsize)
        other.failure_times = ThresholdTree(np.zeros(k), orientation="min", copy=False)
        return other

    # ------------------------------------------------------------------ what the rows add up to

    def count_fired(self, int64_t start, int64_t stop, int32_t[:, ::1] counts):
        """Add the ordered pair counts of all rows, for directions start <= i < stop: see `sltrees.gram.GramMatrix`.

        Cost: O(sum of n_fired^2 / 2).
        """
        with nogil:
            sl_lazy_count_fired(&self.rows, start, stop, &counts[0, 0])

    def count_flips(self, LazyFindings found not None, int64_t start, int64_t stop, int32_t[:, ::1] counts):
        """Add what flips found, and not yet applied, change of ordered pair counts for directions start <= i < stop.

        Cost: O(visited + flips n_fired).
        """
        flipped = np.zeros(self.rows.n_directions, dtype=np.uint8)
        scratch = np.empty(2 * self.rows.n_directions + 2, dtype=np.int32)
        cdef uint8_t *p_flipped = <uint8_t *> address(flipped)
        cdef int32_t *p_scratch = <int32_t *> address(scratch)
        with nogil:
            sl_lazy_count_flips(&self.rows, &found.found, start, stop, &counts[0, 0], p_flipped, p_scratch)

    def add_outputs(self, LazyStep step not None, initial, int64_t copies, const double[::1] offset,
                    double[::1] outputs, double[::1] moved, displacement=None, int64_t start=0, int64_t stop=-1):
        """Sums over the pairs that fire, of the rows start, ..., stop - 1 where they stand now.

        outputs_i += sign (<w_r, u_i> - offset_i), moved_i += sign <D_r, u_i>, for w_r = initial_r + D_r rounded to the
        dtype; D_r is written to `displacement`, if given.

        Parameters
        ----------
        step : LazyStep
            The last one applied, or one under review: then flips found are not in the sums.
        initial : ndarray of shape (k / copies, d)
        copies : int
            Consecutive rows that share their initial weights.
        offset : ndarray of shape (n,), float64
        outputs, moved : ndarray of shape (n,), float64
        displacement : ndarray of shape (stop - start, d), optional
        start, stop : int
            By default all rows; multiples of `copies`.

        Notes
        -----
        Cost: O(n_active stride) a row.
        """
        if stop < 0:
            stop = self.rows.n_rows
        scratch = self._scratch()
        cdef void *p_scratch = address(scratch)
        cdef void *p_initial = address(initial)
        cdef void *p_displacement = optional(displacement)
        cdef int64_t d = initial.shape[1]
        with nogil:
            self.kernels.add_outputs(&self.rows, &step.step, p_initial, d, copies, &offset[0], start, stop, p_scratch,
                                     &outputs[0], &moved[0], p_displacement)

    def write_displacement(self, LazyStep step not None, displacement, int64_t start=0):
        """Write D_r of rows start, start + 1, ... to a C-ordered (rows, d) array. Cost: O(n_active stride) a row."""
        scratch = self._scratch()
        cdef void *p_scratch = address(scratch)
        cdef void *p_displacement = address(displacement)
        cdef int64_t d = displacement.shape[1], stop = start + len(displacement)
        with nogil:
            self.kernels.add_outputs(&self.rows, &step.step, NULL, d, 1, NULL, start, stop, p_scratch, NULL, NULL,
                                     p_displacement)

    def compacted(self, kept):
        """The rows numbered `kept`, with nothing but what tells their displacements. These rows stay as they are.

        Parameters
        ----------
        kept : ndarray of int
            Ascending.

        Returns
        -------
        LazyRows
            Of use for `write_displacement` and `nbytes` alone: it has no near lists and no certificates.

        Notes
        -----
        Cost: O(active pairs of the rows kept).
        """
        cdef LazyRows other = LazyRows.__new__(LazyRows)
        arrays = self._arrays
        row = aligned_empty(8 * len(kept), np.float64).view(ROW)
        row[...] = arrays["row"][kept]
        lengths = row["n_active"].astype(np.int64)
        ends = np.cumsum(lengths)
        used = int(ends[len(ends) - 1]) if len(ends) else 0
        places = np.arange(used) + np.repeat(row["active_start"] - (ends - lengths), lengths)
        row["active_start"], row["room"] = ends - lengths, lengths
        row["near_start"], row["near_stop"], row["centre"] = 0, 0, -1
        other.dtype, other.kernels, other.copies = self.dtype, self.kernels, self.copies
        other._arrays = {
            "directions": arrays["directions"],
            "origin": None if arrays["origin"] is None else arrays["origin"][kept],
            "row": row,
            "near_direction": np.empty(0, dtype=np.int32),
            "near_distance": np.empty(0, dtype=self.dtype),
            "centres": np.empty((0, self.rows.stride), dtype=self.dtype),
            "active_direction": arrays["active_direction"][places],
            "active_coefficient": arrays["active_coefficient"][places],
        }
        other.active_used = <int32_t> used
        other.n_fired = row["n_fired"].sum(dtype=np.int64)
        other.rows.n_rows = len(kept)
        other.rows.n_directions, other.rows.stride = self.rows.n_directions, self.rows.stride
        other._point()
        return other

    def gram_product(self, data, const double[::1] v, double[::1] out):
        """out_i += sum over rows that fire on i of <sum over j that fire of v_j x_j, x_i>. Cost: O(fired pairs d).

        `data` is a C-ordered (n, d) array of the dtype of the rows. Sums are in double precision.
        """
        cdef int64_t d = data.shape[1]
        scratch = np.empty(d)
        cdef double[::1] sums = scratch
        cdef void *p_data = address(data)
        with nogil:
            self.kernels.gram_product(&self.rows, p_data, d, &v[0], &sums[0], &out[0])

    # ------------------------------------------------------------------ looking inside

    @property
    def pattern(self):
        """The pairs that fire, as CSR: tuple (indptr, directions), ascending in each row. Cost: O(pairs log)."""
        n_fired, start = self._arrays["row"]["n_fired"], self._arrays["row"]["active_start"]
        indptr = np.concatenate([[0], np.cumsum(n_fired, dtype=np.int64)])
        rows = np.repeat(np.arange(len(n_fired)), n_fired)
        places = np.arange(indptr[len(n_fired)]) + (start - indptr[:len(n_fired)])[rows]
        directions = self._arrays["active_direction"][places]
        return indptr, directions[np.lexsort((directions, rows))]

    @property
    def diagonal(self):
        """Number of rows that fire on each direction. Cost: O(pairs)."""
        return np.bincount(self.pattern[1], minlength=self.rows.n_directions)

    @property
    def n_near(self):
        """Entries of near lists in use."""
        return self.near_used

    @property
    def nbytes(self):
        """Bytes held: memory that was reserved and never touched, and arrays shared with others, do not count."""
        arrays = self._arrays
        itemsize = self.dtype.itemsize
        total = arrays["row"].nbytes + (0 if self.failure_times is None else self.failure_times.nbytes)
        total += (self.near_used + self.active_used) * (4 + itemsize)
        total += self.n_centres * self.rows.stride * itemsize
        return total + (0 if arrays["origin"] is None else arrays["origin"].nbytes)

    def _state(self):
        """Copy of all that a step may change, pools only as far as they are in use: for tests."""
        arrays = self._arrays
        state = {"row": arrays["row"].copy(), "failure_times": self.failure_times.values.copy()}
        state["near_direction"] = arrays["near_direction"][:self.near_used].copy()
        state["near_distance"] = arrays["near_distance"][:self.near_used].copy()
        state["centres"] = arrays["centres"][:self.n_centres].copy()
        for name in ("active_direction", "active_coefficient"):
            lists = [arrays[name][row["active_start"]:row["active_start"] + row["n_active"]] for row in arrays["row"]]
            state[name] = np.concatenate([arrays[name][:0], *lists])
        state["active_used"], state["active_room"] = self.active_used, len(arrays["active_direction"])
        state["near_room"] = len(arrays["near_direction"])
        return state

    def _check(self, LazyStep step not None, initial, int64_t copies, offset):
        """Assert every invariant at the step last applied. Cost: O(k n d)."""
        arrays = self._arrays
        k, n = self.rows.n_rows, self.rows.n_directions
        d = initial.shape[1]
        eps = np.finfo(self.dtype).eps
        directions = arrays["directions"][:, :d].astype(np.float64)
        live = np.linalg.norm(directions, axis=1) > 0
        assert np.all(arrays["directions"][:, d:] == 0)
        displacement = np.empty((k, d), dtype=self.dtype)
        self.write_displacement(step, displacement)
        start = np.repeat(initial, copies, axis=0)[:k].astype(np.float64)
        y = (start + displacement) @ directions.T - offset
        row = arrays["row"]
        self._check_lists(live)
        # the lists as matrices: what fires, what is near and how far, and the c_ri
        fires, near = np.zeros((k, n), dtype=bool), np.zeros((k, n), dtype=bool)
        distance, coefficient = np.zeros((k, n)), np.zeros((k, n))
        rows, at = _entries(row["active_start"], row["n_active"])
        coefficient[rows, arrays["active_direction"][at]] = arrays["active_coefficient"][at]
        rows, at = _entries(row["active_start"], row["n_fired"])
        fires[rows, arrays["active_direction"][at]] = True
        rows, at = _entries(row["near_start"], row["near_stop"] - row["near_start"])
        near[rows, arrays["near_direction"][at]] = True
        distance[rows, arrays["near_direction"][at]] = arrays["near_distance"][at]
        centre = np.zeros((k, d)) if arrays["origin"] is None else arrays["origin"][:, :d].astype(np.float64)
        moved_centre = row["centre"] >= 0
        centre[moved_centre] = arrays["centres"][row["centre"][moved_centre], :d]
        # rounding of products, of their sums, and of displacements; offsets stand for the size of z / |x|
        sizes = np.abs(coefficient).sum(axis=1) + (fires * np.abs(step.coefficient)).sum(axis=1)
        norms = np.linalg.norm(start + displacement, axis=1) + np.linalg.norm(displacement, axis=1) + sizes
        norms += np.linalg.norm(start + centre, axis=1) + np.linalg.norm(centre, axis=1)
        of_rows = 8 * eps * (d + 8) * norms + 4 * step.step.resolution
        slack = of_rows[:, None] + 4 * eps * np.abs(offset)
        # both directions: what fires is above its hyperplane, what does not is not, but for rounding
        assert np.all(y[fires] > -slack[fires]), float((y + slack)[fires].min())
        assert np.all(y[~fires & live] <= slack[~fires & live]), float((y - slack)[~fires & live].max())
        # a near list holds all with y > -skin at its centre, no others, and y there
        at_centre = (start + centre) @ directions.T - offset
        assert not np.any(near & ~live)
        assert np.all(near[live & (at_centre > slack - step.step.skin)])
        assert np.all(at_centre[near] > -step.step.skin - slack[near])
        assert np.all(np.abs(distance - at_centre)[near] <= slack[near])
        assert not np.any(fires & ~near)
        # what is on another side than it was at the centre was no farther than the reach, and that is within the skin
        assert np.all((row["reach"] >= 0) & (row["reach"] <= step.step.skin * (1 + 1e-6)))
        crossed = near & (fires != (distance > 0))
        assert np.all((np.abs(distance) <= row["reach"][:, None] + slack)[crossed])
        self._check_certificates(step, displacement, directions, y, fires, coefficient, slack, of_rows)

    def _check_lists(self, live):
        """Assert that lists lie in their pools, do not overlap, and name no direction twice."""
        arrays = self._arrays
        k = self.rows.n_rows
        row = arrays["row"]
        start = row["active_start"]
        assert np.all((row["n_fired"] >= 0) & (row["n_fired"] <= row["n_active"]) & (row["n_active"] <= row["room"]))
        order = np.argsort(start, kind="stable")
        ends = (start + row["room"])[order]
        assert np.all(start >= 0) and np.all(ends <= self.active_used)
        assert np.all(ends[:max(k - 1, 0)] <= start[order[1:]])
        assert self.active_used <= len(arrays["active_direction"]) == len(arrays["active_coefficient"])
        assert np.all((row["near_start"] >= 0) & (row["near_start"] <= row["near_stop"]))
        assert np.all(row["near_stop"] <= self.near_used)
        assert np.all(row["near_stop"] - row["near_start"] <= self.longest)
        assert self.n_fired == row["n_fired"].sum(dtype=np.int64)
        assert self.near_used + BLOCK <= len(arrays["near_direction"]) == len(arrays["near_distance"])
        centres = row["centre"][row["centre"] >= 0]
        assert len(set(centres.tolist())) == len(centres)
        assert np.all(centres < self.n_centres) and self.n_centres <= len(arrays["centres"])
        assert np.all(np.abs(row["sign"]) == 1)
        rows, at = _entries(start, row["n_active"])
        active = arrays["active_direction"][at]
        assert len(np.unique(rows * len(live) + active)) == len(active)
        assert live[active].all()
        _, idle = _entries(start + row["n_fired"], row["n_active"] - row["n_fired"])
        assert np.all(arrays["active_coefficient"][idle] != 0)
        rows, at = _entries(row["near_start"], row["near_stop"] - row["near_start"])
        ascends = np.diff(arrays["near_direction"][at]) > 0
        assert np.all(ascends[rows[1:] == rows[:max(len(rows) - 1, 0)]])

    def _check_certificates(self, LazyStep step not None, displacement, directions, y, fires, coefficient, slack,
                            of_rows):
        """Assert that no row moved beyond its gap, that the gap was true, and that `rest` bounds what shrinks."""
        arrays = self._arrays
        row, d = arrays["row"], displacement.shape[1]
        live = np.linalg.norm(directions, axis=1) > 0
        signs = row["sign"][:, None].astype(np.float64)
        assert np.all((row["stamp"] >= 0) & (row["stamp"] < len(step.decay)))
        decay = step.decay[row["stamp"]][:, None]
        # where each row was at its stamp, but for beta: what shrinks
        rest = -signs * (coefficient @ directions)
        known = np.ones(len(row), dtype=bool)
        if arrays["origin"] is not None:
            known = decay[:, 0] > 0  # else nothing tells how much of the origin was left at the stamp
            share = np.divide(step.step.origin_decay, decay, out=np.zeros_like(decay), where=decay > 0)
            rest += share * arrays["origin"][:, :d]
        assert np.all((row["rest"] * (1 + 1e-6) + of_rows >= np.linalg.norm(rest, axis=1))[known])
        movement = (decay - 1) * rest - signs * ((fires * step.change[row["stamp"]]) @ directions)
        moved = np.linalg.norm(movement, axis=1)
        # a failure time may round to just below the clock: then the row is looked at in the next step
        assert np.all(self.failure_times.values >= step.step.clock * (1 - 4e-15))
        self.failure_times._check()
        assert np.all((moved < row["gap"] + of_rows)[known]), float((moved - row["gap"] - of_rows)[known].max())
        # at its stamp the row was that far from its nearest hyperplane, and no nearer than the gap to any other
        at_stamp = y - movement @ directions.T
        named = np.flatnonzero(row["nearest"] >= 0)
        nearest, distance = row["nearest"][named], row["distance"][named]
        error = np.abs(distance - at_stamp[named, nearest]) - 1.2e-7 * np.abs(distance)
        assert np.all((error <= slack[named, nearest])[known[named]])
        assert live[nearest].all() and np.all(np.isinf(row["distance"][row["nearest"] < 0]))
        others = np.where(live, np.abs(at_stamp) + slack, np.inf)
        others[named, nearest] = np.inf
        assert np.all((others.min(axis=1, initial=np.inf) >= row["gap"] * (1 - 1e-6))[known])
