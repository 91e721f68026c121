"""The database as the drainer fills it: batches of rows, each with the place that it came from."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from nxkernel._canonical import NotCanonical
from nxkernel._clock import Clock
from nxkernel._sqlite import Busy, WriterLock, immediate, only_append, open_writer
from nxkernel.audit.batches import Head, Source
from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.failure import cannot, shown
from nxkernel.audit.rotation import settle
from nxkernel.audit.schema import FORMAT, RUN_ENDS, RUNS, SPOOLED, Facts, Table, table_of
from nxkernel.audit.seams import LATEST, MARK, RUN_OF
from nxkernel.audit.spool.drainer import Mark, Moved
from nxkernel.audit.spool.entries import Entry, has_too_large
from nxkernel.audit.spool.folder import SpoolName, folder_of, listing
from nxkernel.errors import AuditError

__all__ = ["FAILURES", "REJECTED", "SqliteLedger", "opened"]

#: What may go wrong with a database and the files around it.
FAILURES = (sqlite3.Error, OSError, OverflowError, ValueError)
#: Kind of the event that stands for a row which its table does not take.
REJECTED = "audit.rejected"
#: The run of rows whose run's own row was damaged before it came here.
_NO_RUN = 0
_BY_NAME = {table.name: table for table in SPOOLED}


class SqliteLedger:
    """Takes rows into an open database; not for several threads at once.

    Every method raises what :data:`FAILURES` names.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, lock: WriterLock, clock: Clock
    ) -> None:
        self._path = path
        self._connection = connection
        self._lock = lock
        self._clock = clock
        self._file = _file(path)
        self._head: Head | None = None
        self._marks: dict[str, tuple[int, str | None]] = {}
        self._runs: dict[SpoolName, int] = {}
        self._check = False

    def is_current(self) -> bool:
        """Whether what is open is still the file at its path."""
        return self._file is not None and self._file == _file(self._path)

    def mark(self, file: str) -> tuple[int, str | None]:
        """Return up to where *file* was taken, and how it ends or None."""
        if file not in self._marks:
            found = self._connection.execute(MARK, (file,)).fetchone()
            self._marks[file] = found or (0, None)
        return self._marks[file]

    def take(self, spool: SpoolName, entries: Sequence[Entry], mark: Mark) -> None:
        """Put *entries* on record and *mark* with them, in one transaction.

        Raises:
            Moved: when ``mark.start`` is not where the file was taken up to.
        """
        try:
            self._transact(spool, entries, mark, checked=False)
        except (NotCanonical, OverflowError):
            # One of them is none that its table takes. Which one is asked now only.
            self._transact(spool, entries, mark, checked=True)

    def _transact(
        self, spool: SpoolName, entries: Sequence[Entry], mark: Mark, *, checked: bool
    ) -> None:
        self._check = checked
        try:
            with self._lock, immediate(self._connection):
                self._take(spool, entries, mark)
        except BaseException:
            self._head = None
            self._marks.clear()
            self._runs.clear()
            raise

    def _take(self, spool: SpoolName, entries: Sequence[Entry], mark: Mark) -> None:
        if not self.is_current():
            # The files that the rows come from go once they are taken: not by one that is gone.
            raise OSError(errno.ESTALE, "its file was removed or replaced")
        head = self._current()
        if self.mark(mark.file) != (mark.start, None):
            raise Moved
        start = mark.start
        for place, part in _parts(entries):
            rows = [self._row(spool, head, each) for each in part]
            is_last = place == len(entries)
            end = mark.end if is_last else entries[place - 1].end
            source = Source(
                spool=mark.file,
                from_offset=start,
                to_offset=end,
                ending=mark.ending if is_last else None,
            )
            numbers = head.append(self._connection, rows, self._clock.wall_ns(), source)
            if rows and rows[0][0] is RUNS:
                self._runs[spool] = numbers[0]
            start = end
        self._marks[mark.file] = (mark.end, mark.ending)

    def _current(self) -> Head:
        if self._head is None or not self._head.stands(self._connection):
            self._head = Head.read(self._connection)
            self._marks.clear()
        return self._head

    def _row(self, spool: SpoolName, head: Head, entry: Entry) -> tuple[Table, Facts]:
        """Return the row that *entry* stands for, with the number of its run."""
        if entry.table == RUNS.name:
            return self._checked(RUNS, entry.facts)
        facts: Facts = (self._run_of(spool), *entry.facts)
        if entry.table == RUN_ENDS.name:
            facts = (*facts, head.checkpoint().text())
        table = _BY_NAME.get(entry.table)
        if table is None:  # an unknown one, or one whose rows are the database's own to make
            return self._rejected(entry.table, facts, "spools have no rows of this table")
        return self._checked(table, facts)

    def _checked(self, table: Table, facts: Facts) -> tuple[Table, Facts]:
        """Return a row, or what is recorded instead: one that cannot be stored stops no other."""
        if not self._check:
            return table, facts
        try:
            table.store(facts, lambda name: 0)
            if has_too_large(facts):
                raise NotCanonical("an integer that the database has no room for")
        except NotCanonical as error:
            return self._rejected(table.name, facts, str(error))
        return table, facts

    def _rejected(self, name: str, facts: Facts, reason: str) -> tuple[Table, Facts]:
        run = facts[0] if isinstance(facts[0], int) else _NO_RUN
        data = {"table": name, "reason": reason, "facts": facts}
        said = json.dumps(data, sort_keys=True, default=repr)
        return table_of(REJECTED), (run, self._clock.wall_ns(), REJECTED, "", None, None, said)

    def _run_of(self, spool: SpoolName) -> int:
        if spool not in self._runs:
            (seq,) = self._connection.execute(RUN_OF, (spool.segment(1),)).fetchone()
            self._runs[spool] = seq or _NO_RUN
        return self._runs[spool]

    def next_spool(self, claim: str) -> SpoolName:
        """Return a name that no spool of this log has had; for whoever holds the lock."""
        (newest,) = self._connection.execute(LATEST).fetchone()
        there = [left.name.number for left in listing(folder_of(self._path))]
        return SpoolName(max([int(newest[:8]) if newest else 0, *there]) + 1, claim)

    @property
    def lock(self) -> WriterLock:
        """Held while a name is chosen and its files are made."""
        return self._lock

    def checkpoint(self) -> Checkpoint:
        """Return the state of the log now.

        Raises:
            AuditError: when it has no rows.
        """
        head = self._current()
        if not head.size:
            raise AuditError(f"the audit log {shown(self._path)} has no checkpoint: it has no rows")
        return head.checkpoint()


