"""Callbacks that log, draw a bar and write a table: what they show of a run, and what they leave of one cut off."""

import csv
import io
import logging
import math
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from problems import random_problem

import sltrees
from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback, CSVLog, LogProgress, ProgressBar
from sltrees.records import PHASES


def network_of(width=2**11, **parameters):
    return ShiftedReLUNetwork(width, **{"shift": 1.0, "random_state": 0, "dtype": "float64"} | parameters)


def trained_with(callback, *, eval_set=None, **parameters):
    X, y = random_problem(0, 30, 5)
    return NewtonTrainer(network_of(), callbacks=[callback], **parameters).fit(X, y, eval_set=eval_set)


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Broken(Callback):
    def __init__(self, where):
        setattr(self, where, self.fail)

    def fail(self, *arguments):
        raise OSError("no space left")


# ---------------------------------------------------------------------- logging


def test_log_has_a_message_for_start_iterations_and_end(caplog):
    with caplog.at_level(logging.INFO):
        result = trained_with(LogProgress())
    messages = [entry.getMessage() for entry in caplog.records]
    assert {(entry.name, entry.levelno) for entry in caplog.records} == {("sltrees", logging.INFO)}
    assert messages[0] == "training of a network of width 2048 on 30 samples"
    assert len(messages) == result.n_iter + 2
    assert [message.split(":")[0] for message in messages[1:-1]] == [f"iteration {k}" for k in range(result.n_iter)]
    assert f"rmse {result.history[1].rmse:.3e}, damping" in messages[2]
    assert messages[-1].startswith(f"converged after {result.n_iter} iterations")


def test_log_names_refused_steps_and_the_validation_set(caplog):
    X, y = random_problem(15, 40, 3)
    trainer = NewtonTrainer(network_of(1024, shift="auto"), max_iter=20, callbacks=[LogProgress()])
    with caplog.at_level(logging.INFO):
        result = trainer.fit(X, y, eval_set=(X[:5], y[:5]))
    messages = [entry.getMessage() for entry in caplog.records]
    assert messages[0].endswith("on 40 samples, validated on 5")
    assert [message.endswith("refused") for message in messages[1:-1]] == [not r.accepted for r in result.history]
    assert all(f"validation {r.validation_rmse:.3e}" in m for r, m in zip(result.history, messages[1:], strict=False))


def test_log_goes_to_the_logger_and_level_that_it_is_given(caplog):
    with caplog.at_level(logging.DEBUG):
        trained_with(LogProgress(logging.getLogger("mine"), logging.DEBUG))
    assert {(entry.name, entry.levelno) for entry in caplog.records} == {("mine", logging.DEBUG)}
    with pytest.raises(TypeError, match=r"logger must be a logging\.Logger, got 'mine'"):
        LogProgress("mine")


# ---------------------------------------------------------------------- a bar


def test_bar_counts_iterations_on_stderr(capsys):
    result = trained_with(ProgressBar(), max_iter=9)
    said = capsys.readouterr()
    assert said.out == ""
    assert "set-up" in said.err
    last = said.err.replace("\n", "\r").rstrip("\r").split("\r")[-1]
    assert f"{result.n_iter}/9" in last
    assert f"rmse={result.history[-1].rmse:.2e}" in last


def test_bar_shows_the_validation_rmse_and_is_drawn_anew_for_each_run():
    X, y = random_problem(0, 30, 5)
    stream = io.StringIO()
    bar = ProgressBar(stream)
    result = trained_with(bar, eval_set=(X[:4], y[:4]))
    assert f"validation={result.history[-1].validation_rmse:.2e}" in stream.getvalue()
    with pytest.raises(OSError, match="no space left"):
        NewtonTrainer(network_of(), callbacks=[bar, Broken("on_iteration")]).fit(X, y)
    drawn = len(stream.getvalue())
    again = trained_with(bar)
    assert f"{again.n_iter}/50" in stream.getvalue()[drawn:]
    assert bar._bar is None


def test_bar_without_tqdm_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r'needs tqdm: pip install -e "\.\[progress\]"'):
        ProgressBar()


