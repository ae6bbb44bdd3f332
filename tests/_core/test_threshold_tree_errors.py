"""Bad input to ThresholdTree: the right exception, a message that says rule and value, and a tree left as it was."""

import re

import numpy as np
import pytest

from sltrees import ThresholdTree

NAN = np.nan
LIST = "C-ordered, writable, aligned, one-dimensional"
NOT_NAN = r"must not be NaN"
RANGE = "the range must satisfy 0 <= start <= stop <= 20, got "


def assign(key, value):
    def act(tree):
        tree[key] = value

    return act


def unaligned(dtype, n=3):
    return np.zeros(n * 8 + 1, dtype=np.uint8)[1 : 1 + n * np.dtype(dtype).itemsize].view(dtype)


def read_only(values):
    array = np.array(values)
    array.flags.writeable = False
    return array


REFUSED = {
    # thresholds
    "query-nan": (lambda t: t.query(NAN), ValueError, "threshold must not be NaN"),
    "query-none": (lambda t: t.query(None), TypeError, "threshold must be a real number, got None"),
    "query-text": (lambda t: t.query("1.5"), TypeError, "threshold must be a real number, got '1.5'"),
    "query-bytes": (lambda t: t.query(b"1"), TypeError, "threshold must be a real number, got b'1'"),
    "query-complex": (lambda t: t.query(1j), TypeError, "threshold must be a real number, got 1j"),
    "query-list": (lambda t: t.query([1.0]), TypeError, "threshold must be a real number, got [1.0]"),
    "count-nan": (lambda t: t.count(NAN), ValueError, "threshold must not be NaN"),
    "count-none": (lambda t: t.count(None), TypeError, "threshold must be a real number, got None"),
    "any-nan": (lambda t: t.any(NAN), ValueError, "threshold must not be NaN"),
    "first-nan": (lambda t: t.first(np.float32(NAN)), ValueError, "threshold must not be NaN"),
    "pop_above-nan": (lambda t: t.pop_above(NAN), ValueError, "threshold must not be NaN"),
    "pop_above-text": (lambda t: t.pop_above("a"), TypeError, "threshold must be a real number, got 'a'"),
    "crossing-nan": (lambda t: t.update_many([0], 9.0, crossing=NAN), ValueError, "threshold must not be NaN"),
    "crossing-text": (
        lambda t: t.update_many([0], 9.0, crossing="a"),
        TypeError,
        "threshold must be a real number, got 'a'",
    ),
    "query_many-nan": (
        lambda t: t.query_many([0, NAN]),
        ValueError,
        "thresholds must not be NaN, got NaN at index (1,)",
    ),
    "query_many-scalar": (lambda t: t.query_many(5.0), ValueError, "thresholds must have 1 dimension, got shape ()"),
    "query_many-2d": (
        lambda t: t.query_many([[5.0]]),
        ValueError,
        "thresholds must have 1 dimension, got shape (1, 1)",
    ),
    "query_many-text": (lambda t: t.query_many(["a"]), TypeError, "thresholds must be real numbers, got dtype <U1"),
    # ranges
    "query-start": (lambda t: t.query(0, -1), ValueError, RANGE + "start=-1, stop=20"),
    "query-stop": (lambda t: t.query(0, 0, 21), ValueError, RANGE + "start=0, stop=21"),
    "query-reversed": (lambda t: t.query(0, 5, 4), ValueError, RANGE + "start=5, stop=4"),
    "query-huge": (lambda t: t.query(0, 0, 10**30), ValueError, RANGE + f"start=0, stop={10**30}"),
    "query-fraction": (
        lambda t: t.query(0, 1.5),
        TypeError,
        "start and stop must be integers, got start=1.5, stop=20",
    ),
    "query-start-none": (lambda t: t.query(0, None), TypeError, "start and stop must be integers, got start=None"),
    "query-stop-text": (
        lambda t: t.query(0, 0, "9"),
        TypeError,
        "start and stop must be integers, got start=0, stop='9'",
    ),
    "count-range": (lambda t: t.count(0, 21), ValueError, RANGE + "start=21, stop=20"),
    "count-fraction": (lambda t: t.count(0, 0, 2.0), TypeError, "start and stop must be integers"),
    "first-range": (lambda t: t.first(0, 3, 2), ValueError, RANGE + "start=3, stop=2"),
    "refresh-range": (lambda t: t.refresh(0, 21), ValueError, RANGE + "start=0, stop=21"),
    # out
    "out-list": (lambda t: t.query(0, out=[0]), ValueError, f"out must be a {LIST} int64 array, got list"),
    "out-dtype": (lambda t: t.query(0, out=np.zeros(20)), ValueError, "int64 array, got shape (20,), dtype float64"),
    "out-int32": (lambda t: t.query(0, out=np.zeros(20, np.int32)), ValueError, "got shape (20,), dtype int32"),
    "out-2d": (lambda t: t.query(0, out=np.zeros((20, 1), np.int64)), ValueError, "got shape (20, 1)"),
    "out-strided": (lambda t: t.query(0, out=np.zeros(40, np.int64)[::2]), ValueError, "C-ordered: False"),
    "out-read-only": (lambda t: t.query(0, out=read_only([0] * 20)), ValueError, "writable: False"),
    "out-unaligned": (lambda t: t.query(0, out=unaligned(np.int64)), ValueError, "aligned: False"),
    "out-short": (
        lambda t: t.query(-1, out=np.zeros(3, np.int64)),
        ValueError,
        "out must have room for 20 indices, got 3",
    ),
    # topk
    "topk-negative": (lambda t: t.topk(-1), ValueError, "k must be an integer of at least 0, got -1"),
    "topk-fraction": (lambda t: t.topk(1.5), ValueError, "k must be an integer of at least 0, got 1.5"),
    "topk-none": (lambda t: t.topk(None), ValueError, "k must be an integer of at least 0, got None"),
    # single values
    "update-index": (lambda t: t.update(20, 9), IndexError, "i must be in [0, 20), got 20"),
    "update-negative": (lambda t: t.update(-1, 9), IndexError, "i must be in [0, 20), got -1"),
    "update-huge": (lambda t: t.update(10**30, 9), IndexError, f"i must be in [0, 20), got {10**30}"),
    "update-fraction": (lambda t: t.update(1.0, 9), TypeError, "i must be an integer, got 1.0"),
    "update-text-index": (lambda t: t.update("1", 9), TypeError, "i must be an integer, got '1'"),
    "update-nan": (lambda t: t.update(0, NAN), ValueError, "value " + NOT_NAN),
    "update-text": (lambda t: t.update(0, "9"), TypeError, "must be real number, not str"),
    "update-none": (lambda t: t.update(0, None), TypeError, "must be real number, not NoneType"),
    "update-complex": (lambda t: t.update(0, 1j), TypeError, "must be real number, not complex"),
    "add-index": (lambda t: t.add(20, 9), IndexError, "i must be in [0, 20), got 20"),
    "add-nan": (lambda t: t.add(0, NAN), ValueError, "value " + NOT_NAN),
    "add-text": (lambda t: t.add(0, "9"), TypeError, "must be real number, not str"),
    "add-infinities": (lambda t: t.add(19, -np.inf), ValueError, "the sum must not be NaN, got inf + -inf"),
    # batches
    "many-index": (lambda t: t.update_many([0, 20], 9), IndexError, "indices must be in [0, 20), got 20"),
    "many-negative": (lambda t: t.update_many([0, -1], 9), IndexError, "indices must be in [0, 20), got -1"),
    "many-unsigned": (lambda t: t.update_many([2**63], 9), IndexError, f"indices must be in [0, 20), got {2**63}"),
    "many-fraction": (lambda t: t.update_many([0.0], 9), TypeError, "indices must be integers, got dtype float64"),
    "update-bool": (lambda t: t.update(True, 9), TypeError, "i must be an integer, got True"),
    "add-bool": (lambda t: t.add(False, 9), TypeError, "i must be an integer, got False"),
    "many-mask": (lambda t: t.update_many([True], 9), TypeError, "indices must be integers, got dtype bool"),
    "many-2d": (lambda t: t.update_many([[0]], 9), ValueError, "indices must have 1 dimension, got shape (1, 1)"),
    "many-scalar": (lambda t: t.update_many(0, 9), ValueError, "indices must have 1 dimension, got shape ()"),
    "many-length": (
        lambda t: t.update_many([0, 1], [9]),
        ValueError,
        "values must have the shape of indices, (2,), got (1,)",
    ),
    "many-nan": (
        lambda t: t.update_many([0, 1], [9, NAN]),
        ValueError,
        "values must not be NaN, got NaN at index (1,)",
    ),
    "many-scalar-nan": (lambda t: t.update_many([0, 1], NAN), ValueError, "values " + NOT_NAN),
    "many-text": (lambda t: t.update_many([0], ["9"]), TypeError, "values must be real numbers, got dtype <U1"),
    "many-none": (lambda t: t.update_many([0], [None]), TypeError, "values must be real numbers, got dtype object"),
    "many-complex": (lambda t: t.update_many([0], 1j), TypeError, "values must be real numbers, got dtype complex128"),
    "add_many-index": (lambda t: t.add_many([0, 20], 9), IndexError, "indices must be in [0, 20), got 20"),
    "add_many-length": (lambda t: t.add_many([0, 1], [9, 9, 9]), ValueError, "(2,), got (3,)"),
    "add_many-nan": (
        lambda t: t.add_many([0, 1], [9, NAN]),
        ValueError,
        "values must not be NaN, got NaN at index (1,)",
    ),
    "add_many-sum": (lambda t: t.add_many([0, 19], -np.inf), ValueError, "the sums must not be NaN"),
    "pop_above-replacement": (
        lambda t: t.pop_above(3, replacement=4),
        ValueError,
        "replacement must not pass the threshold 3, got 4",
    ),
    "pop_above-replacement-nan": (lambda t: t.pop_above(3, replacement=NAN), ValueError, "value " + NOT_NAN),
    "pop_above-replacement-text": (lambda t: t.pop_above(3, replacement="4"), TypeError, "must be real number"),
    # growth
    "append-nan": (lambda t: t.append(NAN), ValueError, "value " + NOT_NAN),
    "append-text": (lambda t: t.append("9"), TypeError, "must be real number, not str"),
    "extend-nan": (lambda t: t.extend([9, NAN]), ValueError, "values must not be NaN, got NaN at index (1,)"),
    "extend-scalar": (lambda t: t.extend(9.0), ValueError, "values must have 1 dimension, got shape ()"),
    "extend-2d": (lambda t: t.extend([[9.0]]), ValueError, "values must have 1 dimension, got shape (1, 1)"),
    "extend-text": (lambda t: t.extend(["9"]), TypeError, "values must be real numbers, got dtype <U1"),
    "resize-negative": (lambda t: t.resize(-1), ValueError, "n must be at least 0 and fit in memory, got -1"),
    "resize-fraction": (lambda t: t.resize(3.0), TypeError, "n must be an integer, got 3.0"),
    "resize-none": (lambda t: t.resize(None), TypeError, "n must be an integer, got None"),
    "resize-large": (lambda t: t.resize(2**40), ValueError, f"a tree holds at most {2**34} values, got {2**40}"),
    "resize-huge": (lambda t: t.resize(2**80), ValueError, f"n must be at least 0 and fit in memory, got {2**80}"),
    # items
    "get-beyond": (lambda t: t[20], IndexError, "index must be in [-20, 20), got 20"),
    "get-before": (lambda t: t[-21], IndexError, "index must be in [-20, 20), got -21"),
    "get-huge": (lambda t: t[10**30], IndexError, f"index must be in [-20, 20), got {10**30}"),
    "get-fraction": (lambda t: t[1.0], IndexError, "only integers, slices"),
    "get-list": (lambda t: t[[0, 20]], IndexError, "index 20 is out of bounds"),
    "set-beyond": (assign(20, 9), IndexError, "index must be in [-20, 20), got 20"),
    "set-before": (assign(-21, 9), IndexError, "index must be in [-20, 20), got -21"),
    "set-huge": (assign(-(10**30), 9), IndexError, f"index must be in [-20, 20), got {-(10**30)}"),
    "set-fraction": (assign(1.0, 9), IndexError, "only integers, slices"),
    "set-nan": (assign(0, NAN), ValueError, "value " + NOT_NAN),
    "set-text": (assign(0, "9"), TypeError, "must be real number, not str"),
    "set-list-beyond": (assign([0, 20], 9), IndexError, "index 20 is out of bounds"),
    "set-mask": (assign([True, False], 9), IndexError, "boolean index did not match"),
    "set-slice-length": (assign(slice(0, 2), [9, 9, 9]), ValueError, "could not be broadcast together"),
    "set-slice-nan": (assign(slice(0, 2), [9, NAN]), ValueError, "values must not be NaN, got NaN at index (1,)"),
    "set-slice-text": (assign(slice(0, 2), "9"), TypeError, "values must be real numbers, got dtype <U1"),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("act", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_and_unchanged(dtype, act, error, message):
    values = np.arange(20, dtype=dtype)
    values[19] = np.inf
    tree = ThresholdTree(values)
    before, size = tree.copy(), tree.nbytes
    with pytest.raises(error, match=re.escape(message)) as info:
        act(tree)
    assert type(info.value) is error
    assert tree == before
    assert tree.nbytes == size
    tree._check()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda t: t.pop_above(5, replacement=4), "replacement must not pass the threshold 5, got 4"),
        (lambda t: t.pop_above(5, replacement=-np.inf), "replacement must not pass the threshold 5, got -inf"),
    ],
)
def test_refused_of_a_min_tree(act, message):
    tree = ThresholdTree(np.arange(20.0), orientation="min")
    with pytest.raises(ValueError, match=message):
        act(tree)
    assert tree == ThresholdTree(np.arange(20.0), orientation="min")


