/* Walks of queries over a wide max-tree: which leaves pass, or how many. Included by walks.h, whose conventions hold. No
 * include guard.
 */

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
 * scanning the one below. Level 0 is a scan of the leaves. Sets *share to the share of that level in 1/256. The limits are
 * from asv_benchmarks/compare/trees.py --tune. */
SL_TARGET SL_INLINE int SL_FN(entry_level)(const sl_shape *shape, const SL_REAL *upper, SL_REAL t, int64_t start,
                                           int64_t stop, int64_t *share)
{
    int k = shape->n_levels;
    for (; k > 0; --k) {
        const int64_t limit = k == 1 && stop - start > SL_CACHED_LEAVES ? 64 : 128;
        *share = SL_FN(live_share)(upper + shape->offset[k], start >> (k * SL_BITS), (stop - 1) >> (k * SL_BITS), t);
        if (*share < limit)
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
 * afterwards. A function of its own, as emit_near and emit_far below: within the walk there are not enough registers. */
SL_TARGET SL_NOINLINE static void SL_FN(scan_leaves)(const sl_shape *shape, const SL_REAL *leaves, int64_t first,
                                                     int64_t n_blocks, SL_REAL t, int64_t lo, int64_t hi, SL_REAL sign,
                                                     int32_t *offset, sl_hits *hits)
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

/* ------------------------------------------------------------------ live blocks, listed */

/* Ask memory for the listed blocks of a level: into the first-level cache, or, where they come from memory itself, into the
 * second, which takes more requests at a time. */
SL_TARGET SL_INLINE void SL_FN(ask_for)(const SL_REAL *level, const int32_t *blocks, int64_t n_blocks, int far)
{
    for (int64_t j = 0; j < n_blocks; ++j) {
        const SL_REAL *block = level + ((int64_t)blocks[j] << SL_BITS);
        if (far)
            SL_PREFETCH_FAR(block);
        else
            SL_PREFETCH(block);
    }
}

/* Ask for the first blocks of a list, which nothing before them asks for. */
SL_TARGET SL_INLINE void SL_FN(ask_first)(const SL_REAL *level, const int32_t *blocks, int64_t n_blocks, int far)
{
    SL_FN(ask_for)(level, blocks, n_blocks < SL_AHEAD(far) ? n_blocks : SL_AHEAD(far), far);
}

/* Write the indices of the leaves of a block whose bits are set; returns the end. */
SL_TARGET SL_INLINE int64_t *SL_FN(emit_mask)(int64_t block, uint32_t mask, int64_t *out)
{
    for (; mask; mask &= mask - 1)
        *out++ = (block << SL_BITS) + SL_COUNT_TRAILING_ZEROS(mask);
    return out;
}

/* Write the indices of the passing leaves of the listed blocks; returns the end. As a rule one passes in each: that is asked
 * of four blocks by one branch, which then goes one way. `interior` and `far` are constants where this is inlined. */
SL_TARGET SL_INLINE int64_t *SL_FN(emit_listed)(const SL_REAL *leaves, int64_t n, const int32_t *blocks, int64_t n_blocks,
                                                SL_REAL t, int64_t lo, int64_t hi, SL_REAL sign, int64_t *out,
                                                int interior, int far)
{
    int64_t j = 0;
    for (; j + 4 <= n_blocks; j += 4) {
        uint32_t mask[4];
        uint64_t all = 0;
        if (j + SL_AHEAD(far) + 4 <= n_blocks)
            SL_FN(ask_for)(leaves, blocks + j + SL_AHEAD(far), 4, far);
        for (int q = 0; q < 4; ++q) {
            mask[q] = SL_FN(passing)(leaves, n, blocks[j + q], t, lo, hi, sign, interior);
            all |= (uint64_t)mask[q] << 16 * q;
        }
        /* a mask less one shares a bit with the mask where that has several, and is all ones where it is empty */
        if (SL_LIKELY(!((all - UINT64_C(0x0001000100010001)) & (all | UINT64_C(0x8000800080008000))))) {
            for (int q = 0; q < 4; ++q)
                *out++ = ((int64_t)blocks[j + q] << SL_BITS) + SL_COUNT_TRAILING_ZEROS(mask[q]);
        } else {
            for (int q = 0; q < 4; ++q)
                out = SL_FN(emit_mask)(blocks[j + q], mask[q], out);
        }
    }
    for (; j < n_blocks; ++j)
        out = SL_FN(emit_mask)(blocks[j], SL_FN(passing)(leaves, n, blocks[j], t, lo, hi, sign, interior), out);
    return out;
}

/* The same of blocks that lie wholly inside the range and the array. */
SL_TARGET SL_NOINLINE static int64_t *SL_FN(emit_near)(const SL_REAL *leaves, const int32_t *blocks, int64_t n_blocks,
                                                       SL_REAL t, SL_REAL sign, int64_t *out)
{
    return SL_FN(emit_listed)(leaves, 0, blocks, n_blocks, t, 0, 0, sign, out, 1, 0);
}

SL_TARGET SL_NOINLINE static int64_t *SL_FN(emit_far)(const SL_REAL *leaves, const int32_t *blocks, int64_t n_blocks,
                                                      SL_REAL t, SL_REAL sign, int64_t *out)
{
    return SL_FN(emit_listed)(leaves, 0, blocks, n_blocks, t, 0, 0, sign, out, 1, 1);
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
                                            int64_t n_blocks, SL_REAL t, int64_t lo, int64_t hi, SL_REAL sign, int far,
                                            sl_hits *hits)
{
    const int64_t n = shape->size[0];
    for (int64_t at_once; n_blocks > 0; blocks += at_once, n_blocks -= at_once) {
        const int64_t room = (hits->capacity - hits->length) >> SL_BITS;
        at_once = room < n_blocks ? room : n_blocks;
        if (SL_UNLIKELY(at_once <= 0)) {
            at_once = 1;
            SL_FN(emit_block)(leaves, n, blocks[0], t, lo, hi, sign, hits);
        } else {
            int64_t *begin = hits->data + hits->length, *end;
            if (at_once < 4 || !SL_FN(is_interior)(n, blocks[0], blocks[at_once - 1], lo, hi))
                end = SL_FN(emit_listed)(leaves, n, blocks, at_once, t, lo, hi, sign, begin, 0, 0);
            else if (far)
                end = SL_FN(emit_far)(leaves, blocks, at_once, t, sign, begin);
            else
                end = SL_FN(emit_near)(leaves, blocks, at_once, t, sign, begin);
            hits->length += end - begin;
        }
    }
}

/* Number of passing leaves of the listed blocks, or of blocks first, first + 1, ... where `blocks` is NULL. */
SL_TARGET SL_INLINE int64_t SL_FN(count_leaves)(const sl_shape *shape, const SL_REAL *leaves, const int32_t *blocks,
                                                int64_t first, int64_t n_blocks, SL_REAL t, int64_t lo, int64_t hi,
                                                SL_REAL sign, int far)
{
    const int64_t n = shape->size[0];
    int64_t count = 0;
    for (int64_t j = 0; j < n_blocks; ++j) {
        const int64_t block = blocks ? blocks[j] : first + j;
        if (blocks && j + SL_AHEAD(far) < n_blocks)
            SL_FN(ask_for)(leaves, blocks + j + SL_AHEAD(far), 1, far);
        count += SL_POPCOUNT(SL_FN(leaf_mask)(leaves, n, block, t, sign) & SL_FN(range_mask)(block, lo, hi));
    }
    return count;
}

/* List the set bits of a word; returns how many. As a rule there are no more than 8, and no branch depends on how many: may
 * write garbage up to out[7]. */
SL_TARGET SL_INLINE int64_t SL_FN(list_few)(int32_t *out, int32_t base, uint64_t word)
{
    const int64_t count = SL_POPCOUNT64(word);
    for (int j = 0; j < 8; ++j, word &= word - 1)
        out[j] = base + (word ? SL_COUNT_TRAILING_ZEROS64(word) : 0);
    for (out += 8; SL_UNLIKELY(word != 0); word &= word - 1)
        *out++ = base + SL_COUNT_TRAILING_ZEROS64(word);
    return count;
}

/* List the live nodes of blocks *block, *block + 1, ..., `last` of a level, until more than `enough` are listed; returns how
 * many are, and moves *block on. Where few are live, masks are put together to one of 64 nodes. The list has room for
 * SL_MAX_WIDTH more than enough, and may be written to as far. */
SL_TARGET SL_INLINE int64_t SL_FN(list_live)(const SL_REAL *level, int64_t *block, int64_t last, SL_REAL t, int64_t lo,
                                             int64_t hi, int32_t *list, int64_t enough, int few)
{
    const int at_once = 64 >> SL_BITS;
    int64_t i = *block, listed = 0;
    while (i <= last && listed <= enough) {
        if (few && i << SL_BITS >= lo && i + at_once <= last && listed + 64 - SL_MAX_WIDTH <= enough) {
            uint64_t word = 0;
            for (int q = 0; q < at_once; ++q)
                word |= (uint64_t)SL_FN(block_mask)(level + ((i + q) << SL_BITS), t, (SL_REAL)1) << (q << SL_BITS);
            listed += SL_FN(list_few)(list + listed, (int32_t)(i << SL_BITS), word);
            i += at_once;
        } else {
            const uint32_t mask = SL_FN(block_mask)(level + (i << SL_BITS), t, (SL_REAL)1) & SL_FN(range_mask)(i, lo, hi);
            listed += SL_COMPRESS(list + listed, (int32_t)(i << SL_BITS), mask);
            ++i;
        }
    }
    *block = i;
    return listed;
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
    int64_t visited = 0, share = 256, scan, scan_last, chunk;
    int entry, k, far; /* far: leaf blocks come from memory itself */

    if (start >= stop)
        return 0;
    for (k = 0; k <= shape->n_levels; ++k) {
        lo[k] = start >> (k * SL_BITS);
        hi[k] = (stop - 1) >> (k * SL_BITS);
        length[k] = at[k] = 0;
    }
    entry = SL_FN(entry_level)(shape, upper, t, start, stop, &share);
    far = entry == 1 && stop - start > SL_CACHED_LEAVES;
    scan = lo[entry] >> SL_BITS;
    scan_last = hi[entry] >> SL_BITS;
    if (entry == 0) {
        if (hits) {
            sl_hits_expect(hits, stop - start);
            SL_FN(scan_leaves)(shape, leaves, scan, scan_last - scan + 1, t, start, stop - 1, sign, listed, hits);
        } else {
            *count += SL_FN(count_leaves)(shape, leaves, NULL, scan, scan_last - scan + 1, t, start, stop - 1, sign,
                                          0);
        }
        return scan_last - scan + 1;
    }
    chunk = SL_LISTED / entry - SL_MAX_WIDTH; /* nodes in each list; compress_store may write beyond */
    for (k = 1; k <= entry; ++k)
        list[k] = listed + (k - 1) * (chunk + SL_MAX_WIDTH);
    k = entry;
    for (;;) {
        if (k == entry && at[k] == length[k]) { /* refill from the scan of the entry level */
            const int64_t before = scan;
            const int64_t filled = SL_FN(list_live)(upper + shape->offset[k], &scan, scan_last, t, lo[k], hi[k], list[k],
                                                    chunk, share <= SL_FEW_LIVE);
            visited += scan - before;
            if (filled == 0)
                return visited;
            length[k] = filled;
            at[k] = 0;
            if (k == 1)
                SL_FN(ask_first)(leaves, list[k], filled, far);
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
            SL_FN(ask_first)(k > 1 ? upper + shape->offset[k - 1] : leaves, list[k], filled, 0);
        }
        if (hits)
            SL_FN(emit_leaves)(shape, leaves, list[1], length[1], t, start, stop - 1, sign, far, hits);
        else
            *count += SL_FN(count_leaves)(shape, leaves, list[1], 0, length[1], t, start, stop - 1, sign, far);
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
