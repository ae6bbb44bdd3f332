"""G of a run, held in one way or another, of whatever method there is when it is asked."""

from __future__ import annotations

import numpy as np

from sltrees.gram import HELD_AS


def made_gram(held_as, objective, X, width, method):
    """G, scaled by the weights of the samples; nothing is counted yet.

    Parameters
    ----------
    held_as : str
        A key of `sltrees.gram.HELD_AS`.
    objective : SquaredError
    X : ndarray of shape (n, d)
    width : int
        m.
    method : callable
        method() is that of the run, which may be another one later.

    Returns
    -------
    GramSystem

    Notes
    -----
    Cost: O(n^2) for an array, O(n) otherwise.
    """
    if held_as == "array":
        return HELD_AS[held_as](objective.scaled_samples(X), width)

    def product(v):
        found = method()
        times = found.gram_product_by_pairs if held_as == "preconditioned" else found.gram_product
        return objective.roots * times(objective.roots * v)

    arguments = [product, lambda: objective.weights * method().gram_diagonal(), len(X)]
    if held_as == "sketch":
        arguments.append(lambda executor: objective.scaled_matrix(method().approximate_gram(executor)))
    if held_as == "preconditioned":
        arguments.append(lambda samples: _columns(objective, X, width, method(), samples))
    return HELD_AS[held_as](*arguments)


def _columns(objective, X, width, method, samples):
    """Columns of G, scaled, for `PreconditionedGram`."""
    counts, scaled = method.pair_columns(samples), objective.roots / np.sqrt(width)
    right = np.reshape(scaled, (-1, 1)) * X.astype(np.float64, copy=False)
    own = right[samples]

    def columns(rows, some):
        return np.dot(right[rows], own[some].T) * counts[:, rows][some].T

    return columns
