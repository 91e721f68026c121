"""Turn a plan, what one worker may reach, into what its process has to apply.

The host builds everything that takes time or knowledge of paths; the worker makes about fifteen
system calls with the result.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

import attrs

from nxkernel._linux import unsupported_machine
from nxkernel.errors import KernelConfigError, SandboxUnavailable
from nxkernel.host.sandbox.linux import landlock
from nxkernel.host.sandbox.linux.landlock import FsRules, TcpPorts
from nxkernel.host.sandbox.linux.seccomp import filter_program
from nxkernel.settings import Limits

__all__ = ["Confinement", "ConfinementPlan", "build", "default_read_paths", "rlimits", "validate"]

_MIB: Final = 1024 * 1024
#: Of /dev, what a worker may have: no state, no effect on anything else.
DEVICES: Final = ("/dev/null", "/dev/urandom", "/dev/zero")
#: Never granted, and nothing below them: other processes, the kernel's switches, hardware.
_CLOSED: Final = ("/proc", "/sys", "/dev")
#: Where a dynamic loader looks on Linux distributions, and the time zones.
_SYSTEM: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
_ZONES: Final = ("/usr/share/zoneinfo",)


@attrs.frozen(kw_only=True)
class ConfinementPlan:
    """What one worker may reach. Paths are absolute, normal and free of symbolic links."""

    #: Code: readable, and neither inside nor around anything that may be written.
    code: tuple[str, ...] = ()
    #: Data that may be read.
    read: tuple[str, ...] = ()
    #: Directories, or single files, that may be written; they may lie below a path of `read`.
    write: tuple[str, ...] = ()
    #: Of the above, those that may be missing.
    optional: frozenset[str] = frozenset()
    #: The host's own files (audit log, store): no writable path may contain or lie in one.
    protected: tuple[str, ...] = ()
    #: TCP ports, 1 to 65535, of any machine.
    connect_tcp: tuple[int, ...] = ()
    bind_tcp: tuple[int, ...] = ()
    limits: Limits = attrs.field(factory=Limits)


@attrs.frozen(kw_only=True)
class Confinement:
    """What a worker applies to itself; it serves any number of workers with the same plan."""

    #: Landlock ruleset: passed as a descriptor, closed by `close`.
    ruleset_fd: int
    #: Seccomp filter; the worker patches its own pid in.
    program: bytes
    #: Name after RLIMIT_ -> (soft, hard).
    limits: Mapping[str, tuple[int, int]]

    def message(self) -> dict[str, Any]:
        """Return everything but the descriptor: `program` as bytes, `limits` as a plain dict."""
        return {"program": self.program, "limits": dict(sorted(self.limits.items()))}

    def close(self) -> None:
        """Close the ruleset's descriptor; workers that already applied it keep their walls."""
        os.close(self.ruleset_fd)


def build(plan: ConfinementPlan) -> Confinement:
    """Return the confinement of *plan*.

    Raises:
        KernelConfigError: a path or a port that must not be granted.
        SandboxUnavailable: this machine cannot confine, or a granted path does not exist.
    """
    reason = unsupported_machine()
    if reason is not None:
        raise SandboxUnavailable(reason, details={"guarantee": "machine"})
    validate(plan)
    ruleset = landlock.build_ruleset(
        FsRules(read=(*plan.code, *plan.read), write=plan.write, optional=plan.optional),
        TcpPorts(connect=plan.connect_tcp, bind=plan.bind_tcp),
    )
    return Confinement(
        ruleset_fd=ruleset,
        program=filter_program(connect=bool(plan.connect_tcp), bind=bool(plan.bind_tcp)),
        limits=rlimits(plan.limits),
    )


def rlimits(limits: Limits) -> dict[str, tuple[int, int]]:
    """Return the resource limits of a worker, soft and hard alike, in the kernel's units.

    DATA bounds private writable memory and with it the number of threads, by their stacks. AS is
    wide: it only catches shared anonymous memory, which DATA does not count. SIGPENDING, MSGQUEUE
    and MEMLOCK draw on budgets that the host's user shares. Left out on purpose: CPU, which adds up
    over a worker's life (the host moves the soft limit before each call), and NPROC, which counts
    every thread of the user on the machine and does not bind uid 0; fork is refused by seccomp.
    """
    sizes = {
        "AS": 8 * 1024 * _MIB,
        "CORE": 0,
        "DATA": limits.memory_mb * _MIB,
        "FSIZE": limits.file_size_mb * _MIB,
        "MEMLOCK": 64 * 1024,
        "MSGQUEUE": 0,
        "NOFILE": limits.open_files,
        "SIGPENDING": 64,
        "STACK": 8 * _MIB,
    }
    return {name: (size, size) for name, size in sizes.items()}


def default_read_paths(site_dirs: Iterable[str] = ()) -> tuple[str, ...]:
    """Return what any Python code needs to read: resolved, existing, none below another.

    The standard library and the libraries of the base interpreter, *site_dirs*, the files of the
    dynamic loader, the time zones, and the devices null (writable), urandom and zero.
    """
    names = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
    libraries = {os.path.join(sys.base_prefix, folder) for folder in ("lib", sys.platlibdir)}
    wanted = [*names, *libraries, *site_dirs, *_SYSTEM, *_ZONES, *DEVICES]
    return _outermost(os.path.realpath(path) for path in wanted if os.path.exists(path))


def validate(plan: ConfinementPlan) -> None:
    """Refuse what must never be granted. Raises KernelConfigError, naming field and path."""
    for name in ("code", "read", "write"):
        for path in getattr(plan, name):
            _validate_path(name, path)
    for path in plan.write:
        _validate_write(path, (*plan.code, *default_read_paths()), "code that workers import")
        _validate_write(path, plan.protected, "the host's own files")
    for name in ("connect_tcp", "bind_tcp"):
        for port in getattr(plan, name):
            if not 1 <= port <= 65535:
                _refuse(name, port, "a TCP port is 1 to 65535")


def _validate_path(name: str, path: str) -> None:
    # POSIX keeps two leading slashes apart from one, and so does normpath: //proc is /proc here.
    plain = os.path.isabs(path) and os.path.normpath(path) == path and path[:2] != "//"
    if not plain or "\0" in path:
        _refuse(name, path, "grant an absolute path without `.`, `..` or a final slash")
    if path == "/":
        _refuse(name, path, "it would open every file of the machine; grant the folder itself")
    if _is_below(path, _CLOSED) and (path not in DEVICES or name == "write"):
        _refuse(name, path, "processes, kernel settings and devices are never granted")


def _validate_write(path: str, closed: Iterable[str], what: str) -> None:
    for other in closed:
        if _is_below(path, (other,)) or _is_below(other, (path,)):
            _refuse("write", path, f"it overlaps {other}: {what}; write to a folder of its own")


def _refuse(name: str, value: object, reason: str) -> NoReturn:
    raise KernelConfigError(
        f"cannot grant {name} {value}: {reason}", details={"field": name, "value": value}
    )


def _is_below(path: str, folders: Iterable[str]) -> bool:
    """Say whether *path* is one of *folders* or inside one."""
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for path in sorted(set(paths)):  # a folder sorts before what it contains
        if not _is_below(path, kept):
            kept.append(path)
    return tuple(kept)
