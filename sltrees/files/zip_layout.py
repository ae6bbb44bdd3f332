"""The bytes of a zip archive of stored files: one form for all sizes, with nothing left to choice."""

from __future__ import annotations

import struct
import typing

# The parts of a zip archive (APPNOTE 4.3), always with 64-bit sizes, so that there is one form for all sizes.
_LOCAL, _LOCAL_EXTRA = struct.Struct("<4s5H3L2H"), struct.Struct("<HHQQ")
_CENTRAL, _CENTRAL_EXTRA = struct.Struct("<4s4B4HL2L5H2L"), struct.Struct("<HHQQQ")
_END64, _LOCATOR, _END = struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL"), struct.Struct("<4s4H2LH")
_NEEDED = 45  # version of zip that has 64-bit sizes
_DATE = 0x21  # 1 January 1980: the same content gives the same file
_IN_EXTRA, _SHORT_IN_EXTRA = 0xFFFFFFFF, 0xFFFF


class Member(typing.NamedTuple):
    """A stored file in a zip archive."""

    name: str
    offset: int  # of its local header
    size: int
    crc: int = 0

    @property
    def content_offset(self):
        """Where its bytes begin."""
        return self.offset + _LOCAL.size + len(self.name) + _LOCAL_EXTRA.size

    @property
    def stop(self):
        """Where its bytes end."""
        return self.content_offset + self.size

    def local_header(self):
        """What precedes its bytes."""
        name = self.name.encode("ascii")
        sizes = _IN_EXTRA, _IN_EXTRA, len(name), _LOCAL_EXTRA.size
        fixed = _LOCAL.pack(b"PK\3\4", _NEEDED, 0, 0, 0, _DATE, self.crc, *sizes)
        return fixed + name + _LOCAL_EXTRA.pack(1, 16, self.size, self.size)

    def central_entry(self):
        """Its entry in the directory."""
        name = self.name.encode("ascii")
        sizes = _IN_EXTRA, _IN_EXTRA, len(name), _CENTRAL_EXTRA.size
        versions, mode = (_NEEDED, 3, _NEEDED, 0), 0o600 << 16  # as made on Unix, a file that its owner reads
        fixed = _CENTRAL.pack(b"PK\1\2", *versions, 0, 0, 0, _DATE, self.crc, *sizes, 0, 0, 0, mode, _IN_EXTRA)
        return fixed + name + _CENTRAL_EXTRA.pack(1, 24, self.size, self.size, self.offset)


def complete(file, member, crc):
    """Write the checksum of a member that was written, now that it is known; returns the member."""
    member, stop = member._replace(crc=crc), file.tell()
    file.seek(member.offset)
    file.write(member.local_header())
    file.seek(stop)
    return member


def ending(members, offset, comment):
    """What stands behind the last member, from `offset` on: the directory, and a comment."""
    directory = b"".join(member.central_entry() for member in members)
    count, size = len(members), len(directory)
    end64 = _END64.pack(b"PK\6\6", _END64.size - 12, _NEEDED, _NEEDED, 0, 0, count, count, size, offset)
    locator = _LOCATOR.pack(b"PK\6\7", 0, offset + size, 1)
    end = _END.pack(b"PK\5\6", 0, 0, *(2 * [_SHORT_IN_EXTRA]), *(2 * [_IN_EXTRA]), len(comment))
    return directory + end64 + locator + end + comment
