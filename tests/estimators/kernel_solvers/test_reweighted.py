"""The kernel under any loss: the minimum, by its gradient and by scipy; leaving out; centres; threads."""

import numpy as np
import pytest
import scipy.optimize
from threadpoolctl import threadpool_limits

from sltrees.estimators.kernel_solvers.reweighted import AllSamples, Centres, minimise
from sltrees.execution.threads import ThreadExecutor
from sltrees.kernels.unit_rows import UnitRowsKernel
from sltrees.losses import (
    HalfGammaLoss,
    HalfMultinomialLoss,
    HalfPoissonLoss,
    HalfSquaredLoss,
    HuberLoss,
    LogisticLoss,
    SmoothPinballLoss,
)

KERNEL, N, RIDGE = UnitRowsKernel(1.0), 30, 0.05
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, 3))
X /= np.linalg.norm(X, axis=1, keepdims=True)
F = np.sin(3.0 * X[:, :1])
WEIGHTS = RNG.uniform(0.5, 2.0, N)
CASES = {
    "squared": (HalfSquaredLoss(), np.column_stack([F, 1.0 - F])),
    "huber": (HuberLoss(0.3), F + 0.3 * RNG.standard_t(2, (N, 1))),
    "pinball": (SmoothPinballLoss(0.8, 0.1), F + 0.3 * RNG.standard_normal((N, 1))),
    "poisson": (HalfPoissonLoss(), RNG.poisson(np.exp(1.0 + F)).astype(float)),
    "gamma": (HalfGammaLoss(), RNG.gamma(2.0, np.exp(F) / 2.0)),
    "logistic": (LogisticLoss(), (RNG.uniform(size=(N, 1)) < 0.5 + 0.4 * F).astype(float)),
    "multinomial": (HalfMultinomialLoss(), np.eye(3)[np.digitize(F[:, 0], [-0.5, 0.5])]),
}


def by_definition(loss, Y, centres, weights=WEIGHTS, rows=X):
    """Objective and gradient as functions of dual coefficients and constants, flat."""
    K, inner = KERNEL.between(rows, centres), KERNEL.between(centres, centres)
    m, C = len(centres), Y.shape[1]

    def objective(flat):
        dual, constants = flat[: m * C].reshape(m, C), flat[m * C :]
        f = K @ dual + constants
        slopes = weights[:, None] * loss.gradient(Y, f)
        value = weights @ loss.value(Y, f).sum(axis=1) + 0.5 * RIDGE * np.sum(dual * (inner @ dual))
        return value, np.concatenate([(K.T @ slopes + RIDGE * inner @ dual).ravel(), slopes.sum(axis=0)])

    return objective


@pytest.mark.parametrize("n_centres", [N, 12])
@pytest.mark.parametrize("name", CASES)
def test_the_minimum(name, n_centres):
    """Of all samples as centres, and of some: no lower value is found by L-BFGS, and slopes vanish."""
    loss, Y = CASES[name]
    results = []
    for n_threads in (1, 2):
        with ThreadExecutor(n_threads) as executor:
            if n_centres == N:
                functions = AllSamples(KERNEL, X, executor)
            else:
                functions = Centres(KERNEL, X, X[:n_centres], executor)
            results.append(minimise(functions, loss, Y, WEIGHTS, RIDGE)[0])
    found, other = results
    assert np.array_equal(found.dual, other.dual)
    objective = by_definition(loss, Y, X[:n_centres])
    flat = np.concatenate([found.dual.ravel(), found.constants])
    value, gradient = objective(flat)
    with threadpool_limits(1):  # products of 30 rows: threads only fight
        best = scipy.optimize.minimize(
            objective, np.zeros_like(flat), jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-15}
        )
    assert value <= best.fun + 1e-6 * abs(best.fun)
    assert np.abs(gradient).max() < (1e-3 if name in ("huber", "pinball", "multinomial") else 1e-4)
    inner = KERNEL.between(X[:n_centres], X[:n_centres])
    assert np.allclose(found.norms, np.einsum("ic,ij,jc->c", found.dual, inner, found.dual), rtol=1e-6)
    assert np.allclose(found.outputs, KERNEL.between(X, X[:n_centres]) @ found.dual + found.constants, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "tolerance"), [("squared", 1e-9), ("poisson", 0.02), ("gamma", 0.02), ("logistic", 0.3)]
)
def test_outputs_left_out_are_near_those_of_fits_without_each(name, tolerance):
    """Exact for squares; else up to one Newton step, and not those of the fit itself."""
    loss, Y = CASES[name]
    with ThreadExecutor(1) as executor:
        functions = AllSamples(KERNEL, X, executor)
        found, left_out = minimise(functions, loss, Y, WEIGHTS, RIDGE)
        for i in range(0, N, 7):
            seen = np.arange(N) != i
            part = functions.of_some(seen)
            without, _ = minimise(part, loss, Y[seen], WEIGHTS[seen], RIDGE)
            exact = part.outputs(X[[i]], without)[0]
            assert np.abs(left_out[i] - exact).max() <= tolerance + 0.2 * np.abs(found.outputs[i] - exact).max()


def test_linear_models_of_scikit_learn(monkeypatch):
    """With the linear kernel in place of ours the minimum is that of LogisticRegression and of PoissonRegressor."""
    from sklearn.linear_model import LogisticRegression, PoissonRegressor

    class Linear:
        of_itself = 1.0

        def fill(self, out, left, right):
            out[...] = left @ right.T

        def times(self, left, right, vectors, executor):
            return left @ (right.T @ vectors)

        def times_itself(self, rows, vectors, executor):
            return rows @ (rows.T @ vectors)

    with ThreadExecutor(1) as executor:
        functions = AllSamples(Linear(), X, executor)
        y = CASES["logistic"][1]
        found, _ = minimise(functions, LogisticLoss(), y, np.ones(N), 2.0)
        model = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(X, y[:, 0])
        assert np.allclose(found.outputs[:, 0], model.decision_function(X), atol=1e-4)
        y = CASES["poisson"][1]
        found, _ = minimise(functions, HalfPoissonLoss(), y, np.ones(N) / N, 0.1)
        model = PoissonRegressor(alpha=0.1, tol=1e-10, max_iter=10_000).fit(X, y[:, 0])
        assert np.allclose(np.exp(found.outputs[:, 0]), model.predict(X), atol=1e-4)
