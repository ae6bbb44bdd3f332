"""eval_set: what it shows, when it stops training, which weights it leaves, and what it must not change."""

import dataclasses
import importlib
import math
import pickle
import signal
import warnings

import numpy as np
import pytest
from problems import WeightsRecorder, random_problem, unit_rows

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback, PrintProgress
from sltrees.execution.inline import InlineExecutor
from sltrees.training.validation_set import ValidationSet

METHODS = ("certified", "trees")


@pytest.fixture(autouse=True)
def _quiet_shift():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="shift lowered", category=UserWarning)
        yield


def network_of(width=2**11, **parameters):
    return ShiftedReLUNetwork(width, **{"shift": 1.0, "random_state": 0, "dtype": "float64"} | parameters)


def noisy_problem(seed=0):
    """Training and validation samples; fitting the first exactly is too much of a good thing."""
    rng = np.random.default_rng(seed)
    X = unit_rows(rng, 80, 5)
    y = X[:, 0] * X[:, 1] + 0.3 * rng.standard_normal(80)
    return X[:50], y[:50], (X[50:], y[50:])


def rmse(network, X, y):
    return np.sqrt(np.mean((network.predict(X) - y) ** 2))


def described(result):
    """Everything of the records but times, and what only an eval_set brings."""
    rows = [dataclasses.asdict(record) for record in result.history]
    for row in rows:
        for name in ("seconds", "seconds_elapsed", "validation_rmse", "validation_loss"):
            del row[name]
    return repr(rows)


class Watcher(WeightsRecorder):
    """Also the RMSE on the validation set, before the first iteration and after each one."""

    def __init__(self, eval_set):
        super().__init__()
        self.eval_set, self.rmse = eval_set, []

    def _take(self, trainer):
        super()._take(trainer)
        self.rmse.append(rmse(trainer.network, *self.eval_set))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("init", ["paired", "gaussian"])
@pytest.mark.parametrize("alpha", [0.0, 1e-2])
def test_the_curve_is_that_of_the_network_and_its_best_weights_are_restored(method, dtype, init, alpha):
    X, y, eval_set = noisy_problem()
    network = network_of(dtype=dtype, init=init)
    watcher = Watcher(eval_set)
    trainer = NewtonTrainer(network, method=method, alpha=alpha, tol=1e-4, max_iter=12, callbacks=[watcher])
    result = trainer.fit(X, y, eval_set=eval_set)
    assert [record.validation_rmse for record in result.history] == watcher.rmse[:-1]
    assert trainer.n_validation_samples_ == 30
    best = int(np.argmin(watcher.rmse))
    assert result.best_iteration == best
    assert result.validation_rmse == watcher.rmse[best] == rmse(network, *eval_set)
    assert np.array_equal(network.displacement_, watcher.displacements[best])
    assert result.rmse == pytest.approx(rmse(network, X, y), rel=1e-12)
    assert ("given back" in result.message) == (best < result.n_iter)
    before = [*result.history, None][best]
    if before is not None:
        assert result.rmse == pytest.approx(before.rmse, rel=1e-4 if dtype == "float32" else 1e-9)
        assert result.loss == pytest.approx(before.loss, rel=1e-4 if dtype == "float32" else 1e-9)
    elapsed = [record.seconds_elapsed for record in result.history]
    assert elapsed == sorted(elapsed)
    assert 0 < result.seconds_setup <= elapsed[0]
    assert elapsed[-1] <= result.seconds
    assert all("validation" in record.seconds for record in result.history)
    # and training goes on from there
    again = NewtonTrainer(network, method=method, alpha=alpha, max_iter=1).fit(X, y)
    assert again.history[0].rmse == pytest.approx(result.rmse, rel=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 1e-2])
