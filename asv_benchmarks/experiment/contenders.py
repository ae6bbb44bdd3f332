"""Who trains: a function each from a case, a target and a time limit to an `Outcome`.

Clocks start when data and initial weights lie ready for the methods of others; ours draw the network within the time.
Where computing the training RMSE is not part of what a method does anyhow, the clock is stopped for it.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import time
from collections.abc import Callable

import numpy as np
import scipy.linalg

from asv_benchmarks.experiment.cases import LOOSE, Case
from asv_benchmarks.experiment.outcome import Outcome, Stopwatch
from sltrees import NewtonTrainer, reference, shifted_ntk
from sltrees.callbacks import Callback
from sltrees.methods.choose import METHODS
from sltrees.network.shift import resolve_shift

TINY_RIDGE = 1e-10  # of kernel ridge regression, relative to the mean of the diagonal: it interpolates
NO_END = 10**9  # iterations: only target and limit end a run
# Learning rates in units of `sltrees.reference.GradientDescent`. Without minibatches 2 would be the limit.
DESCENT_RATE = 1.8
SGD_RATES, SGD_BATCH, SGD_MOMENTUM = (0.1, 0.3), 32, 0.9
ADAM_RATES = (1e-2, 3e-2, 1e-1, 3e-1)


@dataclasses.dataclass(frozen=True)
class Contender:
    """A method with its settings.

    Attributes
    ----------
    name : str
        What it is asked for by.
    setting : str
        What tells its variants apart, of which the best is reported; "" where there is one only.
    run : callable
        (case, target, limit, n_threads) -> Outcome.
    goes_far : bool
        Whether the target of a sweep is asked of it; else it is `LOOSE`.
    """

    name: str
    setting: str
    run: Callable[[Case, float, float, int], Outcome]
    goes_far: bool = False

    def target(self, asked):
        return asked if self.goes_far else max(asked, LOOSE)


class MissingContenderError(Exception):
    """A contender was asked for that this installation does not have."""


# ---------------------------------------------------------------------- ours


class TimeLimit(Callback):
    """Stops training after the first iteration that ends beyond so many seconds."""

    def __init__(self, limit):
        self.ends = time.perf_counter() + limit

    def on_iteration(self, trainer, record):
        return time.perf_counter() > self.ends


def run_newton(method, case, target, limit, n_threads):
    """Train by a method of `NewtonTrainer`."""

    def make(network):
        return NewtonTrainer(
            network,
            method=method,
            tol=target,
            max_iter=NO_END,
            n_threads=n_threads,
            callbacks=[TimeLimit(limit)],
        )

    return _run_ours(make, case, target, n_threads)


def run_gradient_descent(learning_rate, batch_size, momentum, case, target, limit, n_threads):
    """Train by gradient descent on the same network; an iteration of minibatches is an epoch."""

    def make(network):
        return reference.GradientDescent(
            network,
            learning_rate=learning_rate,
            momentum=momentum,
            batch_size=None if batch_size is None else min(batch_size, case.n),
            tol=target,
            max_iter=NO_END,
            random_state=0,
            n_threads=n_threads,
            callbacks=[TimeLimit(limit)],
        )

    return _run_ours(make, case, target, n_threads)


def _run_ours(make, case, target, n_threads):
    problem, network = case.problem(), case.network()
    watch = Stopwatch()
    result = make(network).fit(problem.X, problem.y)
    seconds = watch.seconds()
    if result.status == "interrupted":  # trainers return on Ctrl-C, but here everything ends
        raise KeyboardInterrupt
    history = result.history
    rmse = [record.rmse for record in history] + [result.rmse]
    points = [(result.seconds_setup, rmse[0])]
    points += [(record.seconds_elapsed, after) for record, after in zip(history, rmse[1:], strict=True)]
    phases = {
        phase: sum(record.seconds.get(phase, 0.0) for record in history) / len(history)
        for phase in (history[0].seconds if history else ())
    }
    # the last iteration may have gone both to the target and beyond the limit
    status = "limit" if result.status == "stopped" else str(result.status)
    status = "reached" if result.rmse <= target else status
    return Outcome(
        points,
        result.n_iter,
        seconds,
        result.seconds_setup,
        status,
        lambda X: network.predict(X, n_threads=n_threads),
        network.shift_,
        phases,
    )


def run_kernel(case, target, limit, n_threads):
    """Solve for the coefficients of the kernel of the infinitely wide network: the set-up is the kernel."""
    problem = case.problem()
    network = case.network()
    shift = resolve_shift(network.shift, network.width, case.n)
    watch = Stopwatch()
    kernel = shifted_ntk(problem.X, shift=shift, n_threads=n_threads)
    setup = watch.seconds()
    system = kernel.copy()
    system[np.diag_indices_from(system)] += TINY_RIDGE * np.trace(kernel) / case.n
    coefficients = scipy.linalg.cho_solve(scipy.linalg.cho_factor(system, overwrite_a=True), problem.y)
    seconds = watch.seconds()
    rmse = float(np.sqrt(np.mean((kernel @ coefficients - problem.y) ** 2)))
    return Outcome(
        [(seconds, rmse)],
        1,
        seconds,
        setup,
        "reached" if rmse <= target else "stalled",
        lambda X: shifted_ntk(X, problem.X, shift=shift, n_threads=n_threads) @ coefficients,
        shift,
    )


# ---------------------------------------------------------------------- all of them

NEWTON = ("certified", "trees", "dense", "bpsw")
TITLES = {
    "certified": "certified",
    "trees": "trees",
    "dense": "dense",
    "bpsw": "bpsw",
    "kernel-ridge": "kernel ridge",
    "torch-lbfgs": "torch L-BFGS",
    "torch-adam": "torch Adam",
    "sklearn-lbfgs": "MLP L-BFGS",
    "sklearn-adam": "MLP Adam",
    "gradient-descent": "gradient descent",
    "sgd": "SGD",
}


def variants(name):
    """The contender of a name, or all variants of it.

    Parameters
    ----------
    name : str
        A key of `TITLES`.

    Returns
    -------
    list of Contender

    Raises
    ------
    MissingContenderError
        If it is not part of this version of sltrees, or needs a package that is not installed.
    """
    if name in NEWTON:
        if name not in METHODS:
            raise MissingContenderError(f"sltrees.methods.choose.METHODS has no {name!r}, only {', '.join(METHODS)}")
        return [Contender(name, "", functools.partial(run_newton, name), goes_far=True)]
    if name == "gradient-descent":
        return [Contender(name, "", functools.partial(run_gradient_descent, DESCENT_RATE, None, 0.0))]
    if name == "sgd":
        return [
            Contender(name, f"rate {rate:g}", functools.partial(run_gradient_descent, rate, SGD_BATCH, SGD_MOMENTUM))
            for rate in SGD_RATES
        ]
    if name == "kernel-ridge":
        return [Contender(name, "", run_kernel, goes_far=True)]
    package, _, solver = name.partition("-")
    if package == "torch":
        _require(name, "torch", "torch")
        from asv_benchmarks.experiment import contenders_torch

        if solver == "lbfgs":
            return [Contender(name, "", contenders_torch.run_lbfgs)]
        return [
            Contender(name, f"rate {rate:g}", functools.partial(contenders_torch.run_adam, rate)) for rate in ADAM_RATES
        ]
    _require(name, "sklearn", "sklearn")
    from asv_benchmarks.experiment import contenders_sklearn

    return [Contender(name, "", {"lbfgs": contenders_sklearn.run_lbfgs, "adam": contenders_sklearn.run_adam}[solver])]


def _require(name, package, extra):
    if importlib.util.find_spec(package) is None:
        raise MissingContenderError(f'{name} needs {package}: pip install -e ".[{extra}]"')
