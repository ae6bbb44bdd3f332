/* Orthants of many pairs, for one instruction level and dtype: see simd/each_instance.h, by which orthants.h includes
 * this file. No include guard. Plain loops that compilers turn into vectors.
 *
 * Most pairs are at neither end of the range of correlations: for all of a row both polynomials of the middle are
 * evaluated, side by side and without a branch, and the one that holds is taken. The few others are noted beforehand,
 * and done one by one.
 */
#define SL_NEAR_N SL_PASTE2(SL_ORTHANT_NEAR_, SL_DTYPE)
#define SL_OCTAVE_N SL_PASTE2(SL_ORTHANT_OCTAVE_, SL_DTYPE)
#define SL_NEARLY SL_PASTE2(SL_ORTHANT_NEARLY_, SL_DTYPE)
#define SL_EQUAL SL_PASTE2(SL_ORTHANT_EQUAL_, SL_DTYPE)

SL_TARGET SL_INLINE SL_REAL SL_FN(orthant_near)(const SL_REAL *near, SL_REAL t)
{
    const SL_REAL u = (SL_REAL)4 * t - (SL_REAL)1;
    SL_REAL sum = near[SL_NEAR_N - 1];
    for (int k = SL_NEAR_N - 2; k >= 0; --k)
        sum = sum * u + near[k];
    return sum;
}

SL_TARGET SL_INLINE SL_REAL SL_FN(orthant_octave)(const SL_REAL *octave, SL_REAL u)
{
    SL_REAL sum = octave[SL_OCTAVE_N - 1];
    for (int k = SL_OCTAVE_N - 2; k >= 0; --k)
        sum = sum * u + octave[k];
    return sum;
}

/* c times its probability, for correlations c of which none is at an end. */
SL_TARGET static void SL_FN(orthant_row)(SL_REAL *row, int64_t n, SL_REAL base, const SL_REAL *near_of,
                                         const SL_REAL *octave_of)
{
    SL_REAL near[SL_NEAR_N], octave[SL_OCTAVE_N]; /* of its own: what is written could be theirs */
    memcpy(near, near_of, sizeof near);
    memcpy(octave, octave_of, sizeof octave);
    for (int64_t j = 0; j < n; ++j) {
        const SL_REAL c = row[j], x = (SL_REAL)0.5 - (SL_REAL)0.5 * c, y = (SL_REAL)0.5 + (SL_REAL)0.5 * c;
        const SL_REAL above = base - SL_SQRT(x > 0 ? x : 0) * SL_FN(orthant_near)(near, x);
        const SL_REAL below = SL_FN(orthant_octave)(octave, (SL_REAL)8 * y - (SL_REAL)3);
        row[j] = c * (c >= 0 ? above : below);
    }
}

/* The same for h = 0. */
SL_TARGET static void SL_FN(orthant_row_mirrored)(SL_REAL *row, int64_t n, SL_REAL base, const SL_REAL *near_of)
{
    SL_REAL near[SL_NEAR_N];
    memcpy(near, near_of, sizeof near);
    for (int64_t j = 0; j < n; ++j) {
        const SL_REAL c = row[j], t = (SL_REAL)0.5 - (SL_REAL)0.5 * SL_ABS(c);
        const SL_REAL share = SL_SQRT(t > 0 ? t : 0) * SL_FN(orthant_near)(near, t);
        row[j] = c * (c >= 0 ? base - share : share);
    }
}

