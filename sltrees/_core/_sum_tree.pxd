# See _sum_tree.pyx. The cdef methods named c_... are the interface for other compiled code: they need no GIL and trust
# their arguments (0 <= i < n, 0 <= value <= LARGEST, 0 <= prefix, a positive total to find anything).
from libc.stdint cimport int64_t

cdef extern from "tree/sum_tree.h" nogil:
    ctypedef struct sl_shape:
        int64_t *size           # nodes in use at each level; size[0] = number of leaves
        int64_t *offset         # start of level k >= 1 in the upper levels; twice that is where its blocks begin
        int64_t n_upper         # nodes of the upper levels, padding included
        int n_levels

    ctypedef struct sl_sum_kernels:
        void (*build)(const sl_shape *, const double *, double *) noexcept nogil
        void (*update)(const sl_shape *, double *, double *, int64_t, double) noexcept nogil
        void (*update_many)(const sl_shape *, double *, double *, const int64_t *, const double *,
                            int64_t) noexcept nogil
        double (*total)(const sl_shape *, const double *, const double *) noexcept nogil
        double (*least)(const sl_shape *, const double *, const double *) noexcept nogil
        void (*find)(const sl_shape *, const double *, const double *, const double *, int64_t,
                     int64_t *) noexcept nogil
        void (*prefix)(const sl_shape *, const double *, const double *, const int64_t *, int64_t,
                       double *) noexcept nogil
        int64_t (*draw)(const sl_shape *, double *, double *, const double *, int64_t, int64_t *,
                        double *) noexcept nogil

    enum:
        SL_SUM_BITS

    void sl_shape_init(sl_shape *shape, int64_t n_leaves, int64_t capacity, int width_bits)
    sl_sum_kernels sl_sum_kernels_at(int level)

cdef class SumTree:
    cdef sl_shape shape
    cdef sl_sum_kernels kernels
    cdef double *leaves             # (n,) values, filled up with 0 to whole blocks; the memory of _leaves
    cdef double *upper              # (2 n_upper,) sums and least positive numbers; the memory of _upper
    cdef object _leaves             # ndarray of whole blocks, 64-byte aligned
    cdef object _upper              # ndarray (2 n_upper,), 64-byte aligned
    cdef int users                  # public methods at it that others could meet: so many queries, or -1 for a change

    # for compiled code
    cdef double c_get(self, int64_t i) noexcept nogil
    cdef void c_update(self, int64_t i, double value) noexcept nogil
    cdef double c_total(self) noexcept nogil
    cdef int64_t c_find(self, double prefix) noexcept nogil

    cdef int _adopt(self, values) except -1
    cdef int _begin_query(self) except -1
    cdef void _end_query(self) noexcept
    cdef int _begin_change(self) except -1
    cdef void _end_change(self) noexcept
    cdef int64_t _wrap(self, key) except -1
    cdef object _found(self, prefixes)
    cdef bint _owns(self, array) noexcept
