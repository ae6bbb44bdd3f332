"""Near lists: of each neuron the samples on which it fires or nearly does, as found from its products with all."""

from __future__ import annotations

import numpy as np

from sltrees._core._near_lists import NearLists

# Products that are computed and looked at: 1 MiB in float32, so that they are still in cache. Where samples are many
# they are of more rows than fit there, or each row would read all samples from memory for itself.
_PRODUCTS_AT_A_TIME, _ROWS_OF_MANY, _PRODUCTS_OF_MANY = 1 << 18, 32, 1 << 23

# So many rows take longer than a copy of the samples in the order that BLAS multiplies fastest by.
_ROWS_WORTH_A_COPY = 8


def rows_at_a_time(n_samples):
    """Neurons whose products with all samples are computed at a time.

    Parameters
    ----------
    n_samples : int

    Returns
    -------
    int

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> rows_at_a_time(1000), rows_at_a_time(10**5), rows_at_a_time(10**6), rows_at_a_time(10**8)
    (262, 32, 8, 1)
    """
    n = max(n_samples, 1)
    return max(1, _PRODUCTS_AT_A_TIME // n, min(_ROWS_OF_MANY, _PRODUCTS_OF_MANY // n))


def empty_lists(planes, skin, n_rows, *, keep_all, expected=None):
    """Near lists without entries, with memory reserved for `expected` of them.

    Parameters
    ----------
    planes : Hyperplanes
    skin : float
        Samples are near that are nearer than this, or beyond.
    n_rows : int
    keep_all : bool
        Whether rows that fire on no sample have lists, too.
    expected : int, optional
        By default as many as the lists of `n_rows` fresh neurons are expected to have.

    Returns
    -------
    NearLists

    Notes
    -----
    Cost: O(n), and memory.
    """
    if expected is None:
        expected = int(1.05 * n_rows * planes.near_share(skin)) + len(planes.X)
    return NearLists(planes.thresholds(skin), planes.inverse_norms, planes.shift, keep_all, expected)


def collect(near, weights, X, *, forget=False, veto=None):
    """Append the near lists of some weights, a cache-sized block at a time; returns the rows of weights that have one.

    Parameters
    ----------
    near : NearLists
    weights : ndarray of shape (k, d)
    X : ndarray of shape (n, d)
    forget : bool, default False
        The lists are not wanted, only which weights have one.
    veto : callable, optional
        Called as veto(products, start) with the products of rows start, start + 1, ...; it may overwrite with -inf
        those of rows that are to have none.

    Returns
    -------
    ndarray of int64

    Notes
    -----
    Cost: O(k n d), through BLAS.
    """
    size = rows_at_a_time(len(X))
    products = np.empty((min(size, len(weights)), len(X)), dtype=X.dtype)
    columns = np.ascontiguousarray(X.T)  # as BLAS multiplies fastest by
    listed = [np.empty(0, dtype=np.int64)]
    for start in range(0, len(weights), size):
        part = weights[start : start + size]
        z = np.matmul(part, columns, out=products[: len(part)])
        if veto is not None:
            veto(z, start)
        listed.append(start + near.collect(z).astype(np.int64))
        if forget:
            near.clear()
    return np.concatenate(listed)


def rebuild(rows, step, found, initial, copies, planes, skin):
    """Find anew the lists of neurons that have strayed: moved so far that others may be near than are in their lists.

    Parameters
    ----------
    rows : LazyRows
    step : LazyStep
        That is under review.
    found : LazyFindings
        Of it: which rows have strayed, and where they stand. The lists go there, until the step is kept.
    initial : ndarray of shape (q, d)
        Initial weights of the draws.
    copies : int
    planes : Hyperplanes
    skin : float

    Notes
    -----
    Cost: O(strayed n d), through BLAS.
    """
    if not found.n_strayed:
        return
    thresholds = planes.thresholds(skin)
    size, d = min(rows_at_a_time(len(planes.X)), found.n_strayed), planes.X.shape[1]
    products = np.empty((size, len(planes.X)), dtype=planes.X.dtype)
    columns = np.ascontiguousarray(planes.X.T) if size >= _ROWS_WORTH_A_COPY else planes.X.T
    for first in range(0, found.n_strayed, size):
        some = slice(first, first + size)
        weights = initial[found.strayed_rows[some] // copies]
        weights += found.strayed_displacement[some, :d]
        z = np.matmul(weights, columns, out=products[: len(weights)])
        rows.collect_strayed(step, found, first, z, thresholds, planes.inverse_norms, planes.shift)
