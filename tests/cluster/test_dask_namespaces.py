"""Executor "dask" where each worker has a network namespace: packets cross a network that can be cut.

What takes long here is that nobody is told when a machine vanishes: it is known once its silence has lasted for the
timeout of TCP, 11 seconds at least with Dask.
"""

import random
import sys
import threading
import time
from pathlib import Path

import pytest
from network_namespaces import NamespacedCluster, why_unavailable
from problems import random_problem

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback, Checkpoint

pytest.importorskip("distributed")

from sltrees.cluster.dask.executor import DaskExecutor

pytestmark = [
    pytest.mark.dask,
    pytest.mark.skipif(why_unavailable() is not None, reason=str(why_unavailable())),
]

WIDTH = 2**17  # four units of neurons, which portions share out
BOUND = 60.0  # seconds in which a run has to end, whatever vanishes


@pytest.fixture(scope="module")
def problem():
    """Samples and targets."""
    return random_problem(0, 60, 8)


@pytest.fixture(scope="module")
def undisturbed(problem):
    """The digest of the network, and the result, as executor "threads" trains it."""
    trainer = make_trainer("threads")
    result = trainer.fit(*problem)
    assert result.n_iter > 3  # something is left to be done after what is cut off
    return trainer.network.digest(), result


def make_trainer(executor, callbacks=()):
    network = ShiftedReLUNetwork(WIDTH, sampling="dense", random_state=0)
    return NewtonTrainer(network, alpha=1e-3, tol=1e-9, max_iter=8, executor=executor, callbacks=callbacks)


class After(Callback):
    """Do something after an iteration, once."""

    def __init__(self, iteration, action):
        self.iteration, self.action = iteration, action

    def on_iteration(self, trainer, record):
        if record.iteration == self.iteration:
            self.action()


def fit_watched(cluster, problem, path, *, direct, callbacks=(), patience=5.0):
    """(result, digest or None, seconds) of a run on the cluster; it ends in time, and its checkpoint is at `path`."""
    with cluster.client(direct_to_workers=direct) as client:
        trainer = make_trainer(DaskExecutor(client, patience=patience), [Checkpoint(path), *callbacks])
        began = time.monotonic()
        result = trainer.fit(*problem)
        seconds = time.monotonic() - began
    print(f"{result.status} after {result.n_iter} iterations and {seconds:.1f} s: {result.message}")
    assert seconds < BOUND
    return result, None if result.status == "cluster_lost" else trainer.network.digest(), seconds


def assert_ends_alike(result, digest, undisturbed, problem, path):
    """The run ended as the undisturbed one, or goes on so from its checkpoint."""
    if result.status == "cluster_lost":
        resumed = NewtonTrainer.from_checkpoint(path, executor="threads")
        result = resumed.fit(*problem)
        digest = resumed.network.digest()
    assert result.status == undisturbed[1].status
    assert result.n_iter == undisturbed[1].n_iter
    assert digest == undisturbed[0]


def test_across_a_network_results_are_those_of_threads(problem, undisturbed, tmp_path):
    with NamespacedCluster(3) as cluster:
        for direct in (True, False):
            before = [cluster.wire_bytes(k) for k in range(3)]
            result, digest, _ = fit_watched(cluster, problem, tmp_path / "run.npz", direct=direct)
            assert result.status != "cluster_lost"
            assert_ends_alike(result, digest, undisturbed, problem, tmp_path / "run.npz")
            # each worker has got samples, and has answered
            for k, (received, sent) in enumerate(before):
                assert cluster.wire_bytes(k)[0] - received > problem[0].nbytes
                assert cluster.wire_bytes(k)[1] - sent > 8 * len(problem[1]) * result.n_iter


