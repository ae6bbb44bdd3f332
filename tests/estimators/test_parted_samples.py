"""Estimators that learn from collections of Dask: the same as from arrays, whoever goes through the parts."""

import os
import pickle
import signal
import threading
import typing

import numpy as np
import pandas as pd
import pytest

import sltrees.estimators.kernel_ridge
from sltrees.cluster.arithmetic import UnlikeWorkerError, describe_arithmetic
from sltrees.estimators import NewtonClassifier, NewtonRegressor
from sltrees.estimators.kernel_solvers import blocks
from sltrees.estimators.kernel_solvers.samples import SamplesHere
from sltrees.estimators.parted import collections, learning, passes, running
from sltrees.estimators.parted.passes import Sums
from sltrees.estimators.parted.samples import PartedSamples
from sltrees.execution.threads import ThreadExecutor
from sltrees.kernels.unit_rows import UnitRowsKernel

pytest.importorskip("distributed")

import dask
import dask.array as da
import dask.dataframe as dd
import distributed
from dask_problems import local_cluster

pytestmark = [pytest.mark.dask, pytest.mark.filterwarnings("ignore:.*:ResourceWarning")]

KERNEL = UnitRowsKernel(1.0)


def wave(n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, (n, 3))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(n)


def parted(*arrays, rows=130):
    return [da.from_array(array, chunks=(rows, *array.shape[1:])) for array in arrays]


@pytest.fixture
def few_are_many(monkeypatch):
    """Limits so low that some hundred samples are many."""
    monkeypatch.setattr(sltrees.estimators.base, "EIGEN_SAMPLES", 60)
    monkeypatch.setattr(sltrees.estimators.kernel_ridge, "EIGEN_SAMPLES", 60)
    monkeypatch.setattr(learning, "CHOLESKY_SAMPLES", 120)
    monkeypatch.setattr(collections, "GROUP", 200)
    monkeypatch.setattr(blocks, "BLOCK", 64)


@pytest.fixture
def regressor(few_are_many):
    return NewtonRegressor("kernel", random_state=0, max_centres=192)


@pytest.fixture(scope="module")
def client():
    with local_cluster(n_workers=3) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(3)
        yield client


class Passing:
    """What an estimator is to a `Reader`, for samples that are scaled and coded."""

    class scaling_:
        transform = staticmethod(lambda X: X)

    @staticmethod
    def _coded(y, weights):
        return y, weights


