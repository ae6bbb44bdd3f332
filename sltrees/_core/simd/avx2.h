/* AVX2: vectors of half a block. */
#ifndef SL_TARGET_avx2
#define SL_TARGET_avx2 __attribute__((target("avx2,fma,bmi,bmi2,lzcnt,popcnt")))

#include <immintrin.h>

SL_UNUSED static int sl_runs_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
}

/* The numbers of the set bits of a byte: spread the bits over bytes (deposit), and extract the bytes 0..7 selected. */
SL_TARGET_avx2 SL_INLINE void sl_compress8_avx2(int32_t *out, int32_t base, uint32_t byte)
{
#if defined(__x86_64__)
    const uint64_t selected = _pdep_u64(byte, UINT64_C(0x0101010101010101)) * 0xFF;
    const __m128i numbers = _mm_cvtsi64_si128((int64_t)_pext_u64(UINT64_C(0x0706050403020100), selected));
    const __m256i lanes = _mm256_add_epi32(_mm256_cvtepu8_epi32(numbers), _mm256_set1_epi32(base));
    _mm256_storeu_si256((__m256i *)out, lanes);
#else
    sl_compress_store_portable(out, base, byte);
#endif
}

SL_TARGET_avx2 SL_INLINE int sl_compress_store_avx2(int32_t *out, int32_t base, uint32_t mask)
{
    const int n = _mm_popcnt_u32(mask & 255u);
    sl_compress8_avx2(out, base, mask & 255u);
    sl_compress8_avx2(out + n, base + 8, mask >> 8);
    return n + _mm_popcnt_u32(mask >> 8);
}

/* The greatest lane of a vector. */
SL_TARGET_avx2 SL_INLINE float sl_greatest_f32_avx2(__m256 c)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(c), _mm256_extractf128_ps(c, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    return _mm_cvtss_f32(m);
}

SL_TARGET_avx2 SL_INLINE double sl_greatest_f64_avx2(__m256d c)
{
    __m128d m = _mm_max_pd(_mm256_castpd256_pd128(c), _mm256_extractf128_pd(c, 1));
    m = _mm_max_sd(m, _mm_unpackhi_pd(m, m));
    return _mm_cvtsd_f64(m);
}

/* The least lane of a vector. */
SL_TARGET_avx2 SL_INLINE float sl_least_f32_avx2(__m256 c)
{
    __m128 m = _mm_min_ps(_mm256_castps256_ps128(c), _mm256_extractf128_ps(c, 1));
    m = _mm_min_ps(m, _mm_movehl_ps(m, m));
    m = _mm_min_ss(m, _mm_movehdup_ps(m));
    return _mm_cvtss_f32(m);
}

SL_TARGET_avx2 SL_INLINE double sl_least_f64_avx2(__m256d c)
{
    __m128d m = _mm_min_pd(_mm256_castpd256_pd128(c), _mm256_extractf128_pd(c, 1));
    m = _mm_min_sd(m, _mm_unpackhi_pd(m, m));
    return _mm_cvtsd_f64(m);
}

/* The sum of all lanes of a vector. */
SL_TARGET_avx2 SL_INLINE float sl_total_f32_avx2(__m256 sum)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

SL_TARGET_avx2 SL_INLINE double sl_total_f64_avx2(__m256d sum)
{
    const __m128d s = _mm_add_pd(_mm256_castpd256_pd128(sum), _mm256_extractf128_pd(sum, 1));
    return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
}

/* The same of four vectors. */
SL_TARGET_avx2 SL_INLINE void sl_four_totals_f32_avx2(__m256 a, __m256 b, __m256 c, __m256 d, float *out)
{
    const __m256 ab = _mm256_hadd_ps(a, b), cd = _mm256_hadd_ps(c, d), abcd = _mm256_hadd_ps(ab, cd);
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(abcd), _mm256_extractf128_ps(abcd, 1)));
}

SL_TARGET_avx2 SL_INLINE void sl_four_totals_f64_avx2(__m256d a, __m256d b, __m256d c, __m256d d, double *out)
{
    const __m256d ab = _mm256_hadd_pd(a, b), cd = _mm256_hadd_pd(c, d); /* a0 b0 a1 b1, c0 d0 c1 d1 */
    const __m256d low = _mm256_permute2f128_pd(ab, cd, 0x20), high = _mm256_permute2f128_pd(ab, cd, 0x31);
    _mm256_storeu_pd(out, _mm256_add_pd(low, high));
}

