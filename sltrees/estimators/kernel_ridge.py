"""The lazy limit as kernel ridge regression, as the model of an estimator.

It learns Y from X as they are: rows of unit norm, targets of mean 0. What is minimised is the sum over samples of
weight times squared error, plus a ridge on how far the weights of a network would move.
"""

from __future__ import annotations

import copy

import numpy as np

from sltrees._memory import array_bytes, check_memory
from sltrees.execution.threads import ThreadExecutor
from sltrees.kernels import shifted_ntk
from sltrees.linalg.leave_one_out import FEWEST_SAMPLES, RidgeProblem

NUMBERS_AT_A_TIME = 1 << 23  # of a kernel with new samples: 64 MiB


class KernelRidge:
    """The lazy limit: a network so wide that it learns without its weights moving far.

    Parameters
    ----------
    shift : float, default 1.0
        b.
    alpha : float or "loo", default "loo"
        Ridge, relative to the weighted mean of the diagonal of the kernel; "loo": the one of
        `sltrees.linalg.leave_one_out.ALPHAS` with the smallest leave-one-out error.
    n_threads : int, optional

    Attributes
    ----------
    X_ : ndarray of shape (n, d)
    dual_ : ndarray of shape (n, C)
    constant_ : ndarray of shape (C,)
    alpha_ : float
    left_out_ : ndarray of shape (n, C) or None
        Output at each sample, learned from all others; None for fewer than three samples. Where samples are merged,
        at each of the N observations, likewise: shape (N, C).
    error_ : float
        Weighted mean square of their errors, summed over outputs; infinite likewise.

    Notes
    -----
    Cost: O(n^3). Memory: some 7 n^2 numbers in float64.

    Examples
    --------
    >>> X = np.eye(4)
    >>> model = KernelRidge(alpha=1e-6).fit(X, np.array([[0.0], [1.0], [0.0], [1.0]]))
    >>> np.round(model.predict(X).ravel(), 3)
    array([0., 1., 0., 1.])
    """

    name = "kernel"

    def __init__(self, *, shift=1.0, alpha="loo", n_threads=None):
        self.shift, self.alpha, self.n_threads = shift, alpha, n_threads

    def fit(self, X, Y, weights=None, observations=None):
        """Learn. `observations` are those that samples were merged of, if they were. Sets: the attributes."""
        n, observed = len(X), Y if observations is None else observations.Y
        needed = 7 * array_bytes(n, n, dtype=np.float64)
        check_memory(needed, None, f"kernel ridge regression on {n} samples", "use fewer samples")
        with ThreadExecutor(self.n_threads) as executor:
            kernel = executor.run(lambda: shifted_ntk(X, shift=self.shift, n_threads=self.n_threads))
            problem = executor.run(
                lambda: RidgeProblem(kernel, Y, weights=weights, intercept=True, observations=observations)
            )
            self.alpha_ = executor.run(problem.choose) if self.alpha == "loo" else float(self.alpha)
            self.dual_, self.constant_ = problem.solution(self.alpha_)
            enough = len(observed) >= FEWEST_SAMPLES
            self.left_out_ = observed + problem.left_out(self.alpha_) if enough else None
            self.error_ = problem.error_left_out(self.alpha_) if enough else np.inf
        self.X_, self._Y, self._weights = X, Y, weights
        return self

    def to_extend(self):
        """The same model, of which `extend` leaves this one as it is. Cost: O(1)."""
        return copy.copy(self)

    def extend(self, X, Y, weights=None):
        """Learn from further samples, too, with the ridge that was chosen. Sets: the attributes. Cost: O(n^3).

        What is left out is a sample as it is here: merged ones with all of their weight.
        """
        samples = joined(self.samples_, (X, Y, weights))
        fitted = KernelRidge(shift=self.shift, alpha=self.alpha_, n_threads=self.n_threads).fit(*samples)
        self.__dict__.update(vars(fitted) | {"alpha": self.alpha})  # all or, after Ctrl-C, nothing
        return self

    def take(self, samples, alpha, dual, constant):
        """Take a solution that was found elsewhere. Sets: the attributes but for those of samples left out."""
        self.X_, self._Y, self._weights = samples
        self.alpha_, self.dual_, self.constant_ = alpha, dual, constant
        return self

    @property
    def samples_(self):
        """X, Y and weights that it learned from."""
        return self.X_, self._Y, self._weights

    def predict(self, X):
        """Outputs, shape (n, C). Cost: O(n n_train (d + 300))."""
        size = max(1, NUMBERS_AT_A_TIME // len(self.X_))

        def outputs(start):
            rows = X[start : start + size]
            return shifted_ntk(rows, self.X_, shift=self.shift, n_threads=self.n_threads) @ self.dual_

        with ThreadExecutor(self.n_threads) as executor:  # BLAS on one thread, so that sums do not depend on others
            parts = [executor.run(outputs, start) for start in range(0, len(X), size)]
        return np.concatenate(parts) + self.constant_


def joined(old, new):
    """Old and new samples together.

    Parameters
    ----------
    old, new : tuple (X, Y, weights)
        Weights that are None are 1.

    Returns
    -------
    tuple (X, Y, weights)

    Notes
    -----
    Cost: O(numbers).

    Examples
    --------
    >>> joined((np.zeros((1, 2)), np.zeros((1, 1)), None), (np.ones((1, 2)), np.ones((1, 1)), np.full(1, 3.0)))[2]
    array([1., 3.])
    """
    (X, Y, weights), (X_new, Y_new, weights_new) = old, new
    if weights is not None or weights_new is not None:
        pairs = ((weights, X), (weights_new, X_new))
        weights = np.concatenate([np.ones(len(X)) if weights is None else weights for weights, X in pairs])
    return np.concatenate([X, X_new]), np.concatenate([Y, Y_new]), weights
