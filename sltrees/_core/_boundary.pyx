"""Conversions and checks at the Python boundary of the compiled classes. Kernels behind it trust their input."""

import numbers
import operator

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t

from sltrees._core._typedefs cimport index_t, real_t
from sltrees._memory import check_memory

cnp.import_array()

WAY_OUT = "subtract an offset from values and thresholds"

cdef enum:
    HUGE_PAGE = 2 << 20     # bytes, on most processors

ctypedef fused long_t:
    int64_t
    uint64_t


# ---------------------------------------------------------------------- real numbers

def as_real_array(values, name, ndim, check_nan=True):
    """Convert to a C-ordered float32 or float64 array without NaN (unless the caller looks for NaN itself).

    float32 stays float32; every other real dtype becomes float64.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If the number of dimensions differs from `ndim`, a value is NaN or masked, or float64 does not hold an integer.
    """
    if not is_plain(values, cnp.NPY_FLOAT64) and not is_plain(values, cnp.NPY_FLOAT32):
        values = _converted(values, name)
    if cnp.PyArray_NDIM(values) != ndim:
        raise ValueError(f"{name} must have {ndim} dimension{'s' if ndim > 1 else ''}, got shape {values.shape}")
    if check_nan:
        refuse_nan(values, name)
    return values


cdef bint is_plain(array, int kind) noexcept:
    """Whether kernels can read an object as it is: an array of this type of NumPy, in C order, aligned, not swapped."""
    return (cnp.PyArray_CheckExact(array) and cnp.PyArray_TYPE(array) == kind
            and cnp.PyArray_CHKFLAGS(array, cnp.NPY_ARRAY_CARRAY_RO) and cnp.PyArray_ISNOTSWAPPED(array))


def _converted(values, name):
    """What kernels can read. NaN stays."""
    refuse_masked(values, name)
    array = np.asarray(values)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8 or array.dtype.kind == "O":
        _refuse_inexact(values, array, name)
    if array.dtype.kind not in "fiub" and array.size:
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    dtype = np.float32 if array.dtype == np.float32 else np.float64
    if array.dtype != dtype:
        refuse_large(8.0 * array.size, f"{name} as float64", "use fewer, or float32")
    array = np.asarray(array, dtype=dtype, order="C")
    if not array.flags.aligned:         # a field of a packed record, say: kernels read whole numbers
        array = array.copy()
    if not isinstance(values, np.ndarray) and dtype is np.float64 and _holds_large(
            <const double *> cnp.PyArray_DATA(array), array.size):
        _refuse_inexact(values, array, name)        # integers among other numbers
    return array


def refuse_nan(array, name, offset=0):
    """Raise ValueError, with the place, if a C-ordered float32 or float64 array holds NaN.

    `offset` is the index of the first entry, where the array is part of a vector.
    """
    cdef int64_t n = cnp.PyArray_SIZE(array)
    cdef const void *data = cnp.PyArray_DATA(array)
    if (_holds_nan[float](<const float *> data, n) if cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT32
            else _holds_nan[double](<const double *> data, n)):
        where = np.argwhere(np.isnan(array))[0] + offset
        raise ValueError(f"{name} must not be NaN, got NaN at index {tuple(map(int, where))}")


cdef bint _holds_nan(const real_t *values, int64_t n) noexcept nogil:
    """Whether any value is NaN. Cost: one pass, without branches."""
    cdef index_t i
    cdef bint found = False
    for i in range(n):
        found |= values[i] != values[i]
    return found


cdef bint _holds_large(const double *values, int64_t n) noexcept nogil:
    """Whether any value is so large that an integer may have been rounded to it. Cost: one pass, without branches."""
    cdef index_t i
    cdef bint found = False
    for i in range(n):
        found |= (values[i] >= EXACT_INTEGERS) | (values[i] <= -EXACT_INTEGERS)
    return found


cdef bint _holds_inexact(const long_t *values, int64_t n) noexcept nogil:
    """Whether float64 does not hold one of the integers. Cost: one pass."""
    cdef index_t i
    cdef double x
    cdef bint found = False
    for i in range(n):
        x = <double> values[i]
        # what rounds up to a power of two that the type does not have is not cast back
        if long_t is uint64_t:
            found |= x >= 18446744073709551616.0 or <uint64_t> x != values[i]
        else:
            found |= x >= 9223372036854775808.0 or <int64_t> x != values[i]
    return found


