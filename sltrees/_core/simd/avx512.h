/* AVX-512: vectors of a block. Halves are those of AVX2. */
#ifndef SL_TARGET_avx512
#define SL_TARGET_avx512 __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi,bmi2,lzcnt,popcnt")))

#include <immintrin.h>

SL_UNUSED static int sl_runs_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
}

/* Compress into a register and store all of it: compressing straight to memory is microcode on some
 * processors (Zen 4: over 100 cycles), and the overshoot is covered by the slack of the output. */
SL_TARGET_avx512 SL_INLINE int sl_compress_store_avx512(int32_t *out, int32_t base, uint32_t mask)
{
    const __m512i lanes = _mm512_add_epi32(
        _mm512_set1_epi32(base), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi32((__mmask16)mask, lanes));
    return _mm_popcnt_u32(mask);
}

/* A block times its sign. */
SL_TARGET_avx512 SL_INLINE __m512 sl_load_f32_avx512(const float *p, float sign)
{
    const __m512i flip = _mm512_and_si512(_mm512_castps_si512(_mm512_set1_ps(sign)), _mm512_set1_epi32(INT32_MIN));
    return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(_mm512_loadu_ps(p)), flip));
}

SL_TARGET_avx512 SL_INLINE __m512d sl_load_f64_avx512(const double *p, double sign)
{
    const __m512i flip = _mm512_and_si512(_mm512_castpd_si512(_mm512_set1_pd(sign)), _mm512_set1_epi64(INT64_MIN));
    return _mm512_castsi512_pd(_mm512_xor_si512(_mm512_castpd_si512(_mm512_loadu_pd(p)), flip));
}

/* The greatest lane of a vector. */
SL_TARGET_avx512 SL_INLINE float sl_greatest_f32_avx512(__m512 a)
{
    return sl_greatest_f32_avx2(_mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1)));
}

SL_TARGET_avx512 SL_INLINE double sl_greatest_f64_avx512(__m512d a)
{
    return sl_greatest_f64_avx2(_mm256_max_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1)));
}

/* Maxima of 16 blocks: three rounds of shuffle-and-max leave one lane for each block, in order. */
SL_TARGET_avx512 SL_INLINE int sl_block_maxima_f32_avx512(const float *p, float sign, float *out)
{
    __mmask16 bad = 0;
    __m512 within[4];
    for (int q = 0; q < 4; ++q) { /* lane L of within[q]: maxima of lane L of the blocks 4q .. 4q + 3 */
        const __m512 a = sl_load_f32_avx512(p + 64 * q, sign), b = sl_load_f32_avx512(p + 64 * q + 16, sign);
        const __m512 c = sl_load_f32_avx512(p + 64 * q + 32, sign), d = sl_load_f32_avx512(p + 64 * q + 48, sign);
        bad |= _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q) | _mm512_cmp_ps_mask(c, d, _CMP_UNORD_Q);
        const __m512d ab = _mm512_castps_pd(_mm512_max_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
        const __m512d cd = _mm512_castps_pd(_mm512_max_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)));
        within[q] = _mm512_max_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)),
                                  _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
    }
    const __m512 low = _mm512_max_ps(_mm512_shuffle_f32x4(within[0], within[1], 0x44),
                                     _mm512_shuffle_f32x4(within[0], within[1], 0xEE));
    const __m512 high = _mm512_max_ps(_mm512_shuffle_f32x4(within[2], within[3], 0x44),
                                      _mm512_shuffle_f32x4(within[2], within[3], 0xEE));
    _mm512_storeu_ps(out, _mm512_max_ps(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xDD)));
    return bad != 0;
}

