/* Walks over a wide max-tree, for one instruction level and dtype: see simd/each_instance.h, by which wide_tree.h
 * includes this file. No include guard.
 *
 * Conventions: `leaves` raw values; `upper` the levels above, holding sign * value; `t` is compared with sign * value;
 * 0 <= start <= stop <= n_leaves; values are not NaN. Nothing here allocates but a growing hit buffer.
 */

/* -------------------------------------------------------------- one block */

/* Block `block` of the leaves, the last one perhaps cut short: completed with the worst value in `padded`. */
SL_TARGET SL_INLINE const SL_REAL *SL_FN(leaf_block)(const SL_REAL *leaves, int64_t n, int64_t block, SL_REAL sign,
                                                     SL_REAL *padded)
{
    const int64_t begin = block << SL_BITS;
    if (SL_LIKELY(begin + SL_W <= n))
        return leaves + begin;
    for (int64_t j = 0; j < SL_W; ++j)
        padded[j] = begin + j < n ? leaves[begin + j] : -sign * (SL_REAL)INFINITY;
    return padded;
}

SL_TARGET SL_INLINE uint32_t SL_FN(leaf_mask)(const SL_REAL *leaves, int64_t n, int64_t block, SL_REAL t, SL_REAL sign)
{
    SL_REAL padded[SL_MAX_WIDTH];
    return SL_FN(block_mask)(SL_FN(leaf_block)(leaves, n, block, sign, padded), t, sign);
}

SL_TARGET SL_INLINE SL_REAL SL_FN(leaf_max)(const SL_REAL *leaves, int64_t n, int64_t block, SL_REAL sign)
{
    SL_REAL padded[SL_MAX_WIDTH];
    return SL_FN(block_max)(SL_FN(leaf_block)(leaves, n, block, sign, padded), sign);
}

/* Bits of the children of `block` that lie in [lo, hi]. */
SL_TARGET SL_INLINE uint32_t SL_FN(range_mask)(int64_t block, int64_t lo, int64_t hi)
{
    const int64_t begin = block << SL_BITS;
    uint32_t mask = (uint32_t)((1u << SL_W) - 1u);
    if (SL_UNLIKELY(begin < lo))
        mask &= ~(uint32_t)0 << (lo - begin);
    if (SL_UNLIKELY(begin + SL_W - 1 > hi))
        mask &= ~(uint32_t)0 >> (31 - (hi - begin));
    return mask;
}

/* -------------------------------------------------------------- build and update */

/* Recompute the nodes of levels first_level, first_level + 1, ... above leaves [start, stop), bottom up.
 * Cost: O((stop - start) / W + log n). */
SL_TARGET SL_INLINE void SL_FN(repair_from)(const sl_shape *shape, SL_REAL *upper, int first_level, int64_t start,
                                            int64_t stop)
{
    for (int k = first_level; k <= shape->n_levels; ++k) {
        const SL_REAL *child = upper + shape->offset[k - 1];
        SL_REAL *node = upper + shape->offset[k];
        int64_t i = start >> (k * SL_BITS), end = ((stop - 1) >> (k * SL_BITS)) + 1;
        for (; i + SL_W <= end; i += SL_W)
            SL_FN(block_maxima)(child + (i << SL_BITS), (SL_REAL)1, node + i);
        for (; i < end; ++i)
            node[i] = SL_FN(block_max)(child + (i << SL_BITS), (SL_REAL)1);
    }
}

/* The nodes of level 1 above leaves [start, stop), into node[start / W], ...; returns whether a leaf among them (or in the
 * first or last block, partly outside) is NaN. */
SL_TARGET SL_INLINE int SL_FN(first_level)(const sl_shape *shape, const SL_REAL *leaves, SL_REAL *node, int64_t start,
                                           int64_t stop, SL_REAL sign)
{
    const int64_t n = shape->size[0], end = ((stop - 1) >> SL_BITS) + 1, whole = end < n >> SL_BITS ? end : n >> SL_BITS;
    int64_t i = start >> SL_BITS;
    int bad = 0;
    for (; i + SL_W <= whole; i += SL_W)
        bad |= SL_FN(block_maxima)(leaves + (i << SL_BITS), sign, node + i);
    for (; i < end; ++i) {
        const int64_t begin = i << SL_BITS, past = begin + SL_W < n ? begin + SL_W : n;
        for (int64_t j = begin; j < past; ++j)
            bad |= leaves[j] != leaves[j];
        node[i] = SL_FN(leaf_max)(leaves, n, i, sign);
    }
    return bad;
}

/* Recompute all nodes above leaves [start, stop). Returns whether a leaf there is NaN; then, if there is `scratch` (room for
 * the nodes of level 1 in the range), no node was changed. Cost: O(stop - start + log n). */
