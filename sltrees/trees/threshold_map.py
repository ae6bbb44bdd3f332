"""A mapping from keys to numbers that answers "which keys are above t?"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from sltrees._core._boundary import as_real_array, as_threshold
from sltrees._core._integer_keys import IntegerKeyedTree
from sltrees._core._keyed_tree import KeyedTree
from sltrees._validation import as_choice, as_flag, as_integer

_PICKLE_VERSION = 1


class ThresholdMap(MutableMapping):
    """A dictionary of numbers that knows which keys are above a threshold, and which are the best.

    Parameters
    ----------
    items : mapping or iterable of (key, number) pairs, optional
        Keys are hashable; numbers are real, not NaN, and become float64.
    orientation : {"max", "min"}, default "max"
        With "max" the best number is the largest, and queries report what is above a threshold; with "min" the
        smallest, and what is below.
    integer_keys : bool, default False
        Keys are integers of 64 bits, in a table without objects of Python: less memory, batches many times as fast, and
        queries that return arrays. Nothing else is a key then, floats that equal integers included.

    Raises
    ------
    TypeError
        If a key cannot be hashed, or a number is not real.
    ValueError
        If a number is NaN or an integer that float64 does not hold, or the orientation is unknown. So do all methods
        that write; the map is unchanged after either.

    Notes
    -----
    A `ThresholdTree` over slots, and a hash table that says which slot a key has. Slots of keys that are deleted are
    used again; memory does not shrink. Cost of one key: that of a dictionary, and of one value of the tree.

    It is a `collections.abc.MutableMapping`, and has what these have: `get`, `pop`, `setdefault`, `keys`, `values`,
    `items`, ``|`` and ``|=``. Iteration is in the order of the numbers, the best first, as they are when it begins:
    O(n log n). Of equal numbers the order is any.

    Comparisons and ends of keys, handlers of signals and other threads may change the map in the middle of a method,
    which takes account of it. Changes while another thread queries the map, and code of keys that changes the map
    whenever it is run, are a `RuntimeError`, and nothing has been done then.

    Batches may be arrays. Where a method returns a list of keys, it is an array of int64 with `integer_keys`; without,
    keys of an array of integers are plain integers.

    See Also
    --------
    sltrees.ThresholdTree : the same for the numbers 0, ..., n - 1 as keys, and faster.

    Examples
    --------
    >>> from sltrees import ThresholdMap
    >>> due = ThresholdMap({"pump": 4.0, "valve": 1.5, "fan": 9.0}, orientation="min")
    >>> due["pump"] = 0.5
    >>> sorted(due.query(2.0))
    ['pump', 'valve']
    >>> due.popitem()
    ('pump', 0.5)
    >>> list(due)
    ['valve', 'fan']
    """

    def __init__(
        self, items: Any = (), *, orientation: Literal["max", "min"] = "max", integer_keys: bool = False
    ) -> None:
        as_choice(orientation, "orientation", ("max", "min"))
        self._keyed = (IntegerKeyedTree if as_flag(integer_keys, "integer_keys") else KeyedTree)(orientation)
        self.update(items)

    # ------------------------------------------------------------------ one key

    def __getitem__(self, key: Any) -> float:
        value = self._keyed.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: Any, value: float) -> None:
        self._keyed.put(key, value)

    def __delitem__(self, key: Any) -> None:
        self._keyed.remove(key)

    def __contains__(self, key: Any) -> bool:
        return key in self._keyed

    def __len__(self) -> int:
        return len(self._keyed)

    # ------------------------------------------------------------------ many keys

    def update(self, items: Any = (), /, **kwargs: float) -> None:
        """Set the numbers of many keys.

        Parameters
        ----------
        items : mapping or iterable of (key, number) pairs
            Numbers of keys that are strings may be given by name, as to `dict.update`.

        Raises
        ------
        TypeError, ValueError
            As of the class. The map is unchanged then.

        Notes
        -----
        Cost: O(k log n) at worst.

        Examples
        --------
        >>> from sltrees import ThresholdMap
        >>> load = ThresholdMap({"a": 1.0})
        >>> load.update({"a": 2.0}, b=3.0)
        >>> list(load.items())
        [('b', 3.0), ('a', 2.0)]
        """
        if isinstance(items, ThresholdMap):
            keys, values = items._content()
            keys = _listed(keys) if kwargs else keys
        else:
            pairs = dict(items)
            keys, values = list(pairs), list(pairs.values())
        if kwargs:
            keys, values = [*keys, *kwargs], [*values, *kwargs.values()]
        self.update_many(keys, values)

    def update_many(self, keys: Any, values: npt.ArrayLike) -> None:
        """Set the numbers of many keys.

        Parameters
        ----------
        keys : array_like of shape (k,), or sequence of hashable
            Of equal keys the last one wins.
        values : array_like of shape (k,), or float
            A single number is set for all.

        Raises
        ------
        TypeError, ValueError
            As of the class, or if there are not as many values as keys. The map is unchanged then.

        Notes
        -----
        Cost: O(k log n) at worst.

        Examples
        --------
        >>> import numpy as np
        >>> from sltrees import ThresholdMap
        >>> load = ThresholdMap()
        >>> load.update_many(np.array([10, 30, 20]), [0.5, 2.5, 1.5])
        >>> load.query(1.0)
        [30, 20]
        """
        keys = self._keyed.as_keys(keys)
        exact = as_real_array(values, "values", 1 if np.ndim(values) else 0).astype(np.float64, copy=False)
        if exact.ndim and exact.size != len(keys):
            raise ValueError(f"values must be one for each of {len(keys)} keys, got {exact.size}")
        self._keyed.put_many(keys, exact if exact.ndim else np.full(len(keys), exact))

    def get_many(self, keys: Any, default: Any = None) -> npt.NDArray[np.float64]:
        """The numbers of many keys.

        Parameters
        ----------
        keys : array_like of shape (k,), or sequence of hashable
        default : float, optional
            For keys that are not there.

        Returns
        -------
        ndarray of shape (k,), dtype=float64

        Raises
        ------
        KeyError
            If a key is not there and no default is given.

        Notes
        -----
        Cost: O(k).

        Examples
        --------
        >>> from sltrees import ThresholdMap
        >>> ThresholdMap({"a": 1.0, "b": 2.0}).get_many(["b", "c"], default=0.0)
        array([2., 0.])
        """
        keys = self._keyed.as_keys(keys)
        found = self._keyed.get_many(keys)
        missing = np.isnan(found)
        if not missing.any():
            return found
        if default is None:
            raise KeyError(keys[int(np.argmax(missing))])
        return np.where(missing, np.float64(default), found)

    def delete_many(self, keys: Any) -> None:
        """Delete many keys.

        Parameters
        ----------
        keys : array_like of shape (k,), or sequence of hashable
            They may be named more than once.

        Raises
        ------
        KeyError
            If a key is not there. Nothing is deleted then.

        Notes
        -----
        Cost: O(k log n) at worst.

        Examples
        --------
        >>> from sltrees import ThresholdMap
        >>> load = ThresholdMap({"a": 1.0, "b": 2.0, "c": 3.0})
        >>> load.delete_many(["a", "c"])
        >>> list(load)
        ['b']
        """
        self._keyed.remove_many(self._keyed.as_keys(keys))

    def clear(self) -> None:
        """Delete all keys, and give back the memory. Cost: O(n).

        Examples
        --------
        >>> from sltrees import ThresholdMap
        >>> load = ThresholdMap({"a": 1.0})
        >>> load.clear()
        >>> len(load)
        0
        """
        self._keyed = type(self._keyed)(self.orientation)

    # ------------------------------------------------------------------ queries

    def query(self, threshold: float, *, return_values: bool = False) -> Any:
        """Keys whose number is above the threshold (below it, for orientation "min"), in any order.

        Parameters
        ----------
        threshold : float
            Compared strictly and exactly, as by `ThresholdTree.query`.
        return_values : bool, default False
            Return the numbers with the keys.

        Returns
        -------
        keys : list, or ndarray of int64
        values : ndarray of shape (k,), dtype=float64
            Only if `return_values`.

        Raises
        ------
        TypeError, ValueError
            If the threshold is not a real number, or NaN.

        Notes
        -----
        Cost: that of `ThresholdTree.query`, and O(k) for the keys.

        Examples
        --------
        >>> from sltrees import ThresholdMap
        >>> ThresholdMap({"a": 1.0, "b": 2.0, "c": 3.0}).query(1.5)
        ['b', 'c']
        """
        if type(threshold) is not float:  # once, as its code may change the map
            threshold = as_threshold(threshold)
        keyed = self._keyed
        keys, values = keyed.chosen(keyed.query, (threshold,), return_values)
        return (keys, values) if return_values else keys

    def count(self, threshold: float) -> int:
        """How many keys `query` would report. Cost: as `ThresholdTree.count`.

        Parameters
        ----------
        threshold : float

        Returns
        -------
        int

        Examples
        --------
        >>> from sltrees import ThresholdMap
        >>> ThresholdMap({"a": 1.0, "b": 2.0, "c": 3.0}).count(1.5)
        2
        """
        return self._keyed.tree.count(threshold)

    def any(self, threshold: float) -> bool:
        """Whether `query` would report any key. Cost: O(log n).

        Parameters
        ----------
        threshold : float

        Returns
        -------
        bool

        Examples
        --------
        >>> from sltrees import ThresholdMap
        >>> ThresholdMap({"a": 1.0, "b": 2.0, "c": 3.0}).any(3.0)
        False
        """
        return self._keyed.tree.any(threshold)

    def topk(self, k: int, *, return_values: bool = False) -> Any:
        """The k keys with the best numbers, best first.

        Parameters
        ----------
        k : int
            At least 0; more than there are means all.
        return_values : bool, default False
            Return the numbers with the keys.

        Returns
        -------
        keys : list, or ndarray of int64
        values : ndarray of shape (k,), dtype=float64
            Only if `return_values`.

        Raises
        ------
        TypeError, ValueError
            If k is not an integer of at least 0.

        Notes
        -----
        Cost: that of `ThresholdTree.topk`.

        Examples
        --------
        >>> from sltrees import ThresholdMap
        >>> ThresholdMap({"a": 1.0, "b": 2.0, "c": 3.0}).topk(2)
        ['c', 'b']
        """
        keyed = self._keyed
        keys, values = keyed.chosen(keyed.topk, (as_integer(k, "k", minimum=0),), return_values)
        return (keys, values) if return_values else keys

    def peekitem(self) -> tuple[Any, float]:
        """The key with the best number, and that: what `popitem` would take out.

        Cost: O(log n); O(n) where the best number is the worst value there is.

        Returns
        -------
        key : hashable
        value : float

        Raises
        ------
        KeyError
            If the map is empty.

        Examples
        --------
        >>> from sltrees import ThresholdMap
        >>> ThresholdMap({"a": 1.0, "b": 2.0}).peekitem()
        ('b', 2.0)
        """
        best = self._keyed.best()
        if best is None:
            raise KeyError("the map is empty")
        return best

    # ------------------------------------------------------------------ taking out

    def popitem(self) -> tuple[Any, float]:
        """Take out the key with the best number.

        Returns
        -------
        key : hashable
        value : float

        Raises
        ------
        KeyError
            If the map is empty.

        Notes
        -----
        Cost: O(log n); O(n) where the best number is the worst value there is.

        Examples
        --------
        >>> from sltrees import ThresholdMap
        >>> ThresholdMap({"a": 1.0, "b": 2.0}, orientation="min").popitem()
        ('a', 1.0)
        """
        best = self._keyed.pop_best()
        if best is None:
            raise KeyError("the map is empty")
        return best

    def pop_above(self, threshold: float) -> tuple[Any, Any]:
        """Take out all keys above the threshold (below it, for orientation "min"), best first.

        Parameters
        ----------
        threshold : float
            Compared strictly.

        Returns
        -------
        keys : list, or ndarray of int64
        values : ndarray of shape (k,), dtype=float64

        Raises
        ------
        TypeError, ValueError
            If the threshold is not a real number, or NaN.

        Notes
        -----
        Cost: that of `query`, a sort, and that of `delete_many`.

        Examples
        --------
        >>> from sltrees import ThresholdMap
        >>> due = ThresholdMap({"pump": 4.0, "valve": 1.5, "fan": 0.5}, orientation="min")
        >>> due.pop_above(2.0)
        (['fan', 'valve'], array([0.5, 1.5]))
        """
        threshold, keyed = as_threshold(threshold), self._keyed
        return keyed.chosen(keyed.passing, (threshold,), True, True)

    # ------------------------------------------------------------------ as a mapping

    def __iter__(self) -> Iterator[Any]:
        return iter(self._in_order())

    def __reversed__(self) -> Iterator[Any]:
        return reversed(self._in_order())

    def __ior__(self, other: object) -> Self:
        self.update(other)
        return self

    def __or__(self, other: object) -> Self:
        if not isinstance(other, Mapping):
            return NotImplemented
        both = self.copy()
        both.update(other)
        return both

    def __repr__(self) -> str:
        item = self._keyed.best()
        best = "" if item is None else ", best {!r}: {:g}".format(*item)
        return f"<ThresholdMap of {len(self)} keys, orientation {self.orientation!r}{best}>"

    @property
    def orientation(self) -> str:
        """ "max" or "min"."""
        return self._keyed.tree.orientation

    @property
    def has_integer_keys(self) -> bool:
        """Whether it was made with `integer_keys`."""
        return isinstance(self._keyed, IntegerKeyedTree)

    def copy(self) -> Self:
        """An independent map with the same keys and numbers. Cost: O(n).

        Returns
        -------
        ThresholdMap

        Examples
        --------
        >>> from sltrees import ThresholdMap
        >>> load = ThresholdMap({"a": 1.0})
        >>> other = load.copy()
        >>> other["b"] = 2.0
        >>> len(load), len(other)
        (1, 2)
        """
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._keyed = type(self._keyed)(self.orientation)
        other._keyed.put_many(*self._content())
        return other

    __copy__ = copy

    def __reduce__(self):
        state = {name: value for name, value in self.__dict__.items() if name != "_keyed"}
        return (
            _from_pickle,
            (type(self), _PICKLE_VERSION, *self._content(), self.orientation, self.has_integer_keys),
            state,
        )

    # ------------------------------------------------------------------ internals

    def _content(self):
        """Keys and their numbers, in the order of slots."""
        keyed = self._keyed
        return keyed.chosen(keyed.used, (), True)

    def _in_order(self):
        """List of keys, the best first."""
        keyed = self._keyed
        return _listed(keyed.chosen(keyed.in_order, (), False)[0])

    def _check(self):
        """Assert every invariant of the structure. Cost: O(n)."""
        self._keyed._check()
        assert len(self) == len(list(self))


def _listed(keys):
    """Keys as objects of Python."""
    return keys.tolist() if isinstance(keys, np.ndarray) else keys


def _from_pickle(cls, version, keys, values, orientation, integer_keys):
    """Rebuild a map; the arguments come from a file and are checked like any others."""
    if version != _PICKLE_VERSION:
        raise ValueError(f"this version reads pickles of format {_PICKLE_VERSION}, got format {version!r}")
    made = cls.__new__(cls)
    ThresholdMap.__init__(made, orientation=orientation, integer_keys=integer_keys)
    made.update_many(keys, values)
    return made
