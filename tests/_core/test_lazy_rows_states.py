"""Random steps of lazy rows, kept or dropped, with every invariant and the dense model checked after each."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from lazy_rows_problem import Driver, draw_samples

STRESS = os.environ.get("SLTREES_STRESS") == "1"
EXAMPLES, STEPS = 60, 25  # of each of two machines
REPLAYED = 20_000 if STRESS else 300  # actions of each of eight replays

sizes = st.sampled_from([0.0, 1e-4, 1e-2, 0.1, 0.5, 3.0])
shrinks = st.sampled_from([1.0, 1.0, 0.999, 0.3, 0.0])
seeds = st.integers(0, 9999)


def build(seed, dtype):
    """Rows of a random shape, with everything that may be special about them."""
    rng = np.random.default_rng(seed)
    width = 64 // np.dtype(dtype).itemsize
    k = 2 * int(rng.choice([0, 1, 3, 8, 17], p=[0.04, 0.16, 0.3, 0.3, 0.2]))
    n = int(rng.choice([1, 2, width - 1, width, width + 1, 40]))
    d = int(rng.choice([1, 2, 3, 16, 17]))
    norms = (1e-3, 1e3) if rng.random() < 0.2 else (0.5, 2.0)
    X = draw_samples(rng, n, d, dtype, norms=norms, duplicates=n // 4, zeros=int(rng.integers(0, 2)))
    copies = int(rng.integers(1, 3))
    initial = rng.standard_normal((k // copies, d)).astype(dtype)
    origin = 0.7 * rng.standard_normal((k, d)).astype(dtype) if rng.random() < 0.3 else None
    return Driver(
        X,
        initial,
        float(rng.choice([0.0, 0.5, 1.5])),
        copies=copies,
        origin=origin,
        exchange=float(rng.choice([0.0, 0.01, 1.0, 30.0])),
    )


class Actions:
    """What may happen to rows."""

    def __init__(self, driver):
        self.driver = driver
        self.visited = [driver.beta]  # where the coefficients have been

    def _shrink(self, shrink):
        return shrink if self.driver.exchange > 0 else 1.0

    def _moved_by(self, size, seed, sparse):
        rng = np.random.default_rng(seed)
        moved_by = size * rng.standard_normal(self.driver.n)
        if sparse:
            moved_by[rng.random(self.driver.n) < 0.8] = 0
        return moved_by

    def move(self, size, seed, sparse, shrink, visit_all):
        self.driver.move(self._moved_by(size, seed, sparse), self._shrink(shrink), visit_all)
        self.visited = [*self.visited[-5:], self.driver.beta]

    def refuse(self, size, seed, sparse, shrink, visit_all):
        self.driver.refuse(self._moved_by(size, seed, sparse), self._shrink(shrink), visit_all)

    def go_back(self, where, share, shrink, visit_all):
        """Some or all of the way to where the coefficients once were."""
        beta = self.driver.beta + share * (self.visited[where % len(self.visited)] - self.driver.beta)
        self.driver.go_to(beta, self._shrink(shrink), visit_all)

    def try_twice(self, size, seed, shrink):
        """A step refused, then a shorter one the same way."""
        self.refuse(size, seed, False, shrink, False)
        self.move(size / 4, seed, False, shrink, False)

    def add_directions(self, n, seed, of_each):
        """Further samples, some of them copies of others or zeros."""
        driver, rng = self.driver, np.random.default_rng(seed)
        X = draw_samples(rng, n, driver.X.shape[1], driver.dtype, norms=(0.5, 2.0), duplicates=n // 4, zeros=n // 8)
        if n > 1:
            X[0] = driver.X[rng.integers(driver.n)]
        driver.add_directions(X, of_each=of_each)
        driver.find_sides()
        self.visited = [np.append(beta, np.zeros(n)) for beta in self.visited]

    def trim(self):
        """Twice: the second time there is nothing to give back."""
        self.driver.rows.trim()
        before = self.driver.rows.parts()["active_used"]
        self.driver.rows.trim()
        assert self.driver.rows.parts()["active_used"] == before

    def only_stamp(self):
        """As after many stamps: every row is visited, and then there is one stamp."""
        self.driver.move(np.zeros(self.driver.n), visit_all=True)
        assert len(self.driver.history) == 1


class RowsMachine(RuleBasedStateMachine):
    dtype = np.float64
    n_actions = 0

    @initialize(seed=seeds)
    def build(self, seed):
        self.actions = Actions(build(seed, self.dtype))

    def count(self):
        type(self).n_actions += 1
        return self.actions

    @rule(size=sizes, seed=seeds, sparse=st.booleans(), shrink=shrinks, visit_all=st.sampled_from([False] * 4 + [True]))
    def move(self, **step):
        self.count().move(**step)

    @rule(size=sizes, seed=seeds, sparse=st.booleans(), shrink=shrinks, visit_all=st.booleans())
    def refuse(self, **step):
        self.count().refuse(**step)

    @rule(where=st.integers(0, 5), share=st.sampled_from([0.5, 1.0, 1.1]), shrink=shrinks, visit_all=st.booleans())
    def go_back(self, **step):
        self.count().go_back(**step)

    @rule(size=sizes, seed=seeds, shrink=shrinks)
    def try_twice(self, **step):
        self.count().try_twice(**step)

    @rule()
    def trim(self):
        self.count().trim()

    @precondition(lambda self: self.actions.driver.n < 80)
    @rule(n=st.sampled_from([0, 1, 2, 8, 17]), seed=seeds, of_each=st.booleans())
    def add_directions(self, **further):
        self.count().add_directions(**further)

    @precondition(lambda self: len(self.actions.driver.history) > 3)
    @rule()
    def only_stamp(self):
        self.count().only_stamp()

    @invariant()
    def agrees(self):
        if hasattr(self, "actions"):
            driver = self.actions.driver
            driver.check()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_drawn_steps_agree_with_the_dense_model(dtype):
    machine = type("Machine", (RowsMachine,), {"dtype": dtype, "n_actions": 0})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=10 * EXAMPLES if STRESS else EXAMPLES,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert machine.n_actions >= 200


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("problem", range(4))
def test_replayed_steps_agree_with_the_dense_model(seed, problem, dtype):
    rng = np.random.default_rng([seed, problem])
    actions = Actions(build([seed, problem], dtype))
    for t in range(REPLAYED):
        if t % 75 == 74:  # rounding adds up, and the tolerances of the model with it: begin anew
            actions = Actions(build([seed, problem, t], dtype))
        size, shrink = rng.choice([0.0, 1e-3, 0.03, 0.2, 1.0]), rng.choice([1.0, 1.0, 0.999, 0.3, 0.0])
        step, visit_all = int(rng.integers(1 << 30)), bool(rng.random() < 0.1)
        if t % 4 == 3:
            actions.trim()
        choice = rng.integers(5)
        if t % 15 == 7:
            actions.add_directions(int(rng.choice([0, 1, 9])), step, visit_all)
        if choice <= 1:
            actions.move(size, step, rng.random() < 0.5, shrink, visit_all)
        elif choice == 2:
            actions.refuse(size, step, False, shrink, visit_all)
        elif choice == 3:
            actions.go_back(int(rng.integers(6)), rng.choice([0.5, 1.0, 1.1]), shrink, visit_all)
        elif len(actions.driver.history) > 8:
            actions.only_stamp()
        else:
            actions.try_twice(size, step, shrink)
