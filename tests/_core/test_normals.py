"""Normal numbers: the bits of NumPy's SFC64, the formula of Box and Muller, at every level the same."""

import numpy as np
import pytest
from scipy import stats

from sltrees._core import _normals, _simd

STREAMS, POINTS = 16, 1024


def normals(entropy, shape, level=None):
    before = _simd.active_level_name()
    _simd.set_active_level(level or before)
    try:
        out = np.full(shape, np.nan, dtype=np.float32)
        _normals.fill_normals(np.random.SeedSequence(entropy), out)
        return out
    finally:
        _simd.set_active_level(before)


def by_definition(entropy, n_chunks):
    """In double precision, shape (n_chunks, 2, POINTS), from NumPy's own generator; and the radii."""
    state = np.random.SeedSequence(entropy).generate_state(3 * STREAMS, np.uint64).reshape(STREAMS, 3)
    words = np.empty((n_chunks * POINTS // STREAMS, STREAMS), dtype=np.uint64)
    for j in range(STREAMS):
        generator = np.random.SFC64()
        generator.state = generator.state | {"state": {"state": np.append(state[j], np.uint64(1))}}
        generator.random_raw(12)
        words[:, j] = generator.random_raw(len(words))
    upper, lower = (words >> np.uint64(32)).astype(float), (words & np.uint64(2**32 - 1)).astype(float)
    radius = np.sqrt(-2 * np.where(upper < 2**31, np.log((upper + 0.5) / 2**32), np.log1p((upper + 0.5) / 2**32 - 1)))
    angle = (2 * np.pi * (lower + 0.5) / 2**32).reshape(n_chunks, 1, POINTS)
    radius = radius.reshape(n_chunks, 1, POINTS)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1), radius


@pytest.mark.parametrize("level", _simd.supported_levels())
def test_the_formula(seed, level):
    expected, radius = by_definition(seed, 200)
    found = normals(seed, expected.shape, level)
    assert np.all(np.abs(found - expected) <= 3 * np.spacing(radius.astype(np.float32)))
    # and numbers near 0 are as fine as all others
    assert np.all(np.abs(found - expected) <= 4e-7 * np.abs(expected))


@pytest.mark.parametrize("level", _simd.supported_levels())
@pytest.mark.parametrize("n", [0, 1, 31, 33, 2047, 2048, 2049, 10_000])
def test_every_level_gives_the_same_bits_and_fewer_are_a_beginning_of_more(seed, level, n):
    longer = normals(seed, 20_000, "portable")
    assert normals(seed, n, level).tobytes() == longer[:n].tobytes()


def test_nothing_is_written_beyond_the_end():
    out = np.full(3000, np.nan, dtype=np.float32)
    _normals.fill_normals(np.random.SeedSequence(0), out[100:2900])
    assert np.flatnonzero(~np.isnan(out)).tolist() == list(range(100, 2900))


def test_distribution():
    # 4 million numbers of 16 seeds, as a network has them: chances of failure below 1e-4 each, for fixed seeds
    x = np.stack([normals([0, block], 2**18) for block in range(16)])
    z = x.ravel().astype(float)
    assert stats.kstest(z, "norm").pvalue > 1e-4
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert abs(np.mean(z**power) - mean) < 4 * np.sqrt(variance / z.size), power
    for limit in (1, 2, 3, 4, 5):
        for side in (-1, 1):
            expected = z.size * stats.norm.sf(limit)
            assert abs(np.count_nonzero(side * z > limit) - expected) < 4 * np.sqrt(expected) + 1
    assert np.abs(z).max() < 6.77


def test_independence():
    # along a block at lags that its making could betray: streams, steps, cosine and sine of a point, chunks
    x = np.stack([normals([1, block], 2**18) for block in range(16)]).astype(float)
    for transform in (lambda z: z, lambda z: (z**2 - 1) / np.sqrt(2), np.sign):
        y = transform(x)
        for lag in (1, 2, 8, 16, 32, 64, 1024, 2048, 4096):
            assert abs(np.mean(y[:, lag:] * y[:, :-lag])) < 4.5 / np.sqrt(y[:, lag:].size), lag
        blocks = y @ y.T / y.shape[1]
        assert np.abs(blocks[~np.eye(16, dtype=bool)]).max() < 4.5 / np.sqrt(y.shape[1])
    # coordinates as weight vectors have them: their Gram matrix is what training is about
    vectors = x.reshape(-1, 64)
    covariance = vectors.T @ vectors / len(vectors)
    assert np.abs(covariance - np.eye(64)).max() < 5 * np.sqrt(2 / len(vectors))
    assert stats.kstest((vectors**2).sum(axis=1), stats.chi2(64).cdf).pvalue > 1e-4
