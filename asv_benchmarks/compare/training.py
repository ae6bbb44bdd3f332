"""What an iteration of training costs, in dense forward passes of the same network and beside dense Gauss-Newton.

    python asv_benchmarks/compare/training.py [--quick] [--widths 2^14 2^16] [--only runs] [--out DIR]

The unit is D: one forward pass of all m neurons over all n samples with NumPy, in blocks of neurons whose products
stay in cache (the best of several block sizes), with as many BLAS threads as the trainer has threads. The weights lie
ready in one array: drawing them is not counted in D, but it is in every "whole run". What is not a product NumPy
does on one thread; "D by blocks" is the same pass with its blocks spread over all threads, for comparison.

Methods take turns in one process, and every ratio is the median over repeats of the ratio within a repeat. Runs
start from a fresh network each time; seeds are fixed, so every repeat makes the same steps.

Data: the shipped digits (1,000 of them, parity), and 1,000 Gaussian directions in 64 dimensions with the sign of
a smooth function as targets. Sections, for --only:

runs           each width: iterations, set-up and whole run to RMSE 1e-6; the exponent of iteration time in m
visit          one visit of every materialised neuron, on all threads and on one
late           each iteration down to rounding: its seconds, and the neurons reported, cleared and visited
gauss-newton   dense Gauss-Newton with the same steps, in NumPy and in PyTorch
memory         bytes per materialised neuron, and the peak memory of a process of its own
trajectories   displacements of sampled neurons beside those of method="trees", in float64

At the end stands a table of what is asked for and what was found. A bar is not judged that is asked for at another
width than the one measured, or in D while D shows that the machine was busy. What could not be measured is listed too,
and makes the exit status 1.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
import sltrees
from asv_benchmarks.compare.parts import dense_methods as dense
from asv_benchmarks.compare.parts.training_cases import (
    TOLERANCE,
    Case,
    disturbance,
    forward_pass,
    problem,
    time_full_visit,
    train,
)
from asv_benchmarks.compare.parts.training_report import (
    MissingError,
    NothingToMeasureError,
    Repeats,
    Report,
    field,
    fit_exponent,
    power,
    si,
)
from sltrees._memory import peak_rss_bytes
from sltrees.callbacks import Callback
from sltrees.gram.matrix import GramMatrix
from sltrees.methods.choose import METHODS

ROOT = Path(__file__).resolve().parents[2]
SHIFTS = ("paper", "auto")
BAR_WIDTH = 2**20  # at which bars are asked for
EXPONENT_WIDTHS = (2**14, 2**20)
EXPONENT_BARS = {"paper": 0.76, "auto": 0.55}
LATE_TOLERANCE = {"float32": 1e-7, "float64": 1e-12}  # as far as rounding lets it
BLAS_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def cases(args, shifts=SHIFTS, dtypes=("float32",)):
    """Cases at the width of the bars, or else at the largest measured."""
    width = BAR_WIDTH if BAR_WIDTH in args.widths else max(args.widths)
    return [Case(data, shift, width, dtype) for data in args.problems for shift in shifts for dtype in dtypes]


def elsewhere(case):
    """Why a bar is not judged on a case, or None."""
    return None if case.width == BAR_WIDTH else f"measured at {power(case.width)}"


# ---------------------------------------------------------------------- runs to RMSE 1e-6


def runs(report, args):
    for data in args.problems:
        for shift in SHIFTS:
            report.title(f"runs to RMSE {TOLERANCE:g}: {data.name}, shift {shift!r}, float32")
            curve = {"m": [], "iteration": [], "without_solve": [], "D": []}
            busy = []
            for width in args.widths:
                case = Case(data, shift, width)
                with report.guard(f"run ({case})", optional=width > BAR_WIDTH):
                    busy.append(run_width(report, args, case, curve))
            if curve["m"]:
                report.curves[data.name, shift] = curve
                exponents(report, data, shift, curve, next(filter(None, busy), None))


def run_width(report, args, case, curve):
    """Measure one width; returns what tells that the machine was busy, or None."""
    forward, repeats, run = forward_pass(case, args), Repeats(), None
    for _ in range(args.repeats):
        unit = forward.seconds(args.threads)
        run = train(case, args)
        repeats.add(
            D=unit,
            D_by_blocks=forward.seconds_by_blocks(args.threads),
            run=run.seconds,
            setup=run.result.seconds_setup,
            iteration=run.iteration,
            without_solve=run.iteration - run.solve,
            solve=run.solve,
            outside_phases=run.iteration - statistics.mean(sum(r.seconds.values()) for r in run.result.history),
        )
    trouble = disturbance(case, repeats.found["D"], forward, args)
    report.add_all("runs", case, repeats)
    report.add("runs", case, "iterations", run.result.n_iter)
    report.add("runs", case, "materialised / m", run.materialised / case.width)
    for kind, values in curve.items():
        values.append(case.width if kind == "m" else repeats.median(kind))
    print(
        f"m={power(case.width):<5} D {si(repeats.median('D')):>7} (by blocks {repeats.ratio('D_by_blocks'):.2f} D) | "
        f"{run.result.n_iter} iterations of {si(repeats.median('iteration'))} = {repeats.ratio('iteration'):.3g} D, "
        f"without solve {repeats.ratio('without_solve'):.3g} D | set-up {repeats.ratio('setup'):.3g} D, "
        f"whole run {repeats.ratio('run'):.3g} D | materialised {run.materialised / case.width:.1%}"
        + (f" | {run.fails}" if run.fails else ""),
        flush=True,
    )
    if case in cases(args):
        run_bars(report, case, repeats, run, trouble)
    return trouble


def run_bars(report, case, repeats, run, trouble):
    where, options = (
        f"({case.problem.name}, {case.shift})",
        {"unjudged": elsewhere(case) or trouble, "fails": run.fails},
    )
    if case.shift == "paper":
        report.judge(f"mean iteration / D {where}", 0.06, repeats.ratio("iteration"), **options)
        report.tell(f"mean iteration without the solve / D {where}", f"{repeats.ratio('without_solve'):.3g}")
        report.judge(f"whole run / D {where}", 1.5, repeats.ratio("run"), **options)
        with report.guard(f"table of costs {where}"):
            print(field(run.result, "cost_table")())
    else:
        for name, kind in (("mean iteration", "iteration"), ("whole run", "run")):
            report.tell(f"{name} / D {where}", f"{repeats.ratio(kind):.3g}")
    report.tell(f"D by blocks / D {where}", f"{repeats.ratio('D_by_blocks'):.3g}")


def exponents(report, data, shift, curve, trouble):
    lowest, highest = EXPONENT_WIDTHS
    inside = [j for j, m in enumerate(curve["m"]) if lowest <= m <= highest] or list(range(len(curve["m"])))
    m = [curve["m"][j] for j in inside]
    whole_range = (m[0], m[-1]) == EXPONENT_WIDTHS
    for kind, what in (("iteration", "everything"), ("without_solve", "without the solve")):
        slope, error = fit_exponent(m, [curve[kind][j] for j in inside])
        report.judge(
            f"exponent of iteration time in m, {what} ({data.name}, {shift})",
            EXPONENT_BARS[shift],
            slope,
            shown=f"{slope:.3f} +- {error:.3f}",
            unjudged=trouble if whole_range else f"measured at {power(m[0])} to {power(m[-1])}",
        )
        print(f"exponent in m, {what}: {slope:.3f}, standard error {error:.3f}, from {len(m)} widths", flush=True)


# ---------------------------------------------------------------------- a visit of everything


def visit(report, args):
    report.title("one visit of every materialised neuron")
    for case in cases(args, ("paper",)):
        forward, repeats = forward_pass(case, args), Repeats()
        for _ in range(args.repeats):
            unit = forward.seconds(args.threads)
            many, many_and_gram, record, materialised = time_full_visit(case, args, args.threads)
            one, one_and_gram, _, _ = time_full_visit(case, args, 1)
            repeats.add(
                D=unit, visit=many, visit_on_one=one, visit_and_G=many_and_gram, visit_and_G_on_one=one_and_gram
            )
        trouble = disturbance(case, repeats.found["D"], forward, args)
        report.add_all("visit", case, repeats)
        speedup, where = repeats.ratio("visit_on_one", "visit"), f"({case.problem.name}, paper)"
        print(
            f"{case}: D {si(repeats.median('D'))}, visit {si(repeats.median('visit'))} = "
            f"{repeats.ratio('visit'):.3g} D, with G {repeats.ratio('visit_and_G'):.3g} D; "
            f"on one thread {speedup:.3g}x, with G {repeats.ratio('visit_and_G_on_one', 'visit_and_G'):.3g}x",
            flush=True,
        )
        report.tell(f"full visit and forming G / D {where}", f"{repeats.ratio('visit_and_G'):.3g}")
        with report.guard(f"full visit {where}"):
            visited = field(record, "visited_neurons")
            print(f"visited {visited} of {materialised} materialised neurons", flush=True)
            fails = None if visited == materialised else f"only {visited} of {materialised} neurons were visited"
            options = {"unjudged": elsewhere(case) or trouble, "fails": fails}
            report.judge(f"full visit / D {where}", 0.10, repeats.ratio("visit"), **options)
            name = f"full visit, {args.threads} threads against one {where}"
            report.judge(name, 1.7, speedup, least=True, unit="x", **options)


# ---------------------------------------------------------------------- iterations one by one

COUNTERS = {
    "visited": "visited_neurons",
    "reported": "reported_neurons",
    "cleared": "cleared_neurons",
    "rebuilt": "rebuilt_lists",
    "pairs": "candidates",
    "flips": "flips",
    "CG": "cg_steps",
    "factored": "refactorings",
}
SHARES = ("visited", "reported", "cleared", "rebuilt")


def late(report, args):
    report.title("iterations one by one; visited, reported, cleared, rebuilt are shares of the materialised neurons")
    for case in cases(args, ("paper",), ("float32", "float64")) + cases(args, ("auto",)):
        forward, run, units = forward_pass(case, args), None, []
        spent = {"total": [], "without solve": []}  # for each repeat, a list with an entry an iteration, in D
        for _ in range(args.repeats):
            units.append(forward.seconds(args.threads))
            run = train(case, args, tol=LATE_TOLERANCE[case.dtype])
            total = np.array([sum(record.seconds.values()) for record in run.result.history])
            spent["total"].append(total / units[-1])
            solve = np.array([record.seconds["solve"] for record in run.result.history])
            spent["without solve"].append((total - solve) / units[-1])
        trouble = disturbance(case, units, forward, args)
        spent = {kind: np.array(each) for kind, each in spent.items()}
        show_iterations(report, case, run, spent)
        if case.shift == "paper":
            late_bars(report, case, run, np.median(spent["without solve"], axis=0), trouble)


def show_iterations(report, case, run, spent):
    print(f"\n{case}: {run.result.status} at RMSE {run.result.rmse:.1e}; {run.materialised} neurons materialised")
    print(f"{'rmse':>9} {'total/D':>9} {'-solve/D':>9}" + "".join(f"{name:>10}" for name in COUNTERS))
    for k, record in enumerate(run.result.history):
        for name in ("rmse", "damping", "fired_pairs"):
            report.add("late", case, name, getattr(record, name), k)
        for kind, each in spent.items():
            report.add("late", case, f"{kind} / D", each[:, k], k)
        line = f"{record.rmse:9.1e}" + "".join(f" {np.median(each[:, k]):9.3g}" for each in spent.values())
        for name, attribute in COUNTERS.items():
            value = getattr(record, attribute, None)  # where one is missing, the table at the end says so
            if value is None:
                line += f"{'-':>10}"
                continue
            report.add("late", case, attribute, value, k)
            line += f"{value / run.materialised:>10.2%}" if name in SHARES else f"{value:>10}"
        print(line + ("" if record.accepted else "  refused"), flush=True)


def late_bars(report, case, run, medians, trouble):
    history, where = run.result.history, f"({case.problem.name}, {case.dtype})"
    name = f"iteration after RMSE 1e-3 but for its solve / D, the dearest {where}"
    with report.guard(name):
        dearest = max(medians[first_below(history, 1e-3).iteration :])
        if case.dtype == "float32":
            report.judge(name, 0.02, dearest, unjudged=elsewhere(case) or trouble)
        else:
            report.tell(name, f"{dearest:.3g}")
    for limit, bar in ((1e-3, 25), (1e-5, 2)):
        name = f"visited in the first iteration below {limit:g} {where}"
        with report.guard(name):
            record = first_below(history, limit)
            share = {kind: 100 * field(record, COUNTERS[kind]) / run.materialised for kind in SHARES}
            report.judge(name, bar, share["visited"], unit="%", unjudged=elsewhere(case))
            report.tell(f"  reported / cleared {where}", f"{share['reported']:.3g}% / {share['cleared']:.3g}%")
    name = f"visited afterwards, but for rebuilt lists {where}"
    with report.guard(name):
        later = history[first_below(history, 1e-5).iteration + 1 :]
        if not later:
            raise NothingToMeasureError("no iteration followed")
        beyond = max(field(record, "visited_neurons") - field(record, "rebuilt_lists") for record in later)
        report.judge(name, 0, max(0, beyond), unjudged=elsewhere(case))


def first_below(history, limit):
    for record in history:
        if record.rmse < limit:
            return record
    raise NothingToMeasureError(f"no iteration began below RMSE {limit:g}")


# ---------------------------------------------------------------------- dense Gauss-Newton


def gauss_newton(report, args):
    report.title("dense Gauss-Newton on the same network, with the same steps; ratios are (dense) / (ours)")
    kinds = {"NumPy": dense.NumpyNetwork, "PyTorch": dense.TorchNetwork}
    if args.no_torch:
        print("PyTorch is left out, as asked")
        del kinds["PyTorch"]
    top = cases(args)[0].width
    width = min(args.dense_width, top)
    for data in args.problems:
        beside_dense(report, args, Case(data, "paper", width), kinds, whole=True)
    if width < top:
        beside_dense(report, args, Case(args.problems[0], "paper", top), kinds, whole=False)


def beside_dense(report, args, case, kinds, whole):
    """Whole runs beside each other, or one dense iteration beside our mean one."""
    network = case.network().initialize(case.X, n_threads=args.threads)
    parameters = (*network.dense_weights(), network.shift_, case.X)
    makers, repeats, ends, run = {}, Repeats(), {}, None
    for name, kind in kinds.items():
        with report.guard(f"dense {name} ({case})"):
            block = dense.best_block(kind, case.X, network.shift_, args.threads)
            makers[name] = lambda kind=kind, block=block: kind(*parameters, block, args.threads)
    for _ in range(min(args.repeats, 3 if whole else 2)):
        run = train(case, args)
        repeats.add(iteration=run.iteration, run=run.seconds)
        for name, make in makers.items():
            seconds, each, rmse = dense.gauss_newton(make(), case.X, case.problem.y, dampings(case, run, whole))
            refuse_other_steps(name, case, run, rmse)
            repeats.add(**{f"{name} iteration": statistics.mean(each), f"{name} run": seconds})
            ends[name] = rmse[-1]
    print(f"{case}: ours {si(repeats.median('iteration'))} an iteration, {si(repeats.median('run'))} the whole run")
    for kind, text in (("iteration", "an iteration"), ("run", "a whole run"))[: 2 if whole else 1]:
        report.add("gauss-newton", case, f"our {kind}, s", repeats.found[kind])
        for name, end in ends.items():
            theirs = f"{name} {kind}"
            ratio, shown = repeats.ratio(theirs, kind), si(repeats.median(theirs))
            report.add("gauss-newton", case, f"{theirs}, s", repeats.found[theirs])
            report.add("gauss-newton", case, f"{theirs} / ours", repeats.ratios(theirs, kind))
            report.tell(f"dense {theirs} / ours ({case})", f"{ratio:.3g}x")
            print(f"  {name}: {shown} {text} = {ratio:.3g}x, to RMSE {end:.1e}", flush=True)


def dampings(case, run, whole):
    """Of the steps of a run, for the dense loop, which does not know of refusing any."""
    history = run.result.history
    if not all(record.accepted for record in history):
        raise RuntimeError(f"{case}: steps were refused: compare with dense Gauss-Newton at a larger width")
    return [record.damping for record in history][: None if whole else 1]


def refuse_other_steps(name, case, run, rmse):
    ours = [record.rmse for record in run.result.history] + [run.result.rmse]
    for a, b in zip(ours, rmse, strict=False):
        if max(a, b) > 1e-5 and not math.isclose(a, b, rel_tol=0.05):  # below, float32 shows
            raise AssertionError(f"{case}: dense {name} makes other steps: RMSE {rmse}, ours {ours}")


# ---------------------------------------------------------------------- memory


def memory(report, args):
    report.title("memory, in a process of its own")
    for case in cases(args, ("paper",)):
        command = [sys.executable, __file__, "--memory-child", case.problem.name, "--widths", str(case.width)]
        command += ["--method", args.method, "--threads", str(args.threads)] + ["--quick"] * args.quick
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(child.stdout.splitlines()[-1])
        peak, where = found["peak_rss"] / 1e9, f"({case.problem.name}, paper)"
        print(f"{case}: peak {peak:.3g} GB, {found['rss_before'] / 1e9:.3g} GB of it before training", flush=True)
        report.judge(f"peak resident memory {where}", 1.5, peak, unit=" GB", unjudged=elsewhere(case))
        with report.guard(f"bytes per materialised neuron {where}"):
            if found["bytes_resident"] is None:
                raise MissingError("IterationRecord has no 'bytes_resident'")
            each = (found["bytes_resident"] - found["bytes_of_gram"]) / found["materialised"]
            print(f"  {each:.0f} bytes for each of {found['materialised']} materialised neurons")
            report.tell(f"bytes per materialised neuron {where}", f"{each:.0f}")
        for name, value in found.items():
            if value is not None:
                report.add("memory", case, name, value)


def memory_child(args):
    """One run; prints JSON last."""
    case = Case(problem(args.memory_child, args.n_samples), "paper", args.widths[0])
    before = peak_bytes()
    run = train(case, args)
    resident = [getattr(record, "bytes_resident", None) for record in run.result.history]
    found = {
        "peak_rss": peak_bytes(),
        "rss_before": before,
        "bytes_resident": None if None in resident else max(resident),
        "bytes_of_gram": GramMatrix.bytes_needed(args.n_samples),
        "materialised": run.materialised,
    }
    print(json.dumps(found))


def peak_bytes():
    """Peak resident memory. On Linux getrusage would count what the parent held when it started this process."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return peak_rss_bytes()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


