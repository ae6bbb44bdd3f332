"""ShiftedReLUNetwork: what is drawn, what is kept, what it predicts, and what it refuses."""

import re

import numpy as np
import pytest
from problems import bytes_named, peak_bytes, random_problem, unit_rows
from scipy.stats import norm

from sltrees import NewtonTrainer, ShiftedReLUNetwork, reference
from sltrees.network.random_streams import NEURONS_PER_BLOCK

INITS = ("paired", "gaussian")
DTYPES = (np.float32, np.float64)


def drawn(width, X, **parameters):
    return ShiftedReLUNetwork(width, **{"random_state": 0, "shift": 1.0} | parameters).initialize(X)


# ---------------------------------------------------------------------- initialisation


def test_paired_neurons_share_weights_and_have_opposite_signs(seed):
    W, signs = drawn(600, np.eye(4), random_state=seed).dense_weights()
    assert np.array_equal(W[0::2], W[1::2])
    assert np.array_equal(signs, np.tile([1, -1], 300))
    assert len(np.unique(W, axis=0)) == 300


@pytest.mark.parametrize("dtype", DTYPES)
def test_paired_networks_are_exactly_zero_at_first(seed, dtype):
    X, y = random_problem(seed, 100, 7)
    network = drawn(20_000, X, dtype=dtype, random_state=seed)
    assert np.all(network.predict(X) == 0)
    assert np.all(network.predict(unit_rows(np.random.default_rng(99), 50, 7)) == 0)
    # and so is the sum over all fired pairs with which training begins
    start = NewtonTrainer(network, max_iter=0).fit(X, y)
    assert start.rmse == pytest.approx(np.sqrt(np.mean(y**2)), rel=1e-14)


def test_gaussian_signs_are_independent_coin_flips(seed):
    W, signs = drawn(40_000, np.eye(3), init="gaussian", random_state=seed).dense_weights()
    assert set(np.unique(signs)) == {-1, 1}
    assert abs(signs.mean()) < 5 / np.sqrt(signs.size)
    # of neighbours, of the same neuron in the next block, and of the weights
    assert abs(np.mean(signs[1:] * signs[:-1])) < 5 / np.sqrt(signs.size)
    assert abs(np.mean(signs[NEURONS_PER_BLOCK:] * signs[:-NEURONS_PER_BLOCK])) < 5 / np.sqrt(30_000)
    assert np.all(np.abs(signs @ W) / signs.size < 5 / np.sqrt(signs.size))


@pytest.mark.parametrize("init", INITS)
def test_weights_are_standard_normal(seed, init):
    W = drawn(40_000, np.eye(3), init=init, dtype="float64", random_state=seed).dense_weights()[0]
    W = W[:: 2 if init == "paired" else 1]
    count = len(W)
    assert np.all(np.abs(W.mean(axis=0)) < 5 / np.sqrt(count))
    assert np.all(np.abs(np.cov(W.T) - np.eye(3)) < 5 * np.sqrt(2 / count))
    assert np.all(np.abs(np.mean(W**4, axis=0) - 3) < 5 * np.sqrt(96 / count))
    for b in (-1.0, 0.5, 2.0):
        assert abs(np.mean(W > b) - norm.sf(b)) < 5 * np.sqrt(norm.sf(b) / W.size)
    per_block = NEURONS_PER_BLOCK // (2 if init == "paired" else 1)
    assert not np.isin(W[:per_block], W[per_block:]).any(axis=1).all()  # no block repeats another's stream


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [2, 100, 20_002])
def test_exactly_the_neurons_that_fire_are_materialised(seed, init, dtype, width):
    X = unit_rows(np.random.default_rng(seed), 30, 6)
    network = drawn(width, X, init=init, dtype=dtype, shift=2.0 if width > 1000 else 0.0, random_state=seed)
    W, _ = network.dense_weights()
    above = (W.astype(np.float64) @ X.T).max(axis=1) - network.shift_
    fires = np.zeros(width, dtype=bool)
    fires[network.neurons_] = True
    rounding = 100 * np.finfo(dtype).eps
    assert np.all(above[fires] > -rounding)
    assert np.all(above[~fires] < rounding)
    assert 0 < fires.sum() <= width
    assert np.array_equal(network.materialised_weights(), W[network.neurons_])
    assert np.all(np.diff(network.neurons_) > 0)


