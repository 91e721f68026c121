"""Frames: the bytes of a recording, without I/O.

A file is a magic of 16 bytes, then frames. A frame is a head of 17 bytes (kind, length of the body
as u64le, CRC-32 of the body as u32le, CRC-32 of those 13 bytes as u32le) and the body. The head
answers for itself, so that a cut-off tail can be told from a damaged length.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Final

import attrs

__all__ = ["HEAD", "KINDS", "MAGIC", "Damage", "Frame", "frame", "frames_of"]

MAGIC: Final = b"nx.recording.v1\n"
#: What a frame can be: head of the file, plugin, value, blob, begin of a call, item of its stream,
#: end of the call, end of the file.
KINDS: Final = frozenset(b"hpvbcieZ")
_FIELDS = struct.Struct("<BQI")
_CHECK = struct.Struct("<I")
#: Bytes of a head.
HEAD: Final = _FIELDS.size + _CHECK.size


class Damage(ValueError):
    """Bytes that no writer of this format has written."""


@attrs.frozen
class Frame:
    """Where one frame stands, and what its head says."""

    kind: str
    #: Offset of its body in the file, and the length of it.
    start: int
    size: int
    crc: int

    def checked(self, body: bytes) -> bytes:
        """Return *body* if it is what was written.

        Raises:
            Damage: when it is not.
        """
        if len(body) != self.size or zlib.crc32(body) != self.crc:
            raise Damage(f"the frame at byte {self.start - HEAD} is not what was written")
        return body


def frame(kind: str, *pieces: bytes | memoryview) -> bytes:
    """Return a frame whose body is *pieces*, one after the other."""
    body = b"".join(pieces)
    fields = _FIELDS.pack(ord(kind), len(body), zlib.crc32(body))
    return b"%b%b%b" % (fields, _CHECK.pack(zlib.crc32(fields)), body)


def frames_of(read: Callable[[int, int], bytes], size: int) -> Iterator[Frame]:
    """Go through the heads of a file of *size* bytes; bodies are passed over.

    *read* returns bytes by offset and length. It ends before a tail that is no whole frame: who
    goes on from the last one finds where that begins.

    Raises:
        Damage: for another magic, or a head that no writer wrote.
    """
    if read(0, len(MAGIC)) != MAGIC[: min(size, len(MAGIC))]:
        raise Damage("it does not begin as a recording does")
    at = len(MAGIC)
    while at + HEAD <= size:
        found = _parsed(read(at, HEAD), at)
        if found.start + found.size > size:
            return
        yield found
        at = found.start + found.size


def _parsed(head: bytes, at: int) -> Frame:
    fields, (check,) = head[: _FIELDS.size], _CHECK.unpack(head[_FIELDS.size :])
    kind, size, crc = _FIELDS.unpack(fields)
    if zlib.crc32(fields) != check or kind not in KINDS:
        raise Damage(f"the frame at byte {at} has a damaged head")
    return Frame(chr(kind), at + HEAD, size, crc)
