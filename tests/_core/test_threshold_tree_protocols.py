"""What a tree is to others: inspect, NumPy's functions, and copies and pickles of subclasses."""

import copy
import inspect
import pickle

import numpy as np
import pytest

from sltrees import ThresholdTree


def test_the_signature_is_the_true_one():
    signature = inspect.signature(ThresholdTree)
    assert str(signature) == "(values, *, orientation='max', copy=True)"
    with pytest.raises(TypeError, match="positional"):
        ThresholdTree([1.0], "min")
    assert inspect.getdoc(ThresholdTree).startswith('An array that answers "which entries are above t?"')


@pytest.mark.parametrize("orientation", ["max", "min"])
def test_functions_of_numpy(orientation):
    values = np.array([3.0, -1.0, 0.0, 7.0])
    tree = ThresholdTree(values, orientation=orientation)
    for function in (np.max, np.amax, np.min, np.amin, np.any, np.all, np.sum, np.argmax, np.argmin, np.copy, np.ptp):
        assert np.array_equal(function(tree), function(values)), function
    assert np.max(tree, axis=0, keepdims=True).tolist() == [7]
    assert np.max(tree, initial=9) == 9
    assert not np.any(ThresholdTree(np.zeros(3)))
    assert np.concatenate([tree, [1.0], tree]).tolist() == [*values, 1, *values]
    assert np.array_equal(np.where(tree, 1, 0), [1, 1, 0, 1])
    assert np.sum(values, where=np.greater(tree, 0)) == 10
    out = np.zeros(())
    assert np.max(a=tree, out=out) is out


class Named(ThresholdTree):
    """A subclass with attributes and another __init__."""

    made = 0

    def __init__(self, name, values):
        super().__init__(values, orientation="min")
        self.name = name
        self.notes = [name]
        Named.made += 1


class Slotted(ThresholdTree):
    __slots__ = ("name",)


def through_a_pickle(tree):
    return pickle.loads(pickle.dumps(tree))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, ThresholdTree.copy, through_a_pickle])
def test_copies_of_subclasses_keep_their_attributes(duplicate):
    tree = Named("a", [1.0, 2.0])
    made = Named.made
    other = duplicate(tree)
    assert type(other) is Named
    assert Named.made == made
    assert (other.name, other.notes) == ("a", ["a"])
    assert (other.notes is tree.notes) == (duplicate in (copy.copy, ThresholdTree.copy))
    assert other == tree
    other[0] = 5.0
    assert tree[0] == 1.0
    other._check()

    slotted = Slotted([1.0])
    slotted.name = "b"
    assert duplicate(slotted).name == "b"


def test_deep_copies_of_a_tree_that_holds_itself():
    tree = Named("a", [1.0])
    tree.notes.append(tree)
    other = copy.deepcopy(tree)
    assert other.notes[1] is other


def test_a_plain_tree_pickles_as_before():
    function, arguments = ThresholdTree([1.0]).__reduce__()
    assert function.__name__ == "_from_pickle"
    assert arguments[:2] == (ThresholdTree, 1)
