"""Running the blocks of a network on a pool of threads."""

from __future__ import annotations

import concurrent.futures
import os
import threading
import time

from sltrees._validation import as_integer
from sltrees.execution.blas import BlasHold
from sltrees.execution.inline import InlineExecutor

_GLANCE = 1e-3  # seconds between looks at blocks that end


class ThreadExecutor:
    """Run functions over blocks on a fixed number of threads.

    Results come in the order of the blocks, whatever the number of threads, so sums over them are the
    same bit for bit. BLAS is held to one thread while the executor is open: its own threads would fight
    ours, and the order of its sums depends on their number.

    Work runs on pool threads even where there is one, because the main thread must stay free to receive Ctrl-C.

    Parameters
    ----------
    n_threads : int, optional
        At least 1; by default one per processor available to this process.

    Attributes
    ----------
    gives_up : bool
        Whether a call of `map` was cut off: blocks that take long may look at it, and end sooner.

    Examples
    --------
    >>> with ThreadExecutor(2) as executor:
    ...     executor.map(lambda block: block * block, range(4))
    [0, 1, 4, 9]
    """

    cluster = None  # who holds neurons where that is not this process
    gives_up = False

    def __init__(self, n_threads=None):
        self.n_threads = default_threads() if n_threads is None else as_integer(n_threads, "n_threads", minimum=1)
        self._hold = self._pool = None  # until it is opened

    def __enter__(self):
        self._hold = BlasHold()  # ours before it begins: Ctrl-C in here, or in `close`, and it ends with the executor
        try:
            self._hold.begin()
            self._pool = concurrent.futures.ThreadPoolExecutor(self.n_threads, thread_name_prefix="sltrees")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception):
        try:
            self.close()
        finally:
            self.close()  # again, where Ctrl-C cut that off

    def close(self):
        """Give threads and BLAS back; may be called again, and finishes what an interruption left of the last call."""
        if self._pool is not None:
            # without waiting: only a call abandoned by `run` can still be going
            self._pool.shutdown(wait=False, cancel_futures=True)
        if self._hold is not None:
            self._hold.release()

    def map(self, function, blocks, progress=None):
        """Apply a function to each block and return the results in order.

        Parameters
        ----------
        function : callable
            Called with one block; it must touch nothing that another block's call writes.
        blocks : iterable
        progress : callable, optional
            Called as progress(done, total) from this thread.

        Returns
        -------
        list

        Notes
        -----
        After an exception or Ctrl-C, blocks not begun are dropped and those running are waited for,
        so that no thread writes to a block any more when the exception arrives at the caller.
        """
        call, results = _Call(function), []
        try:
            futures = [self._pool.submit(call, block) for block in blocks]
            for done, future in enumerate(futures):
                results.append(future.result())
                if progress is not None:
                    progress(done + 1, len(futures))
        except BaseException:
            # by no call: Ctrl-C cannot keep it from these; closed first, else one that gives up makes room for another
            call.is_open = False
            self.gives_up = True
            call.close_stubbornly()
            raise
        return results

    def run_all(self, function, blocks):
        """Apply a function to each block, as `map` does; after Ctrl-C calls are left to end by themselves.

        For long calls that write to nothing outside.
        """
        call = _Call(function)
        try:
            futures = [self._pool.submit(call, block) for block in blocks]
            return [future.result() for future in futures]
        finally:
            call.is_open = False

    def run(self, function, *arguments):
        """Call one function off the main thread, and return its result.

        For long calls that write to nothing outside (a factorisation): after Ctrl-C the call is left to end by itself.
        """
        call = _Call(function)
        try:
            return self._pool.submit(call, *arguments).result()
        finally:
            call.is_open = False

    def place(self, here, network, planes, skin, ridge, progress):
        """Have the neurons of a network where this executor trains them: in this process, by calling `here`."""
        return here(self, network, planes, skin, ridge, progress)


class _Call:
    """A function whose blocks begin while it is open.

    Nobody has to know them to end them: Ctrl-C may fall between the submission of a block and its future being stored.
    """

    def __init__(self, function):
        self._function = function
        self._lock = threading.Lock()
        self._n_running = 0
        self.is_open = True  # made False by no call: Ctrl-C takes effect between them, and cannot keep it from this

    def __call__(self, *arguments):
        with self._lock:
            if not self.is_open:
                return None  # whoever asked has gone
            self._n_running += 1
        try:
            return self._function(*arguments)
        finally:
            with self._lock:
                self._n_running -= 1

    def close_stubbornly(self):
        """Begin no more blocks, and wait for those that write, also through further Ctrl-C.

        Each is short, and leaving one behind corrupts state.
        """
        self.is_open = False
        while True:
            try:
                with self._lock:  # none is between looking and beginning
                    if not self._n_running:
                        return
                time.sleep(_GLANCE)
            except KeyboardInterrupt:
                continue


def threads_or_inline(n_threads=None):
    """A `ThreadExecutor`, or where one thread is asked for by one that never receives Ctrl-C an `InlineExecutor`.

    Parameters
    ----------
    n_threads : int, optional
        As of `ThreadExecutor`.

    Returns
    -------
    ThreadExecutor or InlineExecutor
        To be opened.

    Notes
    -----
    That saves a change of threads, some 0.1 ms, for each call: threads that compute side by side wait for each other
    there. Cost: O(1).

    Examples
    --------
    >>> with threads_or_inline(1) as executor:
    ...     executor.run(lambda: type(threads_or_inline(1)).__name__)
    'InlineExecutor'
    """
    if n_threads == 1 and threading.current_thread() is not threading.main_thread():
        return InlineExecutor()
    return ThreadExecutor(n_threads)


def threads_for(n_tasks, n_threads=None):
    """How many threads a few long tasks are best run on.

    Parameters
    ----------
    n_tasks : int
    n_threads : int, optional
        As of `ThreadExecutor`: so many processors may be used.

    Returns
    -------
    int
        One for each task, if these are all processors there are, and the tasks less than twice as many: then the system
        has them all end at about the same time, where of three tasks on two threads the last would run alone.

    Examples
    --------
    >>> threads_for(100, 2), threads_for(3, 1)
    (2, 1)
    """
    n_threads = default_threads() if n_threads is None else n_threads
    return n_tasks if default_threads() <= n_threads < n_tasks < 2 * n_threads else n_threads


def default_threads() -> int:
    """Processors available to this process."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        return os.cpu_count() or 1
