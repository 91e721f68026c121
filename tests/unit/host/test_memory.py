"""Memory that is shared with a worker: its size, who may write, and what is given back."""

from __future__ import annotations

import ctypes
import mmap
import os
import stat
from collections.abc import Callable, Iterator

import pytest

from nxkernel._system.holding import close_all
from nxkernel.host.memory import Memory, memory_file, read_only

SIZE = 1 << 20


@pytest.fixture
def memory() -> Iterator[Memory]:
    made = Memory(memory_file(), SIZE)
    yield made
    made.close()


@pytest.fixture
def lent(memory: Memory) -> Iterator[int]:
    held: list[int] = []
    read_only(held, memory.fd)
    yield held[0]
    close_all(held)


def _by_a_copy(fd: int) -> None:
    copy = os.dup(fd)
    try:
        os.write(copy, b"x")
    finally:
        os.close(copy)


WRITES: dict[str, Callable[[int], object]] = {
    "write": lambda fd: os.pwrite(fd, b"x", 0),
    "mapping": lambda fd: mmap.mmap(fd, SIZE),
    "truncate": lambda fd: os.ftruncate(fd, 0),
    "allocate": lambda fd: os.posix_fallocate(fd, 0, SIZE),
    "copy": _by_a_copy,
    "flags": lambda fd: (os.set_blocking(fd, False), os.pwrite(fd, b"x", 0)),
}


@pytest.mark.parametrize("way", WRITES)
def test_what_is_lent_is_read_alone(memory: Memory, lent: int, way: str) -> None:
    """Through the worker's descriptor nothing changes; through the host's, before its eyes."""
    assert memory.reaches(SIZE)
    memory.view[:4] = b"host"
    with pytest.raises(OSError):
        WRITES[way](lent)
    with mmap.mmap(lent, SIZE, prot=mmap.PROT_READ) as seen:
        assert seen[:4] == b"host"
        memory.view[:4] = b"more"
        assert seen[:4] == b"more"


def test_nobody_may_open_it_for_writing(memory: Memory, lent: int) -> None:
    """Its mode has no bit for that, and the worker has no capability that does without."""
    for fd in (memory.fd, lent):
        assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o400
    assert not os.get_inheritable(lent)


def test_the_host_gives_back_what_is_lent(memory: Memory, lent: int) -> None:
    """The worker's descriptor keeps nothing: what was there reads as zeros."""
    memory.reaches(SIZE)
    memory.view[:] = b"x" * SIZE
    memory.give_back(1 << 16)
    assert os.fstat(memory.fd).st_blocks * 512 == 1 << 16
    assert os.pread(lent, SIZE, 0) == b"x" * (1 << 16) + bytes(SIZE - (1 << 16))


def test_what_was_given_back_is_had_again_before_it_is_used(memory: Memory) -> None:
    """Where it can be refused: to lack it when it is touched would end the host."""
    assert memory.reaches(SIZE)
    memory.give_back(0)
    assert os.fstat(memory.fd).st_blocks == 0
    assert memory.reaches(mmap.PAGESIZE)
    assert os.fstat(memory.fd).st_blocks * 512 == mmap.PAGESIZE


def test_locked_memory_stays(memory: Memory) -> None:
    """An application that keeps all it has from being paged out keeps this too; nothing fails."""
    assert memory.reaches(SIZE)
    byte = ctypes.c_char.from_buffer(memory.view, SIZE - mmap.PAGESIZE)
    libc = ctypes.CDLL(None, use_errno=True)
    page = ctypes.c_void_p(ctypes.addressof(byte)), ctypes.c_size_t(mmap.PAGESIZE)
    assert libc.mlock(*page) == 0, ctypes.get_errno()
    memory.give_back(0)
    assert os.fstat(memory.fd).st_blocks
    assert libc.munlock(*page) == 0, ctypes.get_errno()
    del byte
    memory.give_back(0)
    assert os.fstat(memory.fd).st_blocks == 0


def test_its_size_is_for_good(memory: Memory) -> None:
    """A smaller one would end the host with SIGBUS."""
    for size in (0, SIZE - 1, SIZE + 1):
        with pytest.raises(OSError):
            os.ftruncate(memory.fd, size)
