"""What one process holds of a network, and what the instructions of a recipe do to it."""

from __future__ import annotations

from sltrees.cluster.portions import Summary
from sltrees.gram.pair_counts import CountedPairs, PairCounts, smallest_integers
from sltrees.methods.certified.group import ShardGroup
from sltrees.network.drawing import draw
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.neurons import LocalNeurons
from sltrees.network.state import with_state
from sltrees.network.use import write_down


class Holding:
    """A portion of a network, in this process.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        With these shards alone, numbered among all of it.
    portion : Portion
    group : ShardGroup or None
        That trains them.
    executor : ThreadExecutor
    """

    def __init__(self, network, portion, group, executor):
        self.network, self.portion, self.group, self._executor = network, portion, group, executor

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
        planes, drawing = self._drawn(X, first, shift, skin)
        network = with_state(self.network, drawing.state.changed(neurons=drawing.state.neurons.written_down()))
        group = ShardGroup.build(network, planes, skin, drawing.near, ridge, self._executor)
        return self._with_group(network.state, group)

    def extended(self, X, first, shift, skin):
        """Drawn for samples behind those trained on, with lists that go on over them: a new holding. As `begun`."""
        planes, drawing = self._drawn(X, first, shift, skin)
        return self._with_group(drawing.state, self.group.extended_by(self.network, drawing, planes))

    def _drawn(self, X, first, shift, skin):
        """Hyperplanes, and what drawing the portion for them gives."""
        planes = Hyperplanes(X, shift)
        return planes, draw(self.network, planes, skin, self._executor, portion=self.portion, first=first)

    def frozen(self):
        """The neurons as they stand, whoever trains these: a new holding."""
        state = self.network.state
        return self._with(state.changed(neurons=state.neurons.frozen(self._executor)))

    def adopted(self, numbers, shards, state):
        """With shards that were elsewhere, and what the network knows of its samples: a new holding."""
        return self._with(state.changed(neurons=LocalNeurons(shards, numbers)))

    def _with_group(self, state, group):
        return self._with(state.changed(neurons=group.implied()), group)

    def _with(self, state, group=None):
        return Holding(with_state(self.network, state), self.portion, group, self._executor)

    def write_down(self):
        """Make displacements arrays, and forget what only training needs."""
        write_down(self.network)
        self.group = None

    def advance(self, advance, visited):
        """Take a step that was kept elsewhere."""
        self.group.review(advance)
        self.group.keep(visited)

    def reviewed(self, advance):
        """Have a step under review."""
        self.group.review(advance)

    # ------------------------------------------------------------------ what is asked while training goes on

    def summary(self):
        """Of what is here. Cost: O(shards)."""
        neurons, group = self.network.state.neurons, self.group
        return Summary(
            list(neurons.numbers),
            [shard.draws.size for shard in neurons.shards],
            any(shard.is_displaced for shard in neurons.shards),
            group is not None and group.moved_from_start,
            0 if group is None else group.n_fired,
            neurons.nbytes if group is None else group.nbytes,
        )

    def review(self, advance):
        """As `ShardGroup.review`."""
        return self.group.review(advance)

    def drop(self):
        """As `ShardGroup.drop`."""
        self.group.drop()

    def keep(self, n_kept, visited):
        """As `ShardGroup.keep`, of the step after so many that were kept; with the bytes held after it."""
        if self.group.trajectory.n_kept == n_kept:
            self.group.keep(visited)
        return self.group.n_fired, self.group.nbytes

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

    def product_by_pairs(self, v):
        """As `ShardGroup.product_by_pairs`."""
        return self.group.product_by_pairs(v)

    def pair_columns(self, columns):
        """As `ShardGroup.pair_columns`, of the smallest dtype that holds them."""
        counts = self.group.pair_columns(columns)
        return counts.astype(smallest_integers(counts))

    def diagonal(self):
        """As `ShardGroup.diagonal`."""
        return self.group.diagonal()

    def check(self, check_rows):
        """As `ShardGroup.check`."""
        self.group.check(check_rows)

    # ------------------------------------------------------------------ what is asked of the neurons

    def predict(self, X):
        """sqrt(m) f as nodes of a `FixedSum`. Cost: O(moved d) per sample."""
        blocks = self.portion.blocks(self.network.width) if self.network.init == "gaussian" else None
        return self.network.state.neurons.output_nodes(self.network, X, self._executor, blocks)

    def displacement_squares(self):
        """|D|^2 as nodes of a `FixedSum`. Cost: O(active pairs d)."""
        return self.network.state.neurons.displacement_squares(self._executor)

    def firing_draws(self, X, shift):
        """How many draws fire on each sample at W(0), shape (n,). Cost: O(k n d)."""
        return self.network.state.neurons.firing_draws(Hyperplanes(X, shift), self._executor)

    def movement(self, X, shift):
        """As of `Neurons`, for samples X; None: those trained on."""
        planes = self.group.planes if X is None else Hyperplanes(X, shift)
        return self.network.state.neurons.movement(planes, self._executor)

    def fetch(self, number, what):
        """Of one shard: "draws", "initial", or all of it "written_down". Cost: O(k d)."""
        neurons = self.network.state.neurons
        shard = neurons.shards[neurons.numbers.index(number)]
        return shard.written_down() if what == "written_down" else getattr(shard, what)