def refuse_masked(values, name):
    """Raise ValueError for an array with masked entries."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{name} must not be masked, got {np.ma.count_masked(values)} masked entries")


def _refuse_inexact(values, array, name):
    """Raise ValueError if `values` holds an integer that float64 does not. `array` is what NumPy makes of them."""
    if array.dtype.kind in "iu":
        whole = np.ascontiguousarray(array, dtype=np.uint64 if array.dtype.kind == "u" else np.int64)
        if not (_holds_inexact[uint64_t](<const uint64_t *> cnp.PyArray_DATA(whole), whole.size)
                if array.dtype.kind == "u"
                else _holds_inexact[int64_t](<const int64_t *> cnp.PyArray_DATA(whole), whole.size)):
            return
        array = whole[whole.astype(np.float64).astype(object) != whole.astype(object)]
        refuse_inexact(array[0], name)
    # integers among other numbers, or beyond 64 bits, for which NumPy has no dtype
    for x in np.asarray(values, dtype=object).ravel().tolist():
        if isinstance(x, (int, np.integer)) and not is_exact(int(x)):
            refuse_inexact(int(x), name)


def refuse_inexact(value, name):
    """Raise the ValueError for a number that float64 does not hold."""
    if isinstance(value, int) and value.bit_length() > 200:     # Python refuses to print huge integers
        value = f"an integer of {value.bit_length()} bits"
    raise ValueError(f"{name} must be numbers that float64 holds exactly (integers up to 2**53 are), got {value}; "
                     f"{WAY_OUT}")


def is_exact(value):
    """Whether float64 holds a number."""
    try:
        return float(value) == value
    except OverflowError:
        return False


def as_value(value):
    """Convert one value to float; ValueError for NaN and for integers that float64 does not hold."""
    if isinstance(value, np.ndarray):
        refuse_masked(value, "value")
        value = np.asarray(value)[()]       # the number in an array of no dimension, in its own dtype
    if isinstance(value, (int, np.integer)):
        value = as_integer(value, "value")
        if not is_exact(value):
            refuse_inexact(value, "values")
    cdef double x = value
    if x != x:
        raise ValueError("value must not be NaN")
    return x


def as_threshold(threshold):
    """Convert to float; TypeError unless a real number, ValueError for NaN and for what float64 does not hold."""
    try:
        if isinstance(threshold, (str, bytes, bytearray)):
            raise TypeError
        if isinstance(threshold, np.ndarray):
            threshold = threshold[()]       # the number in an array of no dimension, in its own dtype
        if isinstance(threshold, numbers.Integral):
            threshold = as_integer(threshold, "threshold")
        value = float(threshold)
    except (TypeError, ValueError):
        raise TypeError(f"threshold must be a real number, got {threshold!r}") from None
    except OverflowError:
        raise ValueError(
            f"threshold must be within the range of float64, got a larger integer; {WAY_OUT}") from None
    if value != value:
        raise ValueError("threshold must not be NaN")
    if isinstance(threshold, (numbers.Number, np.longdouble)) and value != threshold:
        refuse_inexact(threshold, "thresholds")
    return value


# ---------------------------------------------------------------------- indices

def as_indices(indices, n, name):
    """Convert to a C-ordered 1-D int64 array of indices in [0, n).

    Raises
    ------
    TypeError
        If they are not integers.
    ValueError
        If they are not one-dimensional, or masked.
    IndexError
        If one is out of range.
    """
    return within(as_integers(indices, name), n, name)


def as_integers(indices, name):
    """Convert to a C-ordered 1-D integer array; the conversion may run code of the caller. Errors as `as_indices`."""
    if is_plain(indices, cnp.NPY_INT64) and cnp.PyArray_NDIM(indices) == 1:
        return indices
    refuse_masked(indices, name)
    array = np.asarray(indices)
    if array.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension, got shape {array.shape}")
    if array.dtype.kind not in "iu":
        if array.size:
            raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
        array = array.astype(np.int64)
    return array


def within(array, int64_t n, name):
    """Check integers against [0, n) and make them a C-ordered, aligned int64 array. No code of the caller is run.

    A copy, made before it is checked: other threads may change the caller's while kernels read it.
    """
    if is_plain(array, cnp.NPY_INT64):
        array = cnp.PyArray_NewCopy(array, cnp.NPY_CORDER)
    else:
        if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
            raise IndexError(f"{name} must be in [0, {n}), got {array.max()}")
        array = np.array(array, dtype=np.int64, order="C")
    if _any_outside(<const int64_t *> cnp.PyArray_DATA(array), cnp.PyArray_SIZE(array), n):
        raise IndexError(f"{name} must be in [0, {n}), got {array[(array < 0) | (array >= n)][0]}")
    return array


cdef bint _any_outside(const int64_t *indices, int64_t count, int64_t n) noexcept nogil:
    """Whether any index is outside [0, n). Cost: one pass, without branches."""
    cdef int64_t i
    cdef bint found = False
    for i in range(count):
        found |= <uint64_t> indices[i] >= <uint64_t> n      # a negative number is a very large unsigned one
    return found


def as_integer(value, name):
    """Convert to an int, and none of a subclass with methods of its own; TypeError unless an integer."""
    if not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    return int.__index__(operator.index(value))


def as_places(key, values):
    """The indices of a vector that NumPy understands by a key. Cost: as many, and for a mask its length."""
    cdef int64_t n = cnp.PyArray_SIZE(values)
    if isinstance(key, slice):
        parts = [part if part is None or type(part) is int else as_integer(part, "slice indices")
                 for part in (key.start, key.stop, key.step)]
        return np.arange(*slice(*parts).indices(n))
    if isinstance(key, (list, np.ndarray)):
        chosen = np.asarray(key)
        if chosen.ndim and chosen.dtype.kind in "iu" or chosen.ndim == 1 and chosen.dtype == bool:
            values[chosen]              # NumPy's own errors
            if chosen.dtype == bool:
                return np.flatnonzero(chosen)
            chosen = chosen.astype(np.int64)
            chosen[chosen < 0] += n
            return chosen
        key = chosen if chosen.size or chosen.dtype.kind != "f" else key
    return np.arange(n)[key]


def as_index(index, n, name):
    """Convert one index in [0, n) to int; TypeError or IndexError otherwise. True and False are none."""
    if isinstance(index, bool):
        raise TypeError(f"{name} must be an integer, got {index!r}")
    value = as_integer(index, name)
    if not 0 <= value < n:
        raise IndexError(f"{name} must be in [0, {n}), got {value}")
    return value


# ---------------------------------------------------------------------- arrays

def aligned_empty(count, dtype, bint in_huge_pages=False):
    """Uninitialised 1-D array whose data starts on a 64-byte cache line, or on a huge page if it is as large as one.

    NumPy asks the system for huge pages for arrays of 4 MiB and more, which those of 2 MiB become with what is skipped
    before such a page. With them, blocks at random places need no look-up of their page, which costs as much as
    fetching them from the cache.
    """
    dtype = np.dtype(dtype)
    nbytes = count * dtype.itemsize
    boundary = HUGE_PAGE if in_huge_pages and nbytes >= HUGE_PAGE else 64
    raw = np.empty(nbytes + boundary, dtype=np.uint8)
    start = -raw.ctypes.data % boundary
    return raw[start:start + nbytes].view(dtype)


def refuse_large(double nbytes, what, advice):
    """MemoryError, before anything is allocated, if so many bytes are worth a look and more than there are."""
    if nbytes > UNCHECKED_BYTES:
        check_memory(nbytes, None, what, advice)


def describe_array(values):
    """What an argument is, for an error message."""
    if not isinstance(values, np.ndarray):
        return type(values).__name__
    return (f"shape {values.shape}, dtype {values.dtype}, C-ordered: {values.flags.c_contiguous}, "
            f"writable: {values.flags.writeable}, aligned: {values.flags.aligned}")
