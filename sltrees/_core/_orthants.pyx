"""Probabilities of orthants of two correlated normal numbers, for many pairs. Kernel: it validates nothing."""

cimport cython
cimport numpy as cnp
from libc.stdint cimport int64_t

from sltrees._core._simd cimport active_level

cnp.import_array()

cdef extern from "orthants/orthants.h" nogil:
    enum:
        SL_ORTHANT_NEAR_f64
        SL_ORTHANT_NEAR_f32
        SL_ORTHANT_OCTAVE_f64
        SL_ORTHANT_OCTAVE_f32

    ctypedef void (*sl_orthant_kernel_f32)(
        float *, int64_t, int64_t, int64_t, const float *, const float *, int64_t, float, const float *, const float *,
        int64_t, int) noexcept nogil
    ctypedef void (*sl_orthant_kernel_f64)(
        double *, int64_t, int64_t, int64_t, const double *, const double *, int64_t, double, const double *,
        const double *, int64_t, int) noexcept nogil

    ctypedef void (*sl_slope_kernel_f32)(
        float *, int64_t, int64_t, int64_t, float, const float *, const float *, int64_t, int) noexcept nogil
    ctypedef void (*sl_slope_kernel_f64)(
        double *, int64_t, int64_t, int64_t, double, const double *, const double *, int64_t, int) noexcept nogil

    sl_orthant_kernel_f32 sl_orthants_f32_at(int level)
    sl_orthant_kernel_f64 sl_orthants_f64_at(int level)
    sl_slope_kernel_f32 sl_slopes_f32_at(int level)
    sl_slope_kernel_f64 sl_slopes_f64_at(int level)

# coefficients of a polynomial: for correlations of at least 0, and for each octave of those below
COEFFICIENTS = {
    "float32": (SL_ORTHANT_NEAR_f32, SL_ORTHANT_OCTAVE_f32),
    "float64": (SL_ORTHANT_NEAR_f64, SL_ORTHANT_OCTAVE_f64),
}


def multiply_by_orthants(
    cython.floating[:, :] tile,
    const cython.floating[:, ::1] left,
    const cython.floating[:, ::1] right,
    cython.floating base,
    const cython.floating[::1] near,
    const cython.floating[:, ::1] octaves,
    bint mirrored,
):
    """Multiply products of unit vectors by P(<w, x> > h and <w, y> > h), in place.

    Parameters
    ----------
    tile : ndarray of shape (r, c)
        The products: <left[i], right[j]>. Numbers of a row stand side by side.
    left, right : ndarray of shape (r, d), (c, d)
        Of unit norm: looked at where they are nearly equal or nearly opposite.
    base, near, octaves, mirrored
        The probability as polynomials: see `sltrees.kernels.orthants.OrthantPolynomials`.

    Notes
    -----
    Cost: O(r c), some 1 to 5 nanoseconds for each pair; O(d) more for those nearly equal or opposite.
    """
    cdef int64_t n_rows = tile.shape[0], n_columns = tile.shape[1], d = left.shape[1], n_octaves = octaves.shape[0]
    cdef int64_t stride = tile.strides[0] // <int64_t> sizeof(cython.floating)
    cdef const cython.floating *p_octaves = NULL
    if n_octaves:
        p_octaves = &octaves[0, 0]
    if n_rows == 0 or n_columns == 0:
        return
    with nogil:
        if cython.floating is float:
            sl_orthants_f32_at(active_level())(
                &tile[0, 0], stride, n_rows, n_columns, &left[0, 0], &right[0, 0], d, base, &near[0], p_octaves,
                n_octaves, mirrored)
        else:
            sl_orthants_f64_at(active_level())(
                &tile[0, 0], stride, n_rows, n_columns, &left[0, 0], &right[0, 0], d, base, &near[0], p_octaves,
                n_octaves, mirrored)


def replace_by_slopes(
    cython.floating[:, :] tile,
    cython.floating base,
    const cython.floating[::1] near,
    const cython.floating[:, ::1] octaves,
    bint mirrored,
):
    """Replace products c of unit vectors by the derivative of c P(<w, x> > h and <w, y> > h) by c, in place.

    Parameters
    ----------
    tile : ndarray of shape (r, c)
        The products. Numbers of a row stand side by side.
    base, near, octaves, mirrored
        The derivative as polynomials: see `sltrees.kernels.orthants.OrthantSlopes`.

    Notes
    -----
    Cost: O(r c), some 1 to 5 nanoseconds for each pair.
    """
    cdef int64_t n_rows = tile.shape[0], n_columns = tile.shape[1], n_octaves = octaves.shape[0]
    cdef int64_t stride = tile.strides[0] // <int64_t> sizeof(cython.floating)
    cdef const cython.floating *p_octaves = NULL
    if n_octaves:
        p_octaves = &octaves[0, 0]
    if n_rows == 0 or n_columns == 0:
        return
    with nogil:
        if cython.floating is float:
            sl_slopes_f32_at(active_level())(
                &tile[0, 0], stride, n_rows, n_columns, base, &near[0], p_octaves, n_octaves, mirrored)
        else:
            sl_slopes_f64_at(active_level())(
                &tile[0, 0], stride, n_rows, n_columns, base, &near[0], p_octaves, n_octaves, mirrored)
