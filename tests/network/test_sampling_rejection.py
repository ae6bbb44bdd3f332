"""Rejection sampling: the neurons kept are those of a Poisson network, and silent ones stay undrawn.

Statistics have fixed seeds, and thresholds for a false-alarm rate of 1e-6 each.
"""

import re

import numpy as np
import pytest
from problems import random_problem, unit_rows
from scipy import stats

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.random_streams import NEURONS_PER_BLOCK, RandomStreams
from sltrees.network.sampling_rejection import PROPOSALS_PER_CHUNK, Proposals, cheaper_sampling

FALSE_ALARM = 1e-6


def alike(n, d, spread, seed=0):
    """Unit rows around one direction: a proposal for one of them mostly fires on others, too."""
    rng = np.random.default_rng(seed)
    X = np.eye(d)[0] + spread * rng.standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def awkward(seed=0):
    """Rows of several norms, one of them twice, one along another, one of zeros, one so short that it never fires."""
    X = alike(6, 4, 0.3, seed) * np.array([1.0, 0.5, 2.0, 1.0, 1.5, 1.0])[:, None]
    return np.concatenate([X, X[1:2], 0.5 * X[2:3], np.zeros((1, 4)), 0.01 * X[:1]])


CASES = {"spread": unit_rows(np.random.default_rng(1), 8, 4), "alike": alike(8, 5, 0.05), "awkward": awkward()}


def drawn(width, X, sampling, seed, **parameters):
    options = {"shift": 1.0, "dtype": "float64"} | parameters
    return ShiftedReLUNetwork(width, sampling=sampling, random_state=seed, **options).initialize(X)


def pairs_of(network):
    """Initial weights of the materialised pairs."""
    return network.materialised_weights()[::2].astype(np.float64)


def many(width, X, sampling, n_seeds, **parameters):
    return [pairs_of(drawn(width, X, sampling, seed, **parameters)) for seed in range(n_seeds)]


def exact_share(X, shift, n=2_000_000):
    """Share of fresh neurons that fire on a sample, by drawing them: with its standard error."""
    W = np.random.default_rng(99).standard_normal((n, X.shape[1]))
    share = np.mean((W @ X.T > shift).any(axis=1))
    return share, np.sqrt(share * (1 - share) / n)


# ---------------------------------------------------------------------- the same population


@pytest.mark.parametrize("case", CASES)
def test_the_number_of_materialised_neurons_is_poisson(case):
    X, width, n_seeds = CASES[case], 2000, 300
    counts = np.array([len(W) for W in many(width, X, "rejection", n_seeds)])
    share, error = exact_share(X, 1.0)
    mean = width / 2 * share
    assert abs(stats.norm.isf(FALSE_ALARM / 2)) > abs(counts.mean() - mean) / np.hypot(
        np.sqrt(mean / n_seeds), width / 2 * error
    )
    # the dispersion of Poisson counts: variance equal to the mean
    dispersion = np.sum((counts - counts.mean()) ** 2) / counts.mean()
    assert FALSE_ALARM < stats.chi2.sf(dispersion, n_seeds - 1) < 1 - FALSE_ALARM


@pytest.mark.parametrize("case", CASES)
def test_firing_patterns_are_distributed_as_under_dense_sampling(case):
    X = CASES[case]
    codes = []
    for sampling in ("dense", "rejection"):
        W = np.concatenate(many(4096, X, sampling, 60))
        codes.append((W @ X.T > 1.0) @ (1 << np.arange(len(X))))
    patterns, where = np.unique(np.concatenate(codes), return_inverse=True)
    table = np.array([np.bincount(part, minlength=len(patterns)) for part in np.split(where, [len(codes[0])])])
    rare = table.sum(axis=0) < 20  # together, so that the statistic is about chi-square
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    assert table.shape[1] > 5
    assert stats.chi2_contingency(table).pvalue > FALSE_ALARM


@pytest.mark.parametrize("case", CASES)
def test_weights_given_the_pattern_are_distributed_as_under_dense_sampling(case):
    X = CASES[case]
    dense, ours = (np.concatenate(many(4096, X, sampling, 60)) for sampling in ("dense", "rejection"))
    for i in range(len(X)):
        z = [W[W @ X[i] > 1.0] @ X[i] for W in (dense, ours)]
        if min(map(len, z)) > 100:
            assert stats.ks_2samp(*z).pvalue > FALSE_ALARM
    across = np.random.default_rng(5).standard_normal(X.shape[1])
    assert stats.ks_2samp(dense @ across, ours @ across).pvalue > FALSE_ALARM
    assert stats.ks_2samp(np.linalg.norm(dense, axis=1), np.linalg.norm(ours, axis=1)).pvalue > FALSE_ALARM


