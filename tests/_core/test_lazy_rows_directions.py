"""Lazy rows that get further directions, against an obvious twin, and in the steps after that."""

import itertools
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lazy_rows_problem import Driver, at_level, draw_samples

from sltrees import reference
from sltrees._core import _simd
from sltrees._core._near_lists import NearLists
from sltrees._core._pools import BLOCK
from sltrees.reference.row_invariants import check_lists, rows_state

LEVELS = _simd.supported_levels()
DTYPES = (np.float32, np.float64)
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
levels = pytest.mark.parametrize("level", LEVELS)


def draw(seed, k, n, d, dtype, *, shift=0.5, copies=1, with_origin=False, **options):
    rng = np.random.default_rng([seed, k, n, d])
    X = draw_samples(rng, n, d, dtype, norms=(0.5, 2.0))
    initial = rng.standard_normal((k // copies, d)).astype(dtype)
    origin = 0.5 * rng.standard_normal((k, d)).astype(dtype) if with_origin else None
    return rng, Driver(X, initial, shift, copies=copies, origin=origin, **options)


def wander(rng, driver, n_steps, scale=0.3):
    """Random steps that flip pairs, in some of which rows stray, and after which not all have the same stamp."""
    for t in range(n_steps):
        size = scale * rng.choice([1.0, 0.3, 0.1, 0.01])
        shrink = rng.choice([1.0, 0.9, 0.3]) if driver.exchange > 0 else 1.0
        driver.move(size * rng.standard_normal(driver.n), shrink, visit_all=t % 7 == 6)


def lists(state):
    """For each row: near directions and their distances, what fires and is idle, each with coefficients."""
    ends = np.cumsum(state["row"]["n_active"])
    of_each = []
    for row, end in zip(state["row"], ends, strict=True):
        near = slice(row["near_start"], row["near_stop"])
        start, middle = end - row["n_active"], end - row["n_active"] + row["n_fired"]
        parts = [state["near_direction"][near], state["near_distance"][near]]
        for span in (slice(start, middle), slice(middle, end)):
            parts += [state["active_direction"][span], state["active_coefficient"][span]]
        of_each.append(parts)
    return of_each


def extended(before, z, thresholds, inverse_norms, shift, n):
    """What the lists have to be, row by row."""
    of_each = []
    for old, more in zip(lists(before), reference.near_lists(z, thresholds, inverse_norms, shift, True), strict=True):
        near, distances, fires, coefficients, idle, idle_coefficients = old
        of_each.append(
            [
                np.concatenate([near, n + more.directions]),
                np.concatenate([distances, more.distances]),
                np.concatenate([fires, n + more.fired]),
                np.concatenate([coefficients, np.zeros(len(more.fired))]),
                idle,
                idle_coefficients,
            ]
        )
    return of_each


def add_directions(driver, X, **options):
    """Further directions, checked against the twin, and that nothing happened to the rows that there were."""
    before, n, old, fires = driver.state(), driver.n, driver.rows, driver.fires
    owns, z = old.owns_list(0, driver.k), driver.products_at_centres(X)
    driver.add_directions(X, **options)
    after = driver.state()
    for name, value in before.items():
        assert np.asarray(value).tobytes() == np.asarray(rows_state(old)[name]).tobytes(), name
    expected = extended(before, z, driver.thresholds[n:], driver.inverse_norms[n:], driver.shift, n)
    for parts, twins in zip(lists(after), expected, strict=True):
        assert all(np.array_equal(part, twin) for part, twin in zip(parts, twins, strict=True))
    # of all else only what has a certificate is new
    row = after["row"]
    for name in ("stamp", "rest", "reach", "centre", "sign", "unused"):
        assert row[name].tobytes() == before["row"][name].tobytes(), name
    assert after["centres"].tobytes() == before["centres"].tobytes()
    assert not row["gap"].any()
    assert np.all(row["nearest"] == -1)
    assert np.all(row["distance"] == np.inf)
    assert not after["failure_times"].any()
    # as much room as at first, and no holes
    assert np.array_equal(row["room"], row["n_active"] + row["n_active"] // 2 + 2)
    assert np.array_equal(row["active_start"], np.cumsum(row["room"]) - row["room"])
    assert after["active_used"] == row["room"].sum()
    assert driver.rows.n_near == sum(len(parts[0]) for parts, owner in zip(expected, owns, strict=True) if owner)
    assert driver.rows.n_near + BLOCK <= after["near_room"] <= driver.rows.n_near * 9 // 8 + BLOCK
    assert np.array_equal(driver.rows.owns_list(0, driver.k), owns)
    check_lists(driver.rows)
    # the pairs with a further direction, each once
    counts = np.zeros((driver.n, driver.n), dtype=np.int32)
    driver.rows.count_fired(n, driver.n, counts)
    pairs = counts + counts.T
    np.fill_diagonal(pairs, counts.diagonal())
    pattern = driver.fires
    expected = reference.pair_counts(pattern)
    expected[:n, :n] = 0
    assert np.array_equal(pairs, expected)
    assert np.array_equal(pattern[:, :n], fires)
    return old


def further(rng, driver, n, *, zeros=1):
    """Samples that join: copies of each other, of those that there are, and zeros among them."""
    X = draw_samples(
        rng, n, driver.X.shape[1], driver.dtype, norms=(0.5, 2.0), duplicates=n // 4, zeros=zeros * (n > 2)
    )
    if n > 4:
        X[:2] = driver.X[rng.integers(driver.n, size=2)]
    return X


# ---------------------------------------------------------------------- what they are like


@levels
@dtypes
@pytest.mark.parametrize("with_origin", [False, True])
@pytest.mark.parametrize("exchange", [0.0, 0.5])
def test_lists_are_those_of_the_twin_and_steps_go_on(seed, level, dtype, with_origin, exchange):
    for copies, scale in itertools.product((1, 2), (0.05, 0.5)):
        options = {"copies": copies, "with_origin": with_origin, "exchange": exchange, "level": level}
        rng, driver = draw(seed, 12, 30, 6, dtype, **options)
        for n in (9, 0, 20):
            wander(rng, driver, 5, scale)
            add_directions(driver, further(rng, driver, n), of_each=n == 9, level=level)
            driver.find_sides()
        wander(rng, driver, 6, scale)


@dtypes
@pytest.mark.parametrize("k", [0, 1, 2, 33])
@pytest.mark.parametrize("n", [1, "W", 40])
def test_every_number_of_rows_and_directions(seed, k, n, dtype):
    width = 64 // np.dtype(dtype).itemsize
    for more in (0, 1, width - 1, width, width + 1, 50):
        rng, driver = draw(seed, k, n if isinstance(n, int) else width, 5, dtype)
        add_directions(driver, further(rng, driver, more))
        found = driver.find_sides()
        # nothing has moved: all rows are where their lists were built
        assert (found.n_flips, found.n_strayed, found.n_visited) == (0, 0, driver.k)
        wander(rng, driver, 3)
        add_directions(driver, further(rng, driver, more))
        driver.find_sides()
        wander(rng, driver, 3)


@dtypes
def test_directions_without_a_hyperplane_join(seed, dtype):
    rng, driver = draw(seed, 20, 30, 5, dtype)
    wander(rng, driver, 4)
    n, n_near = driver.n, driver.rows.n_near
    driver.add_directions(np.zeros((20, 5), dtype=dtype))
    assert driver.rows.n_near <= n_near  # abandoned lists are not copied
    driver.find_sides()
    wander(rng, driver, 4)
    assert not driver.fires[:, n:].any()
    # and to rows that have no other
    driver = Driver(np.zeros((3, 5), dtype=dtype), driver.initial, 0.5)
    add_directions(driver, further(rng, driver, 10))
    driver.find_sides()
    wander(rng, driver, 4)
    assert driver.fires.any()


@dtypes
@pytest.mark.parametrize("of_each", [False, True])
@pytest.mark.parametrize("copies", [2, 3])
def test_copies_go_on_sharing_their_lists(seed, dtype, copies, of_each):
    rng, driver = draw(seed, 36, 60, 8, dtype, copies=copies, signs=np.tile([1.0, -1.0, 1.0], 12))
    groups = np.arange(driver.k) // copies
    first = np.arange(driver.k) % copies == 0
    assert np.array_equal(driver.rows.owns_list(0, driver.k), first)
    add_directions(driver, further(rng, driver, 20), of_each=of_each)
    for scale in (0.05, 0.5, 0.5, 3.0):
        driver.find_sides()
        wander(rng, driver, 3, scale)
        add_directions(driver, further(rng, driver, 20), of_each=of_each)
        row, owns = driver.state()["row"], driver.rows.owns_list(0, driver.k)
        centred = row["centre"] >= 0
        for group in range(groups[-1] + 1):
            drawn = np.flatnonzero((groups == group) & ~centred)
            assert np.array_equal(owns[drawn], np.arange(len(drawn)) == 0)
            assert len(np.unique(row["near_start"][drawn])) == (len(drawn) > 0)
        assert owns[centred].all()
    assert centred.any()
    # asked for in parts
    parts = [driver.rows.owns_list(at, min(at + 7, driver.k)) for at in range(0, driver.k, 7)]
    assert np.array_equal(np.concatenate(parts), owns)


@dtypes
@pytest.mark.parametrize("shift", [0.5, 2.5])
def test_rows_with_empty_lists_do_not_share_what_joins(dtype, shift):
    """Their lists begin and end at the same place, that of a row behind or before, and belong to different weights."""
    X, initial = np.eye(2).astype(dtype), np.array([[-4.0, -4.0], [-5.0, -4.0], [-4.0, -6.0]], dtype=dtype)
    for copies in (1, 2):
        driver = Driver(X, initial, shift, copies=copies)
        assert driver.rows.n_near == 0
        add_directions(driver, -X)
        driver.find_sides()
        assert driver.rows.n_near == 6
        assert np.array_equal(driver.fires, np.repeat([[0, 0, 1, 1]], 3 * copies, axis=0))
        driver.move(np.array([0.0, 0.0, 0.5, -0.25]))


@dtypes
def test_twins_that_share_are_as_those_that_do_not(seed, dtype):
    """A visit may serve both twins, also for what joined: the result is that of two visits, bit for bit."""
    for exchange in (0.0, 1.0):
        rng, shared = draw(seed, 34, 40, 8, dtype, copies=2, exchange=exchange)
        _, alone = draw(seed, 34, 40, 8, dtype, copies=2, share=False, exchange=exchange)
        for t in range(12):
            if t % 3 == 1:
                X = further(rng, shared, 10)
                for driver in (shared, alone):
                    add_directions(driver, X)
                found = [driver.find_sides() for driver in (shared, alone)]
            else:
                moved_by = [0.02, 0.1, 0.3, 1.0][t // 3] * rng.standard_normal(shared.n)
                found = [driver.move(moved_by) for driver in (shared, alone)]
            for a, b in zip(*((*one.flips, *one.corrections) for one in found), strict=True):
                assert a.tobytes() == b.tobytes()
            a, b = shared.state(), alone.state()
            for name in ("failure_times", "active_direction", "active_coefficient"):
                assert a[name].tobytes() == b[name].tobytes(), name


@dtypes
def test_centres_are_where_lists_were_built(seed, dtype):
    for with_origin in (False, True):
        rng, driver = draw(seed, 33, 50, 6, dtype, with_origin=with_origin)
        centres = driver.origin.copy()
        for _ in range(6):
            found = driver.move(rng.choice([0.1, 1.0, 3.0]) * rng.standard_normal(driver.n))
            centres[found.strayed_rows] = found.strayed_displacement[:, :6]
            place = driver.rows.centre_displacement(0, driver.k)
            assert place.dtype == dtype
            assert place.shape[1] % (64 // np.dtype(dtype).itemsize) == 0
            assert np.array_equal(place[:, :6], centres)
            assert not place[:, 6:].any()
            assert np.array_equal(driver.rows.centre_displacement(5, 20), place[5:20])
            place[:] = np.nan  # a copy: the rows never see it
            driver.check()
        assert not np.array_equal(centres, driver.origin)


# ---------------------------------------------------------------------- what the step after finds


@dtypes
@pytest.mark.parametrize("with_origin", [False, True])
def test_pairs_are_found_that_lie_between_the_centre_and_where_a_row_is(seed, dtype, with_origin):
    n_flips = n_beyond = 0
    for problem in range(6):
        rng, driver = draw(seed + 100 * problem, 40, 12, 8, dtype, shift=1.0, with_origin=with_origin, exchange=0.0)
        driver.move(np.zeros(driver.n), visit_all=True)
        for _ in range(12):  # many small steps one way: most rows are not looked at in each
            driver.move(0.02 * np.sign(driver.signs[0]) * np.ones(driver.n))
        row, n = driver.state()["row"], driver.n
        centre = driver.rows.centre_displacement(0, driver.k)[:, :8].astype(np.float64)
        drift = np.linalg.norm(driver.displacement - centre, axis=1)
        n_beyond += np.count_nonzero(drift > row["reach"] * (1 + 1e-5) + 1e-5)
        add_directions(driver, further(rng, driver, 60))
        at_centre = driver.fires[:, n:]
        found = driver.find_sides()
        rows, directions, begins = found.flips
        joined = directions >= n
        assert np.array_equal(at_centre[rows[joined], directions[joined] - n], ~begins[joined])
        n_flips += np.count_nonzero(joined)
    assert n_flips > 50
    assert n_beyond > 20


@dtypes
def test_rows_that_left_their_skin_without_a_visit_stray_in_the_step_after(dtype):
    # no hyperplane anywhere near: the certificate is good for a margin from where the row was last visited
    X = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=dtype)
    driver = Driver(X, np.array([[10.0, -10.0]], dtype=dtype), 0.5, exchange=0.0, signs=[-1.0])
    driver.go_to(np.array([0.92, 0.0]))
    driver.go_to(np.array([0.97, 0.0]))
    assert not driver.state()["row"]["centre"][0] >= 0
    add_directions(driver, np.array([[0.5, 0.0], [0.0, 2.0], [1 / 21, 0.0]], dtype=dtype))
    found = driver.find_sides()
    assert found.n_strayed == 1
    assert driver.fires.tolist() == [[True, False, True, False, True]]


def test_a_pair_in_one_dimension():
    # drawn at 0.6, gone to 1.05 by way of 0.9; the hyperplanes that join are at 0.625, 1 and 1.25, and one is not there
    driver = Driver(np.array([[2.0]]), np.array([[0.6]]), 1.0, exchange=0.0, signs=[-1.0])
    driver.go_to(np.array([0.3]))
    driver.go_to(np.array([0.45]))
    add_directions(driver, np.array([[1.6], [1.0], [0.8], [0.0]]))
    assert driver.fires.tolist() == [[True, False, False, False, False]]
    found = driver.find_sides()
    assert [part.tolist() for part in found.flips] == [[0, 0], [1, 2], [True, True]]
    # the row stood still, so coefficients that move from here on are all it owes to them
    driver.move(np.array([0.0, 0.1, 0.15, 5.0, 5.0]))
    assert driver.displacement.tolist() == [[pytest.approx(0.7)]]
    assert driver.fires.tolist() == [[True, True, True, True, False]]


@dtypes
def test_counts_of_the_step_after_complete_the_pairs(seed, dtype):
    """Pairs of what was there, pairs with what joined, and what the step changes: the sum is all pairs."""
    rng, driver = draw(seed, 40, 30, 6, dtype, copies=2)
    wander(rng, driver, 5)
    counts = np.zeros((driver.n, driver.n), dtype=np.int32)
    driver.rows.count_fired(0, driver.n, counts)
    n = driver.n
    add_directions(driver, further(rng, driver, 30))
    counts = np.pad(counts, ((0, driver.n - n), (0, driver.n - n)))
    driver.rows.count_fired(n, driver.n, counts)
    trial = driver.review(np.zeros(driver.n), visit_all=True)
    assert trial.found.n_flips > 0
    driver.rows.count_flips(trial.found, 0, driver.n, counts)
    driver.apply(trial, alone=True)
    driver.check()
    pairs = counts + counts.T
    np.fill_diagonal(pairs, counts.diagonal())
    assert np.array_equal(pairs, reference.pair_counts(driver.fires))


@dtypes
@pytest.mark.parametrize("with_origin", [False, True])
def test_the_rows_that_there_were_go_on_by_themselves(seed, dtype, with_origin):
    rng, driver = draw(seed, 20, 30, 6, dtype, with_origin=with_origin)
    wander(rng, driver, 5)
    other = driver.fork()
    add_directions(other, further(rng, driver, 20))
    other.find_sides()
    for _ in range(6):
        before = driver.state()
        wander(rng, other, 1)
        driver.same_state(before)
        before = other.state()
        wander(rng, driver, 1)
        other.same_state(before)


@dtypes
def test_many_directions_one_after_the_other(seed, dtype):
    rng, driver = draw(seed, 20, 5, 6, dtype, copies=2)
    for t in range(12):
        wander(rng, driver, 1 + t % 2, [0.05, 0.5, 2.0][t % 3])
        add_directions(driver, further(rng, driver, 1 + t % 4))
        if t % 3 == 2:  # more may join before the step
            add_directions(driver, further(rng, driver, 3))
        driver.find_sides()


# ---------------------------------------------------------------------- short of memory


@dtypes
def test_nothing_changes_where_memory_is_short(seed, dtype, monkeypatch):
    rng, driver = draw(seed, 20, 30, 6, dtype)
    wander(rng, driver, 5, 1.0)
    before, empty, n_failures = driver.state(), np.empty, 0
    X = further(rng, driver, 10)
    z = driver.products_at_centres(X)
    other = driver.fork()
    directions, n = other._set_samples(np.concatenate([driver.X, X])), driver.n
    near = NearLists(other.thresholds[n:], other.inverse_norms[n:], driver.shift, True, 0)
    near.collect(z)
    for fails_at in range(40):
        calls = itertools.count()

        def fail(*arguments, fails_at=fails_at, calls=calls, **options):
            if next(calls) == fails_at:
                raise MemoryError("no memory")
            return empty(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(np, "empty", fail)
            try:
                driver.rows.with_directions(directions, near)
            except MemoryError:
                n_failures += 1
            else:
                break
        driver.same_state(before)
    assert n_failures >= 4
    wander(rng, driver, 3)


@dtypes
def test_too_many_entries_are_refused(seed, dtype):
    rng, driver = draw(seed, 2, 30, 6, dtype)
    wander(rng, driver, 3, 1.0)
    before = driver.state()
    few = {"direction": np.empty(0, dtype=np.int32), "distance": np.empty(0, dtype=dtype)}
    for stop, n_fired in (([5, 2**31 - 16], [0, 0]), ([0, 0], [2**30, 2**30])):
        near = types.SimpleNamespace(
            **few,
            fired=np.empty(0, dtype=np.int32),
            stop=[np.array(stop, dtype=np.int64)],
            n_fired=[np.array(n_fired, dtype=np.int32)],
        )
        with pytest.raises(MemoryError, match=r"fewer than 2\^31"):
            driver.rows.with_directions(np.empty((40, 16), dtype=dtype), near)
        driver.same_state(before)


# ---------------------------------------------------------------------- whatever happens


@settings(max_examples=60)
@given(
    problem=st.integers(0, 10**6),
    k=st.sampled_from([0, 2, 6, 18]),
    d=st.sampled_from([1, 3, 16, 17]),
    joining=st.lists(st.sampled_from([0, 1, 2, 7, 17]), min_size=1, max_size=4),
    copies=st.sampled_from([1, 2]),
    with_origin=st.booleans(),
    exchange=st.sampled_from([0.0, 0.01, 1.0, 30.0]),
    scale=st.sampled_from([0.01, 0.1, 0.5, 3.0]),
    shift=st.sampled_from([0.0, 0.5, 1.5]),
    of_each=st.booleans(),
    dtype=st.sampled_from(DTYPES),
    level=st.sampled_from(LEVELS),
)
def test_drawn_problems(problem, k, d, joining, copies, with_origin, exchange, scale, shift, of_each, dtype, level):
    options = {"copies": copies, "with_origin": with_origin, "exchange": exchange, "shift": shift, "level": level}
    rng, driver = draw(problem, k, 1 + problem % 20, d, dtype, **options)
    for n in joining:
        wander(rng, driver, 3, scale)
        with at_level(level):
            add_directions(driver, further(rng, driver, n), of_each=of_each)
        driver.find_sides()
    wander(rng, driver, 3, scale)
