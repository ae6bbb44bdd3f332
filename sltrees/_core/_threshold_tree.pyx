"""The public tree: building, changing, copying. What it can be asked is in _tree_queries.pyx."""

import numpy as np

cimport numpy as cnp
from cpython.buffer cimport PyObject_GetBuffer
from libc.stdint cimport int64_t

from sltrees._core._boundary import (
    as_index, as_indices, as_real_array, as_threshold, describe_array, refuse_nan,
)
from sltrees._core._tree_queries cimport TreeQueries

cnp.import_array()

PICKLE_VERSION = 1


cdef class ThresholdTree(TreeQueries):
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

    The memory of the last large result (at most 96 MiB) is kept for the next one when its array is gone.

    A threshold is rounded to the dtype of the tree, as NumPy does for ``values > t`` with a Python number t.

    `query`, `query_many` and `count` release the GIL, and queries may run together in any number of threads. While a
    thread changes the tree, no other may query or change it: use a lock where both happen.

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
                             "array, got " + describe_array(values))
        # building copies and looks for NaN on the way
        self._adopt(as_real_array(values, "values", 1, check_nan=False), orientation == "min", not copy)

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
            If a value there, or in a block that the range cuts, is NaN (the tree then answers as before),
            or the range is not 0 <= start <= stop <= n.

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

    def __setitem__(self, key, value):
        cdef double x
        if type(key) is int or isinstance(key, (int, np.integer)):     # the first test alone is fast
            x = _as_value(value)
            self.c_update(self._wrap(key), x)
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


cdef double _as_value(value) except? -1.0:
    """Convert one value to double; ValueError for NaN."""
    cdef double x = value
    if x != x:
        raise ValueError("value must not be NaN")
    return x


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
        raise ValueError("a pickled tree holds a float32 or float64 array, got " + describe_array(values))
    return cls(values, orientation=orientation)
