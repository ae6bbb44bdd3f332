"""A fit that fails, with warm_start, or because another thread is learning: the estimator is as it was."""

import copy
import functools
import pickle
import threading

import numpy as np
import pytest
from interruptions import code_of, interrupted_everywhere

from sltrees.callbacks import Callback
from sltrees.estimators import NewtonClassifier, NewtonRegressor, base
from sltrees.estimators.base import NewtonEstimator
from sltrees.estimators.networks import Networks
from sltrees.execution.blas import n_holders
from sltrees.linalg.cholesky import CholeskyFactor
from sltrees.methods.certified.method import CertifiedMethod
from sltrees.training.run import Run
from sltrees.training.trainer import NewtonTrainer

OPTIONS = {"model": "network", "width": 256, "random_state": 0, "alpha": 0.05, "max_iter": 3, "tol": 0.0}
OPTIONS |= {"evenness": 1.0, "n_jobs": 1, "warm_start": True}
INSIDE = [
    (Networks, "to_keep"),
    (Networks, "_tell"),
    (NewtonTrainer, "fit"),
    (Run, "set_up_method"),
    (Run, "make_gram"),
    (CholeskyFactor, "solve"),
    (CertifiedMethod, "try_step"),
    (CertifiedMethod, "keep"),
    (Run, "keep"),
    (Run, "conclude"),
]


class Unforeseen(Exception):
    """What nobody catches."""


def samples(n=40):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 3))
    return X, np.stack([np.sin(2 * X[:, 0]), X[:, 1] ** 2], axis=1)


@functools.cache
def fitted_once():
    X, Y = samples()
    return NewtonRegressor(**OPTIONS).fit(X, Y)


def fitted():
    return copy.deepcopy(fitted_once())


def facts(estimator):
    """What an estimator predicts and knows, to the last bit."""
    model = estimator.fitted_model_
    found = [estimator.predict(samples(60)[0]), *model.samples_, model.alpha_, estimator.n_iter_]
    for network, trainer in zip(model.networks_, model.trainers_, strict=True):
        found += [network.displacement_, network.neurons_, trainer.n_samples_, trainer.alpha, *trainer._samples[:2]]
    return found


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("others", [False, True], ids=["same samples", "others"])
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "name"), INSIDE, ids=lambda value: getattr(value, "__name__", value))
def test_a_warm_fit_that_fails_leaves_the_estimator_as_it_was(owner, name, late, others, monkeypatch):
    X, Y = samples()
    n_failed = 0
    for call in (1, 2, 5):
        estimator = fitted().set_params(alpha=0.01)
        before, original, calls = facts(estimator), getattr(owner, name), []

        def fails(*arguments, original=original, calls=calls, call=call, **keywords):
            calls.append(name)
            if len(calls) == call and not late:
                raise Unforeseen
            result = original(*arguments, **keywords)
            if len(calls) == call:
                raise Unforeseen
            return result

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fails)
            try:
                estimator.fit(X + others, -Y)
                continue  # there were fewer calls
            except Unforeseen:
                n_failed += 1
        assert_same(facts(estimator), before)
        # and goes on: to what the same call finds where nothing failed, as far as that is trained
        estimator.set_params(max_iter=30, tol=1e-6).fit(X, -Y)
        reference = fitted().set_params(alpha=0.01, max_iter=30, tol=1e-6).fit(X, -Y)
        assert np.allclose(estimator.predict(X), reference.predict(X), atol=0.01)
    assert n_failed


def test_an_interrupted_warm_fit_leaves_what_is_trained():
    X, Y = samples()

    class Interrupt(Callback):
        def on_iteration(self, trainer, record):
            if record.iteration == 1:
                raise KeyboardInterrupt

    estimator = fitted()
    before = estimator.predict(X)
    with pytest.raises(KeyboardInterrupt):
        estimator.set_params(callbacks=[Interrupt()]).fit(X, -Y)
    after = estimator.predict(X)
    assert not np.array_equal(after[:, 0], before[:, 0])
    assert np.array_equal(after[:, 1], before[:, 1])  # it was not its turn yet


