"""Networks exported to PyTorch and to ONNX predict what they do here."""

import copy
import itertools
import json
import os
import pickle
import sys
import warnings

import numpy as np
import pytest
from problems import random_problem

import sltrees
from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.datasets.parity import digits_parity
from sltrees.export import exports, to_onnx, to_torch
from sltrees.preprocessing import InputScaling

D = 5  # features of the small problem
TOLERANCE = 1e-5  # of the largest output

torch_only = pytest.param("torch", marks=pytest.mark.torch)
onnx_only = pytest.param("onnx", marks=pytest.mark.onnx)


@pytest.fixture(params=[torch_only, onnx_only])
def run(request, tmp_path):
    """run(networks, X, **options): outputs of the exported networks."""
    if request.param == "torch":
        torch = pytest.importorskip("torch")

        def run_torch(networks, X, **options):
            module = to_torch(networks, **options)
            with torch.no_grad():
                return module(torch.from_numpy(np.array(X))).numpy()

        return run_torch
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")

    def run_onnx(networks, X, **options):
        path = tmp_path / "network.onnx"
        to_onnx(networks, path, **options)
        onnx.checker.check_model(str(path), full_check=True)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        assert given.name == "X"
        assert [output.name for output in session.get_outputs()] == ["y"]
        return session.run(["y"], {"X": np.asarray(X, dtype={"float": "f4", "double": "f8"}[given.type[7:-1]])})[0]

    return run_onnx


@pytest.fixture(params=[torch_only, onnx_only])
def exporting(request, tmp_path):
    """The two functions, as exporting(networks, **options)."""
    pytest.importorskip(request.param)
    if request.param == "torch":
        return to_torch
    return lambda networks, **options: to_onnx(networks, tmp_path / "network.onnx", **options)


def trained(width=512, seed=0, n=30, d=D, max_iter=3, X=None, y=None, **options):
    """A trained network, and its samples."""
    if X is None:
        X, y = random_problem(seed, n, d)
    network = ShiftedReLUNetwork(width, random_state=seed, **options)
    NewtonTrainer(network, max_iter=max_iter, alpha=1e-3).fit(X, y)
    return network, X


def assert_close(found, expected, tolerance=TOLERANCE):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


# ---------------------------------------------------------------------- predictions


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"init": "gaussian"},
        {"sampling": "rejection", "shift": 1.0},
        {"width": 2, "shift": 0.0},
        {"width": 1, "init": "gaussian", "shift": 0.0},
        {"width": 20_000, "init": "gaussian"},  # more than one block
        {"width": 10_000, "shift": 0.0},  # more than one part
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:the shift was lowered")
def test_outputs_are_those_of_predict(run, options, dtype, seed):
    network, X = trained(dtype=dtype, seed=seed, **options)
    fresh = random_problem(seed + 1, 23, D)[0]
    for samples in (X, fresh, fresh[:1], 3.0 * fresh):
        found = run(network, samples)
        assert found.dtype == dtype
        assert_close(found, network.predict(samples), 1e-12 if dtype == np.float64 else TOLERANCE)


@pytest.mark.parametrize("options", [{}, {"init": "gaussian"}, {"sampling": "rejection", "shift": 1.0}], ids=str)
def test_compacted_networks(run, options):
    network, X = trained(**options)
    before = network.predict(X)
    assert_close(run(network.compact(), X), before)


@pytest.mark.parametrize("method", ["certified", "trees"])
def test_displacements_stored_or_implied(run, method):
    X, y = random_problem(0, 30, D)
    network = ShiftedReLUNetwork(512, random_state=0)
    NewtonTrainer(network, method=method, tol=1e-4).fit(X, y)
    assert_close(run(network, X), network.predict(X))
    assert_close(run(copy.deepcopy(network), X), network.predict(X))


def test_untouched_pairs_give_exactly_zero(run):
    X = random_problem(0, 7, D)[0]
    network = ShiftedReLUNetwork(512, random_state=0).initialize(X)
    assert np.array_equal(run(network, X), np.zeros(7))
    compacted = ShiftedReLUNetwork(512, random_state=0).initialize(X).compact()  # has no shard left
    assert np.array_equal(run([network, compacted], X), np.zeros((7, 2)))


