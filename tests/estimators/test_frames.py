"""Frames as people have them: categories, strings, booleans, dates and missing values."""

import datetime
import json
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from sltrees.estimators import FrameEncoder, NewtonClassifier, NewtonRegressor, frame_names

N = 200
KERNEL = {"model": "kernel", "feature_learning": False}  # quick


def columns(seed=0):
    """Lists: numbers and words, some of them missing, booleans and dates."""
    rng = np.random.default_rng(seed)
    return {
        "size": [None if k % 9 == 0 else float(value) for k, value in enumerate(rng.standard_normal(N))],
        "colour": [("red", "blue", None)[k] for k in rng.integers(3, size=N)],
        "new": [bool(k) for k in rng.integers(2, size=N)],
        "when": [datetime.datetime(2024, 1, 1) + datetime.timedelta(days=int(k)) for k in rng.integers(700, size=N)],
        "town": [f"town {k}" for k in rng.integers(30, size=N)],
        "count": [int(k) for k in rng.integers(5, size=N)],
    }


def target(found):
    size = np.array([0.0 if value is None else value for value in found["size"]])
    return size + 2.0 * np.array([colour == "red" for colour in found["colour"]]) + np.array(found["new"])


def as_pandas(found):
    frame = pd.DataFrame(found)
    frame["colour"] = frame["colour"].astype("category")
    frame["size"] = pd.array(found["size"], dtype="Float64")
    return frame


def as_polars(found):
    return pl.DataFrame(found).with_columns(pl.col("colour").cast(pl.Categorical))


FRAMES = {"pandas": as_pandas, "plain pandas": pd.DataFrame, "polars": as_polars}
NAMES = ["size", "size=NA", "colour=blue", "colour=red", "colour=NA", "new", "when"]
NAMES += [f"when: {part} of the {turn}" for turn in ("year", "week") for part in ("sine", "cosine")]


@pytest.mark.filterwarnings("ignore")
def test_the_encoder_is_a_transformer_of_scikit_learn():
    results = check_estimator(FrameEncoder(), on_fail=None)
    assert len(results) > 30
    assert not {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_become_finite_numbers_under_their_names(kind):
    found = columns()
    frame, y = FRAMES[kind](found), target(found)
    encoder = FrameEncoder()
    X = encoder.fit_transform(frame, y)
    assert list(encoder.get_feature_names_out()) == [*NAMES, "town: mean target", "count"]
    assert np.isfinite(X).all()
    missing = np.array([value is None for value in found["size"]])
    np.testing.assert_array_equal(X[:, 1], missing)
    np.testing.assert_array_equal(X[:, 3], [colour == "red" for colour in found["colour"]])
    np.testing.assert_array_equal(X[:, 5], found["new"])
    assert X[0, 6] == (found["when"][0] - datetime.datetime(1970, 1, 1)).days
    again = FrameEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    np.testing.assert_array_equal(again.transform(frame), encoder.transform(frame))
    assert list(FrameEncoder(max_categories=50).fit(frame).get_feature_names_out()[11:14]) == [
        "town=town 0",
        "town=town 1",
        "town=town 10",
    ]


def test_the_same_table_in_other_frames_is_the_same():
    found = columns()
    made = [FrameEncoder().fit_transform(make(found), target(found)) for make in FRAMES.values()]
    for X in made[1:]:
        np.testing.assert_array_equal(X, made[0])


def test_categories_may_be_named():
    X = np.array([[1.0, 5.0], [2.0, 5.0], [1.0, np.nan]])
    for wanted in ([0], [True, False], np.array([0])):
        assert list(FrameEncoder(wanted).fit(X).get_feature_names_out()) == ["x0=1", "x0=2", "x1"]
    frame = pd.DataFrame(X, columns=["a", "b"])
    assert list(FrameEncoder(["a"]).fit(frame).get_feature_names_out()) == ["a=1", "a=2", "b"]
    for wrong, message in (([2], "positions from 0 to 1"), ([True], "an entry for each"), (["c"], "columns of X")):
        with pytest.raises(ValueError, match=message):
            FrameEncoder(wrong).fit(frame)


@pytest.mark.parametrize(
    ("values", "categories"),
    [
        ([3, 1, 2, 1], ["1", "2", "3"]),
        ([3, None, 2, 2], ["2", "3", "NA"]),
        ([2**60 + 1, None, 2**60, 2**60], [str(2**60), str(2**60 + 1), "NA"]),
        ([0.5, 0.1, 0.5, 0.1], ["0.1", "0.5"]),
        ([True, False, True, False], ["False", "True"]),
        ([True, None, True, False], ["False", "True", "NA"]),
        (["a", "b", "a", "b"], ["a", "b"]),
    ],
    ids=str,
)
def test_what_has_the_type_of_categories_is_categories(values, categories):
    frame = pd.DataFrame({"c": pd.Categorical(values), "x": [1.0, 2.0, 3.0, 4.0]})
    encoder = FrameEncoder()
    X = encoder.fit_transform(frame)
    assert list(encoder.get_feature_names_out()) == [*(f"c={category}" for category in categories), "x"]
    np.testing.assert_array_equal(X[:, :-1].sum(axis=1), np.ones(4))
    np.testing.assert_array_equal(encoder.transform(frame), X)
    np.testing.assert_array_equal(encoder.transform(frame.astype({"c": object})), X)
    model = NewtonRegressor(**KERNEL).fit(frame, X[:, 0])
    np.testing.assert_array_equal(model.encoder_.transform(frame), X)


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["1", "2", "3"])], ids=str)
def test_categories_of_polars_are_categories(dtype):
    frame = pl.DataFrame({"c": pl.Series(["3", "1", None, "1"], dtype=dtype), "x": [1.0, 2.0, 3.0, 4.0]})
    encoder = FrameEncoder().fit(frame)
    assert list(encoder.get_feature_names_out()) == ["c=1", "c=3", "c=NA", "x"]
    np.testing.assert_array_equal(encoder.transform(frame)[:, :3], [[0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]])


