"""Seals the file of a log and starts the next one from its head; nothing is ever deleted.

The last rows of a sealed file are that of ``seals`` and that of its batch; the first row of the
next one holds size and frontier of the tree up to there, so that both are one log. Between the two
a process may be killed at any instant: whoever opens the log next goes on where it ended.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from nxkernel._clock import Clock
from nxkernel._sqlite import WriterLock, immediate, only_append, open_reader, open_writer
from nxkernel._system import files
from nxkernel.audit.batches import Head
from nxkernel.audit.failure import cannot, shown
from nxkernel.audit.schema import FORMAT, SEALS
from nxkernel.audit.segments import MANIFEST, Segment, sealed_folder, sealed_in
from nxkernel.audit.spool.folder import folder_of, listing
from nxkernel.errors import AuditError

__all__ = ["archive", "is_due", "rotate", "settle"]

#: When a file is large enough to be sealed.
MAX_ROWS = 1_000_000
MAX_BYTES = 256 * 2**20
_FAILURES = (sqlite3.Error, OSError, ValueError)
_IS_SEALED = "SELECT EXISTS (SELECT 1 FROM seals)"


def is_due(log: Path) -> bool:
    """Return whether the file at *log* is large enough to be sealed."""
    try:
        if log.stat().st_size >= MAX_BYTES:
            return True
        with closing(open_reader(log, FORMAT)) as connection:
            query = "SELECT (SELECT max(seq) FROM batches) - (SELECT max(base) FROM segments)"
            return bool((connection.execute(query).fetchone()[0] or 0) >= MAX_ROWS)
    except _FAILURES:
        return False


def rotate(log: Path, clock: Clock) -> Segment:
    """Seal the log at *log* and start its next file; return what was sealed.

    Nobody may be writing to it, and all spools must have been taken.

    Raises:
        AuditError: when somebody has the log open, it has no rows, or it cannot be written.
    """
    if not log.is_file():
        raise AuditError(f"there is no audit log at {shown(log)}", details={"path": str(log)})
    try:
        with _alone(log):
            settle(log, clock)
            if listing(folder_of(log)):
                raise AuditError(
                    f"{shown(log)} has spools: a kernel is at work, or what it left has not been "
                    "taken; end it and try again"
                )
            _seal(log, clock)
            return _go_on(log, clock)
    except _FAILURES as error:
        raise cannot("seal", log, error) from error


@contextmanager
def _alone(log: Path) -> Iterator[None]:
    """Keep drainers and writers out."""
    with ExitStack() as stack:
        fd = os.open(f"{log}-drainer", os.O_RDWR | os.O_CREAT | files.CLOEXEC, 0o600)
        stack.callback(os.close, fd)
        if not files.try_lock(fd):
            raise AuditError(f"{shown(log)} is being written to; try again when that is over")
        lock = WriterLock(Path(f"{log}-writer"))
        stack.callback(lock.close)
        stack.enter_context(lock)
        yield


def _seal(log: Path, clock: Clock) -> None:
    now_ns = clock.wall_ns()
    with closing(open_writer(log, FORMAT, durability="power", now_ns=now_ns)) as connection:
        head = Head.read(connection)
        if not head.size:
            raise AuditError(f"the audit log {shown(log)} has no rows to seal")
        # Others could not read a WAL file without write access; and it takes that nobody has it
        # open, which is what a file that is about to be moved needs anyway.
        (mode,) = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
        if mode != "delete":
            raise sqlite3.OperationalError("database is locked")
        only_append(connection)
        with immediate(connection):
            head.append(connection, [(SEALS, (now_ns,))], now_ns)


def settle(log: Path, clock: Clock) -> None:
    """Finish what a rotation began that was killed; for whoever holds the writer's lock.

    Raises:
        OSError, sqlite3.Error: when that cannot be done.
    """
    if log.is_file():
        if not _is_sealed(log):
            return
        _go_on(log, clock)
    elif sealed := sealed_in(sealed_folder(log)):
        _start_next(log, sealed[-1].path, clock)


def _is_sealed(log: Path) -> bool:
    try:
        with closing(open_reader(log, FORMAT)) as connection:
            return bool(connection.execute(_IS_SEALED).fetchone()[0])
    except sqlite3.Error:
        return False  # none of our files, or a broken one: whoever opens it next says so


def _go_on(log: Path, clock: Clock) -> Segment:
    """Move the sealed file away and put the next one in its place."""
    folder = sealed_folder(log)
    folder.mkdir(mode=0o700, exist_ok=True)
    with closing(open_reader(log, FORMAT)) as connection:
        (first,) = connection.execute("SELECT min(seq) FROM segments").fetchone()
        last = Head.read(connection).checkpoint()
    segment = Segment(first, folder / f"{first:012d}.db")
    os.rename(log, segment.path)
    segment.path.chmod(0o444)
    line = {"file": segment.path.name, "first": first, "checkpoint": last.text()}
    _note(folder, {**line, "sha256": _sha256(segment.path), "at_ns": clock.wall_ns()})
    _start_next(log, segment.path, clock)
    return segment


def _start_next(log: Path, sealed: Path, clock: Clock) -> None:
    """Make the file that continues *sealed*, complete before it has its name."""
    fresh = log.with_name(f"{log.name}-next")
    for rest in ("", "-wal", "-shm"):
        Path(f"{fresh}{rest}").unlink(missing_ok=True)
    with closing(open_reader(sealed, FORMAT)) as connection:
        head = Head.read(connection)
    now_ns = clock.wall_ns()
    with closing(open_writer(fresh, FORMAT, durability="power", now_ns=now_ns)) as connection:
        follower = Head(head.origin, head.tree())
        with immediate(connection):
            follower.begin(connection, sealed.name, now_ns)
    os.rename(fresh, log)
    _sync(log.parent)


def archive(log: Path, to: Path, clock: Clock) -> list[Path]:
    """Compress the sealed segments of the log at *log* and move them to the folder *to*.

    A file goes from its place when its copy was read back and found the same.

    Raises:
        AuditError: when a file cannot be written, or its copy is another one.
    """
    moved = []
    for segment in sealed_in(sealed_folder(log)):
        if not segment.is_packed or segment.path.parent != to:
            try:
                moved.append(_pack(segment, to, clock))
            except _FAILURES as error:
                raise cannot("archive", segment.path, error) from error
    return moved


def _pack(segment: Segment, to: Path, clock: Clock) -> Path:
    to.mkdir(parents=True, exist_ok=True)
    target = to / f"{segment.first:012d}.db.gz"
    fresh = target.with_name(f"{target.name}.new")
    digest = _sha256(segment.path)
    with segment.path.open("rb") as source, fresh.open("wb") as file:
        if segment.is_packed:
            shutil.copyfileobj(source, file)
        else:
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                shutil.copyfileobj(source, packed)
        file.flush()
        os.fsync(file.fileno())
    if _sha256(fresh, packed=not segment.is_packed) != digest:
        raise OSError(5, "the copy is another one")
    os.replace(fresh, target)
    _sync(to)
    target.chmod(0o444)
    line = {"file": segment.path.name, "moved_to": str(target), "sha256": digest}
    _note(segment.path.parent, {**line, "at_ns": clock.wall_ns()})
    if segment.path != target:
        segment.path.unlink()
    return target


def _sha256(path: Path, *, packed: bool = False) -> str:
    with gzip.open(path) if packed else path.open("rb") as file:
        state = hashlib.sha256()
        while part := file.read(2**20):
            state.update(part)
        return state.hexdigest()


def _note(folder: Path, line: dict[str, Any]) -> None:
    """Append a line to the manifest."""
    fd = os.open(folder / MANIFEST, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with suppress(OSError), os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(json.dumps(line, sort_keys=True) + "\n")


def _sync(folder: Path) -> None:
    if os.name == "posix":
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