@pytest.mark.parametrize("method", METHODS)
def test_an_eval_set_changes_nothing_else(method, alpha):
    X, y, eval_set = noisy_problem()
    options = {"method": method, "alpha": alpha, "max_iter": 8, "tol": 0.0}
    plain, watched = network_of(), network_of()
    expected = NewtonTrainer(plain, **options).fit(X, y)
    result = NewtonTrainer(watched, restore_best=False, **options).fit(X, y, eval_set=eval_set)
    assert described(result) == described(expected)
    assert watched.digest() == plain.digest()
    assert (result.rmse, result.loss, result.status) == (expected.rmse, expected.loss, expected.status)
    assert result.validation_rmse == rmse(watched, *eval_set)
    assert math.isnan(expected.validation_rmse)
    assert all(math.isnan(record.validation_rmse) for record in expected.history)
    assert expected.best_iteration is None
    assert "validation" not in expected.history[0].seconds
    assert "validation ms" in result.cost_table().splitlines()[0]


def test_where_the_last_weights_are_the_best_nothing_is_restored(monkeypatch):
    X, y, _ = noisy_problem()
    eval_set = X, y
    monkeypatch.setattr("sltrees.training.run.restore", lambda *_: pytest.fail("restored"))
    network, plain = network_of(), network_of()
    result = NewtonTrainer(network, max_iter=2).fit(X, y, eval_set=eval_set)
    assert result.best_iteration == result.n_iter == 2
    assert network.state.method is not None
    NewtonTrainer(plain, max_iter=2).fit(X, y)
    assert network.digest() == plain.digest()


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_training_stops_when_patience_is_exhausted(patience):
    X, y, eval_set = noisy_problem()
    network = network_of()
    result = NewtonTrainer(network, patience=patience, tol=1e-12, max_iter=100).fit(X, y, eval_set=eval_set)
    assert result.status == "early_stopped"
    assert "patience" in result.message
    accepted = [record.accepted for record in result.history]
    assert sum(accepted[result.best_iteration :]) == patience
    assert accepted[-1]
    assert rmse(network, *eval_set) == result.validation_rmse == result.history[result.best_iteration].validation_rmse


def test_refused_steps_do_not_wear_patience_out():
    X, y = random_problem(15, 40, 3)  # too narrow a network: steps are refused
    network = network_of(1024, shift="auto")
    result = NewtonTrainer(network, max_iter=20, patience=3).fit(X, y, eval_set=(X, y))
    refused = [k for k, record in enumerate(result.history) if not record.accepted]
    assert refused
    for k in refused[:-1]:
        assert result.history[k].validation_rmse == result.history[k + 1].validation_rmse
    assert result.status == "max_iter"  # on the training set itself there is no end of improvement


def test_no_step_may_be_an_improvement():
    X, y, _ = noisy_problem()
    network = network_of()
    targets = np.zeros(50)  # which an untrained network meets
    result = NewtonTrainer(network, patience=1).fit(X, y, eval_set=(X, targets))
    assert (result.status, result.best_iteration, result.n_iter) == ("early_stopped", 0, 1)
    assert result.validation_rmse == 0.0
    assert result.rmse == pytest.approx(np.sqrt(np.mean(y**2)))
    assert not network.displacement_.any()


def test_without_iterations_the_first_weights_are_the_best():
    X, y, eval_set = noisy_problem()
    result = NewtonTrainer(network_of(), max_iter=0).fit(X, y, eval_set=eval_set)
    assert (result.best_iteration, result.n_iter) == (0, 0)
    assert result.validation_rmse == pytest.approx(np.sqrt(np.mean(eval_set[1] ** 2)))


@pytest.mark.parametrize("method", METHODS)
def test_extend_takes_an_eval_set(method):
    X, y, eval_set = noisy_problem()
    trainer = NewtonTrainer(network_of(), method=method, tol=1e-6)
    assert math.isnan(trainer.fit(X[:30], y[:30]).validation_rmse)
    assert trainer.n_validation_samples_ == 0
    result = trainer.extend(X[30:], y[30:], eval_set=eval_set)
    assert result.validation_rmse == rmse(trainer.network, *eval_set)
    assert result.validation_rmse == min(record.validation_rmse for record in result.history)
    assert trainer.n_validation_samples_ == 30
    assert trainer.extend(X[:1], y[:1]).best_iteration is None


