"""The one connection of a kernel that writes: every row is committed before ``append`` returns."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

from nxkernel import _forks
from nxkernel._clock import Clock
from nxkernel._sqlite import Busy, Durability, WriterLock, immediate, only_append, open_writer
from nxkernel.audit.batches import Head
from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.failure import cannot, shown
from nxkernel.audit.schema import FORMAT, Facts, Table
from nxkernel.errors import AuditError

__all__ = ["Writer"]

_FAILURES = (sqlite3.Error, OSError, OverflowError, ValueError)
#: Seconds that a fork waits for a row that is being written: as long as a row may take.
_REST_S = 12.0


class Writer:
    """Appends rows to the log at *path*, from any thread and beside other processes.

    Each row is a batch of its own, in a transaction of its own.

    Invariant: while ``_head`` is known, it is the head of the log as this kernel left it. Whether
    another kernel has written since is asked inside the transaction, and the head read again then.

    While its process is forked the database is closed, in both; see :mod:`nxkernel._forks`. The
    parent opens it again with its next row, a child when it is told to.
    """

    def __init__(self, path: Path, clock: Clock, durability: Durability = "process") -> None:
        self.path = path
        self._clock = clock
        self._durability: Durability = durability
        self._mutex = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._lock: WriterLock | None = None
        self._head: Head | None = None
        self._opened = False
        self._resting = False
        _forks.register(self)
        _forks.rest(self)

    def open(self) -> None:
        """Open or create the log; does nothing when it is open.

        Raises:
            AuditError: when that cannot be done, naming the file and what to do.
        """
        with self._mutex:
            self._opened = True
            self._connected()

    def _connected(self) -> tuple[sqlite3.Connection, WriterLock]:
        """Return the connection and its lock, opened again if a fork has closed them."""
        if not self._opened:
            raise self._not_open()
        if self._connection is None or self._lock is None:
            try:
                return self._open()
            except _FAILURES as error:
                self._close()
                raise cannot("open", self.path, error) from error
        return self._connection, self._lock

    def _open(self) -> tuple[sqlite3.Connection, WriterLock]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = WriterLock(Path(f"{self.path}-writer"))
        with self._lock:
            now_ns = self._clock.wall_ns()
            self._connection = open_writer(
                self.path, FORMAT, durability=self._durability, now_ns=now_ns
            )
            only_append(self._connection)
        return self._connection, self._lock

    def append(self, table: Table, facts: Facts) -> int:
        """Append one row and return its number.

        Raises:
            AuditError: when the row is not on record, naming the file and what to do.
        """
        with self._mutex:
            connection, lock = self._connected()
            try:
                with lock:
                    return self._append(connection, table, facts)
            except _FAILURES as error:
                self._head = None
                raise cannot("write", self.path, error) from error

    def _append(self, connection: sqlite3.Connection, table: Table, facts: Facts) -> int:
        with immediate(connection):
            head = self._current(connection)
            (number,) = head.append(connection, [(table, facts)], self._clock.wall_ns())
        return number

    def _current(self, connection: sqlite3.Connection) -> Head:
        if self._head is None or not self._head.stands(connection):
            self._head = Head.read(connection)
        return self._head

    def checkpoint(self) -> Checkpoint:
        """Return the state of the log now.

        Raises:
            AuditError: when the log is empty or cannot be read.
        """
        with self._mutex:
            connection, _ = self._connected()
            try:
                return self._checkpoint(connection)
            except _FAILURES as error:
                raise cannot("read", self.path, error) from error

    def _checkpoint(self, connection: sqlite3.Connection) -> Checkpoint:
        head = self._current(connection)
        if not head.size:
            raise AuditError(f"the audit log {shown(self.path)} has no checkpoint: it has no rows")
        return head.checkpoint()

    def close(self) -> None:
        """Close the log; it can be opened again."""
        with self._mutex:
            self._opened = False
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

    # -- forks of the process ----------------------------------------------------------------

    def before_fork(self) -> None:
        """Wait for the row that is being written, then let go of the database.

        A thread that forks in the middle of its own row waits in vain; its child then finds the
        database open, and is refused it.
        """
        self._resting = self._mutex.acquire(timeout=_REST_S)
        if self._resting:
            self._close()

    def after_fork(self) -> None:
        """Go on; the next row opens the database again."""
        if self._resting:
            self._resting = False
            self._mutex.release()

    def abandon(self) -> None:
        """In the child: hold nothing; it is not open here until it is opened here."""
        self._mutex = threading.Lock()
        self._opened = self._resting = False
        if self._lock is not None:
            self._lock.close()
        self._connection = self._lock = self._head = None
