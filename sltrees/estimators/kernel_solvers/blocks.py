"""Kernel ridge regression for very many samples: one block of centres after the other, each on what is left.

The function is a sum over blocks of centres. Each block minimises the objective of kernel ridge regression exactly,
over the functions that its centres span, with the blocks before it as they are: block coordinate descent. What it costs
grows with the square of the size of a block, but only with the number of blocks.
"""

from __future__ import annotations

import copy
import typing

import numpy as np

from sltrees.estimators.kernel_solvers.centres import draw_centres
from sltrees.estimators.kernel_solvers.nystrom import NystromFit, NystromSystem

BLOCK = 2048  # centres: more in one block gain less than another block does, at its price
HELD_OUT = 0.05  # the share of samples by whose errors the ridge and the number of blocks are chosen
MOST_HELD_OUT = 5_000
FACTORS = (1.0, 0.1, 10.0)  # of the ridge that were tried, the likeliest first
CLEAR = 0.01  # by which share another ridge must be better to be taken
LEAST_GAIN = 0.002  # a block that lowers the error by a smaller share is the last one


class Blocks:
    """A sum of kernel functions of some centres, that further samples can be learned into.

    Parameters
    ----------
    kernel : sltrees.kernels.unit_rows.UnitRowsKernel

    Attributes
    ----------
    centres : ndarray of shape (M, d)
    dual : ndarray of shape (M, C)
    constants : ndarray of shape (C,)
    ridge : float
    system : NystromSystem
        Of the first block, with what is left of targets: what `extend` adds to.
    """

    def __init__(self, kernel):
        self.kernel = kernel

    def outputs(self, X, executor):
        """Outputs at rows of unit norm, shape (n, C). Cost: O(n M (d + C))."""
        return self.kernel.times(X, self.centres, self.dual, executor) + self.constants

    def extended(self, X, Y, weights, executor, advance=None):
        """The function with further samples learned into it.

        The functions of all centres stay, and those of the first block are corrected so that all samples seen, old and
        new ones, are fitted best. This one is left as it is.

        Parameters
        ----------
        X, Y, weights : ndarray of shape (n, d), (n, C), (n,)
            Rows of unit norm.
        executor : ThreadExecutor
        advance : callable, optional
            advance(done, total), in samples.

        Returns
        -------
        Blocks

        Notes
        -----
        Cost: O(n m (M + m) + m^3), with m centres in the first block.
        """
        system = self.system.extended()
        system.add(X, Y - self.outputs(X, executor), weights, executor, advance)
        return self._corrected(system, executor)

    def extended_by(self, system, executor):
        """The same, where further samples were added up elsewhere: `system` has the centres of the first block.

        Notes
        -----
        Cost: O(m^3 + m M).
        """
        both = self.system.extended()
        both.include(system)
        return self._corrected(both, executor)

    def _corrected(self, system, executor):
        """A copy that knows what a system tells."""
        other = copy.copy(self)
        other.system = system
        other.dual, other.constants = self.dual.copy(), self.constants.copy()
        other.correct(executor)
        return other

    def correct(self, executor):
        """Correct the first block. Sets: dual, constants, system.targets, system.totals. Cost: O(m^3 + m M)."""
        system = self.system
        m = len(system.centres)
        # what the objective loses where the function as it is grows; products with itself are those of all centres
        at_centres = self.kernel.times(system.centres, self.centres, self.dual, executor)
        root = system.between_centres(executor)
        fit = NystromFit(system, root, system.whitened(root, executor, self.ridge * at_centres), self.ridge, executor)
        self.dual[:m] += fit.dual
        self.constants += fit.constants
        system.take_away(fit.dual, fit.constants)


class Found(typing.NamedTuple):
    """What `fit_blocks` returns.

    Attributes
    ----------
    blocks : Blocks
    outputs : ndarray of shape (h, C)
        At samples held out, before they too were learned from.
    errors : list of float
        Mean squared error there after each block, of the last one too if that was given up.
    """

    blocks: Blocks
    outputs: np.ndarray
    errors: list


def hold_out(n, rng):
    """Samples by whose errors ridge and number of blocks are chosen, and the others: ascending. Cost: O(n log n)."""
    order = rng.permutation(n)
    n_out = min(int(HELD_OUT * n), MOST_HELD_OUT)
    return np.sort(order[:n_out]), np.sort(order[n_out:])


