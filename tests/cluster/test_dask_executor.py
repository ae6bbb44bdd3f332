"""Training on a Dask cluster: bit-identical to training here, whoever does what and whatever dies."""

import asyncio
import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from problems import random_problem

from sltrees import NewtonTrainer, ShiftedReLUNetwork, SoftmaxTrainer
from sltrees._core import _primitives, _simd
from sltrees.callbacks import Callback, Checkpoint
from sltrees.cluster.arithmetic import UnlikeWorkerError, describe_arithmetic, refuse_unlike
from sltrees.cluster.messages import ClusterLostError
from sltrees.cluster.portions import Portion
from sltrees.reference.row_invariants import check_rows

pytest.importorskip("distributed")

import distributed
from dask_problems import PROBLEM, children, local_cluster, network_of
from distributed.security import Security

from sltrees.cluster.dask import connection as dask_connection
from sltrees.cluster.dask.executor import DaskExecutor

pytestmark = [pytest.mark.dask, pytest.mark.filterwarnings("ignore:.*:ResourceWarning")]


@pytest.fixture(scope="module")
def cluster():
    with local_cluster(n_workers=3) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def executor_of_all(cluster):
    with distributed.Client(cluster, set_as_default=False) as client, DaskExecutor(client) as executor:
        yield executor


@pytest.fixture
def executor(executor_of_all):
    deadline = time.monotonic() + 60
    while len(executor_of_all.workers()) < 3:  # those that were killed before come back
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return executor_of_all


def same(here, there, portions=2):
    assert len(there.state.neurons._placed) >= portions  # with one it would show little
    assert there.digest() == here.digest()
    X = random_problem(1, 70, PROBLEM[0].shape[1])[0]
    assert np.array_equal(here.predict(X), there.predict(X))


