"""A threshold tree of 64-bit integers, compared exactly."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from sltrees._core import ThresholdTree
from sltrees._core._boundary import as_integer, as_integers, as_places

# An integer v is the float64 whose bits are those of |v| + 2**52, with the sign of v: of two of them the one with more
# bits is larger, so that float64 compares them as integers. Below 2**52 would be subnormal numbers, which some programs
# have processors take for zero; the largest is the last finite number.
_BIAS = 1 << 52
_LARGEST = 0x7FEF_FFFF_FFFF_FFFF - _BIAS


class IntegerTree:
    """A `ThresholdTree` of int64: nanoseconds since 1970, identifiers, counts beyond 2**53.

    Parameters
    ----------
    values : array_like of shape (n,), integers
        At most 9,214,364,837,600,034,815 in size, which is 2**63 less a thousandth. Copied.
    orientation : {"max", "min"}, default "max"
        "max" reports values above a threshold; "min" reports values below it.

    Attributes
    ----------
    LARGEST : int
        The largest size of a value.

    Raises
    ------
    TypeError
        If the values are not integers.
    ValueError
        If `values` is not one-dimensional, a value is too large, or `orientation` is unknown.

    Notes
    -----
    Every integer stands for a float64 in the same order, so the kernels are those of float64, and nothing is rounded.
    Thresholds may be any real numbers: they are compared as these numbers, as far as they are float, int or Fraction.

    Cost and memory: those of a `ThresholdTree` of float64, and a pass over what is written.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees import IntegerTree
    >>> due = IntegerTree(1_700_000_000_000_000_000 + np.arange(0, 300, 50), orientation="min")
    >>> due.query(1_700_000_000_000_000_101)
    array([0, 1, 2])
    >>> due[1] = 1_800_000_000_000_000_000
    >>> due.query(1_700_000_000_000_000_100, inclusive=True), due.max()
    (array([0, 2]), 1700000000000000000)
    """

    LARGEST = _LARGEST

    def __init__(self, values: npt.ArrayLike, *, orientation: Literal["max", "min"] = "max") -> None:
        self._tree = ThresholdTree(_encoded(values), orientation=orientation)

    # ------------------------------------------------------------------ queries

    def query(
        self,
        threshold: float,
        start: int = 0,
        stop: int | None = None,
        *,
        return_values: bool = False,
        inclusive: bool = False,
    ) -> Any:
        """Indices of all values above the threshold (below it, for orientation "min"), ascending.

        Parameters
        ----------
        threshold : int or float
            Compared exactly, and strictly unless `inclusive`.
        start, stop : int, optional
            Only indices in [start, stop) are reported; by default all.
        return_values : bool, default False
            Return the values with the indices.
        inclusive : bool, default False
            Values equal to the threshold pass, too.

        Returns
        -------
        indices : ndarray of shape (k,), dtype=int64
        values : ndarray of shape (k,), dtype=int64
            Only if `return_values`.

        Raises
        ------
        TypeError, ValueError
            As of `ThresholdTree.query`.

        Notes
        -----
        Cost: that of `ThresholdTree.query`.

        Examples
        --------
        >>> from sltrees import IntegerTree
        >>> IntegerTree([2**60, 2**60 + 1]).query(2**60, return_values=True)
        (array([1]), array([1152921504606846977]))
        """
        limit = self._limit(threshold, inclusive)
        indices = self._tree.query(limit, start, stop, inclusive=inclusive)
        return (indices, self[indices]) if return_values else indices

    def count(self, threshold: float, start: int = 0, stop: int | None = None, *, inclusive: bool = False) -> int:
        """How many values pass.

        Parameters
        ----------
        threshold : int or float
        start, stop : int, optional
        inclusive : bool, default False
            As for `query`.

        Returns
        -------
        int

        Notes
        -----
        Cost: that of `ThresholdTree.count`.

        Examples
        --------
        >>> from sltrees import IntegerTree
        >>> IntegerTree([1, 5, 2]).count(1.5)
        2
        """
        return self._tree.count(self._limit(threshold, inclusive), start, stop, inclusive=inclusive)

    def first(self, threshold: float, start: int = 0, stop: int | None = None, *, inclusive: bool = False) -> int:
        """Lowest index of a value that passes, -1 if there is none.

        Parameters
        ----------
        threshold : int or float
        start, stop : int, optional
        inclusive : bool, default False
            As for `query`.

        Returns
        -------
        int

        Notes
        -----
        Cost: O(log n) blocks.

        Examples
        --------
        >>> from sltrees import IntegerTree
        >>> IntegerTree([1, 5, 2]).first(1)
        1
        """
        return self._tree.first(self._limit(threshold, inclusive), start, stop, inclusive=inclusive)

    def last(self, threshold: float, start: int = 0, stop: int | None = None, *, inclusive: bool = False) -> int:
        """Highest index of a value that passes, -1 if there is none.

        Parameters
        ----------
        threshold : int or float
        start, stop : int, optional
        inclusive : bool, default False
            As for `query`.

        Returns
        -------
        int

        Notes
        -----
        Cost: O(log n) times that of `first`.

        Examples
        --------
        >>> from sltrees import IntegerTree
        >>> IntegerTree([1, 5, 2]).last(1)
        2
        """
        return self._tree.last(self._limit(threshold, inclusive), start, stop, inclusive=inclusive)

    def max(self, start: int = 0, stop: int | None = None) -> int:
        """The largest value; of a tree with orientation "min", the smallest.

        Parameters
        ----------
        start, stop : int, optional
            Only indices in [start, stop) count; by default all.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If there is no value.

        Notes
        -----
        Cost: one block; of a range, O(W log n).

        Examples
        --------
        >>> from sltrees import IntegerTree
        >>> IntegerTree([1, 5, 2]).max()
        5
        """
        return int(_decoded(np.array(self._tree.max(start, stop))))

    def argmax(self) -> int:
        """Index of the largest value (of the smallest, for orientation "min"), the lowest one of ties.

        Returns
        -------
        int

        Notes
        -----
        Cost: O(log n) blocks.

        Examples
        --------
        >>> from sltrees import IntegerTree
        >>> IntegerTree([1, 5, 2]).argmax()
        1
        """
        return self._tree.argmax()

    def topk(self, k: int) -> npt.NDArray[np.int64]:
        """Indices of the k largest values (smallest, for orientation "min"), best first.

        Parameters
        ----------
        k : int
            At least 0; more than n means all n.

        Returns
        -------
        ndarray of shape (min(k, n),), dtype=int64

        Notes
        -----
        Cost: O(k W log n).

        Examples
        --------
        >>> from sltrees import IntegerTree
        >>> IntegerTree([1, 5, 2]).topk(2)
        array([1, 2])
        """
        return self._tree.topk(k)

    # ------------------------------------------------------------------ writing

    def update_many(self, indices: npt.ArrayLike, values: npt.ArrayLike, *, crossing: float | None = None) -> Any:
        """Set many values at once.

        Parameters
        ----------
        indices : array_like of shape (k,), integers
            In [0, n). Of equal indices the last one wins.
        values : array_like of shape (k,), or int
        crossing : int or float, optional
            Report which values this moves across a threshold.

        Returns
        -------
        None, or tuple (entered, left) of int64 ndarrays

        Raises
        ------
        TypeError, ValueError, IndexError
            As of `ThresholdTree.update_many`. Nothing has changed then.

        Notes
        -----
        Cost: that of `ThresholdTree.update_many`.

        Examples
        --------
        >>> from sltrees import IntegerTree
        >>> tree = IntegerTree([1, 5, 2])
        >>> tree.update_many([0, 1], [2**62, 0], crossing=3)
        (array([0]), array([1]))
        """
        limit = None if crossing is None else self._limit(crossing, False)
        return self._tree.update_many(indices, _encoded(values), crossing=limit)

    def append(self, value: int) -> None:
        """Add one value at the end. Cost: amortised O(1).

        Parameters
        ----------
        value : int

        Examples
        --------
        >>> from sltrees import IntegerTree
        >>> tree = IntegerTree([1])
        >>> tree.append(7)
        >>> tree.tolist()
        [1, 7]
        """
        self._tree.append(_encoded(as_integer(value, "value")))

    def extend(self, values: npt.ArrayLike) -> None:
        """Add many values at the end. Cost: amortised O(k + log n).

        Parameters
        ----------
        values : array_like of shape (k,), integers

        Examples
        --------
        >>> from sltrees import IntegerTree
        >>> tree = IntegerTree([1])
        >>> tree.extend([7, 8])
        >>> tree.tolist()
        [1, 7, 8]
        """
        self._tree.extend(_encoded(values))

    # ------------------------------------------------------------------ as a sequence

    @property
    def values(self) -> npt.NDArray[np.int64]:
        """The values, a copy: ndarray of shape (n,), dtype=int64. Cost: O(n)."""
        return _decoded(self._tree.values)

    @property
    def orientation(self) -> str:
        """ "max" or "min"."""
        return self._tree.orientation

    @property
    def dtype(self) -> np.dtype[np.int64]:
        """int64."""
        return np.dtype(np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._tree.nbytes

    def tolist(self) -> list[int]:
        """The values as a list of int. Cost: O(n).

        Returns
        -------
        list of int

        Examples
        --------
        >>> from sltrees import IntegerTree
        >>> IntegerTree([1, 2**62]).tolist()
        [1, 4611686018427387904]
        """
        return self.values.tolist()

    def __len__(self) -> int:
        return len(self._tree)

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def __getitem__(self, key: Any) -> Any:
        """Values as by NumPy's indices: an int, or a copy of several."""
        found = _decoded(np.asarray(self._tree[key]))
        return int(found) if found.ndim == 0 else found

    def __setitem__(self, key: Any, value: npt.ArrayLike) -> None:
        new, where = _encoded(value), as_places(key, self._tree.values)
        self._tree[key] = new if np.ndim(where) else float(np.asarray(new).reshape(()))

    def __array__(self, dtype: npt.DTypeLike = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self.values.astype(dtype or np.int64, copy=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IntegerTree):
            return NotImplemented
        return self.orientation == other.orientation and np.array_equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        best = f", {self.orientation} {self.max()}" if len(self) else ""
        return f"<IntegerTree of {len(self)} int64 values{best}>"

    def copy(self) -> Self:
        """An independent tree. Cost: O(n).

        Returns
        -------
        IntegerTree

        Examples
        --------
        >>> from sltrees import IntegerTree
        >>> tree = IntegerTree([1, 2])
        >>> other = tree.copy()
        >>> other[0] = 7
        >>> tree.tolist(), other.tolist()
        ([1, 2], [7, 2])
        """
        return type(self)(self.values, orientation=self.orientation)

    __copy__ = copy

    # ------------------------------------------------------------------ internals

    def _limit(self, threshold, inclusive):
        """What stands for a threshold: the integer on that side of it on which values pass as they pass it."""
        if not isinstance(threshold, numbers.Real) or isinstance(threshold, bool):
            raise TypeError(f"threshold must be a real number, got {threshold!r}")
        if threshold != threshold:
            raise ValueError("threshold must not be NaN")
        if isinstance(threshold, numbers.Integral):
            whole = int(threshold)
        elif not isinstance(threshold, numbers.Rational) and math.isinf(threshold):
            return float(threshold)
        else:
            down = (self.orientation == "max") != inclusive  # above t is above the integer below it
            whole = math.floor(threshold) if down else math.ceil(threshold)
        if abs(whole) > _LARGEST:  # beyond all values
            return math.inf if whole > 0 else -math.inf
        return float(_encoded(whole))

    def _check(self):
        """Assert every invariant: those of the tree, and that its numbers stand for integers. Cost: O(n)."""
        self._tree._check()
        assert np.array_equal(_encoded(self.values), self._tree.values)


def _encoded(values):
    """The float64 that stand for integers; TypeError for anything else, ValueError for those that are too large."""
    if np.ndim(values) == 0:
        whole = np.array(as_integer(np.asarray(values)[()], "values"), dtype=object)
    else:
        try:
            whole = as_integers(values, "values")
        except TypeError:
            whole = np.array(values, dtype=object)  # integers of more than 64 bits have no dtype
            if not all(isinstance(v, int) for v in whole) or not any(abs(v) > _LARGEST for v in whole):
                raise
    too_large = (whole > _LARGEST) | (whole < -_LARGEST)
    if np.any(too_large):
        raise ValueError(f"values must be from {-_LARGEST} to {_LARGEST}, got {np.extract(too_large, whole)[0]}")
    whole = whole.astype(np.int64)
    return np.copysign((np.abs(whole) + _BIAS).view(np.float64), whole)


def _decoded(numbers_of_tree):
    """The integers that float64 numbers stand for."""
    size = np.abs(numbers_of_tree).view(np.int64) - _BIAS
    return np.where(numbers_of_tree < 0, -size, size)
