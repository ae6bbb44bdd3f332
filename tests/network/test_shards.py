"""What a network keeps of its neurons: written down, implied by rows, compacted; and predictions from all of these."""

import copy
import gc
import pickle
import re
import threading
import tracemalloc
import weakref

import numpy as np
import pytest
from problems import random_problem, unit_rows

from sltrees import NewtonTrainer, ShiftedReLUNetwork, reference
from sltrees.callbacks import Callback
from sltrees.methods.certified.shard import CertifiedShard
from sltrees.network import prediction
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.memory import neurons_expected
from sltrees.network.shards import ImpliedDisplacement, NeuronShard

CASES = [("paired", "dense"), ("paired", "rejection"), ("gaussian", "dense")]


def trained(init="paired", sampling="dense", dtype="float32", n=60, width=40_000, seed=0, **options):
    X, y = random_problem(seed, n, 6)
    network = ShiftedReLUNetwork(width, shift=2.0, init=init, sampling=sampling, dtype=dtype, random_state=seed)
    result = NewtonTrainer(network, **{"max_iter": 4} | options).fit(X, y)
    return X, y, network, result


def is_implied(network):
    return all(isinstance(shard.displacement, ImpliedDisplacement) for shard in network.state.neurons.shards)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("init", "sampling"), CASES)
