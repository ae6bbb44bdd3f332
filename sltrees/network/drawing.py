"""Drawing a network for samples: the only place where neurons are found, whoever holds which of them."""

from __future__ import annotations

import copy
import typing

import numpy as np

from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.sampling_dense import DenseSampling
from sltrees.network.sampling_rejection import RejectionSampling, cheaper_sampling
from sltrees.network.shards import NeuronShard
from sltrees.network.shift import resolve_shift
from sltrees.network.state import FoundNear, NetworkState, with_state

SAMPLINGS = {"dense": DenseSampling, "rejection": RejectionSampling}


class Plan(typing.NamedTuple):
    """What a network has to be drawn for, to be drawn for samples."""

    every: Hyperplanes  # of all samples, in the order in which they came
    n_seen: int  # so many of them, the first ones, it was drawn for before
    state: NetworkState  # of the network then, but for the neurons

    def tasks(self):
        """What is to be drawn, in the order of the shards that come of it; nothing where no sample is new."""
        return self.state.sampling.tasks(self.every, self.n_seen) if len(self.every.X) > self.n_seen else []


class Drawing(typing.NamedTuple):
    """What drawing a network for samples gives; nothing of it is true of the network until its state is this one."""

    state: NetworkState
    near: list  # near lists of each shard in `state`, where drawing found them, else None


def shift_for(network, X):
    """The shift of a network, or the one that it will have when it is drawn for samples; warns if it is lowered."""
    shift = network.state.shift
    return resolve_shift(network.shift, network.width, len(X)) if shift is None else shift


def sampling_for(network, planes):
    """Who draws the neurons of a network: as before, or as it will be for samples. Cost: O(n d)."""
    if network.state.sampling is not None:
        return network.state.sampling
    name = network.sampling
    if name == "auto":
        paired = network.init == "paired"
        name = cheaper_sampling(network.width, network.copies, planes) if paired else "dense"
    return SAMPLINGS[name](network.width, network.copies, network.streams, network.dtype)


def plan_drawing(network, planes):
    """What a network has to be drawn for, to be drawn for samples.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    planes : Hyperplanes

    Returns
    -------
    Plan

    Notes
    -----
    Cost: O(n d) for all samples seen.
    """
    state, every, n_seen = network.state, planes, 0
    if state.seen is not None:
        every, n_seen = Hyperplanes(planes.samples.behind(state.seen), planes.shift), len(state.seen)
    state = state.changed(
        shift=planes.shift,
        n_features=planes.X.shape[1],
        sampling=sampling_for(network, planes),
        fingerprint=planes.samples.fingerprint,
        seen=every.X,
    )
    return Plan(every, n_seen, state)


def draw(network, planes, skin, executor, progress=None, *, portion=None, first=None):
    """The neurons that fire on any of the samples, behind those materialised before.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    planes : Hyperplanes
    skin : float or None
        Of the near lists that are wanted of those that are drawn; None: none are.
    executor : ThreadExecutor
    progress : callable, optional
    portion : sltrees.cluster.portions.Portion, optional
        What this process holds of the network: its `numbers` chooses of the tasks. By default all of it.
    first : int, optional
        Shards that all of the network has before: the numbers of new ones follow.

    Returns
    -------
    Drawing
        The network itself is as it was.

    Notes
    -----
    Cost: that of `ShiftedReLUNetwork.initialize`; O(n d) where no sample is new.
    """
    neurons = network.state.neurons
    nothing = [None] * len(neurons.shards)
    if planes.samples.fingerprint == network.state.fingerprint:
        return Drawing(network.state, nothing)
    plan = plan_drawing(network, planes)
    every, n_seen, state = plan
    tasks = plan.tasks()
    if not tasks:
        return Drawing(state, nothing)
    lists_wanted = skin if np.array_equal(every.X, planes.X) else None
    chosen = range(len(tasks)) if portion is None else portion.numbers(state.sampling, tasks)
    found = executor.map(lambda k: state.sampling.find(tasks[k], every, n_seen, lists_wanted), chosen, progress)
    shards, near = _without_known(found, neurons.shards, network.copies)
    first = len(neurons.shards) if first is None else first
    neurons = neurons.and_those_of(shards, [first + k for k in chosen])
    return Drawing(state.changed(neurons=neurons), nothing + near)


def _without_known(found, known_shards, copies):
    """Shards of what was drawn and is not in a shard already, and their near lists.

    Parameters
    ----------
    found : list of Drawn
    known_shards : sequence of NeuronShard
    copies : int

    Returns
    -------
    shards : list of NeuronShard
    near : list of NearLists or None
    """
    before = np.sort(np.concatenate([np.empty(0, np.int64), *(shard.draws for shard in known_shards)]))
    shards, near = [], []
    for drawn in found:
        known = _contains(before, drawn.draws)  # they fire on an old sample, too
        if known.any():
            drawn = drawn._replace(draws=drawn.draws[~known], weights=drawn.weights[~known], near=None)
        shards.append(NeuronShard(drawn.draws, drawn.weights, copies))
        near.append(drawn.near)
    return shards, near


def _contains(numbers, values):
    """Which of the values are among sorted numbers. Cost: O(values log numbers)."""
    places = np.searchsorted(numbers, values)
    return numbers[np.minimum(places, numbers.size - 1)] == values if numbers.size else np.zeros(len(values), bool)


# ---------------------------------------------------------------------- networks with the same neurons


def draw_alike(network, n_networks, planes, *, skin, executor):
    """Networks with the same neurons, drawn in one visit of the samples.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    n_networks : int
    planes : Hyperplanes
        Of the samples, for the shift of the network.
    skin : float
        Of near lists, which the first run on these samples takes over.
    executor : ThreadExecutor

    Returns
    -------
    list of ShiftedReLUNetwork
        Independent of each other: initial weights, which nobody changes, are shared, and lists are copied when a run
        takes them over.

    Raises
    ------
    RuntimeError
        If the network was initialised.

    Notes
    -----
    Cost: O(m n d) as for one network.

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> from sltrees.execution.threads import ThreadExecutor
    >>> network = ShiftedReLUNetwork(100, random_state=0)
    >>> with ThreadExecutor() as executor:
    ...     a, b = draw_alike(network, 2, Hyperplanes(np.eye(2, dtype="float32"), 1.0), skin=1.0, executor=executor)
    >>> a.digest() == b.digest()
    True
    """
    if network.state.is_drawn:
        raise RuntimeError("the network has neurons already: draw networks alike from one that has none")
    drawing = draw(network, planes, skin, executor)
    near = FoundNear(skin, planes.samples.fingerprint, drawing.near)
    return [with_state(network, drawing.state.changed(near=near)) for _ in range(n_networks)]


def to_be_drawn_alike(network, n_networks, planes, *, skin):
    """As `draw_alike`, for networks that a cluster draws when they are trained, each for itself: list.

    Cost: O(n d).
    """
    networks = [copy.deepcopy(network) for _ in range(n_networks)]
    for own in networks:
        own.state = own.state.changed(near=FoundNear(skin, planes.samples.fingerprint, []))
    return networks


def take_near(network, samples):
    """Skin, and near lists of each shard, found when the network was drawn for these samples: given once.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    samples : Samples

    Returns
    -------
    tuple (float, list of NearLists or None) or None
        None if there are none.
    """
    near = network.state.near
    if near is None:
        return None
    network.state = network.state.changed(near=None)
    if near.fingerprint != samples.fingerprint:
        return None
    return near.skin, [lists if lists is None else lists.copy() for lists in near.lists]
