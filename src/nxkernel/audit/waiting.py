"""Temporary tables of a reader's connection, for rows that the database does not have yet.

For each table X that a spool may hold rows of there are ``waiting_X``, as ``X_text`` shows its
rows, and the view ``every_X``, which has both. They last as long as the connection.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from nxkernel._canonical import NotCanonical
from nxkernel.audit.columns import Facts, Table
from nxkernel.audit.schema import RUN_ENDS, RUNS, SPOOLED
from nxkernel.audit.spool.entries import Entry, has_too_large

__all__ = ["FIRST", "NOWHERE", "Waiting", "shown"]

#: Number of the first row that waits. No database has as many, so that none has it twice.
FIRST = 10**12
#: The file of what is in none: the calls in flight.
NOWHERE = 0
_BY_NAME = {table.name: table for table in SPOOLED}
#: Rows that are held in memory until they are handed to SQLite, which spills to its own files.
_AT_ONCE = 5000


def _columns(table: Table) -> str:
    return ", ".join(("seq", *table.names))


def shown(entry: Entry, run: int | None) -> tuple[Table, Facts]:
    """Return the table of a row, and its facts as the view shows them.

    Raises:
        NotCanonical: when no table takes it.
    """
    table = _BY_NAME.get(entry.table)
    if table is None:
        raise NotCanonical("a row of a table that spools have no rows of")
    facts: Facts = entry.facts if table is RUNS else (run, *entry.facts)
    if table is RUN_ENDS:
        facts = (*facts, "")  # the checkpoint before it is not known yet
    return table, table.text(facts)


class Waiting:
    """The rows, numbered as they come; whoever calls it has made the connection writable."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._seq = FIRST
        self._rows: dict[str, list[tuple[Any, ...]]] = {table.name: [] for table in SPOOLED}
        for table in SPOOLED:
            columns = ", ".join(table.names)
            connection.execute(
                f"CREATE TEMP TABLE waiting_{table.name} "
                f"(seq INTEGER PRIMARY KEY, {columns}, file INTEGER, place INTEGER)"
            )
            connection.execute(
                f"CREATE TEMP VIEW every_{table.name} AS "
                f"SELECT {_columns(table)} FROM main.{table.name}_text "
                f"UNION ALL SELECT {_columns(table)} FROM temp.waiting_{table.name}"
            )

    def add(self, entry: Entry, run: int | None, file: int) -> int | None:
        """Take a row of *file* and return its number.

        One whose run is lost, or that its table does not take, is not shown: None.
        """
        try:
            table, facts = shown(entry, run)
        except NotCanonical:
            return None
        seq, self._seq = self._seq, self._seq + 1
        rows = self._rows[table.name]
        rows.append((seq, *facts, file, entry.end))
        if len(rows) == _AT_ONCE:
            self._fill(table)
        return seq

    def show(self) -> None:
        """Let queries see what was added."""
        for table in SPOOLED:
            if self._rows[table.name]:
                self._fill(table)

    def _fill(self, table: Table) -> None:
        marks = ", ".join("?" * (3 + len(table.names)))
        statement = f"INSERT INTO temp.waiting_{table.name} VALUES ({marks})"
        rows = self._rows[table.name]
        try:
            self._connection.executemany(statement, rows)
        except OverflowError:  # the ledger records such a row as an event, so it is not shown
            undo = f"DELETE FROM temp.waiting_{table.name} WHERE seq >= ?"
            self._connection.execute(undo, rows[0][:1])
            self._connection.executemany(statement, (r for r in rows if not has_too_large(r)))
        rows.clear()

    def forget(self, file: int, place: int | None = None) -> None:
        """Take away the rows of *file*, all of them or those that end at *place* or before."""
        for table in SPOOLED:
            self._connection.execute(
                f"DELETE FROM temp.waiting_{table.name} "
                "WHERE file = :file AND (:place IS NULL OR place <= :place)",
                {"file": file, "place": place},
            )

    def clear(self) -> None:
        """Take away all rows."""
        for table in SPOOLED:
            self._rows[table.name].clear()
            self._connection.execute(f"DELETE FROM temp.waiting_{table.name}")

    def renumber(self, run: int, new: int) -> None:
        """Let rows of *run* be rows of the run *new*, which is the same one in the database."""
        for table in SPOOLED:
            if table is not RUNS:
                self._connection.execute(
                    f"UPDATE temp.waiting_{table.name} SET run = ? WHERE run = ?", (new, run)
                )

    def count(self) -> int:
        """Return how many there are."""
        parts = " UNION ALL ".join(
            f"SELECT count(*) AS n FROM temp.waiting_{table.name}" for table in SPOOLED
        )
        (total,) = self._connection.execute(f"SELECT sum(n) FROM ({parts})").fetchone()
        return int(total)