CASES = {
    "plain": ({}, {}),
    "ridge": ({}, {"alpha": 1e-3}),
    "loo": ({}, {"alpha": "loo"}),
    "gaussian": ({"init": "gaussian"}, {"alpha": 1e-3}),
    "float64": ({"dtype": "float64", "shift": "paper"}, {}),
    "rejection": ({"sampling": "rejection", "width": 2**23}, {}),
    "without an array": ({}, {"max_gram": 0}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_network_is_the_same_wherever_it_is_trained(case, executor):
    options, training = CASES[case]
    X, y = PROBLEM
    here, there = network_of(**options), network_of(**options)
    results = [
        NewtonTrainer(network, executor=where, max_iter=5, tol=1e-9, **training).fit(X, y)
        for network, where in ((here, "inline"), (there, executor))
    ]
    there.state.method._check(check_rows)
    same(here, there)
    for name in ("status", "n_iter", "rmse", "loss"):
        assert len({str(getattr(result, name)) for result in results}) == 1
    names = ("rmse", "flips", "visited_neurons", "fired_pairs", "cg_steps", "damping")
    seen = {str([[getattr(record, name) for name in names] for record in result.history]) for result in results}
    assert len(seen) == 1


def counters(results):
    names = ("rmse", "loss", "mean_loss", "flips", "visited_neurons", "fired_pairs", "refactorings", "damping")
    return [[[getattr(record, name) for name in names] for record in result.history] for result in results]


def test_under_a_loss_one_network_and_those_of_classes_are_the_same_wherever_they_are_trained(executor):
    X, y = PROBLEM
    counts, labels = np.floor(np.exp(y)), np.eye(2)[(y > 0).astype(int)]
    ends = []
    for where in ({"n_threads": 1}, {"n_threads": 2}, {"executor": executor}):
        networks = [network_of(2**17) for _ in range(3)]
        options = {"max_iter": 2, "tol": 1e-9, "alpha": 1e-2} | where
        results = [NewtonTrainer(networks[0], loss="poisson", **options).fit(X, counts)]
        results += SoftmaxTrainer(networks[1:], **options).fit(X, labels)
        digests = [network.digest() for network in networks]
        predicted = [network.predict(X).tolist() for network in networks]
        ends.append((digests, predicted, counters(results), [result.status for result in results]))
    assert all(len(network.state.neurons._placed) >= 2 for network in networks)
    assert min(record.flips for result in results for record in result.history) > 0
    assert ends[0] == ends[1] == ends[2]


def test_any_number_of_workers_gives_the_same(cluster):
    X, y = PROBLEM
    here = network_of()
    NewtonTrainer(here).fit(X, y)
    for n_workers in (1, 2):
        with DaskExecutor(n_workers=n_workers) as executor:
            there = network_of()
            NewtonTrainer(there, executor=executor).fit(X, y)
            same(here, there, portions=n_workers)
        assert there.state.neurons.cluster is None
        assert there.digest() == here.digest()


@pytest.mark.parametrize("alpha", [0.0, 1e-3])
@pytest.mark.parametrize("options", [{}, {"sampling": "rejection", "width": 2**21}])
def test_training_goes_on_with_more_samples_and_with_others(alpha, options, executor):
    X, y = PROBLEM
    networks = []
    for where in ("threads", executor):
        network = network_of(**options)
        trainer = NewtonTrainer(network, executor=where, alpha=alpha, max_iter=3, tol=1e-9)
        trainer.fit(X[:30], y[:30])
        trainer.fit(X[:30], -y[:30])  # the same rows
        trainer.extend(X[30:], y[30:])
        trainer.fit(X[5:25], y[5:25])  # others
        networks.append(network)
    same(*networks)


def test_the_best_weights_are_given_back(executor):
    X, noise = PROBLEM
    y = X[:, 0] + 0.3 * noise
    points, _ = random_problem(3, 30, X.shape[1])
    held_out = points, points[:, 0]
    networks, results = [], []
    for where in ("threads", executor):
        network = network_of(2**17, shift=1.0)
        results.append(NewtonTrainer(network, executor=where, tol=1e-9).fit(X, y, eval_set=held_out))
        NewtonTrainer(network, executor=where, max_iter=2, tol=0.0).fit(X, y)  # from there
        networks.append(network)
    assert 0 < results[0].best_iteration == results[1].best_iteration < results[0].n_iter
    same(*networks)


def test_worn_coefficients_are_written_down_there(executor, monkeypatch):
    monkeypatch.setattr("sltrees.methods.certified.method.WORN", 1e-16)
    X, y = PROBLEM
    here, there = network_of(), network_of()
    for network, where in ((here, "threads"), (there, executor)):
        NewtonTrainer(network, executor=where, max_iter=4, tol=1e-9).fit(X, y)
    same(here, there)


def test_networks_come_and_go(executor, tmp_path):
    X, y = PROBLEM
    here = network_of()
    NewtonTrainer(here, max_iter=2, tol=0.0).fit(X, y)
    there = here.__copy__()
    NewtonTrainer(there, executor=executor, max_iter=2, tol=0.0).fit(X, y)
    here.save(tmp_path / "here.npz")  # training from a copy begins with lists built anew
    here = ShiftedReLUNetwork.load(tmp_path / "here.npz")
    NewtonTrainer(here, max_iter=2, tol=0.0).fit(X, y)
    same(here, there)
    there.save(tmp_path / "there.npz")
    for other in (ShiftedReLUNetwork.load(tmp_path / "there.npz"), there.__copy__(), pickle.loads(pickle.dumps(there))):
        assert other.state.neurons.cluster is None
        assert other.digest() == here.digest()
    with pytest.raises(RuntimeError, match="fetch"):
        there.initialize(X[:3] + 0.1)
    with pytest.raises(MemoryError, match="1,000"):
        there.fetch(max_memory=1000)
    assert there.state.neurons.cluster is not None
    NewtonTrainer(there, max_iter=1, tol=0.0).fit(X, y)  # on threads: it comes here by itself
    assert there.state.neurons.cluster is None


@pytest.mark.parametrize("resumed_on", ["threads", "cluster"])
def test_a_checkpoint_goes_on_anywhere(resumed_on, executor, tmp_path):
    X, y = PROBLEM
    path = tmp_path / "training.npz"

    class Cut(Callback):
        def on_iteration(self, trainer, record):
            if record.iteration == 1:
                raise SystemExit

    here = network_of()
    NewtonTrainer(here, callbacks=[Checkpoint(tmp_path / "other.npz")]).fit(X, y)
    there = network_of()
    with pytest.raises(SystemExit):
        NewtonTrainer(
            there, executor=executor if resumed_on == "threads" else "threads", callbacks=[Checkpoint(path), Cut()]
        ).fit(X, y)
    where = executor if resumed_on == "cluster" else "threads"
    resumed = NewtonTrainer.from_checkpoint(path, executor=where)
    assert resumed.fit(X, y).status == "converged"
    assert resumed.network.digest() == here.digest()


class Kill(Callback):
    """SIGKILL to a worker before some iteration."""

    def __init__(self, cluster, iteration, which=0):
        self.cluster, self.iteration, self.which = cluster, iteration, which
        self.killed = False

    def kill(self):
        self.killed = True
        worker = list(self.cluster.workers.values())[self.which % len(self.cluster.workers)]
        with contextlib.suppress(AttributeError, ProcessLookupError):  # it is being started
            os.kill(worker.process.pid, signal.SIGKILL)

    def on_setup(self, trainer, done, total):
        if self.iteration == -1 and not self.killed:
            self.kill()

    def on_iteration(self, trainer, record):
        if record.iteration == self.iteration:
            self.kill()


@pytest.mark.parametrize("iteration", [-1, 0, 2])
@pytest.mark.parametrize("alpha", [0.0, 1e-3])
def test_a_worker_that_is_killed_costs_time_alone(iteration, alpha, cluster, executor):
    X, y = PROBLEM
    here, there = network_of(), network_of()
    NewtonTrainer(here, alpha=alpha, max_iter=4, tol=1e-9).fit(X, y)
    kill = Kill(cluster, iteration, which=iteration + 1)
    NewtonTrainer(there, alpha=alpha, max_iter=4, tol=1e-9, executor=executor, callbacks=[kill]).fit(X, y)
    assert kill.killed or iteration == -1
    same(here, there)


def test_a_worker_that_is_killed_at_any_time_costs_time_alone(cluster, executor):
    X, y = PROBLEM
    here = network_of()
    NewtonTrainer(here, tol=1e-9).fit(X, y)
    expected = here.predict(X)
    for seed in range(3):
        kill = Kill(cluster, None, which=seed)
        timer = threading.Timer(np.random.default_rng(seed).uniform(0.0, 0.6), kill.kill)
        timer.start()
        there = network_of()
        NewtonTrainer(there, tol=1e-9, executor=executor).fit(X, y)
        assert np.array_equal(there.predict(X), expected)
        timer.join()
        same(here, there)


def test_what_is_lost_while_nobody_trains_is_made_again(cluster, executor):
    X, y = PROBLEM
    here, there = network_of(), network_of()
    for network, where in ((here, "threads"), (there, executor)):
        trainer = NewtonTrainer(network, executor=where, max_iter=3, tol=0.0)
        trainer.fit(X[:30], y[:30])
        if where is executor:
            Kill(cluster, None, which=1).kill()
        trainer.extend(X[30:], y[30:])
        if where is executor:
            Kill(cluster, None, which=2).kill()
    same(here, there)


def test_ctrl_c_is_obeyed_and_training_goes_on_from_there(executor):
    X, y = PROBLEM
    there = network_of(2**21)
    for after in (0.05, 0.3):
        timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
        began = time.monotonic()
        timer.start()
        result = NewtonTrainer(there, executor=executor, tol=0.0).fit(X, y)
        seconds = time.monotonic() - began
        timer.join()
        if result.status == "interrupted":
            assert seconds < after + 1.0
    result = NewtonTrainer(there, executor=executor, tol=1e-6).fit(X, y)
    assert result.status == "converged"
    there.state.method._check(check_rows)


def test_a_cluster_that_goes_away_ends_training_with_a_status(tmp_path):
    X, y = PROBLEM
    here = network_of()
    NewtonTrainer(here).fit(X, y)
    path = tmp_path / "training.npz"
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard",
         "--scheduler-file", str(tmp_path / "scheduler.json")],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    worker = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", "--no-dashboard",
         "--death-timeout", "20", "--scheduler-file", str(tmp_path / "scheduler.json")],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:

        class Gone(Callback):
            def on_iteration(self, trainer, record):
                if record.iteration == 1:
                    scheduler.kill()
                    worker.kill()

        client = distributed.Client(scheduler_file=str(tmp_path / "scheduler.json"), set_as_default=False, timeout=20)
        with client, DaskExecutor(client, patience=3.0) as executor:
            network = network_of()
            callbacks = [Checkpoint(path), Gone()]
            began = time.monotonic()
            result = NewtonTrainer(network, executor=executor, callbacks=callbacks).fit(X, y)
            assert result.status == "cluster_lost"
            assert result.n_iter == 2
            assert time.monotonic() - began < 30
            assert network.shift_ is None  # as it was
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
    resumed = NewtonTrainer.from_checkpoint(path)
    assert resumed.fit(X, y).status == "converged"
    assert resumed.network.digest() == here.digest()


