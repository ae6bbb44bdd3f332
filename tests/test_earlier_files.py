"""What an earlier commit wrote is read, says what it said and goes on; what it computed is computed, bit for bit."""

import contextlib
import json
import pathlib
import pickle
import shutil

import digest_cases
import earlier_files
import numpy as np
import pytest
from digests import ALL, CASES, Runner, checksum, described, unlike
from earlier_files import FITTED_MODELS, NETWORKS, PICKLED_NETWORKS, PICKLED_RUNS, RUNS, N

from sltrees import CorrelationTrees, NewtonTrainer, ShiftedReLUNetwork, ThresholdTree
from sltrees.__main__ import main

COMMIT = "031927e"
DATA = pathlib.Path(__file__).parent / "data"
FILES = DATA / COMMIT
EXPECTED = json.loads((FILES / "expected.json").read_text())
# cases of estimators, kernels and correlation trees were recorded anew when these began to compute otherwise
DIGESTS = json.loads((DATA / f"digests-{COMMIT}.json").read_text())
# None, or why what follows from arithmetic cannot be the same, bit for bit
UNLIKE, UNLIKE_DIGESTS = unlike(EXPECTED["arithmetic"]), unlike(DIGESTS["arithmetic"])
ESTIMATORS = EXPECTED["estimators"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # waiting for disks tests nothing here


@pytest.fixture(scope="module")
def samples():
    with np.load(FILES / "samples.npz") as file:
        return file["X"], file["y"]


def unpickled(name):
    return pickle.loads((FILES / f"{name}.pickle").read_bytes())


def near(found, expected):
    """Equal but for how numbers round; bit for bit where they round as they did."""
    found, expected = np.asarray(found), np.asarray(expected)
    if UNLIKE is None:
        return np.array_equal(found, expected)
    return np.allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def near_for_kernels(found, expected):
    """Equal but for the rounding of the limit kernel, which was integrated anew for each pair at that commit."""
    expected = np.asarray(expected)
    return near(found, expected) or np.allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


# ---------------------------------------------------------------------- files


def assert_is_and_goes_on(network, name, samples):
    """That a network is what it was, predicts as it did, and is trained on as it was."""
    X, y = samples
    expected = EXPECTED["networks"][name]
    drawn = network.shift_ is not None
    assert drawn == ("digest" in expected)
    if drawn:
        assert network.digest() == expected["digest"]
    found = earlier_files.of_network(network, X, y)
    if drawn:
        assert near(found["outputs"], expected["outputs"])
    if expected["after"] is None:
        assert found["after"] is None
    else:
        assert found["after"]["rmse"] == pytest.approx(expected["after"]["rmse"], rel=0.1)
        assert network.neurons_.size
        assert UNLIKE or found["after"] == expected["after"]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_files(name, samples):
    assert_is_and_goes_on(ShiftedReLUNetwork.load(FILES / f"network-{name}.npz"), name, samples)


@pytest.mark.parametrize("name", PICKLED_NETWORKS)
def test_networks_of_pickles(name, samples):
    network = unpickled(f"network-{name}")
    assert type(network) is ShiftedReLUNetwork
    assert_is_and_goes_on(network, name, samples)


@pytest.mark.parametrize("way", ["file", "pickle"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators(name, way, samples):
    from sltrees.estimators import NewtonClassifier, NewtonRegressor

    cls = NewtonClassifier if "classifier" in name else NewtonRegressor
    estimator = cls.load(FILES / f"estimator-{name}.npz") if way == "file" else unpickled(f"estimator-{name}")
    assert type(estimator) is cls
    found, expected = earlier_files.of_estimator(estimator, *samples), ESTIMATORS[name]
    equal = near_for_kernels if estimator.model_ == "kernel" else near
    assert equal(found["outputs"], expected["outputs"])
    assert np.allclose(found["after"], expected["after"], atol=0.1)
    assert UNLIKE or equal(found["after"], expected["after"])


@pytest.mark.parametrize("name", FITTED_MODELS)
def test_fitted_models_of_pickles(name, samples):
    estimator, model = unpickled(f"estimator-{name}"), unpickled(f"fitted-model-{name}")
    assert type(model) is type(estimator.fitted_model_)
    X = samples[0][: earlier_files.N_OUTPUTS]
    outputs = estimator.centre_ + estimator.spread_ * model.predict(estimator.scaling_.transform(X))
    assert near_for_kernels(outputs.reshape(np.shape(ESTIMATORS[name]["outputs"])), ESTIMATORS[name]["outputs"])


class CannotBeReplayedError(RuntimeError):
    pass


@contextlib.contextmanager
def cannot_be_replayed():
    """Tell the error that is documented from others."""
    try:
        yield
    except RuntimeError as error:
        if "cannot be replayed here" in str(error):
            raise CannotBeReplayedError from error
        raise


@pytest.mark.parametrize("name", RUNS)
def test_checkpoints_go_on(name, samples, tmp_path):
    X, y = samples
    path = tmp_path / "training.npz"
    shutil.copy(FILES / f"checkpoint-{name}.npz", path)
    trainer = NewtonTrainer.from_checkpoint(path)
    refused = contextlib.nullcontext()
    if UNLIKE:  # then a replay may differ from what was recorded, and says so
        refused = contextlib.suppress(CannotBeReplayedError)
    with refused:
        with cannot_be_replayed():
            result = trainer.fit(X[:N], y[:N], eval_set=earlier_files.held_out_of(name, X, y))
        found = earlier_files.of_run(trainer.network, result)
        if not UNLIKE or not RUNS[name][3]:  # else the run begins with a network that was trained elsewhere
            assert found == earlier_files.of_run(*earlier_files.run_of(name, X, y, tmp_path / "uncut.npz"))
        assert UNLIKE or found == EXPECTED["runs"][name]


@pytest.mark.parametrize("name", PICKLED_RUNS)
def test_trainers_of_pickles_go_on(name, samples, tmp_path, monkeypatch):
    """Those of `from_checkpoint`, which have yet to replay what is in their checkpoint."""
    X, y = samples
    trainer, other = unpickled(f"trainer-{name}"), NewtonTrainer.from_checkpoint(FILES / f"checkpoint-{name}.npz")
    assert type(trainer) is NewtonTrainer
    monkeypatch.chdir(tmp_path)  # where the callback writes
    other.callbacks = ()
    refused = contextlib.nullcontext()
    if UNLIKE:
        refused = contextlib.suppress(CannotBeReplayedError)
    with refused:
        with cannot_be_replayed():
            result = trainer.fit(X[:N], y[:N])
        found = earlier_files.of_run(trainer.network, result)
        assert found == earlier_files.of_run(other.network, other.fit(X[:N], y[:N]))
        assert UNLIKE or found == EXPECTED["runs"][name]


def test_a_table_model(capsys):
    assert main(["info", str(FILES / "table-model.npz")]) == 0
    capsys.readouterr()
    assert main(["predict", str(FILES / "table-model.npz"), str(FILES / "table.csv"), "--quiet"]) == 0
    found, expected = capsys.readouterr().out.split(), (FILES / "table-predictions.csv").read_text().split()
    assert found[0] == expected[0] == "price"
    assert near_for_kernels([float(line) for line in found[1:]], [float(line) for line in expected[1:]])


def test_trees_of_pickles():
    trees = {name: unpickled(name) for name in EXPECTED["trees"]}
    assert [type(tree) for tree in trees.values()] == [ThresholdTree, CorrelationTrees]
    for name, found in earlier_files.of_trees(trees).items():
        assert found["query"] == EXPECTED["trees"][name]["query"]
        assert near(found["values"], EXPECTED["trees"][name]["values"])
    tree, forest = trees.values()
    assert tree == earlier_files.make_trees()["threshold-tree"]
    tree.update(5, -20.0)
    assert tree.argmax() == 5
    forest.update_weight(0, [9.0, 0.0, 0.0])
    assert np.allclose(forest.values[:, 0], 9.0 * forest.data[:, 0])


def test_a_result_of_a_pickle():
    result = unpickled("result")
    assert checksum(described(result)) == EXPECTED["result"]
    assert result.status == "early_stopped"
    assert result.cost_table().startswith("iteration")


# ---------------------------------------------------------------------- runs, bit for bit


@pytest.fixture(scope="module")
def runner():
    with contextlib.closing(Runner()) as runner:
        yield runner


def local_executors(name):
    return [executor for executor in CASES[name][1] if executor != "dask"]


@pytest.mark.parametrize("name", CASES)
def test_who_runs_a_case_changes_nothing(name, runner):
    _, lines = runner.differences(name, local_executors(name))
    assert not lines


@pytest.mark.parametrize("name", CASES)
def test_cases_give_what_they_gave(name, runner):
    if UNLIKE_DIGESTS:
        pytest.skip(UNLIKE_DIGESTS)
    _, lines = runner.differences(name, local_executors(name)[-1:], DIGESTS["cases"][name])
    assert not lines


@pytest.mark.dask
@pytest.mark.filterwarnings("ignore:.*:ResourceWarning")
@pytest.mark.parametrize("name", [name for name, (_, executors) in CASES.items() if executors == ALL])
def test_a_cluster_changes_nothing(name, runner):
    pytest.importorskip("distributed")
    _, lines = runner.differences(name, ["threads-2", "dask"])
    assert not lines


def test_all_cases_are_recorded():
    assert set(CASES) == set(DIGESTS["cases"])


def test_what_the_command_says(tmp_path, capsys):
    file = tmp_path / "digests.json"

    def run(action, *options):
        code = digest_cases.main([action, str(file), "--cases", "kernels", "threshold", *options])
        return code, capsys.readouterr().out.splitlines()

    assert run("record") == (0, ["2 cases, 0 differ"])
    assert run("compare", "--executors", "threads-2") == (0, ["2 cases, 0 differ"])
    recorded = json.loads(file.read_text())
    recorded["cases"]["kernels"]["kernels"] = "0" * 16
    file.write_text(json.dumps(recorded))
    assert run("compare", "--executors", "threads-2") == (1, ["kernels, threads-2: kernels", "2 cases, 1 differ"])
    file.write_text(json.dumps(recorded | {"arithmetic": recorded["arithmetic"] | {"simd": "abacus"}}))
    code, lines = run("compare")
    assert code == 2
    assert "not abacus" in lines[0]
