# See _pools.pyx.
cimport numpy as cnp

cpdef enum:
    BLOCK = 16          # entries that kernels may read or write behind the end of a list


cdef inline void *address(array) noexcept:
    """Where the memory of an array begins."""
    return <void *> cnp.PyArray_BYTES(array)


cdef inline void *optional(array) noexcept:
    """The same, or NULL for None."""
    return NULL if array is None else <void *> cnp.PyArray_BYTES(array)
