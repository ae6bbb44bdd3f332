"""How much memory a network will need, before it is drawn."""

from __future__ import annotations

import numpy as np

from sltrees._memory import array_bytes, available_memory, check_memory
from sltrees.execution.threads import ThreadExecutor
from sltrees.network.drawing import sampling_for
from sltrees.network.hyperplanes import Hyperplanes


def neurons_expected(network, planes):
    """How many neurons there will be at most, once a network is drawn for samples.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    planes : Hyperplanes
        Of the samples, for the shift of the network.

    Returns
    -------
    float

    Notes
    -----
    Their number is random and unknown before they are drawn. It is taken at its mean for all samples that it was
    and will be drawn for, estimated by `Population`, plus six standard deviations of both. Cost: that of
    `Population`, once.

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> planes = Hyperplanes(np.eye(3), shift=1.0)
    >>> 0.4e6 < neurons_expected(ShiftedReLUNetwork(10**6, shift=1.0), planes) < 0.5e6
    True
    """
    state = network.state
    n_neurons = state.neurons.n_neurons
    if state.seen is not None:
        every = planes.samples.behind(state.seen)
        if len(every) == len(state.seen):
            return float(n_neurons)
        if not np.array_equal(every, planes.X):
            planes = Hyperplanes(every, planes.shift)
    population = planes.population
    share = min(planes.materialised_share, population.share + 6.0 * population.share_error)
    draws = share * network.width / network.copies
    neurons = network.copies * (draws + 6.0 * np.sqrt(draws) + 1.0)
    return float(max(n_neurons, min(network.width, neurons)))


def bytes_needed(network, planes, n_threads=None, *, neurons=None):
    """Bytes that drawing a network for samples needs: its weights, scratch memory, and what it holds already.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    planes : Hyperplanes
        Of the samples, for the shift of the network.
    n_threads : int, optional
    neurons : float, optional
        Neurons that are materialised then; by default as many as are expected.

    Returns
    -------
    float

    Notes
    -----
    Cost: O(n d), and by default that of `neurons_expected`.

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> planes = Hyperplanes(np.eye(3), shift=1.0)
    >>> bool(bytes_needed(ShiftedReLUNetwork(10**6, shift=1.0), planes) < 1e9)
    True
    """
    state = network.state
    per_draw = array_bytes(planes.X.shape[1], dtype=network.dtype) + 24
    # displacements are written down where training begins anew
    written = sum(shard.n_neurons for shard in state.neurons.shards if shard.is_displaced)
    threads = ThreadExecutor(n_threads).n_threads
    sampling = sampling_for(network, planes)
    neurons = neurons_expected(network, planes) if neurons is None else neurons
    weights = neurons / network.copies * per_draw + written * per_draw
    held = 0 if state.method is None else state.method.bytes_resident
    return weights + held + threads * sampling.bytes_needed(planes.X.shape)


def refuse_too_large(network, needed, X, max_memory, whose="max_memory allows"):
    """Refuse, before anything is allocated, what would need more memory than allowed.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    needed : float
        Bytes, of `bytes_needed`.
    X : ndarray of shape (n, d)
    max_memory : float or None
        Bytes; by default all that the machine has available.
    whose : str
        How the message begins to tell of `max_memory`.

    Raises
    ------
    MemoryError
        The message gives the bytes and what to change.

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> network = ShiftedReLUNetwork(10**6, shift=1.0)
    >>> refuse_too_large(network, bytes_needed(network, Hyperplanes(np.eye(3), 1.0)), np.eye(3), max_memory=1e6)
    Traceback (most recent call last):
        ...
    MemoryError: a network of width 1000000 on 3 samples with 3 features needs ...
    """
    refuse_too_large_together([network], needed, X, max_memory, whose)


def refuse_too_large_together(networks, needed, X, max_memory, whose="max_memory allows"):
    """As `refuse_too_large`, of networks on the same samples that are in memory at a time.

    Parameters
    ----------
    networks : list of ShiftedReLUNetwork
    needed, X, max_memory, whose
        As of `refuse_too_large`, of all of them.

    Raises
    ------
    MemoryError
        As there.

    Notes
    -----
    Cost: O(1) for each network.
    """
    width = max(network.width for network in networks)
    what = f"a network of width {width}"
    if len(networks) > 1:
        what = f"training of {len(networks)} networks, of width {width} at most,"
    held = sum(_bytes_held(network, X.shape[1]) for network in networks)
    check_memory(
        needed,
        max_memory,
        f"{what} on {len(X)} samples with {X.shape[1]} features",
        "lower the width, raise the shift, use fewer samples or dtype float32",
        whose,
        held=held,
    )


def _bytes_held(network, n_features):
    """Of what `bytes_needed` tells, what is there already. Cost: O(shards)."""
    state = network.state
    drawn = state.neurons.n_neurons / network.copies * (array_bytes(n_features, dtype=network.dtype) + 24)
    return drawn + (0 if state.method is None else state.method.bytes_resident)


def refuse_to_draw(network, planes, n_threads, max_memory):
    """MemoryError if drawing a network for samples needs more than allowed.

    Cost: O(n d), and where memory could be short that of `neurons_expected`.
    """
    limit = available_memory() if max_memory is None else max_memory
    if bytes_needed(network, planes, n_threads, neurons=network.width) > limit:  # else there is nothing to estimate
        refuse_too_large(network, bytes_needed(network, planes, n_threads), planes.X, max_memory)
