"""The thread that puts plugins' logs on disk, so that nobody else ever waits for one.

A disk may hang in a write for minutes: a network that is away, a device that retries. Whoever
drains the workers' output must go on meanwhile, for he also hears of their ends. What waits for
the disk is bounded; what finds no room is lost and counted, and the log says so once it can.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from nxkernel import _forks, _locks
from nxkernel.host.guarded import Guarded

__all__ = ["LogWriter", "Pending", "Sink"]

_log = logging.getLogger("nxkernel.host")

#: Bytes of one log that wait for the disk; a plugin's output comes in at five times that a second.
MOST: Final = 4 << 20
#: Seconds that the end of a kernel waits for the disk.
PATIENCE_S: Final = 5.0
_REASON: Final = "the disk did not keep up"


class Sink(Protocol):
    """Takes what a plugin's workers wrote, in its order."""

    def feed(self, data: bytes, worker: int) -> None:
        """Append *data* of the worker of that generation."""

    def miss(self, count: int, reason: str) -> None:
        """Say before the next bytes that *count* bytes are missing, and why."""


class Pending:
    """What waits to be put into one log. Its lock is the writer's."""

    def __init__(self, sink: Sink, put: Callable[[Pending, bytes, int], None]) -> None:
        self.sink = sink
        self._put = put
        self.pieces: list[tuple[bytes, int]] = []
        self.size = 0
        #: Bytes that came after the pieces and found no room.
        self.missed = 0
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: what waits is the parent's to write."""
        self.take()

    def feed(self, data: bytes, worker: int) -> None:
        """Have *data* written soon; never waits."""
        self._put(self, data, worker)

    def add(self, data: bytes, worker: int) -> None:
        """Keep *data*; once something is missing, what comes after it must wait its turn."""
        if self.missed or self.size + len(data) > MOST:
            self.missed += len(data)
        else:
            self.pieces.append((data, worker))
            self.size += len(data)

    def take(self) -> tuple[list[tuple[bytes, int]], int]:
        """Return the pieces and what is missing after them, and forget them."""
        taken = self.pieces, self.missed
        self.pieces, self.size, self.missed = [], 0, 0
        return taken


class LogWriter:
    """One thread per kernel; it starts with the first bytes that are there for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition(_locks.lock())
        #: Those with something to write, in the order in which it came.
        self._waiting: deque[Pending] = deque()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._guarded = Guarded("a write of a plugin's log")
        _forks.register(self)

    def queue(self, sink: Sink) -> Pending:
        """Return what is fed in the place of *sink*."""
        return Pending(sink, self._put)

    def _put(self, pending: Pending, data: bytes, worker: int) -> None:
        with self._changed:
            pending.add(data, worker)
            if pending not in self._waiting:
                self._waiting.append(pending)
            if self._thread is None:
                self._thread = self._started()
            self._changed.notify()

    def _started(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="nxkernel-logs", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """Write what is left and end the thread; a disk that hangs is left to itself."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
            thread = self._thread
        if thread is None:
            return
        thread.join(PATIENCE_S)
        if thread.is_alive():
            _log.error("the end of some plugins' logs is not written: their disk hangs")

    def abandon(self) -> None:
        """In a forked child: no such thread is there, nor one that could hold the lock."""
        self._changed = threading.Condition(_locks.lock())
        self._waiting.clear()
        self._thread = None

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if not self._waiting:
                    return
                pending = self._waiting.popleft()
                pieces, missed = pending.take()
            for piece in pieces:
                self._guarded.does(pending, partial(pending.sink.feed, *piece))
            if missed:
                pending.sink.miss(missed, _REASON)