#endif /* what both dtypes share, and what differs between them */

#if SL_BITS == 4
#define SL_VECTOR __m256
#define SL_V(op) _mm256_##op##_ps
#else
#define SL_VECTOR __m256d
#define SL_V(op) _mm256_##op##_pd
#endif
#define SL_LANES (SL_WIDTH / 2)

SL_TARGET SL_INLINE SL_VECTOR SL_FN(flip)(SL_REAL sign)
{   /* the sign bit where sign is -1, else nothing: xor with it multiplies by sign exactly */
    return SL_V(and)(SL_V(set1)(sign), SL_V(set1)((SL_REAL)-0.0));
}

SL_TARGET SL_INLINE SL_REAL SL_FN(block_max)(const SL_REAL *p, SL_REAL sign)
{
    const SL_VECTOR flip = SL_FN(flip)(sign);
    const SL_VECTOR a = SL_V(xor)(SL_V(loadu)(p), flip);
    const SL_VECTOR b = SL_V(xor)(SL_V(loadu)(p + SL_LANES), flip);
    return SL_FN(greatest)(SL_V(max)(a, b));
}

SL_TARGET SL_INLINE SL_REAL SL_FN(block_sum)(const SL_REAL *p)
{
    return SL_FN(total)(SL_V(add)(SL_V(loadu)(p), SL_V(loadu)(p + SL_LANES)));
}

SL_TARGET SL_INLINE SL_REAL SL_FN(block_least)(const SL_REAL *p)
{
    const SL_VECTOR zero = SL_V(setzero)(), worst = SL_V(set1)((SL_REAL)INFINITY);
    const SL_VECTOR a = SL_V(loadu)(p), b = SL_V(loadu)(p + SL_LANES);
    const SL_VECTOR low = SL_V(blendv)(worst, a, SL_V(cmp)(a, zero, _CMP_GT_OQ));
    const SL_VECTOR high = SL_V(blendv)(worst, b, SL_V(cmp)(b, zero, _CMP_GT_OQ));
    return SL_FN(least)(SL_V(min)(low, high));
}

SL_TARGET SL_INLINE uint32_t SL_FN(block_mask)(const SL_REAL *p, SL_REAL t, SL_REAL sign)
{
    const SL_VECTOR flip = SL_FN(flip)(sign), threshold = SL_V(set1)(t);
    const SL_VECTOR a = SL_V(xor)(SL_V(loadu)(p), flip);
    const SL_VECTOR b = SL_V(xor)(SL_V(loadu)(p + SL_LANES), flip);
    const uint32_t low = (uint32_t)SL_V(movemask)(SL_V(cmp)(a, threshold, _CMP_GT_OQ));
    const uint32_t high = (uint32_t)SL_V(movemask)(SL_V(cmp)(b, threshold, _CMP_GT_OQ));
    return low | (high << SL_LANES);
}

SL_TARGET SL_INLINE int SL_FN(block_maxima)(const SL_REAL *p, SL_REAL sign, SL_REAL *out)
{
    int bad = 0;
    for (int i = 0; i < SL_WIDTH; ++i)
        out[i] = SL_FN(block_max)(p + i * SL_WIDTH, sign);
    for (int j = 0; j < SL_WIDTH * SL_WIDTH; ++j)
        bad |= p[j] != p[j];
    return bad;
}

SL_TARGET SL_INLINE uint32_t SL_FN(block_mask_each)(const SL_REAL *p, const SL_REAL *t)
{
    const SL_VECTOR low = SL_V(cmp)(SL_V(loadu)(p), SL_V(loadu)(t), _CMP_GT_OQ);
    const SL_VECTOR high = SL_V(cmp)(SL_V(loadu)(p + SL_LANES), SL_V(loadu)(t + SL_LANES), _CMP_GT_OQ);
    return (uint32_t)SL_V(movemask)(low) | ((uint32_t)SL_V(movemask)(high) << SL_LANES);
}

