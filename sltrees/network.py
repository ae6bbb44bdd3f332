"""The network: a wide layer of shifted ReLU neurons of which only those that ever fire are kept."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import typing

import numpy as np

from sltrees._core._jacobian import add_dense_outputs
from sltrees._core._lazy_rows import NearLists
from sltrees._core._normals import fill_normals
from sltrees._memory import array_bytes, check_memory
from sltrees._validation import as_choice, as_integer, as_max_memory, as_real_matrix
from sltrees.executors import ThreadExecutor
from sltrees.hyperplanes import Hyperplanes
from sltrees.rejection import PROPOSALS_PER_CHUNK, Proposals, cheaper_sampling, veto_foreign
from sltrees.shift import firing_probability, resolve_shift, validate_shift

NEURONS_PER_BLOCK = 8192  # the unit of random streams: changing it changes every network
_SAMPLES_PER_BLOCK = 1024  # predicted at a time
PRODUCTS_AT_A_TIME = 1 << 18  # computed and looked at: 1 MiB in float32, so that they are still in cache
_WORK_PER_SHARD = 1 << 31  # multiplications to draw one: some 50 ms, so that Ctrl-C is obeyed soon
_BLOCKS_PER_SHARD = 4  # at most

MAX_SEED = 2**128 - 1  # what NumPy itself draws its fresh seeds from

_PROPOSALS_PER_SHARD = 1 << 15  # at most

_WEIGHTS, _SIGNS, _SILENT = 0, 1, 4  # random streams of a block; 2 and 3 are those of a sample, in rejection.py


class Drawn(typing.NamedTuple):
    """What drawing some blocks of neurons found."""

    neurons: np.ndarray  # (k,) int64: the neurons that fire on a sample, ascending
    weights: np.ndarray  # (k / copies, d): their initial weights
    near: NearLists  # one list for each row of `weights`


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
        width, Poisson with mean m: see `sltrees.rejection`. "auto" is what is expected to cost less.
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
        The materialised neurons, ascending. Under rejection numbers are those of proposals, with gaps.
    displacement_ : ndarray of shape (k, d)
        W - W(0) of the materialised neurons.

    Raises
    ------
    TypeError, ValueError
        If a parameter breaks its rule.

    Notes
    -----
    Memory after `initialize`: k d numbers of displacement and as many initial weights (half as many for "paired").

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
        self.sampling = as_choice(sampling, "sampling", ("auto", "dense", "rejection"))
        if self.sampling == "rejection" and self.init != "paired":
            raise ValueError(
                f"sampling='rejection' needs init='paired', got {self.init!r}: "
                "with another the silent neurons count in predictions"
            )
        if self.init == "paired" and self.width % 2:
            raise ValueError(f"width must be even for init='paired', got {self.width}")
        self.dtype = _as_dtype(dtype)
        self._entropy = _as_entropy(random_state)
        self._copies = 2 if self.init == "paired" else 1  # neurons that share their initial weights
        self.shift_ = None
        self.sampling_ = None
        self._fingerprint = None
        self._seen = None  # (n, d) all samples that neurons were drawn for, in the order in which they came
        self._chunks = None  # under rejection: the chunks of proposals of each shard, as ranges
        self._scales = {}  # trace(G)/n when training on a set of samples began, by fingerprint
        self._in_training = False
        self._lazy = None  # while training: who knows displacements that are not written down yet
        self._pristine = False  # drawn for one set of samples, and never moved

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
        if _fingerprint(X) == self._fingerprint:
            return self
        self._refuse_in_training()
        shift = self._shift_for(X)
        self.check_memory(self.bytes_needed(X, shift, n_threads), X, max_memory)
        with ThreadExecutor(n_threads) as executor:
            self._initialize(Hyperplanes(X, shift), None, executor, progress)
        return self

    def _shift_for(self, X):
        """The shift of this network, or the one that it will have when it is drawn for X."""
        return resolve_shift(self.shift, self.width, len(X)) if self.shift_ is None else self.shift_

    def _initialize(self, planes, skin, executor, progress=None):
        """Draw the network, or draw it again, with near lists of the given skin (None: without).

        Returns
        -------
        list of Drawn, or None
            One for each shard of `shards`; None where the neurons do not stand at their initial weights, or not only
            those that fire on these samples are materialised: then the lists would not be theirs.
        """
        fingerprint = _fingerprint(planes.X)
        known = fingerprint == self._fingerprint
        if known and not self._pristine:
            return None
        drawn = self.shift_ is not None
        sampling = self.sampling_ if drawn else self._choose_sampling(planes)
        seen, n_seen = planes.X, 0  # all samples, and how many of them were drawn for before
        if drawn and not known:
            seen, n_seen = _with_unseen(self._seen, planes.X), len(self._seen)
        if sampling == "rejection":
            every = planes if n_seen == 0 else Hyperplanes(seen, planes.shift)
            proposals = Proposals(every, self.width / self._copies, self._seed)
            shards = _shards_of_proposals(proposals, seen.shape)

            def find(chunks):
                return self._find_proposed(chunks, proposals, every, n_seen, skin)
        else:
            new = planes if n_seen == 0 else Hyperplanes(seen[n_seen:], planes.shift)
            shards = self._shards_of_blocks(planes.X.shape)

            def find(blocks):
                return self._find_firing(blocks, new, skin)

        found = executor.map(find, shards, progress)
        if known:
            return found
        chunks = shards if sampling == "rejection" else None
        parts = [(part.neurons, part.weights) for part in found]
        if drawn:
            parts = self._join_materialised(parts, shards)
        neurons = np.concatenate([neurons for neurons, _ in parts])
        initial = _concatenate([weights for _, weights in parts], executor)
        displacement = np.zeros((neurons.size, planes.X.shape[1]), dtype=self.dtype)
        if drawn:
            displacement[np.searchsorted(neurons, self.neurons_)] = self._displacement
        # in one statement, so that Ctrl-C cannot fall between
        self.__dict__.update(
            shift_=planes.shift,
            sampling_=sampling,
            n_features_in_=planes.X.shape[1],
            neurons_=neurons,
            _displacement=displacement,
            _initial=initial,
            _fingerprint=fingerprint,
            _seen=seen,
            _chunks=chunks,
            _pristine=not drawn,
        )
        return None if drawn else found

    def _choose_sampling(self, planes):
        """The sampling of this network, or the one that it will have when it is drawn."""
        if self.sampling != "auto":
            return self.sampling
        return cheaper_sampling(self.width, self._copies, planes) if self.init == "paired" else "dense"

    def shards(self, shape):
        """The network as shards: ranges of consecutive blocks of neurons, each the work of one task.

        Parameters
        ----------
        shape : tuple (n, d)
            Of the samples.

        Returns
        -------
        list of range
            They depend on the width and on the shape alone, or under rejection on the samples, so that sums over shards
            do not depend on who runs them.

        Notes
        -----
        Cost: O(m / 8192); under rejection O(1).

        Examples
        --------
        >>> ShiftedReLUNetwork(100_000).shards((1000, 64))
        [range(0, 4), range(4, 8), range(8, 12), range(12, 13)]
        """
        return self._shards_of_blocks(shape) if self._chunks is None else self._chunks

    def _shards_of_blocks(self, shape):
        n_blocks = -(-self.width // NEURONS_PER_BLOCK)
        size = min(_BLOCKS_PER_SHARD, max(1, _WORK_PER_SHARD // (NEURONS_PER_BLOCK * shape[0] * shape[1])))
        return [range(start, min(start + size, n_blocks)) for start in range(0, n_blocks, size)]

    def _find_proposed(self, chunks, proposals, planes, n_seen, skin):
        """Proposals of consecutive chunks that are kept, as `Drawn`: a chunk has the numbers of a block of neurons."""
        d = planes.X.shape[1]
        numbers, weights, samples = [np.empty(0, np.int64)], [np.empty((0, d), np.float32)], [np.empty(0, np.int64)]
        neighbours = None
        for number in chunks:
            i, chunk = proposals.chunks[number]
            if i < n_seen:
                continue  # they are here already
            if neighbours is None or samples[-1][0] != i:
                neighbours = proposals.neighbours(i)
            kept, fresh = proposals.draw(i, chunk, neighbours)
            if kept.size:
                numbers.append(number * PROPOSALS_PER_CHUNK + kept)
                weights.append(fresh)
                samples.append(np.full(kept.size, i))
            else:
                neighbours = None
        numbers, weights, samples = np.concatenate(numbers), np.concatenate(weights), np.concatenate(samples)
        weights = weights.astype(self.dtype, copy=False)
        near = planes.near_lists(skin or 0.0, 0, keep_all=False, expected=8 * len(weights) if skin else 0)
        thresholds = planes.thresholds(0.0)

        def veto(z, start):
            veto_foreign(z, samples[start : start + len(z)], thresholds)

        kept = collect_near(near, weights, planes.X, forget=skin is None, veto=veto)
        near.trim()
        neurons = (numbers[kept][:, None] * self._copies + np.arange(self._copies)).ravel()
        return Drawn(neurons, weights[kept], near)

    def _find_firing(self, blocks, planes, skin):
        """Neurons of consecutive blocks that fire on a sample, their initial weights and near lists, as `Drawn`."""
        copies, first = self._copies, blocks.start * NEURONS_PER_BLOCK
        end = min(blocks.stop * NEURONS_PER_BLOCK, self.width)
        near = planes.near_lists(skin or 0.0, (end - first) // copies if skin else 0, keep_all=False)
        # not touched beyond what is kept, and that only once: memory never used before costs more than drawing anew
        kept, numbers, n_kept = np.empty(((end - first) // copies, planes.X.shape[1]), dtype=self.dtype), [], 0
        for block in blocks:
            weights = self._draw_weights(block, planes.X.shape[1])
            firing = collect_near(near, weights, planes.X, forget=skin is None)
            numbers.append((block * NEURONS_PER_BLOCK) // copies + firing)
            # with another mode, take would write to memory of its own first
            np.take(weights, firing, axis=0, out=kept[n_kept : n_kept + firing.size], mode="clip")
            n_kept += firing.size
        near.trim()
        kept.resize((n_kept, planes.X.shape[1]), refcheck=False)
        firing = np.concatenate(numbers)
        neurons = (firing[:, None] * copies + np.arange(copies)).ravel()
        return Drawn(neurons, kept, near)

    @property
    def displacement_(self):
        """W - W(0) of the materialised neurons, shape (k, d)."""
        if self.shift_ is None:
            raise AttributeError("displacement_ is there once the network is initialised")
        if self._lazy is not None:
            self._lazy.write_displacement()
        return self._displacement

    def __getstate__(self):
        """Everything but a training run in progress: copies and pickles are networks of their own."""
        if self._lazy is not None:
            self._lazy.write_displacement()
        return self.__dict__ | {"_lazy": None, "_in_training": False}

    def _join_materialised(self, found, shards):
        """Add the neurons materialised before to those just found, shard by shard."""
        copies = self._copies
        joined = []
        for (neurons, weights), blocks in zip(found, shards, strict=True):
            lo, hi = self._positions(blocks)
            union, first = np.unique(np.concatenate([neurons, self.neurons_[lo:hi]])[::copies], return_index=True)
            both = np.concatenate([weights, self._initial[lo // copies : hi // copies]])
            joined.append(((union[:, None] + np.arange(copies)).ravel(), both[first]))
        return joined

    def _positions(self, blocks):
        """Where the neurons of consecutive blocks stand in `neurons_`: from the first position to below the second."""
        return np.searchsorted(self.neurons_, np.array([blocks.start, blocks.stop]) * NEURONS_PER_BLOCK)

    def bytes_needed(self, X, shift, n_threads=None, *, per_neuron=0.0, per_pair=0.0, extra=0.0):
        """Bytes that drawing the network for samples needs, and what else is held for its neurons.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        shift : float
        n_threads : int, optional
        per_neuron, per_pair, extra : float
            Bytes needed besides: for each materialised neuron, each fired (neuron, sample) pair, and at once.

        Returns
        -------
        float

        Notes
        -----
        The number of materialised neurons is random and unknown before they are drawn. It is taken at its mean,
        bounded by m sum_i P(neuron fires on x_i), plus six standard deviations and those materialised before. Fired
        pairs are taken at their mean at W(0); training towards huge targets can make more fire.

        Cost: O(n d).

        Examples
        --------
        >>> bool(ShiftedReLUNetwork(10**6, shift=1.0).bytes_needed(np.eye(3), 1.0) < 1e9)
        True
        """
        n, d = X.shape
        norms = np.linalg.norm(X.astype(np.float64, copy=False), axis=1)
        firings = sum(firing_probability(shift / norm) for norm in norms if norm > 0)
        share = min(1.0, firings)
        draws = self.width / self._copies
        kept = 0 if self.shift_ is None else self.neurons_.size
        neurons = min(self.width, kept + self._copies * (share * draws + 6.0 * np.sqrt(share * draws) + 1.0))
        threads = ThreadExecutor(n_threads).n_threads
        # joining the shards holds the initial weights twice for a moment
        per_neuron += d * self.dtype.itemsize * (1 + 2 / self._copies) + 16
        block = min(NEURONS_PER_BLOCK, self.width) // self._copies
        # weights of a block, the samples transposed; products of some weights, and what these may list at most
        scratch = block * (array_bytes(d, dtype=self.dtype) + 4 * d) + array_bytes(n, d, dtype=self.dtype)
        scratch += min(max(PRODUCTS_AT_A_TIME, n), block * n) * (2 * self.dtype.itemsize + 8)
        if (self.sampling_ or self._choose_sampling(Hyperplanes(X, shift))) == "rejection":
            scratch += 3 * _PROPOSALS_PER_SHARD * d * 4 + block * 16 * 8
        return neurons * per_neuron + self.width * firings * per_pair + threads * scratch + extra

    def check_memory(self, needed, X, max_memory):
        """Refuse, before anything is allocated, what would need more memory than allowed.

        Parameters
        ----------
        needed : float
            Bytes, of `bytes_needed`.
        X : ndarray of shape (n, d)
        max_memory : float or None
            Bytes; by default all that the machine has.

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
        >>> network.check_memory(network.bytes_needed(np.eye(3), 1.0), np.eye(3), max_memory=1e6)
        Traceback (most recent call last):
            ...
        MemoryError: a network of width 1000000 on 3 samples with 3 features needs ...
        """
        check_memory(
            needed,
            max_memory,
            f"a network of width {self.width} on {len(X)} samples with {X.shape[1]} features",
            "lower the width, raise the shift, use fewer samples or dtype float32",
        )

    def _draw_weights(self, block, n_features):
        """Initial weights of one block of neurons, once a pair: shape (neurons in the block / copies, d)."""
        count = min(NEURONS_PER_BLOCK, self.width - block * NEURONS_PER_BLOCK) // self._copies
        weights = np.empty((count, n_features), dtype=np.float32)
        fill_normals(self._seed(block, _WEIGHTS), weights)
        return weights.astype(self.dtype, copy=False)

    def _signs(self, neurons):
        """Signs of the given neurons, ascending: shape (k,), dtype of the network."""
        if self.init == "paired":
            return (1 - 2 * (neurons % 2)).astype(self.dtype)
        signs = np.empty(neurons.size, dtype=self.dtype)
        for block in np.unique(neurons // NEURONS_PER_BLOCK):
            lo, hi = np.searchsorted(neurons, np.array([block, block + 1]) * NEURONS_PER_BLOCK)
            stream = np.random.Generator(np.random.SFC64(self._seed(int(block), _SIGNS)))
            bits = stream.integers(0, 2, NEURONS_PER_BLOCK, dtype=np.int8)
            signs[lo:hi] = 1 - 2 * bits[neurons[lo:hi] - block * NEURONS_PER_BLOCK]
        return signs

    def _seed(self, *key):
        """The seed of a part of the network, such as (block, purpose): any thread can draw parts in any order."""
        return np.random.SeedSequence(self._entropy, spawn_key=key)

    # ------------------------------------------------------------------ the materialised neurons

    def materialised_weights(self, start=0, stop=None):
        """Current weights of the materialised neurons start, ..., stop - 1 (positions in `neurons_`).

        Parameters
        ----------
        start, stop : int, optional
            By default all. For init "paired" both even.

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
        Cost: O((stop - start) d).

        Examples
        --------
        >>> network = ShiftedReLUNetwork(100, shift=0.0, random_state=0).initialize([[1.0, 0.0]])
        >>> network.materialised_weights().shape == (network.neurons_.size, 2)
        True
        """
        self._require_initialised()
        stop = self.neurons_.size if stop is None else stop
        copies = self._copies
        weights = np.repeat(self._initial[start // copies : stop // copies], copies, axis=0)
        weights += self.displacement_[start:stop]
        return weights

    def dense_weights(self):
        """Weights and signs of all m neurons: for small widths and tests.

        Returns
        -------
        W : ndarray of shape (m, d)
            W(0) before training. Under rejection there are Poisson(m) of them: those materialised, and after them the
            silent ones, drawn for this call, the same each time.
        signs : ndarray of shape (m,)
            -1 or +1, in the dtype of the network.

        Raises
        ------
        RuntimeError
            If the network was not initialised.
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
        if self.sampling_ == "rejection":
            W = np.concatenate([self.materialised_weights(), np.repeat(self._silent_weights(), self._copies, axis=0)])
            return W, self._signs(np.arange(len(W)))
        W = np.concatenate([self._block_weights(block) for block in range(-(-self.width // NEURONS_PER_BLOCK))])
        return W, self._signs(np.arange(self.width))

    def _silent_weights(self):
        """Under rejection: weights of the pairs that fire on no sample seen, of which there is a random number."""
        stream = np.random.Generator(np.random.SFC64(self._seed(0, _SILENT)))
        weights = np.empty((stream.poisson(self.width / self._copies), self.n_features_in_), dtype=np.float32)
        fill_normals(self._seed(1, _SILENT), weights)
        weights = weights.astype(self.dtype, copy=False)
        planes = Hyperplanes(self._seen, self.shift_)
        near = planes.near_lists(0.0, 0, keep_all=False)
        fires = np.zeros(len(weights), dtype=bool)
        fires[collect_near(near, weights, planes.X, forget=True)] = True
        return weights[~fires]

    def _block_weights(self, block):
        """Current weights of all neurons of a block, silent ones included."""
        weights = np.repeat(self._draw_weights(block, self.n_features_in_), self._copies, axis=0)
        lo, hi = self._positions(range(block, block + 1))
        weights[self.neurons_[lo:hi] - block * NEURONS_PER_BLOCK] += self.displacement_[lo:hi]
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
        sample. With init "gaussian" all m neurons count, and the silent ones are drawn again: O(m d) per sample.

        Examples
        --------
        >>> network = ShiftedReLUNetwork(100, random_state=0).initialize([[1.0, 0.0]])
        >>> network.predict([[0.0, 1.0], [1.0, 0.0]])
        array([0., 0.])
        """
        self._require_initialised()
        X = self._as_samples(X)
        with ThreadExecutor(n_threads) as executor:
            return self._predict(X, executor)

    def _predict(self, X, executor):
        """Sum the outputs of blocks of neurons in the order of the blocks, a block of samples at a time."""
        if self.init == "paired":
            moved = self._moved_pairs()
            # as many neurons a block as for drawing, so that scratch memory is bounded the same way
            parts = [moved[i : i + NEURONS_PER_BLOCK] for i in range(0, moved.size, NEURONS_PER_BLOCK)]
        else:
            parts = range(-(-self.width // NEURONS_PER_BLOCK))
        outputs = np.empty(len(X))
        for start in range(0, len(X), _SAMPLES_PER_BLOCK):
            samples = X[start : start + _SAMPLES_PER_BLOCK]
            total = np.zeros(len(samples))
            for part in executor.map(lambda part, samples=samples: self._part_outputs(part, samples), parts):
                total += part
            outputs[start : start + _SAMPLES_PER_BLOCK] = total / np.sqrt(self.width)
        return outputs

    def _part_outputs(self, part, samples):
        """sqrt(m) times the contribution of some neurons: positions of moved ones (paired) or a whole block."""
        if self.init == "paired":
            weights = self._initial[part // 2] + self.displacement_[part]
            signs = self._signs(self.neurons_[part])
        else:
            first = part * NEURONS_PER_BLOCK
            weights = self._block_weights(part)
            signs = self._signs(np.arange(first, first + len(weights)))
        outputs = np.zeros(len(samples))
        add_dense_outputs(weights @ samples.T, signs, self.shift_, outputs)
        return outputs

    def _moved_pairs(self):
        """Positions in `neurons_` of the pairs of which a neuron has moved."""
        moved = self.displacement_.any(axis=1).reshape(-1, 2).any(axis=1)
        return np.flatnonzero(np.repeat(moved, 2))

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
        Cost: O(k d) for k materialised neurons.

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
            "entropy": repr(self._entropy),
            "n_features": self.n_features_in_,
        }
        sha = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        for array in (self.neurons_, self._initial, self.displacement_):
            sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()

    def __copy__(self):
        """An independent network: training it leaves this one alone."""
        return copy.deepcopy(self)

    def __repr__(self):
        drawn = "" if self.shift_ is None else f", {self.neurons_.size} materialised, shift_={self.shift_:.4g}"
        return f"ShiftedReLUNetwork({self.width}, shift={self.shift!r}, init={self.init!r}, dtype={self.dtype}{drawn})"

    # ------------------------------------------------------------------ checks

    def _as_samples(self, X):
        n_columns = None if self.shift_ is None else self.n_features_in_
        X = as_real_matrix(X, "X", self.dtype, n_columns=n_columns)
        with np.errstate(over="ignore"):
            squares = np.einsum("ij,ij->i", X, X)
        if not np.isfinite(squares).all():
            i = int(np.argmax(~np.isfinite(squares)))
            raise ValueError(
                f"squared norms of the rows of X must be finite in {self.dtype}, got {squares[i]} in row {i}"
            )
        return X

    def _refuse_in_training(self):
        if self._in_training:
            raise RuntimeError("the network is being trained: it can be predicted with, but not initialised or trained")

    def _require_initialised(self):
        if self.shift_ is None:
            raise RuntimeError("the network has no neurons yet: call initialize(X), or train it with NewtonTrainer.fit")


def _concatenate(parts, executor):
    """As np.concatenate, each part copied by a task: memory touched for the first time costs more than copying."""
    ends = np.cumsum([len(part) for part in parts])
    whole = np.empty((ends[-1], *parts[0].shape[1:]), dtype=parts[0].dtype)

    def copy_part(k):
        whole[ends[k] - len(parts[k]) : ends[k]] = parts[k]

    executor.map(copy_part, range(len(parts)))
    return whole


def _with_unseen(seen, X):
    """All samples seen, and behind them the rows of X that are not among them."""
    known = {row.tobytes() for row in seen}
    return np.concatenate([seen, *(row[None] for row in X if row.tobytes() not in known)])


def _shards_of_proposals(proposals, shape):
    """Ranges of consecutive chunks, as much work each as a shard of blocks."""
    most = min(_PROPOSALS_PER_SHARD, max(1, _WORK_PER_SHARD // (shape[0] * shape[1])))
    shards, begin, size = [], 0, 0
    for number, (i, chunk) in enumerate(proposals.chunks):
        more = proposals.size(i, chunk)
        if size and size + more > most:
            shards.append(range(begin, number))
            begin, size = number, 0
        size += more
    return [*shards, range(begin, len(proposals.chunks))]


def collect_near(near, weights, X, *, forget=False, veto=None):
    """Append the near lists of some weights, a cache-sized block at a time; returns the rows of weights kept.

    Parameters
    ----------
    near : NearLists
    weights : ndarray of shape (k, d)
    X : ndarray of shape (n, d)
    forget : bool, default False
        The lists are not wanted, only which weights have one.
    veto : callable, optional
        Called as veto(products, start) with the products of rows start, start + 1, ...; it may overwrite with -inf
        those of rows that are not to be kept.

    Returns
    -------
    ndarray of int64

    Notes
    -----
    Cost: O(k n d), through BLAS.
    """
    size = max(1, PRODUCTS_AT_A_TIME // len(X))
    products = np.empty((min(size, len(weights)), len(X)), dtype=X.dtype)
    columns = np.ascontiguousarray(X.T)  # as BLAS multiplies fastest by
    kept = [np.empty(0, dtype=np.int64)]
    for start in range(0, len(weights), size):
        part = weights[start : start + size]
        z = np.matmul(part, columns, out=products[: len(part)])
        if veto is not None:
            veto(z, start)
        kept.append(start + near.collect(z).astype(np.int64))
        if forget:
            near.clear()
    return np.concatenate(kept)


def _as_dtype(dtype):
    with contextlib.suppress(TypeError):
        if dtype is not None and np.dtype(dtype) in (np.float32, np.float64):
            return np.dtype(dtype)
    raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")


def _as_entropy(random_state):
    """What the random streams of all blocks are keyed from."""
    if random_state is None:
        return np.random.SeedSequence().entropy
    if isinstance(random_state, np.random.SeedSequence):
        if not random_state.spawn_key:
            return random_state.entropy
        return [*np.atleast_1d(random_state.entropy).tolist(), *random_state.spawn_key]
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(1 << 63))
    return as_integer(random_state, "random_state", minimum=0, maximum=MAX_SEED)


def _fingerprint(X):
    return (X.shape, hashlib.sha256(X.data).hexdigest())
