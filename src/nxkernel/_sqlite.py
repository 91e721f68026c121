"""Connection policy and the forward-only migration runner of every SQLite database here.

One rule that is easy to break: never open, read or close a database file in any other way than
through ``sqlite3``. Closing any descriptor of it drops the POSIX locks of this whole process
(https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import attrs

from nxkernel import _forks
from nxkernel._system import files

__all__ = [
    "Busy",
    "Durability",
    "Format",
    "Migration",
    "Refused",
    "WriterLock",
    "append_only",
    "immediate",
    "only_append",
    "open_reader",
    "open_writer",
]

#: ``process`` survives the death of any process, ``power`` also that of the machine.
Durability = Literal["process", "power"]

_SYNCHRONOUS = {"process": "NORMAL", "power": "FULL"}
_BUSY_MS = 10_000
#: Pauses of a writer that waits for another process, in seconds: about 10 s in all.
_PAUSES = (0.0002,) * 50 + (0.001,) * 500 + (0.005,) * 1900
#: What an append-only connection may still do once it is set up.
_APPENDING = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_INSERT,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_TRANSACTION,
    }
)


class Refused(sqlite3.DatabaseError):
    """The file is a database, but none that this program may use."""


class Busy(sqlite3.OperationalError):
    """Another process kept the database for longer than anyone should."""


@attrs.frozen
class Migration:
    """One forward step of a schema; applied once, in one transaction, and recorded by name."""

    name: str
    statements: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Format:
    """What a kind of database is: how to tell it from others, and how it came to its schema."""

    #: For messages: ``an audit log``.
    noun: str
    #: SQLite's ``application_id``, stored in the file's header.
    application_id: int
    #: Oldest first. A step that was ever released is never changed or removed.
    migrations: tuple[Migration, ...]
    #: Steps of files that nobody reads any more, and what such a file is.
    retired: Mapping[str, str] = attrs.field(factory=dict)


class _Connection(sqlite3.Connection):
    """A connection that :class:`_Known` keeps an eye on."""

    place = ""

    def close(self) -> None:
        """Close it, and forget it."""
        super().close()
        _known.open.discard(self)


class _Known:
    """Which files this process has open, and which ones it has inherited open.

    SQLite must not be carried across a fork, not even to close it; and its record of the process's
    locks would be wrong for a second connection of the child to the same file
    (https://www.sqlite.org/howtocorrupt.html, section 2.6). So a child keeps what it inherited and
    opens these files no more. A writer that closes before the fork spares it that.
    """

    def __init__(self) -> None:
        self.open: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self.inherited: dict[str, _Connection] = {}
        _forks.register(self)

    def connect(self, path: Path, name: str, *, uri: bool = False) -> sqlite3.Connection:
        place = os.path.realpath(path)
        if place in self.inherited:
            raise Refused("this process was forked from one that had it open")
        connection = sqlite3.connect(
            name,
            uri=uri,
            timeout=_BUSY_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
        )
        connection.place = place
        self.open.add(connection)
        return connection

    def abandon(self) -> None:
        """In a forked child: keep, and never use, what is open."""
        self.inherited.update((connection.place, connection) for connection in list(self.open))
        self.open = weakref.WeakSet()


_known = _Known()


def append_only(table: str) -> tuple[str, ...]:
    """Return the triggers that refuse UPDATE and DELETE on *table*, for every connection."""
    return tuple(
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    )


_HISTORY = (
    "CREATE TABLE migrations"
    " (position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, applied_ns INTEGER NOT NULL)",
    # Without this, INSERT OR REPLACE would rewrite the history: it deletes without a trigger.
    "CREATE TRIGGER migrations_append BEFORE INSERT ON migrations"
    " WHEN NEW.position IS NOT ifnull((SELECT max(position) FROM migrations), 0) + 1"
    " BEGIN SELECT RAISE(ABORT, 'migrations is append-only'); END",
    *append_only("migrations"),
)


def open_writer(
    path: Path, format: Format, *, durability: Durability, now_ns: int
) -> sqlite3.Connection:
    """Open or create a database for writing and bring its schema up to date.

    The connection commits each statement by itself; :func:`immediate` groups several.

    Raises:
        Refused: for a database of another kind, or one that a newer version wrote.
        sqlite3.Error: when the file cannot be opened, read or written.
    """
    connection = _known.connect(path, os.fspath(path))
    try:
        _check_kind(connection, format)
        _applied(connection, format)  # before anything is changed in a file that is refused
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={_SYNCHRONOUS[durability]}")
        # Else INSERT OR REPLACE deletes rows without firing the triggers that refuse it.
        connection.execute("PRAGMA recursive_triggers=ON")
        connection.execute("PRAGMA trusted_schema=OFF")
        migrate(connection, format, now_ns)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path, format: Format) -> sqlite3.Connection:
    """Open a database for reading only, also while others write.

    Text that is no UTF-8 arrives with surrogates instead of failing the query.

    Raises:
        Refused: for a database of another kind, or one that a newer version wrote.
        sqlite3.Error: when the file is missing or no database.
    """
    uri = path.resolve().as_uri()
    try:
        connection = _open_readonly(path, f"{uri}?mode=ro", format)
    except sqlite3.OperationalError:
        # Readers of a WAL database share memory through a file, which another user's folder or
        # a read-only disk refuses. Without a log file nobody is writing, and the file stands still.
        # One with a journal was left in the middle of a transaction: who writes next undoes that.
        left = any(_has_content(Path(f"{path}{rest}")) for rest in ("-wal", "-journal"))
        if left or not path.is_file():
            raise
        connection = _open_readonly(path, f"{uri}?mode=ro&immutable=1", format)
    return connection


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _open_readonly(path: Path, uri: str, format: Format) -> sqlite3.Connection:
    connection = _known.connect(path, uri, uri=True)
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.text_factory = _lenient
        _check_kind(connection, format)
        if not _applied(connection, format):
            raise Refused(f"it is empty, not {format.noun}")
    except BaseException:
        connection.close()
        raise
    return connection


def _lenient(data: bytes) -> str:
    return str(data, "utf-8", "surrogateescape")


def _check_kind(connection: sqlite3.Connection, format: Format) -> None:
    (found,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if found != format.application_id and (found or objects):
        raise Refused(f"it is a database, but not {format.noun}")


def migrate(connection: sqlite3.Connection, format: Format, now_ns: int) -> None:
    """Apply the migrations that are not recorded yet, each in its own transaction.

    Raises:
        Refused: when the file records a step that this version does not know.
    """
    if len(_applied(connection, format)) == len(format.migrations):
        return
    for position, migration in enumerate(format.migrations, 1):
        with immediate(connection):
            # Asked again inside the transaction: another process may have been faster.
            if position > len(_applied(connection, format)):
                _apply(connection, format, position, migration, now_ns)


def _apply(
    connection: sqlite3.Connection,
    format: Format,
    position: int,
    migration: Migration,
    now_ns: int,
) -> None:
    if position == 1:
        connection.execute(f"PRAGMA application_id={format.application_id}")
        for statement in _HISTORY:
            connection.execute(statement)
    for statement in migration.statements:
        connection.execute(statement)
    connection.execute(
        "INSERT INTO migrations (position, name, applied_ns) VALUES (?, ?, ?)",
        (position, migration.name, now_ns),
    )


def _applied(connection: sqlite3.Connection, format: Format) -> list[str]:
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'migrations'"
    if not connection.execute(query).fetchone()[0]:
        return []
    rows = connection.execute("SELECT name FROM migrations ORDER BY position").fetchall()
    names = [str(name) for (name,) in rows]
    known = [migration.name for migration in format.migrations]
    if old := next((format.retired[name] for name in names if name in format.retired), None):
        raise Refused(f"it is of {old}, which this version neither reads nor continues")
    if names != known[: len(names)]:
        unknown = next((name for name in names if name not in known), "in another order")
        raise Refused(f"its schema has a step that this version does not know ({unknown})")
    return names


@contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the body in one write transaction; an exception rolls it back."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise


def only_append(connection: sqlite3.Connection) -> None:
    """Make *connection* refuse everything but INSERT and SELECT from now on.

    Asked when a statement is compiled, so that a cached statement pays nothing.
    """

    def decide(action: int, *_: object) -> int:
        return sqlite3.SQLITE_OK if action in _APPENDING else sqlite3.SQLITE_DENY

    connection.set_authorizer(decide)


class WriterLock:
    """Lets one process at a time write or checkpoint a database.

    SQLite's own locks would do, but for a bug: up to 3.51.2, two connections that write and
    checkpoint a WAL database at the same moment may corrupt it (https://www.sqlite.org/wal.html).
    The interpreter's SQLite is often older. Costs about a microsecond.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | files.CLOEXEC, 0o600)

    def __enter__(self) -> None:
        if not files.try_lock(self._fd):
            self._wait()

    def __exit__(self, *_: object) -> None:
        files.unlock(self._fd)

    def _wait(self) -> None:
        # flock has no timeout, and a stopped process must not stop all others for ever.
        for pause in _PAUSES:
            time.sleep(pause)
            if files.try_lock(self._fd):
                return
        raise Busy("another process keeps it locked")

    def close(self) -> None:
        """Let go of the lock's file."""
        os.close(self._fd)
