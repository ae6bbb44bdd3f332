"""Running the blocks of a network on a pool of threads."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os

from sltrees._validation import as_integer
from sltrees.execution.blas import BLAS_HOLD


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
        self._exit.enter_context(BLAS_HOLD)
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

    def place(self, here, network, planes, skin, ridge, progress):
        """Have the neurons of a network where this executor trains them: in this process, by calling `here`."""
        return here(self, network, planes, skin, ridge, progress)


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
