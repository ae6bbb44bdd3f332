"""CorrelationTrees.bytes_needed bounds what building and growing take at the most, copies on the way included."""

import tracemalloc

import numpy as np
import pytest

from sltrees import CorrelationTrees

# weights, data points, features: now weights outweigh the rest, now data, products, or what each row and column has
SHAPES = [(20_000, 20, 60), (20, 20_000, 60), (600, 500, 2), (12_000, 3, 100), (3, 12_000, 100), (3, 100_000, 2)]
SHAPES += [(100_000, 3, 2)]


def peak_of(act):
    """The most bytes that are taken at a time, beside those that are taken before."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("floor", [None, 1e6])
@pytest.mark.parametrize("axis", ["data", "weights"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bytes_needed_is_an_upper_bound_of_the_peak(shape, axis, floor, dtype):
    m, n, d = shape
    weights, data = np.ones((m, d), dtype), np.ones((n, d), dtype)

    def needed(m, n):
        return CorrelationTrees.bytes_needed(m, n, d, dtype, axis=axis, n_above=None if floor is None else 0)

    peak = peak_of(lambda: CorrelationTrees(weights, data, axis=axis, floor=floor))
    assert peak <= needed(m, n)
    for half, which in ((False, "weights"), (False, "data"), (True, "weights"), (True, "data")):
        size = m if which == "weights" else n
        first = size // 2 if half else size - 1
        if which == "weights":
            trees, new = CorrelationTrees(weights[:first], data, axis=axis, floor=floor), weights[first:]
        else:
            trees, new = CorrelationTrees(weights, data[:first], axis=axis, floor=floor), data[first:]
        assert peak_of(lambda: getattr(trees, f"add_{which}")(new)) <= needed(m, n)  # noqa: B023 - called here
        assert trees.nbytes <= needed(m, n)
