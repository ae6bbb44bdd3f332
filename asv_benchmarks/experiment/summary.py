"""Medians over repeats, and the best of the variants of a contender."""

from __future__ import annotations

import csv
import dataclasses
import math
import statistics

from asv_benchmarks.experiment.cases import Case
from asv_benchmarks.experiment.measuring import Row

QUANTITIES = (
    "iterations",
    "seconds",
    "setup",
    "iteration",
    "gram",
    "solve",
    "step",
    "outputs",
    "to_loose",
    "to_tight",
    "rmse",
    "test_rmse",
    "test_accuracy",
    "peak_bytes",
)


@dataclasses.dataclass(frozen=True)
class Cell:
    """What a contender did on a case: the runs of one variant."""

    rows: tuple[Row, ...]

    @property
    def case(self) -> Case:
        return self.rows[0].case

    @property
    def contender(self):
        return self.rows[0].contender

    @property
    def setting(self):
        return self.rows[0].setting

    @property
    def reached(self):
        return all(row.status == "reached" for row in self.rows)

    @property
    def status(self):
        """ "reached", or how the first run ended that did not."""
        return next((row.status for row in self.rows if row.status != "reached"), "reached")

    @property
    def limit(self):
        return self.rows[0].limit

    def values(self, quantity):
        return [getattr(row, quantity) for row in self.rows]

    def median(self, quantity):
        """Over the runs; NaN if it is NaN in any."""
        values = self.values(quantity)
        return math.nan if any(map(math.isnan, values)) else statistics.median(values)


def variants(rows):
    """All cells.

    Parameters
    ----------
    rows : list of Row

    Returns
    -------
    list of Cell
        In the order of their first rows.
    """
    found = {}
    for row in rows:
        found.setdefault((row.contender, row.setting, row.case), []).append(row)
    return [Cell(tuple(group)) for group in found.values()]


def badness(cell):
    """To sort cells by: who is first at the loose RMSE, then who ends nearest to it."""
    to_loose, rmse = cell.median("to_loose"), cell.median("rmse")
    if not math.isnan(to_loose):
        return False, to_loose
    return True, math.inf if math.isnan(rmse) else rmse


def best(rows):
    """The best variant of each contender on each case: see `badness`.

    Parameters
    ----------
    rows : list of Row

    Returns
    -------
    dict of (str, Case) to Cell
    """
    found = {}
    for cell in variants(rows):
        place = cell.contender, cell.case
        if place not in found or badness(cell) < badness(found[place]):
            found[place] = cell
    return found


def write(path, rows_of_sweeps):
    """Median, least and most of every quantity, of all variants, as a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        where = [field.name for field in dataclasses.fields(Case)]
        writer.writerow(
            ["sweep", "contender", "setting", *where, "status", "runs"] + ["quantity", "median", "min", "max"]
        )
        for name, rows in rows_of_sweeps.items():
            for cell in variants(rows):
                place = [name, cell.contender, cell.setting, *dataclasses.astuple(cell.case), cell.status]
                for quantity in QUANTITIES:
                    median, values = cell.median(quantity), cell.values(quantity)
                    if not math.isnan(median):
                        numbers = [f"{value:.5g}" for value in (median, min(values), max(values))]
                        writer.writerow([*place, len(values), quantity, *numbers])
