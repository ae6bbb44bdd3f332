"""What tells networks apart, bit for bit."""

from __future__ import annotations

import hashlib
import itertools
import json

import numpy as np


def digest_of(network, state):
    """SHA-256 of a network: see `ShiftedReLUNetwork.digest`.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    state : NetworkState
        Of the network, which is drawn, and standing.

    Returns
    -------
    str
        64 hexadecimal digits.

    Notes
    -----
    Cost: O(k d) for k materialised neurons, or O(active pairs d) where displacements are implied.
    """
    header = {
        "width": network.width,
        "init": network.init,
        "dtype": network.dtype.name,
        "shift": state.shift.hex(),
        "sampling": state.sampling.name,
        "entropy": repr(network.streams.entropy),
        "n_features": state.n_features,
    }
    sha, shards = hashlib.sha256(json.dumps(header, sort_keys=True).encode()), state.neurons.shards
    arrays = itertools.chain(
        (shard.neurons for shard in shards),
        (shard.initial for shard in shards),
        (shard.displacements() for shard in shards),
    )
    for array in arrays:
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()
