"""Contents of files: entries are taken once, and what breaks a rule is refused."""

import numpy as np
import pytest

from sltrees.files.contents import Contents, making_sense, nested, prefixed
from sltrees.files.errors import ArchiveError


def test_prefixed_and_nested_undo_each_other():
    arrays = {"x": np.zeros(1), "a/x": np.ones(2)}
    both = prefixed(arrays, "n/0/") | prefixed(arrays, "n/00/") | {"n": np.zeros(0)}
    assert nested(both, "n/0/").keys() == arrays.keys()
    assert all(nested(both, "n/00/")[name] is array for name, array in arrays.items())
    assert nested(both, "m/") == {}


def test_contents_are_taken_once():
    contents = Contents({"a": 1, "b": 0.5, "c": True, "d": "x", "e": [1]}, {"x": np.zeros((2, 3), order="F")})
    assert contents.integer("a") == 1
    assert contents.number("b") == 0.5
    assert contents.flag("c") is True
    assert contents.choice("d", ("x", "y")) == "x"
    assert contents.take("e") == [1]
    assert contents.has_array("x")
    assert contents.array("x", np.float64, (None, 3)).flags.c_contiguous
    assert not contents.has_array("x")
    contents.refuse_rest()
    for taken in (contents.integer, contents.number, contents.flag, contents.take):
        with pytest.raises(ArchiveError, match="'a' is missing"):
            taken("a")


def test_contents_refuse_what_breaks_a_rule():
    contents = Contents({"a": 5, "b": -1.0, "c": 1, "d": "z"}, {"x": np.array([np.inf])})
    with pytest.raises(ArchiveError, match="'a' must be an integer from 6 to 9, got 5"):
        contents.integer("a", minimum=6, maximum=9)
    with pytest.raises(ArchiveError, match="'b' must be a float from 0"):
        contents.number("b")
    with pytest.raises(ArchiveError, match="'c' must be true or false, got 1"):
        contents.flag("c")
    with pytest.raises(ArchiveError, match="'d' must be one of 'x', 'y', got 'z'"):
        contents.choice("d", ("x", "y"))
    with pytest.raises(ArchiveError, match=r"array 'x' must have the shape \(any, 2\), got \(1,\)"):
        Contents({}, {"x": np.zeros(1)}).array("x", np.float64, (None, 2))
    with pytest.raises(ArchiveError, match="array 'x' must be finite"):
        contents.array("x", np.float64, (1,))
    assert Contents({}, {"x": np.array([np.inf])}).array("x", np.float64, (1,), finite=False)[0] == np.inf
    with pytest.raises(ArchiveError, match="nobody asked for 'y'"):
        Contents({"y": 1}).refuse_rest()
    with pytest.raises(ArchiveError, match="a header must be a dict, got 3"):
        Contents(3)


def test_dtypes_are_told_and_arrays_below_a_prefix_are_taken_together():
    contents = Contents({}, {"x": np.zeros(2, np.int8), "a/x": np.ones(1), "a/y": np.ones(2), "ab/x": np.ones(3)})
    assert contents.dtype_of("x") == np.int8
    assert contents.dtype_of("y") is None
    assert contents.nested("a/").keys() == {"x", "y"}
    assert contents.nested("a/") == {}
    assert contents.array("x", np.int8, (2,)).size == contents.array("ab/x", np.float64, (3,)).size - 1
    contents.refuse_rest()


@pytest.mark.parametrize("error", [ZeroDivisionError, AttributeError, KeyError, TypeError, ValueError, ArchiveError])
def test_nonsense_is_said_to_be_in_the_file(error):
    with pytest.raises(ArchiveError, match=r"^a file holds no valid 'thing': .*why"), making_sense("a file", "'thing'"):
        raise error("why")


@pytest.mark.parametrize("error", [MemoryError, OSError, KeyboardInterrupt])
def test_what_says_nothing_of_the_file_passes(error):
    with pytest.raises(error, match=r"^why$"), making_sense("a file", "'thing'"):
        raise error("why")
