# See _tree_writes.pyx.
from sltrees._core._tree_queries cimport TreeQueries

cdef class TreeWrites(TreeQueries):
    cdef bint _is_busy(self) noexcept
    cdef int _refuse_write(self) except -1
    cdef int _begin_write(self) except -1
    cdef int _refuse_outside(self, i) except -1
