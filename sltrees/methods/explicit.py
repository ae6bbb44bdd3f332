"""What methods have in common that move weights as numbers, and find anew after each step what fires."""

from __future__ import annotations

import functools

import numpy as np

from sltrees._core._jacobian import add_jacobian_product, add_outputs, count_flips, shrink_and_step
from sltrees.network.drawing import draw, shift_for
from sltrees.network.use import move_to
from sltrees.records import StepCounts, timed


class ExplicitShard:
    """A block of neurons with their displacements, and the pairs that fire; how these are found, subclasses say.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    X : ndarray of shape (n, d)
    initial : ndarray of shape (q, d)
        Initial weights of the draws of the block.
    displacement : ndarray of shape (q copies, d)
        Of its neurons; moved in place.
    signs : ndarray of shape (q copies,)

    Attributes
    ----------
    pattern : tuple (indptr, samples)
        The pairs that fire at the current weights, as CSR.
    """

    def __init__(self, network, X, initial, displacement, signs):
        self._X, self._initial, self._displacement, self._signs = X, initial, displacement, signs
        self._copies = network.copies
        self._shift = network.shift_
        self._scale = 1.0 / np.sqrt(network.width)
        self._before = None  # what `drop` restores

    def _find_fired(self):
        """Find which neurons fire on which samples. Sets: pattern, _z."""
        raise NotImplementedError

    def _moved(self, rows):
        """Take note that weights of these neurons changed; displacements are already what they are now."""

    @property
    def n_fired(self):
        """Number of fired pairs."""
        return self._z.size

    @property
    def nbytes(self):
        """Bytes held, initial weights and displacements included. Cost: O(1)."""
        indptr, samples = self.pattern
        return self._initial.nbytes + self._displacement.nbytes + indptr.nbytes + samples.nbytes + self._z.nbytes

    def _weights(self, rows):
        """Current weights of some neurons, by their positions in the block: a copy."""
        return self._initial[rows // self._copies] + self._displacement[rows]

    def outputs(self):
        """sqrt(m) times the contribution to f on the training samples. Cost: O(fired pairs)."""
        out = np.zeros(len(self._X))
        add_outputs(*self.pattern, self._z, self._signs, self._shift, out)
        return out

    def jacobian_displacement(self):
        """sqrt(m) times the contribution to J D. Cost: O(fired pairs d)."""
        out = np.zeros(len(self._X))
        add_jacobian_product(*self.pattern, self._signs, self._displacement, self._X, out)
        return out

    def try_step(self, g, shrink):
        """D <- shrink D - J^T g for every neuron that this moves, and find what fires then.

        Returns
        -------
        tuple (moved neurons, flips)

        Notes
        -----
        Cost: O(fired pairs d), and that of finding what fires.
        """
        moves = np.diff(self.pattern[0]) > 0
        if shrink != 1.0:
            moves |= self._displacement.any(axis=1)
        rows = np.flatnonzero(moves)
        self._before = rows, self._displacement[rows], self.pattern, self._z
        shrink_and_step(*self.pattern, self._signs, g, self._X, shrink, self._scale, rows, self._displacement)
        self._moved(rows)
        self._find_fired()
        return rows.size, count_flips(*self._before[2], *self.pattern)

    def drop(self):
        """Take the last step back exactly. Cost: O(moved d), and what subclasses have to do where neurons move."""
        rows = self._restore()
        if rows is not None:
            self._moved(rows)

    def abandon(self):
        """Take back the displacements of a step that was cut off; nothing else is valid then. Cost: O(moved d)."""
        self._restore()

    def keep(self):
        """Keep the last step. Cost: O(1)."""
        self._before = None

    def _restore(self):
        if self._before is None:
            return None
        rows, displacement, self.pattern, self._z = self._before
        self._displacement[rows] = displacement
        self._before = None
        return rows


class ShardSums:
    """Sums over the shards of a network, in a fixed order.

    Parameters
    ----------
    shards : list of ExplicitShard
    executor : ThreadExecutor
    n_samples : int
    root_width : float
        sqrt(m).
    """

    def __init__(self, shards, executor, n_samples, root_width):
        self._shards, self._executor, self._n_samples, self._root_width = shards, executor, n_samples, root_width

    def __call__(self, part):
        """1/sqrt(m) times the sum of part(shard), each of shape (n,)."""
        total = np.zeros(self._n_samples)
        for contribution in self._executor.map(part, self._shards):
            total += contribution
        return total / self._root_width


class ExplicitTrial:
    """A step that was taken and can be taken back: a `sltrees.methods.protocol.Trial`.

    Parameters
    ----------
    counts : StepCounts
    sums : ShardSums
        Of where the neurons stand after the step.
    """

    error = 0.0

    def __init__(self, counts, sums):
        self.counts, self._sums = counts, sums

    @functools.cached_property
    def outputs(self):
        """As of `Trial`. Cost: O(fired pairs), once."""
        return self._sums(ExplicitShard.outputs)

    @functools.cached_property
    def jacobian_displacement(self):
        """As of `Trial`. Cost: O(fired pairs d), once."""
        return self._sums(ExplicitShard.jacobian_displacement)


class ExplicitMethod:
    """Firing patterns, outputs and steps of a whole network: a `sltrees.methods.protocol.Method`.

    Subclasses say what shards there are, and what it takes (`bytes_needed`).

    Parameters
    ----------
    network : ShiftedReLUNetwork
    X : ndarray of shape (n, d)
    executor : ThreadExecutor
    shards : list of ExplicitShard
    """

    gram_held_as = ("array",)
    leaves_out_silent = True
    is_worn = False  # weights are what is stored
    error = 0.0  # and what outputs are computed from

    def __init__(self, network, X, executor, shards):
        self._executor, self._shards = executor, shards
        self._n_samples, self._root_width = len(X), np.sqrt(network.width)
        self._sum = ShardSums(shards, executor, self._n_samples, self._root_width)
        self._tries = False  # whether a step was begun that is neither kept nor dropped
        self.kept = None

    @classmethod
    def set_up(cls, network, planes, y, executor, progress, *, ridge):
        """As of `Method`; steps may always shrink displacements."""
        move_to(network, executor)
        shift_for(network, planes.X)  # warns where the shift has to be lowered
        network.state = draw(network, planes, None, executor, progress(0)).state
        # what subclasses are made from, and find their shards in
        return cls(network, planes.X, executor, progress(1))

    @property
    def patterns(self):
        """Firing patterns of the shards, as CSR pairs (indptr, samples)."""
        return [shard.pattern for shard in self._shards]

    @property
    def n_fired(self):
        """Number of fired (neuron, sample) pairs. Cost: O(shards)."""
        return sum(shard.n_fired for shard in self._shards)

    @property
    def bytes_resident(self):
        """Bytes held for the neurons. Cost: O(shards)."""
        return sum(shard.nbytes for shard in self._shards)

    @property
    def outputs(self):
        """As of `Method`. Cost: O(fired pairs)."""
        return self._sum(ExplicitShard.outputs)

    @property
    def jacobian_displacement(self):
        """As of `Method`. Cost: O(fired pairs d)."""
        return self._sum(ExplicitShard.jacobian_displacement)

    def synchronise(self, trial=None):
        """As of `Method`: there is nothing to do."""

    def count_pairs(self, gram):
        """As of `Method`. Cost: O(sum over neurons of fired^2 + n^2)."""
        gram.count_pairs(self.patterns, self._executor)

    def try_step(self, step):
        """As of `Method`: take the step, so that it can be taken back.

        Parameters
        ----------
        step : object with g, shrink
        """
        self._tries = True
        done = self._executor.map(lambda shard: shard.try_step(step.g, step.shrink), self._shards)
        visited = self._n_visited(sum(moved for moved, _ in done))
        flips = sum(flips for _, flips in done)
        candidates = visited * self._n_samples
        counts = StepCounts(reported=visited, cleared=0, visited=visited, candidates=candidates, flips=flips, rebuilt=0)
        return ExplicitTrial(counts, self._sum)

    def _n_visited(self, n_moved):
        """Neurons that were looked at to find what fires, if so many moved."""
        return n_moved

    def keep(self, trial, gram, seconds):
        """As of `Method`. Cost: that of `count_pairs` where there were flips, and O(shards)."""
        if trial.counts.flips:
            with timed(seconds, "gram"):
                self.count_pairs(gram)
        with timed(seconds, "step"):
            self._keep(trial)

    def _keep(self, trial):
        # one statement decides for all shards, so that an interruption cannot split them
        self.__dict__.update(_tries=False, kept=trial)
        for shard in self._shards:
            shard.keep()

    def drop(self, trial):
        """As of `Method`. Cost: that of `ExplicitShard.drop`."""
        self._executor.map(lambda shard: shard.drop(), self._shards)
        self._tries = False

    def abandon(self):
        """As of `Method`; this object is useless afterwards. Cost: O(moved d)."""
        if self._tries:
            for shard in self._shards:
                shard.abandon()

    def release(self):
        """As of `Method`: there is nothing to do."""
