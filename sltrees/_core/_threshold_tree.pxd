# See _threshold_tree.pyx. The cdef methods are the interface for other compiled code: they need no GIL
# and trust their arguments (0 <= i < n_leaves, 0 <= start <= stop <= n_leaves, no NaN).
from libc.stdint cimport int64_t

from sltrees._core._tree cimport sl_hits, sl_tree

cdef class ThresholdTree:
    cdef sl_tree tree               # shape, orientation, kernels
    cdef void *leaves               # (n_leaves,) values; the memory of _leaves
    cdef void *upper                # (tree.shape.n_upper,) levels above; the memory of _upper
    cdef object _leaves             # ndarray (n_leaves,), C-ordered: owned, or borrowed from the caller
    cdef object _upper              # ndarray (tree.shape.n_upper,), 64-byte aligned

    cdef int64_t _wrap(self, key) except -1

    cdef double c_get(self, int64_t i) noexcept nogil
    cdef void c_update(self, int64_t i, double value) noexcept nogil
    cdef double c_max(self) noexcept nogil
    cdef int64_t c_first(self, double threshold, int64_t start, int64_t stop) noexcept nogil
    cdef int64_t c_query(self, double threshold, int64_t start, int64_t stop,
                         int64_t *out, int64_t capacity) noexcept nogil
