"""A threshold tree whose places are slots of numbers of 64 bits: keys themselves, or hashes of keys."""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t

from sltrees._core._threshold_tree cimport ThresholdTree
from sltrees._core._tree cimport sl_tree_argmax

cnp.import_array()

cdef extern from "simd/levels.h" nogil:
    void SL_PREFETCH(const void *p)

cdef enum:
    FIRST_BITS = 4      # of the table of an empty map


cdef class SlotTable:
    """Which slots of a tree are in use, by whom, and which is the next.

    The table has places, at most half of them in use: a number is at the place that its hash says, or at the first free
    one behind, and what stands behind a number that goes moves up. Free slots hold the worst value, so no query reports
    them. They are used again, last freed first.

    Parameters
    ----------
    orientation : {"max", "min"}
    """

    def __init__(self, orientation):
        self.tree = ThresholdTree(np.empty(0), orientation=orientation)
        self.worst = -np.inf if orientation == "max" else np.inf
        self.n = self.n_free = self.n_released = 0
        self._set_table(FIRST_BITS)
        self._set_slots(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))

    def __len__(self):
        return self.n

    def used(self):
        """Slots in use."""
        in_use = np.ones(self._numbers.size, dtype=bool)
        in_use[self._free[:self.n_free]] = False
        return np.flatnonzero(in_use)

    # ------------------------------------------------------------------ the tree

    cdef int _set(self, int64_t slot, double x) except -1:
        """Write a checked number; RuntimeError if another thread is reading or changing the tree."""
        if self.tree.users == 0:
            self.tree.c_update(slot, x)
        else:
            self.tree.update(slot, x)
        return 0

    cdef int64_t _best(self, double *value) except -2:
        """The slot with the best value, and that; -1 where none is in use, or free ones have the same."""
        if self.n == 0:
            return -1
        if self.tree.users < 0:
            self.tree.argmax()      # refuses
        cdef int64_t slot = sl_tree_argmax(&self.tree.tree, self.tree.leaves, self.tree.upper)
        value[0] = self.tree.c_get(slot)
        return -1 if value[0] == self.worst else slot

    # ------------------------------------------------------------------ the table

    cdef int64_t _home(self, int64_t number) noexcept nogil:
        """The place where a number should be: the upper bits of its product with 2^64 over the golden ratio."""
        return <int64_t> ((<uint64_t> number * <uint64_t> 0x9E3779B97F4A7C15) >> (64 - self.bits))

    cdef void _ask_for(self, int64_t number) noexcept nogil:
        """Have memory bring the place where a number should be."""
        SL_PREFETCH(self.table + 2 * self._home(number))

    cdef int64_t _first(self, int64_t number) noexcept nogil:
        """The first place that has a number, or the free one where it would be."""
        return self._at_or_behind(number, self._home(number))

    cdef int64_t _behind(self, int64_t number, int64_t place) noexcept nogil:
        """The next place that has a number, or the free one where it would be."""
        return self._at_or_behind(number, (place + 1) & ((<int64_t> 1 << self.bits) - 1))

    cdef int64_t _at_or_behind(self, int64_t number, int64_t place) noexcept nogil:
        while self.table[2 * place + 1] >= 0 and self.table[2 * place] != number:
            place = (place + 1) & ((<int64_t> 1 << self.bits) - 1)
        return place

    cdef int64_t _take(self, int64_t number) noexcept:
        """Give a new number the next free slot, which there is."""
        cdef int64_t place = self._first(number), slot
        while self.table[2 * place + 1] >= 0:       # another key of this hash
            place = self._behind(number, place)
        self.n_free -= 1
        slot = self.free[self.n_free]
        self.table[2 * place] = self.numbers[slot] = number
        self.table[2 * place + 1] = slot
        self.n += 1
        return slot

    cdef void _release(self, int64_t slot) noexcept:
        """Free a slot that is in use."""
        cdef int64_t last = (<int64_t> 1 << self.bits) - 1, gap = self._first(self.numbers[slot]), place, home
        while self.table[2 * gap + 1] != slot:
            gap = self._behind(self.numbers[slot], gap)
        place = gap
        while True:         # what stands behind moves up, unless it would come before its place
            place = (place + 1) & last
            if self.table[2 * place + 1] < 0:
                break
            home = self._home(self.table[2 * place])
            if ((place - home) & last) >= ((place - gap) & last):
                self.table[2 * gap] = self.table[2 * place]
                self.table[2 * gap + 1] = self.table[2 * place + 1]
                gap = place
        self.table[2 * gap + 1] = -1
        self.free[self.n_free] = slot
        self.n_free += 1
        self.n -= 1
        self.n_released += 1

    cdef int _make_room(self, int64_t more) except -1:
        """Have free slots for so many numbers, and places of which they use half."""
        cdef int64_t size = self._numbers.size, j, added, place
        cdef int bits = self.bits
        while 2 * (self.n + more) > <int64_t> 1 << bits:
            bits += 1
        if more > self.n_free:
            added = max(more - self.n_free, size, 8)
            numbers, free = np.zeros(size + added, dtype=np.int64), np.empty(size + added, dtype=np.int64)
            numbers[:size], free[:self.n_free] = self._numbers, self._free[:self.n_free]
            free[self.n_free:self.n_free + added] = np.arange(size + added - 1, size - 1, -1)
            self._hold(size + added)
            self.tree.resize(size + added)
            self._set_slots(numbers, free)
            self.n_free += added
        if bits > self.bits:
            used = self.used()
            self._set_table(bits)
            for j in used:
                place = self._first(self.numbers[j])
                while self.table[2 * place + 1] >= 0:
                    place = self._behind(self.numbers[j], place)
                self.table[2 * place] = self.numbers[j]
                self.table[2 * place + 1] = j
        return 0

    cdef int _hold(self, int64_t n_slots) except -1:
        """Have room for what else is held of so many slots."""
        return 0

    cdef int _set_table(self, int bits) except -1:
        table = np.full((1 << bits, 2), -1, dtype=np.int64)
        self._table, self.bits = table, bits
        self.table = <int64_t *> cnp.PyArray_DATA(table)
        return 0

    cdef int _set_slots(self, numbers, free) except -1:
        self._numbers, self._free = numbers, free
        self.numbers, self.free = <int64_t *> cnp.PyArray_DATA(numbers), <int64_t *> cnp.PyArray_DATA(free)
        return 0

    def _check(self):
        """Assert every invariant of the structure. Cost: O(n)."""
        cdef int64_t slot, place
        self.tree._check()
        assert self._table.shape == (1 << self.bits, 2) and 2 * self.n <= 1 << self.bits
        assert len(self.tree) == self._numbers.size == self._free.size == self.n + self.n_free
        free = self._free[:self.n_free]
        assert np.unique(free).size == self.n_free and np.all(self.tree[free] == self.worst)
        assert np.count_nonzero(self._table[:, 1] >= 0) == self.n
        for slot in self.used():
            place = self._first(self.numbers[slot])
            while self.table[2 * place + 1] >= 0 and self.table[2 * place + 1] != slot:
                place = self._behind(self.numbers[slot], place)
            assert self.table[2 * place + 1] == slot
