"""Files of arrays and a JSON header: NumPy archives without pickle, versioned, checksummed, written atomically.

A file is a zip archive that `numpy.load(path, allow_pickle=False)` reads: a member "name.npy" for each array, stored
uncompressed, then "sltrees.json", the *document*, and a comment, the *mark*::

    {"kind": "network", "header": {...}, "arrays": [["name", "<f4", [3, 4], "SHA-256 of the member name.npy"], ...]}
    sltrees.json at (offset) of (length) bytes sha256 (of the document) sltrees archive (version)

Nothing in such a file is left to choice: document and data decide every byte. The reader knows where all begins and
ends before it allocates anything, works out what the zip archive around the data must be, and compares. So whatever
byte is changed, added or lost, either that is found or the values are what they were. A file of any version ends with
"sltrees archive " and eight digits.

What the header may hold, and how JSON says it, is in `sltrees.files.header`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import re
import stat
import typing
import zlib

import numpy as np

from sltrees._memory import check_memory
from sltrees.files.arrays import chunks_of, chunks_to_fill, has_values, npy_head, parsed_entry, writable_dtype
from sltrees.files.errors import ArchiveError, cut
from sltrees.files.header import encoded, from_json, to_json
from sltrees.files.replacing import replacing
from sltrees.files.zip_layout import Member, complete, ending

__all__ = ["Archive", "ArchiveError", "read_archive", "write_archive"]

VERSION = 1
DOCUMENT = "sltrees.json"
MAX_DOCUMENT_BYTES = 1 << 24  # parsed JSON takes up to some 25 times as much memory

_KIND = re.compile(r"[a-z][a-z0-9_-]{0,63}")

_MARK = re.compile(rb"sltrees\.json at (\d{20}) of (\d{20}) bytes sha256 ([0-9a-f]{64}) sltrees archive (\d{8})")
_MARK_BYTES = 163
_LAST_WORDS = re.compile(rb"sltrees archive (\d{8})")
_LAST_WORDS_BYTES = 24


class Archive(typing.NamedTuple):
    """What a file holds."""

    kind: str
    header: dict
    arrays: dict[str, np.ndarray]
    version: int  # of the format


def write_archive(path, kind, header, arrays):
    """Write arrays and a header to a file, which takes the place of the one that was there in one instant.

    Parameters
    ----------
    path : str or os.PathLike
        Nothing is appended to the name. A link is followed.
    kind : str
        What the file holds, such as "network": lower-case letters, digits, "-" and "_".
    header : dict
        Of None, bool, str, int, float, and lists (or tuples, which come back as lists) and dicts with str keys of them.
        Floats come back bit for bit, NaN and infinities included; integers may be of any size. Keys must not begin with
        "$".
    arrays : dict of str to ndarray
        bool, integers, float32, float64 or str ("<U"), of any shape. Names are parts of letters, digits, "_", "-" and
        ".", joined by "/", and do not end with ".npy".

    Raises
    ------
    TypeError, ValueError
        If kind, header or arrays break these rules.
    ArchiveError
        If there is something at `path` that is no regular file.
    OSError
        If the file cannot be written. What was there before is untouched after any of these.

    Notes
    -----
    The data go to a temporary file beside `path`, and to the disk, before it is renamed: whoever reads `path`, and
    whenever the process is killed, finds the old file or the new one, whole. (A process that is killed may leave the
    temporary file, ".(name).(random).tmp".) A new file has the permissions that any new file has, one that replaces
    another has those of the other. Equal content gives equal bytes.

    Cost: O(bytes), each written and hashed once; memory: a chunk.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/example.npz"
    >>> write_archive(path, "example", {"answer": 42}, {"x/values": np.arange(3.0)})
    >>> read_archive(path).header
    {'answer': 42}
    >>> np.load(path, allow_pickle=False)["x/values"]
    array([0., 1., 2.])
    """
    _check_kind(kind)
    if not isinstance(header, dict):
        raise TypeError(f"header must be a dict, got {type(header).__name__}")
    if not isinstance(arrays, dict):
        raise TypeError(f"arrays must be a dict, got {type(arrays).__name__}")
    header = encoded(header, "header")
    dtypes = {name: writable_dtype(name, array) for name, array in arrays.items()}
    table = [[name, dtypes[name].str, list(array.shape), "0" * 64] for name, array in arrays.items()]
    _dumped(kind, header, table)  # too large a header is refused before anything is written
    path = os.path.realpath(os.fsdecode(os.fspath(path)))
    with replacing(path) as file:
        members = []
        for entry, (name, array) in zip(table, arrays.items(), strict=True):
            head = npy_head(dtypes[name], array.shape)
            sha, crc = hashlib.sha256(head), zlib.crc32(head)
            member = Member(f"{name}.npy", file.tell(), len(head) + array.size * dtypes[name].itemsize)
            file.write(member.local_header() + head)
            for chunk in chunks_of(array, dtypes[name]):
                sha.update(chunk)
                crc = zlib.crc32(chunk, crc)
                file.write(chunk)
            members.append(complete(file, member, crc))
            entry[-1] = sha.hexdigest()
        document = _dumped(kind, header, table)
        member = Member(DOCUMENT, file.tell(), len(document))
        file.write(member.local_header() + document)
        members.append(complete(file, member, zlib.crc32(document)))
        mark = _mark(member.content_offset, document)
        file.write(ending(members, file.tell(), mark))


def read_archive(path, kind=None):
    """Read a file of `write_archive`, and believe nothing of it that was not verified.

    Parameters
    ----------
    path : str or os.PathLike
    kind : str, optional
        What the file must hold; by default anything.

    Returns
    -------
    Archive
        kind, header and arrays, exactly as they were written, and the version of the format.

    Raises
    ------
    ArchiveError
        If the file is foreign, damaged, of a newer version or of another kind; the message says which.
    OSError
        If there is no such file, or it cannot be read.
    MemoryError
        If the machine has no room for the arrays; nothing was allocated.
    ValueError
        If `kind` is none that a file can be of.

    Notes
    -----
    No pickle is ever read, nothing is evaluated or decompressed, and no more is allocated than the file has bytes.
    Checksums find damage, not malice: whoever can write the file can also write checksums. What is inside may still
    be nonsense, but is nothing else than arrays and a header. Cost: O(bytes), each read and hashed once.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/example.npz"
    >>> write_archive(path, "example", {}, {"x": np.arange(3)})
    >>> read_archive(path, kind="example").arrays["x"]
    array([0, 1, 2])
    >>> read_archive(path, kind="network")
    Traceback (most recent call last):
        ...
    sltrees.files.errors.ArchiveError: ...example.npz holds an 'example', not a 'network'
    """
    if kind is not None:
        _check_kind(kind)
    path = os.fsdecode(os.fspath(path))
    with _opened(path) as file:
        try:
            return _read(file, os.fstat(file.fileno()).st_size, kind)
        except ArchiveError as error:
            raise ArchiveError(f"{path} {error}") from None


def _check_kind(kind):
    """ValueError if this is no kind that a file can be of."""
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise ValueError(f"kind must be lower-case letters, digits, '-' and '_', got {kind!r}")


# ---------------------------------------------------------------------- reading


def _read(file, size, kind=None):
    """The archive in an open file of `size` bytes; ArchiveError says what is wrong, as a predicate of the file."""
    mark = _read_mark(file, size)
    offset, length, checksum = int(mark[1]), int(mark[2]), mark[3].decode()
    if length > MAX_DOCUMENT_BYTES or offset + length > size:
        raise ArchiveError("is damaged: its end does not say where its header is")
    file.seek(offset)
    document = _exactly(file, length)
    if hashlib.sha256(document).hexdigest() != checksum:
        raise ArchiveError("is damaged: its header does not match its checksum")
    found, header, table = _parsed(document)
    if kind is not None and found != kind:
        raise ArchiveError(f"holds {_a(found)}, not {_a(kind)}")

    heads, members, begin = [], [], 0
    for entry in table:
        heads.append(npy_head(entry.dtype, entry.shape))
        n_bytes = len(heads[-1]) + math.prod(entry.shape) * entry.dtype.itemsize
        members.append(Member(f"{entry.name}.npy", begin, n_bytes))
        begin = members[-1].stop
    last = Member(DOCUMENT, begin, length, zlib.crc32(document))
    ending_bytes = len(ending([*members, last], last.stop, mark[0]))
    if last.content_offset != offset or last.stop + ending_bytes != size:
        raise ArchiveError("is damaged: it has not the size that its header says")
    n_bytes = sum(member.size for member in members)
    check_memory(n_bytes, None, "reading its arrays", "read it on a machine that has more")

    arrays = {}
    file.seek(0)
    for k, (entry, head) in enumerate(zip(table, heads, strict=True)):
        arrays[entry.name], members[k] = _read_array(file, entry, head, members[k])
    if _exactly(file, last.content_offset - last.offset) != last.local_header():
        raise ArchiveError("is damaged: the zip entry of its header is not as it was written")
    file.seek(last.stop)
    if _exactly(file, ending_bytes) != ending([*members, last], last.stop, mark[0]):
        raise ArchiveError("is damaged: its zip directory is not as it was written")
    return Archive(found, header, arrays, int(mark[4]))


def _read_array(file, entry, head, member):
    """The array that comes next in a file, and its member with the checksum of what was read.

    `head` is what must precede its data, `member` what must hold both.
    """
    local_header = _exactly(file, member.content_offset - member.offset)
    array = np.empty(entry.shape, entry.dtype)
    stored_head = _exactly(file, len(head))
    sha, crc = hashlib.sha256(stored_head), zlib.crc32(stored_head)
    for chunk in chunks_to_fill(array):
        _fill(file, chunk)
        sha.update(chunk)
        crc = zlib.crc32(chunk, crc)
    if sha.hexdigest() != entry.checksum or stored_head != head:
        raise ArchiveError(f"is damaged: array {entry.name!r} does not match its checksum")
    member = member._replace(crc=crc)
    if local_header != member.local_header():
        raise ArchiveError(f"is damaged: the zip entry of array {entry.name!r} is not as it was written")
    if not has_values(array):
        kind = "bool" if entry.dtype.kind == "b" else "text"
        raise ArchiveError(f"is damaged: array {entry.name!r} holds what is no {kind}")
    return array.astype(entry.dtype.newbyteorder("="), copy=False), member


def _read_mark(file, size):
    """The mark at the end of a file: a match of _MARK."""
    file.seek(0)
    begins = file.read(4)
    file.seek(max(0, size - _MARK_BYTES))
    end = file.read(_MARK_BYTES)
    words = _LAST_WORDS.fullmatch(end[-_LAST_WORDS_BYTES:])
    if words and int(words[1]) > VERSION:
        raise ArchiveError(
            f"was written by a newer version (format {int(words[1])}, this version reads up to {VERSION})"
        )
    mark = _MARK.fullmatch(end)
    if begins != b"PK\3\4" and not mark:
        raise ArchiveError("is not an sltrees file" + ("" if size else ": it is empty"))
    if not mark or int(mark[4]) != VERSION:
        raise ArchiveError("is not an sltrees file, or the end of it is damaged or cut off")
    return mark


def _parsed(document):
    """Kind, header and list of arrays; ArchiveError if they break the rules."""
    try:
        content = from_json(document)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"is damaged: its header is not the JSON that it should be: {cut(error)}") from None
    if not isinstance(content, dict) or list(content) != ["kind", "header", "arrays"]:
        raise ArchiveError("is damaged: its header has not the entries 'kind', 'header' and 'arrays'")
    kind, header, entries = content.values()
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise ArchiveError("is damaged: its header names no kind")
    if not isinstance(header, dict) or not isinstance(entries, list):
        raise ArchiveError("is damaged: its header has not a dict and a list where they should be")
    table = [parsed_entry(entry) for entry in entries]
    if len({entry.name for entry in table}) < len(table):
        raise ArchiveError("is damaged: its header lists an array twice")
    return kind, header, table


def _dumped(kind, header, table):
    """The document, of an encoded header."""
    document = to_json({"kind": kind, "header": header, "arrays": table})
    if len(document) > MAX_DOCUMENT_BYTES:
        raise ValueError(
            f"header and list of arrays must take at most {MAX_DOCUMENT_BYTES:,} bytes of JSON, got {len(document):,}; "
            "make arrays of what is long"
        )
    return document


def _mark(offset, document):
    checksum = hashlib.sha256(document).hexdigest()
    text = f"{DOCUMENT} at {offset:020d} of {len(document):020d} bytes sha256 {checksum} sltrees archive {VERSION:08d}"
    return text.encode("ascii")


def _fill(file, buffer):
    """Read bytes until a buffer is full."""
    while len(buffer):
        count = file.readinto(buffer)
        if not count:
            raise ArchiveError("is damaged: it ends too early")
        buffer = buffer[count:]


def _exactly(file, count):
    content = bytearray(count)
    _fill(file, memoryview(content))
    return bytes(content)


@contextlib.contextmanager
def _opened(path):
    """A regular file, opened to be read; nothing else is waited for."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with contextlib.ExitStack() as until_opened:
        until_opened.callback(os.close, descriptor)
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(mode):
            raise ArchiveError(f"{path} is not an sltrees file: it is not a regular file")
        until_opened.pop_all()
    with open(descriptor, "rb") as file:
        yield file


def _a(kind):
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind!r}"
