"""What estimators are made of: distinct samples, folds, probabilities, networks that share neurons, the search."""

import os
import pickle
import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import unit_rows

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback, Checkpoint
from sltrees.estimators.calibration import learn_sharpness, probabilities
from sltrees.estimators.distinct_samples import (
    choose_part,
    deal_into_folds,
    distinct_samples,
    joined_pairs,
    to_learn_from,
)
from sltrees.estimators.feature_learning import OutOfFold, rescaled
from sltrees.estimators.model_comparison import Candidate, Comparing, Comparison
from sltrees.estimators.model_search import _Search, hold_out, search_models
from sltrees.estimators.networks import Networks
from sltrees.execution.threads import ThreadExecutor
from sltrees.linalg.leave_one_out import ALPHAS, RidgeProblem
from sltrees.network.drawing import draw_alike, shift_for
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.preprocessing import InputScaling
from sltrees.reference.row_invariants import check_rows
from sltrees.training.budget import bytes_at_most


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(1, 4)), min_size=1, max_size=30))
def test_distinct_samples_are_the_sorted_rows_with_their_sums(rows):
    X = np.array([[a, -0.0 if b == 0 else b] for a, b, _ in rows], dtype=float)
    weights = np.array([w for _, _, w in rows], dtype=float)
    Y = np.column_stack([np.arange(len(rows), dtype=float), np.ones(len(rows))])
    distinct = distinct_samples(X, Y, weights)
    expected = sorted({tuple(row + 0.0) for row in X})
    assert [tuple(row) for row in distinct.X] == expected
    assert np.array_equal(distinct.X[distinct.groups], X + 0.0)
    for q, row in enumerate(distinct.X):
        same = np.all(X == row, axis=1)
        assert distinct.weights[q] == weights[same].sum()
        assert np.allclose(distinct.Y[q], weights[same] @ Y[same] / weights[same].sum())
    observations, order = distinct.observations, distinct.order
    assert sorted(order.tolist()) == list(range(len(rows)))
    assert np.array_equal(distinct.X[observations.groups], X[order] + 0.0)
    assert np.allclose(observations.Y, Y[order])
    assert np.array_equal(observations.weights, weights[order])
    assert (distinct.merged_of is None) == (len(expected) == len(rows))


def rows_that_repeat(n=80, n_distinct=30, seed=0):
    rng = np.random.default_rng(seed)
    X = unit_rows(rng, n_distinct, 4)[rng.integers(0, n_distinct, n)]
    return X, np.sin(3 * X[:, :1]) + 0.3 * rng.standard_normal((n, 1)), rng.uniform(0.5, 2.0, n)


def test_order_of_samples_changes_no_bit_of_what_is_merged():
    X, Y, weights = rows_that_repeat()
    order = np.random.default_rng(1).permutation(len(X))
    one, other = distinct_samples(X, Y, weights), distinct_samples(X[order], Y[order], weights[order])
    assert np.array_equal(one.Y, other.Y)
    assert np.array_equal(one.weights, other.weights)
    assert np.array_equal(one.observations.Y, other.observations.Y)
    assert np.array_equal(X[one.order], X[order][other.order])


def test_samples_without_equal_rows_are_learned_from_as_they_are():
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((20, 3)), rng.standard_normal((20, 2)), rng.uniform(0.1, 1.0, 20)
    assert all(a is b for a, b in zip(to_learn_from(*samples), (*samples, None), strict=True))
    X, Y, weights = rows_that_repeat()
    n_distinct = len(np.unique(X, axis=0))
    assert n_distinct < 40
    assert [len(part) for part in to_learn_from(X, Y, weights)[:3]] == [n_distinct] * 3


