"""Executors of this process: order, exceptions, interruption, and BLAS left as it was."""

import os
import pathlib
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from sltrees.execution import threads
from sltrees.execution.blas import set_threads
from sltrees.execution.inline import InlineExecutor
from sltrees.execution.threads import ThreadExecutor, default_threads, threads_for, threads_or_inline

THREADS = (1, 2, 3, 8)


def blas_threads():
    # NumPy and SciPy bring their BLAS with them
    np.ones((2, 2)) @ np.ones((2, 2))
    threads = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    assert threads
    return threads


@pytest.mark.parametrize("n_threads", THREADS)
def test_results_come_in_the_order_of_the_blocks(n_threads):
    first_may_go = threading.Event()

    def work(block):
        if block == 0 and n_threads > 1:
            assert first_may_go.wait(10)  # the first block ends after the second
        if block == 1:
            first_may_go.set()
        return block * block

    with ThreadExecutor(n_threads) as executor:
        assert executor.map(work, range(50)) == [block * block for block in range(50)]
        assert executor.map(work, []) == []


@pytest.mark.parametrize("n_threads", THREADS)
def test_no_more_threads_than_asked_for_and_never_the_main_one(n_threads):
    barrier = threading.Barrier(n_threads)

    def work(block):
        barrier.wait(10)  # passes only if n_threads run at once
        return threading.get_ident()

    with ThreadExecutor(n_threads) as executor:
        used = set(executor.map(work, range(4 * n_threads)))
        used.add(executor.run(threading.get_ident))
    assert len(used) <= n_threads
    assert threading.get_ident() not in used


