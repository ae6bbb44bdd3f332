/* Kernels that look at lazy rows and change nothing of them: certificates, visits, new near lists for those that strayed.
 * Included by kernels.h for each instruction level and dtype. No include guard.
 */

/* ------------------------------------------------------------------ certificates */

/* Whether row r keeps its pattern for certain, with its new failure time; see rows.h. No weight is read.
 * Bounds on how far it moved since its stamp, each tighter and dearer than the one before: the clock (before this call),
 * the triangle inequality, the norm of the movement itself; and where only the nearest pair can have flipped, its distance now. */
SL_TARGET SL_INLINE int SL_FN(lazy_certified)(const sl_lazy_rows *rows, const sl_lazy_step *step, int64_t r,
                                              SL_REAL *c, SL_REAL *moved, double *failure)
{
    const int64_t stride = rows->stride;
    const sl_row *row = rows->row + r;
    const int64_t n_fired = row->n_fired;
    const int32_t *direction = rows->active_direction + row->active_start;
    const double *change = step->change + row->stamp * rows->n_directions;
    const double decay = step->decay[row->stamp], freedom = sl_freedom(row, step->resolution);
    /* what the movement is compared with; the nearest pair can be told from it only where nothing shrank */
    const double others = row->gap > freedom && decay == 1 ? row->gap : freedom;
    double sum = 0, squares = 0;
    for (int64_t e = 0; e < n_fired; ++e) {
        const double by = change[direction[e]];
        sum += fabs(by);
        squares += by * by;
        c[e] = (SL_REAL)by;
        if (squares > 2 * others * others) /* the norm is about the root of the squares: hopeless */
            return 0;
    }
    const double shrunk = decay == 1 ? 0 : (1 - decay) * row->rest;
    double drift = shrunk + (sum + n_fired * step->coefficient_rounding) * (1 + 1e-6), left = freedom - drift;
    if (!(left > 0)) {
        const double error = step->rounding * (n_fired + stride + 8) * sum + n_fired * step->coefficient_rounding;
        memset(moved, 0, stride * sizeof(SL_REAL));
        SL_FN(add_rows)(moved, stride, c, direction, n_fired, rows->directions);
        drift = shrunk + SL_SQRT(SL_FN(dot)(moved, moved, stride)) * (1 + (stride + 8) * step->rounding) + error;
        left = freedom - drift;
        if (!(left > 0)) {
            if (!(drift < others) || row->nearest < 0)
                return 0;
            const SL_REAL *nearest = (const SL_REAL *)rows->directions + row->nearest * stride;
            const double before = row->distance;
            const double now = before - rows->row[r].sign * (double)SL_FN(dot)(moved, nearest, stride);
            /* the stored distance is a rounded one */
            const double certain = fabs(now) - error - (stride + 8) * step->rounding * drift - 1.2e-7 * fabs(before);
            if ((now > 0) != (before > 0) || !(certain > step->resolution))
                return 0;
            left = certain < others - drift ? certain : others - drift;
        }
    }
    *failure = sl_failure_time(step, left, (double)n_fired, row->rest * decay);
    return 1;
}

/* Working memory of a visit. */
typedef struct {
    uint8_t *fired;      /* (n_directions,) all 0 between visits */
    SL_REAL *place;      /* (stride,) D_r */
    SL_REAL *delta;      /* (stride,) D_r - centre */
    SL_REAL *c;          /* (n_directions,) coefficients */
    SL_REAL *change;     /* (n_directions + 4,) <D_r - centre, u_i> of each candidate */
    SL_REAL *now;        /* (n_directions,) signed distances of the candidates */
    SL_REAL *y;          /* (n_directions,) signed distances of what flips */
    int32_t *candidates; /* (n_directions + a block,) positions in the near list */
    int64_t n_candidates;
    double drift;        /* bound on |D_r - centre| */
    double reach;        /* the larger of it and of the row's reach so far */
    double rest;
    double size;         /* sum of the sizes of all terms of D_r and of the centre */
    int64_t last;        /* the row of which all this tells, or -1 */
} SL_FN(lazy_visitor);

