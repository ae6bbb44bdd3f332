"""method="dense": dense Gauss-Newton, which looks at all m neurons in every iteration; what training is measured by."""

from __future__ import annotations

import queue

import numpy as np

from sltrees._core._jacobian import add_jacobian_product, shrink_and_step
from sltrees._memory import array_bytes
from sltrees.methods.all_neurons import AllNeurons
from sltrees.methods.explicit import ExplicitMethod, ExplicitShard

# Products of a shard: 4 MB in single precision, which stay in cache, and a task of some 10 ms.
_PAIRS_PER_SHARD = 1 << 20


class DenseShard(ExplicitShard):
    """A block of neurons, silent ones included, whose products with all samples are formed to find what fires.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    X : ndarray of shape (n, d)
    initial : ndarray of shape (q, d)
        Initial weights of the draws of the block.
    displacement : ndarray of shape (q copies, d)
        Of its neurons; moved in place.
    signs : ndarray of shape (q copies,)
    """

    def __init__(self, network, X, initial, displacement, signs):
        super().__init__(network, X, initial, displacement, signs)
        self._find_fired()

    @property
    def n_neurons(self):
        """Number of neurons. Cost: O(1)."""
        return len(self._displacement)

    def _find_fired(self):
        """Form all products. Sets: pattern, _z. Cost: O(q copies n d)."""
        self.pattern, self._z = fired_pairs(self._weights(np.arange(self.n_neurons)) @ self._X.T, self._shift)

    def gram_product(self, data, v):
        """sqrt(m) times the contribution to J J^T v, for data and v in float64. Cost: O(fired pairs d)."""
        return gram_product(self.pattern, self._signs, data, v, self._scale)

    def add_pair_counts(self, counts):
        """Add to H_ij the neurons that fire on both i and j, by a dense product: the m n^2 of the method.

        Parameters
        ----------
        counts : ndarray of shape (n, n), dtype=float64
        """
        indptr, samples = self.pattern
        mask = np.zeros((self.n_neurons, len(self._X)), dtype=np.float32)
        mask[np.repeat(np.arange(self.n_neurons), np.diff(indptr)), samples] = 1.0
        counts += mask.T @ mask


