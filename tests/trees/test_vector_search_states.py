"""Random changes of vectors and questions, beside a twin that compares all pairs."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from sltrees import VectorSearch
from sltrees._core._vector_panels import METRICS
from sltrees.reference import AllPairs

EXAMPLES, STEPS = 12, 30  # of each of six machines
STRESS = os.environ.get("SLTREES_STRESS") == "1"
REPLAYED = 20_000 if STRESS else 300  # actions of each of six replays

entries = st.integers(-3, 3)
thresholds = st.one_of(st.integers(-12, 12), st.sampled_from([-0.5, 0.5, 1 / 3, np.inf, -np.inf]))


class Model:
    """A search, and the twin that it must agree with."""

    def __init__(self, vectors, metric):
        self.search, self.twin = VectorSearch(vectors, metric=metric, n_threads=1), AllPairs(vectors, metric)
        self.free = []

    def update(self, ids, vectors):
        ids = [i for i in ids if i < len(self.twin.live) and self.twin.live[i]]
        self.search.update(ids, vectors[: len(ids)])
        for i, vector in zip(ids, vectors, strict=False):
            self.twin.vectors[i] = vector

    def remove(self, ids):
        ids = [i for i in dict.fromkeys(ids) if i < len(self.twin.live) and self.twin.live[i]]
        self.search.remove(ids)
        self.twin.live[ids], self.twin.vectors[ids] = False, 0
        self.free += ids

    def add(self, vectors):
        n = len(self.twin.live)
        reused = [self.free.pop() for _ in range(min(len(vectors), len(self.free)))]
        expected = [*reused, *range(n, n + len(vectors) - len(reused))]
        assert self.search.add(vectors).tolist() == expected
        more = len(vectors) - len(reused)
        self.twin.vectors = np.concatenate([self.twin.vectors, np.zeros((more, self.twin.vectors.shape[1]))])
        self.twin.live = np.concatenate([self.twin.live, np.zeros(more, dtype=bool)])
        self.twin.vectors[expected], self.twin.live[expected] = vectors, True

    def refused(self, vectors):
        bad = vectors.copy()
        bad[-1, -1] = np.nan
        with pytest.raises(ValueError, match="finite"):
            self.search.add(bad)
        with pytest.raises(IndexError, match="ids must be"):
            self.search.remove([*np.flatnonzero(self.twin.live)[:1], len(self.twin.live)])

    def within(self, queries, threshold, inclusive):
        values, passing = self.twin.values(queries), self.twin.within(queries, threshold, inclusive=inclusive)
        found = self.search.search(queries, threshold, inclusive=inclusive)
        assert np.array_equal(found.indices, np.nonzero(passing)[1])
        assert np.array_equal(found.data, values[passing])
        assert np.array_equal(np.diff(found.indptr), passing.sum(axis=1))
        assert np.array_equal(self.search.count(queries, threshold, inclusive=inclusive), passing.sum(axis=1))

    def nearest(self, queries, k):
        for got, want in zip(self.search.nearest(queries, k), self.twin.nearest(queries, k), strict=True):
            assert np.array_equal(got, want)

    def duplicate(self, how):
        old = self.search
        self.search = old.copy() if how == "copy" else pickle.loads(pickle.dumps(old))
        assert self.search == old
        old.remove(old.ids)  # a duplicate that shared memory with it would show in the checks that follow

    def agrees(self):
        self.search._check()
        assert np.array_equal(self.search.vectors, self.twin.vectors)
        assert np.array_equal(self.search.ids, np.flatnonzero(self.twin.live))
        assert self.search._held.panels.free.tolist() == self.free


class VectorSearchMachine(RuleBasedStateMachine):
    metric, dtype = "inner_product", np.float64

    @initialize(n=st.integers(1, 70), d=st.integers(1, 3), seed=st.integers(0, 999))
    def build(self, n, d, seed):
        self.d = d
        self.model = Model(np.random.default_rng(seed).integers(1, 4, (n, d)).astype(self.dtype), self.metric)

    def draw(self, data, k):
        rows = data.draw(st.lists(st.lists(entries, min_size=self.d, max_size=self.d), min_size=k, max_size=k))
        vectors = np.array(rows, dtype=self.dtype).reshape(k, self.d)
        vectors[~vectors.any(axis=1)] = 1  # for cosines
        return vectors

    @rule(data=st.data(), ids=st.lists(st.integers(0, 80), max_size=12))
    def update(self, data, ids):
        self.model.update(ids, self.draw(data, len(ids)))

    @rule(ids=st.lists(st.integers(0, 80), max_size=12))
    def remove(self, ids):
        self.model.remove(ids)

    @rule(data=st.data(), k=st.integers(0, 9))
    def add(self, data, k):
        self.model.add(self.draw(data, k))

    @rule(data=st.data(), k=st.integers(1, 3))
    def refused(self, data, k):
        self.model.refused(self.draw(data, k))

    @rule(data=st.data(), k=st.integers(0, 9), threshold=thresholds, inclusive=st.booleans())
    def within(self, data, k, threshold, inclusive):
        self.model.within(self.draw(data, k), threshold, inclusive)

    @rule(data=st.data(), n=st.integers(0, 9), k=st.integers(1, 9))
    def nearest(self, data, n, k):
        self.model.nearest(self.draw(data, n), k)

    @rule(how=st.sampled_from(["copy", "pickle"]))
    def duplicate(self, how):
        self.model.duplicate(how)

    @invariant()
    def agrees(self):
        if hasattr(self, "model"):
            self.model.agrees()


kinds = pytest.mark.parametrize("metric", METRICS)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@kinds
@dtypes
def test_drawn_actions_agree_with_all_pairs(metric, dtype):
    run_state_machine_as_test(
        type("Machine", (VectorSearchMachine,), {"metric": metric, "dtype": dtype}),
        settings=settings(
            max_examples=20 * EXAMPLES if STRESS else EXAMPLES,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )


def act(model, rng):
    """One random action."""
    n, d, choice, k = len(model.twin.live), model.twin.vectors.shape[1], rng.integers(8), int(rng.integers(0, 12))
    vectors = rng.integers(-3, 4, (k, d)).astype(model.search.dtype)
    vectors[~vectors.any(axis=1)] = 1
    if choice == 0 and rng.random() < 0.1:  # of another scale, some without a place in float32
        vectors *= 2.0 ** int(rng.integers(-20, 120))
    t = rng.choice([-np.inf, -3, 0, 0.5, 1, 2, 5, np.inf])
    if choice <= 1:
        model.update(rng.integers(0, n, k).tolist(), vectors)
    elif choice == 2:
        model.remove(rng.integers(0, n, k).tolist())
    elif choice == 3 and n < 300:
        model.add(vectors)
    elif choice == 4 and k:
        model.refused(vectors)
    elif choice <= 6:
        model.within(vectors, t, bool(rng.integers(2)))
    elif rng.random() < 0.9:
        model.nearest(vectors, int(rng.integers(1, 9)))
    else:
        model.duplicate(rng.choice(["copy", "pickle"]))


@kinds
@dtypes
def test_replayed_actions_agree_with_all_pairs(seed, metric, dtype):
    rng = np.random.default_rng(seed)
    model = Model(rng.integers(1, 4, (100, 3)).astype(dtype), metric)
    for step in range(REPLAYED):
        act(model, rng)
        if step % 20 == 0:
            model.agrees()
    model.agrees()
