"""Counting the neurons that fire on both of two samples, by threads, and what was counted as a message."""

from __future__ import annotations

import typing

import numpy as np

PRIVATE_COUNTS = 2048  # up to this order threads count in arrays of their own: 16 MB each
_COUNTERS_AT_A_TIME = 32  # that one task calls: some 50 ms, so that Ctrl-C is obeyed soon


class PairCounts:
    """Ordered pair counts of n samples: H_ij = counts_ij + counts_ji for i != j, H_ii = counts_ii.

    Parameters
    ----------
    n_samples : int

    Attributes
    ----------
    counts : ndarray of shape (n, n), int32

    Examples
    --------
    >>> from sltrees.execution.threads import ThreadExecutor
    >>> pairs = PairCounts(2)
    >>> def counter(start, stop, counts):
    ...     counts[start:stop] += 1
    >>> with ThreadExecutor(2) as executor:
    ...     pairs.add_counts([counter, counter], executor)
    >>> pairs.counts
    array([[2, 2],
           [2, 2]], dtype=int32)
    """

    def __init__(self, n_samples):
        self.counts = np.zeros((n_samples, n_samples), dtype=np.int32)
        self._private = []  # counts of threads

    @staticmethod
    def bytes_needed(n_samples, n_threads=1):
        """Bytes that the counts of n samples take. Cost: O(1)."""
        return 4 * n_samples**2 * (n_threads if n_samples <= PRIVATE_COUNTS else 1)

    def add_counts(self, counters, executor, *, few=False, anew=False):
        """Change the counts.

        Parameters
        ----------
        counters : list of callable
            Each adds to the rows start, ..., stop - 1 of counts when called as counter(start, stop, counts).
        executor : ThreadExecutor
        few : bool, default False
            Little is to be counted, so that sharing it out would cost more than it saves.
        anew : bool, default False
            Begin with counts of zero.

        Notes
        -----
        Sets: counts. Counts are integers, so that it makes no difference who counts what. Cost: that of the counters,
        times the number of threads at worst, and O(n^2).
        """
        n, threads = len(self.counts), executor.n_threads
        if anew:
            self.counts[...] = 0
        if few or threads == 1:
            pieces = [(counters, 0, n, self.counts)]
        elif n <= PRIVATE_COUNTS and len(counters) >= threads:
            # each thread counts for some of the counters, in an array of its own: none has to pass over others' rows
            while len(self._private) < threads - 1:
                self._private.append(np.empty_like(self.counts))
            own = [self.counts, *self._private[: threads - 1]]
            for array in own[1:]:
                array[...] = 0
            pieces = [(counters[k::threads], 0, n, own[k]) for k in range(threads)]
        else:
            pieces = [(counters, n * k // threads, n * (k + 1) // threads, self.counts) for k in range(threads)]
        for start in range(0, max(len(piece[0]) for piece in pieces), _COUNTERS_AT_A_TIME):
            window = slice(start, start + _COUNTERS_AT_A_TIME)

            def count(piece, window=window):
                some, first, last, counts = piece
                for counter in some[window]:
                    counter(first, last, counts)

            executor.map(count, pieces)
        for _, _, _, array in pieces:
            if array is not self.counts:
                self.counts += array


class CountedPairs(typing.NamedTuple):
    """Pair counts as a message: of all pairs, or of those alone that are not 0, whichever is smaller."""

    numbers: np.ndarray | None  # (q,) uint32, ascending: i n + j; None: all
    values: np.ndarray  # (q,) or (n^2,), of the smallest dtype of signed integers that holds them

    @classmethod
    def of(cls, counts):
        """From an array of shape (n, n). Cost: O(n^2)."""
        flat = counts.reshape(-1)
        numbers = np.flatnonzero(flat)
        values = flat[numbers]
        dtype = smallest_integers(values)
        if numbers.size * (4 + dtype.itemsize) < flat.size * dtype.itemsize:
            return cls(numbers.astype(np.uint32), values.astype(dtype))
        return cls(None, flat.astype(dtype))

    @property
    def nbytes(self):
        """Bytes of the arrays. Cost: O(1)."""
        return self.values.nbytes + (0 if self.numbers is None else self.numbers.nbytes)

    def add_to(self, counts):
        """Add to an array of shape (n, n). Cost: O(pairs)."""
        flat = counts.reshape(-1)
        if self.numbers is None:
            flat += self.values
        else:
            flat[self.numbers] += self.values


def smallest_integers(values):
    """The smallest of int8, int16 and int32 that holds all values. Cost: O(values)."""
    if not values.size:
        return np.dtype(np.int8)
    low, high = int(values.min()), int(values.max())
    fits = (dtype for dtype in (np.int8, np.int16) if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max)
    return np.dtype(next(fits, np.int32))
