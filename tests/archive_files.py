"""Archives put together by hand: with checksums that hold, whatever they say."""

import hashlib
import io
import json
import struct
import zipfile
import zlib

import numpy as np

from sltrees.files import archive
from sltrees.files.arrays import npy_head
from sltrees.files.zip_layout import Member, ending


def put_together(document, members):
    """The bytes of a file with a document (bytes, or what is to be JSON) and members (name -> bytes)."""
    if not isinstance(document, bytes):
        document = json.dumps(document).encode()
    content, listed = b"", []
    for name, data in [*members.items(), (archive.DOCUMENT, document)]:
        member = Member(name, len(content), len(data), zlib.crc32(data))
        content += member.local_header() + data
        listed.append(member)
    mark = archive._mark(listed[-1].content_offset, document)
    return content + ending(listed, len(content), mark)


def taken_apart(content):
    """The document, as Python objects, and the members of a file; what `put_together` takes."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    return json.loads(members.pop(archive.DOCUMENT)), members


def signed(document, members):
    """The document with the checksums of the members that it lists, and their dtypes and shapes left alone."""
    entries = [[*entry[:3], hashlib.sha256(members[f"{entry[0]}.npy"]).hexdigest()] for entry in document["arrays"]]
    return document | {"arrays": entries}


def forged(kind, header, arrays):
    """A file as `write_archive` would write it, of a header that is JSON already."""
    members, entries = {}, []
    for name, array in arrays.items():
        dtype = array.dtype.newbyteorder("<")
        members[f"{name}.npy"] = npy_head(dtype, array.shape) + array.tobytes()
        entries.append([name, dtype.str, list(array.shape), ""])
    return put_together(signed({"kind": kind, "header": header, "arrays": entries}, members), members)


def read(content, kind=None):
    """What is in a file that has these bytes."""
    return archive._read(io.BytesIO(content), len(content), kind)


def bits(value):
    """A value that equals another's only where all bits and types do."""
    if isinstance(value, float):
        return "float", struct.pack("<d", value)
    if isinstance(value, np.ndarray):
        return "array", value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [bits(item) for item in value]
    if isinstance(value, dict):
        return "dict", [(key, bits(item)) for key, item in value.items()]
    return type(value).__name__, value


def pickled_npy(payload):
    """An .npy file of objects: what NumPy would unpickle, if it was allowed to."""
    stream = io.BytesIO()
    np.save(stream, np.array([payload], dtype=object), allow_pickle=True)
    return stream.getvalue()
