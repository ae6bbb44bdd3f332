/* Pairs of samples on which the same neurons fire, counted by bits: a bit for each neuron, and a block of bits for each
 * sample. Where many neurons fire on many samples, and as many flip, that is faster than going through lists.
 */
#ifndef SLTREES_PAIRS_BITS_H
#define SLTREES_PAIRS_BITS_H

#include "simd/levels.h"
#include "simd/simd.h"

enum { SL_WORDS = 8 }; /* of a block: 512 neurons, a cache line */

#define SL_ONLY_f32 /* no number of the data is looked at */
#define SL_KERNELS "pairs/bits_kernels.h"
#include "simd/each_instance.h"
#undef SL_ONLY_f32

typedef void (*sl_add_common)(const uint64_t *, int64_t, int64_t, int64_t, int64_t, int32_t, int32_t *);
#define SL_ADD_COMMON(isa) sl_add_common_f32_##isa,
SL_DISPATCH(sl_add_common, sl_add_common_at, SL_ADD_COMMON)

#endif /* SLTREES_PAIRS_BITS_H */
