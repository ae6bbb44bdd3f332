"""A randomly pivoted Cholesky factor of some columns that grows block by block, and solving with it."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from sltrees.linalg.pivoted_cholesky import accepted_proposals

_PROPOSALS = 128  # pivots proposed at a time: products of blocks instead of vectors
_EXHAUSTED = 1e-12  # of the trace: less is rounding
_PANEL_ROWS = 4096  # that one task works on


class PartialCholesky:
    """F with F F^T the part of a positive semidefinite matrix of order n that some of its columns span.

    Parameters
    ----------
    diagonal : ndarray of shape (n,)
        Of the matrix, at least 0.

    Attributes
    ----------
    pivots : ndarray of shape (k,), dtype=int64
        The columns, in the order in which they were drawn; distinct.
    rest : ndarray of shape (n,)
        The diagonal of what is left of the matrix.

    Notes
    -----
    Pivots are those of `sltrees.linalg.pivoted_cholesky`, drawn from the same random numbers each time: the same blocks
    for the same matrix, wherever growth is stopped, and whatever the number of threads. Memory: 8 n k bytes, and 24 k^2
    once something is solved with it.

    References
    ----------
    As of `sltrees.linalg.pivoted_cholesky`.

    Examples
    --------
    >>> from sltrees.execution.inline import InlineExecutor
    >>> A = np.diag([4.0, 0.0, 9.0])
    >>> factor = PartialCholesky(np.diag(A))
    >>> with InlineExecutor() as executor:
    ...     grown = factor.extend(lambda pivots: lambda rows, some: A[rows][:, pivots[some]], 3, executor)
    ...     x = factor.inverse(1.0, executor)(np.array([5.0, 2.0, 10.0]))
    >>> factor.rank, x.round(6)
    (2, array([1., 2., 1.]))
    """

    def __init__(self, diagonal):
        self.rest = np.array(diagonal, dtype=np.float64)
        self.pivots = np.zeros(0, dtype=np.int64)
        self._trace = float(self.rest.sum())
        self._blocks = []  # (n, some columns) each: F side by side
        self._inner = np.zeros((0, 0))  # F^T F, of so many of the blocks
        self._rng = np.random.default_rng(0)

    @staticmethod
    def bytes_needed(n, rank):
        """Bytes at most for so many columns, with those at work and solving. Cost: O(1)."""
        return 8 * n * (rank + min(_PROPOSALS, 2 * rank) + 8) + 32 * rank**2

    @property
    def rank(self):
        """Number of columns. Cost: O(1)."""
        return len(self.pivots)

    @property
    def is_exhausted(self):
        """Whether all of the matrix is spanned, up to rounding. Cost: O(n)."""
        return not self.rest.sum() > _EXHAUSTED * self._trace

    def extend(self, columns, most, executor):
        """Draw one more block of pivots, at most so many.

        Parameters
        ----------
        columns : callable
            columns(pivots) is a function of rows (a slice or indices) and of some of the pivots (indices into
            `pivots`), to the matrix there.
        most : int
            At least 1.
        executor : ThreadExecutor

        Returns
        -------
        bool
            False where nothing is left to be drawn.

        Notes
        -----
        Sets: pivots, rest. Cost: that of the columns, O(n rank) for each in products of blocks.
        """
        n, total = len(self.rest), self.rest.sum()
        if self.is_exhausted:
            return False
        size = min(_PROPOSALS, 2 * most)
        proposed = self._rng.choice(n, size, p=self.rest / total)
        chances = self._rng.random(size) * self.rest[proposed]
        part = columns(proposed)
        corner = part(proposed, np.arange(size))
        for block in self._blocks:
            corner -= block[proposed] @ block[proposed].T
        accepted, root = accepted_proposals(corner, chances, most)
        new = proposed[accepted]
        if not len(new):  # what is left is rounding
            return False
        inverse = scipy.linalg.solve_triangular(root, np.eye(len(new)), lower=True).T
        fresh, rest = np.empty((n, len(new))), self.rest.copy()

        def fill(rows):
            columns_here = part(rows, accepted)
            for block in self._blocks:
                columns_here -= block[rows] @ block[new].T
            np.dot(columns_here, inverse, out=fresh[rows])
            rest[rows] -= np.einsum("ij,ij->i", fresh[rows], fresh[rows])

        executor.map(fill, _panels(n))
        np.maximum(rest, 0.0, out=rest)
        rest[new] = 0.0
        # in one statement, so that Ctrl-C cannot fall between
        self.__dict__.update(rest=rest, pivots=np.concatenate([self.pivots, new]), _blocks=[*self._blocks, fresh])
        return True

    def inner(self, executor):
        """F^T F, shape (k, k). Cost: O(n k^2) in products of blocks, for columns drawn since it was last asked for."""
        known, rank = len(self._inner), self.rank
        if known < rank:
            inner = np.zeros((rank, rank))
            inner[:known, :known] = self._inner
            self._multiply(inner, known, 1.0, executor)
            self._inner = inner
        return self._inner

    def _multiply(self, inner, known, weights, executor):
        """Write F^T diag(weights) F to `inner`, but for what is known of it."""
        starts = np.cumsum([0, *(block.shape[1] for block in self._blocks)])
        pairs = [(i, j) for i in range(len(self._blocks)) for j in range(i + 1) if starts[i] >= known]

        def multiply(pair):
            i, j = pair
            left = self._blocks[i].T
            tile = (left if np.ndim(weights) == 0 else left * weights) @ self._blocks[j]
            inner[starts[i] : starts[i + 1], starts[j] : starts[j + 1]] = tile
            inner[starts[j] : starts[j + 1], starts[i] : starts[i + 1]] = tile.T

        executor.map(multiply, pairs)

    def inverse(self, shift, executor):
        """v -> (F F^T + shift I)^-1 v.

        Parameters
        ----------
        shift : float
            Above 0.
        executor : ThreadExecutor
            Also of the function that is returned.

        Returns
        -------
        callable

        Notes
        -----
        By the identity of Woodbury: (v - F (F^T F + shift I)^-1 F^T v) / shift. Cost: O(k^3), and O(n k) for each v.
        """
        if not self.rank:
            return lambda v: v / shift
        system = self.inner(executor).copy()
        system.flat[:: self.rank + 1] += shift
        return self._solver(system, 1.0, 1.0, shift, executor)

    def curved_inverse(self, c, shift, roots, executor):
        """v -> (R (F F^T + shift I) R + c I)^-1 v, R = diag(roots).

        Parameters
        ----------
        c : float
            At least 0.
        shift : float
            Above 0.
        roots : ndarray of shape (n,)
            Above 0.
        executor : ThreadExecutor
            Also of the function that is returned.

        Returns
        -------
        callable

        Notes
        -----
        As `inverse`, for the diagonal E = shift R^2 + c I. Cost: O(n k^2), and O(n k) for each v.
        """
        diagonal = shift * np.square(roots) + c
        if not self.rank:
            return lambda v: v / diagonal
        system = np.zeros((self.rank, self.rank))
        self._multiply(system, 0, np.square(roots) / diagonal, executor)
        system.flat[:: self.rank + 1] += 1.0
        over = diagonal / roots
        return self._solver(system, over, roots, over, executor)

    def _solver(self, system, inner, outer, divisor, executor):
        """v -> (v / outer - F system^-1 F^T (v / inner)) / divisor."""
        factor = executor.run(lambda: scipy.linalg.cho_factor(system, lower=True, overwrite_a=True))
        edges = np.cumsum([0, *(block.shape[1] for block in self._blocks)])

        def solve(v):
            projected, left = v / inner, v / outer
            projections = executor.map(lambda block: block.T @ projected, self._blocks)
            weights = scipy.linalg.cho_solve(factor, np.concatenate(projections))
            solution = np.empty_like(v)

            def fill(rows):
                part = left[rows]
                for block, start, stop in zip(self._blocks, edges[:-1], edges[1:], strict=True):
                    part -= block[rows] @ weights[start:stop]
                np.divide(part, divisor if np.ndim(divisor) == 0 else divisor[rows], out=solution[rows])

            executor.map(fill, _panels(len(v)))
            return solution

        return solve


def _panels(n):
    return [slice(start, min(start + _PANEL_ROWS, n)) for start in range(0, n, _PANEL_ROWS)]
