"""Tables of the experiment, from its CSV files alone, and the pages that show them."""

from __future__ import annotations

import math
import statistics
import textwrap

from asv_benchmarks.compare.parts.pages import markers, rewrite, table
from asv_benchmarks.experiment import exponents, machine, measuring, plots, summary
from asv_benchmarks.experiment.cases import LOOSE, TIGHT, sweeps
from asv_benchmarks.experiment.contenders import NEWTON, TITLES

OURS = "certified"
LINE = 120
GROUPS = ((*NEWTON, "kernel-ridge"), tuple(name for name in TITLES if name not in (*NEWTON, "kernel-ridge")))
COMMAND = "python -m asv_benchmarks.experiment"
BY_SHIFT, RUN_FIRST = ("auto", "paper"), ("whole run", "iteration")
SAID = {"whole run": "a whole run", "set-up": "the set-up", "iteration": "an iteration"}  # of the findings
SWEEPS_OF_WIDTH = ("width", "width-paper")
# those of the short table, in words for readers who do not know the names of methods
CALLED = {
    "certified": "this package, `NewtonTrainer`",
    "trees": "the same steps, the paper's algorithm taken literally",
    "dense": "the same steps, every neuron read (dense Gauss-Newton)",
    "kernel-ridge": "kernel ridge regression, the limit of infinite width",
    "torch-lbfgs": "L-BFGS in PyTorch",
    "torch-adam": "Adam in PyTorch",
}
HEADS = {"width": "m", "n": "n", "d": "d", "shift": "shift", "data": "data"}


class Results:
    """All rows that a directory has, by sweep, and the best cells of each."""

    def __init__(self, directory):
        self.directory = directory
        self.sweeps = sweeps()
        self.rows = {name: measuring.read(measuring.path_of(name, directory)) for name in self.sweeps}
        self.cells = {name: summary.best(rows) for name, rows in self.rows.items()}
        self.machine = machine.read(directory / "experiment_machine.csv")

    def width_rows(self):
        """Those of the two sweeps of the width."""
        return [row for name in SWEEPS_OF_WIDTH for row in self.rows[name]]

    def by_value(self, name):
        """The cells of a sweep by contender and the value of what the sweep varies.

        Returns
        -------
        dict of (str, value) to Cell
        """
        varies = self.sweeps[name].varies
        return {(contender, getattr(case, varies)): cell for (contender, case), cell in self.cells[name].items()}


# ---------------------------------------------------------------------- cells as text


def seconds(value):
    """Two digits, from microseconds to hours."""
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.3g}"


def time_to(cell, quantity, asked):
    """Seconds to an RMSE, a lower bound where the limit came first, or how else it ended; "-" where none was asked."""
    value = cell.median(quantity)
    if not math.isnan(value):
        return seconds(value)
    if cell.rows[0].target > asked:
        return "-"
    return f">= {cell.limit:g}" if cell.status == "limit" else cell.status


def value_text(value):
    return plots.power(value) if isinstance(value, int) and value >= 2**10 else str(value)


def share(value):
    return "-" if math.isnan(value) else f"{value:.3f}"


def mebibytes(value):
    return "-" if math.isnan(value) else f"{value / 2**20:.0f}"


# ---------------------------------------------------------------------- tables


def grids(cells, head, text):
    """Tables with a line for each value and a column for each contender; those of ours first.

    Parameters
    ----------
    cells : dict of (str, value) to Cell
    head : str
        What the values are.
    text : callable
        The text of a cell.

    Returns
    -------
    list of str
    """
    values = list(dict.fromkeys(value for _, value in cells))
    found = []
    for group in GROUPS:
        columns = [name for name in group if any((name, value) in cells for value in values)]
        body = [
            [value_text(value)] + [text(cells[name, value]) if (name, value) in cells else "" for name in columns]
            for value in values
        ]
        body = [line for line in body if any(cell not in ("", "-") for cell in line[1:])]
        if columns and body:
            found.append(table([head, *(TITLES[name] for name in columns)], body))
    return found


def sweep_block(results, name):
    """What a sweep found: times and test errors of everybody, and more of ours."""
    sweep, cells = results.sweeps[name], results.by_value(name)
    head = HEADS[sweep.varies]
    shown = {
        f"Seconds to RMSE {LOOSE:g}": lambda cell: time_to(cell, "to_loose", LOOSE),
        f"Seconds to RMSE {TIGHT:g}": lambda cell: time_to(cell, "to_tight", TIGHT),
        "Milliseconds an iteration": lambda cell: seconds(1e3 * cell.median("iteration")),
    }
    if sweep.target > TIGHT:
        del shown[f"Seconds to RMSE {TIGHT:g}"]
    parts = []
    for what, text in (shown | dict([_tested(cells)])).items():
        parts += [f"{what}:", *grids(cells, head, text)]
    return "\n\n".join([*parts, ours_block(results, name)])


