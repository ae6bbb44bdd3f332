# See _hits.pyx.
from libc.stdint cimport int64_t

from sltrees._core._tree cimport sl_hits

cdef int hits_begin(sl_hits *hits, int64_t bound) except -1
cdef void hits_end(sl_hits *hits) noexcept
cdef object hits_to_array(sl_hits *hits)
