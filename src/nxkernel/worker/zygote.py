"""The zygote: a warm, single-threaded process that forks itself into workers.

It never runs plugin code and never sees plugin data, because whatever is in its heap can be read
in every later worker: settings and the system-call filter travel on the worker's own channel, and
Landlock rulesets arrive as descriptors.

It ends when the control socket closes or the host dies, whichever it notices first, and the
kernel then ends its workers (``PR_SET_PDEATHSIG``).
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import struct
from collections.abc import Mapping
from typing import Any

from nxkernel.worker import child
from nxkernel.worker.confine import drop_bounding_set

__all__ = ["serve"]

#: The pipe on which exits are reported: ``pid, wait status``.
EXITS_FD = 4
EXIT = struct.Struct("<ii")
#: A request: its number, and whether a ruleset comes along; an answer: that number, and the pid.
REQUEST, ANSWER = struct.Struct("<I?"), struct.Struct("<Ii")
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
    "random",
    "resource",
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
    "nxkernel._values",
    "nxkernel._wire",
    "nxkernel.hookspecs",
    "nxkernel.worker.context",
    "nxkernel.worker.loader",
    "nxkernel.worker.runner",
)


def serve(control: socket.socket, profile: Mapping[str, Any]) -> None:
    """Fork a worker for each request until the host goes away."""
    host = os.pidfd_open(int(profile["host_pid"]))
    if os.getppid() != profile["host_pid"]:
        os._exit(0)  # The host died before it could be watched.
    for name in PRELOAD:
        importlib.import_module(name)
    for name in profile["preload"]:
        importlib.import_module(name)
    _settle()
    control.send(b"ready")
    _Zygote(control, host).loop()


def _settle() -> None:
    """Make this process fit to be forked: one thread, default signals, no capabilities to pass."""
    with open("/proc/self/stat") as stat:
        threads = stat.read().rsplit(")", 1)[1].split()[17]
    if threads != "1":
        raise RuntimeError(f"the zygote has {threads} threads after its imports; it needs one")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    drop_bounding_set()
    gc.collect()
    # Frozen objects are not touched by later collections, so their pages stay shared.
    gc.freeze()
    gc.disable()


class _Zygote:
    """The serving loop and the children that are still alive."""

    def __init__(self, control: socket.socket, host: int) -> None:
        self._control = control
        self._host = host
        #: pidfd -> pid of every child that was not yet waited for.
        self._children: dict[int, int] = {}
        self._poll = select.poll()
        self._poll.register(control.fileno(), select.POLLIN)
        self._poll.register(host, select.POLLIN)

    def loop(self) -> None:
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._host:
                    os._exit(0)
                elif fd == self._control.fileno():
                    self._serve_one()
                else:
                    self._bury(fd)

    def _serve_one(self) -> None:
        request, fds, _, _ = socket.recv_fds(self._control, 64, 8)
        if not request:
            os._exit(0)
        number, with_ruleset = REQUEST.unpack(request)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_worker(fds, with_ruleset, parent)
        for fd in fds:
            os.close(fd)
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = pid
        self._poll.register(pidfd, select.POLLIN)
        # The number tells the host which request this answers: it may have been interrupted.
        socket.send_fds(self._control, [ANSWER.pack(number, pid)], [pidfd])

    def _become_worker(self, fds: list[int], with_ruleset: bool, parent: int) -> None:
        # Descriptors of the zygote are closed by number in the child: detach, so that no
        # destructor closes a number that means something else by then.
        self._control.detach()
        child.main(fds, with_ruleset=with_ruleset, parent=parent)

    def _bury(self, pidfd: int) -> None:
        pid = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        os.write(EXITS_FD, EXIT.pack(pid, status))
