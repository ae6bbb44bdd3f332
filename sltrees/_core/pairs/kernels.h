/* Sums over fired pairs, for one instruction level and dtype: see simd/each_instance.h, by which pairs.h includes this
 * file. No include guard.
 *
 * Numbers of the data are float or double, all sums double. A row of sums has `padded` numbers, d rounded up to whole
 * groups of SL_LANES; what is behind the d-th is a sum of the zeros that rows of the data are padded with.
 */

/* sums[k] += weights[i] * data[i * stride + k] for the samples i of a list, up to the first that is not below `limit`:
 * returns where that stands. The sums stay in registers; `groups` is a constant wherever this is inlined. */
SL_TARGET SL_INLINE int64_t SL_FN(gather)(const int32_t *samples, int64_t at, int64_t end, int32_t limit,
                                          const SL_REAL *data, int64_t stride, const double *weights, double *sums,
                                          const int groups)
{
    double sum[SL_GROUPS * SL_LANES];
    for (int k = 0; k < groups * SL_LANES; ++k)
        sum[k] = sums[k];
    for (; at < end && samples[at] < limit; ++at) {
        const SL_REAL *x = data + samples[at] * stride;
        const double by = weights[samples[at]];
        for (int k = 0; k < groups * SL_LANES; ++k)
            sum[k] += by * x[k];
    }
    for (int k = 0; k < groups * SL_LANES; ++k)
        sums[k] = sum[k];
    return at;
}

/* sum[k] += sums[r * padded + k] for the rows r of a list, up to the first that is not below `limit`: returns where that
 * stands. */
SL_TARGET SL_INLINE int64_t SL_FN(collect)(const int32_t *rows, int64_t at, int64_t end, int32_t limit,
                                           const double *sums, int64_t padded, double *to, const int groups)
{
    double sum[SL_GROUPS * SL_LANES];
    for (int k = 0; k < groups * SL_LANES; ++k)
        sum[k] = to[k];
    for (; at < end && rows[at] < limit; ++at) {
        const double *row = sums + rows[at] * padded;
        for (int k = 0; k < groups * SL_LANES; ++k)
            sum[k] += row[k];
    }
    for (int k = 0; k < groups * SL_LANES; ++k)
        to[k] = sum[k];
    return at;
}

/* The product of a row of the data with a sum. */
SL_TARGET SL_INLINE double SL_FN(product_with_sum)(const double *sum, const SL_REAL *x, int64_t groups)
{
    double total[SL_LANES];
    for (int j = 0; j < SL_LANES; ++j)
        total[j] = 0;
    for (int64_t k = 0; k < groups * SL_LANES; k += SL_LANES)
        for (int j = 0; j < SL_LANES; ++j)
            total[j] += sum[k + j] * x[k + j];
    return ((total[0] + total[4]) + (total[2] + total[6])) + ((total[1] + total[5]) + (total[3] + total[7]));
}

/* sums_r = sum over the samples i of row r of weights_i x_i, for rows start .. stop - 1, of which there are at most
 * SL_ROWS_OF_SUMS: their sums stay in cache, and so do the samples of a stretch while all rows look at it. Cost: O(pairs d). */
SL_TARGET SL_UNUSED static void SL_FN(gather_rows)(const int64_t *indptr, const int32_t *samples, int64_t start,
                                                   int64_t stop, int64_t n_samples, const void *data_, int64_t stride,
                                                   const double *weights, int64_t padded, double *sums)
{
    const SL_REAL *data = data_;
    int64_t cursor[SL_ROWS_OF_SUMS];
    memset(sums + start * padded, 0, (size_t)((stop - start) * padded) * sizeof(double));
    for (int64_t k = 0; k < padded; k += SL_GROUPS * SL_LANES) {
        const int64_t left = (padded - k) / SL_LANES;
        for (int64_t r = start; r < stop; ++r)
            cursor[r - start] = indptr[r];
        for (int64_t limit = SL_STRETCH; limit < n_samples + SL_STRETCH; limit += SL_STRETCH)
            for (int64_t r = start; r < stop; ++r) {
                double *to = sums + r * padded + k;
                int64_t *at = cursor + (r - start);
#define SL_CASE(groups)                                                                                                 \
    *at = SL_FN(gather)(samples, *at, indptr[r + 1], (int32_t)limit, data + k, stride, weights, to, groups)
                SL_EACH_NUMBER_OF_GROUPS(left)
#undef SL_CASE
            }
    }
}

/* out_i = <x_i, sum over the rows r that fire on i of sums_r> for samples start .. stop - 1. Some samples at a time
 * collect from a stretch of rows, which stays in cache meanwhile: all rows are read from further away once for
 * SL_COLLECTORS samples, not once for each. The sums of these are in `collected`, of SL_COLLECTORS * SL_GROUPS * SL_LANES
 * numbers. Cost: O(pairs d). */
SL_TARGET SL_UNUSED static void SL_FN(collect_rows)(const int64_t *indptr, const int32_t *rows, int64_t start,
                                                    int64_t stop, int64_t n_rows, const double *sums, int64_t padded,
                                                    const void *data_, int64_t stride, double *collected, double *out)
{
    const SL_REAL *data = data_;
    int64_t cursor[SL_COLLECTORS];
    memset(out + start, 0, (size_t)(stop - start) * sizeof(double));
    for (int64_t first = start; first < stop; first += SL_COLLECTORS) {
        const int64_t n = stop - first < SL_COLLECTORS ? stop - first : SL_COLLECTORS;
        for (int64_t k = 0; k < padded; k += SL_GROUPS * SL_LANES) {
            const int64_t left = (padded - k) / SL_LANES, groups = left < SL_GROUPS ? left : SL_GROUPS;
            memset(collected, 0, (size_t)(n * groups * SL_LANES) * sizeof(double));
            memcpy(cursor, indptr + first, (size_t)n * sizeof(int64_t));
            for (int64_t limit = SL_STRETCH; limit < n_rows + SL_STRETCH; limit += SL_STRETCH)
                for (int64_t i = 0; i < n; ++i) {
                    double *to = collected + i * groups * SL_LANES;
                    const int64_t end = indptr[first + i + 1];
#define SL_CASE(groups)                                                                                                 \
    cursor[i] = SL_FN(collect)(rows, cursor[i], end, (int32_t)limit, sums + k, padded, to, groups)
                    SL_EACH_NUMBER_OF_GROUPS(left)
#undef SL_CASE
                }
            for (int64_t i = 0; i < n; ++i)
                out[first + i] += SL_FN(product_with_sum)(collected + i * groups * SL_LANES,
                                                          data + (first + i) * stride + k, groups);
        }
    }
}
