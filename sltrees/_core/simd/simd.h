/* What the package does with SIMD instructions: nothing outside this folder knows one.
 *
 * A *block* is one 64-byte cache line: W = 16 floats or 8 doubles. Four primitives carry
 * every walk over a wide max-tree, two more those over a tree of sums, six more the kernels of lazy rows, and two more
 * products of rows with many columns:
 *
 *   block_max(p, sign)           largest sign * p[j] of a block
 *   block_maxima(p, sign, out)   the same for W consecutive blocks, transposed so that no lane idles; returns
 *                                whether a NaN is among them (the maxima mean nothing then)
 *   block_mask(p, t, sign)       bit j set where sign * p[j] > t
 *   block_sum(p)                 sum of a block in one order at all levels, half on half: p[j] + p[j + W/2], and so on
 *   block_least(p)               the least positive number of a block, infinity if there is none
 *   compress_store(out, base, mask)
 *                                write the 32-bit numbers base + j for every set bit j, ascending; return how many.
 *                                May write garbage up to out[15]
 *   block_mask_each(p, t)        bit j set where p[j] > t[j]
 *   block_band(p, t)             bit j set where |p[j]| <= t
 *   dot(a, b, n)                 sum of a[j] b[j], n a multiple of W. The order of the sum is that of the level, and
 *                                products may be fused with sums: levels agree up to rounding only
 *   add_rows(y, n, c, at, k, rows)
 *                                y += sum over e < k of c[e] times row at[e] of `rows`, of n numbers, n a multiple of W
 *   least_two(p, n, two)         the least |p[j]| and the second least; returns the position of the first, -1 for n = 0
 *   dots(v, n, at, rows, out)    out[j] = dot(v, row at[j] of `rows`, n) for four rows
 *   block_products(a, d, b, stride, out, n)
 *                                out[i * n + j] = sum over k < d of a[i * d + k] b[k * stride + j] for SL_ROWS_AT_ONCE
 *                                rows i and the W numbers j of a block. Each sum begins with 0 and is in the order of
 *                                k; products are fused with sums, or not, as the level has it
 *   row_products(a, d, b, stride, out)
 *                                the same, bit for bit, for one row and four blocks: out[j], j < 4 W
 *
 * `sign` is +1 for a max-tree and -1 for a min-tree: a min-tree is a max-tree read through a
 * change of sign on load, so one set of walks serves both orientations.
 *
 * Each primitive exists once per instruction level and, but for compress_store, dtype: sl_dot_f32_avx2. The file of a
 * level is one text for both dtypes, included for each; what differs between them stands at its beginning, for both.
 * Kernels are included in the same way (each_instance.h), so that the primitives are inlined into them; which instance
 * runs is chosen once, at import (see _simd.pyx). No file is compiled with -march flags.
 */
#ifndef SLTREES_SIMD_H
#define SLTREES_SIMD_H

#include "simd/levels.h"

#define SL_ROWS_AT_ONCE 8 /* as many sums as hide the latency of one, and fit into registers */

#define SL_KERNELS SL_STRING(simd/SL_ISA.h)
#include "simd/each_instance.h"

/* The levels of this build by number, slowest first: names, and whether this processor can run each. */
typedef const char *sl_level_name;
typedef int (*sl_level_test)(void);
#define SL_NAME_OF_LEVEL(isa) #isa,
#define SL_TEST_OF_LEVEL(isa) sl_runs_##isa,
SL_DISPATCH(sl_level_name, sl_simd_name, SL_NAME_OF_LEVEL)
SL_DISPATCH(sl_level_test, sl_simd_test, SL_TEST_OF_LEVEL)

enum { SL_SIMD_N_LEVELS = SL_N_LEVELS };

#endif /* SLTREES_SIMD_H */
