/* The only file of the package that knows SIMD instructions.
 *
 * A *block* is one 64-byte cache line: SL_WIDTH_f32 = 16 floats or SL_WIDTH_f64 = 8 doubles. Four primitives carry
 * every walk over a wide tree, and six more the kernels of lazy rows:
 *
 *   block_max(p, sign)           largest sign * p[j] of a block
 *   block_maxima(p, sign, out)   the same for W consecutive blocks, transposed so that no lane idles; returns
 *                                whether a NaN is among them (the maxima mean nothing then)
 *   block_mask(p, t, sign)       bit j set where sign * p[j] > t
 *   compress_store(out, base, mask)
 *                                write the 32-bit numbers base + j for every set bit j, ascending; return how many.
 *                                May write garbage up to out[15]
 *   block_mask_each(p, t)        bit j set where p[j] > t[j]
 *   block_band(p, t)             bit j set where |p[j]| <= t
 *   dot(a, b, n)                 sum of a[j] b[j], n a multiple of W. The order of the sum is that of the level, and
 *                                products may be fused with sums: levels agree up to rounding only
 *   add_rows(y, n, c, at, k, rows)
 *                                y += sum over e < k of c[e] times row at[e] of `rows`, rows of n numbers, n a multiple of W
 *   least_two(p, n, two)         the least |p[j]| and the second least; returns the position of the first, -1 for n = 0
 *   dots(v, n, at, rows, out)    out[j] = dot(v, row at[j] of `rows`, n) for four rows
 *
 * `sign` is +1 for a max-tree and -1 for a min-tree: a min-tree is a max-tree read through a
 * change of sign on load, so one set of walks serves both orientations.
 *
 * Each primitive exists once per instruction level and is suffixed with it. wide_tree.h includes the
 * walks once per (level, dtype), so that the primitives are inlined into them; which instance runs
 * is chosen once, at import (see _simd.pyx). No file is compiled with -march flags.
 */
#ifndef SLTREES_SIMD_H
#define SLTREES_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define SL_WIDTH_f32 16
#define SL_WIDTH_f64 8

#if defined(__GNUC__) || defined(__clang__)
#define SL_INLINE static inline __attribute__((always_inline, unused))
#define SL_UNUSED __attribute__((unused))
#define SL_NOINLINE __attribute__((noinline))
#define SL_LIKELY(x) __builtin_expect(!!(x), 1)
#define SL_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define SL_PREFETCH(p) __builtin_prefetch((p), 0, 3)
#define SL_COUNT_TRAILING_ZEROS(x) __builtin_ctz(x)
#define SL_POPCOUNT(x) __builtin_popcount(x)
#else
#define SL_INLINE static inline
#define SL_UNUSED
#define SL_NOINLINE
#define SL_LIKELY(x) (x)
#define SL_UNLIKELY(x) (x)
#define SL_PREFETCH(p) ((void)(p))
SL_INLINE int SL_COUNT_TRAILING_ZEROS(uint32_t x)
{
    int n = 0;
    while (!(x & 1u)) {
        x >>= 1;
        ++n;
    }
    return n;
}
SL_INLINE int SL_POPCOUNT(uint32_t x)
{
    int n = 0;
    for (; x; x &= x - 1)
        ++n;
    return n;
}
#endif

/* Names of instances: files that are included once per level and dtype build theirs from SL_ISA and SL_DTYPE. */
#define SL_PASTE3_(a, b, c) a##_##b##_##c
#define SL_PASTE3(a, b, c) SL_PASTE3_(a, b, c)
#define SL_PASTE2_(a, b) a##b
#define SL_PASTE2(a, b) SL_PASTE2_(a, b)

/* ------------------------------------------------------------------ levels */

enum {
    SL_SIMD_PORTABLE = 0,
    SL_SIMD_NEON = 1,
    SL_SIMD_AVX2 = 2,
    SL_SIMD_AVX512 = 3,
    SL_SIMD_N_LEVELS = 4
};

#if (defined(__x86_64__) || defined(__i386__)) && (defined(__GNUC__) || defined(__clang__))
#define SL_HAVE_X86 1
#include <immintrin.h>
#define SL_TARGET_avx2 __attribute__((target("avx2,fma,bmi,bmi2,lzcnt,popcnt")))
#define SL_TARGET_avx512 __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi,bmi2,lzcnt,popcnt")))
#endif

#if defined(__aarch64__) || defined(_M_ARM64)
#define SL_HAVE_NEON 1
#include <arm_neon.h>
#define SL_TARGET_neon
#endif

#define SL_TARGET_portable

/* Whether this processor (and this build) can run `level`. */
SL_UNUSED static int sl_simd_supported(int level)
{
    switch (level) {
    case SL_SIMD_PORTABLE:
        return 1;
#ifdef SL_HAVE_NEON
    case SL_SIMD_NEON:
        return 1; /* part of the base architecture */
#endif
#ifdef SL_HAVE_X86
    case SL_SIMD_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
    case SL_SIMD_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
#endif
    default:
        return 0;
    }
}

/* --------------------------------------------------------- portable C (any compiler) */

SL_INLINE float sl_block_max_f32_portable(const float *p, float sign)
{
    float best = sign * p[0];
    for (int j = 1; j < SL_WIDTH_f32; ++j) {
        const float x = sign * p[j];
        best = x > best ? x : best;
    }
    return best;
}

SL_INLINE double sl_block_max_f64_portable(const double *p, double sign)
{
    double best = sign * p[0];
    for (int j = 1; j < SL_WIDTH_f64; ++j) {
        const double x = sign * p[j];
        best = x > best ? x : best;
    }
    return best;
}