def test_sums_are_those_of_arrays(few_are_many):
    """Of the samples that are not left out, and with functions learned before."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((700, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    Y, weights = rng.standard_normal((700, 2)), rng.uniform(0, 2, 700)
    weights[::7] = 0.0
    out = np.sort(rng.choice(700, 50, replace=False))
    seen = np.setdiff1d(np.nonzero(weights)[0], out)
    parts = collections.as_parts(*parted(X, Y, weights)).delayed
    left_out = [out[out // 130 == at] - 130 * at for at in range(len(parts))]
    groups = collections.grouped([130] * 5 + [50])
    assert len(groups) > 2
    with ThreadExecutor(2) as executor:
        here = SamplesHere(KERNEL, X[seen], Y[seen], weights[seen], executor)
        there = PartedSamples(KERNEL, parts, groups, left_out, passes.Reader(Passing), len(seen), 2, X[seen], executor)
        for centres in X[:40], X[40:60]:
            a, b = here.system(centres), there.system(centres)
            for name in "targets", "totals":
                assert np.allclose(getattr(a, name), getattr(b, name), rtol=0, atol=1e-10)
            assert np.allclose(np.tril(a.products), np.tril(b.products), rtol=0, atol=1e-10)
            for samples in here, there:
                samples.learn(centres, np.full((len(centres), 2), 0.3), np.array([1.0, -1.0]))
            assert np.allclose(here.outputs, there.outputs, rtol=0, atol=1e-12)
            for a, b in zip(here.what_is_left(centres), there.what_is_left(centres), strict=True):
                assert np.allclose(a, b, rtol=0, atol=1e-10)


def test_few_samples_are_learned_from_as_arrays_are():
    X, y = wave(300)
    model = NewtonRegressor("kernel", random_state=0).fit(*parted(X, y))
    assert np.array_equal(model.predict(X), NewtonRegressor("kernel", random_state=0).fit(X, y).predict(X))


def test_regressor(regressor):
    (X, y), (X_new, y_new) = wave(1500), wave(300, 1)
    weights = np.where(np.arange(1500) % 3, 1.0, 0.0)
    y[weights == 0] = 1e6  # nobody learns from these
    model = regressor.fit(*parted(X, y, weights))
    assert model.score(X_new, y_new) > 0.9
    assert abs(model.validation_score_ - model.score(X_new, y_new)) < 0.05
    assert len(model.fitted_model_.X_) == 192
    assert model.selection_["outcome"][0] == "asked for"
    assert model.n_features_in_ == 3
    again = NewtonRegressor("kernel", random_state=0, max_centres=192, n_jobs=1).fit(*parted(X, y, weights))
    assert np.array_equal(model.predict(X_new), again.predict(X_new))
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(X_new), model.predict(X_new))


def test_parts_that_a_filter_left_empty(few_are_many):
    X, y = wave(700)
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(
        y=y, label=np.where(y > 0, "p", "n"), part=np.arange(700) // 100
    )
    kept = frame[frame.part != 2]
    table = dd.from_pandas(frame, npartitions=7)
    table = table[table.part != 2]
    options = {"random_state": 0, "max_centres": 192, "feature_learning": False}
    for make, name in ((NewtonRegressor, "y"), (NewtonClassifier, "label")):
        model = make("kernel", **options).fit(table[["a", "b", "c"]], table[name])
        assert model.score(kept[["a", "b", "c"]], kept[name]) > 0.9


def test_two_outputs(regressor):
    X, y = wave(600)
    model = regressor.fit(*parted(X, np.column_stack([y, -2 * y])))
    assert np.allclose(model.predict(X)[:, 1], -2 * model.predict(X)[:, 0], atol=1e-6)


def test_classifier_learns_labels_of_all_parts(few_are_many):
    X, y = wave(1500)
    labels = np.where(y > 0.5, "high", "low")
    labels[1400:1403] = "rare"  # in one part
    model = NewtonClassifier(random_state=0, max_centres=192, class_weight={"rare": 2.0}).fit(*parted(X, labels))
    assert list(model.classes_) == ["high", "low", "rare"]
    assert model.score(X, labels) > 0.9
    assert model.predict_proba(X[:5]).shape == (5, 3)
    assert "networks are not tried" in model.selection_["outcome"][0]


def test_further_samples(regressor):
    X, y = wave(1500)
    model = regressor.fit(*parted(X[:1000], y[:1000]))
    other = pickle.loads(pickle.dumps(model)).partial_fit(X[1000:], y[1000:])
    model.partial_fit(*parted(X[1000:], y[1000:]))
    assert np.allclose(model.predict(X), other.predict(X), rtol=0, atol=1e-8)
    with pytest.raises(ValueError, match="X must have 3 columns as in fit, got 2"):
        model.partial_fit(*parted(X[:400, :2], y[:400]))


def test_further_samples_of_a_model_that_was_solved_at_once():
    X, y = wave(400)
    model = NewtonRegressor("kernel", random_state=0).fit(X[:300], y[:300])
    other = pickle.loads(pickle.dumps(model)).partial_fit(X[300:], y[300:])
    assert np.array_equal(model.partial_fit(*parted(X[300:], y[300:])).predict(X), other.predict(X))


def test_tables_name_their_columns(few_are_many, monkeypatch):
    monkeypatch.setattr(sltrees.estimators.kernel_ridge, "NEGLIGIBLE", 0.0)  # predictions in double precision
    pytest.importorskip("pyarrow")
    import dask.dataframe as dd
    import pandas as pd

    X, y = wave(600)
    table = dd.from_pandas(pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=y), npartitions=4)
    model = NewtonRegressor("kernel", random_state=0, max_centres=128).fit(table[["a", "b", "c"]], table["y"])
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    assert model.score(pd.DataFrame(X, columns=["a", "b", "c"]), y) > 0.9
    with pytest.raises(ValueError, match=r"columns of X must be those of fit in their order, \['a', 'b', 'c'\], got"):
        model.partial_fit(table[["b", "a", "c"]], table["y"])
    outputs = table[["a", "b", "c"]].map_partitions(model.predict, meta=np.empty(0)).compute()
    assert np.allclose(outputs, model.predict(pd.DataFrame(X, columns=["a", "b", "c"])), rtol=0, atol=1e-12)


def test_the_same_on_a_cluster_one_worker_of_which_is_killed(regressor, client, monkeypatch):
    X, y = wave(1500)
    here = regressor.fit(*parted(X, y)).predict(X)
    pids = list(client.run(os.getpid).values())
    with client.as_current(), monkeypatch.context() as patch:
        patch.setattr(distributed, "default_client", lambda: client)
        there = NewtonRegressor("kernel", random_state=0, max_centres=192).fit(*parted(X, y))
        assert np.array_equal(there.predict(X), here)
        computed, n_calls = running._computed, []

        def with_a_death(client, tasks):
            n_calls.append(None)
            if len(n_calls) == 4:
                threading.Timer(0.02, os.kill, (pids[0], signal.SIGKILL)).start()
            return computed(client, tasks)

        patch.setattr(running, "_computed", with_a_death)
        again = NewtonRegressor("kernel", random_state=0, max_centres=192).fit(*parted(X, y))
    assert len(n_calls) > 4
    assert np.array_equal(again.predict(X), here)


def test_a_set_larger_than_the_memory_of_a_worker(tmp_path, monkeypatch):
    """From Parquet files; no worker is stopped for what it takes."""
    parquet, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    import dask.dataframe as dd

    limit, rows, d, n_files = 600_000_000, 45_000, 85, 20
    assert 8 * rows * (d + 1) * n_files > limit
    names = [f"x{j}" for j in range(d)]
    for number in range(n_files):
        X, y = wave(rows, number)
        columns = {name: X[:, j].round(1) if j < 3 else np.full(rows, float(j)) for j, name in enumerate(names)}
        parquet.write_table(pa.table(columns | {"y": y.round(1)}), tmp_path / f"{number:02d}.parquet")
    table = dd.read_parquet(tmp_path)

    model = NewtonRegressor("kernel", random_state=0, max_centres=64, evenness=1.0, bends=False, feature_learning=False)
    with local_cluster(n_workers=2, memory_limit=limit) as cluster, distributed.Client(cluster) as client:
        client.wait_for_workers(2)
        pids = client.run(os.getpid)
        model.fit(table[names], table["y"])
        assert client.run(os.getpid) == pids
    assert model.validation_score_ > 0.9


def test_workers_that_round_otherwise_are_refused(few_are_many, client, monkeypatch):
    monkeypatch.setattr(distributed, "default_client", lambda: client)
    parts = collections.as_parts(*parted(*wave(300))).delayed
    groups = [range(at, at + 1) for at in range(len(parts))]
    unlike = describe_arithmetic() | {"numpy": "0.1"}

    def work(part, n_threads):
        return Sums((np.ones(1),), {"here": unlike})

    with pytest.raises(UnlikeWorkerError, match=r"numpy of worker here is 0\.1"):
        running.summed(parts, groups, work, [()] * len(groups), (), 1)


@pytest.mark.parametrize("n_groups", range(1, 14))
def test_the_tree_of_sums_is_the_same_here_and_there(n_groups, monkeypatch):
    """By sums that remember how they were made."""

    class Word(str):
        def plus(self, other):
            return Word(f"({self}{other})")

        rounded_by: typing.ClassVar = {}

    parts = [(dask.delayed(at), dask.delayed(at), None) for at in range(n_groups)]
    groups = [range(at, at + 1) for at in range(n_groups)]

    def work(part, n_threads):
        return Word("abcdefghijklm"[part[0][0]])

    monkeypatch.setattr(running, "cluster_client", lambda: None)
    here = running.summed(parts, groups, work, [()] * n_groups, (), 1)
    monkeypatch.setattr(running, "cluster_client", lambda: "a client")
    monkeypatch.setattr(running, "_computed", lambda client, tasks: dask.compute(*tasks, scheduler="sync"))
    assert running.summed(parts, groups, work, [()] * n_groups, (), 1) == here


def test_what_is_interrupted_is_cancelled(monkeypatch):
    class Client:
        cancelled = None

        def compute(self, tasks):
            return tasks

        def gather(self, futures):
            raise KeyboardInterrupt

        def cancel(self, futures):
            self.cancelled = futures

    client = Client()
    with pytest.raises(KeyboardInterrupt):
        running._computed(client, ["a task"])
    assert client.cancelled == ["a task"]


BAD = {
    "of which one is an array": (lambda X, y: (parted(X)[0], y), TypeError, "y must be a collection of Dask"),
    "of other parts": (
        lambda X, y: (parted(X)[0], da.concatenate(parted(y[:100], y[100:]))[:-1]),
        ValueError,
        "cut at the same rows|must have shape",
    ),
    "not a number": (lambda X, y: parted(np.where(X > 1.99, np.nan, X), y), ValueError, "part . of X"),
    "not a target": (lambda X, y: parted(X, np.where(y > 2.3, np.inf, y)), ValueError, "part . of y"),
    "words": (lambda X, y: parted(X.astype(str), y), TypeError, "part 0 of X"),
    "below 0": (lambda X, y: parted(X, y, -np.ones(len(y))), ValueError, "sample_weight must be at least 0, got -1"),
    "nothing": (lambda X, y: parted(X, y, np.zeros(len(y))), ValueError, "at least one sample of a weight above 0"),
}


@pytest.mark.parametrize("samples", BAD)
def test_samples_that_are_refused(regressor, samples):
    make, error, message = BAD[samples]
    X, y = wave(600)
    regressor.fit(*parted(X, y))
    before = pickle.dumps(regressor)
    with pytest.raises(error, match=message):
        regressor.fit(*make(X, y))
    assert pickle.dumps(regressor) == before


@pytest.mark.parametrize(
    ("options", "message"), [({"model": "network"}, "'kernel' for collections"), ({"solver": "exact"}, "'nystrom' for")]
)
def test_what_needs_all_samples_at_once_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        NewtonRegressor(**options).fit(*parted(*wave(300)))
    with pytest.raises(ValueError, match="eval_set must be None"):
        NewtonRegressor().fit(*parted(*wave(300)), eval_set=wave(10))
