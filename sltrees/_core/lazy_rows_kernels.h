/* Kernels of lazy rows, for one instruction level and dtype. No include guard: lazy_rows.h includes this file
 * once per instance, with SL_ISA, SL_DTYPE, SL_REAL, SL_SQRT, SL_ABS and SL_BITS set. Nothing here allocates.
 */
#define SL_FN(name) SL_PASTE3(sl_##name, SL_DTYPE, SL_ISA)
#define SL_TARGET SL_PASTE2(SL_TARGET_, SL_ISA)
#define SL_COMPRESS SL_PASTE2(sl_compress_store_, SL_ISA)
#define SL_W ((int64_t)1 << SL_BITS)

/* ------------------------------------------------------------------ near lists */

/* Near lists of rows whose products z (n_rows, n) with the samples are at hand, appended to the pools from `used` on.
 * Sample i is near where z > threshold_i = shift - skin |x_i|; its distance is (z - shift) inverse_norm_i. Unless `keep_all`, a
 * row that fires on nothing leaves no trace. For each row kept: its number, the end of its list, the number of entries that
 * fire, the least |distance|. The pools have room for n_rows * n entries and a block. Returns the number of rows kept.
 * Cost: O(n_rows n). */
SL_TARGET static int64_t SL_FN(lazy_collect)(const void *z_, int64_t n_rows, int64_t n, const void *thresholds_,
                                             const void *inverse_norms_, double shift_, int keep_all, int64_t used,
                                             int32_t *direction, void *distance_, int32_t *kept, int64_t *stop,
                                             int32_t *n_fired, double *nearest)
{
    const SL_REAL *thresholds = thresholds_, *inverse_norms = inverse_norms_, shift = (SL_REAL)shift_;
    SL_REAL *distance = distance_;
    int64_t n_kept = 0;
    for (int64_t r = 0; r < n_rows; ++r) {
        const SL_REAL *z = (const SL_REAL *)z_ + r * n;
        int64_t end = used, i = 0;
        int32_t fired = 0;
        SL_REAL least = (SL_REAL)INFINITY;
        for (; i + SL_W <= n; i += SL_W)
            end += SL_COMPRESS(direction + end, (int32_t)i, SL_FN(block_mask_each)(z + i, thresholds + i));
        for (; i < n; ++i)
            if (z[i] > thresholds[i])
                direction[end++] = (int32_t)i;
        for (int64_t e = used; e < end; ++e) {
            const int32_t j = direction[e];
            const SL_REAL above = z[j] - shift, y = above * inverse_norms[j], size = SL_ABS(y);
            distance[e] = y;
            fired += above > 0;
            least = size < least ? size : least;
        }
        if (fired || keep_all) {
            kept[n_kept] = (int32_t)r;
            stop[n_kept] = used = end;
            n_fired[n_kept] = fired;
            nearest[n_kept++] = least;
        }
    }
    return n_kept;
}

/* ------------------------------------------------------------------ where a row is */

/* out = D_r, and through `rest` the norm of its part that shrinks. Returns the sum of the sizes of all terms, to bound
 * rounding by. With `rest` NULL both parts are summed at once. Cost: O(n_active stride). */
