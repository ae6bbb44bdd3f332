"""Lineage: how a training run came to where it is, and how it is brought there again.

It holds no neuron that the run has moved. It holds what decides the run: the network as the run found it (undrawn, that
is its parameters and random streams), the parameters of the trainer, fingerprints of the data; and of each iteration
its record and the solution g of its Gram system, with how often there was none. `sltrees.training.checkpoint_file` puts
it in a file.

To go on, the run is begun again and goes through the same code, only that systems are not solved: g is recalled. All
else depends on the above alone, bit for bit, so that the run arrives where it was cut off; the numbers in the records
prove it. What solving remembers of systems before is an old factor, or a sketch, as a preconditioner, and some
counts: that one is made again in the iteration that made it, and the counts are set.
"""

from __future__ import annotations

import typing

import numpy as np

from sltrees._memory import array_bytes
from sltrees.network.packing import header_of, pack_network
from sltrees.network.samples import fingerprint_of
from sltrees.network.use import frozen, write_down
from sltrees.records import IterationRecord, TrainingStatus

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

# What a run is trained on or looks at, and what it is called that a checkpoint is of if that differs.
DATA = {
    "X": "other samples",
    "y": "other targets",
    "sample_weight": "other weights of samples",
    "X_val": "another eval_set",
    "y_val": "another eval_set",
}


