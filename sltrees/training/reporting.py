"""What a run tells while it goes on and when it ends: iterations, history, clocks, callbacks, the result."""

from __future__ import annotations

import time

from sltrees.records import MESSAGES, PHASES, RIDGE_MESSAGE, IterationRecord, TrainingResult, TrainingStatus

N_STAGES = 2  # of a set-up: neurons are drawn, then what the method needs is built


class Attempt:
    """An iteration under way: a step that is tried, and what comes of it.

    Parameters
    ----------
    iteration : int
        Its number.
    state : State
        Where training stands.
    method : Method
    gram : GramSystem
    validation : ValidationSet or None

    Attributes
    ----------
    before, after : State
        Without the step, and with it.
    validation_rmse, validation_loss : float
        Without it; NaN where there is no validation set.
    seconds : dict of str to float
        By phase.
    step : Step
    trial : Trial or None
        That of the step; None until it was tried.
    lowers_loss : bool
    ratio : float
        Of the actual to the predicted decrease of the loss.
    is_kept : bool
        Whether it is known that the step was kept.
    """

    def __init__(self, iteration, state, method, gram, validation):
        self.iteration, self.before, self.after = iteration, state, None
        self.validation_rmse = float("nan") if validation is None else validation.rmse
        self.validation_loss = float("nan") if validation is None else validation.mean_loss
        self.seconds = dict.fromkeys(PHASES if validation is not None else PHASES[:-1], 0.0)
        self._n_fired = method.n_fired
        self._solved_before = gram.n_cg_steps, gram.n_factorisations
        self.step = self.trial = None
        self.lowers_loss, self.ratio = False, float("nan")
        self.is_kept = False

    def judge(self, after):
        """See what the step is worth that leads there. Sets: after, ratio, lowers_loss. Cost: O(1)."""
        self.ratio = (self.before.loss - after.loss) / self.step.predicted_decrease
        self.lowers_loss = bool(after.loss < self.before.loss)  # False also for NaN
        self.after = after

    @property
    def is_refused(self):
        """Whether the step is one to be dropped, not only one that was cut off."""
        return self.after is not None and not self.lowers_loss

    def record(self, method, gram, n_threads, seconds_elapsed):
        """The record of the iteration, an IterationRecord. Cost: that of `bytes_resident`."""
        counts = self.trial.counts
        return IterationRecord(
            iteration=self.iteration,
            rmse=self.before.rmse,
            loss=self.before.loss,
            validation_rmse=self.validation_rmse,
            damping=self.step.damping,
            accepted=self.lowers_loss,
            gain_ratio=self.ratio,
            fired_pairs=self._n_fired,
            reported_neurons=counts.reported,
            cleared_neurons=counts.cleared,
            visited_neurons=counts.visited,
            candidates=counts.candidates,
            flips=counts.flips,
            rebuilt_lists=counts.rebuilt,
            cg_steps=gram.n_cg_steps - self._solved_before[0],
            refactorings=gram.n_factorisations - self._solved_before[1],
            bytes_resident=method.bytes_resident + gram.bytes_needed(len(self.before.residual), n_threads),
            seconds=self.seconds,
            seconds_elapsed=seconds_elapsed,
            mean_loss=self.before.mean_loss,
            validation_loss=self.validation_loss,
        )


class Report:
    """The history of a run, and who is told of it.

    Parameters
    ----------
    trainer : NewtonTrainer
        What callbacks are given.
    callbacks : sequence of sltrees.callbacks.Callback
    lineage : Lineage, optional
        To be told of iterations, too.

    Attributes
    ----------
    history : list of IterationRecord
    seconds_setup : float
    """

    def __init__(self, trainer, callbacks, lineage=None):
        self.trainer, self._callbacks, self._lineage = trainer, callbacks, lineage
        self.history = []
        self._started = time.perf_counter()
        self.seconds_setup = 0.0

    @property
    def seconds_elapsed(self):
        """Seconds since the run began; those between the parts of one that was cut off are left out."""
        return time.perf_counter() - self._started

    def progress(self, stage):
        """A function of the parts of a stage of the set-up that are done, and of all its parts."""

        def report(done, total):
            for callback in self._callbacks:
                callback.on_setup(self.trainer, stage * total + done, N_STAGES * total)

        return report

    def begin(self):
        """The set-up is over, and iterations begin. Sets: seconds_setup."""
        self.seconds_setup = self.seconds_elapsed
        for callback in self._callbacks:
            callback.on_start(self.trainer)

    def add(self, record, gram):
        """An iteration is over; may be called again. Sets: history, and the clock where a replay ends."""
        if record.iteration < len(self.history):
            return
        if self._lineage is not None:
            replayed = self._lineage.replaying
            record = self._lineage.append(record, gram)
            if replayed and not self._lineage.replaying:  # the time between is not the run's
                self._started = time.perf_counter() - record.seconds_elapsed
        self.history.append(record)

    def tell(self):
        """Tell callbacks of the last iteration; True if one of them asks to stop."""
        asked = [callback.on_iteration(self.trainer, self.history[-1]) for callback in self._callbacks]
        return any(asked)

    def end(self, status, state, *, left=None, validation=None, cluster_error=None, laziness=None):
        """The run is over: its result, of which callbacks are told.

        Parameters
        ----------
        status : TrainingStatus
        state : State
            That of the network.
        left : State, optional
            That which it was taken back from, to the best weights on the validation set.
        validation : ValidationSet, optional
        cluster_error : ClusterLostError, optional
        laziness : Laziness, optional

        Returns
        -------
        TrainingResult
        """
        last, message = state if left is None else left, MESSAGES[status]
        if status is TrainingStatus.CONVERGED and last.rmse > self.trainer.tol:
            message = RIDGE_MESSAGE
        if cluster_error is not None:
            message += f": {cluster_error}"
        if left is not None:
            message += f"; given back are the weights after {validation.best_iteration} iterations, best on eval_set"
        validation_rmse = validation_loss = float("nan")
        if validation is not None and left is None:
            validation_rmse, validation_loss = validation.rmse, validation.mean_loss
        elif validation is not None:
            validation_rmse, validation_loss = validation.best_rmse, validation.best_mean_loss
        result = TrainingResult(
            status=status,
            message=message,
            n_iter=len(self.history),
            rmse=state.rmse,
            loss=state.loss,
            validation_rmse=validation_rmse,
            best_iteration=None if validation is None else validation.best_iteration,
            history=self.history,
            seconds_setup=self.seconds_setup,
            seconds=self.seconds_elapsed,
            mean_loss=state.mean_loss,
            validation_loss=validation_loss,
            laziness=laziness,
        )
        for callback in self._callbacks:
            callback.on_end(self.trainer, result)
        return result