SL_INLINE uint32_t sl_block_mask_f32_portable(const float *p, float t, float sign)
{
    uint32_t mask = 0;
    for (int j = 0; j < SL_WIDTH_f32; ++j)
        mask |= (uint32_t)(sign * p[j] > t) << j;
    return mask;
}

SL_INLINE uint32_t sl_block_mask_f64_portable(const double *p, double t, double sign)
{
    uint32_t mask = 0;
    for (int j = 0; j < SL_WIDTH_f64; ++j)
        mask |= (uint32_t)(sign * p[j] > t) << j;
    return mask;
}

SL_INLINE int sl_block_maxima_f32_portable(const float *p, float sign, float *out)
{
    int bad = 0;
    for (int i = 0; i < SL_WIDTH_f32; ++i)
        out[i] = sl_block_max_f32_portable(p + i * SL_WIDTH_f32, sign);
    for (int j = 0; j < SL_WIDTH_f32 * SL_WIDTH_f32; ++j)
        bad |= p[j] != p[j];
    return bad;
}

SL_INLINE int sl_block_maxima_f64_portable(const double *p, double sign, double *out)
{
    int bad = 0;
    for (int i = 0; i < SL_WIDTH_f64; ++i)
        out[i] = sl_block_max_f64_portable(p + i * SL_WIDTH_f64, sign);
    for (int j = 0; j < SL_WIDTH_f64 * SL_WIDTH_f64; ++j)
        bad |= p[j] != p[j];
    return bad;
}

SL_INLINE int sl_compress_store_portable(int32_t *out, int32_t base, uint32_t mask)
{
    int n = 0;
    for (; mask; mask &= mask - 1)
        out[n++] = base + SL_COUNT_TRAILING_ZEROS(mask);
    return n;
}

SL_INLINE uint32_t sl_block_mask_each_f32_portable(const float *p, const float *t)
{
    uint32_t mask = 0;
    for (int j = 0; j < SL_WIDTH_f32; ++j)
        mask |= (uint32_t)(p[j] > t[j]) << j;
    return mask;
}

SL_INLINE uint32_t sl_block_mask_each_f64_portable(const double *p, const double *t)
{
    uint32_t mask = 0;
    for (int j = 0; j < SL_WIDTH_f64; ++j)
        mask |= (uint32_t)(p[j] > t[j]) << j;
    return mask;
}

SL_INLINE uint32_t sl_block_band_f32_portable(const float *p, float t)
{
    uint32_t mask = 0;
    for (int j = 0; j < SL_WIDTH_f32; ++j)
        mask |= (uint32_t)(fabsf(p[j]) <= t) << j;
    return mask;
}

SL_INLINE uint32_t sl_block_band_f64_portable(const double *p, double t)
{
    uint32_t mask = 0;
    for (int j = 0; j < SL_WIDTH_f64; ++j)
        mask |= (uint32_t)(fabs(p[j]) <= t) << j;
    return mask;
}

/* One partial sum for each lane of a block, so that compilers can use what vectors they have. */
SL_INLINE float sl_dot_f32_portable(const float *a, const float *b, int64_t n)
{
    float lane[SL_WIDTH_f32] = {0}, total = 0;
    for (int64_t k = 0; k < n; k += SL_WIDTH_f32)
        for (int j = 0; j < SL_WIDTH_f32; ++j)
            lane[j] += a[k + j] * b[k + j];
    for (int j = 0; j < SL_WIDTH_f32; ++j)
        total += lane[j];
    return total;
}

SL_INLINE double sl_dot_f64_portable(const double *a, const double *b, int64_t n)
{
    double lane[SL_WIDTH_f64] = {0}, total = 0;
    for (int64_t k = 0; k < n; k += SL_WIDTH_f64)
        for (int j = 0; j < SL_WIDTH_f64; ++j)
            lane[j] += a[k + j] * b[k + j];
    for (int j = 0; j < SL_WIDTH_f64; ++j)
        total += lane[j];
    return total;
}

SL_INLINE void sl_add_rows_f32_portable(float *y, int64_t n, const float *c, const int32_t *at, int64_t k,
                                        const float *rows)
{
    for (int64_t e = 0; e < k; ++e)
        for (int64_t j = 0; j < n; ++j)
            y[j] += c[e] * rows[at[e] * n + j];
}

SL_INLINE void sl_add_rows_f64_portable(double *y, int64_t n, const double *c, const int32_t *at, int64_t k,
                                        const double *rows)
{
    for (int64_t e = 0; e < k; ++e)
        for (int64_t j = 0; j < n; ++j)
            y[j] += c[e] * rows[at[e] * n + j];
}

SL_INLINE int64_t sl_least_two_f32_portable(const float *p, int64_t n, float *two)
{
    int64_t at = -1;
    two[0] = two[1] = INFINITY;
    for (int64_t j = 0; j < n; ++j) {
        const float size = fabsf(p[j]);
        if (size < two[0]) {
            two[1] = two[0];
            two[0] = size;
            at = j;
        } else if (size < two[1])
            two[1] = size;
    }
    return at;
}

SL_INLINE int64_t sl_least_two_f64_portable(const double *p, int64_t n, double *two)
{
    int64_t at = -1;
    two[0] = two[1] = INFINITY;
    for (int64_t j = 0; j < n; ++j) {
        const double size = fabs(p[j]);
        if (size < two[0]) {
            two[1] = two[0];
            two[0] = size;
            at = j;
        } else if (size < two[1])
            two[1] = size;
    }
    return at;
}

