/* The wide implicit max-tree: its shape, its hit buffer, and one instance of its walks per
 * (instruction level, dtype). The walks themselves are in walks.h and queries.h.
 *
 * Layout, for blocks of W nodes (W = 16 floats or 8 doubles: one cache line):
 *
 *      level 2        [ . . ]                       one node per block of level 1
 *      level 1   [ m0 m1 ... mW-1 ][ ... ]          one node per block of leaves
 *      leaves    [ W values ][ W values ][ ... ]    the array itself
 *
 *      parent of node i at level k:    node i / W at level k + 1
 *      children of node i at level k:  nodes i W .. i W + W - 1 at level k - 1
 *
 * Levels stop at the first one that fits in a single block. No pointers, no node objects. The levels above the
 * leaves lie one after the other in one array, `upper`, each padded with -inf to whole blocks. They
 * hold sign * value, so that every level above the leaves is a plain max-tree for both orientations.
 * The leaves need no padding: the last block may be cut short, so a caller's own array can be the leaves.
 */
#ifndef SLTREES_WIDE_TREE_H
#define SLTREES_WIDE_TREE_H

#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "simd/simd.h"
#include "tree/shape.h"

#define SL_MAX_WIDTH 16
#define SL_LISTED 1024 /* live nodes held during a query, on all levels: 4 KiB, as threads may have small stacks */
#define SL_CACHED_LEAVES ((int64_t)1 << 22) /* beyond, blocks at random places cost far more than blocks in a row */
#define SL_COPY_BLOCKS ((int64_t)1024) /* blocks copied before their maxima are taken: 64 KiB */
#define SL_LARGE_HITS (1 << 20) /* below, the allocator reuses memory that was touched before */
#define SL_HUGE_PAGE ((size_t)1 << 21)
#define SL_DENSE_LEAVES 4096 /* a scan of more leaves than this asks for room for all of them at once */

/* Measured: `asv_benchmarks/compare/trees.py --tune` prints the tables, from builds that define other values. */
#ifndef SL_PREFETCH_AHEAD
#define SL_PREFETCH_AHEAD 32
#endif
#ifndef SL_PREFETCH_FAR_AHEAD
#define SL_PREFETCH_FAR_AHEAD 128 /* the same of blocks that come from memory itself */
#endif
#ifndef SL_REBUILD_SHARE
#define SL_REBUILD_SHARE 64 /* a batch of more than n / 64 updates rebuilds all levels */
#endif

#define SL_FEW_LIVE 24 /* up to this share of live nodes, in 1/256, a mask of 64 has at most 8 as a rule */
#define SL_AHEAD(far) ((far) ? SL_PREFETCH_FAR_AHEAD : SL_PREFETCH_AHEAD)

/* ------------------------------------------------------------------ hits */

/* Where a query writes. A growing buffer is memory of malloc, owned by the caller, and moves when it is full; a fixed one
 * keeps counting but stops writing. */
typedef struct {
    int64_t *data;
    int64_t length;   /* hits found; in a fixed buffer it may exceed capacity */
    int64_t capacity; /* entries that may be written */
    int64_t bound;    /* the most hits there can be */
    int fixed;
    int out_of_memory;
} sl_hits;

SL_UNUSED static void sl_hits_init(sl_hits *hits, int64_t *data, int64_t capacity, int fixed)
{
    hits->data = data;
    hits->length = 0;
    hits->capacity = capacity;
    hits->bound = INT64_MAX;
    hits->fixed = fixed;
    hits->out_of_memory = 0;
}

/* Memory for a large result, of which only the pages written to are ever backed: in huge pages where the system has
 * them, since faulting in small ones costs more than the query. */
SL_UNUSED static int64_t *sl_large_alloc(int64_t entries)
{
#ifdef __linux__
    void *data = NULL;
    const size_t bytes = (size_t)entries * sizeof(int64_t);
    if (posix_memalign(&data, SL_HUGE_PAGE, bytes) != 0)
        return NULL;
    madvise(data, bytes, MADV_HUGEPAGE); /* advice: nothing is lost where it is not taken */
    return (int64_t *)data;
#else
    (void)entries;
    return NULL;
#endif
}

/* Move to a buffer with room for `count` more: by a factor of 4, so that moves are rare, and from SL_LARGE_HITS on
 * once for all that can come. */
