"""From the spools into the database: every row exactly once, and no byte lost on the way.

The place up to which a file was taken is recorded with its rows, in one transaction, so whoever
comes next goes on where the last one was killed. A file is removed only when its last row and its
ending are in the database.

Of a kernel that lives, all segments but the newest are complete. Of one that is dead, all are; and
once they have ended, its calls in flight are put on record, and the files go. What is no row at the
end of a complete segment is recorded by its size and digest, and its file is kept under another
name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import attrs

from nxkernel.audit.spool.entries import Entry
from nxkernel.audit.spool.folder import Left, SpoolName, listing
from nxkernel.audit.spool.remains import Chunk, Remains, opened, read_chunk, torn
from nxkernel.audit.spool.slots import fence

__all__ = ["END", "Drainer", "Ledger", "Mark", "Moved"]

#: How a file ends that was taken as a whole.
END = "end"
_INTENTS = "intents"


@attrs.frozen
class Mark:
    """Up to where a file was taken, and how it ends if that is known."""

    file: str
    start: int
    end: int
    ending: str | None = None


class Moved(Exception):
    """Another process has taken what was to be taken: read again from where it left off."""


class Ledger(Protocol):
    """The database, as the drainer sees it."""

    def mark(self, file: str) -> tuple[int, str | None]:
        """Return up to where *file* was taken, 0 if it never was, and how it ends or None."""

    def take(self, spool: SpoolName, entries: Sequence[Entry], mark: Mark) -> None:
        """Put *entries* on record and *mark* with them, all or nothing, durably.

        Raises:
            Moved: when ``mark.start`` is not where the file was taken up to.
        """


class Drainer:
    """Takes what the kernels of one log have left; any number may try at once."""

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        lives: Callable[[str], bool],
        go_on: Callable[[], bool] = lambda: True,
        *,
        dead_only: bool = False,
    ) -> None:
        """Prepare to drain *folder* into *ledger*.

        *lives*: whether the kernel that made the claim of this name lives. *go_on* is asked between
        two transactions. *dead_only* leaves the living to another drainer.
        """
        self._dead_only = dead_only
        self._folder = folder
        self._ledger = ledger
        self._lives = lives
        self._go_on = go_on

    def drain(self) -> int:
        """Take everything that is there now; return the number of rows.

        Raises:
            OSError: when a file cannot be read, renamed or removed; and what the ledger raises.
        """
        return sum(self._spool(left.name) for left in listing(self._folder) if self._go_on())

    def _spool(self, name: SpoolName) -> int:
        # In this order: of a dead kernel nothing comes after this look at the folder.
        is_dead = not self._lives(name.claim)
        if self._dead_only and not is_dead:
            return 0
        if is_dead:
            fence(self._folder / name.slots)
        left = next((left for left in listing(self._folder) if left.name == name), None)
        if left is None:
            return 0
        rows = self._segments(left, is_dead)
        if is_dead and all(self._ending_of(name.segment(number)) for number in left.segments):
            rows += self._in_flight(name)
            self._remove(left)
        return rows

    def _ending_of(self, file: str) -> str | None:
        return self._ledger.mark(file)[1]

    def _segments(self, left: Left, is_dead: bool) -> int:
        rows = 0
        for number in left.segments:
            is_complete = is_dead or number < left.segments[-1]
            rows += self._segment(left.name, left.name.segment(number), is_complete)
            if is_complete and not is_dead:
                self._discard(left.name.segment(number))
        return rows

    def _segment(self, name: SpoolName, file: str, is_complete: bool) -> int:
        rows = 0
        try:
            with opened(self._folder / file) as fd:
                while self._go_on():
                    with suppress(Moved):
                        taken = self._step(fd, name, file, is_complete)
                        if taken is None:
                            break
                        rows += taken
        except FileNotFoundError:
            pass  # Another drainer was faster: it removes only what is in the database.
        return rows

    def _step(self, fd: int, name: SpoolName, file: str, is_complete: bool) -> int | None:
        """Take the next rows of a file and return their number, or None when there are none."""
        start, ending = self._ledger.mark(file)
        if ending is not None:
            return None
        chunk = read_chunk(fd, start)
        mark = Mark(file, start, chunk.end, self._ending(fd, chunk) if is_complete else None)
        if not chunk.entries and mark.ending is None:
            return None
        self._ledger.take(name, chunk.entries, mark)
        return len(chunk.entries)

    def _ending(self, fd: int, chunk: Chunk) -> str | None:
        if chunk.is_all:
            return END
        # Rows that are there are taken first: what is no row may only be more than one chunk.
        return None if chunk.entries else torn(fd, chunk.end)

    def _in_flight(self, name: SpoolName) -> int:
        """Put the calls on record that a dead kernel has not seen the end of."""
        calls = Remains(self._folder, name).in_flight()
        if not calls or self._ending_of(name.slots):
            return 0
        entries = [Entry(_INTENTS, number, facts) for number, facts in calls]
        with suppress(Moved):
            self._ledger.take(name, entries, Mark(name.slots, 0, len(entries), END))
            return len(entries)
        return 0

    def _remove(self, left: Left) -> None:
        """Remove the files of a dead kernel, those of the calls in flight last."""
        for number in left.segments:
            self._discard(left.name.segment(number))
        for unborn in self._folder.glob(f"{left.name.prefix}-*.new"):
            unborn.unlink(missing_ok=True)
        (self._folder / left.name.slots).unlink(missing_ok=True)

    def _discard(self, file: str) -> None:
        """Remove a file that is in the database, or keep it aside for what is no row in it."""
        path, ending = self._folder / file, self._ending_of(file)
        with suppress(FileNotFoundError):
            if ending == END:
                path.unlink()
            elif ending is not None:
                os.rename(path, path.with_suffix(".torn"))