@pytest.mark.parametrize("init", ["paired", "gaussian"])
def test_networks_choose_the_ridge_by_observations(init):
    X, Y, weights = rows_that_repeat()
    distinct = distinct_samples(X, Y, weights)
    model = Networks(width=256, shift=0.5, alpha="loo", init=init, random_state=0)
    model.draw(distinct.X, distinct.Y, distinct.weights, distinct.observations)
    (network,) = model.networks_
    W, signs = network.dense_weights()
    jacobian = ((X @ W.T > network.shift_) * signs)[:, :, None] * X[:, None, :] / np.sqrt(network.width)
    jacobian = jacobian.reshape(len(X), -1)
    start = network.predict(X)[:, None]
    one_by_one = RidgeProblem(jacobian @ jacobian.T, Y - start, weights=weights)
    heavier = distinct.weights.mean() / weights.mean()  # ridges are relative to the mean weight of a sample
    alphas = [heavier * alpha for alpha in ALPHAS]
    assert model.alpha_ == pytest.approx(one_by_one.choose(alphas))
    whole = Networks(width=256, shift=0.5, alpha="loo", init=init, random_state=0)
    assert whole.draw(distinct.X, distinct.Y, distinct.weights).alpha_ != model.alpha_


@pytest.mark.parametrize("alpha", [0.1, "loo"])
def test_observations_are_held_out_one_by_one(alpha):
    X, Y, weights = rows_that_repeat()
    options = {"width": 256, "shift": 0.5, "alpha": alpha, "random_state": 0, "max_iter": 20}
    outputs = hold_out(Networks(**options), X, Y, weights, np.zeros(80), 4, 0)
    out = deal_into_folds(np.zeros(80), 4, np.random.default_rng(0)) == 0
    assert np.array_equal(np.isnan(outputs[:, 0]), ~out)
    distinct = distinct_samples(X[~out], Y[~out], weights[~out])
    model = Networks(**options).fit(distinct.X, distinct.Y, distinct.weights, observations=distinct.observations)
    assert np.array_equal(outputs[out], model.predict(X[out]))


@given(st.integers(1, 60), st.integers(2, 7), st.integers(1, 4), st.integers(0, 5))
def test_folds_are_even_in_all_and_in_each_stratum(n, n_folds, n_strata, seed):
    strata = np.random.default_rng(seed).integers(0, n_strata, n)
    folds = deal_into_folds(strata, n_folds, np.random.default_rng(seed))
    counts = np.bincount(folds, minlength=n_folds)
    assert counts.max() - counts.min() <= 1
    for stratum in range(n_strata):
        counts = np.bincount(folds[strata == stratum], minlength=n_folds)
        assert counts.max() - counts.min() <= 1
    assert np.array_equal(folds, deal_into_folds(strata, n_folds, np.random.default_rng(seed)))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_sharpness_is_the_one_that_made_the_labels(n_classes):
    rng = np.random.default_rng(0)
    outputs = rng.standard_normal((20_000, n_classes if n_classes > 2 else 1))
    truth = probabilities(outputs, 1.7)
    labels = (truth.cumsum(axis=1) < rng.random((len(truth), 1))).sum(axis=1)
    assert learn_sharpness(outputs, labels, np.ones(len(labels))) == pytest.approx(1.7, rel=0.05)


def test_few_samples_that_are_told_apart_make_nobody_certain():
    outputs, labels = np.array([[-1.0], [1.0]]), np.array([0, 1])
    proba = probabilities(outputs, learn_sharpness(outputs, labels, np.ones(2)))
    assert 0.6 < proba[1, 1] < 0.9
    assert np.all(np.isfinite(probabilities(np.array([[1e300], [-1e300]]), 1e3)))


@pytest.mark.parametrize("evenness", [0.0, 0.5, 1.0])
def test_evenness_is_the_power_of_the_deviations(evenness):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 3)) * [1.0, 10.0, 0.0] + 5.0
    scaling = InputScaling(evenness=evenness).fit(X)
    s = X.std(axis=0)[:2]
    common = np.sqrt(np.mean(s**2))
    assert np.allclose(scaling.deviation_, [*(s**evenness * common ** (1 - evenness)), 1.0])
    with pytest.raises(ValueError, match=r"evenness must be from 0 to 1, got 1.5"):
        InputScaling(evenness=1.5)


def test_weighted_scaling_is_that_of_copies():
    rng = np.random.default_rng(0)
    X, counts = rng.standard_normal((20, 3)), rng.integers(1, 4, 20)
    a, b = InputScaling().fit(X, sample_weight=counts), InputScaling().fit(np.repeat(X, counts, axis=0))
    assert np.allclose(a.mean_, b.mean_)
    assert np.allclose(a.deviation_, b.deviation_)