SL_NOINLINE SL_UNUSED static int sl_hits_grow(sl_hits *hits, int64_t count)
{
    int64_t capacity = 4 * hits->capacity, *data;
    if (hits->fixed || hits->out_of_memory)
        return 0;
    if (capacity < hits->length + count)
        capacity = hits->length + count;
    if (capacity >= SL_LARGE_HITS && hits->bound < INT64_MAX && (data = sl_large_alloc(hits->bound))) {
        memcpy(data, hits->data, (size_t)hits->length * sizeof(int64_t));
        free(hits->data);
        hits->data = data;
        hits->capacity = hits->bound;
        return 1;
    }
    data = (int64_t *)realloc(hits->data, (size_t)capacity * sizeof(int64_t));
    if (!data) {
        hits->out_of_memory = 1;
        return 0;
    }
    hits->data = data;
    hits->capacity = capacity;
    return 1;
}

/* Before a scan that may find most of `count` leaves: room for all at once, where that is more than a little. Failure is no
 * error: the buffer then grows as it fills. */
SL_UNUSED static void sl_hits_expect(sl_hits *hits, int64_t count)
{
    if (hits->fixed || hits->out_of_memory || count <= SL_DENSE_LEAVES || hits->length + count <= hits->capacity)
        return;
    if (!sl_hits_grow(hits, count))
        hits->out_of_memory = 0;
}

/* Make room for `count` more entries. Returns 0 where there is none: a full fixed buffer, or no memory. */
SL_INLINE int sl_hits_reserve(sl_hits *hits, int64_t count)
{
    return SL_LIKELY(hits->length + count <= hits->capacity) || sl_hits_grow(hits, count);
}

/* ------------------------------------------------------------------ instances */

#define SL_KERNELS "tree/walks.h"
#include "simd/each_instance.h"

/* The walks of one dtype at one instruction level; see walks.h for what each does. */
#define SL_DECLARE_KERNELS(name, real)                                                                                  \
    typedef struct {                                                                                                    \
        int (*build)(const sl_shape *, real *, real *, real, const real *);                                             \
        int (*repair)(const sl_shape *, const real *, real *, int64_t, int64_t, real, real *);                          \
        void (*update)(const sl_shape *, real *, real *, int64_t, real, real);                                          \
        void (*update_many)(const sl_shape *, real *, real *, const int64_t *, const real *, int64_t, real);            \
        real (*maximum)(const sl_shape *, const real *, const real *, real);                                            \
        real (*maximum_in)(const sl_shape *, const real *, const real *, int64_t, int64_t, real);                       \
        int64_t (*first)(const sl_shape *, const real *, const real *, real, int64_t, int64_t, real);                   \
        int64_t (*argmax)(const sl_shape *, const real *, const real *, real);                                          \
        int64_t (*query)(const sl_shape *, const real *, const real *, real, int64_t, int64_t, real, sl_hits *);        \
        int64_t (*count)(const sl_shape *, const real *, const real *, real, int64_t, int64_t, real, int64_t *);        \
    } name;
SL_DECLARE_KERNELS(sl_kernels_f32, float)
SL_DECLARE_KERNELS(sl_kernels_f64, double)

#define SL_KERNEL_TABLE(dtype, isa)                                                                                     \
    {                                                                                                                   \
        sl_build_##dtype##_##isa, sl_repair_##dtype##_##isa, sl_update_##dtype##_##isa,                                 \
            sl_update_many_##dtype##_##isa, sl_maximum_##dtype##_##isa, sl_maximum_in_##dtype##_##isa,                  \
            sl_first_##dtype##_##isa, sl_argmax_##dtype##_##isa, sl_query_##dtype##_##isa, sl_count_##dtype##_##isa     \
    },
#define SL_KERNELS_f32(isa) SL_KERNEL_TABLE(f32, isa)
#define SL_KERNELS_f64(isa) SL_KERNEL_TABLE(f64, isa)
SL_DISPATCH(sl_kernels_f32, sl_kernels_at_f32, SL_KERNELS_f32)
SL_DISPATCH(sl_kernels_f64, sl_kernels_at_f64, SL_KERNELS_f64)

#endif /* SLTREES_WIDE_TREE_H */
