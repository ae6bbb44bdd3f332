"""How vectors that are searched are packed into float32: shifted, scaled or lifted."""

from __future__ import annotations

import numpy as np

from sltrees._core._vector_panels import METRICS, VectorPanels, packed_width

PACKED_AT_ONCE = 1 << 14  # vectors that are packed at a time
_SAMPLED = 512  # vectors that say where most are, and how long
_LONGEST_PACKED = 2.0**100  # a column with larger numbers has no place in float32: its products could overflow
_FARTHEST_PACKED = 2.0**60  # a query beyond it has no place in float32


class PackedVectors:
    """The vectors of a search, and how they are packed. What it packs by does not change.

    That is what is typical of the vectors, medians: a few that are far from all others do not make these few digits of
    what is packed.
    """

    def __init__(self, vectors, squares, live, metric, capacity, free=None):
        self.metric = metric
        self.centre, self.scale = 0.0, 1.0
        if live.any() and metric != METRICS.index("cosine"):
            there = np.flatnonzero(live)
            sample = vectors[there[:: -(-there.size // _SAMPLED)]].astype(np.float64)
            if metric == METRICS.index("euclidean"):
                self.centre = np.median(sample, axis=0)
            lengths = np.abs(sample - self.centre).max(axis=1)
            if lengths.any():
                self.scale = _power_of_two(np.median(lengths[lengths > 0]) * vectors.shape[1] ** 0.5)
        self.panels = VectorPanels(capacity, vectors.shape[1], vectors.dtype, metric)
        self._fill(vectors, squares, live, free)
        self.n_far_at_first = self.panels.n_far

    def _fill(self, vectors, squares, live, free):
        for start in range(0, len(vectors), PACKED_AT_ONCE):
            part = slice(start, min(start + PACKED_AT_ONCE, len(vectors)))
            filler = np.where(squares[part] > 0, squares[part], 1.0)
            packed = self.packed(vectors[part], filler)
            self.panels.write(np.arange(part.start, part.stop), packed, vectors[part], squares[part])
        self.panels.remove(np.flatnonzero(~live) if free is None else free)

    def outgrown_by(self, packed):
        """Whether so many more columns have no place in float32 that packing all anew may be worth its cost."""
        return self.panels.n_far + np.isinf(packed[:, 0]).sum() > 2 * self.n_far_at_first + self.panels.n // 1024

    def with_vectors(self, ids, vectors, squares, n, capacity):
        """The same with other vectors of some ids, packed by what all of them are."""
        panels = self.panels
        everything, all_squares = np.zeros((n, panels.d), dtype=vectors.dtype), np.zeros(n)
        everything[: panels.n], all_squares[: panels.n] = panels.vectors, panels.squares
        everything[ids], all_squares[ids] = vectors, squares
        live = np.zeros(n, dtype=bool)
        live[: panels.n] = panels.live
        live[ids] = True
        free = panels.free
        return PackedVectors(everything, all_squares, live, self.metric, capacity, free[~np.isin(free, ids)])

    def packed(self, vectors, squares):
        """What vectors are in the panels: shape (k, packed width), float32; infinity where that has no place."""
        exact = vectors.astype(np.float64)
        if METRICS[self.metric] == "cosine":
            exact /= np.sqrt(squares)[:, None]
        else:
            exact -= self.centre
            exact /= self.scale
        packed = np.empty((len(exact), packed_width(exact.shape[1], self.metric)), dtype=np.float32)
        with np.errstate(over="ignore"):
            packed[:, : exact.shape[1]] = exact
            if METRICS[self.metric] == "euclidean":
                packed[:, -1] = -0.5 * np.einsum("ij,ij->i", exact, exact)
        packed[np.abs(packed).max(axis=1) > _LONGEST_PACKED] = np.inf
        return packed

    def measured(self, queries, squares):
        """What panels are multiplied with, and what the products say of values: as `VectorPanels.within` takes it."""
        exact, metric = queries.astype(np.float64), METRICS[self.metric]
        measures = np.zeros((len(exact), 3))
        measures[:, 1] = 1.0
        if metric == "cosine":
            exact /= np.sqrt(squares)[:, None]
        elif metric == "inner_product":
            scales = np.array([_power_of_two(root) for root in np.sqrt(squares)])
            exact /= scales[:, None]
            measures[:, 1] = 1.0 / (scales * self.scale)
        else:
            exact -= self.centre
            exact /= self.scale
            measures[:, 1] = 1.0 / self.scale
            measures[:, 2] = 0.5 * np.einsum("ij,ij->i", exact, exact)
            far = ~(measures[:, 2] <= _FARTHEST_PACKED)
            exact[far], measures[far, 2] = 0.0, -np.inf
        packed = np.ones((len(exact), packed_width(exact.shape[1], self.metric)), dtype=np.float32)
        packed[:, : exact.shape[1]] = exact
        measures[:, 0] = np.sqrt(np.einsum("ij,ij->i", exact, exact)) * (1 + 1e-6)
        return packed, measures

    def within(self, queries, squares, thresholds, inclusive, only_count):
        packed, measures = self.measured(queries, squares)
        return self.panels.within(queries, squares, packed, measures, thresholds, inclusive, only_count)

    def nearest(self, queries, squares, k):
        packed, measures = self.measured(queries, squares)
        return self.panels.nearest(queries, squares, packed, measures, k)

    def _check(self):
        panels = self.panels
        panels._check()
        live = panels.live
        packed = self.packed(panels.vectors[live], panels.squares[live])
        assert np.array_equal(np.where(np.isinf(packed), 0, packed), panels.packed[live])
        assert np.isinf(packed[:, 0]).sum() == panels.n_far


def _power_of_two(x):
    """The least power of two that is at least x, within 2**-500 and 2**500; 1 for 0."""
    return float(np.ldexp(1.0, int(np.clip(np.frexp(x)[1], -500, 500)))) if x > 0 else 1.0
