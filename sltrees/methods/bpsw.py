"""method="bpsw": a dense forward pass, and the Gram system by conjugate gradients preconditioned by a sketch."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from sltrees._memory import array_bytes
from sltrees.linalg.sketches import SparseSign, SubsampledHadamard
from sltrees.methods.dense import DenseMethod
from sltrees.network.random_streams import generator

# Columns of the sketch for each sample. With n of them conjugate gradients would take some three times the steps; with
# more, sketch and factor cost more than they save (asv_benchmarks/benchmarks/training.py counts steps).
_COLUMNS_PER_SAMPLE = 2

_PANEL_ROWS = 128  # of the sketch of G that one task fills


class BPSWMethod(DenseMethod):
    """All m neurons of a network; G is never formed.

    G = (H o X X^T) / m, with H = P^T P for the pattern P of zeros and ones. The sketch is of P, from m rows to 2 n, and
    keeps the structure: (C C^T o X X^T) / m is what the sketch of J, with each neuron's d weights kept apart, gives.

    Parameters
    ----------
    network, X, executor, progress
        As of `DenseMethod`.

    Notes
    -----
    Cost: O(m n d) for a step, through BLAS; for a system O(n^3) and, in each step of conjugate gradients,
    O(fired pairs d). Memory: O(m d) besides that of the network, and O(n^2).

    References
    ----------
    van den Brand, Peng, Song, Weinstein, "Training (Overparametrized) Neural Networks in Near-Linear Time", arXiv
    2006.11648, Algorithm 1. There firing pairs are found by a dense forward pass, too, but products with J are dense.
    """

    gram_held_as = ("sketch",)
    sketch_class = SparseSign

    def __init__(self, network, X, executor, progress=None):
        super().__init__(network, X, executor, progress)
        self._data = X.astype(np.float64)
        self._squares = np.einsum("ij,ij->i", self._data, self._data)
        self._sketch = self.sketch_class(
            len(self._all.signs), _COLUMNS_PER_SAMPLE * len(X), generator(network.streams.of_sketch())
        )

    @classmethod
    def bytes_needed(cls, network, planes, y, neurons, n_threads=1, *, alpha=0.0, before=None):
        """As of `Method`. Cost: O(1)."""
        n_samples, n_features = planes.X.shape
        pairs = 12 * network.width * float(planes.firing.sum())  # the pattern as one array, twice
        sketch = cls.sketch_class.bytes_needed(network.width, n_samples, _COLUMNS_PER_SAMPLE * n_samples)
        data = array_bytes(n_samples, n_features, dtype=np.float64)
        return DenseMethod.bytes_needed(network, planes, y, neurons, n_threads) + pairs + sketch + data

    def count_pairs(self, gram):
        """As of `Method`: no pair is counted. Cost: O(1)."""
        gram.refresh(self._executor)

    def gram_product(self, v):
        """As of `MethodWithProducts`. Cost: O(fired pairs d)."""
        return self._sum(lambda shard: shard.gram_product(self._data, v))

    def gram_diagonal(self):
        """As of `MethodWithProducts`. Cost: O(fired pairs)."""
        counts = sum(np.bincount(samples, minlength=self._n_samples) for _, samples in self.patterns)
        return counts * self._squares / self._root_width**2

    def approximate_gram(self, executor):
        """As of `MethodWithSketch`. Cost: O(n^3), and that of the sketch."""
        C = self._sketch.project(self._pattern_matrix(), executor)
        products = np.empty((self._n_samples, self._n_samples))

        def fill(start):
            rows = slice(start, start + _PANEL_ROWS)
            products[rows] = (C[rows] @ C.T) * (self._data[rows] @ self._data.T) / self._root_width**2

        executor.map(fill, range(0, self._n_samples, _PANEL_ROWS))
        return products

    def _pattern_matrix(self):
        """P, shape (m, n), as one sparse matrix of float32."""
        samples = np.concatenate([samples for _, samples in self.patterns])
        counts = np.concatenate([np.diff(indptr) for indptr, _ in self.patterns])
        indptr = np.concatenate([[0], np.cumsum(counts)])
        ones = np.ones(samples.size, dtype=np.float32)
        return scipy.sparse.csr_array((ones, samples, indptr), shape=(len(counts), self._n_samples))


class BPSWHadamardMethod(BPSWMethod):
    """method="bpsw-srht": the same with a subsampled Hadamard transform as the sketch, at a cost of O(n m log m)."""

    sketch_class = SubsampledHadamard
