"""Verification of a log by nothing but its published format.

Tables, views and triggers are those of the format, else malformed; then each batch is checked
against its rows (:mod:`nxkernel.audit.inspection`), and the whole against a checkpoint: at its size
the tree has its root, else forged; there are as many rows, else truncated. What waits in spools has
no tree yet; it is looked at for damage (:mod:`nxkernel.audit.backlog`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from nxkernel.audit.backlog import Backlog, backlog_of
from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.failure import cannot
from nxkernel.audit.inspection import Inspection, Start
from nxkernel.audit.schema import FORMAT_VERSION, SEGMENTS, TABLES, Table
from nxkernel.audit.segments import Segment, held, opened
from nxkernel.audit.sharing import shared_run
from nxkernel.audit.suspects import MAX_PROBLEMS, Problem, ProblemKind
from nxkernel.audit.tree import Tree
from nxkernel.errors import IntegrityError

__all__ = ["Problem", "ProblemKind", "VerifyReport", "verify"]

_HONEST = "that a row was true when it was written: whoever ran the kernel's process could lie"
_NO_CHECKPOINT = (
    "that no rows were cut off at the end, and that the log was not rewritten from some row on: "
    "that takes a checkpoint that was kept elsewhere"
)
_CONTINUED = "SELECT count(*) FROM runs WHERE continues IS NOT NULL"
_BEFORE = "anything about rows 1 to {}: the files that have them are not here"
_NO_FILE = "that it continues the checkpoint: the file that has its last row is not here"
_WAITING = (
    "that none of the {} rows that wait was left out, or changed together with its checksum: they "
    "have no tree before they are in the database"
)
_ALONE = "which rows came after those that it has: a spool that was taken in part is not here"
_AFTER = "anything about rows after number {}: the checkpoint is older than they are"


@attrs.frozen(kw_only=True)
class VerifyReport:
    """What verification found."""

    #: How many rows were checked.
    rows: int
    #: How many runs; one that goes on over several files is one.
    runs: int
    #: State of the log as it was read, to be kept elsewhere; None for an empty log.
    head: Checkpoint | None
    problems: tuple[Problem, ...]
    #: What cannot be shown, whatever the result.
    limits: tuple[str, ...]
    #: What is on record and not yet in the database; its problems are not among those above.
    backlog: Backlog = attrs.field(factory=Backlog)

    @property
    def ok(self) -> bool:
        """Whether no problem was found, in the database or in what waits."""
        return not self.problems and not self.backlog.problems

    def require(self) -> None:
        """Do nothing for a sound log.

        Raises:
            IntegrityError: with the first problem in its message.
        """
        problems = (*self.problems, *self.backlog.problems)
        if problems:
            first, others = problems[0], len(problems) - 1
            more = f" (and {others} more)" if others else ""
            raise IntegrityError(
                f"the audit log does not verify: {first.message}{more}; keep the file as evidence "
                "and compare it with a checkpoint kept elsewhere",
                details={"problems": [attrs.asdict(problem) for problem in problems]},
            )


def verify(
    path: Path | str,
    checkpoint: Checkpoint | None = None,
    *,
    archives: Sequence[Path] = (),
    processes: int = 1,
) -> VerifyReport:
    """Check every row of the log at *path*, over all its segments, and that it continues a state.

    What waits in spools beside it is looked at for damage. Segments are looked for beside the log,
    and in the folders *archives*. A log that is being written to is checked as it was when this
    began. With more *processes* a large one takes less time; whatever they find wrong is looked at
    again in this one.

    Raises:
        AuditError: when a file is missing or no audit log at all.
    """
    path = Path(path)
    whole = _Whole(checkpoint)
    with held(path, archives) as segments:
        for segment in segments:
            with opened(segment) as connection:
                whole.add(segment, _verified(segment, connection, checkpoint, processes))
        return _with_backlog(whole.report(), path, segments[-1])


def _with_backlog(report: VerifyReport, path: Path, newest: Segment) -> VerifyReport:
    try:
        backlog = backlog_of(path, newest)
    except (sqlite3.DatabaseError, OSError) as error:
        if report.problems:
            return report  # which says already why the database cannot be asked
        raise cannot("read", path, error) from error
    waiting = backlog.rows + backlog.in_flight
    more = [_WAITING.format(waiting)] if waiting else []
    if backlog.is_alone:
        more.append(_ALONE)
    return attrs.evolve(report, backlog=backlog, limits=(*report.limits, *more))


@attrs.frozen(kw_only=True)
class _Part:
    """What was found in one file."""

    origin: str
    start: Start
    #: Root of the tree before the file, or None.
    base_root: bytes | None
    end: Start
    rows: int
    runs: int
    #: How many of these began in an earlier file.
    continued: int
    roots: Mapping[int, bytes]
    problems: Sequence[Problem]


def _verified(
    segment: Segment, connection: sqlite3.Connection, checkpoint: Checkpoint | None, processes: int
) -> _Part:
    lenient, connection.text_factory = connection.text_factory, str
    pins = [checkpoint.size] if checkpoint else []
    shared = None if segment.is_packed or processes < 2 else (segment.path, processes)
    found = _Verification(connection, pins, shared).run()
    if found is None:  # some text is no UTF-8: slower, but nothing stops it
        connection.text_factory = lenient
        found = _Verification(connection, pins, None).run()
    assert found is not None
    return found


class _Whole:
    """Puts together what was found in the files of a log."""

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        self._checkpoint = checkpoint
        self._problems: list[Problem] = []
        self._parts: list[_Part] = []
        self._roots: dict[int, bytes] = {}

    def add(self, segment: Segment, part: _Part) -> None:
        """Add the next file, which has to continue the one before."""
        named = segment.path.name
        self._problems += [
            attrs.evolve(each, message=f"{named}: {each.message}") if segment.first else each
            for each in part.problems
        ]
        if self._parts:
            self._check_joint(self._parts[-1], part, named)
        self._roots.update(part.roots)
        if (root := root_at(part.end)) is not None:
            self._roots[part.end.row - 1] = root
        self._parts.append(part)

    def _check_joint(self, before: _Part, part: _Part, named: str) -> None:
        first, expected = part.start.row, before.end.row
        if first > expected:
            message = f"rows {expected} to {first - 1} are missing: no file before {named} has them"
            self._problems.append(Problem("missing", "", expected, message))
        elif first < expected or part.origin != before.origin:
            message = f"{named} does not continue the file before it"
            self._problems.append(Problem("forged", "segments", first, message))
        elif part.start.tree is not None and root_at(before.end) not in (None, part.base_root):
            message = f"{named} continues another state than that at the end of the file before"
            self._problems.append(Problem("forged", "segments", first, message))

    def report(self) -> VerifyReport:
        """Return what was found in all."""
        last = self._parts[-1]
        if self._checkpoint is not None:
            self._check_checkpoint(self._checkpoint, last)
        ordered = sorted(self._problems, key=lambda each: (each.seq, each.table, each.kind))
        return VerifyReport(
            rows=sum(part.rows for part in self._parts),
            # Of a run that began in a file that is not here, the first that is here counts.
            runs=self._parts[0].runs + sum(p.runs - p.continued for p in self._parts[1:]),
            head=_head(last),
            problems=tuple(ordered[:MAX_PROBLEMS]),
            limits=tuple(self._limits(last.end.row - 1)),
        )

    def _check_checkpoint(self, point: Checkpoint, last: _Part) -> None:
        size, root = last.end.row - 1, self._roots.get(point.size)
        if last.origin and last.origin != point.origin:
            message = "the checkpoint is of another log, or this one was renamed"
            self._problems.append(Problem("forged", "", 1, message))
        if size < point.size:
            message = f"rows {size + 1} to {point.size} are cut off: the checkpoint has seen them"
            self._problems.append(Problem("truncated", "", size + 1, message))
        elif root is not None and root != point.hash:
            message = f"rows 1 to {point.size} are not what the checkpoint saw: they were rewritten"
            self._problems.append(Problem("forged", "", point.size, message))

    def _limits(self, size: int) -> Iterator[str]:
        yield _HONEST
        before = self._parts[0].start.row - 1
        if before > 0:
            yield _BEFORE.format(before)
        if self._checkpoint is None:
            yield _NO_CHECKPOINT
        elif self._checkpoint.size < before:
            yield _NO_FILE
        elif size > self._checkpoint.size:
            yield _AFTER.format(self._checkpoint.size)


def _head(last: _Part) -> Checkpoint | None:
    root = root_at(last.end)
    if root is None or last.end.row == 1 or not last.origin:
        return None
    return Checkpoint.of(last.origin, last.end.row - 1, root)


def root_at(end: Start) -> bytes | None:
    """Return the root over all rows at the end of a pass, if it can be told."""
    if end.tree is None or (end.row > 1 and not end.pending):
        return None
    tree = end.tree.copy()
    tree.add([end.pending] if end.pending else [])
    return tree.root


class _Verification:
    """One verification of one file."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        pins: Sequence[int],
        shared: tuple[Path, int] | None,
    ) -> None:
        self._connection = connection
        self._pins = pins
        self._shared = shared
        self._origin = ""

    def run(self) -> _Part | None:
        """Return what was found, or None when some text is no UTF-8 and ``text_factory`` minds."""
        self._inspection = Inspection(self._connection, self._readable(), self._pins)
        start = end = Start(row=1, tree=Tree())
        base_root = None
        try:
            self._connection.execute("BEGIN")
            self._check_schema()
            start = self._begin()
            base_root = start.tree.root if start.tree else None
            end = self._check_rows(start)
            self._inspection.close()
        except sqlite3.Error as error:
            if "decode to UTF-8" in str(error) and self._connection.text_factory is str:
                self._connection.rollback()
                return None
            message = f"the database cannot be read: {error}"
            self._inspection.report("malformed", "", 0, message)
        found = self._inspection
        return _Part(
            origin=self._origin,
            start=start,
            base_root=base_root,
            end=end,
            rows=found.rows,
            runs=found.runs,
            continued=self._continued(),
            roots=found.roots,
            problems=found.problems,
        )

    def _continued(self) -> int:
        try:
            return int(self._connection.execute(_CONTINUED).fetchone()[0])
        except sqlite3.Error:  # what is wrong has been said
            return 0

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
        self._check_triggers()

    def _check_triggers(self) -> None:
        """Find triggers that are none of the format's: they change or drop what is written."""
        ours = {statement.split()[2] for table in TABLES for statement in table.statements}
        of_logs = {table.name for table in TABLES}
        query = (
            "SELECT lower(tbl_name), name FROM sqlite_master WHERE type = 'trigger' ORDER BY 1, 2"
        )
        for table, name in self._connection.execute(query).fetchall():
            if table in of_logs and name not in ours:
                message = f"trigger {name} is none of the format's"
                self._inspection.report("malformed", table, 0, message)

    def _check_rows(self, start: Start) -> Start:
        last = self._connection.execute("SELECT max(seq) FROM batches").fetchone()[0] or 0
        first = start.row
        if self._shared and (end := shared_run(self._inspection, start, last, *self._shared)):
            return end
        end = self._inspection.run(start, last)
        self._inspection.strangers(first, end.row - 1)
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
