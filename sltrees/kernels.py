"""The kernel of the infinitely wide network: what its Gram matrix tends to as the width grows."""

from __future__ import annotations

import math
import typing

import numpy as np
from scipy.special import erf, ndtr

from sltrees._memory import array_bytes, check_memory
from sltrees._validation import as_non_negative, as_real_matrix
from sltrees.execution.threads import ThreadExecutor

_TILE = 128  # rows and columns worked on at a time: the handful of arrays of this size stay in cache
_NUMBERS_PER_GATHER = 1 << 17  # of the rows copied to compute small angles anew: 1 MiB

# Of the quadrature: chosen by measuring against 40 digits, distances from 1e-6 to 36. Relative errors are below 1e-13;
# with 20 nodes they are 5e-13, with 16 2e-10.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(22)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS  # on [0, 1]
_CUT = 33.0  # the integrand is followed until it has fallen by exp(-33) = 5e-15
_FAR = 2.5  # see `_wedge`

# (1 - rho)/2 and (1 + rho)/2 below which they are computed anew from differences: rounding of a product is 1e-16, and
# beside 1 - rho it counts as its root, but beside 1 + rho (that small, the probability is exp(-b^2/(1 + rho))) in full
_NEARLY_EQUAL = 5e-4
_NEARLY_OPPOSITE = 2e-2

_SMALLEST, _LARGEST = 1e-100, 1e100  # thresholds are brought between them: their squares and products stay finite


def shifted_ntk(X, Y=None, shift=0.0, *, n_threads=None):
    """The infinite-width limit of the Gram matrix G_0 of a two-layer shifted ReLU network before training.

    K_ij = <x_i, y_j> P(<w, x_i> > b and <w, y_j> > b) with w ~ N(0, I_d). Training a very wide network amounts to ridge
    regression with this kernel.

    Parameters
    ----------
    X : array_like of shape (n, d)
        Finite. Rows need not have unit norm; a row of zeros has a kernel of 0 with everything.
    Y : array_like of shape (m, d), optional
        Finite. By default X.
    shift : float, default 0.0
        b >= 0.
    n_threads : int, optional
        By default one per processor. The result does not depend on it.

    Returns
    -------
    ndarray of shape (n, m), dtype=float64
        Without Y, or where Y is X: exactly symmetric, with |x_i|^2 P(N(0, 1) > b/|x_i|) on the diagonal.

    Raises
    ------
    TypeError, ValueError
        If X or Y is not a matrix of finite real numbers, if they differ in their number of columns, if products of
        their rows may overflow, or if `shift` is not a finite number >= 0.
    MemoryError
        If the result is larger than the memory of this machine.

    Notes
    -----
    Cost: O(n m d), with some 300 operations per pair beside the inner product (half as many without Y, and half of that
    where all rows have equal norms), shared out among the threads. Memory: the result and O((n + m) d).

    The relative error of the probability is at most some 1e-12 however small it is, down to 1e-300: no terms of like
    size are subtracted (see `_wedge`), and the angles of rows nearly equal or nearly opposite are taken from their
    difference or sum, not from their product. Added to it is what rounding the entries of the rows changes: more than
    that only where rows are opposite within some 1e-4. <x_i, y_j> has the rounding error of an inner product.

    References
    ----------
    Kernel: Deng, Hu, Song, Weinstein, Zhuo, "Training Overparametrized Neural Networks in Sublinear Time", arXiv
    2208.04508, section 3. Splitting the orthant in two: Owen, "Tables for computing bivariate normal probabilities",
    Annals of Mathematical Statistics 27 (1956). Angles from differences: Kahan, "How futile are mindless assessments
    of roundoff in floating-point computation?" (2006), section 12.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 0.0], [0.6, 0.8]])
    >>> shifted_ntk(X)
    array([[0.5       , 0.21144983],
           [0.21144983, 0.5       ]])
    >>> shifted_ntk(X, [[2.0, 0.0]], shift=1.0)
    array([[0.31731051],
           [0.13082614]])
    """
    left = _Rows.of(as_real_matrix(X, "X", np.float64))
    right = left
    if Y is not None and Y is not X:
        right = _Rows.of(as_real_matrix(Y, "Y", np.float64, n_columns=left.rows.shape[1]))
    shift = as_non_negative(shift, "shift")
    symmetric = right is left
    if not math.isfinite(float(left.norms.max()) * float(right.norms.max())):
        raise ValueError(
            "products of rows must be finite in float64, got norms of "
            f"{left.norms.max():.3g} and {right.norms.max():.3g}; scale the rows"
        )
    shape = (left.norms.size, right.norms.size)
    check_memory(array_bytes(*shape, dtype=np.float64), None, f"a kernel of shape {shape}", "pass fewer rows at a time")
    kernel = np.empty(shape)
    equal_norms = _are_equal(left.norms, right.norms)

    def fill(tile):
        rows, columns = tile
        values = _kernel_tile(left[rows], right[columns], shift, equal_norms)
        kernel[rows, columns] = values
        if symmetric and rows != columns:
            kernel[columns, rows] = values.T
        elif symmetric:  # the product and what follows are symmetric only up to rounding
            below = np.tri(len(values), k=-1, dtype=bool)
            kernel[rows, columns][below] = values.T[below]

    with ThreadExecutor(n_threads) as executor:
        executor.map(
            fill,
            [
                (rows, columns)
                for rows in _slices(shape[0])
                for columns in _slices(shape[1])
                if not symmetric or rows.start <= columns.start
            ],
        )
    if symmetric:
        # what is computed of an angle of 0 has the error of the quadrature; this has none
        with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
            firing = np.where(left.norms > 0, ndtr(-shift / left.norms), 0.0)
            kernel[np.diag_indices_from(kernel)] = left.squares * firing
    return kernel


