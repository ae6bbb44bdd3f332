"""The memory of query results: where a query writes, and the NumPy array made of it.

Faulting in fresh memory costs more than finding the hits of a large result, so the memory of the last large one is kept
for the next when its array dies: at most one block, of at most SPARE_BYTES.
"""

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from sltrees._core._tree cimport sl_hits, sl_hits_init

cnp.import_array()

cdef enum:
    COPY_LIMIT = 65536              # hits; up to here a copy costs less than handing over the buffer
    SPARE_FROM = 16384              # leaves; smaller queries fit the stack, or nearly
    SPARE_BYTES = 96 << 20

cdef int64_t *_spare = NULL         # guarded by the GIL
cdef int64_t _spare_capacity = 0


cdef class _HeapBlock:
    """Owns the memory of a large result; the array over it keeps this object alive."""

    cdef int64_t *data
    cdef int64_t capacity

    def __dealloc__(self):
        _keep(self.data, self.capacity)


cdef void _keep(int64_t *data, int64_t capacity) noexcept:
    """Keep a block for the next query if it is larger than the one kept and not too large; else free it."""
    global _spare, _spare_capacity
    if data == NULL:
        return
    if 8 * capacity <= SPARE_BYTES and capacity > _spare_capacity:
        data, _spare = _spare, data
        _spare_capacity = capacity
    free(data)


cdef void hits_begin(sl_hits *hits, int64_t *local, int64_t n_local, int64_t bound):
    """Prepare a growing buffer for at most `bound` hits: the block kept, if the query may need it, else `local`."""
    global _spare, _spare_capacity
    if bound > SPARE_FROM and _spare != NULL:
        sl_hits_init(hits, _spare, _spare_capacity, False)
        hits.heap = _spare
        _spare = NULL
        _spare_capacity = 0
    else:
        sl_hits_init(hits, local, n_local, False)
    hits.bound = bound


cdef object hits_to_array(sl_hits *hits):
    """The hits as an int64 array of their own. Keeps, frees or takes over the heap memory of the buffer.

    Cost: O(hits) for up to COPY_LIMIT hits, else O(1).
    """
    cdef cnp.npy_intp length = hits.length
    cdef cnp.ndarray array
    cdef _HeapBlock block
    cdef int64_t *heap = hits.heap
    hits.heap = NULL
    if hits.out_of_memory:
        free(heap)
        raise MemoryError(f"no memory for {8 * hits.length} bytes of query results")
    if heap == NULL or length <= COPY_LIMIT:
        try:
            array = cnp.PyArray_EMPTY(1, &length, cnp.NPY_INT64, 0)
            if length:
                memcpy(cnp.PyArray_DATA(array), hits.data, length * sizeof(int64_t))
        finally:
            _keep(heap, hits.capacity)
        return array
    # the unused tail stays with the block: pages that were never touched take no memory
    block = _HeapBlock.__new__(_HeapBlock)
    block.data = heap
    block.capacity = hits.capacity
    array = cnp.PyArray_SimpleNewFromData(1, &length, cnp.NPY_INT64, block.data)
    cnp.set_array_base(array, block)
    return array
