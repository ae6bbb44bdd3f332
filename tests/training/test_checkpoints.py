"""Checkpoints: a run that is cut off, at any iteration, ends as if it had not been, bit for bit."""

import dataclasses
import os
import shutil
import signal
import warnings

import numpy as np
import pytest
from problems import random_problem, unit_rows

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback, Checkpoint, CSVLog, ProgressBar
from sltrees.execution.inline import InlineExecutor
from sltrees.files.archive import ArchiveError, read_archive, write_archive
from sltrees.gram.matrix import GramMatrix
from sltrees.gram.matrix_free import MatrixFreeGram
from sltrees.methods.certified.method import CertifiedMethod
from sltrees.training.checkpoint_file import KIND
from sltrees.training.lineage import Lineage


@pytest.fixture(autouse=True)
def _quick_and_quiet(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # waiting for disks tests nothing here
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="shift lowered", category=UserWarning)
        yield


def network_of(width=2**11, **parameters):
    return ShiftedReLUNetwork(width, **{"shift": 1.0, "random_state": 0, "dtype": "float64"} | parameters)


def noisy_problem(n=50, n_validation=20, d=5):
    rng = np.random.default_rng(0)
    X = unit_rows(rng, n + n_validation, d)
    y = X[:, 0] * X[:, 1] + 0.3 * rng.standard_normal(len(X))
    return X[:n], y[:n], (X[n:], y[n:])


class CopyEach(Callback):
    """Copies of the checkpoint as it was at the start and after each iteration."""

    def __init__(self, path):
        self.path, self.copies = path, []

    def on_start(self, trainer):
        self.copies.append(f"{self.path}.{len(self.copies)}")
        shutil.copy(self.path, self.copies[-1])

    def on_iteration(self, trainer, record):
        self.on_start(trainer)


class Seen(Callback):
    def __init__(self):
        self.records = []

    def on_iteration(self, trainer, record):
        self.records.append(record)


def steps_of(path):
    return read_archive(path).header["steps"]


def described(records, but=("seconds", "seconds_elapsed")):
    rows = [dataclasses.asdict(record) for record in records]
    return repr([{name: value for name, value in row.items() if name not in but} for row in rows])


def end_of(result):
    return (
        result.status,
        result.message,
        result.n_iter,
        result.rmse,
        result.loss,
        repr(result.validation_rmse),
        result.best_iteration,
    )


def assert_resumes_everywhere(tmp_path, make_network, X, y, eval_set=None, prepare=None, cuts=slice(None), **options):
    """Cut a run off at all iterations, and resume each time; returns the result of the run that was not."""
    path = str(tmp_path / "training.npz")
    copier = CopyEach(path)
    network = make_network()
    if prepare is not None:
        prepare(network)
    result = NewtonTrainer(network, callbacks=[Checkpoint(path), copier], **options).fit(X, y, eval_set=eval_set)
    digest = network.digest()
    assert len(copier.copies) == result.n_iter + 1
    for k, copy in list(enumerate([*copier.copies, path]))[cuts]:
        seen = Seen()
        trainer = NewtonTrainer.from_checkpoint(copy, callbacks=[seen], n_threads=1 + k % 2)
        resumed = trainer.fit(X, y, eval_set=eval_set)
        assert trainer.network.digest() == digest, f"cut after {k} iterations"
        assert end_of(resumed) == end_of(result)
        but = ("seconds", "seconds_elapsed", "bytes_resident")
        assert described(resumed.history, but) == described(result.history, but)
        assert repr(resumed.history[:k]) == repr(result.history[:k])  # times, too
        elapsed = [record.seconds_elapsed for record in resumed.history]
        assert elapsed == sorted(elapsed)
        assert [id(record) for record in seen.records] == [id(record) for record in resumed.history]
        # and went on writing
        assert len(steps_of(copy)) == result.n_iter
        assert np.array_equal(read_archive(copy).arrays["g"], read_archive(path).arrays["g"])
    return result


