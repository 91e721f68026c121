"""Frames, messages and the handshake between host and worker.

Imported by both ends of the pipe and by nobody else. A frame is a little-endian ``u32`` length and
that many bytes of MessagePack: an array whose first element names the message. Values travel
inside as ``bin``: their bytes are canonical and are hashed as they are, never re-encoded.

```
host ──▶ worker   Confine  Setup  Invoke  Reply  Ping  Stop
worker ──▶ host   Hello  Ready  Refused  Result  Failure  Broker  Pong
```

The host trusts no byte: :class:`Inbox` bounds the length before it keeps anything, msgspec checks
types, and ids are checked by the slot that sent the call.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec

from nxkernel.errors import ProtocolViolation

__all__ = [
    "ENVELOPE",
    "EXIT_CONFINE",
    "VERSION",
    "Broker",
    "Confine",
    "Failure",
    "FromHost",
    "FromWorker",
    "Hello",
    "Impl",
    "Inbox",
    "Invoke",
    "Ping",
    "Pong",
    "Ready",
    "Refused",
    "Reply",
    "Result",
    "Setup",
    "Stop",
    "pack",
    "unpack_from_host",
    "unpack_from_worker",
]

#: Version of the protocol; a peer with another one is refused at the handshake.
VERSION: Final = 1
#: Exit status of a worker that could not confine itself or speak to its host.
EXIT_CONFINE: Final = 70
#: What a frame needs beside its payload, at most.
ENVELOPE: Final = 4096
#: The frame header.
LENGTH: Final = struct.Struct("<I")


class _Message(msgspec.Struct, array_like=True, tag=True, forbid_unknown_fields=True):
    """A message: an array with its tag first."""


# -- host to worker ---------------------------------------------------------------------------


class Confine(_Message):
    """The first message: lock yourself in, then say hello. No plugin data is in it."""

    version: int
    level: str
    #: Seccomp program, 8 bytes an instruction, empty below ``confined``.
    program: bytes
    #: ``RLIMIT_*`` suffix -> [soft, hard].
    limits: dict[str, tuple[int, int]]
    #: The whole environment of the worker.
    environment: dict[str, str]
    #: The working directory: the plugin's own run directory.
    run_dir: str


class Setup(_Message):
    """Load this plugin."""

    plugin: str
    project: str
    #: ``module:object``.
    entrypoint: str
    #: The verified copy of the plugin's files.
    code_dir: str
    #: Canonical bytes of the effective settings.
    settings: bytes
    run_dir: str
    #: Roots below which the plugin may write.
    write_roots: list[str]
    #: Seed of ``random`` before the plugin's first import.
    import_seed: bytes
    #: Wall nanoseconds of the run's start: the base of ``context.now()``.
    run_started_ns: int
    #: Largest payload that the host takes, in bytes.
    max_payload: int
    #: Folder of the application's modules that plugins may import, or empty.
    api_dir: str


class Invoke(_Message):
    """Run one phase of one hookimpl."""

    seq: int
    impl: str
    phase: str
    #: Canonical bytes: the arguments, or for ``teardown`` the inner result.
    payload: bytes
    #: The call key of the seed tree, or empty.
    seed: bytes
    #: For ``teardown``: the seq of the setup that is suspended.
    token: int = 0
    #: For ``teardown``: the error of the inner calls instead of a result.
    error: tuple[str, str, str] | None = None


class Reply(_Message):
    """The answer to a brokered call."""

    seq: int
    payload: bytes
    #: ``code, message, origin``, or None when there is a value.
    error: tuple[str, str, str] | None = None


class Ping(_Message):
    """Are you there?"""

    seq: int


class Stop(_Message):
    """End when the stack is empty."""


# -- worker to host ---------------------------------------------------------------------------


class Hello(_Message):
    """Sent after confinement and before any byte of the plugin."""

    version: int
    #: What the self-test tried, and the errno that each attempt met.
    witnessed: dict[str, str]


class Impl(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A hookimpl as pluggy sees it in the worker."""

    impl: str
    hook: str
    args: tuple[str, ...]
    kwargs: tuple[str, ...]
    wrapper: bool
    hookwrapper: bool
    tryfirst: bool
    trylast: bool
    optionalhook: bool


class Ready(_Message):
    """The plugin is loaded; these are its hookimpls."""

    impls: list[Impl]


class Refused(_Message):
    """The plugin could not be loaded."""

    code: str
    message: str
    #: Canonical bytes of the details.
    details: bytes


class Result(_Message):
    """The value of a call."""

    seq: int
    payload: bytes
    plugin_us: int


class Failure(_Message):
    """The error of a call."""

    seq: int
    code: str
    message: str
    #: Canonical bytes of the details.
    details: bytes
    #: The plugin in which a nested failure began, as this worker was told.
    origin: str
    plugin_us: int


class Broker(_Message):
    """Call a hook on behalf of the call that is on top."""

    seq: int
    #: The seq of the call that asks.
    within: int
    hook: str
    payload: bytes


class Pong(_Message):
    """Here."""

    seq: int


FromHost = Confine | Setup | Invoke | Reply | Ping | Stop
FromWorker = Hello | Ready | Refused | Result | Failure | Broker | Pong

_encoder = msgspec.msgpack.Encoder()
_from_host: msgspec.msgpack.Decoder[FromHost] = msgspec.msgpack.Decoder(FromHost)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def pack(message: FromHost | FromWorker) -> bytes:
    """Frame *message*."""
    body = _encoder.encode(message)
    return LENGTH.pack(len(body)) + body


def unpack_from_worker(body: bytes | bytearray | memoryview) -> FromWorker:
    """Decode what a worker sent.

    Raises:
        ProtocolViolation: for anything but exactly one known message.
    """
    message: FromWorker = _unpack(_from_worker, body)
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
