"""Systems with curvatures h, (G + c diag(1/h)) g = r, as symmetric ones: (R G R + c I) u = R r, g = R u, R^2 = h."""

from __future__ import annotations

import numpy as np

from sltrees.linalg.conjugate_gradients import solve_scaled


def roots_of(curvature):
    """The diagonal of R: plain 1.0 where there is no curvature, which changes no bit of what it multiplies.

    Examples
    --------
    >>> roots_of(None), roots_of(np.array([4.0, 9.0]))
    (1.0, array([2., 3.]))
    """
    return 1.0 if curvature is None else np.sqrt(curvature)


def solve_curved(solve, right, roots):
    """Solve a system by its symmetric form, for a right side of any size.

    Parameters
    ----------
    solve : callable
        R r, over a power of two, -> u, or None: as of `solve_scaled`.
    right : ndarray of shape (n,)
        r.
    roots : ndarray of shape (n,) or 1.0

    Returns
    -------
    ndarray of shape (n,) or None
        g.

    Notes
    -----
    Cost: O(n), and one call of `solve`.

    Examples
    --------
    >>> G, h = np.diag([1.0, 2.0]), np.array([4.0, 1.0])
    >>> roots = roots_of(h)
    >>> symmetric = roots[:, None] * G * roots + np.eye(2)
    >>> solve_curved(lambda right: np.linalg.solve(symmetric, right), np.array([5.0, 3.0]), roots)
    array([4., 1.])
    """
    u = solve_scaled(solve, roots * right)
    return None if u is None else roots * u


def most_curved(roots):
    """The largest curvature, by which |R G R| is bounded beside |G|. Cost: O(n)."""
    return float(np.max(roots)) ** 2
