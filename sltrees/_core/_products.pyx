"""Products of rows with many vectors, each summed up in the same order whatever else is multiplied at the same time."""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t

from sltrees._core._boundary import aligned_empty
from sltrees._core._simd cimport active_level

cnp.import_array()

cdef extern from "products/products.h" nogil:
    void sl_multiply(int level, int is_float32, const void *left, int64_t n_left, int64_t d, const void *columns,
                     int64_t stride, int64_t n, void *out)


cdef class Columns:
    """Vectors that rows are multiplied with, copied side by side. Kernel class: it validates nothing.

    The product of two vectors depends on these alone, bit for bit: not on how many are multiplied at once, nor on which
    of the two is the row. BLAS promises nothing of the kind.

    Parameters
    ----------
    vectors : ndarray of shape (n, d), dtype float32 or float64
        n and d at least 1.

    Notes
    -----
    A product begins with 0, and what the coordinates contribute is added in their order; with AVX2, AVX-512 and NEON
    without rounding it first. The instruction level is that in use when this is made. Memory: n d numbers, padded to
    groups of four blocks.
    """

    def __init__(self, vectors):
        self.n, self.d = vectors.shape
        self.stride = _stride(self.n, vectors.dtype)
        self.level = active_level()
        self.is_float32 = vectors.dtype == np.float32
        self._numbers = aligned_empty(self.d * self.stride, vectors.dtype).reshape(self.d, self.stride)
        self._numbers[:, :self.n] = vectors.T
        self._numbers[:, self.n:] = 0
        self.numbers = cnp.PyArray_BYTES(self._numbers)

    @staticmethod
    def bytes_needed(n, d, dtype):
        """Bytes that are held, an upper bound."""
        return d * _stride(n, np.dtype(dtype)) * np.dtype(dtype).itemsize + 64

    @property
    def vectors(self):
        """Read-only view of the vectors, shape (n, d), in Fortran order."""
        view = self._numbers[:, :self.n].T
        view.flags.writeable = False
        return view

    @property
    def nbytes(self):
        """Bytes held."""
        return self._numbers.nbytes

    cdef void c_times(self, const void *rows, int64_t count, void *out) noexcept nogil:
        """Write the products of `count` rows (C-ordered, the dtype of the vectors) with all vectors, (count, n)."""
        sl_multiply(self.level, self.is_float32, rows, count, self.d, self.numbers, self.stride, self.n, out)

    def times(self, rows):
        """Products of rows with all vectors.

        Parameters
        ----------
        rows : C-ordered ndarray of shape (k, d), dtype of the vectors

        Returns
        -------
        ndarray of shape (k, n)

        Notes
        -----
        Cost: O(k n d).
        """
        cdef int64_t count = rows.shape[0]
        out = np.empty((count, self.n), dtype=self._numbers.dtype)
        cdef const void *p_rows = cnp.PyArray_BYTES(rows)
        cdef void *p_out = cnp.PyArray_BYTES(out)
        with nogil:
            self.c_times(p_rows, count, p_out)
        return out


def _stride(n, dtype):
    """Room for whole groups of four blocks, an odd number of cache lines: an even one would map many to one place."""
    width = 64 // dtype.itemsize
    return (-(-n // (4 * width)) * 4 + 1) * width
