"""A threshold tree whose places have keys: any that can be hashed. Kernel of `sltrees.ThresholdMap`.

Each method is one call: where keys have no code of their own, no handler of signals can run in it, and an interruption
finds keys and values that agree. Code of keys and values runs before anything is changed, or finds what it may find.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t

from sltrees._core._boundary import as_value
from sltrees._core._boundary cimport plain_number
from sltrees._core._slot_table cimport SlotTable

cnp.import_array()

cdef enum:
    AHEAD = 12          # keys ahead of which the table is asked for


cdef class KeyedTree(SlotTable):
    """Keys and their numbers. Numbers are checked by the tree, keys by hashing them.

    The table is one of hashes: a dictionary would have objects of Python for slots, and looks up a key that is taken
    out although its slot is known.

    Parameters
    ----------
    orientation : {"max", "min"}
    """

    cdef list keys                      # slot -> key, None where it is free

    def __init__(self, orientation):
        self.keys = []
        SlotTable.__init__(self, orientation)

    # ------------------------------------------------------------------ one key

    def __contains__(self, key):
        return self._find(key, hash(key)) >= 0

    def get(self, key):
        """The number of a key; None if it is not there. TypeError if it cannot be hashed."""
        cdef int64_t slot = self._find(key, hash(key))
        return None if slot < 0 else self.tree.c_get(slot)

    def put(self, key, value):
        """Set the number of a key, which may be new. What is refused changes nothing."""
        cdef double x = 0.0
        if not plain_number(value, &x) or x != x:
            x = as_value(value)     # may run code of the caller: before a slot is looked up
        cdef int64_t number = hash(key), slot = self._find(key, number)
        if slot >= 0:
            self._set(slot, x)
            return
        slot = self._take_for(key, number)
        try:
            self._set(slot, x)
        except BaseException:
            self._drop(slot)
            raise

    def remove(self, key):
        """Take out a key; returns its number. KeyError if it is not there."""
        cdef int64_t slot = self._find(key, hash(key))
        if slot < 0:
            raise KeyError(key)
        value = self.tree.c_get(slot)
        self._set(slot, self.worst)
        self._drop(slot)
        return value

    def pop_best(self):
        """Take out the key with the best number; returns both. None if there is none, or a free slot has the same."""
        cdef double value = 0.0
        cdef int64_t slot = self._best(&value)
        if slot < 0:
            return None
        self._ask_for(self.numbers[slot])       # comes while the tree is written to
        best = self.keys[slot], value
        self._set(slot, self.worst)
        self._drop(slot)
        return best

    def best(self):
        """The key with the best number, and that; None where there is no key, or a free slot has the same."""
        cdef double value = 0.0
        cdef int64_t slot = self._best(&value)
        return None if slot < 0 else (self.keys[slot], value)

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
        return self._find_all(keys, _hashes(keys))

    def put_many(self, list keys, values):
        """Set the numbers of keys, checked numbers of float64, one each: of equal keys the last one wins."""
        cdef int64_t j, released = -1
        cdef list fresh = []
        hashes = _hashes(keys)
        cdef const int64_t[::1] numbers = hashes
        cdef int64_t[::1] at
        try:
            while released != self.n_released:      # again, if code of keys took some out
                released = self.n_released
                where = self._find_all(keys, hashes)
                at = where
                self._make_room(np.count_nonzero(where < 0))
                for j in range(at.shape[0]):
                    if at[j] < 0:
                        at[j] = self._find(keys[j], numbers[j])     # it may have come twice
                        if at[j] < 0:
                            at[j] = self._take_for(keys[j], numbers[j])
                            fresh.append((at[j], keys[j]))
            self.tree.update_many(where, values)
        except BaseException:
            for slot, key in fresh:
                if self.keys[<int64_t> slot] is key:
                    self._drop(slot)
            raise

    def remove_at(self, slots):
        """Take out the keys of different slots that are in use."""
        cdef const int64_t[::1] at = slots
        cdef int64_t j
        gone = self.keys_at(slots)      # until all are out: the end of a key may run code
        self.tree.update_many(slots, self.worst)
        for j in range(at.shape[0]):
            self._drop(at[j])
        del gone

    def keys_at(self, slots):
        """Keys of slots that are in use, in their order."""
        cdef int64_t j
        cdef const int64_t[:] at = slots
        return [self.keys[at[j]] for j in range(at.shape[0])]

    # ------------------------------------------------------------------ internals

    cdef int64_t _find(self, key, int64_t number) except -2:
        """The slot of a key of this hash; -1 if it is not there. Code of keys may change whatever it likes."""
        cdef int64_t place = self._first(number), slot, released
        cdef int bits
        cdef bint equal
        while True:
            slot = self.table[2 * place + 1]
            if slot < 0:
                return -1
            other = self.keys[slot]
            if other is key:
                return slot
            released, bits = self.n_released, self.bits
            equal = other == key
            if released != self.n_released or bits != self.bits:
                place = self._first(number)
            elif equal:
                return slot
            else:
                place = self._behind(number, place)

    cdef object _find_all(self, list keys, hashes):
        """Slots of keys of these hashes, -1 for those that are not there."""
        cdef const int64_t[::1] numbers = hashes
        cdef int64_t j, count = numbers.shape[0]
        found = np.empty(count, dtype=np.int64)
        cdef int64_t[::1] out = found
        for j in range(count):
            if j + AHEAD < count:
                self._ask_for(numbers[j + AHEAD])
            out[j] = self._find(keys[j], numbers[j])
        return found

    cdef int64_t _take_for(self, key, int64_t number) except -1:
        """Give a new key of this hash a slot."""
        self._make_room(1)
        cdef int64_t slot = self._take(number)
        self.keys[slot] = key
        return slot

    cdef int _drop(self, int64_t slot) except -1:
        """Free the slot of a key."""
        self._release(slot)
        self.keys[slot] = None      # the end of the key may run code
        return 0

    cdef int _hold(self, int64_t n_slots) except -1:
        if n_slots > len(self.keys):
            self.keys.extend([None] * (n_slots - len(self.keys)))
        return 0

    def _check(self):
        """Assert every invariant of the structure. Cost: O(n)."""
        SlotTable._check(self)
        assert len(self.keys) >= len(self.tree)
        used = set(self.used().tolist())
        for slot, key in enumerate(self.keys):
            assert self._numbers[slot] == hash(key) if slot in used else key is None


cdef object _hashes(list keys):
    """Hashes of keys. TypeError if one cannot be hashed."""
    cdef int64_t j
    hashes = np.empty(len(keys), dtype=np.int64)
    cdef int64_t[::1] out = hashes
    for j in range(out.shape[0]):
        out[j] = hash(keys[j])
    return hashes
