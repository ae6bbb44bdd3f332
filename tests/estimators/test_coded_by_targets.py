"""Columns of many categories: what is learned of their targets is learned within the folds that choose and judge."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from sltrees.estimators import NewtonClassifier, NewtonRegressor
from sltrees.estimators.coded_by_targets import CodedByTargets, CodedFeatures
from sltrees.estimators.feature_learning import Folds
from sltrees.estimators.frame_encoder import FrameEncoder
from sltrees.estimators.kernel_ridge import KernelRidge
from sltrees.estimators.model_search import hold_out
from sltrees.preprocessing import InputScaling
from sltrees.tables import Table, TableEncoder
from sltrees.tables._rates import deal_into_parts, learn_rates, rates_of_others

KERNEL = {"model": "kernel", "feature_learning": False, "random_state": 0}  # quick


def table(n, seed, effect=0.0, categories=50):
    """A frame with a column of many categories, and targets."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(categories, size=n)
    frame = pd.DataFrame({"size": rng.standard_normal(n), "town": [f"town {k}" for k in codes]})
    y = effect * (rng.standard_normal(categories)[codes] + np.sin(2 * frame["size"].to_numpy()))
    return frame, y + rng.standard_normal(n)


def coded_samples(targets, codes, numbers):
    """Features and what is coded of them."""
    n = len(codes)
    parts = np.arange(n) % 5
    X = np.column_stack([numbers, rates_of_others(codes, targets, np.ones(n), codes.max() + 1, parts)])
    return X, CodedByTargets(np.array([[1]]), codes[:, None], parts[:, None], targets, np.ones(n))


def test_features_within_some_samples_know_no_targets_of_others():
    rng = np.random.default_rng(0)
    codes, targets, seen = rng.integers(12, size=80), rng.standard_normal((80, 1)), rng.random(80) < 0.7
    targets += codes[:, None]
    X, coded = coded_samples(targets, codes, rng.standard_normal(80))
    found = coded.within(X, seen)
    other = np.where(seen[:, None], targets, 100.0 * rng.standard_normal((80, 1)))
    np.testing.assert_array_equal(coded._replace(targets=other).within(X, seen), found)
    rates, _ = learn_rates(codes[seen], targets[seen], np.ones(seen.sum()), 12)
    np.testing.assert_array_equal(found[~seen, 1], rates[codes[~seen], 0])
    np.testing.assert_array_equal(found[:, 0], X[:, 0])
    some = np.flatnonzero(rng.random(80) < 0.5)
    np.testing.assert_array_equal(coded.of(some).within(X[some], np.ones(len(some), bool))[:, 0], X[some, 0])


def rows_of_categories(out, wrong):
    """Rows, targets and what is coded of them; those of `out` have other targets."""
    rng = np.random.default_rng(0)
    codes = rng.integers(30, size=120)
    targets, numbers = rng.standard_normal((30, 1))[codes] + rng.standard_normal((120, 1)), rng.standard_normal(120)
    Y = np.where(out[:, None] & wrong, 100.0 * rng.standard_normal((120, 1)), targets)
    return *coded_samples(Y, codes, numbers), Y


@pytest.mark.parametrize("rounds", [0, 2])
def test_outputs_of_folds_know_no_targets_of_them(rounds):
    folds, found, scaling = np.arange(120) % 3, [], None
    for wrong in (False, True):
        X, coded, Y = rows_of_categories(folds == 0, wrong)
        scaling = scaling or InputScaling().fit(X)
        of_folds = Folds(scaling, X, Y, np.ones(120), folds, (1.0, 0.1, "diagonal"), 1, None, coded)
        found.append(of_folds.chosen(rounds)[3].outputs)
    np.testing.assert_array_equal(found[0][folds == 0], found[1][folds == 0])
    assert np.abs(found[0] - found[1])[folds != 0].min() > 0