def test_tqdm_is_imported_for_bars_alone():
    code = "import sys, sltrees, sltrees.callbacks; sys.exit('tqdm' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(sltrees.__file__).parent.parent)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=60).returncode == 0


# ---------------------------------------------------------------------- a table


@pytest.mark.parametrize("validated", [False, True])
def test_table_holds_the_numbers_of_all_records(tmp_path, validated):
    X, y = random_problem(0, 30, 5)
    path = tmp_path / "training.csv"
    result = trained_with(CSVLog(path), eval_set=(X[:4], y[:4]) if validated else None)
    rows = rows_of(path)
    assert len(rows) == result.n_iter
    for row, record in zip(rows, result.history, strict=True):
        assert tuple(row) == CSVLog.COLUMNS
        for name, value in vars(record).items():
            if name == "seconds":
                assert {phase: float(row[f"seconds_{phase}"]) for phase in PHASES} == dict.fromkeys(PHASES, 0.0) | value
            elif isinstance(value, bool):
                assert row[name] == str(value)
            else:
                assert float(row[name]) == value or (math.isnan(value) and row[name] == "nan")
        assert (row["validation_rmse"] == "nan") != validated


def test_table_is_replaced_by_the_next_run_and_has_its_head_without_iterations(tmp_path):
    path = tmp_path / "training.csv"
    trained_with(CSVLog(str(path)))
    assert len(rows_of(path)) > 0
    trained_with(CSVLog(path), max_iter=0)
    assert path.read_text() == ",".join(CSVLog.COLUMNS) + "\n"


def test_table_of_a_run_that_is_killed_ends_with_a_whole_line(tmp_path):
    path = tmp_path / "training.csv"
    code = """
        import os, signal, sys
        import numpy as np
        from sltrees import NewtonTrainer, ShiftedReLUNetwork
        from sltrees.callbacks import Callback, CSVLog

        class Kill(Callback):
            def on_iteration(self, trainer, record):
                if record.iteration == 2:
                    os.kill(os.getpid(), signal.SIGKILL)

        rng = np.random.default_rng(0)
        X, y = rng.standard_normal((30, 5)), rng.standard_normal(30)
        network = ShiftedReLUNetwork(2**11, shift=1.0, random_state=0)
        NewtonTrainer(network, tol=0.0, callbacks=[CSVLog(sys.argv[1]), Kill()]).fit(X, y)
    """
    environment = os.environ | {"PYTHONPATH": str(Path(sltrees.__file__).parent.parent)}
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    assert subprocess.run(command, env=environment, timeout=60).returncode == -signal.SIGKILL
    assert path.read_bytes().endswith(b"\n")
    rows = rows_of(path)
    assert [row["iteration"] for row in rows] == ["0", "1", "2"]
    assert None not in rows[-1].values()


def test_a_table_that_cannot_be_written_is_an_error_and_leaves_the_network_consistent(tmp_path):
    X, y = random_problem(0, 30, 5)
    network = network_of()
    with pytest.raises(FileNotFoundError, match=r"no.such"):
        NewtonTrainer(network, callbacks=[CSVLog(tmp_path / "no.such" / "training.csv")]).fit(X, y)
    assert not network.displacement_.any()
    assert NewtonTrainer(network).fit(X, y).status == "converged"
    with pytest.raises(TypeError):
        CSVLog(None)


@pytest.mark.parametrize("where", ["on_setup", "on_start", "on_iteration", "on_end"])
@pytest.mark.parametrize("method", ["certified", "trees"])
def test_exceptions_of_callbacks_reach_the_caller_and_leave_the_network_consistent(where, method):
    X, y = random_problem(0, 30, 5)
    network = network_of()
    with pytest.raises(OSError, match="no space left"):
        NewtonTrainer(network, method=method, callbacks=[Broken(where)]).fit(X, y, eval_set=(X, y))
    assert not network.in_training
    assert NewtonTrainer(network, method=method).fit(X, y).status == "converged"
    assert np.abs(network.predict(X) - y).max() < 1e-5