@pytest.mark.parametrize("case", CASES)
def test_the_gram_matrix_has_the_mean_and_variance_of_theory(case):
    X, width, n_seeds = CASES[case], 1000, 200
    counts = np.array(
        [W.T @ W for W in ((pairs_of(drawn(width, X, "rejection", s)) @ X.T > 1.0) * 1.0 for s in range(n_seeds))]
    )
    W = np.random.default_rng(7).standard_normal((1_000_000, X.shape[1]))
    fires = (W @ X.T > 1.0).astype(np.float32)
    both = (fires.T @ fires).astype(np.float64) / len(W)
    mean = width / 2 * both  # Poisson: the variance, too
    checks = np.count_nonzero(np.triu(mean > 5))
    assert checks > 5
    limit = stats.norm.isf(FALSE_ALARM / checks)
    error = np.sqrt(mean / n_seeds + (width / 2) ** 2 * both / len(W))
    assert np.all((np.abs(counts.mean(axis=0) - mean) <= limit * error)[mean > 5])
    ratio = counts.var(axis=0, ddof=1)[mean > 5] / mean[mean > 5] * (n_seeds - 1)
    assert np.all(stats.chi2.sf(ratio, n_seeds - 1) > FALSE_ALARM / checks)
    assert np.all(stats.chi2.cdf(ratio, n_seeds - 1) > FALSE_ALARM / checks)


def test_asking_neighbours_early_does_not_change_what_is_drawn():
    X = alike(8, 5, 0.05)
    planes = Hyperplanes(X, 1.0)
    none = (np.zeros((1, 5), np.float32), np.zeros((0, 1)), np.zeros(0))
    kept = {True: [], False: []}
    asked = dropped = 0
    for seed in range(60):
        proposals = Proposals(planes, 2048, RandomStreams(seed))
        for i, chunk in proposals.chunks:
            nearest = proposals.neighbours(i)
            for early in (True, False):
                basis = nearest[0][:1]
                numbers, W = proposals.draw(i, chunk, nearest if early else (basis, *none[1:]))
                z = W @ X.T
                own = (z[:, i] > 1.0) & ~(z[:, :i] > 1.0).any(axis=1)
                kept[early].append(W[own])
                if early:
                    asked += proposals.size(i, chunk)
                    dropped += proposals.size(i, chunk) - len(numbers)
                    # what is left is nearly all kept
                    assert len(own) < 200 or own.mean() > 0.9
                else:
                    assert len(W) == proposals.size(i, chunk)
    assert dropped > 0.5 * asked
    early, late = np.concatenate(kept[True]), np.concatenate(kept[False])
    assert abs(len(early) - len(late)) < stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(len(early) + len(late))
    for direction in (X[0], X[7], np.eye(5)[4], X[3] - X[2]):
        assert stats.ks_2samp(early @ direction, late @ direction).pvalue > FALSE_ALARM


# ---------------------------------------------------------------------- one network, and its extension


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_exactly_neurons_that_fire_are_kept_each_once(case, dtype):
    X = CASES[case]
    network = drawn(20_000, X, "rejection", 0, dtype=dtype)
    W = pairs_of(network)
    assert np.all((W @ X.T).max(axis=1) > 1.0 - 100 * np.finfo(dtype).eps)
    assert len(np.unique(W, axis=0)) == len(W)
    assert np.all(np.diff(network.neurons_) > 0)
    assert np.array_equal(network.neurons_[0::2] + 1, network.neurons_[1::2])


def test_all_weights_are_standard_normal_with_the_silent_ones():
    X = CASES["spread"]
    network = drawn(100_000, X, "rejection", 3)
    W, signs = network.dense_weights()
    assert abs(len(W) - 100_000) < 2 * 5 * np.sqrt(50_000)
    assert np.array_equal(signs[0::2], -signs[1::2])
    assert np.array_equal(W[0::2], W[1::2])
    fires = (W @ X.T > 1.0).any(axis=1)
    k = network.neurons_.size
    assert fires[:k].all()
    assert not fires[k:].any()
    for column in W[::2].T:
        assert stats.kstest(column, "norm").pvalue > FALSE_ALARM
    assert np.array_equal(W, network.dense_weights()[0])


