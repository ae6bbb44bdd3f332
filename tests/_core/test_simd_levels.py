"""Every instruction level this processor has gives the same bits as portable C."""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest

from sltrees import ThresholdTree
from sltrees._core import TreeBank, _primitives, _simd

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
@pytest.mark.parametrize(("n", "shares"), [(30_000, (1e-3, 5e-3, 0.012, 0.02, 0.04)), (2**22 + 1000, (0.003, 0.01))])
def test_lists_of_blocks_with_one_leaf_with_several_and_with_none(seed, level, dtype, n, shares):
    # few and many live blocks in a list, near and far; some leaves are lowered, so that their blocks pass no more
    rng = np.random.default_rng(seed)
    values = rng.random(n, dtype=dtype)
    with at(level):
        tree = ThresholdTree(values, copy=False)
    for sunk in (0, 7):
        values[:: sunk or n] = 0  # what borrows is not told
        for share in shares:
            t = float(dtype(1 - share))
            expected = np.flatnonzero(values > dtype(t))
            assert np.array_equal(tree.query(t), expected)
            assert tree.count(t) == expected.size
            assert np.array_equal(tree.query(t, 17, n - 17), expected[(expected >= 17) & (expected < n - 17)])
            room = np.full(expected.size + 3, -7)
            assert np.array_equal(tree.query(t, out=room), expected)
            assert np.all(room[expected.size :] == -7)


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


# ---------------------------------------------------------------------- single primitives


def bits_of(flags):
    return sum(1 << int(j) for j in np.flatnonzero(flags))


@levels
def test_compress_store_lists_the_set_bits(seed, level):
    rng = np.random.default_rng(seed)
    masks = {0, 1, 0x80, 0x100, 0x8000, 0xFFFF, *(1 << np.arange(16)).tolist(), *rng.integers(0, 1 << 16, 300).tolist()}
    with at(level):
        for mask in masks:
            for base in (0, 7, 2**31 - 17):
                out = np.full(20, -1, dtype=np.int32)
                k = _primitives.compress_store(out, base, mask)
                assert out[:k].tolist() == [base + j for j in range(16) if mask >> j & 1]
                assert (out[16:] == -1).all()  # garbage up to out[15] only


@levels
@dtypes
def test_masks_of_blocks(seed, level, dtype):
    rng, width = np.random.default_rng(seed), 64 // np.dtype(dtype).itemsize
    tiny = np.finfo(dtype).smallest_subnormal
    numbers = np.array([-np.inf, -2, -1, -tiny, -0.0, 0.0, tiny, 1, 2, np.inf], dtype=dtype)
    with at(level):
        for _ in range(200):
            block, thresholds = rng.choice(numbers, width), rng.choice(numbers, width)
            assert _primitives.block_mask_each(block, thresholds) == bits_of(block > thresholds)
            for limit in (0.0, float(tiny), 1.0, 1.5, np.inf):
                assert _primitives.block_band(block, limit) == bits_of(np.abs(block) <= limit)
        # every lane alone, compared with its own threshold, at addresses that are no multiple of anything
        for j in range(width):
            for offset in range(3):
                block, thresholds = np.zeros(width + 3, dtype=dtype)[offset:], np.zeros(width + 3, dtype=dtype)[offset:]
                block[j] = 1
                assert _primitives.block_mask_each(block, thresholds) == 1 << j
                assert _primitives.block_band(block, 0.5) == (1 << width) - 1 - (1 << j)
                thresholds[j] = 1
                assert _primitives.block_mask_each(block, thresholds) == 0
                assert _primitives.block_band(-block, 1.0) == (1 << width) - 1
        # NaN is above nothing and within nothing
        block = np.full(width, np.nan, dtype=dtype)
        assert _primitives.block_mask_each(block, np.full(width, -np.inf, dtype=dtype)) == 0
        assert _primitives.block_mask_each(np.zeros(width, dtype=dtype), block) == 0
        assert _primitives.block_band(block, np.inf) == 0