def _tested(cells):
    if any(not math.isnan(cell.median("test_accuracy")) for cell in cells.values()):
        return "Accuracy on test samples", lambda cell: share(cell.median("test_accuracy"))
    return "RMSE on test samples", lambda cell: share(cell.median("test_rmse"))


def ours_block(results, name):
    """What the certified method did in a sweep."""
    cells, head = results.by_value(name), HEADS[results.sweeps[name].varies]
    body = [
        [
            value_text(value),
            str(round(cell.median("iterations"))),
            seconds(1e3 * cell.median("setup")),
            *(seconds(1e3 * cell.median(phase)) for phase in ("iteration", *measuring.PHASES)),
            mebibytes(cell.median("peak_bytes")),
            f"{cell.median('b'):.3g}",
        ]
        for (contender, value), cell in cells.items()
        if contender == OURS
    ]
    if not body:
        return nothing(f"the sweep {name!r} ({results.sweeps[name].title})")
    columns = [head, "iterations", "set-up", "iteration", *measuring.PHASES, "peak MiB", "b"]
    title = "Method certified: iterations, milliseconds of the set-up, and of an iteration by phase:"
    return f"{title}\n\n{table(columns, body)}"


def ratio(cell, ours):
    """Median over rounds of a contender's time to the loose RMSE over ours in the same round; with ">=" a bound."""
    times = {row.repeat: row.to_loose for row in ours.rows}
    if not times or any(map(math.isnan, times.values())):
        return "-"
    if math.isnan(cell.median("to_loose")):
        return f">= {cell.limit / statistics.median(times.values()):.3g}" if cell.status == "limit" else "-"
    return f"{statistics.median(row.to_loose / times[row.repeat] for row in cell.rows if row.repeat in times):.3g}"


def table_block(results):
    """Everybody at one width, to the loose RMSE."""
    cells = list(results.cells["table"].values())
    ours = next((cell for cell in cells if cell.contender == OURS), None)
    body = []
    for cell in sorted(cells, key=summary.badness):
        times = cell.values("to_loose")
        spread = "" if math.isnan(cell.median("to_loose")) else f"{seconds(min(times))} to {seconds(max(times))}"
        body.append(
            [
                f"{TITLES[cell.contender]} {cell.setting}".strip(),
                time_to(cell, "to_loose", LOOSE),
                spread,
                "-" if ours is None else ratio(cell, ours),
                str(round(cell.median("iterations"))),
                "yes" if cell.reached else cell.status,
                f"{cell.median('rmse'):.1e}",
                share(cell.median("test_accuracy")),
                mebibytes(cell.median("peak_bytes")),
            ]
        )
    columns = ["", "seconds", "min to max", "times ours", "iterations", "reached", "RMSE", "accuracy", "peak MiB"]
    tables = [table(columns, body)]
    rates = [cell for cell in summary.variants(results.rows["table"]) if cell.setting]
    if rates:
        lines = [
            [f"{TITLES[cell.contender]} {cell.setting}", time_to(cell, "to_loose", LOOSE), f"{cell.median('rmse'):.1e}"]
            for cell in rates
        ]
        tables += ["All learning rates:", table(["", "seconds", "RMSE"], lines)]
    return "\n\n".join(tables)


def short_block(results):
    """Some contenders at one width, their times also in units of ours; then how ours grows with the width."""
    cells = [cell for cell in results.cells["table"].values() if cell.contender in CALLED]
    cells.sort(key=summary.badness)
    ours = next((cell for cell in cells if cell.contender == OURS), None)
    if ours is None:
        return nothing("the width of the table")
    body = [[CALLED[cell.contender], time_to(cell, "to_loose", LOOSE), ratio(cell, ours)] for cell in cells]
    head = [f"to a training RMSE of {LOOSE:g}, m = {value_text(ours.case.width)}", "seconds", "times ours"]
    return f"{table(head, body)}\n\n{growth_block(results)}"


