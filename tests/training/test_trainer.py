"""NewtonTrainer: descent, refusal, statuses, degenerate data, real data, interruption, bad input."""

import functools
import itertools
import math
import os
import pickle
import re
import signal
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import scipy.sparse
from problems import WeightsRecorder, losses, random_problem, unit_rows
from sklearn.datasets import load_breast_cancer
from threadpoolctl import threadpool_info

from sltrees import NewtonTrainer, ShiftedReLUNetwork, TrainingStatus, reference
from sltrees.callbacks import Callback, PrintProgress
from sltrees.datasets.parity import digits_parity
from sltrees.execution.inline import InlineExecutor
from sltrees.gram.matrix import GramMatrix
from sltrees.gram.pair_counts import PairCounts
from sltrees.methods.all_neurons import AllNeurons
from sltrees.methods.certified.group import ShardGroup
from sltrees.methods.certified.method import CertifiedMethod
from sltrees.methods.certified.shard import CertifiedShard
from sltrees.methods.choose import METHODS
from sltrees.methods.dense import DenseMethod, DenseShard
from sltrees.methods.explicit import ExplicitShard
from sltrees.methods.trees import TreeShard, TreesMethod
from sltrees.preprocessing import InputScaling
from sltrees.records import MESSAGES
from sltrees.training.reporting import Attempt, Report
from sltrees.training.run import Run

DTYPES = ("float32", "float64")


