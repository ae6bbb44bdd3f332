"""Very many samples, as blocks of centres are fitted to them: sums over them, and outputs learned so far.

Who has them elsewhere, on the disk or on other machines, writes a class with the members of `SamplesHere`.
"""

from __future__ import annotations

import numpy as np

from sltrees.estimators.kernel_solvers.nystrom import NystromSystem


class SamplesHere:
    """Samples in arrays of this process.

    Parameters
    ----------
    kernel : sltrees.kernels.unit_rows.UnitRowsKernel
    X, Y, weights : ndarray of shape (n, d), (n, C), (n,)
        Rows of unit norm.
    executor : ThreadExecutor

    Attributes
    ----------
    kernel : sltrees.kernels.unit_rows.UnitRowsKernel
    candidates : ndarray of shape (q, d)
        Rows that may become centres: here, all.
    outputs : ndarray of shape (q, C)
        Of the function learned so far, at these.
    n_samples, n_outputs : int

    Examples
    --------
    >>> from sltrees.execution.threads import ThreadExecutor
    >>> from sltrees.kernels.unit_rows import UnitRowsKernel
    >>> with ThreadExecutor(1) as executor:
    ...     samples = SamplesHere(UnitRowsKernel(1.0), np.eye(3), np.ones((3, 1)), np.ones(3), executor)
    ...     samples.system(np.eye(3)[:2]).totals
    array([3., 3.])
    """

    def __init__(self, kernel, X, Y, weights, executor):
        self.kernel, self._Y, self._weights, self._executor = kernel, Y, weights, executor
        self.candidates, self.outputs = X, np.zeros_like(Y)
        self.n_samples, self.n_outputs = Y.shape

    def system(self, centres, advance=None):
        """The normal equations of centres, of what targets are above outputs: a `NystromSystem`.

        Parameters
        ----------
        centres : ndarray of shape (m, d)
        advance : callable, optional
            advance(done, total), in samples.

        Notes
        -----
        Cost: O(n m (m + d)).
        """
        system = NystromSystem(self.kernel, centres, self.n_outputs)
        system.add(self.candidates, self._Y - self.outputs, self._weights, self._executor, advance)
        return system

    def learn(self, centres, dual, constants):
        """Add a function to the outputs. Sets: outputs. Cost: O(n m (d + C))."""
        self.outputs += self.kernel.times(self.candidates, centres, dual, self._executor) + constants

    def what_is_left(self, centres):
        """Of what targets are above outputs now: K_mn S [Y] and 1^T S [Y], shapes (m, C) and (C,).

        Parameters
        ----------
        centres : ndarray of shape (m, d)

        Notes
        -----
        Cost: O(n m (d + C)).
        """
        left = self._weights[:, None] * (self._Y - self.outputs)
        return self.kernel.times(centres, self.candidates, left, self._executor), left.sum(axis=0)
