"""Turn the hit buffer of a query into a NumPy array."""

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from sltrees._core._tree cimport sl_hits

cnp.import_array()

cdef enum:
    COPY_LIMIT = 65536      # hits; up to here a copy costs less than handing over the buffer


cdef class _HeapBlock:
    """Owns the memory of a large result; the array over it keeps this object alive."""

    cdef int64_t *data

    def __dealloc__(self):
        free(self.data)


cdef object hits_to_array(sl_hits *hits):
    """The hits as an int64 array of their own. Frees or takes over the heap memory of the buffer.

    Cost: O(hits) for up to COPY_LIMIT hits, else O(1).
    """
    cdef cnp.npy_intp length = hits.length
    cdef cnp.ndarray array
    cdef _HeapBlock block
    if hits.out_of_memory:
        free(hits.heap)
        hits.heap = NULL
        raise MemoryError(f"no memory for {8 * hits.length} bytes of query results")
    if hits.heap == NULL or length <= COPY_LIMIT:
        array = cnp.PyArray_EMPTY(1, &length, cnp.NPY_INT64, 0)
        if length:
            memcpy(cnp.PyArray_DATA(array), hits.data, length * sizeof(int64_t))
        free(hits.heap)
        hits.heap = NULL
        return array
    # the unused tail stays with the block: its pages were never touched, so they take no memory
    block = _HeapBlock.__new__(_HeapBlock)
    block.data = hits.heap
    hits.heap = NULL
    array = cnp.PyArray_SimpleNewFromData(1, &length, cnp.NPY_INT64, block.data)
    cnp.set_array_base(array, block)
    return array
