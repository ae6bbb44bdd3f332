"""What a run needs of memory, and so how it holds the Gram matrix."""

from __future__ import annotations

import numpy as np

from sltrees._memory import array_bytes, available_memory, physical_memory
from sltrees.gram import HELD_AS
from sltrees.gram.fired_pairs import FiredPairs
from sltrees.gram.matrix import MAX_GRAM
from sltrees.methods.certified.skin import growth_of_pairs
from sltrees.methods.choose import METHODS
from sltrees.network.memory import bytes_needed, neurons_expected, refuse_too_large_together
from sltrees.training.ridge import has_ridge


class Budget:
    """The bytes of a run, before anything is allocated.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    method : str
        A key of `METHODS`.
    planes : Hyperplanes
        Of the samples, for the shift of the network.
    y : ndarray of shape (n,)
    executor : executor
        That of the run.
    alpha : float or "loo"
    max_memory : float, optional
        Bytes that may be used; by default all that the machine has available, or that all workers have. How G is held
        depends on all that the machine has, not on how much of it others use now: so the result does not either.
    max_gram : int, optional
        The largest number of samples for which G is held as an array; by default as many as fit, up to `MAX_GRAM`.
    forcing : "auto" or float
        As of `NewtonTrainer`.
    validation : ValidationSet, optional
    lineage : Lineage, optional
        Of the run. One that is to be replayed says how G was held.
    n_together : int, default 1
        Runs that share what the machine has, or all workers; a `max_memory` is that of each. Whether there is room for
        all is for `refuse_together` to say.

    Attributes
    ----------
    needed : float
        Bytes at most, once how G is held was chosen.

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> from sltrees.execution.inline import InlineExecutor
    >>> from sltrees.network.hyperplanes import Hyperplanes
    >>> network, planes = ShiftedReLUNetwork(1000), Hyperplanes(np.eye(4), shift=1.0)
    >>> Budget(network, "certified", planes, np.ones(4), InlineExecutor()).choose_holding()
    'array'
    >>> Budget(network, "certified", planes, np.ones(4), InlineExecutor(), max_gram=3).choose_holding()
    'products'
    """

    def __init__(
        self,
        network,
        method,
        planes,
        y,
        executor,
        *,
        alpha=0.0,
        max_memory=None,
        max_gram=None,
        forcing="auto",
        validation=None,
        lineage=None,
        n_together=1,
    ):
        self.network, self._name, self._method, self.planes, self._y = network, method, METHODS[method], planes, y
        self._n, self._n_threads = len(planes.X), executor.n_threads
        self._alpha, self._max_memory, self._max_gram, self._forcing = alpha, max_memory, max_gram, forcing
        self._validation, self._lineage = validation, lineage
        self._n_together = n_together
        self._limit = physical_memory() / n_together if max_memory is None else max_memory
        self.allowed, self._array_fits_here = [None if max_memory is None else n_together * max_memory], True
        self._left = available_memory() / n_together if max_memory is None else max_memory
        if executor.cluster is not None and max_memory is None:
            self.allowed = [executor.memory, "all workers together have"]
            self._limit = self._left = executor.memory / n_together
            here = n_together * HELD_AS["array"].bytes_needed(self._n, self._n_threads)
            self._array_fits_here = here <= physical_memory()

    def choose_holding(self):
        """How G is held: a key of `HELD_AS`.

        Raises
        ------
        MemoryError
            If network and Gram matrix together need more than allowed.
        ValueError
            If alpha="loo" needs G as an array, which has no room, or which the method never forms.

        Notes
        -----
        Cost: O(n), and where memory could be short that of estimates from `Population`, once for the samples.
        """
        if self._fits_whatever_fires():
            return "array"
        held_as = self._method.gram_held_as
        others = self._bytes_of_others()
        if "array" not in held_as:
            self._refuse_loo(f"method {self._name!r} never forms")
            return self._checked(held_as[0], others)
        before = None if self._lineage is None else self._lineage.held_as
        if before == "array" or len(held_as) == 1 or (before is None and self._array_is_better(others)):
            return self._checked("array", others)
        self._refuse_loo(
            f"has no room for {self._n} samples (max_gram {self._max_gram}, max_memory {self._max_memory})"
        )
        return self._checked(before or self._held_without_array(), others)

    def _fits_whatever_fires(self):
        """Whether an array fits where each neuron fires on each sample: then nothing is estimated, which takes time."""
        most = bytes_at_most(self.network.width, *self.planes.X.shape, self._n_threads)
        most += self._bytes_of_choice()
        self.needed = most
        plain = self._validation is None and self._lineage is None and self.network.state.method is None
        plain = plain and self._method.leaves_out_silent and self._max_gram is None
        return plain and most <= min(self._limit, self._left) and self._array_fits_here and self._n <= MAX_GRAM

    def _held_without_array(self):
        """How G is held by who has no room for an array: as in earlier versions, where that was asked for."""
        exact = self._max_gram is not None and self._n <= MAX_GRAM and self._forcing == "auto"
        return "products" if exact else "preconditioned"

    def _array_is_better(self, others):
        """Whether G is held as an array by who could do without."""
        if self._max_gram is not None:
            return self._n <= self._max_gram
        return others + self._bytes_of_gram("array") <= self._limit and self._array_fits_here and self._n <= MAX_GRAM

    def _bytes_of_gram(self, name):
        """Of G held so, and of what its use takes."""
        needed = HELD_AS[name].bytes_needed(self._n, self._n_threads)
        if name == "preconditioned":
            pairs = growth_of_pairs(self._n) * self.network.width * float(self.planes.firing.sum())
            needed += FiredPairs.bytes_needed(pairs, self.planes.X)
        return needed + self._bytes_of_choice()

    def _bytes_of_choice(self):
        """Of alpha="loo": the eigenvectors, their squares, and what finding them takes."""
        return 40 * self._n**2 if self._alpha == "loo" else 0

    def _bytes_of_others(self):
        """Of all but G: samples, neurons, and what the method knows of them."""
        network, X = self.network, self.planes.X
        neurons = neurons_expected(network, self.planes)
        needed = X.nbytes + array_bytes(*X.shape, dtype=np.float64)
        needed += bytes_needed(network, self.planes, self._n_threads, neurons=neurons)
        if self._validation is not None:
            needed += self._validation.bytes_needed(neurons, network.dtype)
        before = network.state.method
        if self._lineage is not None:
            needed += self._lineage.bytes_needed(network)
            before = None  # the run begins anew
        if before is not None and not before.serves(X, has_ridge(self._alpha)):
            before = None
        alpha = 0.0 if self._alpha == "loo" else self._alpha
        return needed + self._method.bytes_needed(
            network, self.planes, self._y, neurons, self._n_threads, alpha=alpha, before=before
        )

    def _refuse_loo(self, why):
        if self._alpha == "loo":
            raise ValueError(f"alpha='loo' needs the Gram matrix as an array, which {why}; give alpha as a number")

    def _checked(self, name, others):
        """The name, if there is room for G held so. Sets: needed."""
        self.needed = others + self._bytes_of_gram(name)
        if self._n_together == 1:
            refuse_together([self])
        return name


def refuse_together(budgets):
    """MemoryError if runs that are in memory at a time need more than allowed.

    Parameters
    ----------
    budgets : list of Budget
        Of which all have chosen how G is held, on the same samples and of the same limits.

    Raises
    ------
    MemoryError
        The message gives the bytes of all.

    Notes
    -----
    Cost: O(1) for each.
    """
    one = budgets[0]
    needed = sum(budget.needed for budget in budgets)
    needed -= (len(budgets) - 1) * one.planes.X.nbytes  # which is there once
    refuse_too_large_together([budget.network for budget in budgets], needed, one.planes.X, *one.allowed)


def bytes_at_most(width, n_samples, n_features, n_threads):
    """Bytes of a run with G as an array where each neuron fires on each sample: nothing is estimated.

    Parameters
    ----------
    width, n_samples, n_features, n_threads : int

    Returns
    -------
    float

    Notes
    -----
    Cost: O(n).
    """
    neurons = width * (64.0 * n_samples + 64.0 * n_features + 512.0) + 64.0 * n_samples * n_features
    return HELD_AS["array"].bytes_needed(n_samples, n_threads) + neurons
