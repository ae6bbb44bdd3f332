"""How far a long fit is: a line for each stage, and at most one a second; on a terminal they share a line."""

from __future__ import annotations

import sys
import time

_ENOUGH = 0.01  # of a stage, to tell what is left of it by: a first step of many digits tells nothing
_EVERY = 1.0  # seconds
_BAR = 20  # letters


class Progress:
    """Prints stage, share and the seconds that are left of it.

    Parameters
    ----------
    write : callable, optional
        Called with each line. By default they are printed; on a terminal each in place of the one before, with a bar.
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

    def __init__(self, write=None, clock=time.monotonic):
        self._write, self._clock = write or _show, clock
        self._stage, self._began, self._told = None, 0.0, 0.0

    def __call__(self, stage, done, total):
        """Say how far a stage is, if that was not said within the last second. Cost: O(1)."""
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began, self._told = stage, now, now
            self._write(f"{stage}: begun")
        elif now - self._told >= _EVERY and done and total:
            self._told = now
            line = f"{stage}: {done / total:.0%}"
            if done >= _ENOUGH * total:
                line += f", {(now - self._began) * (total - done) / done:.0f} s left"
            self._write(line)

    def end(self):
        """Leave the line of a terminal, if something stands there. Cost: O(1)."""
        if self._stage is not None and self._write is _show and sys.stdout.isatty():
            print()
        self._stage = None


def _show(line):
    """Print a line; on a terminal in place of the one before, and with a bar if it tells a share."""
    if not sys.stdout.isatty():
        print(line, flush=True)
        return
    share = line.rpartition(": ")[2].partition("%")
    done = round(_BAR * float(share[0]) / 100) if share[1] else 0
    print(f"\r[{'#' * done}{'.' * (_BAR - done)}] {line}\x1b[K", end="", flush=True)
