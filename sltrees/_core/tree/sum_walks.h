/* Walks over a wide tree of sums, for one instruction level: see simd/each_instance.h, by which sum_tree.h includes this
 * file; sum_tree.h has the layout. No include guard.
 *
 * Plain loops that compilers turn into vectors. Nothing but sums and comparisons, in an order that is written here, so
 * that all levels give the same bits. 0 <= index < n; values are finite and at least 0. Nothing here allocates.
 */
#if SL_BITS == 3 /* float64 alone: sums of many float32 would be no good */

/* -------------------------------------------------------------- one block */

/* Recompute node i of level k >= 1 from its block of children. */
SL_TARGET SL_INLINE void SL_FN(sum_node)(const sl_shape *shape, const double *leaves, double *upper, int k, int64_t i)
{
    double *node = upper + sl_sum_at(shape, k, i);
    if (k == 1) {
        const double *child = leaves + (i << 3);
        node[0] = SL_FN(block_sum)(child);
        node[SL_LEAST] = SL_FN(block_least)(child);
    } else {
        const double *child = upper + sl_sum_at(shape, k - 1, i << 3);
        node[0] = SL_FN(block_sum)(child);
        node[SL_LEAST] = SL_FN(block_least)(child + SL_LEAST);
    }
}

/* -------------------------------------------------------------- build and update */

/* All nodes of level k. */
SL_TARGET static void SL_FN(sum_level)(const sl_shape *shape, const double *leaves, double *upper, int k)
{
    const int64_t size = shape->size[k];
    for (int64_t i = 0; i < size; ++i)
        SL_FN(sum_node)(shape, leaves, upper, k, i);
}

/* All levels from the leaves. Padding is not touched. Cost: O(n). */
SL_TARGET SL_UNUSED static void SL_FN(sum_build)(const sl_shape *shape, const double *leaves, double *upper)
{
    for (int k = 1; k <= shape->n_levels; ++k)
        SL_FN(sum_level)(shape, leaves, upper, k);
}

/* Write one leaf and recompute its ancestors, up to the first that does not change. Cost: O(log n) blocks. */
SL_TARGET SL_UNUSED static void SL_FN(sum_update)(const sl_shape *shape, double *leaves, double *upper, int64_t i,
                                                  double value)
{
    leaves[i] = value;
    for (int k = 1; k <= shape->n_levels; ++k) {
        const double *node = upper + sl_sum_at(shape, k, i >>= 3);
        const double sum = node[0], least = node[SL_LEAST];
        SL_FN(sum_node)(shape, leaves, upper, k, i);
        if (node[0] == sum && node[SL_LEAST] == least)
            return;
    }
}

/* Write many leaves, in order, and recompute their ancestors: those of each write, or, from the level on that has few more
 * nodes than there are writes, all of them. Each level is SL_SUM_AHEAD writes behind the one below, so that memory is
 * there by then, and what has been written is no longer on its way to the cache: none waits for another. A node is
 * right in the end since the last write below it comes to it last.
 * Cost: O(count log n) blocks at worst, O(n) for large counts. */
SL_TARGET SL_UNUSED static void SL_FN(sum_update_many)(const sl_shape *shape, double *leaves, double *upper,
                                                       const int64_t *indices, const double *values, int64_t count)
{
    int whole = 1;
    while (whole <= shape->n_levels && count <= shape->size[whole] / SL_SUM_WHOLE)
        ++whole;
    for (int64_t t = -SL_SUM_AHEAD; t < count + (whole - 1) * SL_SUM_AHEAD; ++t) {
        if (t + SL_SUM_AHEAD < count)
            SL_PREFETCH_WRITE(leaves + indices[t + SL_SUM_AHEAD]);
        if (t >= 0 && t < count) {
            leaves[indices[t]] = values[t];
            if (whole > 1)
                SL_PREFETCH_WRITE(upper + sl_sum_at(shape, 1, indices[t] >> 3));
        }
        for (int k = 1; k < whole; ++k) {
            const int64_t j = t - k * SL_SUM_AHEAD;
            if (j < 0)
                break;
            if (j >= count)
                continue;
            if (k + 1 < whole)
                SL_PREFETCH_WRITE(upper + sl_sum_at(shape, k + 1, indices[j] >> (3 * k + 3)));
            SL_FN(sum_node)(shape, leaves, upper, k, indices[j] >> (3 * k));
        }
    }
    for (int k = whole; k <= shape->n_levels; ++k)
        SL_FN(sum_level)(shape, leaves, upper, k);
}

/* -------------------------------------------------------------- queries */

