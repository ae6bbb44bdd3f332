"""Which neurons fire on each sample as bits, and the neurons that fire on both of two samples counted by them.

Bits are of shape (blocks, n, 8), dtype uint64: a block has 512 neurons. Assumed of all arguments, and not checked:
indices in range, matching shapes. Counts are integers: it makes no difference who counts what.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint64_t

from sltrees._core._pools cimport address
from sltrees._core._simd cimport active_level

cnp.import_array()

cdef extern from "pairs/bits.h" nogil:
    enum:
        SL_WORDS

    ctypedef void (*sl_add_common)(
        const uint64_t *, int64_t, int64_t, int64_t, int64_t, int32_t, int32_t *) noexcept nogil

    sl_add_common sl_add_common_at(int level)

NEURONS_OF_BLOCK = 64 * SL_WORDS


def fired_bits(const int64_t[::1] indptr, const int32_t[::1] samples, int64_t n):
    """Bits of neurons that fire.

    Parameters
    ----------
    indptr, samples
        CSR pattern: the samples on which each neuron fires, in any order.
    n : int
        Samples.

    Notes
    -----
    Memory: 64 n bytes for each block. Cost: O(pairs + blocks n).
    """
    cdef int64_t r, e, at, k = indptr.shape[0] - 1
    bits = np.zeros((-(-k // NEURONS_OF_BLOCK), n, SL_WORDS), dtype=np.uint64)
    cdef uint64_t *word = <uint64_t *> address(bits)
    with nogil:
        for r in range(k):
            for e in range(indptr[r], indptr[r + 1]):
                at = (r // (64 * SL_WORDS) * n + samples[e]) * SL_WORDS + r // 64 % SL_WORDS
                word[at] |= <uint64_t> 1 << r % 64
    return bits


def flip_bits(uint64_t[:, :, ::1] bits, const int32_t[::1] neurons, const int32_t[::1] samples):
    """Turn the bits of pairs of a neuron and a sample over, each of which is named once. Cost: O(pairs)."""
    cdef int64_t e, r
    with nogil:
        for e in range(neurons.shape[0]):
            r = neurons[e]
            bits[r // (64 * SL_WORDS), samples[e], r // 64 % SL_WORDS] ^= <uint64_t> 1 << r % 64


def add_common(const uint64_t[:, :, ::1] bits, int64_t start, int64_t stop, int32_t sign, int32_t[:, ::1] counts):
    """Add ordered pair counts times a sign, for samples start <= i < stop.

    Parameters
    ----------
    bits : ndarray of shape (blocks, n, 8), dtype=uint64
    start, stop : int
    sign : int
    counts : ndarray of shape (n, n), dtype=int32
        Rows start to stop alone are written to: see `sltrees.gram.pair_counts.PairCounts`.

    Notes
    -----
    Each pair of samples is counted in the row of one of them, so that all rows have about as many. Cost:
    O((stop - start) n) for each block.
    """
    cdef int64_t n = bits.shape[1], n_blocks = bits.shape[0]
    cdef sl_add_common kernel = sl_add_common_at(active_level())
    if stop <= start or n_blocks == 0:
        return
    with nogil:
        kernel(&bits[0, 0, 0], n_blocks, n, start, stop, sign, &counts[0, 0])
