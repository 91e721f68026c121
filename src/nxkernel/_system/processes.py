"""A hold on one process that cannot come to mean another one."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Protocol

from nxkernel import _locks

__all__ = ["Child", "ChildProcess", "Process"]

Child = subprocess.Popen[bytes]


class Process(Protocol):
    """A worker's process; whoever holds this never touches another with the same number."""

    @property
    def pid(self) -> int:
        """Its number, which means nothing after its end."""

    @property
    def number(self) -> int:
        """Tells it from all that the same reporter hears of: a pid may be given again."""

    def kill(self) -> None:
        """End it at once; no error when it has ended."""

    def interrupt(self) -> None:
        """Interrupt what it does, as Ctrl-C would; no error when it has ended."""

    def terminate(self) -> None:
        """Ask the operating system to end it; no error when it has ended."""

    def has_ended(self) -> bool:
        """Whether it is over, though nobody may have waited for it yet."""

    def allow_cpu(self, seconds: float) -> None:
        """Let it use *seconds* of CPU time from now on, then end it, where the system can."""

    def overdue(self) -> bool:
        """Whether it has gone on beyond that: a plugin may ignore the system's signal."""

    def close(self) -> None:
        """Let go of it; safe to call twice."""


class ChildProcess:
    """A child by its number, which stays its own until :meth:`wait` has collected it."""

    def __init__(self, child: Child) -> None:
        self.pid = self.number = child.pid
        self._child = child
        self._lock = _locks.lock()
        self._ended = False

    def kill(self) -> None:
        """Send SIGKILL, or terminate it on Windows."""
        self._end(self._child.kill if sys.platform == "win32" else self._sigkill)

    def interrupt(self) -> None:
        """Send SIGINT; Windows has nothing gentler than its kill."""
        self._end(self._child.kill if sys.platform == "win32" else self._sigint)

    def terminate(self) -> None:
        """Send SIGTERM; Windows has nothing gentler than its kill."""
        self._end(self._child.kill if sys.platform == "win32" else self._sigterm)

    def _sigkill(self) -> None:
        if sys.platform != "win32":
            os.kill(self.pid, signal.SIGKILL)

    def _sigint(self) -> None:
        os.kill(self.pid, signal.SIGINT)

    def _sigterm(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def _end(self, end: Callable[[], None]) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if not self._ended:
                end()

    def has_ended(self) -> bool:
        """Whether it was collected; that is at once, as a thread waits for it."""
        return self._ended

    def wait(self) -> int | None:
        """Wait for the end; return the exit code, or None where another has collected it.

        The number is only given back to the system under the lock: nobody can kill a stranger.
        """
        if sys.platform == "win32":
            code: int | None = self._child.wait()  # By handle: the number does not matter.
        else:
            _until_over(self.pid)
            with self._lock:
                self._ended = True
                code = _collect(self.pid)
        self._child.returncode = code or 0  # else its finalizer would look for it
        self._ended = True
        return code

    def allow_cpu(self, seconds: float) -> None:
        """No system but Linux lets one move another process's limit: the deadline alone holds."""

    def overdue(self) -> bool:
        """Nobody has counted: the deadline alone holds, or on Windows the job, which ends it."""
        return False

    def close(self) -> None:
        """Close what it was told its settings by, which it takes for the end of this process."""
        if self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()

    def disown(self) -> None:
        """Leave it to whoever waits for it: in a forked process it is nobody's child."""
        self._child.returncode = self._child.returncode or 0


def _until_over(pid: int) -> None:
    """Wait until *pid* has ended, and leave it to be collected. For POSIX systems."""
    if sys.platform == "darwin" and sys.version_info < (3, 13):
        note = select.kevent(
            pid,
            filter=select.KQ_FILTER_PROC,
            flags=select.KQ_EV_ADD | select.KQ_EV_ONESHOT,
            fflags=select.KQ_NOTE_EXIT,
        )
        with contextlib.closing(select.kqueue()) as queue, contextlib.suppress(ProcessLookupError):
            queue.control([note], 1)
    elif sys.platform != "win32":
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def _collect(pid: int) -> int | None:
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status)
