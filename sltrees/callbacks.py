"""Following a training run: what is called at its start, after each iteration, and at its end."""

from __future__ import annotations

import csv
import dataclasses
import io
import logging
import os
import sys
import time
from typing import Any

from sltrees._validation import as_integer
from sltrees.records import PHASES, IterationRecord


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

    def on_start(self, trainer) -> Any:
        """Training begins; ``trainer.network`` is initialised."""

    def on_setup(self, trainer, done, total) -> Any:
        """Part `done` of `total` of the set-up is done."""

    def on_iteration(self, trainer, record) -> Any:
        """An iteration is over; ``trainer.network`` is consistent. Return a true value to stop."""

    def on_end(self, trainer, result) -> Any:
        """Training is over."""


def as_callbacks(callbacks):
    """Convert to a tuple of callbacks; TypeError where there is anything else."""
    if not isinstance(callbacks, (tuple, list)):
        raise TypeError(f"callbacks must be a tuple or list of them, got {callbacks!r}")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks must be instances of sltrees.callbacks.Callback, got {callback!r}")
    return tuple(callbacks)


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

    def __init__(self, stream=None) -> None:
        self._given = stream  # standard output is looked up when it is used: copies and pickles leave it alone
        self._last = 0.0

    @property
    def _stream(self):
        return sys.stdout if self._given is None else self._given

    def on_setup(self, trainer, done, total) -> Any:
        """Show the share of the set-up that is done, on a terminal."""
        now = time.perf_counter()
        if self._stream.isatty() and (now - self._last > self._SECONDS_BETWEEN or done == total):
            self._last = now
            end = "\n" if done == total else ""
            print(f"\rset-up {100 * done // total}%", end=end, file=self._stream, flush=True)

    def on_start(self, trainer) -> Any:
        """Print the header."""
        header = self.HEADER_WITH_VALIDATION if trainer.n_validation_samples_ else self.HEADER
        print(header, file=self._stream, flush=True)

    def on_iteration(self, trainer, record) -> Any:
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

    def on_end(self, trainer, result) -> Any:
        """Print how training ended."""
        where = "in set-up" if result.rmse != result.rmse else f"at RMSE {result.rmse:.3e}"
        print(f"{result.status} {where}: {result.message}", file=self._stream, flush=True)


class LogProgress(Callback):
    """Log the beginning, each iteration and the end of training, a message each.

    Parameters
    ----------
    logger : logging.Logger, optional
        By default the one of the name "sltrees".
    level : int, default logging.INFO
        Of all messages.

    Raises
    ------
    TypeError
        If `logger` is no logger.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
    >>> logger = logging.getLogger("example")
    >>> logger.addHandler(logging.StreamHandler(sys.stdout))
    >>> logger.setLevel(logging.INFO)
    >>> trainer = NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0), tol=0.1, callbacks=[LogProgress(logger)])
    >>> trainer.fit(np.eye(4), np.ones(4)).status
    training of a network of width 2000 on 4 samples
    iteration 0: rmse 1.000e+00, ...
    converged after ... at RMSE ...: the training RMSE is at most tol
    'converged'
    """

    def __init__(self, logger=None, level=logging.INFO) -> None:
        logger = logging.getLogger("sltrees") if logger is None else logger
        if not isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
            raise TypeError(f"logger must be a logging.Logger, got {logger!r}")
        self._logger, self._level = logger, level

    def on_start(self, trainer) -> Any:
        """Log what is trained on how many samples."""
        validated = f", validated on {n}" if (n := trainer.n_validation_samples_) else ""
        self._log(
            "training of a network of width %d on %d samples%s", trainer.network.width, trainer.n_samples_, validated
        )

    def on_iteration(self, trainer, record) -> Any:
        """Log one iteration."""
        validation = f", validation {record.validation_rmse:.3e}" if trainer.n_validation_samples_ else ""
        self._log(
            "iteration %d: rmse %.3e%s, damping %.1e, %d neurons visited, %.3f s%s",
            record.iteration,
            record.rmse,
            validation,
            record.damping,
            record.visited_neurons,
            sum(record.seconds.values()),
            "" if record.accepted else ", refused",
        )

    def on_end(self, trainer, result) -> Any:
        """Log how training ended."""
        self._log(
            "%s after %d iterations and %.1f s at RMSE %.3e: %s",
            result.status,
            result.n_iter,
            result.seconds,
            result.rmse,
            result.message,
        )

    def _log(self, message, *arguments):
        self._logger.log(self._level, message, *arguments)


