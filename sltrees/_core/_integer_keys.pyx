"""A threshold tree whose places have keys that are integers of 64 bits: no objects of Python.

It has what `KeyedTree` has, with arrays of int64 in the place of lists.
"""

from numbers import Integral

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t

from sltrees._core._boundary import as_integer, as_integers
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

    @staticmethod
    def as_keys(keys):
        """Keys as methods take many of them."""
        if not isinstance(keys, np.ndarray):
            keys = list(keys)
            for key in keys:
                if isinstance(key, (bool, np.bool_)):
                    raise TypeError(f"keys must be integers, got {key!r}")
        array = as_integers(keys, "keys")
        if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
            raise TypeError(f"keys must be integers of 64 bits, got {array.max()}")
        return np.ascontiguousarray(array, dtype=np.int64)

    # ------------------------------------------------------------------ what the keys are

    cdef bint _as_key(self, key, int64_t *number) except -1:
        """Take a key; False for what cannot be one. Floats and others that equal integers are none."""
        if type(key) is not int:
            if not isinstance(key, Integral) or isinstance(key, bool):
                return False
            key = as_integer(key, "key")
        try:
            number[0] = key
        except OverflowError:
            return False
        return True

    cdef int64_t _number_of(self, key) except? -1:
        cdef int64_t number = 0
        if not self._as_key(key, &number):
            raise TypeError(f"keys must be integers of 64 bits, got {key!r}")
        return number

    cdef object _numbers_of(self, keys):
        return keys.copy()

    cdef int64_t _slot_of(self, key) except -2:
        cdef int64_t number = 0
        return self.table[2 * self._first(number) + 1] if self._as_key(key, &number) else -1

    cdef int64_t _find(self, key, int64_t number) except -2:
        return self.table[2 * self._first(number) + 1]

    cdef object _find_all(self, keys, numbers):
        cdef int64_t j, count = cnp.PyArray_SIZE(numbers)
        cdef const int64_t *asked = <const int64_t *> cnp.PyArray_DATA(numbers)
        found = np.empty(count, dtype=np.int64)
        cdef int64_t *out = <int64_t *> cnp.PyArray_DATA(found)
        for j in range(count):
            if j + AHEAD < count:
                self._ask_for(asked[j + AHEAD])
            out[j] = self.table[2 * self._first(asked[j]) + 1]
        return found

    cdef int64_t _count_new(self, keys, where) except -1:
        return np.count_nonzero(where < 0)

    cdef int _take_all(self, keys, const int64_t *numbers, int64_t *at, int64_t count) except -1:
        cdef int64_t j
        for j in range(count):
            if at[j] < 0:
                at[j] = self.table[2 * self._first(numbers[j]) + 1]     # it may have come twice
                if at[j] < 0:
                    at[j] = self._take(numbers[j])
        return 0

    cdef object _key_at(self, int64_t slot):
        return self.numbers[slot]

    cdef object _keys_at(self, slots):
        cdef int64_t j
        cdef cnp.npy_intp count = cnp.PyArray_SIZE(slots)
        cdef const int64_t *at = <const int64_t *> cnp.PyArray_DATA(slots)
        keys = cnp.PyArray_SimpleNew(1, &count, cnp.NPY_INT64)
        cdef int64_t *out = <int64_t *> cnp.PyArray_DATA(keys)
        for j in range(count):
            out[j] = self.numbers[at[j]]
        return keys