SL_INLINE void sl_dots_f32_portable(const float *v, int64_t n, const int32_t *at, const float *rows, float *out)
{
    for (int j = 0; j < 4; ++j)
        out[j] = sl_dot_f32_portable(v, rows + at[j] * n, n);
}

SL_INLINE void sl_dots_f64_portable(const double *v, int64_t n, const int32_t *at, const double *rows, double *out)
{
    for (int j = 0; j < 4; ++j)
        out[j] = sl_dot_f64_portable(v, rows + at[j] * n, n);
}

#ifdef SL_HAVE_X86

/* ------------------------------------------------------------------ AVX2 */

SL_TARGET_avx2 SL_INLINE __m256 sl_flip_ps_avx2(float sign)
{   /* the sign bit where sign is -1, else nothing: xor with it multiplies by sign exactly */
    return _mm256_and_ps(_mm256_set1_ps(sign), _mm256_set1_ps(-0.0f));
}

SL_TARGET_avx2 SL_INLINE __m256d sl_flip_pd_avx2(double sign)
{
    return _mm256_and_pd(_mm256_set1_pd(sign), _mm256_set1_pd(-0.0));
}

SL_TARGET_avx2 SL_INLINE float sl_block_max_f32_avx2(const float *p, float sign)
{
    const __m256 flip = sl_flip_ps_avx2(sign);
    const __m256 a = _mm256_xor_ps(_mm256_loadu_ps(p), flip);
    const __m256 b = _mm256_xor_ps(_mm256_loadu_ps(p + 8), flip);
    const __m256 c = _mm256_max_ps(a, b);
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(c), _mm256_extractf128_ps(c, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    return _mm_cvtss_f32(m);
}

SL_TARGET_avx2 SL_INLINE double sl_block_max_f64_avx2(const double *p, double sign)
{
    const __m256d flip = sl_flip_pd_avx2(sign);
    const __m256d a = _mm256_xor_pd(_mm256_loadu_pd(p), flip);
    const __m256d b = _mm256_xor_pd(_mm256_loadu_pd(p + 4), flip);
    const __m256d c = _mm256_max_pd(a, b);
    __m128d m = _mm_max_pd(_mm256_castpd256_pd128(c), _mm256_extractf128_pd(c, 1));
    m = _mm_max_sd(m, _mm_unpackhi_pd(m, m));
    return _mm_cvtsd_f64(m);
}

SL_TARGET_avx2 SL_INLINE uint32_t sl_block_mask_f32_avx2(const float *p, float t, float sign)
{
    const __m256 flip = sl_flip_ps_avx2(sign), threshold = _mm256_set1_ps(t);
    const __m256 a = _mm256_xor_ps(_mm256_loadu_ps(p), flip);
    const __m256 b = _mm256_xor_ps(_mm256_loadu_ps(p + 8), flip);
    const uint32_t low = (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, threshold, _CMP_GT_OQ));
    const uint32_t high = (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(b, threshold, _CMP_GT_OQ));
    return low | (high << 8);
}

SL_TARGET_avx2 SL_INLINE uint32_t sl_block_mask_f64_avx2(const double *p, double t, double sign)
{
    const __m256d flip = sl_flip_pd_avx2(sign), threshold = _mm256_set1_pd(t);
    const __m256d a = _mm256_xor_pd(_mm256_loadu_pd(p), flip);
    const __m256d b = _mm256_xor_pd(_mm256_loadu_pd(p + 4), flip);
    const uint32_t low = (uint32_t)_mm256_movemask_pd(_mm256_cmp_pd(a, threshold, _CMP_GT_OQ));
    const uint32_t high = (uint32_t)_mm256_movemask_pd(_mm256_cmp_pd(b, threshold, _CMP_GT_OQ));
    return low | (high << 4);
}

SL_TARGET_avx2 SL_INLINE int sl_block_maxima_f32_avx2(const float *p, float sign, float *out)
{
    int bad = 0;
    for (int i = 0; i < SL_WIDTH_f32; ++i)
        out[i] = sl_block_max_f32_avx2(p + i * SL_WIDTH_f32, sign);
    for (int j = 0; j < SL_WIDTH_f32 * SL_WIDTH_f32; ++j)
        bad |= p[j] != p[j];
    return bad;
}

SL_TARGET_avx2 SL_INLINE int sl_block_maxima_f64_avx2(const double *p, double sign, double *out)
{
    int bad = 0;
    for (int i = 0; i < SL_WIDTH_f64; ++i)
        out[i] = sl_block_max_f64_avx2(p + i * SL_WIDTH_f64, sign);
    for (int j = 0; j < SL_WIDTH_f64 * SL_WIDTH_f64; ++j)
        bad |= p[j] != p[j];
    return bad;
}

/* The numbers of the set bits of a byte: spread the bits over bytes (deposit), and extract the bytes 0..7 they select. */
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

SL_TARGET_avx2 SL_INLINE uint32_t sl_block_mask_each_f32_avx2(const float *p, const float *t)
{
    const __m256 low = _mm256_cmp_ps(_mm256_loadu_ps(p), _mm256_loadu_ps(t), _CMP_GT_OQ);
    const __m256 high = _mm256_cmp_ps(_mm256_loadu_ps(p + 8), _mm256_loadu_ps(t + 8), _CMP_GT_OQ);
    return (uint32_t)_mm256_movemask_ps(low) | ((uint32_t)_mm256_movemask_ps(high) << 8);
}