def test_untouched_gaussian_networks_count_all_neurons(run):
    X = random_problem(0, 7, D)[0]
    network = ShiftedReLUNetwork(512, init="gaussian", random_state=0).initialize(X)
    assert np.abs(network.predict(X)).min() > 0
    assert_close(run(network, X), network.predict(X))


def test_trained_to_rounding_on_digits(run):
    X, y, fresh, _ = digits_parity()
    network = ShiftedReLUNetwork(2**14, random_state=0)
    assert NewtonTrainer(network, tol=1e-6).fit(X[:300], y[:300]).status == "converged"
    assert_close(run(network, X[:300]), network.predict(X[:300]), 1e-6)
    assert_close(run(network, fresh), network.predict(fresh), 1e-6)


def test_tiny_displacements(run):
    """Neurons of a pair that nearly cancel: outputs 1e-4 of what each neuron gives."""
    X, y = random_problem(0, 30, D)
    network, _ = trained(width=4096, X=X, y=1e-4 * y, max_iter=5)
    assert_close(run(network, X), network.predict(X), 1e-3)  # both are off by 1e-4: float32 holds no more
    network, _ = trained(width=4096, X=X, y=1e-4 * y, max_iter=5, dtype=np.float64)
    assert_close(run(network, X), network.predict(X), 1e-10)


def test_networks_are_left_alone(run):
    network, X = trained()
    digest = network.digest()
    run(network, X)
    assert network.digest() == digest
    NewtonTrainer(network, max_iter=1).fit(X, np.ones(len(X)))  # and can be trained on


def test_only_pairs_that_moved_are_exported(tmp_path):
    network, _ = trained(width=4096)
    model = exports._Model.of(network, None, None, None)
    (output,) = model.outputs
    moved = np.flatnonzero(np.concatenate([shard.moved() for shard in network.state.neurons.shards]))
    W = network.materialised_weights().reshape(-1, 2, D)[moved].reshape(-1, D)
    assert 0 < len(W) < 4096
    assert np.array_equal(output.weights, W)
    assert np.array_equal(output.signs, np.tile([1.0, -1.0], moved.size))
    compacted = exports._Model.of(copy.deepcopy(network).compact(), None, None, None)
    assert np.array_equal(compacted.outputs[0].weights, W)


# ---------------------------------------------------------------------- several networks, scales


def test_a_sequence_of_networks_has_a_column_each(run):
    pairs = [trained(width, seed) for seed, width in enumerate((512, 64, 2048))]
    networks, X = [network for network, _ in pairs], pairs[0][1]
    expected = np.column_stack([network.predict(X) for network in networks])
    assert_close(run(networks, X), expected)
    assert_close(run(tuple(networks), X[:1]), expected[:1])
    assert_close(run(iter(networks[:1]), X), expected[:, :1])
    scale, offset = np.array([2.0, -1.0, 100.0]), [5.0, 0.0, -1e3]
    found = run(networks, X, output_scale=scale, output_offset=offset)
    assert found.dtype == np.float64
    for k in range(3):
        assert_close(found[:, k], offset[k] + scale[k] * expected[:, k])
    assert_close(run(networks, X, output_scale=3.0), 3.0 * expected)


def test_mixed_inits_and_untouched_ones(run):
    first, X = trained()
    second, _ = trained(init="gaussian", seed=1)
    third = ShiftedReLUNetwork(64, random_state=0).initialize(X)
    expected = np.column_stack([network.predict(X) for network in (first, second, third)])
    found = run([first, second, third], X)
    assert_close(found, expected)
    assert np.array_equal(found[:, 2], np.zeros(len(X)))


@pytest.mark.parametrize("bias", [0.0, 1.5])
@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_models(run, bias, standardise, dtype):
    rng = np.random.default_rng(0)
    raw = 1e3 + rng.standard_normal((40, D)) * np.array([1e-3, 1.0, 10.0, 1e3, 0.0])
    scaling = InputScaling(bias, standardise).fit(raw[:30])
    network, _ = trained(X=scaling.transform(raw[:30]), y=rng.standard_normal(30), dtype=dtype)
    expected = 1e4 + 3.0 * network.predict(scaling.transform(raw))
    found = run(network, raw, scaling=scaling, output_scale=3.0, output_offset=1e4)
    assert found.dtype == np.float64
    assert_close(found - 1e4, expected - 1e4, 1e-5 if dtype == np.float32 else 1e-10)
    # scaled inputs alone
    assert run(network, raw, scaling=scaling).dtype == dtype


