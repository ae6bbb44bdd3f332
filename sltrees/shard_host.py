"""What one process of a cluster holds of networks, and does when it is told to.

A `ShardHost` lives in a worker process. It holds *portions* of networks: some of the shards of one, where they stand.
How a portion came to be is told by a *recipe*, a list of instructions that is the same for all portions of a network:
drawn from its seeds for these samples, lists built, this step taken, and that. Whatever process follows the recipe for
a portion holds the same numbers, bit for bit; so a portion that was lost with its process is made again elsewhere.

Nothing here knows of networks between machines: `sltrees.dask_executor` calls the methods.
"""

from __future__ import annotations

import hashlib
import itertools
import platform
import threading
import typing
import weakref

import numpy as np
import scipy

from sltrees.certified_shards import ShardGroup
from sltrees.executors import ThreadExecutor
from sltrees.hyperplanes import Hyperplanes
from sltrees.pair_counts import CountedPairs, PairCounts
from sltrees.random_streams import NEURONS_PER_BLOCK
from sltrees.sampling_dense import BLOCKS_PER_TASK
from sltrees.shards import NeuronShard


class NotHeldError(LookupError):
    """The host does not hold what it was asked for: it has to be told the recipe."""


class StoppedError(RuntimeError):
    """The call was stopped by `ShardHost.stop`."""


