/* Products with J J^T over the pairs that fire, in two passes: each neuron gathers the samples on which it fires, and each
 * sample collects what the neurons that fire on it have gathered. Both passes write each number once, so that the work may
 * be cut into any ranges, and no sum depends on how.
 */
#ifndef SLTREES_PAIRS_H
#define SLTREES_PAIRS_H

#include <string.h>

#include "simd/levels.h"
#include "simd/simd.h"

enum {
    SL_LANES = 8,            /* numbers in a group: a vector of AVX-512 */
    SL_GROUPS = 8,           /* groups that are summed up at a time, in registers */
    SL_ROWS_OF_SUMS = 512,   /* rows that gather at a time: 230 KB of sums for 50 features */
    SL_STRETCH = 1024,       /* samples that they look at, one row after the other: 256 KB in single precision */
    SL_COLLECTORS = 512      /* samples that collect at a time from SL_STRETCH rows: 230 KB of sums, and 460 KB */
};

#define SL_EACH_NUMBER_OF_GROUPS(left)                                                                                  \
    switch (left) {                                                                                                     \
    case 1: SL_CASE(1); break;                                                                                          \
    case 2: SL_CASE(2); break;                                                                                          \
    case 3: SL_CASE(3); break;                                                                                          \
    case 4: SL_CASE(4); break;                                                                                          \
    case 5: SL_CASE(5); break;                                                                                          \
    case 6: SL_CASE(6); break;                                                                                          \
    case 7: SL_CASE(7); break;                                                                                          \
    default: SL_CASE(8); break;                                                                                         \
    }

#define SL_KERNELS "pairs/kernels.h"
#include "simd/each_instance.h"

typedef void (*sl_gather_rows)(const int64_t *, const int32_t *, int64_t, int64_t, int64_t, const void *, int64_t,
                               const double *, int64_t, double *);
typedef void (*sl_collect_rows)(const int64_t *, const int32_t *, int64_t, int64_t, int64_t, const double *, int64_t,
                                const void *, int64_t, double *, double *);
#define SL_GATHER_f32(isa) sl_gather_rows_f32_##isa,
#define SL_GATHER_f64(isa) sl_gather_rows_f64_##isa,
#define SL_COLLECT_f32(isa) sl_collect_rows_f32_##isa,
#define SL_COLLECT_f64(isa) sl_collect_rows_f64_##isa,
SL_DISPATCH(sl_gather_rows, sl_gather_rows_at_f32, SL_GATHER_f32)
SL_DISPATCH(sl_gather_rows, sl_gather_rows_at_f64, SL_GATHER_f64)
SL_DISPATCH(sl_collect_rows, sl_collect_rows_at_f32, SL_COLLECT_f32)
SL_DISPATCH(sl_collect_rows, sl_collect_rows_at_f64, SL_COLLECT_f64)

#endif /* SLTREES_PAIRS_H */