SL_TARGET_avx2 SL_INLINE uint32_t sl_block_mask_each_f64_avx2(const double *p, const double *t)
{
    const __m256d low = _mm256_cmp_pd(_mm256_loadu_pd(p), _mm256_loadu_pd(t), _CMP_GT_OQ);
    const __m256d high = _mm256_cmp_pd(_mm256_loadu_pd(p + 4), _mm256_loadu_pd(t + 4), _CMP_GT_OQ);
    return (uint32_t)_mm256_movemask_pd(low) | ((uint32_t)_mm256_movemask_pd(high) << 4);
}

SL_TARGET_avx2 SL_INLINE uint32_t sl_block_band_f32_avx2(const float *p, float t)
{
    const __m256 sign = _mm256_set1_ps(-0.0f), limit = _mm256_set1_ps(t);
    const __m256 low = _mm256_cmp_ps(_mm256_andnot_ps(sign, _mm256_loadu_ps(p)), limit, _CMP_LE_OQ);
    const __m256 high = _mm256_cmp_ps(_mm256_andnot_ps(sign, _mm256_loadu_ps(p + 8)), limit, _CMP_LE_OQ);
    return (uint32_t)_mm256_movemask_ps(low) | ((uint32_t)_mm256_movemask_ps(high) << 8);
}

SL_TARGET_avx2 SL_INLINE uint32_t sl_block_band_f64_avx2(const double *p, double t)
{
    const __m256d sign = _mm256_set1_pd(-0.0), limit = _mm256_set1_pd(t);
    const __m256d low = _mm256_cmp_pd(_mm256_andnot_pd(sign, _mm256_loadu_pd(p)), limit, _CMP_LE_OQ);
    const __m256d high = _mm256_cmp_pd(_mm256_andnot_pd(sign, _mm256_loadu_pd(p + 4)), limit, _CMP_LE_OQ);
    return (uint32_t)_mm256_movemask_pd(low) | ((uint32_t)_mm256_movemask_pd(high) << 4);
}

SL_TARGET_avx2 SL_INLINE float sl_dot_f32_avx2(const float *a, const float *b, int64_t n)
{
    __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
    for (int64_t k = 0; k < n; k += 16) {
        low = _mm256_fmadd_ps(_mm256_loadu_ps(a + k), _mm256_loadu_ps(b + k), low);
        high = _mm256_fmadd_ps(_mm256_loadu_ps(a + k + 8), _mm256_loadu_ps(b + k + 8), high);
    }
    const __m256 sum = _mm256_add_ps(low, high);
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

SL_TARGET_avx2 SL_INLINE double sl_dot_f64_avx2(const double *a, const double *b, int64_t n)
{
    __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
    for (int64_t k = 0; k < n; k += 8) {
        low = _mm256_fmadd_pd(_mm256_loadu_pd(a + k), _mm256_loadu_pd(b + k), low);
        high = _mm256_fmadd_pd(_mm256_loadu_pd(a + k + 4), _mm256_loadu_pd(b + k + 4), high);
    }
    const __m256d sum = _mm256_add_pd(low, high);
    const __m128d s = _mm_add_pd(_mm256_castpd256_pd128(sum), _mm256_extractf128_pd(sum, 1));
    return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
}

/* Sums of four vectors at a time stay in registers. */
SL_TARGET_avx2 SL_INLINE void sl_add_rows_f32_avx2(float *y, int64_t n, const float *c, const int32_t *at, int64_t k,
                                                const float *rows)
{
    int64_t j = 0;
    for (; j + 32 <= n; j += 32) {
        __m256 p = _mm256_loadu_ps(y + j), q = _mm256_loadu_ps(y + j + 8);
        __m256 r = _mm256_loadu_ps(y + j + 16), s = _mm256_loadu_ps(y + j + 24);
        for (int64_t e = 0; e < k; ++e) {
            const __m256 by = _mm256_set1_ps(c[e]);
            const float *x = rows + at[e] * n + j;
            p = _mm256_fmadd_ps(by, _mm256_loadu_ps(x), p);
            q = _mm256_fmadd_ps(by, _mm256_loadu_ps(x + 8), q);
            r = _mm256_fmadd_ps(by, _mm256_loadu_ps(x + 16), r);
            s = _mm256_fmadd_ps(by, _mm256_loadu_ps(x + 24), s);
        }
        _mm256_storeu_ps(y + j, p);
        _mm256_storeu_ps(y + j + 8, q);
        _mm256_storeu_ps(y + j + 16, r);
        _mm256_storeu_ps(y + j + 24, s);
    }
    for (; j < n; j += 8) {
        __m256 p = _mm256_loadu_ps(y + j);
        for (int64_t e = 0; e < k; ++e)
            p = _mm256_fmadd_ps(_mm256_set1_ps(c[e]), _mm256_loadu_ps(rows + at[e] * n + j), p);
        _mm256_storeu_ps(y + j, p);
    }
}

SL_TARGET_avx2 SL_INLINE void sl_add_rows_f64_avx2(double *y, int64_t n, const double *c, const int32_t *at, int64_t k,
                                                const double *rows)
{
    int64_t j = 0;
    for (; j + 16 <= n; j += 16) {
        __m256d p = _mm256_loadu_pd(y + j), q = _mm256_loadu_pd(y + j + 4);
        __m256d r = _mm256_loadu_pd(y + j + 8), s = _mm256_loadu_pd(y + j + 12);
        for (int64_t e = 0; e < k; ++e) {
            const __m256d by = _mm256_set1_pd(c[e]);
            const double *x = rows + at[e] * n + j;
            p = _mm256_fmadd_pd(by, _mm256_loadu_pd(x), p);
            q = _mm256_fmadd_pd(by, _mm256_loadu_pd(x + 4), q);
            r = _mm256_fmadd_pd(by, _mm256_loadu_pd(x + 8), r);
            s = _mm256_fmadd_pd(by, _mm256_loadu_pd(x + 12), s);
        }
        _mm256_storeu_pd(y + j, p);
        _mm256_storeu_pd(y + j + 4, q);
        _mm256_storeu_pd(y + j + 8, r);
        _mm256_storeu_pd(y + j + 12, s);
    }
    for (; j < n; j += 4) {
        __m256d p = _mm256_loadu_pd(y + j);
        for (int64_t e = 0; e < k; ++e)
            p = _mm256_fmadd_pd(_mm256_set1_pd(c[e]), _mm256_loadu_pd(rows + at[e] * n + j), p);
        _mm256_storeu_pd(y + j, p);
    }
}

SL_TARGET_avx2 SL_INLINE void sl_dots_f32_avx2(const float *v, int64_t n, const int32_t *at, const float *rows,
                                              float *out)
{
    const float *pa = rows + at[0] * n, *pb = rows + at[1] * n, *pc = rows + at[2] * n, *pd = rows + at[3] * n;
    __m256 a = _mm256_setzero_ps(), b = a, c = a, d = a;
    for (int64_t k = 0; k < n; k += 8) {
        const __m256 x = _mm256_loadu_ps(v + k);
        a = _mm256_fmadd_ps(x, _mm256_loadu_ps(pa + k), a);
        b = _mm256_fmadd_ps(x, _mm256_loadu_ps(pb + k), b);
        c = _mm256_fmadd_ps(x, _mm256_loadu_ps(pc + k), c);
        d = _mm256_fmadd_ps(x, _mm256_loadu_ps(pd + k), d);
    }
    const __m256 ab = _mm256_hadd_ps(a, b), cd = _mm256_hadd_ps(c, d), abcd = _mm256_hadd_ps(ab, cd);
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(abcd), _mm256_extractf128_ps(abcd, 1)));
}

