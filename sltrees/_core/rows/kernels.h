/* Kernels of lazy rows, for one instruction level and dtype: see simd/each_instance.h, by which rows.h includes this file.
 * No include guard. Nothing here allocates.
 */

/* ------------------------------------------------------------------ where a row is */

/* out = D_r, and through `rest` the norm of its part that shrinks. Returns the sum of the sizes of all terms, to bound
 * rounding by. With `rest` NULL both parts are summed at once. `c` has room for n_active numbers.
 * Cost: O(n_active stride). */
SL_TARGET SL_INLINE double SL_FN(lazy_displacement)(const sl_lazy_rows *rows, const sl_lazy_step *step, int64_t r,
                                                    SL_REAL *c, SL_REAL *out, double *rest)
{
    const int64_t stride = rows->stride, start = rows->row[r].active_start;
    const int64_t n_fired = rows->row[r].n_fired, n_active = rows->row[r].n_active;
    const int32_t *direction = rows->active_direction + start;
    const SL_REAL *coefficient = (const SL_REAL *)rows->active_coefficient + start;
    const double decay = step->decay[rows->row[r].stamp];
    const double sign = -rows->row[r].sign;
    double size = 0;
    if (rows->origin && step->origin_decay != 0) {
        const SL_REAL *origin = (const SL_REAL *)rows->origin + r * stride;
        for (int64_t k = 0; k < stride; ++k)
            out[k] = (SL_REAL)step->origin_decay * origin[k];
        size = SL_SQRT(SL_FN(dot)(out, out, stride));
    } else
        memset(out, 0, stride * sizeof(SL_REAL));
    if (rest) {
        if (decay != 0) {
            for (int64_t e = 0; e < n_active; ++e) {
                const double by = decay * coefficient[e];
                size += fabs(by);
                c[e] = (SL_REAL)(sign * by);
            }
            if (size != 0)
                SL_FN(add_rows)(out, stride, c, direction, n_active, rows->directions);
        }
        *rest = size == 0 ? 0 : SL_SQRT(SL_FN(dot)(out, out, stride)) * (1 + (stride + 8) * step->rounding) +
                                    step->rounding * (n_active + 2) * size;
    }
    for (int64_t e = 0; e < n_fired; ++e) {
        const double by = (rest ? 0 : decay * coefficient[e]) + step->coefficient[direction[e]];
        size += fabs(by);
        c[e] = (SL_REAL)(sign * by);
    }
    int64_t n_terms = n_fired;
    if (!rest && decay != 0)
        for (; n_terms < n_active; ++n_terms) {
            const double by = decay * coefficient[n_terms];
            size += fabs(by);
            c[n_terms] = (SL_REAL)(sign * by);
        }
    SL_FN(add_rows)(out, stride, c, direction, n_terms, rows->directions);
    return size;
}

#include "rows/review.h"

/* ------------------------------------------------------------------ keeping a step */

/* Move the active list of row r to the end of the pool, where it has room for `needed` entries and some more. */
SL_TARGET SL_INLINE void SL_FN(lazy_relocate)(sl_lazy_rows *rows, int64_t r, int64_t needed, int32_t *pool_used)
{
    SL_REAL *coefficient = rows->active_coefficient;
    const int32_t from = rows->row[r].active_start, to = *pool_used;
    const int64_t n_active = rows->row[r].n_active;
    memcpy(rows->active_direction + to, rows->active_direction + from, n_active * sizeof(int32_t));
    memcpy(coefficient + to, coefficient + from, n_active * sizeof(SL_REAL));
    rows->row[r].active_start = to;
    rows->row[r].room = sl_lazy_new_room(needed);
    *pool_used = to + rows->row[r].room;
}

/* Make what was found the state of the visited rows: their flips, gaps and stamps. The pool of active lists has room (see
 * sl_lazy_room_needed). `flipped` (n_directions) is all 0; `scratch` has room for twice n_directions numbers and
 * n_directions indices. Cost: O(visited n_active + flips). */