def test_written_down_implied_and_compacted_networks_are_the_same(init, sampling, dtype):
    _, _, network, _ = trained(init, sampling, dtype)
    # so that some pairs have not moved
    network.initialize(unit_rows(np.random.default_rng(1), 20, 6))
    assert any(shard.displacement is None for shard in network.state.neurons.shards)
    unseen = unit_rows(np.random.default_rng(2), 700, 6)
    outputs, digest, weights = network.predict(unseen), network.digest(), network.materialised_weights()
    for other in (copy.copy(network), copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert not any(isinstance(shard.displacement, ImpliedDisplacement) for shard in other.state.neurons.shards)
        assert other.digest() == digest
        assert np.array_equal(other.predict(unseen), outputs)
        assert np.array_equal(other.materialised_weights(), weights)
        assert np.array_equal(other.compact().predict(unseen), outputs)
    before = network.neurons_
    moved = network.displacement_.any(axis=1)
    assert network.compact() is network
    assert np.array_equal(network.predict(unseen), outputs)
    assert np.isin(before[moved], network.neurons_).all()
    if init == "paired":
        pairs = moved.reshape(-1, 2).any(axis=1)
        assert np.array_equal(network.neurons_, before[np.repeat(pairs, 2)])
        assert network.neurons_.size < before.size
    assert np.array_equal(network.compact().predict(unseen), outputs)
    assert np.array_equal(pickle.loads(pickle.dumps(network)).predict(unseen), outputs)


@pytest.mark.parametrize("method", ["certified", "trees"])
def test_a_compacted_network_refuses_to_be_trained(method):
    X, y, network, _ = trained(method=method)
    digest = copy.copy(network).compact().digest()
    network.compact()
    trainer = NewtonTrainer(network, method=method)
    for call in (lambda: trainer.fit(X, y), lambda: network.initialize(X), lambda: network.initialize(X[:3])):
        with pytest.raises(
            RuntimeError, match="the network was compacted: it can predict, but not be drawn or trained"
        ):
            call()
    assert network.digest() == digest
    assert "materialised" in repr(network)


def test_what_a_compacted_network_knows_of_all_neurons():
    _, _, network, _ = trained(width=4000)
    W = network.dense_weights()[0]
    assert np.array_equal(network.compact().dense_weights()[0], W)
    _, _, network, _ = trained(sampling="rejection", width=4000)
    with pytest.raises(RuntimeError, match="compacted"):
        network.compact().dense_weights()


@pytest.mark.parametrize("use", ["undrawn", "in training"])
def test_compact_is_refused_where_there_is_nothing_or_training_goes_on(use):
    if use == "undrawn":
        with pytest.raises(RuntimeError, match=re.escape("call initialize(X)")):
            ShiftedReLUNetwork(100).compact()
        return
    _, _, network, _ = trained()
    network.in_training = True
    with pytest.raises(RuntimeError, match="being trained"):
        network.compact()


def test_compacting_gives_memory_back():
    X, y = random_problem(0, 100, 30)
    tracemalloc.start()
    network = ShiftedReLUNetwork(200_000, shift=3.0, random_state=0)
    NewtonTrainer(network, max_iter=3).fit(X, y)
    before = tracemalloc.get_traced_memory()[0]
    initial = sum(shard.initial.nbytes for shard in network.state.neurons.shards)
    network.compact()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after < 0.6 * before
    # initial weights, a number for each draw, a line for each row, and active lists
    assert after < initial + 3.0 * 64 * network.neurons_.size


@pytest.mark.parametrize(("init", "sampling"), CASES)
@pytest.mark.parametrize("alpha", [0.0, 1e-2])
def test_a_run_on_the_same_samples_goes_on_with_the_rows_of_the_last(init, sampling, alpha):
    X, y, network, first = trained(init, sampling, "float64", alpha=alpha, max_iter=2, tol=1e-9)
    rows = [shard.displacement.rows for shard in network.state.neurons.shards]
    written = copy.copy(network)
    second = NewtonTrainer(network, alpha=alpha, max_iter=3, tol=1e-9).fit(X, y)
    assert all(shard.displacement.rows is of for shard, of in zip(network.state.neurons.shards, rows, strict=True))
    anew = NewtonTrainer(written, alpha=alpha, max_iter=3, tol=1e-9).fit(X, y)
    assert second.history[0].loss == pytest.approx(first.loss, rel=1e-12)
    for record, other in zip(second.history, anew.history, strict=True):
        assert record.loss == pytest.approx(other.loss, rel=1e-6, abs=1e-14)
    assert np.allclose(network.displacement_, written.displacement_, rtol=0, atol=1e-8)
    # an uncut run
    _, _, uncut, _ = trained(init, sampling, "float64", alpha=alpha, max_iter=5, tol=1e-9)
    assert np.allclose(network.displacement_, uncut.displacement_, rtol=0, atol=1e-6)


def test_other_samples_targets_ridges_and_methods_find_the_network_as_it_is():
    X, y, network, _ = trained(dtype="float64")
    rng = np.random.default_rng(5)
    for options, samples, targets in (
        ({}, X, -y),
        ({"alpha": 1e-2}, X, y),
        ({}, X[:30], y[:30]),
        ({"method": "trees"}, X, y),
        ({}, X, y),
        ({"alpha": 1e-3}, unit_rows(rng, 40, 6), rng.standard_normal(40)),
        ({"alpha": 1e-3}, X, y),
    ):
        network.initialize(samples)
        start = network.predict(samples)
        result = NewtonTrainer(network, max_iter=2, tol=1e-12, **options).fit(samples, targets)
        assert result.history[0].rmse == pytest.approx(np.sqrt(np.mean((start - targets) ** 2)), rel=1e-9)
        end = reference.network_outputs(*network.dense_weights(), network.shift_, samples)
        assert result.rmse == pytest.approx(np.sqrt(np.mean((end - targets) ** 2)), rel=1e-8)


def test_initialising_for_other_samples_leaves_the_rows_their_displacements():
    X, _, network, _ = trained()
    outputs = network.predict(X)
    network.initialize(unit_rows(np.random.default_rng(1), 20, 6))
    assert isinstance(network.state.neurons.shards[0].displacement, ImpliedDisplacement)
    assert np.array_equal(network.predict(X), outputs)


@pytest.mark.parametrize("init", ["paired", "gaussian"])
def test_predictions_are_made_in_bounded_memory(init, monkeypatch):
    _, _, network, _ = trained(init)
    n_parts = network.neurons_.size / prediction.NEURONS_PER_PART if init == "paired" else 40_000 / 8192
    assert n_parts > 2
    unseen = unit_rows(np.random.default_rng(2), 20_000, 6).astype(np.float32)
    expected = network.predict(unseen, n_threads=2)
    monkeypatch.setattr(prediction, "NUMBERS_OF_PARTS", 1)
    tracemalloc.start()
    outputs = network.predict(unseen, n_threads=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(outputs, expected)
    # outputs of a part for each thread and their sum, the samples; weights and products of a part for each thread
    scratch = 2 * 8192 * (3 * 6 * 4 + 8 + 5 * prediction.SAMPLES_PER_BLOCK * 4)
    assert peak < 6 * 8 * len(unseen) + 2 * unseen.nbytes + scratch


@pytest.mark.parametrize("sampling", ["dense", "rejection"])
@pytest.mark.parametrize("spread", [0.05, 1.0])
def test_memory_and_neurons_are_estimated_beforehand_also_where_samples_are_alike(seed, sampling, spread):
    rng = np.random.default_rng(seed)
    X = np.eye(20)[0] + spread * rng.standard_normal((150, 20))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    y = rng.standard_normal(150)
    network = ShiftedReLUNetwork(300_000, shift=2.5, sampling=sampling, random_state=seed)
    planes = Hyperplanes(X.astype(np.float32), 2.5)
    expected = neurons_expected(network, planes)
    trainer = NewtonTrainer(network, max_iter=3, n_threads=2, max_memory=1.0)
    with pytest.raises(MemoryError) as caught:
        trainer.fit(X, y)
    needed = int(re.search(r"needs ([\d,]+) bytes", str(caught.value))[1].replace(",", ""))
    trainer.max_memory = needed + 1
    tracemalloc.start()
    trainer.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    assert network.neurons_.size <= expected <= 1.5 * network.neurons_.size
    assert peak <= needed <= 5 * peak
    # samples that join: the old rows stay until the new ones are there
    trainer.max_memory = 1.0
    further = X[:10] + 0.1 * rng.standard_normal((10, 20))
    digest = network.digest()
    with pytest.raises(MemoryError) as caught:
        trainer.extend(further, y[:10])
    assert network.digest() == digest
    assert trainer.n_samples_ == 150
    needed = int(re.search(r"needs ([\d,]+) bytes", str(caught.value))[1].replace(",", ""))
    trainer.max_memory = needed + 1
    tracemalloc.reset_peak()
    trainer.extend(further, y[:10])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= needed <= 5 * peak


# ---------------------------------------------------------------------- what goes wrong, and who else is about


@pytest.mark.parametrize("options", [{"alpha": 1e-2}, {"method": "trees"}])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_writing_down_cut_short_leaves_a_network_to_go_on_with(options, error, monkeypatch):
    monkeypatch.setattr("sltrees.network.sampling_dense.BLOCKS_PER_TASK", 1)
    X, y, network, _ = trained(dtype="float64", max_iter=8, tol=1e-9)
    assert len(network.state.neurons.shards) > 3
    outputs, original, calls = network.predict(X), NeuronShard.written_down, []

    def cut_short(shard):
        calls.append(shard)
        if len(calls) == 3:
            raise error
        return original(shard)

    monkeypatch.setattr(NeuronShard, "written_down", cut_short)
    trainer = NewtonTrainer(network, **options)
    if error is MemoryError:
        with pytest.raises(MemoryError):
            trainer.fit(X, y)
    else:
        assert trainer.fit(X, y).status == "interrupted"
    monkeypatch.undo()
    assert np.array_equal(network.predict(X), outputs)
    result = NewtonTrainer(network, max_iter=8, tol=1e-9).fit(X, -2 * y)
    assert np.sqrt(np.mean((network.predict(X) + 2 * y) ** 2)) == pytest.approx(result.rmse, abs=1e-10)


def test_a_step_that_could_not_be_kept_is_finished_by_who_looks_next(monkeypatch):
    monkeypatch.setattr("sltrees.network.sampling_dense.BLOCKS_PER_TASK", 1)
    X, y, expected, _ = trained(dtype="float64", max_iter=1)
    original, failed = CertifiedShard.apply, []

    def fail_twice(shard, *arguments, **keywords):
        if len(failed) < 2 and shard is not trainer.network.state.method.group.shards[0]:
            failed.append(shard)
            raise MemoryError("not a byte left")
        return original(shard, *arguments, **keywords)

    network = ShiftedReLUNetwork(40_000, shift=2.0, dtype="float64", random_state=0)
    trainer = NewtonTrainer(network, max_iter=1, executor="inline")
    monkeypatch.setattr(CertifiedShard, "apply", fail_twice)
    with pytest.raises(MemoryError, match="not a byte left"):
        trainer.fit(X, y)
    monkeypatch.undo()
    assert network.state.method._keeps
    assert network.digest() == expected.digest()
    assert not network.state.method._keeps
    assert NewtonTrainer(network).fit(X, y).status == "converged"


def test_a_network_may_be_read_by_other_threads_while_it_is_trained(seed):
    X, y = random_problem(seed, 200, 10)
    network = ShiftedReLUNetwork(2**16, random_state=seed)
    kept, seen, stop = [], [], threading.Event()

    class Recorder(Callback):
        def on_start(self, trainer):
            kept.append(trainer.network.predict(X).tobytes())

        def on_iteration(self, trainer, record):
            kept.append(trainer.network.predict(X).tobytes())

    def read():
        while not stop.is_set():
            try:
                seen.append(network.predict(X).tobytes())
                network.digest()
                copy.copy(network)
            except RuntimeError:  # not drawn yet
                continue

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for sign in (1, -1, 1, -1):
            NewtonTrainer(network, max_iter=4, tol=0.0, callbacks=[Recorder()]).fit(X, sign * y)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert len(set(seen)) > 1
    assert set(seen) <= set(kept) | {np.zeros(200).tobytes()}


@pytest.mark.parametrize("inner", ["initialize", "fit", "extend"])
@pytest.mark.parametrize("outer", ["initialize", "fit"])
def test_a_network_that_is_being_drawn_refuses_to_be_drawn_again(outer, inner):
    X, y = random_problem(0, 30, 5)
    network = ShiftedReLUNetwork(20_000, shift=2.0, random_state=0)
    other = NewtonTrainer(network)
    if inner == "extend":
        other.fit(X[:10], y[:10])
    calls = {
        "initialize": lambda: network.initialize(X[:5]),
        "fit": lambda: NewtonTrainer(network).fit(X[:5], y[:5]),
        "extend": lambda: other.extend(X[10:15], y[10:15]),
    }
    refused = []

    class Meddle(Callback):
        def on_setup(self, trainer, done, total):
            self.meddle(done, total)

        def meddle(self, done, total):
            with pytest.raises(RuntimeError, match="is being"):
                calls[inner]()
            refused.append(done)

    if outer == "fit":
        NewtonTrainer(network, callbacks=[Meddle()]).fit(X, y)
    else:
        network.initialize(X, progress=Meddle().meddle)
    assert refused
    assert np.unique(network.neurons_).size == network.neurons_.size
    assert NewtonTrainer(network).fit(X, y).status == "converged"


@pytest.mark.parametrize("max_gram", [None, 0])
def test_memory_goes_with_the_last_reference(max_gram):
    _, _, network, _ = trained(max_gram=max_gram)
    watch = weakref.ref(network.state.method), weakref.ref(network)
    gc.disable()
    try:
        network.compact()
        assert watch[0]() is None
        del network
        assert watch[1]() is None
    finally:
        gc.enable()


def test_max_memory_holds_for_runs_that_go_on():
    X, y, network, _ = trained(n=200, width=100_000)
    tracemalloc.start()
    with pytest.raises(MemoryError) as caught:
        NewtonTrainer(network, max_memory=1.0, n_threads=2).fit(X, 50 * y)
    needed = int(re.search(r"needs ([\d,]+) bytes", str(caught.value))[1].replace(",", ""))
    held = network.state.method.bytes_resident
    NewtonTrainer(network, max_memory=needed + 1, n_threads=2, max_iter=3).fit(X, 50 * y)
    peak = tracemalloc.get_traced_memory()[1]  # without what was there before
    tracemalloc.stop()
    assert held + peak <= needed
    with pytest.raises(MemoryError):
        network.initialize(X[:3] + 0.1, max_memory=network.state.method.bytes_resident)
    with pytest.raises(MemoryError):
        NewtonTrainer(network, method="trees", max_memory=2 * network.state.method.bytes_resident).fit(X, y)


def test_negative_zeros_are_zeros():
    X, _, network, _ = trained()
    X[:, 0] = 0.0
    network.initialize(X)
    shards = len(network.state.neurons.shards)
    X[:, 0] = -0.0
    network.initialize(unit_rows(np.random.default_rng(1), 3, 6))
    network.initialize(X)
    assert len(network.state.neurons.shards) <= 2 * shards
    assert len(network.state.seen) == 60 + 60 + 3


def test_parts_of_gaussian_networks_can_be_gone_through_and_cut():
    network = ShiftedReLUNetwork(3 * 4096, init="gaussian", random_state=0).initialize(np.eye(3))
    parts, neurons_of = prediction.counting_parts(network, network.state.neurons, None)
    assert list(parts) == parts[0 : len(parts)]
    assert sum(len(neurons_of(block)[0]) for _, block in parts) == network.width
