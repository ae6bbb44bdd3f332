"""The Cholesky factor of G + c I, in tiles: many threads can work on it, and Ctrl-C is seen between any two tasks."""

from __future__ import annotations

import copy
import itertools

import numpy as np
from scipy.linalg.blas import dtrsm, dtrsv

from sltrees._core import _lapack

# Up to this order the factor is one tile: one call of LAPACK.
ONE_TILE = 2048
TILE = 256  # large enough for matrix products to run at full speed; a task takes some 0.05 s at n = 10^4
SPAN = 2048  # columns of a strip that one task of a triangular solve reads: 4 MB

# Threads do not inherit it. Whoever asked looks at the result.
_QUIET = np.errstate(over="ignore", invalid="ignore")


class CholeskyFactor:
    """L, lower triangular, with L L^T = A + c I.

    Parameters
    ----------
    n : int
        Order of A.

    Attributes
    ----------
    c : float or None
        What was added to the diagonal; None while there is no factor: before the first factorisation, and after one
        that failed or was interrupted.

    Notes
    -----
    Strip k of rows is kept as `panels[k]`, what stands left of the diagonal tile, and `corners[k]`, that tile, in the
    order of LAPACK and with garbage above its diagonal. Tiles have a fixed size and every task writes to one tile of
    its own, so the factor is the same bit for bit whatever the number of threads.

    Memory: 8 n^2 bytes up to n = 2048, and about half of that beyond.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees.execution.threads import ThreadExecutor
    >>> factor = CholeskyFactor(2)
    >>> with ThreadExecutor(1) as executor:
    ...     factor.factorise(np.array([[3.0, 0.0], [0.0, 15.0]]), 1.0, executor)
    ...     factor.solve(np.array([4.0, 32.0]), executor)
    True
    array([1., 2.])
    """

    def __init__(self, n):
        self.n = n
        self.c = None
        self.edges = _edges(n)
        self.panels, self.corners = [], []
        self._is_shared = False  # whether others solve with these arrays

    @staticmethod
    def bytes_needed(n):
        """Bytes that a factor of order n takes, rising with n. Cost: O(n / 256)."""
        if n <= ONE_TILE:
            return 8 * n**2
        tiles = sum((stop - start) * stop for start, stop in _strips(_edges(n)))
        return 8 * max(tiles, ONE_TILE**2)

    def shared(self):
        """The same factor for somebody else: neither is changed by what the other factorises later. Cost: O(1)."""
        other = copy.copy(self)
        self._is_shared = other._is_shared = True
        return other

    def factorise(self, matrix, c, executor):
        """Replace the factor by that of matrix + c I.

        Parameters
        ----------
        matrix : ndarray of shape (n, n)
            Symmetric, float64, C order; only entries on and below the diagonal are read.
        c : float
        executor : ThreadExecutor

        Returns
        -------
        bool
            False if matrix + c I is not positive definite to working precision; there is no factor then.

        Notes
        -----
        Sets: c, panels, corners. Cost: O(n^3 / 3).
        """

        def copy(rows, columns, out):
            out[...] = matrix[rows, columns]

        return self.factorise_filled(copy, c, executor)

    def factorise_filled(self, fill, c, executor, advance=None):
        """As `factorise`, of a matrix that nobody holds.

        Parameters
        ----------
        fill : callable
            fill(rows, columns, out) writes a part of the matrix, given by slices, none above the diagonal but for
            tiles on it. Numbers of a row of `out` stand side by side.
        c : float
        executor : ThreadExecutor
        advance : callable, optional
            advance(done, total), after each column of tiles.

        Returns
        -------
        bool
        """
        self.c = None  # until the end: an interruption leaves no factor
        self._load(fill, c, executor)
        n, n_strips = self.n, len(self.corners)
        found = [self._factorise_corner(0)]
        for k, stop in enumerate(self.edges[1:]):
            if not all(found):
                return False
            if k + 1 < n_strips:
                found = _map(executor, lambda i, k=k: self._finish_tile(i, k), range(k + 1, n_strips))
            if advance is not None:  # a tile of column k takes k products: in units of them
                advance(stop**2 * (3 * n - 2 * stop), n**3)
        self.c = c
        return True

    def _load(self, fill, c, executor):
        """Write matrix + c I to the tiles. Sets: panels, corners."""
        strips = _strips(self.edges)
        if self._is_shared or not self.corners:
            panels = [np.empty((stop - start, start)) for start, stop in strips]
            corners = [np.empty((stop - start, stop - start), order="F") for start, stop in strips]
            # in one statement, so that Ctrl-C cannot fall between
            self.__dict__.update(panels=panels, corners=corners, _is_shared=False)

        def load(k):
            start, stop = strips[k]
            if start:
                fill(slice(start, stop), slice(0, start), self.panels[k])
            corner = self.corners[k]
            fill(slice(start, stop), slice(start, stop), corner.T)  # symmetric, and this way both are read in order
            corner[np.diag_indices_from(corner)] += c

        _map(executor, load, range(len(strips)))

    @_QUIET
    def _finish_tile(self, i, k):
        """L_ik = (A_ik - sum_j<k L_ij L_kj^T) L_kk^-T. False if that of the next corner, which follows, fails."""
        start, stop = self.edges[k], self.edges[k + 1]
        tile = self.panels[i][:, start:stop]
        if start:
            np.subtract(tile, self.panels[i][:, :start] @ self.panels[k].T, out=tile)
        _lapack.divide_rows(self.corners[k], tile)
        return i > k + 1 or self._factorise_corner(i)

    @_QUIET
    def _factorise_corner(self, k):
        """The corner of strip k, all that stands left of it being finished. False if a pivot is not positive."""
        corner, finished = self.corners[k], self.panels[k]
        if k:
            np.subtract(corner, finished @ finished.T, out=corner)
        return _lapack.factorise(corner) and np.isfinite(corner.diagonal()).all()

    def solve(self, right, executor):
        """(A + c I)^-1 right.

        Parameters
        ----------
        right : ndarray of shape (n,) or (n, C)
            float64.
        executor : ThreadExecutor

        Returns
        -------
        ndarray, shaped as `right`

        Notes
        -----
        Cost: O(n^2 C).
        """
        x = np.array(right)
        for k, (start, stop) in enumerate(_strips(self.edges)):  # L y = right
            panel = self.panels[k]
            for part in _map(executor, lambda span, panel=panel: np.dot(panel[:, span], x[span]), _spans(start)):
                x[start:stop] -= part
            x[start:stop] = _divided(self.corners[k], x[start:stop], trans=0)
        for k, (start, stop) in reversed(list(enumerate(_strips(self.edges)))):  # L^T x = y
            x[start:stop] = _divided(self.corners[k], x[start:stop], trans=1)
            panel, piece = self.panels[k], x[start:stop]

            @_QUIET
            def subtract(span, panel=panel, piece=piece):
                x[span] -= np.dot(piece.T, panel[:, span]).T

            _map(executor, subtract, _spans(start))
        return x

    def forward(self, columns):
        """Replace columns by L^-1 columns, in this thread.

        Parameters
        ----------
        columns : ndarray of shape (n, C)
            C order, float64. Changed in place.

        Notes
        -----
        Cost: O(n^2 C).
        """
        for k, (start, stop) in enumerate(_strips(self.edges)):
            piece = columns[start:stop]
            if start:
                piece -= self.panels[k] @ columns[:start]
            _lapack.divide_columns(self.corners[k], piece)

    def backward(self, columns):
        """Replace columns by L^-T columns, as `forward` does by L^-1 columns."""
        for k, (start, stop) in reversed(list(enumerate(_strips(self.edges)))):
            piece = columns[start:stop]
            _lapack.divide_columns(self.corners[k], piece, transposed=True)
            if start:
                columns[:start] -= self.panels[k].T @ piece

    def inverse_diagonal(self, executor, start=0):
        """The diagonal of (A + c I)^-1, or its end.

        Parameters
        ----------
        executor : ThreadExecutor
        start : int, default 0
            The first entry that is wanted.

        Returns
        -------
        ndarray of shape (n - start,)

        Notes
        -----
        It is the squared norms of the columns of L^-1, and these are 0 above the diagonal: the last k entries cost
        O(k^3 / 3). Each thread forms a strip of columns and forgets it; memory: 4 KiB n for each thread.
        """
        strips = _strips(self.edges)
        if len(strips) == 1:
            return executor.run(_squared_columns_of_inverse, self.corners[0], start)
        first_strip = max(k for k, edge in enumerate(self.edges[:-1]) if edge <= start)

        @_QUIET
        def squares(k):
            first = self.edges[k]
            columns = np.zeros((self.n - first, strips[k][1] - first))
            columns[: strips[k][1] - first] = np.eye(strips[k][1] - first)
            for i in range(k, len(strips)):
                above, stop = strips[i]
                piece = columns[above - first : stop - first]
                if i > k:
                    np.matmul(self.panels[i][:, first:above], columns[: above - first], out=piece)
                    np.negative(piece, out=piece)
                _lapack.divide_columns(self.corners[i], piece)
            return np.einsum("ij,ij->j", columns, columns)

        found = np.concatenate(executor.run_all(squares, range(first_strip, len(strips))))
        return found[start - self.edges[first_strip] :]

    @property
    def pivots(self):
        """The squared diagonal of L: what elimination divided by. Cost: O(n)."""
        return np.concatenate([corner.diagonal() for corner in self.corners]) ** 2


