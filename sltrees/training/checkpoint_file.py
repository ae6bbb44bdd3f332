"""Checkpoints: the lineage of a run in a file."""

from __future__ import annotations

import dataclasses
import re
import typing

import numpy as np

from sltrees.files.archive import read_archive, write_archive
from sltrees.files.contents import Contents, as_integer_entry, making_sense, nested, prefixed
from sltrees.files.errors import ArchiveError
from sltrees.gram import HELD_AS
from sltrees.network.network import ShiftedReLUNetwork
from sltrees.network.packing import unpack_network
from sltrees.records import LATER, IterationRecord
from sltrees.training.lineage import DATA, Iteration, Lineage

KIND, KIND_OF_CLASSES = "checkpoint", "checkpoint-of-classes"
_RECORD_TYPES = typing.get_type_hints(IterationRecord)


def write_checkpoint(path, lineage):
    """Write the lineage of a run that has begun to a file, which is replaced in one instant.

    Parameters
    ----------
    path : str or os.PathLike
    lineage : Lineage

    Returns
    -------
    int
        Iterations in the file.

    Raises
    ------
    OSError
        If the file cannot be written. What was there before is untouched.

    Notes
    -----
    Cost: O(bytes): 8 n for each iteration, and the network if it was drawn before the run.
    """
    write_archive(path, KIND, *_packed(lineage))
    return len(lineage.iterations)


def write_checkpoint_of_classes(path, lineages):
    """Write the lineages of networks that take turns, one for each class, to a file: as `write_checkpoint`.

    Parameters
    ----------
    path : str or os.PathLike
    lineages : list of Lineage

    Returns
    -------
    int
        Iterations of each network in the file, at least.

    Raises
    ------
    OSError
        As `write_checkpoint`.

    Notes
    -----
    Cost: that of `write_checkpoint` for each network.
    """
    arrays, packed = {}, [_packed(lineage) for lineage in lineages]
    for c, (_, of_class) in enumerate(packed):
        arrays |= prefixed(of_class, f"{c}/")
    write_archive(path, KIND_OF_CLASSES, {"classes": [header for header, _ in packed]}, arrays)
    return min(len(lineage.iterations) for lineage in lineages)


def _packed(lineage):
    """Header and arrays of a lineage."""
    header = {
        "network": lineage.network,
        "parameters": lineage.parameters,
        "data": lineage.data,
        "n_before": lineage.n_samples_before,
        "gram": lineage.held_as,
        "steps": [
            {
                "record": dataclasses.asdict(iteration.record),
                "n_refused": iteration.n_refused,
                "solver": list(iteration.solver),
                "made_at": iteration.made_at,
            }
            for iteration in lineage.iterations
        ],
    }
    n_iterations, n_samples = len(lineage.iterations), lineage.data["X"][0]
    g = np.array([iteration.g for iteration in lineage.iterations]).reshape(n_iterations, n_samples)
    return header, prefixed(lineage.arrays, "network/") | {"g": g}


def read_checkpoint(path, make_trainer):
    """Read a file of `write_checkpoint`.

    Parameters
    ----------
    path : str or os.PathLike
    make_trainer : callable
        make_trainer(network, parameters) is a trainer for the network as the run found it; if it raises, then the
        parameters make no sense.

    Returns
    -------
    trainer : NewtonTrainer
    lineage : Lineage
        Of which nothing is replayed.

    Raises
    ------
    sltrees.files.archive.ArchiveError
        If the file is foreign, damaged, of a newer version or no checkpoint, or what is in it makes no sense.
    OSError
        If there is no such file, or it cannot be read.

    Notes
    -----
    Cost: O(bytes).
    """
    _, header, arrays, _ = read_archive(path, KIND)
    with making_sense(path, repr(KIND)):
        network, lineage = _unpacked(header, arrays)
        return make_trainer(network, lineage.parameters), lineage


