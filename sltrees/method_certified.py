"""method="certified": visit only the neurons that may have changed their firing pattern.

Between visits a neuron's weights are implied by coefficients shared by all neurons, and a certificate says how far
the coefficients may move before the neuron has to be looked at again. For the proofs see
docs/how_it_stays_sublinear.md, for what is stored sltrees/_core/lazy_rows.h.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
import types
import typing

import numpy as np

from sltrees._core._lazy_rows import LazyRows, LazyStep, padded
from sltrees._memory import return_freed_memory
from sltrees.executors import InlineExecutor
from sltrees.hyperplanes import PRODUCTS_AT_A_TIME, Hyperplanes, collect_near
from sltrees.records import StepCounts
from sltrees.shards import ImpliedDisplacement

# Near lists hold the samples nearer than the skin to a neuron, or beyond. A larger one means longer lists, a smaller
# one that more neurons leave theirs: it is chosen of these, in units of the initial weights (N(0, 1)).
SKINS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
# Nanoseconds for an entry of a near list, mostly for memory touched for the first time; for each sample when a list is
# built anew, and for each number of it (both twice, as neurons that stray do so again). Only the ratios matter.
ENTRY_COST, SAMPLE_COST, NUMBER_COST = 9.5, 1.0, 0.02
# Pairs this share of the skin farther than a neuron has moved are evaluated at a visit although they cannot have
# flipped: without it the bound on the nearest pair not evaluated would often be the gap.
MARGIN_SHARE = 1 / 16
# Stamps kept apart; when there are more, a step visits every neuron, and then there is one.
MAX_STAMPS = 64

# Coefficients beyond this many times what the dtype resolves of a weight are worn: they cancel in the weights, and what
# is left has lost digits. Then training goes on from the weights as they are, with coefficients of zero.
WORN = 1e-5

# Bytes of findings of a step under review that are kept until it is. Those of further shards are found again when the
# step is kept: in the first step of a very wide network they would need a third of the memory of its neurons.
FINDINGS_KEPT = 1 << 28
_SHARDS_FOUND_AGAIN = 16  # at a time

_ROWS_AT_A_TIME = 4096  # that are moved to where their lists were built

# Fewer flips are counted by one thread: some 0.5 ms.
FEW_FLIPS = 1 << 14


def strayed_share(network, planes, y, skin):
    """Share of the materialised neurons that are expected to move farther than a skin.

    Where samples on which a neuron fires are alike and have the same target, it moves as if it fired on one of them. By
    r with r^2 = |y|^2 / (m sum_i p_i mean_i p_i |x_i|^2) in the mean then, as all of the loss goes, and beyond s with
    probability exp(-s^2 / r^2).

    Parameters
    ----------
    network : ShiftedReLUNetwork
    planes : Hyperplanes
    y : ndarray of shape (n,)
    skin : float

    Returns
    -------
    float

    Notes
    -----
    Cost: O(n).

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> from sltrees.hyperplanes import Hyperplanes
    >>> planes = Hyperplanes(np.eye(4), shift=1.0)
    >>> strayed_share(ShiftedReLUNetwork(10_000), planes, np.ones(4), skin=0.5) < 0.01
    True
    """
    squared = float(y @ y)
    if squared == 0:  # there is nothing to learn
        return 0.0
    energy = float(planes.firing @ planes.norms**2) / len(y)
    return float(np.exp(-(skin**2) * planes.firing.sum() * network.width * energy / squared))


def choose_skin(network, planes, y):
    """The skin of `SKINS` that makes near lists, and building them anew, cheapest.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    planes : Hyperplanes
    y : ndarray of shape (n,)

    Returns
    -------
    float

    Notes
    -----
    Depends on numbers alone, not on the machine. Cost: that of `Population`, once for the samples.

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> from sltrees.hyperplanes import Hyperplanes
    >>> choose_skin(ShiftedReLUNetwork(10_000), Hyperplanes(np.eye(4), shift=1.0), np.ones(4))
    0.5
    """
    n, d = planes.X.shape

    def cost(skin):
        listed = planes.population.near_per_draw(skin)
        # a list of its own, and its centre: as many entries as two numbers each
        rebuilt = n * (SAMPLE_COST + NUMBER_COST * d) + (listed + d / 2) * ENTRY_COST
        return listed / network._copies * ENTRY_COST + strayed_share(network, planes, y, skin) * rebuilt

    return min(SKINS, key=cost)


class CertifiedShard:
    """A block of neurons as lazy rows, and what the network knows of it.

    Parameters
    ----------
    rows : LazyRows
    shard : NeuronShard
        Of the network; its displacement is not looked at.
    planes : Hyperplanes
    skin : float
        Of its near lists.
    """

    def __init__(self, rows, shard, planes, skin):
        self.rows = rows
        self.shard, self._planes, self._skin = shard, planes, skin
        self._initial, self._copies = shard.initial, shard.copies
        self.found = None  # what the step under review found; None also where it is to be found again
        self.pending = False  # whether a step was reviewed that is neither applied nor dropped

    @classmethod
    def build(cls, network, shard, planes, skin, near=None, n_silent=0):
        """From a shard of the network, wherever its neurons stand now.

        Parameters
        ----------
        network : ShiftedReLUNetwork
        shard : NeuronShard
        planes : Hyperplanes
        skin : float
        near : NearLists, optional
            Of its draws, if they are known and no neuron has moved.
        n_silent : int, default 0
            On so many samples, the first ones, no neuron fires, if none has moved: when they were drawn for, that
            was seen, and products that are rounded otherwise shall not say anything else.
        """
        signs = network._signs(shard.neurons)
        if shard.displacement is None:  # twins share a near list
            if near is None:
                near = planes.near_lists(skin, shard.draws.size, keep_all=True)

                def silence(z, _):
                    np.minimum(z[:, :n_silent], planes.shift, out=z[:, :n_silent])

                collect_near(near, shard.initial, planes.X, veto=silence if n_silent else None)
                near.trim()
            rows = LazyRows(planes.directions, signs, near, shard.copies, skin, origin=None)
        else:
            near = planes.near_lists(skin, shard.n_neurons, keep_all=True)
            collect_near(near, shard.weights(), planes.X)
            rows = LazyRows(planes.directions, signs, near, 1, skin, origin=padded(shard.displacements()))
        return cls(rows, shard, planes, skin)

    def with_samples(self, planes, further):
        """The same neurons with further samples behind those they know, as a shard of its own.

        Parameters
        ----------
        planes : Hyperplanes
            Of all samples.
        further : Hyperplanes
            Of the further ones.

        Returns
        -------
        CertifiedShard
            On further samples its neurons fire as where their lists were built, until all have been visited.

        Notes
        -----
        Cost: O(k q d) for q further samples, and a copy of all lists.
        """
        rows = self.rows
        near = further.near_lists(self._skin, self.shard.draws.size, keep_all=True)
        for start in range(0, self.shard.n_neurons, _ROWS_AT_A_TIME):
            stop = min(start + _ROWS_AT_A_TIME, self.shard.n_neurons)
            own = np.flatnonzero(rows.owns_list(start, stop))
            weights = rows.centre_displacement(start, stop)[own, : further.X.shape[1]]
            weights += self._initial[(start + own) // self._copies]
            collect_near(near, weights, further.X)
        return CertifiedShard(rows.with_directions(planes.directions, near), self.shard, planes, self._skin)

    def implied(self, method):
        """The shard of the network, its displacement implied by the rows where `method` says that they stand."""
        return self.shard._replace(displacement=ImpliedDisplacement(self.rows, method))

    def review(self, step, visit_all):
        """Look at the neurons whose certificate may end with this step. Sets: found, pending.

        Returns
        -------
        _Review
        """
        self.find(step, visit_all)
        self.pending = True
        found = self.found
        counts = StepCounts(
            reported=found.n_reported,
            cleared=found.n_cleared,
            visited=found.n_visited,
            candidates=found.n_candidates,
            flips=found.n_flips,
            rebuilt=found.n_strayed,
        )
        return _Review(counts, *found.corrections, found.squared_terms)

    def find(self, step, visit_all):
        """Find what a step changes; the same each time until it is applied. Sets: found."""
        found = self.rows.review(step, visit_all)
        planes = self._planes
        if found.n_strayed:
            thresholds = planes.thresholds(self._skin)
            size = max(1, PRODUCTS_AT_A_TIME // len(planes.X))
            d = planes.X.shape[1]
            for first in range(0, found.n_strayed, size):
                rows = found.strayed_rows[first : first + size]
                weights = self._initial[rows // self._copies]
                weights += found.strayed_displacement[first : first + size, :d]
                self.rows.collect_strayed(
                    step, found, first, weights @ planes.X.T, thresholds, planes.inverse_norms, planes.shift
                )
        self.found = found

    def apply(self, step, visit_all, stamp):
        """Keep the step under review, if it has not been kept yet. Sets: found, pending."""
        if self.pending:
            if self.found is None:
                self.find(step, visit_all)
            self.rows.apply(step, self.found, stamp)
            self.pending = False
        self.found = None

    def drop(self):
        """The step under review is not kept. Sets: found, pending."""
        self.found, self.pending = None, False

    def outputs(self, step):
        """sqrt(m) f / |x| and sqrt(m) J D / |x| from the weights themselves, flips under review not included."""
        outputs, moved = np.zeros(len(self._planes.X)), np.zeros(len(self._planes.X))
        self.rows.add_outputs(step, self._initial, self._copies, self._planes.offsets, outputs, moved)
        return outputs, moved


class _Review(typing.NamedTuple):
    """What looking at a shard found."""

    counts: StepCounts
    outputs: np.ndarray  # (n,) what flips add to sqrt(m) f / |x|
    moved: np.ndarray  # (n,) and to sqrt(m) J D / |x|
    squared_terms: float


@dataclasses.dataclass(frozen=True)
class _Position:
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
        return _Position(coefficient, self.history, shrink * self.decay, shrink * self.origin_decay, clock)

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


class _Trial:
    """A step under review."""

    def __init__(self, position, step, visit_all):
        self.position, self.step, self.visit_all = position, step, visit_all
        self.counts = None
        self.outputs_of_flips = self.moved_by_flips = None  # (n,): in f, and in J D
        self.outputs = self.jacobian_displacement = None
        self.variance = self.variance_of_flips = 0.0


class CertifiedMethod:
    """Firing patterns, outputs and steps of a whole network, none of which reads a neuron that cannot have flipped.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        Drawn, or about to be, for the samples.
    shards : list of CertifiedShard
    planes : Hyperplanes
    skin : float
    executor : ThreadExecutor
    ridge : bool
        Whether steps may shrink displacements.
    before : CertifiedMethod, optional
        Whose rows these are, with further samples.

    Notes
    -----
    With beta_i = |x_i| B_i / sqrt(m), B the sum of all g so far (shrunk with the displacements), a neuron that has not
    flipped since it was drawn stands at D_r = -a_r sum over the samples it fires on of beta_i u_i: n numbers tell where
    they all are. Between runs the network keeps the method: its rows are what tells the displacements, and the next run
    on the same samples goes on with them.

    References
    ----------
    arXiv 2208.04508 for the method; Basch, Guibas, Hershberger 1997 for certificates with failure times; Verlet 1967
    for neighbour lists with a skin.
    """

    gram_class = None  # how G is held is the trainer's choice

    def __init__(self, network, shards, planes, skin, executor, ridge, before=None):
        self._skin = skin
        # not the network itself: it holds the method, and memory held in a circle lingers
        self._dtype, self._width = network.dtype, network.width
        self._shards, self._planes, self._executor = shards, planes, executor
        self._reading = threading.Lock()  # held by who reads the weights, and while a step begins to be kept
        n = len(planes.X)
        self._scale = planes.norms / np.sqrt(network.width)  # from sums over pairs to f, and from g to beta
        # a step was taken that is neither kept nor undone
        self.step_open = False
        self._committing = False
        self.n_kept = 0  # steps kept
        self._trial = None
        self._ridge = ridge
        if before is None:
            self._position = _Position(np.zeros(n), np.zeros((1, n)), np.ones(1), origin_decay=1.0, clock=0.0)
            self._exchange = 0.0  # what the clock counts shrinking for; set by the first step with a ridge
        else:
            self._position = before._position.with_samples(n - len(before._scale))
            self._exchange = before._exchange
        self.n_fired = sum(shard.rows.n_fired for shard in shards)
        self._n_neurons = sum(shard.shard.n_neurons for shard in shards)
        # steps and their rounding go with the shift, which `planes` has also before the network is drawn
        self.step = self._lazy_step(self._position)  # the last one kept
        self._variance = 0.0  # of the rounding error of the outputs, summed over samples
        self._outputs, self._jacobian_displacement = np.zeros(n), np.zeros(n)
        if before is not None:
            self._visit_all()
        if before is not None or network.init == "gaussian" or any(s.shard.displacement is not None for s in shards):
            self._outputs, self._jacobian_displacement = self._sums(self.step)

    @classmethod
    def set_up(cls, network, planes, y, executor, progress, *, ridge):
        """Draw the network, or take it as it stands, and build near lists.

        Parameters
        ----------
        network : ShiftedReLUNetwork
        planes : Hyperplanes
            Of the samples, for the shift of the network.
        y : ndarray of shape (n,)
        executor : ThreadExecutor
        progress : callable
            Called as progress(stage)(done, total) for stage 0, 1 of 2.
        ridge : bool
            Whether steps may shrink displacements.

        Returns
        -------
        CertifiedMethod
            That of the run before, where it can go on.
        """
        kept = network._method
        if kept is not None:
            with kept.standing():  # whatever its run left to be done is done
                pass
        if kept is not None and kept.serves(planes.X, ridge):
            network._install(network._draw(planes, None, executor))  # draws nothing: says which samples it is for
            kept._executor = executor
            return kept
        if kept is not None and kept.serves_first(planes.X, ridge):
            return kept._extended(network, planes, executor, progress)
        network._write_down()
        network._shift_for(planes.X)  # warns where the shift has to be lowered
        known = network._take_near(planes.X)
        skin = choose_skin(network, planes, y) if known is None else known[0]
        drawing = network._draw(planes, skin, executor, progress(0))
        network._install(drawing)  # also if what follows is interrupted
        # each list is forgotten here when the rows have it
        near = dict(enumerate(drawing.near if known is None else known[1]))
        shards = executor.map(
            lambda k: CertifiedShard.build(network, network._shards[k], planes, skin, near.pop(k)),
            range(len(network._shards)),
            progress(1),
        )
        method = cls(network, shards, planes, skin, executor, ridge)
        method._install(network)
        if method.bytes_resident > FINDINGS_KEPT:
            return_freed_memory()
        return method

    def _extended(self, network, planes, executor, progress):
        """A method for these samples and further ones behind them, that goes on where this one stands.

        This one stays as it is, so that whatever interrupts leaves the network with it.
        """
        n = len(self._scale)
        drawing = network._draw(planes, self._skin, executor, progress(0))
        further = Hyperplanes(planes.X[n:], planes.shift)
        # behind our own shards: neurons drawn now, or for other samples since the last run; none fires on ours
        new = list(zip(drawing.state.get("_shards", network._shards), drawing.near, strict=True))[len(self._shards) :]
        tasks = [(lambda shard: shard.with_samples(planes, further), (shard,)) for shard in self._shards]
        tasks += [
            (lambda shard, near: CertifiedShard.build(network, shard, planes, self._skin, near, n_silent=n), pair)
            for pair in new
        ]
        shards = executor.map(lambda task: task[0](*task[1]), tasks, progress(1))
        method = CertifiedMethod(network, shards, planes, self._skin, executor, self._ridge, before=self)
        method._install(network, **{name: value for name, value in drawing.state.items() if name != "_shards"})
        return method

    def _visit_all(self):
        """Visit all neurons where they stand: after it every pattern and certificate is that of the weights.

        Cost: O(active pairs d + candidates d).
        """
        nothing = np.zeros(len(self._scale))
        self.take_step(types.SimpleNamespace(g=nothing, shrink=1.0, change=nothing, pushed=nothing, size=0.0), True)
        self.commit()
        self.n_kept = 0

    def _install(self, network, **also):
        """The rows are what tells the network's displacements from now on."""
        shards = [shard.implied(self) for shard in self._shards]
        for shard in self._shards:
            shard.shard = shard.shard._replace(displacement=None)  # forget those that were written down
        network.__dict__.update(also, _shards=shards, _method=self)

    def serves(self, X, ridge):
        """Whether a run on these samples can go on with these rows. Cost: O(n d)."""
        return self._ridge == ridge and np.array_equal(X, self._planes.X)

    def serves_first(self, X, ridge):
        """Whether these rows serve the first of these samples, so that they can be extended. Cost: O(n d).

        With a ridge, only once the clock knows what shrinking counts: extending sets failure times by it.
        """
        longer = len(X) > len(self._scale) and (self._exchange > 0 or not ridge)
        return longer and self.serves(X[: len(self._scale)], ridge)

    @staticmethod
    def bytes_needed(network, planes, y, neurons, n_threads=1):
        """Bytes for so many materialised neurons besides their weights: lists, certificates, findings of a step.

        Cost: that of `Population`, once for the samples.
        """
        itemsize = network.dtype.itemsize
        entry, pairs = 4 + itemsize, network.width * float(planes.firing.sum())
        skin = choose_skin(network, planes, y)
        strayed = strayed_share(network, planes, y, skin)
        near = planes.population.near_per_draw(skin)
        written = any(isinstance(shard.displacement, np.ndarray) for shard in network._shards)
        shared = 1 if written else network._copies
        # pools have an eighth in reserve, and are copied when they grow; strayed neurons leave holes behind
        per_neuron = 74.0 + 2 * 1.125 * entry + near * entry * (1.3 / shared + 2.0 * strayed)
        vectors = planes.directions.shape[1] * itemsize
        per_neuron += vectors * (1.125 * strayed + 2.0 * (shared < network._copies))
        held = per_neuron * neurons + pairs * 3.0 * entry
        findings = neurons * (130.0 + strayed * (vectors + near * entry)) + pairs * 16.0
        return held + min(findings, 2.0 * FINDINGS_KEPT) + min(60.0 * neurons, float(1 << 28))

    # ------------------------------------------------------------------ where training stands

    def outputs(self, *, kept=False):
        """f on the training samples, shape (n,), float64: carried along, corrected for flips. Cost: O(1).

        After the step under review, if there is one; with `kept` after the last one kept.
        """
        return self._trial.outputs if self.step_open and not kept else self._outputs

    def jacobian_displacement(self, *, kept=False):
        """J D, shape (n,), float64, likewise. Cost: O(1)."""
        return self._trial.jacobian_displacement if self.step_open and not kept else self._jacobian_displacement

    @property
    def outputs_error(self):
        """Root mean square that the rounding error of `outputs` may have, before and after a step under review.

        0 once they are computed from the weights.
        """
        variance = max(self._variance, self._trial.variance if self.step_open else 0.0)
        return float(np.sqrt(variance / len(self._outputs)))

    @property
    def is_worn(self):
        """Whether coefficients have grown so large that weights implied by them lose digits. Cost: O(n)."""
        largest = float(np.abs(self._position.coefficient).max(initial=0.0))
        return largest * np.finfo(self._dtype).eps > WORN

    def synchronise(self):
        """Compute f and J D from the weights, before the step under review, if there is one, and after it.

        Notes
        -----
        Sets: outputs, jacobian_displacement, outputs_error. Cost: O(active pairs d).
        """
        if self._variance > 0:
            outputs, moved = self._sums(self.step)
            self.__dict__.update(_outputs=outputs, _jacobian_displacement=moved, _variance=0.0)
        if self.step_open:
            trial = self._trial
            outputs, moved = self._sums(trial.step)
            trial.outputs = outputs + trial.outputs_of_flips
            trial.jacobian_displacement = moved + trial.moved_by_flips
            # keeping the step rounds the c_ri that change: outputs are exact after that only where none does
            trial.variance = trial.variance_of_flips

    def _sums(self, step):
        """f and J D summed over the shards, in their order."""
        outputs, moved = np.zeros(len(self._scale)), np.zeros(len(self._scale))
        for f, jd in self._executor.map(lambda shard: shard.outputs(step), self._shards):
            outputs += f
            moved += jd
        return outputs * self._scale, moved * self._scale

    # ------------------------------------------------------------------ a step

    def take_step(self, step, visit_all=False):
        """D <- shrink D - J^T g, without reading a neuron whose certificate holds.

        Parameters
        ----------
        step : object with g, shrink, change, pushed, size
            `change` = J p is the linear change of f, `pushed` = G g, each of shape (n,); `size` tells how large the
            terms are of which G g is made.
        visit_all : bool, default False

        Returns
        -------
        StepCounts
        """
        self.step_open = True
        moved_by = step.g * self._scale
        if self._ridge and self._exchange == 0.0:
            self._exchange = float(np.abs(moved_by).max()) or 1.0
        position = self._position.after(moved_by, step.shrink, self._exchange)
        lazy = self._lazy_step(position)
        visit_all = visit_all or len(position.decay) >= MAX_STAMPS
        self._trial = _Trial(position, lazy, visit_all)
        held = [0]  # bytes of findings

        def review(shard):
            reviewed = shard.review(lazy, visit_all)
            held[0] += shard.found.nbytes
            if held[0] > FINDINGS_KEPT:
                shard.found = None
            return reviewed

        reviewed = self._executor.map(review, self._shards)
        flips = [np.zeros(len(self._scale)), np.zeros(len(self._scale))]
        for part in reviewed:
            flips[0] += part.outputs
            flips[1] += part.moved
        trial = self._trial
        trial.counts = StepCounts.total(part.counts for part in reviewed)
        trial.outputs_of_flips, trial.moved_by_flips = (total * self._scale for total in flips)
        trial.outputs = self._outputs + step.change + trial.outputs_of_flips
        trial.jacobian_displacement = step.shrink * self._jacobian_displacement - step.pushed + trial.moved_by_flips
        squared_terms = sum(part.squared_terms for part in reviewed)
        trial.variance_of_flips = self._rounding_of_flips(trial.counts.flips, squared_terms)
        trial.variance = self._variance + trial.variance_of_flips + self._rounding_of_step(step)
        return trial.counts

    def _rounding_of_flips(self, n_flips, squared_terms):
        """Variance that rounding adds to the outputs at flips: that of signed distances, and of c_ri when it changes.

        Both go with the sizes of the terms that a weight is made of. An estimate with room, not a bound: rounding
        errors of many pairs are taken to be independent.
        """
        eps = np.finfo(self._dtype).eps
        weight = 1.0 + self._planes.shift
        return 32.0 * (eps * self._scale.max()) ** 2 * (n_flips * weight**2 + squared_terms)

    def _rounding_of_step(self, step):
        """Variance that rounding adds to the outputs without a flip: of directions, and of weights written down."""
        eps = np.finfo(self._dtype).eps
        per_neuron = self.n_fired / max(1, self._n_neurons)
        terms = per_neuron * float(np.mean(np.square(self._trial.position.coefficient)))
        floor = self.n_fired * (eps * self._scale.max()) ** 2 * ((1.0 + self._planes.shift) ** 2 + per_neuron * terms)
        return floor + (eps * step.size) ** 2

    def _lazy_step(self, position):
        rounding = np.finfo(self._dtype).eps / 2
        largest = sum(float(np.abs(part).max(initial=0.0)) for part in (position.coefficient, position.history))
        return LazyStep(
            position.coefficient,
            position.coefficient - position.history,
            position.decay,
            origin_decay=position.origin_decay,
            clock=position.clock,
            exchange=self._exchange,
            skin=self._skin,
            margin=self._skin * MARGIN_SHARE,
            rounding=rounding,
            coefficient_rounding=4 * np.finfo(np.float64).eps * largest,
            resolution=2 * rounding * (1 + self._planes.shift),
        )

    def undo(self):
        """Take the last step back: nothing of it was applied. Cost: O(shards)."""
        for shard in self._shards:
            shard.drop()
        self._trial = None
        self.step_open = False

    def count_flips(self, gram):
        """Bring the pair counts of G to the patterns after the step under review, which from here on is kept.

        What has to be found again is applied at once, so that nothing is found a third time.

        Cost: O(flips fired), and O(n^2).
        """
        self._begin_keeping()
        trial, flips = self._trial, self._trial.counts.flips
        again = [shard for shard in self._shards if shard.pending and shard.found is None]
        kept = [shard for shard in self._shards if shard.found is not None and shard.found.n_flips]
        for start in range(0, len(again), _SHARDS_FOUND_AGAIN):
            some = again[start : start + _SHARDS_FOUND_AGAIN]
            self._executor.map(lambda shard: shard.find(trial.step, trial.visit_all), some)
            gram.add_counts([self._counter(shard) for shard in some], self._executor, refresh=False)
            self._executor.map(self._apply_to, some)
        if again:
            return_freed_memory()
        gram.add_counts([self._counter(shard) for shard in kept], self._executor, few=flips < FEW_FLIPS)

    def count_pairs(self, gram):
        """Form G from the firing patterns. Cost: O(sum over neurons of fired^2 + n^2)."""
        gram.add_counts([shard.rows.count_fired for shard in self._shards], self._executor, anew=True)

    @staticmethod
    def _counter(shard):
        return lambda start, stop, counts: shard.rows.count_flips(shard.found, start, stop, counts)

    def commit(self):
        """Keep the last step. Cost: O(visited + flips active)."""
        self._begin_keeping()
        self._apply()

    def _begin_keeping(self):
        """From here on the step is kept, whatever interrupts. Waits for who reads the weights."""
        with self._reading:
            self._committing = True

    def _apply(self):
        """Apply what was found to the shards that have not had it yet; then the step is done. May be called again."""
        trial = self._trial
        self._executor.map(self._apply_to, self._shards)
        position = trial.position
        if trial.visit_all:
            position = position.stamped_alone()
        elif trial.counts.visited:
            position = position.stamped()
        n_fired = sum(shard.rows.n_fired for shard in self._shards)
        step = self._lazy_step(position)  # also what implies the network's displacements
        # in one statement, so that Ctrl-C cannot fall between
        self.__dict__.update(
            _position=position,
            step=step,
            _outputs=trial.outputs,
            _jacobian_displacement=trial.jacobian_displacement,
            _variance=trial.variance,
            n_fired=n_fired,
            _trial=None,
            _committing=False,
            step_open=False,
            n_kept=self.n_kept + 1,
        )

    def _apply_to(self, shard):
        trial = self._trial
        shard.apply(trial.step, trial.visit_all, stamp=0 if trial.visit_all else len(trial.position.history))

    @contextlib.contextmanager
    def standing(self):
        """Inside, no step is applied, so that other threads may read the weights; waits while one is.

        A step that was being kept when its run came to an end for want of memory is finished first.
        """
        while True:
            with self._reading:
                if self._committing and self._executor is None:
                    self._finish()
                if not self._committing:
                    yield
                    return
            time.sleep(1e-3)

    def _finish(self):
        """Finish a step that its run could not."""
        with InlineExecutor() as self._executor:
            try:
                self._apply()
            finally:
                self._executor = None

    def abandon(self):
        """After an interruption: finish a step that was being kept, drop one that was not."""
        if self._committing:
            self._apply()
        elif self.step_open:
            self.undo()

    # ------------------------------------------------------------------ what others may ask for

    @property
    def bytes_resident(self):
        """Bytes held for the neurons: lists, certificates, initial weights. Cost: O(shards)."""
        return sum(shard.rows.nbytes + shard.shard.nbytes for shard in self._shards)

    def gram_product(self, v):
        """G v from the fired pairs, without G; shape (n,). Cost: O(fired pairs d)."""
        total = np.zeros(len(v))

        def product(shard):
            out = np.zeros(len(v))
            shard.rows.gram_product(self._planes.X, v, out)
            return out

        for part in self._executor.map(product, self._shards):
            total += part
        return total / self._width

    def gram_diagonal(self):
        """Diagonal of G, shape (n,). Cost: O(fired pairs)."""
        counts = sum(self._executor.map(lambda shard: shard.rows.diagonal, self._shards))
        return counts * self._planes.norms**2 / self._width

    def _check(self):
        """Assert every invariant between steps: of the rows, and that sums carried along are those of the rows.

        Cost: O(k n d).
        """
        assert not self.step_open
        for shard in self._shards:
            assert shard.found is None
            assert not shard.pending
            shard.rows._check(self.step, shard._initial, shard._copies, self._planes.offsets)
        outputs, moved = self._sums(self.step)
        size = np.linalg.norm(self._outputs) + np.linalg.norm(self._jacobian_displacement) + 1.0
        # a rounding error of this standard deviation, and of sums in float64
        slack = 4.0 * np.sqrt(self._variance) + 1e-12 * size
        slack += np.sqrt(self.n_fired) * self._scale.max() * np.finfo(self._dtype).eps * (1.0 + size)
        # and of the terms that cancel in weights where coefficients are large
        per_neuron = self.n_fired / max(1, self._n_neurons)
        terms = np.sqrt(self.n_fired * per_neuron * np.mean(np.square(self._position.coefficient)))
        slack += terms * self._scale.max() * np.finfo(self._dtype).eps
        assert np.linalg.norm(outputs - self._outputs) <= slack
        if self._ridge:
            assert np.linalg.norm(moved - self._jacobian_displacement) <= slack
        assert self.n_fired == sum(len(shard.rows.pattern[1]) for shard in self._shards)

    def release(self):
        """The run is over; the network keeps the rows. May be called again."""
        self._executor = None
