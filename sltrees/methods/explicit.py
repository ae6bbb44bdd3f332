"""What methods have in common that move weights as numbers, and find anew after each step what fires."""

from __future__ import annotations

import numpy as np

from sltrees._core._jacobian import add_jacobian_product, add_outputs, count_flips, shrink_and_step
from sltrees.network.drawing import draw, shift_for
from sltrees.network.use import move_to
from sltrees.records import StepCounts


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
        self._before = None  # what `undo` restores

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

    def take_step(self, g, shrink):
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

    def undo(self):
        """Take the last step back exactly. Cost: O(moved d), and what subclasses have to do where neurons move."""
        rows = self._restore()
        if rows is not None:
            self._moved(rows)

    def abandon(self):
        """Take back the displacements of a step that was cut off; nothing else is valid then. Cost: O(moved d)."""
        self._restore()

    def commit(self):
        """Keep the last step."""
        self._before = None

    def _restore(self):
        if self._before is None:
            return None
        rows, displacement, self.pattern, self._z = self._before
        self._displacement[rows] = displacement
        self._before = None
        return rows


class ExplicitMethod:
    """Firing patterns, outputs and steps of a whole network, as sums over its shards in a fixed order.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    X : ndarray of shape (n, d)
    executor : ThreadExecutor
    shards : list of ExplicitShard
    """

    def __init__(self, network, X, executor, shards):
        self._executor, self._shards = executor, shards
        self._n_samples = len(X)
        self._root_width = np.sqrt(network.width)
        # a step was taken that is neither kept nor undone
        self.step_open = False
        self.n_kept = 0  # steps kept

    @classmethod
    def set_up(cls, network, planes, y, executor, progress, *, ridge):
        """Draw the network, or take it as it stands, and find what fires.

        Parameters
        ----------
        network : ShiftedReLUNetwork
        planes : Hyperplanes
            Of the samples.
        y : ndarray of shape (n,)
            Ignored.
        executor : ThreadExecutor
        progress : callable
            Called as progress(stage)(done, total) for stage 0, 1 of 2.
        ridge : bool
            Ignored: steps may always shrink displacements.
        """
        move_to(network, executor)
        shift_for(network, planes.X)  # warns where the shift has to be lowered
        network.state = draw(network, planes, None, executor, progress(0)).state
        # what subclasses are made from, and find their shards in
        return cls(network, planes.X, executor, progress(1))

    # the outputs are always computed from the weights
    outputs_error = 0.0
    # weights are what is stored
    is_worn = False
    gram_held_as = ("array",)
    leaves_out_silent = True

    @property
    def patterns(self):
        """Firing patterns of the shards, as CSR pairs (indptr, samples)."""
        return [shard.pattern for shard in self._shards]

    @property
    def n_fired(self):
        """Number of fired (neuron, sample) pairs."""
        return sum(shard.n_fired for shard in self._shards)

    @property
    def bytes_resident(self):
        """Bytes held for the neurons. Cost: O(shards)."""
        return sum(shard.nbytes for shard in self._shards)

    def outputs(self):
        """f on the training samples at the current weights, shape (n,), float64. Cost: O(fired pairs)."""
        return self._sum(ExplicitShard.outputs)

    def jacobian_displacement(self):
        """J D, shape (n,), float64. Cost: O(fired pairs d)."""
        return self._sum(ExplicitShard.jacobian_displacement)

    def _sum(self, part):
        total = np.zeros(self._n_samples)
        for contribution in self._executor.map(part, self._shards):
            total += contribution
        return total / self._root_width

    def take_step(self, step):
        """D <- shrink D - J^T g.

        Parameters
        ----------
        step : object with g, shrink

        Returns
        -------
        StepCounts
        """
        self.step_open = True
        done = self._executor.map(lambda shard: shard.take_step(step.g, step.shrink), self._shards)
        visited = self._n_visited(sum(moved for moved, _ in done))
        flips = sum(flips for _, flips in done)
        candidates = visited * self._n_samples
        return StepCounts(reported=visited, cleared=0, visited=visited, candidates=candidates, flips=flips, rebuilt=0)

    def _n_visited(self, n_moved):
        """Neurons that were looked at to find what fires, if so many moved."""
        return n_moved

    def count_pairs(self, gram):
        """Form G from the firing patterns. Cost: O(sum over neurons of fired^2 + n^2)."""
        gram.count_pairs(self.patterns, self._executor)

    def count_flips(self, gram):
        """Form G anew from the patterns after the step."""
        self.count_pairs(gram)

    def undo(self):
        """Take the last step back."""
        self._executor.map(lambda shard: shard.undo(), self._shards)
        self.step_open = False

    def commit(self):
        """Keep the last step."""
        # one statement decides for all shards, so that an interruption cannot split them
        self.__dict__.update(step_open=False, n_kept=self.n_kept + 1)
        for shard in self._shards:
            shard.commit()

    def abandon(self):
        """After an interruption: bring the network back to the last step kept. This object is useless afterwards."""
        if self.step_open:
            for shard in self._shards:
                shard.abandon()

    def release(self):
        """The run is over."""
