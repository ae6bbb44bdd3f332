"""Conversions and checks at the Python boundary of the compiled classes. Kernels behind it trust their input."""

import numbers

import numpy as np

from libc.stdint cimport int64_t, uint64_t

from sltrees._core._typedefs cimport index_t, real_t


def as_real_array(values, name, ndim, check_nan=True):
    """Convert to a C-ordered float32 or float64 array without NaN (unless the caller looks for NaN itself).

    float32 stays float32; every other real dtype becomes float64.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If the number of dimensions differs from `ndim` or a value is NaN.
    """
    array = np.asarray(values)
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


def refuse_nan(array, name):
    """Raise ValueError, with the place, if a C-ordered float32 or float64 array holds NaN."""
    flat = array.reshape(-1)
    if has_nan[float](flat) if array.dtype == np.float32 else has_nan[double](flat):
        where = np.argwhere(np.isnan(array))[0]
        raise ValueError(f"{name} must not be NaN, got NaN at index {tuple(map(int, where))}")


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
    array = np.asarray(indices)
    if array.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension, got shape {array.shape}")
    if array.dtype.kind not in "iu":
        if array.size:
            raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
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


def as_index(index, n, name):
    """Convert one index in [0, n) to int; TypeError or IndexError otherwise. True and False are none."""
    if isinstance(index, bool) or not isinstance(index, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {index!r}")
    if not 0 <= index < n:
        raise IndexError(f"{name} must be in [0, {n}), got {index}")
    return int(index)


def as_threshold(threshold):
    """Convert to float; TypeError unless a real number, ValueError for NaN."""
    try:
        if isinstance(threshold, (str, bytes, bytearray)):
            raise TypeError
        value = float(threshold)
    except (TypeError, ValueError):
        raise TypeError(f"threshold must be a real number, got {threshold!r}") from None
    except OverflowError:
        raise ValueError("threshold must be within the range of float64, got a larger integer") from None
    if value != value:
        raise ValueError("threshold must not be NaN")
    return value


def aligned_empty(count, dtype):
    """Uninitialised 1-D array whose data starts on a 64-byte cache line."""
    dtype = np.dtype(dtype)
    raw = np.empty(count * dtype.itemsize + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start:start + count * dtype.itemsize].view(dtype)


def describe_array(values):
    """What an argument is, for an error message."""
    if not isinstance(values, np.ndarray):
        return type(values).__name__
    return (f"shape {values.shape}, dtype {values.dtype}, C-ordered: {values.flags.c_contiguous}, "
            f"writable: {values.flags.writeable}, aligned: {values.flags.aligned}")
