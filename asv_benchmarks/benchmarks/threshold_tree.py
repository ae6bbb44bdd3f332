"""Queries and updates of `ThresholdTree`, with the plain NumPy scan as a parameter."""

import numpy as np

from sltrees import ThresholdTree


class Query:
    """All entries above t."""

    param_names = ("method", "n", "selectivity")
    params = (["tree", "scan"], [2**10, 2**14, 2**20], [1e-4, 1e-2, 0.5])

    def setup(self, method, n, selectivity):
        values = np.random.default_rng(0).standard_normal(n).astype(np.float32)
        self.threshold = float(np.quantile(values, 1 - selectivity))
        self.values, self.tree = values, ThresholdTree(values)
        self.query = self.tree.query if method == "tree" else lambda t: np.flatnonzero(self.values > np.float32(t))

    def time_query(self, method, n, selectivity):
        self.query(self.threshold)

    def track_blocks_compared(self, method, n, selectivity):
        if method == "scan":
            return -(-n // 16)
        return self.tree._query_counting(self.threshold)[1]

    track_blocks_compared.unit = "blocks"


class Update:
    """Point updates and batches of them."""

    number = 1  # the body changes the tree
    param_names = ("n", "share")
    params = ([2**14, 2**20], [1e-3, 1.0])

    def setup(self, n, share):
        rng = np.random.default_rng(0)
        self.tree = ThresholdTree(rng.standard_normal(n).astype(np.float32))
        self.indices = rng.integers(0, n, max(1, int(share * n)))
        self.values = rng.standard_normal(self.indices.size).astype(np.float32)

    def time_update_many(self, n, share):
        self.tree.update_many(self.indices, self.values)

    def time_setitem(self, n, share):
        tree = self.tree
        for i in range(1000):
            tree[i] = 0.5


class Build:
    """Building a tree, and what it takes."""

    param_names = ("n",)
    params = ([2**14, 2**20],)

    def setup(self, n):
        self.values = np.random.default_rng(0).standard_normal(n).astype(np.float32)

    def time_build(self, n):
        ThresholdTree(self.values)

    def track_overhead(self, n):
        return ThresholdTree(self.values).nbytes / self.values.nbytes - 1

    track_overhead.unit = "share of the leaves"
