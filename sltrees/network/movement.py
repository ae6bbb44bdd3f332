"""How far neurons have moved since they were drawn, and which pairs have flipped since."""

from __future__ import annotations

import typing

import numpy as np

from sltrees.network.shards import DRAWS_AT_A_TIME, ImpliedDisplacement

# products with samples: memory that is small beside that of training, but rows enough for BLAS
PRODUCTS_AT_A_TIME, FEWEST_AT_A_TIME = 1 << 16, 16


class Movement(typing.NamedTuple):
    """What some neurons add to it.

    Attributes
    ----------
    sums : ndarray of shape (4,), dtype=float64
        Of (|w - w(0)| / |w(0)|)^2; of pairs that fired at W(0), of those among them that do not fire now, and of
        those that fire now and did not.
    largest : float
        |w - w(0)| / |w(0)|.
    """

    sums: np.ndarray
    largest: float


def movement_of(shard, planes):
    """How far the neurons of a shard have moved.

    Parameters
    ----------
    shard : NeuronShard
    planes : Hyperplanes
        Of samples that the neurons were drawn for.

    Returns
    -------
    Movement

    Notes
    -----
    Cost: O(active pairs d + near pairs) where displacements are implied by rows that know where the neurons were drawn;
    else O(k n d), by BLAS.
    """
    knows_start = isinstance(shard.displacement, ImpliedDisplacement) and shard.displacement.knows_start
    squares, largest, counts = 0.0, 0.0, np.zeros(3, dtype=np.int64)
    at_a_time = min(DRAWS_AT_A_TIME, max(FEWEST_AT_A_TIME, PRODUCTS_AT_A_TIME // max(1, len(planes.X))))
    for start in range(0, shard.draws.size, at_a_time):
        stop = min(start + at_a_time, shard.draws.size)
        initial, moved_by = shard.initial[start:stop], shard.displacements(start * shard.copies, stop * shard.copies)
        ratios = _squares(moved_by) / np.repeat(_squares(initial), shard.copies)
        squares += float(ratios.sum())
        largest = max(largest, float(ratios.max(initial=0.0)))
        if not knows_start:
            counts += _counts(initial, moved_by, shard.copies, planes)
    if knows_start:
        counts = shard.displacement.rows.count_since_drawn(shard.initial, shard.copies, planes.offsets)
    return Movement(np.array([squares, *counts], dtype=np.float64), float(np.sqrt(largest)))


def _squares(rows):
    return np.einsum("ij,ij->i", rows, rows).astype(np.float64)


def _counts(initial, moved_by, copies, planes):
    """Pairs that fired at W(0), those that have ceased to fire, and those that have begun. Cost: O(k n d)."""
    thresholds = planes.thresholds(0.0)
    fired = initial @ planes.X.T > thresholds
    n_fired = copies * np.count_nonzero(fired)
    moved = np.flatnonzero(moved_by.any(axis=1))
    fires = (initial[moved // copies] + moved_by[moved]) @ planes.X.T > thresholds
    fired = fired[moved // copies]
    return [n_fired, np.count_nonzero(fired & ~fires), np.count_nonzero(fires & ~fired)]
