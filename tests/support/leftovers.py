"""What a kernel must not leave behind, seen from outside: a snapshot before, a difference after.

Processes are found because the one that looks has made itself the reaper of its descendants
(``PR_SET_CHILD_SUBREAPER``): whatever loses its parent becomes its child.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import psutil

__all__ = ["Traces", "become_reaper", "descendants", "gone_within", "staying", "traces"]

_PR_SET_CHILD_SUBREAPER = 36
_CGROUPS = Path("/sys/fs/cgroup")


def become_reaper() -> None:
    """Have orphans of this process's descendants become its own children."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def descendants() -> list[psutil.Process]:
    """Every living process below this one; those that have ended are waited for."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return found


def gone_within(seconds: float) -> list[str]:
    """Wait until no descendant lives; return the names of those that do after *seconds*.

    Looks again after each wait: one of them may have been starting another.
    """
    until = time.monotonic() + seconds
    while left := descendants():
        if not _ended([process.pid for process in left], until):
            return [_name(process) for process in left if process.is_running()]
    return []


def _ended(pids: list[int], until: float) -> bool:
    """Wait until all of *pids* have ended; returns whether they did before *until*."""
    with contextlib.ExitStack() as opened:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                pidfd = os.pidfd_open(pid)
                opened.callback(os.close, pidfd)
                rest = max(0.0, until - time.monotonic())
                if not select.select([pidfd], [], [], rest)[0]:
                    return False
    return True


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess):
        return f"{process.pid} {' '.join(process.cmdline())[:80]}"
    return f"{process.pid} which has ended since"


@attrs.frozen
class Traces:
    """What is there beside processes."""

    #: Open descriptors of this process, by what they are.
    descriptors: int
    threads: int
    #: Names in the folder for temporary files, of shared memory, of control groups of ours.
    names: frozenset[str]

    def since(self, before: Traces) -> list[str]:
        """Return what there is more than *before*, in words."""
        more = sorted(self.names - before.names)
        if self.descriptors > before.descriptors:
            more.append(f"{self.descriptors - before.descriptors} descriptors")
        if self.threads > before.threads:
            more.append(f"{self.threads - before.threads} threads")
        return more


def traces() -> Traces:
    """Look around."""
    return Traces(
        descriptors=len(os.listdir("/proc/self/fd")),
        threads=threading.active_count(),
        names=frozenset(_names()),
    )


def staying(before: Traces, seconds: float) -> list[str]:
    """Return what there is more than *before*, and still is after *seconds*.

    Other programs of this machine, other tests too, make and remove control groups meanwhile.
    """
    until = time.monotonic() + seconds
    while (more := traces().since(before)) and time.monotonic() < until:
        time.sleep(0.05)
    return more


def _names() -> Iterator[str]:
    for folder in (Path(tempfile.gettempdir()), Path("/dev/shm")):
        if folder.is_dir():
            yield from (str(path) for path in folder.iterdir() if "nxkernel" in path.name)
    for place, folders, _ in os.walk(_CGROUPS):
        yield from (f"{place}/{name}" for name in folders if "nxkernel" in name)
