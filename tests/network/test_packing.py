"""Saving and loading networks: what comes back is a copy, and what makes no sense is refused."""

import copy
import math
import pickle
import threading

import numpy as np
import pytest
from archive_files import bits, forged, taken_apart
from problems import random_problem, unit_rows

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback
from sltrees.files.archive import ArchiveError, read_archive, write_archive
from sltrees.files.contents import Contents, making_sense, nested, prefixed
from sltrees.network.packing import header_of, pack_network, unpack_network

DRAWN_BY = (
    {"sampling": "dense"},
    {"sampling": "dense", "init": "gaussian"},
    {"sampling": "rejection"},
    {"sampling": "dense", "dtype": "float64"},
    {"sampling": "rejection", "dtype": "float64"},
)
DRAWN_BY_IDS = [" ".join(parameters.values()) for parameters in DRAWN_BY]

X, Y = random_problem(3, 30, 5)
X_NEW, Y_NEW = random_problem(4, 10, 5)
UNSEEN = unit_rows(np.random.default_rng(5), 50, 5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "network.npz"


def new(**parameters):
    return ShiftedReLUNetwork(6000, **{"shift": 1.5, "random_state": 7} | parameters)


def trained(max_iter=3, alpha=0.0, method="certified", **parameters):
    network = new(**parameters)
    NewtonTrainer(network, tol=0.0, max_iter=max_iter, alpha=alpha, method=method).fit(X, Y)
    return network


def state(network):
    """Everything that is in a copy, so that equal states mean equal copies."""
    found = network.__getstate__()
    state = vars(found.pop("state"))
    sampling, neurons = state["sampling"], state["neurons"]
    found["streams"] = found["streams"].entropy
    drawn_by = sampling and [sampling.name, *(value for key, value in vars(sampling).items() if key != "_streams")]
    shards = [tuple(shard) for shard in neurons.shards]
    return bits(found | state | {"sampling": drawn_by, "neurons": [*neurons.numbers, *shards]})


def saved_and_loaded(network, path):
    network.save(path)
    return ShiftedReLUNetwork.load(path)


def same(network, other):
    assert type(other) is ShiftedReLUNetwork
    assert state(other) == state(network)
    assert other.digest() == network.digest()
    assert np.array_equal(other.predict(UNSEEN), network.predict(UNSEEN))


# ---------------------------------------------------------------------- networks that come back


@pytest.mark.parametrize("parameters", DRAWN_BY, ids=DRAWN_BY_IDS)
def test_trained_networks_come_back_as_pickled_copies_do(path, parameters):
    network = trained(**parameters)
    assert network.state.method is not None  # displacements are implied, and written down in the file alone
    other = saved_and_loaded(network, path)
    assert network.state.method is not None
    same(network, other)
    same(pickle.loads(pickle.dumps(network)), other)
    assert other.displacement_.any()


@pytest.mark.parametrize("parameters", DRAWN_BY, ids=DRAWN_BY_IDS)
def test_loaded_networks_are_trained_on_as_copies_are(path, parameters):
    network = trained(alpha=0.01, **parameters)
    other, twin = saved_and_loaded(network, path), copy.deepcopy(network)
    histories = []
    for candidate in (other, twin):
        trainer = NewtonTrainer(candidate, tol=0.0, max_iter=2, alpha=0.01)
        results = trainer.fit(X, Y), trainer.extend(X_NEW, Y_NEW)
        histories.append([(record.rmse, record.loss) for result in results for record in result.history])
    assert histories[0] == histories[1]
    same(twin, other)
    twin.initialize(UNSEEN)
    other.initialize(UNSEEN)
    same(twin, other)


@pytest.mark.parametrize("parameters", DRAWN_BY, ids=DRAWN_BY_IDS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_compacted_networks_come_back_and_loaded_ones_can_be_compacted(path, parameters, when):
    network = trained(**parameters)
    if when == "before":
        network.compact()
    other = saved_and_loaded(network, path)
    if when == "after":
        network.compact()
        other.compact()
    same(network, other)
    for candidate in (network, other):
        with pytest.raises(RuntimeError, match="was compacted"):
            candidate.initialize(X)


@pytest.mark.parametrize("method", ["certified", "trees"])
def test_networks_of_either_method_are_trained_on_by_either(path, method):
    network = trained(method=method)
    for again in ("certified", "trees"):
        other, twin = saved_and_loaded(network, path), copy.deepcopy(network)
        for candidate in (other, twin):
            NewtonTrainer(candidate, tol=0.0, max_iter=1, method=again).fit(X, Y)
        same(twin, other)


@pytest.mark.parametrize("shift", ["auto", "paper", "density", 0.0, 1.25])
def test_networks_that_were_not_drawn_come_back(path, shift):
    network = ShiftedReLUNetwork(100_000, shift=shift, sampling="rejection", dtype="float64", random_state=3)
    other = saved_and_loaded(network, path)
    assert state(other) == state(network)
    assert bits(other.shift) == bits(shift)
    with pytest.raises(RuntimeError, match="has no neurons yet"):
        other.predict(X)
    assert other.initialize(X).digest() == network.initialize(X).digest()


@pytest.mark.parametrize("parameters", DRAWN_BY, ids=DRAWN_BY_IDS)
def test_drawn_networks_that_were_not_trained_come_back(path, parameters):
    network = new(**parameters).initialize(X)
    other = saved_and_loaded(network, path)
    assert all(shard.displacement is None for shard in other.state.neurons.shards)
    same(network, other)
    shards = other.state.neurons.shards
    assert other.initialize(X).state.neurons.shards is shards  # it is known that these were drawn for


def test_networks_of_many_shards_and_of_empty_ones_come_back(path):
    network = ShiftedReLUNetwork(200_000, shift=3.0, sampling="dense", random_state=0).initialize(X)
    network.initialize(X_NEW)
    assert len(network.state.neurons.shards) > 5
    same(network, saved_and_loaded(network, path))
    network = ShiftedReLUNetwork(2000, shift=0.5, sampling="dense", random_state=0).initialize(X[:1])
    network.initialize(1e-3 * X_NEW)  # nothing fires on these
    assert any(shard.draws.size == 0 for shard in network.state.neurons.shards)
    same(network, saved_and_loaded(network, path))
    none = ShiftedReLUNetwork(2000, sampling="rejection", random_state=0).initialize(np.zeros((2, 3)))
    other = saved_and_loaded(none, path)
    assert other.neurons_.size == 0
    assert state(other) == state(none)


@pytest.mark.parametrize(
    "random_state",
    [
        0,
        2**128 - 1,
        None,
        np.random.default_rng(1),
        np.random.SeedSequence(2**300),
        np.random.SeedSequence([1, 2, 2**90]),
        np.random.SeedSequence((3, 4)),
        np.random.SeedSequence(np.array([5, 6], dtype=np.uint32)),
        np.random.SeedSequence(np.int64(7)),
        np.random.SeedSequence([[1, 2], 3]),
        np.random.SeedSequence(8).spawn(3)[2],
        np.random.SeedSequence([9, 10]).spawn(1)[0].spawn(2)[1],
        np.random.SeedSequence([]),
    ],
    ids=lambda value: repr(getattr(value, "entropy", value))[:20],
)
def test_any_random_state_comes_back(path, random_state):
    network = ShiftedReLUNetwork(500, random_state=random_state, init="gaussian").initialize(X)
    same(network, saved_and_loaded(network, path))


@pytest.mark.parametrize(
    "entropy", [0, 5, [1, 2], (1, 2**70), np.array([3, 4]), [[1, 2], 3], np.uint32(9), []], ids=repr
)
def test_entropy_is_kept_as_plain_integers_that_seed_the_same(entropy):
    sequence = np.random.SeedSequence(entropy)
    for seed in (sequence, sequence.spawn(1)[0]):
        kept = ShiftedReLUNetwork(2, random_state=seed).streams.entropy
        assert type(kept) is int or (type(kept) is list and all(type(number) is int for number in kept))
        if not seed.spawn_key:
            before, after = (np.random.SeedSequence(e, spawn_key=(3, 1)) for e in (entropy, kept))
            assert np.array_equal(before.generate_state(8), after.generate_state(8))


def test_loading_leaves_the_loaded_network_free_of_the_file(path):
    network = trained()
    other = saved_and_loaded(network, path)
    path.unlink()
    same(network, other)


def test_a_network_that_another_thread_trains_is_saved_as_of_a_step_that_was_kept(path):
    predicted, stop = [], threading.Event()
    network = new(sampling="dense")
    network.initialize(X)

    class Watch(Callback):
        def on_start(self, trainer):
            predicted.append(trainer.network.predict(UNSEEN).tobytes())

        def on_iteration(self, trainer, record):
            predicted.append(trainer.network.predict(UNSEEN).tobytes())
            self_saved = saved_and_loaded(trainer.network, path.with_name("own.npz"))  # also from within a callback
            assert self_saved.predict(UNSEEN).tobytes() == predicted[-1]
            return len(predicted) > 15 and stop.is_set()

    thread = threading.Thread(
        target=lambda: NewtonTrainer(network, tol=0.0, max_iter=60, n_threads=1, callbacks=[Watch()]).fit(X, Y)
    )
    thread.start()
    found = [saved_and_loaded(network, path).predict(UNSEEN).tobytes() for _ in range(8)]
    stop.set()
    thread.join()
    assert set(found) <= {np.zeros(len(UNSEEN)).tobytes(), *predicted}


# ---------------------------------------------------------------------- files of other things


def test_what_cannot_be_saved_is_refused(path):
    class Special(ShiftedReLUNetwork):
        pass

    with pytest.raises(TypeError, match="objects that can be saved are of ShiftedReLUNetwork, got Special"):
        Special(100).save(path)
    for wrong in (None, 3, {}, ShiftedReLUNetwork):
        with pytest.raises(
            TypeError, match=f"objects that can be saved are of ShiftedReLUNetwork, got {type(wrong).__name__}"
        ):
            pack_network(wrong)
    assert not path.exists()


def test_headers_are_told_without_looking_at_weights(monkeypatch):
    networks = [new(), new().initialize(X), trained(), trained(sampling="rejection").compact()]
    headers = [pack_network(network)[0] for network in networks]
    monkeypatch.setattr("sltrees.network.shards.NeuronShard.displacements", None)
    assert [header_of(network) for network in networks] == headers


def test_networks_that_could_not_be_loaded_are_not_saved(path):
    network = trained(method="trees")
    network.state.neurons.shards[0].displacement[1, 2] = np.nan
    with pytest.raises(ValueError, match="weights of a network that is saved must be finite"):
        network.save(path)
    assert not path.exists()


def test_other_kinds_are_refused(path):
    write_archive(path, "checkpoint", {}, {})
    with pytest.raises(ArchiveError, match="holds a 'checkpoint', not a 'network'"):
        ShiftedReLUNetwork.load(path)
    write_archive(path, "unheard-of", {}, {})
    with pytest.raises(ArchiveError, match=r"network\.npz holds an 'unheard-of', not a 'network'"):
        ShiftedReLUNetwork.load(path)
    with pytest.raises(FileNotFoundError):
        ShiftedReLUNetwork.load(path.with_name("missing"))


def test_networks_within_something_else_come_back(path):
    pair = [trained(), trained(init="gaussian", sampling="dense")]
    packed, arrays = [pack_network(network) for network in pair], {}
    for k, (_, own) in enumerate(packed):
        arrays |= prefixed(own, f"networks/{k}/")
    write_archive(path, "pair", {"networks": [header for header, _ in packed]}, arrays)

    def unpacked():
        _, header, arrays, _ = read_archive(path, "pair")
        with making_sense(path, "'pair'"):
            contents = Contents(header, arrays)
            networks = [
                unpack_network(own, contents.nested(f"networks/{k}/"), ShiftedReLUNetwork)
                for k, own in enumerate(contents.take("networks"))
            ]
            contents.refuse_rest()
            return networks

    for network, other in zip(pair, unpacked(), strict=True):
        same(network, other)
    for header in ({}, {"networks": 3}, {"networks": [{}]}, {"networks": [3]}):
        write_archive(path, "pair", header, {})
        with pytest.raises(ArchiveError, match=r"network\.npz holds no valid 'pair': "):
            unpacked()


# ---------------------------------------------------------------------- networks that make no sense


@pytest.fixture(scope="module")
def parts():
    """Header and arrays of a trained network, as JSON has them."""
    header, arrays = pack_network(trained(sampling="dense"))
    return copy.deepcopy(header), {name: array.copy() for name, array in arrays.items()}


def loaded(header, arrays, path):
    path.write_bytes(forged("network", header, arrays))
    return ShiftedReLUNetwork.load(path)


def test_entropy_is_as_long_as_streams_may_be_keyed_from(path):
    longest = 2 ** (256 * 32) - 1
    network = ShiftedReLUNetwork(100, random_state=np.random.SeedSequence(longest)).initialize(np.eye(3))
    network.save(path)
    assert ShiftedReLUNetwork.load(path).digest() == network.digest()
    with pytest.raises(ValueError, match="entropy must have at most 256 words of 32 bits, got 257"):
        ShiftedReLUNetwork(100, random_state=np.random.SeedSequence(longest + 1))


def test_a_file_cannot_ask_for_more_neurons_in_a_prediction_than_a_network_may_have(path):
    network = ShiftedReLUNetwork(2**36, init="gaussian", random_state=0)
    header, _ = pack_network(network)
    assert loaded(header, {}, path).width == 2**36
    with pytest.raises(ArchiveError, match=r"width must be at most 68719476736 for init='gaussian', got 1099511627776"):
        loaded(header | {"width": 2**40}, {}, path)


MISSING = object()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("width", 0, "'width' must be an integer from 1"),
        ("width", -2, "'width' must be"),
        ("width", 2**62 + 2, "'width' must be"),
        ("width", 6000.0, "'width' must be"),
        ("width", True, "'width' must be"),
        ("width", "6000", "'width' must be"),
        ("width", None, "'width' must be"),
        ("width", {"$int": "1" * 5000}, "'width' must be .*, got a larger integer"),
        ("width", 5999, "width must be even for init='paired', got 5999"),
        ("width", 2, "draws' must be ascending"),
        ("width", MISSING, "'width' is missing"),
        ("shift", "sometimes", "'shift' must be a float"),
        ("shift", -0.5, "'shift' must be a float"),
        ("shift", 1, "'shift' must be a float"),
        ("shift", {"$float": "7ff8000000000000"}, "'shift' must be a float .*, got nan"),
        ("shift", {"$float": "7ff0000000000000"}, "'shift' must be a float .*, got inf"),
        ("init", "zeros", "'init' must be one of 'paired', 'gaussian', got 'zeros'"),
        ("init", "gaussian", "must have the shape"),
        ("init", ["paired"], "'init' must be one of"),
        ("sampling", "none", "'sampling' must be one of"),
        ("sampling", "rejection", "is not drawn by 'dense'"),
        ("dtype", "float16", "'dtype' must be one of"),
        ("dtype", "float64", "must be of float64, got float32"),
        ("dtype", "object", "'dtype' must be one of"),
        ("entropy", -1, "'entropy' must be an integer"),
        ("entropy", None, "'entropy' must be an integer"),
        ("entropy", 0.5, "'entropy' must be an integer"),
        ("entropy", "0x5", "'entropy' must be an integer"),
        ("entropy", [1, [2]], "'entropy' must be an integer"),
        ("entropy", [1, -2], "'entropy' must be an integer"),
        ("entropy", [True], "'entropy' must be an integer"),
        ("entropy", {"$int": "f" * 2049}, "entropy must have at most 256 words of 32 bits, got 257"),
        ("entropy", [7] * 257, "entropy must have at most 256 words of 32 bits, got 257"),
        ("entropy", [0] * 257, "entropy must have at most 256 words of 32 bits, got 257"),
        ("drawn", None, "nobody asked for 'seen'"),
        ("drawn", [], "a header must be a dict"),
        ("drawn", {}, "is missing"),
        ("more", 1, "nobody asked for 'more'"),
        ("drawn.shift", -1.0, "'shift' must be"),
        ("drawn.shift", None, "'shift' must be"),
        ("drawn.shift", MISSING, "'shift' is missing"),
        ("drawn.sampling", "auto", "'sampling' must be one of"),
        ("drawn.n_features", 0, "'n_features' must be"),
        ("drawn.n_features", 6, ""),
        ("drawn.n_features", 2**62, ""),
        ("drawn.fingerprint", None, "a fingerprint of samples must be"),
        ("drawn.fingerprint", [30, 5], "a fingerprint of samples must be"),
        ("drawn.fingerprint", [0, 5, "0" * 64], "'fingerprint' must be"),
        ("drawn.fingerprint", [30, 4, "0" * 64], "'fingerprint' must be"),
        ("drawn.fingerprint", [30, 5, "0" * 63], "64 hexadecimal digits"),
        ("drawn.fingerprint", [30, 5, "X" * 64], "64 hexadecimal digits"),
        ("drawn.fingerprint", [30, 5, 5], "64 hexadecimal digits"),
        ("drawn.scales", {}, "'scales' must be a list"),
        ("drawn.scales", [1], "'scales' must be a list"),
        ("drawn.scales", [[30, 5, "0" * 64]], "'scales' must be a list"),
        ("drawn.scales", [[30, 5, "0" * 64, -1.0]], "'scales' must be a float"),
        ("drawn.scales", [[30, 5, "0" * 64, 1]], "'scales' must be a float"),
        ("drawn.scales", [[30, 5, "0" * 64, {"$float": "7ff8000000000000"}]], "'scales' must be a float"),
        ("drawn.compacted", 0, "'compacted' must be true or false"),
        ("drawn.n_shards", -1, "'n_shards' must be"),
        ("drawn.n_shards", 0, "nobody asked for 'shards/0/draws'"),
        ("drawn.n_shards", 2, "array 'shards/1/draws' is missing"),
        ("drawn.n_shards", 2**62, "array 'shards/1/draws' is missing"),
        ("drawn.more", 1, "nobody asked for 'more'"),
    ],
)
def test_headers_of_networks_that_make_no_sense_are_refused(path, parts, key, value, message):
    header, arrays = copy.deepcopy(parts)
    target = header
    *outer, key = key.split(".")
    for name in outer:
        target = target[name]
    if value is MISSING:
        del target[key]
    else:
        target[key] = value
    with pytest.raises(ArchiveError, match=f"network\\.npz holds no valid 'network': .*{message}"):
        loaded(header, arrays, path)


