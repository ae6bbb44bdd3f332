"""The kernel of estimators, from the inside out: values for a pair of rows, factors, fits by solver, predictions."""

import functools

import numpy as np

from .common import THREADS, needed, sizes

CholeskyFactor = needed("CholeskyFactor")
KernelRidge = needed("KernelRidge")
NewtonRegressor = needed("NewtonRegressor")
ThreadExecutor = needed("ThreadExecutor")
UnitRowsKernel = needed("UnitRowsKernel")
pivoted_cholesky = needed("pivoted_cholesky")
slopes = needed("slopes")

ROWS, COLUMNS = 256, 1024  # of a tile


@functools.cache
def friedman(n, d=20):
    """Friedman's first function, of features as they are."""
    from sklearn.datasets import make_friedman1

    return make_friedman1(n, n_features=d, noise=1.0, random_state=0)


@functools.cache
def directions(n, d):
    """Rows of unit norm."""
    X = np.random.default_rng(0).standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


class Pairs:
    """262,144 pairs of rows, one thread: divided by as many it is what a pair takes."""

    param_names = ("features", "dtype")
    params = ([4, 10, 50], ["float64", "float32"])

    def setup(self, features, dtype):
        self.kernel = UnitRowsKernel(1.0, dtype)
        self.left = directions(ROWS, features).astype(dtype)
        self.right = directions(COLUMNS, features).astype(dtype)
        self.out = np.empty((ROWS, COLUMNS), dtype)
        self.executor = ThreadExecutor(1)  # holds BLAS to one thread
        self.executor.__enter__()
        self.time_of_values(features, dtype)

    def teardown(self, features, dtype):
        self.executor.__exit__(None, None, None)

    def time_of_values(self, features, dtype):
        self.kernel.fill(self.out, self.left, self.right)


class Slopes:
    """Derivatives of 262,144 pairs by their correlation, one thread, without the products of rows."""

    param_names = ("features",)
    params = ([4, 50],)

    def setup(self, features):
        self.products = directions(ROWS, features) @ directions(COLUMNS, features).T
        slopes(self.products[:1], 1.0)

    def time_of_derivatives(self, features):
        slopes(self.products, 1.0)


class Factors:
    """A Cholesky factor, and what leave-one-out errors take from it."""

    param_names = ("order", "threads")
    params = (sizes(1000, 4000), [1, 2])

    def setup(self, order, threads):
        self.executor = ThreadExecutor(threads)
        self.executor.__enter__()
        X = directions(order, 20)
        kernel = UnitRowsKernel(1.0)
        matrix = kernel.between(X, X)
        self.matrix, self.factor = matrix, CholeskyFactor(order)
        self.time_of_factor(order, threads)

    def teardown(self, order, threads):
        self.executor.__exit__(None, None, None)

    def time_of_factor(self, order, threads):
        self.factor.factorise(self.matrix, 0.01, self.executor)

    def time_of_inverse_diagonal(self, order, threads):
        self.factor.inverse_diagonal(self.executor)


class PivotedCholesky:
    """512 columns of a kernel of 4096 rows."""

    def setup(self):
        self.X, self.kernel = directions(4096, 20), UnitRowsKernel(1.0)
        self.diagonal = np.full(len(self.X), float(self.kernel.of_itself))
        pivoted_cholesky(lambda at: np.eye(3)[:, at], np.ones(3), 2, np.random.default_rng(0))

    def time_of_pivots(self):
        pivoted_cholesky(
            lambda at: self.kernel.between(self.X, self.X[at]), self.diagonal, 512, np.random.default_rng(0)
        )


class Fits:
    """Kernel ridge regression by each solver, with its ridge given."""

    timeout = 300
    param_names = ("solver", "samples")
    params = (["cholesky", "nystrom", "exact"], sizes(2000, 5000))

    def setup(self, solver, samples):
        X, self.Y = directions(samples, 20), friedman(samples)[1][:, None]
        self.X, self.model = X, KernelRidge(solver=solver, alpha=0.01, max_centres=1024, n_threads=THREADS)

    def time_of_fit(self, solver, samples):
        self.model.fit(self.X, self.Y)

    def peakmem_of_fit(self, solver, samples):
        self.model.fit(self.X, self.Y)


class Estimator:
    """All of `NewtonRegressor("kernel")`: scales, ridge, solution; and predictions of 10,000 rows."""

    timeout = 300
    param_names = ("samples",)
    params = (sizes(100, 1000, 3000),)

    def setup(self, samples):
        X, y = friedman(10_000)
        self.X, self.y, self.rows = X[:samples], y[:samples], X
        self.model = NewtonRegressor("kernel", random_state=0, n_jobs=THREADS, feature_learning=False)
        self.model.fit(self.X, self.y)

    def time_of_fit(self, samples):
        NewtonRegressor("kernel", random_state=0, n_jobs=THREADS).fit(self.X, self.y)

    def time_of_predictions(self, samples):
        self.model.predict(self.rows)
