"""Ctrl-C that libraries turn into other errors."""

from __future__ import annotations

# NumPy makes errors of what is raised while it compares, and concurrent.futures of what is raised while it submits
DISGUISES = (RuntimeError, TypeError, SystemError)


def interrupt_behind(error, handled=None):
    """The KeyboardInterrupt that an error is, or was made of by a library; None if it is another one.

    `handled` is what was being handled before the call that failed (``sys.exc_info()[1]``), which made nothing of it.
    Errors that are raised on purpose while one is handled say so, by `from`, or have types of their own.

    Examples
    --------
    >>> error = TypeError("'<' not supported")
    >>> error.__context__ = KeyboardInterrupt()
    >>> interrupt_behind(error), interrupt_behind(TypeError())
    (KeyboardInterrupt(), None)
    """
    while type(error) in DISGUISES and not error.__suppress_context__:
        error = error.__context__
    return error if isinstance(error, KeyboardInterrupt) and error is not handled else None
