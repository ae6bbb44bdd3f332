"""Estimators as ONNX files predict what they do here: kernel and networks, numbers, labels and probabilities."""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sltrees.estimators import NewtonClassifier, NewtonRegressor
from sltrees.export import to_onnx
from sltrees.export.onnx_graph import Graph, kernel_sums
from sltrees.kernels.orthants import OrthantPolynomials

pytestmark = pytest.mark.onnx
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

NETWORK = {"model": "network", "width": 256, "alpha": 0.1, "max_iter": 5, "random_state": 0}
N = 120


def samples(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, 4)) * [1.0, 10.0, 0.1, 1.0] + [0.0, 5.0, 0.0, 0.0]
    return X, np.sin(X[:, 0]) + 0.1 * X[:, 1]


@pytest.fixture
def run(tmp_path):
    """run(estimator, X): the outputs of the file, by name."""

    def run(estimator, X, **options):
        to_onnx(estimator, tmp_path / "m.onnx", **options)
        onnx.checker.check_model(str(tmp_path / "m.onnx"), full_check=True)
        session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, {given.name: X}), strict=True))

    return run


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "options", [{"shift": 0.0}, {"shift": 0.3}, {}, {"shift": 2.5}, {"metric": "full"}, NETWORK], ids=str
)
def test_predictions_of_regressors(run, options, dtype):
    X, y = samples()
    estimator = NewtonRegressor(**({"model": "kernel", "feature_learning": 1} | options)).fit(X, y)
    new = samples(1)[0].astype(dtype)
    far = np.concatenate([new, -new[:5], 1e3 * new[:5], X[:5].astype(dtype)])
    found = run(estimator, far, input_dtype=dtype)["y"]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, estimator.predict(far.astype(np.float64)), atol=1e-5 * np.abs(y).max())


@pytest.mark.parametrize("options", [{"model": "kernel"}, NETWORK], ids=str)
def test_several_targets(run, options):
    X, y = samples()
    estimator = NewtonRegressor(**options).fit(X, np.column_stack([y, -3 * y]))
    np.testing.assert_allclose(run(estimator, X)["y"], estimator.predict(X), atol=1e-5)


@pytest.mark.parametrize("options", [{"model": "kernel"}, NETWORK], ids=str)
@pytest.mark.parametrize("labels", [["no", "yes"], [3, 1, 2], [0.5, 1.5]], ids=str)
def test_labels_and_probabilities_of_classifiers(run, options, labels):
    X, y = samples()
    classes = np.digitize(y, np.quantile(y, np.arange(1, len(labels)) / len(labels)))
    estimator = NewtonClassifier(**options).fit(X, np.array(labels)[classes].astype(str if len(labels) == 2 else int))
    found = run(estimator, samples(1)[0])
    np.testing.assert_array_equal(found["label"], estimator.predict(samples(1)[0]))
    np.testing.assert_allclose(found["probabilities"], estimator.predict_proba(samples(1)[0]), atol=1e-5)


@pytest.mark.parametrize("options", [{"model": "kernel"}, NETWORK | {"target_scale": 2.0}], ids=str)
@pytest.mark.parametrize("loss", ["huber", "quantile", "poisson", "gamma", 2, 3])
def test_models_under_losses(run, options, loss):
    X, y = samples()
    new = samples(1)[0]
    options = {"alpha": 0.1, "feature_learning": False} | options
    if isinstance(loss, int):
        estimator = NewtonClassifier(loss="log_loss", **options).fit(X, np.digitize(y, [0.8, 1.4][: loss - 1]))
        np.testing.assert_allclose(run(estimator, new)["probabilities"], estimator.predict_proba(new), atol=1e-6)
        return
    y = np.exp(np.column_stack([y, 2.0 * y[::-1]]))
    estimator = NewtonRegressor(loss=loss, quantile=0.8, **options).fit(X, np.round(y) if loss == "poisson" else y)
    if loss == "quantile" and estimator.model_ == "network":
        estimator.fitted_model_.lift = np.array([0.5, -0.3])  # as of networks that are chosen
    np.testing.assert_allclose(run(estimator, new)["y"], estimator.predict(new), rtol=1e-5, atol=1e-5)


