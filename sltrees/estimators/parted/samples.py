"""Samples in parts, as blocks of centres are fitted to them."""

from __future__ import annotations

import numpy as np

from sltrees.estimators.kernel_solvers.nystrom import NystromSystem
from sltrees.estimators.parted.passes import Function, add_targets, add_up
from sltrees.estimators.parted.running import summed


class PartedSamples:
    """Samples that are gone through where they are: members as of `SamplesHere`.

    Nothing is kept of them between passes: outputs of what was learned so far are computed anew, which costs little
    beside the normal equations. So a worker that is lost loses nothing but time.

    Parameters
    ----------
    kernel : sltrees.kernels.unit_rows.UnitRowsKernel
    parts : list of tuple of dask.delayed.Delayed
    groups : list of range
    left_out : list of ndarray, dtype=int64
        Rows of each part that are not learned from.
    reader : Reader
    n_samples, n_outputs : int
    candidates : ndarray of shape (q, d)
        Some rows, scaled, that are here.
    executor : ThreadExecutor
    function : Function, optional
        Learned already.
    """

    def __init__(
        self, kernel, parts, groups, left_out, reader, n_samples, n_outputs, candidates, executor, function=None
    ):
        self.kernel, self.n_samples, self.n_outputs = kernel, n_samples, n_outputs
        self._parts, self._groups, self._reader, self._executor = parts, groups, reader, executor
        self._arguments = [([left_out[at] for at in group],) for group in groups]
        self.candidates, self.outputs = candidates, np.zeros((len(candidates), n_outputs))
        nothing = np.zeros((0, candidates.shape[1])), np.zeros((0, n_outputs)), np.zeros(n_outputs)
        self._function = Function(kernel, *nothing) if function is None else function

    def system(self, centres, advance=None):
        """As of `SamplesHere`. Cost: O(n m (M + m)), with M centres of what was learned so far."""
        system = NystromSystem(self.kernel, centres, self.n_outputs)
        system.products, system.targets, system.totals = self._summed(add_up, centres, advance)
        return system

    def learn(self, centres, dual, constants):
        """As of `SamplesHere`, for the candidates; others have them computed when they are gone through."""
        self.outputs += self.kernel.times(self.candidates, centres, dual, self._executor) + constants
        before = self._function
        self._function = Function(
            self.kernel,
            np.concatenate([before.centres, centres]),
            np.concatenate([before.dual, dual]),
            before.constants + constants,
        )

    def what_is_left(self, centres):
        """As of `SamplesHere`. Cost: O(n (M + m) (d + C))."""
        return self._summed(add_targets, centres, None)

    def _summed(self, work, centres, advance):
        shared, n_threads = (self._reader, self._function, centres), self._executor.n_threads
        return summed(self._parts, self._groups, work, self._arguments, shared, n_threads, advance).values
