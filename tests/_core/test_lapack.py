"""Triangular factors by LAPACK, against NumPy."""

import numpy as np
import pytest

from sltrees._core import _lapack


def triangular(rng, n):
    """A lower triangular matrix in Fortran order, with garbage above its diagonal; and the same without."""
    lower = np.asfortranarray(rng.standard_normal((n, n)) / n + 2.0 * np.eye(n))
    return lower, np.tril(lower)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 130])
def test_factor_and_inverse(seed, n):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((n, n + 2))
    A = root @ root.T + np.eye(n)
    factor = np.asfortranarray(np.tril(A) + np.triu(np.full((n, n), np.nan), 1))  # what is above is not read
    assert _lapack.factorise(factor) is True
    assert np.allclose(np.tril(factor), np.linalg.cholesky(A), rtol=1e-12, atol=1e-12)
    _lapack.invert(factor)
    assert np.allclose(np.tril(factor), np.linalg.inv(np.linalg.cholesky(A)), rtol=1e-10, atol=1e-12)


def test_there_is_no_factor_of_an_indefinite_matrix():
    assert _lapack.factorise(np.asfortranarray(np.diag([1.0, -1.0]))) is False


@pytest.mark.parametrize("n", [1, 2, 7, 130])
@pytest.mark.parametrize("m", [0, 1, 3, 40])
def test_solutions_in_place_of_parts_of_arrays(seed, n, m):
    rng = np.random.default_rng(seed)
    lower, L = triangular(rng, n)
    whole = rng.standard_normal((m + 2, n + 5))
    before, rows = whole.copy(), whole[1 : m + 1, 2 : n + 2]
    _lapack.divide_rows(lower, rows)
    assert np.allclose(rows @ L.T, before[1 : m + 1, 2 : n + 2], rtol=1e-10, atol=1e-12)
    rows[...] = before[1 : m + 1, 2 : n + 2]
    assert np.array_equal(whole, before)  # and so nothing else was written to
    for transposed in (False, True):
        whole = rng.standard_normal((n + 2, m + 5))
        before, columns = whole.copy(), whole[1 : n + 1, 2 : m + 2]
        _lapack.divide_columns(lower, columns, transposed)
        assert np.allclose((L.T if transposed else L) @ columns, before[1 : n + 1, 2 : m + 2], rtol=1e-10, atol=1e-12)
        columns[...] = before[1 : n + 1, 2 : m + 2]
        assert np.array_equal(whole, before)