def test_gaps_and_frames(run):
    X, y = samples()
    estimator = NewtonRegressor("kernel", feature_learning=False).fit(X, y)
    gaps = X.copy()
    gaps[::5, 2] = np.nan
    np.testing.assert_allclose(run(estimator, gaps)["y"], estimator.predict(gaps), atol=1e-6)
    far = np.concatenate([X, gaps, np.full((1, 4), np.nan)])
    estimator = NewtonRegressor("kernel", feature_learning=False).fit(gaps, y)
    assert estimator.encoder_.get_feature_names_out().tolist() == ["x0", "x1", "x2", "x2=NA", "x3"]
    np.testing.assert_allclose(run(estimator, far)["y"], estimator.predict(far), atol=1e-6)


@pytest.mark.parametrize("options", [{"model": "kernel"}, NETWORK], ids=str)
def test_bent_columns(run, options):
    X, y = samples()
    X[:, [0, 2]] = np.exp([2.5, 25.0] * X[:, [0, 2]]) * [1.0, -1.0]
    estimator = NewtonRegressor(**options, bends=True).fit(X, y)
    assert estimator.scaling_.bent_ is not None
    far = np.concatenate([X, -X[:5], 1e9 * X[:5], np.full((1, 4), np.nan), [[1e200, 0.0, 0.0, 0.0]]])
    np.testing.assert_allclose(run(estimator, far)["y"], estimator.predict(far), atol=1e-6)


def frame_of_all_kinds():
    """A frame with columns of all kinds, most with gaps, and names that outputs have; and targets."""
    rng = np.random.default_rng(0)
    days = pd.to_timedelta(rng.uniform(0, 900, N), unit="D")
    frame = pd.DataFrame(
        {
            "y": rng.standard_normal(N),
            "label": rng.random(N) < 0.5,
            "empty": np.full(N, np.nan),
            "colour": pd.Categorical(rng.choice(["red", "green", "blue"], N)),
            "rooms": rng.integers(0, 4, N).astype(float),
            "town": [f"t{place}" for place in rng.integers(0, 30, N)],
            "when": pd.Timestamp("2024-01-01") + days,
            "day": (pd.Timestamp("2024-01-01") + days).floor("D"),
        }
    )
    y = (
        np.sin(frame["y"])
        + frame["label"]
        + 2 * (frame["colour"] == "red")
        + np.sin(2 * np.pi * (frame["when"].dt.hour / 24))
    )
    for step, column in enumerate(["y", "colour", "rooms", "town", "when"], 5):
        frame.loc[::step, column] = None
    return frame, y.to_numpy()


