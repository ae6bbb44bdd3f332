/* Normal numbers in single precision, many at a time, the same bit for bit at every instruction level. */
#ifndef SLTREES_NORMALS_H
#define SLTREES_NORMALS_H

#include <string.h>

#include "simd/simd.h"

#define SL_NORMALS_STREAMS 16  /* generators side by side: two vectors of AVX-512, to hide latency */
#define SL_NORMALS_POINTS 1024 /* words make so many numbers, and then so many more: the second coordinates of points */
#define SL_NORMALS_PART 256    /* words at a time: 2 KiB of a stack that may be small */

#if defined(_MSC_VER)
#define SL_RESTRICT __restrict
#pragma fp_contract(off)
#else
#define SL_RESTRICT restrict
#endif

typedef struct {
    uint64_t a[SL_NORMALS_STREAMS], b[SL_NORMALS_STREAMS], c[SL_NORMALS_STREAMS], counter;
} sl_normals;

/* As NumPy seeds its SFC64: each stream from three words, and twelve of its own dropped. */
SL_INLINE void sl_normals_seed(sl_normals *streams, const uint64_t *seed)
{
    for (int j = 0; j < SL_NORMALS_STREAMS; ++j) {
        uint64_t a = seed[3 * j], b = seed[3 * j + 1], c = seed[3 * j + 2];
        for (uint64_t counter = 1; counter <= 12; ++counter) {
            const uint64_t word = a + b + counter;
            a = b ^ (b >> 11);
            b = c + (c << 3);
            c = ((c << 24) | (c >> 40)) + word;
        }
        streams->a[j] = a;
        streams->b[j] = b;
        streams->c[j] = c;
    }
    streams->counter = 13;
}

SL_INLINE int32_t sl_bits_of(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

SL_INLINE float sl_float_of(int32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#define SL_ONLY_f32
#define SL_KERNELS "normals/kernels.h"
#include "simd/each_instance.h"
#undef SL_ONLY_f32

/* At a level, the function that writes the first n numbers of a seed. */
typedef void (*sl_normals_kernel)(const uint64_t *seed, int64_t n, float *out);
#define SL_NORMALS_OF_LEVEL(isa) sl_normals_f32_##isa,
SL_DISPATCH(sl_normals_kernel, sl_normals_at, SL_NORMALS_OF_LEVEL)

#endif /* SLTREES_NORMALS_H */
