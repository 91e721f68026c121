"""Small reads that no other thread comes between."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from nxkernel._system.pollers import watcher
from nxkernel._system.reading import CHUNK, taker

Ends = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Ends]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    yield read, write
    for fd in (read, write):
        with suppress(OSError):
            os.close(fd)


@pytest.mark.parametrize("size", [1, 300, CHUNK, CHUNK + 1])
def test_what_is_there_is_read(pipe: Ends, size: int) -> None:
    """Bytes of any value, in their order, up to as many as are asked for."""
    read, write = pipe
    take = taker(read)
    data = bytes(number % 256 for number in range(1000))
    os.write(write, data)
    first = take(size)
    assert first == data[:size]
    if size == CHUNK:
        os.write(write, b"later")
        assert take(size) == b"later"
        assert first == data, "what was read before stays what it is"


@pytest.mark.parametrize("size", [10, CHUNK])
def test_nothing_to_read_and_the_end_are_told_apart(pipe: Ends, size: int) -> None:
    """As by ``os.read``: one is an error, the other no bytes; a closed descriptor is one too."""
    read, write = pipe
    take = taker(read)
    with pytest.raises(BlockingIOError):
        take(size)
    os.close(write)
    assert take(size) == b""
    os.close(read)
    with pytest.raises(OSError, match="Bad file descriptor"):
        take(size)


def test_a_look_sees_bytes_and_the_end(pipe: Ends) -> None:
    """Nothing is false; either of the two is true, as often as one looks."""
    read, write = pipe
    look = watcher(read)
    assert [bool(look()), bool(look())] == [False, False]
    os.write(write, b"x")
    assert [bool(look()), bool(look())] == [True, True]
    os.read(read, 1)
    assert not look()
    os.close(write)
    assert look()


def test_no_other_thread_runs_meanwhile(pipe: Ends) -> None:
    """One that could run for all the interpreter cares waits until looks and reads are over."""
    read, write = pipe
    look, take = watcher(read), taker(read)
    go, ran = threading.Event(), threading.Event()

    def other() -> None:
        go.wait()
        ran.set()

    thread, interval = threading.Thread(target=other), sys.getswitchinterval()
    thread.start()
    os.write(write, bytes(200))
    try:
        sys.setswitchinterval(3600)
        go.set()
        for _ in range(200):
            look()
            take(CHUNK) if look() else None
        seen = ran.is_set()
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert not seen
