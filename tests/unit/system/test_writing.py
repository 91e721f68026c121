"""Small writes that no other thread comes between."""

from __future__ import annotations

import errno
import os
import sys
import threading
from pathlib import Path

import pytest

from nxkernel._system.writing import LONGEST, put


@pytest.mark.parametrize("size", [0, 1, 300, LONGEST, LONGEST + 1, 1 << 20])
def test_all_of_it_is_written(tmp_path: Path, size: int) -> None:
    """Bytes of any value and any number; the answer is how many."""
    data = bytes(number % 256 for number in range(size))
    fd = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    try:
        assert put(fd, data) == size
    finally:
        os.close(fd)
    assert (tmp_path / "file").read_bytes() == data


@pytest.mark.parametrize("size", [1, LONGEST + 1])
def test_what_the_system_refuses_is_an_oserror(size: int) -> None:
    """With its number, however large the write: a full disk, a closed descriptor."""
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OSError, match="No space left") as caught:
            put(full, bytes(size))
        assert caught.value.errno == errno.ENOSPC
    finally:
        os.close(full)
    with pytest.raises(OSError, match="Bad file descriptor"):
        put(full, bytes(size))


def test_no_other_thread_runs_meanwhile(tmp_path: Path) -> None:
    """One that could run for all the interpreter cares waits until the writes are over."""
    go, ran = threading.Event(), threading.Event()

    def other() -> None:
        go.wait()
        ran.set()

    thread = threading.Thread(target=other)
    thread.start()
    fd, interval = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT), sys.getswitchinterval()
    try:
        sys.setswitchinterval(3600)
        go.set()
        for _ in range(200):
            put(fd, b"a row")
        seen = ran.is_set()
    finally:
        sys.setswitchinterval(interval)
        os.close(fd)
        thread.join()
    assert not seen