@pytest.mark.parametrize("what", ["max", "argmax"])
def test_an_empty_tree_has_no_best_value(what):
    with pytest.raises(ValueError, match=f"^{what} of an empty tree$"):
        getattr(ThresholdTree([]), what)()


@pytest.mark.parametrize(
    "act", [lambda t: t.append(1), lambda t: t.extend([1.0]), lambda t: t.resize(3), lambda t: t.resize(30)]
)
def test_a_borrowed_array_cannot_change_its_length(act):
    values = np.arange(20.0)
    tree = ThresholdTree(values, copy=False)
    with pytest.raises(
        ValueError, match=re.escape("a tree over a borrowed array (copy=False) cannot change its length")
    ):
        act(tree)
    assert np.array_equal(values, np.arange(20))
    assert len(tree) == 20
    tree._check()


@pytest.mark.parametrize(
    ("values", "options", "error", "message"),
    [
        ([0.0, NAN], {}, ValueError, "values must not be NaN, got NaN at index (1,)"),
        (np.append(np.zeros(5000, np.float32), np.float32(NAN)), {}, ValueError, "got NaN at index (5000,)"),
        (np.append(np.zeros(7), NAN), {"copy": False}, ValueError, "got NaN at index (7,)"),
        (5.0, {}, ValueError, "values must have 1 dimension, got shape ()"),
        ([[1.0]], {}, ValueError, "values must have 1 dimension, got shape (1, 1)"),
        (["a"], {}, TypeError, "values must be real numbers, got dtype <U1"),
        ([1j], {}, TypeError, "values must be real numbers, got dtype complex128"),
        ([None], {}, TypeError, "values must be real numbers, got dtype object"),
        (None, {}, TypeError, "values must be real numbers, got dtype object"),
        (np.zeros(2, "M8[s]"), {}, TypeError, "values must be real numbers, got dtype datetime64[s]"),
        ([1.0, [2.0]], {}, ValueError, "inhomogeneous"),
        ([1.0], {"orientation": "up"}, ValueError, "orientation must be 'max' or 'min', got 'up'"),
        ([1.0], {"orientation": None}, ValueError, "orientation must be 'max' or 'min', got None"),
        (
            [1.0],
            {"copy": False},
            ValueError,
            "copy=False needs a C-ordered, aligned, one-dimensional float32 or float64 array, got list",
        ),
        (np.arange(3), {"copy": False}, ValueError, "got shape (3,), dtype int64"),
        (np.zeros(3, ">f8"), {"copy": False}, ValueError, "got shape (3,), dtype >f8"),
        (np.zeros((3, 1)), {"copy": False}, ValueError, "got shape (3, 1)"),
        (np.zeros(6)[::2], {"copy": False}, ValueError, "C-ordered: False"),
        (unaligned(np.float64), {"copy": False}, ValueError, "aligned: False"),
        (unaligned(np.float32), {"copy": False}, ValueError, "aligned: False"),
    ],
)
def test_refused_values(values, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        ThresholdTree(values, **options)


def test_only_the_values_are_positional():
    with pytest.raises(TypeError, match="positional"):
        ThresholdTree([1.0], "min")
    with pytest.raises(TypeError, match="positional"):
        ThresholdTree()


def test_a_refused_second_initialisation_leaves_the_tree():
    tree = ThresholdTree([1.0, 2.0])
    with pytest.raises(ValueError, match=NOT_NAN):
        tree.__init__([3.0, NAN])
    assert tree == ThresholdTree([1.0, 2.0])
    tree._check()
