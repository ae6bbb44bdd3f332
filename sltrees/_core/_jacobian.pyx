"""Kernels over the fired pairs of a block of neurons: the sparse Jacobian of a shifted-ReLU network.

A block of k neurons comes with its fired pairs as a CSR pattern: neuron r fires on the samples
``samples[indptr[r]:indptr[r + 1]]`` (ascending), with ``z`` the correlations there. Row i of the Jacobian has, for
neuron r, the entries (1/sqrt(m)) a_r 1[r fires on i] x_i, so nothing of size k d n is ever formed.

Notes
-----
Assumed of all arguments, and not checked: 0 <= samples < n, indptr ascending from 0, matching shapes. The NumPy
twins are in ``sltrees.reference``.
"""

from libc.math cimport fabs
from libc.stdint cimport int32_t, int64_t

from sltrees._core._typedefs cimport column_t, real_t

cdef enum:
    LANES = 64  # samples looked at together


def add_outputs(const int64_t[::1] indptr, const column_t[::1] samples, const real_t[::1] z, const real_t[::1] signs,
                double shift, double[::1] out):
    """out[i] += sum over neurons r that fire on i of a_r (z_ri - shift). Cost: O(pairs)."""
    cdef int64_t r, k
    cdef double sign
    with nogil:
        for r in range(indptr.shape[0] - 1):
            sign = signs[r]
            for k in range(indptr[r], indptr[r + 1]):
                out[samples[k]] += sign * (<double> z[k] - shift)


def add_dense_outputs(const real_t[:, ::1] z, const real_t[::1] signs, double shift, double[::1] out):
    """out[i] += sum over r of a_r max(z_ri - shift, 0), for a dense block z of shape (k, n). Cost: O(k n)."""
    cdef int64_t r, i, block, start, stop, n = z.shape[1]
    cdef int32_t n_above
    cdef double sign, above
    cdef real_t least = <real_t> (shift - 1e-6 * fabs(shift))  # not above the shift, however that rounds
    cdef const real_t *row
    with nogil:
        for r in range(z.shape[0]):
            sign = signs[r]
            row = &z[r, 0]
            for block in range((n + LANES - 1) // LANES):
                start = block * LANES
                stop = min(start + LANES, n)
                n_above = 0
                for i in range(start, stop):  # most neurons fire on few samples: a loop that becomes one over vectors
                    n_above += row[i] > least
                if n_above == 0:
                    continue
                for i in range(start, stop):
                    above = <double> row[i] - shift
                    out[i] += sign * above if above > 0 else 0.0


def add_pair_counts(const int64_t[::1] indptr, const column_t[::1] samples, int64_t start, int64_t stop,
                    column_t[:, ::1] counts):
    """counts[i, j] += number of neurons that fire on both i and j, for start <= i < stop and j >= i.

    Cost: O(sum of c_r^2 / 2) over the whole range, with c_r the number of samples on which neuron r fires.
    """
    cdef int64_t r, a, b, end
    cdef column_t i
    with nogil:
        for r in range(indptr.shape[0] - 1):
            end = indptr[r + 1]
            for a in range(indptr[r], end):
                i = samples[a]
                if i < start:
                    continue
                if i >= stop:
                    break
                for b in range(a, end):
                    counts[i, samples[b]] += 1


def add_jacobian_product(const int64_t[::1] indptr, const column_t[::1] samples, const real_t[::1] signs,
                         const real_t[:, ::1] rows, const real_t[:, ::1] data, double[::1] out):
    """out[i] += sum over neurons r that fire on i of a_r <rows_r, x_i>: sqrt(m) J times `rows`. Cost: O(pairs d)."""
    cdef int64_t r, k, j, i, d = data.shape[1]
    cdef double total
    with nogil:
        for r in range(indptr.shape[0] - 1):
            for k in range(indptr[r], indptr[r + 1]):
                i = samples[k]
                total = 0
                for j in range(d):
                    total += <double> rows[r, j] * <double> data[i, j]
                out[i] += signs[r] * total


def shrink_and_step(const int64_t[::1] indptr, const column_t[::1] samples, const real_t[::1] signs,
                    const double[::1] coefficients, const real_t[:, ::1] data, double shrink, double scale,
                    const int64_t[::1] neurons, real_t[:, ::1] displacement):
    """displacement_r = shrink displacement_r - scale a_r sum over samples i on which r fires of coefficients_i x_i,

    for the listed neurons r. With scale = 1/sqrt(m) this is shrink D - J^T g. Cost: O((pairs + neurons) d).
    """
    cdef int64_t q, r, k, j, i, d = data.shape[1]
    cdef real_t factor, by = <real_t> shrink
    cdef real_t *row
    cdef const real_t *x
    with nogil:
        for q in range(neurons.shape[0]):
            r = neurons[q]
            row = &displacement[r, 0]
            if by != 1:
                for j in range(d):
                    row[j] *= by
            for k in range(indptr[r], indptr[r + 1]):
                i = samples[k]
                x = &data[i, 0]
                factor = <real_t> (scale * signs[r] * coefficients[i])
                for j in range(d):
                    row[j] -= factor * x[j]


def count_flips(const int64_t[::1] indptr_a, const column_t[::1] samples_a,
                const int64_t[::1] indptr_b, const column_t[::1] samples_b):
    """Number of (neuron, sample) pairs that fire in exactly one of two patterns. Cost: O(pairs of both)."""
    cdef int64_t r, a, b, end_a, end_b, common = 0
    with nogil:
        for r in range(indptr_a.shape[0] - 1):
            a, end_a = indptr_a[r], indptr_a[r + 1]
            b, end_b = indptr_b[r], indptr_b[r + 1]
            while a < end_a and b < end_b:
                if samples_a[a] == samples_b[b]:
                    common += 1
                    a += 1
                    b += 1
                elif samples_a[a] < samples_b[b]:
                    a += 1
                else:
                    b += 1
    return samples_a.shape[0] + samples_b.shape[0] - 2 * common
