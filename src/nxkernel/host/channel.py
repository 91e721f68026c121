"""One worker's wire, on the host's side: non-blocking, bounded, suspicious."""

from __future__ import annotations

import os

from nxkernel._wire import FromHost, FromWorker, Inbox, pack, unpack_from_worker

__all__ = ["Channel"]

_CHUNK = 1 << 16
#: Bytes taken in one go before other channels get their turn.
_BURST = 1 << 20


class Channel:
    """Two pipes to a worker.

    Invariant: after ``closed`` is True, no byte was lost that the worker wrote before it ended.
    """

    def __init__(self, command: int, result: int, max_frame: int) -> None:
        os.set_blocking(command, False)
        os.set_blocking(result, False)
        #: Where the host writes, where it reads.
        self.command, self.result = command, result
        self._inbox = Inbox(max_frame)
        self._backlog = memoryview(b"")
        #: The worker closed its end, or ended.
        self.closed = False

    @property
    def backlog(self) -> bool:
        """Whether bytes are left to write."""
        return bool(self._backlog)

    @property
    def quiet(self) -> bool:
        """Whether the worker lives and has said nothing that nobody took yet."""
        return self._inbox.empty and not self.closed

    def send(self, message: FromHost) -> None:
        """Write *message*, as much as fits now; :meth:`pump` writes the rest."""
        self._backlog = memoryview(bytes(self._backlog) + pack(message))
        self._write()

    def pump(self) -> None:
        """Write and read whatever is possible without waiting."""
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
                self._backlog = self._backlog[os.write(self.command, self._backlog) :]
        except BlockingIOError:
            return
        except OSError:
            # EPIPE: the reader is gone. What it wrote before may still be read.
            self._backlog = memoryview(b"")

    def _read(self) -> None:
        taken = 0
        while taken < _BURST:
            try:
                data = os.read(self.result, max(_CHUNK, min(self._inbox.missing, _BURST)))
            except BlockingIOError:
                return
            if not data:
                self.closed = True
                return
            taken += len(data)
            self._inbox.feed(data)
            if self._inbox.missing == 0:
                return

    def close(self) -> None:
        """Close both pipes; safe to call twice."""
        # Forgotten first: an interrupt in between may leak one, but never close another's.
        ends, self.command, self.result = (self.command, self.result), -1, -1
        for fd in ends:
            if fd >= 0:
                os.close(fd)
