"""What one process of a cluster holds of networks, and does when it is told to.

A `ShardHost` lives in a worker process. It holds *portions* of networks: some of the shards of one, where they stand.
How a portion came to be is told by a *recipe*, a list of instructions that is the same for all portions of a network:
drawn from its seeds for these samples, lists built, this step taken, and that. Whatever process follows the recipe for
a portion holds the same numbers, bit for bit; so a portion that was lost with its process is made again elsewhere.

Nothing here knows of networks between machines: an executor of a cluster calls the methods.
"""

from __future__ import annotations

import threading
import weakref

import numpy as np

from sltrees.cluster.arithmetic import describe_arithmetic
from sltrees.cluster.holding import Holding
from sltrees.cluster.messages import Deposited, NotHeldError, StoppedError
from sltrees.execution.threads import ThreadExecutor


class _StoppableExecutor(ThreadExecutor):
    """Threads that can be told to begin nothing more of a call, and say how far they are."""

    def __init__(self, n_threads):
        super().__init__(n_threads)
        self._lock = threading.Lock()
        self._call, self._stopped = 0, set()  # numbers of calls
        self.done = 0  # blocks of the call

    def begin(self, call):
        """What follows is for a call; 0: one that nobody can stop."""
        with self._lock:
            self._call, self.done = call, 0

    def stop(self, call):
        """Begin nothing more of this call, which may not have begun."""
        with self._lock:
            self._stopped.add(call)

    def map(self, function, blocks, progress=None):
        """As that of `ThreadExecutor`; StoppedError if the call is stopped."""

        def guarded(block):
            with self._lock:
                if self._call in self._stopped:
                    raise StoppedError("the call was stopped")
            result = function(block)
            with self._lock:
                self.done += 1
            return result

        return super().map(guarded, blocks, progress)


class ShardHost:
    """Holds portions of networks in this process. One thread calls `run`; `stop` and `progress` may come meanwhile.

    Parameters
    ----------
    n_threads : int
    """

    def __init__(self, n_threads):
        self._executor = _StoppableExecutor(n_threads)
        self._executor.__enter__()  # for as long as it lives
        weakref.finalize(self, self._executor.__exit__, None, None, None)  # or BLAS would keep to one thread
        self._holdings = {}  # by key
        self._samples = weakref.WeakValueDictionary()  # by fingerprint; holdings keep them
        self._deposits = {}  # samples that nobody has taken yet, by fingerprint
        self._taken = []  # samples that portions are being made with: others may follow that want them, too

    async def describe(self):
        """What must be the same in all processes of a cluster: dict. Does not wait for what others have actors do.

        Cost: some 10^6 multiplications.
        """
        return describe_arithmetic()

    def deposit(self, call, X, fingerprint):
        """Take samples that a recipe will name. Cost: O(n d)."""
        self._executor.begin(call)
        self._deposits[fingerprint] = np.array(X, order="C")  # its own memory, which views keep

    def run(self, call, key, what, arguments):
        """Ask a holding.

        Parameters
        ----------
        call : int
            Its number, by which it can be stopped; 0 if it must not be.
        key : hashable
            Of the holding.
        what : str
            A method of `Holding`.
        arguments : tuple

        Raises
        ------
        NotHeldError
            If there is no such holding, or samples named in the arguments are not here.
        StoppedError
            If the call was stopped.
        """
        self._executor.begin(call)
        self._taken.clear()
        return getattr(self._holding(key), what)(*self._with_samples(arguments))

    def make(self, call, key, source, portion, recipe):
        """Follow a recipe, or go on with one, and hold what comes out.

        Parameters
        ----------
        call : int
        key : hashable
            Of the holding that is made, or goes on.
        source : ShiftedReLUNetwork or hashable
            A network without neurons, to begin with; or the key of a holding that is there.
        portion : Portion
        recipe : list of (str, tuple)
            Methods of `Holding` with their arguments.

        Returns
        -------
        Summary
        """
        self._executor.begin(call)
        is_key = isinstance(source, tuple)
        holding = self._holding(source) if is_key else Holding(source, portion, None, self._executor)
        for what, arguments in recipe:
            holding = getattr(holding, what)(*self._with_samples(arguments)) or holding
        self._holdings[key] = holding
        return holding.summary()

    def forget(self, key):
        """Let a holding go."""
        self._holdings.pop(key, None)

    async def stop(self, call):
        """Begin nothing more of this call. Does not wait."""
        self._executor.stop(call)

    async def progress(self):
        """Blocks of the present call that are done."""
        return self._executor.done

    def _holding(self, key):
        if key not in self._holdings:
            raise NotHeldError(f"{key} is not here")
        return self._holdings[key]

    def _with_samples(self, arguments):
        return tuple(self._take(a) if isinstance(a, Deposited) else a for a in arguments)

    def _take(self, samples):
        fingerprint = samples.fingerprint
        X = self._deposits.pop(fingerprint, None)
        if X is None:
            X = self._samples.get(fingerprint)
        if X is None:
            raise NotHeldError(f"samples {fingerprint[:8]} are not here")
        self._samples[fingerprint] = X
        self._taken.append(X)
        return X
