/* NEON: vectors of a quarter of a block. It is part of the base architecture of 64-bit ARM, so compilers turn the loops
 * of portable C into it, and only what they do not is here.
 */
#ifndef SL_TARGET_neon
#define SL_TARGET_neon

#include <arm_neon.h>

SL_UNUSED static int sl_runs_neon(void)
{
    return 1;
}

SL_INLINE int sl_compress_store_neon(int32_t *out, int32_t base, uint32_t mask)
{
    return sl_compress_store_portable(out, base, mask);
}

#endif /* what both dtypes share */

#if SL_BITS == 4
#define SL_VECTOR float32x4_t
#define SL_MASK uint32x4_t
#define SL_LANE_MASK uint32_t
#define SL_V(op) v##op##_f32
#define SL_M(op) v##op##_u32
#else
#define SL_VECTOR float64x2_t
#define SL_MASK uint64x2_t
#define SL_LANE_MASK uint64_t
#define SL_V(op) v##op##_f64
#define SL_M(op) v##op##_u64
#endif
#define SL_LANES (SL_WIDTH / 4)

SL_INLINE SL_REAL SL_FN(block_max)(const SL_REAL *p, SL_REAL sign)
{
    const SL_VECTOR s = SL_V(dupq_n)(sign);
    const SL_VECTOR a = SL_V(maxq)(SL_V(mulq)(SL_V(ld1q)(p), s), SL_V(mulq)(SL_V(ld1q)(p + SL_LANES), s));
    const SL_VECTOR c = SL_V(mulq)(SL_V(ld1q)(p + 2 * SL_LANES), s), d = SL_V(mulq)(SL_V(ld1q)(p + 3 * SL_LANES), s);
    return SL_V(maxvq)(SL_V(maxq)(a, SL_V(maxq)(c, d)));
}

SL_INLINE SL_REAL SL_FN(block_sum)(const SL_REAL *p)
{
    return SL_PORTABLE(block_sum)(p);
}

SL_INLINE SL_REAL SL_FN(block_least)(const SL_REAL *p)
{
    return SL_PORTABLE(block_least)(p);
}

SL_INLINE uint32_t SL_FN(block_mask)(const SL_REAL *p, SL_REAL t, SL_REAL sign)
{   /* and each lane with its own bit, then add across: so many bits a vector as it has lanes */
    static const SL_LANE_MASK bits[4] = {1u, 2u, 4u, 8u};
    const SL_MASK bit = SL_M(ld1q)(bits);
    const SL_VECTOR s = SL_V(dupq_n)(sign), threshold = SL_V(dupq_n)(t);
    uint32_t mask = 0;
    for (int j = 0; j < 4; ++j) {
        const SL_MASK above = SL_V(cgtq)(SL_V(mulq)(SL_V(ld1q)(p + SL_LANES * j), s), threshold);
        mask |= (uint32_t)SL_M(addvq)(SL_M(andq)(above, bit)) << (SL_LANES * j);
    }
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
    return SL_PORTABLE(block_mask_each)(p, t);
}

SL_INLINE uint32_t SL_FN(block_band)(const SL_REAL *p, SL_REAL t)
{
    return SL_PORTABLE(block_band)(p, t);
}

SL_INLINE SL_REAL SL_FN(dot)(const SL_REAL *a, const SL_REAL *b, int64_t n)
{
    return SL_PORTABLE(dot)(a, b, n);
}

SL_INLINE void SL_FN(add_rows)(SL_REAL *y, int64_t n, const SL_REAL *c, const int32_t *at, int64_t k,
                               const SL_REAL *rows)
{
    SL_PORTABLE(add_rows)(y, n, c, at, k, rows);
}

SL_INLINE int64_t SL_FN(least_two)(const SL_REAL *p, int64_t n, SL_REAL *two)
{
    return SL_PORTABLE(least_two)(p, n, two);
}

SL_INLINE void SL_FN(dots)(const SL_REAL *v, int64_t n, const int32_t *at, const SL_REAL *rows, SL_REAL *out)
{
    SL_PORTABLE(dots)(v, n, at, rows, out);
}

SL_INLINE void SL_FN(block_products)(const SL_REAL *a, int64_t d, const SL_REAL *b, int64_t stride, SL_REAL *out, int64_t n)
{
    SL_PORTABLE(block_products)(a, d, b, stride, out, n);
}

SL_INLINE void SL_FN(row_products)(const SL_REAL *a, int64_t d, const SL_REAL *b, int64_t stride, SL_REAL *out)
{
    SL_PORTABLE(row_products)(a, d, b, stride, out);
}

#undef SL_VECTOR
#undef SL_MASK
#undef SL_LANE_MASK
#undef SL_V
#undef SL_M
#undef SL_LANES