def replaced(array, where, value):
    array = array.copy()
    array[where] = value
    return array


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("shards/0/draws", lambda a: MISSING, "is missing"),
        ("shards/0/draws", lambda a: a.astype(np.int32), "must be of int64, got int32"),
        ("shards/0/draws", lambda a: a.astype(np.float64), "must be of int64, got float64"),
        ("shards/0/draws", lambda a: a[:, None], "must have the shape"),
        ("shards/0/draws", lambda a: a[::-1], "must be ascending"),
        ("shards/0/draws", lambda a: replaced(a, 1, a[0]), "must be ascending"),
        ("shards/0/draws", lambda a: replaced(a, 0, -1), "must be ascending"),
        ("shards/0/draws", lambda a: replaced(a, -1, 3000), "below 3000"),
        ("shards/0/draws", lambda a: replaced(a, -1, 2**63 - 1), "below 3000"),
        ("shards/0/draws", lambda a: a[:-1], "initial' must have the shape"),
        ("shards/0/draws", lambda a: a[:0], "initial' must have the shape"),
        ("shards/0/initial", lambda a: MISSING, "is missing"),
        ("shards/0/initial", lambda a: a.astype(np.float64), "must be of float32, got float64"),
        ("shards/0/initial", lambda a: a[:, :-1], "must have the shape"),
        ("shards/0/initial", lambda a: a.T, "must have the shape"),
        ("shards/0/initial", lambda a: replaced(a, (0, 0), np.nan), "must be finite"),
        ("shards/0/displacement", lambda a: replaced(a, (-1, -1), -np.inf), "must be finite"),
        ("shards/0/displacement", lambda a: a[::2], "must have the shape"),
        ("shards/0/displacement", lambda a: a.astype(np.int32), "must be of float32, got int32"),
        ("shards/0/displacement", lambda a: np.array("x"), "must be of float32, got <U1"),
        ("seen", lambda a: MISSING, "array 'seen' is missing"),
        ("seen", lambda a: a[:, :4], "must have the shape"),
        ("seen", lambda a: a[:0], "array 'seen' holds no samples"),
        ("seen", lambda a: replaced(a, (0, 0), np.nan), "must be finite"),
        ("seen", lambda a: replaced(a, (0, 0), 3e38), "array 'seen' holds no samples: squared norms"),
        ("other", lambda a: np.zeros(3), "nobody asked for 'other'"),
        ("shards/1/draws", lambda a: np.zeros(3, np.int64), "nobody asked for"),
    ],
)
def test_arrays_of_networks_that_make_no_sense_are_refused(path, parts, name, change, message):
    header, arrays = copy.deepcopy(parts)
    changed = change(arrays.get(name))
    if changed is MISSING:
        del arrays[name]
    else:
        arrays[name] = np.ascontiguousarray(changed)
    with pytest.raises(ArchiveError, match=f"network\\.npz holds no valid 'network': .*{message}"):
        loaded(header, arrays, path)


