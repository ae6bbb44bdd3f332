"""A threshold tree whose places have keys: which slot a key has, and reuse of slots. Kernel of `sltrees.ThresholdMap`.

Each method is one call: where keys have no code of their own, no handler of signals can run in it, and an interruption
finds keys and values that agree. Code of keys and values runs before anything is changed, or finds what it may find.
"""

import numpy as np

cimport numpy as cnp
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from sltrees._core._boundary import as_value
from sltrees._core._boundary cimport plain_number
from sltrees._core._threshold_tree cimport ThresholdTree
from sltrees._core._tree cimport sl_tree_argmax

cnp.import_array()

cdef extern from *:
    PyObject *get_item "PyDict_GetItemWithError"(object mapping, object key) except? NULL


cdef class KeyedTree:
    """Keys and their numbers. Numbers are checked by the tree, keys by hashing them.

    Slots that are free hold the worst value, so no query reports them. They are used again, last freed first.

    Parameters
    ----------
    orientation : {"max", "min"}
    """

    cdef readonly ThresholdTree tree
    cdef readonly double worst          # what free slots hold: -inf, or inf for orientation "min"
    cdef dict slots                     # key -> slot
    cdef list keys                      # slot -> key, None where it is free
    cdef list free                      # slots

    def __init__(self, orientation):
        self.tree = ThresholdTree(np.empty(0), orientation=orientation)
        self.worst = -np.inf if orientation == "max" else np.inf
        self.slots, self.keys, self.free = {}, [], []

    # ------------------------------------------------------------------ one key

    def __len__(self):
        return len(self.slots)

    def __contains__(self, key):
        return key in self.slots

    def get(self, key):
        """The number of a key; None if it is not there. TypeError if it cannot be hashed."""
        cdef PyObject *slot = get_item(self.slots, key)
        return None if slot == NULL else self.tree.c_get(<object> slot)

    def put(self, key, value):
        """Set the number of a key, which may be new. What is refused changes nothing."""
        cdef PyObject *known
        cdef double x = 0.0
        if not plain_number(value, &x) or x != x:
            x = as_value(value)     # may run code of the caller: before a slot is looked up
        known = get_item(self.slots, key)
        if known != NULL:
            self._set(<object> known, x)
            return
        if not self.free:
            self._grow(1)
        slot = self._take(key)
        try:
            self._set(slot, x)
        except BaseException:
            self._release(slot)
            raise

    def remove(self, key):
        """Take out a key; returns its number. KeyError if it is not there."""
        cdef PyObject *known = get_item(self.slots, key)
        if known == NULL:
            raise KeyError(key)
        slot = <object> known
        value = self.tree.c_get(slot)
        self._remove_at(slot)
        return value

    def pop_best(self):
        """Take out the key with the best number; returns both. None where there is no key, or a free slot has the same."""
        if not self.slots:
            return None
        if self.tree.users < 0:
            self.tree.argmax()      # refuses
        cdef int64_t at = sl_tree_argmax(&self.tree.tree, self.tree.leaves, self.tree.upper)
        cdef double value = self.tree.c_get(at)
        if value == self.worst:
            return None
        best = self.keys[at], value
        self._remove_at(at)
        return best

    def best(self):
        """The key with the best number, and that; None where a free slot has the same."""
        cdef int64_t slot = self.tree.argmax()
        value = self.tree.c_get(slot)
        return None if value == self.worst else (self.keys[slot], value)

    # ------------------------------------------------------------------ many keys

    @staticmethod
    def as_keys(keys):
        """Keys as `find` and `put_many` take them: those of an array of integers are integers."""
        if isinstance(keys, np.ndarray):
            if keys.ndim != 1:
                raise ValueError(f"keys must have 1 dimension, got shape {keys.shape}")
            return keys.tolist()
        return list(keys)

    def find(self, list keys):
        """Slots of keys, -1 for those that are not there."""
        cdef int64_t j = 0
        cdef PyObject *slot
        found = np.empty(len(keys), dtype=np.int64)
        cdef int64_t[::1] out = found
        for key in keys:
            slot = get_item(self.slots, key)
            out[j] = -1 if slot == NULL else <int64_t> <object> slot
            j += 1
        return found

    def put_many(self, list keys, values):
        """Set the numbers of keys, checked numbers of float64, one each: of equal keys the last one wins."""
        cdef int64_t j = 0
        cdef PyObject *slot
        where = self.find(keys)
        cdef int64_t[::1] at = where
        cdef list fresh = []
        missing = int(np.count_nonzero(where < 0))
        if missing > len(self.free):
            self._grow(missing - len(self.free))
        try:
            if missing:
                for key in keys:
                    if at[j] < 0:
                        slot = get_item(self.slots, key)        # it may have come twice
                        if slot == NULL:
                            at[j] = self._take(key)
                            fresh.append(at[j])
                        else:
                            at[j] = <object> slot
                    j += 1
            self.tree.update_many(where, values)
        except BaseException:
            for taken in fresh:
                self._release(taken)
            raise

    def remove_at(self, slots):
        """Take out the keys of different slots that are in use."""
        self.tree.update_many(slots, self.worst)
        for slot in slots.tolist():
            self._release(slot)

    def keys_at(self, slots):
        """Keys of slots that are in use, in their order."""
        cdef int64_t j
        cdef const int64_t[:] at = slots
        return [self.keys[at[j]] for j in range(at.shape[0])]

    def used(self):
        """Slots in use, in the order in which keys came."""
        return np.fromiter(self.slots.values(), dtype=np.int64, count=len(self.slots))

    # ------------------------------------------------------------------ internals

    def _grow(self, n):
        """Have n more free slots, and at least as many as there are slots."""
        cdef int64_t size = len(self.keys), more = max(n, size, 8)
        self.tree.resize(size + more)
        self.keys.extend([None] * more)
        self.free.extend(range(size + more - 1, size - 1, -1))

    cdef int _set(self, int64_t slot, double x) except -1:
        """Write a checked number; RuntimeError if another thread is reading or changing the tree."""
        if self.tree.users == 0:
            self.tree.c_update(slot, x)
        else:
            self.tree.update(slot, x)
        return 0

    cdef int _remove_at(self, slot) except -1:
        """Take out the key of a slot; where its own code refuses, it stays."""
        cdef double value = self.tree.c_get(slot)
        self._set(slot, self.worst)
        try:
            self._release(slot)
        except BaseException:
            self._set(slot, value)
            raise
        return 0

    cdef object _take(self, key):
        """Give a new key the next free slot."""
        slot = self.free.pop()
        try:
            self.slots[key] = slot      # may run code of the caller, which finds a slot that nobody else gets
        except BaseException:
            self.free.append(slot)
            raise
        self.keys[slot] = key
        return slot

    cdef int _release(self, slot) except -1:
        """Free the slot of a key."""
        del self.slots[self.keys[slot]]     # may run code of the caller: if it raises, the slot stays the key's
        self.keys[slot] = None
        self.free.append(slot)
        return 0

    def _check(self):
        """Assert every invariant of the structure. Cost: O(n)."""
        self.tree._check()
        assert len(self.tree) == len(self.keys) == len(self.slots) + len(self.free)
        assert all(self.keys[slot] is None and self.tree[slot] == self.worst for slot in self.free)
        assert len(set(self.free)) == len(self.free) and not set(self.free) & set(self.slots.values())
        assert all(self.keys[slot] is key for key, slot in self.slots.items())
