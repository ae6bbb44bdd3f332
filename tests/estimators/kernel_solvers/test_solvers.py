"""Kernel ridge regression of many samples: centres, normal equations, blocks, iterations, against definitions."""

import numpy as np
import pytest

import sltrees.estimators.kernel_ridge
from sltrees.estimators.kernel_ridge import KernelRidge
from sltrees.estimators.kernel_solvers import blocks, iterative, nystrom
from sltrees.estimators.kernel_solvers.centres import draw_centres
from sltrees.estimators.kernel_solvers.nystrom import NystromFit, NystromSystem
from sltrees.estimators.kernel_solvers.samples import SamplesHere
from sltrees.execution.threads import ThreadExecutor
from sltrees.kernels.unit_rows import UnitRowsKernel

KERNEL = UnitRowsKernel(1.0)


def problem(seed, n=300, d=3, n_outputs=2):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    Y = np.sin(3.0 * X[:, :1]) + 0.2 * rng.standard_normal((n, n_outputs))
    return X, Y, rng.uniform(0.5, 2.0, n)


def by_definition(X, Z, Y, weights, ridge):
    """Minimise sum w (Y - K_XZ b - c)^2 + ridge b^T K_ZZ b: b and c."""
    K, inner = KERNEL.between(X, Z), KERNEL.between(Z, Z)
    ones = np.column_stack([K, np.ones(len(X))])
    left = ones.T @ (weights[:, None] * ones)
    left[:-1, :-1] += ridge * inner
    solution = np.linalg.lstsq(left, ones.T @ (weights[:, None] * Y), rcond=1e-15)[0]
    return solution[:-1], solution[-1]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 40)
    monkeypatch.setattr(nystrom, "STRIP", 64)
    monkeypatch.setattr(nystrom, "PANEL", 16)
    monkeypatch.setattr(iterative, "RANK", 50)
    for name, value in {"EIGEN_SAMPLES": 30, "CHOLESKY_SAMPLES": 60, "EXACT_FACTOR_SAMPLES": 60}.items():
        monkeypatch.setattr(sltrees.estimators.kernel_ridge, name, value)


def fitted(X, Z, Y, weights, ridge, executor, parts=1):
    system = NystromSystem(KERNEL, Z, Y.shape[1])
    for part in np.array_split(np.arange(len(X)), parts):
        system.add(X[part], Y[part], weights[part], executor)
    root = system.between_centres(executor)
    return NystromFit(system, root, system.whitened(root, executor), ridge, executor)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("parts", [1, 3])
def test_normal_equations_equal_the_definition(seed, small_blocks, n_threads, parts):
    X, Y, weights = problem(seed)
    Z = X[::10]
    with ThreadExecutor(n_threads) as executor:
        fit = fitted(X, Z, Y, weights, 0.1, executor, parts)
        outputs = fit.outputs(X)
    dual, constants = by_definition(X, Z, Y, weights, 0.1)
    assert np.allclose(outputs, KERNEL.between(X, Z) @ dual + constants, rtol=0, atol=1e-7)


def test_left_out_equals_learning_again(seed, small_blocks):
    X, Y, weights = problem(seed, n=120)
    Z = X[::6]
    with ThreadExecutor(2) as executor:
        fit = fitted(X, Z, Y, weights, 0.1, executor)
        errors = fit.left_out(X, Y, weights)
        for i in range(0, 120, 17):
            kept = np.arange(120) != i
            again = fitted(X[kept], Z, Y[kept], weights[kept], 0.1, executor)
            assert np.allclose(errors[i], (again.outputs(X) - Y)[i], rtol=1e-8, atol=1e-9)


def test_centres_are_distinct_rows_and_as_many_as_there_are(seed):
    X, _, _ = problem(seed, n=50)
    repeated = np.concatenate([X[:20], X[:20], X[:20], np.zeros((3, 3))])
    with ThreadExecutor(1) as executor:
        for rows, wanted, most in ((X, 30, 30), (X, 80, 50), (repeated, 60, 20)):
            chosen = draw_centres(KERNEL, rows, wanted, np.random.default_rng(seed), executor)
            assert len(chosen) <= most
            assert len(np.unique(rows[chosen], axis=0)) == len(chosen)
            assert len(chosen) >= 0.9 * most


@pytest.mark.parametrize("tune", [False, True])
def test_blocks_do_not_depend_on_threads_and_lower_the_error(seed, small_blocks, tune):
    X, Y, weights = problem(seed, n=2000)
    results = []
    for n_threads in (1, 3):
        told = []
        with ThreadExecutor(n_threads) as executor:
            rng = np.random.default_rng(seed)
            held_out, seen = blocks.hold_out(len(X), rng)
            results.append(
                blocks.fit_blocks(
                    SamplesHere(KERNEL, X[seen], Y[seen], weights[seen], executor),
                    (X[held_out], Y[held_out], weights[held_out]),
                    0.1 * KERNEL.of_itself,
                    max_centres=200,
                    tune=tune,
                    rng=rng,
                    executor=executor,
                    advance=lambda *at, told=told: told.append(at),
                )
            )
    found, other = results
    assert np.array_equal(found.blocks.dual, other.blocks.dual)
    assert np.array_equal(found.outputs, other.outputs)
    assert len(found.blocks.centres) % 40 == 0
    assert (np.diff(found.errors[:-1]) < 0).all()
    assert told[0][0] == "block 1 of centres"
    assert told[-1][0] == "last corrections"
    if not tune:
        assert found.blocks.ridge == 0.1 * KERNEL.of_itself
    assert len(found.outputs) == 100


