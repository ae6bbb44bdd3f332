"""Memory that runs out at any allocation of networks, trainers and estimators: what is promised holds afterwards.

As many allocations are refused, one at a time, as `SLTREES_FAILURES` says for each case, spread evenly; all with "all".
"""

import copy
import gc
import os
import pickle
import threading

import numpy as np
import pytest
from allocations import refusing
from problems import random_problem
from threadpoolctl import ThreadpoolController, threadpool_limits

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback
from sltrees.estimators import NewtonClassifier, NewtonRegressor
from sltrees.execution import blas
from sltrees.reference.row_invariants import check_rows

SAMPLE = os.environ.get("SLTREES_FAILURES", "6")
X, Y = random_problem(3, 24, 4)
N = 16  # samples of the first call
X_OTHER, Y_OTHER = random_problem(4, 24, 4)


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    """BLAS has its threads, and no thread runs on, whatever a test does."""
    with threadpool_limits(2, user_api="blas"):
        np.ones((2, 2)) @ np.ones((2, 2))
        libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        threads = set(threading.enumerate())
        assert [library.num_threads for library in libraries] == [2] * len(libraries) != []

        def check():
            if blas.n_holders():
                gc.collect()  # an executor that an error's traceback kept
            for thread in set(threading.enumerate()) - threads:
                thread.join(20)
                assert not thread.is_alive()
            assert blas.n_holders() == 0
            assert [library.num_threads for library in libraries] == [2] * len(libraries)

        yield check
        check()


def failing_everywhere(make, act, check, is_clean):
    """Do something to a new subject again and again, with another allocation refused each time.

    `check` is called with the subject after each MemoryError. What is caught on the way, where less memory will do, is
    no failure. Returns how many were refused.
    """
    subject = make()
    with refusing(0) as allocations:
        act(subject)
    n = allocations.seen
    assert n
    n_wanted = n if SAMPLE == "all" else min(int(SAMPLE), n)
    count = n_raised = 0
    for k in range(n_wanted):
        subject = make()
        with refusing(1 + k * n // n_wanted) as allocations:
            try:
                act(subject)
                raised = False
            except MemoryError:
                raised = True
            count += allocations.seen >= 1 + k * n // n_wanted
        n_raised += raised
        try:
            is_clean()
            check(subject, raised)
        except AssertionError as error:
            error.add_note(f"allocation {1 + k * n // n_wanted} of {n} refused")
            raise
    assert n_raised
    print(f"{count} allocations refused, {n_raised} errors")
    return count


# ---------------------------------------------------------------------- networks


def drawn(**options):
    return ShiftedReLUNetwork(**{"width": 256, "shift": 1.0, "random_state": 0} | options).initialize(X[:N])


def trained():
    network = drawn()
    NewtonTrainer(network, executor="inline", max_iter=2).fit(X[:N], Y[:N])
    return network


MUTATORS = {
    "initialize": (lambda: ShiftedReLUNetwork(256, shift=1.0, random_state=0), lambda network: network.initialize(X)),
    "rejection": (
        lambda: ShiftedReLUNetwork(2**14, shift=3.0, sampling="rejection", random_state=0),
        lambda network: network.initialize(X),
    ),
    "initialize further": (drawn, lambda network: network.initialize(X)),
    "initialize trained": (trained, lambda network: network.initialize(X)),
    "predict": (trained, lambda network: network.predict(X)),
    "deepcopy": (trained, copy.deepcopy),
    "pickle": (trained, lambda network: pickle.loads(pickle.dumps(network))),
}


@pytest.mark.parametrize("name", MUTATORS)
def test_a_network_is_as_it_was(name, nothing_is_left_behind):
    make, act = MUTATORS[name]
    reference, after = make(), make()
    before = reference.digest() if reference.state.is_drawn else None
    act(after)

    def check(network, raised):
        assert not network.in_training
        if raised:
            assert (network.digest() if network.state.is_drawn else None) == before
        act(network)
        assert network.digest() == after.digest()
        assert np.array_equal(network.predict(X), after.predict(X))

    failing_everywhere(make, act, check, nothing_is_left_behind)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, nothing_is_left_behind):
    path = tmp_path / "network.npz"
    drawn().save(path)
    before = path.read_bytes()

    def make():
        path.write_bytes(before)
        return trained()

    def check(network, raised):
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
        if raised:
            assert path.read_bytes() == before
        assert ShiftedReLUNetwork.load(path).digest() in (network.digest(), drawn().digest())

    failing_everywhere(make, lambda network: network.save(path), check, nothing_is_left_behind)


def test_a_file_is_read_whole_or_not_at_all(tmp_path, nothing_is_left_behind):
    trained().save(tmp_path / "network.npz")
    digest = trained().digest()

    def check(found, raised):
        assert len(found) == (not raised)
        assert all(network.digest() == digest for network in found)

    def act(found):
        found.append(ShiftedReLUNetwork.load(tmp_path / "network.npz"))

    failing_everywhere(list, act, check, nothing_is_left_behind)


def test_a_network_that_fails_to_be_compacted_predicts(nothing_is_left_behind):
    expected = trained().predict(X)

    def check(network, raised):
        assert np.array_equal(network.predict(X), expected)
        assert np.array_equal(network.compact().predict(X), expected)

    failing_everywhere(trained, lambda network: network.compact(), check, nothing_is_left_behind)


