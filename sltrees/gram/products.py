"""G known by its products alone: what solvers ask of it besides is computed when it is needed, once for each G."""

from __future__ import annotations

import numpy as np

from sltrees.linalg.conjugate_gradients import conjugate_gradients, found_singular

_POWER_STEPS = 8  # products that estimate |G|


class GramProducts:
    """The products of G, its diagonal and norm.

    Parameters
    ----------
    product : callable
        v -> G v, for v of shape (n,), both float64, for the current pattern. It must be correct to rounding of float64,
        and the same for the same v.
    diagonal : callable
        () -> diag(G), of shape (n,).
    n_samples : int
        n.

    Attributes
    ----------
    product : callable
    n_samples : int

    Examples
    --------
    >>> d = np.array([1.0, 3.0])
    >>> products = GramProducts(lambda v: d * v, lambda: d, 2)
    >>> products.trace, round(products.norm, 2)
    (4.0, 3.0)
    """

    def __init__(self, product, diagonal, n_samples):
        self.product, self._diagonal_of, self.n_samples = product, diagonal, n_samples
        self.forget()

    def forget(self):
        """Take note that G has changed. Cost: O(1)."""
        self._diagonal = self._norm = None

    @property
    def diagonal(self):
        """diag(G). Cost: O(1), and one call of `diagonal` after a change."""
        if self._diagonal is None:
            self._diagonal = np.array(self._diagonal_of(), dtype=np.float64)
        return self._diagonal

    @property
    def trace(self):
        """trace(G). Cost: O(n)."""
        return float(self.diagonal.sum())

    @property
    def norm(self):
        """|G| from below, by the power method, so that a stopping rule is at least as strict as it says.

        Cost: O(1), and eight products after a change.
        """
        if self._norm is None:
            v = noise(self.n_samples, 1)[:, 0]
            norm = float(self.diagonal.max())
            for _ in range(_POWER_STEPS):
                length = float(np.sqrt(np.dot(v, v)))
                if not 0 < length < np.inf:
                    break
                v = v / length
                product = self.product(v)
                norm, v = max(norm, float(np.dot(v, product))), product
            self._norm = norm
        return self._norm

    def suggest_norm(self, estimate):
        """Take estimate() for |G| of this G, unless it is known. Cost: O(1), and that of the estimate."""
        if self._norm is None:
            self._norm = estimate()

    def seem_singular(self, tol, max_steps):
        """Whether G is singular to working precision, as far as products tell, and the steps that it took to see.

        That is so if its diagonal has a zero, or if an eigenvalue estimated by conjugate gradients on a random right
        hand side vanishes beside the largest. True is certain up to rounding; a small eigenvalue may be missed if
        `max_steps` do not reveal it. Cost: at most `max_steps` products.
        """
        if not self.diagonal.min() > 0:
            return True, 0
        with np.errstate(over="ignore", invalid="ignore"):
            right = noise(self.n_samples, 2)[:, 1]
            outcome = conjugate_gradients(self.product, lambda v: v, right, self.norm, max_steps=max_steps, tol=tol)
        return found_singular(outcome), outcome.n_steps


def noise(n, k):
    """The same (n, k) standard normal numbers each time."""
    return np.random.default_rng(0).standard_normal((k, n)).T
