"""Samples that are there several times, as one sample with a weight; folds of what is distinct."""

from __future__ import annotations

import typing

import numpy as np


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
    """

    X: np.ndarray
    Y: np.ndarray
    weights: np.ndarray
    groups: np.ndarray


def distinct_samples(X, Y, weights):
    """Merge samples with equal rows.

    A sample that is left out to measure an error must not be known from its copy, and a sample of weight 2 must be
    worth as much as two.

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
    >>> distinct = distinct_samples(np.array([[2.0], [1.0], [2.0]]), np.array([[0.0], [5.0], [3.0]]), np.ones(3))
    >>> distinct.X.ravel(), distinct.Y.ravel(), distinct.weights, distinct.groups
    (array([1., 2.]), array([5. , 1.5]), array([1., 2.]), array([1, 0, 1]))
    """
    rows, groups = np.unique(X + 0.0, axis=0, return_inverse=True)  # -0.0 is 0.0
    groups = groups.reshape(-1)
    totals = np.bincount(groups, weights, minlength=len(rows))
    means = [np.bincount(groups, weights * column, minlength=len(rows)) / totals for column in Y.T]
    return DistinctSamples(rows, np.stack(means, axis=1), totals, groups)


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
