"""Samples that are there several times, as one sample with a weight, and what each was before; folds."""

from __future__ import annotations

import typing

import numpy as np

from sltrees.linalg.leave_one_out import Observations

SHARES, SHARED_SAMPLES = 16, 2000  # of copies of a row and target so many are left apart, or more, up to so many of all


class DistinctSamples(typing.NamedTuple):
    """The distinct rows of a set of samples, sorted: nothing depends on the order in which samples come.

    Attributes
    ----------
    X : ndarray of shape (q, d)
    Y : ndarray of shape (q, C)
        Weighted means of the targets of equal rows: squared errors of the mean and of the targets differ by a constant.
    weights : ndarray of shape (q,)
        Sums of the weights of equal rows.
    groups : ndarray of shape (n,)
        The distinct row that each sample is.
    order : ndarray of shape (n,)
        The samples sorted by rows, then targets, then weights.
    observations : Observations
        The samples themselves, in that order.
    """

    X: np.ndarray
    Y: np.ndarray
    weights: np.ndarray
    groups: np.ndarray
    order: np.ndarray
    observations: Observations

    @property
    def merged_of(self):
        """The observations, or None where each is a distinct sample. Cost: O(1)."""
        return None if len(self.X) == len(self.groups) else self.observations

    def with_targets(self, changed):
        """The same samples with other targets: `changed` gives them for old ones, row by row. Cost: O(n C)."""
        observations = self.observations._replace(Y=changed(self.observations.Y))
        return self._replace(Y=changed(self.Y), observations=observations)


def distinct_samples(X, Y, weights):
    """Merge samples with equal rows: what is learned from them is the same, at the cost of fewer.

    Errors are measured by observations all the same, that is, by samples as they came: one is left out, and others
    with the same row stay.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, C)
    weights : ndarray of shape (n,)
        Above 0.

    Returns
    -------
    DistinctSamples

    Notes
    -----
    Cost: O(n d log n).

    Examples
    --------
    >>> distinct = distinct_samples(np.array([[2.0], [1.0], [2.0]]), np.array([[3.0], [5.0], [0.0]]), np.ones(3))
    >>> distinct.X.ravel(), distinct.Y.ravel(), distinct.weights, distinct.groups
    (array([1., 2.]), array([5. , 1.5]), array([1., 2.]), array([1, 0, 1]))
    >>> distinct.observations.groups, distinct.observations.Y.ravel()
    (array([0, 1, 1]), array([5., 0., 3.]))
    """
    rows, groups = np.unique(X + 0.0, axis=0, return_inverse=True)  # -0.0 is 0.0
    groups = groups.reshape(-1)
    order = np.lexsort((weights, *Y.T[::-1], groups))
    observations = Observations(groups[order], Y[order], weights[order])
    totals = np.bincount(observations.groups, observations.weights)
    weighted = observations.weights[:, None] * observations.Y
    means = np.stack([np.bincount(observations.groups, column) / totals for column in weighted.T], axis=1)
    if len(rows) == len(X):
        observations = observations._replace(Y=means)  # as it is learned from, to the last bit
    return DistinctSamples(rows, means, totals, groups, order, observations)


def to_learn_from(X, Y, weights):
    """Samples as models learn from them: merged where rows are equal, else as they are, bit for bit.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, C)
    weights : ndarray of shape (n,)
        Above 0.

    Returns
    -------
    tuple (X, Y, weights, observations)
        Observations are None where no rows are equal.

    Notes
    -----
    Cost: O(n d log n).

    Examples
    --------
    >>> X, Y, weights, _ = to_learn_from(np.ones((3, 1)), np.array([[0.0], [1.0], [5.0]]), np.ones(3))
    >>> X, Y, weights
    (array([[1.]]), array([[2.]]), array([3.]))
    """
    distinct = distinct_samples(X, Y, weights)
    if distinct.merged_of is None:
        return X, Y, weights, None
    return distinct.X, distinct.Y, distinct.weights, distinct.merged_of