@pytest.mark.parametrize("options", [{}, {"init": "gaussian"}, {"sampling": "rejection"}], ids=str)
def test_networks_drawn_alike_are_trained_as_if_each_were_alone(options):
    rng = np.random.default_rng(0)
    X, Y = unit_rows(rng, 40, 5), rng.standard_normal((40, 3))
    options = {"dtype": "float64", "shift": 0.8, "random_state": 3} | options
    with ThreadExecutor(2) as executor:
        alike = draw_alike(ShiftedReLUNetwork(2048, **options), 3, Hyperplanes(X, 0.8), skin=1.0, executor=executor)
    for network, y in zip(alike, Y.T, strict=True):
        NewtonTrainer(network, alpha=0.01, max_iter=6).fit(X, y)
        network.state.method._check(check_rows)
        alone = ShiftedReLUNetwork(2048, **options)
        NewtonTrainer(alone, alpha=0.01, max_iter=6).fit(X, y)
        assert np.array_equal(network.neurons_, alone.neurons_)
        assert np.allclose(network.displacement_, alone.displacement_, atol=1e-9)
    with pytest.raises(RuntimeError, match="draw networks alike from one that has none"):
        draw_alike(alone, 2, Hyperplanes(X, 0.8), skin=1.0, executor=None)


def test_lists_found_when_drawn_are_not_for_other_samples():
    rng = np.random.default_rng(0)
    X, y = unit_rows(rng, 40, 5), rng.standard_normal(40)
    blank = ShiftedReLUNetwork(512, dtype="float64", random_state=0)
    with ThreadExecutor(2) as executor:
        (network,) = draw_alike(blank, 1, Hyperplanes(X, shift_for(blank, X)), skin=1.0, executor=executor)
    NewtonTrainer(network, alpha=0.1, max_iter=5).fit(X[:20], y[:20])
    assert network.state.near is None
    network.state.method._check(check_rows)


@pytest.mark.parametrize("alpha", [0.1, "loo"])
def test_weighted_runs_are_resumed_too(alpha, tmp_path):
    rng = np.random.default_rng(0)
    X, y, weights = unit_rows(rng, 40, 5), rng.standard_normal(40), rng.uniform(0.5, 2.0, 40)
    path = tmp_path / "run.npz"

    def train(max_iter, n_before=0):
        network = ShiftedReLUNetwork(1024, dtype="float64", random_state=0)
        trainer = NewtonTrainer(network, alpha=alpha, max_iter=max_iter, tol=0.0, callbacks=[Checkpoint(path)])
        if n_before:
            trainer.fit(X[:n_before], y[:n_before], sample_weight=weights[:n_before])
            trainer.extend(X[n_before:], y[n_before:], sample_weight=weights[n_before:])
        else:
            trainer.fit(X, y, sample_weight=weights)
        return trainer

    for n_before in (0, 30):
        uncut = train(5, n_before)
        resumed = NewtonTrainer.from_checkpoint(path)
        with pytest.raises(ValueError, match="the checkpoint is of a run with sample_weight: fit needs the same"):
            resumed.fit(X, y)
        with pytest.raises(ValueError, match="the checkpoint is of other weights of samples"):
            resumed.fit(X, y, sample_weight=2 * weights)
        resumed.fit(X, y, sample_weight=weights)
        assert resumed.network.digest() == uncut.network.digest()
        assert resumed.alpha_ == uncut.alpha_


def search(X, y, **options):
    weights = np.ones(len(y))
    options = {"shift": 1.0, "n_folds": 4, "seconds": 5.0, "random_state": 0, "n_threads": 2} | options
    Y = ((y - y.mean()) / y.std())[:, None]
    return search_models(X, Y, weights, np.zeros(len(y)), **options), Y


