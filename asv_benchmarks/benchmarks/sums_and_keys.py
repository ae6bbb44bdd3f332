"""`SumTree`, `PrioritizedSampler`, `ThresholdMap`, `Watch`, `ThresholdWindow`: what one does with them at a time."""

import functools

import numpy as np

from .common import needed

PrioritizedSampler = needed("PrioritizedSampler")
SumTree = needed("SumTree")
ThresholdMap = needed("ThresholdMap")
ThresholdTree = needed("ThresholdTree")
ThresholdWindow = needed("ThresholdWindow")
Watch = needed("Watch")

N = 10**6
CALLS = {1: 20_000, 256: 500, 4096: 50}  # of an operation on a batch, that are timed together


@functools.cache
def amounts():
    return np.random.default_rng(0).exponential(size=N)


@functools.cache
def shared_sums():
    """For benchmarks that leave it as it is, or write numbers of the same kind."""
    return SumTree(amounts())


@functools.cache
def writes(batch):
    rng = np.random.default_rng(1)
    return [(rng.integers(0, N, batch), rng.exponential(size=batch)) for _ in range(50)]


class Sums:
    """A tree of 10^6 sums: batches at random places, numbers found, draws; 500 times 256, or 50 times 4,096."""

    param_names = ("batch",)
    params = ([256, 4096],)

    def setup(self, batch):
        self.tree, self.writes, self.calls = shared_sums(), writes(batch), CALLS[batch]
        self.rng = np.random.default_rng(2)
        self.prefixes = self.rng.random(batch) * self.tree.total

    def time_update_many(self, batch):
        for j in range(self.calls):
            self.tree.update_many(*self.writes[j % 50])

    def time_find(self, batch):
        for _ in range(self.calls):
            self.tree.find(self.prefixes)

    def time_sample(self, batch):
        for _ in range(self.calls):
            self.tree.sample(batch, self.rng)

    def time_sample_without_replacement(self, batch):
        for _ in range(self.calls // 10):
            self.tree.sample(batch, self.rng, replace=False)


class SumsOneByOne:
    """20,000 single values written to a tree of 10^6 sums."""

    def setup(self):
        where, new = writes(4096)[0]
        self.tree, self.where, self.new = shared_sums(), where.tolist() * 5, new.tolist() * 5

    def time_setitem(self):
        tree = self.tree
        for i, value in zip(self.where[:20_000], self.new, strict=False):
            tree[i] = value


class SumsBuilt:
    """Building the tree of 10^6 sums, 8 times."""

    def setup(self):
        self.amounts, self.tree = amounts(), SumTree(amounts())

    def time_build(self):
        for _ in range(8):
            SumTree(self.amounts)


class Replay:
    """Draw 256 of 10^6 slots with their weights, and write new priorities: 500 times."""

    def setup(self):
        self.sampler, self.rng = PrioritizedSampler(N), np.random.default_rng(0)
        self.sampler.add(N, amounts())
        self.errors = self.rng.random(256)

    def time_draw_and_update(self):
        for _ in range(500):
            slots, _ = self.sampler.sample(256, self.rng)
            self.sampler.update(slots, self.errors)


class Keys:
    """A map of 10^5 keys, which are integers: as objects, or in a table of their own."""

    param_names = ("integer_keys",)
    params = ([False, True],)

    def setup(self, integer_keys):
        rng = np.random.default_rng(0)
        self.keys, self.numbers = rng.permutation(10**6)[: 10**5], rng.standard_normal(10**5)
        self.map = ThresholdMap(integer_keys=integer_keys)
        self.map.update_many(self.keys, self.numbers)
        self.some, self.new = self.keys[:20_000].tolist(), rng.standard_normal(20_000).tolist()

    def time_set(self, integer_keys):
        m = self.map
        for key, number in zip(self.some, self.new, strict=True):
            m[key] = number

    def time_pop_and_put_back(self, integer_keys):
        m = self.map
        for _ in range(20_000):
            key, number = m.popitem()
            m[key] = number - 8.0

    def time_update_many(self, integer_keys):
        self.map.update_many(self.keys, self.numbers)

    def time_query(self, integer_keys):
        for _ in range(100):
            self.map.query(3.0)


class Events:
    """Events of a watch on 10^6 values, after 1,000 of them were written: 100 times."""

    def setup(self):
        rng = np.random.default_rng(0)
        self.tree = ThresholdTree(rng.standard_normal(N))
        self.watch = Watch(self.tree, high=3.0, low=2.5)
        self.watch.events()
        self.writes = [(rng.integers(0, N, 1000), rng.standard_normal(1000)) for _ in range(100)]

    def time_events(self):
        for where, new in self.writes:
            self.tree.update_many(where, new)
            self.watch.events()


class Window:
    """Push one value into a window of 10^5, and ask for the maximum of the last 10^4: 20,000 times."""

    def setup(self):
        self.window = ThresholdWindow(10**5)
        self.stream = np.random.default_rng(0).standard_normal(20_000).tolist()
        self.window.extend(np.zeros(10**5))

    def time_push_and_max(self):
        for value in self.stream:
            self.window.push(value)
            self.window.max(last=10_000)