SL_TARGET_avx512 SL_INLINE int sl_block_maxima_f64_avx512(const double *p, double sign, double *out)
{
    __mmask8 bad = 0;
    __m512d within[4];
    for (int q = 0; q < 4; ++q) { /* lane L of within[q]: maxima of lane L of the blocks 2q, 2q + 1 */
        const __m512d a = sl_load_f64_avx512(p + 16 * q, sign), b = sl_load_f64_avx512(p + 16 * q + 8, sign);
        bad |= _mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q);
        within[q] = _mm512_max_pd(_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
    }
    const __m512d low = _mm512_max_pd(_mm512_shuffle_f64x2(within[0], within[1], 0x44),
                                      _mm512_shuffle_f64x2(within[0], within[1], 0xEE));
    const __m512d high = _mm512_max_pd(_mm512_shuffle_f64x2(within[2], within[3], 0x44),
                                       _mm512_shuffle_f64x2(within[2], within[3], 0xEE));
    _mm512_storeu_pd(out, _mm512_max_pd(_mm512_shuffle_f64x2(low, high, 0x88), _mm512_shuffle_f64x2(low, high, 0xDD)));
    return bad != 0;
}

/* The sums of all lanes of four vectors: halves are added until one lane of each is left. */
SL_TARGET_avx512 SL_INLINE void sl_four_totals_f32_avx512(__m512 a, __m512 b, __m512 c, __m512 d, float *out)
{
    /* a0 b0 a1 b1 in each lane of 128 bits, then a b c d */
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const __m512 abcd = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE));
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(abcd), _mm512_extractf32x8_ps(abcd, 1));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
}

