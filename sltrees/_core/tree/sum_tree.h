/* The wide tree of sums: layout, and one instance of its walks per instruction level. The walks are in sum_walks.h.
 *
 * Blocks of 8 nodes, fan-out 8, in the shape of shape.h. A leaf is a float64 number >= 0; a node of a level above has the
 * sum of a block and its least positive number, infinity where all are 0:
 *
 *      level 2   [ sums | least ]                            a block of sums, and beside it
 *      level 1   [ s0 ... s7 | l0 ... l7 ][ sums | least ]   the block of least positive numbers
 *      leaves    [ 8 values ][ 8 values ][ 8 values ] ...    the last block filled up with 0
 *
 * Where no node is in use, sums are 0 and the least number is infinity. Each node is computed from its block alone, so the
 * tree depends on the leaves alone and not on what they were before: rounding does not add up over updates.
 */
#ifndef SLTREES_SUM_TREE_H
#define SLTREES_SUM_TREE_H

#include "simd/simd.h"
#include "tree/shape.h"

#define SL_LEAST 8           /* from the sum of a node to its least positive number */
#define SL_SUM_BITS 3        /* log2 of the fan-out */
#define SL_SUM_AHEAD 16      /* how many writes ahead memory is asked for */
#ifndef SL_SUM_WHOLE
#define SL_SUM_WHOLE 2       /* more changes than a level has nodes / 2: all of it is recomputed, in order */
#endif
#ifndef SL_SUM_ABREAST
#define SL_SUM_ABREAST 32    /* numbers that go down side by side */
#endif

#if defined(__GNUC__) || defined(__clang__)
#define SL_PREFETCH_WRITE(p) __builtin_prefetch((p), 1, 3)
#else
#define SL_PREFETCH_WRITE(p) ((void)(p))
#endif

/* Where node i of level k >= 1 is. */
SL_INLINE int64_t sl_sum_at(const sl_shape *shape, int k, int64_t i)
{
    return 2 * shape->offset[k] + ((i >> 3) << 4) + (i & 7);
}

/* The values or sums of a block of a level. */
SL_INLINE const double *sl_sum_block(const sl_shape *shape, const double *leaves, const double *upper, int k,
                                     int64_t block)
{
    return k == 0 ? leaves + (block << 3) : upper + 2 * shape->offset[k] + (block << 4);
}

#define SL_KERNELS "tree/sum_walks.h"
#include "simd/each_instance.h"

typedef struct {
    void (*build)(const sl_shape *, const double *, double *);
    void (*update)(const sl_shape *, double *, double *, int64_t, double);
    void (*update_many)(const sl_shape *, double *, double *, const int64_t *, const double *, int64_t);
    double (*total)(const sl_shape *, const double *, const double *);
    double (*least)(const sl_shape *, const double *, const double *);
    void (*find)(const sl_shape *, const double *, const double *, const double *, int64_t, int64_t *);
    void (*prefix)(const sl_shape *, const double *, const double *, const int64_t *, int64_t, double *);
    int64_t (*draw)(const sl_shape *, double *, double *, const double *, int64_t, int64_t *, double *);
} sl_sum_kernels;

#define SL_SUM_KERNELS(isa)                                                                                            \
    {                                                                                                                  \
        sl_sum_build_f64_##isa, sl_sum_update_f64_##isa, sl_sum_update_many_f64_##isa, sl_sum_total_f64_##isa,         \
            sl_sum_least_f64_##isa, sl_sum_find_f64_##isa, sl_sum_prefix_f64_##isa, sl_sum_draw_f64_##isa              \
    },
SL_DISPATCH(sl_sum_kernels, sl_sum_kernels_at, SL_SUM_KERNELS)

#endif /* SLTREES_SUM_TREE_H */
