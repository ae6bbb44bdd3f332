/* The walks for one instruction level (SL_ISA), in both dtypes. Included by wide_tree.h, once per level. */
#define SL_DTYPE f32
#define SL_REAL float
#define SL_BITS 4
#include "tree/walks.h"
#undef SL_DTYPE
#undef SL_REAL
#undef SL_BITS

#define SL_DTYPE f64
#define SL_REAL double
#define SL_BITS 3
#include "tree/walks.h"
#undef SL_DTYPE
#undef SL_REAL
#undef SL_BITS
