"""The one connection of a kernel that writes: every row is committed before ``append`` returns."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from contextlib import ExitStack, suppress
from pathlib import Path

from nxkernel._canonical import NotCanonical
from nxkernel._clock import Clock
from nxkernel._sqlite import Busy, Durability, WriterLock, immediate, only_append, open_writer
from nxkernel.audit.chain import GENESIS, Checkpoint, link, origin_of
from nxkernel.audit.failure import cannot, shown
from nxkernel.audit.rows import Facts
from nxkernel.audit.schema import FORMAT, HEAD, TABLES, Table
from nxkernel.errors import AuditError

__all__ = ["Writer"]

_FAILURES = (sqlite3.Error, OSError, OverflowError, NotCanonical)
_FIRST = (
    "SELECT digest FROM ("
    + " UNION ALL ".join(f"SELECT digest FROM {table.name} WHERE seq = 1" for table in TABLES)
    + ")"
)


class Writer:
    """Appends rows to the log at *path*, from any thread and beside other processes.

    Invariant: while ``_head`` is known, it is the head of the log as this kernel left it. Whether
    another kernel has written since, the database tells at no cost: the guard trigger then refuses
    our number, and the head is read again inside a transaction.
    """

    def __init__(self, path: Path, clock: Clock, durability: Durability = "process") -> None:
        self.path = path
        self._clock = clock
        self._durability: Durability = durability
        self._mutex = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._lock: WriterLock | None = None
        self._head: tuple[int, bytes] | None = None
        _writers.add(self)

    def open(self) -> None:
        """Open or create the log; does nothing when it is open.

        Raises:
            AuditError: when that cannot be done, naming the file and what to do.
        """
        with self._mutex:
            if self._connection is None:
                self._refuse_after_fork()
                try:
                    self._open()
                except _FAILURES as error:
                    self._close()
                    raise cannot("open", self.path, error) from error

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = WriterLock(Path(f"{self.path}-writer"))
        with self._lock:
            now_ns = self._clock.wall_ns()
            self._connection = open_writer(
                self.path, FORMAT, durability=self._durability, now_ns=now_ns
            )
            only_append(self._connection)

    def append(self, table: Table, facts: Facts) -> int:
        """Append one row and return its number.

        Raises:
            AuditError: when the row is not on record, naming the file and what to do.
        """
        with self._mutex:
            if self._connection is None or self._lock is None:
                raise self._not_open()
            try:
                with self._lock:
                    return self._append(self._connection, table, facts)
            except _FAILURES as error:
                self._head = None
                raise cannot("write", self.path, error) from error

    def _append(self, connection: sqlite3.Connection, table: Table, facts: Facts) -> int:
        if self._head is not None:
            try:
                return self._insert(connection, table, facts, self._head)
            except sqlite3.IntegrityError:
                self._head = None  # it has moved, or the second try will show what else is wrong
        with immediate(connection):
            head = connection.execute(HEAD).fetchone() or (0, GENESIS)
            return self._insert(connection, table, facts, head)

    def _insert(
        self, connection: sqlite3.Connection, table: Table, facts: Facts, head: tuple[int, bytes]
    ) -> int:
        seq, prev = head[0] + 1, head[1]
        digest = link(prev, table.name, seq, facts)
        connection.execute(table.insert, (seq, prev, digest, *facts))
        self._head = (seq, digest)
        return seq

    def checkpoint(self) -> Checkpoint:
        """Return the state of the log now.

        Raises:
            AuditError: when the log is empty or cannot be read.
        """
        with self._mutex:
            if self._connection is None:
                raise self._not_open()
            try:
                return self._checkpoint(self._connection)
            except _FAILURES as error:
                raise cannot("read", self.path, error) from error

    def _checkpoint(self, connection: sqlite3.Connection) -> Checkpoint:
        first = connection.execute(_FIRST).fetchone()
        if first is None:
            raise AuditError(f"the audit log {shown(self.path)} has no checkpoint: it has no rows")
        size, root = connection.execute(HEAD).fetchone()
        return Checkpoint(origin_of(first[0]), size, root.hex())

    def close(self) -> None:
        """Close the log; it can be opened again."""
        with self._mutex:
            self._close()

    def _close(self) -> None:
        connection, lock = self._connection, self._lock
        self._connection = self._lock = self._head = None
        if lock is None:
            return
        with ExitStack() as stack:
            stack.callback(lock.close)
            with suppress(Busy):  # the last one to close also checkpoints
                stack.enter_context(lock)
            if connection is not None:
                connection.close()

    def _not_open(self) -> AuditError:
        return AuditError(f"the audit log {shown(self.path)} is not open; open it first")

    def _refuse_after_fork(self) -> None:
        if _key(self.path) in _inherited:
            raise AuditError(
                f"cannot open {shown(self.path)}: this process was forked from one that had it "
                "open; start it as a new program, or give it another data directory"
            )

    def abandon(self) -> None:
        """Forget the connection in a forked child, without closing it."""
        self._mutex = threading.Lock()
        if self._connection is not None:
            _inherited[_key(self.path)] = self._connection
        if self._lock is not None:
            self._lock.close()
        self._connection = self._lock = self._head = None


def _key(path: Path) -> str:
    return os.path.realpath(path)


#: SQLite must not be carried across a fork, not even to close it, and its record of the process's
#: locks would be wrong for a second connection of the child to the same file
#: (https://www.sqlite.org/howtocorrupt.html, section 2.6). So the child keeps what it inherited
#: and opens these files no more.
_inherited: dict[str, sqlite3.Connection] = {}
_writers: weakref.WeakSet[Writer] = weakref.WeakSet()


def _abandon_all() -> None:
    for writer in list(_writers):
        writer.abandon()


os.register_at_fork(after_in_child=_abandon_all)
