"""Saving and loading objects of this package: what of them goes into a file, and what a file must say to be believed.

`sltrees.files.archive` sees to it that a file is what was written; here it is seen to that what was written makes
sense.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import re
import typing

import numpy as np

from sltrees._validation import MAX_FLOAT, MAX_INTEGER
from sltrees.files.archive import ArchiveError, read_archive, write_archive
from sltrees.network.network import SAMPLINGS, ShiftedReLUNetwork
from sltrees.network.random_streams import RandomStreams
from sltrees.network.shards import NeuronShard
from sltrees.network.shift import POLICIES

MAX_NEURONS_PER_SHARD = 2**31 - 1  # the kernels count them in 32 bits


class _Format(typing.NamedTuple):
    """How objects of some classes are packed and unpacked."""

    classes: tuple[type, ...]
    pack: typing.Callable
    unpack: typing.Callable


_FORMATS: dict[str, _Format] = {}  # by kind
_MODULES = {"estimator": "sltrees.estimators.packing"}  # that register a kind when they are imported, and need an extra


def register(kind, classes, pack, unpack):
    """Make `save` and `load` know some classes.

    Parameters
    ----------
    kind : str
        Of the files.
    classes : tuple of type
        Their instances, not those of subclasses, are packed in this way.
    pack : callable
        pack(object) is (header, arrays), as `sltrees.files.archive.write_archive` takes them.
    unpack : callable
        unpack(header, arrays) is the object again; any ValueError, TypeError, LookupError, AttributeError or
        ArithmeticError says that they do not make sense.

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> class Point:
    ...     def __init__(self, x):
    ...         self.x = x
    >>> register("point", (Point,), lambda point: ({"x": point.x}, {}), lambda header, arrays: Point(header["x"]))
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/point.npz"
    >>> save(Point(3.0), path)
    >>> load(path).x
    3.0
    """
    _FORMATS[kind] = _Format(tuple(classes), pack, unpack)


def save(object, path):
    """Write an object to a file, which takes the place of the one that was there in one instant.

    Parameters
    ----------
    object : ShiftedReLUNetwork, or an instance of another class that was registered
    path : str or os.PathLike
        Nothing is appended to the name.

    Raises
    ------
    TypeError
        If objects of its class cannot be saved.
    ValueError
        If the object is one that `load` would refuse.
    OSError
        If the file cannot be written. What was there before is untouched after any of these.

    Notes
    -----
    See `sltrees.files.archive.write_archive`. Cost: O(bytes), and memory for what has to be written down first: the
    displacements of a network that was trained by method "certified".

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/network.npz"
    >>> network = ShiftedReLUNetwork(100, random_state=0).initialize([[1.0, 0.0]])
    >>> save(network, path)
    >>> load(path).digest() == network.digest()
    True
    """
    for kind, form in _FORMATS.items():
        if type(object) in form.classes:
            write_archive(path, kind, *form.pack(object))
            return
    names = ", ".join(cls.__name__ for form in _FORMATS.values() for cls in form.classes)
    raise TypeError(f"objects that can be saved are of {names}, got {type(object).__name__}")


def load(path, kind=None):
    """Read an object that was saved.

    Parameters
    ----------
    path : str or os.PathLike
    kind : str, optional
        What the file must hold, such as "network"; by default anything.

    Returns
    -------
    object

    Raises
    ------
    sltrees.files.archive.ArchiveError
        If the file is foreign, damaged, of a newer version or of another kind, or what is in it makes no sense.
    OSError
        If there is no such file, or it cannot be read.
    MemoryError
        If the machine has no room for it.

    Notes
    -----
    Nothing that is in a file is ever run. Cost: O(bytes).

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/network.npz"
    >>> save(ShiftedReLUNetwork(100, random_state=0), path)
    >>> load(path)
    ShiftedReLUNetwork(100, shift='auto', init='paired', dtype=float32)
    """
    found, header, arrays = read_archive(path, kind)
    if found not in _FORMATS and found in _MODULES and importlib.util.find_spec(_MODULES[found]) is not None:
        importlib.import_module(_MODULES[found])
    if found not in _FORMATS:
        raise ArchiveError(f"{path} holds {found!r}, which this version cannot load")
    try:
        return _FORMATS[found].unpack(header, arrays)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ArchiveError(f"{path} holds no valid {found!r}: {error}") from error


def prefixed(arrays, prefix):
    """The same arrays under longer names, to be put among others.

    Parameters
    ----------
    arrays : dict of str to ndarray
    prefix : str
        Such as "outputs/0/".

    Returns
    -------
    dict of str to ndarray

    Notes
    -----
    Cost: O(arrays).

    Examples
    --------
    >>> prefixed({"x": np.zeros(1)}, "outputs/0/")
    {'outputs/0/x': array([0.])}
    """
    return {prefix + name: array for name, array in arrays.items()}


def nested(arrays, prefix):
    """The arrays whose names begin with a prefix, without it: undoes `prefixed`.

    Parameters
    ----------
    arrays : dict of str to ndarray
    prefix : str

    Returns
    -------
    dict of str to ndarray

    Notes
    -----
    Cost: O(arrays).

    Examples
    --------
    >>> nested({"outputs/0/x": np.zeros(1), "y": np.ones(1)}, "outputs/0/")
    {'x': array([0.])}
    """
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


class Contents:
    """A header and arrays that are taken entry by entry: each is checked, and what is left in the end is refused.

    Parameters
    ----------
    header : dict
    arrays : dict of str to ndarray, optional

    Raises
    ------
    ArchiveError
        By any method, where an entry is missing or breaks its rule.

    Notes
    -----
    Cost: O(entries).

    Examples
    --------
    >>> contents = Contents({"width": 8}, {"weights": np.zeros((8, 3))})
    >>> width = contents.integer("width", minimum=1)
    >>> contents.array("weights", np.float64, (width, None)).shape
    (8, 3)
    >>> contents.refuse_rest()
    """

    def __init__(self, header, arrays=None):
        if not isinstance(header, dict):
            raise ArchiveError(f"a header must be a dict, got {_short(header)}")
        self._header, self._arrays = dict(header), dict(arrays or {})

    def take(self, key):
        """Whatever stands under a key."""
        if key not in self._header:
            raise ArchiveError(f"{key!r} is missing")
        return self._header.pop(key)

    def integer(self, key, *, minimum=0, maximum=MAX_INTEGER):
        """An int within bounds."""
        return as_integer_entry(self.take(key), key, minimum=minimum, maximum=maximum)

    def number(self, key, *, minimum=0.0, maximum=MAX_FLOAT):
        """A float within bounds, which are finite unless said otherwise."""
        return as_number_entry(self.take(key), key, minimum=minimum, maximum=maximum)

    def flag(self, key):
        """A bool."""
        value = self.take(key)
        if not isinstance(value, bool):
            raise ArchiveError(f"{key!r} must be true or false, got {_short(value)}")
        return value

    def choice(self, key, choices):
        """One of some strings."""
        value = self.take(key)
        if not isinstance(value, str) or value not in choices:
            raise ArchiveError(f"{key!r} must be one of {', '.join(map(repr, choices))}, got {_short(value)}")
        return value

    def has_array(self, name):
        """Whether there is an array of a name that was not taken yet."""
        return name in self._arrays

    def array(self, name, dtype, shape, *, finite=True):
        """An array, C-ordered and writable, of a dtype and shape, in which None stands for any length."""
        if name not in self._arrays:
            raise ArchiveError(f"array {name!r} is missing")
        array = self._arrays.pop(name)
        if array.dtype != dtype:
            raise ArchiveError(f"array {name!r} must be of {np.dtype(dtype)}, got {array.dtype}")
        if array.ndim != len(shape) or any(b not in (None, a) for a, b in zip(array.shape, shape, strict=True)):
            wanted = str(shape).replace("None", "any")
            raise ArchiveError(f"array {name!r} must have the shape {wanted}, got {array.shape}")
        if finite and array.dtype.kind == "f" and not _all_finite(array):
            raise ArchiveError(f"array {name!r} must be finite")
        return np.require(array, requirements="CW")

    def refuse_rest(self):
        """Say that nothing must be left."""
        rest = [*self._header, *self._arrays]
        if rest:
            raise ArchiveError(f"nobody asked for {_short(rest[0])}")


def as_integer_entry(value, name, *, minimum=0, maximum=MAX_INTEGER):
    """An int within bounds; ArchiveError otherwise."""
    if type(value) is not int or not minimum <= value <= maximum:
        raise ArchiveError(f"{name!r} must be an integer from {minimum} to {maximum}, got {_short(value)}")
    return value


def as_number_entry(value, name, *, minimum=0.0, maximum=MAX_FLOAT):
    """A float within bounds, never NaN; ArchiveError otherwise."""
    if not isinstance(value, float) or not minimum <= value <= maximum:
        raise ArchiveError(f"{name!r} must be a float from {minimum} to {maximum}, got {_short(value)}")
    return value


def _short(value):
    text = repr(value) if not isinstance(value, int) or abs(value) <= MAX_INTEGER else "a larger integer"
    return text if len(text) <= 100 else f"{text[:97]}..."


def _all_finite(array):
    """Whether all numbers are finite, without an array of as many bools. Cost: O(numbers)."""
    flat, size = array.reshape(-1), 1 << 20
    return all(np.isfinite(flat[start : start + size]).all() for start in range(0, flat.size, size))


# ---------------------------------------------------------------------- networks


def pack_network(network):
    """What of a network goes into a file, alone or within something else.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        If another thread trains it by method "certified", it is taken as of the last step kept.

    Returns
    -------
    header : dict
    arrays : dict of str to ndarray
        Those of the network itself where it has them: not to be written to.

    Raises
    ------
    ValueError
        If a weight is not finite.

    Notes
    -----
    Cost: O(k d) for k materialised neurons, or O(active pairs d) where displacements are implied.

    Examples
    --------
    >>> header, arrays = pack_network(ShiftedReLUNetwork(100, random_state=0).initialize([[1.0, 0.0]]))
    >>> header["width"], sorted(arrays)
    (100, ['seen', 'shards/0/draws', 'shards/0/initial'])
    """
    if not isinstance(network, ShiftedReLUNetwork):
        raise TypeError(f"network must be a ShiftedReLUNetwork, got {type(network).__name__}")
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
        if not all(_all_finite(array) for array in own.values()):
            raise ValueError("weights of a network that is saved must be finite")
        arrays |= prefixed(own, f"shards/{k}/")
    return header, arrays


def unpack_network(header, arrays):
    """The network of which `pack_network` gave header and arrays.

    Parameters
    ----------
    header : dict
    arrays : dict of str to ndarray
        They become those of the network.

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
    >>> network = ShiftedReLUNetwork(100, random_state=0)
    >>> unpack_network(*pack_network(network)).width
    100
    """
    contents = Contents(header, arrays)
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
    drawn = contents.take("drawn")
    try:
        network = ShiftedReLUNetwork(width, shift=shift, init=init, sampling=sampling, dtype=dtype, random_state=0)
    except ValueError as error:  # each is one that there is, but not all go together
        raise ArchiveError(str(error)) from None
    network._streams = RandomStreams(np.random.SeedSequence(entropy))
    if drawn is not None:
        network.__dict__.update(_drawn_state(network, Contents(drawn), contents))
    contents.refuse_rest()
    return network


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
        raise ArchiveError(f"'scales' must be a list of lists of 4, got {_short(scales)}")
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
            seen = network._as_samples(seen)
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
        raise ArchiveError(f"a fingerprint of samples must be a list of 3, got {_short(entry)}")
    n_samples, columns, checksum = entry
    as_integer_entry(n_samples, "fingerprint", minimum=1)
    as_integer_entry(columns, "fingerprint", minimum=n_features, maximum=n_features)
    if not isinstance(checksum, str) or not re.fullmatch(r"[0-9a-f]{64}", checksum):
        raise ArchiveError(f"a fingerprint of samples must have 64 hexadecimal digits, got {_short(checksum)}")
    return (n_samples, columns), checksum


register("network", (ShiftedReLUNetwork,), pack_network, unpack_network)
