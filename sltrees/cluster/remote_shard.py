"""Stand-ins for the shards of a network that other processes hold."""

from __future__ import annotations

from sltrees.network.weights import neurons_of_draws


class RemoteShard:
    """Stands for a `NeuronShard` that another process holds; what is asked of it is fetched.

    Parameters
    ----------
    home : RemoteGroup
    number : int
        Among the shards of the network.
    draws_size : int
    copies : int
    is_displaced : bool
        Whether its neurons may have moved.
    """

    displacement = None  # none that is written down here

    def __init__(self, home, number, draws_size, copies, is_displaced):
        self.home, self.number, self.draws_size, self.copies = home, number, draws_size, copies
        self.is_displaced = is_displaced

    @property
    def draws(self):
        """As of `NeuronShard`: fetched."""
        return self.home.fetch(self.number, "draws")

    @property
    def initial(self):
        """As of `NeuronShard`: fetched."""
        return self.home.fetch(self.number, "initial")

    @property
    def n_neurons(self):
        """Number of neurons. Cost: O(1)."""
        return self.draws_size * self.copies

    @property
    def neurons(self):
        """As of `NeuronShard`: fetched."""
        return neurons_of_draws(self.draws, self.copies)

    def displacements(self, start=0, stop=None):
        """As of `NeuronShard`: fetched."""
        return self.fetched().displacements(start, stop)

    def weights(self, start=0, stop=None):
        """As of `NeuronShard`: fetched."""
        return self.fetched().weights(start, stop)

    def moved(self):
        """As of `NeuronShard`: fetched."""
        return self.fetched().moved()

    def fetched(self):
        """The shard in this process: a NeuronShard with displacements written down. Cost: O(k d)."""
        return self.home.fetch(self.number, "written_down")
