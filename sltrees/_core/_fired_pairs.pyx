"""Kernels over fired pairs listed both ways: the samples of each neuron, and the neurons of each sample.

Both are CSR patterns, ascending in each row. Assumed of all arguments, and not checked: indices in range, matching
shapes, arrays in C order. Each function writes to the part of its output that it names and to nothing else, so that
parts may run at once; no number depends on how the work is cut up. The NumPy twins are in ``sltrees.reference``.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t

from sltrees._core._pools cimport address
from sltrees._core._simd cimport active_level

cnp.import_array()

cdef extern from "pairs/pairs.h" nogil:
    enum:
        SL_LANES
        SL_GROUPS
        SL_ROWS_OF_SUMS
        SL_COLLECTORS

    ctypedef void (*sl_gather_rows)(const int64_t *, const int32_t *, int64_t, int64_t, int64_t, const void *, int64_t,
                                    const double *, int64_t, double *) noexcept nogil
    ctypedef void (*sl_collect_rows)(const int64_t *, const int32_t *, int64_t, int64_t, int64_t, const double *,
                                     int64_t, const void *, int64_t, double *, double *) noexcept nogil

    sl_gather_rows sl_gather_rows_at_f32(int level)
    sl_gather_rows sl_gather_rows_at_f64(int level)
    sl_collect_rows sl_collect_rows_at_f32(int level)
    sl_collect_rows sl_collect_rows_at_f64(int level)

# neurons that one call of `gather` may be asked for
ROWS_AT_ONCE = SL_ROWS_OF_SUMS


def padded_length(d):
    """Numbers in a row of sums over samples of d features: what data has at least as many of in each row."""
    return -(-d // SL_LANES) * SL_LANES


def transposed(const int64_t[::1] indptr, const int32_t[::1] columns, int64_t n_columns):
    """The transpose of a CSR pattern: tuple (indptr, rows), ascending in each column.

    Parameters
    ----------
    indptr : ndarray of shape (k + 1,), dtype=int64
    columns : ndarray of shape (pairs,), dtype=int32
        In any order within a row.
    n_columns : int

    Notes
    -----
    Cost: O(pairs + k + n_columns).
    """
    cdef int64_t r, e, i
    ends = np.zeros(n_columns + 1, dtype=np.int64)
    rows = np.empty(columns.shape[0], dtype=np.int32)
    cdef int64_t *end = <int64_t *> address(ends)
    cdef int32_t *row = <int32_t *> address(rows)
    with nogil:
        for e in range(columns.shape[0]):
            end[columns[e] + 1] += 1
        for i in range(n_columns):
            end[i + 1] += end[i]
        # the beginning of each list, moved on as the list is filled, ends as its end
        for i in range(n_columns, 0, -1):
            end[i] = end[i - 1]
        for r in range(indptr.shape[0] - 1):
            for e in range(indptr[r], indptr[r + 1]):
                row[end[columns[e] + 1]] = <int32_t> r
                end[columns[e] + 1] += 1
    return ends, rows


def gather(const int64_t[::1] indptr, const int32_t[::1] samples, int64_t start, int64_t stop, data,
           const double[::1] weights, double[:, ::1] sums):
    """sums_r = sum over the samples i on which neuron r fires of weights_i x_i, for neurons start, ..., stop - 1.

    Parameters
    ----------
    indptr, samples
        The samples of each neuron.
    start, stop : int
        At most `ROWS_AT_ONCE` apart.
    data : ndarray of shape (n, stride), float32 or float64
        x_i, padded with zeros to `padded_length` numbers or more.
    weights : ndarray of shape (n,)
    sums : ndarray of shape (k, padded_length)

    Notes
    -----
    Sums are double, in the order of the samples. Cost: O(pairs d).
    """
    cdef sl_gather_rows kernel = _gather_for(data)
    cdef int64_t n = data.shape[0], stride = data.shape[1]
    cdef const void *p_data = address(data)
    if stop <= start:
        return
    with nogil:
        kernel(&indptr[0], &samples[0], start, stop, n, p_data, stride, &weights[0], sums.shape[1], &sums[0, 0])


def collect(const int64_t[::1] indptr, const int32_t[::1] neurons, int64_t start, int64_t stop,
            const double[:, ::1] sums, data, double[::1] out):
    """out_i = <x_i, sum over the neurons r that fire on i of sums_r>, for samples start, ..., stop - 1.

    Parameters
    ----------
    indptr, neurons
        The neurons of each sample.
    start, stop : int
    sums, data
        As of `gather`.
    out : ndarray of shape (n,)

    Notes
    -----
    Cost: O(pairs d).
    """
    cdef sl_collect_rows kernel = _collect_for(data)
    cdef int64_t stride = data.shape[1]
    cdef const void *p_data = address(data)
    if stop <= start:
        return
    cdef double[::1] collected = np.empty(SL_COLLECTORS * SL_GROUPS * SL_LANES)
    with nogil:
        kernel(&indptr[0], &neurons[0], start, stop, sums.shape[0], &sums[0, 0], sums.shape[1], p_data, stride,
               &collected[0], &out[0])


def add_columns(const int64_t[::1] neurons_indptr, const int32_t[::1] neurons, const int64_t[::1] samples_indptr,
                const int32_t[::1] samples, const int64_t[::1] columns, int32_t[:, ::1] counts):
    """counts[c, i] += number of neurons that fire both on i and on sample columns[c].

    Parameters
    ----------
    neurons_indptr, neurons
        The neurons of each sample.
    samples_indptr, samples
        The samples of each neuron.
    columns : ndarray of shape (q,), dtype=int64
    counts : ndarray of shape (q, n), dtype=int32

    Notes
    -----
    Cost: for each column as many increments as its neurons fire.
    """
    cdef int64_t c, a, e, r
    cdef int32_t *count
    with nogil:
        for c in range(columns.shape[0]):
            count = &counts[c, 0]
            for a in range(neurons_indptr[columns[c]], neurons_indptr[columns[c] + 1]):
                r = neurons[a]
                for e in range(samples_indptr[r], samples_indptr[r + 1]):
                    count[samples[e]] += 1


cdef sl_gather_rows _gather_for(data):
    return sl_gather_rows_at_f32(active_level()) if data.dtype == np.float32 else sl_gather_rows_at_f64(active_level())


cdef sl_collect_rows _collect_for(data):
    if data.dtype == np.float32:
        return sl_collect_rows_at_f32(active_level())
    return sl_collect_rows_at_f64(active_level())
