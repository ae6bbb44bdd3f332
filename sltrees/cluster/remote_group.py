"""Neurons of a network on other processes, and a group of their shards for method "certified".

A `RemoteGroup` has the methods of `sltrees.methods.certified.group.ShardGroup`, and is what
`sltrees.network.neurons.Neurons` are. It asks the hosts of all portions the
same thing at the same time and adds up what they answer, by a tree that does not depend on who holds what. It remembers
the recipe of its portions: a portion whose host is lost is made again on another, and asked again.
"""

from __future__ import annotations

import itertools
import threading
import typing
import uuid
import weakref

import numpy as np

from sltrees._memory import array_bytes, check_memory
from sltrees.cluster.messages import ClusterLostError, Deposited, LostError, Request
from sltrees.cluster.portions import Portion
from sltrees.cluster.remote_shard import RemoteShard
from sltrees.linalg.fixed_sums import FixedSum
from sltrees.methods.certified.trajectory import Trajectory
from sltrees.network.drawing import plan_drawing
from sltrees.network.neurons import LocalNeurons
from sltrees.network.random_streams import NEURONS_PER_BLOCK
from sltrees.network.sampling_dense import BLOCKS_PER_TASK
from sltrees.network.state import NetworkState, with_state
from sltrees.records import StepCounts

# Who predicts for so many bytes of samples at a time, so that memory is bounded there.
BYTES_AT_A_TIME = 1 << 23
# The same neurons are not given to a further worker once so many were lost with them: it is not chance then.
MOST_LOSSES = 5


class _Placed(typing.NamedTuple):
    """A portion and where it is."""

    portion: Portion
    address: str


