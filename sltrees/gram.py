"""The Gram matrix G = J J^T = (H o X X^T) / m, and solving (G + c I) g = r."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from sltrees._core._jacobian import add_pair_counts

_PANEL_ROWS = 128  # rows of H that one task fills: they stay in cache, and no two tasks share one


class GramMatrix:
    """G for the current firing pattern, formed from pair counts alone.

    H_ij, the number of neurons that fire on both i and j, is an integer, so G does not depend on the order in
    which neurons are counted. G and its factors are float64 whatever the dtype of the network.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    width : int
        m.

    References
    ----------
    Cai et al., "Gram-Gauss-Newton Method", arXiv 1905.11675.

    Notes
    -----
    Memory: 28 n^2 bytes, the factor included.
    """

    def __init__(self, X, width):
        X = X.astype(np.float64, copy=False)
        self._products = X @ X.T
        self._products /= width
        self._counts = np.zeros(self._products.shape, dtype=np.int32)
        self._ordered = np.zeros_like(self._counts)
        self.matrix = np.zeros_like(self._products)
        self.n_cg_steps = self.n_factorisations = 0

    def product(self, v):
        return self.matrix @ v

    @staticmethod
    def bytes_needed(n_samples):
        """Bytes that the matrices of n samples take. Cost: O(1)."""
        return 28 * n_samples**2

    @property
    def trace(self):
        """trace(G). Cost: O(n)."""
        return float(np.trace(self.matrix))

    def count_pairs(self, patterns, executor):
        """Form G from the firing patterns of all blocks of neurons.

        Parameters
        ----------
        patterns : list of (indptr, samples)
            CSR patterns: the samples on which each neuron fires.
        executor : ThreadExecutor

        Notes
        -----
        Sets: matrix. Cost: O(sum_r c_r^2 + n^2), with c_r the number of samples on which neuron r fires.
        """
        n = len(self._counts)

        def fill(start):
            stop = min(start + _PANEL_ROWS, n)
            self._counts[start:stop] = 0
            for indptr, samples in patterns:
                add_pair_counts(indptr, samples, start, stop, self._counts)

        executor.map(fill, range(0, n, _PANEL_ROWS))
        executor.run(self._multiply)

    def add_counts(self, counters, executor):
        n = len(self._counts)
        panels = np.linspace(0, n, executor.n_threads + 1).astype(int)

        def fill(k):
            for counter in counters:
                counter(panels[k], panels[k + 1], self._ordered)

        executor.map(fill, range(len(panels) - 1))
        self._counts[:] = np.triu(self._ordered + self._ordered.T - np.diag(np.diag(self._ordered)))
        executor.run(self._multiply)

    def _multiply(self):
        """G from counts of the pairs j >= i. Sets: matrix, symmetric bit for bit."""
        for start in range(0, len(self.matrix), _PANEL_ROWS):
            stop = start + _PANEL_ROWS
            rows, rest = slice(start, stop), slice(stop, None)
            corner = np.triu(self._counts[rows, rows])
            corner += np.triu(corner, 1).T
            np.multiply(self._products[rows, rows], corner, out=self.matrix[rows, rows])
            np.multiply(self._products[rows, rest], self._counts[rows, rest], out=self.matrix[rows, rest])
            self.matrix[rest, rows] = self.matrix[rows, rest].T

    def solve(self, c, right, executor):
        """Solve (G + c I) g = right by Cholesky factorisation.

        Parameters
        ----------
        c : float
            Ridge and damping.
        right : ndarray of shape (n,)
        executor : ThreadExecutor

        Returns
        -------
        ndarray of shape (n,) or None
            None if G + c I is not positive definite to working precision.

        Notes
        -----
        Cost: O(n^3 / 3).
        """
        return executor.run(_cholesky_solve, self.matrix, c, right)

    def is_singular(self, executor):
        """Whether G is singular to working precision: factorising it fails, or a pivot vanishes. Cost: O(n^3 / 3)."""
        return executor.run(_is_singular, self.matrix)


def _factor(matrix, c):
    shifted = np.array(matrix, order="F")  # the order of LAPACK, so that it factorises in place
    shifted[np.diag_indices_from(shifted)] += c
    return scipy.linalg.cholesky(shifted, lower=True, overwrite_a=True, check_finite=False)


def _cholesky_solve(matrix, c, right):
    try:
        factor = _factor(matrix, c)
    except scipy.linalg.LinAlgError:
        return None
    g = scipy.linalg.cho_solve((factor, True), right, check_finite=False)
    return g if np.isfinite(g).all() else None


def _is_singular(matrix):
    try:
        pivots = np.diag(_factor(matrix, 0.0)) ** 2
    except scipy.linalg.LinAlgError:
        return True
    return bool(pivots.min() <= len(matrix) * np.finfo(np.float64).eps * pivots.max())