SL_TARGET SL_INLINE double SL_FN(lazy_displacement)(const sl_lazy_rows *rows, const sl_lazy_step *step, int64_t r,
                                                    SL_REAL *out, double *rest)
{
    const int64_t stride = rows->stride, start = rows->active_start[r], n_fired = rows->n_fired[r];
    const int32_t *direction = rows->active_direction + start;
    const SL_REAL *coefficient = (const SL_REAL *)rows->active_coefficient + start;
    const SL_REAL *directions = rows->directions;
    const double decay = step->decay[rows->stamp[r]];
    const SL_REAL sign = ((const SL_REAL *)rows->signs)[r];
    double size = 0;
    if (rows->origin && step->origin_decay != 0) {
        const SL_REAL *origin = (const SL_REAL *)rows->origin + r * stride;
        for (int64_t k = 0; k < stride; ++k)
            out[k] = (SL_REAL)step->origin_decay * origin[k];
        size = SL_SQRT(SL_FN(dot)(out, out, stride));
    } else
        memset(out, 0, stride * sizeof(SL_REAL));
    if (rest) {
        for (int64_t e = 0; e < rows->n_active[r]; ++e)
            if (coefficient[e] != 0 && decay != 0) {
                const double c = decay * coefficient[e];
                size += fabs(c);
                SL_FN(add_multiple)(out, -sign * (SL_REAL)c, directions + direction[e] * stride, stride);
            }
        *rest = size == 0 ? 0 : SL_SQRT(SL_FN(dot)(out, out, stride)) * (1 + 64 * step->rounding) +
                                    step->rounding * (rows->n_active[r] + 2) * size;
    }
    for (int64_t e = 0; e < rows->n_active[r]; ++e) {
        double c = rest ? 0 : decay * coefficient[e];
        c += e < n_fired ? step->coefficient[direction[e]] : 0;
        if (c == 0)
            continue;
        size += fabs(c);
        SL_FN(add_multiple)(out, -sign * (SL_REAL)c, directions + direction[e] * stride, stride);
    }
    return size;
}

/* ------------------------------------------------------------------ certificates */

/* Whether row r keeps its pattern for certain, with its new failure time; see lazy_rows.h. No weight is read.
 * Three bounds on how far it moved since its stamp, each tighter and dearer than the one before: the clock (before this call),
 * the triangle inequality, the norm of the movement itself. */
SL_TARGET SL_INLINE int SL_FN(lazy_certified)(const sl_lazy_rows *rows, const sl_lazy_step *step, int64_t r,
                                              SL_REAL *moved, double *failure)
{
    const int64_t stride = rows->stride, n_fired = rows->n_fired[r];
    const int32_t *direction = rows->active_direction + rows->active_start[r];
    const SL_REAL *directions = rows->directions;
    const int32_t stamp = rows->stamp[r];
    const double *change = step->change + stamp * rows->n_directions;
    const double decay = step->decay[stamp], gap = rows->gap[r];
    double sum = 0, squares = 0;
    for (int64_t e = 0; e < n_fired; ++e) {
        const double c = fabs(change[direction[e]]);
        sum += c;
        squares += c * c;
    }
    const double shrunk = decay == 1 ? 0 : (1 - decay) * rows->rest[r];
    double drift = shrunk + (sum + n_fired * step->coefficient_rounding) * (1 + 1e-12);
    if (!(drift < gap)) {
        if (squares > 2 * gap * gap) /* not worth the trial: the norm is about the root of the squares */
            return 0;
        memset(moved, 0, stride * sizeof(SL_REAL));
        for (int64_t e = 0; e < n_fired; ++e)
            SL_FN(add_multiple)(moved, (SL_REAL)change[direction[e]], directions + direction[e] * stride, stride);
        drift = shrunk + SL_SQRT(SL_FN(dot)(moved, moved, stride)) * (1 + (stride + 8) * step->rounding) +
                step->rounding * (n_fired + 8) * sum + n_fired * step->coefficient_rounding;
        if (!(drift < gap))
            return 0;
    }
    *failure = sl_failure_time(step, gap - drift, (double)n_fired, rows->rest[r] * decay);
    return 1;
}

/* Find where row r stands now and which of its pairs flipped since its stamp. Returns whether it was recorded: not where
 * the row strayed from its near list. `fired` is all 0, before and after. */
