"""A threshold tree whose places have keys that are integers of 64 bits, in a table of its own: no objects of Python.

It has what `KeyedTree` has, with arrays of int64 in the place of lists.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t

from sltrees._core._boundary import as_integer, as_integers, as_value
from sltrees._core._boundary cimport plain_number
from sltrees._core._threshold_tree cimport ThresholdTree
from sltrees._core._tree cimport sl_tree_argmax

cnp.import_array()

cdef extern from "simd/levels.h" nogil:
    void SL_PREFETCH(const void *p)

cdef enum:
    FIRST_BITS = 4      # of the table of an empty map
    AHEAD = 12          # keys ahead of which the table is asked for


cdef class IntegerKeyedTree:
    """Keys and their numbers.

    The table has places for keys, at most half of them in use: a key is at the place that its hash says, or at the
    first free one behind, and what stands behind a key that goes moves up.

    Parameters
    ----------
    orientation : {"max", "min"}
    """

    cdef readonly ThresholdTree tree
    cdef readonly double worst          # what free slots hold: -inf, or inf for orientation "min"
    cdef int64_t n                      # keys
    cdef int bits                       # log2 of the number of places
    cdef object _table                  # ndarray (2^bits, 2): key and slot of each place, slot -1 where it is free
    cdef object _keys                   # ndarray (slots,): key of each slot
    cdef object _free                   # ndarray (slots,): the first n_free are free slots, the last one is next
    cdef int64_t n_free
    cdef int64_t *table
    cdef int64_t *keys
    cdef int64_t *free

    def __init__(self, orientation):
        self.tree = ThresholdTree(np.empty(0), orientation=orientation)
        self.worst = -np.inf if orientation == "max" else np.inf
        self.n = self.n_free = 0
        self._set_table(FIRST_BITS)
        self._set_slots(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))

    # ------------------------------------------------------------------ one key

    def __len__(self):
        return self.n

    def __contains__(self, key):
        cdef int64_t number = 0
        return self._as_key(key, &number) and self.table[2 * self._place(number) + 1] >= 0

    def get(self, key):
        """The number of a key; None if it is not there."""
        cdef int64_t number = 0, slot
        if not self._as_key(key, &number):
            return None
        slot = self.table[2 * self._place(number) + 1]
        return None if slot < 0 else self.tree.c_get(slot)

    def put(self, key, value):
        """Set the number of a key, which may be new. What is refused changes nothing."""
        cdef int64_t number = 0, slot
        cdef double x = 0.0
        if not self._as_key(key, &number):
            raise TypeError(f"keys must be integers of 64 bits, got {key!r}")
        if not plain_number(value, &x) or x != x:
            x = as_value(value)     # may run code of the caller: before a slot is looked up
        slot = self.table[2 * self._place(number) + 1]
        if slot < 0:
            self._make_room(1)
            slot = self._take(number)
            try:
                self._set(slot, x)
            except BaseException:
                self._release(slot)
                raise
        else:
            self._set(slot, x)

    def remove(self, key):
        """Take out a key; returns its number. KeyError if it is not there."""
        cdef int64_t number = 0, slot = -1
        if self._as_key(key, &number):
            slot = self.table[2 * self._place(number) + 1]
        if slot < 0:
            raise KeyError(key)
        value = self.tree.c_get(slot)
        self._set(slot, self.worst)
        self._release(slot)
        return value

    def pop_best(self):
        """Take out the key with the best number; returns both. None where there is no key, or a free slot has the same."""
        if self.n == 0:
            return None
        if self.tree.users < 0:
            self.tree.argmax()      # refuses
        cdef int64_t slot = sl_tree_argmax(&self.tree.tree, self.tree.leaves, self.tree.upper)
        cdef double value = self.tree.c_get(slot)
        if value == self.worst:
            return None
        best = self.keys[slot], value
        self._set(slot, self.worst)
        self._release(slot)
        return best

    def best(self):
        """The key with the best number, and that; None where a free slot has the same."""
        slot = self.tree.argmax()
        value = self.tree.c_get(slot)
        return None if value == self.worst else (self.keys[<int64_t> slot], value)

    # ------------------------------------------------------------------ many keys

    @staticmethod
    def as_keys(keys):
        """Keys as `find` and `put_many` take them."""
        if not isinstance(keys, np.ndarray):
            keys = list(keys)
            for key in keys:
                if isinstance(key, (bool, np.bool_)):
                    raise TypeError(f"keys must be integers, got {key!r}")
        array = as_integers(keys, "keys")
        if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
            raise TypeError(f"keys must be integers of 64 bits, got {array.max()}")
        return np.ascontiguousarray(array, dtype=np.int64)

    def find(self, keys):
        """Slots of keys, -1 for those that are not there. The interpreter is held: others may make a new table."""
        cdef const int64_t[::1] asked = keys
        cdef int64_t count = asked.shape[0], j
        found = np.empty(count, dtype=np.int64)
        cdef int64_t[::1] out = found
        for j in range(count):
            if j + AHEAD < count:
                SL_PREFETCH(self.table + 2 * self._hash(asked[j + AHEAD]))
            out[j] = self.table[2 * self._place(asked[j]) + 1]
        return found

    def put_many(self, keys, values):
        """Set the numbers of keys, checked numbers of float64, one each: of equal keys the last one wins."""
        where = self.find(keys)
        cdef const int64_t[::1] asked = keys
        cdef int64_t[::1] at = where
        cdef int64_t j, count = at.shape[0]
        missing = int(np.count_nonzero(where < 0))
        self._make_room(missing)
        fresh = np.empty(missing, dtype=np.int64)
        cdef int64_t[::1] taken = fresh
        cdef int64_t n_taken = 0
        if missing:
            for j in range(count):
                if at[j] < 0:
                    at[j] = self.table[2 * self._place(asked[j]) + 1]       # it may have come twice
                    if at[j] < 0:
                        at[j] = taken[n_taken] = self._take(asked[j])
                        n_taken += 1
        try:
            self.tree.update_many(where, values)
        except BaseException:
            for j in range(n_taken):
                self._release(taken[j])
            raise

    def remove_at(self, slots):
        """Take out the keys of different slots that are in use."""
        cdef const int64_t[::1] at = slots
        cdef int64_t j
        self.tree.update_many(slots, self.worst)
        for j in range(at.shape[0]):
            self._release(at[j])

    def keys_at(self, slots):
        """Keys of slots that are in use, in their order."""
        return self._keys[slots]

    def used(self):
        """Slots in use."""
        in_use = np.ones(self._keys.size, dtype=bool)
        in_use[self._free[:self.n_free]] = False
        return np.flatnonzero(in_use)

    # ------------------------------------------------------------------ the table

    cdef int _set(self, int64_t slot, double x) except -1:
        """Write a checked number; RuntimeError if another thread is reading or changing the tree."""
        if self.tree.users == 0:
            self.tree.c_update(slot, x)
        else:
            self.tree.update(slot, x)
        return 0

    cdef bint _as_key(self, key, int64_t *number) except -1:
        """Take a key; False for what cannot be one. Floats and others that equal integers are none."""
        if type(key) is not int:
            if not hasattr(key, "__index__") or isinstance(key, (bool, np.bool_, np.ndarray)):
                return False
            key = as_integer(key, "key")
        try:
            number[0] = key
        except OverflowError:
            return False
        return True

    cdef int64_t _hash(self, int64_t key) noexcept nogil:
        """The place where a key should be: the upper bits of its product with 2^64 over the golden ratio."""
        return <int64_t> ((<uint64_t> key * <uint64_t> 0x9E3779B97F4A7C15) >> (64 - self.bits))

    cdef int64_t _place(self, int64_t key) noexcept nogil:
        """The place where a key is, or the free one where it would be."""
        cdef int64_t place = self._hash(key), last = (<int64_t> 1 << self.bits) - 1
        while self.table[2 * place + 1] >= 0 and self.table[2 * place] != key:
            place = (place + 1) & last
        return place

    cdef int64_t _take(self, int64_t key) noexcept:
        """Give a new key the next free slot, which there is."""
        cdef int64_t place = self._place(key)
        self.n_free -= 1
        cdef int64_t slot = self.free[self.n_free]
        self.table[2 * place] = self.keys[slot] = key
        self.table[2 * place + 1] = slot
        self.n += 1
        return slot

    cdef void _release(self, int64_t slot) noexcept:
        """Free the slot of a key."""
        cdef int64_t last = (<int64_t> 1 << self.bits) - 1, gap = self._place(self.keys[slot]), place = gap, home
        while True:         # what stands behind moves up, unless it would come before its place
            place = (place + 1) & last
            if self.table[2 * place + 1] < 0:
                break
            home = self._hash(self.table[2 * place])
            if ((place - home) & last) >= ((place - gap) & last):
                self.table[2 * gap] = self.table[2 * place]
                self.table[2 * gap + 1] = self.table[2 * place + 1]
                gap = place
        self.table[2 * gap + 1] = -1
        self.free[self.n_free] = slot
        self.n_free += 1
        self.n -= 1

    cdef int _make_room(self, int64_t more) except -1:
        """Have free slots for so many keys, and places of which they use half."""
        cdef int64_t size = self._keys.size, j, added
        cdef int bits = self.bits
        while 2 * (self.n + more) > <int64_t> 1 << bits:
            bits += 1
        if more > self.n_free:
            added = max(more - self.n_free, size, 8)
            keys, free = np.zeros(size + added, dtype=np.int64), np.empty(size + added, dtype=np.int64)
            keys[:size], free[:self.n_free] = self._keys, self._free[:self.n_free]
            free[self.n_free:self.n_free + added] = np.arange(size + added - 1, size - 1, -1)
            self.tree.resize(size + added)
            self._set_slots(keys, free)
            self.n_free += added
        if bits > self.bits:
            used = self.used()
            self._set_table(bits)
            for j in used:
                added = self._place(self.keys[j])
                self.table[2 * added] = self.keys[j]
                self.table[2 * added + 1] = j
        return 0

    cdef int _set_table(self, int bits) except -1:
        table = np.full((1 << bits, 2), -1, dtype=np.int64)
        self._table, self.bits = table, bits
        self.table = <int64_t *> cnp.PyArray_DATA(table)
        return 0

    cdef int _set_slots(self, keys, free) except -1:
        self._keys, self._free = keys, free
        self.keys, self.free = <int64_t *> cnp.PyArray_DATA(keys), <int64_t *> cnp.PyArray_DATA(free)
        return 0

    def _check(self):
        """Assert every invariant of the structure. Cost: O(n)."""
        cdef int64_t slot
        self.tree._check()
        assert self._table.shape == (1 << self.bits, 2) and 2 * self.n <= 1 << self.bits
        assert len(self.tree) == self._keys.size == self._free.size == self.n + self.n_free
        free = self._free[:self.n_free]
        assert np.unique(free).size == self.n_free and np.all(self.tree[free] == self.worst)
        assert np.count_nonzero(self._table[:, 1] >= 0) == self.n
        for slot in self.used():
            assert self.table[2 * self._place(self.keys[slot]) + 1] == slot