def read_checkpoint_of_classes(path, make_trainer):
    """Read a file of `write_checkpoint_of_classes`.

    Parameters
    ----------
    path : str or os.PathLike
    make_trainer : callable
        make_trainer(networks, parameters), lists with an entry for each class: as of `read_checkpoint`.

    Returns
    -------
    trainer : SoftmaxTrainer
    lineages : list of Lineage

    Raises
    ------
    sltrees.files.archive.ArchiveError, OSError
        As `read_checkpoint`.

    Notes
    -----
    Cost: O(bytes).
    """
    _, header, arrays, _ = read_archive(path, KIND_OF_CLASSES)
    with making_sense(path, repr(KIND_OF_CLASSES)):
        contents = Contents(header)
        headers = contents.take("classes")
        contents.refuse_rest()
        if not isinstance(headers, list) or len(headers) < 2:
            raise ArchiveError("'classes' must be a list of at least 2")
        found = [_unpacked(each, nested(arrays, f"{c}/")) for c, each in enumerate(headers)]
        networks, lineages = (list(each) for each in zip(*found, strict=True))
        return make_trainer(networks, [lineage.parameters for lineage in lineages]), lineages


def _unpacked(header, arrays):
    """Network and lineage of a file; any of the errors above if it makes no sense."""
    contents = Contents(header, {name: array for name, array in arrays.items() if not name.startswith("network/")})
    network_header, parameters, data = (contents.take(name) for name in ("network", "parameters", "data"))
    network = unpack_network(network_header, nested(arrays, "network/"), ShiftedReLUNetwork)
    n_samples = _checked_fingerprints(data)
    n_samples_before = contents.integer("n_before", maximum=n_samples)
    held_as = contents.choice("gram", tuple(HELD_AS))
    entries = contents.take("steps")
    if not isinstance(entries, list) or not isinstance(parameters, dict):
        raise ArchiveError("'steps' must be a list, and 'parameters' a dict")
    g = contents.array("g", np.float64, (len(entries), n_samples))
    contents.refuse_rest()
    state_class = HELD_AS[held_as].state_class
    iterations = [_unpacked_iteration(k, entry, g[k], state_class) for k, entry in enumerate(entries)]
    return network, Lineage(network_header, parameters, data, n_samples_before, held_as, iterations)


def _unpacked_iteration(k, entry, g, state_class):
    """Iteration k of a file."""
    contents = Contents(entry)
    record = _unpacked_record(k, contents.take("record"))
    n_refused = contents.integer("n_refused")
    solver, made_at = contents.take("solver"), contents.take("made_at")
    contents.refuse_rest()
    types = typing.get_type_hints(state_class)
    if not isinstance(solver, list) or len(solver) != len(types):
        raise ArchiveError(f"'solver' must be a list of {len(types)}")
    for value, (name, kind) in zip(solver, types.items(), strict=True):
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            raise ArchiveError(f"{name!r} must be of {kind}")
    if made_at is not None:
        as_integer_entry(made_at, "made_at", maximum=k)
    return Iteration(record, n_refused, g, state_class(*solver), made_at)


def _unpacked_record(k, entry):
    """The record of iteration k of a file."""
    contents, values = Contents(entry), {}
    for name, kind in _RECORD_TYPES.items():
        if name in LATER and name not in entry:
            continue
        value = contents.take(name)
        if name == "seconds":
            fits = isinstance(value, dict) and all(isinstance(seconds, float) for seconds in value.values())
        else:
            fits = type(value) is kind
        if not fits:
            raise ArchiveError(f"{name!r} of iteration {k} must be of {kind}")
        values[name] = value
    contents.refuse_rest()
    if values["iteration"] != k:
        raise ArchiveError(f"iteration {k} says that it is {values['iteration']}")
    return IterationRecord(**values)


def _checked_fingerprints(data):
    """The number of samples that fingerprints tell; ArchiveError if they are none."""
    if not isinstance(data, dict) or not {"X", "y"} <= set(data) <= set(DATA):
        raise ArchiveError("'data' must hold fingerprints of samples and targets")
    for name, entry in data.items():
        n_numbers = 2 if name.startswith("X") else 1
        if not isinstance(entry, list) or len(entry) != n_numbers + 1:
            raise ArchiveError(f"the fingerprint of {name!r} must be a list of {n_numbers + 1}")
        for number in entry[:-1]:
            as_integer_entry(number, name, minimum=1)
        if not isinstance(entry[-1], str) or not re.fullmatch(r"[0-9a-f]{64}", entry[-1]):
            raise ArchiveError(f"the fingerprint of {name!r} must have 64 hexadecimal digits")
    return data["X"][0]
