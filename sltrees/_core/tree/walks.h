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

/* -------------------------------------------------------------- query */

/* Share of live nodes at level k in [lo, hi], in 1/256, from at most 64 evenly spaced blocks. */
SL_TARGET SL_INLINE int64_t SL_FN(live_share)(const SL_REAL *level, int64_t lo, int64_t hi, SL_REAL t)
{
    const int64_t first = lo >> SL_BITS, last = hi >> SL_BITS, step = (last - first) / 64 + 1;
    int64_t live = 0, seen = 0;
    for (int64_t block = first; block <= last; block += step) {
        const uint32_t range = SL_FN(range_mask)(block, lo, hi);
        live += SL_POPCOUNT(SL_FN(block_mask)(level + (block << SL_BITS), t, (SL_REAL)1) & range);
        seen += SL_POPCOUNT(range);
    }
    return live * 256 / seen;
}

/* The level at which a query should enter: the highest one where fewer than half of the nodes are live (a quarter, above
 * leaves that outgrow the caches). Above it the walk would visit nearly every node, and scanning a level costs 1/W of
 * scanning the one below. Level 0 is a scan of the leaves. The shares are from asv_benchmarks/compare/trees.py --tune. */
SL_TARGET SL_INLINE int SL_FN(entry_level)(const sl_shape *shape, const SL_REAL *upper, SL_REAL t, int64_t start,
                                           int64_t stop)
{
    int k = shape->n_levels;
    for (; k > 0; --k) {
        const int64_t limit = k == 1 && stop - start > SL_CACHED_LEAVES ? 64 : 128;
        if (SL_FN(live_share)(upper + shape->offset[k], start >> (k * SL_BITS), (stop - 1) >> (k * SL_BITS), t) < limit)
            break;
    }
    return k;
}

/* Whether leaf blocks first .. last lie wholly inside [lo, hi] and the array: then no block needs to be cut. */
SL_TARGET SL_INLINE int SL_FN(is_interior)(int64_t n, int64_t first, int64_t last, int64_t lo, int64_t hi)
{
    return first << SL_BITS >= lo && ((last + 1) << SL_BITS) - 1 <= hi && (last + 1) << SL_BITS <= n;
}

/* Bits of the leaves of a block that pass; `interior` is a constant where this is inlined. */
SL_TARGET SL_INLINE uint32_t SL_FN(passing)(const SL_REAL *leaves, int64_t n, int64_t block, SL_REAL t, int64_t lo,
                                            int64_t hi, SL_REAL sign, int interior)
{
    return interior ? SL_FN(block_mask)(leaves + (block << SL_BITS), t, sign)
                    : SL_FN(leaf_mask)(leaves, n, block, t, sign) & SL_FN(range_mask)(block, lo, hi);
}

/* Offsets from `base` of the passing leaves of blocks first .. stop - 1; returns how many. */
SL_TARGET SL_INLINE int64_t SL_FN(scan_chunk)(const SL_REAL *leaves, int64_t n, int64_t first, int64_t stop, SL_REAL t,
                                              int64_t lo, int64_t hi, SL_REAL sign, int32_t *offset, int interior)
{
    const int64_t base = first << SL_BITS;
    int64_t found = 0;
    for (; first < stop; ++first)
        found += SL_COMPRESS(offset + found, (int32_t)((first << SL_BITS) - base),
                             SL_FN(passing)(leaves, n, first, t, lo, hi, sign, interior));
    return found;
}

/* Append to `hits` the passing leaves of `n_blocks` blocks from `first` on. The blocks are scanned a chunk at a time into
 * 32-bit offsets (`offset` has room for SL_LISTED), without a branch on what is found, and the offsets widened to indices
 * afterwards. */
SL_TARGET SL_INLINE void SL_FN(scan_leaves)(const sl_shape *shape, const SL_REAL *leaves, int64_t first, int64_t n_blocks,
                                            SL_REAL t, int64_t lo, int64_t hi, SL_REAL sign, int32_t *offset,
                                            sl_hits *hits)
{
    const int64_t n = shape->size[0], end = first + n_blocks, chunk = (SL_LISTED - SL_MAX_WIDTH) >> SL_BITS;
    while (first < end) {
        const int64_t stop = end - first > chunk ? first + chunk : end, base = first << SL_BITS;
        const int64_t found = SL_FN(is_interior)(n, first, stop - 1, lo, hi)
                                  ? SL_FN(scan_chunk)(leaves, n, first, stop, t, lo, hi, sign, offset, 1)
                                  : SL_FN(scan_chunk)(leaves, n, first, stop, t, lo, hi, sign, offset, 0);
        first = stop;
        if (SL_UNLIKELY(!sl_hits_reserve(hits, found))) {
            const int64_t room = hits->capacity > hits->length ? hits->capacity - hits->length : 0;
            for (int64_t j = 0; j < room; ++j)
                hits->data[hits->length + j] = base + offset[j];
        } else {
            int64_t *out = hits->data + hits->length;
            for (int64_t j = 0; j < found; ++j)
                out[j] = base + offset[j];
        }
        hits->length += found;
    }
}

