"""`ThresholdTree`: queries, updates, building, with plain NumPy as a parameter, so that one sees which wins where."""

import functools

import numpy as np

from .common import needed, normal_values

IntegerTree = needed("IntegerTree")
ThresholdTree = needed("ThresholdTree")

CALLS = {2**14: 512, 2**20: 64}  # of a query, or another operation, that are timed together
SIZES = list(CALLS)
SELECTIVITIES = [1e-4, 1e-2, 0.5]


@functools.cache
def shared_tree(n):
    """For benchmarks that leave it as it is."""
    return ThresholdTree(normal_values(n))


@functools.cache
def threshold_above_which(share, n):
    return float(np.quantile(normal_values(n), 1 - share))


class Query:
    """All entries above t: 512 queries of 2^14 values, or 64 of 2^20."""

    param_names = ("method", "n", "selectivity")
    params = (["tree", "numpy"], SIZES, SELECTIVITIES)

    def setup(self, method, n, selectivity):
        tree, self.threshold, self.calls = shared_tree(n), threshold_above_which(selectivity, n), CALLS[n]
        values, single = normal_values(n), np.float32(self.threshold)
        self.query = tree.query if method == "tree" else lambda _: np.flatnonzero(values > single)

    def time_query(self, method, n, selectivity):
        for _ in range(self.calls):
            self.query(self.threshold)


class Count:
    """How many entries are above t, of 2^20: 64 times."""

    param_names = ("method", "selectivity")
    params = (["tree", "numpy"], [1e-4, 1e-2])

    def setup(self, method, selectivity):
        n = 2**20
        tree, self.threshold = shared_tree(n), threshold_above_which(selectivity, n)
        values, single = normal_values(n), np.float32(self.threshold)
        self.count = tree.count if method == "tree" else lambda _: np.count_nonzero(values > single)

    def time_count(self, method, selectivity):
        for _ in range(64):
            self.count(self.threshold)


class TopK:
    """The k largest of 2^20, in order, against a partial sort: 4 times."""

    param_names = ("method", "k")
    params = (["tree", "numpy"], [16, 1024])

    def setup(self, method, k):
        tree, self.values = shared_tree(2**20), normal_values(2**20)
        self.topk = tree.topk if method == "tree" else self.sort_part

    def sort_part(self, k):
        best = np.argpartition(self.values, -k)[-k:]
        return best[np.argsort(-self.values[best])]

    def time_topk(self, method, k):
        for _ in range(4):
            self.topk(k)


class Update:
    """10,000 single values written, at random places. Set-up makes a fresh tree, so that each write changes one."""

    number = 1
    param_names = ("method", "n")
    params = (["tree", "numpy"], SIZES)

    def setup(self, method, n):
        rng = np.random.default_rng(1)
        self.target = ThresholdTree(normal_values(n)) if method == "tree" else normal_values(n).copy()
        self.indices = rng.integers(0, n, 10_000).tolist()
        self.values = rng.standard_normal(10_000).tolist()

    def time_update(self, method, n):
        target = self.target
        for i, value in zip(self.indices, self.values, strict=True):
            target[i] = value


class UpdateMany:
    """A share of the values written in one batch, then the old ones: 512 times of 2^14 values, 64 times of 2^20."""

    number = 1
    param_names = ("method", "n", "share")
    params = (["tree", "numpy"], SIZES, [1e-3, 0.1])

    def setup(self, method, n, share):
        tree, values, self.calls = ThresholdTree(normal_values(n)), normal_values(n).copy(), CALLS[n]
        self.write = tree.update_many if method == "tree" else values.__setitem__
        rng = np.random.default_rng(1)
        self.indices = rng.choice(n, int(share * n), replace=False)
        self.old = values[self.indices]
        self.new = rng.standard_normal(self.indices.size).astype(np.float32)

    def time_update_many(self, method, n, share):
        for _ in range(self.calls):
            self.write(self.indices, self.new)
            self.write(self.indices, self.old)


class Integers:
    """2^20 times in nanoseconds: all up to one in a thousand, and 1,000 of them moved and put back; 64 times each."""

    param_names = ("method",)
    params = (["tree", "numpy"],)

    def setup(self, method):
        rng = np.random.default_rng(1)
        times = 1_700_000_000_000_000_000 + rng.integers(0, 10**12, 2**20)
        self.limit, self.indices = int(np.quantile(times, 1e-3)), rng.choice(times.size, 1000, replace=False)
        self.old, self.new = times[self.indices], times[self.indices] + 10**9
        tree = IntegerTree(times, orientation="min")
        self.query = tree.query if method == "tree" else lambda t: np.flatnonzero(times < t)
        self.write = tree.update_many if method == "tree" else times.__setitem__

    def time_query(self, method):
        for _ in range(64):
            self.query(self.limit)

    def time_update_many(self, method):
        for _ in range(64):
            self.write(self.indices, self.new)
            self.write(self.indices, self.old)


class Build:
    """Copying values and building the levels above them, or the levels alone: 512 trees of 2^14 values, 64 of 2^20."""

    param_names = ("n",)
    params = (SIZES,)

    def setup(self, n):
        self.values, self.calls = normal_values(n), CALLS[n]
        self.tree = shared_tree(n)  # memory is there: else it would be part of the time

    def time_build(self, n):
        for _ in range(self.calls):
            ThresholdTree(self.values)

    def time_refresh(self, n):
        for _ in range(self.calls):
            self.tree.refresh()


class Work:
    """What does not depend on the machine: blocks that a query compares with t, and memory beside the values."""

    param_names = ("n", "selectivity")
    params = (SIZES, SELECTIVITIES)

    def setup(self, n, selectivity):
        self.tree, self.threshold = shared_tree(n), threshold_above_which(selectivity, n)

    def track_blocks_compared(self, n, selectivity):
        _, blocks = self.tree._query_counting(self.threshold)
        return blocks

    track_blocks_compared.unit = "blocks"


class Memory:
    def setup(self):
        self.tree = shared_tree(2**20)

    def track_overhead(self):
        return self.tree.nbytes / self.tree.values.nbytes - 1

    track_overhead.unit = "share of the values"
