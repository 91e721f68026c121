"""Try what the levels `confined` and `isolated` need, really, each in a process of its own.

A probe restricts the process that runs it for good, so it never runs in the host; and it never
infers from versions, because containers and boot options take away what a version promises. The
process is made by exec: a fork of a threaded host could stop dead.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import Final

import attrs

import nxkernel._linux
from nxkernel._linux import unsupported_machine

__all__ = [
    "Probe",
    "landlock_abi",
    "namespaces_available",
    "processes_available",
    "seccomp_available",
]

_CHILD: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_probe_child.py")
_LINUX: Final = os.path.abspath(nxkernel._linux.__file__)
_ENOUGH_SECONDS: Final = 60.0
#: Where the loader finds the library of an interpreter that does not name the place itself. All
#: that a probe is given of this process's environment, which may hold secrets.
_LOADER: Final = "LD_LIBRARY_PATH"


@attrs.frozen(kw_only=True)
class Probe:
    """What came of one attempt."""

    name: str
    ok: bool
    #: For Landlock its ABI, for seccomp 0 or 1, for namespaces their number.
    value: int = 0
    #: Of the step that failed, or None.
    errno: int | None = None
    #: One sentence for people, the same for the same cause: the step that failed, and how.
    detail: str = ""

    @property
    def step(self) -> str:
        """The system call or the path at which it failed, or nothing."""
        return self.detail.partition(":")[0]


def landlock_abi() -> Probe:
    """Apply an empty Landlock ruleset in a new process and see that "/" cannot be listed.

    `value` is the ABI version, 0 where Landlock is absent or does not hold.
    """
    return _try("landlock")


def seccomp_available() -> Probe:
    """Load a filter that refuses one call in a new process and see that it is refused."""
    return _try("seccomp")


def namespaces_available() -> Probe:
    """Enter namespaces and a root of its own in a new process, to the last step.

    Some machines allow the first step and refuse a later one: nothing is inferred.
    """
    return _try("namespaces")


def processes_available() -> Probe:
    """Begin a pid namespace in a new process, bound it, and fork until the bound is met."""
    return _try("processes")


def _try(name: str) -> Probe:
    reason = unsupported_machine()
    if reason is not None:
        return Probe(name=name, ok=False, errno=errno.ENOSYS, detail=reason)
    try:
        done = _run([sys.executable, "-I", "-S", _CHILD, _LINUX, name])
        report = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        number = getattr(error, "errno", None)
        detail = "the probe's process: it did not report"
        return Probe(name=name, ok=False, errno=number, detail=detail)
    return Probe(name=name, **report)


def _run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    environment = {_LOADER: os.environ[_LOADER]} if _LOADER in os.environ else {}
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_ENOUGH_SECONDS,
        env=environment,
    )
