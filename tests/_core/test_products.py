"""Products of rows with columns: right at every level, and the same bits whatever is multiplied at once."""

from fractions import Fraction

import numpy as np
import pytest

from sltrees._core import _simd
from sltrees._core._products import Columns

LEVELS = _simd.supported_levels()
# around groups of rows, blocks, and groups of blocks
COUNTS = (1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130)

levels = pytest.mark.parametrize("level", LEVELS)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(autouse=True)
def _level_as_before():
    before = _simd.active_level_name()
    yield
    _simd.set_active_level(before)


def draw(rng, n, d, dtype):
    return (rng.standard_normal((n, d)) * 10.0 ** rng.integers(-3, 4, (n, d))).astype(dtype)


def products(level, rows, vectors):
    _simd.set_active_level(level)
    return Columns(vectors).times(rows)


@levels
@dtypes
@pytest.mark.parametrize("d", [1, 2, 16, 17, 100])
def test_products_are_those_of_integers(seed, level, dtype, d):
    rng = np.random.default_rng(seed)
    for n in COUNTS:
        for k in (0, 1, 7, 8, 9, 20):
            rows, vectors = (rng.integers(-9, 10, (m, d)).astype(dtype) for m in (k, n))
            found = products(level, rows, vectors)
            assert found.dtype == dtype
            assert np.array_equal(found, rows @ vectors.T)


@levels
@dtypes
@pytest.mark.parametrize("d", [1, 5, 64, 301])
def test_a_product_depends_on_its_two_vectors_alone(seed, level, dtype, d):
    rng = np.random.default_rng(seed)
    rows, vectors = draw(rng, 37, d, dtype), draw(rng, 83, d, dtype)
    expected = products(level, rows, vectors)
    assert np.array_equal(products(level, vectors, rows), expected.T)
    for _ in range(20):
        some, others = (rng.integers(0, n, rng.integers(1, n)) for n in (37, 83))
        assert np.array_equal(products(level, rows[some], vectors[others]), expected[np.ix_(some, others)])


@levels
@dtypes
def test_sums_are_in_order(seed, level, dtype):
    """Each step is rounded once where products are fused with sums, else twice: from exact fractions.

    So levels that fuse agree bit for bit.
    """
    rng = np.random.default_rng(seed)
    rows, vectors = draw(rng, 9, 40, dtype), draw(rng, 18, 40, dtype)
    found = products(level, rows, vectors)

    def summed(a, b, fused):
        total = dtype(0)
        for x, y in zip(a, b, strict=True):
            if fused:
                total = rounded(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(total)), dtype)
            else:
                total = dtype(dtype(x * y) + total)
        return total

    fused = [[summed(a, b, True) for b in vectors] for a in rows]
    apart = [[summed(a, b, False) for b in vectors] for a in rows]
    assert not np.array_equal(fused, apart)
    assert np.array_equal(found, fused) or (level in ("portable", "neon") and np.array_equal(found, apart))


def rounded(fraction, dtype):
    """The nearest number of the dtype to a fraction, ties to even."""
    guess = dtype(float(fraction))
    near = [np.nextafter(guess, dtype(-np.inf)), guess, np.nextafter(guess, dtype(np.inf))]
    distance = [abs(Fraction(float(number)) - fraction) for number in near]
    least = [number for number, far in zip(near, distance, strict=True) if far == min(distance)]
    bits = np.uint32 if dtype is np.float32 else np.uint64
    return min(least, key=lambda number: int(number.view(bits)) & 1)


@dtypes
def test_vectors_are_copied_and_told(seed, dtype):
    given = draw(np.random.default_rng(seed), 19, 5, dtype)
    columns = Columns(given)
    expected = given.copy()
    given[:] = 0
    assert np.array_equal(columns.vectors, expected)
    assert (columns.n, columns.d) == (19, 5)
    assert columns.nbytes <= Columns.bytes_needed(19, 5, dtype)
    with pytest.raises(ValueError, match="read-only"):
        columns.vectors[0, 0] = 1
    level = _simd.active_level_name()
    before = columns.times(expected)
    _simd.set_active_level("portable")
    assert np.array_equal(columns.times(expected), before), f"made at {level}, and stays there"
