"""method="trees": the paper's algorithm taken literally, a correlation tree for every materialised neuron."""

from __future__ import annotations

import numpy as np

from sltrees._memory import array_bytes
from sltrees.methods.explicit import ExplicitMethod, ExplicitShard
from sltrees.network.use import write_down
from sltrees.network.weights import signs_of
from sltrees.trees.correlation_trees import CorrelationTrees

_PAIRS_PER_SHARD = 1 << 23  # (neuron, sample) products of a shard: a task of some 0.1 s, so that Ctrl-C is obeyed soon


class TreeShard(ExplicitShard):
    """A block of materialised neurons, and the trees over their correlations with the data.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    X : ndarray of shape (n, d)
    shard : NeuronShard
        Its displacements are an array.
    start, stop : int
        Of its neurons; multiples of `copies`.
    """

    def __init__(self, network, X, shard, start, stop):
        initial = shard.initial[start // shard.copies : stop // shard.copies]
        signs = signs_of(network, shard.neurons[start:stop])
        super().__init__(network, X, initial, shard.displacement[start:stop], signs)
        self._trees = CorrelationTrees(shard.weights(start, stop), X, max_memory=np.inf)
        self._find_fired()

    def _find_fired(self):
        """Ask the trees which neurons fire on which samples. Sets: pattern, _z. Cost: O(fired pairs log n)."""
        found = self._trees.query_all(self._shift)
        self.pattern, self._z = (found.indptr.astype(np.int64), found.indices), found.data

    def _moved(self, rows):
        """Update the trees of these neurons. Cost: O(rows n d)."""
        self._trees.update_weights(rows, self._weights(rows))

    @property
    def nbytes(self):
        """Bytes held, initial weights and displacements included. Cost: O(1)."""
        return super().nbytes + self._trees.nbytes


class TreesMethod(ExplicitMethod):
    """All materialised neurons, with trees.

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
    Cost: O(k n d) for k materialised neurons. Memory: see `bytes_needed`.

    References
    ----------
    arXiv 2208.04508, Algorithm 1; the trees are those of arXiv 2211.14227.
    """

    def __init__(self, network, X, executor, progress=None):
        write_down(network)
        network.state = network.state.changed(neurons=network.state.neurons.displaced())
        size = max(2, _PAIRS_PER_SHARD // len(X) // 2 * 2)  # even, so that pairs stay together
        parts = [
            (shard, start, min(start + size, shard.n_neurons))
            for shard in network.state.neurons.shards
            for start in range(0, shard.n_neurons, size)
        ]
        shards = executor.map(lambda part: TreeShard(network, X, *part), parts, progress)
        super().__init__(network, X, executor, shards)

    @staticmethod
    def bytes_needed(network, planes, y, neurons, n_threads=1, *, alpha=0.0, before=None):
        """As of `Method`. Cost: O(1)."""
        (n_samples, n_features), dtype = planes.X.shape, network.dtype
        none, one = (CorrelationTrees.bytes_needed(count, n_samples, n_features, dtype) for count in (0, 1))
        # displacements; weights being written, what undoes them, row numbers
        step = array_bytes(5, n_features, dtype=dtype) + 32
        # before and after a step; the query's own result, of those shards that threads are at
        pair = 2 * (4 + np.dtype(dtype).itemsize) + 6
        return neurons * (one - none + step) + network.width * float(planes.firing.sum()) * pair
