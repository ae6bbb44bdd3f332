"""Method "certified", the part that touches neurons: shards as lazy rows, and groups of shards that one process holds.

A group takes instructions that are the same for all groups of a network and answers with sums over its shards, as nodes
of a `FixedSum`, and with counts. Who gives the instructions is `sltrees.method_certified`; it never sees a neuron.
"""

from __future__ import annotations

import numpy as np

from sltrees._core._lazy_rows import LazyRows
from sltrees._core._pools import padded
from sltrees._memory import return_freed_memory
from sltrees.fixed_sums import FixedSum
from sltrees.hyperplanes import PRODUCTS_AT_A_TIME, Hyperplanes, collect_near
from sltrees.records import StepCounts
from sltrees.shards import ImpliedDisplacement
from sltrees.trajectory import Trajectory

# Bytes of findings of a step under review that are kept until it is. Those of further shards are found again when the
# step is kept: in the first step of a very wide network they would need a third of the memory of its neurons.
FINDINGS_KEPT = 1 << 28
_SHARDS_FOUND_AGAIN = 16  # at a time

_ROWS_AT_A_TIME = 4096  # that are moved to where their lists were built

# Fewer flips are counted by one thread: some 0.5 ms.
FEW_FLIPS = 1 << 14


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
        signs = network._signs(shard.neurons)
        if shard.displacement is None:  # twins share a near list
            if near is None:
                near = planes.near_lists(skin, shard.draws.size, keep_all=True)

                def silence(z, _):
                    np.minimum(z[:, :n_silent], planes.shift, out=z[:, :n_silent])

                collect_near(near, shard.initial, planes.X, veto=silence if n_silent else None)
                near.trim()
            rows = LazyRows(planes.directions, signs, near, shard.copies, skin, origin=None)
        else:
            near = planes.near_lists(skin, shard.n_neurons, keep_all=True)
            collect_near(near, shard.weights(), planes.X)
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
        near = further.near_lists(self._skin, self.shard.draws.size, keep_all=True)
        for start in range(0, self.shard.n_neurons, _ROWS_AT_A_TIME):
            stop = min(start + _ROWS_AT_A_TIME, self.shard.n_neurons)
            own = np.flatnonzero(rows.owns_list(start, stop))
            weights = rows.centre_displacement(start, stop)[own, : further.X.shape[1]]
            weights += self._initial[(start + own) // self._copies]
            collect_near(near, weights, further.X)
        return CertifiedShard(rows.with_directions(planes.directions, near), self.shard, planes, self._skin)

    def implied(self, group):
        """The shard of the network, its displacement implied by the rows where `group` says that they stand."""
        return self.shard._replace(displacement=ImpliedDisplacement(self.rows, group))

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
        planes = self._planes
        if found.n_strayed:
            thresholds = planes.thresholds(self._skin)
            size = max(1, PRODUCTS_AT_A_TIME // len(planes.X))
            d = planes.X.shape[1]
            for first in range(0, found.n_strayed, size):
                rows = found.strayed_rows[first : first + size]
                weights = self._initial[rows // self._copies]
                weights += found.strayed_displacement[first : first + size, :d]
                self.rows.collect_strayed(
                    step, found, first, weights @ planes.X.T, thresholds, planes.inverse_norms, planes.shift
                )
        self.found = found

    def apply(self, step, visit_all, stamp):
        """Keep the step under review, if it has not been kept yet. Sets: found, pending."""
        if self.pending:
            if self.found is None:
                self.find(step, visit_all)
            self.rows.apply(step, self.found, stamp)
            self.pending = False
        self.found = None

    def drop(self):
        """The step under review is not kept. Sets: found, pending."""
        self.found, self.pending = None, False

    def outputs(self, step):
        """sqrt(m) f / |x| and sqrt(m) J D / |x| from the weights themselves, flips under review not included."""
        outputs, moved = np.zeros(len(self._planes.X)), np.zeros(len(self._planes.X))
        self.rows.add_outputs(step, self._initial, self._copies, self._planes.offsets, outputs, moved)
        return outputs, moved


class ShardGroup:
    """The shards of a network that one process holds, under method "certified".

    Parameters
    ----------
    shards : list of CertifiedShard
    numbers : sequence of int
        Of the shards, among all of the network.
    trajectory : Trajectory
    planes : Hyperplanes
    skin : float
        Of the near lists.
    ridge : bool
        Whether steps may shrink displacements.
    executor : ThreadExecutor

    Attributes
    ----------
    n_fired : int
        Fired pairs after the last step kept.
    moved_from_start : bool
        Whether a neuron may have stood elsewhere than where it was drawn when the group was made.
    """

    def __init__(self, shards, numbers, trajectory, planes, skin, ridge, executor):
        self.shards, self.numbers, self.trajectory = shards, numbers, trajectory
        self._planes, self.skin, self.ridge, self.executor = planes, skin, ridge, executor
        self.n_fired = sum(shard.rows.n_fired for shard in shards)
        self.moved_from_start = any(shard.shard.displacement is not None for shard in shards)

    @property
    def step(self):
        """What implies displacements: a LazyStep."""
        return self.trajectory.step

    @property
    def n_samples(self):
        """n. Cost: O(1)."""
        return len(self._planes.X)

    @property
    def n_neurons(self):
        """Number of neurons. Cost: O(shards)."""
        return sum(shard.shard.n_neurons for shard in self.shards)

    @property
    def nbytes(self):
        """Bytes held for the neurons: lists, certificates, initial weights. Cost: O(shards)."""
        return sum(shard.rows.nbytes + shard.shard.nbytes for shard in self.shards)

    def implied(self):
        """The shards of the network, their displacements implied by the rows here: list of NeuronShard.

        Those written down before are forgotten. Cost: O(shards).
        """
        shards = [shard.implied(self) for shard in self.shards]
        for shard in self.shards:
            shard.shard = shard.shard._replace(displacement=None)
        return shards

    # ------------------------------------------------------------------ a step

    def review(self, advance):
        """Look at what a step would change, without changing anything.

        Parameters
        ----------
        advance : Advance

        Returns
        -------
        counts : StepCounts
        nodes : dict
            Of a `FixedSum` of vectors: what flips add to sqrt(m) f / |x|; the squared terms; and with a ridge what
            flips add to sqrt(m) J D / |x|.
        """
        self.trajectory.begin(advance)
        _, _, step = self.trajectory.trial
        held = [0]  # bytes of findings

        def review(shard):
            reviewed = shard.review(step, advance.visit_all)
            held[0] += shard.found.nbytes
            if held[0] > FINDINGS_KEPT:
                shard.found = None
            return reviewed

        counts, sums = [StepCounts(0, 0, 0, 0, 0, 0)], FixedSum()
        reviewed = self.executor.map(review, self.shards)
        for number, (part, outputs, moved, squared_terms) in zip(self.numbers, reviewed, strict=True):
            counts.append(part)
            sums.add(number, np.concatenate([outputs, [squared_terms], moved if self.ridge else []]))
        return StepCounts.total(counts), sums.nodes

    def drop(self):
        """The step under review is not kept. Nothing of it was applied. Cost: O(shards)."""
        for shard in self.shards:
            shard.drop()
        self.trajectory.trial = None

    def keep(self, n_kept, visited):
        """Keep the step under review; may be called again where that was cut off.

        Parameters
        ----------
        n_kept : int
            Steps kept before it.
        visited : bool
            Whether any neuron of the network was visited.

        Returns
        -------
        int
            Pairs that fire then.

        Notes
        -----
        Cost: O(visited + flips active).
        """
        if self.trajectory.n_kept == n_kept:
            self.executor.map(self._apply_to, self.shards)
            self.n_fired = sum(shard.rows.n_fired for shard in self.shards)
            self.trajectory.keep(visited)
        return self.n_fired

    def _apply_to(self, shard):
        if shard.pending or shard.found is not None:
            advance, position, step = self.trajectory.trial
            shard.apply(step, advance.visit_all, stamp=0 if advance.visit_all else len(position.history))

    def count_flips(self, pairs, n_flips):
        """Add what the step under review changes to pair counts; from here on it is kept.

        What has to be found again is applied at once, so that nothing is found a third time.

        Parameters
        ----------
        pairs : PairCounts
        n_flips : int
            Of the step, in all groups.

        Notes
        -----
        Cost: O(flips fired), and O(n^2).
        """
        advance, _, step = self.trajectory.trial
        again = [shard for shard in self.shards if shard.pending and shard.found is None]
        kept = [shard for shard in self.shards if shard.found is not None and shard.found.n_flips]
        for start in range(0, len(again), _SHARDS_FOUND_AGAIN):
            some = again[start : start + _SHARDS_FOUND_AGAIN]
            self.executor.map(lambda shard: shard.find(step, advance.visit_all), some)
            pairs.add_counts([self._counter(shard) for shard in some], self.executor)
            self.executor.map(self._apply_to, some)
        if again:
            return_freed_memory()
        pairs.add_counts([self._counter(shard) for shard in kept], self.executor, few=n_flips < FEW_FLIPS)

    @staticmethod
    def _counter(shard):
        return lambda start, stop, counts: shard.rows.count_flips(shard.found, start, stop, counts)

    def count_pairs(self, pairs):
        """Count all pairs that fire anew. Cost: O(sum over neurons of fired^2 + n^2)."""
        pairs.add_counts([shard.rows.count_fired for shard in self.shards], self.executor, anew=True)

    # ------------------------------------------------------------------ sums over the neurons

    def outputs(self, *, kept):
        """sqrt(m) f / |x|, and with a ridge sqrt(m) J D / |x|, from the weights: nodes of a `FixedSum`.

        Parameters
        ----------
        kept : bool
            After the last step kept, or else after that under review, but for its flips.

        Notes
        -----
        Cost: O(active pairs d).
        """
        step = self.trajectory.step if kept else self.trajectory.trial[2]
        sums = FixedSum()
        for number, (outputs, moved) in zip(
            self.numbers, self.executor.map(lambda shard: shard.outputs(step), self.shards), strict=True
        ):
            sums.add(number, np.concatenate([outputs, moved]) if self.ridge else outputs)
        return sums.nodes

    def product(self, v):
        """m G v from the fired pairs: nodes of a `FixedSum`. Cost: O(fired pairs d)."""

        def product(shard):
            out = np.zeros(len(v))
            shard.rows.gram_product(self._planes.X, v, out)
            return out

        sums = FixedSum()
        for number, part in zip(self.numbers, self.executor.map(product, self.shards), strict=True):
            sums.add(number, part)
        return sums.nodes

    def diagonal(self):
        """Neurons that fire on each sample, shape (n,), int64. Cost: O(fired pairs)."""
        none = np.zeros(len(self._planes.X), dtype=np.int64)
        return sum(self.executor.map(lambda shard: shard.rows.diagonal.astype(np.int64), self.shards), none)

    def check(self, check_rows):
        """Assert every invariant between steps; those of rows by `sltrees.reference.row_invariants.check_rows`.

        Cost: O(k n d).
        """
        for shard in self.shards:
            assert shard.found is None
            assert not shard.pending
            check_rows(shard.rows, self.step, shard._initial, shard._copies, self._planes.offsets)
        assert self.n_fired == sum(len(shard.rows.pattern[1]) for shard in self.shards)

    # ------------------------------------------------------------------ making groups

    @classmethod
    def build(cls, network, shards, numbers, planes, skin, near, ridge, executor, progress=None):
        """From shards of a network, wherever their neurons stand.

        Parameters
        ----------
        network : ShiftedReLUNetwork
        shards : list of NeuronShard
        numbers : sequence of int
            Of the shards.
        planes : Hyperplanes
        skin : float
        near : list of NearLists or None
            Of each shard, where they are known; emptied, so that memory goes as it comes.
        ridge : bool
        executor : ThreadExecutor
        progress : callable, optional

        Returns
        -------
        ShardGroup

        Notes
        -----
        Cost: O(k n d) for neurons whose lists are not known, through BLAS.
        """

        def build(k):
            lists, near[k] = near[k], None
            return CertifiedShard.build(network, shards[k], planes, skin, lists)

        built = executor.map(build, range(len(shards)), progress)
        return cls(built, numbers, Trajectory(planes, network.dtype, skin), planes, skin, ridge, executor)

    def extended(self, network, new, planes, progress=None):
        """A group for these samples and further ones behind them, that goes on where this one stands.

        Parameters
        ----------
        network : ShiftedReLUNetwork
        new : list of (number, NeuronShard, NearLists or None)
            Shards with neurons that fire on further samples alone.
        planes : Hyperplanes
            Of all samples.
        progress : callable, optional

        Returns
        -------
        ShardGroup
            This one stays as it is. Patterns of the other on further samples are those of where lists were built, until
            all have been visited.

        Notes
        -----
        Cost: O(k q d) for q further samples, and a copy of all lists.
        """
        n = len(self._planes.X)
        further = Hyperplanes(planes.X[n:], planes.shift)
        tasks = [(lambda shard: shard.with_samples(planes, further), (shard,)) for shard in self.shards]
        tasks += [
            (
                lambda shard, near: CertifiedShard.build(network, shard, planes, self.skin, near, n_silent=n),
                (shard, near),
            )
            for _, shard, near in new
        ]
        shards = self.executor.map(lambda task: task[0](*task[1]), tasks, progress)
        trajectory = Trajectory(planes, network.dtype, self.skin, before=self.trajectory)
        numbers = [*self.numbers, *(number for number, _, _ in new)]
        return ShardGroup(shards, numbers, trajectory, planes, self.skin, self.ridge, self.executor)