# ---------------------------------------------------------------------- trajectories


class SampledDisplacements(Callback):
    """Displacements of some materialised neurons after each iteration."""

    def __init__(self, count=2000):
        self.count, self.taken = count, []

    def on_iteration(self, trainer, record):
        displacement = trainer.network.displacement_
        rows = np.random.default_rng(0).choice(len(displacement), min(self.count, len(displacement)), replace=False)
        self.taken.append(displacement[rows])


def trajectories(report, args):
    report.title(f"trajectories: displacements of sampled neurons, {args.method} beside trees, float64")
    width = min(args.trajectory_width, max(args.widths))
    for case in [Case(data, shift, width, "float64") for data in args.problems for shift in SHIFTS]:
        name = f"displacements beside trees, the worst neuron ({case})"
        with report.guard(name):
            taken = []
            for method in (args.method, "trees"):
                sampled = SampledDisplacements()
                train(case, args, tol=LATE_TOLERANCE["float64"], method=method, callbacks=[sampled])
                taken.append(sampled.taken)
            found = [apart(ours, theirs) for ours, theirs in zip(*taken, strict=False)]
            for k, (each, longest) in enumerate(found):
                report.add("trajectories", case, "worst neuron, relative to its length", each, k)
                report.add("trajectories", case, "worst neuron, relative to the longest", longest, k)
            shown = ", ".join(f"{each:.1e}" for each, _ in found)
            print(f"{case}: after each iteration, relative to a neuron's own length: {shown}", flush=True)
            if len(taken[0]) != len(taken[1]):
                print(f"  {len(taken[0])} iterations against {len(taken[1])}: the first ones are compared")
            report.judge(name, 1e-8, max(each for each, _ in found))


