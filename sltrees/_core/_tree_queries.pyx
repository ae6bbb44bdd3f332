"""What a tree can be asked, without changing it. The walks are in _wide_tree.pyx."""

import operator

import numpy as np

cimport numpy as cnp
from libc.math cimport INFINITY, NAN, nextafter
from libc.stdint cimport int64_t

from sltrees._core._boundary cimport plain_number
from sltrees._core._boundary import as_integer, as_real_array, as_threshold, describe_array
from sltrees._core._tree cimport sl_tree_argmax, sl_tree_maximum_in
from sltrees._core._wide_tree cimport WideTree
from sltrees._core._wide_tree import WHILE_CHANGED

cnp.import_array()

cdef int64_t MAX_INDEX = <int64_t> 1 << 62        # more than any tree holds
cdef object NUMPY_INTEGER = np.integer


cdef class TreeQueries(WideTree):
    """Queries and views of a threshold tree; `sltrees.ThresholdTree` adds building and changing it."""

    # ------------------------------------------------------------------ queries

    def query(self, threshold, start=0, stop=None, *, bint return_values=False, out=None, bint inclusive=False):
        """Indices of all values above the threshold (below it, for orientation "min"), ascending.

        Parameters
        ----------
        threshold : float
            Compared exactly, and strictly unless `inclusive`: a value equal to the threshold is not reported. It is
            never rounded; an integer that float64 does not hold is refused.
        start, stop : int, optional
            Only indices in [start, stop) are reported; by default all.
        return_values : bool, default False
            Return the values with the indices.
        out : ndarray of shape (c,), dtype=int64, optional
            Write the indices here instead of into a new array, and return a view of its head.
        inclusive : bool, default False
            Values equal to the threshold pass, too.

        Returns
        -------
        indices : ndarray of shape (k,), dtype=int64
            The same as ``numpy.flatnonzero(values > threshold)``.
        values : ndarray of shape (k,), dtype of the tree
            Only if `return_values`.

        Raises
        ------
        RuntimeError
            If another thread is changing the tree; so do all queries.
        ValueError
            If the threshold is NaN, the range is not 0 <= start <= stop <= n, or `out` is no C-ordered, writable int64
            vector, shares memory with the values, or has fewer than k entries (those it has are then overwritten).

        Notes
        -----
        Cost: O(k log(n / k)) blocks for k hits, and never more than O(n / W).

        Examples
        --------
        >>> from sltrees import ThresholdTree
        >>> tree = ThresholdTree([1.0, 5.0, 2.0, 5.0])
        >>> tree.query(2.0)
        array([1, 3])
        >>> tree.query(0.0, 1, 3), tree.query(2.0, inclusive=True)
        (array([1, 2]), array([1, 2, 3]))
        """
        cdef double t = self._limit(threshold, inclusive)
        cdef int64_t lo, hi, visited
        if out is not None:
            out = self._as_out(out)
        self._range(start, stop, &lo, &hi)
        self._begin_query()
        try:
            if t != t:
                indices = self._all(lo, hi, out)
            else:
                indices = self._hits(t, lo, hi, &visited) if out is None else self._query_into(t, lo, hi, out)
            return (indices, self._leaves[indices]) if return_values else indices
        finally:
            self._end_query()

    def _as_out(self, out):
        """Check an array for results; without the methods that a subclass may have."""
        plain = np.asarray(out) if isinstance(out, np.ndarray) else None
        if plain is None or not (plain.dtype == np.int64 and plain.ndim == 1 and plain.flags.carray):
            raise ValueError("out must be a C-ordered, writable, aligned, one-dimensional int64 array, got "
                             + describe_array(out))
        return plain

    def _query_into(self, double t, int64_t start, int64_t stop, out):
        """Write the hits into the caller's array."""
        if self._owns(out):
            raise ValueError("out must not share memory with the values of the tree")
        cdef int64_t found, capacity = out.size
        cdef int64_t *data = <int64_t *> cnp.PyArray_DATA(out)
        with nogil:
            found = self.c_query(t, start, stop, data, capacity)
        if found > capacity:
            raise ValueError(f"out must have room for {found} indices, got {capacity}")
        return out[:found]

    def _all(self, int64_t start, int64_t stop, out):
        """The hits of an inclusive query for the worst infinity: all numbers."""
        indices = np.flatnonzero(~np.isnan(self._leaves[start:stop])) + start
        if out is None:
            return indices
        if self._owns(out):
            raise ValueError("out must not share memory with the values of the tree")
        if indices.size > out.size:
            raise ValueError(f"out must have room for {indices.size} indices, got {out.size}")
        out[:indices.size] = indices
        return out[:indices.size]

    cdef double _limit(self, threshold, bint inclusive) except? -1.0:
        """What is passed strictly by whatever is to pass; NaN where everything is."""
        cdef double t = _as_threshold(threshold)
        if not inclusive:
            return t
        return NAN if t == -self.tree.sign * INFINITY else nextafter(t, -self.tree.sign * INFINITY)

    def _query_counting(self, threshold, start=0, stop=None):
        """`query`, and the number of blocks compared: what the costs in the documentation are tested with."""
        cdef double t = _as_threshold(threshold)
        cdef int64_t lo, hi, visited
        self._range(start, stop, &lo, &hi)
        self._begin_query()
        try:
            indices = self._hits(t, lo, hi, &visited)
        finally:
            self._end_query()
        return indices, visited

    def query_many(self, thresholds):
        """Indices above each of many thresholds (below, for orientation "min").

        Parameters
        ----------
        thresholds : array_like of shape (q,)
            Not NaN.

        Returns
        -------
        indptr : ndarray of shape (q + 1,), dtype=int64
        indices : ndarray of shape (indptr[q],), dtype=int64
            Those of ``thresholds[j]`` are ``indices[indptr[j]:indptr[j + 1]]``, ascending.

        Raises
        ------
        TypeError, ValueError
            If the thresholds are not a vector of real numbers, or one is NaN.
        MemoryError
            If the result does not fit in memory.

        Notes
        -----
        Cost: that of the q queries, without their overhead in Python.

        Examples
        --------
        >>> from sltrees import ThresholdTree
        >>> ThresholdTree([1.0, 5.0, 2.0]).query_many([4.0, 1.5])
        (array([0, 1, 3]), array([1, 1, 2]))
        """
        exact = as_real_array(thresholds, "thresholds", 1).astype(np.float64, copy=False)
        self._begin_query()
        try:
            return self._hits_many(exact)
        finally:
            self._end_query()

    def count(self, threshold, start=0, stop=None, *, bint inclusive=False):
        """Number of values above the threshold (below it, for orientation "min").

        Parameters
        ----------
        threshold : float
            Compared strictly.
        start, stop : int, optional
            Only indices in [start, stop) are counted; by default all.
        inclusive : bool, default False
            Values equal to the threshold pass, too.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If the threshold is NaN or the range is not 0 <= start <= stop <= n.

        Notes
        -----
        Cost: as `query`, without writing the result.

        Examples
        --------
        >>> from sltrees import ThresholdTree
        >>> ThresholdTree([1.0, 5.0, 2.0]).count(1.5)
        2
        """
        cdef double t = self._limit(threshold, inclusive)
        cdef int64_t lo, hi, found
        self._range(start, stop, &lo, &hi)
        if t != t:
            return self._all(lo, hi, None).size
        self._begin_query()
        with nogil:
            found = self.c_count(t, lo, hi)
        self._end_query()
        return found

    def any(self, threshold, *, bint inclusive=False):
        """Whether any value is above the threshold (below it, for orientation "min").

        Parameters
        ----------
        threshold : float
            Compared strictly.
        inclusive : bool, default False
            Values equal to the threshold pass, too.

        Returns
        -------
        bool

        Raises
        ------
        ValueError
            If the threshold is NaN.

        Notes
        -----
        Cost: O(log n) blocks.

        Examples
        --------
        >>> from sltrees import ThresholdTree
        >>> ThresholdTree([1.0, 5.0, 2.0]).any(5.0)
        False
        """
        cdef double t = self._limit(threshold, inclusive)
        return self._first(t, 0, self.tree.shape.size[0]) >= 0

    def first(self, threshold, start=0, stop=None, *, bint inclusive=False):
        """Lowest index of a value above the threshold (below it, for orientation "min").

        Parameters
        ----------
        threshold : float
            Compared strictly.
        start, stop : int, optional
            Only indices in [start, stop) count; by default all.
        inclusive : bool, default False
            Values equal to the threshold pass, too.

        Returns
        -------
        int
            -1 if there is none.

        Raises
        ------
        ValueError
            If the threshold is NaN or the range is not 0 <= start <= stop <= n.

        Notes
        -----
        Cost: O(log n) blocks.

        Examples
        --------
        >>> from sltrees import ThresholdTree
        >>> tree = ThresholdTree([1.0, 5.0, 2.0, 7.0])
        >>> tree.first(4.0), tree.first(4.0, 2), tree.first(9.0)
        (1, 3, -1)
        """
        cdef double t = self._limit(threshold, inclusive)
        cdef int64_t lo, hi
        self._range(start, stop, &lo, &hi)
        return self._first(t, lo, hi)

    def last(self, threshold, start=0, stop=None, *, bint inclusive=False):
        """Highest index of a value above the threshold (below it, for orientation "min").

        Parameters
        ----------
        threshold : float
            Compared strictly.
        start, stop : int, optional
            Only indices in [start, stop) count; by default all.
        inclusive : bool, default False
            Values equal to the threshold pass, too.

        Returns
        -------
        int
            -1 if there is none.

        Raises
        ------
        ValueError
            If the threshold is NaN or the range is not 0 <= start <= stop <= n.

        Notes
        -----
        By bisection. Cost: O(log n) times that of `first`.

        Examples
        --------
        >>> from sltrees import ThresholdTree
        >>> tree = ThresholdTree([1.0, 5.0, 2.0, 7.0])
        >>> tree.last(1.5), tree.last(1.5, 0, 3), tree.last(9.0)
        (3, 2, -1)
        """
        cdef double t = self._limit(threshold, inclusive)
        cdef int64_t lo, hi, middle, hit, found = -1
        self._range(start, stop, &lo, &hi)
        while lo < hi:      # it is in [lo, hi), or found
            middle = lo + (hi - lo) // 2
            hit = self._first(t, middle, hi)
            if hit >= 0:
                found = hit
                lo = hit + 1
            else:
                hi = middle
        return found

    cdef int64_t _first(self, double t, int64_t start, int64_t stop) except? -1:
        """`c_first`, also where maxima promise what NaN has replaced."""
        cdef int64_t visited
        self._refuse_changing()
        if self.stale_stop == 0:
            return (start if start < stop else -1) if t != t else self.c_first(t, start, stop)
        self._begin_query()
        try:
            hits = self._hits(t, start, stop, &visited) if t == t else self._all(start, stop, None)
        finally:
            self._end_query()
        return hits[0] if hits.size else -1

    def max(self, start=0, stop=None):
        """The largest value; of a tree with orientation "min", the smallest.

        Parameters
        ----------
        start, stop : int, optional
            Only indices in [start, stop) count; by default all.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If there is no value, or the range is not 0 <= start <= stop <= n.

        Notes
        -----
        Cost: one block; of a range, O(W log n).

        Examples
        --------
        >>> from sltrees import ThresholdTree
        >>> tree = ThresholdTree([1.0, 5.0, 2.0])
        >>> tree.max(), tree.max(2)
        (5.0, 2.0)
        """
        cdef int64_t lo, hi
        if stop is not None or type(start) is not int or start != 0:
            self._range(start, stop, &lo, &hi)
            self._refuse_changing()
            if lo == hi:
                raise ValueError(f"max of no values, got start={start}, stop={stop}")
            return sl_tree_maximum_in(&self.tree, self.leaves, self.upper, lo, hi) + 0.0
        self._refuse_empty("max")
        if self.stale_stop and self.tree.shape.n_levels == 0:       # there are no maxima from before
            return self.tree.sign * float(np.max(self._numbers()))
        return self.c_max() + 0.0       # -0.0 and 0.0 are one value: which of them a block keeps is arbitrary

    def argmax(self):
        """Index of the largest value (of the smallest, for orientation "min"), the lowest one of ties.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If the tree is empty.

        Notes
        -----
        Cost: O(log n) blocks.

        Examples
        --------
        >>> from sltrees import ThresholdTree
        >>> ThresholdTree([1.0, 5.0, 2.0, 5.0]).argmax()
        1
        """
        self._refuse_empty("argmax")
        cdef int64_t best = sl_tree_argmax(&self.tree, self.leaves, self.upper)
        if self.stale_stop == 0:
            return best
        # the block is the right one; NaN may stand in it
        best = best >> self.tree.shape.width_bits << self.tree.shape.width_bits
        return best + int(np.argmax(self._numbers()[best:best + (1 << self.tree.shape.width_bits)]))

    def topk(self, k):
        """Indices of the k largest values (smallest, for orientation "min"), best first.

        Parameters
        ----------
        k : int
            At least 0; more than n means all n.

        Returns
        -------
        ndarray of shape (min(k, n),), dtype=int64
            Of equal values the lowest index comes first.

        Raises
        ------
        ValueError
            If k is negative.

        Notes
        -----
        The k best children of the k best nodes of a level contain the k best leaves, so the beam is
        narrowed level by level. Cost: O(k W log n).

        Examples
        --------
        >>> from sltrees import ThresholdTree
        >>> ThresholdTree([1.0, 5.0, 2.0, 5.0]).topk(3)
        array([1, 3, 2])
        """
        if not isinstance(k, (int, np.integer)):
            raise ValueError(f"k must be an integer of at least 0, got {k!r}")
        k = as_integer(k, "k")
        if k < 0:
            raise ValueError(f"k must be an integer of at least 0, got {k}")
        self._begin_query()
        try:
            return self._topk(k)
        finally:
            self._end_query()

    def _topk(self, k):
        """The beam, from the top level down to the leaves."""
        cdef int64_t n_best = min(k, self.tree.shape.size[0]), width = 1 << self.tree.shape.width_bits
        cdef int level = self.tree.shape.n_levels
        best = np.arange(self.tree.shape.size[level])
        while True:
            values = self._numbers()[best] if level == 0 and self.stale_stop else self._level(level)[best]
            if best.size > n_best:
                # all above the n_best-th value, and of those equal to it the lowest indices
                last = np.partition(values, best.size - n_best)[best.size - n_best] if n_best else np.inf
                above = values > last
                tied = np.flatnonzero(values == last)[:n_best - np.count_nonzero(above)]
                above[tied] = True
                best, values = best[above], values[above]
            if level == 0:
                return best[np.argsort(-values, kind="stable")]
            level -= 1
            best = (best[:, None] * width + np.arange(width)).ravel()
            best = best[best < self.tree.shape.size[level]]

    # ------------------------------------------------------------------ as a sequence

    def __len__(self):
        return self.tree.shape.size[0]

    @property
    def size(self):
        """Number of values."""
        return self.tree.shape.size[0]

    @property
    def shape(self):
        """(number of values,)."""
        return (self.tree.shape.size[0],)

    def tolist(self):
        """The values as a list of floats.

        Returns
        -------
        list of float

        Notes
        -----
        Cost: O(n).

        Examples
        --------
        >>> from sltrees import ThresholdTree
        >>> ThresholdTree([1.0, 5.0]).tolist()
        [1.0, 5.0]
        """
        return self._leaves.tolist()

    def __iter__(self):
        """The values in index order, each as it is when reached."""
        cdef int64_t i = 0
        while i < self.tree.shape.size[0]:
            yield self.c_get(i)
            i += 1

    def __getitem__(self, key):
        # the first test alone is fast; True is a mask, as for NumPy
        if type(key) is int or isinstance(key, (int, NUMPY_INTEGER)) and not isinstance(key, bool):
            return self.c_get(self._wrap(key))
        leaves = self._leaves       # kept alive: the key may run code of the caller, which changes the tree
        values = leaves[key]
        return values.copy() if isinstance(values, np.ndarray) else float(values)

    def __array_function__(self, function, types, arguments, options):
        """A function of NumPy takes a tree for the array of its values: its maximum is that of either orientation."""
        return function(*_with_values(arguments), **_with_values(options))

    @property
    def values(self):
        """The values, as a read-only view that follows every update until the length changes. Cost: O(1)."""
        view = self._leaves.view()
        view.flags.writeable = False
        return view

    @property
    def dtype(self):
        """float32 or float64."""
        return self._leaves.dtype

    @property
    def orientation(self):
        """"max" or "min"."""
        return "max" if self.tree.sign > 0 else "min"

    @property
    def nbytes(self):
        """Bytes held: the values (also where they are borrowed), room to grow, and the levels above them."""
        return self._store.nbytes + self._upper.nbytes

    # ------------------------------------------------------------------ internals

    cdef int64_t _wrap(self, key) except -1:
        """An index as in a Python sequence, negative ones from the end."""
        cdef int64_t n, i
        try:
            i = key             # may run code of the caller, so the size is looked at afterwards
        except OverflowError:
            i = MAX_INDEX
        n = self.tree.shape.size[0]
        if i < 0:
            i += n
        if i < 0 or i >= n:
            raise IndexError(f"index must be in [{-n}, {n}), got {key}")
        return i

    cdef int _range(self, start, stop, int64_t *lo, int64_t *hi) except -1:
        """Check 0 <= start <= stop <= n, with stop = n by default."""
        cdef int64_t n, first = 0, past = 0
        cdef bint outside = False
        if type(start) is not int or type(stop) is not int and stop is not None:
            try:
                start, stop = operator.index(start), None if stop is None else operator.index(stop)
            except TypeError:
                stop = self.tree.shape.size[0] if stop is None else stop
                raise TypeError(f"start and stop must be integers, got start={start!r}, stop={stop!r}") from None
        n = self.tree.shape.size[0]     # after the conversions, which may run code of the caller
        try:
            first = start
            past = n if stop is None else stop
        except OverflowError:
            outside = True
        if outside or not 0 <= first <= past <= n:
            stop = n if stop is None else stop
            raise ValueError(f"the range must satisfy 0 <= start <= stop <= {n}, got start={start}, stop={stop}")
        lo[0] = first
        hi[0] = past
        return 0

    cdef int _refuse_changing(self) except -1:
        """What `_begin_query` refuses, for a method during which no other thread runs."""
        if self.users < 0:
            raise RuntimeError(WHILE_CHANGED)
        return 0

    def _refuse_empty(self, what):
        self._refuse_changing()
        if self.tree.shape.size[0] == 0:
            raise ValueError(f"{what} of an empty tree")

    cdef bint _owns(self, array) noexcept:
        """Whether a C-ordered array shares memory with the leaves."""
        cdef char *start = cnp.PyArray_BYTES(array)
        cdef char *leaves = cnp.PyArray_BYTES(self._store)
        return start < leaves + cnp.PyArray_NBYTES(self._store) and leaves < start + cnp.PyArray_NBYTES(array)

    def _numbers(self):
        """sign * leaves, with the worst value for NaN of somebody else."""
        leaves = self._level(0)
        return np.where(np.isnan(leaves), -np.inf, leaves)


def _with_values(argument):
    """An argument of NumPy's with arrays in the place of trees."""
    if isinstance(argument, TreeQueries):
        return argument.values
    if isinstance(argument, (list, tuple)):
        parts = [_with_values(part) for part in argument]
        return parts if isinstance(argument, list) else tuple(parts)
    if isinstance(argument, dict):
        return {name: _with_values(part) for name, part in argument.items()}
    return argument


cdef double _as_threshold(threshold) except? -1.0:
    """Convert a threshold to double; TypeError unless a real number, ValueError for NaN."""
    cdef double t = 0.0  # only for compilers that do not see that it is written
    if plain_number(threshold, &t) and t == t:
        return t
    return as_threshold(threshold)
