"""Pieces: blobs that travel beside the values that refer to them."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from nxkernel._blob import MAX_BLOBS
from nxkernel._wire.message import Message

__all__ = ["ALIGNMENT", "HEAVY", "PIECE", "Inline", "Piece", "Pieces", "Slice"]

#: What a blob in a frame needs beside its bytes, at most.
PIECE: Final = 64
#: Blobs from this size on lie in the arena where there is one: below, a frame is as fast.
HEAVY: Final = 1 << 15
#: Blobs in an arena begin at multiples of this: the unit in which memory is mapped.
ALIGNMENT: Final = 1 << 12


class Inline(Message):
    """A blob whose bytes are in the frame."""

    #: SHA-256 of the bytes.
    name: bytes
    data: bytes


class Slice(Message):
    """A blob whose bytes lie in the sender's half of the arena."""

    #: SHA-256 of the bytes.
    name: bytes
    #: Where it begins in that half, a multiple of :data:`ALIGNMENT`.
    offset: int
    size: int


#: A blob beside a value, which refers to it: one that the other side does not have yet.
Piece = Inline | Slice
#: Those of a worker. The host may put together what several workers gave.
Pieces = Annotated[list[Piece], msgspec.Meta(max_length=MAX_BLOBS)]