@pytest.mark.parametrize("n_threads", THREADS)
def test_an_exception_reaches_the_caller_after_all_writers_have_ended(n_threads):
    running, ended = [], []

    def work(block):
        if block == 3:
            raise RuntimeError("block 3")
        running.append(block)
        threading.Event().wait(0.01)
        ended.append(block)

    with ThreadExecutor(n_threads) as executor:
        with pytest.raises(RuntimeError, match="block 3"):
            executor.map(work, range(1000))
        assert sorted(running) == sorted(ended)
        assert len(ended) < 999  # the rest was dropped
        assert executor.map(abs, [-1]) == [1]  # and the executor lives on
        with pytest.raises(ZeroDivisionError):
            executor.run(lambda: 1 // 0)


def test_ctrl_c_waits_for_writers_and_drops_the_rest():
    running, ended = [], []

    def work(block):
        running.append(block)
        threading.Event().wait(0.02)
        ended.append(block)

    def interrupt(done, total):
        if done == 2:
            signal.raise_signal(signal.SIGINT)

    with ThreadExecutor(2) as executor:
        with pytest.raises(KeyboardInterrupt):
            executor.map(work, range(1000), interrupt)
        assert sorted(running) == sorted(ended)
        assert 2 <= len(ended) < 999


def test_progress_counts_to_the_end_in_the_thread_of_the_caller():
    calls = []
    with ThreadExecutor(3) as executor:
        executor.map(abs, range(7), lambda done, total: calls.append((done, total, threading.get_ident())))
    assert calls == [(done, 7, threading.get_ident()) for done in range(1, 8)]


@pytest.mark.parametrize("before", [1, 2])
def test_blas_is_held_to_one_thread_and_restored(before):
    with threadpool_limits(before, user_api="blas"):
        outside = blas_threads()
        with ThreadExecutor(2) as executor:
            assert set(blas_threads()) == {1}
            assert set(executor.run(blas_threads)) == {1}
        assert blas_threads() == outside
        with pytest.raises(RuntimeError, match="inside"), ThreadExecutor(2):
            raise RuntimeError("inside")
        assert blas_threads() == outside


def test_the_default_is_the_number_of_processors_available():
    assert ThreadExecutor().n_threads == default_threads() >= 1


def test_one_thread_is_that_of_the_caller_unless_it_has_to_receive_ctrl_c():
    assert type(threads_or_inline(1)) is ThreadExecutor
    with ThreadExecutor(1) as executor:
        assert type(executor.run(threads_or_inline, 1)) is InlineExecutor
        assert executor.run(threads_or_inline, 2).n_threads == 2


def test_a_thread_for_each_of_a_few_tasks_only_where_all_processors_may_be_used(monkeypatch):
    monkeypatch.setattr(threads, "default_threads", lambda: 2)
    assert [threads_for(n_tasks) for n_tasks in (1, 2, 3, 4)] == [2, 2, 3, 2]
    assert threads_for(3, 1) == 1
    monkeypatch.setattr(threads, "default_threads", lambda: 8)
    assert threads_for(3, 2) == 2


@pytest.mark.parametrize(
    ("bad", "error"), [(0, ValueError), (-1, ValueError), (1.5, ValueError), ("2", TypeError), (True, TypeError)]
)
def test_bad_numbers_of_threads_are_refused(bad, error):
    with pytest.raises(error, match=r"n_threads must be .*, got"):
        ThreadExecutor(bad)


def test_ctrl_c_while_blas_is_being_held_leaves_no_holder_behind(monkeypatch):
    """Found once: the holder was counted before there was a limit, and nothing ever limited BLAS again."""
    before = blas_threads()
    with monkeypatch.context() as patch:

        def interrupted(**options):
            raise KeyboardInterrupt

        patch.setattr("sltrees.execution.blas.ThreadpoolController", interrupted)
        patch.setattr("sltrees.execution.blas._LIBRARIES", [0, []])  # that they were found before
        with pytest.raises(KeyboardInterrupt), ThreadExecutor(1):
            pass
    with ThreadExecutor(1):
        assert set(blas_threads()) == {1}
    assert blas_threads() == before


def test_ctrl_c_between_libraries_leaves_none_limited(monkeypatch):
    before, calls = blas_threads(), []
    with monkeypatch.context() as patch:

        def interrupted(library, n_threads):
            calls.append(n_threads)
            set_threads(library, n_threads)
            if len(calls) == 1:
                raise KeyboardInterrupt

        patch.setattr("sltrees.execution.blas.set_threads", interrupted)
        with pytest.raises(KeyboardInterrupt), ThreadExecutor(1):
            pass
    assert blas_threads() == before
    test_blas_is_held_to_one_thread_and_restored(2)


def test_blas_is_held_whichever_thread_opens_the_executor():
    """Found once: threadpoolctl lets the first thread that sets OpenBLAS do so, and no other while that lives."""
    with threadpool_limits(2, user_api="blas"):
        before, found = blas_threads(), []

        def elsewhere():
            with ThreadExecutor(1) as executor:
                found.extend([blas_threads(), executor.run(blas_threads)])
            found.append(blas_threads())

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert [set(threads) for threads in found[:2]] == [{1}, {1}]
        assert found[2] == before == blas_threads()


def test_overlapping_executors_hold_blas_until_the_last_one_closes():
    before = blas_threads()
    first, second = ThreadExecutor(1), ThreadExecutor(1)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(blas_threads()) == {1}
    second.__exit__(None, None, None)
    assert blas_threads() == before


@pytest.mark.parametrize("make", [lambda: ThreadExecutor(2), InlineExecutor], ids=["threads", "inline"])
def test_long_calls_come_back_in_order_and_raise(make):
    with make() as executor:
        assert executor.run_all(abs, range(-5, 5)) == executor.map(abs, range(-5, 5)) == [abs(k) for k in range(-5, 5)]
        assert executor.run_all(abs, []) == []
        assert executor.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            executor.run_all(lambda block: 1 // block, [1, 0])


def test_inline_ctrl_c_is_heeded_between_blocks_that_write_and_at_once_in_others():
    begun, ended = [], []

    def work(block):
        begun.append(block)
        if block == 1:
            signal.raise_signal(signal.SIGINT)
        ended.append(block)

    handler = signal.getsignal(signal.SIGINT)
    with InlineExecutor() as executor:
        with pytest.raises(KeyboardInterrupt):
            executor.map(work, range(4))
        assert (begun, ended) == ([0, 1], [0, 1])
        assert signal.getsignal(signal.SIGINT) is handler
        with pytest.raises(KeyboardInterrupt):
            executor.run_all(work, range(4))
        assert (begun, ended) == ([0, 1, 0, 1], [0, 1, 0])
        assert set(blas_threads()) == {1}


def test_the_blas_of_numpy_is_among_those_that_are_held():
    """What is not seen cannot be held, and then results depend on its threads."""
    np.ones((2, 2)) @ np.ones((2, 2))
    folder = pathlib.Path(np.__file__).parent
    libraries = [pathlib.Path(library["filepath"]) for library in threadpool_info() if library["user_api"] == "blas"]
    assert libraries
    if folder.with_name("numpy.libs").is_dir():  # a wheel, with a BLAS of its own
        assert any(library.parent.name == "numpy.libs" for library in libraries)


FORKED = """
import os, threading
import numpy, scipy.linalg
from sltrees.execution import blas

libraries = blas._libraries()
for library in libraries:
    blas.set_threads(library, 2)
mine, others, held = blas.BlasHold(), blas.BlasHold(), threading.Event()


def hold():
    others.begin()
    blas._LOCK.acquire()  # as if the fork fell into its beginning
    held.set()
    threading.Event().wait(60)


threading.Thread(target=hold, daemon=True).start()
held.wait(60)
child = os.fork()
if child == 0:
    mine.begin()
    during = [library.num_threads for library in libraries]
    mine.release()
    after = [library.num_threads for library in libraries]
    os._exit(0 if set(during) == {1} and set(after) == {2} and blas.n_holders() == 0 else 1)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_forked_process_has_no_holds_of_threads_that_it_has_not():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], timeout=60, check=False)
    assert done.returncode == 0
