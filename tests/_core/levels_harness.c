/* Compares every instruction level of a build with portable C, without Python: so it also runs under an emulator of
 * another processor. Prints what differs, and the levels compared; exits with 1 where anything differs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "normals/normals.h"
#include "orthants/orthants.h"
#include "products/products.h"
#include "rows/rows.h"
#include "simd/primitives.h"
#include "tree/tree.h"

enum { SIZE = 4096 };

static int failures = 0;

static void check(int holds, const char *level, const char *what)
{
    if (!holds) {
        printf("%s: %s differs from portable C\n", level, what);
        ++failures;
    }
}

/* Numbers from -3 to 3, some of them equal, so that ties occur. */
static uint64_t state = 88172645463325252u;
static double random_number(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(int64_t)(state >> 40) / (1 << 22) - 2.0 + (state & 1 ? 0.0 : (double)((state >> 8) % 3));
}

static int close_to(double a, double b, double tolerance)
{
    return fabs(a - b) <= tolerance * (1.0 + fabs(b));
}

#define FOR_DTYPE(dtype, real, tolerance)                                                                              \
    static real values_##dtype[SIZE], other_##dtype[SIZE], rows_##dtype[SIZE], left_##dtype[SIZE];                     \
                                                                                                                       \
    static void draw_##dtype(void)                                                                                     \
    {                                                                                                                  \
        for (int j = 0; j < SIZE; ++j) {                                                                               \
            values_##dtype[j] = (real)random_number();                                                                 \
            other_##dtype[j] = j % 7 ? (real)random_number() : values_##dtype[j];                                      \
            rows_##dtype[j] = (real)random_number();                                                                   \
            left_##dtype[j] = (real)random_number();                                                                   \
        }                                                                                                              \
        values_##dtype[5] = (real)-INFINITY;                                                                           \
    }                                                                                                                  \
                                                                                                                       \
    static void compare_primitives_##dtype(int level, const char *name)                                                \
    {                                                                                                                  \
        const sl_primitives ours = sl_primitives_at_##dtype(level), plain = sl_primitives_at_##dtype(0);               \
        const int width = 64 / (int)sizeof(real);                                                                      \
        const int32_t at[4] = {3, 0, 2, 1};                                                                            \
        for (int j = 0; j + width <= SIZE; j += width) {                                                               \
            const uint32_t mask = plain.block_mask_each(values_##dtype + j, other_##dtype + j);                        \
            int32_t found[16], expected[16];                                                                           \
            const int n = plain.compress_store(expected, j, mask);                                                     \
            check(ours.block_mask_each(values_##dtype + j, other_##dtype + j) == mask, name, "block_mask_each");       \
            check(ours.block_band(other_##dtype + j, 0.7) == plain.block_band(other_##dtype + j, 0.7), name, "band");  \
            check(ours.compress_store(found, j, mask) == n, name, "the number of compress_store");                     \
            check(memcmp(found, expected, (size_t)n * sizeof *found) == 0, name, "compress_store");                    \
        }                                                                                                              \
        for (int64_t n = 0; n <= 256; n += width) {                                                                    \
            real two[2], plain_two[2], out[4], plain_out[4], y[256] = {0}, plain_y[256] = {0};                         \
            check(close_to(ours.dot(other_##dtype, rows_##dtype, n), plain.dot(other_##dtype, rows_##dtype, n),        \
                           tolerance * 256), name, "dot");                                                             \
            check(ours.least_two(other_##dtype, n, two) == plain.least_two(other_##dtype, n, plain_two), name,         \
                  "the place of least_two");                                                                           \
            check(two[0] == plain_two[0] && two[1] == plain_two[1], name, "least_two");                                \
            ours.dots(other_##dtype, n, at, rows_##dtype, out);                                                        \
            plain.dots(other_##dtype, n, at, rows_##dtype, plain_out);                                                 \
            ours.add_rows(y, n, left_##dtype, at, 4, rows_##dtype);                                                    \
            plain.add_rows(plain_y, n, left_##dtype, at, 4, rows_##dtype);                                             \
            for (int j = 0; j < 4; ++j)                                                                                \
                check(close_to(out[j], plain_out[j], tolerance * 256), name, "dots");                                  \
            for (int64_t j = 0; j < n; ++j)                                                                            \
                check(close_to(y[j], plain_y[j], tolerance * 256), name, "add_rows");                                  \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    static void compare_products_##dtype(int level, const char *name)                                                  \
    {                                                                                                                  \
        enum { ROWS = 11, D = 19, COLUMNS = 64 };                                                                      \
        static real out[ROWS * COLUMNS], plain[ROWS * COLUMNS];                                                        \
        sl_multiply_at_##dtype(level)(left_##dtype, ROWS, D, rows_##dtype, COLUMNS, COLUMNS, out);                     \
        sl_multiply_at_##dtype(0)(left_##dtype, ROWS, D, rows_##dtype, COLUMNS, COLUMNS, plain);                       \
        for (int j = 0; j < ROWS * COLUMNS; ++j)                                                                       \
            check(close_to(out[j], plain[j], tolerance * 256), name, "multiply");                                      \
    }                                                                                                                  \
                                                                                                                       \
    /* All that is asked of a tree, after it was built and after changes. */                                           \
    static void compare_trees_##dtype(int level, const char *name, int64_t n, int min_tree)                            \
    {                                                                                                                  \
        const int is_float32 = sizeof(real) == sizeof(float);                                                          \
        static real leaves[2][SIZE + 64], upper[2][SIZE];                                                              \
        static int64_t hits[2][SIZE];                                                                                  \
        sl_tree tree[2];                                                                                               \
        for (int k = 0; k < 2; ++k) {                                                                                  \
            sl_tree_init(&tree[k], n, n, is_float32, min_tree, k ? level : 0);                                         \
            for (int64_t j = 0; j < SIZE + 64; ++j)                                                                    \
                leaves[k][j] = (real)(min_tree ? INFINITY : -INFINITY);                                                \
            memcpy(leaves[k], values_##dtype, (size_t)n * sizeof(real));                                               \
            check(!sl_tree_build(&tree[k], leaves[k], upper[k], NULL), name, "NaN found by build");                    \
        }                                                                                                              \
        for (int round = 0; round < 40; ++round) {                                                                     \
            const real t = (real)random_number(), sign = (real)(min_tree ? -1 : 1);                                    \
            for (int k = 0; k < 2; ++k) {                                                                              \
                const int64_t i = (round * 37) % n;                                                                    \
                sl_tree_update(&tree[k], leaves[k], upper[k], i, (double)other_##dtype[round]);                        \
            }                                                                                                          \
            check(memcmp(upper[0], upper[1], (size_t)tree[0].shape.n_upper * sizeof(real)) == 0, name, "levels");      \
            check(sl_tree_maximum(&tree[0], leaves[0], upper[0]) == sl_tree_maximum(&tree[1], leaves[1], upper[1]),    \
                  name, "maximum");                                                                                    \
            check(sl_tree_argmax(&tree[0], leaves[0], upper[0]) == sl_tree_argmax(&tree[1], leaves[1], upper[1]),      \
                  name, "argmax");                                                                                     \
            int64_t number[2];                                                                                         \
            for (int k = 0; k < 2; ++k) {                                                                              \
                sl_hits found;                                                                                         \
                sl_hits_init(&found, hits[k], SIZE, 1);                                                                \
                tree[k].dtype.query(&tree[k].shape, leaves[k], upper[k], sign * t, 0, n, sign, &found);                \
                number[k] = found.length;                                                                              \
            }                                                                                                          \
            check(number[0] == number[1] && memcmp(hits[0], hits[1], (size_t)number[0] * sizeof(int64_t)) == 0, name,  \
                  "query");                                                                                            \
        }                                                                                                              \
    }

FOR_DTYPE(f32, float, 1.2e-7)
FOR_DTYPE(f64, double, 2.3e-16)

static void compare_normals(int level, const char *name)
{
    static uint64_t seed[3 * SL_NORMALS_STREAMS];
    static float out[SIZE], plain[SIZE];
    for (int j = 0; j < 3 * SL_NORMALS_STREAMS; ++j)
        seed[j] = (state = state * 6364136223846793005u + 1442695040888963407u);
    sl_normals_at(level)(seed, SIZE, out);
    sl_normals_at(0)(seed, SIZE, plain);
    check(memcmp(out, plain, sizeof out) == 0, name, "normal numbers");
}

int main(void)
{
    const int64_t sizes[] = {1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1000, SIZE};
    draw_f32();
    draw_f64();
    for (int level = 0; level < SL_SIMD_N_LEVELS; ++level) {
        const char *name = sl_simd_name(level);
        if (!sl_simd_test(level)())
            continue;
        compare_primitives_f32(level, name);
        compare_primitives_f64(level, name);
        compare_products_f32(level, name);
        compare_products_f64(level, name);
        compare_normals(level, name);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; ++k)
            for (int min_tree = 0; min_tree < 2; ++min_tree) {
                compare_trees_f32(level, name, sizes[k], min_tree);
                compare_trees_f64(level, name, sizes[k], min_tree);
            }
        printf("%s\n", name);
    }
    return failures != 0;
}