class ProgressBar(Callback):
    """A bar for the set-up and one for the iterations, of which there are at most `max_iter`, drawn by tqdm.

    Parameters
    ----------
    stream : file, default sys.stderr

    Raises
    ------
    ImportError
        If tqdm is not installed.

    Examples
    --------
    >>> import io
    >>> import numpy as np
    >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
    >>> drawn = io.StringIO()
    >>> trainer = NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0), tol=0.1, callbacks=[ProgressBar(drawn)])
    >>> trainer.fit(np.eye(4), np.ones(4)).status
    'converged'
    >>> "training: " in drawn.getvalue()
    True
    """

    def __init__(self, stream=None) -> None:
        try:
            from tqdm import tqdm
        except ImportError:
            raise ImportError('ProgressBar needs tqdm: pip install -e ".[progress]"') from None
        self._tqdm, self._stream = tqdm, stream
        self._bar = None
        self._setting_up = False

    def on_setup(self, trainer, done, total) -> Any:
        """Move the bar of the set-up."""
        if not self._setting_up:
            self._open("set-up", total, "block")
            self._setting_up = True
        self._bar.update(done - self._bar.n)

    def on_start(self, trainer) -> Any:
        """Begin the bar of the iterations."""
        self._open("training", trainer.max_iter, "iteration")

    def on_iteration(self, trainer, record) -> Any:
        """Move it by one."""
        numbers = {"rmse": f"{record.rmse:.2e}"}
        if trainer.n_validation_samples_:
            numbers["validation"] = f"{record.validation_rmse:.2e}"
        self._bar.set_postfix(numbers, refresh=False)
        self._bar.update()

    def on_end(self, trainer, result) -> Any:
        """Leave the bar as it is."""
        self._close()

    def _open(self, what, total, unit):
        self._close()  # also that of a run that failed
        stream = sys.stderr if self._stream is None else self._stream
        self._bar = self._tqdm(desc=what, total=total, unit=unit, file=stream, leave=what == "training")

    def _close(self):
        if self._bar is not None:
            self._bar.close()
        self._bar, self._setting_up = None, False


class CSVLog(Callback):
    """Write a table with a row per iteration: all numbers of its record, and the seconds of each phase.

    Parameters
    ----------
    path : str or os.PathLike
        Replaced when training begins.

    Notes
    -----
    Each row is written at once when its iteration is over, so that the file of a run that is killed ends with a whole
    line. Numbers are written so that they are read back as they are. Cost: O(1) per iteration.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
    >>> path = tempfile.mkdtemp() + "/training.csv"
    >>> trainer = NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0), tol=0.1, callbacks=[CSVLog(path)])
    >>> trainer.fit(np.eye(4), np.ones(4)).status
    'converged'
    >>> with open(path) as file:
    ...     rows = list(csv.DictReader(file))
    >>> rows[0]["iteration"], rows[0]["rmse"], rows[0]["accepted"]
    ('0', '1.0', 'True')
    """

    COLUMNS = (
        *(field.name for field in dataclasses.fields(IterationRecord) if field.name != "seconds"),
        *(f"seconds_{phase}" for phase in PHASES),
    )

    def __init__(self, path) -> None:
        self._path = os.fspath(path)

    def on_start(self, trainer) -> Any:
        """Begin the file with the names of the columns."""
        self._write("wb", self.COLUMNS)

    def on_iteration(self, trainer, record) -> Any:
        """Write a row."""
        seconds = {f"seconds_{phase}": record.seconds.get(phase, 0.0) for phase in PHASES}
        cells = vars(record) | seconds
        self._write("ab", [cells[name] for name in self.COLUMNS])

    def _write(self, mode, cells):
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        with open(self._path, mode, buffering=0) as file:  # one call of the system: the line is there or it is not
            file.write(line.getvalue().encode())


class Checkpoint(Callback):
    """Write what a run that is cut off needs to go on: `sltrees.NewtonTrainer.from_checkpoint` reads it.

    Parameters
    ----------
    path : str or os.PathLike
        Replaced in one instant, when training begins, too.
    every : int, default 1
        Write after each `every`-th iteration, and at the end.

    Raises
    ------
    TypeError, ValueError
        If a parameter breaks its rule.

    Notes
    -----
    The file does not hold neurons that training has moved, but their lineage: the network as the run found it, and what
    was solved for in each iteration; see `sltrees.training.lineage`. Of a network that was not drawn yet it takes 8 n
    bytes an iteration for n samples, whatever the width. One that was, or was trained before, is in the file as it was
    then, O(k d) bytes for k materialised neurons; the run then begins from displacements written down (and so does not
    go on with near lists of the run before), so that runs cut off and uncut agree.

    Cost: O(file) to write it. With `every` above 1 a run that is cut off repeats up to `every` - 1 iterations.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
    >>> path = tempfile.mkdtemp() + "/training.npz"
    >>> trainer = NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0), max_iter=2, callbacks=[Checkpoint(path)])
    >>> result = trainer.fit(np.eye(4), np.ones(4))
    >>> NewtonTrainer.from_checkpoint(path).fit(np.eye(4), np.ones(4)).rmse == result.rmse
    True
    """

    def __init__(self, path, every=1) -> None:
        self.path = os.fspath(path)
        self.every = as_integer(every, "every", minimum=1)
        self._n_written = 0  # iterations in the file

    def on_start(self, trainer) -> Any:
        """Write how the run begins, and the iterations that will be replayed."""
        self._write(trainer)

    def on_iteration(self, trainer, record) -> Any:
        """Write after every so many iterations, but for those that are in the file."""
        if (record.iteration + 1) % self.every == 0 and record.iteration >= self._n_written:
            self._write(trainer)

    def on_end(self, trainer, result) -> Any:
        """Write the last iterations."""
        if result.n_iter > self._n_written:
            self._write(trainer)

    def _write(self, trainer):
        self._n_written = trainer.write_checkpoint(self.path)
