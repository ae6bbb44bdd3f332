"""Small runs of all that trains, and whether they give what they gave before, bit for bit.

    python tests/digest_cases.py record FILE.json
    python tests/digest_cases.py compare FILE.json

`record` writes the digests of all cases. `compare` says which differ from those of a file: exit code 1. How numbers
round depends on the machine, BLAS and versions, which the file tells, too; where they are others, `compare` says which,
and compares nothing: exit code 2. Each case is run with all the executors that it names, which must agree. Options
--executors and --cases choose some (cases by what their names contain).

Of the package only names that stay are imported here, so that this file runs before and after a change of what is
behind them.
"""

import argparse
import contextlib
import copy
import json
import pathlib
import pickle
import sys
import tempfile

import digest_cases_of_estimators  # noqa: F401
import numpy as np
from digests import ALL, CASES, LOCAL, Runner, arithmetic, case, checksum, described, unlike
from problems import random_problem, unit_rows

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback, Checkpoint
from sltrees.reference import GradientDescent


def digests(network, results, where, **also):
    """Digests of a network, of how it was trained, of what it predicts, and of whatever else there is."""
    X = unit_rows(np.random.default_rng(99), 70, network.n_features_in_)
    results = results if isinstance(results, list) else [results]
    parts = {
        "network": network.digest()[:16],
        "history": checksum([described(result) for result in results]),
        "predictions": checksum(network.predict(X, n_threads=where.n_threads)),
    }
    return parts | {name: checksum(value) for name, value in also.items()}


# ---------------------------------------------------------------------- one call of fit


def network_of(width=2**11, **parameters):
    """A network with a seed."""
    return ShiftedReLUNetwork(width, **{"random_state": 0} | parameters)


def train(where, network, X, y, *, sample_weight=None, eval_set=None, **options):
    """Train a network, with few iterations unless told otherwise: the trainer, and its result."""
    trainer = NewtonTrainer(network, **{"max_iter": 6, "tol": 1e-9} | where.options | options)
    return trainer, trainer.fit(X, y, sample_weight=sample_weight, eval_set=eval_set)


def weights_of(n):
    """Weights of samples."""
    return np.random.default_rng(7).uniform(0.2, 3.0, n)


def add_fit(name, executors, network, training, problem=(0, 40, 5), scale=1.0, weighted=False):
    """Make a case of one call of `fit`."""

    def run(where):
        X, y = random_problem(*problem)
        drawn = network_of(**network)
        trainer, result = train(
            where, drawn, X, scale * y, sample_weight=weights_of(len(y)) if weighted else None, **training
        )
        chosen = [drawn.shift_, drawn.sampling_, trainer.alpha_, trainer.n_samples_, drawn.neurons_]
        return digests(drawn, result, where, chosen=chosen)

    CASES[name] = run, executors


REFUSED = {"problem": (15, 40, 3)}  # with this network some steps are refused
NARROW, NARROW64 = ({"width": 1024, "shift": "auto", "dtype": dtype} for dtype in ("float32", "float64"))
FLOAT64 = {"dtype": "float64", "shift": 1.0}
GAUSSIAN = {"init": "gaussian", "shift": 1.0}
SHARDS = {"width": 2**17, "shift": 2.5, "sampling": "dense"}  # four, which workers of a cluster share
SHARDS64 = SHARDS | {"dtype": "float64"}
REJECTION = {"width": 2**20, "shift": 3.0, "sampling": "rejection"}
REJECTION64 = REJECTION | {"dtype": "float64"}
RIDGE, LOO, PRODUCTS = {"alpha": 1e-2}, {"alpha": "loo", "max_iter": 4}, {"max_gram": 0, "max_iter": 4}
TREES = {"method": "trees"}

