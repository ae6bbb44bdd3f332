"""NewtonTrainer.extend: samples join without a restart."""

import copy
import re

import numpy as np
import pytest
from problems import random_problem

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback
from sltrees.network.samples import fingerprint_of
from sltrees.reference.row_invariants import check_rows
from sltrees.training import run
from sltrees.training.run import Run

SAMPLINGS = ("dense", "rejection")


def trainer_for(sampling, width=60_000, **options):
    network = ShiftedReLUNetwork(width, shift=1.5, sampling=sampling, dtype="float64", random_state=3)
    return NewtonTrainer(network, **{"tol": 1e-9} | options)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("method", ["certified", "trees"])
def test_extended_training_reaches_the_loss_of_training_from_scratch(sampling, method):
    X, y = random_problem(5, 60, 6)
    trainer = trainer_for(sampling, method=method)
    assert trainer.fit(X[:20], y[:20]).status == "converged"
    for start in range(20, 60, 10):
        result = trainer.extend(X[start : start + 10], y[start : start + 10])
        assert result.status == "converged"
        assert result.rmse <= 1e-9
        assert np.abs(trainer.network.predict(X[: start + 10]) - y[: start + 10]).max() < 1e-7
        assert trainer.n_samples_ == start + 10
    scratch = trainer_for(sampling, method=method)
    assert scratch.fit(X, y).rmse <= 1e-9
    orders = [np.argsort(t.network.neurons_) for t in (scratch, trainer)]
    assert np.array_equal(scratch.network.neurons_[orders[0]], trainer.network.neurons_[orders[1]])
    W0 = [t.network.materialised_weights() - t.network.displacement_ for t in (scratch, trainer)]
    assert np.allclose(W0[0][orders[0]], W0[1][orders[1]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_iterations_go_on_from_the_weights_as_they_are(sampling):
    X, y = random_problem(6, 40, 6)
    trainer = trainer_for(sampling)
    trainer.fit(X[:39], y[:39])
    result = trainer.extend(X[39:], y[39:])
    # one sample is new: the others are fitted already
    assert result.history[0].rmse < 2.5 * np.abs(y[39:]).max() / np.sqrt(40) + 1e-6
    scratch = trainer_for(sampling).fit(X, y)
    assert result.n_iter <= scratch.n_iter


def test_samples_given_again_count_again():
    X, y = random_problem(7, 20, 5)
    trainer = trainer_for("rejection", alpha=1e-2, tol=1e-4)
    trainer.fit(X, y)
    before = trainer.network.neurons_
    result = trainer.extend(X[:3], y[:3])
    assert result.status == "converged"
    assert np.array_equal(trainer.network.neurons_, before)
    assert trainer.n_samples_ == 23


def test_arrays_that_the_caller_changes_afterwards_are_not_trained_on():
    X, y = random_problem(8, 20, 5)
    X, kept = X.copy(), y.copy()
    trainer = trainer_for("dense")
    trainer.fit(X, y)
    X_before = X.copy()
    X[...] = 7.0
    y[...] = 7.0
    trainer.extend(-X_before[:1], [0.5])
    assert np.abs(trainer.network.predict(X_before) - kept).max() < 1e-7


class Checker(Callback):
    """Checks rows and sums of the method at the start, and after each step."""

    n_checks = 0

    def on_start(self, trainer):
        trainer.network.state.method._check(check_rows)
        self.n_checks += 1

    def on_iteration(self, trainer, record):
        self.on_start(trainer)


def awkward_samples(seed, n, d):
    """Rows of several norms, some that are alike or there twice, some zero."""
    X, y = random_problem(seed, n, d)
    X *= np.random.default_rng(seed).choice([0.7, 1.0, 1.4], n)[:, None]
    X[n // 2] = X[1]
    X[n // 3] = 0
    X[2 * n // 3] = X[0] + 1e-3
    y[n // 2], y[n // 3] = y[1], 0.0
    return X, y


@pytest.mark.parametrize("alpha", [0.0, 1e-2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("init", "sampling"), [("paired", "dense"), ("paired", "rejection"), ("gaussian", "dense")])
def test_rows_that_are_extended_are_those_that_are_built_anew(seed, init, sampling, dtype, alpha):
    X, y = awkward_samples(seed, 45, 6)
    network = ShiftedReLUNetwork(2_000, shift=1.5, init=init, sampling=sampling, dtype=dtype, random_state=seed)
    checker = Checker()
    trainer = NewtonTrainer(network, alpha=alpha, tol=1e-7, max_iter=4, callbacks=[checker])
    trainer.fit(X[:30], 5 * y[:30])
    for start in (30, 35, 36):
        samples, targets = X[: max(35, start + 1)], 5 * y[: max(35, start + 1)]
        written = copy.copy(network)
        before = network.state.method
        result = trainer.extend(samples[start:], targets[start:])
        assert len(before._planes.X) < len(network.state.method._planes.X)
        assert network.state.method is not before
        assert trainer.n_samples_ == len(samples)
        anew = NewtonTrainer(written, alpha=alpha, tol=1e-7, max_iter=4, callbacks=[checker]).fit(samples, targets)
        assert network.neurons_.size == written.neurons_.size
        assert np.array_equal(np.sort(network.neurons_), np.sort(written.neurons_))
        tolerance = 1e-8 if dtype == "float64" else 2e-3
        assert result.history[0].rmse == pytest.approx(anew.history[0].rmse, rel=tolerance)
        # products at the hyperplane itself may be rounded to either side
        assert abs(result.history[0].fired_pairs - anew.history[0].fired_pairs) <= 3
        assert np.sqrt(np.mean((network.predict(samples) - targets) ** 2)) == pytest.approx(result.rmse, abs=1e-5)
    assert checker.n_checks > 6


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_with_a_ridge_the_loss_is_that_of_training_from_scratch(seed, sampling):
    X, y = random_problem(seed, 60, 6)
    options = {"alpha": 1e-3, "tol": 1e-8, "max_iter": 60}
    trainer = trainer_for(sampling, **options)
    trainer.fit(X[:20], y[:20])
    for start in range(20, 60, 10):
        extended = trainer.extend(X[start : start + 10], y[start : start + 10])
    other = trainer_for(sampling, **options)
    scratch = other.fit(X, y)
    # the same ridge; which minimum is found depends on the way there
    scales = [t.network.state.scales[fingerprint_of(X)] for t in (trainer, other)]
    assert scales[0] == pytest.approx(scales[1], rel=1e-9)
    assert extended.loss == pytest.approx(scratch.loss, rel=0.05)


def test_neurons_materialised_for_other_samples_join_the_rows():
    X, y = random_problem(4, 40, 5)
    network = ShiftedReLUNetwork(20_000, shift=2.0, dtype="float64", random_state=0)
    checker = Checker()
    trainer = NewtonTrainer(network, tol=1e-9, callbacks=[checker])
    trainer.fit(X[:20], y[:20])
    own = network.neurons_.size
    network.initialize(X[20:])
    assert network.neurons_.size > own
    # for a part of them, then for all, then with the network drawn for all of them before
    trainer.extend(X[20:25], y[20:25])
    assert trainer.extend(X[25:30], y[25:30]).rmse <= 1e-9
    network.initialize(X)
    assert trainer.extend(X[30:], y[30:]).rmse <= 1e-9
    assert np.abs(network.predict(X) - y).max() < 1e-7
    # the run before went on with rows that know nothing of other samples
    network.initialize(np.eye(5))
    assert trainer.fit(X, y).n_iter == 0
    assert np.abs(network.predict(X) - y).max() < 1e-7


def test_samples_that_join_cost_less_than_all_samples_from_the_start():
    X, y = random_problem(5, 80, 6)
    trainer = trainer_for("rejection", width=100_000)
    trainer.fit(X[:76], y[:76])
    extended = trainer.extend(X[76:], y[76:])
    scratch = trainer_for("rejection", width=100_000).fit(X, y)
    visits = [sum(record.visited_neurons for record in result.history) for result in (extended, scratch)]
    assert visits[0] < visits[1]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_rows_that_come_again_do_not_change_which_neurons_join(sampling):
    X, y = random_problem(11, 30, 5)
    X[20], X[25] = X[3], X[21]
    y[20], y[25] = y[3], y[21]
    trainer, scratch = trainer_for(sampling), trainer_for(sampling)
    trainer.fit(X[:20], y[:20])
    assert trainer.extend(X[20:], y[20:]).rmse <= 1e-9
    scratch.fit(X, y)
    assert np.array_equal(np.sort(trainer.network.neurons_), np.sort(scratch.network.neurons_))


def test_samples_on_which_nothing_fired_leave_the_ridge_to_those_that_join():
    trainer, scratch = trainer_for("dense", alpha=1e-2), trainer_for("dense", alpha=1e-2)
    X, y = np.concatenate([np.zeros((3, 5)), np.eye(5)[:3]]), np.arange(6.0)
    trainer.fit(X[:3], y[:3])
    trainer.extend(X[3:], y[3:])
    scratch.fit(X, y)
    scales = [t.network.state.scales[fingerprint_of(X)] for t in (trainer, scratch)]
    assert scales[0] == pytest.approx(scales[1], rel=1e-9)


class PressOnSetUp(Callback):
    """Ctrl-C in the middle of drawing, or of what follows, when armed."""

    armed, after = False, 0

    def on_setup(self, trainer, done, total):
        if self.armed and done > self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [0, 1, 2, 3])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_interrupted_in_the_set_up_no_sample_is_added(sampling, after):
    X, y = random_problem(9, 30, 5)
    press = PressOnSetUp()
    press.after = after
    trainer = trainer_for(sampling, callbacks=[press])
    trainer.fit(X[:20], y[:20])
    digest = trainer.network.digest()
    press.armed = True
    assert trainer.extend(X[20:], y[20:]).status == "interrupted"
    assert trainer.network.digest() == digest
    assert trainer.n_samples_ == 20
    press.armed = False
    assert trainer.extend(X[20:], y[20:]).status == "converged"
    assert trainer.n_samples_ == 30


@pytest.mark.parametrize(
    ("X_new", "y_new", "error", "message"),
    [
        (np.eye(4), np.ones(4), ValueError, "X must have 5 columns"),
        (np.eye(5), np.ones(4), ValueError, "y_new must have shape (5,), got (4,)"),
        (np.full((1, 5), np.nan), [1.0], ValueError, "finite"),
        (np.eye(5), np.full(5, np.inf), ValueError, "finite"),
        ("text", [1.0], TypeError, "X"),
    ],
)
def test_bad_samples_are_refused_before_anything_changes(X_new, y_new, error, message):
    X, y = random_problem(9, 20, 5)
    trainer = trainer_for("rejection")
    trainer.fit(X, y)
    digest = trainer.network.digest()
    with pytest.raises(error, match=re.escape(message)):
        trainer.extend(X_new, y_new)
    assert trainer.network.digest() == digest
    assert trainer.n_samples_ == 20


def test_without_samples_there_is_nothing_to_extend():
    with pytest.raises(RuntimeError, match="call fit"):
        trainer_for("dense").extend(np.eye(3), np.ones(3))


class Failing(Callback):
    """Raises once, at some moment of the run for which it is armed."""

    def __init__(self, moment, error):
        self.moment, self.error, self.armed = moment, error, False

    def _fail(self, moment):
        if self.armed and moment == self.moment:
            self.armed = False
            raise self.error

    def on_setup(self, trainer, done, total):
        self._fail("on_setup")

    def on_start(self, trainer):
        self._fail("on_start")

    def on_iteration(self, trainer, record):
        self._fail("on_iteration")

    def on_end(self, trainer, result):
        self._fail("on_end")


@pytest.mark.parametrize("method", ["certified", "trees"])
@pytest.mark.parametrize("error", [RuntimeError("no"), MemoryError("no"), SystemExit("no"), KeyboardInterrupt()])
@pytest.mark.parametrize("moment", ["on_setup", "on_start", "on_iteration", "on_end", "gram", "unit"])
def test_after_an_exception_no_sample_is_added(moment, error, method, monkeypatch):
    X, y = random_problem(6, 40, 6)
    failing = Failing(moment, error)
    trainer = trainer_for("dense", width=6000, callbacks=[failing], method=method, alpha=1e-3, tol=1e-4)
    trainer.fit(X[:20], y[:20])
    alpha, failing.armed = trainer.alpha_, True

    def extend_in_vain():
        return trainer.extend(X[20:30], 100 * y[20:30])

    with monkeypatch.context() as patch:
        if moment in ("gram", "unit"):

            def fail(*arguments):
                raise error

            patch.setattr(*{"gram": (Run, "make_gram", fail), "unit": (run, "unit_of_ridge", fail)}[moment])
        if isinstance(error, KeyboardInterrupt) and moment != "on_end":  # that ends the run, and raises nothing
            assert extend_in_vain().status == "interrupted"
            return
        with pytest.raises(type(error)):
            extend_in_vain()
    assert not trainer.network.in_training
    assert trainer.n_samples_ == 20
    assert trainer.alpha_ == alpha
    result = trainer.extend(X[30:], y[30:])
    assert result.status == "converged"
    assert trainer.n_samples_ == 30
    rows = np.r_[0:20, 30:40]
    assert np.isclose(result.rmse, np.sqrt(np.mean((trainer.network.predict(X[rows]) - y[rows]) ** 2)), rtol=1e-6)
    assert result.rmse < 0.2  # the targets that were not added would make it some ten