def growth_block(results):
    """How ours grows with the width, beside dense Gauss-Newton, in a few lines."""
    found = {(fit.contender, fit.shift, fit.what, fit.large): fit for fit in exponents.fits(results.width_rows())}
    asked = [(OURS, shift, what, large) for shift in BY_SHIFT for what in RUN_FIRST for large in (True, False)]
    dense = found.get(("dense", "auto", "iteration", False))
    if dense is None or not all(key in found for key in asked):
        return nothing("width")
    grown = {key[1:]: f"m^{found[key].exponent:.2f}" for key in asked}
    start, first = (value_text(found[key].widths[0]) for key in asked[:2])
    return _wrapped(
        f"From {start} neurons on, a whole run of ours grows with the width m as {grown['auto', 'whole run', True]}, "
        f"and an iteration as {grown['auto', 'iteration', True]} (with the shift of the paper "
        f"{grown['paper', 'whole run', True]} and {grown['paper', 'iteration', True]}). Over all widths from {first} "
        f"on it is {grown['auto', 'whole run', False]} and {grown['auto', 'iteration', False]}, because most of the "
        "time of narrow networks does not depend on the width. An iteration of dense Gauss-Newton grows as "
        f"m^{dense.exponent:.2f}."
    )


def exponents_block(results):
    pairs = exponents.pairs(exponents.fits(results.width_rows()))
    if not pairs:
        return nothing("width")
    columns = ["seconds of", f"from {plots.power(exponents.LARGE)} on (95%)", "all widths (95%)", "widths"]
    parts = []
    for shift in dict.fromkeys(whole.shift for _, whole in pairs):
        chosen = [(large, whole) for large, whole in pairs if whole.shift == shift]
        body = [
            [
                f"{TITLES[whole.contender]}, {whole.what}",
                "" if large is None else _stated(large),
                _stated(whole),
                f"{plots.power(whole.widths[0])} to {plots.power(whole.widths[-1])}",
            ]
            for large, whole in chosen
        ]
        verdicts = [large.verdict for large, _ in chosen if large is not None and large.verdict]
        asked = f" (an iteration of certified is asked for at most {verdicts[0]})" if verdicts else ""
        parts += [f"Shift {shift}{asked}:", table(columns, body)]
    return "\n\n".join(parts)


def _stated(fit):
    return f"{fit.exponent:.2f} ({fit.low:.2f} to {fit.high:.2f})"


def losses_block(results):
    """Where somebody else is at the loose RMSE before the certified method."""
    said = []
    for name, sweep in results.sweeps.items():
        cells = results.by_value(name)
        for contender in TITLES:
            both = [value for other, value in cells if other == OURS != contender and (contender, value) in cells]
            pairs = {value: (cells[OURS, value], cells[contender, value]) for value in both}
            lost = {value: pair for value, pair in pairs.items() if _is_before(*reversed(pair))}
            if lost:
                factors = [ours.median("to_loose") / other.median("to_loose") for ours, other in lost.values()]
                factors = [factor for factor in factors if not math.isnan(factor)]
                by = f", {seconds(min(factors))} to {seconds(max(factors))} times as fast" if factors else ""
                where = f"{HEADS[sweep.varies]} = {stretches(both, lost)} ({len(lost)} of {len(both)} cases)"
                said.append(f"{sweep.title}: {TITLES[contender]} at {where}{by}.")
    if not said:
        return nothing("all sweeps") if not any(results.rows.values()) else "Nowhere."
    return "\n".join(_wrapped(f"- {one}", "  ") for one in said)


def _is_before(cell, ours):
    first, second = cell.median("to_loose"), ours.median("to_loose")
    return not math.isnan(first) and (math.isnan(second) or first < second)


def stretches(values, chosen):
    """The chosen ones of an ordered list, neighbours joined: "1 to 3, 7"."""
    parts = []
    for place, value in enumerate(values):
        if value not in chosen:
            continue
        if place and values[place - 1] in chosen:
            parts[-1][1] = value
        else:
            parts.append([value, value])
    texts = [[value_text(value) for value in part] for part in parts]
    return ", ".join(first if first == last else f"{first} to {last}" for first, last in texts)


def kernel_block(results):
    """Kernel ridge regression beside the certified method: times, and errors on test samples."""
    body = []
    for name, sweep in results.sweeps.items():
        cells = results.by_value(name)
        both = [value for contender, value in cells if contender == OURS and ("kernel-ridge", value) in cells]
        for value in both[:: max(1, len(both) - 1)]:  # the first and the last
            ours, kernel = cells[OURS, value], cells["kernel-ridge", value]
            body.append(
                [
                    f"{sweep.title}: {HEADS[sweep.varies]} = {value_text(value)}",
                    time_to(ours, "to_loose", LOOSE),
                    share(ours.median("test_rmse")),
                    time_to(kernel, "to_loose", LOOSE),
                    share(kernel.median("test_rmse")),
                ]
            )
    if not body:
        return nothing("all sweeps")
    return table(["", "certified, s", "test RMSE", "kernel ridge, s", "test RMSE"], body)