add_fit("certified", LOCAL, {}, {})
add_fit("certified-float64", LOCAL, FLOAT64, {"tol": 1e-12})
add_fit("certified-refused", LOCAL, NARROW, {}, **REFUSED)
add_fit("certified-refused-ridge", LOCAL, NARROW64, RIDGE, **REFUSED)
add_fit("certified-shards", ALL, SHARDS, {}, scale=5.0)
add_fit("certified-shards-ridge", ALL, SHARDS64, RIDGE, scale=5.0)
add_fit("certified-shards-loo", ALL, SHARDS, LOO, weighted=True)
add_fit("certified-shards-products", ALL, SHARDS, PRODUCTS, scale=5.0)
add_fit("certified-shards-gaussian", ALL, SHARDS | {"init": "gaussian"}, {"max_iter": 3})
add_fit("certified-gaussian-ridge", LOCAL, GAUSSIAN, RIDGE)
add_fit("certified-rejection", ALL, REJECTION, {}, scale=5.0)
add_fit("certified-rejection-shards", ALL, REJECTION64 | {"width": 2**21}, RIDGE, (0, 40, 2), scale=5.0)
add_fit("certified-weighted", LOCAL, {"shift": "paper"}, RIDGE, weighted=True)
add_fit("certified-loo", LOCAL, {"shift": "density"}, LOO)
add_fit("certified-products", LOCAL, {}, PRODUCTS)
add_fit("certified-products-ridge", LOCAL, FLOAT64, PRODUCTS | RIDGE, weighted=True)
add_fit("certified-old-factor", LOCAL, {"width": 2**13, "shift": 1.5}, {"max_iter": 4}, (3, 270, 8), scale=0.1)
add_fit("certified-worn", LOCAL, {"width": 256, "shift": 0.5}, RIDGE, scale=1e4)
add_fit("certified-converged", LOCAL, {"width": 2**12}, {"tol": 1e-3, "max_iter": 50})
add_fit("certified-converged-ridge", LOCAL, FLOAT64, {"tol": 1e-3, "alpha": 1.0, "max_iter": 50})
add_fit("no-iterations", LOCAL, {}, {"max_iter": 0})
add_fit("trees", LOCAL, {}, TREES)
add_fit("trees-refused-ridge", LOCAL, NARROW64, TREES | RIDGE, **REFUSED)
add_fit("trees-gaussian-weighted", LOCAL, GAUSSIAN, TREES, weighted=True)
add_fit("trees-rejection-loo", LOCAL, REJECTION, TREES | LOO)
add_fit("dense", LOCAL, FLOAT64, {"method": "dense"})
add_fit("dense-gaussian-ridge", LOCAL, GAUSSIAN, {"method": "dense"} | RIDGE, weighted=True)
add_fit("bpsw", LOCAL, {}, {"method": "bpsw"})
add_fit("bpsw-ridge", LOCAL, FLOAT64, {"method": "bpsw"} | RIDGE, weighted=True)
add_fit("bpsw-srht", LOCAL, {"shift": 1.0}, {"method": "bpsw-srht"})


@case()
def singular(where):
    """Systems have no solution at small damping, and no step lowers the loss in the end."""
    X, y = random_problem(0, 20, 5)
    X[0], X[2] = 0, X[1]
    network = network_of(shift="paper", dtype="float64")
    return digests(network, train(where, network, X, y, max_iter=100)[1], where)


# ---------------------------------------------------------------------- samples held out


def add_held_out(name, executors, network, training):
    """Make a case of training with samples held out, that goes on from what this gave back."""

    def run(where):
        rng = np.random.default_rng(0)
        X = unit_rows(rng, 70, 3)
        y = np.abs(X[:, 0]) + 0.02 * rng.standard_normal(70)
        drawn = network_of(**network)
        trainer, result = train(where, drawn, X[:50], y[:50], eval_set=(X[50:], y[50:]), **training)
        return digests(drawn, [result, trainer.fit(X[:50], 2 * y[:50], eval_set=(X[50:], 2 * y[50:]))], where)

    CASES[name] = run, executors


