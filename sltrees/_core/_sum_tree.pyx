"""A tree of sums: values that change, and drawing in proportion to them. The walks are in tree/sum_walks.h."""

import copy

import numpy as np

cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyObject_GetBuffer
from libc.stdint cimport int64_t

from sltrees._core._boundary cimport plain_number
from sltrees._core._boundary import (
    aligned_empty, as_integer, as_integers, as_places, as_real_array, as_value, describe_array, refuse_large, within,
)
from sltrees._core._simd cimport active_level

cnp.import_array()

PICKLE_VERSION = 1
LARGEST = 2.0**900              # a value: sums of as many as memory can hold are finite then

cdef double largest = LARGEST
cdef int64_t MAX_INDEX = <int64_t> 1 << 62
cdef object NUMPY_INTEGER = np.integer
cdef int64_t MAX_LEAVES = <int64_t> 1 << 40

WHILE_CHANGED = "a tree must not be read or changed while it is being changed: where threads do both, hold a lock"
WHILE_READ = "a tree must not be changed while it is being read: where threads do both, hold a lock"


cdef class SumTree:
    """SumTree(values)\n--\n\n\
    Numbers of at least 0 that change, with their sum, and draws in proportion to them.

    The values are the leaves of a tree of blocks of one cache line, each node holding the sum of its block, so that
    drawing an entry is a walk from the top to a leaf, and changing a value recomputes one path.

    Parameters
    ----------
    values : array_like of shape (n,)
        Finite real numbers from 0 to 2**900. Copied, as float64.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If `values` is not one-dimensional, or a value is negative, NaN, infinite or larger than 2**900.
    MemoryError
        If there is no memory for the tree: what is needed is compared with what there is before any is used.

    Notes
    -----
    Layout: blocks of 8 float64 (64 bytes), a fan-out of 8, no pointers. Memory: the values and 29% of them.

    Sums are computed anew from their blocks, never by adding differences: the tree is the same, bit for bit, as one
    that is built from the values that it has now, however many updates there were. The total is that of a sum in
    pairs, within log2(n) roundings of the exact one and as a rule within one. There is no float32 variant: the sum of
    a million of them would be wrong in the fifth digit.

    The least positive value is kept beside the sums, since importance weights of draws are divided by the largest.

    `update_many`, `find` and `sample` release the GIL, and any number of threads may read together. A method that
    changes the tree raises RuntimeError while another thread is in such a method, and so does reading while another
    thread changes it: use a lock where both happen.

    Trees are equal if their values are; being mutable, they have no hash. ``numpy.asarray(tree)`` is a read-only view
    of the values, like `values`.

    Cost: O(n) to build.

    See Also
    --------
    sltrees.PrioritizedSampler : priorities, importance weights and a ring of slots on top of it.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees import SumTree
    >>> tree = SumTree([1.0, 0.0, 2.0, 1.0])
    >>> tree.total
    4.0
    >>> tree.find([0.5, 1.0, 3.5])
    array([0, 2, 3])
    >>> tree[2] = 0.0
    >>> sorted(set(tree.sample(100, np.random.default_rng(0)).tolist()))
    [0, 3]
    """

    def __cinit__(self):
        # an object whose __init__ never ran or failed is an empty tree, not one without kernels
        self._adopt(np.empty(0))

    @cython.embedsignature(False)       # the docstring begins with it
    def __init__(self, values):
        values = as_amounts(values, "values")
        self._begin_change()
        try:
            self._adopt(values)
        finally:
            self._end_change()

    # ------------------------------------------------------------------ for compiled code

    cdef double c_get(self, int64_t i) noexcept nogil:
        """Value i. Cost: O(1)."""
        return self.leaves[i]

    cdef void c_update(self, int64_t i, double value) noexcept nogil:
        """Write value i and recompute its ancestors. Cost: O(log n) blocks."""
        self.kernels.update(&self.shape, self.leaves, self.upper, i, value)

    cdef double c_total(self) noexcept nogil:
        """The sum of all values. Cost: one block."""
        return self.kernels.total(&self.shape, self.leaves, self.upper)

    cdef int64_t c_find(self, double prefix) noexcept nogil:
        """The entry that a number falls into; see `find`. Cost: O(log n) blocks."""
        cdef int64_t found = 0
        self.kernels.find(&self.shape, self.leaves, self.upper, &prefix, 1, &found)
        return found

    # ------------------------------------------------------------------ queries

    @property
    def total(self):
        """The sum of all values, 0.0 of an empty tree. Cost: one block."""
        self._begin_query()
        self._end_query()
        return self.c_total()

    @property
    def min_positive(self):
        """The least value that is not 0; infinity if there is none. Cost: one block."""
        self._begin_query()
        self._end_query()
        return self.kernels.least(&self.shape, self.leaves, self.upper)

    def prefix(self, stop):
        """The sum of all values before an index.

        Parameters
        ----------
        stop : int or array_like of shape (k,), integers
            In [0, n].

        Returns
        -------
        float, or ndarray of shape (k,), dtype=float64
            Of numbers whose sums float64 holds, integers say, the same as ``values[:stop].sum()``; else up to rounding.
            At most the total.

        Raises
        ------
        TypeError, IndexError
            If `stop` is no integer, or out of range.

        Notes
        -----
        Cost: O(log n) blocks each.

        Examples
        --------
        >>> from sltrees import SumTree
        >>> tree = SumTree([1.0, 0.0, 2.0, 1.0])
        >>> tree.prefix(3), tree.prefix([0, 1, 4])
        (3.0, array([0., 1., 4.]))
        """
        single = not np.ndim(stop)
        where = as_integers([as_integer(stop, "stop")] if single else stop, "stop")
        self._begin_query()
        try:
            where = within(where, self.shape.size[0] + 1, "stop")
            sums = np.empty(where.size)
            self._prefixes(where, sums)
        finally:
            self._end_query()
        return float(sums[0]) if single else sums

    def _prefixes(self, where, sums):
        cdef const int64_t *p_where = <const int64_t *> cnp.PyArray_DATA(where)
        cdef double *p_sums = <double *> cnp.PyArray_DATA(sums)
        cdef int64_t count = cnp.PyArray_SIZE(where)
        with nogil:
            self.kernels.prefix(&self.shape, self.leaves, self.upper, p_where, count, p_sums)

    def find(self, prefixes):
        """The entries that numbers fall into, if values are laid end to end: the inverse of the cumulative sum.

        Parameters
        ----------
        prefixes : float or array_like of shape (k,)
            From 0 to the total.

        Returns
        -------
        int, or ndarray of shape (k,), dtype=int64
            The first index whose cumulative sum is greater: ``numpy.searchsorted(values.cumsum(), prefixes, "right")``,
            up to rounding of the sums. The value there is never 0; the total itself, and what rounding leads beyond the
            end, is in the last entry that is not 0.

        Raises
        ------
        TypeError
            If `prefixes` are not real numbers.
        ValueError
            If one is NaN, negative or above the total, or all values are 0.

        Notes
        -----
        Larger prefixes never lead to smaller indices. Cost: O(log n) blocks each; many at once are faster, as they go
        down side by side.

        Examples
        --------
        >>> from sltrees import SumTree
        >>> tree = SumTree([1.0, 0.0, 2.0, 1.0])
        >>> tree.find(1.5), tree.find([0.0, 1.0, 4.0])
        (2, array([0, 2, 3]))
        """
        single = not np.ndim(prefixes)
        exact = as_real_array([prefixes] if single else prefixes, "prefixes", 1).astype(np.float64, copy=False)
        self._begin_query()
        try:
            total = self.c_total()
            if not total > 0:
                raise ValueError("there is nothing to find: all values are 0")
            if exact.size and not (exact.min() >= 0 and exact.max() <= total):
                wrong = exact[(exact < 0) | (exact > total)][0]
                raise ValueError(f"prefixes must be from 0 to the total {total}, got {wrong}")
            found = self._found(exact)
        finally:
            self._end_query()
        return int(found[0]) if single else found

    cdef object _found(self, prefixes):
        """Entries for checked numbers, an array of float64."""
        cdef cnp.npy_intp count = cnp.PyArray_SIZE(prefixes)
        found = cnp.PyArray_EMPTY(1, &count, cnp.NPY_INT64, 0)
        cdef const double *p_prefixes = <const double *> cnp.PyArray_DATA(prefixes)
        cdef int64_t *p_found = <int64_t *> cnp.PyArray_DATA(found)
        with nogil:
            self.kernels.find(&self.shape, self.leaves, self.upper, p_prefixes, count, p_found)
        return found

    def sample(self, k, rng=None, *, replace=True, stratified=False):
        """Draw entries in proportion to their values.

        Parameters
        ----------
        k : int
            Number of draws, at least 0.
        rng : None, int, or numpy.random.Generator
            Where random numbers come from, as of `numpy.random.default_rng`. The same generator in the same state, and
            the same values, give the same entries.
        replace : bool, default True
            Whether an entry may be drawn more than once. Otherwise each is drawn in proportion to its value among those
            that have not been drawn yet.
        stratified : bool, default False
            Draw one entry from each of k equal parts of the total: the number of times that an entry is drawn differs
            from k times its share by less than 2. Only with `replace`.

        Returns
        -------
        ndarray of shape (k,), dtype=int64
            In the order of the draws; with `stratified`, ascending. None of them has the value 0.

        Raises
        ------
        TypeError
            If k is not an integer.
        ValueError
            If k is negative, all values are 0, fewer than k are not and `replace` is False, or `stratified` goes with
            ``replace=False``.

        Notes
        -----
        Cost: O(log n) blocks each; without replacement some 5 times as much, as the tree is changed on the way, and
        changed back.

        Examples
        --------
        >>> import numpy as np
        >>> from sltrees import SumTree
        >>> tree = SumTree([1.0, 0.0, 2.0, 1.0])
        >>> tree.sample(4, np.random.default_rng(0), stratified=True)
        array([0, 2, 2, 3])
        >>> sorted(tree.sample(3, np.random.default_rng(0), replace=False).tolist())
        [0, 2, 3]
        """
        n_draws = as_integer(k, "k")
        if not 0 <= n_draws < MAX_INDEX:
            raise ValueError(f"k must be at least 0 and fit in memory, got {k}")
        if stratified and not replace:
            raise ValueError("stratified draws are with replacement: replace=False must not go with stratified=True")
        refuse_large(24.0 * n_draws, f"{n_draws} draws", "ask for fewer at a time")
        numbers = np.random.default_rng(rng).random(n_draws)    # may run code of the caller
        if not replace:
            return self._sample_different(numbers)
        self._begin_query()
        try:
            total = self.c_total()
            if n_draws and not total > 0:
                raise ValueError("there is nothing to draw: all values are 0")
            if stratified:
                numbers += np.arange(n_draws)
                numbers *= total / max(n_draws, 1)
                np.minimum(numbers, total, out=numbers)
            else:
                numbers *= total
            return self._found(numbers)
        finally:
            self._end_query()

    def _sample_different(self, numbers):
        """Draw without replacement, by numbers in [0, 1)."""
        cdef int64_t found, count = numbers.size
        drawn = np.empty(count, dtype=np.int64)
        before = np.empty(count)
        cdef const double *p_numbers = <const double *> cnp.PyArray_DATA(numbers)
        cdef int64_t *p_drawn = <int64_t *> cnp.PyArray_DATA(drawn)
        cdef double *p_before = <double *> cnp.PyArray_DATA(before)
        self._begin_change()
        try:
            with nogil:
                found = self.kernels.draw(&self.shape, self.leaves, self.upper, p_numbers, count, p_drawn, p_before)
        finally:
            self._end_change()
        if found < count:
            raise ValueError(f"there are {found} values that are not 0, too few for {count} draws without replacement")
        return drawn

    # ------------------------------------------------------------------ updates

    def update(self, i, value):
        """Set one value; the same as ``tree[i] = value``.

        Parameters
        ----------
        i : int
            In [0, n).
        value : float
            From 0 to 2**900.

        Raises
        ------
        TypeError, IndexError
            If i is no integer, or out of range.
        ValueError
            If the value is negative, NaN, infinite or larger than 2**900.
        RuntimeError
            If another thread is reading or changing the tree; so do all methods that change it.

        Notes
        -----
        Cost: O(log n) blocks.

        Examples
        --------
        >>> from sltrees import SumTree
        >>> tree = SumTree([1.0, 5.0])
        >>> tree.update(1, 0.5)
        >>> tree.total
        1.5
        """
        cdef double x = _as_amount(value)
        if isinstance(i, bool):
            raise TypeError(f"i must be an integer, got {i!r}")
        cdef int64_t leaf
        try:
            leaf = as_integer(i, "i")
        except OverflowError:
            leaf = -1
        if leaf < 0 or leaf >= self.shape.size[0]:
            raise IndexError(f"i must be in [0, {self.shape.size[0]}), got {i}")
        self._begin_change()
        self.c_update(leaf, x)
        self._end_change()

    def update_many(self, indices, values):
        """Set many values at once.

        Parameters
        ----------
        indices : array_like of shape (k,), integers
            In [0, n). Of equal indices the last one wins.
        values : array_like of shape (k,), or float
            From 0 to 2**900; a single number is written to all.

        Raises
        ------
        TypeError
            If the indices are not integers or the values not real numbers.
        IndexError
            If an index is out of range.
        ValueError
            If the shapes differ, or a value is negative, NaN, infinite or larger than 2**900. The tree is unchanged
            after any of these.

        Notes
        -----
        Cost: O(k log n) blocks at worst, O(n) for large k.

        Examples
        --------
        >>> from sltrees import SumTree
        >>> tree = SumTree([1.0, 5.0, 2.0])
        >>> tree.update_many([0, 2, 0], [7.0, 8.0, 9.0])
        >>> tree.values
        array([9., 5., 8.])
        """
        where = as_integers(indices, "indices")
        if isinstance(values, np.ndarray) and values.ndim or np.ndim(values):
            new = as_amounts(values, "values")
            if cnp.PyArray_SIZE(new) != cnp.PyArray_SIZE(where):
                raise ValueError(f"values must have the shape of indices, {where.shape}, got {new.shape}")
        else:
            new = np.full(where.shape, _as_amount(values))
        self._begin_change()
        try:
            self._write(within(where, self.shape.size[0], "indices"), new)
        finally:
            self._end_change()

    def _write(self, where, new):
        """Write checked values at checked indices."""
        if self._owns(new):
            new = new.copy()        # the values meant are those from before the first is written,
        if self._owns(where):
            where = where.copy()    # and so are the indices
        cdef const int64_t *p_where = <const int64_t *> cnp.PyArray_DATA(where)
        cdef const double *p_new = <const double *> cnp.PyArray_DATA(new)
        cdef int64_t count = cnp.PyArray_SIZE(where)
        with nogil:
            self.kernels.update_many(&self.shape, self.leaves, self.upper, p_where, p_new, count)

    # ------------------------------------------------------------------ as a sequence

    def __len__(self):
        return self.shape.size[0]

    def __iter__(self):
        """The values in index order, each as it is when reached."""
        cdef int64_t i = 0
        while i < self.shape.size[0]:
            yield self.c_get(i)
            i += 1

    def __getitem__(self, key):
        # the first test alone is fast; True is a mask, as for NumPy
        if type(key) is int or isinstance(key, (int, NUMPY_INTEGER)) and not isinstance(key, bool):
            return self.c_get(self._wrap(key))
        values = self.values[key]
        return values.copy() if isinstance(values, np.ndarray) else float(values)

    def __setitem__(self, key, value):
        cdef double x
        cdef int64_t leaf
        if type(key) is int or isinstance(key, (int, NUMPY_INTEGER)) and not isinstance(key, bool):
            x = _as_amount(value)
            leaf = self._wrap(key)
            self._begin_change()
            self.c_update(leaf, x)
            self._end_change()
            return
        new = as_amounts(value, "values") if np.ndim(value) == 1 else value
        where = as_places(key, self.values)
        if np.ndim(new) == 0:
            new = _as_amount(new)
        self.update_many(np.ravel(where), new if np.ndim(new) == 0 else np.broadcast_to(new, np.shape(where)).ravel())

    @property
    def values(self):
        """The values, as a read-only view that follows every update. Cost: O(1)."""
        view = self._leaves[:self.shape.size[0]]
        view.flags.writeable = False
        return view

    @property
    def nbytes(self):
        """Bytes held: the values, and the levels above them."""
        return self._leaves.nbytes + self._upper.nbytes

    def __eq__(self, other):
        if not isinstance(other, SumTree):
            return NotImplemented
        return np.array_equal(self.values, other.values)

    __hash__ = None

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyObject_GetBuffer(self.values, buffer, flags)

    def __repr__(self):
        return f"<SumTree of {len(self)} values, total {self.c_total():g}>"

    # ------------------------------------------------------------------ copies and pickles

    def copy(self):
        """An independent tree over a copy of the values.

        Returns
        -------
        SumTree
            Attributes of a subclass are kept; its ``__init__`` is not called.

        Notes
        -----
        Cost: O(n).

        Examples
        --------
        >>> from sltrees import SumTree
        >>> tree = SumTree([1.0, 5.0])
        >>> other = tree.copy()
        >>> other[1] = 0.0
        >>> tree.total, other.total
        (6.0, 1.0)
        """
        return copy.copy(self)

    def __reduce__(self):
        state = getattr(self, "__dict__", None)
        parts = _from_pickle, (type(self), PICKLE_VERSION, np.array(self.values))
        return (*parts, state) if state else parts

    # ------------------------------------------------------------------ internals

    cdef int _adopt(self, values) except -1:
        """Build the tree over a copy of checked values.

        Sets: everything.
        """
        cdef int64_t n = values.size
        cdef sl_shape shape
        if n > MAX_LEAVES:
            raise ValueError(f"a tree holds at most {MAX_LEAVES} values, got {n}")
        sl_shape_init(&shape, n, n, SL_SUM_BITS)
        refuse_large(8.0 * (n + 2 * shape.n_upper), f"a tree of {n} values", "use fewer values")
        leaves = aligned_empty(max(8 * ((n + 7) // 8), 8), np.float64)
        upper = aligned_empty(2 * shape.n_upper, np.float64)
        leaves[:n] = values
        leaves[n:] = 0.0
        parts = upper.reshape(-1, 2, 8)
        parts[:, 0], parts[:, 1] = 0.0, np.inf
        self.kernels = sl_sum_kernels_at(active_level())
        self.shape = shape
        self._leaves, self._upper = leaves, upper
        self.leaves = <double *> cnp.PyArray_DATA(leaves)
        self.upper = <double *> cnp.PyArray_DATA(upper)
        with nogil:
            self.kernels.build(&self.shape, self.leaves, self.upper)
        return 0

    cdef int _begin_query(self) except -1:
        """Enter a method that reads while other threads run; RuntimeError if the tree is being changed."""
        if self.users < 0:
            raise RuntimeError(WHILE_CHANGED)
        self.users += 1
        return 0

    cdef void _end_query(self) noexcept:
        self.users -= 1

    cdef int _begin_change(self) except -1:
        """Enter a method that writes; RuntimeError if the tree is being read or changed."""
        if self.users != 0:
            raise RuntimeError(WHILE_CHANGED if self.users < 0 else WHILE_READ)
        self.users = -1
        return 0

    cdef void _end_change(self) noexcept:
        self.users = 0

    cdef int64_t _wrap(self, key) except -1:
        """An index as in a Python sequence, negative ones from the end."""
        cdef int64_t n = self.shape.size[0], i
        try:
            i = key
        except OverflowError:
            i = MAX_INDEX
        if i < 0:
            i += n
        if i < 0 or i >= n:
            raise IndexError(f"index must be in [{-n}, {n}), got {key}")
        return i

    cdef bint _owns(self, array) noexcept:
        """Whether a C-ordered array shares memory with the leaves."""
        cdef char *start = cnp.PyArray_BYTES(array)
        cdef char *leaves = cnp.PyArray_BYTES(self._leaves)
        return start < leaves + cnp.PyArray_NBYTES(self._leaves) and leaves < start + cnp.PyArray_NBYTES(array)

    def _check(self):
        """Assert every invariant of the structure. Cost: O(n)."""
        n, values = self.shape.size[0], self._leaves
        assert values.size == max(8 * ((n + 7) // 8), 8) and values.ctypes.data % 64 == 0
        assert self._upper.size == 2 * self.shape.n_upper
        assert self._upper.size == 0 or self._upper.ctypes.data % 64 == 0
        assert not values[n:].any()
        assert np.all((values >= 0) & (values <= LARGEST))
        # every node has the sum of its block, in the order of the kernels, and the least positive number
        sums, least = values, np.where(values > 0, values, np.inf)
        for k in range(1, self.shape.n_levels + 1):
            size, at = self.shape.size[k & 31], 2 * self.shape.offset[k & 31]
            assert sums.size == 8 * size
            parts = self._upper[at:at + 16 * ((size + 7) // 8)].reshape(-1, 2, 8)
            expected = _sums_of_blocks(sums), least.reshape(-1, 8).min(axis=1)
            sums, least = parts[:, 0].ravel(), parts[:, 1].ravel()
            assert np.array_equal(sums[:size], expected[0]) and not sums[size:].any()
            assert np.array_equal(least[:size], expected[1]) and np.all(least[size:] == np.inf)
        assert sums.size == 8
        assert self.c_total() == _sums_of_blocks(sums)[0]
        assert self.kernels.least(&self.shape, self.leaves, self.upper) == least.min()


def _sums_of_blocks(values):
    """What the kernels make of each block: half on half, and again."""
    blocks = values.reshape(-1, 8)
    blocks = blocks[:, :4] + blocks[:, 4:]
    blocks = blocks[:, :2] + blocks[:, 2:]
    return blocks[:, 0] + blocks[:, 1]


cdef bint _any_refused(const double *values, int64_t count) noexcept nogil:
    """Whether a value is negative, NaN or too large. Cost: one pass, without branches."""
    cdef int64_t j
    cdef bint found = False
    for j in range(count):
        found |= (values[j] < 0) | (values[j] > largest) | (values[j] != values[j])
    return found


def as_amounts(values, name):
    """Convert to a C-ordered float64 vector of numbers that a tree of sums can hold."""
    array = as_real_array(values, name, 1, check_nan=False)
    if cnp.PyArray_TYPE(array) != cnp.NPY_FLOAT64:
        array = array.astype(np.float64)
    if _any_refused(<const double *> cnp.PyArray_DATA(array), cnp.PyArray_SIZE(array)):
        at = np.flatnonzero(~((array >= 0) & (array <= LARGEST)))[0]
        raise ValueError(f"{name} must be finite numbers from 0 to 2**900, got {array[at]} at index {at}")
    return array


cdef double _as_amount(value) except? -1.0:
    """Convert one value to double; ValueError unless a tree of sums can hold it."""
    cdef double x = 0.0
    if not plain_number(value, &x):
        x = as_value(value)
    if not 0.0 <= x <= largest:
        raise ValueError(f"values must be finite numbers from 0 to 2**900, got {value}")
    return x


def _from_pickle(cls, version, values):
    """Rebuild a tree; the arguments come from a file and are checked like any others."""
    if version != PICKLE_VERSION:
        raise ValueError(f"this version reads pickles of format {PICKLE_VERSION}, got format {version!r}")
    if not (isinstance(values, np.ndarray) and values.dtype == np.float64):
        raise ValueError("a pickled tree holds a float64 array, got " + describe_array(values))
    tree = SumTree.__new__(cls)             # a subclass may have an __init__ of its own, with other arguments
    SumTree.__init__(tree, values)
    return tree
