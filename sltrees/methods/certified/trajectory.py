"""Where the neurons of a network stand under method "certified", as told by what they share: it knows no neuron.

Coefficients, one a sample, imply the displacements of all neurons that have not flipped; so whoever holds some of the
neurons follows the same trajectory. The formulas are in docs/background/how_it_stays_sublinear.md.
"""

from __future__ import annotations

import dataclasses
import typing

import numpy as np

from sltrees._core._lazy_findings import LazyStep

# Pairs this share of the skin farther than a neuron has moved are evaluated at a visit although they cannot have
# flipped: without it the bound on the nearest pair not evaluated would often be the gap.
MARGIN_SHARE = 1 / 16
# Stamps kept apart; when there are more, a step visits every neuron, and then there is one.
MAX_STAMPS = 64


@dataclasses.dataclass(frozen=True)
class Position:
    """Where all neurons stand, but for what each keeps of its own."""

    coefficient: np.ndarray  # (n,) beta
    history: np.ndarray  # (n_stamps, n): beta at each stamp
    decay: np.ndarray  # (n_stamps,): product of the shrink factors since each stamp
    origin_decay: float  # product of all shrink factors
    clock: float

    def after(self, moved_by, shrink, exchange):
        """The position after D <- shrink D - J^T g, with `moved_by` = |x| g / sqrt(m)."""
        coefficient = shrink * self.coefficient + moved_by
        tick = float(np.abs(coefficient - self.coefficient).max(initial=0.0)) + exchange * (1.0 - shrink)
        clock = float(np.nextafter(self.clock + tick, np.inf))  # it never stands still, however small the tick
        return Position(coefficient, self.history, shrink * self.decay, shrink * self.origin_decay, clock)

    def stamped(self):
        """The same position, as one more stamp."""
        history = np.concatenate([self.history, self.coefficient[None]])
        return dataclasses.replace(self, history=history, decay=np.append(self.decay, 1.0))

    def stamped_alone(self):
        """The same position, as the only stamp."""
        return dataclasses.replace(self, history=self.coefficient[None].copy(), decay=np.ones(1))

    def with_samples(self, n_further):
        """The same position, with further samples that have not moved anything yet."""
        history = np.pad(self.history, ((0, 0), (0, n_further)))
        return dataclasses.replace(self, coefficient=np.pad(self.coefficient, (0, n_further)), history=history)


class Advance(typing.NamedTuple):
    """A step D <- shrink D - J^T g as told to groups of shards."""

    moved_by: np.ndarray  # (n,): |x| g / sqrt(m)
    shrink: float
    exchange: float
    visit_all: bool


class Trajectory:
    """Where the neurons stand and may be about to step: the same for all groups of a network, wherever they are.

    Parameters
    ----------
    planes : Hyperplanes
    dtype : float32 or float64
        Of the network.
    skin : float
    before : Trajectory, optional
        To go on from, with further samples.

    Attributes
    ----------
    position : Position
        After the last step kept.
    step : LazyStep
        The same as the kernels want it.
    trial : tuple (Advance, Position, LazyStep) or None
        The step under review.
    exchange : float
        What the clock counts shrinking for; 0 until the first step with a ridge.
    n_kept : int
        Steps kept.
    """

    def __init__(self, planes, dtype, skin, before=None):
        n = len(planes.X)
        self._planes, self._dtype, self.skin = planes, dtype, skin
        if before is None:
            self.position = Position(np.zeros(n), np.zeros((1, n)), np.ones(1), origin_decay=1.0, clock=0.0)
            self.exchange = 0.0
        else:
            self.position = before.position.with_samples(n - len(before.position.coefficient))
            self.exchange = before.exchange
        # steps and their rounding go with the shift, which `planes` has also before the network is drawn
        self.step = self._lazy_step(self.position)
        self.trial = None
        self.n_kept = 0

    def plan(self, moved_by, shrink, *, ridge, visit_all=False):
        """The step to this effect, an `Advance`. Cost: O(n)."""
        exchange = self.exchange
        if ridge and exchange == 0.0:
            exchange = float(np.abs(moved_by).max()) or 1.0
        return Advance(moved_by, shrink, exchange, visit_all or len(self.position.decay) >= MAX_STAMPS)

    def begin(self, advance):
        """Put a step under review. Sets: trial, exchange. Cost: O(n) for each stamp."""
        self.exchange = advance.exchange
        position = self.position.after(advance.moved_by, advance.shrink, self.exchange)
        self.trial = advance, position, self._lazy_step(position)

    def keep(self, visited):
        """Keep the step under review. Sets: position, step, trial, n_kept. Cost: O(n) for each stamp.

        Parameters
        ----------
        visited : bool
            Whether any neuron of the network was visited.
        """
        advance, position, _ = self.trial
        if advance.visit_all:
            position = position.stamped_alone()
        elif visited:
            position = position.stamped()
        step = self._lazy_step(position)
        # in one statement, so that Ctrl-C cannot fall between
        self.__dict__.update(position=position, step=step, trial=None, n_kept=self.n_kept + 1)

    def _lazy_step(self, position):
        rounding = np.finfo(self._dtype).eps / 2
        largest = sum(float(np.abs(part).max(initial=0.0)) for part in (position.coefficient, position.history))
        return LazyStep(
            position.coefficient,
            position.coefficient - position.history,
            position.decay,
            origin_decay=position.origin_decay,
            clock=position.clock,
            exchange=self.exchange,
            skin=self.skin,
            margin=self.skin * MARGIN_SHARE,
            rounding=rounding,
            coefficient_rounding=4 * np.finfo(np.float64).eps * largest,
            resolution=2 * rounding * (1 + self._planes.shift),
        )
