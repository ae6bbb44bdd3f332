"""Files of arrays and a JSON header: NumPy archives without pickle, versioned, checksummed, written atomically.

A file is a zip archive that `numpy.load(path, allow_pickle=False)` reads: a member "name.npy" for each array, stored
uncompressed, then "sltrees.json", the *document*, and a comment, the *mark*::

    {"kind": "network", "header": {...}, "arrays": [["name", "<f4", [3, 4], "SHA-256 of the member name.npy"], ...]}
    sltrees.json at (offset) of (length) bytes sha256 (of the document) sltrees archive (version)

Nothing in such a file is left to choice: document and data decide every byte. The reader knows where all begins and
ends before it allocates anything, works out what the zip archive around the data must be, and compares. So whatever
byte is changed, added or lost, either that is found or the values are what they were. A file of any version ends with
"sltrees archive " and eight digits.

The header may hold None, bool, str, int, float, and lists and dicts of them. Floats that JSON has no number for are
written as {"$float": "7ff8000000000000"} (their bits), integers of 64 bits and more as {"$int": "-1f"} (hexadecimal);
keys that begin with "$" are not for others.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import secrets
import stat
import struct
import typing
import zlib

import numpy as np

from sltrees._memory import check_memory
from sltrees.files.errors import ArchiveError

__all__ = ["Archive", "ArchiveError", "read_archive", "write_archive"]

VERSION = 1
DOCUMENT = "sltrees.json"
MAX_DOCUMENT_BYTES = 1 << 24  # parsed JSON takes up to some 25 times as much memory
MAX_DEPTH = 100  # of lists and dicts in each other
MAX_NDIM = 64  # of NumPy 2
MAX_ARRAY_BYTES = 2**63 - 1
MAX_ITEM_BYTES = 2**31 - 1
MAX_CODE_POINT = 0x10FFFF

_CHUNK = 1 << 20  # bytes copied and hashed at a time, so that they are still in cache
_DTYPES = ("|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f4", "<f8")
_TEXT_DTYPE = re.compile(r"<U([1-9]\d{0,8})", re.ASCII)
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_MAX_NAME = 1000

_MARK = re.compile(rb"sltrees\.json at (\d{20}) of (\d{20}) bytes sha256 ([0-9a-f]{64}) sltrees archive (\d{8})")
_MARK_BYTES = 163
_LAST_WORDS = re.compile(rb"sltrees archive (\d{8})")
_LAST_WORDS_BYTES = 24

# The parts of a zip archive (APPNOTE 4.3), always with 64-bit sizes, so that there is one form for all sizes.
_LOCAL, _LOCAL_EXTRA = struct.Struct("<4s5H3L2H"), struct.Struct("<HHQQ")
_CENTRAL, _CENTRAL_EXTRA = struct.Struct("<4s4B4HL2L5H2L"), struct.Struct("<HHQQQ")
_END64, _LOCATOR, _END = struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL"), struct.Struct("<4s4H2LH")
_NEEDED = 45  # version of zip that has 64-bit sizes
_DATE = 0x21  # 1 January 1980: the same content gives the same file
_IN_EXTRA, _SHORT_IN_EXTRA = 0xFFFFFFFF, 0xFFFF


class Archive(typing.NamedTuple):
    """What a file holds."""

    kind: str
    header: dict
    arrays: dict[str, np.ndarray]


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
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise ValueError(f"kind must be lower-case letters, digits, '-' and '_', got {kind!r}")
    if not isinstance(header, dict):
        raise TypeError(f"header must be a dict, got {type(header).__name__}")
    if not isinstance(arrays, dict):
        raise TypeError(f"arrays must be a dict, got {type(arrays).__name__}")
    header = _encoded(header, "header")
    dtypes = {name: _checked(name, array) for name, array in arrays.items()}
    table = [[name, dtypes[name].str, list(array.shape), "0" * 64] for name, array in arrays.items()]
    _dumped(kind, header, table)  # too large a header is refused before anything is written
    path = os.path.realpath(os.fsdecode(os.fspath(path)))
    with replacing(path) as file:
        members = []
        for entry, (name, array) in zip(table, arrays.items(), strict=True):
            head = _npy_head(dtypes[name], array.shape)
            sha, crc = hashlib.sha256(head), zlib.crc32(head)
            member = _Member(f"{name}.npy", file.tell(), len(head) + array.size * dtypes[name].itemsize)
            file.write(member.local_header() + head)
            for chunk in _chunks_of(array, dtypes[name]):
                sha.update(chunk)
                crc = zlib.crc32(chunk, crc)
                file.write(chunk)
            members.append(_complete(file, member, crc))
            entry[-1] = sha.hexdigest()
        document = _dumped(kind, header, table)
        member = _Member(DOCUMENT, file.tell(), len(document))
        file.write(member.local_header() + document)
        members.append(_complete(file, member, zlib.crc32(document)))
        mark = _mark(member.content_offset, document)
        file.write(_ending(members, file.tell(), mark))


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
        kind, header and arrays, exactly as they were written.

    Raises
    ------
    ArchiveError
        If the file is foreign, damaged, of a newer version or of another kind; the message says which.
    OSError
        If there is no such file, or it cannot be read.
    MemoryError
        If the machine has no room for the arrays; nothing was allocated.

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
    path = os.fsdecode(os.fspath(path))
    with _opened(path) as file:
        try:
            return _read(file, os.fstat(file.fileno()).st_size, kind)
        except ArchiveError as error:
            raise ArchiveError(f"{path} {error}") from None


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
    for name, dtype, shape, _ in table:
        heads.append(_npy_head(dtype, shape))
        members.append(_Member(f"{name}.npy", begin, len(heads[-1]) + math.prod(shape) * dtype.itemsize))
        begin = members[-1].stop
    last = _Member(DOCUMENT, begin, length, zlib.crc32(document))
    ending_bytes = len(_ending([*members, last], last.stop, mark[0]))
    if last.content_offset != offset or last.stop + ending_bytes != size:
        raise ArchiveError("is damaged: it has not the size that its header says")
    n_bytes = sum(member.size for member in members)
    check_memory(n_bytes, None, "reading its arrays", "read it on a machine that has more")

    arrays = {}
    file.seek(0)
    for k, ((name, dtype, shape, checksum), head) in enumerate(zip(table, heads, strict=True)):
        local_header = _exactly(file, members[k].content_offset - members[k].offset)
        array = np.empty(shape, dtype)
        stored_head = _exactly(file, len(head))
        sha, crc = hashlib.sha256(stored_head), zlib.crc32(stored_head)
        data = memoryview(array.reshape(-1).view(np.uint8))
        for start in range(0, len(data), _CHUNK):
            chunk = data[start : start + _CHUNK]
            _fill(file, chunk)
            sha.update(chunk)
            crc = zlib.crc32(chunk, crc)
        if sha.hexdigest() != checksum or stored_head != head:
            raise ArchiveError(f"is damaged: array {name!r} does not match its checksum")
        members[k] = members[k]._replace(crc=crc)
        if local_header != members[k].local_header():
            raise ArchiveError(f"is damaged: the zip entry of array {name!r} is not as it was written")
        if not _has_values(array):
            raise ArchiveError(f"is damaged: array {name!r} holds what is no {'bool' if dtype.kind == 'b' else 'text'}")
        arrays[name] = array.astype(dtype.newbyteorder("="), copy=False)
    if _exactly(file, last.content_offset - last.offset) != last.local_header():
        raise ArchiveError("is damaged: the zip entry of its header is not as it was written")
    file.seek(last.stop)
    if _exactly(file, ending_bytes) != _ending([*members, last], last.stop, mark[0]):
        raise ArchiveError("is damaged: its zip directory is not as it was written")
    return Archive(found, header, arrays)


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
    """Kind, header and table of arrays, name, dtype, shape and checksum each; ArchiveError if they break the rules."""
    try:
        content = json.loads(
            document.decode("ascii"),
            object_pairs_hook=_decoded_object,
            parse_int=_decoded_integer,
            parse_float=_decoded_float,
            parse_constant=_refused_constant,
        )
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"is damaged: its header is not the JSON that it should be: {_short(error)}") from None
    if not isinstance(content, dict) or list(content) != ["kind", "header", "arrays"]:
        raise ArchiveError("is damaged: its header has not the entries 'kind', 'header' and 'arrays'")
    kind, header, entries = content.values()
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise ArchiveError("is damaged: its header names no kind")
    if not isinstance(header, dict) or not isinstance(entries, list):
        raise ArchiveError("is damaged: its header has not a dict and a list where they should be")
    table = [_parsed_entry(entry) for entry in entries]
    if len({name for name, *_ in table}) < len(table):
        raise ArchiveError("is damaged: its header lists an array twice")
    return kind, header, table


def _parsed_entry(entry):
    """An entry of the table of arrays: name, dtype, shape, checksum."""
    if not isinstance(entry, list) or len(entry) != 4:
        raise ArchiveError("is damaged: its header lists something that is no array")
    name, dtype, shape, checksum = entry
    if not _is_name(name):
        raise ArchiveError(f"is damaged: its header lists an array with the name {_short(repr(name))}")
    item_bytes = _item_bytes(dtype)
    if not item_bytes:
        raise ArchiveError(f"is damaged: array {name!r} has the dtype {_short(repr(dtype))}, which no array here has")
    if (
        not isinstance(shape, list)
        or len(shape) > MAX_NDIM
        or not all(type(length) is int and length >= 0 for length in shape)
        or math.prod(max(length, 1) for length in shape) * item_bytes > MAX_ARRAY_BYTES
    ):
        raise ArchiveError(f"is damaged: array {name!r} has the shape {_short(repr(shape))}, which no array can have")
    if not isinstance(checksum, str):
        raise ArchiveError(f"is damaged: array {name!r} has no checksum")
    return name, np.dtype(dtype), tuple(shape), checksum


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


def _short(text):
    text = str(text)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _a(kind):
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind!r}"


# ---------------------------------------------------------------------- the header


def _encoded(value, where, depth=0):
    """A value as JSON can say it; TypeError or ValueError where it cannot."""
    if depth > MAX_DEPTH:
        raise ValueError(f"header must not be nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        value = int(value)
        return value if -(2**63) < value < 2**63 else {"$int": f"{value:x}"}
    if isinstance(value, float):
        value = float(value)
        return value if math.isfinite(value) else {"$float": struct.pack(">d", value).hex()}
    if isinstance(value, (list, tuple)):
        return [_encoded(item, f"{where}[{k}]", depth + 1) for k, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"keys of {where} must be str, got {key!r}")
            if key.startswith("$"):
                raise ValueError(f"keys of {where} must not begin with '$', got {key!r}")
        return {str.__str__(key): _encoded(item, f"{where}[{key!r}]", depth + 1) for key, item in value.items()}
    raise TypeError(f"{where} must be None, bool, str, int, float, list or dict, got {type(value).__name__}")


def _decoded_object(pairs):
    """What a JSON object means."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key comes twice")
    special = [key for key in content if key.startswith("$")]
    if not special:
        return content
    if len(content) == 1 and isinstance(text := content[special[0]], str):
        if special == ["$int"] and re.fullmatch(r"-?[0-9a-f]+", text):
            return int(text, 16)
        if special == ["$float"] and re.fullmatch(r"[0-9a-f]{16}", text):
            return struct.unpack(">d", bytes.fromhex(text))[0]
    raise ValueError(f"{special[0]!r} means nothing here")


