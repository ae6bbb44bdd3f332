"""Training where G is not held as an array: inexact steps, and what holds of them all the same."""

import re
import tracemalloc

import numpy as np
import pytest
from problems import random_problem

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Checkpoint
from sltrees.methods.certified.method import CertifiedMethod
from sltrees.reference.row_invariants import check_rows
from sltrees.training.damping import LevenbergMarquardt
from sltrees.training.forcing import LEAST, MOST, ForcingTerms


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch):
    monkeypatch.setattr("sltrees.training.budget.MAX_GRAM", 10)
    monkeypatch.setattr("sltrees.gram.preconditioned.FIRST_RANK", 16)


def network_of(width=4096, **options):
    return ShiftedReLUNetwork(width, **{"shift": 1.0, "dtype": "float64", "random_state": 0} | options)


def train(X, y, network=None, **options):
    network = network or network_of()
    return network, NewtonTrainer(network, **{"alpha": 1e-2, "max_iter": 8, "tol": 1e-9} | options).fit(X, y)


@pytest.mark.parametrize("alpha", [0.0, 1e-2])
@pytest.mark.parametrize("method", ["dense", "certified"])
def test_exact_steps_are_those_of_dense_gauss_newton(seed, alpha, method, monkeypatch):
    X, y = random_problem(seed, 100, 8)
    here, result = train(X, y, alpha=alpha, forcing=0.0, max_iter=3)
    monkeypatch.setattr("sltrees.training.budget.MAX_GRAM", 1000)
    there, expected = train(X, y, alpha=alpha, method=method, max_iter=3)
    assert all(record.cg_steps for record in result.history)
    assert result.rmse == pytest.approx(expected.rmse, rel=1e-9)
    difference = here.predict(X) - there.predict(X)
    assert np.linalg.norm(difference) <= 1e-9 * np.linalg.norm(y)
    assert np.allclose(here.dense_weights()[0], there.dense_weights()[0], rtol=0, atol=1e-8)


@pytest.mark.parametrize("alpha", [0.0, 1e-2, 1.0])
@pytest.mark.parametrize("forcing", ["auto", 0.1, 1e-3])
def test_inexact_steps_end_where_exact_ones_do(seed, alpha, forcing):
    X, y = random_problem(seed, 100, 8)
    (_, expected), (_, result) = (
        train(X, 0.3 * y, network_of(2**13), alpha=alpha, forcing=f, max_iter=60, tol=1e-4) for f in (0.0, forcing)
    )
    assert expected.status == result.status == "converged"
    steps, of_exact = (sum(record.cg_steps for record in r.history) for r in (result, expected))
    assert steps < of_exact
    if alpha:
        assert result.loss == pytest.approx(expected.loss, rel=1e-2)
    losses = [record.loss for record in result.history if record.accepted] + [result.loss]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("forcing", ["auto", 0.3])
def test_certificates_hold_whatever_the_steps(seed, forcing):
    """Patterns, outputs and J D are those of the weights, as they are when steps are exact."""
    X, y = random_problem(seed, 120, 6)
    network, result = train(X, 5 * y, forcing=forcing)
    network.state.method._check(check_rows)
    W, signs = network.dense_weights()
    outputs = np.maximum(X @ W.T - network.shift_, 0) @ signs / np.sqrt(network.width)
    assert result.rmse == pytest.approx(np.sqrt(np.mean((outputs - 5 * y) ** 2)), rel=1e-9)


def test_no_bit_depends_on_threads(seed, monkeypatch):
    monkeypatch.setattr("sltrees.network.sampling_dense.BLOCKS_PER_TASK", 1)
    X, y = random_problem(seed, 150, 8)
    seen = set()
    for executor, n_threads in (("inline", None), ("threads", 1), ("threads", 2), ("threads", 3)):
        network = network_of(2**14, dtype="float32")
        _, result = train(X, y, network, executor=executor, n_threads=n_threads, max_iter=4)
        counts = [(record.cg_steps, record.refactorings, record.loss) for record in result.history]
        seen.add((network.digest(), result.loss, str(counts)))
    assert len(seen) == 1


@pytest.mark.parametrize("alpha", [0.0, 1e-2])
def test_samples_that_are_equal_or_zero(seed, alpha):
    X, y = random_problem(seed, 90, 6)
    X[30:60] = X[:30]
    X[80:] = 0
    network, result = train(X, y, alpha=alpha, max_iter=15)
    assert np.isfinite(result.loss)
    assert result.loss < 0.7 * result.history[0].loss
    assert result.rmse == pytest.approx(np.sqrt(np.mean((network.predict(X) - y) ** 2)), rel=1e-9)
    assert all(np.isfinite(record.loss) for record in result.history)