/* The probability for one correlation that may be at an end. */
SL_TARGET static SL_REAL SL_FN(orthant_end)(SL_REAL c, const SL_REAL *left, const SL_REAL *right, int64_t d,
                                            SL_REAL base, const SL_REAL *near, const SL_REAL *octaves,
                                            int64_t n_octaves, int mirrored)
{
    SL_REAL t = (SL_REAL)0.5 - (SL_REAL)0.5 * SL_ABS(c);
    if (t < SL_NEARLY) {
        const SL_REAL sign = c > 0 ? (SL_REAL)-1 : (SL_REAL)1;
        t = 0;
        for (int64_t k = 0; k < d; ++k) {
            const SL_REAL sum = left[k] + sign * right[k];
            t += sum * sum;
        }
        t *= (SL_REAL)0.25;
    }
    if (c > 0 || mirrored) {
        const SL_REAL share = SL_SQRT(t) * SL_FN(orthant_near)(near, t);
        return c > 0 ? base - share : share;
    }
    int exponent;
    const SL_REAL mantissa = (SL_REAL)frexp(t, &exponent); /* t = mantissa 2^exponent, 1/2 <= mantissa < 1 */
    const int64_t k = -1 - exponent;
    if (t == 0 || k >= n_octaves)
        return 0;
    return SL_FN(orthant_octave)(octaves + (k > 0 ? k : 0) * SL_OCTAVE_N, (SL_REAL)4 * mantissa - (SL_REAL)3);
}

/* Where correlations of a row are below `least` or above `most`: their number. Few are, so that some at a time are
 * looked at, as vectors, before it is asked which. */
SL_TARGET static int SL_FN(orthant_ends)(const SL_REAL *row, int64_t n, SL_REAL least, SL_REAL most, int16_t *places)
{
    int n_ends = 0;
    for (int64_t first = 0; first < n; first += SL_ORTHANT_GLANCE) {
        const int64_t stop = first + SL_ORTHANT_GLANCE < n ? first + SL_ORTHANT_GLANCE : n;
        if (stop == first + SL_ORTHANT_GLANCE) {
            SL_REAL low = row[first], high = row[first];
            for (int j = 1; j < SL_ORTHANT_GLANCE; ++j) {
                const SL_REAL c = row[first + j];
                low = c < low ? c : low;
                high = c > high ? c : high;
            }
            if (!(low < least) && !(high > most))
                continue;
        }
        for (int64_t j = first; j < stop; ++j) {
            places[n_ends] = (int16_t)j;
            n_ends += (row[j] > most) | (row[j] < least);
        }
    }
    return n_ends;
}

/* Multiply the products of unit vectors, one of `left` for each row and one of `right` for each column, by
 * P(N_1 > h and N_2 > h). */
SL_TARGET static void SL_FN(orthant_tile)(SL_REAL *tile, int64_t stride, int64_t n_rows, int64_t n_columns,
                                          const SL_REAL *left, const SL_REAL *right, int64_t d, SL_REAL base,
                                          const SL_REAL *near, const SL_REAL *octaves, int64_t n_octaves, int mirrored)
{
    SL_REAL ends[SL_ORTHANT_COLUMNS];
    int16_t places[SL_ORTHANT_COLUMNS];
    const SL_REAL most = (SL_REAL)1 - (SL_REAL)2 * SL_NEARLY, least = mirrored ? -most : (SL_REAL)-0.5;
    for (int64_t i = 0; i < n_rows; ++i)
        for (int64_t first = 0; first < n_columns; first += SL_ORTHANT_COLUMNS) {
            SL_REAL *row = tile + i * stride + first;
            const int64_t left_over = n_columns - first, n = left_over < SL_ORTHANT_COLUMNS ? left_over : SL_ORTHANT_COLUMNS;
            const int n_ends = SL_FN(orthant_ends)(row, n, least, most, places);
            for (int k = 0; k < n_ends; ++k)
                ends[k] = row[places[k]];
            if (mirrored)
                SL_FN(orthant_row_mirrored)(row, n, base, near);
            else
                SL_FN(orthant_row)(row, n, base, near, octaves);
            for (int k = 0; k < n_ends; ++k)
                row[places[k]] = ends[k] * SL_FN(orthant_end)(ends[k], left + i * d, right + (first + places[k]) * d, d, base,
                                                              near, octaves, n_octaves, mirrored);
        }
}

