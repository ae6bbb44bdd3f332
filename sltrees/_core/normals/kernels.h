/* Normal numbers, for one instruction level: see simd/each_instance.h, by which normals.h includes this file. No include
 * guard. Plain loops that compilers turn into vectors. Nothing but sums, products, roots and integers, each rounded as
 * IEEE 754 has it and none fused with another (see setup.py), so that all levels give the same bits.
 */

/* Both coordinates of a point of the plane that is normal in all directions (Box and Muller), for each word: its upper
 * half u gives the radius sqrt(-2 ln((u + 1/2) / 2^32)), its lower half v the angle 2 pi (v + 1/2) / 2^32. The
 * polynomials are those of Cephes (logf, sinf, cosf). */
SL_TARGET static void SL_FN(normal_points)(const uint64_t *SL_RESTRICT words, float *SL_RESTRICT x,
                                            float *SL_RESTRICT y)
{
    for (int i = 0; i < SL_NORMALS_PART; ++i) {
        /* p or 1 - p, whichever is smaller, so that radii near 0 are as fine as those far out */
        const int32_t u = (int32_t)(words[i] >> 32), reflected = u >> 31;
        const float small = ((float)(u ^ reflected) + 0.5f) * 0x1p-32f;
        /* p = 2^exponent (1 + f), with sqrt(1/2) <= 1 + f < sqrt(2) */
        const int32_t above = sl_bits_of(reflected ? 1.0f - small : small) - 0x3f3504f3;
        const float exponent = (float)(above >> 23), rest = sl_float_of((above & 0x7fffff) + 0x3f3504f3) - 1.0f;
        const float f = (reflected && above >= 0) ? -small : rest, ff = f * f;
        float log = 7.0376836292e-2f * f - 1.1514610310e-1f;
        log = log * f + 1.1676998740e-1f;
        log = log * f - 1.2420140846e-1f;
        log = log * f + 1.4249322787e-1f;
        log = log * f - 1.6668057665e-1f;
        log = log * f + 2.0000714765e-1f;
        log = log * f - 2.4999993993e-1f;
        log = log * f + 3.3333331174e-1f;
        log = log * f * ff + exponent * -2.12194440e-4f; /* ln 2 in two parts: the product with the first is exact */
        log = (log - 0.5f * ff + f) + exponent * 0.693359375f;
        const float radius = sqrtf(-2.0f * log);
        /* v = 2^30 quarter + s, and the sine and cosine of an eighth of a turn at most */
        const uint32_t v = (uint32_t)words[i], quarter = (v + 0x20000000u) >> 30;
        const float a = ((float)(int32_t)(v - (quarter << 30)) + 0.5f) * 1.4629180792671596e-9f, aa = a * a;
        const float sine = ((-1.9515295891e-4f * aa + 8.3321608736e-3f) * aa - 1.6666654611e-1f) * aa * a + a;
        const float fourth = (2.443315711809948e-5f * aa - 1.388731625493765e-3f) * aa + 4.166664568298827e-2f;
        const float cosine = fourth * aa * aa - 0.5f * aa + 1.0f;
        const int32_t sine_bits = sl_bits_of(sine), cosine_bits = sl_bits_of(cosine);
        const int32_t difference = (sine_bits ^ cosine_bits) & -(int32_t)(quarter & 1u); /* in odd quarters they swap */
        x[i] = radius * sl_float_of(cosine_bits ^ difference ^ (int32_t)(((quarter + 1u) & 2u) << 30));
        y[i] = radius * sl_float_of(sine_bits ^ difference ^ (int32_t)((quarter & 2u) << 30));
    }
}

/* The next words of all streams, side by side. The generator is SFC64 of PractRand, as in NumPy. */
SL_TARGET static void SL_FN(normal_words)(sl_normals *streams, uint64_t *SL_RESTRICT words)
{
    uint64_t *SL_RESTRICT a = streams->a, *SL_RESTRICT b = streams->b, *SL_RESTRICT c = streams->c;
    uint64_t counter = streams->counter; /* of its own: what is written could be the streams' */
    for (int i = 0; i < SL_NORMALS_PART; i += SL_NORMALS_STREAMS, ++counter)
        for (int j = 0; j < SL_NORMALS_STREAMS; ++j) {
            const uint64_t word = a[j] + b[j] + counter;
            a[j] = b[j] ^ (b[j] >> 11);
            b[j] = c[j] + (c[j] << 3);
            c[j] = ((c[j] << 24) | (c[j] >> 40)) + word;
            words[i + j] = word;
        }
    streams->counter = counter;
}

/* `part` to out[at] and what follows, as far as that is below n. */
SL_INLINE void SL_FN(copy_normals)(const float *part, float *out, int64_t at, int64_t n)
{
    const int64_t room = n - at < SL_NORMALS_PART ? n - at : SL_NORMALS_PART;
    if (room > 0)
        memcpy(out + at, part, (size_t)room * sizeof(float));
}

/* The first n normal numbers of a seed of three words for each stream. Fewer are a beginning of more. */
SL_TARGET static void SL_FN(normals)(const uint64_t *seed, int64_t n, float *out)
{
    sl_normals streams;
    uint64_t words[SL_NORMALS_PART];
    float last[2 * SL_NORMALS_PART];
    sl_normals_seed(&streams, seed);
    for (int64_t start = 0; start < n; start += 2 * SL_NORMALS_POINTS)
        for (int64_t i = start; i < start + SL_NORMALS_POINTS; i += SL_NORMALS_PART) {
            SL_FN(normal_words)(&streams, words);
            if (n - start >= 2 * SL_NORMALS_POINTS) {
                SL_FN(normal_points)(words, out + i, out + i + SL_NORMALS_POINTS);
            } else {
                SL_FN(normal_points)(words, last, last + SL_NORMALS_PART);
                SL_FN(copy_normals)(last, out, i, n);
                SL_FN(copy_normals)(last + SL_NORMALS_PART, out, i + SL_NORMALS_POINTS, n);
            }
        }
}