class Waits(Callback):
    """Holds a training until it may go on."""

    def __init__(self):
        self.reached, self.go_on = threading.Event(), threading.Event()

    def on_iteration(self, trainer, record):
        self.reached.set()
        assert self.go_on.wait(60)


@pytest.mark.parametrize("first", ["fit", "partial_fit"])
@pytest.mark.parametrize("second", ["fit", "partial_fit"])
def test_two_threads_do_not_learn_at_once(first, second):
    X, Y = samples()
    estimator, reference, waits = fitted(), fitted(), Waits()
    thread = threading.Thread(target=getattr(estimator.set_params(callbacks=[waits]), first), args=(X + 1, Y))
    thread.start()
    try:
        assert waits.reached.wait(60)
        with pytest.raises(RuntimeError, match="the estimator is learning already: one fit or partial_fit at a time"):
            getattr(estimator, second)(X - 1, Y)
        assert np.isfinite(estimator.predict(X)).all()
        # a copy learns nothing yet
        copied = pickle.loads(pickle.dumps(estimator.fitted_model_))
        assert np.isfinite(copied.predict(estimator.scaling_.transform(X))).all()
        other = copy.copy(estimator).set_params(callbacks=(), model="kernel", warm_start=False)
        assert other.fit(X, Y).model_ == "kernel"
    finally:
        waits.go_on.set()
        thread.join()
    getattr(reference, first)(X + 1, Y)
    assert np.array_equal(estimator.predict(X), reference.predict(X))
    estimator.set_params(callbacks=()).partial_fit(X - 1, Y)  # it is nobody's turn now


def test_a_callback_does_not_learn_with_the_estimator_that_calls_it():
    X, Y = samples()

    class Greedy(Callback):
        def on_end(self, trainer, result):
            estimator.partial_fit(X, Y)

    estimator = NewtonRegressor(**OPTIONS | {"callbacks": [Greedy()]})
    with pytest.raises(RuntimeError, match="learning already"):
        estimator.fit(X, Y)
    estimator.set_params(callbacks=()).fit(X, Y)


def test_blas_is_held_from_the_beginning_of_learning_to_its_end():
    X, Y = samples(12)
    held = []

    class Regressor(NewtonRegressor):
        def _learn_coding(self, *arguments):
            held.append(n_holders())
            super()._learn_coding(*arguments)

    Regressor("kernel").fit(X, Y)
    assert held == [1]
    assert n_holders() == 0


def test_ctrl_c_anywhere_leaves_nobody_learning():
    X, Y = samples(12)
    estimator = NewtonClassifier("kernel", alpha=0.1, evenness=1.0, n_jobs=1)

    def act():
        return estimator.fit(X, Y[:, 0] > 0)

    def check(outcome):
        assert estimator._learning is None
        assert n_holders() == 0

    codes = code_of(NewtonEstimator._alone, NewtonEstimator._fit, NewtonEstimator._fit_alone, NewtonEstimator._become)
    interrupted_everywhere(act, codes, check)
    assert act().predict(X).shape == (12,)


@pytest.mark.parametrize("disguise", [TypeError, RuntimeError, None])
def test_ctrl_c_that_a_library_makes_another_error_of_is_ctrl_c(monkeypatch, disguise):
    X, Y = samples()

    def search(*arguments, **options):  # the kernel is there by now
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            if disguise is None:
                raise
            raise disguise("'<' not supported")  # noqa: B904 as NumPy does

    monkeypatch.setattr(base, "search_models", search)
    model = NewtonRegressor(random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert model.model_ == "kernel"
    assert n_holders() == 0
    with pytest.raises(ValueError, match="tol must be"):
        NewtonRegressor(tol=-1.0).fit(X, Y)
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:  # what fails while another one is handled is what it is
        with pytest.raises(TypeError):
            NewtonRegressor(tol="small").fit(X, Y)