SL_TARGET static void SL_FN(lazy_apply)(sl_lazy_rows *rows, const sl_lazy_step *step, const sl_lazy_findings *found,
                                        int32_t stamp, int32_t *pool_used, uint8_t *flipped, void *scratch)
{
    SL_REAL *idle_coefficient = scratch, *beta = idle_coefficient + rows->n_directions;
    int32_t *idle_direction = (int32_t *)(beta + rows->n_directions);
    int64_t flip = 0;
    for (int64_t i = 0; i < rows->n_directions; ++i)
        beta[i] = (SL_REAL)step->coefficient[i];
    for (int64_t k = 0; k < found->n_visited; ++k) {
        const int64_t r = found->visited_row[k], first = flip, end = found->visited_flips[k];
        const double decay = step->decay[rows->row[r].stamp];
        double rest = step->exchange > 0 ? found->visited_rest[k] : rows->row[r].rest;
        rows->row[r].stamp = stamp;
        rows->row[r].reach = found->visited_reach[k];
        rows->row[r].gap = found->visited_gap[k];
        rows->row[r].nearest = found->visited_nearest[k];
        rows->row[r].distance = found->visited_distance[k];
        rows->row[r].rest = (float)rest;
        if (first == end && decay == 1)
            continue;
        int64_t entering = 0;
        for (; flip < end; ++flip) {
            const int32_t code = found->flip[flip], i = code < 0 ? ~code : code;
            flipped[i] = 1;
            entering += code >= 0;
            rest += fabs(step->coefficient[i]) * (1 + 2 * step->rounding);
        }
        rows->row[r].rest = sl_round_up(rest);
        if (rows->row[r].n_active + entering > rows->row[r].room)
            SL_FN(lazy_relocate)(rows, r, rows->row[r].n_active + entering, pool_used);
        int32_t *direction = rows->active_direction + rows->row[r].active_start;
        SL_REAL *coefficient = (SL_REAL *)rows->active_coefficient + rows->row[r].active_start;
        /* One pass parts the list into what fires now, in place, and what does not; no branch depends on the data. */
        const int64_t n_before = rows->row[r].n_fired;
        const SL_REAL shrunk = (SL_REAL)decay;
        int64_t n_fired = 0, n_idle = 0;
        for (int64_t e = 0; e < rows->row[r].n_active; ++e) {
            const int32_t i = direction[e];
            const int before = e < n_before, changes = flipped[i], after = before ^ changes;
            const SL_REAL c = shrunk * coefficient[e] + (SL_REAL)(changes * (1 - 2 * after)) * beta[i];
            flipped[i] = 0;
            direction[n_fired] = idle_direction[n_idle] = i;
            coefficient[n_fired] = idle_coefficient[n_idle] = c;
            n_fired += after;
            n_idle += !after & (c != 0);
        }
        for (int64_t q = first; q < end; ++q) { /* those that were not in the list */
            const int32_t i = found->flip[q] < 0 ? ~found->flip[q] : found->flip[q];
            direction[n_fired] = i;
            coefficient[n_fired] = -beta[i];
            n_fired += flipped[i];
            flipped[i] = 0;
        }
        for (int64_t e = 0; e < n_idle; ++e) { /* no memcpy: wide loads would wait for the narrow stores just made */
            direction[n_fired + e] = idle_direction[e];
            coefficient[n_fired + e] = idle_coefficient[e];
        }
        rows->row[r].n_fired = (int32_t)n_fired;
        rows->row[r].n_active = (int32_t)(n_fired + n_idle);
    }
}

/* ------------------------------------------------------------------ sums over rows */

/* For rows start .. stop - 1, where they stand now: out_products_i += sign <w_r, u_i> - offset_i over the pairs that fire, with
 * w = initial + D; out_moved_i += sign <D_r, u_i>; and D itself into `displacement`. The last two may be NULL. `initial` has
 * one row of d numbers for `copies` consecutive rows. `scratch` has room for two padded vectors and n_directions numbers.
 * Cost: O(n_active stride) a row. */
SL_TARGET static void SL_FN(lazy_add_outputs)(const sl_lazy_rows *rows, const sl_lazy_step *step, const void *initial_,
                                              int64_t d, int64_t copies, const double *offset, int64_t start,
                                              int64_t stop, void *scratch, double *out_products, double *out_moved,
                                              void *displacement_)
{
    const SL_REAL *initial = initial_, *directions = rows->directions;
    SL_REAL *place = scratch, *weight = place + rows->stride, *c = weight + rows->stride, *displacement = displacement_;
    memset(weight, 0, rows->stride * sizeof(SL_REAL));
    for (int64_t r = start; r < stop; ++r) {
        const int32_t *direction = rows->active_direction + rows->row[r].active_start;
        const double sign = rows->row[r].sign;
        if (!displacement && rows->row[r].n_fired == 0)
            continue;
        SL_FN(lazy_displacement)(rows, step, r, c, place, NULL);
        if (displacement)
            memcpy(displacement + (r - start) * d, place, d * sizeof(SL_REAL));
        if (!out_products)
            continue;
        const SL_REAL *from = initial + r / copies * d;
        for (int64_t k = 0; k < d; ++k)
            weight[k] = from[k] + place[k];
        for (int64_t e = 0; e < rows->row[r].n_fired; ++e) {
            const int32_t i = direction[e];
            out_products[i] += sign * ((double)SL_FN(dot)(weight, directions + i * rows->stride, rows->stride) - offset[i]);
            if (out_moved)
                out_moved[i] += sign * SL_FN(dot)(place, directions + i * rows->stride, rows->stride);
        }
    }
}

/* out_i += sum over rows that fire on i of <sum over j that fire of v_j x_j, x_i>, for the rows x_i of `data` (n, d), in double
 * precision. `sum` has room for d numbers. Cost: O(fired pairs d). */
SL_TARGET static void SL_FN(lazy_gram_product)(const sl_lazy_rows *rows, const void *data_, int64_t d, const double *v,
                                               double *sum, double *out)
{
    const SL_REAL *data = data_;
    for (int64_t r = 0; r < rows->n_rows; ++r) {
        const int32_t *direction = rows->active_direction + rows->row[r].active_start;
        const int64_t n_fired = rows->row[r].n_fired;
        memset(sum, 0, d * sizeof(double));
        for (int64_t e = 0; e < n_fired; ++e) {
            const SL_REAL *x = data + direction[e] * d;
            const double by = v[direction[e]];
            for (int64_t k = 0; k < d; ++k)
                sum[k] += by * x[k];
        }
        for (int64_t e = 0; e < n_fired; ++e) {
            const SL_REAL *x = data + direction[e] * d;
            double lane[4] = {0, 0, 0, 0};
            int64_t k = 0;
            for (; k + 4 <= d; k += 4)
                for (int j = 0; j < 4; ++j)
                    lane[j] += sum[k + j] * x[k + j];
            for (; k < d; ++k)
                lane[0] += sum[k] * x[k];
            out[direction[e]] += (lane[0] + lane[1]) + (lane[2] + lane[3]);
        }
    }
}
