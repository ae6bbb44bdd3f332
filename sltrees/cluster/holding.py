"""What one process holds of a network, and what the instructions of a recipe do to it."""

from __future__ import annotations

import numpy as np

from sltrees.cluster.portions import Summary
from sltrees.gram.pair_counts import CountedPairs, PairCounts
from sltrees.methods.certified.group import ShardGroup
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.shards import NeuronShard


class Holding:
    """A portion of a network, in this process.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        With these shards alone.
    portion : Portion
    numbers : list of int
        Of the shards, among all of the network.
    group : ShardGroup or None
        That trains them.
    executor : ThreadExecutor
    """

    def __init__(self, network, portion, numbers, group, executor):
        self.network, self.portion, self.numbers = network, portion, numbers
        self.group, self._executor = group, executor

    # ------------------------------------------------------------------ instructions of recipes

    def begun(self, X, first, shift, skin, ridge):
        """Drawn for what is new in X, and with near lists over X built for all: a new holding.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        first : int
            Shards of the network there were before: the numbers of new ones follow.
        shift, skin : float
        ridge : bool

        Returns
        -------
        Holding

        Notes
        -----
        Cost: as of `ShiftedReLUNetwork.initialize`, and of `ShardGroup.build`.
        """
        planes = Hyperplanes(X, shift)
        network, numbers, near = self._drawn(planes, first, skin)
        network = network._with_shards([shard.written_down() for shard in network._shards])
        group = ShardGroup.build(network, network._shards, numbers, planes, skin, near, ridge, self._executor)
        return self._with_group(network, group)

    def extended(self, X, first, shift, skin):
        """Drawn for samples behind those trained on, with lists that go on over them: a new holding. As `begun`."""
        planes = Hyperplanes(X, shift)
        network, numbers, near = self._drawn(planes, first, skin)
        new = list(zip(numbers, network._shards, near, strict=True))[len(self.group.shards) :]
        return self._with_group(network, self.group.extended(network, new, planes))

    def _drawn(self, planes, first, skin):
        """Network, numbers of its shards, and their near lists where found, once it is drawn for samples."""
        network = self.network._with_shards(self.network._shards)
        every, n_seen, state = network._plan_drawing(planes)
        shards, near, numbers = [], [], []
        if len(every.X) > n_seen:
            sampling, wanted = state["_sampling"], skin if np.array_equal(every.X, planes.X) else None
            tasks = sampling.tasks(every, n_seen)
            chosen = self.portion.numbers(sampling, tasks)
            found = self._executor.map(lambda k: sampling.find(tasks[k], every, n_seen, wanted), chosen)
            shards, near = network._without_known(found)
            numbers = [first + k for k in chosen]
        near = [None] * len(network._shards) + near
        network.__dict__.update(state, _shards=[*network._shards, *shards])
        return network, [*self.numbers, *numbers], near

    def frozen(self):
        """The neurons as they stand, whoever trains these: a new holding."""
        shards = self._executor.map(NeuronShard.frozen, self.network._shards)
        return Holding(self.network._with_shards(shards), self.portion, self.numbers, None, self._executor)

    def _with_group(self, network, group):
        network = network._with_shards(group.implied())
        return Holding(network, self.portion, group.numbers, group, self._executor)

    def adopted(self, numbers, shards, state):
        """With shards that were elsewhere, and what the network knows of its samples: a new holding."""
        network = self.network._with_shards(shards)
        network.__dict__.update(state)
        return Holding(network, self.portion, numbers, None, self._executor)

    def write_down(self):
        """Make displacements arrays, and forget what only training needs."""
        self.network._write_down()
        self.group = None

    def advance(self, advance, visited):
        """Take a step that was kept elsewhere."""
        self.group.review(advance)
        self.group.keep(self.group.trajectory.n_kept, visited)

    def reviewed(self, advance):
        """Have a step under review."""
        self.group.review(advance)

    # ------------------------------------------------------------------ what is asked while training goes on

    def summary(self):
        """Of what is here. Cost: O(shards)."""
        shards, group = self.network._shards, self.group
        return Summary(
            list(self.numbers),
            [shard.draws.size for shard in shards],
            any(shard.is_displaced for shard in shards),
            group is not None and group.moved_from_start,
            0 if group is None else group.n_fired,
            sum(shard.nbytes for shard in shards) if group is None else group.nbytes,
        )

    def review(self, advance):
        """As `ShardGroup.review`."""
        return self.group.review(advance)

    def drop(self):
        """As `ShardGroup.drop`."""
        self.group.drop()

    def keep(self, n_kept, visited):
        """As `ShardGroup.keep`; with the bytes held after it."""
        return self.group.keep(n_kept, visited), self.group.nbytes

    def count_pairs(self):
        """Counts of all pairs that fire: CountedPairs. Cost: O(sum over neurons of fired^2 + n^2)."""
        pairs = PairCounts(self.group.n_samples)
        self.group.count_pairs(pairs)
        return CountedPairs.of(pairs.counts)

    def count_flips(self, n_flips):
        """What the step under review adds to counts: CountedPairs. Cost: O(flips fired + n^2)."""
        pairs = PairCounts(self.group.n_samples)
        self.group.count_flips(pairs, n_flips)
        return CountedPairs.of(pairs.counts)

    def outputs(self, kept):
        """As `ShardGroup.outputs`."""
        return self.group.outputs(kept=kept)

    def product(self, v):
        """As `ShardGroup.product`."""
        return self.group.product(v)

    def diagonal(self):
        """As `ShardGroup.diagonal`."""
        return self.group.diagonal()

    def check(self):
        """As `ShardGroup.check`."""
        self.group.check()

    # ------------------------------------------------------------------ what is asked of the neurons

    def predict(self, X):
        """sqrt(m) f as nodes of a `FixedSum`. Cost: O(moved d) per sample."""
        blocks = self.portion.blocks(self.network.width) if self.network.init == "gaussian" else None
        return self.network._output_nodes(X, self._executor, self.numbers, blocks)

    def displacement_squares(self):
        """|D|^2 as nodes of a `FixedSum`. Cost: O(active pairs d)."""
        return self.network._displacement_squares(self._executor, self.numbers)

    def firing_draws(self, X, shift):
        """How many draws fire on each sample at W(0), shape (n,). Cost: O(k n d)."""
        return self.network._firing_draws(Hyperplanes(X, shift), self._executor)

    def fetch(self, number, what):
        """Of one shard: "draws", "initial", or all of it "written_down". Cost: O(k d)."""
        shard = self.network._shards[self.numbers.index(number)]
        return shard.written_down() if what == "written_down" else getattr(shard, what)
