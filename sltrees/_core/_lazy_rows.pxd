# See _lazy_rows.pyx.
from sltrees._core._row_store cimport RowStore
from sltrees._core._rows cimport sl_lazy_kernels
from sltrees._core._threshold_tree cimport ThresholdTree

cdef class LazyRows(RowStore):
    cdef sl_lazy_kernels kernels
    cdef readonly ThresholdTree failure_times   # (n_rows,) min-tree: the clock's reading at which a certificate ends
