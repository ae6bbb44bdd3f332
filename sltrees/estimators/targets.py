"""Targets as numbers, as models know them, of mean 0 and variance 1, and how far outputs are from them."""

from __future__ import annotations

import numbers

import numpy as np
from sklearn.utils.validation import check_array

from sltrees.tables._deciding import MOST_CODES


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


def as_targets(y):
    """Targets as numbers, shape (n, C): of labels indicators, else the numbers; ValueError for missing ones.

    By values, whatever type holds them: words are labels, and so are whole numbers of which there are no more different
    ones than `MOST_CODES`; several columns are numbers. Cost: O(n (C + log n)).
    """
    refuse_missing(y)
    y = check_array(y, dtype=None, ensure_2d=False, input_name="y")
    if y.dtype.kind == "O" and all(isinstance(value, numbers.Real) for value in y.flat):
        y = y.astype(np.float64)
    if y.ndim > 1 and y.shape[1] > 1:
        return numbers_of(y)
    y = y.reshape(-1)
    is_of_numbers = y.dtype.kind in "iuf" and (np.any(y != np.round(y)) or len(np.unique(y)) > MOST_CODES)
    return numbers_of(y) if is_of_numbers else indicators_of(y)


def refuse_missing(y):
    """ValueError for objects that are no targets; NaN in arrays of numbers is told by scikit-learn. Cost: O(n C)."""
    values = np.asarray(y)
    if values.dtype.kind != "O" or not values.size or not values.ndim:
        return
    for place, value in enumerate(values.flat):
        if not isinstance(value, str) and is_gap(value):
            row = place // (values.size // len(values))
            raise ValueError(f"Input y contains NaN or other missing values: row {row} holds {value!r}")


def numbers_of(y):
    """Targets that are numbers, shape (n, C)."""
    return np.asarray(y, dtype=np.float64).reshape(len(y), -1)


def indicators_of(y):
    """Labels as 1 for each class, of two for the second, and 0 else, shape (n, C). Cost: O(n (C + log n))."""
    classes = np.unique(y)
    return (y[:, None] == (classes[1:] if len(classes) == 2 else classes)).astype(np.float64)


def is_gap(value):
    """Whether a value that is no string is None, NaN, NaT or the missing value of pandas. Cost: O(1)."""
    if value is None:
        return True
    try:
        return not bool(value == value)  # NaN is not equal to itself
    except TypeError:  # the missing value of pandas is neither true nor false
        return True
