"""What the tests of executor "dask" share."""

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