SL_TARGET_avx2 SL_INLINE void sl_dots_f64_avx2(const double *v, int64_t n, const int32_t *at, const double *rows,
                                              double *out)
{
    const double *pa = rows + at[0] * n, *pb = rows + at[1] * n, *pc = rows + at[2] * n, *pd = rows + at[3] * n;
    __m256d a = _mm256_setzero_pd(), b = a, c = a, d = a;
    for (int64_t k = 0; k < n; k += 4) {
        const __m256d x = _mm256_loadu_pd(v + k);
        a = _mm256_fmadd_pd(x, _mm256_loadu_pd(pa + k), a);
        b = _mm256_fmadd_pd(x, _mm256_loadu_pd(pb + k), b);
        c = _mm256_fmadd_pd(x, _mm256_loadu_pd(pc + k), c);
        d = _mm256_fmadd_pd(x, _mm256_loadu_pd(pd + k), d);
    }
    const __m256d ab = _mm256_hadd_pd(a, b), cd = _mm256_hadd_pd(c, d); /* a0 b0 a1 b1, c0 d0 c1 d1 */
    const __m256d low = _mm256_permute2f128_pd(ab, cd, 0x20), high = _mm256_permute2f128_pd(ab, cd, 0x31);
    _mm256_storeu_pd(out, _mm256_add_pd(low, high));
}

/* A loop without vectors: lists are short. */
#define sl_least_two_f32_avx2 sl_least_two_f32_portable
#define sl_least_two_f64_avx2 sl_least_two_f64_portable

/* ------------------------------------------------------------------ AVX-512 */

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

SL_TARGET_avx512 SL_INLINE float sl_block_max_f32_avx512(const float *p, float sign)
{
    const __m512 a = sl_load_f32_avx512(p, sign);
    const __m256 c = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(c), _mm256_extractf128_ps(c, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    return _mm_cvtss_f32(m);
}

SL_TARGET_avx512 SL_INLINE double sl_block_max_f64_avx512(const double *p, double sign)
{
    const __m512d a = sl_load_f64_avx512(p, sign);
    const __m256d c = _mm256_max_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
    __m128d m = _mm_max_pd(_mm256_castpd256_pd128(c), _mm256_extractf128_pd(c, 1));
    m = _mm_max_sd(m, _mm_unpackhi_pd(m, m));
    return _mm_cvtsd_f64(m);
}

SL_TARGET_avx512 SL_INLINE uint32_t sl_block_mask_f32_avx512(const float *p, float t, float sign)
{
    return (uint32_t)_mm512_cmp_ps_mask(sl_load_f32_avx512(p, sign), _mm512_set1_ps(t), _CMP_GT_OQ);
}

SL_TARGET_avx512 SL_INLINE uint32_t sl_block_mask_f64_avx512(const double *p, double t, double sign)
{
    return (uint32_t)_mm512_cmp_pd_mask(sl_load_f64_avx512(p, sign), _mm512_set1_pd(t), _CMP_GT_OQ);
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
        within[q] = _mm512_max_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)), _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
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

/* Compress into a register and store all of it: compressing straight to memory is microcode on some
 * processors (Zen 4: over 100 cycles), and the overshoot is covered by the slack of the output. */
SL_TARGET_avx512 SL_INLINE int sl_compress_store_avx512(int32_t *out, int32_t base, uint32_t mask)
{
    const __m512i lanes = _mm512_add_epi32(
        _mm512_set1_epi32(base), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi32((__mmask16)mask, lanes));
    return _mm_popcnt_u32(mask);
}

SL_TARGET_avx512 SL_INLINE uint32_t sl_block_mask_each_f32_avx512(const float *p, const float *t)
{
    return (uint32_t)_mm512_cmp_ps_mask(_mm512_loadu_ps(p), _mm512_loadu_ps(t), _CMP_GT_OQ);
}