/* Write the indices of the passing leaves of the listed blocks, as a rule one in each; returns the end. */
SL_TARGET SL_INLINE int64_t *SL_FN(emit_listed)(const SL_REAL *leaves, int64_t n, const int32_t *blocks, int64_t n_blocks,
                                                SL_REAL t, int64_t lo, int64_t hi, SL_REAL sign, int64_t *out, int interior)
{
    for (int64_t j = 0; j < n_blocks; ++j) {
        const int64_t block = blocks[j], base = block << SL_BITS;
        uint32_t mask;
        if (j + SL_PREFETCH_AHEAD < n_blocks)
            SL_PREFETCH(leaves + ((int64_t)blocks[j + SL_PREFETCH_AHEAD] << SL_BITS));
        mask = SL_FN(passing)(leaves, n, block, t, lo, hi, sign, interior);
        for (; mask; mask &= mask - 1)
            *out++ = base + SL_COUNT_TRAILING_ZEROS(mask);
    }
    return out;
}

/* Append to `hits` the passing leaves of one block, as many as there is room for. */
SL_TARGET SL_INLINE void SL_FN(emit_block)(const SL_REAL *leaves, int64_t n, int64_t block, SL_REAL t, int64_t lo,
                                           int64_t hi, SL_REAL sign, sl_hits *hits)
{
    uint32_t mask = SL_FN(passing)(leaves, n, block, t, lo, hi, sign, 0);
    sl_hits_reserve(hits, SL_POPCOUNT(mask));
    for (; mask; mask &= mask - 1, ++hits->length)
        if (hits->length < hits->capacity)
            hits->data[hits->length] = (block << SL_BITS) + SL_COUNT_TRAILING_ZEROS(mask);
}

/* Append to `hits` the passing leaves of the listed blocks: of as many blocks at once as there is room for, all of whose
 * leaves could pass, and where that is for none, of one. */
SL_TARGET SL_INLINE void SL_FN(emit_leaves)(const sl_shape *shape, const SL_REAL *leaves, const int32_t *blocks,
                                            int64_t n_blocks, SL_REAL t, int64_t lo, int64_t hi, SL_REAL sign, sl_hits *hits)
{
    const int64_t n = shape->size[0];
    for (int64_t at_once; n_blocks > 0; blocks += at_once, n_blocks -= at_once) {
        const int64_t room = (hits->capacity - hits->length) >> SL_BITS;
        at_once = room < n_blocks ? room : n_blocks;
        if (SL_UNLIKELY(at_once <= 0)) {
            at_once = 1;
            SL_FN(emit_block)(leaves, n, blocks[0], t, lo, hi, sign, hits);
        } else {
            int64_t *begin = hits->data + hits->length;
            hits->length += (SL_FN(is_interior)(n, blocks[0], blocks[at_once - 1], lo, hi)
                                 ? SL_FN(emit_listed)(leaves, n, blocks, at_once, t, lo, hi, sign, begin, 1)
                                 : SL_FN(emit_listed)(leaves, n, blocks, at_once, t, lo, hi, sign, begin, 0)) -
                            begin;
        }
    }
}

/* Number of passing leaves of the listed blocks, or of blocks first, first + 1, ... where `blocks` is NULL. */
SL_TARGET SL_INLINE int64_t SL_FN(count_leaves)(const sl_shape *shape, const SL_REAL *leaves, const int32_t *blocks,
                                                int64_t first, int64_t n_blocks, SL_REAL t, int64_t lo, int64_t hi,
                                                SL_REAL sign)
{
    const int64_t n = shape->size[0];
    int64_t count = 0;
    for (int64_t j = 0; j < n_blocks; ++j) {
        const int64_t block = blocks ? blocks[j] : first + j;
        if (blocks && j + SL_PREFETCH_AHEAD < n_blocks)
            SL_PREFETCH(leaves + ((int64_t)blocks[j + SL_PREFETCH_AHEAD] << SL_BITS));
        count += SL_POPCOUNT(SL_FN(leaf_mask)(leaves, n, block, t, sign) & SL_FN(range_mask)(block, lo, hi));
    }
    return count;
}

/* Ask for the first blocks of a list, which nothing before them asks for. */
SL_TARGET SL_INLINE void SL_FN(prefetch_first)(const SL_REAL *level, const int32_t *blocks, int64_t n_blocks)
{
    for (int64_t j = 0; j < n_blocks && j < SL_PREFETCH_AHEAD; ++j)
        SL_PREFETCH(level + ((int64_t)blocks[j] << SL_BITS));
}

/* Visit every passing leaf of [start, stop): append it to `hits`, or only count where hits is NULL.
 * Returns the number of blocks compared.
 *
 * Live nodes are handed down in lists, one per level, which share SL_LISTED numbers: a list is expanded into the list
 * below until that is nearly full, which is then emptied first. So the order is ascending, memory is bounded (and on the
 * stack, which may be small: queries may run together), and within a list the next blocks are prefetched while one is
 * compared.
 */