def test_networks_are_the_same_in_both_dtypes_and_for_every_number_of_threads():
    X = unit_rows(np.random.default_rng(2), 40, 6)
    networks = [
        ShiftedReLUNetwork(300_000, shift=2.5, sampling="rejection", dtype=dtype, random_state=5).initialize(
            X, n_threads=n_threads
        )
        for dtype in ("float32", "float64")
        for n_threads in (1, 2, 5)
    ]
    assert len({network.digest() for network in networks[:3]}) == len({n.digest() for n in networks[3:]}) == 1
    assert np.array_equal(networks[0].neurons_, networks[3].neurons_)
    # along a sample weights are drawn relative to it, and it is rounded to the dtype
    single, double = networks[0].materialised_weights(), networks[3].materialised_weights()
    assert np.allclose(single, double, rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_samples_that_come_later_bring_the_neurons_that_they_would_have_had_from_the_start(case):
    X = CASES[case]
    at_once = drawn(30_000, X, "rejection", 1)
    later = drawn(30_000, X[:3], "rejection", 1)
    before = later.neurons_.copy()
    later.initialize(X[2:6]).initialize(X)
    assert np.isin(before, later.neurons_).all()
    assert np.array_equal(later.neurons_, at_once.neurons_)
    assert np.array_equal(later.materialised_weights(), at_once.materialised_weights())


def test_a_sample_seen_before_brings_nothing():
    X = CASES["spread"]
    network = drawn(30_000, X, "rejection", 1)
    digest = network.digest()
    assert network.initialize(X[::-1]).initialize(X[:2]).digest() == digest


@pytest.mark.parametrize("method", ["certified", "trees"])
def test_training_on_them_is_exact(method):
    X, y = random_problem(4, 40, 6)
    network = ShiftedReLUNetwork(40_000, shift=1.5, sampling="rejection", dtype="float64", random_state=1)
    network.initialize(X)
    assert np.all(network.predict(X) == 0)
    result = NewtonTrainer(network, method=method, tol=1e-10).fit(X, y)
    assert result.status == "converged"
    W, signs = network.dense_weights()
    outputs = np.maximum(W @ X.T - network.shift_, 0).T @ signs / np.sqrt(network.width)
    assert np.abs(outputs - y).max() < 1e-9
    assert np.abs(network.predict(X) - y).max() < 1e-9


def test_set_up_reads_no_silent_neuron():
    X = unit_rows(np.random.default_rng(0), 20, 8)
    network = ShiftedReLUNetwork(10**10, shift="auto", random_state=0).initialize(X)
    assert network.sampling_ == "rejection"
    expected = 10**10 * Hyperplanes(X, network.shift_).firing.sum()
    assert 0.5 * expected < network.neurons_.size < 1.01 * expected < 10**7


def test_auto_draws_all_where_that_is_cheaper():
    X = unit_rows(np.random.default_rng(0), 50, 8)
    assert ShiftedReLUNetwork(2**14, random_state=0).initialize(X).sampling_ == "dense"
    assert ShiftedReLUNetwork(2**14, random_state=0, init="gaussian", shift=3.0).initialize(X).sampling_ == "dense"
    assert cheaper_sampling(2**30, 2, Hyperplanes(X, 5.0)) == "rejection"
    assert cheaper_sampling(2**30, 2, Hyperplanes(X, 0.5)) == "dense"


def test_a_chunk_has_the_numbers_of_a_block():
    assert 2 * PROPOSALS_PER_CHUNK == NEURONS_PER_BLOCK
    X = np.eye(2)  # several chunks a sample, the last not whole
    network = drawn(80_000, X, "rejection", 0)
    assert network.neurons_.max() > 3 * NEURONS_PER_BLOCK
    assert abs(network.neurons_.size - 80_000 * exact_share(X, 1.0)[0]) < 6 * np.sqrt(2 * 80_000)


@pytest.mark.parametrize("X", [np.zeros((2, 3)), 1e-3 * np.eye(3)])
def test_nothing_may_fire(X):
    network = drawn(1000, X, "rejection", 0, shift=2.0)
    assert network.neurons_.size == 0
    assert np.array_equal(network.predict(np.eye(3)), np.zeros(3))
    assert NewtonTrainer(network).fit(X, np.ones(len(X))).status == "singular"


def test_gaussian_networks_are_refused():
    message = "sampling='rejection' needs init='paired', got 'gaussian'"
    with pytest.raises(ValueError, match=re.escape(message)):
        ShiftedReLUNetwork(100, sampling="rejection", init="gaussian")
