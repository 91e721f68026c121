"""Memory that the host shares with one worker: a file in memory, of one size for good.

Seals keep its size: made smaller under the host's feet it would end the host with SIGBUS.
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress

from nxkernel._system.holding import close_all, into

__all__ = ["Memory", "memory_file", "read_only"]

_MFD_NOEXEC_SEAL = 0x8
#: Nobody may open it for writing any more, its owner neither; who has it open writes on.
_READ_BY_OWNER = 0o400


def memory_file() -> int:
    """Return the descriptor of a new, empty file in memory. Raises OSError."""
    if sys.platform != "linux":
        raise OSError("no files in memory on this system")
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create("nxkernel-arena", flags | _MFD_NOEXEC_SEAL)
    except OSError:  # Linux before 6.3
        return os.memfd_create("nxkernel-arena", flags)


def read_only(holder: list[int], fd: int) -> None:
    """Append a descriptor of the same file through which nothing can be written. Raises OSError.

    Nor can it be opened once more for writing, by way of /proc: its mode forbids that to everybody
    who has no capability and may not change it, as is so for a confined worker. A seal against
    writing would do the same at any level, but also keep the host from giving memory back.
    """
    if sys.platform == "win32":
        raise OSError("no files in memory on this system")
    os.fchmod(fd, _READ_BY_OWNER)
    into(holder, os.open, f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)


class Memory:
    """A file in memory, which the host has mapped once it needs it."""

    def __init__(self, fd: int, size: int) -> None:
        """Make *fd*, an empty file in memory, *size* bytes large; it is this object's from now on.

        Raises:
            OSError: when that cannot be; *fd* stays the caller's then.
        """
        self.size = size
        self._map: mmap.mmap | None = None
        self.view = memoryview(b"")
        #: How far it has been used since memory was last given back.
        self.used = 0
        _make_rigid(fd, size)
        self.fd, self._held = fd, [fd]

    def reaches(self, end: int) -> bool:
        """Make memory usable up to *end*; return whether it is."""
        if end <= self.used:
            return True
        try:
            if self._map is None:
                self._map = mmap.mmap(self.fd, self.size)
                self.view = memoryview(self._map)
            # Had here, where it can be refused: to lack it when it is touched is a SIGBUS.
            if sys.platform == "linux":
                os.posix_fallocate(self.fd, self.used, end - self.used)
        except OSError:
            return False
        self.used = end
        return True

    def copied(self, offset: int, size: int) -> bytes:
        """Return a copy of what lies there."""
        if sys.platform != "win32" and not self.reaches(offset + size):
            return os.pread(self.fd, size, offset)  # slower, and without memory of its own
        return bytes(self.view[offset : offset + size])

    def give_back(self, kept: int) -> None:
        """Give back all but the first *kept* bytes, of whole pages: nothing lies beyond.

        Unless the application has locked its memory, by mlockall(2): then this stays as well.
        """
        if sys.platform == "linux" and self._map is not None and self.used > kept:
            end = -(-self.used // mmap.PAGESIZE) * mmap.PAGESIZE
            with suppress(OSError):
                self._map.madvise(mmap.MADV_REMOVE, kept, end - kept)
                self.used = kept

    def close(self) -> None:
        """Do without it; the worker may still have it. Safe to call twice."""
        self.fd, self.used = -1, 0
        mapped, self._map = self._map, None
        self.view.release()
        self.view = memoryview(b"")
        if mapped is not None:
            mapped.close()
        close_all(self._held)


def _make_rigid(fd: int, size: int) -> None:
    """Give the file its size for good."""
    if sys.platform != "linux":
        raise OSError("no files in memory on this system")
    import fcntl

    os.ftruncate(fd, size)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
