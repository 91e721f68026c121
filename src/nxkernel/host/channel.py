"""One worker's wire, on the host's side: non-blocking, bounded, suspicious."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

from nxkernel._system.holding import close_all
from nxkernel._system.pollers import waiter, watcher
from nxkernel._system.reading import CHUNK, taker
from nxkernel._system.writing import put
from nxkernel._wire import FromHost, FromWorker, Inbox, pack, unpack_from_worker
from nxkernel.host.arena import Arena
from nxkernel.host.parcels import Parcels

__all__ = ["Channel", "SocketChannel"]

_NOTHING: Final = memoryview(b"")
#: Bytes taken in one go before other channels get their turn.
_BURST = 1 << 20


class Channel:
    """Two pipes to a worker.

    Invariant: after ``closed`` is True, no byte was lost that the worker wrote before it ended.
    """

    def __init__(
        self, command: int, result: int, max_frame: int, arena: Arena | None = None
    ) -> None:
        #: Where the host writes, where it reads.
        self.command, self.result = command, result
        self._put, self._get = self._open()
        self._ends = [command, result]
        self._look = watcher(result)
        #: What waits until there is something to read; for whose turn it is.
        self.waiter = waiter(result)
        self._inbox = Inbox(max_frame)
        #: The blobs beside its messages.
        self.parcels = Parcels(max_frame, arena)
        self._backlog = _NOTHING
        #: The worker closed its end, or ended.
        self.closed = False

    def _open(self) -> tuple[Callable[[bytes | memoryview], int], Callable[[int], bytes]]:
        """Return what writes and what reads, neither of which waits."""
        if sys.platform != "win32":
            os.set_blocking(self.command, False)
            os.set_blocking(self.result, False)
        return partial(put, self.command), taker(self.result)

    @property
    def backlog(self) -> bool:
        """Whether bytes are left to write."""
        return bool(self._backlog)

    @property
    def quiet(self) -> bool:
        """Whether the worker lives and has said nothing that nobody took yet."""
        return self._inbox.empty and not self.closed

    @property
    def stirs(self) -> bool:
        """Whether it may be otherwise than :attr:`quiet`; reads nothing, and may be wrong."""
        return self.closed or not self._inbox.empty or bool(self._look())

    @property
    def even(self) -> bool:
        """Whether all was written and all that was read has been taken."""
        return not self._backlog and self._inbox.empty

    @property
    def unheard(self) -> bool:
        """Whether bytes have been read that are in no message that was taken."""
        return not self._inbox.empty

    @property
    def whole(self) -> bool:
        """Whether a whole message is there that nobody took yet."""
        return self._inbox.whole

    def send(self, message: FromHost) -> None:
        """Write *message*, as much as fits now; :meth:`pump` writes the rest."""
        data = pack(message)
        if self._backlog:
            # Copied only when something is left of the message before: a payload may be large.
            data = bytes(self._backlog) + data
        try:
            written = self._put(data)
        except OSError:
            written = 0  # Nearly always all of it fits; else :meth:`_write` sees to it.
        if written < len(data):
            self._backlog = memoryview(data)[written:]
            self._write()
        elif self._backlog:
            self._backlog = _NOTHING

    def told(self, message: FromHost) -> bool:
        """Write *message*; returns whether all of it was, and nothing read waits to be taken."""
        if self._backlog:
            self.send(message)
            return False
        data = pack(message)
        try:
            written = self._put(data)
        except OSError:
            written = 0  # as in :meth:`send`
        if written < len(data):
            self._backlog = memoryview(data)[written:]
            self._write()
            return not self._backlog and self._inbox.empty
        return self._inbox.empty

    def pump(self) -> None:
        """Write and read whatever is possible without waiting."""
        if self.result < 0:
            return
        if self._backlog:
            self._write()
        inbox, taken = self._inbox, 0
        missing = inbox.missing
        while taken < _BURST:
            data = self._read(CHUNK if missing <= CHUNK else min(missing, _BURST))
            if not data:
                return
            inbox.feed(data)
            missing = inbox.missing
            if not missing:
                return
            taken += len(data)

    def _read(self, size: int) -> bytes:
        """Return what is there, at most *size* bytes; nothing if it would have to wait."""
        try:
            data = self._get(size)
        except BlockingIOError:
            return b""
        except ConnectionError:
            data = b""  # A socket's way to say that the other end is gone.
        if not data:
            self.closed = True
        return data

    def prompt(self) -> FromWorker | None:
        """Read, and return the message that came alone and whole; or None, and :meth:`next` knows.

        That is :meth:`pump` and :meth:`next` in few steps, for when nothing is left of before.

        Raises:
            ProtocolViolation: for bytes that the protocol forbids.
        """
        body = self._inbox.alone(self._read(CHUNK))
        if body is not None:
            return unpack_from_worker(body)
        if self._inbox.missing:
            self.pump()
        return None

    def next(self) -> FromWorker | None:
        """Return the next whole message, or None.

        Raises:
            ProtocolViolation: for bytes that the protocol forbids.
        """
        body = self._inbox.next()
        return None if body is None else unpack_from_worker(body)

    def _write(self) -> None:
        try:
            while self._backlog:
                self._backlog = self._backlog[self._put(self._backlog) :]
        except BlockingIOError:
            return
        except OSError:
            # EPIPE: the reader is gone. What it wrote before may still be read.
            self._backlog = _NOTHING

    def close(self) -> None:
        """Close both pipes; safe to call twice."""
        self.command = self.result = -1
        self.closed = True
        self.parcels.close()
        close_all(self._ends)


class SocketChannel(Channel):
    """One socket to a worker, for systems that wait for nothing else."""

    def __init__(self, end: socket.socket, max_frame: int, arena: Arena | None = None) -> None:
        self._socket = end
        super().__init__(end.fileno(), end.fileno(), max_frame, arena)

    def _open(self) -> tuple[Callable[[bytes | memoryview], int], Callable[[int], bytes]]:
        self._socket.setblocking(False)
        return self._socket.send, self._socket.recv

    def close(self) -> None:
        """Close the socket; safe to call twice."""
        self.command = self.result = -1
        self.parcels.close()
        self._socket.close()
