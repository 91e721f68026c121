"""Files that frames are appended to, and that always end where a frame ends.

Whatever interrupts an append (a full disk, an error of the disk, an exception of Python) leaves the
file *unsettled*: before the next append, and at once if that can be done, the file is cut back to
its last whole frame. Only what was never acknowledged can be cut off.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from nxkernel._system import files
from nxkernel._system.writing import put
from nxkernel.audit.spool.frames import frames

__all__ = ["MAGIC", "Segment"]

#: What every segment begins with: a name and a version.
MAGIC = b"nxspool\x01"
#: More than nearly every row takes.
_PROBE_BYTES = 4096
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | files.CLOEXEC | files.BINARY


class Segment:
    """One file, appended to by one thread at a time: whoever uses it holds a lock."""

    def __init__(self, path: Path, first: bytes = b"") -> None:
        """Create the file, with the frame *first* in it before anybody can find it.

        Raises:
            OSError: when it cannot be made; nothing is left behind.
        """
        self.path = path
        fresh = path.with_suffix(".new")
        if sys.platform == "win32":  # which renames nothing that is open
            fresh = path
        with suppress(FileNotFoundError):
            fresh.unlink()  # of a kernel that was killed while it made this one
        self._fd = os.open(fresh, _FLAGS, 0o600)
        self.size = 0
        self._settled = True
        try:
            self.append(MAGIC + first)
            if fresh != path:
                os.rename(fresh, path)
        except BaseException:
            self.close()
            with suppress(OSError):
                fresh.unlink()
            raise

    def append(self, data: bytes) -> None:
        """Append *data*, one or more whole frames, in one step, or not at all.

        Raises:
            OSError: when it is not there.
        """
        if not self._settled:
            self.settle()
        self._settled = False
        try:
            written = put(self._fd, data)
            if written != len(data):
                raise OSError(28, os.strerror(28))  # what a short write to a file means
        except BaseException:
            # The error of the write is the one to tell; what is left over is settled later.
            with suppress(OSError):
                self.settle()
            raise
        self.size += written
        self._settled = True

    def probe(self) -> None:
        """Do nothing, if a row can be appended.

        Raises:
            OSError: when it cannot.
        """
        if not self._settled:
            self.settle()
        self._settled = False
        try:
            # Zeros are no frame: whoever reads them meanwhile takes them for a row half written.
            written = put(self._fd, bytes(_PROBE_BYTES))
        finally:
            self.settle()
        if written != _PROBE_BYTES:
            raise OSError(28, os.strerror(28))

    def settle(self) -> None:
        """Cut the file back to its last whole frame.

        Raises:
            OSError: when that cannot be done; the file then takes no frame.
        """
        length = os.fstat(self._fd).st_size
        if length > self.size:
            os.lseek(self._fd, self.size, os.SEEK_SET)
            left = os.read(self._fd, length - self.size)
            # An exception may have come between a write and the note of it. Its frame is whole,
            # and may be in the database by now: it stays.
            end = max((end for _, end in frames(left)), default=0)
            self.size += end
            os.ftruncate(self._fd, self.size)
        self._settled = True

    @property
    def is_gone(self) -> bool:
        """Whether the file has no name any more."""
        return os.fstat(self._fd).st_nlink == 0

    def sync(self) -> None:
        """Make what was appended durable. Raises OSError."""
        files.sync_data(self._fd)

    def close(self) -> None:
        """Close the file; it is not to be used any more."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):  # its rows are there, and there is nothing to be done about it
                os.close(fd)
