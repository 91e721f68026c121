"""A host that takes this system for Windows, with stand-ins for what only Windows has.

Run as ``python -m tests.support.windows_host DATA``. Modules that Windows lacks cannot be imported
here, and what its ``os``, ``signal``, ``select`` and ``socket`` lack is gone. The workers are real,
and know nothing of it. Says what it saw in one line of JSON.
"""

# The order of the imports is the point: what the standard library and others need of this system
# they have before it is taken away.

from __future__ import annotations

import asyncio
import base64
import fcntl
import importlib.abc
import json
import logging.handlers
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import cattrs.preconf.json
import jsonschema
import msgspec
import platformdirs
import pluggy
import psutil
import tomlkit

#: Imported above for what they load, not for their names.
LOADED = (asyncio, attrs, cattrs, jsonschema, logging, msgspec, platformdirs, pluggy, tomlkit)
NO_MODULES = frozenset(
    ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")
)
GONE = {
    os: "O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_PATH fork register_at_fork eventfd eventfd_write "
    "eventfd_read pidfd_open waitid WNOWAIT geteuid getuid getegid getgid fchmod set_blocking "
    "setsid openpty sched_getaffinity uname",
    signal: "SIGKILL SIGCHLD SIGXCPU SIGHUP SIGSTOP pthread_sigmask pthread_kill setitimer "
    "SIG_SETMASK pidfd_send_signal",
    select: "poll epoll",
    socket: "AF_UNIX SOCK_SEQPACKET send_fds recv_fds SCM_RIGHTS",
}


class NoModules(importlib.abc.MetaPathFinder):
    """Finds none of the modules that Windows lacks."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname in NO_MODULES:
            raise ModuleNotFoundError(f"no module named {fullname!r} on Windows", name=fullname)


def locking(fd: int, mode: int, size: int) -> None:
    """``msvcrt.locking``: never waits, and fails with an OSError."""
    assert size == 1
    assert os.lseek(fd, 0, os.SEEK_CUR) == 1 << 40, "the same place for everybody"
    flock(fd, 8 if mode == 0 else 2 | 4)


def share(self: socket.socket, pid: int) -> bytes:
    """``socket.share``: four digits of base64, which the worker reads as its descriptor."""
    assert pid in {child.pid for child in psutil.Process().children()}
    return base64.b64decode(f"{self.fileno():04}")


class Inheriting(subprocess.Popen[bytes]):
    """Lets a child inherit sockets, because no share of one can be had here."""

    def __init__(
        self, command: Sequence[str], *, creationflags: int | None = None, **options: Any
    ) -> None:
        if creationflags is None:  # Python 3.13 asks Windows for its version in this way.
            raise OSError("there is no such command here")
        assert creationflags == 0x08000000 | 0x00000200
        super().__init__(command, close_fds=False, **options)


flock = fcntl.flock
FAMILY = socket.AF_UNIX
sysconfig.get_config_vars()  # kept for the next time


def become_windows() -> None:
    """Take away what Windows lacks, put up stand-ins for what it has."""
    for name in NO_MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, NoModules())
    for module, names in GONE.items():
        for name in names.split():
            delattr(module, name)
    msvcrt: Any = types.ModuleType("msvcrt")
    msvcrt.locking, msvcrt.LK_UNLCK, msvcrt.LK_NBLCK = locking, 0, 2
    sys.modules["msvcrt"] = msvcrt
    pair = socket.socketpair  # of a family that Windows lacks; there it is made of TCP

    def inheritable() -> tuple[socket.socket, socket.socket]:
        ours, theirs = pair(FAMILY)
        theirs.set_inheritable(True)
        return ours, theirs

    stand_ins: dict[Any, dict[str, Any]] = {
        socket: {"socketpair": inheritable},
        socket.socket: {"share": share},
        subprocess: {
            "Popen": Inheriting,
            "CREATE_NO_WINDOW": 0x08000000,
            "CREATE_NEW_PROCESS_GROUP": 0x00000200,
        },
        sys: {"platform": "win32"},
    }
    for thing, attributes in stand_ins.items():
        for name, value in attributes.items():
            setattr(thing, name, value)


def main(data: Path) -> None:
    """Run a kernel on Windows' ways, and say what became of it."""
    become_windows()
    import nxkernel as nx
    from nxkernel import _system
    from nxkernel._system import jobs
    from nxkernel.audit.verification import verify
    from tests.support.fake_kernel32 import FakeKernel32
    from tests.support.zoo import Zoo, code_of, eventually, patient

    for name in nx.__all__:
        getattr(nx, name)
    api = FakeKernel32()
    jobs.kernel32 = lambda: api  # type: ignore[assignment,return-value]
    try:
        patient(data / "c", "prints").__enter__()
    except nx.SandboxUnavailable as error:
        refusal = str(error)
    options = {"sandbox": nx.Sandbox(require="process")}
    with patient(data / "p", "prints", "dies", "sleeps", "asks.a", **options) as kernel:
        zoo = Zoo(kernel)
        value = zoo.act("prints", "x").value
        eventually(lambda: "logged" in zoo.log("prints"), "the log is read")
        codes = [
            code_of(zoo.act("dies", "exit")),
            code_of(zoo.act("sleeps", 3600, timeout=0.3)),
            code_of(asyncio.run(kernel.options(only={"prints"}).acall("echo", value=1))[0]),
        ]
        said = {
            "system": _system.current().name,
            "refusal": refusal,
            "value": value,
            "codes": codes,
            "answers": zoo.answers("dies") and zoo.answers("sleeps"),
            "jobs": [len(job.processes) for job in api.jobs.values()],
        }
    said["left"] = [*api.jobs, *(child.pid for child in psutil.Process().children())]
    said["verified"] = verify(kernel.run.audit_log.path).ok
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
