/* The primitives of simd.h that lazy rows use, one table of plain functions per (instruction level, dtype).
 *
 * For tests only: kernels have the primitives inlined, so that nothing else could call one alone.
 */
#ifndef SLTREES_SIMD_PRIMITIVES_H
#define SLTREES_SIMD_PRIMITIVES_H

#include "simd/simd.h"

typedef struct {
    int (*compress_store)(int32_t *, int32_t, uint32_t);
    uint32_t (*block_mask_each)(const void *, const void *);
    uint32_t (*block_band)(const void *, double);
    double (*dot)(const void *, const void *, int64_t);
    void (*add_rows)(void *, int64_t, const void *, const int32_t *, int64_t, const void *);
    int64_t (*least_two)(const void *, int64_t, void *);
    void (*dots)(const void *, int64_t, const int32_t *, const void *, void *);
} sl_primitives;

#define SL_PRIMITIVES(dtype, real, isa)                                                                                \
    SL_TARGET_##isa static int sl_one_compress_store_##dtype##_##isa(int32_t *out, int32_t base, uint32_t mask)        \
    {                                                                                                                  \
        return sl_compress_store_##isa(out, base, mask);                                                               \
    }                                                                                                                  \
    SL_TARGET_##isa static uint32_t sl_one_mask_each_##dtype##_##isa(const void *p, const void *t)                     \
    {                                                                                                                  \
        return sl_block_mask_each_##dtype##_##isa(p, t);                                                               \
    }                                                                                                                  \
    SL_TARGET_##isa static uint32_t sl_one_band_##dtype##_##isa(const void *p, double t)                               \
    {                                                                                                                  \
        return sl_block_band_##dtype##_##isa(p, (real)t);                                                              \
    }                                                                                                                  \
    SL_TARGET_##isa static double sl_one_dot_##dtype##_##isa(const void *a, const void *b, int64_t n)                  \
    {                                                                                                                  \
        return sl_dot_##dtype##_##isa(a, b, n);                                                                        \
    }                                                                                                                  \
    SL_TARGET_##isa static void sl_one_add_rows_##dtype##_##isa(void *y, int64_t n, const void *c, const int32_t *at,  \
                                                                int64_t k, const void *rows)                           \
    {                                                                                                                  \
        sl_add_rows_##dtype##_##isa(y, n, c, at, k, rows);                                                             \
    }                                                                                                                  \
    SL_TARGET_##isa static int64_t sl_one_least_two_##dtype##_##isa(const void *p, int64_t n, void *two)               \
    {                                                                                                                  \
        return sl_least_two_##dtype##_##isa(p, n, two);                                                                \
    }                                                                                                                  \
    SL_TARGET_##isa static void sl_one_dots_##dtype##_##isa(const void *v, int64_t n, const int32_t *at,               \
                                                            const void *rows, void *out)                               \
    {                                                                                                                  \
        sl_dots_##dtype##_##isa(v, n, at, rows, out);                                                                  \
    }

#define SL_PRIMITIVES_TABLE(dtype, isa)                                                                                \
    {                                                                                                                  \
        sl_one_compress_store_##dtype##_##isa, sl_one_mask_each_##dtype##_##isa, sl_one_band_##dtype##_##isa,          \
            sl_one_dot_##dtype##_##isa, sl_one_add_rows_##dtype##_##isa, sl_one_least_two_##dtype##_##isa,             \
            sl_one_dots_##dtype##_##isa                                                                                \
    },

#define SL_PRIMITIVES_OF_LEVEL(isa) SL_PRIMITIVES(f32, float, isa) SL_PRIMITIVES(f64, double, isa)
SL_EACH_LEVEL(SL_PRIMITIVES_OF_LEVEL)

#define SL_PRIMITIVES_f32(isa) SL_PRIMITIVES_TABLE(f32, isa)
#define SL_PRIMITIVES_f64(isa) SL_PRIMITIVES_TABLE(f64, isa)
SL_DISPATCH(sl_primitives, sl_primitives_at_f32, SL_PRIMITIVES_f32)
SL_DISPATCH(sl_primitives, sl_primitives_at_f64, SL_PRIMITIVES_f64)

#endif /* SLTREES_SIMD_PRIMITIVES_H */
