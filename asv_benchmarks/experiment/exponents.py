"""The exponents with which a run, its set-up and its iterations grow in the width."""

from __future__ import annotations

import dataclasses
import math

from asv_benchmarks.experiment.cases import LOOSE, TIGHT
from asv_benchmarks.experiment.summary import best
from sltrees.plotting import fit_exponent

FLOOR = 5e-3  # seconds of an iteration
LARGE = 2**17  # neurons: below, what does not depend on the width is most of an iteration
BARS = {"paper": 0.76, "auto": 0.55}  # of an iteration of the certified method
FITTED = ("certified", "trees", "dense", "bpsw", "torch-lbfgs")
RULE = (
    f"Medians over repeats are fitted, at all widths at which every repeat reached RMSE {LOOSE:g} and an iteration "
    f"took at least {1e3 * FLOOR:g} ms, for every contender alike; a fit needs at least three widths. A whole run ends "
    f"at RMSE {TIGHT:g} for Newton methods and at {LOOSE:g} for others. On logarithmic scales the curves bend upwards, "
    "because the n x n system, which knows no width, is most of an iteration of narrow networks: so each fit is made "
    "twice, over the large widths alone, which is the better guide to larger ones, and over all. Intervals are those "
    "of `sltrees.plotting.fit_exponent`, of 95% confidence if relative errors are independent: they tell how straight "
    "the line is, not how another machine would do."
)


@dataclasses.dataclass(frozen=True)
class Fit:
    """seconds = c width^exponent.

    Attributes
    ----------
    contender, shift : str
    what : str
        A key of `QUANTITIES`.
    large : bool
        Whether only widths from `LARGE` on were fitted.
    widths, seconds : tuple
        What was fitted.
    exponent, low, high : float
        With the 95% interval.
    """

    contender: str
    shift: str
    what: str
    large: bool
    widths: tuple[int, ...]
    seconds: tuple[float, ...]
    exponent: float
    low: float
    high: float

    @property
    def verdict(self):
        """Of what is asked of an iteration of the certified method; else ""."""
        bar = BARS.get(self.shift)
        if self.contender != "certified" or self.what != "iteration" or bar is None:
            return ""
        if self.exponent > bar:
            return f"{bar:g}: missed"
        return f"{bar:g}: met" + ("" if self.high <= bar else ", interval not")


def _whole_run(cell):
    """Seconds to the RMSE at which runs of the contender end."""
    return cell.median("to_tight" if cell.rows[0].target <= TIGHT else "to_loose")


QUANTITIES = {
    "whole run": _whole_run,
    "set-up": lambda cell: cell.median("setup"),
    "iteration": lambda cell: cell.median("iteration"),
    "iteration less solving": lambda cell: cell.median("iteration") - cell.median("solve"),
}


def fits(rows):
    """The fits to sweeps of the width.

    Parameters
    ----------
    rows : list of Row
        Of the sweeps of the width.

    Returns
    -------
    list of Fit
        In the order of the shifts, of `FITTED` and of `QUANTITIES`; that of large widths before that of all.
    """
    cells = best(rows)
    found = []
    for shift in dict.fromkeys(row.shift for row in rows):
        for contender in FITTED:
            chosen = [cell for cell in cells.values() if (cell.contender, cell.case.shift) == (contender, shift)]
            chosen = [
                cell
                for cell in sorted(chosen, key=lambda cell: cell.case.width)
                if not math.isnan(cell.median("to_loose")) and cell.median("iteration") >= FLOOR
            ]
            for what, seconds_of in QUANTITIES.items():
                points = [(cell.case.width, seconds_of(cell)) for cell in chosen]
                points = [(width, seconds) for width, seconds in points if seconds > 0]  # NaN is what it has not
                for large in (True, False):
                    fitted = [point for point in points if point[0] >= LARGE or not large]
                    if len(fitted) >= 3:
                        widths, seconds = zip(*fitted, strict=True)
                        found.append(
                            Fit(contender, shift, what, large, widths, seconds, *fit_exponent(widths, seconds))
                        )
    return found


def pairs(fits_):
    """The fits by what they are of: that of the large widths, or None, and that of all.

    Parameters
    ----------
    fits_ : list of Fit

    Returns
    -------
    list of (Fit or None, Fit)
    """
    found = {}
    for fit in fits_:
        found.setdefault((fit.shift, fit.contender, fit.what), {})[fit.large] = fit
    return [(pair.get(True), pair[False]) for pair in found.values()]
