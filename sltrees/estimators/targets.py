"""Targets as models know them, of mean 0 and variance 1, and how far outputs are from them."""

from __future__ import annotations

import numpy as np


def centre_and_spread(targets, weights):
    """Weighted mean and standard deviation of each column, 1 where it is constant; without overflow.

    Parameters
    ----------
    targets : ndarray of shape (n, C)
    weights : ndarray of shape (n,)

    Returns
    -------
    tuple of two ndarray of shape (C,)

    Notes
    -----
    Cost: O(n C).

    Examples
    --------
    >>> centre_and_spread(np.array([[1.0, 5.0], [3.0, 5.0]]), np.ones(2))
    (array([2., 5.]), array([1., 1.]))
    """

    scales = np.abs(targets).max(axis=0)
    scales = np.where(scales > 0, scales, 1.0)
    scaled = targets / scales
    centre = weights @ scaled / weights.sum()
    spread = np.sqrt(weights @ (scaled - centre) ** 2 / weights.sum())
    return centre * scales, np.where(spread > 1e-12 * np.abs(centre), spread * scales, 1.0)


def error_left_out(left_out, observations):
    """Weighted mean squared error at observations left out, as far as there are such; else None.

    Parameters
    ----------
    left_out : ndarray of shape (n, C) or None
        Outputs; NaN in rows that were not left out.
    observations : Observations

    Notes
    -----
    Cost: O(n C).

    Examples
    --------
    >>> from sltrees.linalg.leave_one_out import Observations
    >>> seen = Observations(np.arange(2), np.zeros((2, 1)), np.ones(2))
    >>> error_left_out(np.array([[3.0], [np.nan]]), seen)
    9.0
    """

    known = np.zeros(0) if left_out is None else ~np.isnan(left_out[:, 0])
    if not known.any():
        return None
    squares = np.sum((left_out - observations.Y)[known] ** 2, axis=1)
    return float(np.average(squares, weights=observations.weights[known]))
