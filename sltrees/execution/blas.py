"""BLAS held to one thread, for as long as anybody needs it."""

from __future__ import annotations

import os
import sys
import threading
import weakref

from threadpoolctl import ThreadpoolController

# The limit is one of the process, so those who need it are listed. Weakly: a hold that nobody gave back is none once
# it is gone, however it went.
_LOCK = threading.RLock()  # collecting one while this thread has the lock must not wait for it
_HOLDS = []
_BEFORE = []  # (library, its number of threads), while BLAS is limited
_LIBRARIES = [0, []]  # how many modules were imported when they were looked for, and what was found


class BlasHold:
    """A need of BLAS on one thread, from `begin` to `release`, or for as long as the object lives.

    It is made and stored where it will be released before `begin` is called: then Ctrl-C can fall anywhere.

    Examples
    --------
    >>> hold = BlasHold()
    >>> hold.begin()
    >>> hold.is_on, n_holders() > 0
    (True, True)
    >>> hold.release()
    """

    is_on = False
    thread = None

    def begin(self):
        """Hold BLAS to one thread."""
        with _LOCK:
            self.is_on, self.thread = True, threading.get_ident()
            _HOLDS.append(weakref.ref(self))
            if not _BEFORE:
                _BEFORE.extend([(library, library.num_threads) for library in _libraries()])
            for library, _ in _BEFORE:  # also where another has begun, whom Ctrl-C may have cut off
                set_threads(library, 1)

    def release(self):
        """Need it no longer. May be called again: what an interruption cut off is then done."""
        with _LOCK:
            _HOLDS[:] = [ref for ref in _HOLDS if ref() not in (None, self)]
            if not _HOLDS:
                for library, n_threads in _BEFORE:
                    set_threads(library, n_threads)
                _BEFORE.clear()
            self.is_on = False  # last: until then, whoever collects it does all that again

    def __del__(self):
        if self.is_on:
            self.release()


def _after_fork():
    """Let go of what other threads held: in a process that was forked they are not."""
    global _LOCK
    _LOCK = threading.RLock()  # one of them may have had it
    here = threading.get_ident()
    holds = [(ref, ref()) for ref in _HOLDS]
    _HOLDS[:] = [ref for ref, hold in holds if hold is not None and hold.thread == here]
    BlasHold().release()  # gives back what nobody holds now


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _libraries():
    """Those of BLAS in this process. To look for them takes some 4 ms, so it is done where modules were imported."""
    n_modules, libraries = _LIBRARIES
    if n_modules != len(sys.modules):
        n_modules = len(sys.modules)
        libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        _LIBRARIES[:] = n_modules, libraries
    return libraries


def n_holders():
    """How many need BLAS on one thread."""
    return sum(ref() is not None for ref in list(_HOLDS))


def set_threads(library, n_threads):
    """Set the number of threads of a library of threadpoolctl, from whatever thread this is called.

    threadpoolctl 3.8 lets one thread alone set that of OpenBLAS, which is the process's, and leaves out without a word
    what others ask for. Here holders are counted, so that threads do not fight; and a library that is not held
    would make results depend on its threads.
    """
    library.set_num_threads(n_threads)
    if library.num_threads != n_threads and hasattr(library, "_real_set_num_threads"):
        library._real_set_num_threads(n_threads)
