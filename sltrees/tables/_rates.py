"""What targets are with each category: means that are drawn to that of all (target encoding).

Categories are taken for a sample of many, whose means have a variance of their own (random effects). That variance and
the one within categories are told by all rows, so that a mean of few rows is drawn to that of all the more, and where
categories tell nothing, each has the mean of all.
"""

from __future__ import annotations

import numpy as np

PARTS = 5  # rows that are learned from have rates of rows of other parts


def learn_rates(codes, targets, weights, n_categories):
    """The rate of each category, and the mean of all.

    Parameters
    ----------
    codes : ndarray of shape (rows,), dtype=int64
        From 0 to `n_categories - 1`.
    targets : ndarray of shape (rows, outputs)
    weights : ndarray of shape (rows,)
        Above 0: of mean 1, a weight of 2 is as two rows.
    n_categories : int

    Returns
    -------
    rates : ndarray of shape (n_categories, outputs)
        Of categories without a row the mean.
    mean : ndarray of shape (outputs,)

    Notes
    -----
    Cost: O(rows x outputs).

    References
    ----------
    Searle, Casella, McCulloch, "Variance components" (1992), section 3.6 (analysis of variance of unequal groups).
    Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes", SIGKDD Explorations 3 (2001).

    Examples
    --------
    >>> learn_rates(np.array([0, 0, 1, 1]), np.array([[2.0], [2.0], [7.0], [7.0]]), np.ones(4), 3)
    (array([[2. ],
           [7. ],
           [4.5]]), array([4.5]))
    """
    scaled, scales = _scaled(targets)
    effects, sizes, mean = _effects(codes, scaled, weights, n_categories)
    return (mean + _shares(effects, sizes, mean, codes, scaled, weights)(sizes) * effects) * scales, mean * scales


def rates_of_others(codes, targets, weights, n_categories, parts):
    """The rate of each row by rows of other parts, shape (rows, outputs). As `learn_rates`.

    How far means are drawn together is told by all rows, and the mean of all is the same for each part: where
    categories tell nothing, neither does the feature.

    Examples
    --------
    >>> codes, targets = np.array([0, 0, 1, 1]), np.array([[2.0], [2.0], [7.0], [7.0]])
    >>> rates_of_others(codes, targets, np.ones(4), 2, np.array([0, 1, 0, 1])).ravel()
    array([2., 2., 7., 7.])
    """
    scaled, scales = _scaled(targets)
    effects, sizes, mean = _effects(codes, scaled, weights, n_categories)
    shares, rates = _shares(effects, sizes, mean, codes, scaled, weights), np.empty(targets.shape)
    for part in np.unique(parts):
        here = parts == part
        effects, sizes, _ = _effects(codes[~here], scaled[~here], weights[~here], n_categories)
        rates[here] = (mean + shares(sizes) * effects)[codes[here]]
    return rates * scales


def deal_into_parts(codes, targets, weights):
    """The part of each row, shape (rows,), int64: the same for the same rows in any order. Cost: O(rows log rows)."""
    order = np.lexsort((weights, *targets.T[::-1], codes))
    parts = np.empty(len(codes), dtype=np.int64)
    parts[np.random.default_rng(0).permutation(order)] = np.arange(len(codes)) % PARTS
    return parts


def _scaled(targets):
    """Targets up to 1, so that squares neither overflow nor vanish, and what they were divided by."""
    scales = np.abs(targets).max(axis=0, initial=0.0)
    scales = np.where(scales > 0, scales, 1.0)
    return targets / scales, scales


def _effects(codes, targets, weights, n_categories):
    """Means of categories less that of all, 0 where there is no row; their weights, shape (categories, 1); the mean."""
    sizes = np.bincount(codes, weights, n_categories)[:, None]
    mean = weights @ targets / max(weights.sum(), np.finfo(np.float64).tiny)
    columns = (weights[:, None] * (targets - mean)).T
    sums = np.stack([np.bincount(codes, column, n_categories) for column in columns], axis=1)
    return sums / np.where(sizes > 0, sizes, 1.0), sizes, mean


def _shares(effects, sizes, mean, codes, targets, weights):
    """A function of the weights of categories: which share of its effect each keeps, shape (categories, outputs)."""
    n, n_categories = weights.sum(), np.count_nonzero(sizes)
    within = weights @ (targets - mean - effects[codes]) ** 2 / max(n - n_categories, np.finfo(np.float64).tiny)
    surplus = np.sum(sizes * effects**2, axis=0) - (n_categories - 1) * within
    between = np.maximum(surplus, 0.0) / max(n - np.sum(sizes**2) / n, np.finfo(np.float64).tiny)
    if n <= n_categories:  # no category comes twice: nothing tells effects from noise
        between = np.zeros_like(between)

    def shares(sizes):
        total = between * sizes + within
        return between * sizes / np.where(total > 0, total, 1.0)

    return shares
