"""A file that takes another's place in one instant."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat

from sltrees.files.errors import ArchiveError


@contextlib.contextmanager
def replacing(path):
    """A new file, open to be written, that takes the place of the one at `path` when the block ends without error."""
    before = None
    with contextlib.suppress(FileNotFoundError):
        before = os.stat(path)
    if before is not None and stat.S_ISDIR(before.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if before is not None and not stat.S_ISREG(before.st_mode):
        raise ArchiveError(f"{path} is not a regular file: it is not replaced")
    directory, name = os.path.split(path)
    # a name may have 255 bytes
    beginning = os.fsdecode(os.fsencode(name)[:200])
    temporary = os.path.join(directory, f".{beginning}.{secrets.token_hex(8)}.tmp")
    try:
        # what replaces a file is open to others once its permissions are those of the file, and never before
        mode = 0o666 if before is None else 0o600
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    except OSError as error:
        error.filename = path  # the name that the caller knows
        raise
    try:
        with open(descriptor, "w+b") as file:
            if before is not None:
                os.chmod(temporary, stat.S_IMODE(before.st_mode) & 0o777)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _synchronise_directory(directory)


def _synchronise_directory(path):
    """See to it that a renamed file is found under its new name after a power failure, where the system can."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # it may be written to and not be read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that have no such thing
            raise
    finally:
        os.close(descriptor)
