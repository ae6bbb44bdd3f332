"""Networks in files: what of a network is kept, and what a file must hold to be one.

`sltrees.files.archive` sees to it that a file is what was written; here it is seen to that what was written makes
sense. Nothing here makes a network: parameters and state are handed to the class, which does.
"""

from __future__ import annotations

import math
import re

import numpy as np

from sltrees._validation import MAX_INTEGER
from sltrees.files.contents import Contents, all_finite, as_integer_entry, as_number_entry, prefixed, shortened
from sltrees.files.errors import ArchiveError
from sltrees.network.drawing import SAMPLINGS
from sltrees.network.samples import as_samples
from sltrees.network.shards import NeuronShard
from sltrees.network.shift import POLICIES

MAX_NEURONS_PER_SHARD = 2**31 - 1  # the kernels count them in 32 bits


def packed(network):
    """Header and arrays of a network, as a file has them: see `sltrees.network.network.pack_network`."""
    state = network.__getstate__()
    header = {name: state[name] for name in ("width", "shift", "init", "sampling")}
    header |= {"dtype": state["dtype"].name, "entropy": state["_streams"].entropy, "drawn": None}
    if state["shift_"] is None:
        return header, {}
    header["drawn"] = {
        "shift": state["shift_"],
        "sampling": state["_sampling"].name,
        "n_features": state["n_features_in_"],
        "fingerprint": _packed_fingerprint(state["_fingerprint"]),
        "scales": [[*_packed_fingerprint(key), float(scale)] for key, scale in dict(state["_scales"]).items()],
        "compacted": state["_compacted"],
        "n_shards": len(state["_shards"]),
    }
    arrays = {} if state["_seen"] is None else {"seen": state["_seen"]}
    for k, shard in enumerate(state["_shards"]):
        own = {"draws": shard.draws, "initial": shard.initial}
        if shard.displacement is not None:
            own["displacement"] = shard.displacement
        if not all(all_finite(array) for array in own.values()):
            raise ValueError("weights of a network that is saved must be finite")
        arrays |= prefixed(own, f"shards/{k}/")
    return header, arrays


def unpacked_parameters(contents):
    """The parameters of the network that a file holds.

    Parameters
    ----------
    contents : Contents
        Of which they are taken.

    Returns
    -------
    dict
        Each is one that there is, but not all need go together.

    Notes
    -----
    Cost: O(1).
    """
    width = contents.integer("width", minimum=1)
    shift = contents.take("shift")
    if not isinstance(shift, str) or shift not in POLICIES:
        shift = as_number_entry(shift, "shift")
    init = contents.choice("init", ("paired", "gaussian"))
    sampling = contents.choice("sampling", ("auto", *SAMPLINGS))
    dtype = contents.choice("dtype", ("float32", "float64"))
    entropy = contents.take("entropy")
    for number in entropy if isinstance(entropy, list) else [entropy]:
        as_integer_entry(number, "entropy", maximum=math.inf)
    return {
        "width": width,
        "shift": shift,
        "init": init,
        "sampling": sampling,
        "dtype": dtype,
        "random_state": np.random.SeedSequence(entropy),
    }


def unpacked_state(contents, network):
    """What drawing and training gave a network: its attributes, none if it was not drawn.

    Parameters
    ----------
    contents : Contents
        Of which all that is left is taken.
    network : ShiftedReLUNetwork
        Of the parameters.

    Returns
    -------
    dict

    Notes
    -----
    Cost: O(k (d + log k)) for k materialised neurons.
    """
    drawn = contents.take("drawn")
    state = {} if drawn is None else _drawn_state(network, Contents(drawn), contents)
    contents.refuse_rest()
    return state


