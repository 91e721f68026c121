"""A plugin's captured output: bounded, with what was dropped counted."""

from __future__ import annotations

import threading
from collections import deque

__all__ = ["LogTail"]


class LogTail:
    """The last bytes that a plugin wrote to stdout and stderr. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._chunks: deque[bytes] = deque()
        self._size = 0
        #: Bytes that came in, kept or not.
        self.total = 0

    def feed(self, data: bytes) -> None:
        """Keep *data*, dropping the oldest bytes beyond the limit."""
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
