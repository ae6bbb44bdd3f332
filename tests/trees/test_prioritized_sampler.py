"""`PrioritizedSampler`: a ring of slots, priorities and importance weights, arrays of others; and what is refused."""

import copy
import pickle

import numpy as np
import pytest
import scipy.stats
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from sltrees import PrioritizedSampler


def test_slots_go_round_and_the_oldest_makes_room():
    sampler = PrioritizedSampler(5)
    assert [sampler.add(3).tolist() for _ in range(4)] == [[0, 1, 2], [3, 4, 0], [1, 2, 3], [4, 0, 1]]
    assert (len(sampler), sampler.capacity) == (5, 5)
    assert sampler.add(0).size == 0
    assert sampler.add().tolist() == [2]
    assert sampler.add(5).tolist() == [3, 4, 0, 1, 2]
    sampler._check()


@pytest.mark.parametrize(("alpha", "beta", "epsilon"), [(0.6, 0.4, 1e-8), (1.0, 1.0, 0.0), (0.0, 0.5, 1e-8), (2, 0, 1)])
def test_draws_and_weights_are_those_of_the_formula(alpha, beta, epsilon, seed):
    rng = np.random.default_rng(seed)
    sampler = PrioritizedSampler(60, alpha=alpha, beta=beta, epsilon=epsilon, dtype=np.float64)
    priorities = rng.exponential(size=50)
    sampler.add(50, priorities)
    amounts = (priorities + epsilon) ** alpha
    assert np.allclose(sampler.tree.values[:50], amounts, rtol=1e-15)
    slots, weights = sampler.sample(100_000, rng)
    expected = (50 * amounts / amounts.sum()) ** -beta
    assert np.allclose(weights, (expected / expected.max())[slots], rtol=1e-13)
    assert weights.max() <= 1
    counts = np.bincount(slots, minlength=50)
    assert scipy.stats.chisquare(counts, amounts * counts.sum() / amounts.sum()).pvalue > 1e-4


def test_new_slots_get_the_largest_priority_that_there_is_now():
    sampler = PrioritizedSampler(10, alpha=1.0, epsilon=0.0)
    assert sampler.max_priority == 1.0
    sampler.add(2)
    assert sampler.tree.values[:2].tolist() == [1.0, 1.0]
    sampler.update([0], [5.0])
    sampler.add()
    assert sampler.tree[2] == 5.0
    sampler.update([0, 2], 0.25)  # what was the largest is forgotten
    assert sampler.max_priority == 1.0
    sampler.add()
    assert sampler.tree[3] == 1.0
    sampler.update([0, 1, 2, 3], 0.0)
    assert sampler.add(1).tolist() == [4]
    assert sampler.tree[4] == 1.0


def test_max_priority_is_in_units_of_priorities():
    sampler = PrioritizedSampler(3, alpha=0.6, epsilon=1e-3)
    sampler.add(2, [2.0, 7.0])
    assert sampler.max_priority == pytest.approx(7.0, rel=1e-12)
    assert PrioritizedSampler(3, alpha=0.0).max_priority == 1.0


def test_beta_may_change_and_be_given():
    sampler = PrioritizedSampler(4, alpha=1.0, epsilon=0.0, beta=1.0)
    sampler.add(2, [1.0, 4.0])
    assert set(sampler.sample(50, 0)[1].tolist()) == {1.0, 0.25}
    assert set(sampler.sample(50, 0, beta=0.5)[1].tolist()) == {1.0, 0.5}
    sampler.beta = 0.0
    assert set(sampler.sample(50, 0)[1].tolist()) == {1.0}
    assert sampler.sample(3, 0)[1].dtype == np.float32


class WithDlpack:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class WithArray(WithDlpack):
    __dlpack__ = None

    def __array__(self, dtype=None, copy=None):
        return self.array


