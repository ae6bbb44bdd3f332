"""A wide implicit tree over one array: threshold queries and point updates."""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.stdlib cimport free

from sltrees._core._boundary import aligned_empty, as_index, as_indices, as_real_array, as_threshold
from sltrees._core._hits cimport hits_to_array
from sltrees._core._simd cimport active_level
from sltrees._core._tree cimport (
    sl_hits, sl_hits_init, sl_tree_argmax, sl_tree_build, sl_tree_count, sl_tree_first, sl_tree_init, sl_tree_leaf,
    sl_tree_maximum, sl_tree_query, sl_tree_repair, sl_tree_update, sl_tree_update_many,
)

cnp.import_array()

PICKLE_VERSION = 1

cdef enum:
    N_LOCAL_HITS = 1024     # a query result starts in this much memory on the stack


cdef class ThresholdTree:
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
        one-dimensional float32 or float64 array; the tree writes to it, and after anybody else
        has changed it, `refresh` must be called before the next query.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If `values` is not one-dimensional or holds NaN, `orientation` is unknown, or the array cannot be borrowed.

    Notes
    -----
    Layout: blocks of W = 16 float32 or 8 float64 (64 bytes), a fan-out of W, no pointers.
    Memory: the values plus 1/(W-1) of them, 6.7% for float32 and 14% for float64.

    A threshold is rounded to the dtype of the tree, as NumPy does for ``values > t`` with a Python number t.

    Queries release the GIL and may run together. No thread may update while another queries or updates.

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
        if copy:
            array = as_real_array(values, "values", 1)
            leaves = aligned_empty(array.size, array.dtype)
            leaves[:] = array
        else:
            if not (isinstance(values, np.ndarray) and values.dtype in (np.float32, np.float64)
                    and values.ndim == 1 and values.flags.c_contiguous and values.flags.writeable):
                raise ValueError("copy=False needs a C-ordered, writable, one-dimensional float32 or float64 array, got "
                                 + _describe(values))
            leaves = as_real_array(values, "values", 1)
        self._adopt(leaves, orientation == "min")

    def _adopt(self, leaves, bint min_tree):
        """Make `leaves` the leaves and build the levels above. Sets: everything."""
        cdef int64_t n = leaves.size
        sl_tree_init(&self.tree, n, n, leaves.dtype == np.float32, min_tree, active_level())
        self._upper = aligned_empty(self.tree.shape.n_upper, leaves.dtype)
        self._leaves = leaves
        self.leaves = cnp.PyArray_DATA(leaves)
        self.upper = cnp.PyArray_DATA(self._upper)
        with nogil:
            sl_tree_build(&self.tree, self.leaves, self.upper)

    # ------------------------------------------------------------------ interface for compiled code

    cdef double c_get(self, int64_t i) noexcept nogil:
        """Leaf i. Cost: O(1)."""
        return sl_tree_leaf(&self.tree, self.leaves, i)

    cdef void c_update(self, int64_t i, double value) noexcept nogil:
        """Write leaf i and repair its ancestors. Cost: O(log n) blocks, as a rule one compare."""
        sl_tree_update(&self.tree, self.leaves, self.upper, i, value)

    cdef double c_max(self) noexcept nogil:
        """The best value: the maximum, or the minimum of a min-tree. Cost: one block."""
        return sl_tree_maximum(&self.tree, self.leaves, self.upper)

    cdef int64_t c_first(self, double threshold, int64_t start, int64_t stop) noexcept nogil:
        """Lowest passing index in [start, stop), or -1. Cost: O(log n) blocks."""
        return sl_tree_first(&self.tree, self.leaves, self.upper, threshold, start, stop)

    cdef int64_t c_query(self, double threshold, int64_t start, int64_t stop,
                         int64_t *out, int64_t capacity) noexcept nogil:
        """Write the first `capacity` passing indices of [start, stop), ascending, and return how many pass in all."""
        cdef sl_hits hits
        sl_hits_init(&hits, out, capacity, True)
        sl_tree_query(&self.tree, self.leaves, self.upper, threshold, start, stop, &hits)
        return hits.length

    # ------------------------------------------------------------------ queries

    def query(self, threshold, start=0, stop=None, *, bint return_values=False):
        """Indices of all values above the threshold (below it, for orientation "min"), ascending.

        Parameters
        ----------
        threshold : float
            Compared strictly: a value equal to the threshold is not reported.
        start, stop : int, optional
            Only indices in [start, stop) are reported; by default all.
        return_values : bool, default False
            Return the values with the indices.

        Returns
        -------
        indices : ndarray of shape (k,), dtype=int64
            The same as ``numpy.flatnonzero(values > threshold)``.
        values : ndarray of shape (k,), dtype of the tree
            Only if `return_values`.

        Raises
        ------
        ValueError
            If the threshold is NaN or the range is not 0 <= start <= stop <= n.

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
        indices, _ = self._query_counting(threshold, start, stop)
        if return_values:
            return indices, self._leaves[indices]
        return indices

    def _query_counting(self, threshold, start=0, stop=None):
        """`query`, and the number of blocks compared: what the costs in the documentation are tested with."""
        cdef double t = as_threshold(threshold)
        cdef int64_t lo, hi, visited
        cdef int64_t[N_LOCAL_HITS] local
        cdef sl_hits hits
        lo, hi = self._range(start, stop)
        sl_hits_init(&hits, local, N_LOCAL_HITS, False)
        with nogil:
            visited = sl_tree_query(&self.tree, self.leaves, self.upper, t, lo, hi, &hits)
        return hits_to_array(&hits), visited

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
        cdef double t = as_threshold(threshold)
        cdef int64_t lo, hi, found = 0
        lo, hi = self._range(start, stop)
        with nogil:
            sl_tree_count(&self.tree, self.leaves, self.upper, t, lo, hi, &found)
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
        Cost: one block.

        Examples
        --------
        >>> ThresholdTree([1.0, 5.0, 2.0]).any(5.0)
        False
        """
        cdef double t = as_threshold(threshold)
        return sl_tree_first(&self.tree, self.leaves, self.upper, t, 0, self.tree.shape.size[0]) >= 0

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
        if k < 0:
            raise ValueError(f"k must be at least 0, got {k}")
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
        cdef int64_t leaf = as_index(i, self.tree.shape.size[0], "i")
        cdef double x = _as_value(value)
        self.c_update(leaf, x)

    def update_many(self, indices, values):
        """Set many values at once.

        Parameters
        ----------
        indices : array_like of shape (k,), integers
            In [0, n). Of equal indices the last one wins.
        values : array_like of shape (k,), or float
            Not NaN; a single number is written to all.

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
        Cost: O(k log n) at worst; O(k + n / W) when more than a small share of the values change.

        Examples
        --------
        >>> tree = ThresholdTree([1.0, 5.0, 2.0])
        >>> tree.update_many([0, 2, 0], [7.0, 8.0, 9.0])
        >>> tree.values
        array([9., 5., 8.])
        """
        where = as_indices(indices, self.tree.shape.size[0], "indices")
        new = as_real_array(values, "values", np.ndim(values))
        if new.ndim == 0:
            new = np.full(where.shape, new)
        if new.shape != where.shape:
            raise ValueError(f"values must have the shape of indices, {where.shape}, got {new.shape}")
        new = new.astype(self._leaves.dtype, copy=False)
        cdef const int64_t *p_where = <const int64_t *> cnp.PyArray_DATA(where)
        cdef const void *p_new = cnp.PyArray_DATA(new)
        cdef int64_t count = where.size
        with nogil:
            sl_tree_update_many(&self.tree, self.leaves, self.upper, p_where, p_new, count)

    def refresh(self, start=0, stop=None):
        """Bring the tree up to date after somebody else has written to a borrowed array.

        Parameters
        ----------
        start, stop : int, optional
            The range of indices that may have changed; by default all.

        Raises
        ------
        ValueError
            If a value there is NaN (the levels above are then as they were), or the range is not 0 <= start <= stop <= n.

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
        lo, hi = self._range(start, stop)
        as_real_array(self._leaves[lo:hi], "values", 1)
        with nogil:
            sl_tree_repair(&self.tree, self.leaves, self.upper, lo, hi)

    # ------------------------------------------------------------------ as a sequence

    def __len__(self):
        return self.tree.shape.size[0]

    def __getitem__(self, key):
        if isinstance(key, int):
            return self.c_get(self._wrap(key))
        values = self._leaves[key]
        return values.copy() if isinstance(values, np.ndarray) else float(values)

    def __setitem__(self, key, value):
        cdef double x
        if isinstance(key, int):
            x = _as_value(value)
            self.c_update(self._wrap(key), x)
        else:
            where = np.arange(len(self))[key]
            if isinstance(where, np.ndarray):
                self.update_many(where.ravel(), np.broadcast_to(value, where.shape).ravel())
            else:
                self.update(where, value)

    def __repr__(self):
        n = len(self)
        best = f", {self.orientation} {self.max():g}" if n else ""
        return f"<ThresholdTree of {n} {self.dtype} values{best}>"

    @property
    def values(self):
        """The values, as a read-only view that follows every update: ndarray of shape (n,). Cost: O(1)."""
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
        """Bytes held: the values (also where they are borrowed) and the levels above them."""
        return self._leaves.nbytes + self._upper.nbytes

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

    def _range(self, start, stop):
        """Check 0 <= start <= stop <= n, with stop = n by default."""
        n = self.tree.shape.size[0]
        stop = n if stop is None else stop
        if not 0 <= start <= stop <= n:
            raise ValueError(f"the range must satisfy 0 <= start <= stop <= {n}, got start={start}, stop={stop}")
        return start, stop

    def _refuse_empty(self, what):
        if self.tree.shape.size[0] == 0:
            raise ValueError(f"{what} of an empty tree")

    def _level(self, int k):
        """Level k as stored above the leaves: sign * value; level 0 is computed from the leaves."""
        cdef int64_t at = self.tree.shape.offset[k]
        if k == 0:
            return self._leaves if self.tree.sign > 0 else -self._leaves
        return self._upper[at:at + self.tree.shape.size[k]]

    def _check(self):
        """Assert every invariant of the structure. Cost: O(n)."""
        cdef int64_t width = 1 << self.tree.shape.width_bits
        cdef int64_t at, end
        assert self._leaves.ndim == 1 and self._leaves.flags.c_contiguous
        assert self._leaves.dtype == self._upper.dtype
        assert self.tree.shape.size[0] == self._leaves.size <= self.tree.shape.capacity
        assert self._upper.size == self.tree.shape.n_upper
        assert self._upper.size == 0 or self._upper.ctypes.data % 64 == 0
        assert not np.isnan(self._leaves).any()
        # every node is the maximum of its block; a level ends with -inf up to a whole block
        for k in range(1, self.tree.shape.n_levels + 1):
            below, level = self._level(k - 1), self._level(k)
            assert level.size == -(-below.size // width)
            assert np.array_equal(level, np.maximum.reduceat(below, np.arange(0, below.size, width)))
            at = self.tree.shape.offset[k]
            end = at + -(-level.size // width) * width
            assert np.all(self._upper[at + level.size:end] == -np.inf)
        # the top level fits in one block, and no level more was kept than needed
        sizes = [self.tree.shape.size[k] for k in range(self.tree.shape.n_levels + 1)]
        assert sizes.pop() <= width
        assert all(size > width for size in sizes)


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
            f"writable: {values.flags.writeable}")


def _from_pickle(cls, version, values, orientation):
    """Rebuild a tree; the arguments come from a file and are checked like any others."""
    if version != PICKLE_VERSION:
        raise ValueError(f"this version reads pickles of format {PICKLE_VERSION}, got format {version!r}")
    return cls(values, orientation=orientation)