def _decoded_integer(text):
    if len(text) > 20:  # larger ones are written in another way, and take long to read in this one
        raise ValueError("an integer is too long")
    return int(text)


def _decoded_float(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _refused_constant(text):
    raise ValueError(f"{text} is no JSON")


def _dumped(kind, header, table):
    """The document."""
    content = {"kind": kind, "header": header, "arrays": table}
    document = json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
    if len(document) > MAX_DOCUMENT_BYTES:
        raise ValueError(
            f"header and list of arrays must take at most {MAX_DOCUMENT_BYTES:,} bytes of JSON, got {len(document):,}; "
            "make arrays of what is long"
        )
    return document


# ---------------------------------------------------------------------- arrays


def _is_name(name):
    return (
        isinstance(name, str)
        and len(name) <= _MAX_NAME
        and _NAME.fullmatch(name) is not None
        and not name.endswith(".npy")
    )


def _item_bytes(text):
    """Bytes of an item of a dtype that arrays here may have, little-endian; 0 for any other."""
    if not isinstance(text, str):
        return 0
    if text in _DTYPES:
        return int(text[2])
    match = _TEXT_DTYPE.fullmatch(text)
    size = 4 * int(match[1]) if match else 0
    return size if size <= MAX_ITEM_BYTES else 0


def _checked(name, array):
    """The dtype in which an array is written; TypeError or ValueError if it cannot be."""
    if not _is_name(name):
        raise ValueError(
            f"names of arrays must be parts of letters, digits, '_', '-' and '.', joined by '/', at most {_MAX_NAME} "
            f"characters and without '.npy' at the end, got {_short(repr(name))}"
        )
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"array {name!r} must be an ndarray, got {type(array).__name__}")
    dtype = array.dtype.newbyteorder("<")
    if not _item_bytes(dtype.str):
        raise TypeError(f"array {name!r} must be of bool, integers, float32, float64 or str, got dtype {array.dtype}")
    if not _has_values(array):
        raise ValueError(f"array {name!r} holds bytes that are no {'bool' if dtype.kind == 'b' else 'text'}")
    return dtype


