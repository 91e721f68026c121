"""Verification of a log, row by row, by nothing but its published format.

For each row in the order of ``seq``, in one snapshot of the database:

1. every value has the storage class of its column, ``prev`` and ``digest`` 32 bytes: else malformed
2. no two rows claim one number: else forged; no number is left out: else missing
3. the digest is that of the row's own content: else reordered, if the content belongs to another
   number, or edited
4. ``prev`` is the digest of the row before, if both digests are right in themselves: else forged
5. at the checkpoint's size the digest is its root: else forged; there are as many rows: else
   truncated

Before that, tables and triggers are those of the format: else malformed.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import attrs

from nxkernel._canonical import NotCanonical
from nxkernel._sqlite import open_reader
from nxkernel.audit.chain import GENESIS, Checkpoint, link, origin_of
from nxkernel.audit.failure import cannot, shown
from nxkernel.audit.schema import FORMAT, RUNS, TABLES, Table
from nxkernel.errors import AuditError, IntegrityError

__all__ = ["Problem", "ProblemKind", "VerifyReport", "verify"]

ProblemKind = Literal["edited", "missing", "reordered", "forged", "truncated", "malformed"]

#: Problems that are listed one by one; a log beyond that is rotten as a whole.
MAX_PROBLEMS = 1000
#: How far a row is looked for from where it stands.
_NEAR = 16
#: How many other damaged rows are tried as a row's own place.
_MAX_PLACES = 256

_HONEST = "that a row was true when it was written: whoever ran the kernel's process could lie"
_NO_CHECKPOINT = (
    "that no rows were cut off at the end, and that the log was not rewritten from some row on: "
    "that takes a checkpoint that was kept elsewhere"
)
_AFTER = "anything about rows after number {}: the checkpoint is older than they are"


@attrs.frozen
class Problem:
    """One thing that does not add up."""

    kind: ProblemKind
    #: The table, or empty where no row is left to say.
    table: str
    #: Number of the row, or 0.
    seq: int
    message: str


@attrs.frozen(kw_only=True)
class VerifyReport:
    """What verification found."""

    #: How many rows were checked.
    rows: int
    runs: int
    #: State of the log as it was read, to be kept elsewhere; None for an empty log.
    head: Checkpoint | None
    problems: tuple[Problem, ...]
    #: What cannot be shown, whatever the result.
    limits: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether no problem was found."""
        return not self.problems

    def require(self) -> None:
        """Do nothing for a sound log.

        Raises:
            IntegrityError: with the first problem in its message.
        """
        if self.problems:
            first, others = self.problems[0], len(self.problems) - 1
            more = f" (and {others} more)" if others else ""
            raise IntegrityError(
                f"the audit log does not verify: {first.message}{more}; keep the file as evidence "
                "and compare it with a checkpoint kept elsewhere",
                details={"problems": [attrs.asdict(problem) for problem in self.problems]},
            )


@attrs.frozen
class _Row:
    seq: int
    table: Table
    prev: Any
    digest: Any
    facts: tuple[Any, ...]

    def belongs_at(self, seq: int) -> bool:
        """Whether the digest is that of this content at number *seq*."""
        try:
            return bool(link(self.prev, self.table.name, seq, self.facts) == self.digest)
        except NotCanonical:
            return False

    @property
    def fault(self) -> str:
        """Name a value that the format forbids, or return an empty text."""
        if not _is_digest(self.prev) or not _is_digest(self.digest):
            return "prev or digest"
        for column, value in zip(self.table.columns, self.facts, strict=True):
            allowed = int if column.type == "INTEGER" else str
            if type(value) is not allowed and not (value is None and column.null):
                return column.name
        return ""


def _is_digest(value: Any) -> bool:
    return type(value) is bytes and len(value) == 32


def verify(path: Path | str, checkpoint: Checkpoint | None = None) -> VerifyReport:
    """Check every row of the log at *path*, and that it continues *checkpoint*.

    A log that is being written to is checked as it was when this began.

    Raises:
        AuditError: when the file is missing or no audit log at all.
    """
    path = Path(path)
    if not path.is_file():
        raise AuditError(f"there is no audit log at {shown(path)}", details={"path": str(path)})
    try:
        connection = open_reader(path, FORMAT)
    except sqlite3.Error as error:
        raise cannot("read", path, error) from error
    try:
        return _Verification(checkpoint).run(connection)
    finally:
        connection.close()


