"""How far weights have moved, and what the result of a run says of it."""

import dataclasses
import math

import numpy as np
import pytest
from in_process_cluster import InProcessCluster
from problems import random_problem, unit_rows

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback, Checkpoint
from sltrees.records import LAZY_FLIPS, LAZY_MOVE, Laziness

X, Y = random_problem(1, 80, 6)


def network_of(width=600, **options):
    return ShiftedReLUNetwork(width, **{"shift": 1.0, "random_state": 0, "dtype": "float64"} | options)


def by_definition(network, X, initial):
    """What `Laziness` says, of all weights as arrays."""
    ratios = np.linalg.norm(network.dense_weights()[0] - initial, axis=1) / np.linalg.norm(initial, axis=1)
    fired, fires = X @ initial.T > network.shift_, X @ network.dense_weights()[0].T > network.shift_
    squares = float(np.sum(ratios**2))
    shares = [float(np.count_nonzero(pairs) / np.count_nonzero(fired)) for pairs in (fired & ~fires, fires & ~fired)]
    return Laziness(network.width, math.sqrt(squares / network.width), float(ratios.max()), *shares)


def assert_alike(laziness, expected):
    assert dataclasses.astuple(laziness) == pytest.approx(dataclasses.astuple(expected), rel=1e-12)
    assert expected.ceased > 0 < expected.begun


@pytest.mark.parametrize("alpha", [0.0, 1e-2])
@pytest.mark.parametrize("options", [{}, {"init": "gaussian"}, {"sampling": "rejection"}], ids=str)
@pytest.mark.parametrize("method", ["certified", "trees", "dense", "bpsw"])
def test_movement_and_flips_are_those_of_the_weights(method, options, alpha):
    network = network_of(**options).initialize(X)
    initial = network.dense_weights()[0]
    result = NewtonTrainer(network, method=method, alpha=alpha, max_iter=8).fit(X, Y)
    assert_alike(result.laziness, by_definition(network, X, initial))


@pytest.mark.parametrize("alpha", [1e-2, 1.0])
@pytest.mark.parametrize("shrunk", [0.0, 1.0])
def test_they_are_right_also_where_the_ridge_makes_rows_forget(alpha, shrunk, monkeypatch):
    monkeypatch.setattr("sltrees.network.shards.SHRUNK_TO_NOTHING", shrunk)
    network = network_of().initialize(X)
    initial = network.dense_weights()[0]
    result = NewtonTrainer(network, alpha=alpha, max_iter=30, tol=0.0).fit(X, 3 * Y)
    assert any(record.rebuilt_lists for record in result.history)
    assert_alike(result.laziness, by_definition(network, X, initial))


@pytest.mark.parametrize("method", ["certified", "trees"])
def test_they_are_told_from_w0_on_also_where_training_goes_on(method):
    network = network_of().initialize(X)
    initial = network.dense_weights()[0]
    trainer = NewtonTrainer(network, method=method, max_iter=4)
    trainer.fit(X, Y)
    assert_alike(trainer.fit(X, 2 * Y).laziness, by_definition(network, X, initial))
    further = unit_rows(np.random.default_rng(2), 20, 6)
    result = trainer.extend(further, np.ones(20))
    assert_alike(result.laziness, by_definition(network, np.concatenate([X, further]), initial))
    result = NewtonTrainer(network, method="dense", max_iter=2).fit(X[:50], Y[:50])
    assert_alike(result.laziness, by_definition(network, X[:50], initial))


def test_they_are_those_of_the_weights_given_back():
    network = network_of().initialize(X)
    initial = network.dense_weights()[0]
    result = NewtonTrainer(network, max_iter=8).fit(X, Y, eval_set=random_problem(2, 30, 6))
    assert result.best_iteration < result.n_iter
    if result.best_iteration == 0:
        assert result.laziness == Laziness(600, 0.0, 0.0, 0.0, 0.0)
    else:
        assert_alike(result.laziness, by_definition(network, X, initial))


def test_they_are_the_same_in_every_bit_whoever_trains():
    def laziness(**options):
        network = ShiftedReLUNetwork(2**17, random_state=0, sampling="dense")
        return NewtonTrainer(network, alpha=1e-3, max_iter=5, **options).fit(X[:40], Y[:40]).laziness

    expected = laziness(n_threads=1)
    assert expected.begun > 0 < expected.move_max
    assert laziness(n_threads=2) == laziness(executor="inline") == expected
    with InProcessCluster(3) as cluster:
        assert laziness(executor=cluster) == expected


def test_resumed_from_a_checkpoint_they_are_the_same(tmp_path):
    class Stop(Callback):
        def on_iteration(self, trainer, record):
            if record.iteration == 2:
                raise SystemExit

    expected = NewtonTrainer(network_of(), max_iter=6).fit(X, Y).laziness
    with pytest.raises(SystemExit):
        NewtonTrainer(network_of(), max_iter=6, callbacks=[Checkpoint(tmp_path / "run"), Stop()]).fit(X, Y)
    assert NewtonTrainer.from_checkpoint(tmp_path / "run").fit(X, Y).laziness == expected


def test_a_run_that_was_cut_off_has_none():
    class Interrupt(Callback):
        def on_iteration(self, trainer, record):
            raise KeyboardInterrupt

    result = NewtonTrainer(network_of(), callbacks=[Interrupt()]).fit(X, Y)
    assert result.status == "interrupted"
    assert result.laziness is None


def test_weights_move_less_in_wider_networks_and_at_the_width_told_little_enough():
    results = [NewtonTrainer(network_of(width), tol=1e-3).fit(X[:30], Y[:30]).laziness for width in (2**11, 2**13)]
    assert results[1].move_rms == pytest.approx(results[0].move_rms / 2, rel=0.1)
    assert not results[1].is_lazy
    assert results[0].lazy_width / 2 <= results[1].lazy_width <= 2 * results[0].lazy_width
    wide = NewtonTrainer(network_of(2 * results[1].lazy_width, dtype="float32"), tol=1e-3).fit(X[:30], Y[:30]).laziness
    assert wide.is_lazy
    assert wide.move_rms <= LAZY_MOVE
    assert wide.ceased + wide.begun <= LAZY_FLIPS
    assert wide.lazy_width <= wide.width


def test_where_no_pair_fires_nothing_has_moved():
    laziness = NewtonTrainer(network_of(), max_iter=1).fit(np.zeros((3, 6)), np.ones(3)).laziness
    assert laziness == Laziness(600, 0.0, 0.0, 0.0, 0.0)
    assert laziness.is_lazy
    assert laziness.lazy_width == 1


def test_results_print_in_a_few_lines():
    result = NewtonTrainer(network_of(), max_iter=8).fit(X, Y, eval_set=(X, Y))
    text = str(result)
    assert repr(result) == text
    assert len(text) < 500
    assert len(text.splitlines()) == 4
    for told in (result.status, f"{result.n_iter} iterations", f"RMSE {result.rmse:.3g}", "eval_set", "not lazy"):
        assert told in text