SL_TARGET SL_INLINE int64_t SL_FN(walk)(const sl_shape *shape, const SL_REAL *leaves, const SL_REAL *upper, SL_REAL t,
                                        int64_t start, int64_t stop, SL_REAL sign, sl_hits *hits, int64_t *count)
{
    int32_t listed[SL_LISTED], *list[SL_MAX_LEVELS]; /* of level k: list[k][at[k]] .. list[k][length[k] - 1] */
    int64_t length[SL_MAX_LEVELS], at[SL_MAX_LEVELS];
    int64_t lo[SL_MAX_LEVELS] = {0}, hi[SL_MAX_LEVELS] = {0};
    int64_t visited = 0, scan, scan_last, chunk;
    int entry, k;

    if (start >= stop)
        return 0;
    for (k = 0; k <= shape->n_levels; ++k) {
        lo[k] = start >> (k * SL_BITS);
        hi[k] = (stop - 1) >> (k * SL_BITS);
        length[k] = at[k] = 0;
    }
    entry = SL_FN(entry_level)(shape, upper, t, start, stop);
    scan = lo[entry] >> SL_BITS;
    scan_last = hi[entry] >> SL_BITS;
    if (entry == 0) {
        if (hits) {
            sl_hits_expect(hits, stop - start);
            SL_FN(scan_leaves)(shape, leaves, scan, scan_last - scan + 1, t, start, stop - 1, sign, listed,
                                   hits);
        } else {
            *count += SL_FN(count_leaves)(shape, leaves, NULL, scan, scan_last - scan + 1, t, start, stop - 1, sign);
        }
        return scan_last - scan + 1;
    }
    chunk = SL_LISTED / entry - SL_MAX_WIDTH; /* nodes in each list; compress_store may write beyond */
    for (k = 1; k <= entry; ++k)
        list[k] = listed + (k - 1) * (chunk + SL_MAX_WIDTH);
    k = entry;
    for (;;) {
        if (k == entry && at[k] == length[k]) { /* refill from the scan of the entry level */
            const SL_REAL *node = upper + shape->offset[k];
            int64_t filled = 0;
            while (scan <= scan_last && filled <= chunk) {
                const uint32_t mask =
                    SL_FN(block_mask)(node + (scan << SL_BITS), t, (SL_REAL)1) & SL_FN(range_mask)(scan, lo[k], hi[k]);
                filled += SL_COMPRESS(list[k] + filled, (int32_t)(scan << SL_BITS), mask);
                ++scan;
                ++visited;
            }
            if (filled == 0)
                return visited;
            length[k] = filled;
            at[k] = 0;
        }
        /* go down from level k, whose list has nodes left */
        while (k > 1) {
            const SL_REAL *child = upper + shape->offset[k - 1];
            int64_t i = at[k], filled = 0;
            const int64_t n_listed = length[k];
            while (i < n_listed && filled <= chunk) {
                const int64_t block = list[k][i];
                if (i + SL_PREFETCH_AHEAD < n_listed)
                    SL_PREFETCH(child + ((int64_t)list[k][i + SL_PREFETCH_AHEAD] << SL_BITS));
                const uint32_t mask =
                    SL_FN(block_mask)(child + (block << SL_BITS), t, (SL_REAL)1) & SL_FN(range_mask)(block, lo[k - 1], hi[k - 1]);
                filled += SL_COMPRESS(list[k - 1] + filled, (int32_t)(block << SL_BITS), mask);
                ++i;
                ++visited;
            }
            at[k] = i;
            at[k - 1] = 0;
            length[k - 1] = filled;
            --k;
            SL_FN(prefetch_first)(k > 1 ? upper + shape->offset[k - 1] : leaves, list[k], filled);
        }
        if (hits)
            SL_FN(emit_leaves)(shape, leaves, list[1], length[1], t, start, stop - 1, sign, hits);
        else
            *count += SL_FN(count_leaves)(shape, leaves, list[1], 0, length[1], t, start, stop - 1, sign);
        visited += length[1];
        at[1] = length[1];
        while (k < entry && at[k] == length[k]) /* up to a level with nodes left, or to the scan */
            ++k;
    }
}

/* Append the passing leaves of [start, stop), ascending, to `hits`; returns the number of blocks compared. */
SL_TARGET SL_UNUSED static int64_t SL_FN(query)(const sl_shape *shape, const SL_REAL *leaves, const SL_REAL *upper,
                                                SL_REAL t, int64_t start, int64_t stop, SL_REAL sign, sl_hits *hits)
{
    return SL_FN(walk)(shape, leaves, upper, t, start, stop, sign, hits, NULL);
}

/* Add the number of passing leaves of [start, stop) to *count; returns the number of blocks compared. */
SL_TARGET SL_UNUSED static int64_t SL_FN(count)(const sl_shape *shape, const SL_REAL *leaves, const SL_REAL *upper,
                                                SL_REAL t, int64_t start, int64_t stop, SL_REAL sign, int64_t *count)
{
    return SL_FN(walk)(shape, leaves, upper, t, start, stop, sign, NULL, count);
}
