"""Method "certified", the part that touches neurons: groups of shards that one process holds.

A group takes instructions that are the same for all groups of a network and answers with sums over its shards, as nodes
of a `FixedSum`, and with counts. Who gives the instructions is `sltrees.methods.certified.method`; it never sees a
neuron.
"""

from __future__ import annotations

import numpy as np

from sltrees._core._pools import padded
from sltrees._memory import return_freed_memory
from sltrees.gram import pair_bits
from sltrees.gram.fired_pairs import count_columns
from sltrees.linalg.fixed_sums import FixedSum
from sltrees.methods.certified.shard import CertifiedShard
from sltrees.methods.certified.trajectory import Trajectory
from sltrees.network.drawing import draw
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.neurons import LocalNeurons
from sltrees.records import StepCounts

# Bytes of findings of a step under review that are kept until it is. Those of further shards are found again when the
# step is kept: in the first step of a very wide network they would need a third of the memory of its neurons.
FINDINGS_KEPT = 1 << 28
_SHARDS_FOUND_AGAIN = 16  # at a time

# Fewer flips are counted by one thread: some 0.5 ms.
FEW_FLIPS = 1 << 14

# Rows of counts that neurons add to stay in cache if they are few at a time. That pays where each neuron still adds to
# so many rows, or more, each time that its list is gone through.
COUNTS_IN_CACHE = 1 << 22  # bytes
ROWS_IN_A_PASS = 16


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
    planes : Hyperplanes
    n_fired : int
        Fired pairs after the last step kept.
    moved_from_start : bool
        Whether a neuron may have stood elsewhere than where it was drawn when the group was made.
    """

    def __init__(self, shards, numbers, trajectory, planes, skin, ridge, executor):
        self.shards, self.numbers, self.trajectory = shards, numbers, trajectory
        self.planes, self.skin, self.ridge, self.executor = planes, skin, ridge, executor
        self.n_fired = sum(shard.rows.n_fired for shard in shards)
        self.moved_from_start = any(shard.shard.displacement is not None for shard in shards)
        self._padded = None  # the samples, once products by pairs were asked for

    @property
    def step(self):
        """What implies displacements: a LazyStep."""
        return self.trajectory.step

    @property
    def n_samples(self):
        """n. Cost: O(1)."""
        return len(self.planes.X)

    @property
    def n_neurons(self):
        """Number of neurons. Cost: O(shards)."""
        return sum(shard.shard.n_neurons for shard in self.shards)

    @property
    def nbytes(self):
        """Bytes held for the neurons: lists, certificates, initial weights. Cost: O(shards)."""
        pairs = sum(shard.fired_pairs.nbytes for shard in self.shards if shard.fired_pairs is not None)
        return pairs + sum(shard.rows.nbytes + shard.shard.nbytes for shard in self.shards)

    def implied(self):
        """The neurons of the network, their displacements implied by the rows here: LocalNeurons.

        Those written down before are forgotten. Cost: O(shards).
        """
        neurons = LocalNeurons([shard.implied(self) for shard in self.shards], self.numbers)
        for shard in self.shards:
            shard.shard = shard.shard._replace(displacement=None)
        return neurons

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

    def keep(self, visited):
        """Keep the step under review; may be called again where that was cut off.

        Parameters
        ----------
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
        if self.trajectory.trial is not None:
            if self._apply_to(self.shards, self.nbytes > FINDINGS_KEPT):
                return_freed_memory()
            self.n_fired = sum(shard.rows.n_fired for shard in self.shards)
            self.trajectory.keep(visited)
        return self.n_fired

    def _apply_to(self, shards, is_large):
        """Keep the step in these shards; whether any was trimmed, which they may be where the group is large."""
        advance, position, step = self.trajectory.trial
        stamp = 0 if advance.visit_all else len(position.history)

        def apply(shard):
            return (shard.pending or shard.found is not None) and shard.apply(
                step, advance.visit_all, stamp, trim=is_large
            )

        return any(self.executor.map(apply, shards))

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
        is_large = self.nbytes > FINDINGS_KEPT
        for start in range(0, len(again), _SHARDS_FOUND_AGAIN):
            some = again[start : start + _SHARDS_FOUND_AGAIN]
            self.executor.map(lambda shard: shard.find(step, advance.visit_all), some)
            pairs.add_counts([self._counter(shard) for shard in some], self.executor)
            self._apply_to(some, is_large)
        if again:
            return_freed_memory()
        pairs.add_counts([self._counter(shard) for shard in kept], self.executor, few=n_flips < FEW_FLIPS)

    def _counter(self, shard):
        """Of the flips of a shard."""
        rows, found, n, n_neurons = shard.rows, shard.found, self.n_samples, shard.shard.n_neurons
        if pair_bits.pays(found.n_flips * rows.n_fired / max(1, n_neurons), n, n_neurons):
            return pair_bits.flips_counter(rows.fired(), found.flips[:2], n)

        def count(start, stop, counts):
            rows.count_flips(found, start, stop, counts)

        return _few_rows_at_a_time(count, n, found.n_flips, found.n_visited)

    def _counter_anew(self, shard):
        """Of all pairs of a shard."""
        rows, n, n_neurons = shard.rows, self.n_samples, shard.shard.n_neurons
        if pair_bits.pays(0.5 * rows.n_fired**2 / max(1, n_neurons), n, n_neurons):
            return pair_bits.fired_counter(rows.fired(), n)
        return _few_rows_at_a_time(rows.count_fired, n, rows.n_fired, n_neurons)

    def count_pairs(self, pairs):
        """Count all pairs that fire anew. Cost: O(sum over neurons of fired^2 + n^2)."""
        pairs.add_counts([self._counter_anew(shard) for shard in self.shards], self.executor, anew=True)

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
            shard.rows.gram_product(self.planes.X, v, out)
            return out

        sums = FixedSum()
        for number, part in zip(self.numbers, self.executor.map(product, self.shards), strict=True):
            sums.add(number, part)
        return sums.nodes

    def product_by_pairs(self, v):
        """m G v, from pairs that are listed both ways: nodes of a `FixedSum`. Cost: O(fired pairs d)."""
        if self._padded is None:
            self._padded = padded(self.planes.X)
        sums, d = FixedSum(), self.planes.X.shape[1]
        for number, pairs in zip(self.numbers, self._fired_pairs(), strict=True):
            sums.add(number, pairs.product(self._padded, d, v, self.executor))
        return sums.nodes

    def pair_columns(self, columns):
        """Neurons that fire both on each sample and on some of them, shape (q, n), int32: see `count_columns`."""
        return count_columns(self._fired_pairs(), columns, self.n_samples, self.executor)

    def _fired_pairs(self):
        """Of each shard, listed both ways. Cost: O(fired pairs) where they have changed."""
        unlisted = [shard for shard in self.shards if shard.fired_pairs is None]
        for shard, pairs in zip(unlisted, self.executor.run_all(CertifiedShard.list_fired, unlisted), strict=True):
            shard.fired_pairs = pairs
        return [shard.fired_pairs for shard in self.shards]

    def forget_fired_pairs(self):
        """Give back the memory of what products by pairs need. Cost: O(shards)."""
        self._padded = None
        for shard in self.shards:
            shard.fired_pairs = None

    def diagonal(self):
        """Neurons that fire on each sample, shape (n,), int64. Cost: O(fired pairs)."""
        none = np.zeros(len(self.planes.X), dtype=np.int64)
        return sum(self.executor.map(lambda shard: shard.rows.diagonal, self.shards), none)

    def check(self, check_rows):
        """Assert every invariant between steps; those of rows by `sltrees.reference.row_invariants.check_rows`.

        Cost: O(k n d).
        """
        for shard in self.shards:
            assert shard.found is None
            assert not shard.pending
            check_rows(shard.rows, self.step, shard._initial, shard._copies, self.planes.offsets)
        assert self.n_fired == sum(len(shard.rows.pattern[1]) for shard in self.shards)

    # ------------------------------------------------------------------ making groups

    @classmethod
    def drawn(cls, executor, network, planes, skin, ridge, progress, lists=None):
        """Of all neurons of a network, drawn for samples in this process: (ShardGroup, state of the network).

        Parameters
        ----------
        executor : ThreadExecutor
        network : ShiftedReLUNetwork
            Its state is that of the network drawn, also if what follows is interrupted.
        planes : Hyperplanes
        skin : float
        ridge : bool
        progress : callable
            As of `CertifiedMethod.set_up`.
        lists : list of NearLists or None, optional
            Of each shard, where the network was drawn for these samples before.

        Notes
        -----
        Cost: as of `ShiftedReLUNetwork.initialize`, and of `build`.
        """
        drawing = draw(network, planes, skin, executor, progress(0))
        network.state, near = drawing.state, lists or drawing.near
        del drawing, lists  # each list is forgotten when the rows have it
        return cls.build(network, planes, skin, near, ridge, executor, progress(1)), network.state

    @classmethod
    def build(cls, network, planes, skin, near, ridge, executor, progress=None):
        """Of the neurons of a network in this process, wherever they stand.

        Parameters
        ----------
        network : ShiftedReLUNetwork
            With all of its neurons, or a portion of them.
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
        neurons = network.state.neurons

        def build(k):
            lists, near[k] = near[k], None
            return CertifiedShard.build(network, neurons.shards[k], planes, skin, lists)

        built = executor.map(build, range(len(neurons.shards)), progress)
        return cls(built, neurons.numbers, Trajectory(planes, network.dtype, skin), planes, skin, ridge, executor)

    def extended(self, network, planes, progress):
        """For these samples and further ones behind them: (ShardGroup, state of the network).

        Parameters
        ----------
        network : ShiftedReLUNetwork
            As it was when this group was made, or with neurons drawn since. It stays as it is.
        planes : Hyperplanes
            Of all samples.
        progress : callable
            As of `CertifiedMethod.set_up`.

        Notes
        -----
        Cost: as of `ShiftedReLUNetwork.initialize` for further samples, and of `extended_by`.
        """
        drawing = draw(network, planes, self.skin, self.executor, progress(0))
        return self.extended_by(network, drawing, planes, progress(1)), drawing.state

    def extended_by(self, network, drawing, planes, progress=None):
        """A group for these samples and further ones behind them, that goes on where this one stands.

        Parameters
        ----------
        network : ShiftedReLUNetwork
        drawing : Drawing
            For all samples: behind the shards here are those of neurons drawn now, or for other samples since this
            group was made. None fires on samples that are known here.
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
        neurons, known = drawing.state.neurons, len(self.shards)
        n = len(self.planes.X)
        further = Hyperplanes(planes.X[n:], planes.shift)
        tasks = [(lambda shard: shard.with_samples(planes, further), (shard,)) for shard in self.shards]
        tasks += [
            (
                lambda shard, near: CertifiedShard.build(network, shard, planes, self.skin, near, n_silent=n),
                (shard, near),
            )
            for shard, near in zip(neurons.shards[known:], drawing.near[known:], strict=True)
        ]
        shards = self.executor.map(lambda task: task[0](*task[1]), tasks, progress)
        trajectory = Trajectory(planes, network.dtype, self.skin, before=self.trajectory)
        return ShardGroup(shards, neurons.numbers, trajectory, planes, self.skin, self.ridge, self.executor)


def _few_rows_at_a_time(count, n_samples, n_rows, n_neurons):
    """A counter that does the same as `count`, in several passes over the lists of neurons if that is faster.

    n_rows are those that some neuron adds to, counted for each of the neurons.
    """
    n_passes = -(-4 * n_samples**2 // COUNTS_IN_CACHE)
    if n_passes == 1 or n_rows <= n_passes * ROWS_IN_A_PASS * n_neurons:
        return count
    size = -(-n_samples // n_passes)

    def count_in_passes(start, stop, counts):
        for first in range(start, stop, size):
            count(first, min(first + size, stop), counts)

    return count_in_passes
