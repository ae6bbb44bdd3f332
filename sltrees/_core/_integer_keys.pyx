"""A threshold tree whose places have keys that are integers of 64 bits: no objects of Python.

It has what `KeyedTree` has, with arrays of int64 in the place of lists.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t

from sltrees._core._boundary import as_integer, as_integers, as_value
from sltrees._core._boundary cimport plain_number
from sltrees._core._slot_table cimport SlotTable

cnp.import_array()

cdef enum:
    AHEAD = 12          # keys ahead of which the table is asked for


cdef class IntegerKeyedTree(SlotTable):
    """Keys and their numbers; the table is one of the keys themselves.

    Parameters
    ----------
    orientation : {"max", "min"}
    """

    # ------------------------------------------------------------------ one key

    def __contains__(self, key):
        cdef int64_t number = 0
        return self._as_key(key, &number) and self.table[2 * self._first(number) + 1] >= 0

    def get(self, key):
        """The number of a key; None if it is not there."""
        cdef int64_t number = 0, slot
        if not self._as_key(key, &number):
            return None
        slot = self.table[2 * self._first(number) + 1]
        return None if slot < 0 else self.tree.c_get(slot)

    def put(self, key, value):
        """Set the number of a key, which may be new. What is refused changes nothing."""
        cdef int64_t number = 0, slot
        cdef double x = 0.0
        if not self._as_key(key, &number):
            raise TypeError(f"keys must be integers of 64 bits, got {key!r}")
        if not plain_number(value, &x) or x != x:
            x = as_value(value)     # may run code of the caller: before a slot is looked up
        slot = self.table[2 * self._first(number) + 1]
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
            slot = self.table[2 * self._first(number) + 1]
        if slot < 0:
            raise KeyError(key)
        value = self.tree.c_get(slot)
        self._set(slot, self.worst)
        self._release(slot)
        return value

    def pop_best(self):
        """Take out the key with the best number; returns both. None if there is none, or a free slot has the same."""
        cdef double value = 0.0
        cdef int64_t slot = self._best(&value)
        if slot < 0:
            return None
        self._ask_for(self.numbers[slot])       # comes while the tree is written to
        best = self.numbers[slot], value
        self._set(slot, self.worst)
        self._release(slot)
        return best

    def best(self):
        """The key with the best number, and that; None where there is no key, or a free slot has the same."""
        cdef double value = 0.0
        cdef int64_t slot = self._best(&value)
        return None if slot < 0 else (self.numbers[slot], value)

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
                self._ask_for(asked[j + AHEAD])
            out[j] = self.table[2 * self._first(asked[j]) + 1]
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
                    at[j] = self.table[2 * self._first(asked[j]) + 1]       # it may have come twice
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
        return self._numbers[slots]

    # ------------------------------------------------------------------ internals

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