@pytest.mark.parametrize("init", INITS)
def test_a_seed_gives_the_same_network_in_both_dtypes(seed, init):
    X = unit_rows(np.random.default_rng(seed), 20, 5)
    (W32, signs32), (W64, signs64) = (
        drawn(9000, X, init=init, dtype=dtype, random_state=seed).dense_weights() for dtype in DTYPES
    )
    assert (W32.dtype, W64.dtype) == DTYPES
    assert np.array_equal(W32, W64)
    assert np.array_equal(signs32, signs64)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_network_does_not_depend_on_the_number_of_threads(seed, init, dtype):
    X = unit_rows(np.random.default_rng(seed), 50, 6)
    networks = []
    for n_threads in (1, 2, 3, 8):
        network = ShiftedReLUNetwork(50_000, shift=2.0, init=init, dtype=dtype, random_state=seed)
        networks.append(network.initialize(X, n_threads=n_threads))
    assert len({network.digest() for network in networks}) == 1


def test_different_seeds_give_different_networks_and_equal_ones_the_same():
    X = np.eye(3)
    digests = [
        drawn(100, X, random_state=state).digest()
        for state in (0, 1, 2**70, np.random.SeedSequence(3), np.random.default_rng(4), None, None)
    ]
    assert len(set(digests)) == 7
    assert drawn(100, X, random_state=2**70).digest() == digests[2]
    assert drawn(100, X, random_state=np.random.SeedSequence(3)).digest() == digests[3]
    assert drawn(100, X, random_state=np.random.default_rng(4)).digest() == digests[4]


def test_digest_tells_networks_apart(seed):
    X = unit_rows(np.random.default_rng(seed), 20, 4)
    networks = [drawn(500, X)] + [
        drawn(500, X, **parameters)
        for parameters in ({"shift": 1.001}, {"init": "gaussian"}, {"dtype": "float64"}, {"random_state": 1})
    ]
    trained = drawn(500, X)
    NewtonTrainer(trained, tol=0.0, max_iter=1).fit(X, np.full(20, 1e-3))
    assert len({network.digest() for network in [*networks, trained]}) == 6


def test_initialising_for_the_same_data_again_does_nothing():
    X = np.eye(3)
    network = drawn(100, X)
    shards, digest = network.state.neurons.shards, network.digest()
    assert network.initialize(X.copy()) is network
    assert network.state.neurons.shards is shards
    assert network.digest() == digest


@pytest.mark.parametrize("init", INITS)
def test_initialising_for_other_data_keeps_what_was_trained(seed, init):
    X, y = random_problem(seed, 40, 5)
    other = unit_rows(np.random.default_rng(1000 + seed), 30, 5)
    network = ShiftedReLUNetwork(20_000, shift=2.5, init=init, dtype="float64", random_state=seed)
    NewtonTrainer(network, max_iter=3).fit(X, y)
    before_W, before_b, before_neurons = network.dense_weights()[0], network.shift_, network.neurons_
    before = network.predict(X)
    network.initialize(other)
    assert np.array_equal(network.dense_weights()[0], before_W)
    assert network.shift_ == before_b
    assert np.array_equal(network.predict(X), before)
    assert np.isin(before_neurons, network.neurons_).all()
    assert network.neurons_.size > before_neurons.size
    fires = np.flatnonzero((before_W @ other.T > before_b).any(axis=1))
    # also those that only training brought to fire on the new data
    assert np.isin(fires, network.neurons_).all()
    assert np.unique(network.neurons_).size == network.neurons_.size
    assert np.array_equal(network.neurons_[: before_neurons.size], before_neurons)


