/* The kernel that collects near lists, for one instruction level and dtype: see simd/each_instance.h, by which near_lists.h
 * includes this file. No include guard.
 */

/* Near lists of rows whose products z (n_rows, n) with the samples are at hand, appended to the pools from `used` on.
 * Sample i is near where z > threshold_i = shift - skin |x_i|; its distance is (z - shift) inverse_norm_i. Unless `keep_all`, a
 * row that fires on nothing leaves no trace. For each row kept: its number, the end of its list, the number of entries that
 * fire, the least |distance|. The entries that fire are also listed in `fired`, from `n_listed` on. The pools have room for
 * n_rows * n entries and a block. Returns the number of rows kept. Cost: O(n_rows n). */
SL_TARGET static int64_t SL_FN(lazy_collect)(const void *z_, int64_t n_rows, int64_t n, const void *thresholds_,
                                             const void *inverse_norms_, double shift_, int keep_all, int64_t used,
                                             int32_t *direction, void *distance_, int64_t n_listed, int32_t *fired,
                                             int32_t *kept, int64_t *stop, int32_t *n_fired, double *nearest)
{
    const SL_REAL *thresholds = thresholds_, *inverse_norms = inverse_norms_, shift = (SL_REAL)shift_;
    SL_REAL *distance = distance_;
    int64_t n_kept = 0;
    for (int64_t r = 0; r < n_rows; ++r) {
        const SL_REAL *z = (const SL_REAL *)z_ + r * n;
        int64_t end = used, i = 0, listed = n_listed;
        SL_REAL least = (SL_REAL)INFINITY;
        for (; i + SL_W <= n; i += SL_W)
            end += SL_COMPRESS(direction + end, (int32_t)i, SL_FN(block_mask_each)(z + i, thresholds + i));
        for (; i < n; ++i)
            if (z[i] > thresholds[i])
                direction[end++] = (int32_t)i;
        for (int64_t e = used; e < end; ++e) {
            const int32_t j = direction[e];
            const SL_REAL above = z[j] - shift, y = above * inverse_norms[j], size = SL_ABS(y);
            distance[e] = y;
            fired[listed] = j;
            listed += above > 0;
            least = size < least ? size : least;
        }
        if (listed > n_listed || keep_all) {
            kept[n_kept] = (int32_t)r;
            stop[n_kept] = used = end;
            n_fired[n_kept] = (int32_t)(listed - n_listed);
            nearest[n_kept++] = least;
            n_listed = listed;
        }
    }
    return n_kept;
}