@pytest.mark.parametrize("alpha", [0.0, 1e-3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["certified", "trees"])
def test_a_run_with_refused_steps(tmp_path, method, dtype, alpha):
    X, y = random_problem(15, 40, 3)

    def make_network():
        return network_of(1024, shift="auto", dtype=dtype)

    options = {"method": method, "alpha": alpha, "max_iter": 6}
    result = assert_resumes_everywhere(tmp_path, make_network, X, y, **options)
    assert {record.accepted for record in result.history} == {True, False}
    plain = make_network()
    unwatched = NewtonTrainer(plain, **options).fit(X, y)
    assert described(unwatched.history) == described(result.history)
    assert unwatched.rmse == result.rmse


@pytest.mark.parametrize("alpha", [0.0, 1e-3])
@pytest.mark.parametrize(("init", "method"), [("paired", "trees"), ("gaussian", "certified"), ("gaussian", "trees")])
def test_a_run_to_convergence(tmp_path, init, method, alpha):
    X, y = random_problem(0, 30, 5)
    result = assert_resumes_everywhere(
        tmp_path, lambda: network_of(init=init), X, y, method=method, alpha=alpha, tol=1e-2, max_iter=6 if alpha else 9
    )
    assert result.status == ("max_iter" if alpha else "converged")


def test_a_network_that_is_drawn_by_rejection(tmp_path):
    X, y = random_problem(0, 30, 5)
    result = assert_resumes_everywhere(
        tmp_path, lambda: network_of(100_000, shift=2.0, sampling="rejection", dtype="float32"), X, 5 * y, max_iter=4
    )
    assert result.n_iter == 4


def test_systems_without_a_solution_at_small_damping(tmp_path):
    X, y = random_problem(1, 40, 5)
    X[0], X[2] = 0, X[1]  # G is singular
    path = str(tmp_path / "training.npz")
    result = assert_resumes_everywhere(tmp_path, lambda: network_of(2**12, shift="paper"), X, y, max_iter=5)
    steps = steps_of(path)
    assert any(step["n_refused"] for step in steps)
    assert result.n_iter == 5


def test_how_a_run_ends_is_found_again(tmp_path):
    X, y = random_problem(0, 20, 5)
    X[0] = 0
    result = assert_resumes_everywhere(tmp_path, network_of, X, y, max_iter=300, cuts=slice(-2, None))
    assert result.status == "singular"


@pytest.mark.parametrize("alpha", [0.0, 1e-3])
def test_systems_that_are_solved_with_an_old_factor(tmp_path, alpha, monkeypatch):
    monkeypatch.setattr("sltrees.gram.matrix._STEPS_WORTH", {256: 30})  # as if factorising took long
    X, y = random_problem(3, 260, 8)
    result = assert_resumes_everywhere(
        tmp_path, lambda: network_of(2**13, dtype="float32"), X, 0.1 * y, alpha=alpha, tol=1e-6, max_iter=7
    )
    old = [record.cg_steps > 0 and record.refactorings == 0 for record in result.history]
    assert any(old)
    made = [step["made_at"] for step in steps_of(tmp_path / "training.npz")]
    assert any(at < k for k, at in enumerate(made))
    assert any(at > 0 for at in made) == (alpha > 0)


@pytest.mark.parametrize("forcing", [0.0, "auto"])
@pytest.mark.parametrize("alpha", [0.0, 1e-3])
def test_systems_that_are_preconditioned(tmp_path, alpha, forcing, monkeypatch):
    monkeypatch.setattr("sltrees.gram.preconditioned.MAX_RANK", 20)
    monkeypatch.setattr("sltrees.training.budget.MAX_GRAM", 10)  # for which "auto" has forcing terms
    X, y = random_problem(2, 60, 5)
    options = {"alpha": alpha, "max_gram": 0, "forcing": forcing, "max_iter": 6, "tol": 1e-8}
    result = assert_resumes_everywhere(tmp_path, network_of, X, y, **options)
    assert any(record.cg_steps > 0 for record in result.history)
    header = read_archive(tmp_path / "training.npz").header
    assert header["gram"] == "preconditioned"
    assert header["parameters"]["forcing"] == forcing
    made = [step["made_at"] for step in steps_of(tmp_path / "training.npz")]
    assert made[0] == 0
    assert any(at < k for k, at in enumerate(made))


def test_runs_whose_first_step_is_damped(tmp_path):
    X, y = random_problem(2, 60, 5)
    result = assert_resumes_everywhere(tmp_path, network_of, X, 9 * y, alpha=1e-3, first_damping=0.3, max_iter=5)
    assert result.history[0].damping == 0.3
    assert read_archive(tmp_path / "training.npz").header["parameters"]["first_damping"] == 0.3


@pytest.mark.parametrize("alpha", [0.0, 1e-3])
def test_systems_that_are_solved_by_products(tmp_path, alpha, monkeypatch):
    monkeypatch.setattr("sltrees.gram.matrix_free.RANK", 6)
    X, y = random_problem(2, 60, 5)
    result = assert_resumes_everywhere(tmp_path, network_of, X, y, alpha=alpha, max_gram=0, max_iter=6, tol=1e-8)
    assert all(record.cg_steps > 0 for record in result.history)
    assert read_archive(tmp_path / "training.npz").header["gram"] == "products"
    made = [step["made_at"] for step in steps_of(tmp_path / "training.npz")]
    assert made[0] is None  # the first is solved without
    assert made[1] == made[-1] == 1


def test_how_the_gram_matrix_was_held_is_not_chosen_again(tmp_path, monkeypatch):
    X, y = random_problem(0, 30, 5)
    path, copy = str(tmp_path / "training.npz"), str(tmp_path / "copy.npz")
    monkeypatch.setattr("sltrees.training.budget.MAX_GRAM", 10)  # as on a machine with less memory
    network = network_of()
    NewtonTrainer(network, callbacks=[Checkpoint(path)], max_iter=3).fit(X, y)
    shutil.copy(path, copy)
    monkeypatch.undo()
    assert read_archive(copy).header["gram"] == "preconditioned"
    resumed = NewtonTrainer.from_checkpoint(copy)
    resumed.fit(X, y)
    assert resumed.network.digest() == network.digest()


@pytest.mark.parametrize("alpha", [0.0, 1e-2])
def test_coefficients_that_are_worn(tmp_path, alpha, monkeypatch):
    anew = []
    monkeypatch.setattr("sltrees.methods.certified.method.WORN", 1e-16)
    original = CertifiedMethod.set_up.__func__
    monkeypatch.setattr(
        CertifiedMethod,
        "set_up",
        classmethod(lambda cls, *arguments, **options: anew.append(0) or original(cls, *arguments, **options)),
    )
    X, y = random_problem(15, 40, 3)
    assert_resumes_everywhere(tmp_path, lambda: network_of(1024, shift="auto"), X, y, alpha=alpha, max_iter=5)
    assert len(anew) > 20


@pytest.mark.parametrize("alpha", [0.0, 1e-2])
@pytest.mark.parametrize("method", ["certified", "trees"])
def test_early_stopping(tmp_path, method, alpha):
    X, y, eval_set = noisy_problem()
    result = assert_resumes_everywhere(
        tmp_path, network_of, X, y, eval_set, method=method, alpha=alpha, patience=2, tol=1e-10
    )
    assert result.best_iteration < result.n_iter
    assert result.status == "early_stopped"
    plain = NewtonTrainer(network_of(), method=method, alpha=alpha, patience=2, tol=1e-10).fit(X, y, eval_set=eval_set)
    assert described(plain.history) == described(result.history)
    assert end_of(plain) == end_of(result)


@pytest.mark.parametrize("method", ["certified", "trees"])
@pytest.mark.parametrize("before", ["drawn", "trained", "restored", "trained on others", "copied"])
def test_a_network_that_was_drawn_or_trained_before(tmp_path, before, method):
    X, y, eval_set = noisy_problem()

    def prepare(network):
        if before == "drawn":
            network.initialize(X)
        elif before == "trained":
            NewtonTrainer(network, method=method, max_iter=2).fit(X, y[::-1])
        elif before == "copied":
            other = network_of()
            NewtonTrainer(other, method=method, max_iter=2).fit(X, y[::-1])
            network.__dict__.update(other.__copy__().__dict__)
        elif before == "restored":
            NewtonTrainer(network, method=method, patience=1, tol=1e-10).fit(X, y, eval_set=eval_set)
        else:
            NewtonTrainer(network, method=method, max_iter=2).fit(eval_set[0], eval_set[1])

    result = assert_resumes_everywhere(
        tmp_path, network_of, X, 3 * y, prepare=prepare, method=method, alpha=1e-2, max_iter=4
    )
    assert result.n_iter > 2


@pytest.mark.parametrize("method", ["certified", "trees"])
@pytest.mark.parametrize("alpha", [0.0, 1e-2])
def test_samples_that_joined(tmp_path, alpha, method):
    X, y, _ = noisy_problem()
    path = str(tmp_path / "training.npz")
    trainer = NewtonTrainer(network_of(), method=method, alpha=alpha, max_iter=5)
    trainer.fit(X[:30], y[:30])
    copier = CopyEach(path)
    trainer.callbacks = (Checkpoint(path), copier)
    result = trainer.extend(X[30:], y[30:])
    assert result.n_iter > 1
    for copy in copier.copies:
        resumed = NewtonTrainer.from_checkpoint(copy)
        again = resumed.fit(X, y)
        assert end_of(again) == end_of(result)
        assert resumed.network.digest() == trainer.network.digest()
    # which then takes more samples
    assert resumed.extend(X[:1], y[:1]).n_iter >= 0
    assert resumed.n_samples_ == 51


# ---------------------------------------------------------------------- the callback


def test_a_checkpoint_of_an_undrawn_network_is_small(tmp_path):
    X, y = random_problem(0, 30, 5)
    path = tmp_path / "training.npz"
    result = NewtonTrainer(network_of(2**15), callbacks=[Checkpoint(path)]).fit(X, y)
    assert path.stat().st_size < 20_000 + 1500 * result.n_iter
    assert sorted(read_archive(path, KIND).arrays) == ["g"]


@pytest.mark.parametrize("every", [1, 2, 3, 100])
def test_it_is_written_every_so_often_and_at_the_end(tmp_path, every):
    X, y = random_problem(15, 40, 3)
    path = str(tmp_path / "training.npz")
    lengths = []

    class Watch(Callback):
        def on_start(self, trainer):
            lengths.append(len(steps_of(path)))

        def on_iteration(self, trainer, record):
            self.on_start(trainer)

    network = network_of(1024, shift="auto")
    callbacks = [Checkpoint(path, every), Watch()]
    NewtonTrainer(network, callbacks=callbacks, max_iter=7).fit(X, y)
    assert lengths == [k - k % every for k in range(8)]
    assert len(steps_of(path)) == 7
    resumed = NewtonTrainer.from_checkpoint(path)
    resumed.fit(X, y)
    assert resumed.network.digest() == network.digest()


def test_nothing_is_lost_while_a_checkpoint_is_replayed(tmp_path):
    X, y = random_problem(15, 40, 3)
    path = str(tmp_path / "training.npz")
    network = network_of(1024, shift="auto")
    NewtonTrainer(network, callbacks=[Checkpoint(path)], max_iter=8).fit(X, y)
    before = read_archive(path)

    class Cut(Callback):
        def __init__(self, where, error):
            self.error = error
            setattr(self, where, self.cut)

        def cut(self, *arguments):
            after = read_archive(path)
            assert repr(after.header) == repr(before.header)
            raise self.error

    for where, error in (("on_setup", OSError), ("on_start", OSError), ("on_iteration", OSError)):
        cut = NewtonTrainer.from_checkpoint(path, callbacks=[Cut(where, error)])
        with pytest.raises(OSError):
            cut.fit(X, y)
        with pytest.raises(RuntimeError, match=r"the replay of the checkpoint was cut off: call .*from_checkpoint"):
            cut.fit(X, y)
    interrupted = NewtonTrainer.from_checkpoint(path, callbacks=[Cut("on_iteration", KeyboardInterrupt)])
    assert interrupted.fit(X, y).status == "interrupted"
    stopped = Seen()
    stopped.on_iteration = lambda trainer, record: record.iteration == 3
    stopping = NewtonTrainer.from_checkpoint(path, callbacks=[stopped])
    result = stopping.fit(X, y)
    assert (result.status, result.n_iter) == ("stopped", 4)
    assert repr(read_archive(path).header) == repr(before.header)
    resumed = NewtonTrainer.from_checkpoint(path)
    resumed.fit(X, y)
    assert resumed.network.digest() == network.digest()


class Press(Callback):
    def on_iteration(self, trainer, record):
        if record.iteration == 3:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_writes_the_last_iterations_and_the_run_can_be_resumed(tmp_path):
    X, y = random_problem(15, 40, 3)
    path = str(tmp_path / "training.npz")
    options = {"max_iter": 8}
    network = network_of(1024, shift="auto")
    NewtonTrainer(network, **options).fit(X, y)
    cut = NewtonTrainer(network_of(1024, shift="auto"), callbacks=[Checkpoint(path, 100), Press()], **options)
    assert cut.fit(X, y).status == "interrupted"
    assert len(steps_of(path)) == 4
    resumed = NewtonTrainer.from_checkpoint(path)
    resumed.fit(X, y)
    assert resumed.network.digest() == network.digest()


@pytest.mark.parametrize("moment", ["kept", "recorded"])
def test_ctrl_c_after_a_step_was_kept_leaves_it_in_the_file(tmp_path, moment, monkeypatch):
    X, y = random_problem(15, 40, 3)
    path = str(tmp_path / "training.npz")
    uncut, network = network_of(1024, shift="auto"), network_of(1024, shift="auto")
    NewtonTrainer(uncut, max_iter=6).fit(X, y)
    cls, name = {"kept": (CertifiedMethod, "keep"), "recorded": (Lineage, "append")}[moment]
    original, calls = getattr(cls, name), []

    def pressed(self, *arguments):
        result = original(self, *arguments)
        calls.append(0)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(cls, name, pressed)
        result = NewtonTrainer(network, max_iter=6, callbacks=[Checkpoint(path, every=100)]).fit(X, y)
    assert result.status == "interrupted"
    assert result.n_iter == len(result.history) == len(steps_of(path)) >= 3
    assert [step["record"]["iteration"] for step in steps_of(path)] == list(range(result.n_iter))
    resumed = NewtonTrainer.from_checkpoint(path)
    resumed.fit(X, y)
    assert resumed.network.digest() == uncut.digest()


def test_only_a_run_with_a_checkpoint_can_be_written(tmp_path):
    X, y = random_problem(0, 30, 5)
    trainer = NewtonTrainer(network_of())
    with pytest.raises(RuntimeError, match="no run with a Checkpoint among its callbacks has begun"):
        trainer.write_checkpoint(tmp_path / "training.npz")
    written = []

    class Write(Callback):
        def on_iteration(self, trainer, record):
            written.append(trainer.write_checkpoint(tmp_path / "own.npz"))

    trainer = NewtonTrainer(network_of(), callbacks=[Write()])
    with pytest.raises(RuntimeError, match="there is nothing to write"):
        trainer.fit(X, y)
    trainer = NewtonTrainer(network_of(), callbacks=[Checkpoint(tmp_path / "training.npz"), Write()])
    result = trainer.fit(X, y)
    assert written == list(range(1, result.n_iter + 1))
    resumed = NewtonTrainer.from_checkpoint(tmp_path / "own.npz")
    assert end_of(resumed.fit(X, y)) == end_of(result)


def test_a_trainer_that_was_resumed_goes_on_like_any_other(tmp_path):
    X, y = random_problem(15, 40, 3)
    path, other = str(tmp_path / "training.npz"), str(tmp_path / "other.npz")
    NewtonTrainer(network_of(1024, shift="auto"), callbacks=[Checkpoint(path)], max_iter=3).fit(X, y)
    trainer = NewtonTrainer.from_checkpoint(path, callbacks=[Checkpoint(other)])
    assert len(trainer.callbacks) == 1
    assert trainer.max_iter == 3
    first = trainer.fit(X, y)
    assert repr(read_archive(other).header) == repr(read_archive(path).header)
    second = trainer.fit(X, y)  # a run of its own, with a checkpoint of its own
    assert second.loss < first.loss
    assert "network/shards/0/displacement" in read_archive(other).arrays
    resumed = NewtonTrainer.from_checkpoint(other)
    assert end_of(resumed.fit(X, y)) == end_of(second)
    assert resumed.network.digest() == trainer.network.digest()


def test_tables_and_bars_of_a_resumed_run_are_complete(tmp_path, capsys):
    X, y = random_problem(15, 40, 3)
    path, copy = str(tmp_path / "training.npz"), str(tmp_path / "copy.npz")
    tables = [tmp_path / "uncut.csv", tmp_path / "resumed.csv"]
    copier = CopyEach(path)
    callbacks = [Checkpoint(path), copier, CSVLog(tables[0])]
    NewtonTrainer(network_of(1024, shift="auto"), callbacks=callbacks, max_iter=6).fit(X, y)
    shutil.copy(copier.copies[4], copy)
    NewtonTrainer.from_checkpoint(copy, callbacks=[CSVLog(tables[1]), ProgressBar()]).fit(X, y)
    lines = [table.read_text().splitlines() for table in tables]
    assert len(lines[1]) == 7
    assert lines[0][:5] == lines[1][:5]
    assert "6/6" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("x.npz", 0), ValueError, "every must be at least 1, got 0"),
        (("x.npz", 1.5), ValueError, r"every must be an integer, got 1\.5"),
        ((None,), TypeError, "PathLike"),
    ],
)
def test_bad_parameters_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Checkpoint(*arguments)


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_the_network_consistent(tmp_path):
    X, y = random_problem(0, 30, 5)
    network = network_of()
    trainer = NewtonTrainer(network, callbacks=[Checkpoint(tmp_path / "no.such" / "training.npz")])
    with pytest.raises(FileNotFoundError, match=r"no\.such"):
        trainer.fit(X, y)
    assert trainer._lineage is None
    assert NewtonTrainer(network).fit(X, y).status == "converged"


