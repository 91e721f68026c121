"""Pollers: what is ready within a time, by poll and by select alike."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import attrs
import pytest

from nxkernel._clock import SystemClock
from nxkernel._system import WINDOWS, System, current
from nxkernel._system.linux import LINUX
from nxkernel._system.pollers import waiter


@attrs.frozen
class Waiting:
    read: int
    write: int | None = None


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    left.setblocking(False)
    with left, right:
        yield left, right


both = pytest.mark.parametrize("system", [LINUX, WINDOWS], ids=lambda system: system.name)
Pair = tuple[socket.socket, socket.socket]


@both
def test_nothing_is_ready_before_the_time_is_up(system: System, pair: Pair) -> None:
    """A timeout is never found too early, however short it is."""
    before = SystemClock().monotonic()
    assert system.poll([Waiting(pair[0].fileno())], -1, 0.013) == set()
    assert SystemClock().monotonic() - before >= 0.013


@both
def test_data_and_the_end_of_it_make_a_descriptor_ready(system: System, pair: Pair) -> None:
    """A peer that is gone is something to read: its end."""
    left, right = pair
    right.send(b"x")
    assert system.poll([Waiting(left.fileno())], -1, None) == {left.fileno()}
    left.recv(1)
    right.close()
    assert system.poll([Waiting(left.fileno())], -1, None) == {left.fileno()}


@both
def test_room_to_write_makes_a_descriptor_ready(system: System, pair: Pair) -> None:
    """Asked for by those alone who have bytes left."""
    left, right = pair
    assert system.poll([Waiting(right.fileno(), left.fileno())], -1, None) == {left.fileno()}
    while True:
        try:
            left.send(bytes(1 << 16))
        except BlockingIOError:
            break
    assert system.poll([Waiting(left.fileno(), left.fileno())], -1, 0) == set()


@both
def test_the_ear_is_waited_for_as_well(system: System, pair: Pair) -> None:
    """It is how a bell ends a wait."""
    left, right = pair
    right.send(b"x")
    assert system.poll([], left.fileno(), None) == {left.fileno()}


@both
def test_a_writer_without_a_reader_is_ready(system: System) -> None:
    """What it writes fails, which it must learn."""
    read, write = os.pipe()
    other, _end = os.pipe()
    os.close(read)
    assert write in system.poll([Waiting(other, write)], -1, None)
    for fd in (write, other, _end):
        os.close(fd)


def test_a_waiter_says_what_a_poll_says() -> None:
    """Nothing, bytes, the end: as long as it is told, as often as it is asked."""
    read, write = os.pipe()
    own = waiter(read)
    assert own is not None
    wait = own.wait
    found = [bool(wait(0))]
    os.write(write, b"x")
    found += [bool(wait(60_000)), bool(wait(60_000))]
    os.read(read, 1)
    found.append(bool(wait(1)))
    own.renew()
    assert own.wait is not wait
    os.close(write)
    found += [bool(wait(60_000)), bool(own.wait(60_000))]
    os.close(read)
    assert found == [False, True, True, False, True, True]


def test_each_platform_has_its_table() -> None:
    """A platform that nobody has heard of is taken for a POSIX system."""
    names = [current(name).name for name in ("linux", "darwin", "win32", "freebsd14", "plan9")]
    assert names == ["linux", "bsd", "windows", "bsd", "bsd"]
