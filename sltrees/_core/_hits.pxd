# See _hits.pyx.
from sltrees._core._tree cimport sl_hits

cdef object hits_to_array(sl_hits *hits)
