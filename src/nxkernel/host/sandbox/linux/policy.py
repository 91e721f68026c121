"""Turn a plan, what one worker may reach, into what its process has to apply.

The host builds everything that takes time or knowledge of paths; the worker makes about fifteen
system calls with the result.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn

import attrs

from nxkernel._linux import unsupported_machine
from nxkernel.errors import KernelConfigError, SandboxUnavailable
from nxkernel.host.sandbox.linux import landlock
from nxkernel.host.sandbox.linux.landlock import FsRules, TcpPorts
from nxkernel.host.sandbox.linux.namespaces import RootView, root_view
from nxkernel.host.sandbox.linux.paths import is_below, outermost
from nxkernel.host.sandbox.linux.programs import needed
from nxkernel.host.sandbox.linux.seccomp import filter_program
from nxkernel.settings import Limits

__all__ = [
    "Confinement",
    "ConfinementPlan",
    "build",
    "call_filter",
    "default_read_paths",
    "rlimits",
    "validate",
]

_MIB: Final = 1024 * 1024
#: Of addresses, in bytes: as many as a process can have.
_WIDEST: Final = 1 << 47
#: Of /dev, what a worker may have: no state, no effect on anything else.
DEVICES: Final = ("/dev/null", "/dev/urandom", "/dev/zero")
#: Of those, what gives random numbers.
RANDOM: Final = frozenset({"/dev/urandom"})
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
    #: Programs that may be started; any makes the worker one with processes of its own.
    execute: tuple[str, ...] = ()
    #: Device files, by `nodes_of`: graphics, and input devices to read.
    devices: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    #: Of the above, those that may be missing.
    optional: frozenset[str] = frozenset()
    #: The host's own files (audit log, store): no writable path may contain or lie in one.
    protected: tuple[str, ...] = ()
    #: TCP ports, 1 to 65535, of any machine.
    connect_tcp: tuple[int, ...] = ()
    bind_tcp: tuple[int, ...] = ()
    limits: Limits = attrs.field(factory=Limits)
    #: Whether it is the template of a plugin with fresh state, which forks its calls.
    template: bool = False
    #: Whether the worker gets a root of its own, as level `isolated` has it.
    own_root: bool = False
    #: What `default_read_paths` says, where the caller has asked already; else it is asked.
    library: tuple[str, ...] = ()
    #: With a root of its own: folders below `write` that become one file system in memory.
    scratch: tuple[str, ...] = ()
    #: Whether the system's random numbers may be had: its device, and the call.
    entropy: bool = True
    #: Other names of granted paths, perhaps through symbolic links that the root then has as well.
    names: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Confinement:
    """What a worker applies to itself; it serves any number of workers with the same plan."""

    #: Landlock ruleset: passed as a descriptor, closed by `close`.
    ruleset_fd: int
    #: Seccomp filter; the worker patches its own pid in.
    program: bytes
    #: Name after RLIMIT_ -> (soft, hard).
    limits: Mapping[str, tuple[int, int]]
    #: What is in the worker's own root, or None where it sees the host's.
    root: RootView | None = None

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
        FsRules(
            read=_readable(plan),
            write=plan.write,
            execute=_executable(plan),
            devices=plan.devices,
            inputs=plan.inputs,
            optional=plan.optional,
        ),
        TcpPorts(connect=plan.connect_tcp, bind=plan.bind_tcp),
    )
    return Confinement(
        ruleset_fd=ruleset,
        program=filter_program(
            connect=bool(plan.connect_tcp),
            bind=bool(plan.bind_tcp),
            processes=bool(plan.execute),
            template=plan.template,
            drivers=_drivers(plan),
            entropy=plan.entropy,
        ),
        limits=_limits(plan),
        root=_root(plan) if plan.own_root else None,
    )


def call_filter(plan: ConfinementPlan) -> bytes:
    """Return the filter that each call of a *template* stacks: that of a worker with its grants."""
    return filter_program(
        connect=bool(plan.connect_tcp),
        bind=bool(plan.bind_tcp),
        drivers=_drivers(plan),
        entropy=plan.entropy,
    )


def _readable(plan: ConfinementPlan) -> tuple[str, ...]:
    read = (*plan.code, *plan.read)
    return read if plan.entropy else tuple(path for path in read if path not in RANDOM)


def _drivers(plan: ConfinementPlan) -> tuple[str, ...]:
    kinds = {"gpu": plan.devices, "raw_input": plan.inputs}
    return tuple(kind for kind, nodes in sorted(kinds.items()) if nodes)


def _limits(plan: ConfinementPlan) -> dict[str, tuple[int, int]]:
    limits = rlimits(plan.limits)
    if plan.devices:
        # A driver of graphics reserves addresses for all memory that there is.
        limits["AS"] = (_WIDEST, _WIDEST)
    return limits


def _executable(plan: ConfinementPlan) -> tuple[str, ...]:
    names = (name for program in plan.execute for name in needed(program))
    return tuple(sorted({os.path.realpath(name) for name in names}))


def _root(plan: ConfinementPlan) -> RootView:
    return root_view(
        read=(*_readable(plan), *_executable(plan)),
        write=plan.write,
        names=(
            *_library_names(),
            *plan.names,
            *(name for each in plan.execute for name in needed(each)),
        ),
        scratch=plan.scratch,
        scratch_mb=plan.limits.scratch_mb,
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


def default_read_paths(
    site_dirs: Iterable[str] = (), interpreter: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Return what any Python code needs to read: resolved, existing, none below another.

    The libraries of the *interpreter*, by default those of the base interpreter of this process;
    *site_dirs*, the files of the dynamic loader, the time zones, and the devices null (writable),
    urandom and zero.
    """
    libraries = _own_libraries() if interpreter is None else interpreter
    wanted = [*libraries, *site_dirs, *_SYSTEM, *_ZONES, *DEVICES]
    return outermost(os.path.realpath(path) for path in wanted if os.path.exists(path))


