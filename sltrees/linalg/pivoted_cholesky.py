"""Randomly pivoted Cholesky: a few columns that stand for a positive semidefinite matrix, and its part in them."""

from __future__ import annotations

import typing

import numpy as np

_PROPOSALS = 128  # pivots proposed at a time: products of blocks instead of vectors
_EXHAUSTED = 1e-12  # of the trace: less is rounding


class PivotedCholesky(typing.NamedTuple):
    """What `pivoted_cholesky` returns.

    Attributes
    ----------
    pivots : ndarray of shape (k,), dtype=int64
        In the order in which they were drawn; distinct.
    factor : ndarray of shape (n, k)
        F, with F F^T the part of the matrix that its columns at the pivots span.
    rest : ndarray of shape (n,)
        The diagonal of what is left of the matrix; 0 at pivots.
    """

    pivots: np.ndarray
    factor: np.ndarray
    rest: np.ndarray


def pivoted_cholesky(columns, diagonal, rank, rng, advance=None):
    """Draw pivots in proportion to the diagonal of what is left, and eliminate them.

    Parameters
    ----------
    columns : callable
        indices -> the columns of the matrix there, shape (n, number of indices).
    diagonal : ndarray of shape (n,)
        Of the matrix, at least 0.
    rank : int
        Pivots wanted; fewer are found where the matrix has a smaller rank.
    rng : numpy.random.Generator
    advance : callable, optional
        advance(done, total), after each block.

    Returns
    -------
    PivotedCholesky

    Notes
    -----
    Pivots are proposed many at a time, each in proportion to the diagonal as it was, and one after the other accepted
    with the share of its entry that is left: their distribution is that of the sequential method. Cost: O(n rank^2) in
    products of blocks, and rank columns, or some more.

    References
    ----------
    Chen, Epperly, Tropp, Webber, "Randomly pivoted Cholesky", arXiv 2207.06503; Epperly, Tropp, Webber, "Embrace
    rejection", arXiv 2410.03969: proposals in blocks.

    Examples
    --------
    >>> A = np.diag([4.0, 0.0, 9.0])
    >>> found = pivoted_cholesky(lambda indices: A[:, indices], np.diag(A), 3, np.random.default_rng(0))
    >>> sorted(found.pivots.tolist()), found.rest
    ([0, 2], array([0., 0., 0.]))
    """
    n = len(diagonal)
    rank = min(rank, n)
    rest = np.array(diagonal, dtype=np.float64)
    trace = rest.sum()
    factor = np.zeros((n, rank))
    pivots = np.zeros(0, dtype=np.int64)
    while len(pivots) < rank and rest.sum() > _EXHAUSTED * trace:
        done = len(pivots)
        size = min(_PROPOSALS, 2 * (rank - done))
        proposed = rng.choice(n, size, p=rest / rest.sum())
        chances = rng.random(size) * rest[proposed]
        block = columns(proposed) - factor[:, :done] @ factor[proposed, :done].T
        accepted, corner = accepted_proposals(block[proposed], chances, rank - done)
        if not len(accepted):
            continue
        new = proposed[accepted]
        # block[:, accepted] corner^-T: the columns of the factor
        fresh = np.linalg.solve(corner, block[:, accepted].T).T
        factor[:, done : done + len(new)] = fresh
        rest -= np.einsum("ij,ij->i", fresh, fresh)
        np.maximum(rest, 0.0, out=rest)
        pivots = np.concatenate([pivots, new])
        rest[pivots] = 0.0
        if advance is not None:
            advance(len(pivots), rank)
    return PivotedCholesky(pivots, factor[:, : len(pivots)], rest)


def accepted_proposals(block, chances, most):
    """Which proposals are accepted, and the Cholesky factor of their matrix: each, if its rest exceeds its chance.

    Parameters
    ----------
    block : ndarray of shape (q, q)
        What is left of the matrix at the proposals, in the order of these.
    chances : ndarray of shape (q,)
        Of each, uniform between 0 and the diagonal that it was proposed by.
    most : int
        To be accepted.

    Returns
    -------
    accepted : ndarray of int64
    corner : ndarray
        Lower triangular.

    Notes
    -----
    Cost: O(q^3).

    Examples
    --------
    >>> accepted, corner = accepted_proposals(np.diag([4.0, 9.0]), np.array([1.0, 9.5]), 2)
    >>> accepted, corner
    (array([0]), array([[2.]]))
    """
    accepted, rows = [], []
    left = block.copy()
    for k in range(len(block)):
        if len(accepted) == most:
            break
        pivot = left[k, k]
        if not pivot > chances[k] or pivot <= 1e-13 * block[k, k]:
            continue
        column = left[:, k] / np.sqrt(pivot)
        left -= np.outer(column, column)
        accepted.append(k)
        rows.append(column)
    corner = np.tril(np.array(rows).T[accepted]) if accepted else np.zeros((0, 0))
    return np.array(accepted, dtype=np.int64), corner
