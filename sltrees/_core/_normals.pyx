"""Normal numbers in single precision, the same bit for bit at every instruction level. Kernel: it validates nothing."""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t

from sltrees._core._simd cimport active_level

cnp.import_array()

cdef extern from "normals/normals.h" nogil:
    enum:
        SL_NORMALS_STREAMS

    ctypedef void (*sl_normals_kernel)(const uint64_t *seed, int64_t n, float *out) noexcept nogil

    sl_normals_kernel sl_normals_at(int level)


def fill_normals(seed, out):
    """Fill an array with independent N(0, 1) numbers.

    Parameters
    ----------
    seed : numpy.random.SeedSequence
        The numbers depend on it alone, and a shorter array is filled with the first of those of a longer one.
    out : ndarray, dtype=float32
        C-ordered, of any shape.

    Notes
    -----
    They come from 16 generators SFC64 side by side, seeded as NumPy seeds its own, by the method of Box and Muller with
    32 bits for the radius and 32 for the angle: none is larger than 6.77, as one in 7e10 should be. Each is within
    4e-7 of itself of what the formula gives. Some 15 times as fast as NumPy's with AVX-512, 4 times in portable C.
    Cost: O(size).
    """
    state = seed.generate_state(3 * SL_NORMALS_STREAMS, np.uint64)
    cdef const uint64_t[::1] words = state
    cdef float *p_out = <float *> cnp.PyArray_BYTES(out)
    cdef int64_t n = out.size
    cdef sl_normals_kernel fill = sl_normals_at(active_level())
    with nogil:
        fill(&words[0], n, p_out)
