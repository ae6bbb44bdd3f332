"""Checkpoints: how a training run came to where it is, in a file, and how it is brought there again.

A checkpoint holds no neuron that the run has moved. It holds what decides the run: the network as the run found it
(undrawn, that is its parameters and random streams), the parameters of the trainer, fingerprints of the data; and of
each iteration its record and the solution g of its Gram system, with how often there was none. That is the *lineage*.

To go on, the run is begun again and goes through the same code, only that systems are not solved: g is recalled. All
else depends on the above alone, bit for bit, so that the run arrives where it was cut off; the numbers in the records
prove it. What solving remembers of systems before is an old factor, or a sketch, as a preconditioner, and some
counts: that one is made again in the iteration that made it, and the counts are set.
"""

from __future__ import annotations

import dataclasses
import re
import typing

import numpy as np

from sltrees._memory import array_bytes
from sltrees.files.archive import read_archive, write_archive
from sltrees.files.contents import Contents, as_integer_entry, making_sense, nested, prefixed
from sltrees.files.errors import ArchiveError
from sltrees.gram.matrix import FactorState, GramMatrix
from sltrees.gram.matrix_free import MatrixFreeGram, SketchState
from sltrees.gram.sketched import SketchedGram
from sltrees.network.network import pack_network, sample_fingerprint, unpack_network
from sltrees.records import IterationRecord, TrainingStatus

KIND = "checkpoint"
GRAMS = {"array": GramMatrix, "products": MatrixFreeGram, "sketch": SketchedGram}
_STATES = {"array": FactorState, "products": SketchState, "sketch": FactorState}  # what they remember
_TYPES = {cls: typing.get_type_hints(cls) for cls in (IterationRecord, FactorState, SketchState)}

# Which numbers of a record must come out the same when it is replayed. (The others are times, what solving took, and
# bytes, which depend on the number of threads.)
_REPLAYED = (
    "rmse",
    "loss",
    "validation_rmse",
    "damping",
    "accepted",
    "gain_ratio",
    "fired_pairs",
    "visited_neurons",
    "flips",
)

_DATA = {
    "X": "other samples",
    "y": "other targets",
    "sample_weight": "other weights of samples",
    "X_val": "another eval_set",
    "y_val": "another eval_set",
}


class Step(typing.NamedTuple):
    """An iteration."""

    record: IterationRecord
    n_refused: int  # dampings at which there was no step that could be tried
    g: np.ndarray  # (n,) the solution at the damping of the record
    solver: FactorState | SketchState  # what solving remembers after it
    made_at: int | None  # the iteration that made the preconditioner that there is


