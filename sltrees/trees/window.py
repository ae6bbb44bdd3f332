"""The last values of a stream, asked which of them are above a threshold, in the order of time."""

from __future__ import annotations

import copy
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sltrees._core import ThresholdTree
from sltrees._core._boundary import as_integer as any_integer
from sltrees._core._boundary import as_real_array, as_threshold
from sltrees._validation import as_choice, as_float_dtype, as_integer


class ThresholdWindow:
    """The last `capacity` values of a stream: which of the last k, or of those since a time, are above t.

    Values are numbered as they come, 0, 1, 2, ...; these numbers are what queries report, in the order of time. The
    oldest value makes room for the newest.

    Parameters
    ----------
    capacity : int
        How many values are kept, at least 1.
    orientation : {"max", "min"}, default "max"
        "max" reports values above a threshold; "min" reports values below it.
    dtype : {numpy.float32, numpy.float64}, default numpy.float64
        Of the values.
    timed : bool, default False
        Whether values come with times, which never decrease.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or out of range.
    MemoryError
        If there is no memory for so many values.

    Notes
    -----
    A `ThresholdTree` over a ring. Memory: that of the tree, and 8 bytes a value for times.

    Queries take `last`, a number of values, or `since`, a time: only values that came at that time or later count,
    found by bisection. Without either, all values that are kept count.

    Examples
    --------
    >>> from sltrees import ThresholdWindow
    >>> window = ThresholdWindow(4)
    >>> window.extend([5.0, 1.0, 3.0, 2.0, 4.0])        # 5.0 is gone
    >>> window.query(2.5), window.query(2.5, last=2)
    (array([2, 4]), array([4]))
    >>> window.max(), window.max(last=3), window.first(2.0)
    (4.0, 4.0, 2)
    """

    def __init__(
        self,
        capacity: int,
        *,
        orientation: Literal["max", "min"] = "max",
        dtype: npt.DTypeLike = np.float64,
        timed: bool = False,
    ) -> None:
        capacity, dtype = as_integer(capacity, "capacity", minimum=1), as_float_dtype(dtype)
        as_choice(orientation, "orientation", ("max", "min"))
        worst = -np.inf if orientation == "max" else np.inf
        self._tree = ThresholdTree(np.full(capacity, worst, dtype=dtype), orientation=orientation)
        self._times = np.full(capacity, -np.inf) if timed else None
        self._n_pushed = 0  # ever; all else follows from it

    # ------------------------------------------------------------------ what there is

    @property
    def capacity(self) -> int:
        """How many values are kept at most."""
        return len(self._tree)

    @property
    def orientation(self) -> str:
        """ "max" or "min"."""
        return self._tree.orientation

    @property
    def n_pushed(self) -> int:
        """How many values have come: the number of the next one."""
        return self._n_pushed

    def __len__(self) -> int:
        return min(self._n_pushed, self.capacity)

    def __copy__(self):
        return copy.deepcopy(self)  # trees are not shared

    def values(self, *, last: int | None = None, since: float | None = None) -> npt.NDArray[np.floating[Any]]:
        """The values, oldest first: a copy. Cost: O(k).

        Parameters
        ----------
        last : int, optional
        since : float, optional

        Returns
        -------
        ndarray of shape (k,), dtype of the window

        Examples
        --------
        >>> from sltrees import ThresholdWindow
        >>> window = ThresholdWindow(3)
        >>> window.extend([1.0, 2.0, 3.0, 4.0])
        >>> window.values()
        array([2., 3., 4.])
        """
        return np.concatenate([self._tree[start:stop] for start, stop, _ in self._parts(last, since)])

    def times(self) -> npt.NDArray[np.float64]:
        """The times of the values that are kept, oldest first: a copy. Cost: O(n).

        Returns
        -------
        ndarray of shape (n,), dtype=float64

        Raises
        ------
        ValueError
            If the window has no times.

        Examples
        --------
        >>> from sltrees import ThresholdWindow
        >>> window = ThresholdWindow(3, timed=True)
        >>> window.push(1.0, 0.25)
        >>> window.times()
        array([0.25])
        """
        self._refuse_untimed("times")
        return np.concatenate([self._times[start:stop] for start, stop, _ in self._parts(None, None)])

    # ------------------------------------------------------------------ writing

    def push(self, value: float, time: float | None = None) -> None:
        """Add one value; the oldest goes if there is no room.

        Parameters
        ----------
        value : float
            Not NaN.
        time : float
            If the window is `timed`: not before that of the last value.

        Raises
        ------
        TypeError, ValueError
            If the value or the time is not a real number, NaN, or the time is too early, missing, or not wanted.
            Nothing has changed then.

        Notes
        -----
        Cost: O(log n).

        Examples
        --------
        >>> from sltrees import ThresholdWindow
        >>> window = ThresholdWindow(3, timed=True)
        >>> window.push(1.0, 0.25)
        """
        slot = self._n_pushed % self.capacity
        if time is not None or self._times is not None:
            exact = self._checked_times(None if time is None else [as_threshold(time)], 1)
            self._tree[slot] = value
            self._times[slot] = exact[0]
        else:
            self._tree[slot] = value
        self._n_pushed += 1

    def extend(self, values: npt.ArrayLike, times: npt.ArrayLike | None = None) -> None:
        """Add many values, in the order of time.

        Parameters
        ----------
        values : array_like of shape (k,)
            Not NaN.
        times : array_like of shape (k,)
            If the window is `timed`: none before the one ahead of it.

        Raises
        ------
        TypeError, ValueError
            As of `push`, or if there are not as many times as values. Nothing has changed then.

        Notes
        -----
        Cost: O(k log n) at worst.

        Examples
        --------
        >>> from sltrees import ThresholdWindow
        >>> window = ThresholdWindow(3, timed=True)
        >>> window.extend([1.0, 5.0, 2.0], [0.0, 0.5, 0.5])
        >>> window.query(1.5, since=0.5)
        array([1, 2])
        """
        exact = as_real_array(values, "values", 1)
        if times is not None or self._times is not None:
            times = self._checked_times(times, exact.size)
        kept = min(exact.size, self.capacity)  # of more than the window holds only the last
        slots = np.arange(self._n_pushed + exact.size - kept, self._n_pushed + exact.size) % self.capacity
        self._tree.update_many(slots, exact[exact.size - kept :])
        if times is not None:
            self._times[slots] = times[exact.size - kept :]
        self._n_pushed += exact.size

    def _checked_times(self, times, n):
        """Times of values that come now."""
        self._refuse_untimed("a time")
        if times is None:
            raise ValueError("a timed window needs the time of each value")
        exact = as_real_array(times, "times", 1).astype(np.float64, copy=False)
        if exact.size != n:
            raise ValueError(f"times must be one for each of {n} values, got {exact.size}")
        before = self._times[(self._n_pushed - 1) % self.capacity] if self._n_pushed else -np.inf
        if n and (exact[0] < before or np.any(exact[1:] < exact[:-1])):
            raise ValueError(f"times must not decrease, got {exact.min()} after {max(before, exact.max())}")
        return exact

    def _refuse_untimed(self, what):
        if self._times is None:
            raise ValueError(f"{what}: only a window made with timed=True has times")

    # ------------------------------------------------------------------ queries

    def query(
        self, threshold: float, *, last: int | None = None, since: float | None = None, return_values: bool = False
    ) -> Any:
        """Numbers of the values above the threshold (below it, for orientation "min"), in the order of time.

        Parameters
        ----------
        threshold : float
            Compared strictly and exactly, as by `ThresholdTree.query`.
        last : int, optional
            Only the last so many values count; more than there are means all.
        since : float, optional
            Only values of that time or later count.
        return_values : bool, default False
            Return the values with the numbers.

        Returns
        -------
        numbers : ndarray of shape (k,), dtype=int64
        values : ndarray of shape (k,), dtype of the window
            Only if `return_values`.

        Raises
        ------
        TypeError, ValueError
            If the threshold is not a real number or NaN, `last` is negative, or both `last` and `since` are given.

        Notes
        -----
        Cost: that of two queries of the tree.

        Examples
        --------
        >>> from sltrees import ThresholdWindow
        >>> window = ThresholdWindow(3)
        >>> window.extend([1.0, 7.0, 3.0, 8.0])
        >>> window.query(5.0, return_values=True)
        (array([1, 3]), array([7., 8.]))
        """
        parts = self._parts(last, since)
        found = [self._tree.query(threshold, start, stop) for start, stop, _ in parts]
        numbers = np.concatenate([hits + offset for hits, (_, _, offset) in zip(found, parts, strict=True)])
        return (numbers, self._tree[np.concatenate(found)]) if return_values else numbers

    def count(self, threshold: float, *, last: int | None = None, since: float | None = None) -> int:
        """How many values `query` would report. Cost: as `ThresholdTree.count`.

        Parameters
        ----------
        threshold : float
        last : int, optional
        since : float, optional

        Returns
        -------
        int

        Examples
        --------
        >>> from sltrees import ThresholdWindow
        >>> window = ThresholdWindow(3)
        >>> window.extend([1.0, 7.0, 3.0, 8.0])
        >>> window.count(5.0, last=2)
        1
        """
        return sum(self._tree.count(threshold, start, stop) for start, stop, _ in self._parts(last, since))

    def first(self, threshold: float, *, last: int | None = None, since: float | None = None) -> int:
        """The number of the oldest value that `query` would report; -1 if there is none. Cost: O(log n).

        Parameters
        ----------
        threshold : float
        last : int, optional
        since : float, optional

        Returns
        -------
        int

        Examples
        --------
        >>> from sltrees import ThresholdWindow
        >>> window = ThresholdWindow(3)
        >>> window.extend([1.0, 7.0, 3.0, 8.0])
        >>> window.first(5.0), window.first(9.0)
        (1, -1)
        """
        for start, stop, offset in self._parts(last, since):
            slot = self._tree.first(threshold, start, stop)
            if slot >= 0:
                return slot + offset
        return -1

    def max(self, *, last: int | None = None, since: float | None = None) -> float:
        """The largest value; with orientation "min", the smallest. Cost: O(log n).

        Parameters
        ----------
        last : int, optional
        since : float, optional

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If no value counts.

        Examples
        --------
        >>> from sltrees import ThresholdWindow
        >>> window = ThresholdWindow(3)
        >>> window.extend([1.0, 7.0, 3.0, 2.0])
        >>> window.max(), window.max(last=2)
        (7.0, 3.0)
        """
        best = [self._tree.max(start, stop) for start, stop, _ in self._parts(last, since) if start < stop]
        if not best:
            raise ValueError("max of no values")
        return max(best) if self.orientation == "max" else min(best)

    def __repr__(self) -> str:
        return f"<ThresholdWindow of {len(self)} of {self.capacity} values, orientation {self.orientation!r}>"

    # ------------------------------------------------------------------ internals

    def _parts(self, last, since):
        """Where the values that count are, oldest first: two ranges of slots, and number minus slot of each."""
        n, capacity = self._n_pushed, self.capacity
        begin = n - len(self)
        if last is not None and since is not None:
            raise ValueError(f"last and since must not go together, got last={last} and since={since}")
        if last is not None:
            k = any_integer(last, "last")
            if k < 0:
                raise ValueError(f"last must be at least 0, got {last}")
            begin = max(begin, n - k)
        elif since is not None:
            self._refuse_untimed("since")
            begin = self._since(as_threshold(since), begin)
        turn = n - n % capacity  # the number that is in slot 0, or would be next
        if begin >= turn:
            return [(begin - turn, n - turn, turn), (0, 0, 0)]
        return [(begin - turn + capacity, capacity, turn - capacity), (0, n - turn, turn)]

    def _since(self, time, begin):
        """The number of the first value from `begin` on of this time or later."""
        turn = self._n_pushed - self._n_pushed % self.capacity
        if begin < turn:
            old = self._times[begin - turn + self.capacity :]
            at = int(np.searchsorted(old, time))
            if at < old.size:
                return begin + at
            begin = turn
        return begin + int(np.searchsorted(self._times[begin - turn : self._n_pushed - turn], time))

    def _check(self):
        """Assert every invariant of the structure. Cost: O(n)."""
        self._tree._check()
        worst = -np.inf if self.orientation == "max" else np.inf
        assert np.all(self._tree.values[len(self) :] == worst)
        assert self._times is None or np.all(np.diff(self.times()) >= 0)
