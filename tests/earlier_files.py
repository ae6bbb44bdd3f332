"""Files that an earlier commit wrote, and how: networks, estimators, checkpoints of runs that were cut off, pickles.

    python tests/earlier_files.py FOLDER

writes them, with `expected.json`, by the package that is imported: for tests/data/031927e it was that of this commit.
`test_earlier_files.py` reads them with today's.
"""

import contextlib
import csv
import json
import pathlib
import pickle
import sys

import numpy as np
from digests import arithmetic, checksum, described
from problems import unit_rows

from sltrees import CorrelationTrees, NewtonTrainer, ShiftedReLUNetwork, ThresholdTree
from sltrees.__main__ import main
from sltrees.callbacks import Callback, Checkpoint

N_BEFORE, N = 20, 25  # samples before others join, and all of them
N_OUTPUTS = 6  # that are told of each model


def make_samples():
    """Samples and targets of everything, which are in a file, too: another machine may round them otherwise."""
    rng = np.random.default_rng(5)
    X = unit_rows(rng, N + 10, 3)
    return X, np.abs(X[:, 0]) + 0.1 * rng.standard_normal(len(X))


# ---------------------------------------------------------------------- networks

SMALL = {"width": 256, "shift": 1.0, "random_state": 0}
REJECTION = {"width": 2**14, "shift": 3.0, "sampling": "rejection"}
# Parameters besides, and of training; None: not trained, "undrawn": not even drawn.
NETWORKS = {
    "undrawn": ({"width": 1024, "shift": "auto"}, "undrawn"),
    "drawn": ({"sampling": "dense"}, None),
    "gaussian": ({"init": "gaussian"}, None),
    "rejection": (REJECTION, None),
    "trained": ({}, {"max_iter": 3}),
    "trained-float64": ({"dtype": "float64"}, {"alpha": 1e-2, "max_iter": 3}),
    "trained-gaussian": ({"init": "gaussian"}, {"max_iter": 3}),
    "trained-rejection": (REJECTION, {"max_iter": 3}),
    "compacted": ({}, {"max_iter": 2}),
}


def make_network(name, X, y):
    """A network of `NETWORKS`."""
    options, training = NETWORKS[name]
    network = ShiftedReLUNetwork(**SMALL | options)
    if training is None:
        network.initialize(X[:N])
    elif training != "undrawn":
        NewtonTrainer(network, tol=1e-9, **training).fit(X[:N], y[:N])
    return network.compact() if name == "compacted" else network


def of_network(network, X, y):
    """What must be found again of a network, and what becomes of it where training goes on; changes it."""
    if network.shift_ is None:
        return trained_on(network, X, y)
    found = {"digest": network.digest(), "outputs": network.predict(X[:N_OUTPUTS]).tolist()}
    return found | trained_on(network, X, y)


def trained_on(network, X, y):
    """Digest and RMSE after three steps; nothing of a network that was compacted, and cannot be trained."""
    with contextlib.suppress(RuntimeError):
        result = NewtonTrainer(network, tol=1e-9, max_iter=3).fit(X[:N], -y[:N])
        return {"after": {"digest": network.digest(), "rmse": result.rmse}}
    return {"after": None}


# ---------------------------------------------------------------------- estimators


FITTED_MODELS = ("kernel", "network")  # of estimators, that are pickled by themselves, too
PICKLED_NETWORKS = ("drawn", "trained-rejection")


def make_estimators(X, y):
    """Fitted estimators, by name."""
    from sltrees.estimators import NewtonClassifier, NewtonRegressor

    several = np.stack([y, X[:, 1] ** 2], axis=1)[:N]
    labels = np.array(["low", "middle", "high"])[np.searchsorted([0.3, 0.6], y)][:N]
    networks = {"width": 128, "random_state": 0, "max_iter": 3}
    weights = np.linspace(0.5, 2.0, N)
    return {
        "kernel": NewtonRegressor("kernel").fit(X[:N], y[:N], weights),
        "network": NewtonRegressor("network", alpha=1e-2, **networks).fit(X[:N], several),
        "classifier": NewtonClassifier("network", dtype="float32", **networks).fit(X[:N], labels),
        "kernel-classifier": NewtonClassifier("kernel", class_weight="balanced").fit(X[:N], labels != "low"),
    }


def of_estimator(estimator, X, y):
    """What must be found again of an estimator, and what it says having learned further samples; changes it."""
    found = {"outputs": _outputs(estimator, X)}
    more = estimator.predict(X[N:])[::-1]
    return found | {"after": _outputs(estimator.partial_fit(X[N:], more), X)}


def _outputs(estimator, X):
    probabilities = getattr(estimator, "predict_proba", None)
    return (estimator.predict if probabilities is None else probabilities)(X[:N_OUTPUTS]).tolist()


# ---------------------------------------------------------------------- checkpoints

# Parameters of the network besides, and of training; whether samples are held out, and whether some join.
RUNS = {
    "certified": ({}, {}, False, False),
    "rejection": (REJECTION, {"alpha": 1e-2}, False, False),
    "trees": ({"dtype": "float64"}, {"method": "trees", "alpha": "loo"}, False, False),
    "eval-set": ({"dtype": "float64"}, {"patience": 2}, True, False),
    "extend": ({}, {"alpha": 1e-2}, False, True),
    "products": ({"init": "gaussian"}, {"max_gram": 0}, False, False),
}


PICKLED_RUNS = ("certified", "extend", "products")  # what goes on with them is pickled, too


