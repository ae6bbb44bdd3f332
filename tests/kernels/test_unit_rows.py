"""The limit kernel of rows of unit norm: against quadrature, at each level, in products, at the ends of its range."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltrees import shifted_ntk
from sltrees._core import _simd
from sltrees._core._orthants import multiply_by_orthants
from sltrees.execution.threads import ThreadExecutor
from sltrees.kernels import unit_rows
from sltrees.kernels.any_norms import Rows, kernel_tile
from sltrees.kernels.orthants import OrthantPolynomials
from sltrees.kernels.unit_rows import UnitRowsKernel

SHIFTS = [0.0, 1e-300, 1e-6, 1e-3, 0.1, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 40.0]
BOUNDS = {np.float64: 1e-13, np.float32: 3e-6}


@pytest.fixture(params=_simd.supported_levels())
def level(request):
    before = _simd.active_level_name()
    _simd.set_active_level(request.param)
    yield request.param
    _simd.set_active_level(before)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def at_correlations(c):
    """Rows of the plane with these correlations with the first axis, as far as float64 has them."""
    half = 0.5 * np.arccos(np.clip(c, -1.0, 1.0))
    return np.array([[1.0, 0.0]]), np.stack([np.cos(2.0 * half), np.sin(2.0 * half)], axis=1)


def of_all_sizes():
    ends = 2.0 ** -np.arange(1.0, 54.0, 0.25)
    return np.concatenate([np.linspace(-1.0, 1.0, 2001), 1.0 - ends, ends - 1.0, [-0.5, 0.5, 0.0, -0.0]])


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equals_quadrature_at_all_correlations(level, shift, dtype):
    left, right = at_correlations(of_all_sizes())
    left, right = left.astype(dtype), unit(right).astype(dtype)
    expected = kernel_tile(Rows.of(left.astype(float)), Rows.of(right.astype(float)), shift)
    found = UnitRowsKernel(shift, dtype).between(left, right)
    assert found.dtype == dtype
    assert np.abs(found - expected).max() <= BOUNDS[dtype]


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_kernel_equals_its_twin(seed, level, shift, dtype):
    polynomials = OrthantPolynomials.of(shift, dtype)
    rng = np.random.default_rng(seed)
    left, right = (unit(rng.standard_normal((n, 3))).astype(dtype) for n in (5, 700))
    products = left @ right.T
    tile = products.copy()
    multiply_by_orthants(tile, left, right, *polynomials)
    assert np.allclose(tile, products * polynomials.probability(products), rtol=0, atol=BOUNDS[dtype])


@pytest.mark.parametrize("n", [1, 7, 8, 9, 15, 16, 17, 255, 256, 257, 511, 512, 513])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_nothing_beside_a_tile_is_touched(level, n, dtype):
    rng = np.random.default_rng(n)
    rows = unit(rng.standard_normal((n, 4))).astype(dtype)
    big = np.full((n + 2, n + 3), np.nan, dtype=dtype)
    UnitRowsKernel(1.0, dtype).fill(big[1:-1, 2:-1], rows, rows)
    inside = np.zeros_like(big, dtype=bool)
    inside[1:-1, 2:-1] = True
    assert np.isnan(big[~inside]).all()
    assert np.allclose(big[inside].reshape(n, n), shifted_ntk(rows.astype(float), shift=1.0), atol=BOUNDS[dtype])


def test_rows_of_zeros_and_no_rows(level):
    kernel = UnitRowsKernel(1.0)
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    K = kernel.between(rows, rows)
    assert np.array_equal(K[[0, 3]], np.zeros((2, 4)))
    assert K[1, 1] == kernel.of_itself
    assert K[1, 2] == 0.0  # no half plane at a distance is shared by opposite rows
    assert kernel.between(rows[:0], rows).shape == (0, 4)
    assert kernel.between(rows, rows[:0]).shape == (4, 0)


@given(
    d=st.integers(1, 4),
    n=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
    shift=st.floats(0.0, 10.0),
    nearness=st.floats(0.0, 1.0),
    sign=st.sampled_from([-1.0, 1.0]),
)
def test_near_copies_and_near_opposites(d, n, seed, shift, nearness, sign):
    rng = np.random.default_rng(seed)
    rows = unit(rng.standard_normal((n, d)) + 1e-9)
    others = unit(sign * rows + nearness**8 * rng.standard_normal((n, d)))
    found = UnitRowsKernel(shift).between(rows, others)
    assert np.abs(found - kernel_tile(Rows.of(rows), Rows.of(others), shift)).max() <= 1e-13


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_products_are_those_of_the_kernel_whatever_the_threads(seed, monkeypatch, n_outputs):
    for name, size in {"TILE_ROWS": 16, "TILE_COLUMNS": 32, "STRIP": 64}.items():
        monkeypatch.setattr(unit_rows, name, size)
    rng = np.random.default_rng(seed)
    X, Z = unit(rng.standard_normal((203, 5))), unit(rng.standard_normal((71, 5)))
    V, W = rng.standard_normal((71, n_outputs)), rng.standard_normal((203, n_outputs))
    kernel, results = UnitRowsKernel(1.0), []
    for n_threads in (1, 2, 3):
        with ThreadExecutor(n_threads) as executor:
            results.append((kernel.times(X, Z, V, executor), kernel.times_itself(X, W, executor)))
    assert np.allclose(results[0][0], kernel.between(X, Z) @ V, rtol=0, atol=1e-13)
    assert np.allclose(results[0][1], kernel.between(X, X) @ W, rtol=0, atol=1e-13)
    for times, times_itself in results[1:]:
        assert np.array_equal(times, results[0][0])
        assert np.array_equal(times_itself, results[0][1])


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_polynomials_are_shared_and_cannot_be_written_to(shift):
    polynomials = OrthantPolynomials.of(shift)
    assert polynomials.near is OrthantPolynomials.of(shift).near
    for array in (polynomials.near, polynomials.octaves):
        assert not array.flags.writeable


def test_the_function_of_equal_norms_and_that_of_any_norms_agree(seed):
    X = unit(np.random.default_rng(seed).standard_normal((90, 6)))
    for norm in (1.0, 3.0, 0.01):
        expected = kernel_tile(Rows.of(norm * X), Rows.of(norm * X), 1.0)
        assert np.allclose(shifted_ntk(norm * X, shift=1.0), expected, rtol=0, atol=1e-13 * norm**2)
        single = shifted_ntk(norm * X, shift=1.0, dtype="float32")
        assert single.dtype == np.float32
        assert np.allclose(single, expected, rtol=0, atol=3e-6 * norm**2)
    with pytest.raises((TypeError, ValueError), match="dtype"):
        shifted_ntk(X, dtype="int32")
    with pytest.raises(ValueError, match="must be finite in float32"):
        shifted_ntk(1e25 * X, dtype="float32")
