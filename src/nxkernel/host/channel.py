"""One worker's wire, on the host's side: non-blocking, bounded, suspicious."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from functools import partial

from nxkernel._system.holding import close_all
from nxkernel._wire import FromHost, FromWorker, Inbox, pack, unpack_from_worker
from nxkernel.host.arena import Arena
from nxkernel.host.parcels import Parcels

__all__ = ["Channel", "SocketChannel"]

_CHUNK = 1 << 16
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
        self._inbox = Inbox(max_frame)
        #: The blobs beside its messages.
        self.parcels = Parcels(max_frame, arena)
        self._backlog = memoryview(b"")
        #: The worker closed its end, or ended.
        self.closed = False

    def _open(self) -> tuple[Callable[[memoryview], int], Callable[[int], bytes]]:
        """Return what writes and what reads, neither of which waits."""
        if sys.platform != "win32":
            os.set_blocking(self.command, False)
            os.set_blocking(self.result, False)
        return partial(os.write, self.command), partial(os.read, self.result)

    @property
    def backlog(self) -> bool:
        """Whether bytes are left to write."""
        return bool(self._backlog)

    @property
    def quiet(self) -> bool:
        """Whether the worker lives and has said nothing that nobody took yet."""
        return self._inbox.empty and not self.closed

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
        # Copied only when something is left of the message before: a payload may be large.
        self._backlog = memoryview(bytes(self._backlog) + data if self._backlog else data)
        self._write()

    def pump(self) -> None:
        """Write and read whatever is possible without waiting."""
        if self.result < 0:
            return
        if self._backlog:
            self._write()
        self._read()

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
            self._backlog = memoryview(b"")

    def _read(self) -> None:
        taken = 0
        while taken < _BURST:
            try:
                data = self._get(max(_CHUNK, min(self._inbox.missing, _BURST)))
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""  # A socket's way to say that the other end is gone.
            if not data:
                self.closed = True
                return
            taken += len(data)
            self._inbox.feed(data)
            if self._inbox.missing == 0:
                return

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

    def _open(self) -> tuple[Callable[[memoryview], int], Callable[[int], bytes]]:
        self._socket.setblocking(False)
        return self._socket.send, self._socket.recv

    def close(self) -> None:
        """Close the socket; safe to call twice."""
        self.command = self.result = -1
        self.parcels.close()
        self._socket.close()
