/* Instruction levels: the one list of those that a build has, and what is made from it.
 *
 * To add a level:
 *
 *   1. simd/<name>.h: what its functions are compiled with (SL_TARGET_<name>), whether this processor has it
 *      (sl_runs_<name>), and the primitives of simd.h. What it has nothing better for it takes from portable.h.
 *   2. its name in the list below, in the line of its processors, behind what is slower.
 *
 * All the rest follows: instances of all kernels, the tables that they are looked up in, the name for SLTREES_SIMD,
 * tests at that level. Other processors get a line of their own. A line has four levels at most (each_instance.h).
 */
#ifndef SLTREES_SIMD_LEVELS_H
#define SLTREES_SIMD_LEVELS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#if (defined(__x86_64__) || defined(__i386__)) && (defined(__GNUC__) || defined(__clang__))
#define SL_EACH_LEVEL(X) X(portable) X(avx2) X(avx512)
#elif defined(__aarch64__) || defined(_M_ARM64)
#define SL_EACH_LEVEL(X) X(portable) X(neon)
#else
#define SL_EACH_LEVEL(X) X(portable)
#endif

/* ------------------------------------------------------------------ what compilers differ in */

#if defined(__GNUC__) || defined(__clang__)
#define SL_INLINE static inline __attribute__((always_inline, unused))
#define SL_UNUSED __attribute__((unused))
#define SL_NOINLINE __attribute__((noinline))
#define SL_LIKELY(x) __builtin_expect(!!(x), 1)
#define SL_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define SL_PREFETCH(p) __builtin_prefetch((p), 0, 3)
#define SL_PREFETCH_FAR(p) __builtin_prefetch((p), 0, 2) /* into the second-level cache */
#define SL_COUNT_TRAILING_ZEROS(x) __builtin_ctz(x)
#define SL_COUNT_TRAILING_ZEROS64(x) __builtin_ctzll(x)
#define SL_POPCOUNT(x) __builtin_popcount(x)
#define SL_POPCOUNT64(x) __builtin_popcountll(x)
#else
#define SL_INLINE static inline
#define SL_UNUSED
#define SL_NOINLINE
#define SL_LIKELY(x) (x)
#define SL_UNLIKELY(x) (x)
#define SL_PREFETCH(p) ((void)(p))
#define SL_PREFETCH_FAR(p) ((void)(p))
#define SL_COUNT_TRAILING_ZEROS(x) SL_COUNT_TRAILING_ZEROS64(x)
#define SL_POPCOUNT(x) SL_POPCOUNT64(x)
SL_INLINE int SL_COUNT_TRAILING_ZEROS64(uint64_t x)
{
    int n = 0;
    while (!(x & 1u)) {
        x >>= 1;
        ++n;
    }
    return n;
}
SL_INLINE int SL_POPCOUNT64(uint64_t x)
{
    x -= (x >> 1) & UINT64_C(0x5555555555555555);
    x = (x & UINT64_C(0x3333333333333333)) + ((x >> 2) & UINT64_C(0x3333333333333333));
    x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (int)((x * UINT64_C(0x0101010101010101)) >> 56);
}
#endif

/* ------------------------------------------------------------------ names in files included once per instance */

#define SL_PASTE3_(a, b, c) a##_##b##_##c
#define SL_PASTE3(a, b, c) SL_PASTE3_(a, b, c)
#define SL_PASTE2_(a, b) a##b
#define SL_PASTE2(a, b) SL_PASTE2_(a, b)
#define SL_STRING_(x) #x
#define SL_STRING(x) SL_STRING_(x)

/* Such files say these; SL_ISA, SL_DTYPE and SL_BITS are set by each_instance.h. */
#define SL_FN(name) SL_PASTE3(sl_##name, SL_DTYPE, SL_ISA)             /* sl_dot_f32_avx2 */
#define SL_PORTABLE(name) SL_PASTE3(sl_##name, SL_DTYPE, portable)     /* sl_dot_f32_portable */
#define SL_COMPRESS SL_PASTE2(sl_compress_store_, SL_ISA)
#define SL_TARGET SL_PASTE2(SL_TARGET_, SL_ISA)
#define SL_W ((int64_t)1 << SL_BITS) /* numbers in a block */
#define SL_WIDTH (1 << SL_BITS)      /* the same as an int: for short loops, where compilers do better with it */

/* ------------------------------------------------------------------ the list by number */

/* No macro can hold an #include, so each_instance.h asks for the name of level 0, 1, ...: the fourth of a list that as
 * many blanks stand before as are missing. */
#define SL_PLUS_ONE(isa) +1
#define SL_AND_COMMA(isa) isa,
#define SL_N_LEVELS (0 SL_EACH_LEVEL(SL_PLUS_ONE))
#define SL_FOURTH_(a, b, c, d, ...) d
#define SL_FOURTH(...) SL_FOURTH_(__VA_ARGS__)
#define SL_LEVEL_0 SL_FOURTH(, , , SL_EACH_LEVEL(SL_AND_COMMA))
#define SL_LEVEL_1 SL_FOURTH(, , SL_EACH_LEVEL(SL_AND_COMMA))
#define SL_LEVEL_2 SL_FOURTH(, SL_EACH_LEVEL(SL_AND_COMMA))
#define SL_LEVEL_3 SL_FOURTH(SL_EACH_LEVEL(SL_AND_COMMA))

/* Define `type name(int level)`, which returns of each level what `entry(isa)`, with a comma at its end, says of it. */
#define SL_DISPATCH(type, name, entry)                                                                                 \
    SL_UNUSED static type name(int level)                                                                              \
    {                                                                                                                  \
        static const type of_level[] = {SL_EACH_LEVEL(entry)};                                                         \
        return of_level[level];                                                                                        \
    }

#endif /* SLTREES_SIMD_LEVELS_H */
