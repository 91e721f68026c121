"""Linux's own ways: eventfd, epoll and pidfds, which need neither threads nor luck.

Never imported on another system; the line below tells mypy the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import resource
import select
import selectors
import signal
import struct
import sys

from nxkernel import _locks
from nxkernel._system.children import Ended, Limits
from nxkernel._system.holding import close_all, into
from nxkernel._system.pollers import poll
from nxkernel._system.processes import Child
from nxkernel._system.system import System

assert sys.platform == "linux"

__all__ = ["LINUX", "EventWaker", "PidfdChildren", "PidfdProcess", "exit_code"]


class EventWaker:
    """A counter in the kernel: one descriptor, eight bytes."""

    def __init__(self) -> None:
        self._held: list[int] = []

    def open(self) -> None:
        """Make the counter."""
        into(self._held, os.eventfd, 0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    @property
    def fd(self) -> int:
        """The counter's descriptor."""
        return self._held[0]

    def wake(self) -> None:
        """Add one to the counter."""
        os.eventfd_write(self.fd, 1)

    def drain(self) -> None:
        """Take what was counted."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close the descriptor."""
        close_all(self._held)


#: Seconds of processor time beyond a limit after which its signal was surely passed over.
_LATE_S = 0.5


class PidfdProcess:
    """A process by its pidfd."""

    def __init__(self, pid: int, pidfd: int, number: int | None = None) -> None:
        """*number*: what its reporter calls it; the pid, where it can be no other's meanwhile."""
        self.pid = pid
        self.number = pid if number is None else number
        #: -1 once it was let go of.
        self.pidfd = pidfd
        #: Seconds of processor time, over its whole life, at which SIGXCPU comes.
        self._cpu_until: int | None = None
        self._held = [pidfd]

    def kill(self) -> None:
        """Send SIGKILL."""
        self._send(signal.SIGKILL)

    def interrupt(self) -> None:
        """Send SIGINT."""
        self._send(signal.SIGINT)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        if self.pidfd < 0:
            return  # It was let go of, or belongs to the parent of a fork.
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def has_ended(self) -> bool:
        """Whether the pidfd says so."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def allow_cpu(self, seconds: float) -> None:
        """Move its soft RLIMIT_CPU, so that SIGXCPU ends it.

        The limit counts over the whole life of a process: a fixed one would end every busy
        worker sooner or later. A confined worker cannot move it, its filter forbids it.
        """
        used = _cpu_seconds(self.pid)
        if used is None:
            return
        # It may end, and be waited for, at any moment: that is for its channel to tell.
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(self.pid, resource.RLIMIT_CPU)
            limit = (int(used + seconds) + 1, hard)
            resource.prlimit(self.pid, resource.RLIMIT_CPU, limit)
            self._cpu_until = limit[0]

    def overdue(self) -> bool:
        """Whether it went on for half a second after SIGXCPU, which it may ignore or catch.

        The hard limit would end it as surely, but without privilege it could not be raised again
        for the next call.
        """
        if self._cpu_until is None:
            return False
        used = _cpu_seconds(self.pid)
        return used is not None and used > self._cpu_until + _LATE_S

    def close(self) -> None:
        """Close the pidfd."""
        self.pidfd = -1
        close_all(self._held)


#: PIDFD_GET_INFO, of which bit and field say how the process ended: Linux 6.15.
_GET_INFO, _INFO, _ENDED = 0xC040FF0B, struct.Struct("=QQ12I"), 1 << 3


def exit_code(pidfd: int) -> int | None:
    """Return how a process ended that is another's child, negative after a signal.

    None where the system does not say so: it is not collected yet, or this is Linux before 6.15.
    """
    asked = bytearray(_INFO.pack(_ENDED, *[0] * 13))
    try:
        fcntl.ioctl(pidfd, _GET_INFO, asked)
    except OSError:
        return None
    answer = _INFO.unpack(asked)
    return os.waitstatus_to_exitcode(answer[13]) if answer[0] & _ENDED else None


def _cpu_seconds(pid: int) -> float | None:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class PidfdChildren:
    """One epoll over a pidfd of each child: no thread, and no race for a number."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._lock = _locks.lock()
        #: By the pidfd that is watched: who it is, and the number that it was given.
        self._children: dict[int, tuple[Child, int]] = {}
        self._numbers = itertools.count(1)
        self._ended: list[Ended] = []

    @property
    def fd(self) -> int:
        """The epoll's own descriptor, which can be waited for like any other."""
        return self._epoll.fileno()

    def adopt(self, child: Child, limits: Limits) -> PidfdProcess:
        """Watch *child*, by a pidfd of its own beside the one that is returned.

        It lowers its limits itself.
        """
        process = PidfdProcess(child.pid, os.pidfd_open(child.pid), next(self._numbers))
        watched = os.dup(process.pidfd)
        with self._lock:
            self._children[watched] = (child, process.number)
            self._epoll.register(watched, select.EPOLLIN)
        return process

    def ended(self) -> list[Ended]:
        """Collect those whose pidfd is ready."""
        with self._lock:
            for pidfd, _ in self._epoll.poll(0):
                self._collect(pidfd)
            ended, self._ended = self._ended, []
            return ended

    def finish(self) -> None:
        """Kill and collect the rest; :meth:`ended` still reports them."""
        with self._lock:
            for pidfd in list(self._children):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                self._collect(pidfd)

    def _collect(self, pidfd: int) -> None:
        code: int | None = None
        with contextlib.suppress(ChildProcessError):
            end = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
            if end is not None:
                code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        child, number = self._children.pop(pidfd)
        child.returncode = code or 0  # else its finalizer would look for it
        self._ended.append((number, code))
        self._epoll.unregister(pidfd)
        os.close(pidfd)

    def close(self) -> None:
        """Close the epoll and the pidfds."""
        self._epoll.close()
        for pidfd, (child, _) in self._children.items():
            child.returncode = 0
            os.close(pidfd)
        self._children.clear()

    abandon = close


LINUX = System(
    name="linux",
    waker=EventWaker,
    poll=poll,
    selector=selectors.DefaultSelector,
    children=PidfdChildren,
    zygote=True,
    death_signal=True,
    pipes=True,
)
