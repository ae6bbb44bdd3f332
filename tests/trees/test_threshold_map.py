"""`ThresholdMap`: a dictionary with queries, beside a plain one; both orientations, and what is refused."""

import copy
import math
import pickle
from collections.abc import MutableMapping

import numpy as np
import pytest
from allocations import fail_each
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from sltrees import ThresholdMap

ITEMS = {"a": 1.0, "b": 5.0, 3: 2.0, (1, 2): 4.0}


def passing(model, t, orientation):
    return {key for key, value in model.items() if (value > t if orientation == "max" else value < t)}


def test_is_a_mutable_mapping():
    m = ThresholdMap(ITEMS)
    assert isinstance(m, MutableMapping)
    assert m == ITEMS
    assert m != {**ITEMS, "a": 2.0}
    assert (len(m), m["b"], m.get("z"), m.get("a"), "a" in m, "z" in m) == (4, 5.0, None, 1.0, True, False)
    assert list(m) == ["b", (1, 2), 3, "a"]
    assert list(reversed(m)) == ["a", 3, (1, 2), "b"]
    assert list(m.items()) == [("b", 5.0), ((1, 2), 4.0), (3, 2.0), ("a", 1.0)]
    assert list(m.values()) == [5.0, 4.0, 2.0, 1.0]
    assert m.pop("a") == 1.0
    assert m.pop("a", None) is None
    assert m.setdefault("c", 9) == 9.0
    assert m.setdefault("c", 1) == 9.0
    m |= {"d": -1}
    m |= [("e", -2)]
    assert next(iter(m | {"e": 10})) == "e"
    assert m["e"] == -2.0
    m.clear()
    assert (len(m), list(m), m.query(-np.inf), m.topk(3)) == (0, [], [], [])
    m._check()
    with pytest.raises(KeyError, match="empty"):
        m.popitem()
    with pytest.raises(TypeError):
        m | 3


def test_ways_to_begin():
    assert ThresholdMap() == {}
    assert ThresholdMap([("a", 1), ("b", 2), ("a", 3)]) == {"a": 3.0, "b": 2.0}
    assert ThresholdMap(ThresholdMap(ITEMS)) == ITEMS
    m = ThresholdMap()
    m.update(ITEMS, x=3, a=7)
    assert m == {**ITEMS, "x": 3.0, "a": 7.0}


def test_orientation_min_is_a_queue():
    m = ThresholdMap({"a": 3.0, "b": 1.0, "c": 2.0}, orientation="min")
    assert (m.peekitem(), m.orientation) == (("b", 1.0), "min")
    m["a"] = 0.5
    assert m.popitem() == ("a", 0.5)
    assert m.topk(5) == ["b", "c"]
    keys, values = m.pop_above(5)
    assert (keys, values.tolist()) == (["b", "c"], [1.0, 2.0])
    assert len(m) == 0


@pytest.mark.parametrize("orientation", ["max", "min"])
def test_the_worst_infinity_is_a_number_like_any_other(orientation):
    worst = -math.inf if orientation == "max" else math.inf
    m = ThresholdMap({"a": worst, "b": 0.0, "c": worst}, orientation=orientation)
    del m["b"]
    m["d"] = worst
    assert sorted(m.topk(9)) == sorted(m) == ["a", "c", "d"]
    assert m.query(worst) == []
    seen = {m.popitem() for _ in range(3)}
    assert seen == {("a", worst), ("c", worst), ("d", worst)}
    m._check()


def test_slots_are_used_again():
    m = ThresholdMap({k: k for k in range(100)})
    size = len(m._keyed.tree)
    for k in range(1000):
        del m[k]
        m[k + 100] = -k
        assert len(m._keyed.tree) == size
    m._check()


