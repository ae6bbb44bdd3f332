"""NewtonTrainer.extend: samples join without a restart."""

import re

import numpy as np
import pytest
from problems import random_problem

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback

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


class PressOnSetUp(Callback):
    """Ctrl-C in the middle of drawing, when armed."""

    armed = False

    def on_setup(self, trainer, done, total):
        if self.armed:
            raise KeyboardInterrupt


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_interrupted_before_anything_is_drawn_no_sample_is_added(sampling):
    X, y = random_problem(9, 30, 5)
    press = PressOnSetUp()
    trainer = trainer_for(sampling, callbacks=[press])
    trainer.fit(X[:20], y[:20])
    digest = trainer.network.digest()
    press.armed = True
    assert trainer.extend(X[20:], y[20:]).status == "interrupted"
    assert trainer.network.digest() == digest
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