def test_outputs_of_a_part_know_no_targets_of_it():
    def outputs(out, wrong):
        X, coded, Y = rows_of_categories(out, wrong)
        of_model = {"scale": lambda X, Y, weights: InputScaling().fit(X).transform, "coded": coded}
        return hold_out(KernelRidge(alpha=0.1), X, Y, np.ones(120), np.zeros(120), 3, 0, **of_model)[:, 0]

    found = outputs(np.zeros(120, bool), False)
    out = ~np.isnan(found)
    assert out.sum() == 40
    np.testing.assert_array_equal(outputs(out, True), found)


@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_scores_are_honest_and_intervals_hold_what_they_say(effect):
    scores, others, held = [], [], []
    for seed in range(4):
        frame, y = table(1100, seed, effect)
        seen, new = slice(250), slice(250, None)
        model = NewtonRegressor(**KERNEL).fit(frame[seen], y[seen])
        assert "town: mean target" in model.encoder_.get_feature_names_out()
        lower, upper = model.predict_interval(frame[new]).T
        scores.append(model.validation_score_)
        others.append(model.score(frame[new], y[new]))
        held.append(np.mean((lower <= y[new]) & (y[new] <= upper)))
    excess = np.array(scores) - others
    assert np.mean(excess) < 2 * np.std(excess, ddof=1) / 2.0
    assert 0.87 < np.mean(held) < 0.94
    if effect:
        assert np.mean(others) > 0.3
    else:
        assert np.mean(scores) < 2 * np.std(scores, ddof=1) / 2.0
        assert np.mean(others) > -0.05


@pytest.mark.parametrize(
    "model",
    [
        NewtonRegressor("kernel", random_state=0),
        NewtonRegressor(random_state=0),
        NewtonRegressor(**KERNEL, loss="huber", alpha=1.0),
        NewtonClassifier(**KERNEL, loss="auto", alpha=1.0),
        NewtonClassifier(**KERNEL, loss="log_loss"),
        NewtonClassifier("network", width=128, max_iter=5, random_state=0),
    ],
)
def test_all_that_is_chosen_is_judged_by_folds(model, monkeypatch):
    frame, y = table(240, 0, effect=1.0)
    calls, within = [], CodedByTargets.within

    def counted(coded, X, seen):
        calls.append(seen.mean())
        return within(coded, X, seen)

    monkeypatch.setattr(CodedByTargets, "within", counted)
    labels = np.where(y > 0, "much", "little")
    model.fit(frame, labels if isinstance(model, NewtonClassifier) else y)
    assert calls
    assert 0 < min(calls) <= max(calls) < 1
    assert "leave_one_out_error" not in model.selection_
    assert model._rated is None
    assert model.validation_score_ > (0.5 if isinstance(model, NewtonClassifier) else 0.05)


@pytest.mark.parametrize("loss", ["squared", "log_loss", "auto"])
def test_folds_have_the_means_that_are_shipped(loss, monkeypatch):
    """Of all samples as they came: without weights of classes, also where rows come again."""
    rng, calls, within = np.random.default_rng(0), [], CodedByTargets.within
    towns = rng.integers(30, size=300)
    labels = rng.random(300) < rng.uniform(0.1, 0.9, 30)[towns]

    def counted(coded, X, seen):
        calls.append(coded)
        return within(coded, X, seen)

    monkeypatch.setattr(CodedByTargets, "within", counted)
    model = NewtonClassifier(**KERNEL, loss=loss, alpha=1.0, class_weight={False: 1.0, True: 9.0})
    model.fit(pd.DataFrame({"town": [f"town {k}" for k in towns]}), labels)
    assert {len(coded.codes) for coded in calls} == {300}
    assert all(np.all(coded.weights == 1.0) for coded in calls)
    shipped = learn_rates(calls[-1].codes[:, 0], calls[-1].targets, calls[-1].weights, 30)[0]
    np.testing.assert_allclose(np.array(model.encoder_.columns_[0].rates), shipped)
    assert np.ptp(shipped) > 0.3


