"""What must hold of lazy rows between steps, asserted one array at a time; and a copy of all that a step may change.

What the numbers mean is explained in sltrees/_core/rows/rows.h.
"""

import numpy as np

from sltrees._core._pools import BLOCK


def rows_state(rows):
    """Copy of all that a step may change, pools only as far as they are in use.

    Parameters
    ----------
    rows : LazyRows

    Returns
    -------
    dict
        The active lists of all rows one after the other, without holes.
    """
    parts = rows.parts()
    row = parts["row"]
    _, at = _entries(row["active_start"], row["n_active"])
    return {
        "row": row.copy(),
        "failure_times": rows.failure_times.values.copy(),
        "near_direction": parts["near_direction"][: rows.n_near].copy(),
        "near_distance": parts["near_distance"][: rows.n_near].copy(),
        "centres": parts["centres"][: parts["n_centres"]].copy(),
        "active_direction": parts["active_direction"][at],
        "active_coefficient": parts["active_coefficient"][at],
        "active_used": parts["active_used"],
        "active_room": len(parts["active_direction"]),
        "near_room": len(parts["near_direction"]),
    }


def check_rows(rows, step, initial, copies, offsets):
    """Assert every invariant of lazy rows at the step last applied.

    Parameters
    ----------
    rows : LazyRows
    step : LazyStep
    initial : ndarray of shape (k / copies, d)
    copies : int
        Consecutive rows that share their initial weights.
    offsets : ndarray of shape (n,)

    Notes
    -----
    Cost: O(k n d).
    """
    check_lists(rows)
    places = _Places(rows, step, initial, copies, offsets)
    _check_sides(places, rows.parts()["row"], step)
    _check_certificates(places, rows, step)


def check_lists(rows):
    """Assert that lists lie in their pools, do not overlap, and name no direction twice, and none without a hyperplane.

    Parameters
    ----------
    rows : LazyRows

    Notes
    -----
    Cost: O(entries of all lists).
    """
    parts = rows.parts()
    row, live = parts["row"], _is_live(parts)
    start = row["active_start"]
    assert np.all((row["n_fired"] >= 0) & (row["n_fired"] <= row["n_active"]) & (row["n_active"] <= row["room"]))
    order = np.argsort(start, kind="stable")
    ends = (start + row["room"])[order]
    assert np.all(start >= 0)
    assert np.all(ends <= parts["active_used"])
    assert np.all(ends[:-1] <= start[order[1:]])
    assert parts["active_used"] <= len(parts["active_direction"]) == len(parts["active_coefficient"])
    assert np.all((row["near_start"] >= 0) & (row["near_start"] <= row["near_stop"]))
    assert np.all(row["near_stop"] <= rows.n_near)
    assert np.all(row["near_stop"] - row["near_start"] <= parts["longest"])
    assert rows.n_fired == row["n_fired"].sum(dtype=np.int64)
    assert rows.n_near + BLOCK <= len(parts["near_direction"]) == len(parts["near_distance"])
    centres = row["centre"][row["centre"] >= 0]
    assert len(set(centres.tolist())) == len(centres)
    assert np.all(centres < parts["n_centres"])
    assert parts["n_centres"] <= len(parts["centres"])
    assert np.all(np.abs(row["sign"]) == 1)
    of_row, at = _entries(start, row["n_active"])
    active = parts["active_direction"][at]
    assert len(np.unique(of_row * len(live) + active)) == len(active)
    assert live[active].all()
    _, idle = _entries(start + row["n_fired"], row["n_active"] - row["n_fired"])
    assert np.all(parts["active_coefficient"][idle] != 0)
    of_row, at = _entries(row["near_start"], row["near_stop"] - row["near_start"])
    ascends = np.diff(parts["near_direction"][at]) > 0
    assert np.all(ascends[of_row[1:] == of_row[:-1]])


class _Places:
    """The lists as matrices, where rows stand and where their lists were built, and what rounding may do to it.

    Attributes
    ----------
    directions : ndarray of shape (n, d)
    live : ndarray of shape (n,), bool
        Directions that have a hyperplane.
    y, at_centre : ndarray of shape (k, n)
        Signed distances, now and where the near list was built.
    fires, near : ndarray of shape (k, n), bool
    distance, coefficient : ndarray of shape (k, n)
        What near lists say y was, and the c_ri; 0 where lists have no entry.
    origin : ndarray of shape (k, d) or None
    of_rows, slack : ndarray of shape (k,) and (k, n)
        Bounds on rounding: of places, and of distances.
    """

    def __init__(self, rows, step, initial, copies, offsets):
        parts = rows.parts()
        row, d = parts["row"], initial.shape[1]
        assert np.all(parts["directions"][:, d:] == 0)
        self.directions = parts["directions"][:, :d].astype(np.float64)
        self.live = _is_live(parts)
        k, n = len(row), len(self.directions)
        displacement = np.empty((k, d), dtype=rows.dtype)
        rows.write_displacement(step, displacement)
        start = np.repeat(initial, copies, axis=0)[:k].astype(np.float64)
        self.y = (start + displacement) @ self.directions.T - offsets
        self.fires, self.near = np.zeros((k, n), dtype=bool), np.zeros((k, n), dtype=bool)
        self.distance, self.coefficient = np.zeros((k, n)), np.zeros((k, n))
        of_row, at = _entries(row["active_start"], row["n_active"])
        self.coefficient[of_row, parts["active_direction"][at]] = parts["active_coefficient"][at]
        of_row, at = _entries(row["active_start"], row["n_fired"])
        self.fires[of_row, parts["active_direction"][at]] = True
        of_row, at = _entries(row["near_start"], row["near_stop"] - row["near_start"])
        self.near[of_row, parts["near_direction"][at]] = True
        self.distance[of_row, parts["near_direction"][at]] = parts["near_distance"][at]
        self.origin = None if parts["origin"] is None else parts["origin"][:, :d].astype(np.float64)
        centre = np.zeros((k, d)) if self.origin is None else self.origin.copy()
        moved = row["centre"] >= 0
        centre[moved] = parts["centres"][row["centre"][moved], :d]
        self.at_centre = (start + centre) @ self.directions.T - offsets
        # rounding of products, of their sums, and of displacements; offsets stand for the size of z / |x|
        eps = np.finfo(rows.dtype).eps
        sizes = np.abs(self.coefficient).sum(axis=1) + (self.fires * np.abs(step.coefficient)).sum(axis=1)
        norms = np.linalg.norm(start + displacement, axis=1) + np.linalg.norm(displacement, axis=1) + sizes
        norms += np.linalg.norm(start + centre, axis=1) + np.linalg.norm(centre, axis=1)
        self.of_rows = 8 * eps * (d + 8) * norms + 4 * step.resolution
        self.slack = self.of_rows[:, None] + 4 * eps * np.abs(offsets)