SL_TARGET SL_INLINE uint32_t SL_FN(block_band)(const SL_REAL *p, SL_REAL t)
{
    const SL_VECTOR sign = SL_V(set1)((SL_REAL)-0.0), limit = SL_V(set1)(t);
    const SL_VECTOR low = SL_V(cmp)(SL_V(andnot)(sign, SL_V(loadu)(p)), limit, _CMP_LE_OQ);
    const SL_VECTOR high = SL_V(cmp)(SL_V(andnot)(sign, SL_V(loadu)(p + SL_LANES)), limit, _CMP_LE_OQ);
    return (uint32_t)SL_V(movemask)(low) | ((uint32_t)SL_V(movemask)(high) << SL_LANES);
}

SL_TARGET SL_INLINE SL_REAL SL_FN(dot)(const SL_REAL *a, const SL_REAL *b, int64_t n)
{
    SL_VECTOR low = SL_V(setzero)(), high = SL_V(setzero)();
    for (int64_t k = 0; k < n; k += SL_W) {
        low = SL_V(fmadd)(SL_V(loadu)(a + k), SL_V(loadu)(b + k), low);
        high = SL_V(fmadd)(SL_V(loadu)(a + k + SL_LANES), SL_V(loadu)(b + k + SL_LANES), high);
    }
    return SL_FN(total)(SL_V(add)(low, high));
}

/* Sums of four vectors at a time stay in registers. */
SL_TARGET SL_INLINE void SL_FN(add_rows)(SL_REAL *y, int64_t n, const SL_REAL *c, const int32_t *at, int64_t k,
                                         const SL_REAL *rows)
{
    int64_t j = 0;
    for (; j + 4 * SL_LANES <= n; j += 4 * SL_LANES) {
        SL_VECTOR p = SL_V(loadu)(y + j), q = SL_V(loadu)(y + j + SL_LANES);
        SL_VECTOR r = SL_V(loadu)(y + j + 2 * SL_LANES), s = SL_V(loadu)(y + j + 3 * SL_LANES);
        for (int64_t e = 0; e < k; ++e) {
            const SL_VECTOR by = SL_V(set1)(c[e]);
            const SL_REAL *x = rows + at[e] * n + j;
            p = SL_V(fmadd)(by, SL_V(loadu)(x), p);
            q = SL_V(fmadd)(by, SL_V(loadu)(x + SL_LANES), q);
            r = SL_V(fmadd)(by, SL_V(loadu)(x + 2 * SL_LANES), r);
            s = SL_V(fmadd)(by, SL_V(loadu)(x + 3 * SL_LANES), s);
        }
        SL_V(storeu)(y + j, p);
        SL_V(storeu)(y + j + SL_LANES, q);
        SL_V(storeu)(y + j + 2 * SL_LANES, r);
        SL_V(storeu)(y + j + 3 * SL_LANES, s);
    }
    for (; j < n; j += SL_LANES) {
        SL_VECTOR p = SL_V(loadu)(y + j);
        for (int64_t e = 0; e < k; ++e)
            p = SL_V(fmadd)(SL_V(set1)(c[e]), SL_V(loadu)(rows + at[e] * n + j), p);
        SL_V(storeu)(y + j, p);
    }
}

/* A loop without vectors: lists are short. */
SL_TARGET SL_INLINE int64_t SL_FN(least_two)(const SL_REAL *p, int64_t n, SL_REAL *two)
{
    return SL_PORTABLE(least_two)(p, n, two);
}

SL_TARGET SL_INLINE void SL_FN(dots)(const SL_REAL *v, int64_t n, const int32_t *at, const SL_REAL *rows, SL_REAL *out)
{
    const SL_REAL *pa = rows + at[0] * n, *pb = rows + at[1] * n, *pc = rows + at[2] * n, *pd = rows + at[3] * n;
    SL_VECTOR a = SL_V(setzero)(), b = a, c = a, d = a;
    for (int64_t k = 0; k < n; k += SL_LANES) {
        const SL_VECTOR x = SL_V(loadu)(v + k);
        a = SL_V(fmadd)(x, SL_V(loadu)(pa + k), a);
        b = SL_V(fmadd)(x, SL_V(loadu)(pb + k), b);
        c = SL_V(fmadd)(x, SL_V(loadu)(pc + k), c);
        d = SL_V(fmadd)(x, SL_V(loadu)(pd + k), d);
    }
    SL_FN(four_totals)(a, b, c, d, out);
}

