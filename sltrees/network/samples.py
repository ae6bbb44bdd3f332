"""Samples as networks take them."""

from __future__ import annotations

import numpy as np

from sltrees._validation import as_real_matrix


def as_samples(X, name, dtype, n_columns=None):
    """A copy of a matrix of samples, in the dtype of a network.

    Parameters
    ----------
    X : array_like of shape (n, d)
    name : str
    dtype : float32 or float64
    n_columns : int, optional
        The d that it must have.

    Returns
    -------
    ndarray of shape (n, d)
        -0.0 is 0.0, whoever compares.

    Raises
    ------
    TypeError, ValueError
        If X is not a matrix of d columns of finite real numbers, or the squared norm of a row is not finite.

    Notes
    -----
    Cost: O(n d).
    """
    X = as_real_matrix(X, name, dtype, n_columns=n_columns)
    X += 0.0  # a copy: -0.0 is 0.0
    with np.errstate(over="ignore"):
        squares = np.einsum("ij,ij->i", X, X)
    if not np.isfinite(squares).all():
        i = int(np.argmax(~np.isfinite(squares)))
        raise ValueError(
            f"squared norms of the rows of {name} must be finite in {np.dtype(dtype)}, got {squares[i]} in row {i}"
        )
    return X
