"""What solving with the Gram matrix G = J J^T takes: the members that every way of holding it has.

To hold it in another way: a class with these members in a file of this folder, a line in `sltrees.gram.HELD_AS`, and
when it is chosen in `sltrees.training.budget`.
"""

from __future__ import annotations

import typing

import numpy as np


class GramSystem(typing.Protocol):
    """G for the neurons that fire, and the solution of (G + c I) g = r, or of (G + c diag(1/h)) g = r.

    Solutions are the same bit for bit whatever the number of threads. Whoever changes the firing patterns says so by
    `refresh`; until then G is that of before.

    Attributes
    ----------
    state_class : type
        What `solver_state` returns: a NamedTuple of numbers whose first two are the preconditioners (factors or
        sketches) made since the beginning, `n_made`, and `n_cg_steps`.
    pairs : PairCounts or None
        Neurons that fire on both of two samples, to be changed before `refresh`; None where nothing is counted.
    n_cg_steps, n_factorisations : int
        Steps of conjugate gradients and factorisations since the beginning.
    """

    state_class: typing.ClassVar[type]
    pairs: typing.Any
    n_cg_steps: int
    n_factorisations: int

    @staticmethod
    def bytes_needed(n_samples: int, n_threads: int = 1) -> float:
        """Bytes that solving for n samples takes, without what products with G take. Cost: O(n)."""

    @property
    def diagonal(self) -> np.ndarray:
        """diag(G), shape (n,), float64; not to be written to."""

    @property
    def norm(self) -> float:
        """|G|: a bound, or an estimate from below by products."""

    @property
    def trace(self) -> float:
        """trace(G)."""

    def product(self, v: np.ndarray) -> np.ndarray:
        """G v, shape (n,), float64, correct to rounding; the same for the same v."""

    def refresh(self, executor: typing.Any) -> None:
        """Take note that the firing patterns have changed.

        After an exception or Ctrl-C in here G is not that of any pattern: call it again.

        Parameters
        ----------
        executor : ThreadExecutor
        """

    def solve(
        self,
        c: float,
        right: np.ndarray,
        executor: typing.Any,
        forcing: typing.Any = None,
        start: np.ndarray | None = None,
        curvature: np.ndarray | None = None,
    ) -> np.ndarray | None:
        """Solve (G + c I) g = right, or (G + c diag(1/h)) g = right.

        What is remembered of systems before may make it faster; it shows in `solver_state`. An exception or Ctrl-C
        costs no more than that.

        Parameters
        ----------
        c : float
            Ridge and damping.
        right : ndarray of shape (n,)
        executor : ThreadExecutor
        forcing : Forcing, optional
            What is accurate enough. A solver for which more accuracy costs nothing need not look at it.
        start : ndarray of shape (n,), optional
            What g may be near to, for solvers that iterate.
        curvature : ndarray of shape (n,), optional
            h, above 0; by default 1 each. With R = diag(h^(1/2)) the system is solved as (R G R + c I) u = R right,
            g = R u: backward errors and `forcing` are those of this one.

        Returns
        -------
        ndarray of shape (n,) or None
            g to the backward error of the solver, or as `forcing` has it. None if G + c I is not positive definite as
            far as the solver can tell, if g overflows, or if the solver does not get there: more damping may help.
        """

    def is_singular(self, executor: typing.Any) -> bool:
        """Whether G is singular to working precision, as far as the solver can tell."""

    def solver_state(self) -> tuple:
        """What the next solution depends on besides the system and the preconditioner: a `state_class`. Cost: O(1)."""

    def make_preconditioner(self, state: tuple, executor: typing.Any, curvature: np.ndarray | None = None) -> bool:
        """Make the preconditioner that a later state tells of, of G as it is now; False if it does not exist.

        `curvature` is that of the system that it was made for.
        """

    def resume(self, state: tuple) -> None:
        """Go on as after the solution that left this state, the preconditioner of that time having been made."""
