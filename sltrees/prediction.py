"""Outputs of a network on any samples: a sum over its neurons, part by part, in blocks that stay in cache."""

from __future__ import annotations

import numpy as np

from sltrees._core._jacobian import add_dense_outputs

NEURONS_PER_PART = 4096  # whose outputs are one partial sum: changing it changes predictions by rounding
SAMPLES_PER_BLOCK = 256  # 4 MiB of products in float32
NUMBERS_OF_PARTS = 1 << 22  # outputs of parts held until they are added up: 32 MiB


def add_up(parts, neurons_of, shift, X, executor):
    """sum_r a_r max(<w_r, x> - b, 0) over the neurons of all parts, in the order of the parts.

    Parameters
    ----------
    parts : sequence
    neurons_of : callable
        neurons_of(part) is (weights, signs) of some neurons, of shapes (k, d) and (k,). Called once for each part.
    shift : float
    X : ndarray of shape (n, d)
    executor : ThreadExecutor

    Returns
    -------
    ndarray of shape (n,), dtype=float64

    Notes
    -----
    Cost: O(k n d) for k neurons in all, through BLAS. Memory beside the result: for each thread the weights of a part
    and its products with a block of samples, and the outputs of as many parts as make 32 MiB, or as there are threads.
    """

    def outputs(part):
        weights, signs = neurons_of(part)
        total = np.zeros(len(X))
        for start in range(0, len(X), SAMPLES_PER_BLOCK):
            block = slice(start, start + SAMPLES_PER_BLOCK)
            add_dense_outputs(weights @ X[block].T, signs, shift, total[block])
        return total

    total = np.zeros(len(X))
    window = max(executor.n_threads, NUMBERS_OF_PARTS // len(X))  # does not change what is added to what
    for start in range(0, len(parts), window):
        for part in executor.map(outputs, parts[start : start + window]):
            total += part
    return total
