"""One call of `SoftmaxTrainer.fit`: runs of several networks that take turns, one network for each class.

What is lowered is the log-loss of the softmax of all outputs, and alpha |D_c|^2/2 for each of the networks. A turn is a
damped Gauss-Newton step of one of them, the others being as they are: gradient and curvature are those of the loss in
its output, and the step is kept if the loss of all falls. So each step is that of a `Run`, with all that it promises.

References
----------
Friedman, Hastie, Tibshirani, "Regularization paths for generalized linear models via coordinate descent", Journal of
Statistical Software 33 (2010): one class at a time.
"""

from __future__ import annotations

import numpy as np

from sltrees.cluster.choose import make_executor
from sltrees.cluster.messages import ClusterLostError
from sltrees.network.neurons import outputs
from sltrees.network.use import claim, frozen, standing
from sltrees.records import TrainingStatus
from sltrees.training.budget import refuse_together
from sltrees.training.interruptible import Interruptible
from sltrees.training.objective import LossOfOutputs
from sltrees.training.validation_set import ValidationSet


class Logits:
    """Raw outputs of all classes, on the same samples.

    Parameters
    ----------
    Y : ndarray of shape (n, C)
        Targets.
    offsets : ndarray of shape (C,)
        What is added to outputs.
    scale : float
        What outputs of networks are divided by.
    """

    def __init__(self, Y, offsets, scale):
        self._Y, self._scale, self.values = Y, scale, np.tile(offsets / scale, (len(Y), 1))
        self._offsets = offsets

    def put(self, c, outputs):
        """Outputs of a network. Cost: O(n)."""
        self.values[:, c] = (outputs + self._offsets[c]) / self._scale

    def show(self, loss, c):
        """Have a loss, scaled, see the others. Cost: O(n C)."""
        loss.loss.against(self.values, self._Y, c)


class LossOfLastOutputs(LossOfOutputs):
    """`LossOfOutputs` of one class that knows the outputs that it was last asked about."""

    outputs = None

    def at(self, outputs):
        """As of `SquaredError`."""
        self.outputs = outputs
        return super().at(outputs)

    def at_last(self, logits, c):
        """What the same outputs are worth beside others, as class c. Cost: O(q C)."""
        logits.show(self._loss, c)
        return super().at(self.outputs)


class ValidationSetOfClass(ValidationSet):
    """Samples held out, as one of several networks sees them, which are judged together."""

    def look(self, network, executor, iteration, objective=None):
        """As of `ValidationSet`, but that nothing is the best. Sets: rmse, mean_loss."""
        with standing(network) as state:
            found = outputs(network, state.neurons, self.X, executor)
        self.take(objective.at(found))

    def take(self, fit):
        """What outputs are worth. Sets: rmse, mean_loss."""
        self.rmse, self.mean_loss = fit.rmse, fit.mean_loss

    def judge(self, neurons, iteration):
        """These are the best after so many iterations; None: the last ones are not. Sets: best and what is of it."""
        if iteration is None:
            self._n_since_best += 1
            return
        self._n_since_best, self.best, self.best_iteration = 0, neurons, iteration
        self.best_rmse, self.best_mean_loss = self.rmse, self.mean_loss


