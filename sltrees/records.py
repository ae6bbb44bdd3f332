"""What a training run reports: one record an iteration, and the result."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import math
import time
from typing import Self


class TrainingStatus(enum.StrEnum):
    """Why training ended. Members are strings, so that ``status == "converged"`` works."""

    CONVERGED = "converged"
    SINGULAR = "singular"
    STALLED = "stalled"
    MAX_ITER = "max_iter"
    EARLY_STOPPED = "early_stopped"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    CLUSTER_LOST = "cluster_lost"

    def __repr__(self):
        return repr(self.value)


MESSAGES = {
    TrainingStatus.CONVERGED: "the training RMSE is at most tol",
    TrainingStatus.SINGULAR: (
        "no step lowers the objective further, and the Gram matrix is singular: some samples cannot be told apart or "
        "fire no neuron (duplicated rows with different targets, rows of zeros or of norms far below 1); alpha > 0 "
        "gives a well-posed problem"
    ),
    TrainingStatus.STALLED: (
        "no step lowers the objective further: rounding is reached, or the network is too narrow for these targets; "
        "try dtype float64, more width, or alpha > 0"
    ),
    TrainingStatus.MAX_ITER: "max_iter iterations were made before the training RMSE fell to tol",
    TrainingStatus.EARLY_STOPPED: "the validation RMSE did not improve in `patience` steps running",
    TrainingStatus.STOPPED: "a callback asked to stop",
    TrainingStatus.INTERRUPTED: "interrupted; the network is that of the last step taken, and fit goes on from it",
    TrainingStatus.CLUSTER_LOST: "the cluster was lost; a checkpoint can be gone on with",
}
# What `IterationRecord.seconds` tells apart.
PHASES = ("gram", "solve", "step", "outputs", "validation")


@contextlib.contextmanager
def timed(seconds, phase):
    """Add the seconds spent inside to one phase of a dict of `PHASES`."""
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[phase] += time.perf_counter() - began


# Fields of records that files of earlier versions lack.
LATER = ("mean_loss", "validation_loss")

RIDGE_MESSAGE = "the loss with its ridge is at its minimum to within tol"  # converged, with an RMSE above tol


@dataclasses.dataclass(frozen=True)
class StepCounts:
    """What finding the firing patterns after a step took.

    Attributes
    ----------
    reported : int
        Neurons whose certificate the clock reported.
    cleared : int
        Of these, neurons whose certificate holds after all, and was renewed without a look at their weights.
    visited : int
        Neurons of which weights or pairs were looked at.
    candidates : int
        (neuron, sample) pairs evaluated.
    flips : int
        Pairs that fire on one side of the step and not on the other.
    rebuilt : int
        Near lists rebuilt.
    """

    reported: int
    cleared: int
    visited: int
    candidates: int
    flips: int
    rebuilt: int

    @classmethod
    def total(cls, parts) -> Self:
        """Sum over shards."""
        columns = zip(*(dataclasses.astuple(part) for part in parts), strict=True)
        return cls(*(sum(column) for column in columns))


@dataclasses.dataclass(frozen=True)
class IterationRecord:
    """One iteration: the state before its step, and what the step did.

    Attributes
    ----------
    iteration : int
        From 0.
    rmse : float
        Root mean square of f - y before the step; of another loss than squared errors that of predictions less y.
    loss : float
        |f - y|^2/2 + alpha |D|^2/2 before the step, D = W - W(0); of another loss its sum in place of |f - y|^2/2.
    validation_rmse : float
        As `rmse`, on `eval_set`; NaN without one.
    damping : float
        lam of the step, relative to trace(G)/n.
    accepted : bool
        Whether the step was taken: a step that does not lower the loss is refused.
    gain_ratio : float
        Actual over predicted decrease of the loss; NaN where the step was not tried.
    fired_pairs : int
        (neuron, sample) pairs that fire before the step.
    reported_neurons, cleared_neurons, visited_neurons, candidates, flips, rebuilt_lists : int
        What finding the patterns after the step took, also where it was refused: see `StepCounts`. With
        method="trees" every neuron that moves is visited.
    cg_steps, refactorings : int
        Conjugate-gradient steps and factorisations of the iteration's Gram system.
    bytes_resident : int
        Bytes held for neurons and Gram matrix after the step.
    seconds : dict of str to float
        Seconds by phase: "solve" (the Gram system), "step" (finding the patterns, moving weights), "outputs"
        (computing f from the weights), "gram" (counting pairs and forming G), and with an `eval_set` "validation"
        (its outputs, and the copy of the best weights).
    seconds_elapsed : float
        Seconds from the beginning of `fit` until the step was taken or refused.
    mean_loss : float
        The loss of a sample in the mean, without the ridge, before the step: of counts and amounts half the deviance up
        to what depends on y alone, of classes the log-loss. NaN in files of earlier versions.
    validation_loss : float
        The same on `eval_set`; NaN without one.
    """

    iteration: int
    rmse: float
    loss: float
    validation_rmse: float
    damping: float
    accepted: bool
    gain_ratio: float
    fired_pairs: int
    reported_neurons: int
    cleared_neurons: int
    visited_neurons: int
    candidates: int
    flips: int
    rebuilt_lists: int
    cg_steps: int
    refactorings: int
    bytes_resident: int
    seconds: dict[str, float]
    seconds_elapsed: float
    mean_loss: float = float("nan")
    validation_loss: float = float("nan")


# A run is lazy if weights moved by at most this share of their length, in root mean square over all neurons, and if at
# most so many pairs flipped for each that fired at W(0). See docs/guide/many_samples.md for what that means.
LAZY_MOVE = 0.05
LAZY_FLIPS = 0.1


@dataclasses.dataclass(frozen=True)
class Laziness:
    """How far training has moved the weights since they were drawn: whether the network learned as a kernel does.

    Attributes
    ----------
    width : int
        m.
    move_rms, move_max : float
        |w - w(0)| / |w(0)|, in root mean square over all m neurons, those included that did not move; and the largest.
    ceased, begun : float
        (neuron, sample) pairs that fired at W(0) and do not fire now, and pairs that fire now and did not, each as a
        share of those that fired at W(0).

    Notes
    -----
    Outputs are linear in the weights but for pairs that flip. So in the lazy limit training is kernel ridge regression
    with the Gram matrix at W(0). A run is called lazy if ``move_rms <= 0.05`` and ``ceased + begun <= 0.1``: in what
    was tried, outputs on other samples then were within 2% of those of the network linearised at W(0).

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
    >>> X, y = np.eye(5), np.arange(5.0)
    >>> narrow = NewtonTrainer(ShiftedReLUNetwork(200, shift=1.0, random_state=0), tol=1e-4).fit(X, y).laziness
    >>> narrow.is_lazy, narrow.lazy_width > 2000
    (False, True)
    >>> NewtonTrainer(ShiftedReLUNetwork(2**17, shift=1.0, random_state=0), tol=1e-4).fit(X, y).laziness.is_lazy
    True
    """

    width: int
    move_rms: float
    move_max: float
    ceased: float
    begun: float

    @property
    def is_lazy(self):
        """Whether the run was lazy, by the rule above."""
        return self.move_rms <= LAZY_MOVE and self.ceased + self.begun <= LAZY_FLIPS

    @property
    def lazy_width(self):
        """The least width at which it would be lazy, an estimate: m max(move_rms/0.05, (ceased + begun)/0.1)^2.

        For the same targets, samples, ridge and shift weights move as m^(-1/2), and flips go with the distance. It is
        of use within a factor of two or so, and less where weights moved as far as they are long.
        """
        excess = max(self.move_rms / LAZY_MOVE, (self.ceased + self.begun) / LAZY_FLIPS)
        return max(1, math.ceil(self.width * excess**2))

    def __str__(self):
        verdict = "lazy" if self.is_lazy else f"not lazy (some {self.lazy_width:.0e} neurons would be)"
        moved = f"weights moved by {self.move_rms:.2g} of their length (rms, {self.move_max:.2g} at most)"
        return f"{verdict}: {moved}, {self.ceased:.1%} of fired pairs ceased, {self.begun:.1%} began"


@dataclasses.dataclass(frozen=True, repr=False)
class TrainingResult:
    """How training went. Printed, it is a few lines.

    Attributes
    ----------
    status : TrainingStatus
        "converged", "singular", "stalled", "max_iter", "early_stopped", "stopped", "interrupted" or
        "cluster_lost".
    message : str
        The status in words.
    n_iter : int
        Iterations made, refused steps included.
    rmse : float
        As of `IterationRecord`, at the end; NaN if training was interrupted before it began.
    loss : float
        Likewise.
    validation_rmse : float
        As `rmse`, on `eval_set` at the end; NaN without one, and where Ctrl-C came before it was known.
    best_iteration : int or None
        Iterations after which the RMSE on `eval_set` was lowest (the loss there, if it is not that of squared errors):
        then and for the first time, it was
        ``history[best_iteration].validation_rmse``, or if `best_iteration` is `n_iter` that at the end. None without
        an `eval_set`. If the best weights were restored, rmse, loss and validation_rmse are theirs.
    history : list of IterationRecord
        ``history[k].rmse`` is before step k.
    seconds_setup : float
        Seconds before the first iteration: drawing the network and building what the method needs.
    seconds : float
        Seconds in all.
    mean_loss, validation_loss : float
        As of `IterationRecord`, at the end.
    laziness : Laziness or None
        How far the weights are from where they were drawn; None where training was cut off or is gradient descent's.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
    >>> NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0), tol=1e-4).fit(np.eye(5), np.arange(5.0))
    TrainingResult: converged after ... iterations, ... s
      the training RMSE is at most tol
      RMSE ..., loss ...
      not lazy (some ... neurons would be): weights moved by ...
    """

    status: TrainingStatus
    message: str
    n_iter: int
    rmse: float
    loss: float
    validation_rmse: float
    best_iteration: int | None
    history: list[IterationRecord]
    seconds_setup: float
    seconds: float
    mean_loss: float = float("nan")
    validation_loss: float = float("nan")
    laziness: Laziness | None = None

    def __repr__(self):
        lines = [
            f"TrainingResult: {self.status} after {self.n_iter} iterations, {self.seconds:.3g} s",
            self.message,
            f"RMSE {self.rmse:.3g}, loss {self.loss:.3g}",
        ]
        if not math.isnan(self.validation_rmse):
            lines[-1] += f", RMSE on eval_set {self.validation_rmse:.3g}"
        if self.laziness is not None:
            lines.append(str(self.laziness))
        return "\n  ".join(lines)

    def cost_table(self) -> str:
        """What each iteration cost, as text: where the milliseconds went, and what was looked at.

        Returns
        -------
        str
            A line an iteration and one of sums. `visited` of `reported` neurons were looked at, `cleared` ones only
            had their certificate renewed; `candidates` pairs were evaluated, of which `flips` changed; `lists` were
            rebuilt; `cg` steps and `factorised` matrices solved the system. Milliseconds by phase as in
            `IterationRecord.seconds`.

        Notes
        -----
        Cost: O(iterations).

        Examples
        --------
        >>> import numpy as np
        >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
        >>> result = NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0), tol=1e-4).fit(np.eye(5), np.arange(5.0))
        >>> print(result.cost_table())
        iteration  rmse       reported  cleared  visited ...
        0          2.449e+00  ...
        """
        counts = ("reported_neurons", "cleared_neurons", "visited_neurons", "candidates", "flips", "rebuilt_lists")
        counts += ("cg_steps", "refactorings")
        names = ("reported", "cleared", "visited", "candidates", "flips", "lists", "cg", "factorised")
        phases = list(dict.fromkeys(phase for record in self.history for phase in record.seconds))
        rows = [["iteration", "rmse", *names, "MiB", *(f"{phase} ms" for phase in phases), "total ms"]]
        for record in self.history:
            milliseconds = [1e3 * record.seconds[phase] for phase in phases]
            rows.append(
                [
                    f"{record.iteration}{'' if record.accepted else ' refused'}",
                    f"{record.rmse:.3e}",
                    *(f"{getattr(record, name)}" for name in counts),
                    f"{record.bytes_resident / 2**20:.1f}",
                    *(f"{time:.1f}" for time in [*milliseconds, sum(milliseconds)]),
                ]
            )
        sums = [sum(getattr(record, name) for record in self.history) for name in counts]
        times = [1e3 * sum(record.seconds[phase] for record in self.history) for phase in phases]
        rows.append(["sum", f"{self.rmse:.3e}", *map(str, sums), "", *(f"{time:.1f}" for time in [*times, sum(times)])])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )
