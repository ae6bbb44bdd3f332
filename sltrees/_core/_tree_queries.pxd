# See _tree_queries.pyx.
from libc.stdint cimport int64_t

from sltrees._core._wide_tree cimport WideTree

cdef class TreeQueries(WideTree):
    cdef int64_t _wrap(self, key) except -1
    cdef int _range(self, start, stop, int64_t *lo, int64_t *hi) except -1
