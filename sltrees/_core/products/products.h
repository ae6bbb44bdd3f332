/* Products of rows with many columns, in one order of summation whatever is multiplied at once: a product kernel per
 * (instruction level, dtype). BLAS takes other kernels, which round otherwise, for other shapes.
 */
#ifndef SLTREES_PRODUCTS_H
#define SLTREES_PRODUCTS_H

#include <string.h>

#include "simd/simd.h"

#define SL_KERNELS "products/kernels.h"
#include "simd/each_instance.h"

typedef void (*sl_multiply_f32)(const float *, int64_t, int64_t, const float *, int64_t, int64_t, float *);
typedef void (*sl_multiply_f64)(const double *, int64_t, int64_t, const double *, int64_t, int64_t, double *);
#define SL_MULTIPLY_f32(isa) sl_multiply_f32_##isa,
#define SL_MULTIPLY_f64(isa) sl_multiply_f64_##isa,
SL_DISPATCH(sl_multiply_f32, sl_multiply_at_f32, SL_MULTIPLY_f32)
SL_DISPATCH(sl_multiply_f64, sl_multiply_at_f64, SL_MULTIPLY_f64)

/* As kernels.h has it, at a level and for either dtype. */
SL_INLINE void sl_multiply(int level, int is_float32, const void *left, int64_t n_left, int64_t d, const void *columns,
                           int64_t stride, int64_t n, void *out)
{
    if (is_float32)
        sl_multiply_at_f32(level)((const float *)left, n_left, d, (const float *)columns, stride, n, (float *)out);
    else
        sl_multiply_at_f64(level)((const double *)left, n_left, d, (const double *)columns, stride, n, (double *)out);
}

#endif /* SLTREES_PRODUCTS_H */
