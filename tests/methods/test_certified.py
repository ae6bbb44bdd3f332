"""method="certified": exact where certificates expire at once, where they never do, and in all its counters."""

import warnings

import numpy as np
import pytest
from problems import random_problem, unit_rows

from sltrees import NewtonTrainer, ShiftedReLUNetwork, reference
from sltrees.callbacks import Callback
from sltrees.datasets.parity import digits_parity
from sltrees.gram import pair_bits
from sltrees.methods.certified import group
from sltrees.methods.certified.skin import SKINS
from sltrees.methods.certified.trajectory import MAX_STAMPS
from sltrees.reference.row_invariants import check_rows

TOLERANCE = 1e-8


@pytest.fixture(autouse=True)
def _quiet_shift():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="shift lowered", category=UserWarning)
        yield


class CheckEverything(Callback):
    """Every invariant after every iteration, and the displacements there."""

    def __init__(self, check=True):
        self.check, self.displacements = check, []

    def on_start(self, trainer):
        self._look(trainer)

    def on_iteration(self, trainer, record):
        self._look(trainer)

    def _look(self, trainer):
        if self.check:
            trainer.network.state.method._check(check_rows)
        self.displacements.append(trainer.network.displacement_.copy())


def clusters(seed):
    """Near-duplicates: 12 points, each 5 times with noise of 1e-3, with targets that disagree."""
    rng = np.random.default_rng(seed)
    X = np.repeat(unit_rows(rng, 12, 6), 5, axis=0) + 1e-3 * rng.standard_normal((60, 6))
    return X / np.linalg.norm(X, axis=1, keepdims=True), rng.standard_normal(60)


def huge_targets(seed):
    X, y = random_problem(seed, 40, 5)
    return X, 1e4 * y


def uneven_norms(seed):
    X, y = random_problem(seed, 50, 6)
    return X * np.logspace(-3, 3, 50)[:, None], y


def zero_rows(seed):
    X, y = random_problem(seed, 40, 5)
    X[[3, 17]] = 0
    return X, y


def duplicates(seed):
    X, y = random_problem(seed, 50, 5)
    X[1::2] = X[::2]
    return X, y


ADVERSARIES = {
    "clusters": (clusters, 1024, 0.8),
    "huge targets": (huge_targets, 512, 0.5),
    "tiny width": (lambda seed: random_problem(seed, 30, 4), 64, 0.0),
    "norms from 1e-3 to 1e3": (uneven_norms, 1024, 0.7),
    "rows of zeros": (zero_rows, 512, 0.5),
    "equal rows, other targets": (duplicates, 1024, 0.6),
    "one feature": (lambda seed: (np.linspace(-2, 2, 30)[:, None], random_problem(seed, 30, 2)[1]), 256, 0.3),
    "one sample": (lambda seed: random_problem(seed, 1, 5), 128, 0.5),
    "shift 0": (lambda seed: random_problem(seed, 30, 5), 512, 0.0),
}


def relative(actual, expected):
    return np.linalg.norm(actual - expected) / max(np.linalg.norm(expected), 1e-300)


@pytest.mark.parametrize("init", ["paired", "gaussian"])
@pytest.mark.parametrize("alpha", [0.0, 1e-3, 1e-1])
@pytest.mark.parametrize("name", ADVERSARIES)
def test_certified_equals_trees_where_certificates_expire_at_once(seed, name, alpha, init):
    problem, width, shift = ADVERSARIES[name]
    X, y = problem(seed)
    runs = {}
    for method in ("certified", "trees"):
        network = ShiftedReLUNetwork(width, shift=shift, init=init, dtype="float64", random_state=seed)
        seen = CheckEverything(check=method == "certified")
        options = {"method": method, "alpha": alpha, "tol": 1e-9, "max_iter": 12}
        result = NewtonTrainer(network, callbacks=[seen], **options).fit(X, y)
        runs[method] = result, seen.displacements, network
    (ours, displacements, network), (theirs, expected, _) = runs["certified"], runs["trees"]
    # where rounding decides whether a step is taken, runs part: compare up to there
    same = 0
    for a, b in zip(ours.history, theirs.history, strict=False):
        if a.accepted != b.accepted or a.damping != b.damping or b.rmse < 1e-7 * np.abs(y).max():
            break
        same += 1
    assert same >= min(3, theirs.n_iter)
    condition = max(1.0, np.abs(y).max())
    for k in range(same + 1):
        if np.linalg.norm(expected[k]) > 0:
            # systems of near-duplicates amplify rounding: by the size of the weights they need
            assert relative(displacements[k], expected[k]) <= TOLERANCE * condition, k
    for a, b in zip(ours.history[:same], theirs.history[:same], strict=True):
        assert a.rmse == pytest.approx(b.rmse, rel=1e-6, abs=1e-12 * condition)
    outputs = reference.network_outputs(*network.dense_weights(), network.shift_, X)
    assert ours.rmse == pytest.approx(np.sqrt(np.mean((outputs - y) ** 2)), rel=1e-7, abs=1e-11 * condition)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("alpha", [0.0, 1e-2])