def test_errors_in_the_table_are_those_of_learning_on_each_fold():
    rng = np.random.default_rng(0)
    X = unit_rows(rng, 60, 4)
    y = np.maximum(3 * X[:, 0], 0)
    found, Y = search(X, y)
    table = found.table
    folds = deal_into_folds(np.zeros(60), 4, np.random.default_rng(0))
    for row in range(1, len(table["model"])):
        if table["folds"][row] != 4:
            continue
        candidate = Candidate(table["target_scale"][row], table["alpha"][row])
        errors = np.empty(60)
        for fold in range(4):
            train = folds != fold
            model = candidate.build(0, n_threads=1).fit(X[train], Y[train], np.ones(train.sum()))
            errors[~train] = (model.predict(X[~train]) - Y[~train])[:, 0] ** 2
        assert table["error"][row] == pytest.approx(errors.mean(), rel=1e-9)
        assert table["difference"][row] == pytest.approx(errors.mean() - table["error"][0], abs=1e-9)
    chosen = table["outcome"].index("chosen")
    assert found.left_out.shape == Y.shape
    assert np.mean((found.left_out - Y) ** 2) == pytest.approx(table["error"][chosen], rel=1e-9)


def test_folds_of_samples_with_equal_rows_are_of_observations():
    X, Y, _ = rows_that_repeat(160, 20)
    distinct = distinct_samples(X, Y, np.ones(160))
    X, Y = distinct.X[distinct.observations.groups], distinct.observations.Y
    options = {"shift": 1.0, "n_folds": 4, "seconds": 5.0, "random_state": 0, "n_threads": 2}
    table = search_models(X, Y, np.ones(160), np.zeros(160), **options).table
    folds = deal_into_folds(np.zeros(160), 4, np.random.default_rng(0))
    assert any(len(set(folds[distinct.observations.groups == group])) > 1 for group in range(20))
    assert table["folds"].count(4) > 1
    for row in range(1, len(table["model"])):
        if table["folds"][row] != 4:
            continue
        candidate = Candidate(table["target_scale"][row], table["alpha"][row])
        errors = np.empty(160)
        for fold in range(4):
            train = folds != fold
            part = distinct_samples(X[train], Y[train], np.ones(train.sum()))
            model = candidate.build(0, n_threads=1).fit(part.X, part.Y, part.weights)
            errors[~train] = (model.predict(X[~train]) - Y[~train])[:, 0] ** 2
        assert table["error"][row] == pytest.approx(errors.mean(), rel=1e-9)


def test_candidates_that_are_worse_are_given_up():
    rng = np.random.default_rng(0)
    X, Y = unit_rows(rng, 200, 4), rng.standard_normal((200, 1))
    folds = deal_into_folds(np.zeros(200), 4, rng)
    with ThreadExecutor(2) as executor:
        comparison = Comparison(X, Y, np.ones(200), folds, Comparing(1.0, 0, executor))
        comparison.measure_kernel()
        hopeless, others = Candidate(16.0, 1e-4), [Candidate(4.0, 10.0), Candidate(16.0, 10.0)]  # it interpolates noise
        comparison.measure([hopeless], 2)
        assert comparison.best() is None
        row = comparison.tried[hopeless]
        assert (row["outcome"], row["folds"]) == ("worse", 2)
        assert row["difference"] > row["standard_error"]
        comparison.measure(others, 2)
        best = comparison.best()
        assert best in others
        assert comparison.tried[best]["error"] == min(comparison.tried[other]["error"] for other in others)
        on_two = comparison.outputs[best][folds < 2].copy()
        comparison.measure([best], 4)  # the other two folds alone
    assert np.array_equal(comparison.outputs[best][folds < 2], on_two)
    assert comparison.tried[best]["folds"] == 4
    assert not np.isnan(comparison.outputs[best]).any()
    assert [row["outcome"] for row in comparison.tried.values()].count("behind others") == 1


def test_the_best_by_few_folds_is_measured_on_all():
    """Of many samples a fold or two rank the candidates; each row says on how many folds it is."""
    X, y = of_features(600)
    found, Y = search(X, y, seconds=20.0)
    table = found.table
    assert found.shortage is None
    assert "samples" not in table
    assert table["folds"] == [4, *(4 if outcome == "chosen" else 2 for outcome in table["outcome"][1:])]
    assert table["outcome"].count("chosen") == 1
    row = table["outcome"].index("chosen")
    assert table["difference"][row] < -table["standard_error"][row]
    assert np.mean((found.left_out - Y) ** 2) == pytest.approx(table["error"][row], rel=1e-9)
    assert search(X, y, seconds=20.0, n_threads=1)[0].table == table