/* Find where row r stands now, and how its distances to the nearest hyperplanes changed. Sets: all of the visitor but
 * `fired`; no candidates where the row strayed from its near list. Cost: O((n_active + candidates) stride + near / W). */
SL_TARGET SL_INLINE void SL_FN(lazy_locate)(const sl_lazy_rows *rows, const sl_lazy_step *step, int64_t r,
                                            SL_FN(lazy_visitor) *visitor)
{
    const int64_t stride = rows->stride;
    const SL_REAL *directions = rows->directions;
    visitor->rest = 0;
    double size = SL_FN(lazy_displacement)(rows, step, r, visitor->c, visitor->place,
                                           step->exchange > 0 ? &visitor->rest : NULL);
    const SL_REAL *centre = NULL, *delta = visitor->place;
    if (rows->row[r].centre >= 0)
        centre = (const SL_REAL *)rows->centres + rows->row[r].centre * stride;
    else if (rows->origin)
        centre = (const SL_REAL *)rows->origin + r * stride;
    if (centre) {
        for (int64_t k = 0; k < stride; ++k)
            visitor->delta[k] = visitor->place[k] - centre[k];
        size += SL_SQRT(SL_FN(dot)(centre, centre, stride));
        delta = visitor->delta;
    }
    visitor->size = size;
    visitor->drift = SL_SQRT(SL_FN(dot)(delta, delta, stride)) * (1 + (stride + 8) * step->rounding) +
                     step->rounding * (rows->row[r].n_active + 8) * size;
    visitor->reach = visitor->drift > rows->row[r].reach ? visitor->drift : rows->row[r].reach;
    visitor->n_candidates = 0;
    visitor->last = r;
    if (!(visitor->drift + step->margin < step->skin))
        return;
    const SL_REAL band = (SL_REAL)((visitor->reach + step->margin) * (1 + 4 * step->rounding));
    const int64_t start = rows->row[r].near_start, n_near = rows->row[r].near_stop - start;
    const SL_REAL *distance = (const SL_REAL *)rows->near_distance + start;
    const int32_t *near = rows->near_direction + start;
    int64_t n = 0;
    for (int64_t at = 0; at < n_near; at += SL_W) {
        uint32_t mask = SL_FN(block_band)(distance + at, band);
        if (at + SL_W > n_near)
            mask &= (uint32_t)((1u << (n_near - at)) - 1u);
        n += SL_COMPRESS(visitor->candidates + n, (int32_t)at, mask);
    }
    visitor->n_candidates = n;
    for (int64_t at = 0; at < n; at += 4) {
        int32_t i[4];
        for (int64_t j = 0; j < 4; ++j)
            i[j] = near[visitor->candidates[at + j < n ? at + j : at]];
        SL_FN(dots)(delta, stride, i, directions, visitor->change + at);
    }
}

/* Whether row r is the mirror image of the row last located: they share a near list built at the origin, fire on the same
 * directions, never flipped, and have opposite signs. (So do the twins of a network at first: a visit then serves both.) */
SL_TARGET SL_INLINE int SL_FN(lazy_mirrors)(const sl_lazy_rows *rows, int64_t r, const SL_FN(lazy_visitor) *visitor)
{
    const int64_t o = visitor->last;
    if (o < 0 || rows->row[r].near_start != rows->row[o].near_start || rows->row[r].near_stop != rows->row[o].near_stop ||
        rows->origin || rows->row[r].centre >= 0 || rows->row[o].centre >= 0 || rows->row[r].rest != 0 || rows->row[o].rest != 0 ||
        rows->row[r].n_fired != rows->row[r].n_active || rows->row[o].n_fired != rows->row[o].n_active ||
        rows->row[r].n_fired != rows->row[o].n_fired || rows->row[r].reach != rows->row[o].reach || rows->row[r].sign != -rows->row[o].sign)
        return 0;
    return memcmp(rows->active_direction + rows->row[r].active_start, rows->active_direction + rows->row[o].active_start,
                  rows->row[r].n_fired * sizeof(int32_t)) == 0;
}

/* Record a visit to row r, which stands at sense * place and flips as said in `flip` from number `first` on, with signed distances
 * y afterwards. Cost: O(flips stride) for steps that shrink, else O(flips). */
