"""sampling="dense": draw every neuron, and keep those that fire on a sample."""

from __future__ import annotations

import numpy as np

from sltrees._core._normals import fill_normals
from sltrees._memory import array_bytes
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.near_lists import collect, empty_lists, rows_at_a_time
from sltrees.network.random_streams import NEURONS_PER_BLOCK
from sltrees.network.shards import Drawn

WORK_PER_TASK = 1 << 30  # multiplications to draw one: some 25 ms, so that Ctrl-C is obeyed soon on a busy machine too
BLOCKS_PER_TASK = 4  # at most; a power of two, as its lesser values are, so that tasks lie within those of this size


class DenseSampling:
    """Draw all neurons of a network, block by block; the (m, n) product is never held.

    Parameters
    ----------
    width : int
        m.
    copies : int
        Neurons that share a draw.
    streams : RandomStreams
    dtype : float32 or float64
    """

    name = "dense"

    def __init__(self, width, copies, streams, dtype):
        self._width, self._copies, self._streams, self._dtype = width, copies, streams, np.dtype(dtype)

    def tasks(self, planes, n_seen):
        """What `find` is to be called with: ranges of consecutive blocks.

        Parameters
        ----------
        planes : Hyperplanes
            Of all samples, in the order in which they came.
        n_seen : int
            So many of them, the first ones, were drawn for before.

        Returns
        -------
        list of range
            They depend on the width and on the shape of the samples alone, so that sums over shards do not depend
            on who runs them.

        Notes
        -----
        Cost: O(m / 8192).
        """
        n, d = planes.X.shape
        most = max(1, WORK_PER_TASK // (NEURONS_PER_BLOCK * max(1, n - n_seen) * d))
        size = min(BLOCKS_PER_TASK, 1 << (most.bit_length() - 1))
        n_blocks = -(-self._width // NEURONS_PER_BLOCK)
        return [range(start, min(start + size, n_blocks)) for start in range(0, n_blocks, size)]

    def find(self, blocks, planes, n_seen, skin):
        """The draws of consecutive blocks that fire on a new sample.

        Parameters
        ----------
        blocks : range
            Of `tasks`.
        planes, n_seen
            As for `tasks`.
        skin : float or None
            Of the near lists; None: none are wanted.

        Returns
        -------
        Drawn
            Draws that fire on an old sample are among them. There are near lists only where all samples are new.

        Notes
        -----
        Cost: O(m n d) over all tasks, for n new samples, through BLAS.
        """
        if n_seen:
            planes, skin = Hyperplanes(planes.X[n_seen:], planes.shift), None
        copies, first = self._copies, blocks.start * NEURONS_PER_BLOCK
        count = (min(blocks.stop * NEURONS_PER_BLOCK, self._width) - first) // copies
        near = empty_lists(planes, skin or 0.0, count if skin else 0, keep_all=False)
        # not touched beyond what fires, and that only once: memory never used before costs more than drawing anew
        found, numbers, n_found = np.empty((count, planes.X.shape[1]), dtype=self._dtype), [], 0
        for block in blocks:
            weights = self.draw_weights(block, planes.X.shape[1])
            firing = collect(near, weights, planes.X, forget=skin is None)
            numbers.append((block * NEURONS_PER_BLOCK) // copies + firing)
            # with another mode, take would write to memory of its own first
            np.take(weights, firing, axis=0, out=found[n_found : n_found + firing.size], mode="clip")
            n_found += firing.size
        near.trim()
        found.resize((n_found, planes.X.shape[1]), refcheck=False)
        return Drawn(np.concatenate(numbers), found, None if skin is None else near)

    def draw_weights(self, block, n_features):
        """Initial weights of one block, once a draw: shape (neurons in the block / copies, d). Cost: O(8192 d)."""
        count = min(NEURONS_PER_BLOCK, self._width - block * NEURONS_PER_BLOCK) // self._copies
        weights = np.empty((count, n_features), dtype=np.float32)
        fill_normals(self._streams.of_weights(block), weights)
        return weights.astype(self._dtype, copy=False)

    def bytes_needed(self, shape):
        """Bytes of scratch memory that a thread needs to draw for samples of this shape. Cost: O(1)."""
        n, d = shape
        block = min(NEURONS_PER_BLOCK, self._width) // self._copies
        # weights of a block, the samples transposed; products of some weights, and what these may list at most
        scratch = block * (array_bytes(d, dtype=self._dtype) + 4 * d) + array_bytes(n, d, dtype=self._dtype)
        return scratch + min(rows_at_a_time(n), block) * n * (2 * self._dtype.itemsize + 8)