@pytest.mark.parametrize("n", [1, 39, 40])
def test_few_samples_are_not_compared(n):
    rng = np.random.default_rng(0)
    X, y = unit_rows(rng, n, 4), rng.standard_normal(n) + np.arange(n)
    weights, strata = np.ones(n), np.zeros(n)
    options = {"shift": 1.0, "n_folds": 4, "seconds": 0.1, "random_state": 0, "n_threads": 1}
    found = search_models(X, y[:, None], weights, strata, **options)
    assert (found.left_out is None) == (n < 40)
    assert found.table["outcome"][0].startswith("chosen: too few" if n < 40 else "chosen")


def chosen_row(table):
    row = table["outcome"].index("chosen")
    return {name: column[row] for name, column in table.items()}


def test_parts_have_equal_shares_of_strata():
    strata = np.repeat([0, 1, 2], [600, 300, 100])
    part = choose_part(strata, 200, np.random.default_rng(0))
    assert np.array_equal(part, np.unique(part))
    assert np.array_equal(np.bincount(strata[part]), [120, 60, 20])
    assert np.array_equal(part, choose_part(strata, 200, np.random.default_rng(0)))
    assert not np.array_equal(part, choose_part(strata, 200, np.random.default_rng(1)))


def of_features(n, seed=0):
    rng = np.random.default_rng(seed)
    X = unit_rows(rng, n, 6)
    return X, np.maximum(4 * X[:, 0], 1) - np.maximum(3 * X[:, 1], 1)


def test_what_there_is_no_time_for_is_compared_on_a_part():
    X, y = of_features(600)
    found, Y = search(X, y, seconds=2.0)
    table, chosen = found.table, chosen_row(found.table)
    (size,) = {n for n, folds in zip(table["samples"], table["folds"], strict=True) if folds != 1}
    assert 200 <= size < 300
    assert found.shortage.startswith(
        f"search_seconds=2 is too short to compare networks on 600 samples: they were on {size}; "
    )
    # what a part chose has also learned from all samples but those of one fold, and has not seen these
    assert (chosen["model"], chosen["folds"], chosen["samples"]) == ("network", 4, size)
    assert [table[name][-1] for name in ("model", "folds", "samples")] == ["network", 1, 600]
    assert table["outcome"][-1] == "holds its own on a fold of all samples"
    out = deal_into_folds(np.zeros(600), 4, np.random.default_rng(0)) == 0
    model = found.chosen.build(0, n_threads=1).fit(X[~out], Y[~out], np.ones(450))
    assert np.array_equal(found.left_out[out], model.predict(X[out]))
    # the others are outputs left out on the part
    rng = np.random.default_rng(0)
    part = choose_part(np.zeros(600), size, rng)
    folds = deal_into_folds(np.zeros(size), 4, rng)
    assert np.array_equal(~np.isnan(found.left_out[:, 0]), out | np.isin(np.arange(600), part))
    errors = np.empty(size)
    for fold in range(4):
        train = folds != fold
        model = found.chosen.build(0, n_threads=1).fit(X[part][train], Y[part][train], np.ones(train.sum()))
        errors[~train] = (model.predict(X[part][~train]) - Y[part][~train])[:, 0] ** 2
    assert chosen["error"] == pytest.approx(errors.mean(), rel=1e-9)
    # the seconds that it asks for are enough
    seconds = float(found.shortage.split("search_seconds=")[2].split()[0])
    whole, _ = search(X, y, seconds=seconds)
    assert whole.shortage is None
    assert "samples" not in whole.table
    assert found.table == search(X, y, seconds=2.0, n_threads=1)[0].table


@pytest.mark.parametrize("seconds", [0.9, 2.0])
def test_search_costs_no_more_than_it_may(seconds):
    X, y = of_features(600)
    with ThreadExecutor(2) as executor:
        comparing = Comparing(1.0, 0, executor)
        search = _Search((X, y[:, None], np.ones(600)), np.zeros(600), 4, seconds, comparing)
        assert search.run().shortage is not None
    assert 0 <= search.seconds_left < seconds


