"""All m neurons of a network as plain arrays, for methods that leave none out; and the way back into the network."""

from __future__ import annotations

import numpy as np

from sltrees.network.use import write_down
from sltrees.network.weights import all_draws, neurons_of_draws, signs_of


class AllNeurons:
    """All neurons of a network, silent ones included.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        Initialised. Its displacements are written down.

    Attributes
    ----------
    copies : int
        Neurons that share a draw.
    initial : ndarray of shape (q, d)
        Initial weights of the draws.
    displacement : ndarray of shape (q copies, d)
        Of the neurons, as the network has them.
    signs : ndarray of shape (q copies,)

    Notes
    -----
    Cost: O(m d), and as much memory.

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> neurons = AllNeurons(ShiftedReLUNetwork(6, shift=0.0, random_state=0).initialize([[1.0, 0.0]]))
    >>> neurons.initial.shape, neurons.displacement.shape
    ((3, 2), (6, 2))
    """

    def __init__(self, network):
        write_down(network)
        self._network, self.copies = network, network.copies
        self.initial, places = all_draws(network, network.state)
        n_draws, n_features = self.initial.shape
        self.displacement = np.zeros((n_draws * self.copies, n_features), dtype=network.dtype)
        self.signs = signs_of(network, np.arange(n_draws * self.copies))
        self._rows = [neurons_of_draws(draws, self.copies) for draws in places]
        for shard, rows in zip(network.state.neurons.shards, self._rows, strict=True):
            self.displacement[rows] = shard.displacements()

    def blocks(self, size):
        """Slices of draws that together are all, each of about `size` neurons."""
        n_draws, step = len(self.initial), max(1, size // self.copies)
        return [slice(start, min(start + step, n_draws)) for start in range(0, n_draws, step)]

    def neurons_of(self, draws):
        """The slice of neurons that belong to a slice of draws."""
        return slice(draws.start * self.copies, draws.stop * self.copies)

    def give_back(self, displacement):
        """Make displacements, of the shape of those here, those of the network, in one statement. Cost: O(k d).

        Neurons that fire on no sample have no gradient, and so have not moved: only those materialised have.
        """
        state = self._network.state
        moved = state.neurons.displaced_by(displacement[rows] for rows in self._rows)
        self._network.state = state.changed(neurons=moved)
