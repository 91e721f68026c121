"""What stands in a recording, as frozen values; each is one canonical map in the file."""

from __future__ import annotations

from typing import Any, Self

import attrs

from nxkernel._canonical import decode, encode
from nxkernel.types import CallId, Digest, HookName, PluginId, RunId

__all__ = [
    "Answer",
    "Begun",
    "Close",
    "Ended",
    "Head",
    "Item",
    "PluginRecord",
    "Question",
    "RecordedCall",
    "RecordedError",
    "narrow",
    "wide",
]

#: Of the records' own form; a reader refuses another one.
VERSION = 1


#: What an integer of more than 64 bits is in the file: its decimal digits, below this name.
_WIDE = "int"
_INT64 = range(-(2**63), 2**63)


def narrow(part: Any) -> Any:
    """Return *part* of a seed or key as the file can hold it."""
    wide_int = isinstance(part, int) and part not in _INT64
    return {_WIDE: str(part)} if wide_int else part


def wide(part: Any) -> Any:
    """Return what :func:`narrow` was given."""
    return int(part[_WIDE]) if isinstance(part, dict) else part


class _Record:
    """A frozen value that is a map in the file; tuples are lists there."""

    __slots__ = ()

    def packed(self) -> bytes:
        """Return its canonical bytes."""
        return encode(self)

    @classmethod
    def unpacked(cls, data: bytes) -> Self:
        """Return the record that *data* holds.

        Raises:
            ValueError: when it holds another one.
        """
        record: Self = _made(cls, decode(data))
        return record


def _made(cls: Any, data: Any) -> Any:
    names = [field.name for field in attrs.fields(cls)]
    if not isinstance(data, dict) or sorted(data) != sorted(names):
        raise ValueError(f"no {cls.__name__}: its keys are {', '.join(sorted(names))}")
    return cls(**{field.name: _field(field, data[field.name]) for field in attrs.fields(cls)})


def _field(field: attrs.Attribute[Any], value: Any) -> Any:
    """Rebuild what is made of records or tuples; *metadata* of the field says of what."""
    of = field.metadata.get("of")
    if isinstance(value, list):
        return tuple(value if of is None else (_made(of, each) for each in value))
    return value if of is None or value is None else _made(of, value)


@attrs.frozen(kw_only=True)
class Head(_Record):
    """What a recording says of its run."""

    version: int = VERSION
    run_id: RunId
    #: The run's seed, as :func:`narrow` has it.
    seed: Any
    #: Its start, in wall nanoseconds since the epoch: what ``context.now()`` told.
    started_ns: int
    #: The environment's fingerprint: the facts of the run's header, as the audit has them.
    environment: dict[str, Any] = attrs.Factory(dict)
    #: Model of the processor, and a digest of what it can do.
    processor: str = ""
    #: Versions of the packages that the host's interpreter has, by name.
    libraries: dict[str, str] = attrs.Factory(dict)


@attrs.frozen(kw_only=True)
class PluginRecord(_Record):
    """An edition of a plugin that was there to be called."""

    id: PluginId
    edition: int
    version: str
    code_digest: str
    #: Of the effective settings with their secrets masked.
    settings_digest: str
    level: str
    requires: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class RecordedError(_Record):
    """The error that a call ended with."""

    code: str
    message: str


@attrs.frozen(kw_only=True)
class Answer(_Record):
    """What a plugin was told when it called back."""

    #: Of the value; empty when there was none.
    value: Digest | str = ""
    blobs: tuple[bytes, ...] = ()
    error: RecordedError | None = attrs.field(default=None, metadata={"of": RecordedError})
    #: The plugin in which the error began.
    origin: str = ""
    degraded: bool = False


@attrs.frozen(kw_only=True)
class Question(_Record):
    """One brokered call: what a plugin asked for in the middle of its own call."""

    hook: str
    #: Digest of the arguments, and names of the blobs in them.
    input: Digest
    blobs: tuple[bytes, ...] = ()
    answer: Answer = attrs.field(metadata={"of": Answer})


@attrs.frozen(kw_only=True)
class Begun(_Record):
    """A call that is about to be made."""

    call_id: CallId
    plugin: PluginId
    edition: int
    impl: str
    hook: HookName
    phase: str
    #: The logical call id, the caller's own or what the arguments are.
    key: tuple[Any, ...]
    #: The call key (32 bytes) from which its randomness derived; empty without Determinism.
    seed: bytes
    parent: CallId | None
    caller: PluginId | None
    depth: int
    level: str
    historic: bool
    #: Whether its result was a stream.
    stream: bool
    #: How often it might be made again if its worker crashed.
    retries: int
    #: Seconds that it had.
    timeout_s: float
    #: Digest of the arguments, and names of the blobs in them.
    input: Digest
    blobs: tuple[bytes, ...]
    #: For the second phase of a wrapper: the call of its first, and the inner calls' error.
    setup: CallId | None
    inner_error: RecordedError | None = attrs.field(metadata={"of": RecordedError})
    inner_fault: str | None
    inner_origin: str | None


@attrs.frozen(kw_only=True)
class Item(_Record):
    """An item of a stream."""

    call_id: CallId
    #: Of the item, and the blobs in it.
    value: Digest | str
    blobs: tuple[bytes, ...]


@attrs.frozen(kw_only=True)
class Ended(_Record):
    """How a call ended, and what it asked for on its way."""

    call_id: CallId
    #: Of the value; empty when there was none.
    value: Digest | str = ""
    blobs: tuple[bytes, ...] = ()
    error: RecordedError | None = attrs.field(default=None, metadata={"of": RecordedError})
    fault: str | None = None
    #: Whether the host, and not the call itself, took its worker away.
    lost: bool = False
    attempts: int = 1
    questions: tuple[Question, ...] = attrs.field(default=(), metadata={"of": Question})


@attrs.frozen(kw_only=True)
class Close(_Record):
    """The end of a recording that was closed in order."""

    #: Calls that were begun.
    calls: int


@attrs.frozen(kw_only=True)
class RecordedCall:
    """A call as it was recorded."""

    #: Its place in the order in which calls began, from 0.
    index: int
    begun: Begun
    #: None when the recording broke off before it ended.
    ended: Ended | None
    #: What its stream had given when it ended.
    items: tuple[Item, ...] = ()

    @property
    def call_id(self) -> CallId:
        """Its id in the run: ``7``, or ``7.2`` for the second one that call ``7`` asked for."""
        return self.begun.call_id

    @property
    def plugin(self) -> PluginId:
        """The plugin that was asked."""
        return self.begun.plugin

    @property
    def hook(self) -> HookName:
        """The hook that was called."""
        return self.begun.hook

    @property
    def key(self) -> tuple[Any, ...]:
        """Its logical call id: the caller's own, or what its arguments are."""
        return tuple(map(wide, self.begun.key))
