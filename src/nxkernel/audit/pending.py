"""For readers: rows that are on record and not yet in the database, as if they were.

They are put into temporary tables of the reader's own connection, and temporary views of the same
names lay both together, so that every query means all rows. Their numbers go on behind those of
the database, and are not those that they will have there.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from nxkernel._canonical import NotCanonical
from nxkernel._system import files
from nxkernel.audit.schema import INTENTS, NAMES, RUN_ENDS, RUNS, TABLES, Facts, Table
from nxkernel.audit.spool.entries import Entry, has_too_large
from nxkernel.audit.spool.folder import Left, folder_of, listing
from nxkernel.audit.spool.remains import Remains, read_chunk

__all__ = ["with_pending"]

_BY_NAME = {table.name: table for table in TABLES}
_MARK = "SELECT to_offset, ending FROM batches WHERE spool = ? ORDER BY seq DESC LIMIT 1"
_RUN = (
    "SELECT min(r.seq) FROM main.batches AS b "
    "JOIN main.runs AS r ON r.seq BETWEEN b.first AND b.seq WHERE b.spool = ? AND b.from_offset = 0"
)
#: Rows that are held in memory until they are handed to SQLite, which spills to its own files.
_AT_ONCE = 5000
_FLAGS = os.O_RDONLY | files.CLOEXEC | files.BINARY


@contextmanager
def with_pending(connection: sqlite3.Connection, log: Path) -> Iterator[int]:
    """Let queries of the body see all rows that are on record, in one snapshot.

    Gives how many of them the database does not have yet.

    *connection* is a reader's, of the log at *log*. What is not in the database is read before the
    body; rows that are appended later are not seen.

    Raises:
        sqlite3.Error, OSError: when something cannot be read.
    """
    folder = folder_of(log)
    # The files are opened before the snapshot: one that has gone by then is in the snapshot, and
    # one that goes later is held open.
    with ExitStack() as held:
        spools = [_Held(folder, left, held) for left in listing(folder)]
        if not spools:
            yield 0
            return
        with _scratch(connection):
            pending = _Pending(connection)
            for spool in spools:
                pending.read(spool)
            pending.show()
            yield pending.count


@contextmanager
def _scratch(connection: sqlite3.Connection) -> Iterator[None]:
    """Begin a snapshot in which temporary tables may be made; its end takes them away again."""
    connection.execute("PRAGMA query_only=OFF")
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT max(seq) FROM main.batches").fetchone()
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA query_only=ON")


class _Held:
    """The files of one spool, open."""

    def __init__(self, folder: Path, left: Left, held: ExitStack) -> None:
        self.folder, self.name = folder, left.name
        self._held = held
        self._open: dict[str, int] = {}
        self._add(left)

    def _add(self, left: Left) -> None:
        for number in left.segments:
            name = left.name.segment(number)
            if name not in self._open:
                with suppress(FileNotFoundError):
                    self._open[name] = os.open(self.folder / name, _FLAGS)
                    self._held.callback(os.close, self._open[name])

    def segments(self) -> Iterator[tuple[str, int]]:
        """Yield name and descriptor of each segment, also of those that have come meanwhile."""
        yield from list(self._open.items())
        seen = len(self._open)
        for left in listing(self.folder):
            if left.name == self.name:
                self._add(left)
        yield from list(self._open.items())[seen:]

    def in_flight(self) -> list[Entry]:
        """Return the calls that have not ended; to be asked before the segments are read."""
        found = Remains(self.folder, self.name).in_flight()
        return [Entry(INTENTS.name, number, facts) for number, facts in found]


class _Pending:
    """Rows for the temporary tables, numbered as they come."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        #: Rows that were taken; the names that they need are none of them.
        self.count = 0
        self._seq: int = self._one("SELECT ifnull(max(seq), 0) FROM main.batches")[0]
        self._names: dict[str, int] = {}
        self._rows: dict[str, list[tuple[Any, ...]]] = {}

    def _one(self, sql: str, *bound: object) -> Any:
        return self._connection.execute(sql, bound).fetchone()

    def read(self, spool: _Held) -> None:
        """Take what the database has not got of one spool."""
        in_flight = [] if self._one(_MARK, spool.name.slots) else spool.in_flight()
        (run,) = self._one(_RUN, spool.name.segment(1))
        ended: set[int] = set()
        for name, fd in spool.segments():
            for entry in self._entries(name, fd):
                ended.add(entry.number)
                seq = self._add(entry, run)
                if entry.table == RUNS.name:
                    run = seq
        for entry in in_flight:
            if entry.number not in ended:
                self._add(entry, run)

    def _entries(self, name: str, fd: int) -> Iterator[Entry]:
        offset, ending = self._one(_MARK, name) or (0, None)
        while ending is None and (chunk := read_chunk(fd, offset)).entries:
            yield from chunk.entries
            offset = chunk.end

    def _add(self, entry: Entry, run: int | None) -> int | None:
        """Number a row; one whose run is lost, or that its table does not take, is not shown."""
        facts: Facts = entry.facts if entry.table == RUNS.name else (run, *entry.facts)
        if entry.table == RUN_ENDS.name:
            facts = (*facts, "")  # the checkpoint before it is not known yet
        try:
            table = _BY_NAME[entry.table]
            stored = table.store(facts, self._number)
        except (KeyError, NotCanonical):
            return None
        self.count += 1
        return self._append(table, stored)

    def _append(self, table: Table, stored: tuple[Any, ...]) -> int:
        self._seq += 1
        rows = self._rows.get(table.name)
        if rows is None:
            rows = self._rows[table.name] = []
            self._create(table)
        rows.append((self._seq, *stored))
        if len(rows) == _AT_ONCE:
            self._fill(table)
        return self._seq

    def _create(self, table: Table) -> None:
        columns = ", ".join(("seq", *table.names))
        self._connection.execute(f"CREATE TEMP TABLE {table.name}_pending ({columns})")

    def _number(self, name: str) -> int:
        if name not in self._names:
            (known,) = self._one("SELECT max(seq) FROM main.names WHERE name = ?", name)
            self._names[name] = int(known) if known else self._append(NAMES, (name,))
        return self._names[name]

    def show(self) -> None:
        """Lay the rows over the tables of the database."""
        tables = [_BY_NAME[name] for name in self._rows]
        for table in tables:
            columns = ", ".join(("seq", *table.names))
            self._fill(table)
            self._connection.execute(
                f"CREATE TEMP VIEW {table.name} AS SELECT {columns} FROM main.{table.name} "
                f"UNION ALL SELECT {columns} FROM temp.{table.name}_pending"
            )
        for table in tables:  # now that every table is laid over, the names too
            self._connection.execute(table.view.replace("CREATE VIEW", "CREATE TEMP VIEW", 1))

    def _fill(self, table: Table) -> None:
        marks = ", ".join("?" * (1 + len(table.names)))
        statement = f"INSERT INTO temp.{table.name}_pending VALUES ({marks})"
        rows = self._rows[table.name]
        try:
            self._connection.executemany(statement, rows)
        except OverflowError:  # the ledger records such a row as an event, so it is not shown
            undo = f"DELETE FROM temp.{table.name}_pending WHERE seq >= ?"
            self._connection.execute(undo, rows[0][:1])
            self._connection.executemany(statement, (r for r in rows if not has_too_large(r)))
        rows.clear()
