"""What each level denies, axis by axis, and what a denied attempt must meet.

An axis is denied only by an expected errno: a refusal for another reason proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from nxkernel.settings import LEVELS
from nxkernel.types import Level

__all__ = ["Axis", "axes"]


@attrs.frozen(kw_only=True)
class Axis:
    """One thing that a level denies, and what came of trying it."""

    name: str
    #: What holds it: ``landlock``, ``seccomp``, ``rlimit`` ...
    mechanism: str
    #: The attempt, in words.
    tried: str
    #: The errno that it met, or ``went through``.
    seen: str
    #: What it had to meet, any of these.
    expected: tuple[str, ...]
    #: Whether the level promises it.
    promised: bool

    @property
    def denied(self) -> bool:
        """Whether the attempt met what it had to."""
        return self.seen in self.expected


@attrs.frozen
class _Promise:
    """An axis before it was tried."""

    mechanism: str
    tried: str
    expected: tuple[str, ...]
    #: The weakest level that promises it.
    since: Level = "confined"


_FILES: Final = ("EACCES",)
#: In a root of its own most files of the host do not exist; the rest is read-only.
_NO_FILES: Final = ("ENOENT", "EROFS")
_SYSCALL: Final = ("EPERM", "ENOSYS", "EACCES")
_PROGRAM: Final = ("EPERM",)

_PROMISES: Final[Mapping[str, _Promise]] = {
    "kernel.bpf": _Promise("seccomp", "load a BPF program", _SYSCALL),
    "kernel.io_uring": _Promise("seccomp", "set up io_uring", _SYSCALL),
    "kernel.mount": _Promise("seccomp", "mount a file system", _SYSCALL),
    "kernel.userns": _Promise("seccomp", "enter a new user namespace", _SYSCALL),
    "leak.descriptors": _Promise(
        "close_range", "find an inherited descriptor", ("none",), "process"
    ),
    "leak.environment": _Promise(
        "own environment", "read a variable of the host", ("absent",), "process"
    ),
    "leak.files": _Promise(
        "own root", "ask whether a file of the host exists", ("absent",), "isolated"
    ),
    "leak.hostname": _Promise(
        "uts namespace", "ask for the name of the machine", ("another",), "isolated"
    ),
    "leak.processes": _Promise(
        "pid namespace", "learn the number of a host's process", ("none",), "isolated"
    ),
    "limit.files": _Promise("rlimit", "open 5000 files", ("EMFILE",), "process"),
    "limit.memory": _Promise("rlimit", "map 16 GiB", ("ENOMEM",), "process"),
    "limit.scratch": _Promise(
        "tmpfs", "reserve 96 MiB in its temporary folder", ("ENOSPC",), "isolated"
    ),
    "network.listen": _Promise("seccomp", "listen on a TCP port", _SYSCALL),
    "network.tcp": _Promise("seccomp", "connect to a listener of the host", _SYSCALL),
    "network.udp": _Promise("seccomp", "send a datagram to the host", _SYSCALL),
    "network.unix": _Promise("seccomp", "connect to a UNIX socket of the host", _SYSCALL),
    "privilege.capabilities": _Promise("capset", "hold any capability", ("none",)),
    "process.environ": _Promise("landlock", "read the host's environment in /proc", _FILES),
    "process.exec": _Promise("seccomp", "execute a program", _PROGRAM),
    "process.fork": _Promise("seccomp", "fork", _SYSCALL),
    "process.limits": _Promise("seccomp", "touch the host's resource limits", _SYSCALL),
    "process.signal": _Promise("seccomp", "signal the host", _SYSCALL),
    "process.trace": _Promise("seccomp", "trace the host", _SYSCALL),
    "read.list": _Promise("landlock", "list /", _FILES),
    "read.passwd": _Promise("landlock", "read /etc/passwd", _FILES),
    "read.secret": _Promise("landlock", "read a file of the host", _FILES),
    "write.code": _Promise("landlock", "append to its own code", _FILES),
    "write.create": _Promise("landlock", "create a file beside the host's", _FILES),
    "write.link": _Promise("landlock", "plant a symbolic link", _FILES),
    "write.mode": _Promise("seccomp", "change the mode of a host's file", _SYSCALL),
    "write.own": _Promise(
        "control", "write in its own run directory", ("went through",), "process"
    ),
    "write.truncate": _Promise("landlock", "truncate a file of the host", _FILES),
}


def axes(level: Level, seen: Mapping[str, str]) -> tuple[Axis, ...]:
    """Hold what a probe at *level* has *seen*, attempt -> errno, against every promise."""
    return tuple(
        Axis(
            name=name,
            mechanism=promise.mechanism,
            tried=promise.tried,
            seen=seen.get(name, "not tried"),
            expected=_expected(name, promise, level),
            promised=LEVELS.index(level) <= LEVELS.index(promise.since),
        )
        for name, promise in _PROMISES.items()
    )


def _expected(name: str, promise: _Promise, level: Level) -> tuple[str, ...]:
    of_files = name.startswith(("process.environ", "read.", "write.")) and name != "write.own"
    if level != "isolated" or not of_files:
        return promise.expected
    return tuple(sorted({*promise.expected, *_NO_FILES}))