def test_scalings_that_mix_columns(run):
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((30, D))
    scaling = InputScaling().fit(raw)
    scaling.mixing_ = rng.standard_normal((D, D))
    network, _ = trained(X=scaling.transform(raw), y=rng.standard_normal(30))
    assert_close(run(network, raw, scaling=scaling), network.predict(scaling.transform(raw)))


def test_scalings_that_bend_columns(run):
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((30, D))
    raw[:, 2] = np.exp(3 * raw[:, 2])
    scaling = InputScaling(bends=True).fit(raw)
    assert scaling.bent_[0].tolist() == [2]
    network, _ = trained(X=scaling.transform(raw), y=rng.standard_normal(30))
    assert_close(run(network, raw, scaling=scaling), network.predict(scaling.transform(raw)))


def test_scaled_rows_of_zeros_stay_zero(run):
    scaling = InputScaling(bias=0.0, standardise=False).fit(np.eye(3))
    network = ShiftedReLUNetwork(512, init="gaussian", shift=0.0, random_state=0).initialize(np.eye(3))
    raw = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    found = run(network, raw, scaling=scaling)
    assert found[0] == 0
    assert_close(found, network.predict(scaling.transform(raw)))


# ---------------------------------------------------------------------- what is refused


def test_undrawn_networks_are_refused(exporting):
    undrawn = ShiftedReLUNetwork(8)
    with pytest.raises(RuntimeError, match="has no neurons yet"):
        exporting(undrawn)
    with pytest.raises(RuntimeError, match="has no neurons yet"):
        exporting([trained()[0], undrawn])


def test_networks_that_do_not_go_together_are_refused(exporting):
    network = trained()[0]
    with pytest.raises(ValueError, match=r"same number of features, got \[5, 3\]"):
        exporting([network, trained(d=3)[0]])
    with pytest.raises(ValueError, match=r"same dtype, got \['float32', 'float64'\]"):
        exporting([network, trained(dtype=np.float64)[0]])
    with pytest.raises(ValueError, match="at least 1 network, got none"):
        exporting([])
    for wrong in (None, 3, NewtonTrainer(network)):
        with pytest.raises(TypeError, match="a network or a sequence of them"):
            exporting(wrong)
    for wrong in ([network, None], "ab", [[network]]):
        with pytest.raises(TypeError, match="of type ShiftedReLUNetwork"):
            exporting(wrong)


def test_scalings_that_do_not_fit_are_refused(exporting):
    network = trained()[0]
    with pytest.raises(TypeError, match="scaling must be an InputScaling, got 'standard'"):
        exporting(network, scaling="standard")
    with pytest.raises(RuntimeError, match="call fit"):
        exporting(network, scaling=InputScaling())
    with pytest.raises(ValueError, match="must give the 5 columns that the networks take, it gives 6"):
        exporting(network, scaling=InputScaling().fit(np.eye(5)))
    with pytest.raises(ValueError, match="it gives 4"):
        exporting(network, scaling=InputScaling(bias=0.0).fit(np.eye(4)))


@pytest.mark.parametrize("name", ["output_scale", "output_offset"])
def test_scales_that_are_no_numbers_are_refused(exporting, name):
    network = trained()[0]
    with pytest.raises(ValueError, match=rf"{name} must have shape \(1,\), got \(2,\)"):
        exporting(network, **{name: [1.0, 2.0]})
    with pytest.raises(ValueError, match=rf"{name} must have shape \(2,\), got \(3,\)"):
        exporting([network, network], **{name: np.ones(3)})
    with pytest.raises(ValueError, match=f"{name} must be finite"):
        exporting(network, **{name: np.nan})
    for wrong in ("1", [1j]):
        with pytest.raises(TypeError, match=f"{name} must hold real numbers"):
            exporting(network, **{name: wrong})


@pytest.mark.parametrize("init", ["paired", "gaussian"])
def test_too_little_memory_is_refused(exporting, init, monkeypatch):
    network = trained(init=init)[0]
    monkeypatch.setattr("sltrees._memory.available_memory", lambda: 1000.0)
    with pytest.raises(MemoryError, match=r"exporting [0-9]+ neurons needs"):
        exporting(network)