# ---------------------------------------------------------------------- prediction


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_predictions_on_unseen_points_are_those_of_the_definition(seed, init, dtype):
    # more neurons and samples than one block of either
    rng = np.random.default_rng(1000 + seed)
    X, y = random_problem(seed, 40, 5)
    network = ShiftedReLUNetwork(20_000, shift=1.5, init=init, dtype=dtype, random_state=seed)
    NewtonTrainer(network, max_iter=4).fit(X, y)
    unseen = np.concatenate([unit_rows(rng, 1400, 5), 3 * rng.standard_normal((100, 5)), np.zeros((1, 5))])
    W, signs = network.dense_weights()
    expected = reference.network_outputs(W.astype(np.float64), signs, network.shift_, unseen)
    tolerance = 1e-12 if dtype == np.float64 else 1e-4
    assert np.allclose(network.predict(unseen), expected, rtol=0, atol=tolerance * np.abs(expected).max())
    assert network.predict(unseen).dtype == np.float64


@pytest.mark.parametrize("init", INITS)
def test_predictions_do_not_depend_on_threads_and_leave_the_input_alone(seed, init):
    X, y = random_problem(seed, 30, 5)
    network = ShiftedReLUNetwork(30_000, shift=2.0, init=init, random_state=seed)
    NewtonTrainer(network, max_iter=2).fit(X, y)
    unseen = unit_rows(np.random.default_rng(5), 1100, 5)
    unseen.flags.writeable = False
    copy = unseen.copy()
    outputs = [network.predict(unseen, n_threads=k) for k in (1, 2, 3, 8)]
    assert all(np.array_equal(outputs[0], other) for other in outputs[1:])
    assert np.array_equal(unseen, copy)


def test_materialised_weights_are_a_copy_and_can_be_sliced():
    network = drawn(100, np.eye(3), shift=0.0)
    NewtonTrainer(network, max_iter=1).fit(np.eye(3), np.arange(3.0))
    whole = network.materialised_weights()
    assert network.displacement_.any()
    assert np.array_equal(network.materialised_weights(4, 10), whole[4:10])
    assert np.array_equal(network.materialised_weights(5, 6), whole[5:6])
    whole.fill(7)
    assert not np.any(network.materialised_weights() == 7)


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("width", "parameters", "error", "message"),
    [
        (7, {}, ValueError, "width must be even for init='paired', got 7"),
        (0, {}, ValueError, "width must be at least 1, got 0"),
        (-4, {}, ValueError, "width must be at least 1, got -4"),
        (1.5, {}, ValueError, r"width must be an integer, got 1\.5"),
        (float("nan"), {}, ValueError, "width must be an integer, got nan"),
        (float("inf"), {}, ValueError, "width must be an integer, got inf"),
        ("8", {}, TypeError, "width must be an integer, got '8'"),
        (True, {}, TypeError, "width must be an integer, got True"),
        (8, {"shift": -0.1}, ValueError, r"shift must be finite and at least 0, got -0\.1"),
        (8, {"shift": float("nan")}, ValueError, "shift must be finite and at least 0, got nan"),
        (8, {"shift": float("inf")}, ValueError, "shift must be finite and at least 0, got inf"),
        (8, {"shift": "large"}, ValueError, "shift must be one of 'auto', 'paper', 'density', got 'large'"),
        (8, {"init": "pairs"}, ValueError, "init must be one of 'paired', 'gaussian', got 'pairs'"),
        (8, {"sampling": "poison"}, ValueError, "sampling must be one of .*'dense'.*, got 'poison'"),
        (8, {"dtype": "float16"}, ValueError, "dtype must be float32 or float64, got 'float16'"),
        (8, {"dtype": "no such thing"}, ValueError, "dtype must be float32 or float64, got 'no such thing'"),
        (8, {"random_state": -1}, ValueError, "random_state must be at least 0, got -1"),
        (8, {"random_state": "x"}, TypeError, "random_state must be an integer, got 'x'"),
    ],
)
def test_bad_parameters_are_refused_with_rule_and_value(width, parameters, error, message):
    with pytest.raises(error, match=message):
        ShiftedReLUNetwork(width, **parameters)


