# The only place that spells C types, and which to use for what.
from libc.stdint cimport int32_t, int64_t

ctypedef int64_t index_t      # to index and to count: leaves, rows, hits (what numpy calls intp on 64-bit machines)
ctypedef int32_t column_t     # to store column numbers and integer Gram counts, where memory matters

ctypedef fused real_t:        # the dtypes of a tree and of a network
    float
    double
