"""Whether this machine can give what is demanded: a level, processes of a plugin's own, devices."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module

import attrs

from nxkernel import _forks, _system
from nxkernel.errors import KernelConfigError, SandboxUnavailable
from nxkernel.settings import Grant, Limits, Sandbox
from nxkernel.types import Level

__all__ = [
    "CONFINING",
    "check_level",
    "check_machine",
    "load_walls",
    "processes_problem",
    "unconfined",
]

#: Levels that build walls; below them there are limits alone.
CONFINING = ("isolated", "confined")

#: Modules that a boot imports when it needs them.
_WALLS = ("cgroup", "check", "devices", "landlock", "namespaces", "policy", "probe")


def load_walls() -> None:
    """Import what builds the walls, with no fork of the application in between.

    A child that was forked in the middle of an import would wait for the end of it for ever.
    """
    if sys.platform == "linux":
        with _forks.whole():
            for name in _WALLS:
                import_module(f"nxkernel.host.sandbox.linux.{name}")


def check_level(sandbox: Sandbox, *, witnessed: bool = False) -> None:
    """Raise SandboxUnavailable unless the demanded level can be had.

    Only what is certain beforehand is decided here; a probe worker and then every worker
    witnesses its level itself. *witnessed*: it was seen to hold here before.
    """
    level = sandbox.level
    if level == "none":
        raise KernelConfigError(
            'Sandbox(require="none") would run every plugin in the host. Use '
            'require="process" for a separate process without confinement; to debug one '
            'plugin in this process, Hosting(inproc_allowlist={"its.id": "why"})'
        )
    if level in CONFINING and sys.platform != "linux":
        raise SandboxUnavailable(
            f"level {level} needs Linux; this is {sys.platform}. "
            'Sandbox(require="process") accepts a separate process without confinement',
            details={"guarantee": "landlock"},
        )
    if level == "isolated" and not witnessed:
        _check_namespaces()


def _check_namespaces() -> None:
    from nxkernel.host.sandbox.linux import namespaces, probe

    found = probe.namespaces_available()
    if not found.ok:
        raise namespaces.refused(found.step, found.errno)


def check_machine(level: Level, grant: Grant, *, fresh: bool = False, zygote: bool = True) -> None:
    """Raise SandboxUnavailable unless *level* can hold what *grant* lets a plugin do here.

    *fresh*: each of its calls is to have a process of its own; *zygote*: workers come from one.
    """
    if fresh and not (zygote and _system.current().zygote):
        raise SandboxUnavailable(
            f'state = "fresh" needs Linux and its zygote (this is {sys.platform}); '
            'write state = "warm" in the manifest',
            details={"guarantee": "processes", "errno": None},
        )
    if level in CONFINING and (grant.exec or fresh):
        problem = processes_problem(fresh=fresh)
        if problem is not None:
            raise problem
    if level == "isolated" and grant.devices:
        raise SandboxUnavailable(
            f"{grant.devices[0]} cannot be granted at level isolated, whose root has no "
            'devices; use Sandbox(require="confined") for this plugin',
            details={"guarantee": grant.devices[0], "errno": None},
        )


@cache
def _found_processes() -> tuple[bool, int | None]:
    from nxkernel.host.sandbox.linux import probe

    found = probe.processes_available()
    return found.ok, found.errno


def processes_problem(*, fresh: bool = False) -> SandboxUnavailable | None:
    """Return why this machine cannot hold a plugin's processes together, and their number.

    *fresh*: they are those of its calls, else the programs that it may start.
    """
    from nxkernel.host.sandbox.linux.namespaces import processes_refused

    ok, number = _found_processes()
    return None if ok else processes_refused(number, fresh=fresh)


@attrs.frozen
class _Unconfined:
    """Level ``process``: resource limits alone."""

    limits: Mapping[str, tuple[int, int]]
    ruleset_fd: int = -1
    program: bytes = b""
    root: None = None


def unconfined(limits: Limits) -> _Unconfined:
    """Return the confinement of level ``process``."""
    from nxkernel.host.sandbox.linux.policy import rlimits

    return _Unconfined(rlimits(limits))
