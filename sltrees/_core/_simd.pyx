"""Which instruction level the tree kernels run at, chosen once at import."""

import os

cdef extern from "simd/simd.h" nogil:
    enum:
        SL_SIMD_N_LEVELS

    ctypedef int (*sl_level_test)() noexcept nogil

    const char *sl_simd_name(int level)
    sl_level_test sl_simd_test(int level)

LEVELS = tuple(sl_simd_name(level).decode() for level in range(SL_SIMD_N_LEVELS))   # those of this build, slowest first

cdef int _active = 0


cdef int active_level() noexcept nogil:
    """The level that trees built from now on use."""
    return _active


def supported_levels():
    """Names of the levels that this processor and this build can run, slowest first."""
    return tuple(name for level, name in enumerate(LEVELS) if sl_simd_test(level)())


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