add_held_out("eval-set-restored", ALL, SHARDS | {"shift": 2.0}, {"max_iter": 4})
add_held_out("eval-set-patience", LOCAL, FLOAT64, {"patience": 2, "alpha": 1e-3, "max_iter": 20})
add_held_out("eval-set-not-restored", LOCAL, GAUSSIAN, {"restore_best": False})
add_held_out("eval-set-trees", LOCAL, {"shift": 1.0}, TREES | RIDGE | {"patience": 3})


# ---------------------------------------------------------------------- several calls


def add_extend(name, executors, network, training, weighted=False):
    """Make a case of samples that join, twice, the second time with some that were there before."""

    def run(where):
        X, y = random_problem(0, 50, 5)
        weights = weights_of(50) if weighted else None
        drawn = network_of(**network)
        first = None if weights is None else weights[:20]
        trainer, result = train(where, drawn, X[:20], y[:20], sample_weight=first, **{"max_iter": 3} | training)
        results = [result, trainer.extend(X[20:40], y[20:40])]
        samples = np.concatenate([X[40:], X[35:40]])
        new_weights = None if weights is None else weights[-15:]
        results.append(trainer.extend(samples, np.concatenate([y[40:], y[35:40]]), sample_weight=new_weights))
        return digests(drawn, results, where, alpha=trainer.alpha_, neurons=drawn.neurons_)

    CASES[name] = run, executors


add_extend("extend", LOCAL, {"shift": 1.0}, {})
add_extend("extend-ridge", LOCAL, FLOAT64, RIDGE)
add_extend("extend-loo-weighted", LOCAL, {"shift": 1.0}, LOO, weighted=True)
add_extend("extend-gaussian-products", LOCAL, GAUSSIAN, PRODUCTS)
add_extend("extend-shards-ridge", ALL, SHARDS, RIDGE)
add_extend("extend-rejection", ALL, REJECTION, {})
add_extend("extend-rejection-trees", LOCAL, REJECTION64, TREES | RIDGE)


@case()
def extend_before_any_step(where):
    """With a ridge, where no step has been kept yet, lists are built anew."""
    X, y = random_problem(0, 40, 5)
    network = network_of(**FLOAT64)
    trainer, result = train(where, network, X[:20], y[:20], alpha=1e-2, max_iter=0)
    trainer.max_iter = 3
    return digests(network, [result, trainer.extend(X[20:], y[20:])], where)


@case()
def initialize_twice(where):
    """Neurons of other samples join, under both samplings, before training and after it."""
    X, y = random_problem(1, 60, 5)
    parts = {}
    few = REJECTION | {"width": 2**17, "shift": 2.5}
    for name, options in {"dense": SHARDS64, "rejection": few, "gaussian": GAUSSIAN}.items():
        network = network_of(**options)
        drawn = [network.initialize(X[:20], n_threads=where.n_threads).digest()]
        drawn.append(network.initialize(X[10:40], n_threads=where.n_threads).digest())
        trainer, first = train(where, network, X[:20], y[:20], max_iter=3)
        network.initialize(X[40:50], n_threads=where.n_threads)
        drawn.append(network.digest())
        second = trainer.fit(X[45:], y[45:])  # on samples of which some are new
        found = digests(network, [first, second], where, drawn=drawn, weights=network.dense_weights())
        parts |= {f"{name}/{part}": value for part, value in found.items()}
    return parts


def fits_in_turn(where, network):
    """Calls of `fit` that go on from each other: with rows kept, without, with another ridge, method or samples."""
    X, y = random_problem(2, 40, 5)
    results = [
        train(where, network, *samples, **options)[1]
        for samples, options in (
            ((X[:30], y[:30]), {"max_iter": 2}),
            ((X[:30], -y[:30]), {"max_iter": 3}),
            ((X[:30], y[:30]), {"max_iter": 2, "alpha": 1e-2}),
            ((X[:30], y[:30]), {"max_iter": 2, "alpha": "loo"}),
            ((X[10:], y[10:]), {"max_iter": 2}),
        )
    ]
    return results, X, y