@pytest.mark.parametrize(("module", "extra"), [("torch", "torch"), ("onnx", "onnx")])
def test_missing_packages_are_named(module, extra, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, module, None)  # what cannot be imported
    monkeypatch.delitem(sys.modules, "sltrees.export.torch_network", raising=False)
    network = trained()[0]
    with pytest.raises(ImportError, match=rf'pip install -e "\.\[{extra}\]"'):
        to_torch(network) if module == "torch" else to_onnx(network, tmp_path / "network.onnx")
    assert not any(tmp_path.iterdir())


# ---------------------------------------------------------------------- the module


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.mark.torch
def test_what_the_module_holds(torch):
    network, _ = trained()
    module = to_torch(network)
    assert [name for name, _ in module.named_parameters()] == ["weights"]
    assert [name for name, _ in module.named_buffers()] == ["signs", "shift", "factor"]
    assert module.weights.dtype == module.signs.dtype == torch.float32
    assert module.weights.shape == (module.signs.numel(), D)
    assert module.shift.tolist() == [network.shift_]
    np.testing.assert_allclose(module.factor.numpy(), [512**-0.5])
    assert repr(module) == f"TorchNetwork(5 features, {module.signs.numel()} neurons, 1 outputs)"
    assert to_torch(trained(dtype=np.float64)[0]).weights.dtype == torch.float64


@pytest.mark.torch
def test_the_module_is_independent_of_the_network(torch):
    network, X = trained(init="gaussian")
    before = network.predict(X)
    module = to_torch(network)
    with torch.no_grad():
        module.weights.zero_()
    assert np.array_equal(network.predict(X), before)


@pytest.mark.torch
def test_state_makes_a_round_trip(torch, tmp_path):
    network, X = trained()
    scaling = InputScaling(bias=0.0).fit(X)
    options = {"scaling": scaling, "output_scale": 2.0, "output_offset": 1.0}
    first, second = to_torch(network, **options), to_torch(network, **options)
    assert set(first.state_dict()) == {
        *("weights", "signs", "shift", "factor", "mean", "deviation", "output_scale", "output_offset")
    }
    for value in second.state_dict().values():
        value.zero_()
    inputs = torch.from_numpy(X)
    assert not torch.equal(first(inputs), second(inputs))
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(first(inputs), second(inputs))


@pytest.mark.torch
def test_copies_and_pickles(torch):
    network, X = trained()
    module, inputs = to_torch(network), torch.from_numpy(X)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other(inputs), module(inputs))


@pytest.mark.torch
def test_fine_tuning_lowers_the_loss(torch):
    network, X = trained(max_iter=1, width=2048)
    module, inputs = to_torch(network), torch.from_numpy(X)
    targets = torch.from_numpy(random_problem(0, 30, D)[1]).float()
    losses = []
    for _ in range(10):
        loss = torch.nn.functional.mse_loss(module(inputs), targets)
        (gradient,) = torch.autograd.grad(loss, module.parameters())
        with torch.no_grad():
            module.weights -= 50.0 * gradient  # plain descent: importing torch.optim takes seconds
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(later < before for before, later in itertools.pairwise(losses))
    assert module.signs.abs().eq(1).all()


@pytest.mark.torch
def test_gradient_is_the_jacobian(torch):
    network, X = trained(dtype=np.float64)
    module = to_torch(network)
    module(torch.from_numpy(X[:1])).sum().backward()
    W, signs = module.weights.detach().numpy(), module.signs.numpy()
    expected = np.outer(signs * (W @ X[0] > network.shift_), X[0]) / np.sqrt(512)
    np.testing.assert_allclose(module.weights.grad.numpy(), expected, atol=1e-14)


@pytest.mark.torch
def test_inputs_of_other_types_and_shapes(torch):
    network, X = trained()
    module = to_torch(network)
    whole = np.round(3.0 * X)
    assert_close(module(torch.from_numpy(whole.astype(np.int64))).detach().numpy(), network.predict(whole))
    assert module(torch.zeros((0, D))).shape == (0,)
    assert to_torch([network, network])(torch.zeros((0, D))).shape == (0, 2)
    for shape in ((D,), (3, D + 1), (3, D, 1)):
        with pytest.raises(ValueError, match=r"X must have shape \(n, 5\), got \["):
            module(torch.zeros(shape))


@pytest.mark.torch
def test_double_of_a_float32_module(torch):
    network, X = trained()
    outputs = to_torch(network).double()(torch.from_numpy(X))
    assert outputs.dtype == torch.float64
    assert_close(outputs.detach().numpy(), network.predict(X))