SL_TARGET SL_UNUSED static int SL_FN(repair)(const sl_shape *shape, const SL_REAL *leaves, SL_REAL *upper, int64_t start,
                                             int64_t stop, SL_REAL sign, SL_REAL *scratch)
{
    const int64_t first = start >> SL_BITS;
    SL_REAL one_block[SL_MAX_WIDTH], *node = upper + shape->offset[1];
    if (start >= stop)
        return 0;
    if (shape->n_levels == 0)
        return SL_FN(first_level)(shape, leaves, one_block - first, start, stop, sign);
    if (SL_FN(first_level)(shape, leaves, scratch ? scratch - first : node, start, stop, sign))
        return 1;
    if (scratch)
        memcpy(node + first, scratch, (size_t)(((stop - 1) >> SL_BITS) + 1 - first) * sizeof(SL_REAL));
    SL_FN(repair_from)(shape, upper, 2, start, stop);
    return 0;
}

/* All levels from the leaves, padding included; returns whether a leaf is NaN. With `source` the leaves are first copied from
 * there, a chunk at a time so that each is still in cache when its maxima are taken. Cost: O(n). */
SL_TARGET SL_UNUSED static int SL_FN(build)(const sl_shape *shape, SL_REAL *leaves, SL_REAL *upper, SL_REAL sign,
                                            const SL_REAL *source)
{
    const int64_t n = shape->size[0], chunk = SL_COPY_BLOCKS << SL_BITS;
    int bad = 0;
    for (int k = 1; k <= shape->n_levels; ++k) {
        const int64_t padded = (shape->size[k] + SL_W - 1) & ~(SL_W - 1);
        for (int64_t i = shape->size[k]; i < padded; ++i)
            upper[shape->offset[k] + i] = -(SL_REAL)INFINITY;
    }
    if (!source || shape->n_levels == 0) {
        if (source && n)
            memcpy(leaves, source, (size_t)n * sizeof(SL_REAL));
        return SL_FN(repair)(shape, leaves, upper, 0, n, sign, NULL);
    }
    for (int64_t start = 0; start < n; start += chunk) {
        const int64_t stop = n - start > chunk ? start + chunk : n;
        memcpy(leaves + start, source + start, (size_t)(stop - start) * sizeof(SL_REAL));
        bad |= SL_FN(first_level)(shape, leaves, upper + shape->offset[1], start, stop, sign);
    }
    SL_FN(repair_from)(shape, upper, 2, 0, n);
    return bad;
}

/* Write one leaf and repair its ancestors. A guard decides whether a block maximum can have changed before any
 * reduction: it can only if the new value beats it, or the old value was it. Stops at the first
 * level that does not change. Cost: O(W log n) at worst, one compare as a rule. */
SL_TARGET SL_INLINE void SL_FN(update_inline)(const sl_shape *shape, SL_REAL *leaves, SL_REAL *upper, int64_t i,
                                              SL_REAL value, SL_REAL sign)
{
    SL_REAL before = sign * leaves[i], after = sign * value;
    leaves[i] = value;
    for (int k = 1; k <= shape->n_levels; ++k) {
        SL_REAL *node = upper + shape->offset[k];
        int64_t parent = i >> SL_BITS;
        const SL_REAL best = node[parent];
        if (after > best) {
            node[parent] = after;
        } else if (before == best && after < best) {
            const SL_REAL now = k == 1 ? SL_FN(leaf_max)(leaves, shape->size[0], parent, sign)
                                       : SL_FN(block_max)(upper + shape->offset[k - 1] + (parent << SL_BITS), (SL_REAL)1);
            if (now == best)
                return;
            node[parent] = after = now;
        } else {
            return;
        }
        before = best;
        i = parent;
    }
}

SL_TARGET SL_UNUSED static void SL_FN(update)(const sl_shape *shape, SL_REAL *leaves, SL_REAL *upper, int64_t i,
                                              SL_REAL value, SL_REAL sign)
{
    SL_FN(update_inline)(shape, leaves, upper, i, value, sign);
}

/* Write many leaves (of equal indices the last wins) and repair: one by one, or, where that would cost more than
 * recomputing every node, all levels at once. Cost: O(count) guarded updates or O(count + n / W). */
SL_TARGET SL_UNUSED static void SL_FN(update_many)(const sl_shape *shape, SL_REAL *leaves, SL_REAL *upper,
                                                   const int64_t *indices, const SL_REAL *values, int64_t count,
                                                   SL_REAL sign)
{
    if (count >= shape->size[0] / SL_REBUILD_SHARE) {
        for (int64_t j = 0; j < count; ++j)
            leaves[indices[j]] = values[j];
        SL_FN(repair)(shape, leaves, upper, 0, shape->size[0], sign, NULL);
        return;
    }
    for (int64_t j = 0; j < count; ++j) {
        if (j + SL_PREFETCH_AHEAD < count) {
            const int64_t ahead = indices[j + SL_PREFETCH_AHEAD];
            SL_PREFETCH(leaves + ahead);
            SL_PREFETCH(upper + (ahead >> SL_BITS));
        }
        SL_FN(update_inline)(shape, leaves, upper, indices[j], values[j], sign);
    }
}

