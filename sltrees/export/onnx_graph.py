"""What ONNX graphs of trained models are made of: scaling of inputs, sums over neurons, the kernel of the limit."""

from __future__ import annotations

import numpy as np

from sltrees._versions import VERSION
from sltrees.kernels.orthants import OrthantPolynomials
from sltrees.network.prediction import NEURONS_PER_PART

# of 2020: every runtime in use reads them, and nothing newer is needed
OPSETS, IR_VERSION = {"": 13, "ai.onnx.ml": 2}, 7
NODES = "sltrees/"  # what names of nodes and constants begin with
CENTRES_PER_PART = 4096  # so that no runtime holds the kernel of all at once


class Graph:
    """Nodes and constants of an ONNX graph as they are added; `NODES` keeps their names apart from inputs'."""

    def __init__(self, onnx):
        self._onnx = onnx
        self.nodes, self.constants = [], []

    def type_of(self, dtype):
        """The element type of ONNX for a dtype."""
        return self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def constant(self, values):
        """Name of a new constant."""
        name = f"{NODES}constant_{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, operator, *inputs, output=None, **attributes):
        """Name of the output of a new node; inputs are names, or arrays, which become constants."""
        inputs = [given if isinstance(given, str) else self.constant(given) for given in inputs]
        output = f"{NODES}{operator}_{len(self.nodes)}" if output is None else output
        self.nodes.append(self._onnx.helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def as_model(self, inputs, outputs, doc, metadata):
        """The whole as a model; inputs and outputs are lists of (name, element type, shape)."""
        helper = self._onnx.helper
        domains = sorted({"", *(node.domain for node in self.nodes)})
        infos = [[helper.make_tensor_value_info(*value) for value in values] for values in (inputs, outputs)]
        proto = helper.make_model(
            helper.make_graph(self.nodes, "sltrees", *infos, self.constants),
            opset_imports=[helper.make_opsetid(domain, OPSETS[domain]) for domain in domains],
            ir_version=IR_VERSION,
            producer_name="sltrees",
            producer_version=VERSION,
            doc_string=doc,
        )
        helper.set_model_props(proto, {"sltrees_version": VERSION, **metadata})
        return proto


def scaled(graph, X, scaling):
    """As `InputScaling.transform`."""
    if scaling.bent_ is not None:
        X = _bent(graph, X, scaling.mean_.size, scaling.bent_)
    columns = graph.add("Div", graph.add("Sub", X, scaling.mean_), scaling.deviation_)
    if scaling.mixing_ is not None:
        columns = graph.add("MatMul", columns, scaling.mixing_)
    if scaling.bias:
        constant_column = np.array(scaling.bias * np.sqrt(scaling.mean_.size))
        columns = graph.add("Pad", columns, np.array([0, 0, 0, 1]), constant_column)
    squares = graph.add("ReduceSum", graph.add("Mul", columns, columns), np.array([1]), keepdims=1)
    norms = graph.add("Sqrt", squares)
    # a row of zeros stays zero
    norms = graph.add("Where", graph.add("Greater", norms, np.array(0.0)), norms, np.array(1.0))
    return graph.add("Div", columns, norms)


def _bent(graph, X, d, bent):
    """Columns with long tails through arcsinh, which not all runtimes have in float64: by a logarithm."""
    places = bent[0].astype(np.int64)
    medians, spreads, is_bent = np.zeros(d), np.ones(d), np.zeros(d, dtype=bool)
    medians[places], spreads[places], is_bent[places] = bent[1], bent[2], True
    far = graph.add("Div", graph.add("Sub", X, medians), spreads)
    far = graph.add("Clip", far, np.array(-1e150), np.array(1e150))  # so that squares do not overflow
    size = graph.add("Abs", far)
    root = graph.add("Sqrt", graph.add("Add", graph.add("Mul", far, far), np.array(1.0)))
    logarithm = graph.add("Mul", graph.add("Sign", far), graph.add("Log", graph.add("Add", size, root)))
    return graph.add("Where", is_bent, logarithm, X)


def summed(graph, X, output, double):
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


def kernel_sums(graph, rows, centres, dual, shift):
    """The kernel of rows of unit norm with centres, times `dual`: shape (n, C), float64.

    As `sltrees.kernels.unit_rows` computes it, but that the distance of rows which are nearly equal is that of their
    product from 1: there the kernel has an error of some 1e-8.
    """
    polynomials, total = OrthantPolynomials.of(shift), None
    for start in range(0, len(centres), CENTRES_PER_PART):
        part = slice(start, start + CENTRES_PER_PART)
        products = graph.add("MatMul", rows, np.ascontiguousarray(centres[part].T))
        kernel = graph.add("Mul", products, _probability(graph, products, polynomials))
        partial = graph.add("MatMul", kernel, dual[part])
        total = partial if total is None else graph.add("Add", total, partial)
    return total


def _probability(graph, products, polynomials):
    """As `OrthantPolynomials.probability`."""
    half = np.array(0.5)
    c = graph.add("Clip", products, np.array(-1.0), np.array(1.0))
    halved = graph.add("Mul", c, half)
    x, y = graph.add("Sub", half, halved), graph.add("Add", half, halved)

    def near(t):
        u = graph.add("Sub", graph.add("Mul", t, np.array(4.0)), np.array(1.0))
        return graph.add("Mul", graph.add("Sqrt", t), _polynomial(graph, u, polynomials.near))

    above = graph.add("Sub", np.array(polynomials.base), near(x))
    below = near(y) if polynomials.mirrored else _in_octaves(graph, y, polynomials.octaves)
    return graph.add("Where", graph.add("Less", c, np.array(0.0)), below, above)


def _polynomial(graph, u, coefficients):
    value = graph.constant(np.array(coefficients[-1]))
    for coefficient in coefficients[-2::-1]:
        value = graph.add("Add", graph.add("Mul", value, u), np.array(coefficient))
    return value


def _in_octaves(graph, y, octaves):
    """The polynomial of the octave in which y is; 0 below the last. At the border of two, either will do."""
    n_octaves = len(octaves)
    table = np.vstack([octaves, np.zeros((1, octaves.shape[1]))])
    logarithm = graph.add("Div", graph.add("Log", graph.add("Max", y, np.array(1e-300))), np.array(np.log(2.0)))
    octave = graph.add("Sub", np.array(-2.0), graph.add("Floor", logarithm))
    octave = graph.add("Clip", octave, np.array(0.0), np.array(float(n_octaves)))
    octave = graph.add("Cast", octave, to=graph.type_of(np.int64))
    scale = graph.add("Gather", np.ldexp(1.0, np.append(np.arange(n_octaves), 0) + 3), octave)
    u = graph.add("Sub", graph.add("Mul", scale, y), np.array(3.0))
    columns = [graph.add("Gather", np.ascontiguousarray(column), octave) for column in table.T]
    value = columns[-1]
    for column in columns[-2::-1]:
        value = graph.add("Add", graph.add("Mul", value, u), column)
    return value
