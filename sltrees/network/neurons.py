"""The materialised neurons of a network where they are, and sums over them."""

from __future__ import annotations

import typing

import numpy as np

from sltrees.linalg.fixed_sums import FixedSum
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.movement import movement_of
from sltrees.network.prediction import NEURONS_PER_PART, add_up, counting_parts
from sltrees.network.shards import NeuronShard


class Neurons(typing.Protocol):
    """What may be asked of the neurons of a network, wherever they are.

    They stay as they are, but where training moves them: what is given back by `with_...` and the like are others.

    Attributes
    ----------
    cluster : object or None
        Who holds them where that is not this process.
    shards : sequence of NeuronShard
        Or of stand-ins, that fetch what they are asked for.
    n_neurons : int
    """

    cluster: typing.Any
    shards: typing.Sequence
    n_neurons: int

    def output_nodes(self, network, X, executor):
        """sqrt(m) f on any samples, of shape (n,), as nodes of a `FixedSum`; X is an array. Cost: O(moved d) each."""

    def displacement_squares(self, executor):
        """|D|^2 as nodes of a `FixedSum`. Cost: O(k d), or O(active pairs d) where displacements are implied."""

    def firing_draws(self, planes, executor):
        """How many draws fire on each sample at W(0): shape (n,), float64. Cost: O(k n d)."""

    def movement(self, planes, executor):
        """How far they have moved since they were drawn: nodes of a `FixedSum` of `Movement.sums`, and the largest.

        Parameters
        ----------
        planes : Hyperplanes
            Of samples that they were drawn for.
        executor : ThreadExecutor

        Notes
        -----
        Cost: that of `movement_of`.
        """

    def frozen(self, executor):
        """The neurons as they stand, for good, whoever trains these. Cost: O(active pairs d)."""

    def written_down(self, network, max_memory=None):
        """The neurons in this process, displacements written down; MemoryError if they come and have no room here."""

    def with_written_down(self, k):
        """The same neurons, with the displacements of shard k written down if they are in this process."""


class LocalNeurons:
    """`Neurons` in this process: all of a network, or a portion of it.

    Parameters
    ----------
    shards : sequence of NeuronShard, default ()
    numbers : sequence of int, optional
        Of the shards, among all of the network; by default these are all.
    """

    cluster = None

    def __init__(self, shards=(), numbers=None):
        self.shards = tuple(shards)
        self.numbers = range(len(self.shards)) if numbers is None else numbers

    @property
    def n_neurons(self):
        """Number of neurons. Cost: O(shards)."""
        return sum(shard.n_neurons for shard in self.shards)

    @property
    def nbytes(self):
        """Bytes of weights. Cost: O(shards)."""
        return sum(shard.nbytes for shard in self.shards)

    # ------------------------------------------------------------------ sums

    def output_nodes(self, network, X, executor, blocks=None):
        """As of `Neurons`.

        Parameters
        ----------
        network : ShiftedReLUNetwork
        X : ndarray of shape (n, d)
        executor : ThreadExecutor
        blocks : range, optional
            For init "gaussian", the blocks of neurons of which all materialised ones are here; by default all.
        """
        return add_up(*counting_parts(network, self, executor, blocks), network.state.shift, X, executor)

    def displacement_squares(self, executor):
        """As of `Neurons`."""

        def squared(shard):
            return 0.0 if shard.displacement is None else float(np.sum(np.square(shard.displacements(), dtype=float)))

        sums = FixedSum()
        for number, square in zip(self.numbers, executor.map(squared, self.shards), strict=True):
            sums.add(number, square)
        return sums.nodes

    def firing_draws(self, planes, executor):
        """As of `Neurons`."""
        X, thresholds = planes.X, planes.thresholds(0.0)

        def fired(shard):
            return [
                np.count_nonzero(shard.initial[start : start + NEURONS_PER_PART] @ X.T > thresholds, axis=0)
                for start in range(0, shard.draws.size, NEURONS_PER_PART)
            ]

        return sum((part for parts in executor.map(fired, self.shards) for part in parts), np.zeros(len(X)))

    def movement(self, planes, executor):
        """As of `Neurons`."""
        sums, largest = FixedSum(), 0.0
        moved = executor.map(lambda shard: movement_of(shard, planes), self.shards)
        for number, part in zip(self.numbers, moved, strict=True):
            sums.add(number, part.sums)
            largest = max(largest, part.largest)
        return sums.nodes, largest

    # ------------------------------------------------------------------ the same neurons otherwise

    def frozen(self, executor):
        """As of `Neurons`."""
        return LocalNeurons(executor.map(NeuronShard.frozen, self.shards), self.numbers)

    def written_down(self, network=None, max_memory=None):
        """As of `Neurons`."""
        return LocalNeurons((shard.written_down() for shard in self.shards), self.numbers)

    def with_written_down(self, k):
        """As of `Neurons`."""
        return self._with_shard(k, self.shards[k].written_down())

    def displaced(self):
        """The same neurons with displacements as arrays, of zeros where they have not moved."""
        shards = self.shards
        return self.displaced_by(shard.displacements() for shard in shards)

    def displaced_by(self, displacements):
        """The same neurons with other displacements: an array for each shard, which is taken as it is."""
        pairs = zip(self.shards, displacements, strict=True)
        return LocalNeurons((shard._replace(displacement=array) for shard, array in pairs), self.numbers)

    def with_compacted(self, k, *, moved_alone):
        """The same neurons, of shard k what predictions need; with `moved_alone` only draws that have moved."""
        shard = self.shards[k]
        counts = shard.moved() if moved_alone else np.ones(shard.draws.size, dtype=bool)
        return self._with_shard(k, shard.compacted(counts))

    def without_empty(self):
        """The same neurons without shards that have none."""
        return LocalNeurons(shard for shard in self.shards if shard.draws.size)

    def and_those_of(self, shards, numbers):
        """These neurons, and behind them those of further shards."""
        return LocalNeurons((*self.shards, *shards), [*self.numbers, *numbers])

    def _with_shard(self, k, shard):
        return LocalNeurons((*self.shards[:k], shard, *self.shards[k + 1 :]), self.numbers)


def displacement_squared(neurons, executor):
    """|D|^2 of all neurons of a network. Cost: O(k d), or O(active pairs d) where displacements are implied."""
    return float(FixedSum(neurons.displacement_squares(executor)).total(0.0))


def outputs(network, neurons, X, executor):
    """f on any samples, with these neurons in the place of the network's.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        Drawn.
    neurons : Neurons
    X : ndarray of shape (n, d)
    executor : ThreadExecutor

    Returns
    -------
    ndarray of shape (n,), dtype=float64

    Notes
    -----
    Cost: that of `ShiftedReLUNetwork.predict`.
    """
    return FixedSum(neurons.output_nodes(network, X, executor)).total(np.zeros(len(X))) / np.sqrt(network.width)


def initial_trace(network, X, weights, executor):
    """Weighted trace of G at W(0) for samples that the network was drawn for.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    X : ndarray of shape (n, d)
    weights : ndarray of shape (n,)
    executor : ThreadExecutor

    Returns
    -------
    float

    Notes
    -----
    Cost: O(k n d) for k materialised neurons.
    """
    planes = Hyperplanes(X, network.state.shift)
    draws = network.state.neurons.firing_draws(planes, executor)
    return network.copies * float(draws @ (weights * planes.norms**2)) / network.width