class Press(Callback):
    def __init__(self, iteration):
        self.iteration = iteration

    def on_iteration(self, trainer, record):
        if record.iteration == self.iteration:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_restores_nothing():
    X, y, eval_set = noisy_problem()
    network, plain = network_of(), network_of()
    result = NewtonTrainer(network, tol=1e-12, callbacks=[Press(3)]).fit(X, y, eval_set=eval_set)
    assert result.status == "interrupted"
    assert result.best_iteration < 4
    NewtonTrainer(plain, tol=1e-12, max_iter=4).fit(X, y)
    assert network.digest() == plain.digest()
    assert result.validation_rmse == rmse(network, *eval_set) > result.history[result.best_iteration].validation_rmse


@pytest.mark.parametrize("moment", ["validation_set.frozen", "validation_set.outputs", "run.outputs", "run.restore"])
@pytest.mark.parametrize("call", [1, 2, 7, 8])
@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_while_looking_or_restoring_leaves_network_and_result_in_agreement(method, call, moment, monkeypatch):
    X, y, eval_set = noisy_problem()
    module, _, name = moment.partition(".")
    module = importlib.import_module(f"sltrees.training.{module}")
    original, calls = getattr(module, name), []

    def pressed(*arguments):
        result = original(*arguments)
        calls.append(0)
        if len(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return result

    network = network_of()
    with monkeypatch.context() as patch:
        patch.setattr(module, name, pressed)
        result = NewtonTrainer(network, method=method, patience=2, tol=1e-12).fit(X, y, eval_set=eval_set)
    assert (result.status == "interrupted") == (len(calls) >= call)
    if not math.isnan(result.rmse):  # else it was pressed in the set-up
        assert result.rmse == pytest.approx(rmse(network, X, y), rel=1e-9)
        if not math.isnan(result.validation_rmse):
            assert result.validation_rmse == rmse(network, *eval_set)
    assert not network.in_training
    assert NewtonTrainer(network, method=method, tol=1e-3).fit(X, y).status == "converged"


def test_stopping_by_a_callback_restores_the_best():
    class Stop(Callback):
        def on_iteration(self, trainer, record):
            return record.iteration == 3

    X, y, eval_set = noisy_problem()
    result = NewtonTrainer(network := network_of(), tol=1e-12, callbacks=[Stop()]).fit(X, y, eval_set=eval_set)
    assert result.status == "stopped"
    assert result.best_iteration < 4
    assert rmse(network, *eval_set) == result.validation_rmse


def test_memory_for_the_best_weights_is_asked_for():
    X, y, eval_set = noisy_problem()
    asked = {}
    for restore_best in (False, True):
        trainer = NewtonTrainer(network_of(2**14), max_memory=1000, restore_best=restore_best, n_threads=1)
        with pytest.raises(MemoryError, match=r"needs [\d,]+ bytes") as caught:
            trainer.fit(X, y, eval_set=eval_set)
        asked[restore_best] = int(str(caught.value).split(" needs ")[1].split(" bytes")[0].replace(",", ""))
    neurons = network_of(2**14).initialize(X).neurons_.size
    assert asked[True] - asked[False] >= neurons * 5 * 8


def test_verbose_shows_the_validation_column(capsys):
    X, y, eval_set = noisy_problem()
    result = NewtonTrainer(network_of(), verbose=1, max_iter=3).fit(X, y, eval_set=eval_set)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == PrintProgress.HEADER_WITH_VALIDATION
    assert lines[0].split()[:3] == ["iter", "rmse", "validation"]
    assert [line.split()[2] for line in lines[1:-1]] == [f"{r.validation_rmse:.3e}" for r in result.history]
    assert all(len(line) == len(lines[0]) for line in lines[1:-1])


X_ok, y_ok = np.eye(3), np.ones(3)
BAD = [
    (np.eye(3), TypeError, r"eval_set must be a tuple \(X_val, y_val\), got ndarray"),
    ((X_ok,), TypeError, "eval_set must be a tuple"),
    ((X_ok, y_ok, y_ok), TypeError, "eval_set must be a tuple"),
    ("ab", TypeError, "eval_set must be a tuple .*, got str"),
    ((np.ones(3), y_ok), ValueError, r"X_val must have 2 dimensions, got shape \(3,\)"),
    ((np.eye(4), np.ones(4)), ValueError, "X_val must have 3 columns, got 4"),
    ((X_ok, np.ones(4)), ValueError, r"y_val must have shape \(3,\), got \(4,\)"),
    ((X_ok * np.nan, y_ok), ValueError, "X_val must be finite in float64, got nan"),
    ((X_ok * 1e200, y_ok), ValueError, "squared norms of the rows of X_val must be finite"),
    ((X_ok, y_ok * np.inf), ValueError, "y_val must be finite in float64, got inf"),
    ((X_ok, y_ok * 1e200), ValueError, r"sum of y_val\*\*2 must be finite"),
    ((np.empty((0, 3)), np.empty(0)), ValueError, "X_val must have at least 1 row"),
    ((X_ok, ["a", "b", "c"]), TypeError, "y_val must hold real numbers"),
]


@pytest.mark.parametrize(("eval_set", "error", "message"), BAD)
def test_bad_eval_sets_are_refused_before_anything_changes(eval_set, error, message):
    fresh = network_of(100)
    state = pickle.dumps(fresh.__dict__)
    with pytest.raises(error, match=message):
        NewtonTrainer(fresh).fit(X_ok, y_ok, eval_set=eval_set)
    assert pickle.dumps(fresh.__dict__) == state
    trained = NewtonTrainer(network_of(400))
    trained.fit(X_ok, y_ok)
    digest = trained.network.digest()
    with pytest.raises(error, match=message):
        trained.extend(X_ok[:1], [0.5], eval_set=eval_set)
    assert trained.network.digest() == digest
    assert trained.n_samples_ == 3


def test_the_message_says_why_training_ended_and_what_was_given_back():
    X, y, eval_set = noisy_problem()
    result = NewtonTrainer(network_of()).fit(X, y, eval_set=eval_set)
    assert result.status == "converged"
    assert result.rmse > 1e-6
    assert result.message == (
        "the training RMSE is at most tol; given back are the weights after "
        f"{result.best_iteration} iterations, best on eval_set"
    )


def test_patience_needs_an_eval_set():
    network = network_of(100)
    with pytest.raises(ValueError, match="patience=3 needs an eval_set"):
        NewtonTrainer(network, patience=3).fit(X_ok, y_ok)
    assert network.shift_ is None


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"patience": 0}, ValueError, "patience must be at least 1, got 0"),
        ({"patience": 1.5}, ValueError, r"patience must be an integer, got 1\.5"),
        ({"patience": True}, TypeError, "patience must be an integer, got True"),
        ({"restore_best": 1}, TypeError, "restore_best must be True or False, got 1"),
        ({"restore_best": None}, TypeError, "restore_best must be True or False, got None"),
    ],
)
def test_bad_parameters_are_refused(parameters, error, message):
    with pytest.raises(error, match=message):
        NewtonTrainer(network_of(10), **parameters)


def test_a_first_look_that_overflows_is_improved_on_by_any_number(monkeypatch):
    X, y = np.eye(3), np.ones(3)
    network = network_of(100, shift=0.0).initialize(X)
    validation = ValidationSet(X, y, patience=1)
    with InlineExecutor() as executor:
        for iteration, value in enumerate([np.nan, np.nan, 2.0, np.nan, 1.0, 1.0]):
            monkeypatch.setattr("sltrees.training.validation_set.outputs", lambda *arguments, value=value: y + value)
            validation.look(network, executor, iteration)
            expected = {0: 0, 1: 0, 2: 2, 3: 2, 4: 4, 5: 4}[iteration]
            assert validation.best_iteration == expected
            assert validation.is_best == (iteration == expected)
            assert validation.is_hopeless == (iteration != expected)
    assert validation.best_rmse == 1.0
