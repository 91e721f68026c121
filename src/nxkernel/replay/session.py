"""Sessions: a recording as frozen values, read from its file."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from nxkernel._blob import Blobs
from nxkernel._canonical import NotCanonical, decode
from nxkernel._pickling import Rooted
from nxkernel.errors import IntegrityError, ReplayError
from nxkernel.recording.pack import Pack
from nxkernel.recording.records import (
    Begun,
    Close,
    Ended,
    Head,
    Item,
    PluginRecord,
    RecordedCall,
    wide,
)
from nxkernel.types import CallId, PluginId

__all__ = ["Session"]

_RECORDS: Mapping[str, Any] = {
    "h": Head,
    "p": PluginRecord,
    "c": Begun,
    "i": Item,
    "e": Ended,
    "Z": Close,
}


@attrs.define
class _Gathering:
    """What the records of a file come to."""

    head: Head | None = None
    plugins: dict[tuple[PluginId, int], PluginRecord] = attrs.Factory(dict)
    begun: list[Begun] = attrs.Factory(list)
    ended: dict[CallId, Ended] = attrs.Factory(dict)
    items: defaultdict[CallId, list[Item]] = attrs.Factory(lambda: defaultdict(list))
    close: Close | None = None
    #: Calls that have begun and not ended so far.
    _open: set[CallId] = attrs.Factory(set)

    def take(self, record: Any) -> None:
        """Add one record; raise ValueError for one that cannot stand there."""
        if (self.head is None) != isinstance(record, Head) or self.close is not None:
            raise ValueError(f"a {type(record).__name__} stands in the wrong place")
        if isinstance(record, Item | Ended) and record.call_id not in self._open:
            raise ValueError(f"call {record.call_id} was not under way")
        match record:
            case Head():
                self.head = record
            case PluginRecord():
                self.plugins[record.id, record.edition] = record
            case Close():
                self._end(record)
            case _:
                self._take_of_call(record)

    def _take_of_call(self, record: Begun | Item | Ended) -> None:
        match record:
            case Begun():
                self.begun.append(record)
                self._open.add(record.call_id)
            case Item():
                self.items[record.call_id].append(record)
            case Ended():
                self._open.discard(record.call_id)
                self.ended[record.call_id] = record

    def _end(self, record: Close) -> None:
        self.close = record
        if record.calls != len(self.begun):
            raise ValueError(f"it has {len(self.begun)} calls and says {record.calls}")


@attrs.frozen(kw_only=True, eq=False)
class Session(Rooted, AbstractContextManager["Session"]):
    """One run as it was recorded.

    Its values are frozen; arguments and answers are read from the file when they are asked for, and
    checked against their digests then.
    """

    _instead = "open the recording there by its path, or pass on its calls"

    head: Head
    #: Every edition of every plugin that was there to be called.
    plugins: Mapping[tuple[PluginId, int], PluginRecord]
    #: In the order in which they began.
    calls: tuple[RecordedCall, ...]
    #: Whether the run was closed in order; otherwise it goes on, or its host was ended.
    whole: bool
    #: Bytes at the end of the file that are no whole frame: a write that a SIGKILL cut off.
    torn: int
    _pack: Pack

    @classmethod
    def open(cls, path: Path | str) -> Session:
        """Open the recording in the run directory *path*, or the file *path*.

        Raises:
            StorageError: ``recording.missing``.
            IntegrityError: ``recording.damaged``, exit code 4.
        """
        pack = Pack.open(Path(path))
        try:
            found = _gathered(pack)
            if found.head is None:
                raise _damaged(pack, "it has no head")
        except BaseException:
            pack.close()
            raise
        calls = (
            RecordedCall(
                index=index,
                begun=begun,
                ended=found.ended.get(begun.call_id),
                items=tuple(found.items.get(begun.call_id, ())),
            )
            for index, begun in enumerate(found.begun)
        )
        return cls(
            head=found.head,
            plugins=found.plugins,
            calls=tuple(calls),
            whole=found.close is not None,
            torn=pack.torn,
            pack=pack,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._pack.close()

    @property
    def path(self) -> Path:
        """The file."""
        return self._pack.path

    @property
    def seed(self) -> int | str:
        """The run's seed."""
        seed: int | str = wide(self.head.seed)
        return seed

    def call(self, call_id: str) -> RecordedCall:
        """Return the call with that id.

        Raises:
            ReplayError: ``replay.unknown_call``.
        """
        for each in self.calls:
            if each.call_id == call_id:
                return each
        last = f"; the last one is {self.calls[-1].call_id}" if self.calls else ""
        raise ReplayError(
            f"no call {call_id!r} among the {len(self.calls)} of run {self.head.run_id}{last}",
            code="replay.unknown_call",
        )

    def plugin_of(self, call: RecordedCall) -> PluginRecord | None:
        """Return the edition of the plugin that *call* went to; None for a builtin."""
        return self.plugins.get((call.begun.plugin, call.begun.edition))

    def payload(self, digest: str) -> bytes:
        """Return the canonical bytes with that digest.

        Raises:
            IntegrityError: ``recording.damaged``.
        """
        return self._pack.value(digest)

    def blobs(self, names: tuple[bytes, ...]) -> Blobs:
        """Return the blobs of these names, the SHA-256 of their bytes.

        Raises:
            IntegrityError: ``recording.damaged``.
        """
        return self._pack.blobs(names)

    def value(self, digest: str, blobs: tuple[bytes, ...] = ()) -> Any:
        """Return the value whose bytes have that digest.

        Raises:
            IntegrityError: ``recording.damaged``.
        """
        try:
            return decode(self.payload(digest), self.blobs(blobs))
        except NotCanonical as error:
            raise _damaged(self._pack, f"the value {digest} is not canonical: {error}") from None


def _gathered(pack: Pack) -> _Gathering:
    found = _Gathering()
    for each in pack.records:
        try:
            found.take(_RECORDS[each.kind].unpacked(pack.body(each)))
        except ValueError as error:
            raise _damaged(pack, f"the record at byte {each.start}: {error}") from None
    return found


def _damaged(pack: Pack, what: str) -> IntegrityError:
    return IntegrityError(f"{os.fspath(pack.path)}: {what}", code="recording.damaged")
