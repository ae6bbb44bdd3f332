"""What `compare/training.py` prints and writes: measurements as CSV, a table of what is asked for, a plot."""

import contextlib
import csv
import math
import statistics

import numpy as np


def power(width):
    k = width.bit_length() - 1
    return f"2^{k}" if width == 2**k else str(width)


def si(value):
    for unit, scale in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def fit_exponent(widths, times):
    """Slope of log(time) in log(width) by least squares, and its standard error (NaN from two widths)."""
    if len(widths) < 2:
        return math.nan, math.nan
    x, t = np.log(np.asarray(widths, dtype=float)), np.log(np.asarray(times))
    x = x - x.mean()
    slope = float(x @ t / (x @ x))
    rest = t - t.mean() - slope * x
    error = math.sqrt(float(rest @ rest) / (len(x) - 2) / float(x @ x)) if len(x) > 2 else math.nan
    return slope, error


class MissingError(Exception):
    """A run does not report what is to be measured."""


class NothingToMeasureError(Exception):
    """A run has no iteration of the kind asked about."""


def field(record, name):
    """An attribute of what a run returned; MissingError where it has none of the name."""
    try:
        return getattr(record, name)
    except AttributeError:
        raise MissingError(f"{type(record).__name__} has no {name!r}") from None


class Repeats:
    """What the methods of a comparison took: a list for each, with an entry a repeat."""

    def __init__(self):
        self.found = {}

    def add(self, **values):
        for name, value in values.items():
            self.found.setdefault(name, []).append(value)

    def median(self, name):
        return statistics.median(self.found[name])

    def ratios(self, name, unit="D"):
        return [value / one for value, one in zip(self.found[name], self.found[unit], strict=True)]

    def ratio(self, name, unit="D"):
        """Median of the ratios within a repeat."""
        return statistics.median(self.ratios(name, unit))


class Report:
    """Rows for the CSV file, and the table of what is asked for."""

    columns = ("section", "data", "shift", "dtype", "width", "iteration", "quantity", "median", "least", "most")

    def __init__(self):
        self.rows, self.bars, self.curves = [], [], {}
        self.complete = True

    def title(self, text):
        print(f"\n== {text}", flush=True)

    def add(self, section, case, quantity, values, iteration=None):
        values = np.atleast_1d(values).tolist()
        where = (section, case.problem.name, case.shift, case.dtype, case.width, iteration)
        self.rows.append((*where, quantity, statistics.median(values), min(values), max(values)))

    def add_all(self, section, case, repeats, unit="D"):
        """Seconds, and ratios to one of them."""
        for name, values in repeats.found.items():
            self.add(section, case, f"{name}, s", values)
            if name != unit:
                self.add(section, case, f"{name} / {unit}", repeats.ratios(name, unit))

    def judge(self, name, bar, value, *, least=False, unit="", shown=None, unjudged=None, fails=None):
        """A row of the table.

        `unjudged` is a reason for which the value says nothing about the bar, such as another width than is asked for;
        `fails` is one for which the bar counts as missed whatever the value.
        """
        met = value >= bar if least else value <= bar
        verdict = f"MISSED: {fails}" if fails else "met" if met else "MISSED"
        if unjudged:
            verdict = f"not judged: {unjudged}"
        asked = f"{'>=' if least else '<='} {bar:g}{unit}"
        self.bars.append((name, asked, shown or f"{value:.3g}{unit}", verdict))

    def tell(self, name, value):
        """A row without a bar."""
        self.bars.append((name, "", value, "reported"))

    @contextlib.contextmanager
    def guard(self, name, *, optional=False):
        """List as not measured what a run does not report, or what needs a package or memory that is not there."""
        try:
            yield
        except NothingToMeasureError as error:
            self.bars.append((name, "", "", f"nothing to measure: {error}"))
        except (MissingError, ImportError, MemoryError) as error:
            self.complete &= optional
            print(f"{name}: NOT MEASURED: {error}", flush=True)
            self.bars.append((name, "", "", f"NOT MEASURED: {error}"))

    def print_bars(self):
        self.title("what is asked for")
        rows = [("", "asked", "measured", ""), *self.bars]
        widths = [max(len(row[j]) for row in rows) for j in range(3)]
        for name, asked, value, verdict in rows:
            print(f"{name:<{widths[0]}}  {asked:>{widths[1]}}  {value:>{widths[2]}}  {verdict}".rstrip())

    def write(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        bars = ("what", "asked", "measured", "verdict")
        written = ["training.csv", "training_bars.csv"]
        for name, header, rows in zip(written, (self.columns, bars), (self.rows, self.bars), strict=True):
            with (directory / name).open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(header)
                writer.writerows(rows)
        if self.curves and self._plot(directory / "training.png"):
            written.append("training.png")
        print(f"\nWritten to {directory}: {', '.join(written)}")

    def _plot(self, path):
        """Seconds of an iteration over the width, a panel for each data set; False without matplotlib."""
        try:
            import matplotlib
        except ImportError:
            print("matplotlib is not installed: no plot")
            return False
        matplotlib.use("Agg")
        from matplotlib import pyplot

        names = sorted({name for name, _ in self.curves})
        figure, axes = pyplot.subplots(1, len(names), figsize=(5.5 * len(names), 4.5), sharey=True, squeeze=False)
        panels = dict(zip(names, axes[0], strict=True))
        colours = {shift: f"C{j}" for j, shift in enumerate(sorted({shift for _, shift in self.curves}, reverse=True))}
        for (name, shift), curve in self.curves.items():
            axis, style = panels[name], {"color": colours[shift]}
            slope = fit_exponent(curve["m"], curve["iteration"])[0]
            label = f'iteration, "{shift}": m^{slope:.2f}'
            axis.loglog(curve["m"], curve["iteration"], "o-", label=label, **style)
            axis.loglog(curve["m"], curve["without_solve"], "s--", alpha=0.5, label="  without the solve", **style)
            if shift == next(iter(colours)):
                axis.loglog(curve["m"], curve["D"], "k:", label="one dense forward pass")
        for name, axis in panels.items():
            axis.set(title=name, xlabel="width m")
            axis.legend(fontsize="small")
        axes[0, 0].set_ylabel("seconds")
        figure.tight_layout()
        figure.savefig(path, dpi=150)
        return True