class Lineage:
    """All that decides a training run up to where it stands.

    Parameters
    ----------
    network : dict or None
        Header of the network as the run finds it, of `pack_network`; None until the run begins.
    parameters : dict
        Of the trainer.
    data : dict of str to list
        Fingerprints of samples, targets and whatever else is trained on or looked at.
    n_before : int
        Samples that were trained on before others joined.
    gram : {"array", "products"}, optional
        How G is held; None until it is known.
    steps : list of Step, default ()
        Of which none has been replayed.

    Attributes
    ----------
    begun : bool
        Whether the run has begun to change the network.
    """

    def __init__(self, network, parameters, data, n_before, gram=None, steps=()):
        self.network, self.parameters, self.data, self.n_before = network, parameters, data, n_before
        self.gram, self.steps = gram, list(steps)
        self.begun = False
        self._arrays = None  # of the network as the run found it; there when the run has begun
        self._n_done = 0  # steps that the run has made, or replayed
        self._n_solutions = 0  # asked for in this iteration
        self._g = None  # the last of them

    @classmethod
    def of_new_run(cls, parameters, data, n_before):
        """That of a run that is about to begin.

        Parameters
        ----------
        parameters : dict
        data : dict of str to ndarray
        n_before : int

        Returns
        -------
        Lineage

        Notes
        -----
        Cost: O(data).
        """
        return cls(None, parameters, _fingerprints(data), n_before)

    def check(self, network, data):
        """Refuse to replay anything but the run itself.

        Parameters
        ----------
        network : ShiftedReLUNetwork
        data : dict of str to ndarray

        Raises
        ------
        ValueError
            If data or network are not those of the lineage.
        RuntimeError
            If it has been replayed in part.

        Notes
        -----
        Cost: O(data).
        """
        if self.begun:
            raise RuntimeError("the replay of the checkpoint was cut off: call NewtonTrainer.from_checkpoint again")
        data = _fingerprints(data)
        for name in [*self.data, *data]:
            if data.get(name) != self.data.get(name):
                what = name if name == "sample_weight" else f"an eval_set ({name})"
                if name not in data:
                    raise ValueError(f"the checkpoint is of a run with {what}: fit needs the same")
                if name not in self.data:
                    raise ValueError(f"the checkpoint is of a run without {what}: fit must have none")
                raise ValueError(f"the checkpoint is of {_DATA[name]}: {name} must be what the run was begun with")
        if _header_of(network) != self.network:
            raise ValueError("the network is not as the checkpoint has it any more: call from_checkpoint again")

    def bytes_needed(self, network):
        """Bytes for the displacements of a network, written down for the run and for the file. Cost: O(shards)."""
        moved = sum(shard.n_neurons for shard in network._shards if shard.is_displaced)
        return 2 * array_bytes(moved, network.n_features_in_, dtype=network.dtype) if moved else 0

    def begin(self, network, gram_class, executor):
        """The run begins to change the network: keep what it is, and let it begin as it would from the file.

        Parameters
        ----------
        network : ShiftedReLUNetwork
        gram_class : type
        executor : ThreadExecutor

        Notes
        -----
        Sets: begun, network, gram. Cost: O(k d) for k materialised neurons.
        """
        self.begun = True
        self.gram = next(name for name, cls in GRAMS.items() if cls is gram_class)
        # with displacements of its own: method "trees" moves those of the network in place
        self.network, self._arrays = pack_network(network._with_shards(network._frozen(executor)))
        network._write_down()

    @property
    def replaying(self):
        """Whether steps are left to be replayed."""
        return self._n_done < len(self.steps)

    def solve(self, gram, c, right, executor):
        """Solve (G + c I) g = right, as `gram` does, or recall what it found.

        Parameters
        ----------
        gram : GramMatrix or MatrixFreeGram
        c : float
        right : ndarray of shape (n,)
        executor : ThreadExecutor

        Returns
        -------
        ndarray of shape (n,) or None
            None in a replay also for a g that led to too long a step: nobody asks for it again.

        Notes
        -----
        Cost: that of `gram.solve`; in a replay O(1), and in one of its iterations a factorisation, or a sketch.
        """
        self._n_solutions += 1
        if not self.replaying:
            self._g = gram.solve(c, right, executor)
            return self._g
        step, last = self.steps[self._n_done], self.steps[-1]
        if self._n_solutions <= step.n_refused:
            return None
        if self._n_solutions > step.n_refused + 1:
            raise _diverged(self._n_done, "its step was taken, and now is too long")
        if last.made_at == self._n_done and not gram.make_preconditioner(last.solver, executor):
            raise _diverged(self._n_done, "its system had a Cholesky factor, and now has none")
        return step.g

    def append(self, record, gram):
        """An iteration is over.

        Parameters
        ----------
        record : IterationRecord
        gram : GramMatrix or MatrixFreeGram
            Which has solved its system.

        Returns
        -------
        IterationRecord
            The one that was recorded, in a replay.

        Raises
        ------
        RuntimeError
            If a replay differs from what was recorded.

        Notes
        -----
        Cost: O(1).
        """
        n_refused, self._n_solutions = self._n_solutions - 1, 0
        if self.replaying:
            return self._replayed(record, n_refused, gram)
        solver = gram.solver_state()
        before = self.steps[-1] if self.steps else None
        made_at = record.iteration
        if solver.n_made == (before.solver.n_made if before else 0):
            made_at = before.made_at if before else None
        self.steps.append(Step(record, n_refused, self._g, solver, made_at))
        self._n_done += 1
        return record

    def _replayed(self, record, n_refused, gram):
        step = self.steps[self._n_done]
        for name in _REPLAYED:
            was, now = getattr(step.record, name), getattr(record, name)
            if was != now and (was == was or now == now):  # NaN is as it was
                raise _diverged(self._n_done, f"{name} was {was!r}, and now is {now!r}")
        if n_refused != step.n_refused:
            raise _diverged(self._n_done, f"{step.n_refused} dampings were too small, and now are {n_refused}")
        self._n_done += 1
        if not self.replaying:
            gram.resume(step.solver)
        return step.record

    def check_end(self, status):
        """Refuse an end of the run before all was replayed, but for one that somebody outside asked for."""
        if self.replaying and status is not TrainingStatus.STOPPED:
            raise _diverged(self._n_done, f"it was made, and now training ends before it: {status}")

    def write(self, path):
        """Write the lineage of a run that has begun to a file, which is replaced in one instant.

        Parameters
        ----------
        path : str or os.PathLike

        Raises
        ------
        OSError
            If the file cannot be written. What was there before is untouched.

        Notes
        -----
        Cost: O(bytes): 8 n for each step, and the network if it was drawn before the run.
        """
        header = {
            "network": self.network,
            "parameters": self.parameters,
            "data": self.data,
            "n_before": self.n_before,
            "gram": self.gram,
            "steps": [
                {
                    "record": dataclasses.asdict(step.record),
                    "n_refused": step.n_refused,
                    "solver": list(step.solver),
                    "made_at": step.made_at,
                }
                for step in self.steps
            ],
        }
        g = np.array([step.g for step in self.steps]).reshape(len(self.steps), self.data["X"][0])
        write_archive(path, KIND, header, prefixed(self._arrays, "network/") | {"g": g})


