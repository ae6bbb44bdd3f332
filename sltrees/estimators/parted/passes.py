"""What is done with parts of samples where they are: functions that are sent to other processes.

Each takes its parts as they come, and returns little beside them.
"""

from __future__ import annotations

import functools
import os
import socket
import typing

import numpy as np
from sklearn.utils import _safe_indexing

from sltrees._validation import as_real_matrix, as_real_vector
from sltrees.cluster.arithmetic import describe_arithmetic
from sltrees.estimators.kernel_solvers.nystrom import NystromSystem
from sltrees.execution.threads import ThreadExecutor

ROWS_AT_A_TIME = 16_384  # of a part that are converted and scaled: copies of them are small beside a part


class Described(typing.NamedTuple):
    """What one part is.

    Attributes
    ----------
    n_samples, n_columns : int
    n_weighted : int
        Samples of a weight above 0.
    classes : ndarray
        Distinct labels, ascending; empty if y are numbers.
    totals : ndarray
        The weight of each class.
    """

    n_samples: int
    n_columns: int
    n_weighted: int
    classes: np.ndarray
    totals: np.ndarray


class Function(typing.NamedTuple):
    """A sum of kernel functions, with `kernel` of unit rows: what was learned so far."""

    kernel: typing.Any
    centres: np.ndarray
    dual: np.ndarray
    constants: np.ndarray

    def outputs(self, X, executor):
        """Outputs at rows of unit norm, shape (n, C). Cost: O(n M (d + C))."""
        return self.kernel.times(X, self.centres, self.dual, executor) + self.constants


class Sums(typing.NamedTuple):
    """Sums over samples.

    Attributes
    ----------
    values : tuple of ndarray
    rounded_by : dict of str to dict
        By process that summed: its `describe_arithmetic`.
    """

    values: tuple
    rounded_by: dict

    def plus(self, other):
        """Both together. Cost: O(numbers)."""
        values = tuple(a + b for a, b in zip(self.values, other.values, strict=True))
        return Sums(values, self.rounded_by | other.rounded_by)


def describe(parts, which, labels):
    """What parts are, a list of `Described`; TypeError or ValueError if they cannot be learned from.

    Parameters
    ----------
    parts : list of tuple (X, y, weights or None)
    which : list of int
        Their numbers, for errors.
    labels : bool
        Whether y are labels.

    Notes
    -----
    Cost: O(n d).
    """
    return [_describe(part, number, labels) for part, number in zip(parts, which, strict=True)]


def _describe(part, number, labels):
    X, y, weights = part
    if len(X) == 0 and np.ndim(X) == 2 and len(y) == 0:  # as filters leave some
        return Described(0, X.shape[1], 0, np.empty(0), np.empty(0))
    for start in range(0, max(len(X), 1), ROWS_AT_A_TIME):
        behind = f", from row {start} on," if start else ""
        n_columns = _rows(X[start : start + ROWS_AT_A_TIME], f"part {number} of X{behind}").shape[1]
    y, weights = np.asarray(y), _weights(weights, len(X), number)
    if len(y) != len(X) or y.ndim not in (1, 2):
        raise ValueError(
            f"part {number} of y must have shape ({len(X)},) or ({len(X)}, C) as X has rows, got {y.shape}"
        )
    classes = totals = np.empty(0)
    if labels:
        classes, at = np.unique(y[weights > 0], return_inverse=True)
        totals = np.bincount(at.reshape(-1), weights[weights > 0], minlength=len(classes))
    else:
        as_real_matrix(y.reshape(len(y), -1), f"part {number} of y", np.float64)
    return Described(len(X), n_columns, int(np.count_nonzero(weights)), classes, totals)


