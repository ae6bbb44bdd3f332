"""The command line: ``sltrees`` or ``python -m sltrees``."""

from __future__ import annotations

import argparse
import json
import os
import sys

from sltrees import __version__
from sltrees._demo import run_demo
from sltrees.callbacks import PrintProgress
from sltrees.network import ShiftedReLUNetwork
from sltrees.shift import POLICIES
from sltrees.trainer import METHODS

DEFAULT_WIDTH = 2**17

EXIT_DONE, EXIT_OUTPUT, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit code: 0 after a run, 1 if the output cannot be written, 2 for bad arguments, 130 after Ctrl-C.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, TypeError, MemoryError) as error:
        print(f"sltrees {options.command}: error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        # whoever reads the output has gone, or the disk is full; leave nothing to be flushed at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"sltrees {options.command}: error: {error}", file=sys.stderr)
        return EXIT_OUTPUT


def _parser():
    parser = argparse.ArgumentParser(prog="sltrees", description=__doc__)
    parser.add_argument("--version", action="version", version=f"sltrees {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo",
        help="train a wide network on the shipped digits and report",
        description="Train a wide network to tell even from odd digits: 1,000 images to train on, 797 to test.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    demo.add_argument("--width", type=float, default=DEFAULT_WIDTH, help="number of neurons, such as 131072 or 1e6")
    demo.add_argument("--shift", type=_shift, default="auto", help=f"{', '.join(POLICIES)} or a number >= 0")
    demo.add_argument("--seed", type=int, default=0, help="seed of the network")
    demo.add_argument("--max-iter", type=int, default=50, help="iterations at most")
    demo.add_argument("--tol", type=float, default=1e-6, help="training RMSE at which to stop")
    demo.add_argument("--threads", type=int, default=None, help="threads; by default one per processor")
    demo.add_argument("--method", choices=tuple(METHODS), default=next(iter(METHODS)), help="of finding what fires")
    demo.add_argument("--sampling", choices=("auto", "dense", "rejection"), default="auto", help="of neurons")
    demo.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="of weights and correlations")
    demo.add_argument("--json", action="store_true", help="print one JSON object last")
    demo.set_defaults(run=_demo)
    return parser


def _shift(text):
    """A policy name, or a number: what is neither is refused with the policies named."""
    try:
        return float(text)
    except ValueError:
        if text in POLICIES:
            return text
        raise argparse.ArgumentTypeError(f"must be {', '.join(POLICIES)} or a number >= 0, got {text!r}") from None


def _demo(options):
    """``sltrees demo``: the table as training goes, then a summary, then JSON if asked."""
    network = ShiftedReLUNetwork(
        options.width,
        shift=options.shift,
        sampling=options.sampling,
        dtype=options.dtype,
        random_state=options.seed,
    )
    report = run_demo(
        network,
        method=options.method,
        tol=options.tol,
        max_iter=options.max_iter,
        n_threads=options.threads,
        callbacks=[PrintProgress()],
    )
    if report["test_accuracy"] is not None:
        print(_summary(report))
    if options.json:
        print(json.dumps(report))
    return EXIT_INTERRUPTED if report["status"] == "interrupted" else EXIT_DONE


def _summary(report):
    """The lines after the table."""
    n, d, m = report["n_samples"], report["n_features"], report["width"]
    lines = [
        "",
        f"test accuracy      {report['test_accuracy']:.4f} on {report['n_test']} images",
        f"time               {report['seconds']:.1f} s, of which {report['seconds_setup']:.1f} s of set-up",
    ]
    if report["peak_rss_bytes"]:
        lines.append(f"peak memory        {report['peak_rss_bytes'] / 2**30:.2f} GiB")
    lines.append(f"materialised       {report['materialised']:,} of {m:,} neurons, at shift {report['shift']:.4f}")
    if report["n_iter"]:
        visited, fired = report["visited_neurons_mean"] * d, report["fired_pairs_mean"]
        lines += [
            f"fired              {report['fired_share']:.3%} of {m * n:,} (neuron, sample) pairs",
            f"an iteration looked at {visited:,.0f} weights, with {fired:,.0f} pairs in G;",
            f"a dense one has    {m * d:,} weights and {m * n:,} pairs, and a Jacobian of {n * m * d:,} entries",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