class _Verification:
    """The state of one pass over the rows."""

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        self._checkpoint = checkpoint
        self._problems: list[Problem] = []
        self._damaged: list[_Row] = []
        self._gaps: list[int] = []
        self._last: _Row | None = None
        self._last_is_sound = True
        self._rows = self._runs = 0
        self._first = self._pinned = b""

    def run(self, connection: sqlite3.Connection) -> VerifyReport:
        try:
            connection.execute("BEGIN")
            for row in _rows(connection, self._check_schema(connection)):
                self._check(row)
        except sqlite3.Error as error:
            self._report("malformed", "", 0, f"the database cannot be read: {error}")
        self._place_damaged()
        self._check_checkpoint()
        self._problems.sort(key=lambda problem: (problem.seq, problem.table, problem.kind))
        return VerifyReport(
            rows=self._rows,
            runs=self._runs,
            head=self._head(),
            problems=tuple(self._problems),
            limits=self._limits(),
        )

    def _report(self, kind: ProblemKind, table: str, seq: int, message: str) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(Problem(kind, table, seq, message))

    def _check_schema(self, connection: sqlite3.Connection) -> list[Table]:
        """Compare tables and triggers with the format; return the tables that can be read."""
        query = "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'trigger')"
        found = dict(connection.execute(query).fetchall())
        for table in TABLES:
            for statement in (table.create, *table.guards):
                kind, name = statement.split()[1:3]
                if found.get(name) != statement:
                    how = "not as the format has it" if name in found else "missing"
                    message = f"{kind.lower()} {name} is {how}"
                    self._report("malformed", table.name, 0, message)
        return [table for table in TABLES if table.name in found]

    def _check(self, row: _Row) -> None:
        last = self._last.seq if self._last else 0
        self._rows += 1
        self._runs += row.table is RUNS
        if row.seq <= last or row.seq < 1:
            claim = "claims a number twice" if row.seq >= 1 else "has a number below 1"
            self._report("forged", row.table.name, row.seq, f"{_name(row)} {claim}")
            return
        if row.seq > last + 1:
            self._note_gap(last + 1, row.seq - 1)
        sound = self._check_content(row)
        if sound and self._last_is_sound and row.seq == last + 1:
            self._check_link(row)
        self._advance(row, sound)

    def _note_gap(self, first: int, last: int) -> None:
        what = f"row {first} is" if first == last else f"rows {first} to {last} are"
        self._report("missing", "", first, f"{what} missing")
        self._gaps.extend(range(first, min(last + 1, first + _MAX_PLACES)))

    def _check_content(self, row: _Row) -> bool:
        if fault := row.fault:
            message = f"{_name(row)} has a value in {fault} that the format forbids"
            self._report("malformed", row.table.name, row.seq, message)
            return False
        if row.belongs_at(row.seq):
            return True
        if len(self._damaged) < MAX_PROBLEMS:
            self._damaged.append(row)
        return False

    def _check_link(self, row: _Row) -> None:
        before = self._last.digest if self._last else GENESIS
        if row.prev != before:
            last = f"row {row.seq - 1}" if row.seq > 1 else "the beginning"
            message = f"{_name(row)} does not follow {last}: one of the two was put in its place"
            self._report("forged", row.table.name, row.seq, message)

    def _advance(self, row: _Row, sound: bool) -> None:
        self._last, self._last_is_sound = row, sound
        if row.seq == 1 and _is_digest(row.digest):
            self._first = row.digest
        if self._checkpoint and row.seq == self._checkpoint.size:
            self._pinned = row.digest

    def _place_damaged(self) -> None:
        """Tell a row that stands in another row's place from one that was edited."""
        places = [row.seq for row in self._damaged[:_MAX_PLACES]] + self._gaps[:_MAX_PLACES]
        for row in self._damaged:
            near = range(max(1, row.seq - _NEAR), row.seq + _NEAR + 1)
            own = next((seq for seq in (*near, *places) if row.belongs_at(seq)), None)
            if own is None:
                message = f"{_name(row)} was edited: its digest is of other content"
                self._report("edited", row.table.name, row.seq, message)
            else:
                message = f"{_name(row)} stands in another place: it was written as row {own}"
                self._report("reordered", row.table.name, row.seq, message)

    def _check_checkpoint(self) -> None:
        point = self._checkpoint
        if point is None:
            return
        size = self._last.seq if self._last else 0
        if self._first and origin_of(self._first) != point.origin:
            self._report("forged", "", 1, "the checkpoint is of another log, or row 1 is not its")
        if size < point.size:
            message = f"rows {size + 1} to {point.size} are cut off: the checkpoint has seen them"
            self._report("truncated", "", size + 1, message)
        elif self._pinned and self._pinned != bytes.fromhex(point.root):
            message = f"row {point.size} is not what the checkpoint saw: the log was rewritten"
            self._report("forged", "", point.size, message)

    def _head(self) -> Checkpoint | None:
        if self._last is None or not self._first or not _is_digest(self._last.digest):
            return None
        return Checkpoint(origin_of(self._first), self._last.seq, self._last.digest.hex())

    def _limits(self) -> tuple[str, ...]:
        if self._checkpoint is None:
            return (_HONEST, _NO_CHECKPOINT)
        if self._last is not None and self._last.seq > self._checkpoint.size:
            return (_HONEST, _AFTER.format(self._checkpoint.size))
        return (_HONEST,)


def _name(row: _Row) -> str:
    return f"row {row.seq} ({row.table.name})"


def _rows(connection: sqlite3.Connection, tables: list[Table]) -> Iterator[_Row]:
    """Yield the rows of all tables in the order of their numbers."""
    streams = [_rows_of(connection, table) for table in tables]
    return heapq.merge(*streams, key=lambda row: row.seq)


def _rows_of(connection: sqlite3.Connection, table: Table) -> Iterator[_Row]:
    for seq, prev, digest, *facts in connection.execute(table.select):
        yield _Row(seq, table, prev, digest, tuple(facts))