# ---------------------------------------------------------------------- what is refused


@pytest.fixture
def checkpoint(tmp_path):
    X, y, eval_set = noisy_problem()
    path = tmp_path / "training.npz"
    trainer = NewtonTrainer(network_of(), callbacks=[Checkpoint(path)], max_iter=3, patience=5)
    trainer.fit(X, y, eval_set=eval_set)
    return path


def test_other_data_are_refused_before_anything_changes(checkpoint):
    X, y, eval_set = noisy_problem()
    before = checkpoint.read_bytes()
    trainer = NewtonTrainer.from_checkpoint(checkpoint)
    nudged = X.copy()
    nudged[-1, -1] = np.nextafter(nudged[-1, -1], 2.0)
    other_y = y.copy()
    other_y[0] += 1e-9
    for data, kept, message in [
        ((nudged, y), eval_set, "the checkpoint is of other samples: X must be"),
        ((X[:-1], y[:-1]), eval_set, "of other samples"),
        ((X[:, :4], y), (eval_set[0][:, :4], eval_set[1]), "of other samples"),
        ((X, other_y), eval_set, "the checkpoint is of other targets: y must be"),
        ((X, y), (eval_set[0], eval_set[1] + 1), "of another eval_set: y_val must be"),
        ((X, y), (eval_set[0][::-1], eval_set[1]), "of another eval_set: X_val must be"),
    ]:
        with pytest.raises(ValueError, match=message):
            trainer.fit(*data, eval_set=kept)
        assert trainer.network.shift_ is None
    with pytest.raises(ValueError, match="patience=5 needs an eval_set"):
        trainer.fit(X, y)
    trainer.patience = None
    with pytest.raises(ValueError, match="of a run with an eval_set"):
        trainer.fit(X, y)
    trainer.patience = 5
    assert checkpoint.read_bytes() == before
    assert trainer.fit(X.tolist(), list(y), eval_set=eval_set).n_iter == 3