class RemoteGroup:
    """The shards of a network on the workers of a cluster.

    Parameters
    ----------
    cluster : Cluster
    network : ShiftedReLUNetwork
        Without neurons: what portions begin with.
    placed : list of (Portion, str)
        Portions and addresses of workers.
    recipe : list of (str, tuple) or callable
        Instructions for each portion; a callable gives that of a portion.
    samples : dict of str to ndarray
        By fingerprint, those that instructions name.
    ridge : bool
    trajectory : Trajectory or None
        None: nobody trains these neurons.

    Attributes
    ----------
    n_fired, n_neurons : int
    nbytes : int
        Held for the neurons on all workers.
    moved_from_start : bool
        Whether a neuron stood elsewhere than drawn when lists were built.
    """

    def __init__(self, cluster, network, placed, recipe, samples, ridge=False, trajectory=None):
        self.cluster, self._network, self._recipe, self._samples = cluster, network, list(recipe), dict(samples)
        self._placed = list(placed)
        self.ridge, self.trajectory = ridge, trajectory
        self.executor = None  # of the run that trains these neurons
        self._identity = uuid.uuid4().hex
        self._lock = threading.RLock()
        self._reviewed = False  # whether hosts have a step under review that is not in the recipe
        self._summaries = {}
        self._bytes = {}
        self.n_fired = 0
        weakref.finalize(self, _forget, cluster, self._identity, self._placed).atexit = False

    # ------------------------------------------------------------------ making groups

    @classmethod
    def built(cls, cluster, network, planes, skin, ridge, progress):
        """Have portions drawn, or taken over, and near lists built: (RemoteGroup, state of the network).

        Parameters
        ----------
        cluster : Cluster
        network : ShiftedReLUNetwork
            Undrawn, or with its neurons in this process, or on the cluster.
        planes : Hyperplanes
        skin : float
        ridge : bool
        progress : callable
        """
        neurons = network.state.neurons
        if neurons.cluster is cluster:
            blank, placed, recipe, samples = neurons._told_to_write_down()
            source = neurons
        else:
            blank = with_state(network, NetworkState())
            addresses = list(cluster.wait_for_workers())
            placed = [
                _Placed(portion, address)
                for portion, address in zip(Portion.whole(network, planes).cut(len(addresses)), addresses, strict=False)
            ]
            recipe, source, samples = [], None, {}
            if network.state.is_drawn:
                recipe = [_adoption(network)]
        name = Deposited(planes.samples.fingerprint[1])
        step = ("begun", (name, len(neurons.shards), planes.shift, skin, ridge))
        group = cls(
            cluster,
            blank,
            placed,
            [*recipe, step],
            samples | {name.fingerprint: planes.X},
            ridge,
            Trajectory(planes, network.dtype, skin),
        )
        return group, group._drawn(source, recipe, step, network, planes, progress)

    def extended(self, network, planes, progress):
        """A group for these samples and further ones behind them: (RemoteGroup, state). This one stays as it is."""
        name, skin = Deposited(planes.samples.fingerprint[1]), self.trajectory.skin
        step = ("extended", (name, len(network.state.neurons.shards), planes.shift, skin))
        group = RemoteGroup(
            self.cluster,
            self._network,
            self._placed,
            [*self._recipe, step],
            self._samples | {name.fingerprint: planes.X},
            self.ridge,
            Trajectory(planes, network.dtype, skin, before=self.trajectory),
        )
        return group, group._drawn(self, self._recipe, step, network, planes, progress)

    def _told_to_write_down(self):
        """What another group of the same neurons goes on from: network, portions where they are, recipe, samples."""
        self._instruct("write_down")
        return self._network, self._placed, self._recipe, self._samples

    def _drawn(self, source, recipe, step, network, planes, progress):
        """Have portions follow a step that draws neurons; the state of the network then."""
        plan = plan_drawing(network, planes)
        self._make(source, recipe, [step], len(plan.tasks()), progress)
        return plan.state

    def frozen(self, executor=None):
        """As of `Neurons`."""
        step = ("frozen", ())
        group = RemoteGroup(self.cluster, self._network, self._placed, [*self._recipe, step], self._samples)
        group._make(self, self._recipe, [step])
        return group

    def _make(self, source, recipe, steps, n_tasks=0, progress=None):
        """Have each portion follow the recipe: from what `source` holds by its steps alone, or from the beginning."""
        report = None if progress is None else _progress_of(n_tasks, progress)

        def request(placed):
            begin, follow = self._network, [*recipe, *steps]
            if source is not None:
                begin, follow = source._key(placed.portion), steps
            return placed, (self._key(placed.portion), begin, placed.portion, self._for(follow, placed.portion))

        addresses = sorted({placed.address for placed in self._placed})
        for fingerprint, X in self._named_in(steps if source is not None else [*recipe, *steps]).items():
            self.cluster.deposit(addresses, X, fingerprint)
        self._ask_all("make", request, report)
        self.n_fired = sum(summary.n_fired for summary in self._summaries_now())
        if report is not None:
            report(2 * n_tasks)

    def _named_in(self, steps):
        """The samples that instructions name."""
        names = {a.fingerprint for step in steps if not callable(step) for a in step[1] if isinstance(a, Deposited)}
        return {name: self._samples[name] for name in names}

    @staticmethod
    def _for(steps, portion):
        return [step(portion) if callable(step) else step for step in steps]

    def _key(self, portion):
        return (self._identity, portion)

    # ------------------------------------------------------------------ asking, and making again what is lost

    def _ask(self, what, *arguments, stoppable=True):
        """Ask the holdings of all portions: list of answers, one for each portion."""

        def request(placed):
            return placed, (self._key(placed.portion), what, arguments)

        return self._ask_all("run", request, stoppable=stoppable)

    def _ask_all(self, method, request, progress=None, stoppable=True, only=None):
        """Call a method of the hosts for all portions, or for some; whatever is lost is made again and asked again.

        Parameters
        ----------
        method : {"run", "make"}
        request : callable
            request(placed) is (placed, arguments of the call).
        progress : callable, optional
        stoppable : bool
        only : callable, optional
            Of portions: those to ask.
        """
        with self._lock:
            answers, losses = {}, 0
            while True:
                unmade = self._unmade() if method == "run" else []
                if unmade:  # making them again was cut off, or who made them went at once
                    losses = self._one_more(losses, f"{unmade[0].address} went")
                    self._make_again(unmade)
                    continue
                placed = [p for p in self._placed if p.portion not in answers and (only is None or only(p.portion))]
                if not placed:
                    break
                asked = [request(p) for p in placed]
                outcomes = self.cluster.call(
                    [Request(p.address, method, arguments) for p, arguments in asked],
                    stoppable=stoppable,
                    progress=progress,
                )
                lost = []
                for p, outcome in zip(placed, outcomes, strict=True):
                    if isinstance(outcome, LostError):
                        lost.append((p, outcome))
                    else:
                        answers[p.portion] = outcome
                        if method == "make":
                            self._summaries[p.portion] = outcome
                if lost:
                    losses = self._one_more(losses, lost[0][1])
                    remade = self._make_again([p for p, _ in lost])
                    if method == "make":
                        answers |= remade
            return [answers[p.portion] for p in self._placed if only is None or only(p.portion)]

    def _unmade(self):
        """Placed portions that nobody is known to have made."""
        return [p for p in self._placed if p.portion not in self._summaries]

    @staticmethod
    def _one_more(losses, last):
        if losses >= MOST_LOSSES:
            raise ClusterLostError(
                f"workers were lost {losses + 1} times running with the same neurons, last {last}: "
                "too little memory, or the network between"
            )
        return losses + 1

    def _make_again(self, lost):
        """Follow the recipe anew for portions whose hosts are gone, on workers that are there.

        Sets: _placed. Returns summaries of what was made, by portion.
        """
        workers = self.cluster.wait_for_workers()
        kept = [p for p in self._placed if p not in lost]
        # at an address that is listed there is another process, or one that has not been asked yet
        again = [p for p in lost if p.address in workers]
        busy = {p.address for p in (*kept, *again)}
        idle = [address for address in workers if address not in busy] or list(workers)
        homeless = [p.portion for p in lost if p.address not in workers]
        again += [_Placed(*pair) for pair in zip(Portion.shared_out(homeless, len(idle)), itertools.cycle(idle))]
        for p in lost:  # until they are made
            self._summaries.pop(p.portion, None)
        # in place: whoever forgets them looks here
        self._placed[:] = sorted([*kept, *again], key=lambda p: p.portion.start)
        addresses = sorted({p.address for p in again})
        for fingerprint, X in self._named_in(self._recipe).items():
            self.cluster.deposit(addresses, X, fingerprint)
        outcomes = self.cluster.call(
            [
                Request(p.address, "make", (self._key(p.portion), self._network, p.portion, self._again(p.portion)))
                for p in again
            ]
        )
        made = {}
        for p, outcome in zip(again, outcomes, strict=True):
            if not isinstance(outcome, LostError):  # else it is found lost when it is asked
                made[p.portion] = outcome
        self._summaries |= made
        return made

    def _again(self, portion):
        """The recipe of a portion up to where it stands, a step under review included."""
        recipe = self._for(self._recipe, portion)
        if self._reviewed:
            recipe.append(("reviewed", (self.trajectory.trial[0],)))
        return recipe

    def _instruct(self, what, *arguments):
        """An instruction that changes holdings: it becomes part of the recipe."""
        self._ask(what, *arguments, stoppable=False)
        self._recipe.append((what, arguments))

    # ------------------------------------------------------------------ as ShardGroup: a step

    def review(self, advance):
        """As of `ShardGroup`: to each worker go n numbers; from each come n, or 2 n with a ridge, for each node."""
        self.trajectory.begin(advance)
        self._reviewed = True
        counts, sums = [StepCounts(0, 0, 0, 0, 0, 0)], FixedSum()
        for part, nodes in self._ask("review", advance):
            counts.append(part)
            sums.update(nodes)
        return StepCounts.total(counts), sums.nodes

    def drop(self):
        """As of `ShardGroup`. Nobody is told: hosts put the next step in its place, and may be gone. Cost: O(1)."""
        with self._lock:
            self._reviewed = False
            self.trajectory.trial = None

    def keep(self, visited):
        """As of `ShardGroup`."""
        with self._lock:  # nobody makes portions again between what is told and what is recorded
            if self.trajectory.trial is not None:
                # hosts that kept it already, and were asked in vain, know by the number
                told = self._ask("keep", self.trajectory.n_kept, visited, stoppable=False)
                if self._reviewed:  # else Ctrl-C fell between this and what follows
                    # in one statement, so that Ctrl-C cannot fall between
                    self.__dict__.update(
                        _recipe=[*self._recipe, ("advance", (self.trajectory.trial[0], visited))],
                        _reviewed=False,
                        n_fired=sum(n_fired for n_fired, _ in told),
                        _bytes={p.portion: nbytes for p, (_, nbytes) in zip(self._placed, told, strict=True)},
                    )
                self.trajectory.keep(visited)
        return self.n_fired

    def count_pairs(self, pairs):
        """As of `ShardGroup`."""
        pairs.counts[...] = 0
        for counted in self._ask("count_pairs"):
            counted.add_to(pairs.counts)

    def count_flips(self, pairs, n_flips):
        """As of `ShardGroup`."""
        for counted in self._ask("count_flips", n_flips, stoppable=False):
            counted.add_to(pairs.counts)

    def outputs(self, *, kept):
        """As of `ShardGroup`."""
        return self._summed(self._ask("outputs", kept))

    def product(self, v):
        """As of `ShardGroup`."""
        return self._summed(self._ask("product", v))

    def product_by_pairs(self, v):
        """As of `ShardGroup`."""
        return self._summed(self._ask("product_by_pairs", v))

    def pair_columns(self, columns):
        """As of `ShardGroup`: from each worker come q n small integers."""
        total = np.zeros((len(columns), len(self.trajectory.position.coefficient)), dtype=np.int32)
        for counts in self._ask("pair_columns", columns):
            total += counts
        return total

    def forget_fired_pairs(self):
        """As of `ShardGroup`: workers keep theirs until neurons flip."""

    def diagonal(self):
        """As of `ShardGroup`."""
        return sum(self._ask("diagonal"))

    def check(self, check_rows):
        """As of `ShardGroup`; and that each shard is in one portion."""
        self._ask("drop", stoppable=False)  # it is not told before
        self._ask("check", check_rows)
        numbers = sorted(number for summary in self._summaries_now() for number in summary.numbers)
        assert numbers == list(range(len(numbers)))
        assert sum(summary.n_fired for summary in self._ask("summary")) == self.n_fired

    @staticmethod
    def _summed(answers):
        sums = FixedSum()
        for nodes in answers:
            sums.update(nodes)
        return sums.nodes

    # ------------------------------------------------------------------ what it is

    def _summaries_now(self):
        if self._unmade():
            self._ask("summary")  # who has to be made first is made
        return [self._summaries[p.portion] for p in self._placed]

    @property
    def n_neurons(self):
        """Number of neurons. Cost: O(shards)."""
        return self._network.copies * sum(sum(summary.draws) for summary in self._summaries_now())

    @property
    def nbytes(self):
        """Bytes held for the neurons on all workers. Cost: O(workers)."""
        held = {p.portion: summary.nbytes for p, summary in zip(self._placed, self._summaries_now(), strict=True)}
        return sum((held | {k: v for k, v in self._bytes.items() if k in held}).values())

    @property
    def moved_from_start(self):
        """Whether a neuron stood elsewhere than drawn when lists were built. Cost: O(workers)."""
        return any(summary.moved_from_start for summary in self._summaries_now())

    def implied(self):
        """As of `ShardGroup`: these are the neurons of the network."""
        return self

    # ------------------------------------------------------------------ as Neurons

    @property
    def shards(self):
        """Stand-ins for all shards, in order: list of RemoteShard. Cost: O(shards)."""
        shards = {}
        for summary in self._summaries_now():
            for number, size in zip(summary.numbers, summary.draws, strict=True):
                shards[number] = RemoteShard(self, number, size, self._network.copies, summary.is_displaced)
        return [shards[number] for number in sorted(shards)]

    def output_nodes(self, network, X, executor):
        """As of `Neurons`, of so many samples at a time that they are 8 MiB."""
        rows = max(1, BYTES_AT_A_TIME // max(8, X.itemsize * X.shape[1]))
        parts = [self._summed(self._ask("predict", X[start : start + rows])) for start in range(0, len(X), rows)]
        if len(parts) == 1:
            return parts[0]
        # other portions may have answered for later samples: sums go on as far as all have got
        return {(0, 0): np.concatenate([FixedSum(p).total(np.zeros(0)) for p in parts])} if parts and parts[0] else {}

    def displacement_squares(self, executor=None):
        """As of `Neurons`."""
        return self._summed(self._ask("displacement_squares"))

    def firing_draws(self, planes, executor=None):
        """As of `Neurons`."""
        return sum(self._ask("firing_draws", planes.X, planes.shift))

    def movement(self, planes, executor=None):
        """As of `Neurons`."""
        known = self.trajectory is not None  # who trains these has the samples
        nodes, largest = zip(*self._ask("movement", None if known else planes.X, planes.shift), strict=True)
        return self._summed(nodes), max(largest)

    def written_down(self, network, max_memory=None):
        """As of `Neurons`: all are fetched, if there is room."""
        shards = self.shards
        rows = sum(shard.draws_size * (1 + shard.copies) for shard in shards)
        needed = array_bytes(rows, network.state.n_features, dtype=network.dtype) + 8 * rows
        what = f"a network of {self.n_neurons} materialised neurons, fetched from its cluster,"
        check_memory(needed, max_memory, what, "leave it there, or fetch it where there is more memory")
        return LocalNeurons([shard.fetched() for shard in shards])

    def with_written_down(self, k):
        """As of `Neurons`: these. On a cluster displacements are written down when training begins anew."""
        return self

    def fetch(self, number, what):
        """Of one shard: its draws, initial weights, or the whole of it with displacements written down."""
        return self._ask_all(
            "run",
            lambda p: (p, (self._key(p.portion), "fetch", (number, what))),
            only=lambda portion: number in self._summaries[portion].numbers,
        )[0]


def _adoption(network):
    """An instruction that gives portions the shards that are in this process."""
    shards = network.state.neurons.shards
    state = network.state.changed(neurons=LocalNeurons(), method=None, near=None, scales={})
    dense = state.sampling.name == "dense"
    in_unit = NEURONS_PER_BLOCK * BLOCKS_PER_TASK // network.copies

    def adopted(portion):
        if not dense:
            numbers = list(portion.evenly(len(shards)))
        else:
            units = [int(shard.draws[0]) // in_unit if shard.draws.size else 0 for shard in shards]
            numbers = [number for number, unit in enumerate(units) if portion.start <= unit < portion.stop]
        return "adopted", (numbers, [shards[number].written_down() for number in numbers], state)

    return adopted


def _progress_of(n_tasks, progress):
    """A function of the blocks that are done, of those drawn and those for which lists are built."""

    def report(done):
        if n_tasks:
            stage = min(1, done // n_tasks)
            progress(stage)(min(done - stage * n_tasks, n_tasks), n_tasks)

    return report


def _forget(cluster, identity, placed):
    """Let holdings go that nobody can ask any more."""
    cluster.forget([(p.address, (identity, p.portion)) for p in placed])
