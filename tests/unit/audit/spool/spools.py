"""Spools to write, to damage and to drain, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from nxkernel._canonical import encode
from nxkernel.audit.spool.drainer import Drainer, Mark, Moved
from nxkernel.audit.spool.entries import Entry, entry
from nxkernel.audit.spool.folder import SpoolName
from nxkernel.audit.spool.spool import Open, Spool

NAME = SpoolName(1, "c" * 32)
RUN = entry("runs", ("run-1", 1))
CALLS = encode("calls")


def a_spool(folder: Path, name: SpoolName = NAME, **options: Any) -> Spool:
    """Return a new spool whose first row is that of a run."""
    folder.mkdir(exist_ok=True)
    return Spool(folder, name, RUN, **options)


def begin(spool: Spool, call_id: str) -> Open:
    """Put a call in flight."""
    return spool.begin((call_id, "ocr", None, 3))


def call(spool: Spool, call_id: str) -> None:
    """Make a call from beginning to end."""
    spool.finish(CALLS, begin(spool, call_id), ("done", 7))


@attrs.define
class Rows:
    """A database that is a list, and that may fail on the way."""

    entries: list[Entry] = attrs.Factory(list)
    marks: list[Mark] = attrs.Factory(list)
    #: How often ``take`` works before it raises, None for always.
    left: int | None = None

    def mark(self, file: str) -> tuple[int, str | None]:
        """Return the newest mark of a file."""
        found = [mark for mark in self.marks if mark.file == file]
        return (found[-1].end, found[-1].ending) if found else (0, None)

    def take(self, spool: SpoolName, entries: Sequence[Entry], mark: Mark) -> None:
        """Take the rows, or fail and take none."""
        if mark.start != self.mark(mark.file)[0]:
            raise Moved
        if self.left is not None:
            if not self.left:
                raise OSError(28, "No space left on device")
            self.left -= 1
        self.entries += entries
        self.marks.append(mark)

    def ended(self) -> list[str]:
        """Return the ids of the calls that ended, in order."""
        return [str(row.facts[0]) for row in self.entries if row.table == "calls"]

    def interrupted(self) -> list[str]:
        """Return the ids of the calls that were in flight, in order."""
        return [str(row.facts[0]) for row in self.entries if row.table == "intents"]


def drained(folder: Path, rows: Rows | None = None, lives: bool = False) -> Rows:
    """Drain a folder whose kernels are all dead, or all alive."""
    rows = Rows() if rows is None else rows
    Drainer(folder, rows, lambda claim: lives).drain()
    return rows


def names(folder: Path) -> list[str]:
    """Return the ends of the names of the files in a folder."""
    return sorted(path.name.replace(f"{NAME.prefix}", "") for path in folder.iterdir())
