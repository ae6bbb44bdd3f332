"""Contents of files, taken entry by entry: what is missing, breaks a rule or is left over is refused."""

from __future__ import annotations

import contextlib

import numpy as np

from sltrees._validation import MAX_FLOAT, MAX_INTEGER
from sltrees.files.errors import ArchiveError, shortened


@contextlib.contextmanager
def making_sense(path, what):
    """Make an ArchiveError that names the file of whatever is raised where contents make no sense.

    Parameters
    ----------
    path : str or os.PathLike
    what : str
        That the file should hold, such as "'network'".

    Notes
    -----
    Errors are those that taking values for what they are not may end with; MemoryError and OSError pass. Cost: O(1).

    Examples
    --------
    >>> with making_sense("model.npz", "'network'"):
    ...     {}["width"]
    Traceback (most recent call last):
        ...
    sltrees.files.errors.ArchiveError: model.npz holds no valid 'network': 'width'
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ArchiveError(f"{path} holds no valid {what}: {error}") from error


def prefixed(arrays, prefix):
    """The same arrays under longer names, to be put among others.

    Parameters
    ----------
    arrays : dict of str to ndarray
    prefix : str
        Such as "outputs/0/".

    Returns
    -------
    dict of str to ndarray

    Notes
    -----
    Cost: O(arrays).

    Examples
    --------
    >>> prefixed({"x": np.zeros(1)}, "outputs/0/")
    {'outputs/0/x': array([0.])}
    """
    return {prefix + name: array for name, array in arrays.items()}


def nested(arrays, prefix):
    """The arrays whose names begin with a prefix, without it: undoes `prefixed`.

    Parameters
    ----------
    arrays : dict of str to ndarray
    prefix : str

    Returns
    -------
    dict of str to ndarray

    Notes
    -----
    Cost: O(arrays).

    Examples
    --------
    >>> nested({"outputs/0/x": np.zeros(1), "y": np.ones(1)}, "outputs/0/")
    {'x': array([0.])}
    """
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


class Contents:
    """A header and arrays that are taken entry by entry: each is checked, and what is left in the end is refused.

    Parameters
    ----------
    header : dict
    arrays : dict of str to ndarray, optional

    Raises
    ------
    ArchiveError
        By any method, where an entry is missing or breaks its rule.

    Notes
    -----
    Cost: O(entries).

    Examples
    --------
    >>> contents = Contents({"width": 8}, {"weights": np.zeros((8, 3))})
    >>> width = contents.integer("width", minimum=1)
    >>> contents.array("weights", np.float64, (width, None)).shape
    (8, 3)
    >>> contents.refuse_rest()
    """

    def __init__(self, header, arrays=None):
        if not isinstance(header, dict):
            raise ArchiveError(f"a header must be a dict, got {shortened(header)}")
        self._header, self._arrays = dict(header), dict(arrays or {})

    def take(self, key):
        """Whatever stands under a key."""
        if key not in self._header:
            raise ArchiveError(f"{key!r} is missing")
        return self._header.pop(key)

    def has(self, key):
        """Whether there is something under a key that was not taken yet."""
        return key in self._header

    def integer(self, key, *, minimum=0, maximum=MAX_INTEGER):
        """An int within bounds."""
        return as_integer_entry(self.take(key), key, minimum=minimum, maximum=maximum)

    def number(self, key, *, minimum=0.0, maximum=MAX_FLOAT):
        """A float within bounds, which are finite unless said otherwise."""
        return as_number_entry(self.take(key), key, minimum=minimum, maximum=maximum)

    def flag(self, key):
        """A bool."""
        value = self.take(key)
        if not isinstance(value, bool):
            raise ArchiveError(f"{key!r} must be true or false, got {shortened(value)}")
        return value

    def choice(self, key, choices):
        """One of some strings."""
        value = self.take(key)
        if not isinstance(value, str) or value not in choices:
            raise ArchiveError(f"{key!r} must be one of {', '.join(map(repr, choices))}, got {shortened(value)}")
        return value

    def has_array(self, name):
        """Whether there is an array of a name that was not taken yet."""
        return name in self._arrays

    def dtype_of(self, name):
        """The dtype of an array that was not taken yet, None if there is none."""
        return self._arrays[name].dtype if name in self._arrays else None

    def nested(self, prefix):
        """All arrays whose names begin with a prefix, without it: dict of str to ndarray."""
        arrays = nested(self._arrays, prefix)
        for name in arrays:
            del self._arrays[prefix + name]
        return arrays

    def array(self, name, dtype, shape, *, finite=True):
        """An array, C-ordered and writable, of a dtype and shape, in which None stands for any length."""
        if name not in self._arrays:
            raise ArchiveError(f"array {name!r} is missing")
        array = self._arrays.pop(name)
        if array.dtype != dtype:
            raise ArchiveError(f"array {name!r} must be of {np.dtype(dtype)}, got {array.dtype}")
        if array.ndim != len(shape) or any(b not in (None, a) for a, b in zip(array.shape, shape, strict=True)):
            wanted = str(shape).replace("None", "any")
            raise ArchiveError(f"array {name!r} must have the shape {wanted}, got {array.shape}")
        if finite and array.dtype.kind == "f" and not all_finite(array):
            raise ArchiveError(f"array {name!r} must be finite")
        return np.require(array, requirements="CW")

    def refuse_rest(self):
        """Say that nothing must be left."""
        rest = [*self._header, *self._arrays]
        if rest:
            raise ArchiveError(f"nobody asked for {shortened(rest[0])}")


def as_integer_entry(value, name, *, minimum=0, maximum=MAX_INTEGER):
    """An int within bounds; ArchiveError otherwise."""
    if type(value) is not int or not minimum <= value <= maximum:
        raise ArchiveError(f"{name!r} must be an integer from {minimum} to {maximum}, got {shortened(value)}")
    return value


def as_number_entry(value, name, *, minimum=0.0, maximum=MAX_FLOAT):
    """A float within bounds, never NaN; ArchiveError otherwise."""
    if not isinstance(value, float) or not minimum <= value <= maximum:
        raise ArchiveError(f"{name!r} must be a float from {minimum} to {maximum}, got {shortened(value)}")
    return value


def all_finite(array):
    """Whether all numbers are finite, without an array of as many bools. Cost: O(numbers)."""
    flat, size = array.reshape(-1), 1 << 20
    return all(np.isfinite(flat[start : start + size]).all() for start in range(0, flat.size, size))