MOST_RAISES = 60  # of what is added to a diagonal, by factors of ten


def raise_until_definite(factorise, c):
    """Add more to a diagonal, by factors of ten, until there is a factor.

    Parameters
    ----------
    factorise : callable
        c -> whether there is one.
    c : float
        Above 0: what is added first.

    Returns
    -------
    float
        What was added.

    Raises
    ------
    numpy.linalg.LinAlgError
        If there is none, whatever is added: the matrix is not finite, or far from positive semidefinite.

    Notes
    -----
    Cost: a factorisation each time.

    Examples
    --------
    >>> raise_until_definite(lambda c: c > 0.5, 0.01)
    1.0
    """
    first = c
    for _ in range(MOST_RAISES):
        if not np.isfinite(c):
            break
        if factorise(c):
            return c
        c *= 10.0
    raise np.linalg.LinAlgError(
        f"the matrix has no Cholesky factor with {first:.3g} on its diagonal, nor with much more: it is not finite, or "
        "far from positive semidefinite"
    )


@_QUIET
def _squared_columns_of_inverse(corner, start):
    """Squared norms of the columns of L^-1 from `start` on, of one tile L."""
    inverse = np.array(corner[start:, start:], order="F")
    _lapack.invert(inverse)
    rows, squares = inverse.T, np.empty(len(inverse))  # of numbers side by side
    for first in range(0, len(rows), TILE):
        stop = min(first + TILE, len(rows))
        corner, rest = np.triu(rows[first:stop, first:stop]), rows[first:stop, stop:]  # left of it is no inverse
        squares[first:stop] = np.einsum("ij,ij->i", corner, corner) + np.einsum("ij,ij->i", rest, rest)
    return squares


def _divided(corner, right, trans):
    """L^-1 right, or L^-T right, of one tile L."""
    if right.ndim == 1:
        return dtrsv(corner, right, lower=1, trans=trans)
    return dtrsm(1.0, corner, right, lower=1, trans_a=trans)


def _map(executor, function, blocks):
    """`executor.map`, but in this thread for a single block: it is short, and a change of thread takes time."""
    return [function(blocks[0])] if len(blocks) == 1 else executor.map(function, blocks)


def _edges(n):
    """Where tiles begin, and n."""
    return [0, n] if n <= ONE_TILE else [*range(0, n, TILE), n]


def _strips(edges):
    return list(itertools.pairwise(edges))


def _spans(stop):
    """The columns left of `stop`, cut into slices."""
    return [slice(first, min(first + SPAN, stop)) for first in range(0, stop, SPAN)]
