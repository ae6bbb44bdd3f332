"""The probability that two correlated normal numbers both exceed a threshold, as polynomials of their correlation.

For one threshold h it is a smooth function of one number, the correlation c. It is fitted here once, and evaluated in
compiled code for each pair.
"""

from __future__ import annotations

import functools
import math
import typing

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import ndtr

from sltrees._core._orthants import COEFFICIENTS
from sltrees.kernels.any_norms import wedge

_MOST_OCTAVES = 100  # below 2^-101 of (1 + c)/2 the probability is below 1e-15, whatever the threshold
_NEGLIGIBLE = 1e-17
_TINY = 1e-15  # thresholds below change no probability by more
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS  # on [0, 1]


class OrthantPolynomials(typing.NamedTuple):
    """P(N_1 > h and N_2 > h) of standard normal numbers with correlation c, for one h.

    With x = (1 - c)/2 and y = (1 + c)/2, it is

    - base - sqrt(x) near(4 x - 1) for c >= 0;
    - octaves[k](2^(k + 3) y - 3) for c < 0 and 2^-(k + 2) <= y < 2^-(k + 1), and 0 below the last of them;
    - sqrt(y) near(4 y - 1) for c < 0, if `mirrored`, which is for h = 0.

    Attributes
    ----------
    base : float
        P(N_1 > h).
    near : ndarray of shape (coefficients,)
        Of powers, from that of 0.
    octaves : ndarray of shape (k, coefficients)
        Likewise.
    mirrored : bool

    Notes
    -----
    Both are analytic in what they are polynomials of, up to x = 1 and y = 0; an octave is as far from there as it is
    wide, so that each coefficient is some sixth of the one before. The absolute error is below 1e-14 in double
    precision.
    """

    base: float
    near: np.ndarray
    octaves: np.ndarray
    mirrored: bool

    @classmethod
    def of(cls, shift, dtype=np.float64):
        """The polynomials for one threshold.

        Parameters
        ----------
        shift : float
            h >= 0.
        dtype : float32 or float64
            Of the coefficients: fewer are enough for single precision.

        Returns
        -------
        OrthantPolynomials

        Notes
        -----
        Cost: some 1 ms, once for each threshold.

        Examples
        --------
        >>> polynomials = OrthantPolynomials.of(1.0)
        >>> polynomials.base.round(4), polynomials.octaves.shape
        (np.float64(0.1587), (5, 15))
        """
        return _fitted(float(shift) if shift > _TINY else 0.0, np.dtype(dtype).name)

    def probability(self, c):
        """The twin of the compiled kernel, for correlations in an array. Cost: O(size)."""
        c = np.asarray(c, dtype=np.float64)
        x, y = 0.5 - 0.5 * c, 0.5 + 0.5 * c
        probability = self.base - np.sqrt(x) * _power_series(self.near, 4.0 * x - 1.0)
        if self.mirrored:
            return np.where(c >= 0, probability, np.sqrt(y) * _power_series(self.near, 4.0 * y - 1.0))
        _, exponent = np.frexp(y)
        octave = np.where(c < 0, -1 - exponent, len(self.octaves))
        octave = np.where(y == 0, len(self.octaves), np.maximum(octave, 0))
        below = np.zeros_like(y)
        for k, coefficients in enumerate(self.octaves):
            here = octave == k
            below[here] = _power_series(coefficients, 2.0 ** (k + 3) * y[here] - 3.0)
        return np.where(c >= 0, probability, below)


