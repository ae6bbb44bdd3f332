"""Neurons on other hosts, by any cluster: the same bits as here, also where hosts are lost."""

import numpy as np
import pytest
from in_process_cluster import InProcessCluster
from problems import random_problem

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback
from sltrees.cluster.messages import ClusterLostError, LostError
from sltrees.cluster.remote_group import MOST_LOSSES
from sltrees.network.hyperplanes import Hyperplanes

X, Y = random_problem(0, 40, 6)


def network_of(**options):
    options = {"sampling": "dense", "width": 2**18} | options  # 8 units
    return ShiftedReLUNetwork(random_state=0, **options)


@pytest.fixture
def cluster():
    with InProcessCluster(3) as cluster:
        yield cluster


class Before(Callback):
    """Do something before iteration 2."""

    def __init__(self, action):
        self.action = action

    def on_iteration(self, trainer, record):
        if record.iteration == 1:
            self.action()


def trained(executor, *, callbacks=(), **options):
    """A network after a few steps, and the result."""
    of_network = {name: options.pop(name) for name in ("sampling", "width", "init") if name in options}
    network = network_of(**of_network)
    options = {"max_iter": 4, "tol": 1e-9, "n_threads": 2} | options
    return network, NewtonTrainer(network, executor=executor, callbacks=callbacks, **options).fit(X, Y)


def assert_same(here, there):
    assert there.digest() == here.digest()
    unseen = random_problem(1, 70, X.shape[1])[0]
    assert np.array_equal(there.predict(unseen), here.predict(unseen))
    assert np.array_equal(there.neurons_, here.neurons_)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 1e-3},
        {"alpha": "loo"},
        {"max_gram": 0},
        {"max_gram": 0, "forcing": 0.1, "alpha": 1e-3},
        {"init": "gaussian", "alpha": 1e-3},
        {"sampling": "rejection", "width": 2**21},
    ],
    ids=str,
)
def test_trained_there_a_network_is_as_trained_by_threads(options, cluster):
    here, _ = trained("threads", **options)
    there, result = trained(cluster, **options)
    assert result.n_iter == 4
    assert len(cluster.holders()) >= 2  # with one it would show little
    assert_same(here, there)
    cluster.__exit__()
    try:
        assert_same(here, there)  # it came home
    finally:
        cluster.__enter__()


@pytest.mark.parametrize("loss", ["restart", "leave"])
@pytest.mark.parametrize("alpha", [0.0, 1e-3])
def test_what_a_lost_host_held_is_made_again(loss, alpha, cluster):
    here, _ = trained("threads", alpha=alpha)
    made = []

    def lose():
        made.extend(request for request in cluster.asked if request.method == "make")
        getattr(cluster, loss)("host-1")

    there, result = trained(cluster, alpha=alpha, callbacks=[Before(lose)])
    assert result.n_iter == 4
    again = [request for request in cluster.asked if request.method == "make"][len(made) :]
    assert again
    assert {request.address for request in again} <= set(cluster.hosts)
    assert_same(here, there)


def test_all_hosts_may_be_lost_while_nobody_trains(cluster):
    networks = []
    for where in ("threads", cluster):
        network = network_of()
        trainer = NewtonTrainer(network, executor=where, max_iter=3, tol=0.0)
        trainer.fit(X[:30], Y[:30])
        for address in cluster.hosts:
            cluster.restart(address)
        trainer.extend(X[30:], Y[30:])
        cluster.leave(min(cluster.hosts))
        networks.append(network)
    assert_same(*networks)


def test_hosts_forget_what_nobody_can_ask_any_more(cluster):
    network, _ = trained(cluster)
    assert cluster.holders()
    network.fetch()
    assert not cluster.holders()


def test_without_workers_a_run_ends_with_a_status(cluster):
    def leave_all():
        for address in list(cluster.hosts):
            cluster.leave(address)

    network, result = trained(cluster, callbacks=[Before(leave_all)])
    assert result.status == "cluster_lost"
    assert "nobody is left" in result.message
    assert network.shift_ is None  # as it was


def test_hosts_that_are_lost_again_and_again_end_a_run(cluster, monkeypatch):
    answer, losses = InProcessCluster._answer, []

    def lost(self, number, request, progress):
        if request.method == "run" and request.arguments[1] == "outputs":
            losses.append(request)
            return LostError(f"{request.address} has no room")
        return answer(self, number, request, progress)

    monkeypatch.setattr(InProcessCluster, "_answer", lost)
    _, result = trained(cluster)
    assert result.status == "cluster_lost"
    assert "has no room" in result.message
    assert len(losses) == 3 * (MOST_LOSSES + 1)


def test_a_group_of_a_closed_cluster_is_lost():
    planes, stages = Hyperplanes(X.astype(np.float32), shift=2.0), []  # in the dtype of the network

    def progress(stage):
        return lambda done, total: stages.append(stage)

    with InProcessCluster(2) as cluster:
        group, _ = cluster.place(None, network_of(shift=2.0), planes, 0.5, False, progress)
        assert group.n_neurons == len(network_of(shift=2.0).initialize(X).neurons_)
        assert stages[-1] == 1  # all blocks are done
        assert group.output_nodes(None, planes.X, None) == {}  # no neuron has moved
        assert 0 < 2 * group.firing_draws(planes).sum() == group.n_fired
    with pytest.raises(ClusterLostError, match="closed"):
        group.output_nodes(None, planes.X, None)
