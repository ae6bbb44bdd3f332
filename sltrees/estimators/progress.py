"""How far a long fit is: a line for each stage, and at most one a second."""

from __future__ import annotations

import time

_EVERY = 1.0  # seconds


class Progress:
    """Prints stage, share and the seconds that are left of it.

    Parameters
    ----------
    write : callable, default print
        Called with each line.
    clock : callable, optional
        Seconds; by default those of a monotonic clock.

    Examples
    --------
    >>> seconds = iter([0.0, 2.0])
    >>> progress = Progress(clock=lambda: next(seconds))
    >>> progress("block 1 of centres", 0, 10)
    block 1 of centres: begun
    >>> progress("block 1 of centres", 5, 10)
    block 1 of centres: 50%, 2 s left
    """

    def __init__(self, write=print, clock=time.monotonic):
        self._write, self._clock = write, clock
        self._stage, self._began, self._told = None, 0.0, 0.0

    def __call__(self, stage, done, total):
        """Say how far a stage is, if that was not said within the last second. Cost: O(1)."""
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began, self._told = stage, now, now
            self._write(f"{stage}: begun")
        elif now - self._told >= _EVERY and done and total:
            self._told = now
            left = (now - self._began) * (total - done) / done
            self._write(f"{stage}: {done / total:.0%}, {left:.0f} s left")
