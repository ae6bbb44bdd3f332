"""Estimators as ONNX files predict what they do here: kernel and networks, numbers, labels and probabilities."""

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
@pytest.mark.parametrize("options", [{"shift": 0.0}, {"shift": 0.3}, {}, {"shift": 2.5}, NETWORK], ids=str)
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


def test_gaps_and_frames(run):
    X, y = samples()
    estimator = NewtonRegressor("kernel", feature_learning=False).fit(X, y)
    gaps = X.copy()
    gaps[::5, 2] = np.nan
    np.testing.assert_allclose(run(estimator, gaps)["y"], estimator.predict(gaps), atol=1e-6)
    frame = pd.DataFrame(X, columns=list("abcd")).assign(colour=np.where(X[:, 3] > 0, "red", "blue"))
    estimator = NewtonRegressor("kernel", feature_learning=False).fit(frame, y)
    found = run(estimator, estimator.encoder_.transform(frame))["y"]
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
