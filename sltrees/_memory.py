"""How much memory there is, and a clear refusal before it runs out."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path, PurePosixPath

import numpy as np

_NO_LIMIT = 2.0**62  # of version 1, which has a number for that
_ROOT = Path("/")  # where /proc and /sys are; another one in tests


def physical_memory() -> float:
    """Bytes of memory this process may use: of the machine or its control groups; inf where neither is known."""
    return min([_of_system("SC_PHYS_PAGES"), *(limit for limit, _ in _control_groups())])


def available_memory() -> float:
    """Bytes of `physical_memory` that nobody uses yet; inf where nothing is known of them.

    What the kernel gives back as soon as it is asked, such as copies of files, counts as unused. Cost: some files are
    read, a tenth of a millisecond.
    """
    try:
        (line,) = (line for line in _lines("proc/meminfo") if line.startswith("MemAvailable:"))
        free = 1024.0 * int(line.split()[1])
    except (OSError, ValueError):  # not Linux
        free = _of_system("SC_AVPHYS_PAGES")
    unused = (max(limit - used, 0.0) for limit, used in _control_groups())  # none above its limit
    return min([_of_system("SC_PHYS_PAGES"), free, *unused])


def _of_system(pages):
    """Bytes of pages that the system counts; inf where it does not."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # not on every platform
        counted = os.sysconf(pages)
        if counted >= 0:
            return float(counted * os.sysconf("SC_PAGE_SIZE"))
    return float("inf")


def _control_groups():
    """Limit and use, in bytes, of each control group of memory that this process is in: version 2, and version 1."""
    with contextlib.suppress(OSError, ValueError):
        for line in _lines("proc/self/cgroup"):
            number, controllers, path = line.split(":", 2)
            if number == "0" and not controllers:
                names, top = ("memory.max", "memory.current", "inactive_file"), "sys/fs/cgroup"
            elif "memory" in controllers.split(","):
                names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
                top = "sys/fs/cgroup/memory"
            else:
                continue
            inner = PurePosixPath(path.strip("/"))
            for group in inner, *inner.parents:  # in a container only the outermost may be there
                with contextlib.suppress(OSError, ValueError):  # no such group, or no limit: "max"
                    yield _limit_and_use(_ROOT / top / group, *names)


def _limit_and_use(group, limit, use, cached):
    most, used = float(int(_text(f"{group}/{limit}"))), 0.0
    if most > _NO_LIMIT:
        return most, 0.0
    with contextlib.suppress(OSError, ValueError):
        used = float(int(_text(f"{group}/{use}")))
        statistics = dict(line.split() for line in _text(f"{group}/memory.stat").splitlines())
        used -= int(statistics.get(cached, 0))
    return most, max(used, 0.0)


def _lines(name):
    return _text(f"{_ROOT}/{name}").splitlines()


def _text(path):
    """What a file holds, a line at least at a time: several times quicker than `Path.read_text`."""
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def peak_rss_bytes():
    """Peak resident memory of this process; None where the platform does not tell."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def check_memory(needed, max_memory, what, advice, whose="max_memory allows", *, held=0.0):
    """Refuse work that needs more memory than allowed, before anything is allocated.

    Parameters
    ----------
    needed : float
        Bytes.
    max_memory : float or None
        Bytes allowed; None means what is available, see `available_memory`.
    what, advice : str
        What needs the memory, and what to change.
    whose : str
        How the message begins to tell of a limit that is not the machine's.
    held : float
        Bytes of `needed` that are allocated already.

    Raises
    ------
    MemoryError
        If `needed` exceeds the limit. The message gives both.
    """
    limit = available_memory() + held if max_memory is None else max_memory
    if needed > limit:
        whose = "what this machine has available is" if max_memory is None else whose
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
