"""How much memory there is, and a clear refusal before it runs out."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

import numpy as np

_CGROUP_LIMIT_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def physical_memory() -> float:
    """Bytes of memory this process may use: of the machine or its control group; inf where neither is known."""
    limit = float("inf")
    with contextlib.suppress(AttributeError, OSError, ValueError):  # not on every platform
        limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in _CGROUP_LIMIT_FILES:
        with contextlib.suppress(OSError, ValueError):  # no control group, or "max"
            limit = min(limit, int(Path(name).read_text()))
    return limit


def peak_rss_bytes():
    """Peak resident memory of this process; None where the platform does not tell."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def check_memory(needed, max_memory, what, advice, whose="max_memory allows"):
    """Refuse work that needs more memory than allowed, before anything is allocated.

    Parameters
    ----------
    needed : float
        Bytes.
    max_memory : float or None
        Bytes allowed; None means all of the machine's.
    what, advice : str
        What needs the memory, and what to change.
    whose : str
        How the message begins to tell of a limit that is not the machine's.

    Raises
    ------
    MemoryError
        If `needed` exceeds the limit. The message gives both.
    """
    limit = physical_memory() if max_memory is None else max_memory
    if needed > limit:
        whose = "this machine has" if max_memory is None else whose
        raise MemoryError(f"{what} needs {needed:,.0f} bytes, {whose} {limit:,.0f}; {advice}")


def array_bytes(*shape, dtype) -> int:
    """Bytes of an array, without making it."""
    return int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize


def return_freed_memory():
    """Give memory that was freed back to the system, where the C library keeps it in case it is asked for again.

    glibc does, in each thread's pool: at a billion neurons some 10% of all memory. Elsewhere this does nothing.
    Cost: O(freed blocks).
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
