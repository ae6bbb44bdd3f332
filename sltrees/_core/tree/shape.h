/* The shape of a wide implicit tree: how many nodes each level has, and where it lies. What nodes hold is not its matter.
 *
 * Blocks of W = 2^width_bits nodes. The parent of node i of a level is node i / W of the level above; levels stop at the
 * first one that fits in a single block. The levels above the leaves lie one after the other in one array, each padded
 * to whole blocks.
 */
#ifndef SLTREES_SHAPE_H
#define SLTREES_SHAPE_H

#include <string.h>

#include "simd/levels.h"

#define SL_MAX_LEVELS 20 /* 8^20 leaves: more than an address space */

typedef struct {
    int64_t size[SL_MAX_LEVELS];   /* nodes in use at level k; size[0] = number of leaves */
    int64_t offset[SL_MAX_LEVELS]; /* where level k >= 1 starts in the array of upper levels */
    int64_t n_upper;               /* nodes in that array, padding included */
    int64_t capacity;              /* leaves that it has room for */
    int n_levels;                  /* levels above the leaves in use */
    int width_bits;                /* log2 W */
} sl_shape;

/* Set the number of leaves, at most the capacity: levels in use and their sizes. Cost: O(log n). */
SL_UNUSED static void sl_shape_resize(sl_shape *shape, int64_t n_leaves)
{
    const int64_t width = (int64_t)1 << shape->width_bits;
    int64_t size = n_leaves;
    int k = 0;
    shape->size[0] = n_leaves;
    while (size > width) {
        size = (size + width - 1) >> shape->width_bits;
        shape->size[++k] = size;
    }
    shape->n_levels = k;
}

/* Place the levels for up to `capacity` leaves. Cost: O(log n). */
SL_UNUSED static void sl_shape_init(sl_shape *shape, int64_t n_leaves, int64_t capacity, int width_bits)
{
    const int64_t width = (int64_t)1 << width_bits;
    int64_t size = capacity, at = 0;
    int k = 0;
    memset(shape, 0, sizeof *shape);
    shape->width_bits = width_bits;
    shape->capacity = capacity;
    while (size > width) {
        size = (size + width - 1) >> width_bits;
        shape->offset[++k] = at;
        at += (size + width - 1) & ~(width - 1);
    }
    shape->n_upper = at;
    sl_shape_resize(shape, n_leaves);
}

#endif /* SLTREES_SHAPE_H */
