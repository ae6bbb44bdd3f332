"""The public tree: what it checks, and what it says about itself. The work is done in _wide_tree.pyx."""

import operator

import numpy as np

cimport numpy as cnp
from cpython.buffer cimport PyObject_GetBuffer
from libc.stdint cimport int64_t

from sltrees._core._boundary import aligned_empty, as_index, as_indices, as_real_array, as_threshold, refuse_nan
from sltrees._core._tree cimport sl_tree_argmax, sl_tree_update
from sltrees._core._wide_tree cimport WideTree

cnp.import_array()

PICKLE_VERSION = 1


cdef class ThresholdTree(WideTree):
    """An array that answers "which entries are above t?" without reading them all.

    The values are the leaves of a tree of blocks of one cache line, each node holding the maximum of its
    block, so a query looks only where there is something to find, and changing a value repairs one path.

    Parameters
    ----------
    values : array_like of shape (n,)
        Real numbers, not NaN; infinities are allowed. float32 stays float32, every other dtype becomes float64.
    orientation : {"max", "min"}, default "max"
        "max" reports values above a threshold; "min" reports values below it.
    copy : bool, default True
        False makes the caller's array itself the leaves, without a copy. It must be a C-ordered, writable,
        aligned, one-dimensional float32 or float64 array; the tree keeps it alive and writes to it. After anybody else
        has changed it, `refresh` must be called before the next query. Such a tree cannot change its length.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If `values` is not one-dimensional or holds NaN, `orientation` is unknown, or the array cannot be borrowed.

    Notes
    -----
    Layout: blocks of W = 16 float32 or 8 float64 (64 bytes), a fan-out of W, no pointers.
    Memory: the values plus 1/(W-1) of them, 6.7% for float32 and 14% for float64; up to twice that after `append`.

    A threshold is rounded to the dtype of the tree, as NumPy does for ``values > t`` with a Python number t.

    Queries release the GIL and may run together in any number of threads. While a thread changes the tree, no other may
    query or change it: use a lock where both happen.

    Trees are equal if orientation, dtype and values are; being mutable, they have no hash. ``numpy.asarray(tree)`` is a
    read-only view of the values, like `values`.

    Cost: O(n) to build.

    See Also
    --------
    sltrees.CorrelationTrees : a bank of such trees over the products <w_r, x_i>.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees import ThresholdTree
    >>> tree = ThresholdTree(np.array([0.5, 3.0, -1.0, 2.0]))
    >>> tree.query(1.0)
    array([1, 3])
    >>> tree[2] = 7.0
    >>> tree.query(1.0, return_values=True)
    (array([1, 2, 3]), array([3., 7., 2.]))
    """

    def __init__(self, values, *, orientation="max", copy=True):
        if orientation not in ("max", "min"):
            raise ValueError(f"orientation must be 'max' or 'min', got {orientation!r}")
        if not copy and not (isinstance(values, np.ndarray) and values.dtype in (np.float32, np.float64)
                             and values.ndim == 1 and values.flags.carray):
            raise ValueError("copy=False needs a C-ordered, writable, aligned, one-dimensional float32 or float64 "
                             "array, got " + _describe(values))
        leaves = as_real_array(values, "values", 1, check_nan=False)    # building checks on the way
        if copy:
            source, leaves = leaves, aligned_empty(leaves.size, leaves.dtype)
            leaves[:] = source
        self._adopt(leaves, orientation == "min", not copy)

    # ------------------------------------------------------------------ queries

    def query(self, threshold, start=0, stop=None, *, bint return_values=False, out=None):
        """Indices of all values above the threshold (below it, for orientation "min"), ascending.

        Parameters
        ----------
        threshold : float
            Compared strictly: a value equal to the threshold is not reported.
        start, stop : int, optional
            Only indices in [start, stop) are reported; by default all.
        return_values : bool, default False
            Return the values with the indices.
        out : ndarray of shape (c,), dtype=int64, optional
            Write the indices here instead of into a new array, and return a view of its head.

        Returns
        -------
        indices : ndarray of shape (k,), dtype=int64
            The same as ``numpy.flatnonzero(values > threshold)``.
        values : ndarray of shape (k,), dtype of the tree
            Only if `return_values`.

        Raises
        ------
        ValueError
            If the threshold is NaN, the range is not 0 <= start <= stop <= n, or `out` is no C-ordered, writable int64
            vector, or has fewer than k entries (those it has are then overwritten).

        Notes
        -----
        Cost: O(k log(n / k)) blocks for k hits, and never more than O(n / W).

        Examples
        --------
        >>> tree = ThresholdTree([1.0, 5.0, 2.0, 5.0])
        >>> tree.query(2.0)
        array([1, 3])
        >>> tree.query(0.0, 1, 3)
        array([1, 2])
        """
        cdef double t = _as_threshold(threshold)
        cdef int64_t lo, hi, visited
        self._range(start, stop, &lo, &hi)
        indices = self._hits(t, lo, hi, &visited) if out is None else self._query_into(t, lo, hi, out)
        if return_values:
            return indices, self._leaves[indices]
        return indices

    def _query_into(self, double t, int64_t start, int64_t stop, out):
        """Write the hits into the caller's array."""
        if not (isinstance(out, np.ndarray) and out.dtype == np.int64 and out.ndim == 1
                and out.flags.carray):
            raise ValueError("out must be a C-ordered, writable, aligned, one-dimensional int64 array, got "
                             + _describe(out))
        cdef int64_t found, capacity = out.size
        cdef int64_t *data = <int64_t *> cnp.PyArray_DATA(out)
        with nogil:
            found = self.c_query(t, start, stop, data, capacity)
        if found > capacity:
            raise ValueError(f"out must have room for {found} indices, got {capacity}")
        return out[:found]

    def _query_counting(self, threshold, start=0, stop=None):
        """`query`, and the number of blocks compared: what the costs in the documentation are tested with."""
        cdef int64_t lo, hi, visited
        self._range(start, stop, &lo, &hi)
        indices = self._hits(_as_threshold(threshold), lo, hi, &visited)
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

        Notes
        -----
        Cost: that of the q queries, without their overhead in Python.

        Examples
        --------
        >>> ThresholdTree([1.0, 5.0, 2.0]).query_many([4.0, 1.5])
        (array([0, 1, 3]), array([1, 1, 2]))
        """
        return self._hits_many(as_real_array(thresholds, "thresholds", 1).astype(np.float64, copy=False))

    def count(self, threshold, start=0, stop=None):
        """Number of values above the threshold (below it, for orientation "min").

        Parameters
        ----------
        threshold : float
            Compared strictly.
        start, stop : int, optional
            Only indices in [start, stop) are counted; by default all.

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
        >>> ThresholdTree([1.0, 5.0, 2.0]).count(1.5)
        2
        """
        cdef double t = _as_threshold(threshold)
        cdef int64_t lo, hi, found
        self._range(start, stop, &lo, &hi)
        with nogil:
            found = self.c_count(t, lo, hi)
        return found

    def any(self, threshold):
        """Whether any value is above the threshold (below it, for orientation "min").

        Parameters
        ----------
        threshold : float
            Compared strictly.

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
        >>> ThresholdTree([1.0, 5.0, 2.0]).any(5.0)
        False
        """
        cdef double t = _as_threshold(threshold)
        return self.c_first(t, 0, self.tree.shape.size[0]) >= 0

    def first(self, threshold, start=0, stop=None):
        """Lowest index of a value above the threshold (below it, for orientation "min").

        Parameters
        ----------
        threshold : float
            Compared strictly.
        start, stop : int, optional
            Only indices in [start, stop) count; by default all.

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
        >>> tree = ThresholdTree([1.0, 5.0, 2.0, 7.0])
        >>> tree.first(4.0), tree.first(4.0, 2), tree.first(9.0)
        (1, 3, -1)
        """
        cdef double t = _as_threshold(threshold)
        cdef int64_t lo, hi
        self._range(start, stop, &lo, &hi)
        return self.c_first(t, lo, hi)

    def max(self):
        """The largest value; of a tree with orientation "min", the smallest.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If the tree is empty.

        Notes
        -----
        Cost: one block.

        Examples
        --------
        >>> ThresholdTree([1.0, 5.0, 2.0]).max()
        5.0
        """
        self._refuse_empty("max")
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
        >>> ThresholdTree([1.0, 5.0, 2.0, 5.0]).argmax()
        1
        """
        self._refuse_empty("argmax")
        return sl_tree_argmax(&self.tree, self.leaves, self.upper)

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
        >>> ThresholdTree([1.0, 5.0, 2.0, 5.0]).topk(3)
        array([1, 3, 2])
        """
        if not isinstance(k, (int, np.integer)) or k < 0:
            raise ValueError(f"k must be an integer of at least 0, got {k!r}")
        cdef int64_t n_best = min(k, len(self)), width = 1 << self.tree.shape.width_bits
        cdef int level = self.tree.shape.n_levels
        best = np.arange(self.tree.shape.size[level])
        while True:
            values = self._level(level)[best]
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

    # ------------------------------------------------------------------ updates

    def update(self, i, value):
        """Set one value; the same as ``tree[i] = value``.

        Parameters
        ----------
        i : int
            In [0, n).
        value : float
            Not NaN.

        Raises
        ------
        IndexError
            If i is out of range.
        ValueError
            If the value is NaN.

        Notes
        -----
        Cost: O(log n) blocks at worst, one compare as a rule.

        Examples
        --------
        >>> tree = ThresholdTree([1.0, 5.0, 2.0])
        >>> tree.update(1, 0.0)
        >>> tree.max()
        2.0
        """
        cdef int64_t leaf = _as_leaf(i, self.tree.shape.size[0])
        cdef double x = _as_value(value)
        self.c_update(leaf, x)

    def add(self, i, delta):
        """Add to one value.

        Parameters
        ----------
        i : int
            In [0, n).
        delta : float
            Not NaN, and the sum must not be (infinity minus infinity).

        Raises
        ------
        IndexError
            If i is out of range.
        ValueError
            If the sum is NaN. The tree is unchanged after either.

        Notes
        -----
        Cost: as `update`. The sum is computed in float64 and rounded to the dtype of the tree.

        Examples
        --------
        >>> tree = ThresholdTree([1.0, 5.0])
        >>> tree.add(0, 0.5)
        >>> tree[0]
        1.5
        """
        cdef int64_t leaf = _as_leaf(i, self.tree.shape.size[0])
        cdef double x = _as_value(delta)
        x += self.c_get(leaf)
        if x != x:
            raise ValueError(f"the sum must not be NaN, got {self.c_get(leaf)} + {delta}")
        self.c_update(leaf, x)

    def update_many(self, indices, values, *, crossing=None):
        """Set many values at once.

        Parameters
        ----------
        indices : array_like of shape (k,), integers
            In [0, n). Of equal indices the last one wins.
        values : array_like of shape (k,), or float
            Not NaN; a single number is written to all.
        crossing : float, optional
            Report which values this moves across a threshold.

        Returns
        -------
        None, or tuple (entered, left) of int64 ndarrays
            With `crossing`: the indices, ascending, that pass it now and did not before, and the reverse.

        Raises
        ------
        TypeError
            If the indices are not integers or the values not real numbers.
        IndexError
            If an index is out of range.
        ValueError
            If the shapes differ or a value is NaN. The tree is unchanged after any of these.

        Notes
        -----
        Cost: O(k log n) at worst; O(k + n / W) when more than a small share of the values change. `crossing` adds a
        sort.

        Examples
        --------
        >>> tree = ThresholdTree([1.0, 5.0, 2.0])
        >>> tree.update_many([0, 2, 0], [7.0, 8.0, 9.0])
        >>> tree.values
        array([9., 5., 8.])
        >>> tree.update_many([0, 1], [0.0, 6.0], crossing=5.5)
        (array([1]), array([0]))
        """
        where = as_indices(indices, self.tree.shape.size[0], "indices")
        new = self._as_values(values, where.shape)
        if crossing is None:
            self._write(where, new)
            return None
        threshold = self._round(as_threshold(crossing))
        touched = np.unique(where)
        before = self._passes(self._leaves[touched], threshold)
        self._write(where, new)
        after = self._passes(self._leaves[touched], threshold)
        return touched[after & ~before], touched[before & ~after]

    def add_many(self, indices, deltas):
        """Add to many values at once.

        Parameters
        ----------
        indices : array_like of shape (k,), integers
            In [0, n). Of equal indices all count.
        deltas : array_like of shape (k,), or float
            Not NaN; a single number is added to all.

        Raises
        ------
        TypeError, IndexError, ValueError
            As `update_many`, or if a sum is NaN (infinity minus infinity). The tree is unchanged after any of these.

        Notes
        -----
        Cost: O(k log k) and that of `update_many`. Sums are in the dtype of the tree, in the order given.

        Examples
        --------
        >>> tree = ThresholdTree([1.0, 5.0, 2.0])
        >>> tree.add_many([0, 0, 2], [1.0, 1.0, -2.0])
        >>> tree.values
        array([3., 5., 0.])
        """
        where = as_indices(indices, self.tree.shape.size[0], "indices")
        deltas = self._as_values(deltas, where.shape)
        touched, position = np.unique(where, return_inverse=True)
        sums = self._leaves[touched]
        with np.errstate(invalid="ignore", over="ignore"):
            np.add.at(sums, position, deltas)
        refuse_nan(sums, "the sums")
        self._write(touched, sums)

    def pop_above(self, threshold, *, replacement=None):
        """Take out all values above the threshold (below it, for orientation "min").

        Parameters
        ----------
        threshold : float
            Compared strictly.
        replacement : float, optional
            What to put in their places; it must not pass the threshold itself. By default -inf (inf for
            orientation "min"), which no query reports.

        Returns
        -------
        indices : ndarray of shape (k,), dtype=int64
            Ascending.
        values : ndarray of shape (k,), dtype of the tree
            What stood there.

        Raises
        ------
        ValueError
            If the threshold or the replacement is NaN, or the replacement passes the threshold.

        Notes
        -----
        Cost: that of `query` and of `update_many`.

        Examples
        --------
        >>> tree = ThresholdTree([1.0, 5.0, 2.0])
        >>> tree.pop_above(1.5)
        (array([1, 2]), array([5., 2.]))
        >>> tree.values
        array([  1., -inf, -inf])
        """
        cdef double worst = -self.tree.sign * np.inf
        fill = self._round(worst if replacement is None else _as_value(replacement))
        if self._passes(fill, self._round(as_threshold(threshold))):
            raise ValueError(f"replacement must not pass the threshold {threshold}, got {replacement}")
        indices, values = self.query(threshold, return_values=True)
        self._write(indices, np.full(indices.size, fill, dtype=self._leaves.dtype))
        return indices, values

    def refresh(self, start=0, stop=None):
        """Bring the tree up to date after somebody else has written to a borrowed array.

        Parameters
        ----------
        start, stop : int, optional
            The range of indices that may have changed; by default all.

        Raises
        ------
        ValueError
            If a value there is NaN (the tree then answers as before), or the range is not 0 <= start <= stop <= n.

        Notes
        -----
        Cost: O((stop - start) + log n).

        Examples
        --------
        >>> import numpy as np
        >>> values = np.zeros(4)
        >>> tree = ThresholdTree(values, copy=False)
        >>> values[2] = 1.0
        >>> tree.refresh()
        >>> tree.query(0.5)
        array([2])
        """
        cdef int64_t lo, hi
        self._range(start, stop, &lo, &hi)
        self._repair(lo, hi)

    # ------------------------------------------------------------------ growth

    def append(self, value):
        """Add one value at the end.

        Parameters
        ----------
        value : float
            Not NaN.

        Raises
        ------
        ValueError
            If the value is NaN, or the tree borrows its array.

        Notes
        -----
        Views handed out before (`values`, ``numpy.asarray``) stay valid, but may no longer follow updates.
        Cost: amortised O(1), and as `update`.

        Examples
        --------
        >>> tree = ThresholdTree([1.0])
        >>> tree.append(4.0)
        >>> len(tree), tree.query(2.0)
        (2, array([1]))
        """
        cdef double x = _as_value(value)
        cdef int64_t n = self.tree.shape.size[0]
        self._reserve(n + 1)
        self._set_size(n + 1)
        self.c_update(n, x)

    def extend(self, values):
        """Add many values at the end.

        Parameters
        ----------
        values : array_like of shape (k,)
            Not NaN.

        Raises
        ------
        TypeError, ValueError
            If the values are not a vector of real numbers, one is NaN, or the tree borrows its array.

        Notes
        -----
        Views handed out before stay valid, but may no longer follow updates. Cost: amortised O(k + log n).

        Examples
        --------
        >>> tree = ThresholdTree([1.0])
        >>> tree.extend([4.0, 0.0, 3.0])
        >>> tree.query(2.0)
        array([1, 3])
        """
        cdef int64_t n = self.tree.shape.size[0]
        new = self._as_values(values, None)
        self._reserve(n + new.size)
        self._set_size(n + new.size)
        self._leaves[n:] = new
        self._repair(n, n + new.size)

    def resize(self, n):
        """Change the number of values.

        Parameters
        ----------
        n : int
            At least 0. New places hold -inf (inf for orientation "min"), which no query reports.

        Raises
        ------
        TypeError, ValueError
            If n is not an integer of at least 0, or the tree borrows its array.

        Notes
        -----
        Views handed out before stay valid, but may no longer follow updates. Cost: O(n).

        Examples
        --------
        >>> tree = ThresholdTree([1.0, 2.0, 3.0])
        >>> tree.resize(2)
        >>> tree.max()
        2.0
        """
        if not isinstance(n, (int, np.integer)):
            raise TypeError(f"n must be an integer, got {n!r}")
        if not 0 <= n < 1 << 62:            # _reserve knows the limit; this is what fits its argument
            raise ValueError(f"n must be at least 0 and fit in memory, got {n}")
        cdef int64_t size = n
        self._reserve(size)
        self._set_size(size)

    # ------------------------------------------------------------------ as a sequence

    def __len__(self):
        return self.tree.shape.size[0]

    def __iter__(self):
        """The values in index order, each as it is when reached."""
        cdef int64_t i = 0
        while i < self.tree.shape.size[0]:
            yield self.c_get(i)
            i += 1

    def __getitem__(self, key):
        if isinstance(key, int):
            return self.c_get(self._wrap(key))
        values = self._leaves[key]
        return values.copy() if isinstance(values, np.ndarray) else float(values)

    def __setitem__(self, key, value):
        cdef double x
        if isinstance(key, int):
            x = _as_value(value)
            sl_tree_update(&self.tree, self.leaves, self.upper, self._wrap(key), x)
            return
        where = np.arange(len(self))[key]       # slices, masks, arrays of indices: what NumPy makes of them
        if isinstance(where, np.ndarray):
            self.update_many(where.ravel(), np.broadcast_to(value, where.shape).ravel())
        else:
            self.update(where, value)

    def __eq__(self, other):
        if not isinstance(other, ThresholdTree):
            return NotImplemented
        return (self.orientation == other.orientation and self.dtype == other.dtype
                and np.array_equal(self.values, other.values))

    __hash__ = None

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyObject_GetBuffer(self.values, buffer, flags)

    def __repr__(self):
        n = len(self)
        best = f", {self.orientation} {self.max():g}" if n else ""
        return f"<ThresholdTree of {n} {self.dtype} values{best}>"

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

    # ------------------------------------------------------------------ copies and pickles

    def copy(self):
        """An independent tree over a copy of the values.

        Returns
        -------
        ThresholdTree

        Notes
        -----
        Cost: O(n).

        Examples
        --------
        >>> tree = ThresholdTree([1.0, 5.0])
        >>> other = tree.copy()
        >>> other[1] = 0.0
        >>> tree.max(), other.max()
        (5.0, 1.0)
        """
        return type(self)(self._leaves, orientation=self.orientation)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        return _from_pickle, (type(self), PICKLE_VERSION, np.asarray(self.values), self.orientation)

    # ------------------------------------------------------------------ internals

    cdef int64_t _wrap(self, key) except -1:
        """An index as in a Python sequence, negative ones from the end."""
        cdef int64_t n = self.tree.shape.size[0], i
        try:
            i = key
        except OverflowError:
            i = n
        if i < 0:
            i += n
        if i < 0 or i >= n:
            raise IndexError(f"index must be in [{-n}, {n}), got {key}")
        return i

    cdef int _range(self, start, stop, int64_t *lo, int64_t *hi) except -1:
        """Check 0 <= start <= stop <= n, with stop = n by default."""
        cdef int64_t n = self.tree.shape.size[0]
        if stop is None:
            stop = n
        if type(start) is not int or type(stop) is not int:
            try:
                start, stop = operator.index(start), operator.index(stop)
            except TypeError:
                raise TypeError(f"start and stop must be integers, got start={start!r}, stop={stop!r}") from None
        if not 0 <= start <= stop <= n:
            raise ValueError(f"the range must satisfy 0 <= start <= stop <= {n}, got start={start}, stop={stop}")
        lo[0] = start
        hi[0] = stop
        return 0

    def _refuse_empty(self, what):
        if self.tree.shape.size[0] == 0:
            raise ValueError(f"{what} of an empty tree")

    def _as_values(self, values, shape):
        """Convert to the dtype of the tree, refusing NaN; a single number fills the shape, where one is given."""
        new = as_real_array(values, "values", 0 if shape is not None and np.ndim(values) == 0 else 1)
        if new.ndim == 0:
            new = np.full(shape, new)
        if shape is not None and new.shape != shape:
            raise ValueError(f"values must have the shape of indices, {shape}, got {new.shape}")
        with np.errstate(over="ignore"):        # beyond float32 is infinite there
            return new.astype(self._leaves.dtype, copy=False)

    def _round(self, x):
        """A number in the dtype of the tree."""
        with np.errstate(over="ignore"):        # beyond float32 is infinite there
            return self._leaves.dtype.type(x)

    def _write(self, where, new):
        """Write checked values at checked indices."""
        if np.may_share_memory(new, self._leaves):
            new = new.copy()        # the values meant are those from before the first is written
        cdef const int64_t *p_where = <const int64_t *> cnp.PyArray_DATA(where)
        cdef const void *p_new = cnp.PyArray_DATA(new)
        cdef int64_t count = where.size
        with nogil:
            self._write_many(p_where, p_new, count)

    def _passes(self, values, threshold):
        return values > threshold if self.tree.sign > 0 else values < threshold


cdef double _as_threshold(threshold) except? -1.0:
    """Convert a threshold to double; TypeError unless a real number, ValueError for NaN."""
    cdef double t
    if type(threshold) is float:        # by far the most common, and the one worth the shortcut
        t = threshold
        if t == t:
            return t
    return as_threshold(threshold)


cdef double _as_value(value) except? -1.0:
    """Convert one value to double; ValueError for NaN."""
    cdef double x = value
    if x != x:
        raise ValueError("value must not be NaN")
    return x


def _describe(values):
    """What an argument is, for an error message."""
    if not isinstance(values, np.ndarray):
        return type(values).__name__
    return (f"shape {values.shape}, dtype {values.dtype}, C-ordered: {values.flags.c_contiguous}, "
            f"writable: {values.flags.writeable}, aligned: {values.flags.aligned}")


cdef int64_t _as_leaf(i, int64_t n) except -1:
    """Convert an index in [0, n); TypeError or IndexError otherwise."""
    cdef int64_t leaf
    if type(i) is int:                  # by far the most common, and the one worth the shortcut
        try:
            leaf = i
        except OverflowError:
            leaf = -1
        if 0 <= leaf < n:
            return leaf
    return as_index(i, n, "i")


def _from_pickle(cls, version, values, orientation):
    """Rebuild a tree; the arguments come from a file and are checked like any others."""
    if version != PICKLE_VERSION:
        raise ValueError(f"this version reads pickles of format {PICKLE_VERSION}, got format {version!r}")
    if not (isinstance(values, np.ndarray) and values.dtype in (np.float32, np.float64)):
        raise ValueError("a pickled tree holds a float32 or float64 array, got " + _describe(values))
    return cls(values, orientation=orientation)
