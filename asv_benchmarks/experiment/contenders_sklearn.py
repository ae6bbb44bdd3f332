"""scikit-learn's `MLPRegressor`: a network of the same width with biases, both layers of which are trained.

It is not the same network (its initial weights and its scaling are scikit-learn's), but what a user would reach for.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from asv_benchmarks.experiment.contenders import Outcome, Stopwatch

MOST_AT_ONCE = 100  # iterations of L-BFGS between two looks at the clock


def _regressor(case, **options):
    # no penalty, and no end of its own: as the other contenders
    return MLPRegressor(hidden_layer_sizes=(case.width,), alpha=0.0, tol=0.0, random_state=0, **options)


def run_lbfgs(case, target, limit, n_threads):
    """L-BFGS.

    `fit` does not tell when it reached an error, so it is called again and again for some iterations (`warm_start`), as
    many as are expected to last a tenth of the limit. The training loss, half of the mean square, comes for free at the
    end of each. What it learned of curvature in ten steps is lost from call to call: a few iterations in a hundred.
    """
    problem = case.problem()
    model = _regressor(case, solver="lbfgs", warm_start=True, max_iter=1, max_fun=10**6)
    watch, points, iterations = Stopwatch(), [], 0
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # which each call ends with, since more will follow
            model.fit(problem.X, problem.y)
        iterations += model.n_iter_
        seconds, rmse = watch.seconds(), math.sqrt(2.0 * float(model.loss_))
        stuck = model.n_iter_ < model.max_iter  # it found no lower loss than before
        points.append((seconds, rmse))
        if rmse <= target or seconds > limit or stuck:
            status = "reached" if rmse <= target else "limit" if seconds > limit else "stalled"
            return _outcome(model, points, iterations, seconds, status)
        each = seconds / iterations
        model.max_iter = max(1, min(MOST_AT_ONCE, 2 * model.max_iter, int(0.1 * limit / each)))


def run_adam(case, target, limit, n_threads):
    """Adam with scikit-learn's defaults, minibatches of 200; `partial_fit` makes an epoch."""
    problem = case.problem()
    model = _regressor(case, solver="adam")
    watch, points = Stopwatch(), []

    def rmse_now():
        return float(np.sqrt(np.mean((model.predict(problem.X) - problem.y) ** 2)))

    while True:
        model.partial_fit(problem.X, problem.y)
        points.append((watch.seconds(), watch.hold(rmse_now)))
        seconds, rmse = points[-1]
        if rmse <= target or seconds > limit:
            return _outcome(model, points, len(points), seconds, "reached" if rmse <= target else "limit")


def _outcome(model, points, iterations, seconds, status):
    return Outcome(points, iterations, seconds, 0.0, status, model.predict)
