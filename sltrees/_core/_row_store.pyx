"""What lazy rows consist of: a cache line for each, and lists in pools that grow, and that are copied to close holes.

What is stored, and why it suffices, is explained in rows/rows.h. What it is used for is in _lazy_rows.pyx.
"""

import numpy as np

cimport numpy as cnp
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy, memset

from sltrees._core._boundary import aligned_empty
from sltrees._core._lazy_findings cimport LazyFindings
from sltrees._core._pools import grown, refuse_long, with_reserve
from sltrees._core._pools cimport BLOCK, address, optional
from sltrees._core._rows cimport sl_lazy_findings, sl_lazy_rows, sl_row

cnp.import_array()

# as in rows/rows.h
ROW = np.dtype([("active_start", np.int32), ("n_fired", np.int32), ("n_active", np.int32), ("room", np.int32),
                ("stamp", np.int32), ("rest", np.float32), ("reach", np.float32), ("gap", np.float32),
                ("nearest", np.int32), ("distance", np.float32), ("near_start", np.int32), ("near_stop", np.int32),
                ("centre", np.int32), ("sign", np.float32), ("unused", np.int32, 2)])
assert ROW.itemsize == sizeof(sl_row) == 64


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
    # what the lists of rows with further directions need
    int64_t near
    int64_t active
    int64_t longest
    int64_t n_fired


