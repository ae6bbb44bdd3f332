/* Rows that move along fixed directions and are looked at only when they may have crossed a hyperplane.
 *
 * Row r stands at w_r = w_r(0) + D_r and every direction i has a hyperplane; the signed distance of r to it is
 *
 *      y_ri = <w_r, u_i> - offset_i,         u_i a unit vector; r *fires* on i when y_ri > 0
 *
 * Nothing of size n_rows x stride is stored of D. With one coefficient beta_i a direction, shared by all rows,
 *
 *      D_r = origin_decay * origin_r - sign_r * sum over active i of (decay * c_ri + [r fires on i] beta_i) u_i
 *
 * The entries of a row's *active list* are the directions it fires on (first) and those it fired on before and whose
 * c_ri is not 0. While r flips nowhere its c_ri stay as they are and beta says it all. When direction i begins to fire, c_ri
 * drops by beta_i, and when it ceases, c_ri gains beta_i: the row itself does not jump. `decay` is the product of the
 * shrink factors since the row's *stamp*, the step at which it was last looked at.
 *
 * The *near list* of a row holds the directions with y > -skin at the place where the list was built (the *centre*), and
 * y there. While |D_r - centre| < skin no other direction can fire. The *reach* of a row is the largest |D_r - centre| at which it
 * was visited since. Only a direction with |y| at the centre up to the reach can have flipped since the list was built, so a
 * visit at a distance `drift` evaluates those up to max(reach, drift): beyond, y has the sign that it had at the centre, and that is
 * on record.
 *
 * Of the direction nearest to a row its stamp remembers y, and of all others the *gap*, a lower bound on |y|: until the row has
 * moved by the gap only the nearest pair can flip, and that can be told by one product.
 *
 * Directions may join. All of this holds for a further direction whose beta_i and c_ri are 0, if the record says of each row on
 * which side it was at its centre: no flip since then is on record, so the reach is true. It is then found like any other by a visit
 * in a step that moves nothing.
 *
 * The kernels themselves are in kernels.h and review.h, one instance per (instruction level, dtype). They trust their input.
 */
#ifndef SLTREES_LAZY_ROWS_H
#define SLTREES_LAZY_ROWS_H

#include <string.h>

#include "simd/simd.h"

#define SL_ROWS_AHEAD 6 /* rows whose lists are fetched while others are looked at */

/* What a row has of its own: one cache line. */
typedef struct {
    int32_t active_start; /* the active list, in the pool */
    int32_t n_fired;      /* entries that fire: the first ones */
    int32_t n_active;     /* entries in all */
    int32_t room;         /* entries there is room for */
    int32_t stamp;
    float rest;           /* bound on |origin_decay origin_r - sum c_ri u_i| at the stamp, rounded up */
    float reach;          /* rounded up */
    float gap;            /* rounded down */
    int32_t nearest;      /* direction with the least |y| at the stamp; -1: none is known */
    float distance;       /* its y, rounded; infinite where none is known */
    int32_t near_start;   /* the near list, in the pool; rows may share one */
    int32_t near_stop;
    int32_t centre;       /* row of `centres`; -1: the list was built at the origin */
    float sign;           /* -1 or +1 */
    int32_t unused[2];
} sl_row;

typedef struct {
    int64_t n_rows, n_directions;
    int64_t stride;            /* length of a padded vector: a multiple of 16 (float32) or 8 (float64) */
    const void *directions;    /* (n_directions, stride) unit vectors, or zeros for a direction without a hyperplane */
    const void *origin;        /* (n_rows, stride) displacement when the rows were made; NULL: none */
    sl_row *row;               /* (n_rows,), each in a cache line of its own */
    int32_t *near_direction;   /* pool, with room for one block more */
    void *near_distance;       /* pool */
    const void *centres;       /* (., stride) */
    int32_t *active_direction; /* pool */
    void *active_coefficient;  /* pool: c_ri at the stamp */
} sl_lazy_rows;

/* Where the rows are to be: shared by all of them. */
typedef struct {
    const double *coefficient;   /* (n_directions,) beta */
    const double *change;        /* (n_stamps, n_directions) beta now - beta at the stamp */
    const double *decay;         /* (n_stamps,) product of the shrink factors since the stamp */
    double origin_decay;         /* product of all shrink factors */
    double clock;                /* sum over steps of max |change of beta| + exchange (1 - shrink factor) */
    double exchange;             /* weight that the clock gives to shrinking, in units of beta; 0: nothing ever shrinks */
    double skin;                 /* near lists hold y > -skin */
    double margin;               /* entries this far beyond the drift are evaluated too, so that gaps are not spoiled */
    double rounding;             /* unit roundoff of the dtype */
    double coefficient_rounding; /* bound on the rounding error of an entry of `change` */
    double resolution;           /* a gap below this is rounding */
} sl_lazy_step;