def test_neurons_in_two_shards_are_refused(path, parts):
    header, arrays = copy.deepcopy(parts)
    header["drawn"]["n_shards"] = 2
    arrays |= prefixed(nested(arrays, "shards/0/"), "shards/1/")
    with pytest.raises(ArchiveError, match="a neuron must not be in two shards"):
        loaded(header, arrays, path)


def test_neuron_numbers_that_would_overflow_are_refused(path):
    header, arrays = pack_network(trained(sampling="rejection"))
    assert loaded(header, arrays, path).neurons_.size
    last = f"shards/{header['drawn']['n_shards'] - 1}/draws"
    for number in (2**61, 2**62, 2**63 - 1):
        with pytest.raises(ArchiveError, match="must be ascending, from 0 on and below 2305843009213693952"):
            loaded(header, arrays | {last: replaced(arrays[last], -1, number)}, path)
    assert loaded(header, arrays | {last: replaced(arrays[last], -1, 2**61 - 1)}, path).neurons_[-1] == 2**62 - 1


def test_rejection_needs_pairs(path):
    header, arrays = pack_network(trained(sampling="rejection"))
    for parameters in ({"init": "gaussian"}, {"init": "gaussian", "sampling": "auto"}):
        with pytest.raises(ArchiveError, match="rejection"):
            loaded(header | parameters, arrays, path)