SL_TARGET SL_INLINE void SL_FN(lazy_record)(const sl_lazy_rows *rows, const sl_lazy_step *step, int64_t r, SL_REAL sense,
                                            const SL_REAL *place, int64_t n_flips, const SL_REAL *y, double reach,
                                            double gap, int32_t nearest, double distance, double rest,
                                            sl_lazy_findings *found)
{
    const int64_t stride = rows->stride, k = found->n_visited++;
    const int32_t *flip = found->flip + found->n_flips;
    const double sign = rows->row[r].sign;
    found->n_flips += n_flips;
    found->visited_row[k] = (int32_t)r;
    found->visited_reach[k] = sl_round_up(reach);
    found->visited_gap[k] = sl_round_down(gap > step->resolution ? gap : step->resolution);
    found->visited_nearest[k] = nearest;
    found->visited_distance[k] = (float)distance;
    found->visited_flips[k] = found->n_flips;
    /* what begins joins the sum; what ceases leaves it, and the sum still has it, below zero */
    for (int64_t q = 0; q < n_flips; ++q)
        found->outputs[flip[q] < 0 ? ~flip[q] : flip[q]] += sign * fabs((double)y[q]);
    if (step->exchange == 0)
        return;
    found->visited_rest[k] = sl_round_up(rest);
    for (int64_t q = 0; q < n_flips; ++q) {
        const int64_t i = flip[q] < 0 ? ~flip[q] : flip[q];
        const SL_REAL *direction = (const SL_REAL *)rows->directions + i * stride;
        found->moved[i] += (flip[q] < 0 ? -sign : sign) * sense * SL_FN(dot)(place, direction, stride);
    }
}

/* Record which pairs of row r flipped since its stamp, its nearest pair, and its gap. The visitor has located r, or with sense -1 its mirror
 * image. Cost: O(n_fired + candidates). */
SL_TARGET SL_INLINE void SL_FN(lazy_judge)(const sl_lazy_rows *rows, const sl_lazy_step *step, int64_t r, SL_REAL sense,
                                           SL_FN(lazy_visitor) *visitor, sl_lazy_findings *found)
{
    const int64_t n_fired = rows->row[r].n_fired;
    const int32_t *active = rows->active_direction + rows->row[r].active_start;
    if (!(visitor->drift + step->margin < step->skin)) {
        const int64_t k = found->n_strayed++;
        SL_REAL *displacement = (SL_REAL *)found->strayed_displacement + k * rows->stride;
        found->strayed_row[k] = (int32_t)r;
        found->strayed_rest[k] = visitor->rest;
        found->strayed_size[k] = (float)visitor->size;
        for (int64_t j = 0; j < rows->stride; ++j)
            displacement[j] = sense * visitor->place[j];
        return;
    }
    const SL_REAL *distance = (const SL_REAL *)rows->near_distance + rows->row[r].near_start;
    const int32_t *near = rows->near_direction + rows->row[r].near_start;
    uint8_t *fired = visitor->fired;
    /* gap: no less for pairs not evaluated, and drift + margin < skin for those not near */
    SL_REAL gap = (SL_REAL)step->margin;
    int32_t *flip = found->flip + found->n_flips;
    SL_REAL *flip_distance = visitor->y;
    int64_t n_flips = 0;
    for (int64_t e = 0; e < n_fired; ++e)
        fired[active[e]] = 1;
    /* every pair is written where the next flip goes, and stays if it is one: there is no branch to mispredict */
    for (int64_t q = 0; q < visitor->n_candidates; ++q) {
        const int32_t i = near[visitor->candidates[q]];
        const SL_REAL y = distance[visitor->candidates[q]] + sense * visitor->change[q];
        visitor->now[q] = y;
        flip[n_flips] = y > 0 ? i : ~i;
        flip_distance[n_flips] = y;
        n_flips += (y > 0) != fired[i];
    }
    for (int64_t e = 0; e < n_fired; ++e)
        fired[active[e]] = 0;
    SL_REAL two[2];
    const int64_t at = SL_FN(least_two)(visitor->now, visitor->n_candidates, two);
    const int32_t nearest = at < 0 ? -1 : near[visitor->candidates[at]];
    const SL_REAL nearest_distance = at < 0 ? (SL_REAL)INFINITY : visitor->now[at];
    gap = two[1] < gap ? two[1] : gap; /* of all but the nearest */
    found->n_candidates += visitor->n_candidates;
    found->squared_terms += n_flips * visitor->size * visitor->size;
    SL_FN(lazy_record)(rows, step, r, sense, visitor->place, n_flips, flip_distance, visitor->reach, gap, nearest,
                       nearest_distance, visitor->rest, found);
}

