/* Products of rows with columns, for one instruction level and dtype: see simd/each_instance.h, by which products.h
 * includes this file. No include guard.
 */

/* out[i * n + j] = sum over k of left[i * d + k] * columns[k * stride + j], for all i < n_left and j < n. Each sum is formed
 * by itself in the order of k, so that it depends on its two vectors alone. `columns` has room for whole groups of four
 * blocks, which are read and mean nothing from n on. Cost: O(n_left n d). */
SL_TARGET SL_UNUSED static void SL_FN(multiply)(const SL_REAL *left, int64_t n_left, int64_t d, const SL_REAL *columns,
                                                int64_t stride, int64_t n, SL_REAL *out)
{
    SL_REAL last[SL_ROWS_AT_ONCE * SL_WIDTH];
    for (int64_t j = 0; j < n; j += 4 * SL_W) {
        int64_t i = 0;
        for (; i + SL_ROWS_AT_ONCE <= n_left; i += SL_ROWS_AT_ONCE)
            for (int64_t at = j; at < n && at < j + 4 * SL_W; at += SL_W) {
                SL_REAL *to = out + i * n + at;
                if (at + SL_W <= n) {
                    SL_FN(block_products)(left + i * d, d, columns + at, stride, to, n);
                } else {
                    SL_FN(block_products)(left + i * d, d, columns + at, stride, last, SL_W);
                    for (int64_t row = 0; row < SL_ROWS_AT_ONCE; ++row)
                        memcpy(to + row * n, last + row * SL_W, (size_t)(n - at) * sizeof(SL_REAL));
                }
            }
        for (; i < n_left; ++i) {
            SL_REAL *to = out + i * n + j;
            if (j + 4 * SL_W <= n) {
                SL_FN(row_products)(left + i * d, d, columns + j, stride, to);
            } else {
                SL_FN(row_products)(left + i * d, d, columns + j, stride, last);
                memcpy(to, last, (size_t)(n - j) * sizeof(SL_REAL));
            }
        }
    }
}
