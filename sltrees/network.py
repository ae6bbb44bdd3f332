"""The network: a wide layer of shifted ReLU neurons of which only those that ever fire are kept."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import itertools
import json
import threading
import typing

import numpy as np

from sltrees._core._near_lists import NearLists
from sltrees._memory import array_bytes, check_memory, physical_memory
from sltrees._validation import as_choice, as_integer, as_max_memory, as_real_matrix
from sltrees.executors import ThreadExecutor
from sltrees.fixed_sums import FixedSum
from sltrees.hyperplanes import Hyperplanes
from sltrees.prediction import NEURONS_PER_PART, add_up
from sltrees.random_streams import NEURONS_PER_BLOCK, RandomStreams, generator
from sltrees.sampling_dense import DenseSampling
from sltrees.sampling_rejection import RejectionSampling, cheaper_sampling
from sltrees.shards import NeuronShard
from sltrees.shift import resolve_shift, validate_shift

SAMPLINGS = {"dense": DenseSampling, "rejection": RejectionSampling}


_CLAIMS = threading.Lock()


class Drawing(typing.NamedTuple):
    """What drawing a network for samples gives; nothing of it is true of the network before it is installed."""

    state: dict  # attributes of the network
    near: list[NearLists | None]  # near lists of each shard in `state`, where drawing found them


class ShiftedReLUNetwork:
    """Two-layer network f(x) = (1/sqrt(m)) sum_r a_r max(<w_r, x> - b, 0) with signs a_r fixed.

    The m neurons are drawn for a data set by `initialize`. Those that fire on none of its samples never
    move (their Jacobian is zero), so only the others are *materialised*: kept in memory and trained.

    Parameters
    ----------
    width : int
        m, at least 1; even for init "paired". A float with an integral value, such as 1e6, is accepted.
    shift : {"auto", "paper", "density"} or float, default "auto"
        b >= 0, or a policy that chooses it for the width and the data; see `sltrees.shift.resolve_shift`.
    init : {"paired", "gaussian"}, default "paired"
        "paired": neurons come in pairs with the same initial weights and signs +1, -1, so that f = 0 at first, and
        pairs that training never touches contribute exactly 0 everywhere. "gaussian": weights and signs are
        independent. Weights are N(0, 1) in both.
    sampling : {"auto", "dense", "rejection"}, default "auto"
        How firing neurons are found: "dense" draws all m and looks; "rejection" (for init "paired") draws only neurons
        that fire, the silent ones not at all, so that the width may be in the billions. Its network has a random
        number of pairs, Poisson with mean m/2: see `sltrees.sampling_rejection`. "auto" is what is expected to cost
        less.
    dtype : float32 or float64, default float32
        Of weights and correlations. The weights are drawn in single precision, so that a seed gives the same network
        in both dtypes (under rejection up to rounding). Sums over neurons are accumulated in float64.
    random_state : None, int, numpy.random.SeedSequence or numpy.random.Generator
        The source of the weights. None draws a fresh one. The same seed gives the same network, bit for bit.

    Attributes
    ----------
    shift_ : float
        b.
    sampling_ : {"dense", "rejection"}
        How the neurons were found.
    n_features_in_ : int
        d.
    neurons_ : ndarray of shape (k,), dtype=int64
        The materialised neurons, ascending until samples join; those that come with them are behind. Under rejection
        numbers are those of proposals, with gaps.
    displacement_ : ndarray of shape (k, d)
        W - W(0) of the materialised neurons: a copy, made when it is asked for.

    Raises
    ------
    TypeError, ValueError
        If a parameter breaks its rule.

    Notes
    -----
    Memory after `initialize`: k d initial weights (half as many for "paired"). Training adds what it needs to know of
    each neuron; displacements are implied by that, and written down in copies and pickles. `compact` gives back what
    only training needs.

    Other threads may read a network while method "certified" trains it: they see the weights after the last step kept,
    and the next step waits for them. Method "trees" moves weights in place: read it in callbacks alone.

    References
    ----------
    Deng, Hu, Song, Weinstein, Zhuo, "Training Overparametrized Neural Networks in Sublinear Time", arXiv 2208.04508,
    sections 1 and 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((40, 5))
    >>> X /= np.linalg.norm(X, axis=1, keepdims=True)
    >>> network = ShiftedReLUNetwork(4096, random_state=0)
    >>> result = NewtonTrainer(network).fit(X, np.sign(X[:, 0]))
    >>> result.status
    'converged'
    >>> bool(np.all(np.sign(network.predict(X)) == np.sign(X[:, 0])))
    True
    """

    def __init__(self, width, *, shift="auto", init="paired", sampling="auto", dtype=np.float32, random_state=None):
        self.width = as_integer(width, "width", minimum=1)
        self.shift = validate_shift(shift)
        self.init = as_choice(init, "init", ("paired", "gaussian"))
        self.sampling = as_choice(sampling, "sampling", ("auto", *SAMPLINGS))
        if self.sampling == "rejection" and self.init != "paired":
            raise ValueError(
                f"sampling='rejection' needs init='paired', got {self.init!r}: "
                "with another the silent neurons count in predictions"
            )
        if self.init == "paired" and self.width % 2:
            raise ValueError(f"width must be even for init='paired', got {self.width}")
        self.dtype = _as_dtype(dtype)
        self._streams = RandomStreams(random_state)
        self._copies = 2 if self.init == "paired" else 1  # neurons that share their initial weights
        self.shift_ = None
        self._sampling = None  # who draws the neurons
        self._shards = []
        self._fingerprint = None  # of the samples last drawn for
        self._seen = None  # (n, d) all samples that neurons were drawn for, in the order in which they came
        self._scales = {}  # trace(G)/n when training on a set of samples began, by fingerprint
        self._in_training = False
        self._method = None  # the method whose rows imply displacements, if any
        self._near = None  # (skin, fingerprint of the samples, lists of each shard) found when drawn, for the first run
        self._compacted = False

    # ------------------------------------------------------------------ initialisation

    def initialize(self, X, *, n_threads=None, max_memory=None, progress=None):
        """Draw the network for the samples X: find and materialise the neurons that fire on any of them.

        The trainer calls this when it was not. On a network already drawn, neurons that fire on the new
        samples join those materialised before; the shift and everything trained stay.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Finite. Rows of unit norm are what the shift policies are made for.
        n_threads : int, optional
            By default one per processor. The result does not depend on it.
        max_memory : float, optional
            Bytes that may be used; by default all that the machine has.
        progress : callable, optional
            Called as progress(blocks done, blocks in all).

        Returns
        -------
        ShiftedReLUNetwork
            The network itself.

        Raises
        ------
        TypeError, ValueError
            If X is not a matrix of finite real numbers, or has another number of columns than before.
        MemoryError
            If more than `max_memory` bytes are expected to be needed. The network is as it was after any of these.
        RuntimeError
            If the network is being trained.

        Warns
        -----
        UserWarning
            If the shift had to be lowered so that neurons fire on every sample.

        Notes
        -----
        Cost: O(m n d), once, in blocks of neurons; the (m, n) product is never held. Under rejection O(q n d), with q
        the number of proposals that fire on none of their nearest samples before, about that of the neurons that fire;
        and O(1) for each of the m sum_i P(neuron fires on x_i) proposals.

        Examples
        --------
        >>> network = ShiftedReLUNetwork(1000, shift=2.0, random_state=0).initialize([[1.0, 0.0], [0.6, 0.8]])
        >>> network.neurons_.size < 100
        True
        """
        X = self._as_samples(X)
        max_memory = as_max_memory(max_memory)
        self._refuse_compacted()
        if sample_fingerprint(X) == self._fingerprint:
            return self
        if self._home is not None:
            raise RuntimeError("the neurons are on a cluster: train on X there, or call fetch() first")
        self._claim()
        try:
            planes = Hyperplanes(X, self._shift_for(X))
            limit = physical_memory() if max_memory is None else max_memory
            if self.bytes_needed(planes, n_threads, neurons=self.width) > limit:  # else there is nothing to estimate
                self.check_memory(self.bytes_needed(planes, n_threads), X, max_memory)
            with ThreadExecutor(n_threads) as executor:
                self._install(self._draw(planes, None, executor, progress))
        finally:
            self._in_training = False
        return self

    def _shift_for(self, X):
        """The shift of this network, or the one that it will have when it is drawn for X."""
        return resolve_shift(self.shift, self.width, len(X)) if self.shift_ is None else self.shift_

    def _draw(self, planes, skin, executor, progress=None):
        """The neurons that fire on any of the samples, with those materialised before.

        Parameters
        ----------
        planes : Hyperplanes
        skin : float or None
            Of the near lists that are wanted of those that are drawn; None: none are.
        executor : ThreadExecutor
        progress : callable, optional

        Returns
        -------
        Drawing
            The network itself is as it was.
        """
        if sample_fingerprint(planes.X) == self._fingerprint:
            return Drawing({}, [None] * len(self._shards))
        every, n_seen, state = self._plan_drawing(planes)
        shards, near = [], []
        if len(every.X) > n_seen:
            sampling = state["_sampling"]
            lists_wanted = skin if np.array_equal(every.X, planes.X) else None
            found = executor.map(
                lambda task: sampling.find(task, every, n_seen, lists_wanted), sampling.tasks(every, n_seen), progress
            )
            shards, near = self._without_known(found)
        return Drawing(state | {"_shards": [*self._shards, *shards]}, [None] * len(self._shards) + near)

    def _plan_drawing(self, planes):
        """What the network has to be drawn for, to be drawn for samples, and its state then but for the neurons.

        Parameters
        ----------
        planes : Hyperplanes

        Returns
        -------
        every : Hyperplanes
            Of all samples, in the order in which they came.
        n_seen : int
            So many of them, the first ones, it was drawn for before.
        state : dict
        """
        every, n_seen = planes, 0
        if self._seen is not None:
            every, n_seen = Hyperplanes(_with_unseen(self._seen, planes.X), planes.shift), len(self._seen)
        return (
            every,
            n_seen,
            {
                "shift_": planes.shift,
                "n_features_in_": planes.X.shape[1],
                "_sampling": self._sampling_for(planes),
                "_fingerprint": sample_fingerprint(planes.X),
                "_seen": every.X,
            },
        )

    def _sampling_for(self, planes):
        """Who draws the neurons: as before, or as it will be for samples."""
        if self._sampling is not None:
            return self._sampling
        return SAMPLINGS[self._choose_sampling(planes)](self.width, self._copies, self._streams, self.dtype)

    def _without_known(self, found):
        """Shards of what was drawn and is not in a shard here already, and their near lists.

        Parameters
        ----------
        found : list of Drawn

        Returns
        -------
        shards : list of NeuronShard
        near : list of NearLists or None
        """
        before = np.sort(np.concatenate([np.empty(0, np.int64), *(shard.draws for shard in self._shards)]))
        shards, near = [], []
        for drawn in found:
            known = _contains(before, drawn.draws)  # they fire on an old sample, too
            if known.any():
                drawn = drawn._replace(draws=drawn.draws[~known], weights=drawn.weights[~known], near=None)
            shards.append(NeuronShard(drawn.draws, drawn.weights, self._copies))
            near.append(drawn.near)
        return shards, near

    def _install(self, drawing):
        """Make a drawing the state of the network, in one statement, so that Ctrl-C cannot fall between."""
        self.__dict__.update(drawing.state)

    def draw_alike(self, n_networks, X, *, skin, executor):
        """Networks with the same neurons, drawn in one visit of the samples.

        Parameters
        ----------
        n_networks : int
        X : ndarray of shape (n, d)
        skin : float
            Of near lists, which the first run on these samples takes over.
        executor : ThreadExecutor

        Returns
        -------
        list of ShiftedReLUNetwork
            Independent of each other: initial weights, which nobody changes, are shared, and lists are copied when a
            run takes them over.

        Raises
        ------
        RuntimeError
            If the network was initialised.

        Notes
        -----
        Cost: O(m n d) as for one network.

        Examples
        --------
        >>> from sltrees.executors import ThreadExecutor
        >>> network = ShiftedReLUNetwork(100, random_state=0)
        >>> with ThreadExecutor() as executor:
        ...     a, b = network.draw_alike(2, np.eye(2), skin=1.0, executor=executor)
        >>> a.digest() == b.digest()
        True
        """
        if self.shift_ is not None:
            raise RuntimeError("the network has neurons already: draw networks alike from one that has none")
        X = self._as_samples(X)
        drawing = self._draw(Hyperplanes(X, self._shift_for(X)), skin, executor)
        networks = []
        for _ in range(n_networks):
            network = object.__new__(type(self))
            state = drawing.state | {"_shards": list(drawing.state["_shards"]), "_scales": {}}
            network.__dict__.update(self.__dict__, **state)
            network._near = (skin, network._fingerprint, drawing.near)
            networks.append(network)
        return networks

    def _to_be_drawn_alike(self, n_networks, X, *, skin):
        """As `draw_alike`, for networks that a cluster draws when they are trained, each for itself: list.

        Cost: O(n d).
        """
        networks = []
        for _ in range(n_networks):
            network = copy.deepcopy(self)
            network._near = (skin, sample_fingerprint(X), [])
            networks.append(network)
        return networks

    def _take_near(self, X):
        """(skin, near lists of each shard) found when the network was drawn for these samples, or None; given once."""
        near, self._near = self._near, None
        if near is None or near[1] != sample_fingerprint(X):
            return None
        return near[0], [lists if lists is None else lists.copy() for lists in near[2]]

    def _initial_trace(self, X, executor, weights):
        """Weighted trace of G at W(0) for samples that the network was drawn for. Cost: O(k n d)."""
        planes = Hyperplanes(X, self.shift_)
        draws = self._firing_draws(planes, executor) if self._home is None else self._home.firing_draws(planes)
        return self._copies * float(draws @ (weights * planes.norms**2)) / self.width

    def _firing_draws(self, planes, executor):
        """How many draws fire on each sample at W(0): shape (n,), float64. Cost: O(k n d)."""
        X, thresholds = planes.X, planes.thresholds(0.0)

        def fired(shard):
            return [
                np.count_nonzero(shard.initial[start : start + NEURONS_PER_PART] @ X.T > thresholds, axis=0)
                for start in range(0, shard.draws.size, NEURONS_PER_PART)
            ]

        return sum((part for parts in executor.map(fired, self._shards) for part in parts), np.zeros(len(X)))

    def _displacement_squared(self, executor):
        """|D|^2. Cost: O(k d), or O(active pairs d) where displacements are implied."""
        squares = self._displacement_squares(executor) if self._home is None else self._home.displacement_squares()
        return float(FixedSum(squares).total(0.0))

    def _displacement_squares(self, executor, numbers=None):
        """|D|^2 as nodes of a `FixedSum`: of all neurons, or of the shards of these numbers."""

        def squared(shard):
            return 0.0 if shard.displacement is None else float(np.sum(np.square(shard.displacements(), dtype=float)))

        sums = FixedSum()
        for number, square in enumerate(executor.map(squared, self._shards)):
            sums.add(number if numbers is None else numbers[number], square)
        return sums.nodes

    def _choose_sampling(self, planes):
        """The sampling of this network, or the one that it will have when it is drawn."""
        if self._sampling is not None:
            return self._sampling.name
        if self.sampling != "auto":
            return self.sampling
        return cheaper_sampling(self.width, self._copies, planes) if self.init == "paired" else "dense"

    @property
    def sampling_(self):
        """How the neurons were found: "dense" or "rejection"."""
        return self._of_drawn("sampling_", lambda: self._sampling.name)

    @property
    def neurons_(self):
        """The materialised neurons, shape (k,), dtype=int64."""
        return self._of_drawn(
            "neurons_", lambda: np.concatenate([np.empty(0, np.int64), *(shard.neurons for shard in self._shards)])
        )

    @property
    def displacement_(self):
        """W - W(0) of the materialised neurons, shape (k, d): a copy."""

        def displacements():
            none = np.empty((0, self.n_features_in_), dtype=self.dtype)
            with self._standing():
                return np.concatenate([none, *(shard.displacements() for shard in self._shards)])

        return self._of_drawn("displacement_", displacements)

    def _of_drawn(self, name, value):
        if self.shift_ is None:
            raise AttributeError(f"{name} is there once the network is initialised")
        return value()

    @property
    def _n_neurons(self):
        """Number of materialised neurons. Cost: O(shards)."""
        return sum(shard.n_neurons for shard in self._shards)

    @property
    def _home(self):
        """Who holds the neurons where that is not this process: a `sltrees.remote_shards.RemoteGroup`, or None."""
        return self._shards[0].home if self._shards else None

    def _move_to(self, executor):
        """Have the neurons where an executor can train them. They come from a cluster, if at all: it draws its own."""
        if self._home is not None and not (executor.is_cluster and self._home.lives_on(executor)):
            self._fetch(None)

    def fetch(self, *, max_memory=None):
        """Bring the neurons of a network that was trained on a cluster to this process.

        Parameters
        ----------
        max_memory : float, optional
            Bytes that may be used; by default all that the machine has.

        Returns
        -------
        ShiftedReLUNetwork
            The network itself, which is the same bit for bit. One that is here already stays as it is.

        Raises
        ------
        MemoryError
            If the network needs more than `max_memory` bytes. It then stays where it is.
        sltrees.executors.ClusterLostError
            If the cluster is gone.
        RuntimeError
            If the network was not initialised, or is being trained.

        Notes
        -----
        Cost: O(k d) for k materialised neurons, over the network.

        Examples
        --------
        >>> network = ShiftedReLUNetwork(100, random_state=0).initialize([[1.0, 0.0]])
        >>> network.fetch() is network
        True
        """
        self._require_initialised()
        self._refuse_in_training()
        if self._home is not None:
            self._fetch(as_max_memory(max_memory))
        return self

    def _fetch(self, max_memory):
        with self._standing():  # a step that was being kept when a cluster was lost is kept by all
            shards = self._fetched(max_memory)
            self.__dict__.update(_shards=shards, _method=None)

    def _fetched(self, max_memory=None):
        """The shards, with displacements written down; MemoryError if they are elsewhere and have no room here."""
        if self._home is not None:
            rows = sum(shard.draws_size * (1 + self._copies) for shard in self._shards)
            needed = array_bytes(rows, self.n_features_in_, dtype=self.dtype) + 8 * rows
            what = f"a network of {self._n_neurons} materialised neurons, fetched from its cluster,"
            check_memory(needed, max_memory, what, "leave it there, or fetch it where there is more memory")
        return [shard.fetched().written_down() for shard in self._shards]

    def _write_down(self):
        """Make all displacements arrays, shard by shard, and forget the method that implied them.

        An interruption leaves some implied: by rows that nobody moves any more. On a cluster they are written down
        when training begins anew.
        """
        with self._standing():  # nothing is half applied
            self._method = None
        for k, shard in enumerate(self._shards):
            if shard.home is None:
                self._shards[k] = shard.written_down()

    def _frozen(self, executor):
        """The shards as they stand, for good: what `_with_shards` and `_restore` take. Cost: O(active pairs d)."""
        with self._standing():
            return executor.map(NeuronShard.frozen, self._shards) if self._home is None else self._home.frozen()

    def _with_shards(self, shards):
        """A network that differs from this one in its shards alone; the rest is shared. Cost: O(1)."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _shards=shards, _method=None)
        return other

    def _restore(self, shards):
        """Go back to shards of `_frozen`, in one statement, and forget the method that implied others."""
        with self._standing():  # nothing is half applied
            self.__dict__.update(_shards=shards, _method=None)

    def __getstate__(self):
        """Everything but a training run in progress: copies and pickles are networks of their own."""
        with self._standing():
            state = self.__dict__.copy()  # at once: what is drawn meanwhile is in it as a whole or not at all
            shards = self._with_shards(state["_shards"])._fetched()
        absent = {"_method": None, "_near": None, "_in_training": False}
        return state | absent | {"_shards": shards, "_scales": state["_scales"].copy()}

    # ------------------------------------------------------------------ files

    def save(self, path):
        """Write the network to a file, which takes the place of the one that was there in one instant.

        Parameters
        ----------
        path : str or os.PathLike
            Nothing is appended to the name.

        Raises
        ------
        OSError
            If the file cannot be written. What was there before is untouched.

        Notes
        -----
        Everything but a training run in progress goes into the file, as into copies: see `sltrees.persistence`. Cost:
        O(k d) for k materialised neurons, or O(active pairs d) where displacements are implied.

        Examples
        --------
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/network.npz"
        >>> network = ShiftedReLUNetwork(100, random_state=0).initialize([[1.0, 0.0]])
        >>> network.save(path)
        >>> ShiftedReLUNetwork.load(path).digest() == network.digest()
        True
        """
        from sltrees import persistence  # it knows networks

        persistence.save(self, path)

    @classmethod
    def load(cls, path):
        """Read a network that was saved.

        Parameters
        ----------
        path : str or os.PathLike

        Returns
        -------
        ShiftedReLUNetwork
            What a copy of the network that was saved is: it predicts the same, bit for bit, and can be trained on.

        Raises
        ------
        sltrees.archive.ArchiveError
            If the file is damaged, foreign, of a newer version, or holds no network: a ValueError. Nothing that is in
            a file is ever run.
        OSError
            If there is no such file, or it cannot be read.

        Notes
        -----
        Cost: O(k (d + log k)) for k materialised neurons.

        Examples
        --------
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/network.npz"
        >>> ShiftedReLUNetwork(100, random_state=0).save(path)
        >>> ShiftedReLUNetwork.load(path).width
        100
        """
        from sltrees import persistence

        return persistence.load(path, kind="network")

    # ------------------------------------------------------------------ memory

    def neurons_expected(self, planes):
        """How many neurons there will be at most, once the network is drawn for samples.

        Parameters
        ----------
        planes : Hyperplanes
            Of the samples, for the shift of the network.

        Returns
        -------
        float

        Notes
        -----
        Their number is random and unknown before they are drawn. It is taken at its mean for all samples that it was
        and will be drawn for, estimated by `Population`, plus six standard deviations of both. Cost: that of
        `Population`, once.

        Examples
        --------
        >>> planes = Hyperplanes(np.eye(3), shift=1.0)
        >>> 0.4e6 < ShiftedReLUNetwork(10**6, shift=1.0).neurons_expected(planes) < 0.5e6
        True
        """
        if self._seen is not None:
            every = _with_unseen(self._seen, planes.X)
            if len(every) == len(self._seen):
                return float(self._n_neurons)
            if not np.array_equal(every, planes.X):
                planes = Hyperplanes(every, planes.shift)
        population = planes.population
        share = min(planes.materialised_share, population.share + 6.0 * population.share_error)
        draws = share * self.width / self._copies
        neurons = self._copies * (draws + 6.0 * np.sqrt(draws) + 1.0)
        return float(max(self._n_neurons, min(self.width, neurons)))

    def bytes_needed(self, planes, n_threads=None, *, neurons=None):
        """Bytes that drawing the network for samples needs: its weights, scratch memory, and what it holds already.

        Parameters
        ----------
        planes : Hyperplanes
            Of the samples, for the shift of the network.
        n_threads : int, optional
        neurons : float, optional
            Neurons that are materialised then; by default as many as are expected.

        Returns
        -------
        float

        Notes
        -----
        Cost: O(n d), and by default that of `neurons_expected`.

        Examples
        --------
        >>> planes = Hyperplanes(np.eye(3), shift=1.0)
        >>> bool(ShiftedReLUNetwork(10**6, shift=1.0).bytes_needed(planes) < 1e9)
        True
        """
        per_draw = array_bytes(planes.X.shape[1], dtype=self.dtype) + 24
        # displacements are written down where training begins anew
        written = sum(shard.n_neurons for shard in self._shards if shard.is_displaced)
        threads = ThreadExecutor(n_threads).n_threads
        sampling = self._sampling_for(planes)
        neurons = self.neurons_expected(planes) if neurons is None else neurons
        weights = neurons / self._copies * per_draw + written * per_draw
        held = 0 if self._method is None else self._method.bytes_resident
        return weights + held + threads * sampling.bytes_needed(planes.X.shape)

    def check_memory(self, needed, X, max_memory, whose="max_memory allows"):
        """Refuse, before anything is allocated, what would need more memory than allowed.

        Parameters
        ----------
        needed : float
            Bytes, of `bytes_needed`.
        X : ndarray of shape (n, d)
        max_memory : float or None
            Bytes; by default all that the machine has.
        whose : str
            How the message begins to tell of `max_memory`.

        Raises
        ------
        MemoryError
            The message gives the bytes and what to change.

        Notes
        -----
        Cost: O(1).

        Examples
        --------
        >>> network = ShiftedReLUNetwork(10**6, shift=1.0)
        >>> network.check_memory(network.bytes_needed(Hyperplanes(np.eye(3), 1.0)), np.eye(3), max_memory=1e6)
        Traceback (most recent call last):
            ...
        MemoryError: a network of width 1000000 on 3 samples with 3 features needs ...
        """
        check_memory(
            needed,
            max_memory,
            f"a network of width {self.width} on {len(X)} samples with {X.shape[1]} features",
            "lower the width, raise the shift, use fewer samples or dtype float32",
            whose,
        )

    def _signs(self, neurons):
        """Signs of the given neurons, ascending by block: shape (k,), dtype of the network."""
        if self.init == "paired":
            return (1 - 2 * (neurons % 2)).astype(self.dtype)
        signs = np.empty(neurons.size, dtype=self.dtype)
        for block in np.unique(neurons // NEURONS_PER_BLOCK):
            lo, hi = np.searchsorted(neurons, np.array([block, block + 1]) * NEURONS_PER_BLOCK)
            bits = generator(self._streams.of_signs(int(block))).integers(0, 2, NEURONS_PER_BLOCK, dtype=np.int8)
            signs[lo:hi] = 1 - 2 * bits[neurons[lo:hi] - block * NEURONS_PER_BLOCK]
        return signs

    # ------------------------------------------------------------------ the materialised neurons

    def materialised_weights(self, start=0, stop=None):
        """Current weights of the materialised neurons start, ..., stop - 1 (positions in `neurons_`).

        Parameters
        ----------
        start, stop : int, optional
            By default all.

        Returns
        -------
        ndarray of shape (stop - start, d)
            A copy.

        Raises
        ------
        RuntimeError
            If the network was not initialised.

        Notes
        -----
        Cost: O((stop - start) d), or O(active pairs d) where displacements are implied.

        Examples
        --------
        >>> network = ShiftedReLUNetwork(100, shift=0.0, random_state=0).initialize([[1.0, 0.0]])
        >>> network.materialised_weights().shape == (network.neurons_.size, 2)
        True
        """
        self._require_initialised()
        stop = self._n_neurons if stop is None else stop
        parts, first = [np.empty((0, self.n_features_in_), dtype=self.dtype)], 0
        with self._standing():
            for shard in self._shards:
                begin, end = max(start - first, 0), min(stop - first, shard.n_neurons)
                if begin < end:
                    parts.append(shard.weights(begin, end))
                first += shard.n_neurons
        return np.concatenate(parts)

    def dense_weights(self):
        """Weights and signs of all m neurons: for small widths and tests.

        Returns
        -------
        W : ndarray of shape (m, d)
            W(0) before training. Under rejection there are twice Poisson(m/2) of them: those materialised, and after
            them silent ones, drawn for this call, the same each time. (Neurons that join with further samples are
            others.)
        signs : ndarray of shape (m,)
            -1 or +1, in the dtype of the network.

        Raises
        ------
        RuntimeError
            If the network was not initialised, or was drawn by rejection and compacted.
        MemoryError
            If the machine has no room for m d numbers.

        Notes
        -----
        Cost: O(m d), and as much memory.

        Examples
        --------
        >>> network = ShiftedReLUNetwork(6, shift=0.0, random_state=0).initialize([[1.0, 0.0]])
        >>> W, signs = network.dense_weights()
        >>> W.shape, signs
        ((6, 2), array([ 1., -1.,  1., -1.,  1., -1.], dtype=float32))
        """
        self._require_initialised()
        needed = array_bytes(self.width, self.n_features_in_ + 1, dtype=self.dtype)
        check_memory(needed, None, f"all weights of a network of width {self.width}", "use the materialised ones")
        initial, places = self._all_draws()
        W = np.repeat(initial, self._copies, axis=0)
        with self._standing():
            for shard, draws in zip(self._shards, places, strict=True):
                W[(draws[:, None] * self._copies + np.arange(self._copies)).ravel()] += shard.displacements()
        return W, self._signs(np.arange(len(W)))

    def _all_draws(self):
        """Initial weights of all draws, silent ones included, and the places among them of those of each shard.

        Cost: O(m d), and as much memory.
        """
        if self.sampling_ == "rejection":
            self._refuse_compacted()
            silent = self._sampling.silent_weights(Hyperplanes(self._seen, self.shift_))
            edges = np.cumsum([0, *(shard.draws.size for shard in self._shards)])
            places = [np.arange(start, stop) for start, stop in itertools.pairwise(edges)]
            return np.concatenate([*(shard.initial for shard in self._shards), silent]), places
        blocks = range(-(-self.width // NEURONS_PER_BLOCK))
        initial = np.concatenate([self._sampling.draw_weights(block, self.n_features_in_) for block in blocks])
        return initial, [shard.draws for shard in self._shards]

    def _positions_by_block(self):
        """Where the materialised neurons of each block are: a dict from block to list of (shard, start, stop).

        Cost: O(k).
        """
        positions = {}
        for shard in self._shards:
            if shard.n_neurons:
                blocks, starts = np.unique(shard.neurons // NEURONS_PER_BLOCK, return_index=True)
                for block, start, stop in zip(blocks.tolist(), starts, [*starts[1:], shard.n_neurons], strict=True):
                    positions.setdefault(block, []).append((shard, start, stop))
        return positions

    def _block_weights(self, block, positions):
        """Under dense sampling: current weights of all neurons of a block, silent ones included."""
        weights = np.repeat(self._sampling.draw_weights(block, self.n_features_in_), self._copies, axis=0)
        for shard, start, stop in positions.get(block, ()):
            weights[shard.neurons[start:stop] - block * NEURONS_PER_BLOCK] += shard.displacements(start, stop)
        return weights

    # ------------------------------------------------------------------ prediction

    def predict(self, X, *, n_threads=None):
        """Outputs of the network.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Finite.
        n_threads : int, optional
            By default one per processor. The result does not depend on it.

        Returns
        -------
        ndarray of shape (n,), dtype=float64

        Raises
        ------
        RuntimeError
            If the network was not initialised.
        TypeError, ValueError
            If X is not a matrix of d columns of finite real numbers.

        Notes
        -----
        With init "paired" only neurons that have moved are looked at: the others cancel exactly. Cost: O(moved d) per
        sample, and weights once for the call: O(active pairs d) where displacements are implied. With init "gaussian"
        all m neurons count, and the silent ones are drawn again: O(m d) per sample. Memory is bounded, however many
        samples there are, but for a copy of them and some numbers for each: see `sltrees.prediction`.

        Examples
        --------
        >>> network = ShiftedReLUNetwork(100, random_state=0).initialize([[1.0, 0.0]])
        >>> network.predict([[0.0, 1.0], [1.0, 0.0]])
        array([0., 0.])
        """
        self._require_initialised()
        X = self._as_samples(X)
        with ThreadExecutor(n_threads) as executor, self._standing():
            return self._predict(X, executor)

    def _predict(self, X, executor):
        nodes = self._output_nodes(X, executor) if self._home is None else self._home.predict(X)
        return FixedSum(nodes).total(np.zeros(len(X))) / np.sqrt(self.width)

    def _output_nodes(self, X, executor, numbers=None, blocks=None):
        """sqrt(m) f as nodes of a `FixedSum`: of all neurons, or of what a process holds of a network.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        executor : ThreadExecutor
        numbers : sequence of int, optional
            Of the shards held, among all of the network.
        blocks : range, optional
            For init "gaussian", the blocks of neurons of which all materialised ones are held.
        """
        return add_up(*self._counting_parts(executor, numbers, blocks), self.shift_, X, executor)

    def _counting_parts(self, executor, numbers=None, blocks=None):
        """The neurons that count in predictions, in numbered parts, and what gives weights and signs of a part."""
        if self.init == "paired":
            return self._moved_parts(executor, numbers), self._moved_neurons
        positions = self._positions_by_block()

        def neurons_of(block):
            weights = self._block_weights(block, positions)
            return weights, self._signs(np.arange(len(weights)) + block * NEURONS_PER_BLOCK)

        blocks = range(-(-self.width // NEURONS_PER_BLOCK)) if blocks is None else blocks
        return [(block, block) for block in blocks], neurons_of

    def _moved_parts(self, executor, numbers=None):
        """The pairs of which a neuron has moved, in parts: list of (number of the shard, (shard, draws))."""
        size, parts = NEURONS_PER_PART // 2, []
        numbers = range(len(self._shards)) if numbers is None else numbers
        moved = executor.map(lambda shard: np.flatnonzero(shard.moved()), self._shards)
        for number, shard, draws in zip(numbers, self._shards, moved, strict=True):
            parts += [(number, (shard, draws[start : start + size])) for start in range(0, draws.size, size)]
        return parts

    def _moved_neurons(self, part):
        """Weights and signs of a part of `_moved_parts`."""
        shard, draws = part
        first, last = 2 * draws[0], 2 * draws[-1] + 2
        rows = (2 * draws[:, None] + np.arange(2)).ravel()
        weights = shard.initial[rows // 2]
        weights += shard.displacements(first, last)[rows - first]
        return weights, np.tile(np.array([1, -1], dtype=self.dtype), draws.size)

    def compact(self):
        """Give back the memory that only training needs: after it the network can predict, and no more.

        Near lists and certificates go; of init "paired" pairs that have not moved go, too, and weights that rows imply
        stay implied where that is smaller.

        Returns
        -------
        ShiftedReLUNetwork
            The network itself. Its predictions are the same, bit for bit.

        Raises
        ------
        RuntimeError
            If the network was not initialised, or is being trained.

        Notes
        -----
        `initialize` and training raise RuntimeError from now on. Copies made before can still be trained.
        Cost: O(k) for k materialised neurons, and their active pairs.

        Examples
        --------
        >>> from sltrees import NewtonTrainer
        >>> X, y = np.eye(3), np.arange(3.0)
        >>> network = ShiftedReLUNetwork(1000, random_state=0)
        >>> status = NewtonTrainer(network).fit(X, y).status
        >>> before = network.predict(X)
        >>> bool(np.all(network.compact().predict(X) == before))
        True
        """
        self._require_initialised()
        self._refuse_in_training()
        if self._home is not None:
            self._fetch(None)
        with self._standing():
            self._compacted = True  # first: from here on nobody may train, however far this gets
        for k, shard in enumerate(self._shards):
            kept = shard.moved() if self.init == "paired" else np.ones(shard.draws.size, dtype=bool)
            self._shards[k] = shard.compacted(kept)
        shards = [shard for shard in self._shards if shard.draws.size]
        self.__dict__.update(_shards=shards, _method=None, _seen=None, _scales={})
        return self

    # ------------------------------------------------------------------ identity

    def digest(self):
        """SHA-256 of the network, as 64 hexadecimal digits: equal digests mean networks that are equal bit for bit.

        Returns
        -------
        str

        Raises
        ------
        RuntimeError
            If the network was not initialised.

        Notes
        -----
        Cost: O(k d) for k materialised neurons, or O(active pairs d) where displacements are implied.

        Examples
        --------
        >>> a, b = (ShiftedReLUNetwork(100, random_state=1).initialize([[1.0, 0.0]]) for _ in range(2))
        >>> a.digest() == b.digest()
        True
        """
        self._require_initialised()
        header = {
            "width": self.width,
            "init": self.init,
            "dtype": self.dtype.name,
            "shift": self.shift_.hex(),
            "sampling": self.sampling_,
            "entropy": repr(self._streams.entropy),
            "n_features": self.n_features_in_,
        }
        sha = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        for of_shard in (lambda shard: shard.neurons, lambda shard: shard.initial, lambda shard: shard.displacements()):
            with self._standing():
                for shard in self._shards:
                    sha.update(np.ascontiguousarray(of_shard(shard)).data)
        return sha.hexdigest()

    def __copy__(self):
        """An independent network: training it leaves this one alone."""
        return copy.deepcopy(self)

    def __repr__(self):
        drawn = "" if self.shift_ is None else f", {self._n_neurons} materialised, shift_={self.shift_:.4g}"
        return f"ShiftedReLUNetwork({self.width}, shift={self.shift!r}, init={self.init!r}, dtype={self.dtype}{drawn})"

    # ------------------------------------------------------------------ checks

    def _as_samples(self, X, name="X", n_columns=None):
        n_columns = n_columns if self.shift_ is None else self.n_features_in_
        X = as_real_matrix(X, name, self.dtype, n_columns=n_columns)
        X += 0.0  # a copy: -0.0 is 0.0, whoever compares
        with np.errstate(over="ignore"):
            squares = np.einsum("ij,ij->i", X, X)
        if not np.isfinite(squares).all():
            i = int(np.argmax(~np.isfinite(squares)))
            raise ValueError(
                f"squared norms of the rows of {name} must be finite in {self.dtype}, got {squares[i]} in row {i}"
            )
        return X

    @contextlib.contextmanager
    def _standing(self):
        """Inside, no step is applied to the neurons, whoever trains them: other threads may read."""
        if self._method is None:
            yield
        else:
            with self._method.standing():
                yield

    def _claim(self):
        """Say that the network is being drawn or trained; RuntimeError if it already is."""
        with _CLAIMS:
            self._require_trainable()
            self._in_training = True

    def _refuse_in_training(self):
        if self._in_training:
            raise RuntimeError("the network is being trained: it can be predicted with, but not initialised or trained")

    def _require_trainable(self):
        self._refuse_in_training()
        self._refuse_compacted()

    def _refuse_compacted(self):
        if self._compacted:
            raise RuntimeError("the network was compacted: it can predict, but not be drawn or trained any more")

    def _require_initialised(self):
        if self.shift_ is None:
            raise RuntimeError("the network has no neurons yet: call initialize(X), or train it with NewtonTrainer.fit")


def _contains(numbers, values):
    """Which of the values are among sorted numbers. Cost: O(values log numbers)."""
    places = np.searchsorted(numbers, values)
    return numbers[np.minimum(places, numbers.size - 1)] == values if numbers.size else np.zeros(len(values), bool)


def _with_unseen(seen, X):
    """All samples seen, and behind them those of X: all if X begins with what was seen, else its rows that were not."""
    if np.array_equal(X[: len(seen)], seen):
        return X
    known = {row.tobytes() for row in seen}
    return np.concatenate([seen, *(row[None] for row in X if row.tobytes() not in known)])


def _as_dtype(dtype):
    with contextlib.suppress(TypeError):
        if dtype is not None and np.dtype(dtype) in (np.float32, np.float64):
            return np.dtype(dtype)
    raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")


def sample_fingerprint(X, weights=None):
    """What tells sets of samples apart, and weights of them. Cost: O(n d)."""
    sha = hashlib.sha256(X.data)
    if weights is not None:
        sha.update(weights.data)
    return (X.shape, sha.hexdigest())
