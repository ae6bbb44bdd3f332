# See _hits.pyx.
from libc.stdint cimport int64_t

from sltrees._core._tree cimport sl_hits

cdef void hits_begin(sl_hits *hits, int64_t *local, int64_t n_local, int64_t bound)
cdef object hits_to_array(sl_hits *hits)