def test_integral_floats_and_odd_gaussian_widths_are_accepted():
    assert ShiftedReLUNetwork(1e6).width == 10**6
    assert ShiftedReLUNetwork(7, init="gaussian", shift=0.0).initialize(np.eye(2)).dense_weights()[0].shape == (7, 2)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.array([[1.0, np.nan, 0.0]]), ValueError, r"X must be finite in float32, got nan at index \(0, 1\)"),
        (np.array([[1.0, np.inf, 0.0]]), ValueError, r"X must be finite in float32, got inf at index \(0, 1\)"),
        (np.array([[1.0, 1e39, 0.0]]), ValueError, r"X must be finite in float32, got inf at index \(0, 1\)"),
        (np.ones((2, 4)), ValueError, "X must have 3 columns, got 4"),
        (np.ones(3), ValueError, r"X must have 2 dimensions, got shape \(3,\)"),
        (np.ones((0, 3)), ValueError, r"X must have at least 1 row and 1 column, got shape \(0, 3\)"),
        (np.ones((2, 3), complex), TypeError, "X must hold real numbers, got dtype complex128"),
    ],
)
def test_bad_samples_are_refused_and_change_nothing(X, error, message):
    network = drawn(100, np.eye(3))
    digest = network.digest()
    for method in (network.initialize, network.predict):
        with pytest.raises(error, match=message):
            method(X)
    assert network.digest() == digest


@pytest.mark.parametrize(
    "use",
    [
        lambda network: network.predict(np.eye(2)),
        lambda network: network.dense_weights(),
        lambda network: network.materialised_weights(),
        lambda network: network.digest(),
    ],
)
def test_a_network_that_was_not_drawn_says_so(use):
    with pytest.raises(RuntimeError, match=re.escape("call initialize(X)")):
        use(ShiftedReLUNetwork(10))


def test_too_little_memory_is_refused_before_anything_is_allocated():
    X = unit_rows(np.random.default_rng(0), 100, 10)
    network = ShiftedReLUNetwork(10**8, shift=0.0, random_state=0)
    peak = peak_bytes(lambda: bytes_named(lambda: network.initialize(X, max_memory=1e9)))
    assert peak < 2e7  # of the estimate itself: weights would be 2 GB
    assert network.shift_ is None


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_drawing_stays_below_the_memory_estimate(seed, init, dtype, shift):
    X = unit_rows(np.random.default_rng(seed), 200, 20)
    network = ShiftedReLUNetwork(40_000, shift=shift, init=init, dtype=dtype, random_state=seed)
    needed = bytes_named(lambda: network.initialize(X, n_threads=2, max_memory=1))
    peak = peak_bytes(lambda: network.initialize(X, n_threads=2, max_memory=needed + 1))
    assert peak <= needed
    assert needed <= 6 * peak  # an estimate, not a scare


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_training_stays_below_the_memory_estimate(seed, init, dtype, shift):
    X, y = random_problem(seed, 200, 20)
    network = ShiftedReLUNetwork(6000, shift=shift, init=init, dtype=dtype, random_state=seed)

    def fit(max_memory):
        return NewtonTrainer(network, n_threads=2, max_iter=3, max_memory=max_memory).fit(X, y)

    needed = bytes_named(lambda: fit(1))
    assert network.shift_ is None
    peak = peak_bytes(lambda: fit(needed + 1))
    assert peak <= needed
    assert needed <= 6 * peak


@pytest.mark.parametrize("init", ["paired", "gaussian"])
def test_predictions_do_not_depend_on_how_many_parts_wait_at_a_time(init, monkeypatch):
    X = np.random.default_rng(0).standard_normal((20, 3))
    network = ShiftedReLUNetwork(2**15, init=init, random_state=0, shift=1.0)
    NewtonTrainer(network, max_iter=1, tol=0.0).fit(X, X[:, 0])
    outputs = network.predict(X)
    monkeypatch.setattr("sltrees.network.prediction.PARTS_AT_A_TIME", 1)
    assert np.array_equal(network.predict(X, n_threads=1), outputs)
