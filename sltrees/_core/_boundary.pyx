"""Conversions and checks at the Python boundary of the compiled classes. Kernels behind it trust their input."""

import contextlib
import numbers
import operator
import os

import numpy as np

from libc.stdint cimport int64_t, uint64_t

from sltrees._core._typedefs cimport index_t, real_t

EXACT_INTEGERS = 1 << 53            # up to here float64 holds every integer
WAY_OUT = "subtract an offset from values and thresholds"
CHECKED_BYTES = 1 << 28             # smaller arrays are not worth a look at the memory of the machine


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
    _refuse_masked(values, name)
    array = np.asarray(values)
    _refuse_inexact(values, array, name)
    if array.dtype.kind not in "fiub" and array.size:
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    dtype = np.float32 if array.dtype == np.float32 else np.float64
    array = np.ascontiguousarray(array, dtype=dtype) if array.ndim else np.asarray(array, dtype=dtype)
    if not array.flags.aligned:         # a field of a packed record, say: kernels read whole numbers
        array = array.copy()
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension{'s' if ndim > 1 else ''}, got shape {array.shape}")
    if check_nan:
        refuse_nan(array, name)
    return array


def refuse_nan(array, name, offset=0):
    """Raise ValueError, with the place, if a C-ordered float32 or float64 array holds NaN.

    `offset` is the index of the first entry, where the array is part of a vector.
    """
    flat = array.reshape(-1)
    if has_nan[float](flat) if array.dtype == np.float32 else has_nan[double](flat):
        where = np.argwhere(np.isnan(array))[0] + offset
        raise ValueError(f"{name} must not be NaN, got NaN at index {tuple(map(int, where))}")


def _refuse_masked(values, name):
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{name} must not be masked, got {np.ma.count_masked(values)} masked entries")


def _refuse_inexact(values, array, name):
    """Raise ValueError if `values` holds an integer that float64 does not. `array` is what NumPy makes of them."""
    wrong = None
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.size:
        if array.max() > EXACT_INTEGERS or array.min() < -EXACT_INTEGERS:
            # the least integer is its own absolute value, and as an unsigned one the right one
            size = np.abs(array.astype(array.dtype.newbyteorder("="), copy=False)).view(np.uint64)
            rounded = size.astype(np.float64)
            inside = rounded < 2.0**64
            wrong = array[~inside | (np.where(inside, rounded, 0).astype(np.uint64) != size)].tolist()
    elif not isinstance(values, np.ndarray) and array.dtype.kind in "fO" and array.size:
        # integers among other numbers, or beyond 64 bits, for which NumPy has no dtype
        if array.dtype.kind == "O" or np.any(np.abs(array) >= EXACT_INTEGERS):
            items = np.asarray(values, dtype=object).ravel().tolist()
            wrong = [x for x in items if isinstance(x, (int, np.integer)) and not is_exact(int(x))]
    if wrong:
        refuse_inexact(wrong[0], name)


def refuse_inexact(value, name):
    """Raise the ValueError for a number that float64 does not hold."""
    raise ValueError(f"{name} must be numbers that float64 holds exactly (integers up to 2**53 are), got "
                     f"{_shown(value)}; {WAY_OUT}")


def _shown(value):
    """A number for a message; Python refuses to print huge integers."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    return value


def is_exact(value):
    """Whether float64 holds a number."""
    try:
        return float(value) == value
    except OverflowError:
        return False


cdef bint has_nan(const real_t[::1] values) noexcept nogil:
    """Whether any value is NaN. Cost: one pass, without branches."""
    cdef index_t i
    cdef bint found = False
    for i in range(values.shape[0]):
        found |= values[i] != values[i]
    return found


def as_indices(indices, n, name):
    """Convert to a C-ordered 1-D int64 array of indices in [0, n).

    Raises
    ------
    TypeError
        If they are not integers.
    ValueError
        If they are not one-dimensional.
    IndexError
        If one is out of range.
    """
    return within(as_integers(indices, name), n, name)


def as_integers(indices, name):
    """Convert to a C-ordered 1-D integer array; the conversion may run code of the caller. Errors as `as_indices`."""
    _refuse_masked(indices, name)
    array = np.asarray(indices)
    if array.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension, got shape {array.shape}")
    if array.dtype.kind not in "iu":
        if array.size:
            raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
        array = array.astype(np.int64)
    return array


def within(array, n, name):
    """Check integers against [0, n) and make them a C-ordered, aligned int64 array. No code of the caller is run."""
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise IndexError(f"{name} must be in [0, {n}), got {array.max()}")
    array = np.ascontiguousarray(array, dtype=np.int64)
    if not array.flags.aligned:
        array = array.copy()
    if any_outside(array, n):
        raise IndexError(f"{name} must be in [0, {n}), got {array[(array < 0) | (array >= n)][0]}")
    return array


cdef bint any_outside(const int64_t[::1] indices, int64_t n) noexcept nogil:
    """Whether any index is outside [0, n). Cost: one pass, without branches."""
    cdef int64_t i
    cdef bint found = False
    for i in range(indices.shape[0]):
        found |= <uint64_t> indices[i] >= <uint64_t> n      # a negative number is a very large unsigned one
    return found


def as_integer(value, name):
    """Convert to an int, and none of a subclass with methods of its own; TypeError unless an integer."""
    if not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    return int.__index__(operator.index(value))


def as_index(index, n, name):
    """Convert one index in [0, n) to int; TypeError or IndexError otherwise."""
    value = as_integer(index, name)
    if not 0 <= value < n:
        raise IndexError(f"{name} must be in [0, {n}), got {value}")
    return value


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


def is_large(nbytes):
    """Whether so many bytes are worth a look at what the machine has."""
    return nbytes >= CHECKED_BYTES


def check_memory(nbytes, what):
    """Raise MemoryError, before it is too late, if so many bytes are more than the machine or its control group has."""
    limit = float("inf")
    with contextlib.suppress(AttributeError, OSError, ValueError):      # not on every platform
        limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError), open(name) as file:      # no control group, or "max"
            limit = min(limit, int(file.read()))
    if nbytes > limit:
        raise MemoryError(f"{what} needs {nbytes:,} bytes, this machine has {limit:,}")


def aligned_empty(count, dtype):
    """Uninitialised 1-D array whose data starts on a 64-byte cache line."""
    dtype = np.dtype(dtype)
    if is_large(count * dtype.itemsize):
        check_memory(count * dtype.itemsize, f"an array of {count} numbers")
    raw = np.empty(count * dtype.itemsize + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start:start + count * dtype.itemsize].view(dtype)


def describe_array(values):
    """What an argument is, for an error message."""
    if not isinstance(values, np.ndarray):
        return type(values).__name__
    return (f"shape {values.shape}, dtype {values.dtype}, C-ordered: {values.flags.c_contiguous}, "
            f"writable: {values.flags.writeable}, aligned: {values.flags.aligned}")
