"""Random actions on a SumTree, compared with cumulative sums of NumPy after every one of them."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from sltrees import SumTree
from sltrees.reference import CumulativeSums

STRESS = os.environ.get("SLTREES_STRESS") == "1"

amounts = st.sampled_from([0, 0, 1, 1, 2, 5, 1000])  # sums are exact


class SumMachine(RuleBasedStateMachine):
    sizes = (0, 20)

    @initialize(data=st.data(), seed=st.integers(0, 999))
    def build(self, data, seed):
        n = data.draw(st.integers(*self.sizes))
        values = np.random.default_rng(seed).integers(0, 5, n)
        self.tree, self.twin = SumTree(values), CumulativeSums(values)

    def indices(self, data):
        n = len(self.tree)
        return data.draw(st.lists(st.integers(0, max(n - 1, 0)), max_size=30 if n else 0))

    @rule(data=st.data(), value=amounts)
    def write_one(self, data, value):
        if len(self.tree):
            i = data.draw(st.integers(0, len(self.tree) - 1))
            self.tree[i] = self.twin.values[i] = value

    @rule(data=st.data())
    def update_many(self, data):
        where = self.indices(data)
        new = data.draw(st.lists(amounts, min_size=len(where), max_size=len(where)))
        self.tree.update_many(where, new)
        self.twin.update_many(where, new)

    @rule(data=st.data(), value=amounts)
    def update_alike(self, data, value):
        where = self.indices(data)
        self.tree.update_many(where, value)
        self.twin.update_many(where, value)

    @rule(start=st.integers(-30, 30), stop=st.integers(-30, 30), step=st.sampled_from([1, 2, -1]), value=amounts)
    def assign_slice(self, start, stop, step, value):
        self.tree[start:stop:step] = self.twin.values[start:stop:step] = value

    @rule(data=st.data(), bad=st.sampled_from([-1.0, np.nan, np.inf]))
    def refused(self, data, bad):
        where = self.indices(data)
        if where:
            with pytest.raises(ValueError, match="must be finite numbers"):
                self.tree.update_many(where, np.append(np.ones(len(where) - 1), bad))
        with pytest.raises(IndexError, match="must be in"):
            self.tree.update_many([*where, len(self.tree)], 9.0)

    @rule(seed=st.integers(0, 999), k=st.integers(0, 40))
    def find(self, seed, k):
        if self.twin.total:
            prefixes = np.random.default_rng(seed).integers(0, 2 * int(self.twin.total) + 1, k) / 2
            assert np.array_equal(self.tree.find(prefixes), self.twin.find(prefixes))

    @rule(seed=st.integers(0, 999), k=st.integers(0, 30))
    def draw_different(self, seed, k):
        possible = np.flatnonzero(self.twin.values)
        if k > possible.size:
            with pytest.raises(ValueError, match=f"there are {possible.size} values"):
                self.tree.sample(k, seed, replace=False)
        else:
            drawn = self.tree.sample(k, seed, replace=False)
            assert len(set(drawn.tolist())) == k
            assert set(drawn.tolist()) <= set(possible.tolist())

    @rule(how=st.sampled_from(["copy", "pickle"]))
    def duplicate(self, how):
        old = self.tree
        self.tree = old.copy() if how == "copy" else pickle.loads(pickle.dumps(old))
        assert self.tree == old
        old[:] = 77  # a duplicate that shared memory with the original would show in the checks that follow

    @invariant()
    def agrees(self):
        if not hasattr(self, "tree"):
            return
        self.tree._check()
        assert np.array_equal(self.tree.values, self.twin.values)
        assert self.tree.total == self.twin.total
        assert self.tree.min_positive == self.twin.min_positive
        stops = np.arange(len(self.tree) + 1)
        assert np.array_equal(self.tree.prefix(stops), self.twin.prefix(stops))


@pytest.mark.parametrize("sizes", [(0, 20), (60, 70), (505, 520)], ids=["small", "two levels", "three levels"])
def test_drawn_actions_agree_with_cumulative_sums(sizes):
    run_state_machine_as_test(
        type("Machine", (SumMachine,), {"sizes": sizes}),
        settings=settings(
            max_examples=1000 if STRESS else 15,
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )
