"""Checks at the boundary of the public Python classes: each error states the rule and what was given."""

from __future__ import annotations

import contextlib
import math
import numbers

import numpy as np

from sltrees._core._boundary import refuse_masked

MAX_INTEGER = 2**62
MAX_FLOAT = float(np.finfo(np.float64).max)
MAX_WEIGHT_RATIO = 1e12  # beyond it the lighter samples would drown in rounding


def as_real_matrix(array, name, dtype, *, n_columns=None):
    """Convert to a C-ordered (n, d) array of finite numbers, n and d at least 1.

    Raises
    ------
    TypeError
        If the entries are not real numbers.
    ValueError
        If the shape is wrong, or an entry is NaN or infinite (also after conversion to `dtype`).
    """
    matrix = _as_real(array, name, dtype)
    if matrix.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions, got shape {matrix.shape}")
    if min(matrix.shape) < 1:
        raise ValueError(f"{name} must have at least 1 row and 1 column, got shape {matrix.shape}")
    if n_columns is not None and matrix.shape[1] != n_columns:
        raise ValueError(f"{name} must have {n_columns} columns, got {matrix.shape[1]}")
    _refuse_not_finite(matrix, name)
    return matrix


def as_real_rows(array, name, dtype, n_columns):
    """As `as_real_matrix`, but there may be no rows: of shape (0, n_columns), or (0,) as an empty list has."""
    if np.size(array) == 0 and np.shape(array) in ((0,), (0, n_columns)):
        return np.empty((0, n_columns), dtype=dtype)
    if np.size(array) == 0:
        raise ValueError(f"{name} must have {n_columns} columns, got shape {np.shape(array)}")
    return as_real_matrix(array, name, dtype, n_columns=n_columns)


def as_real_vector(array, name, dtype, *, length):
    """Convert to a C-ordered (length,) array of finite numbers; errors as in `as_real_matrix`."""
    return as_real_array(array, name, dtype, shape=(length,))


def as_real_array(array, name, dtype, *, shape, hint=""):
    """Convert to a C-ordered array of finite numbers of a shape; errors as in `as_real_matrix`, with a hint."""
    try:
        values = _as_real(array, name, dtype)
    except TypeError as error:
        raise TypeError(f"{error}{hint}") from None
    if values.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {values.shape}{hint}")
    _refuse_not_finite(values, name)
    return values


def as_targets(y, name, n_samples):
    """Convert to a float64 array whose squares have a finite sum; errors as of `as_real_vector`."""
    y = as_real_vector(y, name, np.float64, length=n_samples)
    with np.errstate(over="ignore"):
        if not np.isfinite(y @ y):
            raise ValueError(f"the sum of {name}**2 must be finite in float64, got targets up to {np.abs(y).max():g}")
    return y


def as_sample_weight(array, n_samples):
    """Convert to (n_samples,) finite float64 numbers above 0; None stays None. Errors as in `as_real_matrix`."""
    if array is None:
        return None
    weights = as_real_vector(array, "sample_weight", np.float64, length=n_samples)
    if not weights.min() > 0:
        i = int(np.argmin(weights))
        raise ValueError(f"sample_weight must be above 0, got {weights[i]} at index {i}")
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not np.isfinite(total):
        raise ValueError(f"the sum of sample_weight must be finite in float64, got weights up to {weights.max():g}")
    if not weights.max() <= MAX_WEIGHT_RATIO * weights.min():
        raise ValueError(
            f"sample_weight must not differ by more than a factor {MAX_WEIGHT_RATIO:g}, "
            f"got {weights.min()} and {weights.max()}"
        )
    return weights


def as_integer(value, name, *, minimum, maximum=MAX_INTEGER):
    """Convert to int, floats with an integral value included (1e6); TypeError or ValueError otherwise."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if not isinstance(value, numbers.Integral) and (not math.isfinite(value) or value != int(value)):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value!r}")
    if value > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {float_or_huge(value)}")
    return int(value)


def as_non_negative(value, name):
    """Convert to a finite float >= 0; TypeError or ValueError otherwise."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    value = value.item() if isinstance(value, np.generic) else value
    if not (abs(value) <= MAX_FLOAT and value >= 0):
        raise ValueError(f"{name} must be finite and at least 0, got {float_or_huge(value)}")
    return float(value)


def as_number(value, name):
    """A finite float, or TypeError or ValueError."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    if not abs(value) <= MAX_FLOAT:
        raise ValueError(f"{name} must be finite, got {float_or_huge(value)}")
    return float(value)


def as_share(value, name):
    """Convert to a float from 0 to 1; TypeError or ValueError otherwise."""
    share = as_non_negative(value, name)
    if share > 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value!r}")
    return share


def as_max_memory(value):
    """Return None or a number of bytes >= 0, infinity included; TypeError or ValueError otherwise."""
    return value if value is None or value == math.inf else as_non_negative(value, "max_memory")


def float_or_huge(value):
    """A number for an error message, short even where it has hundreds of digits."""
    return repr(value) if abs(value) <= MAX_INTEGER or isinstance(value, float) else "a larger integer"


def as_flag(value, name):
    """Convert to bool; TypeError for anything but True and False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def as_float_dtype(value, name="dtype"):
    """Convert to the dtype float32 or float64; ValueError for any other."""
    with contextlib.suppress(TypeError):
        if value is not None and np.dtype(value) in (np.float32, np.float64):
            return np.dtype(value)
    raise ValueError(f"{name} must be float32 or float64, got {value!r}")


def as_choice(value, name, choices):
    """Return the value if it is one of the choices; ValueError otherwise."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def _as_real(array, name, dtype):
    if hasattr(array, "tocsr"):
        raise TypeError(f"{name} must be a dense array, got {type(array).__name__}; call its toarray() first")
    try:
        values = np.asarray(array)
    except ValueError as error:
        raise ValueError(f"{name} must be a rectangular array of numbers: {error}") from None
    refuse_masked(array, name)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {values.dtype}")
    with np.errstate(over="ignore"):  # an overflow becomes inf, and inf is refused below
        return np.array(values, dtype=dtype, order="C", ndmin=values.ndim)


def _refuse_not_finite(array, name):
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(map(int, np.argwhere(~finite)[0]))
        raise ValueError(f"{name} must be finite in {array.dtype}, got {array[where]} at index {where}")
