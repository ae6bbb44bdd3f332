"""Trained networks for other runtimes: as a PyTorch module, and as an ONNX file."""

from __future__ import annotations

import dataclasses
import json
import os

import numpy as np

from sltrees._memory import array_bytes, check_memory
from sltrees._validation import as_float_dtype, as_real_vector
from sltrees.execution.threads import ThreadExecutor
from sltrees.export.estimator_graph import estimator_model, is_estimator
from sltrees.export.onnx_graph import Graph, scaled, summed
from sltrees.files.replacing import replacing
from sltrees.network.network import ShiftedReLUNetwork
from sltrees.network.prediction import counting_parts
from sltrees.network.use import refuse_undrawn, standing
from sltrees.preprocessing import InputScaling

ONNX_BYTES = 2**31 - 2**20  # a protobuf message is shorter than 2 GiB; the rest is for what is not weights


def to_torch(networks, *, scaling=None, output_scale=None, output_offset=None):
    """The network as a PyTorch module, whose outputs are those of `predict` up to rounding.

    Parameters
    ----------
    networks : ShiftedReLUNetwork or sequence of ShiftedReLUNetwork
        Drawn, with the same number of features and dtype. One has outputs of shape (n,), a sequence of C has (n, C).
    scaling : InputScaling, optional
        Fitted; applied to inputs first, so that the module takes what `scaling.transform` takes.
    output_scale, output_offset : float or array_like of shape (C,), optional
        Predictions are output_offset + output_scale f(x).

    Returns
    -------
    torch.nn.Module
        Its parameter `weights`, of shape (k, d), can be trained on. Buffers are `signs` (k,), `shift` and
        `factor` = 1/sqrt(width) (C,), and those of `scaling`, `output_scale` and `output_offset` where these are given.
        It holds copies: neither it nor the network changes with the other.

    Raises
    ------
    ImportError
        If PyTorch is not there.
    TypeError, ValueError
        If networks disagree, or do not fit the scaling; or if the scaling is none, or scales and offsets no finite
        numbers in the right shape.
    RuntimeError
        If a network was not initialised, or the scaling not fitted.
    MemoryError
        If the machine has no room for the weights.

    Notes
    -----
    With init "paired" only pairs that have moved are exported (the others cancel exactly), with "gaussian" all m
    neurons. Products are in the dtype of the network, sums over neurons in float64, since the two neurons of a pair
    nearly cancel: devices without float64 cannot run it.

    Numbers in raw units are float64: outputs with `output_scale` or `output_offset`. Other outputs have the dtype of
    the network. Inputs may have any dtype. The module works with `torch.jit.script` and `torch.export`, pickles, and
    loads the state of another one of the same shapes.

    Cost: O(k d) for k exported neurons. The module: O(k d) per sample.

    Examples
    --------
    >>> import torch
    >>> from sltrees import NewtonTrainer
    >>> X, y = np.eye(3), np.arange(3.0)
    >>> network = ShiftedReLUNetwork(1000, random_state=0)
    >>> status = NewtonTrainer(network).fit(X, y).status
    >>> module = to_torch(network)
    >>> with torch.no_grad():
    ...     outputs = module(torch.from_numpy(X))
    >>> bool(np.allclose(outputs, network.predict(X), atol=1e-5))
    True
    """
    try:
        from sltrees.export.torch_network import TorchNetwork
    except ImportError as error:
        raise ImportError('to_torch needs PyTorch: pip install -e ".[torch]"') from error
    return TorchNetwork(_Model.of(networks, scaling, output_scale, output_offset))


