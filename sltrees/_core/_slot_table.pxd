# See _slot_table.pyx.
from libc.stdint cimport int64_t

from sltrees._core._threshold_tree cimport ThresholdTree

cdef class SlotTable:
    cdef readonly ThresholdTree tree
    cdef readonly double worst          # what free slots hold: -inf, or inf for orientation "min"
    cdef int64_t n                      # slots in use
    cdef int64_t n_slots
    cdef int64_t n_free
    cdef int64_t moves                  # so far: slots taken or freed
    cdef int64_t changes                # so far: those, and numbers written
    cdef int bits                       # log2 of the number of places
    cdef object _table                  # ndarray (2^bits, 2): number and slot of each place, slot -1 where it is free
    cdef object _numbers                # ndarray (n_slots,): number of each slot
    cdef object _free                   # ndarray (n_slots,): the first n_free are free slots, the last one is next
    cdef int64_t *table
    cdef int64_t *numbers
    cdef int64_t *free

    # what the keys are
    cdef int64_t _number_of(self, key) except? -1
    cdef object _numbers_of(self, keys)
    cdef int64_t _slot_of(self, key) except -2
    cdef int64_t _find(self, key, int64_t number) except -2
    cdef object _find_all(self, keys, numbers)
    cdef int64_t _count_new(self, keys, where) except -1
    cdef int _take_all(self, keys, const int64_t *numbers, int64_t *at, int64_t count) except -1
    cdef object _key_at(self, int64_t slot)
    cdef object _keys_at(self, slots)
    cdef int _keep(self, int64_t slot, key) except -1
    cdef int _forget(self, int64_t slot) except -1
    cdef int _hold(self, int64_t n_slots) except -1

    cdef object _best_item(self, bint take)

    # the tree
    cdef int _refuse_busy(self) except -1
    cdef int _refuse_unsteady(self) except -1
    cdef int64_t _best(self, double *value) noexcept
    cdef int64_t _lowest(self) noexcept
    cdef int _drop(self, int64_t slot) except -1
    cdef int _drop_all(self, const int64_t *at, const double *worst, int64_t count) except -1

    # the table
    cdef int64_t _home(self, int64_t number) noexcept nogil
    cdef void _ask_for(self, int64_t number) noexcept nogil
    cdef int64_t _first(self, int64_t number) noexcept nogil
    cdef int64_t _behind(self, int64_t number, int64_t place) noexcept nogil
    cdef int64_t _at_or_behind(self, int64_t number, int64_t place) noexcept nogil
    cdef void _occupy(self, int64_t number, int64_t slot) noexcept nogil
    cdef int64_t _take(self, int64_t number) noexcept
    cdef bint _release(self, int64_t slot) noexcept
    cdef bint _has_room(self, int64_t more) noexcept
    cdef int _make_room(self, int64_t more) except -1
    cdef int _add_slots(self, int64_t more) except -1
    cdef int _add_places(self, int64_t more) except -1