def findings_block(results):
    """How the time grows with the width, in sentences, and from which width on ours is faster, in a table."""
    pairs = exponents.pairs(exponents.fits(results.width_rows()))
    ours = [pair for pair in pairs if pair[1].contender == OURS and pair[1].what in SAID]
    said = [
        _growth(what, [pair for pair in ours if pair[1].what == what])
        for what in dict.fromkeys(fit.what for _, fit in ours)
    ]
    others = [
        f"{TITLES[fit.contender]} m^{fit.exponent:.2f}"
        for _, fit in pairs
        if fit.shift == "auto" and fit.what == "iteration" and fit.contender != OURS
    ]
    if others:
        said.append(
            f"Over all their widths, with shift auto, iterations of others grow as follows: {', '.join(others)}."
        )
    body = []
    for contender in TITLES:
        line = [_won(results.by_value(name), contender) for name in SWEEPS_OF_WIDTH]
        if any(line):
            body.append([TITLES[contender], *line])
    shown = ["\n".join(_wrapped(f"- {one}", "  ") for one in said)] if said else []
    if body:
        shown += ["Where certified is at the target sooner than", table(["", "shift auto", "shift paper"], body)]
    return "\n\n".join(shown) if shown else nothing("all sweeps")


def _growth(what, pairs):
    """How something of ours grows, with each shift: over the large widths first, where they were fitted."""
    start = value_text(exponents.LARGE)
    large = [f"m^{fit.exponent:.2f} with shift {fit.shift}" for fit, _ in pairs if fit is not None]
    whole = [f"m^{fit.exponent:.2f} with shift {fit.shift}" for _, fit in pairs]
    subject = f"{SAID[what]} of certified grows with the width m as"
    if not large:
        return f"Over all widths {subject} {', '.join(whole)}."
    return f"From {start} neurons on {subject} {', '.join(large)}; over all widths as {', '.join(whole)}."


def _won(cells, contender):
    """At which widths ours is faster than a contender, in words; "" where they did not meet."""
    both = [value for other, value in cells if other == OURS != contender and (contender, value) in cells]
    lost = [value for value in both if _is_before(cells[contender, value], cells[OURS, value])]
    if not both:
        return ""
    met = stretches(both, both)
    if not lost:
        return f"always, {met}"
    if lost == both:
        return f"never, {met}"
    after = both[both.index(lost[-1]) + 1 :]
    if not after:
        return f"not at {stretches(both, lost)}, of {met}"
    return f"from {value_text(after[0])} on, to {value_text(both[-1])}"


def machine_block(results):
    if not results.machine:
        return nothing("the machine")
    return "\n".join(_wrapped(f"- {key}: {value}", "  ") for key, value in results.machine.items())


def _wrapped(text, indent=""):
    return textwrap.fill(text, LINE, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def nothing(what):
    return _wrapped(f"No measurements of {what} are there yet; `{COMMAND}` makes them.")


def blocks(results):
    """All texts that pages may show, by the name of their markers.

    Parameters
    ----------
    results : Results

    Returns
    -------
    dict of str to str
    """
    found = {
        "machine": machine_block(results),
        "rule": _wrapped(exponents.RULE),
        "findings": findings_block(results),
        "exponents": exponents_block(results),
        "in short": short_block(results),
        "losses": losses_block(results),
        "kernel": kernel_block(results),
    }
    for name, sweep in results.sweeps.items():
        found[f"{name} of ours"] = ours_block(results, name)
        if not results.rows[name]:
            found[name] = nothing(f"the sweep {name!r} ({sweep.title})")
        else:
            found[name] = table_block(results) if name == "table" else sweep_block(results, name)
    return {f"experiment {name}": text for name, text in found.items()}


def shown(page, texts):
    """Names of the texts that a page has a place for."""
    content = page.read_text(encoding="utf-8")
    return [name for name in texts if markers(name)[0] in content]


def make(directory, pages, out):
    """Print all tables, write the summary, plots and pages.

    Parameters
    ----------
    directory : Path
        Where the CSV files are, and plots go.
    pages : list of Path
        Whose places are filled.
    out : file
        Where tables are printed.
    """
    results = Results(directory)
    texts = blocks(results)
    for name, text in texts.items():
        print(f"\n== {name}\n\n{text}", file=out)
    if any(results.rows.values()):
        summary.write(directory / "experiment_summary.csv", results.rows)
    for page in pages:
        for name in shown(page, texts):
            rewrite(page, texts[name], name)
    for path in plots.draw_all(results, directory):
        print(f"Written: {path}", file=out)
