"""The tree itself: one array, the levels above it, and how both grow. Its callers validate."""

import numpy as np

cimport numpy as cnp
from libc.math cimport INFINITY
from libc.stdint cimport INT64_MAX, int64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from sltrees._core._boundary cimport UNCHECKED_BYTES
from sltrees._core._boundary import aligned_empty, refuse_large, refuse_nan
from sltrees._core._hits cimport hits_begin, hits_end, hits_to_array
from sltrees._core._simd cimport active_level
from sltrees._core._tree cimport (
    sl_hits, sl_hits_init, sl_shape_resize, sl_tree_build, sl_tree_count, sl_tree_first, sl_tree_init, sl_tree_leaf,
    sl_tree_maximum, sl_tree_query, sl_tree_repair, sl_tree_update, sl_tree_update_many,
)
from sltrees._memory import check_memory

cnp.import_array()

cdef enum:
    MIN_CAPACITY = 16

cdef int64_t MAX_LEAVES = <int64_t> 1 << 34     # node numbers are 32-bit within the walks

ADVICE = "use fewer values, or float32"
WHILE_CHANGED = "a tree must not be queried or changed while it is being changed: where threads do both, hold a lock"
WHILE_QUERIED = "a tree must not be changed while it is being queried: where threads do both, hold a lock"


