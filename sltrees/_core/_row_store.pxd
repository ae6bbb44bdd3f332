# See _row_store.pyx.
from libc.stdint cimport int32_t, int64_t

from sltrees._core._lazy_findings cimport LazyFindings
from sltrees._core._rows cimport sl_lazy_findings, sl_lazy_rows

cdef class RowStore:
    cdef sl_lazy_rows rows
    cdef readonly object dtype
    cdef object _arrays                     # name -> ndarray behind each pointer of `rows`
    cdef int64_t copies                     # consecutive rows that share a near list at first
    cdef int32_t active_used                # entries of the pools in use
    cdef int64_t near_used
    cdef int64_t near_used_without_holes    # when the near pool last had no holes
    cdef int64_t n_centres
    cdef int64_t longest                    # bound on the length of near lists
    cdef readonly int64_t n_fired           # pairs that fire

    cdef int _begin(self, directions, signs, near, int64_t copies, double skin, origin) except -1
    cdef int _extend(self, RowStore old, directions, near) except -1
    cdef int _compact(self, RowStore old, kept) except -1
    cdef int _grow_active(self, int64_t needed) except -1
    cdef int _reserve_for_strayed(self, LazyFindings found) except -1
    cdef void _install_strayed(self, const sl_lazy_findings *found, const int64_t *stop, const int32_t *direction,
                               const char *distance, int64_t itemsize) noexcept nogil