def inputs_of_guide(path):
    """inputs_of(frame, dtype) of the recipe of docs/guide/estimators.md, for the file, and the session."""
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "estimators.md").read_text(encoding="utf-8")
    recipe = guide[guide.index("    import json\n") : guide.index('    (y,) = session.run(["y"], inputs_of(frame))')]
    names = {}
    exec(textwrap.dedent(recipe).replace("model.onnx", str(path)), names)
    return names["inputs_of"], names["session"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", [{"model": "kernel", "feature_learning": False}, NETWORK], ids=str)
def test_frames_go_in_as_they_are(tmp_path, options, dtype):
    frame, y = frame_of_all_kinds()
    words = ["colour", "rooms", "town"]
    estimator = NewtonRegressor(**options, categorical_features=words).fit(frame, y)
    kinds = [column.kind for column in estimator.encoder_.columns_]
    assert set(kinds) == {"numeric", "left out", "categorical", "target encoded", "date"}
    to_onnx(estimator, tmp_path / "m.onnx", input_dtype=dtype)
    inputs_of, session = inputs_of_guide(tmp_path / "m.onnx")
    assert [given.name for given in session.get_inputs()] == ["y_", "label_", "colour", "rooms", "town", "when", "day"]
    new = frame.assign(colour=frame["colour"].astype(object)).astype({"y": dtype})
    new.loc[3, "town"], new.loc[4, "colour"], new.loc[7, "rooms"] = "elsewhere", "mauve", 17.0
    new.loc[11, ["town", "day", "when"]] = None  # of days, none was missing in training
    (found,) = session.run(["y"], inputs_of(new, dtype))
    assert np.ptp(found) > 1
    np.testing.assert_allclose(found, estimator.predict(new.astype({"y": float})), atol=1e-6)


def test_frames_of_classifiers_and_words_that_mean_missing(tmp_path):
    frame, y = frame_of_all_kinds()
    frame = frame[["colour", "y"]]
    estimator = NewtonClassifier("kernel", feature_learning=False).fit(frame, np.where(y > 1, "dear", "cheap"))
    to_onnx(estimator, tmp_path / "m.onnx")
    inputs_of, session = inputs_of_guide(tmp_path / "m.onnx")
    inputs = {name: values.copy() for name, values in inputs_of(frame).items()}
    missing = frame["colour"].isna().to_numpy()
    for word in ("", None, np.nan, pd.NA):
        inputs["colour"][missing, 0] = word
        label, probabilities = session.run(["label", "probabilities"], inputs)
        np.testing.assert_array_equal(label, estimator.predict(frame))
        np.testing.assert_allclose(probabilities, estimator.predict_proba(frame), atol=1e-6)


def test_categories_that_are_large_whole_floats(tmp_path):
    values = np.array([1e16, 1e22, -3e15, 2.0**60, 1e300, 7.0])
    frame = pd.DataFrame({"code": np.tile(values, 20), "size": np.linspace(-1, 1, N)})
    y = np.tile([1.0, -1.0, 2.0, -2.0, 3.0, -3.0], 20) + frame["size"]
    estimator = NewtonRegressor("kernel", feature_learning=False, categorical_features=["code"]).fit(frame, y)
    to_onnx(estimator, tmp_path / "m.onnx")
    inputs_of, session = inputs_of_guide(tmp_path / "m.onnx")
    (found,) = session.run(["y"], inputs_of(frame))
    np.testing.assert_allclose(found, estimator.predict(frame), atol=1e-6)


@pytest.mark.parametrize("shift", [0.0, 0.1, 1.0, 4.0])
def test_the_probability_is_that_of_the_polynomials(shift):
    c = np.concatenate([np.linspace(-1, 1, 401), -1 + np.geomspace(1e-12, 1, 50), 1 - np.geomspace(1e-12, 1, 50)])
    graph = Graph(onnx)
    sums = kernel_sums(graph, "X", np.array([[1.0]]), np.array([[1.0]]), shift)
    graph.add("Identity", sums, output="y")
    double = graph.type_of(np.float64)
    model = graph.as_model([("X", double, ["n", 1])], [("y", double, ["n", 1])], "", {})
    (found,) = onnxruntime.InferenceSession(model.SerializeToString()).run(["y"], {"X": c[:, None]})
    expected = c * OrthantPolynomials.of(shift).probability(c)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-13)


def test_what_cannot_be_exported_is_refused(tmp_path):
    X, y = samples()
    with pytest.raises(RuntimeError, match="was not fitted"):
        to_onnx(NewtonRegressor(), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="must be None for an estimator"):
        to_onnx(NewtonRegressor("kernel").fit(X, y), tmp_path / "m.onnx", output_scale=2.0)
    with pytest.raises(ValueError, match="at least 2 classes"):
        to_onnx(NewtonClassifier("kernel").fit(X, np.ones(N)), tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("name", ["", "sltrees/Cast_0", "y"])
def test_any_column_has_an_input(tmp_path, name):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.standard_normal(N), name: rng.choice(["u", "v"], N)})
    estimator = NewtonRegressor("kernel", feature_learning=False).fit(frame, frame["a"] + (frame[name] == "u"))
    to_onnx(estimator, tmp_path / "m.onnx")
    inputs_of, session = inputs_of_guide(tmp_path / "m.onnx")
    assert [given.name for given in session.get_inputs()] == ["a", f"{name}_"]
    (found,) = session.run(["y"], inputs_of(frame))
    np.testing.assert_allclose(found, estimator.predict(frame), atol=1e-6)


def test_words_like_missing_values_are_words_beside_empty_ones(tmp_path):
    rng = np.random.default_rng(0)
    words = rng.choice(["None", "nan", "x", ""], N)
    frame = pd.DataFrame({"a": rng.standard_normal(N), "word": words})
    estimator = NewtonRegressor("kernel", feature_learning=False).fit(frame, 3.0 * (words == "None") - (words == ""))
    to_onnx(estimator, tmp_path / "m.onnx")
    inputs_of, session = inputs_of_guide(tmp_path / "m.onnx")
    (found,) = session.run(["y"], inputs_of(frame))
    np.testing.assert_allclose(found, estimator.predict(frame), atol=1e-6)