/* Clear the reported rows whose certificate holds; the others are doubtful. `scratch` has room for a padded vector and
 * n_directions numbers. Cost: O(n_fired stride) a row. */
SL_TARGET static void SL_FN(lazy_certify)(const sl_lazy_rows *rows, const sl_lazy_step *step, const int64_t *reported,
                                          int64_t n_reported, void *scratch, sl_lazy_findings *found)
{
    SL_REAL *moved = scratch, *c = moved + rows->stride;
    for (int64_t at = 0; at < n_reported; ++at) {
        const int64_t r = reported[at];
        double failure;
        if (at + SL_ROWS_AHEAD < n_reported)
            SL_PREFETCH(rows->active_direction + rows->row[reported[at + SL_ROWS_AHEAD]].active_start);
        if (at + 2 * SL_ROWS_AHEAD < n_reported)
            SL_PREFETCH(rows->row + reported[at + 2 * SL_ROWS_AHEAD]);
        if (SL_FN(lazy_certified)(rows, step, r, c, moved, &failure)) {
            found->cleared_row[found->n_cleared] = (int32_t)r;
            found->cleared_failure[found->n_cleared++] = failure;
        } else
            found->doubtful_row[found->n_doubtful++] = (int32_t)r;
    }
}

/* Ask for the lists of a row before they are needed: rows in doubt lie anywhere. */
SL_TARGET SL_INLINE void SL_FN(lazy_prefetch)(const sl_lazy_rows *rows, int64_t r)
{
    const char *distance = (const char *)((const SL_REAL *)rows->near_distance + rows->row[r].near_start);
    const char *direction = (const char *)(rows->near_direction + rows->row[r].near_start);
    const int64_t n_near = rows->row[r].near_stop - rows->row[r].near_start;
    for (int64_t b = 0; b < n_near * (int64_t)sizeof(SL_REAL); b += 64)
        SL_PREFETCH(distance + b);
    for (int64_t b = 0; b < n_near * (int64_t)sizeof(int32_t); b += 64)
        SL_PREFETCH(direction + b);
    const char *active = (const char *)(rows->active_direction + rows->row[r].active_start);
    const char *coefficient = (const char *)((const SL_REAL *)rows->active_coefficient + rows->row[r].active_start);
    SL_PREFETCH(active);
    SL_PREFETCH(active + 64);
    SL_PREFETCH(coefficient);
    SL_PREFETCH(coefficient + 64);
}

/* Visit the doubtful rows from position `from` on. Changes nothing but `found`. Returns the position of the first row not
 * visited: short of n_doubtful where a buffer is full. `fired` (n_directions) is all 0; `scratch` has room for two
 * padded vectors, four times n_directions numbers, n_directions indices and some blocks. */
SL_TARGET static int64_t SL_FN(lazy_visit)(const sl_lazy_rows *rows, const sl_lazy_step *step, int64_t from, uint8_t *fired,
                                           void *scratch, sl_lazy_findings *found)
{
    SL_FN(lazy_visitor) visitor;
    visitor.fired = fired;
    visitor.place = scratch;
    visitor.delta = visitor.place + rows->stride;
    visitor.c = visitor.delta + rows->stride;
    visitor.change = visitor.c + rows->n_directions;
    visitor.y = visitor.change + rows->n_directions + SL_W;
    visitor.now = visitor.y + rows->n_directions + SL_W;
    visitor.candidates = (int32_t *)(visitor.now + rows->n_directions + SL_W);
    visitor.last = -1;
    int64_t at = from;
    for (; at < found->n_doubtful; ++at) {
        const int64_t r = found->doubtful_row[at];
        const int64_t longest = rows->row[r].near_stop - rows->row[r].near_start;
        if (found->n_flips + longest >= found->flips_room || found->n_strayed == found->strayed_room)
            break;
        if (at + SL_ROWS_AHEAD < found->n_doubtful)
            SL_FN(lazy_prefetch)(rows, found->doubtful_row[at + SL_ROWS_AHEAD]);
        const int mirrors = SL_FN(lazy_mirrors)(rows, r, &visitor);
        if (!mirrors)
            SL_FN(lazy_locate)(rows, step, r, &visitor);
        SL_FN(lazy_judge)(rows, step, r, mirrors ? -1 : 1, &visitor, found);
    }
    return at;
}

