# See _threshold_tree.pyx. The interface for other compiled code is that of WideTree: c_query and so on.
from libc.stdint cimport int64_t

from sltrees._core._tree_queries cimport TreeQueries

cdef class ThresholdTree(TreeQueries):
    cdef int _refuse_outside(self, int64_t leaf, i) except -1