/* What looking at rows found; the buffers are the caller's. */
typedef struct {
    int64_t n_cleared;           /* rows whose certificate holds */
    int32_t *cleared_row;
    double *cleared_failure;     /* new failure times */
    int64_t n_doubtful;          /* rows to be visited */
    int32_t *doubtful_row;
    int64_t n_visited;           /* rows visited */
    int32_t *visited_row;
    int64_t *visited_flips;      /* end of the row's flips */
    float *visited_reach;
    float *visited_gap;
    int32_t *visited_nearest;
    float *visited_distance;
    float *visited_rest;         /* of the row before its flips; only where the step shrinks */
    int64_t n_flips, flips_room;
    int32_t *flip;               /* i where the row begins to fire on direction i, ~i (negative) where it ceases */
    double *outputs;             /* (n_directions,) what the flips add to sum of sign y over the pairs that fire */
    double *moved;               /* (n_directions,) and to sum of sign <D_r, u_i>; only where the step shrinks */
    int64_t n_strayed, strayed_room;
    int32_t *strayed_row;        /* rows that left the skin of their near list */
    void *strayed_displacement;  /* (., stride) */
    double *strayed_rest;
    float *strayed_size;
    int64_t n_candidates;        /* pairs evaluated */
    double squared_terms;        /* sum over flips of the square of the sum of sizes that D_r is made of: rounding goes with it */
} sl_lazy_findings;

/* A bound as float: no larger, for one from below, or no smaller, for one from above. */
SL_INLINE float sl_round_down(double x)
{
    return (float)(x * (1 - 1e-7));
}

SL_INLINE float sl_round_up(double x)
{
    return (float)(x * (1 + 1e-7));
}

/* How far a row may move before any pair can flip, as far as its stamp tells. */
SL_INLINE double sl_freedom(const sl_row *row, double resolution)
{
    const double nearest = fabs((double)row->distance) * (1 - 1e-7), least = nearest < row->gap ? nearest : row->gap;
    return least > resolution ? least : resolution;
}

/* Failure time of a row: the clock's reading before which it cannot have moved by `distance`. A row moves by at most
 * n_fired * max |change of beta| + rest * (decrease of decay) a step. */
SL_INLINE double sl_failure_time(const sl_lazy_step *step, double distance, double n_fired, double rest)
{
    double rate = n_fired;
    if (step->exchange > 0 && rest > rate * step->exchange)
        rate = rest / step->exchange;
    if (rate == 0)
        return INFINITY;
    /* rounded down, whatever the size of the clock */
    return (step->clock + distance / rate * (1 - 1e-12)) * (1 - 1e-15);
}

/* Add the change of ordered pair counts that the flips found mean, for directions start <= i < stop: counts[i][j] gains 1 where
 * i begins to fire on a row on which j fires, and loses 1 where it ceases; counts[i][i] counts rows. Directions flip one after the
 * other, so of two that do at once the later one counts the pair.
 * `flipped` (n_directions) is all 0; `set` has room for n_directions, twice. Cost: O(sum over flips of n_fired). */
SL_UNUSED static void sl_lazy_count_flips(const sl_lazy_rows *rows, const sl_lazy_findings *found, int64_t start,
                                          int64_t stop, int32_t *counts, uint8_t *flipped, int32_t *set)
{
    const int64_t n = rows->n_directions;
    int32_t *begin = set + n;
    int64_t first = 0;
    for (int64_t k = 0; k < found->n_visited; ++k) {
        const int64_t end = found->visited_flips[k];
        if (first == end)
            continue;
        const int64_t r = found->visited_row[k];
        const int32_t *fired = rows->active_direction + rows->row[r].active_start;
        int64_t n_ceasing = 0, n_beginning = 0, size = 0;
        for (int64_t q = first; q < end; ++q) { /* part them without a branch */
            const int32_t code = found->flip[q], ceases = code < 0, i = ceases ? ~code : code;
            flipped[i] = 1;
            set[n_ceasing] = i;
            begin[n_beginning] = i;
            n_ceasing += ceases;
            n_beginning += !ceases;
        }
        size = n_ceasing; /* behind those that cease: what fires before and after */
        for (int64_t e = 0; e < rows->row[r].n_fired; ++e) {
            set[size] = fired[e];
            size += !flipped[fired[e]];
        }
        for (int64_t q = 0; q < n_ceasing; ++q) { /* with itself, those that cease later, and those that stay */
            const int32_t i = set[q];
            int32_t *row = counts + i * n;
            flipped[i] = 0;
            if (i >= start && i < stop)
                for (int64_t j = q; j < size; ++j)
                    row[set[j]] -= 1;
        }
        int32_t *after = set + n_ceasing;
        size -= n_ceasing;
        for (int64_t q = 0; q < n_beginning; ++q) {
            const int32_t i = begin[q];
            int32_t *row = counts + i * n;
            flipped[i] = 0;
            if (i >= start && i < stop) {
                row[i] += 1;
                for (int64_t j = 0; j < size; ++j)
                    row[after[j]] += 1;
                for (int64_t j = 0; j < q; ++j)
                    row[begin[j]] += 1;
            }
        }
        first = end;
    }
}

