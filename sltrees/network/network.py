"""The network: a wide layer of shifted ReLU neurons of which only those that ever fire are kept."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sltrees._validation import as_choice, as_float_dtype, as_integer, as_max_memory
from sltrees.execution.threads import ThreadExecutor
from sltrees.files.archive import read_archive, write_archive
from sltrees.files.contents import making_sense
from sltrees.network import drawing, memory, use, weights
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.network.identity import digest_of
from sltrees.network.neurons import outputs
from sltrees.network.packing import KIND, pack_network, unpack_network
from sltrees.network.random_streams import RandomStreams
from sltrees.network.samples import samples_for
from sltrees.network.shift import validate_shift
from sltrees.network.state import NetworkState, from_pickle

MAX_GAUSSIAN_WIDTH = 2**36


class ShiftedReLUNetwork:
    """Two-layer network f(x) = (1/sqrt(m)) sum_r a_r max(<w_r, x> - b, 0) with signs a_r fixed.

    The m neurons are drawn for a data set by `initialize`. Those that fire on none of its samples never
    move (their Jacobian is zero), so only the others are *materialised*: kept in memory and trained.

    Parameters
    ----------
    width : int
        m, at least 1; even for init "paired", at most 2**36 for "gaussian". A float with an integral value, such as
        1e6, is accepted.
    shift : {"auto", "paper", "density"} or float, default "auto"
        b >= 0, or a policy that chooses it for the width and the data; see `sltrees.network.shift.resolve_shift`.
    init : {"paired", "gaussian"}, default "paired"
        "paired": neurons come in pairs with the same initial weights and signs +1, -1, so that f = 0 at first, and
        pairs that training never touches contribute exactly 0 everywhere. "gaussian": weights and signs are
        independent. Weights are N(0, 1) in both.
    sampling : {"auto", "dense", "rejection"}, default "auto"
        How firing neurons are found: "dense" draws all m and looks; "rejection" (for init "paired") draws only neurons
        that fire, the silent ones not at all, so that the width may be in the billions. Its network has a random
        number of pairs, Poisson with mean m/2: see `sltrees.network.sampling_rejection`. "auto" is what is expected to
        cost less.
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

    _name_in_files = KIND

    def __init__(
        self, width, *, shift="auto", init="paired", sampling="auto", dtype=np.float32, random_state=None
    ) -> None:
        self.width = as_integer(width, "width", minimum=1)
        self.shift = validate_shift(shift)
        self.init = as_choice(init, "init", ("paired", "gaussian"))
        self.sampling = as_choice(sampling, "sampling", ("auto", *drawing.SAMPLINGS))
        if self.sampling == "rejection" and self.init != "paired":
            raise ValueError(
                f"sampling='rejection' needs init='paired', got {self.init!r}: "
                "with another the silent neurons count in predictions"
            )
        if self.init == "gaussian" and self.width > MAX_GAUSSIAN_WIDTH:
            raise ValueError(
                f"width must be at most {MAX_GAUSSIAN_WIDTH} for init='gaussian', got {self.width}: "
                "each prediction draws all of its neurons"
            )
        if self.init == "paired" and self.width % 2:
            raise ValueError(f"width must be even for init='paired', got {self.width}")
        self.dtype = as_float_dtype(dtype)
        # what follows is for the package alone: whoever draws, trains and reads goes by it
        self.streams = RandomStreams(random_state)
        self.copies = 2 if self.init == "paired" else 1  # neurons that share their initial weights
        self.state = NetworkState()  # all that is not decided by the parameters
        self.in_training = False

    def initialize(self, X, *, n_threads=None, max_memory=None, progress=None) -> Self:
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
            Bytes that may be used; by default all that the machine has available.
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
        samples = samples_for(self, X)
        max_memory = as_max_memory(max_memory)
        use.refuse_compacted(self)
        if samples.fingerprint == self.state.fingerprint:
            return self
        if self.state.neurons.cluster is not None:
            raise RuntimeError("the neurons are on a cluster: train on X there, or call fetch() first")
        executor = ThreadExecutor(n_threads)
        try:
            use.claim(self, executor)
            planes = Hyperplanes(samples, drawing.shift_for(self, samples.X))
            memory.refuse_to_draw(self, planes, n_threads, max_memory)
            with executor:
                self.state = drawing.draw(self, planes, None, executor, progress).state
        finally:
            if self.in_training is executor:
                self.in_training = False  # by no call, see `claim`
            executor.close()  # also where Ctrl-C kept it from being closed
        return self

    @property
    def shift_(self) -> float:
        """b; None until the network is drawn."""
        return self.state.shift

    @property
    def n_features_in_(self) -> int:
        """d."""
        return self._of_drawn("n_features_in_").n_features

    @property
    def sampling_(self) -> str:
        """How the neurons were found: "dense" or "rejection"."""
        return self._of_drawn("sampling_").sampling.name

    @property
    def neurons_(self) -> npt.NDArray[np.int64]:
        """The materialised neurons, shape (k,), dtype=int64."""
        shards = self._of_drawn("neurons_").neurons.shards
        return np.concatenate([np.empty(0, np.int64), *(shard.neurons for shard in shards)])

    @property
    def displacement_(self) -> npt.NDArray[np.floating[Any]]:
        """W - W(0) of the materialised neurons, shape (k, d): a copy."""
        none = np.empty((0, self._of_drawn("displacement_").n_features), dtype=self.dtype)
        with use.standing(self) as state:
            return np.concatenate([none, *(shard.displacements() for shard in state.neurons.shards)])

    def _of_drawn(self, name):
        if not self.state.is_drawn:
            raise AttributeError(f"{name} is there once the network is initialised")
        return self.state

    def fetch(self, *, max_memory=None) -> Self:
        """Bring the neurons of a network that was trained on a cluster to this process.

        Parameters
        ----------
        max_memory : float, optional
            Bytes that may be used; by default all that the machine has available.

        Returns
        -------
        ShiftedReLUNetwork
            The network itself, which is the same bit for bit. One that is here already stays as it is.

        Raises
        ------
        MemoryError
            If the network needs more than `max_memory` bytes. It then stays where it is.
        sltrees.cluster.messages.ClusterLostError
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
        use.refuse_undrawn(self)
        use.refuse_in_training(self)
        if self.state.neurons.cluster is not None:
            use.fetch(self, as_max_memory(max_memory))
        return self

    def __getstate__(self):
        """Everything but a training run in progress: copies and pickles are networks of their own."""
        return self.__dict__ | {"state": use.independent_state(self), "in_training": False}

    def __setstate__(self, attributes):
        self.__dict__.update(from_pickle(attributes))

    def save(self, path) -> None:
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
        Everything but a training run in progress goes into the file, as into copies: see `sltrees.network.packing`.
        Cost: O(k d) for k materialised neurons, or O(active pairs d) where displacements are implied.

        Examples
        --------
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/network.npz"
        >>> network = ShiftedReLUNetwork(100, random_state=0).initialize([[1.0, 0.0]])
        >>> network.save(path)
        >>> ShiftedReLUNetwork.load(path).digest() == network.digest()
        True
        """
        write_archive(path, KIND, *pack_network(self))

    @classmethod
    def load(cls, path) -> Self:
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
        sltrees.files.archive.ArchiveError
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
        _, header, arrays, _ = read_archive(path, KIND)
        with making_sense(path, repr(KIND)):
            return unpack_network(header, arrays, ShiftedReLUNetwork)  # whatever a subclass is made with

    def materialised_weights(self, start=0, stop=None) -> npt.NDArray[np.floating[Any]]:
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
        use.refuse_undrawn(self)
        with use.standing(self) as state:
            stop = state.neurons.n_neurons if stop is None else stop
            return weights.materialised(state, start, stop, self.dtype)

    def dense_weights(self) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]:
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
        use.refuse_undrawn(self)
        with use.standing(self) as state:
            return weights.dense(self, state)

    def predict(self, X, *, n_threads=None) -> npt.NDArray[np.float64]:
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
        samples there are, but for a copy of them and some numbers for each: see `sltrees.network.prediction`.

        Examples
        --------
        >>> network = ShiftedReLUNetwork(100, random_state=0).initialize([[1.0, 0.0]])
        >>> network.predict([[0.0, 1.0], [1.0, 0.0]])
        array([0., 0.])
        """
        use.refuse_undrawn(self)
        samples = samples_for(self, X)
        with ThreadExecutor(n_threads) as executor, use.standing(self) as state:
            return outputs(self, state.neurons, samples.X, executor)

    def compact(self) -> Self:
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
        use.refuse_undrawn(self)
        use.refuse_in_training(self)
        use.compact(self)
        return self

    def digest(self) -> str:
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
        use.refuse_undrawn(self)
        with use.standing(self) as state:
            return digest_of(self, state)

    def __copy__(self):
        """An independent network: training it leaves this one alone."""
        return copy.deepcopy(self)

    def __repr__(self) -> str:
        state = self.state
        drawn = f", {state.neurons.n_neurons} materialised, shift_={state.shift:.4g}" if state.is_drawn else ""
        return f"ShiftedReLUNetwork({self.width}, shift={self.shift!r}, init={self.init!r}, dtype={self.dtype}{drawn})"