def test_each_block_minimises_the_objective(seed, small_blocks):
    """With the blocks before it as they are, no function of its centres lowers the objective any further."""
    X, Y, weights = problem(seed, n=400, n_outputs=1)
    with ThreadExecutor(1) as executor:
        outside, rng = (X[:5], Y[:5], weights[:5]), np.random.default_rng(seed)
        samples = SamplesHere(KERNEL, X, Y, weights, executor)
        search = blocks._Search(samples, outside, 0.2, rng, executor)
        for k in range(3):
            search.add(40, False, [], lambda *at: None)
            centres, dual = (np.concatenate(part) for part in zip(*search.parts, strict=True))
            left = weights[:, None] * (samples.outputs - Y)
            f = KERNEL.between(centres, centres) @ dual
            gradient = KERNEL.between(centres, X) @ left + 0.2 * f
            assert np.abs(gradient[40 * k :]).max() < 1e-7  # of the last block
            assert abs(left.sum()) < 1e-8  # and of the constant


def test_extending_equals_the_correction_by_definition(seed, small_blocks, monkeypatch):
    monkeypatch.setattr("sltrees.estimators.kernel_ridge.NEGLIGIBLE", 0.0)  # predictions in double precision
    X, Y, weights = problem(seed, n=1000)
    model = KernelRidge(solver="nystrom", alpha=0.1, max_centres=80).fit(X[:700], Y[:700], weights[:700])
    before = model.to_extend()
    model.extend(X[700:], Y[700:], weights[700:])
    assert np.array_equal(before.X_, model.X_)
    # the gradient of the objective over all samples vanishes along the first block and the constant
    system = model.blocks_.system
    left = weights[:, None] * (model.predict(X) - Y)
    pull = model.blocks_.ridge * (KERNEL.between(system.centres, model.X_) @ model.dual_)
    assert np.abs(KERNEL.between(system.centres, X) @ left + pull).max() < 1e-6
    assert np.abs(left.sum(axis=0)).max() < 1e-7
    assert not np.array_equal(before.dual_, model.dual_)
    again = before.to_extend().extend(X[700:], Y[700:], weights[700:])
    assert np.array_equal(again.dual_, model.dual_)


@pytest.mark.parametrize("weighted", [False, True])
def test_all_ways_to_solve_agree(seed, small_blocks, weighted, monkeypatch):
    X, Y, weights = problem(seed)
    weights = weights if weighted else None
    with monkeypatch.context() as patch:
        patch.setattr(sltrees.estimators.kernel_ridge, "EIGEN_SAMPLES", 1000)
        expected = KernelRidge(alpha=0.03).fit(X, Y, weights)
    factored = KernelRidge(alpha=0.03, solver="cholesky").fit(X, Y, weights)
    iterated = KernelRidge(alpha=0.03, solver="exact").fit(X, Y, weights)
    assert [model.solver_ for model in (expected, factored, iterated)] == ["eigen", "cholesky", "conjugate gradients"]
    assert np.allclose(factored.predict(X), expected.predict(X), rtol=0, atol=1e-9)
    assert np.allclose(factored.left_out_, expected.left_out_, rtol=0, atol=1e-9)
    assert np.isclose(factored.error_, expected.error_, rtol=1e-9)
    assert np.allclose(iterated.predict(X), expected.predict(X), rtol=0, atol=1e-4)
    assert iterated.left_out_ is None
    near = KernelRidge(alpha=0.03, solver="nystrom").fit(X, Y, weights)
    assert near.solver_ == "nystrom"
    known = ~np.isnan(near.left_out_[:, 0])
    assert known.sum() == 15
    assert np.isclose(
        near.error_,
        np.average(
            np.sum((near.left_out_ - Y)[known] ** 2, axis=1), weights=None if weights is None else weights[known]
        ),
    )
    assert KernelRidge(alpha=0.03).fit(X[:50], Y[:50]).solver_ == "cholesky"
    assert KernelRidge(alpha=0.03).fit(X, Y).solver_ == "nystrom"


def test_iterations_say_how_far_they_came(seed, small_blocks, monkeypatch):
    X, Y, weights = problem(seed)
    told = []
    with ThreadExecutor(2) as executor:
        found = iterative.solve_iteratively(
            KERNEL, X, Y, weights, 1e-2, np.random.default_rng(0), executor, lambda *at: told.append(at)
        )
        assert found.residual <= iterative.TOL
        K = KERNEL.between(X, X)
        left = weights[:, None] * (K @ found.dual + found.constants - Y) + 1e-2 * found.dual
        assert np.abs(left).max() < 1e-4
        assert {stage for stage, _, _ in told} == {"preconditioner", "conjugate gradients"}
        monkeypatch.setattr(iterative, "MAX_STEPS", 2)
        short = iterative.solve_iteratively(KERNEL, X, Y, weights, 1e-8, np.random.default_rng(0), executor)
        assert short.n_steps == 2
        assert short.residual > iterative.TOL