def test_values_that_were_not_seen_and_columns_that_are_others():
    encoder = FrameEncoder().fit(pd.DataFrame({"a": ["x", "y", "x"], "b": [1.0, 2.0, 3.0]}))
    np.testing.assert_array_equal(
        encoder.transform(pd.DataFrame({"a": ["z", None], "b": [4.0, None]})), [[0, 0, 4], [0, 0, 2]]
    )
    with pytest.raises(ValueError, match="feature names"):
        encoder.transform(pd.DataFrame({"b": ["x"], "a": [1.0]}))
    with pytest.raises(ValueError, match="column 'b' must hold numbers, as in training"):
        encoder.transform(pd.DataFrame({"a": ["x"], "b": ["y"]}))
    with pytest.raises(ValueError, match="no column to learn from"):
        FrameEncoder().fit(pd.DataFrame({"name": ["ann", "bob"], "empty": [None, None]}))


def test_in_a_pipeline_before_another_model():
    frame = as_pandas(columns())
    model = make_pipeline(FrameEncoder(), Ridge()).fit(frame, target(columns()))
    assert model.score(frame, target(columns())) > 0.95


# ---------------------------------------------------------------------- estimators


@pytest.mark.parametrize("kind", FRAMES)
def test_estimators_take_frames_with_categories_and_gaps(kind, tmp_path):
    found, new = columns(), columns(1)
    frame, y = FRAMES[kind](found), target(found)
    model = NewtonRegressor(**KERNEL).fit(frame, y)
    assert model.score(FRAMES[kind](new), target(new)) > 0.8
    assert model.n_features_in_ == 6
    assert list(model.feature_names_in_) == list(found)
    labels = np.where(y > 1.0, "many", "few")
    classifier = NewtonClassifier(**KERNEL).fit(frame, labels)
    assert classifier.score(FRAMES[kind](new), np.where(target(new) > 1.0, "many", "few")) > 0.8
    for estimator in (model, classifier):
        estimator.save(tmp_path / "m.npz")
        again = type(estimator).load(tmp_path / "m.npz")
        np.testing.assert_array_equal(again.predict(FRAMES[kind](new)), estimator.predict(FRAMES[kind](new)))
        np.testing.assert_array_equal(again.outside_range(frame), np.zeros(N))
        pickled = pickle.loads(pickle.dumps(estimator))
        np.testing.assert_array_equal(pickled.predict(frame), estimator.predict(frame))


def test_importances_are_those_of_columns_of_the_frame():
    found = columns()
    frame = as_pandas(found)[["colour", "new", "count"]]
    model = NewtonRegressor("kernel", feature_learning=2, random_state=0).fit(
        frame, target(found) - target(found).mean()
    )
    assert model.feature_importances_.shape == (3,)
    assert model.feature_scales_.shape == (5,)
    assert model.feature_importances_.argmax() == 0


def test_missing_numbers_are_filled():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, 3))
    y = X[:, 0].copy()
    gaps = X.copy()
    gaps[::7, 0] = np.nan
    model = NewtonRegressor(**KERNEL).fit(gaps, y)
    assert list(model.encoder_.get_feature_names_out()) == ["x0", "x0=NA", "x1", "x2"]
    assert np.isfinite(model.predict([[np.nan, np.nan, 0.0]])).all()
    whole = NewtonRegressor(**KERNEL).fit(X, y)
    assert whole.encoder_ is None
    np.testing.assert_allclose(whole.predict([[np.nan, 0.0, 0.0]]), whole.predict([[X[:, 0].mean(), 0.0, 0.0]]))
    for bad in (X, gaps):
        bad = bad.copy()
        bad[3, 1] = np.inf
        with pytest.raises(ValueError, match="infinity"):
            NewtonRegressor(**KERNEL).fit(bad, y)


