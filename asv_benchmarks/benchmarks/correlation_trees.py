"""`CorrelationTrees`: all products of 8192 weights with 256 data points in 64 dimensions, and the same in NumPy."""

import functools
import inspect

import numpy as np
import scipy.sparse

from .common import needed, unit_rows

CorrelationTrees = needed("CorrelationTrees")

N_WEIGHTS, N_DATA = 2**13, 2**8
METHODS = ["data", "weights", "floor", "numpy"]  # the first two are the axes
SELECTIVITIES = [1e-4, 1e-2]
CHANGED = 64


class Products:
    """What somebody would do without trees: the same calls on the matrix of products, of the same float32."""

    def __init__(self, weights, data):
        self._data = data
        self.values = weights @ data.T

    def query(self, row, threshold):
        return np.flatnonzero(self.values[row] > threshold)

    def query_all(self, threshold):
        rows, columns = np.nonzero(self.values > threshold)
        return scipy.sparse.csr_array((self.values[rows, columns], (rows, columns)), shape=self.values.shape)

    def update_weights(self, rows, weights):
        self.values[rows] = weights @ self._data.T


def make(method):
    weights, data = unit_rows(N_WEIGHTS), unit_rows(N_DATA, seed=1)
    if method == "floor":
        if "floor" not in inspect.signature(CorrelationTrees).parameters:
            raise NotImplementedError("this commit has no floor")
        return CorrelationTrees(weights, data, floor=threshold_above_which(2 * max(SELECTIVITIES)))
    return Products(weights, data) if method == "numpy" else CorrelationTrees(weights, data, axis=method)


made = functools.cache(make)  # for benchmarks that leave it as it is


@functools.cache
def threshold_above_which(share):
    return float(np.quantile(unit_rows(N_WEIGHTS) @ unit_rows(N_DATA, seed=1).T, 1 - share))


class QueryAll:
    """Every product above t."""

    param_names = ("method", "selectivity")
    params = (METHODS, SELECTIVITIES)

    def setup(self, method, selectivity):
        self.products, self.threshold = made(method), threshold_above_which(selectivity)

    def time_query_all(self, method, selectivity):
        self.products.query_all(self.threshold)


class Query:
    """One row after the other, 256 of them: products of a weight, or with axis "weights" of a data point."""

    param_names = ("method", "selectivity")
    params = (METHODS, SELECTIVITIES)

    def setup(self, method, selectivity):
        self.products, self.threshold = made(method), threshold_above_which(selectivity)

    def time_query(self, method, selectivity):
        for row in range(N_DATA):
            self.products.query(row, self.threshold)


class Update:
    """64 weights replaced, and the old ones put back: a second write of the same would find nothing to change."""

    param_names = ("method",)
    params = (METHODS,)

    def setup(self, method):
        self.products = made(method)
        self.rows = np.random.default_rng(2).choice(N_WEIGHTS, CHANGED, replace=False)
        self.old, self.new = unit_rows(N_WEIGHTS)[self.rows], unit_rows(CHANGED, seed=2)

    def time_update_weights(self, method):
        self.products.update_weights(self.rows, self.new)
        self.products.update_weights(self.rows, self.old)


class Build:
    """From weights and data."""

    param_names = ("method",)
    params = (METHODS,)

    def setup(self, method):
        made(method)  # memory is there

    def time_build(self, method):
        make(method)


class Work:
    """What does not depend on the machine."""

    param_names = ("axis", "selectivity")
    params = (METHODS[:2], SELECTIVITIES)

    def setup(self, axis, selectivity):
        self.trees, self.threshold = made(axis), threshold_above_which(selectivity)

    def track_blocks_compared(self, axis, selectivity):
        *_, blocks = self.trees._bank.query_all(self.threshold)
        return blocks

    track_blocks_compared.unit = "blocks"


class Memory:
    param_names = ("method",)
    params = (METHODS[:3],)

    def setup(self, method):
        self.trees = made(method)

    def track_bytes_per_product(self, method):
        return self.trees.nbytes / (N_WEIGHTS * N_DATA)

    track_bytes_per_product.unit = "bytes"