@case(ALL)
def fits_in_turn_shards(where):
    network = network_of(**SHARDS)
    return digests(network, fits_in_turn(where, network)[0], where)


@case()
def fits_in_turn_by_other_methods(where):
    network = network_of(**FLOAT64)
    results, X, y = fits_in_turn(where, network)
    for method in ("trees", "dense", "certified", "bpsw"):
        results.append(train(where, network, X, y, method=method, max_iter=2)[1])
    return digests(network, results, where)


@case(ALL)
def copies_go_on(where):
    """Copies, pickles and files of a network in the middle are trained on, and so is the network itself."""
    X, y = random_problem(4, 40, 5)
    network, parts = network_of(**SHARDS), {}
    trainer, result = train(where, network, X, y, max_iter=2)
    with tempfile.TemporaryDirectory() as folder:
        network.save(f"{folder}/network.npz")
        others = {
            "copied": copy.copy(network),
            "deeply": copy.deepcopy(network),
            "pickled": pickle.loads(pickle.dumps(network)),
            "saved": ShiftedReLUNetwork.load(f"{folder}/network.npz"),
        }
    middle = network.digest()
    assert {other.digest() for other in others.values()} == {middle}
    for name, other in others.items():
        parts[name] = checksum(digests(other, train(where, other, X, -y, max_iter=2)[1], where))
    assert network.digest() == middle
    return parts | digests(network, [result, trainer.fit(X, -y)], where, middle=middle)


@case(ALL)
def compacted(where):
    """What is left where only predictions are wanted, of pairs, of independent neurons, and of rejection."""
    X, y = random_problem(5, 40, 5)
    parts = {}
    for name, options in {"paired": SHARDS, "gaussian": GAUSSIAN, "rejection": REJECTION64}.items():
        network = network_of(**options).initialize(-X, n_threads=where.n_threads)  # of these many will not move
        result = train(where, network, X, y, max_iter=2)[1]
        whole = network.materialised_weights()
        found = digests(network.compact(), result, where, whole=whole, rest=network.materialised_weights())
        parts |= {f"{name}/{part}": value for part, value in found.items()}
    return parts


class Events(Callback):
    """What callbacks are told, and what the network is then; stops, fails or presses Ctrl-C after an iteration."""

    def __init__(self, after=None, what=None):
        self.after, self.what, self.seen = after, what, []

    def on_setup(self, trainer, done, total):
        self.seen.append(["setup", done, total])

    def on_start(self, trainer):
        self.seen.append(["start", trainer.network.digest()])

    def on_iteration(self, trainer, record):
        self.seen.append([record.iteration, record.rmse, trainer.network.digest()])
        if self.what is not None and record.iteration == self.after:
            if self.what == "stop":
                return True
            raise self.what
        return None

    def on_end(self, trainer, result):
        self.seen.append([result.status, result.n_iter])


@case()
def callbacks_and_ctrl_c(where):
    """Runs that are watched, stopped, and interrupted, one after the other."""
    X, y = random_problem(15, 40, 3)
    results, seen, network = [], [], network_of(**NARROW64)
    for events in (Events(1, "stop"), Events(0, KeyboardInterrupt), Events(1, KeyboardInterrupt), Events()):
        results.append(train(where, network, X, y, callbacks=[events], max_iter=3)[1])
        seen.append(events.seen)
    return digests(network, results, where, seen=seen)


# ---------------------------------------------------------------------- checkpoints


