"""One worker's arena: memory that it shares with the host, for the bytes of large blobs.

A file in memory that the host makes and the worker inherits, in two halves. In the first lies what
the host sends, and the worker reads it in place; in the second the worker puts what it sends, and
the host copies it before it looks at it. No other worker has it, so whatever this one writes into
it harms itself alone. It can be made neither smaller, which would end the host with SIGBUS, nor
larger; its memory is used again, so that a blob costs one copy and no new pages.

What lies in the first half is a stack, as the calls of a worker are: a call's blobs lie above those
of the calls below it, and go with it. They cannot go earlier, and need not stay longer: a worker
copies what its plugin keeps before it answers.
"""

from __future__ import annotations

import mmap
import os
import sys

import attrs

from nxkernel._blob import NONE, Blob, Blobs, name_of
from nxkernel._system.holding import close_all
from nxkernel._wire import ALIGNMENT, Slice

__all__ = ["Arena", "aligned", "memory_file"]

#: Memory of each half that is kept between calls; what is used beyond it is given back.
KEPT = 16 << 20
_MFD_NOEXEC_SEAL = 0x8


def aligned(offset: int) -> int:
    """Return the first place at or after *offset* where a blob may begin."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def memory_file() -> int:
    """Return the descriptor of a new, empty file in memory. Raises OSError."""
    if sys.platform != "linux":
        raise OSError("no files in memory on this system")
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create("nxkernel-arena", flags | _MFD_NOEXEC_SEAL)
    except OSError:  # Linux before 6.3
        return os.memfd_create("nxkernel-arena", flags)


@attrs.frozen
class _Lying:
    """A blob in the first half."""

    blob: Blob
    end: int


class Arena:
    """The host's side of an arena."""

    def __init__(self, fd: int, half: int) -> None:
        """Make an arena of *fd*, an empty file in memory that is this object's from now on.

        *half*: bytes of each half, at most.

        Raises:
            OSError: when it cannot be made; *fd* stays the caller's then.
        """
        self.half = aligned(half)
        self._lying: list[_Lying] = []
        self._map: mmap.mmap | None = None
        self._memory = memoryview(b"")
        #: How far the halves have been used since memory was last given back.
        self._used = [0, 0]
        _make_rigid(fd, 2 * self.half)
        self.fd, self._held = fd, [fd]

    # -- from the host ---------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """How many blobs lie in the first half."""
        return len(self._lying)

    def put(self, blob: Blob) -> Slice | None:
        """Put *blob* on top, or return None where there is no room."""
        at = aligned(self._lying[-1].end) if self._lying else 0
        end = at + blob.size
        if end > self.half or not self._reaches(0, end):
            return None
        self._memory[at:end] = blob.view()
        self._lying.append(_Lying(blob, end))
        return Slice(name_of(blob), at, blob.size)

    def since(self, height: int) -> Blobs:
        """Return the blobs from *height* upwards: what the call has that began there."""
        if height >= len(self._lying):
            return NONE
        return {name_of(each.blob): each.blob for each in self._lying[height:]}

    def lower(self, height: int) -> None:
        """Take away what lies above *height*."""
        del self._lying[height:]
        if not self._lying and max(self._used) > KEPT:
            self.give_back(KEPT)

    # -- from the worker -------------------------------------------------------------------------

    def copied(self, offset: int, size: int) -> bytes:
        """Return a copy of what lies in the second half."""
        begin = self.half + offset
        if sys.platform != "win32" and not self._reaches(1, offset + size):
            return os.pread(self.fd, size, begin)  # slower, and without memory of the arena's own
        return bytes(self._memory[begin : begin + size])

    # -- memory ----------------------------------------------------------------------------------

    def _reaches(self, which: int, end: int) -> bool:
        """Make memory of one half usable up to *end*; return whether it is."""
        if end <= self._used[which]:
            return True
        try:
            if self._map is None:
                self._map = mmap.mmap(self.fd, 2 * self.half)
                self._memory = memoryview(self._map)
            # Had here, where it can be refused: to lack it when it is touched is a SIGBUS.
            start = which * self.half + self._used[which]
            if sys.platform == "linux":
                os.posix_fallocate(self.fd, start, end - self._used[which])
        except OSError:
            return False
        self._used[which] = end
        return True

    def give_back(self, kept: int = 0) -> None:
        """Give back the memory of each half beyond its first *kept* bytes: nothing lies there."""
        if sys.platform != "linux" or self._map is None:
            return
        for which, used in enumerate(self._used):
            if used > kept:
                start = which * self.half + kept
                self._map.madvise(mmap.MADV_REMOVE, start, aligned(used) - kept)
                self._used[which] = kept

    def close(self) -> None:
        """Do without it; the worker may still have it. Safe to call twice."""
        self.fd = -1
        mapped, self._map = self._map, None
        self._lying.clear()
        self._used = [0, 0]
        self._memory.release()
        self._memory = memoryview(b"")
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