@pytest.mark.parametrize("integer_keys", [False, True])
def test_batches_of_arrays(seed, integer_keys):
    rng = np.random.default_rng(seed)
    keys, values = rng.permutation(5000)[:2000] * 7, rng.standard_normal(2000)
    m = ThresholdMap(integer_keys=integer_keys)
    m.update_many(keys, values)
    model = dict(zip(keys.tolist(), values.tolist(), strict=True))
    assert m == model
    assert all(type(key) is int for key in m)
    assert np.array_equal(m.get_many(keys[::-1]), values[::-1])
    assert m.get_many([keys[0], -1], default=9.0).tolist() == [values[0], 9.0]
    m.delete_many(keys[:500])
    m.delete_many([keys[600], keys[600]])
    assert set(m) == set(keys[500:600].tolist() + keys[601:].tolist())
    m.update_many(np.array([1, 2, 1]), [5.0, 6.0, 7.0])
    assert (m[1], m[2]) == (7.0, 6.0)
    m.update_many(np.array([1, 2]), -1)
    assert (m[1], m[2]) == (-1.0, -1.0)
    m._check()


def test_integer_keys_are_arrays_and_nothing_else_is_a_key():
    m = ThresholdMap({10: 1.0, 30: 3.0, np.int32(20): 2.0}, integer_keys=True)
    assert m.has_integer_keys
    assert not ThresholdMap().has_integer_keys
    for found in (m.query(1.5), m.topk(2), m.pop_above(1.5)[0]):
        assert found.dtype == np.int64
        assert sorted(found.tolist()) == [20, 30]
    assert m == {10: 1.0}
    assert [type(key) for key in m] == [type(m.peekitem()[0])] == [int]
    for other in ("a", 10.0, True, 10**30, None, (1,), np.array(10)):
        assert other not in m
        assert m.get(other, -1) == -1
        with pytest.raises(TypeError, match="keys must be integers of 64 bits"):
            m[other] = 1.0
        with pytest.raises(KeyError):
            del m[other]
    for keys in ([1.5], ["a"], np.array([2**64 - 1], dtype=np.uint64)):
        with pytest.raises(TypeError, match="keys must be integers"):
            m.update_many(keys, [1.0])
    m |= {5: 2}
    m.update({6: 3})
    m.update(ThresholdMap({7: 4}))
    assert m == {10: 1.0, 5: 2.0, 6: 3.0, 7: 4.0}
    m._check()