def add_checkpoint(name, executors, network, training, extends=False, held_out=False, problem=(15, 40, 3), scale=1.0):
    """Make a case of a run that is cut off and goes on from its checkpoint, as one that was not cut off."""

    def run(where):
        X, y = random_problem(*problem)
        n = len(X) - 10
        y = np.abs(X[:, 0]) if held_out else scale * y
        eval_set = (X[n:], y[n:]) if held_out else None
        drawn = network_of(**network)
        options = {"max_iter": 5, "tol": 1e-9} | where.options | training
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/training.npz"
            trainer = NewtonTrainer(drawn, **options)
            if extends:
                trainer.fit(X[:25], y[:25])
            trainer.callbacks = (Checkpoint(path), Events(2, SystemExit))
            with contextlib.suppress(SystemExit):
                if extends:
                    trainer.extend(X[25:n], y[25:n], eval_set=eval_set)
                else:
                    trainer.fit(X[:n], y[:n], eval_set=eval_set)
            resumed = NewtonTrainer.from_checkpoint(path, **where.options)
            result = resumed.fit(X[:n], y[:n], eval_set=eval_set)
        return digests(resumed.network, result, where, cut=drawn.digest())

    CASES[name] = run, executors


add_checkpoint("checkpoint", LOCAL, NARROW, {})
add_checkpoint("checkpoint-ridge-eval-set", LOCAL, NARROW64, RIDGE | {"patience": 2}, held_out=True)
add_checkpoint("checkpoint-loo", LOCAL, NARROW, LOO)
add_checkpoint("checkpoint-trees", LOCAL, NARROW64, TREES)
add_checkpoint("checkpoint-products", LOCAL, NARROW64, {"max_gram": 0})
add_checkpoint(
    "checkpoint-old-factor", LOCAL, FLOAT64 | {"width": 2**13}, {"tol": 1e-12}, problem=(3, 300, 8), scale=0.1
)
add_checkpoint("checkpoint-bpsw", LOCAL, NARROW64, {"method": "bpsw"})
add_checkpoint("checkpoint-extend", LOCAL, NARROW64, RIDGE, extends=True)
add_checkpoint("checkpoint-shards-extend", ALL, SHARDS, RIDGE, extends=True)
add_checkpoint("checkpoint-rejection", ALL, REJECTION, {})


# ---------------------------------------------------------------------- first-order training


def add_descent(name, network, training):
    """Make a case of first-order training, from where it stands twice."""

    def run(where):
        X, y = random_problem(0, 30, 5)
        drawn = network_of(**network)
        trainer = GradientDescent(drawn, max_iter=15, **where.options, **training)
        results = [trainer.fit(X, y), trainer.fit(X, -y)]
        return digests(drawn, results, where, step=trainer.step_size_)

    CASES[name] = run, LOCAL


add_descent("gradient-descent", {"shift": 1.0}, {})
add_descent("gradient-descent-minibatches", FLOAT64, {"batch_size": 8, "momentum": 0.9, "random_state": 3})
add_descent("gradient-descent-gaussian", GAUSSIAN, {"batch_size": 7, "learning_rate": 0.7})


def main(arguments=None):
    """The command line; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--executors", nargs="+", choices=ALL, default=ALL)
    parser.add_argument("--cases", nargs="+", default=[""], help="parts of the names of those to run")
    options = parser.parse_args(arguments)
    recorded = {"cases": {}}
    if options.action == "compare":
        recorded = json.loads(options.file.read_text())
        if sentence := unlike(recorded["arithmetic"]):
            print(sentence)
            return 2
    chosen = [name for name in CASES if any(part in name for part in options.cases)]
    found, lines, n_differing = {}, [], 0
    with contextlib.closing(Runner()) as runner:
        for name in chosen:
            every = CASES[name][1]
            executors = [executor for executor in every if executor in options.executors] or every[:1]
            found[name], differing = runner.differences(name, executors, recorded["cases"].get(name))
            if options.action == "compare" and name not in recorded["cases"]:
                differing.append(f"{name}: not recorded")
            lines += differing
            n_differing += bool(differing)
            print(f"{'differs' if differing else 'done':8}{name}", file=sys.stderr, flush=True)
    print("\n".join([*lines, f"{len(chosen)} cases, {n_differing} differ"]))
    if options.action == "record" and not lines:
        options.file.write_text(json.dumps({"arithmetic": arithmetic(), "cases": found}, indent=1) + "\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
