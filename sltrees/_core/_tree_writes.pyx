"""How the values of a tree are changed. Its length changes in _threshold_tree.pyx."""

import numpy as np

cimport numpy as cnp
from libc.math cimport INFINITY
from libc.stdint cimport int64_t
from libc.string cimport memmove

from sltrees._core._boundary cimport plain_number
from sltrees._core._boundary import (
    as_integer, as_integers, as_places, as_real_array, as_threshold, as_value, refuse_masked, within,
)
from sltrees._core._tree cimport sl_tree_limit, sl_tree_repair
from sltrees._core._tree_queries cimport TreeQueries
from sltrees._core._wide_tree import WHILE_CHANGED, WHILE_QUERIED

cnp.import_array()

cdef object NUMPY_INTEGER = np.integer
cdef tuple PLAIN_ENDS = (int, type(None))       # of slices: reading them runs no code of the caller


cdef class TreeWrites(TreeQueries):
    """Writing to a threshold tree; `sltrees.ThresholdTree` adds building it, growth and copies.

    Every method converts first, which may run code of the caller, then looks at the tree, and changes it last: what
    cannot be done changes nothing.
    """

    # ------------------------------------------------------------------ updates

    def update(self, i, value, *, crossing=None):
        """Set one value; the same as ``tree[i] = value``.

        Parameters
        ----------
        i : int
            In [0, n).
        value : float
            Not NaN.
        crossing : float, optional
            Report whether this moves the value across a threshold, as `update_many` does.

        Returns
        -------
        None, or tuple (entered, left) of int64 ndarrays

        Raises
        ------
        IndexError
            If i is out of range.
        ValueError
            If the value is NaN, or an integer that float64 does not hold.
        RuntimeError
            If another thread is querying or changing the tree, the last `refresh` was refused, or the tree borrows an
            array that is read-only; so do all methods that change it.

        Notes
        -----
        Cost: O(log n) blocks at worst, one compare as a rule.

        Examples
        --------
        >>> from sltrees import ThresholdTree
        >>> tree = ThresholdTree([1.0, 5.0, 2.0])
        >>> tree.update(1, 0.0)
        >>> tree.max()
        2.0
        """
        cdef int64_t leaf = _as_leaf(i)
        cdef double x = _as_value(value)
        cdef double t = 0.0 if crossing is None else as_threshold(crossing)
        if leaf < 0 or leaf >= self.tree.shape.size[0]:
            self._refuse_outside(i)
        if self._is_busy():
            self._refuse_write()
        if crossing is not None:
            return self._update_crossing(leaf, x, t)
        self.c_update(leaf, x)

    def _update_crossing(self, int64_t leaf, double x, double threshold):
        """Write one leaf; (entered, left)."""
        before = self._passes(self._leaves[leaf:leaf + 1], threshold)
        after = self._passes(np.array([self._round(x)]), threshold)
        self.c_update(leaf, x)
        where = np.array([leaf])
        return where[after & ~before], where[before & ~after]

    def add(self, i, delta, *, crossing=None):
        """Add to one value.

        Parameters
        ----------
        i : int
            In [0, n).
        delta : float
            Not NaN, and the sum must not be (infinity minus infinity).
        crossing : float, optional
            Report whether this moves the value across a threshold, as `update_many` does.

        Returns
        -------
        None, or tuple (entered, left) of int64 ndarrays

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
        >>> from sltrees import ThresholdTree
        >>> tree = ThresholdTree([1.0, 5.0])
        >>> tree.add(0, 0.5)
        >>> tree[0]
        1.5
        """
        cdef int64_t leaf = _as_leaf(i)
        cdef double x = _as_value(delta)
        cdef double t = 0.0 if crossing is None else as_threshold(crossing)
        if leaf < 0 or leaf >= self.tree.shape.size[0]:
            self._refuse_outside(i)
        if self._is_busy():
            self._refuse_write()
        x += self.c_get(leaf)
        if x != x:
            raise ValueError(f"the sum must not be NaN, got {self.c_get(leaf)} + {delta}")
        if crossing is not None:
            return self._update_crossing(leaf, x, t)
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
        >>> from sltrees import ThresholdTree
        >>> tree = ThresholdTree([1.0, 5.0, 2.0])
        >>> tree.update_many([0, 2, 0], [7.0, 8.0, 9.0])
        >>> tree.values
        array([9., 5., 8.])
        >>> tree.update_many([0, 1], [0.0, 6.0], crossing=5.5)
        (array([1]), array([0]))
        """
        where = as_integers(indices, "indices")
        new = _as_values(values, where)
        cdef double threshold = 0.0 if crossing is None else as_threshold(crossing)
        self._begin_write()
        try:
            where = within(where, self.tree.shape.size[0], "indices")
            new = self._as_own(new)
            if crossing is None:
                self._write(where, new)
                return None
            return self._write_crossing(where, new, threshold)
        finally:
            self._end_change()

    def _write_crossing(self, where, new, double threshold):
        """Write checked values at checked indices; say which of them pass the threshold now, and which did before."""
        touched, last = np.unique(where[::-1], return_index=True)
        before = self._passes(self._leaves[touched], threshold)
        after = self._passes(new[::-1][last], threshold)
        entered, left = touched[after & ~before], touched[before & ~after]
        self._write(where, new)
        return entered, left

    def add_many(self, indices, deltas, *, crossing=None):
        """Add to many values at once.

        Parameters
        ----------
        indices : array_like of shape (k,), integers
            In [0, n). Of equal indices all count.
        deltas : array_like of shape (k,), or float
            Not NaN; a single number is added to all.
        crossing : float, optional
            Report which values this moves across a threshold, as `update_many` does.

        Returns
        -------
        None, or tuple (entered, left) of int64 ndarrays

        Raises
        ------
        TypeError, IndexError, ValueError
            As `update_many`, or if a sum is NaN (infinity minus infinity). The tree is unchanged after any of these.

        Notes
        -----
        Cost: O(k log k) and that of `update_many`. Sums are in the dtype of the tree, in the order given.

        Examples
        --------
        >>> from sltrees import ThresholdTree
        >>> tree = ThresholdTree([1.0, 5.0, 2.0])
        >>> tree.add_many([0, 0, 2], [1.0, 1.0, -2.0])
        >>> tree.values
        array([3., 5., 0.])
        """
        where = as_integers(indices, "indices")
        deltas = _as_values(deltas, where)
        cdef double threshold = 0.0 if crossing is None else as_threshold(crossing)
        self._begin_write()
        try:
            where = within(where, self.tree.shape.size[0], "indices")
            touched, position = np.unique(where, return_inverse=True)
            sums = self._leaves[touched]
            with np.errstate(invalid="ignore", over="ignore"):
                np.add.at(sums, position, self._as_own(deltas))
            if np.isnan(sums).any():
                raise ValueError(f"the sums must not be NaN, got NaN for index {touched[np.isnan(sums)][0]}")
            if crossing is None:
                self._write(touched, sums)
                return None
            return self._write_crossing(touched, sums, threshold)
        finally:
            self._end_change()

    def pop_above(self, threshold, *, replacement=None, bint inclusive=False, crossing=None):
        """Take out all values above the threshold (below it, for orientation "min").

        Parameters
        ----------
        threshold : float
            Compared strictly.
        replacement : float, optional
            What to put in their places; it must not pass the threshold itself. By default -inf (inf for
            orientation "min"), which is above no threshold.
        inclusive : bool, default False
            Values equal to the threshold pass, too; but for -inf (inf for orientation "min"), which is what has been
            taken out. `query` reports these, where its threshold is -inf.
        crossing : float, optional
            Report which values this moves across another threshold, as `update_many` does.

        Returns
        -------
        indices : ndarray of shape (k,), dtype=int64
            Ascending.
        values : ndarray of shape (k,), dtype of the tree
            What stood there.
        entered, left : ndarray of int64
            Only with `crossing`.

        Raises
        ------
        ValueError
            If the threshold or the replacement is NaN, or the replacement passes the threshold.

        Notes
        -----
        Cost: that of `query` and of `update_many`.

        Examples
        --------
        >>> from sltrees import ThresholdTree
        >>> tree = ThresholdTree([1.0, 5.0, 2.0])
        >>> tree.pop_above(1.5)
        (array([1, 2]), array([5., 2.]))
        >>> tree.values
        array([  1., -inf, -inf])
        """
        cdef double t = self._limit(threshold, inclusive)
        cdef double x = 0.0 if replacement is None else _as_value(replacement)
        cdef double border = 0.0 if crossing is None else as_threshold(crossing)
        cdef int64_t visited
        if t != t:      # what everything passes: nothing but -inf could be put there, and what is -inf stays
            t = -self.tree.sign * INFINITY
        self._begin_write()
        try:
            fill = self._round(-self.tree.sign * np.inf if replacement is None else x)
            if self._passes(fill, t):
                raise ValueError(f"replacement must not pass the threshold {threshold}, got {replacement}")
            indices = self._hits(t, 0, self.tree.shape.size[0], &visited)
            values, new = self._leaves[indices], np.full(indices.size, fill, dtype=self._leaves.dtype)
            if crossing is not None:
                return (indices, values, *self._write_crossing(indices, new, border))
            self._write(indices, new)
            return indices, values
        finally:
            self._end_change()

    def refresh(self, start=0, stop=None):
        """Bring the tree up to date after somebody else has written to a borrowed array.

        Parameters
        ----------
        start, stop : int, optional
            The range of indices that may have changed; by default all.

        Raises
        ------
        ValueError
            If a value there, or in a block that the range cuts, is NaN (nothing in the tree has changed then), or the
            range is not 0 <= start <= stop <= n.

        Notes
        -----
        Until such a range is refreshed with success, the tree refuses to be changed. It can be asked: NaN passes no
        threshold, is never counted or reported, and is the worst value for `argmax` and `topk`; maxima of blocks, and
        so `max`, are those from before. (A tree of at most one block, 16 float32 or 8 float64, has no maxima but those
        of its numbers.)

        Cost: O((stop - start) + log n).

        Examples
        --------
        >>> import numpy as np
        >>> from sltrees import ThresholdTree
        >>> values = np.zeros(4)
        >>> tree = ThresholdTree(values, copy=False)
        >>> values[2] = 1.0
        >>> tree.refresh()
        >>> tree.query(0.5)
        array([2])
        """
        cdef int64_t lo, hi
        self._range(start, stop, &lo, &hi)
        self._begin_change()
        try:
            self._repair(lo, hi)
        finally:
            self._end_change()

    # ------------------------------------------------------------------ as a sequence

    def __setitem__(self, key, value):
        cdef double x
        cdef int64_t leaf
        # the first test alone is fast; True is a mask, as for NumPy
        if type(key) is int or isinstance(key, (int, NUMPY_INTEGER)) and not isinstance(key, bool):
            x = _as_value(value)
            leaf = self._wrap(key)
            if self._is_busy():
                self._refuse_write()
            self.c_update(leaf, x)
            return
        if _is_vector(key) and cnp.PyArray_TYPE(key) == cnp.NPY_INT64 and _fits(value, key):
            try:
                self.update_many(key, value)
                return
            except IndexError:          # some are negative, or NumPy says what is wrong
                pass
        if isinstance(key, slice) and self._write_slice(key, value):
            return
        where = as_places(key, self._leaves)
        if _is_vector(where) and _fits(value, where):
            self.update_many(where, value)
        elif isinstance(where, np.ndarray):
            refuse_masked(value, "values")
            new = value if isinstance(value, (int, float)) else np.asarray(value)
            self.update_many(where.ravel(), new if np.ndim(new) == 0 else np.broadcast_to(new, where.shape).ravel())
        else:
            self.update(where, value)

    # ------------------------------------------------------------------ internals

    def _as_own(self, new):
        """Checked numbers in the dtype of the tree."""
        if cnp.PyArray_TYPE(new) == cnp.PyArray_TYPE(self._leaves):
            return new
        with np.errstate(over="ignore"):        # beyond float32 is infinite there
            return new.astype(self._leaves.dtype)

    def _round(self, x):
        """A number in the dtype of the tree."""
        with np.errstate(over="ignore"):        # beyond float32 is infinite there
            return self._leaves.dtype.type(x)

    def _write_slice(self, key, value):
        """Write one number, or as many as they are, to places side by side; False, and nothing done, for all else."""
        cdef int64_t start, stop
        if not (key.step is None and type(key.start) in PLAIN_ENDS and type(key.stop) in PLAIN_ENDS
                and (type(value) is float or _is_vector(value))):
            return False
        new = as_real_array(value, "values", 0 if type(value) is float else 1)
        self._begin_write()
        try:
            start, stop, _ = key.indices(self.tree.shape.size[0])
            stop = max(start, stop)
            if new.ndim == 0:
                new = np.full(stop - start, new)
            if cnp.PyArray_SIZE(new) != stop - start:
                return False
            self._write_range(start, stop, self._as_own(new))
            return True
        finally:
            self._end_change()

    def _write_range(self, int64_t start, int64_t stop, new):
        """Write checked values to [start, stop). They may be the tree's own."""
        cdef int64_t itemsize = cnp.PyArray_ITEMSIZE(new)
        cdef const void *p_new = cnp.PyArray_DATA(new)
        if stop > start:
            with nogil:
                memmove(<char *> self.leaves + start * itemsize, p_new, (stop - start) * itemsize)
                sl_tree_repair(&self.tree, self.leaves, self.upper, start, stop, NULL)

    def _write(self, where, new):
        """Write checked values at checked indices."""
        if self._owns(new):
            new = new.copy()        # the values meant are those from before the first is written,
        if self._owns(where):
            where = where.copy()    # and so are the indices
        cdef const int64_t *p_where = <const int64_t *> cnp.PyArray_DATA(where)
        cdef const void *p_new = cnp.PyArray_DATA(new)
        cdef int64_t count = cnp.PyArray_SIZE(where)
        with nogil:
            self._write_many(p_where, p_new, count)

    def _passes(self, values, double threshold):
        """Which values pass; they have the dtype of the tree."""
        limit = self._leaves.dtype.type(sl_tree_limit(&self.tree, threshold))
        return values > limit if self.tree.sign > 0 else values < limit

    cdef int _refuse_outside(self, i) except -1:
        """The error for an index of no value."""
        raise IndexError(f"i must be in [0, {self.tree.shape.size[0]}), got {i}")

    cdef bint _is_busy(self) noexcept:
        """Whether `_refuse_write` refuses."""
        return self.users != 0 or self.stale_stop != 0 or not cnp.PyArray_ISWRITEABLE(<cnp.ndarray> self._leaves)

    cdef int _refuse_write(self) except -1:
        """RuntimeError while other threads query or change the tree, after a refresh that was refused, and where the
        array that it borrows is read-only."""
        if not cnp.PyArray_ISWRITEABLE(<cnp.ndarray> self._leaves):
            raise RuntimeError("the array that the tree borrows is read-only: whoever may write to it calls refresh")
        if self.users != 0:
            raise RuntimeError(WHILE_CHANGED if self.users < 0 else WHILE_QUERIED)
        if self.stale_stop:
            raise RuntimeError(f"the array that the tree borrows holds NaN in [{self.stale_start}, {self.stale_stop}): "
                               "write numbers there and refresh before the tree is changed")
        return 0

    cdef int _begin_write(self) except -1:
        """`_begin_change`, where `_refuse_write` does not refuse it."""
        self._refuse_write()
        self.users = -1
        return 0


