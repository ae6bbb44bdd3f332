"""`VectorSearch`: 20,000 vectors in 64 dimensions, on one thread."""

import functools

import numpy as np

from .common import needed

VectorSearch = needed("VectorSearch")

N, D, N_QUERIES = 20_000, 64, 256


@functools.cache
def vectors():
    found = np.random.default_rng(0).standard_normal((N, D), dtype=np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


class RangeSearch:
    """256 queries that 1 pair in 10,000 passes, the 10 nearest, and changes of 200 vectors."""

    param_names = ("metric",)
    params = (["inner_product", "cosine", "euclidean"],)

    def setup(self, metric):
        self.search = VectorSearch(vectors(), metric=metric, n_threads=1)
        self.queries = vectors()[:N_QUERIES]
        self.threshold = 1.05 if metric == "euclidean" else 0.45
        rng = np.random.default_rng(1)
        self.ids, self.new = rng.permutation(N)[:200], vectors()[rng.permutation(N)[:200]]

    def time_search(self, metric):
        self.search.search(self.queries, self.threshold)

    def time_one_query(self, metric):
        for i in range(20):
            self.search.search(self.queries[i : i + 1], self.threshold)

    def time_nearest(self, metric):
        self.search.nearest(self.queries, 10)

    def time_update(self, metric):
        for _ in range(20):
            self.search.update(self.ids, self.new)

    def time_remove_and_add(self, metric):
        for _ in range(20):
            self.search.remove(self.ids)
            self.search.add(self.new)

    def time_build(self, metric):
        VectorSearch(vectors(), metric=metric)