class Hog(distributed.WorkerPlugin):
    """Takes all the memory a worker may have."""

    def __init__(self, after):
        self.after = after  # seconds

    def setup(self, worker):
        def fill():
            time.sleep(self.after)
            while True:
                self.taken.append(b"1" * 2**24)
                time.sleep(2e-3)

        self.taken = []
        threading.Thread(target=fill, daemon=True).start()


def fill_memory(after, dask_worker):
    Hog(after).setup(dask_worker)


@pytest.fixture
def small_cluster():
    """Workers that may have 600 MB each, and a client."""
    before = set(children())
    with (
        local_cluster(n_workers=2, memory_limit=6e8) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client
    deadline = time.monotonic() + 10
    while set(children()) - before:
        assert time.monotonic() < deadline, "processes are left behind"
        time.sleep(0.1)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_worker_that_runs_out_of_memory_costs_time_alone(small_cluster):
    X, y = PROBLEM
    here, there = network_of(), network_of()
    NewtonTrainer(here, max_iter=5, tol=1e-9).fit(X, y)

    class Fill(Callback):
        def on_iteration(self, trainer, record):
            if record.iteration == 1:
                address = min(executor.workers())
                small_cluster.run(fill_memory, 0.0, workers=[address])
                while address in executor.workers():
                    time.sleep(0.05)

    with DaskExecutor(small_cluster) as executor:
        result = NewtonTrainer(there, executor=executor, max_iter=5, tol=1e-9, callbacks=[Fill()]).fit(X, y)
        assert result.n_iter > 2
        same(here, there)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_workers_that_run_out_of_memory_again_and_again_end_training_with_a_status(small_cluster, tmp_path):
    X, y = PROBLEM
    path = tmp_path / "training.npz"
    width = 2**21  # which cannot be drawn before memory is full
    here, there = network_of(width), network_of(width)
    NewtonTrainer(here, max_iter=5, tol=1e-9).fit(X, y)

    class Fill(Callback):
        def on_iteration(self, trainer, record):
            if record.iteration == 1:
                small_cluster.register_plugin(Hog(0.0), name="hog")
                time.sleep(1.0)

    with DaskExecutor(small_cluster, patience=10.0) as executor:
        callbacks = [Checkpoint(path), Fill()]
        result = NewtonTrainer(there, executor=executor, max_iter=5, tol=1e-9, callbacks=callbacks).fit(X, y)
        assert result.status == "cluster_lost"
        assert 2 <= result.n_iter < 5  # as far as it comes before memory is full
        assert there.shift_ is None  # as it was
    resumed = NewtonTrainer.from_checkpoint(path)
    assert resumed.fit(X, y).n_iter > result.n_iter
    assert resumed.network.digest() == here.digest()


def test_workers_that_others_keep_busy_are_done_without(small_cluster, monkeypatch):
    monkeypatch.setattr(dask_connection, "MAKING_SECONDS", 1.0)
    X, y = PROBLEM
    here, there, later = network_of(), network_of(), network_of()
    NewtonTrainer(here, max_iter=2, tol=0.0).fit(X, y)
    first, second = sorted(small_cluster.scheduler_info()["workers"])
    with DaskExecutor(small_cluster, patience=5.0) as executor:
        tasks = [small_cluster.submit(time.sleep, 100, workers=[first], key="a")]
        time.sleep(0.3)
        NewtonTrainer(there, executor=executor, max_iter=2, tol=0.0).fit(X, y)  # it has its host already
        same(here, there)
        assert set(executor.traffic) == {first, second}
    with DaskExecutor(small_cluster, patience=5.0) as executor:
        NewtonTrainer(later, executor=executor, max_iter=2, tol=0.0).fit(X, y)
        same(here, later, portions=1)
        assert set(executor.traffic) == {second}
    tasks.append(small_cluster.submit(time.sleep, 100, workers=[second], key="b"))
    time.sleep(0.3)
    with pytest.raises(ClusterLostError, match="paused, or busy"), DaskExecutor(small_cluster, patience=1.0):
        pass


def test_bad_input_is_refused():
    with pytest.raises(TypeError, match="client must be"):
        DaskExecutor(3)
    with pytest.raises(ValueError, match="n_workers"):
        DaskExecutor(n_workers=0)
    with pytest.raises(ValueError, match="started here"):
        DaskExecutor("tcp://127.0.0.1:1", n_workers=2)
    with pytest.raises(ValueError, match="certified"):
        NewtonTrainer(network_of(64), method="trees", executor="dask")
    with pytest.raises(ValueError, match="executor must be"):
        NewtonTrainer(network_of(64), executor="cluster")
    with pytest.raises(ClusterLostError, match="no cluster"), DaskExecutor("tcp://127.0.0.1:1", patience=1.0):
        pass


def test_workers_that_round_otherwise_are_refused(executor, cluster, monkeypatch):
    found = describe_arithmetic()
    for name in found:
        with pytest.raises(UnlikeWorkerError, match=f"{name} of worker tcp://a:1 is other, here it is"):
            refuse_unlike("tcp://a:1", found | {name: "other"})
    monkeypatch.setattr("sltrees.cluster.arithmetic.describe_arithmetic", lambda: found | {"numpy": "other"})
    with distributed.Client(cluster, set_as_default=False) as client, pytest.raises(RuntimeError, match="numpy of"):
        DaskExecutor(client).__enter__()
    before = set(executor.workers())
    Kill(cluster, None).kill()  # who takes its place is looked at, too
    while set(executor.workers()) <= before:
        time.sleep(0.05)
    with pytest.raises(RuntimeError, match="numpy of"):
        NewtonTrainer(network_of(), executor=executor).fit(*PROBLEM)


def test_a_cluster_that_is_started_here_answers_nobody_else():
    async def asked(address, **arguments):
        # who only opens a port has not been heard yet
        comm = await distributed.comm.connect(address, timeout=5, **arguments)
        try:
            await comm.write({"op": "identity", "reply": True})
            return await comm.read()
        finally:
            comm.abort()

    stranger = Security.temporary()
    with DaskExecutor(n_workers=1, n_threads=1) as executor:
        client = executor._connection.client
        addresses = [client.scheduler.address, *executor.workers()]
        assert len(addresses) == 2
        for address in addresses:
            assert address.startswith("tls://127.")
            own = client.security.get_connection_args("client")
            assert asyncio.run(asked(address, **own))["type"] in ("Scheduler", "Worker")
            with pytest.raises(OSError, match=r"Timed out|in <TCP|closed|handshake|certificate"):
                asyncio.run(asked(address.replace("tls://", "tcp://")))
            with pytest.raises(OSError, match=r"Timed out|certificate|closed|handshake"):
                asyncio.run(asked(address, **stranger.get_connection_args("client")))
        with pytest.raises(OSError):
            distributed.Client(addresses[0].replace("tls://", "tcp://"), set_as_default=False, timeout=2)


def test_a_missing_package_for_certificates_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ImportError, match=r"needs cryptography: pip install -e \"\.\[dask\]\""):
        DaskExecutor(n_workers=1).__enter__()


