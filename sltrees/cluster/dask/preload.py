"""What worker processes of a cluster that was started here do when they start: see the option `preload` of Dask."""

from __future__ import annotations

import signal

import sltrees.cluster.host  # noqa: F401  (modules are there when the first call comes)


def dask_setup(worker):
    """Leave Ctrl-C to the process that started the worker: a terminal sends it to all, and this one holds neurons."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
