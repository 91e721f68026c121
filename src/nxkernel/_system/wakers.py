"""A descriptor that one thread makes readable to wake another one's wait."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import Protocol

from nxkernel._system.holding import close_all, open_pipes

__all__ = ["PipeWaker", "SocketWaker", "Waker"]

_MUCH = 4096


class Waker(Protocol):
    """Readable from :meth:`wake` to the next :meth:`drain`, however often it was woken.

    Made and opened in two steps: an interrupt in the second one loses nothing that the first one
    left with its owner.
    """

    def open(self) -> None:
        """Take what it needs of the system; once, before anything else."""

    @property
    def fd(self) -> int:
        """What to wait for; a socket's handle on Windows."""

    def wake(self) -> None:
        """Make it readable; never waits, and may be called from any thread."""

    def drain(self) -> None:
        """Make it quiet again; never waits."""

    def close(self) -> None:
        """Give back what it holds. Nobody may wake it any more."""


class PipeWaker:
    """A pipe to oneself, for POSIX systems without eventfd."""

    def __init__(self) -> None:
        self._ends: list[int] = []

    def open(self) -> None:
        """Make the pipe."""
        open_pipes(self._ends, 1)
        for end in self._ends:
            _do_not_block(end)

    @property
    def fd(self) -> int:
        """The end to read."""
        return self._ends[0]

    def wake(self) -> None:
        """Write a byte; a full pipe is awake already."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._ends[1], b"\0")

    def drain(self) -> None:
        """Read whatever was written."""
        try:
            while len(os.read(self.fd, _MUCH)) == _MUCH:
                continue
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close both ends."""
        close_all(self._ends)


class SocketWaker:
    """A pair of sockets, because Windows waits for nothing else."""

    def open(self) -> None:
        """Connect the two."""
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self.fd = self._read.fileno()

    def wake(self) -> None:
        """Send a byte; a full buffer is awake already."""
        with contextlib.suppress(BlockingIOError):
            self._write.send(b"\0")

    def drain(self) -> None:
        """Receive whatever was sent."""
        try:
            while len(self._read.recv(_MUCH)) == _MUCH:
                continue
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close both sockets."""
        self._read.close()
        self._write.close()


def _do_not_block(fd: int) -> None:
    if sys.platform != "win32":
        os.set_blocking(fd, False)