def read_checkpoint(path, make_trainer):
    """Read a file of `Lineage.write`.

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


def _unpacked(header, arrays):
    """Network and lineage of a file; any of the errors above if it makes no sense."""
    contents = Contents(header, {name: array for name, array in arrays.items() if not name.startswith("network/")})
    network_header, parameters, data = (contents.take(name) for name in ("network", "parameters", "data"))
    network = unpack_network(network_header, nested(arrays, "network/"))
    n_samples = _checked_fingerprints(data)
    n_before = contents.integer("n_before", maximum=n_samples)
    gram = contents.choice("gram", tuple(GRAMS))
    entries = contents.take("steps")
    if not isinstance(entries, list) or not isinstance(parameters, dict):
        raise ArchiveError("'steps' must be a list, and 'parameters' a dict")
    g = contents.array("g", np.float64, (len(entries), n_samples))
    contents.refuse_rest()
    steps = [_unpacked_step(k, entry, g[k], _STATES[gram]) for k, entry in enumerate(entries)]
    return network, Lineage(network_header, parameters, data, n_before, gram, steps)


def _unpacked_step(k, entry, g, state_class):
    """Step k of a file."""
    contents = Contents(entry)
    record = _unpacked_record(k, contents.take("record"))
    n_refused = contents.integer("n_refused")
    solver, made_at = contents.take("solver"), contents.take("made_at")
    contents.refuse_rest()
    types = _TYPES[state_class]
    if not isinstance(solver, list) or len(solver) != len(types):
        raise ArchiveError(f"'solver' must be a list of {len(types)}")
    for value, (name, kind) in zip(solver, types.items(), strict=True):
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            raise ArchiveError(f"{name!r} must be of {kind}")
    if made_at is not None:
        as_integer_entry(made_at, "made_at", maximum=k)
    return Step(record, n_refused, g, state_class(*solver), made_at)


def _unpacked_record(k, entry):
    """The record of iteration k of a file."""
    contents, values = Contents(entry), {}
    for name, kind in _TYPES[IterationRecord].items():
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


def _fingerprints(data):
    """What tells arrays apart, as a header may hold it: name -> lengths and checksum."""
    fingerprints = {name: sample_fingerprint(array) for name, array in data.items()}
    return {name: [*shape, checksum] for name, (shape, checksum) in fingerprints.items()}


def _checked_fingerprints(data):
    """The number of samples that fingerprints tell; ArchiveError if they are none."""
    if not isinstance(data, dict) or not {"X", "y"} <= set(data) <= set(_DATA):
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


def _header_of(network):
    """The header of a network as a file has it, without its displacements being written down."""
    return pack_network(network._with_shards([shard._replace(displacement=None) for shard in network._shards]))[0]


def _diverged(iteration, what):
    return RuntimeError(
        f"the checkpoint cannot be replayed here: of iteration {iteration}, {what}. Another instruction set, BLAS or "
        "version of this package rounds otherwise; go on where the checkpoint was written"
    )
