"""`ThresholdMap` while code of others changes it in the middle of a method: keys, ends of objects, and threads."""

import contextlib
import gc
import sys
import threading
import time

import numpy as np
import pytest

from sltrees import ThresholdMap

both = pytest.mark.parametrize("integer_keys", [False, True])


@pytest.fixture
def collected_often():
    """Have Python look for objects that end whenever it makes some."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


class Job:
    """An object that is part of a cycle, so that it ends at any time; its end calls a function."""

    def __init__(self, at_end):
        self.at_end, self.itself = at_end, self

    def __del__(self):
        self.at_end()


class Key:
    """A key whose comparison calls a function."""

    def __init__(self, number, compare=lambda: None, at_end=lambda: None):
        self.number, self.compare, self.at_end = number, compare, at_end

    def __hash__(self):
        return self.number

    def __eq__(self, other):
        self.compare()
        return self is other or self.number == other

    def __del__(self):
        self.at_end()


@both
@pytest.mark.parametrize("what", ["put", "pop"])
def test_ends_of_objects_change_a_map_that_grows(collected_often, integer_keys, what):
    for first in range(8):
        m, model = ThresholdMap(integer_keys=integer_keys), {}

        def at_end(i, m=m, model=model):
            if what == "put":
                m[-i] = model[-i] = 1.0
            else:
                assert m.pop(i, None) == model.pop(i, None)

        for i in range(1, 80 + first):
            Job(lambda i=i: at_end(i))
            m[i] = model[i] = float(i)
        m.update_many(range(200, 400), 2.0)
        model.update(dict.fromkeys(range(200, 400), 2.0))
        gc.collect()
        m._check()
        assert m == model


@both
def test_ends_of_objects_take_out_what_is_popped(collected_often, integer_keys):
    m, popped, gone = ThresholdMap(integer_keys=integer_keys), [], []
    for i in range(500):
        Job(lambda i=i: gone.append(i) if m.pop(i, None) is not None else None)
        m[i] = float(i)
        if i % 2:
            with contextlib.suppress(KeyError):  # the map may be empty by now
                popped.append(m.popitem())
    m._check()
    assert all(key == value for key, value in popped)
    assert sorted([*m, *gone, *(key for key, _ in popped)]) == list(range(500))


@both
@pytest.mark.parametrize(
    "read",
    [
        lambda m: m.query(3.0, return_values=True),
        lambda m: m.topk(20, return_values=True),
        lambda m: m.pop_above(3.0),
        lambda m: (list(m), [float(key) for key in m]),
        lambda m: zip(*m.copy().items(), strict=True),
        lambda m: (range(5, 25), m.get_many(range(5, 25), default=np.nan)),
    ],
    ids=["query", "topk", "pop_above", "list", "copy", "get_many"],
)
def test_keys_and_numbers_are_of_one_moment(collected_often, integer_keys, read):
    m = ThresholdMap(integer_keys=integer_keys)
    m.update({i: float(i) for i in range(40)})
    for i in range(10, 40, 2):

        def at_end(i=i):
            m.pop(i, None)
            m[-i] = float(-i)  # has the slot now

        Job(at_end)
        keys, values = read(m)
        assert all(value != value or key == value for key, value in zip(keys, values, strict=True))
    m._check()


def test_a_comparison_that_deletes_before_others_are_deleted():
    m = ThresholdMap({j: float(j) for j in range(10)})
    with pytest.raises(KeyError, match="3"):
        m.delete_many([3, Key(6, lambda: m.pop(3, None))])
    m._check()
    assert sorted(m) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_a_refused_batch_leaves_what_was_written_meanwhile():
    m = ThresholdMap({1: 1.0, 2: 2.0})

    def compare():
        m[100] = 5.0
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        m.update_many([100, Key(2, compare)], [7.0, 8.0])
    m._check()
    assert m == {1: 1.0, 2: 2.0, 100: 5.0}
    assert (m.query(3.0), m.popitem(), len(m)) == ([100], (100, 5.0), 2)


def test_a_new_key_that_comes_while_it_is_compared_comes_once():
    m = ThresholdMap({2: 2.0})
    m.update_many([100, Key(2, lambda: m.update({100: 5.0})), 100, 101, 101], [7.0, 8.0, 9.0, 1.0, 3.0])
    m._check()
    assert m == {2: 8.0, 100: 9.0, 101: 3.0}


def test_the_end_of_a_key_that_was_compared_brings_the_key_that_is_set():
    m = ThresholdMap()
    acts = [m.popitem]
    m[Key(5, lambda: acts and acts.pop()(), lambda: m.__setitem__(5, 1.0))] = 9.0
    m[5] = 2.0
    m._check()
    assert m == {5: 2.0}


@pytest.mark.parametrize(
    "act",
    [lambda m, key: m.update_many([key, 50], 1.0), lambda m, key: m.delete_many([key]), lambda m, key: m.get(key)],
)
def test_comparisons_that_always_change_the_map_come_to_an_end(act):
    m = ThresholdMap({j: float(j) for j in range(10)})

    def compare():
        m.pop(3, None)
        m[3] = 3.0

    with pytest.raises(RuntimeError, match="a map must not be changed each time that its keys are read or compared"):
        act(m, Key(6, compare))
    m._check()
    assert m == {j: float(j) for j in range(10)}


@both
def test_two_threads_that_set_keys_set_all_of_them(integer_keys):
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(10):
            m, refused = ThresholdMap(integer_keys=integer_keys), []

            def work(first, m=m, refused=refused):
                try:
                    for i in range(first, 1000, 2):
                        m[i] = float(i)
                except RuntimeError as error:
                    refused.append(error)

            threads = [threading.Thread(target=work, args=(first,)) for first in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            m._check()
            assert not refused
            assert m == {i: float(i) for i in range(1000)}
    finally:
        sys.setswitchinterval(before)


@both
def test_keys_at_regular_distances_are_no_slower(integer_keys):
    def seconds(distance):
        keys, best = np.arange(10_000) * distance, np.inf
        for _ in range(3):
            m, start = ThresholdMap(integer_keys=integer_keys), time.perf_counter()
            m.update_many(keys, 1.0)
            best = min(best, time.perf_counter() - start)
        return best

    for distance in (832_040, 1_346_269):  # of which multiples of the golden ratio are next to integers
        assert seconds(distance) < 20 * seconds(1)


def test_what_only_stands_for_an_integer_is_no_integer_key():
    class Index:
        def __index__(self):
            return 5

    m = ThresholdMap({5: 1.0}, integer_keys=True)
    assert Index() not in m
    assert m.get(Index(), "none") == "none"
    with pytest.raises(KeyError):
        del m[Index()]
    with pytest.raises(TypeError, match="keys must be integers of 64 bits"):
        m[Index()] = 2.0
    assert m == {5: 1.0}
