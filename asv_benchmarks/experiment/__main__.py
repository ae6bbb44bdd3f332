"""The command of the experiment."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from asv_benchmarks.experiment import machine, measuring, report
from asv_benchmarks.experiment.cases import sweeps
from asv_benchmarks.experiment.contenders import TITLES, MissingContenderError, variants

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "docs" / "figures"
PAGES = [
    ROOT / "docs" / "background" / "experiment.md",
    ROOT / "docs" / "background" / "experiment_tables.md",
    ROOT / "docs" / "guide" / "when_not_to_use_this.md",
    ROOT / "README.md",
]
LIMITS = (60.0, 8.0)  # seconds of a run in the table, and in sweeps
PAUSE, QUICK_PAUSE = 0.1, 0.01  # before a run: threads of BLAS that wait for work in a loop would slow it down
QUICK_LIMIT = 0.5


def parse(arguments):
    names = list(sweeps())
    parser = argparse.ArgumentParser(
        prog="python -m asv_benchmarks.experiment",
        description="Time to a training error, beside other methods: see docs/background/experiment.md.",
    )
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="SWEEP", help=" ".join(names))
    parser.add_argument(
        "--contenders", nargs="+", choices=TITLES, default=list(TITLES), metavar="NAME", help=" ".join(TITLES)
    )
    parser.add_argument("--repeats", type=_at_least_one, help="runs of each; default 3, with --quick 1")
    parser.add_argument("--limit", type=_positive, help=f"seconds of a run in the table; default {LIMITS[0]:g}")
    parser.add_argument("--sweep-limit", type=_positive, help=f"seconds of a run in sweeps; default {LIMITS[1]:g}")
    parser.add_argument("--threads", type=_at_least_one, default=2, help="of everybody; default 2")
    parser.add_argument("--quick", action="store_true", help="tiny cases: only to see that everything runs")
    parser.add_argument("--resume", action="store_true", help="keep what the CSV files have, and run the rest")
    parser.add_argument("--report", action="store_true", help="run nothing: tables, plots and pages from the CSV files")
    parser.add_argument("--out", type=Path, help="directory of CSV files and plots; default docs/figures (with pages)")
    options = parser.parse_args(arguments)
    if options.quick and options.out is None and not options.report:
        parser.error("--quick needs --out: what it measures is nothing for docs/figures")
    limits = (QUICK_LIMIT, QUICK_LIMIT) if options.quick else LIMITS
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.limit = options.limit or limits[0]
    options.sweep_limit = options.sweep_limit or limits[1]
    return options, parser


def _at_least_one(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _positive(text):
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def run(options, arguments):
    """Run the sweeps that were asked for; the files are whole after each run."""
    contenders = {name: variants(name) for name in options.contenders}  # before anything is run
    options.out.mkdir(parents=True, exist_ok=True)
    machine.write(options.out / "experiment_machine.csv", machine.describe(arguments, options))
    chosen, warm = sweeps(options.quick), set()
    for name in options.only:
        sweep = chosen[name]
        taking_part = [
            variant
            for contender, all_ in contenders.items()
            if sweep.contenders is None or contender in sweep.contenders
            for variant in all_
        ]
        measuring.run_sweep(
            sweep,
            taking_part,
            measuring.path_of(name, options.out),
            repeats=options.repeats,
            limit=options.limit if name == "table" else options.sweep_limit,
            n_threads=options.threads,
            resume=options.resume,
            warm=warm,
            pause=QUICK_PAUSE if options.quick else PAUSE,
        )


def main(arguments=None):
    """Run, or only report; 2 where something is asked for that is missing, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options, parser = parse(arguments)
    pages = PAGES if options.out is None else []
    options.out = options.out or FIGURES
    began = time.perf_counter()
    if not options.report:
        for warning in machine.warnings():
            print(warning, file=sys.stderr)
        try:
            run(options, arguments)
        except MissingContenderError as error:
            parser.error(f"{error}; or leave it out: --contenders with the names of the others")
        except KeyboardInterrupt:
            print("Interrupted: what was measured is in the CSV files; --resume goes on from there", file=sys.stderr)
            return 130
        print(f"{time.perf_counter() - began:.0f} seconds", file=sys.stderr)
    report.make(options.out, pages, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