/* New near lists for strayed rows first .. first + n_rows - 1 of the findings, from their products z with all samples, and their
 * flips; as lazy_collect (collect.h) and lazy_judge. Stops where flips have no room. `scratch` has room for n_directions numbers and one.
 * Returns the number of rows done. Cost: O(n_rows n). */
SL_TARGET static int64_t SL_FN(lazy_collect_strayed)(const sl_lazy_rows *rows, const sl_lazy_step *step, const void *z_,
                                                     int64_t first, int64_t n_rows, const void *thresholds_,
                                                     const void *inverse_norms_, double shift_, int64_t used,
                                                     int32_t *direction, void *distance_, int64_t *stop, uint8_t *fired,
                                                     void *scratch, sl_lazy_findings *found)
{
    const int64_t n = rows->n_directions, stride = rows->stride;
    const SL_REAL *thresholds = thresholds_, *inverse_norms = inverse_norms_;
    const SL_REAL shift = (SL_REAL)shift_;
    SL_REAL *distance = distance_;
    SL_REAL *flip_distance = scratch;
    int64_t q = 0;
    for (; q < n_rows; ++q) {
        if (found->n_flips + n >= found->flips_room)
            break;
        const SL_REAL *z = (const SL_REAL *)z_ + q * n;
        const SL_REAL *place = (const SL_REAL *)found->strayed_displacement + (first + q) * stride;
        const int64_t r = found->strayed_row[first + q], n_fired = rows->row[r].n_fired, begin = used;
        const int32_t *active = rows->active_direction + rows->row[r].active_start;
        int32_t *flip = found->flip + found->n_flips;
        SL_REAL gap = (SL_REAL)step->skin, nearest_distance = (SL_REAL)INFINITY;
        int32_t nearest = -1;
        int64_t n_flips = 0, i = 0;
        for (; i + SL_W <= n; i += SL_W)
            used += SL_COMPRESS(direction + used, (int32_t)i, SL_FN(block_mask_each)(z + i, thresholds + i));
        for (; i < n; ++i)
            if (z[i] > thresholds[i])
                direction[used++] = (int32_t)i;
        for (int64_t e = 0; e < n_fired; ++e)
            fired[active[e]] = 1;
        for (int64_t e = begin; e < used; ++e) {
            const int32_t j = direction[e];
            const SL_REAL y = (z[j] - shift) * inverse_norms[j];
            distance[e] = y;
            if (SL_ABS(y) < SL_ABS(nearest_distance)) {
                gap = SL_ABS(nearest_distance) < gap ? SL_ABS(nearest_distance) : gap;
                nearest_distance = y;
                nearest = j;
            } else
                gap = SL_ABS(y) < gap ? SL_ABS(y) : gap;
            flip[n_flips] = y > 0 ? j : ~j;
            flip_distance[n_flips] = y;
            n_flips += (y > 0) != fired[j];
            fired[j] = 0;
        }
        for (int64_t e = 0; e < n_fired; ++e) { /* what fired and is not even near any more */
            const int32_t j = active[e];
            flip[n_flips] = ~j;
            flip_distance[n_flips] = (z[j] - shift) * inverse_norms[j];
            n_flips += fired[j];
            fired[j] = 0;
        }
        stop[q] = used;
        found->n_candidates += n;
        found->squared_terms += n_flips * (double)found->strayed_size[first + q] * found->strayed_size[first + q];
        SL_FN(lazy_record)(rows, step, r, 1, place, n_flips, flip_distance, 0, gap, nearest, nearest_distance,
                            found->strayed_rest[first + q], found);
    }
    return q;
}
