"""Reports: what a worker says to its host, which trusts none of it."""

from __future__ import annotations

import msgspec

from nxkernel._wire.message import Message
from nxkernel._wire.pieces import Pieces

__all__ = [
    "Broker",
    "Compiled",
    "Denied",
    "Drawn",
    "Ended",
    "Failure",
    "FromWorker",
    "Hello",
    "Impl",
    "Item",
    "Paused",
    "Pong",
    "Ready",
    "Refused",
    "Result",
    "Used",
]


class Hello(Message):
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


class Compiled(Message):
    """The byte code of one source, empty if it has none; nothing of the plugin has run yet."""

    path: str
    data: bytes


class Ready(Message):
    """The plugin is loaded; these are its hookimpls."""

    impls: list[Impl]


class Refused(Message):
    """The plugin could not be loaded."""

    code: str
    message: str
    #: Canonical bytes of the details.
    details: bytes


class Used(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What a call used, as the worker measured it."""

    #: Processor time of the process, without calls that ran on top of this one, in microseconds.
    cpu_us: int
    #: Most memory of the process so far, in KiB, or None where it did not look.
    peak_kb: int | None
    #: Rows that were read and written, or None if nobody counted.
    rows: tuple[int, int] | None


class Result(Message):
    """The value of a call."""

    seq: int
    payload: bytes
    plugin_us: int
    blobs: Pieces
    used: Used | None = None


class Item(Message):
    """One value of a stream, in a turn of it."""

    #: The seq of the turn.
    seq: int
    payload: bytes
    blobs: Pieces


class Paused(Message):
    """A turn of a stream is over, and the stream is not."""

    seq: int
    plugin_us: int
    used: Used | None = None


class Ended(Message):
    """A stream is over: it has no more items, or was halted."""

    seq: int
    plugin_us: int
    used: Used | None = None


class Failure(Message):
    """The error of a call."""

    seq: int
    code: str
    message: str
    #: Canonical bytes of the details.
    details: bytes
    #: The plugin in which a nested failure began, as this worker was told.
    origin: str
    plugin_us: int
    used: Used | None = None


class Denied(Message):
    """What the walls refused to the call that is on top: sent just before its answer."""

    #: The seq of that call, 0 for the start.
    within: int
    #: ``kind, target`` of what the error that follows tells of.
    raised: list[tuple[str, str]]
    #: The same of other refusals that were seen, each once in a worker's life.
    seen: list[tuple[str, str]]


class Drawn(Message):
    """What the call that is on top drew that follows from no seed: sent just before its answer."""

    #: The seq of that call, 0 for the start.
    within: int
    #: ``function, site, when, blocked``, each place once in a worker's life.
    found: list[tuple[str, str, str, bool]]


class Broker(Message):
    """Call a hook on behalf of the call that is on top."""

    seq: int
    #: The seq of the call that asks.
    within: int
    hook: str
    payload: bytes
    #: How many of the slices that came for this call it still has.
    held: int
    blobs: Pieces


class Pong(Message):
    """Here."""

    seq: int


#: Whatever a worker may say.
FromWorker = (
    Hello
    | Compiled
    | Ready
    | Refused
    | Result
    | Item
    | Paused
    | Ended
    | Failure
    | Denied
    | Drawn
    | Broker
    | Pong
)
