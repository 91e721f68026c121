"""Whether the kernel of a run is still alive: a file that it keeps locked while it lives.

The operating system lets go of the lock whatever way the process ends, so an intent without a
call row is "in flight" while the lock is held and "interrupted" afterwards. A process id would not
do: it is reused, and means nothing in another container.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import weakref
from pathlib import Path

__all__ = ["Claim", "alive"]


def _file(log: Path, run_id: str, started_ns: int) -> Path:
    name = hashlib.sha256(f"{run_id}\0{started_ns}".encode("utf-8", "surrogateescape")).hexdigest()[
        :32
    ]
    return log.parent / "alive" / f"{name}.lock"


class Claim:
    """Says "this run's kernel lives" until it is released or its process ends."""

    def __init__(self, log: Path, run_id: str, started_ns: int) -> None:
        self._path = _file(log, run_id, started_ns)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Locked under another name first: nobody may find the file unlocked while we live.
        fresh = self._path.with_suffix(f".{os.getpid()}.new")
        self._fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            os.rename(fresh, self._path)
        except BaseException:
            os.close(self._fd)
            raise
        _claims.add(self)

    def release(self) -> None:
        """Say that the run is over; in a forked child, say nothing."""
        if self in _claims:
            self._path.unlink(missing_ok=True)
            self.drop()

    def drop(self) -> None:
        """Close the descriptor without a word: a forked child has inherited it."""
        _claims.discard(self)
        os.close(self._fd)


_claims: weakref.WeakSet[Claim] = weakref.WeakSet()


def _drop_all() -> None:
    for claim in list(_claims):
        claim.drop()


# The lock lives until the last copy of the descriptor is closed.
os.register_at_fork(after_in_child=_drop_all)


def alive(log: Path, run_id: str, started_ns: int) -> bool:
    """Return whether the kernel of this run still holds its claim on the log at *log*."""
    try:
        fd = os.open(_file(log, run_id, started_ns), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
