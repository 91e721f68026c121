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
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from nxkernel._clock import Clock
from nxkernel._sqlite import WriterLock, immediate, only_append, open_reader, open_writer
from nxkernel._system import files
from nxkernel.audit.batches import Head
from nxkernel.audit.failure import cannot, shown
from nxkernel.audit.request import asked
from nxkernel.audit.schema import FORMAT, SEALS
from nxkernel.audit.seams import carried
from nxkernel.audit.segments import MANIFEST, Segment, sealed_folder, sealed_in
from nxkernel.audit.spool.folder import folder_of, listing
from nxkernel.errors import AuditError

__all__ = ["archive", "is_due", "is_there", "rotate", "rotate_as_drainer", "settle"]

#: When a file is large enough to be sealed.
MAX_ROWS = 1_000_000
MAX_BYTES = 256 * 2**20
_FAILURES = (sqlite3.Error, OSError, ValueError)
#: Seconds between two tries to have the file alone: about half a minute in all. Kernels let go of
#: it within the first few of them.
_PAUSES = (0.02,) * 50 + (0.1,) * 290
_FEW = 100
_SIZE = (
    "SELECT (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size),"
    " (SELECT max(seq) FROM batches) - (SELECT max(base) FROM segments)"
)
_IS_SEALED = "SELECT EXISTS (SELECT 1 FROM seals)"


class _InUse(sqlite3.OperationalError):
    """Somebody else has the file open."""


def is_due(log: Path, *, most_bytes: int | None = None) -> bool:
    """Return whether the file at *log* is large enough to be sealed.

    That is 1,000,000 rows or 256 MiB, or *most_bytes* where they are given.
    """
    try:
        with closing(open_reader(log, FORMAT)) as connection:
            bytes_, rows = connection.execute(_SIZE).fetchone()
    except _FAILURES:
        return False
    if most_bytes is not None:
        return bool(rows and bytes_ >= most_bytes)
    return bool(bytes_ >= MAX_BYTES or (rows or 0) >= MAX_ROWS)


def rotate(log: Path, clock: Clock, *, waits: bool = True) -> Segment:
    """Seal the log at *log* and start its next file; return what was sealed.

    Kernels may be at work meanwhile: their runs go on in the next file. Whoever else has the log
    open holds this up: for half a minute if *waits*, which kernels too get to let go of it.

    Raises:
        AuditError: when somebody has the log open for longer, it has no rows, or it cannot be
            written.
    """
    if not is_there(log):
        raise AuditError(f"there is no audit log at {shown(log)}", details={"path": str(log)})
    pauses = _PAUSES if waits else _PAUSES[:1]
    try:
        with _drainer(log, pauses), asked(log):
            return _rotated(log, clock, pauses)
    except _FAILURES as error:
        raise cannot("seal", log, error) from error


@contextmanager
def _drainer(log: Path, pauses: Sequence[float]) -> Iterator[None]:
    """Keep drainers out."""
    fd = os.open(f"{log}-drainer", os.O_RDWR | os.O_CREAT | files.CLOEXEC, 0o600)
    try:
        for pause in pauses:
            if files.try_lock(fd):
                break
            time.sleep(pause)
        else:
            raise AuditError(f"{shown(log)} is being drained; try again when that is over")
        yield
    finally:
        os.close(fd)


def rotate_as_drainer(log: Path, clock: Clock) -> bool:
    """Do the same for the one who keeps drainers out; return whether it was possible.

    It waits for kernels to let go of the log, and for nobody who reads.

    Raises:
        OSError, sqlite3.Error, ValueError: when something cannot be written.
    """
    with asked(log):
        try:
            _rotated(log, clock, _PAUSES[:_FEW])
        except _InUse:
            return False
        return True


def _rotated(log: Path, clock: Clock, pauses: Sequence[float]) -> Segment:
    lock = WriterLock(Path(f"{log}-writer"))
    try:
        for pause in pauses:
            # Not held between two tries: whoever lets go of the log needs it.
            with lock:
                settle(log, clock)
                if _seal(log, clock):
                    return _go_on(log, clock)
            time.sleep(pause)
    finally:
        lock.close()
    raise _InUse("database is locked")


def _seal(log: Path, clock: Clock) -> bool:
    """Write the last rows of a file; False while somebody else has it open."""
    now_ns = clock.wall_ns()
    with closing(open_writer(log, FORMAT, durability="power", now_ns=now_ns)) as connection:
        head = Head.read(connection)
        if not head.size:
            raise AuditError(f"the audit log {shown(log)} has no rows to seal")
        if not _is_alone(connection):
            return False
        only_append(connection)
        with immediate(connection):
            head.append(connection, [(SEALS, (now_ns,))], now_ns)
    return True


