"""Running the blocks of a network in the calling thread."""

from __future__ import annotations

import contextlib
import signal
import threading

from sltrees.execution.blas import BlasHold


class InlineExecutor:
    """The interface of `ThreadExecutor`, in the calling thread: to debug, to profile, and where threads are unwelcome.

    `map` heeds Ctrl-C between blocks, never inside one: a block cut short could leave half a change behind.

    Examples
    --------
    >>> with InlineExecutor() as executor:
    ...     executor.map(lambda block: block * block, range(4))
    [0, 1, 4, 9]
    """

    n_threads = 1
    cluster = None

    def __init__(self):
        self._holds = []  # one for each time that it was opened

    def __enter__(self):
        hold = BlasHold()
        try:
            self._holds.append(hold)
            hold.begin()
        except BaseException:
            hold.release()
            raise
        return self

    def __exit__(self, *exception):
        hold = self._holds[-1]  # Ctrl-C in here, and what is not done yet ends with the executor
        try:
            hold.release()
        finally:
            hold.release()
            self._holds.remove(hold)

    def map(self, function, blocks, progress=None):
        """Apply a function to each block and return the results in order; see `ThreadExecutor.map`."""
        blocks, results = list(blocks), []
        for block in blocks:
            with _interruptions_deferred():
                results.append(function(block))
            if progress is not None:
                progress(len(results), len(blocks))
        return results

    def run_all(self, function, blocks):
        """Apply a function to each block and return the results in order; see `ThreadExecutor.run_all`.

        Ctrl-C is heeded inside a block, too: nothing outside is left half changed.
        """
        return [function(block) for block in blocks]

    def run(self, function, *arguments):
        """Call one function, and return its result; see `ThreadExecutor.run`."""
        return function(*arguments)

    def place(self, here, network, planes, skin, ridge, progress):
        """Have the neurons of a network where this executor trains them: in this process, by calling `here`."""
        return here(self, network, planes, skin, ridge, progress)


@contextlib.contextmanager
def _interruptions_deferred():
    """Ctrl-C pressed inside takes effect at the end. Only the main thread ever receives it."""
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if is_main else None
    if not callable(handler):
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
