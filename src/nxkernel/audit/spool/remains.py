"""Reading what kernels have left in a folder of spools: for the drainer, and for readers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import msgspec

from nxkernel._system import files
from nxkernel.audit.spool.entries import Entry, Fact, read_entry, read_open
from nxkernel.audit.spool.folder import SpoolName
from nxkernel.audit.spool.frames import HEAD_BYTES, MAX_BYTES, frames
from nxkernel.audit.spool.segments import MAGIC
from nxkernel.audit.spool.slots import Found, found_slots

__all__ = ["STEP", "Chunk", "Remains", "opened", "read_chunk", "torn"]

#: How much is read at a time.
STEP = 1 << 20
_READ = os.O_RDONLY | files.CLOEXEC | files.BINARY


@attrs.frozen
class Chunk:
    """Rows of a segment from one place to another."""

    entries: tuple[Entry, ...]
    #: Behind the last of them.
    end: int
    #: Whether nothing is behind that, not even what is no row.
    is_all: bool


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Yield a descriptor to read the file at *path*.

    Raises:
        OSError: when it cannot be opened.
    """
    fd = os.open(path, _READ)
    try:
        yield fd
    finally:
        os.close(fd)


def read_chunk(fd: int, offset: int) -> Chunk:
    """Return the rows from *offset* on, about :data:`STEP` bytes of them.

    None of them, and not ``is_all``: what is there is no whole row.

    Raises:
        OSError: when the file cannot be read.
    """
    data = _read(fd, offset, STEP)
    found, end = _entries(data, 0 if offset else _behind_magic(data), offset)
    if not found and len(data) == STEP:
        data = _read(fd, offset, HEAD_BYTES + MAX_BYTES + len(MAGIC))
        found, end = _entries(data, 0 if offset else _behind_magic(data), offset)
    return Chunk(tuple(found), offset + end, offset + end == os.fstat(fd).st_size)


def _behind_magic(data: bytes) -> int:
    return len(MAGIC) if data.startswith(MAGIC) else -1


def _entries(data: bytes, start: int, offset: int = 0) -> tuple[list[Entry], int]:
    """Return the rows in *data*, which is at *offset*, and where they end in it.

    A row that says nothing ends them.
    """
    found: list[Entry] = []
    end = max(start, 0)
    if start >= 0:
        for payload, behind in frames(data, start):
            try:
                found.append(read_entry(payload, offset + behind))
            except (msgspec.DecodeError, UnicodeDecodeError):
                break
            end = behind
    return found, end


def _read(fd: int, offset: int, length: int) -> bytes:
    os.lseek(fd, offset, os.SEEK_SET)
    parts: list[bytes] = []
    while length > 0 and (part := os.read(fd, length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def torn(fd: int, offset: int) -> str:
    """Return how a segment ends that has something behind *offset* which is no row."""
    digest, length = hashlib.sha256(), 0
    while data := _read(fd, offset + length, STEP):
        digest.update(data)
        length += len(data)
    return f"torn:{length}:{digest.hexdigest()}"


@attrs.frozen
class Remains:
    """The calls in flight of one spool."""

    folder: Path
    name: SpoolName

    def in_flight(self) -> list[tuple[int, tuple[Fact, ...]]]:
        """Return number and facts of each call in flight, in the order in which they began.

        Raises:
            OSError: when the files cannot be read; without a file there is none.
        """
        try:
            with opened(self.folder / self.name.slots) as fd:
                data = _read(fd, 0, os.fstat(fd).st_size)
        except FileNotFoundError:
            return []
        said = [self._said(found) for found in found_slots(data)]
        return sorted((call for call in said if call is not None), key=lambda call: call[0])

    def _said(self, found: Found) -> tuple[int, tuple[Fact, ...]] | None:
        try:
            number, facts = read_open(found.payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return None if self.has_ended(found, number) else (number, facts)

    def has_ended(self, found: Found, number: int) -> bool:
        """Whether the row of call *number* is where its slot says.

        Raises:
            OSError: when the file cannot be read.
        """
        if not found.segment:
            return False
        try:
            with opened(self.folder / self.name.segment(found.segment)) as fd:
                data = _read(fd, found.offset, HEAD_BYTES + MAX_BYTES)
        except FileNotFoundError:
            return True  # Removed, so its rows are in the database: a row that failed aims nowhere.
        found_there, _ = _entries(data, 0)
        return bool(found_there) and found_there[0].number == number