def _check_sides(places, row, step):
    """Assert what fires and what is near, in both directions, and that what crossed is within the reach."""
    fires, near, live, slack = places.fires, places.near, places.live, places.slack
    # what fires is above its hyperplane, what does not is not, but for rounding
    assert np.all(places.y[fires] > -slack[fires]), float((places.y + slack)[fires].min())
    idle = ~fires & live
    assert np.all(places.y[idle] <= slack[idle]), float((places.y - slack)[idle].max())
    # a near list holds all with y > -skin at its centre, no others, and y there
    assert not np.any(near & ~live)
    assert np.all(near[live & (places.at_centre > slack - step.skin)])
    assert np.all(places.at_centre[near] > -step.skin - slack[near])
    assert np.all(np.abs(places.distance - places.at_centre)[near] <= slack[near])
    assert not np.any(fires & ~near)
    # what is on another side than it was at the centre was no farther than the reach, and that is within the skin
    assert np.all((row["reach"] >= 0) & (row["reach"] <= step.skin * (1 + 1e-6)))
    crossed = near & (fires != (places.distance > 0))
    assert np.all((np.abs(places.distance) <= row["reach"][:, None] + slack)[crossed])


def _check_certificates(places, rows, step):
    """Assert that no row moved beyond its gap, that the gap was true, and that `rest` bounds what shrinks."""
    row, directions, live = rows.parts()["row"], places.directions, places.live
    signs = row["sign"][:, None].astype(np.float64)
    assert np.all((row["stamp"] >= 0) & (row["stamp"] < len(step.decay)))
    decay = step.decay[row["stamp"]][:, None]
    # where each row was at its stamp, but for beta: what shrinks
    rest = -signs * (places.coefficient @ directions)
    known = np.ones(len(row), dtype=bool)
    if places.origin is not None:
        known = decay[:, 0] > 0  # else nothing tells how much of the origin was left at the stamp
        share = np.divide(step.origin_decay, decay, out=np.zeros_like(decay), where=decay > 0)
        rest += share * places.origin
    assert np.all((row["rest"] * (1 + 1e-6) + places.of_rows >= np.linalg.norm(rest, axis=1))[known])
    movement = (decay - 1) * rest - signs * ((places.fires * step.change[row["stamp"]]) @ directions)
    moved = np.linalg.norm(movement, axis=1)
    # a failure time may round to just below the clock: then the row is looked at in the next step
    assert np.all(rows.failure_times.values >= step.clock * (1 - 4e-15))
    rows.failure_times._check()
    limit = row["gap"] + places.of_rows
    assert np.all((moved < limit)[known]), float((moved - limit)[known].max())
    # at its stamp the row was that far from its nearest hyperplane, and no nearer than the gap to any other
    at_stamp = places.y - movement @ directions.T
    named = np.flatnonzero(row["nearest"] >= 0)
    nearest, distance = row["nearest"][named], row["distance"][named]
    error = np.abs(distance - at_stamp[named, nearest]) - 1.2e-7 * np.abs(distance)
    assert np.all((error <= places.slack[named, nearest])[known[named]])
    assert live[nearest].all()
    assert np.all(np.isinf(row["distance"][row["nearest"] < 0]))
    others = np.where(live, np.abs(at_stamp) + places.slack, np.inf)
    others[named, nearest] = np.inf
    assert np.all((others.min(axis=1, initial=np.inf) >= row["gap"] * (1 - 1e-6))[known])


def _is_live(parts):
    """Whether each direction has a hyperplane; others are zeros."""
    return np.linalg.norm(parts["directions"].astype(np.float64), axis=1) > 0


def _entries(starts, lengths):
    """The row of each entry of lists in a pool, and its place there."""
    lengths = lengths.astype(np.int64)
    of_row = np.repeat(np.arange(len(lengths)), lengths)
    before = np.cumsum(lengths) - lengths
    return of_row, np.arange(len(of_row)) + (starts - before)[of_row]