def test_an_eval_set_that_was_not_there_is_refused(tmp_path):
    X, y, eval_set = noisy_problem()
    path = tmp_path / "training.npz"
    NewtonTrainer(network_of(), callbacks=[Checkpoint(path)], max_iter=1).fit(X, y)
    trainer = NewtonTrainer.from_checkpoint(path)
    with pytest.raises(ValueError, match="of a run without an eval_set"):
        trainer.fit(X, y, eval_set=eval_set)
    with pytest.raises(RuntimeError, match="there are no samples yet"):
        trainer.extend(X, y)
    trainer.network.initialize(X)
    with pytest.raises(ValueError, match="not as the checkpoint has it any more"):
        trainer.fit(X, y)


def test_too_little_memory_can_be_mended(checkpoint):
    X, y, eval_set = noisy_problem()
    trainer = NewtonTrainer.from_checkpoint(checkpoint, max_memory=1000)
    with pytest.raises(MemoryError, match="max_memory allows"):
        trainer.fit(X, y, eval_set=eval_set)
    trainer.max_memory = None
    assert trainer.fit(X, y, eval_set=eval_set).n_iter == 3


def test_memory_for_what_goes_into_the_file_is_asked_for():
    X, y, _ = noisy_problem()
    network = network_of(2**14)
    NewtonTrainer(network, max_iter=1).fit(X, y)
    written = network.neurons_.size * 5 * 8
    asked = []
    for callbacks in ([], [Checkpoint("unwritten.npz")]):
        trainer = NewtonTrainer(network, max_memory=1000, callbacks=callbacks)
        with pytest.raises(MemoryError) as caught:
            trainer.fit(X, y)
        asked.append(int(str(caught.value).split(" needs ")[1].split(" bytes")[0].replace(",", "")))
    assert asked[1] - asked[0] >= 2 * written
    assert not os.path.exists("unwritten.npz")