def test_invariants_hold_after_every_iteration_in_both_dtypes(seed, dtype, alpha):
    X, y = clusters(seed)
    network = ShiftedReLUNetwork(2048, shift="auto", dtype=dtype, random_state=seed)
    result = NewtonTrainer(network, alpha=alpha, tol=0.0, max_iter=25, callbacks=[CheckEverything()]).fit(X, y)
    assert result.n_iter >= 5
    assert any(not record.accepted for record in result.history)
    # and again from there, where the weights do not stand at W(0) any more
    again = NewtonTrainer(network, alpha=alpha, tol=0.0, max_iter=5, callbacks=[CheckEverything()]).fit(X, y)
    assert again.history[0].rmse == pytest.approx(result.rmse, rel=1e-3)


def test_a_pair_that_flipped_while_its_neuron_was_far_out_is_seen_when_it_returns():
    """Found once: the list was searched as far as the neuron had drifted now, not as far as it ever had."""
    X, y, _, _ = digits_parity()
    network = ShiftedReLUNetwork(2**11, shift="auto", dtype="float64", random_state=0)
    result = NewtonTrainer(network, tol=1e-8, max_iter=12, callbacks=[CheckEverything()]).fit(X[:200], y[:200])
    outputs = network.predict(X[:200])
    assert result.rmse == pytest.approx(np.sqrt(np.mean((outputs - y[:200]) ** 2)), rel=1e-6, abs=1e-12)


def test_every_neuron_strays_and_the_result_is_exact():
    X, y = huge_targets(0)
    network = ShiftedReLUNetwork(256, shift=0.5, dtype="float64", random_state=0)
    seen = CheckEverything()
    result = NewtonTrainer(network, tol=0.0, max_iter=6, callbacks=[seen]).fit(X, y)
    assert result.history[0].rebuilt_lists > 0.9 * result.history[0].visited_neurons
    assert np.linalg.norm(seen.displacements[1], axis=1).max() > 5 * max(SKINS)


@pytest.mark.parametrize("alpha", [1e-19, 1e-12])
def test_a_ridge_too_small_to_shrink_anything_is_carried_along_all_the_same(alpha):
    """Found once: with damping a shrink factor of 1.0 left J D without the flips."""
    X, y = duplicates(1)
    network = ShiftedReLUNetwork(512, shift=0.6, dtype="float64", random_state=1)
    NewtonTrainer(network, alpha=alpha, tol=0.0, max_iter=12, callbacks=[CheckEverything()]).fit(X, y)


def test_more_steps_than_stamps(monkeypatch):
    monkeypatch.setattr("sltrees.methods.certified.trajectory.MAX_STAMPS", 3)
    X, y = clusters(0)
    digests = set()
    network = ShiftedReLUNetwork(1024, shift=0.8, dtype="float64", random_state=0)
    result = NewtonTrainer(network, alpha=1e-3, tol=0.0, max_iter=20, callbacks=[CheckEverything()]).fit(X, y)
    digests.add(network.digest())
    assert any(record.cleared_neurons == 0 for record in result.history[1:])
    assert MAX_STAMPS > 3


def test_a_step_that_fails_while_it_is_kept_leaves_every_shard_with_it_or_without_it(monkeypatch):
    """Found once: memory ran out between the flips and the new near lists of a shard, and the flips were made twice."""
    from sltrees._core import _lazy_findings, _near_lists, _pools, _row_store

    X, y = huge_targets(0)
    network = ShiftedReLUNetwork(256, shift=0.5, dtype="float64", random_state=0)
    grown, calls = _pools.grown, []

    def fail(array, used, size):
        calls.append(size)
        if len(calls) == 6:
            raise MemoryError("no memory for a larger pool")
        return grown(array, used, size)

    for module in (_near_lists, _lazy_findings, _row_store):
        monkeypatch.setattr(module, "grown", fail)
    with pytest.raises(MemoryError, match="larger pool"):
        NewtonTrainer(network, tol=0.0, max_iter=6).fit(X, y)
    monkeypatch.undo()
    outputs = reference.network_outputs(*network.dense_weights(), network.shift_, X)
    first = NewtonTrainer(network, tol=0.0, max_iter=1).fit(X, y).history[0]
    assert first.rmse == pytest.approx(np.sqrt(np.mean((outputs - y) ** 2)), rel=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 1e-2])
def test_g_by_products_alone_gives_the_same_training(seed, alpha):
    X, y = random_problem(seed, 80, 8)
    weights = []
    for max_gram in (None, 0):
        network = ShiftedReLUNetwork(4096, shift=1.0, dtype="float64", random_state=seed)
        trainer = NewtonTrainer(network, alpha=alpha, tol=1e-9, max_iter=6, max_gram=max_gram)
        result = trainer.fit(X, y)
        weights.append(network.displacement_)
        assert (sum(record.refactorings for record in result.history) == 0) == (max_gram == 0)
    assert relative(weights[1], weights[0]) <= 1e-7


