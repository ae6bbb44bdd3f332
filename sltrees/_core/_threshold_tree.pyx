"""The public tree: building, growth, copies. Asking it is in _tree_queries.pyx, changing values in _tree_writes.pyx."""

from copy import deepcopy

import numpy as np

cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyObject_GetBuffer
from libc.stdint cimport int64_t

from sltrees._core._boundary cimport plain_number
from sltrees._core._boundary import as_integer, as_real_array, as_threshold, as_value, describe_array
from sltrees._core._tree_writes cimport TreeWrites

cnp.import_array()

PICKLE_VERSION = 1


cdef class ThresholdTree(TreeWrites):
    """ThresholdTree(values, *, orientation='max', copy=True)\n--\n\n\
    An array that answers "which entries are above t?" without reading them all.

    The values are the leaves of a tree of blocks of one cache line, each node holding the maximum of its
    block, so a query looks only where there is something to find, and changing a value repairs one path.

    Parameters
    ----------
    values : array_like of shape (n,)
        Real numbers, not NaN nor masked; infinities are allowed. float32 stays float32, every other dtype becomes
        float64.
    orientation : {"max", "min"}, default "max"
        "max" reports values above a threshold; "min" reports values below it.
    copy : bool, default True
        False makes the caller's array itself the leaves, without a copy. It must be a C-ordered, aligned,
        one-dimensional float32 or float64 array; the tree keeps it alive and writes to it, or, where it is read-only,
        refuses to. After anybody else has changed it, `refresh` must be called before the next query. Such a tree
        cannot change its length.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If `values` is not one-dimensional, holds NaN or an integer that float64 does not hold, `orientation` is
        unknown, or the array cannot be borrowed.
    MemoryError
        If there is no memory for the tree: what is needed is compared with what there is before any is used. `extend`,
        `resize` and `query_many` do the same.

    Notes
    -----
    Layout: blocks of W = 16 float32 or 8 float64 (64 bytes), a fan-out of W, no pointers.
    Memory: the values plus 1/(W-1) of them, 6.7% for float32 and 14% for float64; up to twice that after `append`.

    The memory of the last large result (at most 96 MiB) is kept for the next one when its array is gone.

    Comparisons are exact: a float64 threshold of a float32 tree is not rounded to float32. Integers, as values or as
    thresholds, that float64 does not hold (beyond 2**53) are refused: subtract an offset from both.

    `query`, `query_many` and `count` release the GIL, and queries may run together in any number of threads. A method
    that changes the tree raises RuntimeError while another thread queries or changes it, and so does a query while
    another thread changes it: use a lock where both happen.

    Trees are equal if orientation, dtype and values are; being mutable, they have no hash. ``numpy.asarray(tree)`` is a
    read-only view of the values, like `values`, and NumPy's functions take a tree for that.

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

    @cython.embedsignature(False)       # Cython gets the order of arguments wrong; the docstring begins with it
    def __init__(self, values, *, orientation="max", copy=True):
        if orientation not in ("max", "min"):
            raise ValueError(f"orientation must be 'max' or 'min', got {orientation!r}")
        if not copy and not (isinstance(values, np.ndarray) and values.dtype in (np.float32, np.float64)
                             and values.ndim == 1 and values.flags.c_contiguous and values.flags.aligned):
            raise ValueError("copy=False needs a C-ordered, aligned, one-dimensional float32 or float64 array, got "
                             + describe_array(values))
        # building copies and looks for NaN on the way
        source = as_real_array(values, "values", 1, check_nan=False)
        self._begin_change()
        try:
            self._adopt(source, orientation == "min", not copy)
        finally:
            self._end_change()

    # ------------------------------------------------------------------ growth

    def append(self, value, *, crossing=None):
        """Add one value at the end.

        Parameters
        ----------
        value : float
            Not NaN.
        crossing : float, optional
            Report whether the value passes a threshold, as `update_many` does.

        Returns
        -------
        None, or tuple (entered, left) of int64 ndarrays

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
        cdef double x
        cdef double t = 0.0 if crossing is None else as_threshold(crossing)
        cdef int64_t n
        if not plain_number(value, &x) or x != x:
            x = as_value(value)
        self._begin_change()        # after what may run code of the caller
        try:
            n = self.tree.shape.size[0]
            self._set_size(n + 1)
            self.c_update(n, x)
            return None if crossing is None else self._entered_from(n, t)
        finally:
            self._end_change()

    def _entered_from(self, int64_t n, double threshold):
        """(entered, left) where leaf n and those behind it are new."""
        entered = np.flatnonzero(self._passes(self._leaves[n:], threshold)) + n
        return entered, entered[:0].copy()

    def extend(self, values, *, crossing=None):
        """Add many values at the end.

        Parameters
        ----------
        values : array_like of shape (k,)
            Not NaN.
        crossing : float, optional
            Report which of the values pass a threshold, as `update_many` does.

        Returns
        -------
        None, or tuple (entered, left) of int64 ndarrays

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
        cdef double t = 0.0 if crossing is None else as_threshold(crossing)
        cdef int64_t n
        new = as_real_array(values, "values", 1)
        self._begin_change()        # after what may run code of the caller
        try:
            new, n = self._as_own(new), self.tree.shape.size[0]
            self._set_size(n + new.size, new)
            return None if crossing is None else self._entered_from(n, t)
        finally:
            self._end_change()

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
        n = as_integer(n, "n")
        if not 0 <= n < 1 << 62:            # _set_size knows the limit; this is what fits its argument
            raise ValueError(f"n must be at least 0 and fit in memory, got {n}")
        self._begin_change()        # after what may run code of the caller
        try:
            self._set_size(n)
        finally:
            self._end_change()

    # ------------------------------------------------------------------ as a sequence

    def __eq__(self, other):
        if not isinstance(other, ThresholdTree):
            return NotImplemented
        return (self.orientation == other.orientation and self.dtype == other.dtype
                and np.array_equal(self.values, other.values))

    __hash__ = None

    def __gt__(self, threshold):
        """Which values are greater, as a mask; the other three alike. Exactly, as queries do. Cost: O(n)."""
        return self.values > np.float64(as_threshold(threshold))

    def __ge__(self, threshold):
        return self.values >= np.float64(as_threshold(threshold))

    def __lt__(self, threshold):
        return self.values < np.float64(as_threshold(threshold))

    def __le__(self, threshold):
        return self.values <= np.float64(as_threshold(threshold))

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyObject_GetBuffer(self.values, buffer, flags)

    def __repr__(self):
        n = len(self)
        best = f", {self.orientation} {self.max():g}" if n else ""
        return f"<ThresholdTree of {n} {self.dtype} values{best}>"

    # ------------------------------------------------------------------ copies and pickles

    def copy(self):
        """An independent tree over a copy of the values.

        Attributes of a subclass are kept; its ``__init__`` is not called.

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
        return self.__copy__()

    def __copy__(self):
        other, state = self._twin(), self.__getstate__()
        if state is not None:
            other.__setstate__(state)
        return other

    def __deepcopy__(self, memo):
        other = memo[id(self)] = self._twin()
        state = deepcopy(self.__getstate__(), memo)
        if state is not None:
            other.__setstate__(state)
        return other

    def __reduce__(self):
        parts = _from_pickle, (type(self), PICKLE_VERSION, np.asarray(self.values), self.orientation)
        state = self.__getstate__()
        return parts if state is None else (*parts, state)

    def _twin(self):
        """A tree of the same class over a copy of the values, without the attributes that a subclass adds."""
        cdef ThresholdTree other = ThresholdTree.__new__(type(self))
        self._begin_query()
        try:
            other._adopt(self._leaves, self.tree.sign < 0, False)
        finally:
            self._end_query()
        return other

    def __setstate__(self, state):
        """Set the attributes that a subclass adds."""
        for attributes in state if isinstance(state, tuple) else (state,):
            for name, value in (attributes or {}).items():
                object.__setattr__(self, name, value)


def while_changing(ThresholdTree tree, act):
    """What act() returns; meanwhile all that another thread does to the tree is refused, as during a change."""
    tree._begin_change()
    try:
        return act()
    finally:
        tree._end_change()


def while_asking(ThresholdTree tree, act):
    """What act() returns; meanwhile changes of the tree are refused, as during a query."""
    tree._begin_query()
    try:
        return act()
    finally:
        tree._end_query()


def _from_pickle(cls, version, values, orientation):
    """Rebuild a tree; the arguments come from a file and are checked like any others."""
    if version != PICKLE_VERSION:
        raise ValueError(f"this version reads pickles of format {PICKLE_VERSION}, got format {version!r}")
    if not (isinstance(values, np.ndarray) and values.dtype in (np.float32, np.float64)):
        raise ValueError("a pickled tree holds a float32 or float64 array, got " + describe_array(values))
    tree = ThresholdTree.__new__(cls)       # a subclass may have an __init__ of its own, with other arguments
    ThresholdTree.__init__(tree, values, orientation=orientation)
    return tree