/* -------------------------------------------------------------- maximum and first */

/* The largest sign * value, -inf where there is no leaf. Cost: O(W). */
SL_TARGET SL_UNUSED static SL_REAL SL_FN(maximum)(const sl_shape *shape, const SL_REAL *leaves, const SL_REAL *upper,
                                                  SL_REAL sign)
{
    const int top = shape->n_levels;
    return top == 0 ? SL_FN(leaf_max)(leaves, shape->size[0], 0, sign)
                    : SL_FN(block_max)(upper + shape->offset[top], (SL_REAL)1);
}

/* The largest sign * value in [start, stop), -inf where there is none. On each level the nodes up to whole blocks are looked
 * at one by one, and the blocks in between left to the level above. Cost: O(W log n). */
SL_TARGET SL_UNUSED static SL_REAL SL_FN(maximum_in)(const sl_shape *shape, const SL_REAL *leaves, const SL_REAL *upper,
                                                     int64_t start, int64_t stop, SL_REAL sign)
{
    SL_REAL best = -(SL_REAL)INFINITY;
    for (int k = 0; start < stop; ++k) {
        const SL_REAL *level = k == 0 ? leaves : upper + shape->offset[k], by = k == 0 ? sign : (SL_REAL)1;
        const int64_t first = (start + SL_W - 1) >> SL_BITS, past = stop >> SL_BITS; /* blocks wholly inside */
        const int none = k == shape->n_levels || first >= past;
        const int64_t end = none ? stop : first << SL_BITS;
        for (int64_t i = start; i < end; ++i)
            best = by * level[i] > best ? by * level[i] : best;
        if (none)
            break;
        for (int64_t i = past << SL_BITS; i < stop; ++i)
            best = by * level[i] > best ? by * level[i] : best;
        start = first;
        stop = past;
    }
    return best;
}

/* Lowest index in [start, stop) with sign * value > t, or -1. Climbs from `start` until a block to its right has a
 * hit, then descends to the first. Cost: O(log n) blocks. */
SL_TARGET SL_UNUSED static int64_t SL_FN(first)(const sl_shape *shape, const SL_REAL *leaves, const SL_REAL *upper,
                                                SL_REAL t, int64_t start, int64_t stop, SL_REAL sign)
{
    int64_t i = start; /* the leftmost node of level k not yet ruled out */
    int k = 0;
    if (start >= stop)
        return -1;
    for (;;) {
        const int64_t block = i >> SL_BITS;
        uint32_t mask;
        if (i >= shape->size[k])
            return -1;
        mask = k == 0 ? SL_FN(leaf_mask)(leaves, shape->size[0], block, t, sign)
                      : SL_FN(block_mask)(upper + shape->offset[k] + (block << SL_BITS), t, (SL_REAL)1);
        mask &= ~(uint32_t)0 << (i & (SL_W - 1));
        if (mask) {
            i = (block << SL_BITS) + SL_COUNT_TRAILING_ZEROS(mask);
            break;
        }
        if (k == shape->n_levels)
            return -1;
        i = block + 1;
        ++k;
    }
    while (k > 0) {
        --k;
        const uint32_t mask = k == 0 ? SL_FN(leaf_mask)(leaves, shape->size[0], i, t, sign)
                                     : SL_FN(block_mask)(upper + shape->offset[k] + (i << SL_BITS), t, (SL_REAL)1);
        if (SL_UNLIKELY(mask == 0)) /* only if somebody wrote to borrowed leaves without a refresh */
            return -1;
        i = (i << SL_BITS) + SL_COUNT_TRAILING_ZEROS(mask);
    }
    return i < stop ? i : -1;
}

/* Lowest index of the maximum; assumes at least one leaf. Cost: O(W log n). */
SL_TARGET SL_UNUSED static int64_t SL_FN(argmax)(const sl_shape *shape, const SL_REAL *leaves, const SL_REAL *upper,
                                                 SL_REAL sign)
{
    const SL_REAL best = SL_FN(maximum)(shape, leaves, upper, sign);
    int64_t i = 0;
    for (int k = shape->n_levels; k >= 0; --k) {
        /* the block has the maximum, unless somebody wrote to borrowed leaves without a refresh: then stay inside it */
        const int64_t past = (i + 1) << SL_BITS, last = (past < shape->size[k] ? past : shape->size[k]) - 1;
        int64_t j = i << SL_BITS;
        while (j < last && (k == 0 ? sign * leaves[j] : upper[shape->offset[k] + j]) != best)
            ++j;
        i = j;
    }
    return i;
}

#include "tree/queries.h"
