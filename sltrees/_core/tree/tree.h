/* A wide tree of either dtype behind one set of functions: shape, orientation and kernels, but not
 * the arrays, so that a bank of trees of one shape shares one sl_tree. This is the only place that
 * branches on the dtype.
 */
#ifndef SLTREES_TREE_H
#define SLTREES_TREE_H

#include "tree/wide_tree.h"

typedef struct {
    sl_shape shape;
    double sign;    /* +1 max-tree, -1 min-tree */
    int is_float32; /* else float64 */
    sl_kernels_f32 f32;
    sl_kernels_f64 f64;
} sl_tree;

SL_UNUSED static void sl_tree_init(sl_tree *tree, int64_t n_leaves, int64_t capacity, int is_float32, int min_tree,
                                   int simd_level)
{
    sl_shape_init(&tree->shape, n_leaves, capacity, is_float32 ? 4 : 3);
    tree->sign = min_tree ? -1.0 : 1.0;
    tree->is_float32 = is_float32;
    tree->f32 = sl_kernels_at_f32(simd_level);
    tree->f64 = sl_kernels_at_f64(simd_level);
}

SL_INLINE double sl_tree_leaf(const sl_tree *tree, const void *leaves, int64_t i)
{
    return tree->is_float32 ? (double)((const float *)leaves)[i] : ((const double *)leaves)[i];
}

/* All levels from the leaves, which are first copied from `source` unless that is NULL; returns whether a leaf is NaN (the
 * levels mean nothing then). */
SL_INLINE int sl_tree_build(const sl_tree *tree, void *leaves, void *upper, const void *source)
{
    return tree->is_float32 ? tree->f32.build(&tree->shape, (float *)leaves, (float *)upper, (float)tree->sign,
                                              (const float *)source)
                            : tree->f64.build(&tree->shape, (double *)leaves, (double *)upper, tree->sign,
                                              (const double *)source);
}

/* The levels above leaves [start, stop); returns whether a leaf there is NaN, and with `scratch` (room for one value per
 * block of the range) leaves the levels as they were in that case. */
SL_INLINE int sl_tree_repair(const sl_tree *tree, const void *leaves, void *upper, int64_t start, int64_t stop,
                             void *scratch)
{
    return tree->is_float32 ? tree->f32.repair(&tree->shape, (const float *)leaves, (float *)upper, start, stop,
                                               (float)tree->sign, (float *)scratch)
                            : tree->f64.repair(&tree->shape, (const double *)leaves, (double *)upper, start, stop,
                                               tree->sign, (double *)scratch);
}

SL_INLINE void sl_tree_update(const sl_tree *tree, void *leaves, void *upper, int64_t i, double value)
{
    if (tree->is_float32)
        tree->f32.update(&tree->shape, (float *)leaves, (float *)upper, i, (float)value, (float)tree->sign);
    else
        tree->f64.update(&tree->shape, (double *)leaves, (double *)upper, i, value, tree->sign);
}

/* `values` has the dtype of the leaves. */
SL_INLINE void sl_tree_update_many(const sl_tree *tree, void *leaves, void *upper, const int64_t *indices,
                                   const void *values, int64_t count)
{
    if (tree->is_float32)
        tree->f32.update_many(&tree->shape, (float *)leaves, (float *)upper, indices, (const float *)values, count,
                              (float)tree->sign);
    else
        tree->f64.update_many(&tree->shape, (double *)leaves, (double *)upper, indices, (const double *)values, count,
                              tree->sign);
}

/* The maximum (minimum of a min-tree) in its own sign; the worst value where the tree is empty. */
SL_INLINE double sl_tree_maximum(const sl_tree *tree, const void *leaves, const void *upper)
{
    return tree->sign * (tree->is_float32 ? (double)tree->f32.maximum(&tree->shape, (const float *)leaves,
                                                                      (const float *)upper, (float)tree->sign)
                                          : tree->f64.maximum(&tree->shape, (const double *)leaves,
                                                              (const double *)upper, tree->sign));
}

/* The same of leaves [start, stop). */
SL_INLINE double sl_tree_maximum_in(const sl_tree *tree, const void *leaves, const void *upper, int64_t start,
                                    int64_t stop)
{
    return tree->sign * (tree->is_float32
                             ? (double)tree->f32.maximum_in(&tree->shape, (const float *)leaves, (const float *)upper,
                                                            start, stop, (float)tree->sign)
                             : tree->f64.maximum_in(&tree->shape, (const double *)leaves, (const double *)upper, start,
                                                    stop, tree->sign));
}

SL_INLINE int64_t sl_tree_argmax(const sl_tree *tree, const void *leaves, const void *upper)
{
    return tree->is_float32
               ? tree->f32.argmax(&tree->shape, (const float *)leaves, (const float *)upper, (float)tree->sign)
               : tree->f64.argmax(&tree->shape, (const double *)leaves, (const double *)upper, tree->sign);
}

/* Thresholds come in the sign of the values: a max-tree reports value > t, a min-tree value < t. Comparisons are those of
 * real numbers: between float32 values and t there is no difference to the largest float32 that is not above t. */
SL_INLINE float sl_threshold_f32(const sl_tree *tree, double t)
{
    const double exact = tree->sign * t;
    union {
        float number;
        uint32_t bits; /* those of the next number towards zero are one less, away from zero one more */
    } below = {(float)exact};
    if ((double)below.number > exact)
        below.bits = below.number == 0 ? 0x80000001u : below.number > 0 ? below.bits - 1 : below.bits + 1;
    return below.number;
}

SL_INLINE int64_t sl_tree_first(const sl_tree *tree, const void *leaves, const void *upper, double t, int64_t start,
                                int64_t stop)
{
    return tree->is_float32 ? tree->f32.first(&tree->shape, (const float *)leaves, (const float *)upper,
                                              sl_threshold_f32(tree, t), start, stop, (float)tree->sign)
                            : tree->f64.first(&tree->shape, (const double *)leaves, (const double *)upper,
                                              tree->sign * t, start, stop, tree->sign);
}

/* The number in the dtype of the leaves that passes exactly the values that t does. */
SL_INLINE double sl_tree_limit(const sl_tree *tree, double t)
{
    return tree->is_float32 ? tree->sign * (double)sl_threshold_f32(tree, t) : t;
}

SL_INLINE int64_t sl_tree_query(const sl_tree *tree, const void *leaves, const void *upper, double t, int64_t start,
                                int64_t stop, sl_hits *hits)
{
    return tree->is_float32 ? tree->f32.query(&tree->shape, (const float *)leaves, (const float *)upper,
                                              sl_threshold_f32(tree, t), start, stop, (float)tree->sign, hits)
                            : tree->f64.query(&tree->shape, (const double *)leaves, (const double *)upper,
                                              tree->sign * t, start, stop, tree->sign, hits);
}

SL_INLINE int64_t sl_tree_count(const sl_tree *tree, const void *leaves, const void *upper, double t, int64_t start,
                                int64_t stop, int64_t *count)
{
    return tree->is_float32 ? tree->f32.count(&tree->shape, (const float *)leaves, (const float *)upper,
                                              sl_threshold_f32(tree, t), start, stop, (float)tree->sign, count)
                            : tree->f64.count(&tree->shape, (const double *)leaves, (const double *)upper,
                                              tree->sign * t, start, stop, tree->sign, count);
}

#endif /* SLTREES_TREE_H */