def draw(parts, places):
    """Some samples: for each part X, y and weights at places among those of a weight above 0.

    Parameters
    ----------
    parts : list of tuple (X, y, weights or None)
    places : list of ndarray, dtype=int64

    Returns
    -------
    list of tuple (X, y, weights, rows)
        The last: which rows of the part they are.

    Notes
    -----
    Cost: O(n).
    """
    drawn = []
    for (X, y, weights), at in zip(parts, places, strict=True):
        y, weights = np.asarray(y), _weights(weights, len(X), 0)
        rows = np.nonzero(weights)[0][at]
        drawn.append((np.asarray(_safe_indexing(X, rows)), y[rows], weights[rows], rows))
    return drawn


class Reader(typing.NamedTuple):
    """How parts become samples that models learn from.

    Attributes
    ----------
    estimator : NewtonRegressor or NewtonClassifier
        With scaling and coding, and nothing that was learned.
    """

    estimator: typing.Any

    def read(self, parts, left_out):
        """Go through parts: rows of unit norm, targets and weights of some rows at a time.

        Parameters
        ----------
        parts : list of tuple (X, y, weights or None)
        left_out : list of ndarray, dtype=int64
            Rows of each that are passed over, as those of weight 0 are.

        Yields
        ------
        tuple (X, targets, weights)
        """
        estimator = self.estimator
        for (X, y, weights), out in zip(parts, left_out, strict=True):
            y, weights = np.asarray(y), _weights(weights, len(X), 0).copy()
            weights[out] = 0.0
            present = np.flatnonzero(weights)
            for start in range(0, len(present), ROWS_AT_A_TIME):
                some = present[start : start + ROWS_AT_A_TIME]
                scaled = estimator.scaling_.transform(_rows(_safe_indexing(X, some), "a part of X"))
                yield scaled, *estimator._coded(y[some], weights[some])


def add_up(parts, left_out, reader, function, centres, n_threads):
    """The normal equations of centres, of what targets are above the outputs of a function: `Sums`.

    Parameters
    ----------
    parts : list of tuple (X, y, weights or None)
    left_out : list of ndarray, dtype=int64
        Rows of each that are not learned from.
    reader : Reader
    function : Function
    centres : ndarray of shape (m, d)
    n_threads : int

    Notes
    -----
    The same bits for the same parts, wherever they are. Cost: O(n m (M + m)), with M centres of the function. Memory:
    that of `NystromSystem`.
    """
    system = NystromSystem(function.kernel, centres, function.dual.shape[1])
    with ThreadExecutor(n_threads) as executor:
        for X, Y, weights in reader.read(parts, left_out):
            system.add(X, Y - function.outputs(X, executor), weights, executor)
    return Sums((system.products, system.targets, system.totals), _rounded_by())


def add_targets(parts, left_out, reader, function, centres, n_threads):
    """Of these only what `SamplesHere.what_is_left` has: as `add_up`, at a cost of O(n m d)."""
    n_outputs = function.dual.shape[1]
    targets, totals = np.zeros((len(centres), n_outputs)), np.zeros(n_outputs)
    with ThreadExecutor(n_threads) as executor:
        for X, Y, weights in reader.read(parts, left_out):
            left = weights[:, None] * (Y - function.outputs(X, executor))
            targets += function.kernel.times(centres, X, left, executor)
            totals += left.sum(axis=0)
    return Sums((targets, totals), _rounded_by())


def _rounded_by():
    return {f"{socket.gethostname()}, process {os.getpid()}": _arithmetic()}


@functools.cache
def _arithmetic():
    """That of this process, looked at once."""
    return describe_arithmetic()


def _rows(X, name):
    try:
        return as_real_matrix(X, name, np.float64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error}: collections must hold numbers alone") from None


def _weights(weights, n, number):
    """Those of a part, 1 where none were given; ValueError if they are below 0."""
    if weights is None:
        return np.ones(n)
    weights = as_real_vector(weights, f"part {number} of sample_weight", np.float64, length=n)
    if (weights < 0).any():
        raise ValueError(f"part {number} of sample_weight must be at least 0, got {weights.min():g}")
    return weights