class _Rows(typing.NamedTuple):
    """Rows with their norms and directions."""

    rows: np.ndarray  # (n, d)
    directions: np.ndarray  # (n, d): of unit norm, but rows of zeros
    norms: np.ndarray  # (n,)
    squares: np.ndarray  # (n,): of the norms

    @classmethod
    def of(cls, X):
        # powers of two, so that dividing rounds nothing and squares neither overflow nor vanish
        scales = np.ldexp(1.0, np.frexp(np.abs(X).max(axis=1))[1] - 1)
        scaled = X / scales[:, None]
        squares = np.einsum("ij,ij->i", scaled, scaled)
        lengths = np.sqrt(squares)
        directions = scaled / np.where(lengths > 0, lengths, 1.0)[:, None]
        with np.errstate(over="ignore", under="ignore"):
            return cls(X, directions, lengths * scales, squares * scales * scales)

    def __getitem__(self, rows):
        return _Rows(*(array[rows] for array in self))


def _slices(n):
    return [slice(start, min(start + _TILE, n)) for start in range(0, n, _TILE)]


def _are_equal(*norms):
    """Are these norms equal up to rounding, rows of zeros left out? Then both wedges of an orthant are the same."""
    norms = np.concatenate(norms)
    norms = norms[norms > 0]
    return norms.size == 0 or norms.max() - norms.min() <= 4 * np.finfo(np.float64).eps * norms.max()


def _kernel_tile(left, right, shift, equal_norms):
    """The kernel of some rows with some others."""
    products = left.rows @ right.rows.T
    # where a norm is 0 the product is, whatever the probability
    a = np.where(left.norms > 0, left.norms, 1.0)[:, None]
    b = np.where(right.norms > 0, right.norms, 1.0)[None, :]
    with np.errstate(over="ignore", under="ignore"):  # infinite distances and vanishing probabilities are meant
        sine, cosine = _half_angles(products / np.maximum(a * b, np.finfo(np.float64).tiny), left, right)
        if shift == 0:  # fires in the half plane of either: the angle of what is common
            return products * (np.arctan2(np.sqrt(cosine), np.sqrt(sine)) / math.pi)
        return products * _orthant(sine, cosine, a, b, shift, equal_norms)


