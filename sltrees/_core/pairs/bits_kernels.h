/* Bits that two samples have in common, for one instruction level: see simd/each_instance.h, by which bits.h includes this
 * file. No include guard.
 */

/* row[j] += sign * (bits that sample j has in common with `own`), for samples first .. last - 1 of one block. */
SL_TARGET SL_INLINE void SL_FN(add_common_of)(const uint64_t *own, const uint64_t *block, int64_t first, int64_t last,
                                              int32_t sign, int32_t *row)
{
    uint64_t mine[SL_WORDS];
    for (int k = 0; k < SL_WORDS; ++k)
        mine[k] = own[k];
    for (int64_t j = first; j < last; ++j) {
        const uint64_t *other = block + j * SL_WORDS;
        int32_t common = 0;
        for (int k = 0; k < SL_WORDS; ++k)
            common += SL_POPCOUNT64(mine[k] & other[k]);
        row[j] += sign * common;
    }
}

/* counts[i][j] += sign * (neurons that fire both on i and on j) of each pair of samples once, and of each sample with itself,
 * for start <= i < stop. Row i has the pairs with the samples behind it, as far as half of all, and from the end on to the
 * beginning: rows are of the same length. Cost: O((stop - start) n) for each block. */
SL_TARGET SL_UNUSED static void SL_FN(add_common)(const uint64_t *bits, int64_t n_blocks, int64_t n, int64_t start,
                                                  int64_t stop, int32_t sign, int32_t *counts)
{
    for (int64_t b = 0; b < n_blocks; ++b) {
        const uint64_t *block = bits + b * n * SL_WORDS;
        for (int64_t i = start; i < stop; ++i) {
            const int64_t end = i + 1 + (n % 2 || i < n / 2 ? n / 2 : n / 2 - 1);
            SL_FN(add_common_of)(block + i * SL_WORDS, block, i, end < n ? end : n, sign, counts + i * n);
            if (end > n)
                SL_FN(add_common_of)(block + i * SL_WORDS, block, 0, end - n, sign, counts + i * n);
        }
    }
}