SL_TARGET_avx512 SL_INLINE uint32_t sl_block_mask_each_f64_avx512(const double *p, const double *t)
{
    return (uint32_t)_mm512_cmp_pd_mask(_mm512_loadu_pd(p), _mm512_loadu_pd(t), _CMP_GT_OQ);
}

SL_TARGET_avx512 SL_INLINE uint32_t sl_block_band_f32_avx512(const float *p, float t)
{
    return (uint32_t)_mm512_cmp_ps_mask(_mm512_abs_ps(_mm512_loadu_ps(p)), _mm512_set1_ps(t), _CMP_LE_OQ);
}

SL_TARGET_avx512 SL_INLINE uint32_t sl_block_band_f64_avx512(const double *p, double t)
{
    return (uint32_t)_mm512_cmp_pd_mask(_mm512_abs_pd(_mm512_loadu_pd(p)), _mm512_set1_pd(t), _CMP_LE_OQ);
}

SL_TARGET_avx512 SL_INLINE float sl_dot_f32_avx512(const float *a, const float *b, int64_t n)
{
    __m512 s = _mm512_setzero_ps(), t = _mm512_setzero_ps();
    int64_t k = 0;
    for (; k + 32 <= n; k += 32) {
        s = _mm512_fmadd_ps(_mm512_loadu_ps(a + k), _mm512_loadu_ps(b + k), s);
        t = _mm512_fmadd_ps(_mm512_loadu_ps(a + k + 16), _mm512_loadu_ps(b + k + 16), t);
    }
    if (k < n)
        s = _mm512_fmadd_ps(_mm512_loadu_ps(a + k), _mm512_loadu_ps(b + k), s);
    return _mm512_reduce_add_ps(_mm512_add_ps(s, t));
}

SL_TARGET_avx512 SL_INLINE double sl_dot_f64_avx512(const double *a, const double *b, int64_t n)
{
    __m512d s = _mm512_setzero_pd(), t = _mm512_setzero_pd();
    int64_t k = 0;
    for (; k + 16 <= n; k += 16) {
        s = _mm512_fmadd_pd(_mm512_loadu_pd(a + k), _mm512_loadu_pd(b + k), s);
        t = _mm512_fmadd_pd(_mm512_loadu_pd(a + k + 8), _mm512_loadu_pd(b + k + 8), t);
    }
    if (k < n)
        s = _mm512_fmadd_pd(_mm512_loadu_pd(a + k), _mm512_loadu_pd(b + k), s);
    return _mm512_reduce_add_pd(_mm512_add_pd(s, t));
}

/* Sums of four vectors at a time stay in registers. */
SL_TARGET_avx512 SL_INLINE void sl_add_rows_f32_avx512(float *y, int64_t n, const float *c, const int32_t *at, int64_t k,
                                                const float *rows)
{
    int64_t j = 0;
    for (; j + 64 <= n; j += 64) {
        __m512 p = _mm512_loadu_ps(y + j), q = _mm512_loadu_ps(y + j + 16);
        __m512 r = _mm512_loadu_ps(y + j + 32), s = _mm512_loadu_ps(y + j + 48);
        for (int64_t e = 0; e < k; ++e) {
            const __m512 by = _mm512_set1_ps(c[e]);
            const float *x = rows + at[e] * n + j;
            p = _mm512_fmadd_ps(by, _mm512_loadu_ps(x), p);
            q = _mm512_fmadd_ps(by, _mm512_loadu_ps(x + 16), q);
            r = _mm512_fmadd_ps(by, _mm512_loadu_ps(x + 32), r);
            s = _mm512_fmadd_ps(by, _mm512_loadu_ps(x + 48), s);
        }
        _mm512_storeu_ps(y + j, p);
        _mm512_storeu_ps(y + j + 16, q);
        _mm512_storeu_ps(y + j + 32, r);
        _mm512_storeu_ps(y + j + 48, s);
    }
    for (; j < n; j += 16) {
        __m512 p = _mm512_loadu_ps(y + j);
        for (int64_t e = 0; e < k; ++e)
            p = _mm512_fmadd_ps(_mm512_set1_ps(c[e]), _mm512_loadu_ps(rows + at[e] * n + j), p);
        _mm512_storeu_ps(y + j, p);
    }
}

SL_TARGET_avx512 SL_INLINE void sl_add_rows_f64_avx512(double *y, int64_t n, const double *c, const int32_t *at, int64_t k,
                                                const double *rows)
{
    int64_t j = 0;
    for (; j + 32 <= n; j += 32) {
        __m512d p = _mm512_loadu_pd(y + j), q = _mm512_loadu_pd(y + j + 8);
        __m512d r = _mm512_loadu_pd(y + j + 16), s = _mm512_loadu_pd(y + j + 24);
        for (int64_t e = 0; e < k; ++e) {
            const __m512d by = _mm512_set1_pd(c[e]);
            const double *x = rows + at[e] * n + j;
            p = _mm512_fmadd_pd(by, _mm512_loadu_pd(x), p);
            q = _mm512_fmadd_pd(by, _mm512_loadu_pd(x + 8), q);
            r = _mm512_fmadd_pd(by, _mm512_loadu_pd(x + 16), r);
            s = _mm512_fmadd_pd(by, _mm512_loadu_pd(x + 24), s);
        }
        _mm512_storeu_pd(y + j, p);
        _mm512_storeu_pd(y + j + 8, q);
        _mm512_storeu_pd(y + j + 16, r);
        _mm512_storeu_pd(y + j + 24, s);
    }
    for (; j < n; j += 8) {
        __m512d p = _mm512_loadu_pd(y + j);
        for (int64_t e = 0; e < k; ++e)
            p = _mm512_fmadd_pd(_mm512_set1_pd(c[e]), _mm512_loadu_pd(rows + at[e] * n + j), p);
        _mm512_storeu_pd(y + j, p);
    }
}

