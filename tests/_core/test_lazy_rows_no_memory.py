"""Where memory runs out, lazy rows and near lists are what they were: a step is kept whole or not at all."""

import itertools

import numpy as np
import pytest
from allocations import fail_each, refusing
from lazy_rows_problem import Driver, draw_samples

from sltrees._core._near_lists import NearLists

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])

ROOM = {"active_start", "active_used", "active_room", "near_room"}  # how much there is may change, and where lists lie


def content(rows_state):
    """What rows say, without where they keep it."""
    row = rows_state["row"]
    fields = {f"row.{name}": row[name].tobytes() for name in row.dtype.names if name not in ROOM | {"unused"}}
    return fields | {name: value.tobytes() for name, value in rows_state.items() if name not in ROOM | {"row"}}


class Refused:
    """Rows whose steps are tried with each allocation refused, before they are made."""

    def __init__(self, driver):
        self._driver, self._rows, self.count = driver, driver.rows, 0

    def __getattr__(self, name):
        return getattr(self._rows, name)

    def apply(self, *arguments):
        self._until_it_is_done(lambda: self._rows.apply(*arguments))

    def review(self, step, visit_all=False):
        """Together with what the driver collects of strayed rows: findings that failed are thrown away."""
        self._until_it_is_done(lambda: self._driver._collect(step, self._rows.review(step, visit_all)))
        return self._rows.review(step, visit_all)

    def _until_it_is_done(self, act):
        """Refuse the first allocation, the second, ...; what fails leaves the rows as they were."""
        before = content(self._driver.state())
        for number in itertools.count(1):
            try:
                with refusing(number):
                    act()
                return
            except MemoryError:
                assert content(self._driver.state()) == before
                self.count += 1


@dtypes
@pytest.mark.parametrize("copies", [1, 2])
def test_each_allocation_that_fails_leaves_rows(seed, dtype, copies):
    rng = np.random.default_rng(seed)
    X = draw_samples(rng, 40, 4, dtype)
    driver = Driver(X, rng.standard_normal((12, 4)).astype(dtype), 0.5, copies=copies)
    driver.rows = refused = Refused(driver)
    for t in range(8):
        # rows stray and lists outgrow their room, pools are closed, and some steps move little
        driver.move(rng.choice([0.01, 3.0]) * rng.standard_normal(driver.n), visit_all=t % 4 == 3)
    assert refused.count > 100


@dtypes
def test_each_allocation_that_fails_leaves_near_lists(seed, dtype):
    rng = np.random.default_rng(seed)
    n = 30
    thresholds, inverse = np.full(n, -0.5, dtype), np.ones(n, dtype)
    z = rng.standard_normal((300, n)).astype(dtype)

    def make():
        near = NearLists(thresholds, inverse, 0.5, True, 0)
        near.collect(z[:7])
        return near

    def said(near):
        start, stop = near.ranges()
        lists = near.direction[: near.used], near.distance[: near.used], near.fired[: near.n_listed]
        return [array.tolist() for array in (start, stop, *lists, *near.n_fired, *near.nearest)]

    def check(near):
        assert said(near) == said(make())
        near.collect(z[7:])  # and there is room for all of them
        whole = make()
        whole.collect(z[7:])
        assert said(near) == said(whole)

    refused = [fail_each(make, act, check) for act in (lambda near: near.collect(z[7:]), NearLists.copy)]
    assert min(refused) >= 4
    assert fail_each(make, NearLists.trim, check) >= 0
