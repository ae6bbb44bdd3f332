# See _products.pyx.
from libc.stdint cimport int64_t

cdef class Columns:
    cdef readonly int64_t n             # vectors
    cdef readonly int64_t d             # numbers of each
    cdef int64_t stride                 # numbers from one to the next of a vector
    cdef int level                      # of instructions, for as long as this lives
    cdef bint is_float32
    cdef const void *numbers            # (d, stride); the memory of _numbers
    cdef object _numbers

    cdef void c_times(self, const void *rows, int64_t count, void *out) noexcept nogil
