"""Running the blocks of a network: on a pool of threads or in the calling one, with BLAS held to one thread."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import threading

from threadpoolctl import ThreadpoolController

from sltrees._validation import as_choice, as_integer


class _BlasHold:
    """Holds BLAS to one thread while anybody needs it: the limit is one of the process, so its holders are counted."""

    def __init__(self):
        self._lock = threading.Lock()
        self._holders = 0
        self._before = []  # (library, its number of threads)

    def __enter__(self):
        with self._lock:
            if self._holders == 0:
                libraries = ThreadpoolController().select(user_api="blas").lib_controllers
                self._before = [(library, library.num_threads) for library in libraries]
                try:
                    for library in libraries:
                        _set_blas_threads(library, 1)
                except BaseException:
                    self._restore()
                    raise
            self._holders += 1  # last: Ctrl-C in the line above must not leave a holder behind

    def __exit__(self, *exception):
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                self._restore()

    def _restore(self):
        for library, n_threads in self._before:
            _set_blas_threads(library, n_threads)


def _set_blas_threads(library, n_threads):
    """Set the number of threads of a library of threadpoolctl, from whatever thread this is called.

    threadpoolctl 3.8 lets one thread alone set that of OpenBLAS, which is the process's, and leaves out without a word
    what others ask for. Here holders are counted, so that threads do not fight; and a library that is not held
    would make results depend on its threads.
    """
    library.set_num_threads(n_threads)
    if library.num_threads != n_threads and hasattr(library, "_real_set_num_threads"):
        library._real_set_num_threads(n_threads)


_BLAS_HOLD = _BlasHold()


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

    Examples
    --------
    >>> with ThreadExecutor(2) as executor:
    ...     executor.map(lambda block: block * block, range(4))
    [0, 1, 4, 9]
    """

    cluster = None  # who holds neurons where that is not this process

    def __init__(self, n_threads=None):
        self.n_threads = default_threads() if n_threads is None else as_integer(n_threads, "n_threads", minimum=1)
        self._exit = contextlib.ExitStack()
        self._pool = None

    def __enter__(self):
        self._exit.enter_context(_BLAS_HOLD)
        self._pool = concurrent.futures.ThreadPoolExecutor(self.n_threads, thread_name_prefix="sltrees")
        return self

    def __exit__(self, *exception):
        # without waiting: only a call abandoned by `run` can still be going
        self._pool.shutdown(wait=False, cancel_futures=True)
        return self._exit.__exit__(*exception)

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
        futures = [self._pool.submit(function, block) for block in blocks]
        results = []
        try:
            for done, future in enumerate(futures):
                results.append(future.result())
                if progress is not None:
                    progress(done + 1, len(futures))
        except BaseException:
            for future in futures:
                future.cancel()
            _wait_stubbornly(futures)
            raise
        return results

    def run_all(self, function, blocks):
        """Apply a function to each block, as `map` does; after Ctrl-C calls are left to end by themselves.

        For long calls that write to nothing outside.
        """
        futures = [self._pool.submit(function, block) for block in blocks]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def run(self, function, *arguments):
        """Call one function off the main thread, and return its result.

        For long calls that write to nothing outside (a factorisation): after Ctrl-C the call is left to end by itself.
        """
        return self._pool.submit(function, *arguments).result()

    def place(self, here, *arguments):
        """Have neurons made ready where this executor trains them, which is in this process: here(self, *arguments)."""
        return here(self, *arguments)


class InlineExecutor:
    """The interface of `ThreadExecutor`, in the calling thread: to debug, to profile, and where threads are unwelcome.

    Ctrl-C is heeded between blocks, never inside one: a block cut short could leave half a change behind.

    Examples
    --------
    >>> with InlineExecutor() as executor:
    ...     executor.map(lambda block: block * block, range(4))
    [0, 1, 4, 9]
    """

    n_threads = 1
    cluster = None

    def __enter__(self):
        _BLAS_HOLD.__enter__()
        return self

    def __exit__(self, *exception):
        return _BLAS_HOLD.__exit__(*exception)

    def map(self, function, blocks, progress=None):
        """Apply a function to each block and return the results in order; see `ThreadExecutor.map`."""
        blocks, results = list(blocks), []
        for block in blocks:
            with _interruptions_deferred():
                results.append(function(block))
            if progress is not None:
                progress(len(results), len(blocks))
        return results

    def run(self, function, *arguments):
        """Call one function, and return its result."""
        return function(*arguments)

    def place(self, here, *arguments):
        """Have neurons made ready where this executor trains them, which is in this process: here(self, *arguments)."""
        return here(self, *arguments)


LOCAL_EXECUTORS = ("threads", "inline")
EXECUTORS = (*LOCAL_EXECUTORS, "dask")


class ClusterLostError(RuntimeError):
    """A cluster is not there, or does not answer any more, or its workers cannot hold what they are given."""


def as_executor(value, name="executor"):
    """One of `EXECUTORS`, or an executor of a cluster.

    Parameters
    ----------
    value : str or DaskExecutor
    name : str

    Returns
    -------
    str or DaskExecutor

    Raises
    ------
    ValueError
        If it is neither.

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> as_executor("inline")
    'inline'
    """
    return value if getattr(value, "cluster", None) is not None else as_choice(value, name, EXECUTORS)


def make_executor(name, n_threads=None):
    """The executor of a name; one that is given is itself.

    Parameters
    ----------
    name : {"threads", "inline", "dask"} or DaskExecutor
        "dask" starts a cluster of processes on this machine when it is opened.
    n_threads : int, optional
        Of "threads", and of this process with "dask".

    Returns
    -------
    ThreadExecutor, InlineExecutor or DaskExecutor

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> make_executor("threads", 2).n_threads, make_executor("inline").n_threads
    (2, 1)
    """
    if not isinstance(name, str):
        return name
    if name == "dask":
        from sltrees.cluster.dask.executor import DaskExecutor  # it needs this module, and an extra

        return DaskExecutor(n_threads=n_threads)
    return InlineExecutor() if name == "inline" else ThreadExecutor(n_threads)


@contextlib.contextmanager
def _interruptions_deferred():
    """Ctrl-C pressed inside takes effect at the end. Only the main thread ever receives it."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    pressed = []
    signal.signal(signal.SIGINT, lambda *arguments: pressed.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if pressed:
        handler(*pressed[0])


def _wait_stubbornly(futures):
    """Wait for calls that write, also through further Ctrl-C: each is short, and leaving one behind corrupts state."""
    while True:
        try:
            concurrent.futures.wait(futures)
            return
        except KeyboardInterrupt:
            continue


def default_threads() -> int:
    """Processors available to this process."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        return os.cpu_count() or 1
