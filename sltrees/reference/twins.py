"""Slow, obvious versions of everything the package does fast: the oracles of its tests.

Nothing here is used by the package itself. Trees are plain arrays, the Jacobian is formed entry by entry,
and no neuron is left out.
"""

from __future__ import annotations

import typing

import numpy as np

from sltrees.losses import HalfSquaredLoss
from sltrees.training.damping import LevenbergMarquardt

# ---------------------------------------------------------------------- trees


class ThresholdArray:
    """NumPy twin of `ThresholdTree`: the same answers from plain scans.

    Parameters
    ----------
    values : array_like of shape (n,)
    orientation : {"max", "min"}, default "max"

    Examples
    --------
    >>> ThresholdArray([1.0, 5.0, 2.0]).query(1.5)
    array([1, 2])
    """

    def __init__(self, values, *, orientation="max"):
        self.values = np.array(values)
        self._sign = 1 if orientation == "max" else -1

    def query(self, threshold, start=0, stop=None):
        """Indices in [start, stop) of the values above the threshold, ascending. Cost: O(n)."""
        passing = self._sign * self.values > self._sign * self.values.dtype.type(threshold)
        passing[:start] = False
        if stop is not None:
            passing[stop:] = False
        return np.flatnonzero(passing)

    def update_many(self, indices, values):
        """Set values in order: of equal indices the last one wins. Cost: O(k)."""
        for i, value in zip(indices, values, strict=True):
            self.values[i] = value

    def topk(self, k):
        """Indices of the k best values, best first, ties by lowest index. Cost: O(n log n)."""
        return np.argsort(-self._sign * self.values, kind="stable")[:k]


class CumulativeSums:
    """NumPy twin of `SumTree`: the same answers from `numpy.cumsum`, where float64 holds all sums.

    Parameters
    ----------
    values : array_like of shape (n,)

    Examples
    --------
    >>> CumulativeSums([1.0, 0.0, 2.0]).find([0.5, 1.0])
    array([0, 2])
    """

    def __init__(self, values):
        self.values = np.array(values, dtype=np.float64)

    @property
    def total(self):
        """Sum of all values. Cost: O(n)."""
        return float(self.values.sum())

    @property
    def min_positive(self):
        """Least value above 0, infinity if there is none. Cost: O(n)."""
        return float(self.values[self.values > 0].min(initial=np.inf))

    def prefix(self, stop):
        """Sums of the values before each index. Cost: O(n)."""
        return np.append(0.0, self.values.cumsum())[np.asarray(stop)]

    def find(self, prefixes):
        """The first index whose cumulative sum is greater; for the total, the last value above 0. Cost: O(n)."""
        found = np.searchsorted(self.values.cumsum(), prefixes, side="right")
        return np.minimum(found, np.flatnonzero(self.values)[-1])

    def update_many(self, indices, values):
        """Set values in order: of equal indices the last one wins. Cost: O(k)."""
        for i, value in zip(indices, np.broadcast_to(values, np.shape(indices)), strict=True):
            self.values[i] = value


