"""Near lists of rows as they are collected: the directions whose hyperplanes a row is not far below.

The NumPy twin is ``sltrees.reference.near_lists``. Kernel class: it validates nothing.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t

from sltrees._core._pools import grown, refuse_long, with_reserve
from sltrees._core._pools cimport BLOCK, address
from sltrees._core._simd cimport active_level

cnp.import_array()

cdef extern from "rows/near_lists.h" nogil:
    ctypedef int64_t (*sl_collect_kernel)(
        const void *, int64_t, int64_t, const void *, const void *, double, int, int64_t, int32_t *, void *, int64_t,
        int32_t *, int32_t *, int64_t *, int32_t *, double *) noexcept nogil

    sl_collect_kernel sl_collect_at_f32(int level)
    sl_collect_kernel sl_collect_at_f64(int level)


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
        cdef int level = active_level()
        cdef sl_collect_kernel collect = sl_collect_at_f32(level) if z.dtype == np.float32 else sl_collect_at_f64(level)
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
            n_kept = collect(p_z, k, n, p_thresholds, p_inverse, shift, keep_all, used, p_direction, p_distance,
                             n_listed, p_listed, p_kept, p_stop, p_fired, p_nearest)
        # whatever may fail for want of memory comes first
        n_listed += int(n_fired[:n_kept].sum(dtype=np.int64))
        self.stop.append(stop[:n_kept])
        self.n_fired.append(n_fired[:n_kept])
        self.nearest.append(nearest[:n_kept])
        self.n_listed = n_listed
        if n_kept:
            self.used = stop[n_kept - 1]
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
        room = with_reserve(self.used)
        for array, size in ((self.direction, room), (self.distance, room), (self.fired, self.n_listed + BLOCK)):
            if size < len(array):
                array.resize(size, refcheck=False)

    def ranges(self):
        """Where each list begins and ends: tuple of int32 arrays."""
        refuse_long(self.used)
        stop = np.concatenate([np.empty(0, dtype=np.int64), *self.stop]).astype(np.int32)
        start = np.zeros_like(stop)
        start[1:] = stop[:len(stop) - 1]
        return start, stop

    def _reserve(self, more):
        """Room for so many more entries."""
        if self.used + more > len(self.direction):
            size = max(self.used + more, len(self.direction) * 3 // 2)
            larger = grown(self.direction, self.used, size), grown(self.distance, self.used, size)
            self.direction, self.distance = larger
        if self.n_listed + more > len(self.fired):
            self.fired = grown(self.fired, self.n_listed, max(self.n_listed + more, len(self.fired) * 3 // 2))
