"""How accurately Newton systems are solved while training goes on: forcing terms, after Eisenstat and Walker."""

from __future__ import annotations

from sltrees.gram.forcing import Forcing

FACTOR = 0.9  # eta over the ratio of the decreases of two steps
# The safeguard of choice 2, that the share falls no faster than its square, is for squares above 0.1: there are none.
# Far from a minimum the model is wrong by more than this, and a step then lowers it by 0.99 of what it could.
MOST = 0.1
LEAST = 1e-4

# Residuals of this share of what training is to reach are small enough, however small the step.
SHARE_OF_TOL = 0.25


class ForcingTerms:
    """The forcing terms of a run: how near a step has to come to the exact one.

    With "auto" that is Eisenstat and Walker's choice 2: the share is `FACTOR` times what this step lowers the model by,
    over what the last one did. Far from the end steps are solved roughly, near it more and more accurately.

    Parameters
    ----------
    forcing : "auto" or float
        A number: the same share for all steps; 0: they are exact, to rounding.

    References
    ----------
    As of `sltrees.gram.forcing.Forcing`.

    Examples
    --------
    >>> terms = ForcingTerms("auto")
    >>> terms.of(loss=8.0, floor=0.0).most
    0.1
    >>> terms.took(4.0)
    >>> round(terms.of(loss=4.0, floor=0.0).share(0.04), 4), terms.of(loss=4.0, floor=0.0).share(4.0)
    (0.009, 0.1)
    """

    def __init__(self, forcing):
        self._forcing = forcing
        self._decrease = None  # of the model, by the last step that was taken

    def of(self, loss, floor):
        """What the next system is solved to: a `Forcing`, or None for rounding.

        Parameters
        ----------
        loss : float
            The value of the model without a step.
        floor : float
            A residual that is small enough in any case.
        """
        if self._forcing != "auto":
            share = self._forcing
            return Forcing(loss, share, share, 0.0, floor) if share else None
        if self._decrease is None:
            return Forcing(loss, MOST, MOST, 0.0, floor)
        return Forcing(loss, LEAST, MOST, FACTOR * loss / self._decrease, floor)

    def took(self, decrease):
        """A step was taken that lowers the model by so much. Cost: O(1)."""
        if decrease > 0:
            self._decrease = decrease
