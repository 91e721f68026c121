"""The channel of one call's process: what another process writes is a violation."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from nxkernel._wire import Pong, pack
from nxkernel.errors import ProtocolViolation
from nxkernel.host.signed import SignedChannel, signed
from tests.support.descriptors import open_files

#: Writes to a socket that it inherits, and says its pid.
WRITER = """
import os, sys
os.write(int(sys.argv[1]), bytes.fromhex(sys.argv[2]))
print(os.getpid())
"""


@pytest.fixture
def ends() -> Iterator[tuple[SignedChannel, socket.socket]]:
    ours, theirs = signed()
    channel = SignedChannel(ours, 1 << 20)
    yield channel, theirs
    channel.close()
    theirs.close()


def write(theirs: socket.socket, data: bytes) -> int:
    """Have another process write; returns its pid."""
    number = theirs.fileno()
    done = subprocess.run(
        [sys.executable, "-S", "-c", WRITER, str(number), data.hex()],
        pass_fds=(number,),
        capture_output=True,
        check=True,
    )
    return int(done.stdout)


def test_the_first_writer_is_whose_channel_it_is(
    ends: tuple[SignedChannel, socket.socket],
) -> None:
    """The system says who that is, not what was written."""
    channel, theirs = ends
    pid = write(theirs, pack(Pong(seq=1)))
    channel.pump()
    assert (channel.next(), channel.writer) == (Pong(seq=1), pid)


def test_what_another_process_writes_is_a_violation(
    ends: tuple[SignedChannel, socket.socket],
) -> None:
    """Even if it has the same descriptor, and writes what the first one could have written."""
    channel, theirs = ends
    write(theirs, pack(Pong(seq=1)))
    channel.pump()
    assert channel.next() == Pong(seq=1)
    theirs.sendall(pack(Pong(seq=2)))
    channel.pump()
    with pytest.raises(ProtocolViolation, match="another process"):
        channel.next()


def test_the_end_is_an_end(ends: tuple[SignedChannel, socket.socket]) -> None:
    """Whoever closes without a word has said nothing."""
    channel, theirs = ends
    theirs.close()
    channel.pump()
    assert (channel.next(), channel.closed, channel.writer) == (None, True, 0)


def test_descriptors_are_not_taken(ends: tuple[SignedChannel, socket.socket]) -> None:
    """A process that may send them cannot fill the host with open files."""
    channel, theirs = ends
    before = len(open_files())
    socket.send_fds(theirs, [pack(Pong(seq=1))], [theirs.fileno()] * 8)
    channel.pump()
    assert channel.next() == Pong(seq=1)
    assert len(open_files()) == before
