"""Random actions on CorrelationTrees, compared with plain products after every one of them."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from sltrees import CorrelationTrees

EXAMPLES, STEPS = 40, 50  # of each of four machines; some examples end early
STRESS = os.environ.get("SLTREES_STRESS") == "1"

# small integers: products are exact whatever the order of summation, and ties are frequent
entries = st.integers(-3, 3)
floors = st.one_of(st.none(), st.sampled_from([-30, 0.5, 2]))
thresholds = st.one_of(st.integers(-12, 12), st.sampled_from([-0.5, 0.5, 2.5, np.inf, -np.inf]))


class CorrelationTreesMachine(RuleBasedStateMachine):
    """The trees, and the arrays they must agree with."""

    axis, dtype = "data", np.float64
    n_actions = 0

    @initialize(m=st.integers(1, 20), n=st.integers(1, 70), d=st.integers(1, 3), seed=st.integers(0, 999), floor=floors)
    def build(self, m, n, d, seed, floor):
        rng = np.random.default_rng(seed)
        self.weights = rng.integers(-3, 4, (m, d)).astype(self.dtype)
        self.data = rng.integers(-3, 4, (n, d)).astype(self.dtype)
        self.floor = floor
        self.trees = CorrelationTrees(self.weights, self.data, axis=self.axis, floor=floor)
        self.slack = np.zeros(len(self.trees))

    @property
    def expected(self):
        products = self.weights @ self.data.T
        return products if self.axis == "data" else products.T

    def count(self):
        type(self).n_actions += 1

    def holds(self, limits, ask):
        """Whether products above these limits are held; if not, asking for them is refused."""
        if self.floor is None or np.min(limits) >= self.floor:
            return True
        with pytest.raises(ValueError, match="must be at least the floor"):
            ask()
        return False

    def draw_weight(self, data):
        return data.draw(st.lists(entries, min_size=self.weights.shape[1], max_size=self.weights.shape[1]))

    @rule(data=st.data())
    def update_weight(self, data):
        self.count()
        r = data.draw(st.integers(0, len(self.weights) - 1))
        weight = self.draw_weight(data)
        self.trees.update_weight(r, weight)
        self.weights[r] = weight
        self.written([r])

    @rule(data=st.data())
    def update_weights(self, data):
        self.count()
        # with repetitions, up to more rows than there are weights
        rows = data.draw(st.lists(st.integers(0, len(self.weights) - 1), max_size=24))
        new = np.array([self.draw_weight(data) for _ in rows], dtype=self.dtype).reshape(
            len(rows), self.weights.shape[1]
        )
        self.trees.update_weights(rows, new)
        for r, weight in zip(rows, new, strict=True):
            self.weights[r] = weight
        self.written(rows)

    def written(self, rows):
        if self.axis == "data":
            self.slack[rows] = 0

    @rule(data=st.data(), slack=st.sampled_from([0, 0.5, 3]))
    def set_slack(self, data, slack):
        self.count()
        rows = data.draw(st.lists(st.integers(0, len(self.slack) - 1), max_size=3))
        self.trees.set_slack(rows, slack)
        self.slack[rows] = slack

    @rule(data=st.data())
    def add(self, data):
        self.count()
        new = np.array([self.draw_weight(data) for _ in range(data.draw(st.integers(0, 3)))], dtype=self.dtype)
        new = new.reshape(-1, self.weights.shape[1])
        if data.draw(st.booleans()):
            self.trees.add_weights(new)
            self.weights = np.concatenate([self.weights, new])
        else:
            self.trees.add_data(new)
            self.data = np.concatenate([self.data, new])
        self.slack = np.concatenate([self.slack, np.zeros(len(self.trees) - len(self.slack))])

    @rule(data=st.data(), which=st.sampled_from(["weights", "data"]))
    def remove(self, data, which):
        self.count()
        held = getattr(self, which)
        gone = data.draw(st.lists(st.integers(0, len(held) - 1), max_size=min(3, len(held) - 1)))
        (self.trees.remove_weights if which == "weights" else self.trees.remove_data)(gone)
        setattr(self, which, np.delete(held, gone, axis=0))
        if which != self.axis:
            self.slack = np.delete(self.slack, gone)

    @rule(data=st.data())
    def refused_update(self, data):
        self.count()
        rows = data.draw(st.lists(st.integers(0, len(self.weights) - 1), min_size=1, max_size=3))
        new = np.zeros((len(rows), self.weights.shape[1]))
        new[-1, -1] = np.nan
        with pytest.raises(ValueError, match="finite"):
            self.trees.update_weights(rows, new)

    @rule(data=st.data(), threshold=thresholds)
    def query(self, data, threshold):
        self.count()
        row = data.draw(st.integers(0, len(self.trees) - 1))
        limit = threshold - self.slack[row]
        if not self.holds(limit, lambda: self.trees.query(row, threshold)):
            return
        indices, values = self.trees.query(row, threshold, return_values=True)
        expected = self.expected[row]
        assert np.all(expected[indices] > limit)
        assert np.all(np.delete(expected, indices) <= limit)
        assert np.all(np.diff(indices) > 0)
        assert np.array_equal(values, expected[indices])

    @rule(data=st.data(), threshold=thresholds, k=st.integers(0, 80))
    def count_and_best(self, data, threshold, k):
        self.count()
        expected = self.expected
        row, limits = data.draw(st.integers(0, len(expected) - 1)), threshold - self.slack
        if self.holds(limits, lambda: self.trees.count_all(threshold)):
            assert np.array_equal(self.trees.count_all(threshold), np.count_nonzero(expected > limits[:, None], axis=1))
        if self.holds(limits[row], lambda: self.trees.any(row, threshold)):
            assert self.trees.count(row, threshold) == np.count_nonzero(expected[row] > limits[row])
            assert self.trees.any(row, threshold) == (expected[row] > limits[row]).any()
        held = expected[row].size if self.floor is None else np.count_nonzero(expected[row] > self.floor)
        assert np.array_equal(self.trees.topk(row, k), np.argsort(-expected[row], kind="stable")[: min(k, held)])

    @rule(threshold=thresholds)
    def query_all(self, threshold):
        self.count()
        limits = (threshold - self.slack)[:, None]
        if not self.holds(limits, lambda: self.trees.query_all(threshold)):
            return
        found, expected = self.trees.query_all(threshold), self.expected
        rows = np.repeat(np.arange(len(expected)), np.diff(found.indptr))
        missed = np.ones(expected.shape, dtype=bool)
        missed[rows, found.indices] = False
        assert np.all(found.data > np.broadcast_to(limits, expected.shape)[~missed])
        assert not np.any(missed & (expected > limits))
        assert np.count_nonzero(~missed) == found.nnz
        assert np.array_equal(found.data, expected[rows, found.indices])

    @rule(how=st.sampled_from(["copy", "pickle"]))
    def go_on_with_a_duplicate(self, how):
        self.count()
        old = self.trees
        self.trees = old.copy() if how == "copy" else pickle.loads(pickle.dumps(old))
        # a duplicate that shared memory with the original would show in the checks that follow
        old.update_weights(np.arange(len(self.weights)), np.full(self.weights.shape, 77))

    @invariant()
    def agrees(self):
        if hasattr(self, "trees"):
            self.trees._check()
            if self.floor is None:
                assert np.array_equal(self.trees.values, self.expected)
            assert np.array_equal(self.trees.slack, self.slack)
            assert self.trees.floor == self.floor
            assert np.array_equal(self.trees.weights, self.weights)


@pytest.mark.parametrize("axis", ["data", "weights"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_actions_agree_with_numpy(axis, dtype):
    machine = type("Machine", (CorrelationTreesMachine,), {"axis": axis, "dtype": dtype, "n_actions": 0})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20 * EXAMPLES if STRESS else EXAMPLES,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )
    # four of these tests: at least 5,000 random actions in all
    assert machine.n_actions >= 1250
