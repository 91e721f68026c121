"""Whether the kernel of a run is still alive: a file that it keeps locked while it lives.

The operating system lets go of the lock whatever way the process ends, so an intent without a
call row is "in flight" while the lock is held and "interrupted" afterwards. A process id would not
do: it is reused, and means nothing in another container.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from pathlib import Path

from nxkernel import _forks
from nxkernel._system import files

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
        fresh = self._path
        if sys.platform != "win32":  # which renames nothing that is open
            fresh = self._path.with_suffix(f".{os.getpid()}.new")
        self._fd = os.open(fresh, os.O_RDWR | os.O_CREAT | files.CLOEXEC, 0o600)
        try:
            files.try_lock(self._fd)  # Nobody else knows of it yet.
            if fresh != self._path:
                os.rename(fresh, self._path)
            _sweep(self._path.parent)
        except BaseException:
            os.close(self._fd)
            raise
        self._ours = True
        _forks.register(self)

    def release(self) -> None:
        """Say that the run is over; in a forked child, say nothing."""
        if self._ours:
            if sys.platform == "win32":  # which removes nothing that is open
                self.abandon()
            self._path.unlink(missing_ok=True)
            self.abandon()

    def abandon(self) -> None:
        """Close the descriptor without a word: the lock lives until its last copy is closed."""
        if self._ours:
            self._ours = False
            os.close(self._fd)


def _sweep(folder: Path) -> None:
    """Remove the claims of killed kernels: whoever lives holds the lock of his."""
    if sys.platform == "win32":
        return  # A file has its name before its lock there.
    for path in sorted(folder.glob("*.lock")):
        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY | files.CLOEXEC)
            try:
                if files.try_lock(fd):
                    path.unlink()
            finally:
                os.close(fd)


def alive(log: Path, run_id: str, started_ns: int) -> bool:
    """Return whether the kernel of this run still holds its claim on the log at *log*."""
    try:
        fd = os.open(_file(log, run_id, started_ns), os.O_RDONLY | files.CLOEXEC)
    except OSError:
        return False
    try:
        return not files.try_lock(fd, shared=True)
    finally:
        os.close(fd)
