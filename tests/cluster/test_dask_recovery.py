"""Executor "dask" when things go wrong at an awkward moment: what is left goes on, and nothing else is left."""

import itertools
import os
import pickle
import signal
import threading
import time

import numpy as np
import pytest

from sltrees import NewtonTrainer
from sltrees.callbacks import Callback
from sltrees.cluster.host import ShardHost
from sltrees.cluster.messages import ClusterLostError, LostError, StoppedError
from sltrees.cluster.portions import Portion
from sltrees.reference.row_invariants import check_rows

pytest.importorskip("distributed")

import distributed
from dask_problems import PROBLEM, children, local_cluster, network_of

from sltrees.cluster.dask import calls as dask_calls
from sltrees.cluster.dask import hosts as dask_hosts
from sltrees.cluster.dask.executor import DaskExecutor
from sltrees.cluster.remote_group import RemoteGroup, _Placed
from sltrees.execution.blas import n_holders
from sltrees.methods.certified.trajectory import Trajectory
from sltrees.network.use import fetch

pytestmark = [pytest.mark.dask, pytest.mark.filterwarnings("ignore:.*:ResourceWarning")]

X, Y = PROBLEM


@pytest.fixture(scope="module")
def cluster():
    with local_cluster(n_workers=2) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        yield client


@pytest.fixture
def executor(client):
    with DaskExecutor(client, patience=20.0) as executor:
        yield executor


@pytest.fixture
def no_process_left():
    before = set(children())
    yield
    deadline = time.monotonic() + 10
    while set(children()) - before:
        assert time.monotonic() < deadline, "processes are left behind"
        time.sleep(0.1)


