"""Draws in proportion to priorities, from the slots of a ring: the sampler of a replay buffer."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from sltrees._core import SumTree, ThresholdTree
from sltrees._core._boundary import as_integers, within
from sltrees._core._sum_tree import as_amounts
from sltrees._validation import as_float_dtype, as_integer, as_non_negative, as_share

_PENDING_CALLS = 64  # so many batches may wait to be looked at for the maximum


class PrioritizedSampler:
    """Which transitions of a replay buffer to learn from: draws in proportion to priorities, and importance weights.

    It knows slots and priorities, not what is stored: keep that in arrays of `capacity` entries, at the same slots.

    Parameters
    ----------
    capacity : int
        Number of slots, at least 1.
    alpha : float, default 0.6
        A slot is drawn in proportion to ``(priority + epsilon) ** alpha``: 0 draws all alike.
    beta : float, default 0.4
        Exponent of the importance weights, from 0 (all are 1) to 1 (they undo the bias). May be changed at any time.
    epsilon : float, default 1e-8
        Added to priorities, so that none of 0 is never drawn again.
    dtype : {numpy.float32, numpy.float64}, default numpy.float32
        Of the weights. Priorities are float64 inside.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or out of range.
    MemoryError
        If there is no memory for so many slots.

    Notes
    -----
    Arrays may come from anywhere that NumPy reads without a copy: tensors of PyTorch on the CPU (without gradient), and
    what has `__array__` or DLPack. ``torch.from_numpy`` takes the results as they are.

    Memory: 20 bytes a slot. Cost: see the methods; none depends on how many slots there are but by its logarithm.

    References
    ----------
    Schaul, Quan, Antonoglou, Silver, "Prioritized Experience Replay", ICLR 2016.

    See Also
    --------
    sltrees.SumTree : the tree of ``(priority + epsilon) ** alpha``, which is the attribute `tree`.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees import PrioritizedSampler
    >>> sampler = PrioritizedSampler(1000, alpha=1.0, beta=1.0)
    >>> slots = sampler.add(4)                      # as likely as the likeliest so far
    >>> sampler.update(slots, [1.0, 2.0, 0.0, 1.0])
    >>> slots, weights = sampler.sample(4, np.random.default_rng(0), stratified=True)
    >>> slots
    array([0, 1, 1, 3])
    >>> sampler.sample(2, np.random.default_rng(0), replace=False)[0].tolist()
    [1, 0]
    """

    def __init__(
        self,
        capacity: int,
        *,
        alpha: float = 0.6,
        beta: float = 0.4,
        epsilon: float = 1e-8,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        capacity = as_integer(capacity, "capacity", minimum=1)
        self._alpha, self._epsilon = as_non_negative(alpha, "alpha"), as_non_negative(epsilon, "epsilon")
        self.beta, self._dtype = beta, as_float_dtype(dtype)
        self._tree = SumTree(np.zeros(capacity))
        # The maximum is looked up in a tree of its own, which follows when it is asked for: `_pending` are the slots
        # that may have changed since. They are noted before anything is written, so an interruption loses none.
        self._maxima = ThresholdTree(np.zeros(capacity))
        self._pending = []
        self._n_added = 0  # ever; the next slot and how many are filled follow from it

    # ------------------------------------------------------------------ what there is

    @property
    def capacity(self) -> int:
        """Number of slots."""
        return len(self._tree)

    @property
    def alpha(self) -> float:
        """Exponent of the priorities."""
        return self._alpha

    @property
    def epsilon(self) -> float:
        """What is added to priorities."""
        return self._epsilon

    @property
    def beta(self) -> float:
        """Exponent of the importance weights."""
        return self._beta

    @beta.setter
    def beta(self, value: float) -> None:
        self._beta = as_share(value, "beta")

    @property
    def tree(self) -> SumTree:
        """The `SumTree` of ``(priority + epsilon) ** alpha``, 0 where nothing has been added yet. To be read."""
        return self._tree

    @property
    def max_priority(self) -> float:
        """The largest priority there is now, 1.0 where nothing has been added or alpha is 0: that of new slots.

        Cost: that of `ThresholdTree.update_many` for the slots written since it was asked for last.
        """
        largest = self._largest()
        return max(0.0, largest ** (1 / self._alpha) - self._epsilon) if len(self) and self._alpha else 1.0

    def __len__(self) -> int:
        return min(self._n_added, self.capacity)

    def __copy__(self):
        return copy.deepcopy(self)  # trees are not shared

    def __repr__(self) -> str:
        return (
            f"<PrioritizedSampler of {len(self)} of {self.capacity} slots, alpha {self._alpha:g}, beta {self._beta:g}>"
        )

    # ------------------------------------------------------------------ writing

    def add(self, k: int = 1, priorities: npt.ArrayLike | None = None) -> npt.NDArray[np.int64]:
        """Take the next slots of the ring, those of the oldest transitions once it is full.

        Parameters
        ----------
        k : int, default 1
            How many, from 0 to `capacity`.
        priorities : array_like of shape (k,), or float, optional
            At least 0. By default the largest priority that there is, so that what is new is soon looked at.

        Returns
        -------
        ndarray of shape (k,), dtype=int64
            The slots, in order.

        Raises
        ------
        TypeError, ValueError
            If k is out of range, or priorities are negative, NaN, infinite, too large or not k of them. Nothing has
            changed then.

        Notes
        -----
        Cost: O(k log n).

        Examples
        --------
        >>> from sltrees import PrioritizedSampler
        >>> sampler = PrioritizedSampler(3)
        >>> sampler.add(2), sampler.add(2)
        (array([0, 1]), array([2, 0]))
        """
        k = as_integer(k, "k", minimum=0, maximum=self.capacity)
        slots = np.arange(self._n_added, self._n_added + k) % self.capacity
        amounts = np.full(k, self._largest()) if priorities is None else self._amounts(priorities, slots)
        # counted first: a slot that is there but for its priority is not drawn
        self._n_added += k
        self._write(slots, amounts)
        return slots

    def update(self, slots: npt.ArrayLike, priorities: npt.ArrayLike) -> None:
        """Set the priorities of slots, as a rule the errors found in learning from them.

        Parameters
        ----------
        slots : array_like of shape (k,), integers
            Among those that were added. Of equal slots the last one wins.
        priorities : array_like of shape (k,), or float
            At least 0.

        Raises
        ------
        TypeError, IndexError, ValueError
            If slots are no integers or nothing was added there, or priorities are negative, NaN, infinite, too large or
            not as many. Nothing has changed then.

        Notes
        -----
        Cost: O(k log n).

        Examples
        --------
        >>> from sltrees import PrioritizedSampler
        >>> sampler = PrioritizedSampler(3)
        >>> sampler.update(sampler.add(2), [0.5, 2.0])
        >>> round(sampler.max_priority, 6)
        2.0
        """
        slots = within(as_integers(_as_array(slots), "slots"), len(self), "slots")
        self._write(slots, self._amounts(priorities, slots))

    def _amounts(self, priorities, slots):
        """What is summed for priorities."""
        priorities = _as_array(priorities)
        if np.ndim(priorities):
            exact = as_amounts(priorities, "priorities")
            if exact.shape != slots.shape:
                raise ValueError(f"priorities must be one for each of {slots.size} slots, got shape {exact.shape}")
        else:
            exact = np.full(slots.shape, as_amounts([priorities], "priorities")[0])
        amounts = exact + self._epsilon
        if self._alpha > 1:  # what is large may become too large
            with np.errstate(over="ignore"):
                return as_amounts(np.power(amounts, self._alpha, out=amounts), "priorities ** alpha")
        return amounts if self._alpha == 1 else np.power(amounts, self._alpha, out=amounts)

    def _write(self, slots, amounts):
        """Set what is summed."""
        if len(self._pending) >= _PENDING_CALLS:
            self._largest()
        self._pending.append(slots.copy())  # the caller may change his
        self._tree.update_many(slots, amounts)

    def _largest(self):
        """The largest of what is summed; that of priority 1 where nothing was added."""
        n_pending = len(self._pending)
        if n_pending:
            slots = np.concatenate(self._pending[:n_pending])
            self._maxima.update_many(slots, self._tree.values[slots])
            del self._pending[:n_pending]
        return (self._maxima.max() if self._n_added else 0.0) or (1.0 + self._epsilon) ** self._alpha

    # ------------------------------------------------------------------ drawing

    def sample(
        self,
        k: int,
        rng: np.random.Generator | int | None = None,
        *,
        beta: float | None = None,
        replace: bool = True,
        stratified: bool = False,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.floating[Any]]]:
        """Draw slots in proportion to ``(priority + epsilon) ** alpha``.

        Parameters
        ----------
        k : int
            How many, at least 0.
        rng : None, int, or numpy.random.Generator
            Where random numbers come from, as of `numpy.random.default_rng`.
        beta : float, optional
            Exponent of the weights of these draws, instead of `beta`.
        replace, stratified : bool
            As of `SumTree.sample`.

        Returns
        -------
        slots : ndarray of shape (k,), dtype=int64
        weights : ndarray of shape (k,)
            Importance weights, (probability of a slot) ** -beta, divided by the largest of all slots: at most 1.

        Raises
        ------
        TypeError, ValueError
            If beta is not from 0 to 1, or as of `SumTree.sample`: where nothing was added, nothing can be drawn.

        Notes
        -----
        Cost: O(k log n).

        Examples
        --------
        >>> import numpy as np
        >>> from sltrees import PrioritizedSampler
        >>> sampler = PrioritizedSampler(3, alpha=1.0, epsilon=0.0)
        >>> sampler.update(sampler.add(2), [1.0, 4.0])
        >>> slots, weights = sampler.sample(4, np.random.default_rng(0), beta=0.5, stratified=True)
        >>> slots, weights
        (array([0, 1, 1, 1]), array([1. , 0.5, 0.5, 0.5], dtype=float32))
        """
        beta = self._beta if beta is None else as_share(beta, "beta")
        slots = self._tree.sample(k, rng, replace=replace, stratified=stratified)
        ratios = self._tree.min_positive / self._tree.values[slots]
        return slots, np.power(ratios, beta, out=ratios).astype(self._dtype)

    # ------------------------------------------------------------------ for tests

    def _check(self):
        """Assert every invariant of the structure. Cost: O(n)."""
        self._tree._check()
        self._maxima._check()
        values = self._tree.values
        assert not values[len(self) :].any()
        settled = np.ones(self.capacity, dtype=bool)
        for slots in self._pending:
            settled[slots] = False
        assert np.array_equal(self._maxima.values[settled], values[settled])
        assert not len(self) or self._largest() == (values.max() or (1.0 + self._epsilon) ** self._alpha)


def _as_array(values):
    """An array over what has one to offer: `__array__` is asked by NumPy itself, DLPack here."""
    if not hasattr(values, "__array__") and hasattr(values, "__dlpack__"):
        return np.from_dlpack(values)
    return np.asarray(values) if hasattr(values, "__array__") else values
