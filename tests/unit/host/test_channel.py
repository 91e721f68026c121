"""The host's end of a worker's wire: pieces of frames, full pipes, ends, lies about lengths."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel._wire import (
    Broker,
    Hello,
    Inline,
    Invoke,
    Pong,
    Result,
    Slice,
    Stop,
    pack,
    unpack_from_host,
)
from nxkernel.errors import ProtocolViolation
from nxkernel.host.channel import Channel

LIMIT = 1 << 20


@attrs.define
class Wire:
    """A channel and the worker's ends of its pipes."""

    channel: Channel
    #: Where the worker reads, where it writes.
    command: int
    result: int

    @classmethod
    def make(cls, limit: int = LIMIT) -> Wire:
        command_read, command_write = os.pipe()
        result_read, result_write = os.pipe()
        os.set_blocking(command_read, False)
        return cls(Channel(command_write, result_read, limit), command_read, result_write)

    def say(self, data: bytes) -> None:
        os.write(self.result, data)
        self.channel.pump()

    def heard(self) -> bytes:
        """All that the worker can read."""
        data = b""
        while True:
            try:
                piece = os.read(self.command, 1 << 16)
            except BlockingIOError:
                return data
            if not piece:
                return data
            data += piece

    def close(self) -> None:
        self.channel.close()
        for fd in (self.command, self.result):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A wire that is closed at the end."""
    made = Wire.make()
    yield made
    made.close()


def test_a_message_arrives_in_one_frame(wire: Wire) -> None:
    """What is sent is written at once when it fits."""
    wire.channel.send(Stop())
    assert wire.heard() == pack(Stop())
    assert not wire.channel.backlog


pieces = st.lists(
    st.builds(Inline, st.binary(max_size=9), st.binary(max_size=99))
    | st.builds(Slice, st.binary(max_size=9), st.integers(0, 9), st.integers(0, 9)),
    max_size=2,
)
messages = st.lists(
    st.one_of(
        st.builds(Pong, st.integers(0, 9)),
        st.builds(Result, st.integers(0, 9), st.binary(max_size=300), st.integers(0, 9), pieces),
        st.builds(
            Broker,
            st.just(1),
            st.just(1),
            st.text(max_size=5),
            st.binary(max_size=9),
            st.integers(0, 9),
            pieces,
        ),
    ),
    max_size=8,
)


@given(messages, st.lists(st.integers(1, 60), max_size=50))
def test_frames_may_come_in_any_pieces(sent: list[Pong], cuts: list[int]) -> None:
    """However the bytes are cut, the same messages come out, in order and none too early."""
    wire = Wire.make()
    data, whole, got = b"".join(map(pack, sent)), 0, []
    try:
        while data:
            size = cuts.pop() if cuts else len(data)
            wire.say(data[:size])
            whole += len(data[:size])
            data = data[size:]
            while (message := wire.channel.next()) is not None:
                got.append(message)
            assert sum(len(pack(m)) for m in got) <= whole
    finally:
        wire.close()
    assert got == sent


def test_a_worker_that_does_not_read_costs_no_time(wire: Wire) -> None:
    """More than a pipe holds becomes a backlog; it goes out when there is room."""
    big = Invoke(1, "impl", "call", bytes(500_000), b"")
    wire.channel.send(big)
    wire.channel.send(Stop())
    assert wire.channel.backlog
    data = b""
    while wire.channel.backlog:
        data += wire.heard()
        wire.channel.pump()
    data += wire.heard()
    assert data == pack(big) + pack(Stop())
    assert unpack_from_host(data[4 : len(pack(big))]) == big


def test_what_was_written_before_the_end_is_not_lost(wire: Wire) -> None:
    """A worker may answer and die: the answer comes first, then the end."""
    os.write(wire.result, pack(Pong(1)) + pack(Pong(2)))
    os.close(wire.result)
    wire.result = -1
    got = []
    while not wire.channel.closed:
        wire.channel.pump()
        while (message := wire.channel.next()) is not None:
            got.append(message)
    assert got == [Pong(1), Pong(2)]


def test_half_a_frame_and_an_end_is_an_end(wire: Wire) -> None:
    """A frame that is never finished is no message and no violation."""
    wire.say(pack(Pong(1))[:-1])
    os.close(wire.result)
    wire.result = -1
    wire.channel.pump()
    assert wire.channel.closed
    assert wire.channel.next() is None


def test_writing_to_a_dead_worker_is_silent(wire: Wire) -> None:
    """Its death is heard on the other pipe, where its last words are."""
    os.close(wire.command)
    wire.command = -1
    wire.channel.send(Stop())
    assert not wire.channel.backlog


def test_a_length_beyond_the_limit_is_refused_before_the_bytes_come(wire: Wire) -> None:
    """The host keeps nothing of it."""
    wire.say(struct.pack("<I", LIMIT + 1))
    with pytest.raises(ProtocolViolation, match=f"announces {LIMIT + 1} bytes"):
        wire.channel.next()


def test_a_length_at_the_limit_is_not(wire: Wire) -> None:
    """The limit itself may be used."""
    around = len(pack(Result(1, bytes(LIMIT), 0, []))) - 4 - LIMIT
    result = Result(1, bytes(LIMIT - around), 0, [])
    frame = pack(result)
    assert struct.unpack("<I", frame[:4]) == (LIMIT,)
    for start in range(0, len(frame), 1 << 15):
        wire.say(frame[start : start + (1 << 15)])
    assert wire.channel.next() == result


@given(st.binary(max_size=60))
def test_no_bytes_of_a_worker_raise_anything_else(data: bytes) -> None:
    """Garbage is a protocol violation, or waits for more."""
    wire = Wire.make(64)
    try:
        wire.say(data or b"\0")
        while wire.channel.next() is not None:
            pass
    except ProtocolViolation:
        pass  # The only exception that may come.
    finally:
        wire.close()


def test_a_flood_is_taken_in_bites(wire: Wire) -> None:
    """One pump takes a bounded number of bytes, so that other workers get their turn."""
    frame = pack(Hello(1, {}))
    os.set_blocking(wire.result, False)
    written = os.write(wire.result, frame * (60_000 // len(frame)))
    wire.channel.pump()
    count = 0
    while wire.channel.next() is not None:
        count += 1
    assert 0 < count * len(frame) <= written


def test_a_quiet_worker_has_nothing_to_say(wire: Wire) -> None:
    """Bytes that nobody asked for, or an end, make it not quiet."""
    assert wire.channel.quiet
    wire.say(b"\1")
    assert not wire.channel.quiet


def test_closing_twice_closes_once(wire: Wire) -> None:
    """The second time, the numbers may be another's."""
    wire.channel.close()
    spare = [os.dup(0), os.dup(0)]
    wire.channel.close()
    for fd in spare:
        os.close(fd)
    assert (wire.channel.command, wire.channel.result) == (-1, -1)