SL_TARGET_avx512 SL_INLINE int64_t sl_least_two_f32_avx512(const float *p, int64_t n, float *two)
{
    const __m512 worst = _mm512_set1_ps((float)INFINITY);
    __m512 least = worst, second = worst; /* of each lane */
    for (int64_t k = 0; k < n; k += 16) {
        const __mmask16 in = n - k < 16 ? (__mmask16)((1u << (n - k)) - 1u) : (__mmask16)-1;
        const __m512 x = _mm512_abs_ps(_mm512_mask_loadu_ps(worst, in, p + k));
        second = _mm512_min_ps(second, _mm512_max_ps(x, least));
        least = _mm512_min_ps(least, x);
    }
    two[0] = _mm512_reduce_min_ps(least);
    const __m512 best = _mm512_set1_ps(two[0]);
    /* the second is the least of all lanes but the first of those that have the best, or what that lane has second */
    const __mmask16 have = _mm512_cmp_ps_mask(least, best, _CMP_EQ_OQ);
    two[1] = _mm512_reduce_min_ps(_mm512_mask_min_ps(second, (__mmask16)~(have & -have), second, least));
    for (int64_t k = 0; k < n; k += 16) {
        const __mmask16 in = n - k < 16 ? (__mmask16)((1u << (n - k)) - 1u) : (__mmask16)-1;
        const __m512 x = _mm512_abs_ps(_mm512_mask_loadu_ps(worst, in, p + k));
        const __mmask16 found = in & _mm512_cmp_ps_mask(x, best, _CMP_EQ_OQ);
        if (found)
            return k + SL_COUNT_TRAILING_ZEROS((uint32_t)found);
    }
    return -1;
}

SL_TARGET_avx512 SL_INLINE int64_t sl_least_two_f64_avx512(const double *p, int64_t n, double *two)
{
    const __m512d worst = _mm512_set1_pd((double)INFINITY);
    __m512d least = worst, second = worst; /* of each lane */
    for (int64_t k = 0; k < n; k += 8) {
        const __mmask8 in = n - k < 8 ? (__mmask8)((1u << (n - k)) - 1u) : (__mmask8)-1;
        const __m512d x = _mm512_abs_pd(_mm512_mask_loadu_pd(worst, in, p + k));
        second = _mm512_min_pd(second, _mm512_max_pd(x, least));
        least = _mm512_min_pd(least, x);
    }
    two[0] = _mm512_reduce_min_pd(least);
    const __m512d best = _mm512_set1_pd(two[0]);
    /* the second is the least of all lanes but the first of those that have the best, or what that lane has second */
    const __mmask8 have = _mm512_cmp_pd_mask(least, best, _CMP_EQ_OQ);
    two[1] = _mm512_reduce_min_pd(_mm512_mask_min_pd(second, (__mmask8)~(have & -have), second, least));
    for (int64_t k = 0; k < n; k += 8) {
        const __mmask8 in = n - k < 8 ? (__mmask8)((1u << (n - k)) - 1u) : (__mmask8)-1;
        const __m512d x = _mm512_abs_pd(_mm512_mask_loadu_pd(worst, in, p + k));
        const __mmask8 found = in & _mm512_cmp_pd_mask(x, best, _CMP_EQ_OQ);
        if (found)
            return k + SL_COUNT_TRAILING_ZEROS((uint32_t)found);
    }
    return -1;
}

/* Four sums at once: halves are added until one lane of each sum is left. */
SL_TARGET_avx512 SL_INLINE void sl_dots_f32_avx512(const float *v, int64_t n, const int32_t *at, const float *rows,
                                                   float *out)
{
    const float *pa = rows + at[0] * n, *pb = rows + at[1] * n, *pc = rows + at[2] * n, *pd = rows + at[3] * n;
    __m512 a = _mm512_setzero_ps(), b = a, c = a, d = a;
    for (int64_t k = 0; k < n; k += 16) {
        const __m512 x = _mm512_loadu_ps(v + k);
        a = _mm512_fmadd_ps(x, _mm512_loadu_ps(pa + k), a);
        b = _mm512_fmadd_ps(x, _mm512_loadu_ps(pb + k), b);
        c = _mm512_fmadd_ps(x, _mm512_loadu_ps(pc + k), c);
        d = _mm512_fmadd_ps(x, _mm512_loadu_ps(pd + k), d);
    }
    /* a0 b0 a1 b1 in each lane of 128 bits, then a b c d */
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const __m512 abcd = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE));
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(abcd), _mm512_extractf32x8_ps(abcd, 1));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
}

