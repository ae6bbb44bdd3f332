"""Running contenders on cases: one row of a CSV file for each run, written at once.

Contenders take turns: all of them once on a case, then all of them again. A run that the limit ended, or that went
beyond it, is not repeated, and where cases become dearer, its contender is not run on later ones. BLAS has the same
number of threads for all.
"""

from __future__ import annotations

import csv
import dataclasses
import gc
import math
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from asv_benchmarks.experiment.cases import LOOSE, TIGHT, Case
from sltrees._memory import return_freed_memory

WARM_UP = Case("gaussian", 50, 16, 2**8, "auto")
PHASES = ("gram", "solve", "step", "outputs")


@dataclasses.dataclass(frozen=True)
class Row:
    """A run. Seconds of an iteration are means over the run, its phases included; NaN is what does not apply."""

    contender: str
    setting: str
    data: str
    n: int
    d: int
    width: int
    shift: str
    b: float
    repeat: int
    target: float
    limit: float
    status: str
    iterations: int
    seconds: float
    setup: float
    iteration: float
    gram: float
    solve: float
    step: float
    outputs: float
    to_loose: float
    to_tight: float
    rmse: float
    test_rmse: float
    test_accuracy: float
    peak_bytes: float

    @property
    def case(self):
        return Case(self.data, self.n, self.d, self.width, self.shift)

    @property
    def is_last(self):
        """Whether more of it would take too long, or too much memory."""
        return self.status in ("limit", "memory") or self.seconds > self.limit

    @property
    def key(self):
        """What is run only once: contender, setting, case, repeat."""
        return self.contender, self.setting, self.case, self.repeat


def measure(contender, case, repeat, target, limit, n_threads, pause):
    """One run as a `Row`."""
    problem, target = case.problem(), contender.target(target)
    gc.collect()
    return_freed_memory()
    time.sleep(pause)
    with threadpool_limits(n_threads), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a shift that is lowered stands in the column b
        forget_peak_memory()
        before = peak_memory()
        try:
            outcome = contender.run(case, target, limit, n_threads)
        except MemoryError:
            return _row(contender, case, repeat, target, limit, status="memory")
        except np.linalg.LinAlgError:
            return _row(contender, case, repeat, target, limit, status="singular")
        peak = peak_memory() - before
        predicted = outcome.predict(problem.X_test)
    accuracy = np.mean(np.sign(predicted) == problem.y_test) if problem.is_classification else math.nan
    return _row(
        contender,
        case,
        repeat,
        target,
        limit,
        b=outcome.shift,
        status=outcome.status,
        iterations=outcome.iterations,
        seconds=outcome.seconds,
        setup=outcome.setup,
        iteration=(outcome.seconds - outcome.setup) / outcome.iterations if outcome.iterations else math.nan,
        **{phase: outcome.phases.get(phase, math.nan) for phase in PHASES},
        to_loose=first_time(outcome.points, LOOSE),
        to_tight=first_time(outcome.points, TIGHT),
        rmse=outcome.points[-1][1],
        test_rmse=float(np.sqrt(np.mean((predicted - problem.y_test) ** 2))),
        test_accuracy=float(accuracy),
        peak_bytes=peak,
    )


def _row(contender, case, repeat, target, limit, **found):
    """A row in which what was not found is NaN, or 0."""
    empty = {field.name: {"int": 0, "float": math.nan}.get(field.type) for field in dataclasses.fields(Row)}
    where = dataclasses.asdict(case) | {"contender": contender.name, "setting": contender.setting, "repeat": repeat}
    return Row(**(empty | where | {"target": target, "limit": limit} | found))


def first_time(points, rmse):
    """Seconds at the first point with at most this RMSE; NaN without one."""
    return next((seconds for seconds, at in points if at <= rmse), math.nan)


def forget_peak_memory():
    """Let the peak of the resident memory begin anew, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory():
    """Peak resident memory in bytes since it was forgotten; NaN where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return math.nan
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


# ---------------------------------------------------------------------- files


def path_of(sweep_name, directory):
    return directory / f"experiment_{sweep_name}.csv"


def read(path):
    """The rows of a file; ValueError where it is none of this experiment. A last line that was cut off is left out."""
    if not path.exists():
        return []
    fields = dataclasses.fields(Row)
    lines = path.read_text(encoding="utf-8").split("\n")
    whole = lines[:-1]  # what follows the last line break was not written to its end
    rows = list(csv.reader(whole))
    if not rows or rows[0] != [field.name for field in fields]:
        raise ValueError(f"{path}: the first line must be {','.join(field.name for field in fields)}")
    kinds = [{"int": int, "float": float}.get(field.type, str) for field in fields]
    found = []
    for number, row in enumerate(rows[1:], start=2):
        try:
            found.append(Row(*(kind(text) for kind, text in zip(kinds, row, strict=True))))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    return found


def begin(path, rows):
    """A file with these rows and a header, in place of what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in dataclasses.fields(Row)])
        writer.writerows(_texts(row) for row in rows)
    partial.replace(path)


def append(path, row):
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerow(_texts(row))


def _texts(row):
    """Numbers to five digits, which is more than clocks are good for."""
    return [f"{value:.5g}" if isinstance(value, float) else str(value) for value in dataclasses.astuple(row)]


# ---------------------------------------------------------------------- sweeps


def run_sweep(sweep, contenders, path, *, repeats, limit, n_threads, warm, pause, resume=False):
    """Run what a sweep asks for, and append it to its file.

    Parameters
    ----------
    sweep : Sweep
    contenders : list of Contender
    path : Path
    repeats : int
    limit : float
        Seconds of a run, after which it is ended.
    n_threads : int
    warm : set of str
        Contenders that have been run in this process; those that are run now are added.
    pause : float
        Seconds before each run.
    resume : bool, default False
        Keep the rows that are there, and run the rest only.
    """
    rows = read(path) if resume else []
    begin(path, rows)
    done = {row.key for row in rows}
    ended = {(row.contender, row.setting, row.case) for row in rows if row.is_last}
    cases = sweep.cases
    wanted = [
        (case, repeat, contender)
        for case in cases
        for repeat in range(repeats)
        for contender in contenders
        if (contender.name, contender.setting, case, repeat) not in done
    ]
    for case, repeat, contender in wanted:
        if any(
            (contender.name, contender.setting, earlier) in ended
            for earlier in (cases[: cases.index(case) + 1] if sweep.grows else [case])
        ):
            continue
        if contender.name not in warm:  # what is imported and begun with the first call
            measure(contender, WARM_UP, 0, sweep.target, 1.0, n_threads, pause)
            warm.add(contender.name)
        row = measure(contender, case, repeat, sweep.target, limit, n_threads, pause)
        append(path, row)
        if row.is_last:
            ended.add((row.contender, row.setting, row.case))
        name = f"{row.contender} {row.setting}".strip()
        print(
            f"{sweep.name}: {case}, round {repeat + 1} of {repeats}: {name} {row.status} after {row.seconds:.3g} s, "
            f"{row.iterations} iterations, RMSE {row.rmse:.2e}",
            file=sys.stderr,
            flush=True,
        )
