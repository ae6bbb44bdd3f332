# See _simd.pyx.
cdef int active_level() noexcept nogil