def test_nothing_to_learn_and_huge_targets(seed):
    X, y = random_problem(seed, 40, 5)
    assert train(X, 0 * y)[1].status == "converged"
    for factor in (1e-150, 1e150):
        _, result = train(X, factor * y, max_iter=3)
        assert np.isfinite(result.rmse)
        assert result.rmse <= np.sqrt(np.mean((factor * y) ** 2))


@pytest.mark.parametrize("place", ["pair_columns", "gram_product_by_pairs"])
@pytest.mark.parametrize("after", [0, 3, 11])
def test_an_interruption_leaves_the_last_step_kept(place, after, monkeypatch):
    X, y = random_problem(0, 100, 8)
    original, calls = getattr(CertifiedMethod, place), []

    def interrupting(self, argument):
        calls.append(None)
        if len(calls) == after + 1:
            raise KeyboardInterrupt
        return original(self, argument)

    monkeypatch.setattr(CertifiedMethod, place, interrupting)
    network, result = train(X, y)
    if len(calls) > after:
        assert result.status == "interrupted"
    monkeypatch.undo()
    W, signs = network.dense_weights()
    outputs = np.maximum(X @ W.T - network.shift_, 0) @ signs / np.sqrt(network.width)
    if result.history:
        assert result.rmse == pytest.approx(np.sqrt(np.mean((outputs - y) ** 2)), rel=1e-9)
    assert NewtonTrainer(network, alpha=1e-2, max_iter=2).fit(X, y).loss <= (result.loss if result.history else np.inf)


def test_steps_that_are_too_long_are_not_tried(monkeypatch):
    X, y = random_problem(0, 100, 8)
    dampings = {}
    for longest in (0.4, 1e-3):
        monkeypatch.setattr("sltrees.training.run.LONGEST_MOVE", longest)
        network, result = train(X, y, max_iter=1)
        dampings[longest] = result.history[0].damping
        moved = network.displacement_
        assert np.sqrt(np.sum(moved**2) / moved.shape[0]) <= longest * np.sqrt(8)
    assert dampings[0.4] < dampings[1e-3]


def test_damping_is_raised_by_the_same_factor_where_steps_are_too_long():
    rule = LevenbergMarquardt(10)
    seen = []
    for _ in range(4):
        rule.shorten()
        seen.append(rule.damping)
    assert seen == [1.0, 4.0, 16.0, 64.0]
    rule.accept(0.9)
    rule.shorten()
    assert rule.damping == 64.0


def test_forcing_terms_follow_the_decrease():
    terms = ForcingTerms("auto")
    assert terms.of(1.0, 0.0).share(1.0) == MOST
    terms.took(1.0)
    assert terms.of(0.5, 0.0).share(0.5) == MOST
    assert terms.of(0.5, 0.0).share(0.01) == pytest.approx(0.009)
    assert terms.of(0.5, 0.0).share(1e-9) == LEAST
    terms.took(-1.0)  # rounding
    assert terms.of(0.5, 0.0).share(0.01) == pytest.approx(0.009)
    assert ForcingTerms(0.0).of(1.0, 0.0) is None
    assert ForcingTerms(0.2).of(1.0, 0.0).share(1e-9) == 0.2


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (1.0, ValueError, r"forcing must be 'auto' or a number of at least 0 and below 1, got 1.0"),
        (-0.1, ValueError, "forcing must be finite and at least 0, got -0.1"),
        (float("nan"), ValueError, "forcing must be finite"),
        ("exact", TypeError, "forcing must be a real number, got 'exact'"),
        (True, TypeError, "forcing must be a real number"),
        (None, TypeError, "forcing must be a real number"),
    ],
)
def test_forcing_is_checked(value, error, message):
    with pytest.raises(error, match=message):
        NewtonTrainer(network_of(), forcing=value)


def test_memory_is_what_was_announced(monkeypatch):
    monkeypatch.setattr("sltrees.methods.certified.skin.MAX_GRAM", 10)
    X, y = random_problem(0, 3000, 10)
    network = network_of(2**12, shift=2.0, dtype="float32")
    with pytest.raises(MemoryError) as caught:
        NewtonTrainer(network, alpha=1e-2, max_memory=1).fit(X, y)
    announced = int(re.search(r"needs ([\d,]+) bytes", str(caught.value))[1].replace(",", ""))
    tracemalloc.start()
    try:
        # so many steps that the preconditioner grows
        _, result = train(X, y, network, alpha=1e-3, max_iter=6, forcing=1e-3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert any(record.cg_steps for record in result.history)
    assert 0.4 * announced <= peak <= announced


def test_checkpoints_tell_the_forcing(tmp_path):
    X, y = random_problem(0, 40, 5)
    trainer = NewtonTrainer(network_of(), forcing=0.2, max_iter=2, callbacks=[Checkpoint(tmp_path / "run.npz")])
    trainer.fit(X, y)
    assert NewtonTrainer.from_checkpoint(tmp_path / "run.npz").forcing == 0.2