@levels
@dtypes
def test_sums_over_blocks(seed, level, dtype):
    rng, width = np.random.default_rng(seed), 64 // np.dtype(dtype).itemsize
    eps = np.finfo(dtype).eps
    with at(level):
        for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 17):
            n *= width
            rows = rng.standard_normal((9, n)).astype(dtype)
            v = rng.standard_normal(n).astype(dtype)
            exact, size = rows.astype(np.float64) @ v, np.abs(rows.astype(np.float64)) @ np.abs(v)
            for j in range(9):
                assert abs(_primitives.dot(v, rows[j]) - exact[j]) <= eps * (n + 1) * size[j]
            for four in ([0, 1, 2, 3], [8, 8, 0, 8], [5, 4, 3, 1]):
                out = np.full(6, 7.0, dtype=dtype)
                _primitives.dots(v, np.array(four, dtype=np.int32), rows, out)
                assert np.all(np.abs(out[:4] - exact[four]) <= eps * (n + 1) * size[four])
                assert out[4:].tolist() == [7, 7]
            for k in (0, 1, 2, 5, 20):
                where = rng.integers(0, 9, k).astype(np.int32)
                c, y = rng.standard_normal(k).astype(dtype), rng.standard_normal(n + width).astype(dtype)
                before, total = y.copy(), y[:n] + c.astype(np.float64) @ rows[where].astype(np.float64)
                _primitives.add_rows(y[:n], c, where, rows)
                bound = np.abs(before[:n]) + np.abs(c.astype(np.float64)) @ np.abs(rows[where].astype(np.float64))
                assert np.all(np.abs(y[:n] - total) <= eps * (k + 1) * bound)
                same_bits(y[n:], before[n:])


@levels
@dtypes
def test_sums_of_integers_are_exact(seed, level, dtype):
    # small integers are summed without rounding, in whatever order: all levels agree
    rng = np.random.default_rng(seed)
    rows = rng.integers(-5, 6, (7, 176)).astype(dtype)
    with at(level):
        for j in range(7):
            assert _primitives.dot(rows[0], rows[j]) == rows[0] @ rows[j]
        out = np.zeros(4, dtype=dtype)
        _primitives.dots(rows[0], np.array([6, 2, 4, 0], dtype=np.int32), rows, out)
        assert out.tolist() == (rows[[6, 2, 4, 0]] @ rows[0]).tolist()
        y, where = rows[1].copy(), np.array([3, 3, 0, 6, 5], dtype=np.int32)
        c = np.array([1, -2, 3, 4, -1], dtype=dtype)
        _primitives.add_rows(y, c, where, rows)
        assert y.tolist() == (rows[1] + c @ rows[where]).tolist()


@levels
@dtypes
def test_the_two_least(seed, level, dtype):
    rng, width = np.random.default_rng(seed), 64 // np.dtype(dtype).itemsize
    with at(level):
        for n in (0, 1, 2, 3, width - 1, width, width + 1, 2 * width, 3 * width + 1):
            for kind in range(40):
                # few distinct sizes, so that the least is there twice; it may be in any lane of any block
                p = (rng.integers(-3, 4, n) if kind % 2 else rng.standard_normal(n)).astype(dtype)
                beyond = np.concatenate([p, np.zeros(3, dtype=dtype)])[:n]  # what lies behind does not count
                two = np.full(3, 7.0, dtype=dtype)
                position = _primitives.least_two(beyond, two)
                sizes = np.append(np.sort(np.abs(p)), [np.inf, np.inf])
                assert two.tolist() == [sizes[0], sizes[1], 7]
                assert position == (int(np.argmin(np.abs(p))) if n else -1)


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
    result = run("from sltrees import ThresholdTree", "sse9")
    assert result.returncode != 0
    assert f"ValueError: SIMD level must be one of {', '.join(LEVELS)} on this processor, got 'sse9'" in result.stderr
    before = _simd.active_level_name()
    with pytest.raises(ValueError, match=r"SIMD level must be one of portable.* got 'sse9'"):
        _simd.set_active_level("sse9")
    for name in {"portable", "neon", "avx2", "avx512"} - set(LEVELS):  # not of this build, or not of this processor
        with pytest.raises(ValueError, match=f"got '{name}'"):
            _simd.set_active_level(name)
    assert _simd.active_level_name() == before


def test_levels_are_listed_slowest_first():
    assert LEVELS[0] == "portable"
    assert list(LEVELS) == [name for name in _simd.LEVELS if name in LEVELS]