def _has_values(array):
    """Whether all bytes of an array mean something: those of some bool and str do not. Cost: O(bytes) for these."""
    if array.dtype.kind == "b":
        return bool((array.view(np.uint8) <= 1).all())
    if array.dtype.kind == "U" and array.size:
        points = np.dtype(np.uint32).newbyteorder(array.dtype.byteorder)
        return bool((np.ascontiguousarray(array).reshape(-1).view(points) <= MAX_CODE_POINT).all())
    return True


def _chunks_of(array, dtype):
    """The bytes of an array in C order, whatever its own order is, some at a time."""
    flags = ["external_loop", "buffered", "zerosize_ok"]
    size = max(1, _CHUNK // dtype.itemsize)
    for chunk in np.nditer(array, flags=flags, op_dtypes=[dtype], casting="equiv", order="C", buffersize=size):
        yield np.ascontiguousarray(chunk).view(np.uint8)


def _npy_head(dtype, shape):
    """What precedes the data in an .npy file, format 1.0: always the same for a dtype and shape."""
    lengths = f"({shape[0]},)" if len(shape) == 1 else f"({', '.join(map(str, shape))})"
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {lengths}, }}"
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("ascii")


# ---------------------------------------------------------------------- the zip archive


class _Member(typing.NamedTuple):
    """A stored file in a zip archive."""

    name: str
    offset: int  # of its local header
    size: int
    crc: int = 0

    @property
    def content_offset(self):
        return self.offset + _LOCAL.size + len(self.name) + _LOCAL_EXTRA.size

    @property
    def stop(self):
        return self.content_offset + self.size

    def local_header(self):
        name = self.name.encode("ascii")
        sizes = _IN_EXTRA, _IN_EXTRA, len(name), _LOCAL_EXTRA.size
        fixed = _LOCAL.pack(b"PK\3\4", _NEEDED, 0, 0, 0, _DATE, self.crc, *sizes)
        return fixed + name + _LOCAL_EXTRA.pack(1, 16, self.size, self.size)

    def central_entry(self):
        name = self.name.encode("ascii")
        sizes = _IN_EXTRA, _IN_EXTRA, len(name), _CENTRAL_EXTRA.size
        versions, mode = (_NEEDED, 3, _NEEDED, 0), 0o600 << 16  # as made on Unix, a file that its owner reads
        fixed = _CENTRAL.pack(b"PK\1\2", *versions, 0, 0, 0, _DATE, self.crc, *sizes, 0, 0, 0, mode, _IN_EXTRA)
        return fixed + name + _CENTRAL_EXTRA.pack(1, 24, self.size, self.size, self.offset)


def _complete(file, member, crc):
    """Write the checksum of a member that was written, now that it is known; returns the member."""
    member, stop = member._replace(crc=crc), file.tell()
    file.seek(member.offset)
    file.write(member.local_header())
    file.seek(stop)
    return member


def _ending(members, offset, mark):
    """What stands behind the last member, from `offset` on: the directory, and the mark as comment."""
    directory = b"".join(member.central_entry() for member in members)
    count, size = len(members), len(directory)
    end64 = _END64.pack(b"PK\6\6", _END64.size - 12, _NEEDED, _NEEDED, 0, 0, count, count, size, offset)
    locator = _LOCATOR.pack(b"PK\6\7", 0, offset + size, 1)
    end = _END.pack(b"PK\5\6", 0, 0, *(2 * [_SHORT_IN_EXTRA]), *(2 * [_IN_EXTRA]), len(mark))
    return directory + end64 + locator + end + mark


def _mark(offset, document):
    checksum = hashlib.sha256(document).hexdigest()
    text = f"{DOCUMENT} at {offset:020d} of {len(document):020d} bytes sha256 {checksum} sltrees archive {VERSION:08d}"
    return text.encode("ascii")


# ---------------------------------------------------------------------- replacing a file


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
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
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