def test_networks_cut_off_while_they_were_compacted_come_back(path):
    network = trained()
    network.state = network.state.changed(compacted=True)
    same(network, saved_and_loaded(network, path))


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # overflows, on other threads
@pytest.mark.parametrize("value", [3e38, -3e38, 1e-45, 1e20, 0.0])
@pytest.mark.parametrize("name", ["shards/0/initial", "shards/0/displacement"])
def test_weights_of_any_size_neither_crash_predictions_nor_training(path, parts, name, value):
    header, arrays = copy.deepcopy(parts)
    for where in (slice(None), slice(0, None, 7), 0):
        network = loaded(header, arrays | {name: replaced(arrays[name], where, value)}, path)
        network.predict(UNSEEN)
        NewtonTrainer(network, tol=0.0, max_iter=2).fit(X, Y)


def test_scales_may_be_anything_that_training_can_have_made_them(path, parts):
    header, arrays = copy.deepcopy(parts)
    for scale in (0.0, 5e-324, 1e308, {"$float": "7ff0000000000000"}):
        header["drawn"]["scales"][0][3] = scale
        assert list(loaded(header, arrays, path).state.scales.values()) == [
            math.inf if isinstance(scale, dict) else scale
        ]


def test_the_forgeries_of_these_tests_are_what_is_written(path):
    network = trained()
    network.save(path)
    found = read_archive(path)
    header = taken_apart(path.read_bytes())[0]["header"]
    assert bits(ShiftedReLUNetwork.load(path).state.seen) == bits(network.state.seen)
    same(network, loaded(header, found.arrays, path))
