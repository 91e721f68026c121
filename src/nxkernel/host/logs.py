"""A plugin's captured output: bounded, with what was dropped counted."""

from __future__ import annotations

from collections import deque

from nxkernel import _forks, _locks
from nxkernel.host.logwriter import Pending
from nxkernel.host.masking import MIN_LENGTH, NOTHING
from nxkernel.schemas.secrets import MASK

__all__ = ["LogTail"]


class LogTail:
    """The last bytes that a plugin wrote to stdout and stderr. Thread-safe, but for one writer."""

    def __init__(self, limit: int, disk: Pending | None = None) -> None:
        self._limit = limit
        self._disk = disk
        #: Takes the plugin's secrets out, before anything is kept.
        self.masking = NOTHING
        #: What a worker wrote last, if a secret may begin with it.
        self._held = b""
        self._lock = _locks.lock()
        self._chunks: deque[bytes] = deque()
        self._size = 0
        #: Bytes that came in, kept or not.
        self.total = 0
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: no thread that could hold the lock is there."""
        self._lock = _locks.lock()

    def keep(self, limit: int) -> None:
        """Keep *limit* bytes from now on."""
        with self._lock:
            self._limit = limit

    def feed(self, data: bytes, worker: int = 0) -> None:
        """Keep *data*, dropping the oldest bytes beyond the limit; a little later it is on disk.

        *worker*: which worker of the plugin wrote it.
        """
        data, self._held = self.masking.stream(self._held, data)
        self._keep(data, worker)

    def ended(self, worker: int) -> None:
        """Keep what was held back of a worker that writes no more, unless it is most of a word."""
        held, self._held = self._held, b""
        self._keep(MASK.encode() if len(held) >= MIN_LENGTH else held, worker)

    def _keep(self, data: bytes, worker: int) -> None:
        if not data:
            return
        if self._disk is not None:
            self._disk.feed(data, worker)
        with self._lock:
            self.total += len(data)
            data = _end(data, self._limit)
            self._chunks.append(data)
            self._size += len(data)
            while self._chunks and self._size - len(self._chunks[0]) >= self._limit:
                self._size -= len(self._chunks.popleft())

    def text(self, since: int = 0) -> str:
        """Return what is kept, with control characters shown and not obeyed.

        *since*: only what came after that many bytes in all.
        """
        with self._lock:
            size = min(self._limit, self.total - since)
            data = _end(b"".join(self._chunks), size)
        return escape(data.decode("utf-8", "replace"))

    def last_lines(self, count: int, since: int = 0) -> list[str]:
        """Return the last *count* lines, of what came after *since* bytes."""
        lines = self.text(since).splitlines()
        return lines[max(0, len(lines) - count) :]


def _end(data: bytes, size: int) -> bytes:
    """The last *size* bytes; ``data[-0:]`` would be all of them."""
    return data[max(0, len(data) - size) :]


def escape(text: str) -> str:
    """Show control characters as escapes: a log must not steer the reader's terminal."""
    return "".join(c if c in "\n\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in text)
