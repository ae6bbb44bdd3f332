"""Ridge regression in the eigenbasis: what its leave-one-out errors rest on."""

import numpy as np
import pytest

from sltrees.linalg.leave_one_out import RidgeProblem


@pytest.mark.parametrize("alpha", [5e-324, 1e-310, 1e-300])
@pytest.mark.parametrize("intercept", [False, True])
def test_a_ridge_that_rounds_to_nothing_is_divided_by_without_a_word(alpha, intercept):
    """Of a matrix of rank 2 in exact numbers: the solution is that of the smallest ridge that counts, and finite."""
    F = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]) / 4
    Y = np.array([[1.0], [1.0], [2.0], [2.0]])
    with np.errstate(all="raise"):
        problem = RidgeProblem(F @ F.T, Y, intercept=intercept)
        dual, constant = problem.solution(alpha)
        problem.left_out(alpha)
    assert np.isfinite(dual).all()
    assert np.isfinite(constant).all()