SL_TARGET SL_INLINE int SL_FN(lazy_visit)(const sl_lazy_rows *rows, const sl_lazy_step *step, int64_t r, uint8_t *fired,
                                          SL_REAL *place, SL_REAL *drifted, sl_lazy_findings *found)
{
    const int64_t stride = rows->stride, n_fired = rows->n_fired[r];
    const SL_REAL *directions = rows->directions;
    const int32_t *active = rows->active_direction + rows->active_start[r];
    double rest = 0;
    double size = SL_FN(lazy_displacement)(rows, step, r, place, step->exchange > 0 ? &rest : NULL);
    const SL_REAL *centre = NULL, *delta = place;
    if (rows->centre[r] >= 0)
        centre = (const SL_REAL *)rows->centres + rows->centre[r] * stride;
    else if (rows->origin)
        centre = (const SL_REAL *)rows->origin + r * stride;
    if (centre) {
        for (int64_t k = 0; k < stride; ++k)
            drifted[k] = place[k] - centre[k];
        size += SL_SQRT(SL_FN(dot)(centre, centre, stride));
        delta = drifted;
    }
    const double drift = SL_SQRT(SL_FN(dot)(delta, delta, stride)) * (1 + (stride + 8) * step->rounding) +
                         step->rounding * (rows->n_active[r] + 8) * size;
    if (!(drift + step->margin < step->skin)) {
        const int64_t k = found->n_strayed++;
        found->strayed_row[k] = (int32_t)r;
        found->strayed_rest[k] = rest;
        memcpy((SL_REAL *)found->strayed_displacement + k * stride, place, stride * sizeof(SL_REAL));
        return 0;
    }
    const SL_REAL band = (SL_REAL)((drift + step->margin) * (1 + 4 * step->rounding));
    const int64_t stop = rows->near_stop[r];
    double gap = step->margin; /* no less for pairs that are not evaluated, and drift + margin < skin for pairs not near */
    int64_t n_candidates = 0, n_flips = found->n_flips;
    for (int64_t e = 0; e < n_fired; ++e)
        fired[active[e]] = 1;
    for (int64_t at = rows->near_start[r]; at < stop; at += SL_W) {
        const SL_REAL *distance = (const SL_REAL *)rows->near_distance + at;
        uint32_t mask = SL_FN(block_band)(distance, band);
        if (at + SL_W > stop)
            mask &= (uint32_t)((1u << (stop - at)) - 1u);
        for (; mask; mask &= mask - 1) {
            const int j = SL_COUNT_TRAILING_ZEROS(mask);
            const int32_t i = rows->near_direction[at + j];
            const SL_REAL y = distance[j] + SL_FN(dot)(delta, directions + i * stride, stride);
            const double distance_now = SL_ABS(y);
            gap = distance_now < gap ? distance_now : gap;
            ++n_candidates;
            if (SL_UNLIKELY((y > 0) != fired[i])) {
                found->flip_direction[n_flips] = i;
                found->flip_distance[n_flips] = y;
                /* only the ridge asks for it */
                found->flip_product[n_flips++] =
                    step->exchange > 0 ? SL_FN(dot)(place, directions + i * stride, stride) : 0;
            }
        }
    }
    for (int64_t e = 0; e < n_fired; ++e)
        fired[active[e]] = 0;
    const int64_t k = found->n_visited++;
    found->visited_row[k] = (int32_t)r;
    found->visited_gap[k] = gap > step->resolution ? gap : step->resolution;
    found->visited_rest[k] = rest;
    found->visited_flips[k] = found->n_flips = n_flips;
    found->n_candidates += n_candidates;
    return 1;
}

/* Look at the reported rows from position `from` on: clear those whose certificate holds, visit the others (all of
 * them with `visit_all`). Changes nothing but `found`. Returns the position of the first row not looked at: short of n_reported where a buffer is full.
 * `fired` (n_directions) is all 0; `scratch` has room for two padded vectors. */
SL_TARGET static int64_t SL_FN(lazy_review)(const sl_lazy_rows *rows, const sl_lazy_step *step, const int64_t *reported,
                                            int64_t n_reported, int64_t from, int visit_all, uint8_t *fired,
                                            void *scratch, sl_lazy_findings *found)
{
    SL_REAL *place = scratch, *drifted = place + rows->stride;
    int64_t at = from;
    for (; at < n_reported; ++at) {
        const int64_t r = reported[at];
        double failure;
        const int64_t longest = rows->near_stop[r] - rows->near_start[r];
        if (found->n_flips + longest > found->flips_room || found->n_strayed == found->strayed_room)
            break;
        if (!visit_all && SL_FN(lazy_certified)(rows, step, r, place, &failure)) {
            found->cleared_row[found->n_cleared] = (int32_t)r;
            found->cleared_failure[found->n_cleared++] = failure;
        } else
            SL_FN(lazy_visit)(rows, step, r, fired, place, drifted, found);
    }
    return at;
}

