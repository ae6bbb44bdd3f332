"""Levenberg-Marquardt damping: how much to trust the next step."""

from __future__ import annotations

FIRST_DAMPING = 1e-2  # after the first refusal, relative to trace(G)/n
NO_DAMPING_BELOW = 1e-8  # smaller than this is none: full Newton steps converge quadratically
GOOD_RATIO = 0.5  # actual over predicted decrease above which damping falls
POOR_RATIO = 0.1  # below which it rises although the step is taken
LOWER, RAISE_ACCEPTED, RAISE_REFUSED = 0.25, 2.0, 4.0
FIRST_OF_SHORTENING = 1.0  # after the first step that is too long to be tried
GIVE_UP_ABOVE = 1e6  # times n: such a step is n^-1 1e-6 of a gradient step and changes nothing any more


class LevenbergMarquardt:
    """The damping lam of the next step, relative to trace(G)/n, from how well the last step was predicted.

    The ratio of the actual to the predicted decrease of the objective tells how far the linear model holds. By default
    the first step is not damped: where the width suffices every full step is good, and none ever will be. In a run of
    refusals the factor doubles each time, so that a bad start costs few trials.

    Parameters
    ----------
    n_samples : int
    first : float, default 0.0
        Damping of the first step.

    Attributes
    ----------
    damping : float
        lam / (trace(G)/n).

    References
    ----------
    Nielsen, "Damping parameter in Marquardt's method", IMM-REP-1999-05: the doubling. Marquardt 1963.

    Examples
    --------
    >>> rule = LevenbergMarquardt(100)
    >>> rule.refuse()
    >>> rule.damping
    0.01
    >>> rule.accept(0.9)
    >>> rule.damping
    0.0025
    """

    def __init__(self, n_samples, first=0.0):
        self.damping = float(first)
        self._n_samples = n_samples
        self._raise = RAISE_REFUSED

    def accept(self, ratio):
        """A step was taken that achieved `ratio` of the predicted decrease. Sets: damping."""
        self._raise = RAISE_REFUSED
        if ratio > GOOD_RATIO:
            self.damping *= LOWER
            if self.damping < NO_DAMPING_BELOW:
                self.damping = 0.0
        elif ratio < POOR_RATIO:
            self.damping = max(RAISE_ACCEPTED * self.damping, FIRST_DAMPING)

    def refuse(self):
        """A step raised the objective, or could not be computed. Sets: damping."""
        self.damping = max(self._raise * self.damping, FIRST_DAMPING)
        self._raise *= 2.0

    def shorten(self):
        """A step is not to be tried, or could not be computed, where a trial costs more than a solution. Sets: damping.

        The factor stays the same: it takes back what an accepted step lowered.
        """
        self.damping = max(RAISE_REFUSED * self.damping, FIRST_OF_SHORTENING)

    @property
    def exhausted(self):
        """Whether more damping cannot help."""
        return self.damping > GIVE_UP_ABOVE * self._n_samples