def test_many_samples_are_judged_by_some_that_are_held_out():
    frame, y = table(1700, 0, effect=1.0, categories=200)
    model = NewtonRegressor(**KERNEL, alpha=1.0).fit(frame, y)
    assert len(model.residuals_) == 200  # those that chose nothing
    assert np.isfinite(model.predict_interval(frame[:5])).all()


def test_features_that_were_encoded_before_are_learned_from_as_frames_are():
    """As the command line does it."""
    frame, y = table(150, 0, effect=1.0)
    encoder = TableEncoder()
    cells = [[str(value) for value in frame["size"]], list(frame["town"])]
    X = encoder.fit_transform(Table(["size", "town"], cells), None, y[:, None])
    coded = NewtonRegressor(**KERNEL).fit(CodedFeatures.of(X, *encoder.coded_, y[:, None]), y)
    of_frame, plain = NewtonRegressor(**KERNEL).fit(frame, y), NewtonRegressor(**KERNEL).fit(X, y)
    np.testing.assert_allclose(np.sort(coded.residuals_[:, 0]), np.sort(of_frame.residuals_[:, 0]), rtol=1e-6)
    assert "scaling_error" not in plain.selection_
    assert encoder.transform(Table(["size", "town"], cells)).shape == X.shape
    weights = np.r_[np.zeros(20), np.ones(130)]
    some = NewtonRegressor(**KERNEL).fit(CodedFeatures.of(X, *encoder.coded_, y[:, None]), y, sample_weight=weights)
    assert len(some.residuals_) == 130


def test_weights_enter_the_means():
    frame, y = table(200, 0)
    weights = np.where(frame["town"] == frame["town"][0], np.where(y > 0, 50.0, 0.1), 1.0)
    of_town = frame[frame["town"] == frame["town"][0]][:1]
    plain, weighted = (NewtonRegressor(**KERNEL).fit(frame, y, sample_weight=w) for w in (None, weights))
    place = list(plain.encoder_.get_feature_names_out()).index("town: mean target")
    assert weighted.encoder_.transform(of_town)[0, place] > plain.encoder_.transform(of_town)[0, place] + 0.2


@pytest.mark.parametrize("unit", [1e-60, 1e60])
def test_targets_of_any_size_are_as_good(unit):
    frame, y = table(150, 0, effect=1.0)
    frame["street"] = [f"street {k}" for k in np.random.default_rng(1).integers(30, size=150)]  # tells nothing
    plain = NewtonRegressor(**KERNEL, evenness=1.0).fit(frame, y)
    other = NewtonRegressor(**KERNEL, evenness=1.0).fit(frame, unit * y)
    np.testing.assert_allclose(other.predict(frame) / unit, plain.predict(frame), rtol=1e-6)


def test_the_order_of_rows_changes_nothing():
    frame, y = table(150, 0, effect=1.0)
    order = np.random.default_rng(0).permutation(150)
    one, other = NewtonRegressor(**KERNEL).fit(frame, y), NewtonRegressor(**KERNEL).fit(frame.iloc[order], y[order])
    np.testing.assert_allclose(one.predict(frame), other.predict(frame), rtol=1e-6, atol=1e-8)
    assert deal_into_parts(np.zeros(7, int), y[:7, None], np.ones(7)).max() == 4


@pytest.mark.parametrize("loss", ["squared", "log_loss"])
def test_nor_does_that_of_rows_of_equal_targets(loss):
    """Which differ in other columns, or in the category alone."""
    frame, y = table(200, 0, effect=1.0, categories=40)
    frame["street"] = [f"street {k}" for k in np.random.default_rng(1).integers(30, size=200)]
    frame["size"] = frame["size"].round()
    order, labels = np.random.default_rng(0).permutation(200), np.where(y > 0, "much", "little")
    weights = np.random.default_rng(2).uniform(0.5, 2.0, 200).round(1)
    X, back = (
        FrameEncoder().fit_transform(frame, labels),
        FrameEncoder().fit_transform(frame.iloc[order], labels[order]),
    )
    np.testing.assert_array_equal(back, X[order])
    model = NewtonClassifier(**KERNEL, alpha=1.0, loss=loss)
    one = clone(model).fit(frame, labels, weights)
    other = clone(model).fit(frame.iloc[order], labels[order], weights[order])
    np.testing.assert_array_equal(one.predict_proba(frame), other.predict_proba(frame))
    assert one.validation_score_ == other.validation_score_


