"""Following a training run: what is called at its start, after each iteration, and at its end."""

from __future__ import annotations

import sys
import time


class Callback:
    """Base class of callbacks; every method does nothing here, override those you need.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
    >>> class StopBelow(Callback):
    ...     def on_iteration(self, trainer, record):
    ...         return record.rmse < 0.1
    >>> X = np.eye(8)
    >>> trainer = NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0), callbacks=[StopBelow()], tol=0.0)
    >>> trainer.fit(X, np.ones(8)).status
    'stopped'
    """

    def on_start(self, trainer):
        """Training begins; ``trainer.network`` is initialised."""

    def on_setup(self, trainer, done, total):
        """Part `done` of `total` of the set-up is done."""

    def on_iteration(self, trainer, record):
        """An iteration is over; ``trainer.network`` is consistent. Return a true value to stop."""

    def on_end(self, trainer, result):
        """Training is over."""


class PrintProgress(Callback):
    """Print one row per iteration: RMSE before the step, firing share, neurons visited, seconds.

    With an `eval_set` the RMSE on it stands beside that of training.

    Parameters
    ----------
    stream : file, default sys.stdout
    """

    HEADER = f"{'iter':>4}  {'rmse':>10}  {'fired':>8}  {'visited':>10}  {'flips':>10}  {'damping':>8}  {'seconds':>8}"
    HEADER_WITH_VALIDATION = HEADER.replace("rmse", f"rmse  {'validation':>10}", 1)
    _SECONDS_BETWEEN = 0.5  # set-up progress, on terminals only

    def __init__(self, stream=None):
        self._stream = sys.stdout if stream is None else stream
        self._last = 0.0

    def on_setup(self, trainer, done, total):
        """Show the share of the set-up that is done, on a terminal."""
        now = time.perf_counter()
        if self._stream.isatty() and (now - self._last > self._SECONDS_BETWEEN or done == total):
            self._last = now
            end = "\n" if done == total else ""
            print(f"\rset-up {100 * done // total}%", end=end, file=self._stream, flush=True)

    def on_start(self, trainer):
        """Print the header."""
        header = self.HEADER_WITH_VALIDATION if trainer.n_validation_samples_ else self.HEADER
        print(header, file=self._stream, flush=True)

    def on_iteration(self, trainer, record):
        """Print one row."""
        n_pairs = trainer.network.width * trainer.n_samples_
        validation = f"{record.validation_rmse:10.3e}  " if trainer.n_validation_samples_ else ""
        print(
            f"{record.iteration:4d}  {record.rmse:10.3e}  {validation}{record.fired_pairs / n_pairs:8.2%}  "
            f"{record.visited_neurons:10d}  {record.flips:10d}  {record.damping:8.1e}  "
            f"{sum(record.seconds.values()):8.3f}" + ("" if record.accepted else "  refused"),
            file=self._stream,
            flush=True,
        )

    def on_end(self, trainer, result):
        """Print how training ended."""
        where = "in set-up" if result.rmse != result.rmse else f"at RMSE {result.rmse:.3e}"
        print(f"{result.status} {where}: {result.message}", file=self._stream, flush=True)
