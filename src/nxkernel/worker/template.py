"""A template: a worker that has loaded its plugin, and forks a process for each call.

A call finds what import and construction have made, and whatever it does to that is gone with its
process. So nothing may be shared between them: the template has one thread, which the host looks
at, and no open file but its own, as the forks would share the file's position.

It has run nothing of a call, the historic ones aside, and no call can reach it: each stacks the
filter of an ordinary worker on its own, with its own pid, before it hears of what it is to do.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import stat
import sys
from typing import NoReturn, Protocol

from nxkernel import _linux
from nxkernel._wire import EXIT_CONFINE, VERSION, Hello, Refused
from nxkernel.errors import NxError
from nxkernel.worker.arena import Arena
from nxkernel.worker.chance import generators
from nxkernel.worker.confine import call_test, stack
from nxkernel.worker.pipe import COMMAND_FD, RESULT_FD, HostGone, Pipe

__all__ = ["NURSERY_FD", "Call", "Template"]

#: Where a template has the socket through which it is handed what its next fork is to have, twice;
#: in the fork the two files of the arena are in its place.
NURSERY_FD, _ALSO_FD = 5, 6
#: Above every number with a meaning: what the plugin has opened.
_FIRST_FREE = _ALSO_FD + 1
#: The wire, the log and the arena's two files of a call.
_GIVEN = 4


class Call(Protocol):
    """What the template needs of the runner, in the fork."""

    def reborn(self, pipe: Pipe, arena: Arena | None) -> None:
        """Serve another host's end from now on, as if nothing had been called yet."""

    def answer(self) -> None:
        """Answer until told to stop."""


class Template:
    """Forks the calls of one plugin."""

    def __init__(self, call: Call, call_filter: bytes) -> None:
        self._call = call
        self._filter = call_filter
        #: Descriptors of the plugin that its forks keep: devices without state.
        self._kept: frozenset[int] = frozenset()

    def settle(self) -> None:
        """Make this process fit to be forked, now that the plugin is loaded.

        Raises:
            NxError: it has files open that its calls would share.
        """
        opened = list(_opened())
        self._kept = frozenset(fd for fd in opened if stat.S_ISCHR(os.fstat(fd).st_mode))
        shared = [fd for fd in opened if fd not in self._kept]
        if shared:
            raise NxError(_shared(shared), code="plugin.start")
        # Nobody waits for a call: the system forgets it as it ends.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        gc.collect()
        # Frozen objects are not touched by later collections, so their pages stay shared.
        gc.freeze()

    def fork(self) -> None:
        """Fork a process for a call; what it is to have lies in the nursery."""
        given = self._given()
        # A fork is given other random numbers by the library: each call is to find the same.
        state = generators.save("random")
        try:
            if os.fork() == 0:
                self._live(given, state)
        except OSError as error:
            _refuse(given[0], error)
        finally:
            for fd in given:
                os.close(fd)

    def _given(self) -> list[int]:
        with socket.socket(fileno=os.dup(NURSERY_FD)) as nursery:
            _, given, _, _ = socket.recv_fds(nursery, 1, _GIVEN)
        if len(given) != _GIVEN:
            for fd in given:
                os.close(fd)
            raise NxError("the template has too many files open to be handed a call")
        return given

    def _live(self, given: list[int], state: object) -> NoReturn:
        """Be the process of a call; never returns, whatever happens."""
        status = EXIT_CONFINE
        try:
            self._lay_out(given)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            pipe = Pipe(write=_flushed)
            witnessed = self._confined(pipe)
            generators.restore("random", state)
            self._call.reborn(pipe, Arena(NURSERY_FD, _ALSO_FD))
            pipe.send(Hello(version=VERSION, witnessed=witnessed))
            self._call.answer()
            status = 0
        except HostGone:
            status = 0
        except BaseException as error:
            os.write(2, f"worker: {type(error).__name__}: {error}\n".encode("utf-8", "replace"))
        finally:
            os._exit(status)

    def _lay_out(self, given: list[int]) -> None:
        """Put the descriptors where they belong, and close all others but those that are kept."""
        wire, log, down, up = given
        for source, target in ((wire, COMMAND_FD), (wire, RESULT_FD), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.dup2(down, NURSERY_FD, inheritable=False)
        os.dup2(up, _ALSO_FD, inheritable=False)
        begin = _FIRST_FREE
        for kept in sorted(self._kept):
            os.closerange(begin, kept)
            begin = kept + 1
        os.closerange(begin, os.sysconf("SC_OPEN_MAX"))

    def _confined(self, pipe: Pipe) -> dict[str, str]:
        """Stack the filter of the call, and return what its self-test met."""
        if not self._filter:
            # No namespace ends this process with its template.
            parent = os.getppid()
            _linux.prctl(_linux.PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(0)
            return {}
        try:
            stack(self._filter)
            return call_test()
        except NxError as error:
            pipe.send(Refused(code=error.code, message=error.message, details=b""))
            raise


def _opened() -> list[int]:
    """Return the descriptors that the plugin has open."""
    found = []
    for fd in range(_FIRST_FREE, os.sysconf("SC_OPEN_MAX")):
        with contextlib.suppress(OSError):
            os.fstat(fd)
            found.append(fd)
    return found


def _shared(fds: list[int]) -> str:
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFSOCK: "socket"}
    found = sorted(kinds.get(stat.S_IFMT(os.fstat(fd).st_mode), "pipe or event") for fd in fds)
    return (
        f"it has {len(fds)} open after its import ({', '.join(found)}), which all of its calls "
        'would share; open them in the hookimpl, or write state = "warm" in the manifest'
    )


def _refuse(wire: int, error: OSError) -> None:
    """Say on the call's own wire that there is no process for it."""
    pipe = Pipe(write=lambda view: os.write(wire, view))
    refused = Refused(code="plugin.limit", message=error.strerror or "", details=b"")
    with contextlib.suppress(OSError):
        pipe.send(refused)


def _flushed(view: bytes | memoryview) -> int:
    """Write to the host what it may end this process for: what was printed goes before it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    return os.write(RESULT_FD, view)