@pytest.mark.parametrize("wrap", [WithDlpack, WithArray, list, np.asarray])
def test_arrays_of_others_are_taken(wrap):
    sampler = PrioritizedSampler(4, alpha=1.0, epsilon=0.0)
    sampler.add(3, wrap(np.array([1.0, 2.0, 3.0], dtype=np.float32)))
    sampler.update(wrap(np.array([0, 2])), wrap(np.array([5.0, 6.0])))
    assert sampler.tree.values.tolist() == [5.0, 2.0, 6.0, 0.0]


@pytest.mark.torch
def test_tensors_are_taken_and_results_become_tensors_without_copies():
    torch = pytest.importorskip("torch")
    sampler = PrioritizedSampler(4, alpha=1.0, epsilon=0.0)
    sampler.add(3)
    slots, errors = torch.tensor([0, 2]), torch.tensor([5.0, 6.0])
    sampler.update(slots, errors)
    assert sampler.tree.values.tolist() == [5.0, 1.0, 6.0, 0.0]
    drawn, weights = sampler.sample(6, 0)
    for array in (drawn, weights):
        assert torch.from_numpy(array).data_ptr() == array.ctypes.data
    with pytest.raises(RuntimeError, match="detach"):
        sampler.update(slots, torch.ones(2, requires_grad=True))
    assert sampler.tree[0] == 5.0


def test_a_pickle_goes_on_alike():
    sampler = PrioritizedSampler(8, beta=0.7)
    sampler.add(5, np.arange(5))
    again = pickle.loads(pickle.dumps(sampler))
    assert again.add(4).tolist() == sampler.add(4).tolist()
    assert again.tree == sampler.tree
    assert [part.tolist() for part in again.sample(9, 3)] == [part.tolist() for part in sampler.sample(9, 3)]
    assert repr(again) == "<PrioritizedSampler of 8 of 8 slots, alpha 0.6, beta 0.7>"


def test_what_is_refused_changes_nothing():
    sampler = PrioritizedSampler(4)
    with pytest.raises(ValueError, match="all values are 0"):
        sampler.sample(1)
    sampler.add(3, [1.0, 2.0, 3.0])
    before = pickle.dumps(sampler)
    for error, match, act in [
        (ValueError, "k must be at most 4, got 5", lambda: sampler.add(5)),
        (ValueError, "k must be at least 0", lambda: sampler.add(-1)),
        (ValueError, "from 0 to 2\\*\\*900, got -1.0", lambda: sampler.add(2, [1.0, -1.0])),
        (ValueError, "from 0 to 2\\*\\*900, got nan", lambda: sampler.add(2, np.nan)),
        (ValueError, "finite numbers from 0 to 2\\*\\*900, got inf", lambda: sampler.add(1, [np.inf])),
        (ValueError, r"priorities \*\* alpha must be finite", lambda: PrioritizedSampler(4, alpha=3.0).add(1, 1e200)),
        (ValueError, "one for each of 2 slots", lambda: sampler.add(2, [1.0])),
        (IndexError, r"slots must be in \[0, 3\), got 3", lambda: sampler.update([0, 3], [1.0, 1.0])),
        (TypeError, "slots must be integers", lambda: sampler.update([0.5], [1.0])),
        (ValueError, "one for each of 2 slots", lambda: sampler.update([0, 1], [1.0, 2.0, 3.0])),
        (ValueError, "from 0 to 2\\*\\*900, got -1.0", lambda: sampler.update([0, 1], [3.0, -1.0])),
        (TypeError, "priorities must be real numbers", lambda: sampler.update([0], ["a"])),
        (ValueError, "beta must be", lambda: sampler.sample(1, beta=1.5)),
        (ValueError, "beta must be", lambda: setattr(sampler, "beta", -0.1)),
        (ValueError, "capacity must be at least 1", lambda: PrioritizedSampler(0)),
        (ValueError, "alpha must be", lambda: PrioritizedSampler(1, alpha=-1)),
        (ValueError, "epsilon must be", lambda: PrioritizedSampler(1, epsilon=np.nan)),
        (ValueError, "dtype must be", lambda: PrioritizedSampler(1, dtype=int)),
    ]:
        with pytest.raises(error, match=match):
            act()
        assert pickle.dumps(sampler) == before


