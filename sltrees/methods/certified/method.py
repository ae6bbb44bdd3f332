"""method="certified": visit only the neurons that may have changed their firing pattern.

Between visits a neuron's weights are implied by coefficients shared by all neurons, and a certificate says how far
the coefficients may move before the neuron has to be looked at again. For the proofs see
docs/background/how_it_stays_sublinear.md, for what is stored sltrees/_core/rows/rows.h. What touches neurons is done
by groups of shards, here (`sltrees.methods.certified.group`) or on other machines.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
import types

import numpy as np

from sltrees._memory import return_freed_memory
from sltrees.execution.inline import InlineExecutor
from sltrees.linalg.fixed_sums import FixedSum
from sltrees.methods.certified.group import FINDINGS_KEPT, ShardGroup
from sltrees.methods.certified.skin import choose_skin, growth_of_pairs, strayed_at_most
from sltrees.network.drawing import draw, shift_for, take_near
from sltrees.network.use import move_to, write_down
from sltrees.records import timed

# Coefficients beyond this many times what the dtype resolves of a weight are worn: they cancel in the weights, and what
# is left has lost digits. Then training goes on from the weights as they are, with coefficients of zero.
WORN = 1e-5

NEURONS_OF_SHARD = 1 << 15  # at most, where no network is drawn yet


class CertifiedTrial:
    """A step under review, as far as sums over all neurons go: a `sltrees.methods.protocol.Trial`.

    Nothing of it is applied to a neuron before it is kept.

    Attributes
    ----------
    outputs_of_flips, moved_by_flips : ndarray of shape (n,)
        What flips add to f, and to J D.
    variance, variance_of_flips, variance_before : float
        Of the rounding error of the outputs, summed over samples: after the step, what flips add, and before it.
    """

    def __init__(self):
        self.counts = None
        self.outputs_of_flips = self.moved_by_flips = None
        self.outputs = self.jacobian_displacement = None
        self.variance = self.variance_of_flips = self.variance_before = 0.0

    @property
    def error(self):
        """As of `Trial`. Cost: O(1)."""
        return float(np.sqrt(max(self.variance_before, self.variance) / len(self.outputs)))


class CertifiedMethod:
    """Outputs and steps of a whole network, none of which reads a neuron that cannot have flipped.

    A `sltrees.methods.protocol.MethodWithPairs`.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        Drawn, or about to be, for the samples.
    group : ShardGroup or sltrees.cluster.remote_group.RemoteGroup
        Its neurons.
    planes : Hyperplanes
    executor : ThreadExecutor
        That of the run.
    visit : bool, default False
        Visit all neurons first: their patterns are not those of where they stand.

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

    gram_held_as = ("array", "preconditioned", "products")
    leaves_out_silent = True

    def __init__(self, network, group, planes, executor, visit=False):
        # not the network itself: it holds the method, and memory held in a circle lingers
        self._dtype, self._width = network.dtype, network.width
        self.group, self._planes, group.executor = group, planes, executor
        self._reading = threading.Lock()  # held by who reads the weights, and while a step begins to be kept
        self._keeper_waits = False  # then readers who come stand back: a lock may be taken by the same one for ever
        n = len(planes.X)
        self._scale = planes.norms / np.sqrt(network.width)  # from sums over pairs to f, and from g to beta
        self._trial = None  # the step under review, if there is one
        self._keeps = False  # whether it is being kept: then it is finished, whatever interrupts
        self._is_released = False  # whether the run is over
        self.kept = None
        self.n_fired, self._n_neurons = group.n_fired, group.n_neurons
        self._variance = 0.0  # of the rounding error of the outputs, summed over samples
        self._outputs, self._jacobian_displacement = np.zeros(n), np.zeros(n)
        if visit:
            self._visit_all()
        if visit or network.init == "gaussian" or group.moved_from_start:
            self._outputs, self._jacobian_displacement = self._sums(kept=True)

    @classmethod
    def set_up(cls, network, planes, y, executor, progress, *, ridge):
        """As of `Method`: that of the run before, where it can go on; else with near lists that are built.

        Cost: that of drawing, and O(k n d) for k materialised neurons whose lists are not known.
        """
        before = network.state.method
        if before is not None:
            with before.standing():  # whatever its run left to be done is done
                pass
        move_to(network, executor)
        # neurons that are here go to a cluster as they stand; rows and lists stay behind
        before = network.state.method if network.state.neurons.cluster is executor.cluster else None
        if before is not None and before.serves(planes.X, ridge):
            network.state = draw(network, planes, None, executor).state  # no neuron: for which samples it is drawn
            return before._going_on(executor)
        if before is not None and before.serves_first(planes.X, ridge):
            try:
                return before._going_on(executor)._extended(network, planes, progress)
            finally:
                before.release()  # who has it still finds it as it was
        write_down(network)
        shift_for(network, planes.X)  # warns where the shift has to be lowered
        skin, lists = take_near(network, planes.samples) or (choose_skin(network, planes, y), None)
        draw_here = functools.partial(ShardGroup.drawn, lists=lists)
        group, state = executor.place(draw_here, network, planes, skin, ridge, progress)
        method = cls(network, group, planes, executor)
        method._install(network, state)
        if group.nbytes > FINDINGS_KEPT:
            return_freed_memory()
        return method

    def _going_on(self, executor):
        """Begin a run where the one before ended; returns the method itself."""
        self.__dict__.update(_is_released=False, kept=None)
        self.group.executor = executor
        return self

    def _extended(self, network, planes, progress):
        """A method for these samples and further ones behind them, that goes on where this one stands.

        This one stays as it is, so that whatever interrupts leaves the network with it.
        """
        group, state = self.group.extended(network, planes, progress)
        method = CertifiedMethod(network, group, planes, self.group.executor, visit=True)
        method._install(network, state)
        return method

    def _visit_all(self):
        """Visit all neurons where they stand: after it every pattern and certificate is that of the weights.

        Cost: O(active pairs d + candidates d).
        """
        nothing = np.zeros(len(self._scale))
        self.try_step(types.SimpleNamespace(g=nothing, shrink=1.0, change=nothing, pushed=nothing, size=0.0), True)
        self._begin_keeping()
        self._apply()
        self.kept = None  # that was no step

    def _install(self, network, state):
        """The rows are what tells the network's displacements from now on; all else is as in a state."""
        network.state = state.changed(neurons=self.group.implied(), method=self)

    def serves(self, X, ridge):
        """Whether a run on these samples can go on with these rows. Cost: O(n d)."""
        return self.group.ridge == ridge and np.array_equal(X, self._planes.X)

    def serves_first(self, X, ridge):
        """Whether these rows serve the first of these samples, so that they can be extended. Cost: O(n d).

        With a ridge, only once the clock knows what shrinking counts: extending sets failure times by it.
        """
        longer = len(X) > len(self._scale) and (self.group.trajectory.exchange > 0 or not ridge)
        return longer and self.serves(X[: len(self._scale)], ridge)

    @staticmethod
    def bytes_needed(network, planes, y, neurons, n_threads=1, *, alpha=0.0, before=None):
        """As of `Method`: lists, certificates, findings of a step. Cost: that of `Population`, once for the samples."""
        itemsize = network.dtype.itemsize
        growth = growth_of_pairs(len(y))
        entry, pairs = 4 + itemsize, growth * network.width * float(planes.firing.sum())
        skin = choose_skin(network, planes, y)
        strayed = strayed_at_most(network, planes, y, skin, alpha)
        listed = growth * planes.population.near_per_draw(skin) * entry
        written = any(isinstance(shard.displacement, np.ndarray) for shard in network.state.neurons.shards)
        shared = 1 if written else network.copies
        # pools are copied when they grow, one of a shard at a time by each thread
        copied = min(1.0, n_threads * NEURONS_OF_SHARD / max(neurons, 1.0))
        # lists of strayed neurons are their own, with as much again in holes before a pool is closed
        listed_in_all = listed * ((1.0 - strayed) / shared + 2.0 * strayed)
        vectors = planes.directions.shape[1] * itemsize
        vectors_in_all = vectors * (1.125 * strayed + 2.0 * (shared < network.copies))
        # active lists have room for half as many again; lists of neurons that stray move to where there is more
        held = neurons * (74.0 + 2 * entry + listed_in_all + vectors_in_all)
        held += pairs * entry * (1.5 + 0.8 * strayed)
        pools = neurons * listed, pairs * entry
        held += copied * strayed * (1.5 * max(pools) + 0.5 * min(pools))  # what was copied goes a little later
        # what fires as it was drawn, before the rows have it, and what is left unused among it
        drawn = pairs * (4.0 / shared + 1.0)
        findings = neurons * strayed * (vectors + listed) + pairs * (0.8 + 3.2 * strayed)
        needed = held + max(drawn, min(findings, 2.0 * FINDINGS_KEPT)) + min(60.0 * neurons, float(1 << 28))
        if before is not None:  # of what there is, half may be holes before a pool is closed
            needed = max(needed - 0.5 * before.bytes_resident, 0.5 * before.bytes_resident)
        return needed

    # ------------------------------------------------------------------ where training stands

    @property
    def outputs(self):
        """As of `Method`: carried along, corrected for flips. Cost: O(1)."""
        return self._outputs

    @property
    def jacobian_displacement(self):
        """As of `Method`: carried along, if there is a ridge. Cost: O(1)."""
        return self._jacobian_displacement

    @property
    def error(self):
        """As of `Method`. Cost: O(1)."""
        return float(np.sqrt(self._variance / len(self._outputs)))

    @property
    def is_worn(self):
        """As of `Method`: coefficients have grown so large that weights implied by them lose digits. Cost: O(n)."""
        largest = float(np.abs(self.group.trajectory.position.coefficient).max(initial=0.0))
        return largest * np.finfo(self._dtype).eps > WORN

    def synchronise(self, trial=None):
        """As of `Method`. Sets: outputs, jacobian_displacement, error; those of the trial. Cost: O(active pairs d)."""
        if self._variance > 0:
            outputs, moved = self._sums(kept=True)
            self.__dict__.update(_outputs=outputs, _jacobian_displacement=moved, _variance=0.0)
        if trial is not None:
            outputs, moved = self._sums(kept=False)
            trial.outputs = outputs + trial.outputs_of_flips
            trial.jacobian_displacement = moved + trial.moved_by_flips
            # keeping the step rounds the c_ri that change: outputs are exact after that only where none does
            trial.variance, trial.variance_before = trial.variance_of_flips, self._variance

    def _sums(self, *, kept):
        """f and J D summed over the shards, after the last step kept or that under review, but for its flips.

        J D is 0 where there is no ridge, and nobody asks for it.
        """
        n = len(self._scale)
        sums = FixedSum(self.group.outputs(kept=kept)).total(np.zeros(2 * n))
        moved = sums[n:] if self.group.ridge else np.zeros(n)
        return sums[:n] * self._scale, moved * self._scale

    # ------------------------------------------------------------------ a step

    def try_step(self, step, visit_all=False):
        """As of `Method`, without reading a neuron whose certificate holds, unless `visit_all`.

        Parameters
        ----------
        step : object with g, shrink, change, pushed, size
            `change` = J p is the linear change of f, `pushed` = G g, each of shape (n,); `size` tells how large the
            terms are of which G g is made.
        visit_all : bool, default False

        Notes
        -----
        Cost: O(n) for each stamp, and for each neuron visited O((fired + candidates) d).
        """
        self._trial = trial = CertifiedTrial()
        group, n = self.group, len(self._scale)
        trial.counts, nodes = group.review(
            group.trajectory.plan(step.g * self._scale, step.shrink, ridge=group.ridge, visit_all=visit_all)
        )
        sums = FixedSum(nodes).total(np.zeros(2 * n + 1))
        trial.outputs_of_flips = sums[:n] * self._scale
        trial.moved_by_flips = sums[n + 1 :] * self._scale if group.ridge else np.zeros(n)
        trial.outputs = self._outputs + step.change + trial.outputs_of_flips
        trial.jacobian_displacement = step.shrink * self._jacobian_displacement - step.pushed + trial.moved_by_flips
        trial.variance_of_flips = self._rounding_of_flips(trial.counts.flips, float(sums[n]))
        trial.variance_before = self._variance
        trial.variance = self._variance + trial.variance_of_flips + self._rounding_of_step(step)
        return trial

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
        _, position, _ = self.group.trajectory.trial
        terms = per_neuron * float(np.mean(np.square(position.coefficient)))
        floor = self.n_fired * (eps * self._scale.max()) ** 2 * ((1.0 + self._planes.shift) ** 2 + per_neuron * terms)
        return floor + (eps * step.size) ** 2

    def drop(self, trial):
        """As of `Method`: nothing of the step was applied. Cost: O(shards)."""
        self.group.drop()
        self._trial = None

    def keep(self, trial, gram, seconds):
        """As of `Method`. Cost: O(visited + flips fired), and where there were flips O(n^2)."""
        self._begin_keeping()
        if trial.counts.flips:
            with timed(seconds, "gram"):
                # what flips change is told by what was found, which applying it forgets
                if gram.pairs is not None:
                    self.group.count_flips(gram.pairs, trial.counts.flips)
                gram.refresh(self.group.executor)
        with timed(seconds, "step"):
            self._apply()

    def _begin_keeping(self):
        """From here on the step under review is kept, whatever interrupts. Waits for who reads the weights."""
        self._keeper_waits = True
        try:
            with self._reading:
                self._keeps = True
        finally:
            self._keeper_waits = False

    def _apply(self):
        """Have the step kept by all that have not kept it yet; then it is done. May be called again."""
        trial = self._trial
        n_fired = self.group.keep(trial.counts.visited > 0)
        # in one statement, so that Ctrl-C cannot fall between
        self.__dict__.update(
            _outputs=trial.outputs,
            _jacobian_displacement=trial.jacobian_displacement,
            _variance=trial.variance,
            n_fired=n_fired,
            _trial=None,
            _keeps=False,
            kept=trial,
        )

    @contextlib.contextmanager
    def standing(self):
        """Inside, no step is applied, so that other threads may read the weights; waits while one is.

        A step that was being kept when its run came to an end for want of memory is finished first.
        """
        while True:
            if not self._keeper_waits:
                with self._reading:
                    if self._keeps and self._is_released:
                        with self._inline():
                            self._apply()
                    if not self._keeps:
                        yield
                        return
            time.sleep(1e-3)

    @contextlib.contextmanager
    def _inline(self):
        """Inside, the calling thread works on the neurons: there is no run that does."""
        with InlineExecutor() as self.group.executor:
            try:
                yield
            finally:
                self.group.executor = None

    def abandon(self):
        """As of `Method`. Cost: O(shards), or that of keeping the step."""
        if self._keeps:
            self._apply()
        elif self._trial is not None:
            self.drop(self._trial)

    def release(self):
        """As of `Method`; the network keeps the rows. Cost: O(shards)."""
        self._is_released = True
        if self._trial is not None and not self._keeps:
            self.drop(self._trial)
        self.group.executor = None
        self.group.forget_fired_pairs()

    def count_pairs(self, gram):
        """As of `Method`. Cost: O(sum over neurons of fired^2 + n^2)."""
        if gram.pairs is not None:
            self.group.count_pairs(gram.pairs)
        gram.refresh(self.group.executor)

    # ------------------------------------------------------------------ what others may ask for

    @property
    def bytes_resident(self):
        """As of `Method`: lists, certificates, initial weights. Cost: O(shards)."""
        return self.group.nbytes

    def gram_product(self, v):
        """As of `MethodWithProducts`, from the fired pairs. Cost: O(fired pairs d)."""
        return FixedSum(self.group.product(v)).total(np.zeros(len(v))) / self._width

    def gram_product_by_pairs(self, v):
        """As of `MethodWithPairs`. Cost: O(fired pairs d)."""
        return FixedSum(self.group.product_by_pairs(v)).total(np.zeros(len(v))) / self._width

    def pair_columns(self, samples):
        """As of `MethodWithPairs`. Cost: that of `count_columns`."""
        return self.group.pair_columns(samples)

    def gram_diagonal(self):
        """As of `MethodWithProducts`. Cost: O(fired pairs)."""
        return self.group.diagonal() * self._planes.norms**2 / self._width

    def _check(self, check_rows):
        """Assert every invariant between steps: of the rows (`check_rows`), and that sums carried along are theirs.

        Cost: O(k n d).
        """
        assert self._trial is None
        assert not self._keeps
        with self._inline() if self._is_released else contextlib.nullcontext():
            self.group.check(check_rows)
            outputs, moved = self._sums(kept=True)
        assert self.n_fired == self.group.n_fired
        size = np.linalg.norm(self._outputs) + np.linalg.norm(self._jacobian_displacement) + 1.0
        # a rounding error of this standard deviation, and of sums in float64
        slack = 4.0 * np.sqrt(self._variance) + 1e-12 * size
        slack += np.sqrt(self.n_fired) * self._scale.max() * np.finfo(self._dtype).eps * (1.0 + size)
        # and of the terms that cancel in weights where coefficients are large
        per_neuron = self.n_fired / max(1, self._n_neurons)
        terms = np.sqrt(self.n_fired * per_neuron * np.mean(np.square(self.group.trajectory.position.coefficient)))
        slack += terms * self._scale.max() * np.finfo(self._dtype).eps
        assert np.linalg.norm(outputs - self._outputs) <= slack
        if self.group.ridge:
            assert np.linalg.norm(moved - self._jacobian_displacement) <= slack
