"""Weights and data that correlation trees get, and that go. Building and writing them is in correlation_trees.py."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sltrees._core._boundary import as_indices, as_integers
from sltrees._core._products import Columns
from sltrees._core._threshold_tree import while_asking, while_changing
from sltrees._core._wide_tree import WHILE_CHANGED
from sltrees._validation import as_real_rows
from sltrees.trees._correlation_queries import CorrelationQueries


class CorrelationGrowth(CorrelationQueries):
    """What changes the numbers of weights and data of `sltrees.CorrelationTrees`: all is made anew beside what is."""

    def add_weights(self, weights: npt.ArrayLike) -> None:
        """Append weights.

        Parameters
        ----------
        weights : array_like of shape (k, d)
            Finite.

        Raises
        ------
        TypeError, ValueError
            If the shapes do not fit, a number is not finite or products could overflow.
        RuntimeError
            If another thread changes the trees, or asks them.
        MemoryError
            If there is not enough, or `max_memory` allows no more. The trees are unchanged after any of these, and
            after any other exception.

        Notes
        -----
        Cost: O(k n d) for products, and all that there are are copied: O((m + k) n). Slack stays.

        Examples
        --------
        >>> from sltrees import CorrelationTrees
        >>> trees = CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0]])
        >>> trees.add_weights([[5.0]])
        >>> trees.query(2, 4.0)
        array([0, 1])
        """
        self._add("weights", weights)

    def add_data(self, data: npt.ArrayLike) -> None:
        """Append data points.

        Parameters
        ----------
        data : array_like of shape (k, d)
            Finite.

        Raises
        ------
        TypeError, ValueError, RuntimeError, MemoryError
            As of `add_weights`.

        Notes
        -----
        Cost: O(k m d) for products, and all that there are are copied: O(m (n + k)). Slack stays.

        Examples
        --------
        >>> from sltrees import CorrelationTrees
        >>> trees = CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0]])
        >>> trees.add_data([[5.0], [0.0]])
        >>> trees.query(0, 2.0)
        array([1, 2])
        """
        self._add("data", data)

    def remove_weights(self, rows: npt.ArrayLike) -> None:
        """Remove weights; those behind them move up, as with `numpy.delete`.

        Parameters
        ----------
        rows : array_like of shape (k,), integers in [0, m)

        Raises
        ------
        IndexError
            If a row is out of range.
        TypeError, ValueError
            If the rows are not integers, or none would be left.
        RuntimeError
            If another thread changes the trees, or asks them.
        MemoryError
            If there is not enough for what is left, beside all. The trees are unchanged after any of these.

        Notes
        -----
        Cost: what is left is copied, O(m n).

        Examples
        --------
        >>> from sltrees import CorrelationTrees
        >>> trees = CorrelationTrees([[1.0], [2.0], [4.0]], [[1.0], [3.0]])
        >>> trees.remove_weights([0])
        >>> trees.query(0, 4.0)
        array([1])
        """
        self._remove("weights", rows)

    def remove_data(self, indices: npt.ArrayLike) -> None:
        """Remove data points; those behind them move up, as with `numpy.delete`.

        Parameters
        ----------
        indices : array_like of shape (k,), integers in [0, n)

        Raises
        ------
        IndexError, TypeError, ValueError, RuntimeError, MemoryError
            As of `remove_weights`.

        Notes
        -----
        Cost: what is left is copied, O(m n).

        Examples
        --------
        >>> from sltrees import CorrelationTrees
        >>> trees = CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0], [2.0]])
        >>> trees.remove_data([1])
        >>> trees.query(0, 1.5)
        array([1])
        """
        self._remove("data", indices)

    def _alone(self, change, *arguments):
        """Do what changes the trees while no other thread can: that one gets a RuntimeError, or this one does."""
        top = self._bank.top
        while_changing(top, lambda: self._at(top, change, *arguments))

    def _asking(self, question):
        """What question() returns, with a RuntimeError where another thread changes the trees."""
        top = self._bank.top
        return while_asking(top, lambda: self._at(top, question))

    def _at(self, top, act, *arguments):
        """The same, unless another thread has put a new bank in the place of that with this tree of maxima."""
        if self._bank.top is not top:
            raise RuntimeError(WHILE_CHANGED)
        return act(*arguments)

    def _add(self, which, vectors):
        """Append weights or data points."""
        vectors = as_real_rows(vectors, which, self._dtype, self._weights.shape[1])
        if len(vectors):
            new = [vectors]
            del vectors  # nobody else holds them, so that their memory is free again as soon as they are copied
            self._alone(self._append, which, new)

    def _append(self, which, new):
        """The same, once they are converted, and of a list: all in arrays of their own, then put in their places."""
        n_rows, n_columns = self.shape
        m, n, k = len(self._weights), self._columns.n, len(new[0])
        is_weights, beside = which == "weights", self.nbytes
        largest = self._largest if is_weights else max(self._largest, largest_magnitude(new[0]))
        refuse_overflow(new[0] if is_weights else self._weights, largest)
        room = self._room_for(m + k * is_weights, n + k * (not is_weights), beside)
        weights, data = self._weights, None
        if is_weights:
            weights = np.concatenate([weights, new.pop()])
            vectors, right = weights[m:], self._columns
        else:
            data = np.empty((n + k, weights.shape[1]), self._dtype)  # row by row, unlike self.data
            np.concatenate([self.data, new.pop()], out=data)
            vectors, right = data[n:], Columns(weights)
        rows, leaves = np.arange(n_rows), np.arange(n_columns)
        bank, slack = self._bank_of(len(weights), n if is_weights else len(data), room), self._slack
        bank.take(self._bank, rows, leaves)
        if is_weights == (self._axis == "data"):
            bank.write_row_products(np.arange(n_rows, n_rows + k), vectors, right)
            slack = None if slack is None else np.concatenate([slack, np.zeros(k)])
        else:
            bank.write_column_products(np.arange(n_columns, n_columns + k), vectors, right)
        if self._floor is not None:
            bank.max_bytes += beside  # what there was is given back
        self._become(weights, self._columns if is_weights else Columns(data), largest, bank, slack)

    def _remove(self, which, indices):
        """Remove weights or data points."""
        self._alone(self._leave, which, as_integers(np.array(indices), "rows" if which == "weights" else "indices"))

    def _leave(self, which, indices):
        """The same, once they are converted."""
        n = len(self._weights) if which == "weights" else self._columns.n
        indices = as_indices(indices, n, "rows" if which == "weights" else "indices")
        kept = np.setdiff1d(np.arange(n), indices)
        if kept.size == n:
            return
        if kept.size == 0:
            raise ValueError(f"some {which} must be left, got all {n} to remove")
        weights = self._weights[kept] if which == "weights" else self._weights
        columns = self._columns if which == "weights" else Columns(self.data[kept])
        bank = self._bank_of(len(weights), columns.n, self._room_for(len(weights), columns.n, 0))
        slack = self._slack
        rows, leaves = np.arange(self.shape[0]), np.arange(self.shape[1])
        if (which == "weights") == (self._axis == "data"):
            rows, slack = kept, None if slack is None or not slack[kept].any() else slack[kept]
        else:
            leaves = kept
        bank.take(self._bank, rows, leaves)
        self._become(weights, columns, largest_magnitude(columns.vectors), bank, slack)

    def _become(self, weights, columns, largest, bank, slack):
        """Have all of these: in one statement, so that all of it has happened or nothing."""
        self.__dict__ = self.__dict__ | {
            "_weights": weights,
            "_columns": columns,
            "_largest": largest,
            "_bank": bank,
            "_slack": slack,
        }


def largest_magnitude(numbers):
    """The largest absolute value, a float. No copy is made of what may be much."""
    return float(max(numbers.max(), -numbers.min()))


def refuse_overflow(weights, largest_of_data):
    """ValueError if a product, or a partial sum of one, could leave the range of the dtype."""
    largest = largest_magnitude(weights) * largest_of_data * weights.shape[1]
    if not largest <= float(np.finfo(weights.dtype).max):  # as float64: beside a float32 number it could overflow
        raise ValueError(
            f"products of weights and data must be finite in {weights.dtype}, got some that could reach {largest:g}"
        )
