"""Every instruction level this processor has gives the same bits as portable C."""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest

from sltrees import ThresholdTree
from sltrees._core import TreeBank, _simd

LEVELS = _simd.supported_levels()
SIZES = (0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 255, 256, 257, 511, 513, 4095, 4097, 70_001)

levels = pytest.mark.parametrize("level", LEVELS)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
orientations = pytest.mark.parametrize("orientation", ["max", "min"])


@contextlib.contextmanager
def at(level):
    """Build at this level; trees keep the level that they were built at."""
    before = _simd.active_level_name()
    _simd.set_active_level(level)
    try:
        yield
    finally:
        _simd.set_active_level(before)


def pair(make, level):
    with at("portable"):
        plain = make()
    with at(level):
        return plain, make()


def same_bits(a, b):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert a.tobytes() == b.tobytes()


def same_levels(a, b, n, width):
    """The stored levels of both trees, bit for bit."""
    k = 0
    while True:
        same_bits(a._level(k), b._level(k))
        if n <= width:
            return
        n = -(-n // width)
        k += 1


def same_answers(a, b, rng):
    n = len(a)
    for t in (-np.inf, -1.5, -1.0, 0.0, 0.5, 1.0, 2.0, 3.5, np.inf):
        for start, stop in ((0, n), sorted(rng.integers(0, n + 1, 2).tolist()), (n // 2, n)):
            (found, blocks), (other, other_blocks) = (tree._query_counting(t, start, stop) for tree in (a, b))
            same_bits(found, other)
            assert blocks == other_blocks
            assert a.count(t, start, stop) == b.count(t, start, stop) == found.size
            assert a.first(t, start, stop) == b.first(t, start, stop) == (found[0] if found.size else -1)
            out, other_out = np.full(5, -7), np.full(5, -7)
            for tree, room in ((a, out), (b, other_out)):
                with contextlib.suppress(ValueError):  # too short: the part that fits is compared
                    tree.query(t, start, stop, out=room)
            same_bits(out, other_out)
    for left, right in zip(a.query_many([0.0, 1.0, 2.5]), b.query_many([0.0, 1.0, 2.5]), strict=True):
        same_bits(left, right)
    if n:
        assert a.max() == b.max()
        assert a.argmax() == b.argmax()
    same_bits(a.topk(20), b.topk(20))


def draw(rng, n, dtype, kind):
    if kind == "ties":
        return rng.choice(np.array([-np.inf, -2, -1, 0, 1, 2, np.inf], dtype=dtype), n)
    if kind == "extremes":  # numbers that a kernel with other rounding or flushing would tell apart wrongly
        tiny, huge = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
        return rng.choice(np.array([-huge, -1, -tiny, 0, tiny, 2 * tiny, 1, huge], dtype=dtype), n)
    return np.sort(rng.standard_normal(n)).astype(dtype)


@levels
@dtypes
@orientations
@pytest.mark.parametrize("kind", ["ties", "extremes", "sorted"])
def test_trees_at_every_level_are_the_same(seed, level, dtype, orientation, kind):
    rng = np.random.default_rng(seed)
    width = 64 // np.dtype(dtype).itemsize
    for n in SIZES:
        values = draw(rng, n, dtype, kind)
        a, b = pair(lambda values=values: ThresholdTree(values, orientation=orientation), level)
        same_levels(a, b, n, width)
        same_answers(a, b, rng)
        for k in (1, 5, n // 100, n // 2) if n else ():
            where, new = rng.integers(0, n, k), draw(rng, k, dtype, kind)
            for tree in (a, b):
                tree.update_many(where, new)
            same_levels(a, b, n, width)
            i, x = int(rng.integers(n)), float(draw(rng, 1, dtype, kind)[0])
            for tree in (a, b):
                tree.update(i, x)
            same_levels(a, b, n, width)
        same_answers(a, b, rng)
        with at(level):  # growing builds anew
            for tree in (a, b):
                tree.extend(values[: n // 2])
                tree.append(1.0)
        same_levels(a, b, len(a), width)
        same_answers(a, b, rng)


@levels
@dtypes
@orientations
@pytest.mark.parametrize("n", [5, 16, 17, 300, 5000])
def test_every_level_finds_nan_anywhere(level, dtype, orientation, n):
    values = np.zeros(n, dtype=dtype)
    with at(level):
        borrowed = ThresholdTree(values, orientation=orientation, copy=False)
        for i in {0, n // 3, n // 2, n - 2, n - 1}:
            for sign in (1, -1):
                values[i] = np.copysign(np.nan, sign)
                with pytest.raises(ValueError, match=rf"NaN at index \({i},\)"):
                    ThresholdTree(values, orientation=orientation)
                with pytest.raises(ValueError, match=rf"NaN at index \({i},\)"):
                    borrowed.refresh(i)
                values[i] = 0
        values[:] = np.inf
        borrowed.refresh()
        borrowed._check()
        ThresholdTree(-values, orientation=orientation)._check()


@levels
@dtypes
def test_unaligned_blocks(seed, level, dtype):
    # a borrowed array need not start on a cache line
    rng = np.random.default_rng(seed)
    values = rng.integers(-2, 3, 1000).astype(dtype)
    for offset in range(1, 17):
        a, b = pair(lambda offset=offset: ThresholdTree(values[offset:].copy()), level)
        with at(level):
            c = ThresholdTree(values[offset:], copy=False)
        same_answers(a, b, rng)
        same_answers(a, c, rng)


@levels
@dtypes
@pytest.mark.parametrize("shape", [(1, 1), (5, 17), (40, 300), (300, 40)], ids=str)
def test_banks_at_every_level_are_the_same(seed, level, dtype, shape):
    rng = np.random.default_rng(seed)
    a, b = pair(lambda: TreeBank(*shape, dtype), level)
    rows, columns = rng.integers(0, shape[0], 50), rng.integers(0, shape[1], 9)
    new_rows = draw(rng, (50, shape[1]), dtype, "ties")
    new_columns = draw(rng, (shape[0], 9), dtype, "extremes")
    for bank in (a, b):
        bank.write_rows(rows, new_rows)
        bank.write_columns(columns, new_columns)
        bank._check()
    same_bits(a.values, b.values)
    for t in (-np.inf, -1.0, 0.0, 1.0, np.inf):
        *found, blocks = a.query_all(t)
        *others, other_blocks = b.query_all(t)
        assert blocks == other_blocks
        for left, right in zip(found, others, strict=True):
            same_bits(left, right)
        same_bits(a.query_row(0, t)[0], b.query_row(0, t)[0])


# ---------------------------------------------------------------------- the choice of a level


def run(code, level):
    environment = {name: value for name, value in os.environ.items() if name != "SLTREES_SIMD"}
    if level is not None:
        environment["SLTREES_SIMD"] = level
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)  # the package under test, wherever it was found
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


NAME = "from sltrees._core import _simd; print(_simd.active_level_name())"


@levels
def test_the_environment_forces_a_level(level):
    result = run(NAME, level)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == level


@pytest.mark.parametrize("level", [None, ""])
def test_the_fastest_level_is_the_default(level):
    assert run(NAME, level).stdout.strip() == LEVELS[-1]


def test_an_unknown_level_is_refused():
    result = run("import sltrees", "sse9")
    assert result.returncode != 0
    assert f"ValueError: SIMD level must be one of {', '.join(LEVELS)} on this processor, got 'sse9'" in result.stderr
    before = _simd.active_level_name()
    with pytest.raises(ValueError, match=r"SIMD level must be one of portable.* got 'sse9'"):
        _simd.set_active_level("sse9")
    for name in set(_simd.LEVELS) - set(LEVELS):  # known, but not to this processor
        with pytest.raises(ValueError, match=f"got '{name}'"):
            _simd.set_active_level(name)
    assert _simd.active_level_name() == before


def test_levels_are_listed_slowest_first():
    assert LEVELS[0] == "portable"
    assert list(LEVELS) == [name for name in _simd.LEVELS if name in LEVELS]
