"""PartialCholesky: a randomly pivoted factor that grows, against the matrix itself, and solving with it."""

import numpy as np
import pytest

from sltrees.execution.inline import InlineExecutor
from sltrees.execution.threads import ThreadExecutor
from sltrees.linalg import partial_cholesky
from sltrees.linalg.partial_cholesky import PartialCholesky
from sltrees.linalg.pivoted_cholesky import pivoted_cholesky


def matrix_with(rng, eigenvalues):
    n = len(eigenvalues)
    vectors = np.linalg.qr(rng.standard_normal((n, n)))[0]
    A = (vectors * eigenvalues) @ vectors.T
    return (A + A.T) / 2


def columns_of(A):
    return lambda indices: lambda rows, some: A[rows][:, indices[some]]


def grown(A, most, executor):
    factor = PartialCholesky(np.diag(A))
    while factor.rank < most and factor.extend(columns_of(A), most - factor.rank, executor):
        pass
    return factor


def factor_of(factor):
    return np.concatenate([np.zeros((len(factor.rest), 0)), *factor._blocks], axis=1)


@pytest.mark.parametrize(("n", "most"), [(1, 1), (5, 3), (60, 60), (400, 1), (400, 150), (400, 399)])
def test_it_is_what_the_columns_at_the_pivots_span(seed, n, most):
    A = matrix_with(np.random.default_rng(seed), np.geomspace(1.0, 1e-3, n))
    with InlineExecutor() as executor:
        factor = grown(A, most, executor)
        inner = factor.inner(executor)
    S, F = factor.pivots, factor_of(factor)
    assert factor.rank == most == len(set(S))
    spanned = A[:, S] @ np.linalg.solve(A[np.ix_(S, S)], A[S])
    assert np.abs(F @ F.T - spanned).max() <= 1e-10
    assert np.abs(factor.rest - np.diag(A - spanned)).max() <= 1e-10
    assert not factor.rest[S].any()
    assert np.allclose(inner, F.T @ F, rtol=1e-12, atol=1e-14)


def test_pivots_are_those_of_the_plain_method_while_one_block_has_room(seed):
    A = matrix_with(np.random.default_rng(seed), np.geomspace(1.0, 1e-2, 500))
    plain = pivoted_cholesky(lambda indices: A[:, indices], np.diag(A), 64, np.random.default_rng(0))
    with InlineExecutor() as executor:
        factor = grown(A, 64, executor)
    assert np.array_equal(factor.pivots, plain.pivots)
    assert np.allclose(factor_of(factor), plain.factor, rtol=0, atol=1e-11)
    assert np.allclose(factor.rest, plain.rest, rtol=0, atol=1e-12)


def test_where_growth_stops_in_between_makes_no_difference(seed):
    A = matrix_with(np.random.default_rng(seed), np.geomspace(1.0, 1e-3, 500))
    with InlineExecutor() as executor:
        at_once, in_parts = grown(A, 400, executor), PartialCholesky(np.diag(A))
        while in_parts.rank < 400:
            in_parts.extend(columns_of(A), 400 - in_parts.rank, executor)
            in_parts.inverse(0.1, executor)
        v = np.random.default_rng(seed).standard_normal(500)
        assert np.array_equal(at_once.pivots, in_parts.pivots)
        assert np.array_equal(at_once.inner(executor), in_parts.inner(executor))
        assert np.array_equal(at_once.inverse(0.1, executor)(v), in_parts.inverse(0.1, executor)(v))


def test_no_bit_depends_on_the_number_of_threads(seed, monkeypatch):
    monkeypatch.setattr(partial_cholesky, "_PANEL_ROWS", 64)
    A = matrix_with(np.random.default_rng(seed), np.geomspace(1.0, 1e-3, 500))
    v, seen = np.random.default_rng(seed).standard_normal(500), set()
    for n_threads in (1, 2, 3):
        with ThreadExecutor(n_threads) as executor:
            factor = grown(A, 300, executor)
            seen.add((factor.pivots.tobytes(), factor.rest.tobytes(), factor.inverse(0.1, executor)(v).tobytes()))
    assert len(seen) == 1


def test_it_ends_where_the_matrix_is_spanned(seed):
    rng = np.random.default_rng(seed)
    B = rng.standard_normal((200, 12))
    B[50:100] = B[:50]  # equal samples
    B[120:130] = 0
    A = B @ B.T
    with InlineExecutor() as executor:
        factor = grown(A, 100, executor)
        assert factor.is_exhausted
        assert factor.rank == 12
        assert not factor.extend(columns_of(A), 10, executor)
        nothing = grown(np.zeros((5, 5)), 3, executor)
        assert nothing.rank == 0
        assert nothing.is_exhausted
        assert np.array_equal(nothing.inverse(2.0, executor)(np.ones(5)), np.full(5, 0.5))


@pytest.mark.parametrize("shift", [1e-6, 1.0, 1e3])
def test_it_solves_with_the_part_that_it_knows(seed, shift):
    rng = np.random.default_rng(seed)
    A, v = matrix_with(rng, np.geomspace(1.0, 1e-6, 300)), rng.standard_normal(300)
    with ThreadExecutor(2) as executor:
        factor = grown(A, 200, executor)
        x = factor.inverse(shift, executor)(v)
    F = factor_of(factor)
    expected = np.linalg.solve(F @ F.T + shift * np.eye(300), v)
    assert np.linalg.norm(x - expected) <= 1e-14 * (1 + 1 / shift) * np.linalg.norm(expected)


def test_what_fails_leaves_it_as_it_was():
    A = np.eye(50)
    with InlineExecutor() as executor:
        factor = grown(A, 10, executor)
        pivots = factor.pivots

        def broken(indices):
            def part(rows, some):
                if isinstance(rows, slice):
                    raise MemoryError
                return A[rows][:, indices[some]]

            return part

        with pytest.raises(MemoryError):
            factor.extend(broken, 5, executor)
        assert factor.pivots is pivots
        assert factor_of(factor).shape == (50, 10)
        assert factor.extend(columns_of(A), 5, executor)