def test_with_little_memory_kernels_are_learned_one_after_the_other(monkeypatch):
    X, y = of_features(80)
    found, _ = search(X, y)
    monkeypatch.setattr("sltrees.estimators.model_comparison.available_memory", lambda: 1.0)
    run_all, batches = ThreadExecutor.run_all, []
    monkeypatch.setattr(
        ThreadExecutor, "run_all", lambda self, do, tasks: (batches.append(len(tasks)), run_all(self, do, tasks))[1]
    )
    assert search(X, y)[0].table == found.table
    assert batches[:4] == [1, 1, 1, 1]


def test_what_a_part_prefers_is_not_taken_where_all_samples_do_not(monkeypatch):
    """On few samples the network is better, on all the kernel is."""
    X, y = of_features(600)
    compared = Comparison.compared

    def worse_on_all(self, outputs, n_folds):
        result = compared(self, outputs, n_folds)
        if len(self.Y) == 600 and outputs is not self.outputs[None]:
            result |= {"difference": 1.0, "standard_error": 0.1, "error": result["error"] + 1.0}
        return result

    monkeypatch.setattr(Comparison, "compared", worse_on_all)
    found, _ = search(X, y, seconds=2.0)
    row = found.table["outcome"].index("chosen")
    assert found.chosen is None
    assert found.table["model"][row] == "kernel"
    assert found.table["outcome"][-1] == "worse"