def test_a_machine_that_rounds_otherwise_is_told_so(checkpoint):
    X, y, eval_set = noisy_problem()
    original = read_archive(checkpoint)
    digits = {"rmse": lambda value: np.nextafter(value, 9.0), "loss": lambda value: np.nextafter(value, 9.0)}
    digits |= {"accepted": lambda value: not value, "gain_ratio": lambda value: value + 1e-12, "flips": lambda v: v + 1}
    for name, change in digits.items():
        archive = read_archive(checkpoint)
        record = archive.header["steps"][1]["record"]
        record[name] = type(record[name])(change(record[name]))
        write_archive(checkpoint, *archive[:3])
        trainer = NewtonTrainer.from_checkpoint(checkpoint)
        with pytest.raises(RuntimeError, match=rf"cannot be replayed here: of iteration 1, {name} was .*BLAS"):
            trainer.fit(X, y, eval_set=eval_set)
        assert not trainer.network.in_training
        write_archive(checkpoint, *original[:3])
    g = original.arrays["g"].copy()
    g[1] *= 1 + 1e-12
    write_archive(checkpoint, original.kind, original.header, {"g": g})
    with pytest.raises(RuntimeError, match=r"of iteration 1, gain_ratio was|of iteration 2, "):
        NewtonTrainer.from_checkpoint(checkpoint).fit(X, y, eval_set=eval_set)
    header = original.header | {"parameters": original.header["parameters"] | {"tol": 10.0}}
    write_archive(checkpoint, original.kind, header, original.arrays)
    with pytest.raises(RuntimeError, match=r"of iteration 0, .*training ends before it: converged"):
        NewtonTrainer.from_checkpoint(checkpoint).fit(X, y, eval_set=eval_set)