/* Eight sums in registers: both halves of a block for four rows. */
SL_TARGET SL_INLINE void SL_FN(four_rows)(const SL_REAL *a, int64_t d, const SL_REAL *b, int64_t stride, SL_REAL *out,
                                          int64_t n)
{
    SL_VECTOR s = SL_V(setzero)(), t = s, u = s, v = s, w = s, x = s, y = s, z = s;
    for (int64_t k = 0; k < d; ++k) {
        const SL_VECTOR low = SL_V(loadu)(b + k * stride), high = SL_V(loadu)(b + k * stride + SL_LANES);
        const SL_VECTOR first = SL_V(set1)(a[k]), second = SL_V(set1)(a[k + d]);
        const SL_VECTOR third = SL_V(set1)(a[k + 2 * d]), fourth = SL_V(set1)(a[k + 3 * d]);
        s = SL_V(fmadd)(first, low, s);
        t = SL_V(fmadd)(first, high, t);
        u = SL_V(fmadd)(second, low, u);
        v = SL_V(fmadd)(second, high, v);
        w = SL_V(fmadd)(third, low, w);
        x = SL_V(fmadd)(third, high, x);
        y = SL_V(fmadd)(fourth, low, y);
        z = SL_V(fmadd)(fourth, high, z);
    }
    SL_V(storeu)(out, s);
    SL_V(storeu)(out + SL_LANES, t);
    SL_V(storeu)(out + n, u);
    SL_V(storeu)(out + n + SL_LANES, v);
    SL_V(storeu)(out + 2 * n, w);
    SL_V(storeu)(out + 2 * n + SL_LANES, x);
    SL_V(storeu)(out + 3 * n, y);
    SL_V(storeu)(out + 3 * n + SL_LANES, z);
}

SL_TARGET SL_INLINE void SL_FN(block_products)(const SL_REAL *a, int64_t d, const SL_REAL *b, int64_t stride, SL_REAL *out,
                                               int64_t n)
{
    SL_FN(four_rows)(a, d, b, stride, out, n);
    SL_FN(four_rows)(a + 4 * d, d, b, stride, out + 4 * n, n);
}

SL_TARGET SL_INLINE void SL_FN(row_products)(const SL_REAL *a, int64_t d, const SL_REAL *b, int64_t stride, SL_REAL *out)
{
    SL_VECTOR s = SL_V(setzero)(), t = s, u = s, v = s, w = s, x = s, y = s, z = s;
    for (int64_t k = 0; k < d; ++k) {
        const SL_VECTOR by = SL_V(set1)(a[k]);
        const SL_REAL *p = b + k * stride;
        s = SL_V(fmadd)(by, SL_V(loadu)(p), s);
        t = SL_V(fmadd)(by, SL_V(loadu)(p + SL_LANES), t);
        u = SL_V(fmadd)(by, SL_V(loadu)(p + 2 * SL_LANES), u);
        v = SL_V(fmadd)(by, SL_V(loadu)(p + 3 * SL_LANES), v);
        w = SL_V(fmadd)(by, SL_V(loadu)(p + 4 * SL_LANES), w);
        x = SL_V(fmadd)(by, SL_V(loadu)(p + 5 * SL_LANES), x);
        y = SL_V(fmadd)(by, SL_V(loadu)(p + 6 * SL_LANES), y);
        z = SL_V(fmadd)(by, SL_V(loadu)(p + 7 * SL_LANES), z);
    }
    SL_V(storeu)(out, s);
    SL_V(storeu)(out + SL_LANES, t);
    SL_V(storeu)(out + 2 * SL_LANES, u);
    SL_V(storeu)(out + 3 * SL_LANES, v);
    SL_V(storeu)(out + 4 * SL_LANES, w);
    SL_V(storeu)(out + 5 * SL_LANES, x);
    SL_V(storeu)(out + 6 * SL_LANES, y);
    SL_V(storeu)(out + 7 * SL_LANES, z);
}

#undef SL_VECTOR
#undef SL_V
#undef SL_LANES