cdef Extent _lay_out(const sl_lazy_rows *old, sl_row *row, int64_t copies, bint of_each, const int64_t[::1] stop,
                     const int32_t[::1] n_fired) noexcept nogil:
    """Rows as in `old`, with room for the lists `stop` and `n_fired` tell of, and known to nobody.

    Where the pools have too many entries for their indices, those are nonsense: see `refuse_long`.
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


cdef class RowStore:
    """Rows, their lists, and where lists were built. The classes above say what happens to them."""

    cdef int _begin(self, directions, signs, near, int64_t copies, double skin, origin) except -1:
        """Rows on whose lists nothing has happened yet; arguments as of `LazyRows`. Sets: everything."""
        cdef int64_t k = len(signs)
        start, stop = near.ranges()
        n_fired = np.repeat(np.concatenate([np.empty(0, dtype=np.int32), *near.n_fired]), copies)
        nearest = np.concatenate([np.empty(0), *near.nearest])
        self.dtype = directions.dtype
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
        refuse_long(used)
        self.active_used = used
        row["room"] = room
        row["active_start"] = ends - room
        self._arrays["active_direction"] = np.empty(with_reserve(used), dtype=np.int32)
        self._arrays["active_coefficient"] = np.empty(with_reserve(used), dtype=self.dtype)
        self._point()
        _list_fired(&self.rows, near.fired, copies, self.dtype.itemsize)
        return 0

    cdef int _extend(self, RowStore old, directions, near) except -1:
        """The rows of `old` with further directions: see `LazyRows.with_directions`. Sets: everything."""
        cdef int64_t k = old.rows.n_rows
        stops = np.concatenate([np.empty(0, dtype=np.int64), *near.stop])
        fired = np.concatenate([np.empty(0, dtype=np.int32), *near.n_fired])
        cdef const int64_t[::1] stop = stops
        cdef const int32_t[::1] n_fired = fired, direction = near.direction, listed = near.fired
        cdef const char *distance = <const char *> address(near.distance)
        cdef int64_t itemsize = old.dtype.itemsize
        cdef bint of_each = len(stops) == k
        cdef Extent extent
        row = aligned_empty(8 * k, np.float64).view(ROW)
        cdef sl_row *p_row = <sl_row *> address(row)
        with nogil:
            extent = _lay_out(&old.rows, p_row, old.copies, of_each, stop, n_fired)
        refuse_long(extent.near)
        refuse_long(extent.active)
        size, room = with_reserve(extent.near), with_reserve(extent.active)
        self.dtype, self.copies = old.dtype, old.copies
        self._arrays = {
            "directions": directions,
            "origin": old._arrays["origin"],
            "row": row,
            "near_direction": np.empty(size, dtype=np.int32),
            "near_distance": np.empty(size, dtype=old.dtype),
            "centres": old._arrays["centres"][:old.n_centres].copy(),
            "active_direction": np.empty(room, dtype=np.int32),
            "active_coefficient": np.empty(room, dtype=old.dtype),
        }
        self.active_used = <int32_t> extent.active
        self.near_used = self.near_used_without_holes = extent.near
        self.n_centres, self.longest, self.n_fired = old.n_centres, extent.longest, extent.n_fired
        self.rows.n_rows = k
        self.rows.n_directions, self.rows.stride = directions.shape
        self._point()
        with nogil:
            _fill(&old.rows, &self.rows, old.copies, of_each, stop, n_fired, direction, distance, listed, itemsize)
        return 0

    cdef int _compact(self, RowStore old, kept) except -1:
        """Some rows of `old` with nothing but what tells displacements: see `LazyRows.compacted`. Sets: everything."""
        arrays = old._arrays
        row = aligned_empty(8 * len(kept), np.float64).view(ROW)
        row[...] = arrays["row"][kept]
        lengths = row["n_active"].astype(np.int64)
        ends = np.cumsum(lengths)
        used = int(ends[len(ends) - 1]) if len(ends) else 0
        places = np.arange(used) + np.repeat(row["active_start"] - (ends - lengths), lengths)
        row["active_start"], row["room"] = ends - lengths, lengths
        row["near_start"], row["near_stop"], row["centre"] = 0, 0, -1
        self.dtype, self.copies = old.dtype, old.copies
        self._arrays = {
            "directions": arrays["directions"],
            "origin": None if arrays["origin"] is None else arrays["origin"][kept],
            "row": row,
            "near_direction": np.empty(0, dtype=np.int32),
            "near_distance": np.empty(0, dtype=old.dtype),
            "centres": np.empty((0, old.rows.stride), dtype=old.dtype),
            "active_direction": arrays["active_direction"][places],
            "active_coefficient": arrays["active_coefficient"][places],
        }
        self.active_used = <int32_t> used
        self.n_fired = row["n_fired"].sum(dtype=np.int64)
        self.rows.n_rows = len(kept)
        self.rows.n_directions, self.rows.stride = old.rows.n_directions, old.rows.stride
        self._point()
        return 0

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

    # ------------------------------------------------------------------ pools

    cdef int _grow_active(self, int64_t needed) except -1:
        """Room for more active lists; those that moved to the end of the pool leave holes, which this closes."""
        cdef int64_t r, k = self.rows.n_rows
        cdef int32_t at = 0
        arrays = self._arrays
        size = max(needed - self.active_used + int(arrays["row"]["room"].sum(dtype=np.int64)), needed // 2)
        size = with_reserve(size)
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
        return 0

    def trim(self):
        """Give back room that active lists were given and have not needed, but for some; nothing else changes.

        Where there is no memory for a copy, all stays as it is. Cost: O(rows + active pairs).
        """
        arrays = self._arrays
        row = arrays["row"]
        room = row["n_active"] + row["n_active"] // 4 + 1
        ends = np.cumsum(room, dtype=np.int64)
        cdef int64_t r, k = self.rows.n_rows, itemsize = self.dtype.itemsize
        used = int(ends[k - 1]) if k else 0
        if used >= self.active_used:
            return
        try:
            direction = np.empty(used + BLOCK, dtype=np.int32)
            coefficient = np.empty(used + BLOCK, dtype=self.dtype)
        except MemoryError:  # a step is being kept, and must be kept whole
            return
        cdef const int64_t[::1] stop = ends
        cdef const int32_t[::1] size = room
        cdef int32_t *p_direction = <int32_t *> address(direction)
        cdef char *p_coefficient = <char *> address(coefficient)
        cdef int64_t at
        with nogil:
            for r in range(k):
                at = stop[r] - size[r]
                memcpy(p_direction + at, self.rows.active_direction + self.rows.row[r].active_start,
                       self.rows.row[r].n_active * sizeof(int32_t))
                memcpy(p_coefficient + at * itemsize,
                       <char *> self.rows.active_coefficient + self.rows.row[r].active_start * itemsize,
                       self.rows.row[r].n_active * itemsize)
                self.rows.row[r].active_start = <int32_t> at
                self.rows.row[r].room = size[r]
        self.active_used = <int32_t> used
        arrays["active_direction"], arrays["active_coefficient"] = direction, coefficient
        self._point()

    cdef int _reserve_for_strayed(self, LazyFindings found) except -1:
        """Room for the new near lists of strayed rows, and for the places where they were built."""
        arrays = self._arrays
        total = self.near_used + found.strayed_used
        refuse_long(total)
        if total + BLOCK > len(arrays["near_direction"]):
            larger = [grown(arrays[name], self.near_used, with_reserve(total))
                      for name in ("near_direction", "near_distance")]
            arrays["near_direction"], arrays["near_distance"] = larger
        n_new = np.count_nonzero(arrays["row"]["centre"][found.strayed_rows] < 0)
        if self.n_centres + n_new > len(arrays["centres"]):
            arrays["centres"] = grown(arrays["centres"], self.n_centres, with_reserve(self.n_centres + n_new))
        self._point()
        return 0

    cdef void _install_strayed(self, const sl_lazy_findings *found, const int64_t *stop, const int32_t *direction,
                               const char *distance, int64_t itemsize) noexcept nogil:
        """Give strayed rows their new near lists, which end at `stop`, built where they now are; there is room."""
        cdef int64_t q, begin = 0, place_bytes = self.rows.stride * itemsize
        cdef const char *displacement = <const char *> found.strayed_displacement
        cdef sl_row *row
        for q in range(found.n_strayed):
            row = &self.rows.row[found.strayed_row[q]]
            self.longest = max(self.longest, stop[q] - begin)
            row.near_start, row.near_stop = <int32_t> (self.near_used + begin), <int32_t> (self.near_used + stop[q])
            begin = stop[q]
            if row.centre < 0:
                row.centre = <int32_t> self.n_centres
                self.n_centres += 1
            memcpy(<char *> self.rows.centres + row.centre * place_bytes, displacement + q * place_bytes, place_bytes)
        memcpy(self.rows.near_direction + self.near_used, direction, begin * sizeof(int32_t))
        memcpy(<char *> self.rows.near_distance + self.near_used * itemsize, distance, begin * itemsize)
        self.near_used += begin

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
        size = with_reserve(live)
        direction, distance = np.empty(size, dtype=np.int32), np.empty(size, dtype=self.dtype)
        moved = np.cumsum(lengths) - lengths
        cdef const int32_t[::1] shift = (moved[where] - row["near_start"]).astype(np.int32)
        cdef const int64_t[::1] source = starts.astype(np.int64), target = moved, count = lengths
        cdef int32_t *p_direction = <int32_t *> address(direction)
        cdef char *p_distance = <char *> address(distance)
        cdef int64_t itemsize = self.dtype.itemsize
        with nogil:
            for q in range(source.shape[0]):
                memcpy(p_direction + target[q], self.rows.near_direction + source[q], count[q] * sizeof(int32_t))
                memcpy(p_distance + target[q] * itemsize, <char *> self.rows.near_distance + source[q] * itemsize,
                       count[q] * itemsize)
            for q in range(self.rows.n_rows):
                self.rows.row[q].near_start += shift[q]
                self.rows.row[q].near_stop += shift[q]
        arrays["near_direction"], arrays["near_distance"] = direction, distance
        self.near_used = self.near_used_without_holes = live
        self._point()

    # ------------------------------------------------------------------ looking inside

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

    @property
    def pattern(self):
        """The pairs that fire, as CSR: tuple (indptr, directions), ascending in each row. Cost: O(pairs log)."""
        n_fired, start = self._arrays["row"]["n_fired"], self._arrays["row"]["active_start"]
        indptr = np.concatenate([[0], np.cumsum(n_fired, dtype=np.int64)])
        rows = np.repeat(np.arange(len(n_fired)), n_fired)
        places = np.arange(indptr[len(n_fired)]) + (start - indptr[:len(n_fired)])[rows]
        directions = self._arrays["active_direction"][places]
        return indptr, directions[np.lexsort((directions, rows))]

    def fired(self):
        """The pairs that fire, as CSR: tuple (indptr, directions), in each row in the order in which they are stored.

        Cost: O(pairs).
        """
        cdef int64_t r, k = self.rows.n_rows
        indptr = np.concatenate([[0], np.cumsum(self._arrays["row"]["n_fired"], dtype=np.int64)])
        directions = np.empty(indptr[k], dtype=np.int32)
        cdef const int64_t[::1] at = indptr
        cdef int32_t *p_directions = <int32_t *> address(directions)
        with nogil:
            for r in range(k):
                memcpy(p_directions + at[r], self.rows.active_direction + self.rows.row[r].active_start,
                       self.rows.row[r].n_fired * sizeof(int32_t))
        return indptr, directions

    @property
    def diagonal(self):
        """Number of rows that fire on each direction, int64. Cost: O(pairs), and no memory but for the numbers."""
        cdef int64_t r, e
        cdef const int32_t *listed
        counts = np.zeros(self.rows.n_directions, dtype=np.int64)
        cdef int64_t *p_counts = <int64_t *> address(counts)
        with nogil:
            for r in range(self.rows.n_rows):
                listed = self.rows.active_direction + self.rows.row[r].active_start
                for e in range(self.rows.row[r].n_fired):  # the first entries are those that fire
                    p_counts[listed[e]] += 1
        return counts

    @property
    def n_near(self):
        """Entries of near lists in use."""
        return self.near_used

    @property
    def nbytes(self):
        """Bytes held: memory that was reserved and never touched, and arrays shared with others, do not count."""
        arrays = self._arrays
        itemsize = self.dtype.itemsize
        total = arrays["row"].nbytes + (self.near_used + self.active_used) * (4 + itemsize)
        total += self.n_centres * self.rows.stride * itemsize
        return total + (0 if arrays["origin"] is None else arrays["origin"].nbytes)

    def parts(self):
        """What the rows consist of, for `sltrees.reference.row_invariants`: the arrays, and how much of them is used.

        Returns
        -------
        dict
        """
        return {**self._arrays, "active_used": self.active_used, "n_centres": self.n_centres, "longest": self.longest}