def broken(header, arrays, path, value):
    """A header or array changed at a path."""
    if path[0] == "g":
        return header, {"g": value(arrays["g"])}
    target = header
    for key in path[:-1]:
        target = target[key]
    if value is None:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return header, arrays


BROKEN = [
    (["steps"], None),
    (["steps"], {}),
    (["steps", 0], 3),
    (["steps", 0, "record"], None),
    (["steps", 0, "record", "rmse"], None),
    (["steps", 0, "record", "rmse"], 1),
    (["steps", 0, "record", "iteration"], 1),
    (["steps", 0, "record", "accepted"], 1),
    (["steps", 0, "record", "seconds"], 1.0),
    (["steps", 0, "record", "seconds", "solve"], "x"),
    (["steps", 0, "record", "more"], 1.0),
    (["steps", 0, "n_refused"], -1),
    (["steps", 0, "n_refused"], 1.0),
    (["steps", 0, "solver"], [1, 2]),
    (["steps", 0, "solver"], [1, 2, "c", 3]),
    (["steps", 0, "solver"], [1.5, 2, None, 3]),
    (["steps", 0, "solver"], [1, True, None, 3]),
    (["steps", 0, "made_at"], 1),
    (["steps", 0, "made_at"], "0"),
    (["n_before"], 10**6),
    (["gram"], "other"),
    (["data"], []),
    (["data", "y"], None),
    (["data", "z"], [3, "0" * 64]),
    (["data", "X"], [50, "0" * 64]),
    (["data", "X"], [50, 5, "0" * 63]),
    (["data", "X"], [51, 5, "0" * 64]),
    (["parameters"], 3),
    (["parameters", "alpha"], None),
    (["parameters", "alpha"], -1.0),
    (["parameters", "method"], "other"),
    (["parameters", "callbacks"], []),
    (["network", "width"], 3.5),
    (["network"], {}),
    (["more"], 1),
    (["g"], lambda g: g[:-1]),
    (["g"], lambda g: g[:, :-1].copy()),
    (["g"], lambda g: g.astype(np.float32)),
    (["g"], lambda g: g * np.nan),
]