@pytest.fixture(autouse=True)
def _quiet_shift():
    """Small problems lower the shift, with a warning that is tested elsewhere."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="shift lowered", category=UserWarning)
        yield


def network_of(width=2**11, **parameters):
    return ShiftedReLUNetwork(width, **{"shift": 1.0, "random_state": 0, "dtype": "float64"} | parameters)


def hard_problem():
    """Too narrow a network for the targets: training goes on for long, and steps are refused."""
    return random_problem(15, 40, 3)


def assert_consistent(network, X, y, result, alpha_loss=False):
    """The result describes the network as it is."""
    rmse = np.sqrt(np.mean((network.predict(X) - y) ** 2))
    tolerance = 1e-10 if network.dtype == np.float64 else 1e-4
    assert abs(rmse - result.rmse) <= tolerance * (np.sqrt(np.mean(y**2)) + np.abs(network.predict(X)).max())
    assert np.isfinite(network.displacement_).all()
    if not alpha_loss:
        assert result.loss == pytest.approx(0.5 * len(y) * result.rmse**2, rel=1e-10)


def assert_descends(result, dtype="float64"):
    """The loss falls at accepted steps and stays at refused ones; in single precision but for rounding of weights."""
    values = losses(result)
    slack = np.finfo(np.float32).eps if np.dtype(dtype) == np.float32 else 0.0
    for record, before, after in zip(result.history, values, values[1:], strict=False):
        assert after < before * (1.0 + slack) if record.accepted else after == before


# ---------------------------------------------------------------------- descent and refusal


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("init", ["paired", "gaussian"])
@pytest.mark.parametrize("alpha", [0.0, 1e-3])
def test_the_loss_never_rises(seed, dtype, init, alpha):
    X, y = hard_problem()
    network = network_of(1024, shift="auto", init=init, dtype=dtype, random_state=seed)
    result = NewtonTrainer(network, alpha=alpha, max_iter=30).fit(X, y)
    assert_descends(result)
    assert result.loss < result.history[0].loss
    assert_consistent(network, X, y, result, alpha_loss=alpha > 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", [0.0, 1e-2])
def test_a_refused_step_leaves_the_network_bit_for_bit_as_it_was(dtype, alpha):
    X, y = hard_problem()
    network = network_of(2048, shift="auto", dtype=dtype)
    seen = WeightsRecorder()
    result = NewtonTrainer(network, alpha=alpha, max_iter=20, callbacks=[seen]).fit(X, y)
    accepted = [record.accepted for record in result.history]
    assert False in accepted
    for record, before, after in zip(result.history, seen.displacements, seen.displacements[1:], strict=False):
        assert np.array_equal(before, after) == (not record.accepted)
        assert record.reported_neurons > 0


def test_damping_rises_after_a_refusal():
    X, y = hard_problem()
    history = NewtonTrainer(network_of(1024, shift="auto"), max_iter=20).fit(X, y).history
    assert history[0].damping == 0.0
    for record, following in itertools.pairwise(history):
        if not record.accepted:
            assert following.damping > record.damping
            assert not record.gain_ratio > 0


# ---------------------------------------------------------------------- statuses


class StopAfter(Callback):
    def __init__(self, count):
        self.count = count

    def on_iteration(self, trainer, record):
        return record.iteration + 1 >= self.count


def test_the_first_step_is_damped_as_asked_for_where_weights_move_far():
    X, y = random_problem(0, 60, 5)
    refused = {}
    for damping in (0.0, 0.3):
        trainer = NewtonTrainer(network_of(256), alpha=1e-3, first_damping=damping, max_iter=4)
        history = trainer.fit(X, 50 * y).history
        assert history[0].damping == damping
        refused[damping] = sum(not record.accepted for record in history)
        trainer.extend(X[:3] + 0.01, y[:3])  # goes on from where it is
        assert trainer.extend(X[3:6] + 0.01, y[3:6]).history[0].damping == 0.0
    assert refused[0.3] < refused[0.0]
    with pytest.raises(ValueError, match="first_damping must be"):
        NewtonTrainer(network_of(), first_damping=-1.0)


def fit_status(name):
    X, y = random_problem(0, 30, 5)
    if name == "converged":
        return NewtonTrainer(network_of()).fit(X, y)
    if name == "singular":
        X[0] = 0
        return NewtonTrainer(network_of(), max_iter=300).fit(X, y)
    if name == "stalled":
        return NewtonTrainer(network_of(), tol=0.0, max_iter=300).fit(X, y)
    if name == "max_iter":
        return NewtonTrainer(network_of(), max_iter=1).fit(X, y)
    if name == "stopped":
        return NewtonTrainer(network_of(), tol=0.0, callbacks=[StopAfter(2)]).fit(X, y)
    return NewtonTrainer(network_of(), tol=0.0, callbacks=[Interrupter("on_iteration", 1)]).fit(X, y)


class Interrupter(Callback):
    """Press Ctrl-C in a callback, at its k-th call."""

    def __init__(self, where, call):
        self.left = call
        setattr(self, where, self.press)

    def press(self, *arguments):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("name", ["converged", "singular", "stalled", "max_iter", "stopped", "interrupted"])
def test_training_ends_with_a_status_and_its_message(name):
    result = fit_status(name)
    assert result.status == name
    assert isinstance(result.status, TrainingStatus)
    assert result.message == MESSAGES[result.status]
    assert result.n_iter == len(result.history)
    assert (result.rmse <= 1e-6) == (name in ("converged", "stalled"))
    assert result.seconds >= result.seconds_setup > 0


def test_every_status_has_a_message():
    assert set(MESSAGES) == set(TrainingStatus)
    assert all(MESSAGES.values())


def test_tolerance_met_at_the_start_needs_no_iteration():
    X, y = random_problem(0, 20, 5)
    network = network_of()
    result = NewtonTrainer(network).fit(X, np.zeros(20))
    assert (result.status, result.n_iter, result.rmse) == ("converged", 0, 0.0)
    assert not network.displacement_.any()
    none = NewtonTrainer(network_of(), max_iter=0).fit(X, y)
    assert (none.status, none.n_iter) == ("max_iter", 0)


def test_tolerance_is_on_the_training_rmse():
    X, y = random_problem(0, 40, 5)
    for tol in (1e-1, 1e-3, 1e-9):
        result = NewtonTrainer(network_of(), tol=tol).fit(X, y)
        assert result.status == "converged"
        assert result.rmse <= tol < result.history[-1].rmse


@pytest.mark.parametrize("method", METHODS)
def test_history_describes_every_iteration(method):
    X, y = hard_problem()
    network = network_of(1024, shift="auto")
    seen = WeightsRecorder()
    result = NewtonTrainer(network, method=method, max_iter=10, callbacks=[seen]).fit(X, y)
    _, signs = network.dense_weights()
    assert len(result.history) == 10
    patterns = [W @ X.T > network.shift_ for W in seen.weights]
    for k, record in enumerate(result.history):
        outputs = reference.network_outputs(seen.weights[k], signs, network.shift_, X)
        assert record.iteration == k
        assert record.rmse == pytest.approx(np.sqrt(np.mean((outputs - y) ** 2)), rel=1e-9)
        assert record.loss == pytest.approx(0.5 * np.sum((outputs - y) ** 2), rel=1e-9)
        assert record.fired_pairs == np.count_nonzero(patterns[k])
        assert set(record.seconds) == {"gram", "solve", "step", "outputs"}
        assert all(value >= 0 for value in record.seconds.values())
        if record.accepted:
            assert record.flips == reference.count_flips(patterns[k], patterns[k + 1])
        if method == "trees":  # alpha = 0: exactly the neurons that fire are moved
            assert record.visited_neurons == np.count_nonzero(patterns[k].any(axis=1))
        assert record.reported_neurons == record.cleared_neurons + record.visited_neurons
        assert record.bytes_resident > 0
    assert sum(record.refactorings for record in result.history) > 0
    table = result.cost_table().splitlines()
    assert len(table) == len(result.history) + 2
    assert table[1].split()[2] == str(result.history[0].reported_neurons) or not result.history[0].accepted


# ---------------------------------------------------------------------- degenerate data

DEGENERATE = {
    "zero row": lambda X, y: (np.where(np.arange(60)[:, None] == 3, 0.0, X), y),
    "all zero": lambda X, y: (np.zeros((10, 3)), y[:10]),
    "constant columns": lambda X, y: (np.full((60, 5), 0.4), y),
    "one constant column": lambda X, y: (np.where(np.arange(5) == 2, 0.4, X), y),
    "conflicting duplicates": lambda X, y: (X[np.r_[0, 0, 2:60]], y),
    "equal duplicates": lambda X, y: (X[np.r_[0, 0, 2:60]], y[np.r_[0, 0, 2:60]]),
    "one sample": lambda X, y: (X[:1], y[:1]),
    "one zero sample": lambda X, y: (0 * X[:1], y[:1]),
    "one feature": lambda X, y: (np.sign(X[:, :1]), y),
    "huge targets": lambda X, y: (X, 1e12 * y),
    "tiny targets": lambda X, y: (X, 1e-12 * y),
    "equal targets": lambda X, y: (X, np.ones(60)),
    "norms from 1e-3 to 1e3": lambda X, y: (X * np.logspace(-3, 3, 60)[:, None], y),
}
# no network can fit these, whatever its width
UNFITTABLE = ("zero row", "all zero", "constant columns", "conflicting duplicates", "one zero sample", "one feature")
FITTABLE = ("equal duplicates", "one sample", "equal targets")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", [0.0, 1e-2])
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_data_end_with_a_finite_result_and_an_honest_status(seed, name, alpha, dtype):
    X, y = DEGENERATE[name](*random_problem(1 + seed, 60, 5))
    network = network_of(2**12, shift="paper", dtype=dtype)
    result = NewtonTrainer(network, alpha=alpha, max_iter=80).fit(X, y)
    assert math.isfinite(result.rmse)
    assert math.isfinite(result.loss)
    assert np.isfinite(network.displacement_).all()
    assert np.isfinite(network.predict(X)).all()
    assert_descends(result, dtype)
    assert_consistent(network, X, y, result, alpha_loss=alpha > 0)
    if alpha == 0:
        assert (result.status == "converged") == (result.rmse <= 1e-6)
        if name in UNFITTABLE:
            assert result.status in ("singular", "max_iter")
            assert result.rmse > 1e-6
        elif name in FITTABLE:
            assert result.rmse < 1e-2


def test_singular_data_say_so():
    X, y = random_problem(1, 60, 5)
    X[0] = 0
    result = NewtonTrainer(network_of(2**12, shift="paper"), max_iter=300).fit(X, y)
    assert result.status == "singular"
    assert "singular" in result.message
    # what is left is the target of the sample on which nothing can fire
    assert result.rmse == pytest.approx(abs(y[0]) / np.sqrt(60), rel=1e-3)


def test_conflicting_duplicates_are_fitted_in_the_mean():
    X, y = random_problem(1, 60, 5)
    X[1] = X[0]
    network = network_of(2**13, shift="paper")
    result = NewtonTrainer(network, max_iter=300).fit(X, y)
    assert result.status == "singular"
    assert np.allclose(network.predict(X[:2]), (y[0] + y[1]) / 2, atol=1e-3)


# ---------------------------------------------------------------------- real data


@pytest.mark.parametrize("width", [2**14, pytest.param(2**17, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("dtype", "tol"), [("float32", 1e-5), ("float64", 1e-10)])
def test_digits_parity_is_learned_in_eight_iterations(width, dtype, tol):
    X, y, X_test, y_test = digits_parity()
    network = ShiftedReLUNetwork(width, shift="paper", dtype=dtype, random_state=0)
    result = NewtonTrainer(network, tol=tol, max_iter=8).fit(X, y)
    assert result.status == "converged"
    assert result.rmse <= tol
    assert result.n_iter <= 8
    assert_descends(result)
    assert np.mean(np.sign(network.predict(X_test)) == y_test) >= 0.97


def test_breast_cancer_needs_damping_and_gets_it():
    data = load_breast_cancer()
    X = InputScaling(bias=1.0).fit(data.data).transform(data.data)
    y = np.where(data.target == 1, 1.0, -1.0)
    network = ShiftedReLUNetwork(2**14, shift="paper", random_state=0)
    result = NewtonTrainer(network, max_iter=40).fit(X, y)
    assert result.rmse <= 0.2
    assert_descends(result)
    assert_consistent(network, X, y, result)


# ---------------------------------------------------------------------- the same whatever the machine


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("init", ["paired", "gaussian"])
@pytest.mark.parametrize("alpha", [0.0, 1e-3])
# that with a Hadamard transform: tests/reference/test_reference.py
@pytest.mark.parametrize("method", [method for method in METHODS if method != "bpsw-srht"])
def test_the_trained_network_does_not_depend_on_who_trains_it(seed, method, dtype, init, alpha, monkeypatch):
    monkeypatch.setattr("sltrees.methods.trees._PAIRS_PER_SHARD", 75_000)  # several shards
    monkeypatch.setattr("sltrees.network.sampling_dense.BLOCKS_PER_TASK", 1)
    X, y = random_problem(seed, 150, 8)
    seen = set()
    for executor, n_threads in (("inline", None), *(("threads", count) for count in (1, 2, 8))):
        network = network_of(2**14 + 2, init=init, dtype=dtype, random_state=seed)
        trainer = NewtonTrainer(network, method=method, alpha=alpha, max_iter=4, executor=executor, n_threads=n_threads)
        result = trainer.fit(X, y)
        counts = [(record.visited_neurons, record.flips, record.cg_steps) for record in result.history]
        seen.add((network.digest(), result.rmse, result.loss, result.n_iter, str(counts)))
    assert len(seen) == 1


@pytest.mark.parametrize("max_gram", [None, 0])
@pytest.mark.parametrize("alpha", [0.0, 1e-3])
def test_findings_that_are_not_kept_are_found_again(seed, alpha, max_gram, monkeypatch):
    monkeypatch.setattr("sltrees.network.sampling_dense.BLOCKS_PER_TASK", 1)
    monkeypatch.setattr("sltrees.methods.certified.group._SHARDS_FOUND_AGAIN", 2)
    X, y = random_problem(seed, 100, 8)
    seen = set()
    for kept in (1 << 29, 1 << 16, 0):
        monkeypatch.setattr("sltrees.methods.certified.group.FINDINGS_KEPT", kept)
        network = network_of(2**14, random_state=seed)
        result = NewtonTrainer(network, alpha=alpha, max_iter=4, tol=1e-9, max_gram=max_gram).fit(X, 20 * y)
        assert any(record.rebuilt_lists for record in result.history)
        counts = [(record.visited_neurons, record.flips, record.cg_steps) for record in result.history]
        seen.add((network.digest(), result.rmse, result.loss, str(counts)))
    assert len(seen) == 1


def test_shards_make_no_difference_but_rounding(seed, monkeypatch):
    X, y = random_problem(seed, 50, 6)
    trained = []
    for pairs in (1, 1000, 1 << 23):
        monkeypatch.setattr("sltrees.methods.trees._PAIRS_PER_SHARD", pairs)
        network = network_of(512, shift=0.5, random_state=seed)
        NewtonTrainer(network, max_iter=4).fit(X, y)
        trained.append(network.dense_weights()[0])
    assert np.allclose(trained[0], trained[2], rtol=0, atol=1e-9)
    assert np.allclose(trained[1], trained[2], rtol=0, atol=1e-9)


def test_inputs_are_left_alone_and_may_be_read_only():
    X, y = random_problem(0, 30, 5)
    for array in (X, y):
        array.flags.writeable = False
    before = X.copy(), y.copy()
    network = network_of()
    NewtonTrainer(network).fit(X, y)
    assert np.array_equal(X, before[0])
    assert np.array_equal(y, before[1])
    # lists, integers and other orders are the same data
    other = network_of()
    NewtonTrainer(other).fit(np.asfortranarray(X).tolist(), y.tolist())
    assert network.digest() == other.digest()


# ---------------------------------------------------------------------- going on


def test_fitting_again_goes_on_from_where_training_was():
    X, y = hard_problem()
    network = network_of(1024, shift="auto")
    first = NewtonTrainer(network, max_iter=4).fit(X, y)
    second = NewtonTrainer(network, max_iter=6).fit(X, y)
    assert second.history[0].rmse == pytest.approx(first.rmse, rel=1e-9)
    assert second.loss < first.loss
    assert_descends(second)
    assert_consistent(network, X, y, second)


def test_fitting_again_after_convergence_takes_no_step():
    X, y = random_problem(0, 30, 5)
    network = network_of()
    NewtonTrainer(network, tol=1e-8).fit(X, y)
    digest = network.digest()
    again = NewtonTrainer(network, tol=1e-7).fit(X, y)
    assert (again.status, again.n_iter) == ("converged", 0)
    assert network.digest() == digest


def test_fitting_other_data_begins_from_the_trained_network():
    X, y = random_problem(0, 30, 5)
    network = network_of(2**13)
    NewtonTrainer(network).fit(X, y)
    other, targets = random_problem(1, 20, 5)
    before = network.predict(other)
    result = NewtonTrainer(network).fit(other, targets)
    assert result.status == "converged"
    assert result.history[0].rmse == pytest.approx(np.sqrt(np.mean((before - targets) ** 2)), rel=1e-9)
    assert_consistent(network, other, targets, result)


# ---------------------------------------------------------------------- Ctrl-C


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


class PressLater(Callback):
    """Press Ctrl-C from a timer, some time after training (or with `now` the set-up) began."""

    def __init__(self, delay, now=False):
        self.timer, self.pressed = threading.Timer(delay, self.press), None
        if now:
            self.timer.start()

    def on_start(self, trainer):
        if not self.timer.is_alive():
            self.timer.start()

    def press(self):
        self.pressed = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("delay", [0.003, 0.02, 0.05, 0.11, 0.23])
def test_ctrl_c_in_an_iteration_returns_at_once_and_keeps_the_last_step(delay):
    X, y, _, _ = digits_parity()
    network = ShiftedReLUNetwork(2**15, shift="paper", random_state=0)
    press, threads = PressLater(delay), blas_threads()
    result = NewtonTrainer(network, tol=0.0, max_iter=10_000, callbacks=[press]).fit(X, y)
    assert time.perf_counter() - press.pressed < 0.5
    assert result.status == "interrupted"
    assert_consistent(network, X, y, result)
    assert blas_threads() == threads
    # and training goes on from there
    following = NewtonTrainer(network, tol=0.0, max_iter=1).fit(X, y)
    assert following.history[0].rmse == pytest.approx(result.rmse, rel=1e-4, abs=1e-8)
    assert following.rmse <= following.history[0].rmse


def test_ctrl_c_in_the_set_up_returns_at_once():
    X, y, _, _ = digits_parity()
    network = ShiftedReLUNetwork(2**21, shift=4.0, random_state=0)
    threads, press = blas_threads(), PressLater(0.15, now=True)
    result = NewtonTrainer(network, callbacks=[press]).fit(X, y)
    assert time.perf_counter() - press.pressed < 0.5
    assert result.status == "interrupted"
    assert result.n_iter == 0
    assert blas_threads() == threads
    assert network.shift_ is None
    with pytest.raises(RuntimeError, match="no neurons yet"):
        network.predict(X)


def test_ctrl_c_before_anything_is_drawn_does_not_raise(monkeypatch):
    """Found once: pressed while memory was estimated."""
    X, y = random_problem(0, 30, 5)
    network = network_of()
    with monkeypatch.context() as patch:
        patch.setattr("sltrees.training.budget.bytes_needed", lambda *_, **__: signal.raise_signal(signal.SIGINT))
        result = NewtonTrainer(network, max_gram=100).fit(X, y)  # with a limit memory is always estimated
    assert (result.status, result.n_iter, network.shift_) == ("interrupted", 0, None)
    assert NewtonTrainer(network).fit(X, y).status == "converged"


@pytest.mark.parametrize("call", [1, 2, 3, 4])
@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_at_any_stage_of_the_set_up_leaves_a_network_that_can_be_trained(method, call, monkeypatch):
    monkeypatch.setattr("sltrees.methods.trees._PAIRS_PER_SHARD", 20_000)
    monkeypatch.setattr("sltrees.methods.dense._PAIRS_PER_SHARD", 200_000)
    monkeypatch.setattr("sltrees.network.sampling_dense.BLOCKS_PER_TASK", 1)
    X, y = random_problem(0, 30, 5)
    network = network_of(2**14)
    threads = blas_threads()
    result = NewtonTrainer(network, method=method, callbacks=[Interrupter("on_setup", call)]).fit(X, y)
    assert (result.status, result.n_iter) == ("interrupted", 0)
    assert blas_threads() == threads
    assert (network.shift_ is None) == (call <= 2)  # two shards are drawn, then trees or near lists are built
    fresh = network_of(2**14)
    for either in (network, fresh):
        assert NewtonTrainer(either, method=method).fit(X, y).status == "converged"
    assert network.digest() == fresh.digest()


# where Ctrl-C is pressed, and whether the step that is under way is then kept
MOMENTS = {
    "trees: moving the weights": (TreeShard, "try_step", False),
    "trees: judging the step": (ExplicitShard, "outputs", False),
    "trees: keeping the step": (TreesMethod, "keep", True),
    "trees: keeping it in one shard": (TreeShard, "keep", True),
    "dense: moving the weights": (DenseShard, "try_step", False),
    "dense: judging the step": (ExplicitShard, "outputs", False),
    "dense: forming G": (DenseMethod, "count_pairs", False),
    "dense: keeping the step": (DenseMethod, "keep", True),
    "dense: giving it to the network": (AllNeurons, "give_back", True),
    "bpsw: judging the step": (ExplicitShard, "outputs", False),
    "bpsw: giving it to the network": (AllNeurons, "give_back", True),
    "certified: looking at neurons": (CertifiedShard, "review", False),
    "certified: judging the step": (Run, "judge", False),
    "certified: beginning to keep it": (CertifiedMethod, "_begin_keeping", True),
    "certified: counting flips": (ShardGroup, "count_flips", True),
    "certified: forming G": (GramMatrix, "refresh", True),
    "certified: keeping the step": (CertifiedMethod, "keep", True),
    "certified: saying where it stands": (Run, "keep", True),
    "certified: telling of the iteration": (Attempt, "record", True),
    "certified: remembering the iteration": (Report, "add", True),
    "certified: keeping it in one shard": (CertifiedShard, "apply", True),
    # "again": what was found is not kept, but found again
    "certified: looking at neurons, to look again": (CertifiedShard, "review", False),
    "certified: looking again": (CertifiedShard, "find", True),
    "certified: counting flips found again": (PairCounts, "add_counts", True),
    "certified: keeping what was found again in one shard": (CertifiedShard, "apply", True),
}


@functools.cache
def digests_around_a_step(before, **options):
    """Of networks after so many steps, and after one more."""
    X, y = random_problem(0, 30, 5)
    digests = []
    for steps in (before, before + 1):
        network = network_of(2**15)
        result = NewtonTrainer(network, max_iter=steps, **options).fit(X, y)
        digests.append(network.digest())
    assert result.history[-1].accepted
    assert len(set(digests)) == 2
    return digests


@pytest.mark.parametrize("executor", ["threads", "inline"])
@pytest.mark.parametrize("alpha", [0.0, 1e-3])
@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_at_any_moment_of_a_step_leaves_it_taken_or_not_in_every_shard(moment, alpha, executor, monkeypatch):
    monkeypatch.setattr("sltrees.methods.trees._PAIRS_PER_SHARD", 10_000)
    monkeypatch.setattr("sltrees.methods.dense._PAIRS_PER_SHARD", 200_000)
    monkeypatch.setattr("sltrees.network.sampling_dense.BLOCKS_PER_TASK", 1)
    if "again" in moment:
        monkeypatch.setattr("sltrees.methods.certified.group.FINDINGS_KEPT", 0)
        monkeypatch.setattr("sltrees.methods.certified.group._SHARDS_FOUND_AGAIN", 2)
    cls, name, kept = MOMENTS[moment]
    X, y = random_problem(0, 30, 5)
    options = {"method": moment.split(":")[0], "executor": executor, "alpha": alpha, "tol": 0.0}
    before = 2 if alpha else 1  # with the ridge the second step is refused
    expected = digests_around_a_step(before, **options)
    original, calls = getattr(cls, name), []

    def interrupted(self, *arguments, **keywords):
        result = original(self, *arguments, **keywords)
        calls.append(0)
        # looking at neurons finds, too: that of the review is another moment
        if armed and not pressed and (name != "find" or sys._getframe(1).f_code.co_name != "review"):
            pressed.append(0)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)  # the other shards go on meanwhile
        return result

    armed, pressed = [], []

    class Arm(Callback):
        def on_iteration(self, trainer, record):
            if record.iteration + 1 == before:
                armed.append(0)

    monkeypatch.setattr(cls, name, interrupted)
    network = network_of(2**15)
    result = NewtonTrainer(network, callbacks=[Arm()], **options).fit(X, y)
    monkeypatch.undo()
    assert pressed
    assert result.status == "interrupted"
    assert result.n_iter == before + kept  # a step that was kept is in the history
    assert [record.iteration for record in result.history] == list(range(result.n_iter))
    assert network.digest() == expected[kept]
    assert_consistent(network, X, y, result, alpha_loss=alpha > 0)
    assert NewtonTrainer(network, method=options["method"], alpha=alpha, max_iter=1).fit(X, y).n_iter == 1


@pytest.mark.parametrize(("cls", "name"), [(CertifiedMethod, "release"), (InlineExecutor, "__exit__")])
def test_ctrl_c_as_the_last_thing_of_a_run_leaves_nothing_being_trained(cls, name, monkeypatch):
    X, y = random_problem(0, 30, 5)
    original, calls = getattr(cls, name), []

    def pressed(self, *arguments):
        original(self, *arguments)
        calls.append(0)
        signal.raise_signal(signal.SIGINT)

    network, plain = network_of(), network_of()
    with monkeypatch.context() as patch:
        patch.setattr(cls, name, pressed)
        result = NewtonTrainer(network, max_iter=2, executor="inline").fit(X, y)
    NewtonTrainer(plain, max_iter=2).fit(X, y)
    assert calls
    assert (result.status, result.n_iter) == ("interrupted", 2)
    assert not network.in_training
    assert network.digest() == plain.digest()
    assert_consistent(network, X, y, result)


# ---------------------------------------------------------------------- callbacks


class Diary(Callback):
    def __init__(self):
        self.entries = []

    def on_setup(self, trainer, done, total):
        self.entries.append(("setup", done, total))

    def on_start(self, trainer):
        self.entries.append(("start", trainer.network.neurons_.size > 0))

    def on_iteration(self, trainer, record):
        self.entries.append(("iteration", record.iteration))

    def on_end(self, trainer, result):
        self.entries.append(("end", result.status))


def test_callbacks_are_called_in_order(monkeypatch):
    monkeypatch.setattr("sltrees.network.sampling_dense.BLOCKS_PER_TASK", 1)
    X, y = random_problem(0, 30, 5)
    first, second = Diary(), Diary()
    result = NewtonTrainer(network_of(2**14), callbacks=[first, second, StopAfter(2)], tol=0.0).fit(X, y)
    assert result.status == "stopped"
    kinds = [entry[0] for entry in first.entries]
    n_setup = kinds.count("setup")
    assert n_setup >= 3
    assert kinds == ["setup"] * n_setup + ["start", "iteration", "iteration", "end"]
    assert first.entries[-3:] == [("iteration", 0), ("iteration", 1), ("end", "stopped")]
    shares = [done / total for _, done, total in first.entries[:n_setup]]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert second.entries == first.entries


@pytest.mark.parametrize("answer", [None, False, 0, np.False_, True, 1, np.True_])
def test_a_true_answer_stops_training(answer):
    class Answer(Callback):
        def on_iteration(self, trainer, record):
            return answer

    X, y = random_problem(0, 30, 5)
    assert NewtonTrainer(network_of(), callbacks=[Answer()]).fit(X, y).status == ("stopped" if answer else "converged")


def test_a_failure_in_a_step_leaves_the_network_as_it_was(monkeypatch):
    X, y = random_problem(0, 30, 5)
    network = network_of()
    NewtonTrainer(network, max_iter=1).fit(X, y)
    before = network.digest()

    def fail(self, *arguments):
        raise MemoryError("no memory in the middle of a step")

    for method, cls, name in (("trees", TreeShard, "_moved"), ("certified", CertifiedShard, "review")):
        with monkeypatch.context() as patch:
            patch.setattr(cls, name, fail)
            with pytest.raises(MemoryError, match="middle of a step"):
                NewtonTrainer(network, method=method).fit(X, y)
        assert network.digest() == before


@pytest.mark.parametrize("scale", [1e60, 1e150])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_targets_beyond_the_range_of_the_network_end_with_a_finite_network(scale, dtype):
    X, y = random_problem(0, 30, 5)
    network = network_of(dtype=dtype)
    result = NewtonTrainer(network, max_iter=30).fit(X, scale * y)
    assert np.isfinite(network.displacement_).all()
    assert np.isfinite(result.rmse)


def test_targets_with_an_infinite_sum_of_squares_are_refused():
    X, y = random_problem(0, 30, 5)
    with pytest.raises(ValueError, match=r"sum of y\*\*2 must be finite"):
        NewtonTrainer(network_of()).fit(X, 1e200 * y)


@pytest.mark.parametrize("call", ["initialize", "fit"])
def test_a_network_in_training_refuses_to_be_drawn_or_trained_again(call):
    X, y = random_problem(0, 30, 5)
    other, _ = random_problem(1, 30, 5)

    class Meddle(Callback):
        def on_iteration(self, trainer, record):
            if call == "initialize":
                trainer.network.initialize(other)
            else:
                NewtonTrainer(trainer.network).fit(other, y)

    network = network_of()
    with pytest.raises(RuntimeError, match="is being trained"):
        NewtonTrainer(network, callbacks=[Meddle()]).fit(X, y)
    assert NewtonTrainer(network).fit(X, y).status == "converged"


def test_training_again_goes_on_with_the_same_loss():
    X, y = random_problem(0, 30, 5)
    network = network_of()
    first = NewtonTrainer(network, alpha=0.1, max_iter=3).fit(X, y)
    second = NewtonTrainer(network, alpha=0.1, max_iter=3).fit(X, y)
    assert second.history[0].loss == pytest.approx(first.loss, rel=1e-6)


def test_an_exception_in_a_callback_reaches_the_caller_and_leaves_blas_as_it_was():
    class Broken(Callback):
        def on_iteration(self, trainer, record):
            raise RuntimeError("broken callback")

    X, y = random_problem(0, 30, 5)
    network, threads = network_of(), blas_threads()
    with pytest.raises(RuntimeError, match="broken callback"):
        NewtonTrainer(network, callbacks=[Broken()]).fit(X, y)
    assert blas_threads() == threads
    assert NewtonTrainer(network).fit(X, y).status == "converged"


def test_verbose_prints_a_row_per_iteration(capsys):
    X, y = random_problem(0, 30, 5)
    result = NewtonTrainer(network_of(), verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == PrintProgress.HEADER
    assert len(lines) == 1 + result.n_iter + 1
    assert lines[-1].startswith("converged at RMSE")
    NewtonTrainer(network_of()).fit(X, y)
    assert capsys.readouterr().out == ""


# ---------------------------------------------------------------------- ridge


@pytest.mark.parametrize("alpha", [1e-3, 0.1, 10.0])
def test_without_flips_ridge_training_is_kernel_ridge_with_the_gram_matrix(seed, alpha):
    X, y = random_problem(seed, 40, 5)
    y *= 1e-9  # weights move so little that no neuron changes what it fires on
    network = network_of(2048, random_state=seed).initialize(X)
    W, signs = network.dense_weights()
    result = NewtonTrainer(network, alpha=alpha, tol=1e-24, max_iter=4).fit(X, y)
    assert all(record.flips == 0 for record in result.history)
    J = reference.dense_jacobian(W, signs, 1.0, X)
    G = J @ J.T
    weights = np.linalg.solve(G + alpha * np.trace(G) / 40 * np.eye(40), y)
    assert np.allclose(network.predict(X), G @ weights, rtol=0, atol=1e-6 * np.abs(y).max())
    unseen = unit_rows(np.random.default_rng(5 + seed), 30, 5)
    kernel = reference.dense_jacobian(W, signs, 1.0, unseen) @ J.T
    assert np.allclose(network.predict(unseen), kernel @ weights, rtol=0, atol=1e-6 * np.abs(y).max())
    expected = (J.T @ weights).reshape(W.shape)[network.neurons_]
    assert np.linalg.norm(network.displacement_ - expected) <= 1e-6 * np.linalg.norm(expected)


def test_more_ridge_moves_the_weights_less(seed):
    X, y = random_problem(seed, 40, 5)
    moved = []
    for alpha in (0.0, 1e-2, 1.0, 100.0):
        network = network_of(random_state=seed)
        NewtonTrainer(network, alpha=alpha).fit(X, y)
        moved.append(np.linalg.norm(network.displacement_))
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] < 0.1 * moved[0]


# ---------------------------------------------------------------------- bad input


def bad_X(value):
    X = np.ones((4, 3))
    X[2, 1] = value
    return X


BAD_DATA = [
    (bad_X(np.nan), np.ones(4), ValueError, r"X must be finite in float64, got nan at index \(2, 1\)"),
    (bad_X(np.inf), np.ones(4), ValueError, r"X must be finite in float64, got inf at index \(2, 1\)"),
    (np.ones(4), np.ones(4), ValueError, r"X must have 2 dimensions, got shape \(4,\)"),
    (np.ones((0, 3)), np.ones(0), ValueError, r"X must have at least 1 row and 1 column, got shape \(0, 3\)"),
    (np.ones((4, 0)), np.ones(4), ValueError, r"X must have at least 1 row and 1 column, got shape \(4, 0\)"),
    (np.ones((4, 3), complex), np.ones(4), TypeError, "X must hold real numbers, got dtype complex128"),
    (np.full((4, 3), "1"), np.ones(4), TypeError, "X must hold real numbers, got dtype <U1"),
    ([[1.0, 2.0], [3.0]], np.ones(2), ValueError, "X must be a rectangular array of numbers"),
    (scipy.sparse.csr_array(np.ones((4, 3))), np.ones(4), TypeError, "X must be a dense array, got csr_array"),
    (np.ones((4, 3)), np.array([1, np.nan, 1, 1]), ValueError, r"y must be finite in float64, got nan at index \(1,\)"),
    (
        np.ones((4, 3)),
        np.array([1, 1, 1, -np.inf]),
        ValueError,
        r"y must be finite in float64, got -inf at index \(3,\)",
    ),
    (np.ones((4, 3)), np.ones(5), ValueError, r"y must have shape \(4,\), got \(5,\)"),
    (np.ones((4, 3)), np.ones((4, 1)), ValueError, r"y must have shape \(4,\), got \(4, 1\)"),
    (np.ones((4, 3)), 1.0, ValueError, r"y must have shape \(4,\), got \(\)"),
    (np.ones((4, 3)), np.ones(4, complex), TypeError, "y must hold real numbers, got dtype complex128"),
    (np.ones((4, 3)), ["a", "b", "c", "d"], TypeError, "y must hold real numbers, got dtype <U1"),
]


@pytest.mark.parametrize(("X", "y", "error", "message"), BAD_DATA)
def test_bad_data_are_refused_with_rule_and_value_and_change_nothing(X, y, error, message):
    fresh = network_of(100)
    state = pickle.dumps(fresh.__dict__)
    with pytest.raises(error, match=message):
        NewtonTrainer(fresh).fit(X, y)
    assert pickle.dumps(fresh.__dict__) == state
    trained = network_of(400)
    NewtonTrainer(trained).fit(np.eye(3), np.arange(3.0))
    digest = trained.digest()
    with pytest.raises(error, match=message):
        NewtonTrainer(trained).fit(X, y)
    assert trained.digest() == digest


def test_another_number_of_features_than_before_is_refused():
    network = network_of(400)
    NewtonTrainer(network).fit(np.eye(3), np.arange(3.0))
    with pytest.raises(ValueError, match="X must have 3 columns, got 4"):
        NewtonTrainer(network).fit(np.eye(4), np.arange(4.0))


def test_samples_beyond_float32_are_refused_where_the_network_is():
    with pytest.raises(ValueError, match="X must be finite in float32, got inf"):
        NewtonTrainer(network_of(100, dtype="float32")).fit([[1e39]], [1.0])


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"method": "certain"}, ValueError, "method must be one of .*'trees'.*, got 'certain'"),
        ({"alpha": -1.0}, ValueError, r"alpha must be finite and at least 0, got -1\.0"),
        ({"alpha": np.nan}, ValueError, "alpha must be finite and at least 0, got nan"),
        ({"alpha": [1.0]}, TypeError, r"alpha must be a real number, got \[1\.0\]"),
        ({"tol": -1e-9}, ValueError, "tol must be finite and at least 0, got -1e-09"),
        ({"tol": np.inf}, ValueError, "tol must be finite and at least 0, got inf"),
        ({"tol": None}, TypeError, "tol must be a real number, got None"),
        ({"max_iter": -1}, ValueError, "max_iter must be at least 0, got -1"),
        ({"max_iter": 2.5}, ValueError, r"max_iter must be an integer, got 2\.5"),
        ({"max_iter": "9"}, TypeError, "max_iter must be an integer, got '9'"),
        ({"n_threads": 0}, ValueError, "n_threads must be at least 1, got 0"),
        ({"max_memory": -5}, ValueError, "max_memory must be finite and at least 0, got -5"),
        ({"verbose": -1}, ValueError, "verbose must be at least 0, got -1"),
        ({"callbacks": [print]}, TypeError, "callbacks must be instances of sltrees.callbacks.Callback, got <built-in"),
    ],
)
def test_bad_parameters_are_refused_with_rule_and_value(parameters, error, message):
    with pytest.raises(error, match=message):
        NewtonTrainer(network_of(10), **parameters)


def test_anything_but_a_network_is_refused():
    with pytest.raises(TypeError, match="network must be a ShiftedReLUNetwork, got int"):
        NewtonTrainer(1000)


def test_too_little_memory_is_refused_with_the_bytes_and_the_network_unchanged():
    X, y = random_problem(0, 100, 8)
    network = network_of(2**14)
    with pytest.raises(
        MemoryError, match=r"needs [\d,]+ bytes, max_memory allows 1,000,000; lower the width"
    ) as caught:
        NewtonTrainer(network, max_memory=1e6, n_threads=2).fit(X, y)
    assert network.shift_ is None
    needed = int(re.search(r"needs ([\d,]+) bytes", str(caught.value))[1].replace(",", ""))
    assert needed > 1e6
    assert NewtonTrainer(network, max_memory=needed + 1, n_threads=2).fit(X, y).status == "converged"


def test_none_is_no_executor():
    with pytest.raises(ValueError, match="executor must be one of 'threads', 'inline', 'dask', got None"):
        NewtonTrainer(ShiftedReLUNetwork(10), executor=None)
