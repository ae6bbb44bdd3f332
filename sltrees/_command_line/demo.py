"""``sltrees demo``: train a wide network on the shipped digits and report."""

from __future__ import annotations

import argparse
import contextlib
import json

from sltrees._command_line.digits_demo import run_demo
from sltrees._command_line.shared import EXIT_DONE, EXIT_INTERRUPTED
from sltrees.callbacks import PrintProgress
from sltrees.cluster.choose import EXECUTORS
from sltrees.cluster.messages import ClusterLostError
from sltrees.methods.choose import METHODS
from sltrees.network.network import ShiftedReLUNetwork
from sltrees.network.shift import POLICIES

DEFAULT_WIDTH = 2**17


def add_parser(commands):
    """Add the command to the subparsers of the command line."""
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
    demo.add_argument("--executor", choices=EXECUTORS, default=None, help="where to train; by default on threads")
    demo.add_argument("--workers", type=int, default=None, help="processes of a Dask cluster started here")
    demo.add_argument("--scheduler", default=None, help="address of a Dask cluster, such as tls://host:8786")
    demo.add_argument("--json", action="store_true", help="print one JSON object last")
    demo.set_defaults(run=run)


def _shift(text):
    """A policy name, or a number: what is neither is refused with the policies named."""
    try:
        return float(text)
    except ValueError:
        if text in POLICIES:
            return text
        raise argparse.ArgumentTypeError(f"must be {', '.join(POLICIES)} or a number >= 0, got {text!r}") from None


def run(options):
    """Print the table as training goes, then a summary, then JSON if asked; return the exit code."""
    network = ShiftedReLUNetwork(
        options.width,
        shift=options.shift,
        sampling=options.sampling,
        dtype=options.dtype,
        random_state=options.seed,
    )
    with _executor(options) as executor:
        report = run_demo(
            network,
            method=options.method,
            tol=options.tol,
            max_iter=options.max_iter,
            n_threads=options.threads,
            executor=executor,
            callbacks=[PrintProgress()],
        )
    if report["test_accuracy"] is not None:
        print(_summary(report))
    if options.json:  # only then: a digest reads all weights
        digest = None if report["materialised"] is None else network.digest()
        print(json.dumps(report | {"digest": digest}))
    if report["status"] == "cluster_lost":
        raise ClusterLostError(report["message"])
    return EXIT_INTERRUPTED if report["status"] == "interrupted" else EXIT_DONE


@contextlib.contextmanager
def _executor(options):
    """Who trains: a name, or a cluster that is there while it does."""
    if options.executor is None:
        options.executor = "threads" if options.workers is None and options.scheduler is None else "dask"
    if options.executor != "dask":
        if options.workers is not None or options.scheduler is not None:
            raise ValueError("--workers and --scheduler are for --executor dask")
        yield options.executor
        return
    from sltrees.cluster.dask.executor import DaskExecutor  # an extra

    with DaskExecutor(options.scheduler, n_workers=options.workers, n_threads=options.threads) as executor:
        print(f"{len(executor.workers())} workers; dashboard: {executor.dashboard_link or 'needs bokeh'}")
        yield executor


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