def _half_angles(cosines, left, right):
    """sin^2 and cos^2 of half the angle between directions, both to full relative accuracy, of cosines that are not."""
    sine = 0.5 * (1.0 - cosines)
    cosine = 0.5 * (1.0 + cosines)
    # sin(angle/2) is half of |u - v|, cos(angle/2) half of |u + v|
    for small, other, limit, sign in ((sine, cosine, _NEARLY_EQUAL, -1.0), (cosine, sine, _NEARLY_OPPOSITE, 1.0)):
        i, j = np.nonzero(small < limit)
        step = max(1, _NUMBERS_PER_GATHER // left.directions.shape[1])
        for start in range(0, i.size, step):
            at = i[start : start + step], j[start : start + step]
            sums = left.directions[at[0]] + sign * right.directions[at[1]]
            small[at] = np.minimum(0.25 * np.einsum("ij,ij->i", sums, sums), 1.0)
            other[at] = 1.0 - small[at]
    return sine, cosine


def _orthant(sine, cosine, a, b, shift, equal_norms):
    """P(<w, x> > shift and <w, y> > shift) for |x| = a, |y| = b and sin^2 and cos^2 of half their angle.

    In the plane of x and y the orthant lies beyond two lines, at distances h = shift/a and k = shift/b from the origin.
    A ray from the origin enters it through one of the lines and never leaves. So it is two wedges, and their
    probabilities add up: nothing is subtracted. The wedge at the line of x begins at distance

        z = (k - h cos(angle)) / sin(angle) = h (a/b - 1 + 2 sin^2(angle/2)) / sin(angle)

    from the foot of the perpendicular; negative is possible for one of the two. Without the second form, z would lose
    its digits where the angle is small.
    """
    full_sine = np.maximum(2.0 * np.sqrt(sine * cosine), 1e-300)  # 0 / 1e-300 is 0, as it must be for equal rows
    h = np.clip(shift / a, _SMALLEST, _LARGEST)
    if equal_norms:
        return 2.0 * _wedge(h, h * (2.0 * sine / full_sine))
    k = np.clip(shift / b, _SMALLEST, _LARGEST)
    probability = _wedge(h, h * (((a - b) / b + 2.0 * sine) / full_sine))
    probability += _wedge(k, k * (((b - a) / a + 2.0 * sine) / full_sine))
    return probability


def _wedge(h, z):
    """P(N_1 > h and N_2 > N_1 z / h), of independent N(0, 1) numbers: a part of a half plane, as seen from the origin.

    Parameters
    ----------
    h : ndarray, broadcast to the shape of z
        Distance of the line from the origin, above 0.
    z : ndarray
        Where on the line the wedge begins, measured from the point nearest to the origin. Infinite is allowed.

    Returns
    -------
    ndarray, shaped as z

    Notes
    -----
    Let A(h, s, t) = 1/(2 pi) * integral_s^t exp(-(h^2 + y^2)/2) h/(h^2 + y^2) dy, an integral over the angle. The wedge
    is A(h, z, infinity); for z < 0 it is the half plane without the mirror image, which is less than half of it. Owen's
    T(h, a) is A(h, 0, h a). For z >= 0, with Q the normal tail:

    - max(h, z) >= 2.5: A(h, z, infinity) itself, where it is above exp(-33) of its first value. There the integrand
      falls within a stretch in which 1/(h^2 + y^2) changes little, so few nodes are enough.
    - else, z <= h: Q(h)/2 - A(h, 0, z).
    - else: A(z, 0, h) - Q(z) (1/2 - Q(h)), the same with the other coordinate as the distance: the quadrant
      {N_1 > h, N_2 > z} is two wedges. So integrands stay smooth as h goes to 0.

    The subtractions lose at most a factor 1/Q(2.5), two digits. One Gauss-Legendre rule serves all three. Integrands
    are positive, so sums of them have the relative accuracy of their terms.
    """
    distance = np.abs(z)
    smaller, larger = np.minimum(h, distance), np.maximum(h, distance)
    far = larger >= _FAR
    start = np.where(far, distance, 0.0)
    stretch = np.where(far, 2.0 * _CUT / (distance + np.sqrt(distance * distance + 2.0 * _CUT)), smaller)
    offset = np.where(far, h, larger)
    offset_squared = offset * offset
    area, y, term = np.zeros_like(distance), np.empty_like(distance), np.empty_like(distance)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        np.multiply(stretch, node, out=y)
        y += start
        y *= y
        y += offset_squared
        np.multiply(y, -0.5, out=term)
        np.exp(term, out=term)
        term /= y
        term *= weight
        area += term
    area *= offset
    area *= stretch
    area *= 1.0 / (2.0 * math.pi)
    tail = ndtr(-h)
    wedge = np.where(far, area, 0.5 * tail - area)
    steep = np.nonzero(~far & (distance > h))
    # taken out and put back: SciPy's functions crash when given `where`, up to 1.17 at least (scipy pull request 25127)
    inner = 0.5 * erf(np.broadcast_to(h, z.shape)[steep] * math.sqrt(0.5))
    wedge[steep] = area[steep] - ndtr(-distance[steep]) * inner
    return np.where(z < 0, tail - wedge, wedge)
