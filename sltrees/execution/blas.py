"""BLAS held to one thread, for as long as anybody needs it."""

from __future__ import annotations

import threading

from threadpoolctl import ThreadpoolController


class BlasHold:
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
                        set_threads(library, 1)
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
            set_threads(library, n_threads)


def set_threads(library, n_threads):
    """Set the number of threads of a library of threadpoolctl, from whatever thread this is called.

    threadpoolctl 3.8 lets one thread alone set that of OpenBLAS, which is the process's, and leaves out without a word
    what others ask for. Here holders are counted, so that threads do not fight; and a library that is not held
    would make results depend on its threads.
    """
    library.set_num_threads(n_threads)
    if library.num_threads != n_threads and hasattr(library, "_real_set_num_threads"):
        library._real_set_num_threads(n_threads)


BLAS_HOLD = BlasHold()
