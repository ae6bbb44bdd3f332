"""How G is held, by what there is of memory: what is refused, and that what is estimated is enough."""

import numpy as np
import pytest
from problems import random_problem

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.execution.inline import InlineExecutor
from sltrees.gram import HELD_AS
from sltrees.methods.choose import METHODS
from sltrees.network.hyperplanes import Hyperplanes
from sltrees.training.budget import Budget, refuse_together


def problem():
    X, y = random_problem(0, 300, 5)
    return ShiftedReLUNetwork(2000, shift=2.0, random_state=0), Hyperplanes(X.astype(np.float32), 2.0), y


def budget(method="certified", **options):
    network, planes, y = problem()
    return Budget(network, method, planes, y, InlineExecutor(), **options)


def holding(method="certified", **options):
    return budget(method, **options).choose_holding()


def needs(**options):
    with pytest.raises(MemoryError, match=r"needs [\d,]+ bytes") as caught:
        holding(max_memory=1, **options)
    return int(str(caught.value).split(" needs ")[1].split(" ")[0].replace(",", ""))


def test_samples_of_several_runs_are_there_once():
    together = [budget(max_memory=1, max_gram=300, n_together=3) for _ in range(3)]
    for each in together:
        each.choose_holding()
    with pytest.raises(MemoryError) as caught:
        refuse_together(together)
    needed = int(str(caught.value).split(" needs ")[1].split(" ")[0].replace(",", ""))
    assert needed == pytest.approx(3 * needs(max_gram=300) - 2 * 300 * 5 * 4, abs=3)


def test_how_g_is_held_is_chosen_by_memory():
    assert holding() == "array"
    assert holding(max_gram=299) == "products"
    assert holding(max_gram=300) == "array"
    assert holding(max_gram=299, forcing=0.0) == holding(max_gram=0, forcing=0.1) == "preconditioned"
    assert holding(max_gram=300, forcing=0.1) == "array"
    least = needs()
    assert holding(max_memory=least + 1) == "preconditioned"
    most = needs(max_gram=300)
    assert most - least > 20 * 300**2 / 2
    assert holding(max_memory=most + 1) == "array"
    # the literal method holds G, whatever it takes
    assert holding("trees", max_memory=1e9) == "array"
    network, _, _ = problem()
    with pytest.raises(ValueError, match="max_gram"):
        NewtonTrainer(network, max_gram=-1)
    with pytest.raises(ValueError, match="executor must be"):
        NewtonTrainer(network, executor="cluster")


def test_every_way_of_holding_g_is_that_of_a_method():
    assert set(HELD_AS) == {name for method in METHODS.values() for name in method.gram_held_as}
    for name, method in METHODS.items():
        assert holding(name) == method.gram_held_as[0]


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("bpsw", {}, r"needs the Gram matrix as an array, which method 'bpsw' never forms; give alpha as a number"),
        ("certified", {"max_gram": 10}, r"which has no room for 300 samples \(max_gram 10, max_memory None\); give"),
    ],
)
def test_leave_one_out_needs_an_array(method, options, message):
    with pytest.raises(ValueError, match=message):
        holding(method, alpha="loo", **options)
    assert needs(alpha="loo", max_gram=300) - needs(max_gram=300) == pytest.approx(40 * 300**2, abs=2)
