"""How a network is cut into portions, which processes share out among themselves."""

from __future__ import annotations

import itertools
import typing

from sltrees.network.drawing import sampling_for
from sltrees.network.random_streams import NEURONS_PER_BLOCK
from sltrees.network.sampling_dense import BLOCKS_PER_TASK


class Portion(typing.NamedTuple):
    """The part of a network from `start` to `stop`, of `of` units: what one process holds of it.

    Under dense sampling a unit is a fixed number of blocks of neurons, so that whatever is drawn of them, for whichever
    samples, is in one portion. Under rejection units share out the shards of each drawing evenly.
    """

    start: int
    stop: int
    of: int

    @classmethod
    def whole(cls, network, planes):
        """All of a network. Cost: O(n d + shards)."""
        sampling = sampling_for(network, planes)
        if sampling.name == "dense":
            units = -(-network.width // (NEURONS_PER_BLOCK * BLOCKS_PER_TASK))
        else:
            units = max(1, len(sampling.tasks(planes, 0)))
        return cls(0, units, units)

    def numbers(self, sampling, tasks):
        """Numbers of the tasks of a drawing that are for this portion. Cost: O(tasks)."""
        if sampling.name == "dense":
            units = [blocks.start // BLOCKS_PER_TASK for blocks in tasks]
            return [number for number, unit in enumerate(units) if self.start <= unit < self.stop]
        return list(self.evenly(len(tasks)))

    def evenly(self, count):
        """The share of this portion in so many things: a range. Cost: O(1)."""
        return range(-(-self.start * count // self.of), -(-self.stop * count // self.of))

    def blocks(self, width):
        """Under dense sampling: the blocks of neurons. Cost: O(1)."""
        n_blocks = -(-width // NEURONS_PER_BLOCK)
        return range(self.start * BLOCKS_PER_TASK, min(self.stop * BLOCKS_PER_TASK, n_blocks))

    def cut(self, n_parts):
        """Parts of about the same size, so that sums over them have few nodes; some may be missing. Cost: O(parts)."""
        size = self.stop - self.start
        grain = 1 << max(0, (size // (8 * n_parts)).bit_length() - 1)  # a whole subtree, unless that is a lot
        edges = [self.start + (2 * size * k // (n_parts * grain) + 1) // 2 * grain for k in range(n_parts)]
        edges = [min(edge, self.stop) for edge in edges] + [self.stop]
        return [Portion(start, stop, self.of) for start, stop in itertools.pairwise(edges) if start < stop]

    @staticmethod
    def shared_out(portions, n_parts):
        """The same units in about so many parts, whatever number of portions they are in: adjacent ones are joined.

        Parameters
        ----------
        portions : list of Portion
            In order.
        n_parts : int

        Returns
        -------
        list of Portion
            About `n_parts`, at least one for whatever is not adjacent.

        Examples
        --------
        >>> Portion.shared_out([Portion(0, 2, 8), Portion(2, 4, 8), Portion(5, 6, 8)], 3)
        [Portion(start=0, stop=2, of=8), Portion(start=2, stop=4, of=8), Portion(start=5, stop=6, of=8)]
        """
        joined = []
        for portion in portions:
            if joined and joined[-1].stop == portion.start:
                joined[-1] = joined[-1]._replace(stop=portion.stop)
            else:
                joined.append(portion)
        total = sum(portion.stop - portion.start for portion in joined)
        parts = []
        for portion in joined:
            parts += portion.cut(max(1, round(n_parts * (portion.stop - portion.start) / total)))
        return parts


class Summary(typing.NamedTuple):
    """What the client needs to know of a portion."""

    numbers: list[int]  # of its shards
    draws: list[int]  # of each
    is_displaced: bool  # whether neurons may have moved
    moved_from_start: bool  # whether any stood elsewhere than drawn when lists were built
    n_fired: int
    nbytes: int