class RunOfClasses(Interruptible):
    """One call of `fit` for the networks of all classes.

    Parameters
    ----------
    runs : list of Run
        Each with a loss `ScaledLoss(OneOfClasses(), scale)` of its own, and a `ValidationSetOfClass` of its own, if
        there is one.
    Y : ndarray of shape (n, C)
    losses_of_validation : list of LossOfLastOutputs or None
        Each with a loss of its own.
    Y_validation : ndarray of shape (q, C) or None
    patience, keep_best
        As of `ValidationSet`, of all classes together.
    """

    def __init__(self, runs, Y, losses_of_validation=None, Y_validation=None, *, patience=None, keep_best=True):
        self.runs, self.trainer = runs, runs[0].trainer
        offsets = np.array([run.objective.offset for run in runs])
        scale = self.trainer.loss_.scale
        self.logits, self.logits_of_validation = Logits(Y, offsets, scale), None
        self.ends = [None] * len(runs)  # of those that have no step any more
        self.is_under_way = False
        self.patience, self.keep_best = patience, keep_best
        self.best_loss, self.n_since_best = None, 0
        if losses_of_validation is not None:
            self.logits_of_validation = Logits(Y_validation, offsets, scale)
            for c, (run, objective) in enumerate(zip(runs, losses_of_validation, strict=True)):
                run.objective_of_validation = objective
                objective.outputs = np.zeros(len(Y_validation))
                objective.at_last(self.logits_of_validation, c)
        for c, run in enumerate(runs):
            run.n_together = len(runs)
            self.show(c)

    def __bool__(self):
        """Whether it still trains: networks are in training by all of it, and no more in one statement."""
        return self.is_under_way

    def fit(self):
        """As of `Run`: a list of results, of one status."""
        self.is_under_way = True
        try:
            for run in self.runs:
                claim(run.trainer.network, self)
            with make_executor(self.trainer.executor, self.trainer.n_threads) as executor:
                for run in self.runs:
                    run.executor = executor
                status = self.train()
        except KeyboardInterrupt:
            status = TrainingStatus.INTERRUPTED
        finally:
            self.is_under_way = False
            for run in self.runs:
                run.model = run.gram = run.method = None
        return [run.end(status) for run in self.runs]

    def release(self):
        """As of `Interruptible`."""
        for run in self.runs:
            run.release()

    def begin(self):
        """Have all networks drawn, and all know of each other. Sets: all that steps need."""
        for run in self.runs:
            run.plan()
        refuse_together([run.budget for run in self.runs])  # before any is drawn
        for run in self.runs:
            run.set_up()
        for run in self.runs:
            run.shared = None  # its memory is that of factors from here on
        for c, run in enumerate(self.runs):
            self.put(c, run)
        for c, run in enumerate(self.runs):
            self.face(c, run)
        self.look()

    def iterate(self):
        """Turns until none of the networks has a step that is worth taking; returns the status."""
        for _ in range(self.trainer.max_iter):
            statuses = []
            for c, run in enumerate(self.runs):
                statuses.append(self.ends[c] or self.turn(c, run))
                if statuses[-1] is TrainingStatus.STOPPED:
                    break
            self.look()
            if statuses[-1] is TrainingStatus.STOPPED:
                return TrainingStatus.STOPPED
            if None not in statuses:
                return next((each for each in statuses if each is not TrainingStatus.CONVERGED), statuses[0])
            if self.patience is not None and self.n_since_best >= self.patience:
                return TrainingStatus.EARLY_STOPPED
        return TrainingStatus.MAX_ITER

    def turn(self, c, run):
        """A step of one network; its status, if there is none or hardly one. Sets: ends, where there is none."""
        self.face(c, run)
        if run.has_converged():
            return TrainingStatus.CONVERGED
        attempt = run.propose()
        if attempt.step is None:
            self.ends[c] = run.why_stuck()
            return self.ends[c]
        changes_little = run.changes_little(attempt.step)
        if run.is_rounding(attempt.step):
            self.ends[c] = TrainingStatus.CONVERGED if changes_little else run.why_stuck()
            return self.ends[c]
        # taken, however small: where a run is replayed all turns are iterations
        status = run.go(attempt)
        self.put(c, run)
        return TrainingStatus.CONVERGED if status is None and changes_little else status

    def put(self, c, run):
        """Let the others know the outputs of a network. Cost: O(n)."""
        self.logits.put(c, run.method.outputs)
        if self.logits_of_validation is not None:
            self.logits_of_validation.put(c, run.objective_of_validation.outputs)

    def show(self, c):
        """Have a network see the outputs of the others. Cost: O(n C)."""
        run = self.runs[c]
        self.logits.show(run.trainer.loss_, c)
        if self.logits_of_validation is not None:
            run.objective_of_validation.at_last(self.logits_of_validation, c)

    def face(self, c, run):
        """Have the state of a run be that beside the others as they are. Cost: O(n C)."""
        self.show(c)
        run.state = run.evaluate(run.method, run.state.displacement_squared)

    # ------------------------------------------------------------------ the best on the validation set

    def look(self):
        """See whether the networks are the best so far, if there is a validation set. Sets: n_since_best."""
        if self.logits_of_validation is None:
            return
        for c, run in enumerate(self.runs):
            run.validation.take(run.objective_of_validation.at_last(self.logits_of_validation, c))
        loss = self.runs[0].validation.mean_loss  # which is that of all
        is_best = self.best_loss is None or loss < self.best_loss
        self.n_since_best = 0 if is_best else self.n_since_best + 1
        if is_best:
            self.best_loss = loss
            for run in self.runs:
                run.validation.best = None  # its memory goes first
        for run in self.runs:
            neurons = frozen(run.trainer.network, run.executor) if is_best and self.keep_best else None
            run.validation.judge(neurons, len(run.report.history) if is_best else None)

    def finish(self, status):
        """Training has come to an end: back to the best networks, and states that know of each other."""
        for run in self.runs:
            run.come_to_rest(status)
        self.agree()
        for run in self.runs:
            run.let_go()
            run.measure_laziness()

    def agree(self):
        """Have all states know of each other, once those of all are known. Sets: state of each."""
        if any(run.state.residual is None or run.method is None for run in self.runs):
            return  # before the first step, or as they agreed before methods were let go
        found, restored = [], [run for run in self.runs if run.is_restored]
        for c, run in enumerate(self.runs):
            found.append(self.outputs(run, run.X) if run.is_restored else run.method.outputs)
            self.logits.put(c, found[c])
        if self.logits_of_validation is not None and len(restored) < len(self.runs):  # else it is that of the best
            self.agree_on_validation()
            for run in restored:
                run.left = None  # Ctrl-C fell between them: these are the best of none
        for c, run in enumerate(self.runs):
            self.show(c)
            run.state = run.model.state(found[c], run.state.jacobian_displacement, run.state.displacement_squared)

    def agree_on_validation(self):
        """Have all know what the networks as they stand are worth on the validation set, all of them or none."""
        for c, run in enumerate(self.runs):
            objective = run.objective_of_validation
            if run.is_restored or np.isnan(run.validation.mean_loss):  # a step was kept, and not looked at
                objective.at(self.outputs(run, run.validation.X))
            self.logits_of_validation.put(c, objective.outputs)
        for c, run in enumerate(self.runs):
            run.validation.take(run.objective_of_validation.at_last(self.logits_of_validation, c))

    def outputs(self, run, X):
        """Of a network as it stands. Cost: that of a prediction."""
        network = run.trainer.network
        with standing(network) as state:
            return outputs(network, state.neurons, X, run.executor)

    def interrupted(self, conclude=True):
        """After Ctrl-C, as of `Run`: all are settled, even after further Ctrl-C."""
        left = [run for run in self.runs if run.method is not None]
        while True:
            try:
                while left:
                    left[-1].settle(conclude)
                    left.pop()
                self.agree()
                return TrainingStatus.INTERRUPTED
            except KeyboardInterrupt:
                continue
            except ClusterLostError as error:
                return self.lost(error)

    def lost(self, error):
        """As of `Run`, of all."""
        for run in self.runs:
            run.lost(error)
        return TrainingStatus.CLUSTER_LOST