/* Add the ordered pair counts of all rows, for directions start <= i < stop. Cost: O(sum of n_fired^2 / 2). */
SL_UNUSED static void sl_lazy_count_fired(const sl_lazy_rows *rows, int64_t start, int64_t stop, int32_t *counts)
{
    for (int64_t r = 0; r < rows->n_rows; ++r) {
        const int32_t *fired = rows->active_direction + rows->row[r].active_start;
        for (int64_t a = 0; a < rows->row[r].n_fired; ++a) {
            if (fired[a] < start || fired[a] >= stop)
                continue;
            int32_t *row = counts + (int64_t)fired[a] * rows->n_directions;
            for (int64_t b = 0; b <= a; ++b)
                row[fired[b]] += 1;
        }
    }
}

/* Room that lists moved to the end of the pool would need, were everything found applied. Cost: O(visited + flips). */
SL_INLINE int32_t sl_lazy_new_room(int64_t needed)
{
    return (int32_t)(needed + needed / 2 + 2);
}

SL_UNUSED static int64_t sl_lazy_room_needed(const sl_lazy_rows *rows, const sl_lazy_findings *found)
{
    int64_t flip = 0, total = 0;
    for (int64_t k = 0; k < found->n_visited; ++k) {
        const int64_t r = found->visited_row[k];
        int64_t needed = rows->row[r].n_active;
        for (; flip < found->visited_flips[k]; ++flip)
            needed += found->flip[flip] >= 0;
        if (needed > rows->row[r].room)
            total += sl_lazy_new_room(needed);
    }
    return total;
}

/* ------------------------------------------------------------------ instances */

#define SL_KERNELS "rows/kernels.h"
#include "simd/each_instance.h"

/* The kernels of one dtype at one instruction level; see kernels.h and review.h for what each does. */
typedef struct {
    void (*certify)(const sl_lazy_rows *, const sl_lazy_step *, const int64_t *, int64_t, void *, sl_lazy_findings *);
    int64_t (*visit)(const sl_lazy_rows *, const sl_lazy_step *, int64_t, uint8_t *, void *, sl_lazy_findings *);
    int64_t (*collect_strayed)(const sl_lazy_rows *, const sl_lazy_step *, const void *, int64_t, int64_t, const void *,
                               const void *, double, int64_t, int32_t *, void *, int64_t *, uint8_t *, void *,
                               sl_lazy_findings *);
    void (*apply)(sl_lazy_rows *, const sl_lazy_step *, const sl_lazy_findings *, int32_t, int32_t *, uint8_t *, void *);
    void (*add_outputs)(const sl_lazy_rows *, const sl_lazy_step *, const void *, int64_t, int64_t, const double *,
                        int64_t, int64_t, void *, double *, double *, void *);
    void (*gram_product)(const sl_lazy_rows *, const void *, int64_t, const double *, double *, double *);
} sl_lazy_kernels;

#define SL_LAZY_TABLE(dtype, isa)                                                                                       \
    {                                                                                                                   \
        sl_lazy_certify_##dtype##_##isa, sl_lazy_visit_##dtype##_##isa, sl_lazy_collect_strayed_##dtype##_##isa,        \
            sl_lazy_apply_##dtype##_##isa, sl_lazy_add_outputs_##dtype##_##isa, sl_lazy_gram_product_##dtype##_##isa    \
    },
#define SL_LAZY_f32(isa) SL_LAZY_TABLE(f32, isa)
#define SL_LAZY_f64(isa) SL_LAZY_TABLE(f64, isa)
SL_DISPATCH(sl_lazy_kernels, sl_lazy_kernels_at_f32, SL_LAZY_f32)
SL_DISPATCH(sl_lazy_kernels, sl_lazy_kernels_at_f64, SL_LAZY_f64)

SL_UNUSED static sl_lazy_kernels sl_lazy_kernels_at(int is_float32, int level)
{
    return is_float32 ? sl_lazy_kernels_at_f32(level) : sl_lazy_kernels_at_f64(level);
}

#endif /* SLTREES_LAZY_ROWS_H */
