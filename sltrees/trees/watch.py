"""Who has gone above a threshold since last time, and who has come back below another one."""

from __future__ import annotations

from typing import Any

import numpy as np

from sltrees._core import ThresholdTree
from sltrees._core._boundary import as_threshold
from sltrees.trees.threshold_map import ThresholdMap


class Watch:
    """Events of a threshold with hysteresis: entered above `high`, left at or below `low`.

    It looks at the tree when it is asked, so whoever writes to the tree need not know of it, and there may be many on
    one tree.

    Parameters
    ----------
    tree : ThresholdTree or ThresholdMap
        What is watched. With orientation "min" the other way round: entered below `low`, left at or above `high`.
    high : float
    low : float, optional
        At most `high`, and by default the same, which is a single threshold. What is between them is where it was.

    Raises
    ------
    TypeError
        If a threshold is not a real number, or `tree` is neither of the two.
    ValueError
        If a threshold is NaN, or `low` is above `high`.

    Notes
    -----
    Events are what has changed between two calls: who went up and came back in between is in neither. Ask after each
    batch where that matters.

    Cost: nothing while values are written; memory for those that are inside.

    Examples
    --------
    >>> from sltrees import ThresholdTree, Watch
    >>> tree = ThresholdTree([0.2, 0.95, 0.6])
    >>> watch = Watch(tree, high=0.9, low=0.5)
    >>> watch.events()
    (array([1]), array([], dtype=int64))
    >>> tree.update_many([0, 1, 2], [0.99, 0.7, 0.8])   # 1 is still above low, 2 not above high
    >>> watch.events()
    (array([0]), array([], dtype=int64))
    >>> tree[1] = 0.4
    >>> watch.events()
    (array([], dtype=int64), array([1]))
    """

    def __init__(self, tree: ThresholdTree | ThresholdMap, high: float, low: float | None = None) -> None:
        if not isinstance(tree, (ThresholdTree, ThresholdMap)):
            raise TypeError(f"tree must be a ThresholdTree or a ThresholdMap, got {type(tree).__name__}")
        self._high = as_threshold(high)
        self._low = self._high if low is None else as_threshold(low)
        if not self._low <= self._high:
            raise ValueError(f"low must be at most high, got low={low} and high={high}")
        self._tree = tree
        self._inside = {} if isinstance(tree, ThresholdMap) else np.empty(0, dtype=np.int64)

    @property
    def high(self) -> float:
        """The upper threshold."""
        return self._high

    @property
    def low(self) -> float:
        """The lower threshold."""
        return self._low

    @property
    def inside(self) -> Any:
        """Who has entered and not left, when it was asked last.

        Indices of a tree, ascending, an ndarray of int64; keys of a map, in the order in which they entered, a list.
        """
        return list(self._inside) if isinstance(self._inside, dict) else self._inside.copy()

    def events(self) -> tuple[Any, Any]:
        """What has changed since the last call; the first one reports all that is above `high`.

        Returns
        -------
        entered, left : ndarray of shape (k,), dtype=int64
            Indices, ascending. Of a map: lists of keys. What is no longer there, as the tree has become shorter or the
            key was deleted, has left.

        Raises
        ------
        RuntimeError
            If another thread is changing the tree.

        Notes
        -----
        Cost: that of a query, and O(k log k) for those above `high` or inside.

        Examples
        --------
        >>> from sltrees import ThresholdMap, Watch
        >>> load = ThresholdMap({"web": 0.3, "db": 0.97})
        >>> watch = Watch(load, high=0.9, low=0.6)
        >>> watch.events()
        (['db'], [])
        >>> del load["db"]
        >>> watch.events()
        ([], ['db'])
        """
        return self._events_of_map() if isinstance(self._inside, dict) else self._events_of_tree()

    def _events_of_tree(self):
        before, tree = self._inside, self._tree
        above = tree.query(self._enter)
        there = before[: np.searchsorted(before, len(tree))]
        stays = np.zeros(before.size, dtype=bool)
        stays[: there.size] = self._stays(tree[there])
        entered = np.setdiff1d(above, before, assume_unique=True)
        self._inside = np.sort(np.concatenate([before[stays], entered]))
        return entered, before[~stays]

    def _events_of_map(self):
        before, tree = self._inside, self._tree
        above = tree.query(self._enter)
        above = above.tolist() if isinstance(above, np.ndarray) else above
        values = tree.get_many(list(before), default=np.inf if tree.orientation == "min" else -np.inf)
        stays = dict(zip(before, self._stays(values).tolist(), strict=True))
        entered = [key for key in above if key not in before]
        self._inside = dict.fromkeys([*(key for key in before if stays[key]), *entered])
        return entered, [key for key in before if not stays[key]]

    @property
    def _enter(self):
        """The threshold of entering."""
        return self._high if self._tree.orientation == "max" else self._low

    def _stays(self, values):
        """Who of those inside stays there, by their numbers; compared as real numbers, whatever their dtype."""
        values = values.astype(np.float64, copy=False)
        return values > self._low if self._tree.orientation == "max" else values < self._high

    def __repr__(self) -> str:
        return f"<Watch of {self._tree!r}, high {self._high:g}, low {self._low:g}, {len(self._inside)} inside>"

    def _check(self):
        """Assert what must hold of those that are inside. Cost: O(k)."""
        if not isinstance(self._inside, dict):
            assert self._inside.dtype == np.int64
            assert np.all(np.diff(self._inside) > 0)