def test_networks_are_compared_with_the_kernel_on_its_folds_where_it_is_known():
    """With scales that were learned without the fold, and without learning the kernel again."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 5))
    Y = np.maximum(X[:, :1] + X[:, 1:2], 0)
    Y = (Y - Y.mean()) / Y.std()
    some = rng.permutation(200)[:150]
    folds, plain = deal_into_folds(np.zeros(150), 3, rng), InputScaling().fit(X)
    scalings = [rescaled(plain, np.array([1.0, 1.0, 0.1, 0.1, 0.1]) * (1.0 + 0.1 * fold)) for fold in range(3)]
    known = OutOfFold(folds, scalings, Y[some] + 0.5, 0.01)
    options = {"shift": 1.0, "n_folds": 3, "seconds": 9.0, "random_state": 0, "n_threads": 2, "scale": None}
    found = search_models(X, Y, np.ones(200), np.zeros(200), out_of_fold=(some, known), **options)
    table = found.table
    assert (table["error"][0], table["alpha"][0]) == (pytest.approx(0.25), 0.01)
    assert set(table["samples"]) == {150}
    assert found.shortage is not None or found.chosen is not None
    row = table["outcome"].index("chosen")
    outputs = np.empty(150)
    for fold in range(3):
        train, rows = folds != fold, scalings[fold].transform(X[some])
        model = found.chosen.build(0, n_threads=1).fit(rows[train], Y[some][train], np.ones(train.sum()))
        outputs[~train] = model.predict(rows[~train])[:, 0]
    assert np.array_equal(found.left_out[some, 0], outputs)
    assert np.isnan(np.delete(found.left_out, some)).all()
    assert table["error"][row] == pytest.approx(np.mean((outputs - Y[some, 0]) ** 2), rel=1e-9)


def test_rare_classes_and_weights_are_searched_on_a_part():
    rng = np.random.default_rng(0)
    X = unit_rows(rng, 500, 5)
    labels = (X[:, 0] > 0).astype(int) + (np.arange(500) % 250 == 0)  # two samples more or less of a class of its own
    Y = np.where(labels[:, None] == np.arange(3), 1.0, -1.0)
    options = {"shift": 1.0, "n_folds": 4, "seconds": 3.0, "random_state": 2**100, "n_threads": 2}
    weights = rng.uniform(0.1, 2.0, 500)
    found = search_models(X, (Y - Y.mean(axis=0)) / Y.std(axis=0), weights, labels, **options)
    assert min(n for n in found.table["samples"] if n) < 500
    assert found.table["outcome"].count("chosen") == 1


# ---------------------------------------------------------------------- several outputs


def several_outputs(n=120, n_outputs=4):
    rng = np.random.default_rng(0)
    X = unit_rows(rng, n, 4)
    return X, np.sin(3 * X @ rng.standard_normal((4, n_outputs))) + 0.1 * rng.standard_normal((n, n_outputs))


@pytest.mark.parametrize("weighted", [False, True])
def test_outputs_that_are_trained_at_once_are_those_trained_alone(weighted):
    X, Y = several_outputs()
    weights = np.random.default_rng(1).uniform(0.5, 2.0, len(X)) if weighted else None
    options = {"width": 512, "shift": 1.0, "alpha": 1e-3, "random_state": 0, "tol": 1e-2}
    held_out = X[:20] + 0.01, Y[:20]
    digests = set()
    for training in {"n_threads": 2}, {"n_threads": 5}, {"executor": "inline"}, {"callbacks": [Callback()]}:
        model = Networks(**options, **training).fit(X, Y, weights, eval_set=held_out)
        digests.add(tuple(network.digest() for network in model.networks_))
        assert [result.history[0].refactorings for result in model.results_] == [0] * 4  # one factor for all
        assert [trainer.callbacks for trainer in model.trainers_] == [tuple(training.get("callbacks", ()))] * 4
        assert {trainer.executor for trainer in model.trainers_} == {training.get("executor", "threads")}
    for k in range(4):
        alone = Networks(**options).fit(X, Y[:, k : k + 1], weights, eval_set=(held_out[0], held_out[1][:, k : k + 1]))
        assert alone.results_[0].history[0].refactorings == 1
        assert {each[k] for each in digests} == {alone.networks_[0].digest()}


def test_outputs_are_trained_one_after_the_other_where_memory_has_no_room_for_two(monkeypatch):
    X, Y = several_outputs(60, 3)
    at_once, room = [], bytes_at_most(512, 60, 4, 2)

    class Spy(Networks):
        def _train_at_once(self, train, n):
            at_once.append(n)
            super()._train_at_once(train, n)

    for available in 2.9 * room, 3.1 * room, 1e12:
        monkeypatch.setattr("sltrees.estimators.networks.available_memory", lambda available=available: available)
        model = Spy(width=512, alpha=1e-3, shift=1.0, random_state=0, n_threads=2).fit(X, Y)
        assert len(model.results_) == 3
    assert at_once == [2, 2]


def test_ctrl_c_ends_all_outputs_that_are_trained_at_once_after_an_iteration(monkeypatch):
    X, Y = several_outputs()
    begun, together, pressed, real = [], threading.Barrier(3), threading.Event(), NewtonTrainer._train

    def train(self, *arguments, **options):
        begun.append(self)
        if len(begun) <= 2:
            together.wait(20)
            pressed.wait(20)  # else one may be trained to its end before the signal comes
        return real(self, *arguments, **options)

    def press():
        together.wait(20)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)  # the main thread hears of it meanwhile
        pressed.set()

    monkeypatch.setattr(NewtonTrainer, "_train", train)
    model = Networks(width=512, shift=1.0, alpha=1e-6, random_state=0, n_threads=2, tol=0.0, max_iter=100_000)
    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    thread.join()
    assert len(begun) == 2
    assert not any(network.in_training for network in model.networks_)
    assert [str(result.status) for result in model.results_] == ["stopped"] * 2
    assert model.predict(X).shape == Y.shape
    assert pickle.loads(pickle.dumps(model)).predict(X).shape == Y.shape
    model.change(max_iter=2)
    assert len(model.resume(X, Y).results_) == 4


def test_copies_of_what_varies_stay_apart_as_far_as_there_are_few():
    rows, targets = np.repeat(np.arange(400.0), 15)[:, None], np.tile(np.arange(3.0), 2000)[:, None]
    for n, most in ((1500, 1500), (6000, 6000)):
        chosen, weights = joined_pairs(rows[:n], targets[:n], np.ones(n))
        assert len(chosen) == most
    few = np.tile([[0.0], [1.0]], (5000, 1))
    chosen, weights = joined_pairs(np.zeros((10_000, 1)), few, np.ones(10_000))
    assert (len(chosen), weights.tolist()) == (2000, [5.0] * 2000)
    chosen, weights = joined_pairs(few, few, np.ones(10_000))  # equal rows have equal targets
    assert weights.tolist() == [5000.0] * 2