class OrthantSlopes(typing.NamedTuple):
    """The derivative of c P(N_1 > h and N_2 > h) by c, the correlation, for one h.

    With x and y as for `OrthantPolynomials`, it is

    - base + near(4 x - 1) / sqrt(x) for c >= 0, without the second term where rows are the same: it is infinite there;
    - octaves[k](2^(k + 3) y - 3) for c < 0 likewise;
    - -near(4 y - 1) / sqrt(y) for c < 0, if `mirrored`, which is for h = 0.

    Attributes
    ----------
    base : float
    near, octaves, mirrored
        As for `OrthantPolynomials`.

    Notes
    -----
    dP/dc is the density of the pair at the corner of the orthant, exp(-h^2 / (1 + c)) / (2 pi sqrt(1 - c^2)) (Plackett
    1954). The absolute error is below 1e-12 / sqrt(x), beside what rounding c changes.
    """

    base: float
    near: np.ndarray
    octaves: np.ndarray
    mirrored: bool

    @classmethod
    def of(cls, shift):
        """The polynomials for one threshold h >= 0, in double precision. Cost: some 1 ms, once for each threshold.

        Examples
        --------
        >>> OrthantSlopes.of(1.0).octaves.shape
        (5, 15)
        """
        return _fitted_slopes(float(shift) if shift > _TINY else 0.0)


def _power_series(coefficients, u):
    return np.polynomial.polynomial.polyval(u, np.asarray(coefficients, dtype=np.float64))


@functools.lru_cache(maxsize=64)
def _fitted(shift, name):
    n_near, n_octave = COEFFICIENTS[name]

    def near(u):
        return _near(shift, 0.25 * (u + 1.0))

    octaves = []
    for k in range(_MOST_OCTAVES if shift else 0):

        def octave(u, k=k):
            y = np.ldexp(u + 3.0, -(k + 3))
            return _common(shift, y)

        if octaves and _common(shift, np.array([2.0 ** -(k + 1)]))[0] < _NEGLIGIBLE:
            break
        octaves.append(_interpolated(octave, n_octave))
    arrays = _interpolated(near, n_near), np.array(octaves).reshape(len(octaves), n_octave)
    arrays = [array.astype(name) for array in arrays]
    for array in arrays:
        array.flags.writeable = False  # they are shared
    return OrthantPolynomials(ndtr(-shift), *arrays, shift == 0)


@functools.lru_cache(maxsize=64)
def _fitted_slopes(shift):
    n_near, n_octave = COEFFICIENTS["float64"]

    def density(y):
        """That of the pair at the corner, times sqrt(x)."""
        with np.errstate(under="ignore"):
            return np.exp(-0.5 * shift * shift / y) / (4.0 * math.pi * np.sqrt(y))

    def near(u):
        x = 0.25 * (u + 1.0)
        return (1.0 - 2.0 * x) * density(1.0 - x) - x * _near(shift, x)

    def octave(u, k):
        y = np.ldexp(u + 3.0, -(k + 3))
        return _common(shift, y) + (2.0 * y - 1.0) * density(y) / np.sqrt(1.0 - y)

    n_octaves = len(_fitted(shift, "float64").octaves)
    octaves = [_interpolated(lambda u, k=k: octave(u, k), n_octave) for k in range(n_octaves)]
    arrays = _interpolated(near, n_near), np.array(octaves).reshape(n_octaves, n_octave)
    for array in arrays:
        array.flags.writeable = False  # they are shared
    return OrthantSlopes(float(ndtr(-shift)), *arrays, shift == 0)


def _near(shift, x):
    """1/(pi s) times the integral of exp(-h^2 / (2 (1 - v^2))) / sqrt(1 - v^2) from 0 to s = sqrt(x)."""
    rest = 1.0 - x[:, None] * _NODES**2
    with np.errstate(under="ignore"):
        return np.exp(-0.5 * shift * shift / rest) / np.sqrt(rest) @ _WEIGHTS / math.pi


def _common(shift, y):
    """The probability itself, by quadrature: two like wedges, seen from the origin."""
    with np.errstate(over="ignore", under="ignore"):
        return 2.0 * wedge(shift, shift * np.sqrt((1.0 - y) / y))


def _interpolated(function, n):
    """Coefficients of powers of the polynomial that equals a function in Chebyshev's points."""
    powers = np.zeros(n)
    found = chebyshev.cheb2poly(chebyshev.chebinterpolate(function, n - 1))  # without zeros at its end
    powers[: len(found)] = found
    return powers
