/* Probabilities of orthants: P(N_1 > h and N_2 > h) of normal numbers with correlation c, as polynomials for one h.
 *
 * With x = (1 - c)/2 and y = (1 + c)/2, the squares of sine and cosine of half the angle,
 *
 *      P = base - sqrt(x) near(x)      for c >= 0, with base = P(N_1 > h): analytic around [0, 1/2],
 *      P = octave_k(y)                 for c < 0, with 2^-(k+2) <= y < 2^-(k+1): smooth, and flat towards y = 0,
 *      P = sqrt(y) near(y)             for c < 0 where h = 0, as sqrt(x) near(x) then is the angle as a share of a turn.
 *
 * The derivative of c P by c has the same pieces, but that the first is base + near(x) / sqrt(x), and the last the same
 * without base, and with the other sign.
 *
 * The coefficients are fitted in sltrees/kernels/orthants.py, each polynomial in a variable from -1 to 1.
 */
#ifndef SLTREES_ORTHANTS_H
#define SLTREES_ORTHANTS_H

#include <string.h>

#include "simd/simd.h"

/* Coefficients of each polynomial: errors are below 1e-14 and 1e-7, for h from 0 to 8 and beyond. */
#define SL_ORTHANT_NEAR_f64 17
#define SL_ORTHANT_OCTAVE_f64 15
#define SL_ORTHANT_NEAR_f32 8
#define SL_ORTHANT_OCTAVE_f32 7
#define SL_ORTHANT_GLANCE 16
#define SL_ORTHANT_COLUMNS 256 /* at a time: what is set aside of these stays in first-level cache */

/* Squared half angles below which products of unit vectors no longer tell them well enough: they are computed anew,
 * from the difference of the vectors, or from their sum. A product has some roundings, and its root loses half their
 * digits. */
#define SL_ORTHANT_NEARLY_f64 1e-4
#define SL_ORTHANT_NEARLY_f32 4e-3f

/* Squared half angles of rows that are the same, to the derivative: it is infinite at 0. */
#define SL_ORTHANT_EQUAL_f64 5e-13
#define SL_ORTHANT_EQUAL_f32 1e-6f

#define SL_KERNELS "orthants/kernels.h"
#include "simd/each_instance.h"

#define SL_ORTHANT_KERNEL(dtype, real)                                                                                 \
    typedef void (*sl_orthant_kernel_##dtype)(real *tile, int64_t stride, int64_t n_rows, int64_t n_columns,           \
                                              const real *left, const real *right, int64_t d, real base,               \
                                              const real *near, const real *octaves, int64_t n_octaves, int mirrored);
SL_ORTHANT_KERNEL(f32, float)
SL_ORTHANT_KERNEL(f64, double)
#define SL_SLOPE_KERNEL(dtype, real)                                                                                   \
    typedef void (*sl_slope_kernel_##dtype)(real *tile, int64_t stride, int64_t n_rows, int64_t n_columns, real base,    \
                                            const real *near, const real *octaves, int64_t n_octaves, int mirrored);
SL_SLOPE_KERNEL(f32, float)
SL_SLOPE_KERNEL(f64, double)
#define SL_ORTHANTS_f32_OF_LEVEL(isa) sl_orthant_tile_f32_##isa,
#define SL_ORTHANTS_f64_OF_LEVEL(isa) sl_orthant_tile_f64_##isa,
SL_DISPATCH(sl_orthant_kernel_f32, sl_orthants_f32_at, SL_ORTHANTS_f32_OF_LEVEL)
SL_DISPATCH(sl_orthant_kernel_f64, sl_orthants_f64_at, SL_ORTHANTS_f64_OF_LEVEL)
#define SL_SLOPES_f32_OF_LEVEL(isa) sl_slope_tile_f32_##isa,
#define SL_SLOPES_f64_OF_LEVEL(isa) sl_slope_tile_f64_##isa,
SL_DISPATCH(sl_slope_kernel_f32, sl_slopes_f32_at, SL_SLOPES_f32_OF_LEVEL)
SL_DISPATCH(sl_slope_kernel_f64, sl_slopes_f64_at, SL_SLOPES_f64_OF_LEVEL)

#endif /* SLTREES_ORTHANTS_H */
