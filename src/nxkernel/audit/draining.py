"""The drainer's process: takes what kernels leave in a folder of spools, and ends.

At most one works for a log. It ends when there is nothing left to take, when its starter dies or
closes its standard input, and after a failure, which it writes to its standard error. It may be
killed at any instant.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from nxkernel._clock import Clock, SystemClock
from nxkernel._system import files
from nxkernel.audit.ledger import FAILURES, opened
from nxkernel.audit.liveness import claimed
from nxkernel.audit.rotation import is_due, is_there, rotate_as_drainer
from nxkernel.audit.spool.drainer import Drainer
from nxkernel.audit.spool.folder import folder_of
from nxkernel.errors import AuditError

__all__ = ["drain", "main"]


def drain(
    path: Path, clock: Clock, go_on: Callable[[], bool], *, rotate_bytes: int | None = None
) -> int:
    """Take all that the kernels of the log at *path* have written; return the number of rows.

    Without a log, or while another drainer is at work, there is nothing to do. A file that has
    grown to *rotate_bytes* is sealed and the next one begun, unless a reader has it open.

    Raises:
        AuditError, OSError, sqlite3.Error: when something cannot be taken.
    """
    if not is_there(path):
        return 0
    fd = os.open(f"{path}-drainer", os.O_RDWR | os.O_CREAT | files.CLOEXEC, 0o600)
    try:
        return _drain(path, clock, go_on, rotate_bytes) if files.try_lock(fd) else 0
    finally:
        os.close(fd)


def _drain(path: Path, clock: Clock, go_on: Callable[[], bool], rotate_bytes: int | None) -> int:
    def is_large() -> bool:
        return rotate_bytes is not None and is_due(path, most_bytes=rotate_bytes)

    rows, rotates = 0, rotate_bytes is not None
    while rotates:
        rows += _taken(path, clock, lambda: go_on() and not is_large())
        if not (go_on() and is_large()):
            return rows
        rotates = rotate_as_drainer(path, clock)
    return rows + _taken(path, clock, go_on)


def _taken(path: Path, clock: Clock, go_on: Callable[[], bool]) -> int:
    with opened(path, clock) as ledger:
        drainer = Drainer(folder_of(path), ledger, lambda claim: claimed(path, claim), go_on)
        rows = 0
        while taken := drainer.drain():
            rows += taken
        return rows


def _watch_the_starter() -> threading.Event:
    """Return what is set once standard input has ended."""
    gone = threading.Event()

    def wait() -> None:
        while os.read(0, 1024):
            pass
        gone.set()

    threading.Thread(target=wait, daemon=True).start()
    return gone


def main(path: str, rotate_bytes: str = "") -> int:
    """Drain the log at *path*; return the exit status."""
    # A terminal tells the whole group of an interrupt; the starter decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gone = _watch_the_starter()
    try:
        drain(
            Path(path),
            SystemClock(),
            lambda: not gone.is_set(),
            rotate_bytes=int(rotate_bytes) if rotate_bytes else None,
        )
    except (AuditError, *FAILURES) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