@pytest.mark.parametrize("alpha", [0.0, 1e-2])
def test_g_by_products_and_columns_gives_the_same_training(seed, alpha):
    X, y = random_problem(seed, 80, 8)
    weights = []
    for options in ({}, {"max_gram": 0, "forcing": 0.0}):
        network = ShiftedReLUNetwork(4096, shift=1.0, dtype="float64", random_state=seed)
        result = NewtonTrainer(network, alpha=alpha, tol=1e-9, max_iter=6, **options).fit(X, y)
        weights.append(network.displacement_)
        assert all(record.cg_steps > 0 for record in result.history) == bool(options)
    assert relative(weights[1], weights[0]) <= 1e-7


def test_visits_fade_as_training_converges():
    X, y, _, _ = digits_parity()
    network = ShiftedReLUNetwork(2**15, shift="paper", dtype="float64", random_state=0)
    result = NewtonTrainer(network, tol=0.0, max_iter=8).fit(X, y)
    share = [record.visited_neurons / network.neurons_.size for record in result.history]
    below = {bound: next(k for k, record in enumerate(result.history) if record.rmse < bound) for bound in (1e-3, 1e-5)}
    assert share[0] > 0.9
    assert share[below[1e-3]] <= 0.25
    assert share[below[1e-5]] <= 0.02
    for record in result.history[below[1e-5] + 1 :]:
        assert record.visited_neurons == record.rebuilt_lists
    assert len(result.history) > below[1e-5] + 1
    # neurons that only the clock reported are not reported again at once
    assert result.history[-1].reported_neurons < 0.1 * network.neurons_.size


def test_the_network_can_be_asked_for_anything_while_it_is_trained():
    X, y = random_problem(0, 40, 5)
    answers = []

    class Ask(Callback):
        def on_iteration(self, trainer, record):
            import copy
            import pickle

            network = trainer.network
            twin, other = copy.deepcopy(network), pickle.loads(pickle.dumps(network))
            assert twin.digest() == other.digest() == network.digest()
            W, signs = network.dense_weights()
            outputs = reference.network_outputs(W, signs, network.shift_, X)
            assert np.allclose(network.predict(X), outputs, rtol=1e-10, atol=1e-10)
            answers.append(NewtonTrainer(twin, max_iter=1).fit(X, y).n_iter)

    network = ShiftedReLUNetwork(1024, shift=0.7, dtype="float64", random_state=0)
    plain = ShiftedReLUNetwork(1024, shift=0.7, dtype="float64", random_state=0)
    NewtonTrainer(network, max_iter=4, tol=0.0, callbacks=[Ask()]).fit(X, y)
    NewtonTrainer(plain, max_iter=4, tol=0.0).fit(X, y)
    assert answers == [1, 1, 1, 1]
    assert network.digest() == plain.digest()


def test_drawing_first_makes_no_difference():
    X, y = random_problem(0, 60, 6)
    digests = set()
    for drawn in (False, True):
        network = ShiftedReLUNetwork(2**14, shift="paper", random_state=0)
        if drawn:
            network.initialize(X)
        NewtonTrainer(network, max_iter=4).fit(X, y)
        digests.add(network.digest())
    assert len(digests) == 1


@pytest.mark.parametrize("alpha", [0.0, 1e-7])
def test_coefficients_that_grow_huge_and_cancel_are_begun_anew(seed, alpha):
    """Found once, in single precision: equal rows with other targets ended at a loss that trees did not have."""
    X, y = random_problem(seed, 100, 8)
    X[50:] = X[:50]
    ends = {}
    for method in ("certified", "trees"):
        network = ShiftedReLUNetwork(2**14, random_state=seed)
        result = NewtonTrainer(network, method=method, alpha=alpha, max_iter=30).fit(X, y)
        assert result.rmse == pytest.approx(np.sqrt(np.mean((network.predict(X) - y) ** 2)), rel=1e-6)
        ends[method] = result.loss
    assert ends["certified"] == pytest.approx(ends["trees"], rel=1e-5)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_pairs_are_counted_alike_by_bits_and_by_lists_however_many_rows_are_added_to_at_a_time(monkeypatch, n_threads):
    X, y = random_problem(0, 40, 3)
    calls, real = [], group._few_rows_at_a_time

    def spy(*arguments):
        calls.append(real(*arguments) is not arguments[0])
        return real(*arguments)

    monkeypatch.setattr(group, "_few_rows_at_a_time", spy)

    def train():
        network = ShiftedReLUNetwork(2**11, shift=0.8, random_state=0)
        history = NewtonTrainer(network, tol=0.0, max_iter=4, n_threads=n_threads).fit(X, 5 * y).history
        return network.digest(), [record.loss for record in history]

    expected = train()
    assert not calls  # by bits
    monkeypatch.setattr(pair_bits, "pays", lambda *arguments: False)
    assert train() == expected
    assert calls
    assert not any(calls)
    calls.clear()
    monkeypatch.setattr(group, "COUNTS_IN_CACHE", 4 * 40 * 11)
    monkeypatch.setattr(group, "ROWS_IN_A_PASS", 1)
    assert train() == expected
    assert sum(calls) > 1  # all pairs, and flips of a step at least