cdef bint _is_vector(array) noexcept:
    return cnp.PyArray_CheckExact(array) and cnp.PyArray_NDIM(array) == 1


cdef bint _fits(value, where) noexcept:
    """Whether a value is a number, or one for each index: `update_many` takes it as it is."""
    return type(value) is float or _is_vector(value) and cnp.PyArray_SIZE(value) == cnp.PyArray_SIZE(where)


def _as_values(values, where):
    """Convert to float32 or float64, refusing NaN, one for each index; a single number stands for all."""
    if isinstance(values, np.ndarray) and values.ndim or np.ndim(values):
        new = as_real_array(values, "values", 1)
        if cnp.PyArray_SIZE(new) != cnp.PyArray_SIZE(where):
            raise ValueError(f"values must have the shape of indices, {where.shape}, got {new.shape}")
        return new
    return np.full(where.shape, as_real_array(values, "values", 0))


cdef double _as_value(value) except? -1.0:
    """Convert one value to double; ValueError for NaN and for integers that float64 does not hold."""
    cdef double x = 0.0  # only for compilers that do not see that it is written
    if plain_number(value, &x) and x == x:
        return x
    return as_value(value)


cdef int64_t _as_leaf(i) except? -1:
    """Convert an index; -1 where it is beyond every tree. TypeError unless an integer, and for True and False."""
    cdef int64_t leaf
    try:
        if type(i) is int:              # by far the most common, and the one worth the shortcut
            leaf = i
        elif isinstance(i, bool):
            raise TypeError(f"i must be an integer, got {i!r}")
        else:
            leaf = as_integer(i, "i")
        return leaf
    except OverflowError:
        return -1
