"""Estimates before a network is drawn: held against formulas where there are some, and against drawing where not.

Statistics have fixed seeds, and thresholds for a false-alarm rate of 1e-6 each.
"""

import re
import tracemalloc

import numpy as np
import pytest
from problems import unit_rows
from scipy import stats
from scipy.special import ndtr

from sltrees.datasets.parity import digits_parity
from sltrees.methods.certified.skin import SKINS
from sltrees.network import population
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.population import Population

FALSE_ALARM = 1e-6
LIMIT = stats.norm.isf(FALSE_ALARM / 2)
DTYPES = [np.float32, np.float64]
SOME_SKINS = (0.0, 0.5, 1.25, 2.0)


def alike(n, d, spread, seed=0):
    """Unit rows around one direction: what fires on one of them mostly fires on others, too."""
    X = np.eye(d)[0] + spread * np.random.default_rng(seed).standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def clusters():
    """A hundred rows around each of three directions, and seven by themselves."""
    rng = np.random.default_rng(3)
    X = np.repeat(np.eye(10)[:3], 100, axis=0) + 0.03 * rng.standard_normal((300, 10))
    X = np.concatenate([X, np.eye(10)[3:]])
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def awkward():
    """Rows of several norms, one of them twice, one along another, one of zeros, one so short that it never fires."""
    X = alike(6, 4, 0.3) * np.array([1.0, 0.5, 2.0, 1.0, 1.5, 1.0])[:, None]
    return np.concatenate([X, X[1:2], 0.5 * X[2:3], np.zeros((1, 4)), 0.01 * X[:1]])


CASES = {
    "spread": unit_rows(np.random.default_rng(1), 8, 4),
    "alike": alike(30, 5, 0.1),
    "clusters": clusters(),
    "awkward": awkward(),
    "one": np.array([[0.3, -0.4, 1.2]]),
    "opposite": np.array([[1.0, 0.0], [-1.0, 0.0], [-0.7, 0.1]]),
}


def drawn(X, shift, n_draws, skins):
    """Share of fresh draws that fire on a sample, and the mean lengths of their near lists, with standard errors."""
    planes = Hyperplanes(np.asarray(X, dtype=np.float64), shift)
    directions, offsets = planes.directions[planes.live, : X.shape[1]], planes.offsets[planes.live]
    stream = np.random.Generator(np.random.SFC64(99))
    near = []
    chunk = 1 << 13
    for _ in range(-(-n_draws // chunk)):
        distances = stream.standard_normal((chunk, X.shape[1])) @ directions.T - offsets
        distances = distances[(distances > 0).any(axis=1)]
        near.append([np.count_nonzero(distances > -skin, axis=1) for skin in skins])
    near, n_draws = np.concatenate(near, axis=1), chunk * len(near)
    share = near.shape[1] / n_draws
    return share, np.sqrt(share * (1 - share) / n_draws), near.mean(axis=1), near.std(axis=1) / np.sqrt(near.shape[1])


def with_seeds(monkeypatch, planes, n_seeds):
    """The population of the same planes from several random streams."""
    found = []
    for seed in range(n_seeds):
        monkeypatch.setattr(population, "_SEED", seed)
        found.append(Population(planes))
    return found


def assert_mean_is(estimates, exact, error=0.0):
    """Estimates have a mean, their spread taken from themselves."""
    estimates = np.asarray(estimates)
    limit = stats.t.isf(FALSE_ALARM / 2, len(estimates) - 1)
    own = estimates.std(ddof=1) / np.sqrt(len(estimates))
    assert abs(estimates.mean() - exact) <= limit * np.hypot(own, error) + 1e-7 * exact  # what is too rare to be met


# ---------------------------------------------------------------------- against formulas


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "shift"), [(20, 0.0), (50, 1.0), (50, 2.5), (300, 4.0), (20, 12.0)])
def test_orthogonal_samples_are_independent(monkeypatch, dtype, n, shift):
    planes = Hyperplanes(np.eye(n, dtype=dtype), shift)
    p = ndtr(-planes.offsets[0])
    share = -np.expm1(n * np.log1p(-p))
    one = Population(planes)
    assert abs(one.share - share) <= LIMIT * one.share_error + 1e-9 * share
    found = with_seeds(monkeypatch, planes, 20)
    assert_mean_is([f.share for f in found], share)
    assert_mean_is([f.fired_per_draw for f in found], n * p / share)
    for skin in SKINS:
        p_near = ndtr(skin - shift)
        # all near pairs but those of draws that fire on no sample: they are near to this one, and silent on the others
        near = n * p + n * (p_near - p) * -np.expm1((n - 1) * np.log1p(-p))
        assert_mean_is([f.near_per_draw(skin) for f in found], near / share)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shift", [0.0, 1.0, 3.8, 20.0])
