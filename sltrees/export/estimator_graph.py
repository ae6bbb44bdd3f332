"""Estimators as ONNX graphs: what becomes of columns, scaling, kernel or networks, predictions and probabilities."""

from __future__ import annotations

import json

import numpy as np

from sltrees.export.encoder_graph import encoded
from sltrees.export.onnx_graph import Graph, kernel_sums, scaled

OUTPUTS = ("y", "label", "probabilities")


def is_estimator(thing):
    """Whether it is a regressor or classifier of this package, by what one has when it is fitted. Cost: O(1)."""
    return hasattr(thing, "fit") and hasattr(thing, "get_params") and hasattr(thing, "partial_fit")


def estimator_model(onnx, estimator, input_dtype, sums_of_networks):
    """The ONNX model of a fitted estimator.

    Parameters
    ----------
    onnx : module
    estimator : NewtonRegressor or NewtonClassifier
    input_dtype : float32 or float64
    sums_of_networks : callable
        sums_of_networks(graph, rows, networks) of shape (n, C), float64.

    Returns
    -------
    onnx.ModelProto
    """
    if not hasattr(estimator, "fitted_model_"):
        raise RuntimeError("the estimator was not fitted: call fit(X, y) first")
    graph, model = Graph(onnx), estimator.fitted_model_
    X, inputs, metadata = _features(graph, estimator, input_dtype)
    rows = scaled(graph, X, estimator.scaling_)
    if model.name == "kernel":
        outputs = kernel_sums(graph, rows, model.X_, model.dual_, model.shift)
        outputs = graph.add("Add", outputs, model.constant_)
    else:
        outputs = sums_of_networks(graph, rows, model.networks_)
        outputs = graph.add("Div", outputs, np.array(model.target_scale))
        if model.loss is not None:
            outputs = graph.add("Add", outputs, np.asarray(model.offsets + model.lift, dtype=np.float64))
    outputs = graph.add("Add", graph.add("Mul", outputs, estimator.spread_), estimator.centre_)
    classes = getattr(estimator, "classes_", None)
    made = _numbers(graph, estimator, outputs) if classes is None else _labels(graph, estimator, outputs, classes)
    metadata |= {"model": model.name, "estimator": type(estimator).__name__}
    return graph.as_model(inputs, made, f"{type(estimator).__name__} of sltrees: {model.name}.", metadata)


def _features(graph, estimator, input_dtype):
    """Name of the features, inputs of the graph, and what is to be said of them."""
    names, metadata = getattr(estimator, "feature_names_in_", None), {}
    if estimator.encoder_ is not None:
        features, inputs, metadata = encoded(graph, estimator.encoder_.columns_, input_dtype, OUTPUTS)
    else:
        X = graph.add("Cast", "X", to=graph.type_of(np.float64))
        # as estimators fill what is missing where nothing was in training
        features = graph.add("Where", graph.add("IsNaN", X), estimator.scaling_.middle_, X)
        inputs = [("X", graph.type_of(input_dtype), ["n", estimator.scaling_.mean_.size])]
    if names is not None and not metadata:
        metadata = {"feature_names": json.dumps([str(name) for name in names])}
    return features, inputs, metadata


def _numbers(graph, estimator, outputs):
    """Predictions of a regressor: the outputs of the graph."""
    n_outputs, one = len(estimator.centre_), estimator.has_one_target
    if estimator.loss_ in ("poisson", "gamma"):
        outputs = graph.add("Exp", outputs)
    if one:
        graph.add("Squeeze", outputs, np.array([1]), output="y")
    else:
        graph.add("Identity", outputs, output="y")
    return [("y", graph.type_of(np.float64), ["n"] if one else ["n", n_outputs])]


def _labels(graph, estimator, outputs, classes):
    """Labels and probabilities of a classifier: the outputs of the graph."""
    if len(classes) < 2:
        raise ValueError(f"a classifier that is exported must know at least 2 classes, got {classes.tolist()}")
    if len(classes) == 2:
        outputs = graph.add("Concat", graph.add("Neg", outputs), outputs, axis=1)
    scores = graph.add("Mul", outputs, np.array(estimator.sharpness_))
    graph.add("Softmax", scores, output="probabilities", axis=1)
    best = graph.add("ArgMax", outputs, axis=1, keepdims=0)
    labels = classes.astype(np.int64) if classes.dtype.kind in "iu" else classes
    if labels.dtype.kind not in "if":
        labels = np.array([str(label) for label in classes.tolist()], dtype=object)
    graph.add("Gather", labels, best, output="label")
    type_of_labels = graph.type_of(object if labels.dtype == object else labels.dtype)
    return [
        ("label", type_of_labels, ["n"]),
        ("probabilities", graph.type_of(np.float64), ["n", len(classes)]),
    ]
