"""Random actions on a ThresholdTree, compared with a NumPy array after every one of them."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from sltrees import ThresholdTree

EXAMPLES, STEPS = 25, 40  # of each of eight machines; some examples end early
STRESS = os.environ.get("SLTREES_STRESS") == "1"
REPLAYED = 125_000 if STRESS else 1_000  # actions of each of eight replays
INF = np.inf

# few distinct values, so that ties are frequent
entries = st.sampled_from([-INF, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, INF])
thresholds = st.sampled_from([-INF, -3.0, -1.5, 0.0, 0.5, 1.0, 2.0, 3.0, INF])

settings_of = pytest.mark.parametrize(
    ("dtype", "orientation"), [(d, o) for d in (np.float32, np.float64) for o in ("max", "min")]
)


class Model:
    """The tree and the array it must agree with: each method does one thing to both."""

    def __init__(self, values, orientation):
        self.values, self.orientation = values.copy(), orientation
        self.tree = ThresholdTree(values, orientation=orientation)

    @property
    def n(self):
        return self.values.size

    @property
    def worst(self):
        return -INF if self.orientation == "max" else INF

    def passes(self, t):
        t = self.values.dtype.type(t)
        return self.values > t if self.orientation == "max" else self.values < t

    def agrees(self):
        self.tree._check()
        assert np.array_equal(self.tree.values, self.values)

    def update(self, i, x):
        self.tree.update(i, x)
        self.values[i] = x

    def set_item(self, key, x):
        self.tree[key] = x
        self.values[key] = x

    def add(self, i, x):
        with np.errstate(invalid="ignore"):
            total = self.values[i] + self.values.dtype.type(x)
        if np.isnan(total):
            with pytest.raises(ValueError, match="must not be NaN"):
                self.tree.add(i, x)
        else:
            self.tree.add(i, x)
            self.values[i] = total

    def update_many(self, where, new, crossing=None):
        before = None if crossing is None else self.passes(crossing)
        found = self.tree.update_many(where, new, crossing=crossing)
        for i, x in zip(where, new, strict=True):
            self.values[i] = x
        if crossing is None:
            assert found is None
        else:
            after = self.passes(crossing)
            assert np.array_equal(found[0], np.flatnonzero(after & ~before))
            assert np.array_equal(found[1], np.flatnonzero(before & ~after))

    def add_many(self, where, deltas):
        sums = self.values.copy()
        with np.errstate(invalid="ignore"):
            np.add.at(sums, where, np.asarray(deltas, dtype=sums.dtype))
        if np.isnan(sums).any():
            with pytest.raises(ValueError, match="the sums must not be NaN"):
                self.tree.add_many(where, deltas)
        else:
            self.tree.add_many(where, deltas)
            self.values = sums

    def refused(self, where):
        for method in (self.tree.update_many, self.tree.add_many):
            with pytest.raises(ValueError, match="must not be NaN"):
                method(where, np.append(np.zeros(len(where) - 1), np.nan))
        with pytest.raises(IndexError, match="must be in"):
            self.tree.update_many([*where, self.n], 9.0)

    def pop_above(self, t):
        expected = np.flatnonzero(self.passes(t))
        indices, popped = self.tree.pop_above(t)
        assert np.array_equal(indices, expected)
        assert np.array_equal(popped, self.values[expected])
        self.values[expected] = self.worst

    def append(self, x):
        self.tree.append(x)
        self.values = np.append(self.values, self.values.dtype.type(x))

    def extend(self, new):
        self.tree.extend(new)
        self.values = np.append(self.values, np.asarray(new, dtype=self.values.dtype))

    def resize(self, n):
        self.tree.resize(n)
        added = np.full(max(n - self.n, 0), self.worst, dtype=self.values.dtype)
        self.values = np.append(self.values, added)[:n]

    def query(self, t, start, stop):
        passing = self.passes(t)
        passing[:start] = passing[stop:] = False
        expected = np.flatnonzero(passing)
        assert np.array_equal(self.tree.query(t, start, stop), expected)
        assert self.tree.count(t, start, stop) == expected.size
        assert self.tree.first(t, start, stop) == (expected[0] if expected.size else -1)

    def best(self, k):
        keys = -self.values if self.orientation == "max" else self.values
        order = np.argsort(keys, kind="stable")
        assert np.array_equal(self.tree.topk(k), order[:k])
        if self.n:
            assert self.tree.argmax() == order[0]
            assert self.tree.max() == self.values[order[0]]

    def duplicate(self, how):
        old = self.tree
        self.tree = old.copy() if how == "copy" else pickle.loads(pickle.dumps(old))
        assert self.tree == old
        # a duplicate that shared memory with the original would show in the checks that follow
        old[:] = 77

    def go_on_borrowing(self):
        """Continue from an array written to by somebody else, which the tree borrows for a moment."""
        mine = self.values.copy()
        tree = ThresholdTree(mine, orientation=self.orientation, copy=False)
        start, stop = self.n // 3, self.n - self.n // 4
        self.values[start:stop] = mine[start:stop] = np.arange(stop - start) % 5 - 2
        tree.refresh(start, stop)
        tree._check()
        assert np.array_equal(tree.values, self.values)
        self.tree = tree.copy()


class TreeMachine(RuleBasedStateMachine):
    dtype, orientation, sizes = np.float64, "max", (0, 40)
    n_actions = 0

    @initialize(data=st.data(), seed=st.integers(0, 999))
    def build(self, data, seed):
        n = data.draw(st.integers(*self.sizes))
        values = np.random.default_rng(seed).integers(-3, 4, n).astype(self.dtype)
        self.model = Model(values, self.orientation)

    def count(self):
        type(self).n_actions += 1
        return self.model

    def draw_index(self, data):
        return data.draw(st.integers(0, self.model.n - 1))

    def draw_indices(self, data, min_size=0):
        most = 30 if self.model.n else 0
        return data.draw(
            st.lists(st.integers(0, max(self.model.n - 1, 0)), min_size=min(min_size, most), max_size=most)
        )

    def draw_values(self, data, k):
        return data.draw(st.lists(entries, min_size=k, max_size=k))

    @rule(data=st.data(), x=entries, how=st.sampled_from(["update", "set_item", "add"]))
    def write_one(self, data, x, how):
        model = self.count()
        if model.n:
            getattr(model, how)(self.draw_index(data), x)

    @rule(data=st.data(), x=entries)
    def assign_slice(self, data, x):
        model = self.count()
        bounds = st.one_of(st.none(), st.integers(-model.n - 1, model.n + 1))
        step = data.draw(st.sampled_from([None, 1, 3, -1, -7]))
        part = slice(data.draw(bounds), data.draw(bounds), step)
        if data.draw(st.booleans()):  # one number for each place
            x = np.where(np.arange(len(model.values[part])) % 3, x, 0.0)
        model.set_item(part, x)

    @rule(data=st.data(), crossing=st.one_of(st.none(), thresholds))
    def update_many(self, data, crossing):
        model, where = self.count(), self.draw_indices(data)
        model.update_many(where, self.draw_values(data, len(where)), crossing)

    @rule(data=st.data())
    def add_many(self, data):
        model, where = self.count(), self.draw_indices(data)
        model.add_many(where, self.draw_values(data, len(where)))

    @rule(seed=st.integers(0, 999))
    def rewrite_half(self, seed):
        model, rng = self.count(), np.random.default_rng(seed)
        k = model.n // 2
        model.update_many(rng.integers(0, max(model.n, 1), k), rng.integers(-3, 4, k))

    @rule(data=st.data())
    def refused(self, data):
        model, where = self.count(), self.draw_indices(data, min_size=1)
        if where:
            model.refused(where)

    @rule(t=thresholds)
    def pop_above(self, t):
        self.count().pop_above(t)

    @rule(x=entries)
    def append(self, x):
        self.count().append(x)

    @rule(new=st.lists(entries, max_size=40))
    def extend(self, new):
        self.count().extend(new)

    @rule(change=st.integers(-40, 40))
    def resize(self, change):
        model = self.count()
        model.resize(max(model.n + change, 0))

    @rule(data=st.data(), t=thresholds)
    def query(self, data, t):
        model = self.count()
        start = data.draw(st.integers(0, model.n))
        model.query(t, start, data.draw(st.integers(start, model.n)))

    @rule(k=st.integers(0, 50))
    def best(self, k):
        self.count().best(k)

    @rule(how=st.sampled_from(["copy", "pickle"]))
    def duplicate(self, how):
        self.count().duplicate(how)

    @rule()
    def go_on_borrowing(self):
        self.count().go_on_borrowing()

    @invariant()
    def agrees(self):
        if hasattr(self, "model"):
            self.model.agrees()


@settings_of
@pytest.mark.parametrize("sizes", [(0, 40), (240, 270)], ids=["small", "around three levels"])
def test_drawn_actions_agree_with_numpy(dtype, orientation, sizes):
    machine = type(
        "Machine", (TreeMachine,), {"dtype": dtype, "orientation": orientation, "sizes": sizes, "n_actions": 0}
    )
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=10 * EXAMPLES if STRESS else EXAMPLES,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )
    # eight of these tests, with as many replays of 1,000 actions below: at least 10,000 random actions in all
    assert machine.n_actions >= 300


def act(model, rng):
    """One random action."""
    n, worst_size = model.n, 2 * model.origin + 64
    span = sorted(rng.integers(0, n + 1, 2).tolist())
    t = float(rng.choice([-INF, -2, -0.5, 0, 1, 2.5, INF], p=[0.04, 0.2, 0.2, 0.2, 0.2, 0.12, 0.04]))
    x = float(rng.choice([-INF, -2, -1, 0, 1, 2, INF], p=[0.04, 0.2, 0.2, 0.12, 0.2, 0.2, 0.04]))
    choice = rng.integers(14)
    k = int(rng.choice([1, 3, 20, n // 2])) if n else 0
    where = rng.integers(0, max(n, 1), k)
    new = rng.integers(-3, 4, k).astype(np.float64)
    if choice <= 2 and n:
        (model.update, model.set_item, model.add)[choice](int(rng.integers(n)), x)
    elif choice == 3:
        model.set_item(slice(span[0], span[0] + 20), x)
    elif choice == 4:
        model.update_many(where, new, t if rng.random() < 0.5 else None)
    elif choice == 5:
        model.add_many(where, new)
    elif choice == 6 and k:
        model.refused(where.tolist())
    elif choice == 7:
        model.pop_above(t if rng.random() < 0.1 else 2.5 * (1 if model.orientation == "max" else -1))
    elif choice == 8:
        model.append(x)
    elif choice == 9:
        model.extend(new[:30])
    elif choice == 10:
        # mostly near the size at the start, so that levels come and go there
        model.resize(
            int(rng.integers(0, worst_size)) if rng.random() < 0.05 else model.origin + int(rng.integers(-20, 20))
        )
    elif choice == 11:
        model.query(t, *span)
    elif choice == 12:
        model.best(int(rng.integers(0, 40)))
    elif choice == 13 and rng.random() < 0.2:
        rng.choice([model.go_on_borrowing, lambda: model.duplicate("copy"), lambda: model.duplicate("pickle")])()
    else:
        model.query(t, 0, n)


@settings_of
@pytest.mark.parametrize(("size", "stride"), [(64, 1), (4096, 50)])
def test_replayed_actions_agree_with_numpy(seed, dtype, orientation, size, stride):
    # SLTREES_STRESS=1: 125,000 actions in each of eight replays, a million in all
    rng = np.random.default_rng(seed)
    model = Model(rng.integers(-3, 4, size).astype(dtype), orientation)
    model.origin = size
    for step in range(REPLAYED):
        act(model, rng)
        if step % stride == 0:
            model.agrees()
    model.agrees()