LEVELS = _simd.supported_levels()


@pytest.mark.skipif(len(LEVELS) == 1, reason="this processor has one level of instructions")
def test_a_worker_with_other_instructions_is_refused():
    """Found once: its sums round otherwise, and the network was another one, without a word."""
    other = next(level for level in ("avx2", *LEVELS) if level in LEVELS and level != _simd.active_level_name())

    def worker(**environment):
        return {"cls": distributed.Nanny, "options": {"nthreads": 1, "env": environment}}

    scheduler = {"cls": distributed.Scheduler, "options": {"dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}}
    workers = {0: worker(), 1: worker(SLTREES_SIMD=other)}
    with (
        distributed.SpecCluster(workers=workers, scheduler=scheduler) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(2, timeout=60)
        with pytest.raises(UnlikeWorkerError, match=r"kernels of worker tcp://127.* is .*SLTREES_SIMD"):
            DaskExecutor(client).__enter__()
        with pytest.raises(UnlikeWorkerError):
            NewtonTrainer(network_of(), executor=DaskExecutor(client)).fit(*PROBLEM)


@pytest.mark.skipif(len(LEVELS) == 1, reason="this processor has one level of instructions")
def test_levels_whose_sums_differ_are_told_apart():
    before, found = _simd.active_level_name(), {}
    a, b = np.sin(np.arange(1.0, 209.0)), np.cos(np.arange(1.0, 209.0))
    try:
        for level in LEVELS:
            _simd.set_active_level(level)
            assert describe_arithmetic() == describe_arithmetic()
            found[level] = (_primitives.dot(a, b), describe_arithmetic()["kernels"])
    finally:
        _simd.set_active_level(before)
    for dot, kernels in found.values():
        assert all(other_kernels != kernels for other, other_kernels in found.values() if other != dot)


def test_too_large_a_network_is_refused_before_anything_is_drawn(executor):
    network = network_of(2**34, shift=0.0, sampling="dense")
    with pytest.raises(MemoryError, match="bytes, all workers together have"):
        NewtonTrainer(network, executor=executor).fit(*PROBLEM)
    assert network.shift_ is None


@pytest.mark.parametrize("size", [1, 2, 7, 31, 32, 1000, 12345])
@pytest.mark.parametrize("parts", [1, 2, 3, 10, 100])
def test_portions_are_cut_without_gaps(size, parts):
    pieces = Portion(0, size, size).cut(parts)
    assert [piece.start for piece in pieces] == [0, *(piece.stop for piece in pieces[:-1])]
    assert pieces[-1].stop == size
    assert len(pieces) <= parts
    again = pieces[-1].cut(3)
    assert (again[0].start, again[-1].stop) == (pieces[-1].start, size)


@pytest.mark.parametrize("alpha", ["loo", 1e-3])
def test_estimators_give_the_same_on_a_cluster(alpha, executor, tmp_path):
    sklearn_base = pytest.importorskip("sklearn.base")
    from sltrees.estimators import NewtonClassifier

    X, y = PROBLEM
    labels = np.digitize(y, [-0.5, 0.5])
    options = {"model": "network", "width": 2**14, "alpha": alpha, "random_state": 0, "n_folds": 2}
    here = NewtonClassifier(**options).fit(X, labels)
    there = sklearn_base.clone(NewtonClassifier(**options, executor=executor)).fit(X, labels)
    assert np.array_equal(here.decision_function(X), there.decision_function(X))
    there.save(tmp_path / "model.npz")
    assert np.array_equal(NewtonClassifier.load(tmp_path / "model.npz").predict_proba(X), here.predict_proba(X))


def test_the_demo_runs_on_a_cluster(capsys):
    import json

    from sltrees.__main__ import main

    digests = set()
    for options in (["--executor", "dask", "--workers", "2"], []):
        assert main(["demo", "--width", "16384", "--json", *options]) == 0
        digests.add(json.loads(capsys.readouterr().out.splitlines()[-1])["digest"])
    assert len(digests) == 1
    assert main(["demo", "--workers", "2", "--executor", "threads"]) == 2
    assert "--executor dask" in capsys.readouterr().err
