"""Verification of a log by nothing but its published format.

Tables, views and triggers are those of the format, else malformed; then each batch is checked
against its rows (:mod:`nxkernel.audit.inspection`), and the whole against a checkpoint: at its size
the tree has its root, else forged; there are as many rows, else truncated.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import attrs

from nxkernel._sqlite import open_reader
from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.failure import cannot, shown
from nxkernel.audit.inspection import Inspection, Start
from nxkernel.audit.schema import FORMAT, FORMAT_VERSION, SEGMENTS, TABLES, Table
from nxkernel.audit.suspects import Problem, ProblemKind
from nxkernel.audit.tree import Tree
from nxkernel.errors import AuditError, IntegrityError

__all__ = ["Problem", "ProblemKind", "VerifyReport", "verify"]

_HONEST = "that a row was true when it was written: whoever ran the kernel's process could lie"
_NO_CHECKPOINT = (
    "that no rows were cut off at the end, and that the log was not rewritten from some row on: "
    "that takes a checkpoint that was kept elsewhere"
)
_AFTER = "anything about rows after number {}: the checkpoint is older than they are"


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
    with closing(connection):
        lenient, connection.text_factory = connection.text_factory, str
        found = _Verification(connection, checkpoint).run()
        if found is None:  # some text is no UTF-8: slower, but nothing stops it
            connection.text_factory = lenient
            found = _Verification(connection, checkpoint).run()
        assert found is not None
        return found


class _Verification:
    """One verification of one file."""

    def __init__(self, connection: sqlite3.Connection, checkpoint: Checkpoint | None) -> None:
        self._connection = connection
        self._checkpoint = checkpoint
        self._origin = ""

    def run(self) -> VerifyReport | None:
        """Return the report, or None when some text is no UTF-8 and ``text_factory`` minds."""
        pins = [self._checkpoint.size] if self._checkpoint else []
        self._inspection = Inspection(self._connection, self._readable(), pins)
        end = Start(row=1, tree=Tree())
        try:
            self._connection.execute("BEGIN")
            self._check_schema()
            end = self._check_rows()
            self._inspection.close()
        except sqlite3.Error as error:
            if "decode to UTF-8" in str(error) and self._connection.text_factory is str:
                self._connection.rollback()
                return None
            message = f"the database cannot be read: {error}"
            self._inspection.report("malformed", "", 0, message)
        self._check_checkpoint(end)
        found = self._inspection
        return VerifyReport(
            rows=found.rows,
            runs=found.runs,
            head=self._head(end),
            problems=tuple(sorted(found.problems, key=lambda p: (p.seq, p.table, p.kind))),
            limits=self._limits(end.row - 1),
        )

    def _schema(self) -> dict[str, str]:
        query = "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'trigger', 'view')"
        return dict(self._connection.execute(query).fetchall())

    def _readable(self) -> list[Table]:
        """Return the tables that exist."""
        return [table for table in TABLES if table.name in self._schema()]

    def _check_schema(self) -> None:
        """Compare tables, triggers and views with the format."""
        found = self._schema()
        for table in TABLES:
            for statement in table.statements:
                kind, name = statement.split()[1:3]
                if found.get(name) != statement:
                    how = "not as the format has it" if name in found else "missing"
                    message = f"{kind.lower()} {name} is {how}"
                    self._inspection.report("malformed", table.name, 0, message)

    def _check_rows(self) -> Start:
        start = self._begin()
        last = self._connection.execute("SELECT max(seq) FROM batches").fetchone()[0] or 0
        end = self._inspection.run(start, last)
        self._inspection.strangers(start.row, end.row - 1)
        return end

    def _begin(self) -> Start:
        """Return where the file says that it begins."""
        names = ", ".join(SEGMENTS.names)
        row = self._connection.execute(f"SELECT seq, {names} FROM segments ORDER BY seq").fetchone()
        if row is None:
            return Start(row=1, tree=Tree())
        seq, origin, version, base, frontier, *_ = row
        self._origin = origin if isinstance(origin, str) else ""
        if SEGMENTS.fault(row[1:]):
            return Start(row=seq, tree=None)  # which is reported when the row is read
        if version == FORMAT_VERSION and seq == base + 1:
            with suppress(ValueError):
                return Start(row=seq, tree=Tree(base, frontier))
        message = f"row {seq} (segments) does not say how the file begins"
        self._inspection.report("malformed", "segments", seq, message)
        return Start(row=seq, tree=None)

    def _check_checkpoint(self, end: Start) -> None:
        point, size = self._checkpoint, end.row - 1
        if point is None:
            return
        report = self._inspection.report
        if self._origin and self._origin != point.origin:
            report("forged", "", 1, "the checkpoint is of another log, or this one was renamed")
        root = _root_at(end) if point.size == size else self._inspection.roots.get(point.size)
        if size < point.size:
            message = f"rows {size + 1} to {point.size} are cut off: the checkpoint has seen them"
            report("truncated", "", size + 1, message)
        elif root is not None and root != point.hash:
            message = (
                f"rows 1 to {point.size} are not what the checkpoint saw: the log was rewritten"
            )
            report("forged", "", point.size, message)

    def _head(self, end: Start) -> Checkpoint | None:
        root = _root_at(end)
        if root is None or end.row == 1 or not self._origin:
            return None
        return Checkpoint.of(self._origin, end.row - 1, root)

    def _limits(self, size: int) -> tuple[str, ...]:
        if self._checkpoint is None:
            return (_HONEST, _NO_CHECKPOINT)
        if size > self._checkpoint.size:
            return (_HONEST, _AFTER.format(self._checkpoint.size))
        return (_HONEST,)


def _root_at(end: Start) -> bytes | None:
    """Return the root over all rows at the end of a pass, if it can be told."""
    if end.tree is None or (end.row > 1 and not end.pending):
        return None
    tree = end.tree.copy()
    tree.add([end.pending] if end.pending else [])
    return tree.root
