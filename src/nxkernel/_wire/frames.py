"""Frames: a length and that many bytes, which are one message or a violation."""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec

from nxkernel._wire.orders import FromHost
from nxkernel._wire.reports import Broker, Compiled, Failure, FromWorker, Item, Result
from nxkernel.errors import ProtocolViolation

__all__ = ["ENVELOPE", "Inbox", "pack", "unpack_from_host", "unpack_from_worker"]

#: What a frame needs beside its payload, at most.
ENVELOPE: Final = 4096
#: Largest frame that is a message of the handshake, in bytes.
MAX_HANDSHAKE: Final = 1 << 20
#: The frame header.
LENGTH: Final = struct.Struct("<I")

_encoder = msgspec.msgpack.Encoder()
_from_host: msgspec.msgpack.Decoder[FromHost] = msgspec.msgpack.Decoder(FromHost)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)
#: Of large frames. The others carry lists and maps of text, which would become many times as large.
_large: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(
    Result | Item | Failure | Broker | Compiled
)


def pack(message: FromHost | FromWorker) -> bytes:
    """Frame *message*."""
    body = _encoder.encode(message)
    return LENGTH.pack(len(body)) + body


def unpack_from_worker(body: bytes | bytearray | memoryview) -> FromWorker:
    """Decode what a worker sent.

    Raises:
        ProtocolViolation: for anything but exactly one known message.
    """
    message: FromWorker = _unpack(_from_worker if len(body) <= MAX_HANDSHAKE else _large, body)
    return message


def unpack_from_host(body: bytes | bytearray | memoryview) -> FromHost:
    """Decode what the host sent."""
    message: FromHost = _unpack(_from_host, body)
    return message


def _unpack(decoder: Any, body: Any) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise ProtocolViolation("a frame holds no message of the protocol") from None


class Inbox:
    """Cuts a byte stream into frame bodies, without trusting the lengths in it."""

    def __init__(self, max_frame: int) -> None:
        self._max = max_frame
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Append received bytes."""
        self._buffer += data

    @property
    def empty(self) -> bool:
        """Whether every byte that came was part of a frame that was taken."""
        return not self._buffer

    @property
    def whole(self) -> bool:
        """Whether a whole frame is there."""
        return len(self._buffer) >= LENGTH.size and not self.missing

    @property
    def missing(self) -> int:
        """Bytes that the frame under way still lacks, as far as its header is known."""
        if len(self._buffer) < LENGTH.size:
            return 0
        (length,) = LENGTH.unpack_from(self._buffer)
        return max(0, min(int(length), self._max) + LENGTH.size - len(self._buffer))

    def next(self) -> bytes | None:
        """Return the next whole body, or None.

        Raises:
            ProtocolViolation: when a header announces more than the limit.
        """
        if len(self._buffer) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack_from(self._buffer)
        if length > self._max:
            raise ProtocolViolation(f"a frame announces {length} bytes; the limit is {self._max}")
        end = LENGTH.size + length
        if len(self._buffer) < end:
            return None
        body = bytes(memoryview(self._buffer)[LENGTH.size : end])
        del self._buffer[:end]
        return body
