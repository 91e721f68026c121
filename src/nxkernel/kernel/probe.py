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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

import nxkernel
from nxkernel._temporary import temporary
from nxkernel.errors import KernelConfigError, NxError
from nxkernel.hookspecs import HookspecMarker
from nxkernel.kernel.axes import Axis, axes
from nxkernel.kernel.core import Kernel
from nxkernel.kernel.machine import processes_problem
from nxkernel.plugins.discovery import discover
from nxkernel.run import Run
from nxkernel.settings import Sandbox
from nxkernel.types import Level

__all__ = ["Axis", "ProbeReport", "machine_facts", "probe"]

_PROJECT = "nxkernel_probe"
_MARKER = "NXKERNEL_PROBE_MARKER"
_hookspec = HookspecMarker(_PROJECT)


class _Specs:
    @_hookspec(firstresult=True, timeout=30)
    def witness(self, facts: dict[str, Any]) -> dict[str, str]:
        """Try everything once and return what each attempt met."""
        raise AssertionError("a hookspec is not called")


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
    #: The guarantee that it lacks, and the errno of the step that was refused, where there are any.
    guarantee: str = ""
    errno: int | None = None
    next_step: str = ""
    #: What the level holds without and would hold better with.
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain data for ``--json``."""
        axes = [{**attrs.asdict(axis), "denied": axis.denied} for axis in self.axes]
        return {**attrs.asdict(self), "axes": axes}


def probe(level: Level = "confined") -> ProbeReport:
    """Start a probe worker at *level* and try each axis for real.

    Takes about half a second. Never raises for a level that cannot be had: the report says what is
    missing.
    """
    with temporary("probe") as folder:
        try:
            seen = _witness(level, folder)
        except NxError as error:
            return ProbeReport(
                level=level,
                ok=False,
                axes=(),
                machine=machine_facts(),
                missing=error.message,
                guarantee=str(error.details.get("guarantee", "")),
                errno=error.details.get("errno"),
                next_step=_advice(level),
            )
    return _report(level, seen)


def _report(level: Level, seen: Mapping[str, str]) -> ProbeReport:
    tried, machine = axes(level, seen), machine_facts()
    open_axes = [axis.name for axis in tried if axis.promised and not axis.denied]
    return ProbeReport(
        level=level,
        ok=not open_axes,
        axes=tried,
        machine=machine,
        missing="a promised axis was not denied: " + ", ".join(open_axes) if open_axes else None,
        guarantee=open_axes[0] if open_axes else "",
        next_step=_advice(level) if open_axes else "",
        warnings=_warnings(machine),
    )


def _warnings(machine: Mapping[str, Any]) -> tuple[str, ...]:
    if machine.get("cgroup", "delegated").startswith("delegated"):
        return ()
    return (
        "no control group is delegated to this user: memory is limited kind by kind, by rlimits, "
        "and nothing counts all of it; `systemd-run --user --scope -p Delegate=yes` gives a group",
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


def _bind(unix: socket.socket, place: Path) -> None:
    try:
        unix.bind(str(place))
    except OSError as error:
        # Python's own word for a path that is too long has no errno.
        raise KernelConfigError(
            "the probe cannot put a socket into the temporary folder: "
            f"{error.strerror or error}; set TMPDIR to a folder with a shorter name"
        ) from None


@contextlib.contextmanager
def _targets(folder: Path) -> Iterator[dict[str, Any]]:
    """Put up what the probe tries to reach."""
    secret = folder / "secret"
    secret.write_text("nobody reads this")
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        if sys.platform != "win32":
            unix = stack.enter_context(socket.socket(socket.AF_UNIX))
            _bind(unix, folder / "socket")
            unix.listen()
        os.environ[_MARKER] = "1"
        stack.callback(os.environ.pop, _MARKER, None)
        yield {
            "host_pid": os.getpid(),
            "marker": _MARKER,
            "hostname": socket.gethostname(),
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
        facts["cgroup"] = _cgroup()
        facts["fresh_state"] = _fresh_state()
    return facts


def _cgroup() -> str:
    from nxkernel.host.sandbox.linux.cgroup import cgroup_delegated

    found = cgroup_delegated()
    return f"delegated, version {found.value}" if found.ok else f"not delegated: {found.detail}"


def _fresh_state() -> str:
    """Whether the calls of a plugin can have processes of their own at a level with walls."""
    problem = processes_problem(fresh=True)
    return "available" if problem is None else f"not available: {problem.message}"


def _has_fts5() -> bool:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        options = {row[0] for row in connection.execute("PRAGMA compile_options")}
    return "ENABLE_FTS5" in options


def _advice(level: Level) -> str:
    if level == "isolated":
        return 'allow user namespaces, or require "confined", which needs none'
    return (
        "use Linux 6.2 or newer with Landlock and seccomp switched on; in a container, allow both. "
        'Sandbox(require="process") accepts a separate process without confinement'
    )
