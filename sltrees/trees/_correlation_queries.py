"""What correlation trees can be asked, without changing them. Building and writing is in correlation_trees.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from sltrees._core._boundary import as_index, as_real_array, as_threshold
from sltrees._validation import as_integer


class CorrelationQueries:
    """Queries and views of `sltrees.CorrelationTrees`, which adds building and changing them."""

    # ------------------------------------------------------------------ queries

    def query(self, row: int, threshold: float, *, return_values: bool = False) -> Any:
        """Entries of one tree above the threshold.

        Parameters
        ----------
        row : int
            With axis "data" a weight, with axis "weights" a data point.
        threshold : float
            Compared strictly.
        return_values : bool, default False
            Return the products with the indices.

        Returns
        -------
        indices : ndarray of shape (k,), dtype=int64
            Data points (axis "data") or weights (axis "weights") with a product above the threshold, ascending.
        values : ndarray of shape (k,), dtype of the trees
            Only if `return_values`.

        Raises
        ------
        IndexError
            If the row is out of range.
        ValueError
            If the threshold is NaN, or below the floor.

        Notes
        -----
        Cost: O(k log(n / k)) blocks for k of n.

        Examples
        --------
        >>> from sltrees import CorrelationTrees
        >>> trees = CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0]], axis="weights")
        >>> trees.query(1, 3.5)
        array([1])
        """
        # all is converted before anything is looked at: a conversion may be anything, even one that makes other trees
        row, threshold = as_index(row, self._bank.n_rows, "row"), as_threshold(threshold)
        bank, slack = self._now()
        row = as_index(row, bank.n_rows, "row")
        limit = self._limit(slack, row, threshold)
        return bank.entries_above(row, limit) if return_values else bank.query_row(row, limit)[0]

    def query_all(self, threshold: npt.ArrayLike) -> Any:
        """All products above the threshold.

        Parameters
        ----------
        threshold : float, or array_like of shape (number of trees,)
            Compared strictly; one for all trees, or one for each.

        Returns
        -------
        scipy.sparse.csr_array of shape (m, n) for axis "data", (n, m) for axis "weights"
            The products above the threshold, in the dtype of the trees, with sorted indices. With a negative threshold
            products equal to zero are stored like any other.

        Raises
        ------
        ValueError
            If a threshold is NaN, or there are not as many as trees, or below the floor.

        Notes
        -----
        Trees without a hit are never looked at. Cost: O(k log) blocks for k hits; where each tree has a threshold, or
        slack, of its own, the maximum of each is looked at.

        Examples
        --------
        >>> from sltrees import CorrelationTrees
        >>> CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0]]).query_all(2.5).toarray()
        array([[0., 3.],
               [0., 6.]])
        """
        bank, limits = self._bank_and_limits(threshold)
        indptr, columns, values, *_ = bank.query_all(limits)
        if indptr[-1] <= np.iinfo(np.int32).max:
            indptr = indptr.astype(np.int32)
        result = scipy.sparse.csr_array((values, columns, indptr), shape=(bank.n_rows, bank.n_columns))
        result.has_sorted_indices = result.has_canonical_format = True
        return result

    def count(self, row: int, threshold: float) -> int:
        """Number of entries of one tree above the threshold.

        Parameters
        ----------
        row : int
        threshold : float
            As for `query`.

        Returns
        -------
        int

        Raises
        ------
        IndexError, ValueError
            As of `query`.

        Notes
        -----
        Cost: as of `query`, without writing the result.

        Examples
        --------
        >>> from sltrees import CorrelationTrees
        >>> CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0]]).count(1, 1.5)
        2
        """
        row, threshold = as_index(row, self._bank.n_rows, "row"), as_threshold(threshold)
        bank, slack = self._now()
        row = as_index(row, bank.n_rows, "row")
        return bank.count_row(row, self._limit(slack, row, threshold))

    def count_all(self, threshold: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Number of entries of each tree above the threshold.

        Parameters
        ----------
        threshold : float, or array_like of shape (number of trees,)
            As for `query_all`.

        Returns
        -------
        ndarray of shape (number of trees,), dtype=int64

        Raises
        ------
        ValueError
            As of `query_all`.

        Notes
        -----
        Cost: as of `query_all`, without writing the result, and a block of each tree.

        Examples
        --------
        >>> from sltrees import CorrelationTrees
        >>> CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0]]).count_all(1.5)
        array([1, 2])
        """
        bank, limits = self._bank_and_limits(threshold)
        return bank.count_rows(np.array(np.broadcast_to(limits, bank.n_rows)))

    def any(self, row: int, threshold: float) -> bool:
        """Whether any entry of one tree is above the threshold.

        Parameters
        ----------
        row : int
        threshold : float
            As for `query`.

        Returns
        -------
        bool

        Raises
        ------
        IndexError, ValueError
            As of `query`.

        Notes
        -----
        Cost: O(1).

        Examples
        --------
        >>> from sltrees import CorrelationTrees
        >>> trees = CorrelationTrees([[1.0], [2.0]], [[1.0], [3.0]])
        >>> trees.any(0, 4.0), trees.any(1, 4.0)
        (False, True)
        """
        row, threshold = as_index(row, self._bank.n_rows, "row"), as_threshold(threshold)
        bank, slack = self._now()
        row = as_index(row, bank.n_rows, "row")
        return bank.top[row] > self._limit(slack, row, threshold)

    def topk(self, row: int, k: int) -> npt.NDArray[np.int64]:
        """The k largest entries of one tree, the largest first.

        Parameters
        ----------
        row : int
            As for `query`.
        k : int
            At least 0; more than there are means all.

        Returns
        -------
        indices : ndarray of shape (min(k, leaves),), dtype=int64
            Of equal products the lowest index comes first. With a floor only products above it are known: fewer than k
            where fewer are.

        Raises
        ------
        IndexError
            If the row is out of range.
        TypeError, ValueError
            If k is not an integer of at least 0.

        Notes
        -----
        Slack counts for nothing here: products are taken as they are. Cost: O(n) for n entries of the tree.

        Examples
        --------
        >>> from sltrees import CorrelationTrees
        >>> CorrelationTrees([[1.0]], [[2.0], [5.0], [3.0], [5.0]]).topk(0, 3)
        array([1, 3, 2])
        """
        row, k = as_index(row, self._bank.n_rows, "row"), as_integer(k, "k", minimum=0)
        bank = self._bank
        row = as_index(row, bank.n_rows, "row")
        return bank.largest(row, k)

    def _now(self):
        """Bank and slack that belong together: another thread that adds or removes puts others in their places."""
        state = self.__dict__  # which it replaces as a whole
        return state["_bank"], state["_slack"]

    def _bank_and_limits(self, threshold):
        """The bank, and what products of all its trees are compared with: a number, or one for each."""
        each = np.ndim(threshold) > 0
        threshold = as_real_array(threshold, "threshold", 1).astype(np.float64) if each else as_threshold(threshold)
        bank, slack = self._now()
        if each and threshold.size != bank.n_rows:
            raise ValueError(f"threshold must be one for each of {bank.n_rows} trees, got {threshold.size}")
        return bank, self._refuse_below_floor(slack, threshold if slack is None else _below(threshold, slack))

    def _limit(self, slack, row, threshold):
        """What products of a tree are compared with."""
        return self._refuse_below_floor(slack, threshold if slack is None else float(_below(threshold, slack[row])))

    def _refuse_below_floor(self, slack, limits):
        """The same; ValueError if any is where products are not held."""
        if self._floor is not None and np.min(limits, initial=np.inf) < self._floor:
            less = "" if slack is None else ", less the slack of its tree,"
            raise ValueError(f"threshold{less} must be at least the floor, {self._floor}, got {float(np.min(limits))}")
        return limits

    # ------------------------------------------------------------------ what there is

    @property
    def axis(self) -> str:
        """ "data" or "weights"."""
        return self._axis

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._dtype

    @property
    def shape(self) -> tuple[int, int]:
        """(number of trees, leaves of each)."""
        bank = self._bank
        return (bank.n_rows, bank.n_columns)

    @property
    def weights(self) -> npt.NDArray[np.floating[Any]]:
        """Read-only view of the weights, shape (m, d)."""
        view = self._weights.view()
        view.flags.writeable = False
        return view

    @property
    def data(self) -> npt.NDArray[np.floating[Any]]:
        """Read-only view of the data, shape (n, d), in Fortran order."""
        return self._columns.vectors

    @property
    def values(self) -> npt.NDArray[np.floating[Any]]:
        """Read-only view of all products, of the shape of `shape`; it follows every update. AttributeError if there is
        a floor: then they are not held."""
        if self._floor is not None:
            raise AttributeError(f"trees with a floor hold no matrix of products; ask query_all({self._floor:g})")
        return self._bank.values

    @property
    def floor(self) -> float | None:
        """What thresholds must be at least, since products are held only above it; None where all are."""
        return self._floor

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._bank.nbytes + self._weights.nbytes + self._columns.nbytes

    def __len__(self) -> int:
        return self._bank.n_rows

    def __eq__(self, other: object) -> bool:
        """Whether axis, dtype, floor, weights, data and slack are equal, and so all answers."""
        if not isinstance(other, CorrelationQueries):
            return NotImplemented
        return (
            (self.axis, self.dtype, self.floor) == (other.axis, other.dtype, other.floor)
            and np.array_equal(self.weights, other.weights)
            and np.array_equal(self.data, other.data)
            and np.array_equal(self.slack, other.slack)
        )

    __hash__ = None  # they change

    def __repr__(self) -> str:
        m, n, d = len(self._weights), self._columns.n, self._columns.d
        return f"<CorrelationTrees of {m} weights and {n} points in {d} dimensions, axis {self._axis!r}, {self._dtype}>"

    @property
    def slack(self) -> npt.NDArray[np.float64]:
        """Slack of each tree: a copy, ndarray of float64. Cost: O(trees)."""
        bank, slack = self._now()
        return np.zeros(bank.n_rows) if slack is None else slack.copy()


def _below(thresholds, slack):
    """Thresholds less their slack, rounded down: a product above the exact difference is above it, too."""
    with np.errstate(invalid="ignore", over="ignore"):
        limits = np.subtract(thresholds, slack)
        taken = limits - thresholds
        error = (thresholds - (limits - taken)) - (slack + taken)  # exactly what was rounded; NaN for infinite ones
        return np.where(error < 0, np.nextafter(limits, -np.inf), limits)
