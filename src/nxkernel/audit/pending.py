"""For readers: rows that are on record and not yet in the database, as if they were.

They are decoded once and kept in temporary tables of the reader's own connection, beside the place
in the spool that they came from. Each query begins a snapshot of the database, drops what that has
by now, and reads what has come to the spools since.

What is true at every query, whatever writers and drainers do meanwhile: a row that was on record
before the query began is seen exactly once, in the database if the snapshot has it and else from
its spool. So the order of steps matters:

1. the folder is listed: what has gone before is in every snapshot that comes after;
2. the snapshot begins: how far each file was taken stands still from now on;
3. calls in flight are read: one that ends later has its row in a segment that is read later;
4. the folder is listed again and the segments are read. One that the snapshot has not taken as a
   whole and that is not there was taken and removed since: then all begins anew, with a snapshot
   that has it. If that one has not taken it either, somebody else took the file away.

A file is known by its name, which no other is ever given, and by its inode. Whole frames are never
changed or cut off, so what was read of it need not be read again; what was no whole frame is looked
at in each query until it is one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from nxkernel.audit.schema import INTENTS, RUNS
from nxkernel.audit.spool.entries import Entry
from nxkernel.audit.spool.folder import Left, SpoolName, folder_of, listing
from nxkernel.audit.spool.remains import Remains, opened, read_chunk
from nxkernel.audit.waiting import FIRST, NOWHERE, Waiting

__all__ = ["Pending"]

_MARK = "SELECT to_offset, ending FROM main.batches WHERE spool = ? ORDER BY seq DESC LIMIT 1"
_RUN = (
    "SELECT min(r.seq) FROM main.batches AS b "
    "JOIN main.runs AS r ON r.seq BETWEEN b.first AND b.seq WHERE b.spool = ? AND b.from_offset = 0"
)
#: A segment, by its spool and its number; 0 stands for the whole spool.
_Place = tuple[SpoolName, int]


@attrs.define(eq=False)
class _File:
    """What is known of a segment."""

    number: int
    #: Device and inode.
    identity: tuple[int, int]
    #: Up to where the database has it, and up to where it was read.
    taken: int
    end: int


@attrs.define(eq=False)
class _Spool:
    """What is known of a spool."""

    name: SpoolName
    #: Number of its run: in the database, or FIRST or more while it waits there.
    run: int | None = None
    #: By the number of the segment.
    files: dict[int, _File] = attrs.field(factory=dict)


class Pending:
    """What waits beside one log; lives as long as the *connection* of its reader."""

    def __init__(self, connection: sqlite3.Connection, log: Path) -> None:
        """Prepare *connection*, which is a reader's of the log at *log*.

        Raises:
            sqlite3.Error: when it takes no temporary tables.
        """
        self._connection = connection
        self._folder = folder_of(log)
        self._spools: dict[SpoolName, _Spool] = {}
        self._files = NOWHERE
        self._is_stale = False
        with _writable(connection):
            self._waiting = Waiting(connection)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let the queries of the body see one state of all that is on record.

        The tables are called ``every_calls`` and so on; rows that wait are in ``waiting_calls``.
        What is appended later is not seen. Within another snapshot it is that one.

        Raises:
            sqlite3.Error, OSError: when something cannot be read.
        """
        if self._connection.in_transaction:
            yield
            return
        self._begin()
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def count(self) -> int:
        """Return how many rows wait; to be asked within a snapshot."""
        return self._waiting.count()

    def _begin(self) -> None:
        """Begin a snapshot in which everything is seen."""
        known: set[_Place] = set()
        while True:
            names = {left.name for left in listing(self._folder)}
            self._connection.execute("BEGIN")
            try:
                with _writable(self._connection):
                    missing = self._catch_up(names)
            except BaseException:
                self._is_stale = True
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            if missing <= known:
                return
            # Files went while this one read. What was read so far is right, and is not read again.
            known |= missing
            self._connection.execute("COMMIT")

    def _one(self, sql: str, *bound: object) -> Any:
        return self._connection.execute(sql, bound).fetchone()

    def _catch_up(self, names: set[SpoolName]) -> set[_Place]:
        """Read what is new; return what the snapshot has not taken as a whole and is not there."""
        if self._is_stale:
            self._waiting.clear()
            self._spools.clear()
            self._is_stale = False
        self._one("SELECT max(seq) FROM main.batches")  # the snapshot begins
        self._waiting.forget(NOWHERE)
        flights = {name: self._in_flight(name) for name in names}
        there = {left.name: left for left in listing(self._folder)}
        missing: set[_Place] = {(name, 0) for name in names - there.keys()}
        for name in self._spools.keys() - names:
            self._drop(name)
        try:
            for name in sorted(names & there.keys()):
                missing.update(self._spool(there[name], flights[name]))
        finally:
            self._waiting.show()
        return missing

    def _in_flight(self, name: SpoolName) -> list[tuple[int, tuple[Any, ...]]]:
        return [] if self._one(_MARK, name.slots) else Remains(self._folder, name).in_flight()

    def _spool(
        self, left: Left, flights: Iterable[tuple[int, tuple[Any, ...]]]
    ) -> Iterator[_Place]:
        """Read what is new in a spool; yield the segments that are missing."""
        spool = self._spools.setdefault(left.name, _Spool(left.name))
        self._find_run(spool)
        ended = set[int]()
        for number in sorted({*left.segments, *spool.files}):
            offset, ending = self._one(_MARK, left.name.segment(number)) or (0, None)
            if ending is not None:
                self._forget(spool, number)
                continue
            if not self._follows(left, number):
                yield left.name, number - 1
            if spool.run is None and number > 1:
                continue  # Whose rows these are was in a file that has gone: for another snapshot.
            if not self._segment(spool, number, offset, ended):
                yield left.name, number
        for number, facts in flights:
            if number not in ended:
                self._waiting.add(Entry(INTENTS.name, number, facts), spool.run, NOWHERE)

    def _find_run(self, spool: _Spool) -> None:
        """Ask for the number of the run, until the database has it."""
        if spool.run is None or spool.run >= FIRST:
            (found,) = self._one(_RUN, spool.name.segment(1))
            if found is not None:
                if spool.run is not None:
                    self._waiting.renumber(spool.run, found)
                spool.run = found

    def _follows(self, left: Left, number: int) -> bool:
        """Whether the segment before *number* is there too, or in the database as a whole."""
        if number == 1 or number - 1 in left.segments:
            return True
        mark = self._one(_MARK, left.name.segment(number - 1))
        return bool(mark and mark[1])

    def _segment(self, spool: _Spool, number: int, taken: int, ended: set[int]) -> bool:
        """Read what is new in a segment; return whether it was there."""
        try:
            with opened(self._folder / spool.name.segment(number)) as fd:
                file = self._file(spool, number, os.fstat(fd), taken)
                if file.taken < taken:
                    self._waiting.forget(file.number, taken)
                    file.taken, file.end = taken, max(file.end, taken)
                self._read(spool, file, fd, ended)
        except FileNotFoundError:
            return False
        return True

    def _file(self, spool: _Spool, number: int, found: os.stat_result, taken: int) -> _File:
        identity = (found.st_dev, found.st_ino)
        file = spool.files.get(number)
        if file is not None and (file.identity != identity or found.st_size < file.end):
            self._forget(spool, number)
            file = None
        if file is None:
            self._files += 1
            file = spool.files[number] = _File(self._files, identity, taken, taken)
        return file

    def _read(self, spool: _Spool, file: _File, fd: int, ended: set[int]) -> None:
        if os.fstat(fd).st_size <= file.end:
            return
        while (chunk := read_chunk(fd, file.end)).entries:
            for entry in chunk.entries:
                ended.add(entry.number)
                seq = self._waiting.add(entry, spool.run, file.number)
                if entry.table == RUNS.name:
                    spool.run = seq
            file.end = chunk.end

    def _forget(self, spool: _Spool, number: int) -> None:
        file = spool.files.pop(number, None)
        if file is not None:
            self._waiting.forget(file.number)

    def _drop(self, name: SpoolName) -> None:
        """Forget a spool that had gone before the snapshot began, which has its rows."""
        spool = self._spools.pop(name)
        for number in list(spool.files):
            self._forget(spool, number)


@contextmanager
def _writable(connection: sqlite3.Connection) -> Iterator[None]:
    """Let the body make and fill temporary tables; the file is open for reading only anyway."""
    connection.execute("PRAGMA query_only=OFF")
    try:
        yield
    finally:
        connection.execute("PRAGMA query_only=ON")
