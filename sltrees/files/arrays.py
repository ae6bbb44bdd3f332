"""The arrays that a file may hold, and the bytes of each: those of an .npy file."""

from __future__ import annotations

import math
import re
import struct
import typing

import numpy as np

from sltrees.files.errors import ArchiveError, shortened

MAX_NDIM = 64  # of NumPy 2
MAX_ARRAY_BYTES = 2**63 - 1
MAX_ITEM_BYTES = 2**31 - 1
MAX_CODE_POINT = 0x10FFFF
CHUNK = 1 << 20  # bytes copied and hashed at a time, so that they are still in cache

_DTYPES = ("|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f4", "<f8")
_TEXT_DTYPE = re.compile(r"<U([1-9]\d{0,8})", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_MAX_NAME = 1000


class ArrayEntry(typing.NamedTuple):
    """What the document says of an array."""

    name: str
    dtype: np.dtype  # little-endian
    shape: tuple[int, ...]
    checksum: str  # SHA-256 of the member, in hexadecimal


def parsed_entry(entry):
    """An entry of the list of arrays; ArchiveError if it breaks the rules, as a predicate of the file."""
    if not isinstance(entry, list) or len(entry) != 4:
        raise ArchiveError("is damaged: its header lists something that is no array")
    name, dtype, shape, checksum = entry
    if not _is_name(name):
        raise ArchiveError(f"is damaged: its header lists an array with the name {shortened(name)}")
    item_bytes = _item_bytes(dtype)
    if not item_bytes:
        raise ArchiveError(f"is damaged: array {name!r} has the dtype {shortened(dtype)}, which no array here has")
    if (
        not isinstance(shape, list)
        or len(shape) > MAX_NDIM
        or not all(type(length) is int and length >= 0 for length in shape)
        or math.prod(max(length, 1) for length in shape) * item_bytes > MAX_ARRAY_BYTES
    ):
        raise ArchiveError(f"is damaged: array {name!r} has the shape {shortened(shape)}, which no array can have")
    if not isinstance(checksum, str):
        raise ArchiveError(f"is damaged: array {name!r} has no checksum")
    return ArrayEntry(name, np.dtype(dtype), tuple(shape), checksum)


def _is_name(name):
    return (
        isinstance(name, str)
        and len(name) <= _MAX_NAME
        and _NAME.fullmatch(name) is not None
        and not name.endswith(".npy")
    )


def _item_bytes(text):
    """Bytes of an item of a dtype that arrays here may have, little-endian; 0 for any other."""
    if not isinstance(text, str):
        return 0
    if text in _DTYPES:
        return int(text[2])
    match = _TEXT_DTYPE.fullmatch(text)
    size = 4 * int(match[1]) if match else 0
    return size if size <= MAX_ITEM_BYTES else 0


def writable_dtype(name, array):
    """The dtype in which an array is written; TypeError or ValueError if it cannot be."""
    if not _is_name(name):
        raise ValueError(
            f"names of arrays must be parts of letters, digits, '_', '-' and '.', joined by '/', at most {_MAX_NAME} "
            f"characters and without '.npy' at the end, got {shortened(name)}"
        )
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"array {name!r} must be an ndarray, got {type(array).__name__}")
    dtype = array.dtype.newbyteorder("<")
    if not _item_bytes(dtype.str):
        raise TypeError(f"array {name!r} must be of bool, integers, float32, float64 or str, got dtype {array.dtype}")
    if not has_values(array):
        raise ValueError(f"array {name!r} holds bytes that are no {'bool' if dtype.kind == 'b' else 'text'}")
    return dtype


def has_values(array):
    """Whether all bytes of an array mean something: those of some bool and str do not. Cost: O(bytes) for these."""
    if array.dtype.kind == "b":
        return bool((array.view(np.uint8) <= 1).all())
    if array.dtype.kind == "U" and array.size:
        points = np.dtype(np.uint32).newbyteorder(array.dtype.byteorder)
        return bool((np.ascontiguousarray(array).reshape(-1).view(points) <= MAX_CODE_POINT).all())
    return True


def chunks_of(array, dtype):
    """The bytes of an array in C order, whatever its own order is, some at a time."""
    flags = ["external_loop", "buffered", "zerosize_ok"]
    size = max(1, CHUNK // dtype.itemsize)
    for chunk in np.nditer(array, flags=flags, op_dtypes=[dtype], casting="equiv", order="C", buffersize=size):
        yield np.ascontiguousarray(chunk).view(np.uint8)


def chunks_to_fill(array):
    """The bytes of a new array in C order, some at a time, to be read into."""
    data = memoryview(array.reshape(-1).view(np.uint8))
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]


def npy_head(dtype, shape):
    """What precedes the data in an .npy file, format 1.0: always the same for a dtype and shape."""
    lengths = f"({shape[0]},)" if len(shape) == 1 else f"({', '.join(map(str, shape))})"
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {lengths}, }}"
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("ascii")