def _is_alone(connection: sqlite3.Connection) -> bool:
    """Make the file one that others can read without write access to it, if nobody has it open.

    Which is what a file that is about to be moved needs anyway: SQLite finds the files of a WAL
    database by its name.
    """
    try:
        (mode,) = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return False
        raise
    return bool(mode == "delete")


def is_there(log: Path) -> bool:
    """Return whether there is a log at *log*, be it between two of its files."""
    return log.is_file() or bool(sealed_in(sealed_folder(log)))


def settle(log: Path, clock: Clock) -> None:
    """Finish what a rotation began that was killed; for whoever holds the writer's lock.

    Raises:
        OSError, sqlite3.Error: when that cannot be done.
    """
    if log.is_file():
        _undo(log, clock)
        if _is_sealed(log):
            _go_on(log, clock)
    elif sealed := sealed_in(sealed_folder(log)):
        last = sealed[-1].path
        os.rename(_next(log, last, last.name, clock), log)
        files.sync_folder(log.parent)


def _undo(log: Path, clock: Clock) -> None:
    """Undo the sealing of a file that was killed in the middle: only who may write can."""
    if Path(f"{log}-journal").exists():
        with closing(open_writer(log, FORMAT, durability="power", now_ns=clock.wall_ns())):
            pass


def _is_sealed(log: Path) -> bool:
    try:
        with closing(open_reader(log, FORMAT)) as connection:
            return bool(connection.execute(_IS_SEALED).fetchone()[0])
    except sqlite3.Error:
        return False  # none of our files, or a broken one: whoever opens it next says so


def _go_on(log: Path, clock: Clock) -> Segment:
    """Move the sealed file away and put the next one in its place, which is ready by then."""
    folder = sealed_folder(log)
    folder.mkdir(mode=0o700, exist_ok=True)
    with closing(open_reader(log, FORMAT)) as connection:
        (first,) = connection.execute("SELECT min(seq) FROM segments").fetchone()
        last = Head.read(connection).checkpoint()
    segment = Segment(first, folder / f"{first:012d}.db")
    line = {"file": segment.path.name, "first": first, "checkpoint": last.text()}
    _note(folder, {**line, "sha256": _sha256(log), "at_ns": clock.wall_ns()})
    fresh = _next(log, log, segment.path.name, clock)
    _move(log, segment.path)
    os.rename(fresh, log)
    files.sync_folder(log.parent)
    return segment


def _move(log: Path, to: Path) -> None:
    os.rename(log, to)
    to.chmod(0o444)
    files.sync_folder(to.parent)


def _next(log: Path, sealed: Path, name: str, clock: Clock) -> Path:
    """Make the file that continues *sealed*, complete before it has its name; return where."""
    fresh = log.with_name(f"{log.name}-next")
    for rest in ("", "-wal", "-shm", "-journal"):
        Path(f"{fresh}{rest}").unlink(missing_ok=True)
    with closing(open_reader(sealed, FORMAT)) as connection:
        head = Head.read(connection)
        batches = list(carried(connection, listing(folder_of(log))))
    now_ns = clock.wall_ns()
    with closing(open_writer(fresh, FORMAT, durability="power", now_ns=now_ns)) as connection:
        follower = Head(head.origin, head.tree())
        with immediate(connection):
            follower.begin(connection, name, now_ns)
            for rows, source in batches:
                follower.append(connection, rows, now_ns, source)
        # It is moved without the files beside it: all has to be in this one. Closing would see to
        # that too, and would not say if it failed.
        if not _is_alone(connection):
            raise _InUse("the next file is locked")
    return fresh


def archive(log: Path, to: Path, clock: Clock) -> list[Path]:
    """Compress the sealed segments of the log at *log* and move them to the folder *to*.

    A file goes from its place when its copy was read back and found the same.

    Raises:
        AuditError: when a file cannot be written, or its copy is another one.
    """
    moved = []
    _settle_alone(log, clock)
    for segment in sealed_in(sealed_folder(log)):
        if not segment.is_packed or segment.path.parent != to:
            try:
                moved.append(_pack(segment, to, clock))
            except _FAILURES as error:
                raise cannot("archive", segment.path, error) from error
    return moved


def _settle_alone(log: Path, clock: Clock) -> None:
    """Have no file packed that the next one is still to be made from."""
    if sealed_in(sealed_folder(log)):
        try:
            with closing(WriterLock(Path(f"{log}-writer"))) as lock, lock:
                settle(log, clock)
        except _FAILURES as error:
            raise cannot("archive", log, error) from error


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
    files.sync_folder(to)
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