def kill_a_worker(cluster, executor):
    before = set(executor.workers())
    os.kill(next(iter(cluster.workers.values())).process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while set(executor.workers()) == before or len(executor.workers()) < len(before):
        assert time.monotonic() < deadline, "it does not come back"
        time.sleep(0.05)


def ctrl_c_after(seconds):
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    return timer


def test_ctrl_c_while_a_step_is_kept_records_it_once(cluster, executor, monkeypatch):
    keep, calls = Trajectory.keep, []

    def interrupted(self, visited):
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return keep(self, visited)

    monkeypatch.setattr(Trajectory, "keep", interrupted)
    network = network_of()
    result = NewtonTrainer(network, executor=executor, tol=1e-9).fit(X, Y)
    assert result.status == "interrupted"
    outputs = network.predict(X)
    kill_a_worker(cluster, executor)
    assert np.array_equal(network.predict(X), outputs)


@pytest.mark.parametrize("method", ["review", "outputs", "keep", "count_flips"])
def test_after_a_loss_training_goes_on_from_the_last_step(method, executor, monkeypatch):
    network = network_of()
    NewtonTrainer(network, executor=executor, max_iter=1, tol=0.0).fit(X, Y)

    def lost(self, *arguments, **options):
        raise ClusterLostError("as if")

    class Lose(Callback):
        def on_iteration(self, trainer, record):
            patch.setattr(RemoteGroup, method, lost)

    with monkeypatch.context() as patch:
        result = NewtonTrainer(network, executor=executor, tol=0.0, max_iter=5, callbacks=[Lose()]).fit(X, Y)
    assert result.status == "cluster_lost"
    result = NewtonTrainer(network, executor=executor, tol=1e-6).fit(X, Y)
    assert result.status == "converged"
    network.state.method._check(check_rows)
    assert np.sqrt(np.mean((network.predict(X) - Y) ** 2)) == pytest.approx(result.rmse, abs=1e-6)


@pytest.mark.parametrize("samples", [30, 40])
def test_neurons_that_were_trained_here_go_to_the_cluster(samples, executor):
    here, there = network_of(), network_of()
    for network in (here, there):
        NewtonTrainer(network, max_iter=2, tol=0.0).fit(X[:samples], Y[:samples])
    assert NewtonTrainer(there, executor=executor, tol=1e-6).fit(X, Y).status == "converged"
    assert there.state.neurons.cluster is not None
    NewtonTrainer(here, tol=1e-6).fit(X, Y)
    assert np.allclose(here.predict(X), there.predict(X), atol=1e-5)
    trainer = NewtonTrainer(network_of(), max_iter=2, tol=0.0)
    trainer.fit(X[:30], Y[:30])
    trainer.executor = executor
    trainer.extend(X[30:], Y[30:])
    assert trainer.network.state.neurons.cluster is not None


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_whatever_happens_while_it_is_closed_nothing_is_left(error, no_process_left, monkeypatch):
    def fail(network):
        raise error("as if")

    network = network_of()
    executor = DaskExecutor(n_workers=1)
    monkeypatch.setattr("sltrees.cluster.dask.executor.fetch", fail)
    with pytest.warns(RuntimeWarning, match="lost") if error is RuntimeError else pytest.raises(error), executor:
        NewtonTrainer(network, executor=executor, max_iter=1, tol=0.0).fit(X, Y)
    monkeypatch.undo()
    for use in (lambda: network.predict(X), network.fetch, network.digest, lambda: pickle.dumps(network)):
        with pytest.raises(ClusterLostError, match="closed"):
            use()
    fresh = network_of()
    assert NewtonTrainer(fresh, executor=executor, tol=1e-3).fit(X, Y).status == "converged"  # it opens again


@pytest.mark.parametrize("seconds", [0.1, 0.4, 0.8])
def test_ctrl_c_while_it_is_opened_leaves_nothing(seconds, no_process_left):
    timer = ctrl_c_after(seconds)
    with pytest.raises(KeyboardInterrupt), DaskExecutor(n_workers=2):
        time.sleep(5)  # where it is opened sooner
    timer.join()


def test_threads_may_open_one_executor(client):
    executor, statuses = DaskExecutor(client), []

    def fit():
        statuses.append(str(NewtonTrainer(network_of(), executor=executor, tol=1e-3).fit(X, Y).status))

    threads = [threading.Thread(target=fit) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fit()
    assert statuses == ["converged"] * 4


def test_addresses_that_are_none_are_refused():
    for address in ("foo", "tcp://foo", "tcp://foo:bar", ""):
        with pytest.raises(ValueError, match="such as"):
            DaskExecutor(address)


@pytest.mark.parametrize("n_parts", [1, 2, 3, 8, 10])
def test_portions_are_joined_before_they_are_shared_out(n_parts):
    rng = np.random.default_rng(n_parts)
    for size in (1, 8, 32, 500):
        edges = sorted({0, size, *rng.integers(0, size + 1, 5).tolist()})
        portions = [Portion(a, b, size) for a, b in itertools.pairwise(edges)]
        assert Portion.shared_out(portions, n_parts) == Portion(0, size, size).cut(n_parts)
        some = [p for p in portions if rng.random() < 0.5]
        parts = Portion.shared_out(some, n_parts)
        assert [u for p in some for u in range(p.start, p.stop)] == [u for p in parts for u in range(p.start, p.stop)]
        assert len(parts) <= n_parts + len(some)


def test_workers_may_all_be_restarted_again_and_again(client, executor):
    here, there = network_of(), network_of()
    NewtonTrainer(here, max_iter=4, tol=0.0).fit(X, Y)

    class Restart(Callback):
        def on_iteration(self, trainer, record):
            if record.iteration in (1, 2):
                client.restart()

    NewtonTrainer(there, executor=executor, max_iter=4, tol=0.0, callbacks=[Restart()]).fit(X, Y)
    assert len(there.state.neurons._placed) == 2
    assert there.digest() == here.digest()


def test_many_portions_of_one_worker_are_made_again(cluster, executor, monkeypatch):
    built = RemoteGroup.__init__

    def placed_on_one(self, executor, network, placed, *arguments, **options):
        address = min(executor.workers())
        placed = [_Placed(Portion(k, k + 1, 8), address) for k in range(8)]
        built(self, executor, network, placed, *arguments, **options)

    here, there = network_of(), network_of()
    with monkeypatch.context() as patch:
        for network, where in ((here, "threads"), (there, executor)):
            NewtonTrainer(network, executor=where, max_iter=2, tol=0.0).fit(X[:20], Y[:20])
            patch.setattr(RemoteGroup, "__init__", placed_on_one)
            NewtonTrainer(network, executor=where, max_iter=2, tol=0.0).fit(X[20:], Y[20:])
    while min(executor.workers()) == there.state.neurons._placed[0].address:
        kill_a_worker(cluster, executor)
    assert there.digest() == here.digest()


def test_workers_may_share_a_process():
    here, there = network_of(), network_of()
    NewtonTrainer(here, tol=1e-3).fit(X, Y)
    with (
        local_cluster(n_workers=8, processes=False) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        DaskExecutor(client) as executor,
    ):
        assert NewtonTrainer(there, executor=executor, tol=1e-3).fit(X, Y).status == "converged"
        assert len(there.state.neurons._placed) == 8
        assert there.digest() == here.digest()


def test_ctrl_c_is_obeyed_while_a_busy_worker_is_waited_for():
    with (
        local_cluster(n_workers=1) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        DaskExecutor(client) as executor,
    ):
        cluster.scale(2)
        client.wait_for_workers(2)
        tasks = [client.submit(time.sleep, 10, workers=[address], pure=False) for address in executor.workers()]
        time.sleep(0.3)
        timer, began = ctrl_c_after(1.0), time.monotonic()
        result = NewtonTrainer(network_of(), executor=executor).fit(X, Y)
        assert result.status == "interrupted"
        assert time.monotonic() - began < 4
        timer.join()
        del tasks


def test_ctrl_c_does_not_wait_for_a_frozen_worker(cluster, client, monkeypatch):
    monkeypatch.setattr(dask_calls, "_SETTLING_SECONDS", 0.5)
    here, there = network_of(), network_of()
    frozen = []

    class Freeze(Callback):
        def on_iteration(self, trainer, record):
            if record.iteration == 1:
                frozen.append(next(iter(cluster.workers.values())).process.pid)
                os.kill(frozen[0], signal.SIGSTOP)
                self.timer, self.began = ctrl_c_after(0.5), time.monotonic()

    freeze = Freeze()
    with DaskExecutor(client) as executor:
        try:
            result = NewtonTrainer(there, executor=executor, tol=0.0, callbacks=[freeze]).fit(X, Y)
            assert result.status == "interrupted"
            assert time.monotonic() - freeze.began < 10
            NewtonTrainer(here, max_iter=result.n_iter, tol=0.0).fit(X, Y)
            assert there.digest() == here.digest()  # made again on the other
        finally:
            os.kill(frozen[0], signal.SIGCONT)
        freeze.timer.join()


def test_only_the_call_that_is_meant_is_stopped():
    host = ShardHost(1)
    host._executor.stop(5)
    for call in (4, 0, 6):
        host._executor.begin(call)
        assert host._executor.map(abs, [-1]) == [1]
    host._executor.begin(5)
    with pytest.raises(StoppedError):
        host._executor.map(abs, [-1])


def test_blas_has_its_threads_again_where_workers_go_on():
    before = n_holders()  # of this process, where the worker is, too
    with (
        local_cluster(n_workers=1, processes=False) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        for _ in range(2):
            with DaskExecutor(client) as executor:
                NewtonTrainer(network_of(), executor=executor, max_iter=1, tol=0.0).fit(X, Y)
                assert n_holders() > 0
        deadline = time.monotonic() + 10
        while n_holders() > before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert n_holders() <= before


def test_a_network_that_was_trained_here_is_as_it_was_after_a_loss(executor, monkeypatch):
    here, there = network_of(), network_of()
    for network in (here, there):
        NewtonTrainer(network, max_iter=2, tol=0.0).fit(X[:30], Y[:30])

    def lost(self, *arguments, **options):
        raise ClusterLostError("as if")

    with monkeypatch.context() as patch:
        patch.setattr(RemoteGroup, "review", lost)
        assert NewtonTrainer(there, executor=executor).fit(X, Y).status == "cluster_lost"
    assert there.digest() == here.digest()
    for network in (here, there):
        NewtonTrainer(network, tol=1e-6).fit(X[:30], Y[:30])
    assert there.digest() == here.digest()
    assert np.sqrt(np.mean((there.predict(X[:30]) - Y[:30]) ** 2)) < 1e-5


def test_a_step_that_only_some_have_kept_is_kept_by_all(executor, monkeypatch):
    here, there = network_of(), network_of()
    NewtonTrainer(here, max_iter=2, tol=0.0).fit(X, Y)
    NewtonTrainer(there, executor=executor, max_iter=1, tol=0.0).fit(X, Y)
    ask = RemoteGroup._ask

    def some(self, what, *arguments, **options):
        if what != "keep":
            return ask(self, what, *arguments, **options)
        everything, self._placed = self._placed, self._placed[:1]
        ask(self, what, *arguments, **options)
        self._placed = everything
        raise ClusterLostError("as if")

    with monkeypatch.context() as patch:
        patch.setattr(RemoteGroup, "_ask", some)
        result = NewtonTrainer(there, executor=executor, max_iter=1, tol=0.0).fit(X, Y)
    assert result.status == "cluster_lost"
    there.fetch()
    assert np.allclose(there.predict(X), here.predict(X), atol=1e-6)


@pytest.mark.parametrize("what", ["interrupted", "lost again"])
def test_portions_whose_making_again_was_cut_off_are_made_later(what, cluster, executor, monkeypatch):
    here, there = network_of(), network_of()
    for network, where in ((here, "threads"), (there, executor)):
        NewtonTrainer(network, executor=where, max_iter=2, tol=0.0).fit(X, Y)
    kill_a_worker(cluster, executor)
    call = DaskExecutor.call

    def cut_off(self, requests, **options):
        if requests[0].method != "make":
            return call(self, requests, **options)
        patch.undo()
        if what == "interrupted":
            raise KeyboardInterrupt
        return [LostError("as if") for _ in requests]

    with monkeypatch.context() as patch:
        patch.setattr(DaskExecutor, "call", cut_off)
        if what == "interrupted":
            with pytest.raises(KeyboardInterrupt):
                there.predict(X)
    assert len(there.neurons_) == len(here.neurons_)
    assert there.digest() == here.digest()
    assert there.fetch().digest() == here.digest()


def test_ctrl_c_while_its_cluster_is_stopped_loses_nothing(monkeypatch):
    def slow(network):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
        fetch(network)

    network = network_of()
    NewtonTrainer(network, max_iter=1, tol=0.0).fit(X, Y)
    monkeypatch.setattr("sltrees.cluster.dask.executor.fetch", slow)
    result = NewtonTrainer(network, executor="dask", max_iter=1, tol=0.0).fit(X, Y)
    assert result.status == "interrupted"
    assert network.state.neurons.cluster is None
    assert network.predict(X).shape == Y.shape


def test_ctrl_c_while_its_cluster_is_started_ends_as_interrupted(no_process_left):
    timer, network = ctrl_c_after(0.3), network_of()
    assert NewtonTrainer(network, executor="dask", max_iter=1, tol=0.0).fit(X, Y).status == "interrupted"
    timer.join()
    assert network.shift_ is None


def test_estimators_raise_where_their_cluster_is_lost(executor, monkeypatch):
    pytest.importorskip("sklearn")
    from sltrees.estimators import NewtonRegressor

    def lost(self, *arguments, **options):
        raise ClusterLostError("as if")

    monkeypatch.setattr(RemoteGroup, "review", lost)
    with pytest.raises(ClusterLostError, match="as if"):
        NewtonRegressor(model="network", width=2**14, random_state=0, executor=executor).fit(X, Y)


def test_a_client_that_is_closed_is_a_lost_cluster(cluster):
    client = distributed.Client(cluster, set_as_default=False)
    network = network_of()
    executor = DaskExecutor(client).__enter__()
    NewtonTrainer(network, executor=executor, max_iter=1, tol=0.0).fit(X, Y)
    client.close()
    with pytest.raises(ClusterLostError):
        network.predict(X)
    assert NewtonTrainer(network_of(), executor=executor).fit(X, Y).status == "cluster_lost"
    with pytest.warns(RuntimeWarning, match="lost"):
        executor.__exit__(None, None, None)


def test_workers_without_the_package_are_refused(client, monkeypatch):
    monkeypatch.setattr(dask_hosts, "_HAS_PACKAGE", "False")
    with pytest.raises(RuntimeError, match="has no package sltrees"), DaskExecutor(client):
        pass