SL_TARGET_avx512 SL_INLINE void sl_dots_f64_avx512(const double *v, int64_t n, const int32_t *at, const double *rows,
                                                   double *out)
{
    const double *pa = rows + at[0] * n, *pb = rows + at[1] * n, *pc = rows + at[2] * n, *pd = rows + at[3] * n;
    __m512d a = _mm512_setzero_pd(), b = a, c = a, d = a;
    for (int64_t k = 0; k < n; k += 8) {
        const __m512d x = _mm512_loadu_pd(v + k);
        a = _mm512_fmadd_pd(x, _mm512_loadu_pd(pa + k), a);
        b = _mm512_fmadd_pd(x, _mm512_loadu_pd(pb + k), b);
        c = _mm512_fmadd_pd(x, _mm512_loadu_pd(pc + k), c);
        d = _mm512_fmadd_pd(x, _mm512_loadu_pd(pd + k), d);
    }
    const __m512d ab = _mm512_add_pd(_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
    const __m512d cd = _mm512_add_pd(_mm512_unpacklo_pd(c, d), _mm512_unpackhi_pd(c, d));
    const __m256d ab_half = _mm256_add_pd(_mm512_castpd512_pd256(ab), _mm512_extractf64x4_pd(ab, 1));
    const __m256d cd_half = _mm256_add_pd(_mm512_castpd512_pd256(cd), _mm512_extractf64x4_pd(cd, 1));
    _mm_storeu_pd(out, _mm_add_pd(_mm256_castpd256_pd128(ab_half), _mm256_extractf128_pd(ab_half, 1)));
    _mm_storeu_pd(out + 2, _mm_add_pd(_mm256_castpd256_pd128(cd_half), _mm256_extractf128_pd(cd_half, 1)));
}

#endif /* SL_HAVE_X86 */

#ifdef SL_HAVE_NEON

/* ------------------------------------------------------------------ NEON */

SL_INLINE float sl_block_max_f32_neon(const float *p, float sign)
{
    const float32x4_t s = vdupq_n_f32(sign);
    const float32x4_t a = vmaxq_f32(vmulq_f32(vld1q_f32(p), s), vmulq_f32(vld1q_f32(p + 4), s));
    const float32x4_t b = vmaxq_f32(vmulq_f32(vld1q_f32(p + 8), s), vmulq_f32(vld1q_f32(p + 12), s));
    return vmaxvq_f32(vmaxq_f32(a, b));
}

SL_INLINE double sl_block_max_f64_neon(const double *p, double sign)
{
    const float64x2_t s = vdupq_n_f64(sign);
    const float64x2_t a = vmaxq_f64(vmulq_f64(vld1q_f64(p), s), vmulq_f64(vld1q_f64(p + 2), s));
    const float64x2_t b = vmaxq_f64(vmulq_f64(vld1q_f64(p + 4), s), vmulq_f64(vld1q_f64(p + 6), s));
    return vmaxvq_f64(vmaxq_f64(a, b));
}

SL_INLINE uint32_t sl_block_mask_f32_neon(const float *p, float t, float sign)
{   /* and each lane with its own bit, then add across: four bits a vector */
    static const uint32_t bits[4] = {1u, 2u, 4u, 8u};
    const uint32x4_t bit = vld1q_u32(bits);
    const float32x4_t s = vdupq_n_f32(sign), threshold = vdupq_n_f32(t);
    uint32_t mask = 0;
    for (int j = 0; j < 4; ++j) {
        const uint32x4_t above = vcgtq_f32(vmulq_f32(vld1q_f32(p + 4 * j), s), threshold);
        mask |= vaddvq_u32(vandq_u32(above, bit)) << (4 * j);
    }
    return mask;
}

SL_INLINE uint32_t sl_block_mask_f64_neon(const double *p, double t, double sign)
{
    static const uint64_t bits[2] = {1u, 2u};
    const uint64x2_t bit = vld1q_u64(bits);
    const float64x2_t s = vdupq_n_f64(sign), threshold = vdupq_n_f64(t);
    uint32_t mask = 0;
    for (int j = 0; j < 4; ++j) {
        const uint64x2_t above = vcgtq_f64(vmulq_f64(vld1q_f64(p + 2 * j), s), threshold);
        mask |= (uint32_t)vaddvq_u64(vandq_u64(above, bit)) << (2 * j);
    }
    return mask;
}

SL_INLINE int sl_block_maxima_f32_neon(const float *p, float sign, float *out)
{
    int bad = 0;
    for (int i = 0; i < SL_WIDTH_f32; ++i)
        out[i] = sl_block_max_f32_neon(p + i * SL_WIDTH_f32, sign);
    for (int j = 0; j < SL_WIDTH_f32 * SL_WIDTH_f32; ++j)
        bad |= p[j] != p[j];
    return bad;
}

SL_INLINE int sl_block_maxima_f64_neon(const double *p, double sign, double *out)
{
    int bad = 0;
    for (int i = 0; i < SL_WIDTH_f64; ++i)
        out[i] = sl_block_max_f64_neon(p + i * SL_WIDTH_f64, sign);
    for (int j = 0; j < SL_WIDTH_f64 * SL_WIDTH_f64; ++j)
        bad |= p[j] != p[j];
    return bad;
}

SL_INLINE int sl_compress_store_neon(int32_t *out, int32_t base, uint32_t mask)
{
    return sl_compress_store_portable(out, base, mask);
}

/* The loops of portable C are vectorised by compilers: NEON is part of the base architecture. */
#define sl_block_mask_each_f32_neon sl_block_mask_each_f32_portable
#define sl_block_mask_each_f64_neon sl_block_mask_each_f64_portable
#define sl_block_band_f32_neon sl_block_band_f32_portable
#define sl_block_band_f64_neon sl_block_band_f64_portable
#define sl_dot_f32_neon sl_dot_f32_portable
#define sl_dot_f64_neon sl_dot_f64_portable
#define sl_add_rows_f32_neon sl_add_rows_f32_portable
#define sl_least_two_f32_neon sl_least_two_f32_portable
#define sl_least_two_f64_neon sl_least_two_f64_portable
#define sl_dots_f32_neon sl_dots_f32_portable
#define sl_add_rows_f64_neon sl_add_rows_f64_portable
#define sl_dots_f64_neon sl_dots_f64_portable

#endif /* SL_HAVE_NEON */
#endif /* SLTREES_SIMD_H */
