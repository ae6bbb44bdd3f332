# See _slot_table.pyx.
from libc.stdint cimport int64_t

from sltrees._core._threshold_tree cimport ThresholdTree

cdef class SlotTable:
    cdef readonly ThresholdTree tree
    cdef readonly double worst          # what free slots hold: -inf, or inf for orientation "min"
    cdef int64_t n                      # slots in use
    cdef int64_t n_free
    cdef int64_t n_released             # so far: who runs code of others asks whether slots are still whose they were
    cdef int bits                       # log2 of the number of places
    cdef object _table                  # ndarray (2^bits, 2): number and slot of each place, slot -1 where it is free
    cdef object _numbers                # ndarray (slots,): number of each slot
    cdef object _free                   # ndarray (slots,): the first n_free are free slots, the last one is next
    cdef int64_t *table
    cdef int64_t *numbers
    cdef int64_t *free

    cdef int64_t _home(self, int64_t number) noexcept nogil
    cdef void _ask_for(self, int64_t number) noexcept nogil
    cdef int64_t _first(self, int64_t number) noexcept nogil
    cdef int64_t _behind(self, int64_t number, int64_t place) noexcept nogil
    cdef int64_t _at_or_behind(self, int64_t number, int64_t place) noexcept nogil
    cdef int _set(self, int64_t slot, double x) except -1
    cdef int64_t _best(self, double *value) except -2
    cdef int64_t _take(self, int64_t number) noexcept
    cdef void _release(self, int64_t slot) noexcept
    cdef int _make_room(self, int64_t more) except -1
    cdef int _hold(self, int64_t n_slots) except -1
    cdef int _set_table(self, int bits) except -1
    cdef int _set_slots(self, numbers, free) except -1
