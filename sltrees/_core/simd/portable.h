/* Portable C, for any compiler: the level that all processors have, and what others take that have nothing better. */
#ifndef SL_TARGET_portable
#define SL_TARGET_portable

SL_UNUSED static int sl_runs_portable(void)
{
    return 1;
}

SL_INLINE int sl_compress_store_portable(int32_t *out, int32_t base, uint32_t mask)
{
    int n = 0;
    for (; mask; mask &= mask - 1)
        out[n++] = base + SL_COUNT_TRAILING_ZEROS(mask);
    return n;
}

#endif /* what both dtypes share */

SL_INLINE SL_REAL SL_FN(block_max)(const SL_REAL *p, SL_REAL sign)
{
    SL_REAL best = sign * p[0];
    for (int j = 1; j < SL_WIDTH; ++j) {
        const SL_REAL x = sign * p[j];
        best = x > best ? x : best;
    }
    return best;
}

SL_INLINE SL_REAL SL_FN(block_sum)(const SL_REAL *p)
{
    SL_REAL sum[SL_WIDTH / 2];
    for (int j = 0; j < SL_WIDTH / 2; ++j)
        sum[j] = p[j] + p[j + SL_WIDTH / 2];
    for (int half = SL_WIDTH / 4; half > 0; half /= 2)
        for (int j = 0; j < half; ++j)
            sum[j] += sum[j + half];
    return sum[0];
}

SL_INLINE SL_REAL SL_FN(block_least)(const SL_REAL *p)
{
    SL_REAL least = (SL_REAL)INFINITY;
    for (int j = 0; j < SL_WIDTH; ++j)
        least = p[j] > 0 && p[j] < least ? p[j] : least;
    return least;
}

SL_INLINE uint32_t SL_FN(block_mask)(const SL_REAL *p, SL_REAL t, SL_REAL sign)
{
    uint32_t mask = 0;
    for (int j = 0; j < SL_WIDTH; ++j)
        mask |= (uint32_t)(sign * p[j] > t) << j;
    return mask;
}

SL_INLINE int SL_FN(block_maxima)(const SL_REAL *p, SL_REAL sign, SL_REAL *out)
{
    int bad = 0;
    for (int i = 0; i < SL_WIDTH; ++i)
        out[i] = SL_FN(block_max)(p + i * SL_WIDTH, sign);
    for (int j = 0; j < SL_WIDTH * SL_WIDTH; ++j)
        bad |= p[j] != p[j];
    return bad;
}

SL_INLINE uint32_t SL_FN(block_mask_each)(const SL_REAL *p, const SL_REAL *t)
{
    uint32_t mask = 0;
    for (int j = 0; j < SL_WIDTH; ++j)
        mask |= (uint32_t)(p[j] > t[j]) << j;
    return mask;
}

SL_INLINE uint32_t SL_FN(block_band)(const SL_REAL *p, SL_REAL t)
{
    uint32_t mask = 0;
    for (int j = 0; j < SL_WIDTH; ++j)
        mask |= (uint32_t)(SL_ABS(p[j]) <= t) << j;
    return mask;
}

/* One partial sum for each lane of a block, so that compilers can use what vectors they have. */
SL_INLINE SL_REAL SL_FN(dot)(const SL_REAL *a, const SL_REAL *b, int64_t n)
{
    SL_REAL lane[SL_WIDTH] = {0}, total = 0;
    for (int64_t k = 0; k < n; k += SL_W)
        for (int j = 0; j < SL_WIDTH; ++j)
            lane[j] += a[k + j] * b[k + j];
    for (int j = 0; j < SL_WIDTH; ++j)
        total += lane[j];
    return total;
}

SL_INLINE void SL_FN(add_rows)(SL_REAL *y, int64_t n, const SL_REAL *c, const int32_t *at, int64_t k,
                               const SL_REAL *rows)
{
    for (int64_t e = 0; e < k; ++e)
        for (int64_t j = 0; j < n; ++j)
            y[j] += c[e] * rows[at[e] * n + j];
}

SL_INLINE int64_t SL_FN(least_two)(const SL_REAL *p, int64_t n, SL_REAL *two)
{
    int64_t at = -1;
    two[0] = two[1] = (SL_REAL)INFINITY;
    for (int64_t j = 0; j < n; ++j) {
        const SL_REAL size = SL_ABS(p[j]);
        if (size < two[0]) {
            two[1] = two[0];
            two[0] = size;
            at = j;
        } else if (size < two[1])
            two[1] = size;
    }
    return at;
}

/* What both kinds of products are made of, so that compilers fuse in both or in none. */
SL_INLINE void SL_FN(block_sums)(const SL_REAL *a, int64_t d, const SL_REAL *b, int64_t stride, SL_REAL *out)
{
    SL_REAL sum[SL_WIDTH] = {0};
    for (int64_t k = 0; k < d; ++k)
        for (int j = 0; j < SL_WIDTH; ++j)
            sum[j] += a[k] * b[k * stride + j];
    for (int j = 0; j < SL_WIDTH; ++j)
        out[j] = sum[j];
}

SL_INLINE void SL_FN(block_products)(const SL_REAL *a, int64_t d, const SL_REAL *b, int64_t stride, SL_REAL *out, int64_t n)
{
    for (int i = 0; i < SL_ROWS_AT_ONCE; ++i)
        SL_FN(block_sums)(a + i * d, d, b, stride, out + i * n);
}

SL_INLINE void SL_FN(row_products)(const SL_REAL *a, int64_t d, const SL_REAL *b, int64_t stride, SL_REAL *out)
{
    for (int q = 0; q < 4; ++q)
        SL_FN(block_sums)(a, d, b + q * SL_W, stride, out + q * SL_W);
}

SL_INLINE void SL_FN(dots)(const SL_REAL *v, int64_t n, const int32_t *at, const SL_REAL *rows, SL_REAL *out)
{
    for (int j = 0; j < 4; ++j)
        out[j] = SL_FN(dot)(v, rows + at[j] * n, n);
}