/* The derivative of c times the probability, for correlations c of at least -1/2; equal rows without that of the
 * probability, which is infinite there. */
SL_TARGET static void SL_FN(slope_row)(SL_REAL *row, int64_t n, SL_REAL base, const SL_REAL *near_of,
                                       const SL_REAL *octave_of)
{
    SL_REAL near[SL_NEAR_N], octave[SL_OCTAVE_N];
    memcpy(near, near_of, sizeof near);
    memcpy(octave, octave_of, sizeof octave);
    for (int64_t j = 0; j < n; ++j) {
        const SL_REAL c = row[j], x = (SL_REAL)0.5 - (SL_REAL)0.5 * c, y = (SL_REAL)0.5 + (SL_REAL)0.5 * c;
        const SL_REAL rest = SL_FN(orthant_near)(near, x) / SL_SQRT(x > SL_EQUAL ? x : 1);
        const SL_REAL below = SL_FN(orthant_octave)(octave, (SL_REAL)8 * y - (SL_REAL)3);
        row[j] = c >= 0 ? base + (x > SL_EQUAL ? rest : 0) : below;
    }
}

/* The same for h = 0, for all correlations. */
SL_TARGET static void SL_FN(slope_row_mirrored)(SL_REAL *row, int64_t n, SL_REAL base, const SL_REAL *near_of)
{
    SL_REAL near[SL_NEAR_N];
    memcpy(near, near_of, sizeof near);
    for (int64_t j = 0; j < n; ++j) {
        const SL_REAL c = row[j], t = (SL_REAL)0.5 - (SL_REAL)0.5 * SL_ABS(c);
        const SL_REAL rest = SL_FN(orthant_near)(near, t) / SL_SQRT(t > SL_EQUAL ? t : 1);
        const SL_REAL share = t > SL_EQUAL ? rest : 0;
        row[j] = c >= 0 ? base + share : -share;
    }
}

/* Replace correlations c by the derivative of c P(N_1 > h and N_2 > h). */
SL_TARGET static void SL_FN(slope_tile)(SL_REAL *tile, int64_t stride, int64_t n_rows, int64_t n_columns, SL_REAL base,
                                        const SL_REAL *near, const SL_REAL *octaves, int64_t n_octaves, int mirrored)
{
    SL_REAL below[SL_ORTHANT_COLUMNS];
    int16_t places[SL_ORTHANT_COLUMNS];
    for (int64_t i = 0; i < n_rows; ++i)
        for (int64_t first = 0; first < n_columns; first += SL_ORTHANT_COLUMNS) {
            SL_REAL *row = tile + i * stride + first;
            const int64_t left_over = n_columns - first, n = left_over < SL_ORTHANT_COLUMNS ? left_over : SL_ORTHANT_COLUMNS;
            if (mirrored) {
                SL_FN(slope_row_mirrored)(row, n, base, near);
                continue;
            }
            const int n_below = SL_FN(orthant_ends)(row, n, (SL_REAL)-0.5, (SL_REAL)2, places);
            for (int k = 0; k < n_below; ++k)
                below[k] = row[places[k]];
            SL_FN(slope_row)(row, n, base, near, octaves);
            for (int k = 0; k < n_below; ++k) {
                int exponent;
                const SL_REAL y = (SL_REAL)0.5 + (SL_REAL)0.5 * below[k];
                const SL_REAL mantissa = (SL_REAL)frexp(y, &exponent);
                const int64_t octave = -1 - exponent;
                row[places[k]] = y > 0 && octave < n_octaves
                                     ? SL_FN(orthant_octave)(octaves + octave * SL_OCTAVE_N, (SL_REAL)4 * mantissa - (SL_REAL)3)
                                     : 0;
            }
        }
}

#undef SL_NEAR_N
#undef SL_OCTAVE_N
#undef SL_NEARLY
#undef SL_EQUAL