cdef class WideTree:
    """Leaves, levels above them, walks. See tree/tree.h for what a walk does, tree/wide_tree.h for the layout."""

    def __cinit__(self):
        # an object whose __init__ never ran or failed is an empty tree, not one without kernels
        sl_tree_init(&self.tree, 0, 0, False, False, active_level())
        self._store = self._leaves = self._upper = aligned_empty(0, np.float64)

    # ------------------------------------------------------------------ for compiled code

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

    cdef int64_t c_count(self, double threshold, int64_t start, int64_t stop) noexcept nogil:
        """How many of [start, stop) pass. Cost: as `c_query`."""
        cdef int64_t found = 0
        sl_tree_count(&self.tree, self.leaves, self.upper, threshold, start, stop, &found)
        return found

    cdef int64_t c_query(self, double threshold, int64_t start, int64_t stop,
                         int64_t *out, int64_t capacity) noexcept nogil:
        """Write the first `capacity` passing indices of [start, stop), ascending, and return how many pass in all."""
        cdef sl_hits hits
        sl_hits_init(&hits, out, capacity, True)
        sl_tree_query(&self.tree, self.leaves, self.upper, threshold, start, stop, &hits)
        return hits.length

    # ------------------------------------------------------------------ building

    cdef int _adopt(self, source, bint min_tree, bint borrowed) except -1:
        """Make an array, or a copy of it, the leaves, and build the levels above. ValueError if a leaf is NaN.

        Sets: everything.
        """
        cdef int64_t n = source.size
        cdef bint bad
        cdef sl_tree tree
        cdef const void *p_source = NULL if borrowed else cnp.PyArray_DATA(source)
        if n > MAX_LEAVES:
            raise ValueError(f"a tree holds at most {MAX_LEAVES} values, got {n}")
        sl_tree_init(&tree, n, n, source.dtype == np.float32, min_tree, active_level())
        refuse_large((tree.shape.n_upper + (0 if borrowed else n)) * source.itemsize, f"a tree of {n} values", ADVICE)
        leaves = source if borrowed else aligned_empty(n, source.dtype, in_huge_pages=True)
        upper = aligned_empty(tree.shape.n_upper, source.dtype)
        cdef void *p_leaves = cnp.PyArray_DATA(leaves)
        cdef void *p_upper = cnp.PyArray_DATA(upper)
        with nogil:
            bad = sl_tree_build(&tree, p_leaves, p_upper, p_source)
        if bad:
            refuse_nan(leaves, "values")
        before = self._store, self._leaves, self._upper     # freed at the end: that may run code of whoever lent them
        self.tree = tree
        self._store = self._leaves = leaves
        self._upper = upper
        self.leaves = p_leaves
        self.upper = p_upper
        self.borrowed = borrowed
        self.stale_start = self.stale_stop = 0
        del before
        return 0

    cdef int _repair(self, int64_t start, int64_t stop) except -1:
        """Recompute the levels above leaves [start, stop). ValueError, and no change, if a leaf there is NaN.

        Sets: what is stale.
        """
        cdef int64_t blocks = ((stop - start) >> self.tree.shape.width_bits) + 2
        cdef bint bad
        cdef void *scratch = malloc(blocks * self._upper.itemsize)
        if scratch == NULL:
            raise MemoryError(f"no memory for {blocks * self._upper.itemsize} bytes")
        with nogil:
            bad = sl_tree_repair(&self.tree, self.leaves, self.upper, start, stop, scratch)
            free(scratch)
        if bad:
            self.stale_start = min(start, self.stale_start) if self.stale_stop else start
            self.stale_stop = max(stop, self.stale_stop)
            start = start >> self.tree.shape.width_bits << self.tree.shape.width_bits
            refuse_nan(self._leaves[start:stop + (1 << self.tree.shape.width_bits)], "values", start)
        if start <= self.stale_start and stop >= self.stale_stop:
            self.stale_start = self.stale_stop = 0
        return 0

    cdef void _rebuild(self) noexcept nogil:
        """All levels from leaves that are known to be numbers. Nothing is allocated, so nothing can fail."""
        sl_tree_repair(&self.tree, self.leaves, self.upper, 0, self.tree.shape.size[0], NULL)

    # ------------------------------------------------------------------ who is at it

    cdef int _begin_query(self) except -1:
        """Enter a method that reads while other threads run; RuntimeError if the tree is being changed."""
        if self.users < 0:
            raise RuntimeError(WHILE_CHANGED)
        self.users += 1
        return 0

    cdef void _end_query(self) noexcept:
        self.users -= 1

    cdef int _begin_change(self) except -1:
        """Enter a method that writes; RuntimeError if the tree is being queried or changed."""
        if self.users != 0:
            raise RuntimeError(WHILE_CHANGED if self.users < 0 else WHILE_QUERIED)
        self.users = -1
        return 0

    cdef void _end_change(self) noexcept:
        self.users = 0

    # ------------------------------------------------------------------ growth

    cdef int _set_size(self, int64_t n, added=None) except -1:
        """Change the number of leaves. Those added are worst, or `added`, of the dtype of the leaves and without NaN.

        Where there is no room: twice as much as now or what is needed. Whatever can fail comes before the first change.
        Amortised O(1) a leaf.

        Sets: everything.
        """
        cdef int64_t old = self.tree.shape.size[0], capacity = max(2 * old, n, MIN_CAPACITY)
        cdef int64_t itemsize = 4 if self.tree.is_float32 else 8
        cdef int levels = self.tree.shape.n_levels
        cdef bint moved = n > self.tree.shape.capacity
        cdef sl_tree tree = self.tree
        if self.borrowed:
            raise ValueError("a tree over a borrowed array (copy=False) cannot change its length")
        if n > MAX_LEAVES:
            raise ValueError(f"a tree holds at most {MAX_LEAVES} values, got {n}")
        store, upper = self._store, self._upper
        if (n - old) * itemsize > UNCHECKED_BYTES and not moved:
            refuse_large((n - old) * itemsize, f"room for {n - old} more values", ADVICE)
        if moved:       # new memory, never a resize in place: views handed out earlier keep the old one alive
            sl_tree_init(&tree, old, capacity, self.tree.is_float32, self.tree.sign < 0, active_level())
            # room that is not in use yet takes no memory, as it is not touched
            refuse_large((tree.shape.n_upper + n) * itemsize, f"room for {n} values", ADVICE)
            store = aligned_empty(capacity, store.dtype, in_huge_pages=True)
            upper = aligned_empty(tree.shape.n_upper, store.dtype)
            upper.fill(-np.inf)
            store[:old] = self._leaves
        leaves = store[:n]
        sl_shape_resize(&tree.shape, n)
        cdef char *data = cnp.PyArray_BYTES(store)
        cdef const void *p_added = NULL if added is None else cnp.PyArray_DATA(added)
        with nogil:
            if p_added != NULL:
                memcpy(data + old * itemsize, p_added, (n - old) * itemsize)
            elif n > old:
                _fill(data + old * itemsize, n - old, tree.is_float32, -INFINITY * tree.sign)
        # from here on nothing can fail
        self.tree = tree
        self._store, self._leaves, self._upper = store, leaves, upper
        self.leaves = data
        self.upper = cnp.PyArray_DATA(upper)
        if moved or n < old or tree.shape.n_levels > levels:    # a new top level has to be computed
            with nogil:
                if n < old:     # removed ones leave no trace
                    _fill(self.upper, tree.shape.n_upper, tree.is_float32, -INFINITY)
                sl_tree_build(&self.tree, self.leaves, self.upper, NULL)
        elif added is not None:
            with nogil:
                sl_tree_repair(&self.tree, self.leaves, self.upper, old, n, NULL)
        return 0

    # ------------------------------------------------------------------ queries and writes

    cdef object _hits(self, double t, int64_t start, int64_t stop, int64_t *visited):
        """Passing indices of [start, stop) as an array, and the number of blocks compared."""
        cdef sl_hits hits
        hits_begin(&hits, stop - start)
        with nogil:
            visited[0] = sl_tree_query(&self.tree, self.leaves, self.upper, t, start, stop, &hits)
        return hits_to_array(&hits)

    cdef object _hits_many(self, const double[::1] thresholds):
        """CSR pair (indptr, indices) of the passing indices for each threshold."""
        cdef int64_t j = 0, n = self.tree.shape.size[0]
        cdef sl_hits hits
        indptr = np.zeros(thresholds.shape[0] + 1, dtype=np.int64)
        cdef int64_t[::1] start = indptr
        hits_begin(&hits, INT64_MAX)
        try:
            with nogil:
                while j < thresholds.shape[0]:
                    # what may become large is only counted where there is no room for it, and then asked for again
                    hits.fixed = 8 * (hits.length + n) > UNCHECKED_BYTES
                    sl_tree_query(&self.tree, self.leaves, self.upper, thresholds[j], 0, n, &hits)
                    if hits.fixed and hits.length > hits.capacity:
                        with gil:
                            _make_room(&hits, start[j])
                    else:
                        j += 1
                        start[j] = hits.length
        except BaseException:
            hits_end(&hits)
            raise
        return indptr, hits_to_array(&hits)

    cdef void _write_many(self, const int64_t *indices, const void *values, int64_t count) noexcept nogil:
        """Write many leaves, in order, and repair. `values` has the dtype of the leaves."""
        sl_tree_update_many(&self.tree, self.leaves, self.upper, indices, values, count)

    # ------------------------------------------------------------------ internals

    def _level(self, int k):
        """Level k as stored above the leaves: sign * value; level 0 is computed from the leaves."""
        cdef int64_t at
        if k == 0:
            return self._leaves if self.tree.sign > 0 else -self._leaves
        # k is at most n_levels; the mask tells the compiler that it is not negative
        at = self.tree.shape.offset[k & 31]
        return self._upper[at:at + self.tree.shape.size[k & 31]]

    def _check(self):
        """Assert every invariant of the structure. Cost: O(n)."""
        width = 1 << self.tree.shape.width_bits
        levels = self.tree.shape.n_levels
        assert self._leaves.ndim == 1 and self._leaves.flags.c_contiguous
        assert self._leaves.dtype == self._upper.dtype
        assert self.tree.shape.size[0] == self._leaves.size <= self.tree.shape.capacity == self._store.size
        assert self._store.size == 0 or np.may_share_memory(self._leaves, self._store) or self._leaves.size == 0
        assert self._upper.size == self.tree.shape.n_upper
        assert self._upper.size == 0 or self._upper.ctypes.data % 64 == 0
        assert self.borrowed or self._store.size == 0 or self._store.ctypes.data % 64 == 0
        assert not np.isnan(self._leaves).any()
        # every node is the maximum of its block, and the rest of the last block is -inf
        for k in range(1, levels + 1):
            below, level = self._level(k - 1), self._level(k)
            assert level.size == len(range(0, below.size, width))
            assert np.array_equal(level, np.maximum.reduceat(below, np.arange(0, below.size, width)))
            at = self.tree.shape.offset[k]
            assert at % width == 0
            assert np.all(self._upper[at + level.size:at + len(range(0, level.size, width)) * width] == -np.inf)
        # the top level fits in one block, and no level more was kept than needed
        sizes = [self.tree.shape.size[k] for k in range(levels + 1)]
        assert sizes.pop() <= width
        assert all(size > width for size in sizes)


cdef void _fill(void *numbers, int64_t n, bint is_float32, double value) noexcept nogil:
    """Set n numbers."""
    cdef int64_t i
    if is_float32:
        for i in range(n):
            (<float *> numbers)[i] = <float> value
    else:
        for i in range(n):
            (<double *> numbers)[i] = value


cdef int _make_room(sl_hits *hits, int64_t n_kept) except -1:
    """Room for the hits that were counted, of which the first are kept, and for as many again where there is memory.

    MemoryError, and no change, if there is not even enough for those counted.
    """
    cdef int64_t capacity = 2 * hits.length
    try:
        check_memory(8 * (capacity - n_kept), None, "twice the result", "")
    except MemoryError:
        capacity = hits.length
        check_memory(8 * (capacity - n_kept), None, f"room for {capacity - n_kept} more indices",
                     "ask for fewer thresholds at a time")
    cdef int64_t *data = <int64_t *> realloc(hits.data, capacity * sizeof(int64_t))
    if data == NULL:
        raise MemoryError(f"no memory for {8 * hits.length} bytes of query results")
    hits.data = data
    hits.capacity = capacity
    hits.length = n_kept
    return 0
