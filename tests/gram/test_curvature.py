"""Systems with curvatures, (G + c diag(1/h)) g = r: all ways of holding G solve them, and go on with what there is."""

import numpy as np
import pytest

from sltrees.execution.inline import InlineExecutor
from sltrees.execution.threads import ThreadExecutor
from sltrees.gram import HELD_AS, GramMatrix
from sltrees.gram.forcing import Forcing
from sltrees.gram.shared import SharedGram
from sltrees.linalg.partial_cholesky import PartialCholesky

N = 260  # old factors are used from 256 on
ACCURACY = {"array": 1e-9, "products": 1e-9, "preconditioned": 1e-9, "sketch": 1e-4}


def matrix_of(seed=0):
    """A positive definite matrix whose eigenvalues fall by 100."""
    rng = np.random.default_rng(seed)
    root = np.linalg.qr(rng.standard_normal((N, N)))[0] * np.geomspace(1.0, 0.1, N)
    return root @ root.T


def curvatures(seed=0):
    return np.random.default_rng(seed).permutation(np.geomspace(1e-4, 1.0, N))


def held(name, matrix):
    """G in a way of holding it, and a function that changes it to another one."""
    current = [matrix]
    if name == "array":
        gram = HELD_AS[name](np.eye(N), width=1)
        gram._products = matrix
        gram.counts[...] = np.triu(np.ones((N, N), dtype=int))

        def change(other, executor):
            gram._products = other
            gram.refresh(executor)

        return gram, change
    arguments = [lambda v: current[0] @ v, lambda: current[0].diagonal(), N]
    if name == "sketch":
        arguments.append(lambda executor: 1.1 * current[0])
    if name == "preconditioned":
        arguments.append(lambda indices: lambda rows, some: current[0][rows][:, indices[some]])
    gram = HELD_AS[name](*arguments)

    def change(other, executor):
        current[0] = other
        gram.refresh(executor)

    return gram, change


@pytest.mark.parametrize("name", HELD_AS)
def test_solutions_are_those_of_dense_algebra(name):
    matrix = matrix_of()
    right = np.random.default_rng(1).standard_normal(N)
    with ThreadExecutor(2) as executor:
        gram, change = held(name, matrix)
        change(matrix, executor)
        for step in range(4):  # curvatures change little, and so does G: old factors and sketches serve
            matrix = matrix + 10.0 ** (-3 - step) * matrix_of(step + 1)
            change(matrix, executor)
            h = curvatures() * np.exp(10.0 ** (-1 - step) * np.random.default_rng(step).standard_normal(N))
            for c in (1e-2, 1e-3) if step == 0 else (1e-3,):
                expected = np.linalg.solve(matrix + np.diag(c / h), right)
                g = gram.solve(c, right, executor, curvature=h)
                # in the norm of the system: where curvature vanishes, so does g
                distance = np.linalg.norm((g - expected) / np.sqrt(h)) / np.linalg.norm(expected / np.sqrt(h))
                assert distance < ACCURACY[name]
        if name in ("array", "sketch"):
            undamped, expected = gram.solve(0.0, right, executor, curvature=h), np.linalg.solve(matrix, right)
            assert np.linalg.norm(undamped - expected) < 1e-3 * np.linalg.norm(expected)
    if name == "array":
        assert gram.n_factorisations < 6  # of six systems
        assert gram.n_cg_steps > 0
    assert np.allclose(gram.product(right), matrix @ right)  # G itself stays what it is


@pytest.mark.parametrize("name", HELD_AS)
def test_curvatures_of_one_are_none(name):
    matrix, right = matrix_of(), np.random.default_rng(1).standard_normal(N)
    with InlineExecutor() as executor:
        found = []
        for curvature in (None, np.ones(N)):
            gram, change = held(name, matrix)
            change(matrix, executor)
            found.append(gram.solve(1e-2, right, executor, curvature=curvature))
    assert np.allclose(*found, rtol=1e-6)


@pytest.mark.parametrize("name", HELD_AS)
def test_what_is_made_again_solves_bit_for_bit_as_the_first_did(name):
    matrices, hs = [matrix_of(), matrix_of() + 1e-3 * matrix_of(3)], [curvatures(), 1.1 * curvatures() + 1e-7]
    right = np.random.default_rng(5).standard_normal(N)
    with InlineExecutor() as executor:
        (first, change_first), (second, change_second) = (held(name, matrices[0]) for _ in range(2))
        for change in (change_first, change_second):
            change(matrices[0], executor)
        first.solve(1e-2, right, executor, curvature=hs[0])
        if first.solver_state().n_made:
            assert second.make_preconditioner(first.solver_state(), executor, hs[0])
        second.resume(first.solver_state())
        for change in (change_first, change_second):
            change(matrices[1], executor)
        for c in (1e-2, 3e-3):
            solutions = [gram.solve(c, right, executor, curvature=hs[1]) for gram in (first, second)]
            assert np.array_equal(*solutions)
            assert first.solver_state() == second.solver_state()


def test_forcing_is_that_of_the_symmetric_system():
    matrix, h = matrix_of(), curvatures()
    right = np.random.default_rng(1).standard_normal(N)
    roots = np.sqrt(h)
    value = 0.5 * float(np.sum((roots * right) ** 2))
    with InlineExecutor() as executor:
        gram, change = held("preconditioned", matrix)
        change(matrix, executor)
        exact = np.linalg.solve(matrix + np.diag(1e-3 / h), right)
        for share in (0.1, 1e-3):
            g = gram.solve(1e-3, right, executor, Forcing(value, share, share, 0.0, 0.0), curvature=h)
            u, error = g / roots, (g - exact) / roots
            step = np.sqrt(error @ (roots * (matrix @ (roots * error))) + 1e-3 * error @ error)
            whole = np.sqrt(u @ (roots * (matrix @ (roots * u))) + 1e-3 * u @ u)
            assert step <= 3 * share * whole
        assert np.linalg.norm(error) < np.linalg.norm(u)


def test_a_factor_that_is_lent_is_of_the_same_curvatures():
    def make():
        gram, change = held("array", matrix_of())
        change(matrix_of(), executor)
        return gram

    right, shared = np.random.default_rng(1).standard_normal(N), SharedGram()
    with InlineExecutor() as executor:
        gram = shared.fork(make)
        shared.factorise(gram, 1e-2, executor)
        assert isinstance(gram, GramMatrix)
        h = curvatures()
        expected = np.linalg.solve(matrix_of() + np.diag(1e-2 / h), right)
        assert np.allclose(gram.solve(1e-2, right, executor, curvature=h), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rank", [0, 200])
def test_the_curved_inverse_of_a_partial_factor(rank):
    matrix, h = matrix_of(), curvatures()
    factor = PartialCholesky(np.diag(matrix))
    roots, v = np.sqrt(h), np.random.default_rng(2).standard_normal(N)
    with InlineExecutor() as executor:
        while factor.rank < rank:
            assert factor.extend(lambda p: lambda rows, some: matrix[rows][:, p[some]], rank - factor.rank, executor)
        F = np.concatenate([np.zeros((N, 0)), *factor._blocks], axis=1)
        whole = roots[:, None] * (F @ F.T + 1e-3 * np.eye(N)) * roots + 1e-2 * np.eye(N)
        assert np.allclose(factor.curved_inverse(1e-2, 1e-3, roots, executor)(v), np.linalg.solve(whole, v), rtol=1e-8)