class DenseMethod(ExplicitMethod):
    """All m neurons of a network: nothing that says that most of them are silent, or stay as they are, is made use of.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        Initialised for X. Its displacements are replaced when a step is kept.
    X : ndarray of shape (n, d)
    executor : ThreadExecutor
    progress : callable, optional
        Called as progress(shards done, shards in all).

    Notes
    -----
    Cost: O(m n d) for a step, and O(m n^2) for G, through BLAS. Memory: O(m d) besides that of the network.

    Neurons that fire on no sample have no gradient, so those that ever move are materialised; displacements are given
    to the network, and everything but training itself is as with other methods. Steps are those of the other methods up
    to rounding.

    References
    ----------
    Cai et al., "Gram-Gauss-Newton Method", arXiv 1905.11675.
    """

    leaves_out_silent = False

    def __init__(self, network, X, executor, progress=None):
        self._all = everyone = AllNeurons(network)

        def build(draws):
            neurons = everyone.neurons_of(draws)
            return DenseShard(
                network, X, everyone.initial[draws], everyone.displacement[neurons], everyone.signs[neurons]
            )

        shards = executor.map(build, everyone.blocks(_PAIRS_PER_SHARD // len(X)), progress)
        super().__init__(network, X, executor, shards)

    @staticmethod
    def bytes_needed(network, planes, y, neurons, n_threads=1, *, alpha=0.0, before=None):
        """As of `Method`. Cost: O(1)."""
        (n_samples, n_features), dtype = planes.X.shape, network.dtype
        row = array_bytes(n_features, dtype=dtype)
        # initial weights of all; displacements of all, and what undoes them; those of the network, twice when replaced
        weights = network.width * (4 * row + 24) + 2 * neurons * row
        pairs = network.width * float(planes.firing.sum()) * 2 * (4 + np.dtype(dtype).itemsize)
        # products of shards; H of each thread with what is added to it, their sum, and its upper triangle
        scratch = 12.0 * _PAIRS_PER_SHARD * n_threads + (12 * n_threads + 20) * n_samples**2
        return weights + pairs + scratch

    def _n_visited(self, n_moved):
        return len(self._all.displacement)

    def count_pairs(self, gram):
        """As of `Method`. Cost: O(m n^2)."""
        H = self._pair_counts()
        upper = np.triu(H)

        def count(start, stop, counts):
            counts[start:stop] += upper[start:stop].astype(np.int32)

        gram.pairs.add_counts([count], self._executor, few=True, anew=True)
        gram.refresh(self._executor)

    def _pair_counts(self):
        """H, shape (n, n), float64. Whole numbers: it makes no difference which thread adds what, and when."""
        parts = queue.SimpleQueue()
        arrays = [np.zeros((self._n_samples, self._n_samples)) for _ in range(self._executor.n_threads)]
        for array in arrays:
            parts.put(array)

        def add(shard):
            counts = parts.get()
            try:
                shard.add_pair_counts(counts)
            finally:
                parts.put(counts)

        self._executor.map(add, self._shards)
        return sum(arrays[1:], arrays[0])

    def _keep(self, trial):
        super()._keep(trial)
        self._all.give_back(self._all.displacement)

    def abandon(self):
        """As of `Method`; this object is useless afterwards. Cost: O(m d)."""
        super().abandon()
        if self.kept is not None:  # the interruption may have fallen between keeping a step and giving it back
            self._all.give_back(self._all.displacement)


def fired_pairs(products, shift):
    """The entries of a matrix above a shift.

    Parameters
    ----------
    products : ndarray of shape (k, n)
    shift : float

    Returns
    -------
    pattern : tuple (indptr, samples)
        As CSR, int64 and int32.
    z : ndarray
        The entries.

    Notes
    -----
    Cost: O(k n).

    Examples
    --------
    >>> (indptr, samples), z = fired_pairs(np.array([[1.0, 3.0], [0.0, 0.5]]), 0.7)
    >>> indptr, samples, z
    (array([0, 2, 2]), array([0, 1], dtype=int32), array([1., 3.]))
    """
    fires = products > products.dtype.type(shift)
    indptr = np.zeros(len(products) + 1, dtype=np.int64)
    np.cumsum(np.count_nonzero(fires, axis=1), out=indptr[1:])
    places = np.flatnonzero(fires)
    return (indptr, (places % products.shape[1]).astype(np.int32)), products.ravel()[places]


def gram_product(pattern, signs, data, v, scale):
    """What some neurons add to sqrt(m) J J^T v.

    Parameters
    ----------
    pattern : tuple (indptr, samples)
        The pairs that fire, as CSR.
    signs : ndarray of shape (k,)
    data : ndarray of shape (n, d), dtype=float64
    v : ndarray of shape (n,), dtype=float64
    scale : float
        1/sqrt(m).

    Returns
    -------
    ndarray of shape (n,), dtype=float64

    Notes
    -----
    Cost: O(fired pairs d).

    Examples
    --------
    >>> pattern = np.array([0, 2]), np.array([0, 1], dtype=np.int32)
    >>> gram_product(pattern, np.ones(1), np.eye(2), np.array([1.0, 2.0]), 1.0)
    array([1., 2.])
    """
    indptr, samples = pattern
    signs, rows, out = signs.astype(np.float64), np.zeros((len(signs), data.shape[1])), np.zeros(len(data))
    # rows of J^T v
    shrink_and_step(indptr, samples, signs, v, data, 1.0, -scale, np.flatnonzero(np.diff(indptr)), rows)
    add_jacobian_product(indptr, samples, signs, rows, data, out)
    return out
