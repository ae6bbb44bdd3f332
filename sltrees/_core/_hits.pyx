"""The memory of query results: where a query writes, and the NumPy array made of it.

Faulting in fresh memory costs more than finding the hits of a large result, so the memory of the last large one is kept
for the next when its array dies: at most one block, of at most SPARE_BYTES. So is a small block, for results that are
copied out of it: it is not on the stack, for threads may have small ones.
"""

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from sltrees._core._tree cimport sl_hits, sl_hits_init

cnp.import_array()

cdef enum:
    COPY_LIMIT = 65536              # hits; up to here a copy costs less than handing over the buffer
    N_FIRST_HITS = 1024             # entries of a small block at first
    SPARE_FROM = 16384              # leaves; smaller queries fit a small block, or nearly
    SPARE_BYTES = 96 << 20

cdef struct block_t:
    int64_t *data
    int64_t capacity

cdef block_t _small = [NULL, 0]     # of at most SPARE_FROM entries; this and the next are guarded by the GIL
cdef block_t _spare = [NULL, 0]


cdef class _HeapBlock:
    """Owns the memory of a large result; the array over it keeps this object alive."""

    cdef int64_t *data
    cdef int64_t capacity

    def __dealloc__(self):
        _keep(self.data, self.capacity)


cdef void _keep(int64_t *data, int64_t capacity) noexcept:
    """Keep a block for the next query if it is larger than the one kept of its kind and not too large; else free it."""
    cdef block_t *kept = &_small if capacity <= SPARE_FROM else &_spare
    if capacity > kept.capacity and 8 * capacity <= SPARE_BYTES:
        data, kept.data = kept.data, data
        kept.capacity = capacity
    free(data)


cdef int hits_begin(sl_hits *hits, int64_t bound) except -1:
    """Prepare a growing buffer for at most `bound` hits: the large block kept if they may need it, else a small one.

    What follows must come to `hits_to_array` or `hits_end`, without an exception in between.
    """
    cdef block_t *kept = &_spare if bound > SPARE_FROM and _spare.data != NULL else &_small
    if kept.data == NULL:
        kept.data = <int64_t *> malloc(N_FIRST_HITS * sizeof(int64_t))
        if kept.data == NULL:
            raise MemoryError(f"no memory for {N_FIRST_HITS * sizeof(int64_t)} bytes of query results")
        kept.capacity = N_FIRST_HITS
    sl_hits_init(hits, kept.data, kept.capacity, False)
    kept.data = NULL
    kept.capacity = 0
    hits.bound = bound
    return 0


cdef void hits_end(sl_hits *hits) noexcept:
    """Give back the memory of a buffer."""
    _keep(hits.data, hits.capacity)


cdef object hits_to_array(sl_hits *hits):
    """The hits as an int64 array of their own. Keeps, frees or takes over the memory of the buffer.

    Cost: O(hits) for up to COPY_LIMIT hits, else O(1).
    """
    cdef cnp.npy_intp length = hits.length
    cdef cnp.ndarray array
    cdef _HeapBlock block
    if hits.out_of_memory:
        free(hits.data)
        raise MemoryError(f"no memory for {8 * hits.length} bytes of query results")
    if length <= COPY_LIMIT:
        try:
            array = cnp.PyArray_EMPTY(1, &length, cnp.NPY_INT64, 0)
            if length:
                memcpy(cnp.PyArray_DATA(array), hits.data, length * sizeof(int64_t))
        finally:
            hits_end(hits)
        return array
    # the unused tail stays with the block: pages that were never touched take no memory
    try:
        block = _HeapBlock.__new__(_HeapBlock)
    except MemoryError:
        hits_end(hits)
        raise
    block.data = hits.data
    block.capacity = hits.capacity
    array = cnp.PyArray_SimpleNewFromData(1, &length, cnp.NPY_INT64, block.data)
    cnp.set_array_base(array, block)
    return array
