"""Pairs that fire, listed both ways: products with G, and columns of it, without G."""

from __future__ import annotations

import numpy as np

from sltrees._core._fired_pairs import ROWS_AT_ONCE, add_columns, collect, gather, padded_length, transposed
from sltrees._memory import array_bytes

_SAMPLES_AT_ONCE = 4096  # that collect in one task: some 10 ms
_COLUMNS_AT_ONCE = 8  # that one task counts: some 10 ms at 10^5 samples, so that Ctrl-C is obeyed soon


class FiredPairs:
    """The samples on which each neuron of a block fires, and the neurons that fire on each sample.

    Parameters
    ----------
    indptr, samples : ndarray
        CSR pattern of k neurons, dtypes int64 and int32; the samples of a neuron in any order.
    n_samples : int
        n.

    Attributes
    ----------
    n_samples : int

    Notes
    -----
    Memory: 8 bytes a pair, and 8 (k + n). Cost: O(pairs + n).

    Examples
    --------
    >>> from sltrees._core._pools import padded
    >>> from sltrees.execution.threads import ThreadExecutor
    >>> pairs = FiredPairs(np.array([0, 2, 3]), np.array([0, 1, 1], dtype=np.int32), 2)
    >>> with ThreadExecutor(1) as executor:
    ...     pairs.product(padded(np.eye(2)), 2, np.array([1.0, 2.0]), executor)
    array([1., 4.])
    >>> pairs.diagonal
    array([1, 2])
    """

    def __init__(self, indptr, samples, n_samples):
        self.n_samples = n_samples
        self._neurons = transposed(indptr, samples, n_samples)  # of each sample, ascending
        self._samples = transposed(*self._neurons, len(indptr) - 1)  # of each neuron, now ascending, too

    @staticmethod
    def bytes_needed(n_pairs, X):
        """Bytes for so many pairs over samples X, with copies of these, and lists as they are made.

        Cost: O(1).
        """
        padded, columns = (array_bytes(len(X), X.shape[1] + 8, dtype=dtype) for dtype in (X.dtype, np.float64))
        return 12.0 * n_pairs + padded + 2 * columns + 64.0 * len(X)

    @property
    def nbytes(self):
        """Bytes of the lists. Cost: O(1)."""
        return sum(array.nbytes for array in (*self._neurons, *self._samples))

    @property
    def diagonal(self):
        """Neurons that fire on each sample, shape (n,), int64. Cost: O(n)."""
        return np.diff(self._neurons[0])

    def product(self, data, d, v, executor):
        """Sum over the neurons r that fire on i of <x_i, sum over the samples j on which r fires of v_j x_j>: m G v.

        Parameters
        ----------
        data : ndarray of shape (n, stride)
            x_i, padded with zeros to whole blocks of 64 bytes.
        d : int
            Features.
        v : ndarray of shape (n,), float64
        executor : ThreadExecutor

        Returns
        -------
        ndarray of shape (n,), float64

        Notes
        -----
        Sums are in double precision and in the order of samples and neurons. Cost: O(pairs d), and 8 bytes for each
        weight of the block meanwhile.
        """
        (indptr, samples), k = self._samples, len(self._samples[0]) - 1
        sums, out = np.empty((k, padded_length(d))), np.empty(self.n_samples)
        executor.map(
            lambda start: gather(indptr, samples, start, min(start + ROWS_AT_ONCE, k), data, v, sums),
            range(0, k, ROWS_AT_ONCE),
        )
        indptr, neurons = self._neurons
        n = self.n_samples
        executor.map(
            lambda start: collect(indptr, neurons, start, min(start + _SAMPLES_AT_ONCE, n), sums, data, out),
            range(0, n, _SAMPLES_AT_ONCE),
        )
        return out

    def add_columns(self, columns, counts):
        """counts[c, i] += neurons that fire both on i and on sample columns[c]: see `count_columns`."""
        add_columns(*self._neurons, *self._samples, columns, counts)


def count_columns(blocks, columns, n_samples, executor):
    """Neurons that fire both on each sample and on some of them: columns of what G is made of.

    Parameters
    ----------
    blocks : list of FiredPairs
        Of all neurons.
    columns : ndarray of shape (q,), dtype=int64
    n_samples : int
    executor : ThreadExecutor

    Returns
    -------
    ndarray of shape (q, n), dtype=int32

    Notes
    -----
    Cost: O(q n) and, where a neuron fires on a sample with probability p, q n m p^2 increments.

    Examples
    --------
    >>> from sltrees.execution.threads import ThreadExecutor
    >>> pairs = FiredPairs(np.array([0, 2, 3]), np.array([0, 1, 1], dtype=np.int32), 2)
    >>> with ThreadExecutor(1) as executor:
    ...     count_columns([pairs], np.array([1]), 2, executor)
    array([[1, 2]], dtype=int32)
    """
    counts = np.zeros((len(columns), n_samples), dtype=np.int32)

    def count(start):
        part = slice(start, start + _COLUMNS_AT_ONCE)
        for block in blocks:
            block.add_columns(columns[part], counts[part])

    executor.map(count, range(0, len(columns), _COLUMNS_AT_ONCE))
    return counts