class AllPairs:
    """NumPy twin of `VectorSearch`: all values in float64, in the same order of sums, and scans of them.

    Parameters
    ----------
    vectors : array_like of shape (n, d)
    metric : {"inner_product", "cosine", "euclidean"}

    Examples
    --------
    >>> AllPairs([[1.0, 0.0], [1.0, 2.0]], "inner_product").within([[0.0, 1.0]], 1.0)
    array([[False,  True]])
    """

    def __init__(self, vectors, metric):
        self.vectors = np.array(vectors, dtype=np.float64)
        self.live = np.ones(len(self.vectors), dtype=bool)
        self.metric = metric

    def values(self, queries):
        """Products, cosines or distances, shape (k, n); of removed vectors what passes no threshold. Cost: O(k n d)."""
        a, b = np.array(queries, dtype=np.float64)[:, None], self.vectors
        values = np.sqrt(self._summed((a - b) ** 2)) if self.metric == "euclidean" else self._summed(a * b)
        if self.metric == "cosine":
            with np.errstate(invalid="ignore"):  # removed vectors are zero
                values = np.clip(values / np.sqrt(self._summed(a * a) * self._summed(b * b)), -1, 1)
        values[:, ~self.live] = np.nan
        return values

    def within(self, queries, threshold, *, inclusive=False):
        """Which vectors are beyond the threshold from each query, as a mask. Cost: O(k n d)."""
        values, threshold = self.values(queries), np.reshape(threshold, (-1, 1))
        beyond = values < threshold if self.metric == "euclidean" else values > threshold
        return beyond | (values == threshold) if inclusive else beyond

    def nearest(self, queries, k):
        """Places and values of the k best, best first, ties by lowest place. Cost: O(k n d)."""
        values = self.values(queries)
        order = np.argsort(values if self.metric == "euclidean" else -values, axis=1, kind="stable")
        order = order[:, : min(k, np.count_nonzero(self.live))]  # those removed are last
        return order, np.take_along_axis(values, order, axis=1)

    @staticmethod
    def _summed(terms):
        """Sums along the last axis: one partial sum for each of 8 lanes, in order, then half on half."""
        d = terms.shape[-1]
        padded = np.zeros((*terms.shape[:-1], -(-d // 8) * 8))
        padded[..., :d] = terms
        lanes = np.zeros((*terms.shape[:-1], 8))
        for start in range(0, d, 8):
            lanes += padded[..., start : start + 8]
        lanes = lanes[..., :4] + lanes[..., 4:]
        lanes = lanes[..., :2] + lanes[..., 2:]
        return lanes[..., 0] + lanes[..., 1]


# ---------------------------------------------------------------------- kernels of the sparse Jacobian


def outputs(fires, z, signs, shift):
    """sqrt(m) f: sum over neurons r that fire on i of a_r (z_ri - shift); all arrays (k, n) but signs (k,)."""
    return signs @ np.where(fires, z - shift, 0.0)


def pair_counts(fires):
    """H_ij: the number of neurons that fire on both i and j, from a boolean (k, n) pattern."""
    return fires.T.astype(np.int64) @ fires.astype(np.int64)


def multiply_counts(products, counts):
    """(G, sums of |G_ij| over j) from X X^T / m and ordered pair counts; all (n, n)."""
    pairs = counts + counts.T
    np.fill_diagonal(pairs, counts.diagonal())
    return products * pairs, np.abs(products * pairs).sum(axis=1)


def jacobian_product(fires, signs, rows, data):
    """sqrt(m) J times `rows`: sum over neurons r that fire on i of a_r <rows_r, x_i>."""
    return signs @ np.where(fires, rows @ data.T, 0.0)


def shrink_and_step(fires, signs, coefficients, data, shrink, scale, displacement):
    """The displacement after D <- shrink D - scale a_r sum over samples i on which r fires of coefficients_i x_i."""
    return shrink * displacement - scale * signs[:, None] * ((fires * coefficients) @ data)


def count_flips(fires_a, fires_b):
    """Number of pairs that fire in exactly one of two patterns."""
    return int(np.count_nonzero(fires_a != fires_b))


# ---------------------------------------------------------------------- lazy rows


class NearList(typing.NamedTuple):
    """Near list of one row; see `near_lists`."""

    row: int
    directions: np.ndarray  # ascending
    distances: np.ndarray  # (product - shift) inverse_norm, in the dtype of the products
    fired: np.ndarray  # those of the directions on which the row fires
    nearest: float  # least |distance|, or inf


def near_lists(z, thresholds, inverse_norms, shift, keep_all):
    """NumPy twin of `NearLists.collect`: the list of each row of z that is kept.

    Examples
    --------
    >>> z = np.array([[1.0, 3.0], [0.0, 1.5]])
    >>> [near.directions.tolist() for near in near_lists(z, np.array([0.5, 1.0]), np.ones(2), 2.0, keep_all=True)]
    [[0, 1], [1]]
    """
    shift = z.dtype.type(shift)
    lists = []
    for row, products in enumerate(z):
        near = np.flatnonzero(products > thresholds)
        fired = near[products[near] > shift]
        distances = (products[near] - shift) * inverse_norms[near]
        if keep_all or len(fired):
            lists.append(NearList(row, near, distances, fired, float(np.abs(distances).min(initial=np.inf))))
    return lists


class RowsByDefinition(typing.NamedTuple):
    """Where rows are; see `lazy_rows_by_definition`. All arrays (k, n) but `nearest` (k,)."""

    distances: np.ndarray  # signed: <w_r, u_i> - offset_i
    fires: np.ndarray  # whether that is above 0
    nearest: np.ndarray  # least |distance| over the hyperplanes that there are


def lazy_rows_by_definition(weights, directions, offsets):
    """On which side of every hyperplane each row is, and how far from the nearest. Directions of zeros have none.

    Cost: O(k n d).

    Examples
    --------
    >>> lazy_rows_by_definition(np.array([[3.0, 0.0]]), np.eye(2), np.array([1.0, 0.5])).distances
    array([[ 2. , -0.5]])
    """
    live = np.any(directions != 0, axis=1)
    distances = weights @ directions.T - offsets
    return RowsByDefinition(distances, live & (distances > 0), np.abs(distances[:, live]).min(axis=1, initial=np.inf))


def lazy_displacement(origin, origin_decay, signs, decay, coefficients, fires, beta, directions):
    """Displacements from what lazy rows store: decay_r and coefficients (k, n) of each, and beta for what fires."""
    stored = decay[:, None] * coefficients + np.where(fires, beta, 0.0)
    return origin_decay * origin - signs[:, None] * (stored @ directions)


def flip_corrections(before, after, signs, distances, displacement, directions):
    """What a change of pattern adds to sums over fired pairs: of sign y, and of sign <D_r, u_i>; two arrays (n,)."""
    gained = after.astype(np.float64) - before
    return signs @ (gained * distances), signs @ (gained * (displacement @ directions.T))


def pair_count_change(before, after):
    """What a change of pattern adds to H (see `pair_counts`)."""
    return pair_counts(after) - pair_counts(before)


def gram_product(fires, data, v):
    """(H * X X^T) v, with H of `pair_counts`. Cost: O(n^2 (k + d))."""
    return (pair_counts(fires) * (data @ data.T)) @ v


# ---------------------------------------------------------------------- dense Gauss-Newton


class DenseResult(typing.NamedTuple):
    """What `dense_gauss_newton` returns."""

    weights: list  # of (m, d): W before the first iteration and after each one
    rmse: list  # of float: of predictions, before the first iteration and after each one
    accepted: list  # of bool: one for each iteration


def network_outputs(W, signs, shift, X):
    """f(x) for each row of X, straight from the definition.

    Parameters
    ----------
    W : ndarray of shape (m, d)
    signs : ndarray of shape (m,)
    shift : float
    X : ndarray of shape (n, d)

    Returns
    -------
    ndarray of shape (n,)

    Notes
    -----
    Cost: O(m n d).

    Examples
    --------
    >>> network_outputs(np.eye(2), np.array([1.0, -1.0]), 0.0, np.array([[2.0, 0.0]]))
    array([1.41421356])
    """
    return signs @ np.maximum(W @ X.T - shift, 0.0) / np.sqrt(len(W))


def dense_jacobian(W, signs, shift, X):
    """J of shape (n, m d): the derivative of every output by every weight.

    Notes
    -----
    Cost and memory: O(n m d).

    Examples
    --------
    >>> dense_jacobian(np.eye(2), np.array([1.0, -1.0]), 0.0, np.array([[2.0, 0.0]])).shape
    (1, 4)
    """
    fires = (W @ X.T > shift).T
    blocks = (fires * signs)[:, :, None] * X[:, None, :] / np.sqrt(len(W))
    return blocks.reshape(len(X), W.size)


def dense_gauss_newton(W, signs, shift, X, y, *, alpha=0.0, tol=0.0, max_iter=10, loss=None, offset=0.0):
    """The iteration of `NewtonTrainer`, with dense matrices throughout.

    Minimised is sum_i l(y_i, f_i + offset) + alpha |D|^2 / 2 by generalised Gauss-Newton steps: with gradients l' and
    curvatures h of the loss, H = diag(h), a step solves (J^T H J + c I) p = -J^T l' - alpha D, here through the n x n
    system of the Jacobian scaled by h^(1/2).

    Parameters
    ----------
    W : ndarray of shape (m, d)
        Initial weights, float64.
    signs : ndarray of shape (m,)
    shift : float
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
    alpha : float, default 0.0
        Relative to trace(G)/n at the start.
    tol : float, default 0.0
        Training RMSE at which to stop.
    max_iter : int, default 10
        Iterations at most, refused ones included.
    loss : sltrees.losses.Loss, optional
        By default (f - y)^2 / 2.
    offset : float, default 0.0

    Returns
    -------
    DenseResult

    Notes
    -----
    Only the damping rule is shared with the trainer, and the formulas of losses. Cost: O(m n^2 d) per iteration.

    References
    ----------
    Cai et al., "Gram-Gauss-Newton Method", arXiv 1905.11675.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> W = np.repeat(rng.standard_normal((200, 3)), 2, axis=0)
    >>> signs = np.tile([1.0, -1.0], 200)
    >>> bool(dense_gauss_newton(W, signs, 0.5, np.eye(3), np.ones(3), max_iter=6).rmse[-1] < 1e-6)
    True
    """
    n, initial = len(X), W.copy()
    rule = LevenbergMarquardt(n)
    J = dense_jacobian(W, signs, shift, X)
    scale = np.trace(J @ J.T) / n or 1.0
    ridge = alpha * scale
    loss = HalfSquaredLoss() if loss is None else loss

    def raw(W):
        return (network_outputs(W, signs, shift, X) + offset)[:, None]

    def loss_at(W):
        return np.sum(loss.value(y[:, None], raw(W))) + 0.5 * ridge * np.sum((W - initial) ** 2)

    def rmse_at(W):
        return float(np.sqrt(np.mean((loss.predictions(raw(W))[:, 0] - y) ** 2)))

    result = DenseResult([W.copy()], [rmse_at(W)], [])
    for _ in range(max_iter):
        if result.rmse[-1] <= tol:
            break
        slopes = loss.gradient(y[:, None], raw(W))[:, 0]
        h = np.maximum(loss.curvature(y[:, None], raw(W))[:, 0], np.abs(slopes) / loss.reach)
        J = dense_jacobian(W, signs, shift, X) * np.sqrt(h)[:, None]
        residual = slopes / np.sqrt(h)
        D = (W - initial).ravel()
        G = J @ J.T
        step = None
        while step is None and not rule.exhausted:
            c = ridge + rule.damping * scale
            pull = ridge / c if ridge else 0.0
            try:
                np.linalg.cholesky(G + c * np.eye(n))
                g = np.linalg.solve(G + c * np.eye(n), residual - pull * (J @ D))
                step = -pull * D - J.T @ g
            except np.linalg.LinAlgError:
                rule.refuse()
        if step is None:
            break
        predicted = 0.5 * np.sum((residual + J @ step) ** 2) - 0.5 * np.sum(residual**2)
        predicted += loss_at(W) + 0.5 * ridge * (np.sum((D + step) ** 2) - np.sum(D**2))
        before, trial = loss_at(W), W + step.reshape(W.shape)
        accepted = loss_at(trial) < before
        if accepted:
            rule.accept((before - loss_at(trial)) / (before - predicted))
            W = trial
        else:
            rule.refuse()
        result.weights.append(W.copy())
        result.rmse.append(rmse_at(W))
        result.accepted.append(bool(accepted))
    return result
