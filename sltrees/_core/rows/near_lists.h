/* Near lists of rows, collected from their products with all samples. What they are for is explained in rows.h. */
#ifndef SLTREES_NEAR_LISTS_H
#define SLTREES_NEAR_LISTS_H

#include "simd/simd.h"

#define SL_KERNELS "rows/collect.h"
#include "simd/each_instance.h"

/* The kernel of one dtype at one instruction level; see collect.h. */
typedef int64_t (*sl_collect_kernel)(const void *, int64_t, int64_t, const void *, const void *, double, int, int64_t,
                                     int32_t *, void *, int64_t, int32_t *, int32_t *, int64_t *, int32_t *, double *);
#define SL_COLLECT_f32(isa) sl_lazy_collect_f32_##isa,
#define SL_COLLECT_f64(isa) sl_lazy_collect_f64_##isa,
SL_DISPATCH(sl_collect_kernel, sl_collect_at_f32, SL_COLLECT_f32)
SL_DISPATCH(sl_collect_kernel, sl_collect_at_f64, SL_COLLECT_f64)

#endif /* SLTREES_NEAR_LISTS_H */