def to_onnx(networks, path, *, scaling=None, output_scale=None, output_offset=None, input_dtype=None):
    """Write networks or an estimator to an ONNX file, whose outputs are those of `predict` up to rounding.

    Parameters
    ----------
    networks : ShiftedReLUNetwork, sequence of ShiftedReLUNetwork, or estimator
        Networks are drawn, with the same number of features and dtype; one has outputs of shape (n,), a sequence of C
        has (n, C). A NewtonRegressor or NewtonClassifier is fitted, and written with its encoder and scaling.
    path : path_like
        Of the file. One that is there is replaced, in one moment, when the new one is complete.
    scaling : InputScaling, optional
        Fitted; applied to inputs first, so that the model takes what `scaling.transform` takes.
    output_scale, output_offset : float or array_like of shape (C,), optional
        Predictions are output_offset + output_scale f(x).
    input_dtype : float32 or float64, optional
        Of the input X: a graph takes one of them alone. By default float64 for an estimator, and where there is a
        scaling; else that of the network.

    Raises
    ------
    ImportError
        If the package onnx is not there.
    TypeError, ValueError
        If networks disagree, or do not fit the scaling; if the scaling is none, or scales and offsets no finite numbers
        in the right shape; or if the file would have 2 GiB or more, which ONNX does not allow.
    RuntimeError
        If a network was not initialised, or the scaling not fitted.
    MemoryError
        If the machine has no room for the weights.
    OSError
        If the file cannot be written; one that was there stays.

    Notes
    -----
    The input is named "X", the output "y"; the number of samples n is free. With init "paired" only pairs that have
    moved are exported (the others cancel exactly), with "gaussian" all m neurons. Products are in the dtype of the
    network, sums over neurons in float64, since the two neurons of a pair nearly cancel.

    Numbers in raw units are float64: inputs with `scaling`, outputs with `output_scale` or `output_offset`. Others have
    the dtype of the network.

    An estimator that learned from numbers alone has the input "X", shape (n, d), in which NaN is filled as `predict`
    does. Of one that learned from a frame with other columns, too, each column is an input of shape (n, 1), called like
    it: numbers and booleans of `input_dtype`; dates as float64, days since 1970, since ONNX has no dates; categories as
    strings, "" for what is missing. (Metadata have the kinds, as JSON under "columns", and the names of inputs, which
    have a "_" more where the column is called "" or like an output.) Outputs are "y" of a regressor, float64; of a
    classifier "label" and "probabilities", in the order of `classes_`. Of the kernel, correlations are
    computed in float64, so that it has an error of some 1e-8 where a sample is one that was learned from, times the
    largest coefficients; memory is 8 bytes x samples x 4,096 at a time, and some twenty times that.

    Metadata: sltrees_version, width, shift, init and dtype; width, shift and init are lists
    for a sequence of networks. Operators are those of opset 13, for words also of opset 2 of "ai.onnx.ml".

    Cost: O(k d) for k exported neurons, and about three times their memory.

    Examples
    --------
    >>> import tempfile, onnxruntime
    >>> from sltrees import NewtonTrainer
    >>> X, y = np.eye(3, dtype=np.float32), np.arange(3.0)
    >>> network = ShiftedReLUNetwork(1000, random_state=0)
    >>> status = NewtonTrainer(network).fit(X, y).status
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     to_onnx(network, f"{directory}/network.onnx")
    ...     session = onnxruntime.InferenceSession(f"{directory}/network.onnx")
    >>> (outputs,) = session.run(["y"], {"X": X})
    >>> bool(np.allclose(outputs, network.predict(X), atol=1e-5))
    True
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError('to_onnx needs onnx: pip install -e ".[onnx]"') from error
    path = os.path.abspath(os.fspath(path))
    if input_dtype is not None:
        input_dtype = as_float_dtype(input_dtype)
    if is_estimator(networks):
        if not (scaling is output_scale is output_offset is None):
            raise ValueError("scaling, output_scale and output_offset must be None for an estimator: it has its own")
        proto = estimator_model(onnx, networks, input_dtype or np.dtype(np.float64), _sums_of_networks)
        if proto.ByteSize() > ONNX_BYTES:
            raise ValueError(f"an ONNX file must have less than 2 GiB, the model has {proto.ByteSize():,} bytes")
    else:
        model = _Model.of(networks, scaling, output_scale, output_offset)
        needed = sum(part.weights.nbytes + 8 * part.signs.size for part in model.outputs)
        if needed > ONNX_BYTES:
            raise ValueError(f"an ONNX file must have less than 2 GiB, weights and signs have {needed:,} bytes")
        proto = _onnx_model(onnx, model, input_dtype)
    onnx.checker.check_model(proto)
    content = proto.SerializeToString()
    with replacing(path) as file:
        file.write(content)


@dataclasses.dataclass(frozen=True)
class _Output:
    """The neurons of one output that count in predictions: sum_r a_r max(<w_r, x> - b, 0) / sqrt(m)."""

    weights: np.ndarray  # (k, d)
    signs: np.ndarray  # (k,)
    shift: float
    width: int
    init: str

    @classmethod
    def of(cls, network):
        """Those of a network. Cost: O(k d) for k neurons that count, and twice their memory while it goes on."""
        refuse_undrawn(network)
        d = network.n_features_in_
        with ThreadExecutor() as executor, standing(network) as state:
            parts, neurons_of = counting_parts(network, state.neurons, executor)
            count = network.width if network.init == "gaussian" else sum(2 * draws.size for _, (_, draws) in parts)
            needed = 2 * array_bytes(count, d + 1, dtype=network.dtype)
            check_memory(needed, None, f"exporting {count} neurons", "lower the width, or train from init 'paired'")
            neurons = executor.map(lambda part: neurons_of(part[1]), parts)
        none = np.empty((0, d), dtype=network.dtype), np.empty(0, dtype=network.dtype)
        weights, signs = (np.concatenate(arrays) for arrays in zip(none, *neurons, strict=True))
        return cls(weights, signs, network.shift_, network.width, network.init)


@dataclasses.dataclass(frozen=True)
class _Model:
    """What is exported: inputs are scaled, each output is that of a network, and outputs are scaled."""

    outputs: list[_Output]
    single: bool  # outputs have shape (n,) rather than (n, C)
    scaling: InputScaling | None
    output_scale: np.ndarray | None  # (C,)
    output_offset: np.ndarray | None  # (C,)

    @classmethod
    def of(cls, networks, scaling, output_scale, output_offset):
        """The model of the arguments of `to_torch` and `to_onnx`, which are checked."""
        single = isinstance(networks, ShiftedReLUNetwork)
        networks = [networks] if single else _as_networks(networks)
        for network in networks:
            refuse_undrawn(network)
        for what, values in (
            ("number of features", [network.n_features_in_ for network in networks]),
            ("dtype", [network.dtype.name for network in networks]),
        ):
            if len(set(values)) > 1:
                raise ValueError(f"networks must have the same {what}, got {values}")
        if scaling is not None:
            _check_scaling(scaling, networks[0].n_features_in_)
        output_scale, output_offset = (
            None if value is None else _as_one_each(value, name, len(networks))
            for name, value in (("output_scale", output_scale), ("output_offset", output_offset))
        )
        return cls([_Output.of(network) for network in networks], single, scaling, output_scale, output_offset)

    @property
    def dtype(self):
        """Of weights."""
        return self.outputs[0].weights.dtype

    @property
    def n_features(self):
        """Columns of the inputs."""
        return self.outputs[0].weights.shape[1] if self.scaling is None else self.scaling.mean_.size

    @property
    def raw_outputs(self):
        """Whether outputs are in raw units."""
        return self.output_scale is not None or self.output_offset is not None


def _as_networks(networks):
    try:
        networks = list(networks)
    except TypeError:
        raise TypeError(f"networks must be a network or a sequence of them, got {networks!r}") from None
    for network in networks:
        if not isinstance(network, ShiftedReLUNetwork):
            raise TypeError(f"networks must be of type ShiftedReLUNetwork, got {network!r}")
    if not networks:
        raise ValueError("networks must hold at least 1 network, got none")
    return networks


def _check_scaling(scaling, n_features):
    if not isinstance(scaling, InputScaling):
        raise TypeError(f"scaling must be an InputScaling, got {scaling!r}")
    if not hasattr(scaling, "mean_"):
        raise RuntimeError("the scaling has not seen data yet: call fit(X) first")
    n_scaled = scaling.mean_.size + (scaling.bias > 0)
    if n_scaled != n_features:
        raise ValueError(f"scaling must give the {n_features} columns that the networks take, it gives {n_scaled}")


def _as_one_each(value, name, n_outputs):
    """A number for each output: of one for all, or of a vector."""
    value = np.full(n_outputs, value) if np.isscalar(value) else value
    return as_real_vector(value, name, np.float64, length=n_outputs)


# ---------------------------------------------------------------------- ONNX


def _sums_of_networks(graph, rows, networks):
    """Outputs of networks of an estimator, shape (n, C), float64."""
    model = _Model.of(networks, None, None, None)
    rows = graph.add("Cast", rows, to=graph.type_of(model.dtype))
    return graph.add(
        "Concat", *(summed(graph, rows, output, graph.type_of(np.float64)) for output in model.outputs), axis=1
    )


def _onnx_model(onnx, model, input_dtype):
    graph = Graph(onnx)
    double, of_network = graph.type_of(np.float64), graph.type_of(model.dtype)
    X, type_of_X = "X", of_network if model.scaling is None else double
    if input_dtype is not None:
        X = graph.add("Cast", X, to=type_of_X)
        type_of_X = graph.type_of(input_dtype)
    if model.scaling is not None:
        X = graph.add("Cast", scaled(graph, X, model.scaling), to=of_network)
    y = graph.add("Concat", *(summed(graph, X, output, double) for output in model.outputs), axis=1)
    if model.output_scale is not None:
        y = graph.add("Mul", y, model.output_scale)
    if model.output_offset is not None:
        y = graph.add("Add", y, model.output_offset)
    if model.single:
        y = graph.add("Squeeze", y, np.array([1]))
    type_of_y = double if model.raw_outputs else of_network
    graph.add("Cast", y, output="y", to=type_of_y)

    of_networks = {name: [getattr(output, name) for output in model.outputs] for name in ("width", "shift", "init")}
    metadata = {name: values[0] if model.single else values for name, values in of_networks.items()}
    metadata = {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}
    return graph.as_model(
        [("X", type_of_X, ["n", model.n_features])],
        [("y", type_of_y, ["n"] if model.single else ["n", len(model.outputs)])],
        "Two-layer network of shifted ReLU neurons: y = sum_r a_r max(<w_r, x> - shift, 0) / sqrt(width).",
        metadata | {"dtype": model.dtype.name},
    )
