"""Starting the drainer, beside everything else: nobody waits for it, and it outlives nobody."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import attr
import msgspec

import nxkernel
from nxkernel import _forks, _locks
from nxkernel.audit.spool.folder import folder_of

__all__ = ["Following", "Starter", "command"]

_log = logging.getLogger("nxkernel.audit")
# It imports what it needs and nothing of the application's: no site, no environment, no current
# directory, only the folders of this package and of the two that it builds on.
_BOOT = (
    "import sys; sys.path[:0] = sys.argv[3:]; "
    "from nxkernel.audit.draining import main; sys.exit(main(*sys.argv[1:3]))"
)
_MOST_BYTES = 4096
#: Seconds that a drainer gets to end: as long as a transaction may take, and to wait for its lock.
_PATIENCE_S, _PAUSE_S = 15.0, 0.1


def command(log: Path, rotate_bytes: int | None = None) -> list[str]:
    """Return the command that drains the log at *log*, and seals what is *rotate_bytes* large."""
    places = {
        str(Path(package.__file__ or "").resolve().parents[1]): None
        for package in (nxkernel, msgspec, attr)
    }
    # -I: neither the environment nor the current directory says what is imported.
    what = (str(log.absolute()), "" if rotate_bytes is None else str(rotate_bytes))
    return [sys.executable, "-I", "-S", "-B", "-c", _BOOT, *what, *places]


class Starter:
    """Starts a drainer for one log, one at a time."""

    def __init__(self, log: Path, rotate_bytes: int | None = None) -> None:
        self._log = log
        self._rotate_bytes = rotate_bytes
        self.abandon()
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: the drainer is its parent's, and so is the end of its input."""
        child = getattr(self, "_child", None)
        if child is not None and child.stdin is not None:
            child.stdin.close()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._lock = _locks.lock()
        self._is_wanted = self._works = False

    def start(self) -> None:
        """Have the spools drained, by a drainer that is at it already or a new one. Never waits."""
        if not _has_interpreter():
            return  # No interpreter to run it: rows come to the database when their run ends.
        with self._lock:
            self._is_wanted = True
            if self._works:
                return
            thread = threading.Thread(target=self._work, name="nxkernel-drainer", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # No thread to be had: the next complete segment asks again.
            self._works, self._thread = True, thread

    def stop(self) -> None:
        """Have the drainer end after the transaction that it is at, and wait for that.

        One that does not end in time, because it was stopped, is killed: it may be at any instant.
        """
        with self._lock:
            self._is_wanted = False
            thread, child = self._thread, self._child
            if child is not None and child.stdin is not None:
                child.stdin.close()
        if thread is not None:
            thread.join(_PATIENCE_S)
            while thread.is_alive():
                with self._lock:
                    if self._child is not None:
                        self._child.kill()
                thread.join(_PAUSE_S)

    def _work(self) -> None:
        while self._next():
            try:
                said, status = self._run()
            except OSError as error:
                said, status = str(error), 1
            if status:
                _log.warning("the audit's drainer failed, rows wait in their spool: %s", said)

    def _next(self) -> bool:
        with self._lock:
            self._works, self._is_wanted = self._is_wanted, False
            return self._works

    def _run(self) -> tuple[str, int]:
        with _forks.whole():
            child = subprocess.Popen(
                command(self._log, self._rotate_bytes),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=os.sep,
                env=_environment(),
            )
            self._child = child
        with child:
            assert child.stderr is not None
            said = child.stderr.read(_MOST_BYTES)
            status = child.wait()
            with self._lock:
                self._child = None
        return said.decode(errors="replace").strip(), status


class Following:
    """For a reader that waits for new rows: brings them to the database as they come.

    One that may not write there sees them when their run ends.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._seen: dict[str, int] = {}

    def settle(self) -> None:
        """Drain what has come since the last time, and wait for that."""
        there = _sizes(folder_of(self._log))
        if there == self._seen or not _has_interpreter():
            return
        self._seen = there
        with suppress(OSError):
            child = subprocess.Popen(
                command(self._log),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=os.sep,
                env=_environment(),
            )
            with child:
                child.wait()


def _sizes(folder: Path) -> dict[str, int]:
    """Return the segments in *folder* with their sizes."""
    sizes = {}
    with suppress(OSError):
        for path in sorted(folder.glob("*.spool")):
            with suppress(FileNotFoundError):
                sizes[path.name] = path.stat().st_size
    return sizes


def _has_interpreter() -> bool:
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def _environment() -> dict[str, str] | None:
    # Windows needs some of it to start anything.
    return None if sys.platform == "win32" else {}
