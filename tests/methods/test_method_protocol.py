"""Every method has the members that `Method` says, they take what it says, and a step is tried, kept and dropped."""

import numpy as np
import pytest
from problems import random_problem
from protocols import deviations

from sltrees import ShiftedReLUNetwork, reference
from sltrees.execution.inline import InlineExecutor
from sltrees.execution.threads import ThreadExecutor
from sltrees.gram import HELD_AS, GramMatrix
from sltrees.methods.choose import METHODS
from sltrees.methods.protocol import Method, MethodWithPairs, MethodWithProducts, MethodWithSketch, Trial
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.training.objective import SquaredError
from sltrees.training.step import LinearModel

WIDTH, SHIFT = 1024, 0.7


def set_up(name, executor, ridge=True):
    """A method, the network, samples and targets."""
    X, y = random_problem(0, 40, 5)
    network = ShiftedReLUNetwork(WIDTH, shift=SHIFT, dtype="float64", random_state=0)
    planes = Hyperplanes(X, SHIFT)
    method = METHODS[name].set_up(network, planes, y, executor, lambda stage: lambda done, total: None, ridge=ridge)
    return method, network, X, y


def protocol_of(method):
    if "sketch" in method.gram_held_as:
        return MethodWithSketch
    if "preconditioned" in method.gram_held_as:
        return MethodWithPairs
    return MethodWithProducts if "products" in method.gram_held_as else Method


def gram_of(method, X):
    """G as the method lets it be held."""
    if method.gram_held_as[0] == "array":
        return GramMatrix(X, WIDTH)
    return HELD_AS["sketch"](method.gram_product, method.gram_diagonal, len(X), method.approximate_gram)


def step_from(method, gram, y, alpha, executor):
    """The Newton step from where a method stands."""
    model = LinearModel(SquaredError(y), gram, alpha)
    state = model.state(method.outputs, method.jacobian_displacement, 0.0)
    c, right = model.system(state, 0.0)
    return model.step(state, c, gram.solve(c, right, executor), 0.0)


def expected(network, X):
    """f and J D by definition."""
    W, signs = network.dense_weights()
    J = reference.dense_jacobian(W, signs, SHIFT, X)
    D = W - ShiftedReLUNetwork(WIDTH, shift=SHIFT, dtype="float64", random_state=0).initialize(X).dense_weights()[0]
    return reference.network_outputs(W, signs, SHIFT, X), J @ D.ravel()


@pytest.mark.parametrize("name", METHODS)
def test_each_method_is_what_the_protocol_says(name):
    with InlineExecutor() as executor:
        method, *_ = set_up(name, executor)
        assert deviations(METHODS[name], protocol_of(method), method) == []
        assert set(method.gram_held_as) <= set(HELD_AS)
        gram = gram_of(method, random_problem(0, 40, 5)[0])
        method.count_pairs(gram)
        trial = method.try_step(step_from(method, gram, random_problem(0, 40, 5)[1], 0.1, executor))
        assert deviations(type(trial), Trial, trial) == []
        method.drop(trial)
        method.release()


@pytest.mark.parametrize("alpha", [0.0, 0.05])
@pytest.mark.parametrize("name", METHODS)
def test_a_step_is_tried_and_kept_or_dropped(name, alpha):
    with ThreadExecutor(2) as executor:
        method, network, X, y = set_up(name, executor, ridge=alpha > 0)
        gram = gram_of(method, X)
        method.count_pairs(gram)
        assert method.kept is None
        n_kept = 0
        for k in range(5):
            before, fired = network.digest(), method.n_fired
            outputs, moved = method.outputs.copy(), method.jacobian_displacement.copy()
            diagonal, seconds = gram.diagonal.copy(), {"gram": 0.0, "step": 0.0}
            trial = method.try_step(step_from(method, gram, y, alpha, executor))
            assert trial.counts.visited > 0
            assert np.array_equal(method.outputs, outputs) or name != "certified"  # the trial is not there yet
            if k == 1:  # its numbers are those of the weights, and stay the same
                carried = trial.outputs.copy()
                method.synchronise(trial)
                assert trial.error <= 1e-12
                assert np.allclose(carried, trial.outputs, rtol=0, atol=1e-9)
            predicted, predicted_move = trial.outputs.copy(), trial.jacobian_displacement.copy()
            if k % 2:
                method.drop(trial)
                assert network.digest() == before
                assert method.n_fired == fired
                assert method.kept is not trial
                assert np.allclose(method.outputs, outputs, rtol=0, atol=1e-12)
                assert alpha == 0 or np.allclose(method.jacobian_displacement, moved, rtol=0, atol=1e-12)
                assert np.array_equal(gram.diagonal, diagonal)
                continue
            method.keep(trial, gram, seconds)
            n_kept += 1
            assert method.kept is trial
            assert network.digest() != before
            assert seconds["step"] > 0
            assert (seconds["gram"] > 0) == (trial.counts.flips > 0)
            assert np.allclose(method.outputs, predicted, rtol=0, atol=1e-12)
            f, jd = expected(network, X)
            assert np.allclose(f, predicted, rtol=0, atol=1e-8)
            if alpha:
                assert np.allclose(jd, predicted_move, rtol=0, atol=1e-8)
            W, signs = network.dense_weights()
            J = reference.dense_jacobian(W, signs, SHIFT, X)
            assert method.n_fired == np.count_nonzero(W @ X.T > SHIFT)
            assert np.allclose(gram.product(y), J @ (J.T @ y), rtol=0, atol=1e-10)
            if protocol_of(method) is MethodWithPairs:
                assert np.allclose(method.gram_product_by_pairs(y), J @ (J.T @ y), rtol=0, atol=1e-10)
                fires = (W @ X.T > SHIFT).astype(int)
                assert np.array_equal(method.pair_columns(np.array([3, 0, 3])), (fires.T @ fires)[[3, 0, 3]])
        assert n_kept == 3
        method.release()
        method.release()
    outputs = network.predict(X)
    assert np.allclose(outputs, f, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", METHODS)
def test_a_step_that_is_abandoned_was_never_tried(name):
    with InlineExecutor() as executor:
        method, network, X, y = set_up(name, executor)
        gram = gram_of(method, X)
        method.count_pairs(gram)
        for _ in range(2):
            trial = method.try_step(step_from(method, gram, y, 0.1, executor))
            method.keep(trial, gram, {"gram": 0.0, "step": 0.0})
        before = network.digest()
        further = method.try_step(step_from(method, gram, y, 0.1, executor))
        method.abandon()
        method.abandon()
        assert method.kept is trial
        assert method.kept is not further
        assert network.digest() == before
        method.release()
    assert network.digest() == before