/* New near lists for strayed rows first .. first + n_rows - 1 of the findings, from their products z with all samples, and their
 * flips; as lazy_collect and lazy_visit. Stops where flips have no room. Returns the number of rows done. */
SL_TARGET static int64_t SL_FN(lazy_collect_strayed)(const sl_lazy_rows *rows, const sl_lazy_step *step, const void *z_,
                                                     int64_t first, int64_t n_rows, const void *thresholds_,
                                                     const void *inverse_norms_, double shift_, int64_t used,
                                                     int32_t *direction, void *distance_, int64_t *stop, uint8_t *fired,
                                                     sl_lazy_findings *found)
{
    const int64_t n = rows->n_directions, stride = rows->stride;
    const SL_REAL *thresholds = thresholds_, *inverse_norms = inverse_norms_, *directions = rows->directions;
    const SL_REAL shift = (SL_REAL)shift_;
    SL_REAL *distance = distance_;
    int64_t q = 0;
    for (; q < n_rows; ++q) {
        if (found->n_flips + n > found->flips_room)
            break;
        const SL_REAL *z = (const SL_REAL *)z_ + q * n;
        const SL_REAL *place = (const SL_REAL *)found->strayed_displacement + (first + q) * stride;
        const int64_t r = found->strayed_row[first + q];
        const int32_t *active = rows->active_direction + rows->active_start[r];
        double gap = step->skin;
        for (int64_t e = 0; e < rows->n_fired[r]; ++e)
            fired[active[e]] = 1;
        for (int64_t i = 0; i < n; ++i) {
            const int near = z[i] > thresholds[i];
            if (!near && !fired[i])
                continue;
            const SL_REAL y = (z[i] - shift) * inverse_norms[i];
            if (near) {
                direction[used] = (int32_t)i;
                distance[used++] = y;
            }
            gap = SL_ABS(y) < gap ? SL_ABS(y) : gap;
            if ((y > 0) != fired[i]) {
                found->flip_direction[found->n_flips] = (int32_t)i;
                found->flip_distance[found->n_flips] = y;
                found->flip_product[found->n_flips++] = SL_FN(dot)(place, directions + i * stride, stride);
            }
        }
        for (int64_t e = 0; e < rows->n_fired[r]; ++e)
            fired[active[e]] = 0;
        stop[q] = used;
        const int64_t k = found->n_visited++;
        found->visited_row[k] = (int32_t)r;
        found->visited_gap[k] = gap > step->resolution ? gap : step->resolution;
        found->visited_rest[k] = found->strayed_rest[first + q];
        found->visited_flips[k] = found->n_flips;
        found->n_candidates += n;
    }
    return q;
}

/* ------------------------------------------------------------------ keeping a step */

/* Move the active list of row r to the end of the pool, where it has room for `needed` entries and some more. */
SL_TARGET SL_INLINE void SL_FN(lazy_relocate)(sl_lazy_rows *rows, int64_t r, int64_t needed, int64_t *pool_used)
{
    SL_REAL *coefficient = rows->active_coefficient;
    const int64_t from = rows->active_start[r], to = *pool_used, n_active = rows->n_active[r];
    memcpy(rows->active_direction + to, rows->active_direction + from, n_active * sizeof(int32_t));
    memcpy(coefficient + to, coefficient + from, n_active * sizeof(SL_REAL));
    rows->active_start[r] = to;
    rows->room[r] = sl_lazy_new_room(needed);
    *pool_used = to + rows->room[r];
}

/* Make what was found the state of the visited rows: their flips, gaps and stamps. The pool of active lists has room (see
 * sl_lazy_room_needed). Cost: O(visited + flips n_active). */
