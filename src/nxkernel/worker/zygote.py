"""The zygote: a warm, single-threaded process that forks itself into workers.

It never runs plugin code and never sees plugin data, because whatever is in its heap can be read
in every later worker: settings and the system-call filter travel on the worker's own channel, and
Landlock rulesets arrive as descriptors.

At level ``isolated`` it is process 1 of namespaces of its own, and tells the host the numbers that
the host has for its children.

It ends when the control socket closes or the host dies, whichever it notices first, and the
kernel then ends its workers (``PR_SET_PDEATHSIG``).
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import select
import signal
import socket
import struct
import sys
from collections import deque
from collections.abc import Mapping
from typing import Any, NoReturn

from nxkernel import _linux
from nxkernel._namespaces import pid_outside
from nxkernel.worker import chance, child, heap, outfit, surroundings
from nxkernel.worker.confine import drop_bounding_set, look_at_machine
from nxkernel.worker.cradle import Cradle
from nxkernel.worker.rehearsal import rehearse
from nxkernel.worker.spares import Spares

__all__ = ["serve"]

#: The pipe on which exits are reported: ``pid, wait status``.
EXITS_FD = 4
EXIT = struct.Struct("<Ii")
#: A request: its number, and whether a ruleset comes along; an answer: that number, and the pid,
#: or the errno, negative: without a descriptor where the zygote failed, with one where a nanny did.
#: How many tasks it may have in a pid namespace of its own, or 0 for a worker that has none.
REQUEST, ANSWER = struct.Struct("<I?I"), struct.Struct("<Ii")
#: Runs after which the interpreter has made what it runs as quick as it can.
_REHEARSALS = 12
#: Milliseconds without a request after which a spare is forked: workers that start come first.
_QUIET_MS = 20
#: What a worker needs after it can no longer be sure to read the library, and what most plugins
#: import anyway. Nothing here may start a thread: Landlock would miss it.
PRELOAD = (
    "ctypes",
    "datetime",
    "decimal",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "enum",
    "hashlib",
    "inspect",
    "linecache",
    "logging",
    "pathlib",
    "platform",
    "random",
    *(("resource",) if sys.platform != "win32" else ()),
    "secrets",
    "tempfile",
    "traceback",
    "typing",
    "uuid",
    "attrs",
    "cattrs",
    "msgspec",
    "pluggy",
    "nxkernel._hookimpls",
    "nxkernel._seeds",
    "nxkernel._streams",
    "nxkernel._values",
    "nxkernel._wire",
    "nxkernel.hookspecs",
    "nxkernel.worker.arena",
    "nxkernel.worker.chance",
    "nxkernel.worker.context",
    "nxkernel.worker.denials",
    "nxkernel.worker.loader",
    "nxkernel.worker.runner",
    "nxkernel.worker.template",
)


def serve(control: socket.socket, profile: Mapping[str, Any], host: int) -> None:
    """Fork a worker for each request until the host, of which *host* is a pidfd, goes away."""
    surroundings.enter(profile.get("surroundings", {}))
    for name in (*PRELOAD, *profile["preload"]):
        importlib.import_module(name)
        # Imports take long on a busy machine: a host that died meanwhile must not wait for them.
        if _has_ended(host):
            os._exit(0)
    _settle(guarded=bool(profile["guarded"]))
    control.send(b"ready")
    spares = Spares(profile["spares"])
    _Zygote(control, host, spares, namespaced=bool(profile["namespaces"])).loop()


def _has_ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def _settle(*, guarded: bool) -> None:
    """Make this process fit to be forked: one thread, its outfit on, no capabilities to pass."""
    with open("/proc/self/stat") as stat:
        threads = stat.read().rsplit(")", 1)[1].split()[17]
    if threads != "1":
        raise RuntimeError(f"the zygote has {threads} threads after its imports; it needs one")
    outfit.put_on()
    drop_bounding_set()
    look_at_machine()
    rehearse(_REHEARSALS)
    if guarded:
        chance.prepare()
    # Never enabled before a worker does so: see the bootstrap, which has frozen the library.
    gc.collect()
    heap.fill()
    # Frozen objects are not touched by later collections, so their pages stay shared.
    gc.freeze()


class _Zygote:
    """The serving loop and the children that are still alive."""

    def __init__(
        self, control: socket.socket, host: int, spares: Spares, *, namespaced: bool
    ) -> None:
        self._control = control
        self._host = host
        self._spares = spares
        self._namespaced = namespaced
        #: pidfd -> pid here, and the request that it came of, of every child not yet waited for.
        self._children: dict[int, tuple[int, int]] = {}
        #: Answers that nobody has made room for yet, each with a pidfd of its own, or with none
        #: where this process itself could not fork.
        self._answers: deque[tuple[bytes, int | None]] = deque()
        self._poll = select.poll()
        self._poll.register(control.fileno(), select.POLLIN)
        self._poll.register(host, select.POLLIN)

    def loop(self) -> None:
        while True:
            happened = self._poll.poll(_QUIET_MS if self._spares.missing else None)
            if not happened:
                self._bear_spare()
            for fd, events in happened:
                if fd == self._host:
                    self._end()
                elif fd != self._control.fileno():
                    self._bury(fd)
                elif events & select.POLLOUT:
                    self._answer()
                else:
                    self._serve_one()

    def _end(self) -> NoReturn:
        """The host wants no more workers, or is gone."""
        try:
            self._spares.end()
        finally:
            os._exit(0)

    def _serve_one(self) -> None:
        request, fds, flags, _ = socket.recv_fds(self._control, 64, 8)
        if not request:
            self._end()
        number, with_ruleset, tasks = REQUEST.unpack(request)
        try:
            if flags & socket.MSG_CTRUNC:
                raise OSError(errno.EMFILE, "not every descriptor could be received")
            # One that may start programs is first in a namespace of its own: no spare is.
            spare = None if tasks else self._spares.take(fds, with_ruleset=with_ruleset)
            if spare is None:
                outside, pidfd = self._bear(number, fds, with_ruleset, tasks)
            else:
                outside, pidfd = self._hand_over(number, *spare)
        except OSError as error:
            # All other workers hang on this process: what one cannot have must not end it.
            outside, pidfd = -(error.errno or errno.EIO), None
        finally:
            for fd in fds:
                os.close(fd)
        # The number tells the host which request this answers: it may have been interrupted.
        self._answers.append((ANSWER.pack(number, outside), pidfd))
        self._answer()

    def _bear(self, number: int, fds: list[int], with_ruleset: bool, tasks: int) -> tuple[int, int]:
        """Fork a worker; return its pid as the host numbers it, and a pidfd to send.

        Raises:
            OSError: when the system refuses; there is no process then.
        """
        cradle = Cradle() if tasks else None
        parent = os.getpid()
        try:
            pid = _linux.fork()
        except OSError:
            if cradle is not None:
                cradle.close()
            raise
        if pid == 0:
            self._become_worker(fds, with_ruleset, parent, cradle, tasks)
        held: list[int] = []
        try:
            return self._take_over(number, pid, cradle, held)
        except OSError:
            for fd in held:
                os.close(fd)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        finally:
            if cradle is not None:
                cradle.close()

    def _bear_spare(self) -> None:
        """Nobody asks for anything: fork a worker that somebody will."""
        born = self._spares.bear()
        if born is not None:
            pid, pidfd = born
            self._children[pidfd] = (pid, 0)
            self._poll.register(pidfd, select.POLLIN)

    def _hand_over(self, number: int, pid: int, pidfd: int) -> tuple[int, int]:
        """Enter a spare that has become the worker of request *number*.

        Raises:
            OSError: there is no room for what the host is to have of it; it ends.
        """
        try:
            told = os.dup(pidfd)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            raise
        self._children[pidfd] = (pid, number)
        return pid_outside(told) if self._namespaced else pid, told

    def _take_over(
        self, number: int, pid: int, cradle: Cradle | None, held: list[int]
    ) -> tuple[int, int]:
        """Enter a new child; *held*: what is open until that is done."""
        pidfd = os.pidfd_open(pid)
        held.append(pidfd)
        # With a nanny in between, the worker is her child and she ends as it does.
        worker, worker_fd = (pid, pidfd) if cradle is None else cradle.look(pidfd)
        told = worker_fd
        if worker_fd == pidfd:
            told = os.dup(pidfd)
        held.append(told)
        outside = pid_outside(told) if self._namespaced and worker > 0 else worker
        # A nanny who never had a worker is waited for and not told of: the answer has said so.
        self._children[pidfd] = (pid, number if outside > 0 else 0)
        self._poll.register(pidfd, select.POLLIN)
        return outside, told

    def _answer(self) -> None:
        """Send what there is room for.

        Never waits: the answers to interrupted requests lie where they are until the next request
        is made, a handful of them fill the socket, and meanwhile workers end and have to be heard.
        """
        wanted = select.POLLIN
        while self._answers:
            answer, pidfd = self._answers[0]
            try:
                self._control.sendmsg([answer], _rights(pidfd), socket.MSG_DONTWAIT)
            except BlockingIOError:
                wanted |= select.POLLOUT
                break
            self._answers.popleft()
            if pidfd is not None:
                os.close(pidfd)
        self._poll.modify(self._control.fileno(), wanted)

    def _become_worker(
        self,
        fds: list[int],
        with_ruleset: bool,
        parent: int,
        cradle: Cradle | None,
        tasks: int,
    ) -> None:
        # Descriptors of the zygote are closed by number in the child: detach, so that no
        # destructor closes a number that means something else by then.
        self._control.detach()
        try:
            if cradle is not None:
                parent = cradle.bear(parent, tasks)
            child.main(fds, with_ruleset=with_ruleset, parent=parent)
        finally:
            os._exit(1)  # Whatever was raised must not go on in the zygote's own code.

    def _bury(self, pidfd: int) -> None:
        pid, number = self._children.pop(pidfd)
        self._spares.forget(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        if number:
            os.write(EXITS_FD, EXIT.pack(number, status))


def _rights(pidfd: int | None) -> list[tuple[int, int, bytes]]:
    if pidfd is None:
        return []
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("@i", pidfd))]
