"""The kernel of the infinitely wide network: what its Gram matrix tends to as the width grows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sltrees._memory import array_bytes, check_memory
from sltrees._validation import as_float_dtype, as_non_negative, as_real_matrix
from sltrees.execution.threads import ThreadExecutor
from sltrees.kernels.any_norms import Rows, are_equal, kernel_tile
from sltrees.kernels.unit_rows import TILE_COLUMNS, UnitRowsKernel

_TILE = 128  # rows and columns at a time where norms differ: the handful of arrays of this size stay in cache
_FARTHEST = 40.0  # thresholds at which nothing fires in float64 any more


def shifted_ntk(X, Y=None, shift=0.0, *, dtype="float64", n_threads=None) -> npt.NDArray[np.floating[Any]]:
    """The infinite-width limit of the Gram matrix G_0 of a two-layer shifted ReLU network before training.

    K_ij = <x_i, y_j> P(<w, x_i> > b and <w, y_j> > b) with w ~ N(0, I_d). Training a very wide network amounts to ridge
    regression with this kernel.

    Parameters
    ----------
    X : array_like of shape (n, d)
        Finite. Rows need not have unit norm; a row of zeros has a kernel of 0 with everything.
    Y : array_like of shape (m, d), optional
        Finite. By default X.
    shift : float, default 0.0
        b >= 0.
    dtype : {"float64", "float32"}, default "float64"
        Of the result. Single precision takes half the time, where all rows have equal norms.
    n_threads : int, optional
        By default one per processor. The result does not depend on it.

    Returns
    -------
    ndarray of shape (n, m)
        Without Y, or where Y is X: exactly symmetric, with |x_i|^2 P(N(0, 1) > b/|x_i|) on the diagonal.

    Raises
    ------
    TypeError, ValueError
        If X or Y is not a matrix of finite real numbers, if they differ in their number of columns, if products of
        their rows may overflow, or if `shift` is not a finite number >= 0.
    MemoryError
        If the result is larger than the memory of this machine.

    Notes
    -----
    Cost: O(n m d), beside it 1 to 5 nanoseconds for each pair where all rows have equal norms, as those of unit norm
    have: the probability then is a function of their correlation alone, and is evaluated as a polynomial. Else it is
    some 300 operations. Without Y each pair is looked at once. The work is shared out among the threads. Memory: the
    result and O((n + m) d).

    The absolute error of the probability is below 1e-13 (2e-7 in single precision) where norms are equal. Else its
    relative error is at most some 1e-12 however small it is, down to 1e-300: no terms of like size are subtracted, and
    the angles of rows nearly equal or nearly opposite are taken from their difference or sum, not from their product.
    Added to that is what rounding the entries of the rows changes: more only where rows are opposite within some 1e-4.
    <x_i, y_j> has the rounding error of an inner product.

    References
    ----------
    Kernel: Deng, Hu, Song, Weinstein, Zhuo, "Training Overparametrized Neural Networks in Sublinear Time", arXiv
    2208.04508, section 3. Splitting the orthant in two: Owen, "Tables for computing bivariate normal probabilities",
    Annals of Mathematical Statistics 27 (1956). Angles from differences: Kahan, "How futile are mindless assessments
    of roundoff in floating-point computation?" (2006), section 12.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 0.0], [0.6, 0.8]])
    >>> shifted_ntk(X)
    array([[0.5       , 0.21144983],
           [0.21144983, 0.5       ]])
    >>> shifted_ntk(X, [[2.0, 0.0]], shift=1.0)
    array([[0.31731051],
           [0.13082614]])
    """
    left = Rows.of(as_real_matrix(X, "X", np.float64))
    right = left
    if Y is not None and Y is not X:
        right = Rows.of(as_real_matrix(Y, "Y", np.float64, n_columns=left.rows.shape[1]))
    shift, dtype = as_non_negative(shift, "shift"), as_float_dtype(dtype)
    if not float(left.norms.max()) * float(right.norms.max()) <= float(np.finfo(dtype).max):
        raise ValueError(
            f"products of rows must be finite in {np.dtype(dtype).name}, got norms of "
            f"{left.norms.max():.3g} and {right.norms.max():.3g}; scale the rows"
        )
    shape = (left.norms.size, right.norms.size)
    check_memory(array_bytes(*shape, dtype=dtype), None, f"a kernel of shape {shape}", "pass fewer rows at a time")
    kernel = np.empty(shape, dtype=dtype)
    if are_equal(left.norms, right.norms):
        tile, size = _tile_of_equal_norms(left, right, shift, dtype), TILE_COLUMNS
    else:
        tile, size = _tile_of_any_norms(left, right, shift), _TILE
    with ThreadExecutor(n_threads) as executor:
        _fill(kernel, tile, size, right is left, executor)
    if right is left:
        # what is computed of an angle of 0 has the error of the approximation; this has none
        kernel[np.diag_indices_from(kernel)] = left.squares * left.firing(shift)
    return kernel


def _fill(kernel, tile, size, symmetric, executor):
    """Write a kernel, tile by tile; of one that is symmetric each pair of rows once."""

    def fill(at):
        rows, columns = at
        values = tile(rows, columns)
        kernel[rows, columns] = values
        if symmetric and rows != columns:
            kernel[columns, rows] = values.T
        elif symmetric:  # the product and what follows are symmetric only up to rounding
            below = np.tri(len(values), k=-1, dtype=bool)
            kernel[rows, columns][below] = values.T[below]

    rows, columns = ([slice(start, min(start + size, n)) for start in range(0, n, size)] for n in kernel.shape)
    executor.map(fill, [(a, b) for a in rows for b in columns if not symmetric or a.start <= b.start])


def _tile_of_equal_norms(left, right, shift, dtype):
    """A function of slices of rows and columns."""
    norms = np.concatenate([left.norms, right.norms])
    norm = float(norms.max(initial=0.0)) or 1.0
    with np.errstate(over="ignore"):
        of_directions = UnitRowsKernel(min(shift / norm, _FARTHEST), dtype)
    above, beside = (np.ascontiguousarray(rows.directions, dtype=dtype) for rows in (left, right))

    def tile(rows, columns):
        values = of_directions.between(above[rows], beside[columns])
        if norm != 1.0:
            values *= left.norms[rows, None].astype(dtype)
            values *= right.norms[columns].astype(dtype)
        return values

    return tile


def _tile_of_any_norms(left, right, shift):
    return lambda rows, columns: kernel_tile(left[rows], right[columns], shift)