@pytest.mark.parametrize(("path", "value"), BROKEN)
def test_files_that_make_no_sense_are_refused(checkpoint, path, value):
    archive = read_archive(checkpoint)
    write_archive(checkpoint, KIND, *broken(archive.header, archive.arrays, path, value))
    with pytest.raises(ArchiveError, match=r"training\.npz holds no valid 'checkpoint': "):
        NewtonTrainer.from_checkpoint(checkpoint)


def test_foreign_and_damaged_files_are_refused(checkpoint, tmp_path):
    network = tmp_path / "network.npz"
    network_of().save(network)
    with pytest.raises(ArchiveError, match="holds a 'network', not a 'checkpoint'"):
        NewtonTrainer.from_checkpoint(network)
    with pytest.raises(FileNotFoundError):
        NewtonTrainer.from_checkpoint(tmp_path / "none.npz")
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    with pytest.raises(ArchiveError, match="damaged"):
        NewtonTrainer.from_checkpoint(checkpoint)
    checkpoint.write_bytes(b"")
    with pytest.raises(ArchiveError, match="is not an sltrees file"):
        NewtonTrainer.from_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_threads": 0}, ValueError, "n_threads must be at least 1, got 0"),
        ({"executor": "none"}, ValueError, "executor must be one of"),
        ({"max_memory": -1}, ValueError, "max_memory must be"),
        ({"verbose": -1}, ValueError, "verbose must be at least 0"),
        ({"callbacks": [print]}, TypeError, "callbacks must be instances"),
    ],
)
def test_bad_parameters_of_from_checkpoint_are_not_taken_for_a_broken_file(checkpoint, options, error, message):
    with pytest.raises(error, match=message) as caught:
        NewtonTrainer.from_checkpoint(checkpoint, **options)
    assert not isinstance(caught.value, ArchiveError)


