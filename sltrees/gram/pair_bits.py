"""Pairs that fire counted by bits, 512 neurons at a time: a way for few neurons of which many fire."""

from __future__ import annotations

from sltrees._core._pair_bits import NEURONS_OF_BLOCK, add_common, fired_bits, flip_bits

# To count pairs of samples by a block of bits takes as long as going through so many entries of lists for each of n^2.
# Half of that was measured, but without an instruction that counts bits it is more.
_ENTRIES_WORTH = 2.0

# Beyond, bits would count as memory.
_MOST_NEURONS = 8192


def pays(n_entries, n_samples, n_neurons):
    """Whether counting by bits is quicker than by lists.

    Parameters
    ----------
    n_entries : float
        Of lists, that would be gone through: for each sample of a neuron, the samples that it is paired with.
    n_samples, n_neurons : int

    Returns
    -------
    bool

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> pays(1e6, 500, 512), pays(1e6, 5000, 512)
    (True, False)
    """
    n_blocks = -(-n_neurons // NEURONS_OF_BLOCK)
    return n_neurons <= _MOST_NEURONS and n_entries > _ENTRIES_WORTH * n_blocks * n_samples**2


def fired_counter(pattern, n_samples):
    """A counter, for `PairCounts.add_counts`, of all pairs of a pattern.

    Parameters
    ----------
    pattern : tuple (indptr, samples)
        The samples on which each neuron fires, in any order.
    n_samples : int

    Returns
    -------
    callable

    Notes
    -----
    Cost: O(pairs), and that of the counter: some 0.15 ns for each neuron and pair of samples.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.zeros((2, 2), dtype=np.int32)
    >>> fired_counter((np.array([0, 2, 3]), np.array([0, 1, 1], dtype=np.int32)), 2)(0, 2, counts)
    >>> counts
    array([[1, 1],
           [0, 2]], dtype=int32)
    """
    bits = fired_bits(*pattern, n_samples)

    def count(start, stop, counts):
        add_common(bits, start, stop, 1, counts)

    return count


def flips_counter(pattern, flips, n_samples):
    """A counter of what flips change: what fires after them, less what fires before.

    Parameters
    ----------
    pattern : tuple (indptr, samples)
        Before.
    flips : tuple (neurons, samples)
        Pairs that begin or cease to fire, each named once.
    n_samples : int

    Returns
    -------
    callable

    Notes
    -----
    Cost: twice that of `fired_counter`.

    Examples
    --------
    >>> import numpy as np
    >>> counts, flips = np.zeros((2, 2), dtype=np.int32), (np.array([1, 1], np.int32), np.array([0, 1], np.int32))
    >>> flips_counter((np.array([0, 2, 3]), np.array([0, 1, 1], dtype=np.int32)), flips, 2)(0, 2, counts)
    >>> counts
    array([[ 1,  0],
           [ 0, -1]], dtype=int32)
    """
    before = fired_bits(*pattern, n_samples)
    after = before.copy()
    flip_bits(after, *flips)

    def count(start, stop, counts):
        add_common(after, start, stop, 1, counts)
        add_common(before, start, stop, -1, counts)

    return count
