"""Which instruction level the tree kernels run at, chosen once at import."""

import os

from sltrees._core._tree cimport sl_simd_supported

LEVELS = ("portable", "neon", "avx2", "avx512")     # in the order of the enum in simd/simd.h

cdef int _active = 0


cdef int active_level() noexcept nogil:
    """The level that trees built from now on use."""
    return _active


def supported_levels():
    """Names of the levels that this processor and this build can run, slowest first."""
    return tuple(name for level, name in enumerate(LEVELS) if sl_simd_supported(level))


def active_level_name():
    """Name of the level in use."""
    return LEVELS[_active]


def set_active_level(name):
    """Use another level for the trees built from now on. Existing trees keep theirs.

    Raises
    ------
    ValueError
        If the level is unknown, or this processor cannot run it.
    """
    global _active
    supported = supported_levels()
    if name not in supported:
        raise ValueError(f"SIMD level must be one of {', '.join(supported)} on this processor, got {name!r}")
    _active = LEVELS.index(name)


set_active_level(os.environ.get("SLTREES_SIMD") or max(supported_levels(), key=LEVELS.index))
