"""The exponents with which an iteration grows in the width."""

from __future__ import annotations

import dataclasses
import math

from asv_benchmarks.experiment.cases import LOOSE
from asv_benchmarks.experiment.summary import best
from sltrees.plotting import fit_exponent

FLOOR = 5e-3  # seconds
BARS = {"paper": 0.76, "auto": 0.55}  # of the certified method
FITTED = ("certified", "trees", "dense", "bpsw", "torch-lbfgs")
RULE = (
    f"Fitted are the medians over repeats at all widths at which every repeat reached RMSE {LOOSE:g} and an iteration "
    f"took at least {1e3 * FLOOR:g} ms, for every contender alike; at least three are needed. Intervals are those of "
    "`sltrees.plotting.fit_exponent`, of 95% confidence if relative errors are independent: they tell how straight the "
    "line is, not how another machine would do."
)


@dataclasses.dataclass(frozen=True)
class Fit:
    """seconds = c width^exponent."""

    contender: str
    shift: str
    what: str
    widths: tuple[int, ...]
    seconds: tuple[float, ...]
    exponent: float
    low: float
    high: float

    @property
    def verdict(self):
        """Of what is asked of all that an iteration of the certified method does; else ""."""
        bar = BARS.get(self.shift)
        if self.contender != "certified" or self.what != "everything" or bar is None:
            return ""
        if self.exponent > bar:
            return f"{bar:g}: missed"
        return f"{bar:g}: met" + ("" if self.high <= bar else ", interval not")


def fits(rows):
    """The fits to sweeps of the width, with and without the solution of the n x n systems, which knows no width.

    Parameters
    ----------
    rows : list of Row
        Of the sweeps of the width.

    Returns
    -------
    list of Fit
        In the order of the shifts and of `FITTED`.
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
            if len(chosen) < 3:
                continue
            widths = tuple(cell.case.width for cell in chosen)
            whole = tuple(cell.median("iteration") for cell in chosen)
            kinds = {"everything": whole}
            solve = [cell.median("solve") for cell in chosen]
            if not any(map(math.isnan, solve)):
                kinds["without the solve"] = tuple(all_ - part for all_, part in zip(whole, solve, strict=True))
            for what, seconds in kinds.items():
                found.append(Fit(contender, shift, what, widths, seconds, *fit_exponent(widths, seconds)))
    return found