# ---------------------------------------------------------------------- what solving remembers


def filled_gram(n, seed=0):
    """A GramMatrix with random counts, and how it changes."""
    rng = np.random.default_rng(seed)
    gram = GramMatrix(unit_rows(rng, n, 40), width=1000)

    def change(executor, seed):
        patterns = np.random.default_rng(seed).random((n, 300)) < 0.3
        gram.counts[...] = np.tril(patterns.astype(np.int32) @ patterns.T.astype(np.int32))
        gram.refresh(executor)

    return gram, change


def test_a_factor_that_is_made_again_solves_bit_for_bit_as_the_first_did():
    n = 300
    with InlineExecutor() as executor:
        first, change_first = filled_gram(n)
        second, change_second = filled_gram(n)
        right = np.random.default_rng(5).standard_normal(n)
        change_first(executor, 0)
        change_second(executor, 0)
        for k in range(3):
            first.counts[k, k] += 3
            second.counts[k, k] += 3
            first.refresh(executor)
            second.refresh(executor)
            first.solve(0.1, right, executor)
            if k == 0:
                assert first.solver_state().c == 0.1
                state_of_factor = first.solver_state()
                assert second.make_preconditioner(state_of_factor, executor)
        state = first.solver_state()
        assert state.n_made == 1  # an old factor it is
        assert state.steps_with_factor > 0
        second.resume(state)
        assert second.solver_state() == state
        for damping in (0.1, 0.3, 0.0):
            assert np.array_equal(first.solve(damping, right, executor), second.solve(damping, right, executor))
            assert first.solver_state() == second.solver_state()


def test_a_factor_that_does_not_exist_is_not_made():
    with InlineExecutor() as executor:
        gram, change = filled_gram(30)
        change(executor, 0)
        gram.counts[...] = -gram.counts
        gram.refresh(executor)
        assert gram.solve(0.0, np.ones(30), executor) is None
        state = gram.solver_state()
        assert (state.n_made, state.c) == (1, None)
        assert gram.make_preconditioner(state, executor)  # there is nothing to make
        assert gram.solver_state() == state
        assert not gram.make_preconditioner(state._replace(c=1e-3), executor)


def test_a_sketch_that_is_made_again_solves_bit_for_bit_as_the_first_did():
    n = 400
    rng = np.random.default_rng(0)
    root = rng.standard_normal((n, n)) * np.logspace(0, -3, n)[:, None]
    G = [root.T @ root, root.T @ root + np.diag(rng.random(n) * 1e-4)]
    current = [0]
    grams = [MatrixFreeGram(lambda v: G[current[0]] @ v, lambda: G[current[0]].diagonal(), n) for _ in range(2)]
    right = rng.standard_normal(n)
    with InlineExecutor() as executor:
        for gram in grams:
            gram.refresh(executor)
        grams[0].solve(1e-3, right, executor)
        state = grams[0].solver_state()
        assert state.n_made == 1
        assert grams[1].make_preconditioner(state, executor)
        current[0] = 1
        for gram in grams:
            gram.refresh(executor)
        grams[0].solve(1e-2, right, executor)
        grams[1].resume(grams[0].solver_state())
        for damping in (1e-2, 1e-3):
            solutions = [gram.solve(damping, right, executor) for gram in grams]
            assert solutions[0] is not None
            assert np.array_equal(*solutions)
            assert grams[0].solver_state() == grams[1].solver_state()
