"""Ctrl-C wherever it can fall: BLAS has its threads again, nothing runs on, no network is being trained for ever."""

import concurrent.futures
import threading
import time

import numpy as np
import pytest
from interruptions import code_of, interrupted_everywhere
from problems import random_problem
from threadpoolctl import threadpool_info, threadpool_limits

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.execution import blas, threads
from sltrees.execution.inline import InlineExecutor
from sltrees.execution.threads import ThreadExecutor
from sltrees.network import use
from sltrees.reference import GradientDescent
from sltrees.reference import gradient_descent as descent
from sltrees.training.interruptible import Interruptible
from sltrees.training.reporting import Report
from sltrees.training.run import Run

EXECUTORS = {"threads": lambda: ThreadExecutor(2), "inline": InlineExecutor}

# what takes and gives back; of the pool of the standard library what is called
POOL = code_of(
    concurrent.futures.ThreadPoolExecutor.__init__,
    concurrent.futures.ThreadPoolExecutor.submit,
    concurrent.futures.ThreadPoolExecutor.shutdown,
    concurrent.futures.Future.result,
)
POOL |= {concurrent.futures.ThreadPoolExecutor._adjust_thread_count.__code__}  # without its finaliser
# what is raised in a finaliser Python drops, with a word; it would be the second interruption, or too late to matter
EXECUTION = POOL | code_of(blas.BlasHold, blas.set_threads, ThreadExecutor, InlineExecutor, threads._Call)
EXECUTION -= code_of(blas.BlasHold.__del__)


def blas_threads():
    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.fixture
def as_before():
    """A check that nobody holds BLAS, and that it has two threads, which it had."""
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        assert set(before) == {2}

        def check():
            assert blas.n_holders() == 0
            assert blas_threads() == before

        yield check


def test_an_interruption_that_leaves_something_behind_is_found():
    taken = []

    def act():
        taken.clear()
        taken.append(0)
        try:
            len(taken)
        finally:
            taken.clear()

    def check(outcome):
        assert not taken, "left behind"

    with pytest.raises(AssertionError, match="left behind"):
        interrupted_everywhere(act, code_of(act), check)


@pytest.mark.parametrize("name", EXECUTORS)
@pytest.mark.parametrize("how", ["map", "run_all", "run"])
def test_executors_leave_blas_as_it_was_and_no_block_running(name, how, as_before):
    begun, ended, lock = [], [], threading.Lock()

    def block(number):
        with lock:
            begun.append(number)
        time.sleep(1e-4)
        with lock:
            ended.append(number)
        return number

    def act():
        begun.clear()
        ended.clear()
        with EXECUTORS[name]() as executor:
            if how == "run":
                return [executor.run(block, 3)]
            try:
                return getattr(executor, how)(block, range(8))
            finally:
                if how == "map":
                    assert sorted(begun) == sorted(ended)  # whoever wrote has ended

    def check(outcome):
        as_before()
        n_begun = len(begun)
        if not isinstance(outcome, KeyboardInterrupt):
            assert outcome == ([3] if how == "run" else list(range(8)))
        time.sleep(2e-3)
        assert len(begun) == n_begun  # nothing is begun behind the caller's back

    interrupted_everywhere(act, EXECUTION, check)


def test_an_executor_opens_again_after_an_interruption_anywhere(as_before):
    def act():
        executor = ThreadExecutor(2)
        try:
            with executor:
                executor.map(abs, [-1])
        finally:
            executor.close()
            with executor:
                assert set(blas_threads()) == {1}
                assert executor.map(abs, range(-3, 0)) == [3, 2, 1]

    interrupted_everywhere(act, EXECUTION, lambda outcome: as_before())


def test_two_holders_of_which_one_is_cut_off(as_before):
    """The other still has BLAS to itself on one thread."""

    def act():
        with InlineExecutor():
            try:
                with ThreadExecutor(1):
                    pass
            finally:
                assert set(blas_threads()) == {1}

    interrupted_everywhere(act, EXECUTION, lambda outcome: as_before())


def test_a_hold_that_nobody_released_ends_when_it_is_gone(as_before):
    hold = blas.BlasHold()
    hold.begin()
    assert set(blas_threads()) == {1}
    del hold
    as_before()


@pytest.mark.parametrize("executor", EXECUTORS)
def test_fit_ends_whole(executor, as_before):
    X, y = random_problem(0, 12, 3)
    digests = {}

    def network_of():
        return ShiftedReLUNetwork(256, shift=0.5, random_state=0)

    def trained(steps):
        network = network_of()
        NewtonTrainer(network, max_iter=steps, tol=0.0, executor=executor, n_threads=2).fit(X, y)
        return network.digest()

    digests = [trained(steps) for steps in range(3)]
    drawn = []

    def act():
        drawn[:] = [network_of()]
        return NewtonTrainer(drawn[0], max_iter=2, tol=0.0, executor=executor, n_threads=2).fit(X, y)

    def check(outcome):
        as_before()
        network = drawn[0]
        assert not network.in_training
        if network.state.is_drawn:
            assert network.digest() in digests
        else:
            NewtonTrainer(network, max_iter=2, tol=0.0, n_threads=1).fit(X, y)
            assert network.digest() == digests[2]
        if not isinstance(outcome, KeyboardInterrupt):
            assert outcome.status in ("interrupted", "max_iter")
        assert NewtonTrainer(network, max_iter=1, tol=0.0, n_threads=1).fit(X, y).status == "max_iter"

    codes = EXECUTION | code_of(Run, Interruptible, Report, use.claim, NewtonTrainer.fit, NewtonTrainer._train)
    interrupted_everywhere(act, codes, check)


def test_initialize_ends_whole(as_before):
    X = random_problem(0, 12, 3)[0]
    expected = ShiftedReLUNetwork(256, shift=0.5, random_state=0).initialize(X).digest()
    made = []

    def act():
        made[:] = [ShiftedReLUNetwork(256, shift=0.5, random_state=0)]
        return made[0].initialize(X, n_threads=2)

    def check(outcome):
        as_before()
        assert not made[0].in_training
        assert made[0].initialize(X, n_threads=1).digest() == expected

    interrupted_everywhere(act, EXECUTION | code_of(ShiftedReLUNetwork.initialize, use.claim), check)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_gradient_descent_ends_whole(executor, as_before):
    X, y = random_problem(0, 12, 3)

    def network_of():
        return ShiftedReLUNetwork(256, shift=0.5, random_state=0)

    digests = []
    for steps in range(3):
        network = network_of()
        GradientDescent(network, max_iter=steps, tol=0.0, n_threads=1).fit(X, y)
        digests.append(network.digest())
    made = []

    def act():
        made[:] = [network_of()]
        return GradientDescent(made[0], max_iter=2, tol=0.0, executor=executor, n_threads=2).fit(X, y)

    def check(outcome):
        as_before()
        network = made[0]
        assert not network.in_training
        if network.state.is_drawn:
            assert network.digest() in digests
        assert GradientDescent(network, max_iter=1, tol=0.0, n_threads=1).fit(X, y).status == "max_iter"

    codes = EXECUTION | code_of(GradientDescent.fit, descent._Descent, use.claim)
    interrupted_everywhere(act, codes, check)
