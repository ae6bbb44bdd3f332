/* Includes the file that SL_KERNELS names once for each level and dtype, so that the primitives are inlined into what
 * stands there; with SL_ONLY_f32 defined, for single precision alone. That file finds set
 *
 *      SL_ISA           SL_DTYPE        SL_REAL          SL_BITS          SL_SQRT, SL_ABS
 *      avx2, ...        f32, f64        float, double    4, 3: log2 W     of this dtype
 *
 * and gives what it defines names with SL_FN (see levels.h). No include guard. It includes itself for each level.
 */
#ifndef SL_ISA

#if SL_N_LEVELS > 4
#error "more levels than are gone through here"
#endif

#define SL_ISA SL_LEVEL_0
#include "simd/each_instance.h"
#undef SL_ISA

#if SL_N_LEVELS > 1
#define SL_ISA SL_LEVEL_1
#include "simd/each_instance.h"
#undef SL_ISA
#endif

#if SL_N_LEVELS > 2
#define SL_ISA SL_LEVEL_2
#include "simd/each_instance.h"
#undef SL_ISA
#endif

#if SL_N_LEVELS > 3
#define SL_ISA SL_LEVEL_3
#include "simd/each_instance.h"
#undef SL_ISA
#endif

#undef SL_KERNELS

#else /* one level, SL_ISA */

#define SL_DTYPE f32
#define SL_REAL float
#define SL_BITS 4
#define SL_SQRT sqrtf
#define SL_ABS fabsf
#include SL_KERNELS
#undef SL_DTYPE
#undef SL_REAL
#undef SL_BITS
#undef SL_SQRT
#undef SL_ABS

#ifndef SL_ONLY_f32
#define SL_DTYPE f64
#define SL_REAL double
#define SL_BITS 3
#define SL_SQRT sqrt
#define SL_ABS fabs
#include SL_KERNELS
#undef SL_DTYPE
#undef SL_REAL
#undef SL_BITS
#undef SL_SQRT
#undef SL_ABS
#endif

#endif