def apart(ours, theirs):
    """How far rows differ, relative to each row's length, and relative to the longest."""
    difference, length = np.linalg.norm(ours - theirs, axis=1), np.linalg.norm(theirs, axis=1)
    each = difference / np.where(length > 0, length, np.finfo(np.float64).tiny)  # what stands still must in both
    return float(each.max()), float(difference.max() / length.max())


# ---------------------------------------------------------------------- the command

SECTIONS = {
    "runs": runs,
    "visit": visit,
    "late": late,
    "gauss-newton": gauss_newton,
    "memory": memory,
    "trajectories": trajectories,
}


def width_of(text):
    base, _, exponent = text.partition("^")
    return int(base) ** int(exponent or 1)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 samples and tiny widths: only to see that it runs")
    parser.add_argument("--widths", type=width_of, nargs="+", help="such as 2^14; default 2^14, 2^15, ..., 2^20")
    parser.add_argument("--wide", action="store_true", help="2^22 as well, where memory allows")
    parser.add_argument("--only", choices=SECTIONS, nargs="+", default=list(SECTIONS), help="sections; default all")
    parser.add_argument("--repeats", type=int, help="default 5, with --quick 2")
    parser.add_argument("--threads", type=int, default=2, help="of the trainer, and of BLAS in the dense methods")
    parser.add_argument("--method", default="certified", help="of the trainer")
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch out")
    parser.add_argument("--dense-width", type=width_of, help="of whole dense Gauss-Newton runs; default 2^17")
    parser.add_argument("--trajectory-width", type=width_of, default=2**18, help="default 2^18")
    results = ROOT / "asv_benchmarks" / "results"
    parser.add_argument("--out", type=Path, default=results, help="directory of training*.csv and training.png")
    parser.add_argument("--memory-child", choices=("digits", "gaussian"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.method not in METHODS:
        parser.error(f"this version of sltrees has no method {args.method!r}, only {', '.join(sorted(METHODS))}")
    args.n_samples = 200 if args.quick else 1000
    args.repeats = args.repeats or (2 if args.quick else 5)
    args.widths = sorted(args.widths or ([2**10, 2**11, 2**12] if args.quick else [2**k for k in range(14, 21)]))
    if args.wide:
        args.widths.append(2**22)
    args.dense_width = args.dense_width or (2**11 if args.quick else 2**17)
    return args


def main():
    args = parse()
    if args.memory_child:
        memory_child(args)
        return 0
    begin = time.perf_counter()
    for name in BLAS_VARIABLES:
        if name in os.environ:
            print(f"WARNING: {name}={os.environ[name]} changes BLAS, and with it every ratio here: unset it")
    sltrees.show_versions()
    args.problems = [problem(name, args.n_samples) for name in ("digits", "gaussian")]
    n, d = args.problems[0].X.shape
    print(f"method {args.method!r}, {args.threads} threads, {args.repeats} repeats, n={n}, d={d}")
    report = Report()
    for name in args.only:
        with report.guard(name):
            SECTIONS[name](report, args)
    report.print_bars()
    report.write(args.out)
    print(f"{time.perf_counter() - begin:.0f} seconds")
    return 0 if report.complete else 1


if __name__ == "__main__":
    sys.exit(main())