SL_TARGET_avx512 SL_INLINE void sl_four_totals_f64_avx512(__m512d a, __m512d b, __m512d c, __m512d d, double *out)
{
    const __m512d ab = _mm512_add_pd(_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
    const __m512d cd = _mm512_add_pd(_mm512_unpacklo_pd(c, d), _mm512_unpackhi_pd(c, d));
    const __m256d ab_half = _mm256_add_pd(_mm512_castpd512_pd256(ab), _mm512_extractf64x4_pd(ab, 1));
    const __m256d cd_half = _mm256_add_pd(_mm512_castpd512_pd256(cd), _mm512_extractf64x4_pd(cd, 1));
    _mm_storeu_pd(out, _mm_add_pd(_mm256_castpd256_pd128(ab_half), _mm256_extractf128_pd(ab_half, 1)));
    _mm_storeu_pd(out + 2, _mm_add_pd(_mm256_castpd256_pd128(cd_half), _mm256_extractf128_pd(cd_half, 1)));
}

#endif /* what both dtypes share, and what differs between them */

#if SL_BITS == 4
#define SL_VECTOR __m512
#define SL_MASK __mmask16
#define SL_V(op) _mm512_##op##_ps
#define SL_V_MASK(op) _mm512_##op##_ps_mask
#else
#define SL_VECTOR __m512d
#define SL_MASK __mmask8
#define SL_V(op) _mm512_##op##_pd
#define SL_V_MASK(op) _mm512_##op##_pd_mask
#endif

SL_TARGET SL_INLINE SL_REAL SL_FN(block_max)(const SL_REAL *p, SL_REAL sign)
{
    return SL_FN(greatest)(SL_FN(load)(p, sign));
}

/* Half of a block is a vector of AVX2, and those are what the last steps of a sum are made of anyway. */
SL_TARGET SL_INLINE SL_REAL SL_FN(block_sum)(const SL_REAL *p)
{
    return SL_PASTE3(sl_block_sum, SL_DTYPE, avx2)(p);
}

SL_TARGET SL_INLINE SL_REAL SL_FN(block_least)(const SL_REAL *p)
{
    return SL_PASTE3(sl_block_least, SL_DTYPE, avx2)(p);
}

SL_TARGET SL_INLINE uint32_t SL_FN(block_mask)(const SL_REAL *p, SL_REAL t, SL_REAL sign)
{
    return (uint32_t)SL_V_MASK(cmp)(SL_FN(load)(p, sign), SL_V(set1)(t), _CMP_GT_OQ);
}

SL_TARGET SL_INLINE uint32_t SL_FN(block_mask_each)(const SL_REAL *p, const SL_REAL *t)
{
    return (uint32_t)SL_V_MASK(cmp)(SL_V(loadu)(p), SL_V(loadu)(t), _CMP_GT_OQ);
}

SL_TARGET SL_INLINE uint32_t SL_FN(block_band)(const SL_REAL *p, SL_REAL t)
{
    return (uint32_t)SL_V_MASK(cmp)(SL_V(abs)(SL_V(loadu)(p)), SL_V(set1)(t), _CMP_LE_OQ);
}

SL_TARGET SL_INLINE SL_REAL SL_FN(dot)(const SL_REAL *a, const SL_REAL *b, int64_t n)
{
    SL_VECTOR s = SL_V(setzero)(), t = SL_V(setzero)();
    int64_t k = 0;
    for (; k + 2 * SL_W <= n; k += 2 * SL_W) {
        s = SL_V(fmadd)(SL_V(loadu)(a + k), SL_V(loadu)(b + k), s);
        t = SL_V(fmadd)(SL_V(loadu)(a + k + SL_W), SL_V(loadu)(b + k + SL_W), t);
    }
    if (k < n)
        s = SL_V(fmadd)(SL_V(loadu)(a + k), SL_V(loadu)(b + k), s);
    return SL_V(reduce_add)(SL_V(add)(s, t));
}

/* Sums of four vectors at a time stay in registers. */
SL_TARGET SL_INLINE void SL_FN(add_rows)(SL_REAL *y, int64_t n, const SL_REAL *c, const int32_t *at, int64_t k,
                                         const SL_REAL *rows)
{
    int64_t j = 0;
    for (; j + 4 * SL_W <= n; j += 4 * SL_W) {
        SL_VECTOR p = SL_V(loadu)(y + j), q = SL_V(loadu)(y + j + SL_W);
        SL_VECTOR r = SL_V(loadu)(y + j + 2 * SL_W), s = SL_V(loadu)(y + j + 3 * SL_W);
        for (int64_t e = 0; e < k; ++e) {
            const SL_VECTOR by = SL_V(set1)(c[e]);
            const SL_REAL *x = rows + at[e] * n + j;
            p = SL_V(fmadd)(by, SL_V(loadu)(x), p);
            q = SL_V(fmadd)(by, SL_V(loadu)(x + SL_W), q);
            r = SL_V(fmadd)(by, SL_V(loadu)(x + 2 * SL_W), r);
            s = SL_V(fmadd)(by, SL_V(loadu)(x + 3 * SL_W), s);
        }
        SL_V(storeu)(y + j, p);
        SL_V(storeu)(y + j + SL_W, q);
        SL_V(storeu)(y + j + 2 * SL_W, r);
        SL_V(storeu)(y + j + 3 * SL_W, s);
    }
    for (; j < n; j += SL_W) {
        SL_VECTOR p = SL_V(loadu)(y + j);
        for (int64_t e = 0; e < k; ++e)
            p = SL_V(fmadd)(SL_V(set1)(c[e]), SL_V(loadu)(rows + at[e] * n + j), p);
        SL_V(storeu)(y + j, p);
    }
}

SL_TARGET SL_INLINE int64_t SL_FN(least_two)(const SL_REAL *p, int64_t n, SL_REAL *two)
{
    const SL_VECTOR worst = SL_V(set1)((SL_REAL)INFINITY);
    SL_VECTOR least = worst, second = worst; /* of each lane */
    for (int64_t k = 0; k < n; k += SL_W) {
        const SL_MASK in = n - k < SL_W ? (SL_MASK)((1u << (n - k)) - 1u) : (SL_MASK)-1;
        const SL_VECTOR x = SL_V(abs)(SL_V(mask_loadu)(worst, in, p + k));
        second = SL_V(min)(second, SL_V(max)(x, least));
        least = SL_V(min)(least, x);
    }
    two[0] = SL_V(reduce_min)(least);
    const SL_VECTOR best = SL_V(set1)(two[0]);
    /* the second is the least of all lanes but the first of those that have the best, or what that lane has second */
    const SL_MASK have = SL_V_MASK(cmp)(least, best, _CMP_EQ_OQ);
    two[1] = SL_V(reduce_min)(SL_V(mask_min)(second, (SL_MASK)~(have & -have), second, least));
    for (int64_t k = 0; k < n; k += SL_W) {
        const SL_MASK in = n - k < SL_W ? (SL_MASK)((1u << (n - k)) - 1u) : (SL_MASK)-1;
        const SL_VECTOR x = SL_V(abs)(SL_V(mask_loadu)(worst, in, p + k));
        const SL_MASK found = in & SL_V_MASK(cmp)(x, best, _CMP_EQ_OQ);
        if (found)
            return k + SL_COUNT_TRAILING_ZEROS((uint32_t)found);
    }
    return -1;
}

SL_TARGET SL_INLINE void SL_FN(dots)(const SL_REAL *v, int64_t n, const int32_t *at, const SL_REAL *rows, SL_REAL *out)
{
    const SL_REAL *pa = rows + at[0] * n, *pb = rows + at[1] * n, *pc = rows + at[2] * n, *pd = rows + at[3] * n;
    SL_VECTOR a = SL_V(setzero)(), b = a, c = a, d = a;
    for (int64_t k = 0; k < n; k += SL_W) {
        const SL_VECTOR x = SL_V(loadu)(v + k);
        a = SL_V(fmadd)(x, SL_V(loadu)(pa + k), a);
        b = SL_V(fmadd)(x, SL_V(loadu)(pb + k), b);
        c = SL_V(fmadd)(x, SL_V(loadu)(pc + k), c);
        d = SL_V(fmadd)(x, SL_V(loadu)(pd + k), d);
    }
    SL_FN(four_totals)(a, b, c, d, out);
}

/* Eight sums in registers, of rows or of blocks. */
SL_TARGET SL_INLINE void SL_FN(block_products)(const SL_REAL *a, int64_t d, const SL_REAL *b, int64_t stride, SL_REAL *out,
                                               int64_t n)
{
    const SL_REAL *e = a + 4 * d;
    SL_VECTOR s = SL_V(setzero)(), t = s, u = s, v = s, w = s, x = s, y = s, z = s;
    for (int64_t k = 0; k < d; ++k) {
        const SL_VECTOR by = SL_V(loadu)(b + k * stride);
        s = SL_V(fmadd)(SL_V(set1)(a[k]), by, s);
        t = SL_V(fmadd)(SL_V(set1)(a[k + d]), by, t);
        u = SL_V(fmadd)(SL_V(set1)(a[k + 2 * d]), by, u);
        v = SL_V(fmadd)(SL_V(set1)(a[k + 3 * d]), by, v);
        w = SL_V(fmadd)(SL_V(set1)(e[k]), by, w);
        x = SL_V(fmadd)(SL_V(set1)(e[k + d]), by, x);
        y = SL_V(fmadd)(SL_V(set1)(e[k + 2 * d]), by, y);
        z = SL_V(fmadd)(SL_V(set1)(e[k + 3 * d]), by, z);
    }
    SL_V(storeu)(out, s);
    SL_V(storeu)(out + n, t);
    SL_V(storeu)(out + 2 * n, u);
    SL_V(storeu)(out + 3 * n, v);
    SL_V(storeu)(out + 4 * n, w);
    SL_V(storeu)(out + 5 * n, x);
    SL_V(storeu)(out + 6 * n, y);
    SL_V(storeu)(out + 7 * n, z);
}

SL_TARGET SL_INLINE void SL_FN(row_products)(const SL_REAL *a, int64_t d, const SL_REAL *b, int64_t stride, SL_REAL *out)
{
    SL_VECTOR s = SL_V(setzero)(), t = s, u = s, v = s;
    for (int64_t k = 0; k < d; ++k) {
        const SL_VECTOR by = SL_V(set1)(a[k]);
        const SL_REAL *x = b + k * stride;
        s = SL_V(fmadd)(by, SL_V(loadu)(x), s);
        t = SL_V(fmadd)(by, SL_V(loadu)(x + SL_W), t);
        u = SL_V(fmadd)(by, SL_V(loadu)(x + 2 * SL_W), u);
        v = SL_V(fmadd)(by, SL_V(loadu)(x + 3 * SL_W), v);
    }
    SL_V(storeu)(out, s);
    SL_V(storeu)(out + SL_W, t);
    SL_V(storeu)(out + 2 * SL_W, u);
    SL_V(storeu)(out + 3 * SL_W, v);
}

#undef SL_VECTOR
#undef SL_MASK
#undef SL_V
#undef SL_V_MASK
