"""Which of many vectors are beyond a threshold from others, and the nearest ones, while the vectors change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse

from sltrees._core._boundary import as_index, as_indices, as_integers, as_real_array, refuse_large
from sltrees._core._vector_panels import METRICS, VectorPanels, squared_lengths
from sltrees._memory import array_bytes, check_memory
from sltrees._validation import as_choice, as_integer, as_max_memory, as_real_matrix, as_real_rows
from sltrees.execution.threads import ThreadExecutor, default_threads
from sltrees.trees._packed_vectors import PACKED_AT_ONCE, PackedVectors

_ROWS_AT_ONCE = 256  # queries that go through the panels together: they fit into a cache beside a panel
_WORTH_THREADS = 1 << 24  # products: a few milliseconds
_LARGEST_SQUARE = 1e150  # of a length: products of two are then far from the end of float64
_MOST_FEATURES = 2**20  # for more the bound of rounding in float32 would rule out little
_MOST_VECTORS = 2**31 - 1
_PICKLE_VERSION = 1


class VectorSearch:
    """Vectors that are asked "who is within t of these?" and "who is nearest?", and that change between questions.

    The answers are exact: those of comparing all pairs in float64. But nearly all pairs are ruled out by a product in
    float32 whose rounding is bounded, and only what may be within t is computed again. Vectors are added, replaced and
    removed in place; there is no index to build.

    Parameters
    ----------
    vectors : array_like of shape (n, d)
        Finite. Copied. float32 stays float32, every other dtype becomes float64.
    metric : {"inner_product", "cosine", "euclidean"}, default "inner_product"
        What thresholds are compared with: products or cosines above, Euclidean distances below.
    n_threads : int, optional
        By default one per processor available to this process.
    max_memory : float, optional
        Bytes that the vectors may take, also where more are added, beside those there are; by default all that the
        machine has available. Copies and pickles have no limit of their own.

    Raises
    ------
    TypeError, ValueError
        If the vectors are not a matrix of finite real numbers, a squared length is above 1e150, d above 2**20, or, for
        "cosine", a length is 0 or its square below 1e-150; or if a parameter is of the wrong type or out of range.
    MemoryError
        If more than `max_memory` bytes are needed. Nothing has been allocated then.

    Notes
    -----
    Vectors have *ids*: 0 to n - 1 those given first, and `add` returns those of the vectors added. They stay as they
    are until a vector is removed; then `add` gives its id to another one.

    Values are computed in float64, of float32 vectors too: the sum of the products, or of the squared differences, has
    one partial sum for the coordinates j, j + 8, j + 16, ... for each j < 8, and these are added half on half. So a
    value depends on its two vectors alone: not on the number of threads, the instruction level, or what else is
    searched. Of vectors of small integers values are exact, and so are ties at the threshold.

    Columns of float32 lie in panels of 64, four cache lines side by side, and products with a panel are compared while
    they are in cache: the matrix of all products is never held. For "cosine" columns are of unit length; for
    "euclidean" they are differences from the medians of the vectors there were at first, with half of the squared
    length as one coordinate more: |q - x| < t where q x - |x|^2 / 2 > (|q|^2 - t^2) / 2. A vector far from all others
    has the 63 of its panel computed again with each query, and no more. Where most have since moved far from these
    medians, more pairs are computed again, and the answers are the same; a `copy` has medians of its own.

    Cost: O(n d) to build, O(k n d) for k queries, at the speed of a matrix product, and O(d) for each pair that is
    reported. Memory: n d numbers of the dtype and of float32, and 24 bytes a vector.

    Searches may run together in several threads; they must not while vectors are changed.

    See Also
    --------
    CorrelationTrees : holds all products, for many thresholds asked of few weights that change.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees import VectorSearch
    >>> search = VectorSearch([[0.0, 0.0], [3.0, 4.0], [1.0, 1.0]], metric="euclidean")
    >>> found = search.search([[0.0, 1.0], [3.0, 3.0]], 1.5)
    >>> found.toarray()
    array([[1., 0., 1.],
           [0., 1., 0.]])
    >>> search.update([0], [[3.0, 2.0]])
    >>> search.nearest([[3.0, 3.0]], 2)
    (array([[0, 1]]), array([[1., 1.]]))
    """

    _max_memory: float | None = None  # of copies and pickles, too: all that the machine has available

    def __init__(
        self,
        vectors: npt.ArrayLike,
        *,
        metric: Literal["inner_product", "cosine", "euclidean"] = "inner_product",
        n_threads: int | None = None,
        max_memory: float | None = None,
    ) -> None:
        metric = METRICS.index(as_choice(metric, "metric", METRICS))
        self._n_threads = default_threads() if n_threads is None else as_integer(n_threads, "n_threads", minimum=1)
        dtype = np.dtype(np.float32 if getattr(vectors, "dtype", None) == np.float32 else np.float64)
        vectors = as_real_matrix(vectors, "vectors", dtype)
        if vectors.shape[1] > _MOST_FEATURES:
            raise ValueError(f"vectors must have at most {_MOST_FEATURES} columns, got {vectors.shape[1]}")
        squares = _squares_of(vectors, "vectors", metric)
        needed = self.bytes_needed(*vectors.shape, dtype, metric=METRICS[metric])
        self._max_memory = as_max_memory(max_memory)
        check_memory(needed, self._max_memory, "the search", "use fewer vectors, or float32")
        self._held = PackedVectors(vectors, squares, np.ones(len(vectors), dtype=bool), metric, len(vectors))

    @staticmethod
    def bytes_needed(
        n_vectors: int,
        n_features: int,
        dtype: npt.DTypeLike,
        *,
        metric: Literal["inner_product", "cosine", "euclidean"] = "inner_product",
    ) -> int:
        """Bytes that a search of this size takes, the copy while it is made included: an upper bound.

        Parameters
        ----------
        n_vectors, n_features : int
        dtype : float32 or float64
        metric : {"inner_product", "cosine", "euclidean"}, default "inner_product"

        Returns
        -------
        int

        Notes
        -----
        Cost: O(1).

        Examples
        --------
        >>> VectorSearch.bytes_needed(1000, 64, "float32") >= 1000 * 64 * 8
        True
        """
        held = VectorPanels.bytes_needed(n_vectors, n_features, dtype, METRICS.index(metric))
        packing = 4 * array_bytes(min(n_vectors, PACKED_AT_ONCE), n_features + 1, dtype=np.float64)
        return held + packing + array_bytes(n_vectors, n_features, dtype=dtype) + 32 * n_vectors

    # ------------------------------------------------------------------ queries

    def search(self, queries: npt.ArrayLike, threshold: npt.ArrayLike, *, inclusive: bool = False) -> Any:
        """All vectors beyond a threshold from each query: with products or cosines above, or distances below.

        Parameters
        ----------
        queries : array_like of shape (k, d)
            Finite. They need not be among the vectors, and are converted to their dtype.
        threshold : float, or array_like of shape (k,)
            Not NaN; one for all, or one for each query. Compared strictly.
        inclusive : bool, default False
            Values equal to the threshold pass, too.

        Returns
        -------
        scipy.sparse.csr_array of shape (k, n_ids), dtype=float64
            The values of the pairs that pass, in the columns of the ids, sorted. Values of 0 are stored like any other.

        Raises
        ------
        TypeError, ValueError
            If the queries are not a matrix of d finite numbers each, as for the vectors, or a threshold is NaN.
        MemoryError
            If there is no room for the result.

        Notes
        -----
        Cost: O(k n d), and O(d) for each pair that passes. Memory: 40 bytes for each such pair.

        Examples
        --------
        >>> from sltrees import VectorSearch
        >>> search = VectorSearch([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], metric="cosine")
        >>> search.search([[0.0, 1.0]], 0.5).indices
        array([1, 2], dtype=int32)
        """
        parts = self._within(queries, threshold, inclusive, False)
        counts = np.concatenate([part[0] for part in parts])
        total = int(counts.sum())
        refuse_large(12.0 * total, f"a result of {total} pairs", "ask for fewer queries at a time")
        indptr = np.zeros(counts.size + 1, dtype=np.int64 if total > np.iinfo(np.int32).max else np.int32)
        np.cumsum(counts, out=indptr[1:])
        columns, values = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
        result = scipy.sparse.csr_array((values, columns, indptr), shape=(counts.size, self.n_ids))
        result.has_sorted_indices = result.has_canonical_format = True
        return result

    def count(
        self, queries: npt.ArrayLike, threshold: npt.ArrayLike, *, inclusive: bool = False
    ) -> npt.NDArray[np.int64]:
        """How many vectors are beyond a threshold from each query.

        Parameters
        ----------
        queries : array_like of shape (k, d)
        threshold : float, or array_like of shape (k,)
        inclusive : bool, default False
            As for `search`.

        Returns
        -------
        ndarray of shape (k,), dtype=int64

        Raises
        ------
        TypeError, ValueError
            As of `search`.

        Notes
        -----
        Cost: as of `search`, without the memory of the pairs.

        Examples
        --------
        >>> from sltrees import VectorSearch
        >>> VectorSearch([[1.0], [2.0], [3.0]]).count([[1.0], [2.0]], 2.0)
        array([1, 2])
        """
        return np.concatenate([part[0] for part in self._within(queries, threshold, inclusive, True)])

    def nearest(self, queries: npt.ArrayLike, k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """The k best vectors for each query: of the largest products or cosines, or the least distances.

        Parameters
        ----------
        queries : array_like of shape (q, d)
            Finite.
        k : int
            At least 1; more than there are vectors means all.

        Returns
        -------
        ids : ndarray of shape (q, min(k, n)), dtype=int64
            Best first; of equal values the lowest id.
        values : ndarray of shape (q, min(k, n)), dtype=float64

        Raises
        ------
        TypeError, ValueError
            If the queries are not a matrix of d finite numbers each, or k is not an integer of at least 1.
        MemoryError
            If there is no room for the result.

        Notes
        -----
        What is ruled out grows while the vectors are gone through: to be looked at in float64, one must be better than
        the k-th best so far. Cost: O(q n d), and O(q k (d + log k) log(n / k)) as a rule.

        Examples
        --------
        >>> from sltrees import VectorSearch
        >>> search = VectorSearch([[1.0], [5.0], [3.0]], metric="euclidean")
        >>> search.nearest([[2.0]], 2)
        (array([[0, 2]]), array([[1., 1.]]))
        """
        queries, squares = self._as_queries(queries)
        k = min(as_integer(k, "k", minimum=1), len(self))
        refuse_large(
            48.0 * k * len(queries), f"a result of {k * len(queries)} pairs", "ask for fewer queries at a time"
        )
        if k == 0 or len(queries) == 0:
            return np.empty((len(queries), k), dtype=np.int64), np.empty((len(queries), k))
        held = self._held
        parts = self._in_parts(len(queries), lambda part: held.nearest(queries[part], squares[part], k))
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    def _within(self, queries, threshold, inclusive, only_count):
        """Counts, ids and values of parts of the queries, in order; at least one part."""
        if not isinstance(inclusive, (bool, np.bool_)):
            raise TypeError(f"inclusive must be True or False, got {inclusive!r}")
        queries, squares = self._as_queries(queries)
        if np.ndim(threshold) > 1:
            raise ValueError(f"threshold must be a number, or one for each query, got shape {np.shape(threshold)}")
        thresholds = as_real_array(threshold, "threshold", np.ndim(threshold)).astype(np.float64)
        if thresholds.ndim and thresholds.size != len(queries):
            raise ValueError(f"threshold must be one for each of {len(queries)} queries, got {thresholds.size}")
        thresholds, held = np.array(np.broadcast_to(thresholds, len(queries))), self._held

        def ask(part):
            return held.within(queries[part], squares[part], thresholds[part], inclusive, only_count)

        return self._in_parts(len(queries), ask)

    def _as_queries(self, queries):
        queries = as_real_rows(queries, "queries", self.dtype, self.n_features)
        return queries, _squares_of(queries, "queries", self._held.metric)

    def _in_parts(self, n_queries, ask):
        """What is answered for parts of the queries, on threads where there is more than one."""
        share = -(-n_queries // self._n_threads)
        size = max(8, min(_ROWS_AT_ONCE, -(-share // 8) * 8))
        parts = [slice(start, start + size) for start in range(0, max(n_queries, 1), size)]
        if len(parts) == 1 or n_queries * self.n_ids * self.n_features < _WORTH_THREADS:
            return [ask(part) for part in parts]
        with ThreadExecutor(min(self._n_threads, len(parts))) as executor:
            return executor.run_all(ask, parts)

    # ------------------------------------------------------------------ changes

    def add(self, vectors: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Add vectors.

        Parameters
        ----------
        vectors : array_like of shape (k, d)
            As when the search is made.

        Returns
        -------
        ids : ndarray of shape (k,), dtype=int64
            Those of vectors that were removed, the last one first, and then new ones.

        Raises
        ------
        TypeError, ValueError
            As when the search is made. Nothing has changed then.
        MemoryError
            If there is no room for more vectors. Nothing has changed then.

        Notes
        -----
        Cost: O(k d), amortised; where all places are taken, everything is copied to twice as many.

        Examples
        --------
        >>> from sltrees import VectorSearch
        >>> search = VectorSearch([[1.0], [2.0], [3.0]])
        >>> search.remove([1])
        >>> search.add([[5.0], [7.0]])
        array([1, 3])
        """
        vectors, squares = self._as_vectors(vectors)
        held = self._held
        ids = held.panels.next_columns(len(vectors))
        if ids.size:
            self._write(held, ids, vectors, squares)
        return ids

    def update(self, ids: npt.ArrayLike, vectors: npt.ArrayLike) -> None:
        """Replace vectors.

        Parameters
        ----------
        ids : array_like of shape (k,), integers
            Of vectors that are there. Of equal ids the last one wins.
        vectors : array_like of shape (k, d)
            As when the search is made.

        Raises
        ------
        IndexError
            If there is no vector with one of the ids.
        TypeError, ValueError
            As when the search is made, or if there are not as many vectors as ids. Nothing has changed then.
        MemoryError
            If there is no room; nothing has changed then.

        Notes
        -----
        Cost: O(k d). Where many vectors have become 2**100 times longer than most were at first (for "euclidean" 2**50
        times), once more O(n d).

        Examples
        --------
        >>> from sltrees import VectorSearch
        >>> search = VectorSearch([[1.0], [2.0], [3.0]])
        >>> search.update([1], [[9.0]])
        >>> search.nearest([[1.0]], 1)
        (array([[1]]), array([[9.]]))
        """
        ids = as_integers(np.array(ids), "ids")  # a copy: nobody changes what was checked
        vectors, squares = self._as_vectors(vectors)
        ids = self._as_ids(ids)
        if len(vectors) != len(ids):
            raise ValueError(f"vectors must have one row for each of the {len(ids)} ids, got {len(vectors)}")
        _, last = np.unique(ids[::-1], return_index=True)
        keep = np.sort(ids.size - 1 - last)
        if keep.size:
            self._write(self._held, ids[keep], np.ascontiguousarray(vectors[keep]), squares[keep])

    def remove(self, ids: npt.ArrayLike) -> None:
        """Take vectors out.

        Parameters
        ----------
        ids : array_like of shape (k,), integers
            Of vectors that are there, each once.

        Raises
        ------
        IndexError
            If there is no vector with one of the ids.
        TypeError, ValueError
            If the ids are not integers, or one comes twice. Nothing has changed then.

        Notes
        -----
        Cost: O(k). Their memory is kept, for vectors that are added.

        Examples
        --------
        >>> from sltrees import VectorSearch
        >>> search = VectorSearch([[1.0], [2.0], [3.0]])
        >>> search.remove([0, 2])
        >>> len(search), search.ids
        (1, array([1]))
        """
        ids = self._as_ids(as_integers(np.array(ids), "ids"))
        if np.unique(ids).size < ids.size:
            raise ValueError(f"ids must differ, got {ids.size} of which {np.unique(ids).size} do")
        self._held.panels.remove(ids)

    def _as_vectors(self, vectors):
        vectors = as_real_rows(vectors, "vectors", self.dtype, self.n_features)
        return vectors, _squares_of(vectors, "vectors", self._held.metric)

    def _as_ids(self, ids):
        """Checked ids of vectors that are there."""
        ids = as_indices(ids, self.n_ids, "ids")
        gone = ~self._held.panels.live[ids]
        if gone.any():
            raise IndexError(f"ids must be of vectors that are there, got {ids[gone][0]}, which was removed")
        return ids

    def _write(self, held, ids, vectors, squares):
        """Set vectors, where there is no room or no scale for them by making everything anew."""
        packed = held.packed(vectors, squares)
        if ids.max() < held.panels.capacity and not held.outgrown_by(packed):
            held.panels.write(ids, packed, vectors, squares)
            return
        n = max(held.panels.n, int(ids.max()) + 1)
        if n > _MOST_VECTORS:
            raise ValueError(f"a search has at most {_MOST_VECTORS} ids, got {n}")
        capacity = held.panels.capacity
        capacity = max(2 * capacity, n) if n > capacity else capacity
        more = self.bytes_needed(capacity, self.n_features, self.dtype, metric=self.metric)
        refuse_large(float(more), f"room for {capacity} vectors", "use fewer vectors, or float32")
        if self._max_memory is not None:
            check_memory(
                more + self.nbytes,
                self._max_memory,
                f"room for {capacity} vectors, beside those there are,",
                "use fewer vectors, or float32",
            )
        self._held = held.with_vectors(ids, vectors, squares, n, capacity)  # in one statement: all of them, or none

    # ------------------------------------------------------------------ what there is

    @property
    def metric(self) -> str:
        """ "inner_product", "cosine" or "euclidean"."""
        return METRICS[self._held.metric]

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._held.panels.vectors.dtype

    @property
    def n_features(self) -> int:
        """Numbers of a vector."""
        return self._held.panels.d

    @property
    def n_ids(self) -> int:
        """One more than the highest id that was ever given: the number of columns of a result."""
        return self._held.panels.n

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """Ids of the vectors that are there, ascending: ndarray of int64. Cost: O(n)."""
        return np.flatnonzero(self._held.panels.live)

    @property
    def vectors(self) -> npt.NDArray[np.floating[Any]]:
        """Read-only view of the vectors by id, (n_ids, d), until some are added; rows of removed ones are zero."""
        return self._held.panels.vectors

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._held.panels.nbytes

    def __len__(self) -> int:
        return self._held.panels.n_live

    def __iter__(self) -> Iterator[npt.NDArray[np.floating[Any]]]:
        """The vectors that are there, by ascending id as in `ids`; copies, all made before the first. Cost: O(n d)."""
        return iter(self[self.ids])

    def __contains__(self, id: Any) -> bool:
        """Whether there is a vector of this id; of anything else than an integer there is none."""
        panels = self._held.panels
        return (
            isinstance(id, (int, np.integer))
            and not isinstance(id, bool)
            and 0 <= id < panels.n
            and bool(panels.live[id])
        )

    def __getitem__(self, id: Any) -> npt.NDArray[np.floating[Any]]:
        """The vector of an id, or those of several: a copy."""
        if np.ndim(id) == 0:
            id = as_index(id, self.n_ids, "id")
            return self.vectors[int(self._as_ids(np.array([id]))[0])].copy()
        return self.vectors[self._as_ids(as_integers(np.array(id), "ids"))]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VectorSearch):
            return NotImplemented
        return (
            (self.metric, self.dtype) == (other.metric, other.dtype)
            and np.array_equal(self.ids, other.ids)
            and np.array_equal(self[self.ids], other[other.ids])
        )

    __hash__ = None

    def __repr__(self) -> str:
        return f"<VectorSearch of {len(self)} vectors in {self.n_features} dimensions, {self.metric}, {self.dtype}>"

    def copy(self) -> Self:
        """An independent search of the same vectors, with the same ids. Cost: as building.

        Returns
        -------
        VectorSearch

        Examples
        --------
        >>> from sltrees import VectorSearch
        >>> search = VectorSearch([[1.0], [2.0]])
        >>> other = search.copy()
        >>> other.remove([0])
        >>> len(search), len(other)
        (2, 1)
        """
        panels, other = self._held.panels, type(self).__new__(type(self))
        other._hold_checked(self.metric, self._n_threads, np.array(self.vectors), panels.live, panels.free)
        return other

    __copy__ = copy

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        panels = self._held.panels
        parts = type(self), _PICKLE_VERSION, self.metric, self._n_threads, np.array(self.vectors), panels.live
        return _from_pickle, (*parts, panels.free)

    def _hold_checked(self, metric, n_threads, vectors, live, free):
        """Have vectors that were checked, some of which are not there."""
        self._n_threads = n_threads
        self._held = PackedVectors(vectors, squared_lengths(vectors), live, METRICS.index(metric), len(vectors), free)

    def _check(self):
        """Assert every invariant, and that panels hold what the vectors are packed into. Cost: O(n d)."""
        self._held._check()


