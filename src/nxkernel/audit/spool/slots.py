"""Calls in flight: a file in memory with a slot for each, filled before the worker sees the call.

The file is a row of slots, each ``u32 capacity, u32 length, u32 crc, u32 segment, u64 offset`` and
room for *capacity* bytes. A length of 0 says that the slot is free. ``segment`` and ``offset`` say
where the call's row is about to be appended: a kernel that dies between the row and the clearing
of the slot leaves both, and whoever finds the row there knows that the call has ended.

The first slot is nobody's. Its first byte is the *fence*: whoever takes what a dead kernel has left
sets it before he reads. A kernel that finds it set was taken for dead, and must not say of any row
that it is on record.

Stores into mapped memory survive the death of the process like writes, at a tenth of their cost.
The file is written with zeros before it is mapped, because a store to a page that the disk has no
room for ends the process.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs

from nxkernel._system import files

__all__ = [
    "CHUNK",
    "FENCE",
    "MAX_BYTES",
    "Found",
    "Slot",
    "Slots",
    "fence",
    "found_slots",
    "is_sound",
]

_HEAD = struct.Struct("<IIIIQ")
_HEAD_BYTES = _HEAD.size
_fill = struct.Struct("<IIIQ").pack_into  # what is behind the capacity
_aim = struct.Struct("<IQ").pack_into
_crc = zlib.crc32
_CAPACITY = struct.Struct("<I")
#: Where the fence is.
FENCE = _HEAD.size
#: How much the file grows at a time; the least that any system maps.
CHUNK = 1 << 16
#: The sizes of slots, heads included. Nearly every call fits the first.
_SIZES = (1 << 9, 1 << 11, 1 << 13, CHUNK)
#: Longest entry.
MAX_BYTES = CHUNK - _HEAD.size
#: Longest entry of the first size.
_USUAL = _SIZES[0] - _HEAD.size
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | files.CLOEXEC | files.BINARY


@attrs.define(eq=False)
class Slot:
    """A place in the file; whoever took it gives it back."""

    _memory: mmap.mmap
    _start: int
    size: int

    def fill(self, data: bytes) -> None:
        """Say that a call is in flight; the checksum is written last."""
        memory, start, length = self._memory, self._start, len(data)
        body = start + _HEAD_BYTES
        memory[body : body + length] = data
        _fill(memory, start + 4, length, _crc(data, length), 0, 0)

    def aim(self, segment: int, offset: int) -> None:
        """Say where the call's row is about to be; 0, 0 takes it back."""
        _aim(self._memory, self._start + 12, segment, offset)

    def clear(self) -> None:
        """Say that the call is over."""
        _fill(self._memory, self._start + 4, 0, 0, 0, 0)

    def flush(self) -> None:
        """Make the slot durable. Raises OSError."""
        self._memory.flush()


class Slots:
    """The slots of one spool. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        """Create the file, empty.

        Raises:
            OSError: when it cannot be made.
        """
        self._fd = os.open(path, _FLAGS, 0o600)
        self._size = 0
        self._maps: list[mmap.mmap] = []
        #: The first of them: at :data:`FENCE` it has the fence.
        self.first: mmap.mmap
        self._free: dict[int, list[Slot]] = {size: [] for size in _SIZES}
        self._usual = self._free[_SIZES[0]]
        try:
            self._grow(_SIZES[0])
            self.first = self._maps[0]
        except BaseException:
            self.close()
            path.unlink()
            raise
        self._free[_SIZES[0]].pop()

    @property
    def is_fenced(self) -> bool:
        """Whether somebody has taken this process for dead."""
        return self.first[FENCE] != 0

    def set_fence(self) -> None:
        """Keep this process itself out."""
        self.first[FENCE] = 1

    @property
    def is_gone(self) -> bool:
        """Whether the file has no name any more."""
        return os.fstat(self._fd).st_nlink == 0

    def take(self, length: int) -> Slot:
        """Return a free slot for *length* bytes.

        Raises:
            OverflowError: when no slot is as large.
            OSError: when the file cannot grow.
        """
        if length <= _USUAL and self._usual:
            return self._usual.pop()
        for size in _SIZES:
            if length <= size - _HEAD.size:
                if not self._free[size]:
                    self._grow(size)
                return self._free[size].pop()
        raise OverflowError(f"a call whose facts take {length} bytes fits no slot")

    def give_back(self, slot: Slot) -> None:
        """Take *slot*, which was cleared, for another call."""
        self._free[slot.size].append(slot)

    def filled(self) -> Iterator[tuple[Slot, Found]]:
        """Yield each slot that says of a call that it is in flight, and what it says."""
        for memory in self._maps:
            for found in found_slots(memory[:]):
                yield Slot(memory, found.start, found.size), found

    def _grow(self, size: int) -> None:
        head = _CAPACITY.pack(size - _HEAD.size)
        chunk = (head + bytes(size - len(head))) * (CHUNK // size)
        os.lseek(self._fd, self._size, os.SEEK_SET)
        if os.write(self._fd, chunk) != CHUNK:
            raise OSError(28, os.strerror(28))
        memory = mmap.mmap(self._fd, CHUNK, offset=self._size)
        self._maps.append(memory)
        self._size += CHUNK
        self._free[size] += [Slot(memory, at, size) for at in range(CHUNK - size, -1, -size)]

    def sync(self) -> None:
        """Make the file durable. Raises OSError."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Unmap and close the file; no slot of it is to be used any more."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._free.clear()
            self._usual = []
            for memory in self._maps:
                memory.close()
            with suppress(OSError):
                os.close(fd)


def fence(path: Path) -> None:
    """Set the fence in the file at *path*; without a file there is nobody to keep out.

    Raises:
        OSError: when it cannot be set.
    """
    try:
        fd = os.open(path, os.O_WRONLY | files.CLOEXEC | files.BINARY)
    except FileNotFoundError:
        return
    try:
        os.lseek(fd, FENCE, os.SEEK_SET)
        os.write(fd, b"\1")
    finally:
        os.close(fd)


@attrs.frozen
class Found:
    """A call that was in flight when the file was read."""

    payload: bytes
    #: Where its row is, if its kernel came as far as that.
    segment: int
    offset: int
    #: Its place in what was read, and how long it is.
    start: int = attrs.field(default=0, eq=False)
    size: int = attrs.field(default=0, eq=False)


def found_slots(data: bytes) -> Iterator[Found]:
    """Yield the calls in flight of a file whose content is *data*.

    A slot whose checksum is wrong was just being filled: its call was not made.
    """
    start = 0
    while start + _HEAD.size <= len(data):
        capacity, length, crc, segment, offset = _HEAD.unpack_from(data, start)
        body = start + _HEAD.size
        if capacity + _HEAD.size not in _SIZES:
            # A chunk that was not wholly written, or damage: the next one may be sound.
            start = (start // CHUNK + 1) * CHUNK
            continue
        payload = data[body : body + length]
        if 1 <= length <= capacity and zlib.crc32(payload, length) == crc:
            yield Found(payload, segment, offset, start, _HEAD.size + capacity)
        start = body + capacity


def is_sound(data: bytes) -> bool:
    """Whether every chunk that is all there is one of slots; what they say is not looked at."""
    for chunk in range(0, len(data) - CHUNK + 1, CHUNK):
        (capacity,) = _CAPACITY.unpack_from(data, chunk)
        size = capacity + _HEAD.size
        if size not in _SIZES:
            return False
        for at in range(chunk, chunk + CHUNK, size):
            if _CAPACITY.unpack_from(data, at) != (capacity,):
                return False
    return True
