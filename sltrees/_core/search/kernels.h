/* Products of rows with a panel of columns, compared as they are made, for one instruction level: see
 * simd/each_instance.h, by which search.h includes this file. No include guard.
 */

/* Columns that pass, for one block of products of a row: written from found on; returns found and their number. */
SL_TARGET SL_INLINE int64_t SL_FN(take)(const SL_REAL *products, SL_REAL limit, int32_t row, int32_t column,
                                        int32_t *rows_out, int32_t *columns_out, int64_t found)
{
    const uint32_t mask = SL_FN(block_mask)(products, limit, (SL_REAL)1);
    if (SL_LIKELY(mask == 0))
        return found;
    const int count = SL_COMPRESS(columns_out + found, column, mask);
    for (int j = 0; j < count; ++j)
        rows_out[found + j] = row;
    return found + count;
}

/* The pairs of a row i and a column j of a panel with sum over k of rows[i * d + k] * panel[k * SL_PANEL + j] above
 * limits[i]; returns how many. Products are never stored but for a block of them. Columns of one row are ascending. There is
 * room for n_rows * SL_PANEL + 16 pairs. Cost: O(n_rows SL_PANEL d). */
SL_TARGET SL_UNUSED static int64_t SL_FN(candidates)(const SL_REAL *rows, int64_t n_rows, int64_t d, const SL_REAL *panel,
                                                     const SL_REAL *limits, int32_t *rows_out, int32_t *columns_out)
{
    SL_REAL products[SL_ROWS_AT_ONCE * SL_WIDTH];
    int64_t i = 0, found = 0;
    for (; i + SL_ROWS_AT_ONCE <= n_rows; i += SL_ROWS_AT_ONCE)
        for (int at = 0; at < SL_PANEL; at += SL_WIDTH) {
            SL_FN(block_products)(rows + i * d, d, panel + at, SL_PANEL, products, SL_W);
            for (int row = 0; row < SL_ROWS_AT_ONCE; ++row)
                found = SL_FN(take)(products + row * SL_WIDTH, limits[i + row], (int32_t)i + row, at, rows_out,
                                    columns_out, found);
        }
    for (; i < n_rows; ++i) {
        SL_FN(row_products)(rows + i * d, d, panel, SL_PANEL, products);
        for (int at = 0; at < SL_PANEL; at += SL_WIDTH)
            found = SL_FN(take)(products + at, limits[i], (int32_t)i, at, rows_out, columns_out, found);
    }
    return found;
}
