"""Append-only records: what was derived from which stored blob, by whom.

Raw first: a record about a blob that is not stored is refused. There is no way to change or remove
a record, neither here nor, because of the triggers, for another program that opens the file.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import attrs

from nxkernel import _canonical, _tally
from nxkernel._clock import Clock
from nxkernel._pickling import Rooted
from nxkernel._sqlite import (
    Format,
    Migration,
    WriterLock,
    append_only,
    immediate,
    only_append,
    open_writer,
)
from nxkernel.errors import StorageError
from nxkernel.types import Digest

__all__ = ["Record", "RecordStore"]

#: Domain of a record's digest.
RECORD = b"nx.record.v1\0"

FORMAT = Format(
    noun="a record store",
    application_id=0x4E585243,
    migrations=(
        Migration(
            "0001_records",
            (
                "CREATE TABLE records"
                " (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL,"
                " provider TEXT NOT NULL, body BLOB NOT NULL, digest TEXT NOT NULL)",
                "CREATE INDEX records_by_subject ON records (kind, subject)",
                # Closes INSERT OR REPLACE, which deletes without firing a DELETE trigger.
                "CREATE TRIGGER records_append BEFORE INSERT ON records"
                " WHEN NEW.seq IS NOT ifnull((SELECT max(seq) FROM records), 0) + 1"
                " BEGIN SELECT RAISE(ABORT, 'records is append-only'); END",
                *append_only("records"),
            ),
        ),
    ),
)


@attrs.frozen(kw_only=True)
class Record:
    """One fact about one blob."""

    #: Position in the store: 1, 2, 3 ...
    seq: int
    kind: str
    #: The blob that it is about.
    subject: Digest
    #: The plugin that said so.
    provider: str
    #: Canonical bytes of the value.
    body: bytes
    #: Digest of kind, subject, provider and body together.
    digest: Digest

    @property
    def value(self) -> Any:
        """The value that ``body`` encodes."""
        return _canonical.decode(self.body)


class _Blobs(Protocol):
    def has(self, digest: Digest) -> bool: ...


class RecordStore(Rooted):
    """Records in one SQLite database, in the order in which they were appended."""

    _instead = "open the store there by its path"

    def __init__(self, path: Path | str, blobs: _Blobs, clock: Clock) -> None:
        """Open or create the store at *path*; *clock* dates its migrations and nothing else.

        Raises:
            StorageError: when the file cannot be used.
        """
        self._blobs = blobs
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = WriterLock(path.with_name(path.name + ".lock"))
            self._connection = open_writer(path, FORMAT, durability="power", now_ns=clock.wall_ns())
        except (OSError, sqlite3.Error) as error:
            raise _failed("open the record store", error) from error
        only_append(self._connection)

    def append(self, kind: str, subject: Digest, provider: str, body: Any) -> int:
        """Append one record and return its position; *body* is a plain value.

        Raises:
            StorageError: for a subject that is not stored, a body without canonical form, or a
                database that refuses.
        """
        if not self._blobs.has(subject):
            raise StorageError(
                f"a record of kind {kind!r} points to {subject}, which is not stored; "
                "put the raw bytes first"
            )
        data = _encode(kind, body)
        digest = _digest(kind, subject, provider, data)
        try:
            with self._lock, immediate(self._connection):
                query = "SELECT ifnull(max(seq), 0) + 1 FROM records"
                (seq,) = self._connection.execute(query).fetchone()
                self._connection.execute(
                    "INSERT INTO records (seq, kind, subject, provider, body, digest)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (seq, kind, subject, provider, data, digest),
                )
        except sqlite3.Error as error:
            raise _failed("append a record", error) from error
        _tally.count(rows_written=1)
        return int(seq)

    def of(self, kind: str, subject: Digest) -> tuple[Record, ...]:
        """Return the records of *kind* about *subject*, oldest first.

        Raises:
            StorageError: for a record whose digest does not match its content.
        """
        return self._select("WHERE kind = ? AND subject = ?", (kind, subject))

    def kind(self, kind: str) -> tuple[Record, ...]:
        """Return all records of *kind*, oldest first.

        Raises:
            StorageError: for a record whose digest does not match its content.
        """
        return self._select("WHERE kind = ?", (kind,))

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()
        self._lock.close()

    def _select(self, where: str, values: Iterable[str]) -> tuple[Record, ...]:
        query = f"SELECT seq, kind, subject, provider, body, digest FROM records {where}"
        try:
            rows = self._connection.execute(f"{query} ORDER BY seq", tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise _failed("read the record store", error) from error
        _tally.count(rows_read=len(rows))
        return tuple(_record(*row) for row in rows)


def _record(seq: int, kind: str, subject: str, provider: str, body: bytes, digest: str) -> Record:
    if _digest(kind, subject, provider, body) != digest:
        raise StorageError(
            f"record {seq} does not match its digest; the file was edited, keep it as evidence"
        )
    return Record(
        seq=seq,
        kind=kind,
        subject=Digest(subject),
        provider=provider,
        body=body,
        digest=Digest(digest),
    )


def _encode(kind: str, body: Any) -> bytes:
    try:
        data = _canonical.encode(body)
        # Proves what encode() takes on trust: string keys, finite floats, bounded depth.
        _canonical.decode(data)
    except _canonical.NotCanonical as error:
        raise StorageError(f"the body of a record of kind {kind!r} has {error}") from error
    return data


def _digest(kind: str, subject: str, provider: str, body: bytes) -> Digest:
    parts = (kind.encode(), subject.encode(), provider.encode(), body)
    return _canonical.digest(b"".join(struct.pack("<Q", len(p)) + p for p in parts), RECORD)


def _failed(action: str, error: Exception) -> StorageError:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return StorageError(f"cannot {action}: {reason}; check the disk and the folder's owner")
