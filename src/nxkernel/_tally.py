"""Rows that storage read and wrote, counted for the call that is under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Tally", "count", "counting", "current"]


class Tally:
    """Counts for one call; it says nothing until somebody has counted."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        #: Read and written, or None.
        self.rows: tuple[int, int] | None = None

    def add(self, read: int, written: int) -> None:
        """Add rows.

        Raises:
            ValueError: for a negative number: what was read once stays read.
        """
        if read < 0 or written < 0:
            raise ValueError("rows are counted up, never down")
        before = self.rows or (0, 0)
        self.rows = (before[0] + read, before[1] + written)


_current: ContextVar[Tally | None] = ContextVar("nxkernel.tally", default=None)


@contextmanager
def counting() -> Iterator[Tally]:
    """Give the tally to which :func:`count` adds meanwhile, in this thread or task and its own."""
    tally = Tally()
    token = _current.set(tally)
    try:
        yield tally
    finally:
        _current.reset(token)


def current() -> Tally:
    """Return the tally of the call of this thread or task; one that nobody reads without any."""
    return _current.get() or Tally()


def count(*, rows_read: int = 0, rows_written: int = 0) -> None:
    """Add rows to the call of this thread or task, if it is within one that counts."""
    current().add(rows_read, rows_written)