def _squares_of(vectors, name, metric):
    """Squared lengths; ValueError for those that are too large, or too small for a direction."""
    with np.errstate(over="ignore"):
        squares = squared_lengths(vectors)
    least = 1e-150 if METRICS[metric] == "cosine" else 0.0
    wrong = np.flatnonzero(~((squares >= least) & (squares <= _LARGEST_SQUARE)))
    if wrong.size:
        raise ValueError(
            f"squared lengths of {name} must be from {least:g} to {_LARGEST_SQUARE:g}, "
            f"got {squares[wrong[0]]:g} at index {wrong[0]}"
        )
    return squares


def _from_pickle(cls, version, metric, n_threads, vectors, live, free):
    """Rebuild a search; the arguments come from a file and are checked like any others."""
    if version != _PICKLE_VERSION:
        raise ValueError(f"this version reads pickles of format {_PICKLE_VERSION}, got format {version!r}")
    metric = as_choice(metric, "metric", METRICS)
    n_threads = as_integer(n_threads, "n_threads", minimum=1)
    dtype = np.dtype(np.float32 if getattr(vectors, "dtype", None) == np.float32 else np.float64)
    vectors = as_real_matrix(vectors, "vectors", dtype) if np.size(vectors) else np.empty(np.shape(vectors), dtype)
    live = np.array(live, dtype=bool)
    free = as_indices(np.array(free, dtype=np.int64), len(vectors), "free")
    if live.shape != (len(vectors),) or not np.array_equal(np.sort(free), np.flatnonzero(~live)):
        raise ValueError("a pickled search must say which vectors are free, once each")
    _squares_of(vectors[live], "vectors", METRICS.index(metric))
    search = cls.__new__(cls)
    search._hold_checked(metric, n_threads, vectors, live, free)
    return search
