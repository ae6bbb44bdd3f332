"""Outputs of a network on any samples: sums over its neurons, part by part, in blocks that stay in cache."""

from __future__ import annotations

import numpy as np

from sltrees._core._jacobian import add_dense_outputs
from sltrees.linalg.fixed_sums import FixedSum
from sltrees.network import weights
from sltrees.network.random_streams import NEURONS_PER_BLOCK

NEURONS_PER_PART = 4096  # whose outputs are one partial sum: changing it changes predictions by rounding
SAMPLES_PER_BLOCK = 256  # 4 MiB of products in float32
NUMBERS_OF_PARTS = 1 << 22  # outputs of parts held until they are added up: 32 MiB
PARTS_AT_A_TIME = 1 << 14  # each is a call that waits for a thread


def add_up(parts, neurons_of, shift, X, executor):
    """sum_r a_r max(<w_r, x> - b, 0) over the neurons of all parts.

    Parameters
    ----------
    parts : sequence of (number, part)
        By number, ascending; parts with the same number are one term of the sum.
    neurons_of : callable
        neurons_of(part) is (weights, signs) of some neurons, of shapes (k, d) and (k,). Called once for each part.
    shift : float
    X : ndarray of shape (n, d)
    executor : ThreadExecutor

    Returns
    -------
    dict
        Nodes of a `FixedSum` of vectors of shape (n,), dtype=float64, one term for each number.

    Notes
    -----
    Cost: O(k n d) for k neurons in all, through BLAS. Memory beside the result: for each thread the weights of a part
    and its products with a block of samples, and the outputs of as many parts as make 32 MiB, or as there are threads.
    """

    def add_outputs(part_and_total):
        (_, part), total = part_and_total
        weights, signs = neurons_of(part)
        for start in range(0, len(X), SAMPLES_PER_BLOCK):
            block = slice(start, start + SAMPLES_PER_BLOCK)
            add_dense_outputs(weights @ X[block].T, signs, shift, total[block])

    sums, term, of_number = FixedSum(), None, None
    # does not change what is added to what
    window = max(executor.n_threads, min(PARTS_AT_A_TIME, NUMBERS_OF_PARTS // len(X)))
    for start in range(0, len(parts), window):
        some = parts[start : start + window]
        # one array: of small ones each would keep allocators from using the memory around it again
        totals = np.zeros((len(some), len(X)))
        executor.map(add_outputs, list(zip(some, totals, strict=True)))
        for (number, _), total in zip(some, totals, strict=True):
            if number == of_number:
                term += total
                continue
            if term is not None:
                sums.add(of_number, term)
            term, of_number = total.copy(), number
    if term is not None:
        sums.add(of_number, term)
    return sums.nodes


def counting_parts(network, neurons, executor, blocks=None):
    """The neurons that count in predictions, in numbered parts.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        Drawn.
    neurons : LocalNeurons
        In the place of the network's.
    executor : ThreadExecutor
    blocks : range, optional
        For init "gaussian", the blocks of neurons of which all materialised ones are there; by default all.

    Returns
    -------
    parts : sequence of (number, part)
    neurons_of : callable
        neurons_of(part) is (weights, signs): as `add_up` takes it.

    Notes
    -----
    Cost: O(k d) for init "paired", where they are the pairs of which a neuron has moved, and O(k) for "gaussian".
    """
    if network.init == "paired":
        return moved_parts(neurons, executor), moved_neurons
    state, positions = network.state, weights.by_block(neurons.shards)

    def neurons_of(block):
        current = weights.of_block(state, block, positions, network.copies)
        return current, weights.signs_of(network, np.arange(len(current)) + block * NEURONS_PER_BLOCK)

    blocks = range(-(-network.width // NEURONS_PER_BLOCK)) if blocks is None else blocks
    return _Numbered(blocks), neurons_of


class _Numbered:
    """Blocks as parts that are their own numbers, made when they are asked for: there may be millions."""

    def __init__(self, blocks):
        self.blocks = blocks

    def __len__(self):
        return len(self.blocks)

    def __iter__(self):
        return zip(self.blocks, self.blocks, strict=True)

    def __getitem__(self, some):
        return [(block, block) for block in self.blocks[some]]


def moved_parts(neurons, executor):
    """The pairs of which a neuron has moved, in parts: list of (number of the shard, (shard, draws))."""
    size, parts = NEURONS_PER_PART // 2, []
    moved = executor.map(lambda shard: np.flatnonzero(shard.moved()), neurons.shards)
    for number, shard, draws in zip(neurons.numbers, neurons.shards, moved, strict=True):
        parts += [(number, (shard, draws[start : start + size])) for start in range(0, draws.size, size)]
    return parts


def moved_neurons(part):
    """Weights and signs of a part of `moved_parts`."""
    shard, draws = part
    first, last = 2 * draws[0], 2 * draws[-1] + 2
    rows = (2 * draws[:, None] + np.arange(2)).ravel()
    current = shard.initial[rows // 2]
    current += shard.displacements(first, last)[rows - first]
    return current, np.tile(np.array([1, -1], dtype=current.dtype), draws.size)