@pytest.mark.torch
@pytest.mark.parametrize("scaled", [False, True])
def test_scripted_and_exported_modules(torch, scaled):
    network, X = trained(width=5000, shift=0.0)  # more than one part
    options = {}
    if scaled:
        options = {"scaling": InputScaling(bias=0.0).fit(X), "output_scale": [2.0, 3.0], "output_offset": 1.0}
    module, inputs = to_torch([network, network], **options), torch.from_numpy(X)
    expected = module(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own deprecations
        scripted = torch.jit.script(module)
        batch = torch.export.Dim("batch", min=1)
        program = torch.export.export(module, (inputs,), dynamic_shapes={"X": {0: batch}}).module()
    for other in (scripted, program):
        torch.testing.assert_close(other(inputs), expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(other(inputs[:2]), expected[:2], rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------------- the file


@pytest.fixture
def onnx():
    pytest.importorskip("onnxruntime")
    return pytest.importorskip("onnx")


def metadata(model):
    return {entry.key: entry.value for entry in model.metadata_props}


@pytest.mark.onnx
def test_what_the_file_says(onnx, tmp_path):
    network, _ = trained()
    to_onnx(network, tmp_path / "one.onnx")
    model = onnx.load(tmp_path / "one.onnx")
    assert (model.producer_name, model.producer_version) == ("sltrees", sltrees.__version__)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 13)]
    assert model.ir_version == 7
    found = metadata(model)
    assert float(found.pop("shift")) == network.shift_
    assert found == {"sltrees_version": sltrees.__version__, "width": "512", "init": "paired", "dtype": "float32"}
    axes = model.graph.input[0].type.tensor_type.shape.dim
    assert [axis.dim_param or axis.dim_value for axis in axes] == ["n", D]

    to_onnx([network, trained(64, init="gaussian")[0]], str(tmp_path / "two.onnx"))
    found = metadata(onnx.load(tmp_path / "two.onnx"))
    assert json.loads(found["width"]) == [512, 64]
    assert json.loads(found["init"]) == ["paired", "gaussian"]
    assert json.loads(found["shift"])[0] == network.shift_


@pytest.mark.onnx
def test_the_same_network_gives_the_same_file(onnx, tmp_path):
    network, _ = trained()
    for name in ("a", "b"):
        to_onnx(network, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.onnx
def test_files_are_replaced_as_a_whole_or_not_at_all(onnx, tmp_path, monkeypatch):
    network, _ = trained()
    path = tmp_path / "network.onnx"
    path.write_bytes(b"before")

    def fail(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        to_onnx(network, path)
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["network.onnx"]
    monkeypatch.undo()
    to_onnx(network, path)
    assert [file.name for file in tmp_path.iterdir()] == ["network.onnx"]
    onnx.checker.check_model(str(path))


@pytest.mark.onnx
def test_paths_that_cannot_be_written(onnx, tmp_path, monkeypatch):
    network, _ = trained()
    with pytest.raises(FileNotFoundError):
        to_onnx(network, tmp_path / "nowhere" / "network.onnx")
    with pytest.raises(IsADirectoryError):
        to_onnx(network, tmp_path)
    with pytest.raises(TypeError):
        to_onnx(network, None)
    monkeypatch.chdir(tmp_path)
    to_onnx(network, "network.onnx")  # a bare name
    assert (tmp_path / "network.onnx").exists()


@pytest.mark.onnx
def test_files_of_two_gibibytes_are_refused(onnx, tmp_path, monkeypatch):
    network, _ = trained()
    monkeypatch.setattr(exports, "ONNX_BYTES", 1000)
    with pytest.raises(ValueError, match=r"less than 2 GiB, weights and signs have [0-9,]+ bytes"):
        to_onnx(network, tmp_path / "network.onnx")
    assert not any(tmp_path.iterdir())


@pytest.mark.onnx
def test_runtimes_check_the_number_of_columns(onnx, tmp_path):
    import onnxruntime

    network, X = trained()
    to_onnx(network, tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "network.onnx"), providers=["CPUExecutionProvider"])
    with pytest.raises(Exception, match="X"):
        session.run(None, {"X": X[:, :3].astype(np.float32)})
    assert session.run(None, {"X": np.zeros((0, D), dtype=np.float32)})[0].shape == (0,)