def bytes_needed(n, d, n_outputs, max_centres):
    """Bytes that `fit_blocks` takes, beside the samples. Cost: O(1)."""
    m = min(BLOCK, max_centres)
    # the system of the first block stays beside another one, and beside its copy that learns what was held out
    return NystromSystem.bytes_needed(m, n_outputs) + 2 * 8 * m**2 + 8 * n * (3 * d + 6 * n_outputs)


def fit_blocks(samples, outside, ridge, *, max_centres, tune, rng, executor, advance):
    """Learn from very many samples.

    Parameters
    ----------
    samples : SamplesHere, or an object with its members
        That nothing was learned from yet.
    outside : tuple (X, Y, weights)
        Samples that are held out while blocks are added, rows of unit norm.
    ridge : float
        In units of the kernel.
    max_centres : int
        In all blocks together.
    tune : bool
        Whether the ridge may be changed by what samples held out say.
    rng : numpy.random.Generator
    executor : ThreadExecutor
    advance : callable
        advance(stage, done, total).

    Returns
    -------
    Found

    Notes
    -----
    Blocks are added as long as they lower the error of samples held out. Then these are learned from as well, by
    `Blocks.extended`. Cost: O(n m (d + m)) for each block of m centres, m = 2048 at most.
    """
    search = _Search(samples, outside, ridge, rng, executor)
    available, errors = max(2, int(0.5 * len(samples.candidates))), []
    while (left := min(max_centres, available) - search.n_centres) > 0:
        stage = f"block {len(errors) + 1} of centres"
        if not search.add(min(BLOCK, left), tune and not errors, errors, lambda *at, stage=stage: advance(stage, *at)):
            break
    outputs = search.outputs_outside
    blocks = search.finished(lambda *at: advance("last corrections", *at))
    return Found(blocks, outputs, errors)


class _Search:
    """One call of `fit_blocks`: what was learned so far, and what it says at samples held out."""

    def __init__(self, samples, outside, ridge, rng, executor):
        self.samples = samples
        self.outside, self.ridge, self.rng, self.executor = outside, ridge, rng, executor
        self.outputs_outside = np.zeros_like(outside[1])
        self.parts, self.constants = [], np.zeros(samples.n_outputs)
        self.free = np.ones(len(samples.candidates), dtype=bool)  # not yet a centre
        self.first = None

    @property
    def n_centres(self):
        return sum(len(centres) for centres, _ in self.parts)

    def error(self, outputs):
        """Weighted mean squared error at samples held out."""
        _, Y, weights = self.outside
        return float(weights @ np.sum((outputs - Y) ** 2, axis=1) / weights.sum())

    def add(self, size, tune, errors, advance):
        """Add a block, unless it does not lower the error by enough to say so; whether another is to be tried."""
        samples, executor = self.samples, self.executor
        advance(0, len(samples.candidates))
        free = np.nonzero(self.free)[0]
        if self.first is None:
            chosen = draw_centres(samples.kernel, samples.candidates, size, self.rng, executor)
        else:
            chosen = np.sort(self.rng.choice(free, min(size, len(free)), replace=False))
        self.free[chosen] = False
        system = samples.system(samples.candidates[chosen], advance)
        root = system.between_centres(executor)
        # the objective holds the norm of the whole function: its product with a new one is its value at the centre
        whitened = system.whitened(root, executor, self.ridge * (samples.outputs[chosen] - self.constants))
        fit, outside, error = None, None, np.inf
        for factor in FACTORS if tune else (1.0,):
            tried = NystromFit(system, root, whitened, factor * self.ridge, executor)
            outputs = self.outputs_outside + tried.outputs(self.outside[0])
            if (found := self.error(outputs)) < (1.0 - (CLEAR if fit is not None else 0.0)) * error:
                fit, outside, error = tried, outputs, found
        before = errors[-1] if errors else np.inf
        errors.append(error)
        if not error < before:
            return False
        self.ridge = fit.ridge
        samples.learn(system.centres, fit.dual, fit.constants)
        self.outputs_outside = outside
        self.parts.append((system.centres, fit.dual))
        self.constants = self.constants + fit.constants
        if self.first is None:
            self.first = system
        return error < (1.0 - LEAST_GAIN) * before

    def finished(self, advance):
        """The blocks, with samples held out learned from."""
        blocks, system = Blocks(self.samples.kernel), self.first
        blocks.centres = np.concatenate([centres for centres, _ in self.parts])
        blocks.dual = np.concatenate([dual for _, dual in self.parts])
        blocks.constants, blocks.ridge, blocks.system = self.constants, self.ridge, system
        system.targets[:, :-1], system.totals[:-1] = self.samples.what_is_left(system.centres)
        return blocks.extended(*self.outside, self.executor, advance)