def test_samples_all_the_same_count_once(dtype, shift):
    row = np.random.default_rng(0).standard_normal(7)
    planes = Hyperplanes(np.tile((row / np.linalg.norm(row)).astype(dtype), (40, 1)), shift)
    found = Population(planes)
    assert found.share == pytest.approx(planes.firing[0], rel=1e-12)
    assert found.share_error <= 1e-12 * found.share
    assert found.fired_per_draw == pytest.approx(40, rel=1e-12)
    assert [found.near_per_draw(skin) for skin in SOME_SKINS] == pytest.approx([40] * 4, rel=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_sample(dtype):
    planes = Hyperplanes(np.array([[0.0, 2.0, 0.0]], dtype=dtype), shift=3.0)
    found = Population(planes)
    assert found.share == pytest.approx(ndtr(-1.5), rel=1e-6)
    assert (found.share_error, found.fired_per_draw) == (0.0, pytest.approx(1.0))
    assert [found.near_per_draw(skin) for skin in SOME_SKINS] == pytest.approx([1.0] * 4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_one_feature(monkeypatch, dtype, shift):
    planes = Hyperplanes(np.array([[1.0], [2.0], [0.7], [-1.25], [-0.5], [0.0], [1.0]], dtype=dtype), shift)
    right, left = planes.offsets[[0, 1, 2, 6]], planes.offsets[[3, 4]]
    share = ndtr(-right.min()) + ndtr(-left.min())

    def near_and_kept(offsets, others, skin):
        # a weight near to a hyperplane on its side of zero is kept for that side, or else for the other one
        own = ndtr(-np.maximum(offsets - skin, offsets.min()))
        return (own + np.maximum(0.0, ndtr(-others.min()) - ndtr(offsets - skin))).sum()

    found = with_seeds(monkeypatch, planes, 20)
    assert_mean_is([f.share for f in found], share)
    for skin in SOME_SKINS:
        near = near_and_kept(right, left, skin) + near_and_kept(left, right, skin)
        assert_mean_is([f.near_per_draw(skin) for f in found], near / share)


def test_a_copy_of_every_sample_changes_no_share():
    X = CASES["spread"]
    once, thrice = (Population(Hyperplanes(np.tile(X, (k, 1)), 1.0)) for k in (1, 3))
    assert abs(once.share - thrice.share) <= LIMIT * np.hypot(once.share_error, thrice.share_error)
    assert thrice.fired_per_draw == pytest.approx(3 * once.fired_per_draw, rel=0.1)


# ---------------------------------------------------------------------- against drawing


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("case", CASES)
def test_as_found_by_drawing(monkeypatch, case, shift, dtype):
    X = CASES[case]
    share, share_error, near, near_error = drawn(X, shift, 1 << 17, SOME_SKINS)
    planes = Hyperplanes(X.astype(dtype), shift)
    one = Population(planes)
    assert abs(one.share - share) <= LIMIT * np.hypot(one.share_error, share_error)
    found = with_seeds(monkeypatch, planes, 10)
    assert_mean_is([f.share for f in found], share, share_error)
    for k, skin in enumerate(SOME_SKINS):
        assert_mean_is([f.near_per_draw(skin) for f in found], near[k], near_error[k])


@pytest.mark.parametrize("case", ["spread", "alike", "clusters", "awkward"])
def test_the_standard_error_is_no_less_than_the_spread(monkeypatch, case):
    n_seeds = 100
    found = with_seeds(monkeypatch, Hyperplanes(CASES[case], 1.5), n_seeds)
    ratio = np.var([f.share for f in found], ddof=1) / np.mean([f.share_error**2 for f in found])
    # not above 1, nor far below it
    assert stats.chi2.sf(ratio * (n_seeds - 1), n_seeds - 1) > FALSE_ALARM
    assert ratio > 0.05


@pytest.mark.parametrize("shift", [2.5, 3.8])
def test_digits(shift):
    X = digits_parity()[0]
    planes = Hyperplanes(X, shift)
    found = Population(planes)
    share, _, near, _ = drawn(X, shift, 1 << 18, SKINS)
    assert found.share == pytest.approx(share, rel=0.05)
    assert found.share < 0.8 * planes.materialised_share  # what it is for
    assert [found.near_per_draw(skin) for skin in SKINS] == pytest.approx(near, rel=0.05)


def test_samples_whose_kinds_alternate_are_drawn_of_each(monkeypatch):
    for name in ("FEWEST_PROPOSALS", "MOST_PROPOSALS"):
        monkeypatch.setattr(population, name, 128)
    X = np.eye(257)[np.arange(512) // 2]
    X[1::2] = np.eye(257)[256]  # every other one the same
    planes = Hyperplanes(X, shift=2.0)
    share = -np.expm1(257 * np.log1p(-ndtr(-2.0)))
    found = with_seeds(monkeypatch, planes, 20)
    assert_mean_is([f.share for f in found], share)
    assert all(abs(f.share - share) <= LIMIT * f.share_error for f in found)


def test_samples_are_drawn_as_often_as_expected():
    probabilities = np.array([0.01, 0.0, 0.3, 0.002, 0.1, 0.1, 0.088])
    expected, n_streams = 20 * probabilities / probabilities.sum(), 3000
    counts = np.empty((n_streams, len(probabilities)))
    for seed in range(n_streams):
        stream = np.random.Generator(np.random.SFC64(seed))
        counts[seed] = np.bincount(population._drawn_evenly(probabilities, 20, stream), minlength=len(probabilities))
    assert np.all((np.floor(expected - 1e-9) <= counts) & (counts <= np.ceil(expected + 1e-9)))
    part = expected % 1.0  # rounded up with this probability
    error = np.sqrt(part * (1.0 - part) / n_streams)
    limit = stats.norm.isf(FALSE_ALARM / 2 / len(probabilities))
    assert np.all(np.abs(counts.mean(axis=0) - expected) <= limit * error + 1e-9)


# ---------------------------------------------------------------------- what follows from the definitions


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("case", CASES)
def test_bounds(case, shift):
    planes = Hyperplanes(CASES[case], shift)
    found = Population(planes)
    assert planes.firing.max() - LIMIT * found.share_error <= found.share * (1 + 1e-12)
    assert 0 < found.share <= planes.materialised_share
    assert found.share * found.fired_per_draw == pytest.approx(planes.firing.sum(), rel=1e-12)
    assert found.near_per_draw(0.0) == pytest.approx(found.fired_per_draw, rel=1e-12)
    near = np.array([found.near_per_draw(skin) for skin in np.linspace(0, 2, 301)])
    assert np.all(np.diff(near) >= 0)
    assert near.max() <= np.count_nonzero(planes.live)


def test_near_lists_are_linear_between_steps():
    found = Population(Hyperplanes(CASES["clusters"], 2.0))
    begin, end = found.near_per_draw(1.0), found.near_per_draw(1.0 + 1 / 64)
    assert begin < end
    assert found.near_per_draw(1.0 + 1 / 256) == pytest.approx(0.75 * begin + 0.25 * end)


def test_near_lists_are_exact_at_whole_steps():
    found = Population(Hyperplanes(np.array([[1.0], [0.5]]), shift=1.0))
    # what fires on the nearer one of two parallel hyperplanes at a distance of 1 is nearer than 1 to the other
    assert found.near_per_draw(1.0) == pytest.approx(2.0, rel=1e-12)
    one_step_less = 1.0 + ndtr(-1.0 - 1 / 64) / ndtr(-1.0)
    assert found.near_per_draw(1.0 - 1 / 64) == pytest.approx(one_step_less, abs=0.01)


def test_rows_of_zeros_are_as_if_they_were_not_there():
    X = CASES["clusters"]
    with_zeros = np.insert(X, [0, 7, 7, len(X)], 0.0, axis=0)
    found, expected = (Population(Hyperplanes(rows, 2.0)) for rows in (with_zeros, X))
    assert vars(found).keys() == vars(expected).keys()
    assert all(np.array_equal(vars(found)[key], vars(expected)[key]) for key in vars(found))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("X", [np.zeros((3, 2)), 1e-3 * np.eye(3)])
def test_nothing_may_fire(X, dtype):
    found = Population(Hyperplanes(X.astype(dtype), shift=2.0))
    assert (found.share, found.share_error, found.fired_per_draw) == (0.0, 0.0, 0.0)
    assert [found.near_per_draw(skin) for skin in SOME_SKINS] == [0.0] * 4


@pytest.mark.parametrize("shift", [37.0, 38.0, 38.4, 38.45])
def test_probabilities_about_the_smallest_number(shift):
    planes = Hyperplanes(np.concatenate([np.eye(3), 0.5 * np.eye(3)]), shift)
    found = Population(planes)
    assert 0 < found.share <= planes.materialised_share
    assert found.fired_per_draw == pytest.approx(1.0)
    assert 1.0 <= found.near_per_draw(2.0) <= 6.0


def test_the_same_again_and_no_other_random_numbers_are_used():
    planes = Hyperplanes(CASES["clusters"], 2.0)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = Population(planes), Population(planes)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    assert first.share == second.share
    assert first.near_per_draw(0.9) == second.near_per_draw(0.9)


def test_both_dtypes_of_the_same_samples():
    X = CASES["clusters"].astype(np.float32)
    single, double = (Population(Hyperplanes(X.astype(dtype), 2.0)) for dtype in DTYPES)
    assert single.share == pytest.approx(double.share, rel=1e-3)
    assert single.near_per_draw(1.0) == pytest.approx(double.near_per_draw(1.0), rel=1e-3)


@pytest.mark.parametrize("skin", [-0.1, 2.01, np.inf, np.nan])
def test_skins_out_of_range_are_refused(skin):
    found = Population(Hyperplanes(np.eye(2), 1.0))
    with pytest.raises(ValueError, match=re.escape(f"skin must be in [0, 2], got {skin}")):
        found.near_per_draw(skin)
    assert max(SKINS) <= population.MAX_SKIN


# ---------------------------------------------------------------------- cost


@pytest.mark.parametrize("at_a_time", [1, 1000, 1 << 30])
def test_the_size_of_blocks_changes_nothing(monkeypatch, at_a_time):
    planes = Hyperplanes(CASES["clusters"], 2.0)
    expected = Population(planes)
    monkeypatch.setattr(population, "NUMBERS_AT_A_TIME", at_a_time)
    found = Population(planes)
    assert found.share == pytest.approx(expected.share, rel=1e-9)
    assert found.near_per_draw(1.0) == pytest.approx(expected.near_per_draw(1.0), rel=1e-9)


def test_proposals_are_fewer_where_each_costs_more(monkeypatch):
    sizes = []
    drawn_evenly = population._drawn_evenly
    monkeypatch.setattr(
        population, "_drawn_evenly", lambda p, size, stream: sizes.append(size) or drawn_evenly(p, size, stream)
    )
    planes = Hyperplanes(CASES["alike"], 1.0)
    share, share_error, *_ = drawn(CASES["alike"], 1.0, 1 << 17, [0.0])
    for multiplications in (1 << 31, 1000 * (30 * 5 + 128 * (30 + 5)), 1):
        monkeypatch.setattr(population, "MULTIPLICATIONS", multiplications)
        found = Population(planes)
        assert abs(found.share - share) <= LIMIT * np.hypot(found.share_error, share_error)
    assert sizes == [4096, 1000, 256]


@pytest.mark.parametrize("shape", [(20_000, 30), (2, 100_000)])
def test_memory_is_bounded(shape):
    rng = np.random.default_rng(0)
    planes = Hyperplanes(rng.standard_normal(shape) / np.sqrt(shape[1]), 3.0)
    tracemalloc.start()
    Population(planes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # directions twice, and some arrays of as many numbers as are held at a time
    assert peak < 16 * shape[0] * shape[1] + 8 * 6 * max(population.NUMBERS_AT_A_TIME, *shape) + 1e6