def joined_pairs(X, Y, weights):
    """Samples with equal rows and equal targets as fewer with their joint weights: the same under any loss.

    Where equal rows always have equal targets, copies are taken for one sample of a larger weight, which folds and
    medians of errors see as such. Where some have different ones, rows are observations of what varies: a model that
    is judged by some has seen others with the same row and target, so that these become up to 16 samples, or more as
    long as there are no more than 2,000 of all.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, C)
    weights : ndarray of shape (n,)

    Returns
    -------
    chosen : ndarray of shape (q,), dtype=int64
        The first sample of each that was made, ascending.
    weights : ndarray of shape (q,)

    Notes
    -----
    Cost: O(n (d + C) log n).

    Examples
    --------
    >>> joined_pairs(np.array([[2.0], [1.0], [2.0]]), np.array([[3.0], [5.0], [3.0]]), np.ones(3))
    (array([0, 1]), array([2., 1.]))
    >>> joined_pairs(np.array([[2.0], [2.0], [2.0]]), np.array([[3.0], [5.0], [3.0]]), np.ones(3))
    (array([0, 1, 2]), array([1., 1., 1.]))
    """
    pairs = np.concatenate([X, Y], axis=1) + 0.0  # -0.0 is 0.0
    distinct, chosen, groups = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    groups = groups.reshape(-1)
    if len(np.unique(distinct[:, : X.shape[1]], axis=0)) < len(distinct):
        order = np.lexsort((weights, groups))
        starts = np.searchsorted(groups[order], np.arange(len(distinct)))
        shares = np.empty(len(groups), dtype=np.int64)
        shares[order] = np.arange(len(groups)) - starts[groups[order]]
        most = max(SHARES, SHARED_SAMPLES // len(distinct))
        _, chosen, groups = np.unique(groups * most + shares % most, return_index=True, return_inverse=True)
    order = np.argsort(chosen)
    return chosen[order], np.bincount(groups, weights)[order]


def deal_into_folds(strata, n_folds, rng):
    """Folds of equal size, with about as many of each stratum in every one.

    Parameters
    ----------
    strata : ndarray of shape (n,)
        The stratum of each sample.
    n_folds : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n,), dtype=int64
        The fold of each sample.

    Notes
    -----
    Samples are shuffled, sorted by stratum, and dealt out like cards. Cost: O(n log n).

    Examples
    --------
    >>> deal_into_folds(np.array([0, 0, 0, 0, 1, 1]), 2, np.random.default_rng(0)).sum()
    np.int64(3)
    """
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    folds = np.empty(len(strata), dtype=np.int64)
    folds[order] = np.arange(len(strata)) % n_folds
    return folds


def order_of(X, Y, weights):
    """Samples sorted by rows, then targets, then weights: the same for the same samples in any order.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, C)
    weights : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,), dtype=int64

    Notes
    -----
    Cost: O(n (d + C) log n).

    Examples
    --------
    >>> order_of(np.array([[2.0], [1.0], [1.0]]), np.array([[0.0], [5.0], [3.0]]), np.ones(3))
    array([2, 1, 0])
    """
    return np.lexsort((weights, *Y.T[::-1], *X.T[::-1]))


def deal_alike(samples, strata, n_folds, rng):
    """As `deal_into_folds`, where the order of samples (X, Y, weights) changes nothing.

    Examples
    --------
    >>> X, Y = np.arange(4.0)[:, None], np.zeros((4, 1))
    >>> folds = deal_alike((X, Y, np.ones(4)), np.zeros(4), 2, np.random.default_rng(0))
    >>> back = deal_alike((X[::-1], Y, np.ones(4)), np.zeros(4), 2, np.random.default_rng(0))
    >>> bool(np.all(folds == back[::-1]))
    True
    """
    order = order_of(*samples)
    folds = np.empty(len(order), dtype=np.int64)
    folds[order] = deal_into_folds(strata[order], n_folds, rng)
    return folds


def choose_part(strata, size, rng):
    """A part of the samples, with about the same share of each stratum.

    Parameters
    ----------
    strata : ndarray of shape (n,)
        The stratum of each sample.
    size : int
        Of the part, at most n.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (size,), dtype=int64
        Positions of samples, ascending.

    Notes
    -----
    Samples are shuffled, sorted by stratum, and taken at equal distances. Cost: O(n log n).

    Examples
    --------
    >>> strata = np.array([0, 0, 0, 0, 1, 1])
    >>> strata[choose_part(strata, 3, np.random.default_rng(0))]
    array([0, 0, 1])
    """
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    return np.sort(order[np.arange(size) * len(strata) // size])
