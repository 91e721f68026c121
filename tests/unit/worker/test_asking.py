"""What a plugin's context asks, over a wire in memory: of the host, and of the call on top."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from nxkernel._blob import Blob
from nxkernel._canonical import encode
from nxkernel._streams import Streams
from nxkernel._wire import Broker, Ping, Reply, pack, unpack_from_worker
from nxkernel.errors import CallRejected, NxError
from nxkernel.worker.asking import Asking
from nxkernel.worker.crossing import Crossing
from nxkernel.worker.frames import Frame
from nxkernel.worker.parcels import Parcels
from nxkernel.worker.pipe import Pipe


class Desk:
    """The host's end: says what it was given, and keeps what it was asked and what was let by."""

    def __init__(self, *messages: Any, closed: frozenset[int] = frozenset()) -> None:
        self._left = iter(messages)
        self.asked: list[Broker] = []
        self.others: list[Any] = []
        self.closed = set(closed)
        self.stack = [Frame(seq=0, streams=Streams(bytes(32)))]
        self.asking = Asking(
            self.pipe(),
            self.crossing(),
            self.stack,
            accept=self.others.append,
            closing=lambda seq: seq in self.closed,
        )

    def pipe(self) -> Pipe:
        """The worker's end."""
        return Pipe(read=lambda _: pack(next(self._left)), write=self._write, descriptor=-1)

    @staticmethod
    def crossing() -> Crossing:
        """Without an arena; of its setup nothing is looked at by a request of this size."""
        return Crossing(_Setup(), Parcels())  # type: ignore[arg-type]

    def _write(self, data: bytes | memoryview) -> int:
        message = unpack_from_worker(bytes(data)[4:])
        assert isinstance(message, Broker)
        self.asked.append(message)
        return len(data)

    def enter(self, seq: int) -> Frame:
        """Have a call be on top."""
        self.stack.append(Frame(seq=seq, streams=Streams(bytes(31) + bytes([seq]))))
        return self.stack[-1]


class _Setup:
    max_payload = 1 << 20
    output_mb = None


def reply(value: Any, seq: int = 1, error: tuple[str, str, str] | None = None) -> Reply:
    """What the host answers."""
    return Reply(seq=seq, payload=encode(value), error=error)


def test_a_reply_is_the_value() -> None:
    """It is asked for in the name of the call on top, under a number of its own."""
    desk = Desk(reply({"a": 1}), reply(None, 2))
    desk.enter(7)
    assert desk.asking.call("read", {"at": 1}) == {"a": 1}
    assert desk.asking.call("read", {}) is None
    assert [(each.seq, each.within, each.hook) for each in desk.asked] == [
        (1, 7, "read"),
        (2, 7, "read"),
    ]


def test_an_error_is_raised_with_its_origin() -> None:
    """Its code decides of which class it is."""
    desk = Desk(reply(None, error=("policy.denied", "no", "ocr.rapid")))
    desk.enter(1)
    with pytest.raises(NxError, match="no") as caught:
        desk.asking.call("read", {})
    assert (caught.value.code, caught.value.origin) == ("policy.denied", "ocr.rapid")  # type: ignore[attr-defined]


def test_what_is_no_reply_is_taken_meanwhile() -> None:
    """Whoever waits for a reply keeps nobody else waiting."""
    desk = Desk(Ping(seq=5), Ping(seq=6), reply(1))
    desk.enter(1)
    assert desk.asking.call("read", {}) == 1
    assert [each.seq for each in desk.others] == [5, 6]


def test_a_blob_goes_along() -> None:
    """What the host does not have yet travels with the question."""
    blob = Blob(b"x" * 10)
    desk = Desk(reply(1))
    desk.enter(1)
    desk.asking.call("read", {"image": blob})
    assert [piece.data for piece in desk.asked[0].blobs] == [blob.bytes()]  # type: ignore[union-attr]


def test_nothing_is_asked_outside_a_call_or_in_another_thread() -> None:
    """Refused before anything is sent: the wire has one order."""
    desk = Desk()
    with pytest.raises(CallRejected, match="not before"):
        desk.asking.call("read", {})
    desk.enter(1)
    refused: list[Any] = []

    def ask() -> None:
        with pytest.raises(CallRejected, match="in the thread") as caught:
            desk.asking.call("read", {})
        refused.append(caught.value)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert (len(refused), desk.asked) == (1, [])


def test_a_stream_that_was_closed_asks_no_more() -> None:
    """Neither anew, nor does it wait on for a reply that will not come."""
    desk = Desk(Ping(seq=1), closed=frozenset({3}))
    desk.enter(3)
    with pytest.raises(CallRejected, match="closed"):
        desk.asking.call("read", {})
    assert desk.asked == []

    desk.closed.clear()
    desk.others = _Closes(desk)  # type: ignore[assignment]
    desk.asking._accept = desk.others.append
    with pytest.raises(CallRejected, match="closed"):
        desk.asking.call("read", {})
    assert len(desk.asked) == 1


class _Closes(list[Any]):
    """Closes the stream on top with the first message that is no reply."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def append(self, message: Any) -> None:
        self.desk.closed.add(self.desk.stack[-1].seq)


def test_another_end_is_asked_from_the_first_number_on() -> None:
    """In the fork of a template nothing has been asked yet."""
    desk = Desk(reply(1), reply(2))
    desk.enter(1)
    desk.asking.call("read", {})
    desk.asking.begin_again(desk.pipe(), desk.crossing())
    desk.asking.call("read", {})
    assert [each.seq for each in desk.asked] == [1, 1]


def test_what_belongs_to_a_call_is_that_of_the_one_on_top() -> None:
    """What it draws from, its span and its rows; with the next call they are others."""
    desk = Desk()
    outer = desk.enter(1)
    inner = desk.enter(2)
    asking = desk.asking
    assert (asking.streams(), asking.tally()) == (inner.streams, inner.meter.tally)
    desk.stack.pop()
    outer.traceparent = "00-1-2-01"
    assert (asking.streams(), asking.traceparent()) == (outer.streams, "00-1-2-01")
