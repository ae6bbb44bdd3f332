# See _tree_queries.pyx.
from libc.stdint cimport int64_t

from sltrees._core._wide_tree cimport WideTree

cdef class TreeQueries(WideTree):
    cdef int64_t _wrap(self, key) except -1
    cdef int _range(self, start, stop, int64_t *lo, int64_t *hi) except -1
    cdef double _limit(self, threshold, bint inclusive) except? -1.0
    cdef int64_t _first(self, double t, int64_t start, int64_t stop) except? -1
    cdef int _refuse_changing(self) except -1
    cdef bint _owns(self, array) noexcept
