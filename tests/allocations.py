"""Memory that runs out in NumPy: the first, the second, ... array that a function makes is refused.

Every array counts, whoever makes it: NumPy asks the handler of its data memory (NEP 49), and here that is one which
refuses.
"""

import contextlib
import ctypes

import numpy as np


class _Allocator(ctypes.Structure):
    """PyDataMemAllocator of NumPy."""

    MALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    CALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
    REALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    _fields_ = [
        ("context", ctypes.c_void_p),
        ("malloc", MALLOC),
        ("calloc", CALLOC),
        ("realloc", REALLOC),
        ("free", ctypes.c_void_p),
    ]


class _Handler(ctypes.Structure):
    """PyDataMem_Handler of NumPy."""

    _fields_ = [("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("allocator", _Allocator)]


def _function(number, *types):
    """A function of NumPy's interface for C, by its place there, which no version changes."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(pointer(np._core._multiarray_umath._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
    return ctypes.PYFUNCTYPE(ctypes.py_object, *types)(table[number])


_set_handler, _get_handler = _function(304, ctypes.py_object), _function(305)


def _with_gil(function):
    """A function of NumPy that is called with the GIL held: what zeroes memory gives it up itself."""
    address = ctypes.cast(function, ctypes.c_void_p).value
    return ctypes.PYFUNCTYPE(function.restype, *function.argtypes)(address)


class _Refusing:
    """NumPy's own handler, but that the allocation of a given number fails."""

    def __init__(self):
        self.seen = self.refused = 0
        self.before = None  # NumPy's handler, while this one is in its place
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        own = ctypes.cast(pointer(_get_handler(), b"mem_handler"), ctypes.POINTER(_Handler)).contents.allocator
        malloc, calloc, realloc = map(_with_gil, (own.malloc, own.calloc, own.realloc))
        # what is made with this handler may be freed at any time: that is NumPy's own function, with nothing of Python
        self.handler = _Handler(
            b"refusing",
            1,
            _Allocator(
                own.context,
                _Allocator.MALLOC(lambda context, size: None if self.refuses() else malloc(context, size)),
                _Allocator.CALLOC(lambda context, n, size: None if self.refuses() else calloc(context, n, size)),
                _Allocator.REALLOC(lambda context, p, size: None if self.refuses() else realloc(context, p, size)),
                own.free,
            ),
        )
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        self.capsule = new(ctypes.addressof(self.handler), b"mem_handler", None)

    def refuses(self):
        self.seen += 1
        if self.seen != self.refused:
            return False
        _set_handler(self.before)  # who cleans up asks for memory with the error set, when no Python may run
        return True


_REFUSING = _Refusing()  # arrays that outlive a test know it, so it is never thrown away


@contextlib.contextmanager
def refusing(number):
    """Let the allocation of this number (1 is the first) fail; yields what counts them, in `seen`."""
    _REFUSING.seen, _REFUSING.refused = 0, number
    _REFUSING.before = _set_handler(_REFUSING.capsule)
    try:
        yield _REFUSING
    finally:
        _set_handler(_REFUSING.before)


def fail_each(make, act, check):
    """Do something to a new subject again and again, with another allocation refused each time, until none is.

    Parameters
    ----------
    make : callable
        Makes the subject.
    act : callable
        Takes the subject; its first MemoryError must leave it as it was.
    check : callable
        Takes the subject, after each failure.

    Returns
    -------
    int
        How many allocations were refused.
    """
    for number in range(1, 2000):
        subject = make()
        with refusing(number) as allocations:
            try:
                act(subject)
                failed = False
            except MemoryError:
                failed = True
            seen = allocations.seen
        if not failed and seen < number:
            return number - 1
        if failed:
            check(subject)
    raise AssertionError("more allocations than any method of a tree or of rows needs")
