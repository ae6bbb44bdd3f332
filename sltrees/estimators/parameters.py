"""The rules of the parameters of both estimators, and what two of them mean on this machine."""

from __future__ import annotations

import numbers
import os

import numpy as np
from sklearn.utils import check_random_state

from sltrees._validation import as_choice, as_float_dtype, as_integer, as_non_negative, as_share
from sltrees.callbacks import as_callbacks
from sltrees.cluster.choose import as_executor
from sltrees.estimators.kernel_ridge import SOLVERS
from sltrees.execution.threads import default_threads
from sltrees.network.random_streams import MAX_SEED
from sltrees.network.shift import validate_shift

# to regress, to classify
LOSSES = (("squared", "huber", "quantile", "poisson", "gamma"), ("squared", "log_loss", "auto"))
METRICS = ("diagonal", "full")
MODELS = ("auto", "kernel", "network")


def validate_parameters(estimator):
    """Refuse parameters that break their rules, before anything is learned.

    Parameters
    ----------
    estimator : NewtonRegressor or NewtonClassifier

    Raises
    ------
    TypeError, ValueError
        That state the rule and the value. `class_weight` is left to who knows the classes.

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> from sltrees.estimators import NewtonRegressor
    >>> validate_parameters(NewtonRegressor(n_folds=1))
    Traceback (most recent call last):
        ...
    ValueError: n_folds must be an integer, at least 2, got 1
    """
    _validate_model(estimator)
    as_choice(estimator.loss, "loss", LOSSES[hasattr(estimator, "class_weight")])
    quantile = getattr(estimator, "quantile", 0.5)
    _require(_is_real(quantile) and 0 < quantile < 1, "quantile must be above 0 and below 1", quantile)
    n_folds, seconds = estimator.n_folds, estimator.search_seconds
    is_count = isinstance(n_folds, numbers.Integral) and n_folds >= 2
    _require(is_count, "n_folds must be an integer, at least 2", n_folds)
    _require(_is_real(seconds) and seconds >= 0, "search_seconds must be at least 0", seconds)
    for name in ("standardise", "warm_start"):
        value = getattr(estimator, name)
        _require(isinstance(value, (bool, np.bool_)), f"{name} must be a bool", value)
    as_non_negative(estimator.bias, "bias")
    if isinstance(estimator.evenness, str):
        _require(estimator.evenness == "auto", "evenness must be 'auto' or from 0 to 1", estimator.evenness)
    else:
        as_share(estimator.evenness, "evenness")
    as_choice(estimator.metric, "metric", METRICS)
    bends = estimator.bends
    is_one = isinstance(bends, (bool, np.bool_)) or (isinstance(bends, str) and bends == "auto")
    _require(is_one, "bends must be 'auto', True or False", bends)
    learning = estimator.feature_learning
    is_off = isinstance(learning, (bool, np.bool_)) and not learning
    if not is_off and not (isinstance(learning, str) and learning == "auto"):
        is_count = isinstance(learning, numbers.Integral) and not isinstance(learning, bool) and learning >= 0
        _require(is_count, "feature_learning must be 'auto', False or a number of rounds, at least 0", learning)
    as_non_negative(estimator.tol, "tol")
    as_integer(estimator.max_iter, "max_iter", minimum=0)
    if estimator.patience is not None:
        as_integer(estimator.patience, "patience", minimum=1)
    as_callbacks(estimator.callbacks)
    as_executor(estimator.executor)
    as_integer(int(estimator.verbose), "verbose", minimum=0)
    n_threads_of(estimator.n_jobs)


def _validate_model(estimator):
    """Those that shape the model."""
    model, shift, alpha, scale = estimator.model, estimator.shift, estimator.alpha, estimator.target_scale
    as_choice(model, "model", MODELS)
    is_ridge = (isinstance(alpha, str) and alpha == "loo") or (_is_real(alpha) and 0 < alpha < np.inf)
    _require(is_ridge, "alpha must be 'loo' or finite and above 0", alpha)
    as_choice(estimator.solver, "solver", SOLVERS)
    as_integer(estimator.max_centres, "max_centres", minimum=1)
    _require(_is_real(scale) and 0 < scale < np.inf, "target_scale must be finite and above 0", scale)
    if model == "network":
        validate_shift(shift)
    else:
        is_shift = _is_real(shift) and 0 <= shift < np.inf
        _require(is_shift, f"shift must be a number, at least 0, for model={model!r}", shift)
    width = as_integer(estimator.width, "width", minimum=1)
    _require(width % 2 == 0, "width must be even, as neurons come in pairs", width)
    as_float_dtype(estimator.dtype)


def _require(good, rule, value):
    if not good:
        raise ValueError(f"{rule}, got {value!r}")


def _is_real(value):
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


def as_eval_set(eval_set, X_val, y_val):
    """The evaluation set of a fit, however it was given.

    Parameters
    ----------
    eval_set : tuple (X, y) or None
    X_val, y_val : array_like or None
        The same as two arguments, instead.

    Returns
    -------
    tuple (X, y) or None

    Raises
    ------
    ValueError
        If it was given twice, or by half.

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> as_eval_set(None, [[1.0]], [2.0])
    ([[1.0]], [2.0])
    """
    if X_val is None and y_val is None:
        return eval_set
    if X_val is None or y_val is None:
        raise ValueError(f"X_val and y_val must be given together, got no {'X_val' if X_val is None else 'y_val'}")
    if eval_set is not None:
        raise ValueError("eval_set must be None where X_val and y_val are given: they are the same")
    return X_val, y_val


def seed_of(random_state):
    """The seed that a `random_state` means: what is no int is asked for one.

    Parameters
    ----------
    random_state : int, RandomState or None

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is an int, and not from 0 to 2^128 - 1.

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> seed_of(7)
    7
    """
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool):
        if not 0 <= random_state <= MAX_SEED:
            raise ValueError(f"random_state must be from 0 to 2^128 - 1, got {random_state!r}")
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def n_threads_of(n_jobs):
    """The number of threads that an `n_jobs` means here.

    Parameters
    ----------
    n_jobs : int or None
        Below 0: one per processor, and one less for each below -1. None: one per processor, or as many as the
        environment variable OMP_NUM_THREADS says: where joblib runs workers, it says so there.

    Returns
    -------
    int
        At least 1, at most one per processor: more would only need memory.

    Raises
    ------
    ValueError
        If it is 0, or no int.

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> n_threads_of(1)
    1
    """
    if n_jobs is None:
        limit = os.environ.get("OMP_NUM_THREADS", "")
        return min(default_threads(), int(limit)) if limit.isdigit() and int(limit) else default_threads()
    if not isinstance(n_jobs, numbers.Integral) or n_jobs == 0:
        raise ValueError(f"n_jobs must be None or an integer other than 0, got {n_jobs!r}")
    n_jobs = int(n_jobs) if n_jobs > 0 else max(1, default_threads() + 1 + int(n_jobs))
    return min(n_jobs, default_threads())