SL_TARGET static void SL_FN(lazy_apply)(sl_lazy_rows *rows, const sl_lazy_step *step, const sl_lazy_findings *found,
                                        int32_t stamp, int64_t *pool_used)
{
    int64_t flip = 0;
    for (int64_t k = 0; k < found->n_visited; ++k) {
        const int64_t r = found->visited_row[k], end = found->visited_flips[k];
        const double decay = step->decay[rows->stamp[r]];
        int64_t n_fired = rows->n_fired[r], entering = 0;
        double rest = found->visited_rest[k];
        if (decay == 0) /* what no longer fires is forgotten */
            rows->n_active[r] = rows->n_fired[r];
        for (int64_t q = flip; q < end; ++q)
            entering += found->flip_distance[q] > 0;
        if (rows->n_active[r] + entering > rows->room[r])
            SL_FN(lazy_relocate)(rows, r, rows->n_active[r] + entering, pool_used);
        int32_t *direction = rows->active_direction + rows->active_start[r];
        SL_REAL *coefficient = (SL_REAL *)rows->active_coefficient + rows->active_start[r];
        if (decay != 1)
            for (int64_t e = 0; e < rows->n_active[r]; ++e)
                coefficient[e] = (SL_REAL)(decay * coefficient[e]);
        for (; flip < end; ++flip) {
            const int32_t i = found->flip_direction[flip];
            const double beta = step->coefficient[i];
            const int begins = found->flip_distance[flip] > 0;
            /* the fired entries come first: those that begin to fire trade places with the first that does not, those
             * that cease with the last that does */
            int64_t at = begins ? n_fired : 0;
            const int64_t last = begins ? rows->n_active[r] : n_fired;
            while (at < last && direction[at] != i)
                ++at;
            if (at == rows->n_active[r]) {
                direction[at] = i;
                coefficient[at] = 0;
                rows->n_active[r] += 1;
            }
            const int64_t other = begins ? n_fired++ : --n_fired;
            const int32_t other_direction = direction[other];
            const SL_REAL other_coefficient = coefficient[other];
            const double c = coefficient[at] + (begins ? -beta : beta);
            direction[at] = other_direction;
            coefficient[at] = other_coefficient;
            direction[other] = i;
            coefficient[other] = (SL_REAL)c;
            rest += fabs(beta) * (1 + 1e-6);
        }
        rows->n_fired[r] = (int32_t)n_fired;
        rows->stamp[r] = stamp;
        rows->gap[r] = found->visited_gap[k];
        rows->rest[r] = rest;
    }
}

/* ------------------------------------------------------------------ sums over rows */

/* For rows start .. stop - 1, where they stand now: out_products_i += sign <w_r, u_i> - offset_i over the pairs that fire, with
 * w = initial + D; out_moved_i += sign <D_r, u_i>; and D itself into `displacement`. The last two may be NULL. `initial` has
 * one row of d numbers for `copies` consecutive rows. `scratch` has room for two padded vectors.
 * Cost: O(n_active stride) a row. */
SL_TARGET static void SL_FN(lazy_add_outputs)(const sl_lazy_rows *rows, const sl_lazy_step *step, const void *initial_,
                                              int64_t d, int64_t copies, const double *offset, int64_t start,
                                              int64_t stop, void *scratch, double *out_products, double *out_moved,
                                              void *displacement_)
{
    const SL_REAL *initial = initial_, *directions = rows->directions;
    SL_REAL *place = scratch, *weight = place + rows->stride, *displacement = displacement_;
    memset(weight, 0, rows->stride * sizeof(SL_REAL));
    for (int64_t r = start; r < stop; ++r) {
        const int32_t *direction = rows->active_direction + rows->active_start[r];
        const double sign = ((const SL_REAL *)rows->signs)[r];
        if (!displacement && rows->n_fired[r] == 0)
            continue;
        SL_FN(lazy_displacement)(rows, step, r, place, NULL);
        if (displacement)
            memcpy(displacement + (r - start) * d, place, d * sizeof(SL_REAL));
        if (!out_products)
            continue;
        const SL_REAL *from = initial + r / copies * d;
        for (int64_t k = 0; k < d; ++k)
            weight[k] = from[k] + place[k];
        for (int64_t e = 0; e < rows->n_fired[r]; ++e) {
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
        const int32_t *direction = rows->active_direction + rows->active_start[r];
        const int64_t n_fired = rows->n_fired[r];
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

#undef SL_FN
#undef SL_TARGET
#undef SL_COMPRESS
#undef SL_W
