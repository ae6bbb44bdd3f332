"""The blocks of materialised neurons that a network is made of."""

from __future__ import annotations

import types
import typing

import numpy as np

from sltrees._core._near_lists import NearLists

# Shrunk by more than this, coefficients of pairs that ceased to fire may have become 0, which is to say forgotten.
SHRUNK_TO_NOTHING = 1e-12

DRAWS_AT_A_TIME = 2048  # whose displacements are written to be looked at


class Drawn(typing.NamedTuple):
    """What drawing some of the neurons of a network found."""

    draws: np.ndarray  # (q,) int64, ascending: those that fire on a sample that is new
    weights: np.ndarray  # (q, d): their initial weights
    near: NearLists | None  # over all samples, one list for each draw; None where they were not asked for


class ImpliedDisplacement:
    """Displacements that nobody has written down: those of lazy rows where they stand at a step.

    Parameters
    ----------
    rows : LazyRows
    owner : object with step
        Its `step`, a LazyStep, is the last one that was kept.
    is_extended : bool, default False
        Whether samples have joined since the rows were made: of some neurons nobody knows whether they fired on them.
    """

    is_extended = False  # of those from pickles of earlier versions

    def __init__(self, rows, owner, is_extended=False):
        self.rows, self._owner, self.is_extended = rows, owner, is_extended

    @property
    def knows_start(self):
        """Whether the rows were made where the neurons were drawn, and know what has fired since. Cost: O(1)."""
        is_drawn_there = self.rows.parts()["origin"] is None and not self.is_extended
        return is_drawn_there and self._owner.step.origin_decay > SHRUNK_TO_NOTHING

    def write(self, target, start):
        """Write those of rows start, start + 1, ... to a C-ordered array. Cost: O(active pairs d)."""
        self.rows.write_displacement(self._owner.step, target, start)

    def compacted(self, chosen):
        """The displacements of some rows, with nothing that only training needs. Cost: O(active pairs)."""
        return ImpliedDisplacement(self.rows.compacted(chosen), types.SimpleNamespace(step=self._owner.step))


class NeuronShard(typing.NamedTuple):
    """Some materialised neurons: which they are, their initial weights, and how far they have moved.

    A *draw* is one initial weight vector; `copies` neurons share it: draw k belongs to the neurons k copies, ...,
    (k + 1) copies - 1. A shard is replaced rather than changed, so that a network is always that of one moment; only
    method "trees" moves the displacements of its shards in place.
    """

    draws: np.ndarray  # (q,) int64, ascending
    initial: np.ndarray  # (q, d)
    copies: int
    displacement: np.ndarray | ImpliedDisplacement | None = None  # None: all zero; an array is (q copies, d)

    home = None  # it is in this process

    @property
    def is_displaced(self):
        """Whether its neurons may have moved. Cost: O(1)."""
        return self.displacement is not None

    def fetched(self):
        """The shard in this process: itself."""
        return self

    @property
    def n_neurons(self):
        """Number of neurons. Cost: O(1)."""
        return self.draws.size * self.copies

    @property
    def neurons(self):
        """Their numbers, shape (n_neurons,), dtype=int64. Cost: O(n_neurons)."""
        return (self.draws[:, None] * self.copies + np.arange(self.copies)).ravel()

    @property
    def nbytes(self):
        """Bytes of initial weights and of displacements written down. Cost: O(1)."""
        written = self.displacement.nbytes if isinstance(self.displacement, np.ndarray) else 0
        return self.draws.nbytes + self.initial.nbytes + written

    def displacements(self, start=0, stop=None):
        """Displacements of the neurons start, ..., stop - 1 of the shard; not to be written to.

        Cost: O((stop - start) d) where they are stored, O(active pairs d) where they are implied.
        """
        stop = self.n_neurons if stop is None else stop
        if isinstance(self.displacement, np.ndarray):
            return self.displacement[start:stop]
        rows = np.zeros((stop - start, self.initial.shape[1]), dtype=self.initial.dtype)
        if self.displacement is not None:
            self.displacement.write(rows, start)
        return rows

    def weights(self, start=0, stop=None):
        """Current weights of the neurons start, ..., stop - 1 of the shard, a copy. Cost: as `displacements`."""
        stop = self.n_neurons if stop is None else stop
        weights = self.initial[np.arange(start, stop) // self.copies]
        if self.displacement is not None:
            weights += self.displacements(start, stop)
        return weights

    def moved(self):
        """Which draws have a neuron that moved: ndarray of shape (q,), bool. Cost: as `displacements`.

        By the displacements as they are or would be written: the answer is the same before and after.
        """
        moved = np.zeros(self.draws.size, dtype=bool)
        if self.displacement is not None:
            for start in range(0, self.draws.size, DRAWS_AT_A_TIME):
                stop = min(start + DRAWS_AT_A_TIME, self.draws.size)
                rows = self.displacements(start * self.copies, stop * self.copies)
                moved[start:stop] = rows.reshape(stop - start, -1).any(axis=1)
        return moved

    def written_down(self):
        """The same shard with its displacements as an array, if it has any. Cost: as `displacements`."""
        if self.displacement is None or isinstance(self.displacement, np.ndarray):
            return self
        return self._replace(displacement=self.displacements())

    def frozen(self):
        """The same shard with displacements of its own, which stay whoever trains. Cost: as `displacements`."""
        if isinstance(self.displacement, np.ndarray):
            return self._replace(displacement=self.displacement.copy())
        return self.written_down()

    def compacted(self, chosen):
        """The draws marked in `chosen`, and what their displacements need and no more. Cost: O(active pairs + k d)."""
        draws = np.flatnonzero(chosen)
        rows = (draws[:, None] * self.copies + np.arange(self.copies)).ravel()
        displacement = self.displacement
        if isinstance(displacement, ImpliedDisplacement):
            implied = displacement.compacted(rows)
            smaller = implied.rows.nbytes <= rows.size * self.initial.shape[1] * self.initial.itemsize
            displacement = implied if smaller else self.displacements()[rows]
        elif displacement is not None:
            displacement = displacement[rows]
        return NeuronShard(self.draws[draws], self.initial[draws], self.copies, displacement)
