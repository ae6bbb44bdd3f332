"""A partial_fit that fails: the estimator is as it was, bit for bit, and learns the next batch as ever."""

import contextlib
import copy
import functools

import numpy as np
import pytest

import sltrees.estimators.kernel_ridge
import sltrees.estimators.networks
import sltrees.training.run
from sltrees.callbacks import Callback
from sltrees.estimators import NewtonClassifier, NewtonRegressor
from sltrees.kernels.unit_rows import UnitRowsKernel
from sltrees.linalg.leave_one_out import RidgeProblem
from sltrees.methods.certified.group import ShardGroup
from sltrees.methods.certified.method import CertifiedMethod
from sltrees.methods.certified.shard import CertifiedShard
from sltrees.preprocessing import InputScaling
from sltrees.reference.row_invariants import check_rows
from sltrees.training.reporting import Report
from sltrees.training.run import Run
from sltrees.training.trainer import NewtonTrainer

OPTIONS = {"model": "network", "width": 256, "random_state": 0, "alpha": 0.05, "max_iter": 4, "tol": 0.0}
OPTIONS |= {"evenness": 1.0, "n_jobs": 1}
N_FIRST, N_SECOND = 30, 40  # of samples, after the first call, and after the one that fails

INSIDE_NETWORKS = [
    (InputScaling, "transform"),
    (sltrees.estimators.networks, "joined"),
    (NewtonTrainer, "extend"),
    (CertifiedMethod, "_extended"),
    (ShardGroup, "extended_by"),
    (CertifiedShard, "with_samples"),
    (CertifiedMethod, "_visit_all"),
    (CertifiedMethod, "count_pairs"),
    (CertifiedMethod, "try_step"),
    (CertifiedMethod, "_apply"),
    (CertifiedMethod, "drop"),
    (Run, "choose_holding"),
    (Run, "set_up_method"),
    (Run, "make_gram"),
    (sltrees.training.run, "unit_of_ridge"),
    (Run, "evaluate"),
    (Run, "solve"),
    (Run, "keep"),
    (Run, "conclude"),
    (Run, "measure_laziness"),
    (Report, "end"),
]
INSIDE_KERNELS = [
    (InputScaling, "transform"),
    (sltrees.estimators.kernel_ridge, "joined"),
    (UnitRowsKernel, "between"),
    (RidgeProblem, "solution"),
    (RidgeProblem, "left_out"),
    (RidgeProblem, "error_left_out"),
]


class Unforeseen(Exception):
    """What nobody catches."""


def samples(n=60, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3))
    return X, np.sin(2 * X[:, 0]) + X[:, 1]


def regressor(**options):
    X, y = samples()
    return NewtonRegressor(**OPTIONS | options).fit(X[:N_FIRST], y[:N_FIRST])


def learn_second(estimator):
    """The call that fails: of targets that nobody would miss."""
    X, y = samples()
    targets = (-100 * y if y.dtype == float else y)[N_FIRST:N_SECOND]
    estimator.partial_fit(X[N_FIRST:N_SECOND], targets)


def failing(monkeypatch, owner, name, call, error, late):
    """Have a call of a function fail, before what it does or after; returns a list of the calls there were."""
    original, calls = getattr(owner, name), []

    def fails(*arguments, **keywords):
        calls.append(name)
        if len(calls) != call:
            return original(*arguments, **keywords)
        if late:
            original(*arguments, **keywords)
        raise error

    monkeypatch.setattr(owner, name, fails)
    return calls


def facts(estimator):
    """What an estimator predicts and knows, to the last bit."""
    X, _ = samples()
    model = estimator.fitted_model_
    known = [np.array(part) for part in model.samples_ if part is not None]
    found = [estimator.predict(X), *known, np.array(estimator.n_iter_)]
    for network, trainer in zip(getattr(model, "networks_", ()), getattr(model, "trainers_", ()), strict=True):
        network_knows = np.array(trainer.n_samples_)
        found += [network.displacement_, network.neurons_, trainer._samples[0], trainer._samples[1], network_knows]
    return found


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)


def assert_never_failed(estimator, before, reference):
    """That it is as before, and learns the next batch as one that never failed."""
    assert_same(facts(estimator), before)
    for network in getattr(estimator.fitted_model_, "networks_", ()):
        if network.state.method is not None:
            network.state.method._check(check_rows)
    X, y = samples()
    for one in estimator, reference:
        one.partial_fit(X[N_SECOND:50], y[N_SECOND:50])
    assert_same(facts(estimator), facts(reference))
    assert len(estimator.fitted_model_.samples_[0]) == N_FIRST + 10


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "name"), INSIDE_NETWORKS, ids=lambda value: getattr(value, "__name__", value))
def test_an_error_within_networks_leaves_all_as_it_was(owner, name, late, monkeypatch):
    n_failed = 0
    for call in (1, 4):
        estimator, reference = regressor(), regressor()
        before = facts(estimator)
        with monkeypatch.context() as patch:
            calls = failing(patch, owner, name, call, Unforeseen(), late)
            with contextlib.suppress(Unforeseen):
                learn_second(estimator)
        if len(calls) >= call:
            n_failed += 1
            assert_never_failed(estimator, before, reference)
    assert n_failed > 0


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "name"), INSIDE_KERNELS, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("error", [Unforeseen(), KeyboardInterrupt(), MemoryError()], ids=repr)
def test_an_error_within_kernels_leaves_all_as_it_was(owner, name, late, error, monkeypatch):
    estimator, reference = regressor(model="kernel"), regressor(model="kernel")
    before = facts(estimator)
    with monkeypatch.context() as patch:
        failing(patch, owner, name, 1, error, late)
        with pytest.raises(type(error)):
            learn_second(estimator)
    assert_never_failed(estimator, before, reference)


