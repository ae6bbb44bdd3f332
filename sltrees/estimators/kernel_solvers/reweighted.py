"""The kernel under any loss: kernel ridge regression again and again, with weights and targets that follow the loss.

What is minimised over functions f of the kernel and constants is

    sum_i s_i l(y_i, f(x_i)) + ridge |f|^2 / 2.

Around outputs f_i with slopes g_i and curvatures h_i of the loss, each step minimises the parabolas

    sum_i s_i h_i (f_i - g_i / h_i - f(x_i))^2 / 2 + ridge |f|^2 / 2,

which is kernel ridge regression with weights s_i h_i and targets f_i - g_i / h_i (iteratively reweighted least squares,
the Newton step where h_i is the second derivative), and is shortened where it would not lower the objective.
"""

from __future__ import annotations

import copy
import typing

import numpy as np

from sltrees.estimators.kernel_solvers.nystrom import NystromFit, NystromSystem
from sltrees.linalg.factored_ridge import FactoredRidge
from sltrees.linalg.leave_one_out import FEWEST_SAMPLES
from sltrees.losses.choose import is_refused

MOST_STEPS = 60
FLAT = 1e-9  # a step that lowers the objective by a smaller share is the last one
HALVINGS = 12


class Solution(typing.NamedTuple):
    """A function of the kernel.

    Attributes
    ----------
    dual : ndarray of shape (M, C)
        Of its centres.
    constants : ndarray of shape (C,)
    outputs : ndarray of shape (n, C)
        At the samples.
    norms : ndarray of shape (C,)
        |f|^2 of each output.
    """

    dual: np.ndarray
    constants: np.ndarray
    outputs: np.ndarray
    norms: np.ndarray

    def towards(self, other, share, inner):
        """This one and a share of the way to another; `inner` are the products of the two. Cost: O(n C)."""
        left = 1.0 - share
        return Solution(
            left * self.dual + share * other.dual,
            left * self.constants + share * other.constants,
            left * self.outputs + share * other.outputs,
            left**2 * self.norms + 2.0 * left * share * inner + share**2 * other.norms,
        )


class _Centred:
    """Functions of the kernel that are centred at `centres`."""

    def outputs(self, X, solution):
        """Outputs of a function at other rows of unit norm, shape (k, C). Cost: O(k M (d + C))."""
        return self.kernel.times(X, self.centres, solution.dual, self._executor) + solution.constants


class AllSamples(_Centred):
    """Every sample is a centre: each step is one factorisation.

    Parameters
    ----------
    kernel : sltrees.kernels.unit_rows.UnitRowsKernel
    X : ndarray of shape (n, d)
        Rows of unit norm.
    executor : ThreadExecutor

    Notes
    -----
    Cost of a step: O(n^3 / 3). Memory: 4 n^2 bytes.
    """

    def __init__(self, kernel, X, executor):
        self.kernel, self.X, self.centres, self._executor = kernel, X, X, executor

    def of_some(self, seen):
        """The same for some of the samples. Cost: O(n d)."""
        return AllSamples(self.kernel, self.X[seen], self._executor)

    def fit(self, Y, weights, ridge):
        """The function for targets of one weight a sample, and what tells outputs that are left out."""

        def fill(rows, columns, out):
            self.kernel.fill(out, self.centres[rows], self.centres[columns])

        problem = FactoredRidge(fill, Y, weights, ridge, self._executor)
        values = self.kernel.times_itself(self.centres, problem.dual, self._executor)
        norms = np.einsum("ic,ic->c", problem.dual, values)
        solution = Solution(problem.dual, problem.constants, values + problem.constants, norms)
        if len(Y) < FEWEST_SAMPLES:
            return solution, lambda: np.full(Y.shape, np.nan)
        return solution, lambda: Y + problem.left_out()

    def inner(self, one, other):
        """Products of two functions, shape (C,)."""
        return np.einsum("ic,ic->c", one.dual, other.outputs - other.constants)


