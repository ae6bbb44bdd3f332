"""scikit-learn's `MLPRegressor`: a network of the same width with biases, both layers of which are trained.

It is not the same network (its initial weights and its scaling are scikit-learn's), but what a user would reach for.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from asv_benchmarks.experiment.outcome import Outcome, Stopwatch

# no penalty, and no end of its own: as the other contenders
OPTIONS = {"alpha": 0.0, "tol": 0.0, "max_iter": 10**9, "random_state": 0}


class Stop(Exception):
    """Ends a run of L-BFGS from within; no error."""


class WatchedRegressor(MLPRegressor):
    """Looks at the clock whenever L-BFGS evaluates the loss, half of the mean square, and ends `fit` by `Stop`.

    `fit` itself does not tell when it reached an error. To call it again and again for some iterations (`warm_start`)
    would, but each call forgets what the last ones learned of curvature: at large widths, where few iterations fit
    into a tenth of the limit, nothing of L-BFGS would be left. Hence the method of the solver is overridden, which is
    not public; `run_lbfgs` notices if it is not called.
    """

    def watch(self, target, limit):
        self.target, self.limit, self.points, self.clock = target, limit, [], Stopwatch()

    def _loss_grad_lbfgs(self, *arguments, **options):
        found = super()._loss_grad_lbfgs(*arguments, **options)
        seconds, rmse = self.clock.seconds(), math.sqrt(2.0 * float(found[0]))
        self.points.append((seconds, rmse))
        if rmse <= self.target or seconds > self.limit:  # the weights evaluated are those that predict from now on
            raise Stop
        return found


def run_lbfgs(case, target, limit, n_threads):
    """L-BFGS; an iteration is an evaluation of loss and gradient."""
    problem = case.problem()
    model = WatchedRegressor(hidden_layer_sizes=(case.width,), solver="lbfgs", max_fun=10**9, **OPTIONS)
    model.watch(target, limit)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # where it cannot go on, the status says so
            model.fit(problem.X, problem.y)
        status = "stalled"
    except Stop:
        status = "reached" if model.points[-1][1] <= target else "limit"
    if not model.points:
        raise RuntimeError("this version of scikit-learn evaluates the loss of L-BFGS elsewhere: see WatchedRegressor")
    return _outcome(model, model.points, model.clock.seconds(), status)


def run_adam(case, target, limit, n_threads):
    """Adam with scikit-learn's defaults, minibatches of 200; `partial_fit` makes an epoch, which is an iteration."""
    problem = case.problem()
    model = MLPRegressor(hidden_layer_sizes=(case.width,), solver="adam", **OPTIONS)
    watch, points = Stopwatch(), []

    def rmse_now():
        return float(np.sqrt(np.mean((model.predict(problem.X) - problem.y) ** 2)))

    while True:
        model.partial_fit(problem.X, problem.y)
        points.append((watch.seconds(), watch.hold(rmse_now)))
        seconds, rmse = points[-1]
        if rmse <= target or seconds > limit:
            return _outcome(model, points, seconds, "reached" if rmse <= target else "limit")


def _outcome(model, points, seconds, status):
    return Outcome(points, len(points), seconds, 0.0, status, model.predict)
