"""Witnessing a level: a probe worker tries each axis for real, and nothing is inferred.

The attempts are a plugin (``witness/``), run by an ordinary kernel at the level in question; the
host side offers real targets: a secret file, listeners, an environment variable. Where a level
promises nothing about an axis, the axis is shown and not counted.
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

import nxkernel
from nxkernel.errors import NxError
from nxkernel.hookspecs import HookspecMarker
from nxkernel.kernel.core import Kernel
from nxkernel.plugins.discovery import discover
from nxkernel.run import Run
from nxkernel.settings import Sandbox
from nxkernel.types import Level

__all__ = ["Axis", "ProbeReport", "probe"]

_PROJECT = "nxkernel_probe"
_MARKER = "NXKERNEL_PROBE_MARKER"
_hookspec = HookspecMarker(_PROJECT)


class _Specs:
    @_hookspec(firstresult=True, timeout=30)
    def witness(self, facts: dict[str, Any]) -> dict[str, str]:
        """Try everything once and return what each attempt met."""
        raise AssertionError("a hookspec is not called")


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


@attrs.frozen(kw_only=True)
class ProbeReport:
    """What a probe worker saw at one level."""

    level: Level
    #: Whether every promised axis was witnessed.
    ok: bool
    axes: tuple[Axis, ...]
    #: Facts of the machine: kernel, Landlock ABI, interpreter, SQLite.
    machine: dict[str, Any]
    #: Why the level cannot be had, or None.
    missing: str | None = None
    next_step: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain data for ``--json``."""
        axes = [{**attrs.asdict(axis), "denied": axis.denied} for axis in self.axes]
        return {**attrs.asdict(self), "axes": axes}


_FILES = ("EACCES",)
_SYSCALL = ("EPERM", "ENOSYS", "EACCES")
_PROGRAM = ("EPERM",)
#: attempt -> (mechanism, words, what it must meet, promised below ``confined`` as well)
_AXES: dict[str, tuple[str, str, tuple[str, ...], bool]] = {
    "kernel.bpf": ("seccomp", "load a BPF program", _SYSCALL, False),
    "kernel.io_uring": ("seccomp", "set up io_uring", _SYSCALL, False),
    "kernel.mount": ("seccomp", "mount a file system", _SYSCALL, False),
    "kernel.userns": ("seccomp", "enter a new user namespace", _SYSCALL, False),
    "leak.descriptors": ("close_range", "find an inherited descriptor", ("none",), True),
    "leak.environment": ("own environment", "read a variable of the host", ("absent",), True),
    "limit.files": ("rlimit", "open 5000 files", ("EMFILE",), True),
    "limit.memory": ("rlimit", "map 16 GiB", ("ENOMEM",), True),
    "network.listen": ("seccomp", "listen on a TCP port", _SYSCALL, False),
    "network.tcp": ("seccomp", "connect to a listener of the host", _SYSCALL, False),
    "network.udp": ("seccomp", "send a datagram to the host", _SYSCALL, False),
    "network.unix": ("seccomp", "connect to a UNIX socket of the host", _SYSCALL, False),
    "privilege.capabilities": ("capset", "hold any capability", ("none",), False),
    "process.environ": ("landlock", "read the host's environment in /proc", _FILES, False),
    "process.exec": ("seccomp", "execute a program", _PROGRAM, False),
    "process.fork": ("seccomp", "fork", _SYSCALL, False),
    "process.limits": ("seccomp", "touch the host's resource limits", _SYSCALL, False),
    "process.signal": ("seccomp", "signal the host", _SYSCALL, False),
    "process.trace": ("seccomp", "trace the host", _SYSCALL, False),
    "read.list": ("landlock", "list /", _FILES, False),
    "read.passwd": ("landlock", "read /etc/passwd", _FILES, False),
    "read.secret": ("landlock", "read a file of the host", _FILES, False),
    "write.code": ("landlock", "append to its own code", _FILES, False),
    "write.create": ("landlock", "create a file beside the host's", _FILES, False),
    "write.link": ("landlock", "plant a symbolic link", _FILES, False),
    "write.mode": ("seccomp", "change the mode of a host's file", _SYSCALL, False),
    "write.own": ("control", "write in its own run directory", ("went through",), True),
    "write.truncate": ("landlock", "truncate a file of the host", _FILES, False),
}


def probe(level: Level = "confined") -> ProbeReport:
    """Start a probe worker at *level* and try each axis for real.

    Takes about half a second. Never raises for a level that cannot be had: the report says what is
    missing.
    """
    with tempfile.TemporaryDirectory(prefix="nxkernel-probe-") as folder:
        try:
            seen = _witness(level, Path(folder))
        except NxError as error:
            return ProbeReport(
                level=level,
                ok=False,
                axes=(),
                machine=machine_facts(),
                missing=error.message,
                next_step=_advice(level),
            )
    axes = tuple(_axis(name, level, seen) for name in _AXES)
    ok = all(axis.denied for axis in axes if axis.promised)
    return ProbeReport(
        level=level,
        ok=ok,
        axes=axes,
        machine=machine_facts(),
        missing=None if ok else "a promised axis was not denied",
        next_step="" if ok else _advice(level),
    )


def _axis(name: str, level: Level, seen: dict[str, str]) -> Axis:
    mechanism, tried, expected, everywhere = _AXES[name]
    return Axis(
        name=name,
        mechanism=mechanism,
        tried=tried,
        seen=seen.get(name, "not tried"),
        expected=expected,
        promised=everywhere or level != "process",
    )


def _witness(level: Level, folder: Path) -> dict[str, str]:
    run = Run.create(folder / "data")
    plugin = Path(nxkernel.__file__).parent / "witness"
    with _targets(folder) as facts:
        kernel = Kernel(
            _PROJECT,
            specs=[_Specs],
            run=run,
            plugins=discover(plugin),
            middleware=[],
            sandbox=Sandbox(require=level),
            required=["nxkernel.witness"],
        )
        with kernel:
            result = kernel.call("witness", facts=facts)
    seen: dict[str, str] = result.unwrap()
    return seen


@contextlib.contextmanager
def _targets(folder: Path) -> Iterator[dict[str, Any]]:
    """Put up what the probe tries to reach."""
    secret = folder / "secret"
    secret.write_text("nobody reads this")
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(folder / "socket"))
        unix.listen()
        os.environ[_MARKER] = "1"
        stack.callback(os.environ.pop, _MARKER, None)
        yield {
            "host_pid": os.getpid(),
            "marker": _MARKER,
            "secret": str(secret),
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "unix": str(folder / "socket"),
        }


def machine_facts() -> dict[str, Any]:
    """Return what ``doctor`` says about the machine, apart from what is witnessed."""
    facts: dict[str, Any] = {
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "sqlite_fts5": _has_fts5(),
    }
    if sys.platform == "linux":
        from nxkernel.host.sandbox.linux import landlock

        facts["landlock_abi"] = landlock.abi()
    return facts


def _has_fts5() -> bool:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        options = {row[0] for row in connection.execute("PRAGMA compile_options")}
    return "ENABLE_FTS5" in options


def _advice(level: Level) -> str:
    if level == "isolated":
        return 'this version has no level isolated; require "confined"'
    return (
        "use Linux 6.2 or newer with Landlock and seccomp switched on; in a container, allow both. "
        'Sandbox(require="process") accepts a separate process without confinement'
    )
