/* The kernels of lazy rows for one instruction level (SL_ISA), in both dtypes. Included by rows.h, once per level. */
#define SL_DTYPE f32
#define SL_REAL float
#define SL_SQRT sqrtf
#define SL_ABS fabsf
#define SL_BITS 4
#include "rows/kernels.h"
#undef SL_DTYPE
#undef SL_REAL
#undef SL_SQRT
#undef SL_ABS
#undef SL_BITS

#define SL_DTYPE f64
#define SL_REAL double
#define SL_SQRT sqrt
#define SL_ABS fabs
#define SL_BITS 3
#include "rows/kernels.h"
#undef SL_DTYPE
#undef SL_REAL
#undef SL_SQRT
#undef SL_ABS
#undef SL_BITS
