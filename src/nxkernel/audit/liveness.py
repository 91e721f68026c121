"""Whether the kernel of a run is still alive: a file that it keeps locked while it lives.

The operating system lets go of the lock whatever way the process ends, so what a run has left open
is "in flight" while the lock is held and "interrupted" afterwards. A process id would not do: it is
reused, and means nothing in another container.

The lock is one of POSIX, which belongs to a process: a forked child does not hold it, whatever
descriptors it has, so a run is over when its own process is. The price: a process does not see its
own locks, and loses one by closing any other descriptor of the file. So a process never opens the
files of its own claims, and asks :data:`_held` instead.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from pathlib import Path

from nxkernel import _forks, _locks
from nxkernel._system import files

__all__ = ["Claim", "alive", "claim_name", "claimed"]


class _Held:
    """The claims of this very process, by the real path of their files."""

    def __init__(self) -> None:
        self.lock = _locks.lock()
        self.paths: set[str] = set()
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: it has none."""
        self.lock = _locks.lock()
        self.paths.clear()


_held = _Held()


def claim_name(run_id: str, started_ns: int) -> str:
    """Return the name of the claim of a run: 32 digits of hex."""
    facts = f"{run_id}\0{started_ns}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(facts).hexdigest()[:32]


def _file(log: Path, name: str) -> Path:
    return log.parent / "alive" / f"{name}.lock"


def _real(path: Path) -> str:
    return os.path.realpath(path)


class Claim:
    """Says "this run's kernel lives" until it is released or its process ends."""

    def __init__(self, log: Path, run_id: str, started_ns: int) -> None:
        """Claim a run of the log at *log*.

        Raises:
            FileExistsError: when a kernel that lives has claimed it already.
            OSError: when it cannot be claimed.
        """
        #: What the run's spool is called after.
        self.name = claim_name(run_id, started_ns)
        self._path = _file(log, self.name)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._place = _real(self._path)
        with _held.lock:
            if _is_locked(self._path):
                raise FileExistsError(17, "a kernel that lives has this run already")
            self._fd = self._made()
            _held.paths.add(self._place)
        self._ours = True
        _forks.register(self)
        _sweep(self._path.parent)

    def _made(self) -> int:
        # Locked under another name first: nobody may find the file unlocked while we live.
        fresh = self._path
        if sys.platform != "win32":  # which renames nothing that is open
            fresh = self._path.with_suffix(f".{os.getpid()}.new")
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | files.CLOEXEC, 0o600)
        try:
            files.try_own(fd)  # Nobody else knows of it yet.
            if fresh != self._path:
                os.rename(fresh, self._path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def release(self) -> None:
        """Say that the run is over; in a forked child, say nothing."""
        if self._ours:
            with _held.lock:
                if sys.platform == "win32":  # which removes nothing that is open
                    self.abandon()
                with suppress(OSError):  # without the lock it claims nothing, wherever it is
                    self._path.unlink(missing_ok=True)
                self.abandon()

    def abandon(self) -> None:
        """In a forked child: close its copy of the descriptor, which holds nothing."""
        if self._ours:
            self._ours = False
            _held.paths.discard(self._place)
            with suppress(OSError):
                os.close(self._fd)


def _sweep(folder: Path) -> None:
    """Remove the claims of killed kernels: whoever lives holds the lock of his."""
    if sys.platform == "win32":
        return  # A file has its name before its lock there.
    for path in sorted(folder.glob("*.lock")):
        with suppress(OSError), _held.lock:
            if not _is_locked(path):
                path.unlink()


def _is_locked(path: Path) -> bool:
    """Whether a process holds the file; *_held.lock* is held by whoever asks."""
    if _real(path) in _held.paths:
        return True
    try:
        fd = os.open(path, os.O_RDONLY | files.CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared: two that ask at the same moment do not take each other for the kernel.
        return not files.try_own(fd, shared=True)
    finally:
        os.close(fd)


def claimed(log: Path, name: str) -> bool:
    """Return whether the kernel that made the claim *name* on the log at *log* lives.

    Raises:
        OSError: when that cannot be found out.
    """
    with _held.lock:
        return _is_locked(_file(log, name))


def alive(log: Path, run_id: str, started_ns: int) -> bool:
    """Return whether the kernel of this run still holds its claim on the log at *log*.

    To a reader that may not look at the claim, nobody holds it.
    """
    with suppress(OSError):
        return claimed(log, claim_name(run_id, started_ns))
    return False
