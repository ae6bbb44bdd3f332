"""method="trees": the paper's algorithm taken literally, a correlation tree for every materialised neuron."""

from __future__ import annotations

import numpy as np

from sltrees._core._jacobian import add_jacobian_product, add_outputs, count_flips, shrink_and_step
from sltrees._memory import array_bytes
from sltrees.correlation_trees import CorrelationTrees
from sltrees.records import StepCounts

_PAIRS_PER_SHARD = 1 << 23  # (neuron, sample) products of a shard: a task of some 0.1 s, so that Ctrl-C is obeyed soon


class TreeShard:
    """A block of materialised neurons, the trees over their correlations with the data, and their fired pairs.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    X : ndarray of shape (n, d)
    shard : NeuronShard
        Its displacements are an array.
    start, stop : int
        Of its neurons; multiples of `copies`.

    Attributes
    ----------
    pattern : tuple (indptr, samples)
        The pairs that fire at the current weights, as CSR.
    """

    def __init__(self, network, X, shard, start, stop):
        self._X = X
        self._shift = network.shift_
        self._scale = 1.0 / np.sqrt(network.width)
        self._signs = network._signs(shard.neurons[start:stop])
        self._displacement = shard.displacement[start:stop]
        self._initial = shard.initial[start // shard.copies : stop // shard.copies]
        self._copies = shard.copies
        self._trees = CorrelationTrees(shard.weights(start, stop), X, max_memory=np.inf)
        self._before = None  # what `undo` restores
        self._find_fired()

    def _find_fired(self):
        """Ask the trees which neurons fire on which samples. Sets: pattern, _z."""
        indptr, samples, self._z, _ = self._trees._bank.query_all(self._shift)
        self.pattern = indptr, samples

    @property
    def n_fired(self):
        """Number of fired pairs."""
        return self._z.size

    @property
    def nbytes(self):
        """Bytes held, initial weights and displacements included. Cost: O(1)."""
        indptr, samples = self.pattern
        own = self._trees.nbytes + self._initial.nbytes + self._displacement.nbytes
        return own + indptr.nbytes + samples.nbytes + self._z.nbytes

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
        Cost: O(fired pairs d + moved n d).
        """
        moves = np.diff(self.pattern[0]) > 0
        if shrink != 1.0:
            moves |= self._displacement.any(axis=1)
        rows = np.flatnonzero(moves)
        self._before = rows, self._displacement[rows], self.pattern, self._z
        shrink_and_step(*self.pattern, self._signs, g, self._X, shrink, self._scale, rows, self._displacement)
        self._update_trees(rows)
        self._find_fired()
        return rows.size, count_flips(*self._before[2], *self.pattern)

    def undo(self):
        """Take the last step back exactly. Cost: O(moved n d)."""
        rows = self._restore()
        if rows is not None:
            self._update_trees(rows)

    def abandon(self):
        """Take back the displacements of a step that was cut off; the trees are no longer valid. Cost: O(moved d)."""
        self._restore()

    def commit(self):
        """Keep the last step."""
        self._before = None

    def _update_trees(self, rows):
        self._trees.update_weights(rows, self._initial[rows // self._copies] + self._displacement[rows])

    def _restore(self):
        if self._before is None:
            return None
        rows, displacement, self.pattern, self._z = self._before
        self._displacement[rows] = displacement
        self._before = None
        return rows


class TreesMethod:
    """Firing patterns, outputs and steps of a whole network, as sums over its shards in a fixed order.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        Initialised for X. Its displacements are updated in place.
    X : ndarray of shape (n, d)
    executor : ThreadExecutor
    progress : callable, optional
        Called as progress(shards done, shards in all).

    Notes
    -----
    Cost: O(k n d) for k materialised neurons, through BLAS. Memory: see `bytes_needed`.

    References
    ----------
    arXiv 2208.04508, Algorithm 1; the trees are those of arXiv 2211.14227.
    """

    def __init__(self, network, X, executor, progress=None):
        self._executor = executor
        self._n_samples = len(X)
        self._root_width = np.sqrt(network.width)
        # a step was taken that is neither kept nor undone
        self.step_open = False
        self.n_kept = 0  # steps kept
        network._write_down()
        for k, shard in enumerate(network._shards):
            if shard.displacement is None:
                network._shards[k] = shard._replace(displacement=shard.displacements())
        size = max(2, _PAIRS_PER_SHARD // len(X) // 2 * 2)  # even, so that pairs stay together
        parts = [
            (shard, start, min(start + size, shard.n_neurons))
            for shard in network._shards
            for start in range(0, shard.n_neurons, size)
        ]
        self._shards = executor.map(lambda part: TreeShard(network, X, *part), parts, progress)

    @classmethod
    def set_up(cls, network, planes, y, executor, progress, *, ridge):
        """Draw the network, or take it as it stands, and build the trees.

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
        network._shift_for(planes.X)  # warns where the shift has to be lowered
        network._install(network._draw(planes, None, executor, progress(0)))
        return cls(network, planes.X, executor, progress(1))

    @staticmethod
    def bytes_needed(network, planes, y, neurons):
        """Bytes for so many materialised neurons besides their initial weights. Cost: O(1)."""
        (n_samples, n_features), dtype = planes.X.shape, network.dtype
        none, one = (CorrelationTrees.bytes_needed(count, n_samples, n_features, dtype) for count in (0, 1))
        # displacements; weights being written, what undoes them, row numbers
        step = array_bytes(5, n_features, dtype=dtype) + 32
        pair = 2 * (4 + np.dtype(dtype).itemsize) + 8  # before and after a step, and the query's own result
        return neurons * (one - none + step) + network.width * float(planes.firing.sum()) * pair

    @property
    def patterns(self):
        """Firing patterns of the shards, as CSR pairs (indptr, samples)."""
        return [shard.pattern for shard in self._shards]

    @property
    def n_fired(self):
        """Number of fired (neuron, sample) pairs."""
        return sum(shard.n_fired for shard in self._shards)

    def outputs(self):
        """f on the training samples at the current weights, shape (n,), float64. Cost: O(fired pairs)."""
        return self._sum(TreeShard.outputs)

    def jacobian_displacement(self):
        """J D, shape (n,), float64. Cost: O(fired pairs d)."""
        return self._sum(TreeShard.jacobian_displacement)

    def _sum(self, part):
        total = np.zeros(self._n_samples)
        for contribution in self._executor.map(part, self._shards):
            total += contribution
        return total / self._root_width

    # the outputs are always computed from the weights
    outputs_error = 0.0
    # weights are what is stored
    is_worn = False
    # G v without G: the certified method has it
    gram_product = gram_diagonal = None

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
        moved, flips = sum(moved for moved, _ in done), sum(flips for _, flips in done)
        return StepCounts(
            reported=moved, cleared=0, visited=moved, candidates=moved * self._n_samples, flips=flips, rebuilt=0
        )

    def count_pairs(self, gram):
        """Form G from the firing patterns. Cost: O(sum over neurons of fired^2 + n^2)."""
        gram.count_pairs(self.patterns, self._executor)

    def count_flips(self, gram):
        """Form G anew from the patterns after the step."""
        self.count_pairs(gram)

    @property
    def bytes_resident(self):
        """Bytes held for the neurons. Cost: O(shards)."""
        return sum(shard.nbytes for shard in self._shards)

    def undo(self):
        """Take the last step back."""
        self._executor.map(TreeShard.undo, self._shards)
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
