"""The facts of a run's header: what was running, on what."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

import nxkernel
from nxkernel.dispatch.stack import Middleware
from nxkernel.host.addresses import can_be_fixed
from nxkernel.kernel.profiles import worker_environment
from nxkernel.kernel.vectors import pinned
from nxkernel.run import Run
from nxkernel.settings import Hosting, Sandbox
from nxkernel.surroundings import Surroundings
from nxkernel.types import EMPTY

__all__ = ["run_header"]


def run_header(
    run: Run,
    sandbox: Sandbox,
    hosting: Hosting,
    middleware: Sequence[Middleware],
    lock_digest: str | None,
    failures: Mapping[str, Any] = EMPTY,
) -> dict[str, Any]:
    """Return what the audit puts at the head of *run*; *failures*: by which plugins are ordered."""
    header: dict[str, Any] = {
        "kernel": nxkernel.__version__,
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "level": sandbox.level,
        "required_level": sandbox.require,
        "stack": [each.name for each in middleware],
        "lock_digest": lock_digest,
        "environment": worker_environment(),
    }
    guard = next((each.guard_of("") for each in middleware if hasattr(each, "guard_of")), None)
    if guard is not None:
        fixed = hosting.surroundings.fixed(guard.chance == "strict") and can_be_fixed()
        header["guard"] = attrs.asdict(guard)
        if guard.chance == "strict":
            header["environment"] |= pinned()
        header["addresses"] = "fixed" if fixed else "random"
    if failures:
        header["failures"] = dict(failures)
    if run.forked_from is not None:
        header["forked_from"] = run.forked_from
    if hosting.inproc_allowlist:
        header["inproc"] = dict(hosting.inproc_allowlist)
    if hosting.surroundings != Surroundings():
        header["surroundings"] = _shown(hosting.surroundings)
    if hosting.debug is not None:
        header["debug"] = hosting.debug
    return header


def _shown(surroundings: Surroundings) -> dict[str, Any]:
    """What is other than usual."""
    usual = attrs.asdict(Surroundings())
    shown = {**attrs.asdict(surroundings), "environment": dict(surroundings.environment)}
    return {name: value for name, value in shown.items() if value and value != usual[name]}