class CutOff(Callback):
    """Ends the process, as it were, after three iterations."""

    def on_iteration(self, trainer, record):
        if record.iteration == 2:
            raise SystemExit


def run_of(name, X, y, path, cut=False):
    """A run of `RUNS` with a checkpoint, to its end or cut off: the network, and the result if there is one."""
    options, training, _, extends = RUNS[name]
    network = ShiftedReLUNetwork(**SMALL | options)
    trainer = NewtonTrainer(network, tol=1e-9, max_iter=6, **training)
    eval_set = held_out_of(name, X, y)
    if extends:
        trainer.fit(X[:N_BEFORE], y[:N_BEFORE])
    trainer.callbacks = (Checkpoint(path), CutOff()) if cut else (Checkpoint(path),)
    with contextlib.suppress(SystemExit):
        if extends:
            return network, trainer.extend(X[N_BEFORE:N], y[N_BEFORE:N])
        return network, trainer.fit(X[:N], y[:N], eval_set=eval_set)
    return network, None


def held_out_of(name, X, y):
    """The evaluation set of a run of `RUNS`, or None."""
    return (X[N:], y[N:]) if RUNS[name][2] else None


def of_run(network, result):
    """What must be found again at the end of a run."""
    return {"digest": network.digest(), "history": checksum(described(result))}


# ---------------------------------------------------------------------- tables, trees and pickles


def write_table(path, X, y):
    """A CSV file with a column of words and a gap."""
    words = np.array(["red", "green", "blue"])[np.arange(len(X)) % 3]
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = [
            [f"{a:.3f}", f"{b:.3f}", word, f"{target:.3f}"] for (a, b, _), word, target in zip(X, words, y, strict=True)
        ]
        rows[7][0] = ""
        csv.writer(file).writerows([["size", "weight", "colour", "price"], *rows])


def make_trees():
    """A tree and a forest, changed since they were built."""
    rng = np.random.default_rng(2)
    tree = ThresholdTree(rng.standard_normal(100).astype("float32"), orientation="min")
    tree.update_many([3, 70], [-9.0, 5.0])
    forest = CorrelationTrees(rng.standard_normal((20, 3)), rng.standard_normal((30, 3)), axis="weights")
    forest.update_weight(4, [1.0, 2.0, 3.0])
    return {"threshold-tree": tree, "correlation-trees": forest}


def of_trees(trees):
    """What must be found again of trees."""
    tree, forest = trees["threshold-tree"], trees["correlation-trees"]
    return {
        "threshold-tree": {"query": tree.query(-1.0).tolist(), "values": tree.values.tolist()},
        "correlation-trees": {"query": forest.query(7, 0.5).tolist(), "values": forest.values[7].tolist()},
    }


# ---------------------------------------------------------------------- writing them


def write(folder):
    """Write all files."""
    folder.mkdir(parents=True)
    X, y = make_samples()
    np.savez_compressed(folder / "samples.npz", X=X, y=y)
    expected = {"arithmetic": arithmetic(), "trees": of_trees(make_trees())}
    pickles = make_trees()
    for write_some in (write_networks, write_estimators, write_runs):
        pickles |= write_some(folder, X, y, expected)
    for name, value in pickles.items():
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(value, protocol=4))
    for name in expected["estimators"]:
        estimator = pickle.loads((folder / f"estimator-{name}.pickle").read_bytes())
        expected["estimators"][name] = of_estimator(estimator, X, y)
    write_table(folder / "table.csv", X, y)
    table, model = str(folder / "table.csv"), str(folder / "table-model.npz")
    assert main(["fit", table, "--target", "price", "--model", "kernel", "--out", model, "--quiet"]) == 0
    assert main(["predict", model, table, "--out", str(folder / "table-predictions.csv"), "--quiet"]) == 0
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def write_networks(folder, X, y, expected):
    """Write networks, note what is expected of them, and return what is to be pickled."""
    pickles, expected["networks"] = {}, {}
    for name in NETWORKS:
        network = make_network(name, X, y)
        network.save(folder / f"network-{name}.npz")
        if name in PICKLED_NETWORKS:
            pickles[f"network-{name}"] = network
        # of a copy, as what is read is one
        expected["networks"][name] = of_network(ShiftedReLUNetwork.load(folder / f"network-{name}.npz"), X, y)
    return pickles


def write_estimators(folder, X, y, expected):
    """Write estimators, name them, and return what is to be pickled."""
    pickles, expected["estimators"] = {}, {}
    for name, estimator in make_estimators(X, y).items():
        estimator.save(folder / f"estimator-{name}.npz")
        expected["estimators"][name] = None
        pickles[f"estimator-{name}"] = estimator
        if name in FITTED_MODELS:
            pickles[f"fitted-model-{name}"] = estimator.fitted_model_
    return pickles


def write_runs(folder, X, y, expected):
    """Write checkpoints of runs that are cut off, note how they end, and return what is to be pickled."""
    pickles, expected["runs"] = {}, {}
    for name in RUNS:
        path = folder / f"checkpoint-{name}.npz"
        network, result = run_of(name, X, y, path)
        expected["runs"][name] = of_run(network, result)
        run_of(name, X, y, path, cut=True)
        if name in PICKLED_RUNS:
            with contextlib.chdir(folder):  # no path of this machine in the pickle
                pickles[f"trainer-{name}"] = NewtonTrainer.from_checkpoint(path.name)
        if name == "eval-set":
            pickles["result"], expected["result"] = result, checksum(described(result))
    return pickles


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]))
