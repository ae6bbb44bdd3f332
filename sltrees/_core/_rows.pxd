# C interface of lazy rows: see rows/rows.h for the fields, rows/review.h and rows/kernels.h for the kernels.
from libc.stdint cimport int32_t, int64_t, uint8_t

cdef extern from "rows/rows.h" nogil:
    ctypedef struct sl_row:
        int32_t active_start
        int32_t n_fired
        int32_t n_active
        int32_t room
        int32_t stamp
        float rest
        float reach
        float gap
        int32_t nearest
        float distance
        int32_t near_start
        int32_t near_stop
        int32_t centre
        float sign

    ctypedef struct sl_lazy_rows:
        int64_t n_rows
        int64_t n_directions
        int64_t stride
        const void *directions
        const void *origin
        sl_row *row
        int32_t *near_direction
        void *near_distance
        const void *centres
        int32_t *active_direction
        void *active_coefficient

    ctypedef struct sl_lazy_step:
        const double *coefficient
        const double *change
        const double *decay
        double origin_decay
        double clock
        double exchange
        double skin
        double margin
        double rounding
        double coefficient_rounding
        double resolution

    ctypedef struct sl_lazy_findings:
        int64_t n_cleared
        int32_t *cleared_row
        double *cleared_failure
        int64_t n_doubtful
        int32_t *doubtful_row
        int64_t n_visited
        int32_t *visited_row
        int64_t *visited_flips
        float *visited_reach
        float *visited_gap
        int32_t *visited_nearest
        float *visited_distance
        float *visited_rest
        int64_t n_flips
        int64_t flips_room
        int32_t *flip
        double *outputs
        double *moved
        int64_t n_strayed
        int64_t strayed_room
        int32_t *strayed_row
        void *strayed_displacement
        double *strayed_rest
        float *strayed_size
        int64_t n_candidates
        double squared_terms

    ctypedef struct sl_lazy_kernels:
        void (*certify)(const sl_lazy_rows *, const sl_lazy_step *, const int64_t *, int64_t, void *,
                        sl_lazy_findings *) noexcept nogil
        int64_t (*visit)(const sl_lazy_rows *, const sl_lazy_step *, int64_t, uint8_t *, void *,
                         sl_lazy_findings *) noexcept nogil
        int64_t (*collect_strayed)(const sl_lazy_rows *, const sl_lazy_step *, const void *, int64_t, int64_t,
                                   const void *, const void *, double, int64_t, int32_t *, void *, int64_t *,
                                   uint8_t *, void *, sl_lazy_findings *) noexcept nogil
        void (*apply)(sl_lazy_rows *, const sl_lazy_step *, const sl_lazy_findings *, int32_t, int32_t *, uint8_t *,
                      void *) noexcept nogil
        void (*add_outputs)(const sl_lazy_rows *, const sl_lazy_step *, const void *, int64_t, int64_t, const double *,
                            int64_t, int64_t, void *, double *, double *, void *) noexcept nogil
        void (*gram_product)(const sl_lazy_rows *, const void *, int64_t, const double *, double *,
                             double *) noexcept nogil

    double sl_freedom(const sl_row *row, double resolution)
    double sl_failure_time(const sl_lazy_step *step, double distance, double n_fired, double rest)
    int64_t sl_lazy_room_needed(const sl_lazy_rows *rows, const sl_lazy_findings *found)
    void sl_lazy_count_flips(const sl_lazy_rows *rows, const sl_lazy_findings *found, int64_t start, int64_t stop,
                             int32_t *counts, uint8_t *flipped, int32_t *set)
    void sl_lazy_count_fired(const sl_lazy_rows *rows, int64_t start, int64_t stop, int32_t *counts)
    sl_lazy_kernels sl_lazy_kernels_at(int is_float32, int level)