class RaiseAt(Callback):
    """Raises in the call of a kind and a number."""

    def __init__(self, kind, number, error):
        self.kind, self.number, self.error, self.n_calls = kind, number, error, 0

    def told(self, kind):
        if kind == self.kind:
            self.n_calls += 1
            if self.n_calls == self.number:
                raise self.error

    def on_setup(self, trainer, done, total):
        self.told("setup")

    def on_start(self, trainer):
        self.told("start")

    def on_iteration(self, trainer, record):
        self.told("iteration")

    def on_end(self, trainer, result):
        self.told("end")


@pytest.mark.parametrize("error", [Unforeseen(), MemoryError(), SystemExit(1)], ids=repr)
@pytest.mark.parametrize(
    ("kind", "number"),
    [("setup", 1), ("start", 1), ("start", 2), ("end", 1), ("end", 3), *(("iteration", k) for k in range(1, 12, 2))],
)
def test_a_callback_that_raises_leaves_all_outputs_as_they_were(kind, number, error):
    X, _ = samples()
    targets = np.stack([X[:, 0], np.sin(X[:, 1]), X[:, 2] ** 2], axis=1)

    def fitted():
        return NewtonRegressor(**OPTIONS).fit(X[:N_FIRST], targets[:N_FIRST])

    estimator, reference = fitted(), fitted()
    before = facts(estimator)
    estimator.set_params(callbacks=[RaiseAt(kind, number, error)])
    with pytest.raises(type(error)):
        estimator.partial_fit(X[N_FIRST:N_SECOND], -100 * targets[N_FIRST:N_SECOND])
    assert_same(facts(estimator), before)
    estimator.set_params(callbacks=())
    for one in estimator, reference:
        one.partial_fit(X[N_SECOND:50], targets[N_SECOND:50])
    assert_same(facts(estimator), facts(reference))


@pytest.mark.parametrize("way", ["file", "copy", "untrained", "float32", "loo"])
def test_networks_that_stand_otherwise_are_as_they_were(way, tmp_path):
    def fitted():
        options = {"untrained": {"max_iter": 0}, "float32": {"dtype": "float32"}, "loo": {"alpha": "loo"}}.get(way, {})
        estimator = regressor(**options)
        if way == "copy":
            return copy.deepcopy(estimator)
        if way == "file":
            estimator.save(tmp_path / "model.npz")
            return NewtonRegressor.load(tmp_path / "model.npz")
        return estimator

    estimator, reference = fitted(), fitted()
    before = facts(estimator)
    estimator.set_params(callbacks=[RaiseAt("iteration", 3, Unforeseen())], max_iter=4)
    with pytest.raises(Unforeseen):
        learn_second(estimator)
    estimator.set_params(callbacks=())
    reference.set_params(max_iter=4)
    assert_never_failed(estimator, before, reference)


def test_batches_go_on_being_learned_however_many_fail():
    X, y = samples(100)
    estimator, reference = regressor(), regressor()
    for start in range(N_FIRST, 90, 10):
        batch = slice(start, start + 10)
        estimator.set_params(callbacks=[RaiseAt("iteration", 1 + start % 3, Unforeseen())])
        with pytest.raises(Unforeseen):
            estimator.partial_fit(X[batch], 50 * y[batch])
        estimator.set_params(callbacks=())
        for one in estimator, reference:
            one.partial_fit(X[batch], y[batch])
    assert_same(facts(estimator), facts(reference))
    (trainer,) = estimator.fitted_model_.trainers_
    assert np.array_equal(trainer._samples[1], estimator.fitted_model_.samples_[1][:, 0])


def labelled():
    X, _ = samples()
    return X, np.searchsorted([-0.5, 0.5], X[:, 0])


@functools.cache
def classifier_of_three():
    X, labels = labelled()
    return NewtonClassifier(**OPTIONS).fit(X[:N_FIRST], labels[:N_FIRST])


@pytest.mark.parametrize(("owner", "name"), INSIDE_NETWORKS, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_after_an_interruption_anywhere_the_next_batch_finds_all_outputs_alike(owner, name, late, monkeypatch):
    X, labels = labelled()
    for call in (1, 6):
        estimator = copy.deepcopy(classifier_of_three())
        with monkeypatch.context() as patch:
            failing(patch, owner, name, call, KeyboardInterrupt(), late)
            with contextlib.suppress(KeyboardInterrupt):
                estimator.partial_fit(X[N_FIRST:N_SECOND], labels[N_FIRST:N_SECOND])
        assert np.isfinite(estimator.predict_proba(X)).all()
        known = len(estimator.fitted_model_.samples_[0])
        assert known in (N_FIRST, N_SECOND)
        assert {trainer.n_samples_ for trainer in estimator.fitted_model_.trainers_} <= {N_FIRST, known}
        estimator.partial_fit(X[N_SECOND:], labels[N_SECOND:])
        model = estimator.fitted_model_
        assert [trainer.n_samples_ for trainer in model.trainers_] == [known + 20] * 3
        for trainer, targets in zip(model.trainers_, model.samples_[1].T, strict=True):
            assert np.array_equal(trainer._samples[1], targets)
        for network in model.networks_:
            network.state.method._check(check_rows)
