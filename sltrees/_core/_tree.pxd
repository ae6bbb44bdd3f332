# C interface of the wide tree: see tree/tree.h, tree/wide_tree.h (layout) and tree/walks.h (walks).
from libc.stdint cimport int64_t

cdef extern from "tree/tree.h" nogil:
    ctypedef struct sl_shape:
        int64_t *size           # nodes in use at each level; size[0] = number of leaves
        int64_t *offset         # start of level k >= 1 in the array of upper levels
        int64_t n_upper         # entries of the upper levels, padding included
        int64_t capacity        # leaves that the upper levels have room for
        int n_levels            # levels above the leaves
        int width_bits          # log2 of the block width

    ctypedef struct sl_tree:
        sl_shape shape
        double sign             # +1 max-tree, -1 min-tree
        int is_float32

    ctypedef struct sl_hits:
        int64_t *data           # ascending indices
        int64_t length          # hits found; in a fixed buffer it may exceed capacity
        int64_t capacity
        int64_t bound           # the most hits there can be
        int fixed               # at `capacity`, hits are counted and no longer written
        int out_of_memory

    void sl_shape_resize(sl_shape *shape, int64_t n_leaves)
    void sl_hits_init(sl_hits *hits, int64_t *data, int64_t capacity, int fixed)

    void sl_tree_init(sl_tree *tree, int64_t n_leaves, int64_t capacity, int is_float32, int min_tree, int simd_level)
    double sl_tree_leaf(const sl_tree *tree, const void *leaves, int64_t i)
    int sl_tree_build(const sl_tree *tree, void *leaves, void *upper, const void *source)
    int sl_tree_repair(const sl_tree *tree, const void *leaves, void *upper, int64_t start, int64_t stop, void *scratch)
    void sl_tree_update(const sl_tree *tree, void *leaves, void *upper, int64_t i, double value)
    void sl_tree_update_many(const sl_tree *tree, void *leaves, void *upper, const int64_t *indices,
                             const void *values, int64_t count)
    double sl_tree_maximum(const sl_tree *tree, const void *leaves, const void *upper)
    double sl_tree_maximum_in(const sl_tree *tree, const void *leaves, const void *upper, int64_t start, int64_t stop)
    double sl_tree_limit(const sl_tree *tree, double t)
    int64_t sl_tree_argmax(const sl_tree *tree, const void *leaves, const void *upper)
    int64_t sl_tree_first(const sl_tree *tree, const void *leaves, const void *upper, double t, int64_t start,
                          int64_t stop)
    int64_t sl_tree_query(const sl_tree *tree, const void *leaves, const void *upper, double t, int64_t start,
                          int64_t stop, sl_hits *hits)
    int64_t sl_tree_count(const sl_tree *tree, const void *leaves, const void *upper, double t, int64_t start,
                          int64_t stop, int64_t *count)
