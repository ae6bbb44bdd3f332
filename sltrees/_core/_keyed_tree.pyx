"""A threshold tree whose places have keys: any that can be hashed. Kernel of `sltrees.ThresholdMap`.

Keys have code of their own, hashes and comparisons and ends: what that may do is said in _slot_table.pyx.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t

from sltrees._core._slot_table cimport SlotTable

cnp.import_array()

cdef enum:
    AHEAD = 12          # keys ahead of which the table is asked for
    ATTEMPTS = 100      # to compare a key without a change of the map


cdef class KeyedTree(SlotTable):
    """Keys and their numbers. Numbers are checked by the tree, keys by hashing them.

    The table is one of hashes: a dictionary would have objects of Python for slots, and looks up a key that is taken
    out although its slot is known.

    Parameters
    ----------
    orientation : {"max", "min"}
    """

    cdef list keys                      # slot -> key, None where it is free; never shorter than there are slots

    def __init__(self, orientation):
        self.keys = []
        SlotTable.__init__(self, orientation)

    @staticmethod
    def as_keys(keys):
        """Keys as methods take many of them: those of an array of integers are integers."""
        if isinstance(keys, np.ndarray):
            if keys.ndim != 1:
                raise ValueError(f"keys must have 1 dimension, got shape {keys.shape}")
            return keys.tolist()
        return list(keys)

    # ------------------------------------------------------------------ what the keys are

    cdef int64_t _number_of(self, key) except? -1:
        return hash(key)

    cdef object _numbers_of(self, keys):
        cdef list listed = keys
        cdef int64_t j, count = len(listed)
        hashes = np.empty(count, dtype=np.int64)
        cdef int64_t *out = <int64_t *> cnp.PyArray_DATA(hashes)
        for j in range(count):
            out[j] = hash(listed[j])
        return hashes

    cdef int64_t _slot_of(self, key) except -2:
        return self._find(key, hash(key))

    cdef int64_t _find(self, key, int64_t number) except -2:
        cdef int64_t place = self._first(number), slot, moves, attempts = 0
        cdef int bits
        cdef bint equal
        while True:
            slot = self.table[2 * place + 1]
            if slot < 0:
                return -1
            other = self.keys[slot]
            if other is key:
                return slot
            moves, bits = self.moves, self.bits
            equal = other == key
            other = None        # it may have been held by nobody else: its end comes before the look at changes
            if moves != self.moves or bits != self.bits:
                attempts += 1
                if attempts == ATTEMPTS:
                    self._refuse_unsteady()
                place = self._first(number)
            elif equal:
                return slot
            else:
                place = self._behind(number, place)

    cdef object _find_all(self, keys, numbers):
        cdef list listed = keys
        cdef int64_t j, count = cnp.PyArray_SIZE(numbers)
        cdef const int64_t *asked = <const int64_t *> cnp.PyArray_DATA(numbers)
        found = np.empty(count, dtype=np.int64)
        cdef int64_t *out = <int64_t *> cnp.PyArray_DATA(found)
        for j in range(count):
            if j + AHEAD < count:
                self._ask_for(asked[j + AHEAD])
            out[j] = self._find(listed[j], asked[j])
        return found

    cdef int64_t _count_new(self, keys, where) except -1:
        """That; -2 - i is written for a key that equals the new key i."""
        cdef list listed = keys
        cdef dict first = {}
        cdef int64_t j, i, count = cnp.PyArray_SIZE(where)
        cdef int64_t *at = <int64_t *> cnp.PyArray_DATA(where)
        for j in range(count):
            if at[j] < 0:
                i = first.setdefault(listed[j], j)
                if i != j:
                    at[j] = -2 - i
        return len(first)

    cdef int _take_all(self, keys, const int64_t *numbers, int64_t *at, int64_t count) except -1:
        cdef list listed = keys
        cdef int64_t j
        for j in range(count):
            if at[j] == -1:
                at[j] = self._take(numbers[j])
                self.keys[at[j]] = listed[j]
            elif at[j] < 0:
                at[j] = at[-2 - at[j]]
        return 0

    cdef object _key_at(self, int64_t slot):
        return self.keys[slot]

    cdef object _keys_at(self, slots):
        cdef int64_t j, count = cnp.PyArray_SIZE(slots)
        cdef const int64_t *at = <const int64_t *> cnp.PyArray_DATA(slots)
        return [self.keys[at[j]] for j in range(count)]

    cdef int _keep(self, int64_t slot, key) except -1:
        self.keys[slot] = key
        return 0

    cdef int _forget(self, int64_t slot) except -1:
        self.keys[slot] = None
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