def _library_names() -> list[str]:
    """Return the paths by which the interpreter and its loader ask for their files."""
    return [*_own_libraries(), *_SYSTEM, *_ZONES]


def _own_libraries() -> list[str]:
    names = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    folders = {os.path.join(sys.base_prefix, folder) for folder in ("lib", sys.platlibdir)}
    return [*names, *sorted(folders)]


def validate(plan: ConfinementPlan) -> None:
    """Refuse what must never be granted. Raises KernelConfigError, naming field and path."""
    for name in ("code", "read", "write", "execute"):
        for path in getattr(plan, name):
            _validate_path(name, path)
    imported = (*plan.code, *(plan.library or default_read_paths())) if plan.write else ()
    for path in plan.write:
        _validate_write(path, imported, "code that workers import")
        _validate_write(path, plan.protected, "the host's own files")
    for name in ("connect_tcp", "bind_tcp"):
        for port in getattr(plan, name):
            if not 1 <= port <= 65535:
                _refuse(name, port, "a TCP port is 1 to 65535")


@lru_cache(maxsize=1024)  # Nothing but its text decides, and most paths are those of all plugins.
def _validate_path(name: str, path: str) -> None:
    # POSIX keeps two leading slashes apart from one, and so does normpath: //proc is /proc here.
    plain = os.path.isabs(path) and os.path.normpath(path) == path and path[:2] != "//"
    if not plain or "\0" in path:
        _refuse(name, path, "grant an absolute path without `.`, `..` or a final slash")
    if path == "/":
        _refuse(name, path, "it would open every file of the machine; grant the folder itself")
    if is_below(path, _CLOSED) and (path not in DEVICES or name == "write"):
        _refuse(name, path, "processes, kernel settings and devices are never granted")


def _validate_write(path: str, closed: Iterable[str], what: str) -> None:
    inside = path + "/"
    for other in closed:
        # `is_below` both ways, for as many as there are of them.
        if path == other or path.startswith(other + "/") or other.startswith(inside):
            _refuse("write", path, f"it overlaps {other}: {what}; write to a folder of its own")


def _refuse(name: str, value: object, reason: str) -> NoReturn:
    raise KernelConfigError(
        f"cannot grant {name} {value}: {reason}", details={"field": name, "value": value}
    )
