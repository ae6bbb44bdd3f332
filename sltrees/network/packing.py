"""Networks in files: what of a network is kept, and what a file must hold to be one.

`sltrees.files.archive` sees to it that a file is what was written; here it is seen to that what was written makes
sense. The class that makes the network is handed in.
"""

from __future__ import annotations

import math
import re

import numpy as np

from sltrees._validation import MAX_INTEGER
from sltrees.files.contents import Contents, all_finite, as_integer_entry, as_number_entry, prefixed, shortened
from sltrees.files.errors import ArchiveError
from sltrees.network.drawing import SAMPLINGS
from sltrees.network.neurons import LocalNeurons
from sltrees.network.random_streams import refuse_long
from sltrees.network.samples import as_samples
from sltrees.network.shards import NeuronShard
from sltrees.network.shift import POLICIES
from sltrees.network.state import NetworkState
from sltrees.network.use import independent_state

KIND = "network"  # of files
MAX_NEURONS_PER_SHARD = 2**31 - 1  # the kernels count them in 32 bits


def pack_network(network, neurons=None):
    """What of a network goes into a file, alone or within something else.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        If another thread trains it by method "certified", it is taken as of the last step kept.
    neurons : LocalNeurons or RemoteGroup, optional
        As `sltrees.network.use.frozen` gives them, in the place of those that it has by now.

    Returns
    -------
    header : dict
    arrays : dict of str to ndarray
        Those of the network itself where it has them: not to be written to.

    Raises
    ------
    TypeError
        If it is no network. Instances of subclasses are none: they may be more.
    ValueError
        If a weight is not finite.

    Notes
    -----
    Cost: O(k d) for k materialised neurons, or O(active pairs d) where displacements are implied.

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> header, arrays = pack_network(ShiftedReLUNetwork(100, random_state=0).initialize([[1.0, 0.0]]))
    >>> header["width"], sorted(arrays)
    (100, ['seen', 'shards/0/draws', 'shards/0/initial'])
    """
    if vars(type(network)).get("_name_in_files") != KIND:
        raise TypeError(f"objects that can be saved are of ShiftedReLUNetwork, got {type(network).__name__}")
    state = independent_state(network) if neurons is None else network.state.changed(neurons=neurons)
    header = _header(network, state)
    if not state.is_drawn:
        return header, {}
    arrays = {} if state.seen is None else {"seen": state.seen}
    for k, shard in enumerate(state.neurons.written_down(network).shards):
        own = {"draws": shard.draws, "initial": shard.initial}
        if shard.displacement is not None:
            own["displacement"] = shard.displacement
        if not all(all_finite(array) for array in own.values()):
            raise ValueError("weights of a network that is saved must be finite")
        arrays |= prefixed(own, f"shards/{k}/")
    return header, arrays


def header_of(network):
    """The header of a network in a file, for which no weight is looked at. Cost: O(1)."""
    return _header(network, network.state)


def _header(network, state):
    header = {name: getattr(network, name) for name in ("width", "shift", "init", "sampling")}
    header |= {"dtype": network.dtype.name, "entropy": network.streams.entropy, "drawn": None}
    if state.is_drawn:
        header["drawn"] = {
            "shift": state.shift,
            "sampling": state.sampling.name,
            "n_features": state.n_features,
            "fingerprint": _packed_fingerprint(state.fingerprint),
            "scales": [[*_packed_fingerprint(key), float(scale)] for key, scale in state.scales.items()],
            "compacted": state.compacted,
            "n_shards": len(state.neurons.shards),
        }
    return header


def unpack_network(header, arrays, cls):
    """The network of which `pack_network` gave header and arrays.

    Parameters
    ----------
    header : dict
    arrays : dict of str to ndarray
        They become those of the network.
    cls : type
        ShiftedReLUNetwork, which makes it of its parameters.

    Returns
    -------
    ShiftedReLUNetwork
        What a copy of the network is: it predicts the same, bit for bit, and can be trained on.

    Raises
    ------
    sltrees.files.archive.ArchiveError
        If they are no network's.

    Notes
    -----
    Cost: O(k (d + log k)) for k materialised neurons.

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> network = ShiftedReLUNetwork(100, random_state=0)
    >>> unpack_network(*pack_network(network), ShiftedReLUNetwork).width
    100
    """
    contents = Contents(header, arrays)
    parameters = _unpacked_parameters(contents)
    drawn = contents.take("drawn")
    try:
        network = cls(**parameters)
    except ValueError as error:  # each is one that there is, but not all go together
        raise ArchiveError(str(error)) from None
    if drawn is not None:
        network.state = _unpacked_state(network, Contents(drawn), contents)
    contents.refuse_rest()
    return network


def _unpacked_parameters(contents):
    """The parameters of the network; not all need go together."""
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
    try:
        refuse_long(entropy)
    except ValueError as error:
        raise ArchiveError(str(error)) from None
    return {
        "width": width,
        "shift": shift,
        "init": init,
        "sampling": sampling,
        "dtype": dtype,
        "random_state": np.random.SeedSequence(entropy),
    }


def _unpacked_state(network, drawn, contents):
    """What drawing and training have made of a network."""
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
    return NetworkState(
        shift=shift,
        n_features=n_features,
        sampling=SAMPLINGS[name](network.width, network.copies, network.streams, network.dtype),
        fingerprint=fingerprint,
        seen=seen,
        scales=scales,
        neurons=LocalNeurons(shards),
        compacted=compacted,
    )


def _unpacked_shard(network, sampling, n_features, contents, prefix):
    """A shard, of which neurons can be counted and told apart without overflow."""
    copies = network.copies
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
