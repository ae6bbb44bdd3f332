"""The Gram matrix from pair counts.

Assumed of all arguments, and not checked: square matrices of one shape, 0 <= start <= stop <= n. The NumPy twin is in
``sltrees.reference``.
"""

from libc.math cimport fabs

from sltrees._core._typedefs cimport column_t, index_t

cdef enum:
    TILE = 32   # side of a tile: its 4 KB of counts, turned over, stay in the nearest cache
    LANES = 8   # partial sums of a row, so that additions need not wait for each other


def multiply_counts(const double[:, ::1] products, const column_t[:, ::1] counts, index_t start, index_t stop,
                    double[:, ::1] matrix, double[::1] row_sums):
    """Fill the rows start to stop of G = (H o X X^T) / m, and the sums of their absolute values.

    products (n, n) is X X^T / m, symmetric; counts (n, n) holds ordered counts: H_ij = counts_ij + counts_ji for
    i != j, H_ii = counts_ii. Writes to rows start to stop of `matrix` and `row_sums` only, so that panels may run
    at once, and no sum depends on how rows are cut into panels. Cost: O((stop - start) n).
    """
    cdef index_t i, j, lane, across, down, top, left, bottom, right, n = products.shape[0]
    cdef column_t turned[TILE][TILE]
    cdef double lanes[TILE][LANES]
    cdef double total
    cdef double *row
    cdef const double *product
    cdef const column_t *count
    with nogil:
        for down in range((stop - start + TILE - 1) // TILE):
            top = start + down * TILE
            bottom = min(top + TILE, stop)
            for i in range(TILE):
                for lane in range(LANES):
                    lanes[i][lane] = 0
            for across in range((n + TILE - 1) // TILE):
                left = across * TILE
                right = min(left + TILE, n)
                for j in range(left, right):
                    count = &counts[j, top]
                    for i in range(bottom - top):
                        turned[i][j - left] = count[i]
                if left < bottom and right > top:
                    for i in range(max(top, left), min(bottom, right)):
                        turned[i - top][i - left] = 0  # a diagonal count is no half of a sum
                for i in range(top, bottom):
                    row, product, count = &matrix[i, left], &products[i, left], &counts[i, left]
                    for j in range(right - left):
                        row[j] = product[j] * <double> (count[j] + turned[i - top][j])
                    j = 0
                    while j + LANES <= right - left:
                        for lane in range(LANES):
                            lanes[i - top][lane] += fabs(row[j + lane])
                        j += LANES
                    while j < right - left:
                        lanes[i - top][0] += fabs(row[j])
                        j += 1
            for i in range(top, bottom):
                total = 0
                for lane in range(LANES):
                    total += lanes[i - top][lane]
                row_sums[i] = total
