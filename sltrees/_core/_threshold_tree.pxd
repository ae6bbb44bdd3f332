# See _threshold_tree.pyx. The interface for other compiled code is that of WideTree: c_query and so on.
from sltrees._core._tree_writes cimport TreeWrites

cdef class ThresholdTree(TreeWrites):
    cdef object __weakref__