def test_a_table_that_fills_and_empties(seed):
    rng = np.random.default_rng(seed)
    m, model = ThresholdMap(integer_keys=True), {}
    for _ in range(30):
        keys = rng.integers(-200, 200, 60) << rng.integers(0, 50)
        values = rng.standard_normal(60)
        m.update_many(keys, values)
        model.update(zip(keys.tolist(), values.tolist(), strict=True))
        gone = rng.choice(list(model), len(model) // 2, replace=False)
        m.delete_many(gone)
        for key in gone.tolist():
            del model[key]
        m._check()
        assert m == model


class Equal:
    """Keys whose comparison is code of the caller's, and may fail."""

    fails = False

    def __init__(self, number):
        self.number = number

    def __hash__(self):
        return 7

    def __eq__(self, other):
        if Equal.fails:
            raise ZeroDivisionError
        return self.number == other.number


def test_keys_whose_comparison_fails_leave_the_map():
    keys = [Equal(j) for j in range(20)]
    m = ThresholdMap(zip(keys, range(20), strict=True))
    assert m[Equal(11)] == 11.0
    Equal.fails = True
    try:
        for act in (
            lambda: m.__setitem__(Equal(99), 1.0),
            lambda: m.update_many([Equal(99), Equal(98)], 1.0),
            lambda: m.__delitem__(Equal(3)),
        ):
            with pytest.raises(ZeroDivisionError):
                act()
    finally:
        Equal.fails = False
    m._check()
    assert [m[key] for key in keys] == list(range(20))


class Meddler:
    """A key whose comparison changes the map that it is looked up in, once."""

    def __init__(self, meddle):
        self.meddle = meddle

    def __hash__(self):
        return hash(5)

    def __eq__(self, other):
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            meddle()
        return self is other


@pytest.mark.parametrize("act", ["set", "get", "in", "delete", "update_many", "delete_many"])
@pytest.mark.parametrize("what", ["deletes", "replaces", "grows"])
def test_a_comparison_that_changes_the_map_finds_what_is_there(act, what):
    m = ThresholdMap({j: j for j in range(6)})

    def meddle():
        if what != "grows":
            del m[5]
        if what == "replaces":
            m["new"] = 7.0  # has the slot of 5 now
        if what == "grows":
            m.update({100 + j: 1.0 for j in range(1000)})

    key = Meddler(meddle)
    try:
        {
            "set": lambda: m.__setitem__(key, 9.0),
            "get": lambda: m[key],
            "in": lambda: key in m,
            "delete": lambda: m.__delitem__(key),
            "update_many": lambda: m.update_many([5, key, 3, 8], [-5.0, 9.0, -3.0, -8.0]),
            "delete_many": lambda: m.delete_many([3, key]),
        }[act]()
    except KeyError:
        assert act in ("get", "delete", "delete_many")
    m._check()
    written = act in ("set", "update_many")
    assert (key in m) == written
    assert not written or m[key] == 9.0
    assert m[3] == (-3.0 if act == "update_many" else 3.0)
    assert (5 in m) == (what == "grows" or act == "update_many")


class Last:
    """A key whose end changes the map."""

    def __init__(self, m):
        self.m = m

    def __del__(self):
        self.m["late"] = 3.0
        self.m.pop(1, None)


@pytest.mark.parametrize(
    "take_out", [lambda m: m.popitem(), lambda m: m.pop_above(8.0), lambda m: m.delete_many(m.topk(1) + [0])]
)
def test_the_end_of_a_key_may_change_the_map(take_out):
    m = ThresholdMap({0: 0.0, 1: 1.0, 2: 2.0})
    m[Last(m)] = 9.0
    take_out(m)
    m._check()
    assert ("late" in m, 1 in m, 2 in m, m["late"]) == (True, False, True, 3.0)


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, ThresholdMap.copy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_are_equal_and_independent(again):
    class_ = Named
    m = class_(ITEMS, orientation="min")
    m.name = "n"
    other = again(m)
    assert (type(other), other.name, other.orientation) == (class_, "n", "min")
    assert other == m
    other["a"] = 99
    assert m == ITEMS
    other._check()


class Named(ThresholdMap):
    pass


def test_what_it_says_of_itself():
    assert repr(ThresholdMap(ITEMS)) == "<ThresholdMap of 4 keys, orientation 'max', best 'b': 5>"
    assert repr(ThresholdMap()) == "<ThresholdMap of 0 keys, orientation 'max'>"


def test_what_is_refused_changes_nothing():
    m = ThresholdMap(ITEMS)
    for error, match, act in [
        (ValueError, "must not be NaN", lambda: m.__setitem__("a", np.nan)),
        (ValueError, "must not be NaN", lambda: m.__setitem__("new", np.nan)),
        (ValueError, "must not be NaN", lambda: m.update({"new": 1.0, "a": np.nan})),
        (ValueError, "float64 holds exactly", lambda: m.__setitem__("new", 2**53 + 1)),
        (TypeError, "real", lambda: m.__setitem__("new", "x")),
        (TypeError, "unhashable", lambda: m.__setitem__([], 1.0)),
        (TypeError, "unhashable", lambda: m.update_many(["new", []], 1.0)),
        (ValueError, "one for each of 2 keys, got 1", lambda: m.update_many(["x", "y"], [1.0])),
        (ValueError, r"keys must have 1 dimension, got shape \(1, 1\)", lambda: m.update_many(np.zeros((1, 1)), 1.0)),
        (KeyError, "z", lambda: m["z"]),
        (KeyError, "z", lambda: m.__delitem__("z")),
        (KeyError, "z", lambda: m.delete_many(["a", "z"])),
        (KeyError, "z", lambda: m.get_many(["a", "z"])),
        (ValueError, "threshold must not be NaN", lambda: m.query(np.nan)),
        (TypeError, "threshold must be a real number", lambda: m.pop_above("x")),
        (ValueError, "k must be at least 0", lambda: m.topk(-1)),
        (ValueError, "orientation must be one of", lambda: ThresholdMap(orientation="up")),
    ]:
        with pytest.raises(error, match=match):
            act()
        m._check()
        assert m == ITEMS


@pytest.mark.parametrize("change", [{1: 2}, {4: "up"}, {3: [np.nan] * 4}])
def test_damaged_pickles_are_refused(change):
    rebuild, arguments, _ = ThresholdMap(ITEMS).__reduce__()
    with pytest.raises(ValueError, match=r"must|format"):
        rebuild(*[change.get(j, argument) for j, argument in enumerate(arguments)])


MUTATORS = {
    "put-many": lambda m: m.update({j: j for j in range(50)}),
    "grow": lambda m: [m.__setitem__(j, 1.0) for j in range(30)],
    "array": lambda m: m.update_many(np.arange(50), np.arange(50)),
    "pop_above": lambda m: m.pop_above(1.5),
    "delete_many": lambda m: m.delete_many(list(m)[:2]),
    "clear": lambda m: m.clear(),
}


@pytest.mark.parametrize("name", [name for name in MUTATORS if name != "grow"])
def test_each_allocation_that_fails_leaves_the_map(name):
    for integer_keys in (False, True):
        items = {j: j / 4 for j in range(10)} if integer_keys else ITEMS

        def check(m, items=items):
            m._check()
            assert m == items

        def make(items=items, integer_keys=integer_keys):
            return ThresholdMap(items, integer_keys=integer_keys)

        assert fail_each(make, MUTATORS[name], check) > 0


class MapMachine(RuleBasedStateMachine):
    orientation, integer_keys = "max", False
    # integers that share places in a small table, and the extremes; other keys where they may be
    integers = st.sampled_from([*range(12), *(j << 40 for j in range(1, 6)), -1, 2**63 - 1, -(2**63)])
    others = st.sampled_from("abcdef")
    numbers = st.sampled_from([-math.inf, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, math.inf])

    @initialize()
    def build(self):
        self.map, self.model = ThresholdMap(orientation=self.orientation, integer_keys=self.integer_keys), {}

    def key(self, data):
        return data.draw(self.integers if self.integer_keys else st.one_of(self.integers, self.others))

    @rule(data=st.data(), value=numbers)
    def put(self, data, value):
        key = self.key(data)
        self.map[key] = self.model[key] = value

    @rule(data=st.data(), values=st.lists(numbers, max_size=20))
    def update(self, data, values):
        items = [(self.key(data), value) for value in values]
        self.map.update_many([key for key, _ in items], [value for _, value in items])
        self.model.update(items)

    @rule(data=st.data())
    def delete(self, data):
        key = self.key(data)
        assert self.map.pop(key, None) == self.model.pop(key, None)

    @rule(data=st.data())
    def delete_many(self, data):
        if self.model:
            chosen = data.draw(st.lists(st.sampled_from(sorted(self.model, key=str)), max_size=6))
            self.map.delete_many(chosen)
            for key in set(chosen):
                del self.model[key]

    @rule(t=numbers)
    def query(self, t):
        expected = passing(self.model, t, self.orientation)
        keys, values = self.map.query(t, return_values=True)
        assert set(keys) == expected
        assert values.tolist() == [self.model[key] for key in keys]
        assert self.map.count(t) == len(keys) == len(expected)
        assert self.map.any(t) == bool(expected)

    @rule(t=numbers)
    def pop_above(self, t):
        expected = passing(self.model, t, self.orientation)
        keys, values = self.map.pop_above(t)
        assert set(keys) == expected
        assert values.tolist() == [self.model.pop(key) for key in keys]
        assert values.tolist() == sorted(values.tolist(), reverse=self.orientation == "max")

    @rule(k=st.integers(0, 25))
    def topk(self, k):
        keys, values = self.map.topk(k, return_values=True)
        assert values.tolist() == [self.model[key] for key in keys]
        ordered = sorted(self.model.values(), reverse=self.orientation == "max")
        assert values.tolist() == ordered[:k]
        assert len(set(keys)) == len(keys)

    @rule()
    def popitem(self):
        if self.model:
            key, value = self.map.popitem()
            assert value == (max if self.orientation == "max" else min)(self.model.values())
            assert self.model.pop(key) == value

    @rule()
    def clear(self):
        self.map.clear()
        self.model.clear()

    @rule()
    def duplicate(self):
        old, self.map = self.map, pickle.loads(pickle.dumps(self.map))
        old[0] = 77.0

    @invariant()
    def agrees(self):
        self.map._check()
        assert self.map == self.model
        assert list(self.map.values()) == sorted(self.model.values(), reverse=self.orientation == "max")


@pytest.mark.parametrize("orientation", ["max", "min"])
@pytest.mark.parametrize("integer_keys", [False, True])
def test_drawn_actions_agree_with_a_dictionary(orientation, integer_keys):
    run_state_machine_as_test(
        type("Machine", (MapMachine,), {"orientation": orientation, "integer_keys": integer_keys}),
        settings=settings(max_examples=30, stateful_step_count=40, suppress_health_check=list(HealthCheck)),
    )


class Meddling:
    """A number whose conversion changes the map."""

    def __init__(self, meddle, value):
        self.meddle, self.value = meddle, value

    def __float__(self):
        self.meddle()
        if self.value is None:
            raise ValueError("no number")
        return self.value


@pytest.mark.parametrize("integer_keys", [False, True])
@pytest.mark.parametrize("value", [None, 9.0])
@pytest.mark.parametrize("known", [False, True])
def test_numbers_whose_conversion_takes_the_key_out(integer_keys, value, known):
    m = ThresholdMap(integer_keys=integer_keys)
    m.update({1: 1.0, 2: 2.0})
    for _ in range(5):
        if known:
            m[5] = 5.0
        number = Meddling(lambda: m.pop(5, None), value)
        if value is None:
            with pytest.raises(ValueError, match="no number"):
                m[5] = number
        else:
            m[5] = number
        m._check()
        assert dict(m) == {1: 1.0, 2: 2.0} | ({} if value is None else {5: 9.0})
        m.pop(5, None)
    m[7] = 7.0
    m[8] = 8.0
    assert (m[7], m[8]) == (7.0, 8.0)
    assert sorted(m.query(6.5)) == [7, 8]


class Key:
    """A key whose hash may fail."""

    fails_after = None

    def __init__(self, name):
        self.name = name

    def __hash__(self):
        if Key.fails_after is not None:
            Key.fails_after -= 1
            if Key.fails_after < 0:
                Key.fails_after = None
                raise KeyboardInterrupt
        return hash(self.name)

    def __eq__(self, other):
        return self.name == other.name


@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_interruption_in_a_hash_leaves_keys_and_numbers_that_agree(after):
    m = ThresholdMap({Key("a"): 1.0, Key("b"): 2.0, Key("c"): 3.0})
    Key.fails_after = after
    try:
        del m[Key("b")]
    except KeyboardInterrupt:
        assert m[Key("b")] == 2.0
    Key.fails_after = None
    m._check()
    m[Key("new")] = 9.0
    assert m[Key("a")] == 1.0
    assert [key.name for key in m.query(5.0)] == ["new"]


def test_the_best_of_worst_numbers_is_found_without_sorting():
    m = ThresholdMap(dict.fromkeys(range(100), -math.inf))
    assert m.popitem() == (0, -math.inf)
    assert len(m) == 99


def test_truth_values_are_no_integer_keys():
    with pytest.raises(TypeError, match="keys must be integers, got True"):
        ThresholdMap(integer_keys=True).update_many([True, 5], [1.0, 2.0])