SL_TARGET SL_UNUSED static double SL_FN(sum_total)(const sl_shape *shape, const double *leaves, const double *upper)
{
    return SL_FN(block_sum)(sl_sum_block(shape, leaves, upper, shape->n_levels, 0));
}

/* The least positive leaf; infinity where there is none. */
SL_TARGET SL_UNUSED static double SL_FN(sum_least)(const sl_shape *shape, const double *leaves, const double *upper)
{
    return shape->n_levels ? SL_FN(block_least)(sl_sum_block(shape, leaves, upper, shape->n_levels, 0) + SL_LEAST)
                           : SL_FN(block_least)(leaves);
}

/* Which of a block's numbers `rest` falls into, if they are laid end to end: the first whose cumulative sum is greater. That
 * number is positive. What is left of `rest` there is written back. Beyond the end, by rounding: the last positive
 * number, and an infinite rest, which leads to the last one further down, too. */
SL_TARGET SL_INLINE int SL_FN(sum_step)(const double *p, double *rest)
{
    const double r = *rest;
    double sum = 0, before = 0;
    int at = 0;
    for (int j = 0; j < 8; ++j) {
        sum += p[j];
        at += sum <= r;
        before = sum <= r ? sum : before;
    }
    if (SL_UNLIKELY(at == 8)) {
        *rest = INFINITY;
        for (at = 7; at > 0 && !(p[at] > 0);)
            --at;
        return at;
    }
    *rest = r - before;
    return at;
}

/* The leaf in which each of `count` numbers falls, if leaves are laid end to end as long as they are: monotone, and never a
 * leaf that is 0 unless all are. Many go down side by side, so that none waits for another. Cost: O(log n) blocks each. */
SL_TARGET SL_UNUSED static void SL_FN(sum_find)(const sl_shape *shape, const double *leaves, const double *upper,
                                                const double *prefixes, int64_t count, int64_t *out)
{
    double rest[SL_SUM_ABREAST];
    for (int64_t done = 0; done < count; done += SL_SUM_ABREAST) {
        const int n = count - done < SL_SUM_ABREAST ? (int)(count - done) : SL_SUM_ABREAST;
        int64_t *at = out + done;
        for (int q = 0; q < n; ++q) {
            rest[q] = prefixes[done + q];
            at[q] = 0;
        }
        for (int k = shape->n_levels; k >= 0; --k)
            for (int q = 0; q < n; ++q) {
                at[q] = (at[q] << 3) + SL_FN(sum_step)(sl_sum_block(shape, leaves, upper, k, at[q]), &rest[q]);
                if (k > 0)
                    SL_PREFETCH(sl_sum_block(shape, leaves, upper, k - 1, at[q]));
            }
    }
}

/* The sum of the leaves before each of `count` indices from 0 to n, in the order in which sum_find takes them away; at most
 * the total. Cost: O(log n) blocks each. */
SL_TARGET SL_UNUSED static void SL_FN(sum_prefix)(const sl_shape *shape, const double *leaves, const double *upper,
                                                  const int64_t *indices, int64_t count, double *out)
{
    const double total = SL_FN(sum_total)(shape, leaves, upper);
    for (int64_t q = 0; q < count; ++q) {
        double sum = 0;
        if (indices[q] == shape->size[0]) {
            out[q] = total;
            continue;
        }
        for (int k = shape->n_levels; k >= 0; --k) {
            const int64_t i = indices[q] >> (3 * k);
            const double *p = sl_sum_block(shape, leaves, upper, k, i >> 3);
            double before = 0;
            for (int j = 0; j < (i & 7); ++j)
                before += p[j];
            sum += before;
        }
        out[q] = sum < total ? sum : total;
    }
}

/* Draw `count` different leaves one after the other, each in proportion to its value among those that are left, from numbers
 * u in [0, 1). Returns how many were found before nothing was left; the tree is as it was. `before` has room for
 * `count` values. Cost: O(log n) blocks for each, three times. */
SL_TARGET SL_UNUSED static int64_t SL_FN(sum_draw)(const sl_shape *shape, double *leaves, double *upper, const double *u,
                                                   int64_t count, int64_t *out, double *before)
{
    int64_t found = 0;
    for (; found < count; ++found) {
        const double total = SL_FN(sum_total)(shape, leaves, upper), prefix = u[found] * total;
        if (!(total > 0))
            break;
        SL_FN(sum_find)(shape, leaves, upper, &prefix, 1, out + found);
        before[found] = leaves[out[found]];
        SL_FN(sum_update)(shape, leaves, upper, out[found], 0);
    }
    SL_FN(sum_update_many)(shape, leaves, upper, out, before, found);
    return found;
}

#endif
