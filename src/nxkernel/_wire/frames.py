"""Frames: a length and that many bytes, which are one message or a violation."""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from nxkernel._wire.orders import FromHost
from nxkernel._wire.reports import Broker, Compiled, Failure, FromWorker, Item, Result
from nxkernel.errors import ProtocolViolation

__all__ = ["ENVELOPE", "Inbox", "pack", "sole", "unpack_from_host", "unpack_from_worker"]

#: What a frame needs beside its payload, at most.
ENVELOPE: Final = 4096
#: Largest frame that is a message of the handshake, in bytes.
MAX_HANDSHAKE: Final = 1 << 20
#: The frame header.
LENGTH: Final = struct.Struct("<I")

# Methods, once: both ends of the pipe do this for every message.
_length, _announced = LENGTH.pack, LENGTH.unpack_from
_HEADER: Final = LENGTH.size
_encode = msgspec.msgpack.Encoder().encode
_from_host: msgspec.msgpack.Decoder[FromHost] = msgspec.msgpack.Decoder(FromHost)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)
#: Of large frames. The others carry lists and maps of text, which would become many times as large.
_large: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(
    Result | Item | Failure | Broker | Compiled
)
_UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


def pack(message: FromHost | FromWorker) -> bytes:
    """Frame *message*."""
    body = _encode(message)
    return _length(len(body)) + body


def unpack_from_worker(body: bytes | bytearray | memoryview) -> FromWorker:
    """Decode what a worker sent.

    Raises:
        ProtocolViolation: for anything but exactly one known message.
    """
    decoder = _from_worker if len(body) <= MAX_HANDSHAKE else _large
    try:
        return decoder.decode(body)
    except _UNREADABLE:
        raise ProtocolViolation("a frame holds no message of the protocol") from None


def unpack_from_host(body: bytes | bytearray | memoryview) -> FromHost:
    """Decode what the host sent."""
    try:
        return _from_host.decode(body)
    except _UNREADABLE:
        raise ProtocolViolation("a frame holds no message of the protocol") from None


def sole(data: bytes) -> FromHost | None:
    """Decode what the host sent, if *data* are one whole frame; None says that they are not."""
    try:
        if _announced(data)[0] != len(data) - _HEADER:
            return None
        return _from_host.decode(data[_HEADER:])
    except struct.error:
        return None
    except _UNREADABLE:
        raise ProtocolViolation("a frame holds no message of the protocol") from None


class Inbox:
    """Cuts a byte stream into frame bodies, without trusting the lengths in it."""

    def __init__(self, max_frame: int) -> None:
        self._max = max_frame
        #: A body that came alone and whole, as nearly every one does; those after it are in
        #: the buffer.
        self._alone: bytes | None = None
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Append received bytes."""
        if self.empty:
            self._alone = self.alone(data)
        else:
            self._buffer += data

    def alone(self, data: bytes) -> bytes | None:
        """Return the body that *data* are, if nothing is left of before; or None, and keep them."""
        size = len(data) - _HEADER
        if size >= 0 and _announced(data)[0] == size <= self._max:
            return data[_HEADER:]
        self._buffer += data
        return None

    @property
    def empty(self) -> bool:
        """Whether every byte that came was part of a frame that was taken."""
        return self._alone is None and not self._buffer

    @property
    def whole(self) -> bool:
        """Whether a whole frame is there."""
        return self._alone is not None or (len(self._buffer) >= _HEADER and not self.missing)

    @property
    def missing(self) -> int:
        """Bytes that the frame under way still lacks, as far as its header is known."""
        if self._alone is not None or len(self._buffer) < _HEADER:
            return 0
        (length,) = _announced(self._buffer)
        return max(0, min(int(length), self._max) + _HEADER - len(self._buffer))

    def next(self) -> bytes | None:
        """Return the next whole body, or None.

        Raises:
            ProtocolViolation: when a header announces more than the limit.
        """
        body = self._alone
        if body is not None:
            self._alone = None
            return body
        if len(self._buffer) < _HEADER:
            return None
        (length,) = _announced(self._buffer)
        if length > self._max:
            raise ProtocolViolation(f"a frame announces {length} bytes; the limit is {self._max}")
        end = _HEADER + length
        if len(self._buffer) < end:
            return None
        body = bytes(memoryview(self._buffer)[_HEADER:end])
        del self._buffer[:end]
        return body
