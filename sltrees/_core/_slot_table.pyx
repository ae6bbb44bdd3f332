"""A threshold tree whose places are slots of numbers of 64 bits: keys themselves, or hashes of keys.

Code of others can run in the middle of a method: keys that are compared, numbers that are converted, other threads,
handlers of signals, and the ends of objects, for which Python looks whenever one is made. It may call any method of the
same table. So each method, growth included, has two parts. The first makes all objects and finds all slots, and changes
nothing. The second is C alone, in which nothing of Python is made, freed or called, and the interpreter is held: it
looks at `moves`, `changes` or `n_slots` to see that nobody has come in since the first began, which begins again
otherwise, and at `users` of the tree, whom it refuses to disturb, and then changes all that there is to change.
"""

import numpy as np

cimport numpy as cnp
from libc.math cimport NAN
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from sltrees._core._boundary import as_value, refuse_nan
from sltrees._core._boundary cimport plain_number
from sltrees._core._threshold_tree cimport ThresholdTree
from sltrees._core._tree cimport sl_tree_argmax

cnp.import_array()

cdef extern from "simd/levels.h" nogil:
    void SL_PREFETCH(const void *p)

cdef enum:
    FIRST_BITS = 4      # of the table of an empty map
    MIN_SLOTS = 8
    ATTEMPTS = 100      # to find a map unchanged


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
        self.n = self.n_slots = self.n_free = 0
        self._numbers, self._free = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        self.bits = 0
        self._add_places(1 << (FIRST_BITS - 1))

    def __len__(self):
        return self.n

    # ------------------------------------------------------------------ one key

    def __contains__(self, key):
        return self._slot_of(key) >= 0

    def get(self, key):
        """The number of a key; None if it is not there."""
        cdef int64_t slot = self._slot_of(key)
        return None if slot < 0 else self.tree.c_get(slot)

    def put(self, key, value):
        """Set the number of a key, which may be new. What is refused changes nothing."""
        cdef double x = 0.0
        cdef int64_t number = self._number_of(key), slot
        if not plain_number(value, &x) or x != x:
            x = as_value(value)
        while True:
            slot = self._find(key, number)
            if slot >= 0 or self._has_room(1):
                break
            self._make_room(1)      # then again: the key may have come meanwhile
        if self.tree.users != 0:
            self._refuse_busy()
        if slot < 0:
            slot = self._take(number)
            self._keep(slot, key)
        self.tree.c_update(slot, x)
        self.changes += 1

    def remove(self, key):
        """Take out a key; returns its number. KeyError if it is not there."""
        cdef int64_t slot = self._slot_of(key)
        cdef double value
        if slot < 0:
            raise KeyError(key)
        value = self.tree.c_get(slot)
        self._drop(slot)
        return value

    def best(self):
        """The key with the best number, and that; None where there is no key. Cost: as of `pop_best`."""
        return self._best_item(False)

    def pop_best(self):
        """Take out the key with the best number; returns both, or None if there is none.

        Cost: O(log n); O(n) where that is the worst number there is, which free slots have, too.
        """
        return self._best_item(True)

    cdef object _best_item(self, bint take):
        cdef double value = 0.0
        cdef int64_t slot, changes
        for _ in range(ATTEMPTS):
            changes = self.changes
            slot = self._best(&value)
            if slot < 0:
                return None
            if take:
                self._ask_for(self.numbers[slot])       # comes while the tree is written to
            best = self._key_at(slot), value
            if changes == self.changes:
                if take:
                    self._drop(slot)
                return best
        self._refuse_unsteady()

    # ------------------------------------------------------------------ many keys

    def get_many(self, keys):
        """Numbers of keys as `as_keys` makes them, NaN for those that are not there."""
        cdef int64_t j, moves, count
        cdef const int64_t *at
        cdef double *out
        numbers = self._numbers_of(keys)
        for _ in range(ATTEMPTS):
            moves = self.moves
            where = self._find_all(keys, numbers)
            count = cnp.PyArray_SIZE(where)
            found = np.empty(count)
            if moves == self.moves:
                at, out = <const int64_t *> cnp.PyArray_DATA(where), <double *> cnp.PyArray_DATA(found)
                for j in range(count):
                    out[j] = NAN if at[j] < 0 else self.tree.c_get(at[j])
                return found
        self._refuse_unsteady()

    def put_many(self, keys, values):
        """Set the numbers of keys as `as_keys` makes them, checked numbers of float64, one each: the last one wins."""
        cdef int64_t moves, count
        cdef int64_t *at
        numbers = self._numbers_of(keys)
        values = values.copy()
        refuse_nan(values, "values")        # whoever has the original may have written to it
        for _ in range(ATTEMPTS):
            moves = self.moves
            where = self._find_all(keys, numbers)
            self._make_room(self._count_new(keys, where))
            if moves == self.moves:
                if self.tree.users != 0:
                    self._refuse_busy()
                at, count = <int64_t *> cnp.PyArray_DATA(where), cnp.PyArray_SIZE(where)
                self._take_all(keys, <const int64_t *> cnp.PyArray_DATA(numbers), at, count)
                self.tree._write_many(at, cnp.PyArray_DATA(values), count)
                self.changes += 1
                return
        self._refuse_unsteady()

    def remove_many(self, keys):
        """Take out keys as `as_keys` makes them, each as often as it comes. KeyError, and no change, if one is not
        there."""
        cdef int64_t moves
        numbers = self._numbers_of(keys)
        for _ in range(ATTEMPTS):
            moves = self.moves
            where = self._find_all(keys, numbers)
            missing = np.flatnonzero(where < 0)
            if missing.size:
                raise KeyError(keys[int(missing[0])])
            gone, worst = self._keys_at(where), np.full(where.size, self.worst)
            if moves == self.moves:
                self._drop_all(<const int64_t *> cnp.PyArray_DATA(where), <const double *> cnp.PyArray_DATA(worst),
                               cnp.PyArray_SIZE(where))
                del gone        # not before: the end of a key may run code
                return
        self._refuse_unsteady()

    # ------------------------------------------------------------------ chosen slots

    def chosen(self, choose, tuple arguments, bint with_values, bint take=False):
        """Keys of the slots that choose(*arguments) returns, and their numbers if they are asked for.

        All are of one moment. They are taken out, if so asked.
        """
        cdef int64_t changes
        for _ in range(ATTEMPTS):
            changes = self.changes
            slots = choose(*arguments)
            keys = self._keys_at(slots)
            values = self.tree[slots] if with_values else None
            worst = np.full(slots.size, self.worst) if take else None
            if changes == self.changes:
                if take:
                    self._drop_all(<const int64_t *> cnp.PyArray_DATA(slots), <const double *> cnp.PyArray_DATA(worst),
                                   cnp.PyArray_SIZE(slots))
                return keys, values
        self._refuse_unsteady()

    def used(self):
        """Slots in use, ascending. As of all that choose slots, who uses them sees to it that they are still right."""
        cdef int64_t j, n_slots
        cdef char *data
        in_use = np.ones(self.n_slots, dtype=bool)
        n_slots, data = cnp.PyArray_SIZE(in_use), cnp.PyArray_BYTES(in_use)
        for j in range(self.n_free):
            if self.free[j] < n_slots:      # there may be more since
                data[self.free[j]] = 0
        return np.flatnonzero(in_use).astype(np.int64, copy=False)

    def in_order(self):
        """Slots in use, the best first."""
        return self._sorted(self.used())

    def query(self, threshold):
        """Slots with numbers that pass a threshold."""
        return self.tree.query(threshold)

    def passing(self, threshold):
        """The same, the best first."""
        return self._sorted(self.tree.query(threshold))

    def topk(self, k):
        """The best k slots of those in use, the best first."""
        slots = self.tree.topk(min(k, self.n))
        if slots.size and self.tree[slots[slots.size - 1]] == self.worst:      # free slots have that number, too
            slots = self.in_order()
        return slots[:k]

    def _sorted(self, slots):
        values = self.tree[slots]
        return slots[np.argsort(values if self.worst > 0 else -values, kind="stable")]

    # ------------------------------------------------------------------ what the keys are

    cdef int64_t _number_of(self, key) except? -1:
        """The number of a key; TypeError for what cannot be one."""
        raise NotImplementedError

    cdef object _numbers_of(self, keys):
        """Numbers of keys: an array that nobody else has."""
        raise NotImplementedError

    cdef int64_t _slot_of(self, key) except -2:
        """The slot of a key; -1 if it is not there. Nothing of Python runs between the look and the return."""
        raise NotImplementedError

    cdef int64_t _find(self, key, int64_t number) except -2:
        """The same, where the number of the key is known."""
        raise NotImplementedError

    cdef object _find_all(self, keys, numbers):
        """Slots of keys of these numbers, -1 for those that are not there. Right if `moves` is what it was."""
        raise NotImplementedError

    cdef int64_t _count_new(self, keys, where) except -1:
        """How many slots `_take_all` takes at most, which may be told by `where` which keys are equal."""
        raise NotImplementedError

    cdef int _take_all(self, keys, const int64_t *numbers, int64_t *at, int64_t count) except -1:
        """Give keys that have no slot one. C alone."""
        raise NotImplementedError

    cdef object _key_at(self, int64_t slot):
        """The key of a slot."""
        raise NotImplementedError

    cdef object _keys_at(self, slots):
        """Keys of slots, an array of int64 in C order, in their order. There have been such slots: there are still."""
        raise NotImplementedError

    cdef int _keep(self, int64_t slot, key) except -1:
        """Hold the key of a slot that was free. C alone."""
        return 0

    cdef int _forget(self, int64_t slot) except -1:
        """Hold the key of a slot no more. Where it has an end that runs code, another holds it or nothing follows."""
        return 0

    cdef int _hold(self, int64_t n_slots) except -1:
        """Have room for what else is held of so many slots."""
        return 0

    # ------------------------------------------------------------------ the tree

    cdef int _refuse_busy(self) except -1:
        raise RuntimeError("a map must not be changed while it is being queried: where threads do both, hold a lock")

    cdef int _refuse_unsteady(self) except -1:
        raise RuntimeError("a map must not be changed each time that its keys are read or compared: where threads do "
                           "both, hold a lock")

    cdef int64_t _best(self, double *value) noexcept:
        """The slot in use with the best value, and that; -1 where none is."""
        if self.n == 0:
            return -1
        cdef int64_t slot = sl_tree_argmax(&self.tree.tree, self.tree.leaves, self.tree.upper)
        value[0] = self.tree.c_get(slot)
        return slot if value[0] != self.worst else self._lowest()      # a free slot could be meant

    cdef int64_t _lowest(self) noexcept:
        """The lowest slot in use. Cost: O(n)."""
        cdef int64_t place, slot, lowest = self.n_slots
        for place in range(<int64_t> 1 << self.bits):
            slot = self.table[2 * place + 1]
            if 0 <= slot < lowest:
                lowest = slot
        return lowest

    cdef int _drop(self, int64_t slot) except -1:
        """Take out a slot in use; RuntimeError if the tree is being read. The end of its key comes last."""
        if self.tree.users != 0:
            self._refuse_busy()
        self.tree.c_update(slot, self.worst)
        self._release(slot)
        self.changes += 1
        self._forget(slot)
        return 0

    cdef int _drop_all(self, const int64_t *at, const double *worst, int64_t count) except -1:
        """`_drop` of slots, where the keys are held by others. They may come more than once."""
        cdef int64_t j
        if self.tree.users != 0:
            self._refuse_busy()
        self.tree._write_many(at, worst, count)
        for j in range(count):
            if self._release(at[j]):
                self._forget(at[j])
        self.changes += 1
        return 0

    # ------------------------------------------------------------------ the table

    cdef int64_t _home(self, int64_t number) noexcept nogil:
        """The place where a number should be: the upper bits of what SplitMix64 makes of it.

        A product alone would have numbers at some regular distances side by side.
        """
        cdef uint64_t x = <uint64_t> number
        x = (x ^ (x >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
        x = (x ^ (x >> 27)) * <uint64_t> 0x94D049BB133111EB
        return <int64_t> (x >> (64 - self.bits))

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

    cdef void _occupy(self, int64_t number, int64_t slot) noexcept nogil:
        """Write a number and its slot to the first free place."""
        cdef int64_t place = self._home(number)
        while self.table[2 * place + 1] >= 0:
            place = (place + 1) & ((<int64_t> 1 << self.bits) - 1)
        self.table[2 * place] = number
        self.table[2 * place + 1] = slot

    cdef int64_t _take(self, int64_t number) noexcept:
        """Give a new number the next free slot, which there is."""
        self.n_free -= 1
        cdef int64_t slot = self.free[self.n_free]
        self.numbers[slot] = number
        self._occupy(number, slot)
        self.n += 1
        self.moves += 1
        return slot

    cdef bint _release(self, int64_t slot) noexcept:
        """Free a slot; False where it is free."""
        cdef int64_t last = (<int64_t> 1 << self.bits) - 1, gap = self._first(self.numbers[slot]), place, home
        while self.table[2 * gap + 1] != slot:
            if self.table[2 * gap + 1] < 0:
                return False
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
        self.moves += 1
        return True

    cdef bint _has_room(self, int64_t more) noexcept:
        return more <= self.n_free and 2 * (self.n + more) <= <int64_t> 1 << self.bits

    cdef int _make_room(self, int64_t more) except -1:
        """Have free slots for so many numbers, and places of which they use half. Others may have come meanwhile."""
        while not self._has_room(more):
            if more > self.n_free:
                self._add_slots(more)
            else:
                self._add_places(more)
        return 0

    cdef int _add_slots(self, int64_t more) except -1:
        """Have free slots for so many numbers, in a new tree: whoever reads the old one is not disturbed."""
        cdef int64_t before = self.n_slots, added = max(more - self.n_free, before, MIN_SLOTS), j
        cdef cnp.npy_intp n_slots = before + added
        cdef ThresholdTree old = self.tree, tree = ThresholdTree(np.empty(0), orientation=self.tree.orientation)
        tree.resize(n_slots)
        numbers = cnp.PyArray_SimpleNew(1, &n_slots, cnp.NPY_INT64)
        free = cnp.PyArray_SimpleNew(1, &n_slots, cnp.NPY_INT64)
        self._hold(n_slots)
        if before != self.n_slots:
            return 0        # others have been here; `_make_room` looks again
        cdef int64_t *p_numbers = <int64_t *> cnp.PyArray_DATA(numbers)
        cdef int64_t *p_free = <int64_t *> cnp.PyArray_DATA(free)
        if before:
            memcpy(tree.leaves, old.leaves, before * sizeof(double))
            memcpy(p_numbers, self.numbers, before * sizeof(int64_t))
            memcpy(p_free, self.free, self.n_free * sizeof(int64_t))
            tree._rebuild()
        for j in range(added):
            p_free[self.n_free + j] = n_slots - 1 - j
        self.tree, self._numbers, self._free = tree, numbers, free      # old ones have an end without code
        self.numbers, self.free = p_numbers, p_free
        self.n_free += added
        self.n_slots = n_slots
        return 0

    cdef int _add_places(self, int64_t more) except -1:
        """Have places of which so many numbers more use half."""
        cdef int bits = self.bits
        cdef int64_t place
        cdef cnp.npy_intp shape[2]
        while 2 * (self.n + more) > <int64_t> 1 << bits:
            bits += 1
        shape[0], shape[1] = <int64_t> 1 << bits, 2
        table, before = cnp.PyArray_SimpleNew(2, shape, cnp.NPY_INT64), self._table
        if bits <= self.bits or before is not self._table:
            return 0        # others have been here; `_make_room` looks again
        cdef int64_t n_before = (<int64_t> 1 << self.bits) if self.table != NULL else 0
        cdef const int64_t *old = self.table
        self._table, self.bits, self.table = table, bits, <int64_t *> cnp.PyArray_DATA(table)
        for place in range(<int64_t> 1 << bits):
            self.table[2 * place + 1] = -1
        for place in range(n_before):       # in the order of places, so that memory is written to in order
            if old[2 * place + 1] >= 0:
                self._occupy(old[2 * place], old[2 * place + 1])
        del before
        return 0

    def _check(self):
        """Assert every invariant of the structure. Cost: O(n)."""
        cdef int64_t slot, place
        self.tree._check()
        assert self._table.shape == (1 << self.bits, 2) and 2 * self.n <= 1 << self.bits
        assert len(self.tree) == self._numbers.size == self._free.size == self.n_slots == self.n + self.n_free
        used = self.used()
        assert used.size == self.n and np.count_nonzero(self._table[:, 1] >= 0) == self.n
        assert np.all(np.delete(self.tree.values, used) == self.worst)
        for slot in used:
            place = self._first(self.numbers[slot])
            while self.table[2 * place + 1] >= 0 and self.table[2 * place + 1] != slot:
                place = self._behind(self.numbers[slot], place)
            assert self.table[2 * place + 1] == slot
