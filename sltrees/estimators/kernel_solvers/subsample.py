"""Some of very many samples, on which choices are made that all are learned with."""

from __future__ import annotations

import numpy as np

from sltrees.estimators.distinct_samples import to_learn_from


def subsample(X, Y, weights, size, rng):
    """Draw observations without replacement, and merge those with equal rows.

    Parameters
    ----------
    X, Y, weights : ndarray of shape (n, d), (n, C), (n,)
    size : int
        Observations; all, if there are no more.
    rng : numpy.random.Generator

    Returns
    -------
    tuple (X, Y, weights, observations)
        As `sltrees.estimators.distinct_samples.to_learn_from` has them.

    Notes
    -----
    Cost: O(n + size d log size).

    Examples
    --------
    >>> X, Y, weights, _ = subsample(np.eye(5), np.zeros((5, 1)), np.ones(5), 3, np.random.default_rng(0))
    >>> X.shape
    (3, 5)
    """
    chosen = np.sort(rng.choice(len(X), min(size, len(X)), replace=False))
    return to_learn_from(X[chosen], Y[chosen], weights[chosen])
