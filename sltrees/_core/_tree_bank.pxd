# See _tree_bank.pyx.
from libc.stdint cimport int64_t

from sltrees._core._threshold_tree cimport ThresholdTree
from sltrees._core._tree cimport sl_tree

cdef class TreeBank:
    cdef readonly int64_t n_rows
    cdef readonly int64_t n_columns
    cdef readonly ThresholdTree top     # over the maximum of each row
    cdef sl_tree tree                   # the shape that all rows share
    cdef int64_t itemsize               # bytes of a leaf: 4 or 8
    cdef int64_t stride                 # leaves per row, columns padded with -inf to whole blocks
    cdef char *leaves                   # (n_rows, stride); the memory of _leaves
    cdef char *upper                    # (n_rows, tree.shape.n_upper); the memory of _upper
    cdef object _leaves
    cdef object _upper

    cdef void *row_leaves(self, int64_t row) noexcept nogil
    cdef void *row_upper(self, int64_t row) noexcept nogil
    cdef void _write_rows(self, const int64_t *rows, const char *values, int64_t n, char *maxima) noexcept nogil
    cdef void _write_in_row(self, int64_t row, const int64_t *columns, const char *values, int64_t n) noexcept nogil
    cdef double _row_max(self, int64_t row) noexcept nogil
