"""The worker's end of the wire: whole messages, however their bytes come."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel._wire import Ping, pack
from nxkernel.errors import ProtocolViolation
from nxkernel.worker.pipe import HostGone, Pipe


@given(cuts=st.sets(st.integers(1, 60)), count=st.integers(1, 6))
def test_every_message_is_taken_once_and_in_order(cuts: set[int], count: int) -> None:
    """In pieces, several at once, or each by itself; then the host's end is seen."""
    data = b"".join(pack(Ping(seq=seq)) for seq in range(count))
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    chunks = iter([*pieces, b""])
    pipe = Pipe(read=lambda _: next(chunks), write=len, descriptor=-1)
    assert [pipe.receive() for _ in range(count)] == [Ping(seq=seq) for seq in range(count)]
    with pytest.raises(HostGone):
        pipe.receive()


def test_what_has_come_and_was_not_taken_waits() -> None:
    """Whether it lies in the pipe, or was read with the message before it."""
    command, host = os.pipe()
    try:
        pipe = Pipe(command=command, write=len)
        assert not pipe.waiting
        os.write(host, b"".join(pack(Ping(seq=seq)) for seq in range(3)))
        seen = []
        for _ in range(3):
            seen.append(pipe.waiting)
            pipe.receive()
        assert (seen, pipe.waiting) == ([True] * 3, False)
        os.write(host, pack(Ping(seq=3)))
        assert (pipe.waiting, pipe.receive(), pipe.waiting) == (True, Ping(seq=3), False)
    finally:
        os.close(command)
        os.close(host)


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x90", b"\x92\xa4Ping", b"\x92\xa4Nope\x01"])
def test_a_frame_without_a_message_is_a_violation(body: bytes) -> None:
    """Alone or behind another one."""
    frame = len(body).to_bytes(4, "little") + body
    for before in (b"", pack(Ping(seq=1))):
        chunks = iter([before + frame, b""])
        pipe = Pipe(read=lambda _, chunks=chunks: next(chunks), write=len, descriptor=-1)
        if before:
            assert pipe.receive() == Ping(seq=1)
        with pytest.raises(ProtocolViolation):
            pipe.receive()
