"""Memory of pools: arrays that hold many lists one after the other, and grow."""

import numpy as np

cimport numpy as cnp

from sltrees._core._boundary import aligned_empty

cnp.import_array()


def padded(rows):
    """Copy of a matrix whose rows are padded with zeros to whole blocks of 64 bytes, and aligned."""
    width = 64 // rows.dtype.itemsize
    stride = max(width, -(-rows.shape[1] // width) * width)
    copy = aligned_empty(len(rows) * stride, rows.dtype).reshape(len(rows), stride)
    copy[:, rows.shape[1]:] = 0
    copy[:, :rows.shape[1]] = rows
    return copy


def with_reserve(size):
    """Size of a pool that is to grow: an eighth more, as memory held in reserve is memory held."""
    return size + size // 8 + BLOCK


def grown(array, used, size):
    """A copy with room for `size` entries, of which the first `used` are those of the array."""
    larger = np.empty((size,) + array.shape[1:], dtype=array.dtype)
    larger[:used] = array[:used]
    return larger


def refuse_long(entries):
    """MemoryError for more entries of a pool than its indices can name."""
    if entries >= 2**31 - BLOCK:
        raise MemoryError(f"a block of neurons must have fewer than 2^31 near or active pairs, got {entries}")