# ---------------------------------------------------------------------- trainers


class Digests(Callback):
    """Notes the network after each iteration."""

    def __init__(self):
        self.found = []

    def on_start(self, trainer):
        self.found.append(trainer.network.digest())

    def on_iteration(self, trainer, record):
        self.found.append(trainer.network.digest())


RUNS = {
    "certified": {},
    "ridge": {"alpha": 1e-2},
    "loo": {"alpha": "loo"},
    "trees": {"method": "trees"},
    "dense": {"method": "dense"},
    "bpsw": {"method": "bpsw"},
    "products": {"max_gram": 0},
    "preconditioned": {"max_gram": 0, "forcing": 0.1},
    "threads": {"executor": "threads", "n_threads": 2},
}


def trainer_of(name, **options):
    network = ShiftedReLUNetwork(256, shift=1.0, random_state=0, dtype="float64")
    return NewtonTrainer(network, **{"executor": "inline", "max_iter": 4, "tol": 1e-9} | RUNS[name] | options)


def steps_of(trainer, act):
    """Digests of a network before a call and after each of its steps."""
    network, digests = trainer.network, Digests()
    before = [network.digest()] if network.state.is_drawn else []
    trainer.callbacks = (digests,)
    act(trainer)
    return {*before, *digests.found}


def check_rows_of(network):
    if hasattr(network.state.method, "_check"):
        network.state.method._check(check_rows)


@pytest.mark.parametrize("name", RUNS)
def test_fit_leaves_the_last_step_kept(name, nothing_is_left_behind):
    def act(trainer):
        trainer.fit(X, Y)

    steps = steps_of(trainer_of(name), act)

    def check(trainer, raised):
        network = trainer.network
        assert not network.in_training
        assert not network.state.is_drawn or network.digest() in steps
        check_rows_of(network)
        result = trainer.fit(X, Y)
        assert np.isclose(result.rmse, np.sqrt(np.mean((network.predict(X) - Y) ** 2)), rtol=1e-6, atol=1e-9)
        check_rows_of(network)

    failing_everywhere(lambda: trainer_of(name), act, check, nothing_is_left_behind)


@pytest.mark.parametrize("name", ["certified", "ridge", "trees", "dense", "products"])
def test_extend_adds_no_sample(name, nothing_is_left_behind):
    def make():
        trainer = trainer_of(name)
        trainer.fit(X[:N], Y[:N])
        return trainer

    def check(trainer, raised):
        assert not trainer.network.in_training
        check_rows_of(trainer.network)
        if raised:
            assert trainer.n_samples_ == N
        n = trainer.n_samples_
        result = trainer.extend(X_OTHER, Y_OTHER)
        assert trainer.n_samples_ == n + len(X_OTHER)
        known, targets = np.concatenate([X[:n], X_OTHER]), np.concatenate([Y[:N], 100 * Y[N:n], Y_OTHER])
        predicted = trainer.network.predict(known)
        assert np.isclose(result.rmse, np.sqrt(np.mean((predicted - targets) ** 2)), rtol=1e-6, atol=1e-9)

    failing_everywhere(make, lambda trainer: trainer.extend(X[N:], 100 * Y[N:]), check, nothing_is_left_behind)


# ---------------------------------------------------------------------- estimators


NETWORK = {"model": "network", "width": 128, "random_state": 0, "alpha": 0.05, "max_iter": 2, "evenness": 1.0}
NETWORK |= {"executor": "inline", "n_jobs": 1}
ESTIMATORS = {
    "kernel": {"model": "kernel", "n_jobs": 1},
    "network": NETWORK,
    "network loo": NETWORK | {"alpha": "loo"},
}


def facts(estimator):
    """What an estimator predicts and knows, to the last bit."""
    model = estimator.fitted_model_
    return [estimator.predict(X_OTHER), *(part for part in model.samples_ if part is not None)]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("call", ["fit", "warm fit", "partial_fit"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_is_as_it_was(name, call, nothing_is_left_behind):
    warm = {"warm_start": call == "warm fit"}

    def make():
        return NewtonRegressor(**ESTIMATORS[name] | warm).fit(X[:N], Y[:N])

    def act(estimator):
        (estimator.partial_fit if call == "partial_fit" else estimator.fit)(X[N:], -Y[N:])

    before, after = facts(make()), make()
    act(after)

    def check(estimator, raised):
        if raised:
            assert_same(facts(estimator), before)
        else:
            assert_same(facts(estimator), facts(after))
        act(estimator)
        assert np.isfinite(estimator.predict(X)).all()

    failing_everywhere(make, act, check, nothing_is_left_behind)


@pytest.mark.parametrize("name", ["kernel", "network"])
def test_a_classifier_that_was_never_fitted_is_as_new(name, nothing_is_left_behind):
    labels = (Y > 0).astype(int)
    expected = NewtonClassifier(**ESTIMATORS[name]).fit(X, labels).predict_proba(X)

    def check(estimator, raised):
        assert hasattr(estimator, "fitted_model_") == (not raised)
        assert np.array_equal(estimator.fit(X, labels).predict_proba(X), expected)

    failing_everywhere(
        lambda: NewtonClassifier(**ESTIMATORS[name]), lambda one: one.fit(X, labels), check, nothing_is_left_behind
    )
