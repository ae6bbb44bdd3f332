"""One call of `fit`: damped Gauss-Newton steps, of which only those that lower the loss are kept.

The loss never rises, but for rounding of the weights in the dtype of the network: a step that raises it is refused, and
damping raised. What an interruption leaves is the network of the last step kept, or with it a step that was being kept.
"""

from __future__ import annotations

import warnings

import numpy as np

from sltrees._memory import available_memory
from sltrees.callbacks import PrintProgress
from sltrees.cluster.choose import make_executor
from sltrees.cluster.messages import ClusterLostError
from sltrees.gram import HELD_AS
from sltrees.linalg.fixed_sums import FixedSum
from sltrees.methods.choose import METHODS
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.neurons import displacement_squared, outputs
from sltrees.network.shift import resolve_shift
from sltrees.network.use import claim, move_to, restore, write_down
from sltrees.records import Laziness, TrainingStatus, timed
from sltrees.training.budget import Budget
from sltrees.training.damping import LevenbergMarquardt
from sltrees.training.forcing import SHARE_OF_TOL, ForcingTerms
from sltrees.training.interruptible import Interruptible
from sltrees.training.making_gram import made_gram
from sltrees.training.objective import LossOfOutputs, objective_of
from sltrees.training.reporting import Attempt, Report
from sltrees.training.ridge import alpha_left_out, has_ridge, unit_of_ridge
from sltrees.training.step import LinearModel, State

# A predicted decrease of the loss below this share of it is rounding.
NEGLIGIBLE_DECREASE = 16 * np.finfo(np.float64).eps

# Outputs carried along are computed anew from the weights before their rounding error could change the decrease of the
# loss by this share.
NEGLIGIBLE_DOUBT = 0.05

# Where samples are many, a step that moves neurons by more than this share of the length of initial weights, in root
# mean square, is not tried: the linear model tells nothing there, and a trial, in which nearly every pair flips, takes
# longer than several solutions.
LONGEST_MOVE = 0.4

# Without a ridge, a loss that falls by less than this share in several steps running has reached its floor. (Minima
# often lie on kinks, where neurons start and stop firing however short the step, so the gradient need not vanish.)
FLAT_DECREASE = 1e-8
FLAT_STEPS = 3


