"""Method "certified": a block of neurons as lazy rows, and what the network knows of it."""

from __future__ import annotations

import numpy as np

from sltrees._core._lazy_rows import LazyRows
from sltrees._core._pools import padded
from sltrees.gram.fired_pairs import FiredPairs
from sltrees.network.near_lists import collect, empty_lists, rebuild
from sltrees.network.shards import ImpliedDisplacement
from sltrees.network.weights import signs_of
from sltrees.records import StepCounts

# Where neurons are so many that memory counts, lists are trimmed after a step that visited more than one in so many.
VISITED_TO_TRIM = 8
_ROWS_AT_A_TIME = 4096  # that are moved to where their lists were built


class CertifiedShard:
    """A block of neurons as lazy rows, and what the network knows of it.

    Parameters
    ----------
    rows : LazyRows
    shard : NeuronShard
        Of the network; its displacement is not looked at.
    planes : Hyperplanes
    skin : float
        Of its near lists.
    """

    def __init__(self, rows, shard, planes, skin):
        self.rows = rows
        self.shard, self._planes, self._skin = shard, planes, skin
        self._initial, self._copies = shard.initial, shard.copies
        self.found = None  # what the step under review found; None also where it is to be found again
        self.pending = False  # whether a step was reviewed that is neither applied nor dropped
        self.is_extended = False  # whether samples have joined since the rows were made
        self.fired_pairs = None  # those after the last step kept, once products with G were asked for

    @classmethod
    def build(cls, network, shard, planes, skin, near=None, n_silent=0):
        """From a shard of the network, wherever its neurons stand now.

        Parameters
        ----------
        network : ShiftedReLUNetwork
        shard : NeuronShard
        planes : Hyperplanes
        skin : float
        near : NearLists, optional
            Of its draws, if they are known and no neuron has moved.
        n_silent : int, default 0
            On so many samples, the first ones, no neuron fires, if none has moved: when they were drawn for, that
            was seen, and products that are rounded otherwise shall not say anything else.
        """
        signs = signs_of(network, shard.neurons)
        if shard.displacement is None:  # twins share a near list
            if near is None:
                near = empty_lists(planes, skin, shard.draws.size, keep_all=True)

                def silence(z, _):
                    np.minimum(z[:, :n_silent], planes.shift, out=z[:, :n_silent])

                collect(near, shard.initial, planes.X, veto=silence if n_silent else None)
                near.trim()
            rows = LazyRows(planes.directions, signs, near, shard.copies, skin, origin=None)
        else:
            near = empty_lists(planes, skin, shard.n_neurons, keep_all=True)
            collect(near, shard.weights(), planes.X)
            rows = LazyRows(planes.directions, signs, near, 1, skin, origin=padded(shard.displacements()))
        return cls(rows, shard, planes, skin)

    def with_samples(self, planes, further):
        """The same neurons with further samples behind those they know, as a shard of its own.

        Parameters
        ----------
        planes : Hyperplanes
            Of all samples.
        further : Hyperplanes
            Of the further ones.

        Returns
        -------
        CertifiedShard
            On further samples its neurons fire as where their lists were built, until all have been visited.

        Notes
        -----
        Cost: O(k q d) for q further samples, and a copy of all lists.
        """
        rows = self.rows
        near = empty_lists(further, self._skin, self.shard.draws.size, keep_all=True)
        for start in range(0, self.shard.n_neurons, _ROWS_AT_A_TIME):
            stop = min(start + _ROWS_AT_A_TIME, self.shard.n_neurons)
            own = np.flatnonzero(rows.owns_list(start, stop))
            weights = rows.centre_displacement(start, stop)[own, : further.X.shape[1]]
            weights += self._initial[(start + own) // self._copies]
            collect(near, weights, further.X)
        shard = CertifiedShard(rows.with_directions(planes.directions, near), self.shard, planes, self._skin)
        shard.is_extended = True
        return shard

    def implied(self, group):
        """The shard of the network, its displacement implied by the rows where `group` says that they stand."""
        return self.shard._replace(displacement=ImpliedDisplacement(self.rows, group, self.is_extended))

    def review(self, step, visit_all):
        """Look at the neurons whose certificate may end with this step. Sets: found, pending.

        Returns
        -------
        counts : StepCounts
        outputs, moved : ndarray of shape (n,)
            What flips add to sqrt(m) f / |x|, and to sqrt(m) J D / |x|.
        squared_terms : float
        """
        self.find(step, visit_all)
        self.pending = True
        found = self.found
        counts = StepCounts(
            reported=found.n_reported,
            cleared=found.n_cleared,
            visited=found.n_visited,
            candidates=found.n_candidates,
            flips=found.n_flips,
            rebuilt=found.n_strayed,
        )
        return counts, *found.corrections, found.squared_terms

    def find(self, step, visit_all):
        """Find what a step changes; the same each time until it is applied. Sets: found."""
        found = self.rows.review(step, visit_all)
        rebuild(self.rows, step, found, self._initial, self._copies, self._planes, self._skin)
        self.found = found

    def apply(self, step, visit_all, stamp, trim=False):
        """Keep the step under review, if it has not been kept yet. Sets: found, pending.

        With `trim`, after many visits lists are given what room they need; returns whether they were.
        """
        is_trimmed = False
        if self.pending:
            if self.found is None:
                self.find(step, visit_all)
            if self.found.n_flips:
                self.fired_pairs = None
            self.rows.apply(step, self.found, stamp)
            self.pending = False
            is_trimmed = trim and self.found.n_visited * VISITED_TO_TRIM > self.shard.n_neurons
            if is_trimmed:
                self.rows.trim()
        self.found = None
        return is_trimmed

    def drop(self):
        """The step under review is not kept. Sets: found, pending."""
        self.found, self.pending = None, False

    def list_fired(self):
        """The pairs that fire, listed both ways: `fired_pairs`, or new ones. Cost: O(pairs + n)."""
        return self.fired_pairs or FiredPairs(*self.rows.fired(), len(self._planes.X))

    def outputs(self, step):
        """sqrt(m) f / |x| and sqrt(m) J D / |x| from the weights themselves, flips under review not included."""
        outputs, moved = np.zeros(len(self._planes.X)), np.zeros(len(self._planes.X))
        self.rows.add_outputs(step, self._initial, self._copies, self._planes.offsets, outputs, moved)
        return outputs, moved