class Iteration(typing.NamedTuple):
    """An iteration that was made."""

    record: IterationRecord
    n_refused: int  # dampings at which there was no step that could be tried
    g: np.ndarray  # (n,) the solution at the damping of the record
    solver: tuple  # what solving remembers after it: a `state_class` of how G is held
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
    n_samples_before : int
        Samples that were trained on before others joined.
    held_as : str, optional
        How G is held, a key of `HELD_AS`; None until it is known.
    iterations : list of Iteration, default ()
        To be replayed, all of them.

    Attributes
    ----------
    begun : bool
        Whether the run has begun to change the network.
    arrays : dict of str to ndarray or None
        Of the network as the run found it, of `pack_network`; there when the run has begun.
    """

    def __init__(self, network, parameters, data, n_samples_before, held_as=None, iterations=()):
        self.network, self.parameters, self.data, self.n_samples_before = network, parameters, data, n_samples_before
        self.held_as, self.iterations = held_as, list(iterations)
        self.begun, self.arrays = False, None
        self._n_to_replay = len(self.iterations)
        self._n_replayed = 0
        self._n_solutions = 0  # asked for in this iteration
        self._g = None  # the last of them

    def __setstate__(self, state):
        """Take the state of a pickle, be it of an earlier version with other names."""
        names = {"n_before": "n_samples_before", "gram": "held_as", "steps": "iterations", "_arrays": "arrays"}
        names["_n_done"] = "_n_replayed"
        self.__dict__.update({names.get(name, name): value for name, value in state.items()})
        self.__dict__.setdefault("_n_to_replay", len(self.iterations))

    @classmethod
    def of_new_run(cls, parameters, data, n_samples_before):
        """That of a run that is about to begin.

        Parameters
        ----------
        parameters : dict
        data : dict of str to ndarray
        n_samples_before : int

        Returns
        -------
        Lineage

        Notes
        -----
        Cost: O(data).
        """
        return cls(None, parameters, _fingerprints(data), n_samples_before)

    def check(self, network, data, trainer="NewtonTrainer"):
        """Refuse to replay anything but the run itself.

        Parameters
        ----------
        network : ShiftedReLUNetwork
        data : dict of str to ndarray
        trainer : str
            Whose run it is.

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
            raise RuntimeError(f"the replay of the checkpoint was cut off: call {trainer}.from_checkpoint again")
        data = _fingerprints(data)
        for name in [*self.data, *data]:
            if data.get(name) != self.data.get(name):
                what = name if name == "sample_weight" else f"an eval_set ({name})"
                if name not in data:
                    raise ValueError(f"the checkpoint is of a run with {what}: fit needs the same")
                if name not in self.data:
                    raise ValueError(f"the checkpoint is of a run without {what}: fit must have none")
                raise ValueError(f"the checkpoint is of {DATA[name]}: {name} must be what the run was begun with")
        if header_of(network) != self.network:
            raise ValueError("the network is not as the checkpoint has it any more: call from_checkpoint again")

    def bytes_needed(self, network):
        """Bytes for the displacements of a network, written down for the run and for the file. Cost: O(shards)."""
        moved = sum(shard.n_neurons for shard in network.state.neurons.shards if shard.is_displaced)
        return 2 * array_bytes(moved, network.n_features_in_, dtype=network.dtype) if moved else 0

    def begin(self, network, held_as, executor):
        """The run begins to change the network: keep what it is, and let it begin as it would from the file.

        Parameters
        ----------
        network : ShiftedReLUNetwork
        held_as : str
            How G is held.
        executor : ThreadExecutor

        Notes
        -----
        Sets: begun, network, arrays, held_as. Cost: O(k d) for k materialised neurons.
        """
        self.begun, self.held_as = True, held_as
        # with displacements of its own: method "trees" moves those of the network in place
        self.network, self.arrays = pack_network(network, frozen(network, executor))
        write_down(network)

    @property
    def replaying(self):
        """Whether iterations are left to be replayed."""
        return self._n_replayed < self._n_to_replay

    def solve(self, gram, c, right, executor, forcing=None, start=None, curvature=None):
        """Solve (G + c I) g = right, as `gram` does, or recall what it found.

        Parameters
        ----------
        gram : GramSystem
        c : float
        right : ndarray of shape (n,)
        executor : ThreadExecutor
        forcing, start, curvature : optional
            As of `GramSystem.solve`.

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
            self._g = gram.solve(c, right, executor, forcing, start, curvature)
            return self._g
        iteration, last = self.iterations[self._n_replayed], self.iterations[self._n_to_replay - 1]
        if self._n_solutions <= iteration.n_refused:
            return None
        if self._n_solutions > iteration.n_refused + 1:
            raise _diverged(self._n_replayed, "its step was taken, and now is too long")
        if last.made_at == self._n_replayed and not gram.make_preconditioner(last.solver, executor, curvature):
            raise _diverged(self._n_replayed, "its system had a Cholesky factor, and now has none")
        return iteration.g

    def append(self, record, gram):
        """An iteration is over; may be called again where that was cut off.

        Parameters
        ----------
        record : IterationRecord
        gram : GramSystem
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
        if record.iteration == (self._n_replayed if self.replaying else len(self.iterations)):
            n_refused = self._n_solutions - 1
            if self.replaying:
                self._replay(record, n_refused, gram)
            else:
                self._add(record, n_refused, gram.solver_state())
            self._n_solutions = 0
        return self.iterations[record.iteration].record

    def _add(self, record, n_refused, solver):
        before = self.iterations[-1] if self.iterations else None
        made_at = record.iteration
        if solver.n_made == (before.solver.n_made if before else 0):
            made_at = before.made_at if before else None
        self.iterations.append(Iteration(record, n_refused, self._g, solver, made_at))

    def _replay(self, record, n_refused, gram):
        iteration = self.iterations[self._n_replayed]
        for name in _REPLAYED:
            was, now = getattr(iteration.record, name), getattr(record, name)
            if was != now and (was == was or now == now):  # NaN is as it was
                raise _diverged(self._n_replayed, f"{name} was {was!r}, and now is {now!r}")
        if n_refused != iteration.n_refused:
            raise _diverged(self._n_replayed, f"{iteration.n_refused} dampings were too small, and now are {n_refused}")
        self._n_replayed += 1
        if not self.replaying:
            gram.resume(iteration.solver)

    def check_end(self, status):
        """Refuse an end of the run before all was replayed, but for one that somebody outside asked for."""
        if self.replaying and status is not TrainingStatus.STOPPED:
            raise _diverged(self._n_replayed, f"it was made, and now training ends before it: {status}")


def _fingerprints(data):
    """What tells arrays apart, as a header may hold it: name -> lengths and checksum."""
    fingerprints = {name: fingerprint_of(array) for name, array in data.items()}
    return {name: [*shape, checksum] for name, (shape, checksum) in fingerprints.items()}


def _diverged(iteration, what):
    return RuntimeError(
        f"the checkpoint cannot be replayed here: of iteration {iteration}, {what}. Another instruction set, BLAS or "
        "version of this package rounds otherwise; go on where the checkpoint was written"
    )