@pytest.mark.parametrize(
    "direct", [pytest.param(True, id="direct"), pytest.param(False, id="by scheduler", marks=pytest.mark.slow)]
)
def test_worker_that_vanishes_costs_time_alone(problem, undisturbed, tmp_path, direct):
    path = tmp_path / "run.npz"
    with NamespacedCluster(3) as cluster:
        cut = After(1, lambda: cluster.cut_off(1))
        result, digest, _ = fit_watched(cluster, problem, path, direct=direct, callbacks=[cut])
    assert_ends_alike(result, digest, undisturbed, problem, path)


@pytest.mark.slow
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "by scheduler"])
def test_worker_that_vanishes_whenever_costs_time_alone(problem, undisturbed, tmp_path, seed, direct):
    path = tmp_path / "run.npz"
    chance = random.Random(seed)
    with NamespacedCluster(3) as cluster:
        delay, k = chance.uniform(0.0, 0.3), chance.randrange(3)
        print(f"worker {k} vanishes after {delay:.3f} s")
        cutting = threading.Timer(delay, cluster.cut_off, [k])
        try:
            result, digest, _ = fit_watched(cluster, problem, path, direct=direct, callbacks=[StartOf(cutting)])
        finally:
            cutting.cancel()
            if cutting.ident is not None:
                cutting.join()
    assert_ends_alike(result, digest, undisturbed, problem, path)


class StartOf(Callback):
    """Start a timer when set-up begins to be told of, or training begins."""

    def __init__(self, timer):
        self.timer = timer

    def on_setup(self, trainer, done, total):
        self._start()

    def on_start(self, trainer):
        self._start()

    def _start(self):
        if self.timer.ident is None:
            self.timer.start()


@pytest.mark.slow
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "by scheduler"])
def test_all_workers_vanish(problem, undisturbed, tmp_path, direct):
    path = tmp_path / "run.npz"
    with NamespacedCluster(3) as cluster:
        cut = After(1, lambda: [cluster.cut_off(k) for k in range(3)])
        result, digest, _ = fit_watched(cluster, problem, path, direct=direct, callbacks=[cut])
        assert result.status == "cluster_lost"
    assert_ends_alike(result, digest, undisturbed, problem, path)


@pytest.mark.slow
def test_worker_that_comes_back(problem, undisturbed, tmp_path):
    path = tmp_path / "run.npz"
    with NamespacedCluster(3) as cluster:
        back = threading.Timer(2.0, cluster.reconnect, [1])

        def cut():
            cluster.cut_off(1)
            back.start()

        result, digest, seconds = fit_watched(cluster, problem, path, direct=True, callbacks=[After(1, cut)])
        back.join()
    assert result.status != "cluster_lost"
    assert seconds < 11.0  # what was sent meanwhile is sent again
    assert_ends_alike(result, digest, undisturbed, problem, path)


@pytest.mark.slow
def test_worker_that_is_killed_is_missed_at_once(problem, undisturbed, tmp_path):
    path = tmp_path / "run.npz"
    with NamespacedCluster(3) as cluster:
        result, digest, seconds = fit_watched(
            cluster, problem, path, direct=True, callbacks=[After(1, lambda: cluster.kill(1))]
        )
    assert result.status != "cluster_lost"
    assert seconds < 11.0  # its machine says so
    assert_ends_alike(result, digest, undisturbed, problem, path)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="direct"),
        pytest.param(["--samples", "60", "500", "--by-scheduler"], id="by scheduler", marks=pytest.mark.slow),
    ],
)
def test_bytes_on_the_wire_are_those_of_the_model(options, capsys):
    with pytest.MonkeyPatch.context() as patch:
        # workers have to find it, too; behind the package that is installed
        patch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[2])])
        from asv_benchmarks.cluster import traffic

        status = traffic.main(["--samples", "500", "--alpha", "1e-3", *options])
    assert status == 0, capsys.readouterr().out


def test_nothing_is_left_behind():
    cluster = NamespacedCluster(2)

    def fail():
        with cluster:
            assert len(cluster.processes()) >= 3  # and for a moment what these call
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert cluster.processes() == []
