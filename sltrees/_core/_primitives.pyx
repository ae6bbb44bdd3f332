"""The primitives of simd/simd.h that lazy rows use, at the level in use: for tests, which cannot reach them otherwise.

Arrays are C-ordered, of whole blocks, and of one dtype. Nothing is validated.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint32_t

from sltrees._core._pools cimport address
from sltrees._core._simd cimport active_level

cnp.import_array()

cdef extern from "simd/primitives.h" nogil:
    ctypedef struct sl_primitives:
        int (*compress_store)(int32_t *, int32_t, uint32_t) noexcept nogil
        uint32_t (*block_mask_each)(const void *, const void *) noexcept nogil
        uint32_t (*block_band)(const void *, double) noexcept nogil
        double (*dot)(const void *, const void *, int64_t) noexcept nogil
        void (*add_rows)(void *, int64_t, const void *, const int32_t *, int64_t, const void *) noexcept nogil
        int64_t (*least_two)(const void *, int64_t, void *) noexcept nogil
        void (*dots)(const void *, int64_t, const int32_t *, const void *, void *) noexcept nogil

    sl_primitives sl_primitives_at_f32(int level)
    sl_primitives sl_primitives_at_f64(int level)


cdef sl_primitives primitives(dtype):
    return sl_primitives_at_f32(active_level()) if dtype == np.float32 else sl_primitives_at_f64(active_level())


def compress_store(int32_t[::1] out, int32_t base, uint32_t mask):
    """Write base + j to `out`, of 16 numbers, for every set bit j; returns how many."""
    return primitives(np.float64).compress_store(&out[0], base, mask)


def block_mask_each(block, thresholds):
    """Bit j set where block[j] > thresholds[j]."""
    return primitives(block.dtype).block_mask_each(address(block), address(thresholds))


def block_band(block, double limit):
    """Bit j set where |block[j]| <= limit."""
    return primitives(block.dtype).block_band(address(block), limit)


def dot(a, b):
    """Sum of a[j] b[j]."""
    return primitives(a.dtype).dot(address(a), address(b), a.shape[0])


def add_rows(y, coefficients, const int32_t[::1] at, rows):
    """y += sum over e of coefficients[e] times row at[e]."""
    cdef int32_t none = 0
    cdef const int32_t *p_at = &at[0] if at.shape[0] else &none
    primitives(y.dtype).add_rows(address(y), y.shape[0], address(coefficients), p_at, at.shape[0], address(rows))


def least_two(p, two):
    """The least |p[j]| and the second least, into `two`; returns the position of the first, -1 for no number."""
    return primitives(p.dtype).least_two(address(p), p.shape[0], address(two))


def dots(v, const int32_t[::1] at, rows, out):
    """out[j] = dot(v, row at[j]) for four rows."""
    primitives(v.dtype).dots(address(v), v.shape[0], &at[0], address(rows), address(out))
