"""What the tests of executor "dask" share."""

import contextlib

import psutil
from problems import random_problem

from sltrees import ShiftedReLUNetwork

WIDTH = 2**18  # 8 units under dense sampling
PROBLEM = random_problem(0, 40, 6)


def network_of(width=WIDTH, sampling="dense", **options):
    """A network that several workers share."""
    return ShiftedReLUNetwork(width, random_state=0, sampling=sampling, **options)


def children():
    """Processes that this one has started, and those have, but for those of multiprocessing itself."""
    return [p for p in psutil.Process().children(recursive=True) if not is_tracker(p)]


def is_tracker(process):
    """Whether it is multiprocessing's tracker of resources, or has ended."""
    try:
        return "resource_tracker" in " ".join(process.cmdline()) or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


@contextlib.contextmanager
def local_cluster(**options):
    """A cluster on this machine whose workers come back however often they are killed.

    By default Dask gives up a worker that happens to be away 15 seconds after an earlier death.
    """
    import dask
    import distributed

    options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "memory_limit": "4GiB"} | options
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}), distributed.LocalCluster(**options) as made:
        yield made
