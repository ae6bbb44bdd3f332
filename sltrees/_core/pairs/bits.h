/* Pairs of samples on which the same neurons fire, counted by bits: a bit for each neuron, and a block of bits for each
 * sample. Where many neurons fire on many samples, and as many flip, that is faster than going through lists.
 */
#ifndef SLTREES_PAIRS_BITS_H
#define SLTREES_PAIRS_BITS_H

#include "simd/levels.h"
#include "simd/simd.h"

enum { SL_WORDS = 8 }; /* of a block: 512 neurons, a cache line */

#if defined(__GNUC__) || defined(__clang__)
#define SL_POPCOUNT64(x) __builtin_popcountll(x)
#else
SL_INLINE int SL_POPCOUNT64(uint64_t x)
{
    x -= (x >> 1) & UINT64_C(0x5555555555555555);
    x = (x & UINT64_C(0x3333333333333333)) + ((x >> 2) & UINT64_C(0x3333333333333333));
    x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (int)((x * UINT64_C(0x0101010101010101)) >> 56);
}
#endif

#define SL_ONLY_f32 /* no number of the data is looked at */
#define SL_KERNELS "pairs/bits_kernels.h"
#include "simd/each_instance.h"
#undef SL_ONLY_f32

typedef void (*sl_add_common)(const uint64_t *, int64_t, int64_t, int64_t, int64_t, int32_t, int32_t *);
#define SL_ADD_COMMON(isa) sl_add_common_f32_##isa,
SL_DISPATCH(sl_add_common, sl_add_common_at, SL_ADD_COMMON)

#endif /* SLTREES_PAIRS_BITS_H */
