"""Spare workers: forked ahead and rehearsed, so that whoever needs a worker waits for no fork.

A spare knows no plugin and is not confined yet: descriptors, ruleset and all else arrive once it is
taken. It holds nothing of the zygote's but the socket on which it waits, and ends with the zygote.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

from nxkernel import _linux
from nxkernel._wire import EXIT_CONFINE
from nxkernel.worker import child
from nxkernel.worker.rehearsal import rehearse

__all__ = ["LOST", "Spares"]

_PLAIN, _WITH_RULESET = b"p", b"r"
#: Most descriptors that a worker is given.
_GIVEN = 8
_FIRST = 3
#: Descriptors that are left to whoever asks for a worker: what it is given, two sockets, pidfds.
_LEFT = _GIVEN + 8
#: So many may end by themselves between two starts: more of them would do the same.
LOST = 16


class Spares:
    """The spare workers of one zygote."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        #: pidfd -> pid, and our end of the socket on which it waits.
        self._ready: dict[int, tuple[int, socket.socket]] = {}
        #: The system did not let us have one; it is asked again after the next start.
        self._refused = False
        #: How many ended by themselves since the last start.
        self._lost = 0

    @property
    def missing(self) -> bool:
        """Whether another one is to be forked when there is time."""
        if self._refused or self._lost >= LOST:
            return False
        return len(self._ready) < self._wanted

    def bear(self) -> tuple[int, int] | None:
        """Fork one, and return its pid and pidfd; None where the system refuses."""
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError:
            self._refused = True
            return None
        with theirs:
            born = None if _is_scarce(theirs.fileno()) else self._born(theirs)
        if born is None:
            self._refused = True
            ours.close()
            return None
        self._ready[born[1]] = born[0], ours
        return born

    def _born(self, theirs: socket.socket) -> tuple[int, int] | None:
        parent = os.getpid()
        try:
            pid = _linux.fork()
        except OSError:
            return None
        if pid == 0:
            self._wait(theirs, parent)
        try:
            return pid, os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None

    def take(self, fds: Sequence[int], *, with_ruleset: bool) -> tuple[int, int] | None:
        """Make a worker of one, and return its pid and pidfd; None if there is none."""
        self._refused, self._lost = False, 0
        order = _WITH_RULESET if with_ruleset else _PLAIN
        while self._ready:
            pidfd = next(iter(self._ready))
            pid, ours = self._ready.pop(pidfd)
            with ours:
                try:
                    socket.send_fds(ours, [order], fds)
                except OSError:
                    continue  # It has ended: it is buried like any other child.
            return pid, pidfd
        return None

    def forget(self, pidfd: int) -> None:
        """It has ended, whether it was taken or not."""
        ready = self._ready.pop(pidfd, None)
        if ready is not None:
            self._lost += 1
            ready[1].close()

    def end(self) -> None:
        """End them all, and wait until they have ended.

        Whoever inherits the children of a zygote, perhaps the host, need not wait for any.
        """
        for pid, _ in self._ready.values():
            os.kill(pid, signal.SIGKILL)
        for pid, _ in self._ready.values():
            os.waitpid(pid, 0)
        self._ready.clear()

    def _wait(self, theirs: socket.socket, parent: int) -> NoReturn:
        """Be a spare, and the worker that is made of it; never returns, whatever happens."""
        try:
            _linux.prctl(_linux.PR_SET_PDEATHSIG, signal.SIGKILL)
            _linux.prctl(_linux.PR_SET_DUMPABLE, 0)
            if os.getppid() != parent:
                os._exit(0)
            # Of the other spares: no destructor may close a number that means something else then.
            for _, ours in self._ready.values():
                ours.detach()
            line = theirs.fileno()
            os.closerange(_FIRST, line)
            os.closerange(line + 1, 1 << 20)
            rehearse(1)
            order, fds, flags, _ = socket.recv_fds(theirs, len(_PLAIN), _GIVEN)
            if not order or flags & socket.MSG_CTRUNC:
                os._exit(EXIT_CONFINE if order else 0)
            theirs.detach()
            child.main(fds, with_ruleset=order == _WITH_RULESET, parent=parent)
        finally:
            os._exit(1)


def _is_scarce(newest: int) -> bool:
    """Whether there is no room for spares above the descriptor *newest*, the lowest that was free.

    Whoever asks for a worker sends its descriptors along: with no room for them there is none.
    """
    if sys.platform == "win32":
        return False
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most != resource.RLIM_INFINITY and newest + _LEFT >= most