def test_frames_of_numbers_are_learned_from_as_arrays_are():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 2)), rng.standard_normal(60)
    frame = pd.DataFrame(X, columns=["a", "b"])
    model = NewtonRegressor(**KERNEL).fit(frame, y)
    assert model.encoder_ is None
    np.testing.assert_array_equal(model.predict(frame), NewtonRegressor(**KERNEL).fit(X, y).predict(X))
    named = NewtonRegressor(**KERNEL, categorical_features=["a"])
    assert clone(named).fit(frame.round(), y).encoder_ is not None


def test_further_samples_are_encoded_alike():
    found = columns()
    frame, y = as_pandas(found), target(found)
    model = NewtonRegressor(**KERNEL).partial_fit(frame[:150], y[:150])
    before = model.encoder_
    model.partial_fit(frame[150:], y[150:])
    assert model.encoder_ is before
    assert len(model.fitted_model_.X_) == N


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("make", [NewtonRegressor, NewtonClassifier])
def test_rows_of_weight_0_are_not_learned_from_by_the_encoder_either(kind, make):
    found = columns()
    y = target(found) + np.random.default_rng(0).standard_normal(30)[[int(t.split()[1]) for t in found["town"]]]
    wrong = y.copy()
    wrong[150:] *= -1000.0
    if make is NewtonClassifier:
        y, wrong = y > 0.5, wrong > 0.5
    less = FRAMES[kind]({name: values[:150] for name, values in found.items()})
    found["size"][150:], found["colour"][150:] = [1e6] * 50, ["green"] * 50
    weights = np.r_[np.ones(150), np.zeros(50)]
    model = make(**KERNEL).fit(FRAMES[kind](found), wrong, sample_weight=weights)
    alone = make(**KERNEL).fit(less, y[:150])
    assert model.encoder_.to_dict() == alone.encoder_.to_dict()
    np.testing.assert_array_equal(model.feature_ranges_, alone.feature_ranges_)
    np.testing.assert_array_equal(model.predict(less), alone.predict(less))


def test_rows_of_weight_0_count_for_no_median_and_no_range():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, 2))
    y, weights = X[:, 1], np.r_[np.ones(150), np.zeros(50)]
    X[150:] += 1e4
    for gaps in (False, True):
        if gaps:
            X[::5, 0] = np.nan
        model = NewtonRegressor(**KERNEL).fit(X, y, sample_weight=weights)
        alone = NewtonRegressor(**KERNEL).fit(X[:150], y[:150])
        np.testing.assert_array_equal(model.feature_ranges_, alone.feature_ranges_)
        np.testing.assert_array_equal(model.predict(X), alone.predict(X))
        np.testing.assert_array_equal(model.outside_range([[100.0, 0.0]]), alone.outside_range([[100.0, 0.0]]))


def test_dates_that_were_never_seen_are_no_new_categories():
    days = np.arange(N)
    y = np.sin(2 * np.pi * days / 7)  # of the week
    frame = pd.DataFrame({"when": pd.date_range("2024-01-01", periods=N)})
    order = np.random.default_rng(0).permutation(N)
    model = NewtonRegressor(**KERNEL).fit(frame.iloc[order[:150]], y[order[:150]])
    assert model.score(frame.iloc[order[150:]], y[order[150:]]) > 0.9
    of_arrays = NewtonRegressor(**KERNEL).fit(frame.to_numpy()[order[:150]], y[order[:150]])
    np.testing.assert_allclose(of_arrays.predict(frame.to_numpy()), model.predict(frame), rtol=1e-9, atol=1e-9)


def test_parameters_that_there_are_not_are_reported_for_the_public_class():
    for cls in (NewtonRegressor, NewtonClassifier):
        with pytest.raises(TypeError, match=rf"^{cls.__name__}\.__init__\(\) got an unexpected keyword argument"):
            cls(widht=5)


@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame])
def test_names_are_seen_by_versions_of_scikit_learn_that_know_the_interchange_protocol_alone(monkeypatch, make):
    X = make({"size": [1.0, 2.0, 3.0], "count": [1, 0, 2]})
    monkeypatch.setattr(frame_names, "KNOWS_ALL_FRAMES", False)
    seen = frame_names.with_names(X)
    names = list(seen.columns) if seen is X else seen.__dataframe__().column_names()
    assert names == ["size", "count"]
    assert (seen.shape, len(seen)) == ((3, 2), 3)
    np.testing.assert_array_equal(np.asarray(seen, dtype=np.float64), [[1, 1], [2, 0], [3, 2]])
