# See _wide_tree.pyx. The cdef methods named c_... are the interface for other compiled code: they need no GIL
# and trust their arguments (0 <= i < n, 0 <= start <= stop <= n, no NaN).
from libc.stdint cimport int64_t

from sltrees._core._tree cimport sl_tree

cdef class WideTree:
    cdef sl_tree tree               # shape, orientation, kernels; tree.shape.size[0] = n
    cdef void *leaves               # (n,) values; the memory of _leaves
    cdef void *upper                # (tree.shape.n_upper,) levels above; the memory of _upper
    cdef object _leaves             # ndarray (n,), C-ordered: the head of _store
    cdef object _upper              # ndarray (tree.shape.n_upper,), 64-byte aligned; -inf where no node is in use
    cdef object _store              # ndarray (capacity,): owned, 64-byte aligned; or the caller's array itself
    cdef readonly bint borrowed     # the leaves are the caller's array
    cdef int users                  # public methods at it that others could meet: so many queries, or -1 for a change
    cdef int64_t stale_start        # leaves [stale_start, stale_stop) hold NaN, of somebody else: a refresh was refused
    cdef int64_t stale_stop         # 0: none do

    # for compiled code
    cdef double c_get(self, int64_t i) noexcept nogil
    cdef void c_update(self, int64_t i, double value) noexcept nogil
    cdef double c_max(self) noexcept nogil
    cdef int64_t c_first(self, double threshold, int64_t start, int64_t stop) noexcept nogil
    cdef int64_t c_count(self, double threshold, int64_t start, int64_t stop) noexcept nogil
    cdef int64_t c_query(self, double threshold, int64_t start, int64_t stop,
                         int64_t *out, int64_t capacity) noexcept nogil

    # for the classes above; public methods hold a query or a change around them
    cdef int _begin_query(self) except -1
    cdef void _end_query(self) noexcept
    cdef int _begin_change(self) except -1
    cdef void _end_change(self) noexcept
    cdef int _adopt(self, source, bint min_tree, bint borrowed) except -1
    cdef int _repair(self, int64_t start, int64_t stop) except -1
    cdef void _rebuild(self) noexcept nogil
    cdef int _set_size(self, int64_t n, added=*) except -1
    cdef object _hits(self, double t, int64_t start, int64_t stop, int64_t *visited)
    cdef object _hits_many(self, const double[::1] thresholds)
    cdef void _write_many(self, const int64_t *indices, const void *values, int64_t count) noexcept nogil
