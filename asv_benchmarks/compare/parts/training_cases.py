"""What `compare/training.py` trains: data, networks, and timed runs of them."""

import contextlib
import dataclasses
import functools
import gc
import inspect
import statistics
import time
from unittest import mock

import numpy as np

from asv_benchmarks.compare.parts import dense_methods as dense
from asv_benchmarks.compare.parts.synthetic_data import gaussian_directions
from asv_benchmarks.compare.parts.training_report import power, si
from sltrees import NewtonTrainer, ShiftedReLUNetwork, TrainingResult
from sltrees.datasets.parity import digits_parity
from sltrees.methods.choose import METHODS

TOLERANCE = 1e-6
PAUSE = 0.1  # seconds before a run, in which threads of BLAS stop waiting for work in a loop: they would slow it down


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    name: str
    X: np.ndarray
    y: np.ndarray


def problem(name, n_samples):
    X, y = digits_parity()[:2] if name == "digits" else gaussian_directions()
    return Problem(name, X[:n_samples], y[:n_samples])


@dataclasses.dataclass(frozen=True)
class Case:
    """A network to train, and on what."""

    problem: Problem
    shift: str
    width: int
    dtype: str = "float32"

    @property
    def X(self):
        return self.problem.X.astype(self.dtype)

    def network(self):
        return ShiftedReLUNetwork(self.width, shift=self.shift, dtype=self.dtype, random_state=0)

    def __str__(self):
        return f"{self.problem.name}, {self.shift}, {power(self.width)}, {self.dtype}"


@dataclasses.dataclass
class Run:
    """A training run from a fresh network."""

    seconds: float  # everything, from the making of the network on
    result: TrainingResult
    materialised: int

    @property
    def iteration(self):
        """Mean seconds of an iteration, nothing left out."""
        return (self.result.seconds - self.result.seconds_setup) / self.result.n_iter

    @property
    def solve(self):
        """Mean seconds of an iteration's solve."""
        return statistics.mean(record.seconds["solve"] for record in self.result.history)

    @property
    def fails(self):
        """Why the tolerance was not reached, or None."""
        result = self.result
        return None if result.status == "converged" else f"{result.status} at RMSE {result.rmse:.1e}"


def train(case, args, *, tol=TOLERANCE, max_iter=50, n_threads=None, method=None, callbacks=()):
    gc.collect()
    options = {"method": method or args.method, "n_threads": n_threads or args.threads}
    time.sleep(0.1 * PAUSE if args.quick else PAUSE)
    begin = time.perf_counter()
    network = case.network()
    trainer = NewtonTrainer(network, tol=tol, max_iter=max_iter, callbacks=callbacks, **options)
    result = trainer.fit(case.problem.X, case.problem.y)
    return Run(time.perf_counter() - begin, result, network.neurons_.size)


def time_full_visit(case, args, n_threads):
    """Time one visit of every materialised neuron.

    Returns
    -------
    tuple
        Seconds of the visit, seconds with the forming of G, the iteration's record, and the neurons there are.

    Notes
    -----
    Taken is the "step" phase of the first iteration, of a method that is told to visit all neurons where it can be.
    Whoever calls this has to check that all were visited.
    """
    method = METHODS[args.method]
    told = contextlib.nullcontext()
    if "visit_all" in inspect.signature(method.try_step).parameters:
        told = mock.patch.object(method, "try_step", functools.partialmethod(method.try_step, visit_all=True))
    with told:
        run = train(case, args, tol=0.0, max_iter=1, n_threads=n_threads)
    record = run.result.history[0]
    visit = record.seconds["step"]
    return visit, visit + record.seconds["gram"], record, run.materialised


@functools.cache
def best_block(n_samples, n_features, dtype, n_threads):
    X = gaussian_directions(n_samples, n_features)[0].astype(dtype)
    block = dense.ForwardPass.best_block(X, n_threads)
    print(f"dense forward pass, n={n_samples}, {dtype}: blocks of {block} neurons are fastest", flush=True)
    return block


def forward_pass(case, args):
    """The dense forward pass of a case, called once so that its memory is there."""
    block = best_block(*case.X.shape, case.dtype, args.threads)
    network = case.network().initialize(case.X, n_threads=args.threads)
    forward = dense.ForwardPass(*network.dense_weights(), network.shift_, case.X, block)
    forward.seconds(args.threads)
    forward.seconds_by_blocks(args.threads)
    return forward


def disturbance(case, units, forward, args):
    """What tells that the machine did other work while D was measured, or None.

    BLAS threads wait for each other, so D grows far more by it than training does, and ratios to it flatter.
    """
    if args.quick:
        return None  # too short to tell
    trouble, median, one = None, statistics.median(units), forward.seconds(1)
    if median > 1.2 * min(units):
        trouble = f"D took {si(min(units))} at best, but {si(median)} in the median"
    elif args.threads > 1 and median > 0.95 * one:
        trouble = f"D took {si(median)} on {args.threads} threads, {si(one)} on one"
    if trouble:
        print(f"WARNING: {case}: the machine was busy: {trouble}", flush=True)
    return trouble and f"the machine was busy: {trouble}"