class Run(Interruptible):
    """One call of `fit`: its state, and its steps in the order of `fit`.

    Parameters
    ----------
    trainer : NewtonTrainer
    samples : Samples
    y : ndarray of shape (n,)
    sample_weight : ndarray of shape (n,) or None
    n_samples_before : int, default 0
        So many samples, the first ones, were trained on before others joined; 0: none did.
    validation : ValidationSet, optional
    lineage : Lineage, optional
        To be written, or replayed.
    shared : SharedGram, optional
        Of runs that begin with the same firing patterns, on the same samples and weights of samples.
    """

    def __init__(
        self, trainer, samples, y, sample_weight, n_samples_before=0, validation=None, lineage=None, shared=None
    ):
        self.trainer, self.samples, self.X = trainer, samples, samples.X
        self.objective = objective_of(trainer.loss_, y, sample_weight, trainer._offset_for(n_samples_before))
        self.n_samples_before, self.validation, self.lineage = n_samples_before, validation, lineage
        self.objective_of_validation = None
        if validation is not None and self.objective.is_curved:
            trainer.loss_.refuse(np.concatenate([y, validation.y])[:, None])
            self.objective_of_validation = LossOfOutputs(trainer.loss_, validation.y, offset=self.objective.offset)
        callbacks = trainer.callbacks + ((PrintProgress(),) if trainer.verbose else ())
        self.shared = None if lineage else shared  # a record says of all factors when they were made
        self.report = Report(trainer, callbacks, lineage)
        self.method = self.gram = self.model = None
        self.attempt = None  # the iteration under way, once its step is tried
        self.restored = None  # neurons that the network is about to be given back, and their state
        self.left = None  # the state that it leaves for them
        self.before = None  # of a network that is here, and about to be trained elsewhere
        self.cluster_error = None
        self.laziness = None  # until training has come to an end
        self.state = State.unknown()
        self.n_together = 1  # runs that share the memory

    def fit(self):
        """Set up, iterate, finish; an interruption at any moment leaves the network at the last step kept."""
        network = self.trainer.network
        try:
            claim(network, self)
            with make_executor(self.trainer.executor, self.trainer.n_threads) as self.executor:
                status = self.train()
        except KeyboardInterrupt:  # while a cluster was started, or stopped, or as the last thing of all
            status = TrainingStatus.INTERRUPTED
        finally:
            if network.in_training is self:
                network.in_training = False  # by no call, see `claim`
            self.model = self.gram = self.method = None  # they hold each other, and the network its rows
        return self.end(status)

    def end(self, status):
        """The result, of which callbacks are told."""
        return self.report.end(
            status,
            self.state,
            left=self.left,
            validation=self.validation,
            cluster_error=self.cluster_error,
            laziness=self.laziness,
        )

    def begin(self):
        """As of `Interruptible`. Sets: all that steps need."""
        self.plan()
        self.set_up()

    def release(self):
        """As of `Interruptible`."""
        if self.method is not None:
            self.method.release()

    def finish(self, status):
        """Training has come to an end. Sets: state, laziness, and what `restore_best` does."""
        self.come_to_rest(status)
        self.let_go()
        self.measure_laziness()

    def come_to_rest(self, status):
        """No step follows: the network is the best that it was. Sets: state, and what `restore_best` does."""
        if self.lineage is not None:
            self.lineage.check_end(status)
        self.synchronise()
        self.restore_best()

    # ------------------------------------------------------------------ what an interruption leaves

    def interrupted(self, conclude=True):
        """After Ctrl-C: the status, once the network is that of the last step kept."""
        try:
            self.settle(conclude)
        except ClusterLostError as error:
            return self.lost(error)
        return TrainingStatus.INTERRUPTED

    def lost(self, error):
        """The cluster is gone: the status. A network that was here before is as it was. Sets: cluster_error."""
        self.cluster_error = error
        if self.before is not None:
            self.trainer.network.state = self.before
        return TrainingStatus.CLUSTER_LOST

    def settle(self, conclude):
        """After Ctrl-C: take back a step that was not kept, even after further Ctrl-C.

        Sets: state, and with `conclude` history. May be called again.
        """
        while self.method is not None:
            try:
                if self.is_restored:
                    self.state = self.restored[1]  # the interruption fell between restoring and saying so
                    return
                self.restored = self.left = None
                self.method.abandon()
                if self.attempt is not None:
                    self.settle_attempt(self.attempt)
                if self.state.residual is not None:
                    self.synchronise()
                if self.attempt is not None and conclude:
                    self.conclude_settled(self.attempt)
                self.method.release()
                return
            except KeyboardInterrupt:
                continue

    def settle_attempt(self, attempt):
        """Make the state that after the step, if the network is there. Sets: state, validation."""
        if attempt.trial is None or self.method.kept is not attempt.trial:
            if self.validation is not None:
                self.validation.rmse, self.validation.mean_loss = attempt.validation_rmse, attempt.validation_loss
        elif not attempt.is_kept:  # the interruption fell between keeping the step and saying so
            self.state, attempt.is_kept = attempt.after, True

    def conclude_settled(self, attempt):
        """Have the iteration in the history, unless its step was cut off. Sets: attempt, history."""
        if attempt.is_refused:
            attempt.before = self.state
        if attempt.is_refused or attempt.is_kept:
            self.conclude(attempt)
        self.attempt = None

    # ------------------------------------------------------------------ the set-up

    def plan(self):
        """Before anything else: nothing has happened if there is too little memory. Sets: planes, budget, held_as."""
        network = self.trainer.network
        # the shift may be lowered, with a warning, when the network is drawn: not twice
        shift = network.shift_ if network.shift_ is not None else _quiet_shift(network, len(self.X))
        self.planes = Hyperplanes(self.samples, shift)
        self.held_as = self.choose_holding()

    def set_up(self):
        """Draw the network, build the method, form G, all as planned. Sets: all that steps need."""
        trainer, network, held_as = self.trainer, self.trainer.network, self.held_as
        if self.lineage is not None:
            self.lineage.begin(network, held_as, self.executor)
        if self.executor.cluster is not None:
            move_to(network, self.executor)  # from another cluster
            if network.state.neurons.cluster is None:
                self.before = network.state
        self.set_up_method(self.report.progress)
        trainer._samples = self.X, self.objective.y, self.objective.sample_weight
        trainer.offset_ = self.objective.offset
        trainer.n_samples_ = len(self.X)
        trainer.n_validation_samples_ = 0 if self.validation is None else len(self.validation.y)
        if held_as != "array" or available_memory() < 2 * HELD_AS[held_as].bytes_needed(len(self.X)):
            self.shared = None
        self.gram = self.counted_gram(held_as) if self.shared is None else self.shared.fork(self.counted_gram)
        self.unit = unit_of_ridge(
            network, self.samples, self.objective, self.gram.trace, self.executor, self.n_samples_before
        )
        trainer.alpha_ = self.choose_alpha()
        self.model = LinearModel(self.objective, self.gram, trainer.alpha_ * self.unit)
        first_damping = 0.0 if self.n_samples_before else trainer.first_damping
        self.rule = LevenbergMarquardt(len(self.X), first_damping)
        if self.shared is not None and not self.objective.is_curved:
            self.shared.factorise(self.gram, self.model.alpha + self.rule.damping * self.unit, self.executor)
        self.forcing = ForcingTerms(trainer.forcing)
        self.pulled = np.zeros(len(self.X))  # where no neuron flips, displacements are -J^T of this, scaled
        self.flat_steps = 0  # steps kept in a row that hardly lowered the loss
        self.state = self.evaluate(self.method, self.displacement_squared(network.state.neurons))
        # other losses are of targets in any unit: of small ones all predictions are near
        unit = min(1.0, float(np.std(self.objective.y))) if self.objective.is_curved else 1.0
        self.small_rmse = unit * trainer.tol
        # a loss that may be negative says nothing of how far it fell: that of the constant beside it does
        self.loss_of_constant = self.objective.at(np.zeros(len(self.X))).loss
        self.validate(0)
        self.report.begin()

    def choose_holding(self):
        """How G is held; MemoryError if there is no room, for this run alone. Sets: budget."""
        trainer = self.trainer
        self.budget = Budget(
            trainer.network,
            trainer.method,
            self.planes,
            self.objective.targets,
            self.executor,
            alpha=trainer.alpha,
            max_memory=trainer.max_memory,
            max_gram=trainer.max_gram,
            forcing=trainer.forcing,
            validation=self.validation,
            lineage=self.lineage,
            n_together=self.n_together,
        )
        return self.budget.choose_holding()

    def counted_gram(self, held_as="array"):
        """G where training begins."""
        gram = self.make_gram(held_as)
        self.method.count_pairs(gram)
        return gram

    def make_gram(self, held_as):
        """G, scaled by the weights of the samples; nothing is counted yet."""
        return made_gram(held_as, self.objective, self.X, self.trainer.network.width, lambda: self.method)

    def choose_alpha(self):
        """The ridge relative to its unit."""
        trainer, objective = self.trainer, self.objective
        if trainer.alpha != "loo":
            return trainer.alpha
        if self.n_samples_before and getattr(trainer, "alpha_", None) is not None:
            return trainer.alpha_  # samples joined: the loss stays the same but for them
        targets = objective.y - self.method.outputs + self.method.jacobian_displacement
        weights = objective.weights if objective.is_weighted else None
        return alpha_left_out(
            objective.unscaled_matrix(self.gram.matrix), targets[:, None], self.executor, weights=weights
        )

    def set_up_method(self, progress):
        """Draw the network, or take it as it stands, and build what the method needs. Sets: method."""
        trainer = self.trainer
        self.method = METHODS[trainer.method].set_up(
            trainer.network,
            self.planes,
            self.objective.targets,
            self.executor,
            progress,
            ridge=has_ridge(trainer.alpha),
        )

    def begin_anew(self):
        """Go on from the weights written down, with coefficients of zero. Sets: method, gram, state."""
        self.method.release()
        self.method = None
        write_down(self.trainer.network)  # its lists go before new ones come
        self.set_up_method(lambda stage: None)
        self.method.count_pairs(self.gram)
        self.state = self.evaluate(self.method, self.displacement_squared(self.trainer.network.state.neurons))

    # ------------------------------------------------------------------ where training stands

    def displacement_squared(self, neurons):
        """|D|^2 if there is a ridge, from the weights; steps carry it along by its recurrence, and read none."""
        return displacement_squared(neurons, self.executor) if self.model.alpha else 0.0

    def evaluate(self, where, displacement_squared):
        """Residual and loss where a method or a trial stands: a `State`."""
        jacobian_displacement = where.jacobian_displacement if self.model.alpha else None
        return self.model.state(where.outputs, jacobian_displacement, displacement_squared)

    def synchronise(self):
        """Make residual and loss those of the weights as they are, where they were carried along. Sets: state."""
        if self.method.error > 0:
            self.method.synchronise()
            self.state = self.evaluate(self.method, self.state.displacement_squared)

    def validate(self, iteration):
        """See what the network makes of the validation set, if there is one, after so many iterations."""
        if self.validation is not None:
            self.validation.look(self.trainer.network, self.executor, iteration, self.objective_of_validation)

    def restore_best(self):
        """Give the network the best weights on the validation set, if they are not the last. Sets: state."""
        network, best = self.trainer.network, None if self.validation is None else self.validation.best
        if best is None or self.validation.is_best:
            return
        # all there is to compute comes first, so that Ctrl-C finds the network and its state as they were or restored
        found = outputs(network, best, self.X, self.executor)
        state = self.model.state(found, None, self.displacement_squared(best))
        self.restored, self.left = (best, state), self.state
        restore(network, best)
        self.state = state

    @property
    def is_restored(self):
        """Whether the network was given back the best weights."""
        return self.restored is not None and self.trainer.network.state.neurons is self.restored[0]

    def let_go(self):
        """Let go of what only steps need: nothing is left to settle. Sets: method, gram, model."""
        method = self.method
        self.model = self.gram = self.method = None  # first: who interrupts what follows finds nothing to settle
        try:
            method.release()
        except KeyboardInterrupt:
            method.release()
            raise

    def measure_laziness(self):
        """See how far the neurons have moved since they were drawn. Sets: laziness."""
        network = self.trainer.network
        nodes, largest = network.state.neurons.movement(self.planes, self.executor)
        squares, fired, ceased, begun = FixedSum(nodes).total(np.zeros(4)).tolist()
        move_rms, fired = float(np.sqrt(squares / network.width)), max(fired, 1.0)  # where none fires, none moves
        self.laziness = Laziness(network.width, move_rms, largest, ceased / fired, begun / fired)

    # ------------------------------------------------------------------ iterations

    def iterate(self):
        """Newton steps until one of the statuses applies; returns it."""
        for _ in range(self.trainer.max_iter):
            if self.has_converged():
                return TrainingStatus.CONVERGED
            attempt = self.propose()
            if attempt.step is None:
                return self.why_stuck()
            if self.changes_little(attempt.step):
                return TrainingStatus.CONVERGED
            if self.is_rounding(attempt.step):
                return self.why_stuck()
            status = self.go(attempt)
            if status is not None:
                return status
        return TrainingStatus.CONVERGED if self.has_converged() else TrainingStatus.MAX_ITER

    def propose(self):
        """An `Attempt` with its step, which is None where there is none."""
        attempt = Attempt(len(self.report.history), self.state, self.method, self.gram, self.validation)
        attempt.step = self.solve(attempt.seconds)
        return attempt

    def changes_little(self, step):
        """Whether the minimum is so near that no step is worth taking."""
        # with lam <= alpha a step goes at least half of the way to the minimum of the model
        change_rms = step.change_rms + step.residual_rms  # of the exact step, at most
        return self.has_minimum and step.damping <= self.trainer.alpha_ and change_rms <= self.trainer.tol

    def is_rounding(self, step):
        """Whether all that a step promises is rounding."""
        return step.predicted_decrease <= NEGLIGIBLE_DECREASE * self.state.magnitude

    def go(self, attempt):
        """Try a step, and tell of it; the status, if it was the last one."""
        self.take(attempt)
        if self.method.is_worn:
            self.begin_anew()
        if self.report.tell():
            return TrainingStatus.STOPPED
        if self.validation is not None and self.validation.is_hopeless:
            return TrainingStatus.EARLY_STOPPED
        if self.flat_steps >= FLAT_STEPS and self.state.rmse > self.trainer.tol:
            return TrainingStatus.CONVERGED if self.has_minimum else self.why_stuck()
        return None

    @property
    def has_minimum(self):
        """Whether what is lowered has a minimum above 0: it has a ridge, or is another loss than squared errors."""
        return bool(self.model.alpha) or self.objective.is_curved

    def has_converged(self):
        """Whether the training RMSE is at most tol, also as computed from the weights. Sets: state."""
        if self.state.rmse <= self.small_rmse:
            self.synchronise()  # as a rule the last thing to do
        return self.state.rmse <= self.small_rmse

    def solve(self, seconds):
        """The step at the present damping, or at the least at which it can be computed; None where there is none."""
        longest = np.sqrt(float(np.finfo(self.trainer.network.dtype).max)) / 1e3  # beyond it products overflow
        raise_damping = self.rule.refuse
        if self.held_as == "preconditioned" and self.trainer.forcing != 0:  # 0: steps are those of dense Gauss-Newton
            size = self.X.shape[1] * self.trainer.network.state.neurons.n_neurons
            longest, raise_damping = min(longest, LONGEST_MOVE * np.sqrt(size)), self.rule.shorten
        with timed(seconds, "solve"):
            while not self.rule.exhausted:
                step = self.step_at(self.rule.damping, longest)
                if step is not None and step.length <= longest:
                    return step
                raise_damping()
        return None

    def step_at(self, damping, longest):
        """Solve for the step at one damping; None if G + c I is not positive definite. It is rough if too long."""
        c, right = self.model.system(self.state, damping * self.unit)
        floor = SHARE_OF_TOL * self.trainer.tol * np.sqrt(self.objective.total_weight)
        forcing = self.forcing.of(self.model.value(self.state, damping * self.unit), floor)
        forcing = self.model.up_to(forcing, longest, self.state, damping * self.unit)
        # without flips, and where the ridge has its minimum, this is the solution
        start = self.model.pull(c) * self.pulled if self.model.alpha else None
        system = c, right, self.executor, forcing, start, self.state.curvature
        # a lineage recalls the solution where it is replayed
        g = self.gram.solve(*system) if self.lineage is None else self.lineage.solve(self.gram, *system)
        return None if g is None else self.model.step(self.state, c, g, damping)

    def take(self, attempt):
        """Try a step; keep it if the loss falls, else drop it. Sets: state, gram, rule, flat_steps, history."""
        self.attempt = attempt
        self.judge(attempt)
        if attempt.lowers_loss:
            self.keep(attempt)
        else:
            self.drop(attempt)
        self.conclude(attempt)

    def judge(self, attempt):
        """Try the step, and see what it leads to. Sets: state, if it was carried along for too long."""
        step, seconds = attempt.step, attempt.seconds
        with timed(seconds, "step"):
            trial = attempt.trial = self.method.try_step(step)
        with timed(seconds, "outputs"):
            before, after = attempt.before, self.evaluate(trial, step.displacement_squared)
            # rounding of the outputs that were carried along must not decide
            doubt = self.objective.loss_error(trial.error, before, after)
            if doubt > NEGLIGIBLE_DOUBT * abs(before.loss - after.loss):
                self.method.synchronise(trial)
                attempt.before = self.state = self.evaluate(self.method, before.displacement_squared)
                after = self.evaluate(trial, step.displacement_squared)
        attempt.judge(after)

    def keep(self, attempt):
        """Keep the step that was tried. Sets: state, gram, validation."""
        if self.validation is not None:
            self.validation.rmse = self.validation.mean_loss = float("nan")  # until it is known
        self.method.keep(attempt.trial, self.gram, attempt.seconds)
        self.state, attempt.is_kept = attempt.after, True
        if self.validation is not None:
            with timed(attempt.seconds, "validation"):
                self.validate(attempt.iteration + 1)

    def drop(self, attempt):
        """Drop the step that was tried. Sets: state, if it was carried along."""
        with timed(attempt.seconds, "step"):
            self.method.drop(attempt.trial)
        with timed(attempt.seconds, "outputs"):
            self.synchronise()  # a refusal is rare: make sure of where it leaves us
        attempt.before = self.state

    def conclude(self, attempt):
        """The iteration is over; may be called again. Sets: rule, flat_steps, history, attempt."""
        if attempt.lowers_loss:
            fallen, share = attempt.before.loss - attempt.after.loss, FLAT_DECREASE
            if self.has_minimum:
                share = self.trainer.tol
            below = self.loss_of_constant - attempt.after.loss
            whole = below if self.objective.is_curved else attempt.before.loss
            self.flat_steps = self.flat_steps + 1 if fallen <= share * whole else 0
            self.rule.accept(attempt.ratio)
            self.forcing.took(attempt.step.decrease)
            self.pulled = attempt.step.shrink * self.pulled + attempt.step.scaled_g
        else:
            self.rule.refuse()
        record = attempt.record(self.method, self.gram, self.executor.n_threads, self.report.seconds_elapsed)
        self.report.add(record, self.gram)
        self.attempt = None

    def why_stuck(self):
        """No step lowers the loss: because G is singular, or for another reason."""
        return TrainingStatus.SINGULAR if self.gram.is_singular(self.executor) else TrainingStatus.STALLED


def _quiet_shift(network, n_samples):
    """The shift that `initialize` will choose, without its warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return resolve_shift(network.shift, network.width, n_samples)
