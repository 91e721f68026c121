"""Asks everyone who keeps a log's database open to let go of it, so that it can be sealed.

A file beside the database, locked by the one who asks: a rotation that was killed asks no more.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nxkernel._system import files

__all__ = ["asked", "is_asked"]

#: Seconds between two tries for the lock, which whoever looks has for a moment.
_PAUSE_S, _TRIES = 0.001, 1000


def _place(log: Path) -> Path:
    return Path(f"{log}-rotate")


@contextmanager
def asked(log: Path) -> Iterator[None]:
    """Ask while the body runs; one at a time, which is the caller's to see to.

    Raises:
        OSError, sqlite3.Error: when that cannot be done.
    """
    fd = os.open(_place(log), os.O_RDWR | os.O_CREAT | files.CLOEXEC, 0o600)
    try:
        _lock(fd)
        yield
    finally:
        with suppress(OSError):  # without its lock it asks for nothing
            _place(log).unlink(missing_ok=True)
        os.close(fd)


def _lock(fd: int) -> None:
    for _ in range(_TRIES):
        if files.try_lock(fd):
            return
        time.sleep(_PAUSE_S)
    raise sqlite3.OperationalError("its rotation is locked")


def is_asked(log: Path) -> bool:
    """Return whether somebody asks now; who may not look is not asked."""
    try:
        fd = os.open(_place(log), os.O_RDONLY | files.CLOEXEC)
    except OSError:
        return False
    try:
        return not files.try_lock(fd, shared=True)
    except OSError:
        return False
    finally:
        os.close(fd)
