"""Centres: the few samples whose kernel functions span the model that is learned from very many."""

from __future__ import annotations

import numpy as np

from sltrees.linalg.pivoted_cholesky import pivoted_cholesky

SAMPLES_PER_CENTRE = 4  # that centres are chosen among
PIVOTED = 2048  # centres beyond these are drawn evenly: what pivoting saves is then less than it costs


def draw_centres(kernel, X, n_centres, rng, executor, advance=None):
    """Choose some rows so that the kernel with them tells most of the kernel.

    Parameters
    ----------
    kernel : sltrees.kernels.unit_rows.UnitRowsKernel
    X : ndarray of shape (n, d)
        Rows of unit norm.
    n_centres : int
        Wanted; there may be fewer, if fewer rows are distinct.
    rng : numpy.random.Generator
    executor : ThreadExecutor
    advance : callable, optional
        advance(done, total).

    Returns
    -------
    ndarray of shape (m,), dtype=int64
        Rows of X, the most telling first; no two are equal.

    Notes
    -----
    By randomly pivoted Cholesky among a part of the rows, then evenly among those left. Cost: O(4 m^3) for m up to
    2048.
    """
    n_pivots = min(n_centres, PIVOTED)
    among = np.sort(rng.choice(len(X), min(len(X), SAMPLES_PER_CENTRE * n_pivots), replace=False))
    rows = X[among]
    diagonal = np.where(rows.any(axis=1), kernel.of_itself, 0.0)

    def pivots():
        return pivoted_cholesky(lambda at: kernel.between(rows, rows[at]), diagonal, n_pivots, rng, advance).pivots

    chosen = among[executor.run(pivots)]
    wanted = n_centres - len(chosen)
    if wanted <= 0 or len(chosen) < n_pivots:
        return chosen
    taken = np.zeros(len(X), dtype=bool)
    taken[chosen] = True
    others = rng.permutation(np.nonzero(~taken)[0])
    candidates = np.concatenate([chosen, others[: 2 * wanted]])
    _, first = np.unique(X[candidates], axis=0, return_index=True)  # of equal rows the first
    return candidates[np.sort(first)][:n_centres]
