"""Rows that move along fixed directions and are looked at only when they may have crossed a hyperplane.

What is stored of a row, and why it suffices, is explained in rows/rows.h; how, in _row_store.pyx. Kernel class: it
validates nothing. The NumPy twin is ``sltrees.reference.lazy_rows_by_definition``.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint8_t

from sltrees._core._boundary import aligned_empty
from sltrees._core._lazy_findings cimport LazyFindings, LazyStep
from sltrees._core._pools import refuse_long
from sltrees._core._pools cimport BLOCK, address, optional
from sltrees._core._row_store cimport RowStore
from sltrees._core._rows cimport (
    sl_failure_time, sl_freedom, sl_lazy_count_fired, sl_lazy_count_flips, sl_lazy_kernels_at, sl_lazy_room_needed,
    sl_lazy_rows, sl_row,
)
from sltrees._core._simd cimport active_level
from sltrees._core._threshold_tree cimport ThresholdTree

cnp.import_array()

ctypedef fused real:
    float
    double

cdef enum:
    REBUILD_SHARE = 64  # more failure times than one in so many: all levels of their tree are built anew


cdef double _dot(const real *a, const real *b, int64_t n) noexcept nogil:
    """Of vectors of length n; eight sums side by side, or each addition would wait for the one before."""
    cdef real lane[8]
    cdef double total = 0
    cdef int64_t j, k
    for k in range(8):
        lane[k] = 0
    for j in range(0, n - 7, 8):
        for k in range(8):
            lane[k] += a[j + k] * b[j + k]
    for j in range(n - n % 8, n):
        total += a[j] * b[j]
    for k in range(8):
        total += lane[k]
    return total


cdef void _count_since_drawn(const sl_lazy_rows *rows, const real *initial, int64_t d, int64_t copies,
                             const double *offset, uint8_t *fires, int64_t *counts) noexcept nogil:
    """See `LazyRows.count_since_drawn`; `fires` (n_directions) is all 0."""
    cdef const real *near_distance = <const real *> rows.near_distance
    cdef const real *directions = <const real *> rows.directions
    cdef int64_t r, e
    cdef const sl_row *row
    cdef const int32_t *active
    for r in range(rows.n_rows):
        row = &rows.row[r]
        active = rows.active_direction + row.active_start
        counts[2] += row.n_fired
        if row.centre < 0:  # the near list is that of where it was drawn
            for e in range(row.n_fired):
                fires[active[e]] = 1
            for e in range(row.near_start, row.near_stop):
                if near_distance[e] > 0:
                    counts[0] += 1
                    counts[1] += not fires[rows.near_direction[e]]
                    counts[2] -= fires[rows.near_direction[e]]
            for e in range(row.n_fired):
                fires[active[e]] = 0
        else:
            for e in range(row.n_active):
                if _dot(initial + r // copies * d, directions + active[e] * rows.stride, d) > offset[active[e]]:
                    counts[0] += 1
                    counts[1] += e >= row.n_fired
                    counts[2] -= e < row.n_fired


cdef class LazyRows(RowStore):
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
        self._begin(directions, signs, near, copies, skin, origin)
        self.kernels = sl_lazy_kernels_at(self.dtype == np.float32, active_level())
        # 0: every row is looked at in the first step. The array is the tree's own leaves
        self.failure_times = ThresholdTree(np.zeros(len(signs)), orientation="min", copy=False)

    @property
    def nbytes(self):
        """Bytes held: memory that was reserved and never touched, and arrays shared with others, do not count."""
        return RowStore.nbytes.__get__(self) + (0 if self.failure_times is None else self.failure_times.nbytes)

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
        # those before tell what all will need: each growth copies what there is, and memory not touched costs nothing
        cdef double so_many = 1.1 * found.found.n_strayed / first if first else 1.0
        found._reserve_strayed_lists(found.strayed_used + q * n + BLOCK, <int64_t> (so_many * found.strayed_used))
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
                found._grow_flips(max(2 * found.found.flips_room + n + 1, <int64_t> (so_many * found.found.n_flips)))
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
        refuse_long(needed)
        if needed > len(self._arrays["active_direction"]):
            self._grow_active(needed)
        if found.found.n_strayed:
            self._reserve_for_strayed(found)
        stop = np.concatenate([np.empty(0, dtype=np.int64), *found.strayed_stop])
        flipped = np.zeros(self.rows.n_directions, dtype=np.uint8)
        scratch = self._scratch()
        cdef const int64_t *p_stop = <int64_t *> address(stop)
        cdef const int32_t *p_direction = <int32_t *> address(found.strayed_direction)
        cdef const char *p_distance = <char *> address(found.strayed_distance)
        cdef int64_t itemsize = self.dtype.itemsize
        cdef uint8_t *p_flipped = <uint8_t *> address(flipped)
        cdef void *p_scratch = address(scratch)
        with nogil:
            self.kernels.apply(&self.rows, &step.step, &found.found, stamp, &self.active_used, p_flipped, p_scratch)
            self._install_strayed(&found.found, p_stop, p_direction, p_distance, itemsize)
        self.n_fired += 2 * n_beginning - found.found.n_flips
        if found.found.n_strayed:
            self._close_near_pool()
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
            tree._rebuild()     # which needs no memory, where `refresh` would

    # ------------------------------------------------------------------ further directions

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
        cdef LazyRows other = LazyRows.__new__(LazyRows)
        other.kernels = self.kernels
        other._extend(self, directions, near)
        other.failure_times = ThresholdTree(np.zeros(self.rows.n_rows), orientation="min", copy=False)
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

    def count_since_drawn(self, initial, int64_t copies, const double[::1] offset):
        """Pairs that fired where the rows were drawn, those that have ceased to fire, and those that have begun.

        Parameters
        ----------
        initial, copies, offset
            As for `add_outputs`.

        Returns
        -------
        ndarray of shape (3,), dtype=int64

        Notes
        -----
        Of rows without an `origin`. Near lists tell of those that have not strayed, and of others what has ever fired:
        all that does or has a coefficient, as long as these have not been shrunk to nothing. Cost: O(near + fired
        pairs, and for strayed rows active pairs stride).
        """
        counts, fires = np.zeros(3, dtype=np.int64), np.zeros(self.rows.n_directions, dtype=np.uint8)
        cdef int64_t *p_counts = <int64_t *> address(counts)
        cdef uint8_t *p_fires = <uint8_t *> address(fires)
        cdef void *p_initial = address(initial)
        cdef int64_t d = initial.shape[1]
        cdef bint is_float = self.dtype == np.float32
        with nogil:
            if is_float:
                _count_since_drawn[float](&self.rows, <const float *> p_initial, d, copies, &offset[0], p_fires,
                                          p_counts)
            else:
                _count_since_drawn[double](&self.rows, <const double *> p_initial, d, copies, &offset[0], p_fires,
                                           p_counts)
        return counts

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
        other.kernels = self.kernels
        other._compact(self, kept)
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