class Portion(typing.NamedTuple):
    """The part of a network from `start` to `stop`, of `of` units: what one process holds of it.

    Under dense sampling a unit is a fixed number of blocks of neurons, so that whatever is drawn of them, for whichever
    samples, is in one portion. Under rejection units share out the shards of each drawing evenly.
    """

    start: int
    stop: int
    of: int

    @classmethod
    def whole(cls, network, planes):
        """All of a network. Cost: O(n d + shards)."""
        sampling = network._sampling_for(planes)
        if sampling.name == "dense":
            units = -(-network.width // (NEURONS_PER_BLOCK * BLOCKS_PER_TASK))
        else:
            units = max(1, len(sampling.tasks(planes, 0)))
        return cls(0, units, units)

    def numbers(self, sampling, tasks):
        """Numbers of the tasks of a drawing that are for this portion. Cost: O(tasks)."""
        if sampling.name == "dense":
            units = [blocks.start // BLOCKS_PER_TASK for blocks in tasks]
            return [number for number, unit in enumerate(units) if self.start <= unit < self.stop]
        return list(self.evenly(len(tasks)))

    def evenly(self, count):
        """The share of this portion in so many things: a range. Cost: O(1)."""
        return range(-(-self.start * count // self.of), -(-self.stop * count // self.of))

    def blocks(self, width):
        """Under dense sampling: the blocks of neurons. Cost: O(1)."""
        n_blocks = -(-width // NEURONS_PER_BLOCK)
        return range(self.start * BLOCKS_PER_TASK, min(self.stop * BLOCKS_PER_TASK, n_blocks))

    def cut(self, n_parts):
        """Parts of about the same size, so that sums over them have few nodes; some may be missing. Cost: O(parts)."""
        size = self.stop - self.start
        grain = 1 << max(0, (size // (8 * n_parts)).bit_length() - 1)  # a whole subtree, unless that is a lot
        edges = [self.start + (2 * size * k // (n_parts * grain) + 1) // 2 * grain for k in range(n_parts)]
        edges = [min(edge, self.stop) for edge in edges] + [self.stop]
        return [Portion(start, stop, self.of) for start, stop in itertools.pairwise(edges) if start < stop]

    @staticmethod
    def shared_out(portions, n_parts):
        """The same units in about so many parts, whatever number of portions they are in: adjacent ones are joined.

        Parameters
        ----------
        portions : list of Portion
            In order.
        n_parts : int

        Returns
        -------
        list of Portion
            About `n_parts`, at least one for whatever is not adjacent.

        Examples
        --------
        >>> Portion.shared_out([Portion(0, 2, 8), Portion(2, 4, 8), Portion(5, 6, 8)], 3)
        [Portion(start=0, stop=2, of=8), Portion(start=2, stop=4, of=8), Portion(start=5, stop=6, of=8)]
        """
        joined = []
        for portion in portions:
            if joined and joined[-1].stop == portion.start:
                joined[-1] = joined[-1]._replace(stop=portion.stop)
            else:
                joined.append(portion)
        total = sum(portion.stop - portion.start for portion in joined)
        parts = []
        for portion in joined:
            parts += portion.cut(max(1, round(n_parts * (portion.stop - portion.start) / total)))
        return parts


class Summary(typing.NamedTuple):
    """What the client needs to know of a portion."""

    numbers: list[int]  # of its shards
    draws: list[int]  # of each
    is_displaced: bool  # whether neurons may have moved
    moved_from_start: bool  # whether any stood elsewhere than drawn when lists were built
    n_fired: int
    nbytes: int


class Holding:
    """A portion of a network, in this process.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        With these shards alone.
    portion : Portion
    numbers : list of int
        Of the shards, among all of the network.
    group : ShardGroup or None
        That trains them.
    executor : ThreadExecutor
    """

    def __init__(self, network, portion, numbers, group, executor):
        self.network, self.portion, self.numbers = network, portion, numbers
        self.group, self._executor = group, executor

    # ------------------------------------------------------------------ instructions of recipes

    def begun(self, X, first, shift, skin, ridge):
        """Drawn for what is new in X, and with near lists over X built for all: a new holding.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        first : int
            Shards of the network there were before: the numbers of new ones follow.
        shift, skin : float
        ridge : bool

        Returns
        -------
        Holding

        Notes
        -----
        Cost: as of `ShiftedReLUNetwork.initialize`, and of `ShardGroup.build`.
        """
        planes = Hyperplanes(X, shift)
        network, numbers, near = self._drawn(planes, first, skin)
        network = network._with_shards([shard.written_down() for shard in network._shards])
        group = ShardGroup.build(network, network._shards, numbers, planes, skin, near, ridge, self._executor)
        return self._with_group(network, group)

    def extended(self, X, first, shift, skin):
        """Drawn for samples behind those trained on, with lists that go on over them: a new holding. As `begun`."""
        planes = Hyperplanes(X, shift)
        network, numbers, near = self._drawn(planes, first, skin)
        new = list(zip(numbers, network._shards, near, strict=True))[len(self.group.shards) :]
        return self._with_group(network, self.group.extended(network, new, planes))

    def _drawn(self, planes, first, skin):
        """Network, numbers of its shards, and their near lists where found, once it is drawn for samples."""
        network = self.network._with_shards(self.network._shards)
        every, n_seen, state = network._plan_drawing(planes)
        shards, near, numbers = [], [], []
        if len(every.X) > n_seen:
            sampling, wanted = state["_sampling"], skin if np.array_equal(every.X, planes.X) else None
            tasks = sampling.tasks(every, n_seen)
            chosen = self.portion.numbers(sampling, tasks)
            found = self._executor.map(lambda k: sampling.find(tasks[k], every, n_seen, wanted), chosen)
            shards, near = network._without_known(found)
            numbers = [first + k for k in chosen]
        near = [None] * len(network._shards) + near
        network.__dict__.update(state, _shards=[*network._shards, *shards])
        return network, [*self.numbers, *numbers], near

    def frozen(self):
        """The neurons as they stand, whoever trains these: a new holding."""
        shards = self._executor.map(NeuronShard.frozen, self.network._shards)
        return Holding(self.network._with_shards(shards), self.portion, self.numbers, None, self._executor)

    def _with_group(self, network, group):
        network = network._with_shards(group.implied())
        return Holding(network, self.portion, group.numbers, group, self._executor)

    def adopted(self, numbers, shards, state):
        """With shards that were elsewhere, and what the network knows of its samples: a new holding."""
        network = self.network._with_shards(shards)
        network.__dict__.update(state)
        return Holding(network, self.portion, numbers, None, self._executor)

    def write_down(self):
        """Make displacements arrays, and forget what only training needs."""
        self.network._write_down()
        self.group = None

    def advance(self, advance, visited):
        """Take a step that was kept elsewhere."""
        self.group.review(advance)
        self.group.keep(self.group.trajectory.n_kept, visited)

    def reviewed(self, advance):
        """Have a step under review."""
        self.group.review(advance)

    # ------------------------------------------------------------------ what is asked while training goes on

    def summary(self):
        """Of what is here. Cost: O(shards)."""
        shards, group = self.network._shards, self.group
        return Summary(
            list(self.numbers),
            [shard.draws.size for shard in shards],
            any(shard.is_displaced for shard in shards),
            group is not None and group.moved_from_start,
            0 if group is None else group.n_fired,
            sum(shard.nbytes for shard in shards) if group is None else group.nbytes,
        )

    def review(self, advance):
        """As `ShardGroup.review`."""
        return self.group.review(advance)

    def drop(self):
        """As `ShardGroup.drop`."""
        self.group.drop()

    def keep(self, n_kept, visited):
        """As `ShardGroup.keep`; with the bytes held after it."""
        return self.group.keep(n_kept, visited), self.group.nbytes

    def count_pairs(self):
        """Counts of all pairs that fire: CountedPairs. Cost: O(sum over neurons of fired^2 + n^2)."""
        pairs = PairCounts(self.group.n_samples)
        self.group.count_pairs(pairs)
        return CountedPairs.of(pairs.counts)

    def count_flips(self, n_flips):
        """What the step under review adds to counts: CountedPairs. Cost: O(flips fired + n^2)."""
        pairs = PairCounts(self.group.n_samples)
        self.group.count_flips(pairs, n_flips)
        return CountedPairs.of(pairs.counts)

    def outputs(self, kept):
        """As `ShardGroup.outputs`."""
        return self.group.outputs(kept=kept)

    def product(self, v):
        """As `ShardGroup.product`."""
        return self.group.product(v)

    def diagonal(self):
        """As `ShardGroup.diagonal`."""
        return self.group.diagonal()

    def check(self, check_rows):
        """As `ShardGroup.check`."""
        self.group.check(check_rows)

    # ------------------------------------------------------------------ what is asked of the neurons

    def predict(self, X):
        """sqrt(m) f as nodes of a `FixedSum`. Cost: O(moved d) per sample."""
        blocks = self.portion.blocks(self.network.width) if self.network.init == "gaussian" else None
        return self.network._output_nodes(X, self._executor, self.numbers, blocks)

    def displacement_squares(self):
        """|D|^2 as nodes of a `FixedSum`. Cost: O(active pairs d)."""
        return self.network._displacement_squares(self._executor, self.numbers)

    def firing_draws(self, X, shift):
        """How many draws fire on each sample at W(0), shape (n,). Cost: O(k n d)."""
        return self.network._firing_draws(Hyperplanes(X, shift), self._executor)

    def fetch(self, number, what):
        """Of one shard: "draws", "initial", or all of it "written_down". Cost: O(k d)."""
        shard = self.network._shards[self.numbers.index(number)]
        return shard.written_down() if what == "written_down" else getattr(shard, what)


class _StoppableExecutor(ThreadExecutor):
    """Threads that can be told to begin nothing more of a call, and say how far they are."""

    def __init__(self, n_threads):
        super().__init__(n_threads)
        self._lock = threading.Lock()
        self._call, self._stopped = 0, set()  # numbers of calls
        self.done = 0  # blocks of the call

    def begin(self, call):
        """What follows is for a call; 0: one that nobody can stop."""
        with self._lock:
            self._call, self.done = call, 0

    def stop(self, call):
        """Begin nothing more of this call, which may not have begun."""
        with self._lock:
            self._stopped.add(call)

    def map(self, function, blocks, progress=None):
        """As that of `ThreadExecutor`; StoppedError if the call is stopped."""

        def guarded(block):
            with self._lock:
                if self._call in self._stopped:
                    raise StoppedError("the call was stopped")
            result = function(block)
            with self._lock:
                self.done += 1
            return result

        return super().map(guarded, blocks, progress)


class ShardHost:
    """Holds portions of networks in this process. One thread calls `run`; `stop` and `progress` may come meanwhile.

    Parameters
    ----------
    n_threads : int
    """

    def __init__(self, n_threads):
        self._executor = _StoppableExecutor(n_threads)
        self._executor.__enter__()  # for as long as it lives
        weakref.finalize(self, self._executor.__exit__, None, None, None)  # or BLAS would keep to one thread
        self._holdings = {}  # by key
        self._samples = weakref.WeakValueDictionary()  # by fingerprint; holdings keep them
        self._deposits = {}  # samples that nobody has taken yet, by fingerprint
        self._taken = []  # samples that portions are being made with: others may follow that want them, too

    async def describe(self):
        """What must be the same in all processes of a cluster: dict. Does not wait for what others have actors do.

        Cost: some 10^6 multiplications.
        """
        return describe_arithmetic()

    def deposit(self, call, X, fingerprint):
        """Take samples that a recipe will name. Cost: O(n d)."""
        self._executor.begin(call)
        self._deposits[fingerprint] = np.array(X, order="C")  # its own memory, which views keep

    def run(self, call, key, what, arguments):
        """Ask a holding.

        Parameters
        ----------
        call : int
            Its number, by which it can be stopped; 0 if it must not be.
        key : hashable
            Of the holding.
        what : str
            A method of `Holding`.
        arguments : tuple

        Raises
        ------
        NotHeldError
            If there is no such holding, or samples named in the arguments are not here.
        StoppedError
            If the call was stopped.
        """
        self._executor.begin(call)
        self._taken.clear()
        return getattr(self._holding(key), what)(*self._with_samples(arguments))

    def make(self, call, key, source, portion, recipe):
        """Follow a recipe, or go on with one, and hold what comes out.

        Parameters
        ----------
        call : int
        key : hashable
            Of the holding that is made, or goes on.
        source : ShiftedReLUNetwork or hashable
            A network without neurons, to begin with; or the key of a holding that is there.
        portion : Portion
        recipe : list of (str, tuple)
            Methods of `Holding` with their arguments.

        Returns
        -------
        Summary
        """
        self._executor.begin(call)
        if isinstance(source, tuple):
            holding = self._holding(source)
        else:
            holding = Holding(source, portion, [], None, self._executor)
        for what, arguments in recipe:
            holding = getattr(holding, what)(*self._with_samples(arguments)) or holding
        self._holdings[key] = holding
        return holding.summary()

    def forget(self, key):
        """Let a holding go."""
        self._holdings.pop(key, None)

    async def stop(self, call):
        """Begin nothing more of this call. Does not wait."""
        self._executor.stop(call)

    async def progress(self):
        """Blocks of the present call that are done."""
        return self._executor.done

    def _holding(self, key):
        if key not in self._holdings:
            raise NotHeldError(f"{key} is not here")
        return self._holdings[key]

    def _with_samples(self, arguments):
        return tuple(self._take(a) if isinstance(a, Samples) else a for a in arguments)

    def _take(self, samples):
        fingerprint = samples.fingerprint
        X = self._deposits.pop(fingerprint, None)
        if X is None:
            X = self._samples.get(fingerprint)
        if X is None:
            raise NotHeldError(f"samples {fingerprint[:8]} are not here")
        self._samples[fingerprint] = X
        self._taken.append(X)
        return X


class Samples(typing.NamedTuple):
    """Stands in instructions for samples that were deposited."""

    fingerprint: str


def describe_arithmetic():
    """What decides how this process rounds, as far as it can be told: versions, machine, and a product's bits.

    Returns
    -------
    dict of str to str

    Notes
    -----
    Cost: some 10^6 multiplications.

    Examples
    --------
    >>> sorted(describe_arithmetic())
    ['machine', 'numpy', 'products', 'python', 'scipy', 'sltrees']
    """
    from sltrees import __version__

    sha = hashlib.sha256()
    with ThreadExecutor(1) as executor:  # BLAS on one thread, as where it counts

        def multiply(dtype):
            a = np.sin(np.arange(128 * 77, dtype=np.float64)).reshape(128, 77).astype(dtype)
            return (a @ np.ascontiguousarray(a[:100].T)).tobytes()

        for product in executor.map(multiply, (np.float32, np.float64)):
            sha.update(product)
    return {
        "sltrees": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": platform.machine(),
        "products": sha.hexdigest(),
    }
