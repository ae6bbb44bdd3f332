"""Trained networks for other runtimes: as a PyTorch module, and as an ONNX file."""

from __future__ import annotations

import dataclasses
import json
import os

import numpy as np

from sltrees._memory import array_bytes, check_memory
from sltrees._validation import as_real_vector
from sltrees._versions import VERSION
from sltrees.execution.threads import ThreadExecutor
from sltrees.files.replacing import replacing
from sltrees.network.network import ShiftedReLUNetwork
from sltrees.network.prediction import NEURONS_PER_PART, counting_parts
from sltrees.network.use import refuse_undrawn, standing
from sltrees.preprocessing import InputScaling

OPSET, IR_VERSION = 13, 7  # of 2020: every runtime in use reads them, and nothing newer is needed
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


def to_onnx(networks, path, *, scaling=None, output_scale=None, output_offset=None):
    """Write the network to an ONNX file, whose outputs are those of `predict` up to rounding.

    Parameters
    ----------
    networks : ShiftedReLUNetwork or sequence of ShiftedReLUNetwork
        Drawn, with the same number of features and dtype. One has outputs of shape (n,), a sequence of C has (n, C).
    path : path_like
        Of the file. One that is there is replaced, in one moment, when the new one is complete.
    scaling : InputScaling, optional
        Fitted; applied to inputs first, so that the model takes what `scaling.transform` takes.
    output_scale, output_offset : float or array_like of shape (C,), optional
        Predictions are output_offset + output_scale f(x).

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
    the dtype of the network. Metadata: sltrees_version, width, shift, init and dtype; width, shift and init are lists
    for a sequence of networks. Operators are those of opset 13.

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
    model = _Model.of(networks, scaling, output_scale, output_offset)
    needed = sum(part.weights.nbytes + 8 * part.signs.size for part in model.outputs)
    if needed > ONNX_BYTES:
        raise ValueError(f"an ONNX file must have less than 2 GiB, weights and signs have {needed:,} bytes")
    proto = _onnx_model(onnx, model)
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


class _Graph:
    """Nodes and constants of an ONNX graph as they are added."""

    def __init__(self, onnx):
        self._onnx = onnx
        self.nodes, self.constants = [], []

    def constant(self, values):
        """Name of a new constant."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, operator, *inputs, output=None, **attributes):
        """Name of the output of a new node; inputs are names, or arrays, which become constants."""
        inputs = [given if isinstance(given, str) else self.constant(given) for given in inputs]
        output = f"{operator}_{len(self.nodes)}" if output is None else output
        self.nodes.append(self._onnx.helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output


def _onnx_model(onnx, model):
    double, of_network = (onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)) for dtype in (np.float64, model.dtype))
    graph = _Graph(onnx)
    X = "X" if model.scaling is None else graph.add("Cast", _scaled(graph, "X", model.scaling), to=of_network)
    y = graph.add("Concat", *(_summed(graph, X, output, double) for output in model.outputs), axis=1)
    if model.output_scale is not None:
        y = graph.add("Mul", y, model.output_scale)
    if model.output_offset is not None:
        y = graph.add("Add", y, model.output_offset)
    if model.single:
        y = graph.add("Squeeze", y, np.array([1]))
    type_of_X = of_network if model.scaling is None else double
    type_of_y = double if model.raw_outputs else of_network
    graph.add("Cast", y, output="y", to=type_of_y)

    made = onnx.helper.make_graph(
        graph.nodes,
        "sltrees",
        [onnx.helper.make_tensor_value_info("X", type_of_X, ["n", model.n_features])],
        [onnx.helper.make_tensor_value_info("y", type_of_y, ["n"] if model.single else ["n", len(model.outputs)])],
        graph.constants,
    )
    proto = onnx.helper.make_model(
        made,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="sltrees",
        producer_version=VERSION,
        doc_string="Two-layer network of shifted ReLU neurons: y = sum_r a_r max(<w_r, x> - shift, 0) / sqrt(width).",
    )
    of_networks = {name: [getattr(output, name) for output in model.outputs] for name in ("width", "shift", "init")}
    metadata = {name: values[0] if model.single else values for name, values in of_networks.items()}
    metadata = {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}
    metadata |= {"sltrees_version": VERSION, "dtype": model.dtype.name}
    onnx.helper.set_model_props(proto, metadata)
    return proto


def _scaled(graph, X, scaling):
    """As `InputScaling.transform`."""
    scaled = graph.add("Div", graph.add("Sub", X, scaling.mean_), scaling.deviation_)
    if scaling.bias:
        constant_column = np.array(scaling.bias * np.sqrt(scaling.mean_.size))
        scaled = graph.add("Pad", scaled, np.array([0, 0, 0, 1]), constant_column)
    squares = graph.add("ReduceSum", graph.add("Mul", scaled, scaled), np.array([1]), keepdims=1)
    norms = graph.add("Sqrt", squares)
    # a row of zeros stays zero
    norms = graph.add("Where", graph.add("Greater", norms, np.array(0.0)), norms, np.array(1.0))
    return graph.add("Div", scaled, norms)


def _summed(graph, X, output, double):
    """An output, shape (n, 1), as a sum over parts, so that no runtime holds the products of all neurons at once."""
    weights, signs = output.weights, output.signs
    if not signs.size:  # a neuron that never fires, for runtimes that dislike empty arrays
        weights, signs = np.zeros((1, weights.shape[1]), weights.dtype), np.ones(1, weights.dtype)
    factors = signs.astype(np.float64)[:, None] / np.sqrt(output.width)
    shift, total = graph.constant(np.array(output.shift)), None
    for start in range(0, signs.size, NEURONS_PER_PART):
        part = slice(start, start + NEURONS_PER_PART)
        products = graph.add("Cast", graph.add("MatMul", X, weights[part].T), to=double)
        fired = graph.add("Relu", graph.add("Sub", products, shift))
        partial = graph.add("MatMul", fired, factors[part])
        total = partial if total is None else graph.add("Add", total, partial)
    return total
