"""The ridge that climbing finds, against all ridges, on curves and on samples."""

import numpy as np
import pytest

from sltrees.estimators.kernel_ridge import KernelRidge
from sltrees.estimators.kernel_solvers.climbing import NO_BETTER, climb
from sltrees.execution.threads import ThreadExecutor
from sltrees.linalg.leave_one_out import ALPHAS
from sltrees.preprocessing import InputScaling


def climbed(errors, first, n_threads=1):
    """What is found on a curve, and how many ridges were looked at."""
    looked_at = []

    def at(alpha):
        looked_at.append(alpha)
        return errors[ALPHAS.index(alpha)], alpha

    with ThreadExecutor(n_threads) as executor:
        return climb(at, first, executor)[1], len(looked_at)


@pytest.mark.parametrize("best", [0, 1, 7, 19, 20])
@pytest.mark.parametrize("first", [0, 3, 10, 20])
def test_a_curve_with_one_minimum(best, first):
    errors = 1.0 + 0.1 * (np.arange(len(ALPHAS)) - best) ** 2
    found, n_looked_at = climbed(errors, ALPHAS[first])
    assert found == ALPHAS[best]
    assert n_looked_at <= 11
    if first == best:
        assert n_looked_at <= 3


def test_where_it_is_level_the_largest_is_taken():
    errors = np.where(np.arange(len(ALPHAS)) <= 12, 1.0, 2.0) + 1e-9 * np.arange(len(ALPHAS))
    assert climbed(errors, ALPHAS[0])[0] == ALPHAS[12]


def test_errors_that_are_not_finite_are_not_taken():
    errors = np.full(len(ALPHAS), np.nan)
    errors[8] = 1.0
    assert climbed(errors, ALPHAS[7])[0] == ALPHAS[8]


def test_kernel_ridge_climbs_to_about_the_best_ridge(seed):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, (330, 2))
    Y = np.sin(2 * X[:, :1]) + 0.2 * rng.standard_normal((330, 1))
    rows = InputScaling().fit(X).transform(X)
    exact = KernelRidge(n_threads=1).fit(rows, Y)
    found = [KernelRidge(first_alpha=0.1, n_threads=n).fit(rows, Y) for n in (1, 3)]
    assert np.array_equal(found[0].dual_, found[1].dual_)
    assert (exact.solver_, found[0].solver_) == ("eigen", "cholesky")
    assert found[0].error_ <= (1.0 + NO_BETTER) * exact.error_
    again = KernelRidge(alpha=found[0].alpha_, n_threads=1).fit(rows, Y)
    assert np.allclose(again.left_out_, found[0].left_out_, atol=1e-8)
    assert np.allclose(again.dual_, found[0].dual_, atol=1e-6)
    half = KernelRidge(first_alpha=0.1, climb_on=220, most_left_out=100, n_threads=1).fit(rows, Y)
    known = ~np.isnan(half.left_out_[:, 0])
    assert known.sum() == 100
    assert half.error_ == pytest.approx(np.mean((half.left_out_ - Y)[known] ** 2))
    assert half.alpha_ == pytest.approx(exact.alpha_, rel=9.0)
    none = KernelRidge(alpha=half.alpha_, first_alpha=0.1, most_left_out=0, n_threads=1).fit(rows, Y)
    assert none.left_out_ is None
    assert np.allclose(none.dual_, half.dual_, atol=1e-6)
