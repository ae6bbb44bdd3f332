"""The limit kernel of rows of unit norm: whole, and as products with it, in tiles.

<x, y> P(<w, x> > b and <w, y> > b) for w ~ N(0, I): products of rows by BLAS, times a probability by compiled code, for
a tile that stays in cache. Whatever is larger than the result is never held. Tiles have a fixed size and sums a fixed
order, so that results are the same bit for bit whatever the number of threads.
"""

from __future__ import annotations

import numpy as np

from sltrees._core._orthants import multiply_by_orthants
from sltrees.kernels.orthants import OrthantPolynomials

TILE_ROWS, TILE_COLUMNS = 256, 512  # 1 MiB in double precision
STRIP = 2048  # rows of one task: some 50 ms at 10^4 columns


class UnitRowsKernel:
    """The limit kernel of rows of unit norm.

    Parameters
    ----------
    shift : float
        b >= 0.
    dtype : float32 or float64, default float64
        Of rows, kernel and products.

    Notes
    -----
    Rows are best C-ordered arrays of that dtype: others are copied. A row of zeros has a kernel of 0 with everything.

    The absolute error of the probability is below 1e-13, or 2e-7 in single precision, beside what rounding the rows
    changes: where it is tiny it may be below 0 by as much.

    Examples
    --------
    >>> X = np.array([[1.0, 0.0], [0.6, 0.8]])
    >>> UnitRowsKernel(0.0).between(X, X).round(4)
    array([[0.5   , 0.2114],
           [0.2114, 0.5   ]])
    """

    def __init__(self, shift, dtype=np.float64):
        self.dtype = np.dtype(dtype)
        self.polynomials = OrthantPolynomials.of(shift, self.dtype)

    @property
    def of_itself(self):
        """The kernel of a row with itself, float."""
        return float(self.polynomials.base)

    def fill(self, out, left, right):
        """Write the kernel of `left`, shape (r, d), with `right`, shape (c, d), to `out`, shape (r, c).

        Numbers of a row of `out` stand side by side. Cost: O(r c d), and some 1 to 5 ns for each pair.
        """
        left, right = np.ascontiguousarray(left, self.dtype), np.ascontiguousarray(right, self.dtype)
        for first in range(0, len(left), TILE_ROWS):
            rows = left[first : first + TILE_ROWS]
            for start in range(0, len(right), TILE_COLUMNS):
                columns = right[start : start + TILE_COLUMNS]
                tile = out[first : first + TILE_ROWS, start : start + TILE_COLUMNS]
                np.matmul(rows, columns.T, out=tile)
                multiply_by_orthants(tile, rows, columns, *self.polynomials)

    def between(self, left, right):
        """The kernel of two sets of rows, shape (r, c). Cost: as `fill`."""
        out = np.empty((len(left), len(right)), dtype=self.dtype)
        self.fill(out, left, right)
        return out

    def times(self, left, right, vectors, executor):
        """K vectors, with K the kernel of `left` with `right`, which is not held.

        Parameters
        ----------
        left, right : ndarray of shape (r, d), (c, d)
        vectors : ndarray of shape (c, C)
        executor : ThreadExecutor

        Returns
        -------
        ndarray of shape (r, C)

        Notes
        -----
        Cost: that of the kernel, O(r c (d + C)). Memory: a tile for each thread.
        """
        out = np.zeros((len(left), vectors.shape[1]), dtype=self.dtype)

        def strip(start):
            tile = np.empty((TILE_ROWS, TILE_COLUMNS), dtype=self.dtype)
            for first in range(start, min(start + STRIP, len(left)), TILE_ROWS):
                rows = left[first : min(first + TILE_ROWS, start + STRIP)]
                for begin in range(0, len(right), TILE_COLUMNS):
                    columns = right[begin : begin + TILE_COLUMNS]
                    part = tile[: len(rows), : len(columns)]
                    self.fill(part, rows, columns)
                    out[first : first + len(rows)] += part @ vectors[begin : begin + len(columns)]

        executor.map(strip, range(0, len(left), STRIP))
        return out

    def times_itself(self, rows, vectors, executor):
        """K vectors, with K the kernel of rows with one another: as `times`, but each pair is looked at once.

        Parameters
        ----------
        rows : ndarray of shape (n, d)
        vectors : ndarray of shape (n, C)
        executor : ThreadExecutor

        Returns
        -------
        ndarray of shape (n, C)
        """
        strips = [slice(start, min(start + STRIP, len(rows))) for start in range(0, len(rows), STRIP)]

        def block(pair):
            """What a block and its mirror image add, to the strip of its rows and to that of its columns."""
            left, right = strips[pair[0]], strips[pair[1]]
            is_corner = pair[0] == pair[1]
            to_left = np.zeros((left.stop - left.start, vectors.shape[1]), dtype=self.dtype)
            to_right = None if is_corner else np.zeros((right.stop - right.start, vectors.shape[1]), dtype=self.dtype)
            tile = np.empty((TILE_ROWS, TILE_COLUMNS), dtype=self.dtype)
            for first in range(left.start, left.stop, TILE_ROWS):
                above = slice(first, min(first + TILE_ROWS, left.stop))
                for begin in range(right.start, right.stop, TILE_COLUMNS):
                    beside = slice(begin, min(begin + TILE_COLUMNS, right.stop))
                    part = tile[: above.stop - above.start, : beside.stop - beside.start]
                    self.fill(part, rows[above], rows[beside])
                    to_left[above.start - left.start : above.stop - left.start] += part @ vectors[beside]
                    if not is_corner:
                        to_right[beside.start - right.start : beside.stop - right.start] += part.T @ vectors[above]
            return to_left, to_right

        out = np.zeros((len(rows), vectors.shape[1]), dtype=self.dtype)
        pairs = [(i, j) for i in range(len(strips)) for j in range(i, len(strips))]
        for (i, j), (to_left, to_right) in zip(pairs, executor.map(block, pairs), strict=True):  # in a fixed order
            out[strips[i]] += to_left
            if to_right is not None:
                out[strips[j]] += to_right
        return out
