"""A plugin's log on disk: two files at most, whatever the plugin writes.

Only the thread of the log writer writes. The file is opened for each piece and closed again:
nothing is left open for a forked child or a closing kernel to deal with, and what a reader or an
administrator does to the file cannot trip the next write.
"""

from __future__ import annotations

import os
from pathlib import Path

from nxkernel._loglines import BEGINS, CONTINUES, SAYS, head
from nxkernel._system import files

__all__ = ["LogFile"]

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | files.CLOEXEC | files.NOFOLLOW
#: A longer piece without a newline goes on as another line of the file, in bytes.
LONGEST = 16 * 1024


class LogFile:
    """What a plugin's workers wrote to stdout and stderr, in the order in which it came.

    Invariant: the file and the one before it hold *limit* bytes at most, give or take one piece.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        #: The file before this one.
        self.older = path.with_name(path.name + ".1")
        self._half = limit // 2
        self._worker = 0
        #: Whether the plugin is in the middle of a line, and whether that line of the file is open.
        self._inside, self._open = False, False
        #: Bytes that are missing, and why.
        self._lost, self._reason = 0, ""

    def feed(self, data: bytes, worker: int) -> None:
        """Append *data* of the worker of that generation; a disk that refuses is no error."""
        try:
            descriptor = self._opened()
            try:
                _write(descriptor, self._lead(worker) + self._lines(data, worker))
            finally:
                os.close(descriptor)
            self._lost = 0
        except OSError as error:
            self.miss(len(data), os.strerror(error.errno or 0))
            # Part of it may be there: whatever comes next begins a line of its own.
            self._open = True

    def miss(self, count: int, reason: str) -> None:
        """Say before the next bytes that *count* bytes are missing, and why."""
        self._lost += count
        self._reason = reason

    def _opened(self) -> int:
        if self._half <= self._size():
            os.replace(self.path, self.older)
            self._open = False
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(self.path, _APPEND, 0o600)

    def _size(self) -> int:
        try:
            return os.stat(self.path, follow_symlinks=False).st_size
        except FileNotFoundError:
            return 0

    def _lead(self, worker: int) -> bytes:
        """What must stand before the next bytes: the end of another's line, a word of our own."""
        lead = b""
        if self._open and (self._lost or worker != self._worker):
            lead, self._open = b"\n", False
        if worker != self._worker:
            self._worker, self._inside = worker, False
        if self._lost:
            lead += head(worker, SAYS)
            lead += f"{self._lost} bytes were not written: {self._reason}\n".encode()
        return lead

    def _lines(self, data: bytes, worker: int) -> bytes:
        begins, goes_on = head(worker, BEGINS), head(worker, CONTINUES)
        first = b"" if self._open else goes_on if self._inside else begins
        lines = [_wrapped(line, b"\n" + goes_on) for line in data.split(b"\n")]
        text = first + (b"\n" + begins).join(lines)
        self._inside = self._open = not data.endswith(b"\n")
        return text if self._inside else text[: -len(begins)]


def _wrapped(line: bytes, joint: bytes) -> bytes:
    if len(line) <= LONGEST:
        return line
    return joint.join(line[at : at + LONGEST] for at in range(0, len(line), LONGEST))


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
