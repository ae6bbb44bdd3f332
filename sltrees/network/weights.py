"""Weights and signs of the neurons of a network: of those materialised, and of the silent ones, drawn again."""

from __future__ import annotations

import itertools

import numpy as np

from sltrees._memory import array_bytes, check_memory
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.random_streams import NEURONS_PER_BLOCK, generator
from sltrees.network.use import refuse_compacted


def signs_of(network, neurons):
    """Signs of neurons.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    neurons : ndarray of shape (k,), dtype=int64
        Their numbers, ascending by block.

    Returns
    -------
    ndarray of shape (k,), dtype of the network

    Notes
    -----
    Cost: O(k), and for init "gaussian" O(8192) for each block.
    """
    if network.init == "paired":
        return (1 - 2 * (neurons % 2)).astype(network.dtype)
    signs = np.empty(neurons.size, dtype=network.dtype)
    for block in np.unique(neurons // NEURONS_PER_BLOCK):
        lo, hi = np.searchsorted(neurons, np.array([block, block + 1]) * NEURONS_PER_BLOCK)
        bits = generator(network.streams.of_signs(int(block))).integers(0, 2, NEURONS_PER_BLOCK, dtype=np.int8)
        signs[lo:hi] = 1 - 2 * bits[neurons[lo:hi] - block * NEURONS_PER_BLOCK]
    return signs


def neurons_of_draws(draws, copies):
    """Numbers of the neurons that share draws: shape (draws copies,), int64. Cost: O(draws)."""
    return (draws[:, None] * copies + np.arange(copies)).ravel()


def materialised(state, start, stop, dtype):
    """Current weights of the materialised neurons start, ..., stop - 1, by position: a copy.

    Parameters
    ----------
    state : NetworkState
        Of a network that is drawn, and standing.
    start, stop : int
    dtype : float32 or float64

    Returns
    -------
    ndarray of shape (stop - start, d)

    Notes
    -----
    Cost: O((stop - start) d), or O(active pairs d) where displacements are implied.
    """
    parts, first = [np.empty((0, state.n_features), dtype=dtype)], 0
    for shard in state.neurons.shards:
        begin, end = max(start - first, 0), min(stop - first, shard.n_neurons)
        if begin < end:
            parts.append(shard.weights(begin, end))
        first += shard.n_neurons
    return np.concatenate(parts)


def dense(network, state):
    """Current weights of all neurons, silent ones included, and their signs: see `ShiftedReLUNetwork.dense_weights`.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    state : NetworkState
        Of the network, which is drawn, and standing.

    Returns
    -------
    W : ndarray of shape (m, d)
    signs : ndarray of shape (m,)

    Raises
    ------
    RuntimeError
        If the network was drawn by rejection and compacted.
    MemoryError
        If the machine has no room.

    Notes
    -----
    Cost: O(m d).
    """
    needed = array_bytes(network.width, state.n_features + 1, dtype=network.dtype)
    check_memory(needed, None, f"all weights of a network of width {network.width}", "use the materialised ones")
    initial, places = all_draws(network, state)
    W = np.repeat(initial, network.copies, axis=0)
    for shard, draws in zip(state.neurons.shards, places, strict=True):
        W[neurons_of_draws(draws, network.copies)] += shard.displacements()
    return W, signs_of(network, np.arange(len(W)))


def all_draws(network, state):
    """Initial weights of all draws, silent ones included, and the places among them of those of each shard.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    state : NetworkState
        Of the network, which is drawn.

    Returns
    -------
    initial : ndarray of shape (q, d)
    places : list of ndarray

    Raises
    ------
    RuntimeError
        If the network was drawn by rejection and compacted: it is not known any more what is silent.

    Notes
    -----
    Cost: O(m d), and as much memory.
    """
    shards = state.neurons.shards
    if state.sampling.name == "rejection":
        refuse_compacted(network)
        silent = state.sampling.silent_weights(Hyperplanes(state.seen, state.shift))
        edges = np.cumsum([0, *(shard.draws.size for shard in shards)])
        places = [np.arange(start, stop) for start, stop in itertools.pairwise(edges)]
        return np.concatenate([*(shard.initial for shard in shards), silent]), places
    blocks = range(-(-network.width // NEURONS_PER_BLOCK))
    initial = np.concatenate([state.sampling.draw_weights(block, state.n_features) for block in blocks])
    return initial, [shard.draws for shard in shards]


def by_block(shards):
    """Where the materialised neurons of each block are: a dict from block to list of (shard, start, stop).

    Cost: O(k).
    """
    positions = {}
    for shard in shards:
        if shard.n_neurons:
            blocks, starts = np.unique(shard.neurons // NEURONS_PER_BLOCK, return_index=True)
            for block, start, stop in zip(blocks.tolist(), starts, [*starts[1:], shard.n_neurons], strict=True):
                positions.setdefault(block, []).append((shard, start, stop))
    return positions


def of_block(state, block, positions, copies):
    """Under dense sampling: current weights of all neurons of a block, silent ones included.

    Parameters
    ----------
    state : NetworkState
    block : int
    positions : dict
        Of `by_block`.
    copies : int

    Returns
    -------
    ndarray of shape (neurons in the block, d)

    Notes
    -----
    Cost: O(8192 d).
    """
    weights = np.repeat(state.sampling.draw_weights(block, state.n_features), copies, axis=0)
    for shard, start, stop in positions.get(block, ()):
        weights[shard.neurons[start:stop] - block * NEURONS_PER_BLOCK] += shard.displacements(start, stop)
    return weights
