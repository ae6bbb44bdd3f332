"""Lazy rows and near lists against their NumPy twins, over sequences of steps."""

import itertools

import numpy as np
import pytest
from lazy_rows_problem import MARGIN, SKIN, Driver, at_level, draw_samples

from sltrees import reference
from sltrees._core import _simd
from sltrees._core._near_lists import NearLists
from sltrees._core._pools import padded

LEVELS = _simd.supported_levels()
DTYPES = (np.float32, np.float64)
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
levels = pytest.mark.parametrize("level", LEVELS)


def width(dtype):
    return 64 // np.dtype(dtype).itemsize


def draw(seed, k, n, d, dtype, *, shift=0.5, copies=1, norms=(1.0, 1.0), duplicates=0, zeros=0, **options):
    rng = np.random.default_rng([seed, k, n, d])
    X = draw_samples(rng, n, d, dtype, norms=norms, duplicates=duplicates, zeros=zeros)
    initial = rng.standard_normal((k // copies, d)).astype(dtype)
    return rng, Driver(X, initial, shift, copies=copies, **options)


def wander(rng, driver, n_steps, scale, shrinks=(1.0, 0.3, 0.0)):
    """Random steps, most of them small, some dropped, some that visit everything."""
    for t in range(n_steps):
        size = scale * rng.choice([1.0, 0.1, 0.01])
        moved_by = size * rng.standard_normal(driver.n)
        if t % 4 == 2:
            driver.refuse(10 * moved_by, 0.5 if driver.exchange > 0 else 1.0, visit_all=t % 8 == 2)
        driver.move(moved_by, rng.choice(shrinks) if driver.exchange > 0 else 1.0, visit_all=t % 5 == 4)


# ---------------------------------------------------------------------- near lists


@levels
@dtypes
def test_near_lists_are_those_of_numpy(seed, level, dtype):
    rng = np.random.default_rng(seed)
    w = width(dtype)
    for n, k in itertools.product((1, 2, w - 1, w, w + 1, 2 * w + 3, 100), (0, 1, 2, 33)):
        for keep_all, shift in ((True, 0.5), (False, 1.0), (False, 3.0)):
            # few distinct values, so that products meet thresholds and the shift exactly
            z = rng.integers(-2, 4, (k, n)).astype(dtype) / 2
            norms = rng.choice([0.5, 1.0, 2.0], n)
            thresholds = (shift - norms).astype(dtype)
            thresholds[rng.random(n) < 0.2] = np.inf
            inverse = (1 / norms).astype(dtype)
            with at_level(level):
                near = NearLists(thresholds, inverse, shift, keep_all, 0)
                cut = k // 3
                kept = [near.collect(z[:cut]), cut + near.collect(z[cut:])]
            expected = reference.near_lists(z, thresholds, inverse, shift, keep_all)
            assert_near(near, np.concatenate(kept), expected, dtype)
            near.trim()
            assert_near(near, np.concatenate(kept), expected, dtype)
            near.clear()
            assert_near(near, np.empty(0, dtype=np.int32), [], dtype)


def assert_near(near, kept, expected, dtype):
    start, stop = near.ranges()
    assert (start.dtype, stop.dtype, near.direction.dtype, near.distance.dtype) == (np.int32, np.int32, np.int32, dtype)
    assert kept.tolist() == [one.row for one in expected]
    assert near.used == sum(len(one.directions) for one in expected) <= len(near.direction) - 16
    n_fired = np.concatenate([np.empty(0), *near.n_fired])
    nearest = np.concatenate([np.empty(0), *near.nearest])
    assert n_fired.tolist() == [len(one.fired) for one in expected]
    ends = np.cumsum([0] + [len(one.fired) for one in expected])
    for r, one in enumerate(expected):
        assert near.direction[start[r] : stop[r]].tolist() == one.directions.tolist()
        assert near.distance[start[r] : stop[r]].tobytes() == one.distances.tobytes()
        assert near.fired[ends[r] : ends[r + 1]].tolist() == one.fired.tolist()
        assert nearest[r] == one.nearest


@dtypes
def test_rows_that_fire_on_nothing_leave_no_trace(dtype):
    z = np.array([[0.9, 0.9], [0.0, 0.0], [1.1, 0.9], [1.0, 1.0]], dtype=dtype)
    near = NearLists(np.full(2, 0.5, dtype=dtype), np.ones(2, dtype=dtype), 1.0, False, 0)
    assert near.collect(z).tolist() == [2]  # at the shift a row does not fire
    assert (near.used, near.n_listed) == (2, 1)
    assert near.collect(z[:2]).tolist() == []
    assert (near.used, near.n_listed) == (2, 1)


@dtypes
@pytest.mark.parametrize("d", [1, 15, 16, 17, 64, 70])
def test_rows_are_padded_with_zeros_and_aligned(dtype, d):
    rows = np.arange(3 * d, dtype=dtype).reshape(3, d)
    for one in (rows, np.asfortranarray(rows), rows[:0]):
        copy = padded(one)
        assert copy.shape[1] % width(dtype) == 0
        assert copy.shape[1] < d + width(dtype)
        assert copy.ctypes.data % 64 == 0 or not len(copy)
        assert np.array_equal(copy[:, :d], one)
        assert not copy[:, d:].any()


# ---------------------------------------------------------------------- steps


@dtypes
@pytest.mark.parametrize("n", [1, 2, "W-1", "W", "W+1", 100])
@pytest.mark.parametrize("k", [0, 1, 2, 33])
def test_every_number_of_rows_and_directions(seed, k, n, dtype):
    n = n if isinstance(n, int) else width(dtype) + {"W-1": -1, "W": 0, "W+1": 1}[n]
    rng, driver = draw(seed, k, n, 5, dtype)
    wander(rng, driver, 5, 0.3)


@dtypes
@pytest.mark.parametrize("d", [1, 15, 16, 17, 64, 70])
def test_every_dimension(seed, d, dtype):
    for exchange in (0.0, 0.7):
        rng, driver = draw(seed, 9, 40, d, dtype, exchange=exchange)
        wander(rng, driver, 6, 0.3)


@levels
@dtypes
@pytest.mark.parametrize("with_origin", [False, True])
def test_every_instruction_level(seed, level, dtype, with_origin):
    rng = np.random.default_rng(seed)
    origin = 0.5 * rng.standard_normal((12, 9)).astype(dtype) if with_origin else None
    rng, driver = draw(seed, 12, 60, 9, dtype, level=level, copies=2, origin=origin)
    wander(rng, driver, 12, 0.3)


@dtypes
@pytest.mark.parametrize("exchange", [0.0, 0.01, 1.0, 100.0])
def test_small_steps_are_certified(seed, dtype, exchange):
    rng, driver = draw(seed, 33, 30, 12, dtype, shift=1.0, exchange=exchange)
    n_reported = n_cleared = n_visited = 0
    for t in range(25):
        found = driver.move(4e-4 * rng.standard_normal(driver.n), 0.9999 if exchange and t % 3 == 0 else 1.0)
        n_reported += found.n_reported
        n_cleared += found.n_cleared
        n_visited += found.n_visited
    # the clock spares most rows, and certificates spare most of those that it does not
    assert n_cleared > 20
    if exchange != 100.0:
        assert n_reported < 0.5 * 25 * driver.k
        assert n_visited < 0.2 * 25 * driver.k


@dtypes
def test_a_row_cleared_is_reported_when_its_new_time_is_over_and_not_before(seed, dtype):
    rng, driver = draw(seed, 33, 30, 12, dtype, shift=1.0)
    before = driver.rows.failure_times.values.copy()
    n_renewed = 0
    for _ in range(20):
        moved_by = 3e-3 * rng.standard_normal(driver.n)
        trial = driver.review(moved_by)
        reported = np.flatnonzero(before < trial.position[4])
        cleared = np.setdiff1d(reported, trial.found.visited_rows)
        driver.apply(trial)
        driver.check()
        after = driver.rows.failure_times.values.copy()
        assert np.all(after[cleared] >= driver.clock * (1 - 4e-15))
        assert np.all(after[cleared] > before[cleared])
        assert np.array_equal(np.delete(after, reported), np.delete(before, reported))
        n_renewed += len(cleared)
        before = after
    assert n_renewed > 20


@dtypes
@pytest.mark.parametrize("origin", [False, True])
def test_a_row_that_only_its_nearest_pair_holds_up_is_cleared_by_one_product(dtype, origin):
    # beyond the second hyperplane, and just before the first: along the second direction the row may go far
    X, initial = np.eye(2).astype(dtype), np.array([[0.99, 1.5]], dtype=dtype)
    origin = np.array([[0.0, 0.05]], dtype=dtype) if origin else None
    for slide, cleared in ((0.03, True), (-0.03, True), (0.07, False), (-0.07, False)):
        driver = Driver(X, initial, 1.0, origin=origin, exchange=1.0)
        driver.move(np.zeros(2), visit_all=True)
        assert driver.fires.tolist() == [[False, True]]
        assert driver.state()["row"]["nearest"].tolist() == [0]
        found = driver.move(np.array([0.0, slide]))
        assert (found.n_reported, found.n_cleared) == (1, int(cleared))
    # a third direction, nearly the first one, moves the row across or away
    X = np.array([[1.0, 0.0], [0.8, 0.6]], dtype=dtype)
    initial = np.array([[0.99, 1.0]], dtype=dtype)
    for slide in (0.01, -0.01, 0.03, -0.03, 0.012, -0.012, 0.013, -0.013):
        driver = Driver(X, initial, 1.0, exchange=0.0)
        driver.move(np.zeros(2), visit_all=True)
        assert driver.fires.tolist() == [[False, True]]
        found = driver.move(np.array([0.0, slide]))
        crosses = 0.99 - driver.signs[0] * slide * 0.8 > 1
        assert driver.fires[0, 0] == crosses
        if abs(slide) == 0.03:
            assert found.n_visited == crosses
            assert found.n_cleared == (not crosses)


def test_the_nearest_pair_is_told_no_closer_than_its_distance_is_stored(seed):
    # in double precision, with the distance in single precision: across, or not, by less than its rounding
    rng = np.random.default_rng(seed)
    X = np.array([[1.0, 0.0], [0.8, 0.6]])
    for _ in range(20):
        before = rng.uniform(0.01, 0.03)
        for share in (1 - 1e-7, 1 - 1e-8, 1 - 1e-9, 1 + 1e-9, 1 + 1e-8, 1 + 1e-7, 1 - 1e-3):
            driver = Driver(X, np.array([[1 - before, 1.0]]), 1.0, exchange=0.0)
            driver.move(np.zeros(2), visit_all=True)
            found = driver.move(np.array([0.0, -driver.signs[0] * share * before / 0.8]))
            assert driver.fires.tolist() == [[share > 1, True]]
        assert found.n_cleared == 1


@dtypes
def test_shrinking_is_not_told_from_what_the_coefficients_moved(dtype):
    # the row was held back from the first hyperplane, and falls back to it without any coefficient moving
    X, initial = np.eye(2).astype(dtype), np.array([[1.02, 1.5]], dtype=dtype)
    driver = Driver(X, initial, 1.0, origin=np.array([[-0.04, 0.0]], dtype=dtype), exchange=1.0)
    driver.move(np.zeros(2), visit_all=True)
    assert driver.fires.tolist() == [[False, True]]
    driver.move(np.zeros(2), 0.25)
    assert driver.fires.tolist() == [[True, True]]


@dtypes
@pytest.mark.parametrize("copies", [1, 2])
def test_large_steps_make_every_row_stray(seed, dtype, copies):
    rng, driver = draw(seed, 34, 50, 6, dtype, copies=copies)
    n_strayed = 0
    for t in range(6):
        found = driver.move(4.0 * rng.standard_normal(driver.n), visit_all=t == 3)
        n_strayed += found.n_strayed
        assert np.array_equal(
            np.sort(found.visited_rows[found.n_visited - found.n_strayed :]), np.sort(found.strayed_rows)
        )
    assert n_strayed > 0.5 * 6 * driver.k
    driver.go_to(np.zeros(driver.n))
    driver.go_to(np.zeros(driver.n), shrink=0.0)
    wander(rng, driver, 4, 0.1)


@dtypes
@pytest.mark.parametrize("exchange", [0.0, 1.0])
@pytest.mark.parametrize("copies", [1, 2])
def test_out_and_back(seed, dtype, exchange, copies):
    """A pair that flipped while its row was far out has to be found when the row returns."""
    rng, driver = draw(seed, 34, 60, 8, dtype, copies=copies, exchange=exchange)
    direction = rng.standard_normal(driver.n)
    drift = np.linalg.norm((driver.fires * direction) @ driver.directions, axis=1)
    direction /= np.median(drift[drift > 0])
    n_flips = n_strayed = 0
    for t in range(16):
        far = rng.uniform(0.5, 0.9) if t % 2 == 0 else rng.choice([0.0, 0.02, -0.05, 0.3])
        found = driver.go_to(far * direction)
        n_flips += found.n_flips
        n_strayed += found.n_strayed
    assert n_flips > 100
    assert n_strayed < 16 * driver.k / 2


def test_out_and_back_in_one_dimension():
    # hyperplanes at 0.5, 1 and 1.25: the row begins at 0.6, goes out to 1.05, and comes back to 0.65
    driver = Driver(np.array([[2.0], [1.0], [0.8]]), np.array([[0.6]]), 1.0, exchange=0.0)
    outwards = -driver.signs[0] * np.array([1.0, 0.0, 0.0])
    found = driver.move(0.45 * outwards)
    assert [part.tolist() for part in found.flips] == [[0], [1], [True]]
    # where it now is, the second hyperplane is much farther from where the list was built than the row
    found = driver.move(-0.4 * outwards)
    assert [part.tolist() for part in found.flips] == [[0], [1], [False]]
    assert driver.displacement[0, 0] == pytest.approx(0.05)
    assert driver.state()["row"]["reach"][0] == pytest.approx(0.45)


@dtypes
@pytest.mark.parametrize("shrink", [0.0, 0.3, 0.999, 1.0])
@pytest.mark.parametrize("with_origin", [False, True])
def test_shrinking(seed, dtype, shrink, with_origin):
    rng = np.random.default_rng(seed)
    origin = rng.standard_normal((15, 7)).astype(dtype) if with_origin else None
    for exchange in (0.05, 5.0):
        rng, driver = draw(seed, 15, 40, 7, dtype, exchange=exchange, origin=origin)
        for t in range(8):
            driver.move(rng.choice([0.0, 0.05, 0.5]) * rng.standard_normal(driver.n), shrink if t % 2 else 1.0)


@levels
def test_what_shrinks_is_bounded_although_its_norm_is_summed_with_rounding(level):
    # every lane of the sum of squares begins with 1, and what follows is rounded off
    d = 1 << 14
    origin = np.full((1, d), np.sqrt(0.99) * 2.0**-12, dtype=np.float32)
    origin[0, :32] = 1
    X = np.zeros((1, d), dtype=np.float32)
    X[0, 0] = 1
    driver = Driver(X, np.zeros((1, d), dtype=np.float32), 5.0, origin=origin, exchange=1.0, level=level)
    driver.move(np.zeros(1), visit_all=True)
    assert driver.state()["row"]["rest"][0] >= np.linalg.norm(origin.astype(np.float64))


@dtypes
def test_nothing_but_shrinking_brings_rows_back_to_where_they_were_drawn(seed, dtype):
    rng = np.random.default_rng(seed)
    origin = rng.standard_normal((15, 7)).astype(dtype)
    _, driver = draw(seed, 15, 40, 7, dtype, origin=origin)
    for _ in range(40):
        driver.move(np.zeros(driver.n), 0.7)
    _, fresh = draw(seed, 15, 40, 7, dtype)
    assert np.abs(driver.displacement).max() < 1e-5
    assert np.array_equal(driver.fires, fresh.fires)


@dtypes
def test_a_step_that_goes_nowhere_finds_nothing(seed, dtype):
    _, driver = draw(seed, 20, 40, 7, dtype)
    for visit_all in (False, True):
        found = driver.move(np.zeros(driver.n), visit_all=visit_all)
        assert found.n_flips == found.n_strayed == 0
        assert found.n_visited == (driver.k if visit_all else 0)
    assert found.n_candidates > 0


@dtypes
def test_refused_steps_leave_no_trace(seed, dtype):
    rng, driver = draw(seed, 34, 50, 6, dtype, copies=2)
    _, other = draw(seed, 34, 50, 6, dtype, copies=2)
    for _ in range(8):
        for size, shrink, visit_all in ((5.0, 1.0, False), (0.5, 0.0, True), (0.01, 0.9, False)):
            driver.refuse(size * rng.standard_normal(driver.n), shrink, visit_all)
        moved_by, shrink = rng.choice([0.1, 0.5]) * rng.standard_normal(driver.n), rng.choice([1.0, 0.5])
        for one in (driver, other):
            one.move(moved_by, shrink)
        driver.same_state(other.state())


@dtypes
@pytest.mark.parametrize("exchange", [0.0, 1.0])
def test_twins_that_share_a_near_list_are_as_those_that_do_not(seed, dtype, exchange):
    """A visit may serve both twins: the result is that of two visits, bit for bit."""
    rng, shared = draw(seed, 34, 60, 8, dtype, copies=2, exchange=exchange)
    _, alone = draw(seed, 34, 60, 8, dtype, copies=2, share=False, exchange=exchange)
    assert shared.rows.n_near * 2 == alone.rows.n_near
    for t in range(14):
        size = [0.01, 0.02, 0.1, 0.3, 1.0, 3.0][t % 6] * (0.3 if t < 4 else 1.0)
        moved_by, shrink = size * rng.standard_normal(shared.n), 0.5 if exchange and t % 3 == 2 else 1.0
        found, other = (driver.move(moved_by, shrink, visit_all=t % 7 == 1) for driver in (shared, alone))
        for a, b in zip((*found.flips, *found.corrections), (*other.flips, *other.corrections), strict=True):
            assert a.tobytes() == b.tobytes()
        assert found.visited_rows.tobytes() == other.visited_rows.tobytes()
        assert found.n_candidates == other.n_candidates
        assert found.squared_terms == other.squared_terms
        a, b = shared.state(), alone.state()
        own = [name for name in a["row"].dtype.names if not name.startswith("near_")]
        for name in own:
            assert a["row"][name].tobytes() == b["row"][name].tobytes(), name
        for name in ("failure_times", "active_direction", "active_coefficient"):
            assert a[name].tobytes() == b[name].tobytes(), name
        assert np.array_equal(a["centres"], b["centres"])  # but for the sign of zeros


@dtypes
def test_twins_whose_displacements_are_no_mirror_images_are_visited_each(dtype):
    """Both fire on the same as at first, in the same order, and went as far out; but one ceased to fire on the way."""
    driver = Driver(np.array([[5.0], [1.0]], dtype=dtype), np.array([[1.2]], dtype=dtype), 1.0, copies=2)
    steps = [([0.0, 0.4], [[1, 0], [1, 1]]), ([-0.35, 0.3], [[1, 1], [1, 1]]), ([-0.35, 0.1], [[1, 1], [1, 0]])]
    for beta, fires in steps:
        driver.go_to(np.array(beta), visit_all=True)
        assert driver.fires.tolist() == np.array(fires, dtype=bool).tolist()
    assert driver.displacement[:, 0].tolist() == pytest.approx([0.15, -0.25])
    assert np.ptp(driver.state()["row"]["reach"]) == 0


@dtypes
@pytest.mark.parametrize("exchange", [0.0, 1.0])
def test_twins_that_flipped_where_coefficients_were_zero_are_visited_each(dtype, exchange):
    """Each fires on two directions, not the same ones, with no coefficient of its own, and went as far out."""
    X = np.array([[3.0, 4.0], [-10.0, 0.0], [10.0, 0.0]], dtype=dtype)
    driver = Driver(X, np.array([[0.0, 1.0]], dtype=dtype), 1.0, copies=2, exchange=exchange)
    driver.go_to(np.array([0.3, 0.0, 0.0]), visit_all=True)
    assert driver.fires.tolist() == [[True, True, False], [True, False, True]]
    assert not driver.state()["row"]["rest"].any()
    driver.go_to(np.array([0.3, 0.2, 0.0]), visit_all=True)
    assert driver.fires.tolist() == [[True, False, False], [True, False, True]]


@dtypes
def test_rows_that_share_a_near_list_need_not_be_twins(seed, dtype):
    rng, driver = draw(seed, 30, 40, 6, dtype, copies=3, signs=np.tile([1.0, 1.0, -1.0], 10))
    wander(rng, driver, 8, 0.1)


@dtypes
def test_zero_directions_and_duplicates(seed, dtype):
    rng, driver = draw(seed, 20, 50, 4, dtype, duplicates=25, zeros=8)
    zero = ~driver.X.any(axis=1)
    assert zero.any()
    for _ in range(8):
        driver.move(rng.choice([0.1, 0.5]) * rng.standard_normal(driver.n), rng.choice([1.0, 0.5]))
        assert not driver.fires[:, zero].any()
    _, nothing = draw(seed, 20, 5, 4, dtype, zeros=100)
    nothing.move(np.ones(5), 0.5)
    assert nothing.rows.n_fired == 0


@dtypes
def test_norms_from_tiny_to_huge(seed, dtype):
    for shift in (0.0, 0.01, 1.0):
        rng, driver = draw(seed, 20, 50, 6, dtype, norms=(1e-3, 1e3), shift=shift)
        wander(rng, driver, 6, 0.3)


@dtypes
def test_ties(dtype):
    """Rows that begin on hyperplanes, exactly, and step from one to the next."""
    X = np.repeat(np.eye(3), 6, axis=0).astype(dtype) * np.tile([1, 2, 4, 1, 2, 4], 3)[:, None].astype(dtype)
    initial = np.array(list(itertools.product([0.25, 0.5, 1.0], repeat=3)), dtype=dtype)
    driver = Driver(X, initial, 1.0)
    for size in (0.25, -0.25, 0.5, 0.25, -0.75, 0.0, 1.0):
        driver.go_to(size * np.tile([1.0, 1, 0, -1, 0, 0], 3))
        driver.refuse(0.25 * np.ones(driver.n))


@dtypes
def test_rows_that_fire_on_nothing(seed, dtype):
    rng, driver = draw(seed, 20, 30, 5, dtype, shift=30.0)
    assert driver.rows.n_fired == 0
    driver.move(rng.standard_normal(driver.n), 0.5)
    assert np.all(np.isinf(driver.rows.failure_times.values))
    assert driver.move(rng.standard_normal(driver.n), 0.0).n_reported == 0
    # of rows that stand elsewhere at first, shrinking may let them fire
    origin = -np.sign(driver.initial) * np.abs(driver.initial) * dtype(0.999)
    _, driver = draw(seed, 20, 30, 5, dtype, shift=0.8, origin=origin)
    assert driver.rows.n_fired == 0
    for _ in range(6):
        driver.move(np.zeros(driver.n), 0.5)
    assert driver.rows.n_fired > 0


@dtypes
def test_active_lists_that_outgrow_their_room(seed, dtype):
    """Lists begin short and gather most directions: they move to the end of the pool, and the pool is made anew."""
    rng, driver = draw(seed, 33, 80, 3, dtype, shift=1.5, exchange=0.0)
    rooms, moves, uses = [], 0, []
    starts = driver.state()["row"]["active_start"]
    for t in range(30):
        driver.go_to(rng.choice([0.3, 1.0, 3.0]) * rng.standard_normal(driver.n), visit_all=t % 11 == 10)
        state = driver.state()
        moves += np.count_nonzero(state["row"]["active_start"] != starts)
        starts = state["row"]["active_start"]
        rooms.append(state["active_room"])
        uses.append(state["active_used"])
    assert moves >= driver.k
    assert len(set(rooms)) >= 3
    assert uses[-1] < 33 * 80 * 4


@dtypes
@pytest.mark.parametrize("copies", [1, 2])
def test_near_pools_that_double_are_closed(seed, dtype, copies):
    rng, driver = draw(seed, 34, 100, 4, dtype, copies=copies)
    used = [driver.rows.n_near]
    for t in range(16):
        # a few rows at a time stray, and rows with an empty list are among them
        driver.go_to(rng.choice([0.05, 1.5]) * rng.standard_normal(driver.n), visit_all=t % 6 == 5)
        used.append(driver.rows.n_near)
        assert driver.rows.nbytes > 0
    assert np.any(np.diff(used) < 0)
    assert max(used) <= 2 * driver.k * driver.n * 2 + 1024


@dtypes
def test_a_pool_is_not_closed_where_memory_is_short_and_the_step_is_kept(seed, dtype, monkeypatch):
    """Found once: the flips had been made, and the error left them without failure times and lists with holes."""

    def fail(*arguments, **options):
        raise MemoryError("no memory for a pool without holes")

    rng, driver = draw(seed, 34, 100, 4, dtype)
    for _ in range(3):
        driver.move(3.0 * rng.standard_normal(driver.n))
    for _ in range(3):
        trial = driver.review(3.0 * rng.standard_normal(driver.n))
        with monkeypatch.context() as patch:
            patch.setattr(np, "unique", fail)
            driver.apply(trial)
        driver.check()
    used = driver.rows.n_near
    driver.move(3.0 * rng.standard_normal(driver.n))
    assert driver.rows.n_near < used


@dtypes
def test_an_empty_list_may_share_its_start_with_that_of_a_row_before(dtype):
    X, initial = np.eye(2).astype(dtype), np.array([[3.0, -5.0], [-5.0, 3.0]], dtype=dtype)
    driver = Driver(X, initial, 1.0)
    driver.go_to(np.array([0.0, 10.0]))  # the second row leaves all hyperplanes behind
    driver.go_to(np.array([2.0, 10.0]))  # the first gets a new list, where the empty one begins
    row = driver.state()["row"]
    assert row["near_start"][0] == row["near_start"][1] == row["near_stop"][1] < row["near_stop"][0]
    driver.rows._copy_near_lists()
    driver.check()


@dtypes
def test_pools_are_closed_around_empty_near_lists(seed, dtype):
    # far from everything lists are empty; they share their start with a neighbour's
    rng, driver = draw(seed, 100, 60, 3, dtype, shift=2.5)
    n_empty = 0
    for _ in range(60):
        driver.go_to(rng.choice([0.5, 3.0, 20.0]) * rng.standard_normal(driver.n))
        row = driver.state()["row"]
        n_empty += np.any(row["near_stop"] == row["near_start"])
        before = driver.rows.n_near
        for _ in range(2):  # at first empty lists come to share a start with others, of rows before or behind
            driver.rows._copy_near_lists()
        assert driver.rows.n_near <= before
        driver.check()
    assert n_empty > 30


@dtypes
@pytest.mark.parametrize(("skin", "margin"), [(0.2, 0.0), (0.5, 0.4), (3.0, 0.1), (0.01, 0.001)])
def test_other_skins_and_margins(seed, dtype, skin, margin):
    assert (SKIN, MARGIN) == (1.0, 1 / 16)
    rng, driver = draw(seed, 20, 40, 6, dtype, skin=skin, margin=margin)
    wander(rng, driver, 8, 0.3)


@dtypes
def test_buffers_of_a_review_grow(seed, dtype):
    # more flips than four a row, and more strayed rows than sixteen
    rng, driver = draw(seed, 40, 200, 2, dtype, shift=0.1, norms=(0.5, 2.0))
    found = driver.move(0.03 * rng.standard_normal(driver.n))
    found = driver.move(10.0 * np.ones(driver.n))
    assert found.n_strayed > 16
    assert found.n_flips > 4 * driver.k


def test_levels_agree_up_to_rounding(seed):
    patterns, places = [], []
    for level in LEVELS:
        rng, driver = draw(seed, 20, 60, 17, np.float64, level=level, copies=2)
        for _ in range(8):
            driver.move(0.2 * rng.standard_normal(driver.n), 0.8)
        patterns.append(driver.fires)
        places.append(driver._outputs(driver.step)[2])
    for pattern, place in zip(patterns, places, strict=True):
        assert np.array_equal(pattern, patterns[0])
        assert np.abs(place - places[0]).max() <= 1e-13
