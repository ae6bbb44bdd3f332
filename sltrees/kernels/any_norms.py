"""The limit kernel of rows of any norms, to full relative accuracy, by quadrature in NumPy.

Where norms differ the probability is a function of three numbers, and no polynomial of one: see
`sltrees.kernels.unit_rows` for rows of equal norms, and for what is fast.
"""

from __future__ import annotations

import math
import typing

import numpy as np
from scipy.special import erf, ndtr

_NUMBERS_PER_GATHER = 1 << 17  # of the rows copied to compute small angles anew: 1 MiB

# Of the quadrature: chosen by measuring against 40 digits, distances from 1e-6 to 36. Relative errors are below 1e-13;
# with 20 nodes they are 5e-13, with 16 2e-10.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(22)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS  # on [0, 1]
_CUT = 33.0  # the integrand is followed until it has fallen by exp(-33) = 5e-15
_FAR = 2.5  # see `wedge`

# (1 - rho)/2 and (1 + rho)/2 below which they are computed anew from differences: rounding of a product is 1e-16, and
# beside 1 - rho it counts as its root, but beside 1 + rho (that small, the probability is exp(-b^2/(1 + rho))) in full
_NEARLY_EQUAL = 5e-4
_NEARLY_OPPOSITE = 2e-2

_SMALLEST, _LARGEST = 1e-100, 1e100  # thresholds are brought between them: their squares and products stay finite


class Rows(typing.NamedTuple):
    """Rows with their norms and directions."""

    rows: np.ndarray  # (n, d)
    directions: np.ndarray  # (n, d): of unit norm, but rows of zeros
    norms: np.ndarray  # (n,)
    squares: np.ndarray  # (n,): of the norms

    @classmethod
    def of(cls, X):
        """Rows, and what is known of them. Cost: O(numbers)."""
        # powers of two, so that dividing rounds nothing and squares neither overflow nor vanish
        scales = np.ldexp(1.0, np.frexp(np.abs(X).max(axis=1))[1] - 1)
        scaled = X / scales[:, None]
        squares = np.einsum("ij,ij->i", scaled, scaled)
        lengths = np.sqrt(squares)
        directions = scaled / np.where(lengths > 0, lengths, 1.0)[:, None]
        with np.errstate(over="ignore", under="ignore"):
            return cls(X, directions, lengths * scales, squares * scales * scales)

    def firing(self, shift):
        """P(<w, x> > shift) for each row; 0 for rows of zeros. Cost: O(n)."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
            return np.where(self.norms > 0, ndtr(-shift / self.norms), 0.0)

    def __getitem__(self, rows):
        return Rows(*(array[rows] for array in self))


def are_equal(*norms):
    """Are these norms equal up to rounding, rows of zeros left out? Then both wedges of an orthant are the same."""
    norms = np.concatenate(norms)
    norms = norms[norms > 0]
    return norms.size == 0 or norms.max() - norms.min() <= 4 * np.finfo(np.float64).eps * norms.max()


def kernel_tile(left, right, shift):
    """The kernel of some rows with some others."""
    products = left.rows @ right.rows.T
    # where a norm is 0 the product is, whatever the probability
    a = np.where(left.norms > 0, left.norms, 1.0)[:, None]
    b = np.where(right.norms > 0, right.norms, 1.0)[None, :]
    with np.errstate(over="ignore", under="ignore"):  # infinite distances and vanishing probabilities are meant
        sine, cosine = _half_angles(products / np.maximum(a * b, np.finfo(np.float64).tiny), left, right)
        if shift == 0:  # fires in the half plane of either: the angle of what is common
            return products * (np.arctan2(np.sqrt(cosine), np.sqrt(sine)) / math.pi)
        return products * _orthant(sine, cosine, a, b, shift)


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


def _orthant(sine, cosine, a, b, shift):
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
    k = np.clip(shift / b, _SMALLEST, _LARGEST)
    probability = wedge(h, h * (((a - b) / b + 2.0 * sine) / full_sine))
    probability += wedge(k, k * (((b - a) / a + 2.0 * sine) / full_sine))
    return probability


def wedge(h, z):
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