def names_and_values(model, frame):
    return [*model.encoder_.get_feature_names_out()], model.encoder_.transform(frame).tolist()


def test_what_targets_are_is_not_a_matter_of_their_type():
    frame, y = table(150, 0, effect=1.0)
    for n_classes in (5, 25):
        codes = np.argsort(np.argsort(y)) * n_classes // 150
        labels = np.array([f"class {k:02}" for k in codes])
        classifiers = [NewtonClassifier(**KERNEL, alpha=1.0).fit(frame, z) for z in (codes, codes + 0.0, labels)]
        names, values = names_and_values(classifiers[0], frame)
        assert len(names) == 1 + n_classes
        assert all(names_and_values(model, frame) == (names, values) for model in classifiers[1:])
    counts = np.random.default_rng(0).poisson(3.0, 150)
    for kinds in ([y, y.astype(object)], [counts, counts.astype(float), counts.astype(object)]):
        models = [NewtonRegressor(**KERNEL, alpha=1.0).fit(frame, z) for z in kinds]
        assert [*models[0].encoder_.get_feature_names_out()] == ["size", "town: mean target"]
        assert all(names_and_values(model, frame) == names_and_values(models[0], frame) for model in models[1:])
    for z, width in ((codes % 5, 5), (np.arange(150) // 5, 1), (labels, 25), (y, 1), (codes % 2, 1)):
        kinds = [z] if z.dtype.kind == "U" else [z, z.astype(float), z[:, None]]
        made = [FrameEncoder().fit_transform(frame, kind) for kind in (*kinds, z.astype(object))]
        assert made[0].shape[1] == 1 + width
        assert all(np.array_equal(X, made[0]) for X in made[1:])


def test_targets_that_are_missing_or_too_few_are_refused():
    frame, y = table(60, 0)
    labels = np.where(y > 0, "much", "little")
    y[3] = np.nan
    for learn in (NewtonRegressor(**KERNEL).fit, FrameEncoder().fit_transform):
        with pytest.raises(ValueError, match=r"Input y contains NaN"):
            learn(frame, y)
        with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[60, 59\]"):
            learn(frame, y[:59])
    for missing in (None, np.nan, pd.NA):
        gap, numbers = labels.astype(object), np.full(60, 0.5, dtype=object)
        gap[3] = numbers[3] = missing
        for learn in (NewtonClassifier(**KERNEL).fit, FrameEncoder().fit_transform):
            with pytest.raises(ValueError, match=rf"Input y contains NaN or .*: row 3 holds {missing}"):
                learn(frame, gap)
        with pytest.raises(ValueError, match=rf"Input y contains NaN or .*: row 3 holds {missing}"):
            NewtonRegressor(**KERNEL).fit(
                frame[["size"]], np.array([missing if k == 3 else 0.5 for k in range(60)], dtype=object)
            )
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        NewtonClassifier(**KERNEL).fit(frame, np.linspace(0.1, 1.0, 60))
    weights = np.r_[0.0, np.ones(59)]
    found = [
        NewtonClassifier(**KERNEL, alpha=1.0).fit(frame, made(labels), sample_weight=weights).predict_proba(frame)
        for made in (np.asarray, list, pd.Series, lambda values: pd.array(values, dtype="string"))
    ]
    assert all(np.array_equal(probabilities, found[0]) for probabilities in found[1:])
