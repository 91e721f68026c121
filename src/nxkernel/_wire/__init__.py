"""Frames, messages and the handshake between host and worker.

Imported by both ends of the pipe and by nobody else. A frame is a little-endian ``u32`` length and
that many bytes of MessagePack: an array whose first element names the message. Values travel
inside as ``bin``: their bytes are canonical and are hashed as they are, never re-encoded. The blobs
to which a value refers travel beside it, in the frame or in the worker's arena.

```
host ──▶ worker   Confine  Setup  Invoke  More  Pause  Halt  Reply  Forsake  Fork  Ping  Stop
worker ──▶ host   Hello  Compiled  Ready  Refused  Result  Item  Paused  Ended  Failure  Denied
                  Drawn  Broker  Pong
```

The host trusts no byte: :class:`Inbox` bounds the length before it keeps anything, msgspec checks
types, and ids are checked by the slot that sent the call.
"""

from nxkernel._wire.frames import ENVELOPE, Inbox, pack, sole, unpack_from_host, unpack_from_worker
from nxkernel._wire.message import VERSION
from nxkernel._wire.orders import (
    EXIT_CONFINE,
    Confine,
    Environment,
    Fence,
    Fork,
    Forsake,
    FromHost,
    Guard,
    Halt,
    Invoke,
    More,
    Pause,
    Ping,
    Reply,
    Root,
    Setup,
    Stop,
    Window,
)
from nxkernel._wire.pieces import ALIGNMENT, HEAVY, PIECE, Inline, Piece, Slice
from nxkernel._wire.reports import (
    Broker,
    Compiled,
    Denied,
    Drawn,
    Ended,
    Failure,
    FromWorker,
    Hello,
    Impl,
    Item,
    Paused,
    Pong,
    Ready,
    Refused,
    Result,
    Used,
)

__all__ = [
    "ALIGNMENT",
    "ENVELOPE",
    "EXIT_CONFINE",
    "HEAVY",
    "PIECE",
    "VERSION",
    "Broker",
    "Compiled",
    "Confine",
    "Denied",
    "Drawn",
    "Ended",
    "Environment",
    "Failure",
    "Fence",
    "Fork",
    "Forsake",
    "FromHost",
    "FromWorker",
    "Guard",
    "Halt",
    "Hello",
    "Impl",
    "Inbox",
    "Inline",
    "Invoke",
    "Item",
    "More",
    "Pause",
    "Paused",
    "Piece",
    "Ping",
    "Pong",
    "Ready",
    "Refused",
    "Reply",
    "Result",
    "Root",
    "Setup",
    "Slice",
    "Stop",
    "Used",
    "Window",
    "pack",
    "sole",
    "unpack_from_host",
    "unpack_from_worker",
]
