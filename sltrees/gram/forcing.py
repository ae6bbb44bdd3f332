"""How accurately a Newton system has to be solved: the forcing terms of inexact Newton methods.

A step that comes from g is p = -(alpha/c) D - J^T g, and the linear model has, with the damping in it, the value

    M(g) = |right - G g|^2 / 2 + c g^T G g / 2 + constant,        right = e - (alpha/c) J D.

Its minimum lies between M(g) and M(g) - |r|^2 / 2, r = right - (G + c I) g: that is the gap to the dual problem, and is
nothing but the residual. The step is then within |r| of the exact one in the norm of the model, |J q|^2 + c |q|^2, in
which the square of the length of an exact step is twice what it lowers the model by. So

    |r| <= eta sqrt(2 (M(no step) - M(g)))

says that p is within the share eta of the exact step. Without a ridge it is |r| <= eta |e| but for terms of eta^2: the
condition of inexact Newton methods.
"""

from __future__ import annotations

import math
import typing

import numpy as np

# A decrease of the model below this share of its value is rounding.
_NEGLIGIBLE = 16 * np.finfo(np.float64).eps


class Forcing(typing.NamedTuple):
    """What a solution g of (G + c I) g = right is needed for, and how accurately.

    The share eta is that of Eisenstat and Walker's choice 2, squared lengths of steps in place of squared residuals:
    `factor` times the decrease of the model by this step, over that by the step before.

    Attributes
    ----------
    value : float
        M where no step is taken, less the constant.
    least, most : float
        Bounds of eta.
    factor : float
        eta over the decrease, in units of 1 / value.
    floor : float
        |r| that is small enough in any case.
    longest : float, default infinity
        |p| beyond which the step is of no use: then g need not get any better. What conjugate gradients find gets
        longer from one step to the next, as a rule; if they begin at 0, always (Steihaug).
    pulled_squared : float, default 0
        |(alpha/c) D|^2.
    pulled : ndarray of shape (n,), optional
        (alpha/c) J D.

    References
    ----------
    Eisenstat, Walker, "Choosing the forcing terms in an inexact Newton method", 1996; Deuflhard, "Newton Methods for
    Nonlinear Problems", 2004: norms that go with the problem. Steihaug, "The conjugate gradient method and trust
    regions in large scale optimization", 1983.

    Examples
    --------
    >>> forcing = Forcing(value=0.5, least=0.1, most=0.1, factor=0.0, floor=0.0)
    >>> forcing.is_met(1.0, np.array([1.0]), np.array([0.4]), np.array([0.2])), forcing.share(0.25)
    (False, 0.1)
    """

    value: float
    least: float
    most: float
    factor: float
    floor: float
    longest: float = math.inf
    pulled_squared: float = 0.0
    pulled: np.ndarray | None = None

    def share(self, decrease):
        """eta for a step that lowers the model by so much. Cost: O(1)."""
        return float(np.clip(self.factor * decrease / self.value if self.value > 0 else 0.0, self.least, self.most))

    def decrease(self, c, right, g, residual):
        """What the step of g lowers the model by. Cost: O(n)."""
        return self._most(c, right, g, residual) - 0.5 * float(residual @ residual)

    def _most(self, c, right, g, residual):
        """What no step lowers the model by more than."""
        return self.value - 0.5 * c * float(g @ (right + residual))

    def is_met(self, c, right, g, residual):
        """Whether g is accurate enough. Cost: O(n)."""
        gap, most = 0.5 * float(residual @ residual), self._most(c, right, g, residual)
        if gap <= 0.5 * self.floor**2:
            return True
        if most <= _NEGLIGIBLE * self.value:
            return gap <= 0.5 * float(right @ right)
        return gap <= self.share(most - gap) ** 2 * (most - gap)

    def is_too_long(self, c, right, g, residual):
        """Whether the step of g is longer than is of use. Cost: O(n)."""
        if self.longest == math.inf:
            return False
        squared = self.pulled_squared + float(g @ (right - residual - c * g))  # of J^T g, by G g
        if self.pulled is not None:
            squared += 2.0 * float(self.pulled @ g)
        return squared > self.longest**2

    def is_of_use(self, c, right, g, residual):
        """Whether the step of g is nearer to the exact one than no step is. Cost: O(n)."""
        return self.decrease(c, right, g, residual) > 0.5 * float(residual @ residual)

    def scaled(self, unit):
        """The same for a system whose right side is divided by `unit`. Cost: O(1)."""
        return self._replace(
            value=self.value / unit / unit,
            floor=self.floor / unit,
            longest=self.longest / unit,
            pulled_squared=self.pulled_squared / unit / unit,
            pulled=None if self.pulled is None else self.pulled / unit,
        )

    def curved(self, roots):
        """The same for the system that `sltrees.gram.curvature` makes of one, where g is `roots` u. Cost: O(n)."""
        return self if self.pulled is None else self._replace(pulled=roots * self.pulled)