class Centres(_Centred):
    """Some samples are centres: each step goes once through all samples.

    Parameters
    ----------
    kernel, X, executor
        As of `AllSamples`.
    centres : ndarray of shape (m, d)

    Notes
    -----
    Cost of a step: O(n m (d + m)). Memory: as of `NystromSystem`.
    """

    def __init__(self, kernel, X, centres, executor):
        self.kernel, self.centres, self.X, self._executor = kernel, centres, X, executor
        self._root = None

    def of_some(self, seen):
        """As of `AllSamples`: the centres stay."""
        other = copy.copy(self)
        other.X = self.X[seen]
        return other

    def fit(self, Y, weights, ridge):
        """As of `AllSamples`."""
        system = NystromSystem(self.kernel, self.centres, Y.shape[1])
        system.add(self.X, Y, weights, self._executor)
        if self._root is None:
            self._root = system.between_centres(self._executor)
        whitened = system.whitened(self._root, self._executor)
        found = NystromFit(system, self._root, whitened, ridge, self._executor)
        at_centres = self.kernel.times_itself(self.centres, found.dual, self._executor)
        norms = np.einsum("ic,ic->c", found.dual, at_centres)
        solution = Solution(found.dual, found.constants, found.outputs(self.X), norms)
        return solution, lambda: Y + found.left_out(self.X, Y, weights)

    def inner(self, one, other):
        """As of `AllSamples`."""
        values = self.kernel.times_itself(self.centres, other.dual, self._executor)
        return np.einsum("ic,ic->c", one.dual, values)


def minimise(functions, loss, Y, weights, ridge, start=None, tell=None):
    """Minimise a loss over functions of the kernel.

    Parameters
    ----------
    functions : AllSamples or Centres
    loss : sltrees.losses.Loss
    Y : ndarray of shape (n, C)
    weights : ndarray of shape (n,)
        s.
    ridge : float
        In units of the kernel.
    start : Solution, optional
        Where to begin; by default the constant that fits best.
    tell : callable, optional
        Told of each step, in words.

    Returns
    -------
    solution : Solution
    left_out : ndarray of shape (n, C)
        Outputs at each sample, learned from all others with the parabolas of the last step: by one Newton step from the
        solution, exact where the loss is squared (approximate leave-one-out); NaN of fewer than three samples.

    References
    ----------
    Rad, Maleki, "A scalable estimate of the out-of-sample prediction error via approximate leave-one-out
    cross-validation", Journal of the Royal Statistical Society B 82 (2020).

    Notes
    -----
    Outputs that the loss does not couple are learned one after the other. Of targets that the loss refuses, as counts
    of a part of the samples may be all 0, the constant is what is found. Cost: at most 60 steps, as a rule 5 to 15.

    Examples
    --------
    >>> from sltrees.execution.threads import ThreadExecutor
    >>> from sltrees.kernels.unit_rows import UnitRowsKernel
    >>> from sltrees.losses import LogisticLoss
    >>> with ThreadExecutor(1) as executor:
    ...     functions = AllSamples(UnitRowsKernel(1.0), np.eye(3), executor)
    ...     y = np.array([[0.0], [1.0], [1.0]])
    ...     found, left_out = minimise(functions, LogisticLoss(), y, np.ones(3), 0.1)
    >>> np.sign(found.outputs).ravel()
    array([-1.,  1.,  1.])
    """
    if loss.couples or Y.shape[1] == 1:
        return _minimise(functions, loss, Y, weights, ridge, start, tell)
    found = [
        _minimise(functions, loss, Y[:, [c]], weights, ridge, None if start is None else _output(start, c), tell)
        for c in range(Y.shape[1])
    ]
    solutions, left_out = zip(*found, strict=True)
    joined = (np.concatenate(parts, axis=-1) for parts in zip(*solutions, strict=True))
    return Solution(*joined), np.concatenate(left_out, axis=1)


def _output(solution, c):
    return Solution(*(part[..., [c]] for part in solution))


def _minimise(functions, loss, Y, weights, ridge, start, tell):
    """`minimise` for outputs that share their curvature."""

    def objective(solution):
        return float(weights @ loss.value(Y, solution.outputs).sum(axis=1)) + 0.5 * ridge * float(solution.norms.sum())

    solution = _constant(functions, loss, Y, weights) if start is None else start
    if is_refused(loss, Y):
        return solution, solution.outputs
    value, left_out = objective(solution), None
    for step in range(MOST_STEPS):
        if tell is not None:
            tell(f"step {step + 1} under the loss")
        curvature = loss.curvature(Y, solution.outputs)
        targets = solution.outputs - loss.gradient(Y, solution.outputs) / curvature
        found, left_out = functions.fit(targets, weights * curvature[:, 0], ridge)
        inner, share = functions.inner(solution, found), 1.0
        for _ in range(HALVINGS):
            tried = solution.towards(found, share, inner) if share < 1.0 else found
            after = objective(tried)
            if after < value:
                break
            share *= 0.5
        else:
            break  # nothing lowers it but by rounding
        fallen, solution, value = value - after, tried, after
        if fallen <= FLAT * abs(value):
            break
    return solution, left_out()


def _constant(functions, loss, Y, weights):
    """The constant that fits best."""
    constants = loss.constant(Y, weights)
    outputs = np.tile(constants, (len(Y), 1))
    return Solution(np.zeros((len(functions.centres), Y.shape[1])), constants, outputs, np.zeros(Y.shape[1]))
