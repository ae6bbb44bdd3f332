/* Which of many vectors may have a product above a limit with some rows, in single precision: a kernel per instruction
 * level. What passes is decided elsewhere, in double precision (_vector_panels.pyx).
 */
#ifndef SLTREES_SEARCH_H
#define SLTREES_SEARCH_H

#include "simd/simd.h"

#define SL_PANEL 64 /* columns: four blocks of floats, as row_products takes them */

#define SL_ONLY_f32
#define SL_KERNELS "search/kernels.h"
#include "simd/each_instance.h"
#undef SL_ONLY_f32

typedef int64_t (*sl_candidates)(const float *, int64_t, int64_t, const float *, const float *, int32_t *, int32_t *);
#define SL_CANDIDATES(isa) sl_candidates_f32_##isa,
SL_DISPATCH(sl_candidates, sl_candidates_at, SL_CANDIDATES)

#endif /* SLTREES_SEARCH_H */
