# See _boundary.pyx. Here is what must not cost a call.
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from libc.stdint cimport int64_t

cdef enum:
    UNCHECKED_BYTES = 64 << 20      # so much memory is not worth a look at how much there is

cdef extern from *:
    """
    #define SL_EXACT_INTEGERS ((int64_t)1 << 53)
    """
    const int64_t EXACT_INTEGERS "SL_EXACT_INTEGERS"    # up to here float64 holds every integer


cdef inline bint plain_number(number, double *value) except -1:
    """Take a float, or an int that float64 is sure to hold; False for everything else, which is to be looked at."""
    cdef int overflow
    cdef long long integer
    if PyFloat_Check(number):
        value[0] = PyFloat_AS_DOUBLE(number)
        return True
    if PyLong_CheckExact(number):
        integer = PyLong_AsLongLongAndOverflow(number, &overflow)
        if overflow == 0 and -EXACT_INTEGERS <= integer <= EXACT_INTEGERS:
            value[0] = <double> integer
            return True
    return False
