"""What is true of a network besides its parameters: a value, which is replaced rather than changed."""

from __future__ import annotations

import dataclasses
import typing

import numpy as np

from sltrees.network.neurons import LocalNeurons


class FoundNear(typing.NamedTuple):
    """Near lists that drawing a network found, for the first run on its samples."""

    skin: float
    fingerprint: tuple  # of the samples
    lists: list  # of each shard: NearLists or None; empty where the network is drawn later, elsewhere


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkState:
    """What drawing and training have made of a network.

    `network.state = ...` is one statement: whenever Ctrl-C falls, and whoever reads in another thread, the network is
    always that of one moment. Nothing in a state is written to, but for what method "trees" moves in place.

    Attributes
    ----------
    shift : float or None
        b; None until the network is drawn.
    n_features : int or None
        d.
    sampling : DenseSampling, RejectionSampling or None
        Who draws the neurons.
    fingerprint : tuple or None
        Of the samples last drawn for.
    seen : ndarray of shape (n, d) or None
        All samples that neurons were drawn for, in the order in which they came.
    scales : dict
        trace(G)/n when training on a set of samples began, by fingerprint.
    neurons : LocalNeurons or sltrees.cluster.remote_group.RemoteGroup
        Those materialised, where they are.
    method : CertifiedMethod or None
        Whose rows imply displacements, if any.
    near : FoundNear or None
    compacted : bool
        Whether only what predictions need is left, or will be.
    """

    shift: float | None = None
    n_features: int | None = None
    sampling: typing.Any = None
    fingerprint: tuple | None = None
    seen: np.ndarray | None = None
    scales: dict = dataclasses.field(default_factory=dict)
    neurons: typing.Any = dataclasses.field(default_factory=LocalNeurons)
    method: typing.Any = None
    near: FoundNear | None = None
    compacted: bool = False

    @property
    def is_drawn(self):
        """Whether there are neurons."""
        return self.shift is not None

    def changed(self, **fields):
        """The same state but for some fields. Cost: O(1)."""
        return dataclasses.replace(self, **fields)


def with_state(network, state):
    """A network that differs from another in its state alone. Cost: O(1)."""
    other = object.__new__(type(network))
    other.__dict__.update(network.__dict__, state=state, in_training=False)
    return other


_EARLIER = {  # names of attributes, as pickles had them when the state was not an object
    "shift_": "shift",
    "n_features_in_": "n_features",
    "_sampling": "sampling",
    "_fingerprint": "fingerprint",
    "_seen": "seen",
    "_scales": "scales",
    "_compacted": "compacted",
}


def from_pickle(attributes):
    """The attributes of a network that was pickled, as they are now.

    Parameters
    ----------
    attributes : dict
        Of today's networks, or of those whose state was not an object.

    Returns
    -------
    dict
    """
    if "state" in attributes:
        return attributes
    state = NetworkState(
        neurons=LocalNeurons(attributes["_shards"]),
        **{new: attributes[old] for old, new in _EARLIER.items() if old in attributes},
    )
    parameters = {name: attributes[name] for name in ("width", "shift", "init", "sampling", "dtype")}
    return parameters | {
        "streams": attributes["_streams"],
        "copies": attributes["_copies"],
        "state": state,
        "in_training": False,
    }