class RingMachine(RuleBasedStateMachine):
    """A sampler beside a plain array of priorities."""

    @initialize(capacity=st.integers(1, 12), alpha=st.sampled_from([0.5, 1.0]))
    def build(self, capacity, alpha):
        self.sampler = PrioritizedSampler(capacity, alpha=alpha, epsilon=0.0)
        self.priorities, self.n = np.zeros(capacity), 0

    @rule(data=st.data(), given=st.booleans())
    def add(self, data, given):
        k = data.draw(st.integers(0, self.priorities.size))
        new = data.draw(st.lists(st.sampled_from([0.0, 1.0, 4.0, 9.0]), min_size=k, max_size=k))
        if not given:
            new = [self.priorities.max() or 1.0] * k
        slots = self.sampler.add(k, new if given else None)
        assert slots.tolist() == [(self.n + j) % self.priorities.size for j in range(k)]
        self.n += k
        self.priorities[slots] = new

    @rule(data=st.data())
    def update(self, data):
        if not self.n:
            return
        slots = data.draw(st.lists(st.integers(0, min(self.n, self.priorities.size) - 1), max_size=8))
        new = data.draw(st.lists(st.sampled_from([0.0, 1.0, 4.0, 16.0]), min_size=len(slots), max_size=len(slots)))
        self.sampler.update(slots, new)
        for slot, priority in zip(slots, new, strict=True):
            self.priorities[slot] = priority

    @rule(many=st.integers(60, 70))
    def many_updates(self, many):
        if self.n:
            for j in range(many):
                self.sampler.update([0], [(j % 4) ** 2])  # roots are exact
            self.priorities[0] = ((many - 1) % 4) ** 2

    @rule(k=st.integers(0, 10), seed=st.integers(0, 99))
    def sample(self, k, seed):
        if self.priorities.any():
            slots, weights = self.sampler.sample(k, seed)
            assert np.all(self.priorities[slots] > 0)
            least = self.priorities[self.priorities > 0].min()
            expected = (least / self.priorities[slots]) ** (self.sampler.alpha * self.sampler.beta)
            assert np.allclose(weights, expected, rtol=1e-6)

    @rule()
    def ask_for_the_largest(self):
        assert self.sampler.max_priority == (self.priorities.max() or 1.0)

    @invariant()
    def agrees(self):
        if hasattr(self, "sampler"):
            assert np.array_equal(self.sampler.tree.values, self.priorities**self.sampler.alpha)
            self.sampler.tree._check()


def test_drawn_actions_agree_with_a_plain_array():
    run_state_machine_as_test(
        RingMachine, settings=settings(max_examples=30, stateful_step_count=25, suppress_health_check=list(HealthCheck))
    )


def test_slots_that_were_returned_or_given_may_be_changed():
    sampler = PrioritizedSampler(8, alpha=1.0, epsilon=0.0)
    slots = sampler.add(3, [1.0, 2.0, 3.0])
    slots += 100
    assert sampler.max_priority == 3.0
    buffer = np.array([0, 1])
    sampler.update(buffer, [9.0, 1.0])
    buffer[:] = 2
    assert sampler.max_priority == 9.0
    sampler._check()


def test_copies_have_trees_of_their_own():
    sampler = PrioritizedSampler(4)
    sampler.add(2)
    other = copy.copy(sampler)
    other.add(1, 5.0)
    assert (len(sampler), len(other)) == (2, 3)
    assert np.count_nonzero(sampler.tree.values) == 2


def test_the_largest_priority_can_be_given_back():
    sampler = PrioritizedSampler(4)
    sampler.add(2, 0.0)
    sampler.add(1, sampler.max_priority)
    assert sampler.max_priority >= 0
