"""Samples as networks take them: checked once, and told from others by a fingerprint that is taken once."""

from __future__ import annotations

import functools
import hashlib

import numpy as np

from sltrees._validation import as_real_matrix


class Samples:
    """The rows of a matrix.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        C-ordered, in the dtype of a network, as `samples_for` makes it. Not to be written to.

    Attributes
    ----------
    fingerprint : tuple ((n, d), str)
        What tells the samples from others, as of `fingerprint_of`. Cost: O(n d) once.

    Examples
    --------
    >>> a, b = Samples(np.eye(2)), Samples(np.ones((2, 2)))
    >>> a.fingerprint == Samples(np.eye(2)).fingerprint, a.fingerprint == b.fingerprint
    (True, False)
    """

    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    @functools.cached_property
    def _hashed(self):
        return hashlib.sha256(self.X.data)

    @functools.cached_property
    def fingerprint(self):
        """Of the samples alone."""
        return (self.X.shape, self._hashed.hexdigest())

    def fingerprint_with(self, weights):
        """Of the samples and weights of them, None for none. Cost: O(n) once the samples have been hashed."""
        if weights is None:
            return self.fingerprint
        sha = self._hashed.copy()
        sha.update(weights.data)
        return (self.X.shape, sha.hexdigest())

    def first(self, n):
        """The first n of them; all are these themselves."""
        return self if n == len(self.X) else Samples(self.X[:n])

    def behind(self, seen):
        """All samples seen before, and behind them those of these that were not.

        Parameters
        ----------
        seen : ndarray of shape (n', d)

        Returns
        -------
        ndarray
            All of these if they begin with what was seen.

        Notes
        -----
        Cost: O(n d + n' d).

        Examples
        --------
        >>> Samples(np.array([[1.0], [2.0]])).behind(np.array([[2.0], [3.0]])).T
        array([[2., 3., 1.]])
        """
        if np.array_equal(self.X[: len(seen)], seen):
            return self.X
        known = {row.tobytes() for row in seen}
        return np.concatenate([seen, *(row[None] for row in self.X if row.tobytes() not in known)])


def fingerprint_of(array, weights=None):
    """What tells sets of samples apart, or other arrays, and weights of them.

    Parameters
    ----------
    array : ndarray or Samples
        C-ordered.
    weights : ndarray, optional

    Returns
    -------
    tuple (shape, str)

    Notes
    -----
    Cost: O(numbers); O(weights) for samples that have been hashed before.

    Examples
    --------
    >>> fingerprint_of(np.zeros(3))[0]
    (3,)
    """
    samples = array if isinstance(array, Samples) else Samples(array)
    return samples.fingerprint_with(weights)


def samples_for(network, X, name="X", n_columns=None):
    """Samples as a network takes them.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        Whose dtype they get, and, if it is drawn, whose number of features they must have.
    X : array_like of shape (n, d)
    name : str
    n_columns : int, optional
        The d that X must have where the network is not drawn.

    Returns
    -------
    Samples
        Of a copy of X.

    Raises
    ------
    TypeError, ValueError
        If X is not a matrix of d columns of finite real numbers, or the squared norm of a row is not finite.

    Notes
    -----
    Cost: O(n d).
    """
    n_columns = n_columns if network.state.n_features is None else network.state.n_features
    return Samples(as_samples(X, name, network.dtype, n_columns))


def as_samples(X, name, dtype, n_columns=None):
    """A copy of a matrix of samples, in the dtype of a network: as `samples_for`, without one.

    Parameters
    ----------
    X : array_like of shape (n, d)
    name : str
    dtype : float32 or float64
    n_columns : int, optional

    Returns
    -------
    ndarray of shape (n, d)

    Notes
    -----
    Cost: O(n d).
    """
    X = as_real_matrix(X, name, dtype, n_columns=n_columns)
    X += 0.0  # a copy: -0.0 is 0.0, whoever compares
    with np.errstate(over="ignore"):
        squares = np.einsum("ij,ij->i", X, X)
    if not np.isfinite(squares).all():
        i = int(np.argmax(~np.isfinite(squares)))
        raise ValueError(
            f"squared norms of the rows of {name} must be finite in {np.dtype(dtype)}, got {squares[i]} in row {i}"
        )
    return X
