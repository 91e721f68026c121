"""Frames: how rows lie in a spool, one behind the other, each with its length and checksum.

``u32le(length) || u32le(crc32(payload, length)) || payload``, with a length of at least 1. The
length is the checksum's seed, so that a flipped bit in either is seen; and a hole of zeros, as a
loss of power may leave one, is no frame.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

__all__ = ["HEAD_BYTES", "MAX_BYTES", "frame", "frames"]

_HEAD = struct.Struct("<II")
HEAD_BYTES = _HEAD.size
#: Longest payload. Facts are bounded far below it; a flipped length must not ask for gigabytes.
MAX_BYTES = 1 << 24
_pack = _HEAD.pack
_crc = zlib.crc32


def frame(payload: bytes) -> bytes:
    """Return *payload* as a frame.

    Raises:
        OverflowError: when it is empty or longer than :data:`MAX_BYTES`.
    """
    length = len(payload)
    if not 1 <= length <= MAX_BYTES:
        raise OverflowError(f"a row of {length} bytes does not fit a frame")
    return _pack(length, _crc(payload, length)) + payload


def frames(data: bytes | memoryview, offset: int = 0) -> Iterator[tuple[memoryview, int]]:
    """Yield each whole payload from *offset* on, with the offset behind its frame.

    Ends before the first frame that is not all there or not what was written.
    """
    view = memoryview(data)
    while offset + HEAD_BYTES < len(view):
        length, crc = _HEAD.unpack_from(view, offset)
        end = offset + HEAD_BYTES + length
        if not 1 <= length <= MAX_BYTES or end > len(view):
            return
        payload = view[offset + HEAD_BYTES : end]
        if _crc(payload, length) != crc:
            return
        yield payload, end
        offset = end