def _file(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at *path* from any other, or None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _parts(entries: Sequence[Entry]) -> Iterator[tuple[int, Sequence[Entry]]]:
    """Split *entries* into batches; yield each with the place behind it.

    The number of a run's row is known once its batch is there, and the checkpoint in the row of a
    run's end is that of the batch before.
    """
    start = 0
    for place, entry in enumerate(entries):
        if entry.table == RUN_ENDS.name and place > start:
            yield place, entries[start:place]
            start = place
        if entry.table == RUNS.name:
            yield place + 1, entries[start : place + 1]
            start = place + 1
    if start < len(entries) or not entries:
        yield len(entries), entries[start:]


@contextmanager
def opened(path: Path, clock: Clock) -> Iterator[SqliteLedger]:
    """Open or create the database at *path*, and close it again.

    Raises:
        AuditError: when that cannot be done, naming the file and what to do.
    """
    with ExitStack() as stack:
        try:
            ledger = _open(path, clock, stack)
        except FAILURES as error:
            raise cannot("open", path, error) from error
        yield ledger


def _open(path: Path, clock: Clock, stack: ExitStack) -> SqliteLedger:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = WriterLock(Path(f"{path}-writer"))
    stack.callback(_let_go, lock)
    with lock:
        settle(path, clock)
        # A file may go once its rows are here, so they have to be safe from more than its end.
        connection = open_writer(path, FORMAT, durability="power", now_ns=clock.wall_ns())
        stack.callback(_close, connection, lock)
        only_append(connection)
    return SqliteLedger(path, connection, lock, clock)


def _let_go(lock: WriterLock) -> None:
    with suppress(OSError):  # what reports an error when it is closed is closed all the same
        lock.close()


def _close(connection: sqlite3.Connection, lock: WriterLock) -> None:
    """Close; whatever it says, all that was committed is there."""
    with suppress(OSError, sqlite3.Error), ExitStack() as stack:
        with suppress(Busy, OSError):  # the last one to close also checkpoints
            stack.enter_context(lock)
        connection.close()