def _drawn_state(network, drawn, contents):
    """The attributes that drawing and training gave a network."""
    shift, n_features = drawn.number("shift"), drawn.integer("n_features", minimum=1)
    name = drawn.choice("sampling", tuple(SAMPLINGS))
    if network.sampling not in ("auto", name) or (name == "rejection" and network.init != "paired"):
        raise ArchiveError(
            f"a network of init {network.init!r} and sampling {network.sampling!r} is not drawn by {name!r}"
        )
    fingerprint = _unpacked_fingerprint(drawn.take("fingerprint"), n_features)
    scales = drawn.take("scales")
    if not isinstance(scales, list) or not all(isinstance(entry, list) and len(entry) == 4 for entry in scales):
        raise ArchiveError(f"'scales' must be a list of lists of 4, got {shortened(scales)}")
    scales = {
        _unpacked_fingerprint(entry[:3], n_features): as_number_entry(entry[3], "scales", maximum=math.inf)
        for entry in scales
    }
    compacted, n_shards = drawn.flag("compacted"), drawn.integer("n_shards")
    drawn.refuse_rest()

    seen = None
    if not compacted or contents.has_array("seen"):
        seen = contents.array("seen", network.dtype, (None, n_features))
        try:
            seen = as_samples(seen, "X", network.dtype)
        except ValueError as error:
            raise ArchiveError(f"array 'seen' holds no samples: {error}") from None
    shards = []
    for k in range(n_shards):  # a shard that is missing ends this
        shards.append(_unpacked_shard(network, name, n_features, contents, f"shards/{k}/"))
    draws = np.sort(np.concatenate([np.empty(0, np.int64), *(shard.draws for shard in shards)]))
    if (draws[1:] == draws[:-1]).any():
        raise ArchiveError("a neuron must not be in two shards")
    return {
        "shift_": shift,
        "n_features_in_": n_features,
        "_sampling": SAMPLINGS[name](network.width, network._copies, network._streams, network.dtype),
        "_shards": shards,
        "_fingerprint": fingerprint,
        "_seen": seen,
        "_scales": scales,
        "_compacted": compacted,
    }


def _unpacked_shard(network, sampling, n_features, contents, prefix):
    """A shard, of which neurons can be counted and told apart without overflow."""
    copies = network._copies
    draws = contents.array(f"{prefix}draws", np.int64, (None,))
    limit = network.width // copies if sampling == "dense" else MAX_INTEGER // copies
    if draws.size and not (draws[0] >= 0 and draws[-1] < limit and (draws[1:] > draws[:-1]).all()):
        raise ArchiveError(f"array '{prefix}draws' must be ascending, from 0 on and below {limit}")
    if draws.size * copies > MAX_NEURONS_PER_SHARD:
        raise ArchiveError(f"array '{prefix}draws' must have at most {MAX_NEURONS_PER_SHARD // copies} entries")
    initial = contents.array(f"{prefix}initial", network.dtype, (draws.size, n_features))
    displacement = None
    if contents.has_array(f"{prefix}displacement"):
        displacement = contents.array(f"{prefix}displacement", network.dtype, (draws.size * copies, n_features))
    return NeuronShard(draws, initial, copies, displacement)


def _packed_fingerprint(fingerprint):
    """A fingerprint as a header may hold it."""
    (n_samples, n_features), checksum = fingerprint
    return [n_samples, n_features, checksum]


def _unpacked_fingerprint(entry, n_features):
    """The fingerprint again; ArchiveError if it is none of samples with so many features."""
    if not isinstance(entry, list) or len(entry) != 3:
        raise ArchiveError(f"a fingerprint of samples must be a list of 3, got {shortened(entry)}")
    n_samples, columns, checksum = entry
    as_integer_entry(n_samples, "fingerprint", minimum=1)
    as_integer_entry(columns, "fingerprint", minimum=n_features, maximum=n_features)
    if not isinstance(checksum, str) or not re.fullmatch(r"[0-9a-f]{64}", checksum):
        raise ArchiveError(f"a fingerprint of samples must have 64 hexadecimal digits, got {shortened(checksum)}")
    return (n_samples, columns), checksum
