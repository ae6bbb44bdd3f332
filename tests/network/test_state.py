"""The state of a network is a value: what changes it is one statement, and who reads it has that of one moment."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from problems import random_problem, unit_rows

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.execution.inline import InlineExecutor
from sltrees.network import drawing, use
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.neurons import LocalNeurons
from sltrees.network.state import NetworkState, from_pickle, with_state

X, Y = random_problem(0, 40, 5)
NEW = unit_rows(np.random.default_rng(1), 30, 5)


def network_of(**options):
    return ShiftedReLUNetwork(20_000, **{"shift": 2.0, "random_state": 0} | options)


def trained(**options):
    network = network_of(**options)
    NewtonTrainer(network, max_iter=2, tol=0.0).fit(X, Y)
    return network


def test_a_state_is_not_written_to():
    with pytest.raises(dataclasses.FrozenInstanceError):
        network_of().state.shift = 1.0
    state = NetworkState()
    assert not state.is_drawn
    changed = state.changed(shift=1.0)
    assert changed.is_drawn
    assert state.shift is None
    assert changed.scales is state.scales


@pytest.mark.parametrize(
    "change",
    [
        lambda network: network.initialize(NEW),
        lambda network: network.compact(),
        lambda network: NewtonTrainer(network, max_iter=2, tol=0.0).fit(NEW, np.ones(len(NEW))),
        lambda network: NewtonTrainer(network, max_iter=2, tol=0.0, alpha=0.1).fit(X, Y),
        lambda network: NewtonTrainer(network, max_iter=2, tol=0.0, method="dense").fit(X, -Y),
    ],
    ids=["drawn", "compacted", "other samples", "a ridge", "another method"],
)
def test_a_state_that_was_read_stays_what_it_was(change):
    network = trained()
    state, digest, outputs = network.state, network.digest(), network.predict(NEW)
    use.write_down(network)  # rows go on to move
    before = network.state
    change(network)
    assert network.state is not before
    for old in (before, state):
        same = with_state(network, old)
        assert same.digest() == digest
        assert np.array_equal(same.predict(NEW), outputs)


def test_networks_of_other_states_share_what_is_decided_by_parameters():
    network = trained()
    other = with_state(network, NetworkState())
    assert other.streams is network.streams
    assert other.initialize(X).neurons_.size == network.neurons_.size
    assert network.displacement_.any()
    network.in_training = True
    assert not with_state(network, network.state).in_training


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_copies_are_networks_that_nobody_trains(make):
    network = trained()
    network.in_training = True
    other = make(network)
    assert network.state.method is not None
    assert (other.state.method, other.state.near, other.in_training) == (None, None, False)
    assert other.digest() == network.digest()
    assert not any(
        a.initial is b.initial for a, b in zip(network.state.neurons.shards, other.state.neurons.shards, strict=True)
    )
    assert NewtonTrainer(other, max_iter=1).fit(X, Y).n_iter == 1


@pytest.mark.parametrize("drawn", [False, True])
def test_pickles_whose_state_was_no_object_are_understood(drawn):
    network = network_of(sampling="dense")
    if drawn:
        NewtonTrainer(network, max_iter=2, tol=0.0, method="trees").fit(X, Y)
    state = network.state
    attributes = {name: getattr(network, name) for name in ("width", "shift", "init", "sampling", "dtype")}
    attributes |= {"_streams": network.streams, "_copies": network.copies, "_in_training": False, "_method": None}
    attributes |= {"_near": None, "shift_": state.shift, "_sampling": state.sampling, "_seen": state.seen}
    attributes |= {"_fingerprint": state.fingerprint, "_scales": state.scales, "_compacted": state.compacted}
    attributes["_shards"] = list(state.neurons.shards)
    if drawn:
        attributes["n_features_in_"] = state.n_features
    other = object.__new__(ShiftedReLUNetwork)
    other.__setstate__(attributes)
    assert vars(other).keys() == vars(network).keys()
    found, expected = dict(vars(other.state)), vars(state)
    assert found.pop("neurons").shards == expected["neurons"].shards
    assert found == {name: value for name, value in expected.items() if name != "neurons"}
    assert from_pickle(vars(network)) == vars(network)
    if drawn:
        assert other.digest() == network.digest()
    assert NewtonTrainer(other, max_iter=1).fit(X, Y).n_iter == 1


# ---------------------------------------------------------------------- who may do what


def test_one_at_a_time_may_draw_or_train():
    network = network_of()
    use.claim(network, "somebody")
    for call in (
        lambda: use.claim(network, "other"),
        lambda: network.initialize(X),
        lambda: NewtonTrainer(network).fit(X, Y),
    ):
        with pytest.raises(RuntimeError, match="is being trained"):
            call()
    assert network.in_training == "somebody"
    network.in_training = False
    network.initialize(X)
    with pytest.raises(RuntimeError, match="was compacted"):
        use.claim(network.compact(), "somebody")
    assert not network.in_training


def test_who_reads_has_the_state_of_the_method_that_stands(monkeypatch):
    network = trained()
    state, later = network.state, network_of().initialize(NEW).state
    original = type(state.method).standing

    def standing(method):
        network.state = later  # meanwhile
        return original(method)

    monkeypatch.setattr(type(state.method), "standing", standing)
    with use.standing(network) as read:
        assert read is state
    with use.standing(network) as read:
        assert read is later


def test_frozen_neurons_stay_and_can_be_gone_back_to():
    network = trained()
    with InlineExecutor() as executor:
        neurons = use.frozen(network, executor)
    digest = network.digest()
    NewtonTrainer(network, max_iter=2, tol=0.0).fit(X, -Y)
    assert network.digest() != digest
    use.restore(network, neurons)
    assert network.digest() == digest
    assert network.state.neurons is neurons
    assert network.state.method is None


# ---------------------------------------------------------------------- portions


class Every:
    """A portion: each third task."""

    def __init__(self, k):
        self.k = k

    def numbers(self, sampling, tasks):
        return range(self.k, len(tasks), 3)


@pytest.mark.parametrize("options", [{}, {"init": "gaussian"}, {"sampling": "rejection"}], ids=str)
def test_portions_are_together_what_is_drawn_at_once(options, monkeypatch):
    monkeypatch.setattr("sltrees.network.sampling_dense.BLOCKS_PER_TASK", 1)
    monkeypatch.setattr("sltrees.network.sampling_rejection._PROPOSALS_PER_TASK", 500)
    network = ShiftedReLUNetwork(60_000, shift=2.0, random_state=0, **options)
    portions = [with_state(network, NetworkState()) for _ in range(3)]
    with InlineExecutor() as executor:
        for samples in (X, NEW):  # the second time they are drawn for further samples
            planes = Hyperplanes(samples.astype(np.float32), 2.0)
            first = len(network.state.neurons.shards)
            whole = drawing.draw(network, planes, 0.5, executor)
            parts = [
                drawing.draw(part, planes, 0.5, executor, portion=Every(k), first=first)
                for k, part in enumerate(portions)
            ]
            network.state = whole.state
            for part, found in zip(portions, parts, strict=True):
                part.state = found.state
                assert (found.state.fingerprint, found.state.shift) == (whole.state.fingerprint, whole.state.shift)
            numbered = {
                number: (shard, near)
                for found in parts
                for number, shard, near in zip(
                    found.state.neurons.numbers, found.state.neurons.shards, found.near, strict=True
                )
            }
            assert sorted(numbered) == list(range(len(whole.state.neurons.shards)))
            assert len(numbered) > first + 3
            for number, (shard, near) in numbered.items():
                expected = whole.state.neurons.shards[number]
                assert np.array_equal(shard.draws, expected.draws)
                assert np.array_equal(shard.initial, expected.initial)
                assert (near is None) == (whole.near[number] is None)
    sums = [part.state.neurons.displacement_squares(executor).keys() for part in portions]
    assert sum(map(len, sums)) >= 3


def test_neurons_are_numbered_and_replaced_one_shard_at_a_time():
    neurons = network_of(sampling="dense").initialize(X).state.neurons
    portion = LocalNeurons(neurons.shards[:1], [7])
    assert portion.with_written_down(0).numbers == [7]
    assert portion.displaced().written_down().numbers == [7]
    both = portion.and_those_of(neurons.shards[1:], range(9, 8 + len(neurons.shards)))
    assert next(iter(both.numbers)) == 7
    assert both.n_neurons == neurons.n_neurons
    assert both.nbytes == neurons.nbytes
    assert both.displaced().nbytes > both.nbytes
