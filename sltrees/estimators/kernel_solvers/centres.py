"""Centres: the few samples whose kernel functions span the model that is learned from very many."""

from __future__ import annotations

import numpy as np

from sltrees.linalg.pivoted_cholesky import pivoted_cholesky

SAMPLES_PER_CENTRE = 4  # that centres are chosen among


def draw_centres(kernel, X, n_centres, rng, executor):
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

    Returns
    -------
    ndarray of shape (m,), dtype=int64
        Rows of X, in the order in which they were drawn; no two are equal.

    Notes
    -----
    By randomly pivoted Cholesky among a part of the rows. Cost: O(4 m^3).
    """
    among = np.sort(rng.choice(len(X), min(len(X), SAMPLES_PER_CENTRE * n_centres), replace=False))
    rows = X[among]
    diagonal = np.where(rows.any(axis=1), kernel.of_itself, 0.0)

    def pivots():
        return pivoted_cholesky(lambda at: kernel.between(rows, rows[at]), diagonal, n_centres, rng).pivots

    return among[executor.run(pivots)]
