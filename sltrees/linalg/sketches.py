"""Random projections of firing patterns: C with few columns, such that C C^T is about H."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse

_ENTRIES_AT_A_TIME = 1 << 20  # of the transform: they stay in cache, where the network is no wider than that
_FACTOR = 64  # order of the Hadamard matrices that a transform is made of: products of that size are fast


class SparseSign:
    """Each neuron is added, with random signs, to a few of the columns.

    Parameters
    ----------
    width : int
        Neurons.
    size : int
        Columns, at least 1.
    generator : numpy.random.Generator
        Used up here: an object projects always the same way.

    References
    ----------
    Clarkson, Woodruff, "Low-Rank Approximation and Regression in Input Sparsity Time", arXiv 1207.6365; with several
    columns for each row: Nelson, Nguyen, "OSNAP", arXiv 1211.1002.

    Examples
    --------
    >>> from sltrees.execution.inline import InlineExecutor
    >>> sketch = SparseSign(1000, 400, np.random.default_rng(0))
    >>> fires = scipy.sparse.csr_array(np.random.default_rng(1).random((1000, 3)) < 0.2, dtype=np.float32)
    >>> C = sketch.project(fires, InlineExecutor())
    >>> H = (fires.T @ fires).toarray()
    >>> C.shape, bool(np.abs(C @ C.T - H).max() < 0.3 * H.max())
    ((3, 400), True)
    """

    COLUMNS_OF_A_NEURON = 4

    def __init__(self, width, size, generator):
        self.size = size
        count = min(self.COLUMNS_OF_A_NEURON, size)
        # one column in each of `count` runs of columns, so that they differ
        edges = np.linspace(0, size, count + 1).astype(np.int64)
        columns = generator.integers(edges[:-1], edges[1:], (width, count))
        signs = generator.integers(0, 2, (width, count), dtype=np.int8) * 2.0 - 1.0
        starts = np.arange(0, width * count + 1, count)
        self._matrix = scipy.sparse.csr_array(
            (signs.astype(np.float32).ravel(), columns.ravel(), starts), shape=(width, size)
        ).T
        self._scale = 1.0 / np.sqrt(count)

    @staticmethod
    def bytes_needed(width, n_samples, size):
        """Bytes that it takes, and a projection with it. Cost: O(1)."""
        return 24 * SparseSign.COLUMNS_OF_A_NEURON * width + 32 * n_samples * size

    def project(self, fires, executor):
        """The columns for all samples.

        Parameters
        ----------
        fires : scipy.sparse.csr_array of shape (width, n)
            Ones where a neuron fires on a sample.
        executor : ThreadExecutor

        Returns
        -------
        ndarray of shape (n, size), dtype=float64

        Notes
        -----
        Cost: O(fired pairs) and O(n size). Sums are of whole numbers, hence exact in any order.
        """
        return executor.run(lambda: (self._matrix @ fires).toarray().T * self._scale)


class SubsampledHadamard:
    """Columns drawn from the Hadamard transform of the neurons with random signs (SRHT).

    Parameters
    ----------
    width : int
        Neurons; for the transform they are padded to a power of two.
    size : int
        Columns, at least 1; at most the power of two are made.
    generator : numpy.random.Generator
        Used up here: an object projects always the same way.

    References
    ----------
    Ailon, Chazelle, "The Fast Johnson-Lindenstrauss Transform", SIAM J. Comput. 39, 2009; Tropp, "Improved analysis of
    the subsampled randomized Hadamard transform", arXiv 1011.1595.

    Examples
    --------
    >>> from sltrees.execution.inline import InlineExecutor
    >>> sketch = SubsampledHadamard(1000, 400, np.random.default_rng(0))
    >>> fires = scipy.sparse.csr_array(np.random.default_rng(1).random((1000, 3)) < 0.2, dtype=np.float32)
    >>> C = sketch.project(fires, InlineExecutor())
    >>> H = (fires.T @ fires).toarray()
    >>> C.shape, bool(np.abs(C @ C.T - H).max() < 0.3 * H.max())
    ((3, 400), True)
    """

    def __init__(self, width, size, generator):
        self._padded = 1 << max(0, int(width - 1).bit_length())
        self._signs = (generator.integers(0, 2, width, dtype=np.int8) * 2 - 1).astype(np.float32)
        self._columns = np.sort(generator.choice(self._padded, min(size, self._padded), replace=False))
        self.size = self._columns.size

    @staticmethod
    def bytes_needed(width, n_samples, size):
        """Bytes that it takes, and a projection with it. Cost: O(1)."""
        return 12 * width + 16 * n_samples * size + 64 * max(_ENTRIES_AT_A_TIME, 2 * width)

    def project(self, fires, executor):
        """The columns for all samples: as `SparseSign.project`, at a cost of O(n m log m)."""
        fires, n_samples = fires.tocsc(), fires.shape[1]
        result = np.empty((n_samples, self.size))
        count = max(1, _ENTRIES_AT_A_TIME // self._padded)

        def transform(samples):
            some = fires[:, samples.start : samples.stop]
            neurons, owners = some.indices, np.repeat(np.arange(some.shape[1]), np.diff(some.indptr))
            entries = np.zeros((some.shape[1], self._padded), dtype=np.float32)
            entries[owners, neurons] = self._signs[neurons]
            result[samples.start : samples.stop] = hadamard_transform(entries)[:, self._columns]

        executor.map(transform, [range(start, min(start + count, n_samples)) for start in range(0, n_samples, count)])
        result /= np.sqrt(self.size)
        return result


def hadamard_transform(rows):
    """Rows times the Hadamard matrix of their length, by products with small ones of which it is the Kronecker product.

    Parameters
    ----------
    rows : ndarray of shape (k, N)
        N a power of two. Sums of whole numbers are exact while they fit the dtype.

    Returns
    -------
    ndarray of shape (k, N)

    Notes
    -----
    Cost: O(k N log N).

    Examples
    --------
    >>> hadamard_transform(np.array([[1.0, 2.0, 3.0, 4.0]]))
    array([[10., -2., -4.,  0.]])
    """
    k, length = rows.shape
    done = 1
    while done < length:
        order = min(_FACTOR, length // done)
        factor = scipy.linalg.hadamard(order, dtype=rows.dtype)
        rows = np.matmul(factor, rows.reshape(k, length // (order * done), order, done)).reshape(k, length)
        done *= order
    return rows
