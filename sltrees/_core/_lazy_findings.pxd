# See _lazy_findings.pyx.
from libc.stdint cimport int64_t

from sltrees._core._rows cimport sl_lazy_findings, sl_lazy_step

cdef class LazyStep:
    cdef sl_lazy_step step
    cdef readonly object coefficient        # ndarray (n_directions,), float64
    cdef readonly object change             # ndarray (n_stamps, n_directions), float64
    cdef readonly object decay              # ndarray (n_stamps,), float64

cdef class LazyFindings:
    cdef sl_lazy_findings found
    cdef object _buffers                    # name -> ndarray behind each pointer of `found`
    cdef readonly int64_t n_reported        # rows that the clock reported
    cdef readonly object strayed_stop       # list of ndarray: ends of the new near lists, in the pool below
    cdef readonly object strayed_direction  # ndarray: pool of the new near lists
    cdef readonly object strayed_distance   # ndarray
    cdef readonly int64_t strayed_used      # entries in it
