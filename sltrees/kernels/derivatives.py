"""Derivatives of the limit kernel of rows of unit norm, and so of the functions that are learned with it."""

from __future__ import annotations

import numpy as np

from sltrees._core._orthants import replace_by_slopes
from sltrees.kernels.orthants import OrthantSlopes

_ROWS = 256  # at a time


def slopes(correlations, shift):
    """d/dc of c P(c), with P(c) the probability of both of two normal numbers of correlation c exceeding a threshold.

    Parameters
    ----------
    correlations : ndarray
        From -1 to 1, up to rounding. At 1 the derivative is infinite; there, and within 1e-12 of it, that of P is left
        out.
    shift : float
        The threshold.

    Returns
    -------
    ndarray, shaped as `correlations`

    Notes
    -----
    As polynomials: see `sltrees.kernels.orthants.OrthantSlopes`. Cost: O(size).

    Examples
    --------
    >>> slopes(np.array([0.0, 1.0]), 0.0)
    array([0.25, 0.5 ])
    """
    c = np.clip(correlations, -1.0, 1.0)  # a copy
    replace_by_slopes(c.reshape(1, -1), *OrthantSlopes.of(shift))
    return c


def squared_gradients(scaled, centres, dual, shift, weights=None):
    """Mean squares of the derivatives of a learned function along each feature.

    The function is f(u) = sum_j dual_j k(u/|u|, centre_j), with k the limit kernel.

    Parameters
    ----------
    scaled : ndarray of shape (n, d)
        Samples u: not of unit norm yet. Rows of zeros are left out.
    centres : ndarray of shape (m, d)
        Of unit norm.
    dual : ndarray of shape (m, C)
    shift : float
    weights : ndarray of shape (n,), optional
        Of samples; by default 1 each.

    Returns
    -------
    ndarray of shape (d,)
        Weighted means over samples, sums over outputs: the diagonal of the average gradient outer product.

    Notes
    -----
    The derivative of k at equal rows, a cusp, is left out. Cost: O(n m d C).

    References
    ----------
    Radhakrishnan, Beaglehole, Pandit, Belkin, "Mechanism for feature learning in neural networks and
    backpropagation-free machine learning models", Science 383 (2024).
    """
    scaled, weights = _not_zero(scaled, weights)
    total = np.zeros(scaled.shape[1])
    for gradient, of_rows in _gradients(scaled, centres, dual, shift, weights):
        total += of_rows @ gradient**2
    return total / (weights.sum() or 1.0)


def gradient_products(scaled, centres, dual, shift, weights=None):
    """Mean products of the derivatives of a learned function along each pair of features.

    Parameters
    ----------
    scaled, centres, dual, shift, weights
        Of `squared_gradients`.

    Returns
    -------
    ndarray of shape (d, d)
        The average gradient outer product, of which `squared_gradients` is the diagonal.

    Notes
    -----
    Cost: O(n m d C + n d^2 C).
    """
    scaled, weights = _not_zero(scaled, weights)
    total = np.zeros((scaled.shape[1], scaled.shape[1]))
    for gradient, of_rows in _gradients(scaled, centres, dual, shift, weights):
        total += (gradient.T * of_rows) @ gradient
    return total / (weights.sum() or 1.0)


def _not_zero(scaled, weights):
    """The rows that are not zeros, and their weights."""
    present = np.linalg.norm(scaled, axis=1) > 0
    return scaled[present], (np.ones(len(scaled)) if weights is None else weights)[present]


def _gradients(scaled, centres, dual, shift, weights):
    """Derivatives of each output at some rows after the other, and the weights of these rows."""
    norms = np.linalg.norm(scaled, axis=1)
    for start in range(0, len(scaled), _ROWS):
        lengths = norms[start : start + _ROWS, None]
        directions = scaled[start : start + _ROWS] / lengths
        factors = directions @ centres.T
        np.clip(factors, -1.0, 1.0, out=factors)
        replace_by_slopes(factors, *OrthantSlopes.of(shift))
        for column in dual.T:
            gradient = (factors * column) @ centres
            # along the sphere, and by how much a step in the feature moves the direction
            gradient -= np.einsum("ij,ij->i", gradient, directions)[:, None] * directions
            yield gradient / lengths, weights[start : start + _ROWS]
